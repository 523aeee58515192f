/* Containers and executors: see containers.h. */
#include "containers.h"

#include <stdlib.h>

#include "cluster.h"
#include "wire/convert.h"
#include "wire/resources_codec.h"

#define RECOVERY_TIMEOUT_MS 900000
#define CAST(message) ((const void *)(message))

static struct sim_world *world_of(const struct sim_container *c) {
    return &c->agent->cluster->world;
}

/* --- tasks --- */

static struct sim_run *find_run(struct sim_container *c, const char *task_id) {
    for (size_t i = 0; i < c->runs.n; i++)
        if (rv_streq(c->runs.v[i]->task_id, task_id))
            return c->runs.v[i];
    return NULL;
}

static void run_done(struct sim_container *c, struct sim_run *r) {
    if (r->done)
        return;
    r->done = true;
    sim_audit_task_ended(&c->agent->cluster->auditor, c->framework_id, r->task_id, c->id);
}

static void post(struct sim_container *c, Reeve__V1__Executor__Call *call);

static void post_update(struct sim_container *c, const struct rv_blob *packed) {
    Reeve__V1__Executor__Call call = REEVE__V1__EXECUTOR__CALL__INIT;
    Reeve__V1__Executor__Call__Update update = REEVE__V1__EXECUTOR__CALL__UPDATE__INIT;

    update.status = (Reeve__V1__TaskStatus *)rv_wire_raw_blob(&c->arena, packed);
    call.has_type = 1;
    call.type = REEVE__V1__EXECUTOR__CALL__TYPE__UPDATE;
    call.update = &update;
    post(c, &call);
}

static void update_task(struct sim_container *c, const char *task_id, Reeve__V1__TaskState state,
                        const char *message) {
    struct sim_world *w = world_of(c);
    Reeve__V1__TaskStatus status = REEVE__V1__TASK_STATUS__INIT;
    Reeve__V1__TaskID id = REEVE__V1__TASK_ID__INIT;
    struct sim_update u = {.task_id = rv_strdup(task_id), .state = (enum rv_task_state)state};

    rv_prng_uuid(&w->prng, u.uuid);
    id.value = (char *)(uintptr_t)task_id;
    status.task_id = &id;
    status.state = state;
    status.message = (char *)(uintptr_t)message;
    status.has_source = 1;
    status.source = REEVE__V1__TASK_STATUS__SOURCE__SOURCE_EXECUTOR;
    status.has_uuid = 1;
    status.uuid = rv_wire_uuid_to(u.uuid);
    status.has_timestamp = 1;
    status.timestamp = (double)sim_wall_ns(w, &c->party) / 1e9;
    u.packed = rv_wire_pack(&status.base);
    rv_vec_push(&c->pending, u);
    sim_trace(w, &c->party, "task %s is %s", task_id, rv_task_state_name((int)state));
    if (c->connected)
        post_update(c, u.packed);
}

static void leave(struct sim_container *c, int32_t status) {
    if (c->alive)
        sim_container_kill(c, status, RV_REASON_NONE);
}

static void on_leave(void *ctx, uint64_t arg, void *data) {
    (void)data;
    leave(ctx, (int32_t)arg);
}

static void on_task_end(void *ctx, uint64_t arg, void *data) {
    struct sim_container *c = ctx;
    struct sim_world *w = world_of(c);
    (void)data;

    for (size_t i = 0; i < c->runs.n; i++) {
        struct sim_run *r = c->runs.v[i];
        if (r->number != arg || r->done)
            continue;
        run_done(c, r);
        if (sim_fault(w, w->faults.task_fail))
            update_task(c, r->task_id, REEVE__V1__TASK_STATE__TASK_FAILED, "exited with status 1");
        else
            update_task(c, r->task_id, REEVE__V1__TASK_STATE__TASK_FINISHED, NULL);
    }
}

static void on_task_running(void *ctx, uint64_t arg, void *data) {
    struct sim_container *c = ctx;
    (void)data;

    for (size_t i = 0; i < c->runs.n; i++)
        if (c->runs.v[i]->number == arg && !c->runs.v[i]->done)
            update_task(c, c->runs.v[i]->task_id, REEVE__V1__TASK_STATE__TASK_RUNNING, NULL);
}

