/* The engines of the registry's store, one table for all; and what only a file can suffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/vec.h"
#include "io/registry.h"

struct world {
    const struct rv_registry_ops *ops;
    uv_loop_t loop;
    char folder[64];
    char *path;
    struct rv_registry *store;
    struct rv_buf log;  /* a character a batch: . or ! if it failed */
    struct rv_buf text; /* what was loaded: key=value; */
    struct rv_error err;
};

static int setup_with(void **state, const struct rv_registry_ops *ops) {
    struct world *w = rv_calloc(1, sizeof *w);

    w->ops = ops;
    strcpy(w->folder, "/tmp/reeve-registry-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    w->path = rv_asprintf("%s/registry", w->folder);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(ops->open(&w->loop, w->path, &w->store, &w->err), 0);
    *state = w;
    return 0;
}

static int setup_memory(void **state) {
    return setup_with(state, &rv_registry_memory);
}

static int setup_sqlite(void **state) {
    return setup_with(state, &rv_registry_sqlite);
}

static void close_store(struct world *w) {
    if (w->store)
        w->ops->close(w->store);
    w->store = NULL;
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

static int teardown(void **state) {
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    struct world *w = *state;

    close_store(w);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    for (size_t i = 0; i < RV_COUNT(ends); i++) {
        _cleanup_free_ char *path = rv_asprintf("%s%s", w->path, ends[i]);
        unlink(path);
    }
    rmdir(w->folder);
    free(w->path);
    rv_buf_free(&w->log);
    rv_buf_free(&w->text);
    free(w);
    return 0;
}

static int reopen(struct world *w) {
    close_store(w);
    return w->ops->open(&w->loop, w->path, &w->store, &w->err);
}

static void on_done(void *ctx, int result, const struct rv_error *err) {
    struct world *w = ctx;

    rv_buf_putc(&w->log, result ? '!' : '.');
    if (result)
        w->err = *err;
}

static void put(struct world *w, const char *key, const char *value) {
    struct rv_registry_change c = {key, rv_str(value)};

    w->ops->write(w->store, &c, 1, on_done, w);
}

static void expect_log(struct world *w, const char *log) {
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_string_equal(w->log.n ? w->log.data : "", log);
    rv_buf_clear(&w->log);
}

static void each(void *ctx, const char *key, struct rv_str value) {
    struct world *w = ctx;

    assert_non_null(value.s); /* NULL would mean that it is removed */
    rv_buf_printf(&w->text, "%s=%.*s;", key, (int)value.n, value.s);
}

static void expect_records(struct world *w, const char *text) {
    rv_buf_clear(&w->text);
    assert_int_equal(w->ops->load(w->store, each, w, &w->err), 0);
    assert_string_equal(w->text.n ? w->text.data : "", text);
}

/* --- every engine --- */

static void records_are_put_and_removed(void **state) {
    struct world *w = *state;

    expect_records(w, "");
    put(w, "b", "2");
    put(w, "a/x", "1");
    put(w, "a-x", "");
    expect_log(w, "...");
    expect_records(w, "a-x=;a/x=1;b=2;"); /* in byte order */
    put(w, "b", "two");
    put(w, "a/x", NULL);
    put(w, "never there", NULL);
    expect_log(w, "...");
    expect_records(w, "a-x=;b=two;");
}

static void batches_go_in_order(void **state) {
    struct world *w = *state;
    const struct rv_registry_change batch[] = {
        {"k", RV_STR("1")}, {"k", {NULL, 0}}, {"k", RV_STR("2")}, {"l", RV_STR("3")}};

    for (int i = 0; i < 100; i++) {
        char text[8];
        snprintf(text, sizeof text, "%d", i);
        put(w, "k", text);
    }
    w->ops->write(w->store, batch, RV_COUNT(batch), on_done, w);
    w->ops->write(w->store, batch, 0, on_done, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->log.n, 102);
    expect_records(w, "k=2;l=3;");
}

static void any_bytes(void **state) {
    struct world *w = *state;
    static const char bytes[] = {0, 1, (char)0xff, 0, '\'', '"'};
    struct rv_registry_change c = {"agent/é'\";--", {bytes, sizeof bytes}};

    w->ops->write(w->store, &c, 1, on_done, w);
    expect_log(w, ".");
    rv_buf_clear(&w->text);
    assert_int_equal(w->ops->load(w->store, each, w, &w->err), 0);
    assert_true(rv_starts_with(w->text.data, "agent/é'\";--="));
}

static void write_more(void *ctx, int result, const struct rv_error *err) {
    struct world *w = ctx;

    on_done(ctx, result, err);
    if (w->log.n < 20) {
        struct rv_registry_change c = {"k", RV_STR("v")};
        w->ops->write(w->store, &c, 1, write_more, w);
    }
}

static void callbacks_may_write(void **state) {
    struct world *w = *state;
    struct rv_registry_change c = {"k", RV_STR("v")};

    w->ops->write(w->store, &c, 1, write_more, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->log.n, 20);
}

/* --- files --- */

static void kept_across_reopening(void **state) {
    struct world *w = *state;

    put(w, "a", "1");
    put(w, "b", "2");
    expect_log(w, "..");
    assert_int_equal(reopen(w), 0);
    expect_records(w, "a=1;b=2;");
    put(w, "a", NULL);
    expect_log(w, ".");
    assert_int_equal(reopen(w), 0);
    expect_records(w, "b=2;");
}

static void closed_with_writes_under_way(void **state) {
    struct world *w = *state;

    put(w, "a", "1"); /* on its way */
    put(w, "b", "2"); /* waits */
    put(w, "c", "3");
    close_store(w);
    expect_log(w, "");
    assert_int_equal(reopen(w), 0);
    expect_records(w, "a=1;b=2;c=3;");
}

/* One that cannot be written does not take those with it that came at the same time. */
static void a_bad_batch_fails_alone(void **state) {
    struct world *w = *state;
    struct rlimit before, limit;
    size_t n = (size_t)1 << 20;
    char *large = rv_calloc(1, n);
    const struct rv_registry_change bad[] = {{"bad/first", RV_STR("1")}, {"bad/large", {large, n}}};

    signal(SIGXFSZ, SIG_IGN);
    put(w, "a", "1");
    expect_log(w, ".");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)200000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    put(w, "b", "2"); /* alone on its way; the others wait, and go together */
    put(w, "c", "3");
    w->ops->write(w->store, bad, RV_COUNT(bad), on_done, w);
    put(w, "d", "4");
    expect_log(w, "..!.");
    assert_non_null(strstr(w->err.message, "registry"));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    put(w, "e", "5");
    expect_log(w, ".");
    expect_records(w, "a=1;b=2;c=3;d=4;e=5;");
    assert_int_equal(reopen(w), 0);
    expect_records(w, "a=1;b=2;c=3;d=4;e=5;");
    free(large);
}

static void overwrite(struct world *w, off_t offset, const char *bytes, size_t n) {
    int fd = open(w->path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, n, offset), n);
    close(fd);
}

