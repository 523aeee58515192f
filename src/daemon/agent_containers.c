/*
 * The containers that the agent's API made, see agent_containers.h.
 *
 * Holds: a container in the table that has not ended is the containerizer's, or about to be, and
 * its parent has not ended or it is being killed. A request is in one place: the one that launches,
 * or the list of those that wait. Ended ones are kept for those who ask late: nested ones as long
 * as their parent, all of them no more than KEEP, the oldest go first. Of those that survive the
 * agent the end is on the disk before anybody is told, for as long as it is kept.
 *
 * Costs: a look at the table, which is bounded, when any container ends; a file for the end of one
 * that survives.
 */
#include "daemon/agent_containers.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/agent_containers_internal.h"
#include "daemon/common.h"
#include "daemon/isolation.h"
#include "wire/convert.h"
#include "wire/resources_codec.h"
#include "wire/validate.h"

enum {
    MAX_CONTAINERS = 2000, /* that run */
    KEEP = 1000,           /* that have ended */
};

/* ---- memory ---- */

static void free_container(struct rv_api_container *c) {
    struct rv_api_containers *t = c->table;

    rv_map_remove(&t->containers, rv_str(c->id));
    if (c->state == RV_API_ENDED)
        t->n_ended--;
    rv_container_io_free(c->io);
    rv_resources_free(&c->resources);
    rv_verdict_free(&c->verdict);
    free(c->env);
    free(c->user);
    free(c->directory);
    free(c->id);
    free(c);
}

void rv_api_forget(struct rv_api_container *c) {
    if (c->recorded)
        rv_api_record_remove(c);
    free_container(c);
}

struct rv_api_container *rv_api_add(struct rv_api_containers *t, const char *id, char *directory) {
    struct rv_api_container *c = rv_calloc(1, sizeof *c);

    c->table = t;
    c->id = rv_strdup(id);
    c->directory = directory;
    rv_verdict_init(&c->verdict);
    rv_map_put(&t->containers, rv_str(c->id), c);
    return c;
}

struct rv_api_containers *rv_api_containers_new(struct rv_agent_daemon *d) {
    struct rv_api_containers *t = rv_calloc(1, sizeof *t);

    t->d = d;
    return t;
}

struct rv_api_containers *rv_api_containers_free(struct rv_api_containers *t) {
    void *item;

    if (!t)
        return NULL;
    for (size_t it = 0; rv_map_next(&t->containers, &it, NULL, &item);) {
        struct rv_api_container *c = item;
        if (c->launch)
            rv_http_reply_text(c->launch, 503, "This daemon is ending.\n");
        free_container(c);
    }
    rv_api_free_waits(t);
    rv_api_free_followers(t);
    rv_map_free(&t->containers);
    free(t);
    return NULL;
}

/* ---- ids and parents ---- */

struct rv_api_container *rv_api_find(const struct rv_api_containers *t, const char *id) {
    return rv_map_gets(&t->containers, id);
}

/* "a.b.c" in the arena; NULL with the reason. */
const char *rv_api_id_of(const Reeve__V1__ContainerID *m, struct rv_arena *arena,
                         struct rv_error *err) {
    for (const Reeve__V1__ContainerID *c = m; c; c = c->parent) {
        const char *problem = rv_id_problem(c->value);
        if (!problem && strchr(c->value, '.'))
            problem = "an id must not contain '.'";
        if (!problem && strlen(c->value) > RV_API_MAX_PART)
            problem = "an id must be at most 242 bytes long";
        if (problem) {
            rv_error_set(err, RV_ERR_INVALID, "container_id: %s", problem);
            return NULL;
        }
    }
    const char *id = rv_wire_container_id_from(m, arena).v;
    if (strlen(id) <= RV_CONTAINER_MAX_ID)
        return id;
    rv_error_set(err, RV_ERR_INVALID,
                 "container_id: at most %d bytes, with those of all that it lies in",
                 RV_CONTAINER_MAX_ID);
    return NULL;
}

bool rv_api_is_below(const char *id, const char *above) {
    size_t n = strlen(above);

    return strncmp(id, above, n) == 0 && id[n] == '.';
}

/* The task that runs in a container: in that of its executor the only one of a command, else the
 * one whose status names it. */
static const struct rv_agent_task *task_in(const struct rv_agent_executor *ex, const char *id) {
    bool only = ex->command && !strchr(id, '.');
    void *item;

    for (size_t it = 0; rv_map_next(&ex->tasks, &it, NULL, &item);) {
        const struct rv_agent_task *t = item;
        if (t->place != RV_TASK_LAUNCHED || !t->statuses.n)
            continue;
        if (only || rv_streq(t->statuses.v[t->statuses.n - 1].container_id.v, id))
            return t;
    }
    return NULL;
}

