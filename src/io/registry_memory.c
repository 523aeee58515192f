/* The registry's engine that forgets: records in a map, every write done within the call. */
#include <stdlib.h>

#include "base/map.h"
#include "io/registry.h"

struct memory {
    struct rv_registry base;
    struct rv_map records; /* key -> rv_blob */
};

static int memory_open(uv_loop_t *loop, const char *where, struct rv_registry **out,
                       struct rv_error *err) {
    struct memory *m = rv_calloc(1, sizeof *m);

    (void)loop;
    (void)where;
    (void)err;
    m->base.ops = &rv_registry_memory;
    *out = &m->base;
    return 0;
}

static void memory_close(struct rv_registry *r) {
    struct memory *m = RV_CONTAINER_OF(r, struct memory, base);
    void *value;

    for (size_t it = 0; rv_map_next(&m->records, &it, NULL, &value);)
        rv_blob_unref(value);
    rv_map_free(&m->records);
    free(m);
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int memory_load(struct rv_registry *r, rv_registry_each each, void *ctx,
                       struct rv_error *err) {
    struct memory *m = RV_CONTAINER_OF(r, struct memory, base);
    size_t n = 0, count = rv_map_count(&m->records);
    char **keys = rv_calloc(count + 1, sizeof *keys);
    struct rv_str key;

    (void)err;
    for (size_t it = 0; rv_map_next(&m->records, &it, &key, NULL);)
        keys[n++] = rv_strndup(key.s, key.n);
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 0; i < n; i++) {
        const struct rv_blob *value = rv_map_gets(&m->records, keys[i]);
        each(ctx, keys[i], rv_strn(value->data, value->n));
        free(keys[i]);
    }
    free(keys);
    return 0;
}

static void memory_write(struct rv_registry *r, const struct rv_registry_change *changes, size_t n,
                         rv_registry_done done, void *ctx) {
    struct memory *m = RV_CONTAINER_OF(r, struct memory, base);

    for (size_t i = 0; i < n; i++) {
        struct rv_str key = rv_str(changes[i].key), value = changes[i].value;
        rv_blob_unref(value.s ? rv_map_put(&m->records, key, rv_blob_new(value.s, value.n))
                              : rv_map_remove(&m->records, key));
    }
    done(ctx, 0, NULL);
}

const struct rv_registry_ops rv_registry_memory = {.name = "memory",
                                                   .open = memory_open,
                                                   .close = memory_close,
                                                   .load = memory_load,
                                                   .write = memory_write};
