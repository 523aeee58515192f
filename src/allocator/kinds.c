/*
 * Interned kinds and resource names. Equal kinds become one pointer, so that resources compare and
 * copy by pointers, and 50,000 equal agents hold one set of kinds. Two kinds are one cell if they
 * are equal in the algebra and also in what is not part of identity (a volume's description): an
 * agent's offer must show its own volume, not that of its twin elsewhere.
 *
 * What always holds: each cell is in by_kind; allocated ones also in by_role; a base cell outlives
 * the cells allocated from it. A cell of which only the table holds the kind is swept once the
 * table has doubled since the last sweep, so it stays within twice what is in use.
 *
 * Cost: O(1) each; a sweep is linear, paid for by the insertions before it.
 */
#include "allocator/internal.h"

#include <stdlib.h>

#define CAP_MIN ((size_t)64)

static size_t role_bucket(const struct kinds *k, uint32_t base, uint32_t role) {
    uint64_t h = ((uint64_t)base << 32 | role) * UINT64_C(0x9e3779b97f4a7c15);

    return (size_t)(h >> 32) & (k->cap - 1);
}

static size_t kind_bucket(const struct kinds *k, uint64_t hash) {
    return (size_t)(hash ^ hash >> 32) & (k->cap - 1);
}

static bool same_kind(const struct rv_kind *a, const struct rv_kind *b) {
    if (a == b)
        return true;
    if (!rv_kind_eq(a, b))
        return false;
    return !a->disk || (rv_blob_eq(a->disk->volume, b->disk->volume) &&
                        rv_streq(a->disk->persistence_principal, b->disk->persistence_principal));
}

static void link_cell(struct kinds *k, struct cell *c) {
    struct cell **head = &k->by_kind[kind_bucket(k, c->kind->hash)];

    c->next_kind = *head;
    *head = c;
    if (c->role) {
        head = &k->by_role[role_bucket(k, c->base->id, c->role->id)];
        c->next_role = *head;
        *head = c;
    }
}

static void rehash(struct kinds *k, size_t cap) {
    struct cell **old = k->by_kind;
    size_t old_cap = k->cap;

    free(k->by_role);
    k->cap = cap;
    k->by_kind = rv_calloc(cap, sizeof(struct cell *));
    k->by_role = rv_calloc(cap, sizeof(struct cell *));
    for (size_t i = 0; i < old_cap; i++) {
        for (struct cell *c = old[i], *next; c; c = next) {
            next = c->next_kind;
            link_cell(k, c);
        }
    }
    free(old);
}

static void insert_cell(struct rv_allocator *a, struct cell *c) {
    struct kinds *k = &a->kinds;

    if (k->n >= k->cap)
        rehash(k, k->cap ? k->cap * 2 : CAP_MIN);
    link_cell(k, c);
    k->n++;
}

static struct cell *find_cell(const struct kinds *k, const struct rv_kind *kind) {
    if (k->cap == 0)
        return NULL;
    for (struct cell *c = k->by_kind[kind_bucket(k, kind->hash)]; c; c = c->next_kind) {
        if (same_kind(c->kind, kind))
            return c;
    }
    return NULL;
}

static void grow_names(struct rv_allocator *a, size_t n) {
    size_t cap = RV_MAX(a->cap_names * 2, (size_t)NAMES_INLINE);

    if (n <= a->cap_names)
        return;
    a->total = rv_realloc(a->total, cap * sizeof *a->total);
    a->excluded = rv_realloc(a->excluded, cap * sizeof *a->excluded);
    for (size_t i = a->cap_names; i < cap; i++) {
        a->total[i] = 0;
        a->excluded[i] = false;
    }
    a->cap_names = cap;
}

uint32_t rv_kinds_name(struct rv_allocator *a, const char *name) {
    struct kinds *k = &a->kinds;
    size_t at = k->names.n;

    for (size_t i = 0; i < k->names.n; i++) {
        if (!k->names.v[i].name) {
            at = RV_MIN(at, i);
        } else if (strcmp(k->names.v[i].name, name) == 0) {
            k->names.v[i].pins++;
            return (uint32_t)i;
        }
    }
    if (at == k->names.n)
        rv_vec_push(&k->names, ((struct name){.name = NULL}));
    k->names.v[at] = (struct name){.name = rv_strdup(name), .pins = 1};
    grow_names(a, k->names.n);
    a->total[at] = 0;
    a->excluded[at] = false;
    for (size_t i = 0; i < a->n_exclude; i++) {
        if (strcmp(a->exclude[i], name) == 0)
            a->excluded[at] = true;
    }
    return (uint32_t)at;
}

