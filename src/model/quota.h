/*
 * Amounts by resource name, and the quota of a role: what it is guaranteed, and what it and the
 * roles below it may have at most. Only scalars have quota. A name without a guarantee is
 * guaranteed nothing; one without a limit is not limited.
 */
#ifndef RV_MODEL_QUOTA_H
#define RV_MODEL_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "model/resources.h"

struct rv_quantity {
    char *name;
    int64_t amount; /* thousandths */
};
struct rv_quantities { /* each name once; zero-initialised is empty */
    struct rv_quantity *v;
    size_t n;
};

/* The most of one resource: an exabyte of mem or disk in MB, a trillion of anything else. */
#define RV_QUOTA_MAX_MB (INT64_C(1) << 40)
#define RV_QUOTA_MAX_OTHER INT64_C(1000000000000)

#define RV_QUOTA_NAMES_MAX 50

struct rv_quota {
    char *role;
    struct rv_quantities guarantees, limits;
};

void rv_quantities_free(struct rv_quantities *q); /* leaves it empty */
void rv_quantities_copy(struct rv_quantities *out, const struct rv_quantities *q); /* overwritten */
bool rv_quantities_eq(const struct rv_quantities *a, const struct rv_quantities *b); /* any order */
/* `otherwise` if the name is not there. */
int64_t rv_quantities_get(const struct rv_quantities *q, const char *name, int64_t otherwise);
void rv_quantities_add(struct rv_quantities *q, const char *name, int64_t amount);
/* What of r counts for quota: scalars that are not revocable; a shared one once. */
void rv_quantities_add_resources(struct rv_quantities *q, const struct rv_resources *r);
/* "cpus:1; mem:32", or "nothing". */
void rv_quantities_format(const struct rv_quantities *q, struct rv_buf *out);
/* The first name in order of which `consumed` has more than its limit; NULL: none. */
const char *rv_quantities_beyond(const struct rv_quantities *limits,
                                 const struct rv_quantities *consumed);

void rv_quota_free(struct rv_quota *q);                             /* the members */
void rv_quota_copy(struct rv_quota *out, const struct rv_quota *q); /* overwritten */
/* As good as none. */
static inline bool rv_quota_is_empty(const struct rv_quota *q) {
    return q->guarantees.n == 0 && q->limits.n == 0;
}
/* NULL, or why nobody can have such a quota: role, amounts, a guarantee beyond its limit. */
const char *rv_quota_problem(const struct rv_quota *q);

#endif
