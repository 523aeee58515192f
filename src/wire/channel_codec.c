/*
 * The channel between agent and master.
 *
 * What frameworks wrote goes as packed bytes and is not judged again: the master has done that.
 * The resources beside it, with their allocation, are those that count; ids of frameworks stand
 * beside executors, so that the packed bytes of an executor stay equal on both ends.
 */
#include "wire/channel_codec.h"

#include "base/assert.h"
#include "reeve/v1/channel.pb-c.h"
#include "wire/convert.h"
#include "wire/maintenance_codec.h"

#define MAKE(arena, Type, name) RV_WIRE_MAKE(arena, Channel__##Type, channel__##name)

static char *text(const char *s) {
    return (char *)(uintptr_t)s;
}

static ProtobufCBinaryData bytes_to(struct rv_str s) {
    return (ProtobufCBinaryData){s.n, (uint8_t *)text(s.s)};
}

static struct rv_str bytes_from(ProtobufCBinaryData d) {
    return rv_strn(d.data, d.len);
}

static int missing(const char *name, struct rv_error *err) {
    return rv_error_set(err, RV_ERR_INVALID, "'%s' must be present in a message of its type", name);
}

/* needs: as a peer told, 0: not at all. */
static int check_version(uint32_t needs, const char *peer, const char *ours, struct rv_error *err) {
    if (needs <= RV_CHANNEL_VERSION)
        return 0;
    return rv_error_set(err, RV_ERR_UNSUPPORTED,
                        "the %s needs version %u of the channel between agents and masters, and "
                        "this %s speaks version %d: upgrade the %s first",
                        peer, needs, ours, RV_CHANNEL_VERSION, ours);
}

static void resources_to(const struct rv_resources *r, struct rv_arena *arena,
                         Reeve__V1__Resource ***v, size_t *n) {
    rv_wire_resources_to(r, RV_SHAPE_REFINED, true, arena, v, n);
}

/* --- agents, executors, tasks --- */

static Reeve__V1__Channel__Agent *agent_to(const struct rv_agent_info *a, struct rv_arena *arena) {
    Reeve__V1__Channel__Agent *m = MAKE(arena, Agent, agent);
    m->info = rv_wire_agent_info_to(a, RV_SHAPE_REFINED, arena);
    m->ip = text(a->ip);
    m->version = text(a->version);
    rv_wire_agent_capabilities_to(a->capabilities, arena, &m->capabilities, &m->n_capabilities);
    return m;
}

static int agent_from(const Reeve__V1__Channel__Agent *m, struct rv_agent_info *out,
                      struct rv_error *err) {
    int r = rv_wire_agent_info_from(m->info, out, err);
    if (r < 0)
        return r;
    out->ip = m->ip;
    out->version = m->version;
    out->capabilities = rv_wire_agent_capabilities_from(m->capabilities, m->n_capabilities);
    return 0;
}

/* whole: with the values of secrets, which only those who run it need. */
static Reeve__V1__Channel__Executor *executor_to(const struct rv_executor_info *e,
                                                 struct rv_framework_id framework_id, bool whole,
                                                 struct rv_arena *arena) {
    const struct rv_blob *packed = whole && e->whole ? e->whole : e->packed;
    Reeve__V1__Channel__Executor *m = MAKE(arena, Executor, executor);
    m->framework_id = rv_wire_framework_id_to(framework_id, arena);
    m->info = packed ? (void *)rv_wire_raw_blob(arena, packed) : rv_wire_executor_info_to(e, arena);
    resources_to(&e->resources, arena, &m->resources, &m->n_resources);
    m->has_command = m->command = e->type == RV_EXECUTOR_COMMAND;
    return m;
}

static int executor_from(const Reeve__V1__Channel__Executor *m, struct rv_arena *arena,
                         struct rv_executor_info *out, struct rv_error *err) {
    rv_wire_executor_info_from(m->info, false, arena, out);
    out->problem = NULL;
    if (m->has_command && m->command)
        out->type = RV_EXECUTOR_COMMAND;
    if (m->framework_id)
        out->framework_id.v = m->framework_id->value;
    rv_resources_free(&out->resources);
    int r = rv_wire_resources_from(m->resources, m->n_resources, "executor.resources",
                                   &out->resources, err);
    if (r < 0)
        rv_wire_executor_info_release(out);
    return r;
}

static Reeve__V1__Channel__Task *task_to(const struct rv_task_info *t, bool whole,
                                         struct rv_arena *arena) {
    Reeve__V1__Channel__Task *m = MAKE(arena, Task, task);
    m->info = whole ? rv_wire_task_info_whole_to(t, arena) : rv_wire_task_info_to(t, arena);
    resources_to(&t->resources, arena, &m->resources, &m->n_resources);
    return m;
}

static int task_from(const Reeve__V1__Channel__Task *m, struct rv_arena *arena,
                     struct rv_task_info *out, struct rv_error *err) {
    rv_wire_task_info_from(m->info, false, false, arena, out);
    out->problem = NULL;
    rv_resources_free(&out->resources);
    int r = rv_wire_resources_from(m->resources, m->n_resources, "task.resources", &out->resources,
                                   err);
    if (r < 0)
        rv_wire_task_info_release(out);
    return r;
}

