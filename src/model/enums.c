/* Names of the wire's enums, from the tables in the header. Pure; every answer is a constant. */
#include "model/enums.h"

const char *rv_task_state_name(int state) {
    switch (state) {
#define X(name, number)                                                                            \
    case number:                                                                                   \
        return "TASK_" #name;
        RV_TASK_STATES(X)
#undef X
    default:
        return "?";
    }
}

const char *rv_reason_name(int reason) {
    switch (reason) {
#define X(name, number)                                                                            \
    case number:                                                                                   \
        return "REASON_" #name;
        RV_TASK_REASONS(X)
#undef X
    default:
        return "?";
    }
}

const char *rv_source_name(int source) {
    switch (source) {
#define X(name, number)                                                                            \
    case number:                                                                                   \
        return "SOURCE_" #name;
        RV_TASK_SOURCES(X)
#undef X
    default:
        return "?";
    }
}

const char *rv_operation_state_name(int state) {
    switch (state) {
#define X(name, number)                                                                            \
    case number:                                                                                   \
        return "OPERATION_" #name;
        RV_OPERATION_STATES(X)
#undef X
    default:
        return "?";
    }
}

/* The wire's names of operation types have no prefix. */
const char *rv_operation_type_name(int type) {
    switch (type) {
#define X(name, number)                                                                            \
    case number:                                                                                   \
        return #name;
        RV_OPERATION_TYPES(X)
#undef X
    default:
        return "?";
    }
}

bool rv_task_state_terminal(enum rv_task_state s) {
    switch (s) {
    case RV_TASK_FINISHED:
    case RV_TASK_FAILED:
    case RV_TASK_KILLED:
    case RV_TASK_ERROR:
    case RV_TASK_LOST:
    case RV_TASK_DROPPED:
    case RV_TASK_GONE:
    case RV_TASK_GONE_BY_OPERATOR:
        return true;
    case RV_TASK_STAGING:
    case RV_TASK_STARTING:
    case RV_TASK_RUNNING:
    case RV_TASK_KILLING:
    case RV_TASK_UNREACHABLE:
    case RV_TASK_UNKNOWN:
    case RV_TASK_STATE_MAX:
        break;
    }
    return false;
}

bool rv_task_state_sticky(enum rv_task_state s) {
    return rv_task_state_terminal(s) && s != RV_TASK_LOST && s != RV_TASK_GONE_BY_OPERATOR;
}
