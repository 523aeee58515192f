/*
 * Draining: the master has told the agent to kill its tasks and to take no more. What always holds:
 * while it drains no task is started; a task that is killed says that draining is why. It is over
 * when nothing is left, or when the master says so. It is not written down: the master tells it to
 * an agent that comes back.
 */
#include "agent/internal.h"

/* What an executor that is told nothing is expected to give a task to end by itself. */
#define KILL_GRACE_MS 3000

bool rv_agent_is_draining(const struct rv_agent *a) {
    return a->drain.drain == RV_DRAIN_DRAINING;
}

/* The task's own grace period, or none, unless that is more than it may be. */
static int64_t grace_ms(const struct rv_agent *a, const struct rv_agent_task *t) {
    int64_t most_ms = a->drain.max_grace_ns / 1000000;
    int64_t own_ms = t->info.kill_grace_ms >= 0 ? t->info.kill_grace_ms : KILL_GRACE_MS;

    return a->drain.has_max_grace && own_ms > most_ms ? most_ms : -1;
}

/* One that has nothing to do, and would not end by itself. */
void rv_agent_drain_executor(struct rv_agent *a, struct rv_agent_executor *ex) {
    if (rv_agent_is_draining(a) && rv_map_count(&ex->tasks) == 0) {
        rv_agent_executor_shutdown(a, ex);
    }
}

void rv_agent_drain(struct rv_agent *a, const struct rv_deactivation *how) {
    struct rv_agent_framework *fw;
    struct rv_agent_executor *ex;
    struct rv_agent_task *t;

    if (rv_map_count(&a->frameworks) == 0) {
        return;
    }
    rv_agent_log(a, RV_LOG_INFO, "told to drain: all tasks are killed");
    if (!rv_agent_is_draining(a)) {
        a->drain.since_ns = a->wall_ns;
    }
    a->drain.drain = RV_DRAIN_DRAINING;
    a->drain.has_max_grace = how->has_max_grace;
    a->drain.max_grace_ns = how->max_grace_ns;
    a->drain.mark_gone = how->mark_gone;
    for (size_t i = 0; rv_map_next(&a->frameworks, &i, NULL, (void **)&fw);) {
        for (size_t j = 0; rv_map_next(&fw->tasks, &j, NULL, (void **)&t);) {
            if (t->place == RV_TASK_QUEUED || t->place == RV_TASK_LAUNCHED) {
                rv_agent_task_kill(a, t, grace_ms(a, t));
            }
        }
        for (size_t j = 0; rv_map_next(&fw->executors, &j, NULL, (void **)&ex);) {
            rv_agent_drain_executor(a, ex);
        }
    }
}

void rv_agent_drain_end(struct rv_agent *a) {
    if (rv_agent_is_draining(a)) {
        rv_agent_log(a, RV_LOG_INFO, "draining is over");
        a->drain = (struct rv_deactivation){0};
    }
}

void rv_agent_drain_status(const struct rv_agent *a, const struct rv_agent_task *t,
                           struct rv_task_status *s) {
    if (!rv_agent_is_draining(a) || (s->state != RV_TASK_KILLED && s->state != RV_TASK_KILLING)) {
        return;
    }
    s->reason = RV_REASON_AGENT_DRAINING;
    if (s->state == RV_TASK_KILLED && a->drain.mark_gone &&
        rv_framework_can(&t->executor->framework->info, RV_FRAMEWORK_PARTITION_AWARE)) {
        s->state = RV_TASK_GONE_BY_OPERATOR;
    }
}
