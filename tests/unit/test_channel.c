/* The channel between agent and master: every call and event there and back, in both encodings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/prng.h"
#include "base/str.h"
#include "reeve/v1/channel.pb-c.h"
#include "reeve/v1/executor.pb-c.h"
#include "reeve/v1/scheduler.pb-c.h"
#include "wire/channel_codec.h"
#include "wire/convert.h"
#include "wire/executor_codec.h"
#include "wire/scheduler_codec.h"

static struct rv_arena arena;
static const uint8_t uuid[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#define BOTH(encoding)                                                                             \
    (enum rv_encoding encoding = RV_ENC_JSON; encoding <= RV_ENC_PROTOBUF; encoding++)

/* What calls and events are made of. */
static struct world {
    struct rv_framework_info framework;
    struct rv_executor_info executor;
    struct rv_task_info task;
    struct rv_agent_info agent;
    struct rv_task_status status;
    struct rv_operation operation;
    struct rv_operation_status operation_status;
    struct rv_resources converted;
} w;

static struct rv_blob *pack(const ProtobufCMessageDescriptor *type, const char *json) {
    ProtobufCMessage *m;
    struct rv_error err;
    if (rv_wire_decode(type, RV_ENC_JSON, rv_str(json), NULL, &arena, &m, &err) < 0)
        fail_msg("%s: %s", json, err.message);
    return rv_wire_pack(m);
}

static struct rv_resources resources(const char *text) {
    struct rv_resources r = {0};
    struct rv_error err;
    if (rv_resources_parse(text, NULL, &r, &err) < 0)
        fail_msg("%s", err.message);
    return r;
}

static int set_up(void **state) {
    (void)state;
    rv_arena_init(&arena);
    static char user[] = "u", name[] = "n", role[] = "r", hostname[] = "h", ip[] = "10.0.0.1",
                version[] = "1", message[] = "m", *roles[] = {role};
    static struct rv_resources none;
    w = (struct world){
        .framework = {.id = {"f"}, .user = user, .name = name, .roles = roles, .n_roles = 1},
        .executor = {.id = {"e"}, .framework_id = {"f"}, .type = RV_EXECUTOR_CUSTOM},
        .task = {.id = {"t"}, .name = name, .agent_id = {"a"}},
        .agent = {.id = {"a"},
                  .hostname = hostname,
                  .ip = ip,
                  .port = 5051,
                  .version = version,
                  .capabilities = 1u << RV_AGENT_MULTI_ROLE | 1u << RV_AGENT_RESIZE_VOLUME},
        .status = {.task_id = {"t"},
                   .state = RV_TASK_RUNNING,
                   .reason = RV_REASON_NONE,
                   .message = message,
                   .has_uuid = true,
                   .healthy = 1,
                   .timestamp_ns = INT64_C(1700000000250000000)},
        .operation = {.type = RV_OP_RESERVE},
        .operation_status = {.operation_id = {"o"},
                             .state = RV_OPERATION_FAILED,
                             .message = "m",
                             .converted = &w.converted,
                             .has_uuid = true,
                             .agent_id = {"a"},
                             .provider_id = "p"},
        .converted = none,
    };
    memcpy(w.status.uuid, uuid, 16);
    memcpy(w.operation_status.uuid, uuid, 16);
    w.framework.packed = pack(&reeve__v1__framework_info__descriptor,
                              "{\"user\":\"u\",\"name\":\"n\",\"role\":\"r\"}");
    w.executor.packed = pack(&reeve__v1__executor_info__descriptor,
                             "{\"executor_id\":{\"value\":\"e\"},\"command\":{\"value\":\"x\"}}");
    w.executor.resources = resources("cpus:0.1");
    w.task.packed =
        pack(&reeve__v1__task_info__descriptor,
             "{\"name\":\"n\",\"task_id\":{\"value\":\"t\"},\"agent_id\":{\"value\":\"a\"},"
             "\"command\":{\"value\":\"true\"},\"kill_policy\":{\"grace_period\":{"
             "\"nanoseconds\":2000000}}}");
    w.task.resources = resources("cpus:1;ports:[1-2]");
    rv_resources_allocate(&w.task.resources, "r");
    w.agent.resources = resources("cpus:4;mem(r):100");
    struct rv_error err;
    assert_int_equal(rv_attributes_parse("rack:r1", &w.agent.attributes, &err), 0);
    w.agent.domain =
        pack(&reeve__v1__domain_info__descriptor,
             "{\"fault_domain\":{\"region\":{\"name\":\"eu\"},\"zone\":{\"name\":\"z\"}}}");
    w.operation.resources = resources("cpus(r):1");
    w.converted = resources("cpus(r):1");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    rv_blob_unref(w.framework.packed);
    rv_blob_unref(w.executor.packed);
    rv_resources_free(&w.executor.resources);
    rv_blob_unref(w.task.packed);
    rv_resources_free(&w.task.resources);
    rv_resources_free(&w.agent.resources);
    rv_attributes_free(&w.agent.attributes);
    rv_blob_unref(w.agent.domain);
    rv_resources_free(&w.operation.resources);
    rv_resources_free(&w.converted);
    rv_arena_free(&arena);
    return 0;
}

