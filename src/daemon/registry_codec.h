/* What the registry holds, as records of its store: one key a thing, values in protobuf. */
#ifndef RV_DAEMON_REGISTRY_CODEC_H
#define RV_DAEMON_REGISTRY_CODEC_H

#include "io/registry.h"
#include "master/master.h"

/* One change of the core as changes of the store. Calls back once for each. */
void rv_registry_op_encode(const struct rv_registry_op *op, struct rv_arena *scratch,
                           void (*each)(void *ctx, const struct rv_registry_change *change),
                           void *ctx);

/* A snapshot that owns what it points to. */
struct rv_registry_loaded;
RV_MUST_USE int rv_registry_snapshot_load(struct rv_registry *store,
                                          struct rv_registry_loaded **out, struct rv_error *err);
const struct rv_registry_snapshot *rv_registry_snapshot(const struct rv_registry_loaded *l);
struct rv_registry_loaded *rv_registry_snapshot_free(struct rv_registry_loaded *l);

#endif
