/* The HTTP server and client over real loopback sockets, in one loop. Waits are for conditions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/vec.h"
#include "io/http_client.h"
#include "io/http_server.h"

struct stream_at {
    struct rv_http_stream *stream;
    bool closed;
};

/* One server with a handler that does what the path says. */
struct world {
    uv_loop_t loop;
    uv_timer_t tick;
    struct rv_http_server *server;
    struct rv_http_request *pending[64];
    unsigned n_pending, n_abandoned, n_closed;
    RV_VEC(struct stream_at *) streams;
    struct rv_buf log; /* a line a request */
    bool stop_in_handler;
    struct rv_http_request *taking;
    struct rv_buf taken;
    size_t room; /* what is taken at most */
    unsigned n_ended;
};

static void on_tick(uv_timer_t *t) {
    (void)t;
}

static void on_abandoned(void *data, struct rv_http_request *req) {
    struct world *w = data;
    w->n_abandoned++;
    for (unsigned i = 0; i < w->n_pending; i++)
        if (w->pending[i] == req)
            w->pending[i] = w->pending[--w->n_pending];
    assert_string_equal(rv_http_path(req), "/later"); /* still valid */
    assert_non_null(rv_http_header(req, "Host"));
    rv_http_reply_text(req, 200, "too late");
}

static struct world *closing_world;
static void on_stream_close(void *ctx) {
    struct stream_at *at = ctx;
    assert_false(at->closed);
    at->closed = true;
    at->stream = NULL;
    closing_world->n_closed++;
}

static void handle_stream(struct world *w, struct rv_http_request *req) {
    static const char *const headers[] = {"Mesos-Stream-Id", "abc", NULL};
    struct stream_at *at = rv_calloc(1, sizeof *at);
    rv_vec_push(&w->streams, at);
    at->stream =
        rv_http_stream_start(req, 200, "application/recordio", headers, on_stream_close, at);
}

static void handler(void *ctx, struct rv_http_request *req) {
    struct world *w = ctx;
    const char *path = rv_http_path(req);
    rv_buf_printf(&w->log, "%s %s %zu\n", rv_http_method(req), path, rv_http_body(req).n);
    if (w->stop_in_handler) {
        w->server = rv_http_server_stop(w->server);
    } else if (rv_streq(path, "/echo")) {
        rv_http_reply(req, 200, "application/octet-stream", rv_http_body(req), NULL);
    } else if (rv_streq(path, "/later")) {
        rv_http_set_data(req, w, on_abandoned);
        w->pending[w->n_pending++] = req;
    } else if (rv_streq(path, "/stream")) {
        handle_stream(w, req);
    } else if (rv_streq(path, "/query")) {
        const char *none = rv_http_query(req, "none");
        rv_http_reply_text(req, 200, "%s|%s|%s|%d", rv_http_query(req, "a"),
                           rv_http_query(req, "empty"), none ? none : "(absent)",
                           strncmp(rv_http_peer(req), "127.0.0.1:", 10));
    } else if (rv_streq(path, "/fd")) {
        int fd = memfd_create("reply", MFD_CLOEXEC);
        assert_int_equal(write(fd, "0123456789", 10), 10);
        rv_http_reply_fd(req, 200, "text/plain", fd, 2, 5, NULL);
    } else {
        rv_http_reply_text(req, 404, "No %s.", path);
    }
}

static struct world *world_new(const struct rv_http_config *given) {
    struct rv_http_config config = given ? *given : (struct rv_http_config){0};
    struct world *w = rv_calloc(1, sizeof *w);
    struct rv_error err;
    closing_world = w;
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&w->loop);
    uv_timer_init(&w->loop, &w->tick);
    uv_timer_start(&w->tick, on_tick, 2, 2);
    if (rv_http_server_start(&w->loop, &config, handler, w, &w->server, &err) < 0)
        fail_msg("%s", err.message);
    return w;
}

static void world_free(struct world *w) {
    rv_http_server_stop(w->server);
    for (size_t i = 0; i < w->streams.n; i++) {
        assert_true(w->streams.v[i]->closed || !w->streams.v[i]->stream);
        free(w->streams.v[i]);
    }
    rv_vec_free(&w->streams);
    rv_buf_free(&w->log);
    uv_close((uv_handle_t *)&w->tick, NULL);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    free(w);
}

/* Runs the loop until the condition holds; a test that hangs fails after a long while. */
#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        time_t limit_ = time(NULL) + 60;                                                           \
        while (!(condition)) {                                                                     \
            uv_run(&(w)->loop, UV_RUN_ONCE);                                                       \
            if (time(NULL) > limit_)                                                               \
                fail_msg("never: %s", #condition);                                                 \
        }                                                                                          \
    } while (0)

/* A handler that takes the bodies of /take as they arrive. */
static void on_taking_abandoned(void *data, struct rv_http_request *req) {
    struct world *w = data;
    assert_ptr_equal(w->taking, req);
    w->taking = NULL;
    w->n_abandoned++;
}

static bool wants_body(void *ctx, struct rv_http_request *req) {
    struct world *w = ctx;
    if (!rv_streq(rv_http_path(req), "/take"))
        return false;
    rv_http_set_data(req, w, on_taking_abandoned);
    w->taking = req;
    return true;
}

static size_t on_body_data(void *ctx, struct rv_http_request *req, struct rv_str piece) {
    struct world *w = ctx;
    size_t n = RV_MIN(piece.n, w->room);
    assert_ptr_equal(rv_http_data(req), w);
    rv_buf_append(&w->taken, piece.s, n);
    w->room -= n;
    if (w->taken.n >= 4 && memcmp(w->taken.data, "stop", 4) == 0) {
        w->taking = NULL;
        rv_http_reply_text(req, 409, "enough");
    }
    return n;
}

static void on_body_end(void *ctx, struct rv_http_request *req) {
    struct world *w = ctx;
    w->n_ended++;
    w->taking = NULL;
    rv_http_reply_text(req, 200, "took %zu", w->taken.n);
}

static struct world *taking_world(void) {
    static const struct rv_http_body_stream taker = {wants_body, on_body_data, on_body_end};
    const struct rv_http_config config = {.max_body = 100000};
    struct world *w = world_new(&config);
    rv_http_server_set_body_stream(w->server, &taker, w);
    w->room = SIZE_MAX;
    return w;
}

