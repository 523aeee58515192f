/*
 * A simulated ZooKeeper: three servers, one of which leads. What it promises holds, and no more:
 * writes are in one order and are done once a quorum has them; each server applies them when it
 * hears of them, and answers reads by what it has applied, also when it is cut off and does not
 * know it yet; a session's requests are answered in order. A session ends when the leader has not
 * heard of it for its timeout, by way of the server that it is connected to. A leader without a
 * quorum is followed by another, and what was under way then is done or is not.
 *
 * Sessions are in zk_session.h; both speak through the network, in packets of their own.
 */
#ifndef SIM_ENSEMBLE_H
#define SIM_ENSEMBLE_H

#include "network.h"
#include "znodes.h"

#define SIM_ZK_SERVERS 3
#define SIM_ZK_NODE 20 /* of the first server, in the network */

enum sim_zk_kind {
    SIM_ZK_CONNECT,
    SIM_ZK_CLOSE,
    SIM_ZK_PING,
    SIM_ZK_GET,
    SIM_ZK_EXISTS,
    SIM_ZK_CHILDREN,
    SIM_ZK_SYNC,
    SIM_ZK_WRITE
};

struct sim_zk_request {
    enum sim_zk_kind kind;
    uint64_t xid, session;
    uint64_t seen; /* CONNECT: the last transaction that the client knows of */
    int64_t timeout_ms;
    char *path;
    bool watch;
    struct sim_zk_changes changes; /* WRITE */
    const struct sim_party *party; /* WRITE: who asks for it, */
    uint64_t number;               /* and the write's number; 0: not counted */
    RV_VEC(char *) watches;        /* CONNECT */
    unsigned refs;
};

enum sim_zk_reply_kind { SIM_ZK_WELCOME, SIM_ZK_OVER, SIM_ZK_PONG, SIM_ZK_ANSWER, SIM_ZK_CHANGED };

struct sim_zk_reply {
    enum sim_zk_reply_kind kind;
    uint64_t xid, session, seen;
    int code;
    char *path;
    struct rv_blob *data;
    int32_t version;
    uint64_t owner;
    RV_VEC(char *) names;
};

/* A request that is not answered yet. */
struct sim_zk_entry {
    struct sim_zk_request *request;
    bool decided;
    uint64_t zxid, session; /* decided: to be applied first; CONNECT: 0 if it is over */
    int code;
    char *path; /* as made */
};

struct sim_zk_client {
    struct sim_conn *conn;
    uint64_t session;
    bool heard; /* since the leader was told */
    RV_VEC(struct sim_zk_entry) entries;
};

struct sim_zk_watch {
    char *path;
    struct sim_conn *conn;
};

struct sim_zk_server {
    struct sim_server server;
    struct sim_ensemble *ensemble;
    struct sim_znodes tree;
    uint64_t applied;
    bool serving;
    uint64_t epoch;       /* whose leader it follows; 0: their connection has broken */
    int64_t heard_ms;     /* when it was last in touch with the leader */
    int64_t forwarded_ms; /* when what it sent there last arrives */
    RV_VEC(struct sim_zk_client *) clients;
    RV_VEC(struct sim_zk_watch) watches;
};

/* Committed. */
struct sim_zk_txn {
    struct sim_zk_changes changes;
    uint64_t ended; /* a session that ends with it */
    int64_t at_ms;
};

/* On its way to the leader, or there. */
struct sim_zk_proposal {
    struct sim_zk_server *server;
    struct sim_conn *conn;
    struct sim_zk_request *request;
    uint64_t epoch;
};

struct sim_ensemble {
    struct sim_world *world;
    struct sim_network *network;
    struct sim_zk_server servers[SIM_ZK_SERVERS];
    struct sim_zk_server *leader;       /* NULL: none */
    uint64_t epoch;                     /* of leaders */
    int64_t sync_ms;                    /* who hears nothing for so long gives up */
    int64_t quorum_ms;                  /* when the leader last had one */
    bool stood_still;                   /* the leader has, at the last tick */
    int64_t lead_at_ms;                 /* when the next one is found; 0: not looked for */
    RV_VEC(struct sim_zk_txn) log;      /* the zxid is the place in here, from 1 */
    RV_VEC(struct sim_zk_proposal) due; /* at the leader */
    struct rv_map sessions;             /* 8-byte id -> sim_zk_lease */
    struct sim_znodes tree;             /* as committed */
    uint64_t next_session;
    struct rv_map packets; /* 8-byte number -> what is under way, owned */
    /* After each transaction that is committed; may be NULL. */
    void (*on_commit)(void *ctx);
    /* Who writes is to crash now; may be NULL. */
    void (*on_crash)(void *ctx, const struct sim_party *party);
    void *ctx;
};

/* What the leader knows of a session. */
struct sim_zk_lease {
    int64_t timeout_ms, heard_ms;
    const struct sim_conn *conn;
};

void sim_ensemble_init(struct sim_ensemble *e, struct sim_world *w, struct sim_network *n);
void sim_ensemble_free(struct sim_ensemble *e);
/* Its log stays. It must be started again. */
void sim_zk_server_crash(struct sim_zk_server *s, bool machine);
void sim_zk_server_start(struct sim_zk_server *s);
/* INT64_MAX: the session goes on. */
int64_t sim_ensemble_ended_ms(const struct sim_ensemble *e, uint64_t id);

/* Packets travel as numbers in messages' bodies. */
struct rv_blob *sim_zk_pack(struct sim_ensemble *e, void *packet, void (*release)(void *p));
void *sim_zk_unpack(struct sim_ensemble *e, const struct sim_message *m); /* the caller's */
void sim_zk_request_free(void *request);
void sim_zk_reply_free(void *reply);

#endif
