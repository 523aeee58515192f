/* The agent's records, read-only outside of src/agent: views and metrics are made from them. */
#ifndef RV_AGENT_RECORDS_H
#define RV_AGENT_RECORDS_H

#include "agent/agent.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/prng.h"
#include "base/vec.h"
#include "model/operation.h"

/* Where the checkpoint of a record is: INV-23, INV-35. */
enum rv_agent_kept {
    RV_KEPT_NO,      /* not written, or writing failed */
    RV_KEPT_WRITING, /* on its way to the disk */
    RV_KEPT_YES      /* durable, or its framework does not checkpoint */
};

struct rv_agent_uuid {
    uint8_t b[16];
};

/* One task's updates, in order; the first is the one under way: INV-36. */
struct rv_agent_update {
    struct rv_task_status status;
    bool durable; /* its checkpoint is done (or none is needed) */
};

enum rv_agent_task_place {
    RV_TASK_QUEUED /* waits for its executor */,
    RV_TASK_LAUNCHED,
    RV_TASK_TERMINATED /* terminal, updates not yet acknowledged */,
    RV_TASK_COMPLETED
};

struct rv_agent_task {
    struct rv_task_id id;
    struct rv_task_info info; /* resources with allocation */
    struct rv_agent_executor *executor;
    enum rv_agent_task_place place;
    enum rv_task_state state;               /* latest */
    enum rv_task_state durable_state;       /* latest that is durable: what a master is told */
    RV_VEC(struct rv_task_status) statuses; /* latest ones, oldest first */
    RV_VEC(struct rv_agent_update) updates; /* not acknowledged, oldest first */
    uint64_t group;                         /* tasks launched together; 0: alone */
    struct rv_timer retry;                  /* of the first update */
    int64_t retry_ms;
    bool kill_pending; /* killed before it reached the executor: INV-41 */
    int64_t kill_grace_ms;
    enum rv_agent_kept kept;
    uint64_t write;                    /* the checkpoint under way of the record itself */
    bool writing;                      /* one of an update is under way: one after the other */
    bool sent;                         /* the first update was sent to this master */
    bool acknowledging;                /* ... was acknowledged: that is being written */
    RV_VEC(struct rv_agent_uuid) seen; /* of latest updates, to know repeated ones */
    uint64_t after; /* the write of an operation that it may rely on; 0: none that is not durable */
};

enum rv_agent_executor_state {
    RV_EXECUTOR_REGISTERING,
    RV_EXECUTOR_RUNNING,
    RV_EXECUTOR_TERMINATING,
    RV_EXECUTOR_TERMINATED
};

struct rv_agent_executor {
    struct rv_executor_info info; /* type COMMAND: id is the task's */
    struct rv_agent_framework *framework;
    struct rv_container_id container_id; /* owned */
    char *directory;
    char *user;
    enum rv_agent_executor_state state;
    bool command;
    bool launched;         /* the container runs */
    uint64_t stream;       /* 0: not connected */
    struct rv_timer timer; /* register timeout, reregister timeout, shutdown grace */
    struct rv_timer heartbeat;
    struct rv_map tasks; /* id -> rv_agent_task: queued, launched and terminated */
    RV_VEC(struct rv_agent_task *) completed;
    struct rv_resources resources; /* of executor and live tasks */
    enum rv_reason reason;         /* why it is being ended, for its tasks */
    char *message;
    int64_t started_ns, ended_ns;
    enum rv_agent_kept kept;
    uint64_t write;
    bool started;   /* the container was asked for */
    bool got_task;  /* a task was given to it */
    bool destroyed; /* its end was asked for */
    bool recovered; /* it ran before the agent, and is not back yet: INV-18 */
    bool checked;   /* it is in the list of those to look at when the step ends */
};

struct rv_agent_framework {
    struct rv_framework_id id; /* owned */
    struct rv_framework_info info;
    bool terminating;
    struct rv_map executors; /* id -> rv_agent_executor */
    RV_VEC(struct rv_agent_executor *) completed;
    struct rv_map tasks; /* id -> rv_agent_task: those of all executors that are not completed */
    enum rv_agent_kept kept;
    uint64_t write;
};

/* An update about a task that the agent has no record of: refused, or unknown in reconciliation.
 * Resent until acknowledged like others, but not checkpointed: a master that the agent registers
 * with again asks again. */
struct rv_agent_stray {
    char *framework_id;
    struct rv_task_status status;
    struct rv_timer timer;
    int64_t retry_ms;
};

/* An operation on what the agent has: it is being written, or its end is to be acknowledged. */
struct rv_agent_operation {
    uint8_t uuid[16];                    /* which the master gave it */
    struct rv_framework_id framework_id; /* owned; v NULL: the operator's */
    struct rv_operation operation;       /* id.v NULL: nobody asked for feedback */
    struct rv_conversion conversion;     /* without allocation roles */
    enum rv_operation_state state;       /* its end; it counts once that is durable, or it FAILED */
    char *message;                       /* why it FAILED */
    bool has_status_uuid;                /* its end waits for this to be acknowledged */
    uint8_t status_uuid[16];
    enum rv_agent_kept kept; /* NO: it FAILED, so there is no record of it */
    uint64_t write;
    bool forgotten;        /* its framework is over; it is gone when it is written */
    bool sent;             /* its end was sent to this master */
    struct rv_timer retry; /* of that */
    int64_t retry_ms;
};

