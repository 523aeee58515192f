/*
 * Between message trees and model values: the pieces that the codecs of the APIs and the daemons'
 * views share.
 *
 * rv_wire_x_from: reads a tree that rv_wire_decode made (so required fields are there). The value
 *   borrows strings from the tree and arrays from the arena, and owns only what is counted or
 *   grown: packed blobs, resources, attributes. It lives as long as the tree, ends with
 *   rv_wire_x_release (not with rv_x_free), and is kept by rv_x_copy.
 * rv_wire_x_to: makes a tree to be encoded, in the arena. It borrows from the value and may hold
 *   raw nodes, so it must be encoded before the value changes, and not be read.
 *
 * Costs: linear in the message; nothing is copied but packed blobs.
 */
#ifndef RV_WIRE_CONVERT_H
#define RV_WIRE_CONVERT_H

#include "base/error.h"
#include "base/memory.h"
#include "base/str.h"
#include "model/agent_info.h"
#include "model/framework.h"
#include "model/offer.h"
#include "model/scheduler.h"
#include "model/task.h"
#include "reeve/v1/scheduler.pb-c.h"
#include "reeve/v1/v1.pb-c.h"
#include "wire/resources_codec.h"

/* A new message of the generated type in the arena: RV_WIRE_MAKE(arena, TaskID, task_id). */
#define RV_WIRE_MAKE(arena, Type, name)                                                            \
    ({                                                                                             \
        Reeve__V1__##Type *made_ = rv_arena_alloc((arena), sizeof *made_);                         \
        reeve__v1__##name##__init(made_);                                                          \
        made_;                                                                                     \
    })

/* --- ids, times, small things --- */

/* A model container id is "parent.child"; on the wire it is nested. id.v NULL gives NULL. */
Reeve__V1__ContainerID *rv_wire_container_id_to(struct rv_container_id id, struct rv_arena *arena);
struct rv_container_id rv_wire_container_id_from(const Reeve__V1__ContainerID *m,
                                                 struct rv_arena *arena);

/* NULL ids give NULL. */
Reeve__V1__FrameworkID *rv_wire_framework_id_to(struct rv_framework_id id, struct rv_arena *arena);
Reeve__V1__AgentID *rv_wire_agent_id_to(struct rv_agent_id id, struct rv_arena *arena);
Reeve__V1__TaskID *rv_wire_task_id_to(struct rv_task_id id, struct rv_arena *arena);
Reeve__V1__ExecutorID *rv_wire_executor_id_to(struct rv_executor_id id, struct rv_arena *arena);
Reeve__V1__OfferID *rv_wire_offer_id_to(struct rv_offer_id id, struct rv_arena *arena);
Reeve__V1__OperationID *rv_wire_operation_id_to(struct rv_operation_id id, struct rv_arena *arena);

/* The grace of a kill policy in milliseconds; -1 if none is given. A negative one counts as 0. */
int64_t rv_wire_kill_grace_from(const Reeve__V1__KillPolicy *m);
/* NULL for -1. */
Reeve__V1__KillPolicy *rv_wire_kill_policy_to(int64_t grace_ms, struct rv_arena *arena);

Reeve__V1__DurationInfo *rv_wire_duration_to(int64_t ms, struct rv_arena *arena);

/* Filters.refuse_seconds in milliseconds: 5 s if it is not given, negative or NaN, at most 365
 * days (INV-28). m may be NULL. */
int64_t rv_wire_refuse_ms_from(const Reeve__V1__Filters *m);

/* Exactly 16 bytes; err names the field. */
RV_MUST_USE int rv_wire_uuid_from(ProtobufCBinaryData data, const char *field, uint8_t out[16],
                                  struct rv_error *err);
ProtobufCBinaryData rv_wire_uuid_to(const uint8_t uuid[16]);

/* A raw node of the packed bytes followed by field `field` (under 16), an id message of the value
 * `id`: in protobuf the last one counts. NULL id: only the bytes; NULL packed: NULL. */
ProtobufCMessage *rv_wire_raw_with_id(const struct rv_blob *packed, uint8_t field, const char *id,
                                      struct rv_arena *arena);

/* --- frameworks --- */

/* A failover timeout is clamped to [0, 100 years]; -RV_ERR_INVALID: it is NaN, or a minimal
 * quantity of offer_filters is no amount. */
RV_MUST_USE int rv_wire_framework_info_from(const Reeve__V1__FrameworkInfo *m,
                                            struct rv_arena *arena, struct rv_framework_info *out,
                                            struct rv_error *err);
void rv_wire_framework_info_release(struct rv_framework_info *f);
/* As sent, with the id. */
Reeve__V1__FrameworkInfo *rv_wire_framework_info_to(const struct rv_framework_info *f,
                                                    struct rv_arena *arena);

/* -RV_ERR_INVALID names the role and constraint: a selector or predicate missing or unknown, a
 * pattern that is none. *out NULL if m is. Ends with rv_offer_constraints_unref. */
RV_MUST_USE int rv_wire_offer_constraints_from(const Reeve__V1__Scheduler__OfferConstraints *m,
                                               struct rv_offer_constraints **out,
                                               struct rv_error *err);

/* --- tasks and executors --- */

/* These never refuse. With `check` they fill `problem` (wire/validate.h) as a framework's launch
 * needs it; without, they trust what passed that check before (the channel, checkpoints).
 * If the resources cannot be read they are empty and `problem` says why, in both cases. */
void rv_wire_executor_info_from(const Reeve__V1__ExecutorInfo *m, bool check,
                                struct rv_arena *arena, struct rv_executor_info *out);
