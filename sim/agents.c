/* The agent's shell: see agents.h. */
#include "agents.h"

#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"
#include "other_flags.h"
#include "wire/channel_codec.h"
#include "wire/executor_codec.h"

static struct rv_str key_of(const uint64_t *number) {
    return rv_strn(number, sizeof *number);
}

static struct sim_world *world_of(const struct sim_agent *a) {
    return &a->cluster->world;
}

/* --- the link to the master --- */

/* What a master that was given up has sent may be there already: the core is to ignore it. */
static void keep_late(struct sim_agent *a) {
    sim_client_close(a->late);
    a->late = a->stream;
    rv_recordio_free(&a->late_records);
    a->late_records = a->records;
    rv_recordio_init(&a->records, 8u << 20);
}

static void link_disconnect(struct sim_agent *a) {
    if (a->stream && sim_fault(world_of(a), world_of(a)->faults.stale_master))
        keep_late(a);
    else
        sim_client_close(a->stream);
    sim_client_close(a->post);
    a->stream = a->post = NULL;
    a->posting = false;
    a->stream_id[0] = 0;
    for (size_t i = 0; i < a->queue.n; i++)
        rv_blob_unref(a->queue.v[i]);
    a->queue.n = 0;
    rv_recordio_free(&a->records);
    rv_recordio_init(&a->records, 8u << 20);
}

static int master_record(void *ctx, struct rv_str record) {
    struct sim_agent *a = ctx;
    const struct sim_conn *before = a->stream;
    struct rv_agent_event event;
    struct rv_arena arena;
    struct rv_error err;

    rv_arena_init(&arena);
    if (rv_wire_agent_event_decode(RV_ENC_PROTOBUF, record, NULL, &arena, &event, &err))
        sim_fail(world_of(a), "INV-49: %s cannot read an event: %s", a->server.party.name,
                 err.message);
    else {
        struct rv_agent_input in = {.kind = RV_AGENT_MASTER_EVENT, .master = &event};
        sim_audit_link_heard(&a->cluster->auditor, a, a->stream->stream, record);
        sim_audit_agent_heard(&a->cluster->auditor, a, &event);
        sim_agent_input(a, &in);
        rv_wire_agent_event_release(&event);
    }
    rv_arena_free(&arena);
    return a->stream != before || !a->core;
}

/* Only while no other master is known: then the shell does not listen to this one any more. */
static int late_record(void *ctx, struct rv_str record) {
    struct sim_agent *a = ctx;
    struct rv_agent_event event;
    struct rv_arena arena;
    struct rv_error err;

    if (!a->core || a->leader >= 0)
        return 1;
    rv_arena_init(&arena);
    if (!rv_wire_agent_event_decode(RV_ENC_PROTOBUF, record, NULL, &arena, &event, &err)) {
        uint64_t did = world_of(a)->n_writes + a->containers.n + a->queue.n;
        enum rv_agent_link link = a->core->link;
        sim_agent_input(a,
                        &(struct rv_agent_input){.kind = RV_AGENT_MASTER_EVENT, .master = &event});
        if (!a->core || did != world_of(a)->n_writes + a->containers.n + a->queue.n ||
            link != a->core->link)
            sim_fail(world_of(a), "INV-3: %s, which knows no leader, does what a master says: %d",
                     a->server.party.name, (int)event.type);
        a->cluster->auditor.checks++;
        rv_wire_agent_event_release(&event);
    }
    rv_arena_free(&arena);
    return !a->core;
}

static void on_stream_answer(void *ctx, struct sim_conn *c, const struct sim_message *m) {
    struct sim_agent *a = ctx;
    struct rv_agent_input in = {.kind = RV_AGENT_MASTER_REFUSED, .status = m->status};

    if (c != a->stream)
        return;
    if (m->stream) {
        memcpy(a->stream_id, m->stream_id, sizeof a->stream_id);
        return;
    }
    sim_trace(world_of(a), &a->server.party, "registration refused: %d %.*s", m->status,
              m->body ? (int)m->body->n : 0, m->body ? (const char *)m->body->data : "");
    sim_client_close(c);
    a->stream = NULL;
    sim_agent_input(a, &in);
}

