/*
 * reeve-executor command|group: the shell around the state machine of executor.h, on one thread
 * with one poll(2). Writes nothing but the reason of an end that nobody asked for, to standard
 * error. As `reeve-executor init` it is a container's first process instead, see init.h.
 *
 * Holds: an input is handled to its end, with what its actions brought about, before the next. A
 * task's end is told to the core when no process of it is left.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "executor/checks.h"
#include "executor/executor.h"
#include "executor/init.h"
#include "executor/link.h"
#include "executor/nested.h"
#include "executor/process.h"

enum { SWEEP_MS = 10, MAX_KNOWN = 1024 };

/* The task of a command. */
struct running {
    unsigned task;
    pid_t pid;  /* 0: there is none */
    bool ended; /* its first process has; the rest is being killed */
    int wait_status;
};

struct shell {
    struct rv_executor *core;
    enum rv_executor_mode mode;
    struct rv_link link;
    struct rv_checks checks;
    struct running running;                  /* COMMAND */
    struct rv_nested nested;                 /* GROUP */
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

static void feed(struct shell *s, const struct rv_executor_input *in);

/* ---- actions ---- */

static void tell_launched(struct shell *s, unsigned task, const char *why) {
    struct rv_executor_input in = {
        .kind = RV_EXECUTOR_LAUNCHED, .task = task, .ok = !why, .message = why};

    feed(s, &in);
}

static void launch(struct shell *s, const struct rv_executor_action *a) {
    _cleanup_free_ char **env = NULL;
    struct rv_error err = {0};

    if (s->mode == RV_EXECUTOR_GROUP && a->parent) {
        rv_nested_launch(&s->nested, a->task, a->info, a->container, a->parent, now_ms());
        return;
    }
    if (s->mode == RV_EXECUTOR_GROUP) {
        tell_launched(s, a->task, "The agent has not named the executor's container");
        return;
    }
    env = rv_process_env(a->info, NULL);
    if (rv_process_start(a->info->command, env, -1, &s->running.pid, &err)) {
        tell_launched(s, a->task, err.message);
        return;
    }
    s->running.task = a->task;
    tell_launched(s, a->task, NULL);
}

/* One that it names, as far as the agent has any: it has let the task start. */
static bool has_own_network(const Reeve__V1__TaskInfo *info) {
    const Reeve__V1__ContainerInfo *container = info->container;

    for (size_t i = 0; container && i < container->n_network_infos; i++)
        if (container->network_infos[i]->name)
            return true;
    return false;
}

static void start_check(struct shell *s, const struct rv_executor_action *a) {
    Reeve__V1__ContainerID container = REEVE__V1__CONTAINER_ID__INIT;
    _cleanup_free_ char **env = NULL;
    bool nested = s->mode == RV_EXECUTOR_GROUP;

    container.value = (char *)(uintptr_t)a->container;
    container.parent = (Reeve__V1__ContainerID *)(uintptr_t)a->parent;
    if (!nested)
        env = rv_process_env(a->info, a->spec.command);
    rv_checks_start(&s->checks, a->task, a->check, &a->spec, env, nested ? &container : NULL,
                    has_own_network(a->info));
}

static struct rv_process_set processes_of(const struct shell *s, pid_t known[MAX_KNOWN]) {
    size_t n = rv_checks_pids(&s->checks, known, MAX_KNOWN - 1);

    n = RV_MIN(n, (size_t)MAX_KNOWN - 1);
    if (!s->running.ended)
        known[n++] = s->running.pid;
    return (struct rv_process_set){s->running.pid, s->running.ended, known, n};
}

static void signal_task(struct shell *s, unsigned task, int signal) {
    pid_t known[MAX_KNOWN];
    struct rv_process_set set;

    if (s->mode == RV_EXECUTOR_GROUP) {
        rv_nested_signal(&s->nested, task, signal, now_ms());
        return;
    }
    if (!s->running.pid || s->running.ended)
        return;
    set = processes_of(s, known);
    if (signal == SIGKILL)
        rv_process_kill(&set);
    else
        rv_process_signal(&set, signal);
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
        signal_task(s, a->task, SIGKILL);
        break;
    case RV_EXECUTOR_TERMINATE:
        signal_task(s, a->task, SIGTERM);
        break;
    case RV_EXECUTOR_KILL:
        signal_task(s, a->task, SIGKILL);
        break;
    case RV_EXECUTOR_ABANDON:
        rv_nested_abandon(&s->nested);
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
    struct shell *s = ctx;

    if (event->type == REEVE__V1__EXECUTOR__EVENT__TYPE__ERROR)
        say("the agent reports an error", event->error ? event->error->message : NULL);
    if (event->type == REEVE__V1__EXECUTOR__EVENT__TYPE__SUBSCRIBED)
        s->nested.up = true;
    feed(s, &in);
}

static void on_disconnected(void *ctx, int status) {
    struct rv_executor_input in = {.kind = RV_EXECUTOR_DISCONNECTED, .status = status};
    struct shell *s = ctx;

    s->nested.up = false;
    feed(s, &in);
}

static void on_call_failed(void *ctx, int status) {
    struct rv_executor_input in = {.kind = RV_EXECUTOR_CALL_FAILED, .status = status};

    feed(ctx, &in);
}

static void on_check_result(void *ctx, unsigned task, enum rv_executor_check check,
                            enum rv_check_outcome outcome, int value, const char *message) {
    struct rv_executor_input in = {.kind = RV_EXECUTOR_CHECKED,
                                   .task = task,
                                   .check = check,
                                   .ok = outcome == RV_CHECK_RESULT,
                                   .unknown = outcome == RV_CHECK_UNKNOWN,
                                   .value = value,
                                   .message = message};

