/*
 * A container's sandbox: the folder of its user, 0700, with the files that its output goes to.
 * Shared by the containerizers. Blocks on files: some 100 us on a fast file system.
 */
#ifndef RV_CONTAINERIZER_SANDBOX_H
#define RV_CONTAINERIZER_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

enum { RV_SANDBOX_MAX_GROUPS = 256 };

struct rv_sandbox_user {
    bool differs; /* from the agent's; else the rest is not set */
    uid_t uid;
    gid_t gid, groups[RV_SANDBOX_MAX_GROUPS];
    int n_groups;
};

/* NULL, or an agent that is not root: nobody else. -RV_ERR_NOT_FOUND if there is no such user. */
RV_MUST_USE int rv_sandbox_find_user(const char *name, struct rv_sandbox_user *out,
                                     struct rv_error *err);
/* Makes the folder, 0700 and the user's, and those above it, 0755. It may be there already. No
 * symbolic link is followed: a nested container's sandbox lies in one that its parent may change.
 * The caller closes *fd. */
RV_MUST_USE int rv_sandbox_make(const char *directory, const struct rv_sandbox_user *user, int *fd,
                                struct rv_error *err);
/* No input, and files stdout and stderr in the open sandbox, for appending. The caller closes those
 * that are not negative, also after an error. */
RV_MUST_USE int rv_sandbox_open_files(int sandbox, const struct rv_sandbox_user *user, int fds[3],
                                      struct rv_error *err);

#endif
