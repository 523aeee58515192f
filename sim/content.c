/* A registry's content: see content.h. Costs: O(1) a change, linear a snapshot. */
#include "content.h"

#include <stdlib.h>

#include "base/assert.h"

static char *text(const char *s) {
    return (char *)(uintptr_t)s;
}

/* --- values --- */

static void free_agent(void *v) {
    rv_agent_info_free(v);
    free(v);
}

static void free_framework(void *v) {
    rv_framework_info_free(&((struct rv_registry_framework *)v)->info);
    free(v);
}

static void free_machine(void *v) {
    const struct rv_machine *m = v;

    free(text(m->hostname));
    free(text(m->ip));
    free(v);
}

static struct rv_machine *copy_machine(const struct rv_machine *m) {
    struct rv_machine *copy = rv_memdup(m, sizeof *m);

    copy->hostname = rv_strdup(m->hostname);
    copy->ip = rv_strdup(m->ip);
    return copy;
}

/* v NULL: the key goes. */
static void put(struct rv_map *map, const char *key, void *v, void (*free_value)(void *v)) {
    void *old = v ? rv_map_put(map, rv_str(key), v) : rv_map_remove(map, rv_str(key));

    if (old)
        free_value(old);
}

static void *agent_of(const struct rv_registry_op *op) {
    struct rv_agent_info *info = rv_calloc(1, sizeof *info);

    rv_agent_info_copy(info, op->agent);
    free(text(info->id.v));
    info->id.v = rv_strdup(op->agent_id.v);
    return info;
}

static void *framework_of(const struct rv_registry_op *op) {
    struct rv_registry_framework *f = rv_calloc(1, sizeof *f);

    rv_framework_info_copy(&f->info, op->framework);
    free(text(f->info.id.v));
    f->info.id.v = rv_strdup(op->framework_id.v);
    f->away_ns = op->wall_ns;
    return f;
}

/* --- changes --- */

static void put_machine(struct sim_content *c, const struct rv_machine *m) {
    char key[RV_MACHINE_KEY_MAX];

    RV_ASSERT(rv_machine_key(m->hostname, m->ip, key));
    put(&c->machines, key, m->mode == RV_MACHINE_UP ? NULL : copy_machine(m), free_machine);
}

static void apply_to_agent(struct sim_content *c, const struct rv_registry_op *op) {
    const char *id = op->agent_id.v;
    bool admitted = op->kind == RV_REGISTRY_ADMIT_AGENT || op->kind == RV_REGISTRY_MARK_REACHABLE;

    put(&c->agents, id, admitted ? agent_of(op) : NULL, free_agent);
    put(&c->unreachable, id,
        op->kind == RV_REGISTRY_MARK_UNREACHABLE ? rv_memdup(&op->wall_ns, sizeof op->wall_ns)
                                                 : NULL,
        free);
    if (op->kind == RV_REGISTRY_MARK_GONE || op->kind == RV_REGISTRY_REMOVE_AGENT) {
        put(&c->deactivated, id, NULL, free);
        put(&c->gone, id,
            op->kind == RV_REGISTRY_MARK_GONE ? rv_memdup(&op->wall_ns, sizeof op->wall_ns) : NULL,
            free);
    }
}

void sim_content_apply(struct sim_content *c, const struct rv_registry_op *op) {
    switch (op->kind) {
    case RV_REGISTRY_ADMIT_AGENT:
    case RV_REGISTRY_MARK_UNREACHABLE:
    case RV_REGISTRY_MARK_REACHABLE:
    case RV_REGISTRY_REMOVE_AGENT:
    case RV_REGISTRY_MARK_GONE:
        apply_to_agent(c, op);
        return;
    case RV_REGISTRY_DEACTIVATE_AGENT:
        put(&c->deactivated, op->agent_id.v, rv_memdup(op->deactivation, sizeof *op->deactivation),
            free);
        return;
    case RV_REGISTRY_REACTIVATE_AGENT:
        put(&c->deactivated, op->agent_id.v, NULL, free);
        return;
    case RV_REGISTRY_PUT_FRAMEWORK:
        put(&c->frameworks, op->framework_id.v, framework_of(op), free_framework);
        return;
    case RV_REGISTRY_REMOVE_FRAMEWORK:
        put(&c->frameworks, op->framework_id.v, NULL, free_framework);
        put(&c->ended, op->framework_id.v, rv_memdup(&op->wall_ns, sizeof op->wall_ns), free);
        return;
    case RV_REGISTRY_FORGET_FRAMEWORK:
        put(&c->ended, op->framework_id.v, NULL, free);
        return;
    case RV_REGISTRY_PUT_WEIGHTS:
        for (size_t i = 0; i < op->n_weights; i++)
            put(&c->weights, op->weights[i].role,
                rv_memdup(&op->weights[i].weight, sizeof op->weights[i].weight), free);
        return;
    case RV_REGISTRY_PUT_MACHINES:
        for (size_t i = 0; i < op->n_machines; i++)
            put_machine(c, &op->machines[i]);
        return;
    case RV_REGISTRY_KIND_MAX:
        break;
    }
    RV_UNREACHABLE();
}