static void on_stream_bytes(void *ctx, struct sim_conn *c, struct rv_str bytes) {
    struct sim_agent *a = ctx;
    struct rv_recordio records = a->records;
    struct rv_error err;

    if (c == a->late && rv_recordio_feed(&a->late_records, bytes, late_record, a, &err)) {
        sim_client_close(a->late);
        a->late = NULL;
    }
    if (c != a->stream)
        return;
    /* The reader may be replaced by an event that is in these bytes. */
    rv_recordio_init(&a->records, 8u << 20);
    int r = rv_recordio_feed(&records, bytes, master_record, a, &err);
    if (r < 0)
        sim_fail(world_of(a), "INV-49: %s: damaged stream: %s", a->server.party.name, err.message);
    if (a->stream == c && a->core) {
        rv_recordio_free(&a->records);
        a->records = records;
    } else
        rv_recordio_free(&records);
}

static void lost(struct sim_agent *a) {
    link_disconnect(a);
    sim_agent_input(a, &(struct rv_agent_input){.kind = RV_AGENT_MASTER_LOST});
}

static void on_link_closed(void *ctx, struct sim_conn *c) {
    struct sim_agent *a = ctx;

    if (c == a->stream) {
        a->stream = NULL;
        sim_agent_input(a, &(struct rv_agent_input){.kind = RV_AGENT_MASTER_LOST});
    } else if (c == a->post) {
        if (a->posting)
            lost(a);
        else
            a->post = NULL;
    }
}

static void post_next(struct sim_agent *a);

static void on_post_answer(void *ctx, struct sim_conn *c, const struct sim_message *m) {
    struct sim_agent *a = ctx;
    struct rv_agent_input in = {.kind = RV_AGENT_MASTER_REFUSED, .status = m->status};

    if (c != a->post)
        return;
    a->posting = false;
    if (m->status == 202) {
        post_next(a);
        return;
    }
    sim_trace(world_of(a), &a->server.party, "call refused: %d", m->status);
    for (size_t i = 0; i < a->queue.n; i++)
        rv_blob_unref(a->queue.v[i]);
    a->queue.n = 0;
    sim_agent_input(a, &in);
}

static void no_bytes(void *ctx, struct sim_conn *conn, struct rv_str bytes) {
    (void)ctx;
    (void)conn;
    (void)bytes;
}

static void on_post_timeout(void *ctx, uint64_t arg, void *data) {
    struct sim_agent *a = ctx;
    (void)data;

    if (a->posting && a->posts == arg)
        lost(a);
}

static void post_next(struct sim_agent *a) {
    static const struct sim_client ops = {on_post_answer, no_bytes, on_link_closed};
    struct rv_buf body = {0};

    if (a->posting || !a->queue.n || a->leader < 0)
        return;
    for (size_t i = 0; i < a->queue.n; i++) {
        rv_recordio_put(&body, rv_strn(a->queue.v[i]->data, a->queue.v[i]->n));
        rv_blob_unref(a->queue.v[i]);
    }
    a->queue.n = 0;
    if (!a->post)
        a->post = sim_connect(&a->cluster->network, &a->server.party,
                              &a->cluster->masters[a->leader].server, &ops, a);
    a->posting = true;
    struct sim_message m = {.api = SIM_AGENT_API,
                            .recordio = true,
                            .content = RV_ENC_PROTOBUF,
                            .accept = RV_ENC_PROTOBUF,
                            .body = rv_blob_new(body.data, body.n)};
    memcpy(m.stream_id, a->stream_id, sizeof m.stream_id);
    sim_request(a->post, m);
    rv_buf_free(&body);
    sim_at(world_of(a), &a->server.party, 30000, on_post_timeout, a, ++a->posts, NULL);
}

static void link_send(struct sim_agent *a, const struct rv_agent_call *call) {
    rv_wire_agent_call_encode(call, RV_ENC_PROTOBUF, &a->scratch, &a->encoded);
    rv_vec_push(&a->queue, rv_blob_new(a->encoded.data, a->encoded.n));
    sim_audit_link_said(&a->cluster->auditor, a->stream_id, rv_buf_str(&a->encoded));
    rv_buf_clear(&a->encoded);
    rv_arena_reset(&a->scratch);
    post_next(a);
}