/* An executor that ended after its agent had told of it in a registration that is not answered yet:
 * the master is to hear of it after the answer. */
struct rv_agent_exit {
    char *framework_id, *executor_id;
    int32_t status;
};

struct rv_agent_garbage {
    char *path;
    int64_t since_ms; /* may be before the machine's start */
    struct rv_timer timer;
};

/* clang-format off */
struct rv_agent_counters {
#define RV_AGENT_COUNTERS(X) \
    X(executors_registering_total) \
    X(executors_terminated) \
    X(executors_preempted) \
    X(valid_status_updates) \
    X(invalid_status_updates) \
    X(valid_framework_messages) \
    X(invalid_framework_messages) \
    X(container_launch_errors) \
    X(recovery_errors) \
    X(tasks_finished) \
    X(tasks_failed) \
    X(tasks_killed) \
    X(tasks_lost) \
    X(tasks_gone) \
    X(registrations) \
    X(reregistrations) \
    X(updates_resent)
#define X(name) uint64_t name;
    RV_AGENT_COUNTERS(X)
#undef X
};
/* clang-format on */

enum rv_agent_link {
    RV_LINK_NONE /* no master known */,
    RV_LINK_REGISTERING,
    RV_LINK_REGISTERED,
    RV_LINK_STOPPED
};

struct rv_agent {
    struct rv_agent_config config;
    struct rv_agent_info info; /* id set once registered */
    struct rv_prng prng;
    int64_t now_ms, wall_ns, started_ns;
    struct rv_timers timers;
    enum rv_agent_link link;
    uint64_t life, attempt;       /* of this process, and of its registrations so far */
    struct rv_timer registration; /* the next try */
    int64_t backoff_ms;
    int64_t retry_after_ms; /* should the try that is under way fail; 0: none is */
    bool refused; /* the master refused a call: the next tries are no sooner than the last */
    struct rv_timer ping; /* no ping for so long: register again */
    int64_t ping_timeout_ms;
    struct rv_timer reconnect; /* recovered executors must be back: INV-18 */
    bool recovering;
    bool replaying;           /* the checkpoints of the agent before */
    int64_t began_ms;         /* when that began */
    int64_t recovered_ms;     /* when it was over, and no executor is waited for any more */
    char *refusal;            /* why there is no going on from what was found */
    struct rv_map orphans;    /* container id -> itself: they end, and nobody waits for them */
    struct rv_map frameworks; /* id -> rv_agent_framework */
    RV_VEC(struct rv_agent_framework *) completed;
    struct rv_map containers; /* container id -> rv_agent_executor */
    struct rv_map streams;    /* 8-byte number -> rv_agent_executor; private */
    /* What it has: `info.resources` with what operations made of them. */
    struct rv_resources total;         /* when all operations under way are durable */
    struct rv_resources durable_total; /* by its checkpoints */
    struct rv_map operations;          /* uuid -> rv_agent_operation, as they came */
    uint64_t operation_asked;          /* the write of the latest operation */
    uint64_t operation_settled;        /* the latest of those that is done, or failed */
    struct rv_map garbage;             /* path -> struct rv_agent_garbage: sandboxes that wait */
    struct rv_map occupied;            /* directory -> how much lies in it; private */
    int64_t gc_max_age_ms;             /* of a sandbox, by the last look at the disk */
    struct rv_map pending;             /* 8-byte checkpoint seq -> what waits; private */
    uint64_t next_checkpoint, next_group;
    struct rv_deactivation drain; /* its state UNKNOWN: the agent is not draining */
    bool stopping;
    struct rv_agent_counters counters;
    char *problem;
    bool master_known; /* a leader was found; false: its messages are ignored, INV-3 */
    enum rv_agent_kept info_kept;
    uint64_t write;
    RV_VEC(struct rv_agent_stray *) strays;
    RV_VEC(struct rv_agent_exit) exits;       /* since the last registration was sent */
    RV_VEC(struct rv_agent_executor *) check; /* may be done with; looked at when the step ends */
    struct rv_timer stop;                     /* the process ends at the latest then */
    bool unregistered;                        /* the master was told that this is the end */
    bool all_ends;                            /* checkpointed tasks, too */
    bool overdue;                             /* it ends, whatever still runs */
    uint64_t anew;                            /* the checkpoint that says so; 0: not written yet */
    bool anew_done;                           /* durable, or it failed */
    int stop_status;
    char *stop_message;
    struct rv_agent_effects *out; /* of the step under way */
};

#endif
