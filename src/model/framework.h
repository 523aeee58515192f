/* What a framework says about itself, and what it asks offers to satisfy. */
#ifndef RV_MODEL_FRAMEWORK_H
#define RV_MODEL_FRAMEWORK_H

#include <stdint.h>

#include "model/enums.h"
#include "model/ids.h"
#include "model/quota.h"
#include "model/resources.h"

/* Minimal amounts that make an offer worth having: all quantities of one set, or any set. */
/* Of one role: alternatives; n == 0: anything that is not empty will do. */
struct rv_min_allocatable {
    char *role;
    struct rv_quantities *any;
    size_t n;
};

struct rv_framework_info {
    struct rv_framework_id id;                            /* v NULL: not yet assigned */
    char *user, *name, *hostname, *principal, *webui_url; /* all but user and name may be NULL */
    int64_t failover_timeout_ms;                          /* clamped to [0, 100 years] */
    bool checkpoint;
    uint32_t capabilities; /* bit 1 << enum rv_framework_capability */
    char **roles;          /* `roles` of MULTI_ROLE, else the one `role` ("*" by default) */
    size_t n_roles;
    bool role_fields_wrong; /* roles without MULTI_ROLE, or role with it: refused by the master */
    struct rv_min_allocatable *min_allocatable; /* offer_filters; NULL if none */
    size_t n_min_allocatable;
    struct rv_blob *packed; /* the whole FrameworkInfo as sent, without id */
};

void rv_framework_info_free(struct rv_framework_info *f); /* frees the members */
void rv_framework_info_copy(struct rv_framework_info *out, const struct rv_framework_info *f);
static inline bool rv_framework_can(const struct rv_framework_info *f,
                                    enum rv_framework_capability c) {
    return f->capabilities & (1u << c);
}

/* Offer constraints: for a role, groups are alternatives, in a group all must hold. A role without
 * constraints accepts every agent; one with zero groups none. scheduler.proto, OfferConstraints. */
enum rv_constraint_selector {
    RV_SELECT_ATTRIBUTE,
    RV_SELECT_HOSTNAME,
    RV_SELECT_REGION,
    RV_SELECT_ZONE
};
enum rv_constraint_predicate {
    RV_PREDICATE_EXISTS,
    RV_PREDICATE_NOT_EXISTS,
    RV_PREDICATE_TEXT_EQUALS,
    RV_PREDICATE_TEXT_NOT_EQUALS,
    RV_PREDICATE_TEXT_MATCHES,
    RV_PREDICATE_TEXT_NOT_MATCHES,
    RV_PREDICATE_MAX
};
struct rv_regex; /* model/regex.h: compiled, matches the whole text in linear time */
struct rv_constraint {
    enum rv_constraint_selector selector;
    char *attribute; /* with RV_SELECT_ATTRIBUTE */
    enum rv_constraint_predicate predicate;
    char *text;             /* with TEXT_EQUALS.. */
    struct rv_regex *regex; /* with TEXT_MATCHES.. */
};
struct rv_constraint_group {
    struct rv_constraint *v;
    size_t n;
};
struct rv_role_constraints {
    char *role;
    struct rv_constraint_group *groups;
    size_t n;
};
/* Immutable, shared by reference count. */
struct rv_offer_constraints {
    uint32_t refs;
    struct rv_role_constraints *v;
    size_t n;
    struct rv_blob *packed; /* OfferConstraints as sent */
};
struct rv_offer_constraints *rv_offer_constraints_ref(struct rv_offer_constraints *c);
void rv_offer_constraints_unref(struct rv_offer_constraints *c); /* NULL is fine */

struct rv_attributes;
/* Whether an agent with these attributes, hostname, region and zone (may be NULL) may be offered
 * to the role. c NULL: yes. */
bool rv_offer_constraints_match(const struct rv_offer_constraints *c, const char *role,
                                const struct rv_attributes *attributes, const char *hostname,
                                const char *region, const char *zone);

#endif