const struct rv_agent_executor *rv_api_executor_of(const struct rv_agent_daemon *d,
                                                   const char *id) {
    size_t n = strcspn(id, ".");
    const struct rv_agent_executor *ex = rv_map_get(&d->core->containers, rv_strn(id, n));

    if (!ex || !ex->launched || ex->destroyed || ex->state == RV_EXECUTOR_TERMINATED)
        return NULL;
    return ex;
}

/* Whose a container is that the API did not make, or of which that is not known any more. */
static const char *user_of(const struct rv_api_parent *p, struct rv_arena *arena) {
    const Reeve__V1__TaskInfo *task =
        p->task ? rv_agent_unpack(p->task->info.packed, &reeve__v1__task_info__descriptor, arena)
                : NULL;

    if (task && task->command && task->command->user)
        return task->command->user;
    return p->executor ? p->executor->user : NULL;
}

bool rv_api_find_running(const struct rv_api_containers *t, const char *id, struct rv_arena *arena,
                         struct rv_api_parent *out) {
    const struct rv_api_container *c = rv_api_find(t, id);

    *out = (struct rv_api_parent){.executor = rv_api_executor_of(t->d, id), .container = c};
    out->task = out->executor ? task_in(out->executor, id) : NULL;
    if (c) {
        out->directory = c->directory;
        out->user = c->user ? c->user : user_of(out, arena);
        return c->state == RV_API_RUNNING && !c->killed;
    }
    if (!out->executor || strchr(id, '.'))
        return false;
    out->user = user_of(out, arena);
    out->directory = out->executor->directory;
    return true;
}

/* ---- answers ---- */

static void refuse(struct rv_agent_daemon *d, struct rv_http_request *req,
                   const struct rv_error *err) {
    rv_common_refuse(&d->shell, req, err);
}

static void ok(struct rv_http_request *req) {
    rv_http_reply(req, 200, NULL, rv_strn(NULL, 0), NULL);
}

void rv_api_destroy(struct rv_api_container *c) {
    struct rv_agent_daemon *d = c->table->d;

    c->killed = true;
    if (c->state != RV_API_ENDED && !rv_agent_launch_cancel(d, c->id))
        d->containerizer->ops->destroy(d->containerizer, c->id);
}

/* The client of a launch has gone: a session that was to be goes with it. */
static void on_abandoned(void *data, struct rv_http_request *req) {
    struct rv_api_container *c = data;

    c->launch = NULL;
    if (c->session)
        rv_api_destroy(c);
    rv_http_reply(req, 200, NULL, rv_strn(NULL, 0), NULL);
}

/* ---- launch ---- */

/* What the three calls have in common. */
struct launch {
    const Reeve__V1__ContainerID *container_id;
    const Reeve__V1__CommandInfo *command;
    const Reeve__V1__ContainerInfo *container;
    Reeve__V1__Resource *const *resources;
    size_t n_resources;
    bool session;
    struct rv_limits limits;
    /* found out */
    const char *id;
    bool tty;
    struct rv_api_parent parent;
};

/* The map of limits, which is beside the resources that it limits. */
static int take_limits(const Reeve__V1__Agent__Call__LaunchContainer *m, struct rv_arena *arena,
                       struct launch *l, struct rv_error *err) {
    struct rv_resources resources = {0};
    const char *problem = NULL;
    int rc = rv_wire_resources_from(m->resources, m->n_resources, "resources", &resources, err);

    for (size_t i = 0; i < m->n_limits && !rc && !problem; i++) {
        problem = rv_wire_limit_problem(m->limits[i]->key, m->limits[i]->value, &resources,
                                        "limits", arena);
        rv_wire_limit_from(m->limits[i]->key, m->limits[i]->value, &l->limits);
    }
    rv_resources_free(&resources);
    return problem ? rv_error_set(err, RV_ERR_INVALID, "%s", problem) : rc;
}

/* What the API allows of resources and control groups: those of a container that lies in one of an
 * executor are its own only one level down; those of no executor are nobody's, so they take none
 * that are somebody's. */
