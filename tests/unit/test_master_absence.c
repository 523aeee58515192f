/*
 * Stories of agents that stay away: how fast they are marked unreachable, when the master rather
 * stops, what is remembered of them, and what becomes of their tasks. See test_master.c.
 */
#include "master_story.h"

#define AGENTS "agent A1 register\nagent A2 register\nagent A3 register\n"
#define FRAMEWORK                                                                                  \
    "scheduler S1 subscribe name=a roles=x failover=600000 checkpoint=1 caps=PARTITION_AWARE\n"

/* --- the rate --- */

static void test_inv10_one_at_a_time(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master agent_removal_interval=60000\n" FRAMEWORK AGENTS "t=78010\n");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S0");
    REFUTE(s, "MARK_UNREACHABLE M-S1");
    tell(&s, "t=137000\n");
    REFUTE(s, "MARK_UNREACHABLE");
    tell(&s, "t=138100\n");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S1");
    assert_int_equal(s.m->counters.unreachable_scheduled, 3);
    assert_int_equal(s.m->counters.agent_unreachable, 2);
    tell(&s, "t=300000\n");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S2");
    /* The one that waits for its turn has not used it up for others. */
    tell(&s, "agent A1 reregister id=M-S0\nt=377000\n");
    REFUTE(s, "MARK_UNREACHABLE");
    tell(&s, "t=378100\n");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S0");
    script_free(&s);
}

static void test_inv10_back_before_its_turn(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master agent_removal_interval=60000\n" FRAMEWORK AGENTS "t=80000\n");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S0");
    tell(&s, "agent A2 pong\n");
    tell(&s, "close A3\nagent A3 reregister id=M-S2\nt=140000\n");
    REFUTE(s, "MARK_UNREACHABLE");
    assert_int_equal(s.m->counters.unreachable_canceled, 2);
    /* It goes in another way meanwhile. */
    tell(&s, "t=400000\nagent A1 register\nagent A4 register\nt=478020\n");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S3");
    tell(&s, "agent A4 unregister\nt=900000\n");
    EXPECT(s, "-> registry REMOVE_AGENT M-S4");
    REFUTE(s, "MARK_UNREACHABLE M-S4");
    script_free(&s);
}

static void test_inv10_after_a_failover(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, FRAMEWORK AGENTS "restart id=N agent_removal_interval=60000\nt=600010\n");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S0");
    REFUTE(s, "MARK_UNREACHABLE M-S1");
    tell(&s, "agent A2 reregister id=M-S1\nt=660100\n");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S2");
    REFUTE(s, "MARK_UNREACHABLE M-S1");
    assert_int_equal(s.m->counters.unreachable_canceled, 1);
    script_free(&s);
}

/* --- too many --- */

static void test_inv9_stops_rather(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, FRAMEWORK AGENTS "restart id=N recovery_agents_percent=60 agent_ping=200000\n"
                              "agent A1 reregister id=M-S0\nt=600010\n");
    EXPECT(s, "-> stop \"2 of 3 agents have not come back within 600 s after the failover, more "
              "than the 40 % that --recovery_agent_removal_limit allows");
    REFUTE(s, "MARK_UNREACHABLE");
    tell(&s, "restart id=O recovery_agents_percent=60 agent_ping=200000\nagent A1 reregister "
             "id=M-S0\n"
             "agent A2 reregister id=M-S1\nt=1200020\n");
    REFUTE(s, "stop");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S2");
    script_free(&s);
}

static void test_inv9_exactly_the_limit(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, FRAMEWORK AGENTS "agent A4 register\nrestart id=N recovery_agents_percent=50\n"
                              "agent A1 reregister id=M-S0\n"
                              "agent A2 reregister id=M-S1\nt=600010\n");
    REFUTE(s, "stop");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S2");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S3");
    script_free(&s);
}

