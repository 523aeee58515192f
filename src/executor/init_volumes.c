/*
 * Volumes of a container, see init.h. What is to be seen is opened before anything of the file
 * system is covered, and put in its place when the container's own stands.
 *
 * Holds: a path is opened once, then what was opened is judged and mounted, never the name again,
 * so no link that is changed meanwhile leads elsewhere. On the machine a path is opened with the
 * rights of the container's user, since a mount would pass by the folders above it; below a sandbox
 * nothing leads out of it. Nothing is made outside of a sandbox and the private /tmp. What is
 * mounted is without device nodes and set-user-ids, and a slave: mounts in it are not seen outside.
 *
 * Costs: a process that ends at once if there are volumes of the machine; some 20 us each.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/str.h"
#include "executor/init.h"
#include "executor/mounts.h"
#include "reeve/v1/init.pb-c.h"

typedef Reeve__V1__Init__Orders orders;
typedef Reeve__V1__Init__Volume volume;

enum { MAX_PATH = 4096, MAX_GROUPS = 256, PAGE = 4096 };

static const char scratch[] = "/tmp"; /* is there, and is covered later anyway */

static int failed(struct rv_error *err, const char *what, const char *path) {
    return rv_error_set(err, RV_ERR_IO, "%s %s: %s", what, path, strerror(errno));
}

static bool is_below(const char *path, const char *folder) {
    size_t n = strlen(folder);

    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0' || n == 1);
}

/* ---- where it may not be ---- */

/* By the real path of what is open, in the mount namespace whose /proc is seen. */
static int check_place(const orders *o, int fd, bool is_source, struct rv_error *err) {
    static const char *const system[] = {"/proc", "/sys", "/dev"};
    char name[64], path[MAX_PATH];
    ssize_t n;

    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    n = readlink(name, path, sizeof path - 1);
    if (n <= 0)
        return failed(err, "readlink", name);
    path[n] = '\0';
    if (rv_streq(path, "/"))
        return rv_error_set(err, RV_ERR_PERMISSION, "the root is not allowed");
    for (size_t i = 0; i < RV_COUNT(system); i++)
        if (is_below(path, system[i]))
            return rv_error_set(err, RV_ERR_PERMISSION, "%s is not allowed", system[i]);
    for (size_t i = 0; i < o->n_hide; i++) {
        bool within = is_below(path, o->hide[i]) && !is_below(path, o->sandbox);
        if (within || (is_source && is_below(o->hide[i], path)))
            return rv_error_set(err, RV_ERR_PERMISSION, "it is where the agent keeps its own");
    }
    return 0;
}

/* ---- below a folder ---- */

