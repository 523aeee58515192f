/*
 * Control groups of version 1, see cgroup.h: a hierarchy for each controller, or for a few that are
 * mounted together. Holds: the first hierarchy (that of pids if there is one) has every group that
 * any other has, and every process that is in a group: made and attached there first, removed there
 * last. That of devices has a group only where the devices are not the usual ones: else processes
 * are in the nearest above, in the end in one that all share, USUAL. The freezer's is not used.
 *
 * Many limits have an order to be written in, and a parent's may not be below its children's: that
 * is what most of the code is about.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "containerizer/cgroup_internal.h"

#define USUAL ".usual"

enum {
    KILL_ROUNDS = 20,
    LIMITED_ROUNDS = 2, /* the second for what was being forked */
    MOVE_ROUNDS = 20,
    LOWER_ROUNDS = 5,
    MAX_CPUS = 8192,
    MAX_DISKS = 256
};

static const struct rv_cgroup_hierarchy *hierarchy_of(const struct rv_cgroups *c,
                                                      uint32_t controller) {
    for (size_t i = 0; i < c->n; i++)
        if (c->hierarchies[i].controllers & controller)
            return &c->hierarchies[i];
    return NULL;
}

/* The group's folder where the controller is; NULL if it is nowhere. */
static char *folder_of(const struct rv_cgroups *c, const char *id, uint32_t controller) {
    const struct rv_cgroup_hierarchy *h = hierarchy_of(c, controller);

    return h ? rv_cgroup_path(h, id) : NULL;
}

/* Making folders. */

/* A new group of cpuset has no cpus and no memory nodes, and takes no process until it has. Below
 * the agent's folder the kernel gives them, by cgroup.clone_children, which all groups have that
 * are below one that has it: a write of cpus arranges all processors anew, 200 us and more. */
static int inherit_cpuset(const char *parent, const char *dir) {
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    _cleanup_(rv_buf_free) struct rv_buf text = {0};

    for (size_t i = 0; i < RV_COUNT(files); i++) {
        int rc = rv_cgfs_read(dir, files[i], &text);
        if (rc == 0 && text.n <= 1) {
            rc = rv_cgfs_read(parent, files[i], &text);
            if (rc == 0)
                rc = rv_cgfs_write(dir, files[i], text.data);
        }
        if (rc)
            return rc;
    }
    return 0;
}

static int make_folder(const char *dir) {
    struct stat st;

    if (mkdir(dir, 0755) == 0)
        return 0;
    /* A file of the kernel's may have the name too. */
    return errno == EEXIST && (stat(dir, &st) || !S_ISDIR(st.st_mode)) ? -EINVAL : -errno;
}

/* On the way to the agent's, and that itself: it may be there. */
static int make_above(const struct rv_cgroup_hierarchy *h, const char *dir) {
    _cleanup_free_ char *parent = rv_strdup(dir);
    int rc = make_folder(dir);

    *strrchr(parent, '/') = '\0';
    if (rc && rc != -EEXIST)
        return rc;
    return h->controllers & RV_CGROUP_CPUSET ? inherit_cpuset(parent, dir) : 0;
}

/* The agent's folder and those above it. */
static int make_own(const struct rv_cgroup_hierarchy *h) {
    _cleanup_free_ char *path = rv_strdup(h->folder);
    size_t from = strlen(h->mount);

    for (char *at = path + from + 1;; at++) {
        char was = *at;
        int rc;
        if (was != '/' && was != '\0')
            continue;
        *at = '\0';
        rc = make_above(h, path);
        *at = was;
        if (rc)
            return rc;
        if (was == '\0')
            break;
    }
    if (h->controllers & RV_CGROUP_CPUSET) {
        int rc = rv_cgfs_write(h->folder, "cgroup.clone_children", "1");
        if (rc)
            return rc;
    }
    if (h->controllers & RV_CGROUP_MEMORY) {
        uint64_t on;
        rv_cgfs_write(h->folder, "memory.swappiness", "0"); /* groups below begin with it */
        /* Kernels before 5.11 leave it to us whether limits hold for what is below. */
        if (rv_cgfs_read_u64(h->folder, "memory.use_hierarchy", &on) == 0 && on == 0)
            return rv_cgfs_write(h->folder, "memory.use_hierarchy", "1");
    }
    return 0;
}

/* From Linux 6.9 on a disk's I/O is not counted before somebody sets a limit on it: so we set one
 * that limits nothing, and take it away; the counting stays. */
