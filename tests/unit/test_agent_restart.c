/*
 * As whom an agent comes back, and whether: a record that does not fit is named (INV-19), an agent
 * that is not what it was is told how to mend that (INV-20), after a reboot it is another one
 * instead (INV-17), and with --recover=cleanup all ends and the next one begins anew.
 */
#include "agent_world.h"

#include "store/checkpoint_compact.h"

static void expect_refused(struct world *w, const char *const words[], size_t n) {
    const char *why;

    restart(w, (const char *const[]){w->container}, 1);
    why = rv_agent_refused(w->agent);
    assert_non_null(why);
    for (size_t i = 0; i < n; i++) {
        if (!strstr(why, words[i])) {
            fail_msg("\"%s\" is not in: %s", words[i], why);
        }
    }
    assert_int_equal(w->out.n, 0); /* nothing has happened */
}
#define EXPECT_REFUSED(w, ...)                                                                     \
    expect_refused(w, (const char *const[]){__VA_ARGS__},                                          \
                   RV_COUNT(((const char *const[]){__VA_ARGS__})))

static void expect_back(struct world *w) {
    restart(w, (const char *const[]){w->container}, 1);
    if (rv_agent_refused(w->agent)) {
        fail_msg("%s", rv_agent_refused(w->agent));
    }
    assert_string_equal(w->agent->info.id.v, "agent-1");
    assert_int_equal(rv_map_count(&w->agent->containers), 1);
    assert_null(find(w, RV_AGENT_DESTROY_CONTAINER));
}

static void set_resources(struct world *w, const char *text) {
    rv_resources_free(&w->info.resources);
    assert_int_equal(rv_resources_parse(text, "*", &w->info.resources, NULL), 0);
}

static void set_attributes(struct world *w, const char *text) {
    rv_attributes_free(&w->info.attributes);
    assert_int_equal(rv_attributes_parse(text, &w->info.attributes, NULL), 0);
}

static void set_text(char **to, const char *text) {
    free(*to);
    *to = rv_strdup(text);
}

/* --- INV-19 --- */

static void test_inv_19_record_that_does_not_fit(void **state) {
    struct world *w = *state;

    run_one(w);
    w->journal.v[2] = w->journal.v[3]; /* the task's in the place of the executor's */
    EXPECT_REFUSED(w, "checkpoint 3 (task)", "--no-strict", "--recover=cleanup");
    w->config.lenient = true;
    restart(w, (const char *const[]){w->container}, 1);
    assert_null(rv_agent_refused(w->agent));
    assert_int_equal(w->agent->counters.recovery_errors, 3); /* task, task, update */
    assert_string_equal(w->agent->info.id.v, "agent-1");
    assert_non_null(find(w, RV_AGENT_DESTROY_CONTAINER)); /* nobody knows it */
}

static void test_inv_19_whose_records(void **state) {
    struct world *w = *state;

    run_one(w);
    rv_vec_remove_at(&w->journal, 0);
    EXPECT_REFUSED(w, "checkpoint 1 (framework)");
    w->config.lenient = true;
    restart(w, (const char *const[]){w->container}, 1);
    assert_int_equal(w->agent->counters.recovery_errors, 1);
    assert_null(w->agent->info.id.v); /* it is another one */
    assert_non_null(find(w, RV_AGENT_DESTROY_CONTAINER));
}

/* --- INV-20 --- */

static void test_inv_20_equal(void **state) {
    struct world *w = *state;

    set_resources(w, "cpus:4;mem:1000;ports:[1-10]");
    set_attributes(w, "rack:a;rack:b");
    w->info.port = 5051;
    restart(w, NULL, 0);
    run_one(w);
    expect_back(w);
    set_attributes(w, "rack:b;rack:a"); /* in any order */
    expect_back(w);
    set_resources(w, "cpus:3;mem:1000;ports:[1-10]");
    EXPECT_REFUSED(w, "resources: ", "cpus:4", " before, ", "cpus:3",
                   "--reconfiguration_policy=additive", "--recover=cleanup");
    set_resources(w, "cpus:4;mem:1001;ports:[1-10]");
    EXPECT_REFUSED(w, "mem:1001");
    set_resources(w, "cpus:4;mem:1000;ports:[1-10]");
    set_attributes(w, "rack:a");
    EXPECT_REFUSED(w, "attributes: ", "rack:b");
    set_attributes(w, "rack:a;rack:b");
    set_text(&w->info.hostname, "other");
    EXPECT_REFUSED(w, "hostname: host before, other now");
    set_text(&w->info.hostname, "host");
    set_text(&w->info.region, "r1");
    EXPECT_REFUSED(w, "region: none before, r1 now");
    set_text(&w->info.region, NULL);
    w->info.port = 5052;
    EXPECT_REFUSED(w, "port: 5051 before, 5052 now");
    w->config.any_port = true;
    expect_back(w);
}

