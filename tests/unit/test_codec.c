/*
 * The codec: a property over every message of the wire (random trees survive both encodings, and
 * agree with protobuf-c and jansson), then the leniency, limits, errors and nodes of codec.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "reeve/v1/agent.pb-c.h"
#include "reeve/v1/descriptors.h"
#include "reeve/v1/scheduler.pb-c.h"
#include "wire/codec.h"
#include "wire/tree.h"

#define CALL (&reeve__v1__scheduler__call__descriptor)

/* --- random trees --- */

struct gen {
    struct rv_prng prng;
    struct rv_arena *arena;
    struct rv_wire_in in;
    size_t budget; /* messages still to be made; then only what is required */
};

static uint64_t below(struct gen *g, uint64_t n) {
    return rv_prng_below(&g->prng, n);
}

static char *random_string(struct gen *g) {
    static const char *const parts[] = {"a",
                                        "cpus",
                                        "\"",
                                        "\\",
                                        "\n",
                                        "\t",
                                        "\x01",
                                        "\x7f",
                                        "\xc3\xa9",
                                        "\xe2\x82\xac",
                                        "/",
                                        " ",
                                        "0",
                                        "\xf0\x9f\x98\x80",
                                        "plain text, long",
                                        "\xef\xbf\xbf"};
    struct rv_buf b _cleanup_(rv_buf_free) = {0};
    rv_buf_puts(&b, "");
    for (uint64_t n = below(g, 6); n > 0; n--) {
        rv_buf_puts(&b, parts[below(g, RV_COUNT(parts))]);
    }
    return rv_arena_strndup(g->arena, b.data, b.n);
}

static double random_double(struct gen *g) {
    static const double odd[] = {0,
                                 -0.0,
                                 1,
                                 0.1,
                                 3.6e6,
                                 1e22,
                                 1e-7,
                                 5e-324,
                                 1.7976931348623157e308,
                                 123456789.123456,
                                 1700000000.123456,
                                 0.30000000000000004};
    uint64_t bits = rv_prng_next(&g->prng);
    double d;
    switch (below(g, 5)) {
    case 0:
        memcpy(&d, &bits, sizeof d);
        return d; /* also infinities and NaN */
    case 1:
        return INFINITY;
    case 2:
        return odd[below(g, RV_COUNT(odd))];
    default:
        return (double)below(g, 1000000) / 1000;
    }
}

static ProtobufCMessage *random_message(struct gen *g, const ProtobufCMessageDescriptor *type,
                                        unsigned depth);

static union rv_wire_value random_value(struct gen *g, const ProtobufCFieldDescriptor *f,
                                        unsigned depth) {
    union rv_wire_value v = {.u64 = rv_prng_next(&g->prng) >> below(g, 64)};
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        v.boolean = (protobuf_c_boolean)below(g, 2);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        v.d = random_double(g);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        v.f = (float)random_double(g);
        break;
    case PROTOBUF_C_TYPE_ENUM: {
        const ProtobufCEnumDescriptor *e = (const ProtobufCEnumDescriptor *)f->descriptor;
        v.i32 = e->values[below(g, e->n_values)].value;
        break;
    }
    case PROTOBUF_C_TYPE_STRING:
        v.string = random_string(g);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        v.bytes.len = below(g, 10);
        v.bytes.data = (uint8_t *)rv_arena_memdup(g->arena, &v.u64, 8);
        v.bytes.len = RV_MIN(v.bytes.len, 8u);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        v.message = random_message(g, (const ProtobufCMessageDescriptor *)f->descriptor, depth + 1);
        break;
    default:
        break;
    }
    return v;
}

static ProtobufCMessage *random_message(struct gen *g, const ProtobufCMessageDescriptor *type,
                                        unsigned depth) {
    ProtobufCMessage *m = rv_wire_new(&g->in, type);
    assert_non_null(m);
    g->budget -= g->budget > 0;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        assert_int_not_equal(f->label, PROTOBUF_C_LABEL_NONE);
        bool entry = strcmp(f->name, "key") == 0 || strcmp(f->name, "value") == 0;
        if (f->label == PROTOBUF_C_LABEL_REQUIRED || (entry && type->n_fields == 2)) {
            union rv_wire_value v = random_value(g, f, depth);
            rv_wire_set(m, f, &v);
            continue;
        }
        if (g->budget == 0 || depth > 12 || below(g, 3) == 0) {
            continue;
        }
        if (f->label == PROTOBUF_C_LABEL_OPTIONAL) {
            union rv_wire_value v = random_value(g, f, depth);
            rv_wire_set(m, f, &v);
            continue;
        }
        for (uint64_t k = 0, n = below(g, 5); k < n; k++) {
            union rv_wire_value v = random_value(g, f, depth);
            if (rv_wire_is_map(f)) { /* keys are different */
                const ProtobufCFieldDescriptor *key = &v.message->descriptor->fields[0];
                char **text = (char **)rv_wire_member(v.message, key->offset);
                *text = rv_arena_printf(g->arena, "%s%u", *text, (unsigned)k);
            }
            rv_wire_append(&g->in, m, f, &v);
        }
    }
    return m;
}

