/* Calls and events of schedulers and executors, in both encodings, and what is found wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/str.h"
#include "reeve/v1/executor.pb-c.h"
#include "reeve/v1/scheduler.pb-c.h"
#include "wire/codec.h"
#include "wire/convert.h"
#include "wire/executor_codec.h"
#include "wire/scheduler_codec.h"

static struct rv_arena arena;

static int set_up(void **state) {
    (void)state;
    rv_arena_init(&arena);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    rv_arena_free(&arena);
    return 0;
}

/* JSON text as the encoding asked for. */
static struct rv_str recode(const ProtobufCMessageDescriptor *type, const char *json,
                            enum rv_encoding encoding) {
    ProtobufCMessage *m;
    struct rv_error err;
    if (rv_wire_decode(type, RV_ENC_JSON, rv_str(json), NULL, &arena, &m, &err) < 0)
        fail_msg("%s: %s", json, err.message);
    struct rv_buf b = {0};
    rv_wire_encode(m, encoding, &b);
    struct rv_str s = rv_strn(rv_arena_memdup(&arena, b.data, b.n), b.n);
    rv_buf_free(&b);
    return s;
}

/* JSON in the order and spelling that the codec writes. */
static const char *canonical(const ProtobufCMessageDescriptor *type, const char *json) {
    struct rv_str s = recode(type, json, RV_ENC_JSON);
    return rv_arena_strndup(&arena, s.s, s.n);
}

/* --- scheduler calls --- */

static struct rv_scheduler_call decode(const char *json, enum rv_encoding encoding) {
    struct rv_scheduler_call call;
    struct rv_error err;
    struct rv_str body = recode(&reeve__v1__scheduler__call__descriptor, json, encoding);
    if (rv_wire_scheduler_call_decode(encoding, body, NULL, &arena, &call, &err) < 0)
        fail_msg("%s: %s", json, err.message);
    return call;
}

#define BOTH(encoding)                                                                             \
    (enum rv_encoding encoding = RV_ENC_JSON; encoding <= RV_ENC_PROTOBUF; encoding++)
#define F "\"framework_id\":{\"value\":\"f\"},"
#define UUID64 "AAECAwQFBgcICQoLDA0ODw=="
static const uint8_t uuid[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void test_subscribe(void **state) {
    (void)state;
    for
        BOTH(e) {
            struct rv_scheduler_call c = decode(
                "{\"type\":\"SUBSCRIBE\",\"subscribe\":{\"suppressed_roles\":[\"b\"],\"framework_"
                "info\":{"
                "\"user\":\"u\",\"name\":\"n\",\"failover_timeout\":1.5,\"checkpoint\":true,"
                "\"hostname\":\"h\",\"principal\":\"p\",\"webui_url\":\"w\",\"roles\":[\"a\",\"b\"]"
                ","
                "\"capabilities\":[{\"type\":\"MULTI_ROLE\"},{\"type\":\"PARTITION_AWARE\"}],"
                "\"labels\":{\"labels\":[{\"key\":\"k\"}]},\"offer_filters\":{\"a\":{"
                "\"min_allocatable_resources\":{\"quantities\":[{\"quantities\":{\"cpus\":{"
                "\"value\":0.5}}"
                "}]}}}},\"offer_constraints\":{\"role_constraints\":{\"a\":{\"groups\":[{"
                "\"attribute_constraints\":[{\"selector\":{\"attribute_name\":\"rack\"},"
                "\"predicate\":{"
                "\"text_matches\":{\"regex\":\"r.*\"}}}]}]}}}}}",
                e);
            assert_int_equal(c.type, RV_CALL_SUBSCRIBE);
            assert_null(c.framework_id.v);
            const struct rv_framework_info *f = c.subscribe.info;
            assert_string_equal(f->user, "u");
            assert_string_equal(f->hostname, "h");
            assert_string_equal(f->principal, "p");
            assert_int_equal(f->failover_timeout_ms, 1500);
            assert_true(f->checkpoint);
            assert_int_equal(f->n_roles, 2);
            assert_string_equal(f->roles[1], "b");
            assert_false(f->role_fields_wrong);
            assert_true(rv_framework_can(f, RV_FRAMEWORK_PARTITION_AWARE));
            assert_false(rv_framework_can(f, RV_FRAMEWORK_GPU_RESOURCES));
            assert_int_equal(f->n_min_allocatable, 1);
            assert_int_equal(f->min_allocatable[0].any[0].v[0].amount, 500);
            assert_string_equal(c.subscribe.suppressed_roles[0], "b");
            struct rv_offer_constraints *constraints = c.subscribe.constraints;
            assert_string_equal(constraints->v[0].role, "a");
            assert_int_equal(constraints->v[0].groups[0].v[0].predicate, RV_PREDICATE_TEXT_MATCHES);
            assert_non_null(constraints->packed);
            /* A copy outlives the call, and goes out as it came in, with its id. */
            struct rv_framework_info copy;
            rv_framework_info_copy(&copy, f);
            rv_wire_scheduler_call_release(&c);
            assert_null(copy.id.v);
            copy.id.v = rv_strdup("f1");
            struct rv_buf b = {0};
            rv_wire_encode(&rv_wire_framework_info_to(&copy, &arena)->base, RV_ENC_PROTOBUF, &b);
            ProtobufCMessage *again;
            assert_int_equal(rv_wire_decode(&reeve__v1__framework_info__descriptor, RV_ENC_PROTOBUF,
                                            rv_buf_str(&b), NULL, &arena, &again, NULL),
                             0);
            rv_buf_clear(&b);
            rv_wire_encode(again, RV_ENC_JSON, &b);
            assert_non_null(strstr(b.data, "\"id\":{\"value\":\"f1\"}"));
            assert_non_null(strstr(b.data, "\"labels\":[{\"key\":\"k\"}]"));
            rv_buf_free(&b);
            rv_framework_info_free(&copy);
        }
}

static void framework(const char *fields, struct rv_scheduler_call *out) {
    *out =
        decode(rv_arena_printf(
                   &arena,
                   "{\"type\":\"SUBSCRIBE\",\"framework_id\":{\"value\":"
                   "\"f\"},\"subscribe\":{\"framework_info\":{\"user\":\"u\",\"name\":\"n\"%s}}}",
                   fields),
               RV_ENC_JSON);
}

static void test_framework_info(void **state) {
    (void)state;
    struct rv_scheduler_call c;
    framework("", &c);
    assert_string_equal(c.subscribe.info->id.v, "f");
    assert_int_equal(c.subscribe.info->n_roles, 1);
    assert_string_equal(c.subscribe.info->roles[0], "*");
    assert_false(c.subscribe.info->role_fields_wrong);
    rv_wire_scheduler_call_release(&c);
    framework(",\"role\":\"r\",\"failover_timeout\":-1,\"id\":{\"value\":\"f\"}", &c);
    assert_string_equal(c.subscribe.info->roles[0], "r");
    assert_int_equal(c.subscribe.info->failover_timeout_ms, 0);
    rv_wire_scheduler_call_release(&c);
    framework(",\"roles\":[\"r\"],\"failover_timeout\":1e300", &c);
    assert_true(c.subscribe.info->role_fields_wrong);
    assert_int_equal(c.subscribe.info->failover_timeout_ms, INT64_C(100) * 365 * 86400 * 1000);
    rv_wire_scheduler_call_release(&c);
    framework(",\"role\":\"r\",\"capabilities\":[{\"type\":\"MULTI_ROLE\"}]", &c);
    assert_true(c.subscribe.info->role_fields_wrong);
    assert_int_equal(c.subscribe.info->n_roles, 0);
    rv_wire_scheduler_call_release(&c);
}

static void test_accept(void **state) {
    (void)state;
    for
        BOTH(e) {
            struct rv_scheduler_call c = decode(
                "{" F
                "\"type\":\"ACCEPT\",\"accept\":{\"offer_ids\":[{\"value\":\"o1\"},{\"value\":"
                "\"o2\"}],\"filters\":{\"refuse_seconds\":0.25},\"operations\":["
                "{\"type\":\"LAUNCH\",\"launch\":{\"task_infos\":[{\"name\":\"n\",\"task_id\":{"
                "\"value\":"
                "\"t\"},\"agent_id\":{\"value\":\"a\"},\"command\":{\"value\":\"true\"},"
                "\"resources\":[{"
                "\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":0.1}}],\"kill_"
                "policy\":{"
                "\"grace_period\":{\"nanoseconds\":3000000000}},\"max_completion_time\":{"
                "\"nanoseconds\":5000000000}}]}},"
                "{\"type\":\"LAUNCH_GROUP\",\"id\":{\"value\":\"op\"},\"launch_group\":{"
                "\"executor\":{"
                "\"type\":\"DEFAULT\",\"executor_id\":{\"value\":\"e\"},\"framework_id\":{"
                "\"value\":\"f\"},"
                "\"shutdown_grace_period\":{\"nanoseconds\":1000000}},\"task_group\":{\"tasks\":[]}"
                "}},"
                "{\"type\":\"RESERVE\",\"reserve\":{\"resources\":[{\"name\":\"cpus\",\"type\":"
                "\"SCALAR\","
                "\"scalar\":{\"value\":1},\"reservations\":[{\"type\":\"DYNAMIC\",\"role\":\"r\"}]}"
                "]}},"
                "{\"type\":\"SHRINK_VOLUME\",\"shrink_volume\":{\"volume\":{\"name\":\"disk\","
                "\"type\":"
                "\"SCALAR\",\"scalar\":{\"value\":8},\"reservations\":[{\"type\":\"STATIC\","
                "\"role\":\"r\"}]"
                ",\"disk\":{\"persistence\":{\"id\":\"p\"},\"volume\":{\"container_path\":\"v\","
                "\"mode\":"
                "\"RW\"}}},\"subtract\":{\"value\":2.5}}},"
                "{\"type\":\"CREATE\"}]}}",
                e);
            assert_int_equal(c.type, RV_CALL_ACCEPT);
            assert_string_equal(c.framework_id.v, "f");
            assert_int_equal(c.accept.n_offer_ids, 2);
            assert_string_equal(c.accept.offer_ids[1].v, "o2");
            assert_int_equal(c.accept.refuse_ms, 250);
            assert_int_equal(c.accept.n_operations, 5);
            const struct rv_operation *o = c.accept.operations;
            assert_int_equal(o[0].type, RV_OP_LAUNCH);
            assert_null(o[0].problem);
            const struct rv_task_info *t = &o[0].tasks[0];
            assert_string_equal(t->id.v, "t");
            assert_null(t->problem);
            assert_null(t->executor);
            assert_int_equal(t->kill_grace_ms, 3000);
            assert_int_equal(t->max_completion_ms, 5000);
            assert_int_equal(rv_resources_quantity(&t->resources, "cpus"), 100);
            assert_int_equal(o[1].type, RV_OP_LAUNCH_GROUP);
            assert_string_equal(o[1].id.v, "op");
            assert_int_equal(o[1].executor->type, RV_EXECUTOR_DEFAULT);
            assert_int_equal(o[1].executor->shutdown_grace_ms, 1);
            assert_string_equal(o[1].executor->framework_id.v, "f");
            assert_null(o[1].executor->problem);
            assert_non_null(strstr(o[1].problem, "task_group"));
            assert_int_equal(rv_resources_quantity(&o[2].resources, "cpus"), 1000);
            assert_null(o[2].problem);
            assert_int_equal(o[3].subtract, 2500);
            assert_null(o[3].problem);
            assert_int_equal(o[4].type, RV_OP_CREATE);
            assert_non_null(strstr(o[4].problem, "create"));
            struct rv_operation copy;
            rv_operation_copy(&copy, &o[0]);
            rv_wire_scheduler_call_release(&c);
            assert_string_equal(copy.tasks[0].name, "n");
            rv_operation_free(&copy);
        }
}

