/*
 * URIs of a task in a group: the agent's fetcher (src/fetcher), run by the executor, puts them into
 * the task's own folder before it starts. For a command task the agent did it already.
 *
 * Environment: REEVE_FETCHER (its path), REEVE_FETCHER_MAX_SIZE (bytes),
 * REEVE_FETCHER_STALL_TIMEOUT.
 */
#ifndef RV_EXECUTOR_FETCH_H
#define RV_EXECUTOR_FETCH_H

#include <sys/types.h>

#include "base/error.h"
#include "reeve/v1/v1.pb-c.h"

/* Starts it for the command's URIs. Its exit status is 0 if all is there, else rv_fetch_reason of
 * `output` says why not; the caller closes that. -RV_ERR_UNSUPPORTED: the agent named no fetcher.
 */
RV_MUST_USE int rv_executor_fetch(const Reeve__V1__CommandInfo *command, const char *directory,
                                  pid_t *pid, int *output, struct rv_error *err);

#endif
