/* The pure client cores of libreeve: events in, actions out, no socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "framework/executor_core.h"
#include "framework/scheduler_core.h"
#include "wire/recordio.h"

#define S_CALL(name) REEVE__V1__SCHEDULER__CALL__TYPE__##name
#define E_CALL(name) REEVE__V1__EXECUTOR__CALL__TYPE__##name

/* ---- scaffolding ---- */

static struct rv_scheduler_core scheduler;
static struct rv_executor_core executor;
static struct rv_client_action action;

static void start_scheduler(const char *masters, enum reeve_encoding encoding, bool manual) {
    Reeve__V1__FrameworkInfo *info = reeve_framework_new("me", "test");
    struct rv_error err;

    reeve_framework_add_role(info, "web");
    assert_int_equal(rv_scheduler_core_init(&scheduler,
                                            &(struct reeve_scheduler_config){
                                                .master = masters,
                                                .framework = info,
                                                .encoding = encoding,
                                                .manual_acknowledge = manual,
                                                .backoff_min_ms = 100,
                                                .backoff_max_ms = 1000,
                                                .principal = "p",
                                                .secret = "s",
                                            },
                                            42, &err),
                     0);
    reeve__v1__framework_info__free_unpacked(info, NULL);
    rv_client_start(&scheduler.client, 1000);
}

static int teardown(void **state) {
    (void)state;
    rv_client_action_free(&action);
    rv_scheduler_core_free(&scheduler);
    rv_executor_core_free(&executor);
    return 0;
}

/* The next action, which must be of this type. */
static const struct rv_client_action *expect(struct rv_client *c, enum rv_client_action_type type) {
    rv_client_action_free(&action);
    assert_true(rv_client_next(c, &action));
    assert_int_equal(action.type, type);
    return &action;
}

static void expect_none(struct rv_client *c) {
    rv_client_action_free(&action);
    assert_false(rv_client_next(c, &action));
}

static void expect_connect(struct rv_client *c, const char *host, unsigned port) {
    expect(c, RV_CLIENT_CONNECT);
    assert_string_equal(action.host, host);
    assert_int_equal(action.port, port);
}

static void feed_scheduler(const char *json, int64_t now_ms) {
    rv_client_record(&scheduler.client, scheduler.client.connection, rv_str(json), now_ms);
}

/* The call of the action taken last; the caller frees. */
static Reeve__V1__Scheduler__Call *sent(void) {
    Reeve__V1__Scheduler__Call *call =
        reeve__v1__scheduler__call__unpack(NULL, action.body.n, (const uint8_t *)action.body.data);

    assert_non_null(call);
    return call;
}

static bool body_has(const char *part) {
    return action.body.n && strstr(action.body.data, part) != NULL;
}

static const char subscribed[] =
    "{\"type\":\"SUBSCRIBED\",\"subscribed\":{\"framework_id\":{\"value\":\"f-1\"},"
    "\"heartbeat_interval_seconds\":2}}";
static const char update[] =
    "{\"type\":\"UPDATE\",\"update\":{\"status\":{\"task_id\":{\"value\":\"t\"},"
    "\"state\":\"TASK_RUNNING\",\"agent_id\":{\"value\":\"a\"},\"uuid\":\"AAECAw==\"}}}";

/* To SUBSCRIBED, in JSON, from the first CONNECT on. */
static void subscribe_scheduler(int64_t now_ms) {
    struct rv_client *c = &scheduler.client;

    rv_client_head(c, c->connection, 200, "stream-1", NULL, now_ms);
    feed_scheduler(subscribed, now_ms);
    expect(c, RV_CLIENT_EVENT);
    expect_none(c);
}

/* ---- the scheduler ---- */

static void test_subscribe(void **state) {
    (void)state;
    start_scheduler("m1:6000", REEVE_JSON, false);
    expect_connect(&scheduler.client, "m1", 6000);
    assert_true(body_has("\"type\":\"SUBSCRIBE\""));
    assert_true(body_has("\"roles\":[\"web\"]"));
    assert_false(body_has("framework_id"));
    assert_string_equal(rv_client_headers(&scheduler.client),
                        "Content-Type: application/json\r\nAccept: application/json\r\n"
                        "Authorization: Basic cDpz\r\n");
    expect_none(&scheduler.client);
    subscribe_scheduler(1010);
    assert_false(action.again);
    assert_string_equal(scheduler.framework->id->value, "f-1");
    assert_non_null(strstr(rv_client_headers(&scheduler.client), "Mesos-Stream-Id: stream-1\r\n"));
}