static void launch_task(struct sim_container *c, const Reeve__V1__TaskInfo *info) {
    struct sim_world *w = world_of(c);
    struct sim_run *r;

    if (find_run(c, info->task_id->value)) {
        sim_fail(w, "INV-34: executor %s was given task %s twice", c->id, info->task_id->value);
        return;
    }
    r = rv_calloc(1, sizeof *r);
    r->task_id = rv_strdup(info->task_id->value);
    r->packed = rv_wire_pack(&info->base);
    r->number = sim_number(w);
    rv_vec_push(&c->runs, r);
    sim_audit_task_started(&c->agent->cluster->auditor, c->framework_id, r->task_id, c->id);
    if (sim_chance(w, 300))
        update_task(c, r->task_id, REEVE__V1__TASK_STATE__TASK_STARTING, NULL);
    int64_t running_ms = sim_between(w, 0, 500);
    sim_at(w, &c->party, running_ms, on_task_running, c, r->number, NULL);
    int64_t runs_ms = sim_chance(w, 100) ? 100000000 : sim_between(w, 0, 60000);
    sim_at(w, &c->party, running_ms + runs_ms, on_task_end, c, r->number, NULL);
}

static void kill_run(struct sim_container *c, struct sim_run *r) {
    if (r->done)
        return;
    if (c->killing_state)
        update_task(c, r->task_id, REEVE__V1__TASK_STATE__TASK_KILLING, NULL);
    run_done(c, r);
    update_task(c, r->task_id, REEVE__V1__TASK_STATE__TASK_KILLED, NULL);
}

static void acknowledged(struct sim_container *c,
                         const Reeve__V1__Executor__Event__Acknowledged *m) {
    struct sim_world *w = world_of(c);
    bool idle = true;

    for (size_t i = 0; i < c->pending.n; i++) {
        struct sim_update *u = &c->pending.v[i];
        if (m->uuid.len != 16 || memcmp(u->uuid, m->uuid.data, 16) != 0)
            continue;
        struct sim_run *r = find_run(c, u->task_id);
        if (r)
            r->acknowledged = true;
        sim_audit_alone_took(&c->agent->cluster->auditor, c, u->task_id, u->uuid, u->state);
        rv_blob_unref(u->packed);
        free(u->task_id);
        rv_vec_remove_at(&c->pending, i);
        break;
    }
    for (size_t i = 0; i < c->runs.n; i++)
        idle = idle && c->runs.v[i]->done;
    if (c->type == RV_EXECUTOR_COMMAND && c->runs.n && idle && !c->pending.n && !c->ending) {
        c->ending = true;
        sim_at(w, &c->party, sim_between(w, 0, 1000), on_leave, c, 0, NULL);
    }
}

/* --- the agent's events --- */

