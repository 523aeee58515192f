/* The laws of the resource algebra as properties over random resources, and its edges by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka needs those first */
#include <cmocka.h>

#include "base/fixed.h"
#include "model/attributes.h"
#include "model/ids.h"
#include "model/resources.h"
#include "resources_gen.h"

#define _cleanup_resources_ _cleanup_(rv_resources_free)
#define _cleanup_buf_ _cleanup_(rv_buf_free)
#define CASES 3000

static struct rv_resources parsed(const char *text) {
    struct rv_resources r = {0};
    struct rv_error err = {0};
    if (rv_resources_parse(text, NULL, &r, &err) != 0) {
        fail_msg("%s: %s", text, err.message);
    }
    return r;
}

static void assert_text(const struct rv_resources *r, const char *text) {
    _cleanup_buf_ struct rv_buf b = {0};
    rv_buf_puts(&b, "");
    rv_resources_format(r, &b);
    assert_string_equal(b.data, text);
}

/* Sorted, no empty amounts, equal kinds once unless indivisible, lists normal. */
static bool well_formed(const struct rv_resources *r) {
    for (size_t i = 0; i < r->n; i++) {
        const struct rv_resource *one = &r->v[i];
        if (rv_resource_is_empty(one) || (!one->kind->shared && one->copies != 1)) {
            return false;
        }
        if (one->kind->type == RV_RANGES) {
            for (size_t j = 1; j < one->ranges.n; j++) {
                if (one->ranges.v[j].begin <= one->ranges.v[j - 1].end + 1) {
                    return false;
                }
            }
        }
        if (i == 0) {
            continue;
        }
        int order = rv_kind_compare(r->v[i - 1].kind, one->kind);
        bool whole = one->kind->shared || rv_kind_is_indivisible(one->kind);
        if (order > 0 || (order == 0 && (!whole || r->v[i - 1].scalar > one->scalar))) {
            return false;
        }
    }
    return true;
}

#define CHECK(seed, cond)                                                                          \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fail_msg("seed %llu: %s", (unsigned long long)(seed), #cond);                          \
        }                                                                                          \
    } while (0)

static struct gen gen_of(uint64_t seed, int parity) {
    struct gen g = {.parity = parity};
    rv_prng_seed(&g.prng, seed * 4 + (uint64_t)(parity + 1));
    return g;
}

static struct rv_resources sum(const struct rv_resources *a, const struct rv_resources *b) {
    struct rv_resources out = {0};
    rv_resources_copy(&out, a);
    rv_resources_add(&out, b);
    return out;
}

static void test_addition_laws(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct gen g = gen_of(seed, -1);
        _cleanup_resources_ struct rv_resources a = gen_resources(&g), b = gen_resources(&g),
                                                c = gen_resources(&g);
        _cleanup_resources_ struct rv_resources ab = sum(&a, &b), ba = sum(&b, &a),
                                                bc = sum(&b, &c);
        _cleanup_resources_ struct rv_resources left = sum(&ab, &c), right = sum(&a, &bc);
        CHECK(seed, well_formed(&a) && well_formed(&ab) && well_formed(&left));
        CHECK(seed, rv_resources_eq(&ab, &ba));
        CHECK(seed, rv_resources_eq(&left, &right));
        CHECK(seed, rv_resources_contains(&ab, &a) && rv_resources_contains(&ab, &b));
        _cleanup_resources_ struct rv_resources twice = {0};
        rv_resources_copy(&twice, &a);
        rv_resources_add(&twice, &twice);
        _cleanup_resources_ struct rv_resources aa = sum(&a, &a);
        CHECK(seed, rv_resources_eq(&twice, &aa));
    }
}

/* With numbers and items of a and b apart, as they are when b was taken from the same agent. */
static void test_subtraction_undoes_addition(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct gen even = gen_of(seed, 0), odd = gen_of(seed, 1);
        _cleanup_resources_ struct rv_resources a = gen_resources(&even), b = gen_resources(&odd);
        _cleanup_resources_ struct rv_resources ab = sum(&a, &b);
        rv_resources_subtract(&ab, &b);
        CHECK(seed, well_formed(&ab));
        CHECK(seed, rv_resources_eq(&ab, &a));
        rv_resources_subtract(&ab, &a);
        CHECK(seed, rv_resources_empty(&ab));
    }
}

