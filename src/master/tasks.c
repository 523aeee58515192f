/*
 * Tasks: their records, states, updates, acknowledgements and kills. What always holds:
 * a task is in exactly one of its framework's `tasks`, `unreachable`, `completed`; its resources
 * are booked while it is neither terminal nor unreachable, and given back once (INV-27); a state
 * that is final never changes (INV-37).
 */
#include <stdlib.h>

#include "master/internal.h"

/* --- records --- */

struct rv_master_task *rv_master_task_new(struct rv_master *m, struct rv_master_framework *f,
                                          struct rv_master_agent *a,
                                          const struct rv_task_info *info,
                                          const struct rv_resources *resources,
                                          const char *executor_id, enum rv_task_state state) {
    struct rv_master_task *t = rv_calloc(1, sizeof *t);
    void *old;

    rv_task_info_copy(&t->info, info);
    rv_task_info_forget(&t->info);
    if (t->info.executor) { /* the executor has its own record */
        rv_executor_info_free(t->info.executor);
        free(t->info.executor);
        t->info.executor = NULL;
    }
    rv_resources_copy(&t->info.resources, resources);
    t->id = t->info.id;
    t->executor_id.v = rv_strdup(executor_id);
    t->framework = f;
    t->agent = a;
    t->agent_id.v = rv_strdup(a->id.v);
    t->state = t->update_state = state;
    t->kill_grace_ms = -1;
    old = rv_map_put(&f->tasks, rv_str(t->id.v), t);
    RV_ASSERT(!old);
    rv_list_append(&a->tasks, &t->on_agent);
    if (executor_id) {
        struct rv_master_executor *x = rv_master_executor_find(a, f, executor_id);

        if (x)
            x->n_tasks++;
    }
    rv_master_count_state(m, f, state);
    return t;
}

void rv_master_task_free(void *record) {
    struct rv_master_task *t = record;

    for (size_t i = 0; i < t->statuses.n; i++)
        rv_task_status_free(&t->statuses.v[i]);
    rv_vec_free(&t->statuses);
    rv_task_info_free(&t->info);
    free((char *)(uintptr_t)t->executor_id.v);
    free((char *)(uintptr_t)t->agent_id.v);
    free(t);
}

static void free_status(void *v) {
    rv_task_status_free(v);
    free(v);
}

void rv_master_task_record(struct rv_master *m, struct rv_master_task *t,
                           const struct rv_task_status *status) {
    struct rv_task_status copy = {0};

    if (t->statuses.n >= m->config.max_statuses) {
        struct rv_task_status *oldest = rv_memdup(&t->statuses.v[0], sizeof t->statuses.v[0]);

        rv_master_bury(m, free_status, oldest);
        rv_vec_remove_at(&t->statuses, 0);
    }
    rv_task_status_copy(&copy, status);
    rv_vec_push(&t->statuses, copy);
}

static void count_terminal(struct rv_master_counters *c, enum rv_task_state state) {
    switch (state) {
    case RV_TASK_FINISHED:
        c->tasks_finished++;
        break;
    case RV_TASK_FAILED:
        c->tasks_failed++;
        break;
    case RV_TASK_KILLED:
        c->tasks_killed++;
        break;
    case RV_TASK_LOST:
        c->tasks_lost++;
        break;
    case RV_TASK_ERROR:
        c->tasks_error++;
        break;
    case RV_TASK_DROPPED:
        c->tasks_dropped++;
        break;
    case RV_TASK_GONE:
        c->tasks_gone++;
        break;
    case RV_TASK_GONE_BY_OPERATOR:
        c->tasks_gone_by_operator++;
        break;
    case RV_TASK_STAGING:
    case RV_TASK_STARTING:
    case RV_TASK_RUNNING:
    case RV_TASK_KILLING:
    case RV_TASK_UNREACHABLE:
    case RV_TASK_UNKNOWN:
    case RV_TASK_STATE_MAX:
        break;
    }
}

void rv_master_count_state(struct rv_master *m, struct rv_master_framework *f,
                           enum rv_task_state state) {
    f->count_states[state]++;
    count_terminal(&m->counters, state);
}

void rv_master_count_end(struct rv_master *m, const struct rv_task_status *status) {
    if (status->has_source && (unsigned)status->reason < RV_REASON_MAX)
        m->ends[status->state][status->source][status->reason]++;
}

/* --- state --- */

static bool ends_use(enum rv_task_state s) {
    return rv_task_state_terminal(s) || s == RV_TASK_UNREACHABLE;
}

static void release(struct rv_master *m, struct rv_master_task *t) {
    if (t->released)
        return;
    RV_ASSERT(t->agent);
    t->released = true;
    rv_master_unbook(m, t->framework, t->agent, &t->info.resources);
    if (t->executor_id.v) {
        struct rv_master_executor *x =
            rv_master_executor_find(t->agent, t->framework, t->executor_id.v);

        if (x && x->n_tasks)
            x->n_tasks--;
    }
}

