/*
 * The auditor's part at quotas: what the registry has of them, that no offer passes a limit, that
 * what was refused changed nothing (INV-30); and that after a failover with quotas nobody is
 * offered anything before most agents are back (INV-11).
 */
#include <stdio.h>
#include <stdlib.h>

#include "auditor_internal.h"
#include "cluster.h"

/* --- the registry --- */

static void drop(void *v) {
    if (v)
        rv_quota_free(v);
    free(v);
}

static void put(struct rv_map *to, const struct rv_quota *q) {
    struct rv_quota *copy = rv_calloc(1, sizeof *copy);

    drop(rv_map_remove(to, rv_str(q->role)));
    rv_quota_copy(copy, q);
    rv_map_put(to, rv_str(copy->role), copy);
}

static void clear(struct rv_map *quotas) {
    void *v;

    for (size_t it = 0; rv_map_next(quotas, &it, NULL, &v);)
        drop(v);
    rv_map_clear(quotas);
}

static void change(struct sim_auditor *a, const struct rv_quota *q) {
    if (rv_quota_is_empty(q))
        drop(rv_map_remove(&a->quotas, rv_str(q->role)));
    else
        put(&a->quotas, q);
}

void sim_audit_quota_registry(struct sim_auditor *a, const struct rv_registry_op *op, bool ok) {
    if (op->kind != RV_REGISTRY_PUT_QUOTAS)
        return;
    clear(&a->changing);
    for (size_t i = 0; ok && i < op->n_quotas; i++)
        change(a, &op->quotas[i]);
}

void sim_audit_quota_written(struct sim_auditor *a, const struct rv_registry_op *op) {
    if (op->kind != RV_REGISTRY_PUT_QUOTAS)
        return;
    if (!a->quota_call.request || op->n_quotas != a->quota_call.n)
        sim_fail(a->world, "INV-30: %zu quotas are written, %zu were asked for", op->n_quotas,
                 a->quota_call.request ? a->quota_call.n : 0);
    for (size_t i = 0; i < op->n_quotas; i++)
        put(&a->changing, &op->quotas[i]);
}

static bool same(const struct rv_quota *a, const struct rv_quota *b) {
    static const struct rv_quota none;

    a = a ? a : &none;
    b = b ? b : &none;
    return rv_quantities_eq(&a->guarantees, &b->guarantees) &&
           rv_quantities_eq(&a->limits, &b->limits);
}

/* Of a change that was being written at a crash the next leader finds all, or nothing. */
static void check_whole(struct sim_auditor *a, const struct rv_registry_snapshot *s) {
    size_t n_old = 0, n_new = 0, n = rv_map_count(&a->changing);
    void *v;

    for (size_t it = 0; rv_map_next(&a->changing, &it, NULL, &v);) {
        const struct rv_quota *to = v, *found = NULL;

        for (size_t i = 0; i < s->n_quotas; i++)
            if (rv_streq(s->quotas[i].role, to->role))
                found = &s->quotas[i];
        n_new += same(found, to);
        n_old += same(found, rv_map_gets(&a->quotas, to->role));
    }
    a->checks++;
    if (n_new < n && n_old < n)
        sim_fail(a->world, "INV-30: of %zu quotas that were changed together %zu are found", n,
                 n_new);
    clear(&a->changing);
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

static int64_t offered(const struct sim_auditor *a, const char *role, const char *name) {
    int64_t sum = 0;

    for (size_t i = 0; i < a->open.n; i++)
        sum += of(&a->open.v[i]->resources, a->open.v[i]->role, role, name);
    return sum;
}

static void check_limits(struct sim_auditor *a, const struct sim_audit_offer *o,
                         const struct rv_quota *q) {
    for (size_t i = 0; i < q->limits.n; i++) {
        const struct rv_quantity *limit = &q->limits.v[i];
        int64_t sum;

        if (of(&o->resources, o->role, q->role, limit->name) == 0)
            continue;
        sum = used(a, q->role, limit->name) + offered(a, q->role, limit->name);
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
    check_whole(a, s);
    clear(&a->quotas);
    rv_map_clear(&a->returned);
    a->quota_call.request = 0;
    for (size_t i = 0; i < s->n_quotas; i++)
        put(&a->quotas, &s->quotas[i]);
    a->hold_until_ms = s->n_quotas ? a->world->now_ms + 600000 : 0;
}

/* --- guarantees --- */

void sim_audit_all(const struct sim_auditor *a, struct rv_quantities *out) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->agents, &it, NULL, &v);) {
        const struct sim_audit_agent *g = v;

        for (size_t i = 0; g->connected && i < g->total.n; i++)
            if (counts(&g->total.v[i], g->total.v[i].kind->name) &&
                !rv_kind_is_reserved(g->total.v[i].kind))
                rv_quantities_add(out, g->total.v[i].kind->name, g->total.v[i].scalar);
    }
}

/* For a cluster in which nothing runs. */
const char *sim_audit_not_guaranteed(const struct sim_auditor *a) {
    struct rv_quantities all = {0};
    static char text[200];
    void *v;

    *text = 0;
    sim_audit_all(a, &all);
    for (size_t it = 0; rv_map_next(&a->quotas, &it, NULL, &v);) {
        const struct rv_quota *q = v;

        for (size_t i = 0; i < q->guarantees.n; i++) {
            const char *name = q->guarantees.v[i].name;
            int64_t own = used(a, q->role, name); /* what is reserved to it */
            int64_t has = own + offered(a, q->role, name);
            int64_t due = RV_MIN(q->guarantees.v[i].amount, own + rv_quantities_get(&all, name, 0));

            if (has < due)
                snprintf(text, sizeof text,
                         "role %s has %lld of %s, and is guaranteed %lld of what is there", q->role,
                         (long long)has, name, (long long)due);
        }
    }
    rv_quantities_free(&all);
    return rv_map_count(&a->quotas) == 0 ? "no quota is set" : *text ? text : NULL;
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
    if (status == 200 && rv_map_count(&a->changing))
        sim_fail(a->world, "INV-4: quotas are said to be set, and are not durable yet");
    if (status == 200 && a->quota_call.beyond)
        sim_fail(a->world, "INV-30: a limit below what the role has was taken, unforced");
    a->quota_call.request = 0;
}

void sim_audit_quota_free(struct sim_auditor *a) {
    clear(&a->quotas);
    clear(&a->changing);
    rv_map_free(&a->quotas);
    rv_map_free(&a->changing);
    rv_map_free(&a->returned);
}