/* a contains b iff there is c with a = b + c; the only candidate for c is a - b. */
static void test_containment_is_complement(void **state) {
    (void)state;
    size_t contained = 0;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct gen g = gen_of(seed, -1);
        _cleanup_resources_ struct rv_resources a = gen_resources(&g), b = gen_resources(&g);
        if (seed % 3 == 0) { /* something that is often inside */
            for (size_t i = 0; i < a.n; i++) {
                if (gen_below(&g, 2)) {
                    rv_resources_add_one(&b, &a.v[i]);
                }
            }
        } else if (seed % 3 == 1) {
            rv_resources_free(&b);
            for (size_t i = 0; i < a.n; i++) {
                struct rv_resource part = rv_resource_copy(&a.v[i]);
                if (part.kind->type == RV_SCALAR && gen_below(&g, 2)) {
                    part.scalar += ((int64_t)gen_below(&g, 3) - 1) * 125;
                }
                rv_resources_add_one(&b, &part);
                rv_resource_clear(&part);
            }
        }
        _cleanup_resources_ struct rv_resources c = {0};
        rv_resources_copy(&c, &a);
        rv_resources_subtract(&c, &b);
        _cleanup_resources_ struct rv_resources again = sum(&b, &c);
        bool inside = rv_resources_contains(&a, &b);
        contained += inside;
        CHECK(seed, well_formed(&c));
        CHECK(seed, inside == rv_resources_eq(&a, &again));
    }
    assert_in_range(contained, CASES / 10, CASES * 9 / 10);
}

static bool is_reserved(const struct rv_kind *k, const void *ctx) {
    return rv_kind_is_reserved(k) == *(const bool *)ctx;
}

static void test_filters_partition(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < CASES / 3; seed++) {
        struct gen g = gen_of(seed, -1);
        _cleanup_resources_ struct rv_resources a = gen_resources(&g), yes = {0}, no = {0};
        bool wanted = true;
        rv_resources_filter(&yes, &a, is_reserved, &wanted);
        wanted = false;
        rv_resources_filter(&no, &a, is_reserved, &wanted);
        CHECK(seed, well_formed(&yes) && well_formed(&no));
        CHECK(seed, yes.n + no.n == a.n);
        _cleanup_resources_ struct rv_resources all = sum(&yes, &no);
        CHECK(seed, rv_resources_eq(&all, &a));
        rv_resources_filter(&a, &a, is_reserved, &wanted); /* onto itself */
        CHECK(seed, rv_resources_eq(&no, &a));
    }
}

static void test_order_is_total(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct gen g = gen_of(seed, -1);
        struct rv_kind *k[3] = {gen_kind(&g), gen_kind(&g), gen_kind(&g)};
        struct rv_kind *same = rv_kind_new(k[0]);
        CHECK(seed, same->hash == k[0]->hash && rv_kind_eq(same, k[0]));
        int ab = rv_kind_compare(k[0], k[1]), ba = rv_kind_compare(k[1], k[0]);
        CHECK(seed, (ab > 0) == (ba < 0) && (ab == 0) == (ba == 0));
        CHECK(seed, rv_kind_eq(k[0], k[1]) == (ab == 0));
        int bc = rv_kind_compare(k[1], k[2]), ac = rv_kind_compare(k[0], k[2]);
        CHECK(seed, !(ab <= 0 && bc <= 0) || ac <= 0);
        CHECK(seed, !(ab >= 0 && bc >= 0) || ac >= 0);
        rv_kind_unref(same);
        for (size_t i = 0; i < 3; i++) {
            rv_kind_unref(k[i]);
        }
    }
}

