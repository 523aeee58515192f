/*
 * What becomes of operations on resources: their records, their feedback, reconciliation. What
 * always holds: a record is in m->operations and on its agent's list, from when the operation has
 * taken effect in the books (operate.c) until the agent says how it ended and, where a framework
 * asked for feedback, that is acknowledged (INV-42); it is in its framework's map while the
 * framework is to hear of it. An agent has at most RV_MASTER_MAX_OPERATIONS of them.
 *
 * The agent keeps what is not acknowledged and tells it again: to a framework that is not
 * connected nothing is sent. A failed operation needs no undoing here, for its agent registers
 * again with what it has.
 */
#include <stdlib.h>

#include "master/internal.h"

static struct rv_str key_of(const uint8_t uuid[16]) {
    return rv_strn((const char *)uuid, 16);
}

static struct rv_master_operation *find(const struct rv_master *m, const struct rv_master_agent *a,
                                        const uint8_t uuid[16]) {
    struct rv_master_operation *o = rv_map_get(&m->operations, key_of(uuid));

    return o && o->agent == a ? o : NULL;
}

/* --- records --- */

struct rv_master_operation *
rv_master_operation_new(struct rv_master *m, struct rv_framework_id framework_id,
                        struct rv_master_agent *a, const struct rv_operation *op,
                        struct rv_conversion *conversion, const uint8_t uuid[16]) {
    struct rv_master_operation *o = rv_calloc(1, sizeof *o);
    struct rv_master_framework *f = rv_map_gets(&m->frameworks, framework_id.v);
    void *old;

    memcpy(o->uuid, uuid, sizeof o->uuid);
    o->framework_id.v = rv_strdup(framework_id.v);
    o->agent = a;
    rv_operation_copy(&o->operation, op);
    o->conversion = *conversion;
    *conversion = (struct rv_conversion){0};
    o->state = RV_OPERATION_PENDING;
    old = rv_map_put(&m->operations, key_of(o->uuid), o);
    RV_ASSERT(!old);
    rv_list_append(&a->operations, &o->on_agent);
    /* Of two with one id, which agents of before a failover may bring, it hears of one. */
    if (f && op->id.v && !rv_map_gets(&f->operations, op->id.v)) {
        o->framework = f;
        rv_map_put(&f->operations, rv_str(op->id.v), o);
    }
    return o;
}

void rv_master_operation_free(void *record) {
    struct rv_master_operation *o = record;

    free((char *)(uintptr_t)o->framework_id.v);
    rv_operation_free(&o->operation);
    rv_conversion_free(&o->conversion);
    free(o->message);
    free(o);
}

static void remove_record(struct rv_master *m, struct rv_master_operation *o) {
    rv_map_remove(&m->operations, key_of(o->uuid));
    rv_list_remove(&o->on_agent);
    if (o->framework)
        rv_map_remove(&o->framework->operations, rv_str(o->operation.id.v));
    rv_master_bury(m, rv_master_operation_free, o);
}

static void count_end(struct rv_master *m, const struct rv_operation *op,
                      enum rv_operation_state state) {
    m->counters.operations[op->type][state]++;
}

static void set_state(struct rv_master *m, struct rv_master_operation *o,
                      const struct rv_operation_status *status) {
    o->state = status->state;
    if (o->message)
        rv_master_bury(m, free, o->message); /* an effect may show it */
    o->message = rv_strdup(status->message);
    o->has_status_uuid = status->has_uuid;
    memcpy(o->status_uuid, status->uuid, sizeof o->status_uuid);
}

/* --- statuses --- */

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

/* Made here, without uuid. It ends with this. */
static void tell(struct rv_master *m, const struct rv_master_operation *o,
                 enum rv_operation_state state, const char *message) {
    count_end(m, &o->operation, state);
    if (o->framework)
        send(m, o->framework,
             status_new(m, o->operation.id.v, o->agent->id.v, NULL, state, message));
}

/* The latest that is known; the record outlives the step. */
static struct rv_operation_status *latest(struct rv_master *m,
                                          const struct rv_master_operation *o) {
    struct rv_operation_status *s =
        status_new(m, o->operation.id.v, o->agent->id.v, NULL, o->state, o->message);

    if (o->state == RV_OPERATION_FINISHED)
        s->converted = &o->conversion.converted;
    return s;
}

void rv_master_operation_refuse(struct rv_master *m, struct rv_master_framework *f,
                                const struct rv_operation *op, enum rv_operation_state state,
                                const char *message, struct rv_agent_id agent_id) {
    RV_MASTER_WARN(m, "framework %s: operation %s refused: %s", f->id.v,
                   op->id.v ? op->id.v : "without id", message);
    count_end(m, op, state);
    if (op->id.v)
        send(m, f, status_new(m, op->id.v, agent_id.v, NULL, state, message));
    else
        m->counters.dropped_messages++;
}