static char *encode(const ProtobufCMessage *m, enum rv_encoding e, size_t *n) {
    struct rv_buf b = {0};
    rv_wire_encode(m, e, &b);
    return rv_buf_take(&b, n);
}

static ProtobufCMessage *decode(const ProtobufCMessageDescriptor *type, enum rv_encoding e,
                                const void *bytes, size_t n, struct rv_arena *arena) {
    struct rv_error err = {0};
    ProtobufCMessage *m = NULL;
    if (rv_wire_decode(type, e, rv_strn(bytes, n), NULL, arena, &m, &err) < 0) {
        fail_msg("%s: %s in %.2000s", type->name, err.message, (const char *)bytes);
    }
    return m;
}

static void check_tree(const ProtobufCMessage *m, struct rv_arena *arena) {
    const ProtobufCMessageDescriptor *type = m->descriptor;
    size_t json_n, pb_n, n;
    char *json _cleanup_free_ = encode(m, RV_ENC_JSON, &json_n);
    char *pb _cleanup_free_ = encode(m, RV_ENC_PROTOBUF, &pb_n);

    for (size_t i = 0; i < json_n; i++) {
        assert_in_range((unsigned char)json[i], 0x20, 0x7e);
    }
    json_error_t json_error;
    json_t *oracle = json_loadb(json, json_n, JSON_DECODE_INT_AS_REAL, &json_error);
    if (!oracle) {
        fail_msg("%s: %s in %.500s", type->name, json_error.text, json);
    }
    json_decref(oracle);

    assert_int_equal(protobuf_c_message_get_packed_size(m), pb_n);
    uint8_t *packed _cleanup_free_ = (uint8_t *)rv_malloc(pb_n + 1);
    assert_int_equal(protobuf_c_message_pack(m, packed), pb_n);
    assert_memory_equal(packed, pb, pb_n);

    ProtobufCMessage *from_json = decode(type, RV_ENC_JSON, json, json_n, arena);
    char *pb2 _cleanup_free_ = encode(from_json, RV_ENC_PROTOBUF, &n);
    ProtobufCMessage *from_pb = decode(type, RV_ENC_PROTOBUF, pb2, n, arena);
    char *json2 _cleanup_free_ = encode(from_pb, RV_ENC_JSON, &n);
    assert_string_equal(json, json2);
    char *json3 _cleanup_free_ =
        encode(decode(type, RV_ENC_PROTOBUF, pb, pb_n, arena), RV_ENC_JSON, &n);
    assert_string_equal(json, json3);

    ProtobufCAllocator allocator = rv_wire_allocator(arena);
    ProtobufCMessage *theirs = protobuf_c_message_unpack(type, &allocator, pb_n, (uint8_t *)pb);
    assert_non_null(theirs);
    char *json4 _cleanup_free_ = encode(theirs, RV_ENC_JSON, &n);
    assert_string_equal(json, json4);
}

static void test_every_message(void **state) {
    (void)state;
    struct rv_arena arena;
    rv_arena_init(&arena);
    assert_in_range(rv_proto_n_descriptors, 330, 10000);
    for (size_t i = 0; i < rv_proto_n_descriptors; i++) {
        for (uint64_t seed = 0; seed < 12; seed++) {
            struct gen g = {.arena = &arena, .budget = seed * 20};
            g.in = (struct rv_wire_in){
                .limits = &rv_wire_default_limits, .arena = &arena, .arena_max = SIZE_MAX};
            rv_prng_seed(&g.prng, seed * 1000 + i);
            check_tree(random_message(&g, rv_proto_descriptors[i], 0), &arena);
            rv_arena_reset(&arena);
        }
    }
    rv_arena_free(&arena);
}

