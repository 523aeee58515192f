/*
 * Bodies that stay open, and the watch for clients that go away.
 *
 * Once MHD has sent the head of a stream, its connection is suspended for good and we write the
 * chunks to the socket ourselves, straight from the shared blobs. So one send is exactly one chunk
 * whatever its size, nothing is copied, and an event to 18,000 streams does not make MHD walk its
 * list of 18,000 suspended connections. At the end MHD is resumed: it writes the last chunk or
 * closes. (With TLS in front, write_some() is the place that would have to change.)
 *
 * The watch is an epoll set of its own with the sockets of open streams and pending requests, edge
 * triggered: MHD does not see that a suspended connection's client has closed. It also tells when a
 * full socket takes bytes again. An idle stream costs one entry there and no timer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "io/http_internal.h"

#define CHUNKS_A_WRITE 64
#define EVENTS_A_WAIT 256

/* The watch */

void http_watch_add(struct http_conn *c) {
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (c->watched)
        return;
    c->watched = epoll_ctl(c->server->watch_fd, EPOLL_CTL_ADD, c->fd, &event) == 0;
    if (!c->watched && c->request && c->request->stream)
        http_conn_abort(c); /* no memory for it: unwatched it could stay for ever */
}

void http_watch_remove(struct http_conn *c) {
    if (c->watched)
        (void)epoll_ctl(c->server->watch_fd, EPOLL_CTL_DEL, c->fd, NULL);
    c->watched = false;
}

static void to_flush(struct rv_http_stream *stream) {
    if (!rv_list_linked(&stream->flush))
        rv_list_append(&stream->request->conn->server->to_flush, &stream->flush);
}

static void watch_event(struct http_conn *c, uint32_t events) {
    struct rv_http_request *req = c->request;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        c->gone = true;
        if (req && req->stream)
            http_stream_fail(req->stream);
        else if (req && (req->state == HTTP_REQ_PENDING || req->state == HTTP_REQ_TAKING))
            http_request_client_gone(req);
        return; /* in other states MHD reads, and sees for itself */
    }
    if (req && req->stream && (events & EPOLLOUT)) {
        req->stream->blocked = false;
        if (req->stream->first)
            to_flush(req->stream);
    }
}

void http_watch_events(struct rv_http_server *s) {
    struct epoll_event events[EVENTS_A_WAIT];
    int n;
    do {
        n = epoll_wait(s->watch_fd, events, EVENTS_A_WAIT, 0);
        for (int i = 0; i < n && !s->stopping; i++)
            watch_event(events[i].data.ptr, events[i].events);
    } while (n == EVENTS_A_WAIT && !s->stopping);
}

/* Writing */

static void drop_first(struct rv_http_stream *stream) {
    struct http_chunk *chunk = stream->first;
    if (chunk->done && stream->state == HTTP_STREAM_OPEN)
        http_conn_set_stage(stream->request->conn, HTTP_ANSWERING);
    stream->first = chunk->next;
    if (!stream->first)
        stream->last = NULL;
    stream->backlog -= chunk->counted;
    rv_blob_unref(chunk->blob);
    if (chunk->done)
        chunk->done(chunk->ctx);
    free(chunk);
}

static void drop_chunks(struct rv_http_stream *stream) {
    while (stream->first)
        drop_first(stream);
}

static size_t chunk_size(const struct rv_http_stream *stream, const struct http_chunk *chunk) {
    return chunk->head_n + chunk->bytes.n + (stream->request->chunked ? 2 : 0);
}

static void add_part(struct iovec *v, int *n, size_t *skip, const void *bytes, size_t size) {
    size_t skipped = RV_MIN(*skip, size);
    *skip -= skipped;
    if (size > skipped)
        v[(*n)++] = (struct iovec){(char *)(uintptr_t)bytes + skipped, size - skipped};
}

/* Writes what the socket takes of the first chunks; false if it takes no more. */
static bool write_some(struct rv_http_stream *stream) {
    struct iovec v[CHUNKS_A_WRITE * 3];
    struct msghdr message = {.msg_iov = v};
    int n = 0;
    struct http_chunk *chunk = stream->first;
    for (int i = 0; chunk && i < CHUNKS_A_WRITE; i++, chunk = chunk->next) {
        size_t skip = chunk->sent;
        add_part(v, &n, &skip, chunk->head, chunk->head_n);
        add_part(v, &n, &skip, chunk->bytes.s, chunk->bytes.n);
        if (stream->request->chunked)
            add_part(v, &n, &skip, "\r\n", 2);
    }
    message.msg_iovlen = (size_t)n;
    ssize_t sent = sendmsg(stream->request->conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
        if (errno == EAGAIN)
            stream->blocked = true;
        else if (errno != EINTR)
            http_stream_fail(stream);
        return errno == EINTR;
    }
    size_t left = (size_t)sent;
    while (left > 0) {
        chunk = stream->first;
        size_t take = RV_MIN(left, chunk_size(stream, chunk) - chunk->sent);
        chunk->sent += take;
        left -= take;
        if (chunk->sent < chunk_size(stream, chunk))
            break;
        drop_first(stream);
    }
    return true;
}

static void flush_stream(struct rv_http_stream *stream) {
    struct http_conn *c = stream->request->conn;
    if (stream->state == HTTP_STREAM_CUT) {
        http_stream_fail(stream);
        return;
    }
    if (!stream->writing || stream->failed || stream->finish || stream->held)
        return;
    if (c->gone) { /* it closed before the head was out */
        http_stream_fail(stream);
        return;
    }
    while (stream->first && !stream->blocked && write_some(stream))
        ;
    if (stream->state == HTTP_STREAM_ENDED && !stream->first && !stream->failed) {
        stream->finish = true;
        stream->writing = false;
        http_conn_resume(c);
    }
}