static void acknowledge_to_agent(struct rv_master *m, const struct rv_master_agent *a,
                                 const uint8_t operation[16], const uint8_t uuid[16]) {
    struct rv_agent_event *event = rv_master_tell_agent(m, a, RV_AGENT_EVENT_ACKNOWLEDGE_OPERATION);

    if (!event)
        return;
    memcpy(event->acknowledge_operation.operation, operation, 16);
    memcpy(event->acknowledge_operation.uuid, uuid, 16);
}

/* An unknown one was acknowledged (which the agent is about to hear), or is nobody's. */
void rv_master_operation_status(struct rv_master *m, struct rv_master_agent *a,
                                const struct rv_agent_call *call) {
    const struct rv_operation_status *from = call->operation.status;
    struct rv_master_operation *o = find(m, a, call->operation.operation);

    m->counters.messages_operation_status_update++;
    if (!o)
        m->counters.dropped_messages++;
    else if (o->state == RV_OPERATION_PENDING)
        count_end(m, &o->operation, from->state);
    if (o && o->framework) {
        struct rv_operation_status *s;

        set_state(m, o, from);
        s = latest(m, o);
        s->has_uuid = from->has_uuid;
        memcpy(s->uuid, from->uuid, sizeof s->uuid);
        send(m, o->framework, s);
        if (from->has_uuid)
            return; /* until it is acknowledged */
    } else if (from->has_uuid) {
        acknowledge_to_agent(m, a, call->operation.operation, from->uuid);
    }
    if (!o)
        return;
    if (from->state != RV_OPERATION_FINISHED)
        RV_MASTER_WARN(m, "agent %s: operation %s of %s: %s: %s", a->id.v,
                       rv_operation_type_name((int)o->operation.type),
                       o->framework_id.v ? o->framework_id.v : "the operator",
                       rv_operation_state_name((int)from->state),
                       from->message ? from->message : "no reason was given");
    remove_record(m, o);
    rv_master_drain_check(m, a);
}

void rv_master_operation_acknowledge(struct rv_master *m, struct rv_master_framework *f,
                                     const struct rv_scheduler_call *call) {
    struct rv_master_operation *o =
        rv_map_gets(&f->operations, call->acknowledge_operation.operation_id.v);
    const char *agent_id = call->acknowledge_operation.agent_id.v;
    struct rv_master_agent *a = o ? o->agent : NULL;

    m->counters.messages_acknowledge_operation++;
    if (!o || !a->connected || !o->has_status_uuid || (agent_id && !rv_streq(agent_id, a->id.v)) ||
        memcmp(o->status_uuid, call->acknowledge_operation.uuid, 16) != 0) {
        /* If the agent still has it, it is told again when the agent is there. */
        m->counters.invalid_operation_acknowledgements++;
        RV_MASTER_WARN(m, "framework %s acknowledges a status of operation %s that does not wait",
                       f->id.v, call->acknowledge_operation.operation_id.v);
        return;
    }
    m->counters.valid_operation_acknowledgements++;
    acknowledge_to_agent(m, a, o->uuid, o->status_uuid);
    remove_record(m, o);
    rv_master_drain_check(m, a);
}

/* --- reconciliation.md, "Operation Reconciliation" --- */

static void reconcile_one(struct rv_master *m, struct rv_master_framework *f,
                          const struct rv_operation_ref *ref) {
    const struct rv_master_operation *known = rv_map_gets(&f->operations, ref->operation_id.v);
    enum rv_operation_state state = RV_OPERATION_UNKNOWN;
    const char *message = "Reconciliation: Operation is unknown";

    if (known) {
        send(m, f, latest(m, known));
        return;
    }
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
    void *v;

    m->counters.messages_reconcile_operations++;
    for (size_t i = 0; i < call->reconcile_operations.n; i++)
        reconcile_one(m, f, &call->reconcile_operations.operations[i]);
    if (call->reconcile_operations.n > 0)
        return;
    for (size_t it = 0; rv_map_next(&f->operations, &it, NULL, &v);)
        send(m, f, latest(m, v));
}

/* --- agents that come with operations --- */

static const char *view_problem(struct rv_master *m, const struct rv_operation_view *v) {
    struct rv_conversion c = {0};
    struct rv_error err;

    if (!v->operation)
        return "an operation is missing";
    if (v->operation->id.v && !v->framework_id.v)
        return "an operation has an id and no framework";
    if (rv_operation_conversion(v->operation, &c, &err) < 0)
        return RV_MASTER_TEXT(m, "an operation is not valid: %s", err.message);
    rv_conversion_free(&c);
    if (v->status && (unsigned)v->status->state >= RV_OPERATION_STATE_MAX)
        return "an operation is in a state that is not known";
    return NULL;
}

