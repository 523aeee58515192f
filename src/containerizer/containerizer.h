/*
 * The containerizer's interface: what the agent's shell asks of whatever runs its containers. The
 * built-in ones are `process` (a session of its own, no isolation) and, with the isolation issue,
 * `linux`. All calls are made on the loop's thread; answers come by callback, on the loop.
 */
#ifndef RV_CONTAINERIZER_CONTAINERIZER_H
#define RV_CONTAINERIZER_CONTAINERIZER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/error.h"
#include "base/str.h"
#include "containerizer/cgroup.h"
#include "containerizer/network_usage.h"
#include "containerizer/terminal.h"
#include "model/enums.h"
#include "model/resources.h"

struct rv_containerizer;

/* A limit of one kind of resource of a process; values as in getrlimit(2), never above the agent's
 * hard limit. */
struct rv_container_rlimit {
    int resource; /* RLIMIT_... */
    uint64_t soft, hard;
};

/* Hard limits of a container. */
struct rv_container_limits {
    int64_t cpu_milli; /* 0: none, or with cpu_quota the request; -1: none */
    int64_t mem_bytes; /* 0: the request; -1: none */
};

/* Something from elsewhere that a container sees at `target`: absolute, or below its sandbox. */
enum rv_volume_source {
    RV_VOLUME_HOST,    /* path: absolute, on the machine; what the container's user may reach */
    RV_VOLUME_SANDBOX, /* path: below the container's sandbox; a folder is made if it is not there
                        */
    RV_VOLUME_PARENT,  /* the same below that of the container it is nested in */
    RV_VOLUME_SECRET,  /* data: a file with it, in memory, of the container's user alone */
    RV_VOLUME_KEPT     /* path: absolute, a folder that the agent keeps for containers: a persistent
                          volume. Without isolation a symbolic link, which keeps nobody from writing */
};
struct rv_container_volume {
    enum rv_volume_source source;
    const char *path;
    struct rv_str data;
    const char *target;
    bool read_only;
};

/* What isolates a container; zero is the default of each. `process` gives none of it. */
struct rv_container_isolation {
    struct rv_container_limits limits;
    /* Where its memory limit is above what it asked for: when the whole machine runs out of memory,
     * the kernel kills in here first, the rather the less it asked for. */
    bool bursts;
    bool share_cgroup;        /* nested: in its parent's groups, not in its own */
    bool share_pid_namespace; /* sees its parent's processes; not nested: the machine's */
    bool share_ipc;           /* not nested: the machine's IPC and /dev/shm */
    bool own_ipc;             /* nested: its own, else its parent's */
    uint64_t shm_bytes;       /* of /dev/shm, if it has one; 0: the default */
    bool debug;            /* joins all namespaces of its parent: LAUNCH_NESTED_CONTAINER_SESSION */
    bool unconfined;       /* no seccomp profile */
    struct rv_str seccomp; /* compiled, an array of struct sock_filter; none: the default profile */
    bool own_network;      /* a network namespace of its own, with loopback only */
    bool has_capabilities; /* else the default set */
    uint64_t bounding, effective; /* bits by number of the capability */
    bool ambient;                 /* a user who is not root has the effective ones, too */
    const struct rv_container_rlimit *rlimits;
    size_t n_rlimits;
    const struct rv_container_volume *volumes;
    size_t n_volumes;
    const char *hostname; /* NULL: the container's id; nested: its parent's */
};

struct rv_container_config {
    const char *id;             /* "uuid" or "parent.child" */
    const char *const *argv;    /* NULL-terminated */
    const char *program;        /* a path, or searched in env's PATH; NULL: argv[0] is that */
    const char *const *env;     /* NULL-terminated "NAME=value"; nothing else is inherited */
    const char *directory;      /* the sandbox; made by the containerizer (0700, owned by user) */
    const char *work_directory; /* where it starts; NULL: in the sandbox */
    const char *user;           /* NULL: the agent's own */
    const struct rv_resources *resources;
    uint64_t log_max_bytes; /* stdout and stderr rotate at this size, 10 MiB */
    unsigned log_keep;      /* rotated files kept, 1 */
    bool survive;           /* goes on when the agent ends (checkpointing) */
    bool keep_status;       /* and how it ended is known to the next agent, also if it was its */
                            /* parent no more: costs `process` one process more */
    const int *stdio; /* NULL: stdout and stderr are files in the sandbox, stdin is empty; else
                         three descriptors that are duplicated, the caller's to close */
    bool tty; /* instead: it has a terminal, found by its name in there, see `terminal`; one that is
                 to survive keeps it without the agent, and its output goes to stdout then */
    unsigned short rows, columns;                   /* of the terminal */
    const struct rv_container_isolation *isolation; /* NULL: all defaults */
};

/* What it uses now, with all that is nested in it. */
struct rv_container_usage {
    int64_t timestamp_ns;
    bool has_processes, has_threads;
    unsigned processes, threads;
    struct rv_cgroup_stats groups; /* `process` knows some of it: cpu times, rss, total */
    bool has_network;              /* of its own */
    struct rv_network_usage network;
};
void rv_container_usage_free(struct rv_container_usage *u); /* for _cleanup_ too */

/* How a container ended; zero says nothing, but for the reason: RV_REASON_NONE. */
struct rv_container_end {
    bool has_status;
    int32_t wait_status;
    enum rv_reason reason; /* of what the kernel or the containerizer did to it */
    const char *message;   /* in words; may be NULL */
    /* What it used of that of which it may not use so much; NULL: no limit, or none that is a
     * resource. TaskResourceLimitation. */
    const struct rv_resources *limitation;
};