/* Cut and damaged bytes give an error or a tree, never anything else. */
static void test_damage(void **state) {
    (void)state;
    struct rv_arena arena, out;
    rv_arena_init(&arena);
    rv_arena_init(&out);
    struct gen g = {.arena = &arena, .budget = 60};
    g.in = (struct rv_wire_in){
        .limits = &rv_wire_default_limits, .arena = &arena, .arena_max = SIZE_MAX};
    rv_prng_seed(&g.prng, 7);
    for (int round = 0; round < 20; round++) {
        ProtobufCMessage *m = random_message(&g, CALL, 0);
        g.budget = 60;
        for (int e = RV_ENC_JSON; e <= RV_ENC_PROTOBUF; e++) {
            size_t n, n2;
            char *bytes _cleanup_free_ = encode(m, (enum rv_encoding)e, &n);
            for (int k = 0; k < 300; k++) {
                char *copy _cleanup_free_ = (char *)rv_memdup(bytes, n + 1);
                size_t cut = k % 2 ? n : below(&g, n + 1);
                if (cut > 0) {
                    copy[below(&g, cut)] = (char)below(&g, 256);
                }
                ProtobufCMessage *got;
                int r = rv_wire_decode(CALL, (enum rv_encoding)e, rv_strn(copy, cut), NULL, &out,
                                       &got, NULL);
                if (r == 0) {
                    char *again _cleanup_free_ = encode(got, RV_ENC_JSON, &n2);
                    assert_non_null(again);
                }
                rv_arena_reset(&out);
            }
        }
        rv_arena_reset(&arena);
    }
    rv_arena_free(&arena);
    rv_arena_free(&out);
}

/* --- JSON by hand --- */

/* What comes out again as JSON, or "ERROR: message". */
static const char *through(const ProtobufCMessageDescriptor *type, const char *json, size_t n) {
    static char out[4096];
    struct rv_arena arena;
    struct rv_error err = {0};
    ProtobufCMessage *m;
    rv_arena_init(&arena);
    int r = rv_wire_decode(type, RV_ENC_JSON, rv_strn(json, n), NULL, &arena, &m, &err);
    if (r < 0) {
        assert_int_equal(r, -(int)err.code);
        snprintf(out, sizeof out, "ERROR: %s", err.message);
    } else {
        size_t size;
        char *text _cleanup_free_ = encode(m, RV_ENC_JSON, &size);
        snprintf(out, sizeof out, "%s", text);
    }
    rv_arena_free(&arena);
    return out;
}
#define THROUGH(type, json) through((type), (json), sizeof(json) - 1)

