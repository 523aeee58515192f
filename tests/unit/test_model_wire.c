/*
 * The model against the wire: enum tables equal the generated ones, and resources and attributes
 * survive both encodings in every shape.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka needs those first */
#include <cmocka.h>

#include "model/enums.h"
#include "reeve/v1/allocator.pb-c.h"
#include "reeve/v1/executor.pb-c.h"
#include "reeve/v1/scheduler.pb-c.h"
#include "resources_gen.h"
#include "wire/codec.h"
#include "wire/resources_codec.h"

#define _cleanup_resources_ _cleanup_(rv_resources_free)
#define _cleanup_buf_ _cleanup_(rv_buf_free)

/* --- enums --- */

struct entry {
    const char *name;
    int number;
};

static void same_enum(const ProtobufCEnumDescriptor *type, const struct entry *v, size_t n,
                      const char *(*name_of)(int number)) {
    if (type->n_values != n) {
        fail_msg("%s has %u values, our table %zu", type->name, type->n_values, n);
    }
    for (size_t i = 0; i < n; i++) {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value_by_name(type, v[i].name);
        if (!value) {
            fail_msg("%s has no %s", type->name, v[i].name);
        }
        assert_int_equal(value->value, v[i].number);
        if (name_of) {
            assert_string_equal(name_of(v[i].number), v[i].name);
        }
    }
    if (name_of) {
        assert_string_equal(name_of(-1000), "?");
        assert_string_equal(name_of(1000), "?");
    }
}

