/* Stories of an agent that drains: its tasks are killed, no more are taken, and it is over. */
#include "agent_world.h"

static void drain(struct world *w, int64_t max_grace_ms, bool mark_gone) {
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_DRAIN};

    e.drain.drain = RV_DRAIN_DRAINING;
    e.drain.has_max_grace = max_grace_ms >= 0;
    e.drain.max_grace_ns = max_grace_ms * 1000000;
    e.drain.mark_gone = mark_gone;
    master(w, &e);
}

static bool is_draining(const struct world *w) {
    return w->agent->drain.drain == RV_DRAIN_DRAINING;
}

static void test_drains(void **state) {
    struct world *w = *state;

    run_one(w);
    acknowledge(w, "t1", 1);
    drain(w, -1, false);
    assert_string_equal(event(w, RV_EXECUTOR_EVENT_KILL)->kill.task_id.v, "t1");
    assert_int_equal(event(w, RV_EXECUTOR_EVENT_KILL)->kill.grace_ms, -1);
    assert_true(is_draining(w));
    run_custom(w, "t2");
    assert_update(w, "t2", RV_TASK_DROPPED, RV_REASON_AGENT_DRAINING);
    assert_int_equal(count_calls(w, RV_AGENT_CALL_EXECUTOR_EXITED), 0); /* e1 is there */
    run_command(w, "t3");
    assert_update(w, "t3", RV_TASK_DROPPED, RV_REASON_AGENT_DRAINING);
    run(w, &pod, true, (const char *const[]){"g1"}, 1);
    assert_update(w, "g1", RV_TASK_DROPPED, RV_REASON_AGENT_DRAINING);
    assert_string_equal(call(w, RV_AGENT_CALL_EXECUTOR_EXITED)->exited.executor_id.v, "pod");
    assert_int_equal(update(w, "e1", "t1", RV_TASK_KILLED, 2), 202);
    assert_update(w, "t1", RV_TASK_KILLED, RV_REASON_AGENT_DRAINING);
    assert_null(event(w, RV_EXECUTOR_EVENT_SHUTDOWN)); /* its update may not be heard yet */
    acknowledge(w, "t1", 2);
    assert_non_null(event(w, RV_EXECUTOR_EVENT_SHUTDOWN)); /* it would not end by itself */
    assert_true(is_draining(w));
    container_ends(w, 0);
    assert_false(is_draining(w));
    run_command(w, "t4");
    assert_non_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
}

static void test_nothing_to_drain(void **state) {
    struct world *w = *state;

    join_master(w);
    drain(w, 0, true);
    assert_false(is_draining(w));
}

/* What ended in another way says how. */
static void test_ends_that_are_not_kills(void **state) {
    struct world *w = *state;

    run_one(w);
    acknowledge(w, "t1", 1);
    drain(w, -1, true);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_FINISHED, 2), 202);
    assert_update(w, "t1", RV_TASK_FINISHED, RV_REASON_NONE);
}

static void test_before_it_is_marked_gone(void **state) {
    struct world *w = *state;

    run_one(w);
    acknowledge(w, "t1", 1);
    drain(w, -1, true);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_KILLED, 2), 202);
    assert_update(w, "t1", RV_TASK_GONE_BY_OPERATOR, RV_REASON_AGENT_DRAINING);
}

static void test_before_it_is_marked_gone_to_those_who_do_not_know(void **state) {
    struct world *w = *state;

    w->framework.capabilities = 1u << RV_FRAMEWORK_TASK_KILLING_STATE;
    run_one(w);
    acknowledge(w, "t1", 1);
    drain(w, -1, true);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_KILLING, 2), 202);
    assert_update(w, "t1", RV_TASK_KILLING, RV_REASON_AGENT_DRAINING);
    acknowledge(w, "t1", 2);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_KILLED, 3), 202);
    assert_update(w, "t1", RV_TASK_KILLED, RV_REASON_AGENT_DRAINING);
}

/* Grace periods are bounded, never lengthened; one that is not known counts as three seconds. */
static void test_grace_periods(void **state) {
    struct world *w = *state;

    run_one(w);
    drain(w, 1000, false);
    assert_int_equal(event(w, RV_EXECUTOR_EVENT_KILL)->kill.grace_ms, 1000);
    drain(w, 600000, false); /* once more, with another bound */
    assert_int_equal(event(w, RV_EXECUTOR_EVENT_KILL)->kill.grace_ms, -1);
    ((struct rv_agent_task *)rv_map_gets(&framework(w)->tasks, "t1"))->info.kill_grace_ms = 700000;
    drain(w, 600000, false);
    assert_int_equal(event(w, RV_EXECUTOR_EVENT_KILL)->kill.grace_ms, 600000);
}

static void test_what_waits(void **state) {
    struct world *w = *state;

    join_master(w);
    run_custom(w, "t1"); /* its executor has not subscribed */
    drain(w, -1, false);
    assert_update(w, "t1", RV_TASK_KILLED, RV_REASON_AGENT_DRAINING);
    assert_non_null(find(w, RV_AGENT_DESTROY_CONTAINER));
    acknowledge_own(w, "t1");
    container_ends(w, 9);
    assert_false(is_draining(w));
}

/* An executor that is away hears of it when it is back. */
static void test_an_executor_that_is_away(void **state) {
    struct world *w = *state;

    run_one(w);
    act(w, (struct rv_agent_input){.kind = RV_AGENT_STREAM_CLOSED, .stream = 1});
    drain(w, 1000, false);
    assert_null(event(w, RV_EXECUTOR_EVENT_KILL));
    subscribe(w, "e1");
    assert_string_equal(event(w, RV_EXECUTOR_EVENT_KILL)->kill.task_id.v, "t1");
    assert_int_equal(event(w, RV_EXECUTOR_EVENT_KILL)->kill.grace_ms, 1000);
}

static void test_an_idle_executor(void **state) {
    struct world *w = *state;

    run_one(w);
    acknowledge(w, "t1", 1);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_FINISHED, 2), 202);
    acknowledge(w, "t1", 2);
    assert_null(event(w, RV_EXECUTOR_EVENT_SHUTDOWN));
    drain(w, -1, false);
    assert_non_null(event(w, RV_EXECUTOR_EVENT_SHUTDOWN));
}

static void test_reactivated(void **state) {
    struct world *w = *state;
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_REACTIVATE};

    run_one(w);
    drain(w, -1, false);
    master(w, &e);
    assert_false(is_draining(w));
    run_command(w, "t2");
    assert_non_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(drains),
        TEST(nothing_to_drain),
        TEST(ends_that_are_not_kills),
        TEST(before_it_is_marked_gone),
        TEST(before_it_is_marked_gone_to_those_who_do_not_know),
        TEST(grace_periods),
        TEST(what_waits),
        TEST(an_executor_that_is_away),
        TEST(an_idle_executor),
        TEST(reactivated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