static void fill(struct world *w) {
    for (int i = 0; i < 300; i++) {
        _cleanup_free_ char *key = rv_asprintf("agent/%03d", i);
        put(w, key, "a value that is long enough to need more pages than one");
    }
    uv_run(&w->loop, UV_RUN_DEFAULT);
    rv_buf_clear(&w->log);
    close_store(w); /* and all is in the file itself */
}

/* INV-5: never silently read as empty. */
static void damaged_files_are_refused(void **state) {
    struct world *w = *state;
    char garbage[4096];

    memset(garbage, 0xa5, sizeof garbage);
    fill(w);
    overwrite(w, 0, garbage, 100);
    assert_int_equal(reopen(w), -RV_ERR_CORRUPT);
    assert_non_null(strstr(w->err.message, w->path));
    unlink(w->path);
    assert_int_equal(reopen(w), 0);
    fill(w);
    overwrite(w, 4096, garbage, sizeof garbage); /* the root of the table */
    int r = reopen(w);
    if (!r)
        r = w->ops->load(w->store, each, w, &w->err);
    assert_int_equal(r, -RV_ERR_CORRUPT);
    close_store(w);
    assert_int_equal(truncate(w->path, 5000), 0);
    r = reopen(w);
    if (!r)
        r = w->ops->load(w->store, each, w, &w->err);
    assert_int_equal(r, -RV_ERR_CORRUPT);
    close_store(w);
}

static void other_files_are_refused(void **state) {
    struct world *w = *state;
    uint8_t newer[4] = {0, 0, 0, 9};

    fill(w);
    overwrite(w, 60, (const char *)newer, sizeof newer); /* PRAGMA user_version */
    assert_int_equal(reopen(w), -RV_ERR_UNSUPPORTED);
    assert_non_null(strstr(w->err.message, "newer"));
    unlink(w->path);
    assert_int_equal(mkdir(w->path, 0700), 0);
    assert_int_equal(reopen(w), -RV_ERR_IO);
    rmdir(w->path);
}

static void two_cannot_use_it(void **state) {
    struct world *w = *state;
    struct rv_registry *other;

    put(w, "a", "1");
    expect_log(w, ".");
    assert_true(w->ops->open(&w->loop, w->path, &other, &w->err) < 0);
    assert_non_null(strstr(w->err.message, "locked"));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_sqlite, teardown)
#define BOTH(f)                                                                                    \
    {#f " (memory)", f, setup_memory, teardown, NULL}, {                                           \
#f " (sqlite)", f, setup_sqlite, teardown, NULL                                            \
    }
    static const struct CMUnitTest tests[] = {
        BOTH(records_are_put_and_removed),
        BOTH(batches_go_in_order),
        BOTH(any_bytes),
        BOTH(callbacks_may_write),
        TEST(kept_across_reopening),
        TEST(closed_with_writes_under_way),
        TEST(a_bad_batch_fails_alone),
        TEST(damaged_files_are_refused),
        TEST(other_files_are_refused),
        TEST(two_cannot_use_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
