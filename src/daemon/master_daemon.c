/*
 * The master's shell. Data goes through here in one direction: request, decode, event, core,
 * effects, encode, stream or answer. One thread; the core is stepped once for each event, and all
 * effects of a step are executed before the next.
 */
#include "daemon/master_daemon.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "daemon/master_views.h"
#include "daemon/snapshot.h"
#include "io/handle.h"
#include "store/registry_codec.h"
#include "wire/channel_codec.h"
#include "wire/convert.h"
#include "wire/recordio.h"
#include "wire/scheduler_codec.h"

#define MODULE "master"

/* Calls of an agent that came in one body. */
struct rv_master_batch {
    struct rv_master_daemon *daemon;
    uint64_t request;
    int status;          /* the worst so far */
    const char *message; /* that came with it */
    struct rv_error err;
};

/* What must be known when a request becomes a stream. */
struct rv_master_pending {
    enum rv_encoding encoding;
    bool operator_;
};

static struct rv_str key_of(const uint64_t *number) {
    return rv_strn(number, sizeof *number);
}

/* --- effects --- */

static void open_stream(struct rv_master_daemon *d, const struct rv_master_effect *e) {
    struct rv_master_pending *p = rv_map_remove(&d->pending, key_of(&e->request));

    if (!p)
        return;
    rv_shell_open_stream(&d->shell, e->request, e->stream, p->encoding, e->stream_id);
    if (p->operator_ && rv_shell_stream_is_open(&d->shell, e->stream))
        rv_map_put(&d->operators, key_of(&e->stream), d);
    free(p);
}

static void reply(struct rv_master_daemon *d, const struct rv_master_effect *e) {
    if (d->batch && e->request == d->batch->request) {
        d->batch->status = RV_MAX(d->batch->status, e->status);
        d->batch->message = rv_arena_strdup(&d->arena, e->message);
        return;
    }
    free(rv_map_remove(&d->pending, key_of(&e->request)));
    rv_shell_reply(&d->shell, e->request, e->status, e->message);
}

static void send_encoded(struct rv_master_daemon *d, uint64_t stream) {
    rv_shell_send(&d->shell, stream, rv_buf_str(&d->encoded));
    rv_buf_clear(&d->encoded);
    rv_arena_reset(&d->scratch);
}

static void send_scheduler(struct rv_master_daemon *d, const struct rv_master_effect *e) {
    if (!rv_shell_stream_is_open(&d->shell, e->stream))
        return;
    rv_wire_scheduler_event_encode(e->scheduler, rv_shell_stream_encoding(&d->shell, e->stream),
                                   &d->scratch, &d->encoded);
    send_encoded(d, e->stream);
}

static void send_agent(struct rv_master_daemon *d, const struct rv_master_effect *e) {
    if (!rv_shell_stream_is_open(&d->shell, e->stream))
        return;
    rv_wire_agent_event_encode(e->agent, rv_shell_stream_encoding(&d->shell, e->stream),
                               &d->scratch, &d->encoded);
    send_encoded(d, e->stream);
}

struct subscribed {
    const struct rv_master *m;
    enum rv_encoding encoding;
};

static void write_subscribed(const void *what, struct rv_sink *sink) {
    const struct subscribed *asked = what;

    rv_master_subscribed_write(asked->m, asked->encoding, sink);
}

