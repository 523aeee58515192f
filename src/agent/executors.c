/*
 * Executors: their records and those of their tasks, what they call, how they end.
 *
 * An executor goes REGISTERING (its container is asked for, or waits for its checkpoint), RUNNING
 * (it has subscribed once; stream tells whether it is connected now), TERMINATING (asked or made to
 * end), TERMINATED (nothing of it is left; it stays until its tasks' updates are acknowledged).
 * While it is not TERMINATED it is in a->containers. Its stream, if any, is in a->streams.
 */
#include "agent/internal.h"

/* --- records --- */

struct rv_agent_executor *rv_agent_executor_make(struct rv_agent *a, struct rv_agent_framework *fw,
                                                 const struct rv_executor_info *info,
                                                 const char *container_id, const char *directory,
                                                 const char *user) {
    struct rv_agent_executor *ex = rv_calloc(1, sizeof *ex);

    rv_executor_info_copy(&ex->info, info);
    ex->framework = fw;
    ex->container_id.v = rv_strdup(container_id);
    ex->directory = rv_strdup(directory);
    ex->user = rv_strdup(user);
    ex->state = RV_EXECUTOR_REGISTERING;
    ex->command = info->type == RV_EXECUTOR_COMMAND;
    ex->timer.kind = RV_TIMER_EXECUTOR;
    ex->heartbeat.kind = RV_TIMER_HEARTBEAT;
    ex->reason = RV_REASON_NONE;
    rv_resources_copy(&ex->resources, &ex->info.resources);
    rv_map_put(&fw->executors, rv_str(ex->info.id.v), ex);
    rv_map_put(&a->containers, rv_str(ex->container_id.v), ex);
    rv_agent_directory_used(a, ex->directory);
    return ex;
}

struct rv_agent_executor *rv_agent_executor_free(struct rv_agent_executor *ex) {
    struct rv_agent_task *t;

    if (!ex) {
        return NULL;
    }
    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        rv_agent_task_free(t);
    }
    for (size_t i = 0; i < ex->completed.n; i++) {
        rv_agent_task_free(ex->completed.v[i]);
    }
    rv_vec_free(&ex->completed);
    rv_map_free(&ex->tasks);
    rv_resources_free(&ex->resources);
    rv_executor_info_free(&ex->info);
    free((char *)(uintptr_t)ex->container_id.v);
    free(ex->directory);
    free(ex->user);
    free(ex->message);
    free(ex);
    return NULL;
}

struct rv_agent_task *rv_agent_task_make(struct rv_agent_executor *ex,
                                         const struct rv_task_info *info) {
    struct rv_agent_task *t = rv_calloc(1, sizeof *t);

    rv_task_info_copy(&t->info, info);
    t->id.v = rv_strdup(info->id.v);
    t->executor = ex;
    t->place = RV_TASK_QUEUED;
    t->state = t->durable_state = RV_TASK_STAGING;
    t->retry.kind = RV_TIMER_RETRY;
    t->kill_grace_ms = -1;
    rv_resources_add(&ex->resources, &t->info.resources);
    rv_map_put(&ex->tasks, rv_str(t->id.v), t);
    rv_map_put(&ex->framework->tasks, rv_str(t->id.v), t);
    return t;
}

struct rv_agent_task *rv_agent_task_free(struct rv_agent_task *t) {
    if (!t) {
        return NULL;
    }
    for (size_t i = 0; i < t->statuses.n; i++) {
        rv_task_status_free(&t->statuses.v[i]);
    }
    for (size_t i = 0; i < t->updates.n; i++) {
        rv_task_status_free(&t->updates.v[i].status);
    }
    rv_vec_free(&t->statuses);
    rv_vec_free(&t->updates);
    rv_vec_free(&t->seen);
    rv_task_info_free(&t->info);
    free((char *)(uintptr_t)t->id.v);
    free(t);
    return NULL;
}

