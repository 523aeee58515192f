/*
 * Control groups of version 2, see cgroup.h: one hierarchy for all. Groups with processes cannot
 * give controllers to what is below them, so a group has its processes in itself until a nested one
 * gets limits; then they move to a leaf `.own`:
 *
 *     <mount>/<agent's folder>/<id>         limits, figures, cgroup.kill; the processes,
 *     <mount>/<agent's folder>/<id>/.own    or they are here
 *     <mount>/<agent's folder>/<id>/<child> a nested group, in the same way
 *
 * So what runs in most containers finds its limits where it looks for them, at the root of what it
 * sees, and the leaf costs those that need it only. Holds: memory.low of the folders above the
 * groups is the sum of the groups', since the kernel protects no more than the folder above is
 * protected.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "containerizer/cgroup_internal.h"

#define OWN ".own"

enum { FREEZE_ROUNDS = 50, KILL_ROUNDS = 20, MOVE_ROUNDS = 50, USAGE_SLACK = 256 * 1024 };

static char *folder_of(const struct rv_cgroups *c, const char *id) {
    return rv_cgroup_path(&c->hierarchies[0], id);
}

static char *v2_folder(const struct rv_cgroups *c, const char *id, uint32_t controller) {
    (void)controller;
    return folder_of(c, id);
}

static int make_folder(const char *dir) {
    struct stat st;

    if (mkdir(dir, 0755) == 0)
        return 0;
    /* A file of the kernel's may have the name too. */
    if (errno == EEXIST && (stat(dir, &st) || !S_ISDIR(st.st_mode)))
        return -EINVAL;
    return -errno;
}

/* Whether a word is in a file of words. */
static bool has_word(const char *dir, const char *file, const char *word) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    char *save = NULL;

    if (rv_cgfs_read(dir, file, &text))
        return false;
    for (char *w = strtok_r(text.data, " \n", &save); w; w = strtok_r(NULL, " \n", &save))
        if (rv_streq(w, word))
            return true;
    return false;
}

/* Turns a controller on for what is below dir. */
static int enable(const char *dir, const char *controller) {
    char text[32];

    if (has_word(dir, "cgroup.subtree_control", controller))
        return 0;
    if (!has_word(dir, "cgroup.controllers", controller))
        return -ENOENT;
    snprintf(text, sizeof text, "+%s", controller);
    return rv_cgfs_write(dir, "cgroup.subtree_control", text);
}

/* Opening. */

/* Makes the agent's folder and those above, and turns the controllers on all the way down. A
 * controller that cannot be had at one step is left out, with the reason. */
static int make_own(struct rv_cgroups *c, struct rv_cgroup_hierarchy *h) {
    _cleanup_free_ char *path = rv_strdup(h->folder);
    uint32_t missed = 0;

    for (char *at = path + strlen(h->mount);; at++) {
        char was = *at;
        int rc;
        if (was != '/' && was != '\0')
            continue;
        *at = '\0';
        rc = rv_streq(path, h->mount) ? 0 : make_folder(path);
        if (rc && rc != -EEXIST) {
            rv_cgroup_miss(c, "hierarchy", "cannot make %s: %s", path, strerror(-rc));
            return rc;
        }
        for (const struct rv_cgroup_controller_name *n = rv_cgroup_controller_names; n->bit; n++) {
            if (!n->v2 || missed & n->bit)
                continue;
            rc = enable(path, n->v2);
            if (rc == 0) {
                h->controllers |= n->bit;
                continue;
            }
            missed |= n->bit;
            h->controllers &= ~n->bit;
            if (rc == -ENOENT)
                rv_cgroup_miss(c, n->v2, "%s does not offer it", path);
            else if (rc == -EBUSY)
                rv_cgroup_miss(c, n->v2, "%s has processes of its own, so it cannot be turned on",
                               path);
            else
                rv_cgroup_miss(c, n->v2, "cannot turn it on in %s: %s", path, strerror(-rc));
        }
        *at = was;
        if (was == '\0')
            return 0;
    }
}

