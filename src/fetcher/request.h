/* A request to the fetcher, as whoever starts it makes it: the agent, or the executor of a group.
 */
#ifndef RV_FETCHER_REQUEST_H
#define RV_FETCHER_REQUEST_H

#include "base/error.h"
#include "reeve/v1/fetch.pb-c.h"
#include "reeve/v1/v1.pb-c.h"

/* An unnamed file in memory, at its start, to become the fetcher's standard input. The URIs are the
 * command's; the rest is as `base` has it. The caller closes. */
RV_MUST_USE int rv_fetch_request_open(const Reeve__V1__CommandInfo *command,
                                      const Reeve__V1__Fetch__Request *base, int *fd,
                                      struct rv_error *err);
/* The first line of an unnamed file, which the fetcher wrote as its standard output; never empty.
 * The caller frees. */
char *rv_fetch_reason(int fd);
/* An empty one for it. */
RV_MUST_USE int rv_fetch_output_open(int *fd, struct rv_error *err);

#endif
