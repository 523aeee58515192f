/*
 * A file of a sandbox as it grows: read piece by piece from the agent (READ_FILE), on a loop. The
 * agent rotates such a file by copying it to NAME.1 and cutting it: then the rest is read from
 * there. What was rotated twice between two looks is missed.
 */
#ifndef RV_CLI_TAIL_H
#define RV_CLI_TAIL_H

#include "base/str.h"
#include "io/http_client.h"

struct rv_cli_tail;

struct rv_cli_tail_config {
    uv_loop_t *loop;
    struct rv_http_client *agent; /* borrowed; must outlive the tail */
    const char *folder, *name;    /* copied: the sandbox as the agent calls it, "stdout" */
    uint64_t offset;              /* to begin at */
    void (*on_data)(void *ctx, struct rv_str bytes);
    /* Once, after rv_cli_tail_finish: all was read, or could not be (err). */
    void (*on_end)(void *ctx, const struct rv_error *err);
    void *ctx;
};

struct rv_cli_tail *rv_cli_tail_new(const struct rv_cli_tail_config *config);
/* The file will not grow any more: reads what is there, then on_end. */
void rv_cli_tail_finish(struct rv_cli_tail *t);
/* Not from its own callbacks. The loop must run once more. */
struct rv_cli_tail *rv_cli_tail_free(struct rv_cli_tail *t);

/* "/frameworks/F/executors/E/runs/latest": the newest sandbox of an executor, whatever its real
 * path. The caller frees. */
char *rv_cli_sandbox(const char *framework_id, const char *executor_id);

#endif
