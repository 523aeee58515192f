/* Sandboxes, see sandbox.h. Holds: every descriptor is above the standard ones and closed on exec.
 */
#include "containerizer/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/memory.h"
#include "base/str.h"

int rv_sandbox_find_user(const char *name, struct rv_sandbox_user *out, struct rv_error *err) {
    char text[16384];
    struct passwd entry, *found = NULL;

    out->differs = false;
    out->n_groups = RV_SANDBOX_MAX_GROUPS;
    if (!name || geteuid() != 0)
        return 0;
    if (getpwnam_r(name, &entry, text, sizeof text, &found) != 0 || !found)
        return rv_error_set(err, RV_ERR_NOT_FOUND, "There is no user '%s'", name);
    out->differs = entry.pw_uid != geteuid();
    out->uid = entry.pw_uid;
    out->gid = entry.pw_gid;
    if (out->differs && getgrouplist(name, out->gid, out->groups, &out->n_groups) < 0)
        return rv_error_set(err, RV_ERR_LIMIT, "The user '%s' is in too many groups", name);
    return 0;
}

int rv_sandbox_make(const char *directory, const struct rv_sandbox_user *user, int *fd,
                    struct rv_error *err) {
    int made = rv_folder_make(directory, 0700, err), rc;

    if (made < 0)
        return made;
    if (!user->differs || fchown(made, user->uid, user->gid) == 0) {
        *fd = made;
        return 0;
    }
    rc = rv_error_set(err, RV_ERR_IO, "chown %s: %s", directory, strerror(errno));
    close(made);
    return rc;
}

/* Opens with a number above the standard ones, which the child will replace. */
static int open_above(int dir, const char *path, int flags, const struct rv_sandbox_user *user) {
    int fd = openat(dir, path, flags | O_CLOEXEC, 0644), above;

    if (fd < 0)
        return -1;
    if (user->differs && fchown(fd, user->uid, user->gid) != 0) {
        close(fd);
        return -1;
    }
    if (fd > 2)
        return fd;
    above = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return above;
}

int rv_sandbox_open_files(int sandbox, const struct rv_sandbox_user *user, int fds[3],
                          struct rv_error *err) {
    enum { LOG = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW };
    static const struct rv_sandbox_user nobody_else;

    fds[0] = open_above(AT_FDCWD, "/dev/null", O_RDONLY, &nobody_else);
    fds[1] = open_above(sandbox, "stdout", LOG, user);
    fds[2] = open_above(sandbox, "stderr", LOG, user);
    if (fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0)
        return 0;
    return rv_error_set(err, RV_ERR_IO, "cannot open the files of the sandbox: %s",
                        strerror(errno));
}
