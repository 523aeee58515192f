/*
 * The link to the master: when to register, what to tell, and what its events mean.
 *
 * What always holds: a try is planned (the timer) while REGISTERING; a ping is awaited while
 * REGISTERED; nothing a master says counts while none is known (INV-3). Tries back off by doubling
 * with jitter to a maximum (INV-21), so that a new leader is not met by all agents at once. A try
 * that has reached a master is left to wait there: a leader that has many agents to take in would
 * only have more to do if they asked again. Tasks go on without a master, their updates are kept
 * (INV-6).
 */
#include "agent/internal.h"

/* Without any outcome for so long a try is given up: its master is frozen. */
#define PATIENCE_MS 30000

/* --- when --- */

/* The first try after a change comes soon, but not from all agents at once. */
static void plan_soon(struct rv_agent *a, int64_t within_ms) {
    int64_t delay_ms = (int64_t)rv_prng_below(&a->prng, (uint64_t)within_ms + 1);
    rv_timer_set(&a->timers, &a->registration, a->now_ms + delay_ms);
}

void rv_agent_unlink(struct rv_agent *a, enum rv_agent_link link) {
    if (a->link == RV_LINK_STOPPED) {
        return;
    }
    if (a->link != RV_LINK_NONE) {
        rv_agent_emit(a, RV_AGENT_DISCONNECT_MASTER);
    }
    a->link = link;
    a->retry_after_ms = 0;
    rv_timer_cancel(&a->timers, &a->registration);
    rv_timer_cancel(&a->timers, &a->ping);
    rv_agent_updates_pause(a);
    rv_agent_operations_pause(a);
}

void rv_agent_master_found(struct rv_agent *a) {
    if (a->link == RV_LINK_STOPPED || a->config.cleanup) {
        return;
    }
    a->master_known = true;
    if (a->recovering) {
        return; /* INV-18: executors first */
    }
    rv_agent_unlink(a, RV_LINK_REGISTERING);
    a->backoff_ms = a->config.registration_backoff_ms;
    plan_soon(a, RV_MIN(a->backoff_ms, INT64_C(100)));
}

void rv_agent_master_none(struct rv_agent *a) {
    a->master_known = false;
    rv_agent_unlink(a, RV_LINK_NONE);
}

/* The stream ended or was never there. While the next try is planned already that one will do. */
void rv_agent_master_lost(struct rv_agent *a) {
    if (a->link == RV_LINK_REGISTERED) {
        rv_agent_log(a, RV_LOG_WARNING, "lost the master, registering again");
        rv_agent_unlink(a, RV_LINK_REGISTERING);
        plan_soon(a, a->backoff_ms);
    } else if (a->link == RV_LINK_REGISTERING && a->retry_after_ms) {
        rv_timer_set(&a->timers, &a->registration, a->now_ms + a->retry_after_ms);
        a->retry_after_ms = 0;
    }
}

void rv_agent_master_refused(struct rv_agent *a, int status) {
    if (a->link == RV_LINK_NONE || a->link == RV_LINK_STOPPED) {
        return;
    }
    rv_agent_log(a, RV_LOG_WARNING, "the master refused a call: status %d", status);
    a->refused = true;
    rv_agent_master_lost(a);
}

void rv_agent_ping_due(struct rv_agent *a) {
    if (a->link == RV_LINK_REGISTERED) {
        rv_agent_log(a, RV_LOG_WARNING, "no ping from the master for %lld ms, registering again",
                     (long long)a->ping_timeout_ms);
        rv_agent_unlink(a, RV_LINK_REGISTERING);
        plan_soon(a, a->backoff_ms);
    }
}

/* --- what --- */

/* What is not durable is not told: INV-35. */
static void view_task(struct rv_agent *a, const struct rv_agent_task *t,
                      struct rv_task_view *view) {
    struct rv_task_info bare = t->info;
    const struct rv_agent_update *first = t->updates.n ? &t->updates.v[0] : NULL;
    const struct rv_task_status *latest = rv_agent_durable_status(t);

    bare.executor = NULL;
    view->framework_id.v = rv_agent_hold_string(a, t->executor->framework->id.v);
    view->executor_id.v = rv_agent_hold_string(a, t->executor->info.id.v);
    view->command = t->executor->command;
    view->info = rv_agent_hold_task(a, &bare);
    view->state = t->durable_state;
    if (latest) {
        view->status = rv_agent_hold_status(a, latest);
    }
    /* One whose acknowledgement is being written waits for nothing that the master could do. */
    if (first && first->durable && !t->acknowledging) {
        view->update_state = first->status.state;
        view->has_update_uuid = first->status.has_uuid;
        memcpy(view->update_uuid, first->status.uuid, sizeof view->update_uuid);
    }
}

