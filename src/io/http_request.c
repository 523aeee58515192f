/*
 * A request of the HTTP server from its first line to its answer, and what can be asked of it.
 *
 * MHD calls in this order: the request line (http_request_line makes the object), the head, each
 * piece of the body, the end (all http_request_access), then once more after each resume, and at
 * last http_request_completed, which frees the object. A request whose handler does not answer at
 * once is suspended. If its client goes away it stays suspended until its owner answers, so that
 * everything that was borrowed from it stays valid; the answer then only closes the connection.
 *
 * A body that is taken as it arrives is the exception: its pieces go to the taker, and what has no
 * room there stays with MHD, the connection suspended. MHD cannot answer in the middle of a body:
 * such an answer is written to the socket here, and what still comes is thrown away.
 *
 * A body over the limit is read and thrown away up to three times the limit, because closing a
 * socket with unread bytes makes the kernel throw away our 413 too.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/http_internal.h"

#define BODY_RESERVE ((size_t)64 << 10) /* of an announced length, before any of it has come */

static const char allowed_methods[] = "GET, HEAD, POST, OPTIONS";
static const char allowed_headers[] = "Content-Type, Accept, Mesos-Stream-Id, Authorization";
static const char exposed_headers[] = "Mesos-Stream-Id";

/* What can be asked */

const char *rv_http_method(const struct rv_http_request *req) {
    return req->head ? "GET" : req->method; /* MHD leaves the body of an answer to HEAD out */
}

const char *rv_http_path(const struct rv_http_request *req) {
    return req->path;
}

const char *rv_http_target(const struct rv_http_request *req) {
    return req->target;
}

const char *rv_http_query(const struct rv_http_request *req, const char *name) {
    const char *value = NULL;
    size_t n;
    if (MHD_lookup_connection_value_n(req->conn->mhd, MHD_GET_ARGUMENT_KIND, name, strlen(name),
                                      &value, &n) != MHD_YES)
        return NULL;
    return value ? value : "";
}

const char *rv_http_header(const struct rv_http_request *req, const char *name) {
    return MHD_lookup_connection_value(req->conn->mhd, MHD_HEADER_KIND, name);
}

struct rv_str rv_http_body(const struct rv_http_request *req) {
    return rv_buf_str(&req->body);
}

static void format_peer(struct rv_http_request *req) {
    const struct sockaddr *addr =
        MHD_get_connection_info(req->conn->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    char ip[INET6_ADDRSTRLEN] = "";
    if (addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)addr;
        inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip);
        snprintf(req->peer, sizeof req->peer, "[%s]:%u", ip, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const void *)addr;
        inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip);
        snprintf(req->peer, sizeof req->peer, "%s:%u", ip, ntohs(in->sin_port));
    }
}

const char *rv_http_peer(const struct rv_http_request *req) {
    if (!req->peer[0]) {
        union {
            const struct rv_http_request *given;
            struct rv_http_request *ours;
        } u = {req}; /* a cache: ours to fill */
        format_peer(u.ours);
    }
    return req->peer;
}

void rv_http_set_data(struct rv_http_request *req, void *data,
                      void (*on_abandoned)(void *data, struct rv_http_request *req)) {
    req->data = data;
    req->on_abandoned = on_abandoned;
}

void *rv_http_data(const struct rv_http_request *req) {
    return req->data;
}

/* Answers */

static const char *allowed_origin(struct rv_http_request *req) {
    char **origins = req->conn->server->origins;
    const char *origin = origins ? rv_http_header(req, "Origin") : NULL;
    for (size_t i = 0; origin && origins[i]; i++) {
        if (rv_streq(origins[i], "*"))
            return "*";
        if (rv_streq(origins[i], origin))
            return origin;
    }
    return NULL;
}

