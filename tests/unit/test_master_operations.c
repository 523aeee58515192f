/* Stories of operations on resources: what they make of an agent's books, who hears of them, and
 * what is refused. See test_master.c, and master_script.h for how resources are written. */
#include "master_story.h"

#define CAPABLE "caps=PARTITION_AWARE,SHARED_RESOURCES"
#define DISK_CLUSTER                                                                               \
    "scheduler S1 subscribe name=a roles=x failover=600000 checkpoint=1 " CAPABLE "\n"             \
    "agent A1 register resources=cpus:4;mem:1024;disk:1000\n"                                      \
    "t=10\n"
#define FIRST "scheduler S1 accept offers=M-O0 refuse=0 "

/* What an ACCEPT makes, what stands behind it can use; the rest comes back as it is now. */
static void test_reserve_create_and_launch(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "reserve=o1@cpus!x:1;disk!x:100 create=@disk!x#v1:64 "
                                "launch=t1@cpus!x:1;disk!x#v1:64\nshow\n");
    EXPECT(s, "-> A1 APPLY_OPERATION #0 M-0000 RESERVE o1 {cpus(x,):1; disk(x,):100}\n"
              "-> A1 APPLY_OPERATION #1 M-0000 CREATE {disk(x,)[v1]:64}\n"
              "-> A1 RUN_TASKS M-0000 t1{cpus(x,):1; disk(x,)[v1]:64}\n");
    EXPECT(s, "total {cpus:3; cpus(x,):1; disk:900; disk(x,)[v1]:64; disk(x,):36; mem:1024}");
    EXPECT(s, "-> agent M-S0 used {cpus(x,):1; disk(x,)[v1]:64} offered {}");
    tell(&s, "t=1100\n");
    EXPECT(s, "OFFERS M-O1(M-S0 x {cpus:3; disk:900; disk(x,):36; mem:1024})");
    tell(&s, "agent A1 operation n=0 state=FINISHED uuid=7\n"
             "agent A1 operation n=1 state=FINISHED\nshow\n");
    EXPECT(s, "-> S1 UPDATE_OPERATION_STATUS o1 OPERATION_FINISHED uuid=7 "
              "{cpus(x,):1; disk(x,):100}\n");
    EXPECT(s, "operation #0 OPERATION_FINISHED of M-0000\n");
    REFUTE(s, "operation #1");
    /* A task that ends leaves them: reserved, and made. */
    tell(&s, "agent A1 update task=t1 state=FINISHED uuid=1\nt=2200\n");
    EXPECT(s, "{cpus(x,):1; disk(x,)[v1]:64})");
    script_free(&s);
}

/* Feedback is told until it is acknowledged. */
static void test_inv42_feedback(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "reserve=o1@cpus!x:1\n"
                                "scheduler S1 reconcile_operations operations=o1\n");
    EXPECT(s, "-> S1 UPDATE_OPERATION_STATUS o1 OPERATION_PENDING\n");
    tell(&s, "agent A1 operation n=0 state=FINISHED uuid=7\n"
             "agent A1 operation n=0 state=FINISHED uuid=7\n");
    EXPECT(s, "uuid=7 {cpus(x,):1}\nagent"); /* each time */
    EXPECT(s,
           "-> A1 202\n-> S1 UPDATE_OPERATION_STATUS o1 OPERATION_FINISHED uuid=7 {cpus(x,):1}\n");
    tell(&s, "scheduler S1 reconcile_operations\n"
             "scheduler S1 reconcile_operations operations=o1@M-S0,o2@M-S0\n");
    EXPECT(s, "o1 OPERATION_FINISHED {cpus(x,):1}\nscheduler"); /* without uuid */
    EXPECT(s, "o2 OPERATION_UNKNOWN");
    REFUTE(s, "uuid");
    tell(&s, "scheduler S1 acknowledge_operation_status operation=o1 uuid=8\n"
             "scheduler S1 acknowledge_operation_status operation=o1 agent=M-S1 uuid=7\n"
             "scheduler S1 acknowledge_operation_status operation=o2 uuid=7\n");
    REFUTE(s, "ACKNOWLEDGE_OPERATION");
    tell(&s, "scheduler S1 acknowledge_operation_status operation=o1 uuid=7\n"
             "scheduler S1 reconcile_operations\nshow\n");
    EXPECT(s, "-> A1 ACKNOWLEDGE_OPERATION #0 uuid=7\n");
    REFUTE(s, "operation #0");
    REFUTE(s, "UPDATE_OPERATION_STATUS");
    script_free(&s);
}

