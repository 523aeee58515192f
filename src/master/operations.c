/*
 * Operations on resources (reserve, create and the like). This version refuses them, aloud: with
 * an id the framework hears OPERATION_ERROR, without one the operator's log does and a counter
 * goes up. Reconciliation of operations therefore never knows one.
 */
#include "master/internal.h"

static struct rv_operation_status *status_new(struct rv_master *m, const char *operation_id,
                                              const char *agent_id, const char *provider_id,
                                              enum rv_operation_state state, const char *message) {
    struct rv_operation_status *s = RV_ARENA_NEW(&m->out->arena, struct rv_operation_status);

    s->operation_id.v = rv_master_keep(m, operation_id);
    s->agent_id.v = rv_master_keep(m, agent_id);
    s->provider_id = rv_master_keep(m, provider_id);
    s->state = state;
    s->message = rv_master_keep(m, message);
    return s;
}

static void send(struct rv_master *m, struct rv_master_framework *f,
                 const struct rv_operation_status *status) {
    struct rv_scheduler_event *event = rv_master_tell(m, f, RV_EVENT_UPDATE_OPERATION_STATUS);

    if (event)
        event->operation = status;
}

void rv_master_operation_refuse(struct rv_master *m, struct rv_master_framework *f,
                                const struct rv_operation *op, enum rv_operation_state state,
                                const char *message, struct rv_agent_id agent_id) {
    RV_MASTER_WARN(m, "framework %s: operation %s refused: %s", f->id.v,
                   op->id.v ? op->id.v : "without id", message);
    if (op->id.v)
        send(m, f, status_new(m, op->id.v, agent_id.v, NULL, state, message));
    else
        m->counters.dropped_messages++;
}

/* reconciliation.md, "Operation Reconciliation". */
static void reconcile_one(struct rv_master *m, struct rv_master_framework *f,
                          const struct rv_operation_ref *ref) {
    enum rv_operation_state state = RV_OPERATION_UNKNOWN;
    const char *message = "Reconciliation: Operation is unknown";

    if (rv_map_gets(&m->recovered, ref->agent_id.v)) {
        state = RV_OPERATION_RECOVERING;
        message = "Reconciliation: Agent is recovered but has not reregistered";
    } else if (rv_map_gets(&m->unreachable, ref->agent_id.v)) {
        state = RV_OPERATION_UNREACHABLE;
        message = "Reconciliation: Agent is unreachable";
    } else if (rv_map_gets(&m->gone, ref->agent_id.v)) {
        state = RV_OPERATION_GONE_BY_OPERATOR;
        message = "Reconciliation: Agent is marked gone";
    }
    send(m, f,
         status_new(m, ref->operation_id.v, ref->agent_id.v, ref->provider_id, state, message));
}

void rv_master_reconcile_operations(struct rv_master *m, struct rv_master_framework *f,
                                    const struct rv_scheduler_call *call) {
    m->counters.messages_reconcile_operations++;
    for (size_t i = 0; i < call->reconcile_operations.n; i++)
        reconcile_one(m, f, &call->reconcile_operations.operations[i]);
}

/* From an agent: passed on, so that an agent ahead of this master is not silenced. */
void rv_master_operation_status(struct rv_master *m, struct rv_master_agent *a,
                                const struct rv_agent_call *call) {
    const struct rv_operation_status *from = call->operation.status;
    struct rv_master_framework *f = rv_master_framework_find(m, call->operation.framework_id);
    struct rv_operation_status *s;

    m->counters.messages_operation_status_update++;
    if (!f || !from) {
        m->counters.dropped_messages++;
        return;
    }
    s = status_new(m, from->operation_id.v, a->id.v, from->provider_id, from->state, from->message);
    s->has_uuid = from->has_uuid;
    memcpy(s->uuid, from->uuid, sizeof s->uuid);
    send(m, f, s);
}
