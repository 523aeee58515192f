/*
 * The containers that the agent's API made, see agent_containers.h.
 *
 * Holds: a container in the table that has not ended is the containerizer's, or about to be, and
 * its parent has not ended or it is being killed. A request is in one place: the one that launches,
 * or the list of those that wait. Ended ones are kept for those who ask late: nested ones as long
 * as their parent, all of them no more than KEEP, the oldest go first.
 *
 * Costs: a look at the table, which is bounded, when any container ends.
 */
#include "daemon/agent_containers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/list.h"
#include "base/log.h"
#include "containerizer/verdict.h"
#include "daemon/agent_limits.h"
#include "daemon/agent_views.h"
#include "daemon/folders.h"
#include "wire/convert.h"
#include "wire/resources_codec.h"
#include "wire/validate.h"

enum {
    MAX_CONTAINERS = 2000, /* that run */
    KEEP = 1000,           /* that have ended */
    MAX_WAITING = 64,      /* requests for one container */
    MAX_ID = 200, /* bytes with those above it: a file's name in the containerizer's folder */
};

enum state { STARTING, RUNNING, ENDED };

/* A request that is answered later. */
struct parked {
    struct rv_list link;
    struct rv_http_request *req;
    struct api_container *container;
    enum rv_encoding encoding;
    bool nested; /* WAIT_NESTED_CONTAINER's answer has another name */
};

struct api_container {
    struct rv_api_containers *table;
    char *id, *directory;
    enum state state;
    bool killed, session;
    bool has_status;
    int32_t status;
    struct rv_verdict verdict;
    struct rv_resources resources;
    struct rv_container_io *io; /* NULL: its output goes to files */
    struct parked *launch;      /* NULL: answered, or its client has gone */
    struct rv_container_framing framing;
    struct rv_list waiting;
    size_t n_waiting;
};

/* Of a container that writes to files and is attached to. */
struct follower {
    struct rv_api_containers *table;
    char *id;
    struct rv_container_io *io;
};

struct rv_api_containers {
    struct rv_agent_daemon *d;
    struct rv_map containers; /* by id */
    struct rv_map followers;  /* by id */
    size_t n_ended;
    uint64_t removed; /* to give each folder that goes a name of its own */
};

/* ---- memory ---- */

static void drop_parked(struct parked *p) {
    rv_list_remove(&p->link);
    free(p);
}

static void free_container(struct api_container *c) {
    struct rv_api_containers *t = c->table;

    rv_map_remove(&t->containers, rv_str(c->id));
    if (c->state == ENDED)
        t->n_ended--;
    rv_container_io_free(c->io);
    rv_resources_free(&c->resources);
    rv_verdict_free(&c->verdict);
    free(c->directory);
    free(c->id);
    free(c);
}

static void free_follower(struct follower *f) {
    rv_map_remove(&f->table->followers, rv_str(f->id));
    rv_container_io_free(f->io);
    free(f->id);
    free(f);
}

struct rv_api_containers *rv_api_containers_new(struct rv_agent_daemon *d) {
    struct rv_api_containers *t = rv_calloc(1, sizeof *t);

    t->d = d;
    return t;
}

struct rv_api_containers *rv_api_containers_free(struct rv_api_containers *t) {
    static const char ending[] = "This daemon is ending.\n";
    void *item;

    if (!t)
        return NULL;
    for (size_t it = 0; rv_map_next(&t->containers, &it, NULL, &item);) {
        struct api_container *c = item;
        if (c->launch) {
            rv_http_reply_text(c->launch->req, 503, "%s", ending);
            free(c->launch);
        }
        RV_LIST_EACH (&c->waiting, node, tmp) {
            struct parked *p = RV_LIST_ENTRY(node, struct parked, link);
            rv_http_reply_text(p->req, 503, "%s", ending);
            drop_parked(p);
        }
        free_container(c);
    }
    for (size_t it = 0; rv_map_next(&t->followers, &it, NULL, &item);)
        free_follower(item);
    rv_map_free(&t->containers);
    rv_map_free(&t->followers);
    free(t);
    return NULL;
}

