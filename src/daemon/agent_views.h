/*
 * What the agent shows of itself: parts of answers of the v1 API made from the core's records, the
 * containers with what they use now, the agent's metrics, and which of its files it serves. Reads
 * only. Trees lie in the arena and borrow from the records: encode them before the next step.
 */
#ifndef RV_DAEMON_AGENT_VIEWS_H
#define RV_DAEMON_AGENT_VIEWS_H

#include "daemon/agent_daemon.h"
#include "daemon/common.h"
#include "reeve/v1/agent.pb-c.h"

/* --- executors and tasks in order of their beginning --- */

enum rv_agent_which {
    RV_WHICH_PRESENT,   /* of frameworks that have something here: also those that have ended but
                           whose updates are not all acknowledged */
    RV_WHICH_COMPLETED, /* those that are only remembered, older ones first */
    RV_WHICH_ALL        /* present ones first */
};
struct rv_agent_executors {
    const struct rv_agent_executor **v;
    size_t n;
};
struct rv_agent_executors rv_agent_view_executors(const struct rv_agent *a,
                                                  enum rv_agent_which which,
                                                  struct rv_arena *arena);
/* The executor's name and source; what is not given is made up for a command task, else "". */
struct rv_str rv_agent_view_executor_name(const struct rv_agent_executor *ex,
                                          struct rv_arena *arena);
struct rv_str rv_agent_view_executor_source(const struct rv_agent_executor *ex);
/* Whether a task waits for a container that is not even asked for yet. */
static inline bool rv_agent_view_is_pending(const struct rv_agent_task *t) {
    return t->place == RV_TASK_QUEUED && !t->executor->started;
}

/* --- parts of answers --- */
Reeve__V1__Agent__Response__GetFrameworks *rv_agent_view_frameworks(const struct rv_agent *a,
                                                                    struct rv_arena *arena);
Reeve__V1__Agent__Response__GetExecutors *rv_agent_view_get_executors(const struct rv_agent *a,
                                                                      struct rv_arena *arena);
Reeve__V1__Agent__Response__GetTasks *rv_agent_view_tasks(const struct rv_agent *a,
                                                          struct rv_arena *arena);
/* Those that are being written, or whose end is not acknowledged. */
Reeve__V1__Agent__Response__GetOperations *rv_agent_view_operations(const struct rv_agent *a,
                                                                    struct rv_arena *arena);

/* --- containers --- */

/* One container that runs or is about to. `made`: by the agent's API, nested or standalone, so it
 * is nobody's or that of the executor it lies in. */
struct rv_agent_container {
    const struct rv_agent_executor *executor; /* NULL: it is in none */
    struct rv_container_id id;                /* "parent.child" */
    bool made;
    Reeve__V1__ContainerStatus *status;
    Reeve__V1__ResourceStatistics *statistics; /* NULL: nothing runs yet */
};
struct rv_agent_containers {
    struct rv_agent_container *v;
    size_t n;
};
/* Those of executors, with room for `more`. Asks the containerizer about each: a few files of /proc
 * per process. */
struct rv_agent_containers rv_agent_view_containers(const struct rv_agent_daemon *d, size_t more,
                                                    struct rv_arena *arena);

/* Fills in what an executor does not know: the networks of its container, unless the status names
 * some. Service discovery reads them (container_status.network_infos). */
void rv_agent_view_add_network(const struct rv_agent_daemon *d, struct rv_task_status *s,
                               struct rv_arena *arena);

/* --- resources --- */
/* What executors hold that have not ended; `out` is replaced. */
void rv_agent_view_allocated(const struct rv_agent *a, struct rv_resources *out);

/* --- metrics and files --- */
/* For struct rv_common; ctx is the daemon. */
void rv_agent_view_measure(void *ctx, struct rv_metrics *m);
/* The sandboxes by their own path, and, if `path` (what is asked for, may be NULL) begins so, the
 * last one of each executor as "/frameworks/F/executors/E/runs/latest". What lies within a sandbox
 * is never a root of its own: its task could put a link in its place. Ends with rv_files_free. */
void rv_agent_view_files(const struct rv_agent_daemon *d, const char *path, struct rv_files *out);
/* The daemon as the shared answers see it; files may be NULL. */
void rv_agent_view_common(struct rv_agent_daemon *d, const struct rv_files *files,
                          struct rv_common *out);

#endif
