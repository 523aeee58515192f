/* Schedulers, their connection and what they make of events: see schedulers.h. */
#include "schedulers.h"

#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"
#include "scheduler_calls.h"
#include "scheduler_operations.h"
#include "wire/convert.h"

#define CAST(message) ((const void *)(message))

static struct sim_world *world_of(const struct sim_scheduler *s) {
    return &s->cluster->world;
}

static struct sim_server *master_of(const struct sim_scheduler *s) {
    return &s->cluster->masters[s->aim].server;
}

/* After a try that led nowhere: who was named, or anybody. */
static void aim(struct sim_scheduler *s, const struct sim_message *m) {
    struct sim_world *w = world_of(s);

    if (m && m->status == 307)
        s->aim = (size_t)(*m->body->data - '0');
    else if (s->cluster->n_masters > 1 && sim_chance(w, 500))
        s->aim = sim_below(w, s->cluster->n_masters);
}

static void free_offer(struct sim_offer *o) {
    rv_resources_free(&o->resources);
    free(o->id);
    free(o->agent_id);
    free(o->role);
    free(o);
}

static void drop_offers(struct sim_scheduler *s) {
    for (size_t i = 0; i < s->offers.n; i++)
        free_offer(s->offers.v[i]);
    s->offers.n = 0;
}

struct sim_offer *sim_scheduler_take_offer(struct sim_scheduler *s, const char *id) {
    for (size_t i = 0; i < s->offers.n; i++) {
        struct sim_offer *o = s->offers.v[i];
        if (id && !rv_streq(o->id, id))
            continue;
        rv_vec_remove_at(&s->offers, i);
        snprintf(s->last_offer, sizeof s->last_offer, "%s", o->id);
        return o;
    }
    return NULL;
}

void sim_offer_free(struct sim_offer *o) {
    free_offer(o);
}

/* --- the connection --- */

static void subscribe(void *ctx, uint64_t arg, void *data);

static void forget_connection(struct sim_scheduler *s) {
    s->stream = s->calls = NULL;
    s->subscribed = s->calls_busy = false;
    *s->stream_id = 0;
    for (size_t i = 0; i < s->queue.n; i++)
        rv_blob_unref(s->queue.v[i]);
    s->queue.n = 0;
    drop_offers(s);
    for (size_t i = 0; i < s->jobs.n; i++)
        s->jobs.v[i]->known = false;
}

static void disconnected(struct sim_scheduler *s) {
    struct sim_world *w = world_of(s);

    sim_client_close(s->stream);
    sim_client_close(s->calls);
    forget_connection(s);
    if (s->torn_down || s->resubscribing)
        return;
    s->resubscribing = true;
    sim_at(w, &s->party, sim_between(w, 50, 3000), subscribe, s, 0, NULL);
}

static void on_stream_answer(void *ctx, struct sim_conn *c, const struct sim_message *m) {
    struct sim_scheduler *s = ctx;

    if (c != s->stream)
        return;
    if (!m->stream) {
        sim_trace(world_of(s), &s->party, "subscription refused: %d %.*s", m->status,
                  m->body ? (int)m->body->n : 0, m->body ? (const char *)m->body->data : "");
        aim(s, m);
        disconnected(s);
        return;
    }
    memcpy(s->stream_id, m->stream_id, sizeof s->stream_id);
    rv_recordio_free(&s->records);
    rv_recordio_init(&s->records, 8u << 20);
}

/* The framework is over; it starts anew as another. */
static void reborn(struct sim_scheduler *s) {
    sim_trace(world_of(s), &s->party, "framework %s is over", s->framework_id);
    free(s->framework_id);
    s->framework_id = NULL;
    for (size_t i = 0; i < s->jobs.n; i++)
        s->jobs.v[i]->over = true;
    for (size_t i = 0; i < s->asked.n; i++)
        s->asked.v[i].over = true;
    s->torn_down = s->ending;
}

static void on_subscribed(struct sim_scheduler *s,
                          const Reeve__V1__Scheduler__Event__Subscribed *m) {
    struct sim_world *w = world_of(s);

    if (s->framework_id && !rv_streq(s->framework_id, m->framework_id->value))
        sim_fail(w, "INV-43: framework %s was subscribed as %s", s->framework_id,
                 m->framework_id->value);
    if (!s->framework_id)
        s->framework_id = rv_strdup(m->framework_id->value);
    s->subscribed = true;
    sim_trace(w, &s->party, "subscribed as %s", s->framework_id);
    sim_scheduler_reconcile(s, true);
}