static Reeve__V1__Channel__TaskView *task_view_to(const struct rv_task_view *t,
                                                  struct rv_arena *arena) {
    Reeve__V1__Channel__TaskView *m = MAKE(arena, TaskView, task_view);
    m->framework_id = rv_wire_framework_id_to(t->framework_id, arena);
    m->executor_id = rv_wire_executor_id_to(t->executor_id, arena);
    m->has_command = m->command = t->command;
    m->task = task_to(t->info, false, arena);
    m->state = (Reeve__V1__TaskState)t->state;
    m->status = t->status ? rv_wire_task_status_to(t->status, arena) : NULL;
    if (t->has_update_uuid) {
        m->has_update_state = m->has_update_uuid = true;
        m->update_state = (Reeve__V1__TaskState)t->update_state;
        m->update_uuid = rv_wire_uuid_to(t->update_uuid);
    }
    return m;
}

static void task_view_release(struct rv_task_view *t) { /* its parts were made here, in the arena */
    if (t->info)
        rv_wire_task_info_release((struct rv_task_info *)(uintptr_t)t->info);
    if (t->status)
        rv_wire_task_status_release((struct rv_task_status *)(uintptr_t)t->status);
}

static int state_from(Reeve__V1__TaskState state, enum rv_task_state *out, struct rv_error *err) {
    if (rv_task_state_name((int)state)[0] == '?')
        return rv_error_set(err, RV_ERR_INVALID, "unknown task state %d", (int)state);
    *out = (enum rv_task_state)state;
    return 0;
}

/* On error what was read stays in out, to be released. */
static int task_view_from(const Reeve__V1__Channel__TaskView *m, struct rv_arena *arena,
                          struct rv_task_view *out, struct rv_error *err) {
    out->framework_id.v = m->framework_id->value;
    out->executor_id.v = m->executor_id ? m->executor_id->value : NULL;
    out->command = m->has_command && m->command;
    int r = state_from(m->state, &out->state, err);
    if (r == 0 && m->has_update_uuid) {
        out->has_update_uuid = true;
        r = state_from(m->update_state, &out->update_state, err);
        if (r == 0)
            r = rv_wire_uuid_from(m->update_uuid, "update_uuid", out->update_uuid, err);
    }
    if (r < 0)
        return r;
    struct rv_task_info *info = RV_ARENA_NEW(arena, struct rv_task_info);
    if ((r = task_from(m->task, arena, info, err)) < 0)
        return r;
    out->info = info;
    if (m->status) {
        struct rv_task_status *status = RV_ARENA_NEW(arena, struct rv_task_status);
        if ((r = rv_wire_task_status_from(m->status, arena, status, err)) < 0)
            return r;
        out->status = status;
    }
    return 0;
}

/* An operation goes as it was sent, with its resources as they are to be taken. */
static int operation_from(const Reeve__V1__Offer__Operation *info,
                          Reeve__V1__Resource *const *resources, size_t n_resources,
                          Reeve__V1__Resource *const *source, size_t n_source,
                          struct rv_arena *arena, struct rv_operation *out, struct rv_error *err) {
    rv_wire_operation_from(info, false, arena, out);
    out->problem = NULL;
    rv_resources_free(&out->resources);
    rv_resources_free(&out->source);
    int r =
        rv_wire_resources_from(resources, n_resources, "operation.resources", &out->resources, err);
    if (r == 0)
        r = rv_wire_resources_from(source, n_source, "operation.source", &out->source, err);
    return r;
}

static Reeve__V1__Channel__OperationView *operation_view_to(const struct rv_operation_view *v,
                                                            struct rv_arena *arena) {
    Reeve__V1__Channel__OperationView *m = MAKE(arena, OperationView, operation_view);
    m->framework_id = rv_wire_framework_id_to(v->framework_id, arena);
    m->info = rv_wire_operation_to(v->operation, arena);
    resources_to(&v->operation->resources, arena, &m->resources, &m->n_resources);
    resources_to(&v->operation->source, arena, &m->source, &m->n_source);
    m->uuid = rv_wire_uuid_to(v->uuid);
    if (v->status)
        m->status = rv_wire_operation_status_to(v->status, RV_SHAPE_REFINED, true, arena);
    return m;
}

static void operation_view_release(struct rv_operation_view *v) {
    if (v->operation)
        rv_wire_operation_release((struct rv_operation *)(uintptr_t)v->operation);
    if (v->status)
        rv_wire_operation_status_release((struct rv_operation_status *)(uintptr_t)v->status);
}

/* On error what was read stays in out, to be released. */
static int operation_view_from(const Reeve__V1__Channel__OperationView *m, struct rv_arena *arena,
                               struct rv_operation_view *out, struct rv_error *err) {
    struct rv_operation *o = RV_ARENA_NEW(arena, struct rv_operation);
    out->framework_id.v = m->framework_id ? m->framework_id->value : NULL;
    out->operation = o;
    int r = operation_from(m->info, m->resources, m->n_resources, m->source, m->n_source, arena, o,
                           err);
    if (r == 0)
        r = rv_wire_uuid_from(m->uuid, "operation.uuid", out->uuid, err);
    if (r == 0 && m->status) {
        struct rv_operation_status *status = RV_ARENA_NEW(arena, struct rv_operation_status);
        r = rv_wire_operation_status_from(m->status, arena, status, err);
        if (r == 0)
            out->status = status;
    }
    return r;
}

/* --- calls: out --- */