#define SAME(table, prefix, type, name_of)                                                         \
    do {                                                                                           \
        static const struct entry entries[] = {table(prefix)};                                     \
        same_enum(&reeve__v1__##type##__descriptor, entries, RV_COUNT(entries), name_of);          \
    } while (0)
#define PLAIN(name, number) {#name, number},
#define TASK(name, number) {"TASK_" #name, number},
#define REASON(name, number) {"REASON_" #name, number},
#define SOURCE(name, number) {"SOURCE_" #name, number},
#define OPERATION(name, number) {"OPERATION_" #name, number},

static void test_enums(void **state) {
    (void)state;
    SAME(RV_TASK_STATES, TASK, task_state, rv_task_state_name);
    SAME(RV_TASK_REASONS, REASON, task_status__reason, rv_reason_name);
    SAME(RV_TASK_SOURCES, SOURCE, task_status__source, rv_source_name);
    SAME(RV_OPERATION_STATES, OPERATION, operation_state, rv_operation_state_name);
    SAME(RV_OPERATION_TYPES, PLAIN, offer__operation__type, rv_operation_type_name);
    SAME(RV_DRAIN_STATES, PLAIN, drain_state, NULL);
    SAME(RV_MACHINE_MODES, PLAIN, machine_info__mode, NULL);
    SAME(RV_INVERSE_ANSWERS, PLAIN, allocator__inverse_offer_status__status, NULL);
    SAME(RV_FRAMEWORK_CAPABILITIES, PLAIN, framework_info__capability__type, NULL);
    SAME(RV_AGENT_CAPABILITIES, PLAIN, agent_info__capability__type, NULL);
    SAME(RV_SCHEDULER_CALLS, PLAIN, scheduler__call__type, NULL);
    SAME(RV_SCHEDULER_EVENTS, PLAIN, scheduler__event__type, NULL);
    SAME(RV_EXECUTOR_CALLS, PLAIN, executor__call__type, NULL);
    SAME(RV_EXECUTOR_EVENTS, PLAIN, executor__event__type, NULL);
}

static void test_value_types(void **state) {
    (void)state;
    assert_int_equal((int)RV_SCALAR, (int)REEVE__V1__VALUE__TYPE__SCALAR);
    assert_int_equal((int)RV_RANGES, (int)REEVE__V1__VALUE__TYPE__RANGES);
    assert_int_equal((int)RV_SET, (int)REEVE__V1__VALUE__TYPE__SET);
    assert_int_equal((int)RV_TEXT, (int)REEVE__V1__VALUE__TYPE__TEXT);
}

static void test_states(void **state) {
    (void)state;
    /* The peer's include/mesos/v1/mesos.proto says which are terminal; INV-37 which are sticky. */
    static const enum rv_task_state sticky[] = {RV_TASK_FINISHED, RV_TASK_FAILED,  RV_TASK_KILLED,
                                                RV_TASK_ERROR,    RV_TASK_DROPPED, RV_TASK_GONE};
    size_t terminal = 0, stuck = 0;
    for (int s = 0; s < RV_TASK_STATE_MAX; s++) {
        terminal += rv_task_state_terminal((enum rv_task_state)s);
        stuck += rv_task_state_sticky((enum rv_task_state)s);
    }
    for (size_t i = 0; i < RV_COUNT(sticky); i++) {
        assert_true(rv_task_state_sticky(sticky[i]) && rv_task_state_terminal(sticky[i]));
    }
    assert_int_equal(stuck, RV_COUNT(sticky));
    assert_int_equal(terminal, RV_COUNT(sticky) + 2);
    assert_true(rv_task_state_terminal(RV_TASK_LOST));
    assert_true(rv_task_state_terminal(RV_TASK_GONE_BY_OPERATOR));
}

/* --- resources --- */

/* Any message with a field `resources` will do. */
#define HOLDER (&reeve__v1__offer__operation__reserve__descriptor)

static void encode(const struct rv_resources *r, enum rv_resource_shape shape, bool with_allocation,
                   enum rv_encoding encoding, struct rv_buf *out) {
    _cleanup_(rv_arena_free) struct rv_arena arena;
    rv_arena_init(&arena);
    Reeve__V1__Offer__Operation__Reserve holder = REEVE__V1__OFFER__OPERATION__RESERVE__INIT;
    rv_wire_resources_to(r, shape, with_allocation, &arena, &holder.resources, &holder.n_resources);
    rv_buf_puts(out, "");
    rv_wire_encode(&holder.base, encoding, out);
}

static int decode(struct rv_str bytes, enum rv_encoding encoding, struct rv_resources *out,
                  struct rv_error *err) {
    _cleanup_(rv_arena_free) struct rv_arena arena;
    rv_arena_init(&arena);
    ProtobufCMessage *m = NULL;
    int r = rv_wire_decode(HOLDER, encoding, bytes, NULL, &arena, &m, err);
    if (r != 0) {
        return r;
    }
    const Reeve__V1__Offer__Operation__Reserve *holder =
        (const Reeve__V1__Offer__Operation__Reserve *)(const void *)m;
    return rv_wire_resources_from(holder->resources, holder->n_resources, "resources", out, err);
}

static void test_round_trips(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct gen g = {.parity = -1};
        rv_prng_seed(&g.prng, seed);
        _cleanup_resources_ struct rv_resources a = gen_resources(&g);
        for (int i = 0; i < RV_SHAPE_MAX * 2; i++) {
            enum rv_resource_shape shape = (enum rv_resource_shape)(i / 2);
            enum rv_encoding encoding = i % 2 ? RV_ENC_JSON : RV_ENC_PROTOBUF;
            _cleanup_resources_ struct rv_resources back = {0};
            _cleanup_buf_ struct rv_buf b = {0};
            struct rv_error err = {0};
            encode(&a, shape, true, encoding, &b);
            if (decode(rv_buf_str(&b), encoding, &back, &err) != 0 || !rv_resources_eq(&a, &back)) {
                fail_msg("seed %llu, shape %d, encoding %d: %s\n%s", (unsigned long long)seed,
                         (int)shape, (int)encoding, err.message, i % 2 ? b.data : "");
            }
        }
        _cleanup_resources_ struct rv_resources back = {0}, unallocated = {0};
        _cleanup_buf_ struct rv_buf b = {0};
        encode(&a, RV_SHAPE_REFINED, false, RV_ENC_PROTOBUF, &b);
        assert_int_equal(decode(rv_buf_str(&b), RV_ENC_PROTOBUF, &back, NULL), 0);
        rv_resources_copy(&unallocated, &a);
        rv_resources_allocate(&unallocated, NULL);
        assert_true(rv_resources_eq(&unallocated, &back));
    }
}

