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

void sim_registry_free(struct sim_registry *r) {
    for (size_t i = 0; i < r->pending.n; i++)
        sim_op_free(r->pending.v[i]);
    rv_vec_free(&r->pending);
    sim_content_free(&r->content);
}

static void registry_next(struct sim_registry *r);

static void registry_done(void *ctx, uint64_t arg, void *data) {
    struct sim_registry *r = ctx;
    struct rv_registry_op *op = r->pending.v[0];
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
        sim_content_apply(&r->content, op);
    registry_next(r);
    r->on_done(r->ctx, op, ok);
    sim_op_free(op);
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
    rv_vec_push(&r->pending, sim_op_new(op));
    registry_next(r);
}

/* Some of what was under way may have succeeded, unanswered. */
void sim_registry_crash(struct sim_registry *r) {
    size_t keep = sim_below(r->world, r->pending.n + 1);

    for (size_t i = 0; i < r->pending.n; i++) {
        if (i < keep)
            sim_content_apply(&r->content, r->pending.v[i]);
        sim_op_free(r->pending.v[i]);
    }
    r->pending.n = 0;
    r->busy = false;
}

struct rv_master *sim_registry_boot(struct sim_registry *r, const struct rv_master_config *config,
                                    int64_t now_ms, int64_t wall_ns) {
    struct rv_registry_loaded *loaded = sim_content_load(&r->content);
    struct rv_master *m = rv_master_new(config, rv_registry_snapshot(loaded), now_ms, wall_ns);

    rv_registry_snapshot_free(loaded);
    return m;
}
