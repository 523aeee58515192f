/* The base library: each module's behaviour, and the map and the heap against naive models. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/fixed.h"
#include "base/folder.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/prng.h"
#include "base/str.h"
#include "base/vec.h"

static void test_error(void **state) {
    struct rv_error err = {.code = RV_OK};
    char many[700];

    (void)state;
    assert_string_equal(rv_err_text(RV_OK), "ok");
    assert_string_equal(rv_err_text(RV_ERR_NOT_FOUND), "not found");
    assert_string_equal(rv_err_text(RV_ERR_MAX), "unknown");
    assert_int_equal(rv_error_set(NULL, RV_ERR_IO, "x"), -RV_ERR_IO);
    rv_error_prefix(NULL, "x");
    assert_int_equal(rv_error_set(&err, RV_ERR_LIMIT, "%d of %d", 3, 2), -RV_ERR_LIMIT);
    assert_int_equal(err.code, RV_ERR_LIMIT);
    rv_error_prefix(&err, "offers[%d]", 7);
    assert_string_equal(err.message, "offers[7]: 3 of 2");
    rv_error_set(&err, RV_ERR_IO, "again: %s", err.message);
    assert_string_equal(err.message, "again: offers[7]: 3 of 2");

    /* Cut at a whole character: 511 bytes hold 170 of three bytes and one byte more. */
    for (size_t i = 0; i + 3 < sizeof many; i += 3)
        memcpy(many + i, "\xe2\x82\xac", 4);
    rv_error_set(&err, RV_ERR_INVALID, "%s", many);
    assert_int_equal(strlen(err.message), 510);
    rv_error_prefix(&err, "%s", many);
    assert_int_equal(strlen(err.message), 510);
    rv_error_set(&err, RV_ERR_INVALID, "short \xe2\x82");
    assert_string_equal(err.message, "short \xe2\x82");
}

static void test_panic(void **state) {
    int ends[2], status;
    char line[300] = "";
    ssize_t n;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        rv_panic("some/file.c", 1207, "a == b");
    }
    close(ends[1]);
    n = read(ends[0], line, sizeof line - 1);
    close(ends[0]);
    assert_true(n > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_string_equal(line, "some/file.c:1207: assertion failed: a == b\n");
}

static void test_memory(void **state) {
    _cleanup_free_ char *a = rv_asprintf("%s-%d", "x", 5);
    char *taken = TAKE_PTR(a), *zeroed;

    (void)state;
    assert_null(a);
    assert_string_equal(taken, "x-5");
    free(taken);
    assert_null(rv_strdup(NULL));
    assert_null(rv_strndup(NULL, 3));
    taken = rv_strndup("abcdef", 3);
    assert_string_equal(taken, "abc");
    free(taken);
    taken = rv_strndup("ab", 9);
    assert_string_equal(taken, "ab");
    taken = rv_realloc(taken, 1000);
    assert_string_equal(taken, "ab");
    rv_freep(&taken);
    assert_null(taken);
    zeroed = rv_calloc(10, 10);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeroed[i], 0);
    free(zeroed);
    zeroed = rv_calloc(0, 5);
    assert_non_null(zeroed);
    free(zeroed);
    zeroed = rv_memdup(NULL, 0);
    assert_non_null(zeroed);
    free(zeroed);
}

static void test_arena(void **state) {
    struct rv_arena a;
    struct rv_prng prng;
    unsigned char *given[400];
    size_t sizes[400], total = 0;
    char *first;

    (void)state;
    rv_arena_init(&a);
    rv_prng_seed(&prng, 4);
    for (int round = 0; round < 3; round++) {
        total = 0;
        for (size_t i = 0; i < RV_COUNT(given); i++) {
            sizes[i] = rv_prng_below(&prng, i % 50 == 49 ? 100000 : 300);
            total += sizes[i];
            given[i] = rv_arena_alloc(&a, sizes[i]);
            assert_int_equal((uintptr_t)given[i] % 16, 0);
            memset(given[i], (int)i, sizes[i]);
        }
        assert_int_equal(a.total, total);
        for (size_t i = 0; i < RV_COUNT(given); i++) {
            for (size_t j = 0; j < sizes[i]; j++)
                assert_int_equal(given[i][j], (unsigned char)i);
        }
        rv_arena_reset(&a);
        assert_non_null(a.chunks);
        assert_int_equal(a.total, 0);
        assert_true(a.end - a.next == 64 * 1024);
    }
    first = rv_arena_strdup(&a, "text");
    assert_string_equal(first, "text");
    assert_null(rv_arena_strdup(&a, NULL));
    assert_string_equal(rv_arena_strndup(&a, "text", 2), "te");
    assert_string_equal(rv_arena_printf(&a, "%d%s", 5, "x"), "5x");
    assert_memory_equal(rv_arena_memdup(&a, "ab", 3), "ab", 3);
    assert_int_equal(RV_ARENA_ARRAY(&a, int, 100)[99], 0);
    rv_arena_free(&a);
    assert_null(a.chunks);
    /* One that only ever had a large piece keeps nothing. */
    memset(rv_arena_alloc(&a, 200000), 1, 200000);
    assert_int_equal(*(char *)rv_arena_zalloc(&a, 1), 0);
    rv_arena_free(&a);
    memset(rv_arena_alloc(&a, 200000), 1, 200000);
    rv_arena_reset(&a);
    assert_null(a.chunks);
    rv_arena_free(&a);
}

