/* The disks: see disk.h. */
#include "disk.h"

#include <stdlib.h>

/* --- records of the journal --- */

static struct sim_journal_record *record_new(const struct rv_checkpoint *c) {
    struct sim_journal_record *r = rv_calloc(1, sizeof *r);

    rv_arena_init(&r->strings);
    r->c = *c;
    r->c.boot_id = rv_arena_strdup(&r->strings, c->boot_id);
    r->c.framework_id.v = rv_arena_strdup(&r->strings, c->framework_id.v);
    r->c.executor_id.v = rv_arena_strdup(&r->strings, c->executor_id.v);
    r->c.container_id.v = rv_arena_strdup(&r->strings, c->container_id.v);
    r->c.task_id.v = rv_arena_strdup(&r->strings, c->task_id.v);
    if (c->agent) {
        rv_agent_info_copy(&r->agent, c->agent);
        r->c.agent = &r->agent;
    }
    if (c->framework) {
        rv_framework_info_copy(&r->framework, c->framework);
        r->c.framework = &r->framework;
    }
    if (c->launch) {
        rv_executor_info_copy(&r->executor, c->launch->executor);
        r->launch = (struct rv_launch){
            .container_id.v = rv_arena_strdup(&r->strings, c->launch->container_id.v),
            .executor = &r->executor,
            .directory = rv_arena_strdup(&r->strings, c->launch->directory),
            .user = rv_arena_strdup(&r->strings, c->launch->user),
            .checkpoint = true,
            .shutdown_grace_ms = c->launch->shutdown_grace_ms};
        r->c.launch = &r->launch;
    }
    if (c->task) {
        rv_task_info_copy(&r->task, c->task);
        r->c.task = &r->task;
    }
    if (c->status) {
        rv_task_status_copy(&r->status, c->status);
        r->c.status = &r->status;
    }
    return r;
}

static void record_free(struct sim_journal_record *r) {
    rv_agent_info_free(&r->agent);
    rv_framework_info_free(&r->framework);
    rv_executor_info_free(&r->executor);
    rv_task_info_free(&r->task);
    rv_task_status_free(&r->status);
    rv_arena_free(&r->strings);
    free(r);
}

/* --- the journal --- */

void sim_journal_init(struct sim_journal *j, struct sim_world *w, struct sim_party *party,
                      void (*on_done)(void *ctx, uint64_t seq, bool ok, const char *message),
                      void *ctx) {
    *j = (struct sim_journal){.world = w, .party = party, .on_done = on_done, .ctx = ctx};
}

void sim_journal_wipe(struct sim_journal *j) {
    for (size_t i = 0; i < j->durable.n; i++)
        record_free(j->durable.v[i]);
    for (size_t i = 0; i < j->pending.n; i++)
        record_free(j->pending.v[i]);
    j->durable.n = j->pending.n = 0;
    j->busy = false;
}

void sim_journal_free(struct sim_journal *j) {
    sim_journal_wipe(j);
    rv_vec_free(&j->durable);
    rv_vec_free(&j->pending);
}

static void journal_next(struct sim_journal *j);

static void journal_done(void *ctx, uint64_t arg, void *data) {
    struct sim_journal *j = ctx;
    struct sim_world *w = j->world;
    struct sim_journal_record *r = j->pending.v[0];
    uint64_t seq = r->c.seq;
    bool full = j->full_until_ms > w->now_ms;
    bool ok = !full && !sim_fault(w, w->faults.disk_fail);
    (void)arg;
    (void)data;

    rv_vec_remove_at(&j->pending, 0);
    j->busy = false;
    if (ok)
        rv_vec_push(&j->durable, r);
    else
        record_free(r);
    journal_next(j);
    j->on_done(j->ctx, seq, ok, ok ? NULL : full ? "No space left on device" : "I/O error");
}

