/*
 * Runs checks: a command in the task's sandbox, an HTTP GET or a TCP connection to the loopback
 * address. When, and what a result means, is the core's business; so is the timeout.
 */
#ifndef RV_EXECUTOR_CHECKS_H
#define RV_EXECUTOR_CHECKS_H

#include <poll.h>

#include "base/vec.h"
#include "executor/executor.h"

struct rv_check_run;
struct rv_checks {
    /* ok: value is the exit code, the HTTP status, or 1 or 0 for a port; else message says why
     * there is no result. Called from rv_checks_start too. */
    void (*on_result)(void *ctx, unsigned task, enum rv_executor_check check, bool ok, int value,
                      const char *message);
    void *ctx;
    RV_VEC(struct rv_check_run *) runs;
};

/* env and directory: the check's, for a command; directory may be NULL. */
void rv_checks_start(struct rv_checks *c, unsigned task, enum rv_executor_check check,
                     const struct rv_executor_check_spec *spec, char *const *env,
                     const char *directory);
void rv_checks_cancel(struct rv_checks *c, unsigned task, enum rv_executor_check check);
void rv_checks_free(struct rv_checks *c); /* cancels all */

/* A child ended; false if it was no check's. */
bool rv_checks_reaped(struct rv_checks *c, pid_t pid, int wait_status);
/* The processes of checks that run; returns how many, at most size are written. */
size_t rv_checks_pids(const struct rv_checks *c, pid_t *out, size_t size);

struct rv_pollfds {
    RV_VEC(struct pollfd) v;
};
/* Adds what is waited for; after poll, gets the same array. */
void rv_checks_poll(const struct rv_checks *c, struct rv_pollfds *fds);
void rv_checks_io(struct rv_checks *c, const struct rv_pollfds *fds);

#endif
