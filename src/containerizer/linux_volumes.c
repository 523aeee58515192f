/*
 * Persistent volumes that come to a container that runs, or leave it, see linux_internal.h. A
 * process of our own enters the container's view of the file system for that, does its few calls
 * and ends; what it mounts was opened before, on the machine.
 *
 * Holds: the way to the target is the container's to change, so no link on it is followed; what is
 * mounted is without device nodes and set-user-ids. Costs: some 500 us of the loop.
 */
#include <errno.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/folder.h"
#include "containerizer/linux_internal.h"

struct visit {
    const struct rv_linux_container *k;
    const struct rv_container_volume *volume;
    const char *folder, *name; /* of the target */
    /* told by the process */
    const char *step; /* that failed */
    int number;       /* errno */
};

static int give_up(struct visit *v, const char *step) {
    v->step = step;
    v->number = errno;
    return -1;
}

static int take(struct visit *v) {
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                                (v->volume->read_only ? MOUNT_ATTR_RDONLY : 0),
                                    .propagation = MS_SLAVE};
    int fd = rv_open_resolved(AT_FDCWD, v->volume->path, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    int tree =
        fd < 0
            ? -1
            : open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);

    if (tree < 0)
        return give_up(v, "open_tree");
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0)
        return give_up(v, "mount_setattr");
    return tree;
}

/* It was before this agent. */
static bool is_mounted(int folder, const char *name) {
    struct statx s;

    return statx(folder, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &s) == 0 &&
           (s.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

static void enter(struct visit *v, bool attach) {
    int tree = attach ? take(v) : -1, folder, target;

    if (attach && tree < 0)
        return;
    if (setns(v->k->pidfd, CLONE_NEWNS) != 0) {
        give_up(v, "setns");
        return;
    }
    folder = rv_open_resolved(AT_FDCWD, v->folder, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    if (folder < 0 || fchdir(folder) != 0) {
        give_up(v, "open");
        return;
    }
    if (!attach) {
        if (umount2(v->name, MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
            errno != ENOENT)
            give_up(v, "umount");
        return;
    }
    if (is_mounted(folder, v->name))
        return;
    target = rv_open_resolved(folder, v->name, O_PATH | O_DIRECTORY,
                              RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (target < 0)
        give_up(v, "open");
    else if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) !=
             0)
        give_up(v, "move_mount");
}

static int visit(const struct visit *asked, bool attach, struct rv_error *err) {
    struct visit *v =
        mmap(NULL, sizeof *v, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 0, rc = 0;
    pid_t child;

    if (v == MAP_FAILED)
        return rv_error_set(err, RV_ERR_IO, "mmap: %s", strerror(errno));
    *v = *asked;
    child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, NULL, NULL, 0);
    if (child == 0) {
        enter(v, attach);
        _exit(0);
    }
    if (child < 0)
        rc = rv_error_set(err, RV_ERR_IO, "clone: %s", strerror(errno));
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!rc && (v->step || status))
        rc = rv_error_set(err, RV_ERR_IO, "volume '%s': %s: %s", v->volume->target,
                          v->step ? v->step : "mounting",
                          v->step ? strerror(v->number) : "it did not end well");
    munmap(v, sizeof *v);
    return rc;
}

/* A folder to be covered by the mount, below the sandbox, which is the same on the machine. */
static int make_target(const char *path, struct rv_error *err) {
    int fd = rv_folder_make(path, 0755, err);

    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

int rv_linux_visit_volume(const struct rv_linux_container *k, const struct rv_container_volume *v,
                          bool attach, struct rv_error *err) {
    _cleanup_free_ char *path = rv_asprintf("%s/%s", k->state.directory, v->target);
    char *slash = strrchr(path, '/');
    int rc = 0;

    if (*v->target == '/')
        return rv_error_set(err, RV_ERR_UNSUPPORTED,
                            "volume '%s': what comes to a container that runs must be below its "
                            "sandbox",
                            v->target);
    if (attach)
        rc = make_target(path, err);
    if (rc)
        rv_error_prefix(err, "volume '%s'", v->target);
    *slash = '\0';
    const struct visit asked = {.k = k, .volume = v, .folder = path, .name = slash + 1};
    return rc ? rc : visit(&asked, attach, err);
}