/* Damaged messages are refused or read, and leave nothing behind. */
static void damage(struct rv_str bytes, bool event, enum rv_encoding encoding) {
    struct rv_prng prng;
    rv_prng_seed(&prng, 7);
    char *copy = rv_malloc(bytes.n + 1);
    for (int i = 0; i < 300; i++) {
        memcpy(copy, bytes.s, bytes.n);
        size_t n = bytes.n;
        if (i % 3 == 0)
            n = (size_t)rv_prng_below(&prng, bytes.n + 1);
        else
            copy[rv_prng_below(&prng, bytes.n)] = (char)rv_prng_below(&prng, 256);
        struct rv_arena scratch;
        rv_arena_init(&scratch);
        struct rv_agent_event e;
        struct rv_agent_call c;
        if (event) {
            if (rv_wire_agent_event_decode(encoding, rv_strn(copy, n), NULL, &scratch, &e, NULL) ==
                0)
                rv_wire_agent_event_release(&e);
        } else if (rv_wire_agent_call_decode(encoding, rv_strn(copy, n), NULL, &scratch, &c,
                                             NULL) == 0) {
            rv_wire_agent_call_release(&c);
        }
        rv_arena_free(&scratch);
    }
    free(copy);
}

/* Encodes, decodes, and checks that the decoded one says the same. The caller releases it. */
static struct rv_agent_call call_again(const struct rv_agent_call *call,
                                       enum rv_encoding encoding) {
    struct rv_buf bytes = {0}, first = {0}, second = {0};
    struct rv_agent_call again;
    struct rv_error err;
    rv_wire_agent_call_encode(call, encoding, &arena, &bytes);
    struct rv_str body = rv_strn(rv_arena_memdup(&arena, bytes.data, bytes.n), bytes.n);
    if (rv_wire_agent_call_decode(encoding, body, NULL, &arena, &again, &err) < 0)
        fail_msg("%s", err.message);
    rv_wire_agent_call_encode(call, RV_ENC_JSON, &arena, &first);
    rv_wire_agent_call_encode(&again, RV_ENC_JSON, &arena, &second);
    assert_string_equal(first.data, second.data);
    damage(body, false, encoding);
    rv_buf_free(&bytes);
    rv_buf_free(&first);
    rv_buf_free(&second);
    return again;
}

static struct rv_agent_event event_again(const struct rv_agent_event *event,
                                         enum rv_encoding encoding) {
    struct rv_buf bytes = {0}, first = {0}, second = {0};
    struct rv_agent_event again;
    struct rv_error err;
    rv_wire_agent_event_encode(event, encoding, &arena, &bytes);
    struct rv_str body = rv_strn(rv_arena_memdup(&arena, bytes.data, bytes.n), bytes.n);
    if (rv_wire_agent_event_decode(encoding, body, NULL, &arena, &again, &err) < 0)
        fail_msg("%s", err.message);
    rv_wire_agent_event_encode(event, RV_ENC_JSON, &arena, &first);
    rv_wire_agent_event_encode(&again, RV_ENC_JSON, &arena, &second);
    assert_string_equal(first.data, second.data);
    damage(body, true, encoding);
    rv_buf_free(&bytes);
    rv_buf_free(&first);
    rv_buf_free(&second);
    return again;
}

