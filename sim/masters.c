/* The master's shell: see masters.h. */
#include "masters.h"

#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"
#include "wire/channel_codec.h"
#include "wire/convert.h"
#include "wire/recordio.h"
#include "wire/scheduler_codec.h"

static struct rv_str key_of(const uint64_t *number) {
    return rv_strn(number, sizeof *number);
}

/* --- effects --- */

static void open_stream(struct sim_master *m, const struct rv_master_effect *e) {
    struct sim_conn *c = rv_map_remove(&m->requests, key_of(&e->request));

    sim_audit_request_answered(&m->cluster->auditor, e->request);
    sim_audit_opened(&m->cluster->auditor, e->stream, e->stream_id);
    if (!c || !c->server_open) { /* it went while the request waited */
        rv_vec_push(&m->closed, e->stream);
        return;
    }
    c->stream = e->stream;
    rv_map_put(&m->streams, key_of(&e->stream), c);
    sim_stream(c, e->stream_id);
}

static void reply(struct sim_master *m, const struct rv_master_effect *e) {
    sim_audit_reply(&m->cluster->auditor, e->request, e->status);
    if (m->batch_request && e->request == m->batch_request) {
        m->batch_status = RV_MAX(m->batch_status, e->status);
        return;
    }
    struct sim_conn *c = rv_map_remove(&m->requests, key_of(&e->request));
    if (c)
        sim_answer(c, e->status, e->message);
}

static void send_encoded(struct sim_master *m, struct sim_conn *c) {
    sim_audit_link_sent(&m->cluster->auditor, c->stream, rv_buf_str(&m->encoded));
    if (!sim_record(c, rv_buf_str(&m->encoded))) {
        rv_map_remove(&m->streams, key_of(&c->stream));
        rv_vec_push(&m->closed, c->stream);
    }
    rv_buf_clear(&m->encoded);
    rv_arena_reset(&m->scratch);
}

/* --- effects --- */

static void on_start(void *ctx, uint64_t arg, void *data) {
    (void)arg;
    (void)data;
    sim_master_start(ctx);
}

/* The process ends when the step is over, and is started again. */
static void on_stop(void *ctx, uint64_t arg, void *data) {
    struct sim_master *m = ctx;
    struct sim_world *w = &m->cluster->world;
    (void)arg;
    (void)data;

    sim_master_crash(m, false);
    sim_at(w, NULL, sim_between(w, 10, 20000), on_start, m, 0, NULL);
}

/* What is shared counts when it is sent to ZooKeeper. */
static void write_registry(struct sim_master *m, const struct rv_registry_op *op) {
    struct sim_world *w = &m->cluster->world;
    uint64_t number =
        m->shared
            ? 0
            : sim_write(w, op->kind == RV_REGISTRY_PUT_QUOTAS ? "registry, quotas" : "registry");

    if (sim_crashes(w, number, SIM_BEFORE)) {
        m->dying = true;
        return;
    }
    sim_audit_registry_asked(&m->cluster->auditor, op);
    if (m->shared)
        sim_master_write(m, op);
    else
        sim_registry_put(&m->registry, op, number);
}

static void execute(struct sim_master *m, const struct rv_master_effect *e) {
    struct sim_auditor *auditor = &m->cluster->auditor;
    struct sim_conn *c = e->stream ? rv_map_get(&m->streams, key_of(&e->stream)) : NULL;

    switch (e->kind) {
    case RV_MASTER_REPLY:
        reply(m, e);
        return;
    case RV_MASTER_OPEN_STREAM:
        open_stream(m, e);
        return;
    case RV_MASTER_SEND_SCHEDULER:
        sim_audit_to_scheduler(auditor, e->stream, e->scheduler);
        if (!c)
            return;
        rv_wire_scheduler_event_encode(e->scheduler, c->accept, &m->scratch, &m->encoded);
        send_encoded(m, c);
        return;
    case RV_MASTER_SEND_AGENT:
        sim_audit_to_agent(auditor, e->stream, e->agent);
        if (!c)
            return;
        rv_wire_agent_event_encode(e->agent, c->accept, &m->scratch, &m->encoded);
        send_encoded(m, c);
        return;
    case RV_MASTER_SEND_OPERATOR:
        return;
    case RV_MASTER_CLOSE_STREAM:
        sim_audit_closed(auditor, e->stream);
        if (c) {
            rv_map_remove(&m->streams, key_of(&e->stream));
            sim_server_close(c);
        }
        return;
    case RV_MASTER_REGISTRY:
        write_registry(m, e->registry);
        return;
    case RV_MASTER_LOG:
        sim_trace(&m->cluster->world, &m->server.party, "log: %s", e->message);
        return;
    case RV_MASTER_STOP:
        sim_trace(&m->cluster->world, &m->server.party, "stops: %s", e->message);
        sim_audit_master_stops(auditor);
        sim_at(&m->cluster->world, &m->server.party, 0, on_stop, m, 0, NULL);
        return;
    case RV_MASTER_EFFECT_MAX:
        break;
    }
    RV_UNREACHABLE();
}

