/*
 * The HTTP client: kept-alive connections to one server, calls in order, streams on connections of
 * their own.
 *
 * Always holds: a call is either in the client's queue or bound to one connection; a connection
 * carries at most one call (nothing is pipelined); callbacks come from the loop or from
 * rv_http_client_free(), never from inside of rv_http_client_call(). So with one connection allowed
 * the server sees the calls in the order in which they were made.
 *
 * A connection that we close gives up its call first and lives on, unseen, until libuv has closed
 * its handles. It owns the bytes that it writes, because a call may be gone before they are out.
 *
 * Costs: about 1.5 KiB a connection and its parser; the buffer for reading is one for the thread.
 */
#include "io/http_client.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/list.h"

#define READ_SIZE ((size_t)64 << 10)
#define MAX_BODY ((size_t)1 << 30) /* of an answer that is collected whole */

enum conn_state { CONN_RESOLVING, CONN_CONNECTING, CONN_IDLE, CONN_BUSY, CONN_CLOSING };

struct rv_http_client {
    uv_loop_t *loop;
    char *host, *host_header;
    uint16_t port;
    char *local_ip;
    unsigned connect_timeout_ms, call_timeout_ms, idle_close_ms, max_connections;
    struct rv_list queue, connections;
    unsigned pooled; /* connections in use or kept, without those of streams */
    bool freed;
};

struct conn {
    struct rv_list link;
    struct rv_http_client *client;
    struct rv_http_call *call;
    struct rv_http1_parser *parser;
    struct addrinfo *addresses, *next_address;
    struct rv_buf out;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_connect_t connect;
    uv_write_t write;
    uv_getaddrinfo_t resolve;
    enum conn_state state;
    unsigned pending; /* handles and requests that will still call back */
    bool stream;
    bool tcp_open, resolving;
    bool writing;
    bool used;       /* has carried a complete answer */
    bool keep_alive; /* says the last answer */
    bool stray;      /* bytes came that no call asked for */
};

struct rv_http_call {
    struct rv_list link; /* in the client's queue */
    struct rv_http_client *client;
    struct conn *conn;
    struct rv_buf request, body;
    struct rv_http_call_handler handler;
    void *ctx;
    const struct rv_http1_header *headers;
    size_t n_headers;
    int status;
    bool stream;
    bool retried;
    bool bytes_came;
};

static void pump(struct rv_http_client *c);
static void try_next_address(struct conn *conn);
static void conn_broken(struct conn *conn, enum rv_err code, const char *what, const char *why);

/* The ends of calls and connections */

static void free_client_if_done(struct rv_http_client *c) {
    if (!c->freed || !rv_list_empty(&c->connections))
        return;
    free(c->host);
    free(c->local_ip);
    free(c->host_header);
    free(c);
}

static void conn_released(struct conn *conn) {
    struct rv_http_client *c = conn->client;
    if (--conn->pending > 0)
        return;
    rv_list_remove(&conn->link);
    rv_http1_parser_free(conn->parser);
    rv_buf_free(&conn->out);
    if (conn->addresses)
        uv_freeaddrinfo(conn->addresses);
    free(conn);
    free_client_if_done(c);
}

static void on_timer_closed(uv_handle_t *handle) {
    conn_released(RV_CONTAINER_OF(handle, struct conn, timer));
}

static void on_tcp_closed(uv_handle_t *handle) {
    conn_released(RV_CONTAINER_OF(handle, struct conn, tcp));
}

/* The connection has no call (any more). */
static void conn_close(struct conn *conn) {
    RV_ASSERT(!conn->call);
    if (conn->state == CONN_CLOSING)
        return;
    conn->state = CONN_CLOSING;
    if (!conn->stream)
        conn->client->pooled--;
    if (conn->resolving)
        uv_cancel((uv_req_t *)&conn->resolve);
    if (conn->tcp_open)
        uv_close((uv_handle_t *)&conn->tcp, on_tcp_closed);
    uv_close((uv_handle_t *)&conn->timer, on_timer_closed);
}