void rv_master_task_set_state(struct rv_master *m, struct rv_master_task *t,
                              enum rv_task_state state) {
    /* A task whose resources went cannot come to life again here: that needs a re-registration,
     * which makes a new record. It may still learn a better known end. */
    if (t->state == state || rv_task_state_sticky(t->state) || (t->released && !ends_use(state)))
        return;
    t->state = state;
    rv_master_count_state(m, t->framework, state);
    if (ends_use(state))
        release(m, t);
}

enum rv_task_state rv_master_visible_state(const struct rv_master_framework *f,
                                           enum rv_task_state state) {
    if (rv_framework_can(&f->info, RV_FRAMEWORK_PARTITION_AWARE))
        return state;
    switch (state) {
    case RV_TASK_DROPPED:
    case RV_TASK_UNREACHABLE:
    case RV_TASK_GONE:
    case RV_TASK_GONE_BY_OPERATOR:
    case RV_TASK_UNKNOWN:
        return RV_TASK_LOST;
    case RV_TASK_STAGING:
    case RV_TASK_STARTING:
    case RV_TASK_RUNNING:
    case RV_TASK_KILLING:
    case RV_TASK_FINISHED:
    case RV_TASK_FAILED:
    case RV_TASK_KILLED:
    case RV_TASK_ERROR:
    case RV_TASK_LOST:
    case RV_TASK_STATE_MAX:
        break;
    }
    return state;
}

/* --- statuses --- */

struct rv_task_status *rv_master_status(struct rv_master *m, const char *task_id,
                                        const char *agent_id, const char *executor_id,
                                        enum rv_task_state state, enum rv_reason reason,
                                        const char *message) {
    struct rv_task_status *s = RV_ARENA_NEW(&m->out->arena, struct rv_task_status);

    s->task_id.v = rv_master_keep(m, task_id);
    s->agent_id.v = rv_master_keep(m, agent_id);
    s->executor_id.v = rv_master_keep(m, executor_id);
    s->state = state;
    s->source = RV_SOURCE_MASTER;
    s->has_source = true;
    s->reason = reason;
    s->message = rv_master_keep(m, message);
    s->timestamp_ns = m->wall_ns;
    s->healthy = -1;
    return s;
}

void rv_master_status_details(struct rv_task_status *status, const struct rv_task_status *last) {
    if (!last)
        return;
    status->healthy = last->healthy;
    status->container_id = last->container_id;
    status->rest = last->rest;
}

void rv_master_send_status(struct rv_master *m, struct rv_master_framework *f,
                           const struct rv_task_status *status) {
    struct rv_scheduler_event *event = rv_master_tell(m, f, RV_EVENT_UPDATE);

    if (event)
        event->update = status;
}

static void tell_updated(struct rv_master *m, struct rv_master_task *t,
                         const struct rv_task_status *status) {
    struct rv_operator_event *event =
        rv_master_tell_operators(m, 0, RV_OPERATOR_EVENT_TASK_UPDATED);

    if (event) {
        event->task = t;
        event->status = status;
        event->framework = t->framework;
    }
}

void rv_master_task_added(struct rv_master *m, struct rv_master_task *t) {
    struct rv_operator_event *event = rv_master_tell_operators(m, 0, RV_OPERATOR_EVENT_TASK_ADDED);

    if (event) {
        event->task = t;
        event->framework = t->framework;
    }
}

void rv_master_task_lose(struct rv_master *m, struct rv_master_task *t, enum rv_task_state state,
                         enum rv_reason reason, const char *message, int64_t unreachable_ns) {
    struct rv_task_status *status;
    bool was_over = ends_use(t->state);

    state = rv_master_visible_state(t->framework, state);
    status = rv_master_status(m, t->id.v, t->agent_id.v, t->executor_id.v, state, reason, message);
    status->unreachable_ns = t->unreachable_ns = unreachable_ns;
    rv_master_task_set_state(m, t, state);
    if (!was_over)
        rv_master_count_end(m, status);
    /* Parked as unreachable, a task of a framework that is told LOST needs nothing any more. */
    release(m, t);
    t->update_state = t->state;
    t->has_update_uuid = false;
    rv_master_task_record(m, t, status);
    rv_master_send_status(m, t->framework, status);
    tell_updated(m, t, status);
}

/* --- leaving --- */

static void leave(struct rv_master *m, struct rv_master_task *t) {
    if (t->agent && !t->released)
        release(m, t);
    rv_list_remove(&t->on_agent);
    t->agent = NULL;
    rv_map_remove(&t->framework->tasks, rv_str(t->id.v));
}