/* ---- ids and parents ---- */

static struct api_container *find(const struct rv_api_containers *t, const char *id) {
    return rv_map_gets(&t->containers, id);
}

/* "a.b.c" in the arena; NULL with the reason. */
static const char *id_of(const Reeve__V1__ContainerID *m, struct rv_arena *arena,
                         struct rv_error *err) {
    for (const Reeve__V1__ContainerID *c = m; c; c = c->parent) {
        const char *problem = rv_id_problem(c->value);
        if (!problem && strchr(c->value, '.'))
            problem = "an id must not contain '.'";
        if (problem) {
            rv_error_set(err, RV_ERR_INVALID, "container_id: %s", problem);
            return NULL;
        }
    }
    const char *id = rv_wire_container_id_from(m, arena).v;
    if (strlen(id) <= MAX_ID)
        return id;
    rv_error_set(err, RV_ERR_INVALID,
                 "container_id: at most %d bytes, with those of all that it lies in", MAX_ID);
    return NULL;
}

static bool is_below(const char *id, const char *above) {
    size_t n = strlen(above);

    return strncmp(id, above, n) == 0 && id[n] == '.';
}

/* What a new container is to lie in. */
struct parent {
    const char *directory; /* in the arena or the table's */
    const struct rv_agent_executor *executor;
    const struct rv_agent_task *task;
};

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

static const struct rv_agent_executor *executor_of(const struct rv_agent_daemon *d,
                                                   const char *id) {
    size_t n = strcspn(id, ".");
    const struct rv_agent_executor *ex = rv_map_get(&d->core->containers, rv_strn(id, n));

    if (!ex || !ex->launched || ex->destroyed || ex->state == RV_EXECUTOR_TERMINATED)
        return NULL;
    return ex;
}

/* A container that runs, whoever made it; false: there is none. */
static bool find_running(const struct rv_api_containers *t, const char *id, struct rv_arena *arena,
                         struct parent *out) {
    const struct api_container *c = find(t, id);
    const char *dot = strchr(id, '.');

    *out = (struct parent){.executor = executor_of(t->d, id)};
    if (c) {
        out->directory = c->directory;
        return c->state == RUNNING && !c->killed;
    }
    if (!out->executor)
        return false;
    out->task = task_in(out->executor, id);
    out->directory = out->executor->directory;
    if (dot && !out->task)
        return false;
    if (dot)
        out->directory =
            rv_arena_printf(arena, "%s/containers/%s", out->executor->directory, dot + 1);
    return true;
}

/* ---- answers ---- */

static void refuse(struct rv_agent_daemon *d, struct rv_http_request *req,
                   const struct rv_error *err) {
    rv_common_refuse(&d->shell, req, err);
}

static void no_such(struct rv_agent_daemon *d, struct rv_http_request *req, const char *id) {
    struct rv_error err;

    rv_error_set(&err, RV_ERR_NOT_FOUND, "There is no container %s", id);
    refuse(d, req, &err);
}

static void ok(struct rv_http_request *req) {
    rv_http_reply(req, 200, NULL, rv_strn(NULL, 0), NULL);
}

static void destroy(struct api_container *c) {
    struct rv_agent_daemon *d = c->table->d;

    c->killed = true;
    if (c->state != ENDED)
        d->containerizer->ops->destroy(d->containerizer, c->id);
}

/* The client of a request that is parked has gone: a session that was to be goes with it. */
static void on_abandoned(void *data, struct rv_http_request *req) {
    struct parked *p = data;
    struct api_container *c = p->container;

    if (c->launch == p) {
        c->launch = NULL;
        if (c->session)
            destroy(c);
    } else
        c->n_waiting--;
    drop_parked(p);
    rv_http_reply(req, 200, NULL, rv_strn(NULL, 0), NULL);
}

