/* Checkpoints of the agent's core as records of its journal: one protobuf message each
 * (checkpoint.proto). */
#ifndef RV_STORE_CHECKPOINT_CODEC_H
#define RV_STORE_CHECKPOINT_CODEC_H

#include "agent/agent.h"
#include "base/error.h"

/* Appends the record. */
void rv_checkpoint_encode(const struct rv_checkpoint *c, struct rv_arena *scratch,
                          struct rv_buf *out);
/* Into the arena; blobs and resources are released by rv_checkpoint_release. */
RV_MUST_USE int rv_checkpoint_decode(struct rv_str record, struct rv_arena *arena,
                                     struct rv_checkpoint *out, struct rv_error *err);
void rv_checkpoint_release(struct rv_checkpoint *c);

#endif
