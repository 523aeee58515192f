/*
 * The master's core: a deterministic state machine. An event goes in with its time, effects come
 * out; no clock, socket, file or thread. Decides offers, accounting, task life cycles,
 * reconciliation and removal. The allocator is a bounded call inside of it.
 *
 * The shell numbers what it holds: `request` is an HTTP request that waits for its answer, `stream`
 * is an open event stream (a scheduler's, an agent's, an operator's). Numbers are never reused; 0
 * is none. All pointers in events and effects are borrowed: events for the step, effects until
 * rv_effects_clear.
 */
#ifndef RV_MASTER_MASTER_H
#define RV_MASTER_MASTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "model/agent_info.h"
#include "model/channel.h"
#include "model/maintenance.h"
#include "model/quota.h"
#include "model/scheduler.h"

struct rv_master;

struct rv_master_config {
    uint64_t seed;  /* of its randomness */
    const char *id; /* of this mastership: a uuid; prefix of the ids it gives */
    const char *hostname, *ip;
    uint16_t port;
    struct rv_blob *master_info; /* packed MasterInfo, passed on */
    /* Times; 0 takes the default named. Each is a flag. */
    int64_t allocation_interval_ms;    /* 1,000 */
    int64_t offer_timeout_ms;          /* 300,000; -1: never (INV-33) */
    int64_t heartbeat_ms;              /* 15,000 (INV-46) */
    size_t reconcile_slice;            /* 2,000: states told in one step to who asks for many */
    int64_t agent_ping_ms;             /* 15,000 (INV-13) */
    unsigned max_agent_ping_timeouts;  /* 5 */
    int64_t agent_reregister_ms;       /* 600,000 (INV-8) */
    size_t max_completed_frameworks;   /* 50 */
    size_t max_completed_tasks;        /* of one framework, 1,000 */
    size_t max_unreachable_tasks;      /* of one framework, 1,000 */
    size_t max_statuses;               /* kept of one task, 8 (the latest; the peer keeps all) */
    size_t max_frameworks, max_agents; /* 100,000 each: a limit on every collection */
    int64_t agent_removal_interval_ms; /* between two that are marked unreachable; 0: none */
    double recovery_agents_percent;    /* if fewer come back after a failover, the master stops */
    size_t max_absent_agents;          /* remembered as unreachable, as gone: 102,400 each */
    int64_t absent_age_ms;             /* ... and for so long: 2 weeks */
    int64_t gc_interval_ms;            /* 15 min: how often older ones are looked for */
    double quota_recovery_percent;     /* 80: with quotas a new leader offers nothing before so */
    int64_t quota_recovery_ms;         /* many agents are back, or 10 min; -1: at once (INV-11) */
    size_t max_offers_per_event;       /* 100: an OFFERS event stays one HTTP chunk */
    const char *const *role_whitelist; /* NULL: any role (deprecated flag `roles` of the peer) */
    size_t n_role_whitelist;
    struct rv_quantities *min_allocatable;
    size_t n_min_allocatable;
    const char *const *fair_exclude;
    size_t n_fair_exclude;
};

/* --- events --- */
enum rv_master_event_kind {
    RV_MASTER_TICK,           /* time has reached the deadline; also fine at any time */
    RV_MASTER_SCHEDULER_CALL, /* request; stream_id; for SUBSCRIBE: stream is its new stream */
    RV_MASTER_AGENT_CALL,     /* request; for REGISTER, REREGISTER: stream */
    RV_MASTER_OPERATOR_CALL,  /* request */
    RV_MASTER_STREAM_CLOSED,  /* stream */
    RV_MASTER_REGISTRY_DONE,  /* registry */
    RV_MASTER_EVENT_MAX
};

/* Operator calls that change something; reading is done on the records (master/records.h). */
enum rv_operator_call_type {
    RV_OPERATOR_SUBSCRIBE, /* stream: from now on gets OPERATOR_EVENT effects; the shell sends the
                              snapshot that it makes when the SUBSCRIBED reply is due */
    RV_OPERATOR_TEARDOWN,
    RV_OPERATOR_UPDATE_WEIGHTS,
    RV_OPERATOR_UPDATE_QUOTA, /* quotas, force */
    RV_OPERATOR_SET_QUOTA,    /* quotas: one, with equal guarantees and limits; force */
    RV_OPERATOR_REMOVE_QUOTA, /* quotas: one, of which only the role counts */
    RV_OPERATOR_KILL_TASK,    /* as if its framework had asked for it: 202, or 404 */
    RV_OPERATOR_MARK_AGENT_GONE,
    RV_OPERATOR_DRAIN_AGENT,
    RV_OPERATOR_DEACTIVATE_AGENT,
    RV_OPERATOR_REACTIVATE_AGENT,
    RV_OPERATOR_UPDATE_MAINTENANCE_SCHEDULE,
    RV_OPERATOR_START_MAINTENANCE,
    RV_OPERATOR_STOP_MAINTENANCE,
    RV_OPERATOR_OPERATE, /* agent_id, operation: one that converts, without id or allocation roles,
                            and what was wrong with it as `problem`. 202; 400; 409: the agent has
                            not so much that nobody uses */
    RV_OPERATOR_CALL_MAX
};