static void test_registration(void **state) {
    (void)state;
    struct rv_task_view task = {.framework_id = {"f"},
                                .executor_id = {"t"},
                                .command = true,
                                .info = &w.task,
                                .state = RV_TASK_RUNNING,
                                .status = &w.status,
                                .update_state = RV_TASK_STARTING,
                                .has_update_uuid = true};
    memcpy(task.update_uuid, uuid, 16);
    struct rv_executor_info own = {
        .type = RV_EXECUTOR_COMMAND, .id = {"t"}, .shutdown_grace_ms = -1};
    struct rv_executor_view executors[] = {{{"f"}, &w.executor}, {{"f"}, &own}};
    struct rv_framework_id completed = {"g"};
    for
        BOTH(encoding) {
            struct rv_agent_call c = {.type = RV_AGENT_CALL_REREGISTER, .agent_id = {"a"}};
            c.registration.info = &w.agent;
            c.registration.boot_id = "boot";
            c.registration.tasks = &task;
            c.registration.n_tasks = 1;
            c.registration.executors = executors;
            c.registration.n_executors = 2;
            c.registration.frameworks = &w.framework;
            c.registration.n_frameworks = 1;
            c.registration.completed_frameworks = &completed;
            c.registration.n_completed_frameworks = 1;
            struct rv_agent_call d = call_again(&c, encoding);
            const struct rv_agent_info *a = d.registration.info;
            assert_string_equal(a->hostname, "h");
            assert_string_equal(a->ip, "10.0.0.1");
            assert_string_equal(a->version, "1");
            assert_string_equal(a->region, "eu");
            assert_string_equal(a->zone, "z");
            assert_int_equal(a->capabilities, w.agent.capabilities);
            assert_true(rv_resources_eq(&a->resources, &w.agent.resources));
            assert_true(rv_attributes_eq(&a->attributes, &w.agent.attributes));
            assert_string_equal(d.registration.boot_id, "boot");
            const struct rv_task_view *t = &d.registration.tasks[0];
            assert_true(t->command);
            assert_true(rv_resources_eq(&t->info->resources, &w.task.resources));
            assert_int_equal(t->info->kill_grace_ms, 2);
            assert_int_equal(t->state, RV_TASK_RUNNING);
            assert_int_equal(t->update_state, RV_TASK_STARTING);
            assert_memory_equal(t->update_uuid, uuid, 16);
            assert_string_equal(t->status->message, "m");
            const struct rv_executor_info *e = d.registration.executors[0].info;
            assert_true(rv_blob_eq(e->packed, w.executor.packed));
            assert_true(rv_resources_eq(&e->resources, &w.executor.resources));
            assert_int_equal(d.registration.executors[1].info->type, RV_EXECUTOR_COMMAND);
            assert_string_equal(d.registration.frameworks[0].id.v, "f");
            assert_true(rv_blob_eq(d.registration.frameworks[0].packed, w.framework.packed));
            assert_string_equal(d.registration.completed_frameworks[0].v, "g");
            struct rv_agent_info copy;
            rv_agent_info_copy(&copy, a);
            rv_wire_agent_call_release(&d);
            assert_string_equal(copy.zone, "z");
            rv_agent_info_free(&copy);

            c = (struct rv_agent_call){.type = RV_AGENT_CALL_REGISTER};
            c.registration.info = &w.agent;
            d = call_again(&c, encoding);
            assert_null(d.agent_id.v);
            assert_int_equal(d.registration.n_tasks, 0);
            rv_wire_agent_call_release(&d);
        }
}