static int64_t refuse(const char *filters) {
    struct rv_scheduler_call c =
        decode(rv_arena_printf(
                   &arena, "{" F "\"type\":\"DECLINE\",\"decline\":{\"offer_ids\":[]%s}}", filters),
               RV_ENC_JSON);
    return c.accept.refuse_ms;
}

static void test_refuse(void **state) {
    (void)state;
    assert_int_equal(refuse(""), 5000);
    assert_int_equal(refuse(",\"filters\":{}"), 5000);
    assert_int_equal(refuse(",\"filters\":{\"refuse_seconds\":0}"), 0);
    assert_int_equal(refuse(",\"filters\":{\"refuse_seconds\":-1}"), 5000);
    assert_int_equal(refuse(",\"filters\":{\"refuse_seconds\":\"NaN\"}"), 5000);
    assert_int_equal(refuse(",\"filters\":{\"refuse_seconds\":3600.0004}"), 3600000);
    assert_int_equal(refuse(",\"filters\":{\"refuse_seconds\":1e18}"), INT64_C(365) * 86400 * 1000);
    assert_int_equal(refuse(",\"filters\":{\"refuse_seconds\":\"Infinity\"}"),
                     INT64_C(365) * 86400 * 1000);
}

static void test_small_calls(void **state) {
    (void)state;
    for
        BOTH(e) {
            struct rv_scheduler_call c = decode("{" F "\"type\":\"TEARDOWN\"}", e);
            assert_int_equal(c.type, RV_CALL_TEARDOWN);
            c = decode(
                "{" F "\"type\":\"DECLINE\",\"decline\":{\"offer_ids\":[{\"value\":\"o\"}]}}", e);
            assert_string_equal(c.accept.offer_ids[0].v, "o");
            c = decode("{" F "\"type\":\"ACCEPT_INVERSE_OFFERS\",\"accept_inverse_offers\":{"
                       "\"inverse_offer_ids\":[{\"value\":\"i\"}]}}",
                       e);
            assert_string_equal(c.accept.offer_ids[0].v, "i");
            c = decode("{" F "\"type\":\"DECLINE_INVERSE_OFFERS\",\"decline_inverse_offers\":{}}",
                       e);
            assert_int_equal(c.accept.n_offer_ids, 0);
            c = decode("{" F "\"type\":\"REVIVE\"}", e);
            assert_int_equal(c.roles.n_roles, 0);
            c = decode("{" F "\"type\":\"SUPPRESS\",\"suppress\":{\"roles\":[\"r\"]}}", e);
            assert_string_equal(c.roles.roles[0], "r");
            c = decode("{" F "\"type\":\"KILL\",\"kill\":{\"task_id\":{\"value\":\"t\"}}}", e);
            assert_string_equal(c.kill.task_id.v, "t");
            assert_null(c.kill.agent_id.v);
            assert_int_equal(c.kill.grace_ms, -1);
            c = decode("{" F
                       "\"type\":\"KILL\",\"kill\":{\"task_id\":{\"value\":\"t\"},\"agent_id\":{"
                       "\"value\":\"a\"},\"kill_policy\":{\"grace_period\":{\"nanoseconds\":-5}}}}",
                       e);
            assert_string_equal(c.kill.agent_id.v, "a");
            assert_int_equal(c.kill.grace_ms, 0);
            c = decode("{" F
                       "\"type\":\"SHUTDOWN\",\"shutdown\":{\"executor_id\":{\"value\":\"e\"},"
                       "\"agent_id\":{\"value\":\"a\"}}}",
                       e);
            assert_string_equal(c.shutdown.executor_id.v, "e");
            c = decode("{" F
                       "\"type\":\"ACKNOWLEDGE\",\"acknowledge\":{\"agent_id\":{\"value\":\"a\"},"
                       "\"task_id\":{\"value\":\"t\"},\"uuid\":\"" UUID64 "\"}}",
                       e);
            assert_memory_equal(c.acknowledge.uuid, uuid, 16);
            c = decode(
                "{" F "\"type\":\"ACKNOWLEDGE_OPERATION_STATUS\",\"acknowledge_operation_status\":"
                "{\"resource_provider_id\":{\"value\":\"p\"},\"operation_id\":{\"value\":\"o\"},"
                "\"uuid\":\"" UUID64 "\"}}",
                e);
            assert_memory_equal(c.acknowledge_operation.uuid, uuid, 16);
            assert_string_equal(c.acknowledge_operation.provider_id, "p");
            c = decode("{" F
                       "\"type\":\"RECONCILE\",\"reconcile\":{\"tasks\":[{\"task_id\":{\"value\":"
                       "\"t\"}},{\"task_id\":{\"value\":\"u\"},\"agent_id\":{\"value\":\"a\"}}]}}",
                       e);
            assert_int_equal(c.reconcile.n, 2);
            assert_null(c.reconcile.tasks[0].agent_id.v);
            assert_string_equal(c.reconcile.tasks[1].agent_id.v, "a");
            c = decode("{" F "\"type\":\"RECONCILE_OPERATIONS\",\"reconcile_operations\":{"
                       "\"operations\":[{\"operation_id\":{\"value\":\"o\"}}]}}",
                       e);
            assert_string_equal(c.reconcile_operations.operations[0].operation_id.v, "o");
            c = decode("{" F "\"type\":\"MESSAGE\",\"message\":{\"agent_id\":{\"value\":\"a\"},"
                       "\"executor_id\":{\"value\":\"e\"},\"data\":\"AAE=\"}}",
                       e);
            assert_int_equal(c.message.data.n, 2);
            assert_memory_equal(c.message.data.s, "\0\1", 2);
            c = decode("{" F "\"type\":\"REQUEST\",\"request\":{\"requests\":[]}}", e);
            assert_int_equal(c.type, RV_CALL_REQUEST);
            c = decode("{" F
                       "\"type\":\"UPDATE_FRAMEWORK\",\"update_framework\":{\"framework_info\":{"
                       "\"user\":\"u\",\"name\":\"n\",\"id\":{\"value\":\"f\"}}}}",
                       e);
            assert_string_equal(c.subscribe.info->id.v, "f");
            rv_wire_scheduler_call_release(&c);
        }
}

