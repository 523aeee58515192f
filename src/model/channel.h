/*
 * The channel between agent and master, in the same shape as every other API: the agent POSTs Calls
 * and reads Events from the answer of its first one (REGISTER or REREGISTER). All pointers are
 * borrowed for the step.
 */
#ifndef RV_MODEL_CHANNEL_H
#define RV_MODEL_CHANNEL_H

#include "model/agent_info.h"
#include "model/framework.h"
#include "model/maintenance.h"
#include "model/scheduler.h"
#include "model/task.h"

/* What this end speaks. An end that needs more of the other is refused by name, both ways
 * (wire/channel_codec.c); what is merely added needs no new version. Version 2 has operations on
 * resources: a master of version 1 would offer what is reserved to anybody. */
#define RV_CHANNEL_VERSION 2

/* X(NAME, number on the wire) */
#define RV_AGENT_CALLS(X)                                                                          \
    X(REGISTER, 1)   /* opens the stream: a new agent */                                           \
    X(REREGISTER, 2) /* opens the stream: an agent with an id, and all it has */                   \
    X(PONG, 3)                                                                                     \
    X(STATUS_UPDATE, 4) /* a task's */                                                             \
    X(EXECUTOR_EXITED, 5)                                                                          \
    X(FRAMEWORK_MESSAGE, 6) /* executor to scheduler */                                            \
    X(OPERATION_STATUS, 7)                                                                         \
    X(UPDATE_AGENT, 8) /* total resources changed (oversubscription) */                            \
    X(UNREGISTER, 9)   /* clean shutdown */

#define RV_AGENT_EVENTS(X)                                                                         \
    X(REGISTERED, 1) /* with the agent's id and the ping timeout */                                \
    X(PING, 2)                                                                                     \
    X(RUN_TASKS, 3) /* one task, or a group */                                                     \
    X(KILL_TASK, 4)                                                                                \
    X(SHUTDOWN_EXECUTOR, 5)                                                                        \
    X(SHUTDOWN_FRAMEWORK, 6)                                                                       \
    X(ACKNOWLEDGE, 7)       /* a task's status update */                                           \
    X(FRAMEWORK_MESSAGE, 8) /* scheduler to executor */                                            \
    X(UPDATE_FRAMEWORK, 9)  /* its info changed */                                                 \
    X(APPLY_OPERATION, 10)                                                                         \
    X(ACKNOWLEDGE_OPERATION, 11)                                                                   \
    X(SHUTDOWN, 12)        /* the agent is gone or refused: kill all and end; says why */          \
    X(REREGISTER, 13)      /* the master does not know this agent's stream: register again */      \
    X(RECONCILE_TASKS, 14) /* tasks that the master thinks the agent has and it may not */         \
    X(DRAIN, 15)           /* kill all tasks, take no more */                                      \
    X(REACTIVATE, 16)      /* take tasks again */

enum rv_agent_call_type {
#define X(name, number) RV_AGENT_CALL_##name = number,
    RV_AGENT_CALLS(X)
#undef X
        RV_AGENT_CALL_MAX
};
enum rv_agent_event_type {
#define X(name, number) RV_AGENT_EVENT_##name = number,
    RV_AGENT_EVENTS(X)
#undef X
        RV_AGENT_EVENT_MAX
};

/* A task as agent and master tell each other about it in re-registration. */
struct rv_task_view {
    struct rv_framework_id framework_id;
    struct rv_executor_id
        executor_id; /* of the executor that runs it (that of a command task: its id) */
    bool command;    /* the executor is the agent's own for this command task */
    const struct rv_task_info *info;     /* without executor; resources with allocation */
    enum rv_task_state state;            /* latest */
    const struct rv_task_status *status; /* latest; NULL before the first */
    enum rv_task_state update_state;     /* of the update that waits for acknowledgement, */
    bool has_update_uuid;                /* if any waits */
    uint8_t update_uuid[16];
};

struct rv_executor_view {
    struct rv_framework_id framework_id;
    const struct rv_executor_info *info;
};

