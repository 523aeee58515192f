/*
 * Conversions of tasks, executors, statuses and operations.
 *
 * What a framework wrote stays as it was sent, in `packed` or `rest`, unknown fields included;
 * beside it stands what the cores decide on. Statuses are the hot path: one without fields beyond
 * those of the model costs no packing.
 */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/fixed.h"
#include "wire/codec.h"
#include "wire/convert.h"
#include "wire/secrets.h"
#include "wire/validate.h"

static char *text(const char *s) {
    return (char *)(uintptr_t)s;
}

static int64_t duration_ms(const Reeve__V1__DurationInfo *m) {
    if (!m)
        return -1;
    return m->nanoseconds > 0 ? m->nanoseconds / 1000000 : 0;
}

/* Resources of something that is not refused for them: a problem instead. */
static void resources_from(Reeve__V1__Resource *const *v, size_t n, const char *path,
                           struct rv_arena *arena, struct rv_resources *out, char **problem) {
    struct rv_error err;
    *out = (struct rv_resources){0};
    if (rv_wire_resources_from(v, n, path, out, &err) < 0 && !*problem)
        *problem = rv_arena_strdup(arena, err.message);
}

/* --- executors --- */

void rv_wire_executor_info_from(const Reeve__V1__ExecutorInfo *m, bool check,
                                struct rv_arena *arena, struct rv_executor_info *out) {
    struct rv_executor_info e = {
        .type = m->has_type && m->type == REEVE__V1__EXECUTOR_INFO__TYPE__DEFAULT
                    ? RV_EXECUTOR_DEFAULT
                    : RV_EXECUTOR_CUSTOM,
        .id = {m->executor_id->value},
        .framework_id = {m->framework_id ? m->framework_id->value : NULL},
        .shutdown_grace_ms = duration_ms(m->shutdown_grace_period),
    };
    e.packed = rv_wire_pack_open(&m->base, &e.whole);
    resources_from(m->resources, m->n_resources, "executor.resources", arena, &e.resources,
                   &e.problem);
    if (check && !e.problem)
        e.problem = rv_wire_executor_problem(m, &e.resources, "executor", arena);
    *out = e;
}

void rv_wire_executor_info_release(struct rv_executor_info *e) {
    rv_resources_free(&e->resources);
    rv_blob_unref(e->packed);
    rv_blob_unref(e->whole);
    e->packed = e->whole = NULL;
}

/* The agent's executor of a command task was never sent by anyone. */
static Reeve__V1__ExecutorInfo *executor_build(const struct rv_executor_info *e,
                                               struct rv_arena *arena) {
    Reeve__V1__ExecutorInfo *m = RV_WIRE_MAKE(arena, ExecutorInfo, executor_info);
    m->executor_id = rv_wire_executor_id_to(e->id, arena);
    m->framework_id = rv_wire_framework_id_to(e->framework_id, arena);
    rv_wire_resources_to(&e->resources, RV_SHAPE_ENDPOINT, true, arena, &m->resources,
                         &m->n_resources);
    return m;
}

Reeve__V1__ExecutorInfo *rv_wire_executor_info_to(const struct rv_executor_info *e,
                                                  struct rv_arena *arena) {
    if (!e->packed)
        return executor_build(e, arena);
    return (void *)rv_wire_raw_with_id(e->packed, 8, e->framework_id.v, arena);
}

/* --- tasks --- */

void rv_wire_limit_from(const char *name, const Reeve__V1__Value__Scalar *value,
                        struct rv_limits *out) {
    int64_t *to = rv_streq(name, "cpus") ? &out->cpus : rv_streq(name, "mem") ? &out->mem : NULL;

    if (!to || !value)
        return;
    if (isinf(value->value) && value->value > 0)
        *to = RV_LIMIT_INFINITE;
    else if (!rv_fixed_from_double(value->value, to) || *to < 0)
        *to = 0;
}

