/*
 * Runs the fetcher (src/fetcher) for one container: a process that puts what the URIs of a command
 * name into the sandbox.
 */
#ifndef RV_DAEMON_FETCH_H
#define RV_DAEMON_FETCH_H

#include <uv.h>

#include "base/error.h"
#include "reeve/v1/v1.pb-c.h"

struct rv_fetch_config {
    const char *program;
    const Reeve__V1__CommandInfo *command; /* its URIs; there is at least one */
    const char *directory;                 /* the sandbox, absolute; made if it is not there */
    const char *user;                      /* who fetches; NULL: the agent's own */
    const char *cache_dir;
    int64_t cache_size, max_size; /* bytes */
    int64_t stall_timeout_ns;
};

struct rv_fetch;

/* Starts it. `done` follows once, on the loop, never from within this call: why is NULL if all is
 * there, else a sentence. Afterwards the handle is gone. -RV_ERR_IO if it cannot be started. */
RV_MUST_USE int rv_fetch_start(uv_loop_t *loop, const struct rv_fetch_config *config,
                               void (*done)(void *ctx, const char *why), void *ctx,
                               struct rv_fetch **out, struct rv_error *err);
/* Bytes of all files that the cache holds; 0 if there is none yet. Looks at each. */
uint64_t rv_fetch_cache_used(const char *cache_dir);
/* Kills it; `done` follows. */
void rv_fetch_kill(struct rv_fetch *f);
/* Kills it; `done` is not called. NULL is fine. */
void rv_fetch_cancel(struct rv_fetch *f);

#endif
