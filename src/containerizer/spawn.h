/*
 * Starts a process without copying the starter: the child borrows its memory until it executes
 * (CLONE_VM | CLONE_VFORK), so that a large agent starts processes as fast as a small one. The
 * caller stands still meanwhile, some 300 us.
 */
#ifndef RV_CONTAINERIZER_SPAWN_H
#define RV_CONTAINERIZER_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct rv_spawn {
    const char *const *argv;
    const char *program; /* with a slash, or searched in env's PATH; NULL: argv[0] */
    const char *const *env;
    int directory; /* the open folder it starts in; -1: where the caller is */
    int fds[3];    /* standard input, output, error; their own numbers, or each 3 or above */
    bool tty;      /* fds[0] is a terminal, the session's own from now on */
    bool reaps;    /* what loses its parent below it becomes its child */
    bool switch_user;
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* gid among them */
    size_t n_groups;
};

/* The child leads a session of its own, has signals at their defaults, umask 022 and no other
 * descriptors. pidfd, which may be NULL, is the caller's to close. -RV_ERR_IO names the step that
 * failed, and its errno. */
RV_MUST_USE int rv_spawn(const struct rv_spawn *spawn, pid_t *pid, int *pidfd,
                         struct rv_error *err);

#endif
