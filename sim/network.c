/* The network: see network.h. */
#include "network.h"

#include <stdlib.h>

#include "wire/recordio.h"

/* A message that is held up for so long breaks its connection, as TCP gives up. */
#define STUCK_MS 25000

void sim_network_init(struct sim_network *n, struct sim_world *w) {
    memset(n, 0, sizeof *n);
    n->world = w;
}

static void drop_pipe(struct sim_pipe *p) {
    for (size_t i = 0; i < p->queue.n; i++)
        rv_blob_unref(p->queue.v[i].body);
    p->queue.n = 0;
}

void sim_network_free(struct sim_network *n) {
    for (size_t i = 0; i < n->conns.n; i++) {
        drop_pipe(&n->conns.v[i]->up);
        drop_pipe(&n->conns.v[i]->down);
        rv_vec_free(&n->conns.v[i]->up.queue);
        rv_vec_free(&n->conns.v[i]->down.queue);
        free(n->conns.v[i]);
    }
    rv_vec_free(&n->conns);
}

void sim_network_heal(struct sim_network *n) {
    memset(n->blocked_until_ms, 0, sizeof n->blocked_until_ms);
    for (size_t i = 0; i < n->conns.n; i++)
        n->conns.v[i]->slow_until_ms = 0;
}

void sim_network_partition(struct sim_network *n, int from, int to, int64_t ms) {
    n->blocked_until_ms[from][to] = n->world->now_ms + ms;
}

/* --- delivery --- */

static void deliver_up(void *ctx, uint64_t arg, void *data);
static void deliver_down(void *ctx, uint64_t arg, void *data);

static struct sim_party *receiver(const struct sim_conn *c, bool up) {
    return up ? &c->server->party : c->client;
}

static void plan(struct sim_conn *c, bool up, int64_t delay_ms) {
    sim_at_any(c->net->world, receiver(c, up), delay_ms, up ? deliver_up : deliver_down, c, 0,
               NULL);
}

static int64_t latency(struct sim_world *w, const struct sim_conn *c) {
    if (c->client->node == c->server->party.node)
        return sim_between(w, 0, 1);
    if (sim_fault(w, w->faults.message_slow))
        return sim_between(w, 100, 10000);
    return sim_between(w, 0, w->healing ? 2 : w->faults.latency_ms);
}

static void send(struct sim_conn *c, bool up, struct sim_message m, int64_t delay_ms) {
    struct sim_pipe *p = up ? &c->up : &c->down;
    struct sim_world *w = c->net->world;

    if (!up && m.kind != SIM_END && c->net->on_said)
        c->net->on_said(c->net->ctx, c, &m);
    m.sent_ms = w->now_ms;
    p->last_ms = RV_MAX(p->last_ms, w->now_ms + delay_ms);
    rv_vec_push(&p->queue, m);
    plan(c, up, p->last_ms - w->now_ms);
}

/* All but the first `keep`, and the end that is there. */
static void drop_messages(struct sim_conn *c, struct sim_pipe *p, size_t keep) {
    size_t n = 0;

    for (size_t i = 0; i < p->queue.n; i++) {
        struct sim_message *m = &p->queue.v[i];
        if (i < keep || m->kind == SIM_END) {
            p->queue.v[n++] = *m;
            continue;
        }
        if (m->kind == SIM_BYTES)
            c->backlog -= m->body->n;
        rv_blob_unref(m->body);
    }
    p->queue.n = n;
}

/* Whether the first message must wait; it is looked at again. May break the connection. */
static bool held_up(struct sim_conn *c, bool up) {
    const struct sim_party *to = receiver(c, up), *from = receiver(c, !up);
    struct sim_world *w = c->net->world;
    int64_t until_ms = c->net->blocked_until_ms[from->node][to->node];

    if (!up)
        until_ms = RV_MAX(until_ms, c->slow_until_ms);
    if (until_ms <= w->now_ms)
        return false;
    struct sim_pipe *p = up ? &c->up : &c->down;
    const struct sim_message *first = p->queue.v;
    if (first->kind == SIM_END && c->broken)
        return false; /* its own system tells this side */
    if (first->kind != SIM_END && w->now_ms - first->sent_ms > STUCK_MS &&
        (up || until_ms != c->slow_until_ms)) {
        sim_trace(w, from, "connection %llu gives up", (unsigned long long)c->id);
        drop_messages(c, p, 0);
        sim_break(c);
        return p->queue.n == 0;
    }
    plan(c, up, RV_MIN(until_ms - w->now_ms, (int64_t)5000));
    return true;
}

