/* What the registry and the agent's journal hold, there and back; damage is named (INV-5, INV-19).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/registry.h"
#include "reeve/v1/checkpoint.pb-c.h"
#include "reeve/v1/v1.pb-c.h"
#include "store/checkpoint_codec.h"
#include "store/registry_codec.h"
#include "wire/codec.h"
#include "wire/convert.h"

static struct world {
    struct rv_arena arena;
    uv_loop_t loop;
    struct rv_registry *store;
    struct rv_framework_info framework;
    struct rv_executor_info executor;
    struct rv_task_info task;
    struct rv_agent_info agent;
    struct rv_task_status status;
    struct rv_buf kept; /* the last value that was written */
    char key[64];
    struct rv_error err;
} w;

static struct rv_blob *pack(const ProtobufCMessageDescriptor *type, const char *json) {
    ProtobufCMessage *m;

    if (rv_wire_decode(type, RV_ENC_JSON, rv_str(json), NULL, &w.arena, &m, &w.err) < 0)
        fail_msg("%s: %s", json, w.err.message);
    return rv_wire_pack(m);
}

static struct rv_resources resources(const char *text) {
    struct rv_resources r = {0};

    if (rv_resources_parse(text, NULL, &r, &w.err) < 0)
        fail_msg("%s", w.err.message);
    return r;
}

static int setup(void **state) {
    static char user[] = "u", name[] = "n", role[] = "r", hostname[] = "h", ip[] = "10.0.0.1",
                version[] = "1", message[] = "m", *roles[] = {role};

    (void)state;
    w = (struct world){
        .framework = {.id = {"f"}, .user = user, .name = name, .roles = roles, .n_roles = 1},
        .executor = {.id = {"e"}, .framework_id = {"f"}, .type = RV_EXECUTOR_CUSTOM},
        .task = {.id = {"t"}, .name = name, .agent_id = {"a"}},
        .agent = {.id = {"a"},
                  .hostname = hostname,
                  .ip = ip,
                  .port = 5051,
                  .version = version,
                  .capabilities = 1u << RV_AGENT_MULTI_ROLE},
        .status = {.task_id = {"t"},
                   .state = RV_TASK_FAILED,
                   .reason = RV_REASON_NONE,
                   .message = message,
                   .has_uuid = true,
                   .healthy = 1,
                   .timestamp_ns = INT64_C(1700000000250000000)},
    };
    rv_arena_init(&w.arena);
    memset(w.status.uuid, 7, sizeof w.status.uuid);
    w.framework.packed = pack(&reeve__v1__framework_info__descriptor,
                              "{\"user\":\"u\",\"name\":\"n\",\"role\":\"r\"}");
    w.executor.packed = pack(&reeve__v1__executor_info__descriptor,
                             "{\"executor_id\":{\"value\":\"e\"},\"command\":{\"value\":\"x\"},"
                             "\"framework_id\":{\"value\":\"f\"}}");
    w.executor.resources = resources("cpus:0.1");
    w.task.packed = pack(&reeve__v1__task_info__descriptor,
                         "{\"name\":\"n\",\"task_id\":{\"value\":\"t\"},\"agent_id\":{\"value\":"
                         "\"a\"},\"command\":{\"value\":\"true\"}}");
    w.task.resources = resources("cpus:1;ports:[1-2]");
    rv_resources_allocate(&w.task.resources, "r");
    w.agent.resources = resources("cpus:4;mem(r):100");
    assert_int_equal(uv_loop_init(&w.loop), 0);
    w.store = rv_registry_memory_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    w.store->ops->close(w.store);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    rv_blob_unref(w.framework.packed);
    rv_blob_unref(w.executor.packed);
    rv_resources_free(&w.executor.resources);
    rv_blob_unref(w.task.packed);
    rv_resources_free(&w.task.resources);
    rv_resources_free(&w.agent.resources);
    rv_buf_free(&w.kept);
    rv_arena_free(&w.arena);
    return 0;
}

/* --- the registry --- */

static void on_done(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    (void)ctx;
    (void)seq;
    (void)err;
    assert_int_equal(result, 0);
}