/* Nobody hears: the agent's word is the end. One that nobody waits for is acknowledged here. */
static void test_inv42_without_feedback(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "reserve=@cpus!x:1\n"
                                "agent A1 operation n=0 state=FINISHED\n"
                                "agent A1 operation n=0 state=FINISHED uuid=3\nshow\n");
    REFUTE(s, "UPDATE_OPERATION_STATUS");
    REFUTE(s, "operation #0");
    EXPECT(s, "ACKNOWLEDGE_OPERATION #0 uuid=3");
    EXPECT(s, "total {cpus:3; cpus(x,):1; disk:1000; mem:1024}");
    script_free(&s);
}

/* A failed one is told; the agent comes again with what it has. */
static void test_inv42_failed(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "reserve=o1@cpus!x:1 reserve=o2@cpus!x:2 launch=t1@cpus!x:1\n"
                                "agent A1 operation n=0 state=FAILED message=full\n");
    EXPECT(s, "o1 OPERATION_FAILED \"full\"");
    tell(&s, "agent A1 operation n=1 state=FAILED message=full\nclose A1\n"
             "agent A1 reregister id=M-S0 resources=cpus:4;mem:1024;disk:1000\nshow\nt=1500\n");
    EXPECT(s, "UPDATE t1 TASK_DROPPED");
    EXPECT(s, "-> agent M-S0 used {} offered {}\n");
    REFUTE(s, "operation #");
    EXPECT(s, "{cpus:4; disk:1000; mem:1024})");
    script_free(&s);
}

static void test_inv42_refused(void **state) {
    static const struct {
        const char *what, *why;
    } wrong[] = {
        {"reserve=o@cpus!x:5", "more than what was offered"},
        {"reserve=o@cpus!y:1", "cannot be reserved to role 'y'"},
        {"reserve=o@cpus!x!x/y:1", "cannot be reserved to role 'x/y'"},
        {"reserve=o@cpus:1", "must be DYNAMIC"},
        {"reserve=o@cpus!x^:1", "revocable"},
        {"reserve=o@cpus!x:1@cpus:1", "for operators only"},
        {"reserve=o@cpus!x:1 role=y", "allocated to role 'y'"},
        {"unreserve=o@cpus!x:1", "more than what was offered"},
        {"create=o@disk#v1:10", "reserved disk"},
        {"create=o@disk!x#v1:10", "more than what was offered"},
        {"destroy=o@disk!x#v1:10", "no such volume"},
        {"grow=o@disk!x#v1:10@disk!x:10", "more than what was offered"},
        {"shrink=o@disk!x#v1:10@10", "less than all"},
        {"reserve=o@cpus!x:1", NULL},
        {"reserve=o@cpus!x:1", "was not acknowledged yet"},
    };
    struct script s = {0};
    char line[256];

    (void)state;
    tell(&s, DISK_CLUSTER);
    for (size_t i = 0; i < RV_COUNT(wrong); i++) {
        snprintf(line, sizeof line, "scheduler S1 accept offers=M-O%zu refuse=0 %s\nt=%zu\n", i,
                 wrong[i].what, 2000 * (i + 1));
        tell(&s, line);
        if (!wrong[i].why) {
            EXPECT(s, "APPLY_OPERATION");
            continue;
        }
        EXPECT(s, "UPDATE_OPERATION_STATUS o OPERATION_ERROR \"");
        EXPECT(s, wrong[i].why);
        REFUTE(s, "APPLY_OPERATION");
    }
    script_free(&s);
}

static void test_principals(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "scheduler S1 subscribe name=a roles=x failover=600000 principal=p\n"
             "agent A1 register resources=cpus:4;disk:1000\nt=10\n" FIRST
             "reserve=o1@cpus!x:1 reserve=o2@cpus!x%q:1 reserve=o3@cpus!x%p:1;disk!x%p:10 "
             "create=o4@disk!x%p#v1:10\n");
    EXPECT(s, "o1 OPERATION_ERROR \"the principal in 'reservations' must be 'p'");
    EXPECT(s, "o2 OPERATION_ERROR \"the principal in 'reservations' must be 'p'");
    EXPECT(s, "APPLY_OPERATION #0 M-0000 RESERVE o3");
    EXPECT(s, "APPLY_OPERATION #1 M-0000 CREATE o4");
    tell(&s, "operator O1 operate agent=M-S0 reserve=@cpus!y%q:1 as=p\n"
             "operator O1 operate agent=M-S0 reserve=@cpus!y%q:1 as=q\n"
             "operator O1 operate agent=M-S0 reserve=@cpus!y%z:1\n");
    EXPECT(s, "-> O1 400 \"the principal in 'reservations' must be 'p'");
    EXPECT(s, "-> A1 APPLY_OPERATION #2 operator RESERVE");
    EXPECT(s, "-> A1 APPLY_OPERATION #3 operator RESERVE");
    script_free(&s);
}

