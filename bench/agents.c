/*
 * As many emulated agents as the open-file limit allows, over real sockets: time to register all,
 * the master's resident memory an agent, and its CPU at rest (pings and answers included).
 *
 * agents [number] [seconds at rest]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/memory.h"
#include "emulator.h"

#define RESERVE 2000 /* descriptors for all else: calls beside the streams, in both processes */

static void on_timer(uv_timer_t *timer) {
    (void)timer;
}

/* Runs the loop for so long. */
static void run_for(uv_loop_t *loop, double seconds) {
    double until = now_seconds() + seconds;

    while (now_seconds() < until)
        uv_run(loop, UV_RUN_ONCE);
}

int main(int argc, char **argv) {
    struct rlimit limit;
    uv_loop_t loop;
    uv_timer_t timer;
    uint16_t port;

    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max; /* up to the hard limit, never above */
    setrlimit(RLIMIT_NOFILE, &limit);
    unsigned most = (unsigned)RV_MIN(limit.rlim_cur, 40000) - RESERVE;
    most -= most / 5; /* an answer to a ping is a connection of its own, and they come at once */
    unsigned agents = argc > 1 ? RV_MIN((unsigned)atoi(argv[1]), most) : RV_MIN(most, 18000);
    double rest = argc > 2 ? atof(argv[2]) : 20;

    uv_loop_init(&loop);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_timer, 100, 100);
    int master = start_master(NULL, &port);
    run_for(&loop, 0.5);
    long before = resident_kib(master);
    struct emulator_config config = {.host = "127.0.0.1",
                                     .port = port,
                                     .agents = agents,
                                     .resources =
                                         "cpus:8;mem:16384;disk:100000;ports:[31000-32000]",
                                     .burst = 256};
    double start = now_seconds();
    struct emulator *e = emulator_start(&loop, &config);
    while (emulator_registered(e) < agents)
        uv_run(&loop, UV_RUN_ONCE);
    double elapsed = now_seconds() - start;
    run_for(&loop, 2);
    long after = resident_kib(master);
    double cpu = cpu_seconds(master), from = now_seconds();
    run_for(&loop, rest);
    cpu = (cpu_seconds(master) - cpu) / (now_seconds() - from);

    printf("limit: 16 KiB an agent; the master's CPU at rest: %.1f %% of a core\n", cpu * 100);
    printf("figure agents.registered %u agents\n", emulator_registered(e));
    printf("figure agents.register_time %.2f s\n", elapsed);
    printf("figure agents.rss %.1f KiB\n", (double)(after - before) / agents);
    printf("figure agents.cpu %.1f percent\n", cpu * 100);
    stop_process(master);
    return 0;
}
