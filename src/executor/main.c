/*
 * reeve-executor command|group: the shell around the state machine of executor.h, on one thread
 * with one poll(2). Writes nothing but the reason of an end that nobody asked for, to standard
 * error. As `reeve-executor init` it is a container's first process instead, see init.h.
 *
 * Holds: an input is handled to its end, with what its actions brought about, before the next. A
 * task's end is told to the core when no process of it is left.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "containerizer/proctree.h"
#include "executor/checks.h"
#include "executor/executor.h"
#include "executor/fetch.h"
#include "executor/init.h"
#include "executor/link.h"
#include "executor/process.h"
#include "executor/unsupported.h"
#include "fetcher/request.h"

enum { SWEEP_MS = 10, MAX_KNOWN = 1024 };

struct running {
    unsigned task;
    pid_t pid;
    uint64_t start_ticks;
    char *directory; /* of its own (GROUP), or NULL */
    bool ended;      /* its first process has; the rest is being killed */
    int wait_status;
    const Reeve__V1__TaskInfo *fetching; /* pid is the fetcher's; the core's, or NULL */
    int fetched;                         /* what the fetcher says */
};

struct shell {
    struct rv_executor *core;
    enum rv_executor_mode mode;
    const char *sandbox;
    struct rv_link link;
    struct rv_checks checks;
    RV_VEC(struct running) tasks;
    RV_VEC(struct rv_executor_input) inputs; /* not handled yet; their messages are owned */
    bool stepping, done;
    int signals, exit_status;
};

