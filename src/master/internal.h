/*
 * What the files of the master's core have in common. Private to src/master.
 *
 * Lives of records: a record belongs to its maps and lists; when it leaves the last of them it goes
 * to the graves of the effects (rv_master_bury), because an effect of the same step may show it.
 * Nothing that an effect may show is freed in any other way. What comes with an event is borrowed
 * for the step, so an effect never points into it: it is copied to the arena of the effects.
 */
#ifndef RV_MASTER_INTERNAL_H
#define RV_MASTER_INTERNAL_H

#include "base/assert.h"
#include "base/log.h"
#include "master/records.h"

/* Roles of one framework: what is compared pairwise stays small. */
#define RV_MASTER_MAX_ROLES 1000
/* Frameworks that have ended and may not come back: the oldest are forgotten. */
#define RV_MASTER_MAX_ENDED ((size_t)10000)
/* Operations of one agent that are under way or not acknowledged. */
#define RV_MASTER_MAX_OPERATIONS 1000
/* Elements of an agent's total: how far operations may split what it has. */
#define RV_MASTER_MAX_ELEMENTS 4096
/* What agents that are gone, and frameworks about their tasks, are told. */
#define RV_MASTER_GONE "Agent has been marked gone"

/* Which timer of its owner a timer is. */
enum rv_master_timer {
    RV_TIMER_ALLOCATION,
    RV_TIMER_REREGISTER,
    RV_TIMER_REMOVAL,
    RV_TIMER_GC,
    RV_TIMER_SETTLED,
    RV_TIMER_HEARTBEAT,
    RV_TIMER_FAILOVER,
    RV_TIMER_RECONCILE,
    RV_TIMER_PING,
    RV_TIMER_OFFER,
    RV_TIMER_INVERSE_OFFER,
    RV_TIMER_SUBSCRIBER,
};

/* Who has a stream. */
enum rv_master_stream_kind {
    RV_STREAM_FRAMEWORK,
    RV_STREAM_AGENT,
    RV_STREAM_SUBSCRIBER,
    RV_STREAM_PENDING,
};
struct rv_master_stream {
    enum rv_master_stream_kind kind;
    void *owner;
};

/* Somebody on the operator API's event stream. */
struct rv_master_subscriber {
    uint64_t stream;
    struct rv_timer heartbeat;
};

/* A registration of an agent, kept while the registry writes. All owned. */
struct rv_master_registration {
    struct rv_agent_info info;
    char *boot_id;
    uint64_t life, attempt;
    RV_VEC(struct rv_task_view) tasks;
    RV_VEC(struct rv_executor_view) executors;
    RV_VEC(struct rv_framework_info) frameworks;
    struct rv_resources total;
    RV_VEC(struct rv_operation_view) operations;
};

/* What waits for a registry write. `kind` says which fields count. */
struct rv_master_pending {
    enum rv_registry_kind kind;
    uint64_t seq;
    uint64_t request, stream; /* 0: none, or the stream closed meanwhile */
    bool update;              /* PUT_FRAMEWORK: of UPDATE_FRAMEWORK, not SUBSCRIBE */
    int status;               /* REMOVE_FRAMEWORK: what to answer */
    char *id;                 /* agent or framework */
    struct rv_framework_info framework;
    char **suppressed;
    size_t n_suppressed;
    struct rv_offer_constraints *constraints;
    struct rv_master_registration *registration; /* ADMIT_AGENT, MARK_REACHABLE */
    bool known; /* ADMIT_AGENT: the agent came with its id, by REREGISTER */
    int why;    /* an agent's removal: as enum rv_master_removal */
    int64_t wall_ns;
    struct rv_weight *weights;
    size_t n_weights;
    struct rv_quota *quotas; /* owned, with their members */
    size_t n_quotas;
    struct rv_deactivation deactivation;
    struct rv_machine *machines; /* owned, with their strings */
    size_t n_machines;
};

/* --- effects.c --- */
/* text NULL: no body; else it lives as the effects do. */
void rv_master_reply_text(struct rv_master *m, uint64_t request, int status, const char *text);
void rv_master_log_text(struct rv_master *m, enum rv_log_level level, const char *text);
#define RV_MASTER_TEXT(m, ...) rv_arena_printf(&(m)->out->arena, __VA_ARGS__)
#define RV_MASTER_REPLY(m, request, status, ...)                                                   \
    rv_master_reply_text((m), (request), (status), RV_MASTER_TEXT((m), __VA_ARGS__))