static void test_lenient(void **state) {
    (void)state;
    const ProtobufCMessageDescriptor *framework = &reeve__v1__framework_info__descriptor;
    const ProtobufCMessageDescriptor *scalar = &reeve__v1__value__scalar__descriptor;
    const ProtobufCMessageDescriptor *range = &reeve__v1__value__range__descriptor;
    const ProtobufCMessageDescriptor *status = &reeve__v1__task_status__descriptor;
    const ProtobufCMessageDescriptor *task = &reeve__v1__task_info__descriptor;
#define SAME(type, in, out) assert_string_equal(THROUGH(type, in), out)
    SAME(framework, "{\"user\":\"u\",\"name\":\"n\",\"id\":null,\"roles\":null,\"hostname\":null}",
         "{\"user\":\"u\",\"name\":\"n\"}");
    SAME(framework, " { \"name\" : \"n\" ,\n\"user\":\"u\", \"checkpoint\":\"true\" } \n",
         "{\"user\":\"u\",\"name\":\"n\",\"checkpoint\":true}");
    SAME(framework, "{\"user\":\"u\",\"name\":\"n\",\"failover_timeout\":3.6e+06}",
         "{\"user\":\"u\",\"name\":\"n\",\"failover_timeout\":3600000.0}");
    SAME(framework, "{\"user\":\"u\",\"name\":\"n\",\"roles\":[\"a\",null,\"b\"]}",
         "{\"user\":\"u\",\"name\":\"n\",\"roles\":[\"a\",\"b\"]}");
    SAME(framework,
         "{\"user\":\"a\",\"user\":\"b\",\"name\":\"n\",\"labels\":{\"labels\":[{}]},"
         "\"labels\":{}}",
         "{\"user\":\"b\",\"name\":\"n\",\"labels\":{}}");
    /* An enum value of a newer client leaves the field unset where UNKNOWN exists. */
    SAME(framework,
         "{\"user\":\"u\",\"name\":\"n\",\"capabilities\":[{\"type\":\"NEWER\"},{\"type\":2},"
         "{\"type\":\"MULTI_ROLE\"},{\"type\":\"0\"}]}",
         "{\"user\":\"u\",\"name\":\"n\",\"capabilities\":[{},{\"type\":\"TASK_KILLING_STATE\"},"
         "{\"type\":\"MULTI_ROLE\"},{\"type\":\"UNKNOWN\"}]}");
    SAME(framework,
         "{\"user\":\"u\",\"name\":\"n\",\"new\":{\"a\":[1,{\"\\u0000\":\"\\ud83d\\ude00\"},true,"
         "null,-0.5e3]},\"newer\":\"x\\ny\"}",
         "{\"user\":\"u\",\"name\":\"n\"}");
    SAME(scalar, "{\"value\":\"1.5\"}", "{\"value\":1.5}");
    SAME(scalar, "{\"value\":1}", "{\"value\":1.0}");
    SAME(scalar, "{\"value\":0.1}", "{\"value\":0.1}");
    SAME(scalar, "{\"value\":-0.0}", "{\"value\":-0.0}");
    SAME(scalar, "{\"value\":12345678901234567890123}", "{\"value\":1.2345678901234568e+22}");
    SAME(scalar, "{\"value\":\"Infinity\"}", "{\"value\":\"Infinity\"}");
    SAME(scalar, "{\"value\":\"-Infinity\"}", "{\"value\":\"-Infinity\"}");
    SAME(scalar, "{\"value\":\"NaN\"}", "{\"value\":\"NaN\"}");
    SAME(range, "{\"begin\":18446744073709551615,\"end\":\"18446744073709551615\"}",
         "{\"begin\":18446744073709551615,\"end\":18446744073709551615}");
    SAME(range, "{\"begin\":3.6e+06,\"end\":3.6E6}", "{\"begin\":3600000,\"end\":3600000}");
    SAME(range, "{\"begin\":-0,\"end\":\"7\"}", "{\"begin\":0,\"end\":7}");
    SAME(status,
         "{\"task_id\":{\"value\":\"t\\u00e9\\/\"},\"state\":\"TASK_RUNNING\",\"data\":\"_-8=\","
         "\"uuid\":\"-_8\"}",
         "{\"task_id\":{\"value\":\"t\\u00e9/\"},\"state\":\"TASK_RUNNING\",\"data\":\"/+8=\","
         "\"uuid\":\"+/8=\"}");
    SAME(
        task,
        "{\"name\":\"\xf0\x9f\x98\x80\",\"task_id\":{\"value\":\"t\"},\"agent_id\":{\"value\":"
        "\"a\"},\"limits\":{\"cpus\":{\"value\":1},\"mem\":null,\"cpus\":{\"value\":2}}}",
        "{\"name\":\"\\ud83d\\ude00\",\"task_id\":{\"value\":\"t\"},\"agent_id\":{\"value\":\"a\"},"
        "\"limits\":{\"cpus\":{\"value\":2.0}}}");
}

