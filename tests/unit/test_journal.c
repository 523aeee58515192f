/* The journal in files of its own: what was durable is read again, whatever happened to the end of
 * the file; other damage is named with its offset (INV-19); a full disk loses nothing (INV-23). */
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

#include "base/log.h"
#include "base/vec.h"
#include "io/journal.h"

#define HEAD 16

struct world {
    uv_loop_t loop;
    char folder[64];
    char *path;
    struct rv_journal *journal;
    struct rv_buf log;  /* a character an append: its number, or ! if it failed */
    struct rv_buf read; /* records, each with a | behind it */
    unsigned refuse_at; /* the record that `each` does not take; 0: none */
    unsigned n_read;
    struct rv_error err;
};

static int setup(void **state) {
    struct world *w = rv_calloc(1, sizeof *w);

    strcpy(w->folder, "/tmp/reeve-journal-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    w->path = rv_asprintf("%s/journal", w->folder);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    _cleanup_free_ char *fresh = rv_asprintf("%s.new", w->path);

    rv_journal_close(w->journal);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    unlink(w->path);
    unlink(fresh);
    rmdir(w->folder);
    free(w->path);
    rv_buf_free(&w->log);
    rv_buf_free(&w->read);
    free(w);
    return 0;
}

static int each(void *ctx, struct rv_str record, struct rv_error *err) {
    struct world *w = ctx;

    if (++w->n_read == w->refuse_at)
        return rv_error_set(err, RV_ERR_INVALID, "not this one");
    rv_buf_append(&w->read, record.s, record.n);
    rv_buf_putc(&w->read, '|');
    return 0;
}

static int open_journal(struct world *w) {
    w->journal = rv_journal_close(w->journal);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    rv_buf_clear(&w->read);
    rv_buf_puts(&w->read, "");
    w->n_read = 0;
    return rv_journal_open(&w->loop, w->path, each, w, &w->journal, &w->err);
}

static void expect_records(struct world *w, const char *records) {
    assert_int_equal(open_journal(w), 0);
    assert_string_equal(w->read.n ? w->read.data : "", records);
}

static void on_done(void *ctx, int result, const struct rv_error *err) {
    struct world *w = ctx;

    rv_buf_putc(&w->log, result ? '!' : '.');
    if (result)
        w->err = *err;
}

static void append(struct world *w, const char *text) {
    rv_journal_append(w->journal, rv_str(text), on_done, w);
}

static void expect_log(struct world *w, const char *log) {
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_string_equal(w->log.n ? w->log.data : "", log);
    rv_buf_clear(&w->log);
}

static struct rv_buf contents(struct world *w) {
    struct rv_buf b = {0};
    struct stat s;
    int fd = open(w->path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0 && !fstat(fd, &s));
    rv_buf_reserve(&b, (size_t)s.st_size + 1);
    assert_int_equal(read(fd, b.data, (size_t)s.st_size), s.st_size);
    b.n = (size_t)s.st_size;
    close(fd);
    return b;
}

static void put_contents(struct world *w, const void *data, size_t n) {
    int fd = open(w->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), n);
    close(fd);
}

/* Three records; the journal is closed. */
static struct rv_buf three(struct world *w) {
    assert_int_equal(open_journal(w), 0);
    append(w, "one");
    append(w, "second");
    append(w, "the third of them");
    expect_log(w, "...");
    w->journal = rv_journal_close(w->journal);
    return contents(w);
}

static void appends_are_read_again(void **state) {
    struct world *w = *state;

    expect_records(w, "");
    assert_int_equal(rv_journal_size(w->journal), HEAD);
    append(w, "one");
    append(w, "");
    append(w, "three");
    expect_log(w, "...");
    assert_int_equal(rv_journal_size(w->journal), HEAD + 3 * 8 + 8);
    expect_records(w, "one||three|");
    append(w, "four");
    expect_log(w, ".");
    expect_records(w, "one||three|four|");
}

static void append_more(void *ctx, int result, const struct rv_error *err) {
    struct world *w = ctx;

    on_done(ctx, result, err);
    if (w->log.n < 50)
        rv_journal_append(w->journal, rv_str("more"), append_more, w);
}

static void callbacks_may_append(void **state) {
    struct world *w = *state;

    expect_records(w, "");
    for (int i = 0; i < 10; i++)
        rv_journal_append(w->journal, rv_str("more"), append_more, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->log.n, 59);
    assert_int_equal(open_journal(w), 0);
    assert_int_equal(w->n_read, 59);
}

static void many_and_large_records(void **state) {
    struct world *w = *state;
    size_t large = (size_t)3 << 20;
    char *text = rv_calloc(1, large);

    expect_records(w, "");
    memset(text, 'x', large);
    for (int i = 0; i < 2000; i++)
        append(w, "small");
    rv_journal_append(w->journal, rv_strn(text, large), on_done, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->log.n, 2001);
    assert_int_equal(open_journal(w), 0);
    assert_int_equal(w->n_read, 2001);
    assert_int_equal(w->read.n, 2000 * 6 + large + 1);
    free(text);
}