void rv_wire_task_info_from(const Reeve__V1__TaskInfo *m, bool check, bool group,
                            struct rv_arena *arena, struct rv_task_info *out) {
    struct rv_task_info t = {
        .id = {m->task_id->value},
        .name = m->name,
        .agent_id = {m->agent_id->value},
        .kill_grace_ms = rv_wire_kill_grace_from(m->kill_policy),
        .max_completion_ms = duration_ms(m->max_completion_time),
        .has_check = m->check != NULL,
        .has_health_check = m->health_check != NULL,
        .own_cgroups = !rv_wire_shares_cgroups(m->container),
    };
    t.packed = rv_wire_pack_open(&m->base, &t.whole);
    for (size_t i = 0; i < m->n_limits; i++)
        rv_wire_limit_from(m->limits[i]->key, m->limits[i]->value, &t.limits);
    resources_from(m->resources, m->n_resources, "task.resources", arena, &t.resources, &t.problem);
    if (m->executor) {
        t.executor = RV_ARENA_NEW(arena, struct rv_executor_info);
        rv_wire_executor_info_from(m->executor, check, arena, t.executor);
    }
    if (check && !t.problem)
        t.problem = rv_wire_task_problem(m, &t.resources, group, arena);
    if (!t.problem && t.executor)
        t.problem = t.executor->problem;
    *out = t;
}

void rv_wire_task_info_release(struct rv_task_info *t) {
    rv_resources_free(&t->resources);
    rv_blob_unref(t->packed);
    rv_blob_unref(t->whole);
    t->packed = t->whole = NULL;
    if (t->executor)
        rv_wire_executor_info_release(t->executor);
}

Reeve__V1__TaskInfo *rv_wire_task_info_to(const struct rv_task_info *t, struct rv_arena *arena) {
    return (void *)rv_wire_raw_blob(arena, t->packed);
}

Reeve__V1__TaskInfo *rv_wire_task_info_whole_to(const struct rv_task_info *t,
                                                struct rv_arena *arena) {
    return (void *)rv_wire_raw_blob(arena, t->whole ? t->whole : t->packed);
}

/* --- statuses --- */

static size_t varint(const uint8_t *p, size_t n, uint64_t *out) {
    uint64_t v = 0;
    for (size_t i = 0; i < n && i < 10; i++) {
        v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if (!(p[i] & 0x80)) {
            *out = v;
            return i + 1;
        }
    }
    return 0;
}

/* The size of the value of one field in packed bytes of our own making. */
static size_t value_size(unsigned wire_type, const uint8_t *p, size_t n) {
    uint64_t v = 0;
    switch (wire_type) {
    case 0:
        return varint(p, n, &v);
    case 1:
        return 8;
    case 5:
        return 4;
    case 2: {
        size_t head = varint(p, n, &v);
        return head + (size_t)v;
    }
    default:
        return 0;
    }
}

/* Fields of TaskStatus that the model holds. A number of an enum that is not known stands among the
 * unknown fields, and goes with them. */
static bool modelled(const Reeve__V1__TaskStatus *m, uint64_t field) {
    switch (field) {
    case 9: /* source */
        return m->has_source;
    case 10: /* reason */
        return m->has_reason;
    case 1:  /* task_id */
    case 2:  /* state */
    case 4:  /* message */
    case 5:  /* agent_id */
    case 6:  /* timestamp */
    case 7:  /* executor_id */
    case 8:  /* healthy */
    case 11: /* uuid */
    case 14: /* unreachable_time */
        return true;
    default:
        return false;
    }
}

/* Whether it says nothing but its id, which is in the model. */
static bool only_id(const Reeve__V1__ContainerStatus *m) {
    return m->container_id && m->n_network_infos == 0 && !m->cgroup_info && !m->has_executor_pid &&
           m->base.n_unknown_fields == 0;
}

/* The packed fields that the model does not hold; NULL if there are none. */
static struct rv_blob *status_rest(const Reeve__V1__TaskStatus *m) {
    Reeve__V1__TaskStatus copy = *m;
    Reeve__V1__ContainerStatus container;
    if (m->container_status && only_id(m->container_status)) {
        copy.container_status = NULL;
    } else if (m->container_status) {
        container = *m->container_status;
        container.container_id = NULL;
        copy.container_status = &container;
    }
    if (!m->has_data && !m->check_status && !m->labels && !copy.container_status &&
        !m->limitation && m->base.n_unknown_fields == 0)
        return NULL;
    struct rv_buf all = {0}, rest = {0};
    rv_wire_encode(&copy.base, RV_ENC_PROTOBUF, &all);
    const uint8_t *p = (const uint8_t *)all.data;
    for (size_t at = 0; at < all.n;) {
        uint64_t key = 0;
        size_t head = varint(p + at, all.n - at, &key);
        size_t size = head + value_size(key & 7, p + at + head, all.n - at - head);
        RV_ASSERT(head > 0 && size <= all.n - at);
        if (!modelled(m, key >> 3))
            rv_buf_append(&rest, p + at, size);
        at += size;
    }
    struct rv_blob *blob = rest.n ? rv_blob_new(rest.data, rest.n) : NULL;
    rv_buf_free(&all);
    rv_buf_free(&rest);
    return blob;
}