static void link_register(struct sim_agent *a, const struct rv_agent_call *call) {
    static const struct sim_client ops = {on_stream_answer, on_stream_bytes, on_link_closed};

    link_disconnect(a);
    if (a->leader < 0)
        return;
    rv_wire_agent_call_encode(call, RV_ENC_PROTOBUF, &a->scratch, &a->encoded);
    a->stream = sim_connect(&a->cluster->network, &a->server.party,
                            &a->cluster->masters[a->leader].server, &ops, a);
    sim_request(a->stream,
                (struct sim_message){.api = SIM_AGENT_API,
                                     .content = RV_ENC_PROTOBUF,
                                     .accept = RV_ENC_PROTOBUF,
                                     .body = rv_blob_new(a->encoded.data, a->encoded.n)});
    rv_buf_clear(&a->encoded);
    rv_arena_reset(&a->scratch);
}

/* --- effects --- */

static void send_executor(struct sim_agent *a, const struct rv_agent_effect *e) {
    struct sim_conn *c = rv_map_get(&a->streams, key_of(&e->stream));

    if (!c)
        return;
    sim_audit_alone_tells(&a->cluster->auditor, a, c, e->executor);
    rv_wire_executor_event_encode(e->executor, c->accept, &a->scratch, &a->encoded);
    sim_record(c, rv_buf_str(&a->encoded));
    rv_buf_clear(&a->encoded);
    rv_arena_reset(&a->scratch);
}

static void on_stream_gone(void *ctx, uint64_t arg, void *data) {
    (void)data;
    sim_agent_input(ctx, &(struct rv_agent_input){.kind = RV_AGENT_STREAM_CLOSED, .stream = arg});
}

static void open_stream(struct sim_agent *a, const struct rv_agent_effect *e) {
    struct sim_conn *c = rv_map_remove(&a->requests, key_of(&e->request));

    if (!c || !c->server_open) {
        sim_at(world_of(a), &a->server.party, 0, on_stream_gone, a, e->stream, NULL);
        return;
    }
    c->stream = e->stream;
    rv_map_put(&a->streams, key_of(&e->stream), c);
    sim_stream(c, NULL);
}

static bool is_at_or_below(const char *path, const char *directory) {
    size_t n = strlen(directory);

    return rv_starts_with(path, directory) && (path[n] == '/' || path[n] == '\0');
}

void sim_sandbox_make(struct sim_agent *a, const char *path) {
    struct rv_agent_sandbox s = {rv_strdup(path), sim_wall_ns(world_of(a), &a->server.party)};

    rv_vec_push(&a->sandboxes, s);
}

/* Whatever lies in there goes; that must not be the sandbox of a container that runs. */
static void remove_sandboxes(struct sim_agent *a, const char *path) {
    sim_trace(world_of(a), &a->server.party, "removes %s", path);
    for (size_t i = 0; i < a->containers.n; i++) {
        const struct sim_container *c = a->containers.v[i];
        if (c->alive && !c->doomed && is_at_or_below(c->directory, path))
            sim_fail(world_of(a), "%s removes %s under container %s", a->server.party.name, path,
                     c->id);
    }
    for (size_t i = a->sandboxes.n; i-- > 0;) {
        if (!is_at_or_below(a->sandboxes.v[i].path, path))
            continue;
        free((char *)(uintptr_t)a->sandboxes.v[i].path);
        rv_vec_remove_at(&a->sandboxes, i);
    }
}

static void use_volumes(struct sim_agent *a, const struct rv_launch *l) {
    struct rv_buf path = {0};

    for (size_t i = 0; i < l->resources->n; i++) {
        if (!rv_kind_is_volume(l->resources->v[i].kind))
            continue;
        rv_buf_clear(&path);
        rv_volume_directory(a->config.work_dir, l->resources->v[i].kind, &path);
        sim_audit_volume_used(&a->cluster->auditor, a, l->resources->v[i].kind, path.data);
    }
    rv_buf_free(&path);
}