/* Cut at every byte: whole records stay, and the journal can be gone on with. */
static void torn_at_every_byte(void **state) {
    struct world *w = *state;
    struct rv_buf file = three(w);
    const char *whole[] = {"", "one|", "one|second|", "one|second|the third of them|"};
    const size_t ends[] = {HEAD, HEAD + 11, HEAD + 11 + 14, HEAD + 11 + 14 + 25};

    assert_int_equal(file.n, ends[3]);
    for (size_t cut = 0; cut <= file.n; cut++) {
        size_t n = 0;
        while (n < 3 && ends[n + 1] <= cut)
            n++;
        put_contents(w, file.data, cut);
        expect_records(w, whole[n]);
        assert_int_equal(rv_journal_size(w->journal), ends[n]);
        append(w, "on");
        expect_log(w, ".");
        _cleanup_free_ char *then = rv_asprintf("%son|", whole[n]);
        expect_records(w, then);
    }
    rv_buf_free(&file);
}

/* As after a crash where the file had grown but its blocks were not written. */
static void zeros_at_the_end(void **state) {
    struct world *w = *state;
    struct rv_buf file = three(w);
    static const char zeros[5000];

    rv_buf_append(&file, zeros, sizeof zeros);
    for (size_t n = 1; n <= sizeof zeros; n += 613) {
        put_contents(w, file.data, file.n - sizeof zeros + n);
        expect_records(w, "one|second|the third of them|");
    }
    put_contents(w, file.data, HEAD + 11 + 14 + 12); /* in the middle of the third */
    struct rv_buf padded = contents(w);
    rv_buf_append(&padded, zeros, 13);
    put_contents(w, padded.data, padded.n);
    expect_records(w, "one|second|");
    rv_buf_free(&padded);
    rv_buf_free(&file);
}

/* Every bit of the records before the last is guarded, their lengths too. */
static void flipped_bits_are_named(void **state) {
    struct world *w = *state;
    struct rv_buf file = three(w);

    for (size_t bit = (size_t)HEAD * 8; bit < (size_t)(HEAD + 11 + 14) * 8; bit++) {
        file.data[bit / 8] = (char)(file.data[bit / 8] ^ 1 << bit % 8);
        put_contents(w, file.data, file.n);
        assert_int_equal(open_journal(w), -RV_ERR_CORRUPT);
        _cleanup_free_ char *where = rv_asprintf("%s: damaged at byte %d of %zu", w->path,
                                                 bit / 8 < HEAD + 11 ? HEAD : HEAD + 11, file.n);
        if (!rv_starts_with(w->err.message, where))
            fail_msg("bit %zu: %s", bit, w->err.message);
        struct rv_buf after = contents(w); /* it is left as it was */
        assert_int_equal(after.n, file.n);
        rv_buf_free(&after);
        file.data[bit / 8] = (char)(file.data[bit / 8] ^ 1 << bit % 8);
    }
    rv_buf_free(&file);
}

/* Never taken for whole, and never more lost than the last record itself. */
static void flipped_bits_of_the_last_record(void **state) {
    struct world *w = *state;
    struct rv_buf file = three(w);

    for (size_t bit = (size_t)(HEAD + 11 + 14) * 8; bit < file.n * 8; bit++) {
        file.data[bit / 8] = (char)(file.data[bit / 8] ^ 1 << bit % 8);
        put_contents(w, file.data, file.n);
        if (!open_journal(w))
            assert_string_equal(w->read.data, "one|second|");
        else
            assert_non_null(strstr(w->err.message, "damaged at byte 41 of 66"));
        file.data[bit / 8] = (char)(file.data[bit / 8] ^ 1 << bit % 8);
    }
    rv_buf_free(&file);
}

static void other_files_are_refused(void **state) {
    struct world *w = *state;

    put_contents(w, "hello", 5);
    assert_int_equal(open_journal(w), -RV_ERR_CORRUPT);
    put_contents(w, "a file that is not a journal at all", 35);
    assert_int_equal(open_journal(w), -RV_ERR_CORRUPT);
    assert_non_null(strstr(w->err.message, w->path));
    put_contents(w, "reeve-journal\n\2\0", 16);
    assert_int_equal(open_journal(w), -RV_ERR_UNSUPPORTED);
    unlink(w->path);
    assert_int_equal(mkdir(w->path, 0700), 0);
    assert_int_equal(open_journal(w), -RV_ERR_IO);
    rmdir(w->path);
}

static void what_each_refuses_is_named(void **state) {
    struct world *w = *state;
    struct rv_buf file = three(w);

    w->refuse_at = 2;
    assert_int_equal(open_journal(w), -RV_ERR_INVALID);
    assert_non_null(strstr(w->err.message, "at byte 27"));
    assert_non_null(strstr(w->err.message, "not this one"));
    rv_buf_free(&file);
}

