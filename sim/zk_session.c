/* Sessions: see zk_session.h. An operation is in one list at a time: waiting for a connection,
 * issued, or answered. Callbacks are made from deliver() alone, as by the real one. */
#include "zk_session.h"

#include <stdlib.h>

#include "base/list.h"
#include "crash_points.h"

enum kind { OPERATION, STATE, CHANGED };

struct op {
    struct rv_list node;
    enum kind kind;
    struct sim_zk_request *request;
    void (*on_change)(void *ctx); /* CHILDREN: the watch; CHANGED */
    void *change_ctx;
    rv_zk_done done;
    void *ctx;
    enum rv_zk_state state;
    struct sim_zk_reply *reply; /* what the result points to */
    int code;
};

struct watch {
    char *path;
    void (*on_change)(void *ctx);
    void *ctx;
};

struct sim_zk_session {
    struct rv_zk base;
    struct sim_ensemble *ensemble;
    struct sim_party *party;
    int64_t timeout_ms;
    rv_zk_on_state on_state;
    void *ctx;
    enum rv_zk_state state; /* as delivered */
    uint64_t id, seen, next_xid;
    struct sim_conn *conn; /* NULL: none is tried */
    bool welcome;          /* it is a connection of the session */
    size_t next_server;
    int64_t tried_ms, heard_ms, sent_ms;
    struct rv_list waiting, issued, answered;
    RV_VEC(struct watch) watches;
    bool closed, delivering;
    bool dead; /* its process crashes at this moment: nothing is sent any more */
};

static struct sim_zk_session *of(const struct rv_zk *zk) {
    return (struct sim_zk_session *)(uintptr_t)zk; /* its first member */
}

static struct sim_world *world_of(const struct sim_zk_session *z) {
    return z->ensemble->world;
}

static bool is_over(const struct sim_zk_session *z) {
    return z->state == RV_ZK_EXPIRED || z->state == RV_ZK_REFUSED;
}

/* --- operations --- */

static struct op *op_new(enum kind kind) {
    struct op *op = rv_calloc(1, sizeof *op);

    op->kind = kind;
    return op;
}

static void op_free(struct op *op) {
    rv_list_remove(&op->node);
    if (op->request)
        sim_zk_request_free(op->request);
    if (op->reply)
        sim_zk_reply_free(op->reply);
    free(op);
}

static void move(struct op *op, struct rv_list *to) {
    rv_list_remove(&op->node);
    rv_list_append(to, &op->node);
}

static void answer(struct sim_zk_session *z, struct op *op, int code) {
    op->code = code;
    move(op, &z->answered);
}

static void request(struct sim_zk_session *z, struct sim_zk_request *r) {
    r->refs++;
    if (z->dead) {
        sim_zk_request_free(r);
        return;
    }
    z->sent_ms = world_of(z)->now_ms;
    sim_request(z->conn,
                (struct sim_message){.body = sim_zk_pack(z->ensemble, r, sim_zk_request_free)});
}

static void crash(struct sim_zk_session *z) {
    z->dead = true;
    z->ensemble->on_crash(z->ensemble->ctx, z->party);
}

static void count_write(struct sim_zk_session *z, struct sim_zk_request *r) {
    r->party = z->party;
    r->number = sim_write(world_of(z), sim_write_kind(&r->changes));
    if (sim_crashes(world_of(z), r->number, SIM_BEFORE))
        crash(z);
}

static void issue(struct sim_zk_session *z, struct op *op) {
    struct sim_zk_request *r = op->request;

    r->session = z->id;
    r->xid = ++z->next_xid;
    for (size_t i = 0; i < r->changes.list.n; i++)
        if (r->changes.list.v[i].owner)
            r->changes.list.v[i].owner = z->id;
    if (op->on_change)
        rv_vec_push(&z->watches,
                    ((struct watch){rv_strdup(r->path), op->on_change, op->change_ctx}));
    move(op, &z->issued);
    if (r->kind == SIM_ZK_WRITE)
        count_write(z, r);
    request(z, r);
}

/* --- delivery --- */

static void change_state(struct sim_zk_session *z, enum rv_zk_state state) {
    if (is_over(z) || z->state == state)
        return;
    z->state = state;
    RV_LIST_EACH (&z->waiting, node, tmp) {
        if (state == RV_ZK_CONNECTED && z->welcome)
            issue(z, RV_LIST_ENTRY(node, struct op, node));
        else if (is_over(z))
            answer(z, RV_LIST_ENTRY(node, struct op, node), RV_ZK_GONE);
    }
    z->on_state(z->ctx, state);
}

