/* The client of http.h. Holds: the parser lives as long as the socket, but never ends under a
 * callback of its own: a close in there is done when the callback has returned. */
#include "executor/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void rv_http_address_loopback(unsigned port, struct rv_http_address *out) {
    struct sockaddr_in *in = (struct sockaddr_in *)&out->address;

    memset(out, 0, sizeof *out);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_port = htons((uint16_t)port);
    out->size = sizeof *in;
}

int rv_http_address_parse(const char *text, struct rv_http_address *out, struct rv_error *err) {
    const char *colon = strrchr(text, ':');
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->address;
    char host[64];
    uint64_t port;
    size_t n;

    if (!colon || rv_parse_u64(colon + 1, 65535, &port) || port == 0 ||
        (size_t)(colon - text) >= sizeof host)
        return rv_error_set(err, RV_ERR_INVALID, "'%s' is no address and port", text);
    n = (size_t)(colon - text);
    memcpy(host, text, n);
    host[n] = '\0';
    rv_http_address_loopback((unsigned)port, out);
    if (strcmp(host, "localhost") == 0 ||
        inet_pton(AF_INET, host, &((struct sockaddr_in *)&out->address)->sin_addr) == 1)
        return 0;
    if (strchr(host, ':')) {
        bool brackets = n > 2 && host[0] == '[' && host[n - 1] == ']';
        if (brackets)
            host[n - 1] = '\0';
        memset(out, 0, sizeof *out);
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        out->size = sizeof *in6;
        if (inet_pton(AF_INET6, host + brackets, &in6->sin6_addr) == 1)
            return 0;
    }
    return rv_error_set(err, RV_ERR_INVALID, "'%s' is no numeric address and port", text);
}

void rv_http_close(struct rv_http *h) {
    if (h->in_parser) {
        h->broken = true;
        return;
    }
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
    h->connected = h->broken = false;
    h->parser = rv_http1_parser_free(h->parser);
    rv_buf_free(&h->out);
}

int rv_http_open(struct rv_http *h, const struct rv_http_address *to,
                 const struct rv_http1_handler *handler, void *ctx, struct rv_error *err) {
    int one = 1, rc;

    rv_http_close(h);
    h->fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (h->fd < 0)
        return rv_error_set(err, RV_ERR_IO, "socket: %s", strerror(errno));
    setsockopt(h->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(h->fd, (const struct sockaddr *)&to->address, to->size) != 0 &&
        errno != EINPROGRESS) {
        rc = rv_error_set(err, RV_ERR_IO, "connect: %s", strerror(errno));
        rv_http_close(h);
        return rc;
    }
    h->parser = rv_http1_parser_new(handler, ctx);
    return 0;
}

short rv_http_events(const struct rv_http *h) {
    return (short)(POLLIN | (!h->connected || h->out.n ? POLLOUT : 0));
}

static int write_out(struct rv_http *h, struct rv_error *err) {
    if (!h->connected) {
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
            error = errno;
        if (error)
            return rv_error_set(err, RV_ERR_IO, "connect: %s", strerror(error));
        h->connected = true;
    }
    while (h->out.n) {
        ssize_t n = send(h->fd, h->out.data, h->out.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0)
            return rv_error_set(err, RV_ERR_IO, "send: %s", strerror(errno));
        rv_buf_consume(&h->out, (size_t)n);
    }
    return 0;
}

static int read_in(struct rv_http *h, struct rv_error *err) {
    char bytes[8192];

    for (;;) {
        ssize_t n = recv(h->fd, bytes, sizeof bytes, 0);
        int rc;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0)
            return rv_error_set(err, RV_ERR_IO, "recv: %s", strerror(errno));
        h->in_parser = true;
        rc = n ? rv_http1_parser_feed(h->parser, rv_strn(bytes, (size_t)n), err)
               : rv_http1_parser_eof(h->parser, err);
        h->in_parser = false;
        if (rc)
            return rc;
        if (n == 0 || h->broken)
            return rv_error_set(err, RV_ERR_CLOSED, "The connection was closed");
        if ((size_t)n < sizeof bytes)
            return 0;
    }
}

int rv_http_io(struct rv_http *h, short revents, struct rv_error *err) {
    int rc = 0;

    if (revents & (POLLOUT | POLLERR | POLLHUP))
        rc = write_out(h, err);
    if (!rc && revents & (POLLIN | POLLERR | POLLHUP))
        rc = read_in(h, err);
    if (rc)
        rv_http_close(h);
    return rc;
}
