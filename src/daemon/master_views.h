/* What operators see of the master's records: parts of answers and events of the operator API. */
#ifndef RV_DAEMON_MASTER_VIEWS_H
#define RV_DAEMON_MASTER_VIEWS_H

#include "daemon/master_daemon.h"
#include "daemon/snapshot.h"
#include "reeve/v1/master.pb-c.h"

enum rv_master_view {
    RV_VIEW_STATE,
    RV_VIEW_AGENTS,
    RV_VIEW_FRAMEWORKS,
    RV_VIEW_EXECUTORS,
    RV_VIEW_TASKS,
    RV_VIEW_ROLES,
    RV_VIEW_OPERATIONS,
    RV_VIEW_MAX
};

/* Writes the whole Response. Costs about a microsecond or two a task; memory for one item. */
void rv_master_view_write(const struct rv_master *m, enum rv_master_view view,
                          enum rv_encoding encoding, struct rv_sink *sink);
/* Agents, tasks and executors: whether a view is worth a child of its own. */
bool rv_master_is_large(const struct rv_master *m);
/* The event SUBSCRIBED, straight from the records. */
void rv_master_subscribed_write(const struct rv_master *m, enum rv_encoding encoding,
                                struct rv_sink *sink);

/* Calls back with each task: of live frameworks, then of completed ones; of each framework those
 * that run, then the unreachable ones, then the completed ones. */
enum rv_task_list { RV_TASKS_ACTIVE, RV_TASKS_UNREACHABLE, RV_TASKS_COMPLETED, RV_TASK_LIST_MAX };
void rv_master_each_task(const struct rv_master *m, enum rv_task_list list,
                         void (*each)(void *ctx, const struct rv_master_task *t), void *ctx);

/* A role that is known, and what it holds itself (not those below it). */
struct rv_role_view {
    char *name;
    double weight;
    struct rv_resources allocated, offered, reserved;
    struct rv_quantities consumed; /* what counts for quota, of those below it, too */
    const struct rv_quota *quota;  /* NULL: none */
    RV_VEC(const struct rv_master_framework *) frameworks; /* subscribed to it */
};
struct rv_role_views {
    RV_VEC(struct rv_role_view *) list; /* in byte order of names */
    struct rv_map by_name;
};
/* All of them in one walk over frameworks and agents. */
void rv_master_roles_collect(const struct rv_master *m, struct rv_role_views *out);
void rv_master_roles_free(struct rv_role_views *views); /* for _cleanup_ too */

/* Small answers, in the arena; strings are borrowed from the records. */
Reeve__V1__Master__Response__GetWeights *rv_master_view_weights(const struct rv_master *m,
                                                                struct rv_arena *arena);
Reeve__V1__Master__Response__GetMaster *rv_master_view_master(const struct rv_master *m,
                                                              struct rv_arena *arena);

#endif
