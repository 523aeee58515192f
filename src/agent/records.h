/* The agent's records, read-only outside of src/agent: views and metrics are made from them. */
#ifndef RV_AGENT_RECORDS_H
#define RV_AGENT_RECORDS_H

#include "agent/agent.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/prng.h"
#include "base/vec.h"

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
    RV_VEC(struct rv_task_status) statuses; /* latest ones, oldest first */
    RV_VEC(struct rv_agent_update) updates; /* not acknowledged, oldest first */
    uint64_t group;                         /* tasks launched together; 0: alone */
    struct rv_timer retry;                  /* of the first update */
    int64_t retry_ms;
    bool kill_pending; /* killed before it reached the executor: INV-41 */
    int64_t kill_grace_ms;
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
};

struct rv_agent_framework {
    struct rv_framework_id id; /* owned */
    struct rv_framework_info info;
    bool terminating;
    struct rv_map executors; /* id -> rv_agent_executor */
    RV_VEC(struct rv_agent_executor *) completed;
};

struct rv_agent_garbage {
    char *path;
    struct rv_timer timer;
};

struct rv_agent_counters {
#define RV_AGENT_COUNTERS(X)                                                                       \
    X(executors_registering_total)                                                                 \
    X(executors_terminated) X(executors_preempted) X(valid_status_updates)                         \
        X(invalid_status_updates) X(valid_framework_messages) X(invalid_framework_messages)        \
            X(container_launch_errors) X(recovery_errors) X(tasks_finished) X(tasks_failed)        \
                X(tasks_killed) X(tasks_lost) X(tasks_gone) X(registrations) X(reregistrations)    \
                    X(updates_resent)
#define X(name) uint64_t name;
    RV_AGENT_COUNTERS(X)
#undef X
};

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
    struct rv_timer registration; /* the next try */
    int64_t backoff_ms;
    struct rv_timer ping; /* no ping for so long: register again */
    int64_t ping_timeout_ms;
    struct rv_timer reconnect; /* recovered executors must be back: INV-18 */
    bool recovering;
    struct rv_map frameworks; /* id -> rv_agent_framework */
    RV_VEC(struct rv_agent_framework *) completed;
    struct rv_map containers; /* container id -> rv_agent_executor */
    struct rv_map streams;    /* 8-byte number -> rv_agent_executor; private */
    RV_VEC(struct rv_agent_garbage *) garbage;
    struct rv_map pending; /* 8-byte checkpoint seq -> what waits; private */
    uint64_t next_checkpoint, next_group;
    bool stopping;
    struct rv_agent_counters counters;
    char *problem;
};

#endif
