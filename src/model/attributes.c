/*
 * Attributes: a list of named values in the order in which they were given. The list owns names and
 * values. Pure; linear.
 */
#include "model/attributes.h"

#include <stdlib.h>

#include "base/fixed.h"
#include "base/vec.h"
#include "model/value_text.h"

static void clear(struct rv_attribute *a) {
    free(a->name);
    switch (a->type) {
    case RV_RANGES:
        rv_ranges_free(&a->ranges);
        break;
    case RV_SET:
        rv_set_free(&a->set);
        break;
    case RV_TEXT:
        free(a->text);
        break;
    case RV_SCALAR:
        break;
    }
    *a = (struct rv_attribute){0};
}

void rv_attributes_free(struct rv_attributes *a) {
    for (size_t i = 0; i < a->n; i++) {
        clear(&a->v[i]);
    }
    rv_vec_free(a);
}

void rv_attributes_copy(struct rv_attributes *out, const struct rv_attributes *a) {
    if (out == a) {
        return;
    }
    rv_attributes_free(out);
    for (size_t i = 0; i < a->n; i++) {
        const struct rv_attribute *from = &a->v[i];
        struct rv_attribute copy = *from;
        copy.name = rv_strdup(from->name);
        if (from->type == RV_RANGES) {
            rv_ranges_copy(&copy.ranges, &from->ranges);
        } else if (from->type == RV_SET) {
            rv_set_copy(&copy.set, &from->set);
        } else if (from->type == RV_TEXT) {
            copy.text = rv_strdup(from->text);
        }
        rv_vec_push(out, copy);
    }
}

static bool value_eq(const struct rv_attribute *a, const struct rv_attribute *b) {
    switch (a->type) {
    case RV_SCALAR:
        return a->scalar == b->scalar;
    case RV_RANGES:
        return rv_ranges_eq(&a->ranges, &b->ranges);
    case RV_SET:
        return rv_set_eq(&a->set, &b->set);
    case RV_TEXT:
        break;
    }
    return rv_streq(a->text, b->text);
}

bool rv_attributes_eq(const struct rv_attributes *a, const struct rv_attributes *b) {
    if (a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (a->v[i].type != b->v[i].type || !rv_streq(a->v[i].name, b->v[i].name) ||
            !value_eq(&a->v[i], &b->v[i])) {
            return false;
        }
    }
    return true;
}

static const char *parse_value(struct rv_str value, struct rv_attribute *out) {
    if (value.n == 0) {
        return "the value is missing";
    }
    if (value.s[0] == '[') {
        out->type = RV_RANGES;
        return rv_text_ranges(value, &out->ranges);
    }
    if (value.s[0] == '{') {
        out->type = RV_SET;
        return rv_text_set(value, &out->set);
    }
    switch (rv_text_scalar(value, &out->scalar)) {
    case RV_NUMBER_OK:
        out->type = RV_SCALAR;
        return NULL;
    case RV_NUMBER_TOO_LARGE:
        return "the number is too large";
    case RV_NUMBER_NOT:
        break;
    }
    out->type = RV_TEXT;
    out->text = rv_strndup(value.s, value.n);
    return NULL;
}

int rv_attributes_parse(const char *text, struct rv_attributes *out, struct rv_error *err) {
    _cleanup_(rv_attributes_free) struct rv_attributes parsed = {0};
    for (struct rv_str rest = rv_str(text); rest.s;) {
        struct rv_str token = rv_text_next(&rest, ';');
        if (token.n == 0) {
            continue;
        }
        struct rv_str value = token; /* may contain ':' itself */
        struct rv_str name = rv_text_next(&value, ':');
        struct rv_attribute one = {0};
        const char *problem = name.n == 0 ? "the name is missing"
                              : !value.s  ? "the ':' is missing"
                                          : parse_value(rv_text_trim(value), &one);
        if (problem) {
            return rv_error_set(err, RV_ERR_INVALID,
                                "attributes: '%.*s' at byte %zu: %s; write name:text, name:4, "
                                "name:[1-2] or name:{a,b}",
                                RV_TEXT_ARGS(token), (size_t)(token.s - text), problem);
        }
        one.name = rv_strndup(name.s, name.n);
        rv_vec_push(&parsed, one);
    }
    rv_attributes_free(out);
    *out = parsed;
    parsed = (struct rv_attributes){0};
    return 0;
}

void rv_attributes_format(const struct rv_attributes *a, struct rv_buf *out) {
    for (size_t i = 0; i < a->n; i++) {
        const struct rv_attribute *one = &a->v[i];
        char number[24];
        if (i > 0) {
            rv_buf_putc(out, ';');
        }
        rv_buf_puts(out, one->name);
        rv_buf_putc(out, ':');
        switch (one->type) {
        case RV_SCALAR:
            rv_fixed_format(one->scalar, number);
            rv_buf_puts(out, number);
            break;
        case RV_RANGES:
            rv_ranges_format(&one->ranges, out);
            break;
        case RV_SET:
            rv_set_format(&one->set, out);
            break;
        case RV_TEXT:
            rv_buf_puts(out, one->text);
            break;
        }
    }
}