static void refused(const char *json, int code, const char *why) {
    struct rv_scheduler_call call;
    struct rv_error err = {0};
    int r = rv_wire_scheduler_call_decode(RV_ENC_JSON, rv_str(json), NULL, &arena, &call, &err);
    if (r != -code || !strstr(err.message, why))
        fail_msg("%s: %d %s", json, r, err.message);
}

/* An empty framework id is none where none is needed. */
static void test_empty_framework_id(void **state) {
    (void)state;
    for
        BOTH(e) {
            struct rv_scheduler_call c = decode(
                "{\"type\":\"SUBSCRIBE\",\"framework_id\":{\"value\":\"\"},\"subscribe\":{"
                "\"framework_info\":{\"user\":\"u\",\"name\":\"n\",\"id\":{\"value\":\"\"}}}}",
                e);
            assert_null(c.framework_id.v);
            assert_null(c.subscribe.info->id.v);
            rv_wire_scheduler_call_release(&c);
        }
}

static void test_refused_calls(void **state) {
    (void)state;
    static const char *const parts[][2] = {
        {"SUBSCRIBE", "subscribe"},
        {"ACCEPT", "accept"},
        {"DECLINE", "decline"},
        {"KILL", "kill"},
        {"SHUTDOWN", "shutdown"},
        {"ACKNOWLEDGE", "acknowledge"},
        {"RECONCILE", "reconcile"},
        {"RECONCILE_OPERATIONS", "reconcile_operations"},
        {"MESSAGE", "message"},
        {"REQUEST", "request"},
        {"UPDATE_FRAMEWORK", "update_framework"},
        {"ACKNOWLEDGE_OPERATION_STATUS", "acknowledge_operation_status"},
        {"ACCEPT_INVERSE_OFFERS", "accept_inverse_offers"},
        {"DECLINE_INVERSE_OFFERS", "decline_inverse_offers"}};
    for (size_t i = 0; i < RV_COUNT(parts); i++)
        refused(rv_arena_printf(&arena, "{" F "\"type\":\"%s\"}", parts[i][0]), RV_ERR_INVALID,
                parts[i][1]);
    refused("{}", RV_ERR_INVALID, "type");
    refused("{", RV_ERR_INVALID, "");
    refused("{\"type\":\"REVIVE\"}", RV_ERR_INVALID, "framework_id");
    refused("{" F "\"type\":\"UNKNOWN\"}", RV_ERR_UNSUPPORTED, "type");
    refused("{" F "\"type\":\"KILL\",\"kill\":{}}", RV_ERR_INVALID, "task_id");
    refused("{" F "\"type\":\"ACKNOWLEDGE\",\"acknowledge\":{\"agent_id\":{\"value\":\"a\"},"
            "\"task_id\":{\"value\":\"t\"},\"uuid\":\"AAE=\"}}",
            RV_ERR_INVALID, "16 bytes");
#define SUBSCRIBE(more, rest)                                                                      \
    "{" F "\"type\":\"SUBSCRIBE\",\"subscribe\":{\"framework_info\":{"                             \
    "\"user\":\"u\",\"name\":\"n\"" more "}" rest "}}"
    refused(SUBSCRIBE(",\"id\":{\"value\":\"g\"}", ""), RV_ERR_INVALID, "differ");
    refused(SUBSCRIBE(",\"failover_timeout\":\"NaN\"", ""), RV_ERR_INVALID, "failover_timeout");
    refused(SUBSCRIBE(",\"offer_filters\":{\"r\":{\"min_allocatable_resources\":{\"quantities\":[{"
                      "\"quantities\":{\"cpus\":{\"value\":-1}}}]}}}",
                      ""),
            RV_ERR_INVALID, "offer_filters[r]");
#define CONSTRAINT(one)                                                                            \
    SUBSCRIBE("", ",\"offer_constraints\":{\"role_constraints\":{\"r\":{"                          \
                  "\"groups\":[{\"attribute_constraints\":[" one "]}]}}}")
    refused(CONSTRAINT("{\"selector\":{\"attribute_name\":\"a\"},\"predicate\":{\"text_matches\":{"
                       "\"regex\":\"(\"}}}"),
            RV_ERR_INVALID, "regex");
    refused(CONSTRAINT("{\"selector\":{},\"predicate\":{\"exists\":{}}}"), RV_ERR_INVALID,
            "selector");
    refused(CONSTRAINT("{\"selector\":{\"pseudoattribute_type\":\"UNKNOWN\"},\"predicate\":{"
                       "\"exists\":{}}}"),
            RV_ERR_INVALID, "pseudoattribute_type");
    refused(CONSTRAINT("{\"selector\":{\"attribute_name\":\"a\"},\"predicate\":{}}"),
            RV_ERR_INVALID, "role_constraints[r].groups[0].attribute_constraints[0]");
}

/* --- what is wrong with operations --- */

/* Of the operation with that type and that part, in either encoding; "" if it is all right. */
static const char *operation_problem(const char *type, const char *part, enum rv_encoding e) {
    struct rv_scheduler_call c = decode(
        rv_arena_printf(
            &arena, "{" F "\"type\":\"ACCEPT\",\"accept\":{\"operations\":[{\"type\":\"%s\",%s}]}}",
            type, part),
        e);
    const char *problem = c.accept.operations[0].problem;
    rv_wire_scheduler_call_release(&c);
    return problem ? problem : "";
}

#define RESERVED                                                                                   \
    "\"name\":\"disk\",\"type\":\"SCALAR\",\"scalar\":{\"value\":8},\"role\":\"r\","               \
    "\"reservation\":{}"
#define DISK(disk) "{" RESERVED ",\"disk\":{" disk "}}"
#define AT(more)                                                                                   \
    "\"persistence\":{\"id\":\"v\"},\"volume\":{\"container_path\":\"p\",\"mode\":\"RW\"" more "}"