/* To one operator stream, or to all: encoded once an encoding, the record shared. */
static void send_operator(struct rv_master_daemon *d, const struct rv_master_effect *e) {
    struct rv_blob *records[2] = {NULL, NULL};
    struct rv_str key;

    if (e->operator_->kind == RV_OPERATOR_EVENT_SNAPSHOT && rv_master_is_large(d->core)) {
        struct subscribed asked = {d->core, rv_shell_stream_encoding(&d->shell, e->stream)};
        rv_snapshots_send(d->snapshots, e->stream, write_subscribed, &asked, sizeof asked);
        return;
    }
    for (size_t it = 0; rv_map_next(&d->operators, &it, &key, NULL);) {
        uint64_t stream;
        memcpy(&stream, key.s, sizeof stream);
        if (e->stream && e->stream != stream)
            continue;
        enum rv_encoding encoding = rv_shell_stream_encoding(&d->shell, stream);
        if (!records[encoding]) {
            struct rv_buf framed = {0};
            rv_master_operator_event_encode(d, e->operator_, encoding, &d->scratch, &d->encoded);
            rv_recordio_put(&framed, rv_buf_str(&d->encoded));
            records[encoding] = rv_blob_new(framed.data, framed.n);
            rv_buf_free(&framed);
            rv_buf_clear(&d->encoded);
            rv_arena_reset(&d->scratch);
        }
        rv_shell_send_record(&d->shell, stream, records[encoding]);
    }
    rv_blob_unref(records[0]);
    rv_blob_unref(records[1]);
}

/* --- the registry --- */

static double ms_since(uint64_t began_ns) {
    return (double)(uv_hrtime() - began_ns) / 1e6;
}

/* Answers come in the order of the writes. */
static void stored(struct rv_master_daemon *d, uint64_t seq, bool ok) {
    size_t n = d->times.n_stored, all = d->times.storing.n;
    struct rv_master_store *v = d->times.storing.v;

    for (; n < all && v[n].seq <= seq; n++)
        if (ok && v[n].seq == seq)
            rv_timing_add(&d->times.stores, ms_since(v[n].began_ns));
    if (n > all - n) { /* so that what is answered never takes more room than what is not */
        memmove(v, v + n, (all - n) * sizeof *v);
        d->times.storing.n = all - n;
        n = 0;
    }
    d->times.n_stored = n;
}

static void registry_done(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    struct rv_master_daemon *d = ctx;

    stored(d, seq, !result);
    if (result)
        RV_ERROR(MODULE, "the registry refused a change: %s", err->message);
    rv_vec_push(&d->registry_done, seq | (result ? UINT64_C(1) << 63 : 0));
}

struct changes {
    RV_VEC(struct rv_registry_change) list;
};

static void collect_change(void *ctx, const char *key, struct rv_str value) {
    struct changes *c = ctx;

    rv_vec_push(&c->list, ((struct rv_registry_change){key, value}));
}

static void write_registry(struct rv_master_daemon *d, const struct rv_master_effect *e) {
    struct rv_master_store store = {e->registry->seq, uv_hrtime()};
    struct changes c = {.list = {.v = NULL}};

    rv_vec_push(&d->times.storing, store);
    rv_registry_op_encode(e->registry, &d->scratch, collect_change, &c);
    d->registry->ops->write(d->registry, c.list.v, c.list.n, e->registry->seq, registry_done, d);
    rv_vec_free(&c.list);
    rv_arena_reset(&d->scratch);
}

static void stop(struct rv_master_daemon *d, const char *why) {
    struct rv_error err;

    rv_error_set(&err, RV_ERR_CONFLICT, "%s", why);
    rv_master_daemon_fail(d, &err);
}

static void execute(struct rv_master_daemon *d, const struct rv_master_effect *e) {
    switch (e->kind) {
    case RV_MASTER_REPLY:
        reply(d, e);
        return;
    case RV_MASTER_OPEN_STREAM:
        open_stream(d, e);
        return;
    case RV_MASTER_SEND_SCHEDULER:
        send_scheduler(d, e);
        return;
    case RV_MASTER_SEND_AGENT:
        send_agent(d, e);
        return;
    case RV_MASTER_SEND_OPERATOR:
        send_operator(d, e);
        return;
    case RV_MASTER_CLOSE_STREAM:
        rv_map_remove(&d->operators, key_of(&e->stream));
        rv_snapshots_stream_closed(d->snapshots, e->stream);
        rv_shell_close_stream(&d->shell, e->stream);
        return;
    case RV_MASTER_REGISTRY:
        write_registry(d, e);
        return;
    case RV_MASTER_LOG:
        rv_log((enum rv_log_level)e->level, MODULE, "%s", e->message);
        return;
    case RV_MASTER_STOP:
        stop(d, e->message);
        return;
    case RV_MASTER_EFFECT_MAX:
        break;
    }
    RV_UNREACHABLE();
}

