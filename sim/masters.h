/*
 * A master's shell in the simulation: requests to events, effects to answers, streams and registry
 * writes, as src/daemon/master_daemon.c does. A crash takes the core along; a new one, of a new id,
 * starts from the registry. A master alone has the simulated registry (disk.h) and leads from its
 * start; several have the real election and the real registry in ZooKeeper, over simulated sessions
 * (masters_election.c), as src/daemon/master_election.c and master_lead.c.
 */
#ifndef SIM_MASTERS_H
#define SIM_MASTERS_H

#include "disk.h"
#include "elector.h"
#include "master/records.h"
#include "network.h"
#include "quorum/registry.h"

#define SIM_MASTERS_MAX 3
#define SIM_MASTER_NODE 15 /* of the second, but one less: the first one is 0 */
#define SIM_MASTER_PORT 5050

struct sim_cluster;

struct sim_master {
    struct sim_server server; /* its party too */
    struct sim_cluster *cluster;
    struct rv_master_config config;
    struct rv_master *core; /* NULL while it is down */
    bool dying;             /* at a crash point */
    struct rv_effects effects;
    struct sim_registry registry;    /* of a master alone */
    struct rv_map requests, streams; /* 8-byte number -> sim_conn */
    RV_VEC(uint64_t) closed;         /* streams cut off within a step */
    struct rv_arena arena, scratch;
    struct rv_buf encoded;
    int64_t tick_at_ms;
    uint64_t steps;
    char id[37];
    size_t number;
    struct rv_blob *info; /* MasterInfo of this id */
    /* Of one of several: */
    struct sim_elector elector;
    struct rv_registry *shared; /* NULL: it does not lead */
    struct rv_registry_loaded *loading;
    int leader;             /* who leads, as far as it knows; -1: nobody */
    struct rv_map asked;    /* 8-byte seq -> rv_registry_op, not answered yet */
    uint64_t batch_request; /* of the calls in one body that are handled now */
    int batch_status;
};

void sim_master_init(struct sim_master *m, struct sim_cluster *c, size_t number);
void sim_master_free(struct sim_master *m);
void sim_master_crash(struct sim_master *m, bool machine);
void sim_master_start(struct sim_master *m);
/* In good order: who leads hands over. */
void sim_master_stop(struct sim_master *m);
/* A crash as soon as what is done at this moment is done, and a start after it. */
void sim_master_die(struct sim_master *m);
/* Whether it leads at this moment: to be asked before anything that only a leader does (INV-1). */
bool sim_master_leads(const struct sim_master *m);
/* An operator's change, as one step. */
void sim_master_operate(struct sim_master *m, const struct rv_operator_call *call);

/* --- between masters.c and masters_election.c --- */
void sim_master_new_id(struct sim_master *m);
/* A core from what the registry holds. */
void sim_master_lead(struct sim_master *m, const struct rv_registry_snapshot *registry);
/* The core goes, with all that hangs on it; requests that wait are refused. */
void sim_master_drop(struct sim_master *m);
void sim_master_step(struct sim_master *m, struct rv_master_event *event);
void sim_master_election_start(struct sim_master *m);
/* The process has ended: nobody is told. */
void sim_master_election_crash(struct sim_master *m);
void sim_master_election_stop(struct sim_master *m);
void sim_master_write(struct sim_master *m, const struct rv_registry_op *op);

#endif