void http_streams_flush(struct rv_http_server *s) {
    struct rv_list now;
    if (rv_list_empty(&s->to_flush))
        return;
    /* Only those that wait now: what is sent meanwhile gets its turn in the next round. */
    now = s->to_flush;
    now.next->prev = now.prev->next = &now;
    rv_list_init(&s->to_flush);
    while (!rv_list_empty(&now)) {
        struct rv_http_stream *stream = RV_LIST_ENTRY(now.next, struct rv_http_stream, flush);
        rv_list_remove(&stream->flush);
        if (!s->stopping)
            flush_stream(stream);
    }
}

/* The ends */

void http_stream_close(struct rv_http_stream *stream) {
    enum http_stream_state before = stream->state;
    stream->state = HTTP_STREAM_CLOSED;
    drop_chunks(stream);
    if (before == HTTP_STREAM_OPEN || before == HTTP_STREAM_CUT)
        if (stream->on_close)
            stream->on_close(stream->ctx);
}

void http_stream_fail(struct rv_http_stream *stream) {
    struct http_conn *c = stream->request->conn;
    stream->writing = false;
    http_conn_abort(c);
    http_stream_close(stream);
}

void http_stream_free(struct rv_http_stream *stream) {
    rv_list_remove(&stream->flush);
    drop_chunks(stream);
    free(stream);
}

/* For users */

int rv_http_stream_send(struct rv_http_stream *stream, const struct rv_blob *blob) {
    struct rv_http_server *s = stream->request->conn->server;
    RV_ASSERT(stream->state == HTTP_STREAM_OPEN || stream->state == HTTP_STREAM_CUT);
    if (stream->state == HTTP_STREAM_CUT)
        return -RV_ERR_LIMIT;
    if (!blob || blob->n == 0)
        return 0; /* an empty chunk would end the body */
    if (stream->backlog + blob->n > s->max_backlog && stream->backlog > 0) {
        s->counters.streams_cut++;
        drop_chunks(stream);
        stream->state = HTTP_STREAM_CUT; /* on_close follows from the loop, not from inside here */
        to_flush(stream);
        return -RV_ERR_LIMIT;
    }
    struct http_chunk *chunk = rv_malloc(sizeof *chunk);
    *chunk = (struct http_chunk){
        .bytes = rv_strn(blob->data, blob->n), .counted = blob->n, .blob = rv_blob_ref(blob)};
    if (stream->request->chunked)
        chunk->head_n = (uint8_t)snprintf(chunk->head, sizeof chunk->head, "%x\r\n", blob->n);
    if (stream->last)
        stream->last->next = chunk;
    else
        stream->first = chunk;
    stream->last = chunk;
    stream->backlog += blob->n;
    if (!stream->blocked && !stream->held)
        to_flush(stream);
    return 0;
}

void rv_http_stream_hold(struct rv_http_stream *stream) {
    if (stream->state != HTTP_STREAM_OPEN)
        return;
    RV_ASSERT(stream->held || !stream->first);
    drop_chunks(stream);
    stream->held = true;
}

void rv_http_stream_release(struct rv_http_stream *stream, struct rv_str head, struct rv_str bytes,
                            void (*done)(void *ctx), void *ctx) {
    RV_ASSERT(head.n <= RV_HTTP_MAX_HEAD);
    if (stream->state != HTTP_STREAM_OPEN) { /* cut off meanwhile */
        done(ctx);
        return;
    }
    struct http_chunk *chunk = rv_malloc(sizeof *chunk);
    *chunk = (struct http_chunk){.bytes = bytes, .done = done, .ctx = ctx, .next = stream->first};
    if (stream->request->chunked)
        chunk->head_n =
            (uint8_t)snprintf(chunk->head, sizeof chunk->head, "%zx\r\n", head.n + bytes.n);
    memcpy(chunk->head + chunk->head_n, head.s, head.n);
    chunk->head_n = (uint8_t)(chunk->head_n + head.n);
    stream->first = chunk;
    if (!stream->last)
        stream->last = chunk;
    stream->held = false;
    http_conn_set_stage(stream->request->conn, HTTP_SENDING);
    to_flush(stream);
}

size_t rv_http_stream_backlog(const struct rv_http_stream *stream) {
    return stream->backlog;
}

void rv_http_stream_cut(struct rv_http_stream *stream) {
    stream->on_close = NULL;
    if (stream->state == HTTP_STREAM_CUT)
        return;
    RV_ASSERT(stream->state == HTTP_STREAM_OPEN);
    drop_chunks(stream);
    stream->held = false;
    stream->state = HTTP_STREAM_CUT;
    to_flush(stream);
}

void rv_http_stream_end(struct rv_http_stream *stream) {
    RV_ASSERT(stream->state == HTTP_STREAM_OPEN || stream->state == HTTP_STREAM_CUT);
    if (stream->state == HTTP_STREAM_CUT) {
        stream->on_close = NULL;
        return;
    }
    if (stream->held) { /* what was to come first will not come */
        drop_chunks(stream);
        stream->held = false;
    }
    stream->state = HTTP_STREAM_ENDED;
    http_conn_set_stage(stream->request->conn, HTTP_SENDING);
    to_flush(stream);
}