static void on_timer(uv_timer_t *timer);

void rv_master_daemon_arm(struct rv_master_daemon *d) {
    int64_t deadline = rv_master_deadline(d->core), now = rv_now_ms();

    if (deadline == INT64_MAX)
        uv_timer_stop(d->timer);
    else {
        uv_update_time(d->loop);
        uv_timer_start(d->timer, on_timer, deadline > now ? (uint64_t)(deadline - now) : 0, 0);
    }
}

/* Passes of the allocator are ticks; a tick without one is not measured. */
static void tick(struct rv_master_daemon *d, const struct rv_master_event *event) {
    uint64_t began_ns = uv_hrtime(), runs = d->core->counters.allocation_runs;

    rv_master_step(d->core, event, &d->effects);
    if (d->core->counters.allocation_runs == runs)
        return;
    rv_timing_add(&d->times.passes, ms_since(began_ns));
    rv_timing_add(&d->times.passes_waited, (double)d->core->pass_waited_ms);
}

static void step(struct rv_master_daemon *d, struct rv_master_event *event) {
    event->now_ms = rv_now_ms();
    event->wall_ns = rv_wall_ns();
    if (event->kind == RV_MASTER_TICK)
        tick(d, event);
    else
        rv_master_step(d->core, event, &d->effects);
    for (size_t i = 0; i < d->effects.n; i++)
        execute(d, &d->effects.v[i]);
    rv_effects_clear(&d->effects);
}

/* What has come up within a step: answers of a registry that is quick, and streams that were cut
 * off because their reader is slow. */
static void step_followers(struct rv_master_daemon *d) {
    size_t n_done = 0, n_closed = 0;

    while (n_done < d->registry_done.n || n_closed < d->closed.n) {
        if (n_closed < d->closed.n) {
            struct rv_master_event event = {.kind = RV_MASTER_STREAM_CLOSED,
                                            .stream = d->closed.v[n_closed++]};
            step(d, &event);
            continue;
        }
        uint64_t one = d->registry_done.v[n_done++];
        struct rv_master_event event = {.kind = RV_MASTER_REGISTRY_DONE};
        event.registry.seq = one & ~(UINT64_C(1) << 63);
        event.registry.ok = !(one >> 63);
        step(d, &event);
    }
    d->registry_done.n = d->closed.n = 0;
}

/* Requests that wait are answered when leadership is taken down, which follows at once. */
void rv_master_daemon_step(struct rv_master_daemon *d, struct rv_master_event *event) {
    RV_ASSERT(!d->stepping);
    if (!rv_master_leads(d)) {
        if (d->batch)
            d->batch->status = 503;
        return;
    }
    d->stepping = true;
    step(d, event);
    step_followers(d);
    d->stepping = false;
    rv_master_daemon_arm(d);
}

static void on_timer(uv_timer_t *timer) {
    rv_master_daemon_step(timer->data, &(struct rv_master_event){.kind = RV_MASTER_TICK});
}

/* After the loop has polled, where the registry answers: what follows from it is sent in the next
 * iteration's prepare phase (io/http_server.c), before the loop sleeps. */
static void on_polled(uv_check_t *polled) {
    struct rv_master_daemon *d = polled->data;

    d->turn_end_ms = 0;
    if (!d->registry_done.n || !rv_master_leads(d))
        return;
    d->stepping = true;
    step_followers(d);
    d->stepping = false;
    rv_master_daemon_arm(d);
}

static void on_stream_closed(void *ctx, uint64_t stream) {
    struct rv_master_daemon *d = ctx;
    struct rv_master_event event = {.kind = RV_MASTER_STREAM_CLOSED, .stream = stream};

    rv_map_remove(&d->operators, key_of(&stream));
    rv_snapshots_stream_closed(d->snapshots, stream);
    if (d->stepping)
        rv_vec_push(&d->closed, stream);
    else
        rv_master_daemon_step(d, &event);
}

