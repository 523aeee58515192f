/* The executors' state machine: events in, actions out, no process anywhere. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/str.h"
#include "executor/executor.h"

enum {
    RUNNING = REEVE__V1__TASK_STATE__TASK_RUNNING,
    FINISHED = REEVE__V1__TASK_STATE__TASK_FINISHED,
    FAILED = REEVE__V1__TASK_STATE__TASK_FAILED,
    KILLED = REEVE__V1__TASK_STATE__TASK_KILLED,
    KILLING = REEVE__V1__TASK_STATE__TASK_KILLING,
    HEALTH = REEVE__V1__TASK_STATUS__REASON__REASON_TASK_HEALTH_CHECK_STATUS_UPDATED,
    CHECK = REEVE__V1__TASK_STATUS__REASON__REASON_TASK_CHECK_STATUS_UPDATED,
};

struct world {
    struct rv_executor *x;
    int64_t now_ms;
    uint64_t random;
    const struct rv_executor_actions *last;
    size_t at;                       /* the next of them that was not expected yet */
    Reeve__V1__Executor__Call *call; /* of the last update or subscription */
};

static void count(void *ctx, void *out, size_t n) {
    struct world *w = ctx;
    uint8_t *bytes = out;

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(w->random++ * 37 >> 2);
}

static struct world *new_world(struct rv_executor_config config) {
    struct world *w = rv_calloc(1, sizeof *w);

    config.framework_id = "framework";
    config.executor_id = "executor";
    config.random = count;
    config.random_ctx = w;
    if (!config.shutdown_grace_ms)
        config.shutdown_grace_ms = 5000;
    if (!config.recovery_timeout_ms)
        config.recovery_timeout_ms = 60000;
    if (!config.backoff_max_ms)
        config.backoff_max_ms = 2000;
    w->now_ms = 1000;
    w->x = rv_executor_new(&config);
    return w;
}

static void free_world(struct world *w) {
    if (w->call)
        reeve__v1__executor__call__free_unpacked(w->call, NULL);
    rv_executor_free(w->x);
    free(w);
}

static void give(struct world *w, struct rv_executor_input in) {
    in.now_ms = w->now_ms;
    in.wall_s = 1e9 + (double)w->now_ms / 1000;
    w->last = rv_executor_step(w->x, &in);
    w->at = 0;
}

static void tick(struct world *w, int64_t ms) {
    w->now_ms += ms;
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_TICK});
}

static const struct rv_executor_action *next(struct world *w, enum rv_executor_action_kind kind) {
    const struct rv_executor_action *a;

    if (w->at >= w->last->n)
        fail_msg("no action is left, but %d was expected", kind);
    a = &w->last->v[w->at++];
    assert_int_equal(a->kind, kind);
    return a;
}

static void nothing_more(const struct world *w) {
    assert_int_equal(w->at, w->last->n);
}

static const Reeve__V1__Executor__Call *unpack(struct world *w,
                                               const struct rv_executor_action *a) {
    if (w->call)
        reeve__v1__executor__call__free_unpacked(w->call, NULL);
    w->call = reeve__v1__executor__call__unpack(NULL, a->body.n, (const uint8_t *)a->body.s);
    assert_non_null(w->call);
    assert_string_equal(w->call->framework_id->value, "framework");
    assert_string_equal(w->call->executor_id->value, "executor");
    return w->call;
}

static const Reeve__V1__TaskStatus *update(struct world *w, const char *task, int state) {
    const Reeve__V1__Executor__Call *call = unpack(w, next(w, RV_EXECUTOR_CALL));
    const Reeve__V1__TaskStatus *s;

    assert_int_equal(call->type, REEVE__V1__EXECUTOR__CALL__TYPE__UPDATE);
    s = call->update->status;
    assert_string_equal(s->task_id->value, task);
    assert_int_equal(s->state, state);
    assert_int_equal(s->uuid.len, 16);
    assert_int_equal(s->source, REEVE__V1__TASK_STATUS__SOURCE__SOURCE_EXECUTOR);
    return s;
}

/* ---- events ---- */

