/*
 * The agent's records as parts of v1 answers. Executors are gathered first, then asked for what
 * they hold; a tree borrows all strings and packed bytes from the records, so that its cost is a
 * node per message and nothing of a task's data is copied.
 */
#include "daemon/agent_views.h"

#include "base/fixed.h"
#include "daemon/fetch.h"
#include "daemon/folders.h"
#include "daemon/legacy_json.h"
#include "daemon/statistics.h"
#include "wire/convert.h"

/* --- arrays in an arena --- */

struct list {
    struct rv_arena *arena;
    void **v;
    size_t n, cap;
};

static void push(struct list *l, void *item) {
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        void **v = rv_arena_alloc(l->arena, cap * sizeof *v);
        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = item;
}

/* --- executors --- */

static void push_present(struct list *l, const struct rv_agent_framework *fw) {
    void *ex;

    for (size_t it = 0; rv_map_next(&fw->executors, &it, NULL, &ex);)
        push(l, ex);
}

static void push_completed(struct list *l, const struct rv_agent_framework *fw) {
    for (size_t i = 0; i < fw->completed.n; i++)
        push(l, fw->completed.v[i]);
}

struct rv_agent_executors rv_agent_view_executors(const struct rv_agent *a,
                                                  enum rv_agent_which which,
                                                  struct rv_arena *arena) {
    struct list l = {.arena = arena};
    void *fw;

    if (which != RV_WHICH_COMPLETED)
        for (size_t it = 0; rv_map_next(&a->frameworks, &it, NULL, &fw);)
            push_present(&l, fw);
    if (which != RV_WHICH_PRESENT) {
        for (size_t i = 0; i < a->completed.n; i++)
            push_completed(&l, a->completed.v[i]);
        for (size_t it = 0; rv_map_next(&a->frameworks, &it, NULL, &fw);)
            push_completed(&l, fw);
    }
    return (struct rv_agent_executors){(const struct rv_agent_executor **)(void *)l.v, l.n};
}

/* Fields of ExecutorInfo. */
enum { EXECUTOR_NAME = 9, EXECUTOR_SOURCE = 10 };

struct rv_str rv_agent_view_executor_name(const struct rv_agent_executor *ex,
                                          struct rv_arena *arena) {
    struct rv_str name = rv_packed_bytes(rv_blob_bytes(ex->info.packed), EXECUTOR_NAME);

    if (!name.s && ex->command)
        name = rv_str(rv_arena_printf(arena, "Command Executor (Task: %s)", ex->info.id.v));
    return name.s ? name : RV_STR("");
}

struct rv_str rv_agent_view_executor_source(const struct rv_agent_executor *ex) {
    struct rv_str source = rv_packed_bytes(rv_blob_bytes(ex->info.packed), EXECUTOR_SOURCE);

    if (!source.s && ex->command)
        source = rv_str(ex->info.id.v);
    return source.s ? source : RV_STR("");
}

static void *executor_to(const struct rv_agent_executor *ex, struct rv_arena *arena) {
    Reeve__V1__Agent__Response__GetExecutors__Executor *m = RV_WIRE_MAKE(
        arena, Agent__Response__GetExecutors__Executor, agent__response__get_executors__executor);
    struct rv_executor_info *info = rv_arena_memdup(arena, &ex->info, sizeof ex->info);

    info->framework_id = ex->framework->id;
    m->executor_info = rv_wire_executor_info_to(info, arena);
    return m;
}

static void *executors_to(struct rv_agent_executors from, struct rv_arena *arena) {
    void **v = RV_ARENA_ARRAY(arena, void *, from.n);

    for (size_t i = 0; i < from.n; i++)
        v[i] = executor_to(from.v[i], arena);
    return v;
}