/* A registry that fails does not make of few that are missing too many. */
static void test_inv9_registry_fails(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, FRAMEWORK AGENTS "restart id=N recovery_agents_percent=60\nregistry manual\n"
                              "agent A1 reregister id=M-S0\n"
                              "agent A2 reregister id=M-S1\n"
                              "t=600010\nregistry fail\nt=640000\n");
    REFUTE(s, "stop");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S2");
    script_free(&s);
}

/* --- what is remembered --- */

static void test_forgotten_by_age(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master absent_age=100000 gc_interval=10000\n" AWARE_CLUSTER RUNNING
             "agent A2 register\noperator O1 gone agent=M-S1\nt=90000\n");
    EXPECT(s, "-> S1 UPDATE t1 TASK_UNREACHABLE");
    tell(&s, "t=150000\nscheduler S1 reconcile tasks=t1@M-S0,t9@M-S1\n");
    EXPECT(s, "-> registry REMOVE_AGENT M-S1");
    REFUTE(s, "REMOVE_AGENT M-S0");
    EXPECT(s, "-> S1 UPDATE t1 TASK_UNREACHABLE");
    EXPECT(s, "-> S1 UPDATE t9 TASK_UNKNOWN");
    tell(&s, "t=200000\nscheduler S1 reconcile tasks=t1@M-S0\nshow\n");
    EXPECT(s, "-> registry REMOVE_AGENT M-S0");
    EXPECT(s, "-> S1 UPDATE t1 TASK_UNKNOWN");
    REFUTE(s, "unreachable t1");
    assert_int_equal(rv_map_count(&s.m->unreachable) + rv_map_count(&s.m->gone), 0);
    /* The registry, too: the next leader does not know them. An agent may still come back. */
    tell(&s, "restart id=N\nagent A1 reregister id=M-S0 role=x "
             "tasks=t1@M-0000@RUNNING@cpus:1;mem:128\n");
    EXPECT(s, "-> registry ADMIT_AGENT M-S0");
    assert_int_equal(s.m->n_recovered, 0);
    script_free(&s);
}

static void test_forgotten_by_count(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master max_absent_agents=2\n" FRAMEWORK AGENTS "operator O1 gone agent=M-S1\n"
             "operator O1 gone agent=M-S0\noperator O1 gone agent=M-S2\nt=900\n");
    REFUTE(s, "REMOVE_AGENT");
    tell(&s, "t=1100\n");
    EXPECT(s, "-> registry REMOVE_AGENT M-S1");
    REFUTE(s, "REMOVE_AGENT M-S0");
    /* The oldest is still that in the next leader's books, whatever its id. */
    tell(&s, "restart id=N max_absent_agents=1 gc_interval=1000\nt=2300\n");
    EXPECT(s, "-> registry REMOVE_AGENT M-S0");
    REFUTE(s, "REMOVE_AGENT M-S2");
    script_free(&s);
}

static void test_back_while_it_is_forgotten(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master absent_age=10000 gc_interval=10000\n" AWARE_CLUSTER "t=80000\n");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S0");
    tell(&s, "registry manual\nagent A1 reregister id=M-S0\nt=95000\n");
    EXPECT(s, "-> registry MARK_REACHABLE M-S0");
    EXPECT(s, "-> registry REMOVE_AGENT M-S0");
    tell(&s, "registry ok\n");
    EXPECT(s, "-> A1 503");
    tell(&s, "agent A1 reregister id=M-S0\nregistry ok\nagent A1 reregister id=M-S0\n");
    EXPECT(s, "-> registry ADMIT_AGENT M-S0");
    tell(&s, "registry ok\n");
    EXPECT(s, "-> A1 open");
    script_free(&s);
}

static void test_forgetting_fails(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master absent_age=10000 gc_interval=10000\n" AWARE_CLUSTER
             "t=80000\nregistry manual\nt=90000\nregistry fail\n");
    EXPECT(s, "-> registry REMOVE_AGENT M-S0");
    assert_int_equal(rv_map_count(&s.m->unreachable), 1);
    tell(&s, "registry auto\nt=110000\n");
    EXPECT(s, "-> registry REMOVE_AGENT M-S0");
    assert_int_equal(rv_map_count(&s.m->unreachable), 0);
    script_free(&s);
}

