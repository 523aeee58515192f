/*
 * Between cgroup.c and the files of the two versions: the table of functions that a version gives,
 * and the helpers on cgroupfs that both use. Not for others.
 *
 * Helpers whose name begins with rv_cgfs_ return 0 (or a size) or -errno; rv_cgroup_fail makes an
 * error of it. Paths of groups are made of the agent's folder and a checked id (no dots in front,
 * no empty part), so that nothing outside the folder is ever reached.
 */
#ifndef RV_CONTAINERIZER_CGROUP_INTERNAL_H
#define RV_CONTAINERIZER_CGROUP_INTERNAL_H

#include "base/vec.h"
#include "containerizer/cgroup.h"

enum {
    RV_CGROUP_CPUACCT = 1 << 16, /* v1 only: times of use, apart from the cpu controller */
    RV_CGROUP_MAX_HIERARCHIES = 8,
    RV_CGROUP_PERIOD_US = 100000, /* of the cpu quota */
    RV_CGROUP_MIN_QUOTA_US = 1000 /* the kernel takes no less */
};

/* One hierarchy; on v2 there is one. */
struct rv_cgroup_hierarchy {
    char *mount;  /* where it is mounted */
    char *folder; /* the agent's in it */
    uint32_t controllers;
};

struct rv_cgroups {
    const struct rv_cgroup_ops *ops;
    enum rv_cgroup_version version;
    uint32_t controllers; /* with RV_CGROUP_CPUACCT */
    char *name;
    struct rv_buf missing; /* "no cpuset: not mounted, no io: ..." */
    /* v1: the first is the one that tells which groups are there and which processes are in them;
     * made first, removed last. */
    struct rv_cgroup_hierarchy hierarchies[RV_CGROUP_MAX_HIERARCHIES];
    size_t n;
    /* v1: the devices of groups that share one, of begin_with; NULL: each has its own. */
    const struct rv_cgroup_device *usual;
    size_t n_usual;
    bool swap;          /* v1: memory with swap can be limited */
    uint64_t low_total; /* v2: memory.low of all groups, which the folders above must have too */
};

struct rv_cgroup_ops {
    /* NULL: nothing is to be gained */
    int (*begin_with)(struct rv_cgroups *c, const struct rv_cgroup_limits *limits,
                      struct rv_error *err);
    /* What it has made in the agent's folder, which is to be removed; NULL: nothing */
    void (*close)(const struct rv_cgroup_hierarchy *h);
    int (*create)(struct rv_cgroups *c, const char *id, struct rv_error *err);
    int (*fd)(struct rv_cgroups *c, const char *id);
    /* The folder of a hierarchy that the group's own processes are in, malloc'ed. */
    char *(*place)(const struct rv_cgroups *c, const struct rv_cgroup_hierarchy *h, const char *id);
    int (*attach)(struct rv_cgroups *c, const char *id, pid_t pid, struct rv_error *err);
    int (*set)(struct rv_cgroups *c, const char *id, const struct rv_cgroup_limits *limits,
               struct rv_error *err);
    void (*kill)(struct rv_cgroups *c, const char *id);
    bool (*is_empty)(struct rv_cgroups *c, const char *id);
    int (*remove)(struct rv_cgroups *c, const char *id, struct rv_error *err);
    uint64_t (*oom_kills)(struct rv_cgroups *c, const char *id);
    int (*oom_fd)(struct rv_cgroups *c, const char *id);
    /* The group's folder where the controller is, malloc'ed; NULL if it is nowhere. */
    char *(*folder)(const struct rv_cgroups *c, const char *id, uint32_t controller);
    void (*read_stats)(struct rv_cgroups *c, const char *id, struct rv_cgroup_stats *out);
};

extern const struct rv_cgroup_ops rv_cgroup_v1_ops, rv_cgroup_v2_ops;

/* cgroup_stats.c; out is empty. */
void rv_cgroup_v1_read_stats(struct rv_cgroups *c, const char *id, struct rv_cgroup_stats *out);
void rv_cgroup_v2_read_stats(struct rv_cgroups *c, const char *id, struct rv_cgroup_stats *out);

/* Open one version: fill c's hierarchies, controllers and missing. -RV_ERR_UNSUPPORTED if nothing
 * of it can be used. The array of mounts is borrowed. */
struct rv_cgroup_mount {
    char *path;
    char *options; /* of the super block: "rw,cpu,cpuacct" */
    bool v2;
};
struct rv_cgroup_mounts {
    struct rv_cgroup_mount *v;
    size_t n, cap;
};
RV_MUST_USE int rv_cgroup_v1_open(struct rv_cgroups *c, const struct rv_cgroup_mounts *mounts);
RV_MUST_USE int rv_cgroup_v2_open(struct rv_cgroups *c, const struct rv_cgroup_mounts *mounts);

