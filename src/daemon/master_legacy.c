/*
 * The endpoints of the master from before the v1 API, which tools and consoles still read. The
 * names of fields are those of the peer (src/master/http.cpp, src/common/http.cpp). Text is written
 * straight from the records; a large state is written in a child (daemon/snapshot.h).
 */
#include <stdlib.h>

#include "base/fixed.h"
#include "daemon/legacy_json.h"
#include "daemon/master_endpoints.h"
#include "daemon/master_views.h"
#include "daemon/snapshot.h"
#include "reeve/v1/master.pb-c.h"
#include "wire/convert.h"
#include "wire/maintenance_codec.h"

#define TASKS_LIMIT 100 /* of /tasks, unless told */

/* What was asked; strings are the request's. Copied to where the answer is written. */
struct asked {
    struct rv_master_daemon *d;
    void (*write)(const struct asked *asked, struct rv_json *j, struct rv_sink *sink,
                  struct rv_arena *scratch);
    const char *callback; /* jsonp */
    const char *framework_id, *agent_id, *task_id;
    uint64_t limit, offset;
    bool ascending;
};

static bool wanted(const char *asked, const char *id) {
    return !asked || rv_streq(asked, id);
}

/* Between two records of a long list. */
static void next_record(struct rv_sink *sink, struct rv_arena *scratch) {
    rv_arena_reset(scratch);
    rv_sink_breathe(sink);
}

/* --- agents --- */

static void put_pid(struct rv_json *j, const char *key, const char *name, const char *ip,
                    int port) {
    _cleanup_free_ char *pid =
        rv_asprintf(ip && strchr(ip, ':') ? "%s@[%s]:%d" : "%s@%s:%d", name, ip ? ip : "", port);

    rv_json_string(j, key, pid);
}

static void put_agent_info(struct rv_json *j, const struct rv_agent_info *info,
                           struct rv_agent_id id) {
    rv_json_string(j, "id", id.v);
    rv_json_string(j, "hostname", info->hostname);
    rv_json_int(j, "port", info->port);
    rv_json_attributes(j, "attributes", &info->attributes);
    rv_json_domain(j, "domain", info->region, info->zone);
}

/* The members of an agent, into the object that is open. */
static void put_agent(struct rv_json *j, const struct rv_master_agent *a,
                      struct rv_arena *scratch) {
    put_agent_info(j, &a->info, a->id);
    put_pid(j, "pid", "slave(1)", a->info.ip, a->info.port);
    rv_json_seconds(j, "registered_time", a->registered_ns);
    if (a->reregistered_ns)
        rv_json_seconds(j, "reregistered_time", a->reregistered_ns);
    rv_json_resources(j, "resources", &a->total);
    rv_json_resources(j, "used_resources", &a->used);
    rv_json_resources(j, "offered_resources", &a->offered);
    rv_json_reserved(j, "reserved_resources", &a->total);
    rv_json_unreserved(j, "unreserved_resources", &a->total);
    rv_json_bool(j, "active", a->active);
    rv_json_bool(j, "deactivated", a->deactivation != NULL);
    rv_json_string(j, "version", a->info.version);
    rv_json_agent_capabilities(j, "capabilities", a->info.capabilities);
    if (!a->deactivation || a->deactivation->drain == RV_DRAIN_UNKNOWN)
        return;
    rv_json_message(j, "drain_info", &rv_wire_drain_info_to(a->deactivation, scratch)->base);
    rv_json_seconds(j, "estimated_drain_start_time_seconds", a->deactivation->since_ns);
}

static void put_recovered(struct rv_json *j, const struct rv_master *m, const char *agent_id) {
    void *v;

    rv_json_array(j, "recovered_slaves");
    for (size_t it = 0; rv_map_next(&m->recovered, &it, NULL, &v);) {
        const struct rv_agent_info *info = v;
        if (!wanted(agent_id, info->id.v))
            continue;
        rv_json_object(j, NULL);
        put_agent_info(j, info, info->id);
        rv_json_object_end(j);
    }
    rv_json_array_end(j);
}