/* --- requests --- */

uint64_t rv_master_daemon_park(struct rv_master_daemon *d, struct rv_http_request *req,
                               enum rv_encoding encoding, bool operator_) {
    struct rv_master_pending *p = rv_calloc(1, sizeof *p);
    uint64_t number = rv_shell_park(&d->shell, req);

    *p = (struct rv_master_pending){.encoding = encoding, .operator_ = operator_};
    rv_map_put(&d->pending, key_of(&number), p);
    return number;
}

static void scheduler_endpoint(struct rv_master_daemon *d, struct rv_http_request *req) {
    struct rv_scheduler_call call;
    enum rv_encoding in, out = RV_ENC_JSON;
    struct rv_error err;

    if (!rv_shell_is_post(&d->shell, req) || !rv_shell_body_encoding(&d->shell, req, &in))
        return;
    if (rv_wire_scheduler_call_decode(in, rv_http_body(req), &d->shell.limits, &d->arena, &call,
                                      &err)) {
        rv_shell_bad_request(&d->shell, req, &err);
        return;
    }
    bool subscribe = call.type == RV_CALL_SUBSCRIBE;
    if (!subscribe || rv_shell_accept_encoding(&d->shell, req, &out)) {
        struct rv_master_event event = {
            .kind = RV_MASTER_SCHEDULER_CALL,
            .request = rv_master_daemon_park(d, req, out, false),
            .stream = subscribe ? rv_shell_number(&d->shell) : 0,
            .stream_id = rv_http_header(req, "Mesos-Stream-Id"),
            .scheduler = &call,
        };
        rv_master_daemon_step(d, &event);
    }
    rv_wire_scheduler_call_release(&call);
}

static int agent_call(struct rv_master_daemon *d, enum rv_encoding encoding, struct rv_str body,
                      uint64_t request, struct rv_error *err) {
    struct rv_agent_call call;
    int r = rv_wire_agent_call_decode(encoding, body, &d->shell.limits, &d->arena, &call, err);

    if (r)
        return r;
    bool opens = call.type == RV_AGENT_CALL_REGISTER || call.type == RV_AGENT_CALL_REREGISTER;
    struct rv_master_event event = {
        .kind = RV_MASTER_AGENT_CALL,
        .request = request,
        .stream = opens ? rv_shell_number(&d->shell) : 0,
        .agent = &call,
    };
    rv_master_daemon_step(d, &event);
    rv_wire_agent_call_release(&call);
    return 0;
}

static int batched_call(void *ctx, struct rv_str record) {
    struct rv_master_batch *b = ctx;

    if (agent_call(b->daemon, RV_ENC_PROTOBUF, record, b->request, &b->err))
        return 1;
    return b->status >= 300; /* what follows a refused call is not wanted either */
}

/* Several calls in order in one body, as RecordIO: an agent with much to say needs one request. The
 * answer is that of the first call that is refused, else 202. */
static void agent_batch(struct rv_master_daemon *d, struct rv_http_request *req) {
    struct rv_master_batch b = {.daemon = d, .status = 202};
    struct rv_recordio records;

    b.request = rv_shell_park(&d->shell, req);
    d->batch = &b;
    rv_recordio_init(&records, d->shell.limits.max_body);
    int r = rv_recordio_feed(&records, rv_http_body(req), batched_call, &b, &b.err);
    rv_recordio_free(&records);
    d->batch = NULL;
    if (b.status >= 300)
        rv_shell_reply(&d->shell, b.request, b.status, b.message);
    else
        rv_shell_reply(&d->shell, b.request, r ? 400 : 202, r ? b.err.message : NULL);
}