static void on_answer_offer(void *ctx, uint64_t arg, void *data) {
    struct sim_scheduler *s = ctx;
    struct sim_offer *o = s->cluster->holding ? NULL : sim_scheduler_take_offer(s, data);
    (void)arg;

    if (o)
        sim_scheduler_answer(s, o);
    free(data);
}

static void answer_soon(struct sim_scheduler *s, const char *id) {
    sim_at(world_of(s), &s->party, sim_between(world_of(s), 0, s->think_ms), on_answer_offer, s, 0,
           rv_strdup(id));
}

void sim_scheduler_let_go(struct sim_scheduler *s) {
    for (size_t i = 0; i < s->offers.n; i++)
        answer_soon(s, s->offers.v[i]->id);
}

static void on_offers(struct sim_scheduler *s, const Reeve__V1__Scheduler__Event__Offers *m) {
    struct sim_world *w = world_of(s);
    struct rv_error err;

    for (size_t i = 0; i < m->n_offers; i++) {
        const Reeve__V1__Offer *in = m->offers[i];
        struct sim_offer *o = rv_calloc(1, sizeof *o);

        s->offers_seen++;
        o->id = rv_strdup(in->id->value);
        o->agent_id = rv_strdup(in->agent_id->value);
        o->role = rv_strdup(in->allocation_info ? in->allocation_info->role : s->roles[0]);
        if (rv_wire_resources_from(in->resources, in->n_resources, "resources", &o->resources,
                                   &err))
            sim_fail(w, "INV-49: resources of an offer cannot be read: %s", err.message);
        bool multi = s->capabilities & 1u << RV_FRAMEWORK_MULTI_ROLE;
        if (multi != (in->allocation_info != NULL))
            sim_fail(w, "INV-29: offer %s: allocation_info does not go with MULTI_ROLE", o->id);
        rv_vec_push(&s->offers, o);
        if (w->healing || !sim_chance(w, s->holds))
            answer_soon(s, o->id);
    }
}

static void on_answer_inverse(void *ctx, uint64_t arg, void *data) {
    (void)arg;
    sim_scheduler_answer_inverse(ctx, data);
    free(data);
}

/* Some are answered after they were rescinded, some never. */
static void on_inverse_offers(struct sim_scheduler *s,
                              const Reeve__V1__Scheduler__Event__InverseOffers *m) {
    struct sim_world *w = world_of(s);

    for (size_t i = 0; i < m->n_inverse_offers; i++)
        if (!sim_chance(w, s->holds))
            sim_at(w, &s->party, sim_between(w, 0, s->think_ms), on_answer_inverse, s, 0,
                   rv_strdup(m->inverse_offers[i]->id->value));
}

static void on_update(struct sim_scheduler *s, const Reeve__V1__TaskStatus *m) {
    struct sim_world *w = world_of(s);
    struct sim_job *job = NULL;

    for (size_t i = s->jobs.n; i > 0 && !job; i--)
        if (rv_streq(s->jobs.v[i - 1]->id, m->task_id->value))
            job = s->jobs.v[i - 1];
    sim_trace(w, &s->party, "task %s is %s", m->task_id->value, rv_task_state_name((int)m->state));
    if (job) {
        job->state = (enum rv_task_state)m->state;
        job->over = rv_task_state_terminal(job->state);
        job->known = m->has_uuid;
        job->last_ms = w->now_ms;
    }
    if (m->has_uuid)
        sim_scheduler_acknowledge(s, m);
}

static void on_error(struct sim_scheduler *s, const char *message) {
    sim_trace(world_of(s), &s->party, "error: %s", message);
    if (strstr(message, "removed") && s->framework_id)
        reborn(s);
    disconnected(s);
}

