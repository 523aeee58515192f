/*
 * Refusals: a framework in a role does not want what is contained in these resources of this agent
 * until a time (RefusedOfferFilter of the peer; scheduler.proto, Filters.refuse_seconds).
 *
 * A filter stands in three places: in its agent's table, where a pass looks (open addressing by
 * client id, an entry a filter, so a client may have several); in its client's list, for REVIVE;
 * in the heap of expiries. Filters of an agent that refuse the same share one rv_resources, which
 * also makes comparing with an offer a look-up in the common case: see pass.c.
 *
 * A filter that refuses no more and no longer than another one of the same client and agent says
 * nothing: it is not kept. At most FILTERS_MAX a client and agent; then the one that expires first
 * goes, so a client cannot grow the table without end.
 *
 * Cost: O(log n) to add and drop, about 130 bytes each.
 */
#include "allocator/internal.h"

#include <stdlib.h>

#define FILTERS_MAX 8

/* --- the heap --- */

static void heap_place(struct filters *h, size_t at, int64_t until_ms, struct filter *f) {
    h->v[at].until_ms = until_ms;
    h->v[at].filter = f;
    f->position = at;
}

static void heap_up(struct filters *h, size_t at, struct filter *f) {
    while (at > 0 && f->until_ms < h->v[(at - 1) / 2].until_ms) {
        heap_place(h, at, h->v[(at - 1) / 2].until_ms, h->v[(at - 1) / 2].filter);
        at = (at - 1) / 2;
    }
    heap_place(h, at, f->until_ms, f);
}

static void heap_down(struct filters *h, size_t at, struct filter *f) {
    size_t child;

    while ((child = 2 * at + 1) < h->n) {
        if (child + 1 < h->n && h->v[child + 1].until_ms < h->v[child].until_ms)
            child++;
        if (f->until_ms <= h->v[child].until_ms)
            break;
        heap_place(h, at, h->v[child].until_ms, h->v[child].filter);
        at = child;
    }
    heap_place(h, at, f->until_ms, f);
}

static void heap_insert(struct filters *h, struct filter *f) {
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 64;
        h->v = rv_realloc(h->v, h->cap * sizeof *h->v);
    }
    heap_up(h, h->n++, f);
}

static void heap_remove(struct filters *h, struct filter *f) {
    size_t at = f->position;
    struct filter *last;

    RV_ASSERT(at < h->n && h->v[at].filter == f);
    last = h->v[--h->n].filter;
    if (last == f)
        return;
    if (at > 0 && last->until_ms < h->v[(at - 1) / 2].until_ms)
        heap_up(h, at, last);
    else
        heap_down(h, at, last);
}

/* --- an agent's table --- */

static void table_insert(struct agent *agent, struct filter_entry e) {
    uint32_t at = rv_filters_bucket(agent, e.client);

    while (agent->filters[at].filter)
        at = (at + 1) & (agent->cap_filters - 1);
    agent->filters[at] = e;
}

static void table_resize(struct agent *agent, uint32_t cap) {
    struct filter_entry *old = agent->filters;
    uint32_t old_cap = agent->cap_filters;

    agent->filters = cap ? rv_calloc(cap, sizeof *agent->filters) : NULL;
    agent->cap_filters = cap;
    for (uint32_t i = 0; i < old_cap; i++) {
        if (old[i].filter)
            table_insert(agent, old[i]);
    }
    free(old);
}

static void table_add(struct agent *agent, struct filter *f) {
    if ((agent->n_filters + 1) * 4 > agent->cap_filters * 3)
        table_resize(agent, RV_MAX(agent->cap_filters * 2, 4U));
    table_insert(agent, (struct filter_entry){f->client->id, f, f->refused});
    agent->n_filters++;
}

static void table_remove(struct agent *agent, const struct filter *f) {
    uint32_t mask = agent->cap_filters - 1, hole = rv_filters_bucket(agent, f->client->id);

    while (agent->filters[hole].filter != f) {
        RV_ASSERT(agent->filters[hole].filter);
        hole = (hole + 1) & mask;
    }
    /* Close the gap: an entry further on moves here unless it would come before its own bucket. */
    for (uint32_t i = (hole + 1) & mask; agent->filters[i].filter; i = (i + 1) & mask) {
        uint32_t home = rv_filters_bucket(agent, agent->filters[i].client);

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            agent->filters[hole] = agent->filters[i];
            hole = i;
        }
    }
    agent->filters[hole].filter = NULL;
    if (--agent->n_filters * 8 < agent->cap_filters)
        table_resize(agent, agent->n_filters ? agent->cap_filters / 2 : 0);
}