static void test_calls(void **state) {
    (void)state;
    for
        BOTH(encoding) {
            struct rv_agent_call c = {.type = RV_AGENT_CALL_PONG, .agent_id = {"a"}};
            struct rv_agent_call d = call_again(&c, encoding);
            assert_int_equal(d.type, RV_AGENT_CALL_PONG);
            c.type = RV_AGENT_CALL_UNREGISTER;
            d = call_again(&c, encoding);
            assert_string_equal(d.agent_id.v, "a");
            c = (struct rv_agent_call){.type = RV_AGENT_CALL_STATUS_UPDATE, .agent_id = {"a"}};
            c.update.framework_id.v = "f";
            c.update.status = &w.status;
            c.update.latest_state = RV_TASK_FINISHED;
            d = call_again(&c, encoding);
            assert_int_equal(d.update.latest_state, RV_TASK_FINISHED);
            assert_memory_equal(d.update.status->uuid, uuid, 16);
            rv_wire_agent_call_release(&d);
            c = (struct rv_agent_call){.type = RV_AGENT_CALL_EXECUTOR_EXITED, .agent_id = {"a"}};
            c.exited.framework_id.v = "f";
            c.exited.executor_id.v = "e";
            c.exited.status = -1;
            d = call_again(&c, encoding);
            assert_int_equal(d.exited.status, -1);
            c = (struct rv_agent_call){.type = RV_AGENT_CALL_FRAMEWORK_MESSAGE, .agent_id = {"a"}};
            c.message.framework_id.v = "f";
            c.message.executor_id.v = "e";
            c.message.data = RV_STR("\0x");
            d = call_again(&c, encoding);
            assert_true(rv_str_eq(d.message.data, RV_STR("\0x")));
            c = (struct rv_agent_call){.type = RV_AGENT_CALL_OPERATION_STATUS, .agent_id = {"a"}};
            c.operation.status = &w.operation_status;
            d = call_again(&c, encoding);
            assert_null(d.operation.framework_id.v);
            assert_true(rv_resources_eq(d.operation.status->converted, &w.converted));
            assert_string_equal(d.operation.status->provider_id, "p");
            rv_wire_agent_call_release(&d);
            c = (struct rv_agent_call){.type = RV_AGENT_CALL_UPDATE_AGENT, .agent_id = {"a"}};
            c.total = &w.agent.resources;
            d = call_again(&c, encoding);
            assert_true(rv_resources_eq(d.total, &w.agent.resources));
            rv_wire_agent_call_release(&d);
        }
}

static void test_run(void **state) {
    (void)state;
    for
        BOTH(encoding) {
            struct rv_agent_event e = {.type = RV_AGENT_EVENT_RUN_TASKS};
            e.run.framework = &w.framework;
            e.run.executor = &w.executor;
            e.run.group = true;
            e.run.tasks = &w.task;
            e.run.n_tasks = 1;
            struct rv_agent_event d = event_again(&e, encoding);
            assert_string_equal(d.run.framework->id.v, "f");
            assert_true(d.run.group);
            assert_true(rv_blob_eq(d.run.executor->packed, w.executor.packed));
            assert_string_equal(d.run.executor->framework_id.v, "f");
            assert_true(rv_blob_eq(d.run.tasks[0].packed, w.task.packed));
            assert_true(rv_resources_eq(&d.run.tasks[0].resources, &w.task.resources));
            assert_null(d.run.tasks[0].problem);
            rv_wire_agent_event_release(&d);
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_APPLY_OPERATION};
            e.apply.operation = &w.operation;
            memcpy(e.apply.uuid, uuid, 16);
            d = event_again(&e, encoding);
            assert_int_equal(d.apply.operation->type, RV_OP_RESERVE);
            assert_true(rv_resources_eq(&d.apply.operation->resources, &w.operation.resources));
            assert_memory_equal(d.apply.uuid, uuid, 16);
            rv_wire_agent_event_release(&d);
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_UPDATE_FRAMEWORK,
                                        .framework = &w.framework};
            d = event_again(&e, encoding);
            assert_string_equal(d.framework->roles[0], "r");
            rv_wire_agent_event_release(&d);
        }
}

/* Secrets go to the agent that runs the task, and never back to a master. */
static void test_secrets_go_one_way(void **state) {
    (void)state;
    struct rv_blob *whole =
        pack(&reeve__v1__task_info__descriptor,
             "{\"name\":\"n\",\"task_id\":{\"value\":\"t\"},\"agent_id\":{\"value\":\"a\"},"
             "\"command\":{\"value\":\"x\",\"environment\":{\"variables\":[{\"name\":\"A\","
             "\"type\":\"SECRET\",\"secret\":{\"type\":\"VALUE\",\"value\":{\"data\":"
             "\"aHVzaC4=\"}}}]}}}");
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_RUN_TASKS}, d;
    struct rv_agent_call c = {.type = RV_AGENT_CALL_REREGISTER, .agent_id = {"a"}};
    struct rv_task_view view = {.framework_id = {"f"}, .info = &w.task, .state = RV_TASK_RUNNING};
    struct rv_buf out = {0};

    w.task.whole = whole;
    e.run.framework = &w.framework;
    e.run.tasks = &w.task;
    e.run.n_tasks = 1;
    d = event_again(&e, RV_ENC_PROTOBUF);
    assert_true(rv_blob_eq(d.run.tasks[0].whole, whole));
    assert_null(memmem(d.run.tasks[0].packed->data, d.run.tasks[0].packed->n, "hush.", 5));
    rv_wire_agent_event_release(&d);
    c.registration.info = &w.agent;
    c.registration.boot_id = "b";
    c.registration.tasks = &view;
    c.registration.n_tasks = 1;
    rv_wire_agent_call_encode(&c, RV_ENC_PROTOBUF, &arena, &out);
    assert_null(memmem(out.data, out.n, "hush.", 5));
    rv_buf_free(&out);
    w.task.whole = NULL;
    rv_blob_unref(whole);
}

