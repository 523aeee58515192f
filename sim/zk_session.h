/*
 * A party's session with the simulated ZooKeeper, as quorum/session.h has it: what io/zk.h and the
 * client library do. It tries one server after another, pings, gives a connection up that is
 * silent, and answers what was under way then by RV_ZK_LOST, but asks again what only reads.
 *
 * All of its memory lives as long as the pool that it is from.
 */
#ifndef SIM_ZK_SESSION_H
#define SIM_ZK_SESSION_H

#include "ensemble.h"

struct sim_zk_session;
struct sim_zk_pool {
    RV_VEC(struct sim_zk_session *) list;
};

struct rv_zk *sim_zk_begin(struct sim_zk_pool *pool, struct sim_ensemble *e,
                           struct sim_party *party, int64_t timeout_ms, rv_zk_on_state on_state,
                           void *ctx);
/* Its process has ended: freeing it tells ZooKeeper nothing. NULL is fine. */
void sim_zk_abandon(struct rv_zk *zk);
/* All must have been freed. */
void sim_zk_pool_free(struct sim_zk_pool *pool);

#endif