#define RV_MASTER_LOG_AT(m, level, ...)                                                            \
    rv_master_log_text((m), (level), RV_MASTER_TEXT((m), __VA_ARGS__))
#define RV_MASTER_WARN(m, ...) RV_MASTER_LOG_AT(m, RV_LOG_WARNING, __VA_ARGS__)
#define RV_MASTER_INFO(m, ...) RV_MASTER_LOG_AT(m, RV_LOG_INFO, __VA_ARGS__)
void rv_master_stop(struct rv_master *m, const char *text);
void rv_master_open_stream(struct rv_master *m, uint64_t request, uint64_t stream,
                           const char *stream_id);
void rv_master_close_stream(struct rv_master *m, uint64_t stream);
/* An event to fill; NULL if the framework or agent is not connected. */
struct rv_scheduler_event *rv_master_tell(struct rv_master *m, struct rv_master_framework *f,
                                          enum rv_scheduler_event_type type);
struct rv_scheduler_event *rv_master_tell_stream(struct rv_master *m, uint64_t stream,
                                                 enum rv_scheduler_event_type type);
struct rv_agent_event *rv_master_tell_agent(struct rv_master *m, const struct rv_master_agent *a,
                                            enum rv_agent_event_type type);
struct rv_agent_event *rv_master_tell_agent_stream(struct rv_master *m, uint64_t stream,
                                                   enum rv_agent_event_type type);
/* To one operator's stream, or with 0 to all; NULL if nobody listens. */
struct rv_operator_event *rv_master_tell_operators(struct rv_master *m, uint64_t stream,
                                                   enum rv_operator_event_kind kind);
/* A write, and what waits for it (owned from now on; may be NULL). */
struct rv_registry_op *rv_master_write(struct rv_master *m, enum rv_registry_kind kind,
                                       struct rv_master_pending *p);
void rv_master_bury(struct rv_master *m, void (*free_fn)(void *), void *record);
char *rv_master_keep(struct rv_master *m, const char *s); /* copy that lives as the effects do */

/* --- master.c --- */
struct rv_master_pending *rv_master_pending_new(enum rv_registry_kind kind, const char *id);
void rv_master_pending_free(struct rv_master_pending *p);
void rv_master_stream_put(struct rv_master *m, uint64_t stream, enum rv_master_stream_kind kind,
                          void *owner);
void rv_master_stream_drop(struct rv_master *m, uint64_t stream);
/* Whether this is an id that this master has yet to give ("<its id><infix><number>"): nobody can
 * come with it, and who did would meet the one it is given to. */
bool rv_master_id_ahead(const struct rv_master *m, const char *id, const char *infix,
                        uint64_t next);
/* A stream that waits for the registry: known, so that its end is noticed. */
void rv_master_stream_pend(struct rv_master *m, struct rv_master_pending *p);
static inline struct rv_str rv_master_key(const uint64_t *number) {
    return rv_strn(number, sizeof *number);
}

/* --- frameworks.c --- */
struct rv_master_framework *rv_master_framework_find(const struct rv_master *m,
                                                     struct rv_framework_id id);
struct rv_master_framework *
rv_master_framework_add(struct rv_master *m, const struct rv_framework_info *info, const char *id);
bool rv_master_framework_completed(const struct rv_master *m, const char *id);
/* One that is known from the registry or from an agent. away_ns: disconnected since; 0: not known.
 */
struct rv_master_framework *rv_master_framework_recover(struct rv_master *m,
                                                        const struct rv_framework_info *info,
                                                        int64_t away_ns);
void rv_master_frameworks_recover(struct rv_master *m, const struct rv_registry_snapshot *s);
/* Those that have not come back yet count as away from the beginning of this leadership on. */
void rv_master_settled_due(struct rv_master *m);
/* Writes to the registry what is known of it. */
void rv_master_framework_put(struct rv_master *m, struct rv_master_framework *f);
/* Has ended, and is not to come back. */
void rv_master_framework_end(struct rv_master *m, const char *id, int64_t wall_ns);
void rv_master_framework_free(void *f);
void rv_master_subscribe(struct rv_master *m, const struct rv_master_event *e);
void rv_master_update_framework(struct rv_master *m, struct rv_master_framework *f,
                                const struct rv_master_event *e);
void rv_master_put_framework_done(struct rv_master *m, struct rv_master_pending *p, bool ok);
void rv_master_framework_closed(struct rv_master *m, struct rv_master_framework *f);
/* Writes to the registry that it goes; the answer (status, 0 request: none) follows the removal. */
void rv_master_framework_remove(struct rv_master *m, struct rv_master_framework *f,
                                uint64_t request, int status, const char *why);