static void test_text_round_trip(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct gen g = gen_of(seed, -1);
        g.plain = true;
        _cleanup_resources_ struct rv_resources a = gen_resources(&g), back = {0};
        _cleanup_buf_ struct rv_buf b = {0};
        struct rv_error err = {0};
        rv_buf_puts(&b, "");
        rv_resources_format(&a, &b);
        CHECK(seed, rv_resources_parse(b.data, NULL, &back, &err) == 0);
        CHECK(seed, rv_resources_eq(&a, &back));
        CHECK(seed, rv_resources_validate(&a, &err) == 0);
    }
}

static void test_allocate(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < CASES / 3; seed++) {
        struct gen g = gen_of(seed, -1);
        _cleanup_resources_ struct rv_resources a = gen_resources(&g), free_ = {0}, used = {0};
        rv_resources_copy(&free_, &a);
        rv_resources_allocate(&free_, NULL);
        rv_resources_copy(&used, &a);
        rv_resources_allocate(&used, "z");
        CHECK(seed, well_formed(&free_) && well_formed(&used));
        for (size_t i = 0; i < used.n; i++) {
            CHECK(seed, rv_streq(used.v[i].kind->allocation_role, "z"));
            CHECK(seed, !free_.v[i].kind->allocation_role);
        }
        rv_resources_allocate(&used, NULL);
        CHECK(seed, rv_resources_eq(&used, &free_));
    }
}

/* Against a plain bitmap. */
static void test_ranges_against_bits(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct gen g = gen_of(seed, -1);
        struct rv_ranges a = gen_ranges(&g), b = gen_ranges(&g);
        uint8_t in_a[80] = {0}, in_b[80] = {0};
        for (size_t i = 0; i < a.n; i++) {
            memset(in_a + a.v[i].begin, 1, a.v[i].end - a.v[i].begin + 1);
        }
        for (size_t i = 0; i < b.n; i++) {
            memset(in_b + b.v[i].begin, 1, b.v[i].end - b.v[i].begin + 1);
        }
        bool contains = true;
        for (size_t i = 0; i < 80; i++) {
            contains = contains && (!in_b[i] || in_a[i]);
        }
        CHECK(seed, rv_ranges_contains(&a, &b) == contains);
        struct rv_ranges more, less;
        rv_ranges_copy(&more, &a);
        rv_ranges_add(&more, &b);
        rv_ranges_copy(&less, &a);
        rv_ranges_subtract(&less, &b);
        uint64_t n_more = 0, n_less = 0;
        for (uint64_t i = 0; i < 80; i++) {
            struct rv_range point = {i, i};
            struct rv_ranges one = {&point, 1};
            CHECK(seed, rv_ranges_contains(&more, &one) == (in_a[i] || in_b[i]));
            CHECK(seed, rv_ranges_contains(&less, &one) == (in_a[i] && !in_b[i]));
            n_more += in_a[i] || in_b[i];
            n_less += in_a[i] && !in_b[i];
        }
        CHECK(seed, rv_ranges_count(&more) == n_more && rv_ranges_count(&less) == n_less);
        rv_ranges_free(&a);
        rv_ranges_free(&b);
        rv_ranges_free(&more);
        rv_ranges_free(&less);
    }
}

static void test_ranges_at_the_ends(void **state) {
    (void)state;
    struct rv_range everything[] = {{0, UINT64_MAX}}, last[] = {{UINT64_MAX, UINT64_MAX}},
                    first[] = {{0, 0}};
    struct rv_ranges all, end = {last, 1}, begin = {first, 1}, whole = {everything, 1};
    rv_ranges_copy(&all, &whole);
    assert_true(rv_ranges_count(&all) == UINT64_MAX);
    rv_ranges_subtract(&all, &end);
    rv_ranges_subtract(&all, &begin);
    assert_int_equal(all.n, 1);
    assert_true(all.v[0].begin == 1 && all.v[0].end == UINT64_MAX - 1);
    rv_ranges_add(&all, &end);
    rv_ranges_add(&all, &begin);
    assert_true(rv_ranges_eq(&all, &whole));
    rv_ranges_subtract(&all, &whole);
    assert_int_equal(all.n, 0);
    assert_null(all.v);
}

