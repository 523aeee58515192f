/*
 * Nested containers of a group's tasks, see nested.h.
 *
 * Holds: a container makes its way from LAUNCHING to WAITING and is told of once each; it is gone
 * from the list before its end is told. A call without an answer is made again a while later, once
 * the agent listens. A launch whose answer was lost is not simply made again, since the task might
 * have run: PROBING asks for its end first. That call stays without an answer as long as the
 * container runs, so after a while it counts as launched.
 *
 * Costs: a connection for each container, idle but when it begins and ends.
 */
#include "executor/nested.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "containerizer/proctree.h"
#include "executor/process.h"

enum {
    AGAIN_MS = 1000, /* after a call that got no answer */
    CANCEL_MS = 100, /* between two tries to end what is being launched */
    PROBE_MS = 1000, /* without an answer: it runs */
    SWEEP_MS = 20,   /* between two looks for processes, without an agent */
    NOT_FOUND = 404,
    UNAVAILABLE = 503,
};

enum phase { LAUNCHING, PROBING, WAITING };

struct rv_nested_container {
    unsigned task;
    const Reeve__V1__TaskInfo *info;
    Reeve__V1__ContainerID id; /* borrows its value from the task and its parent */
    enum phase phase;
    bool launched;       /* was told */
    struct rv_call call; /* LAUNCH, then WAIT */
    int64_t call_at_ms;  /* when it is made, INT64_MAX: not before something happens */
    int64_t probe_by_ms;
    bool posted;      /* the agent may know of it */
    int signal, sent; /* to be sent; on its way; 0: none */
    struct rv_call kill;
    int64_t kill_at_ms;
    char *directory; /* of its sandbox */
};

static struct rv_nested_container *find(const struct rv_nested *n, unsigned task) {
    for (size_t i = 0; i < n->containers.n; i++)
        if (n->containers.v[i]->task == task)
            return n->containers.v[i];
    return NULL;
}

static void drop(struct rv_nested *n, struct rv_nested_container *c) {
    for (size_t i = 0; i < n->containers.n; i++) {
        if (n->containers.v[i] == c) {
            rv_vec_remove_at(&n->containers, i);
            break;
        }
    }
    rv_call_free(&c->call);
    rv_call_free(&c->kill);
    free(c->directory);
    free(c);
}

void rv_nested_free(struct rv_nested *n) {
    while (n->containers.n)
        drop(n, n->containers.v[0]);
    rv_vec_free(&n->containers);
}

/* ---- what is told ---- */

/* Where a person finds a task's sandbox by the task's id, as the peer has it. */
static void link_sandbox(const struct rv_nested *n, const struct rv_nested_container *c) {
    _cleanup_free_ char *folder = rv_asprintf("%s/tasks", n->sandbox);
    _cleanup_free_ char *link = rv_asprintf("%s/%s", folder, c->info->task_id->value);

    if ((mkdir(folder, 0755) != 0 && errno != EEXIST) || symlink(c->directory, link) != 0)
        return; /* nothing depends on it */
}

static void launched(struct rv_nested *n, struct rv_nested_container *c) {
    c->phase = WAITING;
    c->launched = true;
    if (c->signal == SIGKILL)
        c->signal = 0; /* it was for the launch; what is wanted now is told again */
    link_sandbox(n, c);
    n->on_launched(n->ctx, c->task, true, NULL);
}

static void not_launched(struct rv_nested *n, struct rv_nested_container *c, const char *why) {
    unsigned task = c->task;
    _cleanup_free_ char *text = rv_strdup(why);

    text[strcspn(text, "\n")] = '\0';
    drop(n, c);
    n->on_launched(n->ctx, task, false, text);
}

static void exited(struct rv_nested *n, struct rv_nested_container *c,
                   const struct rv_nested_end *end) {
    unsigned task = c->task;

    drop(n, c);
    n->on_exited(n->ctx, task, end);
}

/* The answer to a WAIT. */
static void waited(struct rv_nested *n, struct rv_nested_container *c) {
    struct rv_nested_end end = {.reason = -1};
    Reeve__V1__Agent__Response *r = NULL;

    if (c->call.status == 200)
        r = reeve__v1__agent__response__unpack(NULL, c->call.body.n,
                                               (const uint8_t *)c->call.body.data);
    if (r && r->wait_nested_container) {
        const Reeve__V1__Agent__Response__WaitNestedContainer *w = r->wait_nested_container;
        end.has_status = w->has_exit_status;
        end.wait_status = w->exit_status;
        end.reason = w->has_reason ? (int)w->reason : -1;
        end.message = w->message;
        end.limitation = w->limitation;
    }
    if (!c->launched)
        launched(n, c);
    exited(n, c, &end);
    if (r)
        reeve__v1__agent__response__free_unpacked(r, NULL);
}

