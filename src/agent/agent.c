/*
 * The agent's core: its life, its dispatch of inputs and timers, the frameworks' records, and how
 * it ends. One step takes one input, then the timers that are due, then sweeps: what is over is
 * completed there and nowhere else, so that no record goes away under a function that uses it.
 *
 * The agent owns all records; a step costs what it changes, the sweep what was marked.
 */
#include "agent/internal.h"

struct rv_str rv_agent_number_key(const uint64_t *number) {
    return rv_strn(number, sizeof *number);
}

/* --- frameworks --- */

struct rv_agent_framework *rv_agent_framework_find(const struct rv_agent *a, const char *id) {
    return rv_map_gets(&a->frameworks, id);
}

struct rv_agent_framework *rv_agent_framework_make(struct rv_agent *a,
                                                   const struct rv_framework_info *info) {
    struct rv_agent_framework *fw = rv_map_gets(&a->frameworks, info->id.v);

    if (fw) {
        return fw;
    }
    for (size_t i = 0; i < a->completed.n; i++) {
        if (rv_streq(a->completed.v[i]->id.v, info->id.v)) {
            fw = a->completed.v[i];
            rv_vec_remove_at(&a->completed, i);
            break;
        }
    }
    if (fw) {
        rv_framework_info_free(&fw->info);
        fw->terminating = false;
    } else {
        fw = rv_calloc(1, sizeof *fw);
        fw->id.v = rv_strdup(info->id.v);
    }
    rv_framework_info_copy(&fw->info, info);
    fw->kept = info->checkpoint ? RV_KEPT_NO : RV_KEPT_YES;
    rv_map_put(&a->frameworks, rv_str(fw->id.v), fw);
    return fw;
}

struct rv_agent_framework *rv_agent_framework_free(struct rv_agent_framework *fw) {
    struct rv_agent_executor *ex;

    if (!fw) {
        return NULL;
    }
    for (size_t it = 0; rv_map_next(&fw->executors, &it, NULL, (void **)&ex);) {
        rv_agent_executor_free(ex);
    }
    for (size_t i = 0; i < fw->completed.n; i++) {
        rv_agent_executor_free(fw->completed.v[i]);
    }
    rv_vec_free(&fw->completed);
    rv_map_free(&fw->executors);
    rv_map_free(&fw->tasks);
    rv_framework_info_free(&fw->info);
    free((char *)(uintptr_t)fw->id.v);
    free(fw);
    return NULL;
}

void rv_agent_framework_complete(struct rv_agent *a, struct rv_agent_framework *fw) {
    rv_map_remove(&a->frameworks, rv_str(fw->id.v));
    if (a->completed.n == a->config.max_completed_frameworks) {
        rv_agent_framework_free(a->completed.v[0]);
        rv_vec_remove_at(&a->completed, 0);
    }
    rv_vec_push(&a->completed, fw);
}

/* --- the sweep --- */

void rv_agent_check_executor(struct rv_agent *a, struct rv_agent_executor *ex) {
    if (!ex->checked) {
        ex->checked = true;
        rv_vec_push(&a->check, ex);
    }
}

static void executor_complete(struct rv_agent *a, struct rv_agent_executor *ex) {
    struct rv_agent_framework *fw = ex->framework;

    if (ex->kept != RV_KEPT_NO && fw->info.checkpoint) {
        rv_agent_write_executor_done(a, ex);
    }
    rv_map_remove(&fw->executors, rv_str(ex->info.id.v));
    if (fw->completed.n == a->config.max_completed_executors) {
        rv_agent_executor_free(fw->completed.v[0]);
        rv_vec_remove_at(&fw->completed, 0);
    }
    rv_vec_push(&fw->completed, ex);
}

void rv_agent_sweep(struct rv_agent *a) {
    struct rv_agent_framework *fw;

    if (a->check.n == 0) {
        return;
    }
    for (size_t i = 0; i < a->check.n; i++) {
        struct rv_agent_executor *ex = a->check.v[i];

        ex->checked = false;
        rv_agent_drain_executor(a, ex);
        if (ex->state != RV_EXECUTOR_TERMINATED || rv_map_count(&ex->tasks)) {
            continue;
        }
        fw = ex->framework;
        executor_complete(a, ex);
        if (rv_map_count(&fw->executors) == 0 && !a->replaying) {
            rv_agent_framework_complete(a, fw);
        }
    }
    a->check.n = 0;
    if (rv_map_count(&a->frameworks) == 0) {
        rv_agent_drain_end(a);
    }
}

