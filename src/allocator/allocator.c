/* The allocator's life, weights and the questions it answers. See internal.h for who owns what. */
#include "allocator/internal.h"

#include <stdlib.h>

static void set_minima(struct rv_allocator *a, const struct rv_allocator_config *config) {
    char cpus[] = "cpus", mem[] = "mem";
    struct rv_quantity some_cpu = {cpus, 10}, some_mem = {mem, 32 * RV_FIXED_ONE};
    struct rv_quantities either[] = {{&some_cpu, 1}, {&some_mem, 1}};

    if (config->min_allocatable)
        rv_minima_init(a, &a->minima, config->min_allocatable, config->n_min_allocatable);
    else
        rv_minima_init(a, &a->minima, either, RV_COUNT(either));
}

struct rv_allocator *rv_allocator_new(const struct rv_allocator_config *config) {
    struct rv_allocator *a;
    const struct rv_policy *policy = rv_policy_find(config->policy);

    if (!policy)
        return NULL;
    a = rv_calloc(1, sizeof *a);
    a->policy = policy;
    a->slice = config->slice_agents;
    a->offer_gpus_to_all = config->offer_gpus_to_all;
    a->region = rv_strdup(config->region);
    rv_prng_seed(&a->prng, config->seed);
    a->kinds.sweep_at = 256;
    rv_list_init(&a->fitted);
    rv_list_init(&a->inactive);
    a->n_exclude = config->n_fair_exclude;
    a->exclude = rv_calloc(RV_MAX(a->n_exclude, (size_t)1), sizeof *a->exclude);
    for (size_t i = 0; i < a->n_exclude; i++)
        a->exclude[i] = rv_strdup(config->fair_exclude[i]);
    set_minima(a, config);
    return a;
}

struct rv_allocator *rv_allocator_free(struct rv_allocator *a) {
    if (!a)
        return NULL;
    rv_agents_free_all(a);
    rv_frameworks_free_all(a);
    rv_minima_free(a, &a->minima);
    rv_quota_free_all(a);
    rv_kinds_free(a);
    rv_roles_free(a);
    for (size_t i = 0; i < a->n_exclude; i++)
        free(a->exclude[i]);
    free(a->exclude);
    free(a->region);
    for (size_t i = 0; i < CELL_CLASSES; i++)
        free(a->candidates[i].slots);
    rv_vec_free(&a->frames);
    rv_vec_free(&a->offered);
    free(a->breach);
    free(a);
    return NULL;
}

void rv_allocator_set_weight(struct rv_allocator *a, const char *name, double weight) {
    struct role *role = rv_roles_get(a, name);
    bool had = role->weighted;

    role->weighted = weight < 1 || weight > 1;
    rv_roles_set_weight(a, role, weight);
    if (role->weighted)
        role->pins++;
    if (had)
        rv_roles_unpin(a, role);
    rv_roles_unpin(a, role);
}

static int64_t share_ppm(const struct rv_allocator *a, const struct usage *u) {
    struct rv_policy_cluster cluster = rv_roles_cluster(a);
    int64_t num, den;

    rv_policy_dominant_share(&num, &den, &cluster, u->q, u->n);
    return (int64_t)((__int128)num * 1000000 / den);
}

int64_t rv_allocator_role_share_ppm(const struct rv_allocator *a, const char *name) {
    const struct role *role = rv_map_gets(&a->roles, name);

    return role ? share_ppm(a, &role->usage) : 0;
}

int64_t rv_allocator_framework_share_ppm(const struct rv_allocator *a, void *handle,
                                         const char *role) {
    const struct framework *f = rv_frameworks_find(a, handle);

    for (size_t i = 0; f && i < f->clients.n; i++) {
        if (strcmp(f->clients.v[i]->role->name, role) == 0)
            return share_ppm(a, &f->clients.v[i]->usage);
    }
    return 0;
}
