/*
 * Every system call of journal, registry and sockets fails once, one after the other, and then all
 * from there on: what follows is a clear error or a retry, never a loss, a leak (the sanitizers
 * watch, and descriptors are counted) or a stand-still. So do the allocations of SQLite. Where one
 * of our own fails the process ends with a line that says so (base/memory.h), and what it answered
 * as durable is there afterwards. INV-4, INV-19, INV-23, INV-49.
 */
#undef _FILE_OFFSET_BITS /* open and open64 are two functions in here; sizes stay the same */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/vec.h"
#include "failing_calls.h"
#include "io/http_client.h"
#include "io/http_server.h"
#include "io/journal.h"
#include "io/registry.h"

#define ROUNDS_MAX 5000

static const int errors[] = {EIO, ENOSPC, EROFS};

/* A letter a record. */
struct letters {
    char v[64];
    size_t n;
};

static struct world {
    uv_loop_t loop;
    char folder[64];
    char *path;
    struct letters *tried, *kept; /* written at all, durable: shared with children */
    struct letters read;          /* read again */
    unsigned answers;
    struct rv_error err;
    unsigned descriptors;
} w;

static void add(struct letters *l, char c) {
    assert_true(l->n < sizeof l->v);
    l->v[l->n++] = c;
}

static int setup(void **state) {
    (void)state;
    w = (struct world){0};
    snprintf(w.folder, sizeof w.folder, "%s/reeve-failing-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm"); /* where a sync takes no time */
    assert_non_null(mkdtemp(w.folder));
    w.path = rv_asprintf("%s/file", w.folder);
    w.tried =
        mmap(NULL, 2 * sizeof *w.tried, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(w.tried, MAP_FAILED);
    w.kept = w.tried + 1;
    failing.folder = NULL;
    failing.sockets = failing.half = false;
    failing.most = 0;
    return 0;
}

static void remove_files(void) {
    static const char *const suffixes[] = {"",     ".new",     ".damaged-1", ".damaged-2",
                                           "-wal", "-journal", "-shm",       ".witness"};

    for (size_t i = 0; i < RV_COUNT(suffixes); i++) {
        _cleanup_free_ char *path = rv_asprintf("%s%s", w.path, suffixes[i]);
        unlink(path);
    }
}

static int teardown(void **state) {
    (void)state;
    fail_no_more();
    remove_files();
    assert_int_equal(rmdir(w.folder), 0);
    free(w.path);
    munmap(w.tried, 2 * sizeof *w.tried);
    return 0;
}

static void expect_message(void) {
    if (!w.err.code || !w.err.message[0])
        fail_msg("no clear error after %s failed", failing.name ? failing.name : "nothing");
}

static bool contains(const struct letters *l, char letter) {
    return memchr(l->v, letter, l->n);
}

/* All that is durable is read, in order; what failed may be there, in its place. */
static void expect_nothing_lost(bool failed_may_be_there) {
    size_t at = 0;

    for (size_t i = 0; i < w.kept->n; i++) {
        while (at < w.read.n && w.read.v[at] != w.kept->v[i]) {
            if (!failed_may_be_there || contains(w.kept, w.read.v[at]))
                fail_msg("after %s failed: %c is read where %c was kept",
                         failing.name ? failing.name : "nothing", w.read.v[at], w.kept->v[i]);
            at++;
        }
        if (at++ == w.read.n)
            fail_msg("after %s failed: %c is lost (%.*s is read)",
                     failing.name ? failing.name : "nothing", w.kept->v[i], (int)w.read.n,
                     w.read.v);
    }
    for (size_t i = 0; i < w.read.n; i++)
        assert_true(contains(w.tried, w.read.v[i]));
}

/* --- rounds --- */

static void begin_round(void) {
    remove_files();
    w.tried->n = w.kept->n = w.read.n = 0;
    w.err = (struct rv_error){0};
    w.descriptors = open_descriptors();
    assert_int_equal(uv_loop_init(&w.loop), 0);
}

static void end_round(void) {
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    if (open_descriptors() != w.descriptors)
        fail_msg("%d descriptors stay open after %s failed", open_descriptors() - w.descriptors,
                 failing.name ? failing.name : "nothing");
}

/* prepare and verify happen without failures; story with the n-th, until there are no so many. */
static void with_each_failure(void (*prepare)(void), void (*story)(void), void (*verify)(void)) {
    failing.folder = w.folder;
    for (size_t e = 0; e < RV_COUNT(errors); e++)
        for (int mode = 0; mode < 4; mode++) {
            bool failed = true;
            failing.half = mode & 1;
            for (long n = 1; failed; n++) {
                assert_true(n < ROUNDS_MAX);
                begin_round();
                prepare();
                fail_from(n, errors[e], mode & 2);
                story();
                failed = fail_no_more();
                verify();
                end_round();
            }
        }
}

/* --- the journal --- */

struct letter {
    char c;
};

static int on_left(void *ctx, struct rv_str record, struct rv_error *err) {
    const char *failed = ctx;
    (void)err;

    if (record.s[0] == *failed)
        fail_msg("%c was told to have failed after %s failed, and is there", *failed, failing.name);
    return 0;
}

/* What is told not to be there must not be there after a crash, in which nothing is removed. */
static void expect_gone(char failed) {
    long at = atomic_exchange(&failing.at, 0);
    struct rv_journal_found found;
    struct rv_buf file = {0};
    FILE *f = fopen(w.path, "re");

    assert_non_null(f);
    for (int c; (c = getc(f)) != EOF;)
        rv_buf_putc(&file, (char)c);
    fclose(f);
    assert_int_equal(
        rv_journal_parse(rv_buf_str(&file), w.path, false, on_left, &failed, &found, NULL), 0);
    rv_buf_free(&file);
    atomic_store(&failing.at, at);
}

static void on_appended(void *ctx, int result, const struct rv_error *err) {
    struct letter *l = ctx;

    if (!result) {
        assert_false(failing.unnamed);
        add(w.kept, l->c);
    } else {
        w.err = *err;
        expect_message();
        assert_non_null(strstr(err->message, w.path));
        expect_gone(l->c);
    }
    free(l);
}

static void append(struct rv_journal *j, char c) {
    struct letter *l = rv_calloc(1, sizeof *l);

    l->c = c;
    add(w.tried, c);
    char record[700]; /* more than a sector */
    memset(record, c, sizeof record);
    rv_journal_append(j, rv_strn(record, sizeof record), on_appended, l);
}

static int on_read(void *ctx, struct rv_str record, struct rv_error *err) {
    (void)ctx;
    (void)err;
    add(&w.read, record.s[0]);
    return 0;
}

static struct rv_journal *open_journal(void) {
    struct rv_journal *j = NULL;

    w.read.n = 0;
    if (rv_journal_open(&w.loop, w.path, on_read, NULL, &j, &w.err)) {
        expect_message();
        return NULL;
    }
    return j;
}

static void journal_of_two(void) {
    struct rv_journal *j = open_journal();

    append(j, 'a');
    append(j, 'b');
    uv_run(&w.loop, UV_RUN_DEFAULT);
    rv_journal_close(j);
    assert_int_equal(w.kept->n, 2);
}

/* Some appends, a compaction to what is there, another append. */
static void story_of_the_journal(void) {
    struct rv_journal *j = open_journal();
    RV_VEC(struct rv_str) all = {0};

    if (!j)
        return;
    append(j, 'c');
    append(j, 'd');
    uv_run(&w.loop, UV_RUN_DEFAULT);
    append(j, 'e');
    uv_run(&w.loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < w.kept->n; i++)
        rv_vec_push(&all, rv_strn(&w.kept->v[i], 1));
    w.err = (struct rv_error){0};
    if (rv_journal_rewrite(j, all.v, all.n, &w.err))
        expect_message();
    append(j, 'f');
    uv_run(&w.loop, UV_RUN_DEFAULT);
    rv_journal_close(j);
    rv_vec_free(&all);
}

static void verify_journal(void) {
    struct rv_journal *j = open_journal();

    if (!j)
        fail_msg("after %s failed: %s", failing.name, w.err.message);
    expect_nothing_lost(false);
    append(j, 'z'); /* and it goes on */
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(w.kept->v[w.kept->n - 1], 'z');
    rv_journal_close(j);
}

/* A journal waits until it is certain what is there, so the disk is well again at some time. */
static void nth_failure_of_the_journal(void **state) {
    (void)state;
    failing.most = 6;
    with_each_failure(journal_of_two, story_of_the_journal, verify_journal);
}

/* The first start: there is no file. */
static void nothing_there(void) {
}

static void nth_failure_of_a_new_journal(void **state) {
    (void)state;
    failing.most = 6;
    with_each_failure(nothing_there, story_of_the_journal, verify_journal);
}

/* --- mending a journal --- */

static void journal_that_is_damaged(void) {
    journal_of_two();
    int fd = open(w.path, O_RDWR | O_CLOEXEC);
    char byte;
    assert_int_equal(pread64(fd, &byte, 1, 40), 1);
    byte ^= 1;
    assert_int_equal(pwrite64(fd, &byte, 1, 40), 1);
    close(fd);
    assert_null(open_journal());
    w.kept->n = 0; /* of the first frame */
    add(w.kept, 'b');
}

static void story_of_mending(void) {
    char *aside = NULL;

    w.err = (struct rv_error){0};
    if (rv_journal_repair(w.path, &aside, &w.err))
        expect_message();
    free(aside);
}

static void verify_mended(void) {
    char *aside = NULL;

    if (rv_journal_repair(w.path, &aside, &w.err))
        fail_msg("after %s failed: %s", failing.name, w.err.message);
    free(aside);
    verify_journal();
}

static void nth_failure_of_mending(void **state) {
    (void)state;
    with_each_failure(journal_that_is_damaged, story_of_mending, verify_mended);
}

/* --- the registry --- */

static bool lost; /* the engine does not know any more what it wrote */

static void on_lost(void *ctx, const struct rv_error *err) {
    (void)ctx;
    w.err = *err;
    expect_message();
    lost = true;
}

static void on_written(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    (void)ctx;
    if (!result) {
        add(w.kept, (char)seq);
        return;
    }
    w.err = *err;
    expect_message();
}

static void put(struct rv_registry *r, char c) {
    char key[] = {c, 0}, value[2000];
    struct rv_registry_change change = {key, rv_strn(value, sizeof value)};

    memset(value, c, sizeof value);
    add(w.tried, c);
    r->ops->write(r, &change, 1, (uint64_t)c, on_written, NULL);
}

static void on_registry_record(void *ctx, const char *key, struct rv_str value) {
    (void)ctx;
    assert_true(value.n == 2000 && value.s[1999] == *key);
    add(&w.read, *key);
}

static void on_registry_loaded(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    (void)seq;
    *(int *)ctx = result;
    if (result) {
        w.err = *err;
        expect_message();
    }
}

static struct rv_registry *open_registry(int *loaded) {
    struct rv_registry *r = NULL;

    w.read.n = 0;
    if (rv_registry_sqlite_open(&w.loop, w.path, false, &r, &w.err)) {
        expect_message();
        return NULL;
    }
    r->on_lost = on_lost;
    r->ops->load(r, on_registry_record, on_registry_loaded, loaded);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    return r;
}

static void close_registry(struct rv_registry *r) {
    r->ops->close(r);
    uv_run(&w.loop, UV_RUN_DEFAULT);
}

static void registry_of_two(void) {
    int loaded = 1;
    struct rv_registry *r = open_registry(&loaded);

    put(r, 'a');
    put(r, 'b');
    uv_run(&w.loop, UV_RUN_DEFAULT);
    close_registry(r);
    assert_int_equal(w.kept->n, 2);
    lost = false;
}

static void story_of_the_registry(void) {
    int loaded = 1;
    struct rv_registry *r = open_registry(&loaded);

    if (!r)
        return;
    if (!loaded)
        for (char c = 'c'; c < 'f'; c++) {
            put(r, c);
            uv_run(&w.loop, UV_RUN_DEFAULT);
        }
    close_registry(r);
}

static void verify_registry(void) {
    int loaded = 1;
    struct rv_registry *r = open_registry(&loaded);

    if (!r || loaded)
        fail_msg("after %s failed: %s", failing.name ? failing.name : "an allocation",
                 w.err.message);
    expect_nothing_lost(lost);
    close_registry(r);
}

static void nth_failure_of_the_registry(void **state) {
    (void)state;
    with_each_failure(registry_of_two, story_of_the_registry, verify_registry);
}

/* --- allocations of SQLite --- */

static sqlite3_mem_methods system_memory;
static atomic_long allocations, failing_allocation;

static bool sqlite_allocation_fails(void) {
    long at = atomic_load(&failing_allocation);

    return at && atomic_fetch_add(&allocations, 1) + 1 >= at;
}

static void *sqlite_malloc(int n) {
    return sqlite_allocation_fails() ? NULL : system_memory.xMalloc(n);
}

static void *sqlite_realloc(void *p, int n) {
    return sqlite_allocation_fails() ? NULL : system_memory.xRealloc(p, n);
}

static void nth_allocation_of_the_registry(void **state) {
    sqlite3_mem_methods memory;
    bool failed = true;

    (void)state;
    assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &system_memory), SQLITE_OK);
    memory = system_memory;
    memory.xMalloc = sqlite_malloc;
    memory.xRealloc = sqlite_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &memory), SQLITE_OK);
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    for (long n = 1; failed; n += n < 200 ? 1 : 7) {
        assert_true(n < 100000);
        begin_round();
        registry_of_two();
        atomic_store(&allocations, 0);
        atomic_store(&failing_allocation, n);
        story_of_the_registry();
        failed = atomic_load(&allocations) >= n;
        atomic_store(&failing_allocation, 0);
        verify_registry();
        end_round();
    }
    assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &system_memory), SQLITE_OK);
    assert_int_equal(sqlite3_memory_used(), 0);
}

