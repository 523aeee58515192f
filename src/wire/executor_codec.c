/*
 * The executor API. Executors may leave out what the agent knows: an update without timestamp,
 * agent id or source is fine, and so is a SUBSCRIBE without its part.
 */
#include "wire/executor_codec.h"

#include "base/assert.h"
#include "reeve/v1/executor.pb-c.h"
#include "wire/convert.h"

static char *text(const char *s) {
    return (char *)(uintptr_t)s;
}

/* --- calls --- */

static int check_shape(const Reeve__V1__Executor__Call *m, struct rv_error *err) {
    if (!m->has_type)
        return rv_error_set(err, RV_ERR_INVALID, "'type' must be present");
    const char *missing = NULL;
    switch ((int)m->type) {
    case RV_EXECUTOR_CALL_SUBSCRIBE:
        // npm's mesos-framework sends none: it is all lists, and they are empty then.
        break;
    case RV_EXECUTOR_CALL_UPDATE:
        missing = m->update ? NULL : "update";
        break;
    case RV_EXECUTOR_CALL_MESSAGE:
        missing = m->message ? NULL : "message";
        break;
    case RV_EXECUTOR_CALL_HEARTBEAT:
        break;
    default:
        return rv_error_set(err, RV_ERR_UNSUPPORTED, "'type' is not known");
    }
    if (missing)
        return rv_error_set(err, RV_ERR_INVALID, "'%s' must be present in a call of its type",
                            missing);
    return 0;
}

static void release_updates(struct rv_task_status *v, size_t n) {
    for (size_t i = 0; i < n; i++)
        rv_wire_task_status_release(&v[i]);
}

static int subscribe_from(const Reeve__V1__Executor__Call__Subscribe *m, struct rv_arena *arena,
                          struct rv_executor_call *out, struct rv_error *err) {
    out->subscribe.n_tasks = m->n_unacknowledged_tasks;
    out->subscribe.unacknowledged_tasks =
        RV_ARENA_ARRAY(arena, struct rv_task_id, m->n_unacknowledged_tasks);
    for (size_t i = 0; i < m->n_unacknowledged_tasks; i++)
        out->subscribe.unacknowledged_tasks[i].v = m->unacknowledged_tasks[i]->task_id->value;
    out->subscribe.unacknowledged_updates =
        RV_ARENA_ARRAY(arena, struct rv_task_status, m->n_unacknowledged_updates);
    for (size_t i = 0; i < m->n_unacknowledged_updates; i++) {
        int r = rv_wire_task_status_from(m->unacknowledged_updates[i]->status, arena,
                                         &out->subscribe.unacknowledged_updates[i], err);
        if (r < 0) {
            rv_error_prefix(err, "'subscribe.unacknowledged_updates[%zu]'", i);
            release_updates(out->subscribe.unacknowledged_updates, i);
            return r;
        }
        out->subscribe.n_updates++;
    }
    return 0;
}

int rv_wire_executor_call_decode(enum rv_encoding encoding, struct rv_str body,
                                 const struct rv_wire_limits *limits, struct rv_arena *arena,
                                 struct rv_executor_call *out, struct rv_error *err) {
    ProtobufCMessage *root;
    int r = rv_wire_decode(&reeve__v1__executor__call__descriptor, encoding, body, limits, arena,
                           &root, err);
    if (r < 0)
        return r;
    const Reeve__V1__Executor__Call *m = (const void *)root;
    if ((r = check_shape(m, err)) < 0)
        return r;
    struct rv_executor_call call = {
        .type = (enum rv_executor_call_type)m->type,
        .framework_id = {m->framework_id->value},
        .executor_id = {m->executor_id->value},
    };
    if (call.type == RV_EXECUTOR_CALL_SUBSCRIBE && m->subscribe) {
        r = subscribe_from(m->subscribe, arena, &call, err);
    } else if (call.type == RV_EXECUTOR_CALL_UPDATE) {
        call.update = RV_ARENA_NEW(arena, struct rv_task_status);
        r = rv_wire_task_status_from(m->update->status, arena, call.update, err);
        if (r < 0)
            rv_error_prefix(err, "'update'");
    } else if (call.type == RV_EXECUTOR_CALL_MESSAGE) {
        call.message = rv_strn(m->message->data.data, m->message->data.len);
    }
    if (r == 0)
        *out = call;
    return r;
}

