/*
 * The end of an agent: unreachable (it may come back), gone (it must not, INV-15), or removed.
 * Written to the registry first; until that is done the agent is `removing`: it takes no part, and
 * its calls are refused. Then its tasks are told lost and their resources are given back once, its
 * offers having gone before (INV-25), and all frameworks hear of the failure.
 */
#include <stdlib.h>

#include "master/internal.h"

static const struct {
    enum rv_registry_kind kind;
    const char *doing, *why;
} removals[] = {
    [RV_REMOVAL_UNHEALTHY] = {RV_REGISTRY_MARK_UNREACHABLE, "marking unreachable",
                              "it did not answer pings"},
    [RV_REMOVAL_UNREGISTERED] = {RV_REGISTRY_REMOVE_AGENT, "removing", "it unregistered"},
    [RV_REMOVAL_REPLACED] = {RV_REGISTRY_REMOVE_AGENT, "removing",
                             "a new agent registered at its address"},
    [RV_REMOVAL_DOWN] = {RV_REGISTRY_REMOVE_AGENT, "removing", "Operator initiated 'Machine DOWN'"},
    [RV_REMOVAL_GONE] = {RV_REGISTRY_MARK_GONE, "marking gone", "the operator says so"},
    [RV_REMOVAL_DRAINED] = {RV_REGISTRY_MARK_GONE, "marking gone", "it is drained"},
};

static void write(struct rv_master *m, const char *id, enum rv_registry_kind kind, int why,
                  uint64_t request) {
    struct rv_master_pending *p = rv_master_pending_new(kind, id);
    struct rv_registry_op *op = rv_master_write(m, kind, p);

    p->why = why;
    p->wall_ns = m->wall_ns;
    p->request = request;
    op->agent_id.v = p->id;
    op->wall_ns = p->wall_ns;
}

void rv_master_agent_remove(struct rv_master *m, struct rv_master_agent *a,
                            enum rv_master_removal why, uint64_t request) {
    if (a->removing)
        return;
    RV_MASTER_WARN(m, "%s agent %s (%s): %s", removals[why].doing, a->id.v, a->info.hostname,
                   removals[why].why);
    a->removing = true;
    rv_master_agent_seen(m, a->id.v);
    rv_timer_cancel(&m->timers, &a->ping);
    rv_master_agent_refresh(m, a);
    write(m, a->id.v, removals[why].kind, (int)why, request);
}

void rv_master_absent_mark(struct rv_master *m, const char *id, enum rv_registry_kind kind,
                           uint64_t request) {
    rv_map_put(&m->marking, rv_str(id), m);
    rv_master_agent_seen(m, id);
    write(m, id, kind, 0, request);
}

void rv_master_mark_agent_gone(struct rv_master *m, const struct rv_master_event *e) {
    const char *id = e->operator_->agent_id.v;
    struct rv_master_agent *a = rv_map_gets(&m->agents, id);

    if (rv_map_gets(&m->gone, id))
        rv_master_reply_text(m, e->request, 200, NULL);
    else if ((a && a->removing) || rv_map_gets(&m->marking, id))
        RV_MASTER_REPLY(m, e->request, 503, "agent '%s' is being removed or marked already", id);
    else if (a)
        rv_master_agent_remove(m, a, RV_REMOVAL_GONE, e->request);
    else if (rv_map_gets(&m->recovered, id) || rv_map_gets(&m->unreachable, id))
        rv_master_absent_mark(m, id, RV_REGISTRY_MARK_GONE, e->request);
    else
        RV_MASTER_REPLY(m, e->request, 404, "there is no agent '%s'", id ? id : "");
}

static void tell_lost(struct rv_master *m, const char *agent_id) {
    void *v;

    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);) {
        struct rv_scheduler_event *event = rv_master_tell(m, v, RV_EVENT_FAILURE);

        if (event)
            event->failure.agent_id.v = agent_id;
    }
}

/* Nothing runs any more on an agent that was told to end, or did; of one whose machine is down
 * nobody knows. */
