/* What a party needs of the shell of an election (quorum/election.h): simulated time and sessions.
 * For masters, which stand, and agents, which look. */
#ifndef SIM_ELECTOR_H
#define SIM_ELECTOR_H

#include "quorum/election.h"
#include "zk_session.h"

#define SIM_ZK_PATH "/reeve"

struct sim_elector {
    struct sim_cluster *cluster;
    struct sim_party *party;
    struct rv_election *election; /* NULL while the process is down */
    uint64_t wake;                /* the last time that it was to be woken */
};

void sim_elector_start(struct sim_elector *e, struct sim_cluster *c, struct sim_party *party,
                       const struct rv_election_handler *handler, void *ctx);
/* The process is to end: a candidate withdraws, and its session ends with it. */
void sim_elector_stop(struct sim_elector *e);
/* The process has ended: nobody is told. */
void sim_elector_crash(struct sim_elector *e);
/* Which master a candidate's data names; -1: none. */
int sim_elector_named(struct sim_cluster *c, struct rv_str info);

#endif
