/* Checkpoints to protobuf and back: see checkpoint_codec.h. */
#include "store/checkpoint_codec.h"

#include <stdlib.h>

#include "reeve/v1/checkpoint.pb-c.h"
#include "wire/codec.h"
#include "wire/convert.h"

static Reeve__V1__Checkpoint__Launch *launch_to(const struct rv_launch *l, struct rv_arena *arena) {
    Reeve__V1__Checkpoint__Launch *m = rv_arena_alloc(arena, sizeof *m);

    reeve__v1__checkpoint__launch__init(m);
    m->has_type = 1;
    m->type = (Reeve__V1__Checkpoint__Launch__Type)l->executor->type;
    m->container_id = (char *)(uintptr_t)l->container_id.v;
    m->executor = rv_wire_executor_info_to(l->executor, arena);
    m->directory = (char *)(uintptr_t)l->directory;
    m->user = (char *)(uintptr_t)l->user;
    m->has_shutdown_grace_milliseconds = 1;
    m->shutdown_grace_milliseconds = l->shutdown_grace_ms;
    rv_wire_resources_to(&l->executor->resources, RV_SHAPE_REFINED, true, arena,
                         &m->executor_resources, &m->n_executor_resources);
    return m;
}

static void operation_to(const struct rv_checkpoint *c, struct rv_arena *arena,
                         Reeve__V1__Checkpoint__Record *m) {
    m->operation = rv_wire_operation_to(c->operation, arena);
    rv_wire_resources_to(&c->operation->resources, RV_SHAPE_REFINED, true, arena,
                         &m->operation_resources, &m->n_operation_resources);
    rv_wire_resources_to(&c->operation->source, RV_SHAPE_REFINED, true, arena, &m->operation_source,
                         &m->n_operation_source);
    m->operation_status =
        rv_wire_operation_status_to(c->operation_status, RV_SHAPE_REFINED, true, arena);
}

void rv_checkpoint_encode(const struct rv_checkpoint *c, struct rv_arena *scratch,
                          struct rv_buf *out) {
    Reeve__V1__Checkpoint__Record m = REEVE__V1__CHECKPOINT__RECORD__INIT;

    m.has_kind = 1;
    m.kind = (Reeve__V1__Checkpoint__Record__Kind)(c->kind + 1);
    if (c->agent) {
        m.agent = rv_wire_agent_info_to(c->agent, RV_SHAPE_REFINED, scratch);
        m.agent_ip = c->agent->ip;
    }
    m.boot_id = (char *)(uintptr_t)c->boot_id;
    m.containerizer = (char *)(uintptr_t)c->containerizer;
    if (c->framework)
        m.framework = rv_wire_framework_info_to(c->framework, scratch);
    if (c->launch)
        m.launch = launch_to(c->launch, scratch);
    m.framework_id = (char *)(uintptr_t)c->framework_id.v;
    m.executor_id = (char *)(uintptr_t)c->executor_id.v;
    m.container_id = (char *)(uintptr_t)c->container_id.v;
    if (c->task) {
        m.task = rv_wire_task_info_to(c->task, scratch);
        rv_wire_resources_to(&c->task->resources, RV_SHAPE_REFINED, true, scratch,
                             &m.task_resources, &m.n_task_resources);
    }
    if (c->status)
        m.status = rv_wire_task_status_to(c->status, scratch);
    m.task_id = (char *)(uintptr_t)c->task_id.v;
    if (c->operation)
        operation_to(c, scratch, &m);
    if (c->total)
        rv_wire_resources_to(c->total, RV_SHAPE_REFINED, true, scratch, &m.total, &m.n_total);
    if (c->kind == RV_CHECKPOINT_ACKNOWLEDGED || c->kind == RV_CHECKPOINT_OPERATION ||
        c->kind == RV_CHECKPOINT_OPERATION_DONE) {
        m.has_uuid = 1;
        m.uuid = rv_wire_uuid_to(c->uuid);
    }
    rv_wire_encode(&m.base, RV_ENC_PROTOBUF, out);
}

