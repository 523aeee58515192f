/*
 * A session. The library is entered from the loop only: when its socket is ready, when it wants to
 * be called again (zookeeper_interest says when), and by operations. What it calls back is copied
 * and queued, and delivered when it has returned and its socket is being watched again: so nothing
 * of ours runs inside of it, and a callback may do anything.
 *
 * The library closes and opens sockets as it likes, and a new one may have the number of the old:
 * the watch is stopped before each call and set anew after it.
 *
 * An operation is in one list at a time: waiting (for a connection), with the library, or answered.
 */
#include "io/zk.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/log.h"
#include "io/handle.h"
#include "io/zk_lib.h"
#include "io/zk_names.h"

#define MODULE "zookeeper"
#define BURST 256       /* answers read before the loop goes on */
#define AGAIN_MS 10     /* while the library is between two sockets */
#define RESOLVE_MS 2000 /* between looks at the names of servers without a connection */

enum kind { GET, EXISTS, CHILDREN, SYNC, CREATE, REMOVE, MULTI, STATE, CHANGED };

struct op {
    struct rv_list node;
    struct session *z;
    enum kind kind;
    char *path;
    struct rv_buf data;
    int flags;
    const struct ACL_vector *acl;
    const struct rv_zk_op *ops; /* MULTI: the asker's */
    zoo_op_t *zoo_ops;          /* and what the library needs until it answers */
    zoo_op_result_t *zoo_results;
    size_t n_ops;
    void (*on_change)(void *change_ctx);
    void *change_ctx;
    rv_zk_done done;
    void *ctx;
    struct rv_zk_result result; /* what it points to is owned by the fields below */
    char *answer;
    char **names;
    enum rv_zk_state state; /* STATE */
};

struct watch {
    struct rv_list node;
    struct session *z;
    void (*on_change)(void *ctx);
    void *ctx;
};

struct session {
    struct rv_zk base;
    const struct rv_zoo *zoo;
    uv_loop_t *loop;
    struct rv_zk_url url;
    char *servers;   /* for messages */
    char *addresses; /* as given to the library, NULL: none yet */
    int64_t timeout_ms;
    rv_zk_on_state on_state;
    void *ctx;
    zhandle_t *zh;
    enum rv_zk_state state; /* as delivered */
    uv_poll_t *poll;
    int poll_fd;
    uv_timer_t *timer, *resolve_timer;
    uv_prepare_t *prepare; /* the library was asked something: look what it needs */
    bool dirty, closed;
    struct rv_list waiting, issued, answered, watches;
    struct rv_zk_names *names; /* being looked for */
    unsigned handles;          /* that are closing */
};

static char scheme_world[] = "world", id_anyone[] = "anyone", scheme_auth[] = "auth",
            id_none[] = "";
static struct ACL open_acl[] = {{0x1f, {scheme_world, id_anyone}}};
static struct ACL owned_acl[] = {{0x1f, {scheme_auth, id_none}}, {0x01, {scheme_world, id_anyone}}};
static const struct ACL_vector everybody = {1, open_acl}, only_we = {1, owned_acl},
                               others_read = {2, owned_acl};

/* --- operations --- */

static void op_free(struct op *op) {
    rv_list_remove(&op->node);
    free(op->zoo_ops);
    free(op->zoo_results);
    for (size_t i = 0; op->names && i < op->result.n; i++)
        free(op->names[i]);
    free(op->names);
    free(op->answer);
    free(op->path);
    rv_buf_free(&op->data);
    free(op);
}

static struct op *op_new(struct session *z, enum kind kind, const char *path) {
    struct op *op = rv_calloc(1, sizeof *op);

    RV_ASSERT(!z->closed);
    op->z = z;
    op->kind = kind;
    op->path = rv_strdup(path);
    return op;
}

static bool reads(enum kind kind) {
    return kind <= SYNC;
}

/* Answered as the library numbers it; some that mean the same to us are one. */
static void answer(struct op *op, int code) {
    switch (code) {
    case ZOPERATIONTIMEOUT:
    case ZSESSIONMOVED:
    case ZSYSTEMERROR:
    case ZRUNTIMEINCONSISTENCY: /* it has mixed up two connections, and made a third */
        code = RV_ZK_LOST;
        break;
    case ZINVALIDSTATE:
    case ZAUTHFAILED:
        code = RV_ZK_GONE;
        break;
    default:
        break;
    }
    op->result.code = code;
    rv_list_remove(&op->node);
    rv_list_append(&op->z->answered, &op->node);
    op->z->dirty = true;
}

