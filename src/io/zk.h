/*
 * A session with ZooKeeper as quorum/session.h has it, on the loop: the single-threaded client
 * library (libzookeeper_st), loaded when it is first needed, so that who has no ZooKeeper needs
 * nothing of it. No thread and no call that waits, but for the close of a session that is
 * connected. Names of servers are resolved by us, anew while there is no connection; the library is
 * given addresses.
 */
#ifndef RV_IO_ZK_H
#define RV_IO_ZK_H

#include <uv.h>

#include "io/zk_url.h"
#include "quorum/session.h"

/* -RV_ERR_UNSUPPORTED: the library is not there. The url is copied. The callback does not come from
 * within. The loop must run once more after the session was freed. */
RV_MUST_USE int rv_zk_new(uv_loop_t *loop, const struct rv_zk_url *url, int64_t timeout_ms,
                          rv_zk_on_state on_state, void *ctx, struct rv_zk **out,
                          struct rv_error *err);

#endif
