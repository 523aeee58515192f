/*
 * Stories of the master's core, each about promises of spec/invariants.md by their numbers. They
 * are told in the language of master_script.h; after each step rv_master_check must find nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "master_story.h"

static void test_inv24_offer_once(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "scheduler S1 accept offers=M-O0 refuse=0\n"
                     "scheduler S1 accept offers=M-O0 launch=t1@cpus:1\n");
    EXPECT(s, "UPDATE t1 TASK_LOST SOURCE_MASTER REASON_INVALID_OFFERS");
    REFUTE(s, "uuid");
    REFUTE(s, "RUN_TASKS");
    tell(&s, "t=1100\n");
    EXPECT(s, "OFFERS M-O1(M-S0 x {cpus:4; mem:1024})");
    tell(&s, "scheduler S1 accept offers=M-O1,M-O1 launch=t2@cpus:1\n");
    EXPECT(s, "t2 TASK_LOST SOURCE_MASTER REASON_INVALID_OFFERS");
    EXPECT(s, "named twice");
    tell(&s, "t=2300\nshow\n");
    EXPECT(s, "agent M-S0 used {} offered {cpus:4; mem:1024}");
    /* A valid one beside a stale one is used up, and comes back as another. */
    tell(&s, "scheduler S1 accept offers=M-O2,M-O0 launch=t3@cpus:1\nt=2310\n");
    EXPECT(s, "t3 TASK_LOST");
    EXPECT(s, "OFFERS M-O3");
    script_free(&s);
}

static void test_inv24_of_another_framework(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "scheduler S2 subscribe name=b roles=y caps=PARTITION_AWARE\n"
                     "scheduler S2 accept offers=M-O0 launch=t1@cpus:1\n");
    EXPECT(s, "-> S2 UPDATE t1 TASK_DROPPED SOURCE_MASTER REASON_INVALID_OFFERS");
    tell(&s, "scheduler S1 accept offers=M-O0 launch=t1@cpus:1\n");
    EXPECT(s, "RUN_TASKS M-0000 t1{cpus:1}");
    script_free(&s);
}

static void test_inv24_different_agents(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "scheduler S1 subscribe name=a roles=x\n"
             "agent A1 register resources=cpus:4;mem:1024\n"
             "agent A2 register resources=cpus:4;mem:1024\nt=10\n"
             "scheduler S1 accept offers=M-O0,M-O1 launch=t1@cpus:5\n");
    EXPECT(s, "TASK_LOST SOURCE_MASTER REASON_INVALID_OFFERS");
    EXPECT(s, "different agents");
    tell(&s, "t=20\n");
    EXPECT(s, "M-O2(");
    EXPECT(s, "M-O3(");
    script_free(&s);
}

static void test_inv25_offers_do_not_outlive(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "close A1\n");
    EXPECT(s, "-> S1 RESCIND M-O0");
    tell(&s, "agent A1 reregister resources=cpus:4;mem:1024\nt=20\n");
    EXPECT(s, "OFFERS M-O1");
    tell(&s, "close S1\nshow\n");
    EXPECT(s, "agent M-S0 used {} offered {}");
    tell(&s, "scheduler S1 subscribe name=a roles=x failover=60000 id=M-0000\n"
             "scheduler S1 accept offers=M-O1 launch=t1@cpus:1\n");
    EXPECT(s, "t1 TASK_LOST SOURCE_MASTER REASON_INVALID_OFFERS");
    tell(&s, "t=30\nagent A1 unregister\n");
    EXPECT(s, "RESCIND M-O2");
    EXPECT(s, "registry REMOVE_AGENT M-S0");
    EXPECT(s, "FAILURE M-S0");
    script_free(&s);
}

static void test_inv26_inv27_books(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s,
         CLUSTER "scheduler S1 accept offers=M-O0 refuse=0 "
                 "launch=t1@cpus:0.1;mem:1+t2@cpus:0.2;mem:1+t3@cpus:0.3;mem:1\nt=1100\nshow\n");
    EXPECT(s, "used {cpus:0.6; mem:3} offered {cpus:3.4; mem:1021}");
    /* Terminal: given back once, however often it is told. */
    tell(&s, "agent A1 update task=t1 state=FINISHED uuid=1\n"
             "agent A1 update task=t1 state=FINISHED uuid=1\n"
             "agent A1 update task=t1 state=FAILED uuid=2\nshow\n");
    EXPECT(s, "used {cpus:0.5; mem:2}");
    EXPECT(s, "task t1 TASK_FINISHED");
    tell(&s, "agent A1 update task=t2 state=RUNNING uuid=3 latest=FAILED\nshow\n");
    EXPECT(s, "used {cpus:0.3; mem:1}");
    EXPECT(s, "UPDATE t2 TASK_RUNNING");
    tell(&s, "agent A1 update task=t3 state=KILLED uuid=4\nt=2200\nshow\n");
    EXPECT(s, "used {} offered {cpus:4; mem:1024}");
    script_free(&s);
}

static void test_inv28_filters(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "scheduler S1 decline offers=M-O0 refuse=4000\nt=3500\n");
    REFUTE(s, "OFFERS M-O1");
    tell(&s, "t=6000\n");
    EXPECT(s, "OFFERS M-O1");
    tell(&s, "scheduler S1 decline offers=M-O1 refuse=3600000\nt=60000\n");
    REFUTE(s, "OFFERS M-O2");
    tell(&s, "scheduler S1 revive\nt=60010\n");
    EXPECT(s, "OFFERS M-O2");
    tell(&s, "scheduler S1 suppress\nscheduler S1 decline offers=M-O2 refuse=0\nt=70000\n");
    REFUTE(s, "OFFERS M-O3");
    tell(&s, "scheduler S1 suppress roles=no\n"); /* not its role: dropped, nothing breaks */
    EXPECT(s, "-> S1 202");
    tell(&s, "scheduler S1 revive roles=x\nt=70010\n");
    EXPECT(s, "OFFERS M-O3");
    script_free(&s);
}

static void test_inv33_offer_timeout(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master offer_timeout=5000\n" CLUSTER "t=4000\n");
    REFUTE(s, "RESCIND");
    tell(&s, "t=5100\n");
    EXPECT(s, "RESCIND M-O0");
    script_free(&s);
}

