/*
 * What the core asks of the shell, and the checkpoints with what waits for them.
 *
 * Effects own what they point to: strings are copied into their arena, infos and statuses as
 * counted copies that rv_agent_effects_clear releases. So records may change and go in the step
 * that told about them. A copy costs some small allocations; blobs and kinds are shared.
 *
 * What waits for a checkpoint is remembered by ids, not by pointers, and found again when it is
 * done; by then the record may be gone, or be another one of the same id, which its number tells.
 */
#include "agent/internal.h"

/* --- life --- */

struct rv_agent_hold {
    struct rv_agent_hold *next;
    void (*release)(void *what);
    void *what;
};

static void release_holds(struct rv_agent_effects *e) {
    for (struct rv_agent_hold *h = e->holds; h; h = h->next) {
        h->release(h->what);
    }
    e->holds = NULL;
}

void rv_agent_effects_clear(struct rv_agent_effects *e) {
    release_holds(e);
    e->n = 0;
    rv_arena_reset(&e->arena);
}

void rv_agent_effects_free(struct rv_agent_effects *e) {
    release_holds(e);
    free(e->v);
    rv_arena_free(&e->arena);
    *e = (struct rv_agent_effects){0};
}

/* --- copies --- */

static void *hold(struct rv_agent *a, size_t size, void (*release)(void *)) {
    struct rv_agent_effects *e = a->out;
    struct rv_agent_hold *h = RV_ARENA_NEW(&e->arena, struct rv_agent_hold);

    h->what = rv_arena_zalloc(&e->arena, size);
    h->release = release;
    h->next = e->holds;
    e->holds = h;
    return h->what;
}

static void release_status(void *what) {
    rv_task_status_free(what);
}
static void release_task(void *what) {
    rv_task_info_free(what);
}
static void release_executor(void *what) {
    rv_executor_info_free(what);
}
static void release_framework(void *what) {
    rv_framework_info_free(what);
}
static void release_resources(void *what) {
    rv_resources_free(what);
}
static void release_operation(void *what) {
    rv_operation_free(what);
}
static void release_info(void *what) {
    rv_agent_info_free(what);
}

char *rv_agent_hold_string(struct rv_agent *a, const char *s) {
    return s ? rv_arena_strdup(&a->out->arena, s) : NULL;
}

struct rv_task_status *rv_agent_hold_status(struct rv_agent *a, const struct rv_task_status *s) {
    struct rv_task_status *copy = hold(a, sizeof *copy, release_status);
    rv_task_status_copy(copy, s);
    return copy;
}

struct rv_task_info *rv_agent_hold_task(struct rv_agent *a, const struct rv_task_info *t) {
    struct rv_task_info *copy = hold(a, sizeof *copy, release_task);
    rv_task_info_copy(copy, t);
    return copy;
}

struct rv_executor_info *rv_agent_hold_executor(struct rv_agent *a,
                                                const struct rv_executor_info *e) {
    struct rv_executor_info *copy = hold(a, sizeof *copy, release_executor);
    rv_executor_info_copy(copy, e);
    return copy;
}

struct rv_framework_info *rv_agent_hold_framework(struct rv_agent *a,
                                                  const struct rv_framework_info *f) {
    struct rv_framework_info *copy = hold(a, sizeof *copy, release_framework);
    rv_framework_info_copy(copy, f);
    return copy;
}

struct rv_resources *rv_agent_hold_resources(struct rv_agent *a, const struct rv_resources *r) {
    struct rv_resources *copy = hold(a, sizeof *copy, release_resources);
    rv_resources_copy(copy, r);
    return copy;
}

struct rv_agent_info *rv_agent_hold_info(struct rv_agent *a, const struct rv_agent_info *i) {
    struct rv_agent_info *copy = hold(a, sizeof *copy, release_info);
    rv_agent_info_copy(copy, i);
    return copy;
}

struct rv_operation *rv_agent_hold_operation(struct rv_agent *a, const struct rv_operation *o) {
    struct rv_operation *copy = hold(a, sizeof *copy, release_operation);
    rv_operation_copy(copy, o);
    return copy;
}