static void test_errors(void **state) {
    (void)state;
    const ProtobufCMessageDescriptor *range = &reeve__v1__value__range__descriptor;
    const ProtobufCMessageDescriptor *scalar = &reeve__v1__value__scalar__descriptor;
    const ProtobufCMessageDescriptor *event = &reeve__v1__scheduler__event__descriptor;
    SAME(CALL, "{\"subscribe\":{\"framework_info\":{\"name\":\"n\"}}}",
         "ERROR: subscribe.framework_info.user: required");
    SAME(CALL, "{\"subscribe\":{}}", "ERROR: subscribe.framework_info: required");
    SAME(CALL, "{\"accept\":{\"offer_ids\":[{\"value\":\"a\"},{\"value\":7}]}}",
         "ERROR: accept.offer_ids[1].value: not a string");
    SAME(CALL,
         "{\"accept\":{\"operations\":[{\"type\":\"LAUNCH\",\"launch\":{\"task_infos\":[{\"name\":"
         "\"n\",\"task_id\":{},\"agent_id\":{\"value\":\"a\"}}]}}]}}",
         "ERROR: accept.operations[0].launch.task_infos[0].task_id.value: required");
    SAME(CALL, "{\"kill\":{\"task_id\":\"t\"}}",
         "ERROR: kill.task_id: expected an object at byte 19");
    SAME(event, "{\"update\":{\"status\":{\"task_id\":{\"value\":\"t\"},\"state\":\"TASK_ODD\"}}}",
         "ERROR: update.status.state: unknown value \"TASK_ODD\" of TaskState");
    SAME(&reeve__v1__container_info__descriptor, "{\"type\":\"X\"}",
         "ERROR: type: unknown value \"X\" of ContainerInfo.Type");
    SAME(range, "{\"begin\":1.5,\"end\":1}", "ERROR: begin: not a 64-bit integer");
    SAME(range, "{\"begin\":18446744073709551616,\"end\":1}", "ERROR: begin: not a 64-bit integer");
    SAME(range, "{\"begin\":-1,\"end\":1}", "ERROR: begin: out of range");
    SAME(range, "{\"begin\":true,\"end\":1}", "ERROR: begin: not a number");
    SAME(range, "{\"begin\":1}", "ERROR: end: required");
    SAME(range, "{\"begin\":1,\"end\":null}", "ERROR: end: required");
    SAME(scalar, "{\"value\":1e999}", "ERROR: value: out of range");
    SAME(scalar, "{\"value\":\"inf\"}", "ERROR: value: not a number");
    SAME(scalar, "{\"value\":01}", "ERROR: expected ',' or '}' at byte 10");
    SAME(scalar, "{\"value\":Infinity}", "ERROR: value: expected a value at byte 9");
    SAME(scalar, "", "ERROR: expected an object at byte 0");
    SAME(scalar, "[]", "ERROR: expected an object at byte 0");
    SAME(scalar, "{\"value\":1} x", "ERROR: something follows the message at byte 12");
    SAME(scalar, "{\"value\":1,}", "ERROR: expected a name at byte 11");
    SAME(scalar, "{\"value\":1", "ERROR: expected ',' or '}' at byte 10");
    SAME(scalar, "{\"other\":[1,]}", "ERROR: expected a value at byte 12");
    const ProtobufCMessageDescriptor *id = &reeve__v1__task_id__descriptor;
    SAME(id, "{\"value\":\"a\nb\"}", "ERROR: value: control character in a string at byte 11");
    SAME(id, "{\"value\":\"a\\u0000b\"}", "ERROR: value: holds a NUL");
    SAME(id, "{\"value\":\"\\ud800x\"}", "ERROR: value: bad escape at byte 16");
    SAME(id, "{\"value\":\"\xc0\x80\"}", "ERROR: value: malformed UTF-8 at byte 12");
    SAME(id, "{\"value\":\"\xed\xa0\x80\"}", "ERROR: value: malformed UTF-8 at byte 13");
    SAME(id, "{\"value\":\"abc", "ERROR: value: unfinished string at byte 13");
    SAME(id, "{\"value\":\"abc\\", "ERROR: value: unfinished string at byte 14");
    SAME(&reeve__v1__task_status__descriptor,
         "{\"task_id\":{\"value\":\"t\"},\"state\":0,\"data\":\"?\"}", "ERROR: data: not base64");
    SAME(&reeve__v1__value__ranges__descriptor, "{\"range\":{\"begin\":1,\"end\":2}}",
         "ERROR: range: expected an array at byte 9");
}

static void expect(const ProtobufCMessageDescriptor *type, enum rv_encoding e, struct rv_str bytes,
                   const struct rv_wire_limits *limits, int code, const char *message) {
    struct rv_arena arena;
    struct rv_error err = {0};
    ProtobufCMessage *m = NULL;
    rv_arena_init(&arena);
    assert_int_equal(rv_wire_decode(type, e, bytes, limits, &arena, &m, &err), code);
    assert_string_equal(err.message, message);
    rv_arena_free(&arena);
}

static void test_limits(void **state) {
    (void)state;
    struct rv_wire_limits limits = {.max_body = 20, .max_depth = 3, .max_fields = 4};
    const ProtobufCMessageDescriptor *id = &reeve__v1__container_id__descriptor;
    expect(id, RV_ENC_JSON, RV_STR("{\"value\":\"0123456789\"}"), &limits, -RV_ERR_LIMIT,
           "message of 22 bytes, 20 allowed");
    limits.max_body = 1000;
    expect(id, RV_ENC_JSON, RV_STR("{\"parent\":{\"parent\":{\"parent\":{\"value\":\"\"}}}}"),
           &limits, -RV_ERR_LIMIT, "parent.parent.parent: nested deeper than 3");
    expect(id, RV_ENC_JSON, RV_STR("{\"x\":[[[1]]]}"), &limits, -RV_ERR_LIMIT,
           "nested deeper than 3");
    expect(id, RV_ENC_JSON, RV_STR("{\"x\":[1,2,3,4]}"), &limits, -RV_ERR_LIMIT,
           "more than 4 fields in one message");
    expect(id, RV_ENC_PROTOBUF, RV_STR("\x12\x06\x12\x04\x12\x02\x0a\x00"), &limits, -RV_ERR_LIMIT,
           "parent.parent.parent: nested deeper than 3");
    expect(id, RV_ENC_PROTOBUF, RV_STR("\x18\x00\x18\x00\x18\x00\x18\x00\x18\x00"), &limits,
           -RV_ERR_LIMIT, "more than 4 fields in one message");
    /* Hostile nesting ends at the limit, not at the end of the stack. */
    struct rv_buf deep _cleanup_(rv_buf_free) = {0};
    rv_buf_puts(&deep, "{\"x\":");
    for (int i = 0; i < 1000000; i++) {
        rv_buf_putc(&deep, '[');
    }
    expect(id, RV_ENC_JSON, rv_buf_str(&deep), NULL, -RV_ERR_LIMIT, "nested deeper than 100");
    /* Two bytes on the wire, many in memory: the use of the arena is bounded all the same. */
    static const struct {
        const ProtobufCMessageDescriptor *type;
        const char *element;
        int result;
    } floods[] = {
        {&reeve__v1__agent__process_io__descriptor, "\x78\x01", 0},
        {&reeve__v1__labels__descriptor, "\x0a\x00", -RV_ERR_LIMIT},
        {&reeve__v1__task_group_info__descriptor, "\x0a\x00", -RV_ERR_LIMIT},
    };
    for (size_t i = 0; i < RV_COUNT(floods); i++) {
        struct rv_buf flood _cleanup_(rv_buf_free) = {0};
        struct rv_arena arena _cleanup_(rv_arena_free);
        ProtobufCMessage *m;
        for (int k = 0; k < 400000; k++) {
            rv_buf_append(&flood, floods[i].element, 2);
        }
        rv_arena_init(&arena);
        int r = rv_wire_decode(floods[i].type, RV_ENC_PROTOBUF, rv_buf_str(&flood), NULL, &arena,
                               &m, NULL);
        assert_int_equal(r, floods[i].result);
        assert_in_range(arena.total, 0, 64 * flood.n);
    }
}

