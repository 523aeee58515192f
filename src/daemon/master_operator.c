/*
 * POST /api/v1 of the master: one table from the type of a call to what answers it. Reading is
 * answered here from the records; what changes something goes through the core as an event.
 */
#include "daemon/common.h"
#include "daemon/master_endpoints.h"
#include "daemon/master_metrics.h"
#include "daemon/master_views.h"
#include "reeve/v1/master.pb-c.h"
#include "wire/convert.h"

/* A call under way. Its tree is in the daemon's arena, as is the answer's. */
struct call {
    struct rv_master_daemon *d;
    struct rv_http_request *req;
    const Reeve__V1__Master__Call *m;
    enum rv_encoding encoding; /* of the answer */
    Reeve__V1__Master__Response *response;
};

struct rv_common rv_master_common(struct rv_master_daemon *d) {
    return (struct rv_common){
        .shell = &d->shell,
        .table = &rv_master_flag_table,
        .flags = d->flags,
        .measure = rv_master_measure,
        .ctx = d,
        .many_metrics = rv_master_has_many_metrics(d),
        .snapshots = d->snapshots,
    };
}

/* A part of the answer in the arena: RESPOND(c, GetHealth, get_health) sets
 * c->response->get_health.
 */
#define RESPOND(c, Type, name)                                                                     \
    ((c)->response->name =                                                                         \
         RV_WIRE_MAKE(&(c)->d->arena, Master__Response__##Type, master__response__##name))

static void send_response(struct call *c) {
    rv_shell_reply_message(c->req, c->encoding, &c->response->base);
}

/* Parts that a call cannot be without. */
static bool has_part(struct call *c, const void *part, const char *name) {
    if (part)
        return true;
    c->d->shell.bad_requests++;
    rv_http_reply_text(c->req, 400, "Expecting '%s' to be present.\n", name);
    return false;
}

/* --- about the master --- */

static void get_health(struct call *c) {
    RESPOND(c, GetHealth, get_health)->healthy = true;
    send_response(c);
}

static void get_flags(struct call *c) {
    struct rv_common common = rv_master_common(c->d);

    RESPOND(c, GetFlags, get_flags);
    rv_common_flags(&common, &c->d->arena, &c->response->get_flags->flags,
                    &c->response->get_flags->n_flags);
    send_response(c);
}

static void get_version(struct call *c) {
    RESPOND(c, GetVersion, get_version)->version_info = rv_common_version(&c->d->arena);
    send_response(c);
}

struct metrics_asked {
    struct rv_common common;
    enum rv_encoding encoding;
};

static void write_metrics(const void *what, struct rv_sink *sink) {
    const struct metrics_asked *asked = what;
    Reeve__V1__Master__Response__GetMetrics part = REEVE__V1__MASTER__RESPONSE__GET_METRICS__INIT;
    Reeve__V1__Master__Response response = REEVE__V1__MASTER__RESPONSE__INIT;
    _cleanup_(rv_arena_free) struct rv_arena arena;

    rv_arena_init(&arena);
    response.has_type = true;
    response.type = REEVE__V1__MASTER__RESPONSE__TYPE__GET_METRICS;
    response.get_metrics = &part;
    rv_common_metrics(&asked->common, &arena, &part.metrics, &part.n_metrics);
    rv_wire_encode(&response.base, asked->encoding, &sink->buf);
}

static void get_metrics(struct call *c) {
    struct metrics_asked asked = {rv_master_common(c->d), c->encoding};

    if (has_part(c, c->m->get_metrics, "get_metrics"))
        rv_snapshots_reply(c->d->snapshots, c->req, asked.common.many_metrics,
                           rv_encoding_media_type(c->encoding), write_metrics, &asked,
                           sizeof asked);
}

static void get_logging_level(struct call *c) {
    RESPOND(c, GetLoggingLevel, get_logging_level)->level = rv_common_logging_level();
    send_response(c);
}

static void set_logging_level(struct call *c) {
    struct rv_common common = rv_master_common(c->d);
    struct rv_error err;

    if (!has_part(c, c->m->set_logging_level, "set_logging_level"))
        return;
    if (rv_common_set_logging_level(&common, c->m->set_logging_level->level,
                                    c->m->set_logging_level->duration->nanoseconds, &err))
        rv_common_refuse(&c->d->shell, c->req, &err);
    else
        rv_http_reply(c->req, 200, NULL, rv_strn(NULL, 0), NULL);
}

static void list_files(struct call *c) {
    struct rv_common common = rv_master_common(c->d);
    struct rv_error err;

    if (!has_part(c, c->m->list_files, "list_files"))
        return;
    RESPOND(c, ListFiles, list_files);
    if (rv_common_list_files(&common, c->m->list_files->path, &c->d->arena,
                             &c->response->list_files->file_infos,
                             &c->response->list_files->n_file_infos, &err))
        rv_common_refuse(&c->d->shell, c->req, &err);
    else
        send_response(c);
}

static void read_file(struct call *c) {
    struct rv_common common = rv_master_common(c->d);
    const Reeve__V1__Master__Call__ReadFile *asked = c->m->read_file;
    struct rv_error err;

    if (!has_part(c, asked, "read_file"))
        return;
    RESPOND(c, ReadFile, read_file);
    if (rv_common_read_file(&common, asked->path, asked->offset, asked->has_length, asked->length,
                            &c->d->arena, &c->response->read_file->size,
                            &c->response->read_file->data, &err))
        rv_common_refuse(&c->d->shell, c->req, &err);
    else
        send_response(c);
}

static void get_master(struct call *c) {
    c->response->get_master = rv_master_view_master(c->d->core, &c->d->arena);
    c->response->get_master->start_time = (double)(c->d->started_ns / 1000) / 1e6;
    send_response(c);
}

/* --- the cluster --- */

struct view_asked {
    const struct rv_master *m;
    enum rv_master_view view;
    enum rv_encoding encoding;
};

static void write_view(const void *what, struct rv_sink *sink) {
    const struct view_asked *asked = what;

    rv_master_view_write(asked->m, asked->view, asked->encoding, sink);
}

static void view(struct call *c, enum rv_master_view which) {
    struct view_asked asked = {.m = c->d->core, .view = which, .encoding = c->encoding};

    rv_snapshots_reply(c->d->snapshots, c->req, rv_master_is_large(c->d->core),
                       rv_encoding_media_type(c->encoding), write_view, &asked, sizeof asked);
}

static void get_state(struct call *c) {
    view(c, RV_VIEW_STATE);
}

static void get_agents(struct call *c) {
    view(c, RV_VIEW_AGENTS);
}

static void get_frameworks(struct call *c) {
    view(c, RV_VIEW_FRAMEWORKS);
}

static void get_executors(struct call *c) {
    view(c, RV_VIEW_EXECUTORS);
}

static void get_tasks(struct call *c) {
    view(c, RV_VIEW_TASKS);
}

static void get_roles(struct call *c) {
    view(c, RV_VIEW_ROLES);
}

static void get_operations(struct call *c) {
    view(c, RV_VIEW_OPERATIONS);
}

static void get_weights(struct call *c) {
    c->response->get_weights = rv_master_view_weights(c->d->core, &c->d->arena);
    send_response(c);
}

static void get_quota(struct call *c) {
    RESPOND(c, GetQuota, get_quota)->status = rv_master_view_quota(c->d->core, &c->d->arena);
    send_response(c);
}

static void get_maintenance_status(struct call *c) {
    RESPOND(c, GetMaintenanceStatus, get_maintenance_status)->status =
        rv_master_view_maintenance(c->d->core, &c->d->arena);
    send_response(c);
}

static void get_maintenance_schedule(struct call *c) {
    RESPOND(c, GetMaintenanceSchedule, get_maintenance_schedule)->schedule =
        rv_master_view_schedule(c->d->core, &c->d->arena);
    send_response(c);
}

/* --- changes --- */

static void step(struct call *c, const struct rv_operator_call *call, bool stream) {
    struct rv_master_event event = {
        .kind = RV_MASTER_OPERATOR_CALL,
        .request = rv_master_daemon_park(c->d, c->req, c->encoding, stream),
        .stream = stream ? rv_shell_number(&c->d->shell) : 0,
        .operator_ = call,
    };

    rv_master_daemon_step(c->d, &event);
}

static void subscribe(struct call *c) {
    step(c, &(struct rv_operator_call){.type = RV_OPERATOR_SUBSCRIBE}, true);
}

static void teardown(struct call *c) {
    struct rv_operator_call call = {.type = RV_OPERATOR_TEARDOWN};

    if (!has_part(c, c->m->teardown, "teardown"))
        return;
    call.framework_id.v = c->m->teardown->framework_id->value;
    step(c, &call, false);
}

static void update_weights(struct call *c) {
    const Reeve__V1__Master__Call__UpdateWeights *asked = c->m->update_weights;

    if (!has_part(c, asked, "update_weights"))
        return;
    rv_master_update_weights(c->d, c->req, c->encoding, asked->weight_infos, asked->n_weight_infos);
}

void rv_master_update_weights(struct rv_master_daemon *d, struct rv_http_request *req,
                              enum rv_encoding encoding, Reeve__V1__WeightInfo *const *v,
                              size_t n) {
    struct rv_weight *weights = RV_ARENA_ARRAY(&d->arena, struct rv_weight, n);
    struct rv_operator_call call = {
        .type = RV_OPERATOR_UPDATE_WEIGHTS, .weights = weights, .n_weights = n};
    struct call c = {.d = d, .req = req, .encoding = encoding};

    for (size_t i = 0; i < n; i++) {
        if (!v[i]->role) {
            rv_common_bad_request(&d->shell, req, "weight_infos: every weight needs its role");
            return;
        }
        weights[i] = (struct rv_weight){.role = v[i]->role, .weight = v[i]->weight};
    }
    step(&c, &call, false);
}

static void update_quota(struct call *c) {
    if (has_part(c, c->m->update_quota, "update_quota"))
        rv_master_update_quota(c->d, c->req, c->m->update_quota);
}

static void set_quota(struct call *c) {
    if (has_part(c, c->m->set_quota, "set_quota"))
        rv_master_set_quota(c->d, c->req, c->m->set_quota->quota_request);
}

static void remove_quota(struct call *c) {
    if (has_part(c, c->m->remove_quota, "remove_quota"))
        rv_master_remove_quota(c->d, c->req, c->m->remove_quota->role);
}

static void mark_agent_gone(struct call *c) {
    if (has_part(c, c->m->mark_agent_gone, "mark_agent_gone"))
        rv_master_change_agent(c->d, c->req, RV_OPERATOR_MARK_AGENT_GONE,
                               c->m->mark_agent_gone->agent_id);
}

static void drain_agent(struct call *c) {
    if (has_part(c, c->m->drain_agent, "drain_agent"))
        rv_master_drain(c->d, c->req, c->m->drain_agent);
}

static void deactivate_agent(struct call *c) {
    if (has_part(c, c->m->deactivate_agent, "deactivate_agent"))
        rv_master_change_agent(c->d, c->req, RV_OPERATOR_DEACTIVATE_AGENT,
                               c->m->deactivate_agent->agent_id);
}

static void reactivate_agent(struct call *c) {
    if (has_part(c, c->m->reactivate_agent, "reactivate_agent"))
        rv_master_change_agent(c->d, c->req, RV_OPERATOR_REACTIVATE_AGENT,
                               c->m->reactivate_agent->agent_id);
}

static void update_maintenance_schedule(struct call *c) {
    if (has_part(c, c->m->update_maintenance_schedule, "update_maintenance_schedule"))
        rv_master_update_schedule(c->d, c->req, c->m->update_maintenance_schedule->schedule);
}

static void start_maintenance(struct call *c) {
    const Reeve__V1__Master__Call__StartMaintenance *asked = c->m->start_maintenance;

    if (has_part(c, asked, "start_maintenance"))
        rv_master_change_machines(c->d, c->req, RV_OPERATOR_START_MAINTENANCE, asked->machines,
                                  asked->n_machines);
}

static void stop_maintenance(struct call *c) {
    const Reeve__V1__Master__Call__StopMaintenance *asked = c->m->stop_maintenance;

    if (has_part(c, asked, "stop_maintenance"))
        rv_master_change_machines(c->d, c->req, RV_OPERATOR_STOP_MAINTENANCE, asked->machines,
                                  asked->n_machines);
}

static void reserve_resources(struct call *c) {
    if (has_part(c, c->m->reserve_resources, "reserve_resources"))
        rv_master_reserve(c->d, c->req, c->m->reserve_resources);
}

static void unreserve_resources(struct call *c) {
    if (has_part(c, c->m->unreserve_resources, "unreserve_resources"))
        rv_master_unreserve(c->d, c->req, c->m->unreserve_resources);
}

static void create_volumes(struct call *c) {
    if (has_part(c, c->m->create_volumes, "create_volumes"))
        rv_master_create_volumes(c->d, c->req, c->m->create_volumes);
}

static void destroy_volumes(struct call *c) {
    if (has_part(c, c->m->destroy_volumes, "destroy_volumes"))
        rv_master_destroy_volumes(c->d, c->req, c->m->destroy_volumes);
}

static void grow_volume(struct call *c) {
    if (has_part(c, c->m->grow_volume, "grow_volume"))
        rv_master_grow_volume(c->d, c->req, c->m->grow_volume);
}

static void shrink_volume(struct call *c) {
    if (has_part(c, c->m->shrink_volume, "shrink_volume"))
        rv_master_shrink_volume(c->d, c->req, c->m->shrink_volume);
}

/* --- the table --- */

/* Type, the response's type (UNKNOWN: none, or written by a view), what answers it */
#define CALLS(X)                                                                                   \
    X(GET_HEALTH, GET_HEALTH, get_health)                                                          \
    X(GET_FLAGS, GET_FLAGS, get_flags)                                                             \
    X(GET_VERSION, GET_VERSION, get_version)                                                       \
    X(GET_METRICS, GET_METRICS, get_metrics)                                                       \
    X(GET_LOGGING_LEVEL, GET_LOGGING_LEVEL, get_logging_level)                                     \
    X(SET_LOGGING_LEVEL, UNKNOWN, set_logging_level)                                               \
    X(LIST_FILES, LIST_FILES, list_files)                                                          \
    X(READ_FILE, READ_FILE, read_file)                                                             \
    X(GET_STATE, UNKNOWN, get_state)                                                               \
    X(GET_AGENTS, UNKNOWN, get_agents)                                                             \
    X(GET_FRAMEWORKS, UNKNOWN, get_frameworks)                                                     \
    X(GET_EXECUTORS, UNKNOWN, get_executors)                                                       \
    X(GET_OPERATIONS, UNKNOWN, get_operations)                                                     \
    X(GET_TASKS, UNKNOWN, get_tasks)                                                               \
    X(GET_ROLES, UNKNOWN, get_roles)                                                               \
    X(GET_WEIGHTS, GET_WEIGHTS, get_weights)                                                       \
    X(UPDATE_WEIGHTS, UNKNOWN, update_weights)                                                     \
    X(GET_MASTER, GET_MASTER, get_master)                                                          \
    X(SUBSCRIBE, UNKNOWN, subscribe)                                                               \
    X(RESERVE_RESOURCES, UNKNOWN, reserve_resources)                                               \
    X(UNRESERVE_RESOURCES, UNKNOWN, unreserve_resources)                                           \
    X(CREATE_VOLUMES, UNKNOWN, create_volumes)                                                     \
    X(DESTROY_VOLUMES, UNKNOWN, destroy_volumes)                                                   \
    X(GROW_VOLUME, UNKNOWN, grow_volume)                                                           \
    X(SHRINK_VOLUME, UNKNOWN, shrink_volume)                                                       \
    X(GET_MAINTENANCE_STATUS, GET_MAINTENANCE_STATUS, get_maintenance_status)                      \
    X(GET_MAINTENANCE_SCHEDULE, GET_MAINTENANCE_SCHEDULE, get_maintenance_schedule)                \
    X(UPDATE_MAINTENANCE_SCHEDULE, UNKNOWN, update_maintenance_schedule)                           \
    X(START_MAINTENANCE, UNKNOWN, start_maintenance)                                               \
    X(STOP_MAINTENANCE, UNKNOWN, stop_maintenance)                                                 \
    X(DRAIN_AGENT, UNKNOWN, drain_agent)                                                           \
    X(DEACTIVATE_AGENT, UNKNOWN, deactivate_agent)                                                 \
    X(REACTIVATE_AGENT, UNKNOWN, reactivate_agent)                                                 \
    X(GET_QUOTA, GET_QUOTA, get_quota)                                                             \
    X(UPDATE_QUOTA, UNKNOWN, update_quota)                                                         \
    X(SET_QUOTA, UNKNOWN, set_quota)                                                               \
    X(REMOVE_QUOTA, UNKNOWN, remove_quota)                                                         \
    X(TEARDOWN, UNKNOWN, teardown)                                                                 \
    X(MARK_AGENT_GONE, UNKNOWN, mark_agent_gone)

struct handler {
    Reeve__V1__Master__Response__Type response;
    void (*answer)(struct call *c);
};

static const struct handler *handler_of(const Reeve__V1__Master__Call *m) {
    static const struct handler handlers[] = {
#define X(call, response_, answer_)                                                                \
    [REEVE__V1__MASTER__CALL__TYPE__##                                                             \
        call] = {.response = REEVE__V1__MASTER__RESPONSE__TYPE__##response_, .answer = answer_},
        CALLS(X)
#undef X
    };

    if (!m->has_type || (size_t)m->type >= RV_COUNT(handlers) || !handlers[m->type].answer)
        return NULL;
    return &handlers[m->type];
}

void rv_master_operator_handle(struct rv_master_daemon *d, struct rv_http_request *req) {
    struct call c = {.d = d, .req = req};
    ProtobufCMessage *tree;

    if (!rv_shell_is_post(&d->shell, req) ||
        !rv_shell_decode(&d->shell, req, &reeve__v1__master__call__descriptor, &d->arena, &tree))
        return;
    c.m = (const Reeve__V1__Master__Call *)tree;
    const struct handler *handler = handler_of(c.m);
    if (!handler) {
        rv_common_bad_request(&d->shell, req,
                              c.m->has_type ? "type: there is no such call"
                                            : "Expecting 'type' to be present.");
        return;
    }
    if (!rv_shell_accept_encoding(&d->shell, req, &c.encoding))
        return;
    c.response = RV_WIRE_MAKE(&d->arena, Master__Response, master__response);
    c.response->has_type = true;
    c.response->type = handler->response;
    handler->answer(&c);
}
