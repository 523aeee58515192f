/* Operations on resources as conversions: what they keep as properties over random resources, what
 * they refuse and in which words, and what an agent has after it was started with other flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka needs those first */
#include <cmocka.h>

#include "model/operation.h"
#include "resources_gen.h"

#define _cleanup_resources_ _cleanup_(rv_resources_free)
#define _cleanup_conversion_ _cleanup_(rv_conversion_free)
#define CASES 2000

#define CHECK(seed, cond)                                                                          \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail_msg("seed %llu: %s", (unsigned long long)(seed), #cond);                          \
    } while (0)

static char role[] = "r", sub[] = "r/s", other[] = "q", disk[] = "disk", id[] = "v1", id2[] = "v2";

/* --- making resources --- */

static struct rv_blob *volume_blob(void) {
    return rv_blob_new("v", 1);
}

/* What varies among the disks of these stories. */
struct of {
    const char *id; /* NULL: no volume */
    char *role;     /* NULL: unreserved; "r/s" refines "r" */
    bool fixed;     /* reserved by the agent's flags */
    bool shared, bare /* no disk.volume */;
    int source_type;
    char *provider;
};

static void add_disk(struct rv_resources *to, int64_t amount, struct of of) {
    struct rv_reservation stack[] = {{.dynamic = !of.fixed, .role = of.role},
                                     {.dynamic = true, .role = of.role}};
    struct rv_disk d = {.persistence_id = (char *)(uintptr_t)of.id, .source_type = of.source_type};
    struct rv_kind k = {.name = disk,
                        .reservations = stack,
                        .n_reservations = of.role != NULL,
                        .shared = of.shared,
                        .provider_id = of.provider};
    struct rv_resource one = {.scalar = amount, .copies = 1};

    if (of.role && strchr(of.role, '/')) {
        stack[0].role = role;
        k.n_reservations = 2;
    }
    d.volume = of.id && !of.bare ? volume_blob() : NULL;
    d.source = of.source_type ? rv_blob_new("s", 1) : NULL;
    k.disk = of.id || of.source_type ? &d : NULL;
    one.kind = rv_kind_new(&k);
    rv_resources_add_one(to, &one);
    rv_resource_clear(&one);
    rv_blob_unref(d.volume);
    rv_blob_unref(d.source);
}

#define DISK(to, amount, ...) add_disk((to), (amount), (struct of){__VA_ARGS__})

static void add_text(struct rv_resources *to, const char *text) {
    _cleanup_resources_ struct rv_resources r = {0};
    struct rv_error err;

    assert_int_equal(rv_resources_parse(text, NULL, &r, &err), 0);
    rv_resources_add(to, &r);
}

static void assert_refused(struct rv_operation *op, const char *why) {
    _cleanup_conversion_ struct rv_conversion c = {0};
    struct rv_error err = {0};

    DISK(&c.consumed, 7, 0); /* stays as it is */
    if (rv_operation_conversion(op, &c, &err) != -RV_ERR_INVALID || !strstr(err.message, why))
        fail_msg("expected '%s', got '%s'", why, err.message);
    assert_int_equal(rv_resources_quantity(&c.consumed, "disk"), 7);
    rv_operation_free(op);
}

static struct rv_conversion conversion_of(const struct rv_operation *op) {
    struct rv_conversion c = {0};
    struct rv_error err = {0};

    if (rv_operation_conversion(op, &c, &err))
        fail_msg("%s", err.message);
    return c;
}

/* --- laws --- */

/* Whether a generated one can be reserved once more, below what it is reserved for. */
static bool can_be_reserved(const struct rv_kind *k) {
    return !k->revocable && !k->provider_id && !rv_kind_is_volume(k) && k->n_reservations < 3;
}

static struct rv_kind *reserved_once_more(struct gen *g, const struct rv_kind *k) {
    char *const roles[] = {role, sub, (char[]){"r/s/t"}};
    struct rv_reservation stack[3] = {0};
    struct rv_kind template = *k, *made;

