/* Which resources an operation takes, and which it makes of them. A walk over the handful that it
 * names; kinds that change are made anew. */
#include "model/operation.h"

#include <stdlib.h>

void rv_conversion_free(struct rv_conversion *c) {
    rv_resources_free(&c->consumed);
    rv_resources_free(&c->converted);
}

bool rv_operation_converts(enum rv_operation_type type) {
    return type == RV_OP_RESERVE || type == RV_OP_UNRESERVE || type == RV_OP_CREATE ||
           type == RV_OP_DESTROY || type == RV_OP_GROW_VOLUME || type == RV_OP_SHRINK_VOLUME;
}

/* --- kinds that differ in one thing --- */

/* With the first n of its reservations. */
static struct rv_kind *with_reservations(const struct rv_kind *k, size_t n) {
    struct rv_kind template = *k;

    template.n_reservations = n;
    return rv_kind_new(&template);
}

/* The disk that a volume is made of. */
static struct rv_kind *without_volume(const struct rv_kind *k) {
    struct rv_kind template = *k;
    struct rv_disk disk = *k->disk;

    disk.persistence_id = disk.persistence_principal = NULL;
    disk.volume = NULL;
    template.disk = disk.source ? &disk : NULL;
    template.shared = false;
    return rv_kind_new(&template);
}

static void add_as(struct rv_resources *to, const struct rv_resource *r, struct rv_kind *kind) {
    struct rv_resource copy = rv_resource_copy(r);

    rv_kind_unref(copy.kind);
    copy.kind = kind;
    copy.copies = 1;
    rv_resources_add_one(to, &copy);
    rv_resource_clear(&copy);
}

static void add_scalar_as(struct rv_resources *to, struct rv_kind *kind, int64_t scalar) {
    struct rv_resource r = {.kind = kind, .scalar = scalar, .copies = 1};

    rv_resources_add_one(to, &r);
    rv_resource_clear(&r);
}

static bool is_dynamic(const struct rv_kind *k) {
    return k->n_reservations > 0 && k->reservations[k->n_reservations - 1].dynamic;
}

/* What it is when what operations made of it is undone. */
static struct rv_kind *unmade(const struct rv_kind *k) {
    size_t n = k->n_reservations;
    struct rv_kind *plain = rv_kind_is_volume(k) ? without_volume(k) : rv_kind_new(k), *base;

    while (n > 0 && k->reservations[n - 1].dynamic)
        n--;
    base = with_reservations(plain, n);
    rv_kind_unref(plain);
    return base;
}

/* --- what each operation does --- */

static int refuse(struct rv_error *err, const struct rv_kind *k, const char *why) {
    return rv_error_set(err, RV_ERR_INVALID, "resource '%.100s': %s", k->name, why);
}

/* The same amounts, reserved in another way (or not at all). */
static bool same_amounts(const struct rv_resources *a, const struct rv_resources *b) {
    struct rv_resources x = {0}, y = {0};
    bool same;

    for (size_t i = 0; i < a->n; i++)
        add_as(&x, &a->v[i], with_reservations(a->v[i].kind, 0));
    for (size_t i = 0; i < b->n; i++)
        add_as(&y, &b->v[i], with_reservations(b->v[i].kind, 0));
    same = rv_resources_eq(&x, &y);
    rv_resources_free(&x);
    rv_resources_free(&y);
    return same;
}

/* Whether all of them are reserved in one way. */
static bool reserved_alike(const struct rv_resources *r) {
    bool alike = true;

    for (size_t i = 1; i < r->n && alike; i++) {
        struct rv_kind template = *r->v[i].kind, *as_first;

        template.reservations = r->v[0].kind->reservations;
        template.n_reservations = r->v[0].kind->n_reservations;
        as_first = rv_kind_new(&template);
        alike = rv_kind_eq(as_first, r->v[i].kind);
        rv_kind_unref(as_first);
    }
    return alike;
}

static int check_source(const struct rv_operation *op, struct rv_error *err) {
    int r = rv_resources_validate(&op->source, err);

    if (!r && !(reserved_alike(&op->source) && reserved_alike(&op->resources)))
        r = rv_error_set(err, RV_ERR_INVALID,
                         "all of 'source' must be reserved in one way, and so must 'resources'");

    for (size_t i = 0; i < op->source.n && !r; i++)
        if (rv_kind_is_volume(op->source.v[i].kind))
            r = refuse(err, op->source.v[i].kind, "a volume cannot be reserved");
    if (!r && !same_amounts(&op->source, &op->resources))
        r = rv_error_set(err, RV_ERR_INVALID,
                         "'source' and 'resources' must be the same amounts of the same resources");
    return r;
}

