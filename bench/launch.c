/*
 * Life cycles of tasks a second, complete: ACCEPT, RUNNING delivered and acknowledged, FINISHED
 * delivered and acknowledged. Three processes on real sockets: the master, emulated agents, and
 * this scheduler. First as many as go through, in protobuf and in JSON; then at half of the
 * protobuf rate, to see how long a task takes from ACCEPT to RUNNING.
 *
 * launch [seconds] [agents]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/map.h"
#include "base/vec.h"
#include "emulator.h"
#include "io/http_client.h"
#include "reeve/v1/scheduler.pb-c.h"
#include "wire/codec.h"
#include "wire/recordio.h"

#define WINDOW 2000 /* tasks under way, in a run for throughput */
#define BATCH 50    /* tasks of one ACCEPT, at most */

struct task {
    double accepted;
    bool running;
};

struct held {
    char *id, *agent;
    size_t room; /* tasks that fit */
};

struct scheduler {
    uv_loop_t loop;
    enum rv_encoding encoding;
    struct rv_http_client *stream_client, *calls;
    struct rv_recordio records;
    char *id, *headers;
    struct rv_map tasks; /* id -> struct task */
    RV_VEC(struct held) offers;
    RV_VEC(double) latencies;
    uv_timer_t pace, end;
    double rate; /* launches a second; 0: as many as go */
    double tokens, paced;
    uint64_t launched, finished, failed_calls;
    double from; /* when counting began */
    uint64_t finished_from;
    unsigned seconds;
    struct rv_arena arena;
};

static void call_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                      size_t n, struct rv_str body, const struct rv_error *err) {
    struct scheduler *s = ctx;

    (void)headers;
    (void)n;
    (void)err;
    if (result == -RV_ERR_CLOSED)
        return;
    if (result || status != 202) {
        if (!s->failed_calls++)
            fprintf(stderr, "a call failed: %d %d %.*s\n", result, status, (int)body.n, body.s);
    }
}

static const struct rv_http_call_handler call_handler = {NULL, NULL, call_done};

static void send_call(struct scheduler *s, Reeve__V1__Scheduler__Call *call) {
    Reeve__V1__FrameworkID id = REEVE__V1__FRAMEWORK_ID__INIT;
    struct rv_buf body = {0};

    id.value = s->id;
    call->framework_id = &id;
    call->has_type = 1;
    rv_wire_encode(&call->base, s->encoding, &body);
    rv_http_client_call(s->calls, "POST", "/api/v1/scheduler", s->headers, rv_buf_str(&body), false,
                        &call_handler, s);
    rv_buf_free(&body);
}

/* --- launching --- */

static Reeve__V1__Resource *scalar(struct rv_arena *a, const char *name, double value) {
    Reeve__V1__Resource *r = rv_arena_alloc(a, sizeof *r);
    Reeve__V1__Value__Scalar *v = rv_arena_alloc(a, sizeof *v);

    reeve__v1__resource__init(r);
    reeve__v1__value__scalar__init(v);
    v->value = value;
    r->name = (char *)(uintptr_t)name;
    r->type = REEVE__V1__VALUE__TYPE__SCALAR;
    r->scalar = v;
    return r;
}

static Reeve__V1__TaskInfo *new_task(struct scheduler *s, const char *agent) {
    struct rv_arena *a = &s->arena;
    Reeve__V1__TaskInfo *t = rv_arena_alloc(a, sizeof *t);
    Reeve__V1__TaskID *id = rv_arena_alloc(a, sizeof *id);
    Reeve__V1__AgentID *on = rv_arena_alloc(a, sizeof *on);
    Reeve__V1__CommandInfo *command = rv_arena_alloc(a, sizeof *command);

    reeve__v1__task_info__init(t);
    reeve__v1__task_id__init(id);
    reeve__v1__agent_id__init(on);
    reeve__v1__command_info__init(command);
    id->value = rv_arena_printf(a, "task-%llu", (unsigned long long)s->launched++);
    on->value = (char *)(uintptr_t)agent;
    command->value = (char *)(uintptr_t) "exit 0";
    t->name = (char *)(uintptr_t) "task";
    t->task_id = id;
    t->agent_id = on;
    t->command = command;
    t->n_resources = 2;
    t->resources = RV_ARENA_ARRAY(a, Reeve__V1__Resource *, 2);
    t->resources[0] = scalar(a, "cpus", 0.1);
    t->resources[1] = scalar(a, "mem", 32);
    struct task *record = rv_calloc(1, sizeof *record);
    record->accepted = now_seconds();
    rv_map_put(&s->tasks, rv_str(id->value), record);
    return t;
}