static void test_protobuf_errors(void **state) {
    (void)state;
    const ProtobufCMessageDescriptor *id = &reeve__v1__container_id__descriptor;
    const ProtobufCMessageDescriptor *status = &reeve__v1__task_status__descriptor;
#define BAD(type, bytes, message)                                                                  \
    expect(type, RV_ENC_PROTOBUF, RV_STR(bytes), NULL, -RV_ERR_INVALID, message)
    BAD(id, "", "value: required");
    BAD(id, "\x12\x00\x0a\x01y", "parent.value: required");
    BAD(id, "\x0a\x05x", "value: cut short");
    BAD(id, "\x08\x05", "value: wrong wire type 0");
    BAD(id, "\x0a\x02x\x00", "value: holds a NUL");
    BAD(id, "\x0a\x01\xff", "value: malformed UTF-8");
    BAD(id, "\x00\x00", "bad tag");
    BAD(id, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "bad tag");
    BAD(id, "\x0a\x01x\x1b\x00", "unknown field 3: cut short");
    BAD(id, "\x12\x02\x0a\x05", "parent.value: cut short");
    BAD(status, "\x0a\x03\x0a\x01t\x10\x63", "state: unknown value 99");
    BAD(&reeve__v1__value__ranges__descriptor, "\x0a\x04\x08\x01\x10\x02\x0a\x02\x08\x01",
        "range[1].end: required");
}

static void test_protobuf_merges(void **state) {
    (void)state;
    struct rv_arena arena;
    rv_arena_init(&arena);
    size_t n;
    /* Two pieces of a framework, neither complete alone; arrays join, the last scalar counts. */
    ProtobufCMessage *m = decode(&reeve__v1__scheduler__call__descriptor, RV_ENC_PROTOBUF,
                                 "\x1a\x08\x0a\x06\x0a\x01u\x62\x01"
                                 "a"
                                 "\x1a\x0b\x0a\x09\x12\x01n\x62\x01"
                                 "b"
                                 "\x0a\x01v",
                                 23, &arena);
    char *json _cleanup_free_ = encode(m, RV_ENC_JSON, &n);
    assert_string_equal(json, "{\"subscribe\":{\"framework_info\":{\"user\":\"v\",\"name\":\"n\","
                              "\"roles\":[\"a\",\"b\"]}}}");

    /* The last member of a oneof counts; a message of another member is not merged into. */
    m = decode(&reeve__v1__scheduler__attribute_constraint__selector__descriptor, RV_ENC_PROTOBUF,
               "\x12\x01x\x08\x01", 5, &arena);
    char *one _cleanup_free_ = encode(m, RV_ENC_JSON, &n);
    assert_string_equal(one, "{\"pseudoattribute_type\":\"HOSTNAME\"}");

    /* A map's repeated key: the last entry counts. A missing key is the empty string. */
    m = decode(&reeve__v1__offer_filters__resource_quantities__descriptor, RV_ENC_PROTOBUF,
               "\x0a\x0e\x0a\x01k\x12\x09\x09\0\0\0\0\0\0\xf0\x3f"
               "\x0a\x0b\x12\x09\x09\0\0\0\0\0\0\xf0\x3f"
               "\x0a\x0e\x0a\x01k\x12\x09\x09\0\0\0\0\0\0\0\x40",
               45, &arena);
    char *map _cleanup_free_ = encode(m, RV_ENC_JSON, &n);
    assert_string_equal(map, "{\"quantities\":{\"\":{\"value\":1.0},\"k\":{\"value\":2.0}}}");
    rv_arena_free(&arena);
}