#define RO "\"persistence\":{\"id\":\"v\"},\"volume\":{\"container_path\":\"p\",\"mode\":\"RO\"}"
#define VOLUMES(part, disk) "\"" part "\":{\"volumes\":[" DISK(disk) "]}"
#define RESIZE(part, disk, more) "\"" part "\":{\"volume\":" DISK(disk) "," more "}"

static void test_operation_problems(void **state) {
    (void)state;
    static const struct {
        const char *type, *part;
        const char *problem; /* NULL: none */
    } cases[] = {
        {"RESERVE", "\"reserve\":{\"resources\":[{" RESERVED "}]}", NULL},
        {"RESERVE", "\"create\":{}", "'operation.reserve' must be set"},
        {"RESERVE", "\"reserve\":{\"resources\":[" DISK("") "]}",
         "'reserve.resources[0].disk' must have 'persistence' or 'source'"},
        {"RESERVE", "\"reserve\":{\"resources\":[{" RESERVED "}],\"source\":[" DISK("") "]}",
         "reserve.source[0].disk"},
        {"UNRESERVE", "\"unreserve\":{\"resources\":[" DISK("") "]}",
         "unreserve.resources[0].disk"},
        {"CREATE", VOLUMES("create", AT("")), NULL},
        {"DESTROY", VOLUMES("destroy", AT("")), NULL},
        {"CREATE", VOLUMES("create", AT(",\"host_path\":\"/h\"")), "must not have 'host_path'"},
        {"CREATE", VOLUMES("create", AT(",\"source\":{\"type\":\"SECRET\"}")), "'source'"},
        {"CREATE", VOLUMES("create", "\"persistence\":{\"id\":\"v\"}"),
         "'create.volumes[0].disk.volume' must be set"},
        {"CREATE", VOLUMES("create", "\"volume\":{\"container_path\":\"p\",\"mode\":\"RW\"}"),
         "'create.volumes[0].disk.persistence' must be set"},
        {"CREATE", VOLUMES("create", AT("") ",\"source\":{\"type\":\"PATH\"}"),
         "'create.volumes[0].disk.source' must not be set"},
        {"CREATE", VOLUMES("create", RO), "'create.volumes[0].disk.volume.mode' must be RW"},
        {"CREATE",
         VOLUMES("create", "\"persistence\":{\"id\":\"v\"},\"volume\":{\"container_path\":\"\","
                           "\"mode\":\"RW\"}"),
         "container_path' must not be empty"},
        {"CREATE",
         VOLUMES("create",
                 "\"persistence\":{\"id\":\"v\"},\"volume\":{\"container_path\":\"a/../b\","
                 "\"mode\":\"RW\"}"),
         "must not contain '..'"},
        {"GROW_VOLUME", RESIZE("grow_volume", AT(""), "\"addition\":{" RESERVED "}"), NULL},
        {"GROW_VOLUME",
         RESIZE("grow_volume", "\"persistence\":{\"id\":\"v\"}", "\"addition\":{" RESERVED "}"),
         "'grow_volume.volume[0].disk.volume' must be set"},
        {"SHRINK_VOLUME", RESIZE("shrink_volume", AT(""), "\"subtract\":{\"value\":2}"), NULL},
        {"SHRINK_VOLUME", RESIZE("shrink_volume", AT(""), "\"subtract\":{\"value\":-2}"),
         "'shrink_volume.subtract' must be an amount over zero"},
        {"SHRINK_VOLUME", RESIZE("shrink_volume", AT(""), "\"subtract\":{\"value\":0.0001}"),
         "must be an amount over zero"},
        {"SHRINK_VOLUME", RESIZE("shrink_volume", "", "\"subtract\":{\"value\":2}"),
         "shrink_volume.volume[0].disk"},
    };
    for (size_t i = 0; i < RV_COUNT(cases); i++)
        for
            BOTH(e) {
                const char *problem = operation_problem(cases[i].type, cases[i].part, e);
                if (cases[i].problem ? !strstr(problem, cases[i].problem) : *problem)
                    fail_msg("%s %s: %s", cases[i].type, cases[i].part, problem);
            }
}

/* --- what is wrong with tasks --- */

/* A task with these fields beside id, agent and resources; "" if it is all right. */
static const char *task_problem(const char *fields, bool group) {
    const char *task = rv_arena_printf(
        &arena,
        "{\"name\":\"n\",\"task_id\":{\"value\":\"t\"},\"agent_id\":{\"value\":\"a\"}"
        ",\"resources\":[{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1}}]%s}",
        fields);
    const char *json =
        group ? rv_arena_printf(
                    &arena,
                    "{" F "\"type\":\"ACCEPT\",\"accept\":{\"operations\":[{"
                    "\"type\":\"LAUNCH_GROUP\",\"launch_group\":{\"executor\":{\"executor_id\":{"
                    "\"value\":\"e\"},\"type\":\"DEFAULT\"},\"task_group\":{\"tasks\":[%s]}}}]}}",
                    task)
              : rv_arena_printf(&arena,
                                "{" F "\"type\":\"ACCEPT\",\"accept\":{\"operations\":[{"
                                "\"type\":\"LAUNCH\",\"launch\":{\"task_infos\":[%s]}}]}}",
                                task);
    struct rv_scheduler_call c = decode(json, RV_ENC_JSON);
    const char *problem = c.accept.operations[0].tasks[0].problem;
    assert_null(c.accept.operations[0].problem);
    rv_wire_scheduler_call_release(&c);
    return problem ? problem : "";
}

#define CMD ",\"command\":{\"value\":\"true\"}"
#define EXECUTOR(more) ",\"executor\":{\"executor_id\":{\"value\":\"e\"}" more "}"
#define CONTAINER(rest) CMD ",\"container\":{\"type\":\"MESOS\"," rest "}"
#define VOLUME(rest) CONTAINER("\"volumes\":[{\"mode\":\"RW\",\"container_path\":\"p\"" rest "}]")
#define HEALTH(rest) CMD ",\"health_check\":{" rest "}"
#define CHECKED(rest) CMD ",\"check\":{" rest "}"

/* A task says where it wants to see its volume. */
static void test_volume_of_a_task(void **state) {
    (void)state;
    struct rv_scheduler_call c = decode(
        "{" F "\"type\":\"ACCEPT\",\"accept\":{\"operations\":[{\"type\":\"LAUNCH\",\"launch\":{"
        "\"task_infos\":[{\"name\":\"n\",\"task_id\":{\"value\":\"t\"},\"agent_id\":{\"value\":"
        "\"a\"}" CMD ",\"resources\":[" DISK("\"persistence\":{\"id\":\"v\"}") "]}]}}]}}",
        RV_ENC_JSON);
    assert_string_equal(c.accept.operations[0].tasks[0].problem,
                        "'task.resources[0].disk.volume' must be set for a persistent volume");
    rv_wire_scheduler_call_release(&c);
}

