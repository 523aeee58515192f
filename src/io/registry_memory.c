/* The registry's engine that forgets: records in a map, every write done within the call. */
#include <stdlib.h>

#include "base/map.h"
#include "io/registry.h"

struct memory {
    struct rv_registry base;
    struct rv_map records; /* key -> rv_blob */
};

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

static void memory_load(struct rv_registry *r, rv_registry_each each, rv_registry_done done,
                        void *ctx) {
    struct memory *m = RV_CONTAINER_OF(r, struct memory, base);
    size_t n = 0, count = rv_map_count(&m->records);
    char **keys = rv_calloc(count + 1, sizeof *keys);
    struct rv_str key;

    for (size_t it = 0; rv_map_next(&m->records, &it, &key, NULL);)
        keys[n++] = rv_strndup(key.s, key.n);
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 0; i < n; i++) {
        const struct rv_blob *value = rv_map_gets(&m->records, keys[i]);
        each(ctx, keys[i], rv_strn(value->data, value->n));
        free(keys[i]);
    }
    free(keys);
    done(ctx, 0, 0, NULL);
}

static void memory_write(struct rv_registry *r, const struct rv_registry_change *changes, size_t n,
                         uint64_t seq, rv_registry_done done, void *ctx) {
    struct memory *m = RV_CONTAINER_OF(r, struct memory, base);

    struct rv_error err;
    int failure = 0;

    for (size_t i = 0; !failure && i < n; i++)
        failure = rv_registry_check_change(&changes[i], &err);
    for (size_t i = 0; !failure && i < n; i++) {
        struct rv_str key = rv_str(changes[i].key), value = changes[i].value;
        rv_blob_unref(value.s ? rv_map_put(&m->records, key, rv_blob_new(value.s, value.n))
                              : rv_map_remove(&m->records, key));
    }
    done(ctx, seq, failure, &err);
}

struct rv_registry *rv_registry_memory_new(void) {
    static const struct rv_registry_ops ops = {
        .name = "memory", .close = memory_close, .load = memory_load, .write = memory_write};
    struct memory *m = rv_calloc(1, sizeof *m);

    m->base.ops = &ops;
    m->base.place = "memory";
    return &m->base;
}
