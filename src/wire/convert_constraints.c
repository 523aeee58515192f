/*
 * Offer constraints from the wire. Patterns are compiled here, once; the value owns all that it
 * holds and is shared by count.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "model/regex.h"
#include "wire/codec.h"
#include "wire/convert.h"

static int selector_from(const Reeve__V1__Scheduler__AttributeConstraint__Selector *m,
                         struct rv_constraint *out, struct rv_error *err) {
    if (m->selector_case ==
        REEVE__V1__SCHEDULER__ATTRIBUTE_CONSTRAINT__SELECTOR__SELECTOR_ATTRIBUTE_NAME) {
        out->selector = RV_SELECT_ATTRIBUTE;
        out->attribute = rv_strdup(m->attribute_name);
        return 0;
    }
    if (m->selector_case !=
        REEVE__V1__SCHEDULER__ATTRIBUTE_CONSTRAINT__SELECTOR__SELECTOR_PSEUDOATTRIBUTE_TYPE)
        return rv_error_set(err, RV_ERR_INVALID, "'selector' names nothing");
    switch ((int)m->pseudoattribute_type) {
    case REEVE__V1__SCHEDULER__ATTRIBUTE_CONSTRAINT__SELECTOR__PSEUDOATTRIBUTE_TYPE__HOSTNAME:
        out->selector = RV_SELECT_HOSTNAME;
        return 0;
    case REEVE__V1__SCHEDULER__ATTRIBUTE_CONSTRAINT__SELECTOR__PSEUDOATTRIBUTE_TYPE__REGION:
        out->selector = RV_SELECT_REGION;
        return 0;
    case REEVE__V1__SCHEDULER__ATTRIBUTE_CONSTRAINT__SELECTOR__PSEUDOATTRIBUTE_TYPE__ZONE:
        out->selector = RV_SELECT_ZONE;
        return 0;
    default:
        return rv_error_set(err, RV_ERR_INVALID,
                            "'selector.pseudoattribute_type' must be HOSTNAME, REGION or ZONE");
    }
}

static int regex_from(const char *pattern, struct rv_constraint *out, struct rv_error *err) {
    int r = rv_regex_compile(pattern, &out->regex, err);
    if (r < 0)
        rv_error_prefix(err, "'predicate': bad 'regex'");
    return r;
}

static int predicate_from(const Reeve__V1__Scheduler__AttributeConstraint__Predicate *m,
                          struct rv_constraint *out, struct rv_error *err) {
#define CASE(NAME) REEVE__V1__SCHEDULER__ATTRIBUTE_CONSTRAINT__PREDICATE__PREDICATE_##NAME
    switch ((int)m->predicate_case) {
    case CASE(EXISTS):
        out->predicate = RV_PREDICATE_EXISTS;
        return 0;
    case CASE(NOT_EXISTS):
        out->predicate = RV_PREDICATE_NOT_EXISTS;
        return 0;
    case CASE(TEXT_EQUALS):
        out->predicate = RV_PREDICATE_TEXT_EQUALS;
        out->text = rv_strdup(m->text_equals->value);
        return 0;
    case CASE(TEXT_NOT_EQUALS):
        out->predicate = RV_PREDICATE_TEXT_NOT_EQUALS;
        out->text = rv_strdup(m->text_not_equals->value);
        return 0;
    case CASE(TEXT_MATCHES):
        out->predicate = RV_PREDICATE_TEXT_MATCHES;
        return regex_from(m->text_matches->regex, out, err);
    case CASE(TEXT_NOT_MATCHES):
        out->predicate = RV_PREDICATE_TEXT_NOT_MATCHES;
        return regex_from(m->text_not_matches->regex, out, err);
    default:
        return rv_error_set(err, RV_ERR_INVALID, "'predicate' says nothing");
    }
#undef CASE
}

/* What was read before an error stays in `out`, to be freed with it. */
static int role_from(const Reeve__V1__Scheduler__OfferConstraints__RoleConstraints *m,
                     struct rv_role_constraints *out, struct rv_error *err) {
    out->n = m ? m->n_groups : 0;
    out->groups = rv_calloc(out->n, sizeof *out->groups);
    for (size_t i = 0; i < out->n; i++) {
        struct rv_constraint_group *group = &out->groups[i];
        group->n = m->groups[i]->n_attribute_constraints;
        group->v = rv_calloc(group->n, sizeof *group->v);
        for (size_t j = 0; j < group->n; j++) {
            const Reeve__V1__Scheduler__AttributeConstraint *one =
                m->groups[i]->attribute_constraints[j];
            int r = selector_from(one->selector, &group->v[j], err);
            if (r == 0)
                r = predicate_from(one->predicate, &group->v[j], err);
            if (r < 0) {
                rv_error_prefix(err,
                                "'offer_constraints.role_constraints[%.100s].groups[%zu]"
                                ".attribute_constraints[%zu]'",
                                out->role, i, j);
                return r;
            }
        }
    }
    return 0;
}

int rv_wire_offer_constraints_from(const Reeve__V1__Scheduler__OfferConstraints *m,
                                   struct rv_offer_constraints **out, struct rv_error *err) {
    if (!m) {
        *out = NULL;
        return 0;
    }
    struct rv_offer_constraints *c = rv_calloc(1, sizeof *c);
    c->refs = 1;
    c->n = m->n_role_constraints;
    c->v = rv_calloc(c->n, sizeof *c->v);
    for (size_t i = 0; i < c->n; i++) {
        const Reeve__V1__Scheduler__OfferConstraints__RoleConstraintsEntry *entry =
            m->role_constraints[i];
        c->v[i].role = rv_strdup(entry->key ? entry->key : "");
        int r = role_from(entry->value, &c->v[i], err);
        if (r < 0) {
            rv_offer_constraints_unref(c);
            return r == -RV_ERR_LIMIT ? -RV_ERR_INVALID : r;
        }
    }
    c->packed = rv_wire_pack(&m->base);
    *out = c;
    return 0;
}
