/*
 * Quotas of roles: what operators may ask for (INV-30), and what follows once the registry has it.
 *
 * What always holds: the allocator goes by `quotas`, but while a change is being written by the
 * smaller one of each old and new limit. So what was checked when it was asked for is still true
 * when it counts: nothing can be offered meanwhile that the new limit does not allow. One change is
 * written at a time, for what is guaranteed is judged for all roles together.
 *
 * Costs: a change walks over frameworks, agents and offers once for each role that it names.
 */
#include <stdlib.h>

#include "master/internal.h"

#define MAX_QUOTAS 5000 /* with the largest amounts their sum still fits */

static void quota_free(void *q) {
    rv_quota_free(q);
    free(q);
}

void rv_master_quotas_free(struct rv_map *quotas) {
    void *v;

    for (size_t it = 0; rv_map_next(quotas, &it, NULL, &v);)
        quota_free(v);
    rv_map_free(quotas);
}

void rv_master_quota_put(struct rv_master *m, const struct rv_quota *quota) {
    struct rv_quota *old = rv_map_gets(&m->quotas, quota->role), *copy;

    rv_allocator_set_quota(m->allocator, quota);
    if (!rv_quota_is_empty(quota)) {
        copy = rv_calloc(1, sizeof *copy);
        rv_quota_copy(copy, quota);
        if (old)
            rv_map_remove(&m->quotas, rv_str(quota->role));
        rv_map_put(&m->quotas, rv_str(copy->role), copy);
    } else if (old) {
        rv_map_remove(&m->quotas, rv_str(quota->role));
    }
    if (old)
        quota_free(old);
}

/* --- what is used --- */

struct counted {
    const char *role;
    bool reserved;
};

static bool counts_as(const struct rv_kind *k, const void *ctx) {
    const struct counted *c = ctx;

    if (c->reserved)
        return rv_kind_is_reserved(k) && rv_role_within(rv_kind_reserved_role(k), c->role);
    return !rv_kind_is_reserved(k) && k->allocation_role &&
           rv_role_within(k->allocation_role, c->role);
}

static void add_counted(struct rv_quantities *to, const struct rv_resources *r, const char *role,
                        bool reserved) {
    struct counted counted = {role, reserved};
    struct rv_resources part = {0};

    rv_resources_filter(&part, r, counts_as, &counted);
    rv_quantities_add_resources(to, &part);
    rv_resources_free(&part);
}

/* What is reserved to the role and those below it, and what they use beyond that. */
static void add_consumed(const struct rv_master *m, const char *role, struct rv_quantities *to) {
    void *v;

    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);)
        add_counted(to, &((const struct rv_master_framework *)v)->used, role, false);
    for (size_t it = 0; rv_map_next(&m->agents, &it, NULL, &v);)
        add_counted(to, &((const struct rv_master_agent *)v)->total, role, true);
}

static const char *text_of(struct rv_master *m, const struct rv_quantities *q) {
    rv_buf_clear(&m->scratch);
    rv_quantities_format(q, &m->scratch);
    return rv_master_keep(m, m->scratch.data);
}

/* --- what is refused --- */

static bool may_have_quota(const struct rv_master *m, const char *role) {
    for (size_t i = 0; i < m->config.n_role_whitelist; i++)
        if (rv_streq(m->config.role_whitelist[i], role))
            return true;
    return m->config.role_whitelist == NULL;
}

static const char *quotas_problem(struct rv_master *m, const struct rv_operator_call *call) {
    size_t n = rv_map_count(&m->quotas);
    const char *problem;

    for (size_t i = 0; i < call->n_quotas; i++) {
        const struct rv_quota *q = &call->quotas[i];

        n += !rv_quota_is_empty(q) && !rv_map_gets(&m->quotas, q->role);
        if (n > MAX_QUOTAS)
            return "too many roles with quota";
        if ((problem = rv_quota_problem(q)))
            return RV_MASTER_TEXT(m, "quota of role '%s': %s", q->role, problem);
        if (!may_have_quota(m, q->role))
            return RV_MASTER_TEXT(m,
                                  "quota of role '%s': not among the roles that this master "
                                  "knows (--roles)",
                                  q->role);
    }
    return NULL;
}

static const char *consumption_problem(struct rv_master *m, const struct rv_quota *q) {
    struct rv_quantities consumed = {0};
    const char *beyond, *problem = NULL;

    add_consumed(m, q->role, &consumed);
    beyond = rv_quantities_beyond(&q->limits, &consumed);
    if (beyond)
        problem =
            RV_MASTER_TEXT(m,
                           "quota of role '%s': it has %s, more %s than the limits %s; 'force' "
                           "sets them all the same",
                           q->role, text_of(m, &consumed), beyond, text_of(m, &q->limits));
    rv_quantities_free(&consumed);
    return problem;
}