/* --- what the library calls --- */

static struct op *op_of(const void *data) {
    return (struct op *)(uintptr_t)data;
}

static void keep_stat(struct op *op, const struct Stat *stat) {
    if (stat) {
        op->result.version = stat->version;
        op->result.owner = stat->ephemeralOwner;
    }
}

static void on_void(int code, const void *data) {
    answer(op_of(data), code);
}

static void on_stat(int code, const struct Stat *stat, const void *data) {
    keep_stat(op_of(data), code ? NULL : stat);
    answer(op_of(data), code);
}

static void on_data(int code, const char *value, int n, const struct Stat *stat, const void *data) {
    struct op *op = op_of(data);

    if (!code) {
        keep_stat(op, stat);
        op->answer = n > 0 ? rv_memdup(value, (size_t)n) : NULL;
        op->result.data = rv_strn(op->answer ? op->answer : "", n > 0 ? (size_t)n : 0);
    }
    answer(op, code);
}

static void on_string(int code, const char *value, const void *data) {
    struct op *op = op_of(data);

    if (!code)
        op->result.path = op->answer = rv_strdup(value);
    answer(op, code);
}

static void on_strings(int code, const struct String_vector *strings, const void *data) {
    struct op *op = op_of(data);

    if (!code && strings) {
        op->names = rv_calloc((size_t)strings->count + 1, sizeof *op->names);
        for (int i = 0; i < strings->count; i++)
            op->names[i] = rv_strdup(strings->data[i]);
        op->result.names = op->names;
        op->result.n = (size_t)strings->count;
    }
    answer(op, code);
}

static void tell(struct session *z, enum kind kind, enum rv_zk_state state,
                 void (*on_change)(void *ctx), void *ctx) {
    struct op *op = op_new(z, kind, NULL);

    op->state = state;
    op->on_change = on_change;
    op->change_ctx = ctx;
    rv_list_append(&z->answered, &op->node);
    z->dirty = true;
}

static void on_session(zhandle_t *zh, int type, int state, const char *path, void *ctx) {
    struct session *z = ctx;
    (void)zh;
    (void)path;

    if (type != RV_ZOO_SESSION || z->closed)
        return;
    tell(z, STATE,
         state == RV_ZOO_CONNECTED     ? RV_ZK_CONNECTED
         : state == RV_ZOO_EXPIRED     ? RV_ZK_EXPIRED
         : state == RV_ZOO_AUTH_FAILED ? RV_ZK_REFUSED
                                       : RV_ZK_CONNECTING,
         NULL, NULL);
}

static void watch_free(struct watch *w) {
    rv_list_remove(&w->node);
    free(w);
}

static void on_watch(zhandle_t *zh, int type, int state, const char *path, void *ctx) {
    struct watch *w = ctx;
    (void)zh;
    (void)state;
    (void)path;

    if (type == RV_ZOO_SESSION) /* told to everybody; the watch stays */
        return;
    if (!w->z->closed)
        tell(w->z, CHANGED, RV_ZK_CONNECTED, w->on_change, w->ctx);
    watch_free(w);
}

/* --- asking the library --- */

static const struct ACL_vector *acl_of(const struct session *z, enum rv_zk_access access) {
    return !z->url.credentials ? &everybody : access == RV_ZK_PUBLIC ? &others_read : &only_we;
}

static int issue_multi(struct session *z, struct op *op) {
    op->zoo_ops = rv_calloc(op->n_ops + 1, sizeof *op->zoo_ops);
    op->zoo_results = rv_calloc(op->n_ops + 1, sizeof *op->zoo_results);
    for (size_t i = 0; i < op->n_ops; i++) {
        const struct rv_zk_op *o = &op->ops[i];
        zoo_op_t *to = &op->zoo_ops[i];
        switch (o->change) {
        case RV_ZK_CREATE:
            z->zoo->zoo_create_op_init(to, o->path, o->data.s, (int)o->data.n, acl_of(z, o->access),
                                       0, NULL, 0);
            break;
        case RV_ZK_SET:
            z->zoo->zoo_set_op_init(to, o->path, o->data.s, (int)o->data.n, o->version, NULL);
            break;
        case RV_ZK_REMOVE:
            z->zoo->zoo_delete_op_init(to, o->path, o->version);
            break;
        case RV_ZK_CHECK:
            z->zoo->zoo_check_op_init(to, o->path, o->version);
            break;
        }
    }
    return z->zoo->zoo_amulti(z->zh, (int)op->n_ops, op->zoo_ops, op->zoo_results, on_void, op);
}