static void test_events(void **state) {
    (void)state;
    struct rv_task_id ids[] = {{"t"}, {"u"}};
    for
        BOTH(encoding) {
            struct rv_agent_event e = {.type = RV_AGENT_EVENT_REGISTERED}, d;
            e.registered.agent_id.v = "a";
            e.registered.ping_timeout_ms = 75000;
            d = event_again(&e, encoding);
            assert_int_equal(d.registered.ping_timeout_ms, 75000);
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_PING};
            d = event_again(&e, encoding);
            assert_int_equal(d.type, RV_AGENT_EVENT_PING);
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_KILL_TASK};
            e.kill.framework_id.v = "f";
            e.kill.task_id.v = "t";
            e.kill.grace_ms = -1;
            d = event_again(&e, encoding);
            assert_int_equal(d.kill.grace_ms, -1);
            e.kill.grace_ms = 7;
            d = event_again(&e, encoding);
            assert_int_equal(d.kill.grace_ms, 7);
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_SHUTDOWN_EXECUTOR};
            e.shutdown_executor.framework_id.v = "f";
            e.shutdown_executor.executor_id.v = "e";
            d = event_again(&e, encoding);
            assert_string_equal(d.shutdown_executor.executor_id.v, "e");
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK,
                                        .shutdown_framework = {"f"}};
            d = event_again(&e, encoding);
            assert_string_equal(d.shutdown_framework.v, "f");
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_ACKNOWLEDGE};
            e.acknowledge.framework_id.v = "f";
            e.acknowledge.task_id.v = "t";
            memcpy(e.acknowledge.uuid, uuid, 16);
            d = event_again(&e, encoding);
            assert_memory_equal(d.acknowledge.uuid, uuid, 16);
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_ACKNOWLEDGE_OPERATION};
            memcpy(e.acknowledge_operation.uuid, uuid, 16);
            memset(e.acknowledge_operation.operation, 7, 16);
            d = event_again(&e, encoding);
            assert_memory_equal(d.acknowledge_operation.operation,
                                e.acknowledge_operation.operation, 16);
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_FRAMEWORK_MESSAGE};
            e.message.framework_id.v = "f";
            e.message.executor_id.v = "e";
            e.message.data = RV_STR("x");
            d = event_again(&e, encoding);
            assert_true(rv_str_eq(d.message.data, RV_STR("x")));
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_SHUTDOWN, .why = "gone"};
            d = event_again(&e, encoding);
            assert_string_equal(d.why, "gone");
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_REREGISTER};
            d = event_again(&e, encoding);
            assert_null(d.why);
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_RECONCILE_TASKS};
            e.reconcile.framework_id.v = "f";
            e.reconcile.task_ids = ids;
            e.reconcile.n = 2;
            d = event_again(&e, encoding);
            assert_string_equal(d.reconcile.task_ids[1].v, "u");
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_DRAIN};
            d = event_again(&e, encoding);
            assert_false(d.drain.has_max_grace || d.drain.mark_gone);
            e.drain.has_max_grace = e.drain.mark_gone = true;
            e.drain.max_grace_ns = 1500000000;
            d = event_again(&e, encoding);
            assert_true(d.drain.has_max_grace && d.drain.mark_gone);
            assert_int_equal(d.drain.max_grace_ns, 1500000000);
            e = (struct rv_agent_event){.type = RV_AGENT_EVENT_REACTIVATE};
            d = event_again(&e, encoding);
            assert_int_equal(d.type, RV_AGENT_EVENT_REACTIVATE);
        }
}

