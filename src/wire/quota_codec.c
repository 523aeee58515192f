/* Quotas between trees and values. Costs: a sort of the names. */
#include "wire/quota_codec.h"

#include <math.h>
#include <stdlib.h>

#include "base/fixed.h"
#include "wire/convert.h"

/* --- in --- */

/* More than anybody may have stays so: rv_quota_problem says by how much is too much. */
static int amount_from(const char *name, const Reeve__V1__Value__Scalar *scalar, int64_t *out,
                       struct rv_error *err) {
    double value = scalar ? scalar->value : NAN;

    if (!isfinite(value) || value < 0 || (value > 0 && !isnormal(value)))
        return rv_error_set(err, RV_ERR_INVALID,
                            "'%.100s' needs an amount, finite and not negative", name);
    if (value > (double)RV_QUOTA_MAX_MB)
        *out = (RV_QUOTA_MAX_MB + 1) * RV_FIXED_ONE;
    else
        *out = (int64_t)(value * RV_FIXED_ONE + 0.5);
    return 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct rv_quantity *)a)->name, ((const struct rv_quantity *)b)->name);
}

static void sort(struct rv_quantities *q) {
    if (q->n)
        qsort(q->v, q->n, sizeof *q->v, by_name);
}

static int put(struct rv_quantities *to, char *name, const Reeve__V1__Value__Scalar *scalar,
               bool zero_too, struct rv_error *err) {
    int64_t amount = 0;
    int r = amount_from(name, scalar, &amount, err);

    if (!r && (amount || zero_too))
        to->v[to->n++] = (struct rv_quantity){name, amount};
    return r;
}

int rv_wire_quota_from(const Reeve__V1__Quota__QuotaConfig *m, struct rv_arena *arena,
                       struct rv_quota *out, struct rv_error *err) {
    int r = 0;

    *out = (struct rv_quota){.role = m->role,
                             .guarantees.v =
                                 RV_ARENA_ARRAY(arena, struct rv_quantity, m->n_guarantees),
                             .limits.v = RV_ARENA_ARRAY(arena, struct rv_quantity, m->n_limits)};
    for (size_t i = 0; !r && i < m->n_guarantees; i++)
        r = put(&out->guarantees, m->guarantees[i]->key, m->guarantees[i]->value, false, err);
    for (size_t i = 0; !r && i < m->n_limits; i++)
        r = put(&out->limits, m->limits[i]->key, m->limits[i]->value, true, err);
    if (r)
        rv_error_prefix(err, "quota of role '%.100s'", m->role);
    sort(&out->guarantees);
    sort(&out->limits);
    return r;
}

int rv_wire_quotas_from(Reeve__V1__Quota__QuotaConfig *const *v, size_t n, struct rv_arena *arena,
                        struct rv_quota **out, struct rv_error *err) {
    int r = 0;

    *out = RV_ARENA_ARRAY(arena, struct rv_quota, n);
    for (size_t i = 0; !r && i < n; i++)
        r = rv_wire_quota_from(v[i], arena, &(*out)[i], err);
    return r;
}

static const char *resource_problem(const Reeve__V1__Resource *m) {
    if (m->n_reservations || m->reservation || (m->role && !rv_streq(m->role, "*")))
        return "it must not be reserved";
    if (m->disk)
        return "it must not have 'disk'";
    if (m->revocable)
        return "it must not be revocable";
    if (m->shared || m->allocation_info || m->provider_id)
        return "it must be a plain amount";
    return m->type == REEVE__V1__VALUE__TYPE__SCALAR ? NULL : "only scalars have quota";
}