/* Nothing of the name is anywhere then, so all quantities at its index are zero. */
void rv_kinds_unpin_name(struct rv_allocator *a, uint32_t name) {
    struct name *n = &a->kinds.names.v[name];

    RV_ASSERT(n->pins > 0);
    if (--n->pins == 0) {
        free(n->name);
        n->name = NULL;
    }
}

static struct cell *new_base(struct rv_allocator *a, const struct rv_kind *kind) {
    struct cell *c = rv_calloc(1, sizeof *c);

    if (a->kinds.n >= a->kinds.sweep_at)
        rv_kinds_sweep(a);
    c->kind = rv_kind_new(kind);
    c->base = c;
    c->id = a->kinds.next_id++;
    c->name = rv_kinds_name(a, kind->name);
    c->counts = kind->type == RV_SCALAR && !kind->revocable;
    c->flags = (uint8_t)((kind->revocable ? CELL_REVOCABLE : 0) | (kind->shared ? CELL_SHARED : 0) |
                         (kind->n_reservations > 1 ? CELL_REFINED : 0));
    if (rv_kind_is_reserved(kind))
        c->reserved = rv_roles_get(a, rv_kind_reserved_role(kind));
    insert_cell(a, c);
    return c;
}

struct cell *rv_kinds_base(struct rv_allocator *a, const struct rv_kind *kind) {
    struct cell *c = find_cell(&a->kinds, kind);
    struct rv_kind plain;
    struct rv_kind *temporary;

    if (c)
        return c->base;
    if (!kind->allocation_role)
        return new_base(a, kind);
    plain = *kind;
    plain.allocation_role = NULL;
    temporary = rv_kind_new(&plain); /* for its hash */
    c = find_cell(&a->kinds, temporary);
    if (!c)
        c = new_base(a, temporary);
    rv_kind_unref(temporary);
    return c;
}

struct cell *rv_kinds_allocated(struct rv_allocator *a, struct cell *base, struct role *role) {
    struct kinds *k = &a->kinds;
    struct rv_kind template;
    struct cell *c;

    if (base->last && base->last->role == role)
        return base->last;
    for (c = k->by_role[role_bucket(k, base->id, role->id)]; c; c = c->next_role) {
        if (c->base == base && c->role == role)
            return base->last = c;
    }
    template = *base->kind;
    template.allocation_role = role->name;
    c = rv_calloc(1, sizeof *c);
    c->kind = rv_kind_new(&template);
    c->base = base;
    c->role = rv_roles_get(a, role->name);
    base->n_allocated++;
    insert_cell(a, c);
    return base->last = c;
}

static void free_cell(struct rv_allocator *a, struct cell *c) {
    if (c->role) {
        c->base->n_allocated--;
        if (c->base->last == c)
            c->base->last = NULL;
        rv_roles_unpin(a, c->role);
    } else {
        rv_kinds_unpin_name(a, c->name);
        if (c->reserved)
            rv_roles_unpin(a, c->reserved);
    }
    rv_kind_unref(c->kind);
    free(c);
}

/* Takes out the cells (allocated ones, or base ones) that nobody uses; by_role is built anew. */
static void sweep(struct rv_allocator *a, bool allocated) {
    struct kinds *k = &a->kinds;

    for (size_t i = 0; i < k->cap; i++) {
        for (struct cell **at = &k->by_kind[i], *c; (c = *at);) {
            if ((c->role != NULL) == allocated && c->kind->refs == 1 && c->n_allocated == 0) {
                *at = c->next_kind;
                k->n--;
                free_cell(a, c);
            } else {
                at = &c->next_kind;
            }
        }
    }
}

void rv_kinds_sweep(struct rv_allocator *a) {
    struct kinds *k = &a->kinds;

    sweep(a, true);
    sweep(a, false);
    if (k->cap)
        rehash(k, k->cap);
    k->sweep_at = RV_MAX(k->n * 2, 4 * CAP_MIN);
}

void rv_kinds_free(struct rv_allocator *a) {
    struct kinds *k = &a->kinds;

    rv_kinds_sweep(a);
    /* What is left is still held by others, who keep their kinds. */
    for (int base = 0; base < 2; base++) {
        for (size_t i = 0; i < k->cap; i++) {
            for (struct cell **at = &k->by_kind[i], *c; (c = *at);) {
                if (base || c->role) {
                    *at = c->next_kind;
                    free_cell(a, c);
                } else {
                    at = &c->next_kind;
                }
            }
        }
    }
    for (size_t i = 0; i < k->names.n; i++)
        free(k->names.v[i].name);
    rv_vec_free(&k->names);
    free(k->by_kind);
    free(k->by_role);
    free(a->total);
    free(a->excluded);
}