static void test_refused(void **state) {
    (void)state;
    static const char *const calls[] = {
        "{}", "{\"type\":\"PONG\"}", "{\"type\":\"REGISTER\"}",
        "{\"type\":\"UPDATE_AGENT\",\"agent_id\":{\"value\":\"a\"}}",
        "{\"type\":\"STATUS_UPDATE\",\"agent_id\":{\"value\":\"a\"}}"};
    static const char *const events[] = {
        "{}", "{\"type\":\"RUN_TASKS\"}", "{\"type\":\"KILL_TASK\"}",
        "{\"type\":\"RUN_TASKS\",\"run_tasks\":{\"framework\":{\"user\":\"u\",\"name\":\"n\"}}}"};
    struct rv_agent_call c;
    struct rv_agent_event e;
    for (size_t i = 0; i < RV_COUNT(calls); i++)
        assert_int_equal(
            rv_wire_agent_call_decode(RV_ENC_JSON, rv_str(calls[i]), NULL, &arena, &c, NULL),
            -RV_ERR_INVALID);
    for (size_t i = 0; i < RV_COUNT(events); i++)
        assert_int_equal(
            rv_wire_agent_event_decode(RV_ENC_JSON, rv_str(events[i]), NULL, &arena, &e, NULL),
            -RV_ERR_INVALID);
}

/* A field that is not in our protos, of a task and of a status: from the scheduler through the
 * channel to the executor, and back. Field 100 of value 7 is A0 06 07. */
static void test_unknown_fields(void **state) {
    (void)state;
    ProtobufCMessage *m;
    assert_int_equal(
        rv_wire_decode(
            &reeve__v1__scheduler__call__descriptor, RV_ENC_JSON,
            rv_str("{\"framework_id\":{\"value\":\"f\"},\"type\":\"ACCEPT\",\"accept\":{"
                   "\"operations\":[{"
                   "\"type\":\"LAUNCH\",\"launch\":{\"task_infos\":[{\"name\":\"n\",\"task_id\":{"
                   "\"value\":"
                   "\"t\"},\"agent_id\":{\"value\":\"a\"},\"command\":{\"value\":\"true\"},"
                   "\"resources\":[{"
                   "\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1}}]}]}}]}}"),
            NULL, &arena, &m, NULL),
        0);
    uint8_t seven = 7;
    ProtobufCMessageUnknownField unknown = {100, PROTOBUF_C_WIRE_TYPE_VARINT, 1, &seven};
    Reeve__V1__TaskInfo *info =
        ((Reeve__V1__Scheduler__Call *)(void *)m)->accept->operations[0]->launch->task_infos[0];
    info->base.unknown_fields = &unknown;
    info->base.n_unknown_fields = 1;
    struct rv_buf b = {0};
    rv_wire_encode(m, RV_ENC_PROTOBUF, &b);
    struct rv_scheduler_call call;
    assert_int_equal(
        rv_wire_scheduler_call_decode(RV_ENC_PROTOBUF, rv_buf_str(&b), NULL, &arena, &call, NULL),
        0);
    struct rv_agent_event run = {.type = RV_AGENT_EVENT_RUN_TASKS}, ran;
    run.run.framework = &w.framework;
    run.run.tasks = call.accept.operations[0].tasks;
    run.run.n_tasks = 1;
    rv_buf_clear(&b);
    rv_wire_agent_event_encode(&run, RV_ENC_PROTOBUF, &arena, &b);
    struct rv_buf b2 = {0};
    assert_int_equal(
        rv_wire_agent_event_decode(RV_ENC_PROTOBUF, rv_buf_str(&b), NULL, &arena, &ran, NULL), 0);
    const struct rv_task_info *tasks[] = {&ran.run.tasks[0]};
    struct rv_executor_event launch = {.type = RV_EXECUTOR_EVENT_LAUNCH};
    launch.launch.tasks = tasks;
    launch.launch.n = 1;
    rv_wire_executor_event_encode(&launch, RV_ENC_PROTOBUF, &arena, &b2);
    assert_int_equal(rv_wire_decode(&reeve__v1__executor__event__descriptor, RV_ENC_PROTOBUF,
                                    rv_buf_str(&b2), NULL, &arena, &m, NULL),
                     0);
    const Reeve__V1__TaskInfo *at_end = ((Reeve__V1__Executor__Event *)(void *)m)->launch->task;
    assert_int_equal(at_end->base.n_unknown_fields, 1);
    assert_int_equal(at_end->base.unknown_fields[0].tag, 100);
    assert_string_equal(at_end->command->value, "true");
    rv_wire_scheduler_call_release(&call);
    rv_wire_agent_event_release(&ran);
    rv_buf_free(&b);
    rv_buf_free(&b2);
}