static void event(struct world *w, Reeve__V1__Executor__Event__Type type,
                  Reeve__V1__Executor__Event e) {
    e.base.descriptor = &reeve__v1__executor__event__descriptor;
    e.has_type = true;
    e.type = type;
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_EVENT, .event = &e});
}
#define EVENT(w, TYPE, ...)                                                                        \
    event(w, REEVE__V1__EXECUTOR__EVENT__TYPE__##TYPE, (Reeve__V1__Executor__Event){__VA_ARGS__})

static void subscribed(struct world *w, bool killing_state) {
    Reeve__V1__FrameworkInfo__Capability capability = REEVE__V1__FRAMEWORK_INFO__CAPABILITY__INIT;
    Reeve__V1__FrameworkInfo__Capability *capabilities[] = {&capability};
    Reeve__V1__FrameworkInfo framework = REEVE__V1__FRAMEWORK_INFO__INIT;
    Reeve__V1__ContainerID container = REEVE__V1__CONTAINER_ID__INIT;
    Reeve__V1__Executor__Event__Subscribed s = REEVE__V1__EXECUTOR__EVENT__SUBSCRIBED__INIT;
    char id[] = "container", name[] = "name";

    capability.has_type = true;
    capability.type = REEVE__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__TASK_KILLING_STATE;
    framework.user = framework.name = name;
    framework.n_capabilities = killing_state;
    framework.capabilities = capabilities;
    container.value = id;
    s.framework_info = &framework;
    s.container_id = &container;
    EVENT(w, SUBSCRIBED, .subscribed = &s);
}

static void connect_world(struct world *w, bool killing_state) {
    tick(w, 0);
    next(w, RV_EXECUTOR_SUBSCRIBE);
    nothing_more(w);
    subscribed(w, killing_state);
}

struct task_proto {
    Reeve__V1__TaskInfo info;
    Reeve__V1__TaskID id;
    Reeve__V1__AgentID agent;
    Reeve__V1__CommandInfo command;
    Reeve__V1__HealthCheck health;
    Reeve__V1__CheckInfo check;
    Reeve__V1__CheckInfo__Command check_command;
    Reeve__V1__DurationInfo completion;
    char name[16];
};

static void init_task(struct task_proto *t, const char *name) {
    static char value[] = "sleep 1000", agent[] = "agent";

    memset(t, 0, sizeof *t);
    reeve__v1__task_info__init(&t->info);
    reeve__v1__task_id__init(&t->id);
    reeve__v1__agent_id__init(&t->agent);
    reeve__v1__command_info__init(&t->command);
    reeve__v1__health_check__init(&t->health);
    reeve__v1__check_info__init(&t->check);
    reeve__v1__check_info__command__init(&t->check_command);
    reeve__v1__duration_info__init(&t->completion);
    snprintf(t->name, sizeof t->name, "%s", name);
    t->id.value = t->info.name = t->name;
    t->agent.value = agent;
    t->command.value = value;
    t->info.task_id = &t->id;
    t->info.agent_id = &t->agent;
    t->info.command = &t->command;
    t->check_command.command = &t->command;
}

static void add_health(struct task_proto *t, double delay, double grace, unsigned failures) {
    t->info.health_check = &t->health;
    t->health.has_type = true;
    t->health.type = REEVE__V1__HEALTH_CHECK__TYPE__COMMAND;
    t->health.command = &t->command;
    t->health.delay_seconds = delay;
    t->health.interval_seconds = 1;
    t->health.timeout_seconds = 5;
    t->health.grace_period_seconds = grace;
    t->health.consecutive_failures = failures;
    t->health.has_delay_seconds = t->health.has_interval_seconds = true;
    t->health.has_timeout_seconds = t->health.has_grace_period_seconds = true;
    t->health.has_consecutive_failures = true;
}

static unsigned launch(struct world *w, struct task_proto *t) {
    Reeve__V1__Executor__Event__Launch l = REEVE__V1__EXECUTOR__EVENT__LAUNCH__INIT;
    unsigned number;

    l.task = &t->info;
    EVENT(w, LAUNCH, .launch = &l);
    number = next(w, RV_EXECUTOR_LAUNCH)->task;
    nothing_more(w);
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_LAUNCHED, .task = number, .ok = true});
    update(w, t->name, RUNNING);
    return number;
}

static unsigned launch_simple(struct world *w, const char *name) {
    struct task_proto t;

    init_task(&t, name);
    return launch(w, &t);
}

static void kill_task(struct world *w, const char *name, int64_t grace_ms) {
    Reeve__V1__Executor__Event__Kill k = REEVE__V1__EXECUTOR__EVENT__KILL__INIT;
    Reeve__V1__TaskID id = REEVE__V1__TASK_ID__INIT;
    Reeve__V1__KillPolicy policy = REEVE__V1__KILL_POLICY__INIT;
    Reeve__V1__DurationInfo grace = REEVE__V1__DURATION_INFO__INIT;

    id.value = (char *)(uintptr_t)name;
    k.task_id = &id;
    grace.nanoseconds = grace_ms * 1000000;
    policy.grace_period = &grace;
    if (grace_ms >= 0)
        k.kill_policy = &policy;
    EVENT(w, KILL, .kill = &k);
}