/* --- sockets --- */

static void answer(void *ctx, struct rv_http_request *req) {
    (void)ctx;
    rv_http_reply_text(req, 200, "fine");
}

static void on_answered(void *ctx, int result, int status, const struct rv_http1_header *headers,
                        size_t n, struct rv_str body, const struct rv_error *err) {
    (void)headers;
    (void)n;
    (void)body;
    w.answers++;
    if (result) {
        w.err = *err;
        expect_message();
    }
    *(bool *)ctx = !result && status == 200;
}

static const struct rv_http_call_handler answered = {.on_done = on_answered};

static void never(uv_timer_t *t) {
    (void)t;
    fail_msg("a call is not answered after %s failed", failing.name ? failing.name : "nothing");
}

/* One call, by a client of its own; whether it was answered. */
static bool call(uint16_t port) {
    struct rv_http_client_config config = {
        .host = "127.0.0.1", .port = port, .connect_timeout_ms = 2000, .call_timeout_ms = 2000};
    struct rv_http_client *c = rv_http_client_new(&w.loop, &config);
    unsigned before = w.answers;
    bool ok = false;
    uv_timer_t deadline;

    uv_timer_init(&w.loop, &deadline);
    uv_timer_start(&deadline, never, 60000, 0);
    rv_http_client_call(c, "GET", "/", NULL, RV_STR(""), false, &answered, &ok);
    while (w.answers == before)
        uv_run(&w.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&deadline, NULL);
    rv_http_client_free(c);
    uv_run(&w.loop, UV_RUN_NOWAIT);
    return ok;
}

