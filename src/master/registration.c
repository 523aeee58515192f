/*
 * Agents that come, and come back with their tasks. What always holds: an agent is admitted in the
 * registry before it is known here (INV-4); one that is marked gone is never admitted again
 * (INV-15); what an agent says its tasks use fits into what it has, or it is refused (INV-26).
 */
#include <stdlib.h>

#include "master/internal.h"

/* --- what an agent says, kept --- */

static void view_free(struct rv_task_view *v) {
    free((char *)(uintptr_t)v->framework_id.v);
    free((char *)(uintptr_t)v->executor_id.v);
    if (v->info)
        rv_task_info_free((struct rv_task_info *)(uintptr_t)v->info);
    free((void *)(uintptr_t)v->info);
    if (v->status)
        rv_task_status_free((struct rv_task_status *)(uintptr_t)v->status);
    free((void *)(uintptr_t)v->status);
}

static struct rv_task_view view_copy(const struct rv_task_view *v) {
    struct rv_task_view copy = *v;
    struct rv_task_info *info = rv_calloc(1, sizeof *info);

    copy.framework_id.v = rv_strdup(v->framework_id.v);
    copy.executor_id.v = rv_strdup(v->executor_id.v);
    rv_task_info_copy(info, v->info);
    copy.info = info;
    if (v->status) {
        struct rv_task_status *status = rv_calloc(1, sizeof *status);

        rv_task_status_copy(status, v->status);
        copy.status = status;
    }
    return copy;
}

static void operation_view_free(struct rv_operation_view *v) {
    free((char *)(uintptr_t)v->framework_id.v);
    rv_operation_free((struct rv_operation *)(uintptr_t)v->operation);
    free((void *)(uintptr_t)v->operation);
    if (v->status)
        free((char *)(uintptr_t)v->status->message);
    free((void *)(uintptr_t)v->status);
}

/* Of a status only what is looked at: its state, message and uuid. */
static struct rv_operation_view operation_view_copy(const struct rv_operation_view *v) {
    struct rv_operation_view copy = *v;
    struct rv_operation *operation = rv_calloc(1, sizeof *operation);

    copy.framework_id.v = rv_strdup(v->framework_id.v);
    rv_operation_copy(operation, v->operation);
    copy.operation = operation;
    if (v->status) {
        struct rv_operation_status *status = rv_calloc(1, sizeof *status);

        status->state = v->status->state;
        status->message = rv_strdup(v->status->message);
        status->has_uuid = v->status->has_uuid;
        memcpy(status->uuid, v->status->uuid, sizeof status->uuid);
        copy.status = status;
    }
    return copy;
}

void rv_master_registration_free(struct rv_master_registration *r) {
    if (!r)
        return;
    rv_agent_info_free(&r->info);
    free(r->boot_id);
    for (size_t i = 0; i < r->tasks.n; i++)
        view_free(&r->tasks.v[i]);
    rv_vec_free(&r->tasks);
    for (size_t i = 0; i < r->executors.n; i++) {
        free((char *)(uintptr_t)r->executors.v[i].framework_id.v);
        rv_executor_info_free((struct rv_executor_info *)(uintptr_t)r->executors.v[i].info);
        free((void *)(uintptr_t)r->executors.v[i].info);
    }
    rv_vec_free(&r->executors);
    for (size_t i = 0; i < r->frameworks.n; i++)
        rv_framework_info_free(&r->frameworks.v[i]);
    rv_vec_free(&r->frameworks);
    rv_resources_free(&r->total);
    for (size_t i = 0; i < r->operations.n; i++)
        operation_view_free(&r->operations.v[i]);
    rv_vec_free(&r->operations);
    free(r);
}

/* What it has now. */
static const struct rv_resources *total_of(const struct rv_agent_call *call) {
    return call->registration.total ? call->registration.total
                                    : &call->registration.info->resources;
}

static struct rv_master_registration *registration_new(const struct rv_agent_call *call,
                                                       const char *id) {
    struct rv_master_registration *r = rv_calloc(1, sizeof *r);

    rv_agent_info_copy(&r->info, call->registration.info);
    free((char *)(uintptr_t)r->info.id.v);
    r->info.id.v = rv_strdup(id);
    r->boot_id = rv_strdup(call->registration.boot_id);
    r->life = call->registration.life;
    r->attempt = call->registration.attempt;
    for (size_t i = 0; i < call->registration.n_tasks; i++)
        rv_vec_push(&r->tasks, view_copy(&call->registration.tasks[i]));
    for (size_t i = 0; i < call->registration.n_executors; i++) {
        struct rv_executor_view v = {.framework_id.v =
                                         rv_strdup(call->registration.executors[i].framework_id.v)};
        struct rv_executor_info *info = rv_calloc(1, sizeof *info);

        rv_executor_info_copy(info, call->registration.executors[i].info);
        v.info = info;
        rv_vec_push(&r->executors, v);
    }
    for (size_t i = 0; i < call->registration.n_frameworks; i++) {
        struct rv_framework_info info = {0};

        rv_framework_info_copy(&info, &call->registration.frameworks[i]);
        rv_vec_push(&r->frameworks, info);
    }
    rv_resources_copy(&r->total, total_of(call));
    for (size_t i = 0; i < call->registration.n_operations; i++)
        rv_vec_push(&r->operations, operation_view_copy(&call->registration.operations[i]));
    return r;
}

