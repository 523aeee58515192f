/*
 * What the shells of master and agent share: numbers for requests and streams that the cores know
 * them by, media types, and the framing of event streams. Nothing of the domain.
 */
#ifndef RV_DAEMON_SHELL_H
#define RV_DAEMON_SHELL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/map.h"
#include "io/http_server.h"
#include "wire/codec.h"

struct rv_shell {
    uv_loop_t *loop;
    struct rv_http_server *server;
    struct rv_wire_limits limits;
    uint64_t next_number;
    struct rv_map requests; /* 8-byte number -> struct rv_http_request */
    struct rv_map streams;  /* 8-byte number -> struct rv_shell_stream */
    void (*on_stream_closed)(void *ctx, uint64_t stream);
    void *ctx;
    uint64_t bad_requests; /* 4xx that the shell made: INV-49's counter */
    uv_timer_t *log_timer; /* a log level that holds for a while */
    int log_level_before;
};

/* What the flags of both daemons say of requests. */
#define RV_SHELL_LIMITS(f)                                                                         \
    {                                                                                              \
        .max_body = (size_t)(f)->max_body, .max_depth = (unsigned)(f)->max_depth,                  \
        .max_fields = (size_t)(f)->max_fields                                                      \
    }
#define RV_SHELL_HTTP_CONFIG(f)                                                                    \
    {                                                                                              \
        .ip = (f)->ip, .port = (uint16_t)(f)->port, .max_body = (size_t)(f)->max_body,             \
        .max_header = (size_t)(f)->max_header,                                                     \
        .idle_timeout_s = (unsigned)((f)->idle_timeout / 1000000000),                              \
        .receive_timeout_s = (unsigned)((f)->receive_timeout / 1000000000),                        \
        .max_backlog = (size_t)(f)->max_stream_backlog, .cors_origins = (f)->cors_origins          \
    }

void rv_shell_init(struct rv_shell *s, uv_loop_t *loop, const struct rv_wire_limits *limits,
                   void (*on_stream_closed)(void *ctx, uint64_t stream), void *ctx);
/* Answers what waits with 503 and the text, and ends all streams; `cut`: without what is queued.
 * on_stream_closed is not called for them. */
void rv_shell_drop(struct rv_shell *s, const char *why, bool cut);
/* The same, for good. */
void rv_shell_close(struct rv_shell *s);

/* --- media types: each answers the request itself where it returns false --- */
/* The method must be POST: 405. */
bool rv_shell_is_post(struct rv_shell *s, struct rv_http_request *req);
/* Content-Type: 400 if absent, 415 if neither JSON nor protobuf. */
bool rv_shell_body_encoding(struct rv_shell *s, struct rv_http_request *req, enum rv_encoding *out);
/* Accept: JSON if absent; 406 if it allows neither. */
bool rv_shell_accept_encoding(struct rv_shell *s, struct rv_http_request *req,
                              enum rv_encoding *out);
/* Decodes the body as a message; 400 with the field named. */
bool rv_shell_decode(struct rv_shell *s, struct rv_http_request *req,
                     const ProtobufCMessageDescriptor *type, struct rv_arena *arena,
                     ProtobufCMessage **out);
void rv_shell_bad_request(struct rv_shell *s, struct rv_http_request *req,
                          const struct rv_error *err);

/* --- numbers --- */
uint64_t rv_shell_number(struct rv_shell *s);
/* Keeps a request until it is answered by its number. */
uint64_t rv_shell_park(struct rv_shell *s, struct rv_http_request *req);
/* Takes it back; NULL if there is none. */
struct rv_http_request *rv_shell_unpark(struct rv_shell *s, uint64_t request);
/* Answers it: text, or an empty body for a NULL message. */
void rv_shell_reply(struct rv_shell *s, uint64_t request, int status, const char *message);

/* --- streams --- */
/* Turns a parked request into an event stream with this number; stream_id is the Mesos-Stream-Id
 * header if not NULL. Events go out in `encoding`. */
void rv_shell_open_stream(struct rv_shell *s, uint64_t request, uint64_t stream,
                          enum rv_encoding encoding, const char *stream_id);
/* JSON if the stream is gone. */
enum rv_encoding rv_shell_stream_encoding(const struct rv_shell *s, uint64_t stream);
bool rv_shell_stream_is_open(const struct rv_shell *s, uint64_t stream);
/* One event, framed as a RecordIO record. */
void rv_shell_send(struct rv_shell *s, uint64_t stream, struct rv_str event);
/* A record that is framed already, shared among streams. */
void rv_shell_send_record(struct rv_shell *s, uint64_t stream, const struct rv_blob *record);
/* As rv_http_stream_hold and _release, for one event whose bytes are borrowed. */
void rv_shell_hold_stream(struct rv_shell *s, uint64_t stream);
void rv_shell_release_stream(struct rv_shell *s, uint64_t stream, struct rv_str event,
                             void (*done)(void *ctx), void *ctx);
void rv_shell_close_stream(struct rv_shell *s, uint64_t stream);

/* Answers with a message in the encoding. */
void rv_shell_reply_message(struct rv_http_request *req, enum rv_encoding encoding,
                            const ProtobufCMessage *message);

/* Sets the level for a while, then the old one is back. */
void rv_shell_log_level(struct rv_shell *s, int level, uint64_t duration_ms);

int64_t rv_now_ms(void);  /* monotonic */
int64_t rv_wall_ns(void); /* since the epoch */

#endif
