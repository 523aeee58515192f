/*
 * An agent's shell in the simulation, as src/daemon/agent_daemon.c and agent_link.c: inputs to the
 * core, effects to the journal, containers, executors' streams and the link to the master. A crash
 * takes the core and the link along; the journal and, with checkpointing, the containers stay.
 */
#ifndef SIM_AGENTS_H
#define SIM_AGENTS_H

#include "agent/records.h"
#include "containers.h"
#include "elector.h"
#include "journal.h"
#include "network.h"

struct sim_cluster;

struct sim_agent {
    struct sim_server server;
    struct sim_cluster *cluster;
    struct rv_agent_config config;
    struct rv_agent_info info;
    struct rv_agent *core; /* NULL while it is down */
    struct rv_agent_effects effects;
    struct sim_journal journal;
    RV_VEC(struct sim_container *) containers;
    RV_VEC(struct rv_agent_sandbox) sandboxes; /* that are on the disk; paths are owned */
    struct rv_map volumes; /* folders that are on the disk -> uuid of the CREATE; owned */
    struct rv_map requests, streams;
    struct rv_arena arena, scratch;
    struct rv_buf encoded;
    int64_t tick_at_ms;
    uint64_t steps;
    char boot_id[37];
    bool exiting, dying; /* dying: at a crash point */
    int exit_status;
    /* the link */
    struct sim_elector elector; /* looks who leads, where several masters are */
    int leader, told;           /* the master it talks to, and whom the election names; -1: none */
    struct sim_conn *stream, *post;
    bool posting;
    char stream_id[40]; /* what its calls say that they belong to; "": there is none */
    uint64_t posts;
    struct rv_recordio records;
    struct sim_conn *late; /* the stream of a master that was given up, and is heard on */
    struct rv_recordio late_records;
    RV_VEC(struct rv_blob *) queue;
};

void sim_agent_init(struct sim_agent *a, struct sim_cluster *c, size_t number);
void sim_agent_free(struct sim_agent *a);
void sim_agent_start(struct sim_agent *a);
void sim_agent_crash(struct sim_agent *a, bool machine);
/* Who leads from now on, as far as the agent is told; -1: nobody is known. */
void sim_agent_detected(struct sim_agent *a, int leader);
void sim_sandbox_make(struct sim_agent *a, const char *path);
void sim_agent_input(struct sim_agent *a, struct rv_agent_input *in);

#endif