static int reserve(const struct rv_operation *op, struct rv_conversion *c, struct rv_error *err) {
    for (size_t i = 0; i < op->resources.n; i++) {
        const struct rv_kind *k = op->resources.v[i].kind;

        if (!is_dynamic(k))
            return refuse(err, k, "the reservation to be made must be DYNAMIC");
        if (rv_kind_is_volume(k))
            return refuse(err, k, "a volume cannot be reserved");
        if (!op->source.n)
            add_as(&c->consumed, &op->resources.v[i], with_reservations(k, k->n_reservations - 1));
    }
    rv_resources_copy(&c->converted, &op->resources);
    if (op->source.n)
        rv_resources_copy(&c->consumed, &op->source);
    return op->source.n ? check_source(op, err) : 0;
}

static int unreserve(const struct rv_operation *op, struct rv_conversion *c, struct rv_error *err) {
    for (size_t i = 0; i < op->resources.n; i++) {
        const struct rv_kind *k = op->resources.v[i].kind;

        if (!is_dynamic(k))
            return refuse(err, k, "is not reserved dynamically");
        if (rv_kind_is_volume(k))
            return refuse(err, k, "a volume must be destroyed before its disk can be unreserved");
        add_as(&c->converted, &op->resources.v[i], with_reservations(k, k->n_reservations - 1));
    }
    rv_resources_copy(&c->consumed, &op->resources);
    return 0;
}

/* CREATE makes them of their disk, DESTROY the reverse. */
static int volumes(const struct rv_operation *op, struct rv_resources *whole,
                   struct rv_resources *plain, struct rv_error *err) {
    for (size_t i = 0; i < op->resources.n; i++) {
        const struct rv_kind *k = op->resources.v[i].kind;

        if (!rv_kind_is_volume(k))
            return refuse(err, k, "is not a persistent volume");
        if (!k->disk->volume)
            return refuse(err, k, "a persistent volume must have 'disk.volume'");
        if (op->resources.v[i].copies != 1)
            return refuse(err, k, "a volume is named twice");
        for (size_t j = 0; j < i; j++)
            if (rv_kind_is_same_volume(k, op->resources.v[j].kind))
                return refuse(err, k, "two volumes of one role have the same id");
        add_as(plain, &op->resources.v[i], without_volume(k));
    }
    rv_resources_copy(whole, &op->resources);
    return 0;
}

static int check_resizable(const struct rv_operation *op, struct rv_error *err) {
    const struct rv_kind *k;

    if (op->resources.n != 1)
        return rv_error_set(err, RV_ERR_INVALID, "one volume must be named");
    k = op->resources.v[0].kind;
    if (!rv_kind_is_volume(k))
        return refuse(err, k, "is not a persistent volume");
    if (!k->disk->volume)
        return refuse(err, k, "a persistent volume must have 'disk.volume'");
    return k->shared ? refuse(err, k, "a shared volume cannot be resized") : 0;
}

static int grow(const struct rv_operation *op, struct rv_conversion *c, struct rv_error *err) {
    const struct rv_resource *volume = &op->resources.v[0];
    struct rv_kind *plain;
    bool fits;
    int r = check_resizable(op, err);

    if (!r)
        r = rv_resources_validate(&op->source, err);
    if (r)
        return r;
    plain = without_volume(volume->kind);
    fits = op->source.n == 1 && rv_kind_eq(op->source.v[0].kind, plain) &&
           !rv_kind_is_indivisible(plain);
    rv_kind_unref(plain);
    if (!fits)
        return refuse(err, volume->kind,
                      "what is added must be disk that is reserved as that of the volume is");
    rv_resources_add(&c->consumed, &op->resources);
    rv_resources_add(&c->consumed, &op->source);
    add_scalar_as(&c->converted, rv_kind_ref(volume->kind),
                  volume->scalar + op->source.v[0].scalar);
    return 0;
}