/* A raw client */
struct raw {
    int fd;
    struct rv_buf in;
    bool ended;
};

static void raw_open(struct world *w, struct raw *r) {
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(rv_http_server_port(w->server)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memset(r, 0, sizeof *r);
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(r->fd >= 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&addr, sizeof addr), 0);
    fcntl(r->fd, F_SETFL, O_NONBLOCK);
}

static void raw_write(struct world *w, struct raw *r, struct rv_str bytes) {
    while (bytes.n > 0) {
        ssize_t n = send(r->fd, bytes.s, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* the server has closed: what it said can still be read */
        if (n > 0)
            bytes = rv_strn(bytes.s + n, bytes.n - (size_t)n);
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
}

static void raw_puts(struct world *w, struct raw *r, const char *s) {
    raw_write(w, r, rv_str(s));
}

static void raw_read(struct raw *r) {
    char bytes[65536];
    ssize_t n;
    while ((n = recv(r->fd, bytes, sizeof bytes, 0)) > 0)
        rv_buf_append(&r->in, bytes, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        r->ended = true;
}

static bool raw_has(struct raw *r, const char *s) {
    raw_read(r);
    return r->in.n > 0 && memmem(r->in.data, r->in.n, s, strlen(s));
}

static bool raw_at_end(struct raw *r) {
    raw_read(r);
    return r->ended;
}

static void raw_close(struct raw *r, bool reset) {
    struct linger linger = {1, 0};
    if (reset)
        setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(r->fd);
    rv_buf_free(&r->in);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static void send_text(struct rv_http_stream *s, const char *text) {
    struct rv_blob *b = rv_blob_new(text, strlen(text));
    assert_int_equal(rv_http_stream_send(s, b), 0);
    rv_blob_unref(b);
}

static void test_chunks_are_exact(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct raw r;
    size_t big_n = 300000;
    char *big = malloc(big_n);
    memset(big, 'x', big_n);

    raw_open(w, &r);
    raw_puts(w, &r, "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    UNTIL(w, raw_has(&r, "\r\n\r\n"));
    assert_true(raw_has(&r, "HTTP/1.1 200 OK\r\n"));
    assert_true(raw_has(&r, "Transfer-Encoding: chunked\r\n"));
    assert_true(raw_has(&r, "Mesos-Stream-Id: abc\r\n"));
    rv_buf_clear(&r.in);

    struct rv_http_stream *s = w->streams.v[0]->stream;
    send_text(s, "5\nhello");
    send_text(s, "1\na");
    struct rv_blob *blob = rv_blob_new(big, big_n);
    assert_int_equal(rv_http_stream_send(s, blob), 0);
    assert_int_equal(rv_http_stream_backlog(s), 7 + 3 + big_n);
    rv_blob_unref(blob);
    blob = rv_blob_new("", 0);
    assert_int_equal(rv_http_stream_send(s, blob), 0);
    rv_blob_unref(blob);
    struct rv_buf want = {0};
    rv_buf_puts(&want, "7\r\n5\nhello\r\n3\r\n1\na\r\n");
    rv_buf_printf(&want, "%zx\r\n", big_n);
    rv_buf_append(&want, big, big_n);
    rv_buf_puts(&want, "\r\n");
    UNTIL(w, (raw_read(&r), r.in.n >= want.n));
    assert_int_equal(rv_http_stream_backlog(s), 0);
    send_text(s, "last");
    rv_http_stream_end(s);
    w->streams.v[0]->stream = NULL;
    rv_buf_puts(&want, "4\r\nlast\r\n0\r\n\r\n");
    UNTIL(w, (raw_read(&r), r.in.n >= want.n));
    assert_true(rv_str_eq(rv_buf_str(&want), rv_buf_str(&r.in)));
    assert_int_equal(w->n_closed, 0);

    /* The connection lives on. */
    raw_puts(w, &r, GET("/nowhere"));
    UNTIL(w, raw_has(&r, "No /nowhere."));
    rv_buf_free(&want);
    free(big);
    raw_close(&r, false);
    world_free(w);
}

static void test_http_1_0_stream_has_no_chunks(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct raw r;
    raw_open(w, &r);
    raw_puts(w, &r, "GET /stream HTTP/1.0\r\n\r\n");
    UNTIL(w, w->streams.n == 1);
    send_text(w->streams.v[0]->stream, "one");
    send_text(w->streams.v[0]->stream, "two");
    rv_http_stream_end(TAKE_PTR(w->streams.v[0]->stream));
    UNTIL(w, raw_at_end(&r));
    assert_true(raw_has(&r, "\r\n\r\nonetwo"));
    raw_close(&r, false);
    world_free(w);
}

#define STREAMS 1000
static void test_thousand_streams(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct raw *r = calloc(STREAMS, sizeof *r);
    const char *want = "3\r\n2\nx\r\n4\r\n3\nyy\r\n5\r\n4\nzzz\r\n";
    for (int i = 0; i < STREAMS; i++) {
        raw_open(w, &r[i]);
        raw_puts(w, &r[i], GET("/stream"));
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
    UNTIL(w, w->streams.n == STREAMS);
    static const char *const texts[] = {"2\nx", "3\nyy", "4\nzzz"};
    for (int t = 0; t < 3; t++) {
        struct rv_blob *b = rv_blob_new(texts[t], strlen(texts[t]));
        for (int i = 0; i < STREAMS; i++)
            assert_int_equal(rv_http_stream_send(w->streams.v[i]->stream, b), 0);
        rv_blob_unref(b);
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
    for (int i = 0; i < STREAMS; i++) {
        UNTIL(w, raw_has(&r[i], want));
        raw_close(&r[i], i % 2);
    }
    UNTIL(w, w->n_closed == STREAMS);
    free(r);
    world_free(w);
}

static void test_client_close_is_seen(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct raw r[5];
    /* An idle stream: closed, reset, half-closed. */
    for (int i = 0; i < 3; i++) {
        raw_open(w, &r[i]);
        raw_puts(w, &r[i], GET("/stream"));
        UNTIL(w, raw_has(&r[i], "\r\n\r\n"));
    }
    raw_close(&r[0], false);
    UNTIL(w, w->n_closed == 1);
    raw_close(&r[1], true);
    UNTIL(w, w->n_closed == 2);
    shutdown(r[2].fd, SHUT_WR);
    UNTIL(w, w->n_closed == 3);
    UNTIL(w, raw_at_end(&r[2]));
    raw_close(&r[2], false);
    /* A request that waits for its answer. */
    for (int i = 3; i < 5; i++) {
        raw_open(w, &r[i]);
        raw_puts(w, &r[i], GET("/later"));
        UNTIL(w, w->n_pending == 1);
        raw_close(&r[i], i == 4);
        UNTIL(w, w->n_abandoned == (unsigned)i - 2);
        assert_int_equal(w->n_pending, 0);
    }
    world_free(w);
}

static void test_stop_inside_handler(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct raw r[3];
    raw_open(w, &r[0]);
    raw_puts(w, &r[0], GET("/stream"));
    raw_open(w, &r[1]);
    raw_puts(w, &r[1], GET("/later"));
    UNTIL(w, w->n_pending == 1 && w->streams.n == 1);
    w->stop_in_handler = true;
    raw_open(w, &r[2]);
    raw_puts(w, &r[2], GET("/echo"));
    for (int i = 0; i < 3; i++) {
        UNTIL(w, raw_at_end(&r[i]));
        raw_close(&r[i], false);
    }
    assert_null(w->server);
    assert_int_equal(w->n_closed, 1);
    assert_int_equal(w->n_abandoned, 0);
    world_free(w);
}

static void test_backlog_cuts_one(void **state) {
    (void)state;
    struct rv_http_config config = {.max_backlog = 1 << 20};
    struct world *w = world_new(&config);
    struct raw slow, good;
    raw_open(w, &slow);
    raw_puts(w, &slow, GET("/stream"));
    UNTIL(w, raw_has(&slow, "\r\n\r\n"));
    raw_open(w, &good);
    raw_puts(w, &good, GET("/stream"));
    UNTIL(w, raw_has(&good, "\r\n\r\n"));

    size_t n = 256 << 10;
    char *bytes = malloc(n);
    memset(bytes, 'b', n);
    struct rv_blob *b = rv_blob_new(bytes, n);
    int rc = 0;
    for (int i = 0; i < 1000 && rc == 0; i++) {
        rc = rv_http_stream_send(w->streams.v[0]->stream, b);
        assert_int_equal(rv_http_stream_send(w->streams.v[1]->stream, b), 0);
        UNTIL(w, (raw_read(&good), rv_http_stream_backlog(w->streams.v[1]->stream) == 0));
        rv_buf_clear(&good.in);
        if (rc < 0)
            break;
        if (!w->streams.v[0]->stream)
            break;
    }
    assert_int_equal(rc, -RV_ERR_LIMIT);
    UNTIL(w, w->streams.v[0]->closed);
    assert_int_equal(rv_http_server_counters(w->server).streams_cut, 1);
    assert_false(w->streams.v[1]->closed);
    UNTIL(w, raw_at_end(&slow)); /* what the kernel had, then the end without a last chunk */
    assert_false(raw_has(&slow, "\r\n0\r\n\r\n"));
    UNTIL(w, (raw_read(&good), rv_http_stream_backlog(w->streams.v[1]->stream) == 0));
    rv_buf_clear(&good.in);
    send_text(w->streams.v[1]->stream, "still here");
    UNTIL(w, raw_has(&good, "a\r\nstill here\r\n"));
    rv_blob_unref(b);
    free(bytes);
    raw_close(&slow, false);
    raw_close(&good, false);
    world_free(w);
}

static void test_keep_alive_and_pipelining(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct raw r;
    raw_open(w, &r);
    raw_puts(w, &r,
             "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
             "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
             "2\r\ntw\r\n1;ext=1\r\no\r\n0\r\n\r\n" GET(
                 "/later") "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfour");
    UNTIL(w, raw_has(&r, "\r\n\r\none") && raw_has(&r, "\r\n\r\ntwo") && w->n_pending == 1);
    assert_false(raw_has(&r, "four")); /* not before the one ahead of it */
    rv_http_reply_text(w->pending[--w->n_pending], 202, "three");
    UNTIL(w, raw_has(&r, "\r\n\r\nfour"));
    assert_true(strstr(r.in.data, "three") < strstr(r.in.data, "four"));
    assert_string_equal(w->log.data, "POST /echo 3\nPOST /echo 3\nGET /later 0\nPOST /echo 4\n");
    assert_int_equal(rv_http_server_counters(w->server).requests, 4);
    assert_int_equal(rv_http_server_counters(w->server).connections, 1);
    raw_close(&r, false);
    world_free(w);
}

static void test_requests(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct raw r;
    raw_open(w, &r);
    raw_puts(w, &r, GET("/query?a=b%20c&empty=&x"));
    UNTIL(w, raw_has(&r, "b c||(absent)|0"));
    raw_puts(w, &r, GET("/a%2fb%20c"));
    UNTIL(w, raw_has(&r, "No /a/b c."));
    rv_buf_clear(&r.in);
    raw_puts(w, &r, "HEAD /fd HTTP/1.1\r\nHost: x\r\n\r\n" GET("/fd"));
    UNTIL(w, raw_has(&r, "23456"));
    assert_true(raw_has(&r, "Content-Length: 5\r\n"));
    assert_true(strstr(r.in.data, "23456") > strstr(strstr(r.in.data, "HTTP/1.1") + 1, "HTTP/1.1"));
    rv_buf_clear(&r.in);
    raw_puts(w, &r, GET("/x%00y"));
    UNTIL(w, raw_has(&r, "400 Bad Request"));
    rv_buf_clear(&r.in);
    raw_puts(w, &r,
             "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    UNTIL(w, raw_has(&r, "HTTP/1.1 100 Continue\r\n\r\n"));
    raw_puts(w, &r, "hello");
    UNTIL(w, raw_has(&r, "\r\n\r\nhello"));
    assert_null(strstr(w->log.data, "HEAD"));
    raw_close(&r, false);
    world_free(w);
}

static void test_cors(void **state) {
    (void)state;
    struct rv_http_config config = {.cors_origins = "http://a.example, http://b.example"};
    struct world *w = world_new(&config);
    struct raw r;
    raw_open(w, &r);
    raw_puts(w, &r,
             "OPTIONS /echo HTTP/1.1\r\nHost: x\r\nOrigin: http://b.example\r\n"
             "Access-Control-Request-Method: POST\r\n\r\n");
    UNTIL(w, raw_has(&r, "\r\n\r\n"));
    assert_true(raw_has(&r, "HTTP/1.1 204 "));
    assert_true(raw_has(&r, "Access-Control-Allow-Origin: http://b.example\r\n"));
    assert_true(raw_has(&r, "Access-Control-Allow-Headers: Content-Type, Accept, Mesos-Stream-Id"));
    assert_true(raw_has(&r, "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"));
    assert_true(raw_has(&r, "Access-Control-Expose-Headers: Mesos-Stream-Id\r\n"));
    assert_true(raw_has(&r, "Vary: Origin\r\n"));
    assert_int_equal(w->log.n, 0);
    rv_buf_clear(&r.in);
    raw_puts(w, &r, "GET /q HTTP/1.1\r\nHost: x\r\nOrigin: http://c.example\r\n\r\n");
    UNTIL(w, raw_has(&r, "No /q."));
    assert_false(raw_has(&r, "Access-Control"));
    raw_close(&r, false);
    world_free(w);
}

static void expect_status(struct world *w, const char *request, size_t more, const char *status) {
    struct raw r;
    char *filler = malloc(more + 1);
    memset(filler, 'f', more);
    raw_open(w, &r);
    raw_puts(w, &r, request);
    raw_write(w, &r, rv_strn(filler, more));
    UNTIL(w, raw_has(&r, status) || raw_at_end(&r));
    if (!raw_has(&r, status))
        fail_msg("%.40s: %s", request, r.in.data ? r.in.data : "(closed)");
    raw_close(&r, false);
    free(filler);
}

static void test_limits(void **state) {
    (void)state;
    struct rv_http_config config = {.max_body = 100000};
    struct world *w = world_new(&config);
    expect_status(w, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", 100000,
                  "200 OK");
    expect_status(w, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n", 100001,
                  " 413 ");
    expect_status(w, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n", 0,
                  " 413 ");
    expect_status(w,
                  "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n"
                  "Expect: 100-continue\r\n\r\n",
                  0, " 413 ");
    struct rv_buf b = {0};
    rv_buf_puts(&b, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 30; i++) {
        rv_buf_puts(&b, "1000\r\n");
        for (int k = 0; k < 4096; k++)
            rv_buf_putc(&b, 'c');
        rv_buf_puts(&b, "\r\n");
    }
    rv_buf_puts(&b, "0\r\n\r\n");
    expect_status(w, b.data, 0, " 413 ");
    assert_int_equal(rv_http_server_counters(w->server).rejected, 4);
    rv_buf_clear(&b);
    rv_buf_puts(&b, "GET /echo HTTP/1.1\r\nHost: x\r\nX: ");
    expect_status(w, b.data, 200000, " 431 ");
    expect_status(w, "GET /", 200000, " 414 ");
    expect_status(w, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: nan\r\n\r\n", 0, " 400 ");
    expect_status(w,
                  "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "zz\r\n",
                  0, " 400 ");
    assert_int_equal(rv_http_server_counters(w->server).rejected, 8);
    rv_buf_free(&b);
    struct raw r;
    raw_open(w, &r);
    raw_puts(w, &r, "\x16\x03\x01nonsense\r\n\r\n");
    UNTIL(w, raw_at_end(&r));
    UNTIL(w, rv_http_server_counters(w->server).rejected == 9);
    raw_close(&r, false);
    world_free(w);
}

static void test_slow_senders(void **state) {
    (void)state;
    struct rv_http_config config = {.receive_timeout_s = 1, .idle_timeout_s = 3600};
    struct world *w = world_new(&config);
    const char *starts[] = {"G", "GET / HTTP/1.1\r\nHost:",
                            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
                            GET("/nowhere")};
    struct raw r[4], quiet, waiting, stream;
    raw_open(w, &quiet);
    raw_open(w, &waiting);
    raw_puts(w, &waiting, GET("/later"));
    raw_open(w, &stream);
    raw_puts(w, &stream, GET("/stream"));
    for (int i = 0; i < 4; i++) {
        raw_open(w, &r[i]);
        raw_puts(w, &r[i], starts[i]);
    }
    UNTIL(w, raw_has(&r[3], "404"));
    uint64_t later = uv_now(&w->loop) + 50; /* the kernel's clock for this is coarse */
    UNTIL(w, uv_now(&w->loop) > later);
    raw_puts(w, &r[3], "GE");
    for (int i = 0; i < 4; i++) {
        UNTIL(w, raw_at_end(&r[i]));
        raw_close(&r[i], false);
    }
    assert_int_equal(rv_http_server_counters(w->server).rejected, 4);
    assert_false(raw_at_end(&quiet)); /* has sent nothing */
    assert_false(raw_at_end(&waiting));
    assert_false(raw_at_end(&stream));
    rv_http_reply_text(w->pending[--w->n_pending], 200, "at last");
    UNTIL(w, raw_has(&waiting, "at last"));
    raw_close(&quiet, false);
    raw_close(&waiting, false);
    raw_close(&stream, false);
    world_free(w);
}

static void test_idle_and_stuck_connections(void **state) {
    (void)state;
    struct rv_http_config config = {.idle_timeout_s = 1, .max_body = 64 << 20};
    struct world *w = world_new(&config);
    struct raw quiet, used, stuck, stream;
    raw_open(w, &stream);
    raw_puts(w, &stream, GET("/stream"));
    raw_open(w, &quiet);
    raw_open(w, &used);
    raw_puts(w, &used, GET("/nowhere"));
    UNTIL(w, raw_has(&used, "No /nowhere."));
    /* Asks for much and does not read it. */
    size_t n = 32 << 20;
    char *bytes = calloc(1, n);
    raw_open(w, &stuck);
    raw_puts(w, &stuck, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 33554432\r\n\r\n");
    raw_write(w, &stuck, rv_strn(bytes, n));
    free(bytes);
    UNTIL(w, raw_at_end(&quiet));
    UNTIL(w, raw_at_end(&used));
    /* Nothing was read of the answer, so its end is only seen by writing. */
    UNTIL(w, send(stuck.fd, "x", 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN);
    assert_false(w->streams.v[0]->closed);
    raw_close(&quiet, false);
    raw_close(&used, false);
    raw_close(&stuck, true);
    raw_close(&stream, false);
    world_free(w);
}

static void test_connection_limit(void **state) {
    (void)state;
    struct rv_http_config config = {.max_connections = 2};
    struct world *w = world_new(&config);
    struct raw r[3];
    for (int i = 0; i < 3; i++) {
        raw_open(w, &r[i]); /* the third waits in the kernel */
        raw_puts(w, &r[i], GET("/nowhere"));
    }
    UNTIL(w, raw_has(&r[0], "404") && raw_has(&r[1], "404"));
    for (int i = 0; i < 20; i++)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_false(raw_has(&r[2], "404"));
    raw_close(&r[0], false);
    UNTIL(w, raw_has(&r[2], "404"));
    raw_close(&r[1], false);
    raw_close(&r[2], false);
    world_free(w);
}

static void test_no_descriptors_left(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct raw r[2];
    struct rlimit old, tight;
    for (int i = 0; i < 2; i++) {
        raw_open(w, &r[i]);
        raw_puts(w, &r[i], GET("/nowhere"));
        if (i == 0) {
            UNTIL(w, raw_has(&r[0], "404"));
            getrlimit(RLIMIT_NOFILE, &old);
        } else {
            int next = dup(0);
            close(next);
            tight = (struct rlimit){(rlim_t)next, old.rlim_max};
        }
    }
    /* It was accepted meanwhile perhaps: a third one surely is not. */
    UNTIL(w, raw_has(&r[1], "404"));
    struct raw third;
    raw_open(w, &third);
    int next = dup(0);
    close(next);
    tight.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    raw_puts(w, &third, GET("/nowhere"));
    unsigned rounds = 0;
    uint64_t until = uv_now(&w->loop) + 100;
    uv_timer_stop(&w->tick);
    uv_timer_start(&w->tick, on_tick, 50, 50);
    for (; uv_now(&w->loop) < until; rounds++)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_true(rounds < 50); /* it sleeps */
    assert_false(raw_has(&third, "404"));
    raw_puts(w, &r[0], GET("/again"));
    UNTIL(w, raw_has(&r[0], "No /again."));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    UNTIL(w, raw_has(&third, "404"));
    for (int i = 0; i < 2; i++)
        raw_close(&r[i], false);
    raw_close(&third, false);
    world_free(w);
}

/* With a connection in every state that waits for its client, nothing spins. */
static void test_loop_sleeps(void **state) {
    (void)state;
    struct rv_http_config config = {.max_body = 64 << 20};
    struct world *w = world_new(&config);
    const char *starts[] = {"",
                            "GE",
                            "GET / HTTP/1.1\r\nHost:",
                            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
                            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
                            "Expect: 100-continue\r\n\r\n",
                            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5",
                            GET("/nowhere"),
                            GET("/later"),
                            GET("/stream"),
                            GET("/stream"),
                            GET("/stream"),
                            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 33554432\r\n\r\n"};
    enum { N = RV_COUNT(starts) };
    struct raw r[N];
    for (int i = 0; i < N; i++) {
        raw_open(w, &r[i]);
        raw_puts(w, &r[i], starts[i]);
    }
    size_t n = 32 << 20;
    char *bytes = calloc(1, n);
    raw_write(w, &r[N - 1], rv_strn(bytes, n));
    UNTIL(w, w->streams.n == 3 && w->n_pending == 1 && raw_has(&r[8], "\r\n\r\n"));
    struct rv_blob *b = rv_blob_new(bytes, n);
    assert_int_equal(rv_http_stream_send(w->streams.v[1]->stream, b), 0); /* more than fits */
    assert_int_equal(rv_http_stream_send(w->streams.v[2]->stream, b), 0);
    rv_http_stream_end(TAKE_PTR(w->streams.v[2]->stream));
    rv_blob_unref(b);
    free(bytes);
    for (int i = 0; i < 50; i++)
        uv_run(&w->loop, UV_RUN_ONCE);
    unsigned rounds = 0;
    uint64_t until = uv_now(&w->loop) + 200;
    uv_timer_start(&w->tick, on_tick, 50, 50);
    for (; uv_now(&w->loop) < until; rounds++)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_true(rounds < 50);
    for (int i = 0; i < N; i++)
        raw_close(&r[i], i % 2);
    UNTIL(w, w->n_closed == 2 && w->n_abandoned == 1);
    world_free(w);
}

/* The client */

struct result {
    struct rv_buf heads, body;
    int done, result, status;
    int order;
    bool refuse_head;
    struct rv_error err;
    char header[64];
};
static int next_order;

static bool on_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    struct result *r = ctx;
    const char *id = rv_http1_header(headers, n, "mesos-stream-id");
    rv_buf_printf(&r->heads, "%d %s\n", status, id ? id : "-");
    return !r->refuse_head;
}

static void on_body(void *ctx, struct rv_str bytes) {
    struct result *r = ctx;
    rv_buf_append(&r->body, bytes.s, bytes.n);
}

static void on_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                    size_t n, struct rv_str body, const struct rv_error *err) {
    struct result *r = ctx;
    const char *type = result == 0 ? rv_http1_header(headers, n, "Content-Type") : NULL;
    snprintf(r->header, sizeof r->header, "%s", type ? type : "");
    r->done++;
    r->order = ++next_order;
    r->result = result;
    r->status = status;
    if (body.n > 0)
        rv_buf_append(&r->body, body.s, body.n);
    if (result < 0)
        r->err = *err;
}

static const struct rv_http_call_handler collect = {NULL, NULL, on_done};
static const struct rv_http_call_handler streaming = {on_head, on_body, on_done};

static struct rv_http_client *client_to(struct world *w, const char *host, uint16_t port,
                                        unsigned connections) {
    struct rv_http_client_config config = {
        .host = host, .port = port, .max_connections = connections};
    return rv_http_client_new(&w->loop, &config);
}

static void result_free(struct result *r) {
    rv_buf_free(&r->heads);
    rv_buf_free(&r->body);
}

static void test_client_order(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct rv_http_client *c = client_to(w, "127.0.0.1", rv_http_server_port(w->server), 1);
    struct result r[20] = {0};
    for (int i = 0; i < 20; i++) {
        char text[32];
        snprintf(text, sizeof text, "call %d", i);
        rv_http_client_call(c, "POST", i == 3 ? "/later" : "/echo", "X-A: b\r\n", rv_str(text),
                            false, &collect, &r[i]);
    }
    UNTIL(w, w->n_pending == 1);
    assert_int_equal(r[2].done, 1);
    assert_int_equal(r[4].done, 0);
    rv_http_reply_text(w->pending[--w->n_pending], 202, "later");
    UNTIL(w, r[19].done);
    for (int i = 0; i < 20; i++) {
        char text[32];
        snprintf(text, sizeof text, "call %d", i);
        assert_int_equal(r[i].done, 1);
        assert_int_equal(r[i].result, 0);
        assert_int_equal(r[i].status, i == 3 ? 202 : 200);
        assert_string_equal(r[i].body.data, i == 3 ? "later" : text);
        if (i > 0)
            assert_int_equal(r[i].order, r[i - 1].order + 1);
        result_free(&r[i]);
    }
    assert_string_equal(r[0].header, "application/octet-stream");
    assert_int_equal(rv_http_server_counters(w->server).connections, 1);
    rv_http_client_free(c);
    world_free(w);
}

static void test_client_stream(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct rv_http_client *c = client_to(w, "localhost", rv_http_server_port(w->server), 1);
    struct result a = {0}, b = {0}, echo = {0}, refused = {.refuse_head = true};
    struct rv_http_call *call =
        rv_http_client_call(c, "POST", "/stream", NULL, RV_STR("{}"), true, &streaming, &a);
    UNTIL(w, w->streams.n == 1 && a.heads.n > 0);
    assert_string_equal(a.heads.data, "200 abc\n");
    send_text(w->streams.v[0]->stream, "one");
    UNTIL(w, a.body.n == 3);
    rv_http_client_call(c, "POST", "/echo", NULL, RV_STR("beside"), false, &collect, &echo);
    UNTIL(w, echo.done);
    assert_string_equal(echo.body.data, "beside");
    rv_http_call_cancel(call);
    UNTIL(w, w->n_closed == 1); /* the server sees it */
    assert_int_equal(a.done, 0);

    rv_http_client_call(c, "GET", "/stream", NULL, RV_STR(""), true, &streaming, &b);
    UNTIL(w, w->streams.n == 2);
    send_text(w->streams.v[1]->stream, "two");
    rv_http_stream_end(TAKE_PTR(w->streams.v[1]->stream));
    UNTIL(w, b.done);
    assert_int_equal(b.result, 0);
    assert_string_equal(b.body.data, "two");

    rv_http_client_call(c, "GET", "/stream", NULL, RV_STR(""), true, &streaming, &refused);
    UNTIL(w, refused.done);
    assert_int_equal(refused.result, -RV_ERR_CONFLICT);
    UNTIL(w, w->n_closed == 2);
    rv_http_client_free(c);
    result_free(&a);
    result_free(&b);
    result_free(&echo);
    result_free(&refused);
    world_free(w);
}

static void test_client_sees_server_end(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct rv_http_client *c = client_to(w, "127.0.0.1", rv_http_server_port(w->server), 1);
    struct result stream = {0}, later = {0}, queued = {0};
    rv_http_client_call(c, "GET", "/stream", NULL, RV_STR(""), true, &streaming, &stream);
    rv_http_client_call(c, "GET", "/later", NULL, RV_STR(""), false, &collect, &later);
    rv_http_client_call(c, "GET", "/later", NULL, RV_STR(""), false, &collect, &queued);
    UNTIL(w, stream.heads.n > 0 && w->n_pending == 1);
    w->server = rv_http_server_stop(w->server);
    UNTIL(w, stream.done && later.done && queued.done);
    assert_int_equal(stream.result, -RV_ERR_CLOSED);
    assert_int_equal(later.result, -RV_ERR_CLOSED);
    assert_int_equal(queued.result, -RV_ERR_IO); /* refused */
    assert_int_equal(w->n_closed, 1);
    rv_http_client_free(c);
    result_free(&stream);
    world_free(w);
}

static void test_client_retries_on_stale_connection(void **state) {
    (void)state;
    struct rv_http_config config = {.idle_timeout_s = 1};
    struct world *w = world_new(&config);
    /* A server of our own that closes a kept connection after it has read the second request. */
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof addr;
    bind(listener, (struct sockaddr *)&addr, sizeof addr);
    listen(listener, 8);
    getsockname(listener, (struct sockaddr *)&addr, &size);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    struct rv_http_client *c = client_to(w, "127.0.0.1", ntohs(addr.sin_port), 1);
    struct result r[3] = {0};
    struct raw s = {.fd = -1};
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";

    rv_http_client_call(c, "POST", "/1", NULL, RV_STR("a"), false, &collect, &r[0]);
    UNTIL(w, (s.fd = accept(listener, NULL, NULL)) >= 0);
    fcntl(s.fd, F_SETFL, O_NONBLOCK);
    UNTIL(w, raw_has(&s, "POST /1 "));
    raw_puts(w, &s, ok);
    raw_puts(w, &s, "1");
    UNTIL(w, r[0].done);
    rv_http_client_call(c, "POST", "/2", NULL, RV_STR("b"), false, &collect, &r[1]);
    rv_http_client_call(c, "POST", "/3", NULL, RV_STR("c"), false, &collect, &r[2]);
    UNTIL(w, raw_has(&s, "POST /2 "));
    raw_close(&s, false); /* no byte of an answer: sent again, ahead of the third */
    s = (struct raw){.fd = -1};
    UNTIL(w, (s.fd = accept(listener, NULL, NULL)) >= 0);
    fcntl(s.fd, F_SETFL, O_NONBLOCK);
    UNTIL(w, raw_has(&s, "POST /2 "));
    raw_puts(w, &s, "HTTP/1.1 200 OK\r\n\r\nuntil the end");
    UNTIL(w, (uv_run(&w->loop, UV_RUN_NOWAIT), true));
    raw_close(&s, false);
    s = (struct raw){.fd = -1};
    UNTIL(w, r[1].done);
    assert_int_equal(r[1].result, 0);
    assert_string_equal(r[1].body.data, "until the end");
    UNTIL(w, (s.fd = accept(listener, NULL, NULL)) >= 0);
    fcntl(s.fd, F_SETFL, O_NONBLOCK);
    UNTIL(w, raw_has(&s, "POST /3 "));
    raw_puts(w, &s, "HTTP/1.1 200 OK\r\nContent-Le"); /* bytes have come: not again */
    UNTIL(w, (uv_run(&w->loop, UV_RUN_NOWAIT), true));
    raw_close(&s, false);
    UNTIL(w, r[2].done);
    assert_int_equal(r[2].result, -RV_ERR_CLOSED);
    close(listener);
    for (int i = 0; i < 3; i++)
        result_free(&r[i]);
    rv_http_client_free(c);
    world_free(w);
}

static void test_client_errors(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    uint16_t port = rv_http_server_port(w->server);
    struct rv_http_client_config config = {
        .host = "127.0.0.1", .port = port, .call_timeout_ms = 20};
    struct rv_http_client *c = rv_http_client_new(&w->loop, &config);
    struct result late = {0}, next = {0}, unknown = {0}, closed[3] = {0};
    rv_http_client_call(c, "GET", "/later", NULL, RV_STR(""), false, &collect, &late);
    rv_http_client_call(c, "GET", "/query?a=1", NULL, RV_STR(""), false, &collect, &next);
    UNTIL(w, next.done);
    assert_int_equal(late.result, -RV_ERR_TIMEOUT);
    assert_int_equal(next.result, 0);
    UNTIL(w, w->n_abandoned == 1);
    rv_http_client_free(c);

    c = client_to(w, "no-such-host.invalid", 80, 1);
    rv_http_client_call(c, "GET", "/", NULL, RV_STR(""), false, &collect, &unknown);
    UNTIL(w, unknown.done);
    assert_int_equal(unknown.result, -RV_ERR_IO);
    rv_http_client_free(c);

    c = client_to(w, "127.0.0.1", port, 1);
    rv_http_client_call(c, "GET", "/later", NULL, RV_STR(""), false, &collect, &closed[0]);
    rv_http_client_call(c, "GET", "/later", NULL, RV_STR(""), false, &collect, &closed[1]);
    rv_http_client_call(c, "GET", "/later", NULL, RV_STR(""), true, &streaming, &closed[2]);
    struct result gone = {0};
    struct rv_http_call *queued =
        rv_http_client_call(c, "GET", "/later", NULL, RV_STR(""), false, &collect, &gone);
    rv_http_call_cancel(queued);
    UNTIL(w, w->n_pending == 2);
    rv_http_client_free(c);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(closed[i].done, 1);
        assert_int_equal(closed[i].result, -RV_ERR_CLOSED);
    }
    assert_int_equal(gone.done, 0);
    UNTIL(w, w->n_pending == 0);
    result_free(&next);
    world_free(w);
}

/* Does what a callback must be able to do. */
struct inside {
    struct world *w;
    struct rv_http_client *client;
    struct rv_http_call *call;
    const char *where;
    int n_done;
};

static void act(struct inside *in, const char *where) {
    if (!rv_streq(in->where, where))
        return;
    if (in->call)
        rv_http_call_cancel(TAKE_PTR(in->call));
    else
        in->client = rv_http_client_free(in->client);
}

static bool inside_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    (void)status, (void)headers, (void)n;
    act(ctx, "head");
    return true;
}

static void inside_body(void *ctx, struct rv_str bytes) {
    (void)bytes;
    act(ctx, "body");
}

static void inside_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                        size_t n, struct rv_str body, const struct rv_error *err) {
    struct inside *in = ctx;
    (void)result, (void)status, (void)headers, (void)n, (void)body, (void)err;
    in->n_done++;
    act(in, "done");
}

static void test_client_acts_inside_callbacks(void **state) {
    (void)state;
    static const struct rv_http_call_handler handler_inside = {inside_head, inside_body,
                                                               inside_done};
    static const char *const wheres[] = {"head", "body", "done"};
    struct world *w = world_new(NULL);
    for (unsigned i = 0; i < 6; i++) {
        bool cancels = i >= 3;
        struct inside in = {.w = w, .where = wheres[i % 3]};
        struct result queued = {0};
        unsigned streams = (unsigned)w->streams.n, closed = w->n_closed;
        in.client = client_to(w, "127.0.0.1", rv_http_server_port(w->server), 1);
        struct rv_http_call *call = rv_http_client_call(in.client, "GET", "/stream", NULL,
                                                        RV_STR(""), true, &handler_inside, &in);
        rv_http_client_call(in.client, "GET", "/later", NULL, RV_STR(""), false, &collect, &queued);
        if (cancels && i != 5)
            in.call = call;
        UNTIL(w, w->streams.n == streams + 1 && w->n_pending == 1);
        if (w->streams.v[streams]->stream)
            send_text(w->streams.v[streams]->stream, "x");
        if (rv_streq(in.where, "done"))
            rv_http_stream_end(TAKE_PTR(w->streams.v[streams]->stream));
        else
            UNTIL(w, w->n_closed == closed + 1);
        UNTIL(w, in.n_done == 1 || cancels);
        if (i == 5)
            UNTIL(w, in.n_done == 1);
        assert_int_equal(queued.done, in.client ? 0 : 1);
        in.where = "";
        rv_http_client_free(in.client);
        UNTIL(w, w->n_pending == 0);
    }
    world_free(w);
}

static void test_client_in_parallel(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct rv_http_client *c = client_to(w, "127.0.0.1", rv_http_server_port(w->server), 4);
    struct result r[8] = {0};
    for (int i = 0; i < 8; i++)
        rv_http_client_call(c, "GET", "/later", NULL, RV_STR(""), false, &collect, &r[i]);
    UNTIL(w, w->n_pending == 4);
    for (int round = 0; round < 2; round++) {
        UNTIL(w, w->n_pending == 4);
        while (w->n_pending > 0)
            rv_http_reply_text(w->pending[--w->n_pending], 200, "ok");
    }
    UNTIL(w, r[4].done && r[5].done && r[6].done && r[7].done);
    assert_int_equal(rv_http_server_counters(w->server).connections, 4);
    for (int i = 0; i < 8; i++)
        result_free(&r[i]);
    rv_http_client_free(c);
    world_free(w);
}

#define TAKE_CHUNKED "POST /take HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

static void test_body_is_taken_as_it_comes(void **state) {
    struct world *w = taking_world();
    struct raw r;
    (void)state;
    raw_open(w, &r);
    raw_puts(w, &r, TAKE_CHUNKED "5\r\nfirst\r\n");
    UNTIL(w, w->taken.n == 5);
    assert_int_equal(w->n_ended, 0);
    raw_puts(w, &r, "6\r\nsecond\r\n");
    UNTIL(w, w->taken.n == 11);
    raw_puts(w, &r, "0\r\n\r\n");
    UNTIL(w, raw_has(&r, "took 11"));
    assert_int_equal(w->n_ended, 1);
    raw_puts(w, &r, GET("/query?a=1&empty=")); /* the connection lives on */
    UNTIL(w, raw_has(&r, "1||(absent)"));
    raw_close(&r, false);
    rv_buf_free(&w->taken);
    world_free(w);
}

/* More than max_body, with no room for a while: nothing is lost and nothing piles up. */
static void test_body_waits_for_room(void **state) {
    enum { PIECE = 1000, PIECES = 300 };
    struct world *w = taking_world();
    struct raw r;
    char piece[PIECE + 16];
    (void)state;
    w->room = 0;
    raw_open(w, &r);
    raw_puts(w, &r, TAKE_CHUNKED);
    UNTIL(w, w->taking);
    for (int i = 0; i < PIECES; i++) {
        int n = snprintf(piece, sizeof piece, "%x\r\n%0*d\r\n", PIECE, PIECE, i);
        raw_write(w, &r, rv_strn(piece, (size_t)n));
        if (i == 100)
            assert_int_equal(w->taken.n, 0);
        if (i == 200) { /* by now only a kernel's buffers hold it */
            w->room = 12345;
            rv_http_body_more(w->taking);
            UNTIL(w, w->taken.n == 12345);
            w->room = SIZE_MAX;
            rv_http_body_more(w->taking);
        }
    }
    raw_puts(w, &r, "0\r\n\r\n");
    UNTIL(w, raw_has(&r, "took 300000"));
    for (int i = 0; i < PIECES; i++) {
        snprintf(piece, sizeof piece, "%0*d", PIECE, i);
        assert_memory_equal(w->taken.data + (size_t)i * PIECE, piece, PIECE);
    }
    raw_close(&r, false);
    rv_buf_free(&w->taken);
    world_free(w);
}

static void test_body_is_answered_early(void **state) {
    struct world *w = taking_world();
    struct raw r;
    (void)state;
    raw_open(w, &r);
    raw_puts(w, &r, TAKE_CHUNKED "6\r\nstop i\r\n");
    UNTIL(w, raw_has(&r, "enough"));
    assert_true(raw_has(&r, "HTTP/1.1 409 Conflict\r\nConnection: close\r\n"));
    raw_puts(w, &r, "3\r\nt!!\r\n0\r\n\r\n");
    UNTIL(w, raw_at_end(&r));
    assert_int_equal(w->n_ended, 0);
    assert_int_equal(w->n_abandoned, 0);
    raw_close(&r, false);
    rv_buf_clear(&w->taken);
    /* Held back, and answered from elsewhere. */
    w->room = 2;
    raw_open(w, &r);
    raw_puts(w, &r, TAKE_CHUNKED "6\r\nabcdef\r\n");
    UNTIL(w, w->taken.n == 2);
    rv_http_reply_text(TAKE_PTR(w->taking), 200, "done");
    UNTIL(w, raw_has(&r, "done"));
    raw_close(&r, false);
    rv_buf_free(&w->taken);
    world_free(w);
}

static void test_body_client_goes_away(void **state) {
    struct world *w = taking_world();
    struct raw r;
    (void)state;
    raw_open(w, &r);
    raw_puts(w, &r, TAKE_CHUNKED "5\r\nfirst\r\n");
    UNTIL(w, w->taken.n == 5);
    raw_close(&r, false);
    UNTIL(w, w->n_abandoned == 1);
    assert_null(w->taking);
    w->room = 0; /* the same while it is held back */
    raw_open(w, &r);
    raw_puts(w, &r, TAKE_CHUNKED "5\r\nfirst\r\n");
    UNTIL(w, w->taking);
    for (int i = 0; i < 20; i++)
        uv_run(&w->loop, UV_RUN_ONCE);
    raw_close(&r, true);
    UNTIL(w, w->n_abandoned == 2);
    /* And a server that stops meanwhile. */
    raw_open(w, &r);
    raw_puts(w, &r, TAKE_CHUNKED "5\r\nfirst\r\n");
    UNTIL(w, w->taking);
    for (int i = 0; i < 20; i++)
        uv_run(&w->loop, UV_RUN_ONCE);
    rv_buf_free(&w->taken);
    world_free(w);
    raw_close(&r, false);
}

static void test_start_fails_cleanly(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct rv_http_server *other = NULL;
    struct rv_error err;
    struct rv_http_config config = {.port = rv_http_server_port(w->server)};
    assert_int_equal(rv_http_server_start(&w->loop, &config, handler, w, &other, &err), -RV_ERR_IO);
    config = (struct rv_http_config){.ip = "nonsense"};
    assert_int_equal(rv_http_server_start(&w->loop, &config, handler, w, &other, &err),
                     -RV_ERR_INVALID);
    assert_null(other);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks_are_exact),
        cmocka_unit_test(test_http_1_0_stream_has_no_chunks),
        cmocka_unit_test(test_thousand_streams),
        cmocka_unit_test(test_client_close_is_seen),
        cmocka_unit_test(test_stop_inside_handler),
        cmocka_unit_test(test_backlog_cuts_one),
        cmocka_unit_test(test_keep_alive_and_pipelining),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_cors),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_slow_senders),
        cmocka_unit_test(test_idle_and_stuck_connections),
        cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_no_descriptors_left),
        cmocka_unit_test(test_loop_sleeps),
        cmocka_unit_test(test_client_order),
        cmocka_unit_test(test_client_stream),
        cmocka_unit_test(test_client_sees_server_end),
        cmocka_unit_test(test_client_retries_on_stale_connection),
        cmocka_unit_test(test_client_errors),
        cmocka_unit_test(test_client_acts_inside_callbacks),
        cmocka_unit_test(test_client_in_parallel),
        cmocka_unit_test(test_body_is_taken_as_it_comes),
        cmocka_unit_test(test_body_waits_for_room),
        cmocka_unit_test(test_body_is_answered_early),
        cmocka_unit_test(test_body_client_goes_away),
        cmocka_unit_test(test_start_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
