/*
 * Between linux.c, which keeps the life of containers, and linux_start.c, which makes one. Not for
 * others.
 */
#ifndef RV_CONTAINERIZER_LINUX_INTERNAL_H
#define RV_CONTAINERIZER_LINUX_INTERNAL_H

#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "containerizer/cgroup.h"
#include "containerizer/containerizer.h"
#include "containerizer/launcher.h"
#include "containerizer/report.h"
#include "containerizer/sandbox.h"
#include "containerizer/state.h"
#include "containerizer/verdict.h"

struct rv_linux_notice {
    char *id, *message;
};

/* One of control groups, below /sys/fs/cgroup. */
struct rv_linux_hierarchy {
    char *mount;  /* where it is mounted */
    char *folder; /* the agent's in it, if each container has a group there; else NULL */
};

struct rv_linux {
    struct rv_containerizer base;
    uv_loop_t *loop;
    struct rv_containerizer_callbacks cb;
    void *ctx;
    char *state_dir, *before; /* folders of records; before: of an earlier agent, or NULL */
    RV_VEC(char *) hidden;    /* folders that are covered in containers */
    RV_VEC(char *) programs;  /* that stay visible in there */
    char *executor;           /* ours, which init's program is, too; or NULL */
    uint64_t tmp_bytes, shm_bytes, give_up_ms;
    int64_t pids_max;
    bool cpu_quota;
    char boot_id[64];
    unsigned spares; /* records to be used again, see state.h */
    struct rv_cgroups *groups;
    struct rv_buf seccomp; /* the compiled profile */
    struct rv_buf described;
    RV_VEC(struct rv_linux_hierarchy) hierarchies; /* of control groups, that containers see */
    RV_VEC(char *) unseen;                         /* file systems that are not kept in use */
    bool has_unseen;
    int mounts;                             /* the machine's, see mountinfo.h */
    int image;                              /* init's program, sealed */
    struct rv_map containers;               /* by id, all that are not over */
    RV_VEC(struct rv_linux_notice) notices; /* of launches that failed at once */
    uv_timer_t notify, logs;
    bool rotating, closing;
    unsigned handles;        /* that are open */
    struct rv_verdict asked; /* the answer of is_limited */
};

enum rv_linux_watch { RV_LINUX_EXIT, RV_LINUX_REPORT, RV_LINUX_OOM, RV_LINUX_WATCHES };

struct rv_linux_container {
    struct rv_linux *c;
    char *id;
    const char *records; /* the folder that its record is in */
    char *group;         /* NULL: in its parent's */
    struct rv_container_state state;
    int pidfd;
    struct rv_report report; /* its descriptor is the watch's, once there is one */
    struct rv_linux_poll {
        uv_poll_t poll;
        struct rv_linux_container *k;
        int fd;
        bool open;
    } watches[RV_LINUX_WATCHES];
    uv_timer_t timer; /* of its end, or of a second look for a kill for want of memory */
    bool has_timer;
    unsigned open; /* handles */
    bool launched; /* on_launched has been called */
    bool silent;   /* nobody wants to hear of its end */
    bool is_child, reaped, dying, killed;
    bool destroyed;  /* it lived when it was to be killed */
    int init_status; /* as waited for */
    unsigned tries;
    uint64_t dying_since_ms;
    bool gave_up;       /* it was counted as one that cannot be removed */
    bool out_of_memory; /* the kernel has told so, of its groups themselves */
    struct rv_verdict verdict;
};

/* One launch. */
struct rv_linux_launch {
    const struct rv_container_config *config;
    const struct rv_container_isolation *isolation;
    struct rv_sandbox_user user;
    struct rv_linux_container *parent; /* NULL: it is not nested */
    struct rv_launcher_start start;
    int sandbox, record; /* open; -1: not yet */
};

/* linux_start.c: sandbox, record, groups, orders, process. On failure nothing is left of it but
 * maybe groups, which the caller removes. Fills state, pidfd and report. */
RV_MUST_USE int rv_linux_start(struct rv_linux_container *k,
                               const struct rv_container_config *config, struct rv_error *err);
/* Limits of its groups, from resources and what it was launched with. */
RV_MUST_USE int rv_linux_limit(struct rv_linux_container *k, const struct rv_resources *resources,
                               bool fresh, struct rv_error *err);
/* linux_limits.c: limits that a resource of a certain name asks for. */
struct rv_linux_special {
    struct rv_buf cpuset; /* "0-1,3-3", the caller's to free; empty: any */
    int64_t io_weight;    /* -1: the usual */
};
void rv_linux_read_special(const struct rv_resources *resources, struct rv_linux_special *out);
extern const struct rv_cgroup_limits rv_linux_no_limits;
/* For one that bursts: how soon the kernel kills it when the machine is short of memory. */
void rv_linux_set_score(const struct rv_linux_container *k, const struct rv_resources *resources);
/* Whether the kernel has killed in it for want of memory; then its verdict says so,
 * and it is to be destroyed. */
bool rv_linux_look_for_oom(struct rv_linux_container *k);
/* Whether it could not make processes; a failure has that as its reason, if it has no better. */
void rv_linux_look_for_pids(const struct rv_linux_container *k, struct rv_verdict *out);
/* The agent's folder of groups. */
RV_MUST_USE int rv_linux_open_groups(struct rv_linux *c, const char *name, struct rv_error *err);
/* linux_orders.c: what init is told; the caller closes *fd. */
RV_MUST_USE int rv_linux_write_orders(const struct rv_linux_container *k,
                                      const struct rv_linux_launch *l, int *fd,
                                      struct rv_error *err);
/* linux_volumes.c: shows a KEPT volume in a container that runs, or hides it. */
RV_MUST_USE int rv_linux_visit_volume(const struct rv_linux_container *k,
                                      const struct rv_container_volume *v, bool attach,
                                      struct rv_error *err);
/* linux_mounts.c. Which hierarchies there are; once, when the groups are open. */
RV_MUST_USE int rv_linux_find_hierarchies(struct rv_linux *c, struct rv_error *err);
void rv_linux_forget_hierarchies(struct rv_linux *c);
/* Which file systems are mounted where containers see nothing of them, as of now. */
RV_MUST_USE int rv_linux_find_unseen(struct rv_linux *c, struct rv_error *err);
void rv_linux_forget_unseen(struct rv_linux *c);
/* Or is that folder; NULL has nothing below it. */
bool rv_linux_is_below(const char *path, const char *folder);
/* "a.b" is the group "a/b". */
char *rv_linux_group_of(const char *id);

#endif
