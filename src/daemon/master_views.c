/*
 * Records to messages, and the operator event stream. Trees are made for one item at a time and
 * borrow from the records. Resources have the shape of operators' views.
 */
#include "daemon/master_views.h"

#include <stdlib.h>

#include "base/assert.h"
#include "daemon/legacy_json.h"
#include "daemon/lister.h"
#include "wire/convert.h"
#include "wire/maintenance_codec.h"

#define LARGE 2000 /* records; below, an answer takes a few milliseconds */

/* TaskInfo's fields that a Task shows as they were sent (proto/reeve/v1/v1.proto). */
enum {
    TASK_INFO_HEALTH_CHECK = 8,
    TASK_INFO_CONTAINER = 9,
    TASK_INFO_LABELS = 10,
    TASK_INFO_DISCOVERY = 11,
    TASK_INFO_KILL_POLICY = 12,
    TASK_INFO_LIMITS = 15,
};

static Reeve__V1__TimeInfo *time_to(int64_t ns, struct rv_arena *arena) {
    if (!ns)
        return NULL;
    Reeve__V1__TimeInfo *m = RV_WIRE_MAKE(arena, TimeInfo, time_info);
    m->nanoseconds = ns;
    return m;
}

/* --- agents --- */

static char *agent_pid(const struct rv_agent_info *info, struct rv_arena *arena) {
    const char *ip = info->ip ? info->ip : "";

    return rv_arena_printf(arena, strchr(ip, ':') ? "slave(1)@[%s]:%d" : "slave(1)@%s:%d", ip,
                           info->port);
}

static Reeve__V1__AgentInfo *agent_info_to(const struct rv_agent_info *info, struct rv_agent_id id,
                                           struct rv_arena *arena) {
    Reeve__V1__AgentInfo *m = rv_wire_agent_info_to(info, RV_SHAPE_ENDPOINT, arena);

    if (!m->id)
        m->id = rv_wire_agent_id_to(id, arena);
    return m;
}

static Reeve__V1__Master__Response__GetAgents__Agent *agent_to(const struct rv_master_agent *a,
                                                               struct rv_arena *arena) {
    Reeve__V1__Master__Response__GetAgents__Agent *m = RV_WIRE_MAKE(
        arena, Master__Response__GetAgents__Agent, master__response__get_agents__agent);

    m->agent_info = agent_info_to(&a->info, a->id, arena);
    m->active = a->active;
    m->has_deactivated = true;
    m->deactivated = a->deactivation != NULL;
    if (a->deactivation) {
        m->drain_info = rv_wire_drain_info_to(a->deactivation, arena);
        m->estimated_drain_start_time = time_to(a->deactivation->since_ns, arena);
    }
    m->version = rv_arena_strdup(arena, a->info.version ? a->info.version : "");
    m->pid = agent_pid(&a->info, arena);
    m->registered_time = time_to(a->registered_ns, arena);
    m->reregistered_time = time_to(a->reregistered_ns, arena);
    rv_wire_resources_to(&a->total, RV_SHAPE_ENDPOINT, true, arena, &m->total_resources,
                         &m->n_total_resources);
    rv_wire_resources_to(&a->used, RV_SHAPE_ENDPOINT, true, arena, &m->allocated_resources,
                         &m->n_allocated_resources);
    rv_wire_resources_to(&a->offered, RV_SHAPE_ENDPOINT, true, arena, &m->offered_resources,
                         &m->n_offered_resources);
    rv_wire_agent_capabilities_to(a->info.capabilities, arena, &m->capabilities,
                                  &m->n_capabilities);
    return m;
}

static void write_agents(const struct rv_master *m, struct rv_lister *l) {
    void *v;

    rv_lister_enter(l, "get_agents");
    rv_lister_list(l, "agents");
    for (size_t it = 0; rv_map_next(&m->agents, &it, NULL, &v);)
        rv_lister_item(l, &agent_to(v, l->scratch)->base);
    rv_lister_list_end(l);
    rv_lister_list(l, "recovered_agents");
    for (size_t it = 0; rv_map_next(&m->recovered, &it, NULL, &v);) {
        const struct rv_agent_info *info = v;
        rv_lister_item(l, &agent_info_to(info, info->id, l->scratch)->base);
    }
    rv_lister_list_end(l);
    rv_lister_leave(l);
}

