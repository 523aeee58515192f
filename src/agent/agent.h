/*
 * The agent's core: a deterministic state machine, as the master's (master/master.h): an event goes
 * in with its time, effects come out. Decides registration, executors, tasks, status update
 * streams, checkpoints, recovery and garbage collection.
 *
 * `request` and `stream` are the shell's numbers, never reused, 0 is none. Pointers in events are
 * borrowed for the step, in effects until rv_agent_effects_clear.
 */
#ifndef RV_AGENT_AGENT_H
#define RV_AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "model/agent_info.h"
#include "model/channel.h"
#include "model/executor_api.h"

struct rv_agent;

struct rv_agent_config {
    uint64_t seed;
    const struct rv_agent_info *info; /* without id */
    const char *work_dir;             /* absolute; sandboxes lie below it */
    const char *boot_id;              /* of the machine, to tell a reboot */
    const char *default_user;         /* who tasks run as if nobody is named */
    const char *containerizer;        /* its name: containers of another one cannot be taken over */
    /* Recovery. */
    bool cleanup;  /* all that an earlier agent left is ended, then the agent ends */
    bool lenient;  /* what does not fit is passed over; else it is refused (INV-19) */
    bool additive; /* the agent may have more than before; else it must be as before (INV-20) */
    bool any_port; /* it was chosen by chance: it may differ */
    const char *const *detected; /* names of resources that nobody asked for; may be NULL */
    size_t n_detected;
    bool cpu_quota; /* containers get no more cpu than they ask for, if they name no limit */
    /* Times; 0 takes the default named. Each is a flag. */
    int64_t registration_backoff_ms;     /* 1,000: the first; doubles with jitter to */
    int64_t registration_backoff_max_ms; /* 60,000 (INV-21) */
    int64_t executor_registration_ms;    /* 60,000 */
    int64_t executor_reregistration_ms;  /* 2,000 (INV-18) */
    int64_t executor_shutdown_grace_ms;  /* 5,000 */
    int64_t recovery_timeout_ms;         /* 900,000, told to executors */
    int64_t update_retry_ms;             /* 10,000: the first; doubles to */
    int64_t update_retry_max_ms;         /* 600,000 (INV-35) */
    int64_t heartbeat_ms;                /* 15,000 (INV-46) */
    int64_t gc_delay_ms;                 /* 604,800,000: sandboxes are kept a week at most */
    int64_t gc_disk_headroom_ppm;        /* of the disk, that is to stay free; 0 is 0 */
    size_t max_completed_frameworks;     /* 50 */
    size_t max_completed_executors;      /* of one framework, 150 */
    size_t max_completed_tasks;          /* of one executor, 200 */
    size_t max_statuses;                 /* kept of one task, 8 */
};

enum rv_agent_input_kind {
    RV_AGENT_TICK,
    RV_AGENT_MASTER_FOUND,       /* there is a leading master: register with it */
    RV_AGENT_MASTER_NONE,        /* no leader is known: INV-3 */
    RV_AGENT_MASTER_EVENT,       /* from the stream */
    RV_AGENT_MASTER_LOST,        /* the stream ended, or could not be opened */
    RV_AGENT_MASTER_REFUSED,     /* a call was answered by `status`; a registration too */
    RV_AGENT_EXECUTOR_CALL,      /* request; for SUBSCRIBE: stream */
    RV_AGENT_STREAM_CLOSED,      /* an executor's */
    RV_AGENT_CONTAINER_LAUNCHED, /* container: it runs, or message says why it does not */
    RV_AGENT_CONTAINER_EXITED,   /* container: with its wait status; everything of it is gone */
    RV_AGENT_CHECKPOINT_DONE,    /* checkpoint */
    RV_AGENT_DISK_SEEN,          /* used_ppm: how full the disk of the sandboxes is */
    RV_AGENT_STOP,               /* the operator ends the agent: unregister; tasks go on if
                                    checkpointed, else are killed */
    RV_AGENT_INPUT_MAX
};