static struct rv_resources from_json(const char *array) {
    _cleanup_buf_ struct rv_buf b = {0};
    struct rv_resources r = {0};
    struct rv_error err = {0};
    rv_buf_printf(&b, "{\"resources\":%s}", array);
    if (decode(rv_buf_str(&b), RV_ENC_JSON, &r, &err) != 0) {
        fail_msg("%s: %s", array, err.message);
    }
    return r;
}

static void assert_json(const struct rv_resources *r, enum rv_resource_shape shape,
                        const char *array) {
    _cleanup_buf_ struct rv_buf b = {0}, want = {0};
    encode(r, shape, true, RV_ENC_JSON, &b);
    rv_buf_printf(&want, "{\"resources\":%s}", array);
    assert_string_equal(b.data, want.data);
}

#define CPUS "\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1}"
#define CPUS_OUT "\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1.0}"

#define OWNER "\"principal\":\"p\",\"labels\":{\"labels\":[{\"key\":\"k\",\"value\":\"v\"}]}"
#define STATIC_A "{\"role\":\"a\",\"type\":\"STATIC\"}"
#define DYNAMIC_A "{" OWNER ",\"role\":\"a\",\"type\":\"DYNAMIC\"}"
#define STACK STATIC_A ",{\"role\":\"a/b\",\"type\":\"DYNAMIC\"}"

static void test_shapes(void **state) {
    (void)state;
    static const struct {
        const char *refined, *classic, *endpoint;
    } cases[] = {
        {"", "\"role\":\"*\"", "\"role\":\"*\""},
        {"\"reservations\":[" STATIC_A "]", "\"role\":\"a\"",
         "\"role\":\"a\",\"reservations\":[" STATIC_A "]"},
        {"\"reservations\":[" DYNAMIC_A "]", "\"role\":\"a\",\"reservation\":{" OWNER "}",
         "\"role\":\"a\",\"reservation\":{" OWNER "},\"reservations\":[" DYNAMIC_A "]"},
        {"\"reservations\":[" STACK "]", "\"reservations\":[" STACK "]",
         "\"reservations\":[" STACK "]"},
    };
    for (size_t i = 0; i < RV_COUNT(cases); i++) {
        const char *shapes[] = {cases[i].refined, cases[i].classic, cases[i].endpoint};
        _cleanup_resources_ struct rv_resources first = {0};
        for (size_t j = 0; j < RV_COUNT(shapes); j++) {
            const char *comma = *shapes[j] ? "," : "";
            _cleanup_free_ char *in = rv_asprintf("[{" CPUS "%s%s}]", comma, shapes[j]);
            _cleanup_resources_ struct rv_resources r = from_json(in);
            if (j == 0) {
                rv_resources_copy(&first, &r);
            }
            assert_int_equal(r.n, 1);
            assert_true(rv_resources_eq(&first, &r));
            for (size_t k = 0; k < RV_COUNT(shapes); k++) {
                const char *comma_out = *shapes[k] ? "," : "";
                _cleanup_free_ char *out =
                    rv_asprintf("[{" CPUS_OUT "%s%s}]", comma_out, shapes[k]);
                assert_json(&r, (enum rv_resource_shape)k, out);
            }
        }
    }
}

