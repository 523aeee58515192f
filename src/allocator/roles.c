/*
 * The tree of roles: who uses how much, and in which order they are asked.
 *
 * What always holds (unless dirty): the key of each rank that is in an order is the policy's key
 * of its node's usage; a role is in its parent's order iff a framework that wants offers is in it
 * or below it. A role's usage is the sum of its own and its children's.
 *
 * A change of the cluster's totals changes every share: it only sets `dirty`, and the next pass
 * makes all keys anew once, O(n log n). While dirty, quantities are booked and ranks stay put.
 * Else a booking moves one rank on each level of the path to the root, O(log n) each.
 */
#include "allocator/internal.h"

#include <stdlib.h>

void rv_usage_init(struct usage *u) {
    *u = (struct usage){.n = NAMES_INLINE};
    u->q = u->in_place;
}

void rv_usage_free(struct usage *u) {
    if (u->q != u->in_place)
        free(u->q);
}

static void usage_add(struct usage *u, uint32_t name, int64_t amount) {
    if (name >= u->n) {
        uint32_t n = RV_MAX(u->n * 2, name + 1);
        int64_t *q = rv_calloc(n, sizeof *q);

        memcpy(q, u->q, u->n * sizeof *q);
        rv_usage_free(u);
        u->q = q;
        u->n = n;
    }
    u->q[name] += amount;
}

struct rv_policy_cluster rv_roles_cluster(const struct rv_allocator *a) {
    return (struct rv_policy_cluster){a->total, a->excluded, a->kinds.names.n};
}

static struct rv_policy_key key_of(const struct rv_allocator *a, const struct usage *u,
                                   int64_t weight) {
    struct rv_policy_cluster cluster = rv_roles_cluster(a);
    struct rv_policy_usage usage = {u->q, u->n, weight, u->last};
    struct rv_policy_key key;

    a->policy->key(&key, &cluster, &usage);
    return key;
}

/* The key of a rank in one of the owner's two orders, as of now. */
static struct rv_policy_key rank_key(const struct rv_allocator *a, const struct rv_ranking *s,
                                     struct rv_rank *r, const struct role *owner) {
    if (s == &owner->clients)
        return key_of(a, &RV_CONTAINER_OF(r, struct client, rank)->usage, RV_WEIGHT_ONE);
    if (r == &owner->own_rank)
        return key_of(a, &owner->own, RV_WEIGHT_ONE);
    return key_of(a, &RV_CONTAINER_OF(r, struct role, rank)->usage,
                  RV_CONTAINER_OF(r, struct role, rank)->weight);
}

/* The key of one that is alone is not kept up to date: it is made anew when another comes. */
static void insert(struct rv_allocator *a, struct rv_ranking *s, struct rv_rank *r,
                   const struct role *owner) {
    struct rv_policy_key key = rank_key(a, s, r, owner);

    if (s->n == 1)
        s->first->key = rank_key(a, s, s->first, owner);
    rv_ranking_insert(s, r, &key);
}

/* --- life --- */

static struct role *new_role(struct rv_allocator *a, const char *name, struct role *parent) {
    struct role *r = rv_calloc(1, sizeof *r);

    r->name = rv_strdup(name);
    r->parent = parent;
    r->top = parent && parent->parent ? parent->top : parent ? r : NULL;
    r->id = a->next_role++;
    r->weight = RV_WEIGHT_ONE;
    r->order.policy = r->clients.policy = a->policy;
    rv_rank_init(&r->rank, a->next_order++);
    rv_rank_init(&r->own_rank, a->next_order++);
    rv_usage_init(&r->usage);
    rv_usage_init(&r->own);
    return r;
}

struct role *rv_roles_get(struct rv_allocator *a, const char *name) {
    struct role *r = rv_map_gets(&a->roles, name), *parent;
    const char *slash;

    if (!r) {
        if (!a->root) {
            a->root = new_role(a, "", NULL);
            a->root->pins = 1;
        }
        slash = strrchr(name, '/');
        if (slash) {
            _cleanup_free_ char *above = rv_strndup(name, (size_t)(slash - name));

            parent = rv_roles_get(a, above);
        } else {
            parent = a->root;
            parent->pins++;
        }
        r = new_role(a, name, parent);
        rv_map_put(&a->roles, rv_str(name), r);
    }
    r->pins++;
    return r;
}

static void free_role(struct role *r) {
    rv_usage_free(&r->usage);
    rv_usage_free(&r->own);
    if (r->held)
        rv_usage_free(r->held);
    free(r->held);
    free(r->name);
    free(r);
}