static int64_t plus(int64_t a, int64_t b) {
    return a == RV_LIMIT_INFINITE || b == RV_LIMIT_INFINITE ? RV_LIMIT_INFINITE : a + b;
}

/* What has no limit of its own counts with what it asked for, so that the whole is not limited
 * below its request. */
struct rv_limits rv_agent_executor_limits(const struct rv_agent *a,
                                          const struct rv_agent_executor *ex) {
    const struct rv_resources *own = &ex->info.resources;
    struct rv_limits sum = {rv_resources_quantity(own, "cpus"), rv_resources_quantity(own, "mem")};
    bool cpus = false, mem = false, cpus_unlimited = false;
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        const struct rv_task_info *info = &t->info;
        int64_t cpus_asked = rv_resources_quantity(&info->resources, "cpus");
        if (t->place == RV_TASK_TERMINATED) {
            continue;
        }
        cpus = cpus || info->limits.cpus;
        mem = mem || info->limits.mem;
        /* It may use all that is free: a limit of the others must not be one for it. */
        cpus_unlimited =
            cpus_unlimited || (!info->limits.cpus && cpus_asked > 0 && !a->config.cpu_quota);
        sum.cpus = plus(sum.cpus, info->limits.cpus ? info->limits.cpus : cpus_asked);
        sum.mem = plus(sum.mem, info->limits.mem ? info->limits.mem
                                                 : rv_resources_quantity(&info->resources, "mem"));
    }
    return (struct rv_limits){cpus && !cpus_unlimited ? sum.cpus : 0, mem ? sum.mem : 0};
}

void rv_agent_executor_resize(struct rv_agent *a, struct rv_agent_executor *ex) {
    const struct rv_launch *launch;

    /* A command executor's container ends with its task: there is nothing to give back. And what is
     * still being made is not shown: the folder of a volume is cleared once its record is durable.
     */
    if (ex->started && !ex->command && ex->state <= RV_EXECUTOR_RUNNING &&
        !rv_agent_has_relying(a, ex)) {
        launch = rv_agent_hold_launch(a, ex);
        rv_agent_emit(a, RV_AGENT_UPDATE_CONTAINER)->launch = launch;
    }
}

/* --- the stream --- */

static void forget_stream(struct rv_agent *a, struct rv_agent_executor *ex) {
    rv_map_remove(&a->streams, rv_agent_number_key(&ex->stream));
    rv_timer_cancel(&a->timers, &ex->heartbeat);
    ex->stream = 0;
}

void rv_agent_disconnect(struct rv_agent *a, struct rv_agent_executor *ex) {
    if (ex->stream) {
        rv_agent_emit(a, RV_AGENT_CLOSE_STREAM)->stream = ex->stream;
        forget_stream(a, ex);
    }
}

/* It may be back; if it is not, its container ends and says so. */
void rv_agent_stream_closed(struct rv_agent *a, uint64_t stream) {
    struct rv_agent_executor *ex = rv_map_get(&a->streams, rv_agent_number_key(&stream));

    if (ex) {
        rv_agent_log(a, RV_LOG_INFO, "executor %s disconnected", ex->info.id.v);
        forget_stream(a, ex);
    }
}

void rv_agent_heartbeat_due(struct rv_agent *a, struct rv_agent_executor *ex) {
    rv_agent_send_stream(a, ex->stream, RV_EXECUTOR_EVENT_HEARTBEAT);
    rv_timer_set(&a->timers, &ex->heartbeat, a->now_ms + a->config.heartbeat_ms);
}

/* --- SUBSCRIBE --- */

static void open_stream(struct rv_agent *a, struct rv_agent_executor *ex, uint64_t request,
                        uint64_t stream) {
    struct rv_agent_effect *e;

    rv_agent_disconnect(a, ex);
    ex->stream = stream;
    rv_map_put(&a->streams, rv_agent_number_key(&stream), ex);
    e = rv_agent_emit(a, RV_AGENT_OPEN_STREAM);
    e->request = request;
    e->stream = stream;
    rv_timer_set(&a->timers, &ex->heartbeat, a->now_ms + a->config.heartbeat_ms);
}