static void test_wrong_masters(void **state) {
    static const char *const wrong[] = {"",    ":5050",      "a:0",       "a:65536",
                                        "a:x", "a,,b",       "[::1:5050", "[::1]5050",
                                        "a b", "zk://a:1/m", "http://a"};
    Reeve__V1__FrameworkInfo *info = reeve_framework_new("me", "test");

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct reeve_scheduler_config config = {.master = wrong[i], .framework = info};
        struct rv_error err = {0};
        assert_int_equal(rv_scheduler_core_init(&scheduler, &config, 1, &err), -RV_ERR_INVALID);
        assert_true(err.message[0]);
    }
    reeve__v1__framework_info__free_unpacked(info, NULL);
}

static void test_masters_in_turn_with_backoff(void **state) {
    static const struct {
        const char *host;
        unsigned port;
    } order[] = {{"::1", 7000}, {"b", 5050}, {"::1", 7000}, {"b", 5050}};
    struct rv_client *c = &scheduler.client;
    int64_t now = 1000, limit = 100;

    (void)state;
    start_scheduler("[::1]:7000,b", REEVE_JSON, false);
    for (size_t i = 0; i < 12; i++) {
        int64_t wait;
        expect_connect(c, order[i % 4].host, order[i % 4].port);
        rv_client_closed(c, c->connection, "connection refused", now);
        expect(c, RV_CLIENT_DISCONNECT);
        expect_none(c); /* nobody is told who was never subscribed */
        wait = rv_client_deadline(c) - now;
        if (i % 2 == 1) /* a round is over */
            limit = RV_MIN(limit * 2, 1000);
        assert_in_range(wait, limit / 4, limit);
        rv_client_tick(c, now + wait - 1);
        expect_none(c);
        now += wait;
        rv_client_tick(c, now);
    }
    assert_string_equal(c->last_error, "connection refused");
}

static void test_redirect(void **state) {
    struct rv_client *c = &scheduler.client;

    (void)state;
    start_scheduler("a,b", REEVE_JSON, false);
    expect_connect(c, "a", 5050);
    rv_client_head(c, c->connection, 307, NULL, "//leader:7070/api/v1/scheduler", 1001);
    expect(c, RV_CLIENT_DISCONNECT);
    expect_connect(c, "leader", 7070);
    /* The leader fails: back to the list, and not to the one who sent us there. */
    rv_client_closed(c, c->connection, "refused", 1002);
    expect(c, RV_CLIENT_DISCONNECT);
    rv_client_tick(c, 3000);
    expect_connect(c, "b", 5050);
    rv_client_head(c, c->connection, 307, NULL, "http://[fe80::1]/x", 3001);
    expect(c, RV_CLIENT_DISCONNECT);
    expect_connect(c, "fe80::1", 5050);
}

static void test_redirect_loop_and_nowhere(void **state) {
    static const char *const nowhere[] = {NULL, "", "/api", "//", "https://x", "//x:99999/"};
    struct rv_client *c = &scheduler.client;
    int64_t now = 1000;

    (void)state;
    start_scheduler("a", REEVE_JSON, false);
    for (int i = 0; i < RV_CLIENT_MAX_REDIRECTS; i++) {
        expect(c, RV_CLIENT_CONNECT);
        rv_client_head(c, c->connection, 307, NULL, "//a:1", now);
        expect(c, RV_CLIENT_DISCONNECT);
    }
    expect(c, RV_CLIENT_CONNECT);
    rv_client_head(c, c->connection, 307, NULL, "//a:1", now);
    expect(c, RV_CLIENT_DISCONNECT);
    expect_none(c);
    assert_int_equal(c->state, RV_CLIENT_WAITING);
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        rv_client_tick(c, now += 2000);
        expect(c, RV_CLIENT_CONNECT);
        rv_client_head(c, c->connection, 307, NULL, nowhere[i], now);
        expect(c, RV_CLIENT_DISCONNECT);
        expect_none(c);
    }
}

