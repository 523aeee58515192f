/*
 * Starts the init of a container (src/executor/init.h) in new namespaces and in its control groups.
 *
 * The agent's memory is borrowed, not copied, until init executes, so the cost does not grow with
 * the agent: some 300 us. Init runs from a memory file that nobody can write or change any more.
 * It inherits the descriptors that are named here, no environment, and all signals blocked.
 */
#ifndef RV_CONTAINERIZER_LAUNCHER_H
#define RV_CONTAINERIZER_LAUNCHER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"

enum {
    /* Descriptors as init has them: 0 to 2 are the command's. */
    RV_LAUNCHER_ORDERS_FD = 3,
    RV_LAUNCHER_REPORT_FD,
    RV_LAUNCHER_STATUS_FD,
    RV_LAUNCHER_HOST_FD, /* may be -1: none */
    RV_LAUNCHER_FDS,
    RV_LAUNCHER_MAX_GROUPS = 16
};

struct rv_launcher_start {
    int image;                /* of rv_launcher_seal */
    int fds[RV_LAUNCHER_FDS]; /* borrowed */
    const char *executor;     /* init goes on as our executor in that mode; or NULL */
    const char *const *env;   /* with that: the environment */
    uint64_t namespaces;      /* CLONE_NEW... for init */
    int parent;               /* pidfd of the container whose namespaces are joined; -1: none */
    uint64_t joined;          /* CLONE_NEW... of these */
    bool join_cgroups;        /* and its namespace of control groups */
    int cgroup;               /* a folder of v2 to start in, or -1 */
    const int *groups;        /* v1: files that take the process in when it writes "0" */
    size_t n_groups;
};

/* A memory file with these bytes that nobody, we neither, can change. The caller closes it. */
RV_MUST_USE int rv_launcher_seal(const char *name, const void *bytes, size_t n, int *fd,
                                 struct rv_error *err);

/* The same with init's program, which is part of ours. */
RV_MUST_USE int rv_launcher_seal_init(int *fd, struct rv_error *err);
struct Reeve__V1__Init__Orders;
/* The same with orders for init. */
RV_MUST_USE int rv_launcher_seal_orders(const struct Reeve__V1__Init__Orders *orders, int *fd,
                                        struct rv_error *err);

/* *pidfd is the caller's to close, and the process to wait for, with __WALL: it may be no ordinary
 * child. What goes wrong after init has executed comes by RV_LAUNCHER_REPORT_FD. */
RV_MUST_USE int rv_launcher_start(const struct rv_launcher_start *start, pid_t *pid, int *pidfd,
                                  struct rv_error *err);

#endif
