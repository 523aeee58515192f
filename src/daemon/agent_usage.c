/*
 * What containers use, see agent_usage.h. Each answer is made by a writer that looks into the
 * daemon, here or in a child that has a copy of it.
 */
#include "daemon/agent_usage.h"

#include "daemon/agent_containers.h"
#include "daemon/legacy_json.h"
#include "daemon/snapshot.h"
#include "daemon/statistics.h"
#include "wire/codec.h"
#include "wire/convert.h"

enum { AT_ONCE = 8 }; /* containers whose figures are read without a child: some 2 ms */

/* What was asked; strings are the request's. */
struct asked {
    struct rv_agent_daemon *d;
    bool nested, standalone;
    enum rv_encoding encoding;
    const char *callback, *container_id, *framework_id, *executor_id;
};

static void reply(const struct asked *asked, struct rv_http_request *req, const char *content_type,
                  rv_snapshot_writer writer) {
    const struct rv_agent_daemon *d = asked->d;
    bool large = rv_map_count(&d->core->containers) + rv_api_containers_count(d->api) > AT_ONCE;

    rv_snapshots_reply(d->snapshots, req, large, content_type, writer, asked, sizeof *asked);
}

/* ---- GET_CONTAINERS ---- */

static Reeve__V1__Agent__Response__GetContainers__Container *
container_to(const struct rv_agent_container *c, struct rv_arena *arena) {
    Reeve__V1__Agent__Response__GetContainers__Container *m =
        RV_WIRE_MAKE(arena, Agent__Response__GetContainers__Container,
                     agent__response__get_containers__container);
    const struct rv_agent_executor *ex = c->executor;

    m->container_id = rv_wire_container_id_to(c->id, arena);
    m->container_status = c->status;
    m->resource_statistics = c->statistics;
    if (!c->made) {
        struct rv_str name = rv_agent_view_executor_name(ex, arena);
        m->framework_id = rv_wire_framework_id_to(ex->framework->id, arena);
        m->executor_id = rv_wire_executor_id_to(ex->info.id, arena);
        m->executor_name = rv_arena_strndup(arena, name.s, name.n);
    }
    return m;
}

static Reeve__V1__Agent__Response__GetContainers *containers_to(const struct asked *asked,
                                                                struct rv_arena *arena) {
    Reeve__V1__Agent__Response__GetContainers *m =
        RV_WIRE_MAKE(arena, Agent__Response__GetContainers, agent__response__get_containers);
    struct rv_agent_containers all =
        rv_api_containers_view(asked->d, asked->nested, asked->standalone, arena);

    m->containers =
        RV_ARENA_ARRAY(arena, Reeve__V1__Agent__Response__GetContainers__Container *, all.n);
    m->n_containers = all.n;
    for (size_t i = 0; i < all.n; i++)
        m->containers[i] = container_to(&all.v[i], arena);
    return m;
}

static void write_get_containers(const void *what, struct rv_sink *sink) {
    const struct asked *asked = what;
    Reeve__V1__Agent__Response response = REEVE__V1__AGENT__RESPONSE__INIT;
    _cleanup_(rv_arena_free) struct rv_arena arena;

    rv_arena_init(&arena);
    response.has_type = true;
    response.type = REEVE__V1__AGENT__RESPONSE__TYPE__GET_CONTAINERS;
    response.get_containers = containers_to(asked, &arena);
    rv_wire_encode(&response.base, asked->encoding, &sink->buf);
}

void rv_agent_usage_get_containers(struct rv_agent_daemon *d, struct rv_http_request *req,
                                   const Reeve__V1__Agent__Call *call) {
    const Reeve__V1__Agent__Call__GetContainers *in = call->get_containers;
    struct asked asked = {
        .d = d, .nested = in && in->show_nested, .standalone = in && in->show_standalone};

    if (rv_shell_accept_encoding(&d->shell, req, &asked.encoding))
        reply(&asked, req, rv_encoding_media_type(asked.encoding), write_get_containers);
}

/* ---- the endpoints from before v1 ---- */

static bool is_wanted(const char *wanted, const char *value) {
    return !wanted || !*wanted || rv_streq(wanted, value);
}

/* Who a container belongs to. */
static void put_owner(struct rv_json *j, const struct rv_agent_executor *ex,
                      struct rv_arena *arena) {
    rv_json_string(j, "framework_id", ex->framework->id.v);
    rv_json_string(j, "executor_id", ex->info.id.v);
    rv_json_bytes(j, "executor_name", rv_agent_view_executor_name(ex, arena));
    rv_json_bytes(j, "source", rv_agent_view_executor_source(ex));
}

