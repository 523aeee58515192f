/*
 * The algebra of resources. A rv_resources is a small sorted vector: equal kinds stand once, but
 * for the indivisible ones, which never merge. It owns one reference to each kind, its ranges and
 * its sets. Everything here is a linear scan of a handful of elements; adding and taking away
 * scalars of a kind that is there allocates nothing, copying allocates the vector alone.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "model/resources.h"

/* --- one resource --- */

static bool same_amount(const struct rv_resource *a, const struct rv_resource *b) {
    switch (a->kind->type) {
    case RV_SCALAR:
        return a->scalar == b->scalar;
    case RV_RANGES:
        return rv_ranges_eq(&a->ranges, &b->ranges);
    case RV_SET:
        return rv_set_eq(&a->set, &b->set);
    case RV_TEXT:
        break;
    }
    return true;
}

/* The order of amounts of one kind; only for those that stand beside each other. */
static int compare_amounts(const struct rv_resource *a, const struct rv_resource *b) {
    if (a->kind->type == RV_SCALAR) {
        return a->scalar < b->scalar ? -1 : a->scalar > b->scalar;
    }
    if (a->kind->type == RV_RANGES) {
        for (size_t i = 0; i < a->ranges.n && i < b->ranges.n; i++) {
            struct rv_range x = a->ranges.v[i], y = b->ranges.v[i];
            if (x.begin != y.begin) {
                return x.begin < y.begin ? -1 : 1;
            }
            if (x.end != y.end) {
                return x.end < y.end ? -1 : 1;
            }
        }
        return a->ranges.n < b->ranges.n ? -1 : a->ranges.n > b->ranges.n;
    }
    if (a->kind->type == RV_SET) {
        for (size_t i = 0; i < a->set.n && i < b->set.n; i++) {
            int order = strcmp(a->set.v[i], b->set.v[i]);
            if (order) {
                return order;
            }
        }
        return a->set.n < b->set.n ? -1 : a->set.n > b->set.n;
    }
    return 0;
}

struct rv_resource rv_resource_copy(const struct rv_resource *r) {
    struct rv_resource copy = *r;
    rv_kind_ref(copy.kind);
    if (r->kind->type == RV_RANGES) {
        rv_ranges_copy(&copy.ranges, &r->ranges);
    } else if (r->kind->type == RV_SET) {
        rv_set_copy(&copy.set, &r->set);
    }
    return copy;
}

void rv_resource_clear(struct rv_resource *r) {
    if (!r->kind) {
        return;
    }
    if (r->kind->type == RV_RANGES) {
        rv_ranges_free(&r->ranges);
    } else if (r->kind->type == RV_SET) {
        rv_set_free(&r->set);
    }
    rv_kind_unref(r->kind);
    *r = (struct rv_resource){0};
}

bool rv_resource_is_empty(const struct rv_resource *r) {
    if (r->copies == 0) {
        return true;
    }
    switch (r->kind->type) {
    case RV_SCALAR:
        return r->scalar == 0;
    case RV_RANGES:
        return r->ranges.n == 0;
    case RV_SET:
        return r->set.n == 0;
    case RV_TEXT:
        break;
    }
    return true;
}

/* Whether amounts of this kind are told apart instead of summed: shared ones are counted,
 * indivisible ones listed. */
static bool is_whole(const struct rv_kind *k) {
    return k->shared || rv_kind_is_indivisible(k);
}

/* --- the vector --- */

void rv_resources_free(struct rv_resources *r) {
    for (size_t i = 0; i < r->n; i++) {
        rv_resource_clear(&r->v[i]);
    }
    free(r->v);
    *r = (struct rv_resources){0};
}

void rv_resources_copy(struct rv_resources *out, const struct rv_resources *r) {
    if (out == r) {
        return;
    }
    for (size_t i = 0; i < out->n; i++) {
        rv_resource_clear(&out->v[i]);
    }
    if (out->cap < r->n) {
        free(out->v);
        out->v = rv_malloc(r->n * sizeof *out->v);
        out->cap = r->n;
    }
    for (size_t i = 0; i < r->n; i++) {
        out->v[i] = rv_resource_copy(&r->v[i]);
    }
    out->n = r->n;
}

void rv_resources_move(struct rv_resources *out, struct rv_resources *from) {
    if (out == from) {
        return;
    }
    rv_resources_free(out);
    *out = *from;
    *from = (struct rv_resources){0};
}

bool rv_resources_eq(const struct rv_resources *a, const struct rv_resources *b) {
    if (a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (!rv_kind_eq(a->v[i].kind, b->v[i].kind) || a->v[i].copies != b->v[i].copies ||
            !same_amount(&a->v[i], &b->v[i])) {
            return false;
        }
    }
    return true;
}

