/* The response parser: every cut of every response gives the same events. And forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "wire/form.h"
#include "wire/http1.h"

static void on_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    struct rv_buf *b = (struct rv_buf *)ctx;
    rv_buf_printf(b, "<%d", status);
    for (size_t i = 0; i < n; i++) {
        rv_buf_printf(b, " %s=%s", headers[i].name, headers[i].value);
        assert_ptr_equal(rv_http1_header(headers, n, "nobody"), NULL);
    }
    rv_buf_putc(b, '>');
}

static void on_body(void *ctx, struct rv_str bytes) {
    rv_buf_append((struct rv_buf *)ctx, bytes.s, bytes.n);
}

static void on_done(void *ctx, bool keep_alive) {
    rv_buf_puts((struct rv_buf *)ctx, keep_alive ? "|" : "!");
}

static const struct rv_http1_handler handler = {on_head, on_body, on_done};

/* The events as text, then the code of a failure if there was one, "+" before that of the end. */
static void run(struct rv_str bytes, size_t a, size_t b, struct rv_buf *out) {
    struct rv_http1_parser *p = rv_http1_parser_new(&handler, out);
    struct rv_str parts[] = {{bytes.s, a}, {bytes.s + a, b - a}, {bytes.s + b, bytes.n - b}};
    int r = 0;
    rv_buf_puts(out, "");
    for (size_t i = 0; i < RV_COUNT(parts) && r == 0; i++) {
        char *copy _cleanup_free_ = (char *)rv_memdup(parts[i].s, parts[i].n);
        r = rv_http1_parser_feed(p, rv_strn(copy, parts[i].n), NULL);
    }
    if (r == 0 && (r = rv_http1_parser_eof(p, NULL)) != 0) {
        rv_buf_puts(out, "+");
    }
    if (r != 0) {
        rv_buf_puts(out, rv_err_text((enum rv_err) - r));
    }
    assert_null(rv_http1_parser_free(p));
}

static void check(const char *response, const char *expected) {
    struct rv_str bytes = rv_str(response);
    for (size_t a = 0; a <= bytes.n; a++) {
        for (size_t b = a; b <= bytes.n; b += 1 + (b - a) / 8) {
            struct rv_buf out _cleanup_(rv_buf_free) = {0};
            run(bytes, a, b, &out);
            if (!rv_streq(out.data, expected)) {
                fail_msg("cut at %zu, %zu:\n%s\nbut expected\n%s", a, b, out.data, expected);
            }
        }
    }
}

static void test_bodies(void **state) {
    (void)state;
    check("", "");
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "<200 Content-Length=5>hello|");
    check("HTTP/1.1 202 Accepted\r\nA:\r\nContent-Length:0 \r\n\r\n"
          "HTTP/1.1 200\r\ncontent-length: 1\r\nConnection: x, Close\r\n\r\nxignored",
          "<202 A= Content-Length=0>|<200 content-length=1 Connection=x, Close>x!");
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nTrailer: x\r\n\r\n",
          "<200 Transfer-Encoding=chunked>hello world|");
    check("HTTP/1.1 200 OK\nTransfer-Encoding: gzip, Chunked\n\n00a \n0123456789\n0\n\n",
          "<200 Transfer-Encoding=gzip, Chunked>0123456789|");
    check("HTTP/1.1 200 OK\r\n\r\nuntil the end", "<200>until the end!");
    check("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "<200 Content-Length=1>x!");
    check("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx",
          "<200 Connection=Keep-Alive Content-Length=1>x|");
    check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nL: x\r\n\r\n"
          "HTTP/1.1 204 None\r\n\r\n\r\nHTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n",
          "<204>|<304 Content-Length=9>|");
    /* Both lengths: the coding counts, and the connection is not used again. */
    check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
          "1\r\nx\r\n0\r\n\r\n",
          "<200 Content-Length=3 Transfer-Encoding=chunked>x!");
    check("HTTP/1.1 307 T\r\nLocation: //h:1/p\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\nab",
          "<307 Location=//h:1/p Content-Length=2 content-length=2>ab|");
}

static void test_errors(void **state) {
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "H\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: x\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    };
    for (size_t i = 0; i < RV_COUNT(bad); i++) {
        check(bad[i], "invalid");
    }
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define HEAD "<200 Transfer-Encoding=chunked>"
    check(CHUNKED "x\r\n", HEAD "invalid");
    check(CHUNKED "\r\n", HEAD "invalid");
    check(CHUNKED "1x\r\n", HEAD "invalid");
    check(CHUNKED "10000000000000000\r\n", HEAD "invalid");
    check(CHUNKED "1\r\nab\r\n", HEAD "ainvalid");
    check(CHUNKED "1\r\na", HEAD "a+closed");
    check(CHUNKED "1\r\na\r\n0\r\n", HEAD "a+closed");
    check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", "<200 Content-Length=2>a+closed");
    check("HTTP/1.1 200 OK\r\n", "+closed");
    struct rv_buf out _cleanup_(rv_buf_free) = {0};
    run(RV_STR("HTTP/1.1 200 OK\r\nA: x\0y\r\n\r\n"), 3, 20, &out);
    assert_string_equal(out.data, "invalid");
}

