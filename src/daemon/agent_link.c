/*
 * The agent's link to the master: one stream of events, opened by the registration, and calls in
 * order. While calls are under way further ones gather, and go out together in one body; so an
 * agent at rest costs the master one connection, and a busy one two. Calls name their stream: what
 * a broken connection delivers late, after a newer registration, is refused (INV-34).
 */
#include "daemon/agent_link.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/vec.h"
#include "io/http_client.h"
#include "wire/channel_codec.h"
#include "wire/recordio.h"

#define MODULE "agent"
#define PATH "/api/v1/agent"
/* A batch larger than this waits for the next request: well below any body limit. */
#define BATCH_BYTES (1u << 20)
/* A connection for calls is kept for a while; that for an answer to a ping, which an agent at rest
 * sends, is not: of many agents they would add up. */
#define CALLS_IDLE_MS 2000
#define PONGS_IDLE_MS 1
#define WHY_MAX ((size_t)500) /* bytes of a reason in the log */

struct rv_agent_link_io {
    uv_loop_t *loop;
    char *local_ip;
    const struct rv_agent_link_handler *handler;
    void *ctx;
    struct rv_arena scratch;
    struct rv_http_client *streams, *calls, *pongs;
    struct rv_http_call *stream, *post;
    struct rv_recordio records;
    RV_VEC(struct rv_blob *) queue; /* encoded calls that wait */
    char *stream_id;                /* what calls say that they belong to; NULL: it has none */
    int refused;                    /* status of the answer to a registration that was not 200 */
    char *location;                 /* of that answer, */
    struct rv_buf why;              /* and its text, for the log */
    bool open;
};

struct rv_agent_link_io *rv_agent_link_new(uv_loop_t *loop, const char *local_ip,
                                           const struct rv_agent_link_handler *handler, void *ctx) {
    struct rv_agent_link_io *l = rv_calloc(1, sizeof *l);

    l->loop = loop;
    l->local_ip = rv_strdup(local_ip);
    l->handler = handler;
    l->ctx = ctx;
    rv_arena_init(&l->scratch);
    rv_recordio_init(&l->records, 64u << 20);
    return l;
}

static void drop_queue(struct rv_agent_link_io *l) {
    for (size_t i = 0; i < l->queue.n; i++)
        rv_blob_unref(l->queue.v[i]);
    l->queue.n = 0;
}

void rv_agent_link_disconnect(struct rv_agent_link_io *l) {
    if (l->stream)
        rv_http_call_cancel(l->stream);
    if (l->post)
        rv_http_call_cancel(l->post);
    l->stream = l->post = NULL;
    l->open = false;
    free(l->stream_id);
    l->stream_id = NULL;
    drop_queue(l);
    rv_recordio_free(&l->records);
    rv_recordio_init(&l->records, 64u << 20);
}

void rv_agent_link_aim(struct rv_agent_link_io *l, const struct rv_address *master) {
    rv_agent_link_disconnect(l);
    l->streams = rv_http_client_free(l->streams);
    l->calls = rv_http_client_free(l->calls);
    l->pongs = rv_http_client_free(l->pongs);
    if (!master)
        return;
    struct rv_http_client_config config = {.host = master->host,
                                           .port = master->port,
                                           .connect_timeout_ms = 5000,
                                           .call_timeout_ms = 30000,
                                           .idle_close_ms = CALLS_IDLE_MS,
                                           .max_connections = 1,
                                           .local_ip = l->local_ip};
    l->streams = rv_http_client_new(l->loop, &config);
    l->calls = rv_http_client_new(l->loop, &config);
    config.idle_close_ms = PONGS_IDLE_MS;
    l->pongs = rv_http_client_new(l->loop, &config);
}

struct rv_agent_link_io *rv_agent_link_free(struct rv_agent_link_io *l) {
    if (!l)
        return NULL;
    rv_agent_link_aim(l, NULL);
    free(l->location);
    rv_buf_free(&l->why);
    free(l->local_ip);
    rv_recordio_free(&l->records);
    rv_arena_free(&l->scratch);
    rv_vec_free(&l->queue);
    free(l);
    return NULL;
}

/* --- the stream --- */

static bool stream_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    struct rv_agent_link_io *l = ctx;

    free(l->stream_id);
    l->stream_id = rv_strdup(rv_http1_header(headers, n, "Mesos-Stream-Id"));
    l->open = status == 200;
    l->refused = l->open ? 0 : status;
    free(l->location);
    l->location = rv_strdup(rv_http1_header(headers, n, "Location"));
    return true;
}

static int stream_record(void *ctx, struct rv_str record) {
    struct rv_agent_link_io *l = ctx;
    struct rv_http_call *before = l->stream;
    struct rv_agent_event event;
    struct rv_arena arena;
    struct rv_error err;

    rv_arena_init(&arena);
    if (rv_wire_agent_event_decode(RV_ENC_PROTOBUF, record, NULL, &arena, &event, &err)) {
        RV_WARN(MODULE, "an event of the master is not understood: %s", err.message);
    } else {
        l->handler->on_event(l->ctx, &event);
        rv_wire_agent_event_release(&event);
    }
    rv_arena_free(&arena);
    return l->stream != before; /* the core has turned away from this stream: stop reading it */
}

