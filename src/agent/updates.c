/*
 * Status updates: a stream a task. An update is written, then acknowledged to the executor, then
 * sent, then kept until the scheduler's acknowledgement has come and is written; then the next one.
 *
 * What always holds: of one task one update is under way, and it is durable (INV-35, INV-36); one
 * checkpoint of an update is written at a time, so that they lie on disk in order; nothing follows
 * a terminal update (INV-37). No master is told of what is not durable: after a crash it may never
 * have been. An update whose checkpoint fails is not lost: it waits and is written again (INV-23).
 * Tasks that no checkpoint knows need none for their updates.
 */
#include "agent/internal.h"

enum rv_task_state rv_agent_dropped(const struct rv_framework_info *f) {
    return f && rv_framework_can(f, RV_FRAMEWORK_PARTITION_AWARE) ? RV_TASK_DROPPED : RV_TASK_LOST;
}

static void count(struct rv_agent *a, enum rv_task_state state) {
    switch (state) {
    case RV_TASK_FINISHED:
        a->counters.tasks_finished++;
        break;
    case RV_TASK_FAILED:
        a->counters.tasks_failed++;
        break;
    case RV_TASK_KILLED:
        a->counters.tasks_killed++;
        break;
    case RV_TASK_GONE:
        a->counters.tasks_gone++;
        break;
    case RV_TASK_LOST:
    case RV_TASK_DROPPED:
        a->counters.tasks_lost++;
        break;
    default:
        break;
    }
}

/* --- the queue --- */

void rv_agent_update_push(struct rv_agent *a, struct rv_agent_task *t,
                          const struct rv_task_status *s, bool durable) {
    struct rv_agent_update update = {.durable = durable};
    struct rv_task_status latest = {0};
    struct rv_agent_uuid uuid;

    rv_task_status_copy(&update.status, s);
    rv_vec_push(&t->updates, update);
    rv_task_status_copy(&latest, s);
    if (t->statuses.n == a->config.max_statuses) {
        rv_task_status_free(&t->statuses.v[0]);
        rv_vec_remove_at(&t->statuses, 0);
    }
    rv_vec_push(&t->statuses, latest);
    memcpy(uuid.b, s->uuid, sizeof uuid.b);
    if (t->seen.n == RV_AGENT_SEEN_MAX) {
        rv_vec_remove_at(&t->seen, 0);
    }
    rv_vec_push(&t->seen, uuid);
    t->state = s->state;
    if (durable) {
        t->durable_state = s->state;
    }
    if (rv_task_state_terminal(s->state)) {
        rv_resources_subtract(&t->executor->resources, &t->info.resources);
        t->place = RV_TASK_TERMINATED;
        rv_task_info_forget(&t->info);
        t->kill_pending = false;
    }
}

const struct rv_task_status *rv_agent_durable_status(const struct rv_agent_task *t) {
    size_t n = 0; /* those that are not durable: the last ones, as they are written in order */

    while (n < t->updates.n && !t->updates.v[t->updates.n - 1 - n].durable) {
        n++;
    }
    return t->statuses.n > n ? &t->statuses.v[t->statuses.n - 1 - n] : NULL;
}

void rv_agent_update_pop(struct rv_agent_task *t) {
    rv_task_status_free(&t->updates.v[0].status);
    rv_vec_remove_at(&t->updates, 0);
    t->sent = t->acknowledging = false;
}

static bool is_seen(const struct rv_agent_task *t, const uint8_t uuid[16]) {
    for (size_t i = t->seen.n; i-- > 0;) {
        if (memcmp(t->seen.v[i].b, uuid, 16) == 0) {
            return true;
        }
    }
    return false;
}

static struct rv_agent_update *find_update(const struct rv_agent_task *t, const uint8_t uuid[16]) {
    for (size_t i = 0; i < t->updates.n; i++) {
        if (memcmp(t->updates.v[i].status.uuid, uuid, 16) == 0) {
            return &t->updates.v[i];
        }
    }
    return NULL;
}