static void launch_on(struct scheduler *s, const struct held *offer, size_t n) {
    struct rv_arena *a = &s->arena;
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Accept accept = REEVE__V1__SCHEDULER__CALL__ACCEPT__INIT;
    Reeve__V1__Offer__Operation operation = REEVE__V1__OFFER__OPERATION__INIT;
    Reeve__V1__Offer__Operation__Launch launch = REEVE__V1__OFFER__OPERATION__LAUNCH__INIT;
    Reeve__V1__Filters filters = REEVE__V1__FILTERS__INIT;
    Reeve__V1__OfferID id = REEVE__V1__OFFER_ID__INIT, *ids[] = {&id};
    Reeve__V1__Offer__Operation *operations[] = {&operation};

    id.value = offer->id;
    filters.has_refuse_seconds = 1;
    filters.refuse_seconds = 0;
    launch.n_task_infos = n;
    launch.task_infos = RV_ARENA_ARRAY(a, Reeve__V1__TaskInfo *, n);
    for (size_t i = 0; i < n; i++)
        launch.task_infos[i] = new_task(s, offer->agent);
    operation.has_type = 1;
    operation.type = REEVE__V1__OFFER__OPERATION__TYPE__LAUNCH;
    operation.launch = &launch;
    accept.n_offer_ids = 1;
    accept.offer_ids = ids;
    accept.n_operations = 1;
    accept.operations = operations;
    accept.filters = &filters;
    call.type = REEVE__V1__SCHEDULER__CALL__TYPE__ACCEPT;
    call.accept = &accept;
    send_call(s, &call);
    rv_arena_reset(a);
}

static void launch_more(struct scheduler *s) {
    while (s->offers.n) {
        size_t under_way = rv_map_count(&s->tasks), n = RV_MIN(BATCH, s->offers.v[0].room);
        if (s->rate > 0)
            n = RV_MIN(n, (size_t)s->tokens);
        else
            n = under_way >= WINDOW ? 0 : RV_MIN(n, WINDOW - under_way);
        if (!n && s->offers.v[0].room)
            return;
        struct held offer = s->offers.v[0];
        rv_vec_remove_at(&s->offers, 0);
        launch_on(s, &offer, n);
        s->tokens -= s->rate > 0 ? (double)n : 0;
        free(offer.id);
        free(offer.agent);
    }
}

static void on_pace(uv_timer_t *timer) {
    struct scheduler *s = timer->data;
    double now = now_seconds();

    s->tokens = RV_MIN(s->tokens + (now - s->paced) * s->rate, s->rate / 10);
    s->paced = now;
    launch_more(s);
}

/* --- events --- */

static void on_update(struct scheduler *s, const Reeve__V1__TaskStatus *status) {
    struct task *t = rv_map_gets(&s->tasks, status->task_id->value);

    if (status->has_uuid) {
        Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;
        Reeve__V1__Scheduler__Call__Acknowledge ack = REEVE__V1__SCHEDULER__CALL__ACKNOWLEDGE__INIT;
        ack.agent_id = status->agent_id;
        ack.task_id = status->task_id;
        ack.uuid = status->uuid;
        call.type = REEVE__V1__SCHEDULER__CALL__TYPE__ACKNOWLEDGE;
        call.acknowledge = &ack;
        send_call(s, &call);
    }
    if (!t)
        return;
    if (status->state == REEVE__V1__TASK_STATE__TASK_RUNNING && !t->running) {
        t->running = true;
        if (s->from > 0)
            rv_vec_push(&s->latencies, now_seconds() - t->accepted);
    } else if (status->state == REEVE__V1__TASK_STATE__TASK_FINISHED) {
        s->finished++;
        free(rv_map_remove(&s->tasks, rv_str(status->task_id->value)));
    } else if (status->state != REEVE__V1__TASK_STATE__TASK_RUNNING) {
        fprintf(stderr, "task %s: state %d: %s\n", status->task_id->value, status->state,
                status->message ? status->message : "");
        exit(1);
    }
}

