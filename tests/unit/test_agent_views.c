/*
 * What the agent shows: the core is led through a task's life, and at each stage the answers are
 * encoded, so that a required field that is missing would be noticed. Then metrics, the networks
 * added to statuses, and which files are served.
 */
#include "agent_world.h"

#include <unistd.h>

#include "daemon/agent_views.h"
#include "wire/convert.h"

/* How many tasks are where: one digit each of pending, queued, launched, terminated, completed. */
static int places(const struct rv_agent *a) {
    struct rv_arena arena;
    struct rv_buf out = {0};
    ProtobufCMessage *back;
    struct rv_error err;

    rv_arena_init(&arena);
    Reeve__V1__Agent__Response__GetTasks *m = rv_agent_view_tasks(a, &arena);
    rv_wire_encode(&m->base, RV_ENC_PROTOBUF, &out);
    assert_int_equal(rv_wire_decode(m->base.descriptor, RV_ENC_PROTOBUF, rv_buf_str(&out), NULL,
                                    &arena, &back, &err),
                     0);
    const Reeve__V1__Agent__Response__GetTasks *t = (const void *)back;
    int digits =
        (int)(t->n_pending_tasks * 10000 + t->n_queued_tasks * 1000 + t->n_launched_tasks * 100 +
              t->n_terminated_tasks * 10 + t->n_completed_tasks);
    rv_buf_free(&out);
    rv_arena_free(&arena);
    return digits;
}

static void a_task_is_shown_where_it_is(void **state) {
    struct world *w = *state;

    assert_int_equal(places(w->agent), 0);
    join_master(w);
    w->manual_disk = true;
    run_custom(w, "t1");
    assert_int_equal(places(w->agent), 10000);
    w->manual_disk = false;
    settle(w);
    fresh(w);
    assert_int_equal(places(w->agent), 1000);
    container_runs(w);
    assert_int_equal(subscribe(w, "e1"), 200);
    assert_int_equal(places(w->agent), 100);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_RUNNING, 1), 202);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_FINISHED, 2), 202);
    assert_int_equal(places(w->agent), 10);
    acknowledge(w, "t1", 1);
    acknowledge(w, "t1", 2);
    assert_int_equal(places(w->agent), 1);
    container_ends(w, 0);
    assert_int_equal(places(w->agent), 1);
}

static void what_the_master_was_told_is_shown(void **state) {
    struct world *w = *state;
    struct rv_arena arena;

    run_one(w);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_FINISHED, 2), 202);
    rv_arena_init(&arena);
    const Reeve__V1__Task *t = rv_agent_view_tasks(w->agent, &arena)->terminated_tasks[0];
    assert_int_equal(t->state, REEVE__V1__TASK_STATE__TASK_FINISHED);
    assert_true(t->has_status_update_state);
    assert_int_equal(t->status_update_state, REEVE__V1__TASK_STATE__TASK_RUNNING);
    assert_int_equal(t->status_update_uuid.data[0], 1);
    assert_string_equal(t->executor_id->value, "e1");
    rv_arena_free(&arena);
}

static void executors_have_their_framework(void **state) {
    struct world *w = *state;
    struct rv_arena arena;

    join_master(w);
    run_command(w, "t1");
    rv_arena_init(&arena);
    const Reeve__V1__Agent__Response__GetExecutors *m =
        rv_agent_view_get_executors(w->agent, &arena);
    assert_int_equal(m->n_executors, 1);
    assert_string_equal(m->executors[0]->executor_info->framework_id->value, "f1");
    assert_string_equal(m->executors[0]->executor_info->executor_id->value, "t1");
    struct rv_agent_executors all = rv_agent_view_executors(w->agent, RV_WHICH_ALL, &arena);
    assert_int_equal(all.n, 1);
    assert_true(rv_str_eq(rv_agent_view_executor_source(all.v[0]), RV_STR("t1")));
    assert_null(rv_agent_view_tasks(w->agent, &arena)->queued_tasks[0]->executor_id);
    rv_arena_free(&arena);
}

static void ended_executors_hold_nothing(void **state) {
    struct world *w = *state;
    struct rv_resources held = {0};

    run_one(w);
    rv_agent_view_allocated(w->agent, &held);
    assert_int_equal(rv_resources_quantity(&held, "cpus"), 100);
    container_ends(w, 0);
    rv_agent_view_allocated(w->agent, &held);
    assert_true(rv_resources_empty(&held));
    rv_resources_free(&held);
}

/* --- networks of a status --- */

