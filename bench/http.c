/*
 * What the HTTP server and client cost, both in one process and thread over loopback:
 *   http.post        requests with a body of 200 bytes, each answered with 202 by its handler
 *   http.stream      events of 200 bytes that readers got over STREAMS streams
 *   http.stream_rss  resident memory a connection with an idle stream; its readers are in a child
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/http_client.h"
#include "io/http_server.h"

#define POSTS 100000
#define PARALLEL 16
#define STREAMS 200
#define EVENTS 2000 /* to each stream */
#define IDLE_STREAMS 2000

static uv_loop_t loop;
static struct rv_http_server *server;
static struct rv_http_client *client;
static struct rv_http_stream *streams[IDLE_STREAMS];
static unsigned n_streams, sent, answered;
static uint64_t received;
static char body[200];

_Noreturn static void die(const char *what) {
    fprintf(stderr, "bench/http: %s\n", what);
    exit(1);
}

static void on_close(void *ctx) {
    (void)ctx;
}

static void handler(void *ctx, struct rv_http_request *req) {
    (void)ctx;
    if (rv_streq(rv_http_path(req), "/stream"))
        streams[n_streams++] =
            rv_http_stream_start(req, 200, "application/recordio", NULL, on_close, NULL);
    else
        rv_http_reply(req, 202, NULL, RV_STR(""), NULL);
}

static void on_post_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                         size_t n, struct rv_str bytes, const struct rv_error *err);
static const struct rv_http_call_handler post_handler = {.on_done = on_post_done};

static void post(void) {
    sent++;
    rv_http_client_call(client, "POST", "/api/v1", "Content-Type: application/json\r\n",
                        rv_strn(body, sizeof body), false, &post_handler, NULL);
}

static void on_post_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                         size_t n, struct rv_str bytes, const struct rv_error *err) {
    (void)ctx, (void)headers, (void)n, (void)bytes, (void)err;
    if (result < 0 || status != 202)
        die("a call failed");
    answered++;
    if (sent < POSTS)
        post();
}

static void on_bytes(void *ctx, struct rv_str bytes) {
    (void)ctx;
    received += bytes.n;
}

static void on_stream_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                           size_t n, struct rv_str bytes, const struct rv_error *err) {
    (void)ctx, (void)status, (void)headers, (void)n, (void)bytes, (void)err;
    if (result != 0 && result != -RV_ERR_CLOSED)
        die("a stream failed");
}
static const struct rv_http_call_handler stream_handler = {NULL, on_bytes, on_stream_done};

static double seconds(void) {
    return (double)uv_hrtime() / 1e9;
}

static void bench_posts(void) {
    double start = seconds();
    for (int i = 0; i < PARALLEL; i++)
        post();
    while (answered < POSTS)
        uv_run(&loop, UV_RUN_ONCE);
    printf("figure http.post %.0f per_s\n", POSTS / (seconds() - start));
}

static void bench_streams(void) {
    for (int i = 0; i < STREAMS; i++)
        rv_http_client_call(client, "GET", "/stream", NULL, RV_STR(""), true, &stream_handler,
                            NULL);
    while (n_streams < STREAMS)
        uv_run(&loop, UV_RUN_ONCE);
    double start = seconds();
    for (uint64_t e = 1; e <= EVENTS; e++) {
        for (int i = 0; i < STREAMS; i++) {
            struct rv_blob *event = rv_blob_new(body, sizeof body);
            if (rv_http_stream_send(streams[i], event) < 0)
                die("a stream is over its backlog");
            rv_blob_unref(event);
        }
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    while (received < (uint64_t)EVENTS * STREAMS * sizeof body)
        uv_run(&loop, UV_RUN_ONCE);
    printf("figure http.stream %.0f per_s\n", EVENTS * STREAMS / (seconds() - start));
}

static double resident_kib(void) {
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long size, resident;
    if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
        die("cannot read statm");
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/* In the child: opens the streams and waits until the parent is done. */
static void idle_readers(int port_fd) {
    static const char request[] = "POST /stream HTTP/1.1\r\nHost: master:5050\r\n"
                                  "Content-Type: application/json\r\nAccept: application/json\r\n"
                                  "Content-Length: 2\r\n\r\n{}";
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint16_t port;
    while (read(port_fd, &port, sizeof port) == (ssize_t)sizeof port) {
        addr.sin_port = htons(port);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0 ||
            send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
            _exit(1);
    }
    _exit(0);
}

static void bench_memory(int to_child) {
    uint16_t port = rv_http_server_port(server);
    unsigned before_n = n_streams = 0;
    double before = resident_kib();
    while (n_streams < IDLE_STREAMS) {
        if (before_n == n_streams && write(to_child, &port, sizeof port) != sizeof port)
            die("the child is gone");
        before_n = n_streams + 1;
        while (n_streams < before_n)
            uv_run(&loop, UV_RUN_ONCE);
        before_n = n_streams;
    }
    for (int i = 0; i < 10; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        struct rv_blob *event = rv_blob_new(body, sizeof body);
        for (int k = 0; k < IDLE_STREAMS; k++) /* they have been in use */
            if (rv_http_stream_send(streams[k], event) < 0)
                die("a stream is over its backlog");
        rv_blob_unref(event);
    }
    uv_run(&loop, UV_RUN_NOWAIT);
    printf("figure http.stream_rss %.2f KiB\n", (resident_kib() - before) / IDLE_STREAMS);
}

static void start(void) {
    struct rv_http_config config = {0};
    struct rv_error err;
    uv_loop_init(&loop);
    if (rv_http_server_start(&loop, &config, handler, NULL, &server, &err) < 0)
        die(err.message);
    struct rv_http_client_config to = {
        .host = "127.0.0.1", .port = rv_http_server_port(server), .max_connections = PARALLEL};
    client = rv_http_client_new(&loop, &to);
}

static void stop(void) {
    rv_http_client_free(client);
    rv_http_server_stop(server);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

int main(void) {
    int fds[2];
    signal(SIGPIPE, SIG_IGN);
    memset(body, 'b', sizeof body);
    if (pipe(fds) < 0)
        die("no pipe");
    pid_t child = fork();
    if (child < 0)
        die("no child");
    if (child == 0) {
        close(fds[1]);
        idle_readers(fds[0]);
    }
    close(fds[0]);
    start();
    bench_memory(fds[1]);
    stop();
    close(fds[1]);
    waitpid(child, NULL, 0);
    n_streams = 0;
    start();
    bench_posts();
    bench_streams();
    stop();
    return 0;
}
