/*
 * A leader dies, and another takes over: figure `failover.real`, seconds from the end of the killed
 * leader's session until every agent is back with its tasks and its resources are offered again.
 * Real: ZooKeeper, two masters, all sockets, and a scheduler, which is this process. Emulated, in
 * a process of their own: the agents (emulator.h). Then the core alone (failover_core.c), figures
 * `failover.sim` and `failover.storm`: 40,000 agents with ten tasks each, 10,000 with a hundred.
 *
 *     failover [real|core AGENTS TASKS]
 *
 * `real 10000 100` is the storm over sockets. Meanwhile the new leader is asked for its health.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/map.h"
#include "emulator.h"
#include "failover_core.h"
#include "framework/reeve.h"
#include "io/zk.h"
#include "zk_world.h"

#define AGENTS 9000
#define TASKS 10 /* of each agent */
#define PATIENCE_S 300
#define SETTLE_S 2       /* for what is left over from the launches */
#define LAUNCHING 100000 /* tasks on their way at once: what is measured comes after */

/* What the emulators' process says of itself. */
struct told {
    volatile unsigned registered, running, tries;
};

struct bench {
    uv_loop_t loop;
    uv_timer_t alarm; /* so that the loop comes by */
    struct zk_server server;
    struct rv_zk *zk;
    char *url;
    unsigned n_agents, n_tasks; /* of each */
    int masters[2], emulators;  /* processes */
    uint16_t ports[2];
    struct told *told;
    struct reeve_scheduler *s;
    struct rv_map launched; /* agents that have their tasks */
    struct rv_map offered;  /* agents that were offered since `deposed` */
    double deposed;         /* when the session ended; 0: not yet */
    unsigned number;        /* of the next task */
    unsigned reconciled;    /* tasks that the new leader says are running */
    bool watching;
    unsigned tries; /* as `deposed` */
    double leader_cpu, emulators_cpu;
    volatile bool asking; /* the thread of ask() goes on */
    double longest_s;     /* for an answer to it */
};

static void die(const char *what) {
    fprintf(stderr, "failover: %s\n", what);
    exit(1);
}

/* --- waiting --- */

static void on_alarm(uv_timer_t *timer) {
    (void)timer;
}

static void wait_until(struct bench *b, bool (*done)(struct bench *), const char *what) {
    double end = now_seconds() + PATIENCE_S;

    while (!done(b)) {
        if (now_seconds() > end)
            die(what);
        uv_run(&b->loop, UV_RUN_ONCE);
    }
}

static void settle(struct bench *b, double seconds) {
    double end = now_seconds() + seconds;

    while (now_seconds() < end)
        uv_run(&b->loop, UV_RUN_ONCE);
}

static bool all_registered(struct bench *b) {
    return b->told->registered == b->n_agents;
}

static bool all_running(struct bench *b) {
    return b->told->running == b->n_agents * b->n_tasks;
}

static bool all_back(struct bench *b) {
    return b->deposed > 0 && all_registered(b) && rv_map_count(&b->offered) == b->n_agents;
}

static bool all_reconciled(struct bench *b) {
    return b->reconciled == b->n_agents * b->n_tasks;
}

static bool is_watching(struct bench *b) {
    return b->watching;
}

/* --- the scheduler --- */

static void launch(struct bench *b, const Reeve__V1__Offer *offer) {
    Reeve__V1__TaskInfo **tasks = rv_calloc(b->n_tasks, sizeof *tasks);

    for (unsigned i = 0; i < b->n_tasks; i++) {
        char id[64];
        snprintf(id, sizeof id, "web-server.%u", b->number++);
        tasks[i] = reeve_task_new(id, NULL, offer);
        reeve_task_add_scalar(tasks[i], offer, "cpus", 0.1);
        reeve_task_add_scalar(tasks[i], offer, "mem", 64);
        reeve_task_set_shell(tasks[i], "exec ./server --port=$PORT0 --config=server.json");
    }
    if (reeve_scheduler_launch(b->s, offer, tasks, b->n_tasks, 0))
        die(reeve_scheduler_error(b->s));
    for (unsigned i = 0; i < b->n_tasks; i++)
        reeve__v1__task_info__free_unpacked(tasks[i], NULL);
    free(tasks);
}