static void test_role_whitelist(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "master role_whitelist=x\n" DISK_CLUSTER
             "operator O1 operate agent=M-S0 reserve=@cpus!y:1\n");
    EXPECT(s, "-> O1 400 \"role 'y' is not among those that this master allows\"");
    script_free(&s);
}

/* Below a role what is reserved to it may be refined, and goes back to it. */
static void test_refinement(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "scheduler S1 subscribe name=a roles=x/y failover=600000\n"
             "agent A1 register resources=cpus:4\n"
             "operator O1 operate agent=M-S0 reserve=@cpus!x:2\nt=10\n" FIRST
             "reserve=o1@cpus!x!x/y:1\nshow\n");
    EXPECT(s, "#1 M-0000 RESERVE o1");
    EXPECT(s, "total {cpus:2; cpus(x,):1; cpus(x,)(x/y,):1}");
    tell(&s, "t=1100\nscheduler S1 accept offers=M-O1 unreserve=o2@cpus!x!x/y:1 refuse=0\nshow\n");
    EXPECT(s, "total {cpus:2; cpus(x,):2}");
    script_free(&s);
}

/* Volumes: on reserved disk only, ids unique, in one piece. */
static void test_inv32_volumes(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "reserve=@disk!x:200 create=o1@disk!x#v1:50 "
                                "create=o2@disk!x#v1:60 create=o3@disk!x#v2:50;disk!x#v2:20 "
                                "unreserve=o4@disk!x#v1:50\nshow\n");
    EXPECT(s, "o2 OPERATION_ERROR \"agent M-S0 has a volume 'v1' of role 'x' already\"");
    EXPECT(s, "o3 OPERATION_ERROR");
    EXPECT(s, "o4 OPERATION_ERROR \"resource 'disk': a volume must be destroyed");
    EXPECT(s, "disk:800; disk(x,)[v1]:50; disk(x,):150;");
    tell(&s, "t=1100\nscheduler S1 accept offers=M-O1 refuse=0 grow=o5@disk!x#v1:50@disk!x:25 "
             "shrink=o6@disk!x#v1:75@40 launch=t1@cpus:1;disk!x#v1:35\nshow\n");
    EXPECT(s, "APPLY_OPERATION #2 M-0000 GROW_VOLUME o5");
    EXPECT(s, "APPLY_OPERATION #3 M-0000 SHRINK_VOLUME o6");
    EXPECT(s, "disk:800; disk(x,)[v1]:35; disk(x,):165;");
    EXPECT(s, "used {cpus:1; disk(x,)[v1]:35}");
    /* In use it is not offered, and nobody can take it away. */
    tell(&s, "t=2200\n");
    EXPECT(s, "M-O2(M-S0 x {cpus:3; disk:800; disk(x,):165; mem:1024})");
    tell(&s, "scheduler S1 accept offers=M-O2 refuse=0 destroy=o7@disk!x#v1:35 "
             "shrink=o8@disk!x#v1:35@5\n"
             "operator O1 operate agent=M-S0 destroy=@disk!x#v1:35\n");
    EXPECT(s, "o7 OPERATION_ERROR \"the volume 'v1' is in use\"");
    EXPECT(s, "o8 OPERATION_ERROR \"it takes more than what was offered");
    EXPECT(s, "-> O1 400 \"the volume 'v1' is in use\"");
    tell(&s, "agent A1 update task=t1 state=FINISHED uuid=1\nt=3300\n"
             "scheduler S1 accept offers=M-O3 refuse=0\nt=5000\n");
    EXPECT(s, "disk(x,)[v1]:35;");
    tell(&s, "operator O1 operate agent=M-S0 destroy=@disk!x#v1:35\nshow\n");
    EXPECT(s, "-> S1 RESCIND M-O");
    EXPECT(s, "-> A1 APPLY_OPERATION #4 operator DESTROY {disk(x,)[v1]:35}\n-> O1 202\n");
    EXPECT(s, "disk:800; disk(x,):200; mem");
    script_free(&s);
}