void rv_master_remove_framework_done(struct rv_master *m, struct rv_master_pending *p, bool ok);
void rv_master_suppress(struct rv_master *m, struct rv_master_framework *f,
                        const struct rv_scheduler_call *call);
void rv_master_revive(struct rv_master *m, struct rv_master_framework *f,
                      const struct rv_scheduler_call *call);

/* --- calls.c: a scheduler's calls, after the checks that all share --- */
void rv_master_scheduler_call(struct rv_master *m, const struct rv_master_event *e);

/* --- agents.c --- */
void rv_master_agent_call(struct rv_master *m, const struct rv_master_event *e);
struct rv_master_agent *rv_master_agent_find(const struct rv_master *m, struct rv_agent_id id);
void rv_master_agent_free(void *a);
/* Whether it is offered, from all that bears on that; if not, its offers go. */
void rv_master_agent_refresh(struct rv_master *m, struct rv_master_agent *a);
void rv_master_agent_closed(struct rv_master *m, struct rv_master_agent *a);
void rv_master_ping_due(struct rv_master *m, struct rv_master_agent *a);
void rv_master_agent_written(struct rv_master *m, struct rv_master_pending *p, bool ok);

/* --- absence.c --- */
/* It failed its health checks, or did not come back: marked unreachable when the rate allows it. */
void rv_master_agent_missed(struct rv_master *m, const char *id);
/* ... it is there after all, or goes in another way. */
void rv_master_agent_seen(struct rv_master *m, const char *id);
void rv_master_removal_due(struct rv_master *m);
void rv_master_reregister_due(struct rv_master *m);
void rv_master_absent_put(struct rv_master *m, struct rv_map *map, const char *id, int64_t wall_ns);
struct rv_master_absent *rv_master_absent_new(const char *id, int64_t wall_ns);
/* ... and, in silence, the tasks that were to come back with it. */
void rv_master_absent_free(struct rv_master *m, struct rv_master_absent *absent);
void rv_master_gc_due(struct rv_master *m);

/* --- registration.c --- */
void rv_master_register(struct rv_master *m, const struct rv_master_event *e);
void rv_master_reregister(struct rv_master *m, const struct rv_master_event *e);
void rv_master_registration_free(struct rv_master_registration *r);
void rv_master_admitted(struct rv_master *m, struct rv_master_pending *p, bool ok);
void rv_master_agent_update_total(struct rv_master *m, struct rv_master_agent *a,
                                  const struct rv_resources *total);

/* --- removal.c --- */
enum rv_master_removal {
    RV_REMOVAL_UNHEALTHY, /* it is unreachable, and may come back */
    RV_REMOVAL_UNREGISTERED,
    RV_REMOVAL_REPLACED, /* another agent has registered at its address */
    RV_REMOVAL_DOWN,     /* its machine is */
    RV_REMOVAL_GONE,
    RV_REMOVAL_DRAINED, /* ... and gone */
};
/* Begins: writes to the registry that the agent goes. request: answered when that is done; 0: none.
 */
void rv_master_agent_remove(struct rv_master *m, struct rv_master_agent *a,
                            enum rv_master_removal why, uint64_t request);
/* The same of an agent that is known by its id only. */
void rv_master_absent_mark(struct rv_master *m, const char *id, enum rv_registry_kind kind,
                           uint64_t request);
/* The tasks that were to come back with it do not: they are in this state now. */
void rv_master_absent_end(struct rv_master *m, struct rv_master_absent *absent,
                          enum rv_task_state state, const char *message);
void rv_master_agent_removed(struct rv_master *m, struct rv_master_pending *p, bool ok);
void rv_master_mark_agent_gone(struct rv_master *m, const struct rv_master_event *e);

/* --- deactivation.c --- */
/* d NULL: it is not deactivated any more. */
void rv_master_deactivation_put(struct rv_master *m, const char *id,
                                const struct rv_deactivation *d);
void rv_master_drain_agent(struct rv_master *m, const struct rv_master_event *e);
void rv_master_deactivate_agent(struct rv_master *m, const struct rv_master_event *e);
void rv_master_reactivate_agent(struct rv_master *m, const struct rv_master_event *e);
void rv_master_deactivated(struct rv_master *m, struct rv_master_pending *p, bool ok);
void rv_master_reactivated(struct rv_master *m, struct rv_master_pending *p, bool ok);
/* An agent has just come with all it has: it is told to drain, if it is to. */
void rv_master_drain_settle(struct rv_master *m, struct rv_master_agent *a);
/* Something of the agent has ended: if it is draining and that was the last, it is drained. */
void rv_master_drain_check(struct rv_master *m, struct rv_master_agent *a);