static void count_io(const struct rv_cgroup_hierarchy *h) {
    static const char counts[] = "blkio.throttle.io_service_bytes",
                      limit[] = "blkio.throttle.read_bps_device";
    _cleanup_(rv_buf_free) struct rv_buf counted = {0}, number = {0};
    char **disks = NULL;

    if (rv_cgfs_read(h->mount, counts, &counted))
        return;
    disks = rv_cgfs_entries("/sys/block");
    for (size_t i = 0; disks && disks[i] && i < MAX_DISKS; i++) {
        _cleanup_free_ char *disk = rv_asprintf("/sys/block/%s", disks[i]);
        char text[64];
        uint64_t sectors;
        if (rv_cgfs_read_u64(disk, "size", &sectors) || !sectors ||
            rv_cgfs_read(disk, "dev", &number) || number.n > 32)
            continue;
        number.data[strcspn(number.data, "\n")] = '\0';
        snprintf(text, sizeof text, "%s Read", number.data);
        if (strstr(counted.data, text))
            continue;
        snprintf(text, sizeof text, "%s 1000000000000000", number.data);
        if (rv_cgfs_write(h->folder, limit, text))
            continue; /* a disk that takes no limits is not counted */
        snprintf(text, sizeof text, "%s 0", number.data);
        rv_cgfs_write(h->folder, limit, text);
    }
    rv_cgfs_children_free(disks);
}

static uint32_t controllers_of(const char *options) {
    _cleanup_free_ char *copy = rv_strdup(options);
    uint32_t bits = 0;
    char *save = NULL;

    for (char *o = strtok_r(copy, ",", &save); o; o = strtok_r(NULL, ",", &save))
        for (const struct rv_cgroup_controller_name *n = rv_cgroup_controller_names; n->bit; n++)
            if (rv_streq(o, n->v1))
                bits |= n->bit;
    return bits;
}

int rv_cgroup_v1_open(struct rv_cgroups *c, const struct rv_cgroup_mounts *mounts) {
    uint32_t failed = 0, seen = 0;

    for (size_t i = 0; i < mounts->n; i++)
        seen |= mounts->v[i].v2 ? 0 : controllers_of(mounts->v[i].options);
    if (!seen)
        return -RV_ERR_UNSUPPORTED;
    for (size_t i = 0; i < mounts->n && c->n < RV_CGROUP_MAX_HIERARCHIES; i++) {
        struct rv_cgroup_hierarchy h = {
            .controllers = mounts->v[i].v2 ? 0 : controllers_of(mounts->v[i].options)};
        int rc;
        h.controllers &= ~(uint32_t)RV_CGROUP_FREEZER;
        if (!h.controllers || h.controllers & (c->controllers | failed))
            continue; /* nothing for us, or mounted in two places */
        h.mount = rv_strdup(mounts->v[i].path);
        h.folder = rv_asprintf("%s/%s", h.mount, c->name);
        rc = make_own(&h);
        if (rc) {
            failed |= h.controllers;
            for (const struct rv_cgroup_controller_name *n = rv_cgroup_controller_names; n->bit;
                 n++)
                if (h.controllers & n->bit)
                    rv_cgroup_miss(c, n->v1, "cannot make %s: %s", h.folder, strerror(-rc));
            free(h.mount);
            free(h.folder);
            continue;
        }
        if (h.controllers & RV_CGROUP_IO)
            count_io(&h);
        if (h.controllers & RV_CGROUP_MEMORY)
            c->swap = rv_cgfs_exists(h.folder, "memory.memsw.limit_in_bytes");
        c->controllers |= h.controllers;
        c->hierarchies[c->n++] = h;
        if (h.controllers & RV_CGROUP_PIDS) {
            c->hierarchies[c->n - 1] = c->hierarchies[0];
            c->hierarchies[0] = h;
        }
    }
    if (!c->n)
        return -RV_ERR_UNSUPPORTED;
    for (const struct rv_cgroup_controller_name *n = rv_cgroup_controller_names; n->bit; n++)
        if (!((c->controllers | failed | RV_CGROUP_FREEZER) & n->bit))
            rv_cgroup_miss(c, n->v1, "not mounted");
    c->version = RV_CGROUP_V1;
    c->ops = &rv_cgroup_v1_ops;
    return 0;
}

/* Limits. */

