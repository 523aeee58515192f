/*
 * Agents that operators take out of service: deactivated (offered to nobody), draining (the agent
 * kills its tasks, too), drained. What always holds: the registry has it before it takes effect,
 * and it outlives the agent's absence and masters; an agent is DRAINED only when it is here and
 * every task and operation of it has ended and was acknowledged (INV-22). One change of an agent is
 * written at a time.
 */
#include <stdlib.h>

#include "master/internal.h"

static bool is_known(const struct rv_master *m, const char *id) {
    return rv_map_gets(&m->agents, id) || rv_map_gets(&m->recovered, id) ||
           rv_map_gets(&m->unreachable, id);
}

static bool can_drain(const struct rv_master_agent *a) {
    return a->info.capabilities & 1u << RV_AGENT_AGENT_DRAINING;
}

void rv_master_deactivation_put(struct rv_master *m, const char *id,
                                const struct rv_deactivation *d) {
    struct rv_master_agent *a = rv_map_gets(&m->agents, id);
    struct rv_deactivation *copy = d ? rv_memdup(d, sizeof *d) : NULL;

    free(copy ? rv_map_put(&m->deactivated, rv_str(id), copy)
              : rv_map_remove(&m->deactivated, rv_str(id)));
    if (a)
        a->deactivation = copy;
}

/* --- draining --- */

/* An agent that does not know how to drain itself has its tasks killed one by one. */
static void kill_all(struct rv_master *m, struct rv_master_agent *a,
                     const struct rv_deactivation *d) {
    RV_LIST_EACH (&a->tasks, node, tmp) {
        struct rv_master_task *t = RV_LIST_ENTRY(node, struct rv_master_task, on_agent);

        if (rv_task_state_terminal(t->state))
            continue;
        t->kill_asked = true;
        t->kill_grace_ms = d->has_max_grace ? d->max_grace_ns / 1000000 : -1;
        rv_master_kill_send(m, t);
    }
}

static void write(struct rv_master *m, const char *id, const struct rv_deactivation *d,
                  uint64_t request) {
    enum rv_registry_kind kind = d ? RV_REGISTRY_DEACTIVATE_AGENT : RV_REGISTRY_REACTIVATE_AGENT;
    struct rv_master_pending *p = rv_master_pending_new(kind, id);
    struct rv_registry_op *op;

    p->request = request;
    if (d)
        p->deactivation = *d;
    rv_map_put(&m->changing, rv_str(id), p);
    op = rv_master_write(m, kind, p);
    op->agent_id.v = p->id;
    op->deactivation = d ? &p->deactivation : NULL;
}

void rv_master_drain_check(struct rv_master *m, struct rv_master_agent *a) {
    const struct rv_deactivation *d = a->deactivation;
    struct rv_deactivation drained;

    if (!d || d->drain != RV_DRAIN_DRAINING || !a->connected || a->removing || a->settling ||
        !rv_list_empty(&a->tasks) || !rv_list_empty(&a->operations) ||
        rv_map_gets(&m->changing, a->id.v))
        return;
    if (d->mark_gone) {
        rv_master_agent_remove(m, a, RV_REMOVAL_DRAINED, 0);
        return;
    }
    drained = *d;
    drained.drain = RV_DRAIN_DRAINED;
    write(m, a->id.v, &drained, 0);
}

/* Also to one that is drained: it may have missed that. */
static void send(struct rv_master *m, struct rv_master_agent *a) {
    const struct rv_deactivation *d = a->deactivation;
    struct rv_agent_event *event;

    if (!a->connected)
        return;
    if (!can_drain(a)) {
        kill_all(m, a, d);
        return;
    }
    event = rv_master_tell_agent(m, a, RV_AGENT_EVENT_DRAIN);
    event->drain = *d;
}

/* Not drained after all, if it brings tasks or operations: acknowledged, but it did not hear that.
 */
static void drain_again(struct rv_master *m, struct rv_master_agent *a) {
    struct rv_deactivation again = *a->deactivation;

    if (again.drain != RV_DRAIN_DRAINED ||
        (rv_list_empty(&a->tasks) && rv_list_empty(&a->operations)) ||
        rv_map_gets(&m->changing, a->id.v))
        return;
    again.drain = RV_DRAIN_DRAINING;
    rv_master_deactivation_put(m, a->id.v, &again);
    write(m, a->id.v, &again, 0);
}

void rv_master_drain_settle(struct rv_master *m, struct rv_master_agent *a) {
    const struct rv_deactivation *d = a->deactivation;

    if (!d || d->drain == RV_DRAIN_UNKNOWN)
        return;
    drain_again(m, a);
    send(m, a);
    rv_master_drain_check(m, a);
}

/* --- the calls --- */

