/*
 * The master's records, read-only outside of src/master: queries, views and metrics are made from
 * them between steps. Everything is in order of insertion.
 */
#ifndef RV_MASTER_RECORDS_H
#define RV_MASTER_RECORDS_H

#include "allocator/allocator.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/prng.h"
#include "base/vec.h"
#include "master/master.h"
#include "model/operation.h"

struct rv_master_executor {
    struct rv_executor_info info; /* framework_id set */
    struct rv_master_framework *framework;
    struct rv_master_agent *agent;
    struct rv_list on_framework, on_agent;
    size_t n_tasks; /* not terminal */
};

struct rv_master_task {
    struct rv_task_id id;
    struct rv_task_info info;          /* id aliased; resources with allocation role */
    struct rv_executor_id executor_id; /* owned; v NULL for a command task */
    struct rv_master_framework *framework;
    struct rv_master_agent
        *agent; /* NULL once the agent is unreachable or gone, and when completed */
    struct rv_agent_id agent_id;     /* owned */
    enum rv_task_state state;        /* the latest known */
    enum rv_task_state update_state; /* of the update under way to the scheduler */
    bool has_update_uuid;
    uint8_t update_uuid[16];
    bool released; /* its resources were given back: INV-27 */
    int64_t unreachable_ns;
    RV_VEC(struct rv_task_status) statuses; /* oldest first, at most max_statuses */
    struct rv_list on_agent;                /* of its agent's tasks, or of the absent agent's */
    bool kill_asked;                        /* a KILL came: sent again when the agent is back */
    int64_t kill_grace_ms;
};

struct rv_master_offer {
    struct rv_offer_id id; /* owned */
    struct rv_master_framework *framework;
    struct rv_master_agent *agent;
    const char *role;              /* that of the resources, theirs */
    struct rv_resources resources; /* with allocation role */
    struct rv_timer timer;         /* offer_timeout */
    struct rv_list on_framework, on_agent;
};

/* An operation on an agent's resources: it has taken effect in the books, and the agent is writing
 * it down, or its end is not acknowledged yet. */
struct rv_master_operation {
    uint8_t uuid[16];
    struct rv_framework_id framework_id;   /* owned; v NULL: the operator's */
    struct rv_master_framework *framework; /* who hears of it; NULL: nobody (no id was given), or
                                              not any more */
    struct rv_master_agent *agent;
    struct rv_operation operation;   /* without allocation roles; id.v NULL: without feedback */
    struct rv_conversion conversion; /* with the allocation role, if it is known */
    enum rv_operation_state state;   /* latest known */
    char *message;                   /* of it, or NULL */
    bool has_status_uuid;            /* it waits for this to be acknowledged */
    uint8_t status_uuid[16];
    struct rv_list on_agent; /* of the agent's operations */
};

/* A machine in the maintenance schedule. */
struct rv_master_machine {
    struct rv_machine is;  /* strings owned */
    struct rv_list agents; /* rv_master_agent.on_machine */
};

/* What a framework is asked, and has said, about the maintenance of an agent's machine. */
struct rv_master_answer {
    char *framework_id;
    enum rv_inverse_answer answer;         /* UNKNOWN: none yet */
    int64_t answered_ns;                   /* wall clock */
    int64_t refuse_until_ms;               /* not asked again before */
    uint64_t revives;                      /* of the framework, when it refused */
    struct rv_master_inverse_offer *offer; /* that waits for its answer; NULL: none */
};

struct rv_master_inverse_offer {
    struct rv_offer_id id; /* owned */
    struct rv_master_framework *framework;
    struct rv_master_agent *agent;
    struct rv_timer timer; /* offer_timeout */
    struct rv_list on_framework;
};

/* What is still to be answered of a task; all are of one framework. */
struct rv_master_question {
    char *task_id, *agent_id; /* agent_id NULL: none was named */
};

struct rv_master_questions {
    RV_VEC(struct rv_master_question) v;
    size_t next; /* those before were answered, and are freed */
};