    for (size_t i = 0; i < k->n_reservations; i++)
        stack[i] = k->reservations[i];
    stack[k->n_reservations] = (struct rv_reservation){.dynamic = true,
                                                       .role = roles[k->n_reservations],
                                                       .principal = gen_below(g, 2) ? id : NULL};
    template.reservations = stack;
    template.n_reservations++;
    made = rv_kind_new(&template);
    return made;
}

static struct rv_resources reservable(struct gen *g) {
    _cleanup_resources_ struct rv_resources all = gen_resources(g);
    struct rv_resources r = {0};

    for (size_t i = 0; i < all.n; i++)
        if (can_be_reserved(all.v[i].kind))
            rv_resources_add_one(&r, &all.v[i]);
    return r;
}

static void reserve_all(struct gen *g, const struct rv_resources *r, struct rv_operation *op) {
    op->type = RV_OP_RESERVE;
    for (size_t i = 0; i < r->n; i++) {
        struct rv_resource one = rv_resource_copy(&r->v[i]);

        rv_kind_unref(one.kind);
        one.kind = reserved_once_more(g, r->v[i].kind);
        rv_resources_add_one(&op->resources, &one);
        rv_resource_clear(&one);
    }
}

struct same {
    const struct rv_resources *other;
    bool holds;
};

static void same_quantity(void *ctx, const char *name, int64_t quantity) {
    struct same *same = ctx;

    if (rv_resources_quantity(same->other, name) != quantity)
        same->holds = false;
}

static bool same_quantities(const struct rv_resources *a, const struct rv_resources *b) {
    struct same ab = {b, true}, ba = {a, true};

    rv_resources_quantities(a, same_quantity, &ab);
    rv_resources_quantities(b, same_quantity, &ba);
    return ab.holds && ba.holds;
}

/* What is applied and then undone by the operation that undoes it is what it was (INV-26, INV-27:
 * nothing comes to be, and nothing gets lost). */
static void check_there_and_back(uint64_t seed, const struct rv_operation *there,
                                 const struct rv_operation *back, const struct rv_resources *r) {
    _cleanup_conversion_ struct rv_conversion c = conversion_of(there), d = conversion_of(back);
    _cleanup_resources_ struct rv_resources now = {0};

    CHECK(seed, same_quantities(&c.consumed, &c.converted));
    CHECK(seed, rv_resources_eq(&c.consumed, &d.converted));
    CHECK(seed, rv_resources_eq(&c.converted, &d.consumed));
    rv_resources_copy(&now, r);
    CHECK(seed, rv_conversion_apply(&c, &now));
    CHECK(seed, same_quantities(&now, r) && rv_resources_contains(&now, &c.converted));
    CHECK(seed, rv_conversion_apply(&d, &now));
    CHECK(seed, rv_resources_eq(&now, r));
}

static void test_reserve_and_unreserve_keep_quantities(void **state) {
    size_t n = 0;

    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct gen g = {.parity = -1};
        struct rv_operation op = {0}, back = {.type = RV_OP_UNRESERVE};

        rv_prng_seed(&g.prng, seed);
        _cleanup_resources_ struct rv_resources r = reservable(&g);
        reserve_all(&g, &r, &op);
        rv_resources_copy(&back.resources, &op.resources);
        _cleanup_resources_ struct rv_resources twice = {0};
        rv_resources_copy(&twice, &r);
        rv_resources_add(&twice, &r);
        /* Names that are of two types are refused, which is not the subject here. */
        if (!rv_resources_empty(&r) && !rv_resources_validate(&op.resources, NULL)) {
            check_there_and_back(seed, &op, &back, &twice);
            n++;
        }
        rv_operation_free(&op);
        rv_operation_free(&back);
    }
    assert_true(n > CASES / 2);
}

