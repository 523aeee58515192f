/*
 * The scheduler API. Decoding checks the shape of a call and hands its parts to convert.h; encoding
 * builds the event's tree in the scratch arena, borrowing from the event.
 */
#include "wire/scheduler_codec.h"

#include "base/assert.h"
#include "reeve/v1/scheduler.pb-c.h"
#include "wire/convert.h"

typedef Reeve__V1__Scheduler__Call call_message;

static char *text(const char *s) {
    return (char *)(uintptr_t)s;
}

/* --- calls --- */

/* The parts of calls by type: X(NAME, member). The others have none, or may go without. */
#define CALL_PARTS(X)                                                                              \
    X(SUBSCRIBE, subscribe)                                                                        \
    X(ACCEPT, accept)                                                                              \
    X(DECLINE, decline)                                                                            \
    X(ACCEPT_INVERSE_OFFERS, accept_inverse_offers)                                                \
    X(DECLINE_INVERSE_OFFERS, decline_inverse_offers)                                              \
    X(KILL, kill)                                                                                  \
    X(SHUTDOWN, shutdown)                                                                          \
    X(ACKNOWLEDGE, acknowledge)                                                                    \
    X(ACKNOWLEDGE_OPERATION_STATUS, acknowledge_operation_status)                                  \
    X(RECONCILE, reconcile)                                                                        \
    X(RECONCILE_OPERATIONS, reconcile_operations)                                                  \
    X(MESSAGE, message)                                                                            \
    X(REQUEST, request)                                                                            \
    X(UPDATE_FRAMEWORK, update_framework)

