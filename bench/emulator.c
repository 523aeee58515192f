/* Emulated agents, and the processes that benchmarks need around them. */
#include "emulator.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "base/prng.h"
#include "daemon/agent_link.h"
#include "daemon/version.h"
#include "io/detector.h"
#include "wire/master_address.h"

#define BACKOFF_MS 1000 /* as the agent's flags have it */
#define BACKOFF_MAX_MS 60000
#define FIRST_TRY_MS 100

struct emulated_task {
    char *framework;          /* its id */
    struct rv_task_info info; /* where tasks are held */
    struct rv_task_status status;
    bool acknowledged;
};

struct emulated {
    struct emulator *owner;
    struct rv_agent_link_io *link;
    struct rv_agent_info info;
    char *id;
    bool registered, trying;
    struct rv_map
        tasks; /* id -> struct emulated_task; without hold: until RUNNING is acknowledged */
    uv_timer_t next_try;
    uint64_t backoff_ms, attempt;
};

struct emulator {
    struct emulator_config config;
    uv_loop_t *loop;
    struct rv_detector *detector; /* NULL: the master lasts */
    struct rv_address leader;     /* host NULL: none is known */
    struct emulated *agents;
    unsigned started, registered, running, tries;
    struct rv_prng prng;
    struct rv_resources resources;
    struct rv_framework_info framework; /* of the last task held; id.v NULL: of none */
};

/* What it runs, as an agent tells it. */
static void view_tasks(struct emulated *a, struct rv_task_view *views) {
    struct emulated_task *t;
    size_t n = 0;

    for (size_t it = 0; rv_map_next(&a->tasks, &it, NULL, (void **)&t); n++)
        views[n] = (struct rv_task_view){.framework_id = {t->framework},
                                         .executor_id = {t->info.id.v},
                                         .command = true,
                                         .info = &t->info,
                                         .state = RV_TASK_RUNNING,
                                         .status = &t->status,
                                         .update_state = RV_TASK_RUNNING,
                                         .has_update_uuid = !t->acknowledged};
}

static void send_registration(struct emulated *a) {
    struct rv_agent_call call = {.type = a->id ? RV_AGENT_CALL_REREGISTER : RV_AGENT_CALL_REGISTER,
                                 .agent_id = {a->id}};
    size_t n = a->owner->config.hold ? rv_map_count(&a->tasks) : 0;
    _cleanup_free_ struct rv_task_view *views = rv_calloc(n + 1, sizeof *views);

    if (n)
        view_tasks(a, views);
    call.registration.info = &a->info;
    call.registration.boot_id = "emulated";
    call.registration.life = 1 + (uint64_t)(a - a->owner->agents);
    call.registration.attempt = ++a->attempt;
    call.registration.tasks = views;
    call.registration.n_tasks = n;
    call.registration.frameworks = &a->owner->framework;
    call.registration.n_frameworks = n ? 1 : 0;
    rv_agent_link_register(a->link, &call);
}

/* --- when --- */

static void on_try(uv_timer_t *timer);

static void plan(struct emulated *a, uint64_t at_least_ms, uint64_t within_ms) {
    uv_timer_start(&a->next_try, on_try,
                   at_least_ms + rv_prng_below(&a->owner->prng, within_ms + 1), 0);
}

static void on_try(uv_timer_t *timer) {
    struct emulated *a = timer->data;

    a->trying = true;
    a->owner->tries++;
    send_registration(a);
}

static void back_off(struct emulated *a) {
    a->trying = false;
    plan(a, a->backoff_ms / 2, a->backoff_ms / 2);
    a->backoff_ms = RV_MIN(a->backoff_ms * 2, (uint64_t)BACKOFF_MAX_MS);
}

static void unregister(struct emulated *a) {
    a->owner->registered -= a->registered;
    a->registered = false;
}

/* --- what happens --- */