static void call_free(struct rv_http_call *call) {
    rv_list_remove(&call->link);
    rv_buf_free(&call->request);
    rv_buf_free(&call->body);
    free(call);
}

/* Tells the owner and frees the call; it is bound to nothing by now but its connection's parser. */
static void call_done(struct rv_http_call *call, int result, const struct rv_error *err) {
    RV_ASSERT(!call->conn);
    rv_list_remove(&call->link);
    call->handler.on_done(call->ctx, result, call->status, call->headers, call->n_headers,
                          rv_buf_str(&call->body), err);
    call_free(call);
}

static struct rv_http_call *unbind(struct conn *conn) {
    struct rv_http_call *call = TAKE_PTR(conn->call);
    if (call)
        call->conn = NULL;
    return call;
}

static void close_idle(struct rv_http_client *c) {
    RV_LIST_EACH (&c->connections, node, tmp) {
        struct conn *conn = RV_LIST_ENTRY(node, struct conn, link);
        if (conn->state == CONN_IDLE)
            conn_close(conn);
    }
}

/* The connection ends, and its call with it, unless it may be sent once more. */
static void conn_broken(struct conn *conn, enum rv_err code, const char *what, const char *why) {
    struct rv_http_client *c = conn->client;
    struct rv_http_call *call = unbind(conn);
    struct rv_error err;

    conn_close(conn);
    if (call && code == RV_ERR_CLOSED && conn->used && !call->bytes_came && !call->retried) {
        /* The server closed a kept connection while our request was on its way. The others that
         * are idle are likely to be as old. */
        call->retried = true;
        close_idle(c);
        call->link.prev = &c->queue;
        call->link.next = c->queue.next;
        c->queue.next->prev = &call->link;
        c->queue.next = &call->link;
    } else if (call) {
        rv_error_set(&err, code, "%s:%u: %s%s%s", c->host, c->port, what, why ? ": " : "",
                     why ? why : "");
        call_done(call, -(int)code, &err);
    }
    pump(c);
}

/* Reading */

static void on_parsed_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    struct conn *conn = ctx;
    struct rv_http_call *call = conn->call;
    if (!call) {
        conn->stray = true;
        return;
    }
    call->status = status;
    call->headers = headers;
    call->n_headers = n;
    if (!call->stream || !call->handler.on_head)
        return;
    if (call->handler.on_head(call->ctx, status, headers, n))
        return;
    if (conn->call == call) /* not cancelled meanwhile */
        conn_broken(conn, RV_ERR_CONFLICT, "ended by its owner", NULL);
}

static void on_parsed_body(void *ctx, struct rv_str bytes) {
    struct conn *conn = ctx;
    struct rv_http_call *call = conn->call;
    if (!call)
        return;
    if (call->stream && call->handler.on_body)
        call->handler.on_body(call->ctx, bytes);
    else if (call->body.n + bytes.n > MAX_BODY)
        conn_broken(conn, RV_ERR_LIMIT, "the answer is too large", NULL);
    else
        rv_buf_append(&call->body, bytes.s, bytes.n);
}

static void on_parsed_done(void *ctx, bool keep_alive) {
    struct conn *conn = ctx;
    struct rv_http_call *call = unbind(conn);
    conn->keep_alive = keep_alive;
    conn->used = true;
    if (call)
        call_done(call, 0, NULL);
}

/* After a call was done or the connection was made: the next one, or wait. */
static void on_idle_timeout(uv_timer_t *timer) {
    conn_close(RV_CONTAINER_OF(timer, struct conn, timer));
}

