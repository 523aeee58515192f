/*
 * Processes of the executor's shell: starting a task's or a check's command in a session of its
 * own, and finding everything that came of it. All that loses its parent becomes the executor's
 * child (it is a subreaper), so nothing of a task can hide.
 */
#ifndef RV_EXECUTOR_PROCESS_H
#define RV_EXECUTOR_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "reeve/v1/v1.pb-c.h"

/* The executor's environment without what is for it alone, with MESOS_TASK_ID and, if there is one,
 * MESOS_ALLOCATION_ROLE, and with the variables of the task's command and of a check's (which may
 * be NULL); later ones win. One block, to be freed; NULL-terminated. */
char **rv_process_env(const Reeve__V1__TaskInfo *task, const Reeve__V1__CommandInfo *check);
/* The role that a task's resources are allocated to, or NULL. */
const char *rv_process_role(const Reeve__V1__TaskInfo *task);

/* Once, before anything is started: a terminal that we were given will be the command's. */
void rv_process_give_up_terminal(void);

/* Starts the command in a new session, where the executor is, as command->user if the executor is
 * root, with no descriptor but 0 to 2; output: what 1 and 2 are, -1: the executor's own, of a
 * terminal with the session. -RV_ERR_INVALID if the command is none, -RV_ERR_IO with the program
 * and errno if it cannot be executed. */
RV_MUST_USE int rv_process_start(const Reeve__V1__CommandInfo *command, char *const *env,
                                 int output, pid_t *pid, struct rv_error *err);

/* What belongs to a task: its session, its descendants, and all orphans. known: children of the
 * executor that are no orphans. */
struct rv_process_set {
    pid_t leader;
    bool reaped; /* the leader is, so whoever has its number now is not it */
    const pid_t *known;
    size_t n_known;
};
/* Sends the signal to all of them; the number of processes. */
size_t rv_process_signal(const struct rv_process_set *set, int signal);
/* One round of killing all of them; zero when none is left. Cheap if the executor has no orphans.
 */
size_t rv_process_kill(const struct rv_process_set *set);

#endif