static void send_update(struct emulated *a, struct rv_framework_id framework,
                        struct rv_task_id task, enum rv_task_state state,
                        struct rv_task_status *sent) {
    struct timespec now;
    struct rv_task_status status = {
        .task_id = task,
        .state = state,
        .source = RV_SOURCE_EXECUTOR,
        .has_source = true,
        .reason = RV_REASON_NONE,
        .agent_id = {a->id},
        .has_uuid = true,
        .healthy = -1,
    };
    struct rv_agent_call call = {.type = RV_AGENT_CALL_STATUS_UPDATE, .agent_id = {a->id}};

    clock_gettime(CLOCK_REALTIME, &now);
    status.timestamp_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    status.executor_id.v = task.v;
    rv_prng_uuid(&a->owner->prng, status.uuid);
    call.update.framework_id = framework;
    call.update.status = &status;
    call.update.latest_state = state;
    rv_agent_link_send(a->link, &call);
    *sent = status;
}

static void task_free(struct emulated_task *t) {
    if (!t)
        return;
    free(t->framework);
    rv_task_info_free(&t->info);
    free(t);
}

static void run_task_of(struct emulated *a, const struct rv_agent_event *event, size_t i) {
    const struct rv_task_info *info = &event->run.tasks[i];
    struct emulated_task *t = rv_calloc(1, sizeof *t);

    t->framework = rv_strdup(event->run.framework->id.v);
    task_free(rv_map_put(&a->tasks, rv_str(info->id.v), t));
    send_update(a, event->run.framework->id, info->id, RV_TASK_RUNNING, &t->status);
    if (!a->owner->config.hold)
        return;
    rv_task_info_copy(&t->info, info);
    t->status.task_id = t->info.id;
    t->status.executor_id.v = t->info.id.v;
    if (!rv_streq(a->owner->framework.id.v, t->framework)) {
        rv_framework_info_free(&a->owner->framework);
        rv_framework_info_copy(&a->owner->framework, event->run.framework);
    }
}

static void acknowledged(struct emulated *a, struct rv_task_id id) {
    bool hold = a->owner->config.hold;
    struct emulated_task *t =
        hold ? rv_map_gets(&a->tasks, id.v) : rv_map_remove(&a->tasks, rv_str(id.v));
    struct rv_task_status ignored;

    if (!t)
        return;
    if (hold) {
        a->owner->running += !t->acknowledged;
        t->acknowledged = true;
        return;
    }
    send_update(a, (struct rv_framework_id){t->framework}, id, RV_TASK_FINISHED, &ignored);
    task_free(t);
}

static void start_next(struct emulator *e);

static void registered(struct emulated *a, const char *id) {
    bool first = !a->id;

    if (!first && !rv_streq(a->id, id)) {
        fprintf(stderr, "emulated agent %s is called %s now\n", a->id, id);
        exit(1);
    }
    a->trying = false;
    a->backoff_ms = BACKOFF_MS;
    a->owner->registered += !a->registered;
    a->registered = true;
    if (first) {
        a->id = rv_strdup(id);
        start_next(a->owner);
    }
}

static void on_event(void *ctx, const struct rv_agent_event *event) {
    struct emulated *a = ctx;

    switch (event->type) {
    case RV_AGENT_EVENT_REGISTERED:
        registered(a, event->registered.agent_id.v);
        return;
    case RV_AGENT_EVENT_PING:
        rv_agent_link_send(
            a->link, &(struct rv_agent_call){.type = RV_AGENT_CALL_PONG, .agent_id = {a->id}});
        return;
    case RV_AGENT_EVENT_RUN_TASKS:
        for (size_t i = 0; i < event->run.n_tasks; i++)
            run_task_of(a, event, i);
        return;
    case RV_AGENT_EVENT_ACKNOWLEDGE:
        acknowledged(a, event->acknowledge.task_id);
        return;
    case RV_AGENT_EVENT_SHUTDOWN:
        fprintf(stderr, "emulated agent %s is to end: %s\n", a->id, event->why);
        exit(1);
    default: /* nothing that a benchmark asks for */
        return;
    }
}