/* A container of an earlier agent. */
struct rv_container_found {
    const char *id, *directory;
    bool started; /* it was about to run at least */
    bool there;   /* it runs, or has told how it ended: on_exited will follow */
};
typedef bool (*rv_container_wanted)(void *ctx, const struct rv_container_found *found);

/* What is found again after the agent has died, a file a container (state.h). */
struct rv_container_records {
    const char *folder;
    const char *before; /* where an agent before this one kept them: read, and emptied; or NULL */
    const char *name;   /* unlike that of any other agent on the machine */
};

struct rv_containerizer_callbacks {
    /* After launch(): the process runs (ok), or why not. */
    void (*on_launched)(void *ctx, const char *id, bool ok, const char *message);
    /* Once for each launched or recovered container, when nothing of it is left. */
    void (*on_exited)(void *ctx, const char *id, const struct rv_container_end *end);
};

struct rv_containerizer_ops {
    const char *name;
    int (*create)(uv_loop_t *loop, const struct rv_container_records *records,
                  const struct rv_containerizer_callbacks *cb, void *ctx,
                  struct rv_containerizer **out, struct rv_error *err);
    /* Kills what does not survive, forgets the rest; no callback after. */
    void (*destroy_all)(struct rv_containerizer *c);
    /* Finds the containers of an earlier agent and asks about those that were to survive it. All
     * that are not wanted are killed, and nobody hears of them any more. */
    int (*recover)(struct rv_containerizer *c, rv_container_wanted wanted, void *ctx,
                   struct rv_error *err);
    void (*launch)(struct rv_containerizer *c, const struct rv_container_config *config);
    /* Kills all processes of the container; on_exited follows. Unknown ids: nothing happens. */
    void (*destroy)(struct rv_containerizer *c, const char *id);
    /* The same for a limit that it went over: on_exited will say what `why` does, but the status.
     * Of several reasons the first counts. */
    void (*limit)(struct rv_containerizer *c, const char *id, const struct rv_container_end *why);
    /* Whether it has gone over a limit up to now, maybe unnoticed yet: asks the kernel; one that
     * has not failed is not asked for processes that it could not start. What `why` points to is
     * valid until the next call. */
    bool (*is_limited)(struct rv_containerizer *c, const char *id, bool failed,
                       struct rv_container_end *why);
    void (*update)(struct rv_containerizer *c, const char *id, const struct rv_resources *r,
                   const struct rv_container_limits *limits);
    /* Shows a volume of the kind KEPT, below the sandbox, in a container that runs; it may be there
     * already. */
    int (*attach)(struct rv_containerizer *c, const char *id, const struct rv_container_volume *v,
                  struct rv_error *err);
    /* It is not seen there any more, but by what uses it already; or was not there. */
    int (*detach)(struct rv_containerizer *c, const char *id, const struct rv_container_volume *v,
                  struct rv_error *err);
    /* 0, or -RV_ERR_NOT_FOUND. out is overwritten, and the caller's to free. Changes nothing but
     * what it keeps for the next time, so a forked child may ask, too. */
    int (*usage)(struct rv_containerizer *c, const char *id, struct rv_container_usage *out,
                 struct rv_error *err);
    /* A folder whose cgroup.procs, with those of all folders below it, tell the processes of the
     * container; malloc'ed; NULL: there is none. */
    char *(*group)(struct rv_containerizer *c, const char *id);
    /* The pid of the container's first process, 0 if unknown. */
    pid_t (*pid)(struct rv_containerizer *c, const char *id);
    /* Our end of the terminal of a container that was launched with one, or that was found and has
     * kept it: the caller's from then on, so it is given once. */
    struct rv_terminal (*terminal)(struct rv_containerizer *c, const char *id);
    /* What isolates its containers, and what is missing and why: for the agent's first log line. */
    const char *(*describe)(struct rv_containerizer *c);
};

/* Every containerizer starts with this. */
struct rv_containerizer {
    const struct rv_containerizer_ops *ops;
    uint64_t destroy_errors; /* containers that were not removed when they should have been */
};

extern const struct rv_containerizer_ops rv_process_containerizer;
/* Needs root and control groups: its create() says what is missing. */
extern const struct rv_containerizer_ops rv_linux_containerizer;

/* What a container has that asks for no capabilities: what is common, less NET_RAW and MKNOD. */
extern const uint64_t rv_linux_default_capabilities;

/* What the `linux` containerizer does not know by itself; to be set before the first launch. */
struct rv_linux_settings {
    const char *work_dir; /* absolute: covered in each container, but for its own sandbox */
    const char *secrets;  /* a folder that is covered, too; or NULL */
    const char *runtime;  /* likewise */
    /* Paths in there that containers may read and run, NULL-terminated; or NULL. */
    const char *const *programs;
    const char *executor; /* our executor's; a container of it executes no file; or NULL */
    uint64_t tmp_bytes;   /* of the private /tmp; 0: 64 MiB */
    uint64_t shm_bytes;   /* of /dev/shm; 0: 64 MiB */
    int64_t pids_max;     /* of a container; 0: 4,096 */
    uint64_t give_up_ms;  /* with what cannot be removed: its end is told then; 0: 30 s */
    bool cpu_quota;       /* a container gets no more cpu than it asked for */
};
void rv_linux_containerizer_set(struct rv_containerizer *c, const struct rv_linux_settings *s);
/* Whether the kernel can keep what resources of an agent promise: `cpuset`, ranges of processors to
 * which a container that has some of them is bound, and `io_weight`, 10 to 1,000. */
RV_MUST_USE int rv_linux_containerizer_offers(struct rv_containerizer *c,
                                              const struct rv_resources *total,
                                              struct rv_error *err);

#endif