static void send_subscribed(struct rv_agent *a, const struct rv_agent_executor *ex) {
    struct rv_executor_event *event =
        rv_agent_send_stream(a, ex->stream, RV_EXECUTOR_EVENT_SUBSCRIBED);

    event->subscribed.executor = rv_agent_hold_executor(a, &ex->info);
    event->subscribed.framework = rv_agent_hold_framework(a, &ex->framework->info);
    event->subscribed.agent = rv_agent_hold_info(a, &a->info);
    event->subscribed.container_id.v = rv_agent_hold_string(a, ex->container_id.v);
}

static bool is_listed(const struct rv_executor_call *c, const char *task_id) {
    for (size_t i = 0; i < c->subscribe.n_tasks; i++) {
        if (rv_streq(c->subscribe.unacknowledged_tasks[i].v, task_id)) {
            return true;
        }
    }
    return false;
}

/* A task that was given to the executor, but of which the executor knows nothing and said nothing,
 * never reached it: INV-41. */
static void end_undelivered(struct rv_agent *a, struct rv_agent_executor *ex,
                            const struct rv_executor_call *c) {
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (t->place == RV_TASK_LAUNCHED && t->statuses.n == 0 && !is_listed(c, t->id.v)) {
            rv_agent_task_end(a, t, rv_agent_dropped(&ex->framework->info),
                              RV_REASON_AGENT_RESTARTED,
                              "The connection was lost before the task reached its executor", NULL);
        }
    }
}

static bool has_live_tasks(const struct rv_agent_executor *ex) {
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (t->place == RV_TASK_QUEUED || t->place == RV_TASK_LAUNCHED) {
            return true;
        }
    }
    return false;
}

static void take_up(struct rv_agent *a, struct rv_agent_executor *ex,
                    const struct rv_executor_call *c) {
    bool had_tasks = has_live_tasks(ex);
    const char *why = NULL;
    struct rv_agent_task *t;

    for (size_t i = 0; i < c->subscribe.n_updates; i++) {
        if (rv_agent_executor_update(a, ex, &c->subscribe.unacknowledged_updates[i], &why) != 0) {
            rv_agent_log(a, RV_LOG_WARNING, "executor %s subscribed with a wrong update: %s",
                         ex->info.id.v, why);
        }
    }
    end_undelivered(a, ex, c);
    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (t->kill_pending) {
            rv_agent_send_kill(a, t, t->kill_grace_ms);
        }
    }
    rv_agent_progress(a, ex);
    /* One that never had anything to do will not end by itself. */
    if (had_tasks && !ex->got_task && c->subscribe.n_updates == 0 && !has_live_tasks(ex)) {
        rv_agent_executor_shutdown(a, ex);
    }
}

static void subscribe(struct rv_agent *a, struct rv_agent_executor *ex, uint64_t request,
                      uint64_t stream, const struct rv_executor_call *c) {
    if (ex->state == RV_EXECUTOR_TERMINATED || !ex->started) {
        rv_agent_reply(a, request, 403, "the executor has ended or was not started");
        return;
    }
    open_stream(a, ex, request, stream);
    if (ex->state == RV_EXECUTOR_TERMINATING) {
        rv_agent_send_stream(a, stream, RV_EXECUTOR_EVENT_SHUTDOWN);
        return;
    }
    rv_timer_cancel(&a->timers, &ex->timer);
    ex->state = RV_EXECUTOR_RUNNING;
    ex->launched = true;
    ex->recovered = false;
    send_subscribed(a, ex);
    take_up(a, ex, c);
}

/* --- other calls --- */