void rv_wire_executor_info_release(struct rv_executor_info *e);
/* As sent, with its framework's id if it has one; without `packed` (the agent's own executor of a
 * command task) it is built from the other fields. */
Reeve__V1__ExecutorInfo *rv_wire_executor_info_to(const struct rv_executor_info *e,
                                                  struct rv_arena *arena);

/* One entry of a map of limits; what rv_wire_limit_problem (wire/validate.h) refuses is passed
 * over. */
void rv_wire_limit_from(const char *name, const Reeve__V1__Value__Scalar *value,
                        struct rv_limits *out);

/* With `check`, group: it came in a LAUNCH_GROUP. */
void rv_wire_task_info_from(const Reeve__V1__TaskInfo *m, bool check, bool group,
                            struct rv_arena *arena, struct rv_task_info *out);
void rv_wire_task_info_release(struct rv_task_info *t);
/* As sent, but without the values of its secrets. */
Reeve__V1__TaskInfo *rv_wire_task_info_to(const struct rv_task_info *t, struct rv_arena *arena);
/* With them, if they are still known: for who runs it alone. */
Reeve__V1__TaskInfo *rv_wire_task_info_whole_to(const struct rv_task_info *t,
                                                struct rv_arena *arena);

/* -RV_ERR_INVALID: a uuid that has not 16 bytes, an unknown state. */
RV_MUST_USE int rv_wire_task_status_from(const Reeve__V1__TaskStatus *m, struct rv_arena *arena,
                                         struct rv_task_status *out, struct rv_error *err);
void rv_wire_task_status_release(struct rv_task_status *s);
Reeve__V1__TaskStatus *rv_wire_task_status_to(const struct rv_task_status *s,
                                              struct rv_arena *arena);

/* --- offers and operations --- */

/* capabilities: of the framework (1 << enum rv_framework_capability): MULTI_ROLE gets
 * allocation_info, RESERVATION_REFINEMENT the refined shape of resources. */
Reeve__V1__Offer *rv_wire_offer_to(const struct rv_offer_view *o, uint32_t capabilities,
                                   struct rv_arena *arena);
Reeve__V1__InverseOffer *rv_wire_inverse_offer_to(const struct rv_inverse_offer_view *o,
                                                  struct rv_arena *arena);
static inline enum rv_resource_shape rv_wire_shape_for(uint32_t capabilities) {
    return capabilities & (1u << RV_FRAMEWORK_RESERVATION_REFINEMENT) ? RV_SHAPE_REFINED
                                                                      : RV_SHAPE_CLASSIC;
}

/* Never refuses; what is wrong is in `problem` of the operation, its tasks and its executor, with
 * `check` as above. A type without its part is a problem; a type that is not known is
 * RV_OP_UNKNOWN with a problem. */
void rv_wire_operation_from(const Reeve__V1__Offer__Operation *m, bool check,
                            struct rv_arena *arena, struct rv_operation *out);
void rv_wire_operation_release(struct rv_operation *o);
/* As views show it: with its resources as they were taken, not as they were written. */
Reeve__V1__Operation *rv_wire_operation_record_to(const struct rv_operation *o,
                                                  const struct rv_operation_status *latest,
                                                  struct rv_framework_id framework_id,
                                                  const uint8_t uuid[16], struct rv_arena *arena);
/* As sent; without `packed` it is built from the other fields (operations that we make). */
Reeve__V1__Offer__Operation *rv_wire_operation_to(const struct rv_operation *o,
                                                  struct rv_arena *arena);

RV_MUST_USE int rv_wire_operation_status_from(const Reeve__V1__OperationStatus *m,
                                              struct rv_arena *arena,
                                              struct rv_operation_status *out,
                                              struct rv_error *err);
void rv_wire_operation_status_release(struct rv_operation_status *s);
Reeve__V1__OperationStatus *rv_wire_operation_status_to(const struct rv_operation_status *s,
                                                        enum rv_resource_shape shape,
                                                        bool with_allocation,
                                                        struct rv_arena *arena);

/* --- agents and masters --- */

/* AgentInfo as the v1 API has it: without ip, version and capabilities, which stay unset. */
RV_MUST_USE int rv_wire_agent_info_from(const Reeve__V1__AgentInfo *m, struct rv_agent_info *out,
                                        struct rv_error *err);
void rv_wire_agent_info_release(struct rv_agent_info *a);
Reeve__V1__AgentInfo *rv_wire_agent_info_to(const struct rv_agent_info *a,
                                            enum rv_resource_shape shape, struct rv_arena *arena);
/* Bits 1 << number to Capability messages. */
void rv_wire_agent_capabilities_to(uint32_t capabilities, struct rv_arena *arena,
                                   Reeve__V1__AgentInfo__Capability ***v, size_t *n);
uint32_t rv_wire_agent_capabilities_from(Reeve__V1__AgentInfo__Capability *const *v, size_t n);
/* "http://hostname:port/path" as a URL message. */
Reeve__V1__URL *rv_wire_agent_url_to(const struct rv_agent_info *a, const char *path,
                                     struct rv_arena *arena);

/* Packed MasterInfo. ip: dotted (or textual IPv6, whose number is then 0); domain (packed
 * DomainInfo) may be NULL. */
struct rv_blob *rv_wire_master_info_pack(const char *id, const char *hostname, const char *ip,
                                         uint16_t port, const char *version,
                                         const struct rv_blob *domain);
/* The same as JSON, as candidates stand in ZooKeeper; and what such a text says, in the arena. */
void rv_wire_master_info_print(const struct rv_blob *info, struct rv_buf *json);
RV_MUST_USE int rv_wire_master_info_parse(struct rv_str json, struct rv_arena *arena,
                                          Reeve__V1__MasterInfo **out, struct rv_error *err);

#endif
