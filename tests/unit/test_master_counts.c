/*
 * Stories of what the master counts, for metrics: what each framework says and is told, how and why
 * tasks end, how long a pass of the allocator waits. See test_master.c.
 */
#include "master_story.h"

static const struct rv_master_framework *framework(const struct script *s, const char *id) {
    const struct rv_master_framework *f = rv_map_gets(&s->m->frameworks, id);

    assert_non_null(f);
    return f;
}

static void test_what_a_framework_says_and_is_told(void **state) {
    struct script s = {0};
    const struct rv_master_framework *f;

    (void)state;
    tell(&s, CLUSTER RUNNING "scheduler S2 subscribe name=b roles=y failover=60000\nt=2000\n");
    f = framework(&s, "M-0000");
    assert_int_equal(f->calls[RV_CALL_SUBSCRIBE], 1);
    assert_int_equal(f->calls[RV_CALL_ACCEPT], 1);
    assert_int_equal(f->calls[RV_CALL_ACKNOWLEDGE], 1);
    assert_int_equal(f->calls[RV_CALL_DECLINE], 0);
    assert_int_equal(f->events[RV_EVENT_SUBSCRIBED], 1);
    assert_int_equal(f->events[RV_EVENT_OFFERS], 1);
    assert_int_equal(f->events[RV_EVENT_UPDATE], 1);
    assert_int_equal(f->offers_sent, 1);
    assert_int_equal(f->offers_accepted, 1);
    f = framework(&s, "M-0001"); /* what the first one did not want */
    assert_int_equal(f->offers_sent, 1);
    tell(&s, "scheduler S2 decline offers=M-O1 refuse=1000\nscheduler S2 decline offers=M-O1\n");
    assert_int_equal(f->calls[RV_CALL_DECLINE], 2);
    assert_int_equal(f->offers_declined, 1);
    tell(&s, "t=4000\nclose A1\n");
    assert_int_equal(f->offers_sent, 2);
    assert_int_equal(f->offers_rescinded, 1);
    assert_int_equal(f->events[RV_EVENT_RESCIND], 1);
    /* A failover of it goes on counting; a call with another's stream is not its own. */
    tell(&s, "scheduler S3 subscribe id=M-0001 name=b roles=y failover=60000\n"
             "scheduler S2 suppress\n");
    assert_int_equal(f->calls[RV_CALL_SUBSCRIBE], 2);
    assert_int_equal(f->calls[RV_CALL_SUPPRESS], 0);
    assert_int_equal(f->events[RV_EVENT_ERROR], 1);
    assert_int_equal(s.m->counters.messages_subscribe, 2);
    assert_int_equal(s.m->counters.messages_resubscribe, 1);
    script_free(&s);
}

static uint64_t ends(const struct script *s, enum rv_task_state state, enum rv_source source,
                     enum rv_reason reason) {
    return s->m->ends[state][source][reason];
}

static void test_how_and_why_tasks_end(void **state) {
    struct script s = {0};
    uint64_t all = 0;

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "scheduler S1 accept offers=M-O0 launch=t2@cpus:1;mem:64\n");
    EXPECT(s, "-> S1 UPDATE t2 TASK_DROPPED SOURCE_MASTER REASON_INVALID_OFFERS");
    assert_int_equal(ends(&s, RV_TASK_DROPPED, RV_SOURCE_MASTER, RV_REASON_INVALID_OFFERS), 1);
    tell(&s, "t=90000\n");
    assert_int_equal(ends(&s, RV_TASK_UNREACHABLE, RV_SOURCE_MASTER, RV_REASON_AGENT_REMOVED), 1);
    tell(&s, "agent A1 reregister id=M-S0\n");
    for (size_t i = 0; i < RV_TASK_STATE_MAX; i++)
        for (size_t j = 0; j < RV_SOURCE_MAX; j++)
            for (size_t k = 0; k < RV_REASON_MAX; k++)
                all += s.m->ends[i][j][k];
    assert_int_equal(all, 2); /* that the unreachable one was dropped ends nothing once more */
    script_free(&s);
}

static void test_messages_of_executors(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER RUNNING "agent A1 message framework=M-0000 executor=e data=hello\n"
                             "agent A1 message framework=M-0009 executor=e data=hello\n"
                             "agent A1 total resources=cpus:5;mem:1024\n");
    assert_int_equal(s.m->counters.valid_executor_messages, 1);
    assert_int_equal(s.m->counters.invalid_executor_messages, 1);
    assert_int_equal(s.m->counters.valid_framework_messages, 0);
    assert_int_equal(s.m->counters.messages_update_agent, 1);
    script_free(&s);
}

static void test_agents_that_a_failover_lost(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "agent A2 register\nrestart id=N\nagent A1 reregister id=M-S0\nt=599000\n");
    assert_int_equal(s.m->counters.removals_recovery, 0);
    tell(&s, "agent A1 pong\nt=600010\n");
    assert_int_equal(s.m->counters.removals_recovery, 1);
    script_free(&s);
}

static void test_how_long_a_pass_waits(void **state) {
    struct script s = {0};
    uint64_t runs;

    (void)state;
    tell(&s, CLUSTER);
    runs = s.m->counters.allocation_runs;
    assert_true(runs > 0);
    /* One follows soon, but not at once, on another. */
    tell(&s, "scheduler S1 decline offers=M-O0 refuse=1\nt=20\n");
    runs = s.m->counters.allocation_runs;
    tell(&s, "scheduler S1 revive\nt=22\nscheduler S1 suppress\nscheduler S1 revive\nt=40\n");
    assert_true(s.m->counters.allocation_runs > runs);
    assert_in_range(s.m->pass_waited_ms, 0, 5);
    tell(&s, "t=2500\n");
    assert_int_equal(s.m->pass_waited_ms, 0); /* of the interval, and in time */
    script_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_framework_says_and_is_told),
        cmocka_unit_test(test_how_and_why_tasks_end),
        cmocka_unit_test(test_messages_of_executors),
        cmocka_unit_test(test_agents_that_a_failover_lost),
        cmocka_unit_test(test_how_long_a_pass_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
