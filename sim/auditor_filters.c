/*
 * The auditor's books of refusals: INV-28.
 *
 * What always holds: whatever may be a filter of the master is counted here, so that here no fewer
 * are counted of one framework, role and agent than the master has. It keeps at most eight of those
 * and then drops the one that ends first; this does the same, but earlier. So what is claimed here
 * is in force there. What may have ended early, or of which only the master knows what it refuses,
 * has no resources: it counts, and claims nothing.
 */
#include <stdlib.h>

#include "auditor_internal.h"

#define FILTERS_MAX 7

static void drop(struct sim_auditor *a, size_t i) {
    struct sim_audit_filter *f = &a->filters.v[i];

    rv_resources_free(&f->resources);
    free(f->framework_id);
    free(f->agent_id);
    free(f->role);
    rv_vec_remove_at(&a->filters, i);
}

static bool is_like(const struct sim_audit_filter *f, const char *framework_id, const char *role,
                    const char *agent_id) {
    return (!framework_id || rv_streq(f->framework_id, framework_id)) &&
           (!role || rv_streq(f->role, role)) && (!agent_id || rv_streq(f->agent_id, agent_id));
}

static void make_room(struct sim_auditor *a, const struct sim_audit_offer *o) {
    size_t n = 0, first = SIZE_MAX;

    for (size_t i = 0; i < a->filters.n; i++) {
        if (!is_like(&a->filters.v[i], o->framework_id, o->role, o->agent_id))
            continue;
        n++;
        if (first == SIZE_MAX || a->filters.v[i].until_ms < a->filters.v[first].until_ms)
            first = i;
    }
    if (n >= FILTERS_MAX)
        drop(a, first);
}

void sim_audit_filter_add(struct sim_auditor *a, const struct sim_audit_offer *o,
                          const struct rv_resources *refused, int64_t until_ms) {
    struct sim_audit_filter f = {
        rv_strdup(o->framework_id), rv_strdup(o->agent_id), rv_strdup(o->role), {0}, until_ms};

    if (refused)
        rv_resources_copy(&f.resources, refused);
    make_room(a, o);
    rv_vec_push(&a->filters, f);
}

void sim_audit_filters_doubt(struct sim_auditor *a, const char *framework_id, const char *role,
                             const char *agent_id) {
    for (size_t i = 0; i < a->filters.n; i++)
        if (is_like(&a->filters.v[i], framework_id, role, agent_id))
            rv_resources_free(&a->filters.v[i].resources);
}

void sim_audit_filters_drop(struct sim_auditor *a, const char *framework_id) {
    for (size_t i = a->filters.n; i > 0; i--)
        if (is_like(&a->filters.v[i - 1], framework_id, NULL, NULL))
            drop(a, i - 1);
}

void sim_audit_filters_check(struct sim_auditor *a, const struct sim_audit_offer *o) {
    for (size_t i = a->filters.n; i > 0; i--) {
        const struct sim_audit_filter *f = &a->filters.v[i - 1];

        if (f->until_ms <= a->world->now_ms)
            drop(a, i - 1);
        else if (is_like(f, o->framework_id, o->role, o->agent_id) &&
                 rv_resources_contains(&f->resources, &o->resources))
            sim_fail(a->world, "INV-28: framework %s was offered again what it declined until %lld",
                     o->framework_id, (long long)f->until_ms);
    }
}