/* --- frameworks --- */

static Reeve__V1__Offer *offer_to(const struct rv_master_offer *o, struct rv_arena *arena) {
    struct rv_offer_view view = {
        .id = o->id,
        .framework_id = o->framework->id,
        .agent = &o->agent->info,
        .role = o->role,
        .resources = &o->resources,
        .away = o->agent->machine ? &o->agent->machine->is.away : NULL,
    };
    Reeve__V1__Offer *m = rv_wire_offer_to(
        &view, 1u << RV_FRAMEWORK_MULTI_ROLE | 1u << RV_FRAMEWORK_RESERVATION_REFINEMENT, arena);

    rv_wire_resources_to(&o->resources, RV_SHAPE_ENDPOINT, true, arena, &m->resources,
                         &m->n_resources);
    if (!m->agent_id)
        m->agent_id = rv_wire_agent_id_to(o->agent->id, arena);
    return m;
}

static void inverse_offers_to(const struct rv_master_framework *f, struct rv_arena *arena,
                              Reeve__V1__Master__Response__GetFrameworks__Framework *m) {
    size_t n = 0;

    RV_LIST_EACH (&f->inverse_offers, node, next)
        n++;
    m->inverse_offers = RV_ARENA_ARRAY(arena, Reeve__V1__InverseOffer *, n);
    RV_LIST_EACH (&f->inverse_offers, other, tmp) {
        const struct rv_master_inverse_offer *o =
            RV_LIST_ENTRY(other, struct rv_master_inverse_offer, on_framework);
        struct rv_inverse_offer_view view = {o->id, f->id, &o->agent->info,
                                             &o->agent->machine->is.away};

        m->inverse_offers[m->n_inverse_offers++] = rv_wire_inverse_offer_to(&view, arena);
    }
}

static Reeve__V1__Master__Response__GetFrameworks__Framework *
framework_to(const struct rv_master_framework *f, struct rv_arena *arena) {
    Reeve__V1__Master__Response__GetFrameworks__Framework *m =
        RV_WIRE_MAKE(arena, Master__Response__GetFrameworks__Framework,
                     master__response__get_frameworks__framework);

    m->framework_info = rv_wire_framework_info_to(&f->info, arena);
    m->active = f->active;
    m->connected = f->connected;
    m->recovered = f->recovered;
    m->registered_time = time_to(f->registered_ns, arena);
    m->reregistered_time = time_to(f->reregistered_ns, arena);
    m->unregistered_time = time_to(f->unregistered_ns, arena);
    size_t n = 0;
    RV_LIST_EACH (&f->offers, node, next)
        n++;
    m->offers = RV_ARENA_ARRAY(arena, Reeve__V1__Offer *, n);
    RV_LIST_EACH (&f->offers, other, tmp)
        m->offers[m->n_offers++] =
            offer_to(RV_LIST_ENTRY(other, struct rv_master_offer, on_framework), arena);
    inverse_offers_to(f, arena, m);
    rv_wire_resources_to(&f->used, RV_SHAPE_ENDPOINT, true, arena, &m->allocated_resources,
                         &m->n_allocated_resources);
    rv_wire_resources_to(&f->offered, RV_SHAPE_ENDPOINT, true, arena, &m->offered_resources,
                         &m->n_offered_resources);
    if (f->constraints)
        m->offer_constraints = (void *)rv_wire_raw_blob(arena, f->constraints->packed);
    return m;
}

static void write_frameworks(const struct rv_master *m, struct rv_lister *l) {
    void *v;

    rv_lister_enter(l, "get_frameworks");
    rv_lister_list(l, "frameworks");
    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);)
        rv_lister_item(l, &framework_to(v, l->scratch)->base);
    rv_lister_list_end(l);
    rv_lister_list(l, "completed_frameworks");
    for (size_t i = 0; i < m->completed_frameworks.n; i++)
        rv_lister_item(l, &framework_to(m->completed_frameworks.v[i], l->scratch)->base);
    rv_lister_list_end(l);
    rv_lister_leave(l);
}

/* --- executors --- */

