/*
 * Bytes of a client to the real HTTP server over a socket pair, with short limits. The first byte
 * says in what pieces they arrive. After each input the connection must be gone, every handle
 * answered and every stream closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/http_internal.h"

#define ROUNDS 10000

static uv_loop_t loop;
static struct rv_http_server *server;
static unsigned n_open; /* streams */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_abandoned(void *data, struct rv_http_request *req) {
    (void)data;
    rv_http_reply_text(req, 200, "for %s", rv_http_path(req));
}

static void on_close(void *ctx) {
    (void)ctx;
    n_open--;
}

static void handler(void *ctx, struct rv_http_request *req) {
    const char *path = rv_http_path(req);
    (void)ctx;
    RV_ASSERT(rv_http_body(req).n <= 4096);
    (void)rv_http_query(req, "a");
    (void)rv_http_header(req, "Content-Type");
    (void)rv_http_peer(req);
    if (rv_streq(path, "/later")) {
        rv_http_set_data(req, NULL, on_abandoned);
    } else if (rv_streq(path, "/stream")) {
        struct rv_blob *blob = rv_blob_new("5\nhello", 7);
        n_open++;
        struct rv_http_stream *s = rv_http_stream_start(req, 200, NULL, NULL, on_close, NULL);
        RV_ASSERT(rv_http_stream_send(s, blob) == 0);
        rv_blob_unref(blob);
        if (rv_http_query(req, "end")) {
            n_open--;
            rv_http_stream_end(s);
        }
    } else {
        rv_http_reply(req, 200, "text/plain", rv_http_body(req), NULL);
    }
}

static void start(void) {
    struct rv_http_config config = {
        .max_body = 4096, .max_header = 4096, .max_backlog = 4096, .cors_origins = "http://a"};
    struct rv_error err;
    signal(SIGPIPE, SIG_IGN);
    RV_ASSERT(uv_loop_init(&loop) == 0);
    RV_ASSERT(rv_http_server_start(&loop, &config, handler, NULL, &server, &err) == 0);
}

static void drain(int fd) {
    char bytes[65536];
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int fds[2];
    if (!server)
        start();
    if (size == 0)
        return 0;
    size_t piece = data[0] ? data[0] * 16u : size;
    data++, size--;
    RV_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    RV_ASSERT(http_server_adopt(server, fds[0], NULL) == 0);
    /* What follows the request for a stream is not read: sending it comes to no end. */
    for (int i = 0; i < ROUNDS && size > 0; i++) {
        ssize_t n = send(fds[1], data, RV_MIN(piece, size), MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            break;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
        uv_run(&loop, UV_RUN_NOWAIT);
        drain(fds[1]);
    }
    for (int i = 0; i < 3; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        drain(fds[1]);
    }
    close(fds[1]);
    for (int i = 0; i < ROUNDS && server->n_connections > 0; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    RV_ASSERT(server->n_connections == 0);
    RV_ASSERT(n_open == 0);
    return 0;
}