/* Takes the place of the resources as they were sent. */
static int allocated_from(Reeve__V1__Resource *const *v, size_t n, const char *path,
                          struct rv_resources *out, struct rv_error *err) {
    struct rv_resources allocated = {0};
    int r = rv_wire_resources_from(v, n, path, &allocated, err);

    if (!r)
        rv_resources_move(out, &allocated);
    return r;
}

/* The launch's framework is looked up by the core: records say which by framework_id. */
static int launch_from(const Reeve__V1__Checkpoint__Launch *m, struct rv_arena *arena,
                       struct rv_checkpoint *out, struct rv_error *err) {
    struct rv_executor_info *executor = RV_ARENA_NEW(arena, struct rv_executor_info);
    struct rv_launch *l = RV_ARENA_NEW(arena, struct rv_launch);

    rv_wire_executor_info_from(m->executor, false, arena, executor);
    executor->type = (enum rv_executor_type)m->type;
    l->container_id.v = m->container_id;
    l->executor = executor;
    l->directory = m->directory;
    l->user = m->user;
    l->shutdown_grace_ms = m->has_shutdown_grace_milliseconds ? m->shutdown_grace_milliseconds : -1;
    l->checkpoint = true;
    out->launch = l;
    return allocated_from(m->executor_resources, m->n_executor_resources, "executor_resources",
                          &executor->resources, err);
}

static int operation_from(const Reeve__V1__Checkpoint__Record *m, struct rv_arena *arena,
                          struct rv_checkpoint *out, struct rv_error *err) {
    struct rv_operation *o = RV_ARENA_NEW(arena, struct rv_operation);
    struct rv_operation_status *status = RV_ARENA_NEW(arena, struct rv_operation_status);
    int r;

    rv_wire_operation_from(m->operation, false, arena, o);
    o->problem = NULL;
    out->operation = o;
    out->operation_status = status;
    r = allocated_from(m->operation_resources, m->n_operation_resources, "operation_resources",
                       &o->resources, err);
    if (!r)
        r = allocated_from(m->operation_source, m->n_operation_source, "operation_source",
                           &o->source, err);
    if (!r)
        r = rv_wire_operation_status_from(m->operation_status, arena, status, err);
    return r;
}

static int total_from(const Reeve__V1__Checkpoint__Record *m, struct rv_arena *arena,
                      struct rv_checkpoint *out, struct rv_error *err) {
    struct rv_resources *total = RV_ARENA_NEW(arena, struct rv_resources);

    out->total = total;
    return rv_wire_resources_from(m->total, m->n_total, "total", total, err);
}

/* What a record of this kind is about; NULL: it is there. */
static const char *lacks(const Reeve__V1__Checkpoint__Record *m) {
    switch ((enum rv_checkpoint_kind)(m->kind - 1)) {
    case RV_CHECKPOINT_AGENT:
        return m->agent ? NULL : "agent";
    case RV_CHECKPOINT_FRAMEWORK:
        return m->framework ? NULL : "framework";
    case RV_CHECKPOINT_EXECUTOR:
        return m->launch ? NULL : "launch";
    case RV_CHECKPOINT_TASK:
        return m->task ? NULL : "task";
    case RV_CHECKPOINT_UPDATE:
        return m->status ? NULL : "status";
    case RV_CHECKPOINT_ACKNOWLEDGED:
        return m->task_id ? NULL : "task_id";
    case RV_CHECKPOINT_EXECUTOR_DONE:
        return m->container_id ? NULL : "container_id";
    case RV_CHECKPOINT_OPERATION:
        if (!m->operation || !m->operation_status)
            return m->operation ? "operation_status" : "operation";
        return m->has_uuid ? NULL : "uuid";
    case RV_CHECKPOINT_OPERATION_DONE:
        return m->has_uuid ? NULL : "uuid";
    case RV_CHECKPOINT_ANEW:
        return NULL;
    case RV_CHECKPOINT_KIND_MAX:
        break;
    }
    return "kind";
}