Reeve__V1__Agent__Response__GetExecutors *rv_agent_view_get_executors(const struct rv_agent *a,
                                                                      struct rv_arena *arena) {
    Reeve__V1__Agent__Response__GetExecutors *m =
        RV_WIRE_MAKE(arena, Agent__Response__GetExecutors, agent__response__get_executors);
    struct rv_agent_executors present = rv_agent_view_executors(a, RV_WHICH_PRESENT, arena),
                              completed = rv_agent_view_executors(a, RV_WHICH_COMPLETED, arena);

    m->executors = executors_to(present, arena);
    m->n_executors = present.n;
    m->completed_executors = executors_to(completed, arena);
    m->n_completed_executors = completed.n;
    return m;
}

/* --- frameworks --- */

static void *framework_to(const struct rv_agent_framework *fw, struct rv_arena *arena) {
    Reeve__V1__Agent__Response__GetFrameworks__Framework *m =
        RV_WIRE_MAKE(arena, Agent__Response__GetFrameworks__Framework,
                     agent__response__get_frameworks__framework);
    struct rv_framework_info *info = rv_arena_memdup(arena, &fw->info, sizeof fw->info);

    info->id = fw->id;
    m->framework_info = rv_wire_framework_info_to(info, arena);
    return m;
}

Reeve__V1__Agent__Response__GetFrameworks *rv_agent_view_frameworks(const struct rv_agent *a,
                                                                    struct rv_arena *arena) {
    Reeve__V1__Agent__Response__GetFrameworks *m =
        RV_WIRE_MAKE(arena, Agent__Response__GetFrameworks, agent__response__get_frameworks);
    struct list present = {.arena = arena}, completed = {.arena = arena};
    void *fw;

    for (size_t it = 0; rv_map_next(&a->frameworks, &it, NULL, &fw);)
        push(&present, framework_to(fw, arena));
    for (size_t i = 0; i < a->completed.n; i++)
        push(&completed, framework_to(a->completed.v[i], arena));
    m->frameworks = (void *)present.v;
    m->n_frameworks = present.n;
    m->completed_frameworks = (void *)completed.v;
    m->n_completed_frameworks = completed.n;
    return m;
}

/* --- tasks --- */

/* Fields of TaskInfo that a Task shows as they are. */
enum {
    TASK_HEALTH_CHECK = 8,
    TASK_CONTAINER = 9,
    TASK_LABELS = 10,
    TASK_DISCOVERY = 11,
    TASK_KILL_POLICY = 12,
    TASK_LIMITS = 15
};

static void *part(const struct rv_task_info *info, uint32_t field, struct rv_arena *arena) {
    struct rv_str bytes = rv_packed_bytes(rv_blob_bytes(info->packed), field);

    return bytes.s ? rv_wire_raw(arena, bytes) : NULL;
}

static void task_parts(const struct rv_task_info *info, struct rv_arena *arena,
                       Reeve__V1__Task *m) {
    struct rv_str rest = rv_blob_bytes(info->packed), user = rv_packed_task_user(info->packed);
    struct list limits = {.arena = arena};
    struct rv_packed_field field;

    m->labels = part(info, TASK_LABELS, arena);
    m->discovery = part(info, TASK_DISCOVERY, arena);
    m->container = part(info, TASK_CONTAINER, arena);
    m->health_check = part(info, TASK_HEALTH_CHECK, arena);
    m->kill_policy = part(info, TASK_KILL_POLICY, arena);
    if (user.s)
        m->user = rv_arena_strndup(arena, user.s, user.n);
    while (rv_limits_given(info->limits) && rv_packed_next(&rest, &field))
        if (field.number == TASK_LIMITS && field.wire == 2)
            push(&limits, rv_wire_raw(arena, field.bytes));
    m->limits = (void *)limits.v;
    m->n_limits = limits.n;
}