static void tell(struct op *op) {
    struct rv_zk_result result = {.code = op->code};
    const struct sim_zk_reply *r = op->reply;

    if (r && op->code == RV_ZK_OK) {
        result.path = r->path;
        result.data = r->data ? rv_strn(r->data->data, r->data->n) : rv_str("");
        result.version = r->version;
        result.owner = (int64_t)r->owner;
        result.names = r->names.v;
        result.n = r->names.n;
    }
    op->done(op->ctx, &result);
}

static bool ask_again(struct sim_zk_session *z, struct op *op) {
    enum sim_zk_kind kind = op->request->kind;

    if (op->code != RV_ZK_LOST || kind < SIM_ZK_GET || kind > SIM_ZK_SYNC || is_over(z))
        return false;
    if (z->state == RV_ZK_CONNECTED && z->welcome)
        issue(z, op);
    else
        move(op, &z->waiting);
    return true;
}

static void deliver(struct sim_zk_session *z) {
    if (z->delivering)
        return;
    z->delivering = true;
    while (!z->closed && !rv_list_empty(&z->answered)) {
        struct op *op = RV_LIST_ENTRY(z->answered.next, struct op, node);
        rv_list_remove(&op->node);
        if (op->kind == STATE)
            change_state(z, op->state);
        else if (op->kind == CHANGED)
            op->on_change(op->change_ctx);
        else if (ask_again(z, op))
            continue;
        else
            tell(op);
        if (op->request && op->reply && !z->closed &&
            sim_crashes(world_of(z), op->request->number, SIM_ANSWERED))
            crash(z);
        op_free(op);
    }
    z->delivering = false;
}

static void on_deliver(void *ctx, uint64_t arg, void *data) {
    (void)arg;
    (void)data;
    deliver(ctx);
}

static void tell_state(struct sim_zk_session *z, enum rv_zk_state state) {
    struct op *op = op_new(STATE);

    op->state = state;
    rv_list_append(&z->answered, &op->node);
}

/* --- the connection --- */

static void on_connect(void *ctx, uint64_t arg, void *data);

/* A watch that could not be set is none. */
static void unwatch(struct sim_zk_session *z, const struct op *op) {
    for (size_t i = z->watches.n; op->on_change && i > 0; i--)
        if (rv_streq(z->watches.v[i - 1].path, op->request->path)) {
            free(z->watches.v[i - 1].path);
            rv_vec_remove_at(&z->watches, i - 1);
            return;
        }
}

static void drop(struct sim_zk_session *z) {
    struct sim_world *w = world_of(z);

    sim_client_close(z->conn);
    z->conn = NULL;
    if (z->welcome)
        tell_state(z, RV_ZK_CONNECTING);
    z->welcome = false;
    RV_LIST_EACH (&z->issued, node, tmp) {
        unwatch(z, RV_LIST_ENTRY(node, struct op, node));
        answer(z, RV_LIST_ENTRY(node, struct op, node), RV_ZK_LOST);
    }
    sim_at(w, z->party, sim_between(w, 0, 1000), on_connect, z, 0, NULL);
}

/* A watch is for one change. */
static void changed(struct sim_zk_session *z, const char *path) {
    for (size_t i = 0; i < z->watches.n;) {
        struct watch w = z->watches.v[i];
        if (!rv_streq(w.path, path)) {
            i++;
            continue;
        }
        struct op *op = op_new(CHANGED);
        op->on_change = w.on_change;
        op->change_ctx = w.ctx;
        rv_list_append(&z->answered, &op->node);
        free(w.path);
        rv_vec_remove_at(&z->watches, i);
    }
}

static void answered(struct sim_zk_session *z, struct sim_zk_reply *r) {
    RV_LIST_EACH (&z->issued, node, tmp) {
        struct op *op = RV_LIST_ENTRY(node, struct op, node);
        if (op->request->xid != r->xid)
            continue;
        if (r->code != RV_ZK_OK)
            unwatch(z, op);
        op->reply = r;
        answer(z, op, r->code);
        return;
    }
    sim_zk_reply_free(r);
}

static void on_answer(void *ctx, struct sim_conn *c, const struct sim_message *m) {
    struct sim_zk_session *z = ctx;
    struct sim_zk_reply *r = sim_zk_unpack(z->ensemble, m);

    if (z->closed || c != z->conn) {
        sim_zk_reply_free(r);
        return;
    }
    z->heard_ms = world_of(z)->now_ms;
    if (r->kind == SIM_ZK_ANSWER ||
        r->kind == SIM_ZK_PONG) /* after the changes it was welcomed with */
        z->seen = RV_MAX(z->seen, r->seen);
    switch (r->kind) {
    case SIM_ZK_WELCOME:
        z->id = r->session;
        z->welcome = true;
        tell_state(z, RV_ZK_CONNECTED);
        break;
    case SIM_ZK_OVER:
        tell_state(z, RV_ZK_EXPIRED);
        break;
    case SIM_ZK_CHANGED:
        changed(z, r->path);
        break;
    case SIM_ZK_ANSWER:
        answered(z, TAKE_PTR(r));
        break;
    case SIM_ZK_PONG:
        break;
    }
    if (r)
        sim_zk_reply_free(r);
    deliver(z);
}