/* --- tasks that do not come back --- */

static void test_inv38_back_without_its_task(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "t=90000\n");
    EXPECT(s, "-> S1 UPDATE t1 TASK_UNREACHABLE");
    tell(&s, "agent A1 reregister id=M-S0\nscheduler S1 reconcile tasks=t1@M-S0\nshow\n");
    EXPECT(s, "-> S1 UPDATE t1 TASK_DROPPED SOURCE_MASTER REASON_RECONCILIATION");
    EXPECT(s, "-> S1 UPDATE t1 TASK_GONE SOURCE_MASTER REASON_RECONCILIATION");
    EXPECT(s, "completed t1 TASK_DROPPED");
    script_free(&s);
}

/* The framework that was told LOST has given the id to another task. */
static void test_back_without_a_task_whose_id_is_used(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "scheduler S1 subscribe name=a roles=x failover=600000 checkpoint=1\n"
             "agent A1 register\nt=10\n" RUNNING "t=90000\nagent A2 register\nt=91000\n");
    EXPECT(s, "-> S1 UPDATE t1 TASK_LOST");
    tell(&s, "scheduler S1 accept offers=M-O1 refuse=100000000 launch=t1@cpus:1;mem:128\n");
    EXPECT(s, "-> A2 RUN_TASKS");
    tell(&s, "agent A1 reregister id=M-S0\nshow\n");
    REFUTE(s, "UPDATE t1");
    EXPECT(s, "task t1 TASK_STAGING on M-S1");
    script_free(&s);
}

/* --- tasks that come back after a failover --- */

#define AGAIN                                                                                      \
    "scheduler S1 subscribe id=M-0000 name=a roles=x failover=600000 checkpoint=1 "                \
    "caps=PARTITION_AWARE\n"
#define BACK(tasks) "agent A1 reregister id=M-S0 role=x frameworks=M-0000 tasks=" tasks "\n"
#define TASK(id, state) id "@M-0000@" state "@cpus:1;mem:128"

/* INV-14: only the leader before had told that the task is unreachable. */
static void test_inv14_back_after_a_failover(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "t=90000\n");
    EXPECT(s, "-> S1 UPDATE t1 TASK_UNREACHABLE");
    tell(&s, "restart id=N\n" AGAIN BACK(TASK("t1", "RUNNING")) "show\n");
    EXPECT(s, "-> registry MARK_REACHABLE M-S0");
    EXPECT(s, "-> S1 UPDATE t1 TASK_RUNNING SOURCE_MASTER REASON_AGENT_REREGISTERED");
    EXPECT(s, "task t1 TASK_RUNNING on M-S0");
    /* Once: what its broken connection brings back nobody was told to be away. */
    tell(&s, "close A1\n" BACK(TASK("t1", "RUNNING")));
    REFUTE(s, "UPDATE t1");
    script_free(&s);
}

/* INV-14: this leader marked the agent without ever having seen its task, and said so when asked.
 * A task of which the framework has still to hear the end is told, too, and not one that is over.
 */
static void test_inv14_told_by_reconciliation_alone(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "restart id=N\n" AGAIN "t=600010\n"
                                   "scheduler S1 reconcile tasks=t1@M-S0\n");
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S0");
    EXPECT(s, "-> S1 UPDATE t1 TASK_UNREACHABLE SOURCE_MASTER REASON_RECONCILIATION");
    tell(&s, BACK(TASK("t1", "RUNNING") "+" TASK("t2", "FINISHED")));
    EXPECT(s, "-> S1 UPDATE t1 TASK_RUNNING SOURCE_MASTER REASON_AGENT_REREGISTERED");
    REFUTE(s, "UPDATE t2");
    script_free(&s);
}

