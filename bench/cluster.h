/*
 * A real master, a real agent with the `linux` containerizer, and a scheduler that launches many
 * equal tasks there: what benchmarks of whole lives of containers share.
 */
#ifndef RV_BENCH_CLUSTER_H
#define RV_BENCH_CLUSTER_H

#include <stdint.h>

#include "base/vec.h"
#include "framework/reeve.h"

struct cluster {
    int master, agent; /* processes */
    char *work_dir;    /* the agent's */
    char *address;     /* the master's */
    uint16_t agent_port;
    struct reeve_scheduler *s;
    /* What the benchmark does with what happens; ctx is the cluster, to be found in its own. */
    void (*on_room)(struct cluster *c); /* room has grown */
    void (*on_task)(struct cluster *c, size_t number, Reeve__V1__TaskState state);
    size_t launched;
    size_t room;                /* tasks that the offers held have place for */
    RV_VEC(char *) offers;      /* their ids */
    Reeve__V1__Offer *an_offer; /* one of them: all are of one agent; or NULL */
    RV_VEC(double) accepted;    /* when, by number of the task */
    const char *failure;
};

/* More flags of the agent, NULL-terminated. False, with a message, without root. */
bool cluster_start(struct cluster *c, const char *const *flags);
/* Subscribes and runs until cluster_stop. */
void cluster_run(struct cluster *c);
/* The framework ends. With a reason it has failed. */
void cluster_stop(struct cluster *c, const char *failure);
/* So many tasks with all that is held; at most `room`. Each is a container of 0.1 cpus. */
void cluster_launch(struct cluster *c, const char *const *argv, size_t n);
/* Containers that the agent has not reported as ended. */
size_t cluster_containers(const struct cluster *c);
/* Kills the agent as a crash does, and starts it again on the same port. False, with a message. */
bool cluster_restart_agent(struct cluster *c);
/* Executors of the agent that run and are connected; SIZE_MAX if it does not say. */
size_t cluster_executors(const struct cluster *c);
/* Ends the daemons and removes their folder. The exit status for main. */
int cluster_end(struct cluster *c);

int ascending(const void *a, const void *b); /* of doubles, for qsort */

#endif