static void test_answers(void **state) {
    struct rv_client *c = &scheduler.client;

    (void)state;
    start_scheduler("a", REEVE_JSON, false);
    expect(c, RV_CLIENT_CONNECT);
    rv_client_head(c, c->connection, 503, NULL, NULL, 1001);
    expect_none(c);
    rv_client_closed(c, c->connection, "no leader", 1002);
    expect(c, RV_CLIENT_DISCONNECT);
    expect_none(c);
    assert_string_equal(c->last_error, "status 503: no leader");
    rv_client_tick(c, 2000);
    expect(c, RV_CLIENT_CONNECT);
    rv_client_head(c, c->connection, 403, NULL, NULL, 2001);
    rv_client_closed(c, c->connection, "not you", 2002);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_FATAL);
    assert_string_equal(action.text, "status 403: not you");
    expect(c, RV_CLIENT_STOPPED);
    assert_int_equal(action.status, REEVE_ERR_REFUSED);
    expect_none(c);
    assert_true(rv_client_deadline(c) == INT64_MAX);
}

static void test_subscribe_again(void **state) {
    struct rv_client *c = &scheduler.client;
    uint64_t old;

    (void)state;
    start_scheduler("a", REEVE_JSON, false);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_scheduler(1010);
    old = c->connection;
    rv_client_closed(c, old, "reset", 2000);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_LOST);
    assert_string_equal(action.text, "reset");
    expect_none(c);
    assert_in_range(rv_client_deadline(c), 2050, 2100);
    rv_client_tick(c, 2100);
    expect(c, RV_CLIENT_CONNECT);
    assert_true(body_has("\"framework_id\":{\"value\":\"f-1\"}"));
    assert_true(body_has("\"id\":{\"value\":\"f-1\"}"));
    /* What the old connection still says does not count. */
    rv_client_head(c, old, 200, "old", NULL, 2101);
    rv_client_closed(c, old, "late", 2102);
    rv_client_record(c, old, rv_str(subscribed), 2103);
    expect_none(c);
    rv_client_head(c, c->connection, 200, "stream-2", NULL, 2104);
    assert_null(strstr(rv_client_headers(c), "stream-1"));
    feed_scheduler(subscribed, 2105);
    expect(c, RV_CLIENT_EVENT);
    assert_true(action.again);
}

static void test_watchdog(void **state) {
    struct rv_client *c = &scheduler.client;

    (void)state;
    start_scheduler("a", REEVE_JSON, false);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_scheduler(2000);
    /* Five intervals of 2 s (and their rounding up). */
    assert_in_range(rv_client_deadline(c), 12000, 12010);
    feed_scheduler("{\"type\":\"HEARTBEAT\"}", 10000);
    expect(c, RV_CLIENT_EVENT);
    rv_client_tick(c, 19999);
    expect_none(c);
    rv_client_tick(c, 20005);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_LOST);
    expect_none(c);
}

static void test_silence_before_subscribed(void **state) {
    struct rv_client *c = &scheduler.client;

    (void)state;
    start_scheduler("a", REEVE_JSON, false);
    expect(c, RV_CLIENT_CONNECT);
    assert_int_equal(rv_client_deadline(c), 16000);
    rv_client_head(c, c->connection, 200, NULL, NULL, 1500);
    rv_client_tick(c, 16000);
    expect(c, RV_CLIENT_DISCONNECT);
    expect_none(c);
    assert_int_equal(c->state, RV_CLIENT_WAITING);
}

static void test_acknowledge(void **state) {
    struct rv_client *c = &scheduler.client;

    (void)state;
    start_scheduler("a", REEVE_JSON, false);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_scheduler(1000);
    feed_scheduler(update, 1001);
    expect(c, RV_CLIENT_EVENT); /* told before it is acknowledged */
    expect(c, RV_CLIENT_SEND);
    assert_true(body_has("\"type\":\"ACKNOWLEDGE\""));
    assert_true(body_has("\"uuid\":\"AAECAw==\""));
    assert_int_equal(action.call_type, S_CALL(ACKNOWLEDGE));
    /* From the master itself, as for reconciliation: no uuid, nothing to acknowledge. */
    feed_scheduler("{\"type\":\"UPDATE\",\"update\":{\"status\":{\"task_id\":{\"value\":\"t\"},"
                   "\"state\":\"TASK_LOST\"}}}",
                   1002);
    expect(c, RV_CLIENT_EVENT);
    expect_none(c);
}

