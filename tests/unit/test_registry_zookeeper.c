/* The registry in a real ZooKeeper: what is written is read back, by one writer at a time, whatever
 * happens to connections (INV-4, INV-5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#include "base/prng.h"
#include "base/vec.h"
#include "io/zk.h"
#include "loop_until.h"
#include "quorum/registry_zookeeper.h"
#include "zk_fixture.h"
#include "zk_proxy.h"

#define PATIENCE_MS 60000

static unsigned number; /* of the test: its path */
static uv_loop_t loop;
static struct zk_proxy proxy;

/* A session and a store in it. */
struct store {
    struct rv_zk *z;
    struct rv_registry *r;
    struct rv_buf log;  /* the number of each batch that was answered, "!" before it if it failed */
    struct rv_buf text; /* what was loaded: key=value; */
    int loaded;         /* 1: not answered */
    bool lost;
    struct rv_error err;
    int code; /* of a raw operation, 1: not answered */
    struct rv_buf raw;
};
static struct store one, two;

static int set_up(void **state) {
    (void)state;
    one = two = (struct store){.loaded = 1, .code = 1};
    number++;
    proxy = (struct zk_proxy){.loop = &loop};
    return uv_loop_init(&loop);
}

static void drop(struct store *s) {
    if (s->r)
        s->r->ops->close(s->r);
    s->r = NULL;
    s->z = rv_zk_free(s->z);
    rv_buf_free(&s->log);
    rv_buf_free(&s->text);
    rv_buf_free(&s->raw);
}

