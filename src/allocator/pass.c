/*
 * A pass: each marked agent, in random order, offers what it has free. Roles and frameworks are
 * asked in the policy's order; the first that is eligible is given all it may have of the agent:
 * what is not reserved, and what is reserved to its role or one above it. What is left (reserved to
 * others, or of a sort that the first was not capable of) goes on to those who come after.
 *
 * What a framework would get depends only on the role and on three of its capabilities, so it is
 * worked out once for each such class within a role and agent (struct candidate), as is how it
 * compares with what was refused last: most filters of an agent refuse the same. Looking at a
 * framework and passing it over then costs a few loads.
 *
 * The walk keeps its place while roles and frameworks move behind it: the rank to go on with is
 * taken before anything is allocated, and only ranks on the path to the receiver move. Who moved
 * comes by again later on, and finds nothing: a role is asked once a visit.
 *
 * If roles have less than they are guaranteed, the agents of a pass are visited twice, at first for
 * those roles alone: see quota.c, which also sets aside what a role must not be given.
 */
#include "allocator/internal.h"

#include <stdlib.h>

struct visit {
    struct rv_allocator *a;
    struct agent *agent;
    uint64_t number;
    rv_allocation_cb cb;
    void *ctx;
    uint8_t flags;      /* of all that is left: other capabilities make no difference */
    struct role *start; /* only roles here and below can get anything; NULL: nothing is left */
    struct role *first; /* in the first stage: the role whose guarantee it is about; else NULL */
};

static bool is_taken(const struct visit *v, const struct slot *s) {
    if (!s->cell->kind->shared)
        return rv_slot_empty(s);
    for (size_t i = 0; i < v->a->offered.n; i++) {
        if (v->a->offered.v[i] == s)
            return true;
    }
    return false;
}

static bool is_within(const struct role *role, const struct role *above) {
    while (role && role != above)
        role = role->parent;
    return role != NULL;
}

/* Where to go on with what is left: anywhere if some is not reserved; else below a role that some
 * is reserved to, the topmost such, and that was not walked yet. So reserved resources that nobody
 * takes cost a look at their own roles, not at all. */
static void survey(struct visit *v) {
    const struct agent *agent = v->agent;
    bool unreserved = false;
    struct role *start = NULL;

    v->flags = 0;
    for (uint32_t i = 0; i < agent->n_slots; i++) {
        const struct slot *s = &agent->slots[i];
        struct role *reserved = s->cell->reserved;

        if (is_taken(v, s))
            continue;
        v->flags |= s->cell->flags;
        unreserved |= !reserved;
        if (reserved && reserved->walked != v->number && (!start || is_within(start, reserved)))
            start = reserved;
    }
    if (v->first)
        start = NULL; /* no guarantee is about what is reserved */
    v->start = !unreserved ? start : v->first ? v->first : v->a->root;
}

/* --- eligibility --- */

static bool reaches(const struct agent *agent, const struct candidate *c, const struct minima *m) {
    for (size_t i = 0; i < m->n; i++) {
        bool all = true;

        for (size_t j = 0; all && j < m->v[i].n; j++) {
            int64_t sum = 0;

            for (size_t k = 0; k < c->n; k++) {
                const struct slot *s = &agent->slots[c->slots[k]];

                if (s->cell->name == m->v[i].v[j].name && s->cell->kind->type == RV_SCALAR)
                    sum += s->free.scalar;
            }
            all = sum >= m->v[i].v[j].amount;
        }
        if (all)
            return true;
    }
    return m->n == 0;
}

static struct candidate *candidate(struct visit *v, const struct role *role, uint8_t class) {
    struct candidate *c = &v->a->candidates[class & v->flags];
    struct agent *agent = v->agent;