static int on_record(void *ctx, struct rv_str record) {
    struct sim_scheduler *s = ctx;
    struct sim_world *w = world_of(s);
    const struct sim_conn *before = s->stream;
    ProtobufCMessage *message;
    struct rv_arena arena;
    struct rv_error err;

    rv_arena_init(&arena);
    if (rv_wire_decode(&reeve__v1__scheduler__event__descriptor, s->encoding, record, NULL, &arena,
                       &message, &err)) {
        sim_fail(w, "INV-49: %s cannot read an event: %s", s->party.name, err.message);
        rv_arena_free(&arena);
        return 1;
    }
    const Reeve__V1__Scheduler__Event *e = CAST(message);
    s->last_event_ms = w->now_ms;
    sim_audit_stream_heard(&s->cluster->auditor, s, record, e);
    switch ((int)e->type) {
    case REEVE__V1__SCHEDULER__EVENT__TYPE__SUBSCRIBED:
        on_subscribed(s, e->subscribed);
        break;
    case REEVE__V1__SCHEDULER__EVENT__TYPE__OFFERS:
        on_offers(s, e->offers);
        break;
    case REEVE__V1__SCHEDULER__EVENT__TYPE__RESCIND: {
        struct sim_offer *o = sim_scheduler_take_offer(s, e->rescind->offer_id->value);
        if (o)
            free_offer(o);
        break;
    }
    case REEVE__V1__SCHEDULER__EVENT__TYPE__INVERSE_OFFERS:
        on_inverse_offers(s, e->inverse_offers);
        break;
    case REEVE__V1__SCHEDULER__EVENT__TYPE__UPDATE:
        on_update(s, e->update->status);
        break;
    case REEVE__V1__SCHEDULER__EVENT__TYPE__UPDATE_OPERATION_STATUS:
        sim_scheduler_on_operation(s, e->update_operation_status->status);
        break;
    case REEVE__V1__SCHEDULER__EVENT__TYPE__MESSAGE:
        sim_audit_message_back(&s->cluster->auditor, s->framework_id, e->message->agent_id->value,
                               e->message->executor_id->value,
                               rv_strn(e->message->data.data, e->message->data.len));
        break;
    case REEVE__V1__SCHEDULER__EVENT__TYPE__ERROR:
        on_error(s, e->error->message);
        break;
    default:
        break;
    }
    rv_arena_free(&arena);
    return s->stream != before;
}

static void on_stream_bytes(void *ctx, struct sim_conn *c, struct rv_str bytes) {
    struct sim_scheduler *s = ctx;
    struct rv_error err;

    if (c == s->stream && rv_recordio_feed(&s->records, bytes, on_record, s, &err) < 0)
        sim_fail(world_of(s), "INV-49: %s: damaged stream: %s", s->party.name, err.message);
}

static void on_stream_closed(void *ctx, struct sim_conn *c) {
    struct sim_scheduler *s = ctx;

    if (c == s->stream) {
        aim(s, NULL);
        disconnected(s);
    }
}

static void send_next(struct sim_scheduler *s);

static void on_call_answer(void *ctx, struct sim_conn *c, const struct sim_message *m) {
    struct sim_scheduler *s = ctx;

    if (c != s->calls)
        return;
    s->calls_busy = false;
    rv_blob_unref(s->queue.v[0]);
    rv_vec_remove_at(&s->queue, 0);
    if (m->status >= 300)
        sim_trace(world_of(s), &s->party, "call refused: %d %.*s", m->status,
                  m->body ? (int)m->body->n : 0, m->body ? (const char *)m->body->data : "");
    if (m->status == 403 || m->status == 307 || m->status == 503)
        disconnected(s);
    else
        send_next(s);
}

static void on_call_closed(void *ctx, struct sim_conn *c) {
    struct sim_scheduler *s = ctx;

    if (c == s->calls)
        disconnected(s);
}

static void no_bytes(void *ctx, struct sim_conn *conn, struct rv_str bytes) {
    (void)ctx;
    (void)conn;
    (void)bytes;
}

static const struct sim_client call_ops = {on_call_answer, no_bytes, on_call_closed};

/* The body is taken over. */
static void request(struct sim_scheduler *s, struct sim_conn *c, struct rv_blob *body,
                    const char *stream_id) {
    struct sim_message m = {
        .api = SIM_SCHEDULER_API, .content = s->encoding, .accept = s->encoding, .body = body};

    snprintf(m.stream_id, sizeof m.stream_id, "%s", stream_id);
    sim_audit_request_said(&s->cluster->auditor, c->id, rv_strn(body->data, body->n));
    sim_request(c, m);
}