static struct parked *park(struct api_container *c, struct rv_http_request *req,
                           enum rv_encoding encoding) {
    struct parked *p = rv_calloc(1, sizeof *p);

    *p = (struct parked){.req = req, .container = c, .encoding = encoding};
    rv_http_set_data(req, p, on_abandoned);
    return p;
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
    struct parent parent;
};

/* A sentence, or NULL if all that is asked for can be given. */
static const char *unsupported(const struct launch *l) {
    return l->command->n_uris ? "command.uris: not supported for containers that the API makes"
                              : NULL;
}

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

static int check(struct rv_api_containers *t, struct launch *l, struct rv_arena *arena,
                 struct rv_error *err) {
    const char *problem, *last;

    l->id = id_of(l->container_id, arena, err);
    if (!l->id)
        return -RV_ERR_INVALID;
    last = strrchr(l->id, '.');
    if (!l->command || !l->command->value)
        return rv_error_set(err, RV_ERR_INVALID, "command.value: required");
    problem = unsupported(l);
    if (problem)
        return rv_error_set(err, RV_ERR_INVALID, "%s", problem);
    if (last && l->n_resources)
        return rv_error_set(err, RV_ERR_INVALID,
                            "resources: a nested container shares those of its parent");
    if (last &&
        !find_running(t, rv_arena_strndup(arena, l->id, (size_t)(last - l->id)), arena, &l->parent))
        return rv_error_set(err, RV_ERR_INVALID, "container_id.parent: there is no container %.*s",
                            (int)(last - l->id), l->id);
    if (rv_map_count(&t->containers) - t->n_ended >= MAX_CONTAINERS)
        return rv_error_set(err, RV_ERR_LIMIT, "%d containers run already that the API made",
                            MAX_CONTAINERS);
    l->tty = l->container && l->container->tty_info;
    return 0;
}

static void on_owner_gone(void *ctx) {
    destroy(ctx);
}

static int open_io(struct api_container *c, const struct launch *l, int stdio[3],
                   struct rv_error *err) {
    struct rv_agent_daemon *d = c->table->d;
    const struct rv_container_io_config config = {
        .loop = d->loop,
        .heartbeat_ms = (uint64_t)(d->flags->heartbeat_interval / 1000000),
        .tty = l->tty,
        .tty_info = l->tty ? l->container->tty_info : NULL,
        .on_owner_gone = on_owner_gone,
        .ctx = c};

    return rv_container_io_new(&config, stdio, &c->io, err);
}

static int start(struct api_container *c, const struct launch *l, struct rv_error *err) {
    struct rv_agent_daemon *d = c->table->d;
    int stdio[3];
    int rc = rv_wire_resources_from(l->resources, l->n_resources, "resources", &c->resources, err);

    if (!rc && (l->session || l->tty))
        rc = open_io(c, l, stdio, err);
    if (rc)
        return rc;
    struct rv_api_launch launch = {.id = c->id,
                                   .directory = c->directory,
                                   .work_directory = l->session ? l->parent.directory : NULL,
                                   .executor = l->parent.executor,
                                   .task = l->parent.task,
                                   .command = l->command,
                                   .container = l->container,
                                   .resources = &c->resources,
                                   .limits = l->limits,
                                   .stdio = c->io ? stdio : NULL,
                                   .tty = l->tty,
                                   .session = l->session};
    return rv_agent_launch_api(d, &launch, err);
}