static size_t room(const Reeve__V1__Offer *offer) {
    double cpus = 0, mem = 0;

    for (size_t i = 0; i < offer->n_resources; i++) {
        const Reeve__V1__Resource *r = offer->resources[i];
        if (!strcmp(r->name, "cpus"))
            cpus += r->scalar->value;
        else if (!strcmp(r->name, "mem"))
            mem += r->scalar->value;
    }
    return (size_t)RV_MIN(cpus * 10 + 0.001, mem / 32);
}

static int on_record(void *ctx, struct rv_str record) {
    struct scheduler *s = ctx;
    struct rv_arena arena;
    ProtobufCMessage *message;
    struct rv_error err;

    rv_arena_init(&arena);
    if (rv_wire_decode(&reeve__v1__scheduler__event__descriptor, s->encoding, record, NULL, &arena,
                       &message, &err)) {
        fprintf(stderr, "bad event: %s\n", err.message);
        exit(1);
    }
    const Reeve__V1__Scheduler__Event *e = (void *)message;
    if (e->subscribed)
        s->id = rv_strdup(e->subscribed->framework_id->value);
    for (size_t i = 0; e->offers && i < e->offers->n_offers; i++) {
        struct held offer = {rv_strdup(e->offers->offers[i]->id->value),
                             rv_strdup(e->offers->offers[i]->agent_id->value),
                             room(e->offers->offers[i])};
        rv_vec_push(&s->offers, offer);
    }
    if (e->update)
        on_update(s, e->update->status);
    launch_more(s);
    rv_arena_free(&arena);
    return 0;
}

static bool stream_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    struct scheduler *s = ctx;
    const char *stream_id = rv_http1_header(headers, n, "Mesos-Stream-Id");
    const char *type = rv_encoding_media_type(s->encoding);

    if (status != 200 || !stream_id) {
        fprintf(stderr, "SUBSCRIBE: %d\n", status);
        exit(1);
    }
    s->headers = rv_asprintf("Content-Type: %s\r\nAccept: %s\r\nMesos-Stream-Id: %s\r\n", type,
                             type, stream_id);
    return true;
}

static void stream_body(void *ctx, struct rv_str bytes) {
    struct scheduler *s = ctx;
    struct rv_error err;

    if (rv_recordio_feed(&s->records, bytes, on_record, s, &err)) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
}

static void stream_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                        size_t n, struct rv_str body, const struct rv_error *err) {
    (void)ctx;
    (void)status;
    (void)headers;
    (void)n;
    (void)body;
    if (result == -RV_ERR_CLOSED && err)
        return;
    fprintf(stderr, "the stream ended\n");
    exit(1);
}

static void subscribe(struct scheduler *s) {
    static const struct rv_http_call_handler handler = {stream_head, stream_body, stream_done};
    static Reeve__V1__FrameworkInfo__Capability multi = REEVE__V1__FRAMEWORK_INFO__CAPABILITY__INIT;
    Reeve__V1__FrameworkInfo__Capability *capabilities[] = {&multi};
    char *roles[] = {(char *)(uintptr_t) "bench"};
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Subscribe sub = REEVE__V1__SCHEDULER__CALL__SUBSCRIBE__INIT;
    Reeve__V1__FrameworkInfo info = REEVE__V1__FRAMEWORK_INFO__INIT;
    const char *type = rv_encoding_media_type(s->encoding);
    _cleanup_free_ char *headers = rv_asprintf("Content-Type: %s\r\nAccept: %s\r\n", type, type);
    struct rv_buf body = {0};

    multi.has_type = 1;
    multi.type = REEVE__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__MULTI_ROLE;
    info.user = (char *)(uintptr_t) "root";
    info.name = (char *)(uintptr_t) "launch";
    info.n_capabilities = 1;
    info.capabilities = capabilities;
    info.n_roles = 1;
    info.roles = roles;
    sub.framework_info = &info;
    call.has_type = 1;
    call.type = REEVE__V1__SCHEDULER__CALL__TYPE__SUBSCRIBE;
    call.subscribe = &sub;
    rv_wire_encode(&call.base, s->encoding, &body);
    rv_http_client_call(s->stream_client, "POST", "/api/v1/scheduler", headers, rv_buf_str(&body),
                        true, &handler, s);
    rv_buf_free(&body);
}

/* --- a run --- */

static void on_end(uv_timer_t *timer) {
    struct scheduler *s = timer->data;

    if (s->from == 0) { /* warmed up: count from here */
        s->from = now_seconds();
        s->finished_from = s->finished;
        uv_timer_start(timer, on_end, (uint64_t)s->seconds * 1000, 0);
        return;
    }
    uv_stop(&s->loop);
}

