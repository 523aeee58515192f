/*
 * The registry's store behind one interface: small records by key, written in atomic batches, in
 * order, durable before the answer (INV-4). Engines: `memory` (forgotten at the end) and `sqlite`
 * (embedded, one master: WAL, synchronous=FULL); `zookeeper` follows.
 */
#ifndef RV_IO_REGISTRY_H
#define RV_IO_REGISTRY_H

#include <stdbool.h>
#include <uv.h>

#include "base/error.h"
#include "base/str.h"

struct rv_registry;

struct rv_registry_change {
    const char *key;     /* "agent/ID", "framework/ID", "weight/ROLE": at most 512 bytes */
    struct rv_str value; /* value.s NULL: the key is removed */
};

/* Called on the loop once the batch is durable, or failed as a whole (result < 0). */
typedef void (*rv_registry_done)(void *ctx, int result, const struct rv_error *err);
typedef void (*rv_registry_each)(void *ctx, const char *key, struct rv_str value);

struct rv_registry_ops {
    const char *name;
    /* where: the engine's place (a file for sqlite, ignored by memory). */
    int (*open)(uv_loop_t *loop, const char *where, struct rv_registry **out, struct rv_error *err);
    /* No callback after. What was given is still written: the loop must be run until it is at
     * rest. */
    void (*close)(struct rv_registry *r);
    /* All records in byte order of keys. -RV_ERR_CORRUPT names the record (INV-5). */
    int (*load)(struct rv_registry *r, rv_registry_each each, void *ctx, struct rv_error *err);
    /* Copies the changes. */
    void (*write)(struct rv_registry *r, const struct rv_registry_change *changes, size_t n,
                  rv_registry_done done, void *ctx);
};

struct rv_registry {
    const struct rv_registry_ops *ops;
};

extern const struct rv_registry_ops rv_registry_memory, rv_registry_sqlite;

#endif
