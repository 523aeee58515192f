/*
 * A thousand containers that sleep, on one agent with all default isolators. Figures:
 * density.launch and density.destroy (containers a second, from the ACCEPT to the last RUNNING,
 * from the first KILL until the agent has nothing of them left), density.rss (KiB resident of a
 * container's init and executor together), density.cpu (percent of one processor that the agent
 * needs meanwhile). Needs root.
 *
 * density [CONTAINERS [AGENT'S FLAG...]]
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"
#include "cluster.h"
#include "emulator.h"

enum { REST_S = 10 };

struct bench {
    struct cluster c;
    size_t containers, running, killed;
    double begun, launched, destroyed;
    double rss_kib, cpu;
};

static const char *const argv_sleep[] = {"/bin/sleep", "100000", NULL};

static void on_room(struct cluster *c) {
    struct bench *b = RV_CONTAINER_OF(c, struct bench, c);

    if (c->launched || c->room < b->containers)
        return;
    b->begun = now_seconds();
    cluster_launch(c, argv_sleep, b->containers);
}

/* ---- while they sleep ---- */

static long parent_of(long pid) {
    _cleanup_free_ char *path = rv_asprintf("/proc/%ld/stat", pid);
    char text[512] = "";
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    const char *end = strrchr(text, ')');

    if (f)
        fclose(f);
    return n && end ? strtol(end + 4, NULL, 10) : 0;
}

/* Init is the agent's child, the executor init's; the agent's other processes and the tasks do not
 * count. */
static double rss_of_ours(const struct bench *b) {
    DIR *proc = opendir("/proc");
    double kib = 0;

    for (struct dirent *e; proc && (e = readdir(proc));) {
        long pid = strtol(e->d_name, NULL, 10), parent = pid ? parent_of(pid) : 0;
        if (parent > 1 && (parent == b->c.agent || parent_of(parent) == b->c.agent))
            kib += (double)resident_kib((int)pid);
    }
    if (proc)
        closedir(proc);
    return kib / (double)b->containers;
}

static void measure_at_rest(struct bench *b) {
    double before = cpu_seconds(b->c.agent), begun = now_seconds();

    b->rss_kib = rss_of_ours(b);
    sleep(REST_S);
    b->cpu = (cpu_seconds(b->c.agent) - before) / (now_seconds() - begun) * 100;
}

static void on_task(struct cluster *c, size_t number, Reeve__V1__TaskState state) {
    struct bench *b = RV_CONTAINER_OF(c, struct bench, c);

    (void)number;
    if (state == REEVE__V1__TASK_STATE__TASK_RUNNING && ++b->running == b->containers) {
        b->launched = now_seconds() - b->begun;
        measure_at_rest(b);
        b->begun = now_seconds();
        for (size_t i = 0; i < b->containers; i++) {
            char id[32];
            snprintf(id, sizeof id, "t%zu", i);
            reeve_scheduler_kill(c->s, id, NULL);
        }
    }
    if (state != REEVE__V1__TASK_STATE__TASK_KILLED || ++b->killed < b->containers)
        return;
    while (cluster_containers(c))
        usleep(1000);
    b->destroyed = now_seconds() - b->begun;
    cluster_stop(c, NULL);
}

int main(int argc, char **argv) {
    struct bench b = {.c = {.on_room = on_room, .on_task = on_task},
                      .containers = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000};

    if (!cluster_start(&b.c, argc > 2 ? (const char *const *)argv + 2 : NULL))
        return 0;
    cluster_run(&b.c);
    if (!b.c.failure) {
        printf("figure density.launch %.0f per_s\n", (double)b.containers / b.launched);
        printf("figure density.destroy %.0f per_s\n", (double)b.containers / b.destroyed);
        printf("figure density.rss %.0f KiB\n", b.rss_kib);
        printf("figure density.cpu %.1f percent\n", b.cpu);
    }
    return cluster_end(&b.c);
}