static void acknowledge(struct world *w, const Reeve__V1__TaskStatus *status) {
    Reeve__V1__Executor__Event__Acknowledged a = REEVE__V1__EXECUTOR__EVENT__ACKNOWLEDGED__INIT;

    a.task_id = status->task_id;
    a.uuid = status->uuid;
    EVENT(w, ACKNOWLEDGED, .acknowledged = &a);
}

static void exit_task(struct world *w, unsigned number, int wait_status) {
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_EXITED,
                                       .task = number,
                                       .has_status = true,
                                       .wait_status = wait_status});
}

static void checked(struct world *w, unsigned number, enum rv_executor_check check, bool ok,
                    int value) {
    give(
        w,
        (struct rv_executor_input){
            .kind = RV_EXECUTOR_CHECKED, .task = number, .check = check, .ok = ok, .value = value});
}

/* ---- tests ---- */

static void test_life(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND});
    const Reeve__V1__TaskStatus *s;
    struct task_proto t;
    unsigned number;

    (void)state;
    connect_world(w, false);
    init_task(&t, "t");
    number = launch(w, &t);
    nothing_more(w);
    assert_string_equal(w->call->update->status->container_status->container_id->value,
                        "container");
    acknowledge(w, w->call->update->status);
    nothing_more(w);
    exit_task(w, number, 0);
    s = update(w, "t", FINISHED);
    assert_string_equal(s->message, "Command exited with status 0");
    nothing_more(w);
    acknowledge(w, s);
    assert_int_equal(next(w, RV_EXECUTOR_EXIT)->status, 0);
    assert_true(rv_executor_deadline(w->x) == INT64_MAX);
    free_world(w);
}

static void test_failures(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_GROUP});
    Reeve__V1__Executor__Event__Launch l = REEVE__V1__EXECUTOR__EVENT__LAUNCH__INIT;
    struct task_proto t;
    unsigned number;

    (void)state;
    connect_world(w, false);
    exit_task(w, launch_simple(w, "a"), 3 << 8);
    assert_string_equal(update(w, "a", FAILED)->message, "Command exited with status 3");
    exit_task(w, launch_simple(w, "b"), SIGKILL);
    assert_string_equal(update(w, "b", FAILED)->message, "Command terminated with signal Killed");
    init_task(&t, "c");
    l.task = &t.info;
    EVENT(w, LAUNCH, .launch = &l);
    number = next(w, RV_EXECUTOR_LAUNCH)->task;
    give(w, (struct rv_executor_input){
                .kind = RV_EXECUTOR_LAUNCHED, .task = number, .message = "no such file"});
    assert_string_equal(update(w, "c", FAILED)->message, "no such file");
    free_world(w);
}

static void test_kill_grace(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND});
    unsigned number;

    (void)state;
    connect_world(w, true);
    number = launch_simple(w, "t");
    kill_task(w, "other", -1);
    nothing_more(w);
    kill_task(w, "t", -1);
    update(w, "t", KILLING);
    assert_int_equal(next(w, RV_EXECUTOR_TERMINATE)->task, number);
    nothing_more(w);
    assert_int_equal(rv_executor_deadline(w->x) - w->now_ms, 3000);
    kill_task(w, "t", 10000); /* never later */
    assert_int_equal(rv_executor_deadline(w->x) - w->now_ms, 3000);
    kill_task(w, "t", 500);
    nothing_more(w);
    tick(w, 499);
    nothing_more(w);
    tick(w, 1);
    assert_int_equal(next(w, RV_EXECUTOR_KILL)->task, number);
    tick(w, 10000);
    nothing_more(w); /* once */
    exit_task(w, number, 0);
    update(w, "t", KILLED); /* though it ended with 0 */
    free_world(w);
}

static void test_kill_while_launching(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND});
    Reeve__V1__Executor__Event__Launch l = REEVE__V1__EXECUTOR__EVENT__LAUNCH__INIT;
    struct task_proto t;

    (void)state;
    connect_world(w, false);
    init_task(&t, "t");
    l.task = &t.info;
    EVENT(w, LAUNCH, .launch = &l);
    next(w, RV_EXECUTOR_LAUNCH);
    kill_task(w, "t", 700);
    next(w, RV_EXECUTOR_CANCEL_LAUNCH);
    kill_task(w, "t", 700);
    nothing_more(w);
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_LAUNCHED, .ok = true});
    update(w, "t", RUNNING);
    next(w, RV_EXECUTOR_TERMINATE);
    assert_int_equal(rv_executor_deadline(w->x) - w->now_ms, 700);
    free_world(w);
}