static void add_headers(struct rv_http_request *req, struct MHD_Response *response,
                        const char *content_type, const char *const *headers) {
    if (content_type)
        MHD_add_response_header(response, "Content-Type", content_type);
    for (; headers && headers[0]; headers += 2)
        MHD_add_response_header(response, headers[0], headers[1]);
    if (!req->origin)
        return;
    MHD_add_response_header(response, "Access-Control-Allow-Origin", req->origin);
    MHD_add_response_header(response, "Access-Control-Expose-Headers", exposed_headers);
    if (!rv_streq(req->origin, "*"))
        MHD_add_response_header(response, "Vary", "Origin");
}

/* Sets the answer: it is queued by http_request_access, now or after the resume. */
static void answer(struct rv_http_request *req, int status, struct MHD_Response *response) {
    RV_ASSERT(response);
    RV_ASSERT(req->state != HTTP_REQ_ANSWERED && req->state != HTTP_REQ_TAKING);
    req->on_abandoned = NULL;
    if (req->abandoned || req->state == HTTP_REQ_DROPPED) {
        MHD_destroy_response(response);
        req->state = HTTP_REQ_DROPPED;
    } else {
        req->response = response;
        req->status = status;
        req->state = HTTP_REQ_ANSWERED;
    }
    http_conn_resume(req->conn);
}

/* An answer while the body still comes. Nothing was written to this socket for this request, so
 * that a short answer always fits. */
static void answer_early(struct rv_http_request *req, int status, const char *content_type,
                         struct rv_str body) {
    struct http_conn *c = req->conn;
    _cleanup_(rv_buf_free) struct rv_buf out = {0};

    rv_buf_printf(&out, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %zu\r\n", status,
                  MHD_get_reason_phrase_for((unsigned)status), body.n);
    if (content_type)
        rv_buf_printf(&out, "Content-Type: %s\r\n", content_type);
    if (req->origin)
        rv_buf_printf(&out, "Access-Control-Allow-Origin: %s\r\n", req->origin);
    rv_buf_puts(&out, "\r\n");
    rv_buf_append(&out, body.s, body.n);
    req->on_abandoned = NULL;
    req->held = false;
    req->state = HTTP_REQ_CLOSING;
    http_conn_set_stage(c, HTTP_RECEIVING); /* so long it may still send */
    if (send(c->fd, out.data, out.n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)out.n)
        shutdown(c->fd, SHUT_WR);
    else
        shutdown(c->fd, SHUT_RDWR);
    http_conn_resume(c);
}

static void answer_buffer(struct rv_http_request *req, int status, const char *content_type,
                          void *body, size_t n, enum MHD_ResponseMemoryMode mode,
                          const char *const *headers) {
    if (req->state == HTTP_REQ_TAKING) {
        answer_early(req, status, content_type, rv_strn(body, n));
        if (mode == MHD_RESPMEM_MUST_FREE)
            free(body);
        return;
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(n, body, mode);
    RV_ASSERT(response);
    add_headers(req, response, content_type, headers);
    answer(req, status, response);
}

void rv_http_reply(struct rv_http_request *req, int status, const char *content_type,
                   struct rv_str body, const char *const *headers) {
    union {
        const char *given;
        void *ours;
    } u = {body.s ? body.s : ""}; /* copied, not written to */
    answer_buffer(req, status, content_type, u.ours, body.n, MHD_RESPMEM_MUST_COPY, headers);
}

void rv_http_reply_take(struct rv_http_request *req, int status, const char *content_type,
                        struct rv_buf *body, const char *const *headers) {
    size_t n = body->n;
    if (!body->data) {
        rv_http_reply(req, status, content_type, RV_STR(""), headers);
        return;
    }
    char *data = rv_buf_take(body, &n);
    answer_buffer(req, status, content_type, data, n, MHD_RESPMEM_MUST_FREE, headers);
}

void rv_http_reply_borrowed(struct rv_http_request *req, int status, const char *content_type,
                            struct rv_str body, const char *const *headers, void (*done)(void *ctx),
                            void *ctx) {
    union {
        const char *given;
        void *ours;
    } u = {body.s}; /* read, not written to */
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback_cls(body.n, u.ours, done, ctx);
    RV_ASSERT(response);
    add_headers(req, response, content_type, headers);
    answer(req, status, response);
}

void rv_http_reply_text(struct rv_http_request *req, int status, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    char *text = rv_vasprintf(format, ap);
    va_end(ap);
    answer_buffer(req, status, "text/plain", text, strlen(text), MHD_RESPMEM_MUST_FREE, NULL);
}

void rv_http_reply_fd(struct rv_http_request *req, int status, const char *content_type, int fd,
                      uint64_t offset, uint64_t size, const char *const *headers) {
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(size, fd, offset);
    RV_ASSERT(response);
    add_headers(req, response, content_type, headers);
    answer(req, status, response);
}

/* Streams: the object is made here, its life is in http_stream.c */

/* Gives whole pages of a buffer that we may fill as we like, and never shall, back to the kernel:
 * MHD has written zeros into half of its pool by the time that the head is out, and an idle stream
 * would keep those 16 KiB resident. */
static void release_pages(char *buffer, size_t size) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)buffer + page - 1) & ~(page - 1);
    uintptr_t to = ((uintptr_t)buffer + size) & ~(page - 1);
    if (from < to)
        (void)madvise(buffer + (from - (uintptr_t)buffer), to - from, MADV_DONTNEED);
}

