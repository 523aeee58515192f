/*
 * The simulated disk of an agent's checkpoints: the bytes that the real journal has
 * (wire/journal_format.h), written by the rules of io/journal.c: a batch is one frame, zeros lie in
 * front of it, what failed is erased before anything else is written.
 *
 * A crash leaves any of the sectors of the batch under way, and of one that failed and could not be
 * erased. What was answered as durable must be read again, in order; of the rest at most that one
 * batch. The records that are kept beside the file are the auditor's knowledge, not the agent's.
 */
#ifndef SIM_JOURNAL_H
#define SIM_JOURNAL_H

#include "agent/agent.h"
#include "store/checkpoint_compact.h"
#include "world.h"

struct sim_record {
    uint64_t seq;    /* of this life of the agent */
    uint64_t number; /* of this write in the whole run */
    enum rv_checkpoint_kind kind;
    struct rv_blob *bytes;
    char *framework_id, *task_id;
    uint8_t uuid[16];
};

struct sim_journal {
    struct sim_world *world;
    struct sim_party *party;
    struct rv_buf file; /* on the disk; file.n is its size */
    size_t end, dirty;  /* as in io/journal.c */
    bool unsure;        /* what is dirty may be the whole frame: it is tried again */
    RV_VEC(struct sim_record *) durable;
    RV_VEC(struct sim_record *) writing, waiting;
    struct rv_buf frame; /* of what is being written */
    int64_t full_until_ms;
    void (*on_done)(void *ctx, uint64_t seq, bool ok, const char *message);
    void (*on_crash)(void *ctx);
    void *ctx;
};

void sim_journal_init(struct sim_journal *j, struct sim_world *w, struct sim_party *party,
                      void (*on_done)(void *ctx, uint64_t seq, bool ok, const char *message),
                      void (*on_crash)(void *ctx), void *ctx);
void sim_journal_free(struct sim_journal *j);
/* number: of the write, for crash points. */
void sim_journal_write(struct sim_journal *j, const struct rv_checkpoint *c, uint64_t number);
void sim_journal_crash(struct sim_journal *j);
void sim_journal_wipe(struct sim_journal *j);

/* What a new agent reads; into the arena, to be released. */
struct sim_recovery {
    struct rv_arena arena;
    RV_VEC(struct rv_checkpoint) records;
};
/* Now and then a bit has turned over: then the file must be refused, and is mended by hand for the
 * next start. */
bool sim_journal_is_damaged(struct sim_journal *j);
void sim_journal_load(struct sim_journal *j, struct sim_recovery *out);
void sim_recovery_free(struct sim_recovery *r);
/* Leaves out of the file what is not needed any more. */
void sim_journal_compact(struct sim_journal *j, const struct sim_recovery *loaded,
                         const struct rv_checkpoint_known *known);

/* Whether the update with this uuid is durable: INV-35. */
bool sim_journal_has_update(const struct sim_journal *j, const uint8_t uuid[16]);
/* Whether this operation is: INV-42. */
bool sim_journal_has_operation(const struct sim_journal *j, const uint8_t uuid[16]);
/* The latest record of what the agent has, which may still be under way; NULL: there is none. */
const struct rv_blob *sim_journal_total(const struct sim_journal *j);
bool sim_journal_has_task(const struct sim_journal *j, const char *framework_id,
                          const char *task_id);

#endif
