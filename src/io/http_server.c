/*
 * The HTTP server's outside: sockets, the loop, deadlines.
 *
 * libmicrohttpd parses and answers; its epoll descriptor is polled by our loop, and MHD_run() is
 * called at most once per phase of a loop iteration (prepare, check), not once per answer, because
 * each call after a resume walks MHD's list of suspended connections.
 *
 * We accept by ourselves, so that we decide what happens when descriptors run out: accepting pauses
 * until a connection ends or a quarter of a second has passed, and nothing spins.
 *
 * MHD's own timeouts are off. They know inactivity only, and a client that sends a byte a minute is
 * never inactive. Each connection has one deadline here, kept lazily in a heap: it may fire early
 * and is then set again, so that a request costs no heap operation.
 *
 * Costs: 15 us of CPU a POST, client and server together; about 7 KiB resident a connection with an
 * idle stream. A connection has a pool of max_header + 3 KiB. MHD writes zeros over half of it when
 * a request is complete and over all of it when the connection is kept, and maps a pool over 32 KiB
 * by itself, which costs whole pages: that is why the default limit of a head is just below.
 */
#include "io/http_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/http_internal.h"
#include "io/socket.h"

#define POOL_SLACK 3072  /* of a connection's pool, for what MHD keeps beside the head */
#define ACCEPT_BATCH 512 /* in one iteration of the loop: a storm fills the kernel's queue */
#define ACCEPT_AGAIN_MS 250
#define RUN_ROUNDS 8
#define LISTEN_BACKLOG 4096

enum { TIMER_CONNECTION, TIMER_ACCEPT };

static void arm(struct rv_http_server *s);

/* Deadlines */

static int64_t now_ms(const struct rv_http_server *s) {
    return (int64_t)uv_now(s->loop);
}

static int64_t deadline_of(const struct http_conn *c) {
    const struct rv_http_server *s = c->server;
    switch (c->stage) {
    case HTTP_IDLE:
        return RV_MIN(c->since_ms + s->idle_ms, c->checked_ms + s->receive_ms);
    case HTTP_RECEIVING:
        return c->since_ms + s->receive_ms;
    case HTTP_SENDING:
        return c->checked_ms + s->idle_ms;
    case HTTP_ANSWERING:
        break;
    }
    return INT64_MAX;
}

static void set_deadline(struct http_conn *c) {
    int64_t at = deadline_of(c);
    if (at == INT64_MAX || (rv_timer_is_set(&c->timer) && c->timer.at_ms <= at))
        return;
    rv_timer_set(&c->server->deadlines, &c->timer, at);
    arm(c->server);
}

void http_conn_set_stage(struct http_conn *c, enum http_stage stage) {
    c->stage = stage;
    c->since_ms = c->checked_ms = now_ms(c->server);
    c->acked = UINT64_MAX;
    set_deadline(c);
}

/* Sees whether bytes of a request have come although its first line is not complete. Those that
 * came together with the request before are missed: the idle timeout ends that connection. */
static bool request_has_begun(const struct http_conn *c, const struct io_progress *info) {
    if (c->fresh)
        return info->received > 0;
    int64_t last = now_ms(c->server) - info->quiet_ms;
    return last > c->since_ms + 10; /* the kernel counts in ticks */
}

static void connection_due(struct http_conn *c) {
    struct rv_http_server *s = c->server;
    struct io_progress info;
    int64_t now = now_ms(s);

    if (deadline_of(c) > now) {
        set_deadline(c);
        return;
    }
    io_socket_progress(c->fd, &info);
    c->checked_ms = now;
    switch (c->stage) {
    case HTTP_IDLE:
        if (now >= c->since_ms + s->idle_ms) {
            http_conn_abort(c);
            return;
        }
        if (request_has_begun(c, &info))
            http_conn_set_stage(c, HTTP_RECEIVING);
        break;
    case HTTP_RECEIVING:
        http_conn_rejected(c);
        http_conn_abort(c);
        return;
    case HTTP_SENDING:
        if (c->acked != UINT64_MAX && c->acked == info.acked) {
            if (c->request && c->request->stream)
                http_stream_fail(c->request->stream);
            else
                http_conn_abort(c);
            return;
        }
        c->acked = info.acked;
        break;
    case HTTP_ANSWERING:
        return;
    }
    set_deadline(c);
}