static void add_all(struct rv_quantities *to, const struct rv_quantities *q) {
    for (size_t i = 0; i < q->n; i++)
        rv_quantities_add(to, q->v[i].name, q->v[i].amount);
}

static bool is_named(const struct rv_quota *quotas, size_t n, const char *role) {
    for (size_t i = 0; i < n; i++)
        if (rv_streq(quotas[i].role, role))
            return true;
    return false;
}

/* All guarantees as they would be, against all agents that are registered. */
static const char *capacity_problem(struct rv_master *m, const struct rv_operator_call *call) {
    struct rv_quantities guarantees = {0}, capacity = {0};
    const char *problem = NULL;
    void *v;

    for (size_t i = 0; i < call->n_quotas; i++) /* of a role that is named twice the last counts */
        if (!is_named(call->quotas + i + 1, call->n_quotas - i - 1, call->quotas[i].role))
            add_all(&guarantees, &call->quotas[i].guarantees);
    if (guarantees.n) {
        for (size_t it = 0; rv_map_next(&m->quotas, &it, NULL, &v);)
            if (!is_named(call->quotas, call->n_quotas, ((const struct rv_quota *)v)->role))
                add_all(&guarantees, &((const struct rv_quota *)v)->guarantees);
        for (size_t it = 0; rv_map_next(&m->agents, &it, NULL, &v);)
            rv_quantities_add_resources(&capacity, &((const struct rv_master_agent *)v)->total);
    }
    for (size_t i = 0; i < guarantees.n && !problem; i++)
        if (guarantees.v[i].amount > rv_quantities_get(&capacity, guarantees.v[i].name, 0))
            problem = RV_MASTER_TEXT(m,
                                     "all guarantees together, %s, are more than the cluster has, "
                                     "%s; 'force' sets them all the same",
                                     text_of(m, &guarantees), text_of(m, &capacity));
    rv_quantities_free(&guarantees);
    rv_quantities_free(&capacity);
    return problem;
}

/* --- offers that are taken back --- */

/* Whether it holds something of the name that counts. */
static bool has_some(const struct rv_master_offer *o, const char *name) {
    for (size_t i = 0; i < o->resources.n; i++) {
        const struct rv_kind *k = o->resources.v[i].kind;

        if (k->type == RV_SCALAR && !k->revocable && !rv_kind_is_reserved(k) &&
            rv_streq(k->name, name))
            return true;
    }
    return false;
}

static bool is_beyond(const struct rv_master *m, const struct rv_quota *q, size_t i) {
    return rv_allocator_quota_consumed(m->allocator, q->role, q->limits.v[i].name) >
           q->limits.v[i].amount;
}

/* Until what is used and offered is within the limits. */
static void rescind_beyond(struct rv_master *m, const struct rv_quota *q) {
    void *v;

    for (size_t i = 0; i < q->limits.n; i++) {
        for (size_t it = 0; is_beyond(m, q, i) && rv_map_next(&m->frameworks, &it, NULL, &v);) {
            RV_LIST_EACH (&((struct rv_master_framework *)v)->offers, node, tmp) {
                struct rv_master_offer *o =
                    RV_LIST_ENTRY(node, struct rv_master_offer, on_framework);

                if (is_beyond(m, q, i) && rv_role_within(o->role, q->role) &&
                    has_some(o, q->limits.v[i].name))
                    rv_master_offer_drop(m, o, 0, true);
            }
        }
    }
}

/* Offers to others, until they and what the role has are as much as it is guaranteed; as if nothing
 * were free. */
static void rescind_for(struct rv_master *m, const struct rv_quota *q) {
    void *v;

    for (size_t i = 0; i < q->guarantees.n; i++) {
        const char *name = q->guarantees.v[i].name;
        int64_t missing =
            q->guarantees.v[i].amount - rv_allocator_quota_consumed(m->allocator, q->role, name);

        for (size_t it = 0; missing > 0 && rv_map_next(&m->agents, &it, NULL, &v);) {
            RV_LIST_EACH (&((struct rv_master_agent *)v)->offers, node, tmp) {
                struct rv_master_offer *o = RV_LIST_ENTRY(node, struct rv_master_offer, on_agent);

                if (missing <= 0 || rv_role_within(o->role, q->role) || !has_some(o, name))
                    continue;
                missing -= rv_resources_quantity(&o->resources, name);
                rv_master_offer_drop(m, o, 0, true);
            }
        }
    }
}

/* --- changes --- */

/* Until it is known whether the new one counts: neither more than the old one allows nor more than
 * the new one does. */