static int64_t now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static double wall_s(void) {
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fill_random(void *ctx, void *out, size_t n) {
    (void)ctx;
    while (getrandom(out, n, 0) != (ssize_t)n && errno == EINTR)
        continue;
}

static void say(const char *what, const char *why) {
    dprintf(STDERR_FILENO, "reeve-executor: %s%s%s\n", what, why ? ": " : "", why ? why : "");
}

static struct running *find_running(struct shell *s, unsigned task) {
    for (size_t i = 0; i < s->tasks.n; i++)
        if (s->tasks.v[i].task == task)
            return &s->tasks.v[i];
    return NULL;
}

static struct rv_process_set set_of(const struct shell *s, const struct running *r,
                                    pid_t known[MAX_KNOWN]) {
    size_t n = rv_checks_pids(&s->checks, known, MAX_KNOWN);

    n = RV_MIN(n, (size_t)MAX_KNOWN);
    for (size_t i = 0; i < s->tasks.n && n < MAX_KNOWN; i++)
        if (!s->tasks.v[i].ended)
            known[n++] = s->tasks.v[i].pid;
    return (struct rv_process_set){r->pid, r->start_ticks, r->directory, known, n};
}

static void feed(struct shell *s, const struct rv_executor_input *in);

/* ---- actions ---- */

static int make_directory(struct shell *s, const char *container, char **out,
                          struct rv_error *err) {
    _cleanup_free_ char *above = rv_asprintf("%s/containers", s->sandbox);
    char *path = rv_asprintf("%s/%s", above, container);

    if ((mkdir(above, 0755) != 0 && errno != EEXIST) || mkdir(path, 0700) != 0) {
        int rc = rv_error_set(err, RV_ERR_IO, "mkdir %s: %s", path, strerror(errno));
        free(path);
        return rc;
    }
    *out = path;
    return 0;
}

static void tell_launched(struct shell *s, unsigned task, const char *why) {
    struct rv_executor_input in = {
        .kind = RV_EXECUTOR_LAUNCHED, .task = task, .ok = !why, .message = why};

    feed(s, &in);
}

/* Takes over r and its folder. */
static void add_running(struct shell *s, struct running *r) {
    struct rv_proc p = {0};

    /* It is there, if only as a zombie: nobody has waited for it. */
    if (rv_proc_read(r->pid, &p))
        r->start_ticks = p.start_ticks;
    rv_vec_push(&s->tasks, *r);
}

static void start(struct shell *s, const Reeve__V1__TaskInfo *info, struct running *r) {
    struct rv_error err = {0};
    _cleanup_free_ char **env =
        rv_process_env(info->task_id->value, r->directory, info->command, NULL);
    int rc = rv_process_start(info->command, env, r->directory,
                              s->mode == RV_EXECUTOR_GROUP ? RV_PROCESS_FILES : RV_PROCESS_INHERIT,
                              &r->pid, &err);

    if (rc)
        free(r->directory);
    else
        add_running(s, r);
    tell_launched(s, r->task, rc ? err.message : NULL);
}

static void launch(struct shell *s, const struct rv_executor_action *a) {
    const Reeve__V1__CommandInfo *command = a->info->command;
    struct running r = {.task = a->task, .fetched = -1};
    bool group = s->mode == RV_EXECUTOR_GROUP;
    struct rv_error err = {0};
    /* Of a command task the agent has looked at it. */
    const char *missing = group ? rv_process_unsupported(a->info->container) : NULL;
    int rc = missing ? rv_error_set(&err, RV_ERR_UNSUPPORTED, "%s", missing) : 0;

    if (!rc && group)
        rc = make_directory(s, a->container, &r.directory, &err);
    if (!rc && !(group && command && command->n_uris)) {
        start(s, a->info, &r);
        return;
    }
    if (!rc)
        rc = rv_executor_fetch(command, r.directory, &r.pid, &r.fetched, &err);
    if (rc) {
        free(r.directory);
        tell_launched(s, a->task, err.message);
        return;
    }
    r.fetching = a->info;
    add_running(s, &r);
}

/* The fetcher has ended, and nothing of it is left. */
static void after_fetch(struct shell *s, struct running *r) {
    const Reeve__V1__TaskInfo *info = r->fetching;
    _cleanup_free_ char *why = r->wait_status ? rv_fetch_reason(r->fetched) : NULL;

    close(r->fetched);
    if (why) {
        free(r->directory);
        tell_launched(s, r->task, why);
        return;
    }
    struct running next = {.task = r->task, .directory = r->directory, .fetched = -1};
    start(s, info, &next);
}

static void start_check(struct shell *s, const struct rv_executor_action *a) {
    const struct running *r = find_running(s, a->task);
    const char *directory = r ? r->directory : NULL;
    _cleanup_free_ char **env =
        rv_process_env(a->info->task_id->value, directory, a->info->command, a->spec.command);

    rv_checks_start(&s->checks, a->task, a->check, &a->spec, env, directory);
}

static void signal_task(struct shell *s, unsigned task, int signal) {
    const struct running *r = find_running(s, task);
    pid_t known[MAX_KNOWN];

    if (r && !r->ended && !r->fetching) {
        struct rv_process_set set = set_of(s, r, known);
        if (signal == SIGKILL)
            rv_process_kill(&set);
        else
            rv_process_signal(&set, signal);
    }
}

static void cancel_launch(struct shell *s, unsigned task) {
    const struct running *r = find_running(s, task);

    if (r && r->fetching && !r->ended)
        kill(r->pid, SIGKILL); /* its worker dies with it */
}

static void act(struct shell *s, const struct rv_executor_action *a) {
    switch (a->kind) {
    case RV_EXECUTOR_SUBSCRIBE:
        rv_link_subscribe(&s->link, a->body, now_ms());
        break;
    case RV_EXECUTOR_CALL:
        rv_link_call(&s->link, a->body, now_ms());
        break;
    case RV_EXECUTOR_LAUNCH:
        launch(s, a);
        break;
    case RV_EXECUTOR_CANCEL_LAUNCH:
        cancel_launch(s, a->task);
        break;
    case RV_EXECUTOR_TERMINATE:
        signal_task(s, a->task, SIGTERM);
        break;
    case RV_EXECUTOR_KILL:
        signal_task(s, a->task, SIGKILL);
        break;
    case RV_EXECUTOR_START_CHECK:
        start_check(s, a);
        break;
    case RV_EXECUTOR_CANCEL_CHECK:
        rv_checks_cancel(&s->checks, a->task, a->check);
        break;
    case RV_EXECUTOR_EXIT:
    default:
        if (a->message)
            say("ending", a->message);
        s->done = true;
        s->exit_status = a->status;
        break;
    }
}

static void step(struct shell *s, struct rv_executor_input *in) {
    const struct rv_executor_actions *actions;

    in->now_ms = now_ms();
    in->wall_s = wall_s();
    actions = rv_executor_step(s->core, in);
    for (size_t i = 0; i < actions->n; i++)
        act(s, &actions->v[i]);
}

/* What actions bring about waits until all of them are done. */
static void feed(struct shell *s, const struct rv_executor_input *in) {
    struct rv_executor_input copy = *in;

    if (s->stepping) {
        copy.message = rv_strdup(in->message);
        rv_vec_push(&s->inputs, copy);
        return;
    }
    s->stepping = true;
    step(s, &copy);
    while (s->inputs.n) {
        copy = s->inputs.v[0];
        rv_vec_remove_at(&s->inputs, 0);
        step(s, &copy);
        free((void *)(uintptr_t)copy.message);
    }
    s->stepping = false;
}

/* ---- what happens ---- */

static void on_event(void *ctx, const Reeve__V1__Executor__Event *event) {
    struct rv_executor_input in = {.kind = RV_EXECUTOR_EVENT, .event = event};

    if (event->type == REEVE__V1__EXECUTOR__EVENT__TYPE__ERROR)
        say("the agent reports an error", event->error ? event->error->message : NULL);
    feed(ctx, &in);
}

static void on_disconnected(void *ctx, int status) {
    struct rv_executor_input in = {.kind = RV_EXECUTOR_DISCONNECTED, .status = status};

    feed(ctx, &in);
}

static void on_call_failed(void *ctx, int status) {
    struct rv_executor_input in = {.kind = RV_EXECUTOR_CALL_FAILED, .status = status};

    feed(ctx, &in);
}

static void on_check_result(void *ctx, unsigned task, enum rv_executor_check check, bool ok,
                            int value, const char *message) {
    struct rv_executor_input in = {.kind = RV_EXECUTOR_CHECKED,
                                   .task = task,
                                   .check = check,
                                   .ok = ok,
                                   .value = value,
                                   .message = message};

    feed(ctx, &in);
}

/* Tells of the tasks that have ended, once nothing of them is left. */
static bool sweep(struct shell *s) {
    bool again = false;

    for (size_t i = 0; i < s->tasks.n; i++) {
        struct rv_executor_input in = {.kind = RV_EXECUTOR_EXITED};
        struct running *r = &s->tasks.v[i], ended;
        pid_t known[MAX_KNOWN];
        struct rv_process_set set;

        if (!r->ended)
            continue;
        set = set_of(s, r, known);
        if (rv_process_kill(&set) > 0) {
            again = true;
            continue;
        }
        ended = *r;
        rv_vec_remove_at(&s->tasks, i);
        i--;
        if (ended.fetching) {
            after_fetch(s, &ended);
            continue;
        }
        in.task = ended.task;
        in.wait_status = ended.wait_status;
        free(ended.directory);
        feed(s, &in);
    }
    return again;
}

static void reap(struct shell *s) {
    int wait_status;
    pid_t pid;

    while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
        if (rv_checks_reaped(&s->checks, pid, wait_status))
            continue;
        for (size_t i = 0; i < s->tasks.n; i++) {
            if (s->tasks.v[i].pid == pid && !s->tasks.v[i].ended) {
                s->tasks.v[i].ended = true;
                s->tasks.v[i].wait_status = wait_status;
            }
        }
    }
}