struct rv_agent_input {
    enum rv_agent_input_kind kind;
    int64_t now_ms, wall_ns;
    uint64_t request, stream;
    union {
        const struct rv_agent_event *master;
        int status; /* MASTER_REFUSED: HTTP */
        int64_t used_ppm;
        const struct rv_executor_call *executor;
        struct {
            struct rv_container_id id;
            bool ok;                    /* LAUNCHED: it runs */
            bool has_status;            /* EXITED: status is known (an orphan's is not) */
            int32_t status;             /* wait status */
            enum rv_reason reason;      /* EXITED: why the containerizer ended it, or NONE */
            const char *message;        /* may be NULL */
            struct rv_blob *limitation; /* packed TaskResourceLimitation, NULL: none */
        } container;
        struct {
            uint64_t seq;
            bool ok;
            const char *message; /* why not */
        } checkpoint;
    };
};

enum rv_agent_effect_kind {
    RV_AGENT_REPLY,         /* request: status, message */
    RV_AGENT_OPEN_STREAM,   /* request becomes stream: 200 */
    RV_AGENT_SEND_EXECUTOR, /* stream: executor event */
    RV_AGENT_CLOSE_STREAM,  /* stream */
    RV_AGENT_REGISTER,      /* call: open the stream to the master with it (an older one ends) */
    RV_AGENT_SEND_MASTER,   /* call: in order with the others */
    RV_AGENT_DISCONNECT_MASTER, /* end the stream, drop calls under way */
    RV_AGENT_LAUNCH_CONTAINER,  /* launch */
    RV_AGENT_DESTROY_CONTAINER, /* container: kill all of it; CONTAINER_EXITED follows */
    RV_AGENT_UPDATE_CONTAINER,  /* launch: its resources changed */
    RV_AGENT_CHECKPOINT,       /* record; CHECKPOINT_DONE follows, in order. If one fails, so do all
                                  that were asked for before that was told: none is there without
                                  those before it */
    RV_AGENT_REMOVE_DIRECTORY, /* path: garbage collection of a sandbox */
    RV_AGENT_REMOVE_VOLUME,    /* path: of a persistent volume that is no more, with all in it. What
                                  comes to be at that path later is another one */
    RV_AGENT_LOG,              /* level, message */
    RV_AGENT_EXIT,             /* the process ends, message says why; status: its exit status */
    RV_AGENT_EFFECT_MAX
};

/* What a container is made from. The shell builds the command line and the environment: for a
 * command task or a task group our own executor, else the command of the ExecutorInfo. */
struct rv_launch {
    struct rv_container_id container_id;
    const struct rv_framework_info *framework;
    const struct rv_executor_info *executor; /* type COMMAND for a command task */
    const struct rv_task_info *task;         /* of a command task, else NULL */
    const char *directory;                   /* the sandbox, absolute; to be made */
    const char *user;                        /* NULL: the agent's own */
    const struct rv_resources *resources;    /* executor and tasks together */
    struct rv_limits limits;                 /* likewise */
    bool checkpoint;
    int64_t shutdown_grace_ms;
};

/* Checkpoints: what must survive the agent, one record each (INV-35). X(NAME, text) */
#define RV_CHECKPOINT_KINDS(X)                                                                     \
    X(AGENT, "agent")                 /* agent: its info with id, boot id, containerizer; total */ \
    X(FRAMEWORK, "framework")         /* framework */                                              \
    X(EXECUTOR, "executor")           /* launch (executor, container id, directory) */             \
    X(TASK, "task")                   /* framework_id, executor_id, task */                        \
    X(UPDATE, "update")               /* framework_id, executor_id, status */                      \
    X(ACKNOWLEDGED, "acknowledged")   /* framework_id, task_id, uuid */                            \
    X(EXECUTOR_DONE, "executor done") /* framework_id, executor_id, container_id: nothing of it is \
                                         left */                                                   \
    X(ANEW, "anew") /* all before it is void, and what follows up to an AGENT: the next agent here \
                       is another one, which has the total */                                      \
    X(OPERATION, "operation")           /* framework_id, uuid: of the operation, operation,        \
                                           operation_status: its end, total: what the agent has    \
                                           after it */                                             \
    X(OPERATION_DONE, "operation done") /* uuid: of an operation whose end is acknowledged */
