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
    size_t n_list; /* of them made */
};

static void draft_free(struct draft *d) {
    for (size_t i = 0; i < d->n_list; i++) {
        rv_blob_unref(d->list[i].labels);
    }
    rv_blob_unref(d->one.labels);
    rv_blob_unref(d->disk.volume);
    rv_blob_unref(d->disk.source);
    free(d->list);
}

/* NULL if it is not set: the default is not distinguishable from unset but by its address. */
static char *given_role(const Reeve__V1__Resource *m) {
    return m->role == reeve__v1__resource__role__default_value ? NULL : m->role;
}

static int stack_from(const Reeve__V1__Resource *m, const struct place *at, struct draft *d) {
    d->list = rv_calloc(m->n_reservations, sizeof *d->list);
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
            return rv_error_set(at->err, RV_ERR_INVALID, "%.200s[%zu].reservations[%zu].%s: %s",
                                at->path, at->i, i, member, problem);
        }
        d->list[i] = (struct rv_reservation){
            .dynamic = r->type == REEVE__V1__RESOURCE__RESERVATION_INFO__TYPE__DYNAMIC,
            .role = r->role,
            .principal = r->principal,
            .labels = pack_labels(r->labels)};
        d->n_list = i + 1;
    }
    d->kind.reservations = d->list;
    d->kind.n_reservations = d->n_list;
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