/* --- validation --- */

static bool uses(enum rv_task_state s) {
    return !rv_task_state_terminal(s) && s != RV_TASK_UNREACHABLE;
}

static bool framework_told(const struct rv_master *m, const struct rv_agent_call *call,
                           struct rv_framework_id id) {
    if (rv_map_gets(&m->frameworks, id.v) || rv_master_framework_completed(m, id.v))
        return true;
    for (size_t i = 0; i < call->registration.n_frameworks; i++)
        if (rv_framework_id_eq(call->registration.frameworks[i].id, id))
            return true;
    return false;
}

/* Of the agent itself: allocated to nobody. */
static const char *own_problem(struct rv_master *m, const struct rv_resources *r) {
    struct rv_error err;

    if (rv_resources_validate(r, &err) < 0)
        return RV_MASTER_TEXT(m, "the agent's resources are not valid: %s", err.message);
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].kind->allocation_role)
            return "the agent's resources are allocated to a role";
    if (r->n > RV_MASTER_MAX_ELEMENTS)
        return "the agent's resources are in too many parts";
    return rv_master_volume_twice(m, r) ? "two volumes of a role have the same id" : NULL;
}

/* Roles of frameworks and allocations go into the allocator: they must be roles. */
static const char *roles_problem(struct rv_master *m, const struct rv_resources *r) {
    struct rv_error err;

    if (rv_resources_validate(r, &err) < 0)
        return rv_master_keep(m, err.message);
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].kind->allocation_role && rv_role_problem(r->v[i].kind->allocation_role))
            return "its resources are allocated to something that is no role";
    return NULL;
}

static const char *framework_problem(const struct rv_framework_info *f) {
    if (!f->id.v || rv_id_problem(f->id.v))
        return "a framework has no valid id";
    if (f->n_roles > RV_MASTER_MAX_ROLES)
        return "a framework has too many roles";
    for (size_t i = 0; i < f->n_roles; i++) {
        if (rv_role_problem(f->roles[i]))
            return "a framework has a role that is not valid";
        for (size_t j = 0; j < i; j++)
            if (rv_streq(f->roles[i], f->roles[j]))
                return "a framework has a role twice";
    }
    return NULL;
}

static const char *frameworks_problem(const struct rv_master *m, const struct rv_agent_call *call) {
    size_t n = rv_map_count(&m->frameworks);
    const char *problem = NULL;

    for (size_t i = 0; i < call->registration.n_frameworks && !problem; i++) {
        problem = framework_problem(&call->registration.frameworks[i]);
        if (!problem && !rv_map_gets(&m->frameworks, call->registration.frameworks[i].id.v) &&
            ++n > m->config.max_frameworks)
            problem = "it brings more frameworks than this master takes";
    }
    return problem;
}

/* Takes r, in whatever role, off what is left. */
static bool take(struct rv_resources *left, const struct rv_resources *r) {
    struct rv_resources plain = {0};
    bool yes;

    rv_master_bare(&plain, r);
    yes = rv_resources_contains(left, &plain);
    if (yes)
        rv_master_subtract_unshared(left, &plain);
    rv_resources_free(&plain);
    return yes;
}

static const char *task_problem(struct rv_master *m, const struct rv_agent_call *call,
                                const struct rv_task_view *v, struct rv_resources *left) {
    const char *problem;

    if (!v->info || !v->info->id.v || !v->framework_id.v)
        return "a task has no id, framework or info";
    if (!rv_master_is_state(v->state) || !rv_master_is_state(v->update_state))
        return "a task is in a state that is not known";
    if (!v->command && !v->executor_id.v)
        return "a task has no executor";
    if (!framework_told(m, call, v->framework_id))
        return RV_MASTER_TEXT(m, "task %s is of framework %s, which is not told of", v->info->id.v,
                              v->framework_id.v);
    if ((problem = roles_problem(m, &v->info->resources)))
        return RV_MASTER_TEXT(m, "task %s: %s", v->info->id.v, problem);
    if (uses(v->state) && !take(left, &v->info->resources))
        return "its tasks and executors use more than the agent has";
    return NULL;
}

