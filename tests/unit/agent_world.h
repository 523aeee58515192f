/*
 * The world around an agent's core, for its tests: a disk that answers at once, or when told, or
 * not at all; a master and executors that say what a story lets them; a look at the effects. The
 * core's invariants are checked after every step.
 */
#ifndef RV_TESTS_AGENT_WORLD_H
#define RV_TESTS_AGENT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "agent/records.h"

/* --- the world around it --- */

struct world {
    struct rv_agent *agent;
    struct rv_agent_config config;
    struct rv_agent_info info;
    struct rv_framework_info framework;
    struct rv_agent_effects out;          /* of the last act */
    RV_VEC(struct rv_agent_effects) kept; /* own what the journal points to */
    RV_VEC(struct rv_checkpoint) journal; /* what is on disk */
    RV_VEC(struct rv_agent_sandbox) sandboxes;
    RV_VEC(const char *) volumes; /* folders that are on the disk */
    int64_t now_ms;
    bool manual_disk, full_disk;
    uint64_t next_number;
    char container[64]; /* of the last launch */
};

static inline void check(struct world *w) {
    const char *problem = rv_agent_check(w->agent);
    if (problem) {
        fail_msg("%s", problem);
    }
}

static inline void step(struct world *w, struct rv_agent_input in) {
    in.now_ms = w->now_ms;
    in.wall_ns = w->now_ms * 1000000 + 1;
    rv_agent_step(w->agent, &in, &w->out);
    check(w);
}

static inline void finish_write(struct world *w, const struct rv_checkpoint *c, bool ok) {
    struct rv_agent_input in = {.kind = RV_AGENT_CHECKPOINT_DONE};

    if (ok) {
        rv_vec_push(&w->journal, *c);
    }
    in.checkpoint.seq = c->seq;
    in.checkpoint.ok = ok;
    in.checkpoint.message = ok ? NULL : "No space left on device";
    step(w, in);
}

static inline void make_sandbox(struct world *w, const char *path) {
    struct rv_agent_sandbox s = {rv_strdup(path), w->now_ms * 1000000};

    rv_vec_push(&w->sandboxes, s);
}

static inline void remove_sandboxes(struct world *w, const char *path) {
    size_t n = strlen(path);

    for (size_t i = w->sandboxes.n; i-- > 0;) {
        const char *one = w->sandboxes.v[i].path;
        if (rv_starts_with(one, path) && (one[n] == '/' || one[n] == '\0')) {
            free((char *)(uintptr_t)one);
            rv_vec_remove_at(&w->sandboxes, i);
        }
    }
}

static inline void remove_volume(struct world *w, const char *path) {
    for (size_t i = w->volumes.n; i-- > 0;) {
        if (rv_streq(w->volumes.v[i], path)) {
            rv_vec_remove_at(&w->volumes, i);
        }
    }
}

/* The disk answers, and to what follows from that too. */
static inline void settle(struct world *w) {
    for (size_t i = 0; i < w->out.n; i++) {
        const struct rv_agent_effect *e = &w->out.v[i];
        if (e->kind == RV_AGENT_CHECKPOINT && !w->manual_disk) {
            finish_write(w, e->checkpoint, !w->full_disk);
        }
        e = &w->out.v[i];
        if (e->kind == RV_AGENT_LAUNCH_CONTAINER) {
            snprintf(w->container, sizeof w->container, "%s", e->launch->container_id.v);
            make_sandbox(w, e->launch->directory);
        } else if (e->kind == RV_AGENT_REMOVE_DIRECTORY) {
            remove_sandboxes(w, e->path);
        } else if (e->kind == RV_AGENT_REMOVE_VOLUME) {
            remove_volume(w, e->path);
        }
    }
}

/* What the journal points to is kept, the rest is let go. */
static inline void fresh(struct world *w) {
    bool keep = false;

    for (size_t i = 0; i < w->out.n; i++) {
        keep |= w->out.v[i].kind == RV_AGENT_CHECKPOINT;
    }
    if (keep) {
        rv_vec_push(&w->kept, w->out);
        w->out = (struct rv_agent_effects){0};
    } else {
        rv_agent_effects_clear(&w->out);
    }
}

static inline void act(struct world *w, struct rv_agent_input in) {
    fresh(w);
    step(w, in);
    settle(w);
}

static inline void act_kind(struct world *w, enum rv_agent_input_kind kind) {
    act(w, (struct rv_agent_input){.kind = kind});
}

static inline void pass(struct world *w, int64_t ms) {
    w->now_ms += ms;
    act_kind(w, RV_AGENT_TICK);
}