    if (c->stamp == v->a->stamp)
        return c;
    c->stamp = v->a->stamp;
    c->n = 0;
    c->compared = NULL;
    if (c->cap < agent->n_slots) {
        c->cap = agent->n_slots;
        c->slots = rv_realloc(c->slots, c->cap * sizeof *c->slots);
    }
    for (uint32_t i = 0; i < agent->n_slots; i++) {
        const struct slot *s = &agent->slots[i];
        const struct cell *cell = s->cell;

        if (is_taken(v, s) || (cell->flags & ~class) ||
            (cell->reserved && !is_within(role, cell->reserved)))
            continue;
        c->slots[c->n++] = i;
    }
    c->worth = c->n && reaches(agent, c, &v->a->minima);
    return c;
}

static bool holds_amount(const struct rv_resource *refused, const struct slot *s) {
    if (s->cell->kind->shared)
        return refused->scalar >= s->free.scalar;
    if (rv_kind_is_indivisible(s->cell->kind))
        return refused->scalar == s->free.scalar;
    if (s->cell->kind->type == RV_RANGES)
        return rv_ranges_contains(&refused->ranges, &s->free.ranges);
    if (s->cell->kind->type == RV_SET)
        return rv_set_contains(&refused->set, &s->free.set);
    return refused->scalar >= s->free.scalar;
}

/* Whether all of the candidate is within what was refused: both are in the order of kinds. */
static bool is_contained(const struct agent *agent, struct candidate *c,
                         const struct refused *refused) {
    const struct rv_resources *r = &refused->resources;
    size_t j = 0;

    if (c->compared == refused)
        return c->contained;
    c->compared = refused;
    c->contained = false;
    for (size_t i = 0; i < c->n; i++) {
        const struct slot *s = &agent->slots[c->slots[i]];

        while (j < r->n && !(r->v[j].kind == s->cell->kind && holds_amount(&r->v[j], s)))
            j++;
        if (j++ == r->n)
            return false;
    }
    return c->contained = true;
}

static bool is_filtered(const struct visit *v, const struct client *client, struct candidate *c) {
    const struct agent *agent = v->agent;
    uint32_t mask = agent->cap_filters - 1;

    if (!agent->n_filters || !client->filters)
        return false;
    for (uint32_t i = rv_filters_bucket(agent, client->id); agent->filters[i].filter;
         i = (i + 1) & mask) {
        if (agent->filters[i].client == client->id &&
            is_contained(agent, c, agent->filters[i].refused))
            return true;
    }
    return false;
}

/* Cheapest first. */
static bool is_eligible(const struct visit *v, struct client *client, struct candidate *c) {
    const struct framework *f = client->framework;
    const struct agent *agent = v->agent;

    if (!c->n || (agent->gpus && !f->gpus && !v->a->offer_gpus_to_all) ||
        (agent->remote && !f->region_aware))
        return false;
    if (client->minima ? !reaches(agent, c, client->minima) : !c->worth)
        return false;
    if (is_filtered(v, client, c))
        return false;
    return rv_frameworks_fits(v->a, client, agent);
}

/* --- allocating --- */

/* Kinds of one name may come in another order once they are allocated. */
static void put_last_in_order(struct rv_resources *r) {
    for (size_t at = r->n - 1; at > 0; at--) {
        struct rv_resource *low = &r->v[at - 1], *high = &r->v[at], swap;

        if (strcmp(low->kind->name, high->kind->name) != 0 ||
            rv_kind_compare(low->kind, high->kind) <= 0)
            return;
        swap = *low;
        *low = *high;
        *high = swap;
    }
}