static void journal_next(struct sim_journal *j) {
    struct sim_world *w = j->world;

    if (j->busy || !j->pending.n)
        return;
    j->busy = true;
    sim_at(w, j->party,
           sim_fault(w, w->faults.disk_slow) ? sim_between(w, 10, 5000) : sim_between(w, 0, 3),
           journal_done, j, 0, NULL);
}

void sim_journal_write(struct sim_journal *j, const struct rv_checkpoint *c) {
    rv_vec_push(&j->pending, record_new(c));
    journal_next(j);
}

void sim_journal_crash(struct sim_journal *j) {
    size_t keep = sim_below(j->world, j->pending.n + 1);

    for (size_t i = 0; i < j->pending.n; i++) {
        if (i < keep)
            rv_vec_push(&j->durable, j->pending.v[i]);
        else
            record_free(j->pending.v[i]);
    }
    j->pending.n = 0;
    j->busy = false;
}

bool sim_journal_has_update(const struct sim_journal *j, const uint8_t uuid[16]) {
    for (size_t i = j->durable.n; i > 0; i--) {
        const struct rv_checkpoint *c = &j->durable.v[i - 1]->c;
        if (c->kind == RV_CHECKPOINT_UPDATE && !memcmp(c->status->uuid, uuid, 16))
            return true;
    }
    return false;
}

bool sim_journal_has_task(const struct sim_journal *j, const char *framework_id,
                          const char *task_id) {
    for (size_t i = j->durable.n; i > 0; i--) {
        const struct rv_checkpoint *c = &j->durable.v[i - 1]->c;
        if (c->kind == RV_CHECKPOINT_TASK && rv_streq(c->task->id.v, task_id) &&
            rv_streq(c->framework_id.v, framework_id))
            return true;
    }
    return false;
}

/* --- the registry --- */

void sim_registry_init(struct sim_registry *r, struct sim_world *w, struct sim_party *party,
                       void (*on_done)(void *ctx, const struct rv_registry_op *op, bool ok),
                       void *ctx) {
    *r = (struct sim_registry){.world = w, .party = party, .on_done = on_done, .ctx = ctx};
}

static struct sim_registry_write *write_new(const struct rv_registry_op *op) {
    struct sim_registry_write *w = rv_calloc(1, sizeof *w);

    w->op = *op;
    w->op.agent_id.v = w->agent_id = rv_strdup(op->agent_id.v);
    w->op.framework_id.v = w->framework_id = rv_strdup(op->framework_id.v);
    if (op->agent) {
        rv_agent_info_copy(&w->agent, op->agent);
        w->op.agent = &w->agent;
    }
    if (op->framework) {
        rv_framework_info_copy(&w->framework, op->framework);
        w->op.framework = &w->framework;
    }
    w->weights = rv_calloc(op->n_weights + 1, sizeof *w->weights);
    for (size_t i = 0; i < op->n_weights; i++)
        w->weights[i] = (struct rv_weight){rv_strdup(op->weights[i].role), op->weights[i].weight};
    w->op.weights = w->weights;
    return w;
}

static void write_free(struct sim_registry_write *w) {
    rv_agent_info_free(&w->agent);
    rv_framework_info_free(&w->framework);
    for (size_t i = 0; i < w->op.n_weights; i++)
        free((char *)(uintptr_t)w->weights[i].role);
    free(w->weights);
    free(w->agent_id);
    free(w->framework_id);
    free(w);
}

void sim_registry_free(struct sim_registry *r) {
    for (size_t i = 0; i < r->agents.n; i++) {
        rv_agent_info_free(r->agents.v[i]);
        free(r->agents.v[i]);
    }
    for (size_t i = 0; i < r->frameworks.n; i++) {
        rv_framework_info_free(r->frameworks.v[i]);
        free(r->frameworks.v[i]);
    }
    for (size_t i = 0; i < r->unreachable.n; i++)
        free(r->unreachable.v[i].id);
    for (size_t i = 0; i < r->gone.n; i++)
        free(r->gone.v[i].id);
    for (size_t i = 0; i < r->weights.n; i++)
        free((char *)(uintptr_t)r->weights.v[i].role);
    for (size_t i = 0; i < r->pending.n; i++)
        write_free(r->pending.v[i]);
    rv_vec_free(&r->agents);
    rv_vec_free(&r->unreachable);
    rv_vec_free(&r->gone);
    rv_vec_free(&r->frameworks);
    rv_vec_free(&r->weights);
    rv_vec_free(&r->pending);
}

