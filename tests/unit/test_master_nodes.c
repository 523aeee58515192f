/*
 * Stories of what operators do with agents and machines: marking gone, deactivating, draining,
 * maintenance. See test_master.c.
 */
#include "master_story.h"

/* --- gone --- */

static void test_inv15_gone(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "scheduler S2 subscribe name=b roles=y failover=600000\n"
                                   "t=20\nregistry manual\noperator O1 gone agent=M-S0\n");
    EXPECT(s, "-> registry MARK_GONE M-S0");
    EXPECT(s, "-> S2 RESCIND");
    REFUTE(s, "-> O1");
    tell(&s, "operator O2 gone agent=M-S0\nagent A1 update task=t1 state=FINISHED uuid=2\n");
    EXPECT(s, "-> O2 503");
    EXPECT(s, "-> A1 403");
    tell(&s, "registry ok\n");
    EXPECT(s, "-> S1 UPDATE t1 TASK_GONE_BY_OPERATOR SOURCE_MASTER "
              "REASON_AGENT_REMOVED_BY_OPERATOR agent=M-S0");
    EXPECT(s, "-> S1 FAILURE M-S0");
    EXPECT(s, "-> A1 SHUTDOWN \"Agent has been marked gone\"\n-> A1 close");
    EXPECT(s, "-> O1 200");
    tell(&s, "registry auto\noperator O1 gone agent=M-S0\noperator O1 gone agent=no\n"
             "scheduler S1 reconcile tasks=t1@M-S0,t9@M-S0\n"
             "agent A1 reregister id=M-S0\n");
    EXPECT(s, "operator O1 gone agent=M-S0\n-> O1 200");
    EXPECT(s, "-> O1 404");
    EXPECT(s, "-> S1 UPDATE t1 TASK_GONE_BY_OPERATOR SOURCE_MASTER REASON_RECONCILIATION");
    EXPECT(s, "-> S1 UPDATE t9 TASK_GONE_BY_OPERATOR SOURCE_MASTER REASON_RECONCILIATION");
    EXPECT(s, "-> A1 SHUTDOWN \"Agent has been marked gone\"");
    /* The next leader knows. */
    tell(&s, "restart id=N\nagent A1 reregister id=M-S0\n");
    EXPECT(s, "-> A1 SHUTDOWN \"Agent has been marked gone\"");
    script_free(&s);
}

static void test_inv15_gone_for_those_who_do_not_know(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER RUNNING "operator O1 gone agent=M-S0\n");
    EXPECT(s, "-> S1 UPDATE t1 TASK_LOST SOURCE_MASTER REASON_AGENT_REMOVED agent=M-S0");
    script_free(&s);
}

static void test_inv15_unreachable_then_gone(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "scheduler S2 subscribe name=b roles=y failover=600000\n"
                                   "close A1\nt=100000\n");
    EXPECT(s, "-> S1 UPDATE t1 TASK_UNREACHABLE");
    tell(&s, "operator O1 deactivate agent=M-S0\noperator O1 gone agent=M-S0\nshow\n");
    EXPECT(s, "-> registry MARK_GONE M-S0");
    EXPECT(s, "-> S1 UPDATE t1 TASK_GONE_BY_OPERATOR SOURCE_MASTER "
              "REASON_AGENT_REMOVED_BY_OPERATOR agent=M-S0");
    EXPECT(s, "-> O1 200");
    EXPECT(s, "->   completed t1 TASK_GONE_BY_OPERATOR");
    tell(&s, "agent A1 reregister id=M-S0\noperator O1 reactivate agent=M-S0\n");
    EXPECT(s, "-> A1 SHUTDOWN \"Agent has been marked gone\"");
    EXPECT(s, "-> O1 400 \"there is no agent 'M-S0'\"");
    script_free(&s);
}