void rv_master_task_retire(struct rv_master *m, struct rv_master_task *t) {
    struct rv_master_framework *f = t->framework;

    rv_vec_push(&f->completed, t);
    if (f->completed.n > m->config.max_completed_tasks) {
        rv_master_bury(m, rv_master_task_free, f->completed.v[0]);
        rv_vec_remove_at(&f->completed, 0);
    }
}

void rv_master_task_complete(struct rv_master *m, struct rv_master_task *t) {
    struct rv_master_agent *a = t->agent;

    leave(m, t);
    rv_master_task_retire(m, t);
    if (a && a->deactivation)
        rv_master_drain_check(m, a);
}

void rv_master_task_unpark(struct rv_master_task *t) {
    rv_map_remove(&t->framework->unreachable, rv_str(t->id.v));
    rv_list_remove(&t->on_agent);
}

void rv_master_task_forget_parked(struct rv_master *m, struct rv_master_task *t) {
    rv_master_task_unpark(t);
    rv_master_bury(m, rv_master_task_free, t);
}

void rv_master_task_park(struct rv_master *m, struct rv_master_task *t) {
    struct rv_master_absent *absent = rv_map_gets(&m->unreachable, t->agent_id.v);
    struct rv_master_framework *f = t->framework;
    void *old = rv_map_gets(&f->unreachable, t->id.v);
    size_t it = 0;

    RV_ASSERT(absent);
    leave(m, t);
    if (old)
        rv_master_task_forget_parked(m, old);
    rv_map_put(&f->unreachable, rv_str(t->id.v), t);
    rv_list_append(&absent->tasks, &t->on_agent);
    if (rv_map_count(&f->unreachable) > m->config.max_unreachable_tasks &&
        rv_map_next(&f->unreachable, &it, NULL, &old))
        rv_master_task_forget_parked(m, old);
}

bool rv_master_task_forget_completed(struct rv_master *m, struct rv_master_framework *f,
                                     const char *id) {
    bool lost = false;

    for (size_t i = f->completed.n; i-- > 0;)
        if (rv_streq(f->completed.v[i]->id.v, id)) {
            lost = lost || f->completed.v[i]->state == RV_TASK_LOST;
            rv_master_bury(m, rv_master_task_free, f->completed.v[i]);
            rv_vec_remove_at(&f->completed, i);
        }
    return lost;
}

/* --- updates from agents --- */

static struct rv_task_status *keep_status(struct rv_master *m, const struct rv_task_status *s) {
    struct rv_task_status *copy = rv_calloc(1, sizeof *copy);

    rv_task_status_copy(copy, s);
    rv_master_bury(m, free_status, copy);
    return copy;
}

static void acknowledge_to_agent(struct rv_master *m, struct rv_master_agent *a,
                                 const struct rv_master_framework *f, const char *task_id,
                                 const uint8_t uuid[16]) {
    struct rv_agent_event *event = rv_master_tell_agent(m, a, RV_AGENT_EVENT_ACKNOWLEDGE);

    if (!event)
        return;
    event->acknowledge.framework_id.v = rv_master_keep(m, f->id.v);
    event->acknowledge.task_id.v = rv_master_keep(m, task_id);
    memcpy(event->acknowledge.uuid, uuid, 16);
}

/* To the framework, in the words it knows. What it must not hear (INV-40) is acknowledged for it,
 * so that the updates behind it go on. */
static void forward(struct rv_master *m, struct rv_master_agent *a, struct rv_master_framework *f,
                    const struct rv_task_status *status) {
    struct rv_task_status *kept;

    if (status->state == RV_TASK_KILLING &&
        !rv_framework_can(&f->info, RV_FRAMEWORK_TASK_KILLING_STATE)) {
        if (status->has_uuid)
            acknowledge_to_agent(m, a, f, status->task_id.v, status->uuid);
        return;
    }
    if (!f->connected)
        return; /* the agent sends it again until somebody acknowledges it: INV-35 */
    kept = keep_status(m, status);
    kept->state = rv_master_visible_state(f, kept->state);
    rv_master_send_status(m, f, kept);
}

/* An update is news to operators if it shows another state, health or result of a check. */
static bool is_news(const struct rv_master_task *t, const struct rv_task_status *status) {
    const struct rv_task_status *last = t->statuses.n ? &t->statuses.v[t->statuses.n - 1] : NULL;

    return !last || last->state != status->state || last->healthy != status->healthy ||
           status->reason == RV_REASON_TASK_CHECK_STATUS_UPDATED ||
           status->reason == RV_REASON_TASK_HEALTH_CHECK_STATUS_UPDATED;
}