static void one_round_of_sockets(long n, int error, bool *failed) {
    struct rv_http_config config = {.ip = "127.0.0.1"};
    struct rv_http_server *s = NULL;

    begin_round();
    fail_from(n, error, false);
    int r = rv_http_server_start(&w.loop, &config, answer, NULL, &s, &w.err);
    if (r)
        expect_message();
    for (int i = 0; !r && i < 3; i++)
        (void)call(rv_http_server_port(s));
    *failed = fail_no_more();
    if (!r && !call(rv_http_server_port(s)))
        fail_msg("the server does not answer any more after %s failed: %s", failing.name,
                 w.err.message);
    if (s)
        rv_http_server_stop(s);
    end_round();
}

static void nth_failure_of_sockets(void **state) {
    static const int codes[] = {ECONNRESET, EMFILE, ENOBUFS};

    (void)state;
    failing.sockets = true;
    for (size_t e = 0; e < RV_COUNT(codes); e++) {
        bool failed = true;
        for (long n = 1; failed; n++) {
            assert_true(n < ROUNDS_MAX);
            one_round_of_sockets(n, codes[e], &failed);
        }
    }
}

/* --- allocations of our own --- */

static atomic_long until_failure; /* allocations; 0: all are made */

static bool allocation_fails(void) {
    return atomic_load(&until_failure) && atomic_fetch_sub(&until_failure, 1) == 1;
}