/* The task that a command executor was made for; NULL: gone already. */
static const struct rv_task_info *command_task(const struct rv_agent_executor *ex) {
    struct rv_agent_task *t = rv_map_gets(&ex->tasks, ex->info.id.v);
    return ex->command && t ? &t->info : NULL;
}

struct rv_launch *rv_agent_hold_launch(struct rv_agent *a, const struct rv_agent_executor *ex) {
    struct rv_launch *l = RV_ARENA_NEW(&a->out->arena, struct rv_launch);
    const struct rv_task_info *task = command_task(ex);

    l->container_id.v = rv_agent_hold_string(a, ex->container_id.v);
    l->framework = rv_agent_hold_framework(a, &ex->framework->info);
    l->executor = rv_agent_hold_executor(a, &ex->info);
    l->task = task ? rv_agent_hold_task(a, task) : NULL;
    l->directory = rv_agent_hold_string(a, ex->directory);
    l->user = rv_agent_hold_string(a, ex->user);
    l->resources = rv_agent_hold_resources(a, &ex->resources);
    l->limits = rv_agent_executor_limits(a, ex);
    l->checkpoint = ex->framework->info.checkpoint;
    l->shutdown_grace_ms = ex->info.shutdown_grace_ms >= 0 ? ex->info.shutdown_grace_ms
                                                           : a->config.executor_shutdown_grace_ms;
    return l;
}

/* --- effects --- */

struct rv_agent_effect *rv_agent_emit(struct rv_agent *a, enum rv_agent_effect_kind kind) {
    struct rv_agent_effect effect = {.kind = kind};
    rv_vec_push(a->out, effect);
    return &a->out->v[a->out->n - 1];
}

void rv_agent_log_text(struct rv_agent *a, int level, const char *text) {
    struct rv_agent_effect *e = rv_agent_emit(a, RV_AGENT_LOG);
    e->level = level;
    e->message = text;
}

void rv_agent_reply(struct rv_agent *a, uint64_t request, int status, const char *message) {
    const char *copy = rv_agent_hold_string(a, message);
    struct rv_agent_effect *e = rv_agent_emit(a, RV_AGENT_REPLY);

    e->request = request;
    e->status = status;
    e->message = copy;
}

struct rv_agent_call *rv_agent_send_master(struct rv_agent *a, enum rv_agent_call_type type) {
    struct rv_agent_call *call = RV_ARENA_NEW(&a->out->arena, struct rv_agent_call);
    bool opens = type == RV_AGENT_CALL_REGISTER || type == RV_AGENT_CALL_REREGISTER;

    call->type = type;
    call->agent_id.v = rv_agent_hold_string(a, a->info.id.v);
    rv_agent_emit(a, opens ? RV_AGENT_REGISTER : RV_AGENT_SEND_MASTER)->call = call;
    return call;
}

struct rv_executor_event *rv_agent_send_stream(struct rv_agent *a, uint64_t stream,
                                               enum rv_executor_event_type type) {
    struct rv_executor_event *event = RV_ARENA_NEW(&a->out->arena, struct rv_executor_event);
    struct rv_agent_effect *e = rv_agent_emit(a, RV_AGENT_SEND_EXECUTOR);

    event->type = type;
    e->stream = stream;
    e->executor = event;
    return event;
}

void rv_agent_destroy_container(struct rv_agent *a, struct rv_agent_executor *ex) {
    const char *id = rv_agent_hold_string(a, ex->container_id.v);

    ex->destroyed = true;
    rv_agent_emit(a, RV_AGENT_DESTROY_CONTAINER)->container.v = id;
}

/* --- checkpoints --- */

const char *rv_checkpoint_kind_name(enum rv_checkpoint_kind kind) {
    static const char *const names[] = {
#define X(name, text) text,
        RV_CHECKPOINT_KINDS(X)
#undef X
    };

    return (size_t)kind < RV_COUNT(names) ? names[kind] : "unknown";
}

struct waiting {
    enum rv_checkpoint_kind kind;
    char *framework_id, *id; /* id: of the task, or of the container */
    uint8_t uuid[16];
};

static struct waiting *waiting_free(struct waiting *w) {
    free(w->framework_id);
    free(w->id);
    free(w);
    return NULL;
}

