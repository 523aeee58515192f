/*
 * A minimal HTTP client on one non-blocking socket, for a poll(2) loop: requests are sent one at a
 * time, responses come by the handler of wire/http1.h. Knows no names: addresses are numeric.
 */
#ifndef RV_EXECUTOR_HTTP_H
#define RV_EXECUTOR_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/str.h"
#include "wire/http1.h"

struct rv_http_address {
    struct sockaddr_storage address;
    socklen_t size;
};
/* "127.0.0.1:5051", "[::1]:5051", "localhost:5051". */
RV_MUST_USE int rv_http_address_parse(const char *text, struct rv_http_address *out,
                                      struct rv_error *err);
void rv_http_address_loopback(unsigned port, struct rv_http_address *out);

struct rv_http {
    int fd; /* -1: closed */
    bool connected;
    bool in_parser, broken; /* closed from within a callback */
    struct rv_buf out;
    struct rv_http1_parser *parser;
};

/* Starts to connect; the handler may close. */
RV_MUST_USE int rv_http_open(struct rv_http *h, const struct rv_http_address *to,
                             const struct rv_http1_handler *handler, void *ctx,
                             struct rv_error *err);
void rv_http_close(struct rv_http *h);         /* also in a handler; closed is fine */
short rv_http_events(const struct rv_http *h); /* for poll */
/* After poll; 0, or an error: then it is closed. The end of the stream is -RV_ERR_CLOSED. */
RV_MUST_USE int rv_http_io(struct rv_http *h, short revents, struct rv_error *err);

#endif