enum rv_checkpoint_kind {
#define X(name, text) RV_CHECKPOINT_##name,
    RV_CHECKPOINT_KINDS(X)
#undef X
        RV_CHECKPOINT_KIND_MAX
};
const char *rv_checkpoint_kind_name(enum rv_checkpoint_kind kind);

struct rv_checkpoint {
    uint64_t seq;
    enum rv_checkpoint_kind kind;
    const struct rv_agent_info *agent;
    const char *boot_id, *containerizer;
    const struct rv_framework_info *framework;
    const struct rv_launch *launch;
    struct rv_framework_id framework_id;
    struct rv_executor_id executor_id;
    struct rv_container_id container_id;
    const struct rv_task_info *task;
    const struct rv_task_status *status;
    struct rv_task_id task_id;
    uint8_t uuid[16];
    const struct rv_operation *operation;
    const struct rv_operation_status *operation_status;
    const struct rv_resources *total; /* NULL: nothing but what the agent has by itself */
};

struct rv_agent_effect {
    enum rv_agent_effect_kind kind;
    uint64_t request, stream;
    int status, level;
    const char *message, *path;
    struct rv_container_id container;
    union {
        const struct rv_executor_event *executor;
        const struct rv_agent_call *call;
        const struct rv_launch *launch;
        const struct rv_checkpoint *checkpoint;
    };
};

/* The effects own all that they point to: they outlive the agent and its next step. */
struct rv_agent_hold; /* private: releases what is not in the arena */
struct rv_agent_effects {
    struct rv_agent_effect *v;
    size_t n, cap;
    struct rv_arena arena;
    struct rv_agent_hold *holds;
};
void rv_agent_effects_clear(struct rv_agent_effects *e);
void rv_agent_effects_free(struct rv_agent_effects *e);

/* A sandbox that is on the disk, by its path as the core made it (…/runs/<container>). */
struct rv_agent_sandbox {
    const char *path;
    int64_t modified_ns; /* wall clock */
};

/* What the shell found on disk and in the containerizer: the checkpoints in the order they were
 * written, the containers that are still there, and all sandboxes. */
struct rv_agent_recovered {
    const struct rv_checkpoint *records;
    size_t n;
    size_t errors;                       /* records that could not be read, and were passed over */
    const struct rv_container_id *alive; /* containers with a live process */
    size_t n_alive;
    const struct rv_agent_sandbox *sandboxes; /* of all agents that had this work_dir */
    size_t n_sandboxes;
    const char *const
        *volumes; /* folders of persistent volumes, as rv_volume_directory names them */
    size_t n_volumes;
};

struct rv_agent *rv_agent_new(const struct rv_agent_config *config,
                              const struct rv_agent_recovered *recovered, int64_t now_ms,
                              int64_t wall_ns, struct rv_agent_effects *out);
struct rv_agent *rv_agent_free(struct rv_agent *a);
/* Why this agent cannot go on from what it found, and how to mend it (INV-19, INV-20); NULL: it
 * can. If not, there are no effects, and no steps may follow. */
const char *rv_agent_refused(const struct rv_agent *a);

/* Never fails, never calls back. */
void rv_agent_step(struct rv_agent *a, const struct rv_agent_input *in,
                   struct rv_agent_effects *out);
int64_t rv_agent_deadline(const struct rv_agent *a); /* INT64_MAX: none */
/* All that must always hold (INV-35, INV-36, INV-37 for its part); NULL or the breach in words. */
const char *rv_agent_check(struct rv_agent *a);

#endif
