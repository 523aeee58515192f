/*
 * The common client, see client_core.h.
 *
 * Always holds: at most one connection is current; calls go out only while SUBSCRIBED (and the
 * goodbye after it); RV_CLIENT_STOPPED is the last action there is.
 * Owns: everything it points to; an action owns its parts once taken.
 * Costs: one copy of each call as bytes; one arena an event.
 */
#include "framework/client_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Events can be large where there are many agents, and come from whom we chose to trust. */
static const struct rv_wire_limits event_limits = {
    .max_body = (size_t)1 << 30, .max_depth = 100, .max_fields = 100 * 1000 * 1000};

/* ---- addresses ---- */

static int parse_targets(struct rv_client *c, const char *text, struct rv_error *err) {
    const char *problem =
        text ? rv_addresses_parse(text, strlen(text), c->config.protocol->default_port, &c->targets)
             : "there is no host:port to connect to";

    return problem ? rv_error_set(err, RV_ERR_INVALID, "\"%s\": %s", text ? text : "", problem) : 0;
}

/* "//host:port/path", "http://host:port/path" */
static int parse_location(const char *location, uint16_t default_port, struct rv_address *out) {
    if (rv_starts_with(location, "http:"))
        location += strlen("http:");
    if (!rv_starts_with(location, "//"))
        return -RV_ERR_INVALID;
    location += 2;
    return rv_address_parse(location, strcspn(location, "/?#"), default_port, out) ? -RV_ERR_INVALID
                                                                                   : 0;
}

/* ---- life ---- */

int rv_client_init(struct rv_client *c, const struct rv_client_config *config,
                   struct rv_error *err) {
    int rc;

    *c = (struct rv_client){.config = *config, .stop_by_ms = INT64_MAX};
    rv_arena_init(&c->arena);
    rv_prng_seed(&c->prng, config->seed);
    rc = parse_targets(c, config->targets, err);
    c->authorization = rv_strdup(config->authorization);
    c->config.targets = c->config.authorization = NULL;
    if (rc)
        rv_client_free(c);
    return rc;
}

void rv_client_action_free(struct rv_client_action *a) {
    free(a->host);
    free(a->text);
    rv_buf_free(&a->body);
    if (a->event)
        rv_arena_free(&a->arena);
    *a = (struct rv_client_action){0};
}

void rv_client_free(struct rv_client *c) {
    for (size_t i = c->next_action; i < c->actions.n; i++)
        rv_client_action_free(&c->actions.v[i]);
    rv_vec_free(&c->actions);
    rv_addresses_free(&c->targets);
    free(c->redirected.host);
    free(c->authorization);
    free(c->stream_id);
    free(c->headers);
    rv_arena_free(&c->arena);
    *c = (struct rv_client){0};
}

/* ---- actions ---- */

static struct rv_client_action *act(struct rv_client *c, enum rv_client_action_type type,
                                    const char *text) {
    struct rv_client_action action = {
        .type = type, .connection = c->connection, .text = rv_strdup(text)};

    rv_vec_push(&c->actions, action);
    return &c->actions.v[c->actions.n - 1];
}

bool rv_client_next(struct rv_client *c, struct rv_client_action *out) {
    if (c->next_action == c->actions.n) {
        c->next_action = c->actions.n = 0;
        return false;
    }
    *out = c->actions.v[c->next_action++];
    return true;
}

const char *rv_client_headers(const struct rv_client *c) {
    return c->headers;
}

static void make_headers(struct rv_client *c) {
    const char *type = rv_encoding_media_type(c->config.encoding);
    struct rv_buf b = {0};

    rv_buf_printf(&b, "Content-Type: %s\r\nAccept: %s\r\n", type, type);
    if (c->authorization)
        rv_buf_printf(&b, "Authorization: %s\r\n", c->authorization);
    if (c->stream_id)
        rv_buf_printf(&b, "Mesos-Stream-Id: %s\r\n", c->stream_id);
    free(c->headers);
    c->headers = rv_buf_take(&b, NULL);
}