static ssize_t stream_reader(void *cls, uint64_t position, char *out, size_t size) {
    struct rv_http_stream *stream = cls;
    (void)position;
    if (stream->failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (stream->finish)
        return MHD_CONTENT_READER_END_OF_STREAM;
    struct http_conn *c = stream->request->conn;
    http_conn_suspend(c);
    stream->writing = true; /* the head is out */
    release_pages(out, size);
    if (!rv_list_linked(&stream->flush))
        rv_list_append(&c->server->to_flush, &stream->flush);
    return 0;
}

struct rv_http_stream *rv_http_stream_start(struct rv_http_request *req, int status,
                                            const char *content_type, const char *const *headers,
                                            void (*on_close)(void *ctx), void *ctx) {
    struct rv_http_stream *stream = rv_calloc(1, sizeof *stream);
    stream->request = req;
    stream->on_close = on_close;
    stream->ctx = ctx;
    req->stream = stream;
    /* The block size is for MHD's own buffer, which we never fill. */
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16, stream_reader, stream, NULL);
    RV_ASSERT(response);
    add_headers(req, response, content_type, headers);
    if (req->abandoned) { /* on_close follows from the loop, not from inside of this call */
        stream->failed = true;
        stream->state = HTTP_STREAM_CUT;
        rv_list_append(&req->conn->server->to_flush, &stream->flush);
    }
    answer(req, status, response);
    return stream;
}

/* From MHD */

void *http_request_line(void *cls, const char *uri, struct MHD_Connection *mhd) {
    struct rv_http_request *req = rv_calloc(1, sizeof *req);
    (void)cls;
    req->conn = http_conn_of(mhd);
    req->bad_path = !uri || strstr(uri, "%00");
    req->target = rv_strdup(uri);
    req->conn->request = req;
    req->conn->fresh = false;
    req->conn->rejected = false;
    http_conn_set_stage(req->conn, HTTP_RECEIVING);
    return req;
}

static enum MHD_Result queue(struct rv_http_request *req) {
    struct MHD_Response *response = TAKE_PTR(req->response);
    enum MHD_Result result = MHD_queue_response(req->conn->mhd, (unsigned)req->status, response);
    MHD_destroy_response(response); /* MHD holds a reference if it took it */
    if (result != MHD_YES)
        return MHD_NO;
    if (!req->stream)
        http_conn_set_stage(req->conn, HTTP_SENDING);
    else
        http_watch_add(req->conn);
    return MHD_YES;
}

static enum MHD_Result reject(struct rv_http_request *req, int status, const char *text) {
    http_conn_rejected(req->conn);
    rv_http_reply_text(req, status, "%s\n", text);
    return queue(req);
}

