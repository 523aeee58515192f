/*
 * A map from byte strings to pointers that remembers the order of insertion: look-up by hash,
 * iteration in insertion order, so that nothing depends on hash or pointer order. Removing the
 * current entry while iterating is allowed, adding is not. O(1) each.
 */
#ifndef RV_BASE_MAP_H
#define RV_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct rv_map_entry;
struct rv_map {
    struct rv_map_entry *entries; /* in insertion order, with holes */
    uint32_t *index;              /* open addressing into entries */
    size_t n, used, cap, index_cap;
    size_t first; /* no live entry lies before this one: a queue of removals stays O(1) */
};

/* A zero-initialised map is empty. Keys are copied, values are the caller's. */
void rv_map_free(struct rv_map *m);
size_t rv_map_count(const struct rv_map *m);
void *rv_map_get(const struct rv_map *m, struct rv_str key);    /* NULL if absent */
void *rv_map_put(struct rv_map *m, struct rv_str key, void *v); /* the old value or NULL */
void *rv_map_remove(struct rv_map *m, struct rv_str key);       /* the value or NULL */
void rv_map_clear(struct rv_map *m);

static inline void *rv_map_gets(const struct rv_map *m, const char *key) {
    return key ? rv_map_get(m, rv_str(key)) : NULL;
}

/* for (size_t it = 0; rv_map_next(m, &it, &key, (void **)&value);) ; key may be NULL */
bool rv_map_next(const struct rv_map *m, size_t *it, struct rv_str *key, void **value);

#endif