static void put(const char *key, struct rv_str value) {
    struct rv_registry_change c = {key, value};

    w.store->ops->write(w.store, &c, 1, 0, on_done, NULL);
}

static void on_change(void *ctx, const char *key, struct rv_str value) {
    (void)ctx;
    put(key, value);
    if (!value.s)
        return;
    rv_buf_clear(&w.kept);
    rv_buf_append(&w.kept, value.s, value.n);
    assert_true(strlen(key) < sizeof w.key);
    strcpy(w.key, key);
}

static void apply(struct rv_registry_op op) {
    rv_registry_op_encode(&op, &w.arena, on_change, NULL);
}

static int try_load(struct rv_registry_loaded **out) {
    struct rv_registry_loaded *l = *out = rv_registry_loaded_new();

    w.store->ops->load(w.store, rv_registry_loaded_add, on_done, l);
    return rv_registry_loaded_finish(l, &w.err);
}

static struct rv_registry_loaded *load(void) {
    struct rv_registry_loaded *l;

    if (try_load(&l))
        fail_msg("%s", w.err.message);
    return l;
}

static void expect_counts(size_t agents, size_t unreachable, size_t gone, size_t frameworks,
                          size_t weights) {
    struct rv_registry_loaded *l = load();
    const struct rv_registry_snapshot *s = rv_registry_snapshot(l);

    assert_int_equal(s->n_agents, agents);
    assert_int_equal(s->n_unreachable, unreachable);
    assert_int_equal(s->n_gone, gone);
    assert_int_equal(s->n_frameworks, frameworks);
    assert_int_equal(s->n_weights, weights);
    rv_registry_snapshot_free(l);
}

static void expect_quotas(const struct rv_quota *quotas, size_t n) {
    struct rv_registry_loaded *l = load();
    const struct rv_registry_snapshot *s = rv_registry_snapshot(l);

    assert_int_equal(s->n_quotas, n);
    for (size_t i = 0; i < n; i++) { /* in order of keys */
        const struct rv_quota *q = &s->quotas[n - 1 - i];

        assert_string_equal(q->role, quotas[i].role);
        assert_true(rv_quantities_eq(&q->guarantees, &quotas[i].guarantees));
        assert_true(rv_quantities_eq(&q->limits, &quotas[i].limits));
    }
    rv_registry_snapshot_free(l);
}