static enum rv_task_state state_after(enum rv_master_removal why) {
    switch (why) {
    case RV_REMOVAL_UNHEALTHY:
        return RV_TASK_UNREACHABLE;
    case RV_REMOVAL_DOWN:
        return RV_TASK_LOST;
    case RV_REMOVAL_GONE:
    case RV_REMOVAL_DRAINED:
        return RV_TASK_GONE_BY_OPERATOR;
    case RV_REMOVAL_UNREGISTERED:
    case RV_REMOVAL_REPLACED:
        break;
    }
    return RV_TASK_GONE;
}

/* Only partition-aware frameworks know that it was an operator. */
static enum rv_reason reason_of(const struct rv_master_framework *f, enum rv_task_state state) {
    if (state == RV_TASK_DROPPED)
        return RV_REASON_RECONCILIATION;
    return state == RV_TASK_GONE_BY_OPERATOR &&
                   rv_framework_can(&f->info, RV_FRAMEWORK_PARTITION_AWARE)
               ? RV_REASON_AGENT_REMOVED_BY_OPERATOR
               : RV_REASON_AGENT_REMOVED;
}

static void lose_tasks(struct rv_master *m, struct rv_master_agent *a, enum rv_task_state state,
                       const char *message, int64_t wall_ns) {
    bool unreachable = state == RV_TASK_UNREACHABLE;

    RV_LIST_EACH (&a->tasks, node, tmp) {
        struct rv_master_task *t = RV_LIST_ENTRY(node, struct rv_master_task, on_agent);

        if (rv_task_state_terminal(t->state)) {
            rv_master_task_complete(m, t);
            continue;
        }
        rv_master_task_lose(m, t, state, reason_of(t->framework, state), message,
                            unreachable ? wall_ns : 0);
        if (unreachable)
            rv_master_task_park(m, t);
        else
            rv_master_task_complete(m, t);
    }
    RV_LIST_EACH (&a->executors, node, tmp)
        rv_master_executor_remove(m, RV_LIST_ENTRY(node, struct rv_master_executor, on_agent));
}

/* Its connection, and all that only a registered agent has. */
static void disconnect(struct rv_master *m, struct rv_master_agent *a, bool gone) {
    struct rv_agent_event *event =
        gone ? rv_master_tell_agent(m, a, RV_AGENT_EVENT_SHUTDOWN) : NULL;

    if (event)
        event->why = RV_MASTER_GONE;
    if (a->stream) {
        rv_master_close_stream(m, a->stream);
        rv_master_stream_drop(m, a->stream);
        a->stream = 0;
    }
    a->connected = false;
    rv_master_answers_clear(m, a);
    rv_list_remove(&a->on_machine);
    a->machine = NULL;
    RV_ASSERT(rv_resources_empty(&a->used) && rv_resources_empty(&a->offered));
    rv_allocator_remove_agent(m->allocator, a);
    rv_timer_cancel(&m->timers, &a->ping);
    rv_map_remove(&m->agents, rv_str(a->id.v));
    rv_buf_clear(&m->scratch);
    rv_buf_printf(&m->scratch, "%s:%d", a->info.ip ? a->info.ip : "", (int)a->info.port);
    if (rv_map_get(&m->addresses, rv_buf_str(&m->scratch)) == a)
        rv_map_remove(&m->addresses, rv_buf_str(&m->scratch));
}

static void count(struct rv_master_counters *c, enum rv_master_removal why) {
    c->agent_removals++;
    c->agent_unreachable += why == RV_REMOVAL_UNHEALTHY;
    c->removals_unhealthy += why == RV_REMOVAL_UNHEALTHY;
    c->removals_unregistered += why == RV_REMOVAL_UNREGISTERED;
    c->removals_registered += why == RV_REMOVAL_REPLACED;
}