/* Who has what operations made is nothing for a master that does not know operations. */
static void operations_to(const struct rv_agent_call *c, struct rv_arena *arena,
                          Reeve__V1__Channel__Call__Registration *m) {
    if (c->registration.total) {
        resources_to(c->registration.total, arena, &m->total, &m->n_total);
        m->has_needs = !rv_resources_eq(c->registration.total, &c->registration.info->resources);
    }
    m->n_operations = c->registration.n_operations;
    m->operations = RV_ARENA_ARRAY(arena, Reeve__V1__Channel__OperationView *, m->n_operations);
    for (size_t i = 0; i < m->n_operations; i++)
        m->operations[i] = operation_view_to(&c->registration.operations[i], arena);
    m->has_needs = m->has_needs || m->n_operations > 0;
    m->needs = m->has_needs ? 2 : 0;
}

static Reeve__V1__Channel__Call__Registration *registration_to(const struct rv_agent_call *c,
                                                               struct rv_arena *arena) {
    Reeve__V1__Channel__Call__Registration *m = MAKE(arena, Call__Registration, call__registration);
    m->agent = agent_to(c->registration.info, arena);
    m->boot_id = text(c->registration.boot_id);
    m->has_life = c->registration.life != 0;
    m->life = c->registration.life;
    m->has_attempt = c->registration.attempt != 0;
    m->attempt = c->registration.attempt;
    m->n_tasks = c->registration.n_tasks;
    m->tasks = RV_ARENA_ARRAY(arena, Reeve__V1__Channel__TaskView *, m->n_tasks);
    for (size_t i = 0; i < m->n_tasks; i++)
        m->tasks[i] = task_view_to(&c->registration.tasks[i], arena);
    m->n_executors = c->registration.n_executors;
    m->executors = RV_ARENA_ARRAY(arena, Reeve__V1__Channel__Executor *, m->n_executors);
    for (size_t i = 0; i < m->n_executors; i++)
        m->executors[i] = executor_to(c->registration.executors[i].info,
                                      c->registration.executors[i].framework_id, false, arena);
    m->n_frameworks = c->registration.n_frameworks;
    m->frameworks = RV_ARENA_ARRAY(arena, Reeve__V1__FrameworkInfo *, m->n_frameworks);
    for (size_t i = 0; i < m->n_frameworks; i++)
        m->frameworks[i] = rv_wire_framework_info_to(&c->registration.frameworks[i], arena);
    m->n_completed_frameworks = c->registration.n_completed_frameworks;
    m->completed_frameworks =
        RV_ARENA_ARRAY(arena, Reeve__V1__FrameworkID *, m->n_completed_frameworks);
    for (size_t i = 0; i < m->n_completed_frameworks; i++)
        m->completed_frameworks[i] =
            rv_wire_framework_id_to(c->registration.completed_frameworks[i], arena);
    operations_to(c, arena, m);
    return m;
}

static void call_part_to(const struct rv_agent_call *c, struct rv_arena *arena,
                         Reeve__V1__Channel__Call *m) {
    switch (c->type) {
    case RV_AGENT_CALL_REGISTER:
    case RV_AGENT_CALL_REREGISTER:
        m->registration = registration_to(c, arena);
        break;
    case RV_AGENT_CALL_STATUS_UPDATE:
        m->status_update = MAKE(arena, Call__StatusUpdate, call__status_update);
        m->status_update->framework_id = rv_wire_framework_id_to(c->update.framework_id, arena);
        m->status_update->status = rv_wire_task_status_to(c->update.status, arena);
        m->status_update->latest_state = (Reeve__V1__TaskState)c->update.latest_state;
        break;
    case RV_AGENT_CALL_EXECUTOR_EXITED:
        m->executor_exited = MAKE(arena, Call__ExecutorExited, call__executor_exited);
        m->executor_exited->framework_id = rv_wire_framework_id_to(c->exited.framework_id, arena);
        m->executor_exited->executor_id = rv_wire_executor_id_to(c->exited.executor_id, arena);
        m->executor_exited->status = c->exited.status;
        break;
    case RV_AGENT_CALL_FRAMEWORK_MESSAGE:
        m->framework_message = MAKE(arena, Call__FrameworkMessage, call__framework_message);
        m->framework_message->framework_id =
            rv_wire_framework_id_to(c->message.framework_id, arena);
        m->framework_message->executor_id = rv_wire_executor_id_to(c->message.executor_id, arena);
        m->framework_message->data = bytes_to(c->message.data);
        break;
    case RV_AGENT_CALL_OPERATION_STATUS:
        m->operation_status =
            MAKE(arena, Call__OperationStatusUpdate, call__operation_status_update);
        m->operation_status->framework_id =
            rv_wire_framework_id_to(c->operation.framework_id, arena);
        m->operation_status->status =
            rv_wire_operation_status_to(c->operation.status, RV_SHAPE_REFINED, true, arena);
        m->operation_status->has_operation_uuid = true;
        m->operation_status->operation_uuid = rv_wire_uuid_to(c->operation.operation);
        break;
    case RV_AGENT_CALL_UPDATE_AGENT:
        m->update_agent = MAKE(arena, Call__UpdateAgent, call__update_agent);
        resources_to(c->total, arena, &m->update_agent->total, &m->update_agent->n_total);
        break;
    case RV_AGENT_CALL_PONG:
    case RV_AGENT_CALL_UNREGISTER:
        break;
    case RV_AGENT_CALL_MAX:
        RV_UNREACHABLE();
    }
}

void rv_wire_agent_call_encode(const struct rv_agent_call *call, enum rv_encoding encoding,
                               struct rv_arena *scratch, struct rv_buf *out) {
    Reeve__V1__Channel__Call m;
    reeve__v1__channel__call__init(&m);
    m.has_type = true;
    m.type = (Reeve__V1__Channel__Call__Type)call->type;
    m.agent_id = rv_wire_agent_id_to(call->agent_id, scratch);
    call_part_to(call, scratch, &m);
    rv_wire_encode(&m.base, encoding, out);
}