/* As while its URIs are fetched. */
static void test_kill_before_start(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND});
    Reeve__V1__Executor__Event__Launch l = REEVE__V1__EXECUTOR__EVENT__LAUNCH__INIT;
    struct task_proto t;

    (void)state;
    connect_world(w, false);
    init_task(&t, "t");
    l.task = &t.info;
    EVENT(w, LAUNCH, .launch = &l);
    next(w, RV_EXECUTOR_LAUNCH);
    kill_task(w, "t", 700);
    next(w, RV_EXECUTOR_CANCEL_LAUNCH);
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_LAUNCHED, .message = "no"});
    update(w, "t", KILLED);
    free_world(w);
}

static void test_completion_time(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND});
    struct task_proto t;
    unsigned number;

    (void)state;
    connect_world(w, false);
    init_task(&t, "t");
    t.completion.nanoseconds = 2000000000;
    t.info.max_completion_time = &t.completion;
    number = launch(w, &t);
    assert_int_equal(rv_executor_deadline(w->x) - w->now_ms, 2000);
    tick(w, 2000);
    next(w, RV_EXECUTOR_TERMINATE);
    next(w, RV_EXECUTOR_KILL); /* its time is over: there is no grace */
    exit_task(w, number, SIGTERM);
    assert_int_equal(update(w, "t", FAILED)->reason,
                     REEVE__V1__TASK_STATUS__REASON__REASON_MAX_COMPLETION_TIME_REACHED);
    free_world(w);
}

static void test_health(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND});
    const Reeve__V1__TaskStatus *s;
    struct task_proto t;
    unsigned number;

    (void)state;
    connect_world(w, false);
    init_task(&t, "t");
    add_health(&t, 2, 10, 2);
    number = launch(w, &t);
    assert_int_equal(rv_executor_deadline(w->x) - w->now_ms, 2000);
    tick(w, 2000);
    next(w, RV_EXECUTOR_START_CHECK);
    checked(w, number, RV_EXECUTOR_HEALTH, true, 1); /* in the grace period: ignored */
    nothing_more(w);
    tick(w, 1000);
    next(w, RV_EXECUTOR_START_CHECK);
    checked(w, number, RV_EXECUTOR_HEALTH, true, 0);
    s = update(w, "t", RUNNING);
    assert_true(s->has_healthy && s->healthy && (int)s->reason == HEALTH);
    tick(w, 1000);
    next(w, RV_EXECUTOR_START_CHECK);
    checked(w, number, RV_EXECUTOR_HEALTH, true, 0); /* told once */
    nothing_more(w);
    tick(w, 1000);
    next(w, RV_EXECUTOR_START_CHECK);
    checked(w, number, RV_EXECUTOR_HEALTH, true, 1); /* the grace period is over for good */
    s = update(w, "t", RUNNING);
    assert_true(s->has_healthy && !s->healthy && (int)s->reason == HEALTH);
    tick(w, 1000);
    next(w, RV_EXECUTOR_START_CHECK);
    tick(w, 4999);
    nothing_more(w);
    tick(w, 1); /* a timeout is a failure, and this was the second in a row */
    next(w, RV_EXECUTOR_CANCEL_CHECK);
    assert_string_equal(update(w, "t", RUNNING)->message, "The check timed out");
    next(w, RV_EXECUTOR_TERMINATE);
    nothing_more(w);
    checked(w, number, RV_EXECUTOR_HEALTH, true, 0); /* too late */
    nothing_more(w);
    exit_task(w, number, SIGTERM);
    s = update(w, "t", KILLED);
    assert_true(s->has_healthy && !s->healthy && (int)s->reason == HEALTH);
    free_world(w);
}

/* What could not be made says nothing about the task; it is made again after the interval. */
static void test_unknown_result(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_GROUP});
    struct task_proto t;
    unsigned number;

    (void)state;
    connect_world(w, false);
    init_task(&t, "t");
    add_health(&t, 0, 0, 1);
    number = launch(w, &t);
    for (int i = 0; i < 5; i++) {
        const struct rv_executor_action *a = next(w, RV_EXECUTOR_START_CHECK);
        assert_string_equal(a->parent->value, "container");
        assert_int_equal(strlen(a->container), 36);
        give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_CHECKED,
                                           .task = number,
                                           .check = RV_EXECUTOR_HEALTH,
                                           .unknown = true});
        nothing_more(w);
        tick(w, 1000);
    }
    free_world(w);
}