static const char *executor_problem(struct rv_master *m, const struct rv_agent_call *call,
                                    const struct rv_executor_view *v, struct rv_resources *left) {
    const char *problem;

    if (!v->info || !v->framework_id.v || rv_id_problem(v->info->id.v))
        return "an executor has no valid id, framework or info";
    if (!framework_told(m, call, v->framework_id))
        return RV_MASTER_TEXT(m, "executor %s is of framework %s, which is not told of",
                              v->info->id.v, v->framework_id.v);
    if ((problem = roles_problem(m, &v->info->resources)))
        return RV_MASTER_TEXT(m, "executor %s: %s", v->info->id.v, problem);
    return take(left, &v->info->resources) ? NULL
                                           : "its tasks and executors use more than the agent has";
}

static const char *tasks_problem(struct rv_master *m, const struct rv_agent_call *call) {
    struct rv_resources left = {0};
    const char *problem = NULL;

    rv_resources_copy(&left, total_of(call));
    for (size_t i = 0; i < call->registration.n_tasks && !problem; i++)
        problem = task_problem(m, call, &call->registration.tasks[i], &left);
    for (size_t i = 0; i < call->registration.n_executors && !problem; i++)
        problem = executor_problem(m, call, &call->registration.executors[i], &left);
    rv_resources_free(&left);
    return problem;
}

/* NULL: fine. */
static const char *call_problem(struct rv_master *m, const struct rv_agent_call *call) {
    const struct rv_agent_info *info = call->registration.info;
    const char *problem;

    if (!info || !info->hostname)
        return "the agent's info or hostname is missing";
    if ((problem = own_problem(m, &info->resources)) || (problem = own_problem(m, total_of(call))))
        return problem;
    if (call->type == RV_AGENT_CALL_REGISTER)
        return NULL;
    if ((problem = rv_master_operations_problem(m, call)) ||
        (problem = frameworks_problem(m, call)))
        return problem;
    return tasks_problem(m, call);
}

static bool full(const struct rv_master *m) {
    return rv_map_count(&m->agents) + rv_map_count(&m->recovered) + m->pending_agents >=
           m->config.max_agents;
}

/* --- a place for the agent --- */

static struct rv_str address(struct rv_master *m, const struct rv_agent_info *info) {
    rv_buf_clear(&m->scratch);
    rv_buf_printf(&m->scratch, "%s:%d", info->ip ? info->ip : "", (int)info->port);
    return rv_buf_str(&m->scratch);
}

static void put_address(struct rv_master *m, struct rv_master_agent *a) {
    if (a->info.port > 0)
        rv_map_put(&m->addresses, address(m, &a->info), a);
}

static void drop_address(struct rv_master *m, struct rv_master_agent *a) {
    struct rv_str key = address(m, &a->info);

    if (rv_map_get(&m->addresses, key) == a)
        rv_map_remove(&m->addresses, key);
}

static struct rv_master_agent *add(struct rv_master *m, const struct rv_master_registration *r) {
    struct rv_master_agent *a = rv_calloc(1, sizeof *a);
    void *old;

    a->id.v = rv_strdup(r->info.id.v);
    rv_agent_info_copy(&a->info, &r->info);
    rv_resources_copy(&a->total, &r->total);
    rv_list_init(&a->tasks);
    rv_list_init(&a->executors);
    rv_list_init(&a->offers);
    rv_list_init(&a->operations);
    a->ping.kind = RV_TIMER_PING;
    a->registered_ns = m->wall_ns;
    a->boot_id = rv_strdup(r->boot_id);
    a->life = r->life;
    a->attempt = r->attempt;
    a->deactivation = rv_map_gets(&m->deactivated, a->id.v);
    old = rv_map_put(&m->agents, rv_str(a->id.v), a);
    RV_ASSERT(!old);
    put_address(m, a);
    rv_master_agent_place(m, a);
    rv_allocator_add_agent(m->allocator, a, &a->info, &a->total);
    rv_master_agent_refresh(m, a);
    return a;
}

static void tell_added(struct rv_master *m, struct rv_master_agent *a) {
    struct rv_operator_event *event = rv_master_tell_operators(m, 0, RV_OPERATOR_EVENT_AGENT_ADDED);

    if (event)
        event->agent = a;
}

/* To register is a sign of life: the first ping waits until those that come back at once are in. */
#define FIRST_PING_MS INT64_C(3000)

