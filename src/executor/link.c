/*
 * The link to the agent, see link.h. Holds: a listener is called when the link is in a state in
 * which it may be used again; call_by_ms is set exactly while the first of the calls is under way.
 */
#include "executor/link.h"

#include <stdlib.h>

#define PATH "/api/v1/executor"

enum {
    MAX_EVENT = 64 * 1024 * 1024, /* bytes */
    ANSWER_MS = 15000,            /* an agent that is slower is as good as gone */
};

int rv_link_init(struct rv_link *l, const char *endpoint, const char *token, struct rv_error *err) {
    int rc = rv_http_address_parse(endpoint, &l->agent.address, err);

    l->stream.fd = -1;
    rv_call_init(&l->caller);
    if (rc)
        return rc;
    l->host = rv_strdup(endpoint);
    l->headers =
        rv_asprintf("Content-Type: application/x-protobuf\r\n"
                    "Accept: application/x-protobuf\r\n%s%s%s",
                    token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "");
    l->agent.host = l->host;
    l->agent.headers = l->headers;
    l->stream_by_ms = l->call_by_ms = INT64_MAX;
    rv_recordio_init(&l->records, MAX_EVENT);
    return 0;
}

static void drop_calls(struct rv_link *l) {
    for (size_t i = 0; i < l->calls.n; i++)
        rv_buf_free(&l->calls.v[i]);
    l->calls.n = 0;
    l->call_by_ms = INT64_MAX;
    rv_call_free(&l->caller);
}

void rv_link_free(struct rv_link *l) {
    drop_calls(l);
    rv_http_close(&l->stream);
    rv_vec_free(&l->calls);
    rv_recordio_free(&l->records);
    free(l->host);
    free(l->headers);
}

/* ---- the stream ---- */

static int on_record(void *ctx, struct rv_str record) {
    struct rv_link *l = ctx;
    Reeve__V1__Executor__Event *event =
        reeve__v1__executor__event__unpack(NULL, record.n, (const uint8_t *)record.s);

    if (!event)
        return -RV_ERR_INVALID;
    l->on_event(l->ctx, event);
    reeve__v1__executor__event__free_unpacked(event, NULL);
    return 0;
}

static void stream_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    struct rv_link *l = ctx;

    (void)headers;
    (void)n;
    l->stream_status = status;
    l->stream_by_ms = INT64_MAX;
    if (status != 200)
        rv_http_close(&l->stream);
}

static void stream_body(void *ctx, struct rv_str bytes) {
    struct rv_link *l = ctx;

    if (l->stream_status == 200 && rv_recordio_feed(&l->records, bytes, on_record, l, NULL))
        rv_http_close(&l->stream);
}

static void stream_done(void *ctx, bool keep_alive) {
    struct rv_link *l = ctx;

    (void)keep_alive;
    rv_http_close(&l->stream);
}

static void lose_stream(struct rv_link *l) {
    int status = l->stream_status == 200 ? 0 : l->stream_status;

    rv_http_close(&l->stream);
    rv_recordio_free(&l->records);
    rv_recordio_init(&l->records, MAX_EVENT);
    l->subscribing = false;
    l->stream_by_ms = INT64_MAX;
    l->on_disconnected(l->ctx, status);
}

void rv_link_subscribe(struct rv_link *l, struct rv_str call, int64_t now_ms) {
    static const struct rv_http1_handler handler = {stream_head, stream_body, stream_done};

    drop_calls(l);
    rv_http_close(&l->stream);
    l->subscribing = true;
    l->stream_status = 0;
    l->stream_by_ms = now_ms + ANSWER_MS;
    if (rv_http_open(&l->stream, &l->agent.address, &handler, l, NULL)) {
        l->stream_by_ms = now_ms; /* the next tick tells */
        return;
    }
    rv_http1_request(&l->stream.out, "POST", PATH, l->host, l->headers, call);
}

/* ---- calls ---- */

static void start_call(struct rv_link *l, int64_t now_ms) {
    if (l->caller.busy || !l->calls.n)
        return;
    l->call_by_ms = now_ms + ANSWER_MS;
    if (!rv_call_post(&l->caller, &l->agent, PATH, rv_buf_str(&l->calls.v[0]), true))
        l->call_by_ms = now_ms; /* the next tick tells */
}

void rv_link_call(struct rv_link *l, struct rv_str call, int64_t now_ms) {
    struct rv_buf body = {0};

    rv_buf_append(&body, call.s, call.n);
    rv_vec_push(&l->calls, body);
    if (l->call_by_ms == INT64_MAX)
        start_call(l, now_ms);
}

static void end_call(struct rv_link *l, bool ok, int64_t now_ms) {
    int status = l->caller.status;

    l->call_by_ms = INT64_MAX;
    rv_buf_free(&l->calls.v[0]);
    rv_vec_remove_at(&l->calls, 0);
    if (ok) {
        start_call(l, now_ms);
        return;
    }
    drop_calls(l); /* all is told again */
    l->on_call_failed(l->ctx, status);
}

static void caller_io(struct rv_link *l, short revents, int64_t now_ms) {
    switch (rv_call_io(&l->caller, &l->agent, revents)) {
    case RV_CALL_DONE:
        end_call(l, l->caller.status >= 200 && l->caller.status < 300, now_ms);
        break;
    case RV_CALL_LOST:
        end_call(l, false, now_ms);
        break;
    case RV_CALL_MORE:
    default:
        break;
    }
}

/* ---- for the loop ---- */

void rv_link_poll(const struct rv_link *l, struct rv_pollfds *fds) {
    rv_pollfds_add(fds, &l->stream);
    rv_pollfds_add(fds, &l->caller.http);
}

void rv_link_io(struct rv_link *l, const struct rv_pollfds *fds, int64_t now_ms) {
    int stream = l->stream.fd, caller = l->caller.http.fd;

    for (size_t i = 0; i < fds->v.n; i++) {
        const struct pollfd *p = &fds->v.v[i];
        if (!p->revents || p->fd < 0)
            continue;
        if (p->fd == caller && l->caller.http.fd == caller)
            caller_io(l, p->revents, now_ms);
        else if (p->fd == stream && l->stream.fd == stream &&
                 rv_http_io(&l->stream, p->revents, NULL))
            lose_stream(l);
    }
}

void rv_link_tick(struct rv_link *l, int64_t now_ms) {
    if (l->subscribing && now_ms >= l->stream_by_ms)
        lose_stream(l);
    if (now_ms >= l->call_by_ms)
        end_call(l, false, now_ms);
}

int64_t rv_link_deadline(const struct rv_link *l) {
    return RV_MIN(l->subscribing ? l->stream_by_ms : INT64_MAX, l->call_by_ms);
}