static void test_loopback_of_version_6(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND});
    Reeve__V1__HealthCheck__HTTPCheckInfo http = REEVE__V1__HEALTH_CHECK__HTTPCHECK_INFO__INIT;
    const struct rv_executor_action *a;
    struct task_proto t;
    char path[] = "/p", scheme[] = "https";

    (void)state;
    connect_world(w, false);
    init_task(&t, "t");
    add_health(&t, 0, 0, 1);
    t.health.type = REEVE__V1__HEALTH_CHECK__TYPE__HTTP;
    t.health.command = NULL;
    t.health.http = &http;
    http.port = 8080;
    http.path = path;
    http.scheme = scheme;
    http.has_protocol = true;
    http.protocol = REEVE__V1__NETWORK_INFO__PROTOCOL__IPv6;
    launch(w, &t);
    a = next(w, RV_EXECUTOR_START_CHECK);
    assert_true(a->spec.ipv6);
    assert_int_equal(a->spec.port, 8080);
    assert_string_equal(a->spec.path, "/p");
    assert_string_equal(a->spec.scheme, "https");
    free_world(w);
}

static void test_check(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND});
    const Reeve__V1__TaskStatus *s;
    struct task_proto t;
    unsigned number;

    (void)state;
    connect_world(w, false);
    init_task(&t, "t");
    t.info.check = &t.check;
    t.check.has_type = t.check.has_delay_seconds = t.check.has_interval_seconds = true;
    t.check.type = REEVE__V1__CHECK_INFO__TYPE__COMMAND;
    t.check.command = &t.check_command;
    t.check.delay_seconds = 0;
    t.check.interval_seconds = 1;
    number = launch(w, &t);
    s = w->call->update->status;
    assert_int_equal(s->check_status->type, REEVE__V1__CHECK_INFO__TYPE__COMMAND);
    assert_non_null(s->check_status->command);
    assert_false(s->check_status->command->has_exit_code);
    next(w, RV_EXECUTOR_START_CHECK);
    for (int i = 0; i < 2; i++) {
        checked(w, number, RV_EXECUTOR_CHECK, true, 3);
        if (i == 0)
            assert_int_equal(update(w, "t", RUNNING)->check_status->command->exit_code, 3);
        nothing_more(w); /* the same result is not told twice */
        tick(w, 1000);
        next(w, RV_EXECUTOR_START_CHECK);
    }
    checked(w, number, RV_EXECUTOR_CHECK, false, 0); /* no result is one too, and empty */
    s = update(w, "t", RUNNING);
    assert_int_equal(s->reason, CHECK);
    assert_false(s->check_status->command->has_exit_code);
    /* Without a connection nothing is checked, so that nothing piles up. */
    tick(w, 1000);
    next(w, RV_EXECUTOR_START_CHECK);
    checked(w, number, RV_EXECUTOR_CHECK, true, 4);
    free_world(w);
}

static void send_group(struct world *w, const char *const *names, size_t n, unsigned *numbers) {
    Reeve__V1__Executor__Event__LaunchGroup l = REEVE__V1__EXECUTOR__EVENT__LAUNCH_GROUP__INIT;
    Reeve__V1__TaskGroupInfo group = REEVE__V1__TASK_GROUP_INFO__INIT;
    struct task_proto *t = rv_calloc(n, sizeof *t);
    Reeve__V1__TaskInfo **infos = rv_calloc(n, sizeof(void *));

    for (size_t i = 0; i < n; i++) {
        init_task(&t[i], names[i]);
        infos[i] = &t[i].info;
    }
    group.n_tasks = n;
    group.tasks = infos;
    l.task_group = &group;
    EVENT(w, LAUNCH_GROUP, .launch_group = &l);
    for (size_t i = 0; i < n; i++) {
        const struct rv_executor_action *a = next(w, RV_EXECUTOR_LAUNCH);
        assert_string_equal(a->parent->value, "container");
        numbers[i] = a->task;
    }
    free(t);
    free(infos);
}

static void launch_group(struct world *w, const char *const *names, size_t n, unsigned *numbers) {
    send_group(w, names, n, numbers);
    for (size_t i = 0; i < n; i++) {
        give(w, (struct rv_executor_input){
                    .kind = RV_EXECUTOR_LAUNCHED, .task = numbers[i], .ok = true});
        assert_string_equal(
            update(w, names[i], RUNNING)->container_status->container_id->parent->value,
            "container");
    }
}