static void execute(struct sim_agent *a, const struct rv_agent_effect *e) {
    struct sim_conn *c;
    uint64_t number;

    switch (e->kind) {
    case RV_AGENT_REPLY:
        c = rv_map_remove(&a->requests, key_of(&e->request));
        if (c)
            sim_answer(c, e->status, e->message);
        return;
    case RV_AGENT_OPEN_STREAM:
        open_stream(a, e);
        return;
    case RV_AGENT_SEND_EXECUTOR:
        send_executor(a, e);
        return;
    case RV_AGENT_CLOSE_STREAM:
        c = rv_map_remove(&a->streams, key_of(&e->stream));
        if (c)
            sim_server_close(c);
        return;
    case RV_AGENT_REGISTER:
        sim_audit_agent_registers(&a->cluster->auditor, a, e->call);
        sim_audit_link_tries(&a->cluster->auditor, a);
        link_register(a, e->call);
        return;
    case RV_AGENT_SEND_MASTER:
        sim_audit_agent_says(&a->cluster->auditor, a, e->call);
        link_send(a, e->call);
        return;
    case RV_AGENT_DISCONNECT_MASTER:
        sim_audit_link_ended(&a->cluster->auditor, a);
        link_disconnect(a);
        return;
    case RV_AGENT_LAUNCH_CONTAINER:
        use_volumes(a, e->launch);
        sim_container_launch(a, e->launch);
        return;
    case RV_AGENT_DESTROY_CONTAINER:
        sim_audit_agent_destroys(&a->cluster->auditor, a, e->container.v);
        sim_container_destroy(a, e->container.v);
        return;
    case RV_AGENT_CHECKPOINT:
        number = sim_write(world_of(a), "checkpoint");
        if (sim_crashes(world_of(a), number, SIM_BEFORE))
            a->dying = true;
        else
            sim_journal_write(&a->journal, e->checkpoint, number);
        return;
    case RV_AGENT_UPDATE_CONTAINER:
        use_volumes(a, e->launch);
        return;
    case RV_AGENT_REMOVE_VOLUME:
        sim_audit_volume_removed(&a->cluster->auditor, a, e->path);
        return;
    case RV_AGENT_REMOVE_DIRECTORY:
        remove_sandboxes(a, e->path);
        return;
    case RV_AGENT_LOG:
        sim_trace(world_of(a), &a->server.party, "log: %s", e->message);
        return;
    case RV_AGENT_EXIT:
        sim_trace(world_of(a), &a->server.party, "ends with %d: %s", e->status,
                  e->message ? e->message : "");
        a->exiting = true;
        a->exit_status = e->status;
        return;
    case RV_AGENT_EFFECT_MAX:
        break;
    }
    RV_UNREACHABLE();
}

/* --- steps --- */

static void on_tick(void *ctx, uint64_t arg, void *data);

static void arm(struct sim_agent *a) {
    struct sim_world *w = world_of(a);
    int64_t deadline = rv_agent_deadline(a->core);

    if (deadline >= a->tick_at_ms)
        return;
    a->tick_at_ms = RV_MAX(deadline, w->now_ms);
    sim_at(w, &a->server.party, a->tick_at_ms - w->now_ms, on_tick, a, (uint64_t)a->tick_at_ms,
           NULL);
}

static void on_restart(void *ctx, uint64_t arg, void *data) {
    (void)arg;
    (void)data;
    sim_agent_start(ctx);
}

/* At a crash point, or by itself; an operator starts it again. */
static void die(void *ctx) {
    struct sim_agent *a = ctx;

    sim_agent_crash(a, false);
    sim_at_any(world_of(a), NULL, sim_between(world_of(a), 100, 10000), on_restart, a, 0, NULL);
}

static void finish(struct sim_agent *a) {
    for (size_t i = 0; i < a->effects.n && !a->exiting && !a->dying; i++)
        execute(a, &a->effects.v[i]);
    rv_agent_effects_clear(&a->effects);
    if (a->exiting || a->dying) {
        die(a);
        return;
    }
    if (++a->steps % a->cluster->check_every == 0) {
        const char *problem = rv_agent_check(a->core);
        if (problem)
            sim_fail(world_of(a), "the check of %s: %s", a->server.party.name, problem);
    }
    arm(a);
}

void sim_agent_input(struct sim_agent *a, struct rv_agent_input *in) {
    if (!a->core)
        return;
    sim_audit_link_input(&a->cluster->auditor, a, in);
    in->now_ms = world_of(a)->now_ms;
    in->wall_ns = sim_wall_ns(world_of(a), &a->server.party);
    rv_agent_step(a->core, in, &a->effects);
    finish(a);
}