static void test_inv37_terminal_is_sticky(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER RUNNING "agent A1 update task=t1 state=FAILED uuid=2\n"
                             "agent A1 update task=t1 state=RUNNING uuid=3\nshow\n");
    EXPECT(s, "task t1 TASK_FAILED");
    tell(&s, "scheduler S1 acknowledge task=t1 uuid=3\nshow\n");
    EXPECT(s, "task t1 TASK_FAILED"); /* the terminal one was not acknowledged */
    script_free(&s);
}

static void test_inv38_inv39_reconciliation(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER "agent A2 register resources=cpus:1;mem:64\n" RUNNING
                           "scheduler S2 subscribe name=b roles=y\n"
                           "t=20\n");
    tell(&s, "scheduler S1 reconcile tasks=t1,u1@M-S0,u2@no,u3\n");
    EXPECT(s, "t1 TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION agent=M-S0");
    EXPECT(s, "u1 TASK_GONE SOURCE_MASTER REASON_RECONCILIATION agent=M-S0");
    EXPECT(s, "u2 TASK_UNKNOWN");
    EXPECT(s, "u3 TASK_UNKNOWN");
    REFUTE(s, "uuid");
    tell(&s, "scheduler S2 reconcile tasks=u1@M-S0,u2@no,u3\n");
    EXPECT(s, "u1 TASK_LOST");
    EXPECT(s, "u2 TASK_LOST");
    EXPECT(s, "u3 TASK_LOST");
    tell(&s, "close A2\nt=40000\nagent A1 pong\nt=60000\nagent A1 pong\nt=80000\nagent A1 pong\n"
             "t=92000\n");
    EXPECT(s, "MARK_UNREACHABLE M-S1");
    tell(&s, "scheduler S1 reconcile tasks=u4@M-S1\nscheduler S2 reconcile tasks=u4@M-S1\n");
    EXPECT(s, "-> S1 UPDATE u4 TASK_UNREACHABLE SOURCE_MASTER REASON_RECONCILIATION agent=M-S1 "
              "unreachable=");
    EXPECT(s, "-> S2 UPDATE u4 TASK_LOST");
    tell(&s, "scheduler S1 reconcile\n");
    EXPECT(s, "t1 TASK_RUNNING");
    script_free(&s);
}

static size_t count(const struct script *s, const char *what) {
    size_t n = 0;

    for (const char *at = s->text.data; (at = strstr(at, what)); at++)
        n++;
    return n;
}

static void test_inv50_reconciliation_in_slices(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master reconcile_slice=2\n" AWARE_CLUSTER
             "scheduler S1 accept offers=M-O0 refuse=100000000 "
             "launch=t1@cpus:1+t2@cpus:1+t3@cpus:1+t4@cpus:1\n");
    tell(&s, "scheduler S1 reconcile\n");
    assert_int_equal(count(&s, "REASON_RECONCILIATION"), 2);
    tell(&s, "scheduler S1 reconcile tasks=u1@no,u2@no,u3@no\n");
    EXPECT(s, "u1 TASK_UNKNOWN"); /* those that are named need not wait for all */
    EXPECT(s, "u2 TASK_UNKNOWN");
    assert_int_equal(count(&s, "REASON_RECONCILIATION"), 2);
    tell(&s, "scheduler S1 reconcile\nscheduler S1 reconcile tasks=u4@no\n");
    REFUTE(s, "REASON_RECONCILIATION"); /* their turn comes */
    tell(&s, "t=60\n");
    EXPECT(s, "u3 TASK_UNKNOWN");
    EXPECT(s, "u4 TASK_UNKNOWN");
    tell(&s, "t=110\n");
    assert_int_equal(count(&s, "REASON_RECONCILIATION"), 2);
    tell(&s, "t=160\n"); /* all were asked for once more meanwhile */
    assert_int_equal(count(&s, "REASON_RECONCILIATION"), 2);
    tell(&s, "agent A1 update task=t1 state=FINISHED uuid=1\nagent A1 update task=t2 "
             "state=FINISHED uuid=2\nagent A1 update task=t3 state=FINISHED uuid=3\n"
             "agent A1 update task=t4 state=FINISHED uuid=4\nt=210\n");
    REFUTE(s, "REASON_RECONCILIATION"); /* the last two have ended meanwhile, as was told */
    tell(&s, "t=1000\n");
    REFUTE(s, "UPDATE");
    /* Who subscribes again asks again. */
    tell(&s, "scheduler S1 reconcile tasks=u1@no,u2@no,u3@no\nclose S1\n"
             "scheduler S1 subscribe id=M-0000 name=a roles=x failover=600000 checkpoint=1 "
             "caps=PARTITION_AWARE\nt=2000\n");
    assert_int_equal(count(&s, "REASON_RECONCILIATION"), 2);
    script_free(&s);
}

static void test_inv8_silence_after_failover(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "t=100\nrestart id=N\n"
                                   "scheduler S1 subscribe id=M-0000 name=a roles=x "
                                   "failover=600000 checkpoint=1 caps=PARTITION_AWARE\n");
    EXPECT(s, "SUBSCRIBED M-0000");
    tell(&s, "scheduler S1 reconcile tasks=t1@M-S0,t2\nscheduler S1 reconcile\n"
             "scheduler S1 kill task=t1 agent=M-S0\n");
    REFUTE(s, "UPDATE");
    tell(&s, "agent A1 reregister id=M-S0 resources=cpus:4;mem:1024 role=x "
             "tasks=t1@M-0000@RUNNING@cpus:1;mem:128 frameworks=M-0000\n"
             "scheduler S1 reconcile tasks=t1@M-S0\nshow\n");
    EXPECT(s, "REGISTERED M-S0");
    EXPECT(s, "t1 TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION");
    EXPECT(s, "used {cpus:1; mem:128}");
    script_free(&s);
}

