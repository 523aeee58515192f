/*
 * What the executor tells its agent: status updates, kept until acknowledged and told again after a
 * reconnection, and the SUBSCRIBE call that carries them. Holds: x->updates is in the order of
 * making; a task's terminal update is its last.
 */
#include <stdlib.h>
#include <string.h>

#include "executor/internal.h"

Reeve__V1__TaskInfo *rv_executor_copy_task(const Reeve__V1__TaskInfo *info) {
    size_t n = reeve__v1__task_info__get_packed_size(info);
    _cleanup_free_ uint8_t *bytes = rv_malloc(n);

    reeve__v1__task_info__pack(info, bytes);
    return reeve__v1__task_info__unpack(NULL, n, bytes);
}

Reeve__V1__ContainerID *rv_executor_copy_container(const Reeve__V1__ContainerID *id) {
    size_t n = reeve__v1__container_id__get_packed_size(id);
    _cleanup_free_ uint8_t *bytes = rv_malloc(n);

    reeve__v1__container_id__pack(id, bytes);
    return reeve__v1__container_id__unpack(NULL, n, bytes);
}

Reeve__V1__TaskResourceLimitation *
rv_executor_copy_limitation(const Reeve__V1__TaskResourceLimitation *limitation) {
    size_t n = reeve__v1__task_resource_limitation__get_packed_size(limitation);
    _cleanup_free_ uint8_t *bytes = rv_malloc(n + 1);

    reeve__v1__task_resource_limitation__pack(limitation, bytes);
    return reeve__v1__task_resource_limitation__unpack(NULL, n, bytes);
}

static Reeve__V1__TaskStatus *copy_status(const Reeve__V1__TaskStatus *status) {
    size_t n = reeve__v1__task_status__get_packed_size(status);
    _cleanup_free_ uint8_t *bytes = rv_malloc(n);

    reeve__v1__task_status__pack(status, bytes);
    return reeve__v1__task_status__unpack(NULL, n, bytes);
}

void rv_executor_uuid_text(const uint8_t uuid[UUID_SIZE], char out[UUID_TEXT]) {
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < UUID_SIZE; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[uuid[i] >> 4];
        *out++ = digits[uuid[i] & 15];
    }
    *out = '\0';
}

/* Version 4 of RFC 9562: random but for the version and the variant. */
void rv_executor_new_uuid(struct rv_executor *x, uint8_t out[UUID_SIZE]) {
    x->config.random(x->config.random_ctx, out, UUID_SIZE);
    out[6] = (uint8_t)((out[6] & 0x0f) | 0x40);
    out[8] = (uint8_t)((out[8] & 0x3f) | 0x80);
}

static void add_call(struct rv_executor *x, enum rv_executor_action_kind kind,
                     Reeve__V1__Executor__Call *call) {
    Reeve__V1__ExecutorID executor_id = REEVE__V1__EXECUTOR_ID__INIT;
    Reeve__V1__FrameworkID framework_id = REEVE__V1__FRAMEWORK_ID__INIT;
    size_t n;
    char *bytes;

    executor_id.value = x->executor_id;
    framework_id.value = x->framework_id;
    call->executor_id = &executor_id;
    call->framework_id = &framework_id;
    call->has_type = true;
    n = reeve__v1__executor__call__get_packed_size(call);
    bytes = rv_malloc(n);
    reeve__v1__executor__call__pack(call, (uint8_t *)bytes);
    rv_vec_push(&x->bodies, bytes);
    rv_executor_act(x, kind)->body = rv_strn(bytes, n);
}

static void send_update(struct rv_executor *x, const struct update *u) {
    Reeve__V1__Executor__Call call = REEVE__V1__EXECUTOR__CALL__INIT;
    Reeve__V1__Executor__Call__Update update = REEVE__V1__EXECUTOR__CALL__UPDATE__INIT;

    update.status = u->status;
    call.type = REEVE__V1__EXECUTOR__CALL__TYPE__UPDATE;
    call.update = &update;
    add_call(x, RV_EXECUTOR_CALL, &call);
}