static void close_handle(uv_handle_t *h, void *ctx) {
    (void)ctx;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct result {
    double rate, p50_ms, p99_ms;
};

static struct result run(uint16_t port, enum rv_encoding encoding, double rate, unsigned seconds) {
    struct scheduler *s = rv_calloc(1, sizeof *s);
    struct rv_http_client_config config = {.host = "127.0.0.1",
                                           .port = port,
                                           .connect_timeout_ms = 5000,
                                           .idle_close_ms = 60000,
                                           .max_connections = 16};
    struct result r;

    s->encoding = encoding;
    s->rate = rate;
    s->seconds = seconds;
    s->paced = now_seconds();
    rv_arena_init(&s->arena);
    rv_recordio_init(&s->records, 64u << 20);
    uv_loop_init(&s->loop);
    s->stream_client = rv_http_client_new(&s->loop, &config);
    s->calls = rv_http_client_new(&s->loop, &config);
    uv_timer_init(&s->loop, &s->pace);
    uv_timer_init(&s->loop, &s->end);
    s->pace.data = s->end.data = s;
    if (rate > 0)
        uv_timer_start(&s->pace, on_pace, 0, 5);
    uv_timer_start(&s->end, on_end, 1000, 0);
    subscribe(s);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    double elapsed = now_seconds() - s->from;
    r.rate = (double)(s->finished - s->finished_from) / elapsed;
    qsort(s->latencies.v, s->latencies.n, sizeof *s->latencies.v, by_value);
    r.p50_ms = s->latencies.n ? s->latencies.v[s->latencies.n / 2] * 1e3 : 0;
    r.p99_ms = s->latencies.n ? s->latencies.v[s->latencies.n * 99 / 100] * 1e3 : 0;
    rv_http_client_free(s->stream_client); /* a broken stream removes the framework */
    rv_http_client_free(s->calls);
    uv_walk(&s->loop, close_handle, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
    if (s->failed_calls || !s->finished) {
        fprintf(stderr, "%llu calls failed, %llu tasks finished\n",
                (unsigned long long)s->failed_calls, (unsigned long long)s->finished);
        exit(1);
    }
    return r; /* the scheduler's memory goes with the process */
}

/* The agents, in a process of their own; the descriptor gives a byte when all are registered. */
static int start_agents(uint16_t port, unsigned agents, int *ready) {
    int pipes[2];

    if (pipe(pipes))
        exit(1);
    int pid = fork();
    if (pid) {
        close(pipes[1]);
        *ready = pipes[0];
        return pid;
    }
    uv_loop_t loop;
    struct emulator_config config = {.host = "127.0.0.1",
                                     .port = port,
                                     .agents = agents,
                                     .resources = "cpus:10000;mem:10000000;disk:10000000"};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    uv_loop_init(&loop);
    struct emulator *e = emulator_start(&loop, &config);
    bool told = false;
    while (uv_run(&loop, UV_RUN_ONCE))
        if (!told && emulator_registered(e) == agents)
            told = write(pipes[1], "!", 1) == 1;
    _exit(0);
}

int main(int argc, char **argv) {
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
    unsigned agents = argc > 2 ? (unsigned)atoi(argv[2]) : 50;
    uint16_t port;
    char byte;
    int ready;

    signal(SIGPIPE, SIG_IGN);
    int master = start_master(NULL, &port);
    int emulated = start_agents(port, agents, &ready);
    if (read(ready, &byte, 1) != 1)
        return 1;
    struct result protobuf = run(port, RV_ENC_PROTOBUF, 0, seconds);
    struct result json = run(port, RV_ENC_JSON, 0, seconds);
    struct result half = run(port, RV_ENC_PROTOBUF, protobuf.rate / 2, seconds);
    printf("%u agents; limits: 5000 per_s in protobuf, 3000 per_s in JSON\n", agents);
    printf("at half load: %.0f per_s\n", half.rate);
    printf("figure launch.protobuf %.0f per_s\n", protobuf.rate);
    printf("figure launch.json %.0f per_s\n", json.rate);
    printf("figure launch.p50 %.2f ms\n", half.p50_ms);
    printf("figure launch.p99 %.2f ms\n", half.p99_ms);
    stop_process(emulated);
    stop_process(master);
    return 0;
}