static const char *problem_of_resources(const struct launch *l, int depth) {
    const Reeve__V1__LinuxInfo *info = l->container ? l->container->linux_info : NULL;
    bool says = info && info->has_share_cgroups;

    if (l->session && info && !info->share_cgroups)
        return "container.linux_info.share_cgroups: a session shares those of its parent";
    if (depth > 1 && l->n_resources)
        return "resources: two levels down a container shares those of its parent";
    if (depth > 1 && rv_limits_given(l->limits))
        return "limits: two levels down a container shares those of its parent";
    if (depth > 1 && says && !info->share_cgroups)
        return "container.linux_info.share_cgroups: two levels down a container shares those of "
               "its parent";
    if (depth == 0 && says && info->share_cgroups)
        return "container.linux_info.share_cgroups: there is no parent";
    for (size_t i = 0; i < l->n_resources && depth == 0; i++) {
        const Reeve__V1__Resource *r = l->resources[i];
        if (r->n_reservations || r->reservation || (r->role && !rv_streq(r->role, "*")))
            return "resources: only those that are not reserved";
        if (r->disk && r->disk->persistence)
            return "resources: no persistent volumes";
        if (r->revocable)
            return "resources: none that are revocable";
    }
    return NULL;
}

static int check(struct rv_api_containers *t, struct launch *l, struct rv_arena *arena,
                 struct rv_error *err) {
    const char *problem, *last;
    int depth = 0;

    l->id = rv_api_id_of(l->container_id, arena, err);
    if (!l->id)
        return -RV_ERR_INVALID;
    last = strrchr(l->id, '.');
    for (const char *s = l->id; *s; s++)
        depth += *s == '.';
    if (!l->command || !l->command->value)
        return rv_error_set(err, RV_ERR_INVALID, "command.value: required");
    problem = problem_of_resources(l, depth);
    if (problem)
        return rv_error_set(err, RV_ERR_INVALID, "%s", problem);
    if (last && !rv_api_find_running(t, rv_arena_strndup(arena, l->id, (size_t)(last - l->id)),
                                     arena, &l->parent))
        return rv_error_set(err, RV_ERR_INVALID, "container_id.parent: there is no container %.*s",
                            (int)(last - l->id), l->id);
    if (rv_map_count(&t->containers) - t->n_ended >= MAX_CONTAINERS)
        return rv_error_set(err, RV_ERR_LIMIT, "%d containers run already that the API made",
                            MAX_CONTAINERS);
    l->tty = l->container && l->container->tty_info;
    return 0;
}

static void on_owner_gone(void *ctx) {
    rv_api_destroy(ctx);
}

static int open_io(struct rv_api_container *c, const struct launch *l, int stdio[3],
                   struct rv_error *err) {
    struct rv_agent_daemon *d = c->table->d;
    const struct rv_container_io_config config = {
        .loop = d->loop,
        .heartbeat_ms = (uint64_t)(d->flags->heartbeat_interval / 1000000),
        .tty = l->tty,
        .on_owner_gone = on_owner_gone,
        .ctx = c};

    return rv_container_io_new(&config, stdio, &c->io, err);
}

/* A session lives for its client's connection, so it ends with the agent. */
static bool survives(const struct launch *l) {
    const struct rv_api_parent *p = &l->parent;

    if (l->session)
        return false;
    if (p->container)
        return p->container->survives;
    return !p->executor || p->executor->framework->info.checkpoint;
}

static int start(struct rv_api_container *c, const struct launch *l, struct rv_error *err) {
    struct rv_agent_daemon *d = c->table->d;
    const struct rv_api_container *above = l->parent.container;
    struct rv_api_launch launch = {.id = c->id,
                                   .directory = c->directory,
                                   .work_directory = l->session ? l->parent.directory : NULL,
                                   .executor = l->parent.executor,
                                   .task = l->parent.task,
                                   .inherited =
                                       l->session && above ? (const char *const *)above->env : NULL,
                                   .command = l->command,
                                   .container = l->container,
                                   .resources = &c->resources,
                                   .limits = l->limits,
                                   .user = c->user,
                                   .tty = l->tty,
                                   .session = l->session,
                                   .survives = c->survives};
    int stdio[3];
    int rc = rv_wire_resources_from(l->resources, l->n_resources, "resources", &c->resources, err);

    if (!rc && l->tty)
        rc = rv_container_io_size(l->container->tty_info, &launch.rows, &launch.columns, err);
    if (!rc && (l->session || l->tty))
        rc = open_io(c, l, stdio, err);
    if (rc)
        return rc;
    launch.stdio = l->session && !l->tty ? stdio : NULL;
    return rv_agent_launch_api(d, &launch, &c->env, err);
}