static void message_to_framework(struct rv_agent *a, const struct rv_agent_executor *ex,
                                 struct rv_str data) {
    struct rv_agent_call *c;

    if (a->link != RV_LINK_REGISTERED || ex->framework->terminating) {
        a->counters.invalid_framework_messages++; /* messages are not kept */
        return;
    }
    a->counters.valid_framework_messages++;
    c = rv_agent_send_master(a, RV_AGENT_CALL_FRAMEWORK_MESSAGE);
    c->message.framework_id.v = rv_agent_hold_string(a, ex->framework->id.v);
    c->message.executor_id.v = rv_agent_hold_string(a, ex->info.id.v);
    c->message.data =
        rv_strn(rv_arena_memdup(&a->out->arena, data.n ? data.s : "", data.n + !data.n), data.n);
}

void rv_agent_message_to_executor(struct rv_agent *a, const struct rv_agent_event *e) {
    struct rv_agent_framework *fw = rv_agent_framework_find(a, e->message.framework_id.v);
    struct rv_agent_executor *ex =
        fw ? rv_map_gets(&fw->executors, e->message.executor_id.v) : NULL;
    struct rv_str data = e->message.data;
    struct rv_executor_event *event;

    if (!ex || !ex->stream || ex->state != RV_EXECUTOR_RUNNING) {
        a->counters.invalid_framework_messages++;
        rv_agent_log(a, RV_LOG_INFO, "message to an executor that is not connected: dropped");
        return;
    }
    a->counters.valid_framework_messages++;
    event = rv_agent_send_stream(a, ex->stream, RV_EXECUTOR_EVENT_MESSAGE);
    event->message =
        rv_strn(rv_arena_memdup(&a->out->arena, data.n ? data.s : "", data.n + !data.n), data.n);
}

static bool was_completed(const struct rv_agent_framework *fw, const char *executor_id) {
    for (size_t i = 0; i < fw->completed.n; i++) {
        if (rv_streq(fw->completed.v[i]->info.id.v, executor_id)) {
            return true;
        }
    }
    return false;
}

/* Finds the executor or answers. One that has ended hears 403, so that it does not try on. */
static struct rv_agent_executor *find_caller(struct rv_agent *a, uint64_t request,
                                             const struct rv_executor_call *c) {
    struct rv_agent_framework *fw = rv_agent_framework_find(a, c->framework_id.v);
    struct rv_agent_executor *ex;

    for (size_t i = 0; !fw && i < a->completed.n; i++) {
        if (c->framework_id.v && rv_framework_id_eq(a->completed.v[i]->id, c->framework_id)) {
            fw = a->completed.v[i];
        }
    }
    if (!fw) {
        rv_agent_reply(a, request, 400, "framework_id: no such framework on this agent");
        return NULL;
    }
    ex = rv_map_gets(&fw->executors, c->executor_id.v);
    if (!ex && c->executor_id.v && was_completed(fw, c->executor_id.v)) {
        rv_agent_reply(a, request, 403, "the executor has ended");
    } else if (!ex) {
        rv_agent_reply(a, request, 400, "executor_id: no such executor on this agent");
    }
    return ex;
}

void rv_agent_executor_call(struct rv_agent *a, uint64_t request, uint64_t stream,
                            const struct rv_executor_call *c) {
    struct rv_agent_executor *ex = find_caller(a, request, c);
    const char *why = NULL;
    int status = 0;

    if (!ex) {
        return;
    }
    if (c->type == RV_EXECUTOR_CALL_SUBSCRIBE) {
        subscribe(a, ex, request, stream, c);
        return;
    }
    if (ex->state == RV_EXECUTOR_REGISTERING || ex->state == RV_EXECUTOR_TERMINATED) {
        rv_agent_reply(a, request, 403, "the executor is not subscribed");
        return;
    }
    switch (c->type) {
    case RV_EXECUTOR_CALL_UPDATE:
        status = rv_agent_executor_update(a, ex, c->update, &why);
        break;
    case RV_EXECUTOR_CALL_MESSAGE:
        message_to_framework(a, ex, c->message);
        break;
    case RV_EXECUTOR_CALL_HEARTBEAT:
        break;
    default:
        status = 400;
        why = "type: unknown call";
        break;
    }
    rv_agent_reply(a, request, status ? status : 202, why);
}