static void write_slaves(const struct asked *asked, struct rv_json *j, struct rv_sink *sink,
                         struct rv_arena *scratch) {
    const struct rv_master *m = asked->d->core;
    void *v;

    rv_json_object(j, NULL);
    rv_json_array(j, "slaves");
    for (size_t it = 0; rv_map_next(&m->agents, &it, NULL, &v);) {
        const struct rv_master_agent *a = v;
        if (!wanted(asked->agent_id, a->id.v))
            continue;
        rv_json_object(j, NULL);
        put_agent(j, a, scratch);
        rv_json_reserved_full(j, "reserved_resources_full", &a->total, scratch);
        rv_json_unreserved_full(j, "unreserved_resources_full", &a->total, scratch);
        rv_json_resources_full(j, "used_resources_full", &a->used, scratch);
        rv_json_resources_full(j, "offered_resources_full", &a->offered, scratch);
        rv_json_object_end(j);
        next_record(sink, scratch);
    }
    rv_json_array_end(j);
    put_recovered(j, m, asked->agent_id);
    rv_json_object_end(j);
}

/* --- tasks --- */

static void put_task(struct rv_json *j, const struct rv_master_task *t, struct rv_arena *scratch) {
    struct rv_json_task shown = {
        .id = t->id.v,
        .name = t->info.name,
        .framework_id = t->framework->id.v,
        .executor_id = t->executor_id.v,
        .agent_id = t->agent_id.v,
        .state = t->state,
        .resources = &t->info.resources,
        .statuses = t->statuses.v,
        .n_statuses = t->statuses.n,
        .packed = t->info.packed,
    };

    rv_json_task(j, NULL, &shown, scratch);
}

struct found_task {
    const struct rv_master_task *task;
    int64_t since_ns; /* of its first status; 0: it has none */
    size_t at;        /* keeps the order of equals */
};

struct task_search {
    const struct asked *asked;
    RV_VEC(struct found_task) found;
};

static void find_task(void *ctx, const struct rv_master_task *t) {
    struct task_search *search = ctx;

    if (!wanted(search->asked->framework_id, t->framework->id.v) ||
        !wanted(search->asked->task_id, t->id.v))
        return;
    struct found_task one = {.task = t, .at = search->found.n};
    if (t->statuses.n)
        one.since_ns = t->statuses.v[0].timestamp_ns;
    rv_vec_push(&search->found, one);
}