/* --- maintenance.c --- */
void rv_master_machine_free(void *machine);
void rv_master_machines_recover(struct rv_master *m, const struct rv_registry_snapshot *s);
void rv_master_maintenance_call(struct rv_master *m, const struct rv_master_event *e);
void rv_master_machines_done(struct rv_master *m, struct rv_master_pending *p, bool ok);
/* Links the agent to its machine in the schedule, as its info names it. */
void rv_master_agent_place(struct rv_master *m, struct rv_master_agent *a);
bool rv_master_is_down(const struct rv_master *m, const struct rv_agent_info *info);
/* If its machine is down, the agent is told to end, and goes. */
void rv_master_shut_down(struct rv_master *m, struct rv_master_agent *a);

/* --- inverse_offers.c --- */
void rv_master_inverse_offer_free(void *o);
void rv_master_inverse_offer_rescind(struct rv_master *m, struct rv_master_inverse_offer *o);
void rv_master_inverse_offers_due(struct rv_master *m);
void rv_master_inverse_offers_drop_agent(struct rv_master *m, struct rv_master_agent *a);
void rv_master_inverse_offers_drop_framework(struct rv_master *m, struct rv_master_framework *f,
                                             bool tell);
void rv_master_inverse_answer(struct rv_master *m, struct rv_master_framework *f,
                              const struct rv_scheduler_call *call);
/* All that was said about the agent; that a framework said of any. */
void rv_master_answers_clear(struct rv_master *m, struct rv_master_agent *a);
void rv_master_answers_forget(struct rv_master *m, const struct rv_master_framework *f);
void rv_master_answers_free(struct rv_master_agent *a);

/* --- offers.c --- */
void rv_master_offer_free(void *o);
char *rv_master_new_offer_id(struct rv_master *m); /* the caller frees */
void rv_master_allocation_due(struct rv_master *m);
/* A pass soon: something came free or wants. */
void rv_master_allocate_soon(struct rv_master *m);
/* Takes it out of all maps and books; its resources stay booked with the allocator. Buried. */
void rv_master_offer_take(struct rv_master *m, struct rv_master_offer *o);
/* ... and gives the resources back. refuse_until_ms 0: no filter. tell: RESCIND first. */
void rv_master_offer_drop(struct rv_master *m, struct rv_master_offer *o, int64_t refuse_until_ms,
                          bool tell);
void rv_master_offers_drop_framework(struct rv_master *m, struct rv_master_framework *f, bool tell);
void rv_master_offers_drop_agent(struct rv_master *m, struct rv_master_agent *a);
void rv_master_decline(struct rv_master *m, struct rv_master_framework *f,
                       const struct rv_scheduler_call *call);

/* --- accept.c, launch.c --- */
struct rv_master_acceptance {
    struct rv_master_framework *framework;
    struct rv_master_agent *agent; /* NULL: the offers are not valid */
    const char *role;
    struct rv_resources available; /* what is left of the offers */
    bool used;                     /* something of them was booked, or changed */
};
void rv_master_accept(struct rv_master *m, struct rv_master_framework *f,
                      const struct rv_scheduler_call *call);
void rv_master_launch(struct rv_master *m, struct rv_master_acceptance *a,
                      const struct rv_operation *op);
void rv_master_launch_group(struct rv_master *m, struct rv_master_acceptance *a,
                            const struct rv_operation *op);

/* --- tasks.c --- */
struct rv_master_task *rv_master_task_new(struct rv_master *m, struct rv_master_framework *f,
                                          struct rv_master_agent *a,
                                          const struct rv_task_info *info,
                                          const struct rv_resources *resources,
                                          const char *executor_id, enum rv_task_state state);
void rv_master_task_free(void *t);
/* Adds a status to what is kept of the task, and counts its state. Deep copy. */
void rv_master_task_record(struct rv_master *m, struct rv_master_task *t,
                           const struct rv_task_status *status);
/* The latest state, if the task may still change. Gives the resources back at the first terminal or
 * unreachable one (INV-27). */
void rv_master_task_set_state(struct rv_master *m, struct rv_master_task *t,
                              enum rv_task_state state);