static void allocate(struct visit *v, struct client *client, const struct candidate *c) {
    struct rv_allocator *a = v->a;
    struct agent *agent = v->agent;
    struct rv_resources offer = {.v = agent->memory, .cap = SLOTS_INLINE};
    const struct rv_resources *booked;

    if (agent->memory_taken || c->n > SLOTS_INLINE)
        offer = (struct rv_resources){.v = rv_malloc(c->n * sizeof *offer.v), .cap = c->n};
    else
        agent->memory_taken = true;
    for (size_t i = 0; i < c->n; i++) {
        struct slot *s = &agent->slots[c->slots[i]];
        struct rv_resource *to = &offer.v[offer.n++];

        to->kind = rv_kind_ref(rv_kinds_allocated(a, s->cell, client->role)->kind);
        to->ranges = s->free.ranges; /* or whatever it is */
        to->copies = 1;
        if (s->cell->kind->shared) {
            rv_vec_push(&a->offered, s);
        } else {
            if (s->cell->counts)
                rv_roles_charge(a, client, client->role, s->cell, s->free.scalar);
            s->free.ranges = (struct rv_ranges){0}; /* moved */
            agent->n_free--;
        }
        if (i > 0 && s->cell->name == agent->slots[c->slots[i - 1]].cell->name)
            put_last_in_order(&offer);
    }
    booked = rv_booking_add(a, agent, client, &offer);
    v->cb(v->ctx, client->framework->handle, client->role->name, agent->handle, booked);
    rv_booking_free(agent, &offer);
}

/* --- the walk --- */

/* What is left after an allocation is looked at as a whole, then again as far as the role may have
 * it; false: none of it. */
static bool go_on(struct visit *v, struct role *role) {
    struct rv_allocator *a = v->a;

    if (!a->quota.all.n) {
        survey(v);
        return true;
    }
    rv_quota_put_back(a, v->agent);
    rv_quota_allocated(a, role);
    survey(v);
    return rv_quota_set_aside(a, v->agent, role, v->first);
}

static void ask_clients(struct visit *v, struct role *role) {
    struct rv_allocator *a = v->a;
    struct rv_rank *next;

    a->stamp++;
    if (candidate(v, role, CELL_CLASSES - 1)->n == 0)
        return;
    for (struct rv_rank *r = role->clients.first; r; r = next) {
        struct client *client = RV_CONTAINER_OF(r, struct client, rank);
        struct candidate *c = candidate(v, role, client->framework->class);

        next = r->next;
        if (!is_eligible(v, client, c))
            continue;
        allocate(v, client, c);
        if (!go_on(v, role))
            return;
        a->stamp++;
        if (!v->start || candidate(v, role, CELL_CLASSES - 1)->n == 0)
            return;
    }
}

/* Asks the frameworks directly in the role. */
static void ask_role(struct visit *v, struct role *role) {
    struct rv_allocator *a = v->a;
    bool quota = a->quota.all.n > 0;

    if (role->visited == v->number)
        return;
    role->visited = v->number;
    if (!quota || rv_quota_set_aside(a, v->agent, role, v->first))
        ask_clients(v, role);
    if (quota)
        rv_quota_put_back(a, v->agent);
}

/* Asks all from v->start down, until what is left asks for another start. */
static void walk(struct visit *v) {
    struct rv_allocator *a = v->a;
    struct role *start = v->start;

    a->frames.n = 0;
    rv_vec_push(&a->frames, ((struct frame){start, start->order.first}));
    while (a->frames.n && v->start == start) {
        struct frame *top = &a->frames.v[a->frames.n - 1];
        struct role *role = top->role;
        struct rv_rank *r = top->next;

        if (!r) {
            a->frames.n--;
            continue;
        }
        top->next = r->next;
        if (r == &role->own_rank) {
            ask_role(v, role);
        } else {
            role = RV_CONTAINER_OF(r, struct role, rank);
            rv_vec_push(&a->frames, ((struct frame){role, role->order.first}));
        }
    }
}

/* In the first stage only the roles that lack something of their guarantee, one by one. */
static void visit(struct rv_allocator *a, struct agent *agent, bool first, rv_allocation_cb cb,
                  void *ctx) {
    struct visit v = {.a = a, .agent = agent, .number = ++a->visit, .cb = cb, .ctx = ctx};
    size_t rounds = first ? rv_quota_lacking(a) : 1;

    a->offered.n = 0;
    for (size_t i = 0; i < rounds; i++) {
        v.first = first ? a->quota.lacking.v[i] : NULL;
        survey(&v);
        while (v.start) {
            struct role *start = v.start;

            walk(&v);
            if (v.start != start)
                continue;
            if (first || start == a->root)
                break; /* everybody was asked */
            start->walked = v.number;
            survey(&v);
        }
    }
    rv_agents_place(a, agent);
}