static void start_accepting(struct rv_http_server *s);

static void on_timer(uv_timer_t *timer) {
    struct rv_http_server *s = timer->data;
    struct rv_timer *due;
    while ((due = rv_timers_pop(&s->deadlines, now_ms(s)))) {
        if (due->kind == TIMER_ACCEPT)
            start_accepting(s);
        else
            connection_due(RV_CONTAINER_OF(due, struct http_conn, timer));
    }
    arm(s);
}

static void arm(struct rv_http_server *s) {
    int64_t at = rv_timers_deadline(&s->deadlines);
    if (s->stopping)
        return;
    if (at == INT64_MAX) {
        uv_timer_stop(&s->timer);
        return;
    }
    uint64_t wait = at > now_ms(s) ? (uint64_t)(at - now_ms(s)) : 0;
    if (!uv_is_active((uv_handle_t *)&s->timer) || uv_timer_get_due_in(&s->timer) > wait)
        uv_timer_start(&s->timer, on_timer, wait, 0);
}

/* Connections */

struct http_conn *http_conn_of(struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info->socket_context;
}

void http_conn_suspend(struct http_conn *c) {
    RV_ASSERT(!c->suspended);
    c->suspended = true;
    MHD_suspend_connection(c->mhd);
}

void http_conn_resume(struct http_conn *c) {
    if (!c->suspended)
        return;
    c->suspended = false;
    MHD_resume_connection(c->mhd);
    c->server->dirty = true;
}

void http_conn_abort(struct http_conn *c) {
    struct rv_http_request *req = c->request;
    if (req && req->stream)
        req->stream->failed = true;
    if (c->suspended)
        http_conn_resume(c);
    else
        shutdown(c->fd, SHUT_RDWR); /* MHD gets a hang-up and closes */
}

void http_conn_rejected(struct http_conn *c) {
    if (!c->rejected)
        c->server->counters.rejected++;
    c->rejected = true;
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code) {
    struct rv_http_server *s = cls;
    struct http_conn *c = *context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        c = rv_calloc(1, sizeof *c);
        *context = c;
        c->server = s;
        c->mhd = mhd;
        c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        c->timer.kind = TIMER_CONNECTION;
        c->fresh = true;
        rv_list_append(&s->connections, &c->link);
        s->n_connections++;
        s->counters.connections++;
        http_conn_set_stage(c, HTTP_IDLE);
        return;
    }
    if (c->stage == HTTP_IDLE && !s->stopping) {
        struct io_progress progress; /* a first line that never was one: MHD has told nobody */
        io_socket_progress(c->fd, &progress);
        if (request_has_begun(c, &progress))
            http_conn_rejected(c);
    }
    http_watch_remove(c);
    rv_timer_cancel(&s->deadlines, &c->timer);
    rv_list_remove(&c->link);
    s->n_connections--;
    free(c);
    if (!s->accepting)
        start_accepting(s);
}

