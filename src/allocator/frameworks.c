/*
 * Frameworks and their clients: a client is a framework in one of its roles.
 *
 * What always holds: a client is in its role's order iff its framework is active, it is subscribed
 * to the role and has not suppressed it. A client goes when it is neither subscribed nor uses
 * anything. Only active frameworks have filters.
 */
#include "allocator/internal.h"

#include <stdlib.h>

/* --- minimal amounts --- */

void rv_minima_init(struct rv_allocator *a, struct minima *m, const struct rv_quantities *any,
                    size_t n) {
    *m = (struct minima){.v = n ? rv_calloc(n, sizeof *m->v) : NULL, .n = n};
    for (size_t i = 0; i < n; i++) {
        struct minimum *all = &m->v[i];

        all->n = any[i].n;
        all->v = all->n ? rv_calloc(all->n, sizeof *all->v) : NULL;
        for (size_t j = 0; j < all->n; j++) {
            all->v[j].name = rv_kinds_name(a, any[i].v[j].name);
            all->v[j].amount = any[i].v[j].amount;
        }
    }
}

void rv_minima_free(struct rv_allocator *a, struct minima *m) {
    for (size_t i = 0; i < m->n; i++) {
        for (size_t j = 0; j < m->v[i].n; j++)
            rv_kinds_unpin_name(a, m->v[i].v[j].name);
        free(m->v[i].v);
    }
    free(m->v);
    *m = (struct minima){0};
}

static void drop_minima(struct rv_allocator *a, struct client *c) {
    if (c->minima) {
        rv_minima_free(a, c->minima);
        free(c->minima);
        c->minima = NULL;
    }
}

/* --- offer constraints --- */

enum fit { FIT_YES = 1, FIT_NO = 2, FIT_MASK = 3 };

static void forget_fits(struct client *c) {
    rv_list_remove(&c->fitted);
    free(c->fits);
    c->fits = NULL;
    c->n_fits = 0;
}

bool rv_frameworks_fits(struct rv_allocator *a, struct client *c, const struct agent *agent) {
    size_t at = agent->index / 4, n = a->agents.n / 4 + 1;
    unsigned shift = agent->index % 4 * 2, fit;

    if (!c->framework->constraints)
        return true;
    if (at >= c->n_fits) {
        c->fits = rv_realloc(c->fits, n);
        memset(c->fits + c->n_fits, 0, n - c->n_fits);
        c->n_fits = n;
        if (!rv_list_linked(&c->fitted))
            rv_list_append(&a->fitted, &c->fitted);
    }
    fit = c->fits[at] >> shift & FIT_MASK;
    if (!fit) {
        fit =
            rv_offer_constraints_match(c->framework->constraints, c->role->name, &agent->attributes,
                                       agent->hostname, agent->region, agent->zone)
                ? FIT_YES
                : FIT_NO;
        c->fits[at] = (uint8_t)(c->fits[at] | fit << shift);
    }
    return fit == FIT_YES;
}

/* What it says about itself changed, or its index is another's now. */
void rv_frameworks_forget_agent(struct rv_allocator *a, const struct agent *agent) {
    RV_LIST_EACH (&a->fitted, node, tmp) {
        struct client *c = RV_LIST_ENTRY(node, struct client, fitted);

        if (agent->index / 4 < c->n_fits)
            c->fits[agent->index / 4] &= (uint8_t) ~(FIT_MASK << agent->index % 4 * 2);
    }
}

/* --- clients --- */

struct framework *rv_frameworks_find(const struct rv_allocator *a, const void *handle) {
    void *key = (void *)(uintptr_t)handle;

    return rv_map_get(&a->frameworks, rv_handle_key(&key));
}

static struct client *find_client(const struct framework *f, const char *role) {
    for (size_t i = 0; i < f->clients.n; i++) {
        if (strcmp(f->clients.v[i]->role->name, role) == 0)
            return f->clients.v[i];
    }
    return NULL;
}

