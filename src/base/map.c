/*
 * The map: entries in the order of insertion, and an index of slots, linearly probed, that hold
 * the number of an entry plus one (0: free). What always holds:
 *  - each live entry (key != NULL) is in exactly one slot, and no free slot lies between that slot
 *    and the one its hash asks for;
 *  - at most half of the slots are taken; index_cap is a power of two;
 *  - entries before `first` and from `used` on are not live; an empty map has used == 0.
 * Removal leaves a hole and shifts the slots behind it back, so there are no tombstones. Only
 * adding moves entries: it closes the holes once they outnumber the living, which pays for itself
 * out of the removals that made them. Values are the caller's, keys are copies.
 */
#include "base/map.h"

#include <stdlib.h>

#include "base/assert.h"

#define CAP_MIN ((size_t)8)

struct rv_map_entry {
    uint64_t hash;
    char *key; /* NULL: a hole */
    size_t n;
    void *value;
};

static size_t next_slot(const struct rv_map *m, size_t slot) {
    return (slot + 1) & (m->index_cap - 1);
}

/* The slot of the key, or the free slot where it would go. The index is there. */
static size_t find_slot(const struct rv_map *m, struct rv_str key, uint64_t hash) {
    size_t slot = (size_t)hash & (m->index_cap - 1);

    for (; m->index[slot]; slot = next_slot(m, slot)) {
        const struct rv_map_entry *e = &m->entries[m->index[slot] - 1];

        if (e->hash == hash && rv_str_eq(rv_strn(e->key, e->n), key))
            break;
    }
    return slot;
}

static struct rv_map_entry *find(const struct rv_map *m, struct rv_str key, size_t *slot) {
    if (m->n == 0)
        return NULL;
    *slot = find_slot(m, key, rv_hash(key.s, key.n));
    return m->index[*slot] ? &m->entries[m->index[*slot] - 1] : NULL;
}

/* Closes the holes, gives the entries a new capacity and builds the index again. */
static void rebuild(struct rv_map *m, size_t cap) {
    size_t used = 0, slot;

    RV_ASSERT(cap >= m->n && cap < UINT32_MAX / 2);
    for (size_t i = m->first; i < m->used; i++) {
        if (m->entries[i].key)
            m->entries[used++] = m->entries[i];
    }
    RV_ASSERT(used == m->n);
    m->used = used;
    m->first = 0;
    if (cap != m->cap) {
        m->entries = rv_realloc(m->entries, cap * sizeof *m->entries);
        m->cap = cap;
    }
    if (m->index_cap == cap * 2) {
        memset(m->index, 0, m->index_cap * sizeof *m->index);
    } else {
        free(m->index);
        m->index_cap = cap * 2;
        m->index = rv_calloc(m->index_cap, sizeof *m->index);
    }
    for (size_t i = 0; i < used; i++) {
        slot = (size_t)m->entries[i].hash & (m->index_cap - 1);
        while (m->index[slot])
            slot = next_slot(m, slot);
        m->index[slot] = (uint32_t)(i + 1);
    }
}

/* Room for one more entry. Every rebuild is paid for by at least cap / 4 puts or removals. */
static void make_room(struct rv_map *m) {
    size_t holes = m->used - m->n, cap = m->cap;

    if (cap == 0) {
        rebuild(m, CAP_MIN);
    } else if (m->used == cap && holes < cap / 4) {
        rebuild(m, cap * 2);
    } else if (m->used == cap || (holes > CAP_MIN && holes > m->n)) {
        while (cap > CAP_MIN && cap / 8 >= m->n)
            cap /= 2;
        rebuild(m, cap);
    }
}

void rv_map_clear(struct rv_map *m) {
    for (size_t i = m->first; i < m->used; i++)
        free(m->entries[i].key);
    if (m->index)
        memset(m->index, 0, m->index_cap * sizeof *m->index);
    m->n = m->used = m->first = 0;
}

void rv_map_free(struct rv_map *m) {
    rv_map_clear(m);
    free(m->entries);
    free(m->index);
    *m = (struct rv_map){.entries = NULL};
}

size_t rv_map_count(const struct rv_map *m) {
    return m->n;
}

void *rv_map_get(const struct rv_map *m, struct rv_str key) {
    size_t slot;
    const struct rv_map_entry *e = find(m, key, &slot);

    return e ? e->value : NULL;
}

void *rv_map_put(struct rv_map *m, struct rv_str key, void *v) {
    uint64_t hash = rv_hash(key.s, key.n);
    struct rv_map_entry *e;
    size_t slot;
    void *old;

    if (m->n > 0) {
        slot = find_slot(m, key, hash);
        if (m->index[slot]) {
            e = &m->entries[m->index[slot] - 1];
            old = e->value;
            e->value = v;
            return old;
        }
    }
    make_room(m);
    slot = find_slot(m, key, hash);
    e = &m->entries[m->used];
    e->hash = hash;
    e->n = key.n;
    e->value = v;
    e->key = rv_malloc(key.n + 1);
    if (key.n)
        memcpy(e->key, key.s, key.n);
    e->key[key.n] = '\0';
    m->index[slot] = (uint32_t)++m->used;
    m->n++;
    return NULL;
}

/* Frees a slot and moves back whatever could not be reached across the gap. */
static void free_slot(struct rv_map *m, size_t gap) {
    size_t mask = m->index_cap - 1, slot, home;

    for (slot = next_slot(m, gap); m->index[slot]; slot = next_slot(m, slot)) {
        home = (size_t)m->entries[m->index[slot] - 1].hash & mask;
        if (((slot - home) & mask) >= ((slot - gap) & mask)) {
            m->index[gap] = m->index[slot];
            gap = slot;
        }
    }
    m->index[gap] = 0;
}

void *rv_map_remove(struct rv_map *m, struct rv_str key) {
    size_t slot, at;
    struct rv_map_entry *e = find(m, key, &slot);
    void *value;

    if (!e)
        return NULL;
    at = (size_t)(e - m->entries);
    value = e->value;
    free_slot(m, slot);
    free(e->key); /* last: the key given may be this one */
    e->key = NULL;
    m->n--;
    if (m->n == 0) {
        m->first = m->used = 0;
        return value;
    }
    /* Each step passes a hole that is never passed again, so this is O(1) amortised. */
    if (at == m->first) {
        while (!m->entries[m->first].key)
            m->first++;
    }
    while (!m->entries[m->used - 1].key)
        m->used--;
    return value;
}

bool rv_map_next(const struct rv_map *m, size_t *it, struct rv_str *key, void **value) {
    if (*it < m->first)
        *it = m->first;
    while (*it < m->used) {
        const struct rv_map_entry *e = &m->entries[(*it)++];

        if (!e->key)
            continue;
        if (key)
            *key = rv_strn(e->key, e->n);
        if (value)
            *value = e->value;
        return true;
    }
    return false;
}
