/*
 * The agent's read-only endpoints from before the v1 API: /state, beside those of agent_usage.h and
 * those that master and agent share (common.h). The shapes are those that tools and web consoles
 * read (endpoints/slave of the operators' documentation).
 *
 * Costs: the text is written while walking the records.
 */
#include <stdlib.h>

#include "daemon/agent_usage.h"
#include "daemon/agent_views.h"
#include "daemon/agent_volumes.h"
#include "daemon/legacy_json.h"
#include "wire/maintenance_codec.h"

/* Fields of ExecutorInfo, and of Labels. */
enum { EXECUTOR_LABELS = 14, LABELS_LABELS = 1 };

/* --- /state --- */

static void put_task(struct rv_json *j, const struct rv_agent *a, const struct rv_agent_task *t,
                     struct rv_arena *scratch) {
    const struct rv_agent_executor *ex = t->executor;
    const struct rv_json_task view = {
        .id = t->id.v,
        .name = t->info.name,
        .framework_id = ex->framework->id.v,
        .executor_id = ex->command ? NULL : ex->info.id.v,
        .agent_id = t->info.agent_id.v ? t->info.agent_id.v : a->info.id.v,
        .state = t->state,
        .resources = &t->info.resources,
        .statuses = t->statuses.v,
        .n_statuses = t->statuses.n,
        .packed = t->info.packed,
    };

    rv_json_task(j, NULL, &view, scratch);
}

static void put_tasks(struct rv_json *j, const char *key, const struct rv_agent *a,
                      const struct rv_agent_executor *ex, enum rv_agent_task_place place,
                      struct rv_arena *scratch) {
    void *item;

    rv_json_array(j, key);
    if (place == RV_TASK_TERMINATED) /* shown among the completed ones, which are older */
        for (size_t i = 0; i < ex->completed.n; i++)
            put_task(j, a, ex->completed.v[i], scratch);
    for (size_t it = 0; rv_map_next(&ex->tasks, &it, NULL, &item);) {
        const struct rv_agent_task *t = item;
        if (t->place == place)
            put_task(j, a, t, scratch);
    }
    rv_json_array_end(j);
}

static void put_labels(struct rv_json *j, const struct rv_executor_info *info,
                       struct rv_arena *scratch) {
    struct rv_str labels = rv_packed_bytes(rv_blob_bytes(info->packed), EXECUTOR_LABELS);
    struct rv_packed_field f;

    if (!labels.s)
        return;
    rv_json_array(j, "labels");
    while (rv_packed_next(&labels, &f))
        if (f.number == LABELS_LABELS && f.wire == 2)
            rv_json_packed(j, NULL, &reeve__v1__label__descriptor, f.bytes, scratch);
    rv_json_array_end(j);
}

static void put_executor(struct rv_json *j, const struct rv_agent *a,
                         const struct rv_agent_executor *ex, struct rv_arena *scratch) {
    const struct rv_resources *own = &ex->info.resources;

    rv_json_object(j, NULL);
    rv_json_string(j, "id", ex->info.id.v);
    rv_json_bytes(j, "name", rv_agent_view_executor_name(ex, scratch));
    rv_json_bytes(j, "source", rv_agent_view_executor_source(ex));
    rv_json_string(j, "container", ex->container_id.v);
    rv_json_string(j, "directory", ex->directory);
    rv_json_resources(j, "resources", &ex->resources);
    if (own->n)
        rv_json_string(j, "role",
                       own->v[0].kind->allocation_role ? own->v[0].kind->allocation_role : "*");
    put_labels(j, &ex->info, scratch);
    if (!ex->command)
        rv_json_string(j, "type", ex->info.type == RV_EXECUTOR_DEFAULT ? "DEFAULT" : "CUSTOM");
    put_tasks(j, "tasks", a, ex, RV_TASK_LAUNCHED, scratch);
    put_tasks(j, "queued_tasks", a, ex, RV_TASK_QUEUED, scratch);
    put_tasks(j, "completed_tasks", a, ex, RV_TASK_TERMINATED, scratch);
    rv_json_object_end(j);
    rv_arena_reset(scratch);
}

static void put_roles(struct rv_json *j, const struct rv_framework_info *info) {
    if (!rv_framework_can(info, RV_FRAMEWORK_MULTI_ROLE)) {
        rv_json_string(j, "role", info->n_roles ? info->roles[0] : "*");
        return;
    }
    rv_json_array(j, "roles");
    for (size_t i = 0; i < info->n_roles; i++)
        rv_json_string(j, NULL, info->roles[i]);
    rv_json_array_end(j);
}