static void test_inv8_absent_after_timeout(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "t=100\nrestart id=N\n"
                                   "scheduler S1 subscribe id=M-0000 name=a roles=x "
                                   "failover=600000 checkpoint=1 caps=PARTITION_AWARE\n"
                                   "t=599000\n");
    REFUTE(s, "UNREACHABLE");
    tell(&s, "t=600200\nscheduler S1 reconcile tasks=t1@M-S0\n");
    EXPECT(s, "registry MARK_UNREACHABLE M-S0");
    EXPECT(s, "-> S1 FAILURE M-S0");
    EXPECT(s, "t1 TASK_UNREACHABLE");
    script_free(&s);
}

static void test_inv12_framework_removed_by_next_leader(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "t=100\nrestart id=N\n"
                                   "agent A1 reregister id=M-S0 resources=cpus:4;mem:1024 role=x "
                                   "tasks=t1@M-0000@RUNNING@cpus:1;mem:128 frameworks=M-0000\n"
                                   "t=1000\nshow\n");
    EXPECT(s, "framework M-0000 inactive recovered used {cpus:1; mem:128}");
    script_free(&s);
    tell(&s, "master heartbeat=1000\nscheduler S1 subscribe name=a roles=x failover=9000\n"
             "t=100\nrestart id=N heartbeat=1000\nt=9000\nshow\n");
    EXPECT(s, "-> framework M-0000 inactive recovered");
    tell(&s, "t=9200\nshow\n");
    EXPECT(s, "registry REMOVE_FRAMEWORK M-0000");
    EXPECT(s, "-> completed framework M-0000");
    script_free(&s);
}

/* Masters that change in between do not set the clock back. */
static void test_inv12_timeout_counts_on_across_masters(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master heartbeat=1000\nscheduler S1 subscribe name=a roles=x failover=60000\n"
             "t=100\nclose S1\nt=40000\nrestart id=N heartbeat=1000\nt=50000\n"
             "restart id=O heartbeat=1000\nt=59000\nshow\n");
    EXPECT(s, "-> framework M-0000 inactive recovered");
    tell(&s, "t=60200\nshow\n");
    EXPECT(s, "-> registry REMOVE_FRAMEWORK M-0000");
    script_free(&s);
    /* It was connected when its master ended: it is away from the next one's beginning on, and
     * those after that know it. */
    tell(&s, "master heartbeat=1000\nscheduler S1 subscribe name=a roles=x failover=60000\n"
             "t=1000\nrestart id=N heartbeat=1000\nt=5100\n");
    EXPECT(s, "-> registry PUT_FRAMEWORK M-0000");
    tell(&s, "t=50000\nrestart id=O heartbeat=1000\nt=60900\nshow\n");
    EXPECT(s, "-> framework M-0000 inactive recovered");
    tell(&s, "t=61100\nshow\n");
    EXPECT(s, "-> registry REMOVE_FRAMEWORK M-0000");
    script_free(&s);
    /* Back: nothing of that counts any more. However long it was away, it has four heartbeats. */
    tell(&s, "master heartbeat=1000\nscheduler S1 subscribe name=a roles=x failover=60000\n"
             "t=1000\nclose S1\nt=2000\n"
             "scheduler S1 subscribe id=M-0000 name=a roles=x failover=60000\n"
             "t=3000\nclose S1\nt=62900\nrestart id=N heartbeat=1000\nt=66800\nshow\n");
    EXPECT(s, "-> framework M-0000 inactive recovered");
    tell(&s, "t=67000\nshow\n");
    EXPECT(s, "-> registry REMOVE_FRAMEWORK M-0000");
    script_free(&s);
}

/* A subscription and a disconnection cross at the registry: the later one counts. */
static void test_inv12_crossed_writes(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "registry manual\nscheduler S2 subscribe id=M-0000 name=b roles=x "
                     "failover=60000\nclose S1\nregistry ok\n");
    EXPECT(s, "-> S2 SUBSCRIBED M-0000");
    EXPECT(s, "-> S2 HEARTBEAT\n-> registry PUT_FRAMEWORK M-0000");
    script_free(&s);
}

/* What has ended does not come back with the next leader, neither by itself nor by an agent. */
static void test_inv12_ended_for_good(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "close A1\nscheduler S1 teardown\nrestart id=N\n"
                                   "agent A1 reregister id=M-S0 resources=cpus:4;mem:1024 role=x "
                                   "tasks=t1@M-0000@RUNNING@cpus:1;mem:128 frameworks=M-0000\n"
                                   "show\n");
    EXPECT(s, "-> A1 SHUTDOWN_FRAMEWORK M-0000");
    EXPECT(s, "-> agent M-S0 used {}");
    REFUTE(s, "-> framework");
    tell(&s, "scheduler S1 subscribe id=M-0000 name=a roles=x\n");
    EXPECT(s, "ERROR \"Framework has been removed\"");
    script_free(&s);
}

static void test_inv40_states_need_capabilities(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER RUNNING "agent A1 update task=t1 state=KILLING uuid=2\n");
    REFUTE(s, "TASK_KILLING");
    EXPECT(s, "ACKNOWLEDGE M-0000 t1 uuid=2");
    tell(&s, "agent A1 update task=t1 state=GONE uuid=3\n");
    EXPECT(s, "t1 TASK_LOST SOURCE_EXECUTOR");
    script_free(&s);
    tell(&s, "scheduler S1 subscribe roles=x caps=TASK_KILLING_STATE,PARTITION_AWARE\n"
             "agent A1 register\nt=10\n" RUNNING "agent A1 update task=t1 state=KILLING uuid=2\n");
    EXPECT(s, "t1 TASK_KILLING SOURCE_EXECUTOR agent=M-S0 uuid=2");
    script_free(&s);
}

static void test_inv43_one_subscription(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "scheduler S2 subscribe id=M-0000 name=b roles=x failover=60000\n");
    EXPECT(s, "-> S1 ERROR \"Framework failed over\"\n-> S1 close\n-> S2 open\n"
              "-> S2 SUBSCRIBED M-0000");
    tell(&s, "scheduler S1 revive id=M-0000\n");
    EXPECT(s, "-> S1 400");
    tell(&s, "scheduler S2 revive\nt=20\n");
    EXPECT(s, "-> S2 202");
    EXPECT(s, "-> S2 OFFERS M-O1");
    tell(&s, "close S1\n"); /* the end of the old stream means nothing now */
    tell(&s, "scheduler S2 revive\n");
    EXPECT(s, "-> S2 202");
    script_free(&s);
}

