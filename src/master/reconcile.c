/*
 * Reconciliation of tasks: what is known of them, told by the master, without uuid (INV-38,
 * INV-39). Explicit: the tasks that are named, O(1) each. Implicit: all of the framework that have
 * not ended.
 *
 * A step answers no more than a slice. What is left waits as questions, for some ms each slice: so
 * nobody else waits long, and a framework that reads does not fall behind by more than its stream
 * may hold (INV-50), however many tasks it has. Who is asked later is told what is known then.
 */
#include <stdlib.h>

#include "master/internal.h"

#define SLICE_MS 50           /* 40,000 tasks a second, some 10 MB of JSON */
#define QUESTIONS_MAX 1000000 /* by name, of a framework: it asks for the others again */

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
    rv_master_status_details(status, last);
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

/* --- what waits --- */

void rv_master_questions_free(struct rv_master_questions *q) {
    for (; q->next < q->v.n; q->next++) {
        free(q->v.v[q->next].task_id);
        free(q->v.v[q->next].agent_id);
    }
    rv_vec_free(&q->v);
    q->next = 0;
}

static size_t left(const struct rv_master_questions *q) {
    return q->v.n - q->next;
}

static void ask(struct rv_master_questions *q, const char *task_id, const char *agent_id) {
    const struct rv_master_question one = {rv_strdup(task_id), rv_strdup(agent_id)};

    rv_vec_push(&q->v, one);
}

/* Asked of all tasks: one that has ended by now was told by its update. */
static void answer_alive(struct rv_master *m, struct rv_master_framework *f, const char *task_id) {
    const struct rv_master_task *t = rv_map_gets(&f->tasks, task_id);

    if (t && !rv_task_state_terminal(t->update_state))
        answer_known(m, f, t);
    else if (!t && rv_framework_can(&f->info, RV_FRAMEWORK_PARTITION_AWARE) &&
             (t = rv_map_gets(&f->unreachable, task_id)))
        answer_known(m, f, t); /* others were told LOST: for them it has ended */
}

static void answer_some(struct rv_master *m, struct rv_master_framework *f,
                        struct rv_master_questions *q, size_t *room) {
    for (; left(q) && *room; --*room) {
        struct rv_master_question *one = &q->v.v[q->next++];

        if (q == &f->all)
            answer_alive(m, f, one->task_id);
        else
            rv_master_reconcile_one(m, f, (struct rv_task_id){one->task_id},
                                    (struct rv_agent_id){one->agent_id});
        free(one->task_id);
        free(one->agent_id);
    }
    if (!left(q))
        rv_master_questions_free(q);
}

static void ask_all(struct rv_master_framework *f) {
    void *v;

    for (size_t it = 0; rv_map_next(&f->tasks, &it, NULL, &v);)
        ask(&f->all, ((const struct rv_master_task *)v)->id.v, NULL);
    for (size_t it = 0; rv_map_next(&f->unreachable, &it, NULL, &v);)
        ask(&f->all, ((const struct rv_master_task *)v)->id.v, NULL);
    f->all_again = false;
}

/* With the room that is left, and then when it is time for the next slice. */
static void go_on(struct rv_master *m, struct rv_master_framework *f, size_t room) {
    answer_some(m, f, &f->all, &room);
    if (!left(&f->all) && f->all_again)
        ask_all(f);
    if (left(&f->named) || left(&f->all))
        rv_timer_set(&m->timers, &f->reconcile, m->now_ms + SLICE_MS);
}

void rv_master_reconcile_due(struct rv_master *m, struct rv_master_framework *f) {
    size_t room = m->config.reconcile_slice;

    answer_some(m, f, &f->named, &room);
    go_on(m, f, room);
}

void rv_master_reconcile_forget(struct rv_master *m, struct rv_master_framework *f) {
    rv_timer_cancel(&m->timers, &f->reconcile);
    rv_master_questions_free(&f->named);
    rv_master_questions_free(&f->all);
    f->all_again = false;
}

void rv_master_reconcile(struct rv_master *m, struct rv_master_framework *f,
                         const struct rv_scheduler_call *call) {
    bool waits = left(&f->named) > 0;
    size_t room = m->config.reconcile_slice;

    m->counters.messages_reconcile++;
    if (call->reconcile.n == 0 && left(&f->all))
        f->all_again = true; /* when this round is over: who asks often is answered, too */
    else if (call->reconcile.n == 0)
        ask_all(f);
    for (size_t i = 0; i < call->reconcile.n && left(&f->named) < QUESTIONS_MAX; i++)
        ask(&f->named, call->reconcile.tasks[i].task_id.v, call->reconcile.tasks[i].agent_id.v);
    if (!waits)
        answer_some(m, f, &f->named, &room);
    if (!rv_timer_is_set(&f->reconcile))
        go_on(m, f, room);
}
