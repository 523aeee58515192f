/*
 * Limits that containers went over, as frameworks are told of them: TaskResourceLimitation, and
 * what the agent adds to an executor's word that a task has failed.
 */
#ifndef RV_DAEMON_AGENT_LIMITS_H
#define RV_DAEMON_AGENT_LIMITS_H

#include "daemon/agent_daemon.h"
#include "reeve/v1/v1.pb-c.h"

/* NULL if there are no resources; borrows from them. */
Reeve__V1__TaskResourceLimitation *rv_limitation_to(const struct rv_resources *over,
                                                    struct rv_arena *arena);
/* The same, packed; the caller unrefs. */
struct rv_blob *rv_limitation_pack(const struct rv_resources *over, struct rv_arena *arena);

/* Of a task that failed: an executor knows how its command ended, the agent that the kernel had a
 * reason for it. Fills in reason, message and limitation if there is one, and lets the container
 * end. */
void rv_agent_explain_failure(struct rv_agent_daemon *d, const struct rv_agent_executor *ex,
                              struct rv_task_status *s, struct rv_arena *arena);

#endif