static int set_quota(const char *dir, int64_t quota, struct rv_error *err) {
    char text[32];
    int rc;

    snprintf(text, sizeof text, "%lld", (long long)quota);
    rc = rv_cgfs_write(dir, "cpu.cfs_quota_us", text);
    if (rc == -EINVAL && quota > 0) {
        /* Above the parent's, or below a child's. Without one of its own a group has its parent's,
         * which is what holds then. */
        char **names = rv_cgfs_children(dir);
        for (size_t i = 0; names && names[i]; i++) {
            _cleanup_free_ char *child = rv_asprintf("%s/%s", dir, names[i]);
            _cleanup_(rv_buf_free) struct rv_buf now = {0};
            if (rv_cgfs_read(child, "cpu.cfs_quota_us", &now) == 0 &&
                strtoll(now.data, NULL, 10) > quota) {
                rc = set_quota(child, -1, err);
                if (rc)
                    break;
            }
        }
        rv_cgfs_children_free(names);
        rc = rv_cgfs_write(dir, "cpu.cfs_quota_us", text);
        if (rc == -EINVAL)
            rc = rv_cgfs_write(dir, "cpu.cfs_quota_us", "-1");
    }
    return rc ? rv_cgroup_fail(err, rc, "cannot write", dir, "cpu.cfs_quota_us") : 0;
}

static int set_cpu(const char *dir, const struct rv_cgroup_limits *l, struct rv_error *err) {
    int64_t shares = l->cpu_request_milli < 0 ? 1024 : rv_cgroup_shares(l->cpu_request_milli);
    int64_t quota = l->cpu_limit_milli < 0 ? -1 : rv_cgroup_quota(l->cpu_limit_milli);
    int rc = rv_cgfs_set(err, dir, "cpu.shares", "%lld", (long long)shares);
    _cleanup_(rv_buf_free) struct rv_buf now = {0};
    uint64_t period;

    if (rc || (l->fresh && quota < 0))
        return rc;
    rc = rv_cgfs_read(dir, "cpu.cfs_quota_us", &now);
    if (rc == -ENOENT && quota >= 0)
        return rv_error_set(err, RV_ERR_UNSUPPORTED, "this kernel has no quota of cpu time");
    /* Reading takes no lock of all groups. */
    if (rc == -ENOENT || (rc == 0 && quota < 0 && strtoll(now.data, NULL, 10) < 0))
        return 0;
    if (rv_cgfs_read_u64(dir, "cpu.cfs_period_us", &period) || period != RV_CGROUP_PERIOD_US) {
        rc = rv_cgfs_set(err, dir, "cpu.cfs_period_us", "%d", (int)RV_CGROUP_PERIOD_US);
        if (rc)
            return rc;
    }
    return set_quota(dir, quota, err);
}

/* Writes a memory limit that may be below what is in use: then the kernel tries to free some, and
 * gives up with EBUSY; we take what is in use instead. */
static int lower(const char *dir, const char *file, const char *usage_file, uint64_t bytes,
                 struct rv_error *err) {
    char text[32];
    int rc = 0;

    for (int i = 0; i < LOWER_ROUNDS; i++) {
        uint64_t usage;
        snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
        rc = rv_cgfs_write(dir, file, text);
        if (rc != -EBUSY || rv_cgfs_read_u64(dir, usage_file, &usage))
            break;
        bytes = RV_MAX(bytes, usage + (65536ULL << i)); /* it may grow as we look */
    }
    return rc == 0 || rc == -EBUSY ? 0 : rv_cgroup_fail(err, rc, "cannot write", dir, file);
}

/* A fresh group has nothing in use. */
static int set_hard(const char *dir, int64_t bytes, bool raise, bool swap, bool fresh,
                    struct rv_error *err) {
    static const char limit_file[] = "memory.limit_in_bytes",
                      total_file[] = "memory.memsw.limit_in_bytes";
    uint64_t limit = (uint64_t)bytes;
    int rc;

    /* Memory with swap may never be below memory: raised before it, lowered after. */
    if (raise) {
        rc = swap ? rv_cgfs_set(err, dir, total_file, "%lld", (long long)bytes) : 0;
        return rc ? rc : rv_cgfs_set(err, dir, limit_file, "%lld", (long long)bytes);
    }
    rc = lower(dir, limit_file, "memory.usage_in_bytes", limit, err);
    if (rc || !swap)
        return rc;
    if (!fresh && rv_cgfs_read_u64(dir, limit_file, &limit))
        limit = (uint64_t)bytes;
    return lower(dir, total_file, "memory.memsw.usage_in_bytes", limit, err);
}

