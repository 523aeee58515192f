/*
 * Servers of ZooKeeper: see ensemble.h. Reads wait for the writes of the same session before them;
 * a write goes to the leader, is decided there in order, and answered when the server that was
 * asked has applied it.
 */
#include "ensemble.h"

#include <stdlib.h>

#define TICK_MS 500

static struct rv_str key_of(const uint64_t *number) {
    return rv_strn(number, sizeof *number);
}

/* --- packets --- */

struct packet {
    void *what;
    void (*release)(void *p);
};

struct rv_blob *sim_zk_pack(struct sim_ensemble *e, void *what, void (*release)(void *p)) {
    struct packet *p = rv_calloc(1, sizeof *p);
    uint64_t number = sim_number(e->world);

    *p = (struct packet){what, release};
    rv_map_put(&e->packets, key_of(&number), p);
    return rv_blob_new(&number, sizeof number);
}

void *sim_zk_unpack(struct sim_ensemble *e, const struct sim_message *m) {
    struct packet *p = rv_map_remove(&e->packets, rv_strn(m->body->data, m->body->n));
    void *what = p->what;

    free(p);
    return what;
}

void sim_zk_request_free(void *request) {
    struct sim_zk_request *r = request;

    if (--r->refs)
        return;
    for (size_t i = 0; i < r->watches.n; i++)
        free(r->watches.v[i]);
    rv_vec_free(&r->watches);
    sim_zk_changes_free(&r->changes);
    free(r->path);
    free(r);
}

void sim_zk_reply_free(void *reply) {
    struct sim_zk_reply *r = reply;

    for (size_t i = 0; i < r->names.n; i++)
        free(r->names.v[i]);
    rv_vec_free(&r->names);
    rv_blob_unref(r->data);
    free(r->path);
    free(r);
}

static void reply(struct sim_zk_server *s, struct sim_conn *c, struct sim_zk_reply what) {
    struct sim_zk_reply *r = rv_memdup(&what, sizeof what);

    r->seen = s->applied;
    sim_answer_body(c, sim_zk_pack(s->ensemble, r, sim_zk_reply_free));
}

/* --- who hears whom --- */

static bool awake(const struct sim_zk_server *s) {
    return s->server.party.up && s->server.party.frozen_until_ms <= s->ensemble->world->now_ms;
}

static bool linked(const struct sim_zk_server *a, const struct sim_zk_server *b) {
    const struct sim_ensemble *e = a->ensemble;
    int x = a->server.party.node, y = b->server.party.node;

    return awake(a) && awake(b) && e->network->blocked_until_ms[x][y] <= e->world->now_ms &&
           e->network->blocked_until_ms[y][x] <= e->world->now_ms;
}

static bool has_quorum(const struct sim_zk_server *of) {
    unsigned n = 0;

    for (size_t i = 0; i < SIM_ZK_SERVERS; i++)
        n += linked(of, &of->ensemble->servers[i]);
    return 2 * n > SIM_ZK_SERVERS;
}

static bool follows(const struct sim_zk_server *s) {
    const struct sim_zk_server *leader = s->ensemble->leader;

    return leader && linked(s, leader);
}

/* --- clients of a server --- */

static void client_free(struct sim_zk_client *c) {
    for (size_t i = 0; i < c->entries.n; i++) {
        sim_zk_request_free(c->entries.v[i].request);
        free(c->entries.v[i].path);
    }
    rv_vec_free(&c->entries);
    free(c);
}

static struct sim_zk_client *client_of(struct sim_zk_server *s, const struct sim_conn *conn) {
    for (size_t i = 0; i < s->clients.n; i++)
        if (s->clients.v[i]->conn == conn)
            return s->clients.v[i];
    return NULL;
}

static void forget(struct sim_zk_server *s, const struct sim_conn *conn) {
    for (size_t i = s->clients.n; i > 0; i--)
        if (s->clients.v[i - 1]->conn == conn) {
            client_free(s->clients.v[i - 1]);
            rv_vec_remove_at(&s->clients, i - 1);
        }
    for (size_t i = s->watches.n; i > 0; i--)
        if (s->watches.v[i - 1].conn == conn) {
            free(s->watches.v[i - 1].path);
            rv_vec_remove_at(&s->watches, i - 1);
        }
}

