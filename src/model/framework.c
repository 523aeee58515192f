/*
 * What frameworks say about themselves: copies and releases of their info, and offer constraints.
 *
 * Constraints are immutable once made and shared by count. A match costs one pass over the agent's
 * attributes for each constraint, and for patterns what model/regex.h promises.
 */
#include "model/framework.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/memory.h"
#include "model/attributes.h"
#include "model/regex.h"

static void free_min_allocatable(struct rv_min_allocatable *v, size_t n) {
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < v[i].n; j++)
            rv_quantities_free(&v[i].any[j]);
        free(v[i].any);
        free(v[i].role);
    }
    free(v);
}

static struct rv_min_allocatable *copy_min_allocatable(const struct rv_min_allocatable *v,
                                                       size_t n) {
    if (n == 0)
        return NULL;
    struct rv_min_allocatable *out = rv_calloc(n, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        out[i].role = rv_strdup(v[i].role);
        out[i].n = v[i].n;
        out[i].any = v[i].n ? rv_calloc(v[i].n, sizeof *out[i].any) : NULL;
        for (size_t j = 0; j < v[i].n; j++)
            rv_quantities_copy(&out[i].any[j], &v[i].any[j]);
    }
    return out;
}

void rv_framework_info_free(struct rv_framework_info *f) {
    if (!f)
        return;
    free((void *)(uintptr_t)f->id.v);
    free(f->user);
    free(f->name);
    free(f->hostname);
    free(f->principal);
    free(f->webui_url);
    for (size_t i = 0; i < f->n_roles; i++)
        free(f->roles[i]);
    free(f->roles);
    free_min_allocatable(f->min_allocatable, f->n_min_allocatable);
    rv_blob_unref(f->packed);
    *f = (struct rv_framework_info){0};
}

void rv_framework_info_copy(struct rv_framework_info *out, const struct rv_framework_info *f) {
    struct rv_framework_info c = *f;
    c.id.v = rv_strdup(f->id.v);
    c.user = rv_strdup(f->user);
    c.name = rv_strdup(f->name);
    c.hostname = rv_strdup(f->hostname);
    c.principal = rv_strdup(f->principal);
    c.webui_url = rv_strdup(f->webui_url);
    c.roles = f->n_roles ? rv_calloc(f->n_roles, sizeof *c.roles) : NULL;
    for (size_t i = 0; i < f->n_roles; i++)
        c.roles[i] = rv_strdup(f->roles[i]);
    c.min_allocatable = copy_min_allocatable(f->min_allocatable, f->n_min_allocatable);
    c.packed = rv_blob_ref(f->packed);
    *out = c;
}

/* --- offer constraints --- */

struct rv_offer_constraints *rv_offer_constraints_ref(struct rv_offer_constraints *c) {
    if (c)
        c->refs++;
    return c;
}

static void free_constraint(struct rv_constraint *c) {
    free(c->attribute);
    free(c->text);
    rv_regex_free(c->regex);
}

void rv_offer_constraints_unref(struct rv_offer_constraints *c) {
    if (!c)
        return;
    RV_ASSERT(c->refs > 0);
    if (--c->refs > 0)
        return;
    for (size_t i = 0; i < c->n; i++) {
        struct rv_role_constraints *role = &c->v[i];
        for (size_t j = 0; j < role->n; j++) {
            for (size_t k = 0; k < role->groups[j].n; k++)
                free_constraint(&role->groups[j].v[k]);
            free(role->groups[j].v);
        }
        free(role->groups);
        free(role->role);
    }
    free(c->v);
    rv_blob_unref(c->packed);
    free(c);
}

/* What a constraint looks at: nothing, a text, or an attribute that is no text. */
struct subject {
    bool there;
    const char *text; /* NULL if it is no text */
};

static struct subject subject_of(const struct rv_constraint *c,
                                 const struct rv_attributes *attributes, const char *hostname,
                                 const char *region, const char *zone) {
    const char *text = NULL;
    switch (c->selector) {
    case RV_SELECT_HOSTNAME:
        text = hostname;
        break;
    case RV_SELECT_REGION:
        text = region;
        break;
    case RV_SELECT_ZONE:
        text = zone;
        break;
    case RV_SELECT_ATTRIBUTE:
        /* Of several attributes with one name the first counts. */
        for (size_t i = 0; attributes && i < attributes->n; i++) {
            const struct rv_attribute *a = &attributes->v[i];
            if (rv_streq(a->name, c->attribute))
                return (struct subject){true, a->type == RV_TEXT ? a->text : NULL};
        }
        break;
    }
    return (struct subject){text != NULL, text};
}

/* An attribute that is there but no text passes every predicate on texts, positive and negative:
 * what the master cannot judge it leaves to the scheduler. */
static bool holds(const struct rv_constraint *c, struct subject s) {
    bool other = s.there && !s.text;
    switch (c->predicate) {
    case RV_PREDICATE_EXISTS:
        return s.there;
    case RV_PREDICATE_NOT_EXISTS:
        return !s.there;
    case RV_PREDICATE_TEXT_EQUALS:
        return other || (s.there && rv_streq(s.text, c->text));
    case RV_PREDICATE_TEXT_NOT_EQUALS:
        return other || !s.there || !rv_streq(s.text, c->text);
    case RV_PREDICATE_TEXT_MATCHES:
        return other || (s.there && rv_regex_matches_all(c->regex, s.text));
    case RV_PREDICATE_TEXT_NOT_MATCHES:
        return other || !s.there || !rv_regex_matches_all(c->regex, s.text);
    case RV_PREDICATE_MAX:
        break;
    }
    RV_UNREACHABLE();
}

bool rv_offer_constraints_match(const struct rv_offer_constraints *c, const char *role,
                                const struct rv_attributes *attributes, const char *hostname,
                                const char *region, const char *zone) {
    const struct rv_role_constraints *of_role = NULL;
    for (size_t i = 0; c && !of_role && i < c->n; i++)
        if (rv_streq(c->v[i].role, role))
            of_role = &c->v[i];
    if (!of_role)
        return true;
    for (size_t i = 0; i < of_role->n; i++) {
        const struct rv_constraint_group *group = &of_role->groups[i];
        bool all = true;
        for (size_t j = 0; all && j < group->n; j++)
            all = holds(&group->v[j], subject_of(&group->v[j], attributes, hostname, region, zone));
        if (all)
            return true;
    }
    return false;
}