/* The same for volumes: each is made of its disk and nothing else. */
static void test_create_and_destroy_keep_quantities(void **state) {
    size_t n = 0;

    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct rv_operation op = {.type = RV_OP_CREATE}, back = {.type = RV_OP_DESTROY};
        char *const roles[] = {role, sub, other};
        const char *const ids[] = {id, id2};
        _cleanup_resources_ struct rv_resources r = {0};
        struct gen g = {.parity = -1};

        rv_prng_seed(&g.prng, seed);
        for (size_t i = 0, count = 1 + gen_below(&g, 3); i < count; i++) {
            struct of of = {
                .role = roles[i], .source_type = (int)gen_below(&g, 3), .fixed = gen_below(&g, 2)};
            int64_t amount = 1 + (int64_t)gen_below(&g, 3);

            add_disk(&r, amount, of);
            if (gen_below(&g, 2)) /* more than is taken */
                add_disk(&r, amount, of);
            of.id = ids[gen_below(&g, 2)];
            of.shared = gen_below(&g, 2);
            add_disk(&op.resources, amount, of);
            n++;
        }
        rv_resources_copy(&back.resources, &op.resources);
        check_there_and_back(seed, &op, &back, &r);
        rv_operation_free(&op);
        rv_operation_free(&back);
    }
    assert_true(n > CASES);
}

static void test_grow_and_shrink_keep_quantities(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct rv_operation op = {.type = RV_OP_GROW_VOLUME}, back = {.type = RV_OP_SHRINK_VOLUME};
        _cleanup_resources_ struct rv_resources r = {0};
        struct gen g = {.parity = -1};

        rv_prng_seed(&g.prng, seed);
        struct of of = {.role = gen_below(&g, 2) ? role : sub,
                        .source_type = (int)gen_below(&g, 2)};
        int64_t size = 1 + (int64_t)gen_below(&g, 100), more = 1 + (int64_t)gen_below(&g, 100);
        add_disk(&op.source, more, of);
        add_disk(&r, more + (int64_t)gen_below(&g, 3), of);
        of.id = id;
        add_disk(&op.resources, size, of);
        add_disk(&r, size, of);
        add_disk(&back.resources, size + more, of);
        back.subtract = more;
        check_there_and_back(seed, &op, &back, &r);
        rv_operation_free(&op);
        rv_operation_free(&back);
    }
}

/* False, and nothing changed, if some of what is consumed is not there. */
static void test_what_is_not_there_cannot_be_converted(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct gen g = {.parity = -1};
        struct rv_operation op = {0};

        rv_prng_seed(&g.prng, seed);
        _cleanup_resources_ struct rv_resources r = reservable(&g), less = {0}, before = {0};
        reserve_all(&g, &r, &op);
        if (!rv_resources_empty(&r) && !rv_resources_validate(&op.resources, NULL)) {
            _cleanup_conversion_ struct rv_conversion c = conversion_of(&op);

            rv_resources_copy(&less, &r);
            rv_resources_subtract_one(&less, &r.v[gen_below(&g, r.n)]);
            rv_resources_copy(&before, &less);
            CHECK(seed, !rv_conversion_apply(&c, &less));
            CHECK(seed, rv_resources_eq(&less, &before));
        }
        rv_operation_free(&op);
    }
}

/* What operations made of an agent's resources comes again when it is started again. */
static void test_made_is_made_again(void **state) {
    size_t n = 0;

    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct gen g = {.parity = -1};
        struct rv_operation op = {0};
        struct rv_error err;

        rv_prng_seed(&g.prng, seed);
        _cleanup_resources_ struct rv_resources own = reservable(&g), r = {0}, made = {0};
        for (size_t i = 0; i < own.n; i++) { /* what an agent can have by its flags */
            const struct rv_kind *k = own.v[i].kind;
            if (k->n_reservations < 1 || (k->n_reservations == 1 && !k->reservations[0].dynamic))
                rv_resources_add_one(&r, &own.v[i]);
        }
        reserve_all(&g, &r, &op);
        if (!rv_resources_empty(&r) && !rv_resources_validate(&op.resources, NULL)) {
            _cleanup_conversion_ struct rv_conversion c = conversion_of(&op);
            _cleanup_resources_ struct rv_resources total = {0}, again = {0};

            rv_resources_copy(&total, &r);
            rv_resources_add(&total, &r);
            rv_resources_copy(&again, &total);
            CHECK(seed, rv_conversion_apply(&c, &total));
            rv_resources_made(&made, &total);
            CHECK(seed, rv_resources_eq(&made, &c.converted));
            CHECK(seed, rv_resources_make(&again, &made, &err) == 0);
            CHECK(seed, rv_resources_eq(&again, &total));
            n++;
        }
        rv_operation_free(&op);
    }
    assert_true(n > CASES / 4);
}