static int tear_down(void **state) {
    (void)state;
    drop(&one);
    drop(&two);
    zk_proxy_stop(&proxy);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

#define RUN_UNTIL(condition) LOOP_UNTIL(&loop, condition, PATIENCE_MS)

static void on_state(void *ctx, enum rv_zk_state state) {
    (void)ctx;
    (void)state;
}

static void on_lost(void *ctx, const struct rv_error *err) {
    struct store *s = ctx;

    assert_false(s->lost);
    s->lost = true;
    s->err = *err;
}

static const char *base_path(void) {
    static char path[32];

    snprintf(path, sizeof path, "/test%u", number);
    return path;
}

static void connect_to(struct store *s, uint16_t port) {
    struct rv_zk_url url;
    char text[64];

    if (s->z)
        return;
    snprintf(text, sizeof text, "zk://127.0.0.1:%u%s", (unsigned)port, base_path());
    assert_int_equal(rv_zk_url_parse(text, &url, &s->err), 0);
    assert_int_equal(rv_zk_new(&loop, &url, 20000, on_state, s, &s->z, &s->err), 0);
    rv_zk_url_free(&url);
}

static void each(void *ctx, const char *key, struct rv_str value) {
    struct store *s = ctx;

    rv_buf_printf(&s->text, "%s=%.*s;", key, (int)value.n, value.s);
}

static void on_loaded(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    struct store *s = ctx;
    (void)seq;

    s->loaded = result;
    if (result)
        s->err = *err;
}

/* Opened anew, and what the load gave. */
static int load_as(struct store *s, const char *writer, const char *candidate) {
    connect_to(s, server.port);
    if (s->r)
        s->r->ops->close(s->r);
    s->r = rv_registry_zookeeper_new(&(struct rv_registry_zk_config){
        .zk = s->z, .path = base_path(), .writer = writer, .candidate = candidate});
    s->r->on_lost = on_lost;
    s->r->lost_ctx = s;
    s->lost = false;
    s->loaded = 1;
    rv_buf_clear(&s->text);
    s->r->ops->load(s->r, each, on_loaded, s);
    RUN_UNTIL(s->loaded != 1);
    return s->loaded;
}

static void on_raw(void *ctx, const struct rv_zk_result *result) {
    struct store *s = ctx;

    s->code = result->code;
    rv_buf_clear(&s->raw);
    rv_buf_append(&s->raw, result->data.s, result->data.n);
    for (size_t i = 0; i < result->n; i++)
        rv_buf_printf(&s->raw, "%s%s", i ? " " : "", result->names[i]);
}

static int raw_done(struct store *s) {
    RUN_UNTIL(s->code != 1);
    int code = s->code;
    s->code = 1;
    return code;
}

static int raw(struct store *s, enum rv_zk_change change, const char *path, struct rv_str data) {
    const struct rv_zk_op op = {change, path, data, -1, RV_ZK_PRIVATE};

    rv_zk_multi(s->z, &op, 1, on_raw, s);
    return raw_done(s);
}

static void raw_get(struct store *s, const char *path) {
    rv_zk_get(s->z, path, on_raw, s);
    assert_int_equal(raw_done(s), RV_ZK_OK);
}

static void make_base(struct store *s) {
    connect_to(s, server.port);
    rv_zk_make_path(s->z, base_path(), on_raw, s);
    assert_int_equal(raw_done(s), RV_ZK_OK);
}

/* --- writing --- */

static void on_done(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    struct store *s = ctx;

    rv_buf_printf(&s->log, "%s%u ", result ? "!" : "", (unsigned)seq);
    if (result)
        s->err = *err;
}

static void write_as(struct store *s, unsigned n, const struct rv_registry_change *changes,
                     size_t count) {
    s->r->ops->write(s->r, changes, count, n, on_done, s);
}

static void put(struct store *s, unsigned n, const char *key, const char *value) {
    struct rv_registry_change c = {key, rv_str(value)};

    write_as(s, n, &c, 1);
}

static void expect_log(struct store *s, const char *log) {
    RUN_UNTIL(s->log.n >= strlen(log) || s->lost);
    if (s->lost)
        fail_msg("%s", s->err.message);
    assert_string_equal(s->log.n ? s->log.data : "", log);
    rv_buf_clear(&s->log);
}

static void expect_records(struct store *s, const char *text) {
    if (load_as(s, NULL, NULL))
        fail_msg("%s", s->err.message);
    assert_string_equal(s->text.n ? s->text.data : "", text);
}

/* --- stories --- */

static void records_are_put_and_removed(void **state) {
    const struct rv_registry_change batch[] = {{"k", RV_STR("1")},
                                               {"k", {NULL, 0}},
                                               {"never/there", {NULL, 0}},
                                               {"k", RV_STR("2")},
                                               {"l", RV_STR("3")}};

    (void)state;
    NEEDS_SERVER();
    make_base(&one);
    assert_int_equal(load_as(&one, "w1", NULL), 0);
    put(&one, 1, "b", "2");
    put(&one, 2, "a/x", "1");
    put(&one, 3, "a-x", "");
    expect_log(&one, "1 2 3 ");
    expect_records(&two, "a-x=;a/x=1;b=2;");
    put(&one, 4, "b", "two");
    put(&one, 5, "a/x", NULL);
    write_as(&one, 6, batch, RV_COUNT(batch));
    write_as(&one, 7, batch, 0);
    expect_log(&one, "4 5 6 7 ");
    expect_records(&two, "a-x=;b=two;k=2;l=3;");
    assert_int_equal(load_as(&one, "w2", NULL), 0); /* the next leader */
    put(&one, 8, "b", NULL);
    put(&one, 9, "a-x", "3");
    expect_log(&one, "8 9 ");
    expect_records(&two, "a-x=3;k=2;l=3;");
}

static void any_keys_and_values(void **state) {
    static const char *const keys[] = {"a",
                                       "a%2fb",
                                       "a/b",
                                       "%",
                                       "..",
                                       ".",
                                       "agent/\xc3\xa9'\";--",
                                       "weight/a/b/c",
                                       "x y\n\x01",
                                       "machine/host 10.0.0.1",
                                       "A",
                                       "zookeeper"};
    char largest[RV_REGISTRY_KEY_MAX + 1] = "";
    _cleanup_free_ char *large = rv_malloc(RV_REGISTRY_VALUE_MAX);
    const struct rv_registry_change full = {largest, {large, RV_REGISTRY_VALUE_MAX}};

    (void)state;
    NEEDS_SERVER();
    memset(largest, '/', sizeof largest - 1);
    memset(large, 'x', RV_REGISTRY_VALUE_MAX);
    make_base(&one);
    assert_int_equal(load_as(&one, "w", NULL), 0);
    for (unsigned i = 0; i < RV_COUNT(keys); i++)
        put(&one, 1, keys[i], "v");
    write_as(&one, 2, &full, 1);
    expect_log(&one, "1 1 1 1 1 1 1 1 1 1 1 1 2 ");
    assert_int_equal(load_as(&two, NULL, NULL), 0);
    for (unsigned i = 0; i < RV_COUNT(keys); i++) {
        _cleanup_free_ char *part = rv_asprintf("%s=v;", keys[i]);
        assert_non_null(strstr(two.text.data, part));
    }
    assert_non_null(strstr(two.text.data, "//=xx"));
}

static void too_large_is_refused(void **state) {
    size_t n = RV_REGISTRY_VALUE_MAX;
    _cleanup_free_ char *large = rv_calloc(1, n + 1);
    const struct rv_registry_change too_long[] = {{"a", RV_STR("1")}, {"b", {large, n + 1}}};
    const struct rv_registry_change too_many[] = {{"a", {large, n}}, {"b", {large, n}}};

    (void)state;
    NEEDS_SERVER();
    make_base(&one);
    assert_int_equal(load_as(&one, "w", NULL), 0);
    write_as(&one, 1, too_long, 2);
    write_as(&one, 2, too_many, 2);
    put(&one, 3, "c", "1");
    expect_log(&one, "!1 !2 3 ");
    expect_records(&two, "c=1;");
}

/* More than fly at once, while they fly. */
static void many_batches_keep_their_order(void **state) {
    struct rv_buf log = {0};

    (void)state;
    NEEDS_SERVER();
    make_base(&one);
    assert_int_equal(load_as(&one, "w", NULL), 0);
    for (unsigned i = 0; i < 3000; i++) {
        char key[16], value[16];
        snprintf(key, sizeof key, "key/%u", i % 700);
        snprintf(value, sizeof value, "%u", i);
        put(&one, i, key, i % 7 == 6 ? NULL : value);
        rv_buf_printf(&log, "%u ", i);
        if (i % 100 == 0)
            uv_run(&loop, UV_RUN_NOWAIT);
    }
    expect_log(&one, log.data);
    rv_buf_free(&log);
    assert_int_equal(load_as(&two, "next", NULL), 0);
    assert_null(strstr(two.text.data, "key/2506"));
    assert_non_null(strstr(two.text.data, "key/399=2499;"));
}

/* INV-4: who was deposed writes nothing any more. */
static void inv4_a_deposed_writer_is_fenced(void **state) {
    (void)state;
    NEEDS_SERVER();
    make_base(&one);
    assert_int_equal(load_as(&one, "old", NULL), 0);
    put(&one, 1, "a", "old");
    expect_log(&one, "1 ");
    assert_int_equal(load_as(&two, "new", NULL), 0);
    put(&one, 2, "a", "late");
    put(&one, 3, "b", "late");
    RUN_UNTIL(one.lost);
    assert_non_null(strstr(one.err.message, "new"));
    assert_int_equal(one.log.n, 0); /* neither done nor failed */
    put(&one, 4, "c", "later");
    put(&two, 5, "d", "new");
    expect_log(&two, "5 ");
    assert_int_equal(one.log.n, 0);
    expect_records(&two, "a=old;d=new;");
}

static void a_candidate_that_is_gone_takes_nothing_over(void **state) {
    _cleanup_free_ char *candidate = NULL;

    (void)state;
    NEEDS_SERVER();
    make_base(&one);
    candidate = rv_asprintf("%s/json.info_0000000007", base_path());
    assert_int_equal(load_as(&one, "w1", candidate), -RV_ERR_IO);
    assert_non_null(strstr(one.err.message, "no candidate"));
    assert_int_equal(load_as(&one, NULL, NULL), -RV_ERR_IO);
    assert_non_null(strstr(one.err.message, "there is no registry"));
    assert_int_equal(raw(&one, RV_ZK_CREATE, candidate, RV_STR("")), RV_ZK_OK);
    assert_int_equal(load_as(&one, "w1", candidate), 0);
    assert_int_equal(raw(&one, RV_ZK_REMOVE, candidate, RV_STR("")), RV_ZK_OK);
    assert_int_equal(load_as(&one, "w2", candidate), -RV_ERR_IO);
    assert_int_equal(load_as(&one, "w3", NULL), 0);
}

/* --- connections that break --- */

static void load_through_proxy(struct store *s) {
    assert_int_equal(zk_proxy_start(&proxy, server.port), 0);
    connect_to(s, proxy.port);
    rv_zk_make_path(s->z, base_path(), on_raw, s);
    assert_int_equal(raw_done(s), RV_ZK_OK);
    assert_int_equal(load_as(s, "w", NULL), 0);
}

/* INV-4: each write is answered once, in order, as done, whether it had been done before the
 * connection broke or not. */
static void inv4_lost_answers_are_found_out(void **state) {
    struct rv_buf log = {0};
    struct rv_prng prng;
    unsigned n = 0;

    (void)state;
    NEEDS_SERVER();
    rv_prng_seed(&prng, 4);
    load_through_proxy(&one);
    for (int round = 0; round < 25; round++) {
        bool requests = rv_prng_below(&prng, 2);
        int before = (int)rv_prng_below(&prng, 5), after = (int)rv_prng_below(&prng, 5);
        for (int i = 0; i < before; i++, n++) {
            put(&one, n, n % 5 ? "k" : "l", n % 4 == 3 ? NULL : "v");
            rv_buf_printf(&log, "%u ", n);
            uv_run(&loop, UV_RUN_NOWAIT);
        }
        /* From here on one direction is held up; then both are cut. */
        if (requests)
            proxy.hold_requests = true;
        else
            proxy.hold_answers = true;
        for (int i = 0; i < after; i++, n++) {
            char value[16];
            snprintf(value, sizeof value, "%u", n);
            put(&one, n, n % 3 ? "k" : "m", value);
            rv_buf_printf(&log, "%u ", n);
        }
        uint64_t end = uv_hrtime() + rv_prng_below(&prng, 30) * UINT64_C(1000000);
        while (uv_hrtime() < end)
            uv_run(&loop, UV_RUN_NOWAIT);
        zk_proxy_cut(&proxy);
        proxy.hold_requests = proxy.hold_answers = false;
        RUN_UNTIL(one.log.n >= log.n || one.lost);
        if (one.lost)
            fail_msg("round %d: %s", round, one.err.message);
        assert_string_equal(one.log.data ? one.log.data : "", log.data ? log.data : "");
    }
    put(&one, n, "last", "1");
    rv_buf_printf(&log, "%u ", n);
    expect_log(&one, log.data);
    rv_buf_free(&log);
    assert_int_equal(load_as(&two, "w2", NULL), 0); /* the tally agrees */
    assert_non_null(strstr(two.text.data, "last=1;"));
}

static void lost_answers_of_one_who_is_deposed_meanwhile(void **state) {
    (void)state;
    NEEDS_SERVER();
    load_through_proxy(&one);
    proxy.hold_answers = true;
    put(&one, 1, "a", "1");
    uint64_t end = uv_hrtime() + UINT64_C(300000000);
    while (uv_hrtime() < end)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(load_as(&two, "w2", NULL), 0);
    assert_string_equal(two.text.n ? two.text.data : "", "a=1;");
    proxy.hold_answers = false;
    zk_proxy_cut(&proxy);
    RUN_UNTIL(one.lost);
    assert_int_equal(one.log.n, 0); /* not 'failed': it was done */
}

static void the_server_restarts(void **state) {
    (void)state;
    NEEDS_SERVER();
    make_base(&one);
    assert_int_equal(load_as(&one, "w", NULL), 0);
    put(&one, 1, "a", "1");
    expect_log(&one, "1 ");
    kill(server.pid, SIGSTOP);
    put(&one, 2, "a", "2");
    put(&one, 3, "b", "3");
    uv_run(&loop, UV_RUN_NOWAIT);
    zk_kill(&server);
    put(&one, 4, "c", "4");
    assert_true(zk_start(&server));
    expect_log(&one, "2 3 4 ");
    expect_records(&two, "a=2;b=3;c=4;");
}

static void closed_with_writes_in_the_air(void **state) {
    (void)state;
    NEEDS_SERVER();
    make_base(&one);
    assert_int_equal(load_as(&one, "w", NULL), 0);
    put(&one, 1, "a", "1");
    one.r->ops->close(one.r);
    one.r = NULL;
    assert_int_equal(load_as(&two, "w2", NULL), 0);
    assert_int_equal(one.log.n, 0);
}

static void one_may_read_while_another_writes(void **state) {
    (void)state;
    NEEDS_SERVER();
    make_base(&one);
    assert_int_equal(load_as(&one, "w", NULL), 0);
    put(&one, 1, "a", "1");
    expect_log(&one, "1 ");
    /* Written to under its eyes, it says so, or shows one whole picture. */
    connect_to(&two, server.port);
    for (int i = 0; i < 5; i++) {
        two.r = rv_registry_zookeeper_new(
            &(struct rv_registry_zk_config){.zk = two.z, .path = base_path()});
        two.loaded = 1;
        rv_buf_clear(&two.text);
        two.r->ops->load(two.r, each, on_loaded, &two);
        for (unsigned n = 0; two.loaded == 1; n++) {
            put(&one, 2, "a", n % 2 ? "1" : NULL);
            put(&one, 2, "b", n % 3 ? "1" : NULL);
            uv_run(&loop, UV_RUN_ONCE);
        }
        assert_true(two.loaded == 0 || two.loaded == -RV_ERR_CONFLICT);
        two.r->ops->close(two.r);
        two.r = NULL;
    }
    put(&one, 3, "a", "1");
    put(&one, 3, "b", "1");
    RUN_UNTIL(rv_ends_with(one.log.data, "3 3 "));
    expect_records(&two, "a=1;b=1;");
}

/* --- damage: INV-5 --- */

static char *record_path(struct store *s, const char *key_end) {
    for (int i = 0; i < 256; i++) {
        _cleanup_free_ char *bucket = rv_asprintf("%s/registry/%02x", base_path(), i);
        rv_zk_children(s->z, bucket, NULL, NULL, on_raw, s);
        assert_int_equal(raw_done(s), RV_ZK_OK);
        if (s->raw.n && rv_ends_with(s->raw.data, key_end))
            return rv_asprintf("%s/%s", bucket, s->raw.data);
    }
    fail_msg("%s is nowhere", key_end);
    return NULL;
}

static void expect_damage(const char *what) {
    _cleanup_free_ char *place = rv_asprintf("127.0.0.1:%u%s/registry", server.port, base_path());

    for (int i = 0; i < 2; i++) {
        int r = load_as(&one, i ? "w2" : NULL, NULL);
        if (r != -RV_ERR_CORRUPT && r != -RV_ERR_UNSUPPORTED)
            fail_msg("%s: %d: read as %s", what, r, one.text.n ? one.text.data : "nothing");
        if (!strstr(one.err.message, place))
            fail_msg("%s: no place is named: %s", what, one.err.message);
    }
}

static void flip_each_bit(const char *path, const char *what) {
    raw_get(&one, path);
    struct rv_buf good = {0};
    rv_buf_append(&good, one.raw.data, one.raw.n);
    for (size_t bit = 0; bit < good.n * 8; bit += 3) {
        good.data[bit / 8] = (char)(good.data[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(raw(&one, RV_ZK_SET, path, rv_buf_str(&good)), RV_ZK_OK);
        expect_damage(what);
        good.data[bit / 8] = (char)(good.data[bit / 8] ^ 1 << bit % 8);
    }
    assert_int_equal(raw(&one, RV_ZK_SET, path, rv_strn(good.data, good.n / 2)), RV_ZK_OK);
    expect_damage(what);
    assert_int_equal(raw(&one, RV_ZK_SET, path, RV_STR("")), RV_ZK_OK);
    expect_damage(what);
    assert_int_equal(raw(&one, RV_ZK_SET, path, rv_buf_str(&good)), RV_ZK_OK);
    rv_buf_free(&good);
}

static void inv5_damaged_nodes_are_refused(void **state) {
    (void)state;
    NEEDS_SERVER();
    make_base(&one);
    assert_int_equal(load_as(&one, "w", NULL), 0);
    put(&one, 1, "agent/1", "value");
    put(&one, 2, "agent/2", "value");
    expect_log(&one, "1 2 ");
    _cleanup_free_ char *head = rv_asprintf("%s/registry", base_path());
    _cleanup_free_ char *record = record_path(&one, "%2f1");
    flip_each_bit(record, "record");
    flip_each_bit(head, "head");
    assert_int_equal(raw(&one, RV_ZK_REMOVE, record, RV_STR("")), RV_ZK_OK);
    expect_damage("a record is missing");
    assert_int_equal(raw(&one, RV_ZK_CREATE, record, RV_STR("value")), RV_ZK_OK);
    expect_records(&one, "agent/1=value;agent/2=value;");
    _cleanup_free_ char *strange = rv_asprintf("%s/registry/00/strange", base_path());
    assert_int_equal(raw(&one, RV_ZK_CREATE, strange, RV_STR("")), RV_ZK_OK);
    expect_damage("a record is too many");
    assert_int_equal(raw(&one, RV_ZK_REMOVE, strange, RV_STR("")), RV_ZK_OK);
    _cleanup_free_ char *bucket = NULL;
    for (int i = 0; i < 256 && !bucket; i++) {
        char *path = rv_asprintf("%s/registry/%02x", base_path(), i);
        if (raw(&one, RV_ZK_REMOVE, path, RV_STR("")) == RV_ZK_OK)
            bucket = path;
        else
            free(path);
    }
    expect_damage("a bucket is missing");
    assert_int_equal(raw(&one, RV_ZK_CREATE, bucket, RV_STR("")), RV_ZK_OK);
    expect_records(&one, "agent/1=value;agent/2=value;");
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(records_are_put_and_removed),
        TEST(any_keys_and_values),
        TEST(too_large_is_refused),
        TEST(many_batches_keep_their_order),
        TEST(inv4_a_deposed_writer_is_fenced),
        TEST(a_candidate_that_is_gone_takes_nothing_over),
        TEST(inv4_lost_answers_are_found_out),
        TEST(lost_answers_of_one_who_is_deposed_meanwhile),
        TEST(the_server_restarts),
        TEST(closed_with_writes_in_the_air),
        TEST(one_may_read_while_another_writes),
        TEST(inv5_damaged_nodes_are_refused),
    };
    cmocka_set_test_filter(getenv("ONLY"));
    return cmocka_run_group_tests(tests, set_up_server, tear_down_server);
}
