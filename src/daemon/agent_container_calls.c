/*
 * What is asked of containers that the agent's API made, see agent_containers.h: to wait for them,
 * signal, remove, follow and list them.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/log.h"
#include "daemon/agent_containers_internal.h"
#include "daemon/agent_limits.h"
#include "daemon/agent_views.h"
#include "daemon/folders.h"
#include "daemon/statistics.h"
#include "wire/convert.h"

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

/* As in a call: "a.b.c", NULL with the reason. One whose call says that it is nested must be. */
static const char *named(const Reeve__V1__ContainerID *m, bool nested, struct rv_arena *arena,
                         struct rv_error *err) {
    if (!nested || m->parent)
        return rv_api_id_of(m, arena, err);
    rv_error_set(err, RV_ERR_INVALID, "container_id.parent: required");
    return NULL;
}

/* ---- wait ---- */

/* Of one container that has not ended, whoever made it: there as long as anybody waits. */
struct waits {
    struct rv_map *table; /* where it is, under its id */
    char *id;
    struct rv_list parked;
    size_t n;
};

struct parked {
    struct rv_list link;
    struct waits *waits;
    struct rv_http_request *req;
    enum rv_encoding encoding;
    bool nested; /* WAIT_NESTED_CONTAINER's answer has another name */
};

struct rv_container_end rv_api_end_of(const struct rv_api_container *c) {
    struct rv_container_end end = {.has_status = c->has_status, .wait_status = c->status};

    rv_verdict_tell(&c->verdict, &end);
    return end;
}

/* The two messages have the same fields. */
static void answer_wait(const struct rv_container_end *end, struct rv_http_request *req,
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
    n.has_exit_status = s.has_exit_status = end->has_status;
    n.exit_status = s.exit_status = end->wait_status;
    n.message = s.message = end->message ? rv_arena_strdup(&arena, end->message) : NULL;
    if (end->reason != RV_REASON_NONE) {
        n.has_state = s.has_state = true;
        n.state = s.state = REEVE__V1__TASK_STATE__TASK_FAILED;
        n.has_reason = s.has_reason = true;
        n.reason = s.reason = (Reeve__V1__TaskStatus__Reason)end->reason;
        n.limitation = s.limitation =
            end->limitation ? rv_limitation_to(end->limitation, &arena) : NULL;
    }
    if (nested)
        response.wait_nested_container = &n;
    else
        response.wait_container = &s;
    rv_shell_reply_message(req, encoding, &response.base);
}

static void drop_parked(struct parked *p) {
    struct waits *w = p->waits;

    rv_list_remove(&p->link);
    free(p);
    if (--w->n)
        return;
    rv_map_remove(w->table, rv_str(w->id));
    free(w->id);
    free(w);
}

static void on_abandoned(void *data, struct rv_http_request *req) {
    drop_parked(data);
    rv_http_reply(req, 200, NULL, rv_strn(NULL, 0), NULL);
}

static void park(struct rv_api_containers *t, const char *id, struct rv_http_request *req,
                 enum rv_encoding encoding, bool nested) {
    struct waits *w = rv_map_gets(&t->waits, id);
    struct parked *p;
    struct rv_error err;

    if (w && w->n >= RV_API_MAX_WAITING) {
        rv_error_set(&err, RV_ERR_CONFLICT, "%d requests wait for this container already",
                     RV_API_MAX_WAITING);
        refuse(t->d, req, &err);
        return;
    }
    if (!w) {
        w = rv_calloc(1, sizeof *w);
        *w = (struct waits){.table = &t->waits, .id = rv_strdup(id)};
        rv_list_init(&w->parked);
        rv_map_put(&t->waits, rv_str(w->id), w);
    }
    p = rv_calloc(1, sizeof *p);
    *p = (struct parked){.waits = w, .req = req, .encoding = encoding, .nested = nested};
    rv_list_append(&w->parked, &p->link);
    w->n++;
    rv_http_set_data(req, p, on_abandoned);
}

/* Answers all that wait; NULL: nobody knows how it ended. */
static void answer_all(struct waits *w, const struct rv_container_end *end) {
    for (size_t n = w->n; n; n--) { /* with the last of them it is gone */
        struct parked *p = RV_LIST_ENTRY(w->parked.next, struct parked, link);
        if (end)
            answer_wait(end, p->req, p->encoding, p->nested);
        else
            rv_http_reply_text(p->req, 503, "This daemon is ending.\n");
        drop_parked(p);
    }
}

