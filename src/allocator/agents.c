/*
 * Agents: what each has, what of it is in use and what is free.
 *
 * What always holds: an agent's free amounts are its total less what is used, element by element
 * (shared ones are always free); it stands among the available ones iff it is active and has
 * something free, and only those can be marked. The cluster's totals are the sums over all agents,
 * active or not, of scalars that are not revocable; a shared one counts once.
 *
 * Marks are a partition of the array of available agents, marked ones first: marking all is O(1),
 * as is marking or taking one. Booking is linear in the elements of the agent and the booking.
 */
#include "allocator/internal.h"

#include <stdlib.h>

/* --- marks --- */

void rv_agents_swap(struct rv_allocator *a, size_t i, size_t j) {
    uint32_t x = a->available[i], y = a->available[j];

    a->available[i] = y;
    a->available[j] = x;
    a->position[y] = (uint32_t)i;
    a->position[x] = (uint32_t)j;
}

void rv_agents_mark(struct rv_allocator *a, struct agent *agent) {
    uint32_t at = a->position[agent->index];

    if (at != NOWHERE && at >= a->n_marked)
        rv_agents_swap(a, at, a->n_marked++);
}

void rv_agents_unmark(struct rv_allocator *a, struct agent *agent) {
    uint32_t at = a->position[agent->index];

    if (at != NOWHERE && at < a->n_marked)
        rv_agents_swap(a, at, --a->n_marked);
}

void rv_agents_place(struct rv_allocator *a, struct agent *agent) {
    bool in = a->position[agent->index] != NOWHERE, should = agent->active && agent->n_free > 0;

    if (in && !should) {
        rv_agents_unmark(a, agent);
        rv_agents_swap(a, a->position[agent->index], --a->n_available);
        a->position[agent->index] = NOWHERE;
    } else if (!in && should) {
        a->available[a->n_available] = agent->index;
        a->position[agent->index] = (uint32_t)a->n_available++;
    }
}

void rv_allocator_mark_all(struct rv_allocator *a) {
    a->n_marked = a->n_available;
}

void rv_allocator_mark_agent(struct rv_allocator *a, void *agent) {
    struct agent *found = rv_agents_find(a, agent);

    if (found)
        rv_agents_mark(a, found);
}

/* --- free amounts --- */

static void clear_amount(struct slot *s) {
    if (s->cell->kind->type == RV_RANGES)
        rv_ranges_free(&s->free.ranges);
    else if (s->cell->kind->type == RV_SET)
        rv_set_free(&s->free.set);
    memset(&s->free, 0, sizeof s->free);
}

static void copy_amount(struct slot *s, const struct rv_resource *r) {
    clear_amount(s);
    if (r->kind->type == RV_SCALAR)
        s->free.scalar = r->scalar;
    else if (r->kind->type == RV_RANGES)
        rv_ranges_copy(&s->free.ranges, &r->ranges);
    else if (r->kind->type == RV_SET)
        rv_set_copy(&s->free.set, &r->set);
}

static bool is_kind(const struct slot *s, const struct cell *base) {
    return s->cell == base || rv_kind_eq(s->cell->kind, base->kind);
}

bool rv_agents_take(struct agent *agent, const struct cell *base, const struct rv_resource *r) {
    bool whole = rv_kind_is_indivisible(base->kind), had;

    for (uint32_t i = 0; i < agent->n_slots; i++) {
        struct slot *s = &agent->slots[i];

        if (!is_kind(s, base) || (whole && s->free.scalar != r->scalar))
            continue;
        if (rv_slot_empty(s))
            return false;
        switch (base->kind->type) {
        case RV_SCALAR:
            had = s->free.scalar >= r->scalar;
            s->free.scalar -= RV_MIN(s->free.scalar, r->scalar);
            break;
        case RV_RANGES:
            had = rv_ranges_contains(&s->free.ranges, &r->ranges);
            rv_ranges_subtract(&s->free.ranges, &r->ranges);
            break;
        case RV_SET:
            had = rv_set_contains(&s->free.set, &r->set);
            rv_set_subtract(&s->free.set, &r->set);
            break;
        case RV_TEXT:
        default:
            return false;
        }
        agent->n_free -= rv_slot_empty(s);
        return had;
    }
    return false;
}