static inline void master(struct world *w, const struct rv_agent_event *e) {
    act(w, (struct rv_agent_input){.kind = RV_AGENT_MASTER_EVENT, .master = e});
}

static inline void start(struct world *w, const struct rv_agent_recovered *recovered) {
    w->agent = rv_agent_new(&w->config, recovered, w->now_ms, w->now_ms * 1000000, &w->out);
    check(w);
    settle(w);
}

static inline int setup(void **state) {
    struct world *w = rv_calloc(1, sizeof *w);

    w->info.hostname = rv_strdup("host");
    rv_resources_add_scalar(&w->info.resources, "cpus", 4000);
    rv_resources_add_scalar(&w->info.resources, "disk", 100000);
    w->config.seed = 7;
    w->config.info = &w->info;
    w->config.work_dir = "/var/lib/reeve";
    w->config.boot_id = "boot-1";
    w->config.default_user = "nobody";
    w->framework.id.v = rv_strdup("f1");
    w->framework.user = rv_strdup("root");
    w->framework.name = rv_strdup("one");
    w->framework.checkpoint = true;
    w->framework.capabilities = 1u << RV_FRAMEWORK_PARTITION_AWARE;
    w->now_ms = 1000;
    start(w, NULL);
    *state = w;
    return 0;
}

static inline int teardown(void **state) {
    struct world *w = *state;

    rv_agent_free(w->agent); /* the effects live on */
    for (size_t i = 0; i < w->kept.n; i++) {
        rv_agent_effects_free(&w->kept.v[i]);
    }
    rv_agent_effects_free(&w->out);
    rv_vec_free(&w->kept);
    rv_vec_free(&w->journal);
    remove_sandboxes(w, "/var/lib/reeve");
    rv_vec_free(&w->sandboxes);
    rv_vec_free(&w->volumes);
    rv_agent_info_free(&w->info);
    rv_framework_info_free(&w->framework);
    free(w);
    return 0;
}

/* --- looking at effects --- */

static inline const struct rv_agent_effect *find(const struct world *w,
                                                 enum rv_agent_effect_kind kind) {
    for (size_t i = 0; i < w->out.n; i++) {
        if (w->out.v[i].kind == kind) {
            return &w->out.v[i];
        }
    }
    return NULL;
}

static inline size_t count(const struct world *w, enum rv_agent_effect_kind kind) {
    size_t n = 0;
    for (size_t i = 0; i < w->out.n; i++) {
        n += w->out.v[i].kind == kind;
    }
    return n;
}

static inline const struct rv_agent_call *call(const struct world *w,
                                               enum rv_agent_call_type type) {
    for (size_t i = 0; i < w->out.n; i++) {
        const struct rv_agent_effect *e = &w->out.v[i];
        if ((e->kind == RV_AGENT_SEND_MASTER || e->kind == RV_AGENT_REGISTER) &&
            e->call->type == type) {
            return e->call;
        }
    }
    return NULL;
}

static inline size_t count_calls(const struct world *w, enum rv_agent_call_type type) {
    size_t n = 0;
    for (size_t i = 0; i < w->out.n; i++) {
        n += w->out.v[i].kind == RV_AGENT_SEND_MASTER && w->out.v[i].call->type == type;
    }
    return n;
}

static inline const struct rv_executor_event *event(const struct world *w,
                                                    enum rv_executor_event_type type) {
    for (size_t i = 0; i < w->out.n; i++) {
        if (w->out.v[i].kind == RV_AGENT_SEND_EXECUTOR && w->out.v[i].executor->type == type) {
            return w->out.v[i].executor;
        }
    }
    return NULL;
}

static inline const struct rv_task_status *update_of(const struct world *w, const char *task_id) {
    for (size_t i = 0; i < w->out.n; i++) {
        const struct rv_agent_effect *e = &w->out.v[i];
        if (e->kind == RV_AGENT_SEND_MASTER && e->call->type == RV_AGENT_CALL_STATUS_UPDATE &&
            rv_streq(e->call->update.status->task_id.v, task_id)) {
            return e->call->update.status;
        }
    }
    return NULL;
}

static inline void assert_update(const struct world *w, const char *task_id,
                                 enum rv_task_state state, enum rv_reason reason) {
    const struct rv_task_status *s = update_of(w, task_id);

    assert_non_null(s);
    assert_string_equal(rv_task_state_name((int)s->state), rv_task_state_name((int)state));
    assert_string_equal(rv_reason_name((int)s->reason), rv_reason_name((int)reason));
    assert_true(s->has_uuid && s->has_source && s->timestamp_ns != 0);
}