static void put_containers(const struct asked *asked, struct rv_json *j, struct rv_arena *arena) {
    struct rv_agent_containers all =
        rv_api_containers_view(asked->d, asked->nested, asked->standalone, arena);

    for (size_t i = 0; i < all.n; i++) {
        const struct rv_agent_container *c = &all.v[i];
        const struct rv_agent_executor *ex = c->executor;
        const char *dot = strrchr(c->id.v, '.');
        const char *id = dot ? dot + 1 : c->id.v;
        if (!is_wanted(asked->container_id, id) ||
            !is_wanted(asked->framework_id, ex ? ex->framework->id.v : "") ||
            !is_wanted(asked->executor_id, ex ? ex->info.id.v : ""))
            continue;
        rv_json_object(j, NULL);
        rv_json_string(j, "container_id", id);
        if (!c->made)
            put_owner(j, ex, arena);
        rv_json_message(j, "status", &c->status->base);
        if (c->statistics)
            rv_json_message(j, "statistics", &c->statistics->base);
        rv_json_object_end(j);
    }
}

static void put_statistics(const struct asked *asked, struct rv_json *j, struct rv_arena *arena) {
    struct rv_agent_containers all = rv_agent_view_containers(asked->d, 0, arena);

    for (size_t i = 0; i < all.n; i++) {
        if (!all.v[i].statistics)
            continue;
        rv_json_object(j, NULL);
        put_owner(j, all.v[i].executor, arena);
        rv_json_message(j, "statistics", &all.v[i].statistics->base);
        rv_json_object_end(j);
    }
}

static void write_json(const struct asked *asked, struct rv_sink *sink,
                       void (*put)(const struct asked *asked, struct rv_json *j,
                                   struct rv_arena *arena)) {
    _cleanup_(rv_arena_free) struct rv_arena arena;
    struct rv_json j = {.out = &sink->buf};

    rv_arena_init(&arena);
    if (asked->callback)
        rv_buf_printf(&sink->buf, "%s(", asked->callback);
    rv_json_array(&j, NULL);
    put(asked, &j, &arena);
    rv_json_array_end(&j);
    if (asked->callback)
        rv_buf_puts(&sink->buf, ");");
}

static void write_containers(const void *what, struct rv_sink *sink) {
    write_json(what, sink, put_containers);
}

static void write_statistics(const void *what, struct rv_sink *sink) {
    write_json(what, sink, put_statistics);
}

static bool is_true(struct rv_http_request *req, const char *name) {
    return rv_streq(rv_http_query(req, name), "true");
}

static void legacy(struct rv_agent_daemon *d, struct rv_http_request *req,
                   rv_snapshot_writer writer) {
    _cleanup_(rv_buf_free) struct rv_buf checked = {0};
    struct asked asked = {.d = d,
                          .nested = is_true(req, "show_nested"),
                          .standalone = is_true(req, "show_standalone"),
                          .callback = rv_http_query(req, "jsonp"),
                          .container_id = rv_http_query(req, "container_id"),
                          .framework_id = rv_http_query(req, "framework_id"),
                          .executor_id = rv_http_query(req, "executor_id")};

    if (rv_common_is_read(&d->shell, req) && rv_common_json_begin(&d->shell, req, &checked))
        reply(&asked, req, asked.callback ? "text/javascript" : "application/json", writer);
}

/* ---- Prometheus ---- */

static void write_metrics(const void *what, struct rv_sink *sink) {
    const struct asked *asked = what;
    _cleanup_(rv_arena_free) struct rv_arena arena;
    struct rv_common common;

    rv_arena_init(&arena);
    rv_agent_view_common(asked->d, NULL, &common);
    rv_common_prometheus(&common, &sink->buf);
    rv_statistics_prometheus(containers_to(asked, &arena), &sink->buf);
}

bool rv_agent_usage_handle(struct rv_agent_daemon *d, struct rv_http_request *req,
                           const char *path) {
    const struct asked metrics = {.d = d, .nested = true, .standalone = true};

    if (rv_common_path_is(path, "/containers"))
        legacy(d, req, write_containers);
    else if (rv_common_path_is(path, "/monitor/statistics"))
        legacy(d, req, write_statistics);
    else if (!rv_common_path_is(path, "/metrics"))
        return false;
    else if (rv_common_is_read(&d->shell, req))
        reply(&metrics, req, RV_COMMON_PROMETHEUS_TYPE, write_metrics);
    return true;
}