static Reeve__V1__Task *task_to(const struct rv_agent *a, const struct rv_agent_task *t,
                                struct rv_arena *arena) {
    const struct rv_agent_executor *ex = t->executor;
    Reeve__V1__Task *m = RV_WIRE_MAKE(arena, Task, task);
    void **statuses = RV_ARENA_ARRAY(arena, void *, t->statuses.n);

    m->name = t->info.name ? t->info.name : rv_arena_strdup(arena, "");
    m->task_id = rv_wire_task_id_to(t->id, arena);
    m->framework_id = rv_wire_framework_id_to(ex->framework->id, arena);
    if (!ex->command)
        m->executor_id = rv_wire_executor_id_to(ex->info.id, arena);
    m->agent_id = rv_wire_agent_id_to(t->info.agent_id.v ? t->info.agent_id : a->info.id, arena);
    m->state = (Reeve__V1__TaskState)t->state;
    rv_wire_resources_to(&t->info.resources, RV_SHAPE_ENDPOINT, true, arena, &m->resources,
                         &m->n_resources);
    for (size_t i = 0; i < t->statuses.n; i++)
        statuses[i] = rv_wire_task_status_to(&t->statuses.v[i], arena);
    m->statuses = (void *)statuses;
    m->n_statuses = t->statuses.n;
    /* What the master was told last: the update under way. */
    if (t->updates.n) {
        const struct rv_task_status *under_way = &t->updates.v[0].status;
        m->has_status_update_state = true;
        m->status_update_state = (Reeve__V1__TaskState)under_way->state;
        m->has_status_update_uuid = under_way->has_uuid;
        if (under_way->has_uuid)
            m->status_update_uuid = rv_wire_uuid_to(under_way->uuid);
    }
    task_parts(&t->info, arena, m);
    return m;
}

Reeve__V1__Agent__Response__GetTasks *rv_agent_view_tasks(const struct rv_agent *a,
                                                          struct rv_arena *arena) {
    Reeve__V1__Agent__Response__GetTasks *m =
        RV_WIRE_MAKE(arena, Agent__Response__GetTasks, agent__response__get_tasks);
    struct rv_agent_executors all = rv_agent_view_executors(a, RV_WHICH_ALL, arena);
    enum { PENDING = RV_TASK_COMPLETED + 1, PLACES };
    struct list places[PLACES];
    void *item;

    for (int i = 0; i < PLACES; i++)
        places[i] = (struct list){.arena = arena};
    for (size_t i = 0; i < all.n; i++) {
        const struct rv_agent_executor *ex = all.v[i];
        for (size_t it = 0; rv_map_next(&ex->tasks, &it, NULL, &item);) {
            const struct rv_agent_task *t = item;
            push(&places[rv_agent_view_is_pending(t) ? PENDING : (int)t->place],
                 task_to(a, t, arena));
        }
        for (size_t k = 0; k < ex->completed.n; k++)
            push(&places[RV_TASK_COMPLETED], task_to(a, ex->completed.v[k], arena));
    }
#define TAKE(field, place)                                                                         \
    m->field = (void *)places[place].v;                                                            \
    m->n_##field = places[place].n
    TAKE(pending_tasks, PENDING);
    TAKE(queued_tasks, RV_TASK_QUEUED);
    TAKE(launched_tasks, RV_TASK_LAUNCHED);
    TAKE(terminated_tasks, RV_TASK_TERMINATED);
    TAKE(completed_tasks, RV_TASK_COMPLETED);
#undef TAKE
    return m;
}

/* --- containers --- */

/* The containers share the machine's network. */
static Reeve__V1__NetworkInfo *network_to(const struct rv_agent_daemon *d, struct rv_arena *arena) {
    Reeve__V1__NetworkInfo *m = RV_WIRE_MAKE(arena, NetworkInfo, network_info);
    Reeve__V1__NetworkInfo__IPAddress *address =
        RV_WIRE_MAKE(arena, NetworkInfo__IPAddress, network_info__ipaddress);

    address->has_protocol = true;
    address->protocol = strchr(d->ip, ':') ? REEVE__V1__NETWORK_INFO__PROTOCOL__IPv6
                                           : REEVE__V1__NETWORK_INFO__PROTOCOL__IPv4;
    address->ip_address = d->ip;
    m->ip_addresses = rv_arena_memdup(arena, &address, sizeof address);
    m->n_ip_addresses = 1;
    return m;
}

