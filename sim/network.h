/*
 * The simulated network: HTTP-like connections at the level of messages. On a connection one
 * request is under way at a time; its answer is a status with a body, or a stream of bytes without
 * end. In each direction what is sent arrives in the order it was sent, or the connection breaks;
 * different connections overtake each other.
 *
 * Either side hears of a break at a time of its own. A side that is closed gets no call-backs any
 * more. The server counts what a stream's reader has not taken yet and cuts it off at a bound
 * (INV-50). Connections live as long as the network.
 */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include "base/map.h"
#include "wire/codec.h"
#include "world.h"

#define SIM_NODES 32
#define SIM_BACKLOG_MAX (256u << 10)

enum sim_api { SIM_SCHEDULER_API, SIM_AGENT_API, SIM_EXECUTOR_API };
enum sim_message_kind { SIM_REQUEST, SIM_ANSWER, SIM_BYTES, SIM_END };

struct sim_message {
    enum sim_message_kind kind;
    int status;                       /* ANSWER */
    bool stream;                      /* ANSWER: 200, bytes follow */
    enum sim_api api;                 /* REQUEST */
    bool recordio;                    /* REQUEST: several calls in one body */
    enum rv_encoding content, accept; /* REQUEST */
    char stream_id[40];               /* Mesos-Stream-Id; "": none */
    struct rv_blob *body;             /* may be NULL */
    int64_t sent_ms;
};

struct sim_conn;

struct sim_client {
    void (*on_answer)(void *ctx, struct sim_conn *c, const struct sim_message *m);
    void (*on_bytes)(void *ctx, struct sim_conn *c, struct rv_str bytes);
    void (*on_closed)(void *ctx, struct sim_conn *c);
};

struct sim_server {
    struct sim_party party;
    void *ctx;
    void (*on_request)(void *ctx, struct sim_conn *c, const struct sim_message *m);
    void (*on_closed)(void *ctx, struct sim_conn *c);
};

/* One direction. */
struct sim_pipe {
    RV_VEC(struct sim_message) queue;
    int64_t last_ms; /* when the last one sent arrives */
};

struct sim_conn {
    struct sim_network *net;
    uint64_t id;
    struct sim_party *client;
    struct sim_server *server;
    const struct sim_client *ops;
    void *ctx;
    bool client_open, server_open;
    bool broken;              /* each side hears, or has heard, from its own system */
    struct sim_pipe up, down; /* to the server, to the client */
    uint64_t request;         /* the server's number of the request that waits; 0: none */
    uint64_t stream;          /* the server's number of the stream; 0: none */
    enum rv_encoding accept;  /* of the request, so of its stream */
    size_t backlog;           /* bytes of the stream that were not taken */
    int64_t slow_until_ms;    /* the reader takes nothing until then */
};

struct sim_network {
    struct sim_world *world;
    RV_VEC(struct sim_conn *) conns;
    int64_t blocked_until_ms[SIM_NODES][SIM_NODES]; /* from, to */
    /* Before a server's word goes out; may be NULL. */
    void (*on_said)(void *ctx, const struct sim_conn *c, const struct sim_message *m);
    void *ctx;
};

void sim_network_init(struct sim_network *n, struct sim_world *w);
void sim_network_free(struct sim_network *n);
/* All partitions end, all readers read. */
void sim_network_heal(struct sim_network *n);
void sim_network_partition(struct sim_network *n, int from, int to, int64_t ms);

/* --- the client's side --- */
struct sim_conn *sim_connect(struct sim_network *n, struct sim_party *client,
                             struct sim_server *server, const struct sim_client *ops, void *ctx);
/* The message's body is taken over. */
void sim_request(struct sim_conn *c, struct sim_message m);
void sim_client_close(struct sim_conn *c); /* NULL is fine */

/* --- the server's side --- */
void sim_answer(struct sim_conn *c, int status, const char *text);
/* Any number of them, with a body that is taken over. */
void sim_answer_body(struct sim_conn *c, struct rv_blob *body);
void sim_stream(struct sim_conn *c, const char *stream_id);
/* false: the reader is cut off; on_closed was not called. Frames the record. */
bool sim_record(struct sim_conn *c, struct rv_str record);
void sim_server_close(struct sim_conn *c);

/* Every connection of a server whose process goes on. */
void sim_network_refuse(struct sim_network *n, const struct sim_server *s);
/* Both sides hear of it sooner or later; what is under way may be lost. */
void sim_break(struct sim_conn *c);
/* All connections of the party, whose side hears nothing. machine: the peers hear late. */
void sim_network_crash(struct sim_network *n, const struct sim_party *p, bool machine);

#endif
