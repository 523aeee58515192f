/*
 * ACCEPT: takes the offers, does the operations in order on what they hold, and gives back the
 * rest. What always holds: an offer id is consumed at most once (INV-24), and all that the offers
 * held, or operations made of it, is afterwards either booked to tasks and executors or released,
 * once.
 */
#include "master/internal.h"

/* Why the offers cannot be used together; NULL: they can. Fills agent and role. */
static const char *offers_problem(struct rv_master *m, struct rv_master_framework *f,
                                  const struct rv_scheduler_call *call,
                                  struct rv_master_acceptance *a) {
    const struct rv_offer_id *ids = call->accept.offer_ids;
    struct rv_map seen = {0};
    const char *problem = NULL;

    if (call->accept.n_offer_ids == 0)
        return "No offers were named";
    for (size_t i = 0; i < call->accept.n_offer_ids && !problem; i++) {
        struct rv_master_offer *o = rv_map_gets(&m->offers, ids[i].v);

        if (!o || o->framework != f)
            problem = RV_MASTER_TEXT(m, "Offer %s is no longer valid", ids[i].v);
        else if (rv_map_put(&seen, rv_str(ids[i].v), o))
            problem = RV_MASTER_TEXT(m, "Offer %s is named twice", ids[i].v);
        else if (a->agent && o->agent != a->agent)
            problem = RV_MASTER_TEXT(m, "Offers of different agents: %s and %s", a->agent->id.v,
                                     o->agent->id.v);
        else if (a->role && !rv_streq(a->role, o->role))
            problem = RV_MASTER_TEXT(m, "Offers to different roles: %s and %s", a->role, o->role);
        else if (!o->agent->connected || o->agent->removing)
            problem = RV_MASTER_TEXT(m, "Agent %s is disconnected", o->agent->id.v);
        else {
            a->agent = o->agent;
            a->role = o->role; /* buried, not freed, when the offer is taken */
        }
    }
    rv_map_free(&seen);
    return problem;
}

static void invalid_launch(struct rv_master *m, struct rv_master_framework *f,
                           const struct rv_operation *op, const char *problem) {
    for (size_t i = 0; i < op->n_tasks; i++) {
        enum rv_task_state state = rv_master_visible_state(f, RV_TASK_DROPPED);
        struct rv_task_status *status =
            rv_master_status(m, op->tasks[i].id.v, op->tasks[i].agent_id.v, NULL, state,
                             RV_REASON_INVALID_OFFERS, problem);

        rv_master_count_state(m, f, state);
        rv_master_count_end(m, status);
        rv_master_send_status(m, f, status);
    }
}

/* Nothing of it is done. What is valid among the offers is used up all the same. */
static void invalid(struct rv_master *m, struct rv_master_framework *f,
                    const struct rv_scheduler_call *call, const char *problem) {
    for (size_t i = 0; i < call->accept.n_offer_ids; i++) {
        struct rv_master_offer *o = rv_map_gets(&m->offers, call->accept.offer_ids[i].v);

        if (o && o->framework == f) {
            rv_master_offer_drop(m, o, 0, false);
            rv_master_allocate_soon(m);
        }
    }
    RV_MASTER_WARN(m, "framework %s: ACCEPT with offers that are not valid: %s", f->id.v, problem);
    for (size_t i = 0; i < call->accept.n_operations; i++) {
        const struct rv_operation *op = &call->accept.operations[i];

        if (op->type == RV_OP_LAUNCH || op->type == RV_OP_LAUNCH_GROUP)
            invalid_launch(m, f, op, problem);
        else
            rv_master_operation_refuse(m, f, op, RV_OPERATION_DROPPED, problem,
                                       (struct rv_agent_id){NULL});
    }
}

static void operate(struct rv_master *m, struct rv_master_acceptance *a,
                    const struct rv_operation *op) {
    switch (op->type) {
    case RV_OP_LAUNCH:
        rv_master_launch(m, a, op);
        return;
    case RV_OP_LAUNCH_GROUP:
        rv_master_launch_group(m, a, op);
        return;
    case RV_OP_UNKNOWN:
    case RV_OP_RESERVE:
    case RV_OP_UNRESERVE:
    case RV_OP_CREATE:
    case RV_OP_DESTROY:
    case RV_OP_GROW_VOLUME:
    case RV_OP_SHRINK_VOLUME:
    case RV_OP_CREATE_DISK:
    case RV_OP_DESTROY_DISK:
    case RV_OP_MAX:
        rv_master_apply_operation(m, a, op);
        break;
    }
}

void rv_master_accept(struct rv_master *m, struct rv_master_framework *f,
                      const struct rv_scheduler_call *call) {
    struct rv_master_acceptance a = {.framework = f};
    const char *problem = offers_problem(m, f, call, &a);
    int64_t until = call->accept.refuse_ms > 0 ? m->now_ms + call->accept.refuse_ms : 0;

    m->counters.messages_accept++;
    if (problem) {
        if (call->accept.n_offer_ids || call->accept.n_operations)
            invalid(m, f, call, problem);
        return;
    }
    for (size_t i = 0; i < call->accept.n_offer_ids; i++) {
        struct rv_master_offer *o = rv_map_gets(&m->offers, call->accept.offer_ids[i].v);

        rv_resources_add(&a.available, &o->resources);
        rv_master_offer_take(m, o);
        m->counters.offers_accepted++;
        f->offers_accepted++;
    }
    for (size_t i = 0; i < call->accept.n_operations; i++)
        operate(m, &a, &call->accept.operations[i]);
    if (!rv_resources_empty(&a.available)) {
        rv_allocator_release(m->allocator, a.agent, f, &a.available, m->now_ms, until);
        /* What is wanted by nobody, and not filtered, waits for the batch as after a DECLINE: else
         * master and framework would play ball with it. An operation has made progress. */
        if (until || a.used)
            rv_master_allocate_soon(m);
    }
    rv_resources_free(&a.available);
}