static void on_offers(struct reeve_scheduler *s, void *ctx, Reeve__V1__Offer *const *offers,
                      size_t n) {
    struct bench *b = ctx;

    for (size_t i = 0; i < n; i++) {
        struct rv_str agent = rv_str(offers[i]->agent_id->value);
        if (b->deposed > 0)
            rv_map_put(&b->offered, agent, b);
        else if (b->number - b->told->running > LAUNCHING)
            reeve_scheduler_decline(s, (const char *const *)&offers[i]->id->value, 1, 5);
        else if (!rv_map_put(&b->launched, agent, b))
            launch(b, offers[i]);
    }
}

static void on_update(struct reeve_scheduler *s, void *ctx, const Reeve__V1__TaskStatus *status) {
    struct bench *b = ctx;
    (void)s;

    if (status->state != REEVE__V1__TASK_STATE__TASK_RUNNING)
        die(status->message ? status->message : reeve_state_name(status->state));
    b->reconciled += status->has_reason &&
                     status->reason == REEVE__V1__TASK_STATUS__REASON__REASON_RECONCILIATION;
}

static void on_error(struct reeve_scheduler *s, void *ctx, const char *message) {
    (void)s;
    (void)ctx;
    die(message);
}

/* It asks both masters in turn, as soon as one that has ZooKeeper's word would. */
static void start_scheduler(struct bench *b) {
    static const struct reeve_scheduler_callbacks callbacks = {
        .offers = on_offers, .update = on_update, .error = on_error};
    _cleanup_free_ char *masters =
        rv_asprintf("127.0.0.1:%u,127.0.0.1:%u", (unsigned)b->ports[0], (unsigned)b->ports[1]);
    Reeve__V1__FrameworkInfo *info = reeve_framework_new("root", "failover");
    struct reeve_scheduler_config config = {.master = masters,
                                            .framework = info,
                                            .callbacks = &callbacks,
                                            .ctx = b,
                                            .loop = &b->loop,
                                            .backoff_min_ms = 50,
                                            .backoff_max_ms = 100};
    struct reeve_error err;

    info->has_checkpoint = info->checkpoint = true;
    info->has_failover_timeout = true;
    info->failover_timeout = 3600;
    reeve_framework_add_role(info, "bench");
    b->s = reeve_scheduler_new(&config, &err);
    reeve__v1__framework_info__free_unpacked(info, NULL);
    if (!b->s)
        die(err.message);
    reeve_scheduler_start(b->s);
}

/* --- the agents --- */

static void run_emulators(struct bench *b) {
    struct emulator_config config = {.masters = b->url,
                                     .agents = b->n_agents,
                                     .resources =
                                         "cpus:16;mem:65536;disk:100000;ports:[31000-32000]",
                                     .burst = 256,
                                     .hold = true};
    uv_loop_t loop;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    uv_loop_init(&loop);
    struct emulator *e = emulator_start(&loop, &config);
    while (uv_run(&loop, UV_RUN_ONCE)) {
        b->told->registered = emulator_registered(e);
        b->told->running = emulator_running(e);
        b->told->tries = emulator_tries(e);
    }
    _exit(1);
}

static void start_emulators(struct bench *b) {
    b->emulators = fork();
    if (!b->emulators)
        run_emulators(b);
}

/* --- ZooKeeper --- */

static void on_state(void *ctx, enum rv_zk_state state) {
    (void)ctx;
    if (state >= RV_ZK_EXPIRED)
        die("no session with ZooKeeper");
}

static void on_candidates(void *ctx) {
    struct bench *b = ctx;

    b->deposed = now_seconds();
    b->tries = b->told->tries;
    b->leader_cpu = cpu_seconds(b->masters[1]);
    b->emulators_cpu = cpu_seconds(b->emulators);
}

static void on_listed(void *ctx, const struct rv_zk_result *result) {
    if (result->code)
        die(rv_zk_text(result->code));
    ((struct bench *)ctx)->watching = true;
}

/* The candidates: their list changes when the leader's session ends. */
static void watch(struct bench *b) {
    struct rv_zk_url url;
    struct rv_error err;

    if (rv_zk_url_parse(b->url, &url, &err) ||
        rv_zk_new(&b->loop, &url, 10000, on_state, b, &b->zk, &err))
        die(err.message);
    rv_zk_children(b->zk, url.path, on_candidates, b, on_listed, b);
    rv_zk_url_free(&url);
    wait_until(b, is_watching, "ZooKeeper does not answer");
}