/* Agents come in runs of neighbours, the runs in random order and each shuffled: as good as one by
 * one for fairness, and what lies together is read together. While one is visited those that follow
 * are on their way from memory. */
enum { BATCH = 32, AHEAD = 5, MORE = 2 };

static size_t take_batch(struct rv_allocator *a, struct agent **batch, size_t max) {
    size_t runs = (a->n_marked + BATCH - 1) / BATCH;
    size_t from = rv_prng_below(&a->prng, runs) * BATCH;
    size_t n = RV_MIN(max, RV_MIN((size_t)BATCH, a->n_marked - from));

    for (size_t i = n; i-- > 0;) { /* from its end, so that the last run takes the place of this */
        batch[i] = a->agents.v[a->available[from + i]];
        rv_agents_swap(a, from + i, --a->n_marked);
    }
    for (size_t i = n; i > 1; i--) {
        size_t k = rv_prng_below(&a->prng, i);
        struct agent *other = batch[k];

        batch[k] = batch[i - 1];
        batch[i - 1] = other;
    }
    return n;
}

static void fetch(const struct agent *agent) {
    for (size_t line = 0; line < offsetof(struct agent, refused); line += 64)
        __builtin_prefetch((const char *)agent + line);
}

/* What the agent points to; itself is there already. */
static void fetch_more(const struct agent *agent) {
    __builtin_prefetch(agent->handle);
    for (uint32_t i = 0; i < agent->n_slots && i < SLOTS_INLINE; i++) {
        if (agent->slots[i].cell->kind->type == RV_RANGES)
            __builtin_prefetch(agent->slots[i].free.ranges.v);
    }
}

static void visit_all(struct rv_allocator *a, struct agent **agents, size_t n, bool first,
                      rv_allocation_cb cb, void *ctx) {
    for (size_t i = 0; i < RV_MIN(n, (size_t)AHEAD); i++)
        fetch(agents[i]);
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            fetch(agents[i + AHEAD]);
        if (i + MORE < n)
            fetch_more(agents[i + MORE]);
        visit(a, agents[i], first, cb, ctx);
    }
}

/* Both stages over the same agents. */
static void pass_in_stages(struct rv_allocator *a, size_t budget, rv_allocation_cb cb, void *ctx) {
    struct agent *batch[BATCH];

    a->quota.agents.n = 0;
    while (a->n_marked > 0 && a->quota.agents.n < budget) {
        size_t n = take_batch(a, batch, RV_MIN(budget - a->quota.agents.n, (size_t)BATCH));

        for (size_t i = 0; i < n; i++)
            rv_vec_push(&a->quota.agents, batch[i]);
    }
    visit_all(a, a->quota.agents.v, a->quota.agents.n, true, cb, ctx);
    visit_all(a, a->quota.agents.v, a->quota.agents.n, false, cb, ctx);
}

bool rv_allocator_pass(struct rv_allocator *a, int64_t now_ms, rv_allocation_cb cb, void *ctx) {
    size_t budget = a->slice ? a->slice : SIZE_MAX;
    struct agent *batch[BATCH];
    struct filter *expired;

    while ((expired = rv_filters_pop(a, now_ms))) {
        rv_agents_mark(a, expired->agent);
        free(expired);
    }
    rv_roles_renew(a);
    rv_quota_begin(a);
    if (!a->root || a->root->order.n == 0)
        a->n_marked = 0; /* who comes to want something marks all */
    if (a->quota.lacking.n) {
        pass_in_stages(a, budget, cb, ctx);
        return a->n_marked > 0;
    }
    while (a->n_marked > 0 && budget > 0) {
        size_t n = take_batch(a, batch, RV_MIN(budget, (size_t)BATCH));

        visit_all(a, batch, n, false, cb, ctx);
        budget -= n;
    }
    return a->n_marked > 0;
}