static void send_next(struct sim_scheduler *s) {
    if (s->calls_busy || !s->queue.n)
        return;
    if (!s->calls)
        s->calls = sim_connect(&s->cluster->network, &s->party, master_of(s), &call_ops, s);
    s->calls_busy = true;
    request(s, s->calls, rv_blob_ref(s->queue.v[0]), s->stream_id);
}

static struct rv_blob *encode(struct sim_scheduler *s, Reeve__V1__Scheduler__Call *call) {
    struct rv_buf out = {0};

    call->has_type = 1;
    if (s->framework_id) {
        call->framework_id = RV_WIRE_MAKE(&s->arena, FrameworkID, framework_id);
        call->framework_id->value = s->framework_id;
    }
    rv_wire_encode(&call->base, s->encoding, &out);
    struct rv_blob *blob = rv_blob_new(out.data, out.n);
    rv_buf_free(&out);
    rv_arena_reset(&s->arena);
    return blob;
}

void sim_scheduler_post(struct sim_scheduler *s, Reeve__V1__Scheduler__Call *call) {
    struct rv_blob *body = encode(s, call);

    if (!s->subscribed) {
        rv_blob_unref(body);
        return;
    }
    rv_vec_push(&s->queue, body);
    send_next(s);
}

/* On a connection of its own, beside the others; with this stream id. */
void sim_scheduler_post_aside(struct sim_scheduler *s, struct rv_blob *body,
                              const char *stream_id) {
    static const struct sim_client ops = {NULL, no_bytes, NULL};
    struct sim_conn *c = sim_connect(&s->cluster->network, &s->party, master_of(s), &ops, s);

    request(s, c, body, stream_id);
    sim_client_close(c);
}

struct rv_blob *sim_scheduler_encode(struct sim_scheduler *s, Reeve__V1__Scheduler__Call *call) {
    return encode(s, call);
}

static struct rv_blob *subscription(struct sim_scheduler *s) {
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Subscribe body = REEVE__V1__SCHEDULER__CALL__SUBSCRIBE__INIT;

    body.framework_info = sim_scheduler_info(s);
    call.type = REEVE__V1__SCHEDULER__CALL__TYPE__SUBSCRIBE;
    call.subscribe = &body;
    return encode(s, &call);
}

static const struct sim_client stream_ops = {on_stream_answer, on_stream_bytes, on_stream_closed};

static void subscribe(void *ctx, uint64_t arg, void *data) {
    struct sim_scheduler *s = ctx;
    (void)arg;
    (void)data;

    s->resubscribing = false;
    if (s->stream || s->torn_down)
        return;
    s->suppressed = false;
    s->last_event_ms = world_of(s)->now_ms;
    s->stream = sim_connect(&s->cluster->network, &s->party, master_of(s), &stream_ops, s);
    request(s, s->stream, subscription(s), s->stream_id);
}

void sim_scheduler_duplicate(struct sim_scheduler *s) {
    if (!s->party.up || !s->subscribed)
        return;
    /* The old stream is left alone: the master is to end it. Nobody here reads it any more. */
    sim_trace(world_of(s), &s->party, "subscribes a second time");
    sim_client_close(s->calls);
    forget_connection(s);
    subscribe(s, 0, NULL);
}

/* --- life --- */

static void on_pulse(void *ctx, uint64_t arg, void *data) {
    struct sim_scheduler *s = ctx;
    struct sim_world *w = world_of(s);
    (void)arg;
    (void)data;

    sim_at(w, &s->party, sim_between(w, 1000, 5000), on_pulse, s, 0, NULL);
    if (s->stream && w->now_ms - s->last_event_ms > 45000) {
        sim_trace(w, &s->party, "no heartbeat: connects again");
        aim(s, NULL);
        disconnected(s);
    } else if (s->subscribed && !s->cluster->draining)
        sim_scheduler_whim(s);
}

void sim_scheduler_start(struct sim_scheduler *s) {
    struct sim_world *w = world_of(s);

    s->party.up = true;
    s->party.life = sim_number(w);
    s->resubscribing = true;
    sim_at(w, &s->party, sim_between(w, 0, 1000), subscribe, s, 0, NULL);
    sim_at(w, &s->party, sim_between(w, 1000, 5000), on_pulse, s, 0, NULL);
}

