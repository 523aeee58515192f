/*
 * Enums of the v1 wire that the cores decide on. Names and numbers are those of the wire, so that
 * wire/ casts between these and the generated ones; a test compares the tables.
 */
#ifndef RV_MODEL_ENUMS_H
#define RV_MODEL_ENUMS_H

#include <stdbool.h>

/* clang-format off */
#define RV_TASK_STATES(X) \
    X(STAGING, 6) \
    X(STARTING, 0) \
    X(RUNNING, 1) \
    X(KILLING, 8) \
    X(FINISHED, 2) \
    X(FAILED, 3) \
    X(KILLED, 4) \
    X(ERROR, 7) \
    X(LOST, 5) \
    X(DROPPED, 9) \
    X(UNREACHABLE, 10) \
    X(GONE, 11) \
    X(GONE_BY_OPERATOR, 12) \
    X(UNKNOWN, 13)

#define RV_TASK_REASONS(X) \
    X(COMMAND_EXECUTOR_FAILED, 0) \
    X(CONTAINER_LAUNCH_FAILED, 21) \
    X(CONTAINER_LIMITATION, 19) \
    X(CONTAINER_LIMITATION_DISK, 20) \
    X(CONTAINER_LIMITATION_MEMORY, 8) \
    X(CONTAINER_PREEMPTED, 17) \
    X(CONTAINER_UPDATE_FAILED, 22) \
    X(MAX_COMPLETION_TIME_REACHED, 33) \
    X(EXECUTOR_REGISTRATION_TIMEOUT, 23) \
    X(EXECUTOR_REREGISTRATION_TIMEOUT, 24) \
    X(EXECUTOR_TERMINATED, 1) \
    X(EXECUTOR_UNREGISTERED, 2) \
    X(FRAMEWORK_REMOVED, 3) \
    X(GC_ERROR, 4) \
    X(INVALID_FRAMEWORKID, 5) \
    X(INVALID_OFFERS, 6) \
    X(IO_SWITCHBOARD_EXITED, 27) \
    X(MASTER_DISCONNECTED, 7) \
    X(RECONCILIATION, 9) \
    X(RESOURCES_UNKNOWN, 18) \
    X(AGENT_DISCONNECTED, 10) \
    X(AGENT_DRAINING, 34) \
    X(AGENT_REMOVED, 11) \
    X(AGENT_REMOVED_BY_OPERATOR, 31) \
    X(AGENT_REREGISTERED, 32) \
    X(AGENT_RESTARTED, 12) \
    X(AGENT_UNKNOWN, 13) \
    X(TASK_KILLED_DURING_LAUNCH, 30) \
    X(TASK_CHECK_STATUS_UPDATED, 28) \
    X(TASK_HEALTH_CHECK_STATUS_UPDATED, 29) \
    X(TASK_GROUP_INVALID, 25) \
    X(TASK_GROUP_UNAUTHORIZED, 26) \
    X(TASK_INVALID, 14) \
    X(TASK_UNAUTHORIZED, 15) \
    X(TASK_UNKNOWN, 16)

#define RV_TASK_SOURCES(X) \
    X(MASTER, 0) \
    X(AGENT, 1) \
    X(EXECUTOR, 2)

#define RV_OPERATION_STATES(X) \
    X(UNSUPPORTED, 0) \
    X(PENDING, 1) \
    X(FINISHED, 2) \
    X(FAILED, 3) \
    X(ERROR, 4) \
    X(DROPPED, 5) \
    X(UNREACHABLE, 6) \
    X(GONE_BY_OPERATOR, 7) \
    X(RECOVERING, 8) \
    X(UNKNOWN, 9)

#define RV_OPERATION_TYPES(X) \
    X(UNKNOWN, 0) \
    X(LAUNCH, 1) \
    X(LAUNCH_GROUP, 6) \
    X(RESERVE, 2) \
    X(UNRESERVE, 3) \
    X(CREATE, 4) \
    X(DESTROY, 5) \
    X(GROW_VOLUME, 11) \
    X(SHRINK_VOLUME, 12) \
    X(CREATE_DISK, 13) \
    X(DESTROY_DISK, 14)

#define RV_DRAIN_STATES(X) \
    X(UNKNOWN, 0) \
    X(DRAINING, 1) \
    X(DRAINED, 2)

#define RV_MACHINE_MODES(X) \
    X(UP, 1) \
    X(DRAINING, 2) \
    X(DOWN, 3)

#define RV_INVERSE_ANSWERS(X) \
    X(UNKNOWN, 1) \
    X(ACCEPT, 2) \
    X(DECLINE, 3)

#define RV_FRAMEWORK_CAPABILITIES(X) \
    X(UNKNOWN, 0) \
    X(REVOCABLE_RESOURCES, 1) \
    X(TASK_KILLING_STATE, 2) \
    X(GPU_RESOURCES, 3) \
    X(SHARED_RESOURCES, 4) \
    X(PARTITION_AWARE, 5) \
    X(MULTI_ROLE, 6) \
    X(RESERVATION_REFINEMENT, 7) \
    X(REGION_AWARE, 8)

#define RV_AGENT_CAPABILITIES(X) \
    X(UNKNOWN, 0) \
    X(MULTI_ROLE, 1) \
    X(HIERARCHICAL_ROLE, 2) \
    X(RESERVATION_REFINEMENT, 3) \
    X(RESOURCE_PROVIDER, 4) \
    X(RESIZE_VOLUME, 5) \
    X(AGENT_OPERATION_FEEDBACK, 6) \
    X(AGENT_DRAINING, 7) \
    X(TASK_RESOURCE_LIMITS, 8)

