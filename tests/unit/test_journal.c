/* The journal in files of its own: what was durable is read again, whatever a crash has left of
 * what was not; other damage is named with its offset (INV-19); a full disk loses nothing (INV-23).
 */
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

#include "base/crc.h"
#include "base/log.h"
#include "base/vec.h"
#include "io/journal.h"

#define HEAD 16
#define SECTOR 512
/* A frame of one record of n bytes: head, length, record, the last byte; at a multiple of 16. */
#define FRAME(n) ((size_t)((12 + 4 + (n) + 1 + 15) / 16 * 16))

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

/* Three records, a frame each; the journal is closed. The last one touches six sectors. */
#define THIRD 2600
static const char third_end[] = "...and the end of the third one";

static struct rv_buf three(struct world *w) {
    char third[THIRD];

    memset(third, '.', sizeof third);
    memcpy(third + THIRD - sizeof third_end, third_end, sizeof third_end);
    assert_int_equal(open_journal(w), 0);
    append(w, "one");
    expect_log(w, ".");
    append(w, "second");
    expect_log(w, ".");
    rv_journal_append(w->journal, rv_strn(third, sizeof third), on_done, w);
    expect_log(w, ".");
    w->journal = rv_journal_close(w->journal);
    return contents(w);
}
static const size_t ends[] = {HEAD, HEAD + FRAME(3), HEAD + FRAME(3) + FRAME(6),
                              HEAD + FRAME(3) + FRAME(6) + FRAME(THIRD)};

/* The first n of the three are there, and it can be gone on. */
static void expect_first(struct world *w, size_t n) {
    static const char *const first_two[] = {"", "one|", "one|second|"};

    assert_int_equal(open_journal(w), 0);
    assert_int_equal(w->n_read, n);
    if (n < 3)
        assert_string_equal(w->read.n ? w->read.data : "", first_two[n]);
    assert_int_equal(rv_journal_size(w->journal), ends[n]);
    append(w, "on");
    expect_log(w, ".");
    assert_int_equal(open_journal(w), 0);
    assert_int_equal(w->n_read, n + 1);
}