/* --- examples --- */

static void assert_text(const struct rv_resources *r, const char *text) {
    _cleanup_(rv_buf_free) struct rv_buf b = {0};

    rv_buf_puts(&b, "");
    rv_resources_format(r, &b);
    assert_string_equal(b.data, text);
}

static void test_volumes_of_a_mount_disk_are_whole(void **state) {
    struct rv_operation op = {.type = RV_OP_CREATE};
    _cleanup_resources_ struct rv_resources r = {0};

    (void)state;
    DISK(&op.resources, 50, .id = id, .role = role, .source_type = 2);
    _cleanup_conversion_ struct rv_conversion c = conversion_of(&op);
    DISK(&r, 100, .role = role, .source_type = 2);
    assert_false(rv_conversion_apply(&c, &r));
    DISK(&r, 50, .role = role, .source_type = 2);
    assert_true(rv_conversion_apply(&c, &r));
    rv_operation_free(&op);
}

/* From one role to another at once, without a moment in which anybody could take it. */
static void test_reservations_move_with_a_source(void **state) {
    struct rv_operation op = {.type = RV_OP_RESERVE};
    _cleanup_resources_ struct rv_resources r = {0};

    (void)state;
    DISK(&op.source, 3000, .role = role);
    DISK(&op.resources, 3000, .role = other);
    _cleanup_conversion_ struct rv_conversion c = conversion_of(&op);
    DISK(&r, 5000, .role = role);
    assert_true(rv_conversion_apply(&c, &r));
    assert_text(&r, "disk(q,):3; disk(r,):2");
    rv_operation_free(&op);
    op.type = RV_OP_RESERVE;
    DISK(&op.source, 3000, .role = role);
    DISK(&op.resources, 2000, .role = other);
    assert_refused(&op, "same amounts");
    op.type = RV_OP_RESERVE;
    DISK(&op.source, 1000, .role = role);
    DISK(&op.source, 1000, .role = other);
    DISK(&op.resources, 2000, .role = sub);
    assert_refused(&op, "in one way");
    op.type = RV_OP_RESERVE;
    DISK(&op.source, 2000, .role = sub);
    DISK(&op.resources, 1000, .role = role);
    DISK(&op.resources, 1000, .role = other);
    assert_refused(&op, "in one way");
    op.type = RV_OP_RESERVE;
    DISK(&op.source, 1000, .id = id, .role = role);
    DISK(&op.resources, 1000, .role = other);
    assert_refused(&op, "a volume cannot be reserved");
}

static void test_allocation_roles_stay(void **state) {
    struct rv_operation op = {.type = RV_OP_CREATE};

    (void)state;
    DISK(&op.resources, 1000, .id = id, .role = role);
    rv_resources_allocate(&op.resources, role);
    _cleanup_conversion_ struct rv_conversion c = conversion_of(&op);
    assert_string_equal(c.consumed.v[0].kind->allocation_role, role);
    rv_conversion_allocate(&c, NULL);
    assert_null(c.consumed.v[0].kind->allocation_role);
    assert_null(c.converted.v[0].kind->allocation_role);
    rv_conversion_allocate(&c, other);
    assert_string_equal(c.converted.v[0].kind->allocation_role, other);
    rv_operation_free(&op);
}

static void test_which_operations_convert(void **state) {
    (void)state;
    for (int type = 0; type < RV_OP_MAX; type++)
        assert_int_equal(rv_operation_converts((enum rv_operation_type)type),
                         type == RV_OP_RESERVE || type == RV_OP_UNRESERVE || type == RV_OP_CREATE ||
                             type == RV_OP_DESTROY || type == RV_OP_GROW_VOLUME ||
                             type == RV_OP_SHRINK_VOLUME);
}