static void test_inv15_recovered_then_gone(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING
         "restart id=N\nscheduler S1 subscribe id=M-0000 name=a roles=x failover=600000 "
         "checkpoint=1 caps=PARTITION_AWARE\noperator O1 gone agent=M-S0\n");
    EXPECT(s, "-> S1 FAILURE M-S0\n-> O1 200");
    tell(&s, "scheduler S1 reconcile tasks=t1@M-S0\nagent A1 reregister id=M-S0\n");
    EXPECT(s, "t1 TASK_GONE_BY_OPERATOR SOURCE_MASTER REASON_RECONCILIATION");
    EXPECT(s, "-> A1 SHUTDOWN");
    /* A registry that refuses changes nothing. */
    tell(&s, "agent A2 register\nregistry manual\noperator O1 gone agent=N-S0\nregistry fail\n"
             "registry auto\nshow\n");
    EXPECT(s, "-> O1 503");
    EXPECT(s, "-> agent N-S0 used");
    script_free(&s);
}

/* A registration that waits for the registry while its agent is marked gone. */
static void test_inv15_gone_while_it_comes(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER "close A1\nt=100000\nregistry manual\n"
                           "agent A1 reregister id=M-S0\noperator O1 gone agent=M-S0\n"
                           "registry ok\nregistry ok\nregistry auto\nshow\n");
    EXPECT(s, "-> A1 503");
    EXPECT(s, "-> O1 200");
    REFUTE(s, "-> agent M-S0");
    tell(&s, "agent A1 reregister id=M-S0\n");
    EXPECT(s, "-> A1 SHUTDOWN");
    script_free(&s);
}

/* --- deactivated --- */

static void test_deactivated(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "scheduler S1 revive\nt=30\noperator O1 deactivate agent=M-S0\n"
                                   "t=5000\nagent A1 pong\nshow\n");
    EXPECT(s, "-> registry DEACTIVATE_AGENT M-S0\n-> S1 RESCIND M-O1\n-> O1 200");
    REFUTE(s, "OFFERS M-O2");
    EXPECT(s, "-> agent M-S0 inactive used {cpus:1; mem:128} offered {}");
    /* Its tasks go on, and can be killed. Once more changes nothing. */
    tell(&s, "scheduler S1 kill task=t1\noperator O1 deactivate agent=M-S0\n");
    EXPECT(s, "-> A1 KILL_TASK M-0000 t1");
    EXPECT(s, "-> O1 200");
    REFUTE(s, "registry");
    /* Neither a broken connection nor absence nor another leader brings it back into service. */
    tell(&s, "close A1\nagent A1 reregister tasks=t1@M-0000@RUNNING@cpus:1;mem:128\nt=8000\n");
    REFUTE(s, "OFFERS");
    tell(&s, "close A1\nt=100000\nagent A1 reregister tasks=t1@M-0000@RUNNING@cpus:1;mem:128\n"
             "t=102000\n");
    EXPECT(s, "MARK_REACHABLE");
    REFUTE(s, "OFFERS");
    tell(&s, "restart id=N\nscheduler S1 subscribe id=M-0000 name=a roles=x failover=600000 "
             "checkpoint=1 caps=PARTITION_AWARE\n"
             "agent A1 reregister tasks=t1@M-0000@RUNNING@cpus:1;mem:128\nt=104000\n");
    EXPECT(s, "-> A1 REGISTERED M-S0");
    REFUTE(s, "OFFERS");
    tell(&s, "operator O1 reactivate agent=M-S0\nt=104100\n");
    EXPECT(s, "-> registry REACTIVATE_AGENT M-S0");
    EXPECT(s, "-> A1 REACTIVATE");
    EXPECT(s, "OFFERS N-O0(M-S0 x {cpus:3; mem:896})");
    tell(&s, "operator O1 reactivate agent=M-S0\n");
    EXPECT(s, "-> O1 400 \"agent 'M-S0' is not deactivated\"");
    script_free(&s);
}

