/*
 * Agents that are registered: their calls, pings, broken streams. What always holds: an agent in
 * m->agents is known to the allocator, and active there iff it is offered (`active`); it has a ping
 * timer unless it is being removed (INV-13). Registration is in registration.c, the end in
 * removal.c.
 */
#include <stdlib.h>

#include "master/internal.h"

struct rv_master_agent *rv_master_agent_find(const struct rv_master *m, struct rv_agent_id id) {
    return rv_map_gets(&m->agents, id.v);
}

void rv_master_agent_free(void *record) {
    struct rv_master_agent *a = record;

    RV_LIST_EACH (&a->operations, node, tmp)
        rv_master_operation_free(RV_LIST_ENTRY(node, struct rv_master_operation, on_agent));
    rv_agent_info_free(&a->info);
    rv_resources_free(&a->total);
    rv_resources_free(&a->used);
    rv_resources_free(&a->offered);
    rv_map_free(&a->executor_index);
    rv_master_answers_free(a);
    free((char *)(uintptr_t)a->id.v);
    free(a->boot_id);
    free(a);
}

/* --- pings --- */

void rv_master_ping_due(struct rv_master *m, struct rv_master_agent *a) {
    a->missed_pings = a->ponged ? 0 : a->missed_pings + 1;
    a->ponged = false;
    if (a->missed_pings >= m->config.max_agent_ping_timeouts) {
        rv_master_agent_missed(m, a->id.v);
        rv_master_removal_due(m);
    }
    /* What could not be written before. */
    rv_master_shut_down(m, a);
    rv_master_drain_check(m, a);
    if (a->removing)
        return;
    rv_master_tell_agent(m, a, RV_AGENT_EVENT_PING);
    rv_timer_set(&m->timers, &a->ping, m->now_ms + m->config.agent_ping_ms);
}

/* --- a broken stream --- */

void rv_master_agent_refresh(struct rv_master *m, struct rv_master_agent *a) {
    a->active = a->connected && !a->removing && !a->deactivation &&
                !(a->machine && a->machine->is.mode == RV_MACHINE_DOWN);
    rv_allocator_activate_agent(m->allocator, a, a->active);
    if (a->active)
        return;
    rv_master_offers_drop_agent(m, a);
    rv_master_inverse_offers_drop_agent(m, a);
}

/* The executors of a framework that does not checkpoint do not outlive an agent's restart, so its
 * tasks count as lost at once. One that checkpoints loses nothing yet: INV-16. */
static void lose_unchecked(struct rv_master *m, struct rv_master_agent *a) {
    RV_LIST_EACH (&a->tasks, node, tmp) {
        struct rv_master_task *t = RV_LIST_ENTRY(node, struct rv_master_task, on_agent);

        if (t->framework->info.checkpoint)
            continue;
        if (!rv_task_state_terminal(t->state))
            rv_master_task_lose(m, t, RV_TASK_LOST, RV_REASON_AGENT_DISCONNECTED,
                                "Agent disconnected", 0);
        rv_master_task_complete(m, t);
    }
    RV_LIST_EACH (&a->executors, node, tmp) {
        struct rv_master_executor *x = RV_LIST_ENTRY(node, struct rv_master_executor, on_agent);

        if (!x->framework->info.checkpoint)
            rv_master_executor_remove(m, x);
    }
}

void rv_master_agent_closed(struct rv_master *m, struct rv_master_agent *a) {
    a->stream = 0;
    a->connected = false; /* a ping that was answered before is no missed one: INV-13 */
    rv_master_agent_refresh(m, a);
    if (a->removing)
        return;
    RV_MASTER_INFO(m, "agent %s (%s) disconnected", a->id.v, a->info.hostname);
    lose_unchecked(m, a);
}

/* --- calls --- */

