/*
 * What the files of the agent's core share. Records are made and changed in here alone; each
 * function works within one step, whose effects go to a->out.
 *
 * Completed tasks are released only by being pushed out of their ring; executors and frameworks are
 * completed, and so may be released, only in rv_agent_sweep at the end of a step: within a step no
 * pointer to a record goes stale.
 */
#ifndef RV_AGENT_INTERNAL_H
#define RV_AGENT_INTERNAL_H

#include <stdlib.h>

#include "agent/records.h"
#include "base/assert.h"
#include "base/log.h"

/* No update is taken from an executor while so many of the task wait for the scheduler. */
#define RV_AGENT_UPDATES_MAX 1000
#define RV_AGENT_SEEN_MAX 64
#define RV_AGENT_STRAYS_MAX 10000
#define RV_AGENT_OPERATIONS_MAX 1000
#define RV_AGENT_STOP_MS 5000
#define RV_AGENT_UNREGISTER_MS 3000 /* for the master to hear it, on a busy machine too */
#define RV_AGENT_PING_TIMEOUT_MS 75000
#define RV_AGENT_GC_DELAY_MAX_MS INT64_C(1000000000000000) /* so that sums of times fit */

enum rv_agent_timer_kind {
    RV_TIMER_REGISTRATION = 1,
    RV_TIMER_PING,
    RV_TIMER_RECONNECT,
    RV_TIMER_STOP,
    RV_TIMER_EXECUTOR,
    RV_TIMER_HEARTBEAT,
    RV_TIMER_RETRY,
    RV_TIMER_STRAY,
    RV_TIMER_OPERATION,
    RV_TIMER_GARBAGE
};

/* --- effects.c --- */
/* The effect is zeroed; fill it before the next call. */
struct rv_agent_effect *rv_agent_emit(struct rv_agent *a, enum rv_agent_effect_kind kind);
void rv_agent_log_text(struct rv_agent *a, int level, const char *text); /* in the arena */
#define rv_agent_log(a, level, ...)                                                                \
    rv_agent_log_text((a), (level), rv_arena_printf(&(a)->out->arena, __VA_ARGS__))
/* message is copied; NULL: none. */
void rv_agent_reply(struct rv_agent *a, uint64_t request, int status, const char *message);
/* Fill the call, the event after this. */
struct rv_agent_call *rv_agent_send_master(struct rv_agent *a, enum rv_agent_call_type type);
struct rv_executor_event *rv_agent_send_stream(struct rv_agent *a, uint64_t stream,
                                               enum rv_executor_event_type type);
void rv_agent_destroy_container(struct rv_agent *a, struct rv_agent_executor *ex);

/* Copies that live until the effects are cleared. */
char *rv_agent_hold_string(struct rv_agent *a, const char *s);
struct rv_task_status *rv_agent_hold_status(struct rv_agent *a, const struct rv_task_status *s);
struct rv_task_info *rv_agent_hold_task(struct rv_agent *a, const struct rv_task_info *t);
struct rv_executor_info *rv_agent_hold_executor(struct rv_agent *a,
                                                const struct rv_executor_info *e);
struct rv_framework_info *rv_agent_hold_framework(struct rv_agent *a,
                                                  const struct rv_framework_info *f);
struct rv_resources *rv_agent_hold_resources(struct rv_agent *a, const struct rv_resources *r);
struct rv_agent_info *rv_agent_hold_info(struct rv_agent *a, const struct rv_agent_info *i);
struct rv_operation *rv_agent_hold_operation(struct rv_agent *a, const struct rv_operation *o);
struct rv_launch *rv_agent_hold_launch(struct rv_agent *a, const struct rv_agent_executor *ex);

/* Writes; each returns the number of its checkpoint. */
uint64_t rv_agent_write_info(struct rv_agent *a);
uint64_t rv_agent_write_framework(struct rv_agent *a, const struct rv_agent_framework *fw);
uint64_t rv_agent_write_executor(struct rv_agent *a, const struct rv_agent_executor *ex);
uint64_t rv_agent_write_executor_done(struct rv_agent *a, const struct rv_agent_executor *ex);
uint64_t rv_agent_write_task(struct rv_agent *a, const struct rv_agent_task *t);
uint64_t rv_agent_write_anew(struct rv_agent *a);
uint64_t rv_agent_write_update(struct rv_agent *a, const struct rv_agent_task *t,
                               const struct rv_task_status *s);
void rv_agent_write_acknowledged(struct rv_agent *a, const struct rv_agent_task *t,
                                 const uint8_t uuid[16]);