static void connect(struct rv_master *m, struct rv_master_agent *a, uint64_t request,
                    uint64_t stream) {
    struct rv_agent_event *event;
    uint8_t uuid[16];

    rv_prng_uuid(&m->prng, uuid);
    rv_uuid_format(uuid, a->stream_id);
    a->stream = stream;
    a->connected = true;
    a->missed_pings = 0;
    a->ponged = true;
    rv_master_stream_put(m, stream, RV_STREAM_AGENT, a);
    rv_master_open_stream(m, request, stream, a->stream_id);
    event = rv_master_tell_agent(m, a, RV_AGENT_EVENT_REGISTERED);
    event->registered.agent_id = a->id;
    event->registered.ping_timeout_ms =
        m->config.agent_ping_ms * (int64_t)m->config.max_agent_ping_timeouts;
    rv_timer_set(&m->timers, &a->ping, m->now_ms + RV_MIN(FIRST_PING_MS, m->config.agent_ping_ms));
    rv_master_agent_refresh(m, a);
    rv_master_allocate_soon(m);
}

/* Whether what is in use fits into the total, and `more` (may be NULL) into what is left: ports and
 * sets that are used already do not fit a second time. */
static bool fits(const struct rv_master_agent *a, const struct rv_resources *total,
                 const struct rv_resources *more) {
    struct rv_resources part = {0}, left = {0};
    bool yes;

    rv_master_bare(&part, &a->used);
    yes = rv_resources_contains(total, &part);
    if (yes && more) {
        rv_resources_copy(&left, total);
        rv_master_subtract_unshared(&left, &part);
        rv_master_bare(&part, more);
        yes = rv_resources_contains(&left, &part);
    }
    rv_resources_free(&part);
    rv_resources_free(&left);
    return yes;
}

/* The offers of the agent have gone before. */
void rv_master_agent_update_total(struct rv_master *m, struct rv_master_agent *a,
                                  const struct rv_resources *total) {
    const char *problem = own_problem(m, total);

    if (!problem && !fits(a, total, NULL))
        problem = "they are less than what is in use";
    if (problem) {
        RV_MASTER_WARN(m, "agent %s: total resources are kept as before: %s", a->id.v, problem);
        return;
    }
    rv_resources_copy(&a->total, total);
    rv_allocator_update_agent(m->allocator, a, &a->info, &a->total);
}

/* --- what it brings --- */

/* out = r, allocated: to the framework's first role where the agent does not say. */
static void allocated(const struct rv_master_framework *f, const struct rv_resources *r,
                      struct rv_resources *out) {
    bool bare = false;

    rv_resources_copy(out, r);
    for (size_t i = 0; i < r->n; i++)
        bare |= r->v[i].kind->allocation_role == NULL;
    if (bare)
        rv_resources_allocate(out, f->info.n_roles ? f->info.roles[0] : "*");
}

static struct rv_str task_key(struct rv_master *m, const char *framework_id, const char *task_id) {
    rv_buf_clear(&m->scratch);
    rv_buf_puts(&m->scratch, framework_id);
    rv_buf_putc(&m->scratch, '/');
    rv_buf_puts(&m->scratch, task_id);
    return rv_buf_str(&m->scratch);
}

/* What the master thinks is there and the agent has not: lost on the way to it, or with it. */
static void drop_missing(struct rv_master *m, struct rv_master_agent *a,
                         const struct rv_master_registration *r) {
    struct rv_map told = {0};

    for (size_t i = 0; i < r->tasks.n; i++)
        rv_map_put(&told, task_key(m, r->tasks.v[i].framework_id.v, r->tasks.v[i].info->id.v),
                   &r->tasks.v[i]);
    RV_LIST_EACH (&a->tasks, node, tmp) {
        struct rv_master_task *t = RV_LIST_ENTRY(node, struct rv_master_task, on_agent);

        const struct rv_task_view *v = rv_map_get(&told, task_key(m, t->framework->id.v, t->id.v));

        if (v) { /* one that has ended uses nothing of what the agent has now */
            if (rv_task_state_terminal(v->state))
                rv_master_task_set_state(m, t, v->state);
            continue;
        }
        if (!rv_task_state_terminal(t->state))
            rv_master_task_lose(m, t, RV_TASK_DROPPED, RV_REASON_RECONCILIATION,
                                "Task is unknown to the agent", 0);
        rv_master_task_complete(m, t);
    }
    rv_map_clear(&told);
    for (size_t i = 0; i < r->executors.n; i++)
        rv_map_put(&told,
                   task_key(m, r->executors.v[i].framework_id.v, r->executors.v[i].info->id.v),
                   &r->executors.v[i]);
    RV_LIST_EACH (&a->executors, node, tmp) {
        struct rv_master_executor *x = RV_LIST_ENTRY(node, struct rv_master_executor, on_agent);

        if (!rv_map_get(&told, task_key(m, x->framework->id.v, x->info.id.v)))
            rv_master_executor_remove(m, x);
    }
    rv_map_free(&told);
    rv_master_operations_drop_missing(m, a, r);
}