static void test_manual_acknowledge(void **state) {
    struct rv_client *c = &scheduler.client;
    const Reeve__V1__Scheduler__Event *event;

    (void)state;
    start_scheduler("a", REEVE_JSON, true);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_scheduler(1000);
    feed_scheduler(update, 1001);
    expect(c, RV_CLIENT_EVENT);
    event = (const Reeve__V1__Scheduler__Event *)action.event;
    assert_int_equal(rv_scheduler_core_acknowledge(&scheduler, event->update->status), 0);
    expect(c, RV_CLIENT_SEND);
    expect_none(c);
}

static void test_calls_in_order(void **state) {
    struct rv_client *c = &scheduler.client;
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call *got;

    (void)state;
    start_scheduler("a", REEVE_PROTOBUF, false);
    expect(c, RV_CLIENT_CONNECT);
    got = sent();
    assert_int_equal(got->type, S_CALL(SUBSCRIBE));
    reeve__v1__scheduler__call__free_unpacked(got, NULL);
    assert_int_equal(rv_scheduler_core_call(&scheduler, &call, 1), REEVE_ERR_INVALID);
    call.has_type = true;
    call.type = S_CALL(SUBSCRIBE);
    assert_int_equal(rv_scheduler_core_call(&scheduler, &call, 1), REEVE_ERR_INVALID);
    call.type = S_CALL(REVIVE);
    assert_int_equal(rv_scheduler_core_call(&scheduler, &call, 1), REEVE_ERR_DISCONNECTED);
    rv_client_head(c, c->connection, 200, "s", NULL, 1);
    rv_client_subscribed(c, 1000, 1);
    for (int i = 0; i < 3; i++) {
        call.type = i == 1 ? S_CALL(SUPPRESS) : S_CALL(REVIVE);
        assert_int_equal(rv_scheduler_core_call(&scheduler, &call, 1), 0);
    }
    for (int i = 0; i < 3; i++) {
        expect(c, RV_CLIENT_SEND);
        got = sent();
        assert_int_equal(got->type, i == 1 ? S_CALL(SUPPRESS) : S_CALL(REVIVE));
        reeve__v1__scheduler__call__free_unpacked(got, NULL);
    }
    assert_int_equal(c->pending, 3);
    rv_client_call_done(c, c->connection, S_CALL(REVIVE), 202, NULL, 2);
    expect_none(c);
    rv_client_call_done(c, c->connection, S_CALL(SUPPRESS), 400, "no", 2);
    expect(c, RV_CLIENT_CALL_FAILED);
    assert_int_equal(action.call_type, S_CALL(SUPPRESS));
    assert_int_equal(action.status, 400);
    assert_string_equal(action.text, "no");
    rv_client_call_done(c, c->connection - 1, S_CALL(REVIVE), 202, NULL, 2);
    assert_int_equal(c->pending, 1);
}

static void test_stop_waits_for_answers(void **state) {
    struct rv_client *c = &scheduler.client;
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;

    (void)state;
    start_scheduler("a", REEVE_JSON, false);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_scheduler(1000);
    call.has_type = true;
    call.type = S_CALL(REVIVE);
    assert_int_equal(rv_scheduler_core_call(&scheduler, &call, 1001), 0);
    rv_scheduler_core_stop(&scheduler, true, 1001);
    rv_scheduler_core_stop(&scheduler, true, 1001);
    assert_int_equal(rv_scheduler_core_call(&scheduler, &call, 1001), REEVE_ERR_STOPPED);
    expect(c, RV_CLIENT_SEND);
    expect(c, RV_CLIENT_SEND);
    assert_true(body_has("\"type\":\"TEARDOWN\""));
    assert_true(body_has("f-1"));
    expect_none(c);
    feed_scheduler(update, 1002); /* nobody is told any more */
    rv_client_call_done(c, c->connection, S_CALL(REVIVE), 202, NULL, 1003);
    expect_none(c);
    rv_client_call_done(c, c->connection, S_CALL(TEARDOWN), 202, NULL, 1004);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_STOPPED);
    assert_int_equal(action.status, 0);
    expect_none(c);
}

static void test_stop_has_a_limit(void **state) {
    struct rv_client *c = &scheduler.client;

    (void)state;
    start_scheduler("a", REEVE_JSON, false);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_scheduler(1000);
    rv_scheduler_core_stop(&scheduler, true, 1000);
    expect(c, RV_CLIENT_SEND);
    assert_int_equal(rv_client_deadline(c), 1000 + RV_CLIENT_STOP_MS);
    rv_client_tick(c, 1000 + RV_CLIENT_STOP_MS);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_STOPPED);
}