/* INV-14: a framework that was told LOST learns that it was not (INV-37). */
static void test_inv14_lost_before_a_failover(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "scheduler S1 subscribe name=a roles=x failover=600000 checkpoint=1\n"
             "agent A1 register\nt=10\n" RUNNING "t=90000\n");
    EXPECT(s, "-> S1 UPDATE t1 TASK_LOST");
    tell(&s, "restart id=N\nscheduler S1 subscribe id=M-0000 name=a roles=x failover=600000 "
             "checkpoint=1\n" BACK(TASK("t1", "RUNNING")));
    EXPECT(s, "-> S1 UPDATE t1 TASK_RUNNING SOURCE_MASTER REASON_AGENT_REREGISTERED");
    script_free(&s);
}

/* An agent that the registry has forgotten: its tasks were UNKNOWN to whoever asked. One whose
 * return was waited for was never away, and who is not connected asks later. */
static void test_inv14_who_is_told(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master absent_age=10000 gc_interval=10000\n" AWARE_CLUSTER RUNNING "t=110000\n");
    EXPECT(s, "-> registry REMOVE_AGENT M-S0");
    tell(&s, "restart id=N\n" AGAIN BACK(TASK("t1", "RUNNING")));
    EXPECT(s, "-> registry ADMIT_AGENT M-S0");
    EXPECT(s, "-> S1 UPDATE t1 TASK_RUNNING SOURCE_MASTER REASON_AGENT_REREGISTERED");
    tell(&s, "restart id=O\n" AGAIN BACK(TASK("t1", "RUNNING")));
    REFUTE(s, "UPDATE t1");
    tell(&s, "close A1\nt=210000\nrestart id=P\n" BACK(TASK("t1", "RUNNING")));
    EXPECT(s, "-> registry MARK_UNREACHABLE M-S0");
    EXPECT(s, "-> registry MARK_REACHABLE M-S0");
    REFUTE(s, "UPDATE t1 TASK_RUNNING");
    tell(&s, AGAIN "scheduler S1 reconcile\n");
    EXPECT(s, "-> S1 UPDATE t1 TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION");
    script_free(&s);
}

/* --- offers after a failover --- */

static void test_inv11_offers_wait_for_agents(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, FRAMEWORK AGENTS "restart id=N quota=r limits=cpus:100 agent_ping=1000000\n"
                              "scheduler S1 subscribe id=M-0000 name=a roles=x failover=600000 "
                              "checkpoint=1 caps=PARTITION_AWARE\n"
                              "agent A1 reregister id=M-S0\n"
                              "agent A2 reregister id=M-S1\nt=60000\n");
    REFUTE(s, "OFFERS");
    tell(&s, "agent A3 reregister id=M-S2\nt=60020\n");
    EXPECT(s, "OFFERS");
    tell(&s, "restart id=O quota=r limits=cpus:100 agent_ping=1000000\n"
             "scheduler S1 subscribe id=M-0000 name=a roles=x failover=600000 "
             "checkpoint=1 caps=PARTITION_AWARE\n"
             "agent A1 reregister id=M-S0\nt=659000\nagent A1 pong\n");
    REFUTE(s, "OFFERS");
    tell(&s, "t=662000\n");
    EXPECT(s, "OFFERS");
    script_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inv10_one_at_a_time),
        cmocka_unit_test(test_inv10_back_before_its_turn),
        cmocka_unit_test(test_inv10_after_a_failover),
        cmocka_unit_test(test_inv9_stops_rather),
        cmocka_unit_test(test_inv9_exactly_the_limit),
        cmocka_unit_test(test_inv9_registry_fails),
        cmocka_unit_test(test_forgotten_by_age),
        cmocka_unit_test(test_forgotten_by_count),
        cmocka_unit_test(test_back_while_it_is_forgotten),
        cmocka_unit_test(test_forgetting_fails),
        cmocka_unit_test(test_inv38_back_without_its_task),
        cmocka_unit_test(test_back_without_a_task_whose_id_is_used),
        cmocka_unit_test(test_inv14_back_after_a_failover),
        cmocka_unit_test(test_inv14_told_by_reconciliation_alone),
        cmocka_unit_test(test_inv14_lost_before_a_failover),
        cmocka_unit_test(test_inv14_who_is_told),
        cmocka_unit_test(test_inv11_offers_wait_for_agents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