static int classic_from(const Reeve__V1__Resource *m, char *default_role, const struct place *at,
                        struct draft *d) {
    char *role = given_role(m);
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
        d->one.role = role;
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

static int kind_from(const Reeve__V1__Resource *m, char *default_role, const struct place *at,
                     struct rv_kind **out) {
    _cleanup_(draft_free) struct draft d = {0};
    if (!*m->name) {
        return refuse(at, "name", "must not be empty");
    }
    d.kind.name = m->name;
    d.kind.type = (enum rv_value_type)m->type;
    d.kind.revocable = m->revocable != NULL;
    d.kind.shared = m->shared != NULL;
    d.kind.provider_id = m->provider_id ? m->provider_id->value : NULL;
    d.kind.allocation_role = m->allocation_info ? m->allocation_info->role : NULL;
    int r = m->n_reservations ? stack_from(m, at, &d) : classic_from(m, default_role, at, &d);
    if (r == 0 && m->disk) {
        r = disk_from(m->disk, at, &d);
    }
    if (r == 0) {
        *out = rv_kind_new(&d.kind);
    }
    return r;
}

static int resources_from(Reeve__V1__Resource *const *v, size_t n, const char *path,
                          char *default_role, struct rv_resources *out, struct rv_error *err) {
    _cleanup_(rv_resources_free) struct rv_resources sum = {0};
    if (n > RV_WIRE_RESOURCES_MAX) {
        return rv_error_set(err, RV_ERR_LIMIT, "%.200s: %zu resources are more than the %d allowed",
                            path, n, RV_WIRE_RESOURCES_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        struct place at = {path, i, err};
        struct rv_kind *kind = NULL;
        struct rv_resource one = {.copies = 1};
        int r = kind_from(v[i], default_role, &at, &kind);
        if (r != 0) {
            return r;
        }
        one.kind = kind;
        r = amount_from(v[i], &at, &one);
        if (r != 0) {
            rv_kind_unref(kind);
            return r;
        }
        rv_resources_add_one(&sum, &one);
        rv_resource_clear(&one);
    }
    for (size_t i = 0; i < sum.n; i++) {
        const struct rv_resource *one = &sum.v[i];
        if (one->kind->type == RV_SCALAR && one->scalar > RV_FIXED_MAX) {
            return rv_error_set(err, RV_ERR_INVALID, "%.200s: the sum of all '%.100s' is too large",
                                path, one->kind->name);
        }
    }
    rv_resources_move(out, &sum);
    return 0;
}

int rv_wire_resources_from(Reeve__V1__Resource *const *v, size_t n, const char *path,
                           struct rv_resources *out, struct rv_error *err) {
    return resources_from(v, n, path, NULL, out, err);
}

/* --- the flag --- */

static int check_flag(const struct rv_resources *r, struct rv_error *err) {
    for (size_t i = 0; i < r->n; i++) {
        const struct rv_kind *k = r->v[i].kind;
        const char *problem = NULL;
        if (k->allocation_role) {
            problem = "allocation_info cannot be given here";
        } else if (k->n_reservations && k->reservations[k->n_reservations - 1].dynamic) {
            problem = "a dynamic reservation cannot be given here: reserve it when the agent runs";
        } else if (rv_kind_is_volume(k)) {
            problem = "a persistent volume cannot be given here: create it when the agent runs";
        } else if (k->revocable) {
            problem = "a revocable resource cannot be given here";
        }
        if (problem) {
            return rv_error_set(err, RV_ERR_INVALID, "resources: '%.100s': %s", k->name, problem);
        }
    }
    int rc = rv_resources_validate(r, err);
    if (rc != 0) {
        rv_error_prefix(err, "resources");
    }
    return rc;
}

static int parse_json(const char *text, char *default_role, struct rv_resources *out,
                      struct rv_error *err) {
    /* The codec reads messages: the array is made the `resources` of one that has such a field. */
    _cleanup_(rv_arena_free) struct rv_arena arena;
    rv_arena_init(&arena);
    _cleanup_(rv_buf_free) struct rv_buf json = {0};
    rv_buf_puts(&json, "{\"resources\":");
    rv_buf_puts(&json, text);
    rv_buf_putc(&json, '}');
    ProtobufCMessage *m = NULL;
    int r = rv_wire_decode(&reeve__v1__offer__operation__reserve__descriptor, RV_ENC_JSON,
                           rv_buf_str(&json), NULL, &arena, &m, err);
    if (r != 0) {
        return r;
    }
    const Reeve__V1__Offer__Operation__Reserve *holder =
        (const Reeve__V1__Offer__Operation__Reserve *)(const void *)m;
    return resources_from(holder->resources, holder->n_resources, "resources", default_role, out,
                          err);
}

int rv_wire_resources_parse_flag(const char *text_or_json, const char *default_role,
                                 struct rv_resources *out, struct rv_error *err) {
    _cleanup_(rv_resources_free) struct rv_resources parsed = {0};
    const char *problem = default_role ? rv_role_problem(default_role) : NULL;
    if (problem) {
        return rv_error_set(err, RV_ERR_INVALID, "default role '%.100s': %s", default_role,
                            problem);
    }
    _cleanup_free_ char *role = rv_strdup(default_role);
    const char *start = text_or_json + strspn(text_or_json, " \t\r\n");
    int r = *start == '[' ? parse_json(start, role, &parsed, err)
                          : rv_resources_parse(text_or_json, role, &parsed, err);
    r = r ? r : check_flag(&parsed, err);
    if (r == 0) {
        rv_resources_move(out, &parsed);
    }
    return r;
}

/* --- out --- */

#define NEW_MESSAGE(arena, type, init)                                                             \
    ({                                                                                             \
        type *made_ = rv_arena_alloc((arena), sizeof(type));                                       \
        *made_ = (type)init;                                                                       \
        made_;                                                                                     \
    })

static Reeve__V1__Value__Scalar *scalar_to(int64_t scalar, struct rv_arena *arena) {
    Reeve__V1__Value__Scalar *m =
        NEW_MESSAGE(arena, Reeve__V1__Value__Scalar, REEVE__V1__VALUE__SCALAR__INIT);
    m->value = rv_fixed_to_double(scalar);
    return m;
}

static Reeve__V1__Value__Ranges *ranges_to(const struct rv_ranges *r, struct rv_arena *arena) {
    Reeve__V1__Value__Ranges *m =
        NEW_MESSAGE(arena, Reeve__V1__Value__Ranges, REEVE__V1__VALUE__RANGES__INIT);
    m->n_range = r->n;
    m->range = RV_ARENA_ARRAY(arena, Reeve__V1__Value__Range *, r->n);
    for (size_t i = 0; i < r->n; i++) {
        m->range[i] = NEW_MESSAGE(arena, Reeve__V1__Value__Range, REEVE__V1__VALUE__RANGE__INIT);
        m->range[i]->begin = r->v[i].begin;
        m->range[i]->end = r->v[i].end;
    }
    return m;
}

static Reeve__V1__Value__Set *set_to(const struct rv_set *s, struct rv_arena *arena) {
    Reeve__V1__Value__Set *m =
        NEW_MESSAGE(arena, Reeve__V1__Value__Set, REEVE__V1__VALUE__SET__INIT);
    m->n_item = s->n;
    m->item = s->v;
    return m;
}

static Reeve__V1__Labels *labels_to(const struct rv_blob *labels, struct rv_arena *arena) {
    return (Reeve__V1__Labels *)(void *)rv_wire_raw_blob(arena, labels);
}

static void reservations_to(const struct rv_kind *k, enum rv_resource_shape shape,
                            struct rv_arena *arena, Reeve__V1__Resource *m) {
    /* Not the default's own address: that would count as unset. */
    static char unreserved[] = "*";
    size_t n = k->n_reservations;
    if (shape != RV_SHAPE_REFINED && n <= 1) {
        const struct rv_reservation *r = n ? &k->reservations[0] : NULL;
        m->role = r ? r->role : unreserved;
        if (r && r->dynamic) {
            m->reservation = NEW_MESSAGE(arena, Reeve__V1__Resource__ReservationInfo,
                                         REEVE__V1__RESOURCE__RESERVATION_INFO__INIT);
            m->reservation->principal = r->principal;
            m->reservation->labels = labels_to(r->labels, arena);
        }
        if (shape == RV_SHAPE_CLASSIC) {
            return;
        }
    }
    m->n_reservations = n;
    m->reservations = n ? RV_ARENA_ARRAY(arena, Reeve__V1__Resource__ReservationInfo *, n) : NULL;
    for (size_t i = 0; i < n; i++) {
        const struct rv_reservation *r = &k->reservations[i];
        m->reservations[i] = NEW_MESSAGE(arena, Reeve__V1__Resource__ReservationInfo,
                                         REEVE__V1__RESOURCE__RESERVATION_INFO__INIT);
        m->reservations[i]->has_type = true;
        m->reservations[i]->type = r->dynamic ? REEVE__V1__RESOURCE__RESERVATION_INFO__TYPE__DYNAMIC
                                              : REEVE__V1__RESOURCE__RESERVATION_INFO__TYPE__STATIC;
        m->reservations[i]->role = r->role;
        m->reservations[i]->principal = r->principal;
        m->reservations[i]->labels = labels_to(r->labels, arena);
    }
}

static Reeve__V1__Resource__DiskInfo *disk_to(const struct rv_disk *disk, struct rv_arena *arena) {
    Reeve__V1__Resource__DiskInfo *m =
        NEW_MESSAGE(arena, Reeve__V1__Resource__DiskInfo, REEVE__V1__RESOURCE__DISK_INFO__INIT);
    if (disk->persistence_id) {
        m->persistence = NEW_MESSAGE(arena, Reeve__V1__Resource__DiskInfo__Persistence,
                                     REEVE__V1__RESOURCE__DISK_INFO__PERSISTENCE__INIT);
        m->persistence->id = disk->persistence_id;
        m->persistence->principal = disk->persistence_principal;
    }
    m->volume = (Reeve__V1__Volume *)(void *)rv_wire_raw_blob(arena, disk->volume);
    m->source =
        (Reeve__V1__Resource__DiskInfo__Source *)(void *)rv_wire_raw_blob(arena, disk->source);
    return m;
}

static Reeve__V1__Resource *resource_to(const struct rv_resource *r, enum rv_resource_shape shape,
                                        bool with_allocation, struct rv_arena *arena) {
    const struct rv_kind *k = r->kind;
    Reeve__V1__Resource *m = NEW_MESSAGE(arena, Reeve__V1__Resource, REEVE__V1__RESOURCE__INIT);
    m->name = k->name;
    m->type = (Reeve__V1__Value__Type)k->type;
    if (k->type == RV_SCALAR) {
        m->scalar = scalar_to(r->scalar, arena);
    } else if (k->type == RV_RANGES) {
        m->ranges = ranges_to(&r->ranges, arena);
    } else {
        m->set = set_to(&r->set, arena);
    }
    reservations_to(k, shape, arena, m);
    if (k->allocation_role && with_allocation) {
        m->allocation_info = NEW_MESSAGE(arena, Reeve__V1__Resource__AllocationInfo,
                                         REEVE__V1__RESOURCE__ALLOCATION_INFO__INIT);
        m->allocation_info->role = k->allocation_role;
    }
    if (k->disk) {
        m->disk = disk_to(k->disk, arena);
    }
    if (k->revocable) {
        m->revocable = NEW_MESSAGE(arena, Reeve__V1__Resource__RevocableInfo,
                                   REEVE__V1__RESOURCE__REVOCABLE_INFO__INIT);
    }
    if (k->shared) {
        m->shared = NEW_MESSAGE(arena, Reeve__V1__Resource__SharedInfo,
                                REEVE__V1__RESOURCE__SHARED_INFO__INIT);
    }
    if (k->provider_id) {
        m->provider_id = NEW_MESSAGE(arena, Reeve__V1__ResourceProviderID,
                                     REEVE__V1__RESOURCE_PROVIDER_ID__INIT);
        m->provider_id->value = k->provider_id;
    }
    return m;
}

void rv_wire_resources_to(const struct rv_resources *r, enum rv_resource_shape shape,
                          bool with_allocation, struct rv_arena *arena, Reeve__V1__Resource ***v,
                          size_t *n) {
    size_t total = 0;
    for (size_t i = 0; i < r->n; i++) {
        total += r->v[i].copies;
    }
    *n = total;
    *v = total ? RV_ARENA_ARRAY(arena, Reeve__V1__Resource *, total) : NULL;
    for (size_t i = 0, at = 0; i < r->n; i++) {
        Reeve__V1__Resource *m = resource_to(&r->v[i], shape, with_allocation, arena);
        for (uint32_t copy = 0; copy < r->v[i].copies; copy++) {
            (*v)[at++] = m;
        }
    }
}

/* --- attributes --- */

static int attribute_from(const Reeve__V1__Attribute *m, const struct place *at,
                          struct rv_attribute *out) {
    const char *problem = "required by the type", *field = "type";
    if (!*m->name) {
        return refuse(at, "name", "must not be empty");
    }
    out->type = (enum rv_value_type)m->type;
    switch (m->type) {
    case REEVE__V1__VALUE__TYPE__SCALAR:
        field = "scalar";
        problem = m->scalar ? scalar_problem(m->scalar->value, &out->scalar) : problem;
        break;
    case REEVE__V1__VALUE__TYPE__RANGES:
        field = "ranges";
        problem = m->ranges ? ranges_problem(m->ranges, false, &out->ranges) : problem;
        break;
    case REEVE__V1__VALUE__TYPE__SET:
        field = "set";
        if (m->set) {
            set_from(m->set, &out->set);
            problem = NULL;
        }
        break;
    case REEVE__V1__VALUE__TYPE__TEXT:
        field = "text";
        if (m->text) {
            out->text = rv_strdup(m->text->value);
            problem = NULL;
        }
        break;
    default:
        problem = "an attribute is SCALAR, RANGES, SET or TEXT";
        break;
    }
    if (problem) {
        return refuse(at, field, problem);
    }
    out->name = rv_strdup(m->name);
    return 0;
}

int rv_wire_attributes_from(Reeve__V1__Attribute *const *v, size_t n, const char *path,
                            struct rv_attributes *out, struct rv_error *err) {
    _cleanup_(rv_attributes_free) struct rv_attributes read = {0};
    for (size_t i = 0; i < n; i++) {
        struct place at = {path, i, err};
        struct rv_attribute one = {0};
        int r = attribute_from(v[i], &at, &one);
        if (r != 0) {
            return r;
        }
        rv_vec_push(&read, one);
    }
    rv_attributes_free(out);
    *out = read;
    read = (struct rv_attributes){0};
    return 0;
}

void rv_wire_attributes_to(const struct rv_attributes *a, struct rv_arena *arena,
                           Reeve__V1__Attribute ***v, size_t *n) {
    *n = a->n;
    *v = a->n ? RV_ARENA_ARRAY(arena, Reeve__V1__Attribute *, a->n) : NULL;
    for (size_t i = 0; i < a->n; i++) {
        const struct rv_attribute *one = &a->v[i];
        Reeve__V1__Attribute *m =
            NEW_MESSAGE(arena, Reeve__V1__Attribute, REEVE__V1__ATTRIBUTE__INIT);
        m->name = one->name;
        m->type = (Reeve__V1__Value__Type)one->type;
        switch (one->type) {
        case RV_SCALAR:
            m->scalar = scalar_to(one->scalar, arena);
            break;
        case RV_RANGES:
            m->ranges = ranges_to(&one->ranges, arena);
            break;
        case RV_SET:
            m->set = set_to(&one->set, arena);
            break;
        case RV_TEXT:
            m->text = NEW_MESSAGE(arena, Reeve__V1__Value__Text, REEVE__V1__VALUE__TEXT__INIT);
            m->text->value = one->text;
            break;
        }
        (*v)[i] = m;
    }
}