static void agent_endpoint(struct rv_master_daemon *d, struct rv_http_request *req) {
    const char *type = rv_http_header(req, "Content-Type");
    enum rv_encoding encoding;
    struct rv_error err;

    if (!rv_shell_is_post(&d->shell, req))
        return;
    if (rv_streq(type, "application/recordio")) {
        agent_batch(d, req);
        return;
    }
    if (!rv_master_has_turn(d, req)) {
        rv_master_wait(d, req);
        return;
    }
    if (!rv_shell_body_encoding(&d->shell, req, &encoding))
        return;
    uint64_t request = rv_master_daemon_park(d, req, encoding, false);
    if (!agent_call(d, encoding, rv_http_body(req), request, &err))
        return;
    free(rv_map_remove(&d->pending, key_of(&request)));
    rv_shell_reply(&d->shell, request, 400, err.message);
}

/* POST /reeve/v1/kill, our own: the scheduler's call KILL in an operator's hand. */
static void kill_endpoint(struct rv_master_daemon *d, struct rv_http_request *req) {
    struct rv_scheduler_call call;
    enum rv_encoding encoding;
    struct rv_error err;

    if (!rv_shell_is_post(&d->shell, req) || !rv_shell_body_encoding(&d->shell, req, &encoding))
        return;
    if (rv_wire_scheduler_call_decode(encoding, rv_http_body(req), &d->shell.limits, &d->arena,
                                      &call, &err)) {
        rv_shell_bad_request(&d->shell, req, &err);
        return;
    }
    if (call.type == RV_CALL_KILL) {
        struct rv_operator_call kill = {.type = RV_OPERATOR_KILL_TASK,
                                        .framework_id = call.framework_id,
                                        .task_id = call.kill.task_id,
                                        .grace_ms = call.kill.grace_ms};
        struct rv_master_event event = {
            .kind = RV_MASTER_OPERATOR_CALL,
            .request = rv_master_daemon_park(d, req, RV_ENC_JSON, false),
            .operator_ = &kill,
        };
        rv_master_daemon_step(d, &event);
    } else {
        rv_error_set(&err, RV_ERR_INVALID, "type: only KILL is taken here");
        rv_shell_bad_request(&d->shell, req, &err);
    }
    rv_wire_scheduler_call_release(&call);
}

void rv_master_daemon_handle(struct rv_master_daemon *d, struct rv_http_request *req) {
    const char *path = rv_http_path(req);

    if (rv_starts_with(path, "/master/"))
        path += strlen("/master");
    if (!rv_master_leads(d))
        rv_master_standby_answer(d, req, path);
    else if (rv_streq(path, "/api/v1/scheduler"))
        scheduler_endpoint(d, req);
    else if (rv_streq(path, "/api/v1/agent"))
        agent_endpoint(d, req);
    else if (rv_streq(path, "/api/v1"))
        rv_master_operator_handle(d, req);
    else if (rv_streq(path, "/reeve/v1/kill"))
        kill_endpoint(d, req);
    else if (!rv_master_legacy_handle(d, req, path))
        rv_http_reply_text(req, 404, "There is no %s here.\n", path);
    rv_arena_reset(&d->arena);
}

static void on_request(void *ctx, struct rv_http_request *req) {
    struct rv_master_daemon *d = ctx;

    d->bytes_in += rv_http_body(req).n;
    rv_master_daemon_handle(d, req);
}

/* --- start and stop --- */

static uv_handle_t *new_handle(size_t size, void *data) {
    uv_handle_t *h = rv_calloc(1, size);

    h->data = data;
    return h;
}