void sim_scheduler_crash(struct sim_scheduler *s, bool machine) {
    if (!s->party.up)
        return;
    sim_trace(world_of(s), &s->party, "crashes");
    s->party.up = false;
    s->party.life = sim_number(world_of(s));
    sim_network_crash(&s->cluster->network, &s->party, machine);
    forget_connection(s);
    s->resubscribing = false;
}

size_t sim_scheduler_unfinished(const struct sim_scheduler *s) {
    size_t n = 0;

    for (size_t i = 0; i < s->jobs.n; i++) {
        const struct sim_job *job = s->jobs.v[i];
        bool there = false;
        for (size_t k = 0; k < s->cluster->n_agents; k++)
            there = there || (s->cluster->agents[k].core &&
                              rv_streq(s->cluster->agents[k].core->info.id.v, job->agent_id));
        /* Of an agent that is gone for ever, nobody will ever hear more than this. */
        bool lost = job->state == RV_TASK_UNREACHABLE || job->state == RV_TASK_UNKNOWN;
        n += !job->over && (!lost || there);
    }
    return n;
}

void sim_scheduler_init(struct sim_scheduler *s, struct sim_cluster *c, size_t number) {
    static const char *const roles[] = {"*", "prod", "dev", "prod/web", "eng/a/b"};
    struct sim_world *w = &c->world;

    *s = (struct sim_scheduler){.cluster = c, .number = number};
    sim_party_init(w, &s->party, 1 + SIM_AGENTS_MAX + (int)number, "sched%zu", number);
    s->party.up = false;
    rv_arena_init(&s->arena);
    rv_recordio_init(&s->records, 8u << 20);
    if (sim_chance(w, 600))
        s->capabilities |= 1u << RV_FRAMEWORK_PARTITION_AWARE;
    if (sim_chance(w, 500))
        s->capabilities |= 1u << RV_FRAMEWORK_RESERVATION_REFINEMENT;
    if (sim_chance(w, 400))
        s->capabilities |= 1u << RV_FRAMEWORK_TASK_KILLING_STATE;
    if (sim_chance(w, 300))
        s->capabilities |= 1u << RV_FRAMEWORK_GPU_RESOURCES;
    s->n_roles = 1;
    if (sim_chance(w, 600)) {
        s->capabilities |= 1u << RV_FRAMEWORK_MULTI_ROLE;
        s->n_roles = (size_t)sim_between(w, 1, 2);
    }
    size_t first = sim_below(w, RV_COUNT(roles));
    for (size_t i = 0; i < s->n_roles; i++)
        s->roles[i] = rv_strdup(roles[(first + i) % RV_COUNT(roles)]);
    s->checkpoint = sim_chance(w, 650);
    s->failover_timeout_s = sim_chance(w, 750) ? (double)sim_between(w, 60, 600) : 0;
    s->encoding = sim_chance(w, 500) ? RV_ENC_JSON : RV_ENC_PROTOBUF;
    s->think_ms = sim_chance(w, 300) ? 20000 : 500;
    s->accepts = (unsigned)sim_between(w, 300, 1000);
    s->holds = sim_chance(w, 200) ? 500 : 0;
    s->max_tasks = (size_t)sim_between(w, 5, 60);
    s->custom_executor = sim_chance(w, 400);
    sim_trace(w, &s->party, "capabilities %x, checkpoint %d, failover %.0f s, roles %s %s",
              s->capabilities, s->checkpoint, s->failover_timeout_s, s->roles[0],
              s->n_roles > 1 ? s->roles[1] : "");
}

void sim_scheduler_free(struct sim_scheduler *s) {
    for (size_t i = 0; i < s->queue.n; i++)
        rv_blob_unref(s->queue.v[i]);
    rv_vec_free(&s->queue);
    drop_offers(s);
    rv_vec_free(&s->offers);
    for (size_t i = 0; i < s->jobs.n; i++) {
        free(s->jobs.v[i]->id);
        free(s->jobs.v[i]->agent_id);
        free(s->jobs.v[i]->executor_id);
        free(s->jobs.v[i]);
    }
    rv_vec_free(&s->jobs);
    sim_scheduler_operations_free(s);
    for (size_t i = 0; i < s->n_roles; i++)
        free(s->roles[i]);
    free(s->framework_id);
    rv_recordio_free(&s->records);
    rv_arena_free(&s->arena);
}