/* The head is complete, the body (if any) is not. Answering here ends the connection after. */
static enum MHD_Result on_head(struct rv_http_request *req, const char *url, const char *method,
                               const char *version) {
    const struct rv_http_server *s = req->conn->server;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->conn->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *length = rv_http_header(req, "Content-Length");
    uint64_t n = 0;

    req->state = HTTP_REQ_BODY;
    req->method = rv_strdup(method);
    req->head = rv_streq(method, "HEAD");
    req->path = rv_strdup(url);
    req->chunked = !rv_streq(version, "HTTP/1.0");
    req->origin = allowed_origin(req);
    if (info && info->header_size > s->max_header)
        return reject(req, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, "The head is too large.");
    if (s->taker.wants && !req->bad_path && s->taker.wants(s->taker_ctx, req)) {
        req->state = HTTP_REQ_TAKING;
        http_conn_set_stage(req->conn, HTTP_ANSWERING);
        return MHD_YES;
    }
    if (length && rv_parse_u64(length, UINT64_MAX, &n) < 0)
        n = 0; /* MHD has refused what is no number */
    if (n > s->max_body) {
        req->too_large = true;
        if (rv_http_header(req, "Expect") || n > 3 * (uint64_t)s->max_body)
            return reject(req, MHD_HTTP_CONTENT_TOO_LARGE, "The body is too large.");
    } else if (n > 0) {
        rv_buf_reserve(&req->body, RV_MIN((size_t)n, BODY_RESERVE));
    }
    return MHD_YES;
}

static enum MHD_Result on_body(struct rv_http_request *req, const char *bytes, size_t *n) {
    size_t limit = req->conn->server->max_body;
    req->received += *n;
    if (req->received > limit) {
        req->too_large = true;
        rv_buf_free(&req->body);
        if (req->received / 3 > limit) {
            http_conn_rejected(req->conn);
            return MHD_NO;
        }
    }
    if (!req->too_large)
        rv_buf_append(&req->body, bytes, *n);
    *n = 0;
    return MHD_YES;
}

/* The client of a body that still comes has gone: its taker hears of it, and has no handle after.
 */
static void taking_ends(struct rv_http_request *req) {
    void (*call)(void *, struct rv_http_request *) = req->on_abandoned;

    req->on_abandoned = NULL;
    if (call)
        call(req->data, req);
    req->state = HTTP_REQ_DROPPED;
    req->held = false;
}

static enum MHD_Result on_taken_body(struct rv_http_request *req, const char *bytes, size_t *n) {
    struct rv_http_server *s = req->conn->server;
    size_t taken = s->taker.on_data(s->taker_ctx, req, rv_strn(bytes, *n));

    if (s->stopping)
        return MHD_NO;
    RV_ASSERT(taken <= *n);
    *n -= req->state == HTTP_REQ_TAKING ? taken : *n;
    if (*n == 0)
        return MHD_YES;
    if (req->conn->gone) {
        taking_ends(req);
        return MHD_NO;
    }
    req->held = true;
    http_conn_suspend(req->conn);
    http_watch_add(req->conn);
    return MHD_YES;
}

void rv_http_body_more(struct rv_http_request *req) {
    if (req->state != HTTP_REQ_TAKING || !req->held)
        return;
    req->held = false;
    http_conn_resume(req->conn);
}

static bool is_preflight(const struct rv_http_request *req) {
    return req->origin && rv_streq(req->method, "OPTIONS") &&
           rv_http_header(req, "Access-Control-Request-Method");
}

static void preflight(struct rv_http_request *req) {
    const char *const headers[] = {"Access-Control-Allow-Methods",
                                   allowed_methods,
                                   "Access-Control-Allow-Headers",
                                   allowed_headers,
                                   "Access-Control-Max-Age",
                                   "600",
                                   NULL};
    rv_http_reply(req, MHD_HTTP_NO_CONTENT, NULL, RV_STR(""), headers);
}