void rv_agents_give_back(struct agent *agent, const struct cell *base,
                         const struct rv_resource *r) {
    bool whole = rv_kind_is_indivisible(base->kind);

    for (uint32_t i = 0; i < agent->n_slots; i++) {
        struct slot *s = &agent->slots[i];
        bool empty = rv_slot_empty(s);

        if (!is_kind(s, base) || (whole && (!empty || agent->total.v[i].scalar != r->scalar)))
            continue;
        if (base->kind->type == RV_SCALAR)
            s->free.scalar += r->scalar;
        else if (base->kind->type == RV_RANGES)
            rv_ranges_add(&s->free.ranges, &r->ranges);
        else
            rv_set_add(&s->free.set, &r->set);
        agent->n_free += empty && !rv_slot_empty(s);
        return;
    }
}

static void clear_slots(struct agent *agent) {
    for (uint32_t i = 0; i < agent->n_slots; i++)
        clear_amount(&agent->slots[i]);
}

void rv_agents_compute_free(struct rv_allocator *a, struct agent *agent) {
    agent->overused = false;
    agent->n_free = agent->n_slots;
    for (uint32_t i = 0; i < agent->n_slots; i++)
        copy_amount(&agent->slots[i], &agent->total.v[i]);
    for (uint32_t i = 0; i < agent->n_uses; i++) {
        const struct rv_resources *used = &agent->uses[i].resources;

        for (size_t j = 0; j < used->n; j++) {
            const struct rv_resource *r = &used->v[j];

            if (!r->kind->shared && !rv_agents_take(agent, rv_kinds_base(a, r->kind), r))
                agent->overused = true;
        }
    }
}

/* --- life --- */

struct agent *rv_agents_find(const struct rv_allocator *a, const void *handle) {
    void *key = (void *)(uintptr_t)handle;

    return rv_map_get(&a->by_agent, rv_handle_key(&key));
}

/* Adds the agent's total to the cluster's, or takes it off. */
static void count_total(struct rv_allocator *a, const struct agent *agent, int sign) {
    for (uint32_t i = 0; i < agent->n_slots; i++) {
        const struct cell *c = agent->slots[i].cell;

        if (c->counts && agent->total.v[i].scalar) {
            a->total[c->name] += sign * agent->total.v[i].scalar;
            if (c->reserved)
                rv_roles_hold(c->reserved, c->name, sign * agent->total.v[i].scalar);
            a->dirty = true;
        }
    }
}

static void set_total(struct rv_allocator *a, struct agent *agent,
                      const struct rv_resources *total) {
    struct rv_resources copy = {0};

    count_total(a, agent, -1);
    clear_slots(agent);
    rv_resources_copy(&copy, total);
    if (agent->slots != agent->in_place)
        free(agent->slots);
    agent->slots =
        copy.n <= SLOTS_INLINE ? agent->in_place : rv_calloc(copy.n, sizeof *agent->slots);
    agent->n_slots = (uint32_t)copy.n;
    agent->gpus = false;
    for (size_t i = 0; i < copy.n; i++) {
        struct cell *c = rv_kinds_base(a, copy.v[i].kind);
        struct rv_kind *own = rv_kind_ref(c->kind);

        rv_kind_unref(copy.v[i].kind);
        copy.v[i].kind = own;
        agent->slots[i] = (struct slot){.cell = c};
        agent->gpus |= strcmp(own->name, "gpus") == 0;
    }
    rv_resources_move(&agent->total, &copy);
    count_total(a, agent, 1);
    rv_agents_compute_free(a, agent);
}

static void set_info(struct rv_allocator *a, struct agent *agent,
                     const struct rv_agent_info *info) {
    if (rv_attributes_eq(&agent->attributes, &info->attributes) &&
        rv_streq(agent->hostname, info->hostname) && rv_streq(agent->region, info->region) &&
        rv_streq(agent->zone, info->zone))
        return;
    rv_frameworks_forget_agent(a, agent);
    rv_attributes_free(&agent->attributes);
    rv_attributes_copy(&agent->attributes, &info->attributes);
    free(agent->hostname);
    free(agent->region);
    free(agent->zone);
    agent->hostname = rv_strdup(info->hostname);
    agent->region = rv_strdup(info->region);
    agent->zone = rv_strdup(info->zone);
    agent->remote = a->region && agent->region && strcmp(a->region, agent->region) != 0;
}