static struct rv_checkpoint *write_record(struct rv_agent *a, enum rv_checkpoint_kind kind,
                                          const char *framework_id, const char *id,
                                          const uint8_t uuid[16]) {
    struct rv_checkpoint *c = RV_ARENA_NEW(&a->out->arena, struct rv_checkpoint);
    struct waiting *w = rv_calloc(1, sizeof *w);

    c->kind = kind;
    c->seq = ++a->next_checkpoint;
    c->framework_id.v = rv_agent_hold_string(a, framework_id);
    w->kind = kind;
    w->framework_id = rv_strdup(framework_id);
    w->id = rv_strdup(id);
    if (uuid) {
        memcpy(w->uuid, uuid, sizeof w->uuid);
        memcpy(c->uuid, uuid, sizeof c->uuid);
    }
    rv_map_put(&a->pending, rv_agent_number_key(&c->seq), w);
    rv_agent_emit(a, RV_AGENT_CHECKPOINT)->checkpoint = c;
    return c;
}

/* What operations made stays when the agent becomes another one, as the volumes do. */
static void write_total(struct rv_agent *a, struct rv_checkpoint *c) {
    if (!rv_resources_eq(&a->total, &a->info.resources)) {
        c->total = rv_agent_hold_resources(a, &a->total);
    }
}

uint64_t rv_agent_write_info(struct rv_agent *a) {
    struct rv_checkpoint *c = write_record(a, RV_CHECKPOINT_AGENT, NULL, NULL, NULL);
    c->agent = rv_agent_hold_info(a, &a->info);
    c->boot_id = rv_agent_hold_string(a, a->config.boot_id);
    c->containerizer = rv_agent_hold_string(a, a->config.containerizer);
    write_total(a, c);
    return c->seq;
}

uint64_t rv_agent_write_anew(struct rv_agent *a) {
    struct rv_checkpoint *c = write_record(a, RV_CHECKPOINT_ANEW, NULL, NULL, NULL);
    write_total(a, c);
    return c->seq;
}

uint64_t rv_agent_write_framework(struct rv_agent *a, const struct rv_agent_framework *fw) {
    struct rv_checkpoint *c = write_record(a, RV_CHECKPOINT_FRAMEWORK, fw->id.v, NULL, NULL);
    c->framework = rv_agent_hold_framework(a, &fw->info);
    return c->seq;
}

static void name_executor(struct rv_agent *a, struct rv_checkpoint *c,
                          const struct rv_agent_executor *ex) {
    c->executor_id.v = rv_agent_hold_string(a, ex->info.id.v);
    c->container_id.v = rv_agent_hold_string(a, ex->container_id.v);
}

uint64_t rv_agent_write_executor(struct rv_agent *a, const struct rv_agent_executor *ex) {
    struct rv_checkpoint *c =
        write_record(a, RV_CHECKPOINT_EXECUTOR, ex->framework->id.v, ex->container_id.v, NULL);
    c->launch = rv_agent_hold_launch(a, ex);
    name_executor(a, c, ex);
    return c->seq;
}

uint64_t rv_agent_write_executor_done(struct rv_agent *a, const struct rv_agent_executor *ex) {
    struct rv_checkpoint *c =
        write_record(a, RV_CHECKPOINT_EXECUTOR_DONE, ex->framework->id.v, ex->container_id.v, NULL);
    name_executor(a, c, ex);
    return c->seq;
}

static struct rv_checkpoint *write_of_task(struct rv_agent *a, enum rv_checkpoint_kind kind,
                                           const struct rv_agent_task *t, const uint8_t uuid[16]) {
    struct rv_checkpoint *c = write_record(a, kind, t->executor->framework->id.v, t->id.v, uuid);
    name_executor(a, c, t->executor);
    c->task_id.v = rv_agent_hold_string(a, t->id.v);
    return c;
}

uint64_t rv_agent_write_task(struct rv_agent *a, const struct rv_agent_task *t) {
    struct rv_checkpoint *c = write_of_task(a, RV_CHECKPOINT_TASK, t, NULL);
    c->task = rv_agent_hold_task(a, &t->info);
    return c->seq;
}