int http_server_adopt(struct rv_http_server *s, int fd, struct rv_error *err) {
    struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof addr;
    int one = 1;

    if (getpeername(fd, (struct sockaddr *)&addr, &size) < 0 ||
        (addr.ss_family != AF_INET && addr.ss_family != AF_INET6)) {
        memset(&addr, 0, sizeof addr);
        addr.ss_family = AF_INET;
        size = sizeof(struct sockaddr_in);
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    s->dirty = true;
    if (MHD_add_connection(s->mhd, fd, (struct sockaddr *)&addr, size) != MHD_YES)
        return rv_error_set(err, RV_ERR_IO, "cannot serve a connection: %s", strerror(errno));
    return 0;
}

static void stop_accepting(struct rv_http_server *s, bool again_soon) {
    s->accepting = false;
    uv_poll_stop(&s->listen_poll);
    if (again_soon) {
        rv_timer_set(&s->deadlines, &s->accept_again, now_ms(s) + ACCEPT_AGAIN_MS);
        arm(s);
    }
}

static void on_listen(uv_poll_t *poll, int status, int events) {
    struct rv_http_server *s = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        if (s->n_connections >= s->max_connections) {
            stop_accepting(s, false);
            return;
        }
        int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            if (http_server_adopt(s, fd, NULL) < 0) {
                stop_accepting(s, true);
                return;
            }
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            stop_accepting(s, true);
            return;
        }
        /* Else that one connection failed before we got it: take the next. */
    }
}

static void start_accepting(struct rv_http_server *s) {
    if (s->stopping || s->accepting || s->n_connections >= s->max_connections)
        return;
    rv_timer_cancel(&s->deadlines, &s->accept_again);
    s->accepting = uv_poll_start(&s->listen_poll, UV_READABLE, on_listen) == 0;
}

/* The loop */

static void destroy(struct rv_http_server *s);

static void on_again(uv_idle_t *again) {
    (void)again; /* only there so that the loop does not sleep */
}

static void run(struct rv_http_server *s) {
    if (!s->dirty && rv_list_empty(&s->to_flush))
        return;
    s->depth++;
    for (int i = 0; i < RUN_ROUNDS && !s->stopping; i++) {
        MHD_UNSIGNED_LONG_LONG wait;
        http_streams_flush(s);
        if (!s->dirty || s->stopping)
            break;
        s->dirty = false;
        MHD_run(s->mhd);
        if (MHD_get_timeout(s->mhd, &wait) == MHD_YES && wait == 0)
            s->dirty = true;
    }
    s->depth--;
    if (s->stopping) {
        if (s->depth == 0)
            destroy(s);
        return;
    }
    if (s->dirty || !rv_list_empty(&s->to_flush))
        uv_idle_start(&s->again, on_again);
    else
        uv_idle_stop(&s->again);
}

static void on_prepare(uv_prepare_t *prepare) {
    run(prepare->data);
}

static void on_check(uv_check_t *check) {
    run(check->data);
}

static void on_mhd(uv_poll_t *poll, int status, int events) {
    struct rv_http_server *s = poll->data;
    (void)status;
    (void)events;
    s->dirty = true; /* run() follows in this iteration's check phase */
}

static void on_watch(uv_poll_t *poll, int status, int events) {
    struct rv_http_server *s = poll->data;
    (void)status;
    (void)events;
    s->depth++;
    http_watch_events(s);
    s->depth--;
    if (s->stopping && s->depth == 0)
        destroy(s);
}

/* Start and stop */

static void on_handle_closed(uv_handle_t *handle) {
    struct rv_http_server *s = handle->data;
    if (--s->open_handles > 0)
        return;
    for (size_t i = 0; s->origins && s->origins[i]; i++)
        free(s->origins[i]);
    free(s->origins);
    free(s->ip);
    rv_timers_free(&s->deadlines);
    free(s);
}

static void parse_origins(struct rv_http_server *s, const char *list) {
    size_t n = 0;
    for (const char *p = list; p && *p;) {
        p += strspn(p, ", \t");
        size_t len = strcspn(p, ", \t");
        if (len > 0) {
            s->origins = rv_realloc(s->origins, (n + 2) * sizeof *s->origins);
            s->origins[n++] = rv_strndup(p, len);
            s->origins[n] = NULL;
        }
        p += len;
    }
}