static void update_task(struct rv_master *m, struct rv_master_task *t,
                        const struct rv_agent_call *call) {
    const struct rv_task_status *status = call->update.status;
    bool repeated =
        t->has_update_uuid && status->has_uuid && memcmp(t->update_uuid, status->uuid, 16) == 0;
    bool news;

    rv_master_task_set_state(m, t, status->state);
    rv_master_task_set_state(m, t, call->update.latest_state);
    if (repeated)
        return;
    if (ends_use(status->state) && !ends_use(t->update_state))
        rv_master_count_end(m, status);
    news = is_news(t, status);
    t->update_state = status->state;
    t->has_update_uuid = status->has_uuid;
    if (status->has_uuid)
        memcpy(t->update_uuid, status->uuid, 16);
    rv_master_task_record(m, t, status);
    if (news && rv_map_count(&m->subscribers))
        tell_updated(m, t, keep_status(m, status));
}

void rv_master_status_update(struct rv_master *m, struct rv_master_agent *a,
                             const struct rv_agent_call *call) {
    const struct rv_task_status *status = call->update.status;
    struct rv_master_framework *f = rv_master_framework_find(m, call->update.framework_id);
    struct rv_master_task *t;

    if (!f) {
        m->counters.invalid_status_updates++;
        RV_MASTER_WARN(m, "update of task %s of framework %s, which is not there",
                       status->task_id.v, call->update.framework_id.v);
        if (rv_master_framework_completed(m, call->update.framework_id.v)) {
            struct rv_agent_event *event =
                rv_master_tell_agent(m, a, RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK);

            if (event)
                event->shutdown_framework.v = rv_master_keep(m, call->update.framework_id.v);
        }
        return;
    }
    t = rv_map_gets(&f->tasks, status->task_id.v);
    if (t && t->agent != a)
        t = NULL; /* of an agent that it is not on: told, but not believed */
    forward(m, a, f, status);
    if (!t) {
        m->counters.invalid_status_updates++;
        RV_MASTER_WARN(m, "update of task %s of framework %s, which the master does not know",
                       status->task_id.v, f->id.v);
        return;
    }
    m->counters.valid_status_updates++;
    update_task(m, t, call);
    /* Nobody acknowledges an update without uuid: a task that ended with one is done. */
    if (!status->has_uuid && rv_task_state_terminal(t->state))
        rv_master_task_complete(m, t);
}

/* --- calls about tasks --- */

void rv_master_acknowledge(struct rv_master *m, struct rv_master_framework *f,
                           const struct rv_scheduler_call *call) {
    struct rv_master_agent *a = rv_master_agent_find(m, call->acknowledge.agent_id);
    struct rv_master_task *t = rv_map_gets(&f->tasks, call->acknowledge.task_id.v);

    m->counters.messages_acknowledge++;
    if (!a || !a->connected) {
        /* The agent sends the update again when it is back, and is acknowledged then. */
        m->counters.invalid_acknowledgements++;
        RV_MASTER_WARN(m,
                       "framework %s acknowledges an update of task %s, whose agent is not there",
                       f->id.v, call->acknowledge.task_id.v);
        return;
    }
    acknowledge_to_agent(m, a, f, call->acknowledge.task_id.v, call->acknowledge.uuid);
    if (t && t->agent == a && t->has_update_uuid &&
        memcmp(t->update_uuid, call->acknowledge.uuid, 16) == 0) {
        t->has_update_uuid = false;
        if (rv_task_state_terminal(t->update_state))
            rv_master_task_complete(m, t); /* the agent may be drained by that */
    }
    m->counters.valid_acknowledgements++;
}

void rv_master_kill_send(struct rv_master *m, struct rv_master_task *t) {
    struct rv_agent_event *event = rv_master_tell_agent(m, t->agent, RV_AGENT_EVENT_KILL_TASK);

    if (!event)
        return;
    event->kill.framework_id = t->framework->id;
    event->kill.task_id = t->id;
    event->kill.grace_ms = t->kill_grace_ms;
}

void rv_master_kill(struct rv_master *m, struct rv_master_framework *f,
                    const struct rv_scheduler_call *call) {
    struct rv_master_task *t = rv_map_gets(&f->tasks, call->kill.task_id.v);

    m->counters.messages_kill_task++;
    if (!t) {
        rv_master_reconcile_one(m, f, call->kill.task_id, call->kill.agent_id);
        return;
    }
    if (call->kill.agent_id.v && !rv_streq(call->kill.agent_id.v, t->agent_id.v)) {
        m->counters.dropped_messages++;
        RV_MASTER_WARN(m, "framework %s kills task %s on agent %s, but it is on %s", f->id.v,
                       t->id.v, call->kill.agent_id.v, t->agent_id.v);
        return;
    }
    t->kill_asked = true;
    t->kill_grace_ms = call->kill.grace_ms;
    rv_master_kill_send(m, t);
}