/* Where elements stand: by kind, and whole ones of a kind by amount. */
static int compare_places(const struct rv_resource *a, const struct rv_resource *b) {
    int order = rv_kind_compare(a->kind, b->kind);
    return order || !is_whole(a->kind) ? order : compare_amounts(a, b);
}

/* The first element that does not stand before r. */
static size_t lower_bound(const struct rv_resources *in, const struct rv_resource *r) {
    size_t low = 0, high = in->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_places(&in->v[middle], r) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The first element equal to r in kind and, if the kind is a whole one, amount; n if none. Nearly
 * always the kind is the very same and there are few: pointers first. Halving only bounds the cost
 * of absurdly many. */
static size_t find(const struct rv_resources *in, const struct rv_resource *r) {
    bool whole = is_whole(r->kind);
    if (!whole && in->n <= 16) {
        for (size_t i = 0; i < in->n; i++) {
            if (in->v[i].kind == r->kind) {
                return i;
            }
        }
        for (size_t i = 0; i < in->n; i++) {
            if (in->v[i].kind->hash == r->kind->hash && rv_kind_eq(in->v[i].kind, r->kind)) {
                return i;
            }
        }
        return in->n;
    }
    size_t i = lower_bound(in, r);
    return i < in->n && compare_places(&in->v[i], r) == 0 ? i : in->n;
}

/* Takes over what r owns. */
static void insert(struct rv_resources *to, struct rv_resource r) {
    /* What comes in order, as from a copy or a filter, goes to the end at once. */
    bool last = to->n == 0 || compare_places(&to->v[to->n - 1], &r) <= 0;
    size_t at = last ? to->n : lower_bound(to, &r);
    if (to->n == to->cap) {
        to->cap = to->cap ? to->cap * 2 : 4;
        to->v = rv_realloc(to->v, to->cap * sizeof *to->v);
    }
    memmove(&to->v[at + 1], &to->v[at], (to->n - at) * sizeof *to->v);
    to->v[at] = r;
    to->n++;
}

static void remove_at(struct rv_resources *from, size_t i) {
    rv_resource_clear(&from->v[i]);
    memmove(&from->v[i], &from->v[i + 1], (from->n - i - 1) * sizeof *from->v);
    from->n--;
}

/* --- sums and differences --- */

void rv_resources_add_one(struct rv_resources *to, const struct rv_resource *r) {
    if (rv_resource_is_empty(r)) {
        return;
    }
    size_t i = rv_kind_is_indivisible(r->kind) && !r->kind->shared ? to->n : find(to, r);
    if (i == to->n) {
        insert(to, rv_resource_copy(r));
        return;
    }
    struct rv_resource *found = &to->v[i];
    if (r->kind->shared) {
        RV_ASSERT(!__builtin_add_overflow(found->copies, r->copies, &found->copies));
        return;
    }
    switch (r->kind->type) {
    case RV_SCALAR:
        RV_ASSERT(!__builtin_add_overflow(found->scalar, r->scalar, &found->scalar));
        break;
    case RV_RANGES:
        rv_ranges_add(&found->ranges, &r->ranges);
        break;
    case RV_SET:
        rv_set_add(&found->set, &r->set);
        break;
    case RV_TEXT:
        break;
    }
}

void rv_resources_add(struct rv_resources *to, const struct rv_resources *r) {
    if (to == r) {
        _cleanup_(rv_resources_free) struct rv_resources same = {0};
        rv_resources_copy(&same, r);
        rv_resources_add(to, &same);
        return;
    }
    for (size_t i = 0; i < r->n; i++) {
        rv_resources_add_one(to, &r->v[i]);
    }
}

void rv_resources_subtract_one(struct rv_resources *from, const struct rv_resource *r) {
    if (rv_resource_is_empty(r)) {
        return;
    }
    size_t i = find(from, r);
    if (i == from->n) {
        return;
    }
    struct rv_resource *found = &from->v[i];
    if (is_whole(r->kind)) {
        found->copies -= RV_MIN(found->copies, r->copies);
    } else if (r->kind->type == RV_SCALAR) {
        found->scalar -= RV_MIN(found->scalar, r->scalar);
    } else if (r->kind->type == RV_RANGES) {
        rv_ranges_subtract(&found->ranges, &r->ranges);
    } else if (r->kind->type == RV_SET) {
        rv_set_subtract(&found->set, &r->set);
    }
    if (rv_resource_is_empty(found)) {
        remove_at(from, i);
    }
}

void rv_resources_subtract(struct rv_resources *from, const struct rv_resources *r) {
    if (from == r) {
        rv_resources_free(from);
        return;
    }
    for (size_t i = 0; i < r->n; i++) {
        rv_resources_subtract_one(from, &r->v[i]);
    }
}

/* How many of a whole resource are there: copies of a shared one, else equal elements. */
static uint64_t count_whole(const struct rv_resources *in, const struct rv_resource *r) {
    uint64_t count = 0;
    for (size_t i = find(in, r); i < in->n && compare_places(&in->v[i], r) == 0; i++) {
        count += in->v[i].copies;
    }
    return count;
}

bool rv_resources_contains_one(const struct rv_resources *a, const struct rv_resource *b) {
    if (rv_resource_is_empty(b)) {
        return true;
    }
    if (is_whole(b->kind)) {
        return count_whole(a, b) >= b->copies;
    }
    size_t i = find(a, b);
    if (i == a->n) {
        return false;
    }
    switch (b->kind->type) {
    case RV_SCALAR:
        return a->v[i].scalar >= b->scalar;
    case RV_RANGES:
        return rv_ranges_contains(&a->v[i].ranges, &b->ranges);
    case RV_SET:
        return rv_set_contains(&a->v[i].set, &b->set);
    case RV_TEXT:
        break;
    }
    return false;
}

bool rv_resources_contains(const struct rv_resources *a, const struct rv_resources *b) {
    for (size_t i = 0; i < b->n; i++) {
        const struct rv_resource *r = &b->v[i];
        if (i > 0 && compare_places(&b->v[i - 1], r) == 0) {
            continue; /* counted with the first of its equals */
        }
        bool inside = is_whole(r->kind) ? count_whole(a, r) >= count_whole(b, r)
                                        : rv_resources_contains_one(a, r);
        if (!inside) {
            return false;
        }
    }
    return true;
}

/* --- by kind and by name --- */

void rv_resources_filter(struct rv_resources *out, const struct rv_resources *r,
                         bool (*keep)(const struct rv_kind *k, const void *ctx), const void *ctx) {
    struct rv_resources kept = {0};
    for (size_t i = 0; i < r->n; i++) {
        if (!keep(r->v[i].kind, ctx)) {
            continue;
        }
        if (kept.n == kept.cap) {
            /* Once: r->n - i is all that can still come. */
            kept.cap = r->n - i;
            kept.v = rv_malloc(kept.cap * sizeof *kept.v);
        }
        kept.v[kept.n++] = rv_resource_copy(&r->v[i]);
    }
    rv_resources_move(out, &kept);
}

void rv_resources_allocate(struct rv_resources *r, const char *role) {
    bool same = true;
    for (size_t i = 0; i < r->n && same; i++) {
        same = rv_streq(r->v[i].kind->allocation_role, role);
    }
    if (same) {
        return;
    }
    _cleanup_(rv_resources_free) struct rv_resources old = *r;
    *r = (struct rv_resources){.v = rv_malloc(old.n * sizeof *r->v), .cap = old.n};
    _cleanup_free_ char *own = rv_strdup(role); /* role may stand in one of the old kinds */
    for (size_t i = 0; i < old.n; i++) {
        struct rv_resource one = old.v[i];
        struct rv_kind changed = *one.kind;
        changed.allocation_role = own;
        one.kind = rv_kind_new(&changed);
        rv_resources_add_one(r, &one);
        rv_kind_unref(one.kind);
    }
}

static int64_t add_saturated(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int64_t quantity_of(const struct rv_resource *r) {
    uint64_t count;
    switch (r->kind->type) {
    case RV_SCALAR:
        return r->scalar;
    case RV_RANGES:
        count = rv_ranges_count(&r->ranges);
        break;
    case RV_SET:
        count = r->set.n;
        break;
    case RV_TEXT:
    default:
        return 0;
    }
    return count > INT64_MAX / 1000 ? INT64_MAX : (int64_t)(count * 1000);
}

int64_t rv_resources_quantity(const struct rv_resources *r, const char *name) {
    int64_t sum = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->v[i].kind->name, name) == 0) {
            sum = add_saturated(sum, quantity_of(&r->v[i]));
        }
    }
    return sum;
}

void rv_resources_quantities(const struct rv_resources *r,
                             void (*each)(void *ctx, const char *name, int64_t quantity),
                             void *ctx) {
    /* The name is the first key of the order, so equal names stand together. */
    for (size_t i = 0, next; i < r->n; i = next) {
        const char *name = r->v[i].kind->name;
        int64_t sum = 0;
        for (next = i; next < r->n && strcmp(r->v[next].kind->name, name) == 0; next++) {
            sum = add_saturated(sum, quantity_of(&r->v[next]));
        }
        each(ctx, name, sum);
    }
}

void rv_resources_add_scalar(struct rv_resources *r, const char *name, int64_t thousandths) {
    _cleanup_free_ char *own = rv_strdup(name);
    struct rv_kind template = {.name = own, .type = RV_SCALAR};
    struct rv_resource one = {.kind = rv_kind_new(&template), .copies = 1};
    if (thousandths < 0) {
        one.scalar = -thousandths;
        rv_resources_subtract_one(r, &one);
    } else {
        one.scalar = thousandths;
        rv_resources_add_one(r, &one);
    }
    rv_kind_unref(one.kind);
}
