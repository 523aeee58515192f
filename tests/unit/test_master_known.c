/*
 * Stories of failovers and absences at which other masters are known to have failed. See
 * test_master.c; tests/e2e/failovers tells them and others of real processes, tests/e2e/storm that
 * of many registrations.
 */
#include "master_story.h"

#define TASK "t1@M-0000@RUNNING@cpus:1;mem:128"
#define BACK "agent A1 reregister id=M-S0 role=x frameworks=M-0000 tasks=" TASK "\n"
#define SUBSCRIBE                                                                                  \
    "scheduler S1 subscribe id=M-0000 name=a roles=x failover=600000 checkpoint=1 "                \
    "caps=PARTITION_AWARE\n"

static void test_inv7_agents_before_the_framework(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "restart id=N\n" BACK "show\n");
    EXPECT(s, "framework M-0000 inactive recovered used {cpus:1; mem:128}");
    EXPECT(s, "task t1 TASK_RUNNING on M-S0");
    REFUTE(s, "SHUTDOWN_FRAMEWORK");
    tell(&s, SUBSCRIBE "scheduler S1 reconcile tasks=t1@M-S0\nt=2000\n");
    EXPECT(s, "-> S1 SUBSCRIBED M-0000");
    EXPECT(s, "-> S1 UPDATE t1 TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION");
    EXPECT(s, "OFFERS");
    script_free(&s);
}

/* What comes for a framework that is known and not there yet: nothing breaks, nothing is lost. */
static void test_messages_for_a_recovered_framework(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "restart id=N\n" BACK);
    tell(&s, "agent A1 message framework=M-0000 executor=e1 data=hello\n"
             "agent A1 exited framework=M-0000 executor=e1\n"
             "agent A1 update task=t1 framework=M-0000 state=FINISHED uuid=7\n");
    REFUTE(s, "ACKNOWLEDGE");
    tell(&s, SUBSCRIBE "agent A1 update task=t1 framework=M-0000 state=FINISHED uuid=7\n"
                       "scheduler S1 acknowledge task=t1 uuid=7\nshow\n");
    EXPECT(s, "-> S1 UPDATE t1 TASK_FINISHED");
    EXPECT(s, "-> A1 ACKNOWLEDGE M-0000 t1 uuid=7");
    EXPECT(s, "completed t1 TASK_FINISHED");
    script_free(&s);
}

static void test_unreachable_with_an_executor_and_no_task(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER "restart id=N\n" SUBSCRIBE
                           "agent A1 reregister id=M-S0 role=x frameworks=M-0000 "
                           "executors=e1@M-0000@cpus:1\nshow\n");
    EXPECT(s, "agent M-S0 used {cpus:1}");
    tell(&s, "close A1\nt=100000\nshow\n");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S0");
    EXPECT(s, "framework M-0000 used {}");
    tell(&s, "agent A1 reregister id=M-S0 role=x frameworks=M-0000 "
             "executors=e1@M-0000@cpus:1\nshow\n");
    EXPECT(s, "agent M-S0 used {cpus:1}");
    script_free(&s);
}

/* Its last task ends for good while it is away: told when it is back, and only then over. */
static void test_a_task_goes_while_its_framework_is_away(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "close S1\n");
    tell(&s, "agent A1 update task=t1 state=FAILED uuid=3\nshow\n");
    REFUTE(s, "ACKNOWLEDGE");
    EXPECT(s, "task t1 TASK_FAILED on M-S0");
    EXPECT(s, "agent M-S0 used {}");
    tell(&s, "operator O1 gone agent=M-S0\nshow\n");
    EXPECT(s, "completed t1 TASK_FAILED");
    tell(&s, SUBSCRIBE "scheduler S1 reconcile tasks=t1@M-S0\nscheduler S1 reconcile\n");
    EXPECT(s, "-> S1 SUBSCRIBED M-0000");
    EXPECT(s, "-> S1 UPDATE t1 TASK_GONE_BY_OPERATOR SOURCE_MASTER REASON_RECONCILIATION");
    script_free(&s);
}

/* INV-43: the newer scheduler of a framework, and what the older one still says. */
static void test_inv43_a_scheduler_that_is_cut_off(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "scheduler S2 subscribe id=M-0000 name=a roles=x "
                                   "failover=600000 checkpoint=1 caps=PARTITION_AWARE\n");
    EXPECT(s, "-> S1 ERROR");
    EXPECT(s, "-> S1 close");
    tell(&s, "scheduler S1 teardown\nscheduler S1 kill task=t1\nclose S1\nshow\n");
    REFUTE(s, "KILL_TASK");
    REFUTE(s, "REMOVE_FRAMEWORK");
    EXPECT(s, "task t1 TASK_RUNNING on M-S0");
    script_free(&s);
}

/* Two tries of one agent wait for the registry: one of them is an agent afterwards. */
static void test_two_tries_at_once(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "registry manual\nagent A1 register port=5051 life=7 attempt=1\n"
             "agent A2 register port=5051 life=7 attempt=2\nregistry ok\nregistry ok\n");
    EXPECT(s, "REGISTERED M-S0"); /* that it has given up is not noticed yet */
    EXPECT(s, "registry REMOVE_AGENT M-S0");
    EXPECT(s, "REGISTERED M-S1");
    tell(&s, "registry ok\nclose A1\nagent A3 register port=5051 life=7 attempt=1\n"
             "agent A4 register port=5052 life=8 attempt=2\n"
             "agent A5 register port=5052 life=8 attempt=1\n"
             "agent A6 register port=5052 life=9 attempt=1\n");
    EXPECT(s, "-> A3 503");
    tell(&s, "registry ok\nregistry ok\nregistry ok\nregistry ok\nregistry ok\nshow\n");
    EXPECT(s, "REGISTERED M-S2");
    EXPECT(s, "-> A5 503 \"agent M-S2 is connected from this address\"");
    EXPECT(s, "-> registry REMOVE_AGENT M-S3");
    EXPECT(s, "-> A6 503 \"agent M-S2 is connected from this address\"");
    EXPECT(s, "-> registry REMOVE_AGENT M-S4");
    EXPECT(s, "-> agent M-S1");
    EXPECT(s, "-> agent M-S2");
    REFUTE(s, "-> agent M-S0");
    script_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inv7_agents_before_the_framework),
        cmocka_unit_test(test_messages_for_a_recovered_framework),
        cmocka_unit_test(test_unreachable_with_an_executor_and_no_task),
        cmocka_unit_test(test_a_task_goes_while_its_framework_is_away),
        cmocka_unit_test(test_inv43_a_scheduler_that_is_cut_off),
        cmocka_unit_test(test_two_tries_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