static void put_framework(struct rv_json *j, const struct rv_agent *a,
                          const struct rv_agent_framework *fw, struct rv_arena *scratch) {
    void *ex;

    rv_json_object(j, NULL);
    rv_json_string(j, "id", fw->id.v);
    rv_json_string(j, "name", fw->info.name);
    rv_json_string(j, "user", fw->info.user);
    rv_json_thousandths(j, "failover_timeout", fw->info.failover_timeout_ms);
    rv_json_bool(j, "checkpoint", fw->info.checkpoint);
    rv_json_string(j, "hostname", fw->info.hostname);
    if (fw->info.principal)
        rv_json_string(j, "principal", fw->info.principal);
    put_roles(j, &fw->info);
    rv_json_array(j, "executors");
    for (size_t it = 0; rv_map_next(&fw->executors, &it, NULL, &ex);)
        put_executor(j, a, ex, scratch);
    rv_json_array_end(j);
    rv_json_array(j, "completed_executors");
    for (size_t i = 0; i < fw->completed.n; i++)
        put_executor(j, a, fw->completed.v[i], scratch);
    rv_json_array_end(j);
    rv_json_object_end(j);
}

static void put_frameworks(struct rv_json *j, const struct rv_agent *a, struct rv_arena *scratch) {
    void *fw;

    rv_json_array(j, "frameworks");
    for (size_t it = 0; rv_map_next(&a->frameworks, &it, NULL, &fw);)
        put_framework(j, a, fw, scratch);
    rv_json_array_end(j);
    rv_json_array(j, "completed_frameworks");
    for (size_t i = 0; i < a->completed.n; i++)
        put_framework(j, a, a->completed.v[i], scratch);
    rv_json_array_end(j);
}

static void put_state_resources(struct rv_json *j, const struct rv_agent *a,
                                struct rv_arena *scratch) {
    const struct rv_resources *total = &a->durable_total;
    _cleanup_(rv_resources_free) struct rv_resources allocated = {0};

    rv_agent_view_allocated(a, &allocated);
    rv_json_resources(j, "resources", total);
    rv_json_reserved(j, "reserved_resources", total);
    rv_json_unreserved(j, "unreserved_resources", total);
    rv_json_reserved_full(j, "reserved_resources_full", total, scratch);
    rv_json_unreserved_full(j, "unreserved_resources_full", total, scratch);
    rv_json_reserved(j, "reserved_resources_allocated", &allocated);
    rv_json_unreserved(j, "unreserved_resources_allocated", &allocated);
}

static void state(struct rv_agent_daemon *d, struct rv_json *j, const struct rv_common *c) {
    const struct rv_agent *a = d->core;
    struct rv_arena *scratch = &d->scratch; /* emptied after each executor */
    const char *master = d->flags->master, *colon = master ? strrchr(master, ':') : NULL;
    const bool ipv6 = strchr(d->ip, ':') != NULL;

    rv_json_object(j, NULL);
    rv_common_version_members(j);
    rv_json_seconds(j, "start_time", d->started_ns);
    rv_json_string(j, "id", a->info.id.v);
    rv_json_string(
        j, "pid",
        rv_arena_printf(scratch, ipv6 ? "slave(1)@[%s]:%u" : "slave(1)@%s:%u", d->ip, d->port));
    rv_json_string(j, "hostname", d->hostname);
    rv_json_agent_capabilities(j, "capabilities", a->info.capabilities);
    rv_json_domain(j, "domain", a->info.region, a->info.zone);
    put_state_resources(j, a, scratch);
    rv_json_array(j, "resource_providers");
    rv_json_array_end(j);
    rv_json_attributes(j, "attributes", &a->info.attributes);
    if (a->link == RV_LINK_REGISTERED && colon)
        rv_json_bytes(j, "master_hostname", rv_strn(master, (size_t)(colon - master)));
    rv_common_flags_json(c, j, "flags");
    if (a->drain.drain == RV_DRAIN_DRAINING) {
        rv_json_message(j, "drain_config", &rv_wire_drain_config_to(&a->drain, scratch)->base);
        rv_json_seconds(j, "estimated_drain_start_time_seconds", a->drain.since_ns);
    }
    put_frameworks(j, a, scratch);
    rv_json_object_end(j);
}

/* --- endpoints --- */

bool rv_agent_legacy_handle(struct rv_agent_daemon *d, struct rv_http_request *req,
                            const char *path) {
    _cleanup_(rv_files_free) struct rv_files files = {0};
    struct rv_common common;
    struct rv_buf out = {0};
    struct rv_json j = {.out = &out};

    if (rv_agent_usage_handle(d, req, path))
        return true;
    rv_agent_view_files(d, rv_http_query(req, "path"), &files);
    rv_agent_volumes_attach(d, rv_http_query(req, "path"), &files);
    rv_agent_view_common(d, &files, &common);
    if (!rv_common_path_is(path, "/state"))
        return rv_common_handle(&common, req, path);
    if (!rv_common_is_read(&d->shell, req) || !rv_common_json_begin(&d->shell, req, &out))
        return true;
    state(d, &j, &common);
    rv_common_json_end(req, &out);
    return true;
}