static void forget_agent(struct sim_registry *r, const char *id) {
    for (size_t i = 0; i < r->agents.n; i++)
        if (rv_streq(r->agents.v[i]->id.v, id)) {
            rv_agent_info_free(r->agents.v[i]);
            free(r->agents.v[i]);
            rv_vec_remove_at(&r->agents, i);
            return;
        }
}

static void forget_absence(struct sim_registry *r, const char *id) {
    for (size_t i = 0; i < r->unreachable.n; i++)
        if (rv_streq(r->unreachable.v[i].id, id)) {
            free(r->unreachable.v[i].id);
            rv_vec_remove_at(&r->unreachable, i);
            return;
        }
}

static void put_agent(struct sim_registry *r, const struct rv_agent_info *info, const char *id) {
    struct rv_agent_info *copy = rv_calloc(1, sizeof *copy);

    forget_agent(r, id);
    forget_absence(r, id);
    rv_agent_info_copy(copy, info);
    if (!copy->id.v)
        copy->id.v = rv_strdup(id);
    rv_vec_push(&r->agents, copy);
}

static void put_framework(struct sim_registry *r, const struct rv_framework_info *info,
                          const char *id) {
    struct rv_framework_info copy = {0};

    rv_framework_info_copy(&copy, info);
    if (!copy.id.v)
        copy.id.v = rv_strdup(id);
    for (size_t i = 0; i < r->frameworks.n; i++)
        if (rv_streq(r->frameworks.v[i]->id.v, id)) {
            rv_framework_info_free(r->frameworks.v[i]);
            *r->frameworks.v[i] = copy;
            return;
        }
    rv_vec_push(&r->frameworks, rv_memdup(&copy, sizeof copy));
}

static void put_weight(struct sim_registry *r, const struct rv_weight *weight) {
    for (size_t i = 0; i < r->weights.n; i++)
        if (rv_streq(r->weights.v[i].role, weight->role)) {
            r->weights.v[i].weight = weight->weight;
            return;
        }
    rv_vec_push(&r->weights, ((struct rv_weight){rv_strdup(weight->role), weight->weight}));
}

static void apply(struct sim_registry *r, const struct rv_registry_op *op) {
    struct sim_absence absence = {NULL, op->wall_ns};

    switch (op->kind) {
    case RV_REGISTRY_ADMIT_AGENT:
    case RV_REGISTRY_MARK_REACHABLE:
        put_agent(r, op->agent, op->agent_id.v);
        return;
    case RV_REGISTRY_MARK_UNREACHABLE:
        forget_agent(r, op->agent_id.v);
        forget_absence(r, op->agent_id.v);
        absence.id = rv_strdup(op->agent_id.v);
        rv_vec_push(&r->unreachable, absence);
        return;
    case RV_REGISTRY_REMOVE_AGENT:
        forget_agent(r, op->agent_id.v);
        return;
    case RV_REGISTRY_MARK_GONE:
        forget_agent(r, op->agent_id.v);
        forget_absence(r, op->agent_id.v);
        absence.id = rv_strdup(op->agent_id.v);
        rv_vec_push(&r->gone, absence);
        return;
    case RV_REGISTRY_PUT_FRAMEWORK:
        put_framework(r, op->framework, op->framework_id.v);
        return;
    case RV_REGISTRY_REMOVE_FRAMEWORK:
        for (size_t i = 0; i < r->frameworks.n; i++)
            if (rv_streq(r->frameworks.v[i]->id.v, op->framework_id.v)) {
                rv_framework_info_free(r->frameworks.v[i]);
                free(r->frameworks.v[i]);
                rv_vec_remove_at(&r->frameworks, i);
                return;
            }
        return;
    case RV_REGISTRY_PUT_WEIGHTS:
        for (size_t i = 0; i < op->n_weights; i++)
            put_weight(r, &op->weights[i]);
        return;
    case RV_REGISTRY_KIND_MAX:
        break;
    }
    RV_UNREACHABLE();
}