static void test_task_problems(void **state) {
    (void)state;
    static const struct {
        const char *fields;
        const char *problem; /* part of it; NULL: none */
    } cases[] = {
        {CMD, NULL},
        {"", "'command' and 'executor'"},
        {CMD EXECUTOR(CMD), "only one of"},
        {EXECUTOR(CMD), NULL},
        {EXECUTOR(""), "executor.command"},
        {EXECUTOR(CMD ",\"shutdown_grace_period\":{\"nanoseconds\":-1}"), "shutdown_grace_period"},
        {EXECUTOR(CMD ",\"type\":\"DEFAULT\""), "executor.command"},
        {EXECUTOR(CMD ",\"type\":\"UNKNOWN\""), NULL},
        {EXECUTOR(",\"type\":\"UNKNOWN\""), "executor.command"},
        {EXECUTOR(",\"type\":\"DEFAULT\",\"container\":{\"type\":\"DOCKER\",\"docker\":{\"image\":"
                  "\"i\"}}"),
         "executor.container.type"},
        {EXECUTOR(CMD ",\"resources\":[" DISK(AT("")) "]"), NULL},
        {EXECUTOR(CMD ",\"resources\":[" DISK(RO) "]"), NULL},
        {EXECUTOR(CMD ",\"resources\":[" DISK("") "]"), "executor.resources[0].disk"},
        {",\"command\":{}", "task.command.value"},
        {",\"command\":{\"shell\":false}", "task.command.value"},
        {",\"command\":{\"shell\":false},\"container\":{\"type\":\"MESOS\",\"mesos\":{\"image\":{"
         "\"type\":\"DOCKER\",\"docker\":{\"name\":\"i\"}}}}",
         NULL},
        {",\"command\":{\"value\":\"v\",\"environment\":{\"variables\":[{\"name\":\"A\"}]}}",
         "environment.variables[0].value"},
        {",\"command\":{\"value\":\"v\",\"environment\":{\"variables\":[{\"name\":\"A\",\"value\":"
         "\"\"},"
         "{\"name\":\"B=\",\"value\":\"x\"}]}}",
         "environment.variables[1].name"},
        {",\"command\":{\"value\":\"v\",\"environment\":{\"variables\":[{\"name\":\"\",\"value\":"
         "\"x\"}]}}",
         "environment.variables[0].name"},
        {",\"command\":{\"value\":\"v\",\"environment\":{\"variables\":[{\"name\":\"A\",\"type\":"
         "\"SECRET\"}]}}",
         "environment.variables[0].secret"},
        {",\"command\":{\"value\":\"v\",\"environment\":{\"variables\":[{\"name\":\"A\",\"type\":"
         "\"SECRET\","
         "\"secret\":{\"type\":\"VALUE\"}}]}}",
         "secret.value"},
        {",\"command\":{\"value\":\"v\",\"uris\":[{\"value\":\"\"}]}", "uris[0].value"},
        {",\"command\":{\"value\":\"v\",\"uris\":[{\"value\":\"u\",\"output_file\":\"a/b\"}]}",
         NULL},
        {",\"command\":{\"value\":\"v\",\"uris\":[{\"value\":\"u\",\"output_file\":\"/a\"}]}",
         "uris[0].output_file"},
        {",\"command\":{\"value\":\"v\",\"uris\":[{\"value\":\"u\",\"output_file\":\"a/../..\"}]}",
         "uris[0].output_file"},
        {CMD ",\"container\":{\"type\":\"DOCKER\"}", "task.container.docker"},
        {VOLUME(""), NULL},
        {VOLUME(",\"host_path\":\"h\""), NULL},
        {VOLUME(",\"host_path\":\"h\",\"source\":{\"type\":\"HOST_PATH\",\"host_path\":{\"path\":"
                "\"h\"}}"),
         "volumes[0]"},
        {VOLUME(",\"source\":{\"type\":\"HOST_PATH\"}"), "source.host_path"},
        {VOLUME(",\"source\":{}"), "source.type"},
        {VOLUME(",\"source\":{\"type\":\"SANDBOX_PATH\",\"sandbox_path\":{\"path\":\"h\"}}"),
         "sandbox_path.type"},
        {CONTAINER("\"volumes\":[{\"mode\":\"RW\",\"container_path\":\"\"}]"), "container_path"},
        {CONTAINER("\"rlimit_info\":{\"rlimits\":[{\"type\":\"RLMT_CPU\",\"hard\":1}]}"),
         "rlimits[0]"},
        {CONTAINER("\"rlimit_info\":{\"rlimits\":[{\"type\":\"RLMT_CPU\",\"hard\":1,\"soft\":1}]}"),
         NULL},
        {HEALTH("\"type\":\"COMMAND\""), "health_check.command"},
        {HEALTH(""), "health_check.type"},
        {HEALTH("\"type\":\"COMMAND\",\"command\":{\"value\":\"v\"}"), NULL},
        {HEALTH("\"type\":\"COMMAND\",\"command\":{}"), "health_check.command.value"},
        {HEALTH("\"type\":\"HTTP\",\"http\":{\"port\":80,\"path\":\"x\"}"), "http.path"},
        {HEALTH("\"type\":\"HTTP\",\"http\":{\"port\":80,\"scheme\":\"ftp\"}"), "http.scheme"},
        {HEALTH("\"type\":\"TCP\",\"tcp\":{\"port\":0}"), "tcp.port"},
        {HEALTH("\"type\":\"TCP\",\"tcp\":{\"port\":1},\"grace_period_seconds\":-1"),
         "grace_period_seconds"},
        {CHECKED(""), "check.type"},
        {CHECKED("\"type\":\"COMMAND\""), "check.command"},
        {CHECKED("\"type\":\"HTTP\""), "check.http"},
        {CHECKED("\"type\":\"TCP\""), "check.tcp"},
        {CHECKED("\"type\":\"TCP\",\"tcp\":{\"port\":65536}"), "check.tcp.port"},
        {CHECKED("\"type\":\"COMMAND\",\"command\":{\"command\":{\"value\":\"true\"}}"), NULL},
        {CHECKED("\"type\":\"COMMAND\",\"command\":{\"command\":{\"value\":\"true\"}},"
                 "\"interval_seconds\":-1.0"),
         "check.interval_seconds"},
        {CHECKED("\"type\":\"COMMAND\",\"command\":{\"command\":{\"value\":\"true\"}},"
                 "\"timeout_seconds\":\"NaN\""),
         "check.timeout_seconds"},
        {CMD ",\"kill_policy\":{\"grace_period\":{\"nanoseconds\":-1}}",
         "kill_policy.grace_period"},
        {CMD ",\"max_completion_time\":{\"nanoseconds\":-1}", "max_completion_time"},
        {CMD ",\"limits\":{\"cpus\":{\"value\":2}}", NULL},
        {CMD ",\"limits\":{\"cpus\":{\"value\":\"Infinity\"}}", NULL},
        {CMD ",\"limits\":{\"mem\":{\"value\":64}}", "beside a request for 'mem'"},
        {CMD ",\"limits\":{\"cpus\":{\"value\":0.5}}", "limits[cpus]"},
        {CMD ",\"limits\":{\"disk\":{\"value\":1}}", "disk"},
        {CMD ",\"limits\":{\"mem\":{\"value\":\"NaN\"}}", "limits[mem]"},
        {CMD ",\"limits\":{\"cpus\":{\"value\":\"NaN\"}}", "an amount or Infinity"},
        {CONTAINER("\"linux_info\":{\"share_cgroups\":true}"), NULL},
        {CONTAINER("\"linux_info\":{\"share_cgroups\":false}"), "share_cgroups"},
        {CMD ",\"task_id\":{\"value\":\"a/b\"}", "task.task_id"},
        {CMD ",\"resources\":[]", "task.resources"},
        {CMD ",\"resources\":[{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":-1}}]",
         "task.resources[0]"},
        {CMD ",\"resources\":[{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1}},"
             "{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1},\"revocable\":{}}]",
         "'cpus'"},
    };
    for (size_t i = 0; i < RV_COUNT(cases); i++) {
        const char *p = task_problem(cases[i].fields, false);
        if (cases[i].problem ? !strstr(p, cases[i].problem) : *p != '\0')
            fail_msg("%s: '%s'", cases[i].fields, p);
    }
    assert_string_equal(task_problem(CMD, true), "");
    assert_string_equal(task_problem(CMD EXECUTOR(",\"type\":\"DEFAULT\""), true), "");
    assert_non_null(
        strstr(task_problem(CMD ",\"limits\":{\"cpus\":{\"value\":2}}", true), "limits"));
    assert_non_null(strstr(task_problem(CMD ",\"container\":{\"type\":\"DOCKER\",\"docker\":{"
                                            "\"image\":\"i\"}}",
                                        true),
                           "container.type"));
}

/* --- secrets --- */

static bool has(const struct rv_blob *blob, const char *text) {
    return blob && memmem(blob->data, blob->n, text, strlen(text));
}

