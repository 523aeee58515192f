/* Between the files of the master's endpoints. */
#ifndef RV_DAEMON_MASTER_ENDPOINTS_H
#define RV_DAEMON_MASTER_ENDPOINTS_H

#include "daemon/common.h"
#include "daemon/master_daemon.h"
#include "reeve/v1/master.pb-c.h"
#include "wire/convert.h"

/* The master as the shared answers see it. */
struct rv_common rv_master_common(struct rv_master_daemon *d);

/* Sets weights, and answers the request once the registry has them. The tree is needed for this
 * call only. */
void rv_master_update_weights(struct rv_master_daemon *d, struct rv_http_request *req,
                              enum rv_encoding encoding, Reeve__V1__WeightInfo *const *v, size_t n);

/* --- master_quota.c: each makes the call of the core, as those of master_nodes.c do --- */
void rv_master_update_quota(struct rv_master_daemon *d, struct rv_http_request *req,
                            const Reeve__V1__Master__Call__UpdateQuota *m);
void rv_master_set_quota(struct rv_master_daemon *d, struct rv_http_request *req,
                         const Reeve__V1__Quota__QuotaRequest *m);
void rv_master_remove_quota(struct rv_master_daemon *d, struct rv_http_request *req, char *role);
/* POST /quota and DELETE /quota/ROLE, and whatever is refused there; false: not one of these. */
bool rv_master_quota_handle(struct rv_master_daemon *d, struct rv_http_request *req,
                            const char *path);
Reeve__V1__Quota__QuotaStatus *rv_master_view_quota(const struct rv_master *m,
                                                    struct rv_arena *arena);

/* --- master_operations.c: likewise --- */
void rv_master_reserve(struct rv_master_daemon *d, struct rv_http_request *req,
                       const Reeve__V1__Master__Call__ReserveResources *m);
void rv_master_unreserve(struct rv_master_daemon *d, struct rv_http_request *req,
                         const Reeve__V1__Master__Call__UnreserveResources *m);
void rv_master_create_volumes(struct rv_master_daemon *d, struct rv_http_request *req,
                              const Reeve__V1__Master__Call__CreateVolumes *m);
void rv_master_destroy_volumes(struct rv_master_daemon *d, struct rv_http_request *req,
                               const Reeve__V1__Master__Call__DestroyVolumes *m);
void rv_master_grow_volume(struct rv_master_daemon *d, struct rv_http_request *req,
                           const Reeve__V1__Master__Call__GrowVolume *m);
void rv_master_shrink_volume(struct rv_master_daemon *d, struct rv_http_request *req,
                             const Reeve__V1__Master__Call__ShrinkVolume *m);
/* POST /reserve, /unreserve, /create-volumes, /destroy-volumes; false: not one of these. */
bool rv_master_operations_handle(struct rv_master_daemon *d, struct rv_http_request *req,
                                 const char *path);

/* --- master_nodes.c --- */
/* The call of the core, which answers the request. */
void rv_master_operate(struct rv_master_daemon *d, struct rv_http_request *req,
                       const struct rv_operator_call *call);
/* The JSON body as the part `name` of a message: what endpoints from before v1 take is often a part
 * of what a call takes. NULL after a 400. */
ProtobufCMessage *rv_master_body_as(struct rv_master_daemon *d, struct rv_http_request *req,
                                    const char *name, const ProtobufCMessageDescriptor *type);
/* Each makes the call of the core, which answers the request. Trees are needed for the call only.
 */
void rv_master_change_agent(struct rv_master_daemon *d, struct rv_http_request *req,
                            enum rv_operator_call_type type, const Reeve__V1__AgentID *id);
void rv_master_drain(struct rv_master_daemon *d, struct rv_http_request *req,
                     const Reeve__V1__Master__Call__DrainAgent *m);
void rv_master_update_schedule(struct rv_master_daemon *d, struct rv_http_request *req,
                               const Reeve__V1__Maintenance__Schedule *m);
void rv_master_change_machines(struct rv_master_daemon *d, struct rv_http_request *req,
                               enum rv_operator_call_type type, Reeve__V1__MachineID *const *v,
                               size_t n);
/* POST /maintenance/schedule, /machine/down, /machine/up; false: not one of these. */
bool rv_master_maintenance_handle(struct rv_master_daemon *d, struct rv_http_request *req,
                                  const char *path);
Reeve__V1__Maintenance__Schedule *rv_master_view_schedule(const struct rv_master *m,
                                                          struct rv_arena *arena);
Reeve__V1__Maintenance__ClusterStatus *rv_master_view_maintenance(const struct rv_master *m,
                                                                  struct rv_arena *arena);

#endif