static void write_executors(const struct rv_master *m, struct rv_lister *l) {
    void *v;

    rv_lister_enter(l, "get_executors");
    rv_lister_list(l, "executors");
    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);) {
        const struct rv_master_framework *f = v;
        RV_LIST_EACH (&f->executors, node, next) {
            const struct rv_master_executor *x =
                RV_LIST_ENTRY(node, struct rv_master_executor, on_framework);
            Reeve__V1__Master__Response__GetExecutors__Executor *item =
                RV_WIRE_MAKE(l->scratch, Master__Response__GetExecutors__Executor,
                             master__response__get_executors__executor);
            item->executor_info = rv_wire_executor_info_to(&x->info, l->scratch);
            item->agent_id = rv_wire_agent_id_to(x->agent->id, l->scratch);
            rv_lister_item(l, &item->base);
        }
    }
    rv_lister_list_end(l);
    rv_lister_leave(l);
}

/* --- tasks --- */

static void limit_to(Reeve__V1__Task *m, struct rv_str bytes, struct rv_arena *arena) {
    ProtobufCMessage *entry;

    if (rv_wire_decode(&reeve__v1__task__limits_entry__descriptor, RV_ENC_PROTOBUF, bytes, NULL,
                       arena, &entry, NULL))
        return;
    Reeve__V1__Task__LimitsEntry **v =
        RV_ARENA_ARRAY(arena, Reeve__V1__Task__LimitsEntry *, m->n_limits + 1);
    if (m->n_limits)
        memcpy((void *)v, (const void *)m->limits, m->n_limits * sizeof *v);
    v[m->n_limits++] = (Reeve__V1__Task__LimitsEntry *)entry;
    m->limits = v;
}

/* What a framework sent stays packed and goes out as it came. */
static void task_parts_to(Reeve__V1__Task *m, const struct rv_blob *info, struct rv_arena *arena) {
    struct rv_str rest = rv_blob_bytes(info);
    struct rv_packed_field f;

    while (rest.n && rv_packed_next(&rest, &f)) {
        if (f.wire != 2)
            continue;
        switch (f.number) {
        case TASK_INFO_HEALTH_CHECK:
            m->health_check = (void *)rv_wire_raw(arena, f.bytes);
            break;
        case TASK_INFO_CONTAINER:
            m->container = (void *)rv_wire_raw(arena, f.bytes);
            break;
        case TASK_INFO_LABELS:
            m->labels = (void *)rv_wire_raw(arena, f.bytes);
            break;
        case TASK_INFO_DISCOVERY:
            m->discovery = (void *)rv_wire_raw(arena, f.bytes);
            break;
        case TASK_INFO_KILL_POLICY:
            m->kill_policy = (void *)rv_wire_raw(arena, f.bytes);
            break;
        case TASK_INFO_LIMITS:
            limit_to(m, f.bytes, arena);
            break;
        default:
            break;
        }
    }
    struct rv_str user = rv_packed_task_user(info);
    if (user.s)
        m->user = rv_arena_strndup(arena, user.s, user.n);
}

static Reeve__V1__Task *task_to(const struct rv_master_task *t, struct rv_arena *arena) {
    Reeve__V1__Task *m = RV_WIRE_MAKE(arena, Task, task);

    m->name = t->info.name ? t->info.name : rv_arena_strdup(arena, "");
    m->task_id = rv_wire_task_id_to(t->id, arena);
    m->framework_id = rv_wire_framework_id_to(t->framework->id, arena);
    m->executor_id = rv_wire_executor_id_to(t->executor_id, arena);
    m->agent_id = rv_wire_agent_id_to(t->agent_id, arena);
    m->state = (Reeve__V1__TaskState)t->state;
    rv_wire_resources_to(&t->info.resources, RV_SHAPE_ENDPOINT, true, arena, &m->resources,
                         &m->n_resources);
    m->n_statuses = t->statuses.n;
    m->statuses = RV_ARENA_ARRAY(arena, Reeve__V1__TaskStatus *, t->statuses.n);
    for (size_t i = 0; i < t->statuses.n; i++)
        m->statuses[i] = rv_wire_task_status_to(&t->statuses.v[i], arena);
    if (t->has_update_uuid) {
        m->has_status_update_state = true;
        m->status_update_state = (Reeve__V1__TaskState)t->update_state;
        m->has_status_update_uuid = true;
        m->status_update_uuid = rv_wire_uuid_to(t->update_uuid);
    }
    task_parts_to(m, t->info.packed, arena);
    return m;
}

