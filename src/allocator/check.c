/*
 * All that must always hold in the books, worked out anew from the bookings on the agents. For
 * tests, the simulator and auditors: linear in everything.
 */
#include "allocator/internal.h"

#include <stdlib.h>

struct sums { /* expected quantities of clients and roles, by pointer */
    struct rv_map by_node;
    size_t n_names;
};

static const char *breach(struct rv_allocator *a, const char *format, const char *what,
                          const char *which) {
    free(a->breach);
    a->breach = rv_asprintf("%s: %s %s", format, what, which ? which : "");
    return a->breach;
}

static int64_t *sums_of(struct sums *s, const void *node) {
    int64_t *q = rv_map_get(&s->by_node, rv_strn(&node, sizeof node));

    if (!q) {
        q = rv_calloc(s->n_names + 1, sizeof *q);
        rv_map_put(&s->by_node, rv_strn(&node, sizeof node), q);
    }
    return q;
}

static void sums_free(struct sums *s) {
    void *q;

    for (size_t it = 0; rv_map_next(&s->by_node, &it, NULL, &q);)
        free(q);
    rv_map_free(&s->by_node);
}

/* Element n_names counts the agents a client uses. */
static bool usage_is(const struct usage *u, const int64_t *q, size_t n_names) {
    for (size_t i = 0; i < RV_MAX((size_t)u->n, n_names); i++) {
        if ((i < u->n ? u->q[i] : 0) != (i < n_names ? q[i] : 0))
            return false;
    }
    return true;
}

/* --- agents --- */

static void hold(struct sums *s, const struct role *role, uint32_t name, int64_t amount) {
    sums_of(s, &role->top->held)[name] += amount;
    sums_of(s, &role->top->parent->held)[name] += amount;
}

static void count_use(struct rv_allocator *a, struct sums *s, const struct use *u) {
    if (u->client)
        sums_of(s, u->client)[s->n_names]++;
    for (size_t i = 0; i < u->resources.n; i++) {
        const struct rv_resource *r = &u->resources.v[i];
        const struct cell *base = rv_kinds_base(a, r->kind);
        struct role *role = rv_map_gets(&a->roles, r->kind->allocation_role);

        if (!base->counts)
            continue;
        if (u->client)
            sums_of(s, u->client)[base->name] += r->scalar;
        sums_of(s, &role->own)[base->name] += r->scalar;
        if (base->reserved)
            hold(s, role, base->name, -r->scalar);
        for (; role; role = role->parent)
            sums_of(s, role)[base->name] += r->scalar;
    }
}

static const char *check_free(struct rv_allocator *a, struct agent *agent) {
    _cleanup_(rv_resources_free) struct rv_resources used = {0}, unshared = {0}, free_now = {0};

    for (uint32_t i = 0; i < agent->n_uses; i++) {
        if (agent->uses[i].resources.n == 0)
            return breach(a, "an empty use", "on agent", agent->hostname);
        rv_resources_add(&used, &agent->uses[i].resources);
    }
    rv_resources_allocate(&used, NULL);
    for (size_t i = 0; i < used.n; i++) {
        if (!used.v[i].kind->shared)
            rv_resources_add_one(&unshared, &used.v[i]);
    }
    if (agent->overused == rv_resources_contains(&agent->total, &unshared))
        return breach(a, "used and total disagree", "on agent", agent->hostname);
    for (uint32_t i = 0, n = 0; i < agent->n_slots; i++) {
        struct rv_resource one = agent->total.v[i];

        if (agent->slots[i].cell->kind != agent->total.v[i].kind)
            return breach(a, "a slot of another kind", "on agent", agent->hostname);
        n += !rv_slot_empty(&agent->slots[i]);
        if (i + 1 == agent->n_slots && n != agent->n_free)
            return breach(a, "wrong count of free elements", "on agent", agent->hostname);
        memcpy(&one.scalar, &agent->slots[i].free, sizeof agent->slots[i].free);
        rv_resources_add_one(&free_now, &one);
    }
    if (!agent->overused) {
        rv_resources_add(&free_now, &unshared);
        if (!rv_resources_eq(&free_now, &agent->total))
            return breach(a, "free and used do not make the total", "on agent", agent->hostname);
    }
    return NULL;
}