uint64_t rv_agent_write_operation(struct rv_agent *a, const struct rv_agent_operation *o);
uint64_t rv_agent_write_operation_done(struct rv_agent *a, const uint8_t uuid[16]);
void rv_agent_write_done(struct rv_agent *a, uint64_t seq, bool ok, const char *message);
void rv_agent_pending_free(struct rv_agent *a);

/* --- agent.c --- */
struct rv_str rv_agent_number_key(const uint64_t *number);
struct rv_agent_framework *rv_agent_framework_find(const struct rv_agent *a, const char *id);
/* Of a framework that is not completed; NULL: there is none. */
struct rv_agent_framework *rv_agent_framework_make(struct rv_agent *a,
                                                   const struct rv_framework_info *info);
struct rv_agent_framework *rv_agent_framework_free(struct rv_agent_framework *fw);
void rv_agent_check_executor(struct rv_agent *a, struct rv_agent_executor *ex);
void rv_agent_sweep(struct rv_agent *a);
void rv_agent_framework_complete(struct rv_agent *a, struct rv_agent_framework *fw);
/* Whether what it runs, checkpointed tasks too, ends with it: then the next agent here is another
 * one. status: of the process. */
void rv_agent_stop(struct rv_agent *a, bool all_ends, int status, const char *why);
void rv_agent_stop_check(struct rv_agent *a);

/* --- registration.c --- */
void rv_agent_master_found(struct rv_agent *a);
void rv_agent_master_none(struct rv_agent *a);
void rv_agent_master_lost(struct rv_agent *a);
void rv_agent_master_refused(struct rv_agent *a, int status);
void rv_agent_master_event(struct rv_agent *a, const struct rv_agent_event *e);
void rv_agent_registration_due(struct rv_agent *a);
void rv_agent_ping_due(struct rv_agent *a);
void rv_agent_info_written(struct rv_agent *a, bool ok, const char *message);
/* The agent's own record, whose write that is under way is the latest. */
void rv_agent_write_own_info(struct rv_agent *a);
/* Leaves the master, if there is one, and registers soon. */
void rv_agent_register_again(struct rv_agent *a, const char *why);
/* Leaves the master, if any; no try is planned. */
void rv_agent_unlink(struct rv_agent *a, enum rv_agent_link link);

/* --- launch.c --- */
void rv_agent_run_tasks(struct rv_agent *a, const struct rv_agent_event *e);
void rv_agent_update_framework(struct rv_agent *a, const struct rv_framework_info *info);
/* Does what is possible now: launches the container, gives tasks to the executor. */
void rv_agent_progress(struct rv_agent *a, struct rv_agent_executor *ex);
/* One that has not ended. */
void rv_agent_task_kill(struct rv_agent *a, struct rv_agent_task *t, int64_t grace_ms);
void rv_agent_kill_task(struct rv_agent *a, const struct rv_agent_event *e);
void rv_agent_send_kill(struct rv_agent *a, struct rv_agent_task *t, int64_t grace_ms);
void rv_agent_framework_written(struct rv_agent *a, struct rv_agent_framework *fw, bool ok,
                                const char *message);
void rv_agent_executor_written(struct rv_agent *a, struct rv_agent_executor *ex, bool ok,
                               const char *message);
void rv_agent_task_written(struct rv_agent *a, struct rv_agent_task *t, bool ok,
                           const char *message);
/* Operations have settled: what waited for them goes on. */
/* Whether one of its tasks waits for an operation, so that it has not got all of its resources yet.
 */
bool rv_agent_has_relying(const struct rv_agent *a, const struct rv_agent_executor *ex);
void rv_agent_progress_relying(struct rv_agent *a);
/* Those that are not settled have failed: so does what waits for them. */
void rv_agent_refuse_relying(struct rv_agent *a, const char *message);
/* Ends all tasks that wait for a container that cannot be made for want of a checkpoint. */
void rv_agent_refuse_unstarted(struct rv_agent *a, struct rv_agent_framework *fw,
                               const char *message);

/* --- executors.c --- */
struct rv_agent_executor *rv_agent_executor_make(struct rv_agent *a, struct rv_agent_framework *fw,
                                                 const struct rv_executor_info *info,
                                                 const char *container_id, const char *directory,
                                                 const char *user);
struct rv_agent_executor *rv_agent_executor_free(struct rv_agent_executor *ex);
/* Adds a queued task. */
struct rv_agent_task *rv_agent_task_make(struct rv_agent_executor *ex,
                                         const struct rv_task_info *info);
struct rv_agent_task *rv_agent_task_free(struct rv_agent_task *t);
void rv_agent_executor_call(struct rv_agent *a, uint64_t request, uint64_t stream,
                            const struct rv_executor_call *c);
