/* What the parts of the auditor share. Private to sim/auditor*.c. */
#ifndef SIM_AUDITOR_INTERNAL_H
#define SIM_AUDITOR_INTERNAL_H

#include "auditor.h"

/* auditor.c */
/* Valid until the next time. */
const char *sim_audit_text(const struct rv_resources *r);
void sim_audit_free_strings(char **v, size_t n);
char **sim_audit_copy_strings(char *const *v, size_t n);
bool sim_audit_has_string(char *const *v, size_t n, const char *s);
void sim_audit_free_framework(struct sim_audit_framework *f);
void sim_audit_close_offer(struct sim_auditor *a, struct sim_audit_offer *o);

static inline struct rv_str sim_audit_number_key(const uint64_t *number) {
    return rv_strn(number, sizeof *number);
}

/* INV-26: what is offered and used of the agent is not more than it has. */
void sim_audit_sum(struct sim_auditor *a, const struct sim_audit_agent *g);

/* The books of one leadership. */
void sim_audit_books_opened(struct sim_auditor *a, const struct rv_registry_snapshot *s);
void sim_audit_books_closed(struct sim_auditor *a);

/* auditor_masters.c */
/* INV-4: what is told now follows from the record KIND/ID. */
void sim_audit_durable(struct sim_auditor *a, const char *kind, const char *id, const char *what);
void sim_audit_masters_free(struct sim_auditor *a);

/* auditor_filters.c */
/* The framework refuses this of the offer's agent; NULL: it is not known what. */
void sim_audit_filter_add(struct sim_auditor *a, const struct sim_audit_offer *o,
                          const struct rv_resources *refused, int64_t until_ms);
/* They may be in force or not any more. NULL: of any. */
void sim_audit_filters_doubt(struct sim_auditor *a, const char *framework_id, const char *role,
                             const char *agent_id);
/* They are certainly not any more. NULL: of all frameworks. */
void sim_audit_filters_drop(struct sim_auditor *a, const char *framework_id);
void sim_audit_filters_check(struct sim_auditor *a, const struct sim_audit_offer *o);

/* auditor_nodes.c */
void sim_audit_nodes_registry(struct sim_auditor *a, const struct rv_registry_op *op, bool ok);
void sim_audit_nodes_asked(struct sim_auditor *a, const struct rv_registry_op *op);
void sim_audit_nodes_started(struct sim_auditor *a, const struct rv_registry_snapshot *s);
void sim_audit_nodes_crashed(struct sim_auditor *a);
/* An offer of the agent; away: what it tells. */
void sim_audit_nodes_offered(struct sim_auditor *a, const struct sim_audit_agent *g,
                             const struct rv_unavailability *away, struct sim_audit_offer *o);
/* Of inverse offers: the events to a framework, its answers, its going. */
void sim_audit_nodes_told(struct sim_auditor *a, const struct sim_audit_framework *f,
                          const struct rv_scheduler_event *e);
void sim_audit_nodes_answered(struct sim_auditor *a, const struct rv_scheduler_call *call);
void sim_audit_nodes_left(struct sim_auditor *a, const char *framework_id);
void sim_audit_nodes_stepped(struct sim_auditor *a, int64_t timeout_ms, int64_t awake_ms);

/* auditor_absence.c */
void sim_audit_absence_started(struct sim_auditor *a, const struct rv_registry_snapshot *s);
void sim_audit_absence_asked(struct sim_auditor *a, const struct rv_registry_op *op);
void sim_audit_absence_registry(struct sim_auditor *a, const struct rv_registry_op *op, bool ok);
/* An update that is sent to the framework; is_used: the books have the task running. */
void sim_audit_absence_told(struct sim_auditor *a, const struct sim_audit_framework *f,
                            const struct rv_task_status *s, bool is_used);
/* The task was told in this state; the agent is back, with what it uses. */
void sim_audit_absence_state(struct sim_auditor *a, struct rv_str key,
                             const struct rv_task_status *s);
void sim_audit_absence_back(struct sim_auditor *a, const struct sim_audit_agent *g);
void sim_audit_absence_free(struct sim_auditor *a);
void sim_audit_absence_stepped(struct sim_auditor *a, int64_t awake_ms);

/* auditor_quota.c */
void sim_audit_quota_started(struct sim_auditor *a, const struct rv_registry_snapshot *s);
void sim_audit_quota_written(struct sim_auditor *a, const struct rv_registry_op *op);
void sim_audit_quota_registry(struct sim_auditor *a, const struct rv_registry_op *op, bool ok);
void sim_audit_quota_offered(struct sim_auditor *a, const struct sim_audit_offer *o);
/* An agent with an id asks to be registered. */
void sim_audit_quota_returned(struct sim_auditor *a, const char *agent_id);
void sim_audit_quota_replied(struct sim_auditor *a, uint64_t request, int status);
void sim_audit_quota_free(struct sim_auditor *a);

