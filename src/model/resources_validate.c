/*
 * Whether resources that came from outside make sense. The sentences go to the client as they are,
 * so each names the resource and what to mend. Linear but for the check of one name's types, which
 * relies on equal names standing together.
 */
#include "base/fixed.h"
#include "model/ids.h"
#include "model/resources.h"

static int refuse(struct rv_error *err, const struct rv_kind *k, const char *why) {
    return rv_error_set(err, RV_ERR_INVALID, "resource '%.100s': %s", k->name, why);
}

static const char *amount_problem(const struct rv_resource *r) {
    switch (r->kind->type) {
    case RV_SCALAR:
        if (r->scalar < 0) {
            return "the amount is negative";
        }
        if (r->scalar > RV_FIXED_MAX) {
            return "the amount is too large";
        }
        if (strcmp(r->kind->name, "gpus") == 0 && r->scalar % RV_FIXED_ONE != 0) {
            return "gpus come in whole numbers";
        }
        return NULL;
    case RV_RANGES:
        for (size_t i = 0; i < r->ranges.n; i++) {
            if (r->ranges.v[i].begin > r->ranges.v[i].end) {
                return "a range begins after its end";
            }
            if (i > 0 && r->ranges.v[i].begin <= r->ranges.v[i - 1].end) {
                return "ranges overlap or are not in order";
            }
        }
        if (rv_ranges_count(&r->ranges) > RV_RANGES_COUNT_MAX) {
            return "the ranges hold too many numbers";
        }
        return NULL;
    case RV_SET:
        for (size_t i = 1; i < r->set.n; i++) {
            if (strcmp(r->set.v[i - 1], r->set.v[i]) >= 0) {
                return "items of a set repeat or are not in order";
            }
        }
        return NULL;
    case RV_TEXT:
        break;
    }
    return "a resource is a scalar, ranges or a set";
}

static const char *type_problem(const struct rv_kind *k) {
    static const struct {
        const char *name;
        enum rv_value_type type;
        const char *problem;
    } known[] = {
        {"cpus", RV_SCALAR, "must be a scalar"}, {"mem", RV_SCALAR, "must be a scalar"},
        {"disk", RV_SCALAR, "must be a scalar"}, {"gpus", RV_SCALAR, "must be a scalar"},
        {"ports", RV_RANGES, "must be ranges"},
    };
    for (size_t i = 0; i < RV_COUNT(known); i++) {
        if (strcmp(known[i].name, k->name) == 0 && known[i].type != k->type) {
            return known[i].problem;
        }
    }
    return NULL;
}

static const char *role_problem(const struct rv_kind *k) {
    for (size_t i = 0; i < k->n_reservations; i++) {
        const struct rv_reservation *r = &k->reservations[i];
        const char *problem = rv_role_problem(r->role);
        if (problem) {
            return problem;
        }
        if (strcmp(r->role, "*") == 0) {
            return "nothing can be reserved for the role '*'";
        }
        if (i == 0) {
            continue;
        }
        const char *outer = k->reservations[i - 1].role;
        if (!r->dynamic) {
            return "a reservation that refines another must be DYNAMIC";
        }
        if (strcmp(r->role, outer) == 0 || !rv_role_within(r->role, outer)) {
            return "each reservation's role must lie below that of the one before";
        }
    }
    return k->allocation_role ? rv_role_problem(k->allocation_role) : NULL;
}

static const char *disk_problem(const struct rv_kind *k) {
    if (k->disk && strcmp(k->name, "disk") != 0) {
        return "only the resource 'disk' can have DiskInfo";
    }
    if (!rv_kind_is_volume(k)) {
        return k->shared ? "only persistent volumes can be shared" : NULL;
    }
    const char *problem = rv_id_problem(k->disk->persistence_id);
    if (problem) {
        return problem;
    }
    if (k->revocable) {
        return "a persistent volume cannot be revocable";
    }
    return k->n_reservations == 0 ? "a persistent volume must be on reserved disk" : NULL;
}

int rv_resources_validate(const struct rv_resources *r, struct rv_error *err) {
    for (size_t i = 0; i < r->n; i++) {
        const struct rv_kind *k = r->v[i].kind;
        if (!*k->name) {
            return rv_error_set(err, RV_ERR_INVALID, "a resource has an empty name");
        }
        const char *problem = type_problem(k);
        problem = problem ? problem : amount_problem(&r->v[i]);
        problem = problem ? problem : role_problem(k);
        problem = problem ? problem : disk_problem(k);
        if (!problem && k->revocable && k->n_reservations > 0) {
            problem = "a revocable resource cannot be reserved";
        }
        if (!problem && i > 0 && k->type != r->v[i - 1].kind->type &&
            strcmp(k->name, r->v[i - 1].kind->name) == 0) {
            problem = "the name is used with values of two types";
        }
        if (problem) {
            return refuse(err, k, problem);
        }
    }
    return 0;
}
