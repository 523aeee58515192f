/* The registry's engines of one master (quorum/registry.h): in memory, forgotten at the end, and in
 * a file of SQLite's (WAL, synchronous=FULL). */
#ifndef RV_IO_REGISTRY_H
#define RV_IO_REGISTRY_H

#include <uv.h>

#include "quorum/registry.h"

struct rv_registry *rv_registry_memory_new(void);

/* A file. read_only: beside the master that owns it, for load alone. An error names the file. */
RV_MUST_USE int rv_registry_sqlite_open(uv_loop_t *loop, const char *path, bool read_only,
                                        struct rv_registry **out, struct rv_error *err);

#endif