static void on_lost(void *ctx) {
    struct emulated *a = ctx;

    if (!a->owner->detector) {
        fprintf(stderr, "emulated agent %s lost its master\n", a->id ? a->id : "(new)");
        exit(1);
    }
    if (a->trying) {
        back_off(a);
    } else if (a->registered) {
        unregister(a);
        plan(a, 0, a->backoff_ms);
    } /* else a try is planned */
}

static void on_refused(void *ctx, int status, const char *location) {
    struct emulated *a = ctx;
    (void)location;

    if (!a->owner->detector) {
        fprintf(stderr, "emulated agent %s was refused: %d\n", a->id ? a->id : "(new)", status);
        exit(1);
    }
    on_lost(a);
}

static const struct rv_agent_link_handler handler = {on_event, on_lost, on_refused};

static void start_next(struct emulator *e) {
    if (e->started == e->config.agents || !e->leader.host)
        return;
    struct emulated *a = &e->agents[e->started++];
    a->owner = e;
    a->info.hostname = rv_asprintf("host-%u", e->started);
    a->info.ip = rv_strdup("127.0.0.1");
    a->info.port = (int32_t)(1024 + e->started); /* of its own: same address means same agent */
    a->info.version = rv_strdup(RV_API_VERSION);
    a->info.capabilities = 1u << RV_AGENT_MULTI_ROLE | 1u << RV_AGENT_HIERARCHICAL_ROLE |
                           1u << RV_AGENT_RESERVATION_REFINEMENT;
    rv_resources_copy(&a->info.resources, &e->resources);
    uv_timer_init(e->loop, &a->next_try);
    a->next_try.data = a;
    a->backoff_ms = BACKOFF_MS;
    /* Many clients of one server on one machine: from one address the kernel would look long for a
     * free port. */
    char local_ip[32];
    snprintf(local_ip, sizeof local_ip, "127.0.1.%u", 1 + e->started % 64);
    a->link = rv_agent_link_new(e->loop, local_ip, &handler, a);
    rv_agent_link_aim(a->link, &e->leader);
    on_try(&a->next_try);
}

static void start_all(struct emulator *e) {
    unsigned burst = e->config.burst ? e->config.burst : e->config.agents;

    while (e->started < burst && e->started < e->config.agents)
        start_next(e);
}

static void on_detected(void *ctx, const struct rv_address *leader) {
    struct emulator *e = ctx;

    rv_address_free(&e->leader);
    if (leader)
        e->leader = (struct rv_address){rv_strdup(leader->host), leader->port};
    for (unsigned i = 0; i < e->started; i++) {
        struct emulated *a = &e->agents[i];
        unregister(a);
        uv_timer_stop(&a->next_try);
        a->trying = false;
        rv_agent_link_aim(a->link, leader);
        a->backoff_ms = BACKOFF_MS;
        if (leader)
            plan(a, 0, FIRST_TRY_MS);
    }
    if (leader && !e->started)
        start_all(e);
}

static int begin(struct emulator *e, struct rv_error *err) {
    const struct rv_detector_config config = {
        .masters = e->config.masters, .session_timeout_ms = 10000, .parse = rv_wire_master_address};
    int r = rv_resources_parse(e->config.resources, "*", &e->resources, err);

    if (r || e->config.masters)
        return r ? r : rv_detector_new(e->loop, &config, on_detected, e, &e->detector, err);
    e->leader = (struct rv_address){rv_strdup(e->config.host), e->config.port};
    start_all(e);
    return 0;
}

struct emulator *emulator_start(uv_loop_t *loop, const struct emulator_config *config) {
    struct emulator *e = rv_calloc(1, sizeof *e);
    struct rv_error err;