void rv_api_tell_end(struct rv_api_containers *t, const char *id,
                     const struct rv_container_end *end) {
    struct waits *w = rv_map_gets(&t->waits, id);

    if (w)
        answer_all(w, end);
}

void rv_api_free_waits(struct rv_api_containers *t) {
    void *w;

    for (size_t it = 0; rv_map_next(&t->waits, &it, NULL, &w);)
        answer_all(w, NULL);
    rv_map_free(&t->waits);
}

/* An executor's own, from when it was asked for until it has ended. */
static bool is_executors(const struct rv_agent_daemon *d, const char *id) {
    const struct rv_agent_executor *ex = rv_map_gets(&d->core->containers, id);

    return ex && ex->started && ex->state != RV_EXECUTOR_TERMINATED;
}

void rv_api_wait(struct rv_agent_daemon *d, struct rv_http_request *req,
                 const Reeve__V1__Agent__Call *call) {
    const Reeve__V1__Agent__Call__WaitNestedContainer *n = call->wait_nested_container;
    bool nested = call->type == REEVE__V1__AGENT__CALL__TYPE__WAIT_NESTED_CONTAINER;
    enum rv_encoding encoding;
    struct rv_container_end end;
    struct rv_api_container *c;
    struct rv_error err;
    const char *id;

    if (!rv_shell_accept_encoding(&d->shell, req, &encoding))
        return;
    id = named(nested ? n->container_id : call->wait_container->container_id, nested, &d->arena,
               &err);
    if (!id) {
        refuse(d, req, &err);
        return;
    }
    c = rv_api_find(d->api, id);
    if (c && c->state == RV_API_ENDED) {
        end = rv_api_end_of(c);
        answer_wait(&end, req, encoding, nested);
    } else if (c || is_executors(d, id))
        park(d->api, id, req, encoding, nested);
    else
        no_such(d, req, id);
}

/* ---- kill, remove ---- */

/* Of any container, also an executor's: that one's end is the core's to hear of. */
void rv_api_kill(struct rv_agent_daemon *d, struct rv_http_request *req,
                 const Reeve__V1__Agent__Call *call) {
    bool nested = call->type == REEVE__V1__AGENT__CALL__TYPE__KILL_NESTED_CONTAINER;
    const Reeve__V1__Agent__Call__KillNestedContainer *n = call->kill_nested_container;
    const Reeve__V1__Agent__Call__KillContainer *s = call->kill_container;
    bool has_signal = nested ? n->has_signal : s->has_signal;
    int signal = has_signal ? (nested ? n->signal : s->signal) : SIGKILL;
    const struct rv_containerizer_ops *ops = d->containerizer->ops;
    struct rv_api_container *c;
    struct rv_api_parent place;
    struct rv_error err;
    pid_t pid;
    const char *id = named(nested ? n->container_id : s->container_id, nested, &d->arena, &err);

    if (id && (signal < 1 || signal >= NSIG)) {
        rv_error_set(&err, RV_ERR_INVALID, "signal: %d is none", signal);
        id = NULL;
    }
    if (!id) {
        refuse(d, req, &err);
        return;
    }
    c = rv_api_find(d->api, id);
    if (!rv_api_find_running(d->api, id, &d->arena, &place) && (!c || c->state == RV_API_ENDED)) {
        no_such(d, req, id);
        return;
    }
    pid = ops->pid(d->containerizer, id);
    if (c && (signal == SIGKILL || pid <= 0))
        rv_api_destroy(c);
    else if (pid <= 0 || kill(pid, signal) != 0)
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
        const struct rv_api_container *c = item;
        if (c->state != RV_API_ENDED && (rv_streq(c->id, id) || rv_api_is_below(c->id, id)))
            return true;
    }
    return false;
}

/* The sandbox of the container that all of them lie in; NULL: it does not run. */
static const char *root_of(struct rv_api_containers *t, const char *id) {
    const char *root = rv_arena_strndup(&t->d->arena, id, strcspn(id, "."));
    struct rv_api_parent place;

    return rv_api_find_running(t, root, &t->d->arena, &place) ? place.directory : NULL;
}

