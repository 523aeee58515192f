/*
 * Quotas between message trees and model values; the rules of wire/convert.h hold. What is read is
 * amounts: finite, not negative, each name once, in order of names. Whether a role can have them is
 * for rv_quota_problem, and what the cluster makes of it is the master's to say.
 */
#ifndef RV_WIRE_QUOTA_CODEC_H
#define RV_WIRE_QUOTA_CODEC_H

#include "base/error.h"
#include "base/memory.h"
#include "model/quota.h"
#include "reeve/v1/quota.pb-c.h"

/* Names and arrays lie in the arena or the tree. A guarantee of nothing is none. */
RV_MUST_USE int rv_wire_quota_from(const Reeve__V1__Quota__QuotaConfig *m, struct rv_arena *arena,
                                   struct rv_quota *out, struct rv_error *err);
RV_MUST_USE int rv_wire_quotas_from(Reeve__V1__Quota__QuotaConfig *const *v, size_t n,
                                    struct rv_arena *arena, struct rv_quota **out,
                                    struct rv_error *err);
/* The older form: guarantees as resources, which are the limits, too. */
RV_MUST_USE int rv_wire_quota_request_from(const Reeve__V1__Quota__QuotaRequest *m,
                                           struct rv_arena *arena, struct rv_quota *out,
                                           struct rv_error *err);

Reeve__V1__Quota__QuotaConfig *rv_wire_quota_to(const struct rv_quota *q, struct rv_arena *arena);
/* Guarantees alone, as resources. */
Reeve__V1__Quota__QuotaInfo *rv_wire_quota_info_to(const struct rv_quota *q,
                                                   struct rv_arena *arena);

#endif
