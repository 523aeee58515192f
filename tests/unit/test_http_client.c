/* The HTTP client, against our server and what is worse. */
#include "http_world.h"

#include "io/http_client.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_order),
        cmocka_unit_test(test_client_stream),
        cmocka_unit_test(test_client_sees_server_end),
        cmocka_unit_test(test_client_retries_on_stale_connection),
        cmocka_unit_test(test_client_errors),
        cmocka_unit_test(test_client_acts_inside_callbacks),
        cmocka_unit_test(test_client_in_parallel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