    feed(ctx, &in);
}

static void on_nested_launched(void *ctx, unsigned task, bool ok, const char *why) {
    tell_launched(ctx, task, ok ? NULL : why);
}

static void on_nested_exited(void *ctx, unsigned task, const struct rv_nested_end *end) {
    struct rv_executor_input in = {.kind = RV_EXECUTOR_EXITED,
                                   .task = task,
                                   .has_status = end->has_status,
                                   .wait_status = end->wait_status,
                                   .has_reason = end->reason >= 0,
                                   .reason = end->reason,
                                   .limitation = end->limitation,
                                   .message = end->message};

    feed(ctx, &in);
}

/* Tells that the command has ended, once nothing of it is left; true: not yet. */
static bool sweep(struct shell *s) {
    struct rv_executor_input in = {.kind = RV_EXECUTOR_EXITED,
                                   .task = s->running.task,
                                   .has_status = true,
                                   .wait_status = s->running.wait_status};
    pid_t known[MAX_KNOWN];
    struct rv_process_set set;

    if (!s->running.ended)
        return false;
    set = processes_of(s, known);
    if (rv_process_kill(&set) > 0)
        return true;
    s->running = (struct running){0};
    feed(s, &in);
    return false;
}

static void reap(struct shell *s) {
    int wait_status;
    pid_t pid;

    while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
        if (rv_checks_reaped(&s->checks, pid, wait_status) || pid != s->running.pid)
            continue;
        s->running.ended = true;
        s->running.wait_status = wait_status;
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
        rv_nested_tick(&s->nested, now_ms());
        again = sweep(s);
        if (s->done)
            break;
        fds.v.n = 0;
        rv_vec_push(&fds.v, signals);
        rv_link_poll(&s->link, &fds);
        rv_checks_poll(&s->checks, &fds);
        rv_nested_poll(&s->nested, &fds);
        at = RV_MIN(rv_executor_deadline(s->core), rv_link_deadline(&s->link));
        at = RV_MIN(at, rv_nested_deadline(&s->nested, now_ms()));
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
        rv_nested_io(&s->nested, &fds, now_ms());
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

static void connect_parts(struct shell *s, const char *sandbox) {
    s->link.ctx = s->checks.ctx = s->nested.ctx = s;
    s->link.on_event = on_event;
    s->link.on_disconnected = on_disconnected;
    s->link.on_call_failed = on_call_failed;
    s->checks.on_result = on_check_result;
    s->checks.helper = getenv("REEVE_FETCHER");
    s->nested.on_launched = on_nested_launched;
    s->nested.on_exited = on_nested_exited;
    s->nested.sandbox = sandbox;
    s->checks.agent = s->nested.agent = &s->link.agent;
}

static void configure(struct rv_executor_config *config, const char *mode) {
    config->mode = mode[0] == 'c' ? RV_EXECUTOR_COMMAND : RV_EXECUTOR_GROUP;
    config->random = fill_random;
    config->framework_id = need("MESOS_FRAMEWORK_ID");
    config->executor_id = need("MESOS_EXECUTOR_ID");
    config->checkpoint = truth("MESOS_CHECKPOINT") != NULL;
    config->recovery_timeout_ms = duration_ms("MESOS_RECOVERY_TIMEOUT", 900000);
    config->shutdown_grace_ms = duration_ms("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", 5000);
    config->backoff_max_ms = duration_ms("MESOS_SUBSCRIPTION_BACKOFF_MAX", 2000);
}

/* From `reeve-init init MODE` to `reeve-executor MODE`, in their place, where the machine's ps(1)
 * finds them. */
static void rename_arguments(char **argv) {
    static const char name[] = "reeve-executor";
    size_t size = strlen(argv[2]) + 1;

    static_assert(sizeof name <= sizeof "reeve-init" + sizeof "init", "it is in the way");
    memmove(argv[0] + sizeof name, argv[2], size);
    memcpy(argv[0], name, sizeof name);
    argv[1] = argv[0] + sizeof name;
    argv[2] = NULL;
}

int main(int argc, char **argv) {
    struct shell s = {0};
    struct rv_error err = {0};
    struct rv_executor_config config = {0};
    const char *sandbox;

    if ((argc == 2 || argc == 3) && strcmp(argv[1], "init") == 0) {
        int status = rv_init_run(argc == 3);
        if (status != RV_INIT_GOES_ON)
            return status;
        rename_arguments(argv);
        argc = 2;
    }
    if (argc != 2 || (strcmp(argv[1], "command") != 0 && strcmp(argv[1], "group") != 0)) {
        say("usage: reeve-executor command|group|init", NULL);
        return 2;
    }
    configure(&config, argv[1]);
    s.mode = config.mode;
    sandbox = getenv("MESOS_SANDBOX");
    if (!sandbox)
        sandbox = need("MESOS_DIRECTORY");
    if (chdir(sandbox) != 0) {
        say(sandbox, strerror(errno));
        return 1;
    }
    connect_parts(&s, sandbox);
    if (rv_link_init(&s.link, need("MESOS_AGENT_ENDPOINT"),
                     getenv("MESOS_EXECUTOR_AUTHENTICATION_TOKEN"), &err)) {
        say("MESOS_AGENT_ENDPOINT", err.message);
        return 2;
    }
    open_signals(&s);
    rv_process_give_up_terminal();
    s.core = rv_executor_new(&config);
    run(&s);
    rv_checks_free(&s.checks);
    rv_nested_free(&s.nested);
    rv_link_free(&s.link);
    rv_executor_free(s.core);
    rv_vec_free(&s.inputs);
    return s.exit_status;
}