static void read_signals(struct shell *s) {
    struct signalfd_siginfo info;

    while (read(s->signals, &info, sizeof info) == sizeof info) {
        struct rv_executor_input in = {.kind = RV_EXECUTOR_STOP};
        if (info.ssi_signo != SIGCHLD)
            feed(s, &in);
    }
    reap(s);
}

static void run(struct shell *s) {
    struct rv_pollfds fds = {{0}};
    struct rv_executor_input tick = {.kind = RV_EXECUTOR_TICK};

    while (!s->done) {
        struct pollfd signals = {.fd = s->signals, .events = POLLIN};
        int64_t at, wait;
        bool again;

        feed(s, &tick);
        rv_link_tick(&s->link, now_ms());
        again = sweep(s);
        if (s->done)
            break;
        fds.v.n = 0;
        rv_vec_push(&fds.v, signals);
        rv_link_poll(&s->link, &fds);
        rv_checks_poll(&s->checks, &fds);
        at = RV_MIN(rv_executor_deadline(s->core), rv_link_deadline(&s->link));
        wait = at == INT64_MAX ? -1 : RV_MIN(RV_MAX(at - now_ms(), 0), 3600000);
        if (again)
            wait = wait < 0 ? SWEEP_MS : RV_MIN(wait, SWEEP_MS);
        if (poll(fds.v.v, (nfds_t)fds.v.n, (int)wait) <= 0)
            continue;
        if (fds.v.v[0].revents)
            read_signals(s);
        fds.v.v[0].revents = 0;
        rv_link_io(&s->link, &fds, now_ms());
        rv_checks_io(&s->checks, &fds);
    }
    rv_vec_free(&fds.v);
}