/* What is used is not unreserved, whoever asks. */
static void test_inv31_in_use(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "reserve=@cpus!x:2 launch=t1@cpus!x:1.5 unreserve=o1@cpus!x:1 "
                                "unreserve=o2@cpus!x:0.5\nshow\n");
    EXPECT(s, "o1 OPERATION_ERROR \"it takes more than what was offered");
    EXPECT(s, "APPLY_OPERATION #1 M-0000 UNRESERVE o2");
    EXPECT(s, "total {cpus:2.5; cpus(x,):1.5;");
    tell(&s, "t=1100\noperator O1 operate agent=M-S0 unreserve=@cpus!x:1\n");
    EXPECT(s, "-> O1 409 \"some of this is in use on agent 'M-S0': cpus(x,):1\"");
    REFUTE(s, "RESCIND"); /* that would be for nothing */
    REFUTE(s, "APPLY_OPERATION");
    tell(&s, "operator O1 operate agent=M-S0 unreserve=@cpus!x:2\n");
    EXPECT(s, "-> O1 409 \"agent 'M-S0' lacks cpus(x,):0.5\"");
    script_free(&s);
}

/* Operators take what nobody uses: offers are taken back as far as needed. */
static void test_operators(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "scheduler S1 subscribe name=a roles=x failover=600000\n"
             "scheduler S2 subscribe name=b roles=y failover=600000\n"
             "agent A1 register resources=cpus:4;mem:1024\nt=10\n"
             "operator O1 operate agent=M-S0 reserve=@cpus!y:3;mem!y:24\nshow\n");
    EXPECT(s, "-> S1 RESCIND M-O0\n-> A1 APPLY_OPERATION #0 operator RESERVE {cpus(y,):3; "
              "mem(y,):24}\n-> O1 202\n");
    EXPECT(s, "-> agent M-S0 used {} offered {} total {cpus:1; cpus(y,):3; mem:1000; mem(y,):24}");
    EXPECT(s, "operation #0 OPERATION_PENDING of operator, nobody hears of it");
    tell(&s, "agent A1 operation n=0 state=FINISHED\nt=1500\nshow\n");
    REFUTE(s, "operation #0");
    EXPECT(s, "y {cpus:1; cpus(y,):3; mem:1000; mem(y,):24}");
    tell(&s, "operator O1 operate agent=M-S0 reserve=@cpus!x:2\n"
             "operator O1 operate agent=M-S9 reserve=@cpus!x:1\n"
             "operator O1 operate agent=M-S0 reserve=@cpus:1\n"
             "operator O1 operate agent=M-S0 reserve=@cpus!x:1 role=x\n"
             "operator O1 operate agent=M-S0 reserve=@cpus!z:1@cpus!y:1\n");
    EXPECT(s, "-> O1 409 \"agent 'M-S0' lacks cpus:1");
    EXPECT(s, "-> O1 400 \"there is no agent 'M-S9'\"");
    EXPECT(s, "-> O1 400 \"resource 'cpus': the reservation to be made must be DYNAMIC\"");
    EXPECT(s, "-> O1 400 \"resources that are allocated to a role\"");
    EXPECT(s,
           "-> A1 APPLY_OPERATION #1 operator RESERVE {cpus(z,):1}"); /* from one role to another */
    tell(&s, "close A1\noperator O1 operate agent=M-S0 reserve=@cpus!x:1\n");
    EXPECT(s, "-> O1 409 \"agent 'M-S0' is not connected\"");
    script_free(&s);
}

/* Of an older version: refused with the reason. */
static void test_old_agents(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "scheduler S1 subscribe name=a roles=x failover=600000\n"
             "agent A1 register resources=cpus:4 old=1\nt=10\n" FIRST "reserve=o1@cpus!x:1\n"
             "operator O1 operate agent=M-S0 reserve=@cpus!y:1\n");
    EXPECT(s, "o1 OPERATION_ERROR \"agent M-S0 is of a version that does no operations");
    EXPECT(s, "-> O1 400 \"agent M-S0 is of a version that does no operations");
    script_free(&s);
}

#define SHARED_VOLUME                                                                              \
    DISK_CLUSTER FIRST "reserve=@disk!x:100 create=@disk!x#v1~:50 "                                \
                       "launch=t1@cpus:1;disk!x#v1~:50+t2@cpus:1;disk!x#v1~:50\n"                  \
                       "agent A1 operation n=0 state=FINISHED\n"                                   \
                       "agent A1 operation n=1 state=FINISHED\n"

