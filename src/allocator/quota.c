/*
 * Quota: what roles are guaranteed, and what they may have at most.
 *
 * What a role has consumed is what is allocated or offered to it and the roles below, and what is
 * reserved to them, in use or not. Of agents, only scalars that are neither reserved nor revocable
 * bring a role nearer to its guarantee or limit: the rest goes with an offer as ever.
 *
 * A pass has two stages. In the first, agents are offered to roles that have less than their
 * guarantee, if there is something for it on the agent. In the second, everybody is asked. Nobody
 * is given more than
 *
 *   limit - consumed       of what its topmost role has a limit of, and
 *   available - required   in the first stage beyond its own guarantee, where available is what is
 *                          free on all agents that are offered, and required is the sum of what
 *                          guarantees are not satisfied: what stays is the headroom for them.
 *
 * How: what a role must not have of an agent is set aside, off the free amounts, while the role is
 * asked, and put back after. So nothing else in a pass knows of quota, and without quotas nothing
 * costs more. What is indivisible is set aside as a whole.
 *
 * Costs, if there are quotas: a pass, all roles with guarantees and the agents that are inactive;
 * asking a role, its topmost role's bounds and the agent's elements; in the first stage a visit of
 * an agent, the roles that lack something.
 */
#include "allocator/internal.h"

#include <stdlib.h>

static int64_t of(const struct usage *u, uint32_t name) {
    return u && name < u->n ? u->q[name] : 0;
}

static int64_t consumed(const struct role *top, uint32_t name) {
    return of(&top->usage, name) + of(top->held, name);
}

/* What is free, not reserved and can be offered at all. */
static int64_t available(const struct rv_allocator *a, uint32_t name) {
    return a->total[name] - consumed(a->root, name) - a->quota.idle[name];
}

static struct bound *bound_of(const struct role *top, uint32_t name) {
    for (size_t i = 0; top->quota && i < top->quota->n; i++) {
        if (top->quota->v[i].name == name)
            return &top->quota->v[i];
    }
    return NULL;
}

/* Whether it brings a role nearer to its quota. */
static bool is_charged(const struct cell *base) {
    return base->counts && !base->reserved && !base->kind->shared;
}

/* --- setting --- */

static void remove_from(struct role **v, size_t *n, const struct role *role) {
    for (size_t i = 0; i < *n; i++) {
        if (v[i] == role) {
            memmove(&v[i], &v[i + 1], (*n - i - 1) * sizeof(struct role *));
            (*n)--;
            return;
        }
    }
}

static void drop(struct rv_allocator *a, struct role *role) {
    struct quota *q = role->quota;

    if (!q)
        return;
    remove_from(a->quota.all.v, &a->quota.all.n, role);
    remove_from(a->quota.guaranteed.v, &a->quota.guaranteed.n, role);
    for (size_t i = 0; i < q->n; i++)
        rv_kinds_unpin_name(a, q->v[i].name);
    free(q->v);
    free(q);
    role->quota = NULL;
    rv_roles_unpin(a, role);
}

static void put_bound(struct rv_allocator *a, struct quota *q, const char *name, int64_t guarantee,
                      int64_t limit) {
    q->v[q->n++] = (struct bound){rv_kinds_name(a, name), guarantee, limit, 0};
    q->guaranteed |= guarantee > 0;
}

static struct quota *new_quota(struct rv_allocator *a, const struct rv_quota *from) {
    struct quota *q = rv_calloc(1, sizeof *q);

    q->v = rv_calloc(from->guarantees.n + from->limits.n, sizeof *q->v);
    for (size_t i = 0; i < from->limits.n; i++) {
        const struct rv_quantity *limit = &from->limits.v[i];

        put_bound(a, q, limit->name, rv_quantities_get(&from->guarantees, limit->name, 0),
                  limit->amount);
    }
    for (size_t i = 0; i < from->guarantees.n; i++) {
        const struct rv_quantity *guarantee = &from->guarantees.v[i];

        if (rv_quantities_get(&from->limits, guarantee->name, -1) < 0)
            put_bound(a, q, guarantee->name, guarantee->amount, INT64_MAX);
    }
    return q;
}

void rv_allocator_set_quota(struct rv_allocator *a, const struct rv_quota *quota) {
    struct role *role = rv_roles_get(a, quota->role);

    RV_ASSERT(role->top == role);
    drop(a, role);
    if (!rv_quota_is_empty(quota)) {
        role->quota = new_quota(a, quota);
        role->pins++;
        rv_vec_push(&a->quota.all, role);
        if (role->quota->guaranteed)
            rv_vec_push(&a->quota.guaranteed, role);
    }
    rv_roles_unpin(a, role);
    rv_allocator_mark_all(a);
}

int64_t rv_allocator_quota_consumed(const struct rv_allocator *a, const char *role,
                                    const char *resource) {
    const struct role *top = rv_map_gets(&a->roles, role);

    for (size_t i = 0; top && i < a->kinds.names.n; i++) {
        if (rv_streq(a->kinds.names.v[i].name, resource))
            return consumed(top, (uint32_t)i);
    }
    return 0;
}

void rv_quota_free_all(struct rv_allocator *a) {
    while (a->quota.all.n)
        drop(a, a->quota.all.v[a->quota.all.n - 1]);
    rv_vec_free(&a->quota.all);
    rv_vec_free(&a->quota.guaranteed);
    rv_vec_free(&a->quota.lacking);
    rv_vec_free(&a->quota.agents);
    rv_vec_free(&a->quota.aside);
    free(a->quota.required);
    free(a->quota.idle);
}