/* A hundred thousand holes in a hundred thousand ranges: seconds if this were quadratic. */
static void test_ranges_many(void **state) {
    (void)state;
    enum { N = 100000 };
    struct rv_ranges a = {rv_malloc(N * sizeof *a.v), N}, b = {rv_malloc(N * sizeof *b.v), N};
    for (uint64_t i = 0; i < N; i++) {
        a.v[i] = (struct rv_range){i * 10, i * 10 + 7};
        b.v[i] = (struct rv_range){i * 10 + 3, i * 10 + 4};
    }
    assert_true(rv_ranges_contains(&a, &b));
    rv_ranges_subtract(&a, &b);
    assert_int_equal(a.n, 2 * N);
    rv_ranges_add(&a, &b);
    assert_int_equal(a.n, N);
    rv_ranges_free(&a);
    rv_ranges_free(&b);
}

static void test_examples(void **state) {
    (void)state;
    _cleanup_resources_ struct rv_resources a =
        parsed("cpus:24;gpus:2;mem:24576;disk:409600;ports:[21000-24000,30000-34000];"
               "bugs(debug_role):{a,b,c}");
    assert_text(&a, "bugs(debug_role):{a,b,c}; cpus:24; disk:409600; gpus:2; mem:24576; "
                    "ports:[21000-24000,30000-34000]");
    assert_true(rv_resources_quantity(&a, "ports") == (3001 + 4001) * 1000);
    assert_true(rv_resources_quantity(&a, "bugs") == 3000);
    assert_true(rv_resources_quantity(&a, "cpus") == 24000);
    assert_true(rv_resources_quantity(&a, "none") == 0);
    _cleanup_resources_ struct rv_resources b =
        parsed(" cpus ( role ) : 1.5 ;\tcpus(*):1e3; ports : [ 1 - 2 , 3-4 ];cpus:0.25; s:{ x , a "
               ",x};;none:0;empty:[];void:{}");
    assert_text(&b, "cpus:1000.25; cpus(role):1.5; ports:[1-4]; s:{a,x}");
    _cleanup_resources_ struct rv_resources c = {0};
    struct rv_error err;
    assert_int_equal(rv_resources_parse("cpus:1;mem(*):2;disk(b):3", "dflt", &c, &err), 0);
    assert_text(&c, "cpus(dflt):1; disk(b):3; mem:2");
    assert_int_equal(rv_resources_parse("", NULL, &c, &err), 0);
    assert_true(rv_resources_empty(&c));
}

static void test_text_errors(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"cpus:x", "resources: 'cpus:x' at byte 0: not a number; write name:4, name:[1-2] or "
                   "name:{a,b}"},
        {"mem:1; cpus", "'cpus' at byte 7: the ':' is missing"},
        {":4", "the name is missing"},
        {"(r):4", "the name is missing"},
        {"cpus:", "the value is missing"},
        {"cpus:-1", "cannot be negative"},
        {"cpus:nan", "not a number"},
        {"cpus:inf", "not a number"},
        {"cpus:0x10", "not a number"},
        {"cpus:1e308", "too large"},
        {"cpus:1e999", "too large"},
        {"cpus:10000000000000", "too large"},
        {"cpus:4:5", "not a number"},
        {"cpus(r:4", "the ')' behind the role is missing"},
        {"cpus(a b):4", "blanks"},
        {"cpus():4", "a role must not be empty"},
        {"cpus(r)x:4", "the ')' behind the role is missing"},
        {"ports:[1-18446744073709551616]", "18446744073709551615"},
        {"ports:[5-4]", "begins after its end"},
        {"ports:[5]", "needs a '-'"},
        {"ports:[1-2", "the ']'"},
        {"ports:[1-2,]", "needs a '-'"},
        {"ports:[-1-2]", "whole numbers"},
        {"ports:[0-18446744073709551615]", "too large"},
        {"s:{a", "the '}'"},
        {"s:{a,,b}", "empty"},
        {"cpus:1;cpus:[1-2]", "another type"},
        {"cpus:9000000000;cpus:9000000000", "the sum of all cpus is too large"},
        {"cpus:99999999999999999999999999999999999999999999999999999999999999999999999999",
         "too large"},
    };
    for (size_t i = 0; i < RV_COUNT(cases); i++) {
        _cleanup_resources_ struct rv_resources r = parsed("mem:1");
        struct rv_error err = {0};
        if (rv_resources_parse(cases[i].text, NULL, &r, &err) != -RV_ERR_INVALID) {
            fail_msg("%s was accepted", cases[i].text);
        }
        if (!strstr(err.message, cases[i].message)) {
            fail_msg("%s: %s", cases[i].text, err.message);
        }
        assert_text(&r, "mem:1"); /* untouched */
    }
}