static int by_age(const void *a, const void *b) {
    const struct found_task *x = a, *y = b;

    if (x->since_ns != y->since_ns)
        return x->since_ns < y->since_ns ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static int by_youth(const void *a, const void *b) {
    const struct found_task *x = a, *y = b;

    if (x->since_ns != y->since_ns)
        return x->since_ns > y->since_ns ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void write_tasks(const struct asked *asked, struct rv_json *j, struct rv_sink *sink,
                        struct rv_arena *scratch) {
    struct task_search search = {.asked = asked};

    for (int list = 0; list < RV_TASK_LIST_MAX; list++)
        rv_master_each_task(asked->d->core, (enum rv_task_list)list, find_task, &search);
    if (search.found.n)
        qsort(search.found.v, search.found.n, sizeof *search.found.v,
              asked->ascending ? by_age : by_youth);
    rv_json_object(j, NULL);
    rv_json_array(j, "tasks");
    for (uint64_t i = asked->offset; i < search.found.n && i - asked->offset < asked->limit; i++) {
        put_task(j, search.found.v[i].task, scratch);
        next_record(sink, scratch);
    }
    rv_json_array_end(j);
    rv_json_object_end(j);
    rv_vec_free(&search.found);
}

/* --- frameworks --- */

static void put_framework_summary(struct rv_json *j, const struct rv_master_framework *f) {
    rv_json_string(j, "id", f->id.v);
    rv_json_string(j, "name", f->info.name);
    rv_json_resources(j, "used_resources", &f->used);
    rv_json_resources(j, "offered_resources", &f->offered);
    rv_json_framework_capabilities(j, "capabilities", f->info.capabilities);
    rv_json_string(j, "hostname", f->info.hostname);
    rv_json_string(j, "webui_url", f->info.webui_url);
    rv_json_bool(j, "active", f->active);
    rv_json_bool(j, "connected", f->connected);
    rv_json_bool(j, "recovered", f->recovered);
}

static void put_framework_info(struct rv_json *j, const struct rv_master_framework *f) {
    _cleanup_(rv_resources_free) struct rv_resources sum = {0};

    rv_json_string(j, "user", f->info.user);
    rv_json_thousandths(j, "failover_timeout", f->info.failover_timeout_ms);
    rv_json_bool(j, "checkpoint", f->info.checkpoint);
    rv_json_seconds(j, "registered_time", f->registered_ns);
    rv_json_seconds(j, "unregistered_time", f->unregistered_ns);
    if (f->info.principal)
        rv_json_string(j, "principal", f->info.principal);
    rv_resources_copy(&sum, &f->used);
    rv_resources_add(&sum, &f->offered);
    rv_json_resources(j, "resources", &sum);
    if (f->reregistered_ns && f->reregistered_ns != f->registered_ns)
        rv_json_seconds(j, "reregistered_time", f->reregistered_ns);
    if (!rv_framework_can(&f->info, RV_FRAMEWORK_MULTI_ROLE)) {
        rv_json_string(j, "role", f->info.n_roles ? f->info.roles[0] : "*");
        return;
    }
    rv_json_array(j, "roles");
    for (size_t i = 0; i < f->info.n_roles; i++)
        rv_json_string(j, NULL, f->info.roles[i]);
    rv_json_array_end(j);
}

static void put_framework_tasks(struct rv_json *j, const struct rv_master_framework *f,
                                struct rv_sink *sink, struct rv_arena *scratch) {
    void *v;

    rv_json_array(j, "tasks");
    for (size_t it = 0; rv_map_next(&f->tasks, &it, NULL, &v);) {
        put_task(j, v, scratch);
        next_record(sink, scratch);
    }
    rv_json_array_end(j);
    rv_json_array(j, "unreachable_tasks");
    for (size_t it = 0; rv_map_next(&f->unreachable, &it, NULL, &v);) {
        put_task(j, v, scratch);
        next_record(sink, scratch);
    }
    rv_json_array_end(j);
    rv_json_array(j, "completed_tasks");
    for (size_t i = 0; i < f->completed.n; i++) {
        put_task(j, f->completed.v[i], scratch);
        next_record(sink, scratch);
    }
    rv_json_array_end(j);
}

static void put_offers(struct rv_json *j, const struct rv_master_framework *f) {
    rv_json_array(j, "offers");
    RV_LIST_EACH (&f->offers, node, next) {
        const struct rv_master_offer *o = RV_LIST_ENTRY(node, struct rv_master_offer, on_framework);
        rv_json_object(j, NULL);
        rv_json_string(j, "id", o->id.v);
        rv_json_string(j, "framework_id", f->id.v);
        rv_json_object(j, "allocation_info");
        rv_json_string(j, "role", o->role);
        rv_json_object_end(j);
        rv_json_string(j, "slave_id", o->agent->id.v);
        rv_json_resources(j, "resources", &o->resources);
        rv_json_object_end(j);
    }
    rv_json_array_end(j);
}

static void put_executors(struct rv_json *j, const struct rv_master_framework *f,
                          struct rv_sink *sink, struct rv_arena *scratch) {
    rv_json_array(j, "executors");
    RV_LIST_EACH (&f->executors, node, next) {
        const struct rv_master_executor *x =
            RV_LIST_ENTRY(node, struct rv_master_executor, on_framework);
        rv_json_object(j, NULL);
        rv_json_executor_members(j, &x->info, f->id.v, scratch);
        rv_json_string(j, "slave_id", x->agent->id.v);
        rv_json_object_end(j);
        next_record(sink, scratch);
    }
    rv_json_array_end(j);
}

static void put_framework(struct rv_json *j, const struct rv_master_framework *f,
                          struct rv_sink *sink, struct rv_arena *scratch) {
    rv_json_object(j, NULL);
    put_framework_summary(j, f);
    put_framework_info(j, f);
    put_framework_tasks(j, f, sink, scratch);
    put_offers(j, f);
    put_executors(j, f, sink, scratch);
    rv_json_framework_labels(j, "labels", &f->info);
    if (f->constraints && f->constraints->packed)
        rv_json_packed(j, "offer_constraints", &reeve__v1__scheduler__offer_constraints__descriptor,
                       rv_blob_bytes(f->constraints->packed), scratch);
    rv_json_object_end(j);
    next_record(sink, scratch);
}

/* "frameworks", "completed_frameworks", "unregistered_frameworks" */
static void put_frameworks(const struct asked *asked, struct rv_json *j, struct rv_sink *sink,
                           struct rv_arena *scratch) {
    const struct rv_master *m = asked->d->core;
    void *v;

    rv_json_array(j, "frameworks");
    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);) {
        const struct rv_master_framework *f = v;
        if (wanted(asked->framework_id, f->id.v))
            put_framework(j, f, sink, scratch);
    }
    rv_json_array_end(j);
    rv_json_array(j, "completed_frameworks");
    for (size_t i = 0; i < m->completed_frameworks.n; i++)
        if (wanted(asked->framework_id, m->completed_frameworks.v[i]->id.v))
            put_framework(j, m->completed_frameworks.v[i], sink, scratch);
    rv_json_array_end(j);
    rv_json_array(j, "unregistered_frameworks");
    rv_json_array_end(j);
}

