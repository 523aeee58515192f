/*
 * The scheduler's client, see scheduler_core.h.
 *
 * Always holds: framework->id is set after the first SUBSCRIBED and goes with every call and every
 * later SUBSCRIBE. An acknowledgement is queued behind its update, so the shell sends it when the
 * callback has returned, and a crash in the callback leaves the update unacknowledged.
 */
#include "framework/scheduler_core.h"

#include <math.h>
#include <stdlib.h>

#define CALL(name) REEVE__V1__SCHEDULER__CALL__TYPE__##name
#define EVENT(name) REEVE__V1__SCHEDULER__EVENT__TYPE__##name

enum { HEARTBEAT_DEFAULT_MS = 15000, HEARTBEAT_MAX_MS = 3600 * 1000 };

static Reeve__V1__FrameworkInfo *copy_framework(const Reeve__V1__FrameworkInfo *info) {
    struct rv_blob *packed = rv_wire_pack(&info->base);
    Reeve__V1__FrameworkInfo *copy =
        reeve__v1__framework_info__unpack(NULL, packed->n, packed->data);

    rv_blob_unref(packed);
    return copy;
}

static void set_id(Reeve__V1__FrameworkInfo *info, const char *value) {
    Reeve__V1__FrameworkID *id = info->id;

    if (!id) {
        id = info->id = rv_malloc(sizeof *id);
        reeve__v1__framework_id__init(id);
    } else {
        free(id->value);
    }
    id->value = rv_strdup(value);
}

/* ---- subscribing ---- */

static void subscribe(void *owner, struct rv_buf *out) {
    struct rv_scheduler_core *c = owner;
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Subscribe body = REEVE__V1__SCHEDULER__CALL__SUBSCRIBE__INIT;

    call.has_type = true;
    call.type = CALL(SUBSCRIBE);
    call.framework_id = c->framework->id;
    call.subscribe = &body;
    body.framework_info = c->framework;
    body.suppressed_roles = c->suppressed_roles;
    body.n_suppressed_roles = c->n_suppressed_roles;
    rv_wire_encode(&call.base, c->client.config.encoding, out);
}

static bool goodbye(void *owner, struct rv_buf *out) {
    struct rv_scheduler_core *c = owner;
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;

    call.has_type = true;
    call.type = CALL(TEARDOWN);
    call.framework_id = c->framework->id;
    if (out)
        rv_wire_encode(&call.base, c->client.config.encoding, out);
    return call.framework_id != NULL;
}

static int64_t heartbeat_ms(const Reeve__V1__Scheduler__Event__Subscribed *event) {
    double seconds = event->has_heartbeat_interval_seconds ? event->heartbeat_interval_seconds : 0;

    if (!(seconds > 0) || !isfinite(seconds))
        return HEARTBEAT_DEFAULT_MS;
    return seconds < HEARTBEAT_MAX_MS / 1000.0 ? (int64_t)(seconds * 1000) + 1 : HEARTBEAT_MAX_MS;
}

/* ---- events ---- */

static void on_event(void *owner, const ProtobufCMessage *message, int64_t now_ms) {
    struct rv_scheduler_core *c = owner;
    const Reeve__V1__Scheduler__Event *event = (const Reeve__V1__Scheduler__Event *)message;
    bool again = false;

    switch (event->has_type ? event->type : EVENT(UNKNOWN)) {
    case EVENT(SUBSCRIBED):
        if (!event->subscribed)
            return;
        set_id(c->framework, event->subscribed->framework_id->value);
        again = rv_client_subscribed(&c->client, heartbeat_ms(event->subscribed), now_ms);
        break;
    case EVENT(UPDATE):
        /* Within the event, which the action that tells it owns from here on. */
        rv_client_tell(&c->client, false);
        if (event->update && !c->manual_acknowledge)
            (void)rv_scheduler_core_acknowledge(c, event->update->status);
        return;
    case EVENT(UPDATE_OPERATION_STATUS):
        rv_client_tell(&c->client, false);
        if (event->update_operation_status && !c->manual_acknowledge)
            (void)rv_scheduler_core_acknowledge_operation(c,
                                                          event->update_operation_status->status);
        return;
    case EVENT(ERROR):
        rv_client_refused(&c->client, event->error ? event->error->message : NULL);
        return;
    default:
        break;
    }
    rv_client_tell(&c->client, again);
}

/* ---- calls ---- */

int rv_scheduler_core_call(struct rv_scheduler_core *c, const Reeve__V1__Scheduler__Call *call,
                           int64_t now_ms) {
    Reeve__V1__Scheduler__Call copy = *call;

    if (!call->has_type || call->type == CALL(UNKNOWN) || call->type == CALL(SUBSCRIBE))
        return REEVE_ERR_INVALID;
    if (call->type == CALL(TEARDOWN)) {
        rv_scheduler_core_stop(c, true, now_ms);
        return 0;
    }
    copy.framework_id = c->framework->id;
    if (call->type == CALL(UPDATE_FRAMEWORK) && call->update_framework) {
        /* What we say when subscribing again must agree. */
        Reeve__V1__Scheduler__Call__UpdateFramework body = *call->update_framework;
        Reeve__V1__FrameworkInfo *info = copy_framework(body.framework_info);
        int rc;

        if (c->framework->id)
            set_id(info, c->framework->id->value);
        body.framework_info = info;
        copy.update_framework = &body;
        rc = rv_client_send(&c->client, &copy.base, (int)call->type);
        if (rc) {
            reeve__v1__framework_info__free_unpacked(info, NULL);
            return rc;
        }
        reeve__v1__framework_info__free_unpacked(c->framework, NULL);
        c->framework = info;
        return 0;
    }
    return rv_client_send(&c->client, &copy.base, (int)call->type);
}