/* An operation on the agent's resources that is under way, or whose end is not acknowledged. */
struct rv_operation_view {
    struct rv_framework_id framework_id; /* v NULL: the operator's */
    const struct rv_operation *operation;
    uint8_t uuid[16];                         /* which the master gave it */
    const struct rv_operation_status *status; /* latest; NULL: it is being written */
};

struct rv_agent_call {
    enum rv_agent_call_type type;
    struct rv_agent_id agent_id; /* v NULL in REGISTER */
    union {
        struct { /* REGISTER, REREGISTER */
            const struct rv_agent_info *info;
            const char *boot_id; /* of the machine */
            /* Of the agent's process (random), and of its registrations, counting up, so that one
             * that comes after a newer one is known to be late. 0: not given. */
            uint64_t life, attempt;
            struct rv_task_view *tasks;
            size_t n_tasks;
            struct rv_executor_view *executors;
            size_t n_executors;
            struct rv_framework_info *frameworks; /* of those tasks and executors, with ids */
            size_t n_frameworks;
            struct rv_framework_id *completed_frameworks;
            size_t n_completed_frameworks;
            /* What it has now: `info` says what it has by itself. NULL: just that. */
            const struct rv_resources *total;
            struct rv_operation_view *operations;
            size_t n_operations;
        } registration;
        struct {
            struct rv_framework_id framework_id;
            const struct rv_task_status *status;
            enum rv_task_state latest_state; /* of the task; the update may be older */
        } update;
        struct {
            struct rv_framework_id framework_id;
            struct rv_executor_id executor_id;
            int32_t status; /* wait status */
        } exited;
        struct {
            struct rv_framework_id framework_id;
            struct rv_executor_id executor_id;
            struct rv_str data;
        } message;
        struct {
            struct rv_framework_id framework_id; /* v NULL: the operator's */
            uint8_t operation[16];               /* its uuid, from APPLY_OPERATION */
            /* operation_id.v NULL: nobody asked for feedback. With a uuid it is sent again until
             * that is acknowledged. */
            const struct rv_operation_status *status;
        } operation;
        const struct rv_resources *total; /* UPDATE_AGENT */
    };
};

struct rv_agent_event {
    enum rv_agent_event_type type;
    union {
        struct {
            struct rv_agent_id agent_id;
            int64_t ping_timeout_ms; /* how long without a ping until the agent registers again */
        } registered;
        struct {
            const struct rv_framework_info *framework;
            const struct rv_executor_info *executor; /* NULL: a command task */
            bool group;                              /* LAUNCH_GROUP */
            /* For all that the master knows the executor runs, so it has booked none: if it has
             * ended meanwhile, the tasks are dropped. */
            bool executor_runs;
            const struct rv_task_info *tasks; /* resources with allocation */
            size_t n_tasks;
        } run;
        struct {
            struct rv_framework_id framework_id;
            struct rv_task_id task_id;
            int64_t grace_ms; /* -1: not given */
        } kill;
        struct {
            struct rv_framework_id framework_id;
            struct rv_executor_id executor_id;
        } shutdown_executor;
        struct rv_framework_id shutdown_framework;
        struct {
            struct rv_framework_id framework_id;
            struct rv_task_id task_id;
            uint8_t uuid[16];
        } acknowledge;
        struct {
            struct rv_framework_id framework_id;
            struct rv_executor_id executor_id;
            struct rv_str data;
        } message;
        const struct rv_framework_info *framework; /* UPDATE_FRAMEWORK */
        struct {
            struct rv_framework_id framework_id;  /* v NULL: the operator's */
            const struct rv_operation *operation; /* one that converts, without allocation roles */
            uint8_t uuid[16];                     /* of the operation */
        } apply;
        struct {
            uint8_t operation[16]; /* its uuid */
            uint8_t uuid[16];      /* of the status */
        } acknowledge_operation;
        const char *why; /* SHUTDOWN, REREGISTER */
        struct rv_deactivation drain;
        struct {
            struct rv_framework_id framework_id;
            const struct rv_task_id *task_ids;
            size_t n;
        } reconcile;
    };
};

#endif