static void view_framework(struct rv_agent *a, const struct rv_agent_framework *fw,
                           struct rv_agent_call *c) {
    struct rv_agent_executor *ex;
    struct rv_agent_task *t;

    c->registration.frameworks[c->registration.n_frameworks++] =
        *rv_agent_hold_framework(a, &fw->info);
    for (size_t i = 0; rv_map_next(&fw->executors, &i, NULL, (void **)&ex);) {
        if (!ex->command && ex->state != RV_EXECUTOR_TERMINATED) {
            struct rv_executor_view *view =
                &c->registration.executors[c->registration.n_executors++];
            view->framework_id.v = rv_agent_hold_string(a, fw->id.v);
            view->info = rv_agent_hold_executor(a, &ex->info);
        }
    }
    for (size_t i = 0; rv_map_next(&fw->tasks, &i, NULL, (void **)&t);) {
        view_task(a, t, &c->registration.tasks[c->registration.n_tasks++]);
    }
}

/* All that there is, so that a master that knows nothing knows it after (INV-7). */
static void view_all(struct rv_agent *a, struct rv_agent_call *c) {
    struct rv_arena *arena = &a->out->arena;
    size_t n_tasks = 0, n_executors = 0, n_frameworks = rv_map_count(&a->frameworks);
    struct rv_agent_framework *fw;

    for (size_t i = 0; rv_map_next(&a->frameworks, &i, NULL, (void **)&fw);) {
        n_tasks += rv_map_count(&fw->tasks);
        n_executors += rv_map_count(&fw->executors);
    }
    c->registration.tasks = RV_ARENA_ARRAY(arena, struct rv_task_view, n_tasks + 1);
    c->registration.executors = RV_ARENA_ARRAY(arena, struct rv_executor_view, n_executors + 1);
    c->registration.frameworks = RV_ARENA_ARRAY(arena, struct rv_framework_info, n_frameworks + 1);
    c->registration.completed_frameworks =
        RV_ARENA_ARRAY(arena, struct rv_framework_id, a->completed.n + 1);
    for (size_t i = 0; rv_map_next(&a->frameworks, &i, NULL, (void **)&fw);) {
        view_framework(a, fw, c);
    }
    for (size_t i = 0; i < a->completed.n; i++) {
        c->registration.completed_frameworks[i].v =
            rv_agent_hold_string(a, a->completed.v[i]->id.v);
    }
    c->registration.n_completed_frameworks = a->completed.n;
}

void rv_agent_registration_due(struct rv_agent *a) {
    enum rv_agent_call_type type = a->info.id.v ? RV_AGENT_CALL_REREGISTER : RV_AGENT_CALL_REGISTER;
    int64_t half_ms = RV_MAX(a->backoff_ms / 2, INT64_C(1));
    struct rv_agent_call *c;

    if (a->link != RV_LINK_REGISTERING) {
        return;
    }
    c = rv_agent_send_master(a, type);
    c->registration.info = rv_agent_hold_info(a, &a->info);
    c->registration.boot_id = rv_agent_hold_string(a, a->config.boot_id);
    c->registration.life = a->life;
    c->registration.attempt = ++a->attempt;
    view_all(a, c);
    rv_agent_operations_view(a, c);
    rv_agent_exits_clear(a);
    a->retry_after_ms = half_ms + (int64_t)rv_prng_below(&a->prng, (uint64_t)half_ms + 1);
    rv_timer_set(&a->timers, &a->registration, a->now_ms + PATIENCE_MS + a->retry_after_ms);
    a->backoff_ms = RV_MIN(a->backoff_ms > INT64_MAX / 2 ? INT64_MAX : a->backoff_ms * 2,
                           a->config.registration_backoff_max_ms);
}

/* --- events --- */

static void await_ping(struct rv_agent *a) {
    rv_timer_set(&a->timers, &a->ping, a->now_ms + a->ping_timeout_ms);
}

void rv_agent_write_own_info(struct rv_agent *a) {
    a->write = rv_agent_write_info(a);
    a->info_kept = RV_KEPT_WRITING;
}

/* The id is written before anything that is launched under it: see rv_agent_progress. */
static void registered(struct rv_agent *a, const struct rv_agent_event *e) {
    const char *id = e->registered.agent_id.v;

    if (a->link != RV_LINK_REGISTERING || rv_id_problem(id)) {
        return;
    }
    if (a->info.id.v && !rv_streq(a->info.id.v, id)) {
        rv_agent_log(a, RV_LOG_ERROR, "registered as %s, but this agent is %s", id, a->info.id.v);
        rv_agent_stop(a, true, 1, "the master gave this agent another id than it had");
        return;
    }
    if (a->info.id.v) {
        a->counters.reregistrations++;
    } else {
        a->counters.registrations++;
        a->info.id.v = rv_strdup(id);
    }
    if (a->info_kept == RV_KEPT_NO) {
        rv_agent_write_own_info(a);
    }
    a->link = RV_LINK_REGISTERED;
    a->retry_after_ms = 0;
    if (!a->refused) {
        a->backoff_ms = a->config.registration_backoff_ms;
    }
    a->ping_timeout_ms = e->registered.ping_timeout_ms > 0 ? e->registered.ping_timeout_ms
                                                           : RV_AGENT_PING_TIMEOUT_MS;
    rv_timer_cancel(&a->timers, &a->registration);
    await_ping(a);
    rv_agent_log(a, RV_LOG_INFO, "registered as %s", id);
    rv_agent_exits_resume(a);
    rv_agent_updates_resume(a);
    rv_agent_operations_resume(a);
}