static int set_soft(const char *dir, int64_t bytes, struct rv_error *err) {
    char text[32];
    int rc;

    snprintf(text, sizeof text, "%lld", (long long)bytes);
    rc = rv_cgfs_write(dir, "memory.soft_limit_in_bytes", text);
    if (rc == -EOPNOTSUPP)
        return 0; /* a real-time kernel: no soft limits, and nothing depends on them */
    return rc ? rv_cgroup_fail(err, rc, "cannot write", dir, "memory.soft_limit_in_bytes") : 0;
}

static int set_memory(const char *dir, bool swap, const struct rv_cgroup_limits *l,
                      struct rv_error *err) {
    int64_t soft = l->mem_request_bytes < 0 ? -1 : l->mem_request_bytes;
    int64_t hard = l->mem_limit_bytes < 0 ? -1 : l->mem_limit_bytes;
    bool raise;
    uint64_t now = UINT64_MAX;
    int rc = l->fresh ? 0 : rv_cgfs_read_u64(dir, "memory.limit_in_bytes", &now);

    if (l->fresh && hard < 0)
        return set_soft(dir, soft, err);
    if (rc)
        return rv_cgroup_fail(err, rc, "cannot read", dir, "memory.limit_in_bytes");
    raise = hard < 0 || (uint64_t)hard >= now;
    /* The soft limit stays below the hard one on the way. */
    rc = raise ? set_hard(dir, hard, true, swap, l->fresh, err) : set_soft(dir, soft, err);
    if (rc == 0)
        rc = raise ? set_soft(dir, soft, err) : set_hard(dir, hard, false, swap, l->fresh, err);
    if (rc == 0 && !l->fresh)
        rv_cgfs_write(dir, "memory.swappiness", "0"); /* not there without swap */
    return rc;
}

/* A list of cpus as bits: "0-3,8". */
struct cpus {
    uint64_t bits[MAX_CPUS / 64];
};

static bool parse_cpus(const char *s, struct cpus *out) {
    *out = (struct cpus){0};
    while (*s && *s != '\n') {
        char *end;
        unsigned long first = strtoul(s, &end, 10), last = first;
        if (end == s)
            return false;
        if (*end == '-') {
            s = end + 1;
            last = strtoul(s, &end, 10);
            if (end == s)
                return false;
        }
        if (last < first || last >= MAX_CPUS)
            return false;
        for (unsigned long i = first; i <= last; i++)
            out->bits[i / 64] |= 1ULL << i % 64;
        s = *end == ',' ? end + 1 : end;
        if (*end && *end != ',' && *end != '\n')
            return false;
    }
    return true;
}

static bool format_cpus(const struct cpus *c, struct rv_buf *out) {
    rv_buf_clear(out);
    for (unsigned i = 0; i < MAX_CPUS; i++)
        if (c->bits[i / 64] >> i % 64 & 1)
            rv_buf_printf(out, "%s%u", out->n ? "," : "", i);
    return out->n > 0;
}

/* Sets the cpus of a group, of which the kernel wants that its children's are among them. Children
 * that had the same as their parent follow it; others keep what of theirs is left. So it goes: all
 * below to what is in both the old and the new, then this one, then those below that follow. */
static int set_cpus(const char *dir, const char *list, struct rv_error *err) {
    _cleanup_(rv_buf_free) struct rv_buf before = {0}, text = {0};
    struct cpus old, new, child_old;
    char **names = rv_cgfs_children(dir);
    int rc = rv_cgfs_read(dir, "cpuset.cpus", &before);

    if (rc == 0 && (!parse_cpus(before.data, &old) || !parse_cpus(list, &new)))
        rc = -EINVAL;
    if (rc == 0 && memcmp(&old, &new, sizeof old) == 0) {
        rv_cgfs_children_free(names);
        return 0;
    }
    if (rc)
        rc = rv_cgroup_fail(err, rc, "cannot set", dir, "cpuset.cpus");
    for (int step = 0; rc == 0 && step < 2; step++) {
        for (size_t i = 0; rc == 0 && names && names[i]; i++) {
            _cleanup_free_ char *child = rv_asprintf("%s/%s", dir, names[i]);
            bool follows;
            if (rv_cgfs_read(child, "cpuset.cpus", &text) || !parse_cpus(text.data, &child_old))
                continue; /* it went away */
            follows = memcmp(&child_old, &old, sizeof old) == 0;
            if (step == 1) {
                /* Those that followed have the part that is in both now. */
                struct cpus both;
                for (size_t k = 0; k < RV_COUNT(both.bits); k++)
                    both.bits[k] = old.bits[k] & new.bits[k];
                follows = follows || memcmp(&child_old, &both, sizeof both) == 0;
                if (follows)
                    rc = set_cpus(child, list, err);
                continue;
            }
            for (size_t k = 0; k < RV_COUNT(child_old.bits); k++)
                child_old.bits[k] &= new.bits[k];
            if (format_cpus(&child_old, &text))
                rc = set_cpus(child, text.data, err);
        }
        if (rc == 0 && step == 0)
            rc = rv_cgfs_set(err, dir, "cpuset.cpus", "%s", list);
    }
    rv_cgfs_children_free(names);
    return rc;
}