struct client *rv_frameworks_client(struct rv_allocator *a, struct framework *f,
                                    struct role *role) {
    struct client *c;

    for (size_t i = 0; i < f->clients.n; i++) {
        if (f->clients.v[i]->role == role)
            return f->clients.v[i];
    }
    c = rv_calloc(1, sizeof *c);
    c->framework = f;
    c->role = rv_roles_get(a, role->name);
    c->id = a->next_client++;
    rv_rank_init(&c->rank, a->next_order++);
    rv_usage_init(&c->usage);
    rv_vec_push(&f->clients, c);
    return c;
}

static void free_client(struct rv_allocator *a, struct client *c) {
    struct framework *f = c->framework;

    for (size_t i = 0; i < f->clients.n; i++) {
        if (f->clients.v[i] == c) {
            rv_vec_remove_at(&f->clients, i);
            break;
        }
    }
    rv_filters_drop_client(a, c);
    drop_minima(a, c);
    forget_fits(c);
    rv_usage_free(&c->usage);
    rv_roles_unpin(a, c->role);
    free(c);
}

void rv_frameworks_collect(struct rv_allocator *a, struct client *c) {
    if (!c->subscribed && c->n_uses == 0)
        free_client(a, c);
}

static void place(struct rv_allocator *a, struct client *c) {
    rv_roles_want(a, c, c->framework->active && c->subscribed && !c->suppressed);
}

/* --- frameworks --- */

static void set_constraints(struct framework *f, struct rv_offer_constraints *constraints) {
    struct rv_offer_constraints *old = f->constraints;

    f->constraints = constraints ? rv_offer_constraints_ref(constraints) : NULL;
    rv_offer_constraints_unref(old);
    for (size_t i = 0; i < f->clients.n; i++)
        forget_fits(f->clients.v[i]);
}

static bool has_role(const struct rv_framework_info *info, const char *role) {
    for (size_t i = 0; i < info->n_roles; i++) {
        if (strcmp(info->roles[i], role) == 0)
            return true;
    }
    return false;
}

static void set_minima(struct rv_allocator *a, struct framework *f,
                       const struct rv_framework_info *info) {
    for (size_t i = 0; i < f->clients.n; i++)
        drop_minima(a, f->clients.v[i]);
    for (size_t i = 0; i < info->n_min_allocatable; i++) {
        const struct rv_min_allocatable *m = &info->min_allocatable[i];
        struct client *c = find_client(f, m->role);

        if (!c || !c->subscribed || c->minima)
            continue;
        c->minima = rv_calloc(1, sizeof *c->minima);
        rv_minima_init(a, c->minima, m->any, m->n);
    }
}

static void set_info(struct rv_allocator *a, struct framework *f,
                     const struct rv_framework_info *info) {
    f->class =
        (uint8_t)((rv_framework_can(info, RV_FRAMEWORK_REVOCABLE_RESOURCES) ? CELL_REVOCABLE : 0) |
                  (rv_framework_can(info, RV_FRAMEWORK_SHARED_RESOURCES) ? CELL_SHARED : 0) |
                  (rv_framework_can(info, RV_FRAMEWORK_RESERVATION_REFINEMENT) ? CELL_REFINED : 0));
    f->gpus = rv_framework_can(info, RV_FRAMEWORK_GPU_RESOURCES);
    f->region_aware = rv_framework_can(info, RV_FRAMEWORK_REGION_AWARE);
    for (size_t i = 0; i < info->n_roles; i++) {
        struct role *role = rv_roles_get(a, info->roles[i]);
        struct client *c = rv_frameworks_client(a, f, role);

        c->subscribed = true;
        rv_roles_unpin(a, role);
    }
    for (size_t i = f->clients.n; i-- > 0;) {
        struct client *c = f->clients.v[i];

        if (!has_role(info, c->role->name)) {
            c->subscribed = c->suppressed = false;
            rv_filters_drop_client(a, c);
        }
        place(a, c);
        rv_frameworks_collect(a, c);
    }
    set_minima(a, f, info);
}