static int issue_children(struct session *z, struct op *op) {
    struct watch *w = NULL;

    if (op->on_change) {
        w = rv_calloc(1, sizeof *w);
        *w = (struct watch){.z = z, .on_change = op->on_change, .ctx = op->change_ctx};
        rv_list_append(&z->watches, &w->node);
    }
    int r = z->zoo->zoo_awget_children(z->zh, op->path, w ? on_watch : NULL, w, on_strings, op);
    if (r && w)
        watch_free(w);
    return r;
}

static void issue(struct session *z, struct op *op) {
    int r = 0;

    rv_list_remove(&op->node);
    rv_list_append(&z->issued, &op->node);
    z->dirty = true;
    switch (op->kind) {
    case GET:
        r = z->zoo->zoo_aget(z->zh, op->path, 0, on_data, op);
        break;
    case EXISTS:
        r = z->zoo->zoo_aexists(z->zh, op->path, 0, on_stat, op);
        break;
    case CHILDREN:
        r = issue_children(z, op);
        break;
    case SYNC:
        r = z->zoo->zoo_async(z->zh, op->path, on_string, op);
        break;
    case CREATE:
        r = z->zoo->zoo_acreate(z->zh, op->path, op->data.data, (int)op->data.n, op->acl, op->flags,
                                on_string, op);
        break;
    case REMOVE:
        r = z->zoo->zoo_adelete(z->zh, op->path, -1, on_void, op);
        break;
    case MULTI:
        r = issue_multi(z, op);
        break;
    case STATE:
    case CHANGED:
        RV_UNREACHABLE();
    }
    if (r)
        answer(op, r);
}

static bool is_over(enum rv_zk_state state) {
    return state == RV_ZK_EXPIRED || state == RV_ZK_REFUSED;
}

static void ask(struct session *z, struct op *op, rv_zk_done done, void *ctx) {
    op->done = done;
    op->ctx = ctx;
    z->dirty = true;
    if (is_over(z->state)) {
        rv_list_append(&z->answered, &op->node);
        op->result.code = RV_ZK_GONE;
    } else if (z->state == RV_ZK_CONNECTED) {
        issue(z, op);
    } else {
        rv_list_append(&z->waiting, &op->node);
    }
}

/* --- delivery --- */

static void change_state(struct session *z, enum rv_zk_state state) {
    if (is_over(z->state) || z->state == state)
        return;
    z->state = state;
    if (state == RV_ZK_CONNECTED)
        RV_LIST_EACH (&z->waiting, node, tmp)
            issue(z, RV_LIST_ENTRY(node, struct op, node));
    if (is_over(state))
        RV_LIST_EACH (&z->waiting, node, tmp)
            answer(RV_LIST_ENTRY(node, struct op, node), RV_ZK_GONE);
    if (state == RV_ZK_CONNECTING)
        uv_timer_again(z->resolve_timer);
    else
        uv_timer_stop(z->resolve_timer);
    z->on_state(z->ctx, state);
}

/* One that reads and has lost its connection is asked again. */
static bool ask_again(struct session *z, struct op *op) {
    if (op->result.code != RV_ZK_LOST || !reads(op->kind) || is_over(z->state))
        return false;
    if (z->state == RV_ZK_CONNECTED)
        issue(z, op);
    else
        rv_list_append(&z->waiting, &op->node);
    return true;
}

static void deliver(struct session *z) {
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
            op->done(op->ctx, &op->result);
        op_free(op);
    }
}

/* --- the loop --- */

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);

static void drop_poll(struct session *z) {
    rv_handle_close(z->poll);
    z->poll = NULL;
}

static void watch_socket(struct session *z, int fd, int interest) {
    int events =
        (interest & RV_ZOO_READ ? UV_READABLE : 0) | (interest & RV_ZOO_WRITE ? UV_WRITABLE : 0);

    if (z->poll && z->poll_fd != fd)
        drop_poll(z);
    if (fd < 0)
        return;
    if (!z->poll) {
        z->poll = rv_calloc(1, sizeof *z->poll);
        z->poll->data = z;
        z->poll_fd = fd;
        if (uv_poll_init(z->loop, z->poll, fd)) {
            free(z->poll);
            z->poll = NULL;
            return;
        }
    }
    uv_poll_start(z->poll, events, on_poll);
}

