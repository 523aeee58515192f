/*
 * A new leader's work when all agents come back at once: seconds in the core alone, from the
 * registry's content until every agent is back and its free resources are offered. Frameworks are
 * connected, half of them from the beginning. The core's clock is the time that it takes itself, so
 * that allocation passes, pings and heartbeats are due as they would be. Beside it: reading the
 * calls (`.decode`), and the longest step (`.longest`, milliseconds), which is how long others
 * wait.
 */
#include "failover_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"
#include "master/master.h"
#include "master/records.h"
#include "wire/channel_codec.h"
#include "wire/convert.h"

#define FRAMEWORKS 100

struct bench {
    struct rv_master *m;
    struct rv_effects effects;
    int64_t core_ns, decode_ns, longest_ns;
    uint64_t numbers;
    size_t n_agents, n_tasks;
    struct rv_agent_info agent;
    struct rv_framework_info frameworks[FRAMEWORKS];
};

static int64_t now_ns(void) {
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The registry answers at once. */
static void step(struct bench *b, struct rv_master_event *e) {
    int64_t begin = now_ns(), took;
    uint64_t written = 0;

    e->now_ms = 1000 + b->core_ns / 1000000;
    e->wall_ns = 1700000000000000000 + b->core_ns;
    rv_master_step(b->m, e, &b->effects);
    for (size_t i = 0; i < b->effects.n; i++)
        if (b->effects.v[i].kind == RV_MASTER_REGISTRY)
            written = b->effects.v[i].registry->seq;
    rv_effects_clear(&b->effects);
    took = now_ns() - begin;
    b->core_ns += took;
    b->longest_ns = RV_MAX(b->longest_ns, took);
    if (written) {
        struct rv_master_event done = {.kind = RV_MASTER_REGISTRY_DONE};
        done.registry.seq = written;
        done.registry.ok = true;
        step(b, &done);
    }
}

static void ticks(struct bench *b) {
    while (rv_master_deadline(b->m) <= 1000 + b->core_ns / 1000000)
        step(b, &(struct rv_master_event){.kind = RV_MASTER_TICK});
}

static void subscribe(struct bench *b, size_t i) {
    struct rv_scheduler_call call = {.type = RV_CALL_SUBSCRIBE};

    call.framework_id = b->frameworks[i].id;
    call.subscribe.info = &b->frameworks[i];
    b->numbers += 2;
    step(b, &(struct rv_master_event){.kind = RV_MASTER_SCHEDULER_CALL,
                                      .request = b->numbers,
                                      .stream = b->numbers + 1,
                                      .scheduler = &call});
}

/* --- what comes back --- */

static void set_agent(struct bench *b, size_t i) {
    snprintf((char *)(uintptr_t)b->agent.id.v, 64, "6283a845-e073-4012-8a5e-265fccf9176d-S%zu", i);
    snprintf(b->agent.hostname, 64, "host-%zu.example.com", i);
    snprintf(b->agent.ip, 64, "10.%zu.%zu.%zu", i >> 16, i >> 8 & 255, i & 255);
}

static Reeve__V1__Resource *scalar(struct rv_arena *arena, const char *name, const char *role,
                                   double value) {
    Reeve__V1__Resource *r = RV_WIRE_MAKE(arena, Resource, resource);

    r->name = rv_arena_strdup(arena, name);
    r->type = REEVE__V1__VALUE__TYPE__SCALAR;
    r->scalar = RV_WIRE_MAKE(arena, Value__Scalar, value__scalar);
    r->scalar->value = value;
    r->allocation_info = RV_WIRE_MAKE(arena, Resource__AllocationInfo, resource__allocation_info);
    r->allocation_info->role = rv_arena_strdup(arena, role);
    return r;
}

/* As its framework sent it. */
static struct rv_blob *packed_task(struct rv_arena *arena, const char *id, const char *agent_id,
                                   const char *role) {
    Reeve__V1__TaskInfo *t = RV_WIRE_MAKE(arena, TaskInfo, task_info);
    _cleanup_(rv_buf_free) struct rv_buf out = {0};

    t->name = rv_arena_strdup(arena, id);
    t->task_id = RV_WIRE_MAKE(arena, TaskID, task_id);
    t->task_id->value = t->name;
    t->agent_id = RV_WIRE_MAKE(arena, AgentID, agent_id);
    t->agent_id->value = rv_arena_strdup(arena, agent_id);
    t->n_resources = 2;
    t->resources = RV_ARENA_ARRAY(arena, Reeve__V1__Resource *, 2);
    t->resources[0] = scalar(arena, "cpus", role, 0.1);
    t->resources[1] = scalar(arena, "mem", role, 64);
    t->command = RV_WIRE_MAKE(arena, CommandInfo, command_info);
    t->command->value = rv_arena_strdup(arena, "exec ./server --port=$PORT0 --config=server.json");
    rv_wire_encode(&t->base, RV_ENC_PROTOBUF, &out);
    return rv_blob_new(out.data, out.n);
}

static void encode(struct bench *b, size_t i, struct rv_arena *arena, struct rv_buf *out) {
    struct rv_task_view *views = rv_calloc(b->n_tasks, sizeof *views);
    struct rv_task_info *infos = rv_calloc(b->n_tasks, sizeof *infos);
    struct rv_task_status *statuses = rv_calloc(b->n_tasks, sizeof *statuses);
    struct rv_agent_call call = {.type = RV_AGENT_CALL_REREGISTER};
    char *ids = rv_calloc(b->n_tasks, 64);

    set_agent(b, i);
    call.agent_id = b->agent.id;
    call.registration.info = &b->agent;
    call.registration.boot_id = "0f6b8a5e-265f-4012-8a5e-265fccf9176d";
    call.registration.tasks = views;
    call.registration.n_tasks = b->n_tasks;
    for (size_t k = 0; k < b->n_tasks; k++) {
        const struct rv_framework_info *f = &b->frameworks[(i + k) % FRAMEWORKS];
        snprintf(ids + k * 64, 64, "web-server.%zu.%zu", i, k);
        infos[k] = (struct rv_task_info){.id = {ids + k * 64}, .name = ids + k * 64};
        infos[k].agent_id = b->agent.id;
        infos[k].kill_grace_ms = infos[k].max_completion_ms = -1;
        infos[k].packed = packed_task(arena, infos[k].id.v, b->agent.id.v, f->roles[0]);
        statuses[k] = (struct rv_task_status){.task_id = infos[k].id,
                                              .state = RV_TASK_RUNNING,
                                              .reason = RV_REASON_NONE,
                                              .agent_id = b->agent.id,
                                              .timestamp_ns = 1700000000000000000,
                                              .healthy = -1};
        views[k] = (struct rv_task_view){.framework_id = f->id,
                                         .executor_id = {infos[k].id.v},
                                         .command = true,
                                         .info = &infos[k],
                                         .state = RV_TASK_RUNNING,
                                         .status = &statuses[k],
                                         .update_state = RV_TASK_RUNNING};
    }
    rv_wire_agent_call_encode(&call, RV_ENC_PROTOBUF, arena, out);
    rv_arena_reset(arena);
    for (size_t k = 0; k < b->n_tasks; k++)
        rv_blob_unref(infos[k].packed);
    free(views);
    free(infos);
    free(statuses);
    free(ids);
}

static void reregister(struct bench *b, struct rv_str body, struct rv_arena *arena) {
    int64_t begin = now_ns();
    struct rv_agent_call call;
    struct rv_error err;

    if (rv_wire_agent_call_decode(RV_ENC_PROTOBUF, body, NULL, arena, &call, &err)) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    b->decode_ns += now_ns() - begin;
    b->numbers += 2;
    step(b, &(struct rv_master_event){.kind = RV_MASTER_AGENT_CALL,
                                      .request = b->numbers,
                                      .stream = b->numbers + 1,
                                      .agent = &call});
    begin = now_ns();
    rv_wire_agent_call_release(&call);
    rv_arena_reset(arena);
    b->decode_ns += now_ns() - begin;
}

/* --- the registry --- */

static void start(struct bench *b) {
    struct rv_master_config config = {.seed = 1, .id = "8b87f27b-cb81-49d1-bfa7-a2a8ffa088bf"};
    struct rv_registry_framework *frameworks = rv_calloc(FRAMEWORKS, sizeof *frameworks);
    struct rv_agent_info *agents = rv_calloc(b->n_agents, sizeof *agents);
    struct rv_registry_snapshot s = {.agents = agents,
                                     .n_agents = b->n_agents,
                                     .frameworks = frameworks,
                                     .n_frameworks = FRAMEWORKS};
    int64_t begin;

    for (size_t i = 0; i < b->n_agents; i++) {
        set_agent(b, i);
        rv_agent_info_copy(&agents[i], &b->agent);
    }
    for (size_t i = 0; i < FRAMEWORKS; i++)
        frameworks[i].info = b->frameworks[i];
    begin = now_ns();
    b->m = rv_master_new(&config, &s, 1000, 1700000000000000000);
    b->core_ns += now_ns() - begin;
    for (size_t i = 0; i < b->n_agents; i++)
        rv_agent_info_free(&agents[i]);
    free(agents);
    free(frameworks);
}

void failover_core(const char *name, size_t n_agents, size_t n_tasks) {
    struct bench b = {.n_agents = n_agents, .n_tasks = n_tasks};
    struct rv_arena arena;
    struct rv_buf body = {0};
    struct rv_error err;
    char id[64], host[64], ip[64], version[] = "1.12.0", user[] = "root", name_of[] = "web";

    b.agent = (struct rv_agent_info){
        .id = {id}, .hostname = host, .ip = ip, .port = 5051, .version = version};
    RV_ASSERT(!rv_resources_parse("cpus:16;mem:65536;disk:100000;ports:[31000-32000]", "*",
                                  &b.agent.resources, &err));
    for (size_t i = 0; i < FRAMEWORKS; i++) {
        struct rv_framework_info *f = &b.frameworks[i];
        f->id.v = rv_asprintf("6283a845-e073-4012-8a5e-265fccf9176d-%04zu", i);
        f->user = user;
        f->name = name_of;
        f->failover_timeout_ms = 604800000;
        f->checkpoint = true;
        f->capabilities = 1u << RV_FRAMEWORK_PARTITION_AWARE | 1u << RV_FRAMEWORK_MULTI_ROLE;
        f->roles = rv_calloc(1, sizeof *f->roles);
        f->roles[0] = rv_asprintf("role%zu", i % 10);
        f->n_roles = 1;
    }
    rv_arena_init(&arena);
    start(&b);
    for (size_t i = 0; i < FRAMEWORKS / 2; i++)
        subscribe(&b, i);
    for (size_t i = 0; i < n_agents; i++) {
        encode(&b, i, &arena, &body);
        reregister(&b, rv_buf_str(&body), &arena);
        rv_buf_clear(&body);
        ticks(&b);
    }
    for (size_t i = FRAMEWORKS / 2; i < FRAMEWORKS; i++)
        subscribe(&b, i);
    while (rv_map_count(&b.m->offers) < n_agents) {
        b.core_ns = RV_MAX(b.core_ns, (rv_master_deadline(b.m) - 1000) * 1000000);
        ticks(&b);
    }
    RV_ASSERT(rv_map_count(&b.m->agents) == n_agents && !rv_master_check(b.m));
    printf("figure failover.%s %.2f s\n", name, (double)b.core_ns / 1e9);
    printf("figure failover.%s.decode %.2f s\n", name, (double)b.decode_ns / 1e9);
    printf("figure failover.%s.longest %.1f ms\n", name, (double)b.longest_ns / 1e6);
    rv_effects_free(&b.effects);
    rv_master_free(b.m);
    rv_arena_free(&arena);
    rv_buf_free(&body);
    rv_resources_free(&b.agent.resources);
    for (size_t i = 0; i < FRAMEWORKS; i++) {
        free((char *)(uintptr_t)b.frameworks[i].id.v);
        free(b.frameworks[i].roles[0]);
        free(b.frameworks[i].roles);
    }
}