static void on_tick(void *ctx, uint64_t arg, void *data) {
    struct sim_agent *a = ctx;
    (void)data;

    if ((int64_t)arg != a->tick_at_ms)
        return;
    a->tick_at_ms = INT64_MAX;
    sim_agent_input(a, &(struct rv_agent_input){.kind = RV_AGENT_TICK});
}

static void on_checkpoint(void *ctx, uint64_t seq, bool ok, const char *message) {
    struct rv_agent_input in = {.kind = RV_AGENT_CHECKPOINT_DONE};

    in.checkpoint.seq = seq;
    in.checkpoint.ok = ok;
    in.checkpoint.message = message;
    sim_agent_input(ctx, &in);
}

static void on_request(void *ctx, struct sim_conn *c, const struct sim_message *m) {
    struct sim_agent *a = ctx;
    struct rv_executor_call call;
    struct rv_error err;

    if (rv_wire_executor_call_decode(m->content, rv_strn(m->body->data, m->body->n), NULL,
                                     &a->arena, &call, &err)) {
        sim_fail(world_of(a), "INV-49: a call of %s is refused: %s", c->client->name, err.message);
        return;
    }
    bool subscribe = call.type == RV_EXECUTOR_CALL_SUBSCRIBE;
    struct rv_agent_input in = {.kind = RV_AGENT_EXECUTOR_CALL,
                                .request = c->request,
                                .stream = subscribe ? sim_number(world_of(a)) : 0,
                                .executor = &call};
    rv_map_put(&a->requests, key_of(&c->request), c);
    sim_agent_input(a, &in);
    rv_wire_executor_call_release(&call);
    rv_arena_reset(&a->arena);
}

static void on_closed(void *ctx, struct sim_conn *c) {
    struct sim_agent *a = ctx;

    rv_map_remove(&a->requests, key_of(&c->request));
    if (!c->stream)
        return;
    rv_map_remove(&a->streams, key_of(&c->stream));
    on_stream_gone(a, c->stream, NULL);
}

/* --- life --- */

void sim_agent_init(struct sim_agent *a, struct sim_cluster *c, size_t number) {
    static const char *const racks[] = {"rack:r1", "rack:r2;ssd:true"};
    struct sim_world *w = &c->world;
    struct rv_error err;
    char text[160];
    uint8_t uuid[16];

    *a = (struct sim_agent){.cluster = c, .tick_at_ms = INT64_MAX};
    sim_party_init(w, &a->server.party, 1 + (int)number, "agent%zu", number);
    a->server.party.up = false;
    a->server.ctx = a;
    a->server.on_request = on_request;
    a->server.on_closed = on_closed;
    rv_arena_init(&a->arena);
    rv_arena_init(&a->scratch);
    rv_recordio_init(&a->records, 8u << 20);
    sim_journal_init(&a->journal, w, &a->server.party, on_checkpoint, die, a);
    rv_prng_uuid(&w->prng, uuid);
    rv_uuid_format(uuid, a->boot_id);
    a->info.hostname = rv_strdup(a->server.party.name);
    a->info.ip = rv_asprintf("10.0.1.%zu", number);
    a->info.port = 5051;
    a->info.capabilities = 1u << RV_AGENT_MULTI_ROLE | 1u << RV_AGENT_HIERARCHICAL_ROLE |
                           1u << RV_AGENT_RESERVATION_REFINEMENT |
                           1u << RV_AGENT_AGENT_OPERATION_FEEDBACK | 1u << RV_AGENT_RESIZE_VOLUME;
    if (sim_chance(w, 800)) /* the others are drained by the master, task by task */
        a->info.capabilities |= 1u << RV_AGENT_AGENT_DRAINING;
    a->info.version = rv_strdup("1.12.0");
    snprintf(text, sizeof text, "cpus:%lld;mem:%lld;disk:1000;ports:[31000-%lld]%s",
             (long long)sim_between(w, 1, 8), (long long)sim_between(w, 2, 16) * 128,
             (long long)sim_between(w, 31003, 31050),
             number && sim_chance(w, 300) ? ";gpus:1"
             : sim_chance(w, 300)         ? ";cpus(prod):1;mem(prod):64"
                                          : "");
    if (rv_resources_parse(text, "*", &a->info.resources, &err) ||
        rv_attributes_parse(racks[number % 2], &a->info.attributes, &err))
        RV_UNREACHABLE();
    sim_trace(w, &a->server.party, "has %s", text);
    a->config = (struct rv_agent_config){
        .info = &a->info,
        .work_dir = "/var/lib/reeve",
        .default_user = "nobody",
        .boot_id = a->boot_id,
        .executor_registration_ms = sim_chance(w, 300) ? 10000 : 0,
        .update_retry_ms = sim_chance(w, 500) ? 1000 : 0,
        .update_retry_max_ms = sim_chance(w, 500) ? 5000 : 60000,
        .gc_delay_ms = sim_chance(w, 300) ? 1000 : 0,
        .gc_disk_headroom_ppm = 100000,
        .max_completed_tasks = sim_chance(w, 300) ? 1 : 0,
        .max_completed_executors = sim_chance(w, 300) ? 1 : 0,
        .max_completed_frameworks = sim_chance(w, 300) ? 1 : 0,
    };
}

