/*
 * The master's shell in the simulation: requests to events, effects to answers, streams and
 * registry writes, as src/daemon/master_daemon.c does. A crash takes the core along; a new one, of
 * a new id, starts from the registry.
 */
#ifndef SIM_MASTERS_H
#define SIM_MASTERS_H

#include "disk.h"
#include "master/records.h"
#include "network.h"

struct sim_cluster;

struct sim_master {
    struct sim_server server; /* its party too */
    struct sim_cluster *cluster;
    struct rv_master_config config;
    struct rv_master *core; /* NULL while it is down */
    bool dying;             /* at a crash point */
    struct rv_effects effects;
    struct sim_registry registry;
    struct rv_map requests, streams; /* 8-byte number -> sim_conn */
    RV_VEC(uint64_t) closed;         /* streams cut off within a step */
    struct rv_arena arena, scratch;
    struct rv_buf encoded;
    int64_t tick_at_ms;
    uint64_t steps;
    char id[37];
    uint64_t batch_request; /* of the calls in one body that are handled now */
    int batch_status;
};

void sim_master_init(struct sim_master *m, struct sim_cluster *c);
void sim_master_free(struct sim_master *m);
void sim_master_crash(struct sim_master *m, bool machine);
void sim_master_start(struct sim_master *m);
/* An operator's change, as one step. */
void sim_master_operate(struct sim_master *m, const struct rv_operator_call *call);

#endif