/* Frameworks that this master does not know yet: they may come back too. */
static void recover_frameworks(struct rv_master *m, const struct rv_master_registration *r) {
    for (size_t i = 0; i < r->frameworks.n; i++) {
        const struct rv_framework_info *info = &r->frameworks.v[i];
        struct rv_master_framework *f;
        struct rv_operator_event *event;

        if (rv_map_gets(&m->frameworks, info->id.v) || rv_master_framework_completed(m, info->id.v))
            continue;
        f = rv_master_framework_recover(m, info, 0);
        rv_master_framework_put(m, f);
        event = rv_master_tell_operators(m, 0, RV_OPERATOR_EVENT_FRAMEWORK_ADDED);
        if (event)
            event->framework = f;
    }
}

static void shut_down_framework(struct rv_master *m, struct rv_master_agent *a, const char *id) {
    struct rv_agent_event *event = rv_master_tell_agent(m, a, RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK);

    if (event)
        event->shutdown_framework.v = rv_master_keep(m, id);
}

static void tell_of(struct rv_map *told, const char *framework_id) {
    rv_map_put(told, rv_str(framework_id), (void *)(uintptr_t)framework_id);
}

/* Once for each framework that has ended and of which the agent still has something. */
static void shut_down_completed(struct rv_master *m, struct rv_master_agent *a,
                                const struct rv_master_registration *r) {
    struct rv_map told = {0};
    void *v;

    for (size_t i = 0; i < r->tasks.n; i++)
        tell_of(&told, r->tasks.v[i].framework_id.v);
    for (size_t i = 0; i < r->executors.n; i++)
        tell_of(&told, r->executors.v[i].framework_id.v);
    for (size_t i = 0; i < r->frameworks.n; i++)
        tell_of(&told, r->frameworks.v[i].id.v);
    for (size_t i = 0; i < r->operations.n; i++)
        if (r->operations.v[i].framework_id.v)
            tell_of(&told, r->operations.v[i].framework_id.v);
    for (size_t it = 0; rv_map_next(&told, &it, NULL, &v);)
        if (rv_master_framework_completed(m, v) && !rv_map_gets(&m->frameworks, v))
            shut_down_framework(m, a, v);
    rv_map_free(&told);
}

static void take_executor(struct rv_master *m, struct rv_master_agent *a,
                          const struct rv_executor_view *v) {
    struct rv_master_framework *f = rv_map_gets(&m->frameworks, v->framework_id.v);
    struct rv_resources r = {0};

    if (!f || rv_master_executor_find(a, f, v->info->id.v))
        return;
    allocated(f, &v->info->resources, &r);
    if (!fits(a, &a->total, &r)) {
        struct rv_agent_event *event = rv_master_tell_agent(m, a, RV_AGENT_EVENT_SHUTDOWN_EXECUTOR);

        RV_MASTER_WARN(m, "agent %s: no room in the books for executor %s", a->id.v, v->info->id.v);
        if (event) {
            event->shutdown_executor.framework_id = f->id;
            event->shutdown_executor.executor_id.v = rv_master_keep(m, v->info->id.v);
        }
    } else {
        rv_allocator_use(m->allocator, a, f, &r);
        rv_master_executor_add(m, f, a, v->info, &r);
    }
    rv_resources_free(&r);
}

static void kill_on(struct rv_master *m, struct rv_master_agent *a,
                    const struct rv_master_framework *f, const char *task_id) {
    struct rv_agent_event *event = rv_master_tell_agent(m, a, RV_AGENT_EVENT_KILL_TASK);

    RV_MASTER_WARN(m, "agent %s: killing task %s of framework %s, for which there is no place",
                   a->id.v, task_id, f->id.v);
    if (!event)
        return;
    event->kill.framework_id = f->id;
    event->kill.task_id.v = rv_master_keep(m, task_id);
    event->kill.grace_ms = -1;
}

static void set_update(struct rv_master *m, struct rv_master_task *t,
                       const struct rv_task_view *v) {
    t->has_update_uuid = v->has_update_uuid;
    t->update_state = v->has_update_uuid ? v->update_state : t->state;
    memcpy(t->update_uuid, v->update_uuid, sizeof t->update_uuid);
    if (v->status &&
        (t->statuses.n == 0 || t->statuses.v[t->statuses.n - 1].state != v->status->state))
        rv_master_task_record(m, t, v->status);
}

/* A task that both know. */
static void take_known(struct rv_master *m, struct rv_master_task *t,
                       const struct rv_task_view *v) {
    rv_master_task_set_state(m, t, v->state);
    set_update(m, t, v);
    if (rv_task_state_terminal(t->state)) {
        if (!t->has_update_uuid)
            rv_master_task_complete(m, t);
    } else if (t->kill_asked) {
        rv_master_kill_send(m, t);
    }
}