/* --- the end --- */

static bool has_containers(const struct rv_agent *a, bool survivors) {
    struct rv_agent_executor *ex;

    if (survivors && rv_map_count(&a->orphans)) {
        return true;
    }

    for (size_t it = 0; rv_map_next(&a->containers, &it, NULL, (void **)&ex);) {
        if (ex->started && (survivors || !ex->framework->info.checkpoint || ex->destroyed)) {
            return true;
        }
    }
    return false;
}

/* Where all has ended the next agent here shall not come back as this one: that is written first.
 * If it cannot be, the end cannot wait for it; the next agent will find no more than that all its
 * tasks are gone. */
static bool must_write_anew(struct rv_agent *a) {
    if (a->all_ends && !a->anew) {
        a->anew = rv_agent_write_anew(a);
    }
    return a->all_ends && !a->anew_done;
}

static void finish(struct rv_agent *a) {
    const char *why = rv_agent_hold_string(a, a->stop_message);
    struct rv_agent_effect *e;

    if (must_write_anew(a)) {
        return;
    }
    rv_timer_cancel(&a->timers, &a->stop);
    rv_timer_cancel(&a->timers, &a->registration);
    rv_timer_cancel(&a->timers, &a->ping);
    a->link = RV_LINK_STOPPED;
    rv_agent_updates_pause(a);
    rv_agent_operations_pause(a);
    e = rv_agent_emit(a, RV_AGENT_EXIT);
    e->status = a->stop_status;
    e->message = why;
}

/* Whether the next agent here finds something to tell: what nobody acknowledged yet. */
static bool has_news(const struct rv_agent *a) {
    struct rv_agent_framework *fw;

    if (rv_map_count(&a->operations)) {
        return true;
    }
    for (size_t i = 0; rv_map_next(&a->frameworks, &i, NULL, (void **)&fw);) {
        if (fw->info.checkpoint && rv_map_count(&fw->tasks)) {
            return true;
        }
    }
    return false;
}

void rv_agent_stop_check(struct rv_agent *a) {
    bool registered = a->link == RV_LINK_REGISTERED;

    if (!a->stopping || a->link == RV_LINK_STOPPED ||
        (!a->overdue && has_containers(a, a->all_ends))) {
        return;
    }
    if (registered && !a->unregistered && !a->all_ends && rv_map_count(&a->containers) == 0 &&
        !has_news(a)) {
        /* Nothing is left to come back to. The master hears it and ends the stream, or time does.
         */
        a->unregistered = true;
        rv_agent_send_master(a, RV_AGENT_CALL_UNREGISTER);
        rv_timer_set(&a->timers, &a->stop, a->now_ms + RV_AGENT_UNREGISTER_MS);
    } else if (!registered || !a->unregistered) {
        finish(a);
    }
}

/* The last moment has come: the containerizer is told once more, and the process ends. */
static void stop_due(struct rv_agent *a) {
    struct rv_agent_executor *ex;

    a->overdue = true;
    for (size_t it = 0; rv_map_next(&a->containers, &it, NULL, (void **)&ex);) {
        if (ex->started && ex->state == RV_EXECUTOR_TERMINATING) {
            rv_agent_destroy_container(a, ex);
        }
    }
    finish(a);
}

void rv_agent_stop(struct rv_agent *a, bool all_ends, int status, const char *why) {
    struct rv_agent_executor *ex;
    int64_t longest_ms = 0;

    if (a->stopping) {
        return;
    }
    a->stopping = true;
    a->all_ends = all_ends;
    a->stop_status = status;
    a->stop_message = rv_strdup(why);
    for (size_t it = 0; rv_map_next(&a->containers, &it, NULL, (void **)&ex);) {
        int64_t grace_ms = ex->info.shutdown_grace_ms >= 0 ? ex->info.shutdown_grace_ms
                                                           : a->config.executor_shutdown_grace_ms;
        if (all_ends) {
            rv_agent_executor_shutdown(a, ex);
            longest_ms = RV_MAX(longest_ms, RV_MIN(grace_ms, INT64_C(60000)));
        } else if (!ex->framework->info.checkpoint) {
            rv_agent_executor_destroy(a, ex, RV_REASON_NONE, NULL);
        }
    }
    rv_timer_set(&a->timers, &a->stop, a->now_ms + longest_ms + RV_AGENT_STOP_MS);
}