static int on_record(void *ctx, struct rv_str record) {
    struct sim_container *c = ctx;
    struct sim_world *w = world_of(c);
    const struct sim_conn *before = c->stream;
    ProtobufCMessage *message;
    struct rv_arena arena;
    struct rv_error err;

    rv_arena_init(&arena);
    if (rv_wire_decode(&reeve__v1__executor__event__descriptor, c->encoding, record, NULL, &arena,
                       &message, &err)) {
        sim_fail(w, "INV-49: %s cannot read an event: %s", c->party.name, err.message);
        rv_arena_free(&arena);
        return 1;
    }
    const Reeve__V1__Executor__Event *e = CAST(message);
    switch ((int)e->type) {
    case REEVE__V1__EXECUTOR__EVENT__TYPE__SUBSCRIBED:
        c->connected = true;
        c->lost_ms = 0;
        for (size_t i = 0; i < e->subscribed->framework_info->n_capabilities; i++)
            if (e->subscribed->framework_info->capabilities[i]->type ==
                REEVE__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__TASK_KILLING_STATE)
                c->killing_state = true;
        for (size_t i = c->told; i < c->pending.n; i++)
            post_update(c, c->pending.v[i].packed);
        break;
    case REEVE__V1__EXECUTOR__EVENT__TYPE__LAUNCH:
        launch_task(c, e->launch->task);
        break;
    case REEVE__V1__EXECUTOR__EVENT__TYPE__LAUNCH_GROUP:
        for (size_t i = 0; i < e->launch_group->task_group->n_tasks; i++)
            launch_task(c, e->launch_group->task_group->tasks[i]);
        break;
    case REEVE__V1__EXECUTOR__EVENT__TYPE__KILL: {
        struct sim_run *r = find_run(c, e->kill->task_id->value);
        if (r)
            kill_run(c, r);
        break;
    }
    case REEVE__V1__EXECUTOR__EVENT__TYPE__ACKNOWLEDGED:
        acknowledged(c, e->acknowledged);
        break;
    case REEVE__V1__EXECUTOR__EVENT__TYPE__MESSAGE: {
        Reeve__V1__Executor__Call call = REEVE__V1__EXECUTOR__CALL__INIT;
        Reeve__V1__Executor__Call__Message echo = REEVE__V1__EXECUTOR__CALL__MESSAGE__INIT;
        echo.data = e->message->data;
        sim_audit_message_got(&c->agent->cluster->auditor, c,
                              rv_strn(echo.data.data, echo.data.len));
        call.has_type = 1;
        call.type = REEVE__V1__EXECUTOR__CALL__TYPE__MESSAGE;
        call.message = &echo;
        post(c, &call);
        break;
    }
    case REEVE__V1__EXECUTOR__EVENT__TYPE__SHUTDOWN:
    case REEVE__V1__EXECUTOR__EVENT__TYPE__ERROR:
        for (size_t i = 0; i < c->runs.n; i++)
            kill_run(c, c->runs.v[i]);
        if (!c->ending)
            sim_at(w, &c->party, sim_between(w, 10, sim_chance(w, 200) ? 20000 : 2000), on_leave, c,
                   0, NULL);
        c->ending = true;
        break;
    default:
        break;
    }
    rv_arena_free(&arena);
    return c->stream != before;
}

/* --- the connection --- */

static void subscribe(void *ctx, uint64_t arg, void *data);

static void disconnected(struct sim_container *c) {
    struct sim_world *w = world_of(c);

    sim_client_close(c->stream);
    sim_client_close(c->calls);
    c->stream = c->calls = NULL;
    c->connected = c->calls_busy = false;
    for (size_t i = 0; i < c->queue.n; i++)
        rv_blob_unref(c->queue.v[i]);
    c->queue.n = 0;
    if (!c->alive)
        return;
    if (!c->lost_ms)
        c->lost_ms = w->now_ms;
    if (c->runs.n && (!c->checkpoint || w->now_ms - c->lost_ms > RECOVERY_TIMEOUT_MS))
        leave(c, 1 << 8);
    else
        sim_at(w, &c->party, sim_between(w, 50, 1500), subscribe, c, 0, NULL);
}

static void on_stream_answer(void *ctx, struct sim_conn *conn, const struct sim_message *m) {
    struct sim_container *c = ctx;

    if (conn != c->stream)
        return;
    if (m->status != 200) {
        sim_trace(world_of(c), &c->party, "subscription refused: %d %.*s", m->status,
                  m->body ? (int)m->body->n : 0, m->body ? (const char *)m->body->data : "");
        disconnected(c);
        return;
    }
    rv_recordio_free(&c->records);
    rv_recordio_init(&c->records, 8u << 20);
}

static void on_stream_bytes(void *ctx, struct sim_conn *conn, struct rv_str bytes) {
    struct sim_container *c = ctx;
    struct rv_error err;

    if (conn == c->stream && rv_recordio_feed(&c->records, bytes, on_record, c, &err) < 0)
        sim_fail(world_of(c), "INV-49: %s: damaged stream: %s", c->party.name, err.message);
}