static void test_unknown_survives(void **state) {
    (void)state;
    struct rv_arena arena;
    rv_arena_init(&arena);
    size_t n;
    /* value, then unknown fields of all wire types, an unknown value of an enum too */
    static const char id[] = "\x0a\x01x"
                             "\x98\x06\x96\x01"
                             "\xa1\x06\x01\x02\x03\x04\x05\x06\x07\x08"
                             "\xaa\x06\x03zyx"
                             "\xb5\x06\x01\x02\x03\x04";
    ProtobufCMessage *m =
        decode(&reeve__v1__task_id__descriptor, RV_ENC_PROTOBUF, id, sizeof id - 1, &arena);
    char *again _cleanup_free_ = encode(m, RV_ENC_PROTOBUF, &n);
    assert_int_equal(n, sizeof id - 1);
    assert_memory_equal(again, id, n);

    m = decode(CALL, RV_ENC_PROTOBUF, "\x10\x63", 2, &arena);
    assert_false(((Reeve__V1__Scheduler__Call *)m)->has_type);
    char *call _cleanup_free_ = encode(m, RV_ENC_PROTOBUF, &n);
    assert_int_equal(n, 2);
    assert_memory_equal(call, "\x10\x63", 2);
    rv_arena_free(&arena);
}

static void test_nodes(void **state) {
    (void)state;
    struct rv_arena arena;
    rv_arena_init(&arena);
    size_t n;
    Reeve__V1__Labels labels = REEVE__V1__LABELS__INIT;
    Reeve__V1__FrameworkInfo head = REEVE__V1__FRAMEWORK_INFO__INIT;
    Reeve__V1__Scheduler__Call__Subscribe subscribe = REEVE__V1__SCHEDULER__CALL__SUBSCRIBE__INIT;
    char user[] = "u", name[] = "n";
    head.user = user;
    head.name = name;
    assert_null(rv_wire_raw_blob(&arena, NULL));
    assert_ptr_equal(rv_wire_merged(&arena, &head.base, NULL), &head);
    /* labels as raw bytes; rest brings one more role and a field nobody knows */
    head.labels = (Reeve__V1__Labels *)rv_wire_raw(&arena, RV_STR("\x0a\x03\x0a\x01k"));
    struct rv_blob *rest = rv_blob_new("\x62\x01r\x98\x7d\x01", 6);
    subscribe.framework_info = (Reeve__V1__FrameworkInfo *)rv_wire_merged(&arena, &head.base, rest);
    char *json _cleanup_free_ = encode(&subscribe.base, RV_ENC_JSON, &n);
    const char *expected =
        "{\"framework_info\":{\"user\":\"u\",\"name\":\"n\",\"labels\":{\"labels\":"
        "[{\"key\":\"k\"}]},\"roles\":[\"r\"]}}";
    struct rv_arena other;
    rv_arena_init(&other);
    ProtobufCMessage *wanted = decode(&reeve__v1__scheduler__call__subscribe__descriptor,
                                      RV_ENC_JSON, expected, strlen(expected), &other);
    char *wanted_json _cleanup_free_ = encode(wanted, RV_ENC_JSON, &n);
    assert_string_equal(json, wanted_json);

    struct rv_blob *packed = rv_wire_pack(&subscribe.base);
    ProtobufCMessage *back = decode(&reeve__v1__scheduler__call__subscribe__descriptor,
                                    RV_ENC_PROTOBUF, packed->data, packed->n, &arena);
    char *back_json _cleanup_free_ = encode(back, RV_ENC_JSON, &n);
    assert_string_equal(back_json, json);
    assert_int_equal(
        ((Reeve__V1__Scheduler__Call__Subscribe *)back)->framework_info->base.n_unknown_fields, 1);
    rv_blob_unref(packed);

    /* The merged node on top, and a raw node that is not of its type. */
    char *top _cleanup_free_ = encode(&subscribe.framework_info->base, RV_ENC_JSON, &n);
    assert_memory_equal(top, "{\"user\":\"u\"", 11);
    head.labels = (Reeve__V1__Labels *)rv_wire_raw(&arena, RV_STR("\xff"));
    char *odd _cleanup_free_ = encode(&head.base, RV_ENC_JSON, &n);
    assert_string_equal(odd, "{\"user\":\"u\",\"name\":\"n\",\"labels\":{}}");
    head.labels = &labels;

    /* A blob of more than 127 bytes, in an array. */
    struct rv_buf big _cleanup_(rv_buf_free) = {0};
    rv_buf_puts(&big, "\x0a\xc8\x01");
    for (int i = 0; i < 200; i++) {
        rv_buf_putc(&big, 'i');
    }
    Reeve__V1__OfferID *ids[] = {(Reeve__V1__OfferID *)rv_wire_raw(&arena, rv_buf_str(&big)),
                                 (Reeve__V1__OfferID *)rv_wire_raw(&arena, RV_STR("\x0a\x01z"))};
    Reeve__V1__Scheduler__Call__Decline decline = REEVE__V1__SCHEDULER__CALL__DECLINE__INIT;
    decline.n_offer_ids = 2;
    decline.offer_ids = ids;
    packed = rv_wire_pack(&decline.base);
    back = decode(&reeve__v1__scheduler__call__decline__descriptor, RV_ENC_PROTOBUF, packed->data,
                  packed->n, &arena);
    assert_int_equal(strlen(((Reeve__V1__Scheduler__Call__Decline *)back)->offer_ids[0]->value),
                     200);
    char *decline_json _cleanup_free_ = encode(&decline.base, RV_ENC_JSON, &n);
    assert_string_equal(decline_json + n - 15, "{\"value\":\"z\"}]}");
    rv_blob_unref(packed);
    rv_blob_unref(rest);
    rv_arena_free(&other);
    rv_arena_free(&arena);
}