void rv_agent_task_complete(struct rv_agent *a, struct rv_agent_task *t) {
    struct rv_agent_executor *ex = t->executor;

    rv_timer_cancel(&a->timers, &t->retry);
    while (t->updates.n) {
        rv_agent_update_pop(t);
    }
    rv_vec_free(&t->updates);
    rv_vec_free(&t->seen);
    if (t->place != RV_TASK_TERMINATED) {
        rv_resources_subtract(&ex->resources, &t->info.resources);
    }
    t->place = RV_TASK_COMPLETED;
    rv_map_remove(&ex->framework->tasks, rv_str(t->id.v));
    rv_map_remove(&ex->tasks, rv_str(t->id.v));
    if (ex->completed.n == a->config.max_completed_tasks) {
        rv_agent_task_free(ex->completed.v[0]);
        rv_vec_remove_at(&ex->completed, 0);
    }
    rv_vec_push(&ex->completed, t);
    rv_agent_check_executor(a, ex);
}

/* --- to disk, to the executor, to the master --- */

static void tell_executor(struct rv_agent *a, const struct rv_agent_executor *ex,
                          const char *task_id, const uint8_t uuid[16]) {
    struct rv_executor_event *event;

    if (!ex->stream) {
        return;
    }
    event = rv_agent_send_stream(a, ex->stream, RV_EXECUTOR_EVENT_ACKNOWLEDGED);
    event->acknowledged.task_id.v = rv_agent_hold_string(a, task_id);
    memcpy(event->acknowledged.uuid, uuid, 16);
}

static void set_durable(struct rv_agent *a, struct rv_agent_task *t, struct rv_agent_update *u) {
    u->durable = true;
    t->durable_state = u->status.state;
    if (u->status.source == RV_SOURCE_EXECUTOR) {
        tell_executor(a, t->executor, t->id.v, u->status.uuid);
    }
}

void rv_agent_updates_write(struct rv_agent *a, struct rv_agent_task *t) {
    bool needed = t->executor->framework->info.checkpoint && t->kept != RV_KEPT_NO;

    if (needed && t->kept == RV_KEPT_WRITING) {
        return; /* of a task that nothing durable knows its updates are not written either */
    }
    for (size_t i = 0; i < t->updates.n && !t->writing; i++) {
        struct rv_agent_update *u = &t->updates.v[i];
        if (u->durable) {
            continue;
        }
        if (needed) {
            t->writing = true;
            rv_agent_write_update(a, t, &u->status);
        } else {
            set_durable(a, t, u);
        }
    }
    rv_agent_updates_send(a, t);
}

void rv_agent_update_written(struct rv_agent *a, struct rv_agent_task *t, const uint8_t uuid[16],
                             bool ok, const char *message) {
    struct rv_agent_update *u = find_update(t, uuid);

    if (!u || u->durable) {
        return; /* of an earlier task of this id */
    }
    t->writing = false;
    if (ok) {
        set_durable(a, t, u);
        rv_agent_updates_write(a, t);
        return;
    }
    rv_agent_log(a, RV_LOG_ERROR, "an update of task %s waits until it can be written: %s", t->id.v,
                 message);
    if (!rv_timer_is_set(&t->retry)) {
        rv_timer_set(&a->timers, &t->retry, a->now_ms + a->config.update_retry_ms);
    }
}

static void send_first(struct rv_agent *a, struct rv_agent_task *t) {
    struct rv_agent_call *c = rv_agent_send_master(a, RV_AGENT_CALL_STATUS_UPDATE);

    c->update.framework_id.v = rv_agent_hold_string(a, t->executor->framework->id.v);
    c->update.status = rv_agent_hold_status(a, &t->updates.v[0].status);
    c->update.latest_state = t->durable_state;
    t->sent = true;
    rv_timer_set(&a->timers, &t->retry, a->now_ms + t->retry_ms);
}

void rv_agent_updates_send(struct rv_agent *a, struct rv_agent_task *t) {
    if (a->link == RV_LINK_REGISTERED && !t->sent && !t->acknowledging && t->updates.n &&
        t->updates.v[0].durable) {
        t->retry_ms = a->config.update_retry_ms;
        send_first(a, t);
    }
}

int64_t rv_agent_retry_doubled(const struct rv_agent *a, int64_t ms) {
    return RV_MIN(ms > INT64_MAX / 2 ? INT64_MAX : ms * 2, a->config.update_retry_max_ms);
}