static void write_frameworks(const struct asked *asked, struct rv_json *j, struct rv_sink *sink,
                             struct rv_arena *scratch) {
    rv_json_object(j, NULL);
    put_frameworks(asked, j, sink, scratch);
    rv_json_object_end(j);
}

/* --- the state --- */

static void put_leader(struct rv_json *j, const struct rv_master_daemon *d,
                       struct rv_arena *scratch) {
    ProtobufCMessage *tree;

    put_pid(j, "leader", "master", d->ip, d->port);
    rv_json_object(j, "leader_info");
    rv_json_string(j, "id", d->id);
    put_pid(j, "pid", "master", d->ip, d->port);
    rv_json_int(j, "port", d->port);
    rv_json_string(j, "hostname", d->hostname);
    rv_json_object_end(j);
    rv_json_array(j, "capabilities");
    if (!rv_wire_decode(&reeve__v1__master_info__descriptor, RV_ENC_PROTOBUF,
                        rv_blob_bytes(d->core->config.master_info), NULL, scratch, &tree, NULL)) {
        const Reeve__V1__MasterInfo *info = (const Reeve__V1__MasterInfo *)tree;
        for (size_t i = 0; i < info->n_capabilities; i++)
            rv_json_string(j, NULL,
                           rv_wire_enum_name(&reeve__v1__master_info__capability__type__descriptor,
                                             (int)info->capabilities[i]->type));
    }
    rv_json_array_end(j);
}

static void write_state(const struct asked *asked, struct rv_json *j, struct rv_sink *sink,
                        struct rv_arena *scratch) {
    struct rv_master_daemon *d = asked->d;
    const struct rv_common common = rv_master_common(d);
    const struct rv_master *m = d->core;
    size_t active = 0;
    void *v;

    for (size_t it = 0; rv_map_next(&m->agents, &it, NULL, &v);)
        active += ((const struct rv_master_agent *)v)->active;
    rv_json_object(j, NULL);
    rv_common_version_members(j);
    rv_json_seconds(j, "start_time", d->started_ns);
    rv_json_seconds(j, "elected_time", m->started_ns);
    rv_json_string(j, "id", d->id);
    put_pid(j, "pid", "master", d->ip, d->port);
    rv_json_string(j, "hostname", d->hostname);
    rv_json_int(j, "activated_slaves", (int64_t)active);
    rv_json_int(j, "deactivated_slaves", (int64_t)(rv_map_count(&m->agents) - active));
    rv_json_int(j, "unreachable_slaves", (int64_t)rv_map_count(&m->unreachable));
    put_leader(j, d, scratch);
    if (d->flags->cluster)
        rv_json_string(j, "cluster", d->flags->cluster);
    rv_common_flags_json(&common, j, "flags");
    rv_json_array(j, "slaves");
    for (size_t it = 0; rv_map_next(&m->agents, &it, NULL, &v);) {
        rv_json_object(j, NULL);
        put_agent(j, v, scratch);
        rv_json_object_end(j);
        next_record(sink, scratch);
    }
    rv_json_array_end(j);
    put_recovered(j, m, NULL);
    put_frameworks(asked, j, sink, scratch);
    rv_json_array(j, "orphan_tasks");
    rv_json_array_end(j);
    rv_json_object_end(j);
}