static const char *check_agents(struct rv_allocator *a, struct sums *s) {
    int64_t *total = sums_of(s, a->total);
    size_t available = 0, filters = 0;

    for (size_t i = 0; i < a->agents.n; i++) {
        struct agent *agent = a->agents.v[i];
        const char *problem;
        uint32_t at = a->position[i];

        if (!agent)
            continue;
        if ((problem = check_free(a, agent)))
            return problem;
        for (uint32_t j = 0; j < agent->n_slots; j++) {
            const struct cell *cell = agent->slots[j].cell;

            if (!cell->counts)
                continue;
            total[cell->name] += agent->total.v[j].scalar;
            if (cell->reserved)
                hold(s, cell->reserved, cell->name, agent->total.v[j].scalar);
        }
        for (uint32_t j = 0; j < agent->n_uses; j++)
            count_use(a, s, &agent->uses[j]);
        if ((at != NOWHERE) != (agent->active && agent->n_free) ||
            (at != NOWHERE && a->available[at] != i))
            return breach(a, "wrong place among the available", "agent", agent->hostname);
        if (agent->active == rv_list_linked(&agent->inactive))
            return breach(a, "wrong place among the inactive", "agent", agent->hostname);
        available += at != NOWHERE;
        filters += agent->n_filters;
    }
    for (size_t i = 0; i < s->n_names; i++) {
        if (a->total[i] != total[i])
            return breach(a, "the cluster's total is wrong", "of", a->kinds.names.v[i].name);
    }
    if (available != a->n_available || a->n_marked > available)
        return breach(a, "wrong count", "of available agents", NULL);
    return filters == a->filters.n ? NULL : breach(a, "wrong count", "of filters", NULL);
}

/* --- roles and clients --- */

static const char *check_client(struct rv_allocator *a, struct sums *s, const struct client *c) {
    const int64_t *q = sums_of(s, c);

    if (!usage_is(&c->usage, q, s->n_names) || q[s->n_names] != c->n_uses)
        return breach(a, "a framework's usage is wrong", "in role", c->role->name);
    if (c->rank.in != (c->framework->active && c->subscribed && !c->suppressed))
        return breach(a, "a framework stands wrong", "in role", c->role->name);
    if (!c->subscribed && !c->n_uses)
        return breach(a, "a framework of no use", "in role", c->role->name);
    for (const struct filter *f = c->filters; f; f = f->next)
        sums_of(s, &c->role->n_filters)[s->n_names]++;
    if (c->filters && !c->framework->active)
        return breach(a, "filters of an inactive framework", "in role", c->role->name);
    return NULL;
}

static bool key_is(const struct rv_allocator *a, const struct rv_rank *r, const struct usage *u,
                   int64_t weight) {
    struct rv_policy_cluster cluster = rv_roles_cluster(a);
    struct rv_policy_usage usage = {u->q, u->n, weight, u->last};
    struct rv_policy_key key;

    if (a->dirty || !r->in || (!r->prev && !r->next))
        return true;
    a->policy->key(&key, &cluster, &usage);
    return a->policy->compare(&key, &r->key) == 0;
}

static const char *check_role(struct rv_allocator *a, struct sums *s, struct role *role) {
    static const struct usage none;

    if (!usage_is(&role->usage, sums_of(s, role), s->n_names) ||
        !usage_is(&role->own, sums_of(s, &role->own), s->n_names))
        return breach(a, "usage is wrong", "of role", role->name);
    if (!usage_is(role->held ? role->held : &none, sums_of(s, &role->held), s->n_names))
        return breach(a, "what is reserved and not in use is wrong", "of role", role->name);
    if (!rv_ranking_check(&role->order) || !rv_ranking_check(&role->clients))
        return breach(a, "out of order", "role", role->name);
    if (role->own_rank.in != (role->clients.n > 0) ||
        (role->parent && role->rank.in != (role->order.n > 0)))
        return breach(a, "stands wrong", "role", role->name);
    if (!key_is(a, &role->own_rank, &role->own, RV_WEIGHT_ONE) ||
        !key_is(a, &role->rank, &role->usage, role->weight))
        return breach(a, "an old key", "role", role->name);
    for (struct rv_rank *r = role->clients.first; r; r = r->next) {
        if (!key_is(a, r, &RV_CONTAINER_OF(r, struct client, rank)->usage, RV_WEIGHT_ONE))
            return breach(a, "an old key of a framework", "in role", role->name);
    }
    return NULL;
}

const char *rv_allocator_check(struct rv_allocator *a) {
    _cleanup_(sums_free) struct sums s = {.n_names = a->kinds.names.n};
    const char *problem = check_agents(a, &s);
    void *value;

    for (size_t it = 0; !problem && rv_map_next(&a->roles, &it, NULL, &value);)
        problem = check_role(a, &s, value);
    if (!problem && a->root)
        problem = check_role(a, &s, a->root);
    for (size_t it = 0; !problem && rv_map_next(&a->frameworks, &it, NULL, &value);) {
        const struct framework *f = value;

        for (size_t i = 0; !problem && i < f->clients.n; i++)
            problem = check_client(a, &s, f->clients.v[i]);
    }
    for (size_t it = 0; !problem && rv_map_next(&a->roles, &it, NULL, &value);) {
        const struct role *role = value;

        if ((size_t)sums_of(&s, &role->n_filters)[s.n_names] != role->n_filters)
            problem = breach(a, "wrong count of filters", "of role", role->name);
    }
    for (size_t i = 1; !problem && i < a->filters.n; i++) {
        if (a->filters.v[i].until_ms < a->filters.v[(i - 1) / 2].until_ms)
            problem = breach(a, "out of order", "the heap of filters", NULL);
    }
    return problem;
}