/* Seconds since 1970 to nanoseconds; what makes no sense counts as not given. */
static int64_t timestamp_from(const Reeve__V1__TaskStatus *m) {
    if (!m->has_timestamp || !(m->timestamp > 0) || m->timestamp > 9e9)
        return 0;
    /* A double holds a time of today to a quarter of a microsecond. */
    return (int64_t)(m->timestamp * 1e6 + 0.5) * 1000;
}

int rv_wire_task_status_from(const Reeve__V1__TaskStatus *m, struct rv_arena *arena,
                             struct rv_task_status *out, struct rv_error *err) {
    if (rv_task_state_name((int)m->state)[0] == '?')
        return rv_error_set(err, RV_ERR_INVALID, "'status.state' has the unknown value %d",
                            (int)m->state);
    struct rv_task_status s = {
        .task_id = {m->task_id->value},
        .state = (enum rv_task_state)m->state,
        .has_source = m->has_source,
        .source = m->has_source ? (enum rv_source)m->source : RV_SOURCE_MASTER,
        .reason = m->has_reason ? (enum rv_reason)m->reason : RV_REASON_NONE,
        .message = m->message,
        .agent_id = {m->agent_id ? m->agent_id->value : NULL},
        .executor_id = {m->executor_id ? m->executor_id->value : NULL},
        .timestamp_ns = timestamp_from(m),
        .has_uuid = m->has_uuid,
        .healthy = (int8_t)(m->has_healthy ? m->healthy != 0 : -1),
        .unreachable_ns = m->unreachable_time ? m->unreachable_time->nanoseconds : 0,
    };
    if (m->has_uuid) {
        int r = rv_wire_uuid_from(m->uuid, "status.uuid", s.uuid, err);
        if (r < 0)
            return r;
    }
    if (m->container_status)
        s.container_id = rv_wire_container_id_from(m->container_status->container_id, arena);
    s.rest = status_rest(m);
    *out = s;
    return 0;
}

void rv_wire_task_status_release(struct rv_task_status *s) {
    rv_blob_unref(s->rest);
    s->rest = NULL;
}

Reeve__V1__TaskStatus *rv_wire_task_status_to(const struct rv_task_status *s,
                                              struct rv_arena *arena) {
    Reeve__V1__TaskStatus *m = RV_WIRE_MAKE(arena, TaskStatus, task_status);
    m->task_id = rv_wire_task_id_to(s->task_id, arena);
    m->state = (Reeve__V1__TaskState)s->state;
    m->message = text(s->message);
    m->has_source = s->has_source;
    m->source = (Reeve__V1__TaskStatus__Source)s->source;
    m->has_reason = s->reason != RV_REASON_NONE;
    if (m->has_reason)
        m->reason = (Reeve__V1__TaskStatus__Reason)s->reason;
    m->agent_id = rv_wire_agent_id_to(s->agent_id, arena);
    m->executor_id = rv_wire_executor_id_to(s->executor_id, arena);
    m->has_timestamp = s->timestamp_ns != 0;
    m->timestamp = (double)(s->timestamp_ns / 1000) / 1e6;
    m->has_uuid = s->has_uuid;
    if (s->has_uuid)
        m->uuid = rv_wire_uuid_to(s->uuid);
    m->has_healthy = s->healthy >= 0;
    m->healthy = s->healthy > 0;
    if (s->unreachable_ns) {
        m->unreachable_time = RV_WIRE_MAKE(arena, TimeInfo, time_info);
        m->unreachable_time->nanoseconds = s->unreachable_ns;
    }
    if (s->container_id.v) {
        m->container_status = RV_WIRE_MAKE(arena, ContainerStatus, container_status);
        m->container_status->container_id = rv_wire_container_id_to(s->container_id, arena);
    }
    return (void *)rv_wire_merged(arena, &m->base, s->rest);
}