static void conn_idle(struct conn *conn) {
    if (!conn->keep_alive || conn->stray || conn->stream || conn->writing) {
        conn_close(conn);
        return;
    }
    conn->state = CONN_IDLE;
    uv_timer_start(&conn->timer, on_idle_timeout, conn->client->idle_close_ms, 0);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    static _Thread_local char bytes[READ_SIZE]; /* on_read is called right after */
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct conn *conn = RV_CONTAINER_OF(stream, struct conn, tcp);
    struct rv_http_client *c = conn->client;
    struct rv_error err;

    if (n == 0 || conn->state == CONN_CLOSING)
        return;
    if (n < 0) {
        if (n == UV_EOF && conn->call && conn->call->bytes_came &&
            rv_http1_parser_eof(conn->parser, &err) == 0 && !conn->call) {
            if (conn->state != CONN_CLOSING) /* the end was the end of the body */
                conn_close(conn);
            pump(c);
        } else if (conn->state != CONN_CLOSING) {
            conn_broken(conn, RV_ERR_CLOSED, "the connection ended",
                        n == UV_EOF ? NULL : uv_strerror((int)n));
        }
        return;
    }
    if (!conn->call) { /* idle: nobody asked */
        conn_close(conn);
        pump(c);
        return;
    }
    conn->call->bytes_came = true;
    int rc = rv_http1_parser_feed(conn->parser, rv_strn(buf->base, (size_t)n), &err);
    if (conn->state == CONN_CLOSING)
        return;
    if (rc < 0)
        conn_broken(conn, (enum rv_err) - rc, "the answer is malformed", err.message);
    else if (!conn->call) {
        conn_idle(conn);
        pump(c);
    }
}

/* Sending */

static void on_call_timeout(uv_timer_t *timer) {
    conn_broken(RV_CONTAINER_OF(timer, struct conn, timer), RV_ERR_TIMEOUT, "no complete answer",
                NULL);
}

static void on_written(uv_write_t *req, int status) {
    struct conn *conn = RV_CONTAINER_OF(req, struct conn, write);
    conn->writing = false;
    rv_buf_free(&conn->out);
    if (status < 0 && conn->state == CONN_BUSY && conn->call && !conn->call->bytes_came)
        conn_broken(conn, RV_ERR_CLOSED, "cannot send", uv_strerror(status));
}

/* Binds a call to an idle connection and sends it. */
static void conn_send(struct conn *conn) {
    struct rv_http_call *call = conn->call;
    conn->state = CONN_BUSY;
    if (conn->client->call_timeout_ms > 0 && !call->stream)
        uv_timer_start(&conn->timer, on_call_timeout, conn->client->call_timeout_ms, 0);
    else
        uv_timer_stop(&conn->timer);
    conn->out = (struct rv_buf){0};
    if (conn->used) /* may have to be sent again */
        rv_buf_append(&conn->out, call->request.data, call->request.n);
    else {
        conn->out = call->request;
        call->request = (struct rv_buf){0};
    }
    uv_buf_t buf = uv_buf_init(conn->out.data, (unsigned)conn->out.n);
    conn->writing = true;
    int rc = uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &buf, 1, on_written);
    RV_ASSERT(rc == 0); /* fails only for a handle that is not a connected socket */
}

/* Connecting */

static void on_connected(uv_connect_t *req, int status) {
    struct conn *conn = RV_CONTAINER_OF(req, struct conn, connect);
    if (conn->state != CONN_CONNECTING)
        return;
    if (status == UV_ECANCELED)
        return; /* the handle is being closed for the next address */
    if (status == 0) {
        uv_tcp_nodelay(&conn->tcp, 1);
        status = uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
    }
    if (status == 0)
        conn_send(conn);
    else if (conn->next_address)
        try_next_address(conn);
    else
        conn_broken(conn, RV_ERR_IO, "cannot connect", uv_strerror(status));
}

/* Chooses the address that the connection comes from, and leaves the port to connect(2), which
 * knows the other end: the range of ports is then that of each pair of addresses. */
static void bind_local(struct conn *conn, int family) {
    const char *ip = conn->client->local_ip;
    struct sockaddr_storage addr = {0};
    int one = 1, fd = -1;

    if (!ip || (family == AF_INET ? uv_ip4_addr(ip, 0, (struct sockaddr_in *)&addr)
                                  : uv_ip6_addr(ip, 0, (struct sockaddr_in6 *)&addr)))
        return;
    if (uv_fileno((uv_handle_t *)&conn->tcp, &fd) ||
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one))
        return;
    (void)uv_tcp_bind(&conn->tcp, (struct sockaddr *)&addr, 0); /* connect tells if it failed */
}

