/*
 * A new leader's core when everybody comes back: 40,000 agents with 400,000 running tasks, in one
 * process, nothing around it. The time that the core takes from what the registry holds until the
 * last agent is back and every agent's free resources are offered again. Decoding and sending are
 * not in it (bench/codec).
 */
#include <stdio.h>
#include <stdlib.h>

#include "emulator.h"
#include "master/master.h"
#include "master/records.h"

#define AGENTS 40000u
#define TASKS_EACH 10u

static struct rv_resources agent_resources, task_resources;
static struct rv_blob *blob;
static char *role[] = {NULL};
static const char framework_id[] = "b7c6a1de-0000-4000-8000-000000000001-0000";

static void parse(const char *text, struct rv_resources *out) {
    struct rv_error err;

    if (rv_resources_parse(text, "*", out, &err)) {
        fprintf(stderr, "failover_core: %s\n", err.message);
        exit(1);
    }
}

static struct rv_agent_info agent_info(unsigned i) {
    struct rv_agent_info info = {.id = {rv_asprintf("b7c6a1de-0000-4000-8000-000000000001-S%u", i)},
                                 .hostname = rv_asprintf("node%u.example.org", i),
                                 .ip = rv_asprintf("10.%u.%u.1", i / 256, i % 256),
                                 .port = 5051,
                                 .version = rv_strdup("1.12.0"),
                                 .capabilities = 1u << RV_AGENT_MULTI_ROLE};

    rv_resources_copy(&info.resources, &agent_resources);
    return info;
}

static struct rv_framework_info framework_info(void) {
    struct rv_framework_info info = {.id = {rv_strdup(framework_id)},
                                     .user = rv_strdup("root"),
                                     .name = rv_strdup("bench"),
                                     .n_roles = 1,
                                     .checkpoint = true,
                                     .failover_timeout_ms = 86400000};

    info.capabilities = 1u << RV_FRAMEWORK_MULTI_ROLE | 1u << RV_FRAMEWORK_PARTITION_AWARE;
    info.roles = rv_memdup(role, sizeof role);
    info.roles[0] = rv_strdup(role[0]);
    info.packed = rv_blob_ref(blob);
    return info;
}

/* What an agent tells: as the shell has decoded it. */
struct story {
    struct rv_agent_info info;
    struct rv_task_info tasks[TASKS_EACH];
    struct rv_task_status statuses[TASKS_EACH];
    struct rv_task_view views[TASKS_EACH];
    struct rv_framework_info framework;
    struct rv_agent_call call;
};

static void tell(struct story *s, unsigned i) {
    s->info = agent_info(i);
    s->framework = framework_info();
    for (unsigned k = 0; k < TASKS_EACH; k++) {
        struct rv_task_info *t = &s->tasks[k];
        char *id = rv_asprintf("task-%u", i * TASKS_EACH + k);
        *t = (struct rv_task_info){.id = {id}, .name = rv_strdup("task"), .agent_id = s->info.id};
        t->packed = rv_blob_ref(blob);
        rv_resources_copy(&t->resources, &task_resources);
        rv_resources_allocate(&t->resources, role[0]);
        s->statuses[k] = (struct rv_task_status){.task_id = t->id,
                                                 .state = RV_TASK_RUNNING,
                                                 .source = RV_SOURCE_EXECUTOR,
                                                 .has_source = true,
                                                 .reason = RV_REASON_NONE,
                                                 .agent_id = s->info.id,
                                                 .healthy = -1};
        s->views[k] = (struct rv_task_view){.framework_id = {framework_id},
                                            .executor_id = {id},
                                            .command = true,
                                            .info = t,
                                            .state = RV_TASK_RUNNING,
                                            .status = &s->statuses[k]};
    }
    s->call.type = RV_AGENT_CALL_REREGISTER;
    s->call.agent_id = s->info.id;
    s->call.registration.info = &s->info;
    s->call.registration.boot_id = "boot";
    s->call.registration.life = 1;
    s->call.registration.attempt = 1;
    s->call.registration.tasks = s->views;
    s->call.registration.n_tasks = TASKS_EACH;
    s->call.registration.frameworks = &s->framework;
    s->call.registration.n_frameworks = 1;
}