    e->config = *config;
    e->loop = loop;
    e->agents = rv_calloc(config->agents, sizeof *e->agents);
    rv_prng_seed(&e->prng, 1);
    if (begin(e, &err)) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    return e;
}

unsigned emulator_registered(const struct emulator *e) {
    return e->registered;
}

unsigned emulator_running(const struct emulator *e) {
    return e->running;
}

unsigned emulator_tries(const struct emulator *e) {
    return e->tries;
}

/* --- processes --- */

static const char *reeve_program(void) {
    static char path[4096];
    const char *named = getenv("REEVE");
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
    char *slash;

    if (named)
        return named;
    path[n > 0 ? n : 0] = 0;
    slash = strrchr(path, '/');
    strcpy(slash ? slash : path, "/../src/cli/bin/reeve");
    return path;
}

/* Starts the program and reads the port from its line "WHAT at http://127.0.0.1:PORT". */
static int start_daemon(const char *what, const char *const *argv, uint16_t *port) {
    int pipes[2];
    char line[256], format[64];
    unsigned number = 0;

    if (pipe(pipes))
        exit(1);
    int pid = fork();
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(pipes[1], 1);
        close(pipes[0]);
        close(pipes[1]);
        execv(reeve_program(), (char **)(uintptr_t)argv);
        perror(reeve_program());
        _exit(127);
    }
    close(pipes[1]);
    FILE *f = fdopen(pipes[0], "r");
    snprintf(format, sizeof format, "%s at http://127.0.0.1:%%u", what);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (!f || !fgets(line, sizeof line, f) || sscanf(line, format, &number) != 1) {
#pragma GCC diagnostic pop
        fprintf(stderr, "cannot start %s %s\n", reeve_program(), what);
        exit(1);
    }
    fclose(f);
    *port = (uint16_t)number;
    return pid;
}

int start_master(const char *const *arguments, uint16_t *port) {
    const char *argv[32] = {"reeve", "master", "--port=0", "--log_level=warning"};

    for (int n = 4; arguments && *arguments && n < 31;)
        argv[n++] = *arguments++;
    return start_daemon("master", argv, port);
}

int start_agent(const char *master, const char *work_dir, const char *const *arguments,
                uint16_t *port) {
    const char *argv[32] = {"reeve", "agent", "--log_level=warning",
                            rv_asprintf("--master=%s", master),
                            rv_asprintf("--work_dir=%s", work_dir)};
    bool has_port = false;
    int n = 5;

    for (; arguments && *arguments && n < 30; arguments++) {
        has_port |= strncmp(*arguments, "--port=", strlen("--port=")) == 0;
        argv[n++] = *arguments;
    }
    if (!has_port)
        argv[n] = "--port=0";
    return start_daemon("agent", argv, port);
}

int run_task(const char *master, const char *command) {
    int pid = fork();

    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        setenv("REEVE_MASTER", master, 1);
        execl(reeve_program(), "reeve", "run", "--", "/bin/sh", "-c", command, (char *)NULL);
        perror(reeve_program());
        _exit(127);
    }
    return pid;
}

void stop_process(int pid) {
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

char *new_work_dir(void) {
    /* On a disk, as an agent's folder is; /tmp may be in memory, where nothing is ever synced. */
    const char *above = getenv("TMPDIR");
    char *path = rv_asprintf("%s/reeve-bench-XXXXXX", above ? above : "/var/tmp");

    if (!mkdtemp(path)) {
        perror(path);
        exit(1);
    }
    return path;
}

int remove_folder(const char *path) {
    _cleanup_free_ char *command = rv_asprintf("rm -rf '%s'", path);

    return system(command); // NOLINT(cert-env33-c): the path is ours
}

long resident_kib(int pid) {
    char path[64], line[256];
    long kib = -1;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %ld kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

double cpu_seconds(int pid) {
    char path[64], text[1024];
    unsigned long user = 0, kernel = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = 0;
    char *end = strrchr(text, ')');
    if (end)
        sscanf(end + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

double now_seconds(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