/* --- as a new leader sees it --- */

static struct rv_registry_absence *absences(const struct rv_map *map, struct rv_arena *arena) {
    struct rv_registry_absence *out =
        RV_ARENA_ARRAY(arena, struct rv_registry_absence, rv_map_count(map) + 1);
    struct rv_str key;
    void *v;
    size_t n = 0;

    for (size_t it = 0; rv_map_next(map, &it, &key, &v);)
        out[n++] =
            (struct rv_registry_absence){rv_arena_strndup(arena, key.s, key.n), *(int64_t *)v};
    return out;
}

/* The values as an array: of pointers' targets, borrowed with all that they hold. */
static void *values(const struct rv_map *map, size_t size, struct rv_arena *arena) {
    char *out = rv_arena_zalloc(arena, size * (rv_map_count(map) + 1));
    size_t n = 0;
    void *v;

    for (size_t it = 0; rv_map_next(map, &it, NULL, &v);)
        memcpy(out + size * n++, v, size);
    return out;
}

struct rv_registry_snapshot sim_content_snapshot(const struct sim_content *c,
                                                 struct rv_arena *arena) {
    struct rv_registry_deactivation *deactivated =
        RV_ARENA_ARRAY(arena, struct rv_registry_deactivation, rv_map_count(&c->deactivated) + 1);
    struct rv_weight *weights =
        RV_ARENA_ARRAY(arena, struct rv_weight, rv_map_count(&c->weights) + 1);
    struct rv_registry_snapshot s = {
        .agents = values(&c->agents, sizeof *s.agents, arena),
        .n_agents = rv_map_count(&c->agents),
        .unreachable = absences(&c->unreachable, arena),
        .n_unreachable = rv_map_count(&c->unreachable),
        .gone = absences(&c->gone, arena),
        .n_gone = rv_map_count(&c->gone),
        .deactivated = deactivated,
        .frameworks = values(&c->frameworks, sizeof *s.frameworks, arena),
        .n_frameworks = rv_map_count(&c->frameworks),
        .ended = absences(&c->ended, arena),
        .n_ended = rv_map_count(&c->ended),
        .weights = weights,
        .machines = values(&c->machines, sizeof *s.machines, arena),
        .n_machines = rv_map_count(&c->machines),
    };
    struct rv_str key;
    void *v;

    for (size_t it = 0; rv_map_next(&c->deactivated, &it, &key, &v);)
        deactivated[s.n_deactivated++] = (struct rv_registry_deactivation){
            {rv_arena_strndup(arena, key.s, key.n)}, *(struct rv_deactivation *)v};
    for (size_t it = 0; rv_map_next(&c->weights, &it, &key, &v);)
        weights[s.n_weights++] =
            (struct rv_weight){rv_arena_strndup(arena, key.s, key.n), *(double *)v};
    return s;
}

static void free_values(struct rv_map *map, void (*free_value)(void *v)) {
    void *v;

    for (size_t it = 0; rv_map_next(map, &it, NULL, &v);)
        free_value(v);
    rv_map_free(map);
}

void sim_content_free(struct sim_content *c) {
    free_values(&c->agents, free_agent);
    free_values(&c->unreachable, free);
    free_values(&c->gone, free);
    free_values(&c->ended, free);
    free_values(&c->deactivated, free);
    free_values(&c->frameworks, free_framework);
    free_values(&c->weights, free);
    free_values(&c->machines, free_machine);
}

/* --- operations --- */

struct op {
    struct rv_registry_op op;
    struct rv_agent_info agent;
    struct rv_framework_info framework;
    struct rv_deactivation deactivation;
    struct rv_weight *weights;
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
    for (size_t i = 0; i < op->n_machines; i++) {
        free(text(copy->machines[i].hostname));
        free(text(copy->machines[i].ip));
    }
    free(copy->machines);
    free(text(op->agent_id.v));
    free(text(op->framework_id.v));
    free(copy);
}