static int make_one(int at, const char *name, bool folder, const struct stat *owner) {
    int fd;

    if (!folder) {
        fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 && fchown(fd, owner->st_uid, owner->st_gid) != 0) {
            close(fd);
            return -1;
        }
        return fd;
    }
    if (mkdirat(at, name, 0755) != 0)
        return -1;
    fd = rv_open_resolved(at, name, O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (fd >= 0 && fchownat(fd, "", owner->st_uid, owner->st_gid, AT_EMPTY_PATH) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Step by step, over no link; what it makes is the owner's. Changes path. */
static int make_below(int base, char *path, bool folder, const struct stat *owner) {
    int at = fcntl(base, F_DUPFD_CLOEXEC, 0);
    char *save = NULL, *name = strtok_r(path, "/", &save);

    while (name && at >= 0) {
        char *next = strtok_r(NULL, "/", &save);
        int fd = rv_open_resolved(at, name, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
        if (fd < 0 && errno == ENOENT)
            fd = make_one(at, name, folder || next, owner);
        close(at);
        at = fd;
        name = next;
    }
    return at;
}

/* Opens what is there, or makes it. The folder is not left, through links neither. */
static int open_below(int base, const char *path, bool folder, const struct stat *owner, int *out,
                      struct rv_error *err) {
    char copy[MAX_PATH];
    int fd =
        rv_open_resolved(base, *path ? path : ".", O_PATH, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);

    if (fd < 0 && errno == ENOENT) {
        if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
            errno = ENAMETOOLONG;
        else
            fd = make_below(base, copy, folder, owner);
    }
    if (fd < 0 && (errno == EXDEV || errno == ELOOP))
        return rv_error_set(err, RV_ERR_PERMISSION, "'%s' leads out of the sandbox", path);
    if (fd < 0)
        return failed(err, "open", path);
    *out = fd;
    return 0;
}

/* A sandbox, which lies in one that other processes may change: no link on the way. */
static int open_folder(const char *path, struct stat *owner, int *out, struct rv_error *err) {
    int fd = rv_open_resolved(AT_FDCWD, path, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);

    if (fd < 0)
        return failed(err, "open", path);
    if (fstat(fd, owner) != 0) {
        close(fd);
        return failed(err, "stat", path);
    }
    *out = fd;
    return 0;
}

/* ---- sources ---- */

/* A mount that is nowhere yet. Closes what is open. */
static int detach(int fd, bool read_only, struct rv_init_mount *out, struct rv_error *err) {
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                                (read_only ? MOUNT_ATTR_RDONLY : 0),
                                    .propagation = MS_SLAVE};
    struct stat st;
    int tree = -1, rc = 0;

    if (fstat(fd, &st) != 0)
        rc = failed(err, "stat", "it");
    else
        tree =
            open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
    if (!rc && tree < 0)
        rc = failed(err, "open_tree", "it");
    if (!rc &&
        mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0)
        rc = failed(err, "mount_setattr", "it");
    close(fd);
    if (rc && tree >= 0)
        close(tree);
    if (rc)
        return rc;
    out->fd = tree;
    out->is_folder = S_ISDIR(st.st_mode);
    return 0;
}

static int take_host(const orders *o, const volume *v, struct rv_init_mount *out,
                     struct rv_error *err) {
    int fd = rv_open_resolved(AT_FDCWD, v->path, O_PATH, RESOLVE_NO_MAGICLINKS), rc;

    if (fd < 0)
        return failed(err, "open", v->path);
    rc = check_place(o, fd, true, err);
    if (rc) {
        rv_error_prefix(err, "%s", v->path);
        close(fd);
        return rc;
    }
    return detach(fd, v->read_only, out, err);
}

/* What the agent keeps is not for the container's user to find, but for the agent to show. */
static int take_kept(const volume *v, struct rv_init_mount *out, struct rv_error *err) {
    struct stat owner;
    int fd, rc = open_folder(v->path, &owner, &fd, err);

    return rc ? rc : detach(fd, v->read_only, out, err);
}

static int take_folder(const volume *v, struct rv_init_mount *out, struct rv_error *err) {
    struct stat owner;
    int base, fd, rc = open_folder(v->below, &owner, &base, err);

    if (rc)
        return rc;
    rc = open_below(base, v->path, true, &owner, &fd, err);
    close(base);
    return rc ? rc : detach(fd, v->read_only, out, err);
}

/* What the process that opens paths of the machine tells; its table of descriptors is ours. */
struct opened {
    int rc;
    struct rv_error err;
    struct rv_init_mount mounts[RV_INIT_MAX_VOLUMES];
};

static void open_all(const orders *o, Reeve__V1__Init__Volume__Source source,
                     struct opened *shared) {
    for (size_t i = 0; i < o->n_volumes && !shared->rc; i++) {
        const volume *v = o->volumes[i];
        if (v->source != source)
            continue;
        shared->rc = source == REEVE__V1__INIT__VOLUME__SOURCE__KEPT
                         ? take_kept(v, &shared->mounts[i], &shared->err)
                         : take_host(o, v, &shared->mounts[i], &shared->err);
        if (shared->rc)
            rv_error_prefix(&shared->err, "volume '%s'", v->target);
    }
}

static void open_on_host(const orders *o, struct opened *shared) {
    gid_t groups[MAX_GROUPS];
    size_t n = RV_MIN(o->n_groups, RV_COUNT(groups));

    if (o->has_host_fd && setns(o->host_fd, CLONE_NEWNS) != 0) {
        shared->rc = failed(&shared->err, "setns", "to the machine");
        return;
    }
    open_all(o, REEVE__V1__INIT__VOLUME__SOURCE__KEPT, shared);
    for (size_t i = 0; i < n; i++)
        groups[i] = o->groups[i];
    if (o->switch_user && setgroups(n, groups) != 0) {
        shared->rc = failed(&shared->err, "setgroups", "of the user");
        return;
    }
    if (o->switch_user) { /* capabilities for files go, that for mounts stays */
        setfsgid(o->gid);
        setfsuid(o->uid);
    }
    open_all(o, REEVE__V1__INIT__VOLUME__SOURCE__HOST, shared);
}

static bool is_of_host(const volume *v) {
    return v->source == REEVE__V1__INIT__VOLUME__SOURCE__HOST ||
           v->source == REEVE__V1__INIT__VOLUME__SOURCE__KEPT;
}

static int take_all_of_host(const orders *o, struct rv_init_mount *mounts, struct rv_error *err) {
    struct opened *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child;
    int rc = 0, status = 0;

    if (shared == MAP_FAILED)
        return failed(err, "mmap", "for volumes");
    child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, NULL, NULL, 0);
    if (child == 0) {
        open_on_host(o, shared);
        _exit(0);
    }
    if (child < 0)
        rc = failed(err, "clone", "for volumes");
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!rc && (shared->rc || status))
        rc = rv_error_set(err, RV_ERR_PERMISSION, "%s",
                          shared->rc ? shared->err.message : "volumes could not be opened");
    for (size_t i = 0; i < o->n_volumes && !rc; i++)
        if (is_of_host(o->volumes[i]))
            mounts[i] = shared->mounts[i];
    munmap(shared, sizeof *shared);
    return rc;
}