static void test_str(void **state) {
    (void)state;
    assert_true(rv_streq(NULL, NULL));
    assert_false(rv_streq("", NULL));
    assert_true(rv_streq("a", "a"));
    assert_true(rv_str_eq(RV_STR("ab"), rv_strn("abc", 2)));
    assert_true(rv_str_eq(rv_str(NULL), RV_STR("")));
    assert_false(rv_str_eq(RV_STR("a\0b"), RV_STR("a\0c")));
    assert_true(rv_starts_with("abc", "ab") && rv_starts_with("abc", ""));
    assert_false(rv_starts_with("a", "ab"));
    assert_true(rv_ends_with("abc", "bc") && rv_ends_with("abc", ""));
    assert_false(rv_ends_with("c", "bc"));
}

static void test_buf(void **state) {
    _cleanup_(rv_buf_free) struct rv_buf b = {.n = 0};
    char *taken;
    size_t n;

    (void)state;
    rv_buf_clear(&b);
    rv_buf_append(&b, NULL, 0);
    assert_string_equal(b.data, "");
    rv_buf_puts(&b, "ab");
    rv_buf_putc(&b, 'c');
    rv_buf_put_u64(&b, 0);
    rv_buf_put_u64(&b, UINT64_MAX);
    rv_buf_putc(&b, ' ');
    rv_buf_put_i64(&b, INT64_MIN);
    assert_string_equal(b.data, "abc018446744073709551615 -9223372036854775808");
    rv_buf_consume(&b, 3);
    assert_int_equal(b.data[0], '0');
    assert_int_equal(b.n, strlen(b.data));
    rv_buf_consume(&b, b.n);
    assert_string_equal(b.data, "");
    for (size_t i = 0, expected = 0; i < 1000; i++) {
        rv_buf_printf(&b, "%0*d", (int)(i % 80), 7);
        expected += RV_MAX(i % 80, 1);
        assert_int_equal(b.n, expected);
    }
    assert_int_equal(b.n, strlen(b.data));
    rv_buf_clear(&b);
    rv_buf_printf(&b, "%0500d", 1);
    assert_int_equal(b.n, 500);
    taken = rv_buf_take(&b, &n);
    assert_int_equal(n, 500);
    assert_int_equal(strlen(taken), 500);
    free(taken);
    assert_null(b.data);
    taken = rv_buf_take(&b, NULL);
    assert_string_equal(taken, "");
    free(taken);
}

static void test_blob(void **state) {
    struct rv_blob *a = rv_blob_new("a\0b", 3), *b = rv_blob_new("a\0b", 3),
                   *c = rv_blob_new("a\0c", 3), *empty = rv_blob_new(NULL, 0);

    (void)state;
    assert_true(rv_blob_eq(a, b));
    assert_false(rv_blob_eq(a, c));
    assert_false(rv_blob_eq(a, NULL));
    assert_false(rv_blob_eq(NULL, empty));
    assert_true(rv_blob_eq(NULL, NULL));
    assert_null(rv_blob_ref(NULL));
    rv_blob_unref(NULL);
    assert_ptr_equal(rv_blob_ref(a), a);
    rv_blob_unref(a);
    assert_int_equal(a->data[2], 'b');
    rv_blob_unref(a);
    rv_blob_unref(b);
    rv_blob_unref(c);
    rv_blob_unref(empty);
}

static void test_hash(void **state) {
    unsigned char key[100] = {0};
    uint32_t buckets[256] = {0};
    uint64_t h, worst = 0;

    (void)state;
    /* The values are part of the interface: the same on every machine and run. */
    assert_true(rv_hash("", 0) == rv_hash(NULL, 0));
    assert_true(rv_hash("a", 1) != rv_hash("a\0", 2));
    for (size_t n = 0; n <= sizeof key; n++) {
        /* Each bit of a key of any length moves about half of the bits of its hash. */
        h = rv_hash(key, n);
        for (size_t bit = 0; bit < n * 8; bit++) {
            int moved;

            key[bit / 8] ^= (unsigned char)(1U << bit % 8);
            moved = __builtin_popcountll(h ^ rv_hash(key, n));
            key[bit / 8] ^= (unsigned char)(1U << bit % 8);
            assert_in_range(moved, 8, 56);
        }
    }
    for (uint64_t i = 0; i < 65536; i++) {
        char text[32];
        int n = snprintf(text, sizeof text, "framework-%" PRIu64, i);

        buckets[rv_hash(text, (size_t)n) & 255]++;
    }
    for (size_t i = 0; i < RV_COUNT(buckets); i++)
        worst = RV_MAX(worst, buckets[i]);
    assert_in_range(worst, 256, 350); /* six deviations of 16 above the mean */
}