static void test_group(void **state) {
    static const char *const one[] = {"a", "b", "c"}, *const two[] = {"d", "e"};
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_GROUP});
    unsigned n[3], m[2];

    (void)state;
    connect_world(w, false);
    launch_group(w, one, 3, n);
    launch_group(w, two, 2, m);
    exit_task(w, n[0], 0);
    update(w, "a", FINISHED);
    nothing_more(w); /* the others go on */
    exit_task(w, n[1], 1 << 8);
    update(w, "b", FAILED);
    assert_int_equal(next(w, RV_EXECUTOR_TERMINATE)->task, n[2]);
    nothing_more(w); /* the other group goes on */
    exit_task(w, n[2], SIGTERM);
    update(w, "c", KILLED);
    kill_task(w, "d", -1);
    assert_int_equal(next(w, RV_EXECUTOR_TERMINATE)->task, m[0]);
    assert_int_equal(next(w, RV_EXECUTOR_TERMINATE)->task, m[1]);
    nothing_more(w);
    exit_task(w, m[0], SIGTERM);
    exit_task(w, m[1], SIGTERM);
    update(w, "e", KILLED);
    nothing_more(w);
    free_world(w);
}

/* What the agent knows about the end goes before what the executor can tell. */
static void test_ends_of_containers(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_GROUP});
    Reeve__V1__TaskResourceLimitation limitation = REEVE__V1__TASK_RESOURCE_LIMITATION__INIT;
    static const char *const one[] = {"a"}, *const two[] = {"b"}, *const three[] = {"c"};
    const int memory = REEVE__V1__TASK_STATUS__REASON__REASON_CONTAINER_LIMITATION_MEMORY;
    const Reeve__V1__TaskStatus *s;
    unsigned a, b, c;

    (void)state;
    connect_world(w, false);
    launch_group(w, one, 1, &a);
    launch_group(w, two, 1, &b);
    launch_group(w, three, 1, &c);
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_EXITED, .task = a});
    s = update(w, "a", FAILED);
    assert_string_equal(s->message, "Command terminated with unknown status");
    assert_false(s->has_reason);
    kill_task(w, "b", -1);
    for (unsigned *n = &b;; n = &c) {
        give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_EXITED,
                                           .task = *n,
                                           .has_status = true,
                                           .wait_status = SIGKILL,
                                           .has_reason = true,
                                           .reason = memory,
                                           .message = "too much",
                                           .limitation = &limitation});
        s = update(w, n == &b ? "b" : "c", FAILED);
        assert_string_equal(s->message, "Command terminated with signal Killed: too much");
        assert_int_equal(s->reason, memory);
        assert_non_null(s->limitation);
        if (n == &c)
            break;
    }
    free_world(w);
}

/* One task cannot be launched, one is launched in spite of the kill, one not any more. */
static void test_group_fails_while_launching(void **state) {
    static const char *const names[] = {"a", "b", "c"};
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_GROUP});
    unsigned n[3];

    (void)state;
    connect_world(w, false);
    send_group(w, names, 3, n);
    give(w, (struct rv_executor_input){
                .kind = RV_EXECUTOR_LAUNCHED, .task = n[0], .message = "no room"});
    assert_string_equal(update(w, "a", FAILED)->message, "no room");
    assert_int_equal(next(w, RV_EXECUTOR_CANCEL_LAUNCH)->task, n[1]);
    assert_int_equal(next(w, RV_EXECUTOR_CANCEL_LAUNCH)->task, n[2]);
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_LAUNCHED, .task = n[1], .ok = true});
    update(w, "b", RUNNING);
    assert_int_equal(next(w, RV_EXECUTOR_TERMINATE)->task, n[1]);
    give(w, (struct rv_executor_input){
                .kind = RV_EXECUTOR_LAUNCHED, .task = n[2], .message = "destroyed"});
    update(w, "c", KILLED);
    nothing_more(w);
    exit_task(w, n[1], SIGTERM);
    update(w, "b", KILLED);
    nothing_more(w);
    free_world(w);
}