struct rv_master_framework {
    struct rv_framework_id id; /* owned */
    struct rv_framework_info info;
    struct rv_offer_constraints *constraints;
    bool connected, active, recovered;
    uint64_t stream; /* 0: none */
    char stream_id[37];
    char *principal;
    int64_t registered_ns, reregistered_ns, unregistered_ns; /* wall clock; 0: never */
    int64_t away_ns;        /* wall clock: not connected since then; 0: it is connected */
    int64_t away_since_ms;  /* the same on the clock of timers */
    int64_t grace_until_ms; /* a new leader removes it no earlier */
    uint64_t put_seq;       /* private: the latest write of it to the registry */
    struct rv_timer heartbeat, failover;
    struct rv_timer reconcile; /* the next answers to `named` and `all`; private */
    struct rv_master_questions named, all;
    bool all_again;                            /* all were asked for once more meanwhile */
    struct rv_map tasks;                       /* task id -> rv_master_task: not completed */
    struct rv_map unreachable;                 /* task id -> rv_master_task */
    RV_VEC(struct rv_master_task *) completed; /* oldest first */
    struct rv_list offers;                     /* rv_master_offer.on_framework */
    struct rv_list inverse_offers;             /* rv_master_inverse_offer.on_framework */
    struct rv_list executors;                  /* rv_master_executor.on_framework */
    struct rv_map operations; /* operation id -> rv_master_operation: those it hears of */
    /* By tasks and executors, with allocation. Scalars only: ports and sets of different agents do
     * not add up. Those stand with the agents, tasks and offers. */
    struct rv_resources used;
    struct rv_resources offered;
    char **suppressed_roles; /* as of the last SUBSCRIBE, UPDATE_FRAMEWORK, SUPPRESS, REVIVE */
    size_t n_suppressed_roles;
    uint64_t count_states[RV_TASK_STATE_MAX]; /* tasks that ever reached the state */
    uint64_t calls[RV_CALL_MAX];              /* that it made, as far as they were its own */
    uint64_t events[RV_EVENT_MAX];            /* that were sent to it */
    uint64_t offers_sent, offers_accepted, offers_declined, offers_rescinded;
    uint64_t revives;                               /* it dropped its filters so often */
    uint64_t visit;                                 /* private: the last walk that came by */
    RV_VEC(struct rv_master_inverse_offer *) asked; /* private: made in the step under way */
    bool removing;                                  /* waits for the registry to forget it */
    RV_VEC(struct rv_master_offer *) fresh;         /* of this pass, not sent yet; private */
};

struct rv_master_agent {
    struct rv_agent_id id;     /* owned */
    struct rv_agent_info info; /* resources: what it has by itself */
    struct rv_resources total; /* what it has now: operations may have changed that */
    struct rv_resources used, offered;
    bool active; /* is offered: connected, not going, neither deactivated nor on a machine DOWN */
    const struct rv_deactivation *deactivation; /* in m->deactivated; NULL: none */
    struct rv_master_machine *machine;          /* in the schedule; NULL: it is not */
    struct rv_list on_machine;
    struct rv_map answers; /* framework id -> rv_master_answer: about this schedule */
    bool connected;
    uint64_t stream;
    int64_t registered_ns, reregistered_ns;
    char stream_id[37];
    struct rv_timer ping;
    unsigned missed_pings;
    bool ponged;               /* the last ping was answered, or there was none yet */
    bool removing;             /* waits for the registry: unreachable, or removed */
    bool settling;             /* private: it registers, what it runs is being taken in */
    struct rv_list tasks;      /* rv_master_task.on_agent: not completed */
    struct rv_list executors;  /* rv_master_executor.on_agent */
    struct rv_list offers;     /* rv_master_offer.on_agent */
    struct rv_list operations; /* rv_master_operation.on_agent */
    char *boot_id;
    uint64_t life, attempt;       /* of its last registration */
    struct rv_map executor_index; /* "framework id/executor id" -> rv_master_executor; private */
    uint64_t visit;               /* private: the last walk that came by */
};

struct rv_master_counters {
/* clang-format off */
#define RV_MASTER_COUNTERS(X) \
    X(messages_register_agent) X(messages_reregister_agent) X(messages_unregister_agent) \
    X(messages_status_update) X(messages_exited_executor) X(messages_executor_to_framework) \
    X(messages_framework_to_executor) X(messages_operation_status_update) X(messages_subscribe) \
    X(messages_teardown) X(messages_accept) X(messages_decline) X(messages_revive) \
    X(messages_suppress) X(messages_kill_task) X(messages_shutdown) X(messages_acknowledge) \
    X(messages_reconcile) X(messages_message) X(messages_request) X(messages_update_framework) \
    X(messages_reconcile_operations) X(messages_acknowledge_operation) X(messages_resubscribe) \
    X(messages_update_agent) X(valid_executor_messages) X(invalid_executor_messages) \
    X(removals_recovery) X(valid_status_updates) \
    X(invalid_status_updates) X(valid_acknowledgements) X(invalid_acknowledgements) \
    X(valid_operation_acknowledgements) X(invalid_operation_acknowledgements) \
    X(valid_framework_messages) X(invalid_framework_messages) X(agent_registrations) \
    X(agent_reregistrations) X(agent_removals) X(agent_unreachable) X(removals_unhealthy) X(removals_unregistered) \
    X(removals_registered) X(unreachable_scheduled) X(unreachable_canceled) X(offers_made) \
    X(offers_accepted) X(offers_declined) X(offers_rescinded) X(dropped_messages) \
    X(allocation_runs) X(tasks_finished) X(tasks_failed) X(tasks_killed) X(tasks_lost) \
    X(tasks_error) X(tasks_dropped) X(tasks_gone) X(tasks_gone_by_operator)
/* clang-format on */
#define X(name) uint64_t name;
    RV_MASTER_COUNTERS(X)
#undef X
    uint64_t operations[RV_OP_MAX][RV_OPERATION_STATE_MAX]; /* of that type, that ended so */
};