static void test_parse_numbers(void **state) {
    static const char *const not_integers[] = {
        "", "-", "+1", " 1", "1 ", "1x", "0x1", "1.0", "--1", "1e3", "99999999999999999999x"};
    static const char *const not_doubles[] = {"",   "-",   ".",     "+1",    " 1",
                                              "1 ", "1x",  "0x1p3", "inf",   "nan",
                                              "1e", "1e+", "1,5",   "1.2.3", "e5"};
    int64_t i = 77;
    uint64_t u = 77;
    double d = 77;

    (void)state;
    for (size_t k = 0; k < RV_COUNT(not_integers); k++) {
        assert_int_equal(rv_parse_i64(not_integers[k], INT64_MIN, INT64_MAX, &i), -RV_ERR_INVALID);
        assert_int_equal(rv_parse_u64(not_integers[k], UINT64_MAX, &u), -RV_ERR_INVALID);
    }
    for (size_t k = 0; k < RV_COUNT(not_doubles); k++)
        assert_int_equal(rv_parse_double(not_doubles[k], &d), -RV_ERR_INVALID);
    assert_int_equal(rv_parse_i64(NULL, 0, 1, &i), -RV_ERR_INVALID);
    assert_int_equal(rv_parse_u64(NULL, 1, &u), -RV_ERR_INVALID);
    assert_int_equal(rv_parse_double(NULL, &d), -RV_ERR_INVALID);
    assert_int_equal(rv_parse_u64("-1", UINT64_MAX, &u), -RV_ERR_INVALID);
    assert_int_equal(rv_parse_u64("18446744073709551616", UINT64_MAX, &u), -RV_ERR_LIMIT);
    assert_int_equal(rv_parse_u64("11", 10, &u), -RV_ERR_LIMIT);
    assert_int_equal(rv_parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &i), -RV_ERR_LIMIT);
    assert_int_equal(rv_parse_i64("-9223372036854775809", INT64_MIN, INT64_MAX, &i), -RV_ERR_LIMIT);
    assert_int_equal(rv_parse_i64("0", 1, 5, &i), -RV_ERR_LIMIT);
    assert_int_equal(rv_parse_i64("6", 1, 5, &i), -RV_ERR_LIMIT);
    assert_int_equal(rv_parse_double("1e309", &d), -RV_ERR_LIMIT);
    assert_true(i == 77 && u == 77 && d == 77); /* untouched by every failure */

    assert_int_equal(rv_parse_u64("18446744073709551615", UINT64_MAX, &u), 0);
    assert_true(u == UINT64_MAX);
    assert_int_equal(rv_parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &i), 0);
    assert_true(i == INT64_MIN);
    assert_int_equal(rv_parse_i64("007", 0, 9, &i), 0);
    assert_int_equal(i, 7);
    assert_int_equal(rv_parse_double("-1.5e-3", &d), 0);
    assert_true(d == -0.0015);
    assert_int_equal(rv_parse_double(".5", &d), 0);
    assert_true(d == 0.5);
}