static unsigned connections_by_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return 65536;
    rlim_t reserve = limit.rlim_cur / 32 + 64; /* for files, children and calls of our own */
    rlim_t n = limit.rlim_cur > 2 * reserve ? limit.rlim_cur - reserve : limit.rlim_cur / 2;
    return (unsigned)RV_MIN(n, (rlim_t)1 << 20);
}

static int open_listener(struct rv_http_server *s, uint16_t port, struct rv_error *err) {
    struct sockaddr_storage addr = {0};
    socklen_t size = sizeof(struct sockaddr_in);
    int one = 1;

    if (uv_ip4_addr(s->ip, port, (struct sockaddr_in *)&addr) < 0) {
        if (uv_ip6_addr(s->ip, port, (struct sockaddr_in6 *)&addr) < 0)
            return rv_error_set(err, RV_ERR_INVALID, "'%s' is not an IP address", s->ip);
        size = sizeof(struct sockaddr_in6);
    }
    s->listen_fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->listen_fd < 0)
        return rv_error_set(err, RV_ERR_IO, "socket: %s", strerror(errno));
    (void)setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s->listen_fd, (struct sockaddr *)&addr, size) < 0 ||
        listen(s->listen_fd, LISTEN_BACKLOG) < 0)
        return rv_error_set(err, RV_ERR_IO, "cannot listen on %s port %u: %s", s->ip, port,
                            strerror(errno));
    size = sizeof addr;
    if (getsockname(s->listen_fd, (struct sockaddr *)&addr, &size) < 0)
        return rv_error_set(err, RV_ERR_IO, "getsockname: %s", strerror(errno));
    s->port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                               : ((struct sockaddr_in *)&addr)->sin_port);
    return 0;
}

static int open_daemon(struct rv_http_server *s, struct rv_error *err) {
    s->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
        http_request_access, s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, s->max_header + POOL_SLACK,
        MHD_OPTION_CONNECTION_LIMIT, s->max_connections + 1, MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED, http_request_completed, s,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_URI_LOG_CALLBACK,
        http_request_line, s, MHD_OPTION_END);
    if (!s->mhd)
        return rv_error_set(err, RV_ERR_IO, "cannot start the HTTP server: %s", strerror(errno));
    s->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->watch_fd < 0)
        return rv_error_set(err, RV_ERR_IO, "epoll_create1: %s", strerror(errno));
    return 0;
}

static void add_handle(struct rv_http_server *s, uv_handle_t *handle) {
    handle->data = s;
    s->open_handles++;
}

static int open_handles(struct rv_http_server *s, struct rv_error *err) {
    int mhd_fd = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    struct {
        uv_poll_t *poll;
        int fd;
        uv_poll_cb cb;
    } polls[] = {
        {&s->mhd_poll, mhd_fd, on_mhd},
        {&s->watch_poll, s->watch_fd, on_watch},
        {&s->listen_poll, s->listen_fd, on_listen},
    };
    for (size_t i = 0; i < RV_COUNT(polls); i++) {
        int rc = uv_poll_init(s->loop, polls[i].poll, polls[i].fd);
        if (rc == 0)
            add_handle(s, (uv_handle_t *)polls[i].poll);
        if (rc == 0)
            rc = uv_poll_start(polls[i].poll, UV_READABLE, polls[i].cb);
        if (rc < 0)
            return rv_error_set(err, RV_ERR_IO, "cannot poll: %s", uv_strerror(rc));
    }
    s->accepting = true;
    uv_timer_init(s->loop, &s->timer);
    add_handle(s, (uv_handle_t *)&s->timer);
    uv_prepare_init(s->loop, &s->prepare);
    add_handle(s, (uv_handle_t *)&s->prepare);
    uv_check_init(s->loop, &s->check);
    add_handle(s, (uv_handle_t *)&s->check);
    uv_idle_init(s->loop, &s->again);
    add_handle(s, (uv_handle_t *)&s->again);
    uv_prepare_start(&s->prepare, on_prepare);
    uv_check_start(&s->check, on_check);
    return 0;
}