static void do_launch(struct rv_agent_daemon *d, struct rv_http_request *req, struct launch *l) {
    struct rv_api_containers *t = d->api;
    struct rv_container_framing framing = {0};
    struct api_container *c;
    struct rv_error err;

    if (l->session ? !rv_container_io_framing(&d->shell, req, &framing)
                   : !rv_shell_accept_encoding(&d->shell, req, &framing.encoding))
        return;
    if (check(t, l, &d->arena, &err)) {
        refuse(d, req, &err);
        return;
    }
    c = find(t, l->id);
    if (c && c->state != ENDED) {
        rv_http_reply(req, 202, NULL, rv_strn(NULL, 0), NULL);
        return;
    }
    if (c)
        free_container(c);
    c = rv_calloc(1, sizeof *c);
    const char *last = strrchr(l->id, '.');
    *c = (struct api_container){.table = t, .id = rv_strdup(l->id), .session = l->session};
    rv_verdict_init(&c->verdict);
    c->framing = framing;
    c->directory =
        rv_asprintf("%s/containers/%s", l->parent.directory ? l->parent.directory : d->work_dir,
                    last ? last + 1 : l->id);
    rv_list_init(&c->waiting);
    rv_map_put(&t->containers, rv_str(c->id), c);
    if (start(c, l, &err)) {
        free_container(c);
        refuse(d, req, &err);
        return;
    }
    c->launch = park(c, req, framing.encoding);
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
        if (((struct api_container *)item)->state == ENDED)
            free_container(item);
}

/* What lies below a container that has ended. */
static void end_below(struct rv_api_containers *t, const char *id) {
    void *item;

    for (size_t it = 0; rv_map_next(&t->containers, &it, NULL, &item);) {
        struct api_container *c = item;
        if (!is_below(c->id, id))
            continue;
        if (c->state == ENDED)
            free_container(c);
        else
            destroy(c);
    }
}

static bool has_parent(const struct rv_api_containers *t, const struct api_container *c,
                       struct rv_arena *arena) {
    const char *last = strrchr(c->id, '.');
    struct parent parent;

    return !last ||
           find_running(t, rv_arena_strndup(arena, c->id, (size_t)(last - c->id)), arena, &parent);
}

void rv_api_containers_check(struct rv_api_containers *t) {
    _cleanup_(rv_arena_free) struct rv_arena arena;
    void *item;

    rv_arena_init(&arena);
    for (size_t it = 0; rv_map_next(&t->containers, &it, NULL, &item);) {
        struct api_container *c = item;
        if (c->killed || has_parent(t, c, &arena))
            continue;
        if (c->state == ENDED)
            free_container(c);
        else
            destroy(c);
    }
}

/* The answer to a WAIT; the two messages have the same fields. */
static void answer_wait(const struct api_container *c, struct rv_http_request *req,
                        enum rv_encoding encoding, bool nested) {
    Reeve__V1__Agent__Response response = REEVE__V1__AGENT__RESPONSE__INIT;
    Reeve__V1__Agent__Response__WaitNestedContainer n =
        REEVE__V1__AGENT__RESPONSE__WAIT_NESTED_CONTAINER__INIT;
    Reeve__V1__Agent__Response__WaitContainer s = REEVE__V1__AGENT__RESPONSE__WAIT_CONTAINER__INIT;
    _cleanup_(rv_arena_free) struct rv_arena arena;

    rv_arena_init(&arena);
    response.has_type = true;
    response.type = nested ? REEVE__V1__AGENT__RESPONSE__TYPE__WAIT_NESTED_CONTAINER
                           : REEVE__V1__AGENT__RESPONSE__TYPE__WAIT_CONTAINER;
    n.has_exit_status = s.has_exit_status = c->has_status;
    n.exit_status = s.exit_status = c->status;
    n.message = s.message = c->verdict.message;
    if (c->verdict.reason != RV_REASON_NONE) {
        n.has_state = s.has_state = true;
        n.state = s.state = REEVE__V1__TASK_STATE__TASK_FAILED;
        n.has_reason = s.has_reason = true;
        n.reason = s.reason = (Reeve__V1__TaskStatus__Reason)c->verdict.reason;
        n.limitation = s.limitation = rv_limitation_to(&c->verdict.limitation, &arena);
    }
    if (nested)
        response.wait_nested_container = &n;
    else
        response.wait_container = &s;
    rv_shell_reply_message(req, encoding, &response.base);
}