static void on_stream_closed(void *ctx, struct sim_conn *conn) {
    struct sim_container *c = ctx;

    if (conn == c->stream)
        disconnected(c);
}

static void send_next(struct sim_container *c);

static void on_call_answer(void *ctx, struct sim_conn *conn, const struct sim_message *m) {
    struct sim_container *c = ctx;

    if (conn != c->calls)
        return;
    c->calls_busy = false;
    rv_blob_unref(c->queue.v[0]);
    rv_vec_remove_at(&c->queue, 0);
    if (m->status != 202) {
        sim_trace(world_of(c), &c->party, "call refused: %d %.*s", m->status,
                  m->body ? (int)m->body->n : 0, m->body ? (const char *)m->body->data : "");
        disconnected(c);
        return;
    }
    send_next(c);
}

static void on_call_closed(void *ctx, struct sim_conn *conn) {
    struct sim_container *c = ctx;

    if (conn == c->calls)
        disconnected(c);
}

static void no_bytes(void *ctx, struct sim_conn *conn, struct rv_str bytes) {
    (void)ctx;
    (void)conn;
    (void)bytes;
}

static void send_next(struct sim_container *c) {
    static const struct sim_client ops = {on_call_answer, no_bytes, on_call_closed};

    if (c->calls_busy || !c->queue.n)
        return;
    if (!c->calls)
        c->calls = sim_connect(&c->agent->cluster->network, &c->party, &c->agent->server, &ops, c);
    c->calls_busy = true;
    sim_request(c->calls, (struct sim_message){.api = SIM_EXECUTOR_API,
                                               .content = c->encoding,
                                               .accept = c->encoding,
                                               .body = rv_blob_ref(c->queue.v[0])});
}

static struct rv_blob *encode(struct sim_container *c, Reeve__V1__Executor__Call *call) {
    Reeve__V1__FrameworkID framework = REEVE__V1__FRAMEWORK_ID__INIT;
    Reeve__V1__ExecutorID executor = REEVE__V1__EXECUTOR_ID__INIT;
    struct rv_buf out = {0};

    framework.value = c->framework_id;
    executor.value = c->executor_id;
    call->framework_id = &framework;
    call->executor_id = &executor;
    rv_wire_encode(&call->base, c->encoding, &out);
    struct rv_blob *blob = rv_blob_new(out.data, out.n);
    rv_buf_free(&out);
    rv_arena_reset(&c->arena);
    return blob;
}

static void post(struct sim_container *c, Reeve__V1__Executor__Call *call) {
    rv_vec_push(&c->queue, encode(c, call));
    send_next(c);
}

static void subscribe(void *ctx, uint64_t arg, void *data) {
    static const struct sim_client ops = {on_stream_answer, on_stream_bytes, on_stream_closed};
    struct sim_container *c = ctx;
    Reeve__V1__Executor__Call call = REEVE__V1__EXECUTOR__CALL__INIT;
    Reeve__V1__Executor__Call__Subscribe s = REEVE__V1__EXECUTOR__CALL__SUBSCRIBE__INIT;
    (void)arg;
    (void)data;

    if (!c->alive || c->stream)
        return;
    s.unacknowledged_tasks =
        rv_arena_zalloc(&c->arena, (c->runs.n + 1) * sizeof *s.unacknowledged_tasks);
    s.unacknowledged_updates =
        rv_arena_zalloc(&c->arena, (c->pending.n + 1) * sizeof *s.unacknowledged_updates);
    for (size_t i = 0; i < c->runs.n; i++)
        if (!c->runs.v[i]->acknowledged)
            s.unacknowledged_tasks[s.n_unacknowledged_tasks++] =
                (Reeve__V1__TaskInfo *)rv_wire_raw_blob(&c->arena, c->runs.v[i]->packed);
    c->told = c->pending.n;
    for (size_t i = 0; i < c->pending.n; i++) {
        Reeve__V1__Executor__Call__Update *u = rv_arena_alloc(&c->arena, sizeof *u);
        reeve__v1__executor__call__update__init(u);
        u->status = (Reeve__V1__TaskStatus *)rv_wire_raw_blob(&c->arena, c->pending.v[i].packed);
        s.unacknowledged_updates[s.n_unacknowledged_updates++] = u;
    }
    call.has_type = 1;
    call.type = REEVE__V1__EXECUTOR__CALL__TYPE__SUBSCRIBE;
    call.subscribe = &s;
    c->stream = sim_connect(&c->agent->cluster->network, &c->party, &c->agent->server, &ops, c);
    sim_request(c->stream, (struct sim_message){.api = SIM_EXECUTOR_API,
                                                .content = c->encoding,
                                                .accept = c->encoding,
                                                .body = encode(c, &call)});
}