/* What is kept and shown of a task is without the values of secrets, wherever they stand in it. */
static void test_secrets(void **state) {
    (void)state;
#define SECRET(base64) "{\"type\":\"VALUE\",\"value\":{\"data\":\"" base64 "\"}}"
#define VARIABLE(base64) "{\"name\":\"A\",\"type\":\"SECRET\",\"secret\":" SECRET(base64) "}"
#define COMMAND(base64) "{\"value\":\"x\",\"environment\":{\"variables\":[" VARIABLE(base64) "]}}"
    static const char json[] =
        "{\"name\":\"n\",\"task_id\":{\"value\":\"t\"},\"agent_id\":{\"value\":\"a\"},"
        "\"executor\":{\"executor_id\":{\"value\":\"e\"},\"command\":" COMMAND(
            "b25lLg==") "},"
                        "\"command\":" COMMAND(
                            "dHdvLg==") ","
                                        "\"container\":{\"type\":\"MESOS\",\"volumes\":[{\"mode\":"
                                        "\"RO\",\"container_path\":"
                                        "\"p\",\"source\":{\"type\":\"SECRET\",\"secret\":" SECRET(
                                            "dGhyZWUu") "}}]},"
                                                        "\"health_check\":{\"type\":\"COMMAND\","
                                                        "\"command\":" COMMAND("Zm91ci4=") "}}";
    static const char *const values[] = {"one.", "two.", "three.", "four."};
    struct rv_str bytes = recode(&reeve__v1__task_info__descriptor, json, RV_ENC_PROTOBUF);
    struct rv_task_info t, again;
    ProtobufCMessage *m;

    assert_int_equal(rv_wire_decode(&reeve__v1__task_info__descriptor, RV_ENC_PROTOBUF, bytes, NULL,
                                    &arena, &m, NULL),
                     0);
    rv_wire_task_info_from((const void *)m, false, false, &arena, &t);
    for (size_t i = 0; i < RV_COUNT(values); i++) {
        assert_false(has(t.packed, values[i]));
        assert_true(has(t.whole, values[i]));
    }
    assert_int_equal(t.whole->n, bytes.n);
    assert_true(has(t.executor->whole, "one.") && !has(t.executor->packed, "one."));
    /* A secret that is held back can be told from one that never had a value. */
    bytes = rv_strn(t.packed->data, t.packed->n);
    assert_int_equal(rv_wire_decode(&reeve__v1__task_info__descriptor, RV_ENC_PROTOBUF, bytes, NULL,
                                    &arena, &m, NULL),
                     0);
    const Reeve__V1__Secret *held =
        ((Reeve__V1__TaskInfo *)(void *)m)->command->environment->variables[0]->secret;
    assert_true(held->type == REEVE__V1__SECRET__TYPE__VALUE && !held->value);
    rv_wire_task_info_from((const void *)m, false, false, &arena, &again);
    assert_null(again.whole);
    assert_true(rv_blob_eq(again.packed, t.packed));
    rv_wire_task_info_release(&again);
    rv_task_info_copy(&again, &t);
    rv_task_info_forget(&again);
    assert_true(!again.whole && !again.executor->whole && again.packed);
    rv_task_info_free(&again);
    rv_wire_task_info_release(&t);
}

/* --- scheduler events --- */

/* The event as JSON is `expected`, and so is its protobuf. */
static void check_event(const struct rv_scheduler_event *event, const char *expected) {
    for
        BOTH(e) {
            struct rv_buf b = {0};
            rv_wire_scheduler_event_encode(event, e, &arena, &b);
            struct rv_str json = rv_buf_str(&b);
            if (e == RV_ENC_PROTOBUF) {
                ProtobufCMessage *m;
                struct rv_error err;
                if (rv_wire_decode(&reeve__v1__scheduler__event__descriptor, e, json, NULL, &arena,
                                   &m, &err) < 0)
                    fail_msg("%s", err.message);
                rv_buf_free(&b);
                rv_wire_encode(m, RV_ENC_JSON, &b);
            }
            assert_string_equal(b.data,
                                canonical(&reeve__v1__scheduler__event__descriptor, expected));
            rv_buf_free(&b);
        }
}

static void test_offers(void **state) {
    (void)state;
    char hostname[] = "h", ip[] = "10.0.0.1";
    struct rv_agent_info agent = {.id = {"a"}, .hostname = hostname, .ip = ip, .port = 5051};
    struct rv_resources resources = {0};
    struct rv_error err;
    assert_int_equal(rv_resources_parse("cpus(r):1.5", NULL, &resources, &err), 0);
    assert_int_equal(rv_attributes_parse("rack:r1", &agent.attributes, &err), 0);
    rv_resources_allocate(&resources, "r");
    struct rv_executor_id executor = {"e"};
    struct rv_offer_view offer = {{"o"}, {"f"}, &agent, "r", &resources, &executor, 1};
    struct rv_scheduler_event event = {.type = RV_EVENT_OFFERS};
    event.offers.offers = &offer;
    event.offers.n = 1;
#define OFFER(resource, more)                                                                      \
    "{\"type\":\"OFFERS\",\"offers\":{\"offers\":[{\"id\":{\"value\":\"o\"},\"framework_id\":{"    \
    "\"value\":\"f\"},\"agent_id\":{\"value\":\"a\"},\"hostname\":\"h\",\"url\":{\"scheme\":"      \
    "\"http\",\"address\":{\"hostname\":\"h\",\"ip\":\"10.0.0.1\",\"port\":5051},\"path\":"        \
    "\"\\/"                                                                                        \
    "slave(1)\"},\"resources\":[{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":"     \
    "1.5}" resource "}],\"attributes\":[{\"name\":\"rack\",\"type\":\"TEXT\",\"text\":{\"value\":" \
    "\"r1\"}}],\"executor_ids\":[{\"value\":\"e\"}]" more "}]}}"
    check_event(&event, OFFER(",\"role\":\"r\"", ""));
    event.capabilities = 1u << RV_FRAMEWORK_MULTI_ROLE;
    check_event(&event, OFFER(",\"role\":\"r\",\"allocation_info\":{\"role\":\"r\"}",
                              ",\"allocation_info\":{\"role\":\"r\"}"));
    event.capabilities |= 1u << RV_FRAMEWORK_RESERVATION_REFINEMENT;
    check_event(&event, OFFER(",\"allocation_info\":{\"role\":\"r\"},\"reservations\":[{\"type\":"
                              "\"STATIC\",\"role\":\"r\"}]",
                              ",\"allocation_info\":{\"role\":\"r\"}"));
    rv_resources_free(&resources);
    rv_attributes_free(&agent.attributes);
}

static void test_update(void **state) {
    (void)state;
    char message[] = "m";
    struct rv_task_status s = {
        .task_id = {"t"}, .state = RV_TASK_RUNNING, .healthy = -1, .reason = RV_REASON_NONE};
    struct rv_scheduler_event event = {.type = RV_EVENT_UPDATE, .update = &s};
    check_event(&event,
                "{\"type\":\"UPDATE\",\"update\":{\"status\":{\"task_id\":{\"value\":\"t\"},"
                "\"state\":\"TASK_RUNNING\"}}}");
    s = (struct rv_task_status){.task_id = {"t"},
                                .state = RV_TASK_FAILED,
                                .has_source = true,
                                .source = RV_SOURCE_AGENT,
                                .reason = RV_REASON_EXECUTOR_TERMINATED,
                                .message = message,
                                .agent_id = {"a"},
                                .executor_id = {"e"},
                                .timestamp_ns = INT64_C(1700000000250000000),
                                .has_uuid = true,
                                .healthy = 0,
                                .unreachable_ns = 5,
                                .container_id = {"p.c"}};
    memcpy(s.uuid, uuid, 16);
    /* data and an unknown field 100 */
    s.rest = rv_blob_new("\x1a\x01x\xa0\x06\x07", 6);
    check_event(&event,
                "{\"type\":\"UPDATE\",\"update\":{\"status\":{\"task_id\":{\"value\":\"t\"},"
                "\"state\":\"TASK_FAILED\",\"message\":\"m\",\"source\":\"SOURCE_AGENT\","
                "\"reason\":\"REASON_EXECUTOR_TERMINATED\",\"data\":\"eA==\",\"agent_id\":{"
                "\"value\":\"a\"},\"executor_id\":{\"value\":\"e\"},\"timestamp\":"
                "1700000000.25,\"uuid\":\"" UUID64 "\",\"healthy\":false,"
                "\"container_status\":{\"container_id\":{\"value\":\"c\",\"parent\":{\"value\":"
                "\"p\"}}},\"unreachable_time\":{\"nanoseconds\":5}}}}");
    rv_blob_unref(s.rest);
}

