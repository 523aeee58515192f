/*
 * What schedulers and executors have in common as clients, without socket or clock: whom to connect
 * to, when again, what an answer means, which calls may go, when silence is too long.
 *
 * Inputs are functions with the time in them; outputs are actions in a queue, which the shell takes
 * one by one and carries out in that order. Same inputs and seed, same actions.
 *
 * A connection is a stream from SUBSCRIBE to its end, with its number. Inputs of an older
 * connection than the current one are ignored, so the shell need not care for races.
 */
#ifndef RV_FRAMEWORK_CLIENT_CORE_H
#define RV_FRAMEWORK_CLIENT_CORE_H

#include <protobuf-c/protobuf-c.h>

#include "base/address.h"
#include "base/prng.h"
#include "base/vec.h"
#include "framework/reeve.h"
#include "wire/codec.h"

enum {
    RV_CLIENT_STOP_MS = 5000, /* for what is under way when a client stops */
    RV_CLIENT_MAX_REDIRECTS = 5,
};

enum rv_client_action_type {
    RV_CLIENT_CONNECT,     /* a stream to host:port with body, headers of rv_client_headers() */
    RV_CLIENT_DISCONNECT,  /* end the stream, forget calls that wait */
    RV_CLIENT_SEND,        /* a call with body, after those before it; head as above */
    RV_CLIENT_EVENT,       /* tell: an event; again: SUBSCRIBED not for the first time */
    RV_CLIENT_LOST,        /* tell: the subscription is lost; text */
    RV_CLIENT_FATAL,       /* tell: refused for good; text */
    RV_CLIENT_CALL_FAILED, /* tell: call_type, status, text */
    RV_CLIENT_STOPPED,     /* the last one; status is an enum reeve_code */
};

struct rv_client_action {
    enum rv_client_action_type type;
    uint64_t connection;
    char *host;
    uint16_t port;
    struct rv_buf body;
    int call_type;
    int status;
    char *text;
    const ProtobufCMessage *event; /* in the arena */
    struct rv_arena arena;
    bool again;
};

struct rv_client;

struct rv_client_protocol {
    const char *path;
    uint16_t default_port;
    bool calls_must_arrive; /* one that found no ear: subscribe again, which repeats it */
    const ProtobufCMessageDescriptor *event_type;
    /* Appends the SUBSCRIBE call. */
    void (*subscribe)(void *owner, struct rv_buf *out);
    /* An event came; queues RV_CLIENT_EVENT by rv_client_tell() and what follows from it. */
    void (*on_event)(void *owner, const ProtobufCMessage *event, int64_t now_ms);
    /* Appends the call to end with; NULL for clients that have none. out NULL: only says whether
     * the other side knows us, so that it is worth subscribing once more to say it. */
    bool (*goodbye)(void *owner, struct rv_buf *out);
    /* The subscription was lost, after RV_CLIENT_LOST was queued; may be NULL. */
    void (*on_lost)(void *owner, int64_t now_ms);
};

struct rv_client_config {
    const struct rv_client_protocol *protocol;
    void *owner;
    const char *targets; /* "host:port,host:port" */
    enum rv_encoding encoding;
    const char *authorization; /* value of the header, or NULL */
    unsigned backoff_min_ms, backoff_max_ms, subscribe_timeout_ms, missed_heartbeats;
    uint64_t seed;
};

enum rv_client_state {
    RV_CLIENT_IDLE,       /* not started */
    RV_CLIENT_WAITING,    /* to connect at retry_at_ms */
    RV_CLIENT_CONNECTING, /* no head yet */
    RV_CLIENT_OPEN,       /* stream, not SUBSCRIBED */
    RV_CLIENT_REJECTED,   /* an answer that is no stream: its text is still coming */
    RV_CLIENT_SUBSCRIBED,
    RV_CLIENT_FLUSHING, /* stopping: calls under way */
    RV_CLIENT_ENDED,
};

struct rv_client {
    struct rv_client_config config; /* without targets and authorization */
    char *authorization, *stream_id, *headers;
    struct rv_addresses targets;
    size_t target;                /* the next one to try */
    struct rv_address redirected; /* host NULL: none */
    unsigned redirects, failures;
    enum rv_client_state state;
    int status; /* of the answer, when rejected */
    uint64_t connection, subscriptions;
    size_t pending; /* calls sent on this connection and not answered */
    int64_t retry_at_ms, subscribe_by_ms, last_event_ms, silence_ms, stop_by_ms;
    bool stopping, goodbye; /* goodbye: there is one to say yet */
    struct rv_prng prng;
    RV_VEC(struct rv_client_action) actions;
    size_t next_action;
    struct rv_arena arena; /* of the event that is being handled */
    const ProtobufCMessage *event;
    char last_error[512];
};

/* -RV_ERR_INVALID for targets that are none. */
RV_MUST_USE int rv_client_init(struct rv_client *c, const struct rv_client_config *config,
                               struct rv_error *err);
void rv_client_free(struct rv_client *c);

/* Inputs. */
void rv_client_start(struct rv_client *c, int64_t now_ms);
/* location: of a redirect; stream_id: the header; each may be NULL. */
void rv_client_head(struct rv_client *c, uint64_t connection, int status, const char *stream_id,
                    const char *location, int64_t now_ms);
void rv_client_record(struct rv_client *c, uint64_t connection, struct rv_str record,
                      int64_t now_ms);
/* The stream ended. why: the error, or what the answer said. */
void rv_client_closed(struct rv_client *c, uint64_t connection, const char *why, int64_t now_ms);
/* A call was answered: status, or 0 and why. */
void rv_client_call_done(struct rv_client *c, uint64_t connection, int call_type, int status,
                         const char *why, int64_t now_ms);
void rv_client_tick(struct rv_client *c, int64_t now_ms);
int64_t rv_client_deadline(const struct rv_client *c); /* INT64_MAX: none */
/* Ends once the calls made before are answered, with the protocol's goodbye as the last one. */
void rv_client_stop(struct rv_client *c, bool goodbye, int64_t now_ms);

/* From the protocol's owner. */
void rv_client_tell(struct rv_client *c, bool again);
/* SUBSCRIBED came; heartbeat_ms 0: no watch. True if not for the first time. */
bool rv_client_subscribed(struct rv_client *c, int64_t heartbeat_ms, int64_t now_ms);
/* Encodes a call and queues it: 0, REEVE_ERR_DISCONNECTED or REEVE_ERR_STOPPED. */
int rv_client_send(struct rv_client *c, const ProtobufCMessage *call, int call_type);
/* ERROR came: told, and the end. */
void rv_client_refused(struct rv_client *c, const char *why);
/* The end, with an error. */
void rv_client_end(struct rv_client *c, int code, const char *why);

/* The next action, which the caller then owns; false: none. */
bool rv_client_next(struct rv_client *c, struct rv_client_action *out);
void rv_client_action_free(struct rv_client_action *a);
/* The headers for requests now, "Name: value\r\n"... */
const char *rv_client_headers(const struct rv_client *c);

#endif
