/* An election (quorum/election.h) on the loop, with sessions of ZooKeeper's library. */
#ifndef RV_IO_ELECTION_H
#define RV_IO_ELECTION_H

#include "io/zk.h"
#include "quorum/election.h"

/* -RV_ERR_UNSUPPORTED: ZooKeeper cannot be used here. The url is copied. No callback comes from
 * within. After rv_election_free() the loop must run once more. */
RV_MUST_USE int rv_election_begin(uv_loop_t *loop, const struct rv_zk_url *url,
                                  int64_t session_timeout_ms,
                                  const struct rv_election_handler *handler, void *ctx,
                                  struct rv_election **out, struct rv_error *err);

#endif
