/*
 * The HTTP server: libmicrohttpd with its epoll descriptor inside our libuv loop, one thread.
 *
 * The handler is called once a request is complete, body included (bounded by max_body: 413 over
 * it, answered by the server). It answers at once or later with rv_http_reply(), or starts a
 * stream. Exactly one of these must happen to each request, sooner or later; a request whose client
 * goes away calls on_abandoned if set, and the handle stays valid until it is answered.
 */
#ifndef RV_IO_HTTP_SERVER_H
#define RV_IO_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "base/str.h"

#define RV_HTTP_MAX_HEADER ((size_t)29 << 10) /* the default, and the most that is cheap */

struct rv_http_server;
struct rv_http_request;
struct rv_http_stream;

struct rv_http_config {
    const char *ip;             /* to bind to; "127.0.0.1" by default */
    uint16_t port;              /* 0: choose a free one */
    size_t max_body;            /* bytes, 8 MiB */
    size_t max_header;          /* bytes of request line and headers, 64 KiB */
    unsigned max_connections;   /* 0: what the open-file limit allows */
    unsigned idle_timeout_s;    /* a connection with no traffic and no pending answer; 60 */
    unsigned receive_timeout_s; /* for a request to arrive whole, from its first byte; 60: INV-49 */
    size_t max_backlog;       /* bytes queued for one stream before it is cut off; 64 MiB: INV-50 */
    const char *cors_origins; /* comma-separated allow-list, "*" or NULL */
};

/* Called on the loop for each complete request. */
typedef void (*rv_http_handler)(void *ctx, struct rv_http_request *req);

RV_MUST_USE int rv_http_server_start(uv_loop_t *loop, const struct rv_http_config *config,
                                     rv_http_handler handler, void *ctx,
                                     struct rv_http_server **out, struct rv_error *err);
uint16_t rv_http_server_port(const struct rv_http_server *s);
/* Closes the socket and every connection; on_close of streams is called; pending handles are
 * dropped. After this no callback is made. The loop must run once more to free all. */
struct rv_http_server *rv_http_server_stop(struct rv_http_server *s);

/* Takes the bodies of chosen requests as they arrive, instead of whole: no limit on their size or
 * time, and never more of one in memory than a connection's pool (max_header). */
struct rv_http_body_stream {
    /* The head is complete: whether this request's body is taken so. It may set data, not answer.
     */
    bool (*wants)(void *ctx, struct rv_http_request *req);
    /* A piece has come; gives how many of its bytes were taken. If not all, the rest is kept back,
     * and the client with it, until rv_http_body_more(). */
    size_t (*on_data)(void *ctx, struct rv_http_request *req, struct rv_str piece);
    /* The body is complete: to be answered now or later, like any other request. */
    void (*on_end)(void *ctx, struct rv_http_request *req);
};
/* To be set before the loop runs; NULL: none. A request whose body still comes may be answered at
 * any time, from on_data too, with rv_http_reply, _take or _text and no headers of its own: the
 * connection is closed after. If its client goes away meanwhile, on_abandoned is called and the
 * handle is gone with its return. */
void rv_http_server_set_body_stream(struct rv_http_server *s,
                                    const struct rv_http_body_stream *handler, void *ctx);
/* There is room again: on_data is called from the loop with what was kept back. */
void rv_http_body_more(struct rv_http_request *req);

struct rv_http_counters {
    uint64_t requests, rejected /* 4xx made by the server itself */, streams_cut, connections;
};
struct rv_http_counters rv_http_server_counters(const struct rv_http_server *s);

/* Of a request; strings are borrowed until it is answered. */
const char *rv_http_method(const struct rv_http_request *req);
const char *rv_http_path(const struct rv_http_request *req); /* decoded, without the query */
/* Path and query as the client sent them. */
const char *rv_http_target(const struct rv_http_request *req);
const char *rv_http_query(const struct rv_http_request *req, const char *name); /* NULL if absent */
const char *rv_http_header(const struct rv_http_request *req,
                           const char *name); /* NULL if absent */
struct rv_str rv_http_body(const struct rv_http_request *req);
const char *rv_http_peer(const struct rv_http_request *req); /* "127.0.0.1:4711" */
/* A place for the owner's data; on_abandoned(data, req) is called if the client goes away first. */
void rv_http_set_data(struct rv_http_request *req, void *data,
                      void (*on_abandoned)(void *data, struct rv_http_request *req));

void *rv_http_data(const struct rv_http_request *req);

/* Answers: copies the body; content_type may be NULL. The handle is gone after the call.
 * headers: NULL, or name, value, name, value..., NULL. */
void rv_http_reply(struct rv_http_request *req, int status, const char *content_type,
                   struct rv_str body, const char *const *headers);
/* The same, taking over a body's memory (malloc) instead of copying it. */
void rv_http_reply_take(struct rv_http_request *req, int status, const char *content_type,
                        struct rv_buf *body, const char *const *headers);
/* The same, borrowing a large body: done(ctx) is called from the loop once it is not needed any
 * more, sent or not. */
void rv_http_reply_borrowed(struct rv_http_request *req, int status, const char *content_type,
                            struct rv_str body, const char *const *headers, void (*done)(void *ctx),
                            void *ctx);
/* text/plain, printf-formatted. */
void rv_http_reply_text(struct rv_http_request *req, int status, const char *format, ...)
    RV_PRINTF(3, 4);
/* Streams a file region with sendfile semantics: the descriptor is taken over. */
void rv_http_reply_fd(struct rv_http_request *req, int status, const char *content_type, int fd,
                      uint64_t offset, uint64_t size, const char *const *headers);

/* Answers with a chunked body that stays open. on_close(ctx) is called once, when the client or
 * the server ends it or its backlog overflows; the handle is invalid from then on. */
struct rv_http_stream *rv_http_stream_start(struct rv_http_request *req, int status,
                                            const char *content_type, const char *const *headers,
                                            void (*on_close)(void *ctx), void *ctx);
/* Queues bytes that go out as exactly one HTTP chunk, never merged with others nor split; sent
 * before the loop sleeps. The blob is shared, not copied; an empty one is ignored. A stream over
 * its backlog is closed: 0, or -RV_ERR_LIMIT, after which on_close is called from the loop (the
 * handle is valid until then). One chunk larger than max_backlog is allowed if nothing else is
 * queued. */
int rv_http_stream_send(struct rv_http_stream *s, const struct rv_blob *chunk);
/* Of a stream to which nothing was sent yet: from now on what is sent waits (a second hold drops
 * what does), until the release sends one chunk of a head (RV_HTTP_MAX_HEAD at most, copied) and of
 * borrowed bytes before it. These do not count in the backlog, but must be taken as an answer is:
 * done(ctx) is called once they are not needed any more, sent or not. */
#define RV_HTTP_MAX_HEAD 24
void rv_http_stream_hold(struct rv_http_stream *s);
void rv_http_stream_release(struct rv_http_stream *s, struct rv_str head, struct rv_str bytes,
                            void (*done)(void *ctx), void *ctx);
size_t rv_http_stream_backlog(const struct rv_http_stream *s); /* bytes not yet taken */
/* Ends the body after what is queued. on_close is not called any more; the handle is gone. */
void rv_http_stream_end(struct rv_http_stream *s);
/* Ends the connection, from the loop, without what is queued. Otherwise as rv_http_stream_end. */
void rv_http_stream_cut(struct rv_http_stream *s);

#endif
