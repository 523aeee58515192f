/*
 * The agent's operator API: POST /api/v1, one Call in, one Response out. A table tells for each
 * type of call what part it needs and who answers. Calls of images and resource providers'
 * configuration are refused with 501 by this version, never silently.
 *
 * Costs: an answer is made and encoded within the request; nothing is kept but by the calls of
 * containers, see agent_containers.h.
 */
#include "base/assert.h"
#include "daemon/agent_containers.h"
#include "daemon/agent_usage.h"
#include "daemon/agent_views.h"
#include "daemon/agent_volumes.h"
#include "wire/convert.h"
#include "wire/maintenance_codec.h"

/* A call on its way to its answer. */
struct ask {
    struct rv_agent_daemon *daemon;
    const struct rv_agent *core;
    const struct rv_common *common;
    struct rv_arena *arena;
    const Reeve__V1__Agent__Call *call;
    Reeve__V1__Agent__Response *response;
    struct rv_error *err;
};

#define PART(ask, Type, name)                                                                      \
    ((ask)->response->name =                                                                       \
         RV_WIRE_MAKE((ask)->arena, Agent__Response__##Type, agent__response__##name))

/* --- about the daemon --- */

static int get_health(struct ask *ask) {
    PART(ask, GetHealth, get_health)->healthy = true;
    return 0;
}

static int get_flags(struct ask *ask) {
    Reeve__V1__Agent__Response__GetFlags *m = PART(ask, GetFlags, get_flags);

    rv_common_flags(ask->common, ask->arena, &m->flags, &m->n_flags);
    return 0;
}

static int get_version(struct ask *ask) {
    PART(ask, GetVersion, get_version)->version_info = rv_common_version(ask->arena);
    return 0;
}

static int get_metrics(struct ask *ask) {
    Reeve__V1__Agent__Response__GetMetrics *m = PART(ask, GetMetrics, get_metrics);

    rv_common_metrics(ask->common, ask->arena, &m->metrics, &m->n_metrics);
    return 0;
}

static int get_logging_level(struct ask *ask) {
    PART(ask, GetLoggingLevel, get_logging_level)->level = rv_common_logging_level();
    return 0;
}

static int set_logging_level(struct ask *ask) {
    const Reeve__V1__Agent__Call__SetLoggingLevel *m = ask->call->set_logging_level;

    return rv_common_set_logging_level(ask->common, m->level, m->duration->nanoseconds, ask->err);
}

/* --- files --- */

static int list_files(struct ask *ask) {
    Reeve__V1__Agent__Response__ListFiles *m = PART(ask, ListFiles, list_files);

    return rv_common_list_files(ask->common, ask->call->list_files->path, ask->arena,
                                &m->file_infos, &m->n_file_infos, ask->err);
}

static int read_file(struct ask *ask) {
    const Reeve__V1__Agent__Call__ReadFile *in = ask->call->read_file;
    Reeve__V1__Agent__Response__ReadFile *m = PART(ask, ReadFile, read_file);

    return rv_common_read_file(ask->common, in->path, in->offset, in->has_length, in->length,
                               ask->arena, &m->size, &m->data, ask->err);
}

/* --- what is on the agent --- */

static int get_state(struct ask *ask) {
    Reeve__V1__Agent__Response__GetState *m = PART(ask, GetState, get_state);

    m->get_tasks = rv_agent_view_tasks(ask->core, ask->arena);
    m->get_executors = rv_agent_view_get_executors(ask->core, ask->arena);
    m->get_frameworks = rv_agent_view_frameworks(ask->core, ask->arena);
    return 0;
}

static int get_frameworks(struct ask *ask) {
    ask->response->get_frameworks = rv_agent_view_frameworks(ask->core, ask->arena);
    return 0;
}

static int get_executors(struct ask *ask) {
    ask->response->get_executors = rv_agent_view_get_executors(ask->core, ask->arena);
    return 0;
}

static int get_tasks(struct ask *ask) {
    ask->response->get_tasks = rv_agent_view_tasks(ask->core, ask->arena);
    return 0;
}

static int get_operations(struct ask *ask) {
    ask->response->get_operations = rv_agent_view_operations(ask->core, ask->arena);
    return 0;
}

static int get_agent(struct ask *ask) {
    PART(ask, GetAgent, get_agent)->agent_info =
        rv_wire_agent_info_to(&ask->core->info, RV_SHAPE_ENDPOINT, ask->arena);
    if (ask->core->drain.drain != RV_DRAIN_DRAINING)
        return 0;
    ask->response->get_agent->drain_config = rv_wire_drain_config_to(&ask->core->drain, ask->arena);
    ask->response->get_agent->estimated_drain_start_time =
        RV_WIRE_MAKE(ask->arena, TimeInfo, time_info);
    ask->response->get_agent->estimated_drain_start_time->nanoseconds = ask->core->drain.since_ns;
    return 0;
}

static int get_resource_providers(struct ask *ask) {
    PART(ask, GetResourceProviders, get_resource_providers);
    return 0;
}

/* --- the table --- */

struct entry {
    const char *name;
    int (*answer)(struct ask *ask);
    int response;      /* type of the response; 0: 202 without one */
    const char *part;  /* that must be there; NULL: none */
    rv_api_call takes; /* answers the request itself; neither this nor answer: not supported */
};

#define TYPE(NAME) [REEVE__V1__AGENT__CALL__TYPE__##NAME]
#define RESPONSE(NAME) REEVE__V1__AGENT__RESPONSE__TYPE__##NAME
#define GET(NAME, field) TYPE(NAME) = {#NAME, field, RESPONSE(NAME), NULL}
#define ASK(NAME, field) TYPE(NAME) = {#NAME, field, RESPONSE(NAME), #field}
#define TAKE(NAME, field, takes) TYPE(NAME) = {#NAME, NULL, 0, #field, takes}
#define LATER(NAME, field) TYPE(NAME) = {#NAME, NULL, 0, #field}

static const struct entry table[] = {
    GET(GET_HEALTH, get_health), GET(GET_FLAGS, get_flags), GET(GET_VERSION, get_version),
    ASK(GET_METRICS, get_metrics), GET(GET_LOGGING_LEVEL, get_logging_level),
    TYPE(SET_LOGGING_LEVEL) = {"SET_LOGGING_LEVEL", set_logging_level, 0, "set_logging_level"},
    ASK(LIST_FILES, list_files), ASK(READ_FILE, read_file), GET(GET_STATE, get_state),
    /* Its part is optional. */
    TYPE(GET_CONTAINERS) = {"GET_CONTAINERS", NULL, 0, NULL, rv_agent_usage_get_containers},
    GET(GET_FRAMEWORKS, get_frameworks), GET(GET_EXECUTORS, get_executors),
    GET(GET_OPERATIONS, get_operations), GET(GET_TASKS, get_tasks), GET(GET_AGENT, get_agent),
    GET(GET_RESOURCE_PROVIDERS, get_resource_providers),
    TAKE(LAUNCH_NESTED_CONTAINER, launch_nested_container, rv_api_launch_nested),
    TAKE(WAIT_NESTED_CONTAINER, wait_nested_container, rv_api_wait),
    TAKE(KILL_NESTED_CONTAINER, kill_nested_container, rv_api_kill),
    TAKE(REMOVE_NESTED_CONTAINER, remove_nested_container, rv_api_remove),
    TAKE(LAUNCH_NESTED_CONTAINER_SESSION, launch_nested_container_session, rv_api_launch_session),
    TAKE(ATTACH_CONTAINER_INPUT, attach_container_input, rv_api_attach_input),
    TAKE(ATTACH_CONTAINER_OUTPUT, attach_container_output, rv_api_attach_output),
    TAKE(LAUNCH_CONTAINER, launch_container, rv_api_launch),
    TAKE(WAIT_CONTAINER, wait_container, rv_api_wait),
    TAKE(KILL_CONTAINER, kill_container, rv_api_kill),
    TAKE(REMOVE_CONTAINER, remove_container, rv_api_remove),
    LATER(ADD_RESOURCE_PROVIDER_CONFIG, add_resource_provider_config),
    LATER(UPDATE_RESOURCE_PROVIDER_CONFIG, update_resource_provider_config),
    LATER(REMOVE_RESOURCE_PROVIDER_CONFIG, remove_resource_provider_config),
    LATER(MARK_RESOURCE_PROVIDER_GONE, mark_resource_provider_gone),
    TYPE(PRUNE_IMAGES) = {"PRUNE_IMAGES", NULL, 0, NULL}, /* its part is optional */
};

static bool has_part(const Reeve__V1__Agent__Call *call, const char *name) {
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(call->base.descriptor, name);
    const void *part;

    RV_ASSERT(field);
    memcpy(&part, (const char *)call + field->offset, sizeof part);
    return part != NULL;
}

/* The entry of a call; NULL with the reason in err. */
static const struct entry *find(const Reeve__V1__Agent__Call *call, struct rv_error *err) {
    const struct entry *e = NULL;

    if (!call->has_type || call->type == REEVE__V1__AGENT__CALL__TYPE__UNKNOWN) {
        rv_error_set(err, RV_ERR_INVALID, "type: missing, or none that is known");
        return NULL;
    }
    if (call->type > 0 && (size_t)call->type < RV_COUNT(table) && table[call->type].name)
        e = &table[call->type];
    if (!e) {
        rv_error_set(err, RV_ERR_INVALID, "type: there is no call of number %d", (int)call->type);
        return NULL;
    }
    if (e->part && !has_part(call, e->part)) {
        rv_error_set(err, RV_ERR_INVALID, "%s: required by a call of type %s", e->part, e->name);
        return NULL;
    }
    if (!e->answer && !e->takes) {
        rv_error_set(err, RV_ERR_UNSUPPORTED, "%s is not supported by this version", e->name);
        return NULL;
    }
    return e;
}

static const char *path_of(const Reeve__V1__Agent__Call *call) {
    if (call->list_files)
        return call->list_files->path;
    return call->read_file ? call->read_file->path : NULL;
}

void rv_agent_operator_handle(struct rv_agent_daemon *d, struct rv_http_request *req) {
    ProtobufCMessage *decoded;
    enum rv_encoding encoding;
    struct rv_error err;

    if (!rv_shell_is_post(&d->shell, req) ||
        !rv_shell_decode(&d->shell, req, &reeve__v1__agent__call__descriptor, &d->arena, &decoded))
        return;
    const Reeve__V1__Agent__Call *call = (const void *)decoded;
    const struct entry *e = find(call, &err);
    if (!e) {
        rv_common_refuse(&d->shell, req, &err);
        return;
    }
    if (e->takes) {
        e->takes(d, req, call);
        return;
    }
    if (!rv_shell_accept_encoding(&d->shell, req, &encoding))
        return;
    Reeve__V1__Agent__Response response = REEVE__V1__AGENT__RESPONSE__INIT;
    _cleanup_(rv_files_free) struct rv_files files = {0};
    struct rv_common common;
    struct ask ask = {.daemon = d,
                      .core = d->core,
                      .common = &common,
                      .arena = &d->arena,
                      .call = call,
                      .response = &response,
                      .err = &err};
    response.has_type = true;
    response.type = (Reeve__V1__Agent__Response__Type)e->response;
    rv_agent_view_files(d, path_of(call), &files);
    rv_agent_volumes_attach(d, path_of(call), &files);
    rv_agent_view_common(d, &files, &common);
    if (e->answer(&ask))
        rv_common_refuse(&d->shell, req, &err);
    else if (e->response)
        rv_shell_reply_message(req, encoding, &response.base);
    else
        rv_http_reply(req, 202, NULL, rv_strn(NULL, 0), NULL);
}