static void hang_up(struct sim_zk_server *s, struct sim_conn *conn) {
    sim_server_close(conn);
    forget(s, conn);
}

static void stop_serving(struct sim_zk_server *s) {
    if (s->serving)
        sim_trace(s->ensemble->world, &s->server.party, "serves no more");
    s->serving = false;
    while (s->clients.n)
        hang_up(s, s->clients.v[0]->conn);
}

/* --- answers --- */

static void watch(struct sim_zk_server *s, struct sim_conn *conn, const char *path) {
    rv_vec_push(&s->watches, ((struct sim_zk_watch){rv_strdup(path), conn}));
}

static void changed(struct sim_zk_server *s, const char *path) {
    for (size_t i = 0; i < s->watches.n;) {
        struct sim_zk_watch w = s->watches.v[i];
        if (!rv_streq(w.path, path)) {
            i++;
            continue;
        }
        rv_vec_remove_at(&s->watches, i);
        reply(s, w.conn, (struct sim_zk_reply){.kind = SIM_ZK_CHANGED, .path = w.path});
    }
}

static void answer_read(struct sim_zk_server *s, struct sim_conn *conn,
                        const struct sim_zk_request *r) {
    const struct sim_znode *n = sim_znode(&s->tree, r->path);
    struct sim_zk_reply a = {.kind = SIM_ZK_ANSWER, .xid = r->xid};
    struct rv_str name;

    if (!n) {
        a.code = RV_ZK_NO_NODE;
    } else {
        a.data = r->kind == SIM_ZK_GET ? rv_blob_ref(n->data) : NULL;
        a.version = n->version;
        a.owner = n->owner;
        for (size_t it = 0; r->kind == SIM_ZK_CHILDREN && rv_map_next(&n->children, &it, &name, 0);)
            rv_vec_push(&a.names, rv_strndup(name.s, name.n));
    }
    if (n && r->watch)
        watch(s, conn, r->path);
    reply(s, conn, a);
}

/* What changed while the client was away is told first. */
static void welcome(struct sim_zk_server *s, struct sim_zk_client *c, struct sim_zk_entry *e) {
    const struct sim_zk_request *r = e->request;

    c->session = e->session;
    reply(s, c->conn,
          (struct sim_zk_reply){.kind = e->session ? SIM_ZK_WELCOME : SIM_ZK_OVER,
                                .session = e->session});
    for (size_t i = 0; e->session && i < r->watches.n; i++) {
        const struct sim_znode *n = sim_znode(&s->tree, r->watches.v[i]);
        if (n && n->children_zxid <= r->seen)
            watch(s, c->conn, r->watches.v[i]);
        else
            reply(
                s, c->conn,
                (struct sim_zk_reply){.kind = SIM_ZK_CHANGED, .path = rv_strdup(r->watches.v[i])});
    }
}

static bool is_read(const struct sim_zk_request *r) {
    return r->kind >= SIM_ZK_GET && r->kind <= SIM_ZK_CHILDREN;
}

/* All that can be answered by now, in order. */
static void advance(struct sim_zk_server *s, struct sim_zk_client *c) {
    while (c->entries.n) {
        struct sim_zk_entry e = c->entries.v[0];
        if (!is_read(e.request) && (!e.decided || e.zxid > s->applied))
            return;
        rv_vec_remove_at(&c->entries, 0);
        if (is_read(e.request))
            answer_read(s, c->conn, e.request);
        else if (e.request->kind == SIM_ZK_CONNECT)
            welcome(s, c, &e);
        else
            reply(s, c->conn,
                  (struct sim_zk_reply){.kind = SIM_ZK_ANSWER,
                                        .xid = e.request->xid,
                                        .code = e.code,
                                        .path = TAKE_PTR(e.path)});
        free(e.path);
        sim_zk_request_free(e.request);
    }
}

/* --- applying --- */

