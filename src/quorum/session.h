/*
 * A session with ZooKeeper, as who elects and who writes the registry sees one; io/zk.h has the
 * real ones, the simulator others. A session goes between CONNECTING and CONNECTED until it is
 * EXPIRED or REFUSED, which is for good: its owner makes another.
 *
 * Operations are asked at any time; while there is no connection they wait, in order. Each is
 * answered exactly once, never from within. What reads is tried again by itself; what writes and
 * loses its connection is answered by RV_ZK_LOST: it may have happened or not.
 */
#ifndef RV_QUORUM_SESSION_H
#define RV_QUORUM_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct rv_zk_ops;
struct rv_zk {
    const struct rv_zk_ops *ops;
};

enum rv_zk_state {
    RV_ZK_CONNECTING,
    RV_ZK_CONNECTED,
    RV_ZK_EXPIRED, /* the session is no more, nor are its ephemeral nodes */
    RV_ZK_REFUSED, /* credentials were not accepted, or the library cannot be used */
};

/* Answers; others come as ZooKeeper numbers them. */
enum rv_zk_code {
    RV_ZK_OK = 0,
    RV_ZK_LOST = -4,
    RV_ZK_NO_NODE = -101,
    RV_ZK_NO_AUTH = -102,
    RV_ZK_BAD_VERSION = -103,
    RV_ZK_NODE_EXISTS = -110,
    RV_ZK_NOT_EMPTY = -111,
    RV_ZK_GONE = -112,   /* the session expired */
    RV_ZK_CLOSED = -116, /* the session is being freed */
};

/* Borrowed for the callback; what an operation does not answer is empty. */
struct rv_zk_result {
    int code;
    const char *path;   /* CREATE: as made, with its sequence number */
    struct rv_str data; /* GET */
    int32_t version;    /* GET, EXISTS */
    int64_t owner;      /* GET, EXISTS: session of an ephemeral node */
    char *const *names; /* CHILDREN */
    size_t n;
};
typedef void (*rv_zk_done)(void *ctx, const struct rv_zk_result *result);

/* Who may do what, where the session has credentials; without, everybody may everything. */
enum rv_zk_access {
    RV_ZK_PRIVATE, /* only who has the same credentials */
    RV_ZK_PUBLIC,  /* everybody reads */
};

enum rv_zk_flags { RV_ZK_EPHEMERAL = 1, RV_ZK_SEQUENCE = 2 };

/* The session may be freed in it. */
typedef void (*rv_zk_on_state)(void *ctx, enum rv_zk_state state);

/* All or none. What is given must live until it is answered. */
enum rv_zk_change { RV_ZK_CREATE, RV_ZK_SET, RV_ZK_REMOVE, RV_ZK_CHECK };
struct rv_zk_op {
    enum rv_zk_change change;
    const char *path;
    struct rv_str data; /* CREATE, SET */
    int32_t version;    /* SET, REMOVE, CHECK; -1: any */
    enum rv_zk_access access;
};

struct rv_zk_ops {
    struct rv_zk *(*free)(struct rv_zk *z);
    enum rv_zk_state (*state)(const struct rv_zk *z);
    int64_t (*timeout_ms)(const struct rv_zk *z);
    int64_t (*id)(const struct rv_zk *z);
    const char *(*servers)(const struct rv_zk *z);
    void (*get)(struct rv_zk *z, const char *path, rv_zk_done done, void *ctx);
    void (*exists)(struct rv_zk *z, const char *path, rv_zk_done done, void *ctx);
    void (*children)(struct rv_zk *z, const char *path, void (*on_change)(void *change_ctx),
                     void *change_ctx, rv_zk_done done, void *ctx);
    void (*sync)(struct rv_zk *z, const char *path, rv_zk_done done, void *ctx);
    void (*create)(struct rv_zk *z, const char *path, struct rv_str data, int flags,
                   enum rv_zk_access access, rv_zk_done done, void *ctx);
    void (*remove)(struct rv_zk *z, const char *path, rv_zk_done done, void *ctx);
    void (*multi)(struct rv_zk *z, const struct rv_zk_op *ops, size_t n, rv_zk_done done,
                  void *ctx);
};

/* Ends the session at the server, too. Open operations are answered by RV_ZK_CLOSED before this
 * returns. NULL is fine. */
static inline struct rv_zk *rv_zk_free(struct rv_zk *z) {
    return z ? z->ops->free(z) : NULL;
}

static inline enum rv_zk_state rv_zk_state(const struct rv_zk *z) {
    return z->ops->state(z);
}

/* As agreed with the server. */
static inline int64_t rv_zk_timeout_ms(const struct rv_zk *z) {
    return z->ops->timeout_ms(z);
}

/* 0: never connected. */
static inline int64_t rv_zk_id(const struct rv_zk *z) {
    return z->ops->id(z);
}

/* For messages. */
static inline const char *rv_zk_servers(const struct rv_zk *z) {
    return z->ops->servers(z);
}

/* What a code means. */
const char *rv_zk_text(int code);

static inline void rv_zk_get(struct rv_zk *z, const char *path, rv_zk_done done, void *ctx) {
    z->ops->get(z, path, done, ctx);
}

static inline void rv_zk_exists(struct rv_zk *z, const char *path, rv_zk_done done, void *ctx) {
    z->ops->exists(z, path, done, ctx);
}

/* on_change (may be NULL) is called once, when the list has changed after; not if the answer is not
 * RV_ZK_OK. */
static inline void rv_zk_children(struct rv_zk *z, const char *path,
                                  void (*on_change)(void *change_ctx), void *change_ctx,
                                  rv_zk_done done, void *ctx) {
    z->ops->children(z, path, on_change, change_ctx, done, ctx);
}

/* What is read afterwards is at least as new as what everybody has written before. */
static inline void rv_zk_sync(struct rv_zk *z, const char *path, rv_zk_done done, void *ctx) {
    z->ops->sync(z, path, done, ctx);
}

static inline void rv_zk_create(struct rv_zk *z, const char *path, struct rv_str data, int flags,
                                enum rv_zk_access access, rv_zk_done done, void *ctx) {
    z->ops->create(z, path, data, flags, access, done, ctx);
}

static inline void rv_zk_remove(struct rv_zk *z, const char *path, rv_zk_done done, void *ctx) {
    z->ops->remove(z, path, done, ctx);
}

static inline void rv_zk_multi(struct rv_zk *z, const struct rv_zk_op *ops, size_t n,
                               rv_zk_done done, void *ctx) {
    z->ops->multi(z, ops, n, done, ctx);
}

/* The path and all above it, where they are not there yet: public, empty. */
void rv_zk_make_path(struct rv_zk *z, const char *path, rv_zk_done done, void *ctx);

#endif