static Reeve__V1__ContainerStatus *status_to(const struct rv_agent_daemon *d,
                                             struct rv_container_id id, struct rv_arena *arena) {
    Reeve__V1__ContainerStatus *m = RV_WIRE_MAKE(arena, ContainerStatus, container_status);
    Reeve__V1__NetworkInfo *network = network_to(d, arena);

    m->container_id = rv_wire_container_id_to(id, arena);
    m->network_infos = rv_arena_memdup(arena, &network, sizeof network);
    m->n_network_infos = 1;
    return m;
}

/* Fields of TaskStatus and ContainerStatus. */
enum { STATUS_CONTAINER = 13, CONTAINER_NETWORKS = 1 };

void rv_agent_view_add_network(const struct rv_agent_daemon *d, struct rv_task_status *s,
                               struct rv_arena *arena) {
    struct rv_str rest = rv_blob_bytes(s->rest);
    _cleanup_(rv_buf_free) struct rv_buf container = {0}, network = {0}, out = {0};
    struct rv_packed_field f;

    for (const char *from = rest.s; rest.n && rv_packed_next(&rest, &f); from = rest.s) {
        if (f.number == STATUS_CONTAINER && f.wire == 2)
            rv_buf_append(&container, f.bytes.s, f.bytes.n); /* several are merged so */
        else
            rv_buf_append(&out, from, (size_t)(rest.s - from));
    }
    if (rv_packed_bytes(rv_buf_str(&container), CONTAINER_NETWORKS).s)
        return;
    rv_wire_encode(&network_to(d, arena)->base, RV_ENC_PROTOBUF, &network);
    rv_packed_put(&container, CONTAINER_NETWORKS, rv_buf_str(&network));
    rv_packed_put(&out, STATUS_CONTAINER, rv_buf_str(&container));
    rv_blob_unref(s->rest);
    s->rest = rv_blob_new(out.data, out.n);
}

static void push_container(const struct rv_agent_daemon *d, const struct rv_agent_executor *ex,
                           struct list *l) {
    struct rv_agent_container *c = RV_ARENA_NEW(l->arena, struct rv_agent_container);
    pid_t pid = d->containerizer->ops->pid(d->containerizer, ex->container_id.v);

    *c = (struct rv_agent_container){.executor = ex, .id = ex->container_id};
    c->status = status_to(d, c->id, l->arena);
    if (pid > 0) {
        c->status->has_executor_pid = true;
        c->status->executor_pid = (uint32_t)pid;
    }
    c->statistics = rv_statistics_of(d, c->id.v, &ex->resources, l->arena);
    push(l, c);
}

struct rv_agent_containers rv_agent_view_containers(const struct rv_agent_daemon *d, size_t more,
                                                    struct rv_arena *arena) {
    struct rv_agent_executors present = rv_agent_view_executors(d->core, RV_WHICH_PRESENT, arena);
    struct rv_agent_containers out = {
        RV_ARENA_ARRAY(arena, struct rv_agent_container, present.n + more), 0};
    struct list l = {.arena = arena};

    for (size_t i = 0; i < present.n; i++)
        if (present.v[i]->state != RV_EXECUTOR_TERMINATED)
            push_container(d, present.v[i], &l);
    for (; out.n < l.n; out.n++)
        out.v[out.n] = *(struct rv_agent_container *)l.v[out.n];
    return out;
}

/* --- resources --- */

void rv_agent_view_allocated(const struct rv_agent *a, struct rv_resources *out) {
    void *fw, *item;

    rv_resources_free(out);
    for (size_t it = 0; rv_map_next(&a->frameworks, &it, NULL, &fw);) {
        const struct rv_agent_framework *f = fw;
        for (size_t k = 0; rv_map_next(&f->executors, &k, NULL, &item);) {
            const struct rv_agent_executor *ex = item;
            if (ex->state != RV_EXECUTOR_TERMINATED)
                rv_resources_add(out, &ex->resources);
        }
    }
}