static void test_inv44_calls(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "scheduler S1 revive stream_id=none\n");
    EXPECT(s, "-> S1 400");
    tell(&s, "scheduler S1 revive stream_id=wrong\n");
    EXPECT(s, "-> S1 400");
    tell(&s, "scheduler S3 revive\n");
    EXPECT(s, "-> S3 400");
    tell(&s, "scheduler S1 revive id=nobody\n");
    EXPECT(s, "-> S1 403");
    tell(&s, "scheduler S1 subscribe stream_id=x\n");
    EXPECT(s, "-> S1 400");
    tell(&s, "close S1\nscheduler S1 revive id=M-0000\n");
    EXPECT(s, "-> S1 403");
    script_free(&s);
}

static void test_inv45_failover_timeout(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER RUNNING "close S1\nt=59000\nshow\n");
    EXPECT(s, "framework M-0000 inactive used {cpus:1; mem:128}");
    EXPECT(s, "task t1 TASK_RUNNING");
    tell(&s, "t=61000\nshow\n");
    EXPECT(s, "-> registry REMOVE_FRAMEWORK M-0000\n-> A1 SHUTDOWN_FRAMEWORK M-0000");
    EXPECT(s, "agent M-S0 used {} offered {}");
    EXPECT(s, "completed framework M-0000");
    tell(&s, "scheduler S1 subscribe id=M-0000 name=a roles=x\n");
    EXPECT(s, "-> S1 open\n-> S1 ERROR \"Framework has been removed\"\n-> S1 close");
    script_free(&s);
    tell(&s, "scheduler S1 subscribe\nclose S1\nshow\n");
    EXPECT(s, "completed framework M-0000"); /* no timeout: at once */
    script_free(&s);
}

static void test_inv13_inv14_unreachable_and_back(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "t=77000\n");
    REFUTE(s, "MARK_UNREACHABLE");
    tell(&s, "t=79000\nshow\n");
    EXPECT(s, "registry MARK_UNREACHABLE M-S0");
    EXPECT(s, "t1 TASK_UNREACHABLE SOURCE_MASTER REASON_AGENT_REMOVED agent=M-S0");
    EXPECT(s, "-> S1 FAILURE M-S0\n-> A1 close");
    EXPECT(s, "framework M-0000 used {}");
    EXPECT(s, "unreachable t1 TASK_UNREACHABLE");
    tell(&s, "agent A1 pong\n");
    EXPECT(s, "-> A1 403");
    tell(&s, "agent A1 reregister role=x resources=cpus:4;mem:1024 "
             "tasks=t1@M-0000@RUNNING@cpus:1;mem:128\nshow\n");
    EXPECT(s, "registry MARK_REACHABLE M-S0");
    EXPECT(s, "t1 TASK_RUNNING SOURCE_MASTER REASON_AGENT_REREGISTERED agent=M-S0");
    EXPECT(s, "agent M-S0 used {cpus:1; mem:128}");
    REFUTE(s, "unreachable t1");
    script_free(&s);
}

static void test_inv15_gone_is_never_admitted(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master gone=old-S0\nagent A1 reregister id=old-S0\nshow\n");
    EXPECT(s, "-> A1 open\n-> A1 SHUTDOWN \"Agent has been marked gone\"\n-> A1 close");
    REFUTE(s, "-> agent");
    tell(&s, "scheduler S1 subscribe roles=x caps=PARTITION_AWARE\n"
             "scheduler S1 reconcile tasks=t1@old-S0\n"
             "scheduler S1 reconcile_operations operations=o1@old-S0\n");
    EXPECT(s, "t1 TASK_GONE_BY_OPERATOR SOURCE_MASTER REASON_RECONCILIATION");
    EXPECT(s, "o1 OPERATION_GONE_BY_OPERATOR");
    script_free(&s);
}

static void test_ids_of_the_future(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "agent A1 reregister id=M-S0\nscheduler S1 subscribe id=M-0000\n");
    EXPECT(s, "-> A1 400");
    EXPECT(s, "-> S1 400");
    tell(&s, "agent A1 reregister id=L-S0\n"); /* of a leader whose registry was lost */
    EXPECT(s, "registry ADMIT_AGENT L-S0\n-> A1 open");
    script_free(&s);
}

static void test_agent_calls(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER RUNNING "agent A1 pong stream_id=older\n");
    EXPECT(s, "-> A1 403");
    tell(&s, "agent A2 pong id=nobody\n");
    EXPECT(s, "-> A2 403");
    tell(&s, "agent A1 update task=t1 framework=nobody state=RUNNING\n"
             "agent A1 update task=unknown state=RUNNING uuid=9\n");
    EXPECT(s, "-> S1 UPDATE unknown TASK_RUNNING");
    assert_int_equal(s.m->counters.invalid_status_updates, 2);
    /* Less than what is in use is not believed; more is. */
    tell(&s, "agent A1 total resources=cpus:0.5;mem:1024\nscheduler S1 revive\nt=20\n");
    EXPECT(s, "OFFERS M-O1(M-S0 x {cpus:3; mem:896})");
    tell(&s, "agent A1 total resources=cpus:6;mem:1024\nt=2000\n");
    EXPECT(s, "RESCIND M-O1");
    EXPECT(s, "OFFERS M-O2(M-S0 x {cpus:5; mem:896})");
    script_free(&s);
}

static void test_principals_and_whitelist(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master role_whitelist=x,y\nscheduler S1 subscribe roles=z\n");
    EXPECT(s, "-> S1 ERROR");
    tell(&s, "scheduler S1 subscribe roles=x principal=me as=you\n");
    EXPECT(s, "-> S1 400");
    tell(&s, "scheduler S1 subscribe roles=x principal=me as=me failover=1000\n"
             "scheduler S1 revive as=you\n");
    EXPECT(s, "SUBSCRIBED");
    EXPECT(s, "-> S1 403");
    tell(&s, "scheduler S1 revive as=me\n");
    EXPECT(s, "-> S1 202");
    tell(&s, "scheduler S1 update_framework roles=x principal=you as=me\n");
    EXPECT(s, "-> S1 400");
    script_free(&s);
}