/* Several tasks use a shared one; it is offered while they do, to the capable alone. */
static void test_inv29_shared_volumes(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, SHARED_VOLUME "scheduler S2 subscribe name=b roles=x failover=600000\n");
    EXPECT(s, "t1{cpus:1; disk(x,)[v1]<SHARED>:50}");
    EXPECT(s, "t2{cpus:1; disk(x,)[v1]<SHARED>:50}");
    tell(&s, "scheduler S1 suppress\nt=1100\n");
    REFUTE(s, "SHARED");
    EXPECT(s, "-> S2 OFFERS M-O1(");
    tell(&s, "scheduler S2 decline offers=M-O1 refuse=100000\nscheduler S1 revive\nt=2200\n");
    EXPECT(s, "-> S1 OFFERS M-O2(M-S0 x {cpus:2; disk:900; disk(x,):50; disk(x,)[v1]<SHARED>:50;");
    tell(&s, "scheduler S1 accept offers=M-O2 refuse=0 destroy=o1@disk!x#v1~:50 "
             "launch=t3@cpus:1;disk!x#v1~:50;disk!x#v1~:50\n");
    EXPECT(s, "o1 OPERATION_ERROR \"the volume 'v1' is in use\"");
    EXPECT(s, "t3 TASK_ERROR");
    EXPECT(s, "uses the volume 'v1' twice");
    tell(&s, "agent A1 update task=t1 state=FINISHED uuid=1\n"
             "agent A1 update task=t2 state=FINISHED uuid=1\nt=3300\nshow\n");
    EXPECT(s, "-> agent M-S0 used {} offered {cpus:4;");
    script_free(&s);
}

/* Two frameworks hold offers of it, and nobody uses it. */
#define OFFERED_TWICE                                                                              \
    SHARED_VOLUME "t=1100\nscheduler S2 subscribe name=b roles=x failover=600000 " CAPABLE         \
                  "\nagent A1 update task=t1 state=FINISHED uuid=1\nt=1500\n"                      \
                  "agent A1 update task=t2 state=FINISHED uuid=1\n"

/* Not destroyed while a running or pending task uses it; other offers of it are taken back. */
static void test_inv32_shared_volume_destroyed(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, OFFERED_TWICE);
    EXPECT(s, "-> S1 OFFERS M-O1(M-S0 x {cpus:2; disk:900; disk(x,):50; disk(x,)[v1]<SHARED>:50;");
    EXPECT(s, "-> S2 OFFERS M-O2(M-S0 x {cpus:1; disk(x,)[v1]<SHARED>:50})");
    tell(&s, "scheduler S2 accept offers=M-O2 refuse=1000000 launch=t3@cpus:1;disk!x#v1~:50 "
             "destroy=o1@disk!x#v1~:50\n"
             "scheduler S1 accept offers=M-O1 refuse=0 destroy=o1@disk!x#v1~:50\nshow\n");
    EXPECT(s, "-> S2 UPDATE_OPERATION_STATUS o1 OPERATION_ERROR \"the volume 'v1' is in use\"");
    EXPECT(s, "-> S1 UPDATE_OPERATION_STATUS o1 OPERATION_ERROR \"the volume 'v1' is in use\"");
    REFUTE(s, "APPLY_OPERATION");
    EXPECT(s, "used {cpus:1; disk(x,)[v1]<SHARED>:50}");
    script_free(&s);
    tell(&s, OFFERED_TWICE "scheduler S1 accept offers=M-O1 refuse=0 destroy=o1@disk!x#v1~:50\n"
                           "t=3000\nshow\n");
    EXPECT(s, "-> S2 RESCIND M-O2\n-> A1 APPLY_OPERATION #2 M-0000 DESTROY o1");
    EXPECT(s, "total {cpus:4; disk:900; disk(x,):100; mem:1024}");
    script_free(&s);
    tell(&s, OFFERED_TWICE "operator O1 operate agent=M-S0 destroy=@disk!x#v1~:50\n");
    EXPECT(s, "-> S1 RESCIND M-O1\n-> S2 RESCIND M-O2\n-> A1 APPLY_OPERATION #2 operator DESTROY");
    script_free(&s);
}

/* One framework accepts two offers of it. */
static void test_both_offers_of_a_shared_volume(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, SHARED_VOLUME "t=1100\nagent A1 update task=t1 state=FINISHED uuid=1\nt=1500\n"
                           "agent A1 update task=t2 state=FINISHED uuid=1\n"
                           "scheduler S1 accept offers=M-O1,M-O2 refuse=0 destroy=o1@disk!x#v1~:50 "
                           "create=o2@disk!x#v1:100\nt=3000\n");
    EXPECT(s, "APPLY_OPERATION #2 M-0000 DESTROY o1");
    EXPECT(s, "APPLY_OPERATION #3 M-0000 CREATE o2");
    EXPECT(s, "{cpus:4; disk:900; disk(x,)[v1]:100; mem:1024}");
    script_free(&s);
}