static bool take(struct sim_conn *c, bool up, struct sim_message *m) {
    struct sim_pipe *p = up ? &c->up : &c->down;

    if (!p->queue.n || held_up(c, up))
        return false;
    *m = p->queue.v[0];
    rv_vec_remove_at(&p->queue, 0);
    if (m->kind != SIM_END && !c->broken && c->client->node != c->server->party.node &&
        sim_fault(c->net->world, c->net->world->faults.connection_drop)) {
        sim_trace(c->net->world, receiver(c, up), "connection %llu breaks",
                  (unsigned long long)c->id);
        rv_blob_unref(m->body);
        sim_break(c);
        drop_messages(c, p, 0); /* what was sent after it does not arrive without it */
        return false;
    }
    return true;
}

static void deliver_up(void *ctx, uint64_t arg, void *data) {
    struct sim_conn *c = ctx;
    struct sim_message m;
    (void)arg;
    (void)data;

    if (!take(c, true, &m))
        return;
    if (c->server_open && !c->server->party.up)
        c->server_open = false;
    if (m.kind == SIM_END) {
        drop_pipe(&c->up);
        if (c->server_open) {
            c->server_open = false;
            c->server->on_closed(c->server->ctx, c);
        }
    } else if (c->server_open) {
        c->request = sim_number(c->net->world);
        c->accept = m.accept;
        c->server->on_request(c->server->ctx, c, &m);
    } else if (c->client_open)
        send(c, false, (struct sim_message){.kind = SIM_END}, latency(c->net->world, c));
    rv_blob_unref(m.body);
}

static void deliver_down(void *ctx, uint64_t arg, void *data) {
    struct sim_conn *c = ctx;
    struct sim_message m;
    (void)arg;
    (void)data;

    if (!take(c, false, &m))
        return;
    if (m.kind == SIM_END) {
        drop_pipe(&c->down);
        if (c->client_open) {
            c->client_open = false;
            c->ops->on_closed(c->ctx, c);
        }
    } else if (m.kind == SIM_ANSWER) {
        if (c->client_open)
            c->ops->on_answer(c->ctx, c, &m);
    } else {
        c->backlog -= m.body->n;
        /* TCP cuts where it likes. */
        size_t cut = sim_below(c->net->world, m.body->n + 1);
        if (c->client_open)
            c->ops->on_bytes(c->ctx, c, rv_strn(m.body->data, cut));
        if (c->client_open)
            c->ops->on_bytes(c->ctx, c, rv_strn(m.body->data + cut, m.body->n - cut));
    }
    rv_blob_unref(m.body);
}

/* --- the client's side --- */

struct sim_conn *sim_connect(struct sim_network *n, struct sim_party *client,
                             struct sim_server *server, const struct sim_client *ops, void *ctx) {
    struct sim_conn *c = rv_calloc(1, sizeof *c);

    *c = (struct sim_conn){.net = n,
                           .id = sim_number(n->world),
                           .client = client,
                           .server = server,
                           .ops = ops,
                           .ctx = ctx,
                           .client_open = true,
                           .server_open = server->party.up};
    rv_vec_push(&n->conns, c);
    if (client->node != server->party.node &&
        sim_fault(n->world, n->world->faults.connection_refused)) {
        c->server_open = false;
        send(c, false, (struct sim_message){.kind = SIM_END}, latency(n->world, c));
    }
    return c;
}

