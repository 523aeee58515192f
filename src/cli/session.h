/*
 * A person (or a pipe) at the input and output of a container: what `exec` and `attach` share.
 * Blocks until it is over; one thread, one poll(2).
 */
#ifndef RV_CLI_SESSION_H
#define RV_CLI_SESSION_H

#include "cli/cluster.h"

struct rv_cli_session {
    const struct rv_cli *cli;
    struct rv_cli_address agent;
    Reeve__V1__ContainerID *container_id;
    Reeve__V1__CommandInfo *command; /* launched as a session; NULL: the container is there */
    bool input;                      /* ours goes to the container; else it has none */
    bool tty;                        /* a terminal there, raw mode here */
};

/* The container in which a task runs, on the agent that it runs on. */
RV_MUST_USE int rv_cli_session_find(const struct rv_cli_cluster *c, const char *task,
                                    struct rv_cli_session *out, struct rv_error *err);
/* The exit status: the command's, 128 and the signal's number, or RV_CLI_ERROR. */
int rv_cli_session_run(const struct rv_cli_session *session);

#endif
