/*
 * Resources and attributes between the wire and the model. Pure. In: everything is copied out of
 * the tree (kinds are made anew). Out: the tree borrows from the model. Linear but for sorting, and
 * the number of resources in an array is limited.
 */
#include "wire/resources_codec.h"

#include <stdlib.h>

#include "base/fixed.h"
#include "base/vec.h"
#include "model/ids.h"
#include "wire/codec.h"

/* Resource.role is deprecated on the wire and still what half of the clients speak. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* Where an error is: "accept.operations[0].reserve.resources" and the index in it. */
struct place {
    const char *path;
    size_t i;
    struct rv_error *err;
};

static int refuse(const struct place *at, const char *field, const char *why) {
    return rv_error_set(at->err, RV_ERR_INVALID, "%.200s[%zu].%s: %.200s", at->path, at->i, field,
                        why);
}

/* --- values in --- */

static const char *scalar_problem(double value, int64_t *out) {
    if (value != value) {
        return "not a number";
    }
    if (!rv_fixed_from_double(value, out) || *out > RV_FIXED_MAX || *out < -RV_FIXED_MAX) {
        return "too large";
    }
    return NULL;
}

/* strict: as a resource's, not an attribute's: disjoint, and few enough to be counted. */
static const char *ranges_problem(const Reeve__V1__Value__Ranges *m, bool strict,
                                  struct rv_ranges *out) {
    struct rv_ranges ranges = {m->n_range ? rv_malloc(m->n_range * sizeof *ranges.v) : NULL, 0};
    unsigned __int128 sum = 0;
    const char *problem = NULL;
    for (size_t i = 0; i < m->n_range && !problem; i++) {
        struct rv_range one = {m->range[i]->begin, m->range[i]->end};
        if (one.begin > one.end) {
            problem = "a range begins after its end";
        } else {
            ranges.v[ranges.n++] = one;
            sum += (unsigned __int128)(one.end - one.begin) + 1;
        }
    }
    if (!problem && strict) {
        rv_ranges_normalize(&ranges);
        if (sum > RV_RANGES_COUNT_MAX) {
            problem = "the ranges hold too many numbers";
        } else if (sum != rv_ranges_count(&ranges)) {
            problem = "ranges overlap";
        }
    }
    if (problem) {
        rv_ranges_free(&ranges);
        return problem;
    }
    rv_ranges_normalize(&ranges);
    *out = ranges;
    return NULL;
}

static void set_from(const Reeve__V1__Value__Set *m, struct rv_set *out) {
    out->n = m->n_item;
    out->v = m->n_item ? rv_malloc(m->n_item * sizeof *out->v) : NULL;
    for (size_t i = 0; i < m->n_item; i++) {
        out->v[i] = rv_strdup(m->item[i]);
    }
    rv_set_normalize(out);
}

/* One value that fits the type, and no other. On success the caller owns what is in `out`. */
static int amount_from(const Reeve__V1__Resource *m, const struct place *at,
                       struct rv_resource *out) {
    const char *problem;
    bool scalar = m->type == REEVE__V1__VALUE__TYPE__SCALAR;
    bool ranges = m->type == REEVE__V1__VALUE__TYPE__RANGES;
    bool set = m->type == REEVE__V1__VALUE__TYPE__SET;
    if (!scalar && !ranges && !set) {
        return refuse(at, "type", "a resource is SCALAR, RANGES or SET");
    }
    if (scalar != (m->scalar != NULL)) {
        return refuse(at, "scalar", scalar ? "required by the type" : "does not fit the type");
    }
    if (ranges != (m->ranges != NULL)) {
        return refuse(at, "ranges", ranges ? "required by the type" : "does not fit the type");
    }
    if (set != (m->set != NULL)) {
        return refuse(at, "set", set ? "required by the type" : "does not fit the type");
    }
    if (scalar) {
        double value = m->scalar->value;
        problem = value < 0 ? "negative" : scalar_problem(value, &out->scalar);
        if (!problem && value > 0 && out->scalar == 0) {
            problem = "less than a thousandth, and not zero";
        }
        return problem ? refuse(at, "scalar.value", problem) : 0;
    }
    if (ranges) {
        problem = ranges_problem(m->ranges, true, &out->ranges);
        return problem ? refuse(at, "ranges.range", problem) : 0;
    }
    set_from(m->set, &out->set);
    if (out->set.n != m->set->n_item) {
        rv_set_free(&out->set);
        return refuse(at, "set.item", "an item stands twice");
    }
    return 0;
}

/* --- kinds in --- */

static int compare_labels(const void *a, const void *b) {
    const Reeve__V1__Label *x = *(Reeve__V1__Label *const *)a, *y = *(Reeve__V1__Label *const *)b;
    int order = strcmp(x->key, y->key);
    if (order || !x->value || !y->value) {
        return order ? order : (x->value != NULL) - (y->value != NULL);
    }
    return strcmp(x->value, y->value);
}