/* ---- secrets ---- */

static int write_secret(const orders *o, const volume *v, size_t number, struct rv_init_mount *out,
                        struct rv_error *err) {
    char path[64];
    int fd, rc = 0;

    snprintf(path, sizeof path, "%s/%zu", scratch, number);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    if (fd < 0)
        return failed(err, "open", path);
    if (write(fd, v->data.data, v->data.len) != (ssize_t)v->data.len ||
        (o->switch_user && fchown(fd, o->uid, o->gid) != 0))
        rc = failed(err, "write", path);
    close(fd);
    if (rc)
        return rc;
    fd = open(path, O_PATH | O_CLOEXEC);
    return fd < 0 ? failed(err, "open", path) : detach(fd, true, out, err);
}

/* In memory that is the container's and is never written to a disk. */
static int take_secrets(const orders *o, size_t bytes, struct rv_init_mount *mounts,
                        struct rv_error *err) {
    char options[64];
    int rc = 0;

    snprintf(options, sizeof options, "mode=700,size=%zu", bytes);
    if (mount("tmpfs", scratch, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) != 0)
        return failed(err, "tmpfs", scratch);
    for (size_t i = 0; i < o->n_volumes && !rc; i++)
        if (o->volumes[i]->source == REEVE__V1__INIT__VOLUME__SOURCE__SECRET)
            rc = write_secret(o, o->volumes[i], i, &mounts[i], err);
    if (umount2(scratch, MNT_DETACH) != 0 && !rc)
        rc = failed(err, "umount", scratch);
    return rc;
}

int rv_init_volumes_take(const orders *o, struct rv_init_mount *mounts, struct rv_error *err) {
    size_t secrets = 0;
    bool host = false;
    int rc = o->n_volumes <= RV_INIT_MAX_VOLUMES
                 ? 0
                 : rv_error_set(err, RV_ERR_LIMIT, "more than %d volumes", RV_INIT_MAX_VOLUMES);

    for (size_t i = 0; i < o->n_volumes && !rc; i++) {
        const volume *v = o->volumes[i];
        host = host || is_of_host(v);
        if (v->source == REEVE__V1__INIT__VOLUME__SOURCE__SECRET)
            secrets += 2 * PAGE + v->data.len;
        if (v->source != REEVE__V1__INIT__VOLUME__SOURCE__FOLDER)
            continue;
        rc = take_folder(v, &mounts[i], err);
        if (rc)
            rv_error_prefix(err, "volume '%s'", v->target);
    }
    if (!rc && host)
        rc = take_all_of_host(o, mounts, err);
    if (!rc && secrets)
        rc = take_secrets(o, secrets, mounts, err);
    return rc;
}

