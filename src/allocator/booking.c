/*
 * What is in use: by client and agent, so that an agent or a framework can go at any time and the
 * books stay right. Each booking is counted on its client, its role and all roles above.
 *
 * Resources of frameworks that are not known (not yet, or not any more) are booked on the agent and
 * on the role; a release looks there if the framework itself has not that much.
 */
#include "allocator/internal.h"

#include <stdlib.h>

static struct use *find_use(struct agent *agent, const struct client *c) {
    for (uint32_t i = 0; i < agent->n_uses; i++) {
        if (agent->uses[i].client == c)
            return &agent->uses[i];
    }
    return NULL;
}

void rv_booking_free(struct agent *agent, struct rv_resources *r) {
    if (r->v != agent->memory) {
        rv_resources_free(r);
        return;
    }
    for (size_t i = 0; i < r->n; i++)
        rv_resource_clear(&r->v[i]);
    *r = (struct rv_resources){0};
    agent->memory_taken = false;
}

/* Before something is added: the algebra may have to make room. */
static struct rv_resources *growable(struct agent *agent, struct rv_resources *r) {
    if (r->v == agent->memory) {
        r->v = rv_memdup(r->v, r->cap * sizeof *r->v);
        agent->memory_taken = false;
    }
    return r;
}

static struct use *add_use(struct agent *agent, struct client *c) {
    struct use *u;

    if (agent->n_uses == agent->cap_uses) {
        bool own = agent->uses != &agent->first;

        agent->cap_uses *= 4;
        agent->uses = rv_realloc(own ? agent->uses : NULL, agent->cap_uses * sizeof *agent->uses);
        if (!own)
            agent->uses[0] = agent->first;
    }
    u = &agent->uses[agent->n_uses++];
    *u = (struct use){.client = c};
    if (c)
        c->n_uses++;
    return u;
}

/* The use is empty. Order does not matter: uses are looked up and summed. */
static void remove_use(struct agent *agent, struct use *u) {
    if (u->client)
        u->client->n_uses--;
    rv_booking_free(agent, &u->resources);
    *u = agent->uses[--agent->n_uses];
}

static bool has_kind(const struct rv_resources *r, const struct rv_kind *kind) {
    for (size_t i = 0; i < r->n; i++) {
        if (rv_kind_eq(r->v[i].kind, kind))
            return true;
    }
    return false;
}

static void charge(struct rv_allocator *a, struct client *c, struct role *role,
                   const struct cell *base, int64_t amount) {
    if (base->counts && amount)
        rv_roles_charge(a, c, role, base, amount);
}

const struct rv_resources *rv_booking_add(struct rv_allocator *a, struct agent *agent,
                                          struct client *c, struct rv_resources *r) {
    struct use *u = find_use(agent, c);

    for (size_t i = 0; i < r->n; i++) {
        if (r->v[i].kind->shared && (!u || !has_kind(&u->resources, r->v[i].kind)))
            charge(a, c, c->role, rv_kinds_base(a, r->v[i].kind), r->v[i].scalar);
    }
    rv_roles_settle(a, c, c->role, true);
    if (u) {
        rv_resources_add(growable(agent, &u->resources), r);
        return r;
    }
    u = add_use(agent, c);
    u->resources = *r;
    *r = (struct rv_resources){0};
    return &u->resources;
}

/* --- from outside --- */

void rv_allocator_use(struct rv_allocator *a, void *agent_handle, void *framework,
                      const struct rv_resources *r) {
    struct agent *agent = rv_agents_find(a, agent_handle);
    struct framework *f = rv_frameworks_find(a, framework);

    if (!agent)
        return;
    for (size_t i = 0; i < r->n; i++) {
        struct rv_resource one = r->v[i];
        struct role *role;
        struct client *c;
        struct cell *base;
        struct use *u;

        RV_ASSERT(one.kind->allocation_role);
        base = rv_kinds_base(a, one.kind);
        role = rv_roles_get(a, one.kind->allocation_role);
        c = f ? rv_frameworks_client(a, f, role) : NULL;
        one.kind = rv_kinds_allocated(a, base, role)->kind;
        u = find_use(agent, c);
        if (!u)
            u = add_use(agent, c);
        if (!one.kind->shared || !has_kind(&u->resources, one.kind))
            charge(a, c, role, base, one.scalar);
        rv_resources_add_one(growable(agent, &u->resources), &one);
        if (!one.kind->shared && !rv_agents_take(agent, base, &one))
            agent->overused = true;
        if (i + 1 == r->n || !rv_streq(r->v[i + 1].kind->allocation_role, role->name))
            rv_roles_settle(a, c, role, true); /* one allocation, however many elements */
        rv_roles_unpin(a, role);
    }
    rv_agents_place(a, agent);
}

/* Takes off a use what is in it. */
static void release_from(struct rv_allocator *a, struct agent *agent, struct use *u,
                         struct role *role, struct cell *base, const struct rv_resource *one) {
    struct client *c = u->client;

    rv_resources_subtract_one(&u->resources, one);
    if (!one->kind->shared) {
        charge(a, c, role, base, -one->scalar);
        if (!agent->overused)
            rv_agents_give_back(agent, base, one);
    } else if (!has_kind(&u->resources, one->kind)) {
        charge(a, c, role, base, -one->scalar);
    }
    if (u->resources.n == 0)
        remove_use(agent, u);
}