static void remember(struct rv_client *c, const char *why) {
    size_t n = RV_MIN(strlen(why), sizeof c->last_error - 1);

    memmove(c->last_error, why, n);
    c->last_error[n] = 0;
}

/* ---- connecting ---- */

static void connect_now(struct rv_client *c, int64_t now_ms) {
    const struct rv_address *target =
        c->redirected.host ? &c->redirected : &c->targets.list.v[c->target];
    struct rv_client_action *action;

    c->connection++;
    c->state = RV_CLIENT_CONNECTING;
    c->pending = 0;
    c->subscribe_by_ms = now_ms + c->config.subscribe_timeout_ms;
    free(TAKE_PTR(c->stream_id));
    make_headers(c);
    action = act(c, RV_CLIENT_CONNECT, NULL);
    action->host = rv_strdup(target->host);
    action->port = target->port;
    c->config.protocol->subscribe(c->config.owner, &action->body);
}

/* Half of the wait is random, so that many clients of one master do not come all at once. */
static int64_t backoff(struct rv_client *c) {
    uint64_t wait = c->config.backoff_min_ms;
    size_t rounds = c->failures / c->targets.list.n;

    for (size_t i = 0; i < rounds && wait < c->config.backoff_max_ms; i++)
        wait *= 2;
    wait = RV_MIN(wait, c->config.backoff_max_ms);
    return (int64_t)(wait / 2 + rv_prng_below(&c->prng, wait / 2 + 1));
}

/* Whether there is somebody to say goodbye to. */
static bool is_known(const struct rv_client *c) {
    return c->goodbye && c->config.protocol->goodbye(c->config.owner, NULL);
}

/* The connection is over, or never was. */
static void lose(struct rv_client *c, const char *why, int64_t now_ms) {
    bool was_subscribed = c->state == RV_CLIENT_SUBSCRIBED;

    remember(c, why);
    /* What was under way is answered by the end. */
    if (c->state == RV_CLIENT_FLUSHING || (c->stopping && !is_known(c))) {
        rv_client_end(c, REEVE_OK, NULL);
        return;
    }
    act(c, RV_CLIENT_DISCONNECT, NULL);
    c->state = RV_CLIENT_WAITING;
    c->pending = 0;
    c->retry_at_ms = now_ms + backoff(c);
    if (was_subscribed) {
        act(c, RV_CLIENT_LOST, why);
        if (c->config.protocol->on_lost)
            c->config.protocol->on_lost(c->config.owner, now_ms);
        return;
    }
    c->failures++;
    c->redirects = 0;
    /* Who sent us there may go on doing so, by a name that only it can resolve or to a leader that
     * it alone does not know to be dead: ask the next one. */
    if (c->redirected.host)
        free(TAKE_PTR(c->redirected.host));
    c->target = (c->target + 1) % c->targets.list.n;
}

static void follow(struct rv_client *c, const char *location, int64_t now_ms) {
    struct rv_address target;

    if (!location || parse_location(location, c->config.protocol->default_port, &target)) {
        lose(c, "redirected to nowhere", now_ms);
        return;
    }
    if (++c->redirects > RV_CLIENT_MAX_REDIRECTS) {
        free(target.host);
        lose(c, "redirected too often", now_ms);
        return;
    }
    free(c->redirected.host);
    c->redirected = target;
    act(c, RV_CLIENT_DISCONNECT, NULL);
    connect_now(c, now_ms);
}

static bool is_connected(const struct rv_client *c) {
    return c->state >= RV_CLIENT_CONNECTING && c->state <= RV_CLIENT_FLUSHING;
}

/* ---- inputs ---- */

void rv_client_start(struct rv_client *c, int64_t now_ms) {
    if (c->state == RV_CLIENT_IDLE)
        connect_now(c, now_ms);
}