static void test_changes_of_an_agent_that_is_not_there(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "operator O1 deactivate agent=no\noperator O1 drain agent=no\n"
                     "operator O1 reactivate agent=no\n");
    EXPECT(s, "operator O1 deactivate agent=no\n-> O1 400");
    EXPECT(s, "operator O1 drain agent=no\n-> O1 400");
    EXPECT(s, "operator O1 reactivate agent=no\n-> O1 400");
    /* One change at a time; and the agent may go before it is written. */
    tell(&s, "registry manual\noperator O1 deactivate agent=M-S0\noperator O2 drain agent=M-S0\n");
    EXPECT(s, "-> O2 503");
    tell(&s, "agent A1 unregister\noperator O2 drain agent=M-S0\nregistry ok\nregistry ok\n"
             "registry auto\nshow\n");
    EXPECT(s, "-> O2 409");
    EXPECT(s, "-> O1 200");
    REFUTE(s, "-> agent");
    tell(&s, "agent A2 register\nregistry manual\noperator O1 drain agent=M-S1\nregistry fail\n"
             "registry auto\nt=1000\n");
    EXPECT(s, "-> O1 503");
    EXPECT(s, "OFFERS");
    script_free(&s);
}

/* --- draining --- */

static void test_inv22_drained(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "operator O1 drain agent=M-S0 grace=5000\nshow\n");
    EXPECT(s, "-> registry DEACTIVATE_AGENT M-S0 DRAINING\n-> A1 DRAIN grace=5000ms\n-> O1 200");
    EXPECT(s, "-> agent M-S0 inactive DRAINING used {cpus:1; mem:128}");
    tell(&s, "operator O1 reactivate agent=M-S0\noperator O1 deactivate agent=M-S0\n"
             "agent A1 update task=t1 state=KILLED uuid=2\nshow\n");
    EXPECT(s, "-> O1 400 \"agent 'M-S0' is still draining\"");
    EXPECT(s, "operator O1 deactivate agent=M-S0\n-> O1 200"); /* it is */
    EXPECT(s, "-> agent M-S0 inactive DRAINING used {}");      /* not acknowledged */
    tell(&s, "scheduler S1 acknowledge task=t1 uuid=2\nt=5000\nshow\n");
    EXPECT(s, "-> registry DEACTIVATE_AGENT M-S0 DRAINED");
    EXPECT(s, "-> agent M-S0 inactive DRAINED used {}");
    REFUTE(s, "OFFERS");
    tell(&s, "operator O1 reactivate agent=M-S0\nscheduler S1 revive\nt=5010\n");
    EXPECT(s, "-> A1 REACTIVATE");
    EXPECT(s, "OFFERS");
    script_free(&s);
}

static void test_inv22_empty_at_once(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "operator O1 drain agent=M-S0\n");
    EXPECT(s, "-> registry DEACTIVATE_AGENT M-S0 DRAINED");
    script_free(&s);
    /* A registry that refuses: later. */
    tell(&s, CLUSTER "registry manual\noperator O1 drain agent=M-S0\nregistry ok\nregistry fail\n"
                     "registry auto\nshow\n");
    EXPECT(s, "-> agent M-S0 inactive DRAINING");
    tell(&s, "agent A1 pong\nt=16000\nshow\n");
    EXPECT(s, "-> agent M-S0 inactive DRAINED");
    script_free(&s);
}

static void test_drained_then_gone(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "operator O1 drain agent=M-S0 mark_gone=1\n");
    EXPECT(s, "-> A1 DRAIN mark_gone");
    tell(&s, "agent A1 update task=t1 state=GONE_BY_OPERATOR uuid=2\n"
             "scheduler S1 acknowledge task=t1 uuid=2\nshow\n");
    EXPECT(s, "-> registry MARK_GONE M-S0");
    EXPECT(s, "-> A1 SHUTDOWN \"Agent has been marked gone\"");
    REFUTE(s, "-> agent M-S0");
    script_free(&s);
}