static void forget(struct story *s) {
    for (unsigned k = 0; k < TASKS_EACH; k++) {
        free((char *)(uintptr_t)s->tasks[k].id.v);
        free(s->tasks[k].name);
        rv_resources_free(&s->tasks[k].resources);
        rv_blob_unref(s->tasks[k].packed);
    }
    rv_agent_info_free(&s->info);
    rv_framework_info_free(&s->framework);
    *s = (struct story){.call = {.type = RV_AGENT_CALL_REREGISTER}};
}

static double spent;

static void step(struct rv_master *m, struct rv_master_event *e, size_t *offers) {
    struct rv_effects out = {0};

    double start = now_seconds();
    rv_master_step(m, e, &out);
    for (size_t i = 0; i < out.n; i++)
        if (out.v[i].kind == RV_MASTER_SEND_SCHEDULER &&
            out.v[i].scheduler->type == RV_EVENT_OFFERS)
            *offers += out.v[i].scheduler->offers.n;
    rv_effects_clear(&out);
    spent += now_seconds() - start;
    rv_effects_free(&out);
}

static struct rv_master *boot(void) {
    struct rv_agent_info *agents = rv_calloc(AGENTS, sizeof *agents);
    struct rv_registry_framework framework = {.info = framework_info()};

    for (unsigned i = 0; i < AGENTS; i++)
        agents[i] = agent_info(i);
    struct rv_registry_snapshot registry = {
        .agents = agents, .n_agents = AGENTS, .frameworks = &framework, .n_frameworks = 1};
    struct rv_master_config config = {.id = "b7c6a1de-0000-4000-8000-000000000002", .seed = 1};
    double start = now_seconds();
    struct rv_master *m = rv_master_new(&config, &registry, 1, 1);
    spent += now_seconds() - start;
    for (unsigned i = 0; i < AGENTS; i++)
        rv_agent_info_free(&agents[i]);
    free(agents);
    rv_framework_info_free(&framework.info);
    return m;
}

static void subscribe(struct rv_master *m, size_t *offers) {
    struct rv_framework_info info = framework_info();
    struct rv_scheduler_call call = {.type = RV_CALL_SUBSCRIBE, .framework_id = info.id};
    struct rv_master_event event = {
        .kind = RV_MASTER_SCHEDULER_CALL, .now_ms = 1, .request = 1, .stream = 2};

    call.subscribe.info = &info;
    event.scheduler = &call;
    step(m, &event, offers);
    rv_framework_info_free(&info);
    /* If it had to be written again. */
    for (uint64_t seq = 0; seq < 4; seq++) {
        struct rv_master_event done = {.kind = RV_MASTER_REGISTRY_DONE, .now_ms = 1};
        done.registry.seq = seq;
        done.registry.ok = true;
        step(m, &done, offers);
    }
}

int main(void) {
    struct story *story = rv_calloc(1, sizeof *story);
    size_t offers = 0;
    uint64_t number = 100;
    int64_t now_ms = 2;

    role[0] = rv_strdup("bench");
    blob = rv_blob_new("\n\0", 2);
    parse("cpus:16;mem:65536;disk:100000;ports:[31000-32000]", &agent_resources);
    parse("cpus:1;mem:1024", &task_resources);
    struct rv_master *m = boot();
    subscribe(m, &offers);
    for (unsigned i = 0; i < AGENTS; i++) {
        tell(story, i);
        struct rv_master_event event = {.kind = RV_MASTER_AGENT_CALL, .now_ms = now_ms};
        event.request = number++;
        event.stream = number++;
        event.agent = &story->call;
        step(m, &event, &offers);
        forget(story);
        if (i % 40 == 39) { /* 40,000 agents within a second */
            now_ms++;
            if (rv_master_deadline(m) <= now_ms)
                step(m, &(struct rv_master_event){.kind = RV_MASTER_TICK, .now_ms = now_ms},
                     &offers);
        }
    }
    for (int i = 0; i < 100000 && offers < AGENTS; i++) {
        now_ms = RV_MAX(now_ms, rv_master_deadline(m));
        step(m, &(struct rv_master_event){.kind = RV_MASTER_TICK, .now_ms = now_ms}, &offers);
    }
    if (rv_map_count(&m->agents) != AGENTS || offers < AGENTS) {
        fprintf(stderr, "failover_core: %zu agents are back, %zu offers\n",
                rv_map_count(&m->agents), offers);
        return 1;
    }
    printf("figure failover.sim %.2f s\n", spent);
    rv_master_free(m);
    free(story);
    rv_resources_free(&agent_resources);
    rv_resources_free(&task_resources);
    rv_blob_unref(blob);
    free(role[0]);
    return 0;
}