/* --- steps --- */

static void on_tick(void *ctx, uint64_t arg, void *data);

static void arm(struct sim_master *m) {
    struct sim_world *w = &m->cluster->world;
    int64_t deadline = rv_master_deadline(m->core);

    if (deadline >= m->tick_at_ms)
        return;
    m->tick_at_ms = RV_MAX(deadline, w->now_ms);
    sim_at(w, &m->server.party, m->tick_at_ms - w->now_ms, on_tick, m, (uint64_t)m->tick_at_ms,
           NULL);
}

static void step_one(struct sim_master *m, struct rv_master_event *event) {
    struct sim_world *w = &m->cluster->world;

    event->now_ms = w->now_ms;
    event->wall_ns = sim_wall_ns(w, &m->server.party);
    rv_master_step(m->core, event, &m->effects);
    for (size_t i = 0; i < m->effects.n && !m->dying; i++)
        execute(m, &m->effects.v[i]);
    rv_effects_clear(&m->effects);
    if (++m->steps % m->cluster->check_every == 0) {
        const char *problem = rv_master_check(m->core);
        if (problem)
            sim_fail(w, "the master's own check: %s", problem);
    }
}

/* At a crash point. */
static void die(void *ctx) {
    struct sim_master *m = ctx;
    struct sim_world *w = &m->cluster->world;

    sim_master_crash(m, false);
    sim_at_any(w, NULL, sim_between(w, 10, 5000), on_start, m, 0, NULL);
}

static void on_die(void *ctx, uint64_t arg, void *data) {
    (void)arg;
    (void)data;
    die(ctx);
}

void sim_master_die(struct sim_master *m) {
    if (m->dying)
        return;
    m->dying = true;
    sim_at(&m->cluster->world, &m->server.party, 0, on_die, m, 0, NULL);
}

bool sim_master_leads(const struct sim_master *m) {
    return m->core && (!m->elector.election || rv_election_holds(m->elector.election));
}

/* Requests that wait are answered when leadership is taken down, which follows at once. */
void sim_master_step(struct sim_master *m, struct rv_master_event *event) {
    if (m->dying)
        return;
    if (!sim_master_leads(m)) {
        m->batch_status = 503;
        return;
    }
    sim_audit_master_acts(&m->cluster->auditor, m);
    sim_audit_asked(&m->cluster->auditor, event->request);
    step_one(m, event);
    while (m->closed.n && !m->dying) {
        struct rv_master_event closed = {.kind = RV_MASTER_STREAM_CLOSED, .stream = m->closed.v[0]};
        rv_vec_remove_at(&m->closed, 0);
        sim_audit_closed(&m->cluster->auditor, closed.stream);
        step_one(m, &closed);
    }
    if (m->dying) { /* whoever called may not be done with the core */
        sim_at(&m->cluster->world, &m->server.party, 0, on_die, m, 0, NULL);
        return;
    }
    sim_audit_master_stepped(&m->cluster->auditor);
    arm(m);
}

static void on_tick(void *ctx, uint64_t arg, void *data) {
    struct sim_master *m = ctx;
    (void)data;

    if ((int64_t)arg != m->tick_at_ms)
        return;
    m->tick_at_ms = INT64_MAX;
    sim_master_step(m, &(struct rv_master_event){.kind = RV_MASTER_TICK});
}