/* --- the end --- */

static int64_t grace_ms(const struct rv_agent *a, const struct rv_agent_executor *ex) {
    return ex->info.shutdown_grace_ms >= 0 ? ex->info.shutdown_grace_ms
                                           : a->config.executor_shutdown_grace_ms;
}

static void plan(struct rv_agent *a, struct rv_agent_executor *ex, int64_t delay_ms) {
    int64_t at_ms = delay_ms > INT64_MAX - a->now_ms ? INT64_MAX : a->now_ms + delay_ms;
    rv_timer_set(&a->timers, &ex->timer, at_ms);
}

void rv_agent_executor_shutdown(struct rv_agent *a, struct rv_agent_executor *ex) {
    static const struct rv_agent_end never_started = {.reason = RV_REASON_NONE,
                                                      .message = "The executor was shut down"};

    if (ex->state > RV_EXECUTOR_RUNNING) {
        return;
    }
    if (!ex->started) {
        rv_agent_executor_ended(a, ex, &never_started);
        return;
    }
    ex->state = RV_EXECUTOR_TERMINATING;
    if (ex->stream || ex->recovered) { /* one that comes back is told then */
        if (ex->stream) {
            rv_agent_send_stream(a, ex->stream, RV_EXECUTOR_EVENT_SHUTDOWN);
        }
        ex->recovered = false;
        plan(a, ex, grace_ms(a, ex));
    } else {
        rv_agent_destroy_container(a, ex);
        plan(a, ex, a->config.executor_registration_ms);
    }
}

void rv_agent_executor_destroy(struct rv_agent *a, struct rv_agent_executor *ex,
                               enum rv_reason reason, const char *message) {
    struct rv_agent_end never_started = {.reason = reason, .message = message};

    if (ex->state == RV_EXECUTOR_TERMINATED) {
        return;
    }
    if (!ex->started) {
        rv_agent_executor_ended(a, ex, &never_started);
        return;
    }
    if (ex->state != RV_EXECUTOR_TERMINATING && message) {
        ex->reason = reason;
        free(ex->message);
        ex->message = rv_strdup(message);
    }
    ex->state = RV_EXECUTOR_TERMINATING;
    rv_agent_destroy_container(a, ex);
    plan(a, ex, a->config.executor_registration_ms);
}

void rv_agent_executor_due(struct rv_agent *a, struct rv_agent_executor *ex) {
    if (ex->state == RV_EXECUTOR_REGISTERING) {
        rv_agent_log(a, RV_LOG_WARNING, "executor %s did not register in time", ex->info.id.v);
        rv_agent_executor_destroy(a, ex, RV_REASON_EXECUTOR_REGISTRATION_TIMEOUT,
                                  "The executor did not register in time");
    } else if (ex->state == RV_EXECUTOR_TERMINATING) {
        /* The grace period is over, or a container does not go: told again until it does. */
        rv_agent_destroy_container(a, ex);
        plan(a, ex, a->config.executor_registration_ms);
    }
}

void rv_agent_shutdown_executor(struct rv_agent *a, const char *framework_id,
                                const char *executor_id) {
    struct rv_agent_framework *fw = rv_agent_framework_find(a, framework_id);
    struct rv_agent_executor *ex = fw ? rv_map_gets(&fw->executors, executor_id) : NULL;

    if (ex) {
        rv_agent_executor_shutdown(a, ex);
    } else {
        rv_agent_log(a, RV_LOG_INFO, "shutdown of an executor that is not here: ignored");
    }
}