/* A task that ends before all of its group were launched: that is told after all run. */
static void test_ends_while_others_are_launched(void **state) {
    static const char *const names[] = {"a", "b", "c"}, *const two[] = {"d", "e"};
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_GROUP});
    Reeve__V1__TaskResourceLimitation limitation = REEVE__V1__TASK_RESOURCE_LIMITATION__INIT;
    const Reeve__V1__TaskStatus *s;
    unsigned n[3], m[2];

    (void)state;
    connect_world(w, false);
    send_group(w, names, 3, n);
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_LAUNCHED, .task = n[0], .ok = true});
    update(w, "a", RUNNING);
    exit_task(w, n[0], 0);
    nothing_more(w);
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_LAUNCHED, .task = n[1], .ok = true});
    update(w, "b", RUNNING);
    nothing_more(w);
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_LAUNCHED, .task = n[2], .ok = true});
    update(w, "c", RUNNING);
    update(w, "a", FINISHED);
    nothing_more(w);
    send_group(w, two, 2, m);
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_LAUNCHED, .task = m[0], .ok = true});
    update(w, "d", RUNNING);
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_EXITED,
                                       .task = m[0],
                                       .message = "too much",
                                       .limitation = &limitation});
    kill_task(w, "d", -1); /* too late; the other one goes with it */
    assert_int_equal(next(w, RV_EXECUTOR_CANCEL_LAUNCH)->task, m[1]);
    give(w, (struct rv_executor_input){
                .kind = RV_EXECUTOR_LAUNCHED, .task = m[1], .message = "destroyed"});
    update(w, "e", KILLED);
    s = update(w, "d", FAILED);
    assert_string_equal(s->message, "Command terminated with unknown status: too much");
    assert_non_null(s->limitation);
    nothing_more(w);
    free_world(w);
}

/* The grace of a kill's own policy is everybody's; else each task has that of its own policy. */
static void test_grace_of_a_group(void **state) {
    static const char *const names[] = {"a", "b"};
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_GROUP});
    unsigned n[2];

    (void)state;
    connect_world(w, false);
    launch_group(w, names, 2, n);
    kill_task(w, "a", 700);
    next(w, RV_EXECUTOR_TERMINATE);
    next(w, RV_EXECUTOR_TERMINATE);
    assert_int_equal(rv_executor_deadline(w->x) - w->now_ms, 700);
    tick(w, 700);
    assert_int_equal(next(w, RV_EXECUTOR_KILL)->task, n[0]);
    assert_int_equal(next(w, RV_EXECUTOR_KILL)->task, n[1]);
    exit_task(w, n[0], SIGKILL);
    update(w, "a", KILLED);
    nothing_more(w); /* the other one is being killed already */
    exit_task(w, n[1], SIGKILL);
    update(w, "b", KILLED);
    free_world(w);
}

static void test_shutdown(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND});
    unsigned number;

    (void)state;
    connect_world(w, false);
    number = launch_simple(w, "t");
    acknowledge(w, w->call->update->status);
    EVENT(w, SHUTDOWN, .type = 0);
    next(w, RV_EXECUTOR_TERMINATE);
    assert_true(rv_executor_deadline(w->x) - w->now_ms < 5000); /* before the agent's patience */
    exit_task(w, number, SIGTERM);
    acknowledge(w, update(w, "t", KILLED));
    assert_int_equal(next(w, RV_EXECUTOR_EXIT)->status, 0);
    free_world(w);
}

static void test_shutdown_when_idle(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_GROUP});

    (void)state;
    connect_world(w, false);
    nothing_more(w);
    EVENT(w, SHUTDOWN, .type = 0);
    assert_int_equal(next(w, RV_EXECUTOR_EXIT)->status, 0);
    free_world(w);
}

static void disconnect(struct world *w, int status) {
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_DISCONNECTED, .status = status});
}

static void test_lost_without_checkpoint(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND});
    unsigned number;

    (void)state;
    connect_world(w, false);
    number = launch_simple(w, "t");
    disconnect(w, 0);
    next(w, RV_EXECUTOR_ABANDON);
    next(w, RV_EXECUTOR_TERMINATE);
    nothing_more(w);
    exit_task(w, number, SIGTERM);
    assert_int_equal(next(w, RV_EXECUTOR_EXIT)->status, 1); /* nobody to tell */
    free_world(w);
}

