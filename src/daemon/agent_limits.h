/*
 * Limits of containers that the agent keeps itself, of disk and ports, as the flags say; and limits
 * that containers went over, as frameworks are told of them: TaskResourceLimitation, and what the
 * agent adds to an executor's word that a task has failed.
 */
#ifndef RV_DAEMON_AGENT_LIMITS_H
#define RV_DAEMON_AGENT_LIMITS_H

#include "daemon/agent_daemon.h"
#include "reeve/v1/v1.pb-c.h"

/* Starts the watches of the disk and of containers. An error names the flag. */
RV_MUST_USE int rv_agent_watch_start(struct rv_agent_daemon *d, struct rv_error *err);
/* Once the core is there: what an earlier agent has launched is watched, too. */
void rv_agent_watch_recovered(struct rv_agent_daemon *d);

/* NULL if there are no resources; borrows from them. */
Reeve__V1__TaskResourceLimitation *rv_limitation_to(const struct rv_resources *over,
                                                    struct rv_arena *arena);
/* The same, packed; the caller unrefs. */
struct rv_blob *rv_limitation_pack(const struct rv_resources *over, struct rv_arena *arena);

/* Of a task that ended: an executor knows how its command ended, the agent that the kernel had a
 * reason for it. Then it has failed; fills in reason, message and limitation, and lets the
 * container end. */
void rv_agent_explain_failure(struct rv_agent_daemon *d, const struct rv_agent_executor *ex,
                              struct rv_task_status *s, struct rv_arena *arena);

#endif
