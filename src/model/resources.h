/*
 * The resource algebra: what agents have, offers hold and tasks use.
 *
 * A resource is a kind and an amount. The kind is everything that identifies it: name, type,
 * reservation stack, role it is allocated to, disk, revocable, shared, provider. Kinds are
 * immutable and shared by reference count, so that copying resources copies pointers; equal kinds
 * need not be the same pointer, but comparing pointers first makes the common case O(1).
 *
 * Amounts: scalars in thousandths (base/fixed.h), ranges of uint64 (sorted, disjoint, merged), sets
 * of strings (sorted, unique). In a rv_resources equal kinds stand once, sorted in the order of
 * rv_kind_compare, so equality is element-wise; a shared resource is counted instead of added
 * (copies). Nothing with an empty amount stays in.
 *
 * Laws, each a property test: a+b = b+a; (a+b)+c = a+(b+c); (a+b)-b = a; a contains b iff there is
 * c with a = b+c; filters partition; to text and back, to the wire and back in both role shapes.
 */
#ifndef RV_MODEL_RESOURCES_H
#define RV_MODEL_RESOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum rv_value_type { RV_SCALAR = 0, RV_RANGES = 1, RV_SET = 2, RV_TEXT = 3 };

struct rv_range {
    uint64_t begin, end; /* both inside */
};

struct rv_ranges {
    struct rv_range *v;
    size_t n;
};

/* The most numbers that the ranges of one resource may hold, so that sums of quantities fit. */
#define RV_RANGES_COUNT_MAX (INT64_MAX / 1000000 / 1000)

struct rv_set {
    char **v;
    size_t n;
};

struct rv_reservation {
    bool dynamic; /* else static */
    char *role;
    char *principal;        /* NULL: none */
    struct rv_blob *labels; /* packed Labels, NULL: none */
};

struct rv_disk {
    char *persistence_id;        /* NULL: no volume */
    char *persistence_principal; /* may be NULL; not part of the identity */
    struct rv_blob *volume;      /* packed Volume, NULL: none; not part of the identity */
    struct rv_blob *source;      /* packed DiskInfo.Source, NULL: the agent's default disk */
    int source_type; /* DiskInfo.Source.Type, 0: none. MOUNT (2), BLOCK, RAW: indivisible */
};

struct rv_kind {
    uint32_t refs;
    uint64_t hash; /* of everything that identifies, allocation role included */
    char *name;
    enum rv_value_type type;
    struct rv_reservation *reservations; /* the stack, outermost role first */
    size_t n_reservations;
    char *allocation_role; /* NULL: not allocated */
    struct rv_disk *disk;  /* NULL: none */
    bool revocable;
    bool shared;
    char *provider_id; /* NULL: the agent itself */
};

struct rv_resource {
    struct rv_kind *kind; /* a reference is owned */
    union {
        int64_t scalar; /* thousandths */
        struct rv_ranges ranges;
        struct rv_set set;
    };
    uint32_t copies; /* of a shared resource, else 1 */
};

/* Zero-initialised is empty. */
struct rv_resources {
    struct rv_resource *v;
    size_t n, cap;
};

/* --- kinds --- */
/* Makes a kind from a template on the caller's stack: strings and blobs are copied (blobs by
 * reference), the hash is computed; refs 1. */
struct rv_kind *rv_kind_new(const struct rv_kind *template);
struct rv_kind *rv_kind_ref(struct rv_kind *k);
void rv_kind_unref(struct rv_kind *k);
int rv_kind_compare(const struct rv_kind *a, const struct rv_kind *b); /* total order; 0: equal */
bool rv_kind_eq(const struct rv_kind *a, const struct rv_kind *b);
/* The role of the innermost (last) reservation; "*" if unreserved. */
const char *rv_kind_reserved_role(const struct rv_kind *k);
static inline bool rv_kind_is_reserved(const struct rv_kind *k) {
    return k->n_reservations > 0;
}
static inline bool rv_kind_is_volume(const struct rv_kind *k) {
    return k->disk && k->disk->persistence_id;
}
/* The same folder: a persistence id is unique for each role on an agent. */
bool rv_kind_is_same_volume(const struct rv_kind *a, const struct rv_kind *b);
/* Persistent volumes and MOUNT, BLOCK and RAW disks come whole or not at all: two of them never
 * become one bigger one, and no part of one can be taken. In a rv_resources each stands alone, in
 * the order of amounts if kinds are equal. */
static inline bool rv_kind_is_indivisible(const struct rv_kind *k) {
    return k->disk && (k->disk->persistence_id || k->disk->source_type >= 2);
}