void rv_agent_info_written(struct rv_agent *a, bool ok, const char *message) {
    struct rv_agent_framework *fw;
    struct rv_agent_executor *ex;

    a->info_kept = ok ? RV_KEPT_YES : RV_KEPT_NO;
    for (size_t i = 0; rv_map_next(&a->frameworks, &i, NULL, (void **)&fw);) {
        if (!ok && fw->info.checkpoint) {
            rv_agent_refuse_unstarted(a, fw, message);
            continue;
        }
        for (size_t j = 0; rv_map_next(&fw->executors, &j, NULL, (void **)&ex);) {
            rv_agent_progress(a, ex);
        }
    }
}

/* A disk that was full may have room again. */
static void ping(struct rv_agent *a) {
    rv_agent_send_master(a, RV_AGENT_CALL_PONG);
    await_ping(a);
    a->refused = false;
    a->backoff_ms = a->config.registration_backoff_ms;
    if (a->info_kept == RV_KEPT_NO) {
        rv_agent_write_own_info(a);
    }
}

void rv_agent_register_again(struct rv_agent *a, const char *why) {
    if (a->link != RV_LINK_REGISTERED && a->link != RV_LINK_REGISTERING) {
        return;
    }
    if (a->link == RV_LINK_REGISTERING && !a->retry_after_ms) {
        return; /* the next try is planned, and tells all */
    }
    rv_agent_log(a, RV_LOG_INFO, "registering again: %s", why ? why : "no reason given");
    rv_agent_unlink(a, RV_LINK_REGISTERING);
    plan_soon(a, a->backoff_ms);
}

static void event_when_registered(struct rv_agent *a, const struct rv_agent_event *e) {
    switch (e->type) {
    case RV_AGENT_EVENT_PING:
        ping(a);
        break;
    case RV_AGENT_EVENT_RUN_TASKS:
        if (a->info_kept == RV_KEPT_NO) {
            rv_agent_write_own_info(a);
        }
        rv_agent_run_tasks(a, e);
        break;
    case RV_AGENT_EVENT_KILL_TASK:
        rv_agent_kill_task(a, e);
        break;
    case RV_AGENT_EVENT_SHUTDOWN_EXECUTOR:
        rv_agent_shutdown_executor(a, e->shutdown_executor.framework_id.v,
                                   e->shutdown_executor.executor_id.v);
        break;
    case RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK:
        rv_agent_shutdown_framework(a, e->shutdown_framework.v);
        break;
    case RV_AGENT_EVENT_ACKNOWLEDGE:
        rv_agent_acknowledge(a, e->acknowledge.framework_id.v, e->acknowledge.task_id.v,
                             e->acknowledge.uuid);
        break;
    case RV_AGENT_EVENT_FRAMEWORK_MESSAGE:
        rv_agent_message_to_executor(a, e);
        break;
    case RV_AGENT_EVENT_UPDATE_FRAMEWORK:
        rv_agent_update_framework(a, e->framework);
        break;
    case RV_AGENT_EVENT_APPLY_OPERATION:
        rv_agent_apply_operation(a, e);
        break;
    case RV_AGENT_EVENT_ACKNOWLEDGE_OPERATION:
        rv_agent_acknowledge_operation(a, e->acknowledge_operation.operation,
                                       e->acknowledge_operation.uuid);
        break;
    case RV_AGENT_EVENT_RECONCILE_TASKS:
        rv_agent_reconcile(a, e);
        break;
    case RV_AGENT_EVENT_DRAIN:
        rv_agent_drain(a, &e->drain);
        break;
    case RV_AGENT_EVENT_REACTIVATE:
        rv_agent_drain_end(a);
        break;
    case RV_AGENT_EVENT_REGISTERED:
    case RV_AGENT_EVENT_SHUTDOWN:
    case RV_AGENT_EVENT_REREGISTER:
    case RV_AGENT_EVENT_MAX:
        break;
    }
}

void rv_agent_master_event(struct rv_agent *a, const struct rv_agent_event *e) {
    if (!a->master_known || a->link == RV_LINK_NONE || a->link == RV_LINK_STOPPED) {
        return; /* INV-3 */
    }
    switch (e->type) {
    case RV_AGENT_EVENT_REGISTERED:
        registered(a, e);
        break;
    case RV_AGENT_EVENT_SHUTDOWN:
        rv_agent_stop(a, true, 1, e->why ? e->why : "told by the master to shut down");
        break;
    case RV_AGENT_EVENT_REREGISTER:
        rv_agent_register_again(a, e->why);
        break;
    default:
        if (a->link == RV_LINK_REGISTERED) {
            event_when_registered(a, e);
        } else {
            rv_agent_log(a, RV_LOG_DEBUG, "event %d before registration: ignored", (int)e->type);
        }
        break;
    }
}
