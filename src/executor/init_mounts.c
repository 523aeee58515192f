/*
 * What a container sees of the file system, see init.h. The root is the host's; over it lie a fresh
 * /proc, a minimal /dev, a private /tmp, a /sys that cannot be written, and an empty folder where
 * the agent keeps what is not this container's.
 *
 * Holds: all is done in the container's own mount namespace, a slave of the host's, so nothing of
 * it is seen outside and all of it ends with the namespace, and what the host unmounts is unmounted
 * here, too. What is kept visible is taken as a detached mount before anything is covered; a file
 * system that would be out of sight is unmounted, so that no container keeps it in use. Device
 * nodes are made by number, never taken from the host's /dev; of a parent's /dev nothing is used.
 *
 * A file system costs more than all mounts of it, to make as to end. So /tmp, /dev, what covers the
 * agent's folders and what masks are folders of one tmpfs, the ground, which is the working
 * directory meanwhile. It is not seen itself and is read-only but for /tmp and /dev. Nor does a
 * hierarchy of control groups get a mount of its own: the container's group in the host's is shown.
 * Costs some 40 mounts, half a millisecond.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/str.h"
#include "executor/init.h"
#include "executor/mounts.h"
#include "reeve/v1/init.pb-c.h"

enum { SAFE = MS_NOSUID | MS_NODEV | MS_NOEXEC, MAX_PATH = 4096 };

static const struct {
    const char *path;
    bool is_folder; /* mostly */
} masked[] = {
    {"/proc/acpi", true},
    {"/proc/asound", true},
    {"/proc/kcore", false},
    {"/proc/keys", false},
    {"/proc/kpagecount", false},
    {"/proc/kpageflags", false},
    {"/proc/kpagecgroup", false},
    {"/proc/kmsg", false},
    {"/proc/latency_stats", false},
    {"/proc/sched_debug", false},
    {"/proc/scsi", true},
    {"/proc/timer_list", false},
    {"/proc/timer_stats", false},
    {"/sys/firmware", true},
    {"/sys/devices/virtual/powercap", true},
    {"/sys/kernel/debug", true},
    {"/sys/kernel/tracing", true},
};
static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                        "/proc/sysrq-trigger"};
static const struct {
    const char *path;
    unsigned major, minor;
} nodes[] = {{"dev/null", 1, 3},   {"dev/zero", 1, 5},    {"dev/full", 1, 7},
             {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0}};
static const struct {
    const char *path, *target;
} links[] = {{"dev/fd", "/proc/self/fd"},       {"dev/stdin", "/proc/self/fd/0"},
             {"dev/stdout", "/proc/self/fd/1"}, {"dev/stderr", "/proc/self/fd/2"},
             {"dev/ptmx", "pts/ptmx"},          {"dev/core", "/proc/kcore"}};

static int failed(struct rv_error *err, const char *what, const char *path) {
    return rv_error_set(err, RV_ERR_IO, "%s %s: %s", what, path, strerror(errno));
}

static int mount_at(const char *type, const char *path, unsigned long flags, const char *options,
                    struct rv_error *err) {
    return mount(type, path, type, flags, options) != 0 ? failed(err, type, path) : 0;
}

static int bind_at(const char *from, const char *path, struct rv_error *err) {
    return mount(from, path, NULL, MS_BIND, NULL) != 0 ? failed(err, "bind", path) : 0;
}

static int freeze(const char *path, unsigned long flags, struct rv_error *err) {
    return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) != 0
               ? failed(err, "read-only", path)
               : 0;
}

static bool is_folder(const char *path) {
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- what stays visible ---- */

static int take(const char *path, bool frozen, struct rv_init_mount *out, struct rv_error *err) {
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};

    out->is_folder = is_folder(path);
    out->fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (out->fd < 0)
        return failed(err, "open_tree", path);
    if (frozen && mount_setattr(out->fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                                sizeof attributes) != 0)
        return failed(err, "mount_setattr", path);
    return 0;
}

/* The folders above a path, from the root down. */
static int make_folders_above(char *path, struct rv_error *err) {
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST && errno != EROFS)
            return failed(err, "mkdir", path);
        *p = '/';
    }
    return 0;
}

