/*
 * The master's metrics under the names that collectors know (monitoring.md), from the core's
 * counters and records. What is not counted is left out.
 */
#include "daemon/master_metrics.h"

#include <ctype.h>
#include <stdio.h>

#include "base/fixed.h"
#include "io/http_server.h"

/* name, counter of the core, help */
#define COUNTERS(X)                                                                                \
    X("slave_registrations", agent_registrations, "Agents that registered")                        \
    X("slave_reregistrations", agent_reregistrations, "Agents that came back")                     \
    X("slave_removals", agent_removals, "Agents that were removed")                                \
    X("slave_removals/reason_unhealthy", removals_unhealthy,                                       \
      "Agents that were removed because they did not answer pings")                                \
    X("slave_removals/reason_unregistered", removals_unregistered,                                 \
      "Agents that were removed because they unregistered")                                        \
    X("slave_removals/reason_registered", removals_registered,                                     \
      "Agents that were removed because another registered at their address")                      \
    X("recovery_slave_removals", removals_recovery,                                                \
      "Agents that did not come back in time after a failover")                                    \
    X("slave_unreachable_scheduled", unreachable_scheduled,                                        \
      "Agents that were to become unreachable")                                                    \
    X("slave_unreachable_canceled", unreachable_canceled,                                          \
      "Agents that were to become unreachable and came back before")                               \
    X("slave_unreachable_completed", agent_unreachable, "Agents that became unreachable")          \
    X("tasks_finished", tasks_finished, "Tasks that finished")                                     \
    X("tasks_failed", tasks_failed, "Tasks that failed")                                           \
    X("tasks_killed", tasks_killed, "Tasks that were killed")                                      \
    X("tasks_lost", tasks_lost, "Tasks that were lost")                                            \
    X("tasks_error", tasks_error, "Tasks that were not valid")                                     \
    X("tasks_dropped", tasks_dropped, "Tasks that were never started")                             \
    X("tasks_gone", tasks_gone, "Tasks that are gone with their agent")                            \
    X("tasks_gone_by_operator", tasks_gone_by_operator, "Tasks of agents marked gone")             \
    X("messages_register_framework", messages_subscribe, "SUBSCRIBE calls of new frameworks")      \
    X("messages_reregister_framework", messages_resubscribe, "SUBSCRIBE calls of known ones")      \
    X("messages_unregister_framework", messages_teardown, "TEARDOWN calls")                        \
    X("messages_launch_tasks", messages_accept, "ACCEPT calls")                                    \
    X("messages_decline_offers", messages_decline, "DECLINE calls")                                \
    X("messages_revive_offers", messages_revive, "REVIVE calls")                                   \
    X("messages_suppress_offers", messages_suppress, "SUPPRESS calls")                             \
    X("messages_kill_task", messages_kill_task, "KILL calls")                                      \
    X("messages_shutdown", messages_shutdown, "SHUTDOWN calls")                                    \
    X("messages_status_update_acknowledgement", messages_acknowledge, "ACKNOWLEDGE calls")         \
    X("messages_reconcile_tasks", messages_reconcile, "RECONCILE calls")                           \
    X("messages_reconcile_operations", messages_reconcile_operations,                              \
      "RECONCILE_OPERATIONS calls")                                                                \
    X("messages_operation_status_update_acknowledgement", messages_acknowledge_operation,          \
      "ACKNOWLEDGE_OPERATION_STATUS calls")                                                        \
    X("messages_resource_request", messages_request, "REQUEST calls")                              \
    X("messages_update_framework", messages_update_framework, "UPDATE_FRAMEWORK calls")            \
    X("messages_framework_to_executor", messages_message, "MESSAGE calls of schedulers")           \
    X("messages_executor_to_framework", messages_executor_to_framework, "Messages of executors")   \
    X("messages_register_slave", messages_register_agent, "Registrations that agents asked for")   \
    X("messages_reregister_slave", messages_reregister_agent,                                      \
      "Registrations that known agents asked for")                                                 \
    X("messages_update_slave", messages_update_agent, "Changes of their totals that agents told")  \
    X("messages_unregister_slave", messages_unregister_agent, "Agents that said farewell")         \
    X("messages_status_update", messages_status_update, "Status updates of agents")                \
    X("messages_operation_status_update", messages_operation_status_update,                        \
      "Updates of operations")                                                                     \
    X("messages_exited_executor", messages_exited_executor, "Ends of executors that agents told")  \
    X("valid_status_updates", valid_status_updates, "Status updates of known tasks")               \
    X("invalid_status_updates", invalid_status_updates, "Status updates of others")                \
    X("valid_status_update_acknowledgements", valid_acknowledgements,                              \
      "Acknowledgements that were passed on")                                                      \
    X("invalid_status_update_acknowledgements", invalid_acknowledgements,                          \
      "Acknowledgements that were refused")                                                        \
    X("valid_operation_status_update_acknowledgements", valid_operation_acknowledgements,          \
      "Acknowledgements of operations that were passed on")                                        \
    X("invalid_operation_status_update_acknowledgements", invalid_operation_acknowledgements,      \
      "Acknowledgements of operations that were refused")                                          \
    X("valid_framework_to_executor_messages", valid_framework_messages,                            \
      "Messages of schedulers that were passed on")                                                \
    X("invalid_framework_to_executor_messages", invalid_framework_messages,                        \
      "Messages of schedulers that were refused")                                                  \
    X("valid_executor_to_framework_messages", valid_executor_messages,                             \
      "Messages of executors that were passed on")                                                 \
    X("invalid_executor_to_framework_messages", invalid_executor_messages,                         \
      "Messages of executors whose framework is not there")                                        \
    X("dropped_messages", dropped_messages, "Calls and messages that were dropped")                \
    X("offers_sent", offers_made, "Offers that were made")                                         \
    X("offers_accepted", offers_accepted, "Offers that were accepted")                             \
    X("offers_declined", offers_declined, "Offers that were declined")                             \
    X("offers_rescinded", offers_rescinded, "Offers that were taken back")