static void every_change_of_the_registry(void **state) {
    const struct rv_weight weights[] = {{"r", 2.5}, {"s/t", 1}};
    struct rv_quantity cpus = {(char[]){"cpus"}, 2500}, none = {(char[]){"mem"}, 0};
    struct rv_quota quotas[] = {{(char[]){"r"}, {&cpus, 1}, {0}}, {(char[]){"q"}, {0}, {&none, 1}}};

    (void)state;
    expect_counts(0, 0, 0, 0, 0);
    apply((struct rv_registry_op){
        .kind = RV_REGISTRY_ADMIT_AGENT, .agent_id = {"a"}, .agent = &w.agent});
    apply((struct rv_registry_op){.kind = RV_REGISTRY_PUT_FRAMEWORK,
                                  .framework_id = {"f"},
                                  .framework = &w.framework,
                                  .wall_ns = 77});
    apply((struct rv_registry_op){
        .kind = RV_REGISTRY_PUT_WEIGHTS, .weights = weights, .n_weights = 2});
    apply((struct rv_registry_op){.kind = RV_REGISTRY_PUT_QUOTAS, .quotas = quotas, .n_quotas = 2});
    expect_quotas(quotas, 2);
    quotas[1].limits.n = 0;
    apply((struct rv_registry_op){
        .kind = RV_REGISTRY_PUT_QUOTAS, .quotas = &quotas[1], .n_quotas = 1});
    expect_quotas(quotas, 1);
    apply((struct rv_registry_op){
        .kind = RV_REGISTRY_MARK_UNREACHABLE, .agent_id = {"a"}, .wall_ns = 12345678901234});
    struct rv_registry_loaded *l = load();
    const struct rv_registry_snapshot *s = rv_registry_snapshot(l);
    assert_int_equal(s->n_agents, 0);
    assert_string_equal(s->unreachable[0].id, "a");
    assert_int_equal(s->unreachable[0].wall_ns, 12345678901234);
    rv_registry_snapshot_free(l);
    apply((struct rv_registry_op){
        .kind = RV_REGISTRY_MARK_REACHABLE, .agent_id = {"a"}, .agent = &w.agent});
    expect_counts(1, 0, 0, 1, 2);
    l = load();
    s = rv_registry_snapshot(l);
    assert_int_equal(s->n_agents, 1);
    assert_string_equal(s->agents[0].id.v, "a");
    assert_string_equal(s->agents[0].ip, "10.0.0.1");
    assert_int_equal(s->agents[0].port, 5051);
    assert_string_equal(s->agents[0].version, "1");
    assert_int_equal(s->agents[0].capabilities, w.agent.capabilities);
    assert_true(rv_resources_eq(&s->agents[0].resources, &w.agent.resources));
    assert_string_equal(s->frameworks[0].info.name, "n");
    assert_int_equal(s->frameworks[0].away_ns, 77);
    assert_string_equal(s->weights[1].role, "s/t");
    assert_true(s->weights[0].weight > 2.4 && s->weights[0].weight < 2.6);
    rv_registry_snapshot_free(l);
    apply((struct rv_registry_op){.kind = RV_REGISTRY_MARK_GONE, .agent_id = {"a"}, .wall_ns = 5});
    expect_counts(0, 0, 1, 1, 2);
    apply((struct rv_registry_op){
        .kind = RV_REGISTRY_ADMIT_AGENT, .agent_id = {"b"}, .agent = &w.agent});
    apply((struct rv_registry_op){.kind = RV_REGISTRY_REMOVE_AGENT, .agent_id = {"b"}});
    apply((struct rv_registry_op){
        .kind = RV_REGISTRY_REMOVE_FRAMEWORK, .framework_id = {"f"}, .wall_ns = 9});
    expect_counts(0, 0, 1, 0, 2);
    l = load();
    s = rv_registry_snapshot(l);
    assert_int_equal(s->n_ended, 1);
    assert_string_equal(s->ended[0].id, "f");
    assert_int_equal(s->ended[0].wall_ns, 9);
    rv_registry_snapshot_free(l);
    apply((struct rv_registry_op){.kind = RV_REGISTRY_FORGET_FRAMEWORK, .framework_id = {"f"}});
    apply((struct rv_registry_op){.kind = RV_REGISTRY_REMOVE_AGENT, .agent_id = {"a"}});
    expect_counts(0, 0, 0, 0, 2);
}

static void what_operators_ask_of_agents(void **state) {
    const struct rv_deactivation plain = {0}, drain = {.drain = RV_DRAIN_DRAINED,
                                                       .has_max_grace = true,
                                                       .max_grace_ns = 7000000001,
                                                       .mark_gone = true,
                                                       .since_ns = 99};

    (void)state;
    apply((struct rv_registry_op){
        .kind = RV_REGISTRY_DEACTIVATE_AGENT, .agent_id = {"a"}, .deactivation = &plain});
    apply((struct rv_registry_op){
        .kind = RV_REGISTRY_DEACTIVATE_AGENT, .agent_id = {"b"}, .deactivation = &drain});
    struct rv_registry_loaded *l = load();
    const struct rv_registry_snapshot *s = rv_registry_snapshot(l);
    assert_int_equal(s->n_deactivated, 2);
    assert_string_equal(s->deactivated[0].id.v, "a");
    assert_int_equal(s->deactivated[0].what.drain, RV_DRAIN_UNKNOWN);
    assert_false(s->deactivated[0].what.has_max_grace || s->deactivated[0].what.mark_gone);
    assert_int_equal(s->deactivated[1].what.drain, RV_DRAIN_DRAINED);
    assert_true(s->deactivated[1].what.has_max_grace && s->deactivated[1].what.mark_gone);
    assert_int_equal(s->deactivated[1].what.max_grace_ns, 7000000001);
    assert_int_equal(s->deactivated[1].what.since_ns, 99);
    rv_registry_snapshot_free(l);
    apply((struct rv_registry_op){.kind = RV_REGISTRY_REACTIVATE_AGENT, .agent_id = {"a"}});
    apply((struct rv_registry_op){.kind = RV_REGISTRY_MARK_GONE, .agent_id = {"b"}});
    l = load();
    assert_int_equal(rv_registry_snapshot(l)->n_deactivated, 0);
    rv_registry_snapshot_free(l);
}