/* A change that the master itself makes: state, status without uuid, told to the framework and to
 * operators. state is mapped for frameworks that are not partition-aware. */
void rv_master_task_lose(struct rv_master *m, struct rv_master_task *t, enum rv_task_state state,
                         enum rv_reason reason, const char *message, int64_t unreachable_ns);
/* Off its agent and out of its framework's active tasks, to the completed (or unreachable) ones. */
void rv_master_task_complete(struct rv_master *m, struct rv_master_task *t);
void rv_master_task_unpark(struct rv_master_task *t);
void rv_master_task_forget_parked(struct rv_master *m, struct rv_master_task *t);
void rv_master_task_park(struct rv_master *m, struct rv_master_task *t);
/* To the completed ones: it is in no list of its framework any more. */
void rv_master_task_retire(struct rv_master *m, struct rv_master_task *t);
/* Whether it was lost. */
bool rv_master_task_forget_completed(struct rv_master *m, struct rv_master_framework *f,
                                     const char *id);
/* A status made here: SOURCE_MASTER, no uuid, time stamped. Lives as the effects do. */
struct rv_task_status *rv_master_status(struct rv_master *m, const char *task_id,
                                        const char *agent_id, const char *executor_id,
                                        enum rv_task_state state, enum rv_reason reason,
                                        const char *message);
/* Health, container and the like, as last heard: borrowed from the task's record (NULL: none). */
void rv_master_status_details(struct rv_task_status *status, const struct rv_task_status *last);
void rv_master_send_status(struct rv_master *m, struct rv_master_framework *f,
                           const struct rv_task_status *status);
void rv_master_count_state(struct rv_master *m, struct rv_master_framework *f,
                           enum rv_task_state state);
/* By whom and why, if the status says so. */
void rv_master_count_end(struct rv_master *m, const struct rv_task_status *status);
void rv_master_status_update(struct rv_master *m, struct rv_master_agent *a,
                             const struct rv_agent_call *call);
void rv_master_acknowledge(struct rv_master *m, struct rv_master_framework *f,
                           const struct rv_scheduler_call *call);
void rv_master_kill(struct rv_master *m, struct rv_master_framework *f,
                    const struct rv_scheduler_call *call);
void rv_master_kill_send(struct rv_master *m, struct rv_master_task *t);
void rv_master_task_added(struct rv_master *m, struct rv_master_task *t);
/* A number from the wire that is one of the states. */
static inline bool rv_master_is_state(enum rv_task_state s) {
    return (unsigned)s < RV_TASK_STATE_MAX;
}
/* What a framework without PARTITION_AWARE is told instead: INV-38, INV-40. */
enum rv_task_state rv_master_visible_state(const struct rv_master_framework *f,
                                           enum rv_task_state state);

/* --- executors.c --- */
struct rv_master_executor *rv_master_executor_find(const struct rv_master_agent *a,
                                                   const struct rv_master_framework *f,
                                                   const char *id);
/* Books its resources. */
struct rv_master_executor *rv_master_executor_add(struct rv_master *m,
                                                  struct rv_master_framework *f,
                                                  struct rv_master_agent *a,
                                                  const struct rv_executor_info *info,
                                                  const struct rv_resources *resources);
void rv_master_executor_remove(struct rv_master *m, struct rv_master_executor *x);
void rv_master_executor_free(void *x);
void rv_master_executor_exited(struct rv_master *m, struct rv_master_agent *a,
                               const struct rv_agent_call *call);
void rv_master_message_to_framework(struct rv_master *m, struct rv_master_agent *a,
                                    const struct rv_agent_call *call);
void rv_master_message_to_executor(struct rv_master *m, struct rv_master_framework *f,
                                   const struct rv_scheduler_call *call);
void rv_master_shutdown_executor(struct rv_master *m, struct rv_master_framework *f,
                                 const struct rv_scheduler_call *call);
/* Books of a framework, over agents: the scalars of r. */
void rv_master_add_scalars(struct rv_resources *to, const struct rv_resources *r);
void rv_master_subtract_scalars(struct rv_resources *from, const struct rv_resources *r);
/* In use by a task or executor from now on. The allocator knows already, if it was offered. */
void rv_master_book(struct rv_master_framework *f, struct rv_master_agent *a,
                    const struct rv_resources *r);
/* No longer in use: back to the allocator, a pass soon. */
void rv_master_unbook(struct rv_master *m, struct rv_master_framework *f, struct rv_master_agent *a,
                      const struct rv_resources *r);