void rv_allocator_add_framework(struct rv_allocator *a, void *handle,
                                const struct rv_framework_info *info, bool active) {
    struct framework *f = rv_calloc(1, sizeof *f);

    RV_ASSERT(!rv_frameworks_find(a, handle));
    f->handle = handle;
    f->active = active;
    rv_map_put(&a->frameworks, rv_handle_key(&handle), f);
    set_info(a, f, info);
    if (active)
        rv_allocator_mark_all(a);
}

void rv_allocator_update_framework(struct rv_allocator *a, void *handle,
                                   const struct rv_framework_info *info,
                                   struct rv_offer_constraints *constraints) {
    struct framework *f = rv_frameworks_find(a, handle);

    if (!f)
        return;
    set_constraints(f, constraints);
    set_info(a, f, info);
    if (f->active)
        rv_allocator_mark_all(a);
}

static void free_framework(struct rv_allocator *a, struct framework *f, bool orphan) {
    while (f->clients.n) {
        struct client *c = f->clients.v[f->clients.n - 1];

        rv_roles_want(a, c, false);
        if (orphan && c->n_uses)
            rv_booking_orphan(a, c);
        free_client(a, c);
    }
    rv_vec_free(&f->clients);
    rv_offer_constraints_unref(f->constraints);
    free(f);
}

void rv_allocator_remove_framework(struct rv_allocator *a, void *handle) {
    struct framework *f = rv_map_remove(&a->frameworks, rv_handle_key(&handle));

    if (f)
        free_framework(a, f, true);
}

void rv_frameworks_free_all(struct rv_allocator *a) {
    void *f;

    for (size_t it = 0; rv_map_next(&a->frameworks, &it, NULL, &f);)
        free_framework(a, f, false);
    rv_map_free(&a->frameworks);
}

void rv_allocator_activate_framework(struct rv_allocator *a, void *handle, bool active) {
    struct framework *f = rv_frameworks_find(a, handle);

    if (!f || f->active == active)
        return;
    f->active = active;
    for (size_t i = 0; i < f->clients.n; i++) {
        if (!active)
            rv_filters_drop_client(a, f->clients.v[i]);
        place(a, f->clients.v[i]);
    }
    if (active)
        rv_allocator_mark_all(a);
}

/* --- suppressing --- */

static void suppress_role(struct rv_allocator *a, struct client *c, bool suppressed) {
    if (!c || !c->subscribed)
        return;
    c->suppressed = suppressed;
    if (!suppressed)
        rv_filters_drop_client(a, c);
    place(a, c);
}

static void suppress_roles(struct rv_allocator *a, struct framework *f, char *const *roles,
                           size_t n, bool suppressed) {
    if (!roles) {
        for (size_t i = 0; i < f->clients.n; i++)
            suppress_role(a, f->clients.v[i], suppressed);
        return;
    }
    for (size_t i = 0; i < n; i++)
        suppress_role(a, find_client(f, roles[i]), suppressed);
}

void rv_allocator_suppress(struct rv_allocator *a, void *handle, char *const *roles, size_t n) {
    struct framework *f = rv_frameworks_find(a, handle);

    if (f)
        suppress_roles(a, f, roles, n, true);
}

void rv_allocator_revive(struct rv_allocator *a, void *handle, char *const *roles, size_t n) {
    struct framework *f = rv_frameworks_find(a, handle);

    if (!f)
        return;
    suppress_roles(a, f, roles, n, false);
    if (f->active)
        rv_allocator_mark_all(a);
}

bool rv_allocator_is_suppressed(const struct rv_allocator *a, void *handle, const char *role) {
    const struct framework *f = rv_frameworks_find(a, handle);
    const struct client *c = f ? find_client(f, role) : NULL;

    return c && c->suppressed;
}