/* --- filters --- */

void rv_refused_unref(struct refused *r) {
    if (!r || --r->refs > 0)
        return;
    rv_resources_free(&r->resources);
    free(r);
}

/* Takes it out of everything. */
static void detach(struct rv_allocator *a, struct filter *f) {
    heap_remove(&a->filters, f);
    table_remove(f->agent, f);
    f->client->role->n_filters--;
    *(f->prev ? &f->prev->next : &f->client->filters) = f->next;
    if (f->next)
        f->next->prev = f->prev;
    rv_refused_unref(f->refused);
    f->refused = NULL;
}

static void drop(struct rv_allocator *a, struct filter *f) {
    detach(a, f);
    free(f);
}

/* Whether an older filter says as much. Drops those that the new one makes needless. */
static bool is_needless(struct rv_allocator *a, const struct client *c, struct agent *agent,
                        const struct rv_resources *refused, int64_t until_ms) {
    struct filter *drops[FILTERS_MAX], *first = NULL;
    size_t n = 0, n_drops = 0;
    uint32_t mask = agent->cap_filters - 1;

    if (agent->n_filters == 0)
        return false;
    for (uint32_t i = rv_filters_bucket(agent, c->id); agent->filters[i].filter;
         i = (i + 1) & mask) {
        struct filter *f = agent->filters[i].filter;

        if (agent->filters[i].client != c->id)
            continue;
        if (f->until_ms >= until_ms && rv_resources_contains(&f->refused->resources, refused))
            return true;
        n++;
        if (!first || f->until_ms < first->until_ms)
            first = f;
        if (f->until_ms <= until_ms && rv_resources_contains(refused, &f->refused->resources))
            drops[n_drops++] = f;
    }
    for (size_t i = 0; i < n_drops; i++)
        drop(a, drops[i]);
    if (n_drops == 0 && n >= FILTERS_MAX)
        drop(a, first);
    return false;
}

void rv_filters_add(struct rv_allocator *a, struct client *c, struct agent *agent,
                    const struct rv_resources *refused, int64_t until_ms) {
    struct filter *f;

    if (is_needless(a, c, agent, refused, until_ms))
        return;
    if (!agent->refused || !rv_resources_eq(&agent->refused->resources, refused)) {
        rv_refused_unref(agent->refused);
        agent->refused = rv_calloc(1, sizeof *agent->refused);
        agent->refused->refs = 1;
        rv_resources_copy(&agent->refused->resources, refused);
    }
    f = rv_malloc(sizeof *f);
    *f = (struct filter){.client = c,
                         .agent = agent,
                         .refused = agent->refused,
                         .until_ms = until_ms,
                         .next = c->filters};
    f->refused->refs++;
    c->role->n_filters++;
    if (f->next)
        f->next->prev = f;
    c->filters = f;
    table_add(agent, f);
    heap_insert(&a->filters, f);
}

void rv_filters_drop_client(struct rv_allocator *a, struct client *c) {
    while (c->filters)
        drop(a, c->filters);
}

void rv_filters_drop_agent(struct rv_allocator *a, struct agent *agent) {
    for (uint32_t i = 0; agent->n_filters > 0;) {
        if (agent->filters[i].filter)
            drop(a, agent->filters[i].filter); /* another may move here */
        else
            i++;
        if (i >= agent->cap_filters)
            i = 0; /* the table has shrunk */
    }
    rv_refused_unref(agent->refused);
    agent->refused = NULL;
}

struct filter *rv_filters_pop(struct rv_allocator *a, int64_t now_ms) {
    struct filter *f;

    if (a->filters.n == 0 || a->filters.v[0].until_ms > now_ms)
        return NULL;
    f = a->filters.v[0].filter;
    detach(a, f);
    return f;
}

int64_t rv_allocator_deadline(const struct rv_allocator *a) {
    return a->filters.n ? a->filters.v[0].until_ms : INT64_MAX;
}

size_t rv_allocator_filters(const struct rv_allocator *a) {
    return a->filters.n;
}

size_t rv_allocator_role_filters(const struct rv_allocator *a, const char *name) {
    const struct role *role = rv_map_gets(&a->roles, name);

    return role ? role->n_filters : 0;
}