static void each_task_of(const struct rv_master_framework *f, enum rv_task_list list,
                         void (*each)(void *ctx, const struct rv_master_task *t), void *ctx) {
    void *v;

    switch (list) {
    case RV_TASKS_ACTIVE:
        for (size_t it = 0; rv_map_next(&f->tasks, &it, NULL, &v);)
            each(ctx, v);
        return;
    case RV_TASKS_UNREACHABLE:
        for (size_t it = 0; rv_map_next(&f->unreachable, &it, NULL, &v);)
            each(ctx, v);
        return;
    case RV_TASKS_COMPLETED:
        for (size_t i = 0; i < f->completed.n; i++)
            each(ctx, f->completed.v[i]);
        return;
    case RV_TASK_LIST_MAX:
        break;
    }
    RV_UNREACHABLE();
}

void rv_master_each_task(const struct rv_master *m, enum rv_task_list list,
                         void (*each)(void *ctx, const struct rv_master_task *t), void *ctx) {
    void *v;

    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);)
        each_task_of(v, list, each, ctx);
    for (size_t i = 0; i < m->completed_frameworks.n; i++)
        each_task_of(m->completed_frameworks.v[i], list, each, ctx);
}

static void write_task(void *ctx, const struct rv_master_task *t) {
    struct rv_lister *l = ctx;

    rv_lister_item(l, &task_to(t, l->scratch)->base);
}

static void write_tasks(const struct rv_master *m, struct rv_lister *l) {
    static const char *const lists[] = {
        [RV_TASKS_ACTIVE] = "tasks",
        [RV_TASKS_UNREACHABLE] = "unreachable_tasks",
        [RV_TASKS_COMPLETED] = "completed_tasks",
    };

    rv_lister_enter(l, "get_tasks");
    for (int i = 0; i < RV_TASK_LIST_MAX; i++) {
        rv_lister_list(l, lists[i]);
        rv_master_each_task(m, (enum rv_task_list)i, write_task, l);
        rv_lister_list_end(l);
    }
    rv_lister_leave(l);
}

/* --- roles --- */

static void add_role(void *ctx, const char *name) {
    struct rv_role_views *views = ctx;
    struct rv_role_view *view = rv_calloc(1, sizeof *view);

    view->name = rv_strdup(name);
    rv_vec_push(&views->list, view);
    rv_map_put(&views->by_name, rv_str(name), view);
}

/* Adds each resource to the role it is allocated to. */
static void sum_allocated(struct rv_role_views *views, const struct rv_resources *r,
                          size_t member) {
    for (size_t i = 0; i < r->n; i++) {
        struct rv_role_view *view = rv_map_gets(&views->by_name, r->v[i].kind->allocation_role);
        if (view)
            rv_resources_add_one((struct rv_resources *)(void *)((char *)view + member), &r->v[i]);
    }
}

static void set_up_role(const struct rv_master *m, struct rv_role_view *view) {
    view->weight = rv_master_role_weight(m, view->name);
    view->quota = rv_map_gets(&m->quotas, view->name);
}

/* What is reserved, or else allocated without being so, counts for its role and all above. */
static void sum_consumed(struct rv_role_views *views, const struct rv_resources *r, bool reserved) {
    for (size_t i = 0; i < r->n; i++) {
        const struct rv_kind *k = r->v[i].kind;
        const char *name = reserved ? rv_kind_reserved_role(k) : k->allocation_role;
        struct rv_str role = rv_str(name);

        if (k->type != RV_SCALAR || k->revocable || rv_kind_is_reserved(k) != reserved || !name)
            continue;
        while (role.n > 0) {
            struct rv_role_view *view = rv_map_get(&views->by_name, role);

            if (view)
                rv_quantities_add(&view->consumed, k->name, r->v[i].scalar);
            while (role.n > 0 && role.s[role.n - 1] != '/')
                role.n--;
            role.n -= role.n > 0;
        }
    }
}