static void ended(struct api_container *c) {
    struct rv_api_containers *t = c->table;
    _cleanup_(rv_arena_free) struct rv_arena arena;

    c->state = ENDED;
    t->n_ended++;
    if (c->io)
        rv_container_io_finish(c->io);
    c->io = rv_container_io_free(c->io);
    RV_LIST_EACH (&c->waiting, node, tmp) {
        struct parked *p = RV_LIST_ENTRY(node, struct parked, link);
        answer_wait(c, p->req, p->encoding, p->nested);
        drop_parked(p);
    }
    c->n_waiting = 0;
    end_below(t, c->id);
    rv_arena_init(&arena);
    if (has_parent(t, c, &arena))
        forget_oldest(t);
    else
        free_container(c);
}

/* ---- from the containerizer ---- */

bool rv_api_containers_launched(struct rv_api_containers *t, const char *id, bool launched,
                                const char *message) {
    struct api_container *c = find(t, id);
    struct parked *p;
    struct rv_error err;

    if (!c || c->state != STARTING)
        return c != NULL;
    p = TAKE_PTR(c->launch);
    if (!launched) {
        rv_error_set(&err, RV_ERR_INVALID, "The container was not launched: %s",
                     message ? message : "no reason is known");
        if (p)
            refuse(t->d, p->req, &err);
        free(p);
        rv_verdict_set(&c->verdict,
                       &(struct rv_container_end){.reason = RV_REASON_CONTAINER_LAUNCH_FAILED,
                                                  .message = message});
        c->killed = true;
        ended(c);
        c = find(t, id);
        if (c)
            free_container(c);
        return true;
    }
    c->state = RUNNING;
    if (p && c->session) {
        if (rv_container_io_attach(c->io, p->req, &c->framing, true, &err))
            refuse(t->d, p->req, &err);
    } else if (p)
        ok(p->req);
    free(p);
    if (c->io)
        rv_container_io_start(c->io, c->directory);
    if (c->killed)
        destroy(c);
    return true;
}

bool rv_api_containers_exited(struct rv_api_containers *t, const char *id,
                              const struct rv_container_end *end) {
    struct follower *f = rv_map_gets(&t->followers, id);
    struct api_container *c = find(t, id);

    if (f) {
        rv_container_io_finish(f->io);
        free_follower(f);
    }
    if (!c || c->state == ENDED) {
        end_below(t, id);
        return c != NULL;
    }
    c->has_status = end->has_status;
    c->status = end->wait_status;
    rv_verdict_set(&c->verdict, end);
    ended(c);
    return true;
}

/* ---- wait, kill, remove ---- */

void rv_api_wait(struct rv_agent_daemon *d, struct rv_http_request *req,
                 const Reeve__V1__Agent__Call *call) {
    const Reeve__V1__Agent__Call__WaitNestedContainer *n = call->wait_nested_container;
    bool nested = call->type == REEVE__V1__AGENT__CALL__TYPE__WAIT_NESTED_CONTAINER;
    enum rv_encoding encoding;
    struct api_container *c;
    struct rv_error err;
    const char *id;

    if (!rv_shell_accept_encoding(&d->shell, req, &encoding))
        return;
    id = id_of(nested ? n->container_id : call->wait_container->container_id, &d->arena, &err);
    if (!id) {
        refuse(d, req, &err);
        return;
    }
    c = find(d->api, id);
    if (!c)
        no_such(d, req, id);
    else if (c->state == ENDED)
        answer_wait(c, req, encoding, nested);
    else if (c->n_waiting >= MAX_WAITING) {
        rv_error_set(&err, RV_ERR_CONFLICT, "%d requests wait for this container already",
                     MAX_WAITING);
        refuse(d, req, &err);
    } else {
        struct parked *p = park(c, req, encoding);
        p->nested = nested;
        rv_list_append(&c->waiting, &p->link);
        c->n_waiting++;
    }
}