void rv_scheduler_core_stop(struct rv_scheduler_core *c, bool teardown, int64_t now_ms) {
    rv_client_stop(&c->client, teardown, now_ms);
}

int rv_scheduler_core_acknowledge(struct rv_scheduler_core *c,
                                  const Reeve__V1__TaskStatus *status) {
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Acknowledge body = REEVE__V1__SCHEDULER__CALL__ACKNOWLEDGE__INIT;

    if (!status->has_uuid || !status->uuid.len || !status->agent_id)
        return 0;
    call.has_type = true;
    call.type = CALL(ACKNOWLEDGE);
    call.framework_id = c->framework->id;
    call.acknowledge = &body;
    body.agent_id = status->agent_id;
    body.task_id = status->task_id;
    body.uuid = status->uuid;
    return rv_client_send(&c->client, &call.base, (int)call.type);
}

int rv_scheduler_core_acknowledge_operation(struct rv_scheduler_core *c,
                                            const Reeve__V1__OperationStatus *status) {
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__AcknowledgeOperationStatus body =
        REEVE__V1__SCHEDULER__CALL__ACKNOWLEDGE_OPERATION_STATUS__INIT;

    if (!status->uuid || !status->operation_id)
        return 0;
    call.has_type = true;
    call.type = CALL(ACKNOWLEDGE_OPERATION_STATUS);
    call.framework_id = c->framework->id;
    call.acknowledge_operation_status = &body;
    body.agent_id = status->agent_id;
    body.resource_provider_id = status->resource_provider_id;
    body.uuid = status->uuid->value;
    body.operation_id = status->operation_id;
    return rv_client_send(&c->client, &call.base, (int)call.type);
}

/* ---- life ---- */

static const struct rv_client_protocol protocol = {
    .path = "/api/v1/scheduler",
    .default_port = 5050,
    .event_type = &reeve__v1__scheduler__event__descriptor,
    .subscribe = subscribe,
    .goodbye = goodbye,
    .on_event = on_event,
};

/* "Basic " and base64 of principal:secret; NULL without a principal. */
static char *basic_authorization(const char *principal, const char *secret) {
    struct rv_buf plain = {0}, out = {0};

    if (!principal)
        return NULL;
    rv_buf_printf(&plain, "%s:%s", principal, secret ? secret : "");
    rv_buf_puts(&out, "Basic ");
    rv_buf_reserve(&out, rv_base64_encoded_size(plain.n) + 1);
    rv_base64_encode(plain.data, plain.n, out.data + out.n);
    out.n += rv_base64_encoded_size(plain.n);
    out.data[out.n] = 0;
    rv_buf_free(&plain);
    return rv_buf_take(&out, NULL);
}

int rv_scheduler_core_init(struct rv_scheduler_core *c, const struct reeve_scheduler_config *config,
                           uint64_t seed, struct rv_error *err) {
    _cleanup_free_ char *authorization = NULL;
    int rc;

    *c = (struct rv_scheduler_core){0};
    if (!config->master)
        return rv_error_set(err, RV_ERR_INVALID, "config.master is missing");
    if (!config->framework || !config->framework->name || !config->framework->user)
        return rv_error_set(err, RV_ERR_INVALID, "config.framework needs a user and a name");
    if (rv_starts_with(config->master, "zk://"))
        return rv_error_set(err, RV_ERR_INVALID, "zk:// is not supported yet: name the masters");
    authorization = basic_authorization(config->principal, config->secret);
    rc = rv_client_init(
        &c->client,
        &(struct rv_client_config){
            .protocol = &protocol,
            .owner = c,
            .targets = config->master,
            .encoding = config->encoding == REEVE_JSON ? RV_ENC_JSON : RV_ENC_PROTOBUF,
            .authorization = authorization,
            .backoff_min_ms = config->backoff_min_ms ? config->backoff_min_ms : 250,
            .backoff_max_ms = config->backoff_max_ms ? config->backoff_max_ms : 15000,
            .subscribe_timeout_ms =
                config->subscribe_timeout_ms ? config->subscribe_timeout_ms : 15000,
            .missed_heartbeats = config->missed_heartbeats ? config->missed_heartbeats : 5,
            .seed = seed,
        },
        err);
    if (rc)
        return rc;
    c->framework = copy_framework(config->framework);
    if (!c->framework) {
        rv_client_free(&c->client);
        return rv_error_set(err, RV_ERR_INVALID, "config.framework is no valid FrameworkInfo");
    }
    c->manual_acknowledge = config->manual_acknowledge;
    c->n_suppressed_roles = config->n_suppressed_roles;
    c->suppressed_roles = rv_calloc(c->n_suppressed_roles + 1, sizeof *c->suppressed_roles);
    for (size_t i = 0; i < c->n_suppressed_roles; i++)
        c->suppressed_roles[i] = rv_strdup(config->suppressed_roles[i]);
    return 0;
}

void rv_scheduler_core_free(struct rv_scheduler_core *c) {
    rv_client_free(&c->client);
    if (c->framework)
        reeve__v1__framework_info__free_unpacked(c->framework, NULL);
    for (size_t i = 0; i < c->n_suppressed_roles; i++)
        free(c->suppressed_roles[i]);
    free(c->suppressed_roles);
    *c = (struct rv_scheduler_core){0};
}
