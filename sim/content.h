/*
 * What a registry holds: its records, as the real one has them. For the simulated registry, and for
 * the one that the master's unit tests have. Owns all that it holds.
 */
#ifndef SIM_CONTENT_H
#define SIM_CONTENT_H

#include "base/map.h"
#include "store/registry_codec.h"

struct sim_content {
    struct rv_map records; /* key -> rv_blob */
};

/* The change that an operation of the registry makes. */
void sim_content_apply(struct sim_content *c, const struct rv_registry_op *op);
/* What a new leader is told; freed with rv_registry_snapshot_free. It can always be read. */
struct rv_registry_loaded *sim_content_load(const struct sim_content *c);
void sim_content_free(struct sim_content *c);

/* A copy of an operation that outlives the step that made it. */
struct rv_registry_op *sim_op_new(const struct rv_registry_op *op);
void sim_op_free(struct rv_registry_op *op);

#endif
