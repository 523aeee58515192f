/* The engines of the registry's store, one table for all; and what only a file can suffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/vec.h"
#include "io/registry.h"

struct world {
    bool on_disk;
    uv_loop_t loop;
    char folder[64];
    char *path;
    struct rv_registry *store;
    struct rv_buf log;  /* a character a batch: . or ! if it failed */
    struct rv_buf text; /* what was loaded: key=value; */
    int loaded;
    struct rv_error err;
};

static int open_store(struct world *w) {
    if (w->on_disk)
        return rv_registry_sqlite_open(&w->loop, w->path, false, &w->store, &w->err);
    w->store = rv_registry_memory_new();
    return 0;
}

static int setup_with(void **state, bool on_disk) {
    struct world *w = rv_calloc(1, sizeof *w);

    w->on_disk = on_disk;
    strcpy(w->folder, "/tmp/reeve-registry-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    w->path = rv_asprintf("%s/registry", w->folder);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(open_store(w), 0);
    *state = w;
    return 0;
}

static int setup_memory(void **state) {
    return setup_with(state, false);
}

static int setup_sqlite(void **state) {
    return setup_with(state, true);
}

static void close_store(struct world *w) {
    if (w->store)
        w->store->ops->close(w->store);
    w->store = NULL;
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

static const char *const files[] = {"", "-wal", "-shm", "-journal", ".witness"};

static char *file_of(const struct world *w, size_t i) {
    return rv_asprintf("%s%s", w->path, files[i]);
}

static void remove_files(struct world *w) {
    for (size_t i = 0; i < RV_COUNT(files); i++) {
        _cleanup_free_ char *path = file_of(w, i);
        unlink(path);
    }
}

static int teardown(void **state) {
    struct world *w = *state;

    close_store(w);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    remove_files(w);
    rmdir(w->folder);
    free(w->path);
    rv_buf_free(&w->log);
    rv_buf_free(&w->text);
    free(w);
    return 0;
}

static int reopen(struct world *w) {
    close_store(w);
    return open_store(w);
}

static void on_done(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    struct world *w = ctx;
    (void)seq;

    rv_buf_putc(&w->log, result ? '!' : '.');
    if (result)
        w->err = *err;
}

static void write_batch(struct world *w, const struct rv_registry_change *changes, size_t n) {
    w->store->ops->write(w->store, changes, n, 0, on_done, w);
}

static void put(struct world *w, const char *key, const char *value) {
    struct rv_registry_change c = {key, rv_str(value)};

    write_batch(w, &c, 1);
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

static void on_loaded(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    struct world *w = ctx;
    (void)seq;

    w->loaded = result;
    if (result)
        w->err = *err;
}

static int load(struct world *w) {
    rv_buf_clear(&w->text);
    w->loaded = 1;
    w->store->ops->load(w->store, each, on_loaded, w);
    return w->loaded;
}

static void expect_records(struct world *w, const char *text) {
    assert_int_equal(load(w), 0);
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
    write_batch(w, batch, RV_COUNT(batch));
    write_batch(w, batch, 0);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->log.n, 102);
    expect_records(w, "k=2;l=3;");
}

static void any_bytes(void **state) {
    struct world *w = *state;
    static const char bytes[] = {0, 1, (char)0xff, 0, '\'', '"'};
    struct rv_registry_change c = {"agent/é'\";--", {bytes, sizeof bytes}};

    write_batch(w, &c, 1);
    expect_log(w, ".");
    assert_int_equal(load(w), 0);
    assert_true(rv_starts_with(w->text.data, "agent/é'\";--="));
}

static void write_more(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    struct world *w = ctx;

    on_done(ctx, seq, result, err);
    if (w->log.n < 20) {
        struct rv_registry_change c = {"k", RV_STR("v")};
        w->store->ops->write(w->store, &c, 1, 0, write_more, w);
    }
}

static void callbacks_may_write(void **state) {
    struct world *w = *state;
    struct rv_registry_change c = {"k", RV_STR("v")};

    w->store->ops->write(w->store, &c, 1, 0, write_more, w);
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
    write_batch(w, bad, RV_COUNT(bad));
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

static int reopen_and_load(struct world *w) {
    int r = reopen(w);

    return r ? r : load(w);
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
    remove_files(w);
    assert_int_equal(reopen(w), 0);
    fill(w);
    overwrite(w, 4096, garbage, sizeof garbage); /* the root of the table */
    assert_int_equal(reopen_and_load(w), -RV_ERR_CORRUPT);
    close_store(w);
    assert_int_equal(truncate(w->path, 5000), 0);
    assert_int_equal(reopen_and_load(w), -RV_ERR_CORRUPT);
    close_store(w);
}

static void other_files_are_refused(void **state) {
    struct world *w = *state;
    uint8_t newer[4] = {0, 0, 0, 9};

    fill(w);
    overwrite(w, 60, (const char *)newer, sizeof newer); /* PRAGMA user_version */
    assert_int_equal(reopen(w), -RV_ERR_UNSUPPORTED);
    assert_non_null(strstr(w->err.message, "newer"));
    remove_files(w);
    assert_int_equal(mkdir(w->path, 0700), 0);
    assert_int_equal(reopen(w), -RV_ERR_IO);
    rmdir(w->path);
}

static void two_cannot_use_it(void **state) {
    struct world *w = *state;
    struct rv_registry *other;

    put(w, "a", "1");
    expect_log(w, ".");
    assert_int_equal(rv_registry_sqlite_open(&w->loop, w->path, false, &other, &w->err),
                     -RV_ERR_CONFLICT);
    assert_non_null(strstr(w->err.message, "locked"));
}

/* A dump of a registry whose master runs. */
static void one_may_read_beside_the_owner(void **state) {
    struct world *w = *state;
    struct rv_registry *other, *owner = w->store;

    put(w, "a", "1");
    expect_log(w, ".");
    assert_int_equal(rv_registry_sqlite_open(&w->loop, w->path, true, &other, &w->err), 0);
    put(w, "b", "2");
    expect_log(w, ".");
    w->store = other;
    expect_records(w, "a=1;b=2;");
    other->ops->close(other);
    w->store = owner;
    put(w, "c", "3");
    expect_log(w, ".");
    expect_records(w, "a=1;b=2;c=3;");
}

/* --- damage: INV-5 --- */

struct copy {
    char *data;
    size_t n;
};

static struct copy read_file(const char *path) {
    struct copy c = {NULL, 0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return c;
    assert_int_equal(fstat(fd, &st), 0);
    c.n = (size_t)st.st_size;
    c.data = rv_malloc(c.n + 1);
    assert_int_equal(read(fd, c.data, c.n), c.n);
    close(fd);
    return c;
}

static void write_file(const char *path, struct copy c) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, c.data, c.n), c.n);
    close(fd);
}

/* The files as a crash leaves them, written anew. */
static void lay_out(struct world *w, const struct copy copies[RV_COUNT(files)]) {
    close_store(w);
    remove_files(w);
    for (size_t i = 0; i < RV_COUNT(files); i++) {
        _cleanup_free_ char *path = file_of(w, i);
        if (copies[i].data)
            write_file(path, copies[i]);
    }
}

static void take_copies(struct world *w, struct copy copies[RV_COUNT(files)]) {
    for (size_t i = 0; i < RV_COUNT(files); i++) {
        _cleanup_free_ char *path = file_of(w, i);
        /* The index of the log is made anew after a crash. */
        copies[i] = rv_streq(files[i], "-shm") ? (struct copy){NULL, 0} : read_file(path);
    }
}

static void free_copies(struct copy copies[RV_COUNT(files)]) {
    for (size_t i = 0; i < RV_COUNT(files); i++)
        free(copies[i].data);
}

/* What is there is what was written, or it is refused by name. */
static void expect_whole_or_refused(struct world *w, const char *whole, const char *what,
                                    size_t at) {
    int r = reopen_and_load(w);

    if (!r && !rv_streq(w->text.data, whole))
        fail_msg("%s, byte %zu: silently read as %.60s...", what, at,
                 w->text.n ? w->text.data : "");
    if (r && !strstr(w->err.message, w->path))
        fail_msg("%s, byte %zu: no file is named: %s", what, at, w->err.message);
}

static void every_flipped_bit_is_found(struct world *w, const struct copy copies[RV_COUNT(files)],
                                       const char *whole) {
    for (size_t i = 0; i < RV_COUNT(files); i++) {
        /* Few of the bytes of a large file are like no other; a page's head is looked at whole. */
        size_t stride = copies[i].n / 100 + 1;
        for (size_t at = 0; at < copies[i].n; at += at % 4096 < 16 ? 1 : stride) {
            lay_out(w, copies);
            _cleanup_free_ char *path = file_of(w, i);
            copies[i].data[at] ^= (char)(1 << at % 8);
            write_file(path, copies[i]);
            copies[i].data[at] ^= (char)(1 << at % 8);
            expect_whole_or_refused(w, whole, files[i], at);
        }
    }
}

static void inv5_flipped_bits(void **state) {
    struct world *w = *state;
    struct copy copies[RV_COUNT(files)];

    for (int i = 0; i < 40; i++) {
        _cleanup_free_ char *key = rv_asprintf("agent/%03d", i);
        put(w, key, "a value that is long enough to need more pages than one");
    }
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(load(w), 0);
    char *whole = rv_strdup(w->text.data);
    take_copies(w, copies); /* all of it is in the log */
    every_flipped_bit_is_found(w, copies, whole);
    free_copies(copies);
    close_store(w); /* all of it is in the file itself */
    take_copies(w, copies);
    every_flipped_bit_is_found(w, copies, whole);
    free_copies(copies);
    free(whole);
}

/* A file that is missing, cut short, or from an older copy. */
static void inv5_missing_and_old_files(void **state) {
    struct world *w = *state;
    struct copy before[RV_COUNT(files)], copies[RV_COUNT(files)];

    put(w, "a", "1");
    expect_log(w, ".");
    take_copies(w, before);
    put(w, "a", "2");
    put(w, "b", "1");
    expect_log(w, "..");
    take_copies(w, copies);
    lay_out(w, copies);
    assert_int_equal(reopen_and_load(w), 0);
    for (size_t i = 0; i < RV_COUNT(files); i++) {
        _cleanup_free_ char *path = file_of(w, i);
        if (!copies[i].data || rv_streq(files[i], ".witness"))
            continue;
        lay_out(w, copies);
        unlink(path);
        assert_int_equal(reopen_and_load(w), -RV_ERR_CORRUPT);
        assert_non_null(strstr(w->err.message, w->path));
        lay_out(w, copies);
        assert_int_equal(truncate(path, 0), 0);
        assert_int_equal(reopen_and_load(w), -RV_ERR_CORRUPT);
    }
    free(before[RV_COUNT(files) - 1].data);
    before[RV_COUNT(files) - 1] = (struct copy){NULL, 0};
    lay_out(w, before); /* an operator puts an old copy back, and takes the witness away */
    assert_int_equal(reopen(w), 0);
    expect_records(w, "a=1;");
    struct copy witness = copies[RV_COUNT(files) - 1];
    before[RV_COUNT(files) - 1] = witness; /* and forgets to */
    lay_out(w, before);
    assert_int_equal(reopen(w), -RV_ERR_CORRUPT);
    assert_non_null(strstr(w->err.message, "old copy"));
    before[RV_COUNT(files) - 1] = (struct copy){NULL, 0};
    free_copies(before);
    free_copies(copies);
}

/* The first release's. */
static void format_1_is_upgraded(void **state) {
    struct world *w = *state;
    sqlite3 *db;

    close_store(w);
    remove_files(w);
    assert_int_equal(sqlite3_open(w->path, &db), 0);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA journal_mode=WAL;"
                                  "CREATE TABLE records(key TEXT PRIMARY KEY, value BLOB NOT NULL) "
                                  "WITHOUT ROWID; PRAGMA user_version=1;"
                                  "INSERT INTO records VALUES('a', x'31'), ('b', x'32')",
                                  NULL, NULL, NULL),
                     0);
    sqlite3_close(db);
    assert_int_equal(reopen(w), 0);
    expect_records(w, "a=1;b=2;");
    put(w, "a", NULL);
    put(w, "c", "3");
    expect_log(w, "..");
    assert_int_equal(reopen(w), 0);
    expect_records(w, "b=2;c=3;");
}

static void too_large_is_refused(void **state) {
    struct world *w = *state;
    _cleanup_free_ char *large = rv_calloc(1, RV_REGISTRY_VALUE_MAX + 1);
    const struct rv_registry_change batch[] = {{"a", RV_STR("1")},
                                               {"b", {large, RV_REGISTRY_VALUE_MAX + 1}}};
    char key[RV_REGISTRY_KEY_MAX + 2] = "";

    write_batch(w, batch, 2);
    expect_log(w, "!");
    assert_non_null(strstr(w->err.message, "record b"));
    memset(key, 'k', sizeof key - 1);
    put(w, key, "1");
    expect_log(w, "!");
    expect_records(w, "");
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
        BOTH(too_large_is_refused),
        TEST(kept_across_reopening),
        TEST(closed_with_writes_under_way),
        TEST(a_bad_batch_fails_alone),
        TEST(damaged_files_are_refused),
        TEST(other_files_are_refused),
        TEST(two_cannot_use_it),
        TEST(one_may_read_beside_the_owner),
        TEST(inv5_flipped_bits),
        TEST(inv5_missing_and_old_files),
        TEST(format_1_is_upgraded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