/* --- the summary --- */

/* Of one agent, or of one framework. */
struct summary {
    size_t states[RV_TASK_STATE_MAX];
    const struct rv_master_framework *last; /* of an agent: which framework was here last */
    RV_VEC(const char *) ids;               /* frameworks of the agent, agents of the framework */
};

static struct summary *summary_of(struct rv_map *all, const char *id) {
    struct summary *s = rv_map_gets(all, id);

    if (s || !id)
        return s;
    s = rv_calloc(1, sizeof *s);
    rv_map_put(all, rv_str(id), s);
    return s;
}

struct summaries {
    struct rv_map agents, frameworks; /* id -> struct summary */
};

static void sum_task(struct summaries *all, const struct rv_master_task *t) {
    struct summary *f = summary_of(&all->frameworks, t->framework->id.v);
    struct summary *a = summary_of(&all->agents, t->agent_id.v);

    f->states[t->state]++;
    if (!a)
        return;
    a->states[t->state]++;
    if (a->last == t->framework)
        return;
    a->last = t->framework; /* tasks come framework by framework */
    rv_vec_push(&a->ids, t->framework->id.v);
    rv_vec_push(&f->ids, t->agent_id.v);
}

static void sum_framework(struct summaries *all, const struct rv_master_framework *f) {
    void *v;

    for (size_t it = 0; rv_map_next(&f->tasks, &it, NULL, &v);)
        sum_task(all, v);
    for (size_t it = 0; rv_map_next(&f->unreachable, &it, NULL, &v);)
        sum_task(all, v);
    for (size_t i = 0; i < f->completed.n; i++)
        sum_task(all, f->completed.v[i]);
}

static void free_summaries(struct rv_map *all) {
    void *v;

    for (size_t it = 0; rv_map_next(all, &it, NULL, &v);) {
        struct summary *s = v;
        rv_vec_free(&s->ids);
        free(s);
    }
    rv_map_free(all);
}

static void put_summary(struct rv_json *j, const struct summary *s, const char *ids) {
    static const enum rv_task_state shown[] = {
        RV_TASK_STAGING,          RV_TASK_STARTING, RV_TASK_RUNNING,
        RV_TASK_KILLING,          RV_TASK_FINISHED, RV_TASK_KILLED,
        RV_TASK_FAILED,           RV_TASK_LOST,     RV_TASK_ERROR,
        RV_TASK_UNREACHABLE,      RV_TASK_DROPPED,  RV_TASK_GONE,
        RV_TASK_GONE_BY_OPERATOR,
    };

    for (size_t i = 0; i < RV_COUNT(shown); i++)
        rv_json_int(j, rv_task_state_name((int)shown[i]), s ? (int64_t)s->states[shown[i]] : 0);
    rv_json_array(j, ids);
    for (size_t i = 0; s && i < s->ids.n; i++)
        rv_json_string(j, NULL, s->ids.v[i]);
    rv_json_array_end(j);
}

static void write_state_summary(const struct asked *asked, struct rv_json *j, struct rv_sink *sink,
                                struct rv_arena *scratch) {
    const struct rv_master *m = asked->d->core;
    struct summaries all = {0};
    void *v;

    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);)
        sum_framework(&all, v);
    rv_json_object(j, NULL);
    rv_json_string(j, "hostname", asked->d->hostname);
    if (asked->d->flags->cluster)
        rv_json_string(j, "cluster", asked->d->flags->cluster);
    rv_json_array(j, "slaves");
    for (size_t it = 0; rv_map_next(&m->agents, &it, NULL, &v);) {
        const struct rv_master_agent *a = v;
        rv_json_object(j, NULL);
        put_agent(j, a, scratch);
        put_summary(j, rv_map_gets(&all.agents, a->id.v), "framework_ids");
        rv_json_object_end(j);
        next_record(sink, scratch);
    }
    rv_json_array_end(j);
    rv_json_array(j, "frameworks");
    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);) {
        const struct rv_master_framework *f = v;
        rv_json_object(j, NULL);
        put_framework_summary(j, f);
        put_summary(j, rv_map_gets(&all.frameworks, f->id.v), "slave_ids");
        rv_json_object_end(j);
        next_record(sink, scratch);
    }
    rv_json_array_end(j);
    rv_json_object_end(j);
    free_summaries(&all.agents);
    free_summaries(&all.frameworks);
}