static struct rv_resource volume(const char *id, bool shared, int64_t amount) {
    char name[] = "disk", role[] = "r";
    _cleanup_free_ char *own = rv_strdup(id);
    struct rv_disk disk = {.persistence_id = own};
    struct rv_reservation reservation = {.dynamic = true, .role = role};
    struct rv_kind k = {.name = name,
                        .reservations = &reservation,
                        .n_reservations = 1,
                        .disk = &disk,
                        .shared = shared};
    return (struct rv_resource){.kind = rv_kind_new(&k), .scalar = amount, .copies = 1};
}

static void test_shared_are_counted(void **state) {
    (void)state;
    struct rv_resource v = volume("v", true, 64000);
    _cleanup_resources_ struct rv_resources all = {0}, one = {0};
    rv_resources_add_one(&one, &v);
    rv_resources_add_one(&all, &v);
    rv_resources_add_one(&all, &v);
    assert_int_equal(all.n, 1);
    assert_int_equal(all.v[0].copies, 2);
    assert_true(rv_resources_quantity(&all, "disk") == 64000);
    assert_true(rv_resources_contains(&all, &one));
    assert_false(rv_resources_contains(&one, &all));
    rv_resources_subtract(&all, &one);
    assert_true(rv_resources_eq(&all, &one));
    rv_resources_subtract(&all, &one);
    assert_true(rv_resources_empty(&all));
    rv_resource_clear(&v);
}

static void test_indivisible(void **state) {
    (void)state;
    struct rv_resource big = volume("v", false, 64000), part = volume("v", false, 32000);
    _cleanup_resources_ struct rv_resources have = {0};
    rv_resources_add_one(&have, &big);
    assert_true(rv_resources_contains_one(&have, &big));
    assert_false(rv_resources_contains_one(&have, &part));
    rv_resources_subtract_one(&have, &part); /* not there: nothing happens */
    assert_true(rv_resources_contains_one(&have, &big));
    rv_resources_add_one(&have, &big);
    assert_int_equal(have.n, 2);
    assert_true(rv_resources_quantity(&have, "disk") == 128000);
    rv_resources_subtract_one(&have, &big);
    assert_int_equal(have.n, 1);
    rv_resource_clear(&big);
    rv_resource_clear(&part);
}

/* More than the scan of a few takes: the halving search must agree with it. */
static void test_many_kinds(void **state) {
    (void)state;
    _cleanup_buf_ struct rv_buf text = {0};
    for (unsigned i = 0; i < 300; i++) {
        rv_buf_printf(&text, "n%u(r%u):%u;n%u:1;", i * 7 % 30, i * 11 % 100, i + 1, i * 13 % 50);
    }
    _cleanup_resources_ struct rv_resources all = parsed(text.data), half = {0}, rest = {0};
    assert_true(well_formed(&all));
    assert_int_equal(all.n, 350);
    assert_true(rv_resources_quantity(&all, "n0") > 0);
    for (size_t i = 0; i < all.n; i += 2) {
        rv_resources_add_one(&half, &all.v[i]);
    }
    rv_resources_copy(&rest, &all);
    rv_resources_subtract(&rest, &half);
    assert_int_equal(rest.n, 175);
    assert_true(rv_resources_contains(&all, &half) && rv_resources_contains(&all, &rest));
    assert_false(rv_resources_contains(&half, &rest));
    rv_resources_add(&rest, &half);
    assert_true(well_formed(&rest));
    assert_true(rv_resources_eq(&rest, &all));
}

