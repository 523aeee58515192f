/*
 * How long an agent takes to be back after a crash: SIGKILL of an agent with 1,000 containers of
 * all default isolators, each with an executor of its own, and its start again. recovery.time (s)
 * is from the SIGKILL until the master offers what is free of it again, which is when it has
 * registered, so when all its executors are connected again; that they are is asked for, and that
 * each task is still there to be killed. Needs root.
 *
 * recovery [CONTAINERS [AGENT'S FLAG...]]
 */
#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"
#include "emulator.h"

struct bench {
    struct cluster c;
    size_t containers, running, killed, back;
    double crashed, took, cpu;
};

static const char *const argv_sleep[] = {"/bin/sleep", "100000", NULL};

static void kill_all(struct bench *b) {
    for (size_t i = 0; i < b->containers; i++) {
        char id[32];
        snprintf(id, sizeof id, "t%zu", i);
        reeve_scheduler_kill(b->c.s, id, NULL);
    }
}

/* Offers come before the launch, and when the agent has registered again. */
static void on_room(struct cluster *c) {
    struct bench *b = RV_CONTAINER_OF(c, struct bench, c);

    if (!c->launched && c->room >= b->containers)
        cluster_launch(c, argv_sleep, b->containers);
    if (b->crashed == 0 || b->took > 0)
        return;
    b->took = now_seconds() - b->crashed;
    b->cpu = cpu_seconds(c->agent);
    b->back = cluster_executors(c);
    kill_all(b);
}

static void on_task(struct cluster *c, size_t number, Reeve__V1__TaskState state) {
    struct bench *b = RV_CONTAINER_OF(c, struct bench, c);

    (void)number;
    if (state == REEVE__V1__TASK_STATE__TASK_RUNNING && ++b->running == b->containers) {
        b->crashed = now_seconds();
        if (!cluster_restart_agent(c))
            cluster_stop(c, "the agent could not be killed");
    }
    if (state == REEVE__V1__TASK_STATE__TASK_KILLED && ++b->killed == b->containers)
        cluster_stop(c, b->back == b->containers ? NULL : "executors were missing");
}

int main(int argc, char **argv) {
    struct bench b = {.c = {.on_room = on_room, .on_task = on_task},
                      .containers = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000};

    if (!cluster_start(&b.c, argc > 2 ? (const char *const *)argv + 2 : NULL))
        return 0;
    cluster_run(&b.c);
    if (!b.c.failure) {
        printf("figure recovery.time %.2f s\n", b.took);
        printf("%zu executors are back, for %.2f s of the agent's time\n", b.back, b.cpu);
    }
    return cluster_end(&b.c);
}