void rv_wire_executor_call_release(struct rv_executor_call *call) {
    if (call->type == RV_EXECUTOR_CALL_SUBSCRIBE)
        release_updates(call->subscribe.unacknowledged_updates, call->subscribe.n_updates);
    else if (call->type == RV_EXECUTOR_CALL_UPDATE)
        rv_wire_task_status_release(call->update);
    *call = (struct rv_executor_call){0};
}

/* --- events --- */

#define MAKE(arena, Type, name)                                                                    \
    RV_WIRE_MAKE(arena, Executor__Event__##Type, executor__event__##name)

static Reeve__V1__TaskGroupInfo *group_to(const struct rv_executor_event *e,
                                          struct rv_arena *arena) {
    Reeve__V1__TaskGroupInfo *m = RV_WIRE_MAKE(arena, TaskGroupInfo, task_group_info);
    m->n_tasks = e->launch.n;
    m->tasks = RV_ARENA_ARRAY(arena, Reeve__V1__TaskInfo *, e->launch.n);
    for (size_t i = 0; i < e->launch.n; i++)
        m->tasks[i] = rv_wire_task_info_whole_to(e->launch.tasks[i], arena);
    return m;
}

static void part_to(const struct rv_executor_event *e, struct rv_arena *arena,
                    Reeve__V1__Executor__Event *m) {
    switch (e->type) {
    case RV_EXECUTOR_EVENT_SUBSCRIBED:
        m->subscribed = MAKE(arena, Subscribed, subscribed);
        m->subscribed->executor_info = rv_wire_executor_info_to(e->subscribed.executor, arena);
        m->subscribed->framework_info = rv_wire_framework_info_to(e->subscribed.framework, arena);
        m->subscribed->agent_info =
            rv_wire_agent_info_to(e->subscribed.agent, RV_SHAPE_ENDPOINT, arena);
        m->subscribed->container_id = rv_wire_container_id_to(e->subscribed.container_id, arena);
        break;
    case RV_EXECUTOR_EVENT_LAUNCH:
        RV_ASSERT(e->launch.n == 1);
        m->launch = MAKE(arena, Launch, launch);
        m->launch->task = rv_wire_task_info_whole_to(e->launch.tasks[0], arena);
        break;
    case RV_EXECUTOR_EVENT_LAUNCH_GROUP:
        m->launch_group = MAKE(arena, LaunchGroup, launch_group);
        m->launch_group->task_group = group_to(e, arena);
        break;
    case RV_EXECUTOR_EVENT_KILL:
        m->kill = MAKE(arena, Kill, kill);
        m->kill->task_id = rv_wire_task_id_to(e->kill.task_id, arena);
        m->kill->kill_policy = rv_wire_kill_policy_to(e->kill.grace_ms, arena);
        break;
    case RV_EXECUTOR_EVENT_ACKNOWLEDGED:
        m->acknowledged = MAKE(arena, Acknowledged, acknowledged);
        m->acknowledged->task_id = rv_wire_task_id_to(e->acknowledged.task_id, arena);
        m->acknowledged->uuid = rv_wire_uuid_to(e->acknowledged.uuid);
        break;
    case RV_EXECUTOR_EVENT_MESSAGE:
        m->message = MAKE(arena, Message, message);
        m->message->data = (ProtobufCBinaryData){e->message.n, (uint8_t *)text(e->message.s)};
        break;
    case RV_EXECUTOR_EVENT_ERROR:
        m->error = MAKE(arena, Error, error);
        m->error->message = text(e->error);
        break;
    case RV_EXECUTOR_EVENT_SHUTDOWN:
    case RV_EXECUTOR_EVENT_HEARTBEAT:
        break;
    case RV_EXECUTOR_EVENT_UNKNOWN:
    case RV_EXECUTOR_EVENT_MAX:
        RV_UNREACHABLE();
    }
}

void rv_wire_executor_event_encode(const struct rv_executor_event *event, enum rv_encoding encoding,
                                   struct rv_arena *scratch, struct rv_buf *out) {
    Reeve__V1__Executor__Event m;
    reeve__v1__executor__event__init(&m);
    m.has_type = true;
    m.type = (Reeve__V1__Executor__Event__Type)event->type;
    part_to(event, scratch, &m);
    rv_wire_encode(&m.base, encoding, out);
}