static void machines_in_the_schedule(void **state) {
    struct rv_machine machines[] = {
        {.hostname = "One",
         .ip = "10.0.0.1",
         .mode = RV_MACHINE_DOWN,
         .away = {.start_ns = -5, .has_duration = true, .duration_ns = 10},
         .window = 3,
         .place = 4},
        {.ip = "10.0.0.2", .mode = RV_MACHINE_DRAINING, .away = {.start_ns = 6}}};

    (void)state;
    apply((struct rv_registry_op){
        .kind = RV_REGISTRY_PUT_MACHINES, .machines = machines, .n_machines = 2});
    struct rv_registry_loaded *l = load();
    const struct rv_registry_snapshot *s = rv_registry_snapshot(l);
    assert_int_equal(s->n_machines, 2); /* in order of their keys: without a name first */
    assert_null(s->machines[0].hostname);
    assert_false(s->machines[0].away.has_duration);
    assert_string_equal(s->machines[1].hostname, "One");
    assert_string_equal(s->machines[1].ip, "10.0.0.1");
    assert_int_equal(s->machines[1].mode, RV_MACHINE_DOWN);
    assert_int_equal(s->machines[1].away.start_ns, -5);
    assert_int_equal(s->machines[1].away.duration_ns, 10);
    assert_int_equal(s->machines[1].window, 3);
    assert_int_equal(s->machines[1].place, 4);
    rv_registry_snapshot_free(l);
    machines[0].mode = RV_MACHINE_UP;
    machines[0].hostname = "oNE"; /* names do not tell upper from lower case */
    apply((struct rv_registry_op){
        .kind = RV_REGISTRY_PUT_MACHINES, .machines = machines, .n_machines = 1});
    l = load();
    assert_int_equal(rv_registry_snapshot(l)->n_machines, 1);
    rv_registry_snapshot_free(l);
}

static void put_cluster(const char *id, const char *version) {
    const struct rv_registry_cluster cluster = {id, version};

    rv_registry_cluster_encode(&cluster, &w.arena, on_change, NULL);
}

static void whose_registry_it_is(void **state) {
    struct rv_registry_loaded *l = load();

    (void)state;
    assert_null(rv_registry_cluster(l)->id);
    rv_registry_snapshot_free(l);
    put_cluster("c", "0.1.0");
    put_cluster("c", "0.2.0");
    l = load();
    assert_string_equal(rv_registry_cluster(l)->id, "c");
    assert_string_equal(rv_registry_cluster(l)->version, "0.2.0");
    rv_registry_snapshot_free(l);
}

static void expect_refused(void) {
    struct rv_registry_loaded *l;

    assert_true(try_load(&l) < 0);
    rv_registry_snapshot_free(l);
    if (!strstr(w.err.message, w.key))
        fail_msg("%s is not named: %s", w.key, w.err.message);
}

