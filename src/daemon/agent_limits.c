/* Limits as frameworks are told of them, see agent_limits.h. */
#include "daemon/agent_limits.h"

#include "daemon/agent_disk.h"
#include "daemon/legacy_json.h"
#include "wire/codec.h"
#include "wire/convert.h"
#include "wire/resources_codec.h"

enum { STATUS_LIMITATION = 16 };

/* --- the watches --- */

/* "[5000-10000]"; NULL and "" leave it empty. */
static int read_ranges(const char *flag, const char *text, struct rv_ranges *out,
                       struct rv_error *err) {
    _cleanup_free_ char *resource = text && *text ? rv_asprintf("ports:%s", text) : NULL;
    _cleanup_(rv_resources_free) struct rv_resources r = {0};
    int rc = resource ? rv_resources_parse(resource, "*", &r, err) : 0;

    if (rc || (r.n && r.v[0].kind->type != RV_RANGES))
        return rv_error_set(err, RV_ERR_INVALID, "--%s: \"%s\" is not ranges as [1-5,8-9]", flag,
                            text);
    if (r.n)
        rv_ranges_copy(out, &r.v[0].ranges);
    return 0;
}

static int check_flags(const struct rv_agent_daemon *d, struct rv_error *err) {
    const struct rv_agent_flags *f = d->flags;

    if (f->gc_disk_headroom < 0 || f->gc_disk_headroom > 1)
        return rv_error_set(err, RV_ERR_INVALID, "--gc_disk_headroom: %g is not between 0 and 1",
                            f->gc_disk_headroom);
    if (f->container_pids_max < 1)
        return rv_error_set(err, RV_ERR_INVALID, "--container_pids_max: %lld is no limit",
                            (long long)f->container_pids_max);
    if (f->enforce_container_ports && d->containerizer->ops != &rv_linux_containerizer)
        return rv_error_set(
            err, RV_ERR_INVALID,
            "--enforce_container_ports: needs --containerizer=linux, which knows the "
            "processes of containers by their control groups");
    if (f->check_agent_port_range_only && f->container_ports_isolated_range)
        return rv_error_set(err, RV_ERR_INVALID,
                            "--container_ports_isolated_range: not together with "
                            "--check_agent_port_range_only");
    if (d->containerizer->ops != &rv_linux_containerizer)
        return 0;
    return rv_linux_containerizer_offers(d->containerizer, &d->info.resources, err);
}

static void agents_ports(const struct rv_agent_daemon *d, struct rv_ranges *out) {
    const struct rv_resources *all = &d->info.resources;

    for (size_t i = 0; i < all->n; i++)
        if (rv_streq(all->v[i].kind->name, "ports") && all->v[i].kind->type == RV_RANGES)
            rv_ranges_add(out, &all->v[i].ranges);
}

static uint64_t interval_ms(int64_t flag_ns) {
    return (uint64_t)RV_MAX(flag_ns / 1000000, INT64_C(10));
}

int rv_agent_watch_start(struct rv_agent_daemon *d, struct rv_error *err) {
    const struct rv_agent_flags *f = d->flags;
    _cleanup_(rv_ranges_free) struct rv_ranges projects = {0}, ports = {0};
    struct rv_watch_config config = {
        .loop = d->loop,
        .containerizer = d->containerizer,
        .folder = d->work_dir,
        .disk_interval_ms = interval_ms(f->container_disk_watch_interval),
        .ports_interval_ms = interval_ms(f->container_ports_watch_interval),
        .enforce_disk = f->enforce_container_disk_quota,
        .enforce_ports = f->enforce_container_ports,
    };
    int rc = check_flags(d, err);

    if (!rc)
        rc = read_ranges("project_quota_range", f->project_quota_range, &projects, err);
    if (!rc && projects.n > 1)
        rc = rv_error_set(err, RV_ERR_INVALID, "--project_quota_range: more than one range");
    if (!rc)
        rc = read_ranges("container_ports_isolated_range", f->container_ports_isolated_range,
                         &ports, err);
    if (rc)
        return rc;
    if (projects.n)
        config.projects = projects.v[0];
    if (f->check_agent_port_range_only)
        agents_ports(d, &ports);
    if (f->check_agent_port_range_only || ports.n)
        config.all_ports = &ports;
    rc = rv_watch_new(&config, &d->watch, err);
    if (!rc)
        d->disk = rv_disk_watch_new(d);
    return rc;
}

void rv_agent_watch_recovered(struct rv_agent_daemon *d) {
    void *item;

    for (size_t i = 0; rv_map_next(&d->core->containers, &i, NULL, &item);) {
        const struct rv_agent_executor *ex = item;
        if (ex->started)
            rv_watch_add(d->watch, ex->container_id.v, ex->directory, &ex->resources);
    }
}

/* --- what frameworks are told --- */

Reeve__V1__TaskResourceLimitation *rv_limitation_to(const struct rv_resources *over,
                                                    struct rv_arena *arena) {
    Reeve__V1__TaskResourceLimitation *m;

    if (!over || rv_resources_empty(over))
        return NULL;
    m = RV_WIRE_MAKE(arena, TaskResourceLimitation, task_resource_limitation);
    rv_wire_resources_to(over, RV_SHAPE_ENDPOINT, false, arena, &m->resources, &m->n_resources);
    return m;
}

struct rv_blob *rv_limitation_pack(const struct rv_resources *over, struct rv_arena *arena) {
    const Reeve__V1__TaskResourceLimitation *m = rv_limitation_to(over, arena);

    return m ? rv_wire_pack(&m->base) : NULL;
}

static void add_limitation(struct rv_task_status *s, const struct rv_resources *over,
                           struct rv_arena *arena) {
    struct rv_blob *packed = rv_limitation_pack(over, arena);
    struct rv_str rest = rv_blob_bytes(s->rest);
    _cleanup_(rv_buf_free) struct rv_buf out = {0};

    if (!packed)
        return;
    rv_buf_append(&out, rest.s, rest.n);
    rv_packed_put(&out, STATUS_LIMITATION, rv_blob_bytes(packed));
    rv_blob_unref(s->rest);
    s->rest = rv_blob_new(out.data, out.n);
    rv_blob_unref(packed);
}

void rv_agent_explain_failure(struct rv_agent_daemon *d, const struct rv_agent_executor *ex,
                              struct rv_task_status *s, struct rv_arena *arena) {
    const char *id = s->container_id.v ? s->container_id.v : ex->container_id.v;
    bool alone = ex->command || !rv_streq(id, ex->container_id.v);
    struct rv_container_end why;

    if ((s->state != RV_TASK_FAILED && s->state != RV_TASK_FINISHED) ||
        !d->containerizer->ops->is_limited(d->containerizer, id, s->state == RV_TASK_FAILED, &why))
        return;
    /* Where several tasks share a container, only a limit that ends all of them is about this one,
     * and not if it had done its work. */
    if (!alone && (s->state == RV_TASK_FINISHED || why.reason == RV_REASON_CONTAINER_LIMITATION))
        return;
    /* A command may not notice that one of its processes was killed; its container ends all the
     * same. Whether it could do without those that it could not start, it must know. */
    if (s->state == RV_TASK_FINISHED && why.reason == RV_REASON_CONTAINER_LIMITATION)
        return;
    s->state = RV_TASK_FAILED;
    s->reason = why.reason;
    s->message = s->message ? rv_arena_printf(arena, "%s. %s", why.message, s->message)
                            : rv_arena_strdup(arena, why.message);
    add_limitation(s, why.limitation, arena);
}