/* Where the sandbox of a container would be that is not known any more, or never was: one of an
 * earlier agent, or of so many. NULL: the root of what it lies in does not run, so there is none.
 */
static char *forgotten_place(struct rv_api_containers *t, const char *id) {
    const char *root = strchr(id, '.') ? root_of(t, id) : t->d->work_dir;
    const char *rest = strchr(id, '.') ? strchr(id, '.') + 1 : id;
    struct rv_buf path = {0};

    if (!root)
        return NULL;
    rv_buf_puts(&path, root);
    for (size_t n; *rest; rest += n + (rest[n] == '.')) {
        n = strcspn(rest, ".");
        rv_buf_printf(&path, "/containers/%.*s", (int)n, rest);
    }
    return path.data;
}

void rv_api_remove(struct rv_agent_daemon *d, struct rv_http_request *req,
                   const Reeve__V1__Agent__Call *call) {
    bool nested = call->type == REEVE__V1__AGENT__CALL__TYPE__REMOVE_NESTED_CONTAINER;
    struct rv_api_containers *t = d->api;
    _cleanup_free_ char *directory = NULL;
    struct rv_api_container *c;
    struct rv_error err;
    const char *id = named(nested ? call->remove_nested_container->container_id
                                  : call->remove_container->container_id,
                           nested, &d->arena, &err);

    if (!id) {
        refuse(d, req, &err);
        return;
    }
    if (runs_below(t, id) || is_executors(d, id)) {
        /* 500 as with the peer, whose clients know it so; likewise below. */
        rv_error_set(&err, RV_ERR_INTERNAL, "The container %s has not ended", id);
        refuse(d, req, &err);
        return;
    }
    c = rv_api_find(t, id);
    directory = c ? rv_strdup(c->directory) : forgotten_place(t, id);
    if (!directory) {
        rv_error_set(&err, RV_ERR_INTERNAL, "The root of container %s does not run", id);
        refuse(d, req, &err);
        return;
    }
    int rc = remove_sandbox(t, directory, &err);
    /* What is not there need not be removed; but of a standalone one nobody knows anything else. */
    if (rc && (rc != -RV_ERR_NOT_FOUND || (!c && !strchr(id, '.')))) {
        refuse(d, req, &err);
        return;
    }
    rv_api_end_below(t, id);
    if (c)
        rv_api_forget(c);
    ok(req);
}

/* ---- streams ---- */

/* Of a container that writes to files and is attached to, or that is an executor's and has a
 * terminal. */
struct follower {
    struct rv_api_containers *table;
    char *id;
    bool terminal;
    struct rv_container_io *io;
};

static void free_follower(struct follower *f) {
    rv_map_remove(&f->table->followers, rv_str(f->id));
    rv_container_io_free(f->io);
    free(f->id);
    free(f);
}

void rv_api_end_followers(struct rv_api_containers *t, const char *id) {
    struct follower *f = rv_map_gets(&t->followers, id);

    if (f) {
        rv_container_io_finish(f->io);
        free_follower(f);
    }
}

void rv_api_free_followers(struct rv_api_containers *t) {
    void *item;

    for (size_t it = 0; rv_map_next(&t->followers, &it, NULL, &item);)
        free_follower(item);
    rv_map_free(&t->followers);
}

static void on_unused(void *ctx) {
    free_follower(ctx);
}

static struct follower *new_follower(struct rv_api_containers *t, const char *id) {
    struct follower *f = rv_calloc(1, sizeof *f);

    f->table = t;
    f->id = rv_strdup(id);
    rv_map_put(&t->followers, rv_str(id), f);
    return f;
}

static struct rv_container_io *follow(struct rv_api_containers *t, const char *id,
                                      const char *directory) {
    struct follower *f = rv_map_gets(&t->followers, id);

    if (f)
        return f->io;
    f = new_follower(t, id);
    const struct rv_container_io_config config = {
        .loop = t->d->loop,
        .heartbeat_ms = (uint64_t)(t->d->flags->heartbeat_interval / 1000000),
        .on_unused = on_unused,
        .ctx = f};
    f->io = rv_container_io_follow(&config, directory);
    return f->io;
}