static void test_parse_durations(void **state) {
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
        {"10secs", 10000000000},
        {"1.5mins", 90000000000},
        {"500ms", 500000000},
        {"2hrs", 7200000000000},
        {"1days", 86400000000000},
        {"3weeks", 3 * 7 * 86400000000000},
        {"100us", 100000},
        {"5ns", 5},
        {"10s", 10000000000},
        {"5m", 300000000000},
        {"2h", 7200000000000},
        {"-1.5secs", -1500000000},
        {"0ns", 0},
        {"0.1secs", 100000000},
        {".5secs", 500000000},
        {"1.secs", 1000000000},
        {"9223372036854775807ns", INT64_MAX},
        {"0.0000000000000000000000000001weeks", 0},
    };
    static const char *const bad[] = {"",          "10",     "secs",    ".secs",
                                      "10 secs",   "10sec",  "1e3secs", "+1secs",
                                      "1.5.5secs", "10SECS", "--1secs", "10secs "};
    struct rv_prng prng;
    int64_t ns = 77, back;
    char text[32];

    (void)state;
    for (size_t i = 0; i < RV_COUNT(bad); i++)
        assert_int_equal(rv_parse_duration_ns(bad[i], &ns), -RV_ERR_INVALID);
    assert_int_equal(rv_parse_duration_ns(NULL, &ns), -RV_ERR_INVALID);
    assert_int_equal(rv_parse_duration_ns("9223372036854775808ns", &ns), -RV_ERR_LIMIT);
    assert_int_equal(rv_parse_duration_ns("99999999999999999999999ns", &ns), -RV_ERR_LIMIT);
    assert_int_equal(rv_parse_duration_ns("18446744073709551615weeks", &ns), -RV_ERR_LIMIT);
    assert_int_equal(ns, 77);
    for (size_t i = 0; i < RV_COUNT(good); i++) {
        assert_int_equal(rv_parse_duration_ns(good[i].text, &ns), 0);
        assert_true(ns == good[i].ns);
    }
    for (size_t i = 0; i < 6; i++) {
        rv_format_duration(good[i].ns, text);
        assert_string_equal(text, good[i].text);
    }
    rv_format_duration(0, text);
    assert_string_equal(text, "0ns");
    rv_format_duration(61000000000, text);
    assert_string_equal(text, "61secs");
    rv_format_duration(INT64_MIN, text);
    assert_string_equal(text, "-9223372036854775.808us");

    /* What is written reads back the same. */
    rv_prng_seed(&prng, 11);
    for (int i = 0; i < 20000; i++) {
        ns = (int64_t)(rv_prng_next(&prng) >> (1 + rv_prng_below(&prng, 62)));
        if (i % 2)
            ns = ns / 1000000 * 1000000;
        if (i % 3 == 0)
            ns = -ns;
        rv_format_duration(ns, text);
        assert_int_equal(rv_parse_duration_ns(text, &back), 0);
        assert_true(back == ns);
    }
}

static void test_parse_bytes(void **state) {
    static const char *const bad[] = {"", "10", "MB", "-1B", "1.5GB", "1 GB", "1gb", "1MBx"};
    uint64_t v = 77;

    (void)state;
    for (size_t i = 0; i < RV_COUNT(bad); i++)
        assert_int_equal(rv_parse_bytes(bad[i], &v), -RV_ERR_INVALID);
    assert_int_equal(rv_parse_bytes("16777216TB", &v), -RV_ERR_LIMIT);
    assert_int_equal(rv_parse_bytes("18446744073709551616B", &v), -RV_ERR_LIMIT);
    assert_int_equal(v, 77);
    assert_int_equal(rv_parse_bytes("10B", &v), 0);
    assert_int_equal(v, 10);
    assert_int_equal(rv_parse_bytes("64KB", &v), 0);
    assert_int_equal(v, 65536);
    assert_int_equal(rv_parse_bytes("512MB", &v), 0);
    assert_int_equal(v, 512 << 20);
    assert_int_equal(rv_parse_bytes("16777215TB", &v), 0);
    assert_true(v == UINT64_C(16777215) << 40);
}

static void test_base64(void **state) {
    static const char *const bad[] = {"A",    "A===",  "AA=",   "AAA==",  "AA==AA==", "AA=A",
                                      "=",    "====",  "QQ=\n", "QQ ==",  "QR==",     "QUJ",
                                      "+_AA", "AAAA=", "AAAAA", "QQ\xff="};
    struct rv_prng prng;
    uint8_t in[100], out[128];
    char text[200];

    (void)state;
    for (size_t i = 0; i < RV_COUNT(bad); i++)
        assert_int_equal(rv_base64_decode(bad[i], strlen(bad[i]), out), -RV_ERR_INVALID);
    assert_int_equal(rv_base64_decode("AB\0A", 4, out), -RV_ERR_INVALID);
    assert_int_equal(rv_base64_decode("", 0, out), 0);
    assert_int_equal(rv_base64_decode("QUI", 3, out), 2);
    assert_memory_equal(out, "AB", 2);
    assert_int_equal(rv_base64_decode("-_-_", 4, out), 3);
    assert_memory_equal(out, "\xfb\xff\xbf", 3);
    assert_int_equal(rv_base64_decode("+/+/", 4, out), 3);
    assert_memory_equal(out, "\xfb\xff\xbf", 3);
    memset(text, 'x', sizeof text);
    rv_base64_encode("foob", 4, text);
    assert_memory_equal(text, "Zm9vYg==x", 9);

    rv_prng_seed(&prng, 3);
    for (int round = 0; round < 5000; round++) {
        size_t n = rv_prng_below(&prng, sizeof in), size = rv_base64_encoded_size(n);

        for (size_t i = 0; i < n; i++)
            in[i] = (uint8_t)rv_prng_next(&prng);
        rv_base64_encode(in, n, text);
        assert_int_equal(rv_base64_decode(text, size, out), n);
        assert_memory_equal(in, out, n);
        if (round % 2) /* the URL alphabet */
            for (size_t i = 0; i < size; i++)
                text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
        while (size > 0 && text[size - 1] == '=')
            size--;
        assert_int_equal(rv_base64_decode(text, size, out), n);
        assert_memory_equal(in, out, n);
        if (size > 0) {
            text[rv_prng_below(&prng, size)] = (char)(128 + rv_prng_below(&prng, 128));
            assert_int_equal(rv_base64_decode(text, size, out), -RV_ERR_INVALID);
        }
    }
}