static void appends_are_read_again(void **state) {
    struct world *w = *state;

    expect_records(w, "");
    assert_int_equal(rv_journal_size(w->journal), HEAD);
    append(w, "one");
    append(w, "");
    append(w, "three");
    expect_log(w, "...");
    assert_int_equal(rv_journal_size(w->journal), HEAD + FRAME(3) + FRAME(0 + 4 + 5));
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

/* No crash shortens the file: zeros are in front of what is written. */
static void files_cut_short_are_named(void **state) {
    struct world *w = *state;
    struct rv_buf file = three(w);

    for (size_t cut = 0; cut < ends[3] + 100; cut++) {
        put_contents(w, file.data, cut);
        if (cut >= ends[3] + 16) {
            expect_first(w, 3);
            continue;
        }
        assert_int_equal(open_journal(w), -RV_ERR_CORRUPT);
        assert_non_null(strstr(w->err.message, w->path));
    }
    rv_buf_free(&file);
}

/* Of a write that a crash has ended any of the sectors may be on the disk, in any order. */
static void torn_in_every_way(void **state) {
    struct world *w = *state;
    struct rv_buf file = three(w);
    size_t first = ends[2] / SECTOR, n = (ends[3] - 1) / SECTOR - first + 1;

    assert_int_equal(n, 6);
    for (unsigned written = 0; written < 1u << n; written++) {
        struct rv_buf torn = {0};
        rv_buf_append(&torn, file.data, file.n);
        for (size_t i = 0; i < n; i++) {
            size_t from = RV_MAX(ends[2], (first + i) * SECTOR), to = (first + i + 1) * SECTOR;
            if (!(written >> i & 1))
                memset(torn.data + from, 0, to - from);
        }
        put_contents(w, torn.data, torn.n);
        expect_first(w, written == (1u << n) - 1 ? 3 : 2);
        rv_buf_free(&torn);
    }
    rv_buf_free(&file);
}

/* Every bit is guarded: of the head, of frames and of what is between them, of the end. */
static void flipped_bits_are_named(void **state) {
    struct world *w = *state;
    struct rv_buf file = three(w);

    for (size_t bit = 0; bit < (ends[3] + 32) * 8; bit += bit < ends[2] * 8 ? 1 : 7) {
        file.data[bit / 8] = (char)(file.data[bit / 8] ^ 1 << bit % 8);
        put_contents(w, file.data, file.n);
        assert_int_equal(open_journal(w), bit / 8 == 14 ? -RV_ERR_UNSUPPORTED : -RV_ERR_CORRUPT);
        size_t at = ends[0];
        for (size_t i = 1; i < RV_COUNT(ends) && ends[i] <= bit / 8; i++)
            at = ends[i];
        _cleanup_free_ char *where =
            bit / 8 < HEAD ? rv_strdup(w->path)
                           : rv_asprintf("%s: damaged at byte %zu of %zu", w->path, at, file.n);
        if (!rv_starts_with(w->err.message, where))
            fail_msg("bit %zu: %s", bit, w->err.message);
        struct rv_buf after = contents(w); /* it is left as it was */
        assert_int_equal(after.n, file.n);
        assert_memory_equal(after.data, file.data, file.n);
        rv_buf_free(&after);
        file.data[bit / 8] = (char)(file.data[bit / 8] ^ 1 << bit % 8);
    }
    rv_buf_free(&file);
}

/* What is whole before and behind the damage is kept, and so is the damaged file. */
static void repaired(void **state) {
    struct world *w = *state;
    struct rv_buf file = three(w);
    _cleanup_free_ char *first = rv_asprintf("%s.damaged-1", w->path);
    char *aside = NULL;

    assert_int_equal(rv_journal_repair(w->path, &aside, &w->err), 0);
    assert_null(aside); /* nothing was wrong */
    file.data[ends[1] + 20] ^= 4;
    put_contents(w, file.data, file.n);
    assert_int_equal(rv_journal_repair(w->path, &aside, &w->err), 0);
    assert_string_equal(aside, first);
    free(aside);
    assert_int_equal(open_journal(w), 0);
    assert_int_equal(w->n_read, 2);
    assert_true(rv_starts_with(w->read.data, "one|...") && strstr(w->read.data, third_end));
    assert_int_equal(rv_journal_repair(w->path, &aside, &w->err), -RV_ERR_CONFLICT);
    w->journal = rv_journal_close(w->journal);
    put_contents(w, file.data, ends[3] - 10); /* cut short as well: another one aside */
    assert_int_equal(rv_journal_repair(w->path, &aside, &w->err), 0);
    expect_records(w, "one|");
    assert_int_equal(unlink(first) | unlink(aside), 0);
    free(aside);
    unlink(w->path);
    assert_int_equal(rv_journal_repair(w->path, &aside, &w->err), 0);
    assert_null(aside);
    rv_buf_free(&file);
}

static void other_files_are_refused(void **state) {
    struct world *w = *state;

    put_contents(w, "hello", 5);
    assert_int_equal(open_journal(w), -RV_ERR_CORRUPT);
    put_contents(w, "a file that is not a journal at all", 35);
    assert_int_equal(open_journal(w), -RV_ERR_CORRUPT);
    assert_non_null(strstr(w->err.message, w->path));
    put_contents(w, "reeve-journal\n\3\0", 16);
    assert_int_equal(open_journal(w), -RV_ERR_UNSUPPORTED);
    assert_non_null(strstr(w->err.message, "format 3"));
    unlink(w->path);
    assert_int_equal(mkdir(w->path, 0700), 0);
    assert_int_equal(open_journal(w), -RV_ERR_IO);
    rmdir(w->path);
}

/* --- format 1, of the first release --- */

static void put_old(struct rv_buf *out, const char *text) {
    uint32_t n = (uint32_t)strlen(text), crc = rv_crc32c(rv_crc32c(0, &n, 4), text, n);

    rv_buf_append(out, &n, sizeof n); /* little-endian, as the machines of the tests are */
    rv_buf_append(out, &crc, sizeof crc);
    rv_buf_append(out, text, n);
}

static struct rv_buf old_file(void) {
    struct rv_buf file = {0};

    rv_buf_append(&file, "reeve-journal\n\1\0", 16);
    put_old(&file, "one");
    put_old(&file, "second");
    put_old(&file, "the third of them");
    return file;
}

static void old_format_is_brought_up(void **state) {
    struct world *w = *state;
    struct rv_buf old = old_file();

    put_contents(w, old.data, old.n);
    expect_records(w, "one|second|the third of them|");
    append(w, "four");
    expect_log(w, ".");
    expect_records(w, "one|second|the third of them|four|");
    struct rv_buf now = contents(w);
    assert_int_equal(now.data[14], RV_JOURNAL_VERSION);
    for (size_t bit = HEAD * 8; bit < (HEAD + 11 + 14) * 8; bit++) {
        old.data[bit / 8] = (char)(old.data[bit / 8] ^ 1 << bit % 8);
        put_contents(w, old.data, old.n);
        assert_int_equal(open_journal(w), -RV_ERR_CORRUPT);
        old.data[bit / 8] = (char)(old.data[bit / 8] ^ 1 << bit % 8);
    }
    rv_buf_free(&now);
    rv_buf_free(&old);
}

/* Cut at every byte, or padded by zeros: whole records stay. */
static void torn_in_the_old_format(void **state) {
    struct world *w = *state;
    struct rv_buf old = old_file();
    const char *whole[] = {"", "one|", "one|second|", "one|second|the third of them|"};
    const size_t old_ends[] = {HEAD, HEAD + 11, HEAD + 11 + 14, HEAD + 11 + 14 + 25};

    assert_int_equal(old.n, old_ends[3]);
    for (size_t cut = HEAD; cut <= old.n; cut++) {
        size_t n = 0;
        while (n < 3 && old_ends[n + 1] <= cut)
            n++;
        put_contents(w, old.data, cut);
        expect_records(w, whole[n]);
        append(w, "on");
        expect_log(w, ".");
        _cleanup_free_ char *then = rv_asprintf("%son|", whole[n]);
        expect_records(w, then);
    }
    for (int i = 0; i < 5000; i++)
        rv_buf_putc(&old, 0);
    put_contents(w, old.data, old.n);
    expect_records(w, whole[3]);
    rv_buf_free(&old);
}

/* --- failures --- */

static void what_each_refuses_is_named(void **state) {
    struct world *w = *state;
    struct rv_buf file = three(w);

    w->refuse_at = 2;
    assert_int_equal(open_journal(w), -RV_ERR_INVALID);
    assert_non_null(strstr(w->err.message, "at byte 48"));
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

/* The limit on a file's size stands for a full disk: a write past it fails half way, and what it
 * left cannot be removed at first. */
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
    assert_int_equal(rv_journal_size(w->journal), HEAD + FRAME(3));
    append(w, "lost"); /* not over what cannot be removed */
    append(w, "with it");
    append(w, "too");
    expect_log(w, "!!!");
    limit.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    append(w, "two");
    expect_log(w, ".");
    _cleanup_free_ char *much = rv_calloc(1, 2 << 20);
    struct rv_str large = rv_strn(much, 2 << 20);
    rv_journal_append(w->journal, large, on_done, w); /* it cannot grow for this */
    expect_log(w, "!");
    assert_int_equal(rv_journal_rewrite(w->journal, &large, 1, &w->err), -RV_ERR_IO);
    append(w, "three"); /* after a rewrite that failed, too */
    expect_log(w, ".");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    append(w, "four");
    expect_log(w, ".");
    expect_records(w, "one|two|three|four|");
}

static void rewrite_replaces_all(void **state) {
    struct world *w = *state;
    const struct rv_str records[] = {RV_STR("new"), RV_STR(""), RV_STR("ones")};
    struct rv_buf file = three(w);

    assert_int_equal(open_journal(w), 0);
    assert_int_equal(rv_journal_rewrite(w->journal, records, 3, &w->err), 0);
    assert_int_equal(rv_journal_size(w->journal), HEAD + FRAME(3 + 4 + 0 + 4 + 4));
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
        TEST(files_cut_short_are_named),
        TEST(torn_in_every_way),
        TEST(flipped_bits_are_named),
        TEST(repaired),
        TEST(other_files_are_refused),
        TEST(old_format_is_brought_up),
        TEST(torn_in_the_old_format),
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