/* --- operations --- */

static Reeve__V1__Operation *
operation_to(const struct rv_agent *a, const struct rv_agent_operation *o, struct rv_arena *arena) {
    bool under_way = o->kept == RV_KEPT_WRITING;
    struct rv_operation_status status = {
        .operation_id = o->operation.id,
        .state = under_way ? RV_OPERATION_PENDING : o->state,
        .message = o->message,
        .agent_id = a->info.id,
        .has_uuid = o->has_status_uuid && !under_way,
        .converted =
            !under_way && o->state == RV_OPERATION_FINISHED ? &o->conversion.converted : NULL,
    };

    memcpy(status.uuid, o->status_uuid, sizeof status.uuid);
    return rv_wire_operation_record_to(&o->operation, &status, o->framework_id, o->uuid, arena);
}

Reeve__V1__Agent__Response__GetOperations *rv_agent_view_operations(const struct rv_agent *a,
                                                                    struct rv_arena *arena) {
    Reeve__V1__Agent__Response__GetOperations *m =
        RV_ARENA_NEW(arena, Reeve__V1__Agent__Response__GetOperations);
    struct rv_agent_operation *o;

    reeve__v1__agent__response__get_operations__init(m);
    m->operations = RV_ARENA_ARRAY(arena, Reeve__V1__Operation *, rv_map_count(&a->operations) + 1);
    for (size_t i = 0; rv_map_next(&a->operations, &i, NULL, (void **)&o);)
        m->operations[m->n_operations++] = operation_to(a, o, arena);
    return m;
}

/* --- metrics --- */

static bool is_revocable(const struct rv_kind *k, const void *ctx) {
    return k->revocable == *(const bool *)ctx;
}

static void measure_resources(const struct rv_agent *a, struct rv_metrics *m) {
    static const char *const names[] = {"cpus", "mem", "disk", "gpus"};
    _cleanup_(rv_resources_free) struct rv_resources allocated = {0}, total = {0}, used = {0};

    rv_agent_view_allocated(a, &allocated);
    for (int revocable = 0; revocable <= 1; revocable++) {
        const bool keep = revocable;
        const char *infix = revocable ? "_revocable" : "";
        rv_resources_filter(&total, &a->durable_total, is_revocable, &keep);
        rv_resources_filter(&used, &allocated, is_revocable, &keep);
        for (size_t i = 0; i < RV_COUNT(names); i++) {
            double t = rv_fixed_to_double(rv_resources_quantity(&total, names[i])),
                   u = rv_fixed_to_double(rv_resources_quantity(&used, names[i]));
            rv_metrics_gauge(m, rv_arena_printf(&m->arena, "slave/%s%s_total", names[i], infix),
                             NULL, t);
            rv_metrics_gauge(m, rv_arena_printf(&m->arena, "slave/%s%s_used", names[i], infix),
                             NULL, u);
            rv_metrics_gauge(m, rv_arena_printf(&m->arena, "slave/%s%s_percent", names[i], infix),
                             NULL, t > 0 ? u / t : 0);
        }
    }
}

