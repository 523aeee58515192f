/* RecordIO: every way to cut a stream gives the same records; bad lengths end it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/recordio.h"

struct seen {
    struct rv_buf all; /* records, each between brackets */
    int stop_after;    /* records; 0 is never */
};

static int on_record(void *ctx, struct rv_str record) {
    struct seen *seen = (struct seen *)ctx;
    rv_buf_putc(&seen->all, '[');
    rv_buf_append(&seen->all, record.s, record.n);
    rv_buf_putc(&seen->all, ']');
    return seen->stop_after > 0 && --seen->stop_after == 0 ? 7 : 0;
}

/* Feeds in three parts; returns the first result that is not 0. */
static int feed(struct rv_recordio *r, struct rv_str bytes, size_t a, size_t b, struct seen *seen) {
    struct rv_str parts[] = {{bytes.s, a}, {bytes.s + a, b - a}, {bytes.s + b, bytes.n - b}};
    for (size_t i = 0; i < RV_COUNT(parts); i++) {
        /* From memory of exactly this size, so that a sanitizer sees reads beyond it. */
        char *copy _cleanup_free_ = (char *)rv_memdup(parts[i].s, parts[i].n);
        int c = rv_recordio_feed(r, rv_strn(copy, parts[i].n), on_record, seen, NULL);
        if (c != 0) {
            return c;
        }
    }
    return 0;
}

static void test_every_cut(void **state) {
    (void)state;
    struct rv_buf stream _cleanup_(rv_buf_free) = {0};
    rv_recordio_put(&stream, RV_STR("{\"type\":\"HEARTBEAT\"}"));
    rv_recordio_put(&stream, RV_STR(""));
    rv_recordio_put(&stream, RV_STR("0123456789ab"));
    rv_recordio_put(&stream, RV_STR("5\nx\n"));
    assert_memory_equal(stream.data, "20\n{\"type\":", 11);
    for (size_t a = 0; a <= stream.n; a++) {
        for (size_t b = a; b <= stream.n; b++) {
            struct rv_recordio r;
            struct seen seen = {0};
            rv_recordio_init(&r, 20);
            assert_int_equal(feed(&r, rv_buf_str(&stream), a, b, &seen), 0);
            assert_string_equal(seen.all.data,
                                "[{\"type\":\"HEARTBEAT\"}][][0123456789ab][5\nx\n]");
            assert_int_equal(r.pending.n, 0);
            rv_recordio_free(&r);
            rv_buf_free(&seen.all);
        }
    }
}

static void test_bytewise(void **state) {
    (void)state;
    struct rv_recordio r;
    struct seen seen = {0};
    rv_recordio_init(&r, 100);
    for (const char *p = "3\nabc0\n2\nxy4\nab"; *p; p++) {
        assert_int_equal(rv_recordio_feed(&r, rv_strn(p, 1), on_record, &seen, NULL), 0);
    }
    assert_string_equal(seen.all.data, "[abc][][xy]");
    assert_int_equal(r.pending.n, 4);
    rv_recordio_free(&r);
    rv_buf_free(&seen.all);
}

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *stream;
        int result;
    } cases[] = {
        {"x", -RV_ERR_INVALID},
        {"\n", -RV_ERR_INVALID},
        {"1\nab", -RV_ERR_INVALID}, /* "b" is no length */
        {"-1\n", -RV_ERR_INVALID},
        {"1 \na", -RV_ERR_INVALID},
        {"1\r\na", -RV_ERR_INVALID},
        {"11\n", -RV_ERR_LIMIT},
        {"18446744073709551616\n", -RV_ERR_LIMIT},
        {"99999", -RV_ERR_LIMIT},
        {"000000000000000000000", -RV_ERR_INVALID},
        {"10\n0123456789", 0},
        {"0000000000000000001\na", 0},
    };
    for (size_t i = 0; i < RV_COUNT(cases); i++) {
        struct rv_str stream = rv_str(cases[i].stream);
        for (size_t a = 0; a <= stream.n; a++) {
            struct rv_recordio r;
            struct seen seen = {0};
            rv_recordio_init(&r, 10);
            assert_int_equal(feed(&r, stream, a, stream.n, &seen), cases[i].result);
            rv_recordio_free(&r);
            rv_buf_free(&seen.all);
        }
    }
}

static void test_stop(void **state) {
    (void)state;
    struct rv_recordio r;
    struct seen seen = {.stop_after = 2};
    rv_recordio_init(&r, 10);
    assert_int_equal(rv_recordio_feed(&r, RV_STR("1\na1\nb1\nc"), on_record, &seen, NULL), 7);
    assert_string_equal(seen.all.data, "[a][b]");
    rv_recordio_free(&r);
    rv_buf_free(&seen.all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_bytewise),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
