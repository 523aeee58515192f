/*
 * Numbers, media types and framing, shared by the shells. A parked request or an open stream is
 * owned here until it is answered or closed; the cores hold only its number.
 */
#include "daemon/shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "base/log.h"
#include "io/handle.h"
#include "wire/recordio.h"

struct rv_shell_stream {
    struct rv_shell *shell;
    uint64_t number;
    struct rv_http_stream *http;
    enum rv_encoding encoding;
};

static struct rv_str key_of(const uint64_t *number) {
    return rv_strn(number, sizeof *number);
}

int64_t rv_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t rv_wall_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void rv_shell_init(struct rv_shell *s, uv_loop_t *loop, const struct rv_wire_limits *limits,
                   void (*on_stream_closed)(void *ctx, uint64_t stream), void *ctx) {
    *s = (struct rv_shell){.loop = loop, .limits = *limits, .next_number = 1};
    s->on_stream_closed = on_stream_closed;
    s->ctx = ctx;
    s->log_level_before = -1;
}

void rv_shell_drop(struct rv_shell *s, const char *why, bool cut) {
    void *value;

    for (size_t it = 0; rv_map_next(&s->requests, &it, NULL, &value);)
        rv_http_reply_text(value, 503, "%s\n", why);
    rv_map_free(&s->requests);
    for (size_t it = 0; rv_map_next(&s->streams, &it, NULL, &value);) {
        struct rv_shell_stream *stream = value;
        if (cut)
            rv_http_stream_cut(stream->http);
        else
            rv_http_stream_end(stream->http);
        free(stream);
    }
    rv_map_free(&s->streams);
}

void rv_shell_close(struct rv_shell *s) {
    rv_shell_drop(s, "This daemon is ending.", false);
    rv_handle_close(s->log_timer);
    s->log_timer = NULL;
}

/* --- media types --- */

bool rv_shell_is_post(struct rv_shell *s, struct rv_http_request *req) {
    static const char *const allow[] = {"Allow", "POST", NULL};

    if (rv_streq(rv_http_method(req), "POST"))
        return true;
    s->bad_requests++;
    rv_http_reply(req, 405, "text/plain", RV_STR("Only POST is allowed here.\n"), allow);
    return false;
}

/* The media type at s: the length of "type/subtype", lower-casing not needed by the caller. */
static bool media_is(struct rv_str type, const char *name) {
    return type.n == strlen(name) && !strncasecmp(type.s, name, type.n);
}