void rv_executor_resend(struct rv_executor *x, size_t from) {
    for (size_t i = from; i < x->updates.n; i++)
        send_update(x, &x->updates.v[i]);
}

/* Keeps a copy of the status with a new uuid and sends it if there is a stream; else SUBSCRIBE
 * carries it. */
static void keep(struct rv_executor *x, struct task *task, Reeve__V1__TaskStatus *status) {
    struct update u = {.task = task};
    Reeve__V1__ExecutorID executor_id = REEVE__V1__EXECUTOR_ID__INIT;

    rv_executor_new_uuid(x, u.uuid);
    executor_id.value = x->executor_id;
    status->executor_id = &executor_id;
    status->has_uuid = true;
    status->uuid = (ProtobufCBinaryData){.len = UUID_SIZE, .data = u.uuid};
    status->has_source = true;
    status->source = REEVE__V1__TASK_STATUS__SOURCE__SOURCE_EXECUTOR;
    status->has_timestamp = true;
    status->timestamp = x->wall_s;
    u.status = copy_status(status);
    rv_vec_push(&x->updates, u);
    if (x->connected)
        send_update(x, &u);
}

/* The latest result of a task's check, as it is added to each of its updates. Before the first
 * result, the type and an empty result. */
struct check_status {
    Reeve__V1__CheckStatusInfo info;
    Reeve__V1__CheckStatusInfo__Command command;
    Reeve__V1__CheckStatusInfo__Http http;
    Reeve__V1__CheckStatusInfo__Tcp tcp;
};

static void fill_check_status(struct check_status *out, const struct checker *c) {
    bool has = c->known && c->value >= 0;

    *out = (struct check_status){
        REEVE__V1__CHECK_STATUS_INFO__INIT, REEVE__V1__CHECK_STATUS_INFO__COMMAND__INIT,
        REEVE__V1__CHECK_STATUS_INFO__HTTP__INIT, REEVE__V1__CHECK_STATUS_INFO__TCP__INIT};
    out->info.has_type = true;
    out->info.type = c->spec.type;
    switch ((int)c->spec.type) {
    case REEVE__V1__CHECK_INFO__TYPE__COMMAND:
        out->command.has_exit_code = has;
        out->command.exit_code = c->value;
        out->info.command = &out->command;
        break;
    case REEVE__V1__CHECK_INFO__TYPE__HTTP:
        out->http.has_status_code = has;
        out->http.status_code = (uint32_t)c->value;
        out->info.http = &out->http;
        break;
    default:
        out->tcp.has_succeeded = has;
        out->tcp.succeeded = c->value > 0;
        out->info.tcp = &out->tcp;
        break;
    }
}

void rv_executor_tell(struct rv_executor *x, struct task *task, Reeve__V1__TaskState state,
                      const struct status_extra *extra) {
    Reeve__V1__TaskStatus status = REEVE__V1__TASK_STATUS__INIT;
    Reeve__V1__ContainerStatus container = REEVE__V1__CONTAINER_STATUS__INIT;
    Reeve__V1__ContainerID id = REEVE__V1__CONTAINER_ID__INIT;
    const struct checker *health = &task->checkers[RV_EXECUTOR_HEALTH];
    bool alive = state == REEVE__V1__TASK_STATE__TASK_RUNNING ||
                 state == REEVE__V1__TASK_STATE__TASK_KILLING;
    struct check_status check;

    status.task_id = task->info->task_id;
    status.state = state;
    status.message = (char *)(uintptr_t)extra->message; /* copied, never changed */
    status.has_reason = extra->reason >= 0;
    status.reason =
        extra->reason >= 0 ? (Reeve__V1__TaskStatus__Reason)extra->reason : status.reason;
    status.limitation = (Reeve__V1__TaskResourceLimitation *)(uintptr_t)extra->limitation;
    if (extra->has_healthy) {
        status.has_healthy = true;
        status.healthy = extra->healthy;
    } else if (alive && health->on && health->known) {
        status.has_healthy = true;
        status.healthy = health->ok;
    }
    if (task->checkers[RV_EXECUTOR_CHECK].on) {
        fill_check_status(&check, &task->checkers[RV_EXECUTOR_CHECK]);
        status.check_status = &check.info;
    }
    if (x->config.mode == RV_EXECUTOR_GROUP) {
        id.value = task->container;
        id.parent = x->container_id;
        container.container_id = &id;
        status.container_status = &container;
    } else if (x->container_id) {
        container.container_id = x->container_id;
        status.container_status = &container;
    }
    keep(x, task, &status);
}