static void registry_next(struct sim_registry *r);

static void registry_done(void *ctx, uint64_t arg, void *data) {
    struct sim_registry *r = ctx;
    struct sim_registry_write *w = r->pending.v[0];
    bool ok = !sim_fault(r->world, r->world->faults.registry_fail);
    (void)arg;
    (void)data;

    if (r->stalled_until_ms > r->world->now_ms) {
        sim_at(r->world, r->party, r->stalled_until_ms - r->world->now_ms, registry_done, r, 0,
               NULL);
        return;
    }
    rv_vec_remove_at(&r->pending, 0);
    r->busy = false;
    if (ok)
        apply(r, &w->op);
    registry_next(r);
    r->on_done(r->ctx, &w->op, ok);
    write_free(w);
}

static void registry_next(struct sim_registry *r) {
    struct sim_world *w = r->world;

    if (r->busy || !r->pending.n)
        return;
    r->busy = true;
    sim_at(w, r->party,
           sim_fault(w, w->faults.registry_slow) ? sim_between(w, 10, 8000) : sim_between(w, 0, 5),
           registry_done, r, 0, NULL);
}

void sim_registry_put(struct sim_registry *r, const struct rv_registry_op *op) {
    rv_vec_push(&r->pending, write_new(op));
    registry_next(r);
}

/* Some of what was under way may have succeeded, unanswered. */
void sim_registry_crash(struct sim_registry *r) {
    size_t keep = sim_below(r->world, r->pending.n + 1);

    for (size_t i = 0; i < r->pending.n; i++) {
        if (i < keep)
            apply(r, &r->pending.v[i]->op);
        write_free(r->pending.v[i]);
    }
    r->pending.n = 0;
    r->busy = false;
}

struct rv_master *sim_registry_boot(struct sim_registry *r, const struct rv_master_config *config,
                                    int64_t now_ms, int64_t wall_ns) {
    struct rv_registry_snapshot s = {.n_agents = r->agents.n,
                                     .n_unreachable = r->unreachable.n,
                                     .n_gone = r->gone.n,
                                     .n_frameworks = r->frameworks.n,
                                     .weights = r->weights.v,
                                     .n_weights = r->weights.n};
    struct rv_agent_info *agents = rv_calloc(r->agents.n + 1, sizeof *agents);
    struct rv_framework_info *frameworks = rv_calloc(r->frameworks.n + 1, sizeof *frameworks);

    for (size_t i = 0; i < r->agents.n; i++)
        agents[i] = *r->agents.v[i];
    for (size_t i = 0; i < r->frameworks.n; i++)
        frameworks[i] = *r->frameworks.v[i];
    s.agents = agents;
    s.frameworks = frameworks;
    s.unreachable = rv_calloc(r->unreachable.n + 1, sizeof *s.unreachable);
    s.gone = rv_calloc(r->gone.n + 1, sizeof *s.gone);
    for (size_t i = 0; i < r->unreachable.n; i++) {
        s.unreachable[i].id.v = r->unreachable.v[i].id;
        s.unreachable[i].wall_ns = r->unreachable.v[i].wall_ns;
    }
    for (size_t i = 0; i < r->gone.n; i++) {
        s.gone[i].id.v = r->gone.v[i].id;
        s.gone[i].wall_ns = r->gone.v[i].wall_ns;
    }
    struct rv_master *m = rv_master_new(config, &s, now_ms, wall_ns);
    free(agents);
    free(frameworks);
    free(s.unreachable);
    free(s.gone);
    return m;
}