/* --- operations --- */

/* What is read of the parts of an operation: the part that its type names, or NULL. */
static const void *operation_part(const Reeve__V1__Offer__Operation *m, const char **name) {
    switch (m->has_type ? (int)m->type : RV_OP_UNKNOWN) {
#define PART(NAME, member)                                                                         \
    case RV_OP_##NAME:                                                                             \
        *name = #member;                                                                           \
        return m->member
        PART(LAUNCH, launch);
        PART(LAUNCH_GROUP, launch_group);
        PART(RESERVE, reserve);
        PART(UNRESERVE, unreserve);
        PART(CREATE, create);
        PART(DESTROY, destroy);
        PART(GROW_VOLUME, grow_volume);
        PART(SHRINK_VOLUME, shrink_volume);
        PART(CREATE_DISK, create_disk);
        PART(DESTROY_DISK, destroy_disk);
#undef PART
    default:
        *name = NULL;
        return NULL;
    }
}

static void tasks_from(Reeve__V1__TaskInfo *const *v, size_t n, bool check, bool group,
                       struct rv_arena *arena, struct rv_operation *out) {
    out->tasks = RV_ARENA_ARRAY(arena, struct rv_task_info, n);
    out->n_tasks = n;
    for (size_t i = 0; i < n; i++)
        rv_wire_task_info_from(v[i], check, group, arena, &out->tasks[i]);
}

static void launch_group_from(const Reeve__V1__Offer__Operation__LaunchGroup *m, bool check,
                              struct rv_arena *arena, struct rv_operation *out) {
    out->executor = RV_ARENA_NEW(arena, struct rv_executor_info);
    rv_wire_executor_info_from(m->executor, check, arena, out->executor);
    tasks_from(m->task_group->tasks, m->task_group->n_tasks, check, true, arena, out);
    if (check && out->n_tasks == 0)
        out->problem = text("'launch_group.task_group' must not be empty");
}

static void operation_resources_from(const Reeve__V1__Offer__Operation *m, struct rv_arena *arena,
                                     struct rv_operation *out) {
    struct rv_resources *to = &out->resources;
    char **problem = &out->problem;
    switch (out->type) {
    case RV_OP_RESERVE:
        resources_from(m->reserve->resources, m->reserve->n_resources, "reserve.resources", arena,
                       to, problem);
        resources_from(m->reserve->source, m->reserve->n_source, "reserve.source", arena,
                       &out->source, problem);
        break;
    case RV_OP_UNRESERVE:
        resources_from(m->unreserve->resources, m->unreserve->n_resources, "unreserve.resources",
                       arena, to, problem);
        break;
    case RV_OP_CREATE:
        resources_from(m->create->volumes, m->create->n_volumes, "create.volumes", arena, to,
                       problem);
        break;
    case RV_OP_DESTROY:
        resources_from(m->destroy->volumes, m->destroy->n_volumes, "destroy.volumes", arena, to,
                       problem);
        break;
    case RV_OP_GROW_VOLUME:
        resources_from(&m->grow_volume->volume, 1, "grow_volume.volume", arena, to, problem);
        resources_from(&m->grow_volume->addition, 1, "grow_volume.addition", arena, &out->source,
                       problem);
        break;
    case RV_OP_SHRINK_VOLUME:
        resources_from(&m->shrink_volume->volume, 1, "shrink_volume.volume", arena, to, problem);
        if ((!rv_fixed_from_double(m->shrink_volume->subtract->value, &out->subtract) ||
             out->subtract <= 0) &&
            !*problem)
            *problem = text("'shrink_volume.subtract' must be an amount over zero");
        break;
    case RV_OP_CREATE_DISK:
        resources_from(&m->create_disk->source, 1, "create_disk.source", arena, to, problem);
        break;
    case RV_OP_DESTROY_DISK:
        resources_from(&m->destroy_disk->source, 1, "destroy_disk.source", arena, to, problem);
        break;
    default:
        break;
    }
}

