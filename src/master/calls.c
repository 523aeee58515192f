/*
 * A scheduler's calls: the checks that all share (INV-44), then the one it is. Every call of the
 * API is answered; SUBSCRIBE and UPDATE_FRAMEWORK when the registry has written.
 */
#include "master/internal.h"

/* The order of the checks is the peer's. Returns NULL after the answer. */
static struct rv_master_framework *caller(struct rv_master *m, const struct rv_master_event *e) {
    struct rv_master_framework *f = rv_master_framework_find(m, e->scheduler->framework_id);

    if (!e->scheduler->framework_id.v)
        RV_MASTER_REPLY(m, e->request, 400, "'framework_id' is missing");
    else if (!f)
        RV_MASTER_REPLY(m, e->request, 403, "the framework is not subscribed");
    else if (e->principal && f->principal && !rv_streq(e->principal, f->principal))
        RV_MASTER_REPLY(m, e->request, 403, "the framework belongs to another principal");
    else if (!e->stream_id)
        RV_MASTER_REPLY(m, e->request, 400, "the header 'Mesos-Stream-Id' is missing");
    else if (!f->connected || f->removing)
        RV_MASTER_REPLY(m, e->request, 403, "the framework is not subscribed");
    else if (!rv_streq(e->stream_id, f->stream_id))
        RV_MASTER_REPLY(m, e->request, 400, "this is not the stream id of the framework");
    else
        return f;
    return NULL;
}

static void dispatch(struct rv_master *m, struct rv_master_framework *f,
                     const struct rv_scheduler_call *call) {
    switch (call->type) {
    case RV_CALL_ACCEPT:
        rv_master_accept(m, f, call);
        break;
    case RV_CALL_DECLINE:
        rv_master_decline(m, f, call);
        break;
    case RV_CALL_ACCEPT_INVERSE_OFFERS:
    case RV_CALL_DECLINE_INVERSE_OFFERS:
        rv_master_inverse_answer(m, f, call);
        break;
    case RV_CALL_REVIVE:
        rv_master_revive(m, f, call);
        break;
    case RV_CALL_SUPPRESS:
        rv_master_suppress(m, f, call);
        break;
    case RV_CALL_KILL:
        rv_master_kill(m, f, call);
        break;
    case RV_CALL_SHUTDOWN:
        rv_master_shutdown_executor(m, f, call);
        break;
    case RV_CALL_ACKNOWLEDGE:
        rv_master_acknowledge(m, f, call);
        break;
    case RV_CALL_ACKNOWLEDGE_OPERATION_STATUS:
        rv_master_operation_acknowledge(m, f, call);
        break;
    case RV_CALL_RECONCILE:
        rv_master_reconcile(m, f, call);
        break;
    case RV_CALL_RECONCILE_OPERATIONS:
        rv_master_reconcile_operations(m, f, call);
        break;
    case RV_CALL_MESSAGE:
        rv_master_message_to_executor(m, f, call);
        break;
    case RV_CALL_REQUEST: /* the built-in policy takes no requests, as the peer's does not */
        m->counters.messages_request++;
        break;
    case RV_CALL_UNKNOWN:
    case RV_CALL_SUBSCRIBE:
    case RV_CALL_TEARDOWN:
    case RV_CALL_UPDATE_FRAMEWORK:
    case RV_CALL_MAX:
        break;
    }
}

void rv_master_scheduler_call(struct rv_master *m, const struct rv_master_event *e) {
    struct rv_master_framework *f;

    if (e->scheduler->type == RV_CALL_SUBSCRIBE) {
        rv_master_subscribe(m, e);
        return;
    }
    f = caller(m, e);
    if (!f)
        return;
    if (e->scheduler->type < RV_CALL_MAX)
        f->calls[e->scheduler->type]++;
    if (e->scheduler->type == RV_CALL_UPDATE_FRAMEWORK) {
        rv_master_update_framework(m, f, e);
    } else if (e->scheduler->type == RV_CALL_TEARDOWN) {
        m->counters.messages_teardown++;
        rv_master_framework_remove(m, f, e->request, 202, "it asked for it");
    } else if (e->scheduler->type == RV_CALL_UNKNOWN) {
        RV_MASTER_REPLY(m, e->request, 501, "a call that this version does not know");
    } else {
        rv_master_reply_text(m, e->request, 202, NULL);
        dispatch(m, f, e->scheduler);
    }
}