void rv_agent_retry_due(struct rv_agent *a, struct rv_agent_task *t) {
    if (t->acknowledging) {
        rv_timer_set(&a->timers, &t->retry, a->now_ms + t->retry_ms);
    } else if (t->sent && a->link == RV_LINK_REGISTERED) {
        a->counters.updates_resent++;
        t->retry_ms = rv_agent_retry_doubled(a, t->retry_ms);
        send_first(a, t);
    }
    rv_agent_updates_write(a, t);
}

void rv_agent_updates_resume(struct rv_agent *a) {
    struct rv_agent_framework *fw;
    struct rv_agent_task *t;

    rv_agent_strays_clear(a);
    for (size_t i = 0; rv_map_next(&a->frameworks, &i, NULL, (void **)&fw);) {
        for (size_t j = 0; rv_map_next(&fw->tasks, &j, NULL, (void **)&t);) {
            rv_agent_updates_send(a, t);
        }
    }
}

void rv_agent_updates_again(struct rv_agent *a, struct rv_agent_framework *fw) {
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&fw->tasks, &i, NULL, (void **)&t);) {
        t->sent = false;
        rv_agent_updates_send(a, t);
    }
}

void rv_agent_updates_pause(struct rv_agent *a) {
    struct rv_agent_framework *fw;
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&a->frameworks, &i, NULL, (void **)&fw);) {
        for (size_t j = 0; rv_map_next(&fw->tasks, &j, NULL, (void **)&t);) {
            t->sent = false; /* a timer that is set still writes what could not be written */
        }
    }
    rv_agent_strays_clear(a);
}

/* --- in --- */

static void take(struct rv_agent *a, struct rv_agent_task *t, struct rv_task_status *s) {
    bool terminal = rv_task_state_terminal(s->state);

    rv_agent_drain_status(a, t, s);
    rv_agent_update_push(a, t, s, false);
    if (terminal) {
        count(a, s->state);
    }
    if (t->executor->framework->terminating) {
        /* Nobody is there to hear of it. */
        if (s->source == RV_SOURCE_EXECUTOR) {
            tell_executor(a, t->executor, t->id.v, s->uuid);
        }
        while (t->updates.n) {
            rv_agent_update_pop(t);
        }
        if (terminal) {
            rv_agent_task_complete(a, t);
        }
        return;
    }
    if (terminal) {
        rv_agent_executor_resize(a, t->executor);
    }
    rv_agent_updates_write(a, t);
}

void rv_agent_task_end(struct rv_agent *a, struct rv_agent_task *t, enum rv_task_state state,
                       enum rv_reason reason, const char *message, const struct rv_blob *rest) {
    struct rv_agent_executor *ex = t->executor;
    struct rv_task_status s = {.task_id = t->id,
                               .state = state,
                               .source = RV_SOURCE_AGENT,
                               .has_source = true,
                               .reason = reason,
                               .message = rv_agent_hold_string(a, message),
                               .agent_id = a->info.id,
                               .executor_id = ex->info.id,
                               .timestamp_ns = a->wall_ns,
                               .has_uuid = true,
                               .healthy = -1,
                               .rest = rv_blob_ref(rest)};

    if (ex->started) {
        s.container_id = ex->container_id;
    }
    rv_prng_uuid(&a->prng, s.uuid);
    take(a, t, &s);
    rv_blob_unref(s.rest);
}

static const char *status_problem(const struct rv_agent_executor *ex,
                                  const struct rv_task_status *s) {
    switch (s->state) {
    case RV_TASK_STAGING:
    case RV_TASK_UNREACHABLE:
    case RV_TASK_GONE_BY_OPERATOR:
    case RV_TASK_UNKNOWN:
        return "update.status.state: an executor cannot send this state";
    default:
        break;
    }
    if (s->has_source && s->source != RV_SOURCE_EXECUTOR) {
        return "update.status.source: must be SOURCE_EXECUTOR";
    }
    if (s->executor_id.v && !rv_executor_id_eq(s->executor_id, ex->info.id)) {
        return "update.status.executor_id: is another executor's";
    }
    return NULL;
}

static bool is_completed(const struct rv_agent_executor *ex, const char *task_id) {
    for (size_t i = 0; i < ex->completed.n; i++) {
        if (rv_streq(ex->completed.v[i]->id.v, task_id)) {
            return true;
        }
    }
    return false;
}

/* What the agent has heard already, or need not hear, is acknowledged at once, so that the executor
 * does not say it again; but not before it is durable. */