struct rv_container_io *rv_api_open_terminal(struct rv_api_containers *t, const char *id,
                                             const char *directory) {
    struct rv_agent_daemon *d = t->d;
    struct rv_terminal terminal = d->containerizer->ops->terminal(d->containerizer, id);
    const struct rv_container_io_config config = {
        .loop = d->loop,
        .heartbeat_ms = (uint64_t)(d->flags->heartbeat_interval / 1000000),
        .tty = true};
    struct rv_container_io *io = NULL;
    struct rv_error err;
    int stdio[3];

    if (terminal.fd < 0)
        return NULL;
    if (rv_container_io_new(&config, stdio, &io, &err)) {
        RV_WARN("agent", "nobody can attach to container %s: %s", id, err.message);
        rv_terminal_close(&terminal);
        return NULL;
    }
    rv_container_io_start(io, directory, terminal);
    return io;
}

void rv_api_take_terminal(struct rv_api_containers *t, const char *id) {
    const struct rv_agent_executor *ex = rv_map_gets(&t->d->core->containers, id);
    struct rv_container_io *io = ex ? rv_api_open_terminal(t, id, ex->directory) : NULL;

    if (io) {
        struct follower *f = new_follower(t, id);
        f->terminal = true;
        f->io = io;
    }
}

int rv_api_containers_io(struct rv_api_containers *t, const char *id, bool follow_files,
                         struct rv_container_io **out, struct rv_error *err) {
    const struct rv_api_container *c = rv_api_find(t, id);
    const struct follower *f = rv_map_gets(&t->followers, id);
    _cleanup_(rv_arena_free) struct rv_arena arena;
    struct rv_api_parent place;
    int rc = 0;

    rv_arena_init(&arena);
    if (c && c->io && c->state == RV_API_RUNNING)
        *out = c->io;
    else if (f && f->terminal)
        *out = f->io;
    else if (!rv_api_find_running(t, id, &arena, &place))
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
    id = rv_api_id_of(call->attach_container_output->container_id, &d->arena, &err);
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

size_t rv_api_containers_count(const struct rv_api_containers *t) {
    return rv_map_count(&t->containers) - t->n_ended;
}

void rv_api_containers_each(const struct rv_api_containers *t,
                            void (*each)(void *ctx, const char *id, const char *directory,
                                         const struct rv_resources *resources),
                            void *ctx) {
    void *item;

    for (size_t it = 0; rv_map_next(&t->containers, &it, NULL, &item);) {
        const struct rv_api_container *c = item;
        if (c->state != RV_API_ENDED)
            each(ctx, c->id, c->directory, &c->resources);
    }
}

static Reeve__V1__ContainerStatus *status_of(const struct rv_api_container *c,
                                             struct rv_arena *arena) {
    struct rv_containerizer *containerizer = c->table->d->containerizer;
    pid_t pid = containerizer->ops->pid(containerizer, c->id);
    Reeve__V1__ContainerStatus *m = RV_WIRE_MAKE(arena, ContainerStatus, container_status);

    m->container_id = rv_wire_container_id_to((struct rv_container_id){c->id}, arena);
    m->has_executor_pid = pid > 0;
    m->executor_pid = pid > 0 ? (uint32_t)pid : 0;
    return m;
}

struct rv_agent_containers rv_api_containers_view(const struct rv_agent_daemon *d, bool nested,
                                                  bool standalone, struct rv_arena *arena) {
    const struct rv_api_containers *t = d->api;
    struct rv_agent_containers out =
        rv_agent_view_containers(d, rv_map_count(&t->containers), arena);
    void *item;

    for (size_t it = 0; rv_map_next(&t->containers, &it, NULL, &item);) {
        const struct rv_api_container *c = item;
        const struct rv_agent_executor *ex = rv_api_executor_of(d, c->id);
        bool is_nested = strchr(c->id, '.') != NULL;
        if (c->state == RV_API_ENDED || (is_nested && !nested) || (!ex && !standalone))
            continue;
        out.v[out.n++] = (struct rv_agent_container){
            .executor = ex,
            .id = {c->id},
            .made = true,
            .status = status_of(c, arena),
            .statistics = rv_statistics_of(d, c->id, &c->resources, arena)};
    }
    return out;
}