static void collect(void *ctx, const char *name, int64_t quantity) {
    rv_buf_printf(ctx, "%s=%lld ", name, (long long)quantity);
}

static void test_quantities(void **state) {
    (void)state;
    _cleanup_resources_ struct rv_resources a =
        parsed("mem:1;cpus(a):1;cpus(b):2;cpus:4;ports:[1-10]");
    _cleanup_buf_ struct rv_buf b = {0};
    rv_resources_quantities(&a, collect, &b);
    assert_string_equal(b.data, "cpus=7000 mem=1000 ports=10000 ");
    rv_resources_add_scalar(&a, "cpus", 500);
    rv_resources_add_scalar(&a, "mem", -1000);
    assert_text(&a, "cpus:4.5; cpus(a):1; cpus(b):2; ports:[1-10]");
}

static void assert_invalid(const struct rv_kind *template, int64_t scalar, const char *why) {
    struct rv_resource one = {.kind = rv_kind_new(template), .scalar = scalar, .copies = 1};
    struct rv_resources r = {&one, 1, 1};
    struct rv_error err = {0};
    int rc = rv_resources_validate(&r, &err);
    if ((why == NULL) != (rc == 0) || (why && !strstr(err.message, why))) {
        fail_msg("expected %s: %s", why ? why : "no error", err.message);
    }
    rv_resource_clear(&one);
}

static void test_validate(void **state) {
    (void)state;
    char cpus[] = "cpus", disk[] = "disk", gpus[] = "gpus", empty[] = "", a[] = "a", ab[] = "a/b",
         star[] = "*", bad[] = "a b", slash[] = "x/y", ac[] = "ac";
    struct rv_reservation stat[] = {{.role = a}, {.dynamic = true, .role = ab}};
    struct rv_disk volume_ = {.persistence_id = a}, bad_volume = {.persistence_id = slash};
    assert_invalid(&(struct rv_kind){.name = cpus}, 1, NULL);
    assert_invalid(&(struct rv_kind){.name = empty}, 1, "empty name");
    assert_invalid(&(struct rv_kind){.name = cpus}, -1, "negative");
    assert_invalid(&(struct rv_kind){.name = cpus}, RV_FIXED_MAX + 1, "too large");
    assert_invalid(&(struct rv_kind){.name = gpus}, 1500, "whole");
    assert_invalid(&(struct rv_kind){.name = cpus, .type = RV_RANGES}, 0, "scalar");
    assert_invalid(&(struct rv_kind){.name = a, .type = RV_TEXT}, 0, "a scalar, ranges or a set");
    assert_invalid(&(struct rv_kind){.name = cpus, .allocation_role = bad}, 1, "blanks");
    struct rv_kind k = {.name = cpus, .reservations = stat, .n_reservations = 2};
    assert_invalid(&k, 1, NULL);
    k.revocable = true;
    assert_invalid(&k, 1, "revocable");
    k.revocable = false;
    stat[1].dynamic = false;
    assert_invalid(&k, 1, "DYNAMIC");
    stat[1] = (struct rv_reservation){.dynamic = true, .role = a};
    assert_invalid(&k, 1, "below");
    stat[1].role = ac;
    assert_invalid(&k, 1, "below");
    stat[1].role = star;
    assert_invalid(&k, 1, "'*'");
    stat[1].role = bad;
    assert_invalid(&k, 1, "blanks");
    k = (struct rv_kind){.name = cpus, .disk = &volume_};
    assert_invalid(&k, 1, "only the resource 'disk'");
    k.name = disk;
    assert_invalid(&k, 1, "reserved disk");
    k.reservations = stat;
    k.n_reservations = 1;
    k.shared = true;
    assert_invalid(&k, 1, NULL);
    k.disk = &bad_volume;
    assert_invalid(&k, 1, "'/'");
    k.disk = NULL;
    assert_invalid(&k, 1, "shared");
}