/* --- a pass --- */

/* What is still missing of the role's guarantees; what that changes is added to `required`. */
static bool count_unsatisfied(struct rv_allocator *a, struct role *top) {
    bool lacks = false;

    for (size_t i = 0; i < top->quota->n; i++) {
        struct bound *b = &top->quota->v[i];
        int64_t now = b->guarantee - consumed(top, b->name);

        now = RV_MAX(now, (int64_t)0);
        a->quota.required[b->name] += now - b->unsatisfied;
        b->unsatisfied = now;
        lacks |= now > 0;
    }
    return lacks;
}

static void count_idle(struct rv_allocator *a) {
    RV_LIST_EACH (&a->inactive, node, tmp) {
        const struct agent *agent = RV_LIST_ENTRY(node, struct agent, inactive);

        for (uint32_t i = 0; i < agent->n_slots; i++) {
            if (is_charged(agent->slots[i].cell))
                a->quota.idle[agent->slots[i].cell->name] += agent->slots[i].free.scalar;
        }
    }
}

void rv_quota_begin(struct rv_allocator *a) {
    size_t n = a->kinds.names.n;

    a->quota.lacking.n = 0;
    if (a->quota.guaranteed.n == 0)
        return;
    if (n > a->quota.cap_names) {
        a->quota.cap_names = n * 2;
        a->quota.required = rv_realloc(a->quota.required, n * 2 * sizeof *a->quota.required);
        a->quota.idle = rv_realloc(a->quota.idle, n * 2 * sizeof *a->quota.idle);
    }
    memset(a->quota.required, 0, n * sizeof *a->quota.required);
    memset(a->quota.idle, 0, n * sizeof *a->quota.idle);
    count_idle(a);
    for (size_t i = 0; i < a->quota.guaranteed.n; i++) {
        struct role *top = a->quota.guaranteed.v[i];

        for (size_t j = 0; j < top->quota->n; j++)
            top->quota->v[j].unsatisfied = 0;
        if (count_unsatisfied(a, top) && top->rank.in)
            rv_vec_push(&a->quota.lacking, top);
    }
}

static bool lacks(const struct role *top) {
    for (size_t i = 0; i < top->quota->n; i++) {
        if (top->quota->v[i].unsatisfied > 0)
            return true;
    }
    return false;
}

/* Nearly in order since the last time: few have moved. */
size_t rv_quota_lacking(struct rv_allocator *a) {
    struct role **v = a->quota.lacking.v;
    size_t n = 0;

    for (size_t i = 0; i < a->quota.lacking.n; i++) {
        struct role *role = v[i];
        size_t at = n;

        if (!lacks(role))
            continue;
        for (; at > 0 && rv_rank_before(&a->root->order, &role->rank, &v[at - 1]->rank); at--)
            v[at] = v[at - 1];
        v[at] = role;
        n++;
    }
    return a->quota.lacking.n = n;
}

/* How much of the name the role may be given; *towards: how much of that is guaranteed. */
static int64_t room_of(const struct rv_allocator *a, const struct role *role, uint32_t name,
                       bool first, int64_t *towards) {
    const struct bound *b = bound_of(role->top, name);
    int64_t room = INT64_MAX;

    *towards = b ? b->unsatisfied : 0;
    if (a->quota.guaranteed.n && a->quota.required[name] > 0) {
        room = RV_MAX(available(a, name) - a->quota.required[name], (int64_t)0);
        if (first)
            room += *towards;
    }
    if (b && b->limit != INT64_MAX)
        room = RV_MIN(room, RV_MAX(b->limit - consumed(role->top, name), (int64_t)0));
    return room;
}

/* Takes off what is free on the agent what the role must not be given. False: in the first stage,
 * there is nothing for its guarantee. */
bool rv_quota_set_aside(struct rv_allocator *a, struct agent *agent, const struct role *role,
                        bool first) {
    uint32_t name = UINT32_MAX;
    int64_t room = 0, towards = 0;
    bool progress = false;

    if (!role->top->quota && a->quota.guaranteed.n == 0)
        return true;
    a->quota.aside.n = 0;
    for (uint32_t i = 0; i < agent->n_slots; i++) {
        struct slot *s = &agent->slots[i];
        int64_t taken, had = s->free.scalar;

        rv_vec_push(&a->quota.aside, 0);
        if (!is_charged(s->cell) || had == 0)
            continue;
        if (s->cell->name != name) { /* those of a name stand together */
            name = s->cell->name;
            room = room_of(a, role, name, first, &towards);
        }
        taken = RV_MIN(had, room);
        if (taken < had && rv_kind_is_indivisible(s->cell->kind))
            taken = 0;
        room -= taken;
        progress |= taken > 0 && towards > 0;
        a->quota.aside.v[i] = had - taken;
        s->free.scalar = taken;
        agent->n_free -= taken == 0;
    }
    return !first || progress;
}

void rv_quota_put_back(struct rv_allocator *a, struct agent *agent) {
    for (size_t i = 0; i < a->quota.aside.n; i++) {
        struct slot *s = &agent->slots[i];

        if (a->quota.aside.v[i] == 0)
            continue;
        agent->n_free += s->free.scalar == 0;
        s->free.scalar += a->quota.aside.v[i];
    }
    a->quota.aside.n = 0;
}

/* Something of the agent went to the role: what is required may be less now. */
void rv_quota_allocated(struct rv_allocator *a, const struct role *role) {
    if (role->top->quota && role->top->quota->guaranteed)
        count_unsatisfied(a, role->top);
}