void rv_roles_unpin(struct rv_allocator *a, struct role *role) {
    while (role) {
        struct role *parent = role->parent;

        RV_ASSERT(role->pins > 0);
        if (--role->pins > 0)
            return;
        RV_ASSERT(role != a->root && !role->rank.in);
        rv_map_remove(&a->roles, rv_str(role->name));
        free_role(role);
        role = parent;
    }
}

void rv_roles_free(struct rv_allocator *a) {
    void *r;

    for (size_t it = 0; rv_map_next(&a->roles, &it, NULL, &r);)
        free_role(r);
    if (a->root)
        free_role(a->root);
    rv_map_free(&a->roles);
}

void rv_roles_set_weight(struct rv_allocator *a, struct role *role, double weight) {
    double millionths = weight * (double)RV_WEIGHT_ONE;
    struct rv_policy_key key;

    RV_ASSERT(weight > 0);
    if (millionths < 1)
        role->weight = 1;
    else if (millionths > (double)RV_WEIGHT_MAX)
        role->weight = RV_WEIGHT_MAX;
    else
        role->weight = (int64_t)(millionths + 0.5);
    if (role->rank.in) {
        key = key_of(a, &role->usage, role->weight);
        rv_ranking_move(&role->parent->order, &role->rank, &key);
    }
}

/* --- who wants offers --- */

void rv_roles_want(struct rv_allocator *a, struct client *c, bool wants) {
    struct role *r = c->role;

    if (c->rank.in == wants)
        return;
    if (wants) {
        insert(a, &r->clients, &c->rank, r);
        if (!r->own_rank.in)
            insert(a, &r->order, &r->own_rank, r);
        for (; r->parent && !r->rank.in; r = r->parent)
            insert(a, &r->parent->order, &r->rank, r->parent);
    } else {
        rv_ranking_remove(&r->clients, &c->rank);
        if (r->clients.n == 0)
            rv_ranking_remove(&r->order, &r->own_rank);
        for (; r->parent && r->order.n == 0; r = r->parent)
            rv_ranking_remove(&r->parent->order, &r->rank);
    }
}

/* --- booking --- */

static void hold(struct role *role, uint32_t name, int64_t amount) {
    if (!role->held) {
        role->held = rv_malloc(sizeof *role->held);
        rv_usage_init(role->held);
    }
    usage_add(role->held, name, amount);
}

void rv_roles_hold(struct role *role, uint32_t name, int64_t amount) {
    hold(role->top, name, amount);
    hold(role->top->parent, name, amount);
}

void rv_roles_charge(struct rv_allocator *a, struct client *c, struct role *role,
                     const struct cell *base, int64_t amount) {
    uint32_t name = base->name;

    (void)a;
    if (base->reserved)
        rv_roles_hold(role, name, -amount);
    if (c)
        usage_add(&c->usage, name, amount);
    usage_add(&role->own, name, amount);
    for (; role; role = role->parent)
        usage_add(&role->usage, name, amount);
}

static void settle(struct rv_allocator *a, struct usage *u, int64_t weight, struct rv_ranking *s,
                   struct rv_rank *r, bool allocated) {
    struct rv_policy_key key;

    if (allocated)
        u->last = a->n_allocations;
    if (a->dirty || !r->in || s->n == 1)
        return;
    key = key_of(a, u, weight);
    rv_ranking_move(s, r, &key);
}

void rv_roles_settle(struct rv_allocator *a, struct client *c, struct role *role, bool allocated) {
    if (allocated)
        a->n_allocations++;
    if (c)
        settle(a, &c->usage, RV_WEIGHT_ONE, &role->clients, &c->rank, allocated);
    settle(a, &role->own, RV_WEIGHT_ONE, &role->order, &role->own_rank, allocated);
    for (; role->parent; role = role->parent)
        settle(a, &role->usage, role->weight, &role->parent->order, &role->rank, allocated);
}

/* Takes all out and puts them in again with their new keys. */
static void renew_ranking(struct rv_allocator *a, struct rv_ranking *s, const struct role *owner) {
    struct rv_rank *r = s->first, *next;
    struct rv_policy_key key;

    *s = (struct rv_ranking){.policy = s->policy};
    for (; r; r = next) {
        next = r->next;
        r->in = false;
        key = rank_key(a, s, r, owner);
        rv_ranking_insert(s, r, &key);
    }
}

void rv_roles_renew(struct rv_allocator *a) {
    void *value;

    if (!a->dirty)
        return;
    for (size_t it = 0; rv_map_next(&a->roles, &it, NULL, &value);) {
        struct role *role = value;

        renew_ranking(a, &role->clients, role);
        renew_ranking(a, &role->order, role);
    }
    if (a->root)
        renew_ranking(a, &a->root->order, a->root);
    a->dirty = false;
}