/* The naive model of the map: pairs in the order of insertion. */
struct pair {
    unsigned int key;
    uintptr_t value;
};
struct naive {
    RV_VEC(struct pair) pairs;
};

static size_t naive_find(const struct naive *m, unsigned int key) {
    size_t i;

    for (i = 0; i < m->pairs.n && m->pairs.v[i].key != key; i++)
        ;
    return i;
}

static struct rv_str key_text(unsigned int key, char buf[32]) {
    int n = snprintf(buf, 32, "%u", key);

    return rv_strn(buf, key == 0 ? 0 : (size_t)n); /* one key is empty */
}

static void same(const struct rv_map *m, const struct naive *model) {
    struct rv_str key, expected;
    char buf[32];
    void *value;
    size_t i = 0;

    assert_int_equal(rv_map_count(m), model->pairs.n);
    for (size_t it = 0; rv_map_next(m, &it, &key, &value); i++) {
        assert_true(i < model->pairs.n);
        expected = key_text(model->pairs.v[i].key, buf);
        assert_true(rv_str_eq(key, expected));
        assert_true((uintptr_t)value == model->pairs.v[i].value);
    }
    assert_int_equal(i, model->pairs.n);
}

static void map_step(struct rv_map *m, struct naive *model, struct rv_prng *prng, uint64_t keys,
                     uint64_t put_percent) {
    unsigned int key = (unsigned int)rv_prng_below(prng, keys);
    uintptr_t value = 1 + rv_prng_below(prng, 1000000);
    size_t at = naive_find(model, key);
    bool there = at < model->pairs.n;
    uintptr_t old = there ? model->pairs.v[at].value : 0;
    char buf[32];
    struct rv_str text = key_text(key, buf);

    assert_true((uintptr_t)rv_map_get(m, text) == old);
    if (rv_prng_below(prng, 100) < put_percent) {
        assert_true((uintptr_t)rv_map_put(m, text, (void *)value) == old);
        if (there)
            model->pairs.v[at].value = value;
        else
            rv_vec_push(&model->pairs, ((struct pair){key, value}));
    } else {
        assert_true((uintptr_t)rv_map_remove(m, text) == old);
        if (there)
            rv_vec_remove_at(&model->pairs, at);
    }
}

static void test_map_model(void **state) {
    struct rv_map m = {.n = 0};
    struct naive model = {.pairs.n = 0};
    struct rv_prng prng;

    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        rv_prng_seed(&prng, seed);
        for (int i = 0; i < 3000; i++) {
            /* Waves of growth and shrinkage. */
            map_step(&m, &model, &prng, 1 + seed * 10, (i / 500) % 2 ? 20 : 75);
            if (i % 50 == 0)
                same(&m, &model);
        }
        same(&m, &model);
        if (seed % 2) {
            rv_map_clear(&m);
            model.pairs.n = 0;
            same(&m, &model);
        }
    }
    rv_map_free(&m);
    same(&m, &(struct naive){.pairs.n = 0});
    rv_vec_free(&model.pairs);
}

static void test_map_iteration(void **state) {
    struct rv_map m = {.n = 0};
    struct rv_str key;
    void *value;
    char buf[32];
    size_t seen = 0;
    static char values[1000];

    (void)state;
    assert_null(rv_map_gets(&m, "x"));
    assert_null(rv_map_gets(&m, NULL));
    assert_null(rv_map_remove(&m, RV_STR("x")));
    for (unsigned int i = 0; i < 1000; i++)
        rv_map_put(&m, key_text(i, buf), &values[i]);
    /* The current one may go, by its own key; the others are still seen, in order. */
    for (size_t it = 0; rv_map_next(&m, &it, &key, &value); seen++) {
        assert_ptr_equal(value, &values[seen]);
        if (seen % 3)
            assert_ptr_equal(rv_map_remove(&m, key), value);
    }
    assert_int_equal(seen, 1000);
    assert_int_equal(rv_map_count(&m), 334);
    for (size_t it = 0; rv_map_next(&m, &it, &key, NULL);)
        rv_map_remove(&m, key);
    assert_int_equal(rv_map_count(&m), 0);
    rv_map_free(&m);
}