static void no_bytes(void *ctx, struct sim_conn *conn, struct rv_str bytes) {
    (void)ctx;
    (void)conn;
    (void)bytes;
}

static void on_closed(void *ctx, struct sim_conn *c) {
    struct sim_zk_session *z = ctx;

    if (z->closed || c != z->conn)
        return;
    drop(z);
    deliver(z);
}

static void on_connect(void *ctx, uint64_t arg, void *data) {
    static const struct sim_client ops = {on_answer, no_bytes, on_closed};
    struct sim_zk_session *z = ctx;
    (void)arg;
    (void)data;

    if (z->closed || z->conn || is_over(z))
        return;
    struct sim_zk_request *r = rv_calloc(1, sizeof *r);
    struct sim_zk_server *s = &z->ensemble->servers[z->next_server++ % SIM_ZK_SERVERS];
    *r = (struct sim_zk_request){
        .kind = SIM_ZK_CONNECT, .session = z->id, .seen = z->seen, .timeout_ms = z->timeout_ms};
    for (size_t i = 0; i < z->watches.n; i++)
        rv_vec_push(&r->watches, rv_strdup(z->watches.v[i].path));
    z->conn = sim_connect(z->ensemble->network, z->party, &s->server, &ops, z);
    z->tried_ms = world_of(z)->now_ms;
    request(z, r);
}

static void on_timer(void *ctx, uint64_t arg, void *data) {
    struct sim_zk_session *z = ctx;
    int64_t now_ms = world_of(z)->now_ms;
    (void)arg;
    (void)data;

    if (z->closed || is_over(z))
        return;
    sim_at(world_of(z), z->party, z->timeout_ms / 6, on_timer, z, 0, NULL);
    bool silent = z->welcome ? now_ms - z->heard_ms > z->timeout_ms * 2 / 3
                             : now_ms - z->tried_ms > z->timeout_ms / 3;
    if (z->conn && silent) {
        drop(z);
        deliver(z);
    } else if (z->welcome && now_ms - z->sent_ms >= z->timeout_ms / 3) {
        struct sim_zk_request *r = rv_calloc(1, sizeof *r);
        r->kind = SIM_ZK_PING;
        request(z, r);
    }
}

/* --- for users --- */

static void close_all(struct rv_list *list) {
    static const struct rv_zk_result closed = {.code = RV_ZK_CLOSED};

    RV_LIST_EACH (list, node, tmp) {
        struct op *op = RV_LIST_ENTRY(node, struct op, node);
        rv_list_remove(&op->node);
        if (op->done)
            op->done(op->ctx, &closed);
        op_free(op);
    }
}

static struct rv_zk *session_free(struct rv_zk *zk) {
    struct sim_zk_session *z = of(zk);

    z->closed = true;
    if (z->welcome) {
        struct sim_zk_request *r = rv_calloc(1, sizeof *r);
        *r = (struct sim_zk_request){.kind = SIM_ZK_CLOSE, .session = z->id};
        request(z, r);
    }
    sim_client_close(z->conn);
    close_all(&z->answered);
    close_all(&z->issued);
    close_all(&z->waiting);
    for (size_t i = 0; i < z->watches.n; i++)
        free(z->watches.v[i].path);
    rv_vec_free(&z->watches);
    return NULL;
}

void sim_zk_abandon(struct rv_zk *zk) {
    if (zk) {
        of(zk)->conn = NULL;
        of(zk)->welcome = false;
    }
}

static void ask(struct rv_zk *zk, struct op *op, rv_zk_done done, void *ctx) {
    struct sim_zk_session *z = of(zk);

    op->request->refs = 1;
    op->done = done;
    op->ctx = ctx;
    if (is_over(z)) {
        answer(z, op, RV_ZK_GONE);
        sim_at(world_of(z), z->party, 0, on_deliver, z, 0, NULL);
    } else if (z->state == RV_ZK_CONNECTED && z->welcome) {
        issue(z, op);
    } else {
        rv_list_append(&z->waiting, &op->node);
    }
}

static struct op *operation(enum sim_zk_kind kind, const char *path) {
    struct op *op = op_new(OPERATION);

    op->request = rv_calloc(1, sizeof *op->request);
    op->request->kind = kind;
    op->request->path = rv_strdup(path);
    return op;
}