struct rv_master_weight {
    char *role;
    double weight;
};

struct rv_master {
    struct rv_master_config config;
    struct rv_prng prng;
    int64_t now_ms, wall_ns, started_ns;
    struct rv_timers timers;
    struct rv_allocator *allocator;
    struct rv_map frameworks; /* id -> rv_master_framework */
    RV_VEC(struct rv_master_framework *) completed_frameworks;
    struct rv_map ended;          /* id of a framework -> int64_t, wall clock: cannot come back */
    struct rv_map agents;         /* id -> rv_master_agent: registered */
    struct rv_map recovered;      /* id -> rv_agent_info: from the registry, not back yet */
    struct rv_map unreachable;    /* id -> struct rv_master_absent */
    struct rv_map gone;           /* id -> struct rv_master_absent */
    struct rv_map deactivated;    /* id -> rv_deactivation: registered, recovered or unreachable */
    struct rv_map machines;       /* rv_machine_key -> rv_master_machine: the schedule */
    struct rv_map inverse_offers; /* id -> rv_master_inverse_offer */
    struct rv_map offers;         /* id -> rv_master_offer */
    struct rv_map operations;     /* 16 bytes of uuid -> rv_master_operation */
    struct rv_map weights;        /* role -> rv_master_weight */
    struct rv_map quotas;         /* role -> rv_quota, not empty */
    bool changing_quotas;         /* they are being written */
    struct rv_map streams;        /* 8-byte stream number -> who has it; private to src/master */
    struct rv_map marking; /* id of an agent without record -> itself: its state is being written */
    struct rv_map leaving; /* id of an agent -> itself: to be marked unreachable, in that order */
    size_t n_recovered;    /* agents that the registry had admitted when leadership began */
    int64_t next_removal_ms;    /* none is marked before */
    struct rv_map changing;     /* id of an agent -> itself: its deactivation is being written */
    bool changing_machines;     /* the schedule is being written */
    struct rv_map addresses;    /* "ip:port" -> rv_master_agent */
    struct rv_map subscribers;  /* 8-byte stream number -> of the operator API; private */
    struct rv_timer allocation; /* the next pass: at the batch interval, or sooner */
    int64_t next_batch_ms;      /* when a pass looks at every agent again */
    int64_t last_pass_ms;
    bool pass_asked; /* since asked_ms */
    int64_t asked_ms;
    int64_t pass_waited_ms; /* the last pass, from when it was asked for or was due */
    int64_t hold_until_ms;  /* until then, or until so many agents are there, nothing is offered */
    size_t hold_agents;
    struct rv_timer reregister; /* until recovered agents must be back */
    struct rv_timer removal;    /* of the next of `leaving` */
    struct rv_timer gc;         /* of unreachable and gone agents */
    struct rv_timer settled;    /* until recovered frameworks should be back */
    uint64_t next_framework, next_agent, next_offer, next_registry;
    struct rv_map pending; /* 8-byte registry seq -> what waits for it; private */
    struct rv_master_counters counters;
    /* Tasks that ended, or became unreachable: how, who said so and why. */
    uint64_t ends[RV_TASK_STATE_MAX][RV_SOURCE_MAX][RV_REASON_MAX];
    size_t pending_frameworks, pending_agents; /* of `pending` */
    uint64_t visits;                           /* walks over agents or frameworks so far */
    struct rv_effects *out;                    /* of the step under way */
    struct rv_buf problem;                     /* rv_master_check's last answer */
    struct rv_buf scratch;
};

struct rv_master_absent {
    char *id;
    int64_t wall_ns;
    struct rv_list tasks; /* those that may come back with it: rv_master_task.on_agent */
};

/* What has been said about an agent's machine, and who is asked: rv_master_answer in order. The
 * machines of the schedule in order of window and place; the caller frees the array. */
const struct rv_machine **rv_master_schedule(const struct rv_master *m, size_t *n);

/* Roles that are known: of subscribed frameworks (active or not), with weights, with quota, with
 * reservations or allocations, and their ancestors. In byte order. Calls back with the role's name.
 */
void rv_master_each_role(const struct rv_master *m, void (*each)(void *ctx, const char *role),
                         void *ctx);
/* Sums for a role itself (not those below): allocated to tasks and executors, offered, reserved. */
void rv_master_role_resources(const struct rv_master *m, const char *role,
                              struct rv_resources *allocated, struct rv_resources *offered,
                              struct rv_resources *reserved);
/* 1.0 unless set. */
double rv_master_role_weight(const struct rv_master *m, const char *role);

#endif
