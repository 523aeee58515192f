/* Random kinds and resources for property tests: few names and roles, so that equal kinds and
 * collisions are common. Everything follows from the seed, which is printed if a test fails. */
#ifndef RV_TESTS_RESOURCES_GEN_H
#define RV_TESTS_RESOURCES_GEN_H

#include "base/prng.h"
#include "model/resources.h"

struct gen {
    struct rv_prng prng;
    bool plain; /* only what has a text form */
    /* Ranges and sets are taken from the numbers and items that are this modulo 2, so that those of
     * two generators never overlap; -1: from all. */
    int parity;
};

static inline uint64_t gen_below(struct gen *g, uint64_t bound) {
    return rv_prng_below(&g->prng, bound);
}

static inline char *gen_pick(struct gen *g, char *const *v, size_t n) {
    return v[gen_below(g, n)];
}

/* "a" with one label of value v, packed by hand: Labels{labels{key, value}}. */
static inline struct rv_blob *gen_labels(struct gen *g) {
    uint8_t packed[] = {0x0a, 6, 0x0a, 1, 'k', 0x12, 1, (uint8_t)('a' + gen_below(g, 2))};
    return rv_blob_new(packed, sizeof packed);
}

static inline void gen_disk(struct gen *g, bool reserved, struct rv_disk *disk) {
    /* DiskInfo.Source{type, mount{root}} or {type, path{root}} */
    static const uint8_t mount[] = {0x08, 2, 0x1a, 4, 0x0a, 2, '/', 'm'};
    static const uint8_t path[] = {0x08, 1, 0x12, 4, 0x0a, 2, '/', 'p'};
    uint64_t source = gen_below(g, 3);
    if (source == 1) {
        disk->source_type = 1;
        disk->source = rv_blob_new(path, sizeof path);
    } else if (source == 2) {
        disk->source_type = 2;
        disk->source = rv_blob_new(mount, sizeof mount);
    }
    if (reserved && gen_below(g, 2)) {
        static char v1[] = "v1", v2[] = "v2";
        char *const ids[] = {v1, v2};
        disk->persistence_id = gen_pick(g, ids, 2);
        disk->persistence_principal = ids[0];
    }
}

static inline struct rv_kind *gen_kind(struct gen *g) {
    char *const names[] = {(char[]){"cpus"}, (char[]){"mem"},  (char[]){"disk"},
                           (char[]){"disk"}, (char[]){"bugs"}, (char[]){"ports"}};
    char *const roles[] = {(char[]){"r"}, (char[]){"r/s"}, (char[]){"r/s/t"}};
    char *const principals[] = {NULL, (char[]){"p"}, (char[]){"q"}};
    struct rv_reservation stack[3] = {0};
    struct rv_disk disk = {0};
    struct rv_kind k = {.name = gen_pick(g, names, 6), .reservations = stack};
    k.type = k.name[0] == 'b' ? RV_SET : k.name[0] == 'p' ? RV_RANGES : RV_SCALAR;
    k.n_reservations = gen_below(g, g->plain ? 2 : 4);
    for (size_t i = 0; i < k.n_reservations; i++) {
        stack[i].role = roles[i];
        stack[i].dynamic = !g->plain && (i > 0 || gen_below(g, 2));
        if (stack[i].dynamic) {
            stack[i].principal = gen_pick(g, principals, 3);
            stack[i].labels = gen_below(g, 3) == 0 ? gen_labels(g) : NULL;
        }
    }
    if (!g->plain) {
        k.allocation_role = gen_below(g, 3) == 0 ? roles[0] : NULL;
        k.provider_id = gen_below(g, 8) == 0 ? roles[0] : NULL;
        if (strcmp(k.name, "disk") == 0 && gen_below(g, 2)) {
            gen_disk(g, k.n_reservations > 0, &disk);
            k.disk = disk.source || disk.persistence_id ? &disk : NULL;
        }
        k.shared = k.disk && k.disk->persistence_id && gen_below(g, 2);
        k.revocable = k.n_reservations == 0 && gen_below(g, 5) == 0;
    }
    struct rv_kind *made = rv_kind_new(&k);
    for (size_t i = 0; i < k.n_reservations; i++) {
        rv_blob_unref(stack[i].labels);
    }
    rv_blob_unref(disk.source);
    return made;
}

static inline struct rv_ranges gen_ranges(struct gen *g) {
    size_t n = gen_below(g, 6);
    struct rv_ranges r = {rv_malloc((n + 1) * sizeof *r.v), n};
    for (size_t i = 0; i < n; i++) {
        uint64_t begin = gen_below(g, 60), size = gen_below(g, 8);
        if (g->parity >= 0) {
            begin = begin / 2 * 2 + (uint64_t)g->parity;
            size = 0;
        }
        r.v[i] = (struct rv_range){begin, begin + size};
    }
    rv_ranges_normalize(&r);
    return r;
}

static inline struct rv_set gen_set(struct gen *g) {
    size_t n = gen_below(g, 5);
    struct rv_set s = {rv_malloc((n + 1) * sizeof *s.v), n};
    for (size_t i = 0; i < n; i++) {
        uint64_t item = gen_below(g, 8);
        item = g->parity >= 0 ? item / 2 * 2 + (uint64_t)g->parity : item;
        s.v[i] = rv_asprintf("i%u", (unsigned)item);
    }
    rv_set_normalize(&s);
    return s;
}

static inline struct rv_resource gen_resource(struct gen *g) {
    struct rv_resource r = {.kind = gen_kind(g), .copies = 1};
    if (r.kind->shared) {
        r.copies = 1 + (uint32_t)gen_below(g, 3);
    }
    switch (r.kind->type) {
    case RV_SCALAR:
        /* Few amounts for whole ones, so that equal ones meet. */
        r.scalar = (int64_t)gen_below(g, rv_kind_is_indivisible(r.kind) ? 3 : 20) * 125;
        break;
    case RV_RANGES:
        r.ranges = gen_ranges(g);
        break;
    case RV_SET:
    case RV_TEXT:
        r.set = gen_set(g);
        break;
    }
    return r;
}

static inline struct rv_resources gen_resources(struct gen *g) {
    struct rv_resources r = {0};
    for (size_t n = gen_below(g, 8); n > 0; n--) {
        struct rv_resource one = gen_resource(g);
        rv_resources_add_one(&r, &one);
        rv_resource_clear(&one);
    }
    return r;
}

#endif