/* Draining outlives a broken connection, absence, and the leader; the agent is told each time. */
static void test_inv22_draining_outlives(void **state) {
    struct script s = {0};
    const char *back = "agent A1 reregister tasks=t1@M-0000@RUNNING@cpus:1;mem:128\n";

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "close A1\noperator O1 drain agent=M-S0\nshow\n");
    EXPECT(s, "-> O1 200");
    EXPECT(s, "-> agent M-S0 inactive DRAINING");
    tell(&s, back);
    EXPECT(s, "-> A1 DRAIN");
    tell(&s, "close A1\nt=100000\nscheduler S1 reconcile tasks=t1@M-S0\nshow\n");
    EXPECT(s, "t1 TASK_UNREACHABLE");
    tell(&s, back);
    EXPECT(s, "-> A1 DRAIN");
    tell(&s, "restart id=N\n");
    tell(&s, back);
    EXPECT(s, "-> A1 DRAIN");
    tell(&s, "agent A1 update task=t1 state=KILLED uuid=5\nshow\n");
    EXPECT(s, "-> agent M-S0 inactive DRAINING");
    tell(&s, "scheduler S1 subscribe id=M-0000 name=a roles=x failover=600000 checkpoint=1 "
             "caps=PARTITION_AWARE\nagent A1 update task=t1 state=KILLED uuid=5\n"
             "scheduler S1 acknowledge task=t1 uuid=5 agent=M-S0\nshow\n");
    EXPECT(s, "-> agent M-S0 inactive DRAINED");
    /* Drained, it may have missed that it is: told again. */
    tell(&s, "close A1\nagent A1 reregister\n");
    EXPECT(s, "-> A1 DRAIN");
    /* It brings what it thinks is not acknowledged: not drained after all. */
    tell(&s, "close A1\nagent A1 reregister "
             "tasks=t1@M-0000@KILLED@cpus:1;mem:128@5\nshow\n");
    EXPECT(s, "-> registry DEACTIVATE_AGENT M-S0 DRAINING");
    EXPECT(s, "-> agent M-S0 inactive DRAINING");
    tell(&s, "scheduler S1 acknowledge task=t1 uuid=5 agent=M-S0\nshow\n");
    EXPECT(s, "-> agent M-S0 inactive DRAINED");
    /* Gone for good: nothing is known of it any more. */
    tell(&s, "agent A1 unregister\noperator O1 reactivate agent=M-S0\n");
    EXPECT(s, "-> O1 400 \"there is no agent 'M-S0'\"");
    script_free(&s);
}

/* Asked for while it is unreachable; it is drained when it is back. Of another version, its tasks
 * are killed one by one. */
static void test_drain_of_the_absent(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "close A1\nt=100000\noperator O1 drain agent=M-S0 grace=1000\n");
    EXPECT(s, "-> registry DEACTIVATE_AGENT M-S0 DRAINING\n-> O1 200");
    REFUTE(s, "DRAINED");
    tell(&s, "agent A1 reregister old=1 tasks=t1@M-0000@RUNNING@cpus:1;mem:128\n");
    EXPECT(s, "-> A1 KILL_TASK M-0000 t1 grace=1000");
    REFUTE(s, "-> A1 DRAIN");
    tell(&s, "agent A2 register old=1\noperator O1 drain agent=M-S1\n");
    EXPECT(s, "-> O1 400 \"agent 'M-S1' is of a version that cannot drain\"");
    script_free(&s);
}

/* Tasks of a framework that does not checkpoint count as lost when the socket breaks: the agent,
 * which may still run them, is not drained before it is back. */
static void test_inv22_not_while_it_is_away(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER RUNNING "operator O1 drain agent=M-S0\nclose A1\nt=30000\nshow\n");
    EXPECT(s, "t1 TASK_LOST");
    EXPECT(s, "-> agent M-S0 inactive DRAINING");
    tell(&s, "agent A1 reregister\nshow\n");
    EXPECT(s, "-> agent M-S0 inactive DRAINED");
    script_free(&s);
}

/* --- the schedule --- */