static void apply_one(struct sim_zk_server *s) {
    const struct sim_zk_txn *t = &s->ensemble->log.v[s->applied++];

    sim_znodes_apply(&s->tree, &t->changes, s->applied);
    for (size_t i = 0; i < t->changes.list.n; i++) {
        const struct sim_zk_change *c = &t->changes.list.v[i];
        _cleanup_free_ char *parent = sim_znode_parent(c->path);
        if (c->change == RV_ZK_CREATE || c->change == RV_ZK_REMOVE)
            changed(s, parent);
    }
    for (size_t i = s->clients.n; t->ended && i > 0; i--)
        if (s->clients.v[i - 1]->session == t->ended)
            hang_up(s, s->clients.v[i - 1]->conn);
}

static void catch_up(struct sim_zk_server *s, uint64_t zxid) {
    while (s->applied < zxid)
        apply_one(s);
    for (size_t i = 0; i < s->clients.n; i++)
        advance(s, s->clients.v[i]);
}

static void on_replicate(void *ctx, uint64_t zxid, void *data) {
    struct sim_zk_server *s = ctx;
    (void)data;

    if (s->serving && follows(s))
        catch_up(s, zxid);
}

static void append(struct sim_ensemble *e, struct sim_zk_txn t) {
    struct sim_world *w = e->world;

    for (size_t i = 0; i < t.changes.list.n; i++)
        if (t.changes.list.v[i].change != RV_ZK_SET)
            sim_trace(w, NULL, "transaction %zu: %s %s", e->log.n + 1,
                      t.changes.list.v[i].change == RV_ZK_CREATE ? "makes" : "removes",
                      t.changes.list.v[i].path);
    t.at_ms = w->now_ms;
    rv_vec_push(&e->log, t);
    sim_znodes_apply(&e->tree, &t.changes, e->log.n);
    for (size_t i = 0; i < SIM_ZK_SERVERS; i++)
        sim_at(w, NULL,
               sim_fault(w, w->faults.zk_lag) ? sim_between(w, 10, 5000) : sim_between(w, 0, 3),
               on_replicate, &e->servers[i], e->log.n, NULL);
    if (e->on_commit)
        e->on_commit(e->ctx);
}

/* --- deciding --- */

static struct sim_zk_lease *lease_of(const struct sim_ensemble *e, uint64_t id) {
    return rv_map_get(&e->sessions, key_of(&id));
}

int64_t sim_ensemble_ended_ms(const struct sim_ensemble *e, uint64_t id) {
    for (size_t i = lease_of(e, id) ? 0 : e->log.n; i > 0; i--)
        if (e->log.v[i - 1].ended == id)
            return e->log.v[i - 1].at_ms;
    return INT64_MAX;
}

/* With all its ephemeral nodes. */
static void end_session(struct sim_ensemble *e, uint64_t id) {
    struct sim_zk_txn t = {.ended = id};
    struct rv_str path;
    void *v;

    free(rv_map_remove(&e->sessions, key_of(&id)));
    for (size_t it = 0; rv_map_next(&e->tree.nodes, &it, &path, &v);)
        if (((struct sim_znode *)v)->owner == id)
            rv_vec_push(&t.changes.list,
                        ((struct sim_zk_change){.change = RV_ZK_REMOVE,
                                                .path = rv_strndup(path.s, path.n)}));
    append(e, t);
}

static uint64_t decide_connect(struct sim_ensemble *e, const struct sim_zk_proposal *p) {
    uint64_t id = p->request->session;
    struct sim_zk_lease *lease = id ? lease_of(e, id) : NULL;

    if (!id) {
        id = ++e->next_session;
        lease = rv_calloc(1, sizeof *lease);
        lease->timeout_ms = p->request->timeout_ms;
        rv_map_put(&e->sessions, key_of(&id), lease);
        append(e, (struct sim_zk_txn){.ended = 0});
    }
    if (!lease)
        return 0;
    lease->conn = p->conn;
    lease->heard_ms = e->world->now_ms;
    return id;
}