const char *rv_master_operations_problem(struct rv_master *m, const struct rv_agent_call *call) {
    struct rv_map seen = {0};
    const char *problem = call->registration.n_operations > RV_MASTER_MAX_OPERATIONS
                              ? "it tells of too many operations"
                              : NULL;

    for (size_t i = 0; i < call->registration.n_operations && !problem; i++) {
        const struct rv_operation_view *v = &call->registration.operations[i];

        problem = view_problem(m, v);
        if (!problem && rv_map_put(&seen, key_of(v->uuid), m))
            problem = "it tells of an operation twice";
    }
    rv_map_free(&seen);
    return problem;
}

void rv_master_operations_drop_missing(struct rv_master *m, struct rv_master_agent *a,
                                       const struct rv_master_registration *r) {
    struct rv_map told = {0};

    for (size_t i = 0; i < r->operations.n; i++)
        rv_map_put(&told, key_of(r->operations.v[i].uuid), m);
    RV_LIST_EACH (&a->operations, node, tmp) {
        struct rv_master_operation *o = RV_LIST_ENTRY(node, struct rv_master_operation, on_agent);

        if (rv_map_get(&told, key_of(o->uuid)))
            continue;
        if (o->state == RV_OPERATION_PENDING)
            tell(m, o, RV_OPERATION_DROPPED, "Operation is unknown to the agent");
        remove_record(m, o);
    }
    rv_map_free(&told);
}

/* The role in which its framework was offered the resources: the agent does not know. */
static void allocate(struct rv_master_operation *o) {
    const struct rv_framework_info *f = o->framework ? &o->framework->info : NULL;

    if (!f || f->n_roles == 0)
        return;
    for (size_t i = 0; i < f->n_roles; i++)
        if (rv_streq(f->roles[i], rv_kind_reserved_role(o->operation.resources.v[0].kind))) {
            rv_conversion_allocate(&o->conversion, f->roles[i]);
            return;
        }
    rv_conversion_allocate(&o->conversion, f->roles[0]);
}

static void take(struct rv_master *m, struct rv_master_agent *a,
                 const struct rv_operation_view *v) {
    struct rv_master_operation *o = find(m, a, v->uuid);
    bool ended = v->status && v->status->state != RV_OPERATION_PENDING;

    if (o && o->framework && ended && !v->status->has_uuid) { /* it is not told again */
        set_state(m, o, v->status);
        send(m, o->framework, latest(m, o));
        remove_record(m, o);
        return;
    }
    if (ended && (!v->status->has_uuid || !v->operation->id.v ||
                  !rv_map_gets(&m->frameworks, v->framework_id.v))) {
        if (v->status->has_uuid)
            acknowledge_to_agent(m, a, v->uuid, v->status->uuid); /* nobody else will */
        if (o)
            remove_record(m, o);
        return;
    }
    if (!o && rv_map_get(&m->operations, key_of(v->uuid))) {
        RV_MASTER_WARN(m, "agent %s tells of an operation of another agent", a->id.v);
        return;
    }
    if (!o) {
        struct rv_conversion c = {0};
        struct rv_error err;
        int failed = rv_operation_conversion(v->operation, &c, &err);

        RV_ASSERT(!failed);
        o = rv_master_operation_new(m, v->framework_id, a, v->operation, &c, v->uuid);
        allocate(o);
    }
    if (ended && o->framework)
        set_state(m, o, v->status);
}

void rv_master_operations_take(struct rv_master *m, struct rv_master_agent *a,
                               const struct rv_master_registration *r) {
    for (size_t i = 0; i < r->operations.n; i++)
        take(m, a, &r->operations.v[i]);
}

/* --- ends --- */

void rv_master_operations_lose(struct rv_master *m, struct rv_master_agent *a,
                               enum rv_operation_state state, const char *message) {
    RV_LIST_EACH (&a->operations, node, tmp) {
        struct rv_master_operation *o = RV_LIST_ENTRY(node, struct rv_master_operation, on_agent);

        tell(m, o, state, message);
        remove_record(m, o);
    }
}

/* What is under way still is: the agent says when it has ended. */
void rv_master_operations_orphan(struct rv_master *m, struct rv_master_framework *f) {
    void *v;

    for (size_t it = 0; rv_map_next(&f->operations, &it, NULL, &v);) {
        struct rv_master_operation *o = v;
        struct rv_master_agent *a = o->agent;

        if (o->state != RV_OPERATION_PENDING) {
            remove_record(m, o);
            rv_master_drain_check(m, a);
            continue;
        }
        rv_map_remove(&f->operations, rv_str(o->operation.id.v));
        o->framework = NULL;
    }
}
