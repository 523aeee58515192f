/*
 * The executor's client, see executor_core.h.
 *
 * Always holds: an update is in `updates` from when it was made until its uuid was acknowledged; a
 * task is in `tasks` until it has ended and all is acknowledged, or for as long as it runs.
 * SUBSCRIBE carries the tasks of which no update was acknowledged and all of `updates`. Costs: a
 * copy of each task's info until its first acknowledgement; searches are linear, as an executor has
 * few tasks at a time.
 */
#include "framework/executor_core.h"

#include <stdlib.h>
#include <string.h>

#define CALL(name) REEVE__V1__EXECUTOR__CALL__TYPE__##name
#define EVENT(name) REEVE__V1__EXECUTOR__EVENT__TYPE__##name

static Reeve__V1__Executor__Call new_call(struct rv_executor_core *c,
                                          Reeve__V1__Executor__Call__Type type) {
    Reeve__V1__Executor__Call call = REEVE__V1__EXECUTOR__CALL__INIT;

    call.has_type = true;
    call.type = type;
    call.framework_id = &c->framework_id;
    call.executor_id = &c->executor_id;
    return call;
}

/* ---- subscribing ---- */

static void subscribe(void *owner, struct rv_buf *out) {
    struct rv_executor_core *c = owner;
    Reeve__V1__Executor__Call call = new_call(c, CALL(SUBSCRIBE));
    Reeve__V1__Executor__Call__Subscribe body = REEVE__V1__EXECUTOR__CALL__SUBSCRIBE__INIT;
    _cleanup_free_ Reeve__V1__TaskInfo **tasks = rv_calloc(c->tasks.n + 1, sizeof *tasks);
    _cleanup_free_ Reeve__V1__Executor__Call__Update *updates =
        rv_calloc(c->updates.n + 1, sizeof *updates);
    _cleanup_free_ Reeve__V1__Executor__Call__Update **update_list =
        rv_calloc(c->updates.n + 1, sizeof *update_list);

    call.subscribe = &body;
    body.unacknowledged_tasks = tasks;
    for (size_t i = 0; i < c->tasks.n; i++)
        if (!c->tasks.v[i].acknowledged)
            tasks[body.n_unacknowledged_tasks++] = c->tasks.v[i].info;
    body.unacknowledged_updates = update_list;
    body.n_unacknowledged_updates = c->told = c->updates.n;
    for (size_t i = 0; i < c->updates.n; i++) {
        reeve__v1__executor__call__update__init(&updates[i]);
        updates[i].status = c->updates.v[i];
        update_list[i] = &updates[i];
    }
    rv_wire_encode(&call.base, c->client.config.encoding, out);
}

/* ---- tasks ---- */

static struct rv_executor_task *find_task(struct rv_executor_core *c, const char *id) {
    for (size_t i = 0; i < c->tasks.n; i++)
        if (!strcmp(c->tasks.v[i].info->task_id->value, id))
            return &c->tasks.v[i];
    return NULL;
}

static bool has_updates(const struct rv_executor_core *c, const char *task_id) {
    for (size_t i = 0; i < c->updates.n; i++)
        if (!strcmp(c->updates.v[i]->task_id->value, task_id))
            return true;
    return false;
}

static void add_task(struct rv_executor_core *c, const Reeve__V1__TaskInfo *info) {
    struct rv_blob *packed = rv_wire_pack(&info->base);
    struct rv_executor_task task = {
        .info = reeve__v1__task_info__unpack(NULL, packed->n, packed->data)};

    rv_blob_unref(packed);
    if (!task.info)
        return; /* was decoded a moment ago: cannot be */
    c->launched = true;
    rv_vec_push(&c->tasks, task);
}

static void remove_task(struct rv_executor_core *c, struct rv_executor_task *task) {
    reeve__v1__task_info__free_unpacked(task->info, NULL);
    rv_vec_remove_at(&c->tasks, (size_t)(task - c->tasks.v));
}

static void maybe_done(struct rv_executor_core *c, int64_t now_ms) {
    if (c->updates.n)
        return;
    if (c->stopping)
        rv_client_stop(&c->client, false, now_ms);
    else if (c->settings.exit_when_idle && c->launched && !c->tasks.n)
        rv_executor_core_stop(c, now_ms);
}

static void acknowledged(struct rv_executor_core *c,
                         const Reeve__V1__Executor__Event__Acknowledged *event, int64_t now_ms) {
    struct rv_executor_task *task = find_task(c, event->task_id->value);

    for (size_t i = 0; i < c->updates.n; i++) {
        Reeve__V1__TaskStatus *status = c->updates.v[i];
        if (status->uuid.len != event->uuid.len ||
            memcmp(status->uuid.data, event->uuid.data, event->uuid.len) != 0)
            continue;
        reeve__v1__task_status__free_unpacked(status, NULL);
        rv_vec_remove_at(&c->updates, i);
        break;
    }
    if (task) {
        task->acknowledged = true;
        if (task->ended && !has_updates(c, event->task_id->value))
            remove_task(c, task);
    }
    maybe_done(c, now_ms);
}

