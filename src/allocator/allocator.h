/*
 * Who is offered what next. A policy behind an interface; the built-in one is hierarchical
 * Dominant Resource Fairness (NSDI'11, sections 4 and 5; roles as in roles.md) with weights.
 *
 * The allocator is a bounded call inside the master, not an actor: it owns no truth about
 * resources. The master tells it what each agent has in total and what is in use (allocated or
 * offered), by role and framework; a pass proposes offers, and the master books them. Nothing here
 * reads a clock: times come with the calls. Same calls, same answers: order of insertion breaks
 * ties, never a pointer or a hash.
 *
 * Cost of a full pass over A agents with free resources, R roles, F frameworks: O(A log(R+F)) when
 * few filters apply; agents without free resources and frameworks that want nothing cost nothing.
 * An incremental pass looks only at agents marked since the last one.
 */
#ifndef RV_ALLOCATOR_ALLOCATOR_H
#define RV_ALLOCATOR_ALLOCATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "model/agent_info.h"
#include "model/framework.h"
#include "model/quota.h"
#include "model/resources.h"

struct rv_allocator;

struct rv_allocator_config {
    const char *policy;                          /* "drf" (NULL), "priority": policy.h */
    const struct rv_quantities *min_allocatable; /* any of these makes an offer worth having; */
    size_t n_min_allocatable;                    /* NULL: cpus 0.01, or mem 32; not NULL, 0: all */
    const char *const *fair_exclude;             /* resource names left out of dominant shares */
    size_t n_fair_exclude;
    unsigned slice_agents;  /* agents a rv_allocator_pass looks at, at most; 0: all */
    uint64_t seed;          /* for the random order of agents within a pass */
    bool offer_gpus_to_all; /* else agents with gpus only to GPU_RESOURCES frameworks */
    const char *region;     /* the master's; agents of others only to REGION_AWARE frameworks; NULL:
                               to all */
};

/* NULL: there is no such policy. */
struct rv_allocator *rv_allocator_new(const struct rv_allocator_config *config);
struct rv_allocator *rv_allocator_free(struct rv_allocator *a);

/* --- frameworks: `handle` is the master's pointer, given back in offers, never looked into --- */
void rv_allocator_add_framework(struct rv_allocator *a, void *handle,
                                const struct rv_framework_info *info, bool active);
/* Roles, capabilities, constraints, min_allocatable may have changed. Suppression of roles that
 * stay is kept; filters of roles that went are dropped. */
void rv_allocator_update_framework(struct rv_allocator *a, void *handle,
                                   const struct rv_framework_info *info,
                                   struct rv_offer_constraints *constraints);
/* What it still uses stays in use, counted on its roles, until it is released under this handle. */
void rv_allocator_remove_framework(struct rv_allocator *a, void *handle);
/* Inactive (disconnected): gets nothing; its filters are dropped. */
void rv_allocator_activate_framework(struct rv_allocator *a, void *handle, bool active);
/* roles NULL: all of its roles. REVIVE also drops the filters of those roles. */
void rv_allocator_suppress(struct rv_allocator *a, void *handle, char *const *roles, size_t n);
void rv_allocator_revive(struct rv_allocator *a, void *handle, char *const *roles, size_t n);
bool rv_allocator_is_suppressed(const struct rv_allocator *a, void *handle, const char *role);

/* --- agents --- */
void rv_allocator_add_agent(struct rv_allocator *a, void *handle, const struct rv_agent_info *info,
                            const struct rv_resources *total);
void rv_allocator_update_agent(struct rv_allocator *a, void *handle,
                               const struct rv_agent_info *info, const struct rv_resources *total);
/* What was in use on it is off the books; a later release for it does nothing. */
void rv_allocator_remove_agent(struct rv_allocator *a, void *handle);
void rv_allocator_activate_agent(struct rv_allocator *a, void *handle, bool active);

/* --- what is in use: resources carry their allocation role --- */
/* Booked to the framework on the agent: an offer made, or a task that was recovered. A framework
 * that was not added (yet) is fine: it is counted on the role. */
void rv_allocator_use(struct rv_allocator *a, void *agent, void *framework,
                      const struct rv_resources *r);
/* Given back. refuse_until_ms > now: the framework does not want this much of this agent for this
 * role until then (a filter; ACCEPT's rest, DECLINE). 0: no filter. What is not booked is ignored.
 */
void rv_allocator_release(struct rv_allocator *a, void *agent, void *framework,
                          const struct rv_resources *r, int64_t now_ms, int64_t refuse_until_ms);

/* --- weights and quota --- */
void rv_allocator_set_weight(struct rv_allocator *a, const char *role, double weight); /* > 0 */
/* Of a role at the top; it counts for all roles below, too. An empty one takes it away. */
void rv_allocator_set_quota(struct rv_allocator *a, const struct rv_quota *quota);

/* --- allocating --- */
/* Marks every agent for the next pass (the batch interval), or one of them. What frees or adds
 * resources, revives or activates marks by itself. */
void rv_allocator_mark_all(struct rv_allocator *a);
void rv_allocator_mark_agent(struct rv_allocator *a, void *agent);

/* Called for each allocation: resources (with allocation role) of one agent for one framework and
 * role. The allocator has already booked them as in rv_allocator_use. It must not call the
 * allocator, and the resources are valid for the call. */
typedef void (*rv_allocation_cb)(void *ctx, void *framework, const char *role, void *agent,
                                 const struct rv_resources *resources);

/* Expires filters, then offers what is free on marked agents, up to slice_agents of them. Returns
 * true if marked agents are left for a further call. */
bool rv_allocator_pass(struct rv_allocator *a, int64_t now_ms, rv_allocation_cb cb, void *ctx);
/* When the next filter expires, INT64_MAX if none: the agent is marked by itself then, in a pass.
 */
int64_t rv_allocator_deadline(const struct rv_allocator *a);

/* --- for queries and tests --- */
/* Dominant share of a role (with the roles below it) or of a framework in a role, in millionths of
 * the cluster, not weighted. */
int64_t rv_allocator_role_share_ppm(const struct rv_allocator *a, const char *role);
int64_t rv_allocator_framework_share_ppm(const struct rv_allocator *a, void *handle,
                                         const char *role);
/* What counts against a top role's quota, in thousandths: what is allocated or offered to it and
 * the roles below it, and what is reserved to them but in nobody's hands. */
int64_t rv_allocator_quota_consumed(const struct rv_allocator *a, const char *role,
                                    const char *resource);
size_t rv_allocator_filters(const struct rv_allocator *a);
size_t rv_allocator_role_filters(const struct rv_allocator *a, const char *role);
/* What the books say is in use on the agent, for auditors; valid until the next call. NULL: there
 * is no such agent. */
const struct rv_resources *rv_allocator_agent_used(const struct rv_allocator *a, void *agent);
/* All that must always hold in here (INV-26 for its part); NULL, or the first breach in words,
 * valid until the next call. */
const char *rv_allocator_check(struct rv_allocator *a);

#endif