static void test_inv_20_additive(void **state) {
    struct world *w = *state;

    set_resources(w, "cpus:4;mem:1000;ports:[1-10];things:{a,b}");
    set_attributes(w, "rack:a;level:3;free:[1-5]");
    restart(w, NULL, 0);
    run_one(w);
    w->config.additive = true;
    set_resources(w, "cpus:5;mem:1000;ports:[1-20];things:{a,b,c};gpus:1");
    set_attributes(w, "more:x;rack:a;free:[1-6];level:3");
    set_text(&w->info.region, "r1");
    set_text(&w->info.zone, "z1");
    expect_back(w);
    assert_int_equal(w->agent->info_kept, RV_KEPT_NO); /* it is written when it registers */
    act_kind(w, RV_AGENT_MASTER_FOUND);
    assert_int_equal(subscribe(w, "e1"), 200);
    pass(w, 2000);
    say_registered(w);
    expect_back(w);
    set_resources(w, "cpus:5;mem:1000;ports:[1-10];things:{a,b,c};gpus:1");
    EXPECT_REFUSED(w, "resources: ", "ports"); /* what was added may not go either */
    set_resources(w, "cpus:5;mem:1000;ports:[1-20];things:{a,b,c};gpus:1");
    set_attributes(w, "more:x;rack:a;free:[2-6];level:3");
    EXPECT_REFUSED(w, "attributes: ", "free");
    set_attributes(w, "more:x;rack:a;free:[1-6];level:4");
    EXPECT_REFUSED(w, "attributes: ", "level");
    set_attributes(w, "more:x;rack:a;free:[1-6];level:3");
    set_text(&w->info.zone, "z2");
    EXPECT_REFUSED(w, "zone: z1 before, z2 now");
}

/* A little more memory after a new kernel, or a larger file system, is no reason to refuse. */
static void test_inv_20_detected(void **state) {
    static const char *const detected[] = {"mem", "disk"};
    struct world *w = *state;

    set_resources(w, "cpus:4;mem:1000;disk:50");
    restart(w, NULL, 0);
    run_one(w);
    w->config.detected = detected;
    w->config.n_detected = 2;
    set_resources(w, "cpus:4;mem:1004;disk:50");
    expect_back(w);
    assert_int_equal(rv_resources_quantity(&w->agent->info.resources, "mem"), 1000000);
    set_resources(w, "cpus:4;mem:996;disk:50");
    EXPECT_REFUSED(w, "mem:1000", "mem:996");
    set_resources(w, "cpus:5;mem:1000;disk:50"); /* somebody asked for that */
    EXPECT_REFUSED(w, "cpus:5");
    w->config.additive = true; /* it is wanted */
    set_resources(w, "cpus:4;mem:1004;disk:50");
    expect_back(w);
    assert_int_equal(rv_resources_quantity(&w->agent->info.resources, "mem"), 1004000);
}

static void test_inv_20_other_containerizer(void **state) {
    struct world *w = *state;

    w->config.containerizer = "process";
    restart(w, NULL, 0);
    run_one(w);
    w->config.containerizer = "linux";
    EXPECT_REFUSED(w, "containerizer: process before, linux now");
    w->config.boot_id = "boot-2"; /* nothing of it runs any more */
    restart(w, NULL, 0);
    assert_null(rv_agent_refused(w->agent));
    assert_string_equal(w->agent->info.id.v, "agent-1");
}

/* --- INV-17 --- */

static void test_inv_17_another_agent_after_a_reboot(void **state) {
    struct world *w = *state;
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_REGISTERED};

    run_one(w);
    w->config.boot_id = "boot-2";
    set_resources(w, "cpus:1");
    restart(w, NULL, 0);
    assert_null(rv_agent_refused(w->agent));
    assert_null(w->agent->info.id.v);
    assert_int_equal(w->agent->counters.recovery_errors, 1);
    find_master(w);
    assert_non_null(call(w, RV_AGENT_CALL_REGISTER));
    e.registered.agent_id.v = "agent-2";
    e.registered.ping_timeout_ms = 75000;
    master(w, &e);
    run_custom(w, "t9");
    restart(w, (const char *const[]){w->container}, 1); /* knows nothing of the first */
    assert_null(rv_agent_refused(w->agent));
    assert_string_equal(w->agent->info.id.v, "agent-2");
    assert_int_equal(rv_map_count(&w->agent->containers), 1);
    assert_int_equal(w->agent->counters.recovery_errors, 0);
}

/* --- cleanup --- */

static void expect_fresh(struct world *w) {
    w->config.cleanup = false;
    restart(w, NULL, 0);
    assert_null(rv_agent_refused(w->agent));
    assert_null(w->agent->info.id.v);
    assert_int_equal(rv_map_count(&w->agent->frameworks), 0);
    find_master(w);
    assert_non_null(call(w, RV_AGENT_CALL_REGISTER));
}

static void clean_up(struct world *w, const char *const *alive, size_t n) {
    w->config.cleanup = true;
    restart(w, alive, n);
    assert_null(rv_agent_refused(w->agent));
    act_kind(w, RV_AGENT_MASTER_FOUND);
    pass(w, 200);
    assert_null(find(w, RV_AGENT_REGISTER));
}

