/* Amounts by resource name, and quotas; see quota.h. Sets are small: names are looked for one by
 * one. */
#include "model/quota.h"

#include <stdlib.h>
#include <string.h>

#include "base/fixed.h"
#include "base/memory.h"
#include "model/ids.h"

static struct rv_quantity *find(const struct rv_quantities *q, const char *name) {
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->v[i].name, name) == 0)
            return &q->v[i];
    return NULL;
}

void rv_quantities_free(struct rv_quantities *q) {
    for (size_t i = 0; i < q->n; i++)
        free(q->v[i].name);
    free(q->v);
    *q = (struct rv_quantities){0};
}

void rv_quantities_copy(struct rv_quantities *out, const struct rv_quantities *q) {
    *out = (struct rv_quantities){.v = q->n ? rv_calloc(q->n, sizeof *out->v) : NULL, .n = q->n};
    for (size_t i = 0; i < q->n; i++)
        out->v[i] = (struct rv_quantity){rv_strdup(q->v[i].name), q->v[i].amount};
}

bool rv_quantities_eq(const struct rv_quantities *a, const struct rv_quantities *b) {
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (rv_quantities_get(b, a->v[i].name, -1) != a->v[i].amount)
            return false;
    return true;
}

int64_t rv_quantities_get(const struct rv_quantities *q, const char *name, int64_t otherwise) {
    const struct rv_quantity *one = find(q, name);

    return one ? one->amount : otherwise;
}

void rv_quantities_add(struct rv_quantities *q, const char *name, int64_t amount) {
    struct rv_quantity *one = find(q, name);

    if (one) {
        one->amount += amount;
        return;
    }
    q->v = rv_realloc(q->v, (q->n + 1) * sizeof *q->v);
    q->v[q->n++] = (struct rv_quantity){rv_strdup(name), amount};
}

void rv_quantities_add_resources(struct rv_quantities *q, const struct rv_resources *r) {
    for (size_t i = 0; i < r->n; i++) {
        const struct rv_kind *k = r->v[i].kind;

        if (k->type == RV_SCALAR && !k->revocable)
            rv_quantities_add(q, k->name, r->v[i].scalar);
    }
}

void rv_quantities_format(const struct rv_quantities *q, struct rv_buf *out) {
    char amount[24];

    for (size_t i = 0; i < q->n; i++) {
        rv_fixed_format(q->v[i].amount, amount);
        rv_buf_printf(out, "%s%s:%s", i ? "; " : "", q->v[i].name, amount);
    }
    if (q->n == 0)
        rv_buf_puts(out, "nothing");
}

const char *rv_quantities_beyond(const struct rv_quantities *limits,
                                 const struct rv_quantities *consumed) {
    for (size_t i = 0; i < limits->n; i++)
        if (rv_quantities_get(consumed, limits->v[i].name, 0) > limits->v[i].amount)
            return limits->v[i].name;
    return NULL;
}

/* --- quotas --- */

void rv_quota_free(struct rv_quota *q) {
    free(q->role);
    rv_quantities_free(&q->guarantees);
    rv_quantities_free(&q->limits);
    *q = (struct rv_quota){0};
}

void rv_quota_copy(struct rv_quota *out, const struct rv_quota *q) {
    out->role = rv_strdup(q->role);
    rv_quantities_copy(&out->guarantees, &q->guarantees);
    rv_quantities_copy(&out->limits, &q->limits);
}

static const char *amounts_problem(const struct rv_quantities *q) {
    for (size_t i = 0; i < q->n; i++) {
        bool mb = strcmp(q->v[i].name, "mem") == 0 || strcmp(q->v[i].name, "disk") == 0;

        if (q->n > RV_QUOTA_NAMES_MAX)
            return "too many resources";
        if (!q->v[i].name[0])
            return "a resource needs a name";
        if (q->v[i].amount < 0)
            return "an amount is negative";
        if (q->v[i].amount > (mb ? RV_QUOTA_MAX_MB : RV_QUOTA_MAX_OTHER) * RV_FIXED_ONE)
            return mb ? "more than an exabyte of mem or disk"
                      : "more than a trillion of a resource";
        if (find(q, q->v[i].name) != &q->v[i])
            return "a resource is named twice";
    }
    return NULL;
}

const char *rv_quota_problem(const struct rv_quota *q) {
    const char *problem = rv_role_problem(q->role);

    if (problem)
        return problem;
    if (strchr(q->role, '/'))
        return "quota of a nested role is not supported: set that of the topmost one";
    if ((problem = amounts_problem(&q->guarantees)) || (problem = amounts_problem(&q->limits)))
        return problem;
    for (size_t i = 0; i < q->guarantees.n; i++)
        if (q->guarantees.v[i].amount >
            rv_quantities_get(&q->limits, q->guarantees.v[i].name, INT64_MAX))
            return "a guarantee is more than its limit";
    return NULL;
}