static int set_cpuset(const char *dir, const char *cpus, struct rv_error *err) {
    _cleanup_free_ char *parent = rv_strdup(dir);
    _cleanup_(rv_buf_free) struct rv_buf all = {0};
    int rc;

    if (cpus)
        return set_cpus(dir, cpus, err);
    *strrchr(parent, '/') = '\0';
    rc = rv_cgfs_read(parent, "cpuset.cpus", &all);
    if (rc)
        return rv_cgroup_fail(err, rc, "cannot read", parent, "cpuset.cpus");
    all.data[strcspn(all.data, "\n")] = '\0';
    return set_cpus(dir, all.data, err);
}

static int set_io(const char *dir, int64_t weight, struct rv_error *err) {
    /* Which of them there is depends on the kernel's scheduler. */
    static const struct {
        const char *file;
        int64_t none;
    } files[] = {{"blkio.bfq.weight", 100}, {"blkio.weight", 500}};

    for (size_t i = 0; i < RV_COUNT(files); i++)
        if (rv_cgfs_exists(dir, files[i].file))
            return rv_cgfs_set(err, dir, files[i].file, "%lld",
                               (long long)(weight < 0 ? files[i].none : weight));
    if (weight < 0)
        return 0;
    return rv_error_set(err, RV_ERR_UNSUPPORTED, "no I/O scheduler of this kernel has weights");
}

/* Devices. */

static int write_rule(const char *dir, const char *file, struct rv_cgroup_rule r,
                      struct rv_error *err) {
    char major[16] = "*", minor[16] = "*";

    if (r.major >= 0)
        snprintf(major, sizeof major, "%d", (int)r.major);
    if (r.minor >= 0)
        snprintf(minor, sizeof minor, "%d", (int)r.minor);
    return rv_cgfs_set(err, dir, file, "%c %s:%s %s%s%s", r.type, major, minor,
                       r.access & RV_CGROUP_READ ? "r" : "", r.access & RV_CGROUP_WRITE ? "w" : "",
                       r.access & RV_CGROUP_MKNOD ? "m" : "");
}

static uint8_t access_in(const struct rv_cgroup_rules *rules, struct rv_cgroup_rule r) {
    for (size_t i = 0; i < rules->n; i++)
        if (rules->v[i].type == r.type && rules->v[i].major == r.major &&
            rules->v[i].minor == r.minor)
            return rules->v[i].access;
    return 0;
}

/* What the group may use now; *everything if there is no list. */
static int read_rules(const char *dir, struct rv_cgroup_rules *out, bool *everything) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    int rc = rv_cgfs_read(dir, "devices.list", &text);
    char *save = NULL;

    *everything = false;
    for (char *line = rc ? NULL : strtok_r(text.data, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        struct rv_cgroup_rule r = {.major = -1, .minor = -1};
        char major[16], minor[16], access[8];
        if (sscanf(line, "%c %15[^:]:%15s %7s", &r.type, major, minor, access) != 4)
            continue;
        if (r.type == 'a')
            *everything = true;
        if (major[0] != '*')
            r.major = (int32_t)strtol(major, NULL, 10);
        if (minor[0] != '*')
            r.minor = (int32_t)strtol(minor, NULL, 10);
        r.access = (uint8_t)((strchr(access, 'r') ? RV_CGROUP_READ : 0) |
                             (strchr(access, 'w') ? RV_CGROUP_WRITE : 0) |
                             (strchr(access, 'm') ? RV_CGROUP_MKNOD : 0));
        rv_cgroup_rules_add(out, r);
    }
    return rc;
}