static void session_get(struct rv_zk *zk, const char *path, rv_zk_done done, void *ctx) {
    ask(zk, operation(SIM_ZK_GET, path), done, ctx);
}

static void session_exists(struct rv_zk *zk, const char *path, rv_zk_done done, void *ctx) {
    ask(zk, operation(SIM_ZK_EXISTS, path), done, ctx);
}

static void session_children(struct rv_zk *zk, const char *path,
                             void (*on_change)(void *change_ctx), void *change_ctx, rv_zk_done done,
                             void *ctx) {
    struct op *op = operation(SIM_ZK_CHILDREN, path);

    op->request->watch = on_change != NULL;
    op->on_change = on_change;
    op->change_ctx = change_ctx;
    ask(zk, op, done, ctx);
}

static void session_sync(struct rv_zk *zk, const char *path, rv_zk_done done, void *ctx) {
    ask(zk, operation(SIM_ZK_SYNC, path), done, ctx);
}

static void add(struct op *op, struct sim_zk_change c, const char *path, struct rv_str data) {
    c.path = rv_strdup(path);
    c.data = data.s ? rv_blob_new(data.s, data.n) : NULL;
    rv_vec_push(&op->request->changes.list, c);
}

static void session_create(struct rv_zk *zk, const char *path, struct rv_str data, int flags,
                           enum rv_zk_access access, rv_zk_done done, void *ctx) {
    struct op *op = operation(SIM_ZK_WRITE, NULL);
    (void)access;

    add(op,
        (struct sim_zk_change){.change = RV_ZK_CREATE,
                               .version = -1,
                               .owner = flags & RV_ZK_EPHEMERAL ? 1 : 0,
                               .sequence = flags & RV_ZK_SEQUENCE},
        path, data);
    ask(zk, op, done, ctx);
}

static void session_remove(struct rv_zk *zk, const char *path, rv_zk_done done, void *ctx) {
    struct op *op = operation(SIM_ZK_WRITE, NULL);

    add(op, (struct sim_zk_change){.change = RV_ZK_REMOVE, .version = -1}, path, RV_STR(""));
    ask(zk, op, done, ctx);
}

static void session_multi(struct rv_zk *zk, const struct rv_zk_op *ops, size_t n, rv_zk_done done,
                          void *ctx) {
    struct op *op = operation(SIM_ZK_WRITE, NULL);

    for (size_t i = 0; i < n; i++)
        add(op, (struct sim_zk_change){.change = ops[i].change, .version = ops[i].version},
            ops[i].path, ops[i].data);
    ask(zk, op, done, ctx);
}

static enum rv_zk_state session_state(const struct rv_zk *zk) {
    return of(zk)->state;
}

static int64_t session_timeout_ms(const struct rv_zk *zk) {
    return of(zk)->timeout_ms;
}

static int64_t session_id(const struct rv_zk *zk) {
    return (int64_t)of(zk)->id;
}

static const char *session_servers(const struct rv_zk *zk) {
    (void)zk;
    return "zk0,zk1,zk2";
}

struct rv_zk *sim_zk_begin(struct sim_zk_pool *pool, struct sim_ensemble *e,
                           struct sim_party *party, int64_t timeout_ms, rv_zk_on_state on_state,
                           void *ctx) {
    static const struct rv_zk_ops ops = {.free = session_free,
                                         .state = session_state,
                                         .timeout_ms = session_timeout_ms,
                                         .id = session_id,
                                         .servers = session_servers,
                                         .get = session_get,
                                         .exists = session_exists,
                                         .children = session_children,
                                         .sync = session_sync,
                                         .create = session_create,
                                         .remove = session_remove,
                                         .multi = session_multi};
    struct sim_zk_session *z = rv_calloc(1, sizeof *z);

    *z = (struct sim_zk_session){.base = {&ops},
                                 .ensemble = e,
                                 .party = party,
                                 .timeout_ms = timeout_ms,
                                 .on_state = on_state,
                                 .ctx = ctx,
                                 .next_server = sim_below(e->world, SIM_ZK_SERVERS)};
    rv_list_init(&z->waiting);
    rv_list_init(&z->issued);
    rv_list_init(&z->answered);
    rv_vec_push(&pool->list, z);
    sim_at(e->world, party, 0, on_connect, z, 0, NULL);
    sim_at(e->world, party, timeout_ms / 6, on_timer, z, 0, NULL);
    return &z->base;
}

void sim_zk_pool_free(struct sim_zk_pool *pool) {
    for (size_t i = 0; i < pool->list.n; i++)
        free(pool->list.v[i]);
    rv_vec_free(&pool->list);
}