void sim_request(struct sim_conn *c, struct sim_message m) {
    m.kind = SIM_REQUEST;
    send(c, true, m, latency(c->net->world, c));
}

void sim_client_close(struct sim_conn *c) {
    if (!c || !c->client_open)
        return;
    c->client_open = false;
    send(c, true, (struct sim_message){.kind = SIM_END}, latency(c->net->world, c));
}

/* --- the server's side --- */

static struct rv_blob *text_blob(const char *text) {
    return text ? rv_blob_new(text, strlen(text)) : NULL;
}

void sim_answer(struct sim_conn *c, int status, const char *text) {
    c->request = 0;
    if (c->server_open)
        send(c, false,
             (struct sim_message){.kind = SIM_ANSWER, .status = status, .body = text_blob(text)},
             latency(c->net->world, c));
}

void sim_answer_body(struct sim_conn *c, struct rv_blob *body) {
    if (c->server_open)
        send(c, false, (struct sim_message){.kind = SIM_ANSWER, .body = body},
             latency(c->net->world, c));
    else
        rv_blob_unref(body);
}

void sim_stream(struct sim_conn *c, const char *stream_id) {
    struct sim_message m = {.kind = SIM_ANSWER, .status = 200, .stream = true};

    c->request = 0;
    if (stream_id)
        memcpy(m.stream_id, stream_id, RV_MIN(strlen(stream_id), sizeof m.stream_id - 1));
    if (c->server_open)
        send(c, false, m, latency(c->net->world, c));
}

bool sim_record(struct sim_conn *c, struct rv_str record) {
    struct rv_buf framed = {0};

    if (!c->server_open)
        return true;
    rv_recordio_put(&framed, record);
    c->backlog += framed.n;
    send(c, false,
         (struct sim_message){.kind = SIM_BYTES, .body = rv_blob_new(framed.data, framed.n)},
         latency(c->net->world, c));
    rv_buf_free(&framed);
    if (c->backlog <= SIM_BACKLOG_MAX)
        return true;
    c->server_open = false;
    sim_trace(c->net->world, &c->server->party, "cuts off a slow reader of %zu bytes", c->backlog);
    send(c, false, (struct sim_message){.kind = SIM_END}, 0);
    return false;
}

void sim_server_close(struct sim_conn *c) {
    if (!c->server_open)
        return;
    c->server_open = false;
    send(c, false, (struct sim_message){.kind = SIM_END}, latency(c->net->world, c));
}

void sim_network_refuse(struct sim_network *n, const struct sim_server *s) {
    for (size_t i = 0; i < n->conns.n; i++)
        if (n->conns.v[i]->server == s)
            sim_server_close(n->conns.v[i]);
}

/* --- breaking --- */

/* What is under way is lost from a place on that chance names, and then comes the end. */
static void cut(struct sim_conn *c, bool up, int64_t delay_ms) {
    struct sim_pipe *p = up ? &c->up : &c->down;

    drop_messages(c, p, sim_below(c->net->world, p->queue.n + 1));
    send(c, up, (struct sim_message){.kind = SIM_END}, delay_ms);
}

static int64_t notice_ms(struct sim_conn *c, bool late) {
    struct sim_world *w = c->net->world;

    return late || sim_fault(w, w->faults.half_open) ? sim_between(w, 1000, 60000)
                                                     : sim_between(w, 0, 50);
}

void sim_break(struct sim_conn *c) {
    if (c->broken)
        return;
    c->broken = true;
    if (c->server_open)
        cut(c, true, notice_ms(c, false));
    if (c->client_open)
        cut(c, false, notice_ms(c, false));
}

void sim_network_crash(struct sim_network *n, const struct sim_party *p, bool machine) {
    for (size_t i = 0; i < n->conns.n; i++) {
        struct sim_conn *c = n->conns.v[i];

        if (c->client == p && c->client_open) {
            c->client_open = false;
            cut(c, true, notice_ms(c, machine));
        }
        if (&c->server->party == p && c->server_open) {
            c->server_open = false;
            cut(c, false, notice_ms(c, machine));
        }
    }
}