/* ---- start ---- */

static int64_t duration_ms(const char *name, int64_t otherwise) {
    const char *text = getenv(name);
    int64_t ns;

    return text && rv_parse_duration_ns(text, &ns) == 0 ? ns / 1000000 : otherwise;
}

static const char *need(const char *name) {
    const char *value = getenv(name);

    if (!value || !*value) {
        say("the environment lacks a variable", name);
        exit(2);
    }
    return value;
}

static void open_signals(struct shell *s) {
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static const char *truth(const char *name) {
    const char *value = getenv(name);

    return value && (strcmp(value, "1") == 0 || strcmp(value, "true") == 0) ? value : NULL;
}

int main(int argc, char **argv) {
    struct shell s = {0};
    struct rv_error err = {0};
    struct rv_executor_config config = {.random = fill_random};

    if (argc == 2 && strcmp(argv[1], "init") == 0)
        return rv_init_run();
    if (argc != 2 || (strcmp(argv[1], "command") != 0 && strcmp(argv[1], "group") != 0)) {
        say("usage: reeve-executor command|group|init", NULL);
        return 2;
    }
    s.mode = config.mode = argv[1][0] == 'c' ? RV_EXECUTOR_COMMAND : RV_EXECUTOR_GROUP;
    config.framework_id = need("MESOS_FRAMEWORK_ID");
    config.executor_id = need("MESOS_EXECUTOR_ID");
    config.checkpoint = truth("MESOS_CHECKPOINT") != NULL;
    config.recovery_timeout_ms = duration_ms("MESOS_RECOVERY_TIMEOUT", 900000);
    config.shutdown_grace_ms = duration_ms("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", 5000);
    config.backoff_max_ms = duration_ms("MESOS_SUBSCRIPTION_BACKOFF_MAX", 2000);
    s.sandbox = getenv("MESOS_SANDBOX");
    if (!s.sandbox)
        s.sandbox = need("MESOS_DIRECTORY");
    if (chdir(s.sandbox) != 0) {
        say(s.sandbox, strerror(errno));
        return 1;
    }
    s.link.ctx = s.checks.ctx = &s;
    s.link.on_event = on_event;
    s.link.on_disconnected = on_disconnected;
    s.link.on_call_failed = on_call_failed;
    s.checks.on_result = on_check_result;
    if (rv_link_init(&s.link, need("MESOS_AGENT_ENDPOINT"),
                     getenv("MESOS_EXECUTOR_AUTHENTICATION_TOKEN"), &err)) {
        say("MESOS_AGENT_ENDPOINT", err.message);
        return 2;
    }
    open_signals(&s);
    s.core = rv_executor_new(&config);
    run(&s);
    rv_checks_free(&s.checks);
    rv_link_free(&s.link);
    rv_executor_free(s.core);
    rv_vec_free(&s.tasks);
    rv_vec_free(&s.inputs);
    return s.exit_status;
}