void rv_executor_refuse(struct rv_executor *x, const Reeve__V1__TaskInfo *info,
                        const char *message) {
    Reeve__V1__TaskStatus status = REEVE__V1__TASK_STATUS__INIT;

    status.task_id = info->task_id;
    status.state = REEVE__V1__TASK_STATE__TASK_FAILED;
    status.message = (char *)(uintptr_t)message;
    keep(x, NULL, &status);
}

void rv_executor_subscribe(struct rv_executor *x) {
    Reeve__V1__Executor__Call call = REEVE__V1__EXECUTOR__CALL__INIT;
    Reeve__V1__Executor__Call__Subscribe subscribe = REEVE__V1__EXECUTOR__CALL__SUBSCRIBE__INIT;
    size_t n = x->told = x->updates.n;
    Reeve__V1__Executor__Call__Update *updates = rv_calloc(n + 1, sizeof *updates);
    Reeve__V1__Executor__Call__Update **pointers = rv_calloc(n + 1, sizeof(void *));
    Reeve__V1__TaskInfo **tasks = rv_calloc(x->tasks.n + 1, sizeof(void *));

    for (size_t i = 0; i < n; i++) {
        reeve__v1__executor__call__update__init(&updates[i]);
        updates[i].status = x->updates.v[i].status;
        pointers[i] = &updates[i];
    }
    for (size_t i = 0; i < x->tasks.n; i++)
        if (!x->tasks.v[i]->acknowledged)
            tasks[subscribe.n_unacknowledged_tasks++] = x->tasks.v[i]->info;
    subscribe.n_unacknowledged_updates = n;
    subscribe.unacknowledged_updates = pointers;
    subscribe.unacknowledged_tasks = tasks;
    call.type = REEVE__V1__EXECUTOR__CALL__TYPE__SUBSCRIBE;
    call.subscribe = &subscribe;
    add_call(x, RV_EXECUTOR_SUBSCRIBE, &call);
    free(updates);
    free(pointers);
    free(tasks);
}

/* A task that has ended and has nothing left to tell is forgotten. */
static void forget_if_done(struct rv_executor *x, struct task *task) {
    if (task->phase != PHASE_ENDED)
        return;
    for (size_t i = 0; i < x->updates.n; i++)
        if (x->updates.v[i].task == task)
            return;
    for (size_t i = 0; i < x->tasks.n; i++) {
        if (x->tasks.v[i] == task) {
            rv_vec_remove_at(&x->tasks, i);
            rv_vec_push(&x->dead, task);
            return;
        }
    }
}

void rv_executor_acknowledged(struct rv_executor *x,
                              const Reeve__V1__Executor__Event__Acknowledged *ack) {
    if (ack->uuid.len != UUID_SIZE)
        return;
    for (size_t i = 0; i < x->updates.n; i++) {
        struct update *u = &x->updates.v[i];
        struct task *task = u->task;
        if (memcmp(u->uuid, ack->uuid.data, UUID_SIZE) != 0 ||
            !rv_streq(u->status->task_id->value, ack->task_id->value))
            continue;
        reeve__v1__task_status__free_unpacked(u->status, NULL);
        rv_vec_remove_at(&x->updates, i);
        if (task) {
            task->acknowledged = true;
            forget_if_done(x, task);
        }
        return;
    }
}