void rv_master_roles_collect(const struct rv_master *m, struct rv_role_views *out) {
    void *v;

    *out = (struct rv_role_views){0};
    rv_master_each_role(m, add_role, out);
    for (size_t i = 0; i < out->list.n; i++)
        set_up_role(m, out->list.v[i]);
    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);) {
        const struct rv_master_framework *f = v;
        for (size_t i = 0; i < f->info.n_roles; i++) {
            struct rv_role_view *view = rv_map_gets(&out->by_name, f->info.roles[i]);
            if (view)
                rv_vec_push(&view->frameworks, f);
        }
        sum_allocated(out, &f->used, offsetof(struct rv_role_view, allocated));
        sum_consumed(out, &f->used, false);
        sum_allocated(out, &f->offered, offsetof(struct rv_role_view, offered));
    }
    for (size_t it = 0; rv_map_next(&m->agents, &it, NULL, &v);) {
        const struct rv_master_agent *a = v;
        for (size_t i = 0; i < a->total.n; i++) {
            const struct rv_kind *kind = a->total.v[i].kind;
            struct rv_role_view *view =
                rv_kind_is_reserved(kind) ? rv_map_gets(&out->by_name, rv_kind_reserved_role(kind))
                                          : NULL;
            if (view)
                rv_resources_add_one(&view->reserved, &a->total.v[i]);
        }
        sum_consumed(out, &a->total, true);
    }
}

void rv_master_roles_free(struct rv_role_views *views) {
    for (size_t i = 0; i < views->list.n; i++) {
        struct rv_role_view *view = views->list.v[i];
        rv_resources_free(&view->allocated);
        rv_resources_free(&view->offered);
        rv_resources_free(&view->reserved);
        rv_quantities_free(&view->consumed);
        rv_vec_free(&view->frameworks);
        free(view->name);
        free(view);
    }
    rv_vec_free(&views->list);
    rv_map_free(&views->by_name);
}

static void write_roles(const struct rv_master *m, struct rv_lister *l) {
    _cleanup_(rv_master_roles_free) struct rv_role_views views;

    rv_master_roles_collect(m, &views);
    rv_lister_enter(l, "get_roles");
    rv_lister_list(l, "roles");
    for (size_t i = 0; i < views.list.n; i++) {
        struct rv_role_view *view = views.list.v[i];
        Reeve__V1__Role *item = RV_WIRE_MAKE(l->scratch, Role, role);
        item->name = view->name;
        item->weight = view->weight;
        item->frameworks = RV_ARENA_ARRAY(l->scratch, Reeve__V1__FrameworkID *, view->frameworks.n);
        item->n_frameworks = view->frameworks.n;
        for (size_t k = 0; k < view->frameworks.n; k++)
            item->frameworks[k] = rv_wire_framework_id_to(view->frameworks.v[k]->id, l->scratch);
        rv_resources_add(&view->allocated, &view->offered);
        rv_wire_resources_to(&view->allocated, RV_SHAPE_ENDPOINT, true, l->scratch,
                             &item->resources, &item->n_resources);
        rv_lister_item(l, &item->base);
    }
    rv_lister_list_end(l);
    rv_lister_leave(l);
}

/* --- operations --- */

static Reeve__V1__Operation *operation_to(const struct rv_master_operation *o,
                                          struct rv_arena *arena) {
    struct rv_operation_status status = {
        .operation_id = o->operation.id,
        .state = o->state,
        .message = o->message,
        .agent_id = o->agent->id,
        .has_uuid = o->has_status_uuid,
        .converted = o->state == RV_OPERATION_FINISHED ? &o->conversion.converted : NULL,
    };

    memcpy(status.uuid, o->status_uuid, sizeof status.uuid);
    return rv_wire_operation_record_to(&o->operation, &status, o->framework_id, o->uuid, arena);
}

static void write_operations(const struct rv_master *m, struct rv_lister *l) {
    void *v;

    rv_lister_enter(l, "get_operations");
    rv_lister_list(l, "operations");
    for (size_t it = 0; rv_map_next(&m->operations, &it, NULL, &v);)
        rv_lister_item(l, &operation_to(v, l->scratch)->base);
    rv_lister_list_end(l);
    rv_lister_leave(l);
}