/* --- the container --- */

struct sim_container *sim_container_find(struct sim_agent *a, const char *id) {
    for (size_t i = 0; i < a->containers.n; i++)
        if (rv_streq(a->containers.v[i]->id, id))
            return a->containers.v[i];
    return NULL;
}

/* A packed TaskResourceLimitation. */
static struct rv_blob *limitation(void) {
    _cleanup_(rv_arena_free) struct rv_arena arena;
    _cleanup_(rv_resources_free) struct rv_resources over = {0};
    Reeve__V1__TaskResourceLimitation m = REEVE__V1__TASK_RESOURCE_LIMITATION__INIT;

    rv_arena_init(&arena);
    rv_resources_add_scalar(&over, "mem", 64000);
    rv_wire_resources_to(&over, RV_SHAPE_ENDPOINT, false, &arena, &m.resources, &m.n_resources);
    return rv_wire_pack(&m.base);
}

static void on_exited(void *ctx, uint64_t arg, void *data) {
    struct sim_agent *a = ctx;
    const char *id = data;
    struct sim_container *c = sim_container_find(a, id);
    struct rv_agent_input in = {.kind = RV_AGENT_CONTAINER_EXITED};

    in.container.id.v = id;
    in.container.reason = RV_REASON_NONE;
    if (c && arg) {
        in.container.has_status = true;
        in.container.status = c->exit_status;
        in.container.reason = c->exit_reason;
        if (c->exit_reason != RV_REASON_NONE) {
            in.container.message = "Memory limit exceeded";
            in.container.limitation = limitation();
        }
    }
    sim_agent_input(a, &in);
    rv_blob_unref(in.container.limitation);
    free(data);
}

void sim_container_kill(struct sim_container *c, int32_t status, enum rv_reason reason) {
    struct sim_world *w = world_of(c);

    if (!c->alive)
        return;
    sim_trace(w, &c->party, "ends with status %d", status);
    c->alive = c->party.up = false;
    c->party.life = sim_number(w);
    c->exit_status = status;
    c->exit_reason = reason;
    for (size_t i = 0; i < c->runs.n; i++)
        run_done(c, c->runs.v[i]);
    sim_network_crash(&c->agent->cluster->network, &c->party, false);
    c->stream = c->calls = NULL;
    c->connected = false;
    if (c->agent->core)
        sim_at(w, &c->agent->server.party, sim_between(w, 0, 20), on_exited, c->agent, 1,
               rv_strdup(c->id));
}

static void on_destroyed(void *ctx, uint64_t arg, void *data) {
    (void)arg;
    (void)data;
    sim_container_kill(ctx, 9, RV_REASON_NONE);
}

void sim_container_destroy(struct sim_agent *a, const char *id) {
    struct sim_container *c = sim_container_find(a, id);
    struct sim_world *w = &a->cluster->world;

    if (!c)
        sim_at(w, &a->server.party, sim_between(w, 0, 20), on_exited, a, 0, rv_strdup(id));
    else if (c->alive && !c->doomed) {
        c->doomed = true;
        sim_at_any(w, NULL, sim_between(w, 0, 500), on_destroyed, c, 0, NULL);
    } else if (!c->alive && !c->doomed) {
        /* It ended by itself: what is on its way tells. */
        c->doomed = true;
    }
}

