/*
 * Persistent volumes in containers of the `linux` containerizer, on the real kernel: folders that
 * lie where the agent keeps its own, seen by those alone whom they are shown to, at the start or
 * later. Nothing of it is left on the machine.
 */
#include "linux_world.h"

static char *volume_of(const struct world *w, const char *id, const char *owner) {
    char *path = rv_asprintf("%s/volumes/roles/r/%s", w->root, id);
    _cleanup_free_ char *command = rv_asprintf("mkdir -p %s && chown %s %s && echo of %s >%s/file",
                                               path, owner, path, id, path);

    assert_int_equal(system(command), 0);
    return path;
}

static struct rv_container_isolation with(const struct rv_container_volume *v, size_t n) {
    return (struct rv_container_isolation){.volumes = v, .n_volumes = n};
}

static void test_inv_32_seen_at_its_place(void **state) {
    struct world *w = *state;
    _cleanup_free_ char *one = volume_of(w, "one", "nobody"), *two = volume_of(w, "two", "root");
    _cleanup_free_ char *text = NULL, *again = NULL;
    const struct rv_container_volume volumes[] = {
        {.source = RV_VOLUME_KEPT, .path = one, .target = "data"},
        {.source = RV_VOLUME_KEPT, .path = two, .target = "deep/down", .read_only = true},
        {.source = RV_VOLUME_KEPT, .path = one, .target = "/tmp/data"},
    };
    struct rv_container_isolation i = with(volumes, RV_COUNT(volumes));
    _cleanup_free_ char *script =
        rv_asprintf("echo new >data/new; cat /tmp/data/new deep/down/file; stat -c %%U data; "
                    "touch deep/down/x 2>/dev/null || echo read-only; test -e %s || echo covered",
                    two);

    text = output_of(w, "a", script, 0, &(struct options){.isolation = &i, .user = "nobody"});
    assert_string_equal(text, "new\nof two\nnobody\nread-only\ncovered\n");
    /* It is there for the next one. */
    again =
        output_of(w, "b", "cat data/new", 0, &(struct options){.isolation = &i, .user = "nobody"});
    assert_string_equal(again, "new\n");
}

static void test_of_a_nested_container_alone(void **state) {
    struct world *w = *state;
    _cleanup_free_ char *one = volume_of(w, "one", "root"), *text = NULL;
    const struct rv_container_volume v = {.source = RV_VOLUME_KEPT, .path = one, .target = "data"};
    struct rv_container_isolation i = with(&v, 1);

    launch(w, "a", "exec sleep 1000");
    run_until(w, &w->n_launched, 1);
    text = output_of(w, "a.b", "echo nested >data/new; cat data/file", 0,
                     &(struct options){.isolation = &i});
    assert_string_equal(text, "of one\n");
    free(output_of(w, "a.c", "test ! -e ../b/data/file", 0, &(struct options){0}));
    ops->destroy(w->c, "a");
    LOOP_UNTIL(&w->loop, seen(w, "a")->exited, WAIT_MS);
    _cleanup_free_ char *file = rv_asprintf("%s/new", one);
    assert_int_equal(access(file, F_OK), 0);
}

static void attach(struct world *w, const struct rv_container_volume *v) {
    struct rv_error err = {0};

    if (ops->attach(w->c, "a", v, &err))
        fail_msg("%s", err.message);
}

static void test_comes_and_goes(void **state) {
    struct world *w = *state;
    _cleanup_free_ char *one = volume_of(w, "one", "nobody");
    struct rv_container_volume v = {.source = RV_VOLUME_KEPT, .path = one, .target = "in/data"};
    struct rv_error err = {0};

    launch_with(w, "a",
                "until test -e in/data/file; do sleep 0.01; done; echo ours >in/data/new; "
                "touch in/data/new && echo came; "
                "while test -e in/data/file; do sleep 0.01; done; echo gone; "
                "until test -e in/data/file; do sleep 0.01; done; "
                "touch in/data/x 2>/dev/null || echo read-only; exec sleep 1000",
                &(struct options){.user = "nobody"});
    run_until(w, &w->n_launched, 1);
    attach(w, &v);
    attach(w, &v); /* it is there already: an agent that was started again does not know */
    wait_text(w, "a", "stdout", "came");
    if (ops->detach(w->c, "a", &v, &err))
        fail_msg("%s", err.message);
    wait_text(w, "a", "stdout", "gone"); /* there was one mount, not two */
    assert_int_equal(ops->detach(w->c, "a", &v, &err), 0);
    v.read_only = true;
    attach(w, &v);
    wait_text(w, "a", "stdout", "read-only");
    _cleanup_free_ char *file = rv_asprintf("%s/new", one);
    assert_int_equal(access(file, F_OK), 0);
    assert_int_equal(ops->attach(w->c, "nobody", &v, &err), 0); /* it has ended meanwhile */
    ops->destroy(w->c, "a");
    LOOP_UNTIL(&w->loop, seen(w, "a")->exited, WAIT_MS);
}

/* Where the container leads it by a link of its own, or has something else. */
static void test_does_not_go_astray(void **state) {
    struct world *w = *state;
    _cleanup_free_ char *one = volume_of(w, "one", "root"), *sandbox = sandbox_of(w, "a");
    _cleanup_free_ char *links =
        rv_asprintf("mkdir -p %s && ln -s / %s/out && echo >%s/file", sandbox, sandbox, sandbox);
    static const char *const targets[] = {"out/tmp", "out", "file", "/tmp/data"};
    struct rv_error err = {0};

    assert_int_equal(system(links), 0);
    launch(w, "a", "exec sleep 1000");
    run_until(w, &w->n_launched, 1);
    for (size_t i = 0; i < RV_COUNT(targets); i++) {
        const struct rv_container_volume v = {
            .source = RV_VOLUME_KEPT, .path = one, .target = targets[i]};
        assert_true(ops->attach(w->c, "a", &v, &err) < 0);
    }
    ops->destroy(w->c, "a");
    LOOP_UNTIL(&w->loop, seen(w, "a")->exited, WAIT_MS);
}

int main(void) {
    if (geteuid() != 0)
        return 77;
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(inv_32_seen_at_its_place),
        TEST(of_a_nested_container_alone),
        TEST(comes_and_goes),
        TEST(does_not_go_astray),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
