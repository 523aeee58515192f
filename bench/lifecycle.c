/*
 * Complete lives of real tasks: /bin/true on one agent with all default isolators, launched by one
 * scheduler through libreeve, every update acknowledged. Master, agent and scheduler are processes
 * of their own on one machine, and the framework checkpoints. Needs root.
 *
 * First so many tasks with so many under way: lifecycle.rate. Then 100 at once, a few times over:
 * lifecycle.p50 and lifecycle.p99 are the times from ACCEPT to RUNNING.
 *
 * lifecycle [TASKS [UNDER_WAY [AGENT'S FLAG...]]]
 */
#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"
#include "emulator.h"

enum { AT_ONCE = 100, ROUNDS = 5 };

struct bench {
    struct cluster c;
    size_t tasks, under_way, ended, rounds;
    double begun, took; /* of the tasks for the rate */
    RV_VEC(double) latencies;
};

static const char *const argv_true[] = {"/bin/true", NULL};

/* In small batches, as a scheduler does that fills what has become free. */
static void go_on(struct cluster *c) {
    struct bench *b = RV_CONTAINER_OF(c, struct bench, c);
    size_t n = RV_MIN(b->under_way - (c->launched - b->ended), c->room);

    if (c->failure)
        return;
    if (c->launched < b->tasks) {
        if (c->launched == 0)
            b->begun = now_seconds();
        if (n > b->under_way / 8)
            cluster_launch(c, argv_true, RV_MIN(n, b->tasks - c->launched));
    } else if (c->launched == b->ended && c->room >= AT_ONCE) {
        if (b->rounds++ < ROUNDS)
            cluster_launch(c, argv_true, AT_ONCE);
        else
            cluster_stop(c, NULL);
    }
}

static void on_task(struct cluster *c, size_t number, Reeve__V1__TaskState state) {
    struct bench *b = RV_CONTAINER_OF(c, struct bench, c);

    if (state == REEVE__V1__TASK_STATE__TASK_FINISHED && ++b->ended == b->tasks)
        b->took = now_seconds() - b->begun;
    if (state == REEVE__V1__TASK_STATE__TASK_RUNNING && number >= b->tasks)
        rv_vec_push(&b->latencies, now_seconds() - c->accepted.v[number]);
    go_on(c);
}

static void print(struct bench *b) {
    size_t n = b->latencies.n;

    qsort(b->latencies.v, n, sizeof *b->latencies.v, ascending);
    printf("figure lifecycle.rate %.0f per_s\n", (double)b->tasks / b->took);
    printf("figure lifecycle.p50 %.1f ms\n", b->latencies.v[n / 2] * 1e3);
    printf("figure lifecycle.p99 %.1f ms\n", b->latencies.v[n * 99 / 100] * 1e3);
    printf("a life: %.2f ms of the agent's time, %.2f ms of the master's\n",
           cpu_seconds(b->c.agent) * 1e3 / (double)b->ended,
           cpu_seconds(b->c.master) * 1e3 / (double)b->ended);
}

int main(int argc, char **argv) {
    struct bench b = {.c = {.on_room = go_on, .on_task = on_task},
                      .tasks = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000,
                      .under_way = argc > 2 ? strtoul(argv[2], NULL, 10) : 32};

    if (!cluster_start(&b.c, argc > 3 ? (const char *const *)argv + 3 : NULL))
        return 0;
    cluster_run(&b.c);
    if (!b.c.failure)
        print(&b);
    rv_vec_free(&b.latencies);
    return cluster_end(&b.c);
}