/* DRAINED waits for operations, too. */
static void test_inv22_drained(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "reserve=o1@cpus!x:1 reserve=@cpus!x:1\n"
                                "operator O1 drain agent=M-S0\nshow\n");
    EXPECT(s, "agent M-S0 inactive DRAINING");
    tell(&s, "agent A1 operation n=0 state=FINISHED uuid=7\nshow\n");
    EXPECT(s, "agent M-S0 inactive DRAINING");
    tell(&s, "agent A1 operation n=1 state=FINISHED\nshow\n");
    EXPECT(s, "agent M-S0 inactive DRAINING");
    tell(&s, "scheduler S1 acknowledge_operation_status operation=o1 uuid=7\nshow\n");
    EXPECT(s, "-> registry DEACTIVATE_AGENT M-S0 DRAINED");
    /* It did not hear of the acknowledgement, and brings the operation again. */
    tell(&s, "close A1\nagent A1 reregister id=M-S0 resources=cpus:4;mem:1024;disk:1000 "
             "total=cpus:2;cpus!x:2;mem:1024;disk:1000 operations=0@FINISHED@7\nshow\n");
    EXPECT(s, "agent M-S0 inactive DRAINING");
    tell(&s, "scheduler S1 acknowledge_operation_status operation=o1 uuid=7\nshow\n");
    EXPECT(s, "agent M-S0 inactive DRAINED");
    script_free(&s);
}

/* The agent comes back: what it does not know of was never done; its total is what counts. */
static void test_an_agent_comes_back(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "reserve=o1@cpus!x:1 reserve=o2@cpus!x:1 reserve=@cpus!x:1 "
                                "launch=t1@cpus!x:3\nclose A1\n");
    tell(&s, "agent A1 reregister id=M-S0 resources=cpus:4;mem:1024;disk:1000 "
             "total=cpus:3;cpus!x:1;mem:1024;disk:1000 operations=0\nshow\n");
    EXPECT(s, "UPDATE t1 TASK_DROPPED");
    EXPECT(s, "o2 OPERATION_DROPPED \"Operation is unknown to the agent\"");
    REFUTE(s, "o1 OPERATION");
    EXPECT(s, "total {cpus:3; cpus(x,):1; disk:1000; mem:1024}");
    EXPECT(s, "operation #0 OPERATION_PENDING of M-0000\n");
    REFUTE(s, "operation #1");
    REFUTE(s, "operation #2");
    REFUTE(s, "ADMIT_AGENT"); /* it is the same agent: nothing for the registry */
    tell(&s, "agent A1 operation n=0 state=FINISHED uuid=7\nt=1500\n");
    EXPECT(s, "o1 OPERATION_FINISHED uuid=7");
    EXPECT(s, "x {cpus:3; cpus(x,):1;");
    script_free(&s);
}

/* What an agent says is looked at. */
static void test_registrations_that_are_refused(void **state) {
    static const char *const wrong[] = {
        "total=cpus:4;disk#v1:10",
        "total=cpus:4;disk!x#v1:10;disk!x#v1:11",
        "total=cpus:1;cpus!x:1 tasks=t1@M-0000@RUNNING@cpus:2 frameworks=M-0000",
        "operations=0+0",
        "operations=0@UNKNOWN@1+0",
    };
    struct script s = {0};
    char line[256];

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "reserve=o1@cpus!x:1\nclose A1\n");
    for (size_t i = 0; i < RV_COUNT(wrong); i++) {
        snprintf(line, sizeof line, "agent A1 reregister id=M-S0 resources=cpus:4 %s\n", wrong[i]);
        tell(&s, line);
        EXPECT(s, "-> A1 400");
    }
    script_free(&s);
}

/* A new leader takes operations from agents as they come back. */
static void test_inv42_next_leader(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "reserve=o1@cpus!x:1 reserve=o2@cpus!x:1\n"
                                "agent A1 operation n=0 state=FINISHED uuid=7\n"
                                "restart id=N agent_ping=1000000\n"
                                "scheduler S1 subscribe id=M-0000 name=a roles=x failover=600000 "
                                "checkpoint=1 " CAPABLE "\n"
                                "scheduler S1 reconcile_operations operations=o1@M-S0,o1\n"
                                "scheduler S1 reconcile_operations\n");
    EXPECT(s, "o1 OPERATION_RECOVERING");
    EXPECT(s, "o1 OPERATION_UNKNOWN");
    tell(&s, "agent A1 reregister id=M-S0 resources=cpus:4;mem:1024;disk:1000 "
             "total=cpus:2;cpus!x:2;mem:1024;disk:1000 operations=0@FINISHED@7+1\n"
             "scheduler S1 reconcile_operations\n");
    EXPECT(s, "o1 OPERATION_FINISHED {cpus(x,):1}");
    EXPECT(s, "o2 OPERATION_PENDING\n");
    tell(&s, "scheduler S1 acknowledge_operation_status operation=o1 uuid=7\n"
             "agent A1 operation n=1 state=FINISHED uuid=8\nt=1500\n");
    EXPECT(s, "-> A1 ACKNOWLEDGE_OPERATION #0 uuid=7");
    EXPECT(s, "o2 OPERATION_FINISHED uuid=8 {cpus(x,):1}");
    EXPECT(s, "x {cpus:2; cpus(x,):2; disk:1000; mem:1024}");
    script_free(&s);
}

