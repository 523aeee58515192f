/* Sessions with a real ZooKeeper, and the URLs that name one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#include "base/vec.h"
#include "io/zk.h"
#include "loop_until.h"
#include "zk_fixture.h"

#define PATIENCE_MS 60000

/* What a test has open: two sessions, and what they have said. */
static struct client {
    struct rv_zk *z;
    enum rv_zk_state state;
    unsigned states; /* that were told */
    int code;        /* the last answer's, 1: none yet */
    char path[256], data[256];
    int32_t version;
    int64_t owner;
    size_t names;
    unsigned changes, answers;
} one, two;
static uv_loop_t loop;

static int set_up(void **state) {
    (void)state;
    one = two = (struct client){.code = 1};
    return uv_loop_init(&loop);
}

static int tear_down(void **state) {
    (void)state;
    one.z = rv_zk_free(one.z);
    two.z = rv_zk_free(two.z);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static void on_state(void *ctx, enum rv_zk_state state) {
    struct client *c = ctx;

    c->state = state;
    c->states++;
}

static void connect_to(struct client *c, const char *credentials, int64_t timeout_ms) {
    struct rv_zk_url url;
    struct rv_error err;
    char text[128];

    snprintf(text, sizeof text, "zk://%slocalhost:%u/test", credentials, (unsigned)server.port);
    assert_int_equal(rv_zk_url_parse(text, &url, &err), 0);
    if (rv_zk_new(&loop, &url, timeout_ms, on_state, c, &c->z, &err))
        fail_msg("%s", err.message);
    rv_zk_url_free(&url);
}

#define RUN_UNTIL(condition) LOOP_UNTIL(&loop, condition, PATIENCE_MS)

static void on_answer(void *ctx, const struct rv_zk_result *r) {
    struct client *c = ctx;

    c->answers++;
    c->code = r->code;
    snprintf(c->path, sizeof c->path, "%s", r->path ? r->path : "");
    snprintf(c->data, sizeof c->data, "%.*s", (int)r->data.n, r->data.s ? r->data.s : "");
    c->version = r->version;
    c->owner = r->owner;
    c->names = r->n;
}

static void on_change(void *ctx) {
    ((struct client *)ctx)->changes++;
}

/* The code of the answer that is under way. */
static int answered(struct client *c) {
    RUN_UNTIL(c->code != 1);
    int code = c->code;
    c->code = 1;
    return code;
}

static int create(struct client *c, const char *path, const char *data, int flags) {
    rv_zk_create(c->z, path, rv_str(data), flags, RV_ZK_PRIVATE, on_answer, c);
    return answered(c);
}

static int get(struct client *c, const char *path) {
    rv_zk_get(c->z, path, on_answer, c);
    return answered(c);
}

static int exists(struct client *c, const char *path) {
    rv_zk_exists(c->z, path, on_answer, c);
    return answered(c);
}

static int children(struct client *c, const char *path) {
    rv_zk_children(c->z, path, on_change, c, on_answer, c);
    return answered(c);
}

static int removed(struct client *c, const char *path) {
    rv_zk_remove(c->z, path, on_answer, c);
    return answered(c);
}

static int make_path(struct client *c, const char *path) {
    rv_zk_make_path(c->z, path, on_answer, c);
    return answered(c);
}

/* --- sessions --- */

static void nodes_are_made_read_and_removed(void **state) {
    (void)state;
    NEEDS_SERVER();
    connect_to(&one, "", 20000);
    assert_int_equal(make_path(&one, "/a/b/c"), RV_ZK_OK);
    assert_int_equal(make_path(&one, "/a/b/c"), RV_ZK_OK);
    assert_int_equal(create(&one, "/a/b/c/x", "value", 0), RV_ZK_OK);
    assert_string_equal(one.path, "/a/b/c/x");
    assert_int_equal(create(&one, "/a/b/c/x", "value", 0), RV_ZK_NODE_EXISTS);
    assert_int_equal(create(&one, "/a/b/y/x", "", 0), RV_ZK_NO_NODE);
    assert_int_equal(get(&one, "/a/b/c/x"), RV_ZK_OK);
    assert_string_equal(one.data, "value");
    assert_int_equal(one.owner, 0);
    assert_int_equal(get(&one, "/a/b/y"), RV_ZK_NO_NODE);
    assert_int_equal(create(&one, "/a/b/c/info_", "", RV_ZK_SEQUENCE), RV_ZK_OK);
    assert_string_equal(one.path, "/a/b/c/info_0000000001");
    assert_int_equal(children(&one, "/a/b/c"), RV_ZK_OK);
    assert_int_equal(one.names, 2);
    assert_int_equal(removed(&one, "/a/b/c"), RV_ZK_NOT_EMPTY);
    assert_int_equal(removed(&one, "/a/b/c/x"), RV_ZK_OK);
    assert_int_equal(removed(&one, "/a/b/c/x"), RV_ZK_NO_NODE);
    RUN_UNTIL(one.changes == 1);
    rv_zk_sync(one.z, "/a", on_answer, &one);
    assert_int_equal(answered(&one), RV_ZK_OK);
}

static void several_changes_are_one(void **state) {
    (void)state;
    NEEDS_SERVER();
    connect_to(&one, "", 20000);
    assert_int_equal(make_path(&one, "/multi"), RV_ZK_OK);
    struct rv_zk_op ops[] = {
        {RV_ZK_CREATE, "/multi/a", RV_STR("1"), 0, RV_ZK_PRIVATE},
        {RV_ZK_SET, "/multi/a", RV_STR("2"), 0, RV_ZK_PRIVATE},
        {RV_ZK_CHECK, "/multi/a", {NULL, 0}, 1, RV_ZK_PRIVATE},
        {RV_ZK_CREATE, "/multi/b", RV_STR("3"), 0, RV_ZK_PRIVATE},
        {RV_ZK_REMOVE, "/multi/b", {NULL, 0}, 0, RV_ZK_PRIVATE},
    };
    ops[2].version = 7;
    rv_zk_multi(one.z, ops, RV_COUNT(ops), on_answer, &one);
    assert_int_equal(answered(&one), RV_ZK_BAD_VERSION);
    assert_int_equal(get(&one, "/multi/a"), RV_ZK_NO_NODE);
    ops[2].version = 1;
    rv_zk_multi(one.z, ops, RV_COUNT(ops), on_answer, &one);
    assert_int_equal(answered(&one), RV_ZK_OK);
    assert_int_equal(get(&one, "/multi/a"), RV_ZK_OK);
    assert_string_equal(one.data, "2");
    assert_int_equal(one.version, 1);
    assert_int_equal(get(&one, "/multi/b"), RV_ZK_NO_NODE);
}

static void ephemeral_nodes_go_with_the_session(void **state) {
    (void)state;
    NEEDS_SERVER();
    connect_to(&one, "", 20000);
    connect_to(&two, "", 20000);
    assert_int_equal(make_path(&two, "/ephemeral"), RV_ZK_OK);
    assert_int_equal(create(&one, "/ephemeral/x", "", RV_ZK_EPHEMERAL), RV_ZK_OK);
    assert_int_equal(exists(&two, "/ephemeral/x"), RV_ZK_OK);
    assert_true(two.owner == rv_zk_id(one.z) && two.owner != 0);
    assert_int_equal(children(&two, "/ephemeral"), RV_ZK_OK);
    one.z = rv_zk_free(one.z);
    RUN_UNTIL(two.changes == 1);
    assert_int_equal(exists(&two, "/ephemeral/x"), RV_ZK_NO_NODE);
}

/* Who does not run for longer than its session lasts finds it expired. */
static void a_session_expires(void **state) {
    (void)state;
    NEEDS_SERVER();
    connect_to(&one, "", 2000);
    connect_to(&two, "", 20000);
    assert_int_equal(make_path(&one, "/expiry"), RV_ZK_OK);
    assert_int_equal(create(&one, "/expiry/x", "", RV_ZK_EPHEMERAL), RV_ZK_OK);
    assert_int_equal(rv_zk_timeout_ms(one.z), 2000);
    zk_sleep_ms(5000);
    rv_zk_get(one.z, "/expiry/x", on_answer, &one);
    RUN_UNTIL(one.state == RV_ZK_EXPIRED);
    assert_int_equal(answered(&one), RV_ZK_GONE);
    assert_int_equal(get(&one, "/expiry"), RV_ZK_GONE);
    RUN_UNTIL(exists(&two, "/expiry/x") == RV_ZK_NO_NODE);
}

static void a_server_restarts(void **state) {
    (void)state;
    NEEDS_SERVER();
    connect_to(&one, "", 20000);
    assert_int_equal(make_path(&one, "/restart"), RV_ZK_OK);
    assert_int_equal(create(&one, "/restart/x", "kept", RV_ZK_EPHEMERAL), RV_ZK_OK);
    assert_int_equal(children(&one, "/restart"), RV_ZK_OK);
    int64_t id = rv_zk_id(one.z);
    zk_kill(&server);
    RUN_UNTIL(one.state == RV_ZK_CONNECTING);
    unsigned answers = one.answers;
    rv_zk_get(one.z, "/restart/x", on_answer, &one);
    for (int i = 0; i < 20; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(one.answers, answers);
    assert_true(zk_start(&server));
    assert_int_equal(answered(&one), RV_ZK_OK);
    assert_string_equal(one.data, "kept");
    assert_true(rv_zk_id(one.z) == id);
    assert_int_equal(one.changes, 0);
    assert_int_equal(removed(&one, "/restart/x"), RV_ZK_OK); /* the watch has survived, too */
    RUN_UNTIL(one.changes == 1);
}

/* What writes and loses its connection is not told to have failed. */
static void a_lost_answer_is_told(void **state) {
    (void)state;
    NEEDS_SERVER();
    connect_to(&one, "", 20000);
    assert_int_equal(make_path(&one, "/lost"), RV_ZK_OK);
    kill(server.pid, SIGSTOP);
    rv_zk_create(one.z, "/lost/x", RV_STR(""), 0, RV_ZK_PRIVATE, on_answer, &one);
    rv_zk_exists(one.z, "/lost", on_answer, &two);
    uv_run(&loop, UV_RUN_NOWAIT);
    kill(server.pid, SIGKILL);
    assert_int_equal(answered(&one), RV_ZK_LOST);
    zk_kill(&server);
    assert_int_equal(two.code, 1);
    assert_true(zk_start(&server));
    RUN_UNTIL(two.code == RV_ZK_OK);
}

static void credentials_keep_others_out(void **state) {
    (void)state;
    NEEDS_SERVER();
    connect_to(&one, "reeve:secret@", 20000);
    connect_to(&two, "reeve:wrong@", 20000);
    assert_int_equal(make_path(&one, "/secrets/a"), RV_ZK_OK);
    assert_int_equal(create(&one, "/secrets/a/x", "value", 0), RV_ZK_OK);
    assert_int_equal(get(&one, "/secrets/a/x"), RV_ZK_OK);
    assert_int_equal(get(&two, "/secrets/a"), RV_ZK_OK); /* public */
    assert_int_equal(get(&two, "/secrets/a/x"), RV_ZK_NO_AUTH);
    assert_int_equal(create(&two, "/secrets/a/y", "", 0), RV_ZK_NO_AUTH);
    two.z = rv_zk_free(two.z);
    two = (struct client){.code = 1};
    connect_to(&two, "reeve:secret@", 20000);
    assert_int_equal(get(&two, "/secrets/a/x"), RV_ZK_OK);
}

static void nobody_is_there(void **state) {
    struct rv_zk_url url;
    struct rv_error err;
    char text[64];

    (void)state;
    NEEDS_SERVER();
    snprintf(text, sizeof text, "zk://127.0.0.1:%u,nobody.invalid/x", (unsigned)zk_free_port());
    assert_int_equal(rv_zk_url_parse(text, &url, &err), 0);
    assert_int_equal(rv_zk_new(&loop, &url, 1000, on_state, &one, &one.z, &err), 0);
    rv_zk_url_free(&url);
    rv_zk_get(one.z, "/x", on_answer, &one);
    uint64_t end = uv_hrtime() + UINT64_C(300000000);
    while (uv_hrtime() < end)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(one.code, 1);
    one.z = rv_zk_free(one.z);
    assert_int_equal(one.code, RV_ZK_CLOSED);
}

static void free_within(void *ctx, const struct rv_zk_result *r) {
    struct client *c = ctx;

    assert_int_equal(r->code, RV_ZK_OK);
    c->z = rv_zk_free(c->z);
}

static void freed_within_a_callback(void **state) {
    (void)state;
    NEEDS_SERVER();
    connect_to(&one, "", 20000);
    rv_zk_exists(one.z, "/", free_within, &one);
    rv_zk_exists(one.z, "/", on_answer, &one);
    assert_int_equal(answered(&one), RV_ZK_CLOSED);
    assert_null(one.z);
}

/* --- URLs --- */

static void urls_that_are_right(void **state) {
    struct rv_zk_url url;
    struct rv_error err;

    (void)state;
    assert_int_equal(rv_zk_url_parse("zk://a:1,b,[::1]:3/reeve/x/", &url, &err), 0);
    assert_int_equal(url.servers.list.n, 3);
    assert_string_equal(url.servers.list.v[0].host, "a");
    assert_int_equal(url.servers.list.v[0].port, 1);
    assert_int_equal(url.servers.list.v[1].port, 2181);
    assert_string_equal(url.servers.list.v[2].host, "::1");
    assert_int_equal(url.servers.list.v[2].port, 3);
    assert_string_equal(url.path, "/reeve/x");
    assert_null(url.credentials);
    rv_zk_url_free(&url);
    assert_int_equal(rv_zk_url_parse("zk://u:p@ss:word@a/x", &url, &err), 0);
    assert_string_equal(url.credentials, "u:p@ss:word");
    assert_string_equal(url.servers.list.v[0].host, "a");
    rv_zk_url_free(&url);
    assert_true(rv_zk_url_is("zk://") && !rv_zk_url_is("host:5050") && !rv_zk_url_is(NULL));
}

static void urls_that_are_wrong(void **state) {
    static const char *const wrong[] = {
        "",
        "zk:/a/x",
        "zk://",
        "zk:///x",
        "zk://a",
        "zk://a/",
        "zk://a:0/x",
        "zk://a:x/x",
        "zk://a,/x",
        "zk://a,,b/x",
        "zk://:1/x",
        "zk://u@a/x",
        "zk://:p@a/x",
        "zk://a//x",
        "zk://a/x/../y",
        "zk://a/./x",
        "zk://[::1/x",
        "zk://[::1]x/y",
        "zk://a b/x",
        "zk://a/x y",
        "zk://a:70000/x",
    };
    struct rv_zk_url url;
    struct rv_error err;

    (void)state;
    for (size_t i = 0; i < RV_COUNT(wrong); i++)
        if (rv_zk_url_parse(wrong[i], &url, &err) != -RV_ERR_INVALID)
            fail_msg("%s is taken", wrong[i]);
    assert_int_equal(rv_zk_url_parse("zk://user:secret@a:0/x", &url, &err), -RV_ERR_INVALID);
    assert_null(strstr(err.message, "secret"));
    char *hidden = rv_zk_url_hide("zk://user:secret@a:1,b/x@y");
    assert_string_equal(hidden, "zk://user:***@a:1,b/x@y");
    free(hidden);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(nodes_are_made_read_and_removed),
        TEST(several_changes_are_one),
        TEST(ephemeral_nodes_go_with_the_session),
        TEST(a_session_expires),
        TEST(a_server_restarts),
        TEST(a_lost_answer_is_told),
        TEST(credentials_keep_others_out),
        TEST(nobody_is_there),
        TEST(freed_within_a_callback),
        TEST(urls_that_are_right),
        TEST(urls_that_are_wrong),
    };
    return cmocka_run_group_tests(tests, set_up_server, tear_down_server);
}
