/*
 * The shell, see client_shell.h.
 *
 * Always holds: there is one HTTP client a connection of the core, made by CONNECT and ended by
 * DISCONNECT; its stream is one call, the others go in order over one kept connection. Actions are
 * carried out one at a time and never from inside of the record parser, so that a callback may end
 * the connection whose bytes are being read.
 */
#include "framework/client_shell.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "wire/recordio.h"

enum {
    MAX_RECORD = 1 << 30, /* bytes */
    MAX_REASON = 1024,    /* bytes of an answer that says why not */
    CALL_TIMEOUT_MS = 15000,
    CONNECT_TIMEOUT_MS = 5000,
    IDLE_CLOSE_MS = 20000, /* less than servers keep an idle connection */
};

/* The answer to SUBSCRIBE; freed when it is done. */
struct stream {
    struct rv_client_shell *shell;
    uint64_t connection;
    struct rv_recordio records;
    struct rv_buf reason; /* the body of an answer that is no stream */
    bool is_stream, bad;
};

struct call {
    struct rv_client_shell *shell;
    uint64_t connection;
    int type;
};

int64_t rv_client_now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t rv_client_random_seed(void) {
    uint64_t seed;

    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint64_t)rv_client_now_ms() * 1000003 ^ (uint64_t)getpid();
    return seed;
}

/* ---- the stream ---- */

static bool stream_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    struct stream *stream = ctx;
    struct rv_client_shell *s = stream->shell;

    stream->is_stream = status == 200;
    rv_client_head(s->core, stream->connection, status,
                   rv_http1_header(headers, n, "Mesos-Stream-Id"),
                   rv_http1_header(headers, n, "Location"), rv_client_now_ms());
    rv_client_shell_drain(s);
    return true;
}

static int stream_record(void *ctx, struct rv_str record) {
    struct stream *stream = ctx;

    rv_client_record(stream->shell->core, stream->connection, record, rv_client_now_ms());
    return 0;
}

static void stream_body(void *ctx, struct rv_str bytes) {
    struct stream *stream = ctx;
    struct rv_client_shell *s = stream->shell;
    struct rv_error err;

    if (!stream->is_stream) {
        rv_buf_append(&stream->reason, bytes.s,
                      RV_MIN(bytes.n, MAX_REASON - RV_MIN(stream->reason.n, (size_t)MAX_REASON)));
        return;
    }
    if (stream->bad)
        return;
    if (rv_recordio_feed(&stream->records, bytes, stream_record, stream, &err)) {
        stream->bad = true;
        rv_client_closed(s->core, stream->connection, err.message, rv_client_now_ms());
    }
    rv_client_shell_drain(s);
}

static void stream_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                        size_t n, struct rv_str body, const struct rv_error *err) {
    struct stream *stream = ctx;
    struct rv_client_shell *s = stream->shell;
    const char *why = stream->reason.n ? stream->reason.data : NULL;

    (void)status;
    (void)headers;
    (void)n;
    (void)body;
    if (result && !why)
        why = err->message;
    rv_client_closed(s->core, stream->connection, why, rv_client_now_ms());
    rv_recordio_free(&stream->records);
    rv_buf_free(&stream->reason);
    free(stream);
    rv_client_shell_drain(s);
}

static void connect_stream(struct rv_client_shell *s, const struct rv_client_action *action) {
    static const struct rv_http_call_handler handler = {stream_head, stream_body, stream_done};
    struct stream *stream = rv_calloc(1, sizeof *stream);

    s->connection = action->connection;
    s->http = rv_http_client_new(s->loop, &(struct rv_http_client_config){
                                              .host = action->host,
                                              .port = action->port,
                                              .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                              .call_timeout_ms = CALL_TIMEOUT_MS,
                                              .idle_close_ms = IDLE_CLOSE_MS,
                                              .max_connections = 1,
                                          });
    stream->shell = s;
    stream->connection = action->connection;
    rv_recordio_init(&stream->records, MAX_RECORD);
    rv_http_client_call(s->http, "POST", s->core->config.protocol->path, rv_client_headers(s->core),
                        rv_buf_str(&action->body), true, &handler, stream);
}

/* ---- calls ---- */