static void lose(struct rv_master *m, struct rv_master_agent *a,
                 const struct rv_master_pending *p) {
    bool gone = p->kind == RV_REGISTRY_MARK_GONE,
         unreachable = p->kind == RV_REGISTRY_MARK_UNREACHABLE;
    struct rv_operator_event *event;
    const char *message =
        gone ? RV_MASTER_GONE
             : RV_MASTER_TEXT(m, "Agent %s (%s) %s: %s", a->id.v, a->info.hostname,
                              unreachable ? "is unreachable" : "was removed", removals[p->why].why);

    count(&m->counters, (enum rv_master_removal)p->why);
    if (unreachable || gone) /* first: it has the tasks that may come back */
        rv_master_absent_put(m, gone ? &m->gone : &m->unreachable, a->id.v, p->wall_ns);
    lose_tasks(m, a, state_after((enum rv_master_removal)p->why), message, p->wall_ns);
    rv_master_operations_lose(
        m, a, unreachable ? RV_OPERATION_UNREACHABLE : RV_OPERATION_GONE_BY_OPERATOR, message);
    tell_lost(m, a->id.v);
    disconnect(m, a, gone);
    if (!unreachable)
        rv_master_deactivation_put(m, a->id.v, NULL);
    rv_master_bury(m, rv_master_agent_free, a);
    event = rv_master_tell_operators(m, 0, RV_OPERATOR_EVENT_AGENT_REMOVED);
    if (event)
        event->agent = a;
}

/* --- agents that are known by their ids only --- */

void rv_master_absent_end(struct rv_master *m, struct rv_master_absent *absent,
                          enum rv_task_state state, const char *message) {
    RV_LIST_EACH (&absent->tasks, node, tmp) {
        struct rv_master_task *t = RV_LIST_ENTRY(node, struct rv_master_task, on_agent);

        if (rv_map_gets(&t->framework->tasks, t->id.v)) { /* it is another task's id now */
            rv_master_task_forget_parked(m, t);
            continue;
        }
        rv_master_task_lose(m, t, state, reason_of(t->framework, state), message, 0);
        rv_master_task_unpark(t);
        rv_master_task_retire(m, t);
    }
}

static void forget_recovered(struct rv_master *m, const char *id) {
    struct rv_agent_info *info = rv_map_remove(&m->recovered, rv_str(id));

    if (!info)
        return; /* of those that were unreachable all know it */
    rv_agent_info_free(info);
    free(info);
    tell_lost(m, rv_master_keep(m, id));
}

static void absent_marked(struct rv_master *m, struct rv_master_pending *p, bool ok) {
    struct rv_master_absent *absent;

    rv_map_remove(&m->marking, rv_str(p->id));
    if (!ok) {
        RV_MASTER_REPLY(m, p->request, 503, "the registry could not be written");
        if (p->kind == RV_REGISTRY_MARK_UNREACHABLE)
            rv_timer_set(&m->timers, &m->reregister, m->now_ms + m->config.agent_ping_ms);
        return;
    }
    m->counters.removals_recovery +=
        p->kind == RV_REGISTRY_MARK_UNREACHABLE && rv_map_gets(&m->recovered, p->id) != NULL;
    forget_recovered(m, p->id);
    absent = rv_map_remove(&m->unreachable, rv_str(p->id));
    if (p->kind == RV_REGISTRY_MARK_UNREACHABLE) {
        m->counters.agent_unreachable++;
        rv_master_absent_put(m, &m->unreachable, p->id, p->wall_ns);
    } else {
        rv_master_deactivation_put(m, p->id, NULL);
    }
    if (p->kind == RV_REGISTRY_MARK_GONE)
        rv_master_absent_put(m, &m->gone, p->id, p->wall_ns);
    if (p->kind == RV_REGISTRY_REMOVE_AGENT)
        rv_master_absent_free(m, rv_map_remove(&m->gone, rv_str(p->id)));
    if (absent && p->kind == RV_REGISTRY_MARK_GONE)
        rv_master_absent_end(m, absent, RV_TASK_GONE_BY_OPERATOR, RV_MASTER_GONE);
    rv_master_absent_free(m, absent);
    rv_master_reply_text(m, p->request, 200, NULL);
}

void rv_master_agent_removed(struct rv_master *m, struct rv_master_pending *p, bool ok) {
    struct rv_master_agent *a = rv_map_gets(&m->agents, p->id);

    if (!a) {
        absent_marked(m, p, ok);
        return;
    }
    if (ok) {
        lose(m, a, p);
        rv_master_reply_text(m, p->request, 200, NULL);
        return;
    }
    RV_MASTER_WARN(m, "agent %s stays: the registry could not be written", a->id.v);
    RV_MASTER_REPLY(m, p->request, 503, "the registry could not be written");
    a->removing = false;
    a->missed_pings = 0;
    rv_timer_set(&m->timers, &a->ping, m->now_ms + m->config.agent_ping_ms);
    rv_master_agent_refresh(m, a);
}