/* --- what master and executors say --- */

static inline void find_master(struct world *w) {
    act_kind(w, RV_AGENT_MASTER_FOUND);
    if (!find(w, RV_AGENT_REGISTER)) {
        pass(w, 100);
    }
    assert_int_equal(count(w, RV_AGENT_REGISTER), 1);
}

static inline void say_registered(struct world *w) {
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_REGISTERED};
    e.registered.agent_id.v = "agent-1";
    e.registered.ping_timeout_ms = 75000;
    master(w, &e);
}

static inline void join_master(struct world *w) {
    find_master(w);
    say_registered(w);
}

static inline struct rv_task_info make_task(const char *id) {
    struct rv_task_info t = {
        .id = {id}, .agent_id = {"agent-1"}, .kill_grace_ms = -1, .max_completion_ms = -1};
    rv_resources_add_scalar(&t.resources, "cpus", 100);
    return t;
}

static inline void run_limited(struct world *w, const struct rv_executor_info *executor, bool group,
                               const char *const *ids, size_t n, const struct rv_limits *limits) {
    struct rv_task_info tasks[4];
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_RUN_TASKS};

    for (size_t i = 0; i < n; i++) {
        tasks[i] = make_task(ids[i]);
        if (limits) {
            tasks[i].limits = limits[i];
        }
    }
    e.run.framework = &w->framework;
    e.run.executor = executor;
    e.run.group = group;
    e.run.tasks = tasks;
    e.run.n_tasks = n;
    master(w, &e);
    for (size_t i = 0; i < n; i++) {
        rv_resources_free(&tasks[i].resources);
    }
}

static inline void run(struct world *w, const struct rv_executor_info *executor, bool group,
                       const char *const *ids, size_t n) {
    run_limited(w, executor, group, ids, n, NULL);
}

static inline void run_command(struct world *w, const char *id) {
    run(w, NULL, false, &id, 1);
}

static const struct rv_executor_info __attribute__((unused)) custom = {
    .type = RV_EXECUTOR_CUSTOM, .id = {"e1"}, .framework_id = {"f1"}, .shutdown_grace_ms = -1};
static const struct rv_executor_info __attribute__((unused))
pod = {.type = RV_EXECUTOR_DEFAULT, .id = {"pod"}, .framework_id = {"f1"}, .shutdown_grace_ms = -1};

static inline void run_custom(struct world *w, const char *id) {
    run(w, &custom, false, &id, 1);
}

static inline int executor_says(struct world *w, struct rv_executor_call *c,
                                const char *executor_id) {
    struct rv_agent_input in = {.kind = RV_AGENT_EXECUTOR_CALL, .executor = c};

    c->framework_id.v = "f1";
    c->executor_id.v = executor_id;
    in.request = ++w->next_number;
    in.stream = c->type == RV_EXECUTOR_CALL_SUBSCRIBE ? in.request : 0;
    act(w, in);
    for (size_t i = 0; i < w->out.n; i++) {
        const struct rv_agent_effect *e = &w->out.v[i];
        if (e->kind == RV_AGENT_REPLY && e->request == in.request) {
            return e->status;
        }
        if (e->kind == RV_AGENT_OPEN_STREAM && e->request == in.request) {
            return 200;
        }
    }
    return 0;
}

static inline int subscribe(struct world *w, const char *executor_id) {
    struct rv_executor_call c = {.type = RV_EXECUTOR_CALL_SUBSCRIBE};
    return executor_says(w, &c, executor_id);
}

static inline struct rv_task_status make_status(const char *task_id, enum rv_task_state state,
                                                uint8_t uuid) {
    struct rv_task_status s = {.task_id = {task_id},
                               .state = state,
                               .reason = RV_REASON_NONE,
                               .healthy = -1,
                               .has_uuid = true};
    memset(s.uuid, uuid, sizeof s.uuid);
    return s;
}

static inline int update(struct world *w, const char *executor_id, const char *task_id,
                         enum rv_task_state state, uint8_t uuid) {
    struct rv_task_status s = make_status(task_id, state, uuid);
    struct rv_executor_call c = {.type = RV_EXECUTOR_CALL_UPDATE};

    c.update = &s;
    return executor_says(w, &c, executor_id);
}

static inline void acknowledge_uuid(struct world *w, const char *task_id, const uint8_t uuid[16]) {
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_ACKNOWLEDGE};

    e.acknowledge.framework_id.v = "f1";
    e.acknowledge.task_id.v = task_id;
    memcpy(e.acknowledge.uuid, uuid, 16);
    master(w, &e);
}