int rv_wire_quota_request_from(const Reeve__V1__Quota__QuotaRequest *m, struct rv_arena *arena,
                               struct rv_quota *out, struct rv_error *err) {
    int r = 0;

    if (!m->role)
        return rv_error_set(err, RV_ERR_INVALID, "quota_request: it needs a 'role'");
    if (m->n_guarantee == 0)
        return rv_error_set(err, RV_ERR_INVALID, "quota_request: it needs a 'guarantee'");
    *out =
        (struct rv_quota){.role = m->role,
                          .guarantees.v = RV_ARENA_ARRAY(arena, struct rv_quantity, m->n_guarantee),
                          .limits.v = RV_ARENA_ARRAY(arena, struct rv_quantity, m->n_guarantee)};
    for (size_t i = 0; !r && i < m->n_guarantee; i++) {
        const Reeve__V1__Resource *g = m->guarantee[i];
        const char *problem = resource_problem(g);

        if (problem)
            r = rv_error_set(err, RV_ERR_INVALID, "'%.100s': %s", g->name, problem);
        else if (!(r = put(&out->limits, g->name, g->scalar, true, err)))
            r = put(&out->guarantees, g->name, g->scalar, false, err);
        if (r)
            rv_error_prefix(err, "quota_request.guarantee[%zu]", i);
    }
    sort(&out->guarantees);
    sort(&out->limits);
    return r;
}

/* --- out --- */

static Reeve__V1__Value__Scalar *scalar_to(int64_t amount, struct rv_arena *arena) {
    Reeve__V1__Value__Scalar *m = RV_WIRE_MAKE(arena, Value__Scalar, value__scalar);

    m->value = rv_fixed_to_double(amount);
    return m;
}

Reeve__V1__Quota__QuotaConfig *rv_wire_quota_to(const struct rv_quota *q, struct rv_arena *arena) {
    Reeve__V1__Quota__QuotaConfig *m = RV_WIRE_MAKE(arena, Quota__QuotaConfig, quota__quota_config);

    m->role = q->role;
    m->guarantees =
        RV_ARENA_ARRAY(arena, Reeve__V1__Quota__QuotaConfig__GuaranteesEntry *, q->guarantees.n);
    for (size_t i = 0; i < q->guarantees.n; i++) {
        Reeve__V1__Quota__QuotaConfig__GuaranteesEntry *entry = RV_WIRE_MAKE(
            arena, Quota__QuotaConfig__GuaranteesEntry, quota__quota_config__guarantees_entry);

        entry->key = q->guarantees.v[i].name;
        entry->value = scalar_to(q->guarantees.v[i].amount, arena);
        m->guarantees[m->n_guarantees++] = entry;
    }
    m->limits = RV_ARENA_ARRAY(arena, Reeve__V1__Quota__QuotaConfig__LimitsEntry *, q->limits.n);
    for (size_t i = 0; i < q->limits.n; i++) {
        Reeve__V1__Quota__QuotaConfig__LimitsEntry *entry =
            RV_WIRE_MAKE(arena, Quota__QuotaConfig__LimitsEntry, quota__quota_config__limits_entry);

        entry->key = q->limits.v[i].name;
        entry->value = scalar_to(q->limits.v[i].amount, arena);
        m->limits[m->n_limits++] = entry;
    }
    return m;
}

Reeve__V1__Quota__QuotaInfo *rv_wire_quota_info_to(const struct rv_quota *q,
                                                   struct rv_arena *arena) {
    Reeve__V1__Quota__QuotaInfo *m = RV_WIRE_MAKE(arena, Quota__QuotaInfo, quota__quota_info);

    m->role = q->role;
    m->guarantee = RV_ARENA_ARRAY(arena, Reeve__V1__Resource *, q->guarantees.n);
    for (size_t i = 0; i < q->guarantees.n; i++) {
        Reeve__V1__Resource *r = RV_WIRE_MAKE(arena, Resource, resource);

        r->name = q->guarantees.v[i].name;
        r->type = REEVE__V1__VALUE__TYPE__SCALAR;
        r->scalar = scalar_to(q->guarantees.v[i].amount, arena);
        m->guarantee[m->n_guarantee++] = r;
    }
    return m;
}