static void test_schedule(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, CLUSTER "operator O1 schedule windows=a1/10.0.0.1@5000@60,m2/10.0.0.2+m3/@6000\n"
                     "t=20\nshow\n");
    EXPECT(s, "-> registry PUT_MACHINES a1/10.0.0.1=DRAINING m2/10.0.0.2=DRAINING m3/");
    EXPECT(s, "-> S1 RESCIND M-O0\n-> O1 200");
    EXPECT(s, "OFFERS M-O1(M-S0 x {cpus:4; mem:1024} away=5000+60)");
    EXPECT(s, "-> machine a1/10.0.0.1 DRAINING away=5000+60");
    EXPECT(s, "-> machine m2/10.0.0.2 DRAINING away=6000");
    /* The same again is no news; other times are. */
    tell(&s, "operator O1 schedule windows=a1/10.0.0.1@5000@60\nshow\n");
    EXPECT(s, "-> registry PUT_MACHINES m2/10.0.0.2=UP");
    REFUTE(s, "RESCIND");
    REFUTE(s, "-> machine m2");
    tell(&s, "operator O1 schedule windows=a1/10.0.0.1@7000\nt=40\n");
    EXPECT(s, "-> S1 RESCIND M-O1");
    EXPECT(s, "away=7000)");
    /* Known to the next leader, and to agents that come. */
    tell(&s, "restart id=N\nscheduler S1 subscribe id=M-0000 name=a roles=x failover=60000\n"
             "agent A1 reregister\nt=1050\n");
    EXPECT(s, "away=7000)");
    tell(&s, "operator O1 schedule\nt=1060\nshow\n");
    EXPECT(s, "-> registry PUT_MACHINES a1/10.0.0.1=UP");
    EXPECT(s, "OFFERS N-O2(M-S0 x {cpus:4; mem:1024})");
    REFUTE(s, "-> machine");
    script_free(&s);
}

static void test_machines_go_down_and_up(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "operator O1 down machines=A1/10.0.0.1\n");
    EXPECT(s, "-> O1 400 \"machine A1 (10.0.0.1) is not in the maintenance schedule\"");
    tell(&s, "operator O1 schedule windows=A1/10.0.0.1@5000\n"
             "operator O1 up machines=A1/10.0.0.1\noperator O1 drain agent=M-S0\n");
    EXPECT(s, "-> O1 400 \"machine A1 (10.0.0.1) is not down\"");
    EXPECT(s, "-> O1 400 \"the machine of agent 'M-S0' is in the maintenance schedule\"");
    tell(&s, "operator O1 down machines=a1/10.0.0.1\nshow\n");
    EXPECT(s, "-> registry PUT_MACHINES A1/10.0.0.1=DOWN");
    EXPECT(s, "-> A1 SHUTDOWN \"Operator initiated 'Machine DOWN'\"");
    EXPECT(s, "-> registry REMOVE_AGENT M-S0");
    EXPECT(s, "-> S1 UPDATE t1 TASK_LOST SOURCE_MASTER REASON_AGENT_REMOVED");
    EXPECT(s, "-> S1 FAILURE M-S0");
    EXPECT(s, "-> machine A1/10.0.0.1 DOWN");
    tell(&s, "operator O1 down machines=a1/10.0.0.1\noperator O1 schedule\n"
             "agent A1 reregister id=M-S0\nagent A1 register\n");
    EXPECT(s, "-> O1 400 \"machine a1 (10.0.0.1) is down already\"");
    EXPECT(s, "-> O1 400 \"machine A1 (10.0.0.1) is down and cannot leave the schedule\"");
    EXPECT(s, "reregister id=M-S0\n-> A1 open\n-> A1 SHUTDOWN \"Machine is `DOWN`\"\n-> A1 close");
    EXPECT(s, "agent A1 register\n-> A1 open\n-> A1 SHUTDOWN \"Machine is `DOWN`\"\n-> A1 close");
    /* Down it stays, with what is planned for it now, whoever leads. */
    tell(&s, "operator O1 schedule windows=A1/10.0.0.1@9000\nrestart id=N\n"
             "agent A1 register\nshow\n");
    EXPECT(s, "-> A1 SHUTDOWN");
    EXPECT(s, "-> machine A1/10.0.0.1 DOWN away=9000");
    tell(&s, "operator O1 up machines=A1/10.0.0.1\nagent A1 register\nshow\n");
    EXPECT(s, "-> registry PUT_MACHINES A1/10.0.0.1=UP");
    EXPECT(s, "-> agent N-S0 used");
    REFUTE(s, "-> machine");
    script_free(&s);
}