/* auditor_recovery.c */
void sim_audit_recovery_heard(struct sim_auditor *a, const struct sim_agent *agent,
                              const struct rv_agent_event *e);
void sim_audit_recovery_says(struct sim_auditor *a, const struct sim_agent *agent,
                             const struct rv_agent_call *call);
void sim_audit_recovery_crashed(struct sim_auditor *a, const struct sim_agent *agent);
void sim_audit_recovery_delivered(struct sim_auditor *a, const char *framework_id,
                                  const char *task_id);
void sim_audit_recovery_free(struct sim_auditor *a);

/* auditor_links.c */
/* What an agent's process knows of a master, and when it tries to reach one. -1: never. */
struct sim_audit_link {
    bool known, registered, refused;
    bool stopping;            /* it is told to end */
    bool dismissed;           /* ... by a master, with all that it runs: nobody is to hear of it */
    int64_t alone_ms;         /* since when it is not registered */
    int64_t ordered_ms;       /* when a master last told it to end anything */
    int64_t backoff_ms;       /* of the next try, at most */
    int64_t try_ms, told_ms;  /* the last try, and when it was known to have failed */
    int64_t tried_backoff_ms; /* of that one */
    int64_t due_ms;           /* the next try comes by then, though none has failed */
};
struct sim_audit_link *sim_audit_link(struct sim_auditor *a, const struct sim_agent *agent);
void sim_audit_link_started(struct sim_auditor *a, const struct sim_agent *agent);
/* The master does something in this step. */
void sim_audit_link_acts(struct sim_auditor *a, const char *how);
/* In one direction of one connection, whose key it is; the next of what was said is heard. */
void sim_audit_say(struct sim_auditor *a, struct rv_str key, struct rv_str what);
void sim_audit_hear(struct sim_auditor *a, struct rv_str key, struct rv_str what, const char *who);
void sim_audit_message_sent(struct sim_auditor *a, const char *framework_id, struct rv_str data);
void sim_audit_links_idle(struct sim_auditor *a);
void sim_audit_links_free(struct sim_auditor *a);

/* auditor_operations.c */
void sim_audit_operation_sent(struct sim_auditor *a, struct sim_audit_agent *g,
                              const struct rv_agent_event *e);
void sim_audit_operation_ended(struct sim_audit_agent *g, const struct rv_agent_call *call);
void sim_audit_total_said(struct sim_auditor *a, const struct sim_agent *agent,
                          const struct rv_agent_call *call);
void sim_audit_operation_said(struct sim_auditor *a, const struct sim_agent *agent,
                              const struct rv_agent_call *call);
void sim_audit_operation_told(struct sim_auditor *a, const struct sim_audit_framework *f,
                              const struct rv_operation_status *s);
void sim_audit_operation_heard(struct sim_auditor *a, const struct sim_agent *agent,
                               const struct rv_agent_event *e);
void sim_audit_operations_free(struct sim_auditor *a);

/* auditor_streams.c */
/* An event goes out on the stream. */
void sim_audit_stream_tells(struct sim_auditor *a, const struct sim_audit_stream *s);
void sim_audit_stream_sends(struct sim_auditor *a, struct sim_audit_stream *s,
                            const struct rv_scheduler_event *e);
/* The master has read this of an agent; it tells an agent this. */
void sim_audit_stream_agent_said(struct sim_auditor *a, const struct rv_agent_call *call);
void sim_audit_stream_orders(struct sim_auditor *a, const struct rv_agent_event *e);
void sim_audit_stream_agent_back(struct sim_auditor *a, const char *agent_id);
void sim_audit_streams_free(struct sim_auditor *a);

/* auditor_alone.c */
void sim_audit_alone_destroys(struct sim_auditor *a, const struct sim_agent *agent,
                              const char *container_id);
void sim_audit_alone_says(struct sim_auditor *a, const struct sim_agent *agent,
                          const struct rv_agent_call *call);
void sim_audit_alone_heard(struct sim_auditor *a, const struct sim_agent *agent,
                           const struct rv_agent_event *e);
void sim_audit_alone_crashed(struct sim_auditor *a, const struct sim_agent *agent);
void sim_audit_alone_idle(struct sim_auditor *a);
void sim_audit_alone_free(struct sim_auditor *a);

/* auditor_calls.c */
/* An update that may be the answer to the RECONCILE under way. */
void sim_audit_answered(struct sim_auditor *a, const struct rv_task_status *s);
/* The step of the call is over. */
void sim_audit_call_stepped(struct sim_auditor *a);

#endif