static enum MHD_Result on_complete(struct rv_http_request *req) {
    struct http_conn *c = req->conn;
    struct rv_http_server *s = c->server;
    bool taken = req->state == HTTP_REQ_TAKING;

    if (req->too_large)
        return reject(req, MHD_HTTP_CONTENT_TOO_LARGE, "The body is too large.");
    if (req->bad_path)
        return reject(req, MHD_HTTP_BAD_REQUEST, "The path is invalid.");
    s->counters.requests++;
    req->state = HTTP_REQ_HANDLING;
    http_conn_set_stage(c, HTTP_ANSWERING);
    if (taken)
        s->taker.on_end(s->taker_ctx, req);
    else if (is_preflight(req))
        preflight(req);
    else
        s->handler(s->ctx, req);
    if (s->stopping)
        return MHD_NO;
    if (req->state == HTTP_REQ_ANSWERED)
        return queue(req);
    req->state = HTTP_REQ_PENDING;
    http_conn_suspend(c);
    http_watch_add(c);
    if (c->gone)
        http_request_client_gone(req);
    return MHD_YES;
}

enum MHD_Result http_request_access(void *cls, struct MHD_Connection *mhd, const char *url,
                                    const char *method, const char *version, const char *upload,
                                    size_t *upload_size, void **request) {
    struct rv_http_server *s = cls;
    struct rv_http_request *req = *request;
    (void)mhd;
    if (s->stopping)
        return MHD_NO;
    switch (req->state) {
    case HTTP_REQ_LINE:
        return on_head(req, url, method, version);
    case HTTP_REQ_BODY:
        if (*upload_size > 0)
            return on_body(req, upload, upload_size);
        return on_complete(req);
    case HTTP_REQ_TAKING:
        if (*upload_size > 0)
            return on_taken_body(req, upload, upload_size);
        return on_complete(req);
    case HTTP_REQ_CLOSING:
        if (*upload_size == 0)
            break;
        *upload_size = 0;
        return MHD_YES;
    case HTTP_REQ_ANSWERED:
        return req->response ? queue(req) : MHD_YES;
    case HTTP_REQ_PENDING:
    case HTTP_REQ_HANDLING:
    case HTTP_REQ_DROPPED:
        break;
    }
    return MHD_NO;
}

void http_request_client_gone(struct rv_http_request *req) {
    if (req->state == HTTP_REQ_TAKING) {
        if (req->held) {
            taking_ends(req);
            http_conn_resume(req->conn);
        }
        return; /* else MHD reads, and sees for itself */
    }
    if (req->abandoned)
        return;
    req->abandoned = true;
    if (req->on_abandoned) {
        void (*call)(void *, struct rv_http_request *) = req->on_abandoned;
        req->on_abandoned = NULL;
        call(req->data, req); /* may answer, so that req is not to be touched after */
    }
}

void http_request_completed(void *cls, struct MHD_Connection *mhd, void **request,
                            enum MHD_RequestTerminationCode code) {
    struct rv_http_server *s = cls;
    struct rv_http_request *req = *request;
    (void)code;
    if (!req)
        return;
    *request = NULL;
    struct http_conn *c = req->conn;
    if (req->state == HTTP_REQ_TAKING)
        taking_ends(req);
    const union MHD_ConnectionInfo *status =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_HTTP_STATUS);
    if (req->state <= HTTP_REQ_BODY && status && status->http_status >= 400)
        http_conn_rejected(c); /* MHD's own answer to what it could not parse */
    if (req->stream) {
        if (!s->stopping)
            http_stream_close(req->stream);
        http_stream_free(req->stream);
    }
    if (req->response)
        MHD_destroy_response(req->response);
    c->request = NULL;
    if (!s->stopping)
        http_conn_set_stage(c, HTTP_IDLE);
    rv_buf_free(&req->body);
    free(req->method);
    free(req->path);
    free(req->target);
    free(req);
}
