/*
 * The scheduler API as values: the calls of a framework and the events to it. All pointers are
 * borrowed for the step. A NULL id or negative time means "not given".
 */
#ifndef RV_MODEL_SCHEDULER_H
#define RV_MODEL_SCHEDULER_H

#include "model/agent_info.h"
#include "model/framework.h"
#include "model/maintenance.h"
#include "model/offer.h"
#include "model/task.h"

struct rv_task_ref {
    struct rv_task_id task_id;
    struct rv_agent_id agent_id;
};
struct rv_operation_ref {
    struct rv_operation_id operation_id;
    struct rv_agent_id agent_id;
    const char *provider_id;
};

struct rv_scheduler_call {
    enum rv_scheduler_call_type type;
    struct rv_framework_id framework_id;
    union {
        struct { /* SUBSCRIBE, UPDATE_FRAMEWORK */
            struct rv_framework_info *info;
            char **suppressed_roles;
            size_t n_suppressed_roles;
            struct rv_offer_constraints *constraints; /* NULL: none */
        } subscribe;
        struct { /* ACCEPT, DECLINE, and the same for inverse offers */
            struct rv_offer_id *offer_ids;
            size_t n_offer_ids;
            struct rv_operation *operations;
            size_t n_operations;
            int64_t refuse_ms; /* default 5,000; clamped to [0, 365 days] in decoding: INV-28 */
        } accept;
        struct { /* REVIVE, SUPPRESS; none: all roles */
            char **roles;
            size_t n_roles;
        } roles;
        struct {
            struct rv_task_id task_id;
            struct rv_agent_id agent_id;
            int64_t grace_ms; /* of a kill_policy; -1: not given */
        } kill;
        struct {
            struct rv_executor_id executor_id;
            struct rv_agent_id agent_id;
        } shutdown;
        struct {
            struct rv_agent_id agent_id;
            struct rv_task_id task_id;
            uint8_t uuid[16];
        } acknowledge;
        struct {
            struct rv_agent_id agent_id;
            const char *provider_id;
            struct rv_operation_id operation_id;
            uint8_t uuid[16];
        } acknowledge_operation;
        struct {
            struct rv_task_ref *tasks;
            size_t n;
        } reconcile;
        struct {
            struct rv_operation_ref *operations;
            size_t n;
        } reconcile_operations;
        struct {
            struct rv_agent_id agent_id;
            struct rv_executor_id executor_id;
            struct rv_str data;
        } message;
    };
};

/* One offer as it goes out. */
struct rv_offer_view {
    struct rv_offer_id id;
    struct rv_framework_id framework_id;
    const struct rv_agent_info *agent;
    const char *role; /* allocation role */
    const struct rv_resources *resources;
    const struct rv_executor_id *executor_ids;
    size_t n_executor_ids;
    const struct rv_unavailability *away; /* of the agent's machine; NULL: nothing is planned */
};

/* A request to be gone from an agent by then. */
struct rv_inverse_offer_view {
    struct rv_offer_id id;
    struct rv_framework_id framework_id;
    const struct rv_agent_info *agent;
    const struct rv_unavailability *away;
};

struct rv_operation_status {
    struct rv_operation_id operation_id;
    enum rv_operation_state state;
    const char *message;
    const struct rv_resources *converted; /* may be NULL */
    bool has_uuid;
    uint8_t uuid[16];
    struct rv_agent_id agent_id;
    const char *provider_id;
};

struct rv_scheduler_event {
    enum rv_scheduler_event_type type;
    uint32_t capabilities; /* of the framework: decides the shape of resources and offers */
    union {
        struct {
            struct rv_framework_id framework_id;
            int64_t heartbeat_ms;
            struct rv_blob *master_info; /* packed MasterInfo */
        } subscribed;
        struct {
            const struct rv_offer_view *offers;
            size_t n;
        } offers;
        struct {
            const struct rv_inverse_offer_view *offers;
            size_t n;
        } inverse_offers;
        struct rv_offer_id rescind;                  /* RESCIND, RESCIND_INVERSE_OFFER */
        const struct rv_task_status *update;         /* UPDATE */
        const struct rv_operation_status *operation; /* UPDATE_OPERATION_STATUS */
        struct {
            struct rv_agent_id agent_id;
            struct rv_executor_id executor_id;
            struct rv_str data;
        } message;
        struct {
            struct rv_agent_id agent_id;
            struct rv_executor_id executor_id; /* v NULL: the whole agent */
            bool has_status;
            int32_t status; /* wait status */
        } failure;
        const char *error; /* ERROR */
    };
};

#endif