static void connect_to(struct conn *conn, const struct sockaddr *addr) {
    conn->state = CONN_CONNECTING;
    int rc = uv_tcp_init_ex(conn->client->loop, &conn->tcp,
                            conn->client->local_ip ? (unsigned)addr->sa_family : AF_UNSPEC);
    if (rc == 0) {
        conn->tcp_open = true;
        conn->pending++;
        bind_local(conn, addr->sa_family);
        rc = uv_tcp_connect(&conn->connect, &conn->tcp, addr, on_connected);
    }
    if (rc < 0 && conn->next_address)
        try_next_address(conn);
    else if (rc < 0)
        conn_broken(conn, RV_ERR_IO, "cannot connect", uv_strerror(rc));
}

static void on_closed_for_next(uv_handle_t *handle) {
    struct conn *conn = RV_CONTAINER_OF(handle, struct conn, tcp);
    if (conn->state != CONN_CONNECTING) {
        conn_released(conn);
        return;
    }
    conn->pending--; /* the timer is still there: never the last */
    try_next_address(conn);
}

static void try_next_address(struct conn *conn) {
    if (conn->tcp_open) {
        conn->tcp_open = false;
        uv_close((uv_handle_t *)&conn->tcp, on_closed_for_next);
        return;
    }
    struct addrinfo *address = conn->next_address;
    conn->next_address = address->ai_next;
    connect_to(conn, address->ai_addr);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *addresses) {
    struct conn *conn = RV_CONTAINER_OF(req, struct conn, resolve);
    conn->resolving = false;
    conn->addresses = addresses;
    if (conn->state == CONN_CLOSING) {
        conn_released(conn);
        return;
    }
    conn->pending--;
    if (status < 0 || !addresses) {
        conn_broken(conn, RV_ERR_IO, "cannot resolve the name",
                    status < 0 ? uv_strerror(status) : NULL);
        return;
    }
    conn->next_address = addresses;
    try_next_address(conn);
}

static void on_connect_timeout(uv_timer_t *timer) {
    conn_broken(RV_CONTAINER_OF(timer, struct conn, timer), RV_ERR_TIMEOUT,
                "cannot connect in time", NULL);
}

/* Begins to connect from the loop, so that even an immediate failure is reported from there. */
static void on_start(uv_timer_t *timer) {
    struct conn *conn = RV_CONTAINER_OF(timer, struct conn, timer);
    struct rv_http_client *c = conn->client;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct sockaddr_storage addr = {0};
    char port[8];

    uv_timer_start(&conn->timer, on_connect_timeout, c->connect_timeout_ms, 0);
    if (uv_ip4_addr(c->host, c->port, (struct sockaddr_in *)&addr) == 0 ||
        uv_ip6_addr(c->host, c->port, (struct sockaddr_in6 *)&addr) == 0) {
        connect_to(conn, (struct sockaddr *)&addr);
        return;
    }
    snprintf(port, sizeof port, "%u", c->port);
    int rc = uv_getaddrinfo(c->loop, &conn->resolve, on_resolved, c->host, port, &hints);
    if (rc < 0) {
        conn_broken(conn, RV_ERR_IO, "cannot resolve the name", uv_strerror(rc));
        return;
    }
    conn->resolving = true;
    conn->pending++;
}

static void conn_new(struct rv_http_call *call) {
    static const struct rv_http1_handler handler = {on_parsed_head, on_parsed_body, on_parsed_done};
    struct rv_http_client *c = call->client;
    struct conn *conn = rv_calloc(1, sizeof *conn);
    conn->client = c;
    conn->call = call;
    call->conn = conn;
    conn->stream = call->stream;
    conn->parser = rv_http1_parser_new(&handler, conn);
    conn->pending = 1;
    rv_list_append(&c->connections, &conn->link);
    if (!conn->stream)
        c->pooled++;
    uv_timer_init(c->loop, &conn->timer);
    uv_timer_start(&conn->timer, on_start, 0, 0);
}

