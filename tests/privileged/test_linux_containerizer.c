/* The linux containerizer, as root, with real containers: life, limits, and what they see. */
#include "linux_world.h"

static void test_describes_itself(void **state) {
    struct world *w = *state;
    const char *text = ops->describe(w->c);

    assert_non_null(strstr(text, "cgroups v"));
    assert_non_null(strstr(text, "seccomp"));
}

static void test_runs_and_tells_the_status(void **state) {
    struct world *w = *state;
    _cleanup_free_ char *text =
        output_of(w, "a", "echo out; echo err >&2; exit 7", 7, &(struct options){0});
    _cleanup_free_ char *errors = read_sandbox(w, "a", "stderr");

    assert_string_equal(text, "out\n");
    assert_string_equal(errors, "err\n");
    assert_int_equal(seen(w, "a")->reason, RV_REASON_NONE);
}

static void test_tells_a_signal(void **state) {
    struct world *w = *state;

    launch(w, "a", "kill -SEGV $$");
    run_until(w, &w->n_exited, 1);
    assert_true(seen(w, "a")->has_status);
    assert_true(WIFSIGNALED(seen(w, "a")->wait_status));
    assert_int_equal(WTERMSIG(seen(w, "a")->wait_status), SIGSEGV);
}

static void test_tells_what_cannot_be_started(void **state) {
    struct world *w = *state;
    const char *argv[] = {"/no/such/program", NULL};

    launch_argv(w, "a", argv, &(struct options){0});
    run_until(w, &w->n_launched, 1);
    assert_false(seen(w, "a")->ok);
    assert_non_null(strstr(seen(w, "a")->message, "/no/such/program"));
    launch_with(w, "b", "true", &(struct options){.user = "nobody-of-this-name"});
    run_until(w, &w->n_launched, 2);
    assert_false(seen(w, "b")->ok);
    assert_int_equal(w->n_exited, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_describes_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runs_and_tells_the_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tells_a_signal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tells_what_cannot_be_started, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