static int decide_write(struct sim_ensemble *e, struct sim_zk_request *r, char **path) {
    struct sim_world *w = e->world;
    struct sim_zk_txn t = {.ended = 0};
    int code;

    if (r->changes.list.n > 1 && sim_fault(w, w->faults.zk_refuse))
        return -127; /* throttled */
    code = sim_znodes_check(&e->tree, &r->changes);
    if (code != RV_ZK_OK)
        return code;
    *path = rv_strdup(r->changes.list.v[0].path);
    for (size_t i = 0; i < r->changes.list.n; i++) {
        struct sim_zk_change c = r->changes.list.v[i];
        if (c.change == RV_ZK_CHECK)
            continue;
        c.path = rv_strdup(c.path);
        c.data = rv_blob_ref(c.data);
        rv_vec_push(&t.changes.list, c);
    }
    append(e, t);
    if (sim_crashes(w, r->number, SIM_DURABLE))
        e->on_crash(e->ctx, r->party);
    return RV_ZK_OK;
}

/* What the leader makes of it; the server that was asked answers once it has applied it. */
static void decide(struct sim_ensemble *e, const struct sim_zk_proposal *p) {
    struct sim_zk_request *r = p->request;
    const struct sim_zk_lease *lease = lease_of(e, r->session);
    struct sim_zk_entry done = {.decided = true};

    if (lease && r->kind != SIM_ZK_CONNECT && lease->conn != p->conn) { /* it has moved */
        hang_up(p->server, p->conn);
        return;
    }
    if (r->kind == SIM_ZK_CONNECT)
        done.session = decide_connect(e, p);
    else if (!lease)
        done.code = RV_ZK_GONE;
    else if (r->kind == SIM_ZK_CLOSE)
        end_session(e, r->session);
    else if (r->kind == SIM_ZK_WRITE)
        done.code = decide_write(e, r, &done.path);
    done.zxid = e->log.n;
    struct sim_zk_client *c = client_of(p->server, p->conn);
    for (size_t i = 0; c && i < c->entries.n; i++)
        if (c->entries.v[i].request == r) {
            done.request = r;
            c->entries.v[i] = done;
            advance(p->server, c);
            return;
        }
    free(done.path);
}

static void on_decide(void *ctx, uint64_t epoch, void *data) {
    struct sim_ensemble *e = ctx;
    (void)data;

    if (epoch != e->epoch || !e->leader)
        return; /* the next leader sees what becomes of it */
    if (!has_quorum(e->leader)) {
        sim_at(e->world, NULL, 200, on_decide, e, epoch, NULL);
        return;
    }
    if (!e->due.n)
        return;
    struct sim_zk_proposal p = e->due.v[0];
    rv_vec_remove_at(&e->due, 0);
    decide(e, &p);
    sim_zk_request_free(p.request);
}

static void proposal_free(void *proposal) {
    sim_zk_request_free(((struct sim_zk_proposal *)proposal)->request);
    free(proposal);
}

static void on_arrival(void *ctx, uint64_t arg, void *data) {
    struct sim_zk_proposal *p = data;
    struct sim_ensemble *e = ctx;
    (void)arg;

    if (p->epoch != e->epoch || !follows(p->server)) {
        p->server->epoch = 0;
        proposal_free(p);
        return;
    }
    rv_vec_push(&e->due, *p);
    free(p);
    sim_at(e->world, NULL, sim_between(e->world, 0, 4), on_decide, e, e->epoch, NULL);
}

static void forward(struct sim_zk_server *s, struct sim_conn *conn, struct sim_zk_request *r) {
    struct sim_ensemble *e = s->ensemble;
    struct sim_zk_proposal *p = rv_calloc(1, sizeof *p);
    int64_t now_ms = e->world->now_ms;

    r->refs++;
    *p = (struct sim_zk_proposal){s, conn, r, e->epoch};
    s->forwarded_ms = RV_MAX(s->forwarded_ms, now_ms + sim_between(e->world, 0, 4));
    sim_at_owned(e->world, s->forwarded_ms - now_ms, on_arrival, e, p, proposal_free);
}

/* --- requests --- */