static void on_registry(void *ctx, const struct rv_registry_op *op, bool ok) {
    struct sim_master *m = ctx;
    struct rv_master_event event = {.kind = RV_MASTER_REGISTRY_DONE};

    sim_trace(&m->cluster->world, &m->server.party, "registry %d of %s%s: %s", (int)op->kind,
              op->agent_id.v ? op->agent_id.v : "", op->framework_id.v ? op->framework_id.v : "",
              ok ? "written" : "failed");
    sim_audit_registry(&m->cluster->auditor, op, ok);
    event.registry.seq = op->seq;
    event.registry.ok = ok;
    sim_master_step(m, &event);
}

void sim_master_operate(struct sim_master *m, const struct rv_operator_call *call) {
    if (m->core)
        sim_master_step(m, &(struct rv_master_event){.kind = RV_MASTER_OPERATOR_CALL,
                                                     .request = sim_number(&m->cluster->world),
                                                     .operator_ = call});
}

/* --- requests --- */

static void refuse(struct sim_conn *c, const struct rv_error *err) {
    sim_answer(c,
               err->code == RV_ERR_LIMIT         ? 413
               : err->code == RV_ERR_UNSUPPORTED ? 501
                                                 : 400,
               err->message);
}

static struct rv_str body_of(const struct sim_message *msg) {
    return msg->body ? rv_strn(msg->body->data, msg->body->n) : rv_str("");
}

static void scheduler_request(struct sim_master *m, struct sim_conn *c,
                              const struct sim_message *msg) {
    struct sim_world *w = &m->cluster->world;
    struct rv_scheduler_call call;
    struct rv_error err;

    if (rv_wire_scheduler_call_decode(msg->content, body_of(msg), NULL, &m->arena, &call, &err)) {
        sim_trace(w, &m->server.party, "%s: bad call: %s", c->client->name, err.message);
        refuse(c, &err);
        return;
    }
    bool subscribe = call.type == RV_CALL_SUBSCRIBE;
    struct rv_master_event event = {.kind = RV_MASTER_SCHEDULER_CALL,
                                    .request = c->request,
                                    .stream = subscribe ? sim_number(w) : 0,
                                    .stream_id = *msg->stream_id ? msg->stream_id : NULL,
                                    .scheduler = &call};
    rv_map_put(&m->requests, key_of(&c->request), c);
    sim_audit_scheduler_call(&m->cluster->auditor, c->request, event.stream, msg->stream_id, &call);
    sim_master_step(m, &event);
    m->cluster->auditor.stale_call = false;
    rv_wire_scheduler_call_release(&call);
}

static int agent_call(struct sim_master *m, struct sim_conn *c, const char *stream_id,
                      struct rv_str body, struct rv_error *err) {
    struct sim_world *w = &m->cluster->world;
    struct rv_agent_call call;
    int r = rv_wire_agent_call_decode(RV_ENC_PROTOBUF, body, NULL, &m->arena, &call, err);

    if (r) {
        sim_fail(w, "INV-49: the master cannot read a call of %s: %s", c->client->name,
                 err->message);
        return r;
    }
    bool opens = call.type == RV_AGENT_CALL_REGISTER || call.type == RV_AGENT_CALL_REREGISTER;
    struct rv_master_event event = {.kind = RV_MASTER_AGENT_CALL,
                                    .request = c->request,
                                    .stream = opens ? sim_number(w) : 0,
                                    .stream_id = opens || !*stream_id ? NULL : stream_id,
                                    .agent = &call};
    if (!opens)
        sim_audit_link_read(&m->cluster->auditor, stream_id, &call, body);
    sim_audit_agent_call(&m->cluster->auditor, event.stream, &call);
    sim_master_step(m, &event);
    m->cluster->auditor.stale_call = false;
    rv_wire_agent_call_release(&call);
    return 0;
}

struct batch {
    struct sim_master *master;
    struct sim_conn *conn;
    const char *stream_id;
    struct rv_error err;
};

static int batched(void *ctx, struct rv_str record) {
    struct batch *b = ctx;

    if (agent_call(b->master, b->conn, b->stream_id, record, &b->err))
        return 1;
    return b->master->batch_status >= 300;
}