/* ---- events ---- */

static void send_update(struct rv_executor_core *c, Reeve__V1__TaskStatus *status) {
    Reeve__V1__Executor__Call call = new_call(c, CALL(UPDATE));
    Reeve__V1__Executor__Call__Update body = REEVE__V1__EXECUTOR__CALL__UPDATE__INIT;

    call.update = &body;
    body.status = status;
    (void)rv_client_send(&c->client, &call.base, (int)call.type); /* else with SUBSCRIBE */
}

static void on_subscribed(struct rv_executor_core *c,
                          const Reeve__V1__Executor__Event__Subscribed *event, int64_t now_ms) {
    free(c->agent_id);
    c->agent_id = event->agent_info->id ? rv_strdup(event->agent_info->id->value) : NULL;
    c->lost_by_ms = INT64_MAX;
    rv_client_tell(&c->client, rv_client_subscribed(&c->client, 0, now_ms));
    /* What was made since SUBSCRIBE was sent was not in it. */
    for (size_t i = c->told; i < c->updates.n; i++)
        send_update(c, c->updates.v[i]);
}

static void on_event(void *owner, const ProtobufCMessage *message, int64_t now_ms) {
    struct rv_executor_core *c = owner;
    const Reeve__V1__Executor__Event *event = (const Reeve__V1__Executor__Event *)message;

    switch (event->has_type ? event->type : EVENT(UNKNOWN)) {
    case EVENT(SUBSCRIBED):
        if (event->subscribed)
            on_subscribed(c, event->subscribed, now_ms);
        return;
    case EVENT(LAUNCH):
        if (event->launch)
            add_task(c, event->launch->task);
        break;
    case EVENT(LAUNCH_GROUP):
        if (event->launch_group)
            for (size_t i = 0; i < event->launch_group->task_group->n_tasks; i++)
                add_task(c, event->launch_group->task_group->tasks[i]);
        break;
    case EVENT(ACKNOWLEDGED):
        rv_client_tell(&c->client, false);
        if (event->acknowledged)
            acknowledged(c, event->acknowledged, now_ms);
        return;
    case EVENT(SHUTDOWN):
        c->ordered = true;
        c->stop_by_ms = RV_MIN(c->stop_by_ms, now_ms + c->settings.grace_period_ms);
        break;
    case EVENT(ERROR):
        rv_client_refused(&c->client, event->error ? event->error->message : NULL);
        return;
    default:
        break;
    }
    rv_client_tell(&c->client, false);
}

static void on_lost(void *owner, int64_t now_ms) {
    struct rv_executor_core *c = owner;

    if (c->settings.checkpoint)
        c->lost_by_ms = now_ms + c->settings.recovery_timeout_ms;
    else
        rv_client_end(&c->client, c->ordered || c->stopping ? REEVE_OK : REEVE_ERR_TIMEOUT,
                      c->ordered || c->stopping ? NULL
                                                : "the agent is gone, and nothing is checkpointed");
}

/* ---- calls ---- */

int rv_executor_core_update(struct rv_executor_core *c, const Reeve__V1__TaskStatus *status,
                            double wall_s, int64_t now_ms) {
    Reeve__V1__TaskStatus filled = *status, *copy;
    Reeve__V1__AgentID agent = REEVE__V1__AGENT_ID__INIT;
    struct rv_executor_task *task;
    struct rv_blob *packed;
    uint8_t uuid[16];

    (void)now_ms;
    if (!status->task_id || !status->task_id->value)
        return REEVE_ERR_INVALID;
    if (c->client.state == RV_CLIENT_ENDED)
        return REEVE_ERR_STOPPED;
    rv_prng_uuid(&c->client.prng, uuid);
    if (!filled.has_uuid)
        filled.uuid = (ProtobufCBinaryData){sizeof uuid, uuid};
    filled.has_uuid = true;
    if (!filled.has_source)
        filled.source = REEVE__V1__TASK_STATUS__SOURCE__SOURCE_EXECUTOR;
    filled.has_source = true;
    if (!filled.has_timestamp)
        filled.timestamp = wall_s;
    filled.has_timestamp = true;
    if (!filled.executor_id)
        filled.executor_id = &c->executor_id;
    agent.value = c->agent_id;
    if (!filled.agent_id && c->agent_id)
        filled.agent_id = &agent;
    packed = rv_wire_pack(&filled.base);
    copy = reeve__v1__task_status__unpack(NULL, packed->n, packed->data);
    rv_blob_unref(packed);
    if (!copy)
        return REEVE_ERR_INVALID;
    rv_vec_push(&c->updates, copy);
    task = find_task(c, copy->task_id->value);
    if (task && reeve_state_is_terminal(copy->state))
        task->ended = true;
    send_update(c, copy);
    return 0;
}

