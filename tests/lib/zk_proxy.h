/* A wire between a session and its server that a test may hold up, in one direction or both, and
 * cut: so a write can be done while its answer is lost. On the test's loop. */
#ifndef RV_TESTS_ZK_PROXY_H
#define RV_TESTS_ZK_PROXY_H

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/memory.h"
#include "base/vec.h"

struct zk_proxy {
    uv_loop_t *loop;
    uint16_t port, server; /* its own; where it leads */
    uv_tcp_t *listener;
    bool hold_requests, hold_answers;
    RV_VEC(struct zk_wire *) wires;
};

struct zk_wire {
    struct zk_proxy *proxy;
    uv_tcp_t client, server;
    uv_connect_t connecting;
    RV_VEC(char) early; /* requests from before it was connected */
    bool connected;
    int closing;
};

static inline void zk_wire_closed(uv_handle_t *h) {
    struct zk_wire *w = h->data;

    if (--w->closing)
        return;
    rv_vec_free(&w->early);
    free(w);
}

static inline void zk_wire_cut(struct zk_wire *w) {
    if (w->closing)
        return;
    for (size_t i = 0; i < w->proxy->wires.n; i++)
        if (w->proxy->wires.v[i] == w) {
            rv_vec_remove_at(&w->proxy->wires, i);
            break;
        }
    w->closing = 2;
    uv_close((uv_handle_t *)&w->client, zk_wire_closed);
    uv_close((uv_handle_t *)&w->server, zk_wire_closed);
}

static inline void zk_proxy_cut(struct zk_proxy *p) {
    while (p->wires.n)
        zk_wire_cut(p->wires.v[0]);
}

static inline void zk_proxy_alloc(uv_handle_t *h, size_t n, uv_buf_t *buf) {
    (void)h;
    *buf = uv_buf_init(rv_malloc(n), (unsigned)n);
}

struct zk_writing {
    uv_write_t request;
    char *data;
};

static inline void zk_written(uv_write_t *request, int status) {
    struct zk_writing *w = RV_CONTAINER_OF(request, struct zk_writing, request);

    (void)status;
    free(w->data);
    free(w);
}

/* Takes the data over. */
static inline void zk_pass(uv_tcp_t *to, char *data, size_t n) {
    struct zk_writing *w = rv_calloc(1, sizeof *w);
    uv_buf_t buf = uv_buf_init(data, (unsigned)n);

    w->data = data;
    if (uv_write(&w->request, (uv_stream_t *)to, &buf, 1, zk_written))
        zk_written(&w->request, -1);
}

static inline void zk_proxy_read(uv_stream_t *from, ssize_t n, const uv_buf_t *buf) {
    struct zk_wire *w = from->data;
    bool is_request = (uv_tcp_t *)from == &w->client;

    if (n <= 0 || w->closing) {
        free(buf->base);
        if (n < 0)
            zk_wire_cut(w);
    } else if (is_request ? w->proxy->hold_requests : w->proxy->hold_answers) {
        free(buf->base); /* what is held up is lost with the cut that follows */
    } else if (is_request && !w->connected) {
        for (ssize_t i = 0; i < n; i++)
            rv_vec_push(&w->early, buf->base[i]);
        free(buf->base);
    } else {
        zk_pass(is_request ? &w->server : &w->client, buf->base, (size_t)n);
    }
}

static inline void zk_proxy_connected(uv_connect_t *c, int status) {
    struct zk_wire *w = c->data;

    if (w->closing)
        return;
    if (status) {
        zk_wire_cut(w);
        return;
    }
    w->connected = true;
    uv_read_start((uv_stream_t *)&w->server, zk_proxy_alloc, zk_proxy_read);
    if (w->early.n)
        zk_pass(&w->server, rv_memdup(w->early.v, w->early.n), w->early.n);
}

static inline void zk_proxy_accept(uv_stream_t *listener, int status) {
    struct zk_proxy *p = listener->data;
    struct zk_wire *w = rv_calloc(1, sizeof *w);
    struct sockaddr_in to;

    (void)status;
    w->proxy = p;
    uv_tcp_init(p->loop, &w->client);
    uv_tcp_init(p->loop, &w->server);
    w->client.data = w->server.data = w->connecting.data = w;
    rv_vec_push(&p->wires, w);
    uv_ip4_addr("127.0.0.1", p->server, &to);
    if (uv_accept(listener, (uv_stream_t *)&w->client) ||
        uv_tcp_connect(&w->connecting, &w->server, (struct sockaddr *)&to, zk_proxy_connected))
        zk_wire_cut(w);
    else
        uv_read_start((uv_stream_t *)&w->client, zk_proxy_alloc, zk_proxy_read);
}

static inline void zk_proxy_free(uv_handle_t *h) {
    free(h);
}

static inline int zk_proxy_start(struct zk_proxy *p, uint16_t port) {
    struct sockaddr_in at;
    struct sockaddr_storage bound;
    int n = sizeof bound;

    p->server = port;
    p->listener = rv_calloc(1, sizeof *p->listener);
    uv_tcp_init(p->loop, p->listener);
    p->listener->data = p;
    uv_ip4_addr("127.0.0.1", 0, &at);
    if (uv_tcp_bind(p->listener, (struct sockaddr *)&at, 0) ||
        uv_listen((uv_stream_t *)p->listener, 8, zk_proxy_accept) ||
        uv_tcp_getsockname(p->listener, (struct sockaddr *)&bound, &n))
        return -1;
    p->port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
    return 0;
}

static inline void zk_proxy_stop(struct zk_proxy *p) {
    zk_proxy_cut(p);
    rv_vec_free(&p->wires);
    if (p->listener)
        uv_close((uv_handle_t *)p->listener, zk_proxy_free);
}

#endif