static void test_sums_and_tolerance(void **state) {
    (void)state;
    _cleanup_resources_ struct rv_resources a =
        from_json("[{" CPUS "},{" CPUS ",\"role\":\"*\"},{\"name\":\"mem\",\"type\":\"SCALAR\","
                  "\"scalar\":{\"value\":0}},{" CPUS ",\"role\":null,\"disk\":{}}]");
    assert_int_equal(a.n, 1);
    assert_true(rv_resources_quantity(&a, "cpus") == 3000);
    /* "*" beside reservations counts as not given; labels are equal in any order. */
    _cleanup_resources_ struct rv_resources b = from_json(
        "[{" CPUS ",\"role\":\"*\",\"reservations\":[{\"type\":\"DYNAMIC\",\"role\":\"a\","
        "\"labels\":{\"labels\":[{\"key\":\"x\",\"value\":\"1\"},{\"key\":\"k\"}]}}]},"
        "{" CPUS ",\"role\":\"a\",\"reservation\":{\"labels\":{\"labels\":[{\"key\":\"k\"},"
        "{\"key\":\"x\",\"value\":\"1\"}]}}}]");
    assert_int_equal(b.n, 1);
    assert_true(rv_resources_quantity(&b, "cpus") == 2000);
}

#define RANGES(list) "{\"name\":\"ports\",\"type\":\"RANGES\",\"ranges\":{\"range\":[" list "]}}"
#define SCALAR(value) "{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":" value "}}"

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *json, *message;
    } cases[] = {
        {SCALAR("-1"), "resources[0].scalar.value: negative"},
        {SCALAR("\"NaN\""), "resources[0].scalar.value: not a number"},
        {SCALAR("\"Infinity\""), "resources[0].scalar.value: too large"},
        {SCALAR("1e308"), "resources[0].scalar.value: too large"},
        {SCALAR("1e10"), "resources[0].scalar.value: too large"},
        {SCALAR("0.0001"), "resources[0].scalar.value: less than a thousandth"},
        {SCALAR("1") "," SCALAR("-1"), "resources[1].scalar.value: negative"},
        {SCALAR("9e9") "," SCALAR("9e9"), "the sum of all 'cpus' is too large"},
        {"{\"name\":\"\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1}}", "resources[0].name"},
        {"{\"name\":\"cpus\",\"type\":\"SCALAR\"}", "resources[0].scalar: required by the type"},
        {"{\"name\":\"cpus\",\"type\":\"RANGES\",\"scalar\":{\"value\":1}}",
         "resources[0].scalar: does not fit the type"},
        {"{\"name\":\"cpus\",\"type\":\"TEXT\"}", "resources[0].type"},
        {RANGES("{\"begin\":2,\"end\":1}"), "resources[0].ranges.range: a range begins after"},
        {RANGES("{\"begin\":1,\"end\":3},{\"begin\":3,\"end\":4}"), "ranges overlap"},
        {RANGES("{\"begin\":0,\"end\":18446744073709551615}"), "too many numbers"},
        {RANGES("{\"begin\":0,\"end\":18446744073709551615},{\"begin\":0,\"end\":0}"),
         "too many numbers"},
        {"{\"name\":\"s\",\"type\":\"SET\",\"set\":{\"item\":[\"a\",\"a\"]}}",
         "resources[0].set.item: an item stands twice"},
        {"{" CPUS ",\"reservation\":{}}", "resources[0].role: required with reservation"},
        {"{" CPUS ",\"role\":\"a\",\"reservation\":{\"role\":\"a\"}}",
         "resources[0].reservation.role"},
        {"{" CPUS ",\"role\":\"a\",\"reservation\":{\"type\":\"DYNAMIC\"}}",
         "resources[0].reservation.type"},
        {"{" CPUS ",\"reservations\":[{\"role\":\"a\"}]}",
         "resources[0].reservations[0].type: must be STATIC or DYNAMIC"},
        {"{" CPUS ",\"reservations\":[{\"type\":\"STATIC\"}]}",
         "resources[0].reservations[0].role: required"},
        {"{" CPUS ",\"role\":\"b\",\"reservations\":[{\"type\":\"STATIC\",\"role\":\"a\"}]}",
         "resources[0].role: contradicts reservations"},
        {"{" CPUS ",\"role\":\"a\",\"reservation\":{},\"reservations\":[{\"type\":\"STATIC\","
         "\"role\":\"a\"}]}",
         "resources[0].reservation: contradicts reservations"},
        {"{\"name\":\"disk\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1},\"disk\":{\"source\":{"
         "\"type\":\"UNKNOWN\"}}}",
         "resources[0].disk.source.type"},
    };
    for (size_t i = 0; i < RV_COUNT(cases); i++) {
        _cleanup_buf_ struct rv_buf b = {0};
        _cleanup_resources_ struct rv_resources r = {0};
        struct rv_error err = {0};
        rv_resources_add_scalar(&r, "mem", 1000);
        rv_buf_printf(&b, "{\"resources\":[%s]}", cases[i].json);
        if (decode(rv_buf_str(&b), RV_ENC_JSON, &r, &err) != -RV_ERR_INVALID ||
            !strstr(err.message, cases[i].message)) {
            fail_msg("%s: %s", cases[i].json, err.message);
        }
        assert_int_equal(r.n, 1); /* untouched */
    }
}