int rv_checkpoint_decode(struct rv_str bytes, struct rv_arena *arena, struct rv_checkpoint *out,
                         struct rv_error *err) {
    ProtobufCMessage *message;
    struct rv_str copy = rv_strn(rv_arena_memdup(arena, bytes.s, bytes.n), bytes.n);
    int r = rv_wire_decode(&reeve__v1__checkpoint__record__descriptor, RV_ENC_PROTOBUF, copy, NULL,
                           arena, &message, err);

    if (r)
        return r;
    const Reeve__V1__Checkpoint__Record *m = (const void *)message;
    if (!m->has_kind || m->kind < 1 || (int)m->kind > RV_CHECKPOINT_KIND_MAX)
        return rv_error_set(err, RV_ERR_CORRUPT, "kind %d is not known to this version",
                            (int)m->kind);
    if (lacks(m))
        return rv_error_set(err, RV_ERR_CORRUPT, "a record of kind %d lacks its %s", (int)m->kind,
                            lacks(m));
    struct rv_checkpoint c = {.kind = (enum rv_checkpoint_kind)(m->kind - 1)};
    c.boot_id = m->boot_id;
    c.containerizer = m->containerizer;
    c.framework_id.v = m->framework_id;
    c.executor_id.v = m->executor_id;
    c.container_id.v = m->container_id;
    c.task_id.v = m->task_id;
    if (m->has_uuid)
        r = rv_wire_uuid_from(m->uuid, "uuid", c.uuid, err);
    if (!r && m->agent) {
        struct rv_agent_info *info = RV_ARENA_NEW(arena, struct rv_agent_info);
        r = rv_wire_agent_info_from(m->agent, info, err);
        info->ip = m->agent_ip;
        c.agent = info;
    }
    if (!r && m->framework) {
        struct rv_framework_info *info = RV_ARENA_NEW(arena, struct rv_framework_info);
        r = rv_wire_framework_info_from(m->framework, arena, info, err);
        c.framework = info;
    }
    if (!r && m->launch)
        r = launch_from(m->launch, arena, &c, err);
    if (!r && m->task) {
        struct rv_task_info *info = RV_ARENA_NEW(arena, struct rv_task_info);
        rv_wire_task_info_from(m->task, false, false, arena, info);
        c.task = info;
        r = allocated_from(m->task_resources, m->n_task_resources, "task_resources",
                           &info->resources, err);
    }
    if (!r && m->status) {
        struct rv_task_status *status = RV_ARENA_NEW(arena, struct rv_task_status);
        r = rv_wire_task_status_from(m->status, arena, status, err);
        c.status = status;
    }
    if (!r && c.kind == RV_CHECKPOINT_OPERATION)
        r = operation_from(m, arena, &c, err);
    if (!r && (m->n_total || c.operation))
        r = total_from(m, arena, &c, err);
    *out = c;
    if (r)
        rv_checkpoint_release(out);
    return r;
}

void rv_checkpoint_release(struct rv_checkpoint *c) {
#define RELEASE(member, function)                                                                  \
    if (c->member)                                                                                 \
    function((void *)(uintptr_t)c->member)
    RELEASE(agent, rv_wire_agent_info_release);
    RELEASE(framework, rv_wire_framework_info_release);
    if (c->launch)
        rv_wire_executor_info_release((void *)(uintptr_t)c->launch->executor);
    RELEASE(task, rv_wire_task_info_release);
    RELEASE(status, rv_wire_task_status_release);
    RELEASE(operation, rv_wire_operation_release);
    RELEASE(operation_status, rv_wire_operation_status_release);
    RELEASE(total, rv_resources_free);
#undef RELEASE
    *c = (struct rv_checkpoint){.kind = c->kind};
}