void rv_client_head(struct rv_client *c, uint64_t connection, int status, const char *stream_id,
                    const char *location, int64_t now_ms) {
    if (connection != c->connection || c->state != RV_CLIENT_CONNECTING)
        return;
    if (status == 200) {
        c->state = RV_CLIENT_OPEN;
        /* A line end would end the header: what is not printable is no id. */
        if (stream_id && !strpbrk(stream_id, "\r\n"))
            c->stream_id = rv_strdup(stream_id);
        make_headers(c);
    } else if (status >= 300 && status < 400) {
        follow(c, location, now_ms);
    } else {
        c->state = RV_CLIENT_REJECTED;
        c->status = status;
    }
}

void rv_client_record(struct rv_client *c, uint64_t connection, struct rv_str record,
                      int64_t now_ms) {
    struct rv_error err = {0};
    ProtobufCMessage *event;

    if (connection != c->connection ||
        (c->state != RV_CLIENT_OPEN && c->state != RV_CLIENT_SUBSCRIBED))
        return;
    c->last_event_ms = now_ms;
    if (rv_wire_decode(c->config.protocol->event_type, c->config.encoding, record, &event_limits,
                       &c->arena, &event, &err)) {
        rv_error_prefix(&err, "an event that cannot be read");
        rv_arena_reset(&c->arena);
        lose(c, err.message, now_ms);
        return;
    }
    c->event = event;
    c->config.protocol->on_event(c->config.owner, event, now_ms);
    if (c->event) { /* nobody wanted it */
        c->event = NULL;
        rv_arena_reset(&c->arena);
    }
}

/* For good: the request itself is wrong, or we are not who may make it. */
static bool is_refusal(int status) {
    return status >= 400 && status < 500 && status != 404 && status != 408 && status != 429;
}

void rv_client_closed(struct rv_client *c, uint64_t connection, const char *why, int64_t now_ms) {
    char text[400];

    if (connection != c->connection || !is_connected(c))
        return;
    if (!why || !*why)
        why = "the stream ended";
    if (c->state != RV_CLIENT_REJECTED) {
        lose(c, why, now_ms);
        return;
    }
    snprintf(text, sizeof text, "status %d: %s", c->status, why);
    if (is_refusal(c->status))
        rv_client_end(c, REEVE_ERR_REFUSED, text);
    else
        lose(c, text, now_ms);
}

void rv_client_call_done(struct rv_client *c, uint64_t connection, int call_type, int status,
                         const char *why, int64_t now_ms) {
    struct rv_client_action *action;

    if (connection != c->connection || !c->pending)
        return;
    c->pending--;
    if (status < 200 || status > 299) {
        action = act(c, RV_CLIENT_CALL_FAILED, why && *why ? why : "no reason given");
        action->call_type = call_type;
        action->status = status;
        remember(c, action->text);
        if (c->config.protocol->calls_must_arrive && c->state == RV_CLIENT_SUBSCRIBED &&
            (status == 0 || status >= 500)) {
            act(c, RV_CLIENT_DISCONNECT, NULL);
            c->state = RV_CLIENT_WAITING;
            c->pending = 0;
            c->retry_at_ms = now_ms + backoff(c);
        }
    }
    if (c->state == RV_CLIENT_FLUSHING && !c->pending)
        rv_client_end(c, REEVE_OK, NULL);
}

void rv_client_tick(struct rv_client *c, int64_t now_ms) {
    if (c->stopping && now_ms >= c->stop_by_ms && c->state != RV_CLIENT_ENDED) {
        rv_client_end(c, REEVE_OK, NULL);
    } else if (c->state == RV_CLIENT_WAITING && now_ms >= c->retry_at_ms) {
        connect_now(c, now_ms);
    } else if ((c->state == RV_CLIENT_CONNECTING || c->state == RV_CLIENT_OPEN ||
                c->state == RV_CLIENT_REJECTED) &&
               now_ms >= c->subscribe_by_ms) {
        lose(c, "not subscribed in time", now_ms);
    } else if (c->state == RV_CLIENT_SUBSCRIBED && c->silence_ms &&
               now_ms - c->last_event_ms >= c->silence_ms) {
        lose(c, "no heartbeat in time", now_ms);
    }
}