/* Labels are equal in whatever order they stand, so they are kept in one. */
static struct rv_blob *pack_labels(const Reeve__V1__Labels *m) {
    if (!m) {
        return NULL;
    }
    if (m->n_labels < 2) {
        return rv_wire_pack(&m->base);
    }
    Reeve__V1__Labels sorted = *m;
    _cleanup_free_ Reeve__V1__Label **v = rv_memdup(m->labels, m->n_labels * sizeof *v);
    qsort(v, m->n_labels, sizeof *v, compare_labels);
    sorted.labels = v;
    return rv_wire_pack(&sorted.base);
}

/* What a template holds while a kind is made of it; strings are the tree's. */
struct draft {
    struct rv_kind kind;
    struct rv_disk disk;
    struct rv_reservation one; /* when the shape has no list */
    struct rv_reservation *list;
};

static void draft_free(struct draft *d) {
    for (size_t i = 0; i < d->kind.n_reservations; i++) {
        rv_blob_unref(d->kind.reservations[i].labels);
    }
    rv_blob_unref(d->disk.volume);
    rv_blob_unref(d->disk.source);
    free(d->list);
}

/* NULL if it is not set: the default is not distinguishable from unset but by its address. */
static char *given_role(const Reeve__V1__Resource *m) {
    return m->role == reeve__v1__resource__role__default_value ? NULL : m->role;
}

static int stack_from(const Reeve__V1__Resource *m, const struct place *at, struct draft *d) {
    char field[64];
    d->list = rv_calloc(m->n_reservations, sizeof *d->list);
    d->kind.reservations = d->list;
    for (size_t i = 0; i < m->n_reservations; i++) {
        const Reeve__V1__Resource__ReservationInfo *r = m->reservations[i];
        const char *problem = NULL, *member = "type";
        if (!r->has_type || (r->type != REEVE__V1__RESOURCE__RESERVATION_INFO__TYPE__STATIC &&
                             r->type != REEVE__V1__RESOURCE__RESERVATION_INFO__TYPE__DYNAMIC)) {
            problem = "must be STATIC or DYNAMIC";
        } else if (!r->role) {
            problem = "required";
            member = "role";
        }
        if (problem) {
            rv_buf_format_field(field, sizeof field, i, member);
            return refuse(at, field, problem);
        }
        d->list[i] = (struct rv_reservation){
            .dynamic = r->type == REEVE__V1__RESOURCE__RESERVATION_INFO__TYPE__DYNAMIC,
            .role = r->role,
            .principal = r->principal,
            .labels = pack_labels(r->labels)};
        d->kind.n_reservations = i + 1;
    }
    /* The endpoint shape says the innermost one again. "*" counts as not given. */
    const struct rv_reservation *last = &d->list[m->n_reservations - 1];
    const char *role = given_role(m);
    if (role && strcmp(role, "*") != 0 && strcmp(role, last->role) != 0) {
        return refuse(at, "role", "contradicts reservations");
    }
    if (m->reservation) {
        struct rv_blob *labels = pack_labels(m->reservation->labels);
        bool same = last->dynamic && rv_streq(last->principal, m->reservation->principal) &&
                    rv_blob_eq(last->labels, labels);
        rv_blob_unref(labels);
        if (!same) {
            return refuse(at, "reservation", "contradicts reservations");
        }
    }
    return 0;
}

static int classic_from(const Reeve__V1__Resource *m, const char *default_role,
                        const struct place *at, struct draft *d) {
    _cleanup_free_ char *unused = NULL;
    const char *role = given_role(m);
    role = role ? role : default_role;
    bool reserved = role && strcmp(role, "*") != 0;
    if (m->reservation) {
        if (m->reservation->has_type) {
            return refuse(at, "reservation.type", "belongs into reservations, not reservation");
        }
        if (m->reservation->role) {
            return refuse(at, "reservation.role", "belongs into role, beside reservation");
        }
        if (!reserved) {
            return refuse(at, "role", "required with reservation, and not '*'");
        }
        d->one.principal = m->reservation->principal;
        d->one.labels = pack_labels(m->reservation->labels);
    }
    if (reserved) {
        d->one.dynamic = m->reservation != NULL;
        d->one.role = d->role_copy = rv_strdup(role);
        d->kind.reservations = &d->one;
        d->kind.n_reservations = 1;
    }
    return 0;
}

static int disk_from(const Reeve__V1__Resource__DiskInfo *m, const struct place *at,
                     struct draft *d) {
    if (m->persistence) {
        d->disk.persistence_id = m->persistence->id;
        d->disk.persistence_principal = m->persistence->principal;
    }
    if (m->source) {
        if (m->source->type < REEVE__V1__RESOURCE__DISK_INFO__SOURCE__TYPE__PATH ||
            m->source->type > REEVE__V1__RESOURCE__DISK_INFO__SOURCE__TYPE__RAW) {
            return refuse(at, "disk.source.type", "must be PATH, MOUNT, BLOCK or RAW");
        }
        d->disk.source_type = (int)m->source->type;
        d->disk.source = rv_wire_pack(&m->source->base);
    }
    if (m->volume) {
        d->disk.volume = rv_wire_pack(&m->volume->base);
    }
    /* DiskInfo without a thing in it says nothing. */
    if (m->persistence || m->source || m->volume) {
        d->kind.disk = &d->disk;
    }
    return 0;
}