void rv_allocator_add_agent(struct rv_allocator *a, void *handle, const struct rv_agent_info *info,
                            const struct rv_resources *total) {
    struct agent *agent = rv_calloc(1, sizeof *agent);

    RV_ASSERT(!rv_agents_find(a, handle));
    agent->handle = handle;
    agent->active = true;
    agent->slots = agent->in_place;
    agent->uses = &agent->first;
    agent->cap_uses = 1;
    if (a->holes.n) {
        agent->index = a->holes.v[--a->holes.n];
    } else {
        size_t cap = a->agents.cap;

        agent->index = (uint32_t)a->agents.n;
        rv_vec_push(&a->agents, NULL);
        if (a->agents.cap != cap) {
            a->available = rv_realloc(a->available, a->agents.cap * sizeof *a->available);
            a->position = rv_realloc(a->position, a->agents.cap * sizeof *a->position);
        }
    }
    a->agents.v[agent->index] = agent;
    a->position[agent->index] = NOWHERE;
    rv_map_put(&a->by_agent, rv_handle_key(&handle), agent);
    set_info(a, agent, info);
    set_total(a, agent, total);
    rv_agents_place(a, agent);
    rv_agents_mark(a, agent);
}

void rv_allocator_update_agent(struct rv_allocator *a, void *handle,
                               const struct rv_agent_info *info, const struct rv_resources *total) {
    struct agent *agent = rv_agents_find(a, handle);

    if (!agent)
        return;
    set_info(a, agent, info);
    if (!rv_resources_eq(&agent->total, total))
        set_total(a, agent, total);
    rv_agents_place(a, agent);
    rv_agents_mark(a, agent);
}

void rv_allocator_activate_agent(struct rv_allocator *a, void *handle, bool active) {
    struct agent *agent = rv_agents_find(a, handle);

    if (!agent || agent->active == active)
        return;
    agent->active = active;
    if (active)
        rv_list_remove(&agent->inactive);
    else
        rv_list_append(&a->inactive, &agent->inactive);
    rv_agents_place(a, agent);
    if (active)
        rv_agents_mark(a, agent);
}

/* What is in use on it is given back first: nothing refers to it after. */
void rv_allocator_remove_agent(struct rv_allocator *a, void *handle) {
    struct agent *agent = rv_agents_find(a, handle);

    if (!agent)
        return;
    rv_filters_drop_agent(a, agent);
    rv_booking_drop_agent(a, agent);
    agent->active = false;
    rv_agents_place(a, agent);
    count_total(a, agent, -1);
    rv_map_remove(&a->by_agent, rv_handle_key(&handle));
    rv_frameworks_forget_agent(a, agent); /* its index goes to another */
    a->agents.v[agent->index] = NULL;
    rv_vec_push(&a->holes, agent->index);
    rv_list_remove(&agent->inactive);
    rv_agents_free_one(agent);
}

const struct rv_resources *rv_allocator_agent_used(const struct rv_allocator *a, void *agent) {
    struct agent *found = rv_agents_find(a, agent);

    if (!found)
        return NULL;
    rv_resources_free(&found->sum);
    for (uint32_t i = 0; i < found->n_uses; i++)
        rv_resources_add(&found->sum, &found->uses[i].resources);
    return &found->sum;
}

void rv_agents_free_one(struct agent *agent) {
    clear_slots(agent);
    if (agent->slots != agent->in_place)
        free(agent->slots);
    for (uint32_t i = 0; i < agent->n_uses; i++)
        rv_booking_free(agent, &agent->uses[i].resources);
    if (agent->uses != &agent->first)
        free(agent->uses);
    rv_resources_free(&agent->total);
    rv_resources_free(&agent->sum);
    rv_attributes_free(&agent->attributes);
    free(agent->hostname);
    free(agent->region);
    free(agent->zone);
    free(agent->filters);
    free(agent);
}

void rv_agents_free_all(struct rv_allocator *a) {
    for (size_t i = 0; i < a->agents.n; i++) {
        if (a->agents.v[i]) {
            rv_filters_drop_agent(a, a->agents.v[i]);
            rv_agents_free_one(a->agents.v[i]);
        }
    }
    rv_vec_free(&a->agents);
    rv_vec_free(&a->holes);
    rv_map_free(&a->by_agent);
    free(a->available);
    free(a->position);
    free(a->filters.v);
}
