/*
 * Tasks, executors and status updates as the cores see them: the fields that are decided on, and
 * the rest as packed bytes that travel untouched.
 */
#ifndef RV_MODEL_TASK_H
#define RV_MODEL_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "model/enums.h"
#include "model/ids.h"
#include "model/resources.h"

enum rv_executor_type {
    RV_EXECUTOR_COMMAND /* made by the agent for a command task */,
    RV_EXECUTOR_DEFAULT,
    RV_EXECUTOR_CUSTOM
};

struct rv_executor_info {
    enum rv_executor_type type;
    struct rv_executor_id id;
    struct rv_framework_id framework_id; /* v NULL: not given */
    struct rv_resources resources;
    int64_t shutdown_grace_ms; /* -1: the agent's default */
    struct rv_blob *packed;    /* the ExecutorInfo as sent, without the values of its secrets; equal
                                  infos are equal bytes */
    struct rv_blob *whole;     /* with them, until it is where it is needed; NULL: it has none */
    char *problem; /* what is wrong with it by itself, found in decoding; NULL: nothing */
};

/* Hard limits of a task or a container, in thousandths as amounts of resources are. */
#define RV_LIMIT_INFINITE INT64_MAX
struct rv_limits {
    int64_t cpus, mem; /* 0: not given; RV_LIMIT_INFINITE: as much as there is */
};

struct rv_task_info {
    struct rv_task_id id;
    char *name;
    struct rv_agent_id agent_id;
    struct rv_resources resources;
    struct rv_executor_info *executor; /* NULL: a command task */
    int64_t kill_grace_ms;             /* kill_policy.grace_period; -1: not given */
    int64_t max_completion_ms;         /* -1: none */
    struct rv_limits limits;
    bool has_check, has_health_check;
    bool own_cgroups;       /* of a group: it shares none with its executor */
    struct rv_blob *packed; /* the TaskInfo as sent, unknown fields included, without the values of
                               its secrets */
    struct rv_blob *whole;  /* as above: is neither shown nor written */
    char *problem;          /* as above: the sentence of the TASK_ERROR; NULL: nothing */
};

static inline bool rv_limits_given(struct rv_limits l) {
    return l.cpus || l.mem;
}

void rv_executor_info_free(struct rv_executor_info *e); /* frees the members */
void rv_executor_info_copy(struct rv_executor_info *out, const struct rv_executor_info *e);
/* The values of its secrets are not needed any more. */
void rv_executor_info_forget(struct rv_executor_info *e);
void rv_task_info_forget(struct rv_task_info *t);
void rv_task_info_free(struct rv_task_info *t); /* frees the members */
void rv_task_info_copy(struct rv_task_info *out, const struct rv_task_info *t);

/* One status update or status. Strings are owned in records, borrowed in calls and events. */
struct rv_task_status {
    struct rv_task_id task_id;
    enum rv_task_state state;
    enum rv_source source;
    bool has_source;
    enum rv_reason reason;             /* RV_REASON_NONE: not given */
    char *message;                     /* NULL: none */
    struct rv_agent_id agent_id;       /* v NULL: not given */
    struct rv_executor_id executor_id; /* v NULL: not given */
    int64_t timestamp_ns;              /* wall clock; 0: not given */
    bool has_uuid;
    uint8_t uuid[16];
    int8_t healthy;                      /* -1: not given */
    int64_t unreachable_ns;              /* wall clock of unreachable_time; 0: not given */
    struct rv_container_id container_id; /* container_status.container_id; v NULL: not given */
    struct rv_blob *rest; /* packed TaskStatus with the fields not above (data, check_status,
                             labels, container_status, limitation, unknown ones); NULL: none */
};
void rv_task_status_free(struct rv_task_status *s); /* frees the members */
void rv_task_status_copy(struct rv_task_status *out, const struct rv_task_status *s);

#endif