/* A default string by its address is unset; the same text of one's own is set. */
static void test_default_strings(void **state) {
    (void)state;
    size_t n;
    Reeve__V1__CSIPluginInfo info = REEVE__V1__CSIPLUGIN_INFO__INIT;
    char type[] = "t", own[] = "default";
    info.type = type;
    assert_string_equal(info.name, "default");
    char *unset _cleanup_free_ = encode(&info.base, RV_ENC_JSON, &n);
    assert_string_equal(unset, "{\"type\":\"t\"}");
    info.name = own;
    char *set _cleanup_free_ = encode(&info.base, RV_ENC_JSON, &n);
    assert_string_equal(set, "{\"type\":\"t\",\"name\":\"default\"}");
    SAME(&reeve__v1__csiplugin_info__descriptor, "{\"type\":\"t\",\"name\":\"x\",\"name\":null}",
         "{\"type\":\"t\"}");
    /* Required fields that are NULL never crash an encoder. */
    info.type = NULL;
    char *partial _cleanup_free_ = encode(&info.base, RV_ENC_JSON, &n);
    assert_string_equal(partial, "{\"name\":\"default\"}");
    char *packed _cleanup_free_ = encode(&info.base, RV_ENC_PROTOBUF, &n);
    assert_int_equal(n, 9);
    assert_non_null(packed);
}

static void test_doubles(void **state) {
    (void)state;
    struct rv_prng prng;
    rv_prng_seed(&prng, 3);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = rv_prng_next(&prng);
        double d;
        memcpy(&d, &bits, sizeof d);
        if (i % 2) {
            d = (double)(int64_t)(bits >> (10 + i % 50)) / (i % 3 ? 1000.0 : 1e6);
        }
        if (!isfinite(d)) {
            continue;
        }
        char text[RV_WIRE_NUMBER_MAX], other[RV_WIRE_NUMBER_MAX];
        size_t n = rv_wire_put_double(text, d);
        assert_in_range(n, 3, RV_WIRE_NUMBER_MAX - 1);
        assert_int_equal(rv_wire_scan_number(text, n), n);
        text[n] = '\0';
        assert_true(strtod(text, NULL) == d);
        double back;
        assert_true(rv_wire_read_double(rv_strn(text, n), &back) && back == d);
        snprintf(other, sizeof other, "%.*g", 15, d);
        if (strtod(other, NULL) == d) {
            double through_other;
            assert_true(rv_wire_read_double(rv_str(other), &through_other) && through_other == d);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message),   cmocka_unit_test(test_damage),
        cmocka_unit_test(test_lenient),         cmocka_unit_test(test_errors),
        cmocka_unit_test(test_limits),          cmocka_unit_test(test_protobuf_errors),
        cmocka_unit_test(test_protobuf_merges), cmocka_unit_test(test_unknown_survives),
        cmocka_unit_test(test_nodes),           cmocka_unit_test(test_default_strings),
        cmocka_unit_test(test_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