static void measure_counters(const struct rv_master_counters *c, struct rv_metrics *m) {
#define X(name, counter, help) rv_metrics_counter(m, "master/" name, help, (double)c->counter);
    COUNTERS(X)
#undef X
    rv_metrics_counter(m, "allocator/mesos/allocation_runs", "Passes of the allocator",
                       (double)c->allocation_runs);
}

/* As names of metrics have it: lower case, and agents by their older name. */
static const char *lower(struct rv_metrics *m, const char *name) {
    char *out = rv_arena_strdup(&m->arena, name), *agent;

    for (char *c = out; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    while ((agent = strstr(out, "agent")))
        memcpy(agent, "slave", 5);
    return out;
}

static void measure_ends(const struct rv_master *master, struct rv_metrics *m) {
    for (int state = 0; state < RV_TASK_STATE_MAX; state++)
        for (int source = 0; source < RV_SOURCE_MAX; source++)
            for (int reason = 0; reason < RV_REASON_MAX; reason++) {
                uint64_t n = master->ends[state][source][reason];

                if (n)
                    rv_metrics_counter(m,
                                       rv_arena_printf(&m->arena, "master/%s/%s/%s",
                                                       lower(m, rv_task_state_name(state)),
                                                       lower(m, rv_source_name(source)),
                                                       lower(m, rv_reason_name(reason))),
                                       NULL, (double)n);
            }
}

/* --- frameworks and tasks --- */

struct states {
    size_t of[RV_TASK_STATE_MAX];
};

static const struct {
    enum rv_task_state state;
    const char *name;
} shown_active[] =
    {
        {RV_TASK_STAGING, "task_staging"},         {RV_TASK_STARTING, "task_starting"},
        {RV_TASK_RUNNING, "task_running"},         {RV_TASK_KILLING, "task_killing"},
        {RV_TASK_UNREACHABLE, "task_unreachable"},
},
  shown_terminal[] = {
      {RV_TASK_FINISHED, "task_finished"}, {RV_TASK_FAILED, "task_failed"},
      {RV_TASK_KILLED, "task_killed"},     {RV_TASK_LOST, "task_lost"},
      {RV_TASK_ERROR, "task_error"},       {RV_TASK_DROPPED, "task_dropped"},
      {RV_TASK_GONE, "task_gone"},         {RV_TASK_GONE_BY_OPERATOR, "task_gone_by_operator"},
};

static void count_states(const struct rv_master_framework *f, struct states *out) {
    void *v;

    *out = (struct states){0};
    for (size_t it = 0; rv_map_next(&f->tasks, &it, NULL, &v);)
        out->of[((const struct rv_master_task *)v)->state]++;
    out->of[RV_TASK_UNREACHABLE] += rv_map_count(&f->unreachable);
}

struct type {
    int number;
    const char *name;
};
#define X(name, number) {number, #name},
static const struct type calls[] = {RV_SCHEDULER_CALLS(X)};
static const struct type events[] = {RV_SCHEDULER_EVENTS(X)};
#undef X

#define OF(name, counter, value)                                                                   \
    rv_metrics_of(m, base, "master/framework", "framework", f->id.v, name, counter, (double)(value))

static void measure_types(const struct rv_master_framework *f, const char *base, const char *what,
                          const struct type *types, size_t n, const uint64_t *counts,
                          struct rv_metrics *m) {
    uint64_t all = 0;

    for (size_t i = 0; i < n; i++) {
        all += counts[types[i].number];
        if (types[i].number != 0) /* UNKNOWN */
            OF(rv_arena_printf(&m->arena, "%s/%s", what, lower(m, types[i].name)), true,
               counts[types[i].number]);
    }
    OF(what, true, all);
}

/* What it has said and was told. */
static void measure_talk(const struct rv_master_framework *f, const char *base,
                         struct rv_metrics *m) {
    measure_types(f, base, "calls", calls, RV_COUNT(calls), f->calls, m);
    measure_types(f, base, "events", events, RV_COUNT(events), f->events, m);
    OF("offers/sent", true, f->offers_sent);
    OF("offers/accepted", true, f->offers_accepted);
    OF("offers/declined", true, f->offers_declined);
    OF("offers/rescinded", true, f->offers_rescinded);
}

static void measure_framework(const struct rv_master *master, struct rv_master_framework *f,
                              const struct states *states, struct rv_metrics *m) {
    const char *base =
        rv_arena_printf(&m->arena, "master/frameworks/%s/%s",
                        rv_metrics_encoded(m, f->info.name ? f->info.name : ""), f->id.v);
    char what[64];

    OF("subscribed", false, f->connected);
    measure_talk(f, base, m);
    for (size_t i = 0; i < f->info.n_roles; i++) {
        const char *role = f->info.roles[i];

        OF(rv_arena_printf(&m->arena, "roles/%s/suppressed", rv_metrics_encoded(m, role)), false,
           rv_allocator_is_suppressed(master->allocator, f, role));
        rv_metrics_of_two(m, "master/framework/suppressed", "role", role);
    }
    for (size_t i = 0; i < RV_COUNT(shown_active); i++) {
        snprintf(what, sizeof what, "tasks/active/%s", shown_active[i].name);
        OF(what, false, states->of[shown_active[i].state]);
    }
    for (size_t i = 0; i < RV_COUNT(shown_terminal); i++) {
        snprintf(what, sizeof what, "tasks/terminal/%s", shown_terminal[i].name);
        OF(what, true, f->count_states[shown_terminal[i].state]);
    }
}
#undef OF

static void measure_frameworks(const struct rv_master *master, bool each, struct rv_metrics *m) {
    static const struct {
        enum rv_task_state state;
        const char *name, *help;
    } gauges[] = {
        {RV_TASK_STAGING, "master/tasks_staging", "Tasks that were sent to their agents"},
        {RV_TASK_STARTING, "master/tasks_starting", "Tasks that start"},
        {RV_TASK_RUNNING, "master/tasks_running", "Tasks that run"},
        {RV_TASK_KILLING, "master/tasks_killing", "Tasks that are being killed"},
        {RV_TASK_UNREACHABLE, "master/tasks_unreachable", "Tasks on agents out of reach"},
    };
    size_t active = 0, connected = 0, n = rv_map_count(&master->frameworks);
    struct states all = {0}, states;
    void *v;

    for (size_t it = 0; rv_map_next(&master->frameworks, &it, NULL, &v);) {
        struct rv_master_framework *f = v;
        active += f->active;
        connected += f->connected;
        count_states(f, &states);
        for (size_t i = 0; i < RV_COUNT(all.of); i++)
            all.of[i] += states.of[i];
        if (each)
            measure_framework(master, f, &states, m);
    }
    for (size_t i = 0; i < RV_COUNT(gauges); i++)
        rv_metrics_gauge(m, gauges[i].name, gauges[i].help, (double)all.of[gauges[i].state]);
    rv_metrics_gauge(m, "master/frameworks_active", "Frameworks that take offers", (double)active);
    rv_metrics_gauge(m, "master/frameworks_inactive", "Frameworks that take no offers",
                     (double)(n - active));
    rv_metrics_gauge(m, "master/frameworks_connected", "Frameworks with a stream",
                     (double)connected);
    rv_metrics_gauge(m, "master/frameworks_disconnected", "Frameworks without a stream",
                     (double)(n - connected));
    rv_metrics_gauge(m, "master/outstanding_offers", "Offers that are held",
                     (double)rv_map_count(&master->offers));
}

/* --- agents and resources --- */

/* Thousandths: revocable ones apart. */
struct amounts {
    int64_t plain, revocable;
};

static void add_amounts(const struct rv_resources *r, const char *name, struct amounts *out) {
    for (size_t i = 0; i < r->n; i++) {
        const struct rv_kind *kind = r->v[i].kind;
        if (kind->type != RV_SCALAR || !rv_streq(kind->name, name))
            continue;
        if (kind->revocable)
            out->revocable += r->v[i].scalar;
        else
            out->plain += r->v[i].scalar;
    }
}

static void put_amount(struct rv_metrics *m, const char *name, const char *suffix, int64_t total,
                       int64_t used) {
#define NAME(what) rv_arena_printf(&m->arena, "master/%s%s_" what, name, suffix)
    rv_metrics_gauge(m, NAME("total"), NULL, (double)total / 1000);
    rv_metrics_gauge(m, NAME("used"), NULL, (double)used / 1000);
    rv_metrics_gauge(m, NAME("percent"), NULL, total ? (double)used / (double)total : 0);
#undef NAME
}

static void measure_resource(const struct rv_master *master, const char *name,
                             struct rv_metrics *m) {
    struct amounts total = {0}, used = {0}, offered = {0};
    void *v;

    for (size_t it = 0; rv_map_next(&master->agents, &it, NULL, &v);) {
        const struct rv_master_agent *a = v;
        add_amounts(&a->total, name, &total);
        add_amounts(&a->used, name, &used);
        add_amounts(&a->offered, name, &offered);
    }
    put_amount(m, name, "", total.plain, used.plain);
    put_amount(m, name, "_revocable", total.revocable, used.revocable);
    rv_metrics_gauge(m, rv_arena_printf(&m->arena, "allocator/mesos/resources/%s/total", name),
                     NULL, (double)(total.plain + total.revocable) / 1000);
    rv_metrics_gauge(
        m, rv_arena_printf(&m->arena, "allocator/mesos/resources/%s/offered_or_allocated", name),
        NULL, (double)(used.plain + used.revocable + offered.plain + offered.revocable) / 1000);
}

static void measure_agents(const struct rv_master *master, struct rv_metrics *m) {
    static const char *const names[] = {"cpus", "gpus", "mem", "disk"};
    size_t active = 0, connected = 0, n = rv_map_count(&master->agents);
    void *v;

    for (size_t it = 0; rv_map_next(&master->agents, &it, NULL, &v);) {
        const struct rv_master_agent *a = v;
        active += a->active;
        connected += a->connected;
    }
    rv_metrics_gauge(m, "master/slaves_active", "Agents whose resources are offered",
                     (double)active);
    rv_metrics_gauge(m, "master/slaves_inactive", "Agents whose resources are not offered",
                     (double)(n - active));
    rv_metrics_gauge(m, "master/slaves_connected", "Agents with a stream", (double)connected);
    rv_metrics_gauge(m, "master/slaves_disconnected", "Agents without a stream",
                     (double)(n - connected));
    rv_metrics_gauge(m, "master/slaves_unreachable", "Agents that are out of reach",
                     (double)rv_map_count(&master->unreachable));
    for (size_t i = 0; i < RV_COUNT(names); i++)
        measure_resource(master, names[i], m);
}

static void put_quota(struct rv_metrics *m, const char *role, const char *name, const char *what,
                      int64_t amount) {
    const char *base = rv_arena_printf(&m->arena, "allocator/mesos/quota/roles/%s/resources/%s",
                                       rv_metrics_encoded(m, role), rv_metrics_encoded(m, name));

    rv_metrics_gauge(m, rv_arena_printf(&m->arena, "%s/%s", base, what), NULL,
                     rv_fixed_to_double(amount));
}

static void measure_quota(const struct rv_master *master, struct rv_metrics *m) {
    void *v;

    for (size_t it = 0; rv_map_next(&master->quotas, &it, NULL, &v);) {
        const struct rv_quota *q = v;

        for (size_t i = 0; i < q->guarantees.n; i++) {
            const struct rv_quantity *g = &q->guarantees.v[i];

            put_quota(m, q->role, g->name, "guarantee", g->amount);
            put_quota(m, q->role, g->name, "offered_or_allocated",
                      rv_allocator_quota_consumed(master->allocator, q->role, g->name));
        }
        for (size_t i = 0; i < q->limits.n; i++)
            put_quota(m, q->role, q->limits.v[i].name, "limit", q->limits.v[i].amount);
    }
}

/* --- operations --- */

struct operations {
    size_t all, pending;
    uint64_t ended[RV_OPERATION_STATE_MAX];
};

/* of: "reserve/", or "" of all. */
static void put_operations(struct rv_metrics *m, const char *of, const struct operations *n) {
    static const struct {
        enum rv_operation_state state;
        const char *name;
    } ends[] = {
        {RV_OPERATION_FINISHED, "finished"},
        {RV_OPERATION_FAILED, "failed"},
        {RV_OPERATION_ERROR, "error"},
        {RV_OPERATION_DROPPED, "dropped"},
        {RV_OPERATION_GONE_BY_OPERATOR, "gone_by_operator"},
    };

#define NAME(what) rv_arena_printf(&m->arena, "master/operations/%s%s", of, what)
    rv_metrics_gauge(m, NAME("total"), "Operations that are under way, or not acknowledged",
                     (double)n->all);
    rv_metrics_gauge(m, NAME("pending"), "Operations that agents have not ended yet",
                     (double)n->pending);
    for (size_t i = 0; i < RV_COUNT(ends); i++)
        rv_metrics_counter(m, NAME(ends[i].name), "Operations that ended so",
                           (double)n->ended[ends[i].state]);
#undef NAME
}

static void measure_operations(const struct rv_master *master, struct rv_metrics *m) {
    static const struct {
        enum rv_operation_type type;
        const char *name;
    } shown[] = {
        {RV_OP_RESERVE, "reserve/"},         {RV_OP_UNRESERVE, "unreserve/"},
        {RV_OP_CREATE, "create/"},           {RV_OP_DESTROY, "destroy/"},
        {RV_OP_GROW_VOLUME, "grow_volume/"}, {RV_OP_SHRINK_VOLUME, "shrink_volume/"},
        {RV_OP_CREATE_DISK, "create_disk/"}, {RV_OP_DESTROY_DISK, "destroy_disk/"},
    };
    struct operations all = {0}, of[RV_OP_MAX] = {0};
    void *v;

    for (size_t it = 0; rv_map_next(&master->operations, &it, NULL, &v);) {
        const struct rv_master_operation *o = v;
        struct operations *one = &of[o->operation.type];

        one->all++;
        one->pending += o->state == RV_OPERATION_PENDING;
    }
    for (size_t i = 0; i < RV_COUNT(shown); i++) {
        struct operations *one = &of[shown[i].type];

        for (size_t k = 0; k < RV_OPERATION_STATE_MAX; k++)
            all.ended[k] += one->ended[k] = master->counters.operations[shown[i].type][k];
        all.all += one->all;
        all.pending += one->pending;
        put_operations(m, shown[i].name, one);
    }
    put_operations(m, "", &all);
}

/* Of the roles that frameworks have. */
static void measure_roles(const struct rv_master *master, struct rv_metrics *m) {
    const struct rv_allocator *a = master->allocator;
    struct rv_map roles = {0};
    struct rv_str key;
    void *v;

    for (size_t it = 0; rv_map_next(&master->frameworks, &it, NULL, &v);) {
        const struct rv_master_framework *f = v;

        for (size_t i = 0; i < f->info.n_roles; i++)
            rv_map_put(&roles, rv_str(f->info.roles[i]), f->info.roles[i]);
    }
    for (size_t it = 0; rv_map_next(&roles, &it, &key, &v);) {
        const char *role = v, *name = rv_metrics_encoded(m, role);

        rv_metrics_of(m, rv_arena_printf(&m->arena, "allocator/mesos/roles/%s", name),
                      "allocator/mesos/role", "role", role, "shares/dominant", false,
                      (double)rv_allocator_role_share_ppm(a, role) / 1e6);
        rv_metrics_of(m, rv_arena_printf(&m->arena, "allocator/mesos/offer_filters/roles/%s", name),
                      "allocator/mesos/offer_filters/role", "role", role, "active", false,
                      (double)rv_allocator_role_filters(a, role));
    }
    rv_map_free(&roles);
}

/* How long passes of the allocator and the registry take. */
static void measure_times(const struct rv_master_daemon *d, struct rv_metrics *m) {
    rv_timing_measure(&d->times.passes, "allocator/mesos/allocation_run_ms",
                      "Time that the last pass of the allocator took", m);
    rv_timing_measure(&d->times.passes_waited, "allocator/mesos/allocation_run_latency_ms",
                      "Time from when the last pass was asked for until it began", m);
    rv_timing_measure(&d->times.stores, "registrar/state_store_ms",
                      "Time until the last change was stored", m);
    if (d->times.fetched_ns)
        rv_metrics_gauge(m, "registrar/state_fetch_ms", "Time to read the registry",
                         (double)(d->times.fetched_ns - d->times.fetch_began_ns) / 1e6);
}

/* What only a leader has. */
static void measure_core(const struct rv_master_daemon *d, struct rv_metrics *m) {
    measure_counters(&d->core->counters, m);
    measure_ends(d->core, m);
    measure_frameworks(d->core, d->flags->publish_per_framework_metrics, m);
    measure_roles(d->core, m);
    measure_times(d, m);
    measure_agents(d->core, m);
    measure_quota(d->core, m);
    measure_operations(d->core, m);
    rv_metrics_gauge(m, "master/operator_event_stream_subscribers", "Operators that are subscribed",
                     (double)rv_map_count(&d->operators));
    rv_metrics_gauge(m, "registrar/queued_operations", "Changes that the registry has not stored",
                     (double)rv_map_count(&d->core->pending));
    rv_metrics_gauge(m, "allocator/mesos/offer_filters", "Filters that keep offers back",
                     (double)rv_allocator_filters(d->core->allocator));
}

#define MANY_FRAMEWORKS 100 /* each takes 50 to 100 us */

bool rv_master_has_many_metrics(const struct rv_master_daemon *d) {
    return d->core && d->flags->publish_per_framework_metrics &&
           rv_map_count(&d->core->frameworks) > MANY_FRAMEWORKS;
}

void rv_master_measure(void *ctx, struct rv_metrics *m) {
    const struct rv_master_daemon *d = ctx;
    struct rv_http_counters http = rv_http_server_counters(d->shell.server);

    rv_metrics_gauge(m, "master/uptime_secs", "Seconds since the start",
                     (double)((rv_wall_ns() - d->started_ns) / 1000) / 1e6);
    rv_metrics_gauge(m, "master/elected", "Whether this master leads", rv_master_leads(d));
    if (rv_master_leads(d))
        measure_core(d, m);
    /* What waits are requests of agents; everything else is answered as it comes. */
    rv_metrics_gauge(m, "master/event_queue_http_requests", "Requests that wait for their turn",
                     (double)rv_map_count(&d->waiting));
    rv_metrics_gauge(m, "master/agents_waiting", "Registrations that wait for their turn",
                     (double)rv_map_count(&d->waiting));
    rv_metrics_counter(m, "master/agents_turned_away",
                       "Registrations that were refused because too many wait",
                       (double)d->turned_away);
    rv_metrics_counter(m, "http/requests", "Requests so far", (double)http.requests);
    rv_metrics_counter(m, "http/bad_requests", "Requests that were refused",
                       (double)(http.rejected + d->shell.bad_requests));
    rv_metrics_counter(m, "http/streams_cut", "Streams cut off because their reader is slow",
                       (double)http.streams_cut);
    rv_metrics_gauge(m, "http/connections", "Connections that are open", (double)http.connections);
}
