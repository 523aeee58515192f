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

struct emulated {
    struct emulator *owner;
    struct rv_agent_link_io *link;
    struct rv_agent_info info;
    char *id;
    bool registered;
    struct rv_map tasks; /* id -> framework id, of tasks whose RUNNING is not acknowledged */
};

struct emulator {
    struct emulator_config config;
    uv_loop_t *loop;
    struct emulated *agents;
    unsigned started, registered;
    struct rv_prng prng;
    struct rv_resources resources;
};

static void send_registration(struct emulated *a) {
    struct rv_agent_call call = {.type = RV_AGENT_CALL_REGISTER};

    call.registration.info = &a->info;
    call.registration.boot_id = "emulated";
    rv_agent_link_register(a->link, &call);
}

static void send_update(struct emulated *a, struct rv_framework_id framework,
                        struct rv_task_id task, enum rv_task_state state) {
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
}

static void start_next(struct emulator *e);

static void on_event(void *ctx, const struct rv_agent_event *event) {
    struct emulated *a = ctx;

    switch (event->type) {
    case RV_AGENT_EVENT_REGISTERED:
        free(a->id);
        a->id = rv_strdup(event->registered.agent_id.v);
        if (!a->registered) {
            a->registered = true;
            a->owner->registered++;
            start_next(a->owner);
        }
        return;
    case RV_AGENT_EVENT_PING:
        rv_agent_link_send(
            a->link, &(struct rv_agent_call){.type = RV_AGENT_CALL_PONG, .agent_id = {a->id}});
        return;
    case RV_AGENT_EVENT_RUN_TASKS:
        for (size_t i = 0; i < event->run.n_tasks; i++) {
            const struct rv_task_info *task = &event->run.tasks[i];
            free(rv_map_put(&a->tasks, rv_str(task->id.v), rv_strdup(event->run.framework->id.v)));
            send_update(a, event->run.framework->id, task->id, RV_TASK_RUNNING);
        }
        return;
    case RV_AGENT_EVENT_ACKNOWLEDGE: {
        struct rv_task_id task = event->acknowledge.task_id;
        char *framework = a->owner->config.hold ? NULL : rv_map_remove(&a->tasks, rv_str(task.v));
        if (framework)
            send_update(a, (struct rv_framework_id){framework}, task, RV_TASK_FINISHED);
        free(framework);
        return;
    }
    default: /* nothing that a benchmark asks for */
        return;
    }
}

static void on_lost(void *ctx) {
    struct emulated *a = ctx;

    fprintf(stderr, "emulated agent %s lost its master\n", a->id ? a->id : "(new)");
    exit(1);
}

static void on_refused(void *ctx, int status, const char *location) {
    struct emulated *a = ctx;
    (void)location;

    fprintf(stderr, "emulated agent %s was refused: %d\n", a->id ? a->id : "(new)", status);
    exit(1);
}

static const struct rv_agent_link_handler handler = {on_event, on_lost, on_refused};

static void start_next(struct emulator *e) {
    if (e->started == e->config.agents)
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
    /* Many clients of one server on one machine: from one address the kernel would look long for a
     * free port. */
    char local_ip[32];
    snprintf(local_ip, sizeof local_ip, "127.0.1.%u", 1 + e->started % 64);
    a->link = rv_agent_link_new(e->loop, local_ip, &handler, a);
    rv_agent_link_aim(a->link,
                      &(struct rv_address){(char *)(uintptr_t)e->config.host, e->config.port});
    send_registration(a);
}

struct emulator *emulator_start(uv_loop_t *loop, const struct emulator_config *config) {
    struct emulator *e = rv_calloc(1, sizeof *e);
    struct rv_error err;

    e->config = *config;
    e->loop = loop;
    e->agents = rv_calloc(config->agents, sizeof *e->agents);
    rv_prng_seed(&e->prng, 1);
    if (rv_resources_parse(config->resources, "*", &e->resources, &err)) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    unsigned burst = config->burst ? config->burst : config->agents;
    while (e->started < burst && e->started < config->agents)
        start_next(e);
    return e;
}

unsigned emulator_registered(const struct emulator *e) {
    return e->registered;
}

struct emulator *emulator_stop(struct emulator *e) {
    for (unsigned i = 0; i < e->started; i++) {
        struct emulated *a = &e->agents[i];
        void *value;
        rv_agent_link_free(a->link);
        rv_agent_info_free(&a->info);
        for (size_t it = 0; rv_map_next(&a->tasks, &it, NULL, &value);)
            free(value);
        rv_map_free(&a->tasks);
        free(a->id);
    }
    rv_resources_free(&e->resources);
    free(e->agents);
    free(e);
    return NULL;
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
    const char *argv[32] = {"reeve",
                            "agent",
                            "--port=0",
                            "--log_level=warning",
                            rv_asprintf("--master=%s", master),
                            rv_asprintf("--work_dir=%s", work_dir)};

    for (int n = 6; arguments && *arguments && n < 31;)
        argv[n++] = *arguments++;
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
    const char *above = getenv("TMPDIR");
    char *path = rv_asprintf("%s/reeve-bench-XXXXXX", above ? above : "/tmp");

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