/* INV-14: back with its latest status; for a framework that was told LOST, LOST reverts (INV-37).
 * One that is not connected asks when it is again (INV-38). */
static void tell_back(struct rv_master *m, struct rv_master_task *t) {
    const struct rv_task_status *last = t->statuses.n ? &t->statuses.v[t->statuses.n - 1] : NULL;
    struct rv_master_framework *f = t->framework;
    struct rv_task_status *status =
        rv_master_status(m, t->id.v, t->agent_id.v, t->executor_id.v, t->update_state,
                         RV_REASON_AGENT_REREGISTERED, "Task's agent has registered again");
    struct rv_operator_event *event;

    rv_master_status_details(status, last);
    rv_master_send_status(m, f, status);
    event = rv_master_tell_operators(m, 0, RV_OPERATOR_EVENT_TASK_UPDATED);
    if (event) {
        event->task = t;
        event->status = status;
        event->framework = f;
    }
}

/* was_away: this master, or one before, may have said of it that it is unreachable or unknown. */
static void take_unknown(struct rv_master *m, struct rv_master_agent *a,
                         struct rv_master_framework *f, const struct rv_task_view *v,
                         bool was_away) {
    struct rv_master_task *parked, *t;
    struct rv_resources r = {0};
    bool lost;

    if (!uses(v->state) && !v->has_update_uuid)
        return; /* it ended and that was acknowledged: nothing to be known of it any more */
    allocated(f, &v->info->resources, &r);
    parked = rv_map_gets(&f->unreachable, v->info->id.v);
    if (parked)
        rv_master_task_unpark(parked);
    if (rv_map_gets(&f->tasks, v->info->id.v) || (uses(v->state) && !fits(a, &a->total, &r))) {
        kill_on(m, a, f, v->info->id.v); /* of which it tells as of any task unknown to us */
        if (parked)
            rv_master_bury(m, rv_master_task_free, parked);
        rv_resources_free(&r);
        return;
    }
    lost = rv_master_task_forget_completed(m, f, v->info->id.v);
    t = rv_master_task_new(m, f, a, v->info, &r, v->command ? NULL : v->executor_id.v, v->state);
    if (uses(v->state)) {
        rv_allocator_use(m->allocator, a, f, &r);
        rv_master_book(f, a, &r);
    } else {
        t->released = true;
    }
    if (parked) { /* its history; the statuses that effects may show stay where they are */
        for (size_t i = 0; i < parked->statuses.n; i++)
            rv_master_task_record(m, t, &parked->statuses.v[i]);
        t->kill_asked = parked->kill_asked;
        t->kill_grace_ms = parked->kill_grace_ms;
        rv_master_bury(m, rv_master_task_free, parked);
    }
    set_update(m, t, v);
    if (!parked)
        rv_master_task_added(m, t);
    if (parked || lost || was_away)
        tell_back(m, t);
    if (t->kill_asked && uses(t->state))
        rv_master_kill_send(m, t);
    rv_resources_free(&r);
}

static void take_tasks(struct rv_master *m, struct rv_master_agent *a,
                       const struct rv_master_registration *r, bool was_away) {
    for (size_t i = 0; i < r->executors.n; i++)
        take_executor(m, a, &r->executors.v[i]);
    for (size_t i = 0; i < r->tasks.n; i++) {
        const struct rv_task_view *v = &r->tasks.v[i];
        struct rv_master_framework *f = rv_map_gets(&m->frameworks, v->framework_id.v);
        struct rv_master_task *t = f ? rv_map_gets(&f->tasks, v->info->id.v) : NULL;

        if (!f)
            continue;
        if (t && t->agent == a)
            take_known(m, t, v);
        else
            take_unknown(m, a, f, v, was_away);
    }
}

struct old_info {
    struct rv_agent_info info;
};

static void free_old_info(void *v) {
    struct old_info *old = v;

    rv_agent_info_free(&old->info);
    free(old);
}

/* A registered agent on a new stream: after a restart, or after its connection broke. */
static void again(struct rv_master *m, struct rv_master_agent *a,
                  const struct rv_master_registration *r) {
    struct old_info *old = rv_calloc(1, sizeof *old);

    rv_master_offers_drop_agent(m, a);
    if (a->stream) {
        rv_master_close_stream(m, a->stream);
        rv_master_stream_drop(m, a->stream);
        a->stream = 0;
        a->connected = false;
    }
    drop_address(m, a);
    drop_missing(m, a, r);
    old->info = a->info;
    rv_master_bury(m, free_old_info, old);
    memset(&a->info, 0, sizeof a->info);
    rv_agent_info_copy(&a->info, &r->info);
    put_address(m, a);
    rv_master_agent_place(m, a);
    rv_allocator_update_agent(m->allocator, a, &a->info, &a->total);
    rv_master_agent_update_total(m, a, &r->total);
    a->reregistered_ns = m->wall_ns;
    free(a->boot_id);
    a->boot_id = rv_strdup(r->boot_id);
    a->life = r->life;
    a->attempt = r->attempt;
}