/* Its registration waits for the registry when the machine goes down. */
static void test_down_while_it_comes(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "operator O1 schedule windows=A1/10.0.0.1@5000\nregistry manual\n"
             "agent A1 register\noperator O1 down machines=A1/10.0.0.1\n");
    tell(&s, "operator O2 schedule\n");
    EXPECT(s, "-> O2 503");
    tell(&s, "registry ok\nregistry ok\nregistry ok\nregistry auto\nshow\n");
    EXPECT(s, "-> A1 SHUTDOWN");
    EXPECT(s, "-> registry REMOVE_AGENT M-S0");
    REFUTE(s, "-> agent");
    script_free(&s);
    /* The removal fails: it is offered to nobody, and removed later. */
    tell(&s, CLUSTER "operator O1 schedule windows=A1/10.0.0.1@5000\nt=20\nregistry manual\n"
                     "operator O1 down machines=A1/10.0.0.1\nregistry ok\nregistry fail\n"
                     "registry auto\nt=2000\nshow\n");
    EXPECT(s, "-> agent M-S0 inactive used {} offered {}");
    tell(&s, "agent A1 pong\nt=18000\nshow\n");
    REFUTE(s, "-> agent");
    script_free(&s);
    tell(&s, CLUSTER "registry manual\noperator O1 schedule windows=A1/10.0.0.1@5000\n"
                     "registry fail\nregistry auto\nshow\n");
    EXPECT(s, "-> O1 503");
    REFUTE(s, "-> machine");
    script_free(&s);
}

/* --- inverse offers --- */

#define PLANNED "operator O1 schedule windows=A1/10.0.0.1@5000@60\n"

static void test_inverse_offers(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING "scheduler S2 subscribe name=b roles=y failover=60000\n"
                                   "t=20\n" PLANNED "t=1100\nshow\n");
    /* S1 runs something there, S2 is offered something. */
    EXPECT(s, "-> S1 INVERSE_OFFERS M-O3(M-S0 away=5000+60)");
    EXPECT(s, "-> S2 INVERSE_OFFERS M-O4(M-S0 away=5000+60)");
    EXPECT(s, "-> machine A1/10.0.0.1 DRAINING away=5000+60 M-0000:? M-0001:?");
    tell(&s, "scheduler S1 accept_inverse_offers offers=M-O3 refuse=3000\n"
             "scheduler S1 decline_inverse_offers offers=M-O4,M-O3,no\n"
             "scheduler S2 decline_inverse_offers offers=M-O4 refuse=0\nshow\n");
    EXPECT(s, "-> machine A1/10.0.0.1 DRAINING away=5000+60 M-0000:ACCEPT M-0001:DECLINE");
    tell(&s, "t=3100\nshow\n"); /* S2 wants to be asked again at once, S1 in a while */
    EXPECT(s, "-> S2 INVERSE_OFFERS M-O5");
    REFUTE(s, "-> S1 INVERSE_OFFERS");
    EXPECT(s, "M-0000:ACCEPT M-0001:DECLINE?");
    tell(&s, "t=5000\n");
    EXPECT(s, "-> S1 INVERSE_OFFERS M-O6");
    tell(&s, "scheduler S1 decline_inverse_offers offers=M-O6 refuse=100000\nt=7000\n");
    REFUTE(s, "INVERSE_OFFERS M-O7");
    tell(&s, "scheduler S1 revive\nt=9000\n");
    EXPECT(s, "-> S1 INVERSE_OFFERS");
    /* Other times: all is asked anew, and nothing was said. */
    tell(&s, "operator O1 schedule windows=A1/10.0.0.1@6000\nshow\n");
    EXPECT(s, "-> S1 RESCIND_INVERSE_OFFER");
    EXPECT(s, "-> S2 RESCIND_INVERSE_OFFER");
    EXPECT(s, "-> machine A1/10.0.0.1 DRAINING away=6000\n");
    tell(&s, "t=11000\nscheduler S2 teardown\nshow\n");
    EXPECT(s, "away=6000)");
    EXPECT(s, "-> machine A1/10.0.0.1 DRAINING away=6000 M-0000:?\n");
    tell(&s, "operator O1 schedule\nshow\n");
    EXPECT(s, "-> S1 RESCIND_INVERSE_OFFER");
    script_free(&s);
}