static void call_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                      size_t n, struct rv_str body, const struct rv_error *err) {
    struct call *call = ctx;
    struct rv_client_shell *s = call->shell;
    char reason[MAX_REASON + 1];
    size_t length = RV_MIN(body.n, (size_t)MAX_REASON);

    (void)headers;
    (void)n;
    if (length)
        memcpy(reason, body.s, length);
    reason[length] = 0;
    rv_client_call_done(s->core, call->connection, call->type, result ? 0 : status,
                        result ? err->message : reason, rv_client_now_ms());
    free(call);
    rv_client_shell_drain(s);
}

static void send_call(struct rv_client_shell *s, const struct rv_client_action *action) {
    static const struct rv_http_call_handler handler = {.on_done = call_done};
    struct call *call = rv_malloc(sizeof *call);

    *call = (struct call){s, action->connection, action->call_type};
    rv_http_client_call(s->http, "POST", s->core->config.protocol->path, rv_client_headers(s->core),
                        rv_buf_str(&action->body), false, &handler, call);
}

/* ---- actions ---- */

static void carry_out(struct rv_client_shell *s, const struct rv_client_action *action) {
    switch (action->type) {
    case RV_CLIENT_CONNECT:
        /* A later action may have made this one void already; the core never looks back. */
        if (action->connection == s->core->connection)
            connect_stream(s, action);
        break;
    case RV_CLIENT_DISCONNECT:
        s->http = rv_http_client_free(TAKE_PTR(s->http));
        break;
    case RV_CLIENT_SEND:
        if (s->http && action->connection == s->connection &&
            action->connection == s->core->connection)
            send_call(s, action);
        break;
    case RV_CLIENT_STOPPED:
        s->stopped = true;
        s->result = action->status;
        s->owner->tell(s->ctx, action);
        if (s->loop == &s->own_loop)
            uv_stop(s->loop);
        break;
    case RV_CLIENT_EVENT:
    case RV_CLIENT_LOST:
    case RV_CLIENT_FATAL:
    case RV_CLIENT_CALL_FAILED:
        s->owner->tell(s->ctx, action);
        break;
    }
}

static void on_timer(uv_timer_t *timer) {
    struct rv_client_shell *s = timer->data;

    s->owner->tick(s->ctx, rv_client_now_ms());
    rv_client_shell_drain(s);
}

static void set_timer(struct rv_client_shell *s) {
    int64_t at = s->owner->deadline(s->ctx);
    int64_t now = rv_client_now_ms();

    if (at == INT64_MAX || s->stopped) {
        uv_timer_stop(&s->timer);
        return;
    }
    uv_update_time(s->loop);
    uv_timer_start(&s->timer, on_timer, at > now ? (uint64_t)(at - now) : 0, 0);
}

void rv_client_shell_drain(struct rv_client_shell *s) {
    struct rv_client_action action;

    if (s->draining || uv_is_closing((uv_handle_t *)&s->timer))
        return;
    s->draining = true;
    while (rv_client_next(s->core, &action)) {
        carry_out(s, &action);
        rv_client_action_free(&action);
    }
    s->draining = false;
    set_timer(s);
}

/* ---- life ---- */

int rv_client_shell_init(struct rv_client_shell *s, struct rv_client *core, uv_loop_t *loop,
                         const struct rv_client_shell_owner *owner, void *ctx) {
    *s = (struct rv_client_shell){.core = core, .owner = owner, .ctx = ctx};
    if (!loop) {
        if (uv_loop_init(&s->own_loop))
            return REEVE_ERR_SYSTEM;
        loop = &s->own_loop;
    }
    s->loop = loop;
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle) {
    struct rv_client_shell *s = handle->data;

    if (s->loop != &s->own_loop)
        s->owner->released(s->ctx);
}

static void close_foreign(uv_handle_t *handle, void *ctx) {
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void rv_client_shell_close(struct rv_client_shell *s) {
    s->draining = true; /* whatever the end of the calls queues is told to nobody */
    rv_http_client_free(TAKE_PTR(s->http));
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
    if (s->loop != &s->own_loop)
        return;
    /* Handles that somebody put on our loop go with it. */
    uv_walk(s->loop, close_foreign, NULL);
    uv_run(s->loop, UV_RUN_DEFAULT);
    uv_loop_close(s->loop);
    s->owner->released(s->ctx);
}

int rv_client_shell_run(struct rv_client_shell *s) {
    struct sigaction old;

    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
    rv_client_shell_drain(s);
    while (!s->stopped)
        uv_run(s->loop, UV_RUN_DEFAULT);
    return s->result;
}
