/*
 * Starts a process without isolation below an init of its own, which keeps how it ended in the
 * container's record, where the next agent finds it, and makes its terminal. Blocks until the
 * command runs, some 2 ms.
 */
#ifndef RV_CONTAINERIZER_KEEPER_H
#define RV_CONTAINERIZER_KEEPER_H

#include "containerizer/containerizer.h"
#include "containerizer/sandbox.h"

struct rv_keeper {
    int image; /* of init: rv_launcher_seal */
    const struct rv_container_config *config;
    const struct rv_sandbox_user *user;
    int fds[3]; /* without a terminal: standard input, output, error */
    int status; /* of rv_container_state_open */
    /* Called when init is there and waits: writes down whom to look for. */
    int (*record)(void *ctx, pid_t pid, struct rv_error *err);
    void *ctx;
};

/* All outputs are the caller's. On failure they are untouched; if `record` was called, the process
 * was killed, and what it left is for the caller. */
RV_MUST_USE int rv_keeper_start(const struct rv_keeper *keeper, pid_t *pid, int *pidfd,
                                struct rv_terminal *terminal, struct rv_error *err);

#endif