int64_t rv_client_deadline(const struct rv_client *c) {
    int64_t at = c->stopping ? c->stop_by_ms : INT64_MAX;

    switch (c->state) {
    case RV_CLIENT_WAITING:
        return RV_MIN(at, c->retry_at_ms);
    case RV_CLIENT_CONNECTING:
    case RV_CLIENT_OPEN:
    case RV_CLIENT_REJECTED:
        return RV_MIN(at, c->subscribe_by_ms);
    case RV_CLIENT_SUBSCRIBED:
        return c->silence_ms ? RV_MIN(at, c->last_event_ms + c->silence_ms) : at;
    case RV_CLIENT_ENDED:
        return INT64_MAX;
    case RV_CLIENT_IDLE:
    case RV_CLIENT_FLUSHING:
        break;
    }
    return at;
}

/* ---- ending ---- */

static void flush(struct rv_client *c) {
    if (c->goodbye) {
        c->goodbye = false;
        c->config.protocol->goodbye(c->config.owner, &act(c, RV_CLIENT_SEND, NULL)->body);
        c->pending++;
    }
    c->state = RV_CLIENT_FLUSHING;
    if (!c->pending)
        rv_client_end(c, REEVE_OK, NULL);
}

void rv_client_stop(struct rv_client *c, bool goodbye, int64_t now_ms) {
    if (c->stopping || c->state == RV_CLIENT_ENDED)
        return;
    c->stopping = true;
    c->goodbye = goodbye;
    c->stop_by_ms = now_ms + RV_CLIENT_STOP_MS;
    if (c->state == RV_CLIENT_SUBSCRIBED)
        flush(c);
    else if (c->state == RV_CLIENT_IDLE || !goodbye || (!is_connected(c) && !is_known(c)))
        rv_client_end(c, REEVE_OK, NULL);
}

void rv_client_end(struct rv_client *c, int code, const char *why) {
    if (c->state == RV_CLIENT_ENDED)
        return;
    if (is_connected(c))
        act(c, RV_CLIENT_DISCONNECT, NULL);
    c->state = RV_CLIENT_ENDED;
    c->pending = 0;
    if (why) {
        remember(c, why);
        act(c, RV_CLIENT_FATAL, why);
    }
    act(c, RV_CLIENT_STOPPED, NULL)->status = code;
}

/* ---- from the protocol ---- */

void rv_client_refused(struct rv_client *c, const char *why) {
    rv_client_tell(c, false);
    rv_client_end(c, REEVE_ERR_REFUSED, why ? why : "an error without a message");
}

void rv_client_tell(struct rv_client *c, bool again) {
    struct rv_client_action *action;

    RV_ASSERT(c->event);
    if (c->stopping)
        return;
    action = act(c, RV_CLIENT_EVENT, NULL);
    action->event = TAKE_PTR(c->event);
    action->again = again;
    action->arena = c->arena;
    rv_arena_init(&c->arena);
}

bool rv_client_subscribed(struct rv_client *c, int64_t heartbeat_ms, int64_t now_ms) {
    c->silence_ms = heartbeat_ms * (int64_t)c->config.missed_heartbeats;
    c->last_event_ms = now_ms;
    c->failures = c->redirects = 0;
    c->state = RV_CLIENT_SUBSCRIBED;
    c->subscriptions++;
    if (c->stopping)
        flush(c);
    return c->subscriptions > 1;
}

int rv_client_send(struct rv_client *c, const ProtobufCMessage *call, int call_type) {
    struct rv_client_action *action;

    if (c->stopping || c->state == RV_CLIENT_ENDED)
        return REEVE_ERR_STOPPED;
    if (c->state != RV_CLIENT_SUBSCRIBED)
        return REEVE_ERR_DISCONNECTED;
    action = act(c, RV_CLIENT_SEND, NULL);
    action->call_type = call_type;
    rv_wire_encode(call, c->config.encoding, &action->body);
    c->pending++;
    return 0;
}