static int shrink(const struct rv_operation *op, struct rv_conversion *c, struct rv_error *err) {
    const struct rv_resource *volume = &op->resources.v[0];
    struct rv_kind *plain;
    int r = check_resizable(op, err);

    if (r)
        return r;
    if (op->subtract <= 0 || op->subtract >= volume->scalar)
        return refuse(err, volume->kind,
                      "what is taken from a volume must be more than nothing and less than all");
    plain = without_volume(volume->kind);
    if (rv_kind_is_indivisible(plain)) {
        rv_kind_unref(plain);
        return refuse(err, volume->kind, "a volume that is a whole disk cannot shrink");
    }
    rv_resources_add(&c->consumed, &op->resources);
    add_scalar_as(&c->converted, rv_kind_ref(volume->kind), volume->scalar - op->subtract);
    add_scalar_as(&c->converted, plain, op->subtract);
    return 0;
}

static int convert(const struct rv_operation *op, struct rv_conversion *c, struct rv_error *err) {
    int r;

    if (op->problem)
        return rv_error_set(err, RV_ERR_INVALID, "%s", op->problem);
    if (rv_resources_empty(&op->resources))
        return rv_error_set(err, RV_ERR_INVALID, "no resources are named");
    if ((r = rv_resources_validate(&op->resources, err)))
        return r;
    for (size_t i = 0; i < op->resources.n; i++)
        if (op->resources.v[i].kind->provider_id)
            return refuse(err, op->resources.v[i].kind, "resource providers are not supported");
    switch (op->type) {
    case RV_OP_RESERVE:
        return reserve(op, c, err);
    case RV_OP_UNRESERVE:
        return unreserve(op, c, err);
    case RV_OP_CREATE:
        return volumes(op, &c->converted, &c->consumed, err);
    case RV_OP_DESTROY:
        return volumes(op, &c->consumed, &c->converted, err);
    case RV_OP_GROW_VOLUME:
        return grow(op, c, err);
    case RV_OP_SHRINK_VOLUME:
        return shrink(op, c, err);
    default:
        return rv_error_set(err, RV_ERR_INVALID, "the operation %s is not supported",
                            rv_operation_type_name((int)op->type));
    }
}

int rv_operation_conversion(const struct rv_operation *op, struct rv_conversion *out,
                            struct rv_error *err) {
    struct rv_conversion c = {0};
    int r = convert(op, &c, err);

    if (r) {
        rv_conversion_free(&c);
        return r;
    }
    rv_conversion_free(out);
    *out = c;
    return 0;
}

bool rv_conversion_apply(const struct rv_conversion *c, struct rv_resources *r) {
    if (!rv_resources_contains(r, &c->consumed))
        return false;
    rv_resources_subtract(r, &c->consumed);
    rv_resources_add(r, &c->converted);
    return true;
}

void rv_conversion_allocate(struct rv_conversion *c, const char *role) {
    rv_resources_allocate(&c->consumed, role);
    rv_resources_allocate(&c->converted, role);
}

/* --- what an agent has --- */

static bool is_made(const struct rv_kind *k, const void *ctx) {
    (void)ctx;
    return is_dynamic(k) || rv_kind_is_volume(k);
}

void rv_resources_made(struct rv_resources *out, const struct rv_resources *r) {
    rv_resources_filter(out, r, is_made, NULL);
}

int rv_resources_make(struct rv_resources *total, const struct rv_resources *made,
                      struct rv_error *err) {
    struct rv_conversion c = {0};
    struct rv_buf text = {0};
    int r = 0;

    for (size_t i = 0; i < made->n; i++)
        add_as(&c.consumed, &made->v[i], unmade(made->v[i].kind));
    rv_resources_copy(&c.converted, made);
    if (!rv_conversion_apply(&c, total)) {
        rv_resources_format(made, &text);
        r = rv_error_set(err, RV_ERR_INVALID, "it has not got what was made of it: %s", text.data);
    }
    rv_buf_free(&text);
    rv_conversion_free(&c);
    return r;
}

void rv_volume_directory(const char *work_dir, const struct rv_kind *volume, struct rv_buf *out) {
    rv_buf_printf(out, "%s/volumes/roles/", work_dir);
    for (const char *role = rv_kind_reserved_role(volume); *role; role++)
        rv_buf_putc(out, *role == '/' ? ' ' : *role);
    rv_buf_printf(out, "/%s", volume->disk->persistence_id);
}