static void measure_executors(const struct rv_agent *a, struct rv_metrics *m) {
    size_t states[RV_EXECUTOR_TERMINATED + 1] = {0}, tasks[RV_TASK_STATE_MAX] = {0};
    void *fw, *ex, *item;

    for (size_t it = 0; rv_map_next(&a->frameworks, &it, NULL, &fw);) {
        const struct rv_agent_framework *f = fw;
        for (size_t k = 0; rv_map_next(&f->executors, &k, NULL, &ex);)
            states[((const struct rv_agent_executor *)ex)->state]++;
        for (size_t k = 0; rv_map_next(&f->tasks, &k, NULL, &item);)
            tasks[((const struct rv_agent_task *)item)->state]++;
    }
    rv_metrics_gauge(m, "slave/frameworks_active", "Frameworks with something on the agent",
                     (double)rv_map_count(&a->frameworks));
    rv_metrics_gauge(m, "slave/executors_registering", "Executors that have not subscribed yet",
                     (double)states[RV_EXECUTOR_REGISTERING]);
    rv_metrics_gauge(m, "slave/executors_running", "Executors that run",
                     (double)states[RV_EXECUTOR_RUNNING]);
    rv_metrics_gauge(m, "slave/executors_terminating", "Executors that are being ended",
                     (double)states[RV_EXECUTOR_TERMINATING]);
    rv_metrics_gauge(m, "slave/tasks_staging", "Tasks that are staging",
                     (double)tasks[RV_TASK_STAGING]);
    rv_metrics_gauge(m, "slave/tasks_starting", "Tasks that are starting",
                     (double)tasks[RV_TASK_STARTING]);
    rv_metrics_gauge(m, "slave/tasks_running", "Tasks that run", (double)tasks[RV_TASK_RUNNING]);
    rv_metrics_gauge(m, "slave/tasks_killing", "Tasks that are being killed",
                     (double)tasks[RV_TASK_KILLING]);
}

static void measure_counters(const struct rv_agent *a, struct rv_metrics *m) {
    const struct rv_agent_counters *c = &a->counters;

    /* monitoring.md calls it a gauge; like the others it only grows. */
    rv_metrics_counter(m, "slave/recovery_errors", "What could not be recovered",
                       (double)c->recovery_errors);
#define COUNT(name, help) rv_metrics_counter(m, "slave/" #name, help, (double)c->name)
    COUNT(executors_terminated, "Executors that have ended");
    COUNT(executors_preempted, "Executors ended to give their resources to others");
    COUNT(container_launch_errors, "Containers that could not be launched");
    COUNT(valid_status_updates, "Status updates taken");
    COUNT(invalid_status_updates, "Status updates refused");
    COUNT(valid_framework_messages, "Framework messages passed on");
    COUNT(invalid_framework_messages, "Framework messages dropped");
    COUNT(tasks_finished, "Tasks that finished");
    COUNT(tasks_failed, "Tasks that failed");
    COUNT(tasks_killed, "Tasks that were killed");
    COUNT(tasks_lost, "Tasks that were lost");
    COUNT(tasks_gone, "Tasks that are gone");
    COUNT(registrations, "Times that the agent got a new id");
    COUNT(reregistrations, "Times that the agent came back to a master");
    COUNT(updates_resent, "Status updates sent again for want of an acknowledgement");
#undef COUNT
}

static void measure_http(const struct rv_agent_daemon *d, struct rv_metrics *m) {
    struct rv_http_counters http = rv_http_server_counters(d->shell.server);

    rv_metrics_counter(m, "http/requests", "Requests so far", (double)http.requests);
    rv_metrics_counter(m, "http/bad_requests", "Requests that were refused",
                       (double)(http.rejected + d->shell.bad_requests));
    rv_metrics_counter(m, "http/streams_cut", "Streams cut off because their reader is slow",
                       (double)http.streams_cut);
    rv_metrics_counter(m, "http/connections", "Connections so far", (double)http.connections);
}

/* Only fetches change it. */
static uint64_t cache_used(struct rv_agent_daemon *d) {
    uint64_t fetches = d->fetches_succeeded + d->fetches_failed;

    if (!d->cache_used.known || d->cache_used.after != fetches)
        d->cache_used.bytes = rv_fetch_cache_used(d->fetcher_cache_dir);
    d->cache_used.after = fetches;
    d->cache_used.known = true;
    return d->cache_used.bytes;
}

