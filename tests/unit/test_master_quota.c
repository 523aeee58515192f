/* Stories of quotas: what operators may ask for, and what becomes of offers. See test_master.c. */
#include "master_story.h"

#define ROLES                                                                                      \
    "scheduler S1 subscribe name=a roles=r failover=600000\n"                                      \
    "agent A1 register\nagent A2 register\nt=10\n"

static void test_inv30_set_and_taken_away(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "registry manual\noperator O1 quota roles=r,q limits=cpus:3,mem:64\n");
    EXPECT(s, "-> registry PUT_QUOTAS r=nothing to cpus:3 q=nothing to mem:64\n");
    REFUTE(s, "-> O1"); /* persist, then act: INV-4 */
    tell(&s, "operator O2 quota roles=x limits=cpus:1\n");
    EXPECT(s, "-> O2 503 \"another change of quotas is being written\"");
    tell(&s, "registry ok\nregistry auto\n" ROLES);
    EXPECT(s, "-> O1 200");
    EXPECT(s, "{cpus:3; mem:1024}");
    tell(&s, "operator O1 quota roles=r\nt=2000\n");
    EXPECT(s, "-> registry PUT_QUOTAS r=nothing to nothing\n-> O1 200");
    EXPECT(s, "{cpus:1})");
    EXPECT(s, "{cpus:4})");
    tell(&s, "operator O1 remove_quota roles=r\noperator O1 remove_quota roles=q\n");
    EXPECT(s, "-> O1 400 \"quota of role 'r': it has none\"");
    EXPECT(s, "-> registry PUT_QUOTAS q=nothing to nothing\n-> O1 200");
    tell(&s, "operator O1 quota\n"); /* of nobody: nothing to be done */
    EXPECT(s, "operator O1 quota\n-> O1 200");
    script_free(&s);
}

static void test_inv30_all_or_nothing(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, "operator O1 quota roles=r,a/b limits=cpus:3,cpus:1\n"
             "operator O1 quota roles=r,q limits=cpus:3,cpus:1 guarantees=cpus:1,cpus:2\n"
             "operator O1 quota roles=r,.. limits=cpus:3,cpus:1\n"
             "operator O1 quota roles=a/b force=1 limits=cpus:3\n");
    EXPECT(s, "-> O1 400 \"quota of role 'a/b': quota of a nested role is not supported");
    EXPECT(s, "-> O1 400 \"quota of role 'q': a guarantee is more than its limit\"");
    EXPECT(s, "-> O1 400 \"quota of role '..':");
    REFUTE(s, "PUT_QUOTAS");
    tell(&s, "master role_whitelist=r\noperator O1 quota roles=r,q limits=cpus:3,cpus:1\n"
             "operator O1 quota roles=r limits=cpus:3\n");
    EXPECT(s, "-> O1 400 \"quota of role 'q': not among the roles");
    EXPECT(s, "-> registry PUT_QUOTAS r=nothing to cpus:3\n-> O1 200");
    script_free(&s);
}

static void test_inv30_below_what_is_used(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, ROLES "scheduler S1 accept offers=M-O0 launch=t1@cpus:2\n"
                   "operator O1 quota roles=r limits=cpus:1\n"
                   "operator O1 quota roles=q,r limits=cpus:1,cpus:1.5\n");
    EXPECT(s, "-> O1 400 \"quota of role 'r': it has cpus:2, more cpus than the limits cpus:1; "
              "'force' sets them all the same\"");
    REFUTE(s, "PUT_QUOTAS");
    tell(&s, "operator O1 quota roles=r limits=cpus:1 force=1\nt=5000\n");
    EXPECT(s, "-> registry PUT_QUOTAS r=nothing to cpus:1\n-> O1 200");
    REFUTE(s, "M-O1("); /* nothing more of cpus; and what was offered was taken back */
    script_free(&s);
}

/* What is offered does not count against a new limit: it is taken back. */
static void test_inv30_offers_are_rescinded(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, ROLES "registry manual\noperator O1 quota roles=r limits=cpus:6\n");
    EXPECT(s, "-> S1 RESCIND"); /* at once: nothing may be taken meanwhile that is too much */
    tell(&s, "t=3000\n");
    EXPECT(s, "{cpus:2; mem:1024}");
    tell(&s, "registry fail\nregistry auto\nt=6000\n");
    EXPECT(s, "-> O1 503");
    EXPECT(s, "{cpus:2}"); /* the rest: there is no limit after all */
    script_free(&s);
}

static void test_guarantees(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, ROLES "operator O1 quota roles=q guarantees=cpus:9\n"
                   "operator O1 set_quota roles=q guarantees=cpus:9 limits=cpus:9\n");
    EXPECT(s, "-> O1 400 \"all guarantees together, cpus:9, are more than the cluster has, cpus:8");
    EXPECT(s, "-> O1 409 \"all guarantees together");
    tell(&s, "operator O1 quota roles=q guarantees=cpus:5\nt=3000\n");
    EXPECT(s, "-> O1 200");
    EXPECT(s, "-> S1 RESCIND M-O0");
    EXPECT(s, "-> S1 RESCIND M-O1");
    EXPECT(s, "{cpus:3;"); /* the others' cpus stay free */
    tell(&s, "scheduler S2 subscribe name=b roles=q failover=600000\nt=6000\n");
    EXPECT(s, "-> S2 OFFERS");
    tell(&s, "operator O1 set_quota roles=q guarantees=cpus:1 limits=cpus:1\n"
             "operator O1 quota roles=p guarantees=cpus:4\n"
             "operator O1 quota roles=p,q guarantees=cpus:4,cpus:4\n");
    EXPECT(s, "-> O1 400 \"quota of role 'q': it has one already\"");
    EXPECT(s, "-> O1 400 \"all guarantees together, cpus:9,");
    EXPECT(s, "-> registry PUT_QUOTAS p=cpus:4 to nothing q=cpus:4 to nothing\n");
    script_free(&s);
}

/* The next leader knows them, and waits for agents: INV-11 is in test_master_absence.c. */
static void test_next_leader(void **state) {
    struct script s = {0};

    (void)state;
    tell(&s, ROLES "operator O1 quota roles=r limits=cpus:5\n"
                   "restart id=N agent_ping=1000000\n"
                   "scheduler S1 subscribe id=M-0000 name=a roles=r failover=600000\n"
                   "agent A1 reregister id=M-S0\nt=30000\n");
    REFUTE(s, "OFFERS N-");
    tell(&s, "agent A2 reregister id=M-S1\nt=31000\n");
    EXPECT(s, "{cpus:1; mem:1024}");
    script_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inv30_set_and_taken_away),
        cmocka_unit_test(test_inv30_all_or_nothing),
        cmocka_unit_test(test_inv30_below_what_is_used),
        cmocka_unit_test(test_inv30_offers_are_rescinded),
        cmocka_unit_test(test_guarantees),
        cmocka_unit_test(test_next_leader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
