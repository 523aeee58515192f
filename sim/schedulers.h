/*
 * Schedulers: simulated frameworks that speak the scheduler API with the real codec. What each can
 * and how it behaves is chosen by the seed. What a scheduler keeps when it crashes (its framework
 * id, its tasks) is what one would keep in a database; the rest is of one life.
 */
#ifndef SIM_SCHEDULERS_H
#define SIM_SCHEDULERS_H

#include "base/map.h"
#include "model/task.h"
#include "network.h"
#include "reeve/v1/scheduler.pb-c.h"
#include "wire/recordio.h"

struct sim_cluster;

struct sim_offer {
    char *id, *agent_id, *role;
    struct rv_resources resources;
};

struct sim_job {
    char *id, *agent_id, *executor_id; /* executor_id NULL: a command task */
    enum rv_task_state state;
    bool over;       /* terminal for good, or nobody will ever tell */
    bool known;      /* the master of this subscription has told of it */
    int64_t last_ms; /* when it was last heard of */
};

struct sim_asked;

struct sim_scheduler {
    struct sim_party party;
    struct sim_cluster *cluster;
    size_t number;
    /* its nature */
    uint32_t capabilities;
    bool checkpoint;
    double failover_timeout_s;
    char *roles[3];
    size_t n_roles;
    enum rv_encoding encoding;
    int64_t think_ms;     /* at most, before it answers an offer */
    unsigned accepts;     /* of 1000 offers */
    unsigned holds;       /* of 1000: keeps without an answer */
    size_t max_tasks;     /* it stops launching after so many */
    bool custom_executor; /* some of its tasks have one */
    /* kept over crashes */
    char *framework_id;
    RV_VEC(struct sim_job *) jobs;
    uint64_t next_task, next_operation, n_messages;
    RV_VEC(struct sim_asked) asked; /* operations */
    /* of one life */
    bool subscribed, removed;
    char stream_id[40];
    struct sim_conn *stream, *calls;
    size_t aim; /* the master that it tries, or has */
    struct rv_recordio records;
    RV_VEC(struct rv_blob *) queue;
    bool calls_busy, resubscribing;
    RV_VEC(struct sim_offer *) offers;
    bool suppressed;
    char last_offer[160]; /* an id that is not valid any more */
    struct rv_arena arena;
    uint64_t offers_seen;
    int64_t last_event_ms;
    bool ending, torn_down; /* tears itself down at the end of the run; has done so */
};

void sim_scheduler_init(struct sim_scheduler *s, struct sim_cluster *c, size_t number);
void sim_scheduler_free(struct sim_scheduler *s);
void sim_scheduler_start(struct sim_scheduler *s);
void sim_scheduler_crash(struct sim_scheduler *s, bool machine);
/* A second SUBSCRIBE while the first goes on. */
void sim_scheduler_duplicate(struct sim_scheduler *s);
size_t sim_scheduler_unfinished(const struct sim_scheduler *s);
/* Kills, asks and shuts down what is left; called again and again while the cluster drains. */
void sim_scheduler_drain(struct sim_scheduler *s);
void sim_scheduler_revive(struct sim_scheduler *s);
/* What was kept while all held what they had is answered. */
void sim_scheduler_let_go(struct sim_scheduler *s);
void sim_scheduler_teardown(struct sim_scheduler *s);

#endif