static int make_place(const char *path, bool folder, struct rv_error *err) {
    char name[MAX_PATH];
    int fd;

    if (snprintf(name, sizeof name, "%s", path) >= (int)sizeof name)
        return rv_error_set(err, RV_ERR_LIMIT, "a path is too long");
    if (folder && mkdir(name, 0755) == 0)
        return 0; /* what is above it is there more often than not */
    if (make_folders_above(name, err))
        return -RV_ERR_IO;
    if (folder)
        return mkdir(name, 0755) != 0 && errno != EEXIST ? failed(err, "mkdir", name) : 0;
    fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return failed(err, "open", name);
    close(fd);
    return 0;
}

static int put_back(const char *path, struct rv_init_mount *k, struct rv_error *err) {
    int rc = access(path, F_OK) == 0 ? 0 : make_place(path, k->is_folder, err);

    if (!rc && move_mount(k->fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        rc = failed(err, "move_mount", path);
    close(k->fd);
    k->fd = -1;
    return rc;
}

static bool is_at_or_below(const char *path, const char *folder) {
    size_t n = strlen(folder);

    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* What lies in one goes with it, so that some are gone when their turn comes. */
static int unmount_unseen(const Reeve__V1__Init__Orders *o, struct rv_error *err) {
    for (size_t i = 0; i < o->n_unmount; i++)
        if (umount2(o->unmount[i], MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
            errno != ENOENT)
            return failed(err, "unmount", o->unmount[i]);
    return 0;
}

/* ---- the ground ---- */

/* Mounts it, and what masks: a file and a folder, both empty. */
static int make_ground(const char *path, uint64_t bytes, struct rv_error *err) {
    char options[64];
    int rc;

    snprintf(options, sizeof options, "mode=755,size=%llu", (unsigned long long)bytes);
    rc = mount_at("tmpfs", path, MS_NOSUID | MS_NODEV, options, err);
    if (!rc && (chdir(path) != 0 || mkdir("folder", 0555) != 0 || mknod("file", S_IFREG | 0444, 0)))
        rc = failed(err, "make masks at", path);
    return rc;
}

static int freeze_ground(struct rv_error *err) {
    return freeze(".", SAFE, err);
}

static int make_dev(struct rv_error *err) {
    if (mkdir("dev", 0755) != 0)
        return failed(err, "mkdir", "dev");
    for (size_t i = 0; i < RV_COUNT(nodes); i++)
        if (mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)) != 0)
            return failed(err, "mknod", nodes[i].path);
    for (size_t i = 0; i < RV_COUNT(links); i++)
        if (symlink(links[i].target, links[i].path) != 0)
            return failed(err, "symlink", links[i].path);
    if (mkdir("dev/pts", 0755) != 0 || mkdir("dev/shm", 01777) != 0 ||
        mkdir("dev/mqueue", 01777) != 0)
        return failed(err, "mkdir", "dev/...");
    return 0;
}

/* A folder that will cover one of the agent's, by its number. */
static void name_cover(char name[32], size_t number) {
    snprintf(name, 32, "cover%zu", number);
}

/* Places in a cover for what stays visible below the folder. */
static int make_places(const char *cover, const char *folder, char *const *paths, size_t n,
                       const struct rv_init_mount *kept, struct rv_error *err) {
    char path[MAX_PATH];
    int rc = 0;

    for (size_t i = 0; i < n && !rc; i++) {
        if (!is_at_or_below(paths[i], folder) || !paths[i][strlen(folder)])
            continue;
        snprintf(path, sizeof path, "%s%s", cover, paths[i] + strlen(folder));
        rc = make_place(path, kept[i].is_folder, err);
    }
    return rc;
}

/* What lies below /tmp is out of sight already. */
static int make_covers(const Reeve__V1__Init__Orders *o, const struct rv_init_mount *kept,
                       bool *covered, struct rv_error *err) {
    char name[32];
    int rc = 0;

    for (size_t i = 0; i < o->n_hide && !rc; i++) {
        covered[i] = is_folder(o->hide[i]);
        if (!covered[i])
            continue;
        name_cover(name, i);
        if (mkdir(name, 0755) != 0)
            return failed(err, "mkdir", name);
        rc = make_places(name, o->hide[i], o->keep, o->n_keep, kept, err);
        if (!rc)
            rc = make_places(name, o->hide[i], o->keep_read_only, o->n_keep_read_only,
                             kept + o->n_keep, err);
    }
    return rc;
}

static int cover(const Reeve__V1__Init__Orders *o, const struct rv_init_mount *kept, bool *covered,
                 struct rv_error *err) {
    char name[32];
    int rc = make_ground("/tmp", o->tmp_bytes, err);

    if (!rc && mkdir("tmp", 01777) != 0)
        rc = failed(err, "mkdir", "tmp");
    if (!rc)
        rc = bind_at("tmp", "/tmp", err);
    if (!rc)
        rc = make_covers(o, kept, covered, err);
    if (!rc)
        rc = make_dev(err);
    if (!rc)
        rc = freeze_ground(err);
    for (size_t i = 0; i < o->n_hide && !rc; i++) {
        name_cover(name, i);
        if (covered[i])
            rc = bind_at(name, o->hide[i], err);
    }
    return rc;
}

/* Sandbox and programs are put back where they were, over volumes that would cover them. */
static int cover_all_but(const Reeve__V1__Init__Orders *o, struct rv_init_mount *volumes,
                         struct rv_error *err) {
    size_t n = o->n_keep + o->n_keep_read_only;
    _cleanup_free_ struct rv_init_mount *kept = rv_calloc(n + 1, sizeof *kept);
    _cleanup_free_ bool *covered = rv_calloc(o->n_hide + 1, sizeof *covered);
    int rc = 0;

    for (size_t i = 0; i < n && !rc; i++)
        rc = take(i < o->n_keep ? o->keep[i] : o->keep_read_only[i - o->n_keep], i >= o->n_keep,
                  &kept[i], err);
    if (!rc)
        rc = unmount_unseen(o, err);
    if (!rc)
        rc = cover(o, kept, covered, err);
    if (!rc)
        rc = rv_init_volumes_put(o, volumes, true, err);
    for (size_t i = 0; i < n && !rc; i++)
        rc = put_back(i < o->n_keep ? o->keep[i] : o->keep_read_only[i - o->n_keep], &kept[i], err);
    return rc;
}

/* ---- /dev ---- */

/* POSIX shared memory and message queues, which belong to the IPC namespace. */
static int make_ipc(const Reeve__V1__Init__Orders *o, struct rv_error *err) {
    char options[64];
    int rc;

    snprintf(options, sizeof options, "mode=1777,size=%llu", (unsigned long long)o->shm_bytes);
    rc = mount_at("tmpfs", "/dev/shm", SAFE, options, err);
    /* A kernel without POSIX message queues is fine. */
    if (!rc && mount("mqueue", "/dev/mqueue", "mqueue", SAFE, NULL) != 0 && errno != ENODEV)
        rc = failed(err, "mqueue", "/dev/mqueue");
    return rc;
}

static int show_dev(const Reeve__V1__Init__Orders *o, struct rv_error *err) {
    struct rv_init_mount shm = {.fd = -1};
    int rc = o->own_ipc || !is_folder("/dev/shm") ? 0 : take("/dev/shm", false, &shm, err);

    if (!rc)
        rc = bind_at("dev", "/dev", err);
    /* The one place where nodes are of use, and where more may be made. */
    if (!rc && mount(NULL, "/dev", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL) != 0)
        rc = failed(err, "remount", "/dev");
    if (!rc)
        rc = mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC,
                      "newinstance,ptmxmode=0666,mode=0620,gid=5", err);
    if (!rc && shm.fd >= 0)
        rc = put_back("/dev/shm", &shm, err);
    if (!rc && o->own_ipc)
        rc = make_ipc(o, err);
    return rc;
}

/* ---- /proc and /sys ---- */

static int make_proc(struct rv_error *err) {
    int rc = mount_at("proc", "/proc", SAFE, NULL, err);

    for (size_t i = 0; i < RV_COUNT(read_only) && !rc; i++) {
        if (mount(read_only[i], read_only[i], NULL, MS_BIND, NULL) == 0)
            rc = freeze(read_only[i], SAFE, err);
        else if (errno != ENOENT)
            rc = failed(err, "bind", read_only[i]);
    }
    return rc;
}

/* By the file or the folder of the ground; never by something of the container's parent, who may
 * have put anything in the place of a /dev/null. */
static int mask_all(struct rv_error *err) {
    for (size_t i = 0; i < RV_COUNT(masked); i++) {
        const char *path = masked[i].path;
        bool folder = masked[i].is_folder;
        if (mount(folder ? "folder" : "file", path, NULL, MS_BIND, NULL) != 0 &&
            (errno != ENOTDIR ||
             mount(folder ? "file" : "folder", path, NULL, MS_BIND, NULL) != 0) &&
            errno != ENOENT)
            return failed(err, "mask", path);
    }
    return 0;
}

/* In a nested container, whose /tmp is its parent's. */
static int mask_nested(struct rv_error *err) {
    static const char place[] = "/proc/sys"; /* always a folder of the kernel's */
    int rc = make_ground(place, 4096, err);

    if (!rc)
        rc = freeze_ground(err);
    if (!rc)
        rc = mask_all(err);
    if (!rc && umount2(".", MNT_DETACH) != 0)
        rc = failed(err, "unmount", place);
    return rc;
}

static int show_cgroups(const Reeve__V1__Init__Orders *o, struct rv_error *err) {
    int rc = 0;

    for (size_t i = 0; i < o->n_cgroups && !rc; i++) {
        const char *group = o->cgroups[i]->group;
        rc = bind_at(group ? group : "folder", o->cgroups[i]->hierarchy, err);
    }
    return rc;
}

/* A /sys shows the network that it was mounted in. */
static int mount_sys(const Reeve__V1__Init__Orders *o, struct rv_error *err) {
    static const char cgroups[] = "/sys/fs/cgroup";
    struct rv_init_mount tree = {.fd = -1};
    int rc = o->n_cgroups ? take(cgroups, false, &tree, err) : 0;

    if (!rc)
        rc = mount_at("sysfs", "/sys", SAFE, NULL, err);
    if (!rc && o->n_cgroups)
        rc = put_back(cgroups, &tree, err);
    return rc;
}

static int make_sys(const Reeve__V1__Init__Orders *o, struct rv_error *err) {
    struct mount_attr frozen = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                            MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    int rc = show_cgroups(o, err);

    if (!rc && o->own_network)
        rc = mount_sys(o, err);
    if (!rc && mount_setattr(AT_FDCWD, "/sys", AT_RECURSIVE, &frozen, sizeof frozen) != 0)
        rc = failed(err, "read-only", "/sys");
    return rc;
}

int rv_init_mounts(const Reeve__V1__Init__Orders *o, struct rv_error *err) {
    mode_t before = umask(0);
    struct rv_init_mount volumes[RV_INIT_MAX_VOLUMES];
    int rc = 0;

    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        rc = failed(err, "slave", "/");
    if (!rc)
        rc = rv_init_volumes_take(o, volumes, err);
    if (!rc && o->whole_root)
        rc = cover_all_but(o, volumes, err);
    if (!rc && o->whole_root)
        rc = show_dev(o, err);
    if (!rc && !o->whole_root && o->own_ipc)
        rc = make_ipc(o, err);
    if (!rc && !o->whole_root)
        rc = rv_init_volumes_put(o, volumes, true, err);
    /* While /proc tells where an open file is. */
    if (!rc)
        rc = rv_init_volumes_put(o, volumes, false, err);
    if (!rc && (o->own_pids || o->whole_root))
        rc = make_proc(err);
    if (!rc && o->whole_root)
        rc = make_sys(o, err);
    if (!rc)
        rc = o->whole_root ? mask_all(err) : mask_nested(err);
    if (!rc && chdir("/") != 0)
        rc = failed(err, "chdir", "/");
    umask(before);
    return rc;
}