static void test_small_events(void **state) {
    static char hostname[] = "h", ip[] = "10.0.0.1";
    const struct rv_agent_info agent = {.id = {"a"}, .hostname = hostname, .ip = ip, .port = 5051};
    const struct rv_unavailability away = {5, true, 7};
    const struct rv_inverse_offer_view inverse = {{"i"}, {"f"}, &agent, &away};

    (void)state;
    struct rv_scheduler_event e = {.type = RV_EVENT_SUBSCRIBED};
    e.subscribed.framework_id.v = "f";
    e.subscribed.heartbeat_ms = 15000;
    e.subscribed.master_info =
        rv_wire_master_info_pack("m", "h", "127.0.0.1", 5050, "1.11.0", NULL);
    check_event(&e,
                "{\"type\":\"SUBSCRIBED\",\"subscribed\":{\"framework_id\":{\"value\":\"f\"},"
                "\"heartbeat_interval_seconds\":15.0,\"master_info\":{\"id\":\"m\",\"ip\":16777343,"
                "\"port\":5050,\"pid\":\"master@127.0.0.1:5050\",\"hostname\":\"h\",\"version\":"
                "\"1.11.0\",\"address\":{\"hostname\":\"h\",\"ip\":\"127.0.0.1\",\"port\":5050},"
                "\"capabilities\":[{\"type\":\"AGENT_UPDATE\"},{\"type\":\"AGENT_DRAINING\"},{"
                "\"type\":\"QUOTA_V2\"}]}}}");
    rv_blob_unref(e.subscribed.master_info);
    e = (struct rv_scheduler_event){.type = RV_EVENT_INVERSE_OFFERS};
    check_event(&e, "{\"type\":\"INVERSE_OFFERS\",\"inverse_offers\":{}}");
    e.inverse_offers.offers = &inverse;
    e.inverse_offers.n = 1;
    check_event(&e,
                "{\"type\":\"INVERSE_OFFERS\",\"inverse_offers\":{\"inverse_offers\":[{\"id\":{"
                "\"value\":\"i\"},\"url\":{\"scheme\":\"http\",\"address\":{\"hostname\":\"h\","
                "\"ip\":\"10.0.0.1\",\"port\":5051},\"path\":\"/slave(1)\"},\"framework_id\":{"
                "\"value\":\"f\"},\"agent_id\":{\"value\":\"a\"},\"unavailability\":{\"start\":{"
                "\"nanoseconds\":5},\"duration\":{\"nanoseconds\":7}}}]}}");
    e = (struct rv_scheduler_event){.type = RV_EVENT_RESCIND, .rescind = {"o"}};
    check_event(&e, "{\"type\":\"RESCIND\",\"rescind\":{\"offer_id\":{\"value\":\"o\"}}}");
    e.type = RV_EVENT_RESCIND_INVERSE_OFFER;
    check_event(&e, "{\"type\":\"RESCIND_INVERSE_OFFER\",\"rescind_inverse_offer\":{"
                    "\"inverse_offer_id\":{\"value\":\"o\"}}}");
    e = (struct rv_scheduler_event){.type = RV_EVENT_MESSAGE};
    e.message.agent_id.v = "a";
    e.message.executor_id.v = "e";
    e.message.data = rv_strn("\0\1", 2);
    check_event(&e, "{\"type\":\"MESSAGE\",\"message\":{\"agent_id\":{\"value\":\"a\"},"
                    "\"executor_id\":{\"value\":\"e\"},\"data\":\"AAE=\"}}");
    e = (struct rv_scheduler_event){.type = RV_EVENT_FAILURE};
    e.failure.agent_id.v = "a";
    check_event(&e, "{\"type\":\"FAILURE\",\"failure\":{\"agent_id\":{\"value\":\"a\"}}}");
    e.failure.executor_id.v = "e";
    e.failure.has_status = true;
    e.failure.status = 1792;
    check_event(&e, "{\"type\":\"FAILURE\",\"failure\":{\"agent_id\":{\"value\":\"a\"},"
                    "\"executor_id\":{\"value\":\"e\"},\"status\":1792}}");
    e = (struct rv_scheduler_event){.type = RV_EVENT_ERROR, .error = "no"};
    check_event(&e, "{\"type\":\"ERROR\",\"error\":{\"message\":\"no\"}}");
    e = (struct rv_scheduler_event){.type = RV_EVENT_HEARTBEAT};
    check_event(&e, "{\"type\":\"HEARTBEAT\"}");
    struct rv_operation_status status = {
        .operation_id = {"o"}, .state = RV_OPERATION_FINISHED, .agent_id = {"a"}, .has_uuid = true};
    memcpy(status.uuid, uuid, 16);
    e = (struct rv_scheduler_event){.type = RV_EVENT_UPDATE_OPERATION_STATUS, .operation = &status};
    check_event(&e,
                "{\"type\":\"UPDATE_OPERATION_STATUS\",\"update_operation_status\":{\"status\":{"
                "\"operation_id\":{\"value\":\"o\"},\"state\":\"OPERATION_FINISHED\",\"uuid\":{"
                "\"value\":\"" UUID64 "\"},\"agent_id\":{\"value\":\"a\"}}}}");
}

/* --- executors --- */

static struct rv_executor_call executor_decode(const char *json, enum rv_encoding encoding) {
    struct rv_executor_call call;
    struct rv_error err;
    struct rv_str body = recode(&reeve__v1__executor__call__descriptor, json, encoding);
    if (rv_wire_executor_call_decode(encoding, body, NULL, &arena, &call, &err) < 0)
        fail_msg("%s: %s", json, err.message);
    return call;
}

#define FE "\"framework_id\":{\"value\":\"f\"},\"executor_id\":{\"value\":\"e\"},"