static void test_inv13_pongs_keep_it(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER);
    for (int i = 1; i < 20; i++) {
        char line[64];

        snprintf(line, sizeof line, "t=%d\nagent A1 pong\n", i * 14000);
        tell(&s, line);
        REFUTE(s, "MARK_UNREACHABLE");
    }
    script_free(&s);
}

static void test_inv16_broken_socket(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING);
    tell(&s, "close A1\nshow\n"); /* S1 checkpoints */
    REFUTE(s, "UPDATE t1");
    EXPECT(s, "task t1 TASK_RUNNING on M-S0");
    tell(&s, "scheduler S1 kill task=t1 grace=500\n");
    REFUTE(s, "KILL_TASK"); /* the agent is away: kept until it is back */
    tell(&s, "agent A1 reregister role=x tasks=t1@M-0000@RUNNING@cpus:1;mem:128\n");
    EXPECT(s, "KILL_TASK M-0000 t1 grace=500");
    REFUTE(s, "-> registry"); /* it is known as it is */
    script_free(&s);
    tell(&s, CLUSTER RUNNING "close A1\nshow\n"); /* S1 does not checkpoint here */
    EXPECT(s, "t1 TASK_LOST SOURCE_MASTER REASON_AGENT_DISCONNECTED");
    EXPECT(s, "completed t1 TASK_LOST");
    tell(&s, "agent A1 reregister role=x tasks=t1@M-0000@RUNNING@cpus:1;mem:128\nshow\n");
    EXPECT(s, "task t1 TASK_RUNNING on M-S0"); /* LOST may revert: INV-37 */
    REFUTE(s, "completed t1");
    script_free(&s);
}

static void test_reregistration_without_task(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "close A1\nagent A1 reregister resources=cpus:4;mem:1024\n"
                                   "show\n");
    EXPECT(s, "t1 TASK_DROPPED SOURCE_MASTER REASON_RECONCILIATION agent=M-S0");
    EXPECT(s, "agent M-S0 used {} offered");
    /* It ended while away: the agent has the update that waits. */
    tell(&s, "t=20\nscheduler S1 revive\nt=30\nscheduler S1 accept offers=M-O1 launch=t2@cpus:1\n"
             "close A1\nagent A1 reregister role=x tasks=t2@M-0000@FINISHED@cpus:1@7\nshow\n");
    EXPECT(s, "used {} offered");
    EXPECT(s, "task t2 TASK_FINISHED");
    tell(&s, "scheduler S1 acknowledge task=t2 uuid=7\nshow\n");
    EXPECT(s, "completed t2 TASK_FINISHED");
    script_free(&s);
}

static void test_too_much_is_refused(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "close A1\nagent A1 reregister role=x resources=cpus:4;mem:1024 "
                     "tasks=t1@M-0000@RUNNING@cpus:5;mem:1\n");
    EXPECT(s, "-> A1 400");
    tell(&s, "agent A1 reregister role=x tasks=t1@nobody@RUNNING@cpus:1\n");
    EXPECT(s, "-> A1 400");
    tell(&s, "agent A1 reregister id=a/b\n");
    EXPECT(s, "-> A1 400");
    script_free(&s);
}

static void test_inv4_registry_first(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "registry manual\nscheduler S1 subscribe name=a roles=x failover=60000\n");
    EXPECT(s, "PUT_FRAMEWORK");
    REFUTE(s, "SUBSCRIBED");
    tell(&s, "registry fail\n");
    EXPECT(s, "-> S1 503");
    tell(&s, "scheduler S1 subscribe name=a roles=x failover=60000\nregistry ok\n");
    EXPECT(s, "SUBSCRIBED M-0001");
    tell(&s, "agent A1 register\nt=10\n");
    REFUTE(s, "REGISTERED");
    tell(&s, "registry fail\n");
    EXPECT(s, "-> A1 503");
    tell(&s, "agent A1 register\nregistry ok\nt=20\n");
    EXPECT(s, "REGISTERED M-S1");
    EXPECT(s, "OFFERS M-O0");
    tell(&s, "t=80000\n");
    EXPECT(s, "MARK_UNREACHABLE M-S1");
    REFUTE(s, "FAILURE");
    tell(&s, "agent A1 pong\n");
    EXPECT(s, "-> A1 403");
    tell(&s, "agent A1 reregister id=M-S1\n");
    EXPECT(s, "-> A1 503");
    tell(&s, "registry ok\n");
    EXPECT(s, "FAILURE M-S1");
    tell(&s, "scheduler S1 teardown\n");
    REFUTE(s, "-> S1 202");
    tell(&s, "scheduler S1 revive\n");
    EXPECT(s, "-> S1 403");
    /* Whether it is removed is not known yet. */
    tell(&s, "scheduler S2 subscribe id=M-0001 name=a roles=x failover=60000\n");
    EXPECT(s, "-> S2 503");
    tell(&s, "registry fail\n");
    EXPECT(s, "-> S1 503");
    tell(&s, "scheduler S1 teardown\nregistry ok\n");
    EXPECT(s, "-> S1 202\n-> S1 close");
    script_free(&s);
}

static void test_gave_up_while_the_registry_wrote(void **state) {
    struct script s = {0};

    (void)state;
    /* The label's stream is known only once it is open: numbers are given in order, so the
     * subscription has request 1 and stream 2. */
    tell(&s, "registry manual\nscheduler S1 subscribe name=a roles=x failover=60000\n");
    {
        struct rv_master_event e = {.kind = RV_MASTER_STREAM_CLOSED, .stream = 2};

        run_step(&s, &e);
    }
    tell(&s, "registry ok\nshow\n");
    REFUTE(s, "SUBSCRIBED");
    EXPECT(s, "framework M-0000 inactive used");
    tell(&s, "agent A1 register\n"); /* request 3, stream 4 */
    {
        struct rv_master_event e = {.kind = RV_MASTER_STREAM_CLOSED, .stream = 4};

        run_step(&s, &e);
    }
    /* Before it the registry writes since when the framework is away. */
    tell(&s, "registry ok\nregistry ok\nshow\n");
    EXPECT(s, "-> registry REMOVE_AGENT M-S0");
    REFUTE(s, "-> agent M-S0");
    script_free(&s);
}