static void do_launch(struct rv_agent_daemon *d, struct rv_http_request *req, struct launch *l) {
    struct rv_api_containers *t = d->api;
    struct rv_container_framing framing = {0};
    struct rv_api_container *c;
    struct rv_error err;

    if (l->session ? !rv_container_io_framing(&d->shell, req, &framing)
                   : !rv_shell_accept_encoding(&d->shell, req, &framing.encoding))
        return;
    if (check(t, l, &d->arena, &err)) {
        refuse(d, req, &err);
        return;
    }
    c = rv_api_find(t, l->id);
    if (c && c->state != RV_API_ENDED) {
        rv_http_reply(req, 202, NULL, rv_strn(NULL, 0), NULL);
        return;
    }
    if (c)
        rv_api_forget(c);
    const char *last = strrchr(l->id, '.');
    const char *above = l->parent.directory ? l->parent.directory : d->work_dir;
    c = rv_api_add(t, l->id, rv_asprintf("%s/containers/%s", above, last ? last + 1 : l->id));
    c->session = l->session;
    c->survives = survives(l);
    c->framing = framing;
    c->user = rv_strdup(l->command->user ? l->command->user : l->parent.user);
    if (start(c, l, &err)) {
        rv_api_forget(c);
        err.code = RV_ERR_INVALID; /* whatever the reason: a launch that fails is a bad request */
        refuse(d, req, &err);
        return;
    }
    c->launch = req;
    rv_http_set_data(req, c, on_abandoned);
}

void rv_api_launch_nested(struct rv_agent_daemon *d, struct rv_http_request *req,
                          const Reeve__V1__Agent__Call *call) {
    const Reeve__V1__Agent__Call__LaunchNestedContainer *m = call->launch_nested_container;
    struct launch l = {m->container_id, m->command, m->container};

    if (!m->container_id->parent)
        rv_common_bad_request(&d->shell, req, "container_id.parent: required");
    else
        do_launch(d, req, &l);
}

void rv_api_launch_session(struct rv_agent_daemon *d, struct rv_http_request *req,
                           const Reeve__V1__Agent__Call *call) {
    const Reeve__V1__Agent__Call__LaunchNestedContainerSession *m =
        call->launch_nested_container_session;
    struct launch l = {m->container_id, m->command, m->container, .session = true};

    if (!m->container_id->parent)
        rv_common_bad_request(&d->shell, req, "container_id.parent: required");
    else
        do_launch(d, req, &l);
}

void rv_api_launch(struct rv_agent_daemon *d, struct rv_http_request *req,
                   const Reeve__V1__Agent__Call *call) {
    const Reeve__V1__Agent__Call__LaunchContainer *m = call->launch_container;
    struct launch l = {m->container_id, m->command, m->container, m->resources, m->n_resources};
    struct rv_error err;

    if (take_limits(m, &d->arena, &l, &err))
        refuse(d, req, &err);
    else
        do_launch(d, req, &l);
}

/* ---- the end of a container ---- */

static void forget_oldest(struct rv_api_containers *t) {
    void *item;

    for (size_t it = 0; t->n_ended > KEEP && rv_map_next(&t->containers, &it, NULL, &item);)
        if (((struct rv_api_container *)item)->state == RV_API_ENDED)
            rv_api_forget(item);
}

/* What lies below a container that has ended. */
void rv_api_end_below(struct rv_api_containers *t, const char *id) {
    void *item;

    for (size_t it = 0; rv_map_next(&t->containers, &it, NULL, &item);) {
        struct rv_api_container *c = item;
        if (!rv_api_is_below(c->id, id))
            continue;
        if (c->state == RV_API_ENDED)
            rv_api_forget(c);
        else
            rv_api_destroy(c);
    }
}

static bool has_parent(const struct rv_api_containers *t, const struct rv_api_container *c,
                       struct rv_arena *arena) {
    const char *last = strrchr(c->id, '.');
    struct rv_api_parent parent;

    return !last || rv_api_find_running(t, rv_arena_strndup(arena, c->id, (size_t)(last - c->id)),
                                        arena, &parent);
}

static void end_without_parents(struct rv_api_containers *t) {
    _cleanup_(rv_arena_free) struct rv_arena arena;
    void *item;

    rv_arena_init(&arena);
    for (size_t it = 0; rv_map_next(&t->containers, &it, NULL, &item);) {
        struct rv_api_container *c = item;
        if (c->killed || has_parent(t, c, &arena))
            continue;
        if (c->state == RV_API_ENDED)
            rv_api_forget(c);
        else
            rv_api_destroy(c);
    }
}