static void test_limits(void **state) {
    (void)state;
    static const char *const starts[] = {"HTTP/1.1 200 OK\r\nA: ", CHUNKED "1;",
                                         CHUNKED "0\r\nA: ", "HTTP/1.1 200 OK\r\n"};
    for (size_t i = 0; i < RV_COUNT(starts); i++) {
        struct rv_buf b _cleanup_(rv_buf_free) = {0}, out _cleanup_(rv_buf_free) = {0};
        rv_buf_puts(&b, starts[i]);
        while (b.n < 70000) {
            rv_buf_puts(&b, i == 3 ? "A: b\r\n" : "xxxxxx");
        }
        run(rv_buf_str(&b), 1000, 2000, &out);
        assert_true(rv_ends_with(out.data, "over a limit"));
    }
    /* After a failure nothing more is taken. */
    struct rv_buf out _cleanup_(rv_buf_free) = {0};
    struct rv_http1_parser *p = rv_http1_parser_new(&handler, &out);
    assert_int_equal(rv_http1_parser_feed(p, RV_STR("x\r\n\r\n"), NULL), -RV_ERR_INVALID);
    assert_int_equal(rv_http1_parser_feed(p, RV_STR("HTTP/1.1 200 OK\r\n\r\n"), NULL),
                     -RV_ERR_INVALID);
    rv_http1_parser_free(p);
}

static void test_header_lookup(void **state) {
    (void)state;
    const struct rv_http1_header headers[] = {{"Mesos-Stream-Id", "a"}, {"X", "b"}};
    assert_string_equal(rv_http1_header(headers, 2, "mesos-stream-id"), "a");
    assert_null(rv_http1_header(headers, 1, "X"));
    assert_null(rv_http1_parser_free(NULL));
}

static void test_request(void **state) {
    (void)state;
    struct rv_buf b _cleanup_(rv_buf_free) = {0};
    rv_http1_request(&b, "POST", "/api/v1", "h:5050", "Accept: application/json\r\n", RV_STR("{}"));
    assert_string_equal(b.data, "POST /api/v1 HTTP/1.1\r\nHost: h:5050\r\nContent-Length: 2\r\n"
                                "Accept: application/json\r\n\r\n{}");
    rv_buf_clear(&b);
    rv_http1_request(&b, "GET", "/health", "h", NULL, (struct rv_str){NULL, 0});
    assert_string_equal(b.data, "GET /health HTTP/1.1\r\nHost: h\r\n\r\n");
    rv_buf_clear(&b);
    rv_http1_request(&b, "POST", "/", "h", NULL, (struct rv_str){NULL, 0});
    assert_string_equal(b.data, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
}

/* --- forms --- */

static const char *form_value(const char *form, const char *name) {
    static char text[100];
    struct rv_arena arena _cleanup_(rv_arena_free);
    struct rv_error err;
    char *value;
    rv_arena_init(&arena);
    if (rv_wire_form_value(rv_str(form), name, &arena, &value, &err) < 0) {
        assert_non_null(strstr(err.message, name));
        return "error";
    }
    snprintf(text, sizeof text, "%s", value ? value : "none");
    return text;
}

static void test_forms(void **state) {
    (void)state;
    const char *form = "slaveId=S1%2d0&resources=%5B+%7B%22a%22%3A1%7D%5D&empty=&bare&a%62=c=d";
    assert_string_equal(form_value(form, "slaveId"), "S1-0");
    assert_string_equal(form_value(form, "resources"), "[ {\"a\":1}]");
    assert_string_equal(form_value(form, "empty"), "");
    assert_string_equal(form_value(form, "bare"), "");
    assert_string_equal(form_value(form, "ab"), "c=d");
    assert_string_equal(form_value(form, "slave"), "none");
    assert_string_equal(form_value("", "slaveId"), "none");
    assert_string_equal(form_value("a=1&a=2", "a"), "1");
    assert_string_equal(form_value("%zz=1&a=2", "a"), "2");
    static const char *const wrong[] = {"a=%", "a=%4", "a=%g0", "a=%0g", "a=%00", "a=1%"};
    for (size_t i = 0; i < RV_COUNT(wrong); i++)
        assert_string_equal(form_value(wrong[i], "a"), "error");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),  cmocka_unit_test(test_errors),
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_header_lookup),
        cmocka_unit_test(test_request), cmocka_unit_test(test_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