/* A framework that is not connected is told when it is: the agent goes on telling. */
static void test_a_framework_comes_back(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "reserve=o1@cpus!x:1\nclose S1\n"
                                "agent A1 operation n=0 state=FINISHED uuid=7\n"
                                "scheduler S1 subscribe id=M-0000 name=a roles=x failover=600000 "
                                "checkpoint=1 " CAPABLE "\n"
                                "agent A1 operation n=0 state=FINISHED uuid=7\n");
    EXPECT(s, "-> S1 UPDATE_OPERATION_STATUS o1 OPERATION_FINISHED uuid=7");
    script_free(&s);
}

/* It has ended: its agents are told, and nobody waits for acknowledgements any more. */
static void test_a_framework_ends(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "reserve=o1@cpus!x:1 reserve=o2@cpus!x:1\n"
                                "agent A1 operation n=0 state=FINISHED uuid=7\n"
                                "scheduler S1 teardown\nshow\n");
    EXPECT(s, "-> A1 SHUTDOWN_FRAMEWORK M-0000");
    REFUTE(s, "operation #0");
    EXPECT(s, "operation #1 OPERATION_PENDING of M-0000, nobody hears of it");
    tell(&s, "agent A1 operation n=1 state=FINISHED uuid=8\n"
             "agent A1 operation n=0 state=FINISHED uuid=7\nshow\n");
    EXPECT(s, "-> A1 ACKNOWLEDGE_OPERATION #1 uuid=8");
    EXPECT(s, "-> A1 ACKNOWLEDGE_OPERATION #0 uuid=7");
    REFUTE(s, "operation #");
    EXPECT(s, "total {cpus:2; cpus(x,):2;"); /* reserved it stays */
    tell(&s, "close A1\nagent A1 reregister id=M-S0 resources=cpus:4;mem:1024;disk:1000 "
             "total=cpus:2;cpus!x:2;mem:1024;disk:1000 operations=0@FINISHED@7+1\nshow\n");
    EXPECT(s, "-> A1 ACKNOWLEDGE_OPERATION #0 uuid=7");
    EXPECT(s, "-> A1 SHUTDOWN_FRAMEWORK M-0000");
    EXPECT(s, "operation #1 OPERATION_PENDING of M-0000, nobody hears of it");
    script_free(&s);
}

static void test_an_agent_goes(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "reserve=o1@cpus!x:1 reserve=@cpus!x:1\nclose A1\nt=100000\n"
                                "scheduler S1 reconcile_operations operations=o1@M-S0\n");
    EXPECT(s, "o1 OPERATION_UNREACHABLE \"Agent M-S0");
    EXPECT(s, "o1 OPERATION_UNREACHABLE \"Reconciliation");
    tell(&s, "agent A1 reregister id=M-S0 resources=cpus:4;mem:1024;disk:1000 "
             "total=cpus:3;cpus!x:1;mem:1024;disk:1000 operations=0@FINISHED@7\n"
             "agent A1 operation n=0 state=FINISHED uuid=7\n");
    EXPECT(s, "o1 OPERATION_FINISHED uuid=7");
    tell(&s, "operator O1 gone agent=M-S0\n"
             "scheduler S1 reconcile_operations operations=o1@M-S0\n");
    EXPECT(s, "o1 OPERATION_GONE_BY_OPERATOR \"Agent has been marked gone\"");
    EXPECT(s, "o1 OPERATION_GONE_BY_OPERATOR \"Reconciliation");
    script_free(&s);
}

/* What is told of a launch are its tasks. */
static void test_launches_have_no_id(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, DISK_CLUSTER FIRST "launch_id=o1 launch=t1@cpus:1 group=t2@cpus:1 executor=e\n");
    EXPECT(s, "t1 TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID");
    EXPECT(s, "t2 TASK_ERROR SOURCE_MASTER REASON_TASK_GROUP_INVALID");
    REFUTE(s, "RUN_TASKS");
    REFUTE(s, "OPERATION");
    script_free(&s);
}