static void test_attributes(void **state) {
    (void)state;
    _cleanup_(rv_attributes_free) struct rv_attributes a = {0}, b = {0}, c = {0};
    struct rv_error err = {0};
    _cleanup_buf_ struct rv_buf text = {0};
    assert_int_equal(rv_attributes_parse(" rack:r1; zone : a:b;level:3;temp:-4.5;ports:[1-2,3-4];"
                                         "s:{b,a};v:1.2.3;nan:nan;rack:r2;",
                                         &a, &err),
                     0);
    assert_int_equal(a.n, 9);
    rv_attributes_format(&a, &text);
    assert_string_equal(text.data, "rack:r1;zone:a:b;level:3;temp:-4.5;ports:[1-4];s:{a,b};"
                                   "v:1.2.3;nan:nan;rack:r2");
    assert_int_equal(a.v[2].type, RV_SCALAR);
    assert_int_equal(a.v[7].type, RV_TEXT);
    assert_int_equal(rv_attributes_parse(text.data, &b, &err), 0);
    assert_true(rv_attributes_eq(&a, &b));
    rv_attributes_copy(&c, &a);
    assert_true(rv_attributes_eq(&a, &c));
    assert_int_equal(rv_attributes_parse("rack:r1", &c, &err), 0);
    assert_false(rv_attributes_eq(&a, &c));
    static const char *const wrong[] = {"rack", ":a", "rack:", "n:1e308", "p:[2-1]", "s:{"};
    for (size_t i = 0; i < RV_COUNT(wrong); i++) {
        assert_int_equal(rv_attributes_parse(wrong[i], &c, &err), -RV_ERR_INVALID);
        assert_non_null(strstr(err.message, "at byte 0"));
    }
    assert_int_equal(c.n, 1);
}

static void test_ids_and_roles(void **state) {
    (void)state;
    char long_id[300];
    memset(long_id, 'x', sizeof long_id);
    long_id[256] = '\0';
    static const char *const bad_ids[] = {"", ".", "..", "a/b", "a b", "a\tb", "a\x7f"};
    for (size_t i = 0; i < RV_COUNT(bad_ids); i++) {
        assert_non_null(rv_id_problem(bad_ids[i]));
    }
    assert_non_null(rv_id_problem(NULL));
    assert_non_null(rv_id_problem(long_id));
    long_id[255] = '\0';
    assert_null(rv_id_problem(long_id));
    assert_null(rv_id_problem("a.b-c_1..2"));
    static const char *const bad_roles[] = {"",    "/",   "/a",   "a/",     "a//b", ".",
                                            "..",  "a/.", "a/..", "a/../b", "-a",   "a/-b",
                                            "a b", "a/*", "*/a",  "a\b",    "a\nb"};
    for (size_t i = 0; i < RV_COUNT(bad_roles); i++) {
        if (!rv_role_problem(bad_roles[i])) {
            fail_msg("role '%s' was accepted", bad_roles[i]);
        }
    }
    static const char *const good_roles[] = {"*", "a", "a/b/c", "a-b", "a.b", "...", "a*b"};
    for (size_t i = 0; i < RV_COUNT(good_roles); i++) {
        assert_null(rv_role_problem(good_roles[i]));
    }
    assert_true(rv_role_within("a/b", "a"));
    assert_true(rv_role_within("a", "a"));
    assert_false(rv_role_within("ab", "a"));
    assert_false(rv_role_within("a", "a/b"));
    assert_false(rv_role_within("a", "*"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addition_laws),
        cmocka_unit_test(test_subtraction_undoes_addition),
        cmocka_unit_test(test_containment_is_complement),
        cmocka_unit_test(test_filters_partition),
        cmocka_unit_test(test_order_is_total),
        cmocka_unit_test(test_text_round_trip),
        cmocka_unit_test(test_allocate),
        cmocka_unit_test(test_ranges_against_bits),
        cmocka_unit_test(test_ranges_at_the_ends),
        cmocka_unit_test(test_ranges_many),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_text_errors),
        cmocka_unit_test(test_shared_are_counted),
        cmocka_unit_test(test_indivisible),
        cmocka_unit_test(test_many_kinds),
        cmocka_unit_test(test_quantities),
        cmocka_unit_test(test_validate),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_ids_and_roles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