struct rv_weight {
    const char *role;
    double weight;
};

struct rv_operator_call {
    enum rv_operator_call_type type;
    struct rv_framework_id framework_id; /* TEARDOWN, KILL_TASK */
    struct rv_task_id task_id;           /* KILL_TASK */
    int64_t grace_ms;                    /* KILL_TASK: -1: not given */
    const struct rv_weight *weights;
    size_t n_weights;
    const struct rv_quota *quotas; /* an empty one: the role is to have none */
    size_t n_quotas;
    bool force;
    struct rv_agent_id agent_id;         /* the calls about an agent */
    const struct rv_deactivation *drain; /* DRAIN_AGENT: as it is to be drained */
    const struct rv_machine *machines;   /* the calls about maintenance; judged by themselves */
    size_t n_machines;
    const struct rv_operation *operation; /* OPERATE */
};

/* What the registry holds, one change each: X(NAME). The comment says which fields of the operation
 * count. An agent is in at most one of the lists: admitted, unreachable, gone. */
/* clang-format off */
#define RV_REGISTRY_KINDS(X) \
    X(ADMIT_AGENT)       /* agent_id, agent */ \
    X(MARK_UNREACHABLE)  /* agent_id, wall_ns */ \
    X(MARK_REACHABLE)    /* agent_id, agent: admitted again */ \
    X(REMOVE_AGENT)      /* agent_id: nothing is known of it any more */ \
    X(MARK_GONE)         /* agent_id, wall_ns */ \
    X(DEACTIVATE_AGENT)  /* agent_id, deactivation: until REACTIVATE, REMOVE or MARK_GONE */ \
    X(REACTIVATE_AGENT)  /* agent_id */ \
    X(PUT_FRAMEWORK)     /* framework_id, framework; wall_ns: disconnected since then, or 0 */ \
    X(REMOVE_FRAMEWORK)  /* framework_id, wall_ns: it has ended, and cannot come back */ \
    X(FORGET_FRAMEWORK)  /* framework_id: that it has ended */ \
    X(PUT_WEIGHTS)       /* weights */ \
    X(PUT_QUOTAS)        /* quotas, in order; an empty one: the role has none */ \
    X(PUT_MACHINES)      /* machines: in the schedule with their mode; UP: out of it */
/* clang-format on */
enum rv_registry_kind {
#define X(name) RV_REGISTRY_##name,
    RV_REGISTRY_KINDS(X)
#undef X
        RV_REGISTRY_KIND_MAX
};
struct rv_registry_op {
    uint64_t seq; /* comes back in REGISTRY_DONE */
    enum rv_registry_kind kind;
    struct rv_agent_id agent_id;
    const struct rv_agent_info *agent;
    const struct rv_deactivation *deactivation;
    struct rv_framework_id framework_id;
    const struct rv_framework_info *framework;
    const struct rv_weight *weights;
    size_t n_weights;
    const struct rv_quota *quotas;
    size_t n_quotas;
    const struct rv_machine *machines;
    size_t n_machines;
    int64_t wall_ns;
};

struct rv_master_event {
    enum rv_master_event_kind kind;
    int64_t now_ms;  /* monotonic, never goes back */
    int64_t wall_ns; /* since the epoch */
    uint64_t request, stream;
    const char *stream_id; /* the Mesos-Stream-Id header of a scheduler's or agent's call, NULL:
                              none; an agent may leave it out */
    const char *principal; /* who calls, NULL: not authenticated */
    union {
        const struct rv_scheduler_call *scheduler;
        const struct rv_agent_call *agent;
        const struct rv_operator_call *operator_;
        struct {
            uint64_t seq;
            bool ok;
        } registry;
    };
};