/* --- calls: in --- */

static int operations_from(const Reeve__V1__Channel__Call__Registration *m, struct rv_arena *arena,
                           struct rv_agent_call *out, struct rv_error *err) {
    if (m->n_total > 0) {
        struct rv_resources *total = RV_ARENA_NEW(arena, struct rv_resources);
        int r = rv_wire_resources_from(m->total, m->n_total, "registration.total", total, err);
        if (r < 0)
            return r;
        out->registration.total = total;
    }
    out->registration.operations = RV_ARENA_ARRAY(arena, struct rv_operation_view, m->n_operations);
    for (size_t i = 0; i < m->n_operations; i++) {
        out->registration.n_operations = i + 1;
        int r = operation_view_from(m->operations[i], arena, &out->registration.operations[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* On error what was read stays in out, to be released. */
static int registration_from(const Reeve__V1__Channel__Call__Registration *m,
                             struct rv_arena *arena, struct rv_agent_call *out,
                             struct rv_error *err) {
    struct rv_agent_info *info = RV_ARENA_NEW(arena, struct rv_agent_info);
    int r = check_version(m->has_needs ? m->needs : 0, "agent", "master", err);
    if (r == 0)
        r = agent_from(m->agent, info, err);
    if (r < 0)
        return r;
    out->registration.info = info;
    out->registration.boot_id = m->boot_id;
    out->registration.life = m->has_life ? m->life : 0;
    out->registration.attempt = m->has_attempt ? m->attempt : 0;
    out->registration.tasks = RV_ARENA_ARRAY(arena, struct rv_task_view, m->n_tasks);
    for (size_t i = 0; i < m->n_tasks; i++) {
        out->registration.n_tasks = i + 1;
        r = task_view_from(m->tasks[i], arena, &out->registration.tasks[i], err);
        if (r < 0) {
            rv_error_prefix(err, "'registration.tasks[%zu]'", i);
            return r;
        }
    }
    out->registration.executors = RV_ARENA_ARRAY(arena, struct rv_executor_view, m->n_executors);
    for (size_t i = 0; i < m->n_executors; i++) {
        struct rv_executor_info *executor = RV_ARENA_NEW(arena, struct rv_executor_info);
        if (!m->executors[i]->framework_id)
            return missing("registration.executors.framework_id", err);
        if ((r = executor_from(m->executors[i], arena, executor, err)) < 0)
            return r;
        out->registration.executors[i] =
            (struct rv_executor_view){executor->framework_id, executor};
        out->registration.n_executors = i + 1;
    }
    out->registration.frameworks = RV_ARENA_ARRAY(arena, struct rv_framework_info, m->n_frameworks);
    for (size_t i = 0; i < m->n_frameworks; i++) {
        r = rv_wire_framework_info_from(m->frameworks[i], arena, &out->registration.frameworks[i],
                                        err);
        if (r < 0)
            return r;
        out->registration.n_frameworks = i + 1;
    }
    out->registration.n_completed_frameworks = m->n_completed_frameworks;
    out->registration.completed_frameworks =
        RV_ARENA_ARRAY(arena, struct rv_framework_id, m->n_completed_frameworks);
    for (size_t i = 0; i < m->n_completed_frameworks; i++)
        out->registration.completed_frameworks[i].v = m->completed_frameworks[i]->value;
    return operations_from(m, arena, out, err);
}

static int status_update_from(const Reeve__V1__Channel__Call__StatusUpdate *m,
                              struct rv_arena *arena, struct rv_agent_call *out,
                              struct rv_error *err) {
    struct rv_task_status *status = RV_ARENA_NEW(arena, struct rv_task_status);
    out->update.framework_id.v = m->framework_id->value;
    int r = state_from(m->latest_state, &out->update.latest_state, err);
    if (r == 0)
        r = rv_wire_task_status_from(m->status, arena, status, err);
    if (r == 0)
        out->update.status = status;
    return r;
}

static int operation_status_from(const Reeve__V1__Channel__Call__OperationStatusUpdate *m,
                                 struct rv_arena *arena, struct rv_agent_call *out,
                                 struct rv_error *err) {
    struct rv_operation_status *status = RV_ARENA_NEW(arena, struct rv_operation_status);
    out->operation.framework_id.v = m->framework_id ? m->framework_id->value : NULL;
    int r = rv_wire_operation_status_from(m->status, arena, status, err);
    if (r < 0)
        return r;
    out->operation.status = status;
    return m->has_operation_uuid ? rv_wire_uuid_from(m->operation_uuid, "operation_uuid",
                                                     out->operation.operation, err)
                                 : missing("operation_uuid", err);
}

static int call_part_from(const Reeve__V1__Channel__Call *m, struct rv_arena *arena,
                          struct rv_agent_call *out, struct rv_error *err) {
    switch (out->type) {
    case RV_AGENT_CALL_REGISTER:
    case RV_AGENT_CALL_REREGISTER:
        if (!m->registration)
            return missing("registration", err);
        return registration_from(m->registration, arena, out, err);
    case RV_AGENT_CALL_STATUS_UPDATE:
        if (!m->status_update)
            return missing("status_update", err);
        return status_update_from(m->status_update, arena, out, err);
    case RV_AGENT_CALL_EXECUTOR_EXITED:
        if (!m->executor_exited)
            return missing("executor_exited", err);
        out->exited.framework_id.v = m->executor_exited->framework_id->value;
        out->exited.executor_id.v = m->executor_exited->executor_id->value;
        out->exited.status = m->executor_exited->status;
        return 0;
    case RV_AGENT_CALL_FRAMEWORK_MESSAGE:
        if (!m->framework_message)
            return missing("framework_message", err);
        out->message.framework_id.v = m->framework_message->framework_id->value;
        out->message.executor_id.v = m->framework_message->executor_id->value;
        out->message.data = bytes_from(m->framework_message->data);
        return 0;
    case RV_AGENT_CALL_OPERATION_STATUS:
        if (!m->operation_status)
            return missing("operation_status", err);
        return operation_status_from(m->operation_status, arena, out, err);
    case RV_AGENT_CALL_UPDATE_AGENT: {
        if (!m->update_agent)
            return missing("update_agent", err);
        struct rv_resources *total = RV_ARENA_NEW(arena, struct rv_resources);
        out->total = total;
        return rv_wire_resources_from(m->update_agent->total, m->update_agent->n_total,
                                      "update_agent.total", total, err);
    }
    default:
        return 0;
    }
}

int rv_wire_agent_call_decode(enum rv_encoding encoding, struct rv_str body,
                              const struct rv_wire_limits *limits, struct rv_arena *arena,
                              struct rv_agent_call *out, struct rv_error *err) {
    ProtobufCMessage *root;
    int r = rv_wire_decode(&reeve__v1__channel__call__descriptor, encoding, body, limits, arena,
                           &root, err);
    if (r < 0)
        return r;
    const Reeve__V1__Channel__Call *m = (const void *)root;
    if (!m->has_type)
        return rv_error_set(err, RV_ERR_INVALID, "'type' must be present");
    if ((int)m->type <= 0 || (int)m->type >= RV_AGENT_CALL_MAX)
        return rv_error_set(err, RV_ERR_UNSUPPORTED, "'type' is not known");
    if (!m->agent_id && m->type != REEVE__V1__CHANNEL__CALL__TYPE__REGISTER)
        return rv_error_set(err, RV_ERR_INVALID, "'agent_id' must be present");
    struct rv_agent_call call = {
        .type = (enum rv_agent_call_type)m->type,
        .agent_id = {m->agent_id ? m->agent_id->value : NULL},
    };
    if ((r = call_part_from(m, arena, &call, err)) < 0) {
        rv_wire_agent_call_release(&call);
        return r;
    }
    *out = call;
    return 0;
}

static void registration_release(struct rv_agent_call *call) {
    if (call->registration.info)
        rv_wire_agent_info_release((struct rv_agent_info *)(uintptr_t)call->registration.info);
    for (size_t i = 0; i < call->registration.n_tasks; i++)
        task_view_release(&call->registration.tasks[i]);
    for (size_t i = 0; i < call->registration.n_executors; i++)
        rv_wire_executor_info_release(
            (struct rv_executor_info *)(uintptr_t)call->registration.executors[i].info);
    for (size_t i = 0; i < call->registration.n_frameworks; i++)
        rv_wire_framework_info_release(&call->registration.frameworks[i]);
    if (call->registration.total)
        rv_resources_free((struct rv_resources *)(uintptr_t)call->registration.total);
    for (size_t i = 0; i < call->registration.n_operations; i++)
        operation_view_release(&call->registration.operations[i]);
}

void rv_wire_agent_call_release(struct rv_agent_call *call) {
    switch (call->type) {
    case RV_AGENT_CALL_REGISTER:
    case RV_AGENT_CALL_REREGISTER:
        registration_release(call);
        break;
    case RV_AGENT_CALL_STATUS_UPDATE:
        if (call->update.status)
            rv_wire_task_status_release((struct rv_task_status *)(uintptr_t)call->update.status);
        break;
    case RV_AGENT_CALL_OPERATION_STATUS:
        if (call->operation.status)
            rv_wire_operation_status_release(
                (struct rv_operation_status *)(uintptr_t)call->operation.status);
        break;
    case RV_AGENT_CALL_UPDATE_AGENT:
        if (call->total)
            rv_resources_free((struct rv_resources *)(uintptr_t)call->total);
        break;
    default:
        break;
    }
    *call = (struct rv_agent_call){0};
}

/* --- events: out --- */

static Reeve__V1__Channel__Event__RunTasks *run_to(const struct rv_agent_event *e,
                                                   struct rv_arena *arena) {
    Reeve__V1__Channel__Event__RunTasks *m = MAKE(arena, Event__RunTasks, event__run_tasks);
    m->framework = rv_wire_framework_info_to(e->run.framework, arena);
    if (e->run.executor)
        m->executor = executor_to(e->run.executor, e->run.framework->id, true, arena);
    m->has_group = m->group = e->run.group;
    m->has_executor_runs = m->executor_runs = e->run.executor_runs;
    m->n_tasks = e->run.n_tasks;
    m->tasks = RV_ARENA_ARRAY(arena, Reeve__V1__Channel__Task *, m->n_tasks);
    for (size_t i = 0; i < m->n_tasks; i++)
        m->tasks[i] = task_to(&e->run.tasks[i], true, arena);
    return m;
}

static Reeve__V1__Channel__Event__ApplyOperation *apply_to(const struct rv_agent_event *e,
                                                           struct rv_arena *arena) {
    Reeve__V1__Channel__Event__ApplyOperation *m =
        MAKE(arena, Event__ApplyOperation, event__apply_operation);
    m->framework_id = rv_wire_framework_id_to(e->apply.framework_id, arena);
    m->info = rv_wire_operation_to(e->apply.operation, arena);
    resources_to(&e->apply.operation->resources, arena, &m->resources, &m->n_resources);
    resources_to(&e->apply.operation->source, arena, &m->source, &m->n_source);
    m->uuid = rv_wire_uuid_to(e->apply.uuid);
    return m;
}

static Reeve__V1__Channel__Event__ReconcileTasks *reconcile_to(const struct rv_agent_event *e,
                                                               struct rv_arena *arena) {
    Reeve__V1__Channel__Event__ReconcileTasks *m =
        MAKE(arena, Event__ReconcileTasks, event__reconcile_tasks);
    m->framework_id = rv_wire_framework_id_to(e->reconcile.framework_id, arena);
    m->n_task_ids = e->reconcile.n;
    m->task_ids = RV_ARENA_ARRAY(arena, Reeve__V1__TaskID *, e->reconcile.n);
    for (size_t i = 0; i < e->reconcile.n; i++)
        m->task_ids[i] = rv_wire_task_id_to(e->reconcile.task_ids[i], arena);
    return m;
}

/* The events about one task, executor or framework. */
static void small_event_to(const struct rv_agent_event *e, struct rv_arena *arena,
                           Reeve__V1__Channel__Event *m) {
    switch (e->type) {
    case RV_AGENT_EVENT_KILL_TASK:
        m->kill_task = MAKE(arena, Event__KillTask, event__kill_task);
        m->kill_task->framework_id = rv_wire_framework_id_to(e->kill.framework_id, arena);
        m->kill_task->task_id = rv_wire_task_id_to(e->kill.task_id, arena);
        m->kill_task->kill_policy = rv_wire_kill_policy_to(e->kill.grace_ms, arena);
        break;
    case RV_AGENT_EVENT_SHUTDOWN_EXECUTOR:
        m->shutdown_executor = MAKE(arena, Event__ShutdownExecutor, event__shutdown_executor);
        m->shutdown_executor->framework_id =
            rv_wire_framework_id_to(e->shutdown_executor.framework_id, arena);
        m->shutdown_executor->executor_id =
            rv_wire_executor_id_to(e->shutdown_executor.executor_id, arena);
        break;
    case RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK:
        m->shutdown_framework = MAKE(arena, Event__ShutdownFramework, event__shutdown_framework);
        m->shutdown_framework->framework_id = rv_wire_framework_id_to(e->shutdown_framework, arena);
        break;
    case RV_AGENT_EVENT_ACKNOWLEDGE:
        m->acknowledge = MAKE(arena, Event__Acknowledge, event__acknowledge);
        m->acknowledge->framework_id = rv_wire_framework_id_to(e->acknowledge.framework_id, arena);
        m->acknowledge->task_id = rv_wire_task_id_to(e->acknowledge.task_id, arena);
        m->acknowledge->uuid = rv_wire_uuid_to(e->acknowledge.uuid);
        break;
    case RV_AGENT_EVENT_ACKNOWLEDGE_OPERATION:
        m->acknowledge_operation =
            MAKE(arena, Event__AcknowledgeOperation, event__acknowledge_operation);
        m->acknowledge_operation->has_operation_uuid = true;
        m->acknowledge_operation->operation_uuid =
            rv_wire_uuid_to(e->acknowledge_operation.operation);
        m->acknowledge_operation->uuid = rv_wire_uuid_to(e->acknowledge_operation.uuid);
        break;
    case RV_AGENT_EVENT_FRAMEWORK_MESSAGE:
        m->framework_message = MAKE(arena, Event__FrameworkMessage, event__framework_message);
        m->framework_message->framework_id =
            rv_wire_framework_id_to(e->message.framework_id, arena);
        m->framework_message->executor_id = rv_wire_executor_id_to(e->message.executor_id, arena);
        m->framework_message->data = bytes_to(e->message.data);
        break;
    default:
        RV_UNREACHABLE();
    }
}

static void event_part_to(const struct rv_agent_event *e, struct rv_arena *arena,
                          Reeve__V1__Channel__Event *m) {
    switch (e->type) {
    case RV_AGENT_EVENT_REGISTERED:
        m->registered = MAKE(arena, Event__Registered, event__registered);
        m->registered->agent_id = rv_wire_agent_id_to(e->registered.agent_id, arena);
        m->registered->ping_timeout = rv_wire_duration_to(e->registered.ping_timeout_ms, arena);
        break;
    case RV_AGENT_EVENT_PING:
    case RV_AGENT_EVENT_REACTIVATE:
        break;
    case RV_AGENT_EVENT_RUN_TASKS:
        m->run_tasks = run_to(e, arena);
        break;
    case RV_AGENT_EVENT_UPDATE_FRAMEWORK:
        m->update_framework = MAKE(arena, Event__UpdateFramework, event__update_framework);
        m->update_framework->framework = rv_wire_framework_info_to(e->framework, arena);
        break;
    case RV_AGENT_EVENT_APPLY_OPERATION:
        m->apply_operation = apply_to(e, arena);
        break;
    case RV_AGENT_EVENT_SHUTDOWN:
        m->shutdown = MAKE(arena, Event__Shutdown, event__shutdown);
        m->shutdown->message = text(e->why);
        break;
    case RV_AGENT_EVENT_REREGISTER:
        m->reregister = MAKE(arena, Event__Reregister, event__reregister);
        m->reregister->message = text(e->why);
        break;
    case RV_AGENT_EVENT_RECONCILE_TASKS:
        m->reconcile_tasks = reconcile_to(e, arena);
        break;
    case RV_AGENT_EVENT_DRAIN:
        m->drain = MAKE(arena, Event__Drain, event__drain);
        m->drain->config = rv_wire_drain_config_to(&e->drain, arena);
        break;
    default:
        small_event_to(e, arena, m);
        break;
    }
}

void rv_wire_agent_event_encode(const struct rv_agent_event *event, enum rv_encoding encoding,
                                struct rv_arena *scratch, struct rv_buf *out) {
    Reeve__V1__Channel__Event m;
    reeve__v1__channel__event__init(&m);
    m.has_type = true;
    m.type = (Reeve__V1__Channel__Event__Type)event->type;
    event_part_to(event, scratch, &m);
    rv_wire_encode(&m.base, encoding, out);
}

/* --- events: in --- */

static int framework_from(const Reeve__V1__FrameworkInfo *m, struct rv_arena *arena,
                          const struct rv_framework_info **out, struct rv_error *err) {
    if (!m->id)
        return missing("framework.id", err);
    struct rv_framework_info *f = RV_ARENA_NEW(arena, struct rv_framework_info);
    int r = rv_wire_framework_info_from(m, arena, f, err);
    if (r == 0)
        *out = f;
    return r;
}

/* On error what was read stays in out, to be released. */
static int run_from(const Reeve__V1__Channel__Event__RunTasks *m, struct rv_arena *arena,
                    struct rv_agent_event *out, struct rv_error *err) {
    int r = framework_from(m->framework, arena, &out->run.framework, err);
    if (r < 0)
        return r;
    out->run.group = m->has_group && m->group;
    out->run.executor_runs = m->has_executor_runs && m->executor_runs;
    if (m->executor) {
        struct rv_executor_info *executor = RV_ARENA_NEW(arena, struct rv_executor_info);
        if ((r = executor_from(m->executor, arena, executor, err)) < 0)
            return r;
        out->run.executor = executor;
    }
    struct rv_task_info *tasks = RV_ARENA_ARRAY(arena, struct rv_task_info, m->n_tasks);
    out->run.tasks = tasks;
    for (size_t i = 0; i < m->n_tasks; i++) {
        if ((r = task_from(m->tasks[i], arena, &tasks[i], err)) < 0)
            return r;
        out->run.n_tasks = i + 1;
    }
    return 0;
}

static int apply_from(const Reeve__V1__Channel__Event__ApplyOperation *m, struct rv_arena *arena,
                      struct rv_agent_event *out, struct rv_error *err) {
    struct rv_operation *o = RV_ARENA_NEW(arena, struct rv_operation);
    out->apply.framework_id.v = m->framework_id ? m->framework_id->value : NULL;
    out->apply.operation = o;
    int r = operation_from(m->info, m->resources, m->n_resources, m->source, m->n_source, arena, o,
                           err);
    if (r == 0)
        r = rv_wire_uuid_from(m->uuid, "apply_operation.uuid", out->apply.uuid, err);
    return r;
}

static void reconcile_from(const Reeve__V1__Channel__Event__ReconcileTasks *m,
                           struct rv_arena *arena, struct rv_agent_event *out) {
    struct rv_task_id *ids = RV_ARENA_ARRAY(arena, struct rv_task_id, m->n_task_ids);
    for (size_t i = 0; i < m->n_task_ids; i++)
        ids[i].v = m->task_ids[i]->value;
    out->reconcile.framework_id.v = m->framework_id->value;
    out->reconcile.task_ids = ids;
    out->reconcile.n = m->n_task_ids;
}

static int small_event_from(const Reeve__V1__Channel__Event *m, struct rv_agent_event *out,
                            struct rv_error *err) {
    switch (out->type) {
    case RV_AGENT_EVENT_KILL_TASK:
        out->kill.framework_id.v = m->kill_task->framework_id->value;
        out->kill.task_id.v = m->kill_task->task_id->value;
        out->kill.grace_ms = rv_wire_kill_grace_from(m->kill_task->kill_policy);
        return 0;
    case RV_AGENT_EVENT_SHUTDOWN_EXECUTOR:
        out->shutdown_executor.framework_id.v = m->shutdown_executor->framework_id->value;
        out->shutdown_executor.executor_id.v = m->shutdown_executor->executor_id->value;
        return 0;
    case RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK:
        out->shutdown_framework.v = m->shutdown_framework->framework_id->value;
        return 0;
    case RV_AGENT_EVENT_ACKNOWLEDGE:
        out->acknowledge.framework_id.v = m->acknowledge->framework_id->value;
        out->acknowledge.task_id.v = m->acknowledge->task_id->value;
        return rv_wire_uuid_from(m->acknowledge->uuid, "acknowledge.uuid", out->acknowledge.uuid,
                                 err);
    case RV_AGENT_EVENT_ACKNOWLEDGE_OPERATION:
        if (!m->acknowledge_operation->has_operation_uuid)
            return missing("acknowledge_operation.operation_uuid", err);
        if (rv_wire_uuid_from(m->acknowledge_operation->operation_uuid,
                              "acknowledge_operation.operation_uuid",
                              out->acknowledge_operation.operation, err) < 0)
            return -RV_ERR_INVALID;
        return rv_wire_uuid_from(m->acknowledge_operation->uuid, "acknowledge_operation.uuid",
                                 out->acknowledge_operation.uuid, err);
    case RV_AGENT_EVENT_FRAMEWORK_MESSAGE:
        out->message.framework_id.v = m->framework_message->framework_id->value;
        out->message.executor_id.v = m->framework_message->executor_id->value;
        out->message.data = bytes_from(m->framework_message->data);
        return 0;
    default: /* PING, REACTIVATE */
        return 0;
    }
}

static int event_part_from(const Reeve__V1__Channel__Event *m, struct rv_arena *arena,
                           struct rv_agent_event *out, struct rv_error *err) {
    switch (out->type) {
    case RV_AGENT_EVENT_REGISTERED:
        out->registered.agent_id.v = m->registered->agent_id->value;
        out->registered.ping_timeout_ms = m->registered->ping_timeout->nanoseconds / 1000000;
        return check_version(m->registered->has_needs ? m->registered->needs : 0, "master", "agent",
                             err);
    case RV_AGENT_EVENT_RUN_TASKS:
        return run_from(m->run_tasks, arena, out, err);
    case RV_AGENT_EVENT_UPDATE_FRAMEWORK:
        return framework_from(m->update_framework->framework, arena, &out->framework, err);
    case RV_AGENT_EVENT_APPLY_OPERATION:
        return apply_from(m->apply_operation, arena, out, err);
    case RV_AGENT_EVENT_SHUTDOWN:
        out->why = m->shutdown ? m->shutdown->message : NULL;
        return 0;
    case RV_AGENT_EVENT_REREGISTER:
        out->why = m->reregister ? m->reregister->message : NULL;
        return 0;
    case RV_AGENT_EVENT_RECONCILE_TASKS:
        reconcile_from(m->reconcile_tasks, arena, out);
        return 0;
    case RV_AGENT_EVENT_DRAIN:
        out->drain = (struct rv_deactivation){.drain = RV_DRAIN_DRAINING};
        rv_wire_drain_config_from(m->drain->config, &out->drain);
        return 0;
    default:
        return small_event_from(m, out, err);
    }
}

/* The parts that events need. */
static int check_event(const Reeve__V1__Channel__Event *m, struct rv_error *err) {
    if (!m->has_type)
        return rv_error_set(err, RV_ERR_INVALID, "'type' must be present");
    switch ((int)m->type) {
#define PART(NAME, member)                                                                         \
    case RV_AGENT_EVENT_##NAME:                                                                    \
        return m->member ? 0 : missing(#member, err)
        PART(REGISTERED, registered);
        PART(RUN_TASKS, run_tasks);
        PART(KILL_TASK, kill_task);
        PART(SHUTDOWN_EXECUTOR, shutdown_executor);
        PART(SHUTDOWN_FRAMEWORK, shutdown_framework);
        PART(ACKNOWLEDGE, acknowledge);
        PART(FRAMEWORK_MESSAGE, framework_message);
        PART(UPDATE_FRAMEWORK, update_framework);
        PART(APPLY_OPERATION, apply_operation);
        PART(ACKNOWLEDGE_OPERATION, acknowledge_operation);
        PART(RECONCILE_TASKS, reconcile_tasks);
        PART(DRAIN, drain);
#undef PART
    case RV_AGENT_EVENT_PING:
    case RV_AGENT_EVENT_SHUTDOWN:
    case RV_AGENT_EVENT_REREGISTER:
    case RV_AGENT_EVENT_REACTIVATE:
        return 0;
    default:
        return rv_error_set(err, RV_ERR_UNSUPPORTED, "'type' is not known");
    }
}

int rv_wire_agent_event_decode(enum rv_encoding encoding, struct rv_str body,
                               const struct rv_wire_limits *limits, struct rv_arena *arena,
                               struct rv_agent_event *out, struct rv_error *err) {
    ProtobufCMessage *root;
    int r = rv_wire_decode(&reeve__v1__channel__event__descriptor, encoding, body, limits, arena,
                           &root, err);
    if (r < 0)
        return r;
    const Reeve__V1__Channel__Event *m = (const void *)root;
    if ((r = check_event(m, err)) < 0)
        return r;
    struct rv_agent_event event = {.type = (enum rv_agent_event_type)m->type};
    if ((r = event_part_from(m, arena, &event, err)) < 0) {
        rv_wire_agent_event_release(&event);
        return r;
    }
    *out = event;
    return 0;
}

static void framework_release(const struct rv_framework_info *f) {
    if (f)
        rv_wire_framework_info_release((struct rv_framework_info *)(uintptr_t)f);
}

void rv_wire_agent_event_release(struct rv_agent_event *event) {
    switch (event->type) {
    case RV_AGENT_EVENT_RUN_TASKS:
        framework_release(event->run.framework);
        if (event->run.executor)
            rv_wire_executor_info_release(
                (struct rv_executor_info *)(uintptr_t)event->run.executor);
        for (size_t i = 0; i < event->run.n_tasks; i++)
            rv_wire_task_info_release((struct rv_task_info *)(uintptr_t)&event->run.tasks[i]);
        break;
    case RV_AGENT_EVENT_UPDATE_FRAMEWORK:
        framework_release(event->framework);
        break;
    case RV_AGENT_EVENT_APPLY_OPERATION:
        if (event->apply.operation)
            rv_wire_operation_release((struct rv_operation *)(uintptr_t)event->apply.operation);
        break;
    default:
        break;
    }
    *event = (struct rv_agent_event){0};
}