/* --- whole answers --- */

bool rv_master_is_large(const struct rv_master *m) {
    size_t n = rv_map_count(&m->agents);
    void *v;

    for (size_t it = 0; n < LARGE && rv_map_next(&m->frameworks, &it, NULL, &v);) {
        const struct rv_master_framework *f = v;
        n += rv_map_count(&f->tasks) + rv_map_count(&f->unreachable) + f->completed.n + 1;
    }
    for (size_t i = 0; n < LARGE && i < m->completed_frameworks.n; i++)
        n += m->completed_frameworks.v[i]->completed.n + 1;
    return n >= LARGE || rv_map_count(&m->offers) >= LARGE;
}

static void write_state(const struct rv_master *m, struct rv_lister *l) {
    rv_lister_enter(l, "get_state");
    write_tasks(m, l);
    write_executors(m, l);
    write_frameworks(m, l);
    write_agents(m, l);
    rv_lister_leave(l);
}

void rv_master_view_write(const struct rv_master *m, enum rv_master_view view,
                          enum rv_encoding encoding, struct rv_sink *sink) {
    static const struct {
        Reeve__V1__Master__Response__Type type;
        void (*write)(const struct rv_master *m, struct rv_lister *l);
    } views[] = {
#define TYPE(name) REEVE__V1__MASTER__RESPONSE__TYPE__##name
        [RV_VIEW_STATE] = {TYPE(GET_STATE), write_state},
        [RV_VIEW_AGENTS] = {TYPE(GET_AGENTS), write_agents},
        [RV_VIEW_FRAMEWORKS] = {TYPE(GET_FRAMEWORKS), write_frameworks},
        [RV_VIEW_EXECUTORS] = {TYPE(GET_EXECUTORS), write_executors},
        [RV_VIEW_TASKS] = {TYPE(GET_TASKS), write_tasks},
        [RV_VIEW_ROLES] = {TYPE(GET_ROLES), write_roles},
        [RV_VIEW_OPERATIONS] = {TYPE(GET_OPERATIONS), write_operations},
#undef TYPE
    };
    _cleanup_(rv_arena_free) struct rv_arena scratch;
    struct rv_lister l;

    rv_arena_init(&scratch);
    rv_lister_begin(&l, sink, encoding, &scratch, &reeve__v1__master__response__descriptor);
    rv_lister_enum(&l, "type", (int)views[view].type);
    views[view].write(m, &l);
    rv_lister_end(&l);
}

/* --- small answers --- */

Reeve__V1__Master__Response__GetWeights *rv_master_view_weights(const struct rv_master *master,
                                                                struct rv_arena *arena) {
    Reeve__V1__Master__Response__GetWeights *m =
        RV_WIRE_MAKE(arena, Master__Response__GetWeights, master__response__get_weights);
    void *v;

    m->weight_infos =
        RV_ARENA_ARRAY(arena, Reeve__V1__WeightInfo *, rv_map_count(&master->weights));
    for (size_t it = 0; rv_map_next(&master->weights, &it, NULL, &v);) {
        const struct rv_master_weight *weight = v;
        Reeve__V1__WeightInfo *item = RV_WIRE_MAKE(arena, WeightInfo, weight_info);
        item->role = weight->role;
        item->weight = weight->weight;
        m->weight_infos[m->n_weight_infos++] = item;
    }
    return m;
}

Reeve__V1__Master__Response__GetMaster *rv_master_view_master(const struct rv_master *master,
                                                              struct rv_arena *arena) {
    Reeve__V1__Master__Response__GetMaster *m =
        RV_WIRE_MAKE(arena, Master__Response__GetMaster, master__response__get_master);

    m->master_info = (void *)rv_wire_raw_blob(arena, master->config.master_info);
    m->has_start_time = m->has_elected_time = true;
    m->start_time = m->elected_time = (double)(master->started_ns / 1000) / 1e6;
    return m;
}

/* --- events --- */