static void agent_request(struct sim_master *m, struct sim_conn *c, const struct sim_message *msg) {
    struct batch b = {.master = m, .conn = c, .stream_id = msg->stream_id};
    struct rv_recordio records;

    if (!msg->recordio) {
        rv_map_put(&m->requests, key_of(&c->request), c);
        if (agent_call(m, c, msg->stream_id, body_of(msg), &b.err))
            refuse(c, &b.err);
        return;
    }
    m->batch_request = c->request;
    m->batch_status = 202;
    rv_recordio_init(&records, 8u << 20);
    int r = rv_recordio_feed(&records, body_of(msg), batched, &b, &b.err);
    rv_recordio_free(&records);
    m->batch_request = 0;
    sim_answer(c, m->batch_status >= 300 ? m->batch_status : r ? 400 : 202, NULL);
}

/* INV-2: who does not lead sends to who does, or says that nobody is known to. */
static void standby_answer(struct sim_master *m, struct sim_conn *c) {
    char leader[16];

    snprintf(leader, sizeof leader, "%d", m->leader);
    if (m->leader < 0 || (size_t)m->leader == m->number)
        sim_answer(c, 503, NULL);
    else
        sim_answer(c, 307, leader);
}

static void on_request(void *ctx, struct sim_conn *c, const struct sim_message *msg) {
    struct sim_master *m = ctx;

    if (msg->api == SIM_SCHEDULER_API)
        sim_audit_request_read(&m->cluster->auditor, c->id, body_of(msg));
    if (!sim_master_leads(m)) {
        standby_answer(m, c);
        return;
    }
    if (msg->api == SIM_SCHEDULER_API)
        scheduler_request(m, c, msg);
    else
        agent_request(m, c, msg);
    rv_arena_reset(&m->arena);
}

static void on_closed(void *ctx, struct sim_conn *c) {
    struct sim_master *m = ctx;

    rv_map_remove(&m->requests, key_of(&c->request));
    if (!c->stream)
        return;
    rv_map_remove(&m->streams, key_of(&c->stream));
    sim_audit_closed(&m->cluster->auditor, c->stream);
    sim_master_step(
        m, &(struct rv_master_event){.kind = RV_MASTER_STREAM_CLOSED, .stream = c->stream});
}

/* --- life --- */

static void configure(struct sim_master *m) {
    struct sim_world *w = &m->cluster->world;

    m->config = (struct rv_master_config){
        .hostname = "master",
        .ip = "10.0.0.1",
        .port = 5050,
        .offer_timeout_ms = sim_chance(w, 500) ? sim_between(w, 5000, 60000) : 0,
        .agent_ping_ms = sim_chance(w, 500) ? sim_between(w, 1000, 8000) : 0,
        .max_agent_ping_timeouts = (unsigned)sim_between(w, 2, 5),
        .agent_reregister_ms = sim_chance(w, 700) ? sim_between(w, 20000, 120000) : 0,
        .max_completed_tasks = sim_chance(w, 300) ? (size_t)sim_between(w, 1, 5) : 0,
        .max_unreachable_tasks = sim_chance(w, 300) ? (size_t)sim_between(w, 1, 5) : 0,
        .max_statuses = sim_chance(w, 300) ? (size_t)sim_between(w, 1, 3) : 0,
        .max_offers_per_event = sim_chance(w, 300) ? 1 : 0,
        .reconcile_slice = SIM_RECONCILE_SLICE(w),
        .agent_removal_interval_ms = sim_chance(w, 300) ? sim_between(w, 1000, 60000) : 0,
        .recovery_agents_percent = sim_chance(w, 200) ? (double)sim_between(w, 10, 100) : 0,
        .max_absent_agents = sim_chance(w, 300) ? (size_t)sim_between(w, 1, 3) : 0,
        .absent_age_ms = sim_chance(w, 300) ? sim_between(w, 1000, 100000) : 0,
        .gc_interval_ms = sim_chance(w, 700) ? sim_between(w, 1000, 100000) : 0,
    };
}

