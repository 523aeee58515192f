/*
 * What is wrong with a message by itself, whatever state the cluster is in: the checks that make a
 * task TASK_ERROR or an operation fail, and never the call. Each returns NULL if all is well, else
 * a sentence in the arena that names the field by its path ("task.command.value: ..."). Rules: the
 * peer's documents, src/common/validation.cpp and src/master/validation.cpp.
 *
 * Resources have passed rv_wire_resources_from, which refuses each one that is wrong by itself.
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
/* No mix of revocable and other resources of one name. */
char *rv_wire_resources_problem(const struct rv_resources *r, const char *path,
                                struct rv_arena *arena);
/* DiskInfo: where a volume is to be seen in a container stands in `disk.volume`, as a path below
 * the sandbox or an absolute one, and nothing else does. A user may say so anew each time. */
char *rv_wire_disks_problem(Reeve__V1__Resource *const *v, size_t n, const char *path,
                            struct rv_arena *arena);
/* What an operation on resources must satisfy besides what model/operation.h says. */
char *rv_wire_operation_problem(const Reeve__V1__Offer__Operation *m, struct rv_arena *arena);
char *rv_wire_executor_problem(const Reeve__V1__ExecutorInfo *m,
                               const struct rv_resources *resources, const char *path,
                               struct rv_arena *arena);
/* One entry of a map of limits at `path` of what has these resources. */
char *rv_wire_limit_problem(const char *name, const Reeve__V1__Value__Scalar *value,
                            const struct rv_resources *resources, const char *path,
                            struct rv_arena *arena);
/* Whether a task of a group uses the control groups of its executor: true unless it says no. */
bool rv_wire_shares_cgroups(const Reeve__V1__ContainerInfo *m);
/* group: it came in a LAUNCH_GROUP. Its executor is judged apart. */
char *rv_wire_task_problem(const Reeve__V1__TaskInfo *m, const struct rv_resources *resources,
                           bool group, struct rv_arena *arena);

#endif