static struct rv_str trim(struct rv_str s) {
    while (s.n && (*s.s == ' ' || *s.s == '\t'))
        s.s++, s.n--;
    while (s.n && (s.s[s.n - 1] == ' ' || s.s[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Splits one element off at a separator. */
static struct rv_str next_part(struct rv_str *rest, char separator) {
    const char *at = rest->n ? memchr(rest->s, separator, rest->n) : NULL;
    struct rv_str part = rv_strn(rest->s, at ? (size_t)(at - rest->s) : rest->n);

    *rest = at ? rv_strn(at + 1, rest->n - part.n - 1) : rv_strn(NULL, 0);
    return trim(part);
}

bool rv_shell_body_encoding(struct rv_shell *s, struct rv_http_request *req,
                            enum rv_encoding *out) {
    const char *header = rv_http_header(req, "Content-Type");

    if (!header) {
        s->bad_requests++;
        rv_http_reply_text(req, 400, "Expecting 'Content-Type' to be present.\n");
        return false;
    }
    struct rv_str rest = rv_str(header);
    struct rv_str type = next_part(&rest, ';');
    if (media_is(type, "application/json"))
        return *out = RV_ENC_JSON, true;
    if (media_is(type, "application/x-protobuf"))
        return *out = RV_ENC_PROTOBUF, true;
    s->bad_requests++;
    rv_http_reply_text(req, 415,
                       "Expecting 'Content-Type' of application/json or application/x-protobuf.\n");
    return false;
}

/* The quality of an Accept element, 0 to 1000; 1000 if it names none. */
static int quality(struct rv_str parameters) {
    while (parameters.n) {
        struct rv_str one = next_part(&parameters, ';');
        double q;
        char text[16];
        if (one.n < 3 || one.n - 2 >= sizeof text || strncasecmp(one.s, "q=", 2) != 0)
            continue;
        memcpy(text, one.s + 2, one.n - 2);
        text[one.n - 2] = 0;
        if (!rv_parse_double(text, &q))
            return q <= 0 ? 0 : q >= 1 ? 1000 : (int)(q * 1000);
    }
    return 1000;
}

bool rv_shell_accept_encoding(struct rv_shell *s, struct rv_http_request *req,
                              enum rv_encoding *out) {
    const char *header = rv_http_header(req, "Accept");
    int json = -1, protobuf = -1, any = -1;

    if (!header || !*header)
        return *out = RV_ENC_JSON, true;
    for (struct rv_str rest = rv_str(header); rest.n;) {
        struct rv_str element = next_part(&rest, ',');
        struct rv_str type = next_part(&element, ';');
        int q = quality(element);
        if (media_is(type, "application/json"))
            json = q;
        else if (media_is(type, "application/x-protobuf"))
            protobuf = q;
        else if (media_is(type, "*/*") || media_is(type, "application/*"))
            any = RV_MAX(any, q);
    }
    json = json < 0 ? any : json;
    protobuf = protobuf < 0 ? any : protobuf;
    if (json > 0 && json >= protobuf)
        return *out = RV_ENC_JSON, true;
    if (protobuf > 0)
        return *out = RV_ENC_PROTOBUF, true;
    s->bad_requests++;
    rv_http_reply_text(req, 406,
                       "Expecting 'Accept' to allow application/json or application/x-protobuf.\n");
    return false;
}

void rv_shell_bad_request(struct rv_shell *s, struct rv_http_request *req,
                          const struct rv_error *err) {
    s->bad_requests++;
    rv_http_reply_text(req, err->code == RV_ERR_LIMIT ? 413 : 400, "%s\n", err->message);
}

bool rv_shell_decode(struct rv_shell *s, struct rv_http_request *req,
                     const ProtobufCMessageDescriptor *type, struct rv_arena *arena,
                     ProtobufCMessage **out) {
    enum rv_encoding encoding;
    struct rv_error err;

    if (!rv_shell_body_encoding(s, req, &encoding))
        return false;
    if (!rv_wire_decode(type, encoding, rv_http_body(req), &s->limits, arena, out, &err))
        return true;
    rv_shell_bad_request(s, req, &err);
    return false;
}

/* --- numbers --- */

uint64_t rv_shell_number(struct rv_shell *s) {
    return s->next_number++;
}

uint64_t rv_shell_park(struct rv_shell *s, struct rv_http_request *req) {
    uint64_t number = rv_shell_number(s);

    rv_map_put(&s->requests, key_of(&number), req);
    return number;
}

struct rv_http_request *rv_shell_unpark(struct rv_shell *s, uint64_t request) {
    return rv_map_remove(&s->requests, key_of(&request));
}

void rv_shell_reply(struct rv_shell *s, uint64_t request, int status, const char *message) {
    struct rv_http_request *req = rv_shell_unpark(s, request);

    if (!req)
        return;
    if (status >= 400)
        s->bad_requests++;
    if (message)
        rv_http_reply_text(req, status, "%s\n", message);
    else
        rv_http_reply(req, status, NULL, rv_strn(NULL, 0), NULL);
}

/* --- streams --- */

static void stream_closed(void *ctx) {
    struct rv_shell_stream *stream = ctx;
    struct rv_shell *s = stream->shell;
    uint64_t number = stream->number;

    rv_map_remove(&s->streams, key_of(&number));
    free(stream);
    s->on_stream_closed(s->ctx, number);
}

void rv_shell_open_stream(struct rv_shell *s, uint64_t request, uint64_t number,
                          enum rv_encoding encoding, const char *stream_id) {
    const char *headers[] = {"Mesos-Stream-Id", stream_id, NULL};
    struct rv_http_request *req = rv_shell_unpark(s, request);

    if (!req) /* the client went away first */
        return;
    struct rv_shell_stream *stream = rv_calloc(1, sizeof *stream);
    *stream = (struct rv_shell_stream){.shell = s, .number = number, .encoding = encoding};
    stream->http = rv_http_stream_start(req, 200, rv_encoding_media_type(encoding),
                                        stream_id ? headers : NULL, stream_closed, stream);
    rv_map_put(&s->streams, key_of(&number), stream);
}

enum rv_encoding rv_shell_stream_encoding(const struct rv_shell *s, uint64_t number) {
    const struct rv_shell_stream *stream = rv_map_get(&s->streams, key_of(&number));

    return stream ? stream->encoding : RV_ENC_JSON;
}

bool rv_shell_stream_is_open(const struct rv_shell *s, uint64_t number) {
    return rv_map_get(&s->streams, key_of(&number)) != NULL;
}

void rv_shell_send_record(struct rv_shell *s, uint64_t number, const struct rv_blob *record) {
    struct rv_shell_stream *stream = rv_map_get(&s->streams, key_of(&number));

    if (stream) /* over its backlog it is closed, and stream_closed is called */
        (void)rv_http_stream_send(stream->http, record);
}

void rv_shell_send(struct rv_shell *s, uint64_t number, struct rv_str event) {
    char head[24];

    if (!rv_shell_stream_is_open(s, number))
        return;
    int n = snprintf(head, sizeof head, "%zu\n", event.n);
    struct rv_buf framed = {0};
    rv_buf_reserve(&framed, (size_t)n + event.n);
    rv_buf_append(&framed, head, (size_t)n);
    rv_buf_append(&framed, event.s, event.n);
    struct rv_blob *record = rv_blob_new(framed.data, framed.n);
    rv_buf_free(&framed);
    rv_shell_send_record(s, number, record);
    rv_blob_unref(record);
}

void rv_shell_hold_stream(struct rv_shell *s, uint64_t number) {
    struct rv_shell_stream *stream = rv_map_get(&s->streams, key_of(&number));

    if (stream)
        rv_http_stream_hold(stream->http);
}

void rv_shell_release_stream(struct rv_shell *s, uint64_t number, struct rv_str event,
                             void (*done)(void *ctx), void *ctx) {
    struct rv_shell_stream *stream = rv_map_get(&s->streams, key_of(&number));
    char head[RV_HTTP_MAX_HEAD];

    if (!stream) {
        done(ctx);
        return;
    }
    int n = snprintf(head, sizeof head, "%zu\n", event.n);
    rv_http_stream_release(stream->http, rv_strn(head, (size_t)n), event, done, ctx);
}

void rv_shell_close_stream(struct rv_shell *s, uint64_t number) {
    struct rv_shell_stream *stream = rv_map_remove(&s->streams, key_of(&number));

    if (!stream)
        return;
    rv_http_stream_end(stream->http);
    free(stream);
}

void rv_shell_reply_message(struct rv_http_request *req, enum rv_encoding encoding,
                            const ProtobufCMessage *message) {
    struct rv_buf body = {0};

    rv_wire_encode(message, encoding, &body);
    rv_http_reply_take(req, 200, rv_encoding_media_type(encoding), &body, NULL);
}

/* --- the log's level --- */

static void level_back(uv_timer_t *timer) {
    struct rv_shell *s = timer->data;

    if (s->log_level_before >= 0)
        rv_log_set_level((enum rv_log_level)s->log_level_before);
    s->log_level_before = -1;
}

void rv_shell_log_level(struct rv_shell *s, int level, uint64_t duration_ms) {
    if (!s->log_timer) {
        s->log_timer = rv_calloc(1, sizeof *s->log_timer);
        uv_timer_init(s->loop, s->log_timer);
        uv_unref((uv_handle_t *)s->log_timer);
        s->log_timer->data = s;
    }
    if (s->log_level_before < 0)
        s->log_level_before = (int)rv_log_get_level();
    rv_log_set_level((enum rv_log_level)level);
    uv_timer_start(s->log_timer, level_back, duration_ms, 0);
}