static void test_too_many(void **state) {
    (void)state;
    Reeve__V1__Value__Scalar scalar = REEVE__V1__VALUE__SCALAR__INIT;
    scalar.value = 1;
    enum { N = RV_WIRE_RESOURCES_MAX + 1 };
    Reeve__V1__Resource *all = rv_calloc(N, sizeof *all), **v = rv_calloc(N, sizeof *v);
    char(*names)[16] = rv_calloc(N, sizeof *names);
    for (size_t i = 0; i < N; i++) {
        /* All different, and out of order. */
        for (size_t j = 0, x = i * 7919 % N; j < 6; j++, x /= 10) {
            names[i][5 - j] = (char)('0' + x % 10);
        }
        all[i] = (Reeve__V1__Resource)REEVE__V1__RESOURCE__INIT;
        all[i].name = names[i];
        all[i].scalar = &scalar;
        v[i] = &all[i];
    }
    _cleanup_resources_ struct rv_resources r = {0};
    struct rv_error err = {0};
    assert_int_equal(rv_wire_resources_from(v, N, "x.resources", &r, &err), -RV_ERR_LIMIT);
    assert_non_null(strstr(err.message, "x.resources: 10001"));
    assert_int_equal(rv_wire_resources_from(v, N - 1, "x.resources", &r, &err), 0);
    assert_int_equal(r.n, N - 1);
    for (size_t i = 1; i < r.n; i++) {
        assert_true(rv_kind_compare(r.v[i - 1].kind, r.v[i].kind) < 0);
    }
    assert_true(rv_resources_contains(&r, &r));
    _cleanup_resources_ struct rv_resources half = {0};
    assert_int_equal(rv_wire_resources_from(v, N / 2, "x.resources", &half, &err), 0);
    assert_true(rv_resources_contains(&r, &half));
    rv_resources_subtract(&r, &half);
    assert_int_equal(r.n, N - 1 - N / 2);
    free(all);
    free(v);
    free(names);
}

/* --- the flag --- */