static void test_executors(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "scheduler S1 accept offers=M-O0 refuse=0 launch=t1@cpus:1 "
                     "executor=e1@cpus:0.5;mem:32\nt=1100\nshow\n");
    EXPECT(s, "RUN_TASKS M-0000 executor=e1 t1{cpus:1}");
    EXPECT(s, "used {cpus:1.5; mem:32}");
    EXPECT(s, "executor=e1)");
    /* The same again costs the task only; another of that id is refused. */
    tell(&s, "scheduler S1 accept offers=M-O1 refuse=0 launch=t2@cpus:1 "
             "executor=e1@cpus:0.5;mem:32\nt=2200\n"
             "scheduler S1 accept offers=M-O2 refuse=0 launch=t3@cpus:1 executor=e1@cpus:0.6\n"
             "show\n");
    EXPECT(s, "used {cpus:2.5; mem:32}");
    EXPECT(s, "t3 TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID");
    tell(&s, "scheduler S1 message agent=M-S0 executor=e1 data=hello\n"
             "agent A1 message executor=e1 data=there\n"
             "scheduler S1 shutdown agent=M-S0 executor=e1\n");
    EXPECT(s, "-> A1 FRAMEWORK_MESSAGE M-0000 e1 'hello'");
    EXPECT(s, "-> S1 MESSAGE M-S0 e1 'there'");
    EXPECT(s, "-> A1 SHUTDOWN_EXECUTOR M-0000 e1");
    tell(&s, "agent A1 update task=t1 state=KILLED uuid=1\n"
             "agent A1 update task=t2 state=KILLED uuid=2\n"
             "agent A1 exited executor=e1 status=256\nshow\n");
    EXPECT(s, "-> S1 FAILURE M-S0 e1 256");
    EXPECT(s, "agent M-S0 used {}");
    script_free(&s);
}

static void test_groups(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "scheduler S1 accept offers=M-O0 refuse=0 group=g1@cpus:1+g2@cpus:9 "
                     "executor=e1@cpus:0.1\nshow\n");
    EXPECT(s, "g1 TASK_ERROR SOURCE_MASTER REASON_TASK_GROUP_INVALID");
    EXPECT(s, "g2 TASK_ERROR SOURCE_MASTER REASON_TASK_GROUP_INVALID");
    EXPECT(s, "agent M-S0 used {}");
    tell(&s, "t=1100\nscheduler S1 accept offers=M-O1 group=g1@cpus:1+g1@cpus:1 "
             "executor=e1@cpus:0.1\n");
    EXPECT(s, "is twice in it");
    tell(&s, "scheduler S1 revive\nt=1200\nscheduler S1 accept offers=M-O2 refuse=0 "
             "group=g1@cpus:1+g2@cpus:2.9 executor=e1@cpus:0.1\nshow\n");
    EXPECT(s, "RUN_TASKS M-0000 group executor=e1 g1{cpus:1} g2{cpus:2.9}");
    EXPECT(s, "used {cpus:4}");
    script_free(&s);
}

static void test_groups_share_control_groups_or_do_not(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "scheduler S1 accept offers=M-O0 refuse=0 group=g1@cpus:1+g2@cpus:1@own "
                     "executor=e1@cpus:0.1\nt=1100\n");
    EXPECT(s, "g1 TASK_ERROR SOURCE_MASTER REASON_TASK_GROUP_INVALID");
    EXPECT(s, "g2 TASK_ERROR SOURCE_MASTER REASON_TASK_GROUP_INVALID");
    tell(&s, "scheduler S1 accept offers=M-O1 refuse=0 group=g1@cpus:1@own+g2@cpus:1@own "
             "executor=e1@cpus:0.1\nt=2200\n");
    EXPECT(s, "RUN_TASKS M-0000 group executor=e1 g1{cpus:1} g2{cpus:1}");
    tell(&s, "scheduler S1 accept offers=M-O2 refuse=0 group=g3@cpus:1 executor=e1@cpus:0.1\n"
             "t=3300\n");
    EXPECT(s, "g3 TASK_ERROR SOURCE_MASTER REASON_TASK_GROUP_INVALID");
    EXPECT(s, "'share_cgroups'");
    tell(&s, "scheduler S1 accept offers=M-O3 refuse=0 group=g3@cpus:0.5 executor=e2@cpus:0.1\n");
    EXPECT(s, "RUN_TASKS M-0000 group executor=e2 g3{cpus:0.5}");
    script_free(&s);
}

static void test_launch_errors(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "scheduler S1 accept offers=M-O0 refuse=0 "
                     "launch=t1@cpus:1+t1@cpus:1+a/b@cpus:1+t2\n");
    EXPECT(s, "RUN_TASKS M-0000 t1{cpus:1}");
    EXPECT(s, "UPDATE t1 TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID");
    EXPECT(s, "UPDATE a/b TASK_ERROR");
    EXPECT(s, "UPDATE t2 TASK_ERROR");
    tell(&s, "scheduler S1 reconcile tasks=t1\nt=1100\n"
             "scheduler S1 accept offers=M-O1 launch=t3@cpus:1 agent=other\n");
    EXPECT(s, "t1 TASK_STAGING SOURCE_MASTER REASON_RECONCILIATION");
    EXPECT(s, "t3 TASK_ERROR");
    script_free(&s);
}