static int start_candidate(struct bench *b, uint16_t *port) {
    _cleanup_free_ char *zk = rv_asprintf("--zk=%s", b->url);
    const char *arguments[] = {zk, NULL};

    return start_master(arguments, port);
}

/* --- whether the new leader lives --- */

static void ask_once(uint16_t port) {
    static const char request[] = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    char answer[512];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) ||
        write(fd, request, sizeof request - 1) != (ssize_t)sizeof request - 1 ||
        read(fd, answer, sizeof answer) < 12 || memcmp(answer + 9, "200", 3))
        die("the new leader is not healthy");
    close(fd);
}

/* A client as any other, in a thread: it may wait. */
static void *ask(void *ctx) {
    struct bench *b = ctx;

    while (b->asking) {
        double began = now_seconds();
        ask_once(b->ports[1]);
        b->longest_s = RV_MAX(b->longest_s, now_seconds() - began);
        usleep(20000);
    }
    return NULL;
}

/* --- all together --- */

static void start(struct bench *b) {
    b->told =
        mmap(NULL, sizeof *b->told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    b->url = rv_asprintf("zk://127.0.0.1:%u/reeve", (unsigned)b->server.port);
    b->masters[0] = start_candidate(b, &b->ports[0]);
    start_emulators(b);
    uv_loop_init(&b->loop);
    uv_timer_init(&b->loop, &b->alarm);
    uv_timer_start(&b->alarm, on_alarm, 2, 2);
    wait_until(b, all_registered, "not all agents have registered");
    b->masters[1] = start_candidate(b, &b->ports[1]);
    start_scheduler(b);
    wait_until(b, all_running, "not all tasks run");
    settle(b, SETTLE_S);
    watch(b);
}

static void close_handle(uv_handle_t *h, void *ctx) {
    (void)ctx;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void finish(struct bench *b) {
    kill(b->emulators, SIGKILL);
    waitpid(b->emulators, NULL, 0);
    stop_process(b->masters[1]);
    reeve_scheduler_free(b->s);
    b->zk = rv_zk_free(b->zk);
    uv_walk(&b->loop, close_handle, NULL);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    uv_loop_close(&b->loop);
    rv_map_free(&b->launched);
    rv_map_free(&b->offered);
    zk_remove(&b->server);
    munmap(b->told, sizeof *b->told);
    free(b->url);
}

/* false: there is no ZooKeeper here. */
static bool failover_real(unsigned n_agents, unsigned n_tasks) {
    struct bench b = {.n_agents = n_agents, .n_tasks = n_tasks, .asking = true};
    pthread_t asker;

    if (!zk_make(&b.server, "500"))
        return false;
    start(&b);
    kill(b.masters[0], SIGKILL);
    waitpid(b.masters[0], NULL, 0);
    if (pthread_create(&asker, NULL, ask, &b))
        die("no thread");
    wait_until(&b, all_back, "not all agents are back and offered");
    double took = now_seconds() - b.deposed;
    b.asking = false;
    pthread_join(asker, NULL);
    printf(
        "%u registrations; cpu time of the new leader %.2f s, of the emulators %.2f s; the leader "
        "has %ld MiB, and answered after %.2f s at most\n",
        b.told->tries - b.tries, cpu_seconds(b.masters[1]) - b.leader_cpu,
        cpu_seconds(b.emulators) - b.emulators_cpu, resident_kib(b.masters[1]) / 1024, b.longest_s);
    printf("figure failover.real %.2f s\n", took);
    reeve_scheduler_reconcile(b.s, NULL, NULL, 0);
    wait_until(&b, all_reconciled, "the new leader does not know all tasks");
    finish(&b);
    return true;
}

int main(int argc, char **argv) {
    struct rlimit limit;

    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    rv_log_set_level(RV_LOG_WARNING); /* of agents without a master there are many lines */
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (argc == 4 && !strcmp(argv[1], "core")) {
        failover_core("own", (size_t)atoi(argv[2]), (size_t)atoi(argv[3]));
        return 0;
    }
    if (argc == 4 && !strcmp(argv[1], "real"))
        return failover_real((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3])) ? 0 : 77;
    if (argc != 1) {
        fprintf(stderr, "usage: failover [real|core AGENTS TASKS]\n");
        return 2;
    }
    bool real = failover_real(AGENTS, TASKS);
    failover_core("sim", 40000, 10);
    failover_core("storm", 10000, 100);
    return real ? 0 : 77;
}