static void on_request(void *ctx, struct sim_conn *conn, const struct sim_message *m) {
    struct sim_zk_server *s = ctx;
    struct sim_zk_request *r = sim_zk_unpack(s->ensemble, m);
    struct sim_zk_client *c = client_of(s, conn);

    if (!s->serving || (r->kind == SIM_ZK_CONNECT && r->seen > s->applied)) {
        sim_zk_request_free(r);
        hang_up(s, conn);
        return;
    }
    if (!c) {
        c = rv_calloc(1, sizeof *c);
        c->conn = conn;
        rv_vec_push(&s->clients, c);
    }
    c->heard = true;
    if (r->kind == SIM_ZK_PING) {
        reply(s, conn, (struct sim_zk_reply){.kind = SIM_ZK_PONG});
        sim_zk_request_free(r);
        return;
    }
    rv_vec_push(&c->entries, ((struct sim_zk_entry){.request = r}));
    if (is_read(r))
        advance(s, c);
    else
        forward(s, conn, r);
}

static void on_closed(void *ctx, struct sim_conn *conn) {
    forget(ctx, conn);
}

/* --- the leader --- */

static void begin_epoch(struct sim_ensemble *e, struct sim_zk_server *leader) {
    e->epoch++;
    e->leader = leader;
    e->lead_at_ms = 0;
}

static void abdicate(struct sim_ensemble *e) {
    struct sim_zk_server *old = e->leader;

    sim_trace(e->world, &old->server.party, "leads the ensemble no more");
    /* It may go on for a while, as it may not know yet. */
    old->heard_ms = e->world->now_ms - e->sync_ms + sim_between(e->world, 0, 2000);
    begin_epoch(e, NULL);
}

static void hear_all(struct sim_ensemble *e) {
    void *lease;

    for (size_t it = 0; rv_map_next(&e->sessions, &it, NULL, &lease);)
        ((struct sim_zk_lease *)lease)->heard_ms = e->world->now_ms;
}

/* What was under way to the old leader is done as far as the new one has it. */
static void lead(struct sim_ensemble *e, struct sim_zk_server *s) {
    size_t kept = sim_below(e->world, e->due.n + 1);

    begin_epoch(e, s);
    e->quorum_ms = e->world->now_ms;
    sim_trace(e->world, &s->server.party, "leads the ensemble; %zu of %zu proposals are done", kept,
              e->due.n);
    for (size_t i = 0; i < e->due.n; i++) {
        if (i < kept)
            decide(e, &e->due.v[i]);
        sim_zk_request_free(e->due.v[i].request);
    }
    e->due.n = 0;
    hear_all(e);
}

static void look_for_leader(struct sim_ensemble *e) {
    int64_t now_ms = e->world->now_ms;
    size_t first = sim_below(e->world, SIM_ZK_SERVERS);

    for (size_t i = 0; i < SIM_ZK_SERVERS; i++) {
        struct sim_zk_server *s = &e->servers[(first + i) % SIM_ZK_SERVERS];
        if (!has_quorum(s))
            continue;
        if (!e->lead_at_ms)
            e->lead_at_ms = now_ms + sim_between(e->world, 0, 2000);
        if (now_ms >= e->lead_at_ms)
            lead(e, s);
        return;
    }
    e->lead_at_ms = 0;
}

/* What the server tells the leader: whom it has heard. */
static void touch(struct sim_zk_server *s) {
    for (size_t i = 0; i < s->clients.n; i++) {
        struct sim_zk_client *c = s->clients.v[i];
        struct sim_zk_lease *lease = lease_of(s->ensemble, c->session);
        if (c->heard && lease)
            lease->heard_ms = s->ensemble->world->now_ms;
        c->heard = false;
    }
}

static void keep_up(struct sim_zk_server *s) {
    struct sim_ensemble *e = s->ensemble;

    if (follows(s)) {
        if (s->epoch != e->epoch)
            stop_serving(s);
        s->epoch = e->epoch;
        s->heard_ms = e->world->now_ms;
        if (!s->serving || !sim_fault(e->world, e->world->faults.zk_lag))
            catch_up(s, e->log.n);
        if (!s->serving)
            sim_trace(e->world, &s->server.party, "serves");
        s->serving = true;
        touch(s);
    } else if (awake(s) && e->world->now_ms - s->heard_ms >= e->sync_ms) {
        stop_serving(s);
    }
}