static void test_teardown_while_disconnected(void **state) {
    struct rv_client *c = &scheduler.client;

    (void)state;
    start_scheduler("a", REEVE_JSON, false);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_scheduler(1000);
    rv_client_closed(c, c->connection, NULL, 1001);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_LOST);
    rv_scheduler_core_stop(&scheduler, true, 1002);
    expect_none(c);
    rv_client_tick(c, 1200);
    expect(c, RV_CLIENT_CONNECT);
    rv_client_head(c, c->connection, 200, "s", NULL, 1201);
    feed_scheduler(subscribed, 1202);
    expect(c, RV_CLIENT_SEND);
    assert_true(body_has("TEARDOWN"));
    rv_client_closed(c, c->connection, NULL, 1203); /* as good as an answer */
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_STOPPED);
    assert_int_equal(action.status, 0);
}

static void test_teardown_before_subscribed(void **state) {
    struct rv_client *c = &scheduler.client;

    (void)state;
    start_scheduler("a", REEVE_JSON, false);
    expect(c, RV_CLIENT_CONNECT);
    rv_scheduler_core_stop(&scheduler, true, 1001); /* the master may have taken us in already */
    expect_none(c);
    rv_client_head(c, c->connection, 200, "s", NULL, 1201);
    feed_scheduler(subscribed, 1202);
    expect(c, RV_CLIENT_SEND);
    assert_true(body_has("TEARDOWN"));
    assert_true(body_has("f-1"));
    teardown(NULL);

    start_scheduler("a", REEVE_JSON, false);
    expect(c, RV_CLIENT_CONNECT);
    rv_scheduler_core_stop(&scheduler, true, 1001);
    rv_client_closed(c, c->connection, "refused", 1002); /* nobody knows us */
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_STOPPED);
    assert_int_equal(action.status, 0);
}

static void test_error_event_is_the_end(void **state) {
    struct rv_client *c = &scheduler.client;

    (void)state;
    start_scheduler("a", REEVE_JSON, false);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_scheduler(1000);
    feed_scheduler("{\"type\":\"ERROR\",\"error\":{\"message\":\"Framework failed over\"}}", 1001);
    expect(c, RV_CLIENT_EVENT);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_FATAL);
    assert_string_equal(action.text, "Framework failed over");
    expect(c, RV_CLIENT_STOPPED);
    assert_int_equal(action.status, REEVE_ERR_REFUSED);
}

static void test_bad_event_breaks_the_stream(void **state) {
    struct rv_client *c = &scheduler.client;

    (void)state;
    start_scheduler("a", REEVE_JSON, false);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_scheduler(1000);
    feed_scheduler("{\"type\":\"UPDATE\",\"update\":{}}", 1001);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_LOST);
    assert_non_null(strstr(action.text, "update.status"));
    feed_scheduler(update, 1002);
    expect_none(c);
}

static void test_same_seed_same_actions(void **state) {
    int64_t first[20];

    (void)state;
    for (int run = 0; run < 2; run++) {
        int64_t now = 1000;
        start_scheduler("a,b,c", REEVE_JSON, false);
        for (int i = 0; i < 20; i++) {
            expect(&scheduler.client, RV_CLIENT_CONNECT);
            rv_client_closed(&scheduler.client, scheduler.client.connection, "x", now);
            expect(&scheduler.client, RV_CLIENT_DISCONNECT);
            now = rv_client_deadline(&scheduler.client);
            if (run == 0)
                first[i] = now;
            assert_int_equal(now, first[i]);
            rv_client_tick(&scheduler.client, now);
        }
        teardown(NULL);
    }
}

/* ---- the executor ---- */

static void start_executor(bool checkpoint, bool exit_when_idle) {
    struct rv_error err;

    assert_int_equal(rv_executor_core_init(&executor,
                                           &(struct rv_executor_settings){
                                               .agent = "127.0.0.1:5051",
                                               .framework_id = "f",
                                               .executor_id = "e",
                                               .token = "tok",
                                               .encoding = REEVE_JSON,
                                               .checkpoint = checkpoint,
                                               .exit_when_idle = exit_when_idle,
                                               .recovery_timeout_ms = 60000,
                                               .backoff_max_ms = 2000,
                                               .grace_period_ms = 3000,
                                           },
                                           7, &err),
                     0);
    rv_executor_core_start(&executor, 1000);
}