/* The one before is forgotten first, so that nothing it says counts any more (INV-3). */
void sim_agent_detected(struct sim_agent *a, int leader) {
    if (a->leader >= 0)
        sim_agent_input(a, &(struct rv_agent_input){.kind = RV_AGENT_MASTER_NONE});
    a->leader = leader;
    if (a->leader >= 0)
        sim_agent_input(a, &(struct rv_agent_input){.kind = RV_AGENT_MASTER_FOUND});
}

static void on_told(void *ctx, uint64_t arg, void *data) {
    struct sim_agent *a = ctx;
    (void)arg;
    (void)data;

    sim_trace(world_of(a), &a->server.party, "is told that master %d leads", a->told);
    sim_agent_detected(a, a->told);
}

/* The agent may end of it, and its election with it. */
static void on_leader(void *ctx, struct rv_str info) {
    struct sim_agent *a = ctx;

    a->told = sim_elector_named(a->cluster, info);
    sim_at(world_of(a), &a->server.party, 0, on_told, a, 0, NULL);
}

static void look_for_master(struct sim_agent *a) {
    static const struct rv_election_handler handler = {.on_leader = on_leader};

    a->leader = a->told = -1;
    if (a->cluster->has_zk)
        sim_elector_start(&a->elector, a->cluster, &a->server.party, &handler, a);
    else
        sim_agent_detected(a, a->told = 0);
}

/* Now and then its disk is as good as full; at the end of a run it is. */
static void on_disk(void *ctx, uint64_t arg, void *data) {
    struct sim_agent *a = ctx;
    struct sim_world *w = world_of(a);
    struct rv_agent_input in = {.kind = RV_AGENT_DISK_SEEN, .used_ppm = sim_between(w, 0, 800000)};
    (void)arg;
    (void)data;

    if (w->healing || sim_fault(w, w->faults.disk_full))
        in.used_ppm = 1000000;
    sim_agent_input(a, &in);
    sim_at(w, &a->server.party, 60000, on_disk, a, 0, NULL);
}

static bool is_framework(void *ctx, const char *id) {
    const struct sim_agent *a = ctx;

    return rv_map_gets(&a->core->frameworks, id) != NULL;
}

static bool is_there(void *ctx, const char *path) {
    const struct sim_agent *a = ctx;

    for (size_t i = 0; i < a->sandboxes.n; i++)
        if (rv_streq(a->sandboxes.v[i].path, path))
            return true;
    return false;
}