void rv_wire_operation_from(const Reeve__V1__Offer__Operation *m, bool check,
                            struct rv_arena *arena, struct rv_operation *out) {
    struct rv_operation o = {
        .id = {m->id ? m->id->value : NULL},
        .packed = rv_wire_pack(&m->base),
    };
    const char *name;
    const void *part = operation_part(m, &name);
    if (!name) {
        o.problem = text("'operation.type' is missing or not known");
    } else if (!part) {
        o.type = (enum rv_operation_type)m->type;
        o.problem = rv_arena_printf(arena, "'operation.%s' must be set for its type", name);
    } else {
        o.type = (enum rv_operation_type)m->type;
        if (o.type == RV_OP_LAUNCH)
            tasks_from(m->launch->task_infos, m->launch->n_task_infos, check, false, arena, &o);
        else if (o.type == RV_OP_LAUNCH_GROUP)
            launch_group_from(m->launch_group, check, arena, &o);
        else
            operation_resources_from(m, arena, &o);
        if (check && !o.problem)
            o.problem = rv_wire_operation_problem(m, arena);
    }
    const char *why = check && m->id && !o.problem ? rv_id_problem(m->id->value) : NULL;
    if (why)
        o.problem = rv_arena_printf(arena, "'operation.id' is not valid: %s", why);
    *out = o;
}

void rv_wire_operation_release(struct rv_operation *o) {
    for (size_t i = 0; i < o->n_tasks; i++)
        rv_wire_task_info_release(&o->tasks[i]);
    if (o->executor)
        rv_wire_executor_info_release(o->executor);
    rv_resources_free(&o->resources);
    rv_resources_free(&o->source);
    rv_blob_unref(o->packed);
    o->packed = NULL;
}

static void many_to(const struct rv_resources *r, struct rv_arena *arena, Reeve__V1__Resource ***v,
                    size_t *n) {
    rv_wire_resources_to(r, RV_SHAPE_REFINED, true, arena, v, n);
}

static Reeve__V1__Resource *one_to(const struct rv_resources *r, struct rv_arena *arena) {
    Reeve__V1__Resource **v;
    size_t n;
    rv_wire_resources_to(r, RV_SHAPE_REFINED, true, arena, &v, &n);
    return n > 0 ? v[0] : NULL;
}

/* Only operations on resources are made by us; the rest come from frameworks, packed. */
static Reeve__V1__Offer__Operation *operation_build(const struct rv_operation *o,
                                                    struct rv_arena *arena) {
    Reeve__V1__Offer__Operation *m = RV_WIRE_MAKE(arena, Offer__Operation, offer__operation);
    m->has_type = true;
    m->type = (Reeve__V1__Offer__Operation__Type)o->type;
    m->id = rv_wire_operation_id_to(o->id, arena);
    switch (o->type) {
    case RV_OP_RESERVE:
        m->reserve = RV_WIRE_MAKE(arena, Offer__Operation__Reserve, offer__operation__reserve);
        many_to(&o->resources, arena, &m->reserve->resources, &m->reserve->n_resources);
        many_to(&o->source, arena, &m->reserve->source, &m->reserve->n_source);
        break;
    case RV_OP_UNRESERVE:
        m->unreserve =
            RV_WIRE_MAKE(arena, Offer__Operation__Unreserve, offer__operation__unreserve);
        many_to(&o->resources, arena, &m->unreserve->resources, &m->unreserve->n_resources);
        break;
    case RV_OP_CREATE:
        m->create = RV_WIRE_MAKE(arena, Offer__Operation__Create, offer__operation__create);
        many_to(&o->resources, arena, &m->create->volumes, &m->create->n_volumes);
        break;
    case RV_OP_DESTROY:
        m->destroy = RV_WIRE_MAKE(arena, Offer__Operation__Destroy, offer__operation__destroy);
        many_to(&o->resources, arena, &m->destroy->volumes, &m->destroy->n_volumes);
        break;
    case RV_OP_GROW_VOLUME:
        m->grow_volume =
            RV_WIRE_MAKE(arena, Offer__Operation__GrowVolume, offer__operation__grow_volume);
        m->grow_volume->volume = one_to(&o->resources, arena);
        m->grow_volume->addition = one_to(&o->source, arena);
        break;
    case RV_OP_SHRINK_VOLUME:
        m->shrink_volume =
            RV_WIRE_MAKE(arena, Offer__Operation__ShrinkVolume, offer__operation__shrink_volume);
        m->shrink_volume->volume = one_to(&o->resources, arena);
        m->shrink_volume->subtract = RV_WIRE_MAKE(arena, Value__Scalar, value__scalar);
        m->shrink_volume->subtract->value = rv_fixed_to_double(o->subtract);
        break;
    default:
        break;
    }
    return m;
}