void rv_agent_stream_closed(struct rv_agent *a, uint64_t stream);
/* Asks it to end, then makes it; reason and message are for its tasks (NONE, NULL: the usual). */
void rv_agent_executor_shutdown(struct rv_agent *a, struct rv_agent_executor *ex);
void rv_agent_executor_destroy(struct rv_agent *a, struct rv_agent_executor *ex,
                               enum rv_reason reason, const char *message);
/* Nothing of it is left. */
struct rv_agent_end {
    bool has_status;
    int32_t status; /* wait status */
    enum rv_reason reason;
    const char *message;
    const struct rv_blob *limitation;
    bool rebooted, recovered;
};
/* EXECUTOR_EXITED: nothing of the executor runs (any more). While a registration is under way it
 * waits for the answer, for that registration may have told of the executor. */
void rv_agent_tell_exited(struct rv_agent *a, const char *framework_id, const char *executor_id,
                          int32_t status);
void rv_agent_exits_resume(struct rv_agent *a); /* registered: tells what waited */
void rv_agent_exits_clear(struct rv_agent *a);  /* the registration that is sent tells all */
void rv_agent_executor_ended(struct rv_agent *a, struct rv_agent_executor *ex,
                             const struct rv_agent_end *end);
void rv_agent_container_launched(struct rv_agent *a, const struct rv_agent_input *in);
void rv_agent_container_exited(struct rv_agent *a, const struct rv_agent_input *in);
void rv_agent_executor_due(struct rv_agent *a, struct rv_agent_executor *ex);
void rv_agent_heartbeat_due(struct rv_agent *a, struct rv_agent_executor *ex);
void rv_agent_shutdown_framework(struct rv_agent *a, const char *id);
void rv_agent_shutdown_executor(struct rv_agent *a, const char *framework_id,
                                const char *executor_id);
void rv_agent_message_to_executor(struct rv_agent *a, const struct rv_agent_event *e);
/* Those of its container: the sum over its live tasks, if any of them has one. */
struct rv_limits rv_agent_executor_limits(const struct rv_agent *a,
                                          const struct rv_agent_executor *ex);
/* Its resources, those of executor and live tasks, have changed: told to the container. */
void rv_agent_executor_resize(struct rv_agent *a, struct rv_agent_executor *ex);
void rv_agent_disconnect(struct rv_agent *a, struct rv_agent_executor *ex);

/* --- drain.c --- */
bool rv_agent_is_draining(const struct rv_agent *a);
void rv_agent_drain(struct rv_agent *a, const struct rv_deactivation *how);
void rv_agent_drain_end(struct rv_agent *a);
void rv_agent_drain_executor(struct rv_agent *a, struct rv_agent_executor *ex);
/* What draining makes of an update of a task that was killed. */
void rv_agent_drain_status(const struct rv_agent *a, const struct rv_agent_task *t,
                           struct rv_task_status *s);

/* --- updates.c --- */
/* A status made by the agent itself. Strings are borrowed. */
void rv_agent_task_end(struct rv_agent *a, struct rv_agent_task *t, enum rv_task_state state,
                       enum rv_reason reason, const char *message, const struct rv_blob *rest);
/* DROPPED, or LOST to a framework that does not know that. */
enum rv_task_state rv_agent_dropped(const struct rv_framework_info *f);
/* From its executor: 0 or an HTTP status with the reason. */
int rv_agent_executor_update(struct rv_agent *a, struct rv_agent_executor *ex,
                             const struct rv_task_status *s, const char **why);
void rv_agent_updates_write(struct rv_agent *a, struct rv_agent_task *t);
void rv_agent_update_written(struct rv_agent *a, struct rv_agent_task *t, const uint8_t uuid[16],
                             bool ok, const char *message);
void rv_agent_acknowledged_written(struct rv_agent *a, struct rv_agent_task *t,
                                   const uint8_t uuid[16], bool ok);
void rv_agent_updates_send(struct rv_agent *a, struct rv_agent_task *t);
void rv_agent_updates_resume(struct rv_agent *a); /* registered: all that waits goes out */
/* The framework has subscribed anew: what waits for it goes out now, not at its next retry. */
void rv_agent_updates_again(struct rv_agent *a, struct rv_agent_framework *fw);
void rv_agent_updates_pause(struct rv_agent *a); /* no master */
void rv_agent_acknowledge(struct rv_agent *a, const char *framework_id, const char *task_id,
                          const uint8_t uuid[16]);