static void dispatch(struct rv_master *m, struct rv_master_agent *a,
                     const struct rv_agent_call *call) {
    switch (call->type) {
    case RV_AGENT_CALL_PONG:
        a->ponged = true;
        a->missed_pings = 0;
        rv_master_agent_seen(m, a->id.v);
        break;
    case RV_AGENT_CALL_STATUS_UPDATE:
        m->counters.messages_status_update++;
        rv_master_status_update(m, a, call);
        break;
    case RV_AGENT_CALL_EXECUTOR_EXITED:
        rv_master_executor_exited(m, a, call);
        break;
    case RV_AGENT_CALL_FRAMEWORK_MESSAGE:
        rv_master_message_to_framework(m, a, call);
        break;
    case RV_AGENT_CALL_OPERATION_STATUS:
        rv_master_operation_status(m, a, call);
        break;
    case RV_AGENT_CALL_UPDATE_AGENT:
        m->counters.messages_update_agent++;
        rv_master_offers_drop_agent(m, a);
        rv_master_agent_update_total(m, a, call->total);
        rv_master_allocate_soon(m);
        break;
    case RV_AGENT_CALL_UNREGISTER:
        m->counters.messages_unregister_agent++;
        rv_master_agent_remove(m, a, RV_REMOVAL_UNREGISTERED, 0);
        break;
    case RV_AGENT_CALL_REGISTER:
    case RV_AGENT_CALL_REREGISTER:
    case RV_AGENT_CALL_MAX:
        break;
    }
}

/* What the call lacks or has wrong; NULL: nothing. */
static const char *problem_of(const struct rv_agent_call *call) {
    const struct rv_operation_status *ended;
    const struct rv_task_status *status;

    switch (call->type) {
    case RV_AGENT_CALL_STATUS_UPDATE:
        status = call->update.status;
        if (!call->update.framework_id.v || !status || !status->task_id.v)
            return "the update lacks its framework, task or status";
        if (!rv_master_is_state(status->state) || !rv_master_is_state(call->update.latest_state))
            return "the update's state is not known";
        return NULL;
    case RV_AGENT_CALL_EXECUTOR_EXITED:
        return call->exited.framework_id.v && call->exited.executor_id.v
                   ? NULL
                   : "the executor or its framework is missing";
    case RV_AGENT_CALL_FRAMEWORK_MESSAGE:
        return call->message.framework_id.v && call->message.executor_id.v
                   ? NULL
                   : "the executor or its framework is missing";
    case RV_AGENT_CALL_UPDATE_AGENT:
        return call->total ? NULL : "the total resources are missing";
    case RV_AGENT_CALL_OPERATION_STATUS:
        ended = call->operation.status;
        if (!ended)
            return "the status of the operation is missing";
        return ended->state == RV_OPERATION_FINISHED || ended->state == RV_OPERATION_FAILED ||
                       ended->state == RV_OPERATION_ERROR || ended->state == RV_OPERATION_DROPPED
                   ? NULL
                   : "the state of the operation is none in which it has ended";
    case RV_AGENT_CALL_PONG:
    case RV_AGENT_CALL_UNREGISTER:
    case RV_AGENT_CALL_REGISTER:
    case RV_AGENT_CALL_REREGISTER:
        return NULL;
    case RV_AGENT_CALL_MAX:
        break;
    }
    return "there is no such call";
}

void rv_master_agent_call(struct rv_master *m, const struct rv_master_event *e) {
    const struct rv_agent_call *call = e->agent;
    const char *problem = problem_of(call);
    struct rv_master_agent *a;

    if (problem) {
        rv_master_reply_text(m, e->request, 400, problem);
        return;
    }
    if (call->type == RV_AGENT_CALL_REGISTER) {
        rv_master_register(m, e);
        return;
    }
    if (call->type == RV_AGENT_CALL_REREGISTER) {
        rv_master_reregister(m, e);
        return;
    }
    a = rv_master_agent_find(m, call->agent_id);
    if (!call->agent_id.v)
        RV_MASTER_REPLY(m, e->request, 400, "'agent_id' is missing");
    else if (!a || !a->connected || a->removing)
        RV_MASTER_REPLY(m, e->request, 403, "the agent is not registered: register again");
    else if (e->stream_id && !rv_streq(e->stream_id, a->stream_id))
        RV_MASTER_REPLY(m, e->request, 403, "the agent has registered anew on another stream");
    else {
        rv_master_reply_text(m, e->request, 202, NULL);
        dispatch(m, a, call);
    }
}