static void tighten(struct rv_master *m, const struct rv_quota *to) {
    const struct rv_quota *from = rv_map_gets(&m->quotas, to->role);
    struct rv_quota both = {0};

    if (from)
        rv_quota_copy(&both, from);
    else
        both.role = rv_strdup(to->role);
    for (size_t i = 0; i < to->limits.n; i++) {
        const struct rv_quantity *limit = &to->limits.v[i];
        int64_t now = rv_quantities_get(&both.limits, limit->name, INT64_MAX);

        if (now == INT64_MAX)
            rv_quantities_add(&both.limits, limit->name, limit->amount);
        else if (limit->amount < now)
            rv_quantities_add(&both.limits, limit->name, limit->amount - now);
    }
    rv_allocator_set_quota(m->allocator, &both);
    rv_quota_free(&both);
    rescind_beyond(m, to);
}

static void change(struct rv_master *m, uint64_t request, const struct rv_quota *quotas, size_t n) {
    struct rv_master_pending *p = rv_master_pending_new(RV_REGISTRY_PUT_QUOTAS, NULL);
    struct rv_registry_op *op;

    p->request = request;
    p->quotas = rv_calloc(n, sizeof *p->quotas);
    p->n_quotas = n;
    for (size_t i = 0; i < n; i++) {
        rv_quota_copy(&p->quotas[i], &quotas[i]);
        tighten(m, &p->quotas[i]);
    }
    m->changing_quotas = true;
    op = rv_master_write(m, RV_REGISTRY_PUT_QUOTAS, p);
    op->quotas = p->quotas;
    op->n_quotas = p->n_quotas;
}

void rv_master_quotas_done(struct rv_master *m, struct rv_master_pending *p, bool ok) {
    m->changing_quotas = false;
    for (size_t i = 0; i < p->n_quotas; i++) {
        const struct rv_quota none = {.role = p->quotas[i].role};
        const struct rv_quota *now = rv_map_gets(&m->quotas, none.role);

        if (ok)
            rv_master_quota_put(m, &p->quotas[i]);
        else
            rv_allocator_set_quota(m->allocator, now ? now : &none);
    }
    for (size_t i = 0; ok && i < p->n_quotas; i++)
        if (rv_map_gets(&m->quotas, p->quotas[i].role))
            rescind_for(m, &p->quotas[i]);
    if (ok)
        rv_master_reply_text(m, p->request, 200, NULL);
    else
        RV_MASTER_REPLY(m, p->request, 503, "the registry could not be written");
    rv_master_allocate_soon(m);
}

/* --- calls --- */

static void refuse(struct rv_master *m, const struct rv_master_event *e, int status,
                   const char *problem) {
    rv_master_reply_text(m, e->request, status, problem);
}

static void update(struct rv_master *m, const struct rv_master_event *e) {
    const struct rv_operator_call *call = e->operator_;
    const char *problem = quotas_problem(m, call);

    for (size_t i = 0; !problem && !call->force && i < call->n_quotas; i++)
        problem = consumption_problem(m, &call->quotas[i]);
    if (!problem && !call->force)
        problem = capacity_problem(m, call);
    if (problem)
        refuse(m, e, 400, problem);
    else if (call->n_quotas)
        change(m, e->request, call->quotas, call->n_quotas);
    else
        rv_master_reply_text(m, e->request, 200, NULL);
}

/* The older way to set: only for roles without quota, and limits are the guarantees. */
static void set(struct rv_master *m, const struct rv_master_event *e) {
    const struct rv_operator_call *call = e->operator_;
    const char *problem = quotas_problem(m, call);

    if (!problem && rv_map_gets(&m->quotas, call->quotas->role))
        problem = RV_MASTER_TEXT(m, "quota of role '%s': it has one already", call->quotas->role);
    if (problem) {
        refuse(m, e, 400, problem);
        return;
    }
    if (!call->force && (problem = capacity_problem(m, call)))
        refuse(m, e, 409, problem);
    else
        change(m, e->request, call->quotas, 1);
}

static void remove_quota(struct rv_master *m, const struct rv_master_event *e) {
    const struct rv_quota none = {.role = e->operator_->quotas->role};

    if (rv_map_gets(&m->quotas, none.role))
        change(m, e->request, &none, 1);
    else
        RV_MASTER_REPLY(m, e->request, 400, "quota of role '%s': it has none", none.role);
}

void rv_master_quota_call(struct rv_master *m, const struct rv_master_event *e) {
    if (m->changing_quotas)
        RV_MASTER_REPLY(m, e->request, 503, "another change of quotas is being written");
    else if (e->operator_->type == RV_OPERATOR_UPDATE_QUOTA)
        update(m, e);
    else if (e->operator_->type == RV_OPERATOR_SET_QUOTA)
        set(m, e);
    else
        remove_quota(m, e);
}