/* Takes one off the client's use, and what is not there off the unknown ones'. Nothing happens if
 * both together have not that much. */
static void release_one(struct rv_allocator *a, struct agent *agent, struct client *c,
                        struct role *role, struct cell *base, const struct rv_resource *one) {
    _cleanup_(rv_resources_free) struct rv_resources own = {0}, rest = {0};
    struct use *u = c ? find_use(agent, c) : NULL, *unknown;

    if (u && rv_resources_contains_one(&u->resources, one)) {
        release_from(a, agent, u, role, base, one);
        return;
    }
    rv_resources_add_one(&rest, one);
    if (u)
        rv_resources_subtract(&rest, &u->resources);
    unknown = find_use(agent, NULL);
    if (!unknown || !rv_resources_contains(&unknown->resources, &rest))
        return;
    rv_resources_add_one(&own, one);
    rv_resources_subtract(&own, &rest);
    for (size_t i = 0; i < own.n; i++)
        release_from(a, agent, u, role, base, &own.v[i]);
    for (size_t i = 0; i < rest.n; i++)
        release_from(a, agent, find_use(agent, NULL), role, base, &rest.v[i]);
}

/* What the client refuses: the elements of r allocated to its role, not allocated. */
static void refuse(struct rv_allocator *a, struct agent *agent, struct client *c,
                   const struct rv_resources *r, int64_t until_ms) {
    _cleanup_(rv_resources_free) struct rv_resources refused = {0};

    for (size_t i = 0; i < r->n; i++) {
        struct rv_resource one = r->v[i];

        if (!rv_streq(one.kind->allocation_role, c->role->name))
            continue;
        one.kind = rv_kinds_base(a, one.kind)->kind;
        rv_resources_add_one(&refused, &one);
    }
    if (refused.n)
        rv_filters_add(a, c, agent, &refused, until_ms);
}

void rv_allocator_release(struct rv_allocator *a, void *agent_handle, void *framework,
                          const struct rv_resources *r, int64_t now_ms, int64_t refuse_until_ms) {
    struct agent *agent = rv_agents_find(a, agent_handle);
    struct framework *f = rv_frameworks_find(a, framework);

    if (!agent)
        return;
    for (size_t i = 0; i < r->n; i++) {
        struct rv_resource one = r->v[i];
        struct cell *base = rv_kinds_base(a, one.kind);
        struct role *role;
        struct client *c;

        RV_ASSERT(one.kind->allocation_role);
        role = rv_roles_get(a, one.kind->allocation_role);
        c = f ? rv_frameworks_client(a, f, role) : NULL;
        one.kind = rv_kinds_allocated(a, base, role)->kind;
        release_one(a, agent, c, role, base, &one);
        if (i + 1 == r->n || !rv_streq(r->v[i + 1].kind->allocation_role, role->name))
            rv_roles_settle(a, c, role, false); /* once for all of a role */
        rv_roles_unpin(a, role);
    }
    if (agent->overused)
        rv_agents_compute_free(a, agent);
    if (f) {
        for (size_t i = f->clients.n; i-- > 0;) {
            struct client *c = f->clients.v[i];

            if (f->active && c->subscribed && refuse_until_ms > now_ms)
                refuse(a, agent, c, r, refuse_until_ms);
            rv_frameworks_collect(a, c);
        }
    }
    rv_agents_place(a, agent);
    rv_agents_mark(a, agent);
}

/* Everything in use on the agent is given back. */
void rv_booking_drop_agent(struct rv_allocator *a, struct agent *agent) {
    while (agent->n_uses) {
        struct use *u = &agent->uses[agent->n_uses - 1];
        struct client *c = u->client;

        for (size_t i = 0; i < u->resources.n; i++) {
            const struct rv_resource *one = &u->resources.v[i];
            struct role *role = rv_roles_get(a, one->kind->allocation_role);

            charge(a, c, role, rv_kinds_base(a, one->kind), -one->scalar);
            rv_roles_settle(a, c, role, false);
            rv_roles_unpin(a, role);
        }
        remove_use(agent, u);
        if (c)
            rv_frameworks_collect(a, c);
    }
}

/* The client goes: what it uses stays in use on agents and role, by nobody that is known. */
void rv_booking_orphan(struct rv_allocator *a, struct client *c) {
    for (size_t i = 0; i < a->agents.n && c->n_uses; i++) {
        struct agent *agent = a->agents.v[i];
        struct use *u = agent ? find_use(agent, c) : NULL, *unknown;

        if (!u)
            continue;
        unknown = find_use(agent, NULL);
        if (!unknown) {
            u->client = NULL;
            c->n_uses--;
            continue;
        }
        for (size_t j = 0; j < u->resources.n; j++) {
            const struct rv_resource *one = &u->resources.v[j];

            /* A shared one was charged to each of them; to the unknown together it is once. */
            if (one->kind->shared && has_kind(&unknown->resources, one->kind))
                charge(a, NULL, c->role, rv_kinds_base(a, one->kind), -one->scalar);
            rv_resources_add_one(growable(agent, &unknown->resources), one);
        }
        remove_use(agent, u);
    }
    rv_roles_settle(a, NULL, c->role, false);
}