/* Every bit, and every cut, of the last value. */
static void damage_what_was_kept(void) {
    for (size_t bit = 0; bit < w.kept.n * 8; bit++) {
        w.kept.data[bit / 8] = (char)(w.kept.data[bit / 8] ^ 1 << bit % 8);
        put(w.key, rv_buf_str(&w.kept));
        expect_refused();
        w.kept.data[bit / 8] = (char)(w.kept.data[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t n = 0; n < w.kept.n; n++) {
        put(w.key, rv_strn(w.kept.data, n));
        expect_refused();
    }
    put(w.key, rv_buf_str(&w.kept));
}

static void damaged_records_of_the_registry(void **state) {
    const struct rv_weight weight = {"r", 2.5};
    const struct rv_deactivation drain = {.drain = RV_DRAIN_DRAINING, .since_ns = 5};
    const struct rv_machine machine = {.hostname = "h", .mode = RV_MACHINE_DOWN};
    struct rv_quantity cpus = {(char[]){"cpus"}, 2500};
    const struct rv_quota quota = {(char[]){"r"}, {&cpus, 1}, {&cpus, 1}};
    const struct rv_registry_op ops[] = {
        {.kind = RV_REGISTRY_ADMIT_AGENT, .agent_id = {"a"}, .agent = &w.agent},
        {.kind = RV_REGISTRY_PUT_FRAMEWORK, .framework_id = {"f"}, .framework = &w.framework},
        {.kind = RV_REGISTRY_PUT_WEIGHTS, .weights = &weight, .n_weights = 1},
        {.kind = RV_REGISTRY_MARK_GONE, .agent_id = {"g"}, .wall_ns = 5},
        {.kind = RV_REGISTRY_REMOVE_FRAMEWORK, .framework_id = {"e"}, .wall_ns = 5},
        {.kind = RV_REGISTRY_DEACTIVATE_AGENT, .agent_id = {"d"}, .deactivation = &drain},
        {.kind = RV_REGISTRY_PUT_QUOTAS, .quotas = &quota, .n_quotas = 1},
        {.kind = RV_REGISTRY_PUT_MACHINES, .machines = &machine, .n_machines = 1},
        {.kind = RV_REGISTRY_MARK_UNREACHABLE, .agent_id = {"h"}, .wall_ns = 5}};

    (void)state;
    for (size_t i = 0; i < RV_COUNT(ops); i++) {
        apply(ops[i]);
        damage_what_was_kept();
    }
    put_cluster("c", "0.1.0");
    damage_what_was_kept();
    put("unheard/of", RV_STR("x"));
    strcpy(w.key, "unheard/of");
    expect_refused();
}

/* --- checkpoints --- */

static void every_checkpoint(void **state) {
    struct rv_launch launch = {.container_id = {"c"},
                               .executor = &w.executor,
                               .directory = "/d",
                               .user = "u",
                               .shutdown_grace_ms = 1234};
    struct rv_operation operation = {.type = RV_OP_UNRESERVE, .id = {"o"}};
    const struct rv_operation_status end = {.operation_id = {"o"},
                                            .state = RV_OPERATION_FINISHED,
                                            .converted = &w.task.resources,
                                            .has_uuid = true,
                                            .uuid = {4, 5, 6}};
    struct rv_checkpoint all[] = {
        {.kind = RV_CHECKPOINT_AGENT,
         .agent = &w.agent,
         .boot_id = "boot",
         .containerizer = "x",
         .total = &w.task.resources},
        {.kind = RV_CHECKPOINT_FRAMEWORK, .framework = &w.framework},
        {.kind = RV_CHECKPOINT_EXECUTOR, .launch = &launch},
        {.kind = RV_CHECKPOINT_TASK, .task = &w.task},
        {.kind = RV_CHECKPOINT_UPDATE, .status = &w.status},
        {.kind = RV_CHECKPOINT_ACKNOWLEDGED, .task_id = {"t"}, .uuid = {1, 2, 3}},
        {.kind = RV_CHECKPOINT_EXECUTOR_DONE},
        {.kind = RV_CHECKPOINT_ANEW, .total = &w.task.resources},
        {.kind = RV_CHECKPOINT_OPERATION,
         .operation = &operation,
         .operation_status = &end,
         .total = &w.task.resources,
         .uuid = {1, 2, 3}},
        {.kind = RV_CHECKPOINT_OPERATION_DONE, .uuid = {1, 2, 3}}};

    (void)state;
    rv_resources_copy(&operation.resources, &w.task.resources);
    assert_int_equal(RV_COUNT(all), RV_CHECKPOINT_KIND_MAX);
    for (size_t i = 0; i < RV_COUNT(all); i++) {
        struct rv_buf one = {0}, two = {0};
        struct rv_checkpoint c;
        all[i].framework_id.v = "f";
        all[i].executor_id.v = "e";
        all[i].container_id.v = "c";
        rv_checkpoint_encode(&all[i], &w.arena, &one);
        if (rv_checkpoint_decode(rv_buf_str(&one), &w.arena, &c, &w.err))
            fail_msg("kind %zu: %s", i, w.err.message);
        assert_int_equal(c.kind, all[i].kind);
        assert_string_equal(c.container_id.v, "c");
        assert_memory_equal(c.uuid, all[i].uuid, 16);
        if (c.launch)
            assert_int_equal(c.launch->shutdown_grace_ms, 1234);
        if (c.task)
            assert_true(rv_resources_eq(&c.task->resources, &w.task.resources));
        assert_int_equal(c.total != NULL, all[i].total != NULL);
        if (c.total)
            assert_true(rv_resources_eq(c.total, &w.task.resources));
        if (c.operation) {
            assert_int_equal(c.operation->type, RV_OP_UNRESERVE);
            assert_string_equal(c.operation->id.v, "o");
            assert_true(rv_resources_eq(&c.operation->resources, &operation.resources));
            assert_int_equal(c.operation_status->state, RV_OPERATION_FINISHED);
            assert_memory_equal(c.operation_status->uuid, end.uuid, sizeof end.uuid);
            assert_true(rv_resources_eq(c.operation_status->converted, &w.task.resources));
        }
        rv_checkpoint_encode(&c, &w.arena, &two);
        assert_int_equal(one.n, two.n);
        assert_memory_equal(one.data, two.data, one.n);
        rv_checkpoint_release(&c);
        for (size_t n = 0; n < one.n; n++) /* cut: refused or whole in itself, never a crash */
            if (!rv_checkpoint_decode(rv_strn(one.data, n), &w.arena, &c, &w.err))
                rv_checkpoint_release(&c);
        rv_buf_free(&one);
        rv_buf_free(&two);
    }
    rv_resources_free(&operation.resources);
}

static void checkpoints_that_lack_something(void **state) {
    (void)state;
    for (int kind = 0; kind <= RV_CHECKPOINT_KIND_MAX + 2; kind++) {
        Reeve__V1__Checkpoint__Record m = REEVE__V1__CHECKPOINT__RECORD__INIT;
        struct rv_buf bytes = {0};
        struct rv_checkpoint c;
        m.has_kind = 1;
        if (kind == RV_CHECKPOINT_ANEW + 1)
            continue; /* it needs nothing */
        m.kind = (Reeve__V1__Checkpoint__Record__Kind)kind;
        rv_wire_encode(&m.base, RV_ENC_PROTOBUF, &bytes);
        assert_true(rv_checkpoint_decode(rv_buf_str(&bytes), &w.arena, &c, &w.err) < 0);
        assert_non_null(strstr(w.err.message, "kind"));
        rv_buf_free(&bytes);
    }
}

/* What belongs to another kind of record is passed over, whole or not. */
static void an_operation_where_there_is_none(void **state) {
    Reeve__V1__Checkpoint__Record m = REEVE__V1__CHECKPOINT__RECORD__INIT;
    Reeve__V1__Offer__Operation operation = REEVE__V1__OFFER__OPERATION__INIT;
    struct rv_buf bytes = {0};
    struct rv_checkpoint c;

    (void)state;
    m.has_kind = 1;
    m.kind = REEVE__V1__CHECKPOINT__RECORD__KIND__ANEW;
    m.operation = &operation;
    rv_wire_encode(&m.base, RV_ENC_PROTOBUF, &bytes);
    assert_int_equal(rv_checkpoint_decode(rv_buf_str(&bytes), &w.arena, &c, &w.err), 0);
    assert_null(c.operation);
    assert_null(c.total);
    rv_checkpoint_release(&c);
    rv_buf_free(&bytes);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(every_change_of_the_registry),    TEST(what_operators_ask_of_agents),
        TEST(machines_in_the_schedule),        TEST(whose_registry_it_is),
        TEST(damaged_records_of_the_registry), TEST(every_checkpoint),
        TEST(checkpoints_that_lack_something), TEST(an_operation_where_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