void rv_agent_retry_due(struct rv_agent *a, struct rv_agent_task *t);
int64_t rv_agent_retry_doubled(const struct rv_agent *a, int64_t ms);
/* Its updates are all acknowledged, or nobody wants them. */
void rv_agent_task_complete(struct rv_agent *a, struct rv_agent_task *t);
/* Records it without sending: recovery. s is borrowed. */
void rv_agent_update_push(struct rv_agent *a, struct rv_agent_task *t,
                          const struct rv_task_status *s, bool durable);
/* The latest that is durable; NULL: there is none, or it is not kept any more. */
const struct rv_task_status *rv_agent_durable_status(const struct rv_agent_task *t);
void rv_agent_update_pop(struct rv_agent_task *t);
void rv_agent_stray(struct rv_agent *a, const char *framework_id, const char *task_id,
                    enum rv_task_state state, enum rv_reason reason, const char *message);
void rv_agent_stray_due(struct rv_agent *a, struct rv_agent_stray *s);
void rv_agent_strays_clear(struct rv_agent *a);
void rv_agent_reconcile(struct rv_agent *a, const struct rv_agent_event *e);

/* --- operations.c --- */
void rv_agent_apply_operation(struct rv_agent *a, const struct rv_agent_event *e);
void rv_agent_operation_written(struct rv_agent *a, const uint8_t uuid[16], uint64_t seq, bool ok,
                                const char *message);
void rv_agent_acknowledge_operation(struct rv_agent *a, const uint8_t operation[16],
                                    const uint8_t uuid[16]);
void rv_agent_operation_due(struct rv_agent *a, struct rv_agent_operation *o);
/* As with tasks' updates: see there. */
void rv_agent_operations_resume(struct rv_agent *a);
void rv_agent_operations_pause(struct rv_agent *a);
void rv_agent_operations_again(struct rv_agent *a, const char *framework_id);
/* Its framework is over: nobody acknowledges them. */
void rv_agent_operations_forget(struct rv_agent *a, const char *framework_id);
void rv_agent_operations_view(struct rv_agent *a, struct rv_agent_call *registration);
struct rv_operation_status *rv_agent_operation_status(struct rv_agent *a,
                                                      const struct rv_agent_operation *o);
/* False: the record does not fit. */
bool rv_agent_operation_replay(struct rv_agent *a, const struct rv_checkpoint *c);
bool rv_agent_operation_done_replay(struct rv_agent *a, const struct rv_checkpoint *c);
/* What the agent has, now that its own resources are known and what it had before (NULL: nothing
 * but its own). What does not fit is said; then it has what it had. */
const char *rv_agent_total_recover(struct rv_agent *a, const struct rv_resources *before);
/* Folders that belong to no volume go. */
void rv_agent_volumes_recover(struct rv_agent *a, const struct rv_agent_recovered *r);
void rv_agent_operations_free(struct rv_agent *a);

/* --- compatibility.c --- */
/* Resources that were detected go on as they were before, if the machine still has so much. */
void rv_agent_keep_detected(struct rv_agent *a, const struct rv_agent_info *before);
/* Appends what keeps the agent from going on as the one before (INV-20); nothing: it may. */
void rv_agent_judge(const struct rv_agent *a, const struct rv_agent_info *before,
                    struct rv_buf *why);
bool rv_agent_info_same(const struct rv_agent_info *a, const struct rv_agent_info *b);

/* --- recovery.c --- */
void rv_agent_recover(struct rv_agent *a, const struct rv_agent_recovered *r);
/* Whether the executors are back; then the agent may register. */
void rv_agent_recovery_check(struct rv_agent *a);
void rv_agent_reconnect_due(struct rv_agent *a);

/* --- gc.c --- */
void rv_agent_garbage_add(struct rv_agent *a, const char *path);
/* What an earlier agent left, but for what lives. */
void rv_agent_garbage_recover(struct rv_agent *a, const struct rv_agent_sandbox *sandboxes,
                              size_t n);
/* A container that has not ended lies at the path, or does no more. */
void rv_agent_directory_used(struct rv_agent *a, const char *path);
void rv_agent_directory_left(struct rv_agent *a, const char *path);
bool rv_agent_directory_is_known(const struct rv_agent *a, const char *path);
void rv_agent_disk_seen(struct rv_agent *a, int64_t used_ppm);
void rv_agent_garbage_due(struct rv_agent *a, struct rv_agent_garbage *g);
void rv_agent_garbage_clear(struct rv_agent *a);
char *rv_agent_directory(const struct rv_agent *a, const char *framework_id,
                         const char *executor_id, const char *container_id);

#endif