void rv_api_kill(struct rv_agent_daemon *d, struct rv_http_request *req,
                 const Reeve__V1__Agent__Call *call) {
    bool nested = call->type == REEVE__V1__AGENT__CALL__TYPE__KILL_NESTED_CONTAINER;
    const Reeve__V1__Agent__Call__KillNestedContainer *n = call->kill_nested_container;
    const Reeve__V1__Agent__Call__KillContainer *s = call->kill_container;
    bool has_signal = nested ? n->has_signal : s->has_signal;
    int signal = has_signal ? (nested ? n->signal : s->signal) : SIGKILL;
    const struct rv_containerizer_ops *ops = d->containerizer->ops;
    struct api_container *c;
    struct rv_error err;
    pid_t pid;
    const char *id = id_of(nested ? n->container_id : s->container_id, &d->arena, &err);

    if (id && (signal < 1 || signal >= NSIG)) {
        rv_error_set(&err, RV_ERR_INVALID, "signal: %d is none", signal);
        id = NULL;
    }
    if (!id) {
        refuse(d, req, &err);
        return;
    }
    c = find(d->api, id);
    if (!c || c->state == ENDED) {
        no_such(d, req, id);
        return;
    }
    pid = ops->pid(d->containerizer, id);
    if (signal == SIGKILL || pid <= 0)
        destroy(c);
    else if (kill(pid, signal) != 0)
        RV_DEBUG("agent", "cannot send signal %d to container %s: %s", signal, id, strerror(errno));
    ok(req);
}

/* Out of the way at once, so that the id can be used again; gone when the thread pool has got to
 * it. 0, or -RV_ERR_NOT_FOUND. */
static int remove_sandbox(struct rv_api_containers *t, const char *directory,
                          struct rv_error *err) {
    int n = (int)(strrchr(directory, '/') - directory);
    _cleanup_free_ char *name =
        rv_asprintf(".removed-%d-%llu", (int)getpid(), (unsigned long long)t->removed++);
    _cleanup_free_ char *aside = rv_asprintf("%.*s/%s", n, directory, name);
    int rc = rv_folder_rename(directory, name);

    if (rc == -ENOENT)
        return rv_error_set(err, RV_ERR_NOT_FOUND, "There is no sandbox %s", directory);
    if (rc)
        return rv_error_set(err, RV_ERR_IO, "cannot remove %s: %s", directory, strerror(-rc));
    rv_remover_add(t->d->remover, aside);
    return 0;
}

static bool runs_below(const struct rv_api_containers *t, const char *id) {
    void *item;

    for (size_t it = 0; rv_map_next(&t->containers, &it, NULL, &item);) {
        const struct api_container *c = item;
        if (c->state != ENDED && (rv_streq(c->id, id) || is_below(c->id, id)))
            return true;
    }
    return false;
}

void rv_api_remove(struct rv_agent_daemon *d, struct rv_http_request *req,
                   const Reeve__V1__Agent__Call *call) {
    bool nested = call->type == REEVE__V1__AGENT__CALL__TYPE__REMOVE_NESTED_CONTAINER;
    struct rv_api_containers *t = d->api;
    _cleanup_free_ char *directory = NULL;
    struct api_container *c;
    struct rv_error err;
    const char *id = id_of(nested ? call->remove_nested_container->container_id
                                  : call->remove_container->container_id,
                           &d->arena, &err);

    if (!id) {
        refuse(d, req, &err);
        return;
    }
    if (runs_below(t, id)) {
        rv_error_set(&err, RV_ERR_CONFLICT, "The container %s has not ended", id);
        refuse(d, req, &err);
        return;
    }
    c = find(t, id);
    if (c)
        directory = rv_strdup(c->directory);
    else if (!strchr(id, '.')) /* perhaps of an earlier agent */
        directory = rv_asprintf("%s/containers/%s", d->work_dir, id);
    if (!directory) {
        no_such(d, req, id);
        return;
    }
    int rc = remove_sandbox(t, directory, &err);
    if (rc && (!c || rc != -RV_ERR_NOT_FOUND)) {
        refuse(d, req, &err);
        return;
    }
    end_below(t, id);
    if (c)
        free_container(c);
    ok(req);
}

/* ---- streams ---- */

static void on_unused(void *ctx) {
    free_follower(ctx);
}

