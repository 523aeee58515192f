/* The executor API as values. All pointers are borrowed for the step. */
#ifndef RV_MODEL_EXECUTOR_API_H
#define RV_MODEL_EXECUTOR_API_H

#include "model/agent_info.h"
#include "model/framework.h"
#include "model/task.h"

struct rv_executor_call {
    enum rv_executor_call_type type;
    struct rv_framework_id framework_id;
    struct rv_executor_id executor_id;
    union {
        struct {
            struct rv_task_id *unacknowledged_tasks;
            size_t n_tasks;
            struct rv_task_status *unacknowledged_updates;
            size_t n_updates;
        } subscribe;
        struct rv_task_status *update;
        struct rv_str message;
    };
};

struct rv_executor_event {
    enum rv_executor_event_type type;
    union {
        struct {
            const struct rv_executor_info *executor;
            const struct rv_framework_info *framework;
            const struct rv_agent_info *agent;
            struct rv_container_id container_id;
        } subscribed;
        struct { /* LAUNCH: one; LAUNCH_GROUP: all at once */
            const struct rv_task_info *const *tasks;
            size_t n;
        } launch;
        struct {
            struct rv_task_id task_id;
            int64_t grace_ms; /* -1: not given */
        } kill;
        struct {
            struct rv_task_id task_id;
            uint8_t uuid[16];
        } acknowledged;
        struct rv_str message;
        const char *error;
    };
};

#endif
