/*
 * What the registry holds, as records: one key a thing ("agent/ID", "framework/ID", "weight/ROLE",
 * ...: at most 512 bytes), values in protobuf with their checksum. Pure; the engines that keep the
 * records are in quorum/registry.h.
 */
#ifndef RV_STORE_REGISTRY_CODEC_H
#define RV_STORE_REGISTRY_CODEC_H

#include "base/error.h"
#include "master/master.h"

/* A record; value.s NULL: it is removed. Lives as long as the arena it was made in. */
typedef void (*rv_registry_record)(void *ctx, const char *key, struct rv_str value);

/* One change of the core as changes of records. Calls back once for each. */
void rv_registry_op_encode(const struct rv_registry_op *op, struct rv_arena *scratch,
                           rv_registry_record each, void *ctx);

/* Which cluster it is of, and the version of the master that led last. NULL: not written yet. */
struct rv_registry_cluster {
    const char *id, *version;
};
void rv_registry_cluster_encode(const struct rv_registry_cluster *cluster, struct rv_arena *scratch,
                                rv_registry_record each, void *ctx);

/* A snapshot that owns what it points to: made, fed with every record, finished. */
struct rv_registry_loaded;
struct rv_registry_loaded *rv_registry_loaded_new(void);
/* `loaded` is a struct rv_registry_loaded: this is a callback for who reads records. */
void rv_registry_loaded_add(void *loaded, const char *key, struct rv_str value);
/* The first error of what was added, which names the record (INV-5), or the snapshot. */
RV_MUST_USE int rv_registry_loaded_finish(struct rv_registry_loaded *l, struct rv_error *err);
const struct rv_registry_snapshot *rv_registry_snapshot(const struct rv_registry_loaded *l);
const struct rv_registry_cluster *rv_registry_cluster(const struct rv_registry_loaded *l);
struct rv_registry_loaded *rv_registry_snapshot_free(struct rv_registry_loaded *l);

#endif