/* ---- targets ---- */

/* Whether what the agent keeps visible of its own, or the sandbox, would be covered by it. */
static bool covers(const orders *o, const char *target) {
    bool found = *target == '/' && is_below(o->sandbox, target);

    for (size_t i = 0; i < o->n_keep_read_only; i++)
        found = found || (*target == '/' && is_below(o->keep_read_only[i], target));
    return found;
}

static int open_absolute(const orders *o, const char *target, bool folder, int *out,
                         struct rv_error *err) {
    size_t n = strlen(scratch);
    int fd = rv_open_resolved(AT_FDCWD, target, O_PATH, RESOLVE_NO_MAGICLINKS), rc;

    if (fd < 0 && errno == ENOENT && is_below(target, scratch)) {
        struct stat owner = {.st_uid = o->uid, .st_gid = o->gid};
        int tmp = open(scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (tmp < 0)
            return failed(err, "open", scratch);
        rc = open_below(tmp, target + n + strspn(target + n, "/"), folder, &owner, &fd, err);
        close(tmp);
        if (rc)
            return rc;
    } else if (fd < 0 && errno == ENOENT) {
        return rv_error_set(err, RV_ERR_NOT_FOUND,
                            "it must be there: the container sees the machine's files");
    } else if (fd < 0) {
        return failed(err, "open", target);
    }
    rc = check_place(o, fd, false, err);
    if (rc)
        close(fd);
    else
        *out = fd;
    return rc;
}

static int open_target(const orders *o, const char *target, bool folder, int *out,
                       struct rv_error *err) {
    bool below = is_below(target, o->sandbox);
    struct stat owner;
    int base, rc;

    if (*target == '/' && !below)
        return open_absolute(o, target, folder, out, err);
    if (below) {
        target += strlen(o->sandbox);
        target += strspn(target, "/");
    }
    rc = open_folder(o->sandbox, &owner, &base, err);
    if (rc)
        return rc;
    rc = open_below(base, target, folder, &owner, out, err);
    close(base);
    return rc;
}

static int put(const orders *o, const volume *v, struct rv_init_mount *m, struct rv_error *err) {
    struct stat st;
    int target, rc = open_target(o, v->target, m->is_folder, &target, err);

    if (rc)
        return rc;
    if (fstat(target, &st) == 0 && S_ISDIR(st.st_mode) != m->is_folder)
        rc = rv_error_set(err, RV_ERR_INVALID, "it is %s, and what is to be seen there is not",
                          m->is_folder ? "a file" : "a folder");
    else if (move_mount(m->fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) !=
             0)
        rc = failed(err, "move_mount", v->target);
    close(target);
    close(m->fd);
    m->fd = -1;
    return rc;
}

int rv_init_volumes_put(const orders *o, struct rv_init_mount *mounts, bool below_ours,
                        struct rv_error *err) {
    int rc = 0;

    for (size_t i = 0; i < o->n_volumes && !rc; i++) {
        const volume *v = o->volumes[i];
        if (covers(o, v->target) != below_ours)
            continue;
        /* What is ours is seen in it, so folders for that are made in it. */
        if (below_ours && (!o->whole_root || v->source != REEVE__V1__INIT__VOLUME__SOURCE__FOLDER ||
                           v->read_only))
            rc = rv_error_set(err, RV_ERR_PERMISSION, "it would cover the sandbox");
        else
            rc = put(o, v, &mounts[i], err);
        if (rc)
            rv_error_prefix(err, "volume '%s'", v->target);
    }
    return rc;
}
