/*
 * What is wrong with a message by itself, whatever state the cluster is in: the checks that make a
 * task TASK_ERROR or an operation fail, and never the call. Each returns NULL if all is well, else
 * a sentence in the arena that names the field by its path. Rules: the peer's documents and
 * src/common/validation.cpp, src/master/validation.cpp.
 */
#ifndef RV_WIRE_VALIDATE_H
#define RV_WIRE_VALIDATE_H

#include "base/memory.h"
#include "model/resources.h"
#include "reeve/v1/v1.pb-c.h"

/* `path` is where the message stands: "task.command". */
char *rv_wire_command_problem(const Reeve__V1__CommandInfo *m, const char *path,
                              struct rv_arena *arena);
char *rv_wire_container_problem(const Reeve__V1__ContainerInfo *m, const char *path,
                                struct rv_arena *arena);
char *rv_wire_health_check_problem(const Reeve__V1__HealthCheck *m, const char *path,
                                   struct rv_arena *arena);
char *rv_wire_check_problem(const Reeve__V1__CheckInfo *m, const char *path,
                            struct rv_arena *arena);
/* No mix of revocable and other resources of one name, and what rv_resources_validate refuses. */
char *rv_wire_resources_problem(const struct rv_resources *r, const char *path,
                                struct rv_arena *arena);
char *rv_wire_executor_problem(const Reeve__V1__ExecutorInfo *m, const char *path,
                               const struct rv_resources *resources, struct rv_arena *arena);
/* `executor_resources` may be NULL. Without the task's place: command or executor, that is for
 * rv_wire_launch_problem and rv_wire_group_problem. */
char *rv_wire_task_problem(const Reeve__V1__TaskInfo *m, const struct rv_resources *resources,
                           struct rv_arena *arena);
/* A task of a group: as above, but without executor; what a group's executor must be. */
char *rv_wire_group_task_problem(const Reeve__V1__TaskInfo *m, const struct rv_resources *resources,
                                 struct rv_arena *arena);

#endif