static void on_crash(void *ctx, uint64_t arg, void *data) {
    struct sim_container *c = ctx;
    struct sim_world *w = world_of(c);
    (void)arg;
    (void)data;

    if (sim_fault(w, w->faults.oom))
        sim_container_kill(c, 9, RV_REASON_CONTAINER_LIMITATION_MEMORY);
    else
        sim_container_kill(c, sim_chance(w, 500) ? 139 : 1 << 8, RV_REASON_NONE);
}

static void on_launched(void *ctx, uint64_t arg, void *data) {
    struct sim_agent *a = ctx;
    struct rv_agent_input in = {.kind = RV_AGENT_CONTAINER_LAUNCHED};

    in.container.id.v = data;
    in.container.ok = arg;
    in.container.reason = RV_REASON_NONE;
    in.container.message = arg ? NULL : "cannot fork: Resource temporarily unavailable";
    sim_agent_input(a, &in);
    free(data);
}

void sim_container_launch(struct sim_agent *a, const struct rv_launch *l) {
    struct sim_world *w = &a->cluster->world;
    struct sim_container *c;
    int64_t start_ms =
        sim_fault(w, w->faults.launch_slow) ? sim_between(w, 1000, 90000) : sim_between(w, 0, 200);

    if (sim_fault(w, w->faults.launch_fail)) {
        sim_at(w, &a->server.party, sim_between(w, 0, 100), on_launched, a, 0,
               rv_strdup(l->container_id.v));
        return;
    }
    c = rv_calloc(1, sizeof *c);
    sim_party_init(w, &c->party, a->server.party.node, "c%zu.%s", a->containers.n,
                   a->server.party.name);
    c->agent = a;
    c->id = rv_strdup(l->container_id.v);
    c->framework_id = rv_strdup(l->framework->id.v);
    c->executor_id = rv_strdup(l->executor->id.v);
    c->directory = rv_strdup(l->directory);
    sim_sandbox_make(a, l->directory);
    c->type = l->executor->type;
    c->checkpoint = l->checkpoint;
    c->alive = true;
    c->encoding = sim_chance(w, 500) ? RV_ENC_JSON : RV_ENC_PROTOBUF;
    c->exit_reason = RV_REASON_NONE;
    rv_arena_init(&c->arena);
    rv_recordio_init(&c->records, 8u << 20);
    rv_vec_push(&a->containers, c);
    sim_trace(w, &c->party, "container %s of executor %s", c->id, c->executor_id);
    sim_at(w, &a->server.party, sim_between(w, 0, 50), on_launched, a, 1, rv_strdup(c->id));
    sim_at(w, &c->party, start_ms, subscribe, c, 0, NULL);
    if (sim_fault(w, w->faults.executor_exit))
        sim_at(w, &c->party, sim_between(w, 0, 40000), on_crash, c, 0, NULL);
}

void sim_containers_agent_down(struct sim_agent *a, bool machine) {
    struct sim_world *w = &a->cluster->world;

    for (size_t i = 0; i < a->containers.n; i++) {
        struct sim_container *c = a->containers.v[i];
        /* Those that do not outlive the agent mostly end with it; the next one finds the others. */
        if (c->alive && (machine || c->doomed || (!c->checkpoint && !sim_chance(w, 200))))
            sim_container_kill(c, 9, RV_REASON_NONE);
    }
}

void sim_container_free(struct sim_container *c) {
    for (size_t i = 0; i < c->queue.n; i++)
        rv_blob_unref(c->queue.v[i]);
    rv_vec_free(&c->queue);
    for (size_t i = 0; i < c->pending.n; i++) {
        rv_blob_unref(c->pending.v[i].packed);
        free(c->pending.v[i].task_id);
    }
    rv_vec_free(&c->pending);
    for (size_t i = 0; i < c->runs.n; i++) {
        free(c->runs.v[i]->task_id);
        rv_blob_unref(c->runs.v[i]->packed);
        free(c->runs.v[i]);
    }
    rv_vec_free(&c->runs);
    rv_recordio_free(&c->records);
    rv_arena_free(&c->arena);
    free(c->id);
    free(c->framework_id);
    free(c->executor_id);
    free(c->directory);
    free(c);
}