/* The linker leads calls of all that is linked statically here (--wrap), and libuv does by itself.
 */
#define ALLOCATION(type, failure, name, params, args)                                              \
    type __real_##name params;                                                                     \
    type __wrap_##name params;                                                                     \
    type __wrap_##name params {                                                                    \
        return allocation_fails() ? (failure) : __real_##name args;                                \
    }

ALLOCATION(void *, NULL, malloc, (size_t n), (n))
ALLOCATION(void *, NULL, calloc, (size_t n, size_t size), (n, size))
ALLOCATION(void *, NULL, realloc, (void *p, size_t n), (p, n))
ALLOCATION(int, -1, vasprintf, (char **out, const char *format, va_list ap), (out, format, ap))

static _Noreturn void child(void (*story)(void), long n, int log) {
    static const struct rlimit none;

    setrlimit(RLIMIT_CORE, &none);
    dup2(log, STDERR_FILENO);
    atomic_store(&until_failure, n);
    story();
    _exit(atomic_load(&until_failure) > 0); /* 1: there are no so many */
}

/* Whether there were so many. */
static bool end_of_a_process(void (*story)(void), long n) {
    char said[4096] = "";
    size_t length = 0;
    int log[2], status;

    assert_int_equal(pipe2(log, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (!pid)
        child(story, n, log[1]);
    close(log[1]);
    for (ssize_t got = 1; got > 0 && length < sizeof said - 1; length += (size_t)got)
        got = RV_MAX(read(log[0], said + length, sizeof said - 1 - length), 0);
    close(log[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) < 2)
        return !WEXITSTATUS(status);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || !strstr(said, "out of memory"))
        fail_msg("allocation %ld: status %#x, %s", n, (unsigned)status, said);
    return true;
}

static void with_each_end(void (*prepare)(void), void (*story)(void), void (*verify)(void)) {
    bool failed = true;
    long n = 1;

    for (; failed; n++) {
        assert_true(n < ROUNDS_MAX);
        begin_round();
        prepare();
        failed = end_of_a_process(story, n);
        verify();
        end_round();
    }
    assert_true(n > 10); /* the linker has led them here */
}

static void nth_allocation_of_the_stores(void **state) {
    (void)state;
    with_each_end(journal_of_two, story_of_the_journal, verify_journal);
    with_each_end(nothing_there, story_of_the_journal, verify_journal);
    with_each_end(journal_that_is_damaged, story_of_mending, verify_mended);
    with_each_end(registry_of_two, story_of_the_registry, verify_registry);
}

static void story_of_sockets(void) {
    struct rv_http_config config = {.ip = "127.0.0.1"};
    struct rv_http_server *s = NULL;

    if (rv_http_server_start(&w.loop, &config, answer, NULL, &s, &w.err)) {
        expect_message();
        return;
    }
    for (int i = 0; i < 3; i++)
        (void)call(rv_http_server_port(s));
    rv_http_server_stop(s);
}

static void nth_allocation_of_sockets(void **state) {
    (void)state;
    with_each_end(nothing_there, story_of_sockets, nothing_there);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(nth_failure_of_the_journal),     TEST(nth_failure_of_a_new_journal),
        TEST(nth_failure_of_mending),         TEST(nth_failure_of_the_registry),
        TEST(nth_allocation_of_the_registry), TEST(nth_failure_of_sockets),
        TEST(nth_allocation_of_the_stores),   TEST(nth_allocation_of_sockets),
#undef TEST
    };
    signal(SIGPIPE, SIG_IGN);
    rv_log_set_level(RV_LOG_ERROR);
    uv_replace_allocator(rv_malloc, rv_realloc, rv_calloc, free); /* as in our processes */
    uv_loop_init(&w.loop);                                        /* what a process opens once */
    uv_loop_close(&w.loop);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