static void test_ports_are_not_given_twice(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "scheduler S1 subscribe roles=x failover=60000\n"
             "agent A1 register resources=cpus:4;ports:[1-9]\nt=10\n"
             "scheduler S1 accept offers=M-O0 refuse=0 launch=t1@cpus:1;ports:[1-2] "
             "executor=e1@ports:[2-3]\n");
    EXPECT(s, "t1 TASK_ERROR");
    tell(&s, "t=1100\nscheduler S1 accept offers=M-O1 refuse=0 "
             "launch=t1@cpus:1;ports:[1-2]+t2@cpus:1;ports:[2-3]\n");
    EXPECT(s, "RUN_TASKS M-0000 t1");
    EXPECT(s, "t2 TASK_ERROR");
    tell(&s, "t=2200\nscheduler S1 accept offers=M-O2 refuse=0 "
             "group=t3@cpus:1;ports:[4-5]+t4@cpus:1;ports:[5-6] executor=e2@cpus:0.1\n");
    EXPECT(s, "t3 TASK_ERROR");
    EXPECT(s, "t4 TASK_ERROR");
    tell(&s, "close A1\nagent A1 reregister resources=cpus:4;ports:[1-9] role=x "
             "tasks=t1@M-0000@RUNNING@ports:[1-2]+t2@M-0000@RUNNING@ports:[2-3]\n");
    EXPECT(s, "-> A1 400");
    script_free(&s);
}

static void test_operations_are_refused_aloud(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "scheduler S1 accept offers=M-O0 refuse=0 reserve=op1 launch=t1@cpus:1\n");
    EXPECT(s, "UPDATE_OPERATION_STATUS op1 OPERATION_ERROR \"no resources");
    EXPECT(s, "RUN_TASKS M-0000 t1");
    tell(&s, "scheduler S1 accept offers=M-O0 reserve=op2\n");
    EXPECT(s, "op2 OPERATION_DROPPED");
    tell(&s, "scheduler S1 reconcile_operations operations=op1,op3@M-S0,op4@no\n");
    EXPECT(s, "op1 OPERATION_UNKNOWN");
    EXPECT(s, "op3 OPERATION_UNKNOWN");
    EXPECT(s, "op4 OPERATION_UNKNOWN");
    REFUTE(s, "uuid");
    tell(&s, "scheduler S1 accept offers= reserve=\n");
    EXPECT(s, "-> S1 202");
    assert_int_equal(s.m->counters.dropped_messages, 1);
    script_free(&s);
}

static void test_subscription_is_refused(void **state) {
    static const char *const wrong[] = {
        "roles=x,x", "roles=a//b", "roles=*/a", "roles=-a", "roles=x suppressed=y", "roles=..",
    };
    struct script s = {0};

    (void)state;
    for (size_t i = 0; i < RV_COUNT(wrong); i++) {
        char line[128];

        snprintf(line, sizeof line, "scheduler S1 subscribe %s\n", wrong[i]);
        tell(&s, line);
        EXPECT(s, "-> S1 open\n-> S1 ERROR");
        EXPECT(s, "-> S1 close");
        REFUTE(s, "registry");
    }
    tell(&s, "scheduler S1 subscribe id=a/b\n");
    EXPECT(s, "-> S1 400");
    tell(&s, "scheduler S1 subscribe id=F1 roles=x failover=1000\n"); /* of another master's time */
    EXPECT(s, "SUBSCRIBED F1");
    tell(&s, "scheduler S2 subscribe id=F1 roles=x failover=1000 user=other\n");
    EXPECT(s, "-> S2 ERROR");
    REFUTE(s, "-> S1 ERROR");
    script_free(&s);
}

static void test_update_framework(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER RUNNING "scheduler S1 revive\nt=20\n"
                             "scheduler S1 update_framework name=n roles=y failover=60000\n");
    EXPECT(s, "-> S1 RESCIND M-O1");
    EXPECT(s, "-> A1 UPDATE_FRAMEWORK M-0000 name=n");
    EXPECT(s, "-> S1 200");
    tell(&s, "t=30\n");
    EXPECT(s, "OFFERS M-O2(M-S0 y");
    tell(&s, "scheduler S1 update_framework roles=y user=other\n");
    EXPECT(s, "-> S1 400");
    tell(&s, "scheduler S1 update_framework roles=y checkpoint=1\n");
    EXPECT(s, "-> S1 400");
    tell(&s, "scheduler S1 update_framework roles=y suppressed=z\n");
    EXPECT(s, "-> S1 400");
    tell(&s, "scheduler S1 update_framework roles=y suppressed=y failover=60000\n"
             "scheduler S1 decline offers=M-O2 refuse=0\nt=5000\n");
    REFUTE(s, "OFFERS");
    tell(&s, "scheduler S1 update_framework roles=y failover=60000\nt=5010\n");
    EXPECT(s, "OFFERS M-O3");
    script_free(&s);
}

static void test_operators(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "operator O1 subscribe\n" CLUSTER RUNNING
             "agent A1 update task=t1 state=FINISHED uuid=2\n");
    EXPECT(s, "-> O1 open\n-> O1 SNAPSHOT");
    EXPECT(s, "-> operators FRAMEWORK_ADDED M-0000");
    EXPECT(s, "-> operators AGENT_ADDED M-S0");
    EXPECT(s, "-> operators TASK_ADDED t1 TASK_STAGING");
    EXPECT(s, "-> operators TASK_UPDATED t1 TASK_RUNNING");
    EXPECT(s, "-> operators TASK_UPDATED t1 TASK_FINISHED");
    tell(&s, "operator O2 teardown framework=no\n");
    EXPECT(s, "-> O2 400");
    tell(&s, "scheduler S1 revive\nt=20\noperator O2 weight role=x weight=2\n");
    EXPECT(s, "registry PUT_WEIGHTS x=2\n-> O2 200\n-> S1 RESCIND M-O1");
    tell(&s, "operator O2 weight role=x weight=0\n");
    EXPECT(s, "-> O2 400");
    tell(&s, "operator O2 weight role=x weight=nan\n");
    EXPECT(s, "-> O2 400");
    tell(&s, "operator O2 teardown framework=M-0000\n");
    EXPECT(s, "-> O2 200\n-> S1 close\n-> operators FRAMEWORK_REMOVED M-0000");
    tell(&s, "close O1\nagent A1 unregister\n");
    REFUTE(s, "operators");
    script_free(&s);
}

static void test_operator_kills(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER RUNNING "operator O1 kill framework=no task=t1\n"
                             "operator O1 kill framework=M-0000 task=no\n");
    EXPECT(s, "-> O1 404 \"there is no framework 'no'\"");
    EXPECT(s, "-> O1 404 \"framework 'M-0000' has no task 'no'\"");
    tell(&s, "operator O1 kill framework=M-0000 task=t1 grace=1500\n");
    EXPECT(s, "-> A1 KILL_TASK M-0000 t1 grace=1500");
    EXPECT(s, "-> O1 202");
    script_free(&s);
}