/* --- life --- */

static void set_default(int64_t *value, int64_t standard) {
    if (*value <= 0) {
        *value = standard;
    }
}

static void set_default_size(size_t *value, size_t standard) {
    if (*value == 0) {
        *value = standard;
    }
}

static void take_config(struct rv_agent *a, const struct rv_agent_config *config) {
    struct rv_agent_config *c = &a->config;

    *c = *config;
    c->lenient = c->lenient || c->cleanup;
    c->info = &a->info;
    c->work_dir = rv_strdup(config->work_dir ? config->work_dir : "/");
    c->boot_id = rv_strdup(config->boot_id);
    c->default_user = rv_strdup(config->default_user);
    c->containerizer = rv_strdup(config->containerizer);
    set_default(&c->registration_backoff_ms, 1000);
    set_default(&c->registration_backoff_max_ms, 60000);
    set_default(&c->executor_registration_ms, 60000);
    set_default(&c->executor_reregistration_ms, 2000);
    set_default(&c->executor_shutdown_grace_ms, 5000);
    set_default(&c->recovery_timeout_ms, 900000);
    set_default(&c->update_retry_ms, 10000);
    set_default(&c->update_retry_max_ms, 600000);
    set_default(&c->heartbeat_ms, 15000);
    set_default(&c->gc_delay_ms, INT64_C(604800000));
    c->gc_delay_ms = RV_MIN(c->gc_delay_ms, RV_AGENT_GC_DELAY_MAX_MS);
    set_default_size(&c->max_completed_frameworks, 50);
    set_default_size(&c->max_completed_executors, 150);
    set_default_size(&c->max_completed_tasks, 200);
    set_default_size(&c->max_statuses, 8);
}

struct rv_agent *rv_agent_new(const struct rv_agent_config *config,
                              const struct rv_agent_recovered *recovered, int64_t now_ms,
                              int64_t wall_ns, struct rv_agent_effects *out) {
    struct rv_agent *a = rv_calloc(1, sizeof *a);

    rv_agent_info_copy(&a->info, config->info);
    take_config(a, config);
    rv_prng_seed(&a->prng, config->seed);
    a->life = rv_prng_next(&a->prng) | 1;
    a->now_ms = a->began_ms = a->recovered_ms = now_ms;
    a->wall_ns = a->started_ns = wall_ns;
    a->registration.kind = RV_TIMER_REGISTRATION;
    a->ping.kind = RV_TIMER_PING;
    a->reconnect.kind = RV_TIMER_RECONNECT;
    a->stop.kind = RV_TIMER_STOP;
    a->backoff_ms = a->config.registration_backoff_ms;
    a->out = out;
    rv_agent_disk_seen(a, 0);
    rv_agent_total_recover(a, NULL);
    if (recovered) {
        rv_agent_recover(a, recovered);
        rv_agent_sweep(a);
        rv_agent_recovery_check(a);
        rv_agent_stop_check(a);
    }
    if (a->refusal) {
        rv_agent_effects_clear(out);
    }
    a->config.detected = NULL; /* the caller's */
    a->config.n_detected = 0;
    a->out = NULL;
    return a;
}

struct rv_agent *rv_agent_free(struct rv_agent *a) {
    struct rv_agent_framework *fw;

    if (!a) {
        return NULL;
    }
    rv_agent_operations_free(a);
    rv_agent_strays_clear(a); /* they let go of their timers, so before the others */
    for (size_t it = 0; rv_map_next(&a->frameworks, &it, NULL, (void **)&fw);) {
        rv_agent_framework_free(fw);
    }
    for (size_t i = 0; i < a->completed.n; i++) {
        rv_agent_framework_free(a->completed.v[i]);
    }
    rv_vec_free(&a->completed);
    rv_vec_free(&a->check);
    rv_map_free(&a->frameworks);
    rv_map_free(&a->containers);
    rv_map_free(&a->streams);
    rv_vec_free(&a->strays);
    rv_agent_exits_clear(a);
    rv_agent_garbage_clear(a);
    rv_agent_pending_free(a);
    rv_timers_free(&a->timers);
    rv_agent_info_free(&a->info);
    free((char *)(uintptr_t)a->config.work_dir);
    free((char *)(uintptr_t)a->config.boot_id);
    free((char *)(uintptr_t)a->config.default_user);
    free((char *)(uintptr_t)a->config.containerizer);
    rv_map_free(&a->orphans);
    free(a->refusal);
    free(a->stop_message);
    free(a->problem);
    free(a);
    return NULL;
}