/* "cpu", "memory", ... as v1 or v2 calls it; NULL after the last. */
struct rv_cgroup_controller_name {
    uint32_t bit;
    const char *v1, *v2; /* NULL on v2: no controller of the hierarchy */
};
extern const struct rv_cgroup_controller_name rv_cgroup_controller_names[];
/* Puts "no <controller>: <why>" into c->missing. */
void rv_cgroup_miss(struct rv_cgroups *c, const char *controller, const char *format, ...)
    RV_PRINTF(3, 4);

/* The path of a group in a hierarchy; malloc'ed. */
char *rv_cgroup_path(const struct rv_cgroup_hierarchy *h, const char *id);
/* Error of an errno: which step on which file. */
RV_MUST_USE int rv_cgroup_fail(struct rv_error *err, int error, const char *verb, const char *dir,
                               const char *file);
/* A cpu weight in milli cpus as shares of v1, or as weight of v2 (the kernel's own mapping: 1,024
 * shares are a weight of 100); and a limit as quota in microseconds. */
int64_t rv_cgroup_shares(int64_t milli);
int64_t rv_cgroup_weight(int64_t milli);
int64_t rv_cgroup_quota(int64_t milli);

/* The whole file, replacing what out had. */
RV_MUST_USE int rv_cgfs_read(const char *dir, const char *file, struct rv_buf *out);
/* A number; "max" and v1's "about 2^63" are UINT64_MAX. */
RV_MUST_USE int rv_cgfs_read_u64(const char *dir, const char *file, uint64_t *out);
/* The number behind `key` at the begin of a line; 0 if it is not there. */
uint64_t rv_cgfs_key(const struct rv_buf *text, const char *key);
int rv_cgfs_write(const char *dir, const char *file, const char *text);
/* As above, formatted, with an error that names the file, what was written, and errno. */
RV_MUST_USE int rv_cgfs_set(struct rv_error *err, const char *dir, const char *file,
                            const char *format, ...) RV_PRINTF(4, 5);
bool rv_cgfs_exists(const char *dir, const char *file);
/* Names of the folders in dir; NULL-terminated, everything malloc'ed; NULL if dir cannot be read
 * (errno says why). */
char **rv_cgfs_children(const char *dir);
/* The same with all entries: /sys/block has links. */
char **rv_cgfs_entries(const char *dir);
void rv_cgfs_children_free(char **names); /* NULL is fine */
/* Removes dir and what is below it. 0 also if it was not there. */
RV_MUST_USE int rv_cgfs_remove(const char *dir);

/* Forks refused, below the group too: the kernel counts them where the process was; from 6.11 on v2
 * also above, and then there is pids.events.local. */
uint64_t rv_cgfs_refused_forks(const char *dir);

struct rv_cgfs_pids {
    pid_t *v;
    size_t n, cap;
};
/* Adds the processes of dir and of all below it. */
void rv_cgfs_pids(const char *dir, struct rv_cgfs_pids *out);
bool rv_cgfs_has(const struct rv_cgfs_pids *pids, pid_t pid);
/* SIGKILL to all of them but us, and again until no new one is seen. At most `rounds`. */
void rv_cgfs_kill_all(const char *dir, int rounds);
void rv_cgfs_pause(void); /* 1 ms */

/* Devices: r, w, m as bits of the kernel's BPF interface. */
enum { RV_CGROUP_MKNOD = 1, RV_CGROUP_READ = 2, RV_CGROUP_WRITE = 4 };
struct rv_cgroup_rule {
    char type;
    int32_t major, minor;
    uint8_t access;
};
struct rv_cgroup_rules {
    struct rv_cgroup_rule *v;
    size_t n, cap;
};
/* Adds the bits to the rule of the same device, or a rule. */
void rv_cgroup_rules_add(struct rv_cgroup_rules *rules, struct rv_cgroup_rule rule);
/* Checks and merges an allow-list. */
RV_MUST_USE int rv_cgroup_rules_of(const struct rv_cgroup_limits *limits,
                                   struct rv_cgroup_rules *out, struct rv_error *err);
/* v2, cgroup_bpf.c: makes the list the one of the group at dir; what is open stays open. */
RV_MUST_USE int rv_cgroup_bpf_set(const char *dir, const struct rv_cgroup_rules *rules,
                                  struct rv_error *err);
/* 0 if the kernel takes such programs from us, else -errno. */
RV_MUST_USE int rv_cgroup_bpf_probe(void);

#endif