static struct rv_container_io *follow(struct rv_api_containers *t, const char *id,
                                      const char *directory) {
    struct follower *f = rv_map_gets(&t->followers, id);

    if (f)
        return f->io;
    f = rv_calloc(1, sizeof *f);
    f->table = t;
    f->id = rv_strdup(id);
    const struct rv_container_io_config config = {
        .loop = t->d->loop,
        .heartbeat_ms = (uint64_t)(t->d->flags->heartbeat_interval / 1000000),
        .on_unused = on_unused,
        .ctx = f};
    f->io = rv_container_io_follow(&config, directory);
    rv_map_put(&t->followers, rv_str(id), f);
    return f->io;
}

int rv_api_containers_io(struct rv_api_containers *t, const char *id, bool follow_files,
                         struct rv_container_io **out, struct rv_error *err) {
    const struct api_container *c = find(t, id);
    _cleanup_(rv_arena_free) struct rv_arena arena;
    struct parent place;
    int rc = 0;

    rv_arena_init(&arena);
    if (c && c->io && c->state == RUNNING)
        *out = c->io;
    else if (!find_running(t, id, &arena, &place))
        rc = rv_error_set(err, RV_ERR_NOT_FOUND, "There is no container %s that runs", id);
    else if (follow_files)
        *out = follow(t, id, place.directory);
    else
        rc = rv_error_set(err, RV_ERR_INVALID,
                          "The container %s has neither a terminal nor a session: it takes no "
                          "input",
                          id);
    return rc;
}

void rv_api_attach_output(struct rv_agent_daemon *d, struct rv_http_request *req,
                          const Reeve__V1__Agent__Call *call) {
    struct rv_container_framing framing;
    struct rv_container_io *io;
    struct rv_error err;
    const char *id;

    if (!rv_container_io_framing(&d->shell, req, &framing))
        return;
    id = id_of(call->attach_container_output->container_id, &d->arena, &err);
    if (!id || rv_api_containers_io(d->api, id, true, &io, &err) ||
        rv_container_io_attach(io, req, &framing, false, &err))
        refuse(d, req, &err);
}

void rv_api_attach_input(struct rv_agent_daemon *d, struct rv_http_request *req,
                         const Reeve__V1__Agent__Call *call) {
    (void)call;
    d->shell.bad_requests++;
    rv_http_reply_text(req, 415, "Expecting 'Content-Type' of application/recordio.\n");
}

/* ---- the view ---- */

void rv_api_containers_view(const struct rv_api_containers *t, bool nested, bool standalone,
                            struct rv_arena *arena,
                            Reeve__V1__Agent__Response__GetContainers *out) {
    typeof(out->containers) all = RV_ARENA_ARRAY(arena, typeof(*out->containers),
                                                 out->n_containers + rv_map_count(&t->containers));
    void *item;

    if (out->n_containers)
        memcpy(all, out->containers, out->n_containers * sizeof *all);
    out->containers = all;
    for (size_t it = 0; rv_map_next(&t->containers, &it, NULL, &item);) {
        const struct api_container *c = item;
        const struct rv_agent_executor *ex = executor_of(t->d, c->id);
        bool is_nested = strchr(c->id, '.') != NULL;
        pid_t pid = t->d->containerizer->ops->pid(t->d->containerizer, c->id);
        if (c->state == ENDED || (is_nested && !nested) || (!ex && !standalone))
            continue;
        typeof(*all) m = RV_WIRE_MAKE(arena, Agent__Response__GetContainers__Container,
                                      agent__response__get_containers__container);
        m->container_id = rv_wire_container_id_to((struct rv_container_id){c->id}, arena);
        m->container_status = RV_WIRE_MAKE(arena, ContainerStatus, container_status);
        m->container_status->container_id = m->container_id;
        m->container_status->has_executor_pid = pid > 0;
        m->container_status->executor_pid = pid > 0 ? (uint32_t)pid : 0;
        m->resource_statistics = rv_agent_view_statistics(t->d, c->id, &c->resources, arena);
        all[out->n_containers++] = m;
    }
}