/* A queue through the map: the memory stays small and taking the oldest is no scan. */
static void test_map_queue(void **state) {
    struct rv_map m = {.n = 0};
    struct rv_str key;
    size_t it;
    char buf[32];
    static char value;

    (void)state;
    for (unsigned int i = 1; i <= 50000; i++)
        rv_map_put(&m, key_text(i, buf), &value);
    for (unsigned int i = 1; i <= 200000; i++) {
        it = 0;
        assert_true(rv_map_next(&m, &it, &key, NULL));
        assert_true(rv_str_eq(key, key_text(i, buf)));
        rv_map_remove(&m, key);
        rv_map_put(&m, key_text(i + 50000, buf), &value);
    }
    assert_int_equal(rv_map_count(&m), 50000);
    assert_true(m.cap <= 4 * 65536);
    for (unsigned int i = 200001; i <= 249990; i++)
        rv_map_remove(&m, key_text(i, buf));
    for (unsigned int i = 0; i < 1000; i++) {
        rv_map_put(&m, key_text(0, buf), &value);
        rv_map_remove(&m, key_text(0, buf));
    }
    assert_int_equal(rv_map_count(&m), 10);
    assert_true(m.cap <= 1024);
    rv_map_free(&m);
}

static void test_heap_model(void **state) {
    struct rv_timers t = {.n = 0};
    static struct rv_timer timers[200];
    struct rv_timer *best, *got;
    struct rv_prng prng;
    int64_t now = 0;

    (void)state;
    rv_prng_seed(&prng, 99);
    assert_true(rv_timers_deadline(&t) == INT64_MAX);
    assert_null(rv_timers_pop(&t, INT64_MAX));
    for (int i = 0; i < 50000; i++) {
        struct rv_timer *timer = &timers[rv_prng_below(&prng, RV_COUNT(timers))];

        switch (rv_prng_below(&prng, 4)) {
        case 0:
            rv_timer_cancel(&t, timer);
            assert_false(rv_timer_is_set(timer));
            break;
        case 1:
        case 2: /* few distinct times: many ties */
            rv_timer_set(&t, timer, now + (int64_t)rv_prng_below(&prng, 20));
            assert_true(rv_timer_is_set(timer));
            break;
        default:
            now += (int64_t)rv_prng_below(&prng, 3);
        }
        best = NULL;
        for (size_t k = 0; k < RV_COUNT(timers); k++) {
            if (timers[k].position &&
                (!best || timers[k].at_ms < best->at_ms ||
                 (timers[k].at_ms == best->at_ms && timers[k].order < best->order)))
                best = &timers[k];
        }
        assert_true(rv_timers_deadline(&t) == (best ? best->at_ms : INT64_MAX));
        got = rv_timers_pop(&t, now);
        assert_ptr_equal(got, best && best->at_ms <= now ? best : NULL);
        assert_true(!got || !rv_timer_is_set(got));
    }
    rv_timers_free(&t);
}

static void test_heap_ties(void **state) {
    struct rv_timers t = {.n = 0};
    struct rv_timer timers[20] = {{.kind = 0}};

    (void)state;
    for (int i = 0; i < 20; i++)
        rv_timer_set(&t, &timers[i], 5);
    rv_timer_set(&t, &timers[3], 5); /* setting again goes to the end of its tie */
    assert_null(rv_timers_pop(&t, 4));
    for (int i = 0; i < 20; i++) {
        if (i != 3)
            assert_ptr_equal(rv_timers_pop(&t, 5), &timers[i]);
    }
    assert_ptr_equal(rv_timers_pop(&t, 5), &timers[3]);
    assert_null(rv_timers_pop(&t, 5));
    rv_timers_free(&t);
}

