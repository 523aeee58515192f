/*
 * The registry's store behind one interface: small records by key, written in atomic batches, in
 * order, durable before the answer (INV-4). Engines: `memory` (forgotten at the end), `sqlite`
 * (embedded, one master: WAL, synchronous=FULL) and `zookeeper` (several masters).
 *
 * The engines that keep something count their records and add up a checksum of each. What is read
 * must agree with that, or it is refused: a store that was damaged, cut short or put back in part
 * is never taken for an empty or an older one (INV-5).
 */
#ifndef RV_QUORUM_REGISTRY_H
#define RV_QUORUM_REGISTRY_H

#include <stdbool.h>

#include "base/crc.h"
#include "base/error.h"
#include "base/str.h"

#define RV_REGISTRY_KEY_MAX 512       /* bytes */
#define RV_REGISTRY_VALUE_MAX 1000000 /* bytes: a znode takes a MiB, with its key and head */

struct rv_registry;

struct rv_registry_change {
    const char *key;     /* "agent/ID", "framework/ID", "weight/ROLE": RV_REGISTRY_KEY_MAX */
    struct rv_str value; /* value.s NULL: the key is removed */
};

/* Called on the loop, or within the call it answers. seq: the number that a write was given. */
typedef void (*rv_registry_done)(void *ctx, uint64_t seq, int result, const struct rv_error *err);
typedef void (*rv_registry_each)(void *ctx, const char *key, struct rv_str value);

struct rv_registry_ops {
    const char *name;
    /* No callback after. What was given may still be written: the loop must be run until it is at
     * rest. */
    void (*close)(struct rv_registry *r);
    /* All records in byte order of keys, then done. -RV_ERR_CORRUPT says what is damaged (INV-5);
     * records may have been shown before. Before the first write. */
    void (*load)(struct rv_registry *r, rv_registry_each each, rv_registry_done done, void *ctx);
    /* Copies the changes. Done with 0 once all are durable; < 0: none is, nor ever will be. */
    void (*write)(struct rv_registry *r, const struct rv_registry_change *changes, size_t n,
                  uint64_t seq, rv_registry_done done, void *ctx);
};

struct rv_registry {
    const struct rv_registry_ops *ops;
    const char *place; /* where it is, for messages; the engine's */
    /* Called once where the engine cannot know any more whether a write was done, or where another
     * master writes: nothing is answered after that. To be set by the owner; may be NULL. */
    void (*on_lost)(void *ctx, const struct rv_error *err);
    void *lost_ctx;
};

/* What engines keep beside the records: how many there are, and the sum of their checksums. */
struct rv_registry_tally {
    uint64_t records, sum;
};

static inline uint32_t rv_registry_checksum(const char *key, struct rv_str value) {
    return rv_crc32c(rv_crc32c(0, key, strlen(key) + 1), value.s, value.n);
}

static inline void rv_registry_count(struct rv_registry_tally *t, const char *key,
                                     struct rv_str value) {
    t->records++;
    t->sum += rv_registry_checksum(key, value);
}

/* Whether what was read is what was written; place is named in the error. */
RV_MUST_USE int rv_registry_agrees(const struct rv_registry_tally *kept,
                                   const struct rv_registry_tally *found, const char *place,
                                   struct rv_error *err);

/* -RV_ERR_LIMIT for a change that no engine takes. */
RV_MUST_USE int rv_registry_check_change(const struct rv_registry_change *c, struct rv_error *err);

/* Owned copies of n changes. */
struct rv_registry_change *rv_registry_changes_copy(const struct rv_registry_change *v, size_t n);
void rv_registry_changes_free(struct rv_registry_change *v, size_t n);

#endif