/* Writes only what differs: a running group never has less than what is in both lists. */
static int change_devices(const char *dir, const struct rv_cgroup_rules *want,
                          struct rv_cgroup_rules *now, struct rv_error *err) {
    bool everything;
    int rc = read_rules(dir, now, &everything);

    if (rc)
        rc = rv_cgroup_fail(err, rc, "cannot read", dir, "devices.list");
    if (rc == 0 && everything) {
        rc = rv_cgfs_set(err, dir, "devices.deny", "a");
        now->n = 0;
    }
    for (size_t i = 0; rc == 0 && i < want->n; i++) {
        struct rv_cgroup_rule r = want->v[i];
        r.access = (uint8_t)(r.access & ~access_in(now, r));
        if (r.access)
            rc = write_rule(dir, "devices.allow", r, err);
    }
    for (size_t i = 0; rc == 0 && i < now->n; i++) {
        struct rv_cgroup_rule r = now->v[i];
        r.access = (uint8_t)(r.access & ~access_in(want, r));
        if (r.access)
            rc = write_rule(dir, "devices.deny", r, err);
    }
    return rc;
}

static int write_devices(const char *dir, const struct rv_cgroup_device *devices, size_t n,
                         struct rv_error *err) {
    const struct rv_cgroup_limits l = {.devices = devices, .n_devices = n};
    struct rv_cgroup_rules want = {0}, now = {0};
    int rc = rv_cgroup_rules_of(&l, &want, err);

    if (!rc)
        rc = change_devices(dir, &want, &now, err);
    rv_vec_free(&want);
    rv_vec_free(&now);
    return rc;
}

/* Whether a group need not have a folder there. */
static bool is_shared(const struct rv_cgroups *c, const struct rv_cgroup_hierarchy *h) {
    return h->controllers == RV_CGROUP_DEVICES && c->usual;
}

/* The group that all share whose devices are the usual ones. */
static int make_usual(const struct rv_cgroups *c, bool again, struct rv_error *err) {
    const struct rv_cgroup_hierarchy *h = hierarchy_of(c, RV_CGROUP_DEVICES);
    _cleanup_free_ char *dir = rv_cgroup_path(h, USUAL);
    int rc = make_folder(dir);

    if (rc == -ENOENT) {
        rc = make_own(h); /* somebody cleaned up */
        if (!rc)
            rc = make_folder(dir);
    }
    if (rc && rc != -EEXIST)
        return rv_cgroup_fail(err, rc, "cannot make", dir, NULL);
    return rc && again ? 0 : write_devices(dir, c->usual, c->n_usual, err);
}

static int v1_begin_with(struct rv_cgroups *c, const struct rv_cgroup_limits *l,
                         struct rv_error *err) {
    const struct rv_cgroup_hierarchy *h = hierarchy_of(c, RV_CGROUP_DEVICES);

    if (!h || h->controllers != RV_CGROUP_DEVICES)
        return 0;
    c->usual = l->devices;
    c->n_usual = l->n_devices;
    return make_usual(c, false, err);
}

static void v1_close(const struct rv_cgroup_hierarchy *h) {
    _cleanup_free_ char *dir = rv_cgroup_path(h, USUAL);

    if (h->controllers == RV_CGROUP_DEVICES)
        (void)rmdir(dir);
}

/* Where the group's processes are in a hierarchy; malloc'ed. */
static char *v1_place(const struct rv_cgroups *c, const struct rv_cgroup_hierarchy *h,
                      const char *id) {
    char *dir = rv_cgroup_path(h, id);
    size_t n = strlen(h->folder);

    if (!is_shared(c, h))
        return dir;
    for (char *end = dir + strlen(dir); end > dir + n; end = strrchr(dir, '/')) {
        *end = '\0';
        if (access(dir, F_OK) == 0)
            return dir;
    }
    free(dir);
    return rv_cgroup_path(h, USUAL);
}

static int attach(const struct rv_cgroups *c, size_t i, const char *id, pid_t pid,
                  struct rv_error *err) {
    _cleanup_free_ char *dir = v1_place(c, &c->hierarchies[i], id);

    return rv_cgfs_set(err, dir, "cgroup.procs", "%d", (int)pid);
}

/* A group for devices that are not the usual ones, also when it has processes already, and one for
 * each that it lies in. What forks meanwhile may leave a child behind, whose turn is in the next
 * round. */