/* --- one resource --- */
struct rv_resource rv_resource_copy(const struct rv_resource *r);
void rv_resource_clear(struct rv_resource *r);
bool rv_resource_is_empty(const struct rv_resource *r);

/* --- many --- */
void rv_resources_free(struct rv_resources *r); /* leaves it empty; for _cleanup_ */
void rv_resources_copy(struct rv_resources *out,
                       const struct rv_resources *r); /* out is replaced */
void rv_resources_move(struct rv_resources *out,
                       struct rv_resources *from); /* from becomes empty */
bool rv_resources_eq(const struct rv_resources *a, const struct rv_resources *b);
static inline bool rv_resources_empty(const struct rv_resources *r) {
    return r->n == 0;
}

void rv_resources_add(struct rv_resources *to, const struct rv_resources *r);
void rv_resources_add_one(struct rv_resources *to, const struct rv_resource *r);
/* Takes r away where it is there. What is not there is ignored: check with contains first where
 * that matters (RV_ASSERT in the cores). */
void rv_resources_subtract(struct rv_resources *from, const struct rv_resources *r);
void rv_resources_subtract_one(struct rv_resources *from, const struct rv_resource *r);
bool rv_resources_contains(const struct rv_resources *a, const struct rv_resources *b);
bool rv_resources_contains_one(const struct rv_resources *a, const struct rv_resource *b);

/* out (replaced) = those whose kind satisfies the predicate. */
void rv_resources_filter(struct rv_resources *out, const struct rv_resources *r,
                         bool (*keep)(const struct rv_kind *k, const void *ctx), const void *ctx);
/* Sets (role != NULL) or clears (NULL) the allocation role of all. */
void rv_resources_allocate(struct rv_resources *r, const char *role);
/* Sum of the scalars of that name, thousandths; for ranges and sets the count times 1000. Shared
 * ones count once. */
int64_t rv_resources_quantity(const struct rv_resources *r, const char *name);
/* Names in order, without repetition; calls back with each total as above. */
void rv_resources_quantities(const struct rv_resources *r,
                             void (*each)(void *ctx, const char *name, int64_t quantity),
                             void *ctx);
/* Removes / adds one plain (unreserved etc.) scalar, a convenience for tests and detection. */
void rv_resources_add_scalar(struct rv_resources *r, const char *name, int64_t thousandths);

/* What a framework's or an operator's input must satisfy: name not empty, type matches, amount not
 * negative, ranges well-formed and begin <= end, roles valid, reservation stack refines outermost
 * to innermost, static only first, no role "*" in a reservation, persistence only on reserved disk,
 * shared only on volumes, revocable not reserved or persistent. err names the resource. */
RV_MUST_USE int rv_resources_validate(const struct rv_resources *r, struct rv_error *err);

/* --- text: "cpus:4;mem:1024;ports:[31000-32000,40000-40010];disk(role):100;bugs:{a,b}" --- */
RV_MUST_USE int rv_resources_parse(const char *text, const char *default_role,
                                   struct rv_resources *out, struct rv_error *err);
/* Appends; "cpus:4;mem(role):1024;disk(role,principal)[id]:..." as the peer prints them in logs,
 * '; ' between. */
void rv_resources_format(const struct rv_resources *r, struct rv_buf *out);

/* --- ranges and sets, used by the above --- */
void rv_ranges_normalize(struct rv_ranges *r);
void rv_ranges_add(struct rv_ranges *to, const struct rv_ranges *r);
void rv_ranges_subtract(struct rv_ranges *from, const struct rv_ranges *r);
bool rv_ranges_contains(const struct rv_ranges *a, const struct rv_ranges *b);
uint64_t rv_ranges_count(const struct rv_ranges *r); /* saturates */
void rv_ranges_free(struct rv_ranges *r);
void rv_ranges_copy(struct rv_ranges *out, const struct rv_ranges *r); /* out is overwritten */
bool rv_ranges_eq(const struct rv_ranges *a, const struct rv_ranges *b);
void rv_ranges_format(const struct rv_ranges *r, struct rv_buf *out); /* "[1-2,5-9]" */

void rv_set_normalize(struct rv_set *s); /* sorts, frees repetitions */
void rv_set_add(struct rv_set *to, const struct rv_set *s);
void rv_set_subtract(struct rv_set *from, const struct rv_set *s);
bool rv_set_contains(const struct rv_set *a, const struct rv_set *b);
bool rv_set_eq(const struct rv_set *a, const struct rv_set *b);
void rv_set_copy(struct rv_set *out, const struct rv_set *s); /* out is overwritten */
void rv_set_free(struct rv_set *s);
void rv_set_format(const struct rv_set *s, struct rv_buf *out); /* "{a,b}" */

#endif