/* ---- calls ---- */

struct rv_str rv_nested_pack(Reeve__V1__Agent__Call *call) {
    size_t n;
    uint8_t *bytes;

    call->has_type = true;
    n = reeve__v1__agent__call__get_packed_size(call);
    bytes = rv_malloc(n + 1);
    reeve__v1__agent__call__pack(call, bytes);
    return rv_strn((char *)bytes, n);
}

static void post(const struct rv_nested *n, struct rv_call *call, Reeve__V1__Agent__Call *message) {
    struct rv_str bytes = rv_nested_pack(message);

    rv_call_post(call, n->agent, "/api/v1", bytes, false);
    free((void *)(uintptr_t)bytes.s);
}

/* What the task's command gets beside its own environment; a variable of the command's wins. */
struct additions {
    Reeve__V1__Environment__Variable id, role;
    Reeve__V1__Environment__Variable *all[2];
    size_t n;
};

static void add_variable(struct additions *a, Reeve__V1__Environment__Variable *v, const char *name,
                         const char *value) {
    reeve__v1__environment__variable__init(v);
    v->name = (char *)(uintptr_t)name;
    v->value = (char *)(uintptr_t)value;
    a->all[a->n++] = v;
}

static void find_additions(const Reeve__V1__TaskInfo *info, struct additions *a) {
    const char *role = rv_process_role(info);

    a->n = 0;
    add_variable(a, &a->id, "MESOS_TASK_ID", info->task_id->value);
    if (role)
        add_variable(a, &a->role, "MESOS_ALLOCATION_ROLE", role);
}

static void post_launch(struct rv_nested *n, struct rv_nested_container *c) {
    Reeve__V1__Agent__Call call = REEVE__V1__AGENT__CALL__INIT;
    Reeve__V1__Agent__Call__LaunchContainer l = REEVE__V1__AGENT__CALL__LAUNCH_CONTAINER__INIT;
    Reeve__V1__CommandInfo command = REEVE__V1__COMMAND_INFO__INIT;
    Reeve__V1__Environment environment = REEVE__V1__ENVIRONMENT__INIT;
    const Reeve__V1__Environment *own;
    struct additions more;

    if (c->info->command)
        command = *c->info->command;
    own = command.environment;
    find_additions(c->info, &more);
    environment.n_variables = more.n + (own ? own->n_variables : 0);
    environment.variables = rv_calloc(environment.n_variables, sizeof *environment.variables);
    memcpy(environment.variables, more.all, more.n * sizeof *more.all);
    if (own && own->n_variables)
        memcpy(environment.variables + more.n, own->variables,
               own->n_variables * sizeof *own->variables);
    command.environment = &environment;
    l.container_id = &c->id;
    l.command = &command;
    l.container = c->info->container;
    l.n_resources = c->info->n_resources;
    l.resources = c->info->resources;
    l.n_limits = c->info->n_limits;
    /* Entries of the same map: only the names of their types differ. */
    l.limits = (void *)c->info->limits;
    call.type = REEVE__V1__AGENT__CALL__TYPE__LAUNCH_CONTAINER;
    call.launch_container = &l;
    post(n, &c->call, &call);
    free(environment.variables);
}

static void post_wait(struct rv_nested *n, struct rv_nested_container *c, int64_t now_ms) {
    Reeve__V1__Agent__Call call = REEVE__V1__AGENT__CALL__INIT;
    Reeve__V1__Agent__Call__WaitNestedContainer w =
        REEVE__V1__AGENT__CALL__WAIT_NESTED_CONTAINER__INIT;

    w.container_id = &c->id;
    call.type = REEVE__V1__AGENT__CALL__TYPE__WAIT_NESTED_CONTAINER;
    call.wait_nested_container = &w;
    c->probe_by_ms = c->phase == PROBING ? now_ms + PROBE_MS : INT64_MAX;
    post(n, &c->call, &call);
}