static void test_flag(void **state) {
    (void)state;
    _cleanup_resources_ struct rv_resources text = {0}, json = {0};
    struct rv_error err = {0};
    assert_int_equal(
        rv_wire_resources_parse_flag("cpus:1;mem(b):2;ports(*):[1-2]", "a", &text, &err), 0);
    int r = rv_wire_resources_parse_flag(
        " [{" CPUS "},{\"name\":\"mem\",\"type\":\"SCALAR\",\"scalar\":{\"value\":2},"
        "\"reservations\":[{\"type\":\"STATIC\",\"role\":\"b\"}]},{\"name\":\"ports\",\"type\":"
        "\"RANGES\",\"role\":\"*\",\"ranges\":{\"range\":[{\"begin\":1,\"end\":2}]}}]",
        "a", &json, &err);
    if (r != 0) {
        fail_msg("%s", err.message);
    }
    assert_true(rv_resources_eq(&text, &json));
    assert_int_equal(rv_wire_resources_parse_flag("[]", NULL, &json, &err), 0);
    assert_true(rv_resources_empty(&json));
    static const struct {
        const char *text, *role, *message;
    } wrong[] = {
        {"cpus:x", NULL, "at byte 0"},
        {"cpus:1", "a b", "default role"},
        {"cpus:[1-2]", NULL, "must be a scalar"},
        {"gpus:1.5", NULL, "whole numbers"},
        {"[", NULL, ""},
        {"[{}]", NULL, "name"},
        {"[1]", NULL, "resources"},
        {"[{" CPUS "}", NULL, ""},
        {"[{" CPUS ",\"revocable\":{}}]", NULL, "revocable"},
        {"[{" CPUS ",\"allocation_info\":{\"role\":\"a\"}}]", NULL, "allocation_info"},
        {"[{" CPUS ",\"role\":\"a\",\"reservation\":{}}]", NULL, "dynamic reservation"},
        {"[{\"name\":\"disk\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1},\"role\":\"a\",\"disk\":"
         "{\"persistence\":{\"id\":\"v\"}}}]",
         NULL, "persistent volume"},
    };
    for (size_t i = 0; i < RV_COUNT(wrong); i++) {
        err = (struct rv_error){0};
        if (rv_wire_resources_parse_flag(wrong[i].text, wrong[i].role, &json, &err) == 0 ||
            !*err.message || !strstr(err.message, wrong[i].message)) {
            fail_msg("%s: %s", wrong[i].text, err.message);
        }
    }
}

/* --- attributes --- */

static void test_attributes(void **state) {
    (void)state;
    _cleanup_(rv_attributes_free) struct rv_attributes a = {0};
    struct rv_error err = {0};
    assert_int_equal(
        rv_attributes_parse("rack:r1;level:-3.5;ports:[1-2,5-6];s:{a,b};rack:r2;e:[]", &a, &err),
        0);
    for (int i = 0; i < 2; i++) {
        enum rv_encoding encoding = i ? RV_ENC_JSON : RV_ENC_PROTOBUF;
        _cleanup_(rv_arena_free) struct rv_arena arena;
        rv_arena_init(&arena);
        _cleanup_(rv_attributes_free) struct rv_attributes back = {0};
        _cleanup_buf_ struct rv_buf b = {0};
        char host[] = "h";
        Reeve__V1__AgentInfo info = REEVE__V1__AGENT_INFO__INIT;
        info.hostname = host;
        rv_wire_attributes_to(&a, &arena, &info.attributes, &info.n_attributes);
        rv_wire_encode(&info.base, encoding, &b);
        ProtobufCMessage *m = NULL;
        assert_int_equal(rv_wire_decode(&reeve__v1__agent_info__descriptor, encoding,
                                        rv_buf_str(&b), NULL, &arena, &m, &err),
                         0);
        const Reeve__V1__AgentInfo *read = (const Reeve__V1__AgentInfo *)(const void *)m;
        assert_int_equal(rv_wire_attributes_from(read->attributes, read->n_attributes, "attributes",
                                                 &back, &err),
                         0);
        assert_true(rv_attributes_eq(&a, &back));
        read->attributes[1]->scalar->value = 1e300;
        assert_int_equal(rv_wire_attributes_from(read->attributes, read->n_attributes, "attributes",
                                                 &back, &err),
                         -RV_ERR_INVALID);
        assert_string_equal(err.message, "attributes[1].scalar: too large");
        assert_true(rv_attributes_eq(&a, &back));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enums),  cmocka_unit_test(test_value_types),
        cmocka_unit_test(test_states), cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_shapes), cmocka_unit_test(test_sums_and_tolerance),
        cmocka_unit_test(test_errors), cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_flag),   cmocka_unit_test(test_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