#define RV_SCHEDULER_CALLS(X) \
    X(UNKNOWN, 0) \
    X(SUBSCRIBE, 1) \
    X(TEARDOWN, 2) \
    X(ACCEPT, 3) \
    X(DECLINE, 4) \
    X(ACCEPT_INVERSE_OFFERS, 13) \
    X(DECLINE_INVERSE_OFFERS, 14) \
    X(REVIVE, 5) \
    X(KILL, 6) \
    X(SHUTDOWN, 7) \
    X(ACKNOWLEDGE, 8) \
    X(ACKNOWLEDGE_OPERATION_STATUS, 15) \
    X(RECONCILE, 9) \
    X(RECONCILE_OPERATIONS, 16) \
    X(MESSAGE, 10) \
    X(REQUEST, 11) \
    X(SUPPRESS, 12) \
    X(UPDATE_FRAMEWORK, 17)

#define RV_SCHEDULER_EVENTS(X) \
    X(UNKNOWN, 0) \
    X(SUBSCRIBED, 1) \
    X(OFFERS, 2) \
    X(INVERSE_OFFERS, 9) \
    X(RESCIND, 3) \
    X(RESCIND_INVERSE_OFFER, 10) \
    X(UPDATE, 4) \
    X(UPDATE_OPERATION_STATUS, 11) \
    X(MESSAGE, 5) \
    X(FAILURE, 6) \
    X(ERROR, 7) \
    X(HEARTBEAT, 8)

#define RV_EXECUTOR_CALLS(X) \
    X(UNKNOWN, 0) \
    X(SUBSCRIBE, 1) \
    X(UPDATE, 2) \
    X(MESSAGE, 3) \
    X(HEARTBEAT, 4)

#define RV_EXECUTOR_EVENTS(X) \
    X(UNKNOWN, 0) \
    X(SUBSCRIBED, 1) \
    X(LAUNCH, 2) \
    X(LAUNCH_GROUP, 8) \
    X(KILL, 3) \
    X(ACKNOWLEDGED, 4) \
    X(MESSAGE, 5) \
    X(ERROR, 6) \
    X(SHUTDOWN, 7) \
    X(HEARTBEAT, 9)
/* clang-format on */

enum rv_task_state {
#define X(name, number) RV_TASK_##name = number,
    RV_TASK_STATES(X)
#undef X
        RV_TASK_STATE_MAX
};
enum rv_reason {
    RV_REASON_NONE = -1,
#define X(name, number) RV_REASON_##name = number,
    RV_TASK_REASONS(X)
#undef X
        RV_REASON_MAX = 64
};
enum rv_source {
#define X(name, number) RV_SOURCE_##name = number,
    RV_TASK_SOURCES(X)
#undef X
        RV_SOURCE_MAX
};
enum rv_operation_state {
#define X(name, number) RV_OPERATION_##name = number,
    RV_OPERATION_STATES(X)
#undef X
        RV_OPERATION_STATE_MAX
};
enum rv_operation_type {
#define X(name, number) RV_OP_##name = number,
    RV_OPERATION_TYPES(X)
#undef X
        RV_OP_MAX
};
enum rv_drain_state {
#define X(name, number) RV_DRAIN_##name = number,
    RV_DRAIN_STATES(X)
#undef X
        RV_DRAIN_STATE_MAX
};
enum rv_machine_mode {
#define X(name, number) RV_MACHINE_##name = number,
    RV_MACHINE_MODES(X)
#undef X
        RV_MACHINE_MODE_MAX
};
/* What a framework said to an inverse offer. */
enum rv_inverse_answer {
#define X(name, number) RV_INVERSE_##name = number,
    RV_INVERSE_ANSWERS(X)
#undef X
        RV_INVERSE_ANSWER_MAX
};
enum rv_framework_capability {
#define X(name, number) RV_FRAMEWORK_##name = number,
    RV_FRAMEWORK_CAPABILITIES(X)
#undef X
        RV_FRAMEWORK_CAPABILITY_MAX
};
enum rv_agent_capability {
#define X(name, number) RV_AGENT_##name = number,
    RV_AGENT_CAPABILITIES(X)
#undef X
        RV_AGENT_CAPABILITY_MAX
};
enum rv_scheduler_call_type {
#define X(name, number) RV_CALL_##name = number,
    RV_SCHEDULER_CALLS(X)
#undef X
        RV_CALL_MAX = 18
};
enum rv_scheduler_event_type {
#define X(name, number) RV_EVENT_##name = number,
    RV_SCHEDULER_EVENTS(X)
#undef X
        RV_EVENT_MAX = 12
};
enum rv_executor_call_type {
#define X(name, number) RV_EXECUTOR_CALL_##name = number,
    RV_EXECUTOR_CALLS(X)
#undef X
        RV_EXECUTOR_CALL_MAX
};
enum rv_executor_event_type {
#define X(name, number) RV_EXECUTOR_EVENT_##name = number,
    RV_EXECUTOR_EVENTS(X)
#undef X
        RV_EXECUTOR_EVENT_MAX
};

/* "TASK_RUNNING", "REASON_...", "SOURCE_...", "OPERATION_..."; "?" if there is no such number. */
const char *rv_task_state_name(int state);
const char *rv_reason_name(int reason);
const char *rv_source_name(int source);
const char *rv_operation_state_name(int state);
const char *rv_operation_type_name(int type);

/* Final for good or for now: FINISHED FAILED KILLED ERROR LOST DROPPED GONE GONE_BY_OPERATOR.
 * UNREACHABLE and UNKNOWN are not: the task may come back. */
bool rv_task_state_terminal(enum rv_task_state s);
/* INV-37: states that can never be left: terminal and not LOST, GONE_BY_OPERATOR. */
bool rv_task_state_sticky(enum rv_task_state s);

#endif