static bool is_old_news(const struct rv_agent_task *t, const struct rv_task_status *s) {
    return (s->has_uuid && is_seen(t, s->uuid)) || t->place == RV_TASK_TERMINATED ||
           (s->state == RV_TASK_KILLING &&
            !rv_framework_can(&t->executor->framework->info, RV_FRAMEWORK_TASK_KILLING_STATE));
}

static void answer_old_news(struct rv_agent *a, const struct rv_agent_task *t,
                            const struct rv_task_status *s) {
    const struct rv_agent_update *u = s->has_uuid ? find_update(t, s->uuid) : NULL;

    if (s->has_uuid && (!u || u->durable)) {
        tell_executor(a, t->executor, t->id.v, s->uuid);
    }
}

static int refuse(struct rv_agent *a, const char **why, int status, const char *message) {
    a->counters.invalid_status_updates++;
    *why = message;
    return status;
}

int rv_agent_executor_update(struct rv_agent *a, struct rv_agent_executor *ex,
                             const struct rv_task_status *s, const char **why) {
    struct rv_agent_task *t = rv_map_gets(&ex->tasks, s->task_id.v);
    const char *problem = status_problem(ex, s);
    struct rv_task_status full = *s;

    if (problem) {
        return refuse(a, why, 400, problem);
    }
    if (!t && is_completed(ex, s->task_id.v)) {
        if (s->has_uuid) {
            tell_executor(a, ex, s->task_id.v, s->uuid);
        }
        return 0;
    }
    if (!t || t->place == RV_TASK_QUEUED) {
        return refuse(a, why, 400, "update.status.task_id: not a task of this executor");
    }
    if (is_old_news(t, s)) {
        answer_old_news(a, t, s);
        return 0;
    }
    if (t->updates.n >= RV_AGENT_UPDATES_MAX && !rv_task_state_terminal(s->state)) {
        return refuse(a, why, 503, "too many updates of this task are not yet acknowledged");
    }
    full.task_id = t->id;
    full.has_source = true;
    full.source = RV_SOURCE_EXECUTOR;
    full.agent_id = a->info.id;
    full.executor_id = ex->info.id;
    if (full.timestamp_ns == 0) {
        full.timestamp_ns = a->wall_ns;
    }
    if (!full.has_uuid) {
        full.has_uuid = true;
        rv_prng_uuid(&a->prng, full.uuid);
    }
    if (!full.container_id.v) {
        full.container_id = ex->container_id;
    }
    a->counters.valid_status_updates++;
    take(a, t, &full);
    return 0;
}

/* --- acknowledgements --- */

static void forget_stray(struct rv_agent *a, size_t i) {
    struct rv_agent_stray *s = a->strays.v[i];

    rv_vec_remove_at(&a->strays, i);
    rv_timer_cancel(&a->timers, &s->timer);
    rv_task_status_free(&s->status);
    free(s->framework_id);
    free(s);
}

static bool is_first(const struct rv_agent_task *t, const uint8_t uuid[16]) {
    return t->updates.n && memcmp(t->updates.v[0].status.uuid, uuid, 16) == 0;
}

static void first_done(struct rv_agent *a, struct rv_agent_task *t) {
    rv_agent_update_pop(t);
    rv_timer_cancel(&a->timers, &t->retry);
    if (t->updates.n == 0 && t->place == RV_TASK_TERMINATED) {
        rv_agent_task_complete(a, t);
    } else {
        rv_agent_updates_write(a, t);
    }
}

/* The next update follows only now: after a crash this one would come again behind it. If it could
 * not be written the update is sent again in its time, and acknowledged again. */
void rv_agent_acknowledged_written(struct rv_agent *a, struct rv_agent_task *t,
                                   const uint8_t uuid[16], bool ok) {
    if (!is_first(t, uuid)) {
        return; /* of an earlier task of this id */
    }
    t->acknowledging = false;
    if (ok) {
        first_done(a, t);
    } else {
        rv_agent_updates_send(a, t); /* if it was not sent to this master, and waited for this */
    }
}