/* The framework is gone: nobody hears about its tasks, so nothing waits for acknowledgement. */
void rv_agent_shutdown_framework(struct rv_agent *a, const char *id) {
    struct rv_agent_framework *fw = rv_agent_framework_find(a, id);
    struct rv_agent_executor *ex;
    struct rv_agent_task *t;

    rv_agent_operations_forget(a, id);
    if (!fw || fw->terminating) {
        return;
    }
    fw->terminating = true;
    for (size_t i = 0; rv_map_next(&fw->tasks, &i, NULL, (void **)&t);) {
        while (t->updates.n) {
            rv_agent_update_pop(t);
        }
        rv_timer_cancel(&a->timers, &t->retry);
        t->writing = false;
        if (t->place == RV_TASK_TERMINATED) {
            rv_agent_task_complete(a, t);
        }
    }
    for (size_t i = 0; rv_map_next(&fw->executors, &i, NULL, (void **)&ex);) {
        rv_agent_executor_shutdown(a, ex);
        rv_agent_check_executor(a, ex);
    }
}

/* TaskStatus.limitation (field 16, bytes that follow their length), to be merged into a status. */
static struct rv_blob *limitation_rest(const struct rv_blob *limitation) {
    struct rv_buf b = {0};
    struct rv_blob *rest;
    uint32_t n;

    if (!limitation) {
        return NULL;
    }
    rv_buf_append(&b, "\x82\x01", 2);
    for (n = limitation->n; n >= 0x80; n >>= 7) {
        rv_buf_putc(&b, (char)(n | 0x80));
    }
    rv_buf_putc(&b, (char)n);
    rv_buf_append(&b, limitation->data, limitation->n);
    rest = rv_blob_new(b.data, b.n);
    rv_buf_free(&b);
    return rest;
}

static const char *describe(struct rv_agent *a, const struct rv_agent_executor *ex,
                            const struct rv_agent_end *end) {
    int signal = end->status & 0x7f; /* as wait(2) encodes it */

    if (end->message && end->message[0]) {
        return end->message;
    }
    if (ex->message) {
        return ex->message;
    }
    if (!end->has_status) {
        return "The executor ended with an unknown status";
    }
    if (signal) {
        return rv_arena_printf(&a->out->arena, "The executor was terminated by signal %d", signal);
    }
    return rv_arena_printf(&a->out->arena, "The executor exited with status %d",
                           (end->status >> 8) & 0xff);
}

static enum rv_reason reason_of(const struct rv_agent_executor *ex,
                                const struct rv_agent_end *end) {
    if (end->reason != RV_REASON_NONE) {
        return end->reason;
    }
    if (ex->reason != RV_REASON_NONE) {
        return ex->reason;
    }
    return ex->command ? RV_REASON_COMMAND_EXECUTOR_FAILED : RV_REASON_EXECUTOR_TERMINATED;
}

/* task-state-reasons.md: TASK_FAILED with why the executor is no more; what was never started
 * because the agent went away is dropped instead. */
static void end_tasks(struct rv_agent *a, struct rv_agent_executor *ex,
                      const struct rv_agent_end *end) {
    struct rv_blob *rest = limitation_rest(end->limitation);
    enum rv_reason reason = reason_of(ex, end);
    const char *message = describe(a, ex, end);
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (t->place == RV_TASK_TERMINATED) {
            continue;
        }
        if (end->recovered && t->statuses.n == 0) {
            rv_agent_task_end(a, t, rv_agent_dropped(&ex->framework->info),
                              RV_REASON_AGENT_RESTARTED,
                              "The agent restarted before the task was started", NULL);
        } else if (end->rebooted) {
            rv_agent_task_end(a, t, RV_TASK_FAILED, RV_REASON_AGENT_RESTARTED,
                              "The machine was rebooted", NULL);
        } else {
            rv_agent_task_end(a, t, RV_TASK_FAILED, reason, message, rest);
        }
    }
    rv_blob_unref(rest);
}

static void send_exited(struct rv_agent *a, const char *framework_id, const char *executor_id,
                        int32_t status) {
    struct rv_agent_call *c = rv_agent_send_master(a, RV_AGENT_CALL_EXECUTOR_EXITED);

    c->exited.framework_id.v = rv_agent_hold_string(a, framework_id);
    c->exited.executor_id.v = rv_agent_hold_string(a, executor_id);
    c->exited.status = status;
}