static void expect_exit(struct world *w, int status) {
    assert_non_null(find(w, RV_AGENT_EXIT));
    assert_int_equal(find(w, RV_AGENT_EXIT)->status, status);
    assert_int_equal(w->journal.v[w->journal.n - 1].kind, RV_CHECKPOINT_ANEW);
}

static void test_cleanup_asks_executors_to_end(void **state) {
    struct world *w = *state;
    const char *alive[] = {w->container, "orphan"};

    run_one(w);
    set_resources(w, "cpus:1"); /* this is what it is for */
    clean_up(w, alive, 2);
    assert_int_equal(subscribe(w, "e1"), 200);
    assert_non_null(event(w, RV_EXECUTOR_EVENT_SHUTDOWN));
    container_ends(w, 0);
    assert_null(find(w, RV_AGENT_EXIT)); /* the orphan is not gone */
    snprintf(w->container, sizeof w->container, "orphan");
    container_ends(w, 9);
    expect_exit(w, 0);
    expect_fresh(w);
}

static void test_cleanup_makes_them_end(void **state) {
    struct world *w = *state;
    const char *alive[] = {w->container};

    run_one(w);
    clean_up(w, alive, 1);
    pass(w, 5000);
    assert_non_null(find(w, RV_AGENT_DESTROY_CONTAINER));
    container_ends(w, 9);
    expect_exit(w, 0);
    expect_fresh(w);
}

static void test_cleanup_of_nothing(void **state) {
    struct world *w = *state;

    w->journal.n = 0;
    w->config.cleanup = true;
    restart(w, NULL, 0);
    expect_exit(w, 0);
}

static void test_cleanup_passes_over_what_does_not_fit(void **state) {
    struct world *w = *state;

    run_one(w);
    rv_vec_remove_at(&w->journal, 2);
    clean_up(w, NULL, 0);
    expect_fresh(w);
}

/* What a container does not leave does not keep the agent for ever. */
static void test_cleanup_ends(void **state) {
    struct world *w = *state;
    const char *alive[] = {w->container};

    run_one(w);
    clean_up(w, alive, 1);
    w->manual_disk = true;
    pass(w, 5000);
    pass(w, 60000);
    const struct rv_agent_effect *e = find(w, RV_AGENT_CHECKPOINT);
    assert_non_null(e);
    assert_null(find(w, RV_AGENT_EXIT));
    fresh(w);
    finish_write(w, w->kept.v[w->kept.n - 1].v[e - w->kept.v[w->kept.n - 1].v].checkpoint, true);
    assert_non_null(find(w, RV_AGENT_EXIT));
}

/* INV-15: who was told to go does not come back as the same. */
static void test_told_to_shut_down_begins_anew(void **state) {
    struct world *w = *state;
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_SHUTDOWN};

    run_one(w);
    master(w, &e);
    container_ends(w, 0);
    expect_exit(w, 1);
    expect_fresh(w);
}

/* On a disk that takes nothing the end comes all the same. */
static void test_end_on_a_full_disk(void **state) {
    struct world *w = *state;
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_SHUTDOWN};

    run_one(w);
    w->full_disk = true;
    master(w, &e);
    container_ends(w, 0);
    assert_non_null(find(w, RV_AGENT_EXIT));
    assert_int_not_equal(w->journal.v[w->journal.n - 1].kind, RV_CHECKPOINT_ANEW);
}

/* --- compaction --- */

static bool nothing(void *ctx, const char *id) {
    (void)ctx;
    (void)id;
    return true;
}

static size_t compacted(const struct world *w) {
    const struct rv_checkpoint_known known = {nothing, nothing, NULL};
    struct rv_checkpoint_head *heads = rv_calloc(w->journal.n + 1, sizeof *heads);
    struct rv_checkpoint_order order = {0};

    for (size_t i = 0; i < w->journal.n; i++) {
        rv_checkpoint_head(&w->journal.v[i], &heads[i]);
    }
    rv_checkpoint_compact(heads, w->journal.n, &known, &order);
    size_t n = order.kept.n;
    rv_checkpoint_order_free(&order);
    free(heads);
    return n;
}

static void test_what_is_void_goes(void **state) {
    struct world *w = *state;

    run_one(w);
    assert_int_equal(compacted(w), 5);
    clean_up(w, NULL, 0);
    assert_int_equal(compacted(w), 0);
    expect_fresh(w);
    say_registered(w);
    assert_int_equal(compacted(w), 1);
    run_custom(w, "t1");
    assert_int_equal(compacted(w), 4);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        TEST(inv_19_record_that_does_not_fit),
        TEST(inv_19_whose_records),
        TEST(inv_20_equal),
        TEST(inv_20_additive),
        TEST(inv_20_detected),
        TEST(inv_20_other_containerizer),
        TEST(inv_17_another_agent_after_a_reboot),
        TEST(cleanup_asks_executors_to_end),
        TEST(cleanup_makes_them_end),
        TEST(cleanup_of_nothing),
        TEST(cleanup_passes_over_what_does_not_fit),
        TEST(cleanup_ends),
        TEST(told_to_shut_down_begins_anew),
        TEST(end_on_a_full_disk),
        TEST(what_is_void_goes),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