/* Whether a newer registration of the same process is there: what this one tells is out of date,
 * and nobody reads its stream. */
static bool is_late(const struct rv_master_agent *a, uint64_t life, uint64_t attempt) {
    return a && life != 0 && a->life == life && attempt < a->attempt;
}

/* The agent is admitted and takes its place, with all it has. */
static void settle(struct rv_master *m, const struct rv_master_registration *r, uint64_t request,
                   uint64_t stream, bool reregistered) {
    struct rv_master_agent *a = rv_map_gets(&m->agents, r->info.id.v);
    struct rv_agent_info *recovered = rv_map_remove(&m->recovered, rv_str(r->info.id.v));
    struct rv_master_absent *absent = rv_map_remove(&m->unreachable, rv_str(r->info.id.v));
    bool is_new = !a, was_away = is_new && !recovered;

    rv_master_agent_seen(m, r->info.id.v);
    if (recovered)
        rv_agent_info_free(recovered);
    free(recovered);
    if (a)
        again(m, a, r);
    else
        a = add(m, r);
    a->settling = true;
    if (reregistered) {
        a->reregistered_ns = m->wall_ns;
        m->counters.agent_reregistrations++;
        recover_frameworks(m, r);
    } else {
        m->counters.agent_registrations++;
    }
    if (stream)
        connect(m, a, request, stream);
    take_tasks(m, a, r, was_away);
    rv_master_operations_take(m, a, r);
    if (absent)
        rv_master_absent_end(m, absent, RV_TASK_DROPPED, "Task is unknown to the agent");
    rv_master_absent_free(m, absent);
    if (reregistered)
        shut_down_completed(m, a, r);
    if (is_new)
        tell_added(m, a);
    if (!stream) { /* it gave up while the registry wrote: as if it had disconnected just now */
        rv_timer_set(&m->timers, &a->ping, m->now_ms + m->config.agent_ping_ms);
        rv_master_agent_closed(m, a);
    }
    RV_MASTER_INFO(m, "agent %s (%s) %s", a->id.v, a->info.hostname,
                   reregistered ? "is back" : "registered");
    a->settling = false;
    rv_master_drain_settle(m, a);
    rv_master_shut_down(m, a); /* the machine went down while the registry wrote */
}

/* Whether a new agent, now that the registry has it, is the one at its address. Two tries of one
 * process may have waited for the registry together: the one that it made last counts. */
static bool takes_address(struct rv_master *m, const struct rv_master_pending *p) {
    const struct rv_master_registration *r = p->registration;
    struct rv_master_agent *old =
        r->info.port > 0 ? rv_map_get(&m->addresses, address(m, &r->info)) : NULL;

    if (!p->stream)
        return false;
    if (old && (is_late(old, r->life, r->attempt) || (old->connected && old->life != r->life))) {
        RV_MASTER_REPLY(m, p->request, 503, "agent %s is connected from this address", old->id.v);
        return false;
    }
    if (old)
        rv_master_agent_remove(m, old, RV_REMOVAL_REPLACED, 0);
    return true;
}

void rv_master_admitted(struct rv_master *m, struct rv_master_pending *p, bool ok) {
    if (!ok) {
        if (p->stream)
            RV_MASTER_REPLY(m, p->request, 503, "the registry could not be written");
        return;
    }
    if (!p->known && !takes_address(m, p)) {
        /* It never learned its id and will ask for a new one. */
        rv_master_write(m, RV_REGISTRY_REMOVE_AGENT, NULL)->agent_id.v = rv_master_keep(m, p->id);
        return;
    }
    if (p->known) {
        struct rv_master_agent *a = rv_map_gets(&m->agents, p->id);

        if (rv_map_gets(&m->marking, p->id) || (a && a->removing)) {
            if (p->stream)
                RV_MASTER_REPLY(m, p->request, 503, "the agent is being removed: register again");
            return;
        }
        if (a && a->connected && !p->stream)
            return; /* a later registration of the same agent was faster */
        if (is_late(a, p->registration->life, p->registration->attempt)) {
            RV_MASTER_REPLY(m, p->request, 409, "a newer registration came before");
            return;
        }
    }
    settle(m, p->registration, p->request, p->stream, p->known);
}

/* --- the calls --- */