void sim_agent_start(struct sim_agent *a) {
    const struct rv_checkpoint_known known = {is_framework, is_there, a};
    struct sim_world *w = world_of(a);
    struct sim_recovery recovery;

    if (a->core)
        return;
    if (sim_journal_is_damaged(&a->journal)) {
        sim_at_any(w, NULL, sim_between(w, 1000, 60000), on_restart, a, 0, NULL);
        return;
    }
    sim_journal_load(&a->journal, &recovery);
    struct rv_container_id *alive = rv_calloc(a->containers.n + 1, sizeof *alive);
    const char **volumes = rv_calloc(rv_map_count(&a->volumes) + 1, sizeof *volumes);
    struct rv_agent_recovered recovered = {.records = recovery.records.v,
                                           .n = recovery.records.n,
                                           .alive = alive,
                                           .sandboxes = a->sandboxes.v,
                                           .n_sandboxes = a->sandboxes.n,
                                           .volumes = volumes};
    struct rv_str path;
    for (size_t it = 0; rv_map_next(&a->volumes, &it, &path, NULL);)
        volumes[recovered.n_volumes++] = rv_arena_strndup(&recovery.arena, path.s, path.n);
    for (size_t i = 0; i < a->containers.n; i++)
        if (a->containers.v[i]->alive)
            alive[recovered.n_alive++].v = a->containers.v[i]->id;
    if (sim_fault(w, w->faults.other_flags) && sim_agent_is_refused(a, &recovered)) {
        sim_recovery_free(&recovery);
        free(alive);
        free(volumes);
        sim_at_any(w, NULL, sim_between(w, 100, 60000), on_restart, a, 0, NULL);
        return;
    }
    sim_trace(w, &a->server.party, "starts with %zu records, %zu containers", recovered.n,
              recovered.n_alive);
    a->server.party.up = true;
    a->server.party.life = sim_number(w);
    a->exiting = a->dying = false;
    a->tick_at_ms = INT64_MAX;
    a->config.seed = rv_prng_next(&w->prng);
    sim_audit_agent_started(&a->cluster->auditor, a);
    a->core = rv_agent_new(&a->config, &recovered, w->now_ms, sim_wall_ns(w, &a->server.party),
                           &a->effects);
    if (rv_agent_refused(a->core))
        sim_fail(w, "INV-19: %s cannot recover: %s", a->server.party.name,
                 rv_agent_refused(a->core));
    sim_journal_compact(&a->journal, &recovery, &known);
    sim_recovery_free(&recovery);
    free(alive);
    free(volumes);
    finish(a);
    if (!a->core) /* it ended at once */
        return;
    look_for_master(a);
    sim_at(w, &a->server.party, 0, on_disk, a, 0, NULL);
}

void sim_agent_crash(struct sim_agent *a, bool machine) {
    uint8_t uuid[16];

    if (!a->core)
        return;
    sim_trace(world_of(a), &a->server.party, machine ? "machine reboots" : "process ends");
    a->core = rv_agent_free(a->core);
    rv_agent_effects_clear(&a->effects);
    sim_elector_crash(&a->elector);
    a->server.party.up = false;
    a->server.party.life = sim_number(world_of(a));
    a->tick_at_ms = INT64_MAX;
    sim_network_crash(&a->cluster->network, &a->server.party, machine);
    a->stream = a->post = a->late = NULL;
    link_disconnect(a);
    rv_map_clear(&a->requests);
    rv_map_clear(&a->streams);
    sim_journal_crash(&a->journal);
    sim_containers_agent_down(a, machine);
    sim_audit_agent_crashed(&a->cluster->auditor, a);
    if (machine) {
        rv_prng_uuid(&world_of(a)->prng, uuid);
        rv_uuid_format(uuid, a->boot_id);
    }
}

void sim_agent_free(struct sim_agent *a) {
    void *v;

    sim_elector_crash(&a->elector);
    rv_agent_free(a->core);
    rv_agent_effects_free(&a->effects);
    sim_journal_free(&a->journal);
    for (size_t i = 0; i < a->containers.n; i++)
        sim_container_free(a->containers.v[i]);
    rv_vec_free(&a->containers);
    for (size_t i = 0; i < a->sandboxes.n; i++)
        free((char *)(uintptr_t)a->sandboxes.v[i].path);
    rv_vec_free(&a->sandboxes);
    for (size_t i = 0; i < a->queue.n; i++)
        rv_blob_unref(a->queue.v[i]);
    rv_vec_free(&a->queue);
    for (size_t it = 0; rv_map_next(&a->volumes, &it, NULL, &v);)
        free(v);
    rv_map_free(&a->volumes);
    rv_map_free(&a->requests);
    rv_map_free(&a->streams);
    rv_recordio_free(&a->records);
    rv_recordio_free(&a->late_records);
    rv_agent_info_free(&a->info);
    rv_arena_free(&a->arena);
    rv_arena_free(&a->scratch);
    rv_buf_free(&a->encoded);
}
