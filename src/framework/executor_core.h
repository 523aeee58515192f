/*
 * The executor's client, without socket or clock: client_core.h with the executor API's events and
 * calls. Keeps tasks and updates until the agent has acknowledged them and tells them again with
 * each SUBSCRIBE; ends when the agent stays away, says shutdown, or all is done.
 */
#ifndef RV_FRAMEWORK_EXECUTOR_CORE_H
#define RV_FRAMEWORK_EXECUTOR_CORE_H

#include "framework/client_core.h"

/* From config and environment. */
struct rv_executor_settings {
    const char *agent, *framework_id, *executor_id;
    const char *token; /* or NULL */
    enum reeve_encoding encoding;
    bool checkpoint; /* survive a broken connection for recovery_timeout_ms */
    bool exit_when_idle;
    unsigned recovery_timeout_ms, backoff_max_ms, grace_period_ms;
};

struct rv_executor_task {
    Reeve__V1__TaskInfo *info;
    bool acknowledged; /* an update of it was: the agent knows it */
    bool ended;        /* by an update of ours */
};

struct rv_executor_core {
    struct rv_client client;
    struct rv_executor_settings settings; /* without the strings */
    char *agent_id;
    Reeve__V1__FrameworkID framework_id; /* with a value of our own */
    Reeve__V1__ExecutorID executor_id;
    RV_VEC(struct rv_executor_task) tasks;
    RV_VEC(Reeve__V1__TaskStatus *) updates; /* not acknowledged, oldest first */
    size_t told;                             /* so many of them are in the last SUBSCRIBE */
    int64_t lost_by_ms;     /* the agent must be back by then; INT64_MAX: it is there */
    int64_t stop_by_ms;     /* INT64_MAX: no end in sight */
    bool launched;          /* at least one task came */
    bool stopping, ordered; /* ordered: the agent said SHUTDOWN */
};

RV_MUST_USE int rv_executor_core_init(struct rv_executor_core *c,
                                      const struct rv_executor_settings *settings, uint64_t seed,
                                      struct rv_error *err);
void rv_executor_core_free(struct rv_executor_core *c);

void rv_executor_core_start(struct rv_executor_core *c, int64_t now_ms);
/* Fills in what is missing and keeps it. wall_s: the time since 1970. enum reeve_code. */
int rv_executor_core_update(struct rv_executor_core *c, const Reeve__V1__TaskStatus *status,
                            double wall_s, int64_t now_ms);
int rv_executor_core_message(struct rv_executor_core *c, const void *data, size_t n);
void rv_executor_core_stop(struct rv_executor_core *c, int64_t now_ms);
void rv_executor_core_tick(struct rv_executor_core *c, int64_t now_ms);
int64_t rv_executor_core_deadline(const struct rv_executor_core *c);

#endif
