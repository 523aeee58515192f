/* A registry's content: see content.h. Costs: O(1) a change; to load, a sort of the keys. */
#include "content.h"

#include <stdlib.h>

#include "base/assert.h"

static void put(void *ctx, const char *key, struct rv_str value) {
    struct sim_content *c = ctx;

    rv_blob_unref(value.s ? rv_map_put(&c->records, rv_str(key), rv_blob_new(value.s, value.n))
                          : rv_map_remove(&c->records, rv_str(key)));
}

void sim_content_apply(struct sim_content *c, const struct rv_registry_op *op) {
    struct rv_arena scratch;

    rv_arena_init(&scratch);
    rv_registry_op_encode(op, &scratch, put, c);
    rv_arena_free(&scratch);
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct rv_registry_loaded *sim_content_load(const struct sim_content *c) {
    struct rv_registry_loaded *loaded = rv_registry_loaded_new();
    size_t n = 0, count = rv_map_count(&c->records);
    char **keys = rv_calloc(count + 1, sizeof *keys);
    struct rv_str key;

    for (size_t it = 0; rv_map_next(&c->records, &it, &key, NULL);)
        keys[n++] = rv_strndup(key.s, key.n);
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 0; i < n; i++) {
        const struct rv_blob *value = rv_map_gets(&c->records, keys[i]);

        rv_registry_loaded_add(loaded, keys[i], rv_strn(value->data, value->n));
        free(keys[i]);
    }
    free(keys);
    if (rv_registry_loaded_finish(loaded, NULL))
        RV_UNREACHABLE();
    return loaded;
}

void sim_content_free(struct sim_content *c) {
    void *value;

    for (size_t it = 0; rv_map_next(&c->records, &it, NULL, &value);)
        rv_blob_unref(value);
    rv_map_free(&c->records);
}

static char *text(const char *s) {
    return (char *)(uintptr_t)s;
}

/* --- operations --- */

struct op {
    struct rv_registry_op op;
    struct rv_agent_info agent;
    struct rv_framework_info framework;
    struct rv_deactivation deactivation;
    struct rv_weight *weights;
    struct rv_quota *quotas;
    struct rv_machine *machines;
};

struct rv_registry_op *sim_op_new(const struct rv_registry_op *op) {
    struct op *copy = rv_calloc(1, sizeof *copy);

    copy->op = *op;
    copy->op.agent_id.v = rv_strdup(op->agent_id.v);
    copy->op.framework_id.v = rv_strdup(op->framework_id.v);
    if (op->agent) {
        rv_agent_info_copy(&copy->agent, op->agent);
        copy->op.agent = &copy->agent;
    }
    if (op->framework) {
        rv_framework_info_copy(&copy->framework, op->framework);
        copy->op.framework = &copy->framework;
    }
    if (op->deactivation) {
        copy->deactivation = *op->deactivation;
        copy->op.deactivation = &copy->deactivation;
    }
    copy->op.weights = copy->weights = rv_calloc(op->n_weights + 1, sizeof *copy->weights);
    for (size_t i = 0; i < op->n_weights; i++)
        copy->weights[i] =
            (struct rv_weight){rv_strdup(op->weights[i].role), op->weights[i].weight};
    copy->op.quotas = copy->quotas = rv_calloc(op->n_quotas + 1, sizeof *copy->quotas);
    for (size_t i = 0; i < op->n_quotas; i++)
        rv_quota_copy(&copy->quotas[i], &op->quotas[i]);
    copy->op.machines = copy->machines = rv_calloc(op->n_machines + 1, sizeof *copy->machines);
    for (size_t i = 0; i < op->n_machines; i++) {
        copy->machines[i] = op->machines[i];
        copy->machines[i].hostname = rv_strdup(op->machines[i].hostname);
        copy->machines[i].ip = rv_strdup(op->machines[i].ip);
    }
    return &copy->op;
}

void sim_op_free(struct rv_registry_op *op) {
    struct op *copy = RV_CONTAINER_OF(op, struct op, op);

    rv_agent_info_free(&copy->agent);
    rv_framework_info_free(&copy->framework);
    for (size_t i = 0; i < op->n_weights; i++)
        free(text(copy->weights[i].role));
    free(copy->weights);
    for (size_t i = 0; i < op->n_quotas; i++)
        rv_quota_free(&copy->quotas[i]);
    free(copy->quotas);
    for (size_t i = 0; i < op->n_machines; i++) {
        free(text(copy->machines[i].hostname));
        free(text(copy->machines[i].ip));
    }
    free(copy->machines);
    free(text(op->agent_id.v));
    free(text(op->framework_id.v));
    free(copy);
}