static int make_devices(const struct rv_cgroups *c, const char *id, struct rv_error *err) {
    const struct rv_cgroup_hierarchy *h = hierarchy_of(c, RV_CGROUP_DEVICES);
    size_t at = (size_t)(h - c->hierarchies), moved = 1;
    _cleanup_free_ char *dir = rv_cgroup_path(h, id), *first = rv_cgroup_path(c->hierarchies, id),
                        *above = rv_strdup(id);
    char *slash = strrchr(above, '/');
    int rc = 0;

    if (access(dir, F_OK) == 0)
        return 0;
    if (slash) {
        *slash = '\0';
        rc = make_devices(c, above, err);
    }
    if (rc)
        return rc;
    rc = make_folder(dir);
    if (rc)
        return rv_cgroup_fail(err, rc, "cannot make", dir, NULL);
    if (!slash)
        rc = write_devices(dir, c->usual, c->n_usual, err);
    for (int i = 0; i < MOVE_ROUNDS && moved && !rc; i++) {
        struct rv_cgfs_pids all = {0}, there = {0};
        rv_cgfs_pids(first, &all);
        rv_cgfs_pids(dir, &there);
        moved = 0;
        for (size_t k = 0; k < all.n; k++)
            if (!rv_cgfs_has(&there, all.v[k]))
                moved += attach(c, at, id, all.v[k], NULL) == 0; /* it may have ended */
        rv_vec_free(&all);
        rv_vec_free(&there);
    }
    return rc || !moved ? rc : rv_cgroup_fail(err, EBUSY, "cannot move all to", dir, NULL);
}

static int set_devices(const struct rv_cgroups *c, const char *id, const struct rv_cgroup_limits *l,
                       struct rv_error *err) {
    _cleanup_free_ char *dir = folder_of(c, id, RV_CGROUP_DEVICES);
    int rc = 0;

    if (c->usual && l->devices != c->usual)
        rc = make_devices(c, id, err);
    if (rc || (c->usual && l->devices == c->usual && access(dir, F_OK) != 0))
        return rc;
    return write_devices(dir, l->devices, l->n_devices, err);
}

/* Groups. */

static int make_group(struct rv_cgroups *c, size_t i, const char *id, struct rv_error *err) {
    const struct rv_cgroup_hierarchy *h = &c->hierarchies[i];
    _cleanup_free_ char *dir = rv_cgroup_path(h, id);
    int rc;

    if (is_shared(c, h))
        return make_usual(c, true, err);
    rc = make_folder(dir);
    /* An agent that died may have left it elsewhere, without processes. */
    if (rc == -EEXIST && i > 0) {
        rc = rv_cgfs_remove(dir);
        if (rc == 0)
            rc = make_folder(dir);
    }
    if (rc == -ENOENT && !strchr(id, '/')) {
        rc = make_own(h); /* somebody cleaned up */
        if (rc == 0)
            rc = make_folder(dir);
    }
    return rc ? rv_cgroup_fail(err, rc, "cannot make", dir, NULL) : 0;
}

static int v1_create(struct rv_cgroups *c, const char *id, struct rv_error *err) {
    for (size_t i = 0; i < c->n; i++) {
        int rc = make_group(c, i, id, err);
        if (rc == 0)
            continue;
        for (size_t k = i; rc != -RV_ERR_EXISTS && k-- > 0;) {
            _cleanup_free_ char *made = rv_cgroup_path(&c->hierarchies[k], id);
            (void)rmdir(made);
        }
        return rc;
    }
    return 0;
}

static int v1_fd(struct rv_cgroups *c, const char *id) {
    (void)c;
    (void)id;
    return -1;
}

static int v1_attach(struct rv_cgroups *c, const char *id, pid_t pid, struct rv_error *err) {
    int rc = 0;

    for (size_t i = 0; i < c->n && !rc; i++)
        rc = attach(c, i, id, pid, err);
    return rc;
}

