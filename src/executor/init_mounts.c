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
 * Costs some 40 mounts, less than a millisecond.
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

static const char *const masked[] = {
    "/proc/acpi",        "/proc/asound",        "/proc/kcore",
    "/proc/keys",        "/proc/kpagecount",    "/proc/kpageflags",
    "/proc/kpagecgroup", "/proc/kmsg",          "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi",          "/proc/timer_list",
    "/proc/timer_stats", "/sys/firmware",       "/sys/devices/virtual/powercap",
    "/sys/kernel/debug", "/sys/kernel/tracing",
};
static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                        "/proc/sysrq-trigger"};
static const char NOTHING_AT[] = "/proc/sys"; /* always a folder of the kernel's */
static const struct {
    const char *path;
    unsigned major, minor;
} nodes[] = {{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
             {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}};
static const struct {
    const char *path, *target;
} links[] = {{"/dev/fd", "/proc/self/fd"},       {"/dev/stdin", "/proc/self/fd/0"},
             {"/dev/stdout", "/proc/self/fd/1"}, {"/dev/stderr", "/proc/self/fd/2"},
             {"/dev/ptmx", "pts/ptmx"},          {"/dev/core", "/proc/kcore"}};

static int failed(struct rv_error *err, const char *what, const char *path) {
    return rv_error_set(err, RV_ERR_IO, "%s %s: %s", what, path, strerror(errno));
}

static int mount_at(const char *type, const char *path, unsigned long flags, const char *options,
                    struct rv_error *err) {
    return mount(type, path, type, flags, options) != 0 ? failed(err, type, path) : 0;
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

static bool is_to_be_covered(const Reeve__V1__Init__Orders *o, const char *path) {
    bool found = is_at_or_below(path, "/tmp");

    for (size_t i = 0; i < o->n_hide && !found; i++)
        found = is_at_or_below(path, o->hide[i]);
    return found;
}

/* As mountinfo writes blanks and the like: \ooo. */
static void unescape(char *s) {
    char *to = s;

    for (; *s; s++, to++) {
        bool octal = *s == '\\' && s[1] && s[2] && s[3];
        *to = octal ? (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0')) : *s;
        s += octal ? 3 : 0;
    }
    *to = '\0';
}

/* Every file system that is mounted where nothing will be seen of it. What lies in one goes with
 * it, so that some in the list are gone when their turn comes. */
static int unmount_unseen(const Reeve__V1__Init__Orders *o, struct rv_error *err) {
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL, path[MAX_PATH];
    size_t size = 0;
    int rc = f ? 0 : failed(err, "open", "/proc/self/mountinfo");

    while (!rc && getline(&line, &size, f) > 0) {
        if (sscanf(line, "%*s %*s %*s %*s %4095s", path) != 1)
            continue;
        unescape(path);
        if (is_to_be_covered(o, path) && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) != 0 &&
            errno != EINVAL && errno != ENOENT)
            rc = failed(err, "unmount", path);
    }
    free(line);
    if (f)
        fclose(f);
    return rc;
}

static int cover(const Reeve__V1__Init__Orders *o, bool *covered, struct rv_error *err) {
    char options[64];
    int rc;

    snprintf(options, sizeof options, "mode=1777,size=%llu", (unsigned long long)o->tmp_bytes);
    rc = mount_at("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, options, err);
    for (size_t i = 0; i < o->n_hide && !rc; i++) {
        /* If it lies below /tmp it is out of sight already. */
        covered[i] = is_folder(o->hide[i]);
        if (covered[i])
            rc = mount_at("tmpfs", o->hide[i], SAFE, "mode=755,size=64k", err);
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
        rc = cover(o, covered, err);
    if (!rc)
        rc = rv_init_volumes_put(o, volumes, true, err);
    for (size_t i = 0; i < n && !rc; i++)
        rc = put_back(i < o->n_keep ? o->keep[i] : o->keep_read_only[i - o->n_keep], &kept[i], err);
    for (size_t i = 0; i < o->n_hide && !rc; i++)
        if (covered[i])
            rc = freeze(o->hide[i], SAFE, err);
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

static int make_dev(const Reeve__V1__Init__Orders *o, struct rv_error *err) {
    struct rv_init_mount shm = {.fd = -1};
    int rc = o->own_ipc || !is_folder("/dev/shm") ? 0 : take("/dev/shm", false, &shm, err);

    if (!rc)
        rc = mount_at("tmpfs", "/dev", MS_NOSUID, "mode=755,size=64k", err);

    for (size_t i = 0; i < RV_COUNT(nodes) && !rc; i++)
        if (mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)) != 0)
            rc = failed(err, "mknod", nodes[i].path);
    for (size_t i = 0; i < RV_COUNT(links) && !rc; i++)
        if (symlink(links[i].target, links[i].path) != 0)
            rc = failed(err, "symlink", links[i].path);
    if (rc)
        return rc;
    if (mkdir("/dev/pts", 0755) != 0 || mkdir("/dev/shm", 01777) != 0 ||
        mkdir("/dev/mqueue", 01777) != 0)
        return failed(err, "mkdir", "/dev/...");
    rc = mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC,
                  "newinstance,ptmxmode=0666,mode=0620,gid=5", err);
    if (!rc && shm.fd >= 0)
        rc = put_back("/dev/shm", &shm, err);
    if (!rc && o->own_ipc)
        rc = make_ipc(o, err);
    return rc;
}

/* ---- /proc and /sys ---- */

/* An empty file and an empty folder, which hide what they are put over. They are on a file system
 * that only we have: in a nested container /dev is its parent's, who may have put anything in the
 * place of /dev/null. It is at NOTHING_AT meanwhile: before Linux 6.15 nothing can be taken from a
 * mount that is nowhere. */
static int make_nothing(int *out, struct rv_error *err) {
    struct mount_attr frozen = {.attr_set = MOUNT_ATTR_RDONLY};
    int fs = fsopen("tmpfs", FSOPEN_CLOEXEC), root = -1, file = -1, rc = 0;

    if (fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "size", "4k", 0) == 0 &&
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        root =
            fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (root >= 0 && mkdirat(root, "folder", 0555) == 0)
        file = openat(root, "file", O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (file < 0 || mount_setattr(root, "", AT_EMPTY_PATH, &frozen, sizeof frozen) != 0 ||
        move_mount(root, "", AT_FDCWD, NOTHING_AT, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        rc = failed(err, "tmpfs", "for masks");
    if (file >= 0)
        close(file);
    if (fs >= 0)
        close(fs);
    if (rc && root >= 0)
        close(root);
    else
        *out = root;
    return rc;
}

static int mask(int nothing, const char *path, struct rv_error *err) {
    int place = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), tree = -1, rc = 0;
    struct stat st;

    if (place < 0)
        return errno == ENOENT ? 0 : failed(err, "open", path);
    if (fstat(place, &st) == 0)
        tree = open_tree(nothing, S_ISDIR(st.st_mode) ? "folder" : "file",
                         OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0 ||
        move_mount(tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        rc = failed(err, "mask", path);
    if (tree >= 0)
        close(tree);
    close(place);
    return rc;
}

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

static int mask_all(struct rv_error *err) {
    int nothing, rc = make_nothing(&nothing, err);

    if (rc)
        return rc;
    for (size_t i = 0; i < RV_COUNT(masked) && !rc; i++)
        rc = mask(nothing, masked[i], err);
    close(nothing);
    if (umount2(NOTHING_AT, MNT_DETACH) != 0 && !rc)
        rc = failed(err, "unmount", NOTHING_AT);
    return rc;
}

static int show_cgroups(const Reeve__V1__Init__Orders *o, struct rv_error *err) {
    static const char root[] = "/sys/fs/cgroup";
    bool covered = false;
    int rc = 0;

    for (size_t i = 0; i < o->n_cgroups && !rc; i++) {
        const Reeve__V1__Init__CgroupMount *m = o->cgroups[i];
        char path[MAX_PATH];
        snprintf(path, sizeof path, "%s%s%s", root, *m->target ? "/" : "", m->target);
        /* Also below a single hierarchy: the kernel mounts none on itself. */
        if (!covered)
            rc = mount_at("tmpfs", root, SAFE, "mode=755,size=64k", err);
        covered = true;
        if (!rc && *m->target)
            rc = make_place(path, true, err);
        if (!rc)
            rc = mount_at(m->type, path, SAFE | MS_RDONLY, m->options, err);
    }
    if (!rc && covered && *o->cgroups[0]->target)
        rc = freeze(root, SAFE, err);
    return rc;
}

static int make_sys(const Reeve__V1__Init__Orders *o, struct rv_error *err) {
    struct mount_attr frozen = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                            MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    int rc;

    /* It shows the network that it was mounted in. */
    if (o->own_network)
        rc = mount_at("sysfs", "/sys", SAFE | MS_RDONLY, NULL, err);
    else
        rc = mount_setattr(AT_FDCWD, "/sys", AT_RECURSIVE, &frozen, sizeof frozen) != 0
                 ? failed(err, "read-only", "/sys")
                 : 0;
    return rc ? rc : show_cgroups(o, err);
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
        rc = make_dev(o, err);
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
        rc = mask_all(err);
    umask(before);
    return rc;
}