static void feed_executor(const char *json, int64_t now_ms) {
    rv_client_record(&executor.client, executor.client.connection, rv_str(json), now_ms);
}

static const char agent_said_hello[] =
    "{\"type\":\"SUBSCRIBED\",\"subscribed\":{\"executor_info\":{\"executor_id\":{\"value\":\"e\"}}"
    ","
    "\"framework_info\":{\"user\":\"u\",\"name\":\"n\"},\"agent_info\":{\"hostname\":\"h\","
    "\"id\":{\"value\":\"agent-1\"}}}}";
static const char launch[] =
    "{\"type\":\"LAUNCH\",\"launch\":{\"task\":{\"name\":\"t1\",\"task_id\":{\"value\":\"t1\"},"
    "\"agent_id\":{\"value\":\"agent-1\"}}}}";

static void subscribe_executor(int64_t now_ms) {
    struct rv_client *c = &executor.client;

    rv_client_head(c, c->connection, 200, NULL, NULL, now_ms);
    feed_executor(agent_said_hello, now_ms);
    expect(c, RV_CLIENT_EVENT);
    expect_none(c);
}

static void tell_state(Reeve__V1__TaskState state) {
    Reeve__V1__TaskStatus status = REEVE__V1__TASK_STATUS__INIT;
    Reeve__V1__TaskID id = REEVE__V1__TASK_ID__INIT;
    char name[] = "t1";

    id.value = name;
    status.task_id = &id;
    status.state = state;
    assert_int_equal(rv_executor_core_update(&executor, &status, 1e9, 2000), 0);
}

/* Acknowledges the oldest update. */
static void acknowledge_oldest(int64_t now_ms) {
    const Reeve__V1__TaskStatus *status = executor.updates.v[0];
    struct rv_buf json = {0};
    char uuid[32] = {0};

    rv_base64_encode(status->uuid.data, status->uuid.len, uuid);
    rv_buf_printf(&json,
                  "{\"type\":\"ACKNOWLEDGED\",\"acknowledged\":{\"task_id\":{\"value\":\"t1\"},"
                  "\"uuid\":\"%s\"}}",
                  uuid);
    feed_executor(json.data, now_ms);
    rv_buf_free(&json);
    expect(&executor.client, RV_CLIENT_EVENT);
}

static void test_executor_settings(void **state) {
    struct rv_error err = {0};

    (void)state;
    assert_int_equal(
        rv_executor_core_init(&executor, &(struct rv_executor_settings){.agent = "a"}, 7, &err),
        -RV_ERR_INVALID);
    assert_non_null(strstr(err.message, "MESOS_FRAMEWORK_ID"));
}

static void test_executor_updates(void **state) {
    struct rv_client *c = &executor.client;

    (void)state;
    start_executor(true, false);
    expect_connect(c, "127.0.0.1", 5051);
    assert_non_null(strstr(rv_client_headers(c), "Authorization: Bearer tok\r\n"));
    subscribe_executor(1001);
    feed_executor(launch, 1002);
    expect(c, RV_CLIENT_EVENT);
    tell_state(REEVE__V1__TASK_STATE__TASK_RUNNING);
    expect(c, RV_CLIENT_SEND);
    assert_true(body_has("\"source\":\"SOURCE_EXECUTOR\""));
    assert_true(body_has("\"agent_id\":{\"value\":\"agent-1\"}"));
    assert_true(body_has("\"timestamp\":1000000000"));
    assert_int_equal(executor.updates.v[0]->uuid.len, 16);
    /* Broken: task and update go with the next SUBSCRIBE. */
    rv_client_closed(c, c->connection, "gone", 3000);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_LOST);
    tell_state(REEVE__V1__TASK_STATE__TASK_FINISHED);
    expect_none(c);
    rv_executor_core_tick(&executor, rv_executor_core_deadline(&executor));
    expect(c, RV_CLIENT_CONNECT);
    assert_true(body_has("unacknowledged_tasks"));
    assert_true(body_has("TASK_RUNNING"));
    assert_true(body_has("TASK_FINISHED"));
    subscribe_executor(3500);
    acknowledge_oldest(3501);
    assert_int_equal(executor.tasks.n, 1);
    acknowledge_oldest(3502);
    assert_int_equal(executor.tasks.n, 0);
    assert_int_equal(executor.updates.n, 0);
    expect_none(c);
}

