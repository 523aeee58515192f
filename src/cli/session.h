/*
 * A person (or a pipe) at the input and output of a container: what `exec` and `attach` share.
 * Blocks until it is over; one thread, one poll(2).
 */
#ifndef RV_CLI_SESSION_H
#define RV_CLI_SESSION_H

#include "cli/cluster.h"

struct rv_cli_session {
    struct rv_cli *cli;
    struct rv_cli_address agent;
    Reeve__V1__ContainerID *container_id;
    Reeve__V1__CommandInfo *command; /* launched as a session; NULL: the container is there */
    bool input;                      /* ours goes to the container; else it has none */
    bool tty;                        /* a terminal there, raw mode here */
};

/* What both verbs have among their options. */
struct rv_cli_session_options {
    bool input, tty;
};

/* A verb of which the first operand is a task: finds its container and the agent, lets `prepare`
 * say which one below it is meant (the value of its id, in the arena; NULL: the task's own) and
 * what is to run there, and stays attached until it is over. `prepare` returns RV_CLI_OK, or the
 * exit status of what it has told. The exit status is the command's, 128 and the signal's number,
 * or RV_CLI_ERROR. */
int rv_cli_session_verb(const struct rv_cli_verb *verb, void *values,
                        const struct rv_cli_session_options *options,
                        int (*prepare)(struct rv_cli_session *session, const void *values,
                                       const char **child),
                        int argc, char **argv);

#endif