static void post_kill(struct rv_nested *n, struct rv_nested_container *c) {
    Reeve__V1__Agent__Call call = REEVE__V1__AGENT__CALL__INIT;
    Reeve__V1__Agent__Call__KillNestedContainer k =
        REEVE__V1__AGENT__CALL__KILL_NESTED_CONTAINER__INIT;

    k.container_id = &c->id;
    k.has_signal = true;
    k.signal = c->sent = c->signal;
    call.type = REEVE__V1__AGENT__CALL__TYPE__KILL_NESTED_CONTAINER;
    call.kill_nested_container = &k;
    post(n, &c->kill, &call);
}

static void answered(struct rv_nested *n, struct rv_nested_container *c, int64_t now_ms) {
    int status = c->call.status;

    if (status == UNAVAILABLE) {
        c->call_at_ms = now_ms + AGAIN_MS;
    } else if (c->phase == LAUNCHING) {
        if (status != 200 && status != 202) {
            rv_buf_append(&c->call.body, "", 0);
            not_launched(n, c, c->call.body.n ? c->call.body.data : "The agent refused the launch");
            return;
        }
        c->call_at_ms = now_ms;
        launched(n, c);
    } else if (c->phase == PROBING && status == NOT_FOUND) {
        c->phase = LAUNCHING; /* it never was */
        c->call_at_ms = now_ms;
    } else {
        waited(n, c);
    }
}

static void lost(struct rv_nested_container *c, int64_t now_ms) {
    if (c->phase == LAUNCHING)
        c->phase = PROBING;
    c->call_at_ms = now_ms + AGAIN_MS;
    c->probe_by_ms = INT64_MAX;
}

static void kill_answered(struct rv_nested_container *c, enum rv_call_result result,
                          int64_t now_ms) {
    bool found = result == RV_CALL_DONE && c->kill.status == 200;

    if (c->signal != c->sent) {
        c->kill_at_ms = now_ms; /* another one is wanted by now */
        return;
    }
    if (found || (c->phase == WAITING && result == RV_CALL_DONE && c->kill.status == NOT_FOUND)) {
        c->signal = 0;
        return;
    }
    /* While it is launched the agent may not know it yet. */
    c->kill_at_ms = now_ms + (c->phase == WAITING ? AGAIN_MS : CANCEL_MS);
}

/* ---- without an agent ---- */

static void mark(void *ctx, struct rv_proctree *t) {
    const struct rv_nested_container *c = ctx;

    for (size_t i = 0; i < t->n; i++)
        if (t->v[i].pid != getpid() && rv_proc_alive(&t->v[i]) &&
            rv_proc_mentions(t->v[i].pid, c->directory))
            t->v[i].owner = 0;
}

/* What is left of it here; a signal is sent to all. */
static size_t signal_here(const struct rv_nested_container *c, int signal) {
    struct rv_proctree t = {0};
    size_t left = 0;

    rv_proctree_scan(&t);
    mark((void *)(uintptr_t)c, &t);
    rv_proctree_spread(&t);
    for (size_t i = 0; i < t.n; i++) {
        if (t.v[i].owner < 0 || !rv_proc_alive(&t.v[i]))
            continue;
        left++;
        if (signal)
            kill(t.v[i].pid, signal);
    }
    rv_proctree_free(&t);
    return left;
}

static void end_here(struct rv_nested *n, struct rv_nested_container *c) {
    struct rv_nested_end end = {.reason = -1};
    int signal = c->signal;

    c->signal = signal == SIGKILL ? SIGKILL : 0; /* that one until it has worked */
    if (signal_here(c, signal) > 0)
        return;
    if (!c->launched)
        not_launched(n, c, "The agent is gone");
    else
        exited(n, c, &end);
}

/* ---- from the core ---- */

void rv_nested_launch(struct rv_nested *n, unsigned task, const Reeve__V1__TaskInfo *info,
                      const char *id, const Reeve__V1__ContainerID *parent, int64_t now_ms) {
    struct rv_nested_container *c = rv_calloc(1, sizeof *c);

    c->task = task;
    c->info = info;
    reeve__v1__container_id__init(&c->id);
    c->id.value = (char *)(uintptr_t)id;
    c->id.parent = (Reeve__V1__ContainerID *)(uintptr_t)parent;
    c->directory = rv_asprintf("%s/containers/%s", n->sandbox, id);
    c->probe_by_ms = c->kill_at_ms = INT64_MAX;
    c->call_at_ms = now_ms;
    rv_call_init(&c->call);
    rv_call_init(&c->kill);
    rv_vec_push(&n->containers, c);
}