/* --- roles --- */

static void put_quantities(struct rv_json *j, const char *name, const struct rv_quantities *q) {
    rv_json_object(j, name);
    for (size_t i = 0; q && i < q->n; i++)
        rv_json_double(j, q->v[i].name, rv_fixed_to_double(q->v[i].amount));
    rv_json_object_end(j);
}

static void put_quota(struct rv_json *j, const struct rv_role_view *role) {
    rv_json_object(j, "quota");
    rv_json_string(j, "role", role->name);
    put_quantities(j, "guarantee", role->quota ? &role->quota->guarantees : NULL);
    put_quantities(j, "limit", role->quota ? &role->quota->limits : NULL);
    put_quantities(j, "consumed", &role->consumed);
    rv_json_object_end(j);
}

static void write_roles(const struct asked *asked, struct rv_json *j, struct rv_sink *sink,
                        struct rv_arena *scratch) {
    _cleanup_(rv_master_roles_free) struct rv_role_views views;

    rv_master_roles_collect(asked->d->core, &views);
    rv_json_object(j, NULL);
    rv_json_array(j, "roles");
    for (size_t i = 0; i < views.list.n; i++) {
        struct rv_role_view *role = views.list.v[i];
        rv_json_object(j, NULL);
        rv_json_string(j, "name", role->name);
        rv_json_double(j, "weight", role->weight);
        put_quota(j, role);
        rv_json_resources(j, "allocated", &role->allocated);
        rv_json_resources(j, "offered", &role->offered);
        rv_json_resources(j, "reserved", &role->reserved);
        rv_resources_add(&role->allocated, &role->offered);
        rv_json_resources(j, "resources", &role->allocated);
        rv_json_array(j, "frameworks");
        for (size_t k = 0; k < role->frameworks.n; k++)
            rv_json_string(j, NULL, role->frameworks.v[k]->id.v);
        rv_json_array_end(j);
        rv_json_object_end(j);
        next_record(sink, scratch);
    }
    rv_json_array_end(j);
    rv_json_object_end(j);
}

/* --- small ones --- */

static void write_weights(const struct asked *asked, struct rv_json *j, struct rv_sink *sink,
                          struct rv_arena *scratch) {
    Reeve__V1__Master__Response__GetWeights *m = rv_master_view_weights(asked->d->core, scratch);

    (void)sink;
    rv_json_array(j, NULL);
    for (size_t i = 0; i < m->n_weight_infos; i++)
        rv_json_message(j, NULL, &m->weight_infos[i]->base);
    rv_json_array_end(j);
}

static void write_schedule(const struct asked *asked, struct rv_json *j, struct rv_sink *sink,
                           struct rv_arena *scratch) {
    (void)sink;
    rv_json_message(j, NULL, &rv_master_view_schedule(asked->d->core, scratch)->base);
}

static void write_maintenance(const struct asked *asked, struct rv_json *j, struct rv_sink *sink,
                              struct rv_arena *scratch) {
    (void)sink;
    rv_json_message(j, NULL, &rv_master_view_maintenance(asked->d->core, scratch)->base);
}

static void write_quota(const struct asked *asked, struct rv_json *j, struct rv_sink *sink,
                        struct rv_arena *scratch) {
    (void)sink;
    rv_json_message(j, NULL, &rv_master_view_quota(asked->d->core, scratch)->base);
}

static void front_page(struct rv_http_request *req) {
    rv_http_reply_text(
        req, 200,
        "This is a master of Reeve.\n\n"
        "/api/v1            the operator API (POST)\n"
        "/api/v1/scheduler  for schedulers (POST)\n"
        "/state             everything, as JSON; also /state-summary, /slaves, /frameworks,\n"
        "                   /tasks, /roles, /weights, /quota, /maintenance/schedule,\n"
        "                   /maintenance/status\n"
        "/machine/down      and /machine/up, for machines in the schedule (POST)\n"
        "/quota             also POST sets one, DELETE /quota/ROLE removes it\n"
        "/reserve           and /unreserve, /create-volumes, /destroy-volumes (POST)\n"
        "/metrics/snapshot  numbers, as JSON; /metrics for Prometheus\n"
        "/flags /version /health /redirect /files/browse /logging/toggle\n");
}