static void close_handle(uv_handle_t *handle) {
    if (handle->data)
        uv_close(handle, on_handle_closed);
}

/* Nothing of MHD or the user is on the stack here. */
static void destroy(struct rv_http_server *s) {
    RV_LIST_EACH (&s->connections, node, tmp)
        http_conn_resume(RV_LIST_ENTRY(node, struct http_conn, link));
    bool any = s->open_handles > 0;
    s->open_handles++; /* held until the end of this function */
    close_handle((uv_handle_t *)&s->mhd_poll);
    close_handle((uv_handle_t *)&s->watch_poll);
    close_handle((uv_handle_t *)&s->listen_poll);
    close_handle((uv_handle_t *)&s->timer);
    close_handle((uv_handle_t *)&s->prepare);
    close_handle((uv_handle_t *)&s->check);
    close_handle((uv_handle_t *)&s->again);
    if (s->mhd)
        MHD_stop_daemon(s->mhd);
    RV_ASSERT(rv_list_empty(&s->connections));
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    if (s->watch_fd >= 0)
        close(s->watch_fd);
    s->open_handles--;
    if (!any) { /* a start that failed early: nothing will call back */
        s->open_handles = 1;
        s->again.data = s;
        on_handle_closed((uv_handle_t *)&s->again);
    }
}

int rv_http_server_start(uv_loop_t *loop, const struct rv_http_config *config,
                         rv_http_handler handler, void *ctx, struct rv_http_server **out,
                         struct rv_error *err) {
    struct rv_http_server *s = rv_calloc(1, sizeof *s);
    s->loop = loop;
    s->handler = handler;
    s->ctx = ctx;
    s->ip = rv_strdup(config->ip ? config->ip : "127.0.0.1");
    s->max_body = config->max_body ? config->max_body : 8 << 20;
    s->max_header = config->max_header ? config->max_header : RV_HTTP_MAX_HEADER;
    s->max_backlog = config->max_backlog ? config->max_backlog : 64 << 20;
    s->idle_ms = 1000 * (int64_t)(config->idle_timeout_s ? config->idle_timeout_s : 60);
    s->receive_ms = 1000 * (int64_t)(config->receive_timeout_s ? config->receive_timeout_s : 60);
    s->max_connections = config->max_connections ? config->max_connections : connections_by_limit();
    s->listen_fd = s->watch_fd = -1;
    s->accept_again.kind = TIMER_ACCEPT;
    rv_list_init(&s->connections);
    rv_list_init(&s->to_flush);
    parse_origins(s, config->cors_origins);

    int rc = open_listener(s, config->port, err);
    if (rc == 0)
        rc = open_daemon(s, err);
    if (rc == 0)
        rc = open_handles(s, err);
    if (rc < 0) {
        s->stopping = true;
        destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

struct rv_http_server *rv_http_server_stop(struct rv_http_server *s) {
    if (!s || s->stopping)
        return NULL;
    s->stopping = true; /* from here on no handler is called */
    s->depth++;
    RV_LIST_EACH (&s->connections, node, tmp) {
        struct rv_http_request *req = RV_LIST_ENTRY(node, struct http_conn, link)->request;
        if (!req)
            continue;
        req->on_abandoned = NULL;
        if (req->stream)
            http_stream_close(req->stream);
        else if (req->state != HTTP_REQ_ANSWERED)
            req->state = HTTP_REQ_DROPPED;
    }
    s->depth--;
    if (s->depth == 0)
        destroy(s);
    return NULL;
}

void rv_http_server_set_body_stream(struct rv_http_server *s,
                                    const struct rv_http_body_stream *handler, void *ctx) {
    s->taker = handler ? *handler : (struct rv_http_body_stream){0};
    s->taker_ctx = ctx;
}

uint16_t rv_http_server_port(const struct rv_http_server *s) {
    return s->port;
}

struct rv_http_counters rv_http_server_counters(const struct rv_http_server *s) {
    return s->counters;
}