/* --- refusals --- */

#define REFUSED(why, op_type, amount, ...)                                                         \
    do {                                                                                           \
        struct rv_operation op_ = {.type = RV_OP_##op_type};                                       \
        DISK(&op_.resources, amount, __VA_ARGS__);                                                 \
        assert_refused(&op_, why);                                                                 \
    } while (0)

static void test_refusals_in_words(void **state) {
    struct rv_operation op = {.type = RV_OP_RESERVE};

    (void)state;
    assert_refused(&op, "no resources are named");
    op = (struct rv_operation){.type = RV_OP_RESERVE, .problem = rv_strdup("as the wire says")};
    assert_refused(&op, "as the wire says");
    REFUSED("must be DYNAMIC", RESERVE, 1, 0);
    REFUSED("must be DYNAMIC", RESERVE, 1, .role = role, .fixed = true);
    REFUSED("a volume cannot be reserved", RESERVE, 1, .role = role, .id = id);
    REFUSED("nothing can be reserved for the role '*'", RESERVE, 1, .role = (char[]){"*"});
    REFUSED("resource providers are not supported", RESERVE, 1, .role = role, .provider = id);
    REFUSED("not reserved dynamically", UNRESERVE, 1, 0);
    REFUSED("not reserved dynamically", UNRESERVE, 1, .role = role, .fixed = true);
    REFUSED("is not supported", CREATE_DISK, 1, 0);
    REFUSED("is not supported", DESTROY_DISK, 1, 0);
    REFUSED("is not supported", LAUNCH, 1, 0);
}

/* INV-31: what a volume is made of is not unreserved. */
static void test_inv31_a_volume_is_not_unreserved(void **state) {
    (void)state;
    REFUSED("must be destroyed before", UNRESERVE, 1, .role = role, .id = id);
}

/* INV-32: on reserved disk only, with an id of its own. */
static void test_inv32_volumes_that_cannot_be(void **state) {
    struct rv_operation op = {.type = RV_OP_CREATE};

    (void)state;
    REFUSED("is not a persistent volume", CREATE, 1, .role = role);
    REFUSED("is not a persistent volume", DESTROY, 1, .role = role);
    REFUSED("must be on reserved disk", CREATE, 1, .id = id);
    REFUSED("must have 'disk.volume'", CREATE, 1, .role = role, .id = id, .bare = true);
    REFUSED("'/'", CREATE, 1, .role = role, .id = "a/b");
    REFUSED("'.' or '..'", CREATE, 1, .role = role, .id = "..");
    DISK(&op.resources, 1, .role = role, .id = id);
    DISK(&op.resources, 2, .role = role, .id = id);
    assert_refused(&op, "have the same id");
    op.type = RV_OP_CREATE;
    DISK(&op.resources, 1, .role = role, .id = id, .shared = true);
    DISK(&op.resources, 1, .role = role, .id = id, .shared = true);
    assert_refused(&op, "named twice");
    op.type = RV_OP_CREATE; /* of two roles they may be the same */
    DISK(&op.resources, 1, .role = role, .id = id);
    DISK(&op.resources, 1, .role = other, .id = id);
    _cleanup_conversion_ struct rv_conversion c = conversion_of(&op);
    assert_int_equal(c.converted.n, 2);
    rv_operation_free(&op);
}

static void grow(struct rv_operation *op, struct of volume, struct of addition) {
    *op = (struct rv_operation){.type = RV_OP_GROW_VOLUME};
    add_disk(&op->resources, 10, volume);
    add_disk(&op->source, 5, addition);
}

static void test_resizing_that_cannot_be(void **state) {
    struct of volume = {.role = role, .id = id}, plain = {.role = role};
    struct rv_operation op;

    (void)state;
    grow(&op, plain, plain);
    assert_refused(&op, "is not a persistent volume");
    grow(&op, volume, (struct of){.role = other});
    assert_refused(&op, "what is added");
    grow(&op, volume, (struct of){.role = role, .source_type = 1});
    assert_refused(&op, "what is added");
    grow(&op, volume, plain);
    rv_resources_free(&op.source);
    assert_refused(&op, "what is added");
    grow(&op, volume, plain);
    add_text(&op.source, "mem(r):5");
    assert_refused(&op, "what is added");
    grow(&op, volume, plain);
    DISK(&op.resources, 10, .role = role, .id = id2);
    assert_refused(&op, "one volume must be named");
    volume.shared = true;
    grow(&op, volume, plain);
    assert_refused(&op, "a shared volume cannot be resized");
    volume = (struct of){.role = role, .id = id, .source_type = 2};
    plain.source_type = 2;
    grow(&op, volume, plain);
    assert_refused(&op, "what is added");
    for (int64_t subtract = -1; subtract <= 10; subtract += subtract == 0 ? 10 : 1) {
        op = (struct rv_operation){.type = RV_OP_SHRINK_VOLUME, .subtract = subtract};
        DISK(&op.resources, 10, .role = role, .id = id);
        assert_refused(&op, "more than nothing and less than all");
    }
    op = (struct rv_operation){.type = RV_OP_SHRINK_VOLUME, .subtract = 5};
    add_disk(&op.resources, 10, volume);
    assert_refused(&op, "a whole disk cannot shrink");
}

/* --- after a start with other flags --- */

static void test_made_of_less_is_refused(void **state) {
    _cleanup_resources_ struct rv_resources total = {0}, made = {0}, before = {0};
    struct rv_error err;

    (void)state;
    add_text(&total, "cpus:4;disk:50;disk(r):20");
    DISK(&made, 30000, .role = other, .id = id);
    DISK(&made, 10000, .role = sub, .fixed = true);
    DISK(&made, 5000, .role = role, .fixed = true, .id = id);
    assert_int_equal(rv_resources_make(&total, &made, &err), 0);
    assert_int_equal(rv_resources_quantity(&total, "disk"), 70000);
    rv_resources_made(&before, &total);
    assert_true(rv_resources_eq(&before, &made));
    rv_resources_free(&total);
    add_text(&total, "cpus:4;disk:29;disk(r):20");
    rv_resources_copy(&before, &total);
    assert_int_equal(rv_resources_make(&total, &made, &err), -RV_ERR_INVALID);
    assert_non_null(strstr(err.message, "disk(q,)[v1"));
    assert_true(rv_resources_eq(&total, &before));
    rv_resources_free(&made);
    assert_int_equal(rv_resources_make(&total, &made, &err), 0);
    assert_true(rv_resources_eq(&total, &before));
}

/* --- folders --- */

static void test_where_volumes_lie(void **state) {
    _cleanup_resources_ struct rv_resources r = {0};
    _cleanup_(rv_buf_free) struct rv_buf path = {0};

    (void)state;
    DISK(&r, 1, .role = sub, .id = id);
    rv_buf_puts(&path, "="); /* appends */
    rv_volume_directory("/var/lib/reeve", r.v[0].kind, &path);
    assert_string_equal(path.data, "=/var/lib/reeve/volumes/roles/r s/v1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reserve_and_unreserve_keep_quantities),
        cmocka_unit_test(test_create_and_destroy_keep_quantities),
        cmocka_unit_test(test_grow_and_shrink_keep_quantities),
        cmocka_unit_test(test_what_is_not_there_cannot_be_converted),
        cmocka_unit_test(test_made_is_made_again),
        cmocka_unit_test(test_volumes_of_a_mount_disk_are_whole),
        cmocka_unit_test(test_reservations_move_with_a_source),
        cmocka_unit_test(test_allocation_roles_stay),
        cmocka_unit_test(test_which_operations_convert),
        cmocka_unit_test(test_refusals_in_words),
        cmocka_unit_test(test_inv31_a_volume_is_not_unreserved),
        cmocka_unit_test(test_inv32_volumes_that_cannot_be),
        cmocka_unit_test(test_resizing_that_cannot_be),
        cmocka_unit_test(test_made_of_less_is_refused),
        cmocka_unit_test(test_where_volumes_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
