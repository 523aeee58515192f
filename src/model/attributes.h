/* Attributes of an agent: what a scheduler chooses by. "rack:r1;zone:a;level:3;ports:[1-2]". */
#ifndef RV_MODEL_ATTRIBUTES_H
#define RV_MODEL_ATTRIBUTES_H

#include "model/resources.h"

struct rv_attribute {
    char *name;
    enum rv_value_type type;
    union {
        int64_t scalar; /* thousandths */
        struct rv_ranges ranges;
        struct rv_set set;
        char *text;
    };
};

struct rv_attributes {
    struct rv_attribute *v;
    size_t n, cap;
};

void rv_attributes_free(struct rv_attributes *a);
void rv_attributes_copy(struct rv_attributes *out, const struct rv_attributes *a);
bool rv_attributes_eq(const struct rv_attributes *a, const struct rv_attributes *b);
/* A value is a scalar if it reads as a number, ranges in [], a set in {}, else text. Names may come
 * more than once. attributes-resources.md. */
RV_MUST_USE int rv_attributes_parse(const char *text, struct rv_attributes *out,
                                    struct rv_error *err);
void rv_attributes_format(const struct rv_attributes *a, struct rv_buf *out);

#endif