static const Reeve__V1__ContainerStatus *completed(const char *ip, struct rv_blob *rest,
                                                   struct rv_arena *arena) {
    struct rv_agent_daemon d = {.ip = rv_arena_strdup(arena, ip)};
    struct rv_task_status s = make_status("t1", RV_TASK_RUNNING, 1);
    struct rv_buf out = {0};
    ProtobufCMessage *back;

    s.container_id.v = "c1";
    s.rest = rest;
    rv_agent_view_add_network(&d, &s, arena);
    rv_wire_encode(&rv_wire_task_status_to(&s, arena)->base, RV_ENC_PROTOBUF, &out);
    assert_int_equal(rv_wire_decode(&reeve__v1__task_status__descriptor, RV_ENC_PROTOBUF,
                                    rv_buf_str(&out), NULL, arena, &back, NULL),
                     0);
    rv_blob_unref(s.rest);
    rv_buf_free(&out);
    const Reeve__V1__TaskStatus *m = (const void *)back;
    assert_non_null(m->container_status);
    assert_string_equal(m->container_status->container_id->value, "c1");
    return m->container_status;
}

static void networks_are_added_where_there_are_none(void **state) {
    Reeve__V1__TaskStatus rest = REEVE__V1__TASK_STATUS__INIT;
    Reeve__V1__ContainerStatus container = REEVE__V1__CONTAINER_STATUS__INIT;
    Reeve__V1__NetworkInfo network = REEVE__V1__NETWORK_INFO__INIT, *networks[] = {&network};
    struct rv_arena arena;

    (void)state;
    rv_arena_init(&arena);
    const Reeve__V1__ContainerStatus *m = completed("10.0.0.1", NULL, &arena);
    assert_int_equal(m->n_network_infos, 1);
    assert_string_equal(m->network_infos[0]->ip_addresses[0]->ip_address, "10.0.0.1");
    assert_int_equal(m->network_infos[0]->ip_addresses[0]->protocol,
                     REEVE__V1__NETWORK_INFO__PROTOCOL__IPv4);
    m = completed("::1", NULL, &arena);
    assert_int_equal(m->network_infos[0]->ip_addresses[0]->protocol,
                     REEVE__V1__NETWORK_INFO__PROTOCOL__IPv6);
    /* What else the executor says of its container stays. */
    rest.container_status = &container;
    container.has_executor_pid = true;
    container.executor_pid = 42;
    m = completed("10.0.0.1", rv_wire_pack(&rest.base), &arena);
    assert_int_equal(m->executor_pid, 42);
    assert_int_equal(m->n_network_infos, 1);
    /* Networks that it names are those that count. */
    network.name = rv_arena_strdup(&arena, "its own");
    container.network_infos = networks;
    container.n_network_infos = 1;
    m = completed("10.0.0.1", rv_wire_pack(&rest.base), &arena);
    assert_int_equal(m->n_network_infos, 1);
    assert_string_equal(m->network_infos[0]->name, "its own");
    rv_arena_free(&arena);
}

/* --- files --- */

static void only_sandboxes_are_served(void **state) {
    struct world *w = *state;
    char folder[] = "/tmp/reeve-views-XXXXXX";
    struct rv_agent_daemon d = {.core = w->agent, .work_dir = mkdtemp(folder)};
    struct rv_files files = {0};
    struct rv_error err;
    struct stat st;
    int fd;

    assert_non_null(d.work_dir);
    run_one(w);
    struct rv_agent_executor *ex = rv_map_gets(&framework(w)->executors, "e1");
    free(ex->directory);
    ex->directory = rv_asprintf("%s/slaves/sandbox", folder);
    _cleanup_free_ char *command =
        rv_asprintf("mkdir -p %s %s/meta && echo x > %s/stdout && echo x > %s/meta/secret && "
                    "ln -s ../../meta/secret %s/link",
                    ex->directory, folder, ex->directory, folder, ex->directory);
    assert_int_equal(system(command), 0);
    const char *latest = "/frameworks/f1/executors/e1/runs/latest/stdout";
    rv_agent_view_files(&d, latest, &files);
    assert_int_equal(rv_files_open(&files, latest, &fd, &st, &err), 0);
    assert_int_equal(st.st_size, 2);
    close(fd);
    _cleanup_free_ char *plain = rv_asprintf("%s/stdout", ex->directory);
    assert_int_equal(rv_files_open(&files, plain, &fd, &st, &err), 0);
    close(fd);
    static const char *const refused[] = {"%s/meta/secret", "%s/slaves/../meta/secret",
                                          "%s/slaves/sandbox/link", "%s"};
    for (size_t i = 0; i < RV_COUNT(refused); i++) {
        _cleanup_(rv_buf_free) struct rv_buf path = {0};
        rv_buf_append(&path, folder, strlen(folder));
        rv_buf_puts(&path, refused[i] + 2);
        assert_int_equal(rv_files_open(&files, path.data, &fd, &st, &err), -RV_ERR_NOT_FOUND);
    }
    rv_files_free(&files);
    _cleanup_free_ char *clean = rv_asprintf("rm -rf %s", folder);
    assert_int_equal(system(clean), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_task_is_shown_where_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_master_was_told_is_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(executors_have_their_framework, setup, teardown),
        cmocka_unit_test_setup_teardown(ended_executors_hold_nothing, setup, teardown),
        cmocka_unit_test(networks_are_added_where_there_are_none),
        cmocka_unit_test_setup_teardown(only_sandboxes_are_served, setup, teardown),
    };

    return cmocka_run_group_tests_name("agent_views", tests, NULL, NULL);
}