/* It is neither in the SUBSCRIBE that is sent already nor could it be sent by itself. */
static void test_executor_update_while_subscribing(void **state) {
    struct rv_client *c = &executor.client;

    (void)state;
    start_executor(true, false);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_executor(1001);
    feed_executor(launch, 1002);
    expect(c, RV_CLIENT_EVENT);
    rv_client_closed(c, c->connection, "gone", 3000);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_LOST);
    tell_state(REEVE__V1__TASK_STATE__TASK_RUNNING);
    rv_executor_core_tick(&executor, rv_executor_core_deadline(&executor));
    expect(c, RV_CLIENT_CONNECT);
    assert_true(body_has("TASK_RUNNING"));
    tell_state(REEVE__V1__TASK_STATE__TASK_FINISHED);
    expect_none(c);
    rv_client_head(c, c->connection, 200, NULL, NULL, 3500);
    feed_executor(agent_said_hello, 3500);
    expect(c, RV_CLIENT_EVENT);
    expect(c, RV_CLIENT_SEND);
    assert_true(body_has("TASK_FINISHED"));
    expect_none(c);
}

static void test_executor_without_checkpoint(void **state) {
    struct rv_client *c = &executor.client;

    (void)state;
    start_executor(false, false);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_executor(1001);
    rv_client_closed(c, c->connection, "gone", 3000);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_LOST);
    expect(c, RV_CLIENT_FATAL);
    expect(c, RV_CLIENT_STOPPED);
    assert_int_equal(action.status, REEVE_ERR_TIMEOUT);
}

static void test_executor_recovery_timeout(void **state) {
    struct rv_client *c = &executor.client;
    int64_t now = 3000;

    (void)state;
    start_executor(true, false);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_executor(1001);
    rv_client_closed(c, c->connection, "gone", now);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_LOST);
    while (c->state != RV_CLIENT_ENDED) {
        now = rv_executor_core_deadline(&executor);
        assert_true(now <= 63000);
        rv_executor_core_tick(&executor, now);
        if (c->state == RV_CLIENT_CONNECTING) {
            expect(c, RV_CLIENT_CONNECT);
            rv_client_closed(c, c->connection, "refused", now);
            expect(c, RV_CLIENT_DISCONNECT);
        }
    }
    assert_int_equal(now, 63000);
    expect(c, RV_CLIENT_FATAL);
    expect(c, RV_CLIENT_STOPPED);
    assert_int_equal(action.status, REEVE_ERR_TIMEOUT);
}

static void test_executor_failed_call(void **state) {
    struct rv_client *c = &executor.client;

    (void)state;
    start_executor(false, false);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_executor(1001);
    tell_state(REEVE__V1__TASK_STATE__TASK_RUNNING);
    expect(c, RV_CLIENT_SEND);
    rv_client_call_done(c, c->connection, E_CALL(UPDATE), 0, "reset", 1002);
    expect(c, RV_CLIENT_CALL_FAILED);
    expect(c, RV_CLIENT_DISCONNECT);
    rv_executor_core_tick(&executor, rv_executor_core_deadline(&executor));
    expect(c, RV_CLIENT_CONNECT);
    assert_true(body_has("TASK_RUNNING"));
}

static void test_executor_shutdown(void **state) {
    struct rv_client *c = &executor.client;

    (void)state;
    start_executor(true, false);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_executor(1001);
    tell_state(REEVE__V1__TASK_STATE__TASK_RUNNING);
    expect(c, RV_CLIENT_SEND);
    feed_executor("{\"type\":\"SHUTDOWN\"}", 2000);
    expect(c, RV_CLIENT_EVENT);
    assert_int_equal(rv_executor_core_deadline(&executor), 5000); /* the grace period */
    rv_executor_core_stop(&executor, 2001);
    expect_none(c); /* an update is not acknowledged yet */
    rv_executor_core_tick(&executor, 5000);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_STOPPED);
    assert_int_equal(action.status, 0);
}

