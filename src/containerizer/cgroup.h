/*
 * Control groups behind one interface, a file for each version: v1 (a hierarchy a controller), v2
 * (one for all), and hybrid, which is v1 here: the controllers are what counts. All groups of one
 * agent lie below a folder of its own, so that an agent that comes back finds them again.
 *
 * Calls are synchronous and short (writes to cgroupfs); removal can be busy and says so, the caller
 * tries again with backoff.
 */
#ifndef RV_CONTAINERIZER_CGROUP_H
#define RV_CONTAINERIZER_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"

struct rv_cgroups;

enum rv_cgroup_version { RV_CGROUP_NONE, RV_CGROUP_V1, RV_CGROUP_V2 };

/* Controllers, as bits of what is there and usable. */
enum rv_cgroup_controller {
    RV_CGROUP_CPU = 1 << 0, /* with cpuacct on v1 */
    RV_CGROUP_MEMORY = 1 << 1,
    RV_CGROUP_PIDS = 1 << 2,
    RV_CGROUP_CPUSET = 1 << 3,
    RV_CGROUP_IO = 1 << 4,      /* blkio on v1 */
    RV_CGROUP_DEVICES = 1 << 5, /* a BPF program on v2 */
    RV_CGROUP_FREEZER = 1 << 6, /* used on v2 only */
};

/* One allowed device: type 'c' or 'b', -1: any number; access of r, w, m. */
struct rv_cgroup_device {
    char type;
    int32_t major, minor;
    char access[4];
};

/* What a group is limited to. It is the whole wish: -1 or NULL takes a limit away that was set
 * before, but for devices, where NULL leaves what is. */
struct rv_cgroup_limits {
    int64_t cpu_request_milli; /* weight: 1,024 shares a cpu on v1, the kernel's mapping on v2 */
    int64_t cpu_limit_milli;   /* hard quota over 100 ms; -1: none */
    int64_t mem_request_bytes; /* soft limit, memory.low on v2 */
    int64_t mem_limit_bytes;   /* hard limit; swap off */
    int64_t pids_max;
    const char *cpuset;                     /* "0-1,3" */
    int64_t io_weight;                      /* 10..1000 */
    const struct rv_cgroup_device *devices; /* allow-list; NULL: as the parent */
    size_t n_devices;
    bool fresh; /* of a group that has just been made: only what is not so from the start is set */
};

/* Finds the hierarchies and makes the agent's own folder, `name` ("reeve/4f2a..."), in each.
 * -RV_ERR_UNSUPPORTED: no usable hierarchy; says which controllers are missing and why. */
RV_MUST_USE int rv_cgroups_open(const char *name, struct rv_cgroups **out, struct rv_error *err);
/* Frees; with remove_own, the agent's folder too if it is empty. */
struct rv_cgroups *rv_cgroups_close(struct rv_cgroups *c, bool remove_own);
/* What most groups will be set to: only the devices count, which must outlive c. Setting them costs
 * less then. */
RV_MUST_USE int rv_cgroups_begin_with(struct rv_cgroups *c, const struct rv_cgroup_limits *limits,
                                      struct rv_error *err);
enum rv_cgroup_version rv_cgroups_version(const struct rv_cgroups *c);
uint32_t rv_cgroups_controllers(const struct rv_cgroups *c);
/* "v1 (cpu, memory, pids; no cpuset: not mounted)" for the agent's first log line. */
void rv_cgroups_describe(const struct rv_cgroups *c, struct rv_buf *out);

/* The agent's folder below `mount`, which is where one of its hierarchies is mounted, if not the
 * only place; malloc'ed. NULL: the hierarchy is none in which each group has a folder. */
char *rv_cgroups_seen_at(const struct rv_cgroups *c, const char *mount);

/* Groups by id: "uuid" or "uuid/child" for a nested one. No part of an id begins with a dot: on v2
 * a group's own processes move to a folder ".own" of it when a nested one gets limits, because then
 * only leaves may have some. */
/* -RV_ERR_EXISTS: it is there, whole or in part (remove it); -RV_ERR_NOT_FOUND: the parent of a
 * nested one is not. */
RV_MUST_USE int rv_cgroup_create(struct rv_cgroups *c, const char *id, struct rv_error *err);
/* An open directory for CLONE_INTO_CGROUP (v2), which the caller closes, or -1 where only attach
 * works. */
int rv_cgroup_fd(struct rv_cgroups *c, const char *id);
/* Opens the files (at most max) by which a process of one thread moves itself in, in every
 * hierarchy, if it writes "0" to each. It need not wait for other moves then, as attach does for
 * milliseconds on v1. Returns how many; the caller closes them. */
RV_MUST_USE int rv_cgroup_enter_fds(struct rv_cgroups *c, const char *id, int *fds, size_t max,
                                    struct rv_error *err);
/* Moves a process, in every hierarchy. */
RV_MUST_USE int rv_cgroup_attach(struct rv_cgroups *c, const char *id, pid_t pid,
                                 struct rv_error *err);
/* Also on a running group; a limit below what is in use is set as far as the kernel allows: never
 * does it kill (read_stats tells the limit that holds). Soft limits stay below hard ones at every
 * moment. -RV_ERR_UNSUPPORTED: a limit is asked for which there is no controller; look at
 * rv_cgroups_controllers before. Nested on v2: call it before the group has processes, what they
 * used up to then stays accounted to the parent. */