/* --- a step --- */

static void timer_due(struct rv_agent *a, struct rv_timer *t) {
    switch ((enum rv_agent_timer_kind)t->kind) {
    case RV_TIMER_REGISTRATION:
        rv_agent_registration_due(a);
        break;
    case RV_TIMER_PING:
        rv_agent_ping_due(a);
        break;
    case RV_TIMER_RECONNECT:
        rv_agent_reconnect_due(a);
        break;
    case RV_TIMER_STOP:
        stop_due(a);
        break;
    case RV_TIMER_EXECUTOR:
        rv_agent_executor_due(a, RV_CONTAINER_OF(t, struct rv_agent_executor, timer));
        break;
    case RV_TIMER_HEARTBEAT:
        rv_agent_heartbeat_due(a, RV_CONTAINER_OF(t, struct rv_agent_executor, heartbeat));
        break;
    case RV_TIMER_RETRY:
        rv_agent_retry_due(a, RV_CONTAINER_OF(t, struct rv_agent_task, retry));
        break;
    case RV_TIMER_STRAY:
        rv_agent_stray_due(a, RV_CONTAINER_OF(t, struct rv_agent_stray, timer));
        break;
    case RV_TIMER_OPERATION:
        rv_agent_operation_due(a, RV_CONTAINER_OF(t, struct rv_agent_operation, retry));
        break;
    case RV_TIMER_GARBAGE:
        rv_agent_garbage_due(a, RV_CONTAINER_OF(t, struct rv_agent_garbage, timer));
        break;
    }
}

static void input(struct rv_agent *a, const struct rv_agent_input *in) {
    switch (in->kind) {
    case RV_AGENT_MASTER_FOUND:
        rv_agent_master_found(a);
        break;
    case RV_AGENT_MASTER_NONE:
        rv_agent_master_none(a);
        break;
    case RV_AGENT_MASTER_EVENT:
        rv_agent_master_event(a, in->master);
        break;
    case RV_AGENT_MASTER_LOST:
        rv_agent_master_lost(a);
        break;
    case RV_AGENT_MASTER_REFUSED:
        rv_agent_master_refused(a, in->status);
        break;
    case RV_AGENT_EXECUTOR_CALL:
        rv_agent_executor_call(a, in->request, in->stream, in->executor);
        break;
    case RV_AGENT_STREAM_CLOSED:
        rv_agent_stream_closed(a, in->stream);
        break;
    case RV_AGENT_CONTAINER_LAUNCHED:
        rv_agent_container_launched(a, in);
        break;
    case RV_AGENT_CONTAINER_EXITED:
        rv_agent_container_exited(a, in);
        break;
    case RV_AGENT_CHECKPOINT_DONE:
        rv_agent_write_done(a, in->checkpoint.seq, in->checkpoint.ok, in->checkpoint.message);
        break;
    case RV_AGENT_DISK_SEEN:
        rv_agent_disk_seen(a, in->used_ppm);
        break;
    case RV_AGENT_STOP:
        rv_agent_stop(a, false, 0, "stopped by the operator");
        break;
    case RV_AGENT_TICK:
    case RV_AGENT_INPUT_MAX:
        break;
    }
}

void rv_agent_step(struct rv_agent *a, const struct rv_agent_input *in,
                   struct rv_agent_effects *out) {
    struct rv_timer *t;

    a->out = out;
    a->now_ms = RV_MAX(a->now_ms, in->now_ms);
    a->wall_ns = in->wall_ns;
    input(a, in);
    while ((t = rv_timers_pop(&a->timers, a->now_ms))) {
        timer_due(a, t);
    }
    rv_agent_sweep(a);
    rv_agent_recovery_check(a);
    rv_agent_stop_check(a);
    a->out = NULL;
}

int64_t rv_agent_deadline(const struct rv_agent *a) {
    return rv_timers_deadline(&a->timers);
}