/* From the executor through the channel to the scheduler. */
static void test_unknown_fields_of_status(void **state) {
    (void)state;
    /* executor_id "e", framework_id "f", type UPDATE, update.status: task_id "t", TASK_RUNNING,
     * data "x", field 100 */
    static const uint8_t update[] = {0x0a, 0x03, 0x0a, 0x01, 0x65, 0x12, 0x03, 0x0a, 0x01, 0x66,
                                     0x18, 0x02, 0x2a, 0x0f, 0x0a, 0x0d, 0x0a, 0x03, 0x0a, 0x01,
                                     0x74, 0x10, 0x01, 0x1a, 0x01, 0x78, 0xa0, 0x06, 0x07};
    struct rv_executor_call x;
    struct rv_error err;
    struct rv_str body = rv_strn(update, sizeof update);
    if (rv_wire_executor_call_decode(RV_ENC_PROTOBUF, body, NULL, &arena, &x, &err) < 0)
        fail_msg("%s", err.message);
    struct rv_agent_call call = {.type = RV_AGENT_CALL_STATUS_UPDATE, .agent_id = {"a"}}, again;
    call.update.framework_id.v = "f";
    call.update.status = x.update;
    call.update.latest_state = RV_TASK_RUNNING;
    struct rv_buf b = {0}, b2 = {0};
    rv_wire_agent_call_encode(&call, RV_ENC_PROTOBUF, &arena, &b);
    assert_int_equal(
        rv_wire_agent_call_decode(RV_ENC_PROTOBUF, rv_buf_str(&b), NULL, &arena, &again, NULL), 0);
    struct rv_scheduler_event event = {.type = RV_EVENT_UPDATE, .update = again.update.status};
    rv_wire_scheduler_event_encode(&event, RV_ENC_PROTOBUF, &arena, &b2);
    ProtobufCMessage *m;
    assert_int_equal(rv_wire_decode(&reeve__v1__scheduler__event__descriptor, RV_ENC_PROTOBUF,
                                    rv_buf_str(&b2), NULL, &arena, &m, NULL),
                     0);
    const Reeve__V1__TaskStatus *s = ((Reeve__V1__Scheduler__Event *)(void *)m)->update->status;
    assert_int_equal(s->state, REEVE__V1__TASK_STATE__TASK_RUNNING);
    assert_int_equal(s->data.len, 1);
    assert_int_equal(s->base.n_unknown_fields, 1);
    assert_int_equal(s->base.unknown_fields[0].tag, 100);
    rv_wire_executor_call_release(&x);
    rv_wire_agent_call_release(&again);
    rv_buf_free(&b);
    rv_buf_free(&b2);
}

/* The tables of the model and the enums of the proto say the same. */
static void test_tables(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int number;
    } calls[] =
        {
#define X(name, number) {#name, number},
            RV_AGENT_CALLS(X)},
      events[] = {RV_AGENT_EVENTS(X)
#undef X
      };
    ProtobufCMessage *m;
    for (size_t i = 0; i < RV_COUNT(calls); i++) {
        const char *json = rv_arena_printf(&arena, "{\"type\":\"%s\"}", calls[i].name);
        assert_int_equal(rv_wire_decode(&reeve__v1__channel__call__descriptor, RV_ENC_JSON,
                                        rv_str(json), NULL, &arena, &m, NULL),
                         0);
        assert_int_equal(((Reeve__V1__Channel__Call *)(void *)m)->type, calls[i].number);
    }
    for (size_t i = 0; i < RV_COUNT(events); i++) {
        const char *json = rv_arena_printf(&arena, "{\"type\":\"%s\"}", events[i].name);
        assert_int_equal(rv_wire_decode(&reeve__v1__channel__event__descriptor, RV_ENC_JSON,
                                        rv_str(json), NULL, &arena, &m, NULL),
                         0);
        assert_int_equal(((Reeve__V1__Channel__Event *)(void *)m)->type, events[i].number);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_registration, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_secrets_go_one_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_events, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_fields_of_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tables, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