/* Gives queued calls to connections. */
static void pump(struct rv_http_client *c) {
    while (!c->freed && !rv_list_empty(&c->queue)) {
        struct rv_http_call *call = RV_LIST_ENTRY(c->queue.next, struct rv_http_call, link);
        struct conn *idle = NULL;
        RV_LIST_EACH (&c->connections, node, tmp) {
            struct conn *conn = RV_LIST_ENTRY(node, struct conn, link);
            if (conn->state == CONN_IDLE)
                idle = conn; /* the newest: the others may time out */
        }
        if (!idle && c->pooled >= c->max_connections)
            return;
        rv_list_remove(&call->link);
        if (!idle) {
            conn_new(call);
            continue;
        }
        idle->call = call;
        call->conn = idle;
        conn_send(idle);
    }
}

/* For users */

struct rv_http_client *rv_http_client_new(uv_loop_t *loop,
                                          const struct rv_http_client_config *config) {
    struct rv_http_client *c = rv_calloc(1, sizeof *c);
    c->loop = loop;
    c->host = rv_strdup(config->host);
    c->local_ip = rv_strdup(config->local_ip);
    c->host_header =
        rv_asprintf(strchr(config->host, ':') ? "[%s]:%u" : "%s:%u", config->host, config->port);
    c->port = config->port;
    c->connect_timeout_ms = config->connect_timeout_ms ? config->connect_timeout_ms : 5000;
    c->call_timeout_ms = config->call_timeout_ms;
    c->idle_close_ms = config->idle_close_ms ? config->idle_close_ms : 5000;
    c->max_connections = config->max_connections ? config->max_connections : 1;
    rv_list_init(&c->queue);
    rv_list_init(&c->connections);
    return c;
}

struct rv_http_client *rv_http_client_free(struct rv_http_client *c) {
    struct rv_error err;
    if (!c || c->freed)
        return NULL;
    c->freed = true;
    rv_error_set(&err, RV_ERR_CLOSED, "%s:%u: the client is closed", c->host, c->port);
    /* A callback may cancel other calls, so nothing is remembered over one. Connections stay in
     * the list until libuv has closed them. */
    for (bool again = true; again;) {
        again = false;
        RV_LIST_EACH (&c->connections, node, tmp) {
            struct conn *conn = RV_LIST_ENTRY(node, struct conn, link);
            if (conn->state == CONN_CLOSING)
                continue;
            struct rv_http_call *call = unbind(conn);
            conn_close(conn);
            if (call)
                call_done(call, -RV_ERR_CLOSED, &err);
            again = true;
            break;
        }
    }
    while (!rv_list_empty(&c->queue))
        call_done(RV_LIST_ENTRY(c->queue.next, struct rv_http_call, link), -RV_ERR_CLOSED, &err);
    free_client_if_done(c);
    return NULL;
}

struct rv_http_call *rv_http_client_call(struct rv_http_client *c, const char *method,
                                         const char *path, const char *extra_headers,
                                         struct rv_str body, bool stream,
                                         const struct rv_http_call_handler *handler, void *ctx) {
    RV_ASSERT(!c->freed);
    struct rv_http_call *call = rv_calloc(1, sizeof *call);
    call->client = c;
    call->handler = *handler;
    call->ctx = ctx;
    call->stream = stream;
    rv_http1_request(&call->request, method, path, c->host_header, extra_headers, body);
    if (stream) {
        conn_new(call);
        return call;
    }
    rv_list_append(&c->queue, &call->link);
    pump(c);
    return call;
}

void rv_http_call_cancel(struct rv_http_call *call) {
    struct rv_http_client *c = call->client;
    struct conn *conn = call->conn;
    if (conn) {
        unbind(conn);
        conn_close(conn);
    }
    call_free(call);
    pump(c);
}