static void measure_fetches(struct rv_agent_daemon *d, struct rv_metrics *m) {
    rv_metrics_counter(m, "containerizer/fetcher/task_fetches_succeeded",
                       "Containers for which all URIs were fetched", (double)d->fetches_succeeded);
    rv_metrics_counter(m, "containerizer/fetcher/task_fetches_failed",
                       "Containers that failed for want of a URI", (double)d->fetches_failed);
    rv_metrics_gauge(m, "containerizer/fetcher/cache_size_total_bytes",
                     "Bytes that the cache of fetched files may hold",
                     (double)d->flags->fetcher_cache_size);
    rv_metrics_gauge(m, "containerizer/fetcher/cache_size_used_bytes", "Bytes that it holds",
                     (double)cache_used(d));
}

void rv_agent_view_measure(void *ctx, struct rv_metrics *m) {
    struct rv_agent_daemon *d = ctx;
    const struct rv_agent *a = d->core;
    const struct rv_remover_counters removals = rv_remover_counters(d->remover);

    rv_metrics_gauge(m, "slave/uptime_secs", "Seconds since the start",
                     (double)(rv_wall_ns() - d->started_ns) / 1e9);
    rv_metrics_gauge(m, "slave/registered", "1 if registered with a master",
                     a->link == RV_LINK_REGISTERED);
    rv_metrics_gauge(m, "slave/executor_directory_max_allowed_age_secs",
                     "Seconds for which a sandbox is kept after its end",
                     (double)a->gc_max_age_ms / 1e3);
    rv_metrics_gauge(m, "gc/path_removals_pending", "Sandboxes that wait for their removal",
                     (double)rv_map_count(&a->garbage) + (double)removals.waiting);
    rv_metrics_counter(m, "gc/path_removals_succeeded", "Sandboxes that were removed",
                       (double)removals.succeeded);
    rv_metrics_counter(m, "gc/path_removals_failed", "Sandboxes that could not be removed",
                       (double)removals.failed);
    if (!a->recovering)
        rv_metrics_gauge(m, "slave/recovery_time_secs",
                         "Seconds until what an earlier agent left was found again",
                         (double)(a->recovered_ms - a->began_ms) / 1e3);
    measure_resources(a, m);
    measure_executors(a, m);
    measure_counters(a, m);
    rv_metrics_gauge(
        m, rv_arena_printf(&m->arena, "containerizer/%s/containers", d->containerizer->ops->name),
        "Containers that run or are about to", (double)rv_map_count(&a->containers));
    rv_metrics_counter(m, "containerizer/mesos/container_destroy_errors",
                       "Containers of which something is left that cannot be removed",
                       (double)d->containerizer->destroy_errors);
    measure_fetches(d, m);
    measure_http(d, m);
}

/* --- files --- */

static void attach_latest(const struct rv_agent_executor *ex, struct rv_files *out) {
    _cleanup_free_ char *name =
        rv_asprintf("/frameworks/%s/executors/%s/runs/latest", ex->framework->id.v, ex->info.id.v);

    rv_files_attach(out, name, ex->directory);
}

void rv_agent_view_files(const struct rv_agent_daemon *d, const char *path, struct rv_files *out) {
    _cleanup_free_ char *sandboxes = rv_asprintf("%s/slaves", d->work_dir);
    struct rv_arena arena;

    rv_files_attach(out, sandboxes, sandboxes);
    if (!path || !rv_starts_with(path, "/frameworks/"))
        return;
    rv_arena_init(&arena);
    struct rv_agent_executors old = rv_agent_view_executors(d->core, RV_WHICH_COMPLETED, &arena),
                              now = rv_agent_view_executors(d->core, RV_WHICH_PRESENT, &arena);
    for (size_t i = 0; i < old.n; i++)
        attach_latest(old.v[i], out);
    for (size_t i = 0; i < now.n; i++)
        attach_latest(now.v[i], out);
    rv_arena_free(&arena);
}

void rv_agent_view_common(struct rv_agent_daemon *d, const struct rv_files *files,
                          struct rv_common *out) {
    *out = (struct rv_common){.shell = &d->shell,
                              .table = &rv_agent_flag_table,
                              .flags = d->flags,
                              .files = files,
                              .measure = rv_agent_view_measure,
                              .ctx = d};
}