/* Sums memory.low of the groups in a folder. */
static uint64_t sum_low(const char *dir) {
    char **names = rv_cgfs_children(dir);
    uint64_t sum = 0;

    for (size_t i = 0; names && names[i]; i++) {
        _cleanup_free_ char *child = rv_asprintf("%s/%s", dir, names[i]);
        uint64_t low;
        if (rv_cgfs_read_u64(child, "memory.low", &low) == 0)
            sum += RV_MIN(low, (uint64_t)INT64_MAX - sum);
    }
    rv_cgfs_children_free(names);
    return sum;
}

/* Gives the folders above the groups what these have together. Without it a request protects
 * nothing; no more than that is lost if it fails. */
static void pass_low_up(const struct rv_cgroups *c) {
    const struct rv_cgroup_hierarchy *h = &c->hierarchies[0];
    _cleanup_free_ char *dir = rv_strdup(h->folder);
    uint64_t low = c->low_total;

    while (strlen(dir) > strlen(h->mount)) {
        char text[32];
        snprintf(text, sizeof text, "%llu", (unsigned long long)low);
        if (rv_cgfs_write(dir, "memory.low", text))
            return;
        *strrchr(dir, '/') = '\0';
        if (strlen(dir) > strlen(h->mount))
            low = sum_low(dir); /* other agents of this machine */
    }
}

int rv_cgroup_v2_open(struct rv_cgroups *c, const struct rv_cgroup_mounts *mounts) {
    struct rv_cgroup_hierarchy h = {0};
    int rc;

    for (size_t i = 0; i < mounts->n && !h.mount; i++)
        if (mounts->v[i].v2)
            h.mount = rv_strdup(mounts->v[i].path);
    if (!h.mount)
        return -RV_ERR_UNSUPPORTED;
    h.folder = rv_asprintf("%s/%s", h.mount, c->name);
    rc = make_own(c, &h);
    if (rc || !h.controllers) {
        free(h.mount);
        free(h.folder);
        return -RV_ERR_UNSUPPORTED;
    }
    c->version = RV_CGROUP_V2;
    c->ops = &rv_cgroup_v2_ops;
    c->controllers = h.controllers;
    c->hierarchies[c->n++] = h;
    if (rv_cgfs_exists(h.folder, "cgroup.freeze"))
        c->controllers |= RV_CGROUP_FREEZER;
    else
        rv_cgroup_miss(c, "freezer", "this kernel has none in v2");
    rc = rv_cgroup_bpf_probe();
    if (rc == 0)
        c->controllers |= RV_CGROUP_DEVICES;
    else
        rv_cgroup_miss(c, "devices", "bpf: %s", strerror(-rc));
    c->low_total = sum_low(h.folder);
    return 0;
}

/* Groups. */

static int v2_create(struct rv_cgroups *c, const char *id, struct rv_error *err) {
    _cleanup_free_ char *dir = folder_of(c, id);
    int rc = make_folder(dir);

    if (rc == -ENOENT && !strchr(id, '/')) {
        rc = make_own(c, &c->hierarchies[0]); /* somebody cleaned up */
        if (rc == 0)
            rc = make_folder(dir);
    }
    return rc ? rv_cgroup_fail(err, rc, "cannot make", dir, NULL) : 0;
}

/* Where a group's own processes are; malloc'ed. */
static char *own_folder(const struct rv_cgroups *c, const char *id) {
    char *dir = folder_of(c, id), *own;

    if (!rv_cgfs_exists(dir, OWN))
        return dir;
    own = rv_asprintf("%s/" OWN, dir);
    free(dir);
    return own;
}

