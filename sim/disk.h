/*
 * The simulated disks. An agent's journal keeps checkpoints in the order they were written; the
 * master's registry keeps the latest value of each thing. What was answered as written survives
 * every crash; of what was under way a crash keeps as much as chance says, from the front (a torn
 * record is not there: the journal's checksum drops it). What failed is not there.
 *
 * The store holds copies; nothing in it points elsewhere.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "agent/agent.h"
#include "content.h"
#include "master/master.h"
#include "world.h"

/* --- an agent's journal --- */

struct sim_journal_record {
    struct rv_checkpoint c; /* all that it points to is owned by the fields below */
    struct rv_agent_info agent;
    struct rv_framework_info framework;
    struct rv_executor_info executor;
    struct rv_resources resources;
    struct rv_launch launch;
    struct rv_task_info task;
    struct rv_task_status status;
    struct rv_arena strings;
};

struct sim_journal {
    struct sim_world *world;
    struct sim_party *party;
    RV_VEC(struct sim_journal_record *) durable;
    RV_VEC(struct sim_journal_record *) pending; /* in order; the first is under way */
    int64_t full_until_ms;
    void (*on_done)(void *ctx, uint64_t seq, bool ok, const char *message);
    void *ctx;
    bool busy;
};

void sim_journal_init(struct sim_journal *j, struct sim_world *w, struct sim_party *party,
                      void (*on_done)(void *ctx, uint64_t seq, bool ok, const char *message),
                      void *ctx);
void sim_journal_free(struct sim_journal *j);
void sim_journal_write(struct sim_journal *j, const struct rv_checkpoint *c);
void sim_journal_crash(struct sim_journal *j);
void sim_journal_wipe(struct sim_journal *j);
/* Whether the update with this uuid is durable: INV-35. */
bool sim_journal_has_update(const struct sim_journal *j, const uint8_t uuid[16]);
bool sim_journal_has_task(const struct sim_journal *j, const char *framework_id,
                          const char *task_id);

/* --- the registry --- */

struct sim_registry {
    struct sim_world *world;
    struct sim_party *party; /* the master that writes */
    struct sim_content content;
    RV_VEC(struct rv_registry_op *) pending; /* owned copies; the first is under way */
    int64_t stalled_until_ms;
    /* op: as it was applied, or refused */
    void (*on_done)(void *ctx, const struct rv_registry_op *op, bool ok);
    void *ctx;
    bool busy;
};

void sim_registry_init(struct sim_registry *r, struct sim_world *w, struct sim_party *party,
                       void (*on_done)(void *ctx, const struct rv_registry_op *op, bool ok),
                       void *ctx);
void sim_registry_free(struct sim_registry *r);
void sim_registry_put(struct sim_registry *r, const struct rv_registry_op *op);
void sim_registry_crash(struct sim_registry *r);
/* A master from what is there. */
struct rv_master *sim_registry_boot(struct sim_registry *r, const struct rv_master_config *config,
                                    int64_t now_ms, int64_t wall_ns);

#endif