void rv_master_subscribed_write(const struct rv_master *m, enum rv_encoding encoding,
                                struct rv_sink *sink) {
    _cleanup_(rv_arena_free) struct rv_arena scratch;
    struct rv_lister l;

    rv_arena_init(&scratch);
    rv_lister_begin(&l, sink, encoding, &scratch, &reeve__v1__master__event__descriptor);
    rv_lister_enum(&l, "type", REEVE__V1__MASTER__EVENT__TYPE__SUBSCRIBED);
    rv_lister_enter(&l, "subscribed");
    write_state(m, &l);
    rv_lister_double(&l, "heartbeat_interval_seconds", (double)m->config.heartbeat_ms / 1000);
    rv_lister_leave(&l);
    rv_lister_end(&l);
}

static void event_to(const struct rv_operator_event *event, Reeve__V1__Master__Event *m,
                     struct rv_arena *arena) {
#define PART(Name, name) m->name = RV_WIRE_MAKE(arena, Master__Event__##Name, master__event__##name)
    switch (event->kind) {
    case RV_OPERATOR_EVENT_SNAPSHOT:
        RV_UNREACHABLE();
    case RV_OPERATOR_EVENT_HEARTBEAT:
        m->type = REEVE__V1__MASTER__EVENT__TYPE__HEARTBEAT;
        return;
    case RV_OPERATOR_EVENT_TASK_ADDED:
        m->type = REEVE__V1__MASTER__EVENT__TYPE__TASK_ADDED;
        PART(TaskAdded, task_added);
        m->task_added->task = task_to(event->task, arena);
        return;
    case RV_OPERATOR_EVENT_TASK_UPDATED:
        m->type = REEVE__V1__MASTER__EVENT__TYPE__TASK_UPDATED;
        PART(TaskUpdated, task_updated);
        m->task_updated->framework_id = rv_wire_framework_id_to(event->task->framework->id, arena);
        m->task_updated->status = rv_wire_task_status_to(event->status, arena);
        m->task_updated->state = (Reeve__V1__TaskState)event->task->state;
        return;
    case RV_OPERATOR_EVENT_AGENT_ADDED:
        m->type = REEVE__V1__MASTER__EVENT__TYPE__AGENT_ADDED;
        PART(AgentAdded, agent_added);
        m->agent_added->agent = agent_to(event->agent, arena);
        return;
    case RV_OPERATOR_EVENT_AGENT_REMOVED:
        m->type = REEVE__V1__MASTER__EVENT__TYPE__AGENT_REMOVED;
        PART(AgentRemoved, agent_removed);
        m->agent_removed->agent_id = rv_wire_agent_id_to(event->agent->id, arena);
        return;
    case RV_OPERATOR_EVENT_FRAMEWORK_ADDED:
        m->type = REEVE__V1__MASTER__EVENT__TYPE__FRAMEWORK_ADDED;
        PART(FrameworkAdded, framework_added);
        m->framework_added->framework = framework_to(event->framework, arena);
        return;
    case RV_OPERATOR_EVENT_FRAMEWORK_UPDATED:
        m->type = REEVE__V1__MASTER__EVENT__TYPE__FRAMEWORK_UPDATED;
        PART(FrameworkUpdated, framework_updated);
        m->framework_updated->framework = framework_to(event->framework, arena);
        return;
    case RV_OPERATOR_EVENT_FRAMEWORK_REMOVED:
        m->type = REEVE__V1__MASTER__EVENT__TYPE__FRAMEWORK_REMOVED;
        PART(FrameworkRemoved, framework_removed);
        m->framework_removed->framework_info =
            rv_wire_framework_info_to(&event->framework->info, arena);
        return;
    }
#undef PART
    RV_UNREACHABLE();
}

void rv_master_operator_event_encode(struct rv_master_daemon *d,
                                     const struct rv_operator_event *event,
                                     enum rv_encoding encoding, struct rv_arena *scratch,
                                     struct rv_buf *out) {
    if (event->kind == RV_OPERATOR_EVENT_SNAPSHOT) {
        struct rv_sink sink = {.buf = *out, .fd = -1};
        rv_master_subscribed_write(d->core, encoding, &sink);
        *out = sink.buf;
        return;
    }
    Reeve__V1__Master__Event *m = RV_WIRE_MAKE(scratch, Master__Event, master__event);
    m->has_type = true;
    event_to(event, m, scratch);
    rv_wire_encode(&m->base, encoding, out);
}