static void two_cannot_use_it(void **state) {
    struct world *w = *state;
    struct rv_journal *other;

    expect_records(w, "");
    assert_int_equal(rv_journal_open(&w->loop, w->path, NULL, NULL, &other, &w->err),
                     -RV_ERR_CONFLICT);
    assert_int_equal(rv_journal_rewrite(w->journal, NULL, 0, &w->err), 0);
    assert_int_equal(rv_journal_open(&w->loop, w->path, NULL, NULL, &other, &w->err),
                     -RV_ERR_CONFLICT);
}

/* The limit on a file's size stands for a full disk: a write past it fails half way. */
static void full_disk(void **state) {
    struct world *w = *state;
    struct rlimit before, limit;
    char text[1000];

    signal(SIGXFSZ, SIG_IGN);
    memset(text, 'x', sizeof text);
    expect_records(w, "");
    append(w, "one");
    expect_log(w, ".");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 500;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    rv_journal_append(w->journal, rv_strn(text, sizeof text), on_done, w);
    expect_log(w, "!");
    assert_non_null(strstr(w->err.message, w->path));
    assert_int_equal(rv_journal_size(w->journal), HEAD + 11);
    append(w, "two"); /* a small one still fits */
    expect_log(w, ".");
    struct rv_str large = rv_strn(text, sizeof text);
    assert_int_equal(rv_journal_rewrite(w->journal, &large, 1, &w->err), -RV_ERR_IO);
    append(w, "three"); /* after a rewrite that failed, too */
    expect_log(w, ".");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    rv_journal_append(w->journal, rv_strn("four", 4), on_done, w);
    expect_log(w, ".");
    expect_records(w, "one|two|three|four|");
}

static void rewrite_replaces_all(void **state) {
    struct world *w = *state;
    const struct rv_str records[] = {RV_STR("new"), RV_STR(""), RV_STR("ones")};
    struct rv_buf file = three(w);

    expect_records(w, "one|second|the third of them|");
    assert_int_equal(rv_journal_rewrite(w->journal, records, 3, &w->err), 0);
    assert_int_equal(rv_journal_size(w->journal), HEAD + 3 * 8 + 7);
    append(w, "after");
    expect_log(w, ".");
    expect_records(w, "new||ones|after|");
    assert_int_equal(rv_journal_rewrite(w->journal, NULL, 0, &w->err), 0);
    expect_records(w, "");
    append(w, "pending");
    assert_int_equal(rv_journal_rewrite(w->journal, records, 3, &w->err), -RV_ERR_CONFLICT);
    assert_int_equal(rv_journal_read(w->journal, each, w, &w->err), -RV_ERR_CONFLICT);
    expect_log(w, ".");
    expect_records(w, "pending|");
    rv_buf_free(&file);
}

/* Compaction within a callback: what is durable is read, what waits follows in the new file. */
static void rewrite_when_done(void *ctx, int result, const struct rv_error *err) {
    struct world *w = ctx;
    const struct rv_str record = RV_STR("compact");

    on_done(ctx, result, err);
    append(w, "late");
    rv_buf_clear(&w->read);
    assert_int_equal(rv_journal_read(w->journal, each, w, &w->err), 0);
    assert_string_equal(w->read.data, "one|two|");
    assert_int_equal(rv_journal_rewrite(w->journal, &record, 1, &w->err), 0);
}

static void rewrite_in_a_callback(void **state) {
    struct world *w = *state;

    expect_records(w, "");
    append(w, "one");
    expect_log(w, ".");
    rv_journal_append(w->journal, rv_str("two"), rewrite_when_done, w);
    append(w, "three");
    expect_log(w, "...");
    expect_records(w, "compact|three|late|");
}

static void closed_with_writes_under_way(void **state) {
    struct world *w = *state;

    expect_records(w, "");
    append(w, "one"); /* on its way */
    append(w, "two"); /* waits */
    append(w, "three");
    w->journal = rv_journal_close(w->journal);
    expect_log(w, "");
    expect_records(w, "one|two|three|");
    assert_null(rv_journal_close(NULL));
}

static void close_when_done(void *ctx, int result, const struct rv_error *err) {
    struct world *w = ctx;

    on_done(ctx, result, err);
    w->journal = rv_journal_close(w->journal);
}

static void closed_in_a_callback(void **state) {
    struct world *w = *state;

    expect_records(w, "");
    rv_journal_append(w->journal, rv_str("one"), close_when_done, w);
    append(w, "two");
    expect_log(w, ".");
    expect_records(w, "one|two|");
}

int main(void) {
    static const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(appends_are_read_again),
        TEST(callbacks_may_append),
        TEST(many_and_large_records),
        TEST(torn_at_every_byte),
        TEST(zeros_at_the_end),
        TEST(flipped_bits_are_named),
        TEST(flipped_bits_of_the_last_record),
        TEST(other_files_are_refused),
        TEST(what_each_refuses_is_named),
        TEST(two_cannot_use_it),
        TEST(full_disk),
        TEST(rewrite_replaces_all),
        TEST(rewrite_in_a_callback),
        TEST(closed_with_writes_under_way),
        TEST(closed_in_a_callback),
#undef TEST
    };
    rv_log_set_level(RV_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
