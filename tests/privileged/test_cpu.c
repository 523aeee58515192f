/*
 * How containers share a processor, by the kernel's own accounting. Hogs are kept to one processor,
 * so that it is short however many there are; what else runs there takes from all of them alike.
 */
#include "linux_world.h"

/* Time of the hogs together that a share is judged by. Slices are some milliseconds, and the
 * accounting of version 1 counts in hundredths. */
#define WINDOW_S 3.0

static const char hog[] = "exec taskset 1 sh -c 'echo up; while :; do :; done'";

static void start_hog(struct world *w, const char *id, const struct options *o) {
    launch_with(w, id, hog, o);
    wait_text(w, id, "stdout", "up");
}

static double used(struct world *w, const char *id) {
    struct rv_container_usage u;

    assert_int_equal(ops->usage(w->c, id, &u, NULL), 0);
    rv_container_usage_free(&u);
    return u.groups.cpu_user_s + u.groups.cpu_system_s;
}

/* What part of what both use is the first one's. */
static double share_of(struct world *w, const char *first, const char *second) {
    double a = used(w, first), b = used(w, second), mine = 0, all = 0;

    for (int ms = 0; ms < WAIT_MS && all < WINDOW_S; ms += 100) {
        run_for(w, 100);
        mine = used(w, first) - a;
        all = mine + used(w, second) - b;
    }
    assert_true(all >= WINDOW_S);
    return mine / all;
}

static void assert_near(double value, double want) {
    if (value < want * 0.9 || value > want * 1.1)
        fail_msg("the share is %.3f, not %.3f", value, want);
}

static void test_half_beside_an_equal(void **state) {
    struct world *w = *state;
    struct options one = {.cpus_milli = 1000};

    start_hog(w, "a", &one);
    start_hog(w, "b", &one);
    assert_near(share_of(w, "a", "b"), 0.5);
}

static void test_a_quarter_beside_three_times_the_weight(void **state) {
    struct world *w = *state;

    start_hog(w, "a", &(struct options){.cpus_milli = 500});
    start_hog(w, "b", &(struct options){.cpus_milli = 1500});
    assert_near(share_of(w, "a", "b"), 0.25);
}

/* Its processes do not count, nor its nested containers: the weight is the container's. */
static void test_many_processes_get_no_more_than_one(void **state) {
    struct world *w = *state;
    struct options one = {.cpus_milli = 1000};

    launch_with(w, "a",
                "for i in 1 2 3 4; do taskset 1 sh -c 'while :; do :; done' & done; echo up; wait",
                &one);
    wait_text(w, "a", "stdout", "up");
    start_hog(w, "b", &one);
    assert_near(share_of(w, "b", "a"), 0.5);
}

static void test_a_new_weight_counts_at_once(void **state) {
    struct world *w = *state;
    struct rv_resources more = {0};
    struct rv_container_limits none = {0};

    start_hog(w, "a", &(struct options){.cpus_milli = 500});
    start_hog(w, "b", &(struct options){.cpus_milli = 500});
    rv_resources_add_scalar(&more, "cpus", 1500);
    ops->update(w->c, "b", &more, &none);
    rv_resources_free(&more);
    assert_near(share_of(w, "a", "b"), 0.25);
}

static double now_s(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* As long as it takes until the kernel had to stop it often enough, and it had so much. */
static void test_never_more_than_its_quota(void **state) {
    struct world *w = *state;
    struct rv_container_isolation half = {.limits = {.cpu_milli = 500}};
    double begun, before, had = 0;
    int ms = 0;

    start_hog(w, "a", &(struct options){.cpus_milli = 2000, .isolation = &half});
    before = used(w, "a");
    begun = now_s();
    for (; ms < WAIT_MS && had < 1.5; ms += 100) {
        run_for(w, 100);
        had = used(w, "a") - before;
        /* A period's worth may be from before, and it is counted in hundredths. */
        if (had > (now_s() - begun) * 0.5 + 0.1)
            fail_msg("it had %.3f s of %.3f s", had, now_s() - begun);
    }
    assert_true(had >= 1.5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_half_beside_an_equal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_quarter_beside_three_times_the_weight, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_many_processes_get_no_more_than_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_new_weight_counts_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_more_than_its_quota, setup, teardown),
    };

    if (geteuid() != 0) {
        puts("skipped: needs root");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