/* After the library was in use: what it needs next, and what it has said. */
static void settle(struct session *z) {
    struct timeval tv = {0, 0};
    int fd = -1, interest = 0;

    z->dirty = false;
    if (z->zh && !is_over(z->state)) {
        z->zoo->zookeeper_interest(z->zh, &fd, &interest, &tv);
        watch_socket(z, fd, interest);
        uint64_t ms = (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000;
        uv_timer_start(z->timer, on_timer, RV_MAX(ms, fd < 0 ? AGAIN_MS : UINT64_C(1)), 0);
    }
    deliver(z);
}

static void stop_watching(struct session *z) {
    if (z->poll)
        uv_poll_stop(z->poll);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct session *z = poll->data;
    int ready = (events & UV_READABLE || status < 0 ? RV_ZOO_READ : 0) |
                (events & UV_WRITABLE || status < 0 ? RV_ZOO_WRITE : 0);

    stop_watching(z);
    for (int i = 0; i < BURST; i++) {
        if (z->zoo->zookeeper_process(z->zh, ready) != ZOK || !(ready & RV_ZOO_READ))
            break;
        ready = RV_ZOO_READ;
    }
    settle(z);
}

static void on_timer(uv_timer_t *timer) {
    struct session *z = timer->data;

    stop_watching(z);
    z->zoo->zookeeper_process(z->zh, 0);
    settle(z);
}

/* Operations were asked since: the library may have more to send than the socket took. */
static void on_prepare(uv_prepare_t *prepare) {
    struct session *z = prepare->data;

    for (int i = 0; z->dirty && !z->closed && i < BURST; i++) {
        stop_watching(z);
        settle(z);
    }
}

/* --- names of servers --- */

static void start_session(struct session *z, char *addresses) {
    z->addresses = addresses;
    z->zh =
        z->zoo->zookeeper_init2(addresses, on_session, (int)z->timeout_ms, NULL, z, 0, rv_zoo_log);
    if (!z->zh) {
        RV_ERROR(MODULE, "%s: the session cannot be begun: %s", z->servers, strerror(errno));
        free(TAKE_PTR(z->addresses));
        return; /* looked at again with the names */
    }
    z->zoo->zoo_set_servers_resolution_delay(z->zh, -1);
    if (z->url.credentials)
        z->zoo->zoo_add_auth(z->zh, "digest", z->url.credentials, (int)strlen(z->url.credentials),
                             NULL, NULL);
    settle(z);
}

static void use_addresses(struct session *z, char *addresses) {
    if (!z->zh) {
        start_session(z, addresses);
        return;
    }
    if (rv_streq(addresses, z->addresses)) {
        free(addresses);
        return;
    }
    RV_INFO(MODULE, "%s: is at %s now", z->servers, addresses);
    stop_watching(z);
    if (z->zoo->zoo_set_servers(z->zh, addresses))
        RV_WARN(MODULE, "%s: the new addresses were not taken", z->servers);
    free(z->addresses);
    z->addresses = addresses;
    settle(z);
}

static void on_names(void *ctx, char *addresses) {
    struct session *z = ctx;

    z->names = NULL;
    if (addresses)
        use_addresses(z, addresses);
    else
        RV_WARN(MODULE, "%s: none of the names is known", z->servers);
}

static void on_resolve_timer(uv_timer_t *timer) {
    struct session *z = timer->data;

    if (!z->names)
        rv_zk_names_find(z->loop, &z->url.servers, on_names, z, &z->names);
}

/* --- life --- */

static uv_handle_t *new_handle(struct session *z, size_t size) {
    uv_handle_t *h = rv_calloc(1, size);

    h->data = z;
    z->handles++;
    return h;
}

static void on_handle_closed(uv_handle_t *h) {
    struct session *z = h->data;

    free(h);
    if (--z->handles)
        return;
    rv_zk_url_free(&z->url);
    free(z->servers);
    free(z->addresses);
    free(z);
}

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

static struct session *of(const struct rv_zk *zk) {
    return (struct session *)(uintptr_t)zk; /* its first member */
}

static struct rv_zk *session_free(struct rv_zk *zk) {
    struct session *z = of(zk);

    z->closed = true;
    stop_watching(z);
    if (z->zh)
        z->zoo->zookeeper_close(z->zh); /* answers what it has */
    drop_poll(z);
    rv_zk_names_forget(z->names);
    close_all(&z->answered);
    close_all(&z->issued);
    close_all(&z->waiting);
    RV_LIST_EACH (&z->watches, node, tmp)
        watch_free(RV_LIST_ENTRY(node, struct watch, node));
    uv_close((uv_handle_t *)z->timer, on_handle_closed);
    uv_close((uv_handle_t *)z->resolve_timer, on_handle_closed);
    uv_close((uv_handle_t *)z->prepare, on_handle_closed);
    return NULL;
}

static enum rv_zk_state session_state(const struct rv_zk *zk) {
    return of(zk)->state;
}

static int64_t session_timeout_ms(const struct rv_zk *zk) {
    const struct session *z = of(zk);

    return z->zh ? z->zoo->zoo_recv_timeout(z->zh) : z->timeout_ms;
}

static int64_t session_id(const struct rv_zk *zk) {
    const struct session *z = of(zk);

    return z->zh ? z->zoo->zoo_client_id(z->zh)->client_id : 0;
}

static const char *session_servers(const struct rv_zk *zk) {
    return of(zk)->servers;
}

/* --- the operations --- */

static void session_get(struct rv_zk *zk, const char *path, rv_zk_done done, void *ctx) {
    ask(of(zk), op_new(of(zk), GET, path), done, ctx);
}

static void session_exists(struct rv_zk *zk, const char *path, rv_zk_done done, void *ctx) {
    ask(of(zk), op_new(of(zk), EXISTS, path), done, ctx);
}

static void session_children(struct rv_zk *zk, const char *path,
                             void (*on_change)(void *change_ctx), void *change_ctx, rv_zk_done done,
                             void *ctx) {
    struct op *op = op_new(of(zk), CHILDREN, path);

    op->on_change = on_change;
    op->change_ctx = change_ctx;
    ask(of(zk), op, done, ctx);
}

static void session_sync(struct rv_zk *zk, const char *path, rv_zk_done done, void *ctx) {
    ask(of(zk), op_new(of(zk), SYNC, path), done, ctx);
}

static void session_create(struct rv_zk *zk, const char *path, struct rv_str data, int flags,
                           enum rv_zk_access access, rv_zk_done done, void *ctx) {
    struct op *op = op_new(of(zk), CREATE, path);

    rv_buf_append(&op->data, data.s, data.n);
    op->flags = flags;
    op->acl = acl_of(of(zk), access);
    ask(of(zk), op, done, ctx);
}

static void session_remove(struct rv_zk *zk, const char *path, rv_zk_done done, void *ctx) {
    ask(of(zk), op_new(of(zk), REMOVE, path), done, ctx);
}

static void session_multi(struct rv_zk *zk, const struct rv_zk_op *ops, size_t n, rv_zk_done done,
                          void *ctx) {
    struct op *op = op_new(of(zk), MULTI, NULL);

    op->ops = ops;
    op->n_ops = n;
    ask(of(zk), op, done, ctx);
}

static const struct rv_zk_ops session_ops = {.free = session_free,
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

int rv_zk_new(uv_loop_t *loop, const struct rv_zk_url *url, int64_t timeout_ms,
              rv_zk_on_state on_state, void *ctx, struct rv_zk **out, struct rv_error *err) {
    const struct rv_zoo *zoo;
    int r = rv_zoo_load(&zoo, err);
    struct rv_buf servers = {0};

    if (r)
        return r;
    struct session *z = rv_calloc(1, sizeof *z);
    z->base.ops = &session_ops;
    z->zoo = zoo;
    z->loop = loop;
    rv_zk_url_copy(&z->url, url);
    for (size_t i = 0; i < url->servers.list.n; i++)
        rv_buf_printf(&servers, "%s%s:%u", i ? "," : "", url->servers.list.v[i].host,
                      (unsigned)url->servers.list.v[i].port);
    z->servers = rv_buf_take(&servers, NULL);
    z->timeout_ms = timeout_ms;
    z->on_state = on_state;
    z->ctx = ctx;
    rv_list_init(&z->waiting);
    rv_list_init(&z->issued);
    rv_list_init(&z->answered);
    rv_list_init(&z->watches);
    z->timer = (uv_timer_t *)new_handle(z, sizeof *z->timer);
    uv_timer_init(loop, z->timer);
    z->resolve_timer = (uv_timer_t *)new_handle(z, sizeof *z->resolve_timer);
    uv_timer_init(loop, z->resolve_timer);
    uv_timer_start(z->resolve_timer, on_resolve_timer, 0, RESOLVE_MS);
    z->prepare = (uv_prepare_t *)new_handle(z, sizeof *z->prepare);
    uv_prepare_init(loop, z->prepare);
    uv_prepare_start(z->prepare, on_prepare);
    uv_unref((uv_handle_t *)z->prepare);
    *out = &z->base;
    return 0;
}