/* --- effects, in order --- */
enum rv_master_effect_kind {
    RV_MASTER_REPLY,       /* request: status and message (NULL: empty body) */
    RV_MASTER_OPEN_STREAM, /* request becomes `stream`: 200, stream_id as Mesos-Stream-Id if set */
    RV_MASTER_SEND_SCHEDULER, /* stream: scheduler event */
    RV_MASTER_SEND_AGENT,     /* stream: agent event */
    RV_MASTER_SEND_OPERATOR,  /* stream: operator event */
    RV_MASTER_CLOSE_STREAM,   /* stream: end it after what was sent */
    RV_MASTER_REGISTRY,       /* a write; REGISTRY_DONE follows sooner or later, in order */
    RV_MASTER_LOG,            /* level, message: for the operator's log */
    RV_MASTER_STOP,           /* message: the master must not go on; nothing comes after it */
    RV_MASTER_EFFECT_MAX
};

struct rv_master_task;
struct rv_master_framework;
struct rv_master_agent;

enum rv_operator_event_kind {
    RV_OPERATOR_EVENT_SNAPSHOT, /* SUBSCRIBED with the state as of now */
    RV_OPERATOR_EVENT_HEARTBEAT,
    RV_OPERATOR_EVENT_TASK_ADDED,
    RV_OPERATOR_EVENT_TASK_UPDATED,
    RV_OPERATOR_EVENT_AGENT_ADDED,
    RV_OPERATOR_EVENT_AGENT_REMOVED,
    RV_OPERATOR_EVENT_FRAMEWORK_ADDED,
    RV_OPERATOR_EVENT_FRAMEWORK_UPDATED,
    RV_OPERATOR_EVENT_FRAMEWORK_REMOVED,
};

/* The records are as they are when the effect is executed: the shell executes all effects of a step
 * before the next step, and records named here live until rv_effects_clear, even those that the
 * step removed. */
struct rv_operator_event {
    enum rv_operator_event_kind kind;
    const struct rv_master_task *task;
    const struct rv_task_status *status; /* TASK_UPDATED */
    const struct rv_master_framework *framework;
    const struct rv_master_agent *agent;
};

struct rv_master_effect {
    enum rv_master_effect_kind kind;
    uint64_t request, stream;
    int status;            /* HTTP */
    const char *message;   /* REPLY, LOG, STOP */
    const char *stream_id; /* OPEN_STREAM */
    int level;             /* LOG: as enum rv_log_level */
    union {
        const struct rv_scheduler_event *scheduler;
        const struct rv_agent_event *agent;
        const struct rv_operator_event *operator_; /* stream 0: to every operator stream */
        const struct rv_registry_op *registry;
    };
};

struct rv_effects {
    struct rv_master_effect *v;
    size_t n, cap;
    struct rv_arena arena; /* holds what the effects point to */
    struct {               /* records that went while effects may show them */
        struct rv_grave {
            void (*free)(void *record);
            void *record;
        } * v;
        size_t n, cap;
    } graves;
};
/* Releases what the effects borrowed. Zero-initialised effects are empty. */
void rv_effects_clear(struct rv_effects *e);
void rv_effects_free(struct rv_effects *e);

/* What a new leader finds in the registry. */
struct rv_registry_absence { /* an agent's or a framework's */
    const char *id;
    int64_t wall_ns;
};
struct rv_registry_framework {
    struct rv_framework_info info;
    int64_t away_ns; /* disconnected since then; 0: not that the registry knew */
};
struct rv_registry_deactivation {
    struct rv_agent_id id;
    struct rv_deactivation what;
};
struct rv_registry_snapshot {
    const struct rv_agent_info *agents; /* admitted */
    size_t n_agents;
    const struct rv_registry_absence *unreachable, *gone;
    size_t n_unreachable, n_gone;
    const struct rv_registry_deactivation *deactivated;
    size_t n_deactivated;
    const struct rv_registry_framework *frameworks;
    size_t n_frameworks;
    const struct rv_registry_absence *ended; /* frameworks */
    size_t n_ended;
    const struct rv_weight *weights;
    size_t n_weights;
    const struct rv_machine *machines;
    size_t n_machines;
    const struct rv_quota *quotas; /* if any, offers wait until most agents are back (INV-11) */
    size_t n_quotas;
};

struct rv_master *rv_master_new(const struct rv_master_config *config,
                                const struct rv_registry_snapshot *registry, int64_t now_ms,
                                int64_t wall_ns);
struct rv_master *rv_master_free(struct rv_master *m);

/* Never fails, never calls back. Effects are appended to out. */
void rv_master_step(struct rv_master *m, const struct rv_master_event *e, struct rv_effects *out);
/* When the next TICK is due, monotonic ms; INT64_MAX: none. */
int64_t rv_master_deadline(const struct rv_master *m);
/* All that must always hold (INV-22, INV-24 to INV-29, INV-32, INV-33, INV-36, INV-37, INV-42,
 * INV-43 for its part). NULL, or the first breach in words. The simulator calls it after every
 * step. */
const char *rv_master_check(struct rv_master *m);

#endif