static int v2_fd(struct rv_cgroups *c, const char *id) {
    _cleanup_free_ char *own = own_folder(c, id);

    return open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static char *v2_place(const struct rv_cgroups *c, const struct rv_cgroup_hierarchy *h,
                      const char *id) {
    (void)h;
    return own_folder(c, id);
}

static int v2_attach(struct rv_cgroups *c, const char *id, pid_t pid, struct rv_error *err) {
    _cleanup_free_ char *own = own_folder(c, id);

    return rv_cgfs_set(err, own, "cgroup.procs", "%d", (int)pid);
}

/* Makes the leaf, and moves what is in dir itself to it: 0 if nothing is left. What forks meanwhile
 * may leave a child behind, whose turn is in the next round. */
static int move_to_own(const char *dir) {
    _cleanup_free_ char *own = rv_asprintf("%s/" OWN, dir);
    int rc = make_folder(own);

    if (rc && rc != -EEXIST)
        return rc;
    for (int i = 0; i < MOVE_ROUNDS; i++) {
        _cleanup_(rv_buf_free) struct rv_buf pids = {0};
        char *save = NULL;
        rc = rv_cgfs_read(dir, "cgroup.procs", &pids);
        if (rc || !pids.n)
            return rc;
        for (char *p = strtok_r(pids.data, "\n", &save); p; p = strtok_r(NULL, "\n", &save))
            (void)rv_cgfs_write(own, "cgroup.procs", p); /* it may have ended */
    }
    return -EBUSY;
}

/* Limits. */

/* Turns on below a group what the agent's folder offers. Its processes go first: some controllers
 * could be turned on beside them, but then only threads may be below. */
static int enable_all(const struct rv_cgroups *c, const char *dir, struct rv_error *err) {
    int rc = move_to_own(dir);

    if (rc)
        return rv_cgroup_fail(err, rc, "cannot move the processes of", dir, NULL);
    for (const struct rv_cgroup_controller_name *n = rv_cgroup_controller_names; n->bit; n++) {
        rc = n->v2 && c->controllers & n->bit ? enable(dir, n->v2) : 0;
        if (rc)
            return rv_cgroup_fail(err, rc, "cannot turn a controller on in", dir,
                                  "cgroup.subtree_control");
    }
    return 0;
}

/* The same for each group above this one. */
static int enable_above(struct rv_cgroups *c, const char *id, struct rv_error *err) {
    _cleanup_free_ char *above = rv_strdup(id);
    int rc = 0;

    for (char *slash = strchr(above, '/'); slash && !rc; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        _cleanup_free_ char *dir = folder_of(c, above);
        *slash = '/';
        rc = enable_all(c, dir, err);
    }
    return rc;
}

static int set_cpu(const char *dir, const struct rv_cgroup_limits *l, struct rv_error *err) {
    int64_t weight = l->cpu_request_milli < 0 ? 100 : rv_cgroup_weight(l->cpu_request_milli);
    int rc = rv_cgfs_set(err, dir, "cpu.weight", "%lld", (long long)weight);

    if (rc)
        return rc;
    if (l->cpu_limit_milli < 0)
        return rv_cgfs_exists(dir, "cpu.max")
                   ? rv_cgfs_set(err, dir, "cpu.max", "max %d", (int)RV_CGROUP_PERIOD_US)
                   : 0;
    return rv_cgfs_set(err, dir, "cpu.max", "%lld %d",
                       (long long)rv_cgroup_quota(l->cpu_limit_milli), (int)RV_CGROUP_PERIOD_US);
}

/* memory.max below what is in use kills; so first have the kernel free what it can: memory.high
 * does that at once and harmlessly, but slows the group down while it holds. */
static int set_hard(const char *dir, uint64_t bytes, struct rv_error *err) {
    uint64_t usage;

    if (rv_cgfs_read_u64(dir, "memory.current", &usage) == 0 && usage + USAGE_SLACK > bytes) {
        char text[32];
        int rc;
        snprintf(text, sizeof text, "%llu",
                 (unsigned long long)(bytes > USAGE_SLACK ? bytes - USAGE_SLACK : 0));
        rc = rv_cgfs_write(dir, "memory.high", text);
        if (rc == 0)
            rc = rv_cgfs_write(dir, "memory.high", "max");
        if (rc)
            return rv_cgroup_fail(err, rc, "cannot write", dir, "memory.high");
        if (rv_cgfs_read_u64(dir, "memory.current", &usage) == 0)
            bytes = RV_MAX(bytes, usage + USAGE_SLACK);
    }
    return rv_cgfs_set(err, dir, "memory.max", "%llu", (unsigned long long)bytes);
}

static int set_low(struct rv_cgroups *c, const char *dir, bool nested, int64_t bytes,
                   struct rv_error *err) {
    uint64_t before = 0, after = bytes < 0 ? 0 : (uint64_t)bytes;
    int rc;

    if (rv_cgfs_read_u64(dir, "memory.low", &before) == 0 && before == after)
        return 0;
    rc = rv_cgfs_set(err, dir, "memory.low", "%llu", (unsigned long long)after);
    if (rc == 0 && !nested) {
        c->low_total -= RV_MIN(c->low_total, before);
        c->low_total += after;
        pass_low_up(c);
    }
    return rc;
}

static int set_memory(struct rv_cgroups *c, const char *dir, bool nested,
                      const struct rv_cgroup_limits *l, struct rv_error *err) {
    uint64_t now;
    bool raise;
    int rc = rv_cgfs_read_u64(dir, "memory.max", &now);

    if (rc)
        return rv_cgroup_fail(err, rc, "cannot read", dir, "memory.max");
    raise = l->mem_limit_bytes < 0 || (uint64_t)l->mem_limit_bytes >= now;
    if (rv_cgfs_exists(dir, "memory.swap.max"))
        rc = rv_cgfs_set(err, dir, "memory.swap.max", "0");
    /* What runs out of memory ends as a whole, not with one process of it missing. */
    if (rc == 0 && rv_cgfs_exists(dir, "memory.oom.group"))
        rc = rv_cgfs_set(err, dir, "memory.oom.group", "1");
    /* The request stays below the limit on the way. */
    if (rc == 0 && !raise)
        rc = set_low(c, dir, nested, l->mem_request_bytes, err);
    if (rc == 0)
        rc = l->mem_limit_bytes < 0 ? rv_cgfs_set(err, dir, "memory.max", "max")
                                    : set_hard(dir, (uint64_t)l->mem_limit_bytes, err);
    if (rc == 0 && raise)
        rc = set_low(c, dir, nested, l->mem_request_bytes, err);
    return rc;
}

static int set_cpuset(const char *dir, const char *cpus, struct rv_error *err) {
    _cleanup_free_ char *parent = rv_strdup(dir);
    _cleanup_(rv_buf_free) struct rv_buf all = {0};
    int rc;

    if (cpus)
        return rv_cgfs_set(err, dir, "cpuset.cpus", "%s", cpus);
    /* An empty list is the parent's, but not every kernel lets a group with processes go back to
     * it: then all that the parent has. */
    rc = rv_cgfs_write(dir, "cpuset.cpus", "\n");
    if (rc == -ENOSPC) {
        *strrchr(parent, '/') = '\0';
        rc = rv_cgfs_read(parent, "cpuset.cpus.effective", &all);
        if (rc == 0)
            rc = rv_cgfs_write(dir, "cpuset.cpus", all.data);
    }
    return rc ? rv_cgroup_fail(err, rc, "cannot write", dir, "cpuset.cpus") : 0;
}

static int set_io(const char *dir, int64_t weight, struct rv_error *err) {
    static const char *const files[] = {"io.weight", "io.bfq.weight"};
    bool any = false;

    /* Which of them counts depends on the disk's scheduler; both have 100 as what nobody set. */
    for (size_t i = 0; i < RV_COUNT(files); i++) {
        int rc;
        if (!rv_cgfs_exists(dir, files[i]))
            continue;
        rc =
            rv_cgfs_set(err, dir, files[i], "default %lld", (long long)(weight < 0 ? 100 : weight));
        if (rc)
            return rc;
        any = true;
    }
    if (any || weight < 0)
        return 0;
    return rv_error_set(err, RV_ERR_UNSUPPORTED, "no I/O scheduler of this kernel has weights");
}

static int set_devices(const char *dir, const struct rv_cgroup_limits *l, struct rv_error *err) {
    struct rv_cgroup_rules rules = {0};
    int rc = rv_cgroup_rules_of(l, &rules, err);

    if (rc == 0)
        rc = rv_cgroup_bpf_set(dir, &rules, err);
    rv_vec_free(&rules);
    return rc;
}

static int v2_set(struct rv_cgroups *c, const char *id, const struct rv_cgroup_limits *l,
                  struct rv_error *err) {
    _cleanup_free_ char *dir = folder_of(c, id);
    bool nested = strchr(id, '/') != NULL;
    uint32_t has = c->hierarchies[0].controllers;
    int rc = nested ? enable_above(c, id, err) : 0;

    if (rc == 0 && has & RV_CGROUP_PIDS)
        rc = l->pids_max < 0 ? rv_cgfs_set(err, dir, "pids.max", "max")
                             : rv_cgfs_set(err, dir, "pids.max", "%lld", (long long)l->pids_max);
    if (rc == 0 && l->devices)
        rc = set_devices(dir, l, err);
    if (rc == 0 && has & RV_CGROUP_MEMORY)
        rc = set_memory(c, dir, nested, l, err);
    if (rc == 0 && has & RV_CGROUP_CPU)
        rc = set_cpu(dir, l, err);
    if (rc == 0 && has & RV_CGROUP_CPUSET)
        rc = set_cpuset(dir, l->cpuset, err);
    if (rc == 0 && has & RV_CGROUP_IO)
        rc = set_io(dir, l->io_weight, err);
    return rc;
}

/* Ends. */

static void v2_kill(struct rv_cgroups *c, const char *id) {
    _cleanup_free_ char *dir = folder_of(c, id);
    _cleanup_(rv_buf_free) struct rv_buf events = {0};
    int rounds = KILL_ROUNDS;

    if (rv_cgfs_write(dir, "cgroup.kill", "1") == 0)
        return;
    /* Before Linux 5.14: what is frozen does not fork. Here the signal goes through the ice. */
    if (rv_cgfs_write(dir, "cgroup.freeze", "1") == 0) {
        for (int i = 0; i < FREEZE_ROUNDS && rounds > 1; i++) {
            if (rv_cgfs_read(dir, "cgroup.events", &events))
                break;
            if (rv_cgfs_key(&events, "frozen"))
                rounds = 1;
            else
                rv_cgfs_pause();
        }
    }
    rv_cgfs_kill_all(dir, rounds);
    rv_cgfs_write(dir, "cgroup.freeze", "0");
}

static bool v2_is_empty(struct rv_cgroups *c, const char *id) {
    _cleanup_free_ char *dir = folder_of(c, id);
    _cleanup_(rv_buf_free) struct rv_buf events = {0};

    return rv_cgfs_read(dir, "cgroup.events", &events) || rv_cgfs_key(&events, "populated") == 0;
}

static int v2_remove(struct rv_cgroups *c, const char *id, struct rv_error *err) {
    _cleanup_free_ char *dir = folder_of(c, id);
    uint64_t low = 0;
    int rc;

    if (!strchr(id, '/') && rv_cgfs_read_u64(dir, "memory.low", &low))
        low = 0;
    rc = rv_cgfs_remove(dir);
    if (rc)
        return rv_cgroup_fail(err, rc, "cannot remove", dir, NULL);
    if (low) {
        c->low_total -= RV_MIN(c->low_total, low);
        pass_low_up(c);
    }
    return 0;
}

/* What happened. */

static uint64_t v2_oom_kills(struct rv_cgroups *c, const char *id) {
    _cleanup_free_ char *dir = folder_of(c, id);
    _cleanup_(rv_buf_free) struct rv_buf text = {0};

    /* Of a group that ran into its own limit the local file says so; kernels before 5.2 have none.
     */
    if (rv_cgfs_read(dir, "memory.events.local", &text) == 0 && rv_cgfs_key(&text, "oom") == 0)
        return 0;
    return rv_cgfs_read(dir, "memory.events", &text) ? 0 : rv_cgfs_key(&text, "oom_kill");
}

static int v2_oom_fd(struct rv_cgroups *c, const char *id) {
    _cleanup_free_ char *path = rv_asprintf("%s/%s/memory.events", c->hierarchies[0].folder, id);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0)
        rv_cgroup_oom_drain(fd); /* only a file that was read tells of changes */
    return fd;
}

const struct rv_cgroup_ops rv_cgroup_v2_ops = {
    .folder = v2_folder,
    .create = v2_create,
    .fd = v2_fd,
    .place = v2_place,
    .attach = v2_attach,
    .set = v2_set,
    .kill = v2_kill,
    .is_empty = v2_is_empty,
    .remove = v2_remove,
    .oom_kills = v2_oom_kills,
    .oom_fd = v2_oom_fd,
    .read_stats = rv_cgroup_v2_read_stats,
};