static void stream_body(void *ctx, struct rv_str bytes) {
    struct rv_agent_link_io *l = ctx;
    struct rv_error err;

    if (!l->open) {
        rv_buf_append(&l->why, bytes.s, RV_MIN(bytes.n, WHY_MAX - l->why.n));
        return;
    }
    /* The reader may be replaced by an event that is in these bytes: read with one of its own. */
    struct rv_recordio records = l->records;
    struct rv_http_call *before = l->stream;
    rv_recordio_init(&l->records, 64u << 20);
    int r = rv_recordio_feed(&records, bytes, stream_record, l, &err);
    if (l->stream == before && l->stream && !r) {
        rv_recordio_free(&l->records);
        l->records = records;
        return;
    }
    rv_recordio_free(&records);
    if (r < 0 && l->stream == before) {
        RV_WARN(MODULE, "the master's stream is damaged: %s", err.message);
        rv_agent_link_disconnect(l);
        l->handler->on_lost(l->ctx);
    }
}

static void stream_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                        size_t n, struct rv_str body, const struct rv_error *err) {
    struct rv_agent_link_io *l = ctx;
    (void)status;
    (void)headers;
    (void)n;
    (void)body;
    l->stream = NULL;
    l->open = false;
    if (l->refused) {
        if (l->refused < 500 && l->refused >= 400)
            RV_WARN(MODULE, "the master refused the registration: %.*s", (int)l->why.n,
                    l->why.n ? l->why.data : "");
        l->handler->on_refused(l->ctx, l->refused, l->location);
        return;
    }
    if (result)
        RV_INFO(MODULE, "the link to the master is down: %s", err->message);
    l->handler->on_lost(l->ctx);
}

void rv_agent_link_register(struct rv_agent_link_io *l, const struct rv_agent_call *call) {
    static const struct rv_http_call_handler handler = {stream_head, stream_body, stream_done};
    struct rv_buf body = {0};

    rv_agent_link_disconnect(l);
    l->refused = 0;
    rv_buf_clear(&l->why);
    rv_wire_agent_call_encode(call, RV_ENC_PROTOBUF, &l->scratch, &body);
    rv_arena_reset(&l->scratch);
    l->stream = rv_http_client_call(l->streams, "POST", PATH,
                                    "Content-Type: application/x-protobuf\r\n"
                                    "Accept: application/x-protobuf\r\n",
                                    rv_buf_str(&body), true, &handler, l);
    rv_buf_free(&body);
}

/* --- calls --- */

static void post_next(struct rv_agent_link_io *l, struct rv_http_client *client);

static void post_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                      size_t n, struct rv_str body, const struct rv_error *err) {
    struct rv_agent_link_io *l = ctx;

    l->post = NULL;
    if (!result && status == 202) {
        post_next(l, l->calls);
        return;
    }
    if (result) {
        /* What was sent may be lost; everything that matters is sent again at registration. */
        RV_INFO(MODULE, "a call to the master failed: %s", err->message);
        rv_agent_link_disconnect(l);
        l->handler->on_lost(l->ctx);
    } else {
        RV_WARN(MODULE, "the master answered a call by %d: %.*s", status, (int)RV_MIN(body.n, 200u),
                body.s);
        drop_queue(l);
        l->handler->on_refused(l->ctx, status, rv_http1_header(headers, n, "Location"));
    }
}

static void post_next(struct rv_agent_link_io *l, struct rv_http_client *client) {
    static const struct rv_http_call_handler handler = {NULL, NULL, post_done};
    struct rv_buf body = {0};
    const char *headers;
    size_t taken = 0;

    if (l->post || !l->queue.n)
        return;
    for (; taken < l->queue.n && body.n < BATCH_BYTES; taken++) {
        struct rv_blob *call = l->queue.v[taken];
        rv_recordio_put(&body, rv_strn(call->data, call->n));
        rv_blob_unref(call);
    }
    memmove(l->queue.v, l->queue.v + taken, (l->queue.n - taken) * sizeof *l->queue.v);
    l->queue.n -= taken;
    headers = rv_arena_printf(&l->scratch, "Content-Type: application/recordio\r\n%s%s%s",
                              l->stream_id ? "Mesos-Stream-Id: " : "",
                              l->stream_id ? l->stream_id : "", l->stream_id ? "\r\n" : "");
    l->post =
        rv_http_client_call(client, "POST", PATH, headers, rv_buf_str(&body), false, &handler, l);
    rv_arena_reset(&l->scratch);
    rv_buf_free(&body);
}

void rv_agent_link_send(struct rv_agent_link_io *l, const struct rv_agent_call *call) {
    struct rv_buf encoded = {0};

    rv_wire_agent_call_encode(call, RV_ENC_PROTOBUF, &l->scratch, &encoded);
    rv_arena_reset(&l->scratch);
    rv_vec_push(&l->queue, rv_blob_new(encoded.data, encoded.n));
    rv_buf_free(&encoded);
    post_next(l, call->type == RV_AGENT_CALL_PONG ? l->pongs : l->calls);
}
