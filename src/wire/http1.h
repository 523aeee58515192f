/*
 * The client's half of HTTP/1.1 as a pure parser: bytes of a response in, head and body pieces
 * out. Chunked, by length, or until the connection's end; trailers and interim (1xx) responses are
 * skipped. Used by every client of ours, down to the executor, which must stay under 2 MiB: that is
 * why it is not libcurl (10 MiB resident once it has made a request).
 */
#ifndef RV_WIRE_HTTP1_H
#define RV_WIRE_HTTP1_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

struct rv_http1_header {
    const char *name, *value; /* NUL-terminated; borrowed from the parser until the next response */
};

struct rv_http1_handler {
    /* The head is complete. */
    void (*on_head)(void *ctx, int status, const struct rv_http1_header *headers, size_t n);
    void (*on_body)(void *ctx, struct rv_str bytes);
    /* The response is complete; keep_alive: the connection may carry another one. */
    void (*on_done)(void *ctx, bool keep_alive);
};

struct rv_http1_parser;
/* Copies the handler. Not for answers to HEAD requests, whose length announces no body. */
struct rv_http1_parser *rv_http1_parser_new(const struct rv_http1_handler *handler, void *ctx);
struct rv_http1_parser *rv_http1_parser_free(struct rv_http1_parser *p);
/* Feeds bytes; -RV_ERR_INVALID or -RV_ERR_LIMIT (head over 64 KiB) ends the connection. */
RV_MUST_USE int rv_http1_parser_feed(struct rv_http1_parser *p, struct rv_str bytes,
                                     struct rv_error *err);
/* The connection has ended: 0 if between responses or a body until the end is complete thereby,
 * else -RV_ERR_CLOSED. */
RV_MUST_USE int rv_http1_parser_eof(struct rv_http1_parser *p, struct rv_error *err);

/* Looks a header up, case-insensitively; NULL if absent. */
const char *rv_http1_header(const struct rv_http1_header *headers, size_t n, const char *name);

/* Appends a request: "METHOD path HTTP/1.1", Host, Content-Length if body is not NULL or the method
 * is POST or PUT, the extra headers ("Name: value\r\n"... or NULL), the body. */
void rv_http1_request(struct rv_buf *out, const char *method, const char *path, const char *host,
                      const char *extra_headers, struct rv_str body);

#endif