static void test_executor_exits_when_idle(void **state) {
    struct rv_client *c = &executor.client;

    (void)state;
    start_executor(true, true);
    expect(c, RV_CLIENT_CONNECT);
    subscribe_executor(1001);
    feed_executor(launch, 1002);
    expect(c, RV_CLIENT_EVENT);
    tell_state(REEVE__V1__TASK_STATE__TASK_FINISHED);
    expect(c, RV_CLIENT_SEND);
    rv_client_call_done(c, c->connection, E_CALL(UPDATE), 202, NULL, 1003);
    acknowledge_oldest(1004);
    expect(c, RV_CLIENT_DISCONNECT);
    expect(c, RV_CLIENT_STOPPED);
    assert_int_equal(action.status, 0);
}

/* ---- messages ---- */

static void test_messages(void **state) {
    Reeve__V1__Offer offer = REEVE__V1__OFFER__INIT;
    Reeve__V1__AgentID agent = REEVE__V1__AGENT_ID__INIT;
    Reeve__V1__Resource__AllocationInfo allocation = REEVE__V1__RESOURCE__ALLOCATION_INFO__INIT;
    char id[] = "agent-1", role[] = "web";
    Reeve__V1__TaskInfo *task;

    (void)state;
    agent.value = id;
    allocation.role = role;
    offer.agent_id = &agent;
    offer.allocation_info = &allocation;
    task = reeve_task_new("t", NULL, &offer);
    reeve_task_add_scalar(task, &offer, "cpus", 0.1);
    reeve_task_add_scalar(task, &offer, "cpus", 0.2);
    reeve_task_set_shell(task, "true");
    reeve_task_set_argv(task, (const char *const[]){"/bin/echo", "a b", NULL});
    reeve_task_set_data(task, "xy", 2);
    reeve_task_set_data(task, "xyz", 3);
    reeve_task_add_volume(task, "/data", "data", true);
    reeve_task_set_executor(task, &offer, "e", "run", 0.1, 32);
    reeve_task_set_executor(task, &offer, "e2", "run", 0, 0);
    assert_int_equal(task->n_resources, 2);
    assert_string_equal(task->resources[0]->allocation_info->role, "web");
    assert_false(task->command->shell);
    assert_int_equal(task->command->n_arguments, 2);
    assert_int_equal(task->data.len, 3);
    assert_string_equal(task->executor->executor_id->value, "e2");
    reeve_task_add_volume(task, "/tmp/a", "/tmp/b", false);
    assert_int_equal(task->container->volumes[0]->mode, REEVE__V1__VOLUME__MODE__RO);
    assert_string_equal(task->container->volumes[0]->host_path, "/data");
    assert_int_equal(task->executor->container->n_volumes, 1);
    assert_string_equal(task->executor->container->volumes[0]->container_path, "/tmp/b");
    offer.resources = task->resources;
    offer.n_resources = task->n_resources;
    assert_true(reeve_offer_scalar(&offer, "cpus") == 0.3);
    assert_true(reeve_offer_scalar(&offer, "mem") == 0);
    reeve__v1__task_info__free_unpacked(task, NULL);
    assert_string_equal(reeve_state_name(REEVE__V1__TASK_STATE__TASK_RUNNING), "TASK_RUNNING");
    assert_true(reeve_state_is_terminal(REEVE__V1__TASK_STATE__TASK_GONE));
    assert_false(reeve_state_is_terminal(REEVE__V1__TASK_STATE__TASK_UNREACHABLE));
    assert_string_equal(reeve_version(), REEVE_VERSION);
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_subscribe),
        TEST(test_wrong_masters),
        TEST(test_masters_in_turn_with_backoff),
        TEST(test_redirect),
        TEST(test_redirect_loop_and_nowhere),
        TEST(test_answers),
        TEST(test_subscribe_again),
        TEST(test_watchdog),
        TEST(test_silence_before_subscribed),
        TEST(test_acknowledge),
        TEST(test_manual_acknowledge),
        TEST(test_calls_in_order),
        TEST(test_stop_waits_for_answers),
        TEST(test_stop_has_a_limit),
        TEST(test_teardown_while_disconnected),
        TEST(test_teardown_before_subscribed),
        TEST(test_error_event_is_the_end),
        TEST(test_bad_event_breaks_the_stream),
        TEST(test_same_seed_same_actions),
        TEST(test_executor_settings),
        TEST(test_executor_updates),
        TEST(test_executor_update_while_subscribing),
        TEST(test_executor_without_checkpoint),
        TEST(test_executor_recovery_timeout),
        TEST(test_executor_failed_call),
        TEST(test_executor_shutdown),
        TEST(test_executor_exits_when_idle),
        TEST(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
