/*
 * Runs checks: a command, an HTTP GET or a TCP connection to the loopback address. Where a command
 * runs depends on the task: of a task that is the executor's child beside it, of one in a nested
 * container as a session in there (session.h). So does all that goes to a network which only the
 * task is in. When, and what a result means, is the core's business; so is the timeout.
 */
#ifndef RV_EXECUTOR_CHECKS_H
#define RV_EXECUTOR_CHECKS_H

#include "executor/call.h"
#include "executor/executor.h"
#include "executor/pollfds.h"

enum rv_check_outcome {
    RV_CHECK_RESULT,  /* value is the exit code, the HTTP status, or 1 or 0 for a port */
    RV_CHECK_FAILED,  /* there is no result; message says why */
    RV_CHECK_UNKNOWN, /* it could not be made, for no fault of the task's */
};

struct rv_check_run;
struct rv_checks {
    /* Called from rv_checks_start too. */
    void (*on_result)(void *ctx, unsigned task, enum rv_executor_check check,
                      enum rv_check_outcome outcome, int value, const char *message);
    void *ctx;
    const struct rv_endpoint *agent; /* of sessions */
    const char *helper; /* a program that makes HTTP requests of all kinds; NULL: there is none */
    unsigned sessions;  /* so far: each has a name of its own */
    RV_VEC(struct rv_check_run *) runs;
};

/* env: of a command that runs beside the task; container: of the task, where it is nested, else
 * NULL, and whether that has a network that is not ours. All is borrowed for the call. */
void rv_checks_start(struct rv_checks *c, unsigned task, enum rv_executor_check check,
                     const struct rv_executor_check_spec *spec, char *const *env,
                     const Reeve__V1__ContainerID *container, bool own_network);
void rv_checks_cancel(struct rv_checks *c, unsigned task, enum rv_executor_check check);
void rv_checks_free(struct rv_checks *c); /* cancels all */

/* A child ended; false if it was no check's. */
bool rv_checks_reaped(struct rv_checks *c, pid_t pid, int wait_status);
/* The processes of checks that run; returns how many, at most size are written. */
size_t rv_checks_pids(const struct rv_checks *c, pid_t *out, size_t size);

void rv_checks_poll(const struct rv_checks *c, struct rv_pollfds *fds);
void rv_checks_io(struct rv_checks *c, const struct rv_pollfds *fds);

#endif
