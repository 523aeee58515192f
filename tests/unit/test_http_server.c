/* The HTTP server: requests, limits, streams, bodies as they come. */
#include "http_world.h"

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

/* How a large first event goes out: what is sent while it is made follows it. */
static void count_call(void *ctx) {
    ++*(unsigned *)ctx;
}

static struct rv_http_stream *held_stream(struct world *w, struct raw *r) {
    raw_open(w, r);
    raw_puts(w, r, GET("/stream"));
    UNTIL(w, raw_has(r, "\r\n\r\n"));
    rv_buf_clear(&r->in);
    struct rv_http_stream *s = w->streams.v[w->streams.n - 1]->stream;
    rv_http_stream_hold(s);
    return s;
}

static void test_held_stream_begins_with_its_release(void **state) {
    (void)state;
    struct world *w = world_new(NULL);
    struct raw r;
    unsigned done = 0;
    struct rv_http_stream *s = held_stream(w, &r);
    send_text(s, "too early");
    rv_http_stream_hold(s); /* drops it */
    send_text(s, "second");
    for (int i = 0; i < 20; i++)
        uv_run(&w->loop, UV_RUN_ONCE);
    raw_read(&r);
    assert_int_equal(r.in.n, 0);
    assert_int_equal(rv_http_stream_backlog(s), strlen("second"));
    rv_http_stream_release(s, RV_STR("5\n"), RV_STR("first"), count_call, &done);
    send_text(s, "third");
    UNTIL(w, raw_has(&r, "third\r\n"));
    assert_string_equal(r.in.data, "7\r\n5\nfirst\r\n6\r\nsecond\r\n5\r\nthird\r\n");
    assert_int_equal(done, 1);

    /* One that ends before has nothing to say. */
    raw_close(&r, false);
    s = held_stream(w, &r);
    send_text(s, "never");
    rv_http_stream_end(s);
    w->streams.v[1]->stream = NULL;
    UNTIL(w, raw_has(&r, "0\r\n\r\n"));
    assert_string_equal(r.in.data, "0\r\n\r\n");
    raw_close(&r, false);
    world_free(w);
}

static void test_released_chunk_is_beside_the_backlog(void **state) {
    (void)state;
    struct rv_http_config config = {.max_backlog = 100, .idle_timeout_s = 1};
    struct world *w = world_new(&config);
    struct raw good, slow, cut;
    unsigned done = 0;
    size_t n = 32 << 20; /* more than the kernel takes */
    char *bytes = calloc(1, n);

    struct rv_http_stream *s = held_stream(w, &good);
    rv_http_stream_release(s, RV_STR("x\n"), rv_strn(bytes, n), count_call, &done);
    send_text(s, "after it");
    UNTIL(w, raw_has(&good, "after it"));
    assert_int_equal(done, 1);
    assert_true(w->streams.v[0]->stream == s);

    /* Who does not take it is cut off, as with an answer. */
    s = held_stream(w, &slow);
    rv_http_stream_release(s, RV_STR("x\n"), rv_strn(bytes, n), count_call, &done);
    UNTIL(w, w->streams.v[1]->closed);
    assert_int_equal(done, 2);

    /* And who is over its backlog already is told nothing more. */
    s = held_stream(w, &cut);
    struct rv_blob *b = rv_blob_new(bytes, 60);
    assert_int_equal(rv_http_stream_send(s, b), 0);
    assert_int_equal(rv_http_stream_send(s, b), -RV_ERR_LIMIT);
    rv_http_stream_release(s, RV_STR("x\n"), rv_strn(bytes, n), count_call, &done);
    assert_int_equal(done, 3);
    UNTIL(w, w->streams.v[2]->closed);
    rv_blob_unref(b);
    raw_close(&good, false);
    raw_close(&slow, false);
    raw_close(&cut, false);
    free(bytes);
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
        cmocka_unit_test(test_held_stream_begins_with_its_release),
        cmocka_unit_test(test_released_chunk_is_beside_the_backlog),
        cmocka_unit_test(test_keep_alive_and_pipelining),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_cors),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_slow_senders),
        cmocka_unit_test(test_idle_and_stuck_connections),
        cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_no_descriptors_left),
        cmocka_unit_test(test_loop_sleeps),
        cmocka_unit_test(test_body_is_taken_as_it_comes),
        cmocka_unit_test(test_body_waits_for_room),
        cmocka_unit_test(test_body_is_answered_early),
        cmocka_unit_test(test_body_client_goes_away),
        cmocka_unit_test(test_start_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
