/*
 * The end of an agent: unreachable (it may come back) or removed. Written to the registry first;
 * until that is done the agent is `removing`: it takes no part, and its calls are refused. Then its
 * tasks are told lost and their resources are given back once, its offers having gone before
 * (INV-25), and all frameworks hear of the failure.
 */
#include <stdlib.h>

#include "master/internal.h"

void rv_master_agent_remove(struct rv_master *m, struct rv_master_agent *a,
                            enum rv_registry_kind kind, const char *why) {
    struct rv_master_pending *p;
    struct rv_registry_op *op;

    if (a->removing)
        return;
    RV_MASTER_WARN(m, "%s agent %s (%s): %s",
                   kind == RV_REGISTRY_MARK_UNREACHABLE ? "marking unreachable" : "removing",
                   a->id.v, a->info.hostname, why);
    a->removing = true;
    a->active = false;
    rv_timer_cancel(&m->timers, &a->ping);
    rv_allocator_activate_agent(m->allocator, a, false);
    rv_master_offers_drop_agent(m, a);
    p = rv_master_pending_new(kind, a->id.v);
    p->why = why;
    p->wall_ns = m->wall_ns;
    op = rv_master_write(m, kind, p);
    op->agent_id.v = p->id;
    op->wall_ns = p->wall_ns;
}

void rv_master_tell_agent_lost(struct rv_master *m, const char *agent_id) {
    void *v;

    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);) {
        struct rv_scheduler_event *event = rv_master_tell(m, v, RV_EVENT_FAILURE);

        if (event)
            event->failure.agent_id.v = agent_id;
    }
}

static void put_unreachable(struct rv_master *m, struct rv_master_absent *absent) {
    void *v;

    rv_master_absent_free(rv_map_put(&m->unreachable, rv_str(absent->id), absent));
    if (rv_map_count(&m->unreachable) > m->config.max_agents) {
        size_t it = 0;

        if (rv_map_next(&m->unreachable, &it, NULL, &v)) {
            rv_map_remove(&m->unreachable, rv_str(((struct rv_master_absent *)v)->id));
            rv_master_absent_free(v);
        }
    }
}

static void lose_tasks(struct rv_master *m, struct rv_master_agent *a, bool unreachable,
                       const char *message, int64_t wall_ns) {
    RV_LIST_EACH (&a->tasks, node, tmp) {
        struct rv_master_task *t = RV_LIST_ENTRY(node, struct rv_master_task, on_agent);

        if (rv_task_state_terminal(t->state)) {
            rv_master_task_complete(m, t);
            continue;
        }
        rv_master_task_lose(m, t, unreachable ? RV_TASK_UNREACHABLE : RV_TASK_GONE,
                            RV_REASON_AGENT_REMOVED, message, unreachable ? wall_ns : 0);
        if (unreachable)
            rv_master_task_park(m, t);
        else
            rv_master_task_complete(m, t);
    }
    RV_LIST_EACH (&a->executors, node, tmp)
        rv_master_executor_remove(m, RV_LIST_ENTRY(node, struct rv_master_executor, on_agent));
}

void rv_master_agent_lose(struct rv_master *m, struct rv_master_agent *a,
                          enum rv_registry_kind kind, const char *why, int64_t wall_ns) {
    bool unreachable = kind == RV_REGISTRY_MARK_UNREACHABLE;
    struct rv_operator_event *event;
    const char *message = RV_MASTER_TEXT(m, "Agent %s (%s) %s: %s", a->id.v, a->info.hostname,
                                         unreachable ? "is unreachable" : "was removed", why);

    rv_master_offers_drop_agent(m, a);
    lose_tasks(m, a, unreachable, message, wall_ns);
    rv_master_tell_agent_lost(m, a->id.v);
    if (a->stream) {
        rv_master_close_stream(m, a->stream);
        rv_master_stream_drop(m, a->stream);
        a->stream = 0;
    }
    a->connected = false;
    RV_ASSERT(rv_resources_empty(&a->used) && rv_resources_empty(&a->offered));
    rv_allocator_remove_agent(m->allocator, a);
    rv_timer_cancel(&m->timers, &a->ping);
    rv_map_remove(&m->agents, rv_str(a->id.v));
    rv_buf_clear(&m->scratch);
    rv_buf_printf(&m->scratch, "%s:%d", a->info.ip ? a->info.ip : "", (int)a->info.port);
    if (rv_map_get(&m->addresses, rv_buf_str(&m->scratch)) == a)
        rv_map_remove(&m->addresses, rv_buf_str(&m->scratch));
    if (unreachable) {
        m->counters.agent_unreachable++;
        put_unreachable(m, rv_master_absent_new(a->id.v, wall_ns));
    }
    m->counters.agent_removals++;
    rv_master_bury(m, rv_master_agent_free, a);
    event = rv_master_tell_operators(m, 0, RV_OPERATOR_EVENT_AGENT_REMOVED);
    if (event)
        event->agent = a;
}

/* An agent of the last leader that never came to this one. */
static void recovered_marked(struct rv_master *m, struct rv_master_pending *p, bool ok) {
    struct rv_agent_info *info;

    rv_map_remove(&m->marking, rv_str(p->id));
    if (!ok) {
        rv_timer_set(&m->timers, &m->reregister, m->now_ms + m->config.agent_ping_ms);
        return;
    }
    info = rv_map_remove(&m->recovered, rv_str(p->id));
    if (!info)
        return;
    m->counters.agent_unreachable++;
    put_unreachable(m, rv_master_absent_new(p->id, p->wall_ns));
    rv_agent_info_free(info);
    free(info);
    rv_master_tell_agent_lost(m, rv_master_keep(m, p->id));
}

void rv_master_agent_removed(struct rv_master *m, struct rv_master_pending *p, bool ok) {
    struct rv_master_agent *a = rv_map_gets(&m->agents, p->id);

    if (!a) {
        recovered_marked(m, p, ok);
        return;
    }
    if (ok) {
        rv_master_agent_lose(m, a, p->kind, p->why, p->wall_ns);
        return;
    }
    RV_MASTER_WARN(m, "agent %s stays: the registry could not be written", a->id.v);
    a->removing = false;
    a->missed_pings = 0;
    rv_timer_set(&m->timers, &a->ping, m->now_ms + m->config.agent_ping_ms);
    if (a->connected) {
        a->active = true;
        rv_allocator_activate_agent(m->allocator, a, true);
    }
}
