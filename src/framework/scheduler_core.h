/*
 * The scheduler's client, without socket or clock: client_core.h with the scheduler API's events
 * and calls. Subscribes again with the id it was given, watches heartbeats, acknowledges updates,
 * knows which errors are the end.
 */
#ifndef RV_FRAMEWORK_SCHEDULER_CORE_H
#define RV_FRAMEWORK_SCHEDULER_CORE_H

#include "framework/client_core.h"

struct rv_scheduler_core {
    struct rv_client client;
    Reeve__V1__FrameworkInfo *framework; /* with the id once we have one */
    char **suppressed_roles;
    size_t n_suppressed_roles;
    bool manual_acknowledge;
};

/* Takes of config: master, framework, suppressed_roles, encoding, manual_acknowledge, principal,
 * secret and the times. -RV_ERR_INVALID if something is missing or wrong. */
RV_MUST_USE int rv_scheduler_core_init(struct rv_scheduler_core *c,
                                       const struct reeve_scheduler_config *config, uint64_t seed,
                                       struct rv_error *err);
void rv_scheduler_core_free(struct rv_scheduler_core *c);

/* Fills framework_id in and queues the call. enum reeve_code. */
int rv_scheduler_core_call(struct rv_scheduler_core *c, const Reeve__V1__Scheduler__Call *call,
                           int64_t now_ms);
void rv_scheduler_core_stop(struct rv_scheduler_core *c, bool teardown, int64_t now_ms);
int rv_scheduler_core_acknowledge(struct rv_scheduler_core *c, const Reeve__V1__TaskStatus *status);
int rv_scheduler_core_acknowledge_operation(struct rv_scheduler_core *c,
                                            const Reeve__V1__OperationStatus *status);

#endif