/* Of two agents on one machine the one that it uses is named first. */
static void test_inverse_offers_in_order(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "agent A1 register host=h\nagent A2 register host=h\n"
             "operator O1 deactivate agent=M-S0\n"
             "scheduler S1 subscribe name=a roles=x failover=60000\nt=10\n"
             "scheduler S1 accept offers=M-O0 refuse=100000000 launch=t1@cpus:1\n"
             "operator O1 reactivate agent=M-S0\nt=500\n"
             "operator O1 schedule windows=h/10.0.0.1@5000\nt=1500\n");
    EXPECT(s, "-> S1 INVERSE_OFFERS M-O3(M-S1 away=5000) M-O4(M-S0 away=5000)");
    script_free(&s);
}

static void test_inv25_inverse_offers_do_not_outlive(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, AWARE_CLUSTER RUNNING PLANNED "t=1100\n");
    EXPECT(s, "-> S1 INVERSE_OFFERS M-O1");
    tell(&s, "close A1\n");
    EXPECT(s, "-> S1 RESCIND_INVERSE_OFFER M-O1");
    tell(&s, "t=3000\n");
    REFUTE(s, "INVERSE_OFFERS");
    tell(&s, "agent A1 reregister tasks=t1@M-0000@RUNNING@cpus:1;mem:128\nt=5000\n");
    EXPECT(s, "-> S1 INVERSE_OFFERS M-O2");
    tell(&s, "close S1\nt=7000\nscheduler S1 subscribe id=M-0000 name=a roles=x failover=600000 "
             "checkpoint=1 caps=PARTITION_AWARE\nscheduler S1 suppress\nt=9000\n");
    EXPECT(s, "-> S1 INVERSE_OFFERS M-O");
    REFUTE(s, "RESCIND_INVERSE");
    tell(&s, "operator O1 deactivate agent=M-S0\nt=11000\n");
    EXPECT(s, "-> S1 RESCIND_INVERSE_OFFER");
    REFUTE(s, "-> S1 INVERSE_OFFERS");
    tell(&s, "operator O1 reactivate agent=M-S0\nt=13000\n");
    EXPECT(s, "-> S1 INVERSE_OFFERS");
    tell(&s, "operator O1 down machines=A1/10.0.0.1\nshow\n");
    EXPECT(s, "-> S1 RESCIND_INVERSE_OFFER");
    script_free(&s);
}

/* INV-33: nobody can sit on an inverse offer; it comes again. */
static void test_inv33_inverse_offer_timeout(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master offer_timeout=3000\n" AWARE_CLUSTER RUNNING PLANNED "t=1100\n");
    EXPECT(s, "-> S1 INVERSE_OFFERS M-O1");
    tell(&s, "t=5500\n");
    EXPECT(s, "-> S1 RESCIND_INVERSE_OFFER M-O1");
    EXPECT(s, "-> S1 INVERSE_OFFERS M-O2");
    script_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inv15_gone),
        cmocka_unit_test(test_inv15_gone_for_those_who_do_not_know),
        cmocka_unit_test(test_inv15_unreachable_then_gone),
        cmocka_unit_test(test_inv15_recovered_then_gone),
        cmocka_unit_test(test_inv15_gone_while_it_comes),
        cmocka_unit_test(test_deactivated),
        cmocka_unit_test(test_changes_of_an_agent_that_is_not_there),
        cmocka_unit_test(test_inv22_drained),
        cmocka_unit_test(test_inv22_empty_at_once),
        cmocka_unit_test(test_drained_then_gone),
        cmocka_unit_test(test_inv22_draining_outlives),
        cmocka_unit_test(test_drain_of_the_absent),
        cmocka_unit_test(test_inv22_not_while_it_is_away),
        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_machines_go_down_and_up),
        cmocka_unit_test(test_down_while_it_comes),
        cmocka_unit_test(test_inverse_offers),
        cmocka_unit_test(test_inverse_offers_in_order),
        cmocka_unit_test(test_inv25_inverse_offers_do_not_outlive),
        cmocka_unit_test(test_inv33_inverse_offer_timeout),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
