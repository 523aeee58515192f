/*
 * Which records of the agent's checkpoints are still needed, so that the journal does not grow
 * without bound. Pure: what the file system and the core know is asked for.
 */
#ifndef RV_STORE_CHECKPOINT_COMPACT_H
#define RV_STORE_CHECKPOINT_COMPACT_H

#include "agent/agent.h"
#include "base/vec.h"

/* What of a record decides; strings are borrowed, NULL: none. */
struct rv_checkpoint_head {
    enum rv_checkpoint_kind kind;
    const char *agent_id; /* of AGENT */
    const char *framework_id, *executor_id, *container_id;
    const char *task_id;   /* of TASK, UPDATE and ACKNOWLEDGED */
    const char *directory; /* of EXECUTOR */
    bool terminal;         /* of UPDATE */
    bool waits;            /* of OPERATION: its end is to be acknowledged */
    bool total;            /* of ANEW: it says what the next agent has */
    uint8_t uuid[16];      /* of UPDATE, ACKNOWLEDGED, OPERATION and OPERATION_DONE */
};

struct rv_checkpoint_known {
    /* The agent's core has records of this framework: one of its executors may come to be written
     * yet. */
    bool (*framework)(void *ctx, const char *id);
    /* The sandbox is there yet: it must not be forgotten before it is removed. */
    bool (*directory)(void *ctx, const char *path);
    void *ctx;
};

struct rv_checkpoint_order {
    RV_VEC(size_t) kept;
};

/* The head of a decoded record; borrows from it. */
void rv_checkpoint_head(const struct rv_checkpoint *c, struct rv_checkpoint_head *out);
/* Appends to `out` the indexes of the records that take the place of all, in their new order; one
 * of a framework may come twice. Replaying them gives what replaying all gave: the latest AGENT,
 * and of what is that agent's: of a container that is done its EXECUTOR and EXECUTOR_DONE while its
 * sandbox is there; of others all, but tasks whose terminal update is acknowledged (the last one
 * given to the executor stays: it tells that it got some); each framework before what is its own;
 * of operations those that are not acknowledged, and the last, which has what the agent has after
 * it. Records that recovery would pass over go. */
void rv_checkpoint_compact(const struct rv_checkpoint_head *heads, size_t n,
                           const struct rv_checkpoint_known *known,
                           struct rv_checkpoint_order *out);
void rv_checkpoint_order_free(struct rv_checkpoint_order *o);

#endif