uint64_t rv_agent_write_update(struct rv_agent *a, const struct rv_agent_task *t,
                               const struct rv_task_status *s) {
    struct rv_checkpoint *c = write_of_task(a, RV_CHECKPOINT_UPDATE, t, s->uuid);
    c->status = rv_agent_hold_status(a, s);
    return c->seq;
}

void rv_agent_write_acknowledged(struct rv_agent *a, const struct rv_agent_task *t,
                                 const uint8_t uuid[16]) {
    write_of_task(a, RV_CHECKPOINT_ACKNOWLEDGED, t, uuid);
}

uint64_t rv_agent_write_operation(struct rv_agent *a, const struct rv_agent_operation *o) {
    struct rv_checkpoint *c =
        write_record(a, RV_CHECKPOINT_OPERATION, o->framework_id.v, NULL, o->uuid);
    c->operation = rv_agent_hold_operation(a, &o->operation);
    c->operation_status = rv_agent_operation_status(a, o);
    c->total = rv_agent_hold_resources(a, &a->total);
    return c->seq;
}

uint64_t rv_agent_write_operation_done(struct rv_agent *a, const uint8_t uuid[16]) {
    return write_record(a, RV_CHECKPOINT_OPERATION_DONE, NULL, NULL, uuid)->seq;
}

/* A record that was written and the one that is there now are the same if the number is. */
static void written(struct rv_agent *a, const struct waiting *w, uint64_t seq, bool ok,
                    const char *message) {
    struct rv_agent_framework *fw = rv_agent_framework_find(a, w->framework_id);
    struct rv_agent_executor *ex;
    struct rv_agent_task *t;

    switch (w->kind) {
    case RV_CHECKPOINT_AGENT:
        if (a->write == seq) {
            rv_agent_info_written(a, ok, message);
        }
        break;
    case RV_CHECKPOINT_FRAMEWORK:
        if (fw && fw->write == seq) {
            rv_agent_framework_written(a, fw, ok, message);
        }
        break;
    case RV_CHECKPOINT_EXECUTOR:
        ex = rv_map_gets(&a->containers, w->id);
        if (ex && ex->write == seq) {
            rv_agent_executor_written(a, ex, ok, message);
        }
        break;
    case RV_CHECKPOINT_TASK:
        t = fw ? rv_map_gets(&fw->tasks, w->id) : NULL;
        if (t && t->write == seq) {
            rv_agent_task_written(a, t, ok, message);
        }
        break;
    case RV_CHECKPOINT_UPDATE:
        t = fw ? rv_map_gets(&fw->tasks, w->id) : NULL;
        if (t) {
            rv_agent_update_written(a, t, w->uuid, ok, message);
        }
        break;
    case RV_CHECKPOINT_ANEW:
        a->anew_done = a->anew_done ||
                       a->anew == seq; /* if it failed, the end cannot wait for a better disk */
        break;
    case RV_CHECKPOINT_OPERATION:
        rv_agent_operation_written(a, w->uuid, seq, ok, message);
        break;
    case RV_CHECKPOINT_ACKNOWLEDGED:
        t = fw ? rv_map_gets(&fw->tasks, w->id) : NULL;
        if (t) {
            rv_agent_acknowledged_written(a, t, w->uuid, ok);
        }
        break;
    case RV_CHECKPOINT_EXECUTOR_DONE:
    case RV_CHECKPOINT_OPERATION_DONE:
    case RV_CHECKPOINT_KIND_MAX:
        break;
    }
}

void rv_agent_write_done(struct rv_agent *a, uint64_t seq, bool ok, const char *message) {
    struct waiting *w = rv_map_remove(&a->pending, rv_agent_number_key(&seq));

    if (!w) {
        return;
    }
    if (!ok) {
        rv_agent_log(a, RV_LOG_ERROR, "cannot write checkpoint %llu: %s", (unsigned long long)seq,
                     message ? message : "unknown");
    }
    written(a, w, seq, ok, message ? message : "cannot write the checkpoint");
    waiting_free(w);
}

void rv_agent_pending_free(struct rv_agent *a) {
    struct waiting *w;

    for (size_t it = 0; rv_map_next(&a->pending, &it, NULL, (void **)&w);) {
        waiting_free(w);
    }
    rv_map_free(&a->pending);
}