RV_MUST_USE int rv_cgroup_set(struct rv_cgroups *c, const char *id,
                              const struct rv_cgroup_limits *limits, struct rv_error *err);
/* The folder whose cgroup.procs, with those of the folders below it, tell the processes of the
 * group; malloc'ed. */
char *rv_cgroup_folder(const struct rv_cgroups *c, const char *id);
/* SIGKILL to every process; where there is no cgroup.kill, it may make no more processes from then
 * on, so that none forks away. For a group that is to be removed. Call it again while the group is
 * not empty: a process that is being forked may be missed. */
void rv_cgroup_kill(struct rv_cgroups *c, const char *id);
bool rv_cgroup_is_empty(struct rv_cgroups *c, const char *id); /* no process, below it neither */
/* 0, -RV_ERR_CONFLICT while it is busy (try again), other errors name path and errno. Removes the
 * groups below it first. A group that is not there is fine. */
RV_MUST_USE int rv_cgroup_remove(struct rv_cgroups *c, const char *id, struct rv_error *err);
/* Ids of the groups that are there (not nested ones), malloc'ed strings in a malloc'ed array. */
RV_MUST_USE int rv_cgroup_list(struct rv_cgroups *c, char ***ids, size_t *n, struct rv_error *err);
/* How many times the kernel has killed in the group for want of memory. v2 kills the whole group
 * and counts the first process twice: what matters is that it grew. 0 on v2 if it was the limit of
 * a group above or below that was reached; v1 does not say, but the descriptor below does. */
uint64_t rv_cgroup_oom_kills(struct rv_cgroups *c, const char *id);
/* A descriptor that tells when that number may have changed: poll for EPOLLIN on v1 (an eventfd),
 * EPOLLPRI on v2 (a file that is always readable); -1 if there is none. The caller drains it with
 * rv_cgroup_oom_drain and closes it. v1 tells it just before the kill, and once more when the group
 * is removed: read the number when a process has ended, too. On v1 it is about the limits of the
 * group and those above it, never of those below. */
int rv_cgroup_oom_fd(struct rv_cgroups *c, const char *id);
/* Whether it had told something, as far as that can be known: always on v2. */
bool rv_cgroup_oom_drain(int fd);

/* Whether a process or thread of the group could not be made for its pids_max; how many times, and
 * what that is. */
bool rv_cgroup_refused_forks(struct rv_cgroups *c, const char *id, uint64_t *refused,
                             uint64_t *limit);

/* Block I/O of a group on one disk, by kind; UINT64_MAX: the kernel does not tell. */
enum rv_cgroup_io {
    RV_CGROUP_IO_READ,
    RV_CGROUP_IO_WRITE,
    RV_CGROUP_IO_SYNC,
    RV_CGROUP_IO_ASYNC,
    RV_CGROUP_IO_DISCARD,
    RV_CGROUP_IO_TOTAL,
    RV_CGROUP_IO_MAX
};
struct rv_cgroup_disk {
    uint32_t major, minor;
    uint64_t bytes[RV_CGROUP_IO_MAX], operations[RV_CGROUP_IO_MAX];
};

/* Stall information: how long some, or all, of the group's processes have waited. */
struct rv_cgroup_pressure {
    bool known;
    double some_percent, full_percent; /* of the last 10 s */
    double some_s, full_s;             /* since the group was made */
};
enum {
    RV_CGROUP_PRESSURE_CPU,
    RV_CGROUP_PRESSURE_MEMORY,
    RV_CGROUP_PRESSURE_IO,
    RV_CGROUP_PRESSURES
};

/* What the kernel counts; a field is valid if its bit is in `has`. What is nested counts too. */
struct rv_cgroup_stats {
    uint32_t has; /* enum rv_cgroup_controller bits */
    double cpu_user_s, cpu_system_s;
    bool has_throttling;
    int64_t cpu_request_milli, cpu_limit_milli; /* -1: none */
    uint64_t cpu_periods, cpu_throttled;
    double cpu_throttled_s;
    /* UINT64_MAX: no limit, or not told */
    uint64_t mem_total, mem_rss, mem_cache, mem_mapped, mem_swap, mem_unevictable, mem_anon,
        mem_file, mem_limit, mem_soft_limit, mem_kernel, mem_kernel_tcp, mem_with_swap;
    uint64_t mem_peak;          /* the most it was; 0: the kernel does not tell */
    uint64_t pids, pids_events; /* threads, too; pids_events: forks refused */
    uint64_t processes;
    uint64_t io_read_bytes, io_write_bytes, io_reads, io_writes; /* of all disks */
    struct {
        struct rv_cgroup_disk *v;
        size_t n, cap;
    } disks;
    struct rv_cgroup_pressure pressure[RV_CGROUP_PRESSURES];
};
/* out is overwritten, and the caller's to free. */
void rv_cgroup_read_stats(struct rv_cgroups *c, const char *id, struct rv_cgroup_stats *out);
void rv_cgroup_stats_free(struct rv_cgroup_stats *s);

#endif