static void ended(struct rv_api_container *c) {
    struct rv_api_containers *t = c->table;
    _cleanup_(rv_arena_free) struct rv_arena arena;
    struct rv_container_end end;

    c->state = RV_API_ENDED;
    t->n_ended++;
    if (c->survives)
        rv_api_record(c);
    if (c->io)
        rv_container_io_finish(c->io);
    c->io = rv_container_io_free(c->io);
    end = rv_api_end_of(c);
    rv_api_tell_end(t, c->id, &end);
    rv_api_end_below(t, c->id);
    rv_arena_init(&arena);
    if (has_parent(t, c, &arena))
        forget_oldest(t);
    else
        rv_api_forget(c);
}

/* ---- from the containerizer ---- */

static void not_launched(struct rv_api_container *c, struct rv_http_request *req,
                         const struct rv_container_end *end) {
    struct rv_api_containers *t = c->table;
    _cleanup_free_ char *id = rv_strdup(c->id);
    struct rv_error err;

    if (req) {
        rv_error_set(&err, RV_ERR_INVALID, "%s", end->message);
        refuse(t->d, req, &err);
    }
    rv_verdict_set(&c->verdict, end);
    c->killed = true;
    c->survives = false; /* there is nothing that anybody will ask for */
    ended(c);
    c = rv_api_find(t, id);
    if (c)
        rv_api_forget(c);
}

bool rv_api_containers_launched(struct rv_api_containers *t, const char *id, bool launched,
                                const char *message) {
    const struct rv_container_end end = {.reason = RV_REASON_CONTAINER_LAUNCH_FAILED,
                                         .message =
                                             message ? message : "The container was not launched"};
    const struct rv_containerizer_ops *ops = t->d->containerizer->ops;
    struct rv_api_container *c = rv_api_find(t, id);
    struct rv_http_request *req;
    struct rv_error err;

    if (!c && launched)
        rv_api_take_terminal(t, id);
    else if (!c)
        rv_api_tell_end(t, id, &end);
    if (!c || c->state != RV_API_STARTING)
        return c != NULL;
    req = TAKE_PTR(c->launch);
    if (!launched) {
        not_launched(c, req, &end);
        return true;
    }
    c->state = RV_API_RUNNING;
    if (req && c->session) {
        if (rv_container_io_attach(c->io, req, &c->framing, true, &err))
            refuse(t->d, req, &err);
    } else if (req)
        ok(req);
    if (c->io)
        rv_container_io_start(c->io, c->directory, ops->terminal(t->d->containerizer, id));
    if (c->killed)
        rv_api_destroy(c);
    return true;
}

bool rv_api_containers_exited(struct rv_api_containers *t, const char *id,
                              const struct rv_container_end *end) {
    struct rv_api_container *c = rv_api_find(t, id);

    rv_api_end_followers(t, id);
    if (!c || c->state == RV_API_ENDED) {
        rv_api_tell_end(t, id, end);
        rv_api_end_below(t, id);
        return c != NULL;
    }
    c->has_status = end->has_status;
    c->status = end->wait_status;
    rv_verdict_set(&c->verdict, end);
    ended(c);
    return true;
}

/* ---- of an earlier agent ---- */

bool rv_api_containers_found(struct rv_api_containers *t, const struct rv_container_found *found) {
    _cleanup_free_ char *standalone = rv_asprintf("%s/containers/%s", t->d->work_dir, found->id);
    struct rv_api_container *c;

    /* One that is nested is looked at again when it is known who its parent is. */
    if (!strchr(found->id, '.') && !rv_streq(found->directory, standalone))
        return false;
    if (!found->started || rv_map_count(&t->containers) >= MAX_CONTAINERS)
        return false;
    c = rv_api_add(t, found->id, rv_strdup(found->directory));
    c->survives = true;
    c->state = RV_API_RUNNING;
    if (!found->there) {
        c->state = RV_API_ENDED;
        t->n_ended++;
    }
    return true;
}

static void take_terminals(struct rv_api_containers *t) {
    void *item;

    for (size_t it = 0; rv_map_next(&t->containers, &it, NULL, &item);) {
        struct rv_api_container *c = item;
        if (c->state == RV_API_RUNNING)
            c->io = rv_api_open_terminal(t, c->id, c->directory);
    }
    for (size_t it = 0; rv_map_next(&t->d->core->containers, &it, NULL, &item);)
        rv_api_take_terminal(t, ((const struct rv_agent_executor *)item)->container_id.v);
}

void rv_api_containers_recovered(struct rv_api_containers *t) {
    rv_api_records_read(t);
    take_terminals(t);
    end_without_parents(t);
    forget_oldest(t);
}