static int v1_set(struct rv_cgroups *c, const char *id, const struct rv_cgroup_limits *l,
                  struct rv_error *err) {
    _cleanup_free_ char *cpu = folder_of(c, id, RV_CGROUP_CPU);
    _cleanup_free_ char *memory = folder_of(c, id, RV_CGROUP_MEMORY);
    _cleanup_free_ char *pids = folder_of(c, id, RV_CGROUP_PIDS);
    _cleanup_free_ char *cpuset = folder_of(c, id, RV_CGROUP_CPUSET);
    _cleanup_free_ char *io = folder_of(c, id, RV_CGROUP_IO);
    int rc = 0;

    if (pids)
        rc = l->pids_max < 0 ? rv_cgfs_set(err, pids, "pids.max", "max")
                             : rv_cgfs_set(err, pids, "pids.max", "%lld", (long long)l->pids_max);
    if (rc == 0 && l->devices && c->controllers & RV_CGROUP_DEVICES)
        rc = set_devices(c, id, l, err);
    if (rc == 0 && memory)
        rc = set_memory(memory, c->swap, l, err);
    if (rc == 0 && cpu)
        rc = set_cpu(cpu, l, err);
    if (rc == 0 && cpuset && !(l->fresh && !l->cpuset))
        rc = set_cpuset(cpuset, l->cpuset, err);
    if (rc == 0 && io && !(l->fresh && l->io_weight < 0))
        rc = set_io(io, l->io_weight, err);
    return rc;
}

/* Ends. */

/* What may have no more processes does not fork. It is killed again while it is not empty, so this
 * is not tried for long. */
static void v1_kill(struct rv_cgroups *c, const char *id) {
    _cleanup_free_ char *dir = rv_cgroup_path(&c->hierarchies[0], id);
    bool limited =
        c->hierarchies[0].controllers & RV_CGROUP_PIDS && rv_cgfs_write(dir, "pids.max", "0") == 0;

    rv_cgfs_kill_all(dir, limited ? LIMITED_ROUNDS : KILL_ROUNDS);
}

static bool v1_is_empty(struct rv_cgroups *c, const char *id) {
    _cleanup_free_ char *dir = rv_cgroup_path(&c->hierarchies[0], id);
    struct rv_cgfs_pids pids = {0};
    size_t n;

    rv_cgfs_pids(dir, &pids);
    n = pids.n;
    rv_vec_free(&pids);
    return n == 0;
}

static int v1_remove(struct rv_cgroups *c, const char *id, struct rv_error *err) {
    for (size_t i = c->n; i-- > 0;) {
        _cleanup_free_ char *dir = rv_cgroup_path(&c->hierarchies[i], id);
        int rc = rv_cgfs_remove(dir);
        if (rc)
            return rv_cgroup_fail(err, rc, "cannot remove", dir, NULL);
    }
    return 0;
}

/* What happened. */

/* The kernel counts where the process was: nested groups apart. */
static uint64_t oom_kills_in(const char *dir) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    char **names = rv_cgfs_children(dir);
    uint64_t n = 0;

    if (rv_cgfs_read(dir, "memory.oom_control", &text) == 0)
        n = rv_cgfs_key(&text, "oom_kill");
    for (size_t i = 0; names && names[i]; i++) {
        _cleanup_free_ char *child = rv_asprintf("%s/%s", dir, names[i]);
        n += oom_kills_in(child);
    }
    rv_cgfs_children_free(names);
    return n;
}

static uint64_t v1_oom_kills(struct rv_cgroups *c, const char *id) {
    _cleanup_free_ char *dir = folder_of(c, id, RV_CGROUP_MEMORY);

    return dir ? oom_kills_in(dir) : 0;
}

static int v1_oom_fd(struct rv_cgroups *c, const char *id) {
    _cleanup_free_ char *dir = folder_of(c, id, RV_CGROUP_MEMORY);
    _cleanup_free_ char *path = dir ? rv_asprintf("%s/memory.oom_control", dir) : NULL;
    char text[32];
    int event, control;

    if (!path)
        return -1;
    control = open(path, O_RDONLY | O_CLOEXEC);
    if (control < 0)
        return -1;
    event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    snprintf(text, sizeof text, "%d %d", event, control);
    if (event >= 0 && rv_cgfs_write(dir, "cgroup.event_control", text)) {
        close(event);
        event = -1;
    }
    close(control); /* the kernel has its own hold on it */
    return event;
}

const struct rv_cgroup_ops rv_cgroup_v1_ops = {
    .folder = folder_of,
    .begin_with = v1_begin_with,
    .close = v1_close,
    .create = v1_create,
    .fd = v1_fd,
    .place = v1_place,
    .attach = v1_attach,
    .set = v1_set,
    .kill = v1_kill,
    .is_empty = v1_is_empty,
    .remove = v1_remove,
    .oom_kills = v1_oom_kills,
    .oom_fd = v1_oom_fd,
    .read_stats = rv_cgroup_v1_read_stats,
};