int rv_executor_core_message(struct rv_executor_core *c, const void *data, size_t n) {
    Reeve__V1__Executor__Call call = new_call(c, CALL(MESSAGE));
    Reeve__V1__Executor__Call__Message body = REEVE__V1__EXECUTOR__CALL__MESSAGE__INIT;

    call.message = &body;
    body.data.data = (uint8_t *)(uintptr_t)data;
    body.data.len = n;
    return rv_client_send(&c->client, &call.base, (int)call.type);
}

void rv_executor_core_stop(struct rv_executor_core *c, int64_t now_ms) {
    if (c->stopping)
        return;
    c->stopping = true;
    c->stop_by_ms = RV_MIN(c->stop_by_ms, now_ms + RV_CLIENT_STOP_MS);
    maybe_done(c, now_ms);
}

/* ---- time ---- */

void rv_executor_core_start(struct rv_executor_core *c, int64_t now_ms) {
    c->lost_by_ms = now_ms + c->settings.recovery_timeout_ms;
    rv_client_start(&c->client, now_ms);
}

void rv_executor_core_tick(struct rv_executor_core *c, int64_t now_ms) {
    if (now_ms >= c->stop_by_ms)
        rv_client_end(&c->client, REEVE_OK, NULL);
    else if (now_ms >= c->lost_by_ms)
        rv_client_end(&c->client, REEVE_ERR_TIMEOUT, "the agent stayed away for too long");
    else
        rv_client_tick(&c->client, now_ms);
}

int64_t rv_executor_core_deadline(const struct rv_executor_core *c) {
    int64_t at = rv_client_deadline(&c->client);

    if (c->client.state == RV_CLIENT_ENDED)
        return INT64_MAX;
    at = RV_MIN(at, c->stop_by_ms);
    return RV_MIN(at, c->lost_by_ms);
}

/* ---- life ---- */

static const struct rv_client_protocol protocol = {
    .path = "/api/v1/executor",
    .default_port = 5051,
    .calls_must_arrive = true,
    .event_type = &reeve__v1__executor__event__descriptor,
    .subscribe = subscribe,
    .on_event = on_event,
    .on_lost = on_lost,
};

int rv_executor_core_init(struct rv_executor_core *c, const struct rv_executor_settings *settings,
                          uint64_t seed, struct rv_error *err) {
    _cleanup_free_ char *authorization =
        settings->token ? rv_asprintf("Bearer %s", settings->token) : NULL;
    int rc;

    *c = (struct rv_executor_core){
        .settings = *settings, .lost_by_ms = INT64_MAX, .stop_by_ms = INT64_MAX};
    c->settings.agent = c->settings.framework_id = c->settings.executor_id = NULL;
    c->settings.token = NULL;
    if (!settings->agent || !settings->framework_id || !settings->executor_id)
        return rv_error_set(err, RV_ERR_INVALID,
                            "%s is set neither in the config nor in the "
                            "environment",
                            !settings->agent          ? "agent (MESOS_AGENT_ENDPOINT)"
                            : !settings->framework_id ? "framework_id (MESOS_FRAMEWORK_ID)"
                                                      : "executor_id (MESOS_EXECUTOR_ID)");
    rc = rv_client_init(
        &c->client,
        &(struct rv_client_config){
            .protocol = &protocol,
            .owner = c,
            .targets = settings->agent,
            .encoding = settings->encoding == REEVE_JSON ? RV_ENC_JSON : RV_ENC_PROTOBUF,
            .authorization = authorization,
            .backoff_min_ms = RV_MIN(100u, settings->backoff_max_ms),
            .backoff_max_ms = settings->backoff_max_ms,
            .subscribe_timeout_ms = 15000,
            .missed_heartbeats = 5,
            .seed = seed,
        },
        err);
    if (rc)
        return rc;
    reeve__v1__framework_id__init(&c->framework_id);
    c->framework_id.value = rv_strdup(settings->framework_id);
    reeve__v1__executor_id__init(&c->executor_id);
    c->executor_id.value = rv_strdup(settings->executor_id);
    return 0;
}

void rv_executor_core_free(struct rv_executor_core *c) {
    rv_client_free(&c->client);
    free(c->agent_id);
    free(c->framework_id.value);
    free(c->executor_id.value);
    for (size_t i = 0; i < c->tasks.n; i++)
        reeve__v1__task_info__free_unpacked(c->tasks.v[i].info, NULL);
    rv_vec_free(&c->tasks);
    for (size_t i = 0; i < c->updates.n; i++)
        reeve__v1__task_status__free_unpacked(c->updates.v[i], NULL);
    rv_vec_free(&c->updates);
    *c = (struct rv_executor_core){0};
}
