/*
 * What is known of roles: nothing of its own is kept; all is read off the other records. A list of
 * all roles costs O(what exists); it is for queries.
 */
#include <stdlib.h>

#include "master/internal.h"

double rv_master_role_weight(const struct rv_master *m, const char *role) {
    const struct rv_master_weight *w = rv_map_gets(&m->weights, role);

    return w ? w->weight : 1.0;
}

struct roles {
    struct rv_map map; /* role -> itself */
};

/* The role and those above it. */
static void add_role(struct roles *r, const char *role) {
    struct rv_str key = rv_str(role);

    while (key.n > 0 && !rv_map_get(&r->map, key)) {
        rv_map_put(&r->map, key, r);
        while (key.n > 0 && key.s[key.n - 1] != '/')
            key.n--;
        if (key.n > 0)
            key.n--;
    }
}

static void add_resources(struct roles *r, const struct rv_resources *resources) {
    for (size_t i = 0; i < resources->n; i++) {
        const struct rv_kind *k = resources->v[i].kind;

        if (rv_kind_is_reserved(k))
            add_role(r, rv_kind_reserved_role(k));
        if (k->allocation_role)
            add_role(r, k->allocation_role);
    }
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void rv_master_each_role(const struct rv_master *m, void (*each)(void *ctx, const char *role),
                         void *ctx) {
    struct roles roles = {0};
    struct rv_str key;
    char **names;
    size_t n = 0;
    void *v;

    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);) {
        const struct rv_master_framework *f = v;

        for (size_t i = 0; i < f->info.n_roles; i++)
            add_role(&roles, f->info.roles[i]);
        add_resources(&roles, &f->used);
        add_resources(&roles, &f->offered);
    }
    for (size_t it = 0; rv_map_next(&m->weights, &it, NULL, &v);)
        add_role(&roles, ((const struct rv_master_weight *)v)->role);
    for (size_t it = 0; rv_map_next(&m->quotas, &it, &key, NULL);)
        rv_map_put(&roles.map, key, &roles); /* at the top: nothing is above */
    for (size_t it = 0; rv_map_next(&m->agents, &it, NULL, &v);)
        add_resources(&roles, &((const struct rv_master_agent *)v)->total);
    names = rv_calloc(rv_map_count(&roles.map) + 1, sizeof *names);
    for (size_t it = 0; rv_map_next(&roles.map, &it, &key, &v);)
        names[n++] = rv_strndup(key.s, key.n);
    if (n)
        qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        each(ctx, names[i]);
        free(names[i]);
    }
    free(names);
    rv_map_free(&roles.map);
}

static bool allocated_to(const struct rv_kind *k, const void *role) {
    return rv_streq(k->allocation_role, role);
}

static bool reserved_to(const struct rv_kind *k, const void *role) {
    return rv_kind_is_reserved(k) && rv_streq(rv_kind_reserved_role(k), role);
}

static void add_filtered(struct rv_resources *to, const struct rv_resources *r,
                         bool (*keep)(const struct rv_kind *k, const void *ctx), const char *role) {
    struct rv_resources part = {0};

    rv_resources_filter(&part, r, keep, role);
    rv_resources_add(to, &part);
    rv_resources_free(&part);
}

void rv_master_role_resources(const struct rv_master *m, const char *role,
                              struct rv_resources *allocated, struct rv_resources *offered,
                              struct rv_resources *reserved) {
    void *v;

    rv_resources_free(allocated);
    rv_resources_free(offered);
    rv_resources_free(reserved);
    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);) {
        const struct rv_master_framework *f = v;

        add_filtered(allocated, &f->used, allocated_to, role);
        add_filtered(offered, &f->offered, allocated_to, role);
    }
    for (size_t it = 0; rv_map_next(&m->agents, &it, NULL, &v);)
        add_filtered(reserved, &((const struct rv_master_agent *)v)->total, reserved_to, role);
}
