/*
 * Reconciliation of tasks: what is known of them, told by the master, without uuid (INV-38,
 * INV-39). Explicit: the tasks that are named, O(1) each. Implicit: all of the framework that have
 * not ended.
 */
#include "master/internal.h"

static struct rv_task_status *answer(struct rv_master *m, const char *task_id, const char *agent_id,
                                     enum rv_task_state state, const char *message) {
    return rv_master_status(m, task_id, agent_id, NULL, state, RV_REASON_RECONCILIATION, message);
}

/* The state that the scheduler was told last, or is being told: what comes later reaches it with
 * its own update. */
static void answer_known(struct rv_master *m, struct rv_master_framework *f,
                         const struct rv_master_task *t) {
    const struct rv_task_status *last = t->statuses.n ? &t->statuses.v[t->statuses.n - 1] : NULL;
    struct rv_task_status *status =
        answer(m, t->id.v, t->agent_id.v, rv_master_visible_state(f, t->update_state),
               "Reconciliation: Latest task state");

    status->executor_id.v = rv_master_keep(m, t->executor_id.v);
    status->unreachable_ns = t->unreachable_ns;
    if (last) { /* borrowed from the record: it outlives the step */
        status->healthy = last->healthy;
        status->container_id = last->container_id;
        status->rest = last->rest;
    }
    rv_master_send_status(m, f, status);
}

static void answer_absent(struct rv_master *m, struct rv_master_framework *f,
                          struct rv_task_id task_id, struct rv_agent_id agent_id,
                          enum rv_task_state state, const char *message, int64_t unreachable_ns) {
    struct rv_task_status *status =
        answer(m, task_id.v, agent_id.v, rv_master_visible_state(f, state), message);

    status->unreachable_ns = unreachable_ns;
    rv_master_send_status(m, f, status);
}

void rv_master_reconcile_one(struct rv_master *m, struct rv_master_framework *f,
                             struct rv_task_id task_id, struct rv_agent_id agent_id) {
    const struct rv_master_task *t = rv_map_gets(&f->tasks, task_id.v);
    const struct rv_master_absent *absent;

    if (!t)
        t = rv_map_gets(&f->unreachable, task_id.v);
    if (t)
        answer_known(m, f, t);
    else if (agent_id.v ? rv_map_gets(&m->recovered, agent_id.v) != NULL
                        : rv_map_count(&m->recovered) > 0)
        return; /* it may be on an agent that is still to come back: INV-8 */
    else if (rv_map_gets(&m->agents, agent_id.v))
        answer_absent(m, f, task_id, agent_id, RV_TASK_GONE,
                      "Reconciliation: Task is unknown to the agent", 0);
    else if ((absent = rv_map_gets(&m->unreachable, agent_id.v)))
        answer_absent(m, f, task_id, agent_id, RV_TASK_UNREACHABLE,
                      "Reconciliation: Task is unreachable", absent->wall_ns);
    else if (rv_map_gets(&m->gone, agent_id.v))
        answer_absent(m, f, task_id, agent_id, RV_TASK_GONE_BY_OPERATOR,
                      "Reconciliation: Task is gone", 0);
    else
        answer_absent(m, f, task_id, agent_id, RV_TASK_UNKNOWN, "Reconciliation: Task is unknown",
                      0);
}

static void reconcile_all(struct rv_master *m, struct rv_master_framework *f) {
    void *v;

    for (size_t it = 0; rv_map_next(&f->tasks, &it, NULL, &v);) {
        const struct rv_master_task *t = v;

        if (!rv_task_state_terminal(t->update_state))
            answer_known(m, f, t);
    }
    if (!rv_framework_can(&f->info, RV_FRAMEWORK_PARTITION_AWARE))
        return; /* it was told LOST: for it they have ended */
    for (size_t it = 0; rv_map_next(&f->unreachable, &it, NULL, &v);)
        answer_known(m, f, v);
}

void rv_master_reconcile(struct rv_master *m, struct rv_master_framework *f,
                         const struct rv_scheduler_call *call) {
    m->counters.messages_reconcile++;
    if (call->reconcile.n == 0) {
        reconcile_all(m, f);
        return;
    }
    for (size_t i = 0; i < call->reconcile.n; i++)
        rv_master_reconcile_one(m, f, call->reconcile.tasks[i].task_id,
                                call->reconcile.tasks[i].agent_id);
}