int rv_master_daemon_start(uv_loop_t *loop, const struct rv_master_flags *flags,
                           void (*on_exit)(void *ctx, int status, const char *why), void *exit_ctx,
                           struct rv_master_daemon **out, struct rv_error *err) {
    struct rv_master_daemon *d = rv_calloc(1, sizeof *d);
    struct rv_wire_limits limits = RV_SHELL_LIMITS(flags);

    d->loop = loop;
    d->flags = flags;
    d->on_exit = on_exit;
    d->exit_ctx = exit_ctx;
    d->started_ns = rv_wall_ns();
    rv_arena_init(&d->arena);
    rv_arena_init(&d->scratch);
    rv_shell_init(&d->shell, loop, &limits, on_stream_closed, d);
    d->snapshots = rv_snapshots_new(&d->shell);
    d->timer = (uv_timer_t *)new_handle(sizeof *d->timer, d);
    uv_timer_init(loop, d->timer);
    d->polled = (uv_check_t *)new_handle(sizeof *d->polled, d);
    uv_check_init(loop, d->polled);
    uv_check_start(d->polled, on_polled);
    uv_unref((uv_handle_t *)d->polled);
    d->turn = (uv_idle_t *)new_handle(sizeof *d->turn, d);
    uv_idle_init(loop, d->turn);

    struct rv_http_config config = RV_SHELL_HTTP_CONFIG(flags);
    int r = rv_http_server_start(loop, &config, on_request, d, &d->shell.server, err);
    if (!r) {
        d->port = rv_http_server_port(d->shell.server);
        d->ip = rv_strdup(flags->advertise_ip ? flags->advertise_ip : flags->ip);
        d->hostname = rv_strdup(flags->hostname ? flags->hostname : d->ip);
        r = rv_master_lead_start(d, err);
    }
    if (r) {
        rv_master_daemon_stop(d);
        return r;
    }
    *out = d;
    return 0;
}

void rv_master_daemon_fail(struct rv_master_daemon *d, const struct rv_error *err) {
    void (*on_exit)(void *, int, const char *) = d->on_exit;

    d->on_exit = NULL;
    if (on_exit)
        on_exit(d->exit_ctx, 1, err->message);
}

uint16_t rv_master_daemon_port(const struct rv_master_daemon *d) {
    return d->port;
}

static void free_pending(struct rv_master_daemon *d) {
    void *value;

    for (size_t it = 0; rv_map_next(&d->pending, &it, NULL, &value);)
        free(value);
    rv_map_free(&d->pending);
}

void rv_master_daemon_drop(struct rv_master_daemon *d, const char *why) {
    rv_snapshots_free(d->snapshots);
    d->snapshots = rv_snapshots_new(&d->shell);
    rv_shell_drop(&d->shell, why, true);
    free_pending(d);
    rv_map_free(&d->operators);
    d->registry_done.n = d->closed.n = 0;
    rv_effects_clear(&d->effects);
    uv_timer_stop(d->timer);
    d->core = rv_master_free(d->core);
    rv_timing_clear(&d->times.passes);
    rv_timing_clear(&d->times.passes_waited);
    rv_timing_clear(&d->times.stores);
    d->times.storing.n = d->times.n_stored = 0;
    d->times.fetched_ns = 0;
}

struct rv_master_daemon *rv_master_daemon_stop(struct rv_master_daemon *d) {
    if (!d)
        return NULL;
    d->stepping = true; /* nothing reaches the core any more */
    d->on_exit = NULL;
    if (d->core)
        RV_INFO(MODULE, "master %s ends", d->id);
    rv_snapshots_free(d->snapshots);
    rv_master_waiting_refuse(d, "This master ends.");
    rv_shell_close(&d->shell);
    if (d->shell.server)
        rv_http_server_stop(d->shell.server);
    d->core = rv_master_free(d->core);
    rv_master_lead_end(d, NULL);
    rv_master_election_stop(d);
    rv_effects_free(&d->effects);
    free_pending(d);
    rv_map_free(&d->operators);
    rv_vec_free(&d->registry_done);
    rv_vec_free(&d->times.storing);
    rv_vec_free(&d->closed);
    rv_arena_free(&d->arena);
    rv_arena_free(&d->scratch);
    rv_buf_free(&d->encoded);
    rv_handle_close(d->timer);
    rv_handle_close(d->polled);
    rv_handle_close(d->turn);
    rv_address_free(&d->leader);
    rv_blob_unref(d->info);
    free(d->hostname);
    free(d->ip);
    free(d);
    return NULL;
}