/* PUT /weights: the array that UPDATE_WEIGHTS takes. */
static void put_weights(struct rv_master_daemon *d, struct rv_http_request *req) {
    const Reeve__V1__Master__Call__UpdateWeights *m = (void *)rv_master_body_as(
        d, req, "weight_infos", &reeve__v1__master__call__update_weights__descriptor);

    if (m)
        rv_master_update_weights(d, req, RV_ENC_JSON, m->weight_infos, m->n_weight_infos);
}

/* --- the table --- */

static const struct endpoint {
    const char *path;
    void (*write)(const struct asked *asked, struct rv_json *j, struct rv_sink *sink,
                  struct rv_arena *scratch);
    bool large; /* as large as the state is */
} endpoints[] = {
    {"/state", write_state, true},
    {"/state-summary", write_state_summary, true},
    {"/tasks", write_tasks, true},
    {"/slaves", write_slaves, true},
    {"/frameworks", write_frameworks, true},
    {"/roles", write_roles, true},
    {"/weights", write_weights, false},
    {"/quota", write_quota, false},
    {"/maintenance/schedule", write_schedule, false},
    {"/maintenance/status", write_maintenance, false},
};

/* Where the answer is written: here or in a child. */
static void write_answer(const void *what, struct rv_sink *sink) {
    const struct asked *asked = what;
    _cleanup_(rv_arena_free) struct rv_arena scratch;
    struct rv_json j = {.out = &sink->buf};

    rv_arena_init(&scratch);
    if (asked->callback)
        rv_buf_printf(&sink->buf, "%s(", asked->callback);
    asked->write(asked, &j, sink, &scratch);
    if (asked->callback)
        rv_buf_puts(&sink->buf, ");");
}

static void answer(struct rv_master_daemon *d, struct rv_http_request *req,
                   const struct endpoint *endpoint) {
    _cleanup_(rv_buf_free) struct rv_buf checked = {0};
    struct asked asked = {
        .d = d,
        .write = endpoint->write,
        .callback = rv_http_query(req, "jsonp"),
        .framework_id = rv_http_query(req, "framework_id"),
        .agent_id = rv_http_query(req, "slave_id"),
        .task_id = rv_http_query(req, "task_id"),
        .ascending = rv_streq(rv_http_query(req, "order"), "asc"),
    };
    int64_t limit, offset;

    if (!rv_common_query_int(&d->shell, req, "limit", TASKS_LIMIT, &limit) ||
        !rv_common_query_int(&d->shell, req, "offset", 0, &offset) ||
        !rv_common_json_begin(&d->shell, req, &checked))
        return;
    asked.limit = limit > 0 ? (uint64_t)limit : 0;
    asked.offset = offset > 0 ? (uint64_t)offset : 0;
    rv_snapshots_reply(d->snapshots, req, endpoint->large && rv_master_is_large(d->core),
                       asked.callback ? "text/javascript" : "application/json", write_answer,
                       &asked, sizeof asked);
}

bool rv_master_legacy_handle(struct rv_master_daemon *d, struct rv_http_request *req,
                             const char *path) {
    struct rv_common common = rv_master_common(d);

    if (rv_streq(path, "/weights") && rv_streq(rv_http_method(req), "PUT")) {
        put_weights(d, req);
        return true;
    }
    if (rv_master_maintenance_handle(d, req, path) || rv_master_quota_handle(d, req, path) ||
        rv_master_operations_handle(d, req, path))
        return true;
    if (rv_streq(path, "/") || rv_streq(path, "/redirect")) {
        if (!rv_common_is_read(&d->shell, req))
            return true;
        if (rv_streq(path, "/"))
            front_page(req);
        else
            rv_master_redirect(req, &(struct rv_address){d->hostname, d->port}, "");
        return true;
    }
    for (size_t i = 0; i < RV_COUNT(endpoints); i++) {
        if (!rv_common_path_is(path, endpoints[i].path))
            continue;
        if (rv_common_is_read(&d->shell, req))
            answer(d, req, &endpoints[i]);
        return true;
    }
    return rv_common_handle(&common, req, path);
}