void rv_agent_acknowledge(struct rv_agent *a, const char *framework_id, const char *task_id,
                          const uint8_t uuid[16]) {
    struct rv_agent_framework *fw = rv_agent_framework_find(a, framework_id);
    struct rv_agent_task *t = fw ? rv_map_gets(&fw->tasks, task_id) : NULL;

    if (t && t->sent && is_first(t, uuid)) {
        if (!fw->info.checkpoint || t->kept == RV_KEPT_NO) {
            first_done(a, t);
        } else if (!t->acknowledging) {
            t->acknowledging = true;
            rv_agent_write_acknowledged(a, t, uuid);
        }
        return;
    }
    for (size_t i = 0; i < a->strays.n; i++) {
        const struct rv_agent_stray *s = a->strays.v[i];
        if (rv_streq(s->framework_id, framework_id) && rv_streq(s->status.task_id.v, task_id) &&
            memcmp(s->status.uuid, uuid, 16) == 0) {
            forget_stray(a, i);
            return;
        }
    }
}

/* --- updates without a task --- */

static void send_stray(struct rv_agent *a, struct rv_agent_stray *s) {
    struct rv_agent_call *c = rv_agent_send_master(a, RV_AGENT_CALL_STATUS_UPDATE);

    c->update.framework_id.v = rv_agent_hold_string(a, s->framework_id);
    c->update.status = rv_agent_hold_status(a, &s->status);
    c->update.latest_state = s->status.state;
    rv_timer_set(&a->timers, &s->timer, a->now_ms + s->retry_ms);
}

void rv_agent_stray(struct rv_agent *a, const char *framework_id, const char *task_id,
                    enum rv_task_state state, enum rv_reason reason, const char *message) {
    struct rv_task_status status = {.task_id = {task_id},
                                    .state = state,
                                    .source = RV_SOURCE_AGENT,
                                    .has_source = true,
                                    .reason = reason,
                                    .message = rv_agent_hold_string(a, message),
                                    .agent_id = a->info.id,
                                    .timestamp_ns = a->wall_ns,
                                    .has_uuid = true,
                                    .healthy = -1};
    struct rv_agent_stray *s;

    if (!framework_id || !task_id) {
        return;
    }
    if (a->strays.n >= RV_AGENT_STRAYS_MAX) {
        forget_stray(a, 0);
    }
    rv_prng_uuid(&a->prng, status.uuid);
    count(a, state);
    s = rv_calloc(1, sizeof *s);
    s->framework_id = rv_strdup(framework_id);
    rv_task_status_copy(&s->status, &status);
    s->timer.kind = RV_TIMER_STRAY;
    s->retry_ms = a->config.update_retry_ms;
    rv_vec_push(&a->strays, s);
    send_stray(a, s);
}

void rv_agent_stray_due(struct rv_agent *a, struct rv_agent_stray *s) {
    s->retry_ms = rv_agent_retry_doubled(a, s->retry_ms);
    a->counters.updates_resent++;
    send_stray(a, s);
}

void rv_agent_strays_clear(struct rv_agent *a) {
    while (a->strays.n) {
        forget_stray(a, a->strays.n - 1);
    }
}

static const struct rv_framework_info *known_framework(const struct rv_agent *a, const char *id) {
    struct rv_agent_framework *fw = rv_agent_framework_find(a, id);

    for (size_t i = 0; !fw && i < a->completed.n; i++) {
        if (rv_streq(a->completed.v[i]->id.v, id)) {
            fw = a->completed.v[i];
        }
    }
    return fw ? &fw->info : NULL;
}

static bool has_stray(const struct rv_agent *a, const char *framework_id, const char *task_id) {
    for (size_t i = 0; i < a->strays.n; i++) {
        if (rv_streq(a->strays.v[i]->framework_id, framework_id) &&
            rv_streq(a->strays.v[i]->status.task_id.v, task_id)) {
            return true;
        }
    }
    return false;
}

void rv_agent_reconcile(struct rv_agent *a, const struct rv_agent_event *e) {
    const char *framework_id = e->reconcile.framework_id.v;
    struct rv_agent_framework *fw = rv_agent_framework_find(a, framework_id);
    const struct rv_framework_info *info = known_framework(a, framework_id);

    for (size_t i = 0; i < e->reconcile.n; i++) {
        const char *id = e->reconcile.task_ids[i].v;
        if ((fw && rv_map_gets(&fw->tasks, id)) || has_stray(a, framework_id, id)) {
            continue; /* what is to be said about it is under way */
        }
        rv_agent_stray(a, framework_id, id, rv_agent_dropped(info), RV_REASON_RECONCILIATION,
                       "The task is unknown to the agent");
    }
}
