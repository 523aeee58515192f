/*
 * Mode `init` of the executor's program: the first process of a container. It reads its orders
 * (proto/reeve/v1/init.proto) from the sealed memory file at descriptor RV_INIT_ORDERS_FD, prepares
 * the namespaces it was started in, starts the command with only what is meant for it, passes
 * signals on, reaps what loses its parent, and ends when the command does; the kernel kills the
 * rest of its process namespace with it.
 *
 * The container cannot harm it: it runs from a sealed memory file, it is not dumpable, so neither
 * its memory nor its descriptors can be opened, and the command starts with fewer capabilities than
 * it has. Once the command runs it keeps CAP_KILL only.
 */
#ifndef RV_EXECUTOR_INIT_H
#define RV_EXECUTOR_INIT_H

#include <stdbool.h>

#include "base/error.h"

enum {
    RV_INIT_ORDERS_FD = 3,
    RV_INIT_MAX_VOLUMES = 64,
    /* Of a terminal that is kept: the agent's end, and what tells whether there is an agent. */
    RV_INIT_TERMINAL_FD = 20,
    RV_INIT_LIFELINE_FD = 21
};

struct Reeve__V1__Init__Orders;

/* The exit status of the process: that of the command, 128 and the signal's number if a signal
 * ended it, 127 if it could not be started. RV_INIT_GOES_ON in a process that is the command and is
 * to be this program itself, in the mode that follows `init` among the arguments: that costs less
 * than executing it. The environment is its own already. */
enum { RV_INIT_GOES_ON = -1 };
int rv_init_run(bool is_executor);

/* init_terminal.c */
struct rv_init_terminal {
    int slave; /* the command's end; -1: there is none, or it has it */
    bool kept; /* at the numbers above */
    int log;   /* where what it writes goes while there is no agent; or -1 */
};
/* Makes it as ordered and sends its other end. */
RV_MUST_USE int rv_init_terminal_make(const struct Reeve__V1__Init__Orders *orders,
                                      struct rv_init_terminal *t, struct rv_error *err);
/* In the command, the first of its session. */
RV_MUST_USE int rv_init_terminal_take(const struct rv_init_terminal *t, struct rv_error *err);
/* In init, which keeps at most the other end. */
void rv_init_terminal_let_go(const struct Reeve__V1__Init__Orders *orders,
                             struct rv_init_terminal *t);
/* Serves one that is kept until a signal is pending; returns at once if none is. */
void rv_init_terminal_wait(const struct rv_init_terminal *t);
/* The command has ended: what it wrote is kept, if nobody else does that. */
void rv_init_terminal_drain(const struct rv_init_terminal *t);

/* init_volumes.c. A mount that is nowhere yet. */
struct rv_init_mount {
    int fd;
    bool is_folder;
};
/* Opens what volumes are made from: one mount for each, in an array of RV_INIT_MAX_VOLUMES. Call it
 * while the machine's files are seen. */
RV_MUST_USE int rv_init_volumes_take(const struct Reeve__V1__Init__Orders *orders,
                                     struct rv_init_mount *mounts, struct rv_error *err);
/* Puts those in place that cover the sandbox or our programs, before these are put there, or all
 * others. */
RV_MUST_USE int rv_init_volumes_put(const struct Reeve__V1__Init__Orders *orders,
                                    struct rv_init_mount *mounts, bool below_ours,
                                    struct rv_error *err);

/* init_mounts.c: what the container sees of the file system. Needs root's capabilities. */
RV_MUST_USE int rv_init_mounts(const struct Reeve__V1__Init__Orders *orders, struct rv_error *err);

#endif