static int check_shape(const call_message *m, struct rv_error *err) {
    if (!m->has_type)
        return rv_error_set(err, RV_ERR_INVALID, "'type' must be present");
    switch ((int)m->type) {
#define X(NAME, member)                                                                            \
    case RV_CALL_##NAME:                                                                           \
        if (!m->member)                                                                            \
            return rv_error_set(err, RV_ERR_INVALID,                                               \
                                "'" #member "' must be present in a call of type " #NAME);         \
        break;
        CALL_PARTS(X)
#undef X
    case RV_CALL_TEARDOWN:
    case RV_CALL_REVIVE:
    case RV_CALL_SUPPRESS:
        break;
    default:
        return rv_error_set(err, RV_ERR_UNSUPPORTED, "'type' is not known");
    }
    if (!m->framework_id && m->type != REEVE__V1__SCHEDULER__CALL__TYPE__SUBSCRIBE)
        return rv_error_set(err, RV_ERR_INVALID, "'framework_id' must be present");
    return 0;
}

/* Clients that have none yet send an empty one. */
static void drop_empty(struct rv_framework_id *id) {
    if (id->v && !*id->v)
        id->v = NULL;
}

static int subscribe_from(const Reeve__V1__FrameworkInfo *info, char **suppressed,
                          size_t n_suppressed,
                          const Reeve__V1__Scheduler__OfferConstraints *constraints,
                          struct rv_arena *arena, struct rv_scheduler_call *out,
                          struct rv_error *err) {
    struct rv_framework_info *f = RV_ARENA_NEW(arena, struct rv_framework_info);
    int r = rv_wire_framework_info_from(info, arena, f, err);
    if (r < 0)
        return r;
    if (out->type == RV_CALL_SUBSCRIBE) {
        drop_empty(&f->id);
        drop_empty(&out->framework_id);
    }
    if (f->id.v && out->framework_id.v && !rv_framework_id_eq(f->id, out->framework_id))
        r = rv_error_set(err, RV_ERR_INVALID, "'framework_id' and 'framework_info.id' differ");
    struct rv_offer_constraints *c = NULL;
    if (r == 0)
        r = rv_wire_offer_constraints_from(constraints, &c, err);
    if (r < 0) {
        rv_wire_framework_info_release(f);
        return r;
    }
    if (f->id.v)
        out->framework_id = f->id;
    f->id = out->framework_id;
    out->subscribe.info = f;
    out->subscribe.suppressed_roles = suppressed;
    out->subscribe.n_suppressed_roles = n_suppressed;
    out->subscribe.constraints = c;
    return 0;
}

static void accept_from(Reeve__V1__OfferID *const *ids, size_t n_ids,
                        Reeve__V1__Offer__Operation *const *operations, size_t n_operations,
                        const Reeve__V1__Filters *filters, struct rv_arena *arena,
                        struct rv_scheduler_call *out) {
    out->accept.refuse_ms = rv_wire_refuse_ms_from(filters);
    out->accept.offer_ids = RV_ARENA_ARRAY(arena, struct rv_offer_id, n_ids);
    out->accept.n_offer_ids = n_ids;
    for (size_t i = 0; i < n_ids; i++)
        out->accept.offer_ids[i].v = ids[i]->value;
    out->accept.operations = RV_ARENA_ARRAY(arena, struct rv_operation, n_operations);
    out->accept.n_operations = n_operations;
    for (size_t i = 0; i < n_operations; i++)
        rv_wire_operation_from(operations[i], true, arena, &out->accept.operations[i]);
}

static void reconcile_from(const Reeve__V1__Scheduler__Call__Reconcile *m, struct rv_arena *arena,
                           struct rv_scheduler_call *out) {
    out->reconcile.n = m->n_tasks;
    out->reconcile.tasks = RV_ARENA_ARRAY(arena, struct rv_task_ref, m->n_tasks);
    for (size_t i = 0; i < m->n_tasks; i++)
        out->reconcile.tasks[i] = (struct rv_task_ref){
            {m->tasks[i]->task_id->value},
            {m->tasks[i]->agent_id ? m->tasks[i]->agent_id->value : NULL},
        };
}

static void reconcile_operations_from(const Reeve__V1__Scheduler__Call__ReconcileOperations *m,
                                      struct rv_arena *arena, struct rv_scheduler_call *out) {
    out->reconcile_operations.n = m->n_operations;
    out->reconcile_operations.operations =
        RV_ARENA_ARRAY(arena, struct rv_operation_ref, m->n_operations);
    for (size_t i = 0; i < m->n_operations; i++) {
        const Reeve__V1__Scheduler__Call__ReconcileOperations__Operation *o = m->operations[i];
        out->reconcile_operations.operations[i] = (struct rv_operation_ref){
            {o->operation_id->value},
            {o->agent_id ? o->agent_id->value : NULL},
            o->resource_provider_id ? o->resource_provider_id->value : NULL,
        };
    }
}

static int
acknowledge_operation_from(const Reeve__V1__Scheduler__Call__AcknowledgeOperationStatus *m,
                           struct rv_scheduler_call *out, struct rv_error *err) {
    out->acknowledge_operation.agent_id.v = m->agent_id ? m->agent_id->value : NULL;
    out->acknowledge_operation.provider_id =
        m->resource_provider_id ? m->resource_provider_id->value : NULL;
    out->acknowledge_operation.operation_id.v = m->operation_id->value;
    return rv_wire_uuid_from(m->uuid, "acknowledge_operation_status.uuid",
                             out->acknowledge_operation.uuid, err);
}

static int part_from(const call_message *m, struct rv_arena *arena, struct rv_scheduler_call *out,
                     struct rv_error *err) {
    switch (out->type) {
    case RV_CALL_SUBSCRIBE:
        return subscribe_from(m->subscribe->framework_info, m->subscribe->suppressed_roles,
                              m->subscribe->n_suppressed_roles, m->subscribe->offer_constraints,
                              arena, out, err);
    case RV_CALL_UPDATE_FRAMEWORK:
        return subscribe_from(m->update_framework->framework_info,
                              m->update_framework->suppressed_roles,
                              m->update_framework->n_suppressed_roles,
                              m->update_framework->offer_constraints, arena, out, err);
    case RV_CALL_ACCEPT:
        accept_from(m->accept->offer_ids, m->accept->n_offer_ids, m->accept->operations,
                    m->accept->n_operations, m->accept->filters, arena, out);
        return 0;
    case RV_CALL_DECLINE:
        accept_from(m->decline->offer_ids, m->decline->n_offer_ids, NULL, 0, m->decline->filters,
                    arena, out);
        return 0;
    case RV_CALL_ACCEPT_INVERSE_OFFERS:
        accept_from(m->accept_inverse_offers->inverse_offer_ids,
                    m->accept_inverse_offers->n_inverse_offer_ids, NULL, 0,
                    m->accept_inverse_offers->filters, arena, out);
        return 0;
    case RV_CALL_DECLINE_INVERSE_OFFERS:
        accept_from(m->decline_inverse_offers->inverse_offer_ids,
                    m->decline_inverse_offers->n_inverse_offer_ids, NULL, 0,
                    m->decline_inverse_offers->filters, arena, out);
        return 0;
    case RV_CALL_REVIVE:
        out->roles.roles = m->revive ? m->revive->roles : NULL;
        out->roles.n_roles = m->revive ? m->revive->n_roles : 0;
        return 0;
    case RV_CALL_SUPPRESS:
        out->roles.roles = m->suppress ? m->suppress->roles : NULL;
        out->roles.n_roles = m->suppress ? m->suppress->n_roles : 0;
        return 0;
    case RV_CALL_KILL:
        out->kill.task_id.v = m->kill->task_id->value;
        out->kill.agent_id.v = m->kill->agent_id ? m->kill->agent_id->value : NULL;
        out->kill.grace_ms = rv_wire_kill_grace_from(m->kill->kill_policy);
        return 0;
    case RV_CALL_SHUTDOWN:
        out->shutdown.executor_id.v = m->shutdown->executor_id->value;
        out->shutdown.agent_id.v = m->shutdown->agent_id->value;
        return 0;
    case RV_CALL_ACKNOWLEDGE:
        out->acknowledge.agent_id.v = m->acknowledge->agent_id->value;
        out->acknowledge.task_id.v = m->acknowledge->task_id->value;
        return rv_wire_uuid_from(m->acknowledge->uuid, "acknowledge.uuid", out->acknowledge.uuid,
                                 err);
    case RV_CALL_ACKNOWLEDGE_OPERATION_STATUS:
        return acknowledge_operation_from(m->acknowledge_operation_status, out, err);
    case RV_CALL_RECONCILE:
        reconcile_from(m->reconcile, arena, out);
        return 0;
    case RV_CALL_RECONCILE_OPERATIONS:
        reconcile_operations_from(m->reconcile_operations, arena, out);
        return 0;
    case RV_CALL_MESSAGE:
        out->message.agent_id.v = m->message->agent_id->value;
        out->message.executor_id.v = m->message->executor_id->value;
        out->message.data = rv_strn(m->message->data.data, m->message->data.len);
        return 0;
    default: /* TEARDOWN; REQUEST, which asks for nothing that is done */
        return 0;
    }
}

int rv_wire_scheduler_call_decode(enum rv_encoding encoding, struct rv_str body,
                                  const struct rv_wire_limits *limits, struct rv_arena *arena,
                                  struct rv_scheduler_call *out, struct rv_error *err) {
    ProtobufCMessage *root;
    int r = rv_wire_decode(&reeve__v1__scheduler__call__descriptor, encoding, body, limits, arena,
                           &root, err);
    if (r < 0)
        return r;
    const call_message *m = (const void *)root;
    if ((r = check_shape(m, err)) < 0)
        return r;
    struct rv_scheduler_call call = {
        .type = (enum rv_scheduler_call_type)m->type,
        .framework_id = {m->framework_id ? m->framework_id->value : NULL},
    };
    if ((r = part_from(m, arena, &call, err)) < 0)
        return r;
    *out = call;
    return 0;
}

void rv_wire_scheduler_call_release(struct rv_scheduler_call *call) {
    switch (call->type) {
    case RV_CALL_SUBSCRIBE:
    case RV_CALL_UPDATE_FRAMEWORK:
        rv_wire_framework_info_release(call->subscribe.info);
        rv_offer_constraints_unref(call->subscribe.constraints);
        break;
    case RV_CALL_ACCEPT:
        for (size_t i = 0; i < call->accept.n_operations; i++)
            rv_wire_operation_release(&call->accept.operations[i]);
        break;
    default:
        break;
    }
    *call = (struct rv_scheduler_call){0};
}

/* --- events --- */

#define MAKE(arena, Type, name)                                                                    \
    RV_WIRE_MAKE(arena, Scheduler__Event__##Type, scheduler__event__##name)

static void offers_to(const struct rv_scheduler_event *e, struct rv_arena *arena,
                      Reeve__V1__Scheduler__Event__Offers *m) {
    m->n_offers = e->offers.n;
    m->offers = RV_ARENA_ARRAY(arena, Reeve__V1__Offer *, e->offers.n);
    for (size_t i = 0; i < e->offers.n; i++)
        m->offers[i] = rv_wire_offer_to(&e->offers.offers[i], e->capabilities, arena);
}

static void inverse_offers_to(const struct rv_scheduler_event *e, struct rv_arena *arena,
                              Reeve__V1__Scheduler__Event__InverseOffers *m) {
    m->n_inverse_offers = e->inverse_offers.n;
    m->inverse_offers = RV_ARENA_ARRAY(arena, Reeve__V1__InverseOffer *, e->inverse_offers.n);
    for (size_t i = 0; i < e->inverse_offers.n; i++)
        m->inverse_offers[i] = rv_wire_inverse_offer_to(&e->inverse_offers.offers[i], arena);
}

static void part_to(const struct rv_scheduler_event *e, struct rv_arena *arena,
                    Reeve__V1__Scheduler__Event *m) {
    switch (e->type) {
    case RV_EVENT_SUBSCRIBED:
        m->subscribed = MAKE(arena, Subscribed, subscribed);
        m->subscribed->framework_id = rv_wire_framework_id_to(e->subscribed.framework_id, arena);
        m->subscribed->has_heartbeat_interval_seconds = true;
        m->subscribed->heartbeat_interval_seconds = (double)e->subscribed.heartbeat_ms / 1000;
        m->subscribed->master_info = (void *)rv_wire_raw_blob(arena, e->subscribed.master_info);
        break;
    case RV_EVENT_OFFERS:
        m->offers = MAKE(arena, Offers, offers);
        offers_to(e, arena, m->offers);
        break;
    case RV_EVENT_INVERSE_OFFERS:
        m->inverse_offers = MAKE(arena, InverseOffers, inverse_offers);
        inverse_offers_to(e, arena, m->inverse_offers);
        break;
    case RV_EVENT_RESCIND:
        m->rescind = MAKE(arena, Rescind, rescind);
        m->rescind->offer_id = rv_wire_offer_id_to(e->rescind, arena);
        break;
    case RV_EVENT_RESCIND_INVERSE_OFFER:
        m->rescind_inverse_offer = MAKE(arena, RescindInverseOffer, rescind_inverse_offer);
        m->rescind_inverse_offer->inverse_offer_id = rv_wire_offer_id_to(e->rescind, arena);
        break;
    case RV_EVENT_UPDATE:
        m->update = MAKE(arena, Update, update);
        m->update->status = rv_wire_task_status_to(e->update, arena);
        break;
    case RV_EVENT_UPDATE_OPERATION_STATUS:
        m->update_operation_status = MAKE(arena, UpdateOperationStatus, update_operation_status);
        m->update_operation_status->status =
            rv_wire_operation_status_to(e->operation, rv_wire_shape_for(e->capabilities),
                                        e->capabilities & (1u << RV_FRAMEWORK_MULTI_ROLE), arena);
        break;
    case RV_EVENT_MESSAGE:
        m->message = MAKE(arena, Message, message);
        m->message->agent_id = rv_wire_agent_id_to(e->message.agent_id, arena);
        m->message->executor_id = rv_wire_executor_id_to(e->message.executor_id, arena);
        m->message->data =
            (ProtobufCBinaryData){e->message.data.n, (uint8_t *)text(e->message.data.s)};
        break;
    case RV_EVENT_FAILURE:
        m->failure = MAKE(arena, Failure, failure);
        m->failure->agent_id = rv_wire_agent_id_to(e->failure.agent_id, arena);
        m->failure->executor_id = rv_wire_executor_id_to(e->failure.executor_id, arena);
        m->failure->has_status = e->failure.has_status;
        m->failure->status = e->failure.status;
        break;
    case RV_EVENT_ERROR:
        m->error = MAKE(arena, Error, error);
        m->error->message = text(e->error);
        break;
    case RV_EVENT_HEARTBEAT:
        break;
    case RV_EVENT_UNKNOWN:
    case RV_EVENT_MAX:
        RV_UNREACHABLE();
    }
}

void rv_wire_scheduler_event_encode(const struct rv_scheduler_event *event,
                                    enum rv_encoding encoding, struct rv_arena *scratch,
                                    struct rv_buf *out) {
    Reeve__V1__Scheduler__Event m;
    reeve__v1__scheduler__event__init(&m);
    m.has_type = true;
    m.type = (Reeve__V1__Scheduler__Event__Type)event->type;
    part_to(event, scratch, &m);
    rv_wire_encode(&m.base, encoding, out);
}
