/*
 * The world around the HTTP server, for its tests and the client's: one server over real loopback
 * sockets whose handler does what the path says, and a raw client, all in one loop. Waits are for
 * conditions.
 */
#ifndef RV_TESTS_HTTP_WORLD_H
#define RV_TESTS_HTTP_WORLD_H

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
#include "io/http_server.h"

struct stream_at {
    struct world *world;
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

static inline void on_tick(uv_timer_t *t) {
    (void)t;
}

static inline void on_abandoned(void *data, struct rv_http_request *req) {
    struct world *w = data;
    w->n_abandoned++;
    for (unsigned i = 0; i < w->n_pending; i++)
        if (w->pending[i] == req)
            w->pending[i] = w->pending[--w->n_pending];
    assert_string_equal(rv_http_path(req), "/later"); /* still valid */
    assert_non_null(rv_http_header(req, "Host"));
    rv_http_reply_text(req, 200, "too late");
}

static inline void on_stream_close(void *ctx) {
    struct stream_at *at = ctx;
    assert_false(at->closed);
    at->closed = true;
    at->stream = NULL;
    at->world->n_closed++;
}

static inline void handle_stream(struct world *w, struct rv_http_request *req) {
    static const char *const headers[] = {"Mesos-Stream-Id", "abc", NULL};
    struct stream_at *at = rv_calloc(1, sizeof *at);
    at->world = w;
    rv_vec_push(&w->streams, at);
    at->stream =
        rv_http_stream_start(req, 200, "application/recordio", headers, on_stream_close, at);
}

static inline void handler(void *ctx, struct rv_http_request *req) {
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

static inline struct world *world_new(const struct rv_http_config *given) {
    struct rv_http_config config = given ? *given : (struct rv_http_config){0};
    struct world *w = rv_calloc(1, sizeof *w);
    struct rv_error err;
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&w->loop);
    uv_timer_init(&w->loop, &w->tick);
    uv_timer_start(&w->tick, on_tick, 2, 2);
    if (rv_http_server_start(&w->loop, &config, handler, w, &w->server, &err) < 0)
        fail_msg("%s", err.message);
    return w;
}

static inline void world_free(struct world *w) {
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
static inline void on_taking_abandoned(void *data, struct rv_http_request *req) {
    struct world *w = data;
    assert_ptr_equal(w->taking, req);
    w->taking = NULL;
    w->n_abandoned++;
}

static inline bool wants_body(void *ctx, struct rv_http_request *req) {
    struct world *w = ctx;
    if (!rv_streq(rv_http_path(req), "/take"))
        return false;
    rv_http_set_data(req, w, on_taking_abandoned);
    w->taking = req;
    return true;
}

static inline size_t on_body_data(void *ctx, struct rv_http_request *req, struct rv_str piece) {
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

static inline void on_body_end(void *ctx, struct rv_http_request *req) {
    struct world *w = ctx;
    w->n_ended++;
    w->taking = NULL;
    rv_http_reply_text(req, 200, "took %zu", w->taken.n);
}

static inline struct world *taking_world(void) {
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

static inline void raw_open(struct world *w, struct raw *r) {
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(rv_http_server_port(w->server)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memset(r, 0, sizeof *r);
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(r->fd >= 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&addr, sizeof addr), 0);
    fcntl(r->fd, F_SETFL, O_NONBLOCK);
}

static inline void raw_write(struct world *w, struct raw *r, struct rv_str bytes) {
    while (bytes.n > 0) {
        ssize_t n = send(r->fd, bytes.s, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* the server has closed: what it said can still be read */
        if (n > 0)
            bytes = rv_strn(bytes.s + n, bytes.n - (size_t)n);
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
}

static inline void raw_puts(struct world *w, struct raw *r, const char *s) {
    raw_write(w, r, rv_str(s));
}

static inline void raw_read(struct raw *r) {
    char bytes[65536];
    ssize_t n;
    while ((n = recv(r->fd, bytes, sizeof bytes, 0)) > 0)
        rv_buf_append(&r->in, bytes, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        r->ended = true;
}

static inline bool raw_has(struct raw *r, const char *s) {
    raw_read(r);
    return r->in.n > 0 && memmem(r->in.data, r->in.n, s, strlen(s));
}

static inline bool raw_at_end(struct raw *r) {
    raw_read(r);
    return r->ended;
}

static inline void raw_close(struct raw *r, bool reset) {
    struct linger linger = {1, 0};
    if (reset)
        setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(r->fd);
    rv_buf_free(&r->in);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static inline void send_text(struct rv_http_stream *s, const char *text) {
    struct rv_blob *b = rv_blob_new(text, strlen(text));
    assert_int_equal(rv_http_stream_send(s, b), 0);
    rv_blob_unref(b);
}

#endif