Reeve__V1__Offer__Operation *rv_wire_operation_to(const struct rv_operation *o,
                                                  struct rv_arena *arena) {
    if (o->packed)
        return (void *)rv_wire_raw_blob(arena, o->packed);
    return operation_build(o, arena);
}

/* --- statuses of operations --- */

int rv_wire_operation_status_from(const Reeve__V1__OperationStatus *m, struct rv_arena *arena,
                                  struct rv_operation_status *out, struct rv_error *err) {
    if (rv_operation_state_name((int)m->state)[0] == '?')
        return rv_error_set(err, RV_ERR_INVALID, "'status.state' has the unknown value %d",
                            (int)m->state);
    struct rv_operation_status s = {
        .operation_id = {m->operation_id ? m->operation_id->value : NULL},
        .state = (enum rv_operation_state)m->state,
        .message = m->message,
        .has_uuid = m->uuid != NULL,
        .agent_id = {m->agent_id ? m->agent_id->value : NULL},
        .provider_id = m->resource_provider_id ? m->resource_provider_id->value : NULL,
    };
    int r = m->uuid ? rv_wire_uuid_from(m->uuid->value, "status.uuid", s.uuid, err) : 0;
    if (r == 0 && m->n_converted_resources > 0) {
        struct rv_resources *converted = RV_ARENA_NEW(arena, struct rv_resources);
        r = rv_wire_resources_from(m->converted_resources, m->n_converted_resources,
                                   "status.converted_resources", converted, err);
        s.converted = converted;
    }
    if (r == 0)
        *out = s;
    return r;
}

void rv_wire_operation_status_release(struct rv_operation_status *s) {
    if (s->converted) /* made by us, in the arena */
        rv_resources_free((struct rv_resources *)(uintptr_t)s->converted);
    s->converted = NULL;
}

Reeve__V1__OperationStatus *rv_wire_operation_status_to(const struct rv_operation_status *s,
                                                        enum rv_resource_shape shape,
                                                        bool with_allocation,
                                                        struct rv_arena *arena) {
    Reeve__V1__OperationStatus *m = RV_WIRE_MAKE(arena, OperationStatus, operation_status);
    m->operation_id = rv_wire_operation_id_to(s->operation_id, arena);
    m->state = (Reeve__V1__OperationState)s->state;
    m->message = text(s->message);
    m->agent_id = rv_wire_agent_id_to(s->agent_id, arena);
    if (s->converted)
        rv_wire_resources_to(s->converted, shape, with_allocation, arena, &m->converted_resources,
                             &m->n_converted_resources);
    if (s->has_uuid) {
        m->uuid = RV_WIRE_MAKE(arena, UUID, uuid);
        m->uuid->value = rv_wire_uuid_to(s->uuid);
    }
    if (s->provider_id) {
        m->resource_provider_id = RV_WIRE_MAKE(arena, ResourceProviderID, resource_provider_id);
        m->resource_provider_id->value = text(s->provider_id);
    }
    return m;
}

Reeve__V1__Operation *rv_wire_operation_record_to(const struct rv_operation *o,
                                                  const struct rv_operation_status *latest,
                                                  struct rv_framework_id framework_id,
                                                  const uint8_t uuid[16], struct rv_arena *arena) {
    Reeve__V1__Operation *m = RV_WIRE_MAKE(arena, Operation, operation);
    struct rv_operation *info = RV_ARENA_NEW(arena, struct rv_operation);
    /* Its uuid is borrowed from it. */
    const struct rv_operation_status *status = rv_arena_memdup(arena, latest, sizeof *latest);

    *info = *o;
    info->packed = NULL;
    m->framework_id = rv_wire_framework_id_to(framework_id, arena);
    m->agent_id = rv_wire_agent_id_to(latest->agent_id, arena);
    m->info = rv_wire_operation_to(info, arena);
    m->latest_status = rv_wire_operation_status_to(status, RV_SHAPE_ENDPOINT, true, arena);
    if (latest->state != RV_OPERATION_PENDING) {
        m->n_statuses = 1;
        m->statuses = &m->latest_status;
    }
    m->uuid = RV_WIRE_MAKE(arena, UUID, uuid);
    m->uuid->value = rv_wire_uuid_to(uuid);
    return m;
}