static void test_lost_with_checkpoint(void **state) {
    struct world *w =
        new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND, .checkpoint = true});
    const Reeve__V1__Executor__Call *call;
    uint8_t uuid[16];
    unsigned number;

    (void)state;
    connect_world(w, false);
    number = launch_simple(w, "t");
    memcpy(uuid, w->call->update->status->uuid.data, sizeof uuid);
    disconnect(w, 0);
    nothing_more(w);
    exit_task(w, number, 0);
    nothing_more(w); /* kept */
    for (int i = 0; i < 5; i++) {
        int64_t wait = rv_executor_deadline(w->x) - w->now_ms;
        assert_true(wait > 0 && wait <= 2001);
        tick(w, wait);
        call = unpack(w, next(w, RV_EXECUTOR_SUBSCRIBE));
        nothing_more(w);
        disconnect(w, 503);
    }
    assert_int_equal(call->subscribe->n_unacknowledged_tasks, 1);
    assert_int_equal(call->subscribe->n_unacknowledged_updates, 2);
    assert_int_equal(call->subscribe->unacknowledged_updates[1]->status->state, FINISHED);
    assert_memory_equal(call->subscribe->unacknowledged_updates[0]->status->uuid.data, uuid, 16);
    tick(w, 2001);
    next(w, RV_EXECUTOR_SUBSCRIBE);
    subscribed(w, false);
    nothing_more(w); /* all was in SUBSCRIBE */
    tick(w, 60000);
    assert_int_equal(next(w, RV_EXECUTOR_EXIT)->status, 1); /* it does not acknowledge */
    free_world(w);
}

static void test_update_between_subscribe_and_subscribed(void **state) {
    struct world *w =
        new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND, .checkpoint = true});
    unsigned number;

    (void)state;
    connect_world(w, false);
    number = launch_simple(w, "t");
    disconnect(w, 0);
    tick(w, 2001);
    next(w, RV_EXECUTOR_SUBSCRIBE);
    exit_task(w, number, 0);
    nothing_more(w);
    subscribed(w, false);
    update(w, "t", FINISHED);
    nothing_more(w);
    free_world(w);
}

static void test_recovery_timeout(void **state) {
    struct world *w =
        new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND, .checkpoint = true});

    (void)state;
    connect_world(w, false);
    launch_simple(w, "t");
    disconnect(w, 0);
    tick(w, 60000);
    next(w, RV_EXECUTOR_ABANDON);
    next(w, RV_EXECUTOR_TERMINATE);
    nothing_more(w);
    free_world(w);
}

static void test_refused(void **state) {
    struct world *w =
        new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND, .checkpoint = true});

    (void)state;
    for (int i = 0; i < 3; i++) {
        tick(w, 2001);
        next(w, RV_EXECUTOR_SUBSCRIBE);
        disconnect(w, 403);
    }
    next(w, RV_EXECUTOR_ABANDON);
    assert_int_equal(next(w, RV_EXECUTOR_EXIT)->status, 1);
    free_world(w);
}

static void test_failed_call_is_repeated(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND});
    uint8_t uuid[16];

    (void)state;
    connect_world(w, false);
    launch_simple(w, "t");
    memcpy(uuid, w->call->update->status->uuid.data, sizeof uuid);
    give(w, (struct rv_executor_input){.kind = RV_EXECUTOR_CALL_FAILED, .status = 503});
    nothing_more(w);
    tick(w, 1000);
    assert_memory_equal(update(w, "t", RUNNING)->uuid.data, uuid, 16);
    nothing_more(w);
    free_world(w);
}

static void test_second_task(void **state) {
    struct world *w = new_world((struct rv_executor_config){.mode = RV_EXECUTOR_COMMAND});
    Reeve__V1__Executor__Event__Launch l = REEVE__V1__EXECUTOR__EVENT__LAUNCH__INIT;
    struct task_proto t;

    (void)state;
    connect_world(w, false);
    launch_simple(w, "t");
    init_task(&t, "u");
    l.task = &t.info;
    EVENT(w, LAUNCH, .launch = &l);
    acknowledge(w, update(w, "u", FAILED));
    nothing_more(w);
    free_world(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_kill_grace),
        cmocka_unit_test(test_kill_while_launching),
        cmocka_unit_test(test_kill_before_start),
        cmocka_unit_test(test_completion_time),
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_unknown_result),
        cmocka_unit_test(test_loopback_of_version_6),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_group),
        cmocka_unit_test(test_ends_of_containers),
        cmocka_unit_test(test_group_fails_while_launching),
        cmocka_unit_test(test_ends_while_others_are_launched),
        cmocka_unit_test(test_grace_of_a_group),
        cmocka_unit_test(test_shutdown),
        cmocka_unit_test(test_shutdown_when_idle),
        cmocka_unit_test(test_lost_without_checkpoint),
        cmocka_unit_test(test_lost_with_checkpoint),
        cmocka_unit_test(test_update_between_subscribe_and_subscribed),
        cmocka_unit_test(test_recovery_timeout),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_failed_call_is_repeated),
        cmocka_unit_test(test_second_task),
    };

    return cmocka_run_group_tests_name("executor", tests, NULL, NULL);
}