/* As agents tell of resources: without allocation roles, a shared one once. out is replaced. */
void rv_master_bare(struct rv_resources *out, const struct rv_resources *r);
/* What somebody uses is taken off what is left; shared ones are left for others, too. */
void rv_master_subtract_unshared(struct rv_resources *left, const struct rv_resources *r);
/* A volume (a role's id) that is in r twice; NULL: none is. */
const struct rv_kind *rv_master_volume_twice(struct rv_master *m, const struct rv_resources *r);
/* Calls back once for each agent that has tasks, executors or operations of the framework. */
void rv_master_each_agent_of(struct rv_master *m, struct rv_master_framework *f,
                             void (*each)(struct rv_master *m, struct rv_master_framework *f,
                                          struct rv_master_agent *a));

/* --- reconcile.c --- */
void rv_master_reconcile(struct rv_master *m, struct rv_master_framework *f,
                         const struct rv_scheduler_call *call);
/* The next of what a framework has asked for and was not told yet. */
void rv_master_reconcile_due(struct rv_master *m, struct rv_master_framework *f);
void rv_master_questions_free(struct rv_master_questions *q);
/* Its stream has ended: it has to ask again. */
void rv_master_reconcile_forget(struct rv_master *m, struct rv_master_framework *f);
void rv_master_reconcile_one(struct rv_master *m, struct rv_master_framework *f,
                             struct rv_task_id task_id, struct rv_agent_id agent_id);

/* --- operate.c: those on resources, done --- */
void rv_master_apply_operation(struct rv_master *m, struct rv_master_acceptance *a,
                               const struct rv_operation *op);
void rv_master_apply_for_operator(struct rv_master *m, const struct rv_master_event *e);

/* --- operations.c: what becomes of them --- */
void rv_master_operation_refuse(struct rv_master *m, struct rv_master_framework *f,
                                const struct rv_operation *op, enum rv_operation_state state,
                                const char *message, struct rv_agent_id agent_id);
/* Under way from now on. op has no allocation roles; the conversion is taken over. */
struct rv_master_operation *
rv_master_operation_new(struct rv_master *m, struct rv_framework_id framework_id,
                        struct rv_master_agent *a, const struct rv_operation *op,
                        struct rv_conversion *conversion, const uint8_t uuid[16]);
void rv_master_operation_free(void *o);
void rv_master_operation_status(struct rv_master *m, struct rv_master_agent *a,
                                const struct rv_agent_call *call);
void rv_master_operation_acknowledge(struct rv_master *m, struct rv_master_framework *f,
                                     const struct rv_scheduler_call *call);
void rv_master_reconcile_operations(struct rv_master *m, struct rv_master_framework *f,
                                    const struct rv_scheduler_call *call);
/* What is wrong with the operations that an agent tells of; NULL: nothing. */
const char *rv_master_operations_problem(struct rv_master *m, const struct rv_agent_call *call);
/* The agent has come with these: those that it does not know are dropped... */
void rv_master_operations_drop_missing(struct rv_master *m, struct rv_master_agent *a,
                                       const struct rv_master_registration *r);
/* ... and those that the master does not know are taken in. */
void rv_master_operations_take(struct rv_master *m, struct rv_master_agent *a,
                               const struct rv_master_registration *r);
/* The agent goes; the frameworks are told this state. */
void rv_master_operations_lose(struct rv_master *m, struct rv_master_agent *a,
                               enum rv_operation_state state, const char *message);
/* The framework has ended: nobody acknowledges them any more. */
void rv_master_operations_orphan(struct rv_master *m, struct rv_master_framework *f);

/* --- quota.c --- */
void rv_master_quota_call(struct rv_master *m, const struct rv_master_event *e);
void rv_master_quotas_done(struct rv_master *m, struct rv_master_pending *p, bool ok);
/* It counts from now on; an empty one takes away what the role has. */
void rv_master_quota_put(struct rv_master *m, const struct rv_quota *quota);
void rv_master_quotas_free(struct rv_map *quotas);

/* --- operators.c --- */
void rv_master_operator_call(struct rv_master *m, const struct rv_master_event *e);
void rv_master_weights_done(struct rv_master *m, struct rv_master_pending *p, bool ok);
void rv_master_subscriber_closed(struct rv_master *m, struct rv_master_subscriber *s);
void rv_master_subscriber_due(struct rv_master *m, struct rv_master_subscriber *s);
void rv_master_weight_put(struct rv_master *m, const char *role, double weight);

#endif