void rv_agent_tell_exited(struct rv_agent *a, const char *framework_id, const char *executor_id,
                          int32_t status) {
    if (a->link == RV_LINK_REGISTERED) {
        send_exited(a, framework_id, executor_id, status);
    } else if (a->link == RV_LINK_REGISTERING) {
        struct rv_agent_exit e = {rv_strdup(framework_id), rv_strdup(executor_id), status};
        rv_vec_push(&a->exits, e);
    }
}

void rv_agent_exits_clear(struct rv_agent *a) {
    for (size_t i = 0; i < a->exits.n; i++) {
        free(a->exits.v[i].framework_id);
        free(a->exits.v[i].executor_id);
    }
    rv_vec_free(&a->exits);
}

void rv_agent_exits_resume(struct rv_agent *a) {
    for (size_t i = 0; i < a->exits.n; i++) {
        const struct rv_agent_exit *e = &a->exits.v[i];
        send_exited(a, e->framework_id, e->executor_id, e->status);
    }
    rv_agent_exits_clear(a);
}

void rv_agent_executor_ended(struct rv_agent *a, struct rv_agent_executor *ex,
                             const struct rv_agent_end *end) {
    if (ex->state == RV_EXECUTOR_TERMINATED) {
        return;
    }
    rv_agent_disconnect(a, ex);
    rv_timer_cancel(&a->timers, &ex->timer);
    ex->state = RV_EXECUTOR_TERMINATED;
    rv_executor_info_forget(&ex->info);
    ex->recovered = false;
    ex->ended_ns = a->wall_ns;
    a->counters.executors_terminated++;
    if (end->reason == RV_REASON_CONTAINER_PREEMPTED) {
        a->counters.executors_preempted++;
    }
    rv_map_remove(&a->containers, rv_str(ex->container_id.v));
    rv_agent_directory_left(a, ex->directory);
    end_tasks(a, ex, end);
    if (!ex->command) {
        rv_agent_tell_exited(a, ex->framework->id.v, ex->info.id.v,
                             end->has_status ? end->status : -1);
    }
    if (ex->started) {
        rv_agent_garbage_add(a, ex->directory);
    }
    rv_agent_check_executor(a, ex);
}

/* --- the container --- */

void rv_agent_container_launched(struct rv_agent *a, const struct rv_agent_input *in) {
    struct rv_agent_executor *ex = rv_map_gets(&a->containers, in->container.id.v);
    struct rv_agent_end end = {.reason = RV_REASON_CONTAINER_LAUNCH_FAILED,
                               .message = in->container.message};

    if (!ex || !ex->started) {
        return;
    }
    if (!in->container.ok) {
        a->counters.container_launch_errors++;
        if (!end.message) {
            end.message = "The container could not be launched";
        }
        rv_agent_executor_ended(a, ex, &end);
        return;
    }
    if (!ex->launched && ex->state == RV_EXECUTOR_REGISTERING) {
        plan(a, ex, a->config.executor_registration_ms);
    }
    ex->launched = true;
    if (ex->destroyed) {
        rv_agent_destroy_container(a, ex); /* asked for before there was one */
    }
}

void rv_agent_container_exited(struct rv_agent *a, const struct rv_agent_input *in) {
    struct rv_agent_executor *ex = rv_map_gets(&a->containers, in->container.id.v);
    struct rv_agent_end end = {.has_status = in->container.has_status,
                               .status = in->container.status,
                               .reason = in->container.reason,
                               .message = in->container.message,
                               .limitation = in->container.limitation};

    rv_map_remove(&a->orphans, rv_str(in->container.id.v ? in->container.id.v : ""));
    if (ex && ex->started) {
        rv_agent_executor_ended(a, ex, &end);
    }
}