static void test_prng(void **state) {
    struct rv_prng p, q;
    uint8_t uuid[16];
    char text[37];
    unsigned int counts[7] = {0};

    (void)state;
    rv_prng_seed(&p, 0);
    /* splitmix64 from 0 begins with these, as published. */
    assert_true(p.s[0] == UINT64_C(0xe220a8397b1dcdaf) && p.s[1] == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(rv_prng_next(&p) == UINT64_C(0x99ec5f36cb75f2b4));
    p = (struct rv_prng){{1, 2, 3, 4}}; /* xoshiro256** from 1, 2, 3, 4, as published */
    assert_true(rv_prng_next(&p) == 11520);
    assert_true(rv_prng_next(&p) == 0);
    assert_true(rv_prng_next(&p) == 1509978240);
    rv_prng_seed(&p, 5);
    rv_prng_seed(&q, 5);
    for (int i = 0; i < 70000; i++) {
        uint64_t v = rv_prng_below(&p, 7);
        double unit;

        assert_true(v == rv_prng_below(&q, 7));
        counts[v]++;
        assert_true(rv_prng_below(&p, 1) == 0);
        unit = rv_prng_unit(&p);
        assert_true(unit >= 0 && unit < 1);
        q = p;
    }
    for (size_t i = 0; i < RV_COUNT(counts); i++)
        assert_in_range(counts[i], 9500, 10500);
    for (int i = 0; i < 100; i++) {
        rv_prng_uuid(&p, uuid);
        rv_uuid_format(uuid, text);
        assert_int_equal(strlen(text), 36);
        assert_int_equal(text[14], '4');
        assert_non_null(strchr("89ab", text[19]));
    }
    memset(uuid, 0xab, sizeof uuid);
    rv_uuid_format(uuid, text);
    assert_string_equal(text, "abababab-abab-abab-abab-abababababab");
}

static void test_fixed(void **state) {
    static const struct {
        double d;
        int64_t f;
    } good[] = {{0, 0},        {-0.0, 0},     {1, 1000},           {0.1, 100},
                {0.0005, 1},   {-0.0005, -1}, {0.00049, 0},        {1.2345, 1235},
                {-2.5, -2500}, {1e-300, 0},   {9e9, 9000000000000}};
    static const double refused[] = {NAN, INFINITY, -INFINITY, 1e308, -1e308, 1e306, 1e10, -1e10};
    static const struct {
        int64_t f;
        const char *text;
    } texts[] = {{0, "0"},       {1000, "1"},     {500, "0.5"},
                 {125, "0.125"}, {-500, "-0.5"},  {10, "0.01"},
                 {1, "0.001"},   {100000, "100"}, {INT64_MIN, "-9223372036854775.808"}};
    struct rv_prng prng;
    char text[24];
    int64_t f = 77, back;

    (void)state;
    for (size_t i = 0; i < RV_COUNT(refused); i++)
        assert_false(rv_fixed_from_double(refused[i], &f));
    assert_int_equal(f, 77);
    for (size_t i = 0; i < RV_COUNT(good); i++) {
        assert_true(rv_fixed_from_double(good[i].d, &f));
        assert_true(f == good[i].f);
    }
    for (size_t i = 0; i < RV_COUNT(texts); i++) {
        rv_fixed_format(texts[i].f, text);
        assert_string_equal(text, texts[i].text);
    }
    rv_prng_seed(&prng, 21);
    for (int i = 0; i < 20000; i++) {
        f = (int64_t)rv_prng_below(&prng, (uint64_t)RV_FIXED_MAX + 1) >> rv_prng_below(&prng, 43);
        if (i % 2)
            f = -f;
        assert_true(rv_fixed_from_double(rv_fixed_to_double(f), &back));
        assert_true(back == f);
        rv_fixed_format(f, text);
        assert_true(fabs(strtod(text, NULL) - rv_fixed_to_double(f)) < 1e-4);
    }
}

static void log_line(int fd, char *out, size_t size) {
    ssize_t n = read(fd, out, size - 1);

    assert_true(n > 0);
    out[n] = '\0';
}

static void test_log(void **state) {
    char line[2000], level[16], module[16];
    int ends[2], year, month, day, hour, minute, second, micro, at = 0;
    enum rv_log_level before = rv_log_get_level();

    (void)state;
    assert_int_equal(rv_log_level_parse("warning"), RV_LOG_WARNING);
    assert_int_equal(rv_log_level_parse("loud"), -1);
    assert_int_equal(rv_log_level_parse(NULL), -1);
    assert_string_equal(rv_log_level_name(RV_LOG_TRACE), "trace");
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    rv_log_set_fd(ends[1]);
    rv_log_set_level(RV_LOG_INFO);

    errno = EDOM;
    RV_INFO("master", "agent %s is back tasks=%d", "a\nb\t\x1b[31m\x7f", 3);
    assert_int_equal(errno, EDOM);
    log_line(ends[0], line, sizeof line);
    assert_int_equal(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ %15s %15s %n", &year, &month, &day,
                            &hour, &minute, &second, &micro, level, module, &at),
                     9);
    assert_true(year >= 2024);
    assert_string_equal(level, "info");
    assert_string_equal(module, "master");
    assert_string_equal(line + at, "agent a\\nb\\t\\x1b[31m\\x7f is back tasks=3\n");

    /* Good UTF-8 passes; C1 controls, overlong forms, surrogates, cut sequences do not. */
    RV_ERROR("m", "%s",
             "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80|\xc2\x85|\xc0\xaf|\xed\xa0\x80|\xe2\x82");
    log_line(ends[0], line, sizeof line);
    assert_string_equal(strstr(line, " m ") + 3,
                        "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80|\\xc2\\x85|\\xc0\\xaf|"
                        "\\xed\\xa0\\x80|\\xe2\\x82\n");

    RV_DEBUG("m", "not at this level");
    assert_true(read(ends[0], line, sizeof line) < 0 && errno == EAGAIN);
    rv_log_set_level(RV_LOG_DEBUG);
    RV_DEBUG("m", "at this");
    log_line(ends[0], line, sizeof line);
    assert_non_null(strstr(line, "Z debug m at this\n"));
    rv_log_set_level(before);
    rv_log_set_fd(STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
}

struct item {
    int v;
    struct rv_list link;
};

static void test_list_and_vec(void **state) {
    struct rv_list head;
    struct item items[10];
    RV_VEC(int) vec = {.v = NULL};
    int next = 0;

    (void)state;
    rv_list_init(&head);
    assert_true(rv_list_empty(&head));
    for (int i = 0; i < 10; i++) {
        items[i].v = i;
        rv_list_append(&head, &items[i].link);
    }
    RV_LIST_EACH (&head, node, tmp) {
        struct item *item = RV_LIST_ENTRY(node, struct item, link);

        assert_int_equal(item->v, next++);
        if (item->v % 2)
            rv_list_remove(node);
    }
    assert_int_equal(next, 10);
    assert_false(rv_list_linked(&items[1].link));
    assert_true(rv_list_linked(&items[2].link));
    rv_list_remove(&items[1].link); /* in no list: nothing happens */

    for (int i = 0; i < 100; i++)
        rv_vec_push(&vec, i);
    rv_vec_remove_at(&vec, 0);
    rv_vec_remove_at(&vec, 98);
    assert_int_equal(vec.n, 98);
    assert_int_equal(vec.v[0], 1);
    assert_int_equal(vec.v[97], 98);
    rv_vec_free(&vec);
}

static char *temporary_folder(void) {
    char made[] = "/tmp/reeve-folder-XXXXXX";

    assert_non_null(mkdtemp(made));
    return rv_strdup(made);
}

/* A folder deeper than the process may have open files, with files and links on the way. */
static void make_deep(const char *top, int levels) {
    int dir = rv_folder_open(top, NULL);

    for (int i = 0; i < levels; i++) {
        assert_int_equal(mkdirat(dir, "down", 0755), 0);
        assert_int_equal(symlinkat("/tmp", dir, "link"), 0);
        int file = openat(dir, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        int next = openat(dir, "down", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(file >= 0 && next >= 0);
        close(file);
        close(dir);
        dir = next;
    }
    close(dir);
}

static void test_folders(void **state) {
    _cleanup_free_ char *top = temporary_folder(), *deep = rv_asprintf("%s/a//b/./c/", top);
    _cleanup_free_ char *dots = rv_asprintf("%s/a/../b", top), *b = rv_asprintf("%s/a/b", top);
    _cleanup_free_ char *none = rv_asprintf("%s/none/there", top);
    struct rv_error err;
    struct stat st;
    int fd;

    (void)state;
    assert_int_equal(rv_folder_open(none, &err), -RV_ERR_NOT_FOUND);
    fd = rv_folder_make(deep, 0700, &err);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    close(fd);
    assert_int_equal(rv_folder_open(dots, &err), -RV_ERR_IO);
    assert_int_equal(rv_folder_open("relative", &err), -RV_ERR_IO);
    assert_int_equal(rv_folder_rename(b, "d"), 0);
    assert_int_equal(rv_folder_rename(b, "d"), -ENOENT);
    assert_int_equal(rv_folder_open(b, &err), -RV_ERR_NOT_FOUND);
    make_deep(top, 1000);
    assert_int_equal(rv_folder_remove(top), 0);
    assert_int_equal(access(top, F_OK), -1);
    assert_int_equal(rv_folder_remove(top), 0);
}

/* Nothing is made, opened, renamed or removed through a symbolic link. */
static void test_folders_and_links(void **state) {
    _cleanup_free_ char *top = temporary_folder(), *target = rv_asprintf("%s/target/inner", top);
    _cleanup_free_ char *link = rv_asprintf("%s/link", top);
    _cleanup_free_ char *inner = rv_asprintf("%s/link/inner", top);
    _cleanup_free_ char *new = rv_asprintf("%s/link/new", top);
    struct rv_error err;

    (void)state;
    close(rv_folder_make(target, 0755, &err));
    assert_int_equal(symlink("target", link), 0);
    assert_int_equal(rv_folder_open(link, &err), -RV_ERR_IO);
    assert_int_equal(rv_folder_open(inner, &err), -RV_ERR_IO);
    assert_int_equal(rv_folder_make(new, 0755, &err), -RV_ERR_IO);
    assert_int_equal(rv_folder_rename(inner, "other"), -ELOOP);
    assert_int_equal(rv_folder_remove(inner), -ELOOP);
    assert_int_equal(access(target, F_OK), 0);
    assert_int_equal(access(new, F_OK), -1);
    assert_int_equal(rv_folder_remove(link), 0); /* the link itself */
    assert_int_equal(access(target, F_OK), 0);
    assert_int_equal(rv_folder_remove(top), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_panic),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_str),
        cmocka_unit_test(test_buf),
        cmocka_unit_test(test_blob),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_parse_numbers),
        cmocka_unit_test(test_parse_durations),
        cmocka_unit_test(test_parse_bytes),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_map_model),
        cmocka_unit_test(test_map_iteration),
        cmocka_unit_test(test_map_queue),
        cmocka_unit_test(test_heap_model),
        cmocka_unit_test(test_heap_ties),
        cmocka_unit_test(test_prng),
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_list_and_vec),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_folders_and_links),
    };

    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