static inline void acknowledge(struct world *w, const char *task_id, uint8_t uuid) {
    uint8_t bytes[16];
    memset(bytes, uuid, sizeof bytes);
    acknowledge_uuid(w, task_id, bytes);
}

static inline void acknowledge_own(struct world *w, const char *task_id) {
    const struct rv_task_status *s = update_of(w, task_id);
    uint8_t uuid[16];

    assert_non_null(s);
    memcpy(uuid, s->uuid, sizeof uuid);
    acknowledge_uuid(w, task_id, uuid);
}

static inline void kill_task(struct world *w, const char *task_id) {
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_KILL_TASK};
    e.kill.framework_id.v = "f1";
    e.kill.task_id.v = task_id;
    e.kill.grace_ms = 3000;
    master(w, &e);
}

static inline void container_is(struct world *w, enum rv_agent_input_kind kind, bool ok,
                                int32_t status) {
    struct rv_agent_input in = {.kind = kind};
    in.container.id.v = w->container;
    in.container.ok = ok;
    in.container.has_status = true;
    in.container.status = status;
    in.container.reason = RV_REASON_NONE;
    act(w, in);
}

static inline void container_runs(struct world *w) {
    container_is(w, RV_AGENT_CONTAINER_LAUNCHED, true, 0);
}

static inline void container_ends(struct world *w, int32_t status) {
    container_is(w, RV_AGENT_CONTAINER_EXITED, true, status);
}

/* A custom executor e1 with the task t1 running. */
static inline void run_one(struct world *w) {
    join_master(w);
    run_custom(w, "t1");
    container_runs(w);
    assert_int_equal(subscribe(w, "e1"), 200);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_RUNNING, 1), 202);
}

/* --- operations --- */

/* So much of a resource, reserved dynamically for the role (NULL: not), as the volume of that id
 * (NULL: none). */
static inline void add_made(struct rv_resources *r, const char *name, int64_t scalar,
                            const char *role, const char *id) {
    struct rv_reservation reservation = {.dynamic = true, .role = (char *)(uintptr_t)role};
    struct rv_blob *volume = rv_blob_new("v", 1);
    struct rv_disk disk = {.persistence_id = (char *)(uintptr_t)id, .volume = volume};
    struct rv_kind kind = {.name = (char *)(uintptr_t)name,
                           .reservations = &reservation,
                           .n_reservations = role ? 1 : 0,
                           .disk = id ? &disk : NULL};
    struct rv_resource one = {.kind = rv_kind_new(&kind), .scalar = scalar, .copies = 1};

    rv_resources_add_one(r, &one);
    rv_resource_clear(&one);
    rv_blob_unref(volume);
}

/* o is let go. uuid: 16 times that. */
static inline void apply(struct world *w, struct rv_operation *o, uint8_t uuid) {
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_APPLY_OPERATION};

    e.apply.framework_id.v = "f1";
    e.apply.operation = o;
    memset(e.apply.uuid, uuid, sizeof e.apply.uuid);
    master(w, &e);
    rv_resources_free(&o->resources);
    rv_resources_free(&o->source);
}

static inline void operate(struct world *w, enum rv_operation_type type, const char *id,
                           uint8_t uuid, int64_t disk, const char *volume) {
    struct rv_operation o = {.type = type, .id = {id}};

    add_made(&o.resources, "disk", disk, "r", volume);
    apply(w, &o, uuid);
}

static inline void acknowledge_end(struct world *w, uint8_t operation, const uint8_t uuid[16]) {
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_ACKNOWLEDGE_OPERATION};

    memset(e.acknowledge_operation.operation, operation, 16);
    memcpy(e.acknowledge_operation.uuid, uuid, 16);
    master(w, &e);
}

static inline struct rv_agent_framework *framework(struct world *w) {
    return rv_map_gets(&w->agent->frameworks, "f1");
}

static inline void restart(struct world *w, const char *const *alive, size_t n) {
    struct rv_container_id ids[4];
    struct rv_agent_recovered r = {.alive = ids, .n_alive = n};

    for (size_t i = 0; i < n; i++) {
        ids[i].v = alive[i];
    }
    for (size_t i = 0; i < w->journal.n; i++) {
        w->journal.v[i].seq = i + 1; /* as it is read */
    }
    r.records = w->journal.v;
    r.n = w->journal.n;
    r.sandboxes = w->sandboxes.v;
    r.n_sandboxes = w->sandboxes.n;
    r.volumes = w->volumes.v;
    r.n_volumes = w->volumes.n;
    rv_agent_free(w->agent);
    fresh(w);
    w->config.seed++;
    start(w, &r);
}

#endif
