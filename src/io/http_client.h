/*
 * A small HTTP/1.1 client on libuv: calls on kept-alive connections to one server, in order, and
 * streaming answers on connections of their own. Built on wire/http1.h.
 */
#ifndef RV_IO_HTTP_CLIENT_H
#define RV_IO_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "base/str.h"
#include "wire/http1.h"

struct rv_http_client; /* to one host:port */
struct rv_http_call;   /* one request under way */

struct rv_http_client_config {
    const char *host; /* name or address; resolved at each connect */
    uint16_t port;
    unsigned connect_timeout_ms; /* name and connection together; 0: 5,000 */
    unsigned call_timeout_ms;    /* for a whole answer that is no stream, from when the call is sent
                                  * on; 0: none */
    unsigned idle_close_ms;      /* a kept connection is closed after so long; 0: 5,000 */
    unsigned max_connections;    /* calls in parallel; further ones queue; 0 is 1: strict order */
    const char *local_ip;        /* numeric address to connect from; NULL: the system's choice */
};

struct rv_http_client *rv_http_client_new(uv_loop_t *loop,
                                          const struct rv_http_client_config *config);
/* Cancels what is under way: their on_done is called with -RV_ERR_CLOSED before this returns. The
 * loop must run once more to free all. The process must ignore SIGPIPE. */
struct rv_http_client *rv_http_client_free(struct rv_http_client *c);

struct rv_http_call_handler {
    /* Streaming only (may be NULL otherwise): the head came; returns false to end the call, which
     * on_done then hears of as -RV_ERR_CONFLICT. */
    bool (*on_head)(void *ctx, int status, const struct rv_http1_header *headers, size_t n);
    /* Streaming only: a piece of a body. */
    void (*on_body)(void *ctx, struct rv_str bytes);
    /* Always called exactly once, last. result: 0 if the answer was complete, else a negative
     * error with err filled. Without on_body, body is the whole answer. headers as above. */
    void (*on_done)(void *ctx, int result, int status, const struct rv_http1_header *headers,
                    size_t n, struct rv_str body, const struct rv_error *err);
};

/* Sends method path with extra headers ("Name: value\r\n" lines or NULL) and a body (copied).
 * stream: the answer goes on; it gets a connection of its own and no call timeout.
 * A call on a kept connection that turns out to be closed is sent again once, on a new one. */
struct rv_http_call *rv_http_client_call(struct rv_http_client *c, const char *method,
                                         const char *path, const char *extra_headers,
                                         struct rv_str body, bool stream,
                                         const struct rv_http_call_handler *handler, void *ctx);
/* Ends a call; on_done is not called. Fine from every callback but the call's own on_done. */
void rv_http_call_cancel(struct rv_http_call *call);

#endif