static void test_a_new_agent_at_the_old_address(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "scheduler S1 subscribe roles=x failover=60000 caps=PARTITION_AWARE checkpoint=1\n"
             "agent A1 register port=5051\nt=10\n" RUNNING "agent A2 register port=5051\n");
    EXPECT(s, "-> A2 503"); /* a late try, or the first one's end was not noticed yet */
    tell(&s, "close A1\nagent A3 register port=5051\nshow\n");
    EXPECT(s, "registry REMOVE_AGENT M-S0");
    EXPECT(s, "t1 TASK_GONE SOURCE_MASTER REASON_AGENT_REMOVED");
    EXPECT(s, "REGISTERED M-S1");
    REFUTE(s, "-> agent M-S0");
    script_free(&s);
}

static void test_inv49_bounds(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master max_completed_tasks=2 max_completed_frameworks=1 max_statuses=2 "
             "max_frameworks=1 max_agents=1 max_offers_per_event=1\n" CLUSTER
             "scheduler S2 subscribe\nagent A2 register\n");
    EXPECT(s, "-> S2 503");
    EXPECT(s, "-> A2 503");
    for (int i = 0; i < 5; i++) {
        char lines[512];

        snprintf(lines, sizeof lines,
                 "scheduler S1 accept offers=M-O%d refuse=0 launch=t%d@cpus:1\n"
                 "agent A1 update task=t%d state=STARTING uuid=1\n"
                 "agent A1 update task=t%d state=RUNNING uuid=2\n"
                 "agent A1 update task=t%d state=FINISHED uuid=3\n"
                 "scheduler S1 acknowledge task=t%d uuid=3\nt=%d\nagent A1 pong\nshow\n",
                 i, i, i, i, i, i, (i + 1) * 2000);
        tell(&s, lines);
        EXPECT(s, "OFFERS");
    }
    REFUTE(s, "completed t2");
    EXPECT(s, "completed t3 TASK_FINISHED");
    EXPECT(s, "completed t4 TASK_FINISHED");
    tell(&s, "scheduler S1 teardown\nscheduler S1 subscribe\nscheduler S1 teardown\nshow\n");
    REFUTE(s, "completed framework M-0000");
    EXPECT(s, "completed framework M-0001");
    script_free(&s);
}

static void collect(void *ctx, const char *role) {
    rv_buf_printf(ctx, "%s ", role);
}

static void test_roles(void **state) {
    struct script s = {0};
    struct rv_buf names = {0};
    struct rv_resources allocated = {0}, offered = {0}, reserved = {0};

    (void)state;
    tell(&s, "scheduler S1 subscribe roles=a/b/c,x failover=60000\nagent A1 register\nt=10\n"
             "operator O1 weight role=w/v weight=3\n");
    rv_master_each_role(s.m, collect, &names);
    assert_string_equal(names.data, "a a/b a/b/c w w/v x ");
    assert_true(rv_master_role_weight(s.m, "w/v") == 3.0);
    assert_true(rv_master_role_weight(s.m, "x") == 1.0);
    tell(&s, "scheduler S1 accept offers=M-O1 refuse=0 launch=t1@cpus:1\n");
    rv_master_role_resources(s.m, s.m->offers.n ? "x" : "a/b/c", &allocated, &offered, &reserved);
    assert_true(rv_resources_empty(&reserved));
    rv_resources_free(&allocated);
    rv_resources_free(&offered);
    rv_buf_free(&names);
    script_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inv24_offer_once),
        cmocka_unit_test(test_inv24_of_another_framework),
        cmocka_unit_test(test_inv24_different_agents),
        cmocka_unit_test(test_inv25_offers_do_not_outlive),
        cmocka_unit_test(test_inv26_inv27_books),
        cmocka_unit_test(test_inv28_filters),
        cmocka_unit_test(test_inv33_offer_timeout),
        cmocka_unit_test(test_inv37_terminal_is_sticky),
        cmocka_unit_test(test_inv38_inv39_reconciliation),
        cmocka_unit_test(test_inv50_reconciliation_in_slices),
        cmocka_unit_test(test_inv8_silence_after_failover),
        cmocka_unit_test(test_inv8_absent_after_timeout),
        cmocka_unit_test(test_inv12_framework_removed_by_next_leader),
        cmocka_unit_test(test_inv12_timeout_counts_on_across_masters),
        cmocka_unit_test(test_inv12_crossed_writes),
        cmocka_unit_test(test_inv12_ended_for_good),
        cmocka_unit_test(test_inv40_states_need_capabilities),
        cmocka_unit_test(test_inv43_one_subscription),
        cmocka_unit_test(test_inv44_calls),
        cmocka_unit_test(test_inv45_failover_timeout),
        cmocka_unit_test(test_inv13_inv14_unreachable_and_back),
        cmocka_unit_test(test_inv15_gone_is_never_admitted),
        cmocka_unit_test(test_ids_of_the_future),
        cmocka_unit_test(test_agent_calls),
        cmocka_unit_test(test_principals_and_whitelist),
        cmocka_unit_test(test_inv13_pongs_keep_it),
        cmocka_unit_test(test_inv16_broken_socket),
        cmocka_unit_test(test_reregistration_without_task),
        cmocka_unit_test(test_too_much_is_refused),
        cmocka_unit_test(test_inv4_registry_first),
        cmocka_unit_test(test_gave_up_while_the_registry_wrote),
        cmocka_unit_test(test_executors),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_groups_share_control_groups_or_do_not),
        cmocka_unit_test(test_launch_errors),
        cmocka_unit_test(test_ports_are_not_given_twice),
        cmocka_unit_test(test_operations_are_refused_aloud),
        cmocka_unit_test(test_subscription_is_refused),
        cmocka_unit_test(test_update_framework),
        cmocka_unit_test(test_operators),
        cmocka_unit_test(test_operator_kills),
        cmocka_unit_test(test_a_new_agent_at_the_old_address),
        cmocka_unit_test(test_inv49_bounds),
        cmocka_unit_test(test_roles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