static void test_executor_calls(void **state) {
    (void)state;
    for
        BOTH(e) {
            struct rv_executor_call c = executor_decode("{" FE "\"type\":\"HEARTBEAT\"}", e);
            assert_int_equal(c.type, RV_EXECUTOR_CALL_HEARTBEAT);
            assert_string_equal(c.executor_id.v, "e");
            c = executor_decode("{" FE "\"type\":\"SUBSCRIBE\"}", e);
            assert_int_equal(c.subscribe.n_tasks + c.subscribe.n_updates, 0);
            c = executor_decode("{" FE "\"type\":\"MESSAGE\",\"message\":{\"data\":\"AAE=\"}}", e);
            assert_int_equal(c.message.n, 2);
            c = executor_decode(
                "{" FE "\"type\":\"UPDATE\",\"update\":{\"status\":{\"task_id\":{\"value\":\"t\"},"
                "\"state\":\"TASK_RUNNING\",\"timestamp\":1700000000.25,\"uuid\":\"" UUID64
                "\",\"healthy\":"
                "true,\"data\":\"eA==\",\"container_status\":{\"container_id\":{\"value\":\"c\","
                "\"parent\":{"
                "\"value\":\"p\"}},\"executor_pid\":7}}}}",
                e);
            assert_string_equal(c.update->task_id.v, "t");
            assert_int_equal(c.update->timestamp_ns, INT64_C(1700000000250000000));
            assert_int_equal(c.update->healthy, 1);
            assert_int_equal(c.update->reason, RV_REASON_NONE);
            assert_false(c.update->has_source);
            assert_string_equal(c.update->container_id.v, "p.c");
            /* data, and container_status without its id */
            assert_int_equal(c.update->rest->n, 3 + 4);
            struct rv_task_status copy;
            rv_task_status_copy(&copy, c.update);
            rv_wire_executor_call_release(&c);
            assert_string_equal(copy.container_id.v, "p.c");
            rv_task_status_free(&copy);
            c = executor_decode("{" FE "\"type\":\"UPDATE\",\"update\":{\"status\":{\"task_id\":{"
                                "\"value\":\"t\"},\"state\":\"TASK_RUNNING\",\"container_status\":{"
                                "\"container_id\":{\"value\":\"c\"}}}}}",
                                e);
            assert_string_equal(c.update->container_id.v, "c");
            assert_null(c.update->rest);
            rv_wire_executor_call_release(&c);
            c = executor_decode(
                "{" FE "\"type\":\"SUBSCRIBE\",\"subscribe\":{\"unacknowledged_tasks\":[{"
                "\"name\":\"n\",\"task_id\":{\"value\":\"t\"},\"agent_id\":{\"value\":\"a\"}}],"
                "\"unacknowledged_updates\":[{\"status\":{\"task_id\":{\"value\":\"t\"},\"state\":"
                "\"TASK_KILLED\",\"data\":\"eA==\"}}]}}",
                e);
            assert_string_equal(c.subscribe.unacknowledged_tasks[0].v, "t");
            assert_int_equal(c.subscribe.unacknowledged_updates[0].state, RV_TASK_KILLED);
            rv_wire_executor_call_release(&c);
        }
    static const char *const bad[] = {
        "{" FE "\"type\":\"UPDATE\"}", "{" FE "\"type\":\"MESSAGE\"}",
        "{\"type\":\"SUBSCRIBE\",\"subscribe\":{}}", "{" FE "}",
        "{" FE "\"type\":\"SUBSCRIBE\",\"subscribe\":{\"unacknowledged_updates\":[{\"status\":{"
        "\"task_id\":{\"value\":\"t\"},\"state\":\"TASK_KILLED\",\"data\":\"eA==\"}},{\"status\":{"
        "\"task_id\":{\"value\":\"t\"},\"state\":\"TASK_KILLED\",\"uuid\":\"eA==\"}}]}}"};
    for (size_t i = 0; i < RV_COUNT(bad); i++) {
        struct rv_executor_call c;
        assert_int_equal(
            rv_wire_executor_call_decode(RV_ENC_JSON, rv_str(bad[i]), NULL, &arena, &c, NULL),
            -RV_ERR_INVALID);
    }
}

static void check_executor_event(const struct rv_executor_event *event, const char *expected) {
    for
        BOTH(e) {
            struct rv_buf b = {0};
            rv_wire_executor_event_encode(event, e, &arena, &b);
            if (e == RV_ENC_PROTOBUF) {
                ProtobufCMessage *m;
                struct rv_error err;
                if (rv_wire_decode(&reeve__v1__executor__event__descriptor, e, rv_buf_str(&b), NULL,
                                   &arena, &m, &err) < 0)
                    fail_msg("%s", err.message);
                rv_buf_free(&b);
                rv_wire_encode(m, RV_ENC_JSON, &b);
            }
            assert_string_equal(b.data,
                                canonical(&reeve__v1__executor__event__descriptor, expected));
            rv_buf_free(&b);
        }
}

static void test_executor_events(void **state) {
    (void)state;
    struct rv_executor_event e = {.type = RV_EXECUTOR_EVENT_HEARTBEAT};
    check_executor_event(&e, "{\"type\":\"HEARTBEAT\"}");
    e.type = RV_EXECUTOR_EVENT_SHUTDOWN;
    check_executor_event(&e, "{\"type\":\"SHUTDOWN\"}");
    e = (struct rv_executor_event){.type = RV_EXECUTOR_EVENT_ERROR, .error = "no"};
    check_executor_event(&e, "{\"type\":\"ERROR\",\"error\":{\"message\":\"no\"}}");
    e = (struct rv_executor_event){.type = RV_EXECUTOR_EVENT_MESSAGE, .message = RV_STR("x")};
    check_executor_event(&e, "{\"type\":\"MESSAGE\",\"message\":{\"data\":\"eA==\"}}");
    e = (struct rv_executor_event){.type = RV_EXECUTOR_EVENT_KILL};
    e.kill.task_id.v = "t";
    e.kill.grace_ms = -1;
    check_executor_event(&e, "{\"type\":\"KILL\",\"kill\":{\"task_id\":{\"value\":\"t\"}}}");
    e.kill.grace_ms = 2;
    check_executor_event(&e, "{\"type\":\"KILL\",\"kill\":{\"task_id\":{\"value\":\"t\"},"
                             "\"kill_policy\":{\"grace_period\":{\"nanoseconds\":2000000}}}}");
    e = (struct rv_executor_event){.type = RV_EXECUTOR_EVENT_ACKNOWLEDGED};
    e.acknowledged.task_id.v = "t";
    memcpy(e.acknowledged.uuid, uuid, 16);
    check_executor_event(&e, "{\"type\":\"ACKNOWLEDGED\",\"acknowledged\":{\"task_id\":{\"value\":"
                             "\"t\"},\"uuid\":\"" UUID64 "\"}}");
    static const char task[] =
        "{\"name\":\"n\",\"task_id\":{\"value\":\"t\"},\"agent_id\":{\"value\":"
        "\"a\"},\"command\":{\"value\":\"true\"}}";
    struct rv_str packed = recode(&reeve__v1__task_info__descriptor, task, RV_ENC_PROTOBUF);
    struct rv_task_info info = {.packed = rv_blob_new(packed.s, packed.n)};
    const struct rv_task_info *infos[] = {&info, &info};
    e = (struct rv_executor_event){.type = RV_EXECUTOR_EVENT_LAUNCH};
    e.launch.tasks = infos;
    e.launch.n = 1;
    check_executor_event(
        &e, rv_arena_printf(&arena, "{\"type\":\"LAUNCH\",\"launch\":{\"task\":%s}}", task));
    e.type = RV_EXECUTOR_EVENT_LAUNCH_GROUP;
    e.launch.n = 2;
    check_executor_event(&e, rv_arena_printf(&arena,
                                             "{\"type\":\"LAUNCH_GROUP\",\"launch_group\":{"
                                             "\"task_group\":{\"tasks\":[%s,%s]}}}",
                                             task, task));
    rv_blob_unref(info.packed);
    /* SUBSCRIBED: an executor of the agent's own, which nobody packed */
    char user[] = "u", name[] = "n", hostname[] = "h";
    packed = recode(&reeve__v1__framework_info__descriptor, "{\"user\":\"u\",\"name\":\"n\"}",
                    RV_ENC_PROTOBUF);
    struct rv_framework_info f = {
        .id = {"f"}, .user = user, .name = name, .packed = rv_blob_new(packed.s, packed.n)};
    struct rv_agent_info a = {.id = {"a"}, .hostname = hostname, .port = 1};
    struct rv_executor_info x = {.type = RV_EXECUTOR_COMMAND, .id = {"e"}, .framework_id = {"f"}};
    e = (struct rv_executor_event){.type = RV_EXECUTOR_EVENT_SUBSCRIBED};
    e.subscribed.executor = &x;
    e.subscribed.framework = &f;
    e.subscribed.agent = &a;
    e.subscribed.container_id.v = "c";
    check_executor_event(
        &e,
        "{\"type\":\"SUBSCRIBED\",\"subscribed\":{\"executor_info\":{"
        "\"executor_id\":{\"value\":\"e\"},\"framework_id\":{\"value\":\"f\"}},\"framework_info\":{"
        "\"user\":\"u\",\"name\":\"n\",\"id\":{\"value\":\"f\"}},\"agent_info\":{\"hostname\":"
        "\"h\","
        "\"port\":1,\"id\":{\"value\":\"a\"}},\"container_id\":{\"value\":\"c\"}}}");
    rv_blob_unref(f.packed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_subscribe, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_framework_info, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_accept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuse, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_small_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_empty_framework_id, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_operation_problems, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_volume_of_a_task, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_task_problems, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_secrets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_offers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_update, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_small_events, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_executor_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_executor_events, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
