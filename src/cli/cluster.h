/*
 * The cluster as the master tells it in one GET_STATE, and how what a person names is found in it.
 * Everything lives in the arena of the verb.
 */
#ifndef RV_CLI_CLUSTER_H
#define RV_CLI_CLUSTER_H

#include "base/map.h"
#include "cli/common.h"
#include "cli/ids.h"
#include "cli/output.h"

struct rv_cli_task {
    const Reeve__V1__Task *task;
    bool live;           /* neither completed nor unreachable */
    const char *state;   /* "running" */
    double started_s;    /* first RUNNING that is still known, else its first status; 0: unknown */
    double ended_s;      /* 0: not yet */
    const char *message; /* of the last status, NULL: none */
};

struct rv_cli_cluster {
    Reeve__V1__Master__Response__GetState *state;
    struct rv_cli_task *tasks;
    size_t n_tasks;
    struct rv_cli_ids task_ids, framework_ids, agent_ids;
    struct rv_map frameworks, agents; /* id -> record */
    Reeve__V1__AgentInfo **recovered; /* known to a new leader, and not back yet */
    size_t n_recovered;
    struct rv_map framework_tasks, agent_tasks; /* id -> size_t: tasks that have not ended */
};

RV_MUST_USE int rv_cli_cluster_get(struct rv_cli *cli, struct rv_cli_cluster *out,
                                   struct rv_error *err);
/* Its agents alone, by GET_AGENTS. */
RV_MUST_USE int rv_cli_agents_get(struct rv_cli *cli, struct rv_cli_cluster *out,
                                  struct rv_error *err);
void rv_cli_cluster_free(struct rv_cli_cluster *c);

/* NULL if it is not there (any more). Ended frameworks are found too. */
const Reeve__V1__Master__Response__GetAgents__Agent *
rv_cli_agent_by_id(const struct rv_cli_cluster *c, const char *id);
const Reeve__V1__Master__Response__GetFrameworks__Framework *
rv_cli_framework_by_id(const struct rv_cli_cluster *c, const char *id);
/* How many of the tasks that have not ended it has. */
size_t rv_cli_tasks_of_framework(const struct rv_cli_cluster *c, const char *id);
size_t rv_cli_tasks_on_agent(const struct rv_cli_cluster *c, const char *id);
/* Where its agent listens. */
RV_MUST_USE int rv_cli_agent_address(const Reeve__V1__Master__Response__GetAgents__Agent *agent,
                                     struct rv_cli_address *out, struct rv_error *err);

/* For whom it is reserved dynamically, and which volume it is; NULL: it is not. */
const char *rv_cli_reserved_role(const Reeve__V1__Resource *r);
const char *rv_cli_volume_id(const Reeve__V1__Resource *r);

/* "active", "draining" */
const char *rv_cli_agent_state(const Reeve__V1__Master__Response__GetAgents__Agent *agent);
/* The id of the agent meant by an id's prefix or end, or by a host name. Those that are away are
 * not listed by masters, but may be named by the whole id. */
RV_MUST_USE int rv_cli_agent_find(const struct rv_cli_cluster *c, const char *text,
                                  const char **out, struct rv_error *err);

/* The task meant by "ID" or "FRAMEWORK/ID", both by prefix. live_only: others are not looked at,
 * unless there is none else, which the error then says. -RV_ERR_NOT_FOUND, or -RV_ERR_CONFLICT
 * with the candidates. */
RV_MUST_USE int rv_cli_task_find(const struct rv_cli_cluster *c, const char *text, bool live_only,
                                 const struct rv_cli_task **out, struct rv_error *err);

/* Where the agent of a task listens; -RV_ERR_NOT_FOUND if that is gone. */
RV_MUST_USE int rv_cli_task_address(const struct rv_cli_cluster *c, const struct rv_cli_task *task,
                                    struct rv_cli_address *out, struct rv_error *err);

/* Sum of a scalar in resources, in thousandths. */
int64_t rv_cli_scalar(Reeve__V1__Resource *const *v, size_t n, const char *name);
/* "TASK_RUNNING" -> "running". */
const char *rv_cli_task_state(Reeve__V1__TaskState state, struct rv_arena *arena);
bool rv_cli_task_has_ended(Reeve__V1__TaskState state);

/* A table of what put_rows says of each agent. */
void rv_cli_cluster_list(
    struct rv_cli *cli, const struct rv_cli_cluster *c, const struct rv_cli_column *columns,
    size_t n_columns,
    void (*put_rows)(struct rv_cli_table *t,
                     const Reeve__V1__Master__Response__GetAgents__Agent *agent));

#endif