/* Revocable resources are not mixed with others of the name; volumes are used once. */
static void test_tasks_that_mix(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "scheduler S1 subscribe name=a roles=x failover=600000 "
             "caps=PARTITION_AWARE,REVOCABLE_RESOURCES\n"
             "agent A1 register resources=cpus:4;cpus^:4;disk:100\nt=10\n" FIRST
             "reserve=@disk!x:50 create=@disk!x#v1:50 launch=t1@cpus:1;cpus^:1 "
             "launch=t2@cpus^:1;disk!x#v1:50;disk!x#v1:40 executor=e@cpus:1\n");
    EXPECT(s, "t1 TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID");
    EXPECT(s, "uses revocable 'cpus' together with other");
    EXPECT(s, "t2 TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID");
    EXPECT(s, "uses the volume 'v1' twice");
    tell(&s, "t=1100\nscheduler S1 accept offers=M-O1 launch=t3@cpus^:1 executor=e@cpus:1\n");
    EXPECT(s, "t3 TASK_ERROR");
    EXPECT(s, "and its executor: it uses revocable");
    script_free(&s);
}

static void test_inv49_bound(void **state) {
    struct script s = {0};
    char line[128];

    (void)state;
    tell(&s, "scheduler S1 subscribe name=a roles=x failover=600000\n"
             "agent A1 register resources=cpus:4\nt=10\n");
    for (int i = 0; i < 1001; i++) {
        snprintf(line, sizeof line,
                 "scheduler S1 accept offers=M-O%d refuse=0 %sreserve=o%d@%s:1\n", i,
                 i % 2 ? "un" : "", i, "cpus!x");
        tell(&s, line);
        if (i == 1000)
            break;
        snprintf(line, sizeof line, "t=%d\n", 2000 * (i + 1));
        tell(&s, line);
        if (i % 10 == 0)
            tell(&s, "agent A1 pong\n");
    }
    EXPECT(s, "OPERATION_ERROR \"agent M-S0 has 1000 operations that have not ended");
    script_free(&s);
}

/* What it has is not split without end; what was split can be put together. */
static void test_inv49_parts(void **state) {
    struct script s = {0};
    struct rv_buf line = {0};

    (void)state;
    tell(&s, "agent A1 register resources=cpus:4000;disk:5000\n");
    for (int from = 0; from < 4200; from += 50) {
        rv_buf_clear(&line);
        rv_buf_puts(&line, "operator O1 operate agent=M-S0 reserve=@");
        for (int i = from; i < from + 50; i++)
            rv_buf_printf(&line, "disk!r%d:1;", i);
        rv_buf_printf(&line, "\nagent A1 operation n=%zu state=FINISHED\n", s.operations.n);
        tell(&s, line.data);
    }
    EXPECT(s, "-> O1 400 \"the resources of agent M-S0 would be in more than 4096 parts\"");
    tell(&s, "operator O1 operate agent=M-S0 unreserve=@disk!r0:1;disk!r1:1\n");
    EXPECT(s, "-> O1 202");
    rv_buf_free(&line);
    script_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reserve_create_and_launch),
        cmocka_unit_test(test_inv42_feedback),
        cmocka_unit_test(test_inv42_without_feedback),
        cmocka_unit_test(test_inv42_failed),
        cmocka_unit_test(test_inv42_refused),
        cmocka_unit_test(test_principals),
        cmocka_unit_test(test_role_whitelist),
        cmocka_unit_test(test_refinement),
        cmocka_unit_test(test_inv32_volumes),
        cmocka_unit_test(test_inv31_in_use),
        cmocka_unit_test(test_operators),
        cmocka_unit_test(test_old_agents),
        cmocka_unit_test(test_inv29_shared_volumes),
        cmocka_unit_test(test_inv32_shared_volume_destroyed),
        cmocka_unit_test(test_both_offers_of_a_shared_volume),
        cmocka_unit_test(test_inv22_drained),
        cmocka_unit_test(test_an_agent_comes_back),
        cmocka_unit_test(test_registrations_that_are_refused),
        cmocka_unit_test(test_inv42_next_leader),
        cmocka_unit_test(test_a_framework_comes_back),
        cmocka_unit_test(test_a_framework_ends),
        cmocka_unit_test(test_an_agent_goes),
        cmocka_unit_test(test_launches_have_no_id),
        cmocka_unit_test(test_tasks_that_mix),
        cmocka_unit_test(test_inv49_bound),
        cmocka_unit_test(test_inv49_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
