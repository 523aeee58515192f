/*
 * The simulated registry of the master: the latest value of each thing. What was answered as
 * written survives every crash; of what was under way a crash keeps as much as chance says, from
 * the front. What failed is not there.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "content.h"
#include "master/master.h"
#include "world.h"

struct sim_registry {
    struct sim_world *world;
    struct sim_party *party; /* the master that writes */
    struct sim_content content;
    RV_VEC(struct rv_registry_op *) pending; /* owned copies; the first is under way */
    RV_VEC(uint64_t) numbers;                /* of those writes, for crash points */
    int64_t stalled_until_ms;
    /* op: as it was applied, or refused */
    void (*on_done)(void *ctx, const struct rv_registry_op *op, bool ok);
    void (*on_crash)(void *ctx);
    void *ctx;
    bool busy;
};

void sim_registry_init(struct sim_registry *r, struct sim_world *w, struct sim_party *party,
                       void (*on_done)(void *ctx, const struct rv_registry_op *op, bool ok),
                       void (*on_crash)(void *ctx), void *ctx);
void sim_registry_free(struct sim_registry *r);
void sim_registry_put(struct sim_registry *r, const struct rv_registry_op *op, uint64_t number);
void sim_registry_crash(struct sim_registry *r);

#endif