/* False after the answer. */
static bool may_change(struct rv_master *m, const struct rv_master_event *e) {
    const char *id = e->operator_->agent_id.v;
    const struct rv_master_agent *a = rv_map_gets(&m->agents, id);

    if (!is_known(m, id))
        RV_MASTER_REPLY(m, e->request, 400, "there is no agent '%s'", id ? id : "");
    else if ((a && a->removing) || rv_map_gets(&m->marking, id))
        RV_MASTER_REPLY(m, e->request, 409, "agent '%s' is being removed or marked", id);
    else if (rv_map_gets(&m->changing, id))
        RV_MASTER_REPLY(m, e->request, 503, "another change of agent '%s' is being written", id);
    else
        return true;
    return false;
}

void rv_master_drain_agent(struct rv_master *m, const struct rv_master_event *e) {
    struct rv_deactivation d = *e->operator_->drain;
    const struct rv_master_agent *a = rv_master_agent_find(m, e->operator_->agent_id);

    if (a && a->machine) {
        RV_MASTER_REPLY(m, e->request, 400,
                        "the machine of agent '%s' is in the maintenance schedule", a->id.v);
    } else if (a && !can_drain(a)) {
        RV_MASTER_REPLY(m, e->request, 400, "agent '%s' is of a version that cannot drain",
                        a->id.v);
    } else if (may_change(m, e)) {
        d.drain = RV_DRAIN_DRAINING;
        d.since_ns = m->wall_ns;
        write(m, e->operator_->agent_id.v, &d, e->request);
    }
}

void rv_master_deactivate_agent(struct rv_master *m, const struct rv_master_event *e) {
    const char *id = e->operator_->agent_id.v;
    const struct rv_deactivation *now = rv_map_gets(&m->deactivated, id);

    if (!may_change(m, e))
        return;
    if (now) /* one that is draining goes on */
        rv_master_reply_text(m, e->request, 200, NULL);
    else
        write(m, id, &(struct rv_deactivation){.drain = RV_DRAIN_UNKNOWN}, e->request);
}

void rv_master_reactivate_agent(struct rv_master *m, const struct rv_master_event *e) {
    const char *id = e->operator_->agent_id.v;
    const struct rv_deactivation *now = rv_map_gets(&m->deactivated, id);

    if (!may_change(m, e))
        return;
    if (!now)
        RV_MASTER_REPLY(m, e->request, 400, "agent '%s' is not deactivated", id);
    else if (now->drain == RV_DRAIN_DRAINING)
        RV_MASTER_REPLY(m, e->request, 400, "agent '%s' is still draining", id);
    else
        write(m, id, NULL, e->request);
}

/* --- once it is written --- */

static bool written(struct rv_master *m, const struct rv_master_pending *p, bool ok) {
    rv_map_remove(&m->changing, rv_str(p->id));
    if (!ok)
        RV_MASTER_REPLY(m, p->request, 503, "the registry could not be written");
    else if (!is_known(m, p->id)) /* and so the registry forgot it after this write */
        RV_MASTER_REPLY(m, p->request, 409, "agent '%s' was removed meanwhile", p->id);
    else
        return true;
    return false;
}

void rv_master_deactivated(struct rv_master *m, struct rv_master_pending *p, bool ok) {
    static const char *const words[] = {[RV_DRAIN_UNKNOWN] = "deactivated",
                                        [RV_DRAIN_DRAINING] = "to be drained",
                                        [RV_DRAIN_DRAINED] = "drained"};
    struct rv_master_agent *a = rv_map_gets(&m->agents, p->id);

    if (!written(m, p, ok))
        return;
    RV_MASTER_INFO(m, "agent %s is %s", p->id, words[p->deactivation.drain]);
    rv_master_deactivation_put(m, p->id, &p->deactivation);
    if (a) {
        rv_master_agent_refresh(m, a);
        if (p->deactivation.drain == RV_DRAIN_DRAINING) {
            send(m, a);
            rv_master_drain_check(m, a);
        }
        drain_again(m, a); /* it may have come back meanwhile, with tasks */
    }
    rv_master_reply_text(m, p->request, 200, NULL);
}

void rv_master_reactivated(struct rv_master *m, struct rv_master_pending *p, bool ok) {
    struct rv_master_agent *a = rv_map_gets(&m->agents, p->id);

    if (!written(m, p, ok))
        return;
    RV_MASTER_INFO(m, "agent %s is reactivated", p->id);
    rv_master_deactivation_put(m, p->id, NULL);
    if (a) {
        if (can_drain(a))
            rv_master_tell_agent(m, a, RV_AGENT_EVENT_REACTIVATE);
        rv_master_agent_refresh(m, a);
        rv_master_allocate_soon(m);
    }
    rv_master_reply_text(m, p->request, 200, NULL);
}