void sim_master_init(struct sim_master *m, struct sim_cluster *c, size_t number) {
    *m = (struct sim_master){.cluster = c, .number = number, .leader = -1, .tick_at_ms = INT64_MAX};
    sim_party_init(&c->world, &m->server.party, number ? SIM_MASTER_NODE + (int)number : 0,
                   c->has_zk ? "master%zu" : "master", number);
    m->server.party.up = false;
    m->server.ctx = m;
    m->server.on_request = on_request;
    m->server.on_closed = on_closed;
    rv_arena_init(&m->arena);
    rv_arena_init(&m->scratch);
    sim_registry_init(&m->registry, &c->world, &m->server.party, on_registry, die, m);
    if (number)
        m->config = c->masters[0].config;
    else
        configure(m);
    m->config.port = (uint16_t)(SIM_MASTER_PORT + number);
}

void sim_master_new_id(struct sim_master *m) {
    uint8_t uuid[16];

    rv_prng_uuid(&m->cluster->world.prng, uuid);
    rv_uuid_format(uuid, m->id);
    rv_blob_unref(m->info);
    m->info = rv_wire_master_info_pack(m->id, "master", "10.0.0.1", m->config.port, "1.12.0", NULL);
}

void sim_master_lead(struct sim_master *m, const struct rv_registry_snapshot *registry) {
    struct sim_world *w = &m->cluster->world;

    m->config.id = m->id;
    m->config.seed = rv_prng_next(&w->prng);
    m->config.master_info = m->info;
    m->tick_at_ms = INT64_MAX;
    sim_audit_master_started(&m->cluster->auditor, m, registry);
    m->core = rv_master_new(&m->config, registry, w->now_ms, sim_wall_ns(w, &m->server.party));
    sim_trace(w, &m->server.party, "leads as %s with %zu agents, %zu frameworks", m->id,
              registry->n_agents, registry->n_frameworks);
    arm(m);
}

void sim_master_start(struct sim_master *m) {
    struct sim_world *w = &m->cluster->world;

    if (m->server.party.up)
        return;
    m->dying = false;
    m->leader = -1;
    m->server.party.up = true;
    m->server.party.life = sim_number(w);
    sim_trace(w, &m->server.party, "starts");
    if (m->cluster->has_zk) {
        sim_master_election_start(m);
        return;
    }
    sim_master_new_id(m);
    struct rv_registry_loaded *loaded = sim_content_load(&m->registry.content);
    sim_master_lead(m, rv_registry_snapshot(loaded));
    rv_registry_snapshot_free(loaded);
}

void sim_master_drop(struct sim_master *m) {
    void *op;

    for (size_t it = 0; rv_map_next(&m->asked, &it, NULL, &op);)
        sim_op_free(op);
    rv_map_clear(&m->asked);
    if (!m->core)
        return;
    m->core = rv_master_free(m->core);
    rv_effects_clear(&m->effects);
    rv_map_clear(&m->requests);
    rv_map_clear(&m->streams);
    m->closed.n = 0;
    m->tick_at_ms = INT64_MAX;
    sim_audit_master_ended(&m->cluster->auditor, m);
}

void sim_master_crash(struct sim_master *m, bool machine) {
    if (!m->server.party.up)
        return;
    sim_trace(&m->cluster->world, &m->server.party, "crashes");
    m->server.party.up = false;
    m->server.party.life = sim_number(&m->cluster->world);
    sim_master_election_crash(m);
    sim_master_drop(m);
    sim_network_crash(&m->cluster->network, &m->server.party, machine);
    sim_registry_crash(&m->registry);
}

void sim_master_stop(struct sim_master *m) {
    sim_trace(&m->cluster->world, &m->server.party, "is stopped");
    if (m->cluster->has_zk)
        sim_master_election_stop(m);
    sim_master_crash(m, false);
}

void sim_master_free(struct sim_master *m) {
    sim_master_election_crash(m);
    sim_master_drop(m);
    rv_effects_free(&m->effects);
    sim_registry_free(&m->registry);
    rv_blob_unref(m->info);
    rv_map_free(&m->requests);
    rv_map_free(&m->streams);
    rv_map_free(&m->asked);
    rv_vec_free(&m->closed);
    rv_arena_free(&m->arena);
    rv_arena_free(&m->scratch);
    rv_buf_free(&m->encoded);
}
