/*
 * The auditor's part at quotas: what the registry has of them, that no offer passes a limit, that
 * what was refused changed nothing (INV-30); and that after a failover with quotas nobody is
 * offered anything before most agents are back (INV-11).
 */
#include <stdlib.h>

#include "auditor_internal.h"
#include "cluster.h"

/* --- the registry --- */

static void drop(void *v) {
    if (v)
        rv_quota_free(v);
    free(v);
}

static void put(struct sim_auditor *a, const struct rv_quota *q) {
    struct rv_quota *copy;

    drop(rv_map_remove(&a->quotas, rv_str(q->role)));
    if (rv_quota_is_empty(q))
        return;
    copy = rv_calloc(1, sizeof *copy);
    rv_quota_copy(copy, q);
    rv_map_put(&a->quotas, rv_str(copy->role), copy);
}

static void clear(struct sim_auditor *a) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->quotas, &it, NULL, &v);)
        drop(v);
    rv_map_clear(&a->quotas);
}

void sim_audit_quota_registry(struct sim_auditor *a, const struct rv_registry_op *op, bool ok) {
    for (size_t i = 0; ok && op->kind == RV_REGISTRY_PUT_QUOTAS && i < op->n_quotas; i++)
        put(a, &op->quotas[i]);
}

void sim_audit_quota_written(struct sim_auditor *a, const struct rv_registry_op *op) {
    if (op->kind == RV_REGISTRY_PUT_QUOTAS &&
        (!a->quota_call.request || op->n_quotas != a->quota_call.n))
        sim_fail(a->world, "INV-30: %zu quotas are written, %zu were asked for", op->n_quotas,
                 a->quota_call.request ? a->quota_call.n : 0);
}

/* --- what is consumed: what is known to be used, and offers --- */

static bool counts(const struct rv_resource *r, const char *name) {
    return r->kind->type == RV_SCALAR && !r->kind->revocable && rv_streq(r->kind->name, name);
}

/* role NULL: each element says its own. */
static int64_t of(const struct rv_resources *r, const char *role, const char *top,
                  const char *name) {
    int64_t sum = 0;

    for (size_t i = 0; i < r->n; i++) {
        const struct rv_kind *k = r->v[i].kind;
        const char *whose = role ? role : k->allocation_role;

        if (counts(&r->v[i], name) && !rv_kind_is_reserved(k) && whose &&
            rv_role_within(whose, top))
            sum += r->v[i].scalar;
    }
    return sum;
}

static int64_t used(const struct sim_auditor *a, const char *top, const char *name) {
    int64_t sum = 0;
    void *g, *r;

    for (size_t it = 0; rv_map_next(&a->agents, &it, NULL, &g);) {
        const struct sim_audit_agent *agent = g;

        /* Of one whose connection broke some may be lost, and nobody was there to be told. */
        for (size_t k = 0; agent->connected && rv_map_next(&agent->used, &k, NULL, &r);)
            sum += of(r, NULL, top, name);
        for (size_t i = 0; agent->place == SIM_REGISTERED && i < agent->total.n; i++)
            if (counts(&agent->total.v[i], name) && rv_kind_is_reserved(agent->total.v[i].kind) &&
                rv_role_within(rv_kind_reserved_role(agent->total.v[i].kind), top))
                sum += agent->total.v[i].scalar;
    }
    return sum;
}

/* --- offers --- */

static void check_limits(struct sim_auditor *a, const struct sim_audit_offer *o,
                         const struct rv_quota *q) {
    for (size_t i = 0; i < q->limits.n; i++) {
        const struct rv_quantity *limit = &q->limits.v[i];
        int64_t sum;

        if (of(&o->resources, o->role, q->role, limit->name) == 0)
            continue;
        sum = used(a, q->role, limit->name);
        for (size_t k = 0; k < a->open.n; k++)
            sum += of(&a->open.v[k]->resources, a->open.v[k]->role, q->role, limit->name);
        a->checks++;
        if (sum > limit->amount)
            sim_fail(a->world, "INV-30: with offer %s role %s has %lld of %s, and may have %lld",
                     o->id, q->role, (long long)sum, limit->name, (long long)limit->amount);
    }
}

static void check_hold(struct sim_auditor *a, const struct sim_audit_offer *o) {
    size_t n = rv_map_count(&a->returned);
    void *g;

    if (!a->hold_until_ms || a->world->now_ms >= a->hold_until_ms)
        return;
    for (size_t it = 0; rv_map_next(&a->agents, &it, NULL, &g);) {
        const struct sim_audit_agent *agent = g;

        n += agent->place == SIM_REGISTERED && !rv_map_gets(&a->returned, agent->id);
    }
    a->checks++;
    if (n * 100 < a->n_recovered * 80)
        sim_fail(a->world, "INV-11: offer %s is made, and %zu agents of %zu are back", o->id, n,
                 a->n_recovered);
    a->hold_until_ms = 0;
}

void sim_audit_quota_offered(struct sim_auditor *a, const struct sim_audit_offer *o) {
    void *v;

    check_hold(a, o);
    for (size_t it = 0; rv_map_next(&a->quotas, &it, NULL, &v);)
        if (rv_role_within(o->role, ((const struct rv_quota *)v)->role))
            check_limits(a, o, v);
}

void sim_audit_quota_returned(struct sim_auditor *a, const char *agent_id) {
    if (agent_id)
        rv_map_put(&a->returned, rv_str(agent_id), a);
}

void sim_audit_quota_started(struct sim_auditor *a, const struct rv_registry_snapshot *s) {
    clear(a);
    rv_map_clear(&a->returned);
    a->quota_call.request = 0;
    for (size_t i = 0; i < s->n_quotas; i++)
        put(a, &s->quotas[i]);
    a->hold_until_ms = s->n_quotas ? a->world->now_ms + 600000 : 0;
}

/* --- calls --- */

void sim_audit_quota_asked(struct sim_auditor *a, uint64_t request,
                           const struct rv_operator_call *call) {
    bool checked = call->type == RV_OPERATOR_UPDATE_QUOTA && !call->force;

    if (a->quota_call.request)
        return; /* that one is answered later, this one at once: another is being written */
    a->quota_call.request = request;
    a->quota_call.n = call->n_quotas;
    a->quota_call.beyond = false;
    for (size_t i = 0; checked && i < call->n_quotas; i++) {
        const struct rv_quota *q = &call->quotas[i];

        for (size_t k = 0; k < q->limits.n; k++)
            a->quota_call.beyond |= used(a, q->role, q->limits.v[k].name) > q->limits.v[k].amount;
    }
}

void sim_audit_quota_replied(struct sim_auditor *a, uint64_t request, int status) {
    if (!request || request != a->quota_call.request)
        return;
    a->checks++;
    if (status == 200 && a->quota_call.beyond)
        sim_fail(a->world, "INV-30: a limit below what the role has was taken, unforced");
    a->quota_call.request = 0;
}

void sim_audit_quota_free(struct sim_auditor *a) {
    clear(a);
    rv_map_free(&a->quotas);
    rv_map_free(&a->returned);
}