static void expire(struct sim_ensemble *e) {
    RV_VEC(uint64_t) over = {0};
    struct rv_str key;
    void *v;

    for (size_t it = 0; rv_map_next(&e->sessions, &it, &key, &v);) {
        const struct sim_zk_lease *lease = v;
        uint64_t id;
        memcpy(&id, key.s, sizeof id);
        if (e->world->now_ms - lease->heard_ms >= lease->timeout_ms)
            rv_vec_push(&over, id);
    }
    for (size_t i = 0; i < over.n; i++) {
        sim_trace(e->world, NULL, "session %llu expires", (unsigned long long)over.v[i]);
        end_session(e, over.v[i]);
    }
    rv_vec_free(&over);
}

/* A leader that stood still finds sessions of which it has heard nothing meanwhile. It looks at
 * them before it listens, or after. */
static void go_on(struct sim_ensemble *e) {
    if (e->stood_still && has_quorum(e->leader) && sim_chance(e->world, 700))
        expire(e);
    e->stood_still = false;
}

static void on_tick(void *ctx, uint64_t arg, void *data) {
    struct sim_ensemble *e = ctx;
    int64_t now_ms = e->world->now_ms;
    (void)arg;
    (void)data;

    sim_at(e->world, NULL, TICK_MS, on_tick, e, 0, NULL);
    if (e->leader && has_quorum(e->leader))
        e->quorum_ms = now_ms;
    if (e->leader && (!e->leader->server.party.up || now_ms - e->quorum_ms >= e->sync_ms))
        abdicate(e);
    if (!e->leader)
        look_for_leader(e);
    if (e->leader && !awake(e->leader))
        e->stood_still = true;
    else if (e->leader)
        go_on(e);
    for (size_t i = 0; i < SIM_ZK_SERVERS; i++)
        keep_up(&e->servers[i]);
    if (e->leader && has_quorum(e->leader))
        expire(e);
}

/* --- life --- */

void sim_zk_server_crash(struct sim_zk_server *s, bool machine) {
    if (!s->server.party.up)
        return;
    sim_trace(s->ensemble->world, &s->server.party, "crashes");
    s->server.party.up = false;
    s->server.party.life = sim_number(s->ensemble->world);
    sim_network_crash(s->ensemble->network, &s->server.party, machine);
    s->serving = false;
    while (s->clients.n)
        forget(s, s->clients.v[0]->conn);
}

void sim_zk_server_start(struct sim_zk_server *s) {
    s->server.party.up = true;
}

void sim_ensemble_init(struct sim_ensemble *e, struct sim_world *w, struct sim_network *n) {
    *e = (struct sim_ensemble){.world = w, .network = n, .sync_ms = sim_between(w, 2000, 10000)};
    sim_znodes_init(&e->tree);
    for (size_t i = 0; i < SIM_ZK_SERVERS; i++) {
        struct sim_zk_server *s = &e->servers[i];
        s->ensemble = e;
        sim_party_init(w, &s->server.party, SIM_ZK_NODE + (int)i, "zk%zu", i);
        s->server.ctx = s;
        s->server.on_request = on_request;
        s->server.on_closed = on_closed;
        sim_znodes_init(&s->tree);
    }
    sim_at(w, NULL, 0, on_tick, e, 0, NULL);
}

void sim_ensemble_free(struct sim_ensemble *e) {
    void *v;

    for (size_t i = 0; i < SIM_ZK_SERVERS; i++) {
        struct sim_zk_server *s = &e->servers[i];
        while (s->clients.n)
            forget(s, s->clients.v[0]->conn);
        rv_vec_free(&s->clients);
        rv_vec_free(&s->watches);
        sim_znodes_free(&s->tree);
    }
    for (size_t i = 0; i < e->due.n; i++)
        sim_zk_request_free(e->due.v[i].request);
    rv_vec_free(&e->due);
    for (size_t i = 0; i < e->log.n; i++)
        sim_zk_changes_free(&e->log.v[i].changes);
    rv_vec_free(&e->log);
    for (size_t it = 0; rv_map_next(&e->packets, &it, NULL, &v);) {
        struct packet *p = v;
        p->release(p->what);
        free(p);
    }
    rv_map_free(&e->packets);
    for (size_t it = 0; rv_map_next(&e->sessions, &it, NULL, &v);)
        free(v);
    rv_map_free(&e->sessions);
    sim_znodes_free(&e->tree);
}
