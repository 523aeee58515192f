/*
 * What a registry holds, as values, in the order it came: the content of the simulated registry,
 * and of the one that the master's unit tests have. Owns all that it holds.
 */
#ifndef SIM_CONTENT_H
#define SIM_CONTENT_H

#include "base/map.h"
#include "master/master.h"

struct sim_content {
    struct rv_map agents;                   /* id -> rv_agent_info */
    struct rv_map unreachable, gone, ended; /* id -> int64_t: since when, wall clock */
    struct rv_map deactivated;              /* id -> rv_deactivation */
    struct rv_map frameworks;               /* id -> rv_registry_framework */
    struct rv_map weights;                  /* role -> double */
    struct rv_map machines;                 /* key -> rv_machine */
};

/* The change that an operation of the registry makes. */
void sim_content_apply(struct sim_content *c, const struct rv_registry_op *op);
/* What a new leader is told; borrows from the content and the arena. */
struct rv_registry_snapshot sim_content_snapshot(const struct sim_content *c,
                                                 struct rv_arena *arena);
void sim_content_free(struct sim_content *c);

/* A copy of an operation that outlives the step that made it. */
struct rv_registry_op *sim_op_new(const struct rv_registry_op *op);
void sim_op_free(struct rv_registry_op *op);

#endif