void rv_nested_signal(struct rv_nested *n, unsigned task, int signal, int64_t now_ms) {
    struct rv_nested_container *c = find(n, task);

    if (!c || c->signal == SIGKILL)
        return;
    c->signal = signal;
    c->kill_at_ms = now_ms;
}

void rv_nested_abandon(struct rv_nested *n) {
    n->abandoned = true;
    for (size_t i = 0; i < n->containers.n; i++) {
        rv_call_free(&n->containers.v[i]->call);
        rv_call_free(&n->containers.v[i]->kill);
    }
}

/* ---- for the loop ---- */

void rv_nested_poll(const struct rv_nested *n, struct rv_pollfds *fds) {
    for (size_t i = 0; i < n->containers.n; i++) {
        rv_pollfds_add(fds, &n->containers.v[i]->call.http);
        rv_pollfds_add(fds, &n->containers.v[i]->kill.http);
    }
}

static void call_io(struct rv_nested *n, struct rv_nested_container *c, short revents,
                    int64_t now_ms) {
    switch (rv_call_io(&c->call, n->agent, revents)) {
    case RV_CALL_DONE:
        answered(n, c, now_ms);
        break;
    case RV_CALL_LOST:
        lost(c, now_ms);
        break;
    case RV_CALL_MORE:
    default:
        break;
    }
}

static void io(struct rv_nested *n, const struct pollfd *p, int64_t now_ms) {
    for (size_t i = 0; i < n->containers.n; i++) {
        struct rv_nested_container *c = n->containers.v[i];
        if (c->call.http.fd == p->fd) {
            call_io(n, c, p->revents, now_ms);
            return;
        }
        if (c->kill.http.fd == p->fd) {
            enum rv_call_result result = rv_call_io(&c->kill, n->agent, p->revents);
            if (result != RV_CALL_MORE)
                kill_answered(c, result, now_ms);
            return;
        }
    }
}

void rv_nested_io(struct rv_nested *n, const struct rv_pollfds *fds, int64_t now_ms) {
    for (size_t i = 0; i < fds->v.n; i++)
        if (fds->v.v[i].revents && fds->v.v[i].fd >= 0)
            io(n, &fds->v.v[i], now_ms);
}

static void tick(struct rv_nested *n, struct rv_nested_container *c, int64_t now_ms) {
    if (c->signal && !c->kill.busy && now_ms >= c->kill_at_ms) {
        c->kill_at_ms = INT64_MAX;
        post_kill(n, c);
        if (!c->kill.busy)
            kill_answered(c, RV_CALL_LOST, now_ms);
    }
    if (c->phase == PROBING && now_ms >= c->probe_by_ms) {
        c->probe_by_ms = INT64_MAX;
        launched(n, c); /* the call goes on */
        return;
    }
    if (c->call.busy || now_ms < c->call_at_ms)
        return;
    c->call_at_ms = INT64_MAX;
    c->posted = true;
    if (c->phase == LAUNCHING)
        post_launch(n, c);
    else
        post_wait(n, c, now_ms);
    if (!c->call.busy)
        lost(c, now_ms);
}

void rv_nested_tick(struct rv_nested *n, int64_t now_ms) {
    /* From the last on: one that ends is gone, and what is told may add others. */
    for (size_t i = n->containers.n; i-- > 0;) {
        if (i >= n->containers.n)
            continue;
        struct rv_nested_container *c = n->containers.v[i];
        if (c->signal == SIGKILL && !c->posted)
            not_launched(n, c, "Killed before it was launched");
        else if (n->abandoned)
            end_here(n, c);
        else if (n->up)
            tick(n, c, now_ms);
    }
}

int64_t rv_nested_deadline(const struct rv_nested *n, int64_t now_ms) {
    int64_t at = INT64_MAX;

    if (n->abandoned)
        return n->containers.n ? now_ms + SWEEP_MS : INT64_MAX;
    for (size_t i = 0; i < n->containers.n && n->up; i++) {
        const struct rv_nested_container *c = n->containers.v[i];
        at = RV_MIN(at, c->probe_by_ms);
        if (!c->call.busy)
            at = RV_MIN(at, c->call_at_ms);
        if (c->signal && !c->kill.busy)
            at = RV_MIN(at, c->kill_at_ms);
    }
    return at;
}