static void pend(struct rv_master *m, const struct rv_master_event *e, enum rv_registry_kind kind,
                 const char *id, bool known) {
    struct rv_master_pending *p = rv_master_pending_new(kind, id);
    struct rv_registry_op *op;

    p->request = e->request;
    p->stream = e->stream;
    p->known = known;
    p->registration = registration_new(e->agent, id);
    rv_master_stream_pend(m, p);
    op = rv_master_write(m, kind, p);
    op->agent_id.v = p->id;
    op->agent = &p->registration->info;
}

/* Told to end, and not to come back as it is. */
static void refuse(struct rv_master *m, const struct rv_master_event *e, const char *why) {
    if (e->stream == 0)
        return;
    RV_MASTER_WARN(m, "refused an agent at %s: %s", e->agent->registration.info->hostname, why);
    rv_master_open_stream(m, e->request, e->stream, NULL);
    rv_master_tell_agent_stream(m, e->stream, RV_AGENT_EVENT_SHUTDOWN)->why = why;
    rv_master_close_stream(m, e->stream);
}

void rv_master_register(struct rv_master *m, const struct rv_master_event *e) {
    const struct rv_agent_call *call = e->agent;
    const char *problem = call_problem(m, call);
    struct rv_master_agent *old;

    m->counters.messages_register_agent++;
    if (problem) {
        rv_master_reply_text(m, e->request, 400, problem);
        return;
    }
    if (rv_master_is_down(m, call->registration.info)) {
        refuse(m, e, "Machine is `DOWN`");
        return;
    }
    if (full(m)) {
        RV_MASTER_REPLY(m, e->request, 503, "there are %zu agents already", m->config.max_agents);
        return;
    }
    old = call->registration.info->port > 0
              ? rv_map_get(&m->addresses, address(m, call->registration.info))
              : NULL;
    /* A try that came late, or the successor of an agent whose end was not noticed yet: the second
     * one tries again, until the first one's stream has ended. */
    if (old && old->connected) {
        RV_MASTER_REPLY(m, e->request, 503, "agent %s is connected from this address", old->id.v);
        return;
    }
    /* One process listens there, and it has no id: what was there before is no more. */
    if (old)
        rv_master_agent_remove(m, old, RV_REMOVAL_REPLACED, 0);
    pend(m, e, RV_REGISTRY_ADMIT_AGENT,
         RV_MASTER_TEXT(m, "%s-S%llu", m->config.id, (unsigned long long)m->next_agent++), false);
}

static bool same_info(const struct rv_agent_info *a, const struct rv_agent_info *b) {
    return rv_streq(a->hostname, b->hostname) && rv_streq(a->ip, b->ip) && a->port == b->port &&
           rv_streq(a->region, b->region) && rv_streq(a->zone, b->zone) &&
           a->capabilities == b->capabilities && rv_streq(a->version, b->version) &&
           rv_blob_eq(a->domain, b->domain) && rv_resources_eq(&a->resources, &b->resources) &&
           rv_attributes_eq(&a->attributes, &b->attributes);
}

void rv_master_reregister(struct rv_master *m, const struct rv_master_event *e) {
    const struct rv_agent_call *call = e->agent;
    const char *id = call->agent_id.v, *problem = call_problem(m, call);
    struct rv_master_agent *a = rv_map_gets(&m->agents, id);
    const struct rv_agent_info *known = a ? &a->info : rv_map_gets(&m->recovered, id);

    m->counters.messages_reregister_agent++;
    if (!problem)
        problem = id ? rv_id_problem(id) : "'agent_id' is missing";
    if (!problem && rv_master_id_ahead(m, id, "-S", m->next_agent))
        problem = "'agent_id' was not given to anybody yet";
    if (problem) {
        rv_master_reply_text(m, e->request, 400, problem);
    } else if (rv_map_gets(&m->gone, id)) {
        refuse(m, e, RV_MASTER_GONE);
    } else if (rv_master_is_down(m, call->registration.info)) {
        refuse(m, e, "Machine is `DOWN`");
    } else if (is_late(a, call->registration.life, call->registration.attempt)) {
        RV_MASTER_REPLY(m, e->request, 409, "a newer registration came before");
    } else if ((a && a->removing) || rv_map_gets(&m->marking, id)) {
        RV_MASTER_REPLY(m, e->request, 503, "the agent is being removed: register again");
    } else if (known && same_info(known, call->registration.info)) {
        struct rv_master_registration *r = registration_new(call, id);

        settle(m, r, e->request, e->stream, true);
        rv_master_registration_free(r);
    } else if (!known && full(m)) {
        RV_MASTER_REPLY(m, e->request, 503, "there are %zu agents already", m->config.max_agents);
    } else {
        pend(m, e,
             rv_map_gets(&m->unreachable, id) ? RV_REGISTRY_MARK_REACHABLE
                                              : RV_REGISTRY_ADMIT_AGENT,
             id, true);
    }
}
