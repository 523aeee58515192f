/*
 * A cluster: one master, or three and a ZooKeeper, agents with their containers, schedulers, the
 * network between them, and the auditor that watches. Owned by main.c for one run.
 */
#ifndef SIM_CLUSTER_H
#define SIM_CLUSTER_H

#include "agents.h"
#include "auditor.h"
#include "containers.h"
#include "disk.h"
#include "masters.h"
#include "network.h"
#include "operators.h"
#include "schedulers.h"
#include "world.h"

#define SIM_AGENTS_MAX 5
#define SIM_SCHEDULERS_MAX 4

struct sim_cluster {
    struct sim_world world;
    struct sim_network network;
    struct sim_auditor auditor;
    bool has_zk; /* several masters */
    struct sim_ensemble zk;
    struct sim_zk_pool zk_pool;
    int64_t session_ms;
    struct sim_master masters[SIM_MASTERS_MAX];
    size_t n_masters;
    struct sim_agent agents[SIM_AGENTS_MAX];
    size_t n_agents;
    struct sim_scheduler schedulers[SIM_SCHEDULERS_MAX];
    size_t n_schedulers;
    unsigned check_every; /* steps between two checks of a core by itself */
    bool draining;        /* no new tasks; those that run are ended */
    bool holding;         /* schedulers keep all offers, and quotas stay */
};

/* Who leads, with a core; NULL: nobody does. */
struct sim_master *sim_leader(struct sim_cluster *c);

#endif
