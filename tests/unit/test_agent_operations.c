/*
 * Operations on what an agent has: from APPLY_OPERATION to the acknowledgement of their end
 * (INV-42), over failing disks, restarts at each point and with other flags (INV-20); nothing is
 * unreserved or destroyed while it is used (INV-31, INV-32).
 */
#include "agent_world.h"

static void set_disk(struct world *w, int64_t scalar) {
    rv_resources_free(&w->info.resources);
    rv_resources_add_scalar(&w->info.resources, "cpus", 4000);
    rv_resources_add_scalar(&w->info.resources, "disk", scalar);
}

/* Of the disk so much is reserved for r, and there is a volume of 10 with that id, or none. */
static void expect_total(const struct rv_resources *total, int64_t free, int64_t reserved,
                         const char *volume) {
    struct rv_resources want = {0};

    rv_resources_add_scalar(&want, "cpus", 4000);
    if (free) {
        rv_resources_add_scalar(&want, "disk", free);
    }
    if (reserved) {
        add_made(&want, "disk", reserved, "r", NULL);
    }
    if (volume) {
        add_made(&want, "disk", 10000, "r", volume);
    }
    if (!rv_resources_eq(total, &want)) {
        struct rv_buf has = {0}, should = {0};
        rv_resources_format(total, &has);
        rv_resources_format(&want, &should);
        fail_msg("there is %s, not %s", has.data, should.data);
    }
    rv_resources_free(&want);
}

static const struct rv_operation_status *end_of(const struct world *w) {
    const struct rv_agent_call *c = call(w, RV_AGENT_CALL_OPERATION_STATUS);

    return c ? c->operation.status : NULL;
}

static void expect_end(const struct world *w, enum rv_operation_state state) {
    const struct rv_operation_status *s = end_of(w);

    assert_non_null(s);
    assert_string_equal(rv_operation_state_name((int)s->state),
                        rv_operation_state_name((int)state));
    assert_string_equal(s->agent_id.v, "agent-1");
    assert_int_equal(s->has_uuid, s->operation_id.v != NULL);
}

static const struct rv_checkpoint *checkpoint(const struct world *w, size_t i) {
    for (size_t j = 0; j < w->out.n; j++) {
        if (w->out.v[j].kind == RV_AGENT_CHECKPOINT && i-- == 0) {
            return w->out.v[j].checkpoint;
        }
    }
    return NULL;
}

static void answer(struct world *w, const struct rv_checkpoint *c, bool ok) {
    fresh(w); /* what the record points to is kept */
    finish_write(w, c, ok);
}

static void use(struct world *w, const char *id, int64_t disk, const char *volume) {
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_RUN_TASKS};
    struct rv_task_info t = make_task(id);

    add_made(&t.resources, "disk", disk, "r", volume);
    rv_resources_allocate(&t.resources, "r");
    e.run.framework = &w->framework;
    e.run.executor = &custom;
    e.run.tasks = &t;
    e.run.n_tasks = 1;
    master(w, &e);
    rv_resources_free(&t.resources);
}

/* Disk is reserved for r, and 10 of it are the volume v1. */
static void make_volume(struct world *w) {
    join_master(w);
    operate(w, RV_OP_RESERVE, NULL, 1, 30000, NULL);
    operate(w, RV_OP_CREATE, NULL, 2, 10000, "v1");
    expect_total(&w->agent->durable_total, 70000, 20000, "v1");
}

/* --- INV-42 --- */

static void test_inv_42_told_until_acknowledged(void **state) {
    struct world *w = *state;
    uint8_t uuid[16];

    join_master(w);
    w->manual_disk = true;
    operate(w, RV_OP_RESERVE, "o1", 1, 30000, NULL);
    assert_null(end_of(w)); /* not before it is durable */
    expect_total(&w->agent->total, 70000, 30000, NULL);
    expect_total(&w->agent->durable_total, 100000, 0, NULL);
    assert_int_equal(checkpoint(w, 0)->kind, RV_CHECKPOINT_OPERATION);
    expect_total(checkpoint(w, 0)->total, 70000, 30000, NULL);
    answer(w, checkpoint(w, 0), true);
    w->manual_disk = false;
    expect_end(w, RV_OPERATION_FINISHED);
    expect_total(&w->agent->durable_total, 70000, 30000, NULL);
    assert_string_equal(end_of(w)->operation_id.v, "o1");
    assert_int_equal(rv_resources_quantity(end_of(w)->converted, "disk"), 30000);
    memcpy(uuid, end_of(w)->uuid, sizeof uuid);

    pass(w, 9999);
    assert_null(end_of(w));
    pass(w, 1);
    expect_end(w, RV_OPERATION_FINISHED);
    assert_memory_equal(end_of(w)->uuid, uuid, sizeof uuid);
    pass(w, 19999);
    assert_null(end_of(w));
    pass(w, 1);
    expect_end(w, RV_OPERATION_FINISHED);

    act_kind(w, RV_AGENT_MASTER_NONE);
    pass(w, 1000000);
    assert_null(end_of(w));
    find_master(w);
    assert_int_equal(call(w, RV_AGENT_CALL_REREGISTER)->registration.n_operations, 1);
    assert_memory_equal(call(w, RV_AGENT_CALL_REREGISTER)->registration.operations[0].status->uuid,
                        uuid, sizeof uuid);
    say_registered(w);
    expect_end(w, RV_OPERATION_FINISHED);

    acknowledge_end(w, 1, (const uint8_t[16]){0}); /* not that */
    assert_int_equal(rv_map_count(&w->agent->operations), 1);
    acknowledge_end(w, 1, uuid);
    assert_int_equal(checkpoint(w, 0)->kind, RV_CHECKPOINT_OPERATION_DONE);
    assert_int_equal(rv_map_count(&w->agent->operations), 0);
    pass(w, 60000);
    assert_null(end_of(w));
}

static void test_inv_42_told_once_without_an_id(void **state) {
    struct world *w = *state;

    join_master(w);
    operate(w, RV_OP_RESERVE, NULL, 1, 30000, NULL);
    expect_end(w, RV_OPERATION_FINISHED);
    assert_int_equal(rv_map_count(&w->agent->operations), 0);
    pass(w, 60000);
    assert_null(end_of(w));
    operate(w, RV_OP_UNRESERVE, NULL, 2, 30000, NULL);
    expect_end(w, RV_OPERATION_FINISHED);
    expect_total(&w->agent->durable_total, 100000, 0, NULL);
    restart(w, NULL, 0);
    expect_total(&w->agent->total, 100000, 0, NULL);
    find_master(w);
    assert_null(call(w, RV_AGENT_CALL_REREGISTER)->registration.total); /* just its own */
}

/* The link breaks while it is written: told as under way, then its end. */
static void test_inv_42_under_way_in_a_registration(void **state) {
    struct world *w = *state;
    const struct rv_agent_call *c;
    const struct rv_checkpoint *record;

    join_master(w);
    for (int round = 0; round < 2; round++) {
        const char *id = round ? "o1" : NULL;
        w->manual_disk = true;
        operate(w, RV_OP_RESERVE, id, (uint8_t)(1 + round), 10000, NULL);
        record = checkpoint(w, count(w, RV_AGENT_CHECKPOINT) - 1);
        act_kind(w, RV_AGENT_MASTER_LOST);
        pass(w, 1000);
        c = call(w, RV_AGENT_CALL_REREGISTER);
        assert_int_equal(c->registration.n_operations, 1);
        assert_null(c->registration.operations[0].status);
        /* with what is under way: the master's books have it, too */
        expect_total(c->registration.total, 90000 - round * 10000, 10000 + round * 10000, NULL);
        answer(w, record, true);
        assert_null(end_of(w));
        w->manual_disk = false;
        say_registered(w);
        expect_end(w, RV_OPERATION_FINISHED);
        assert_int_equal(rv_map_count(&w->agent->operations), round);
    }
}

static void test_inv_42_told_to_a_new_instance(void **state) {
    struct world *w = *state;
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_UPDATE_FRAMEWORK, .framework = &w->framework};

    join_master(w);
    operate(w, RV_OP_RESERVE, "o1", 1, 30000, NULL);
    master(w, &e);
    expect_end(w, RV_OPERATION_FINISHED);
}

static void test_a_framework_that_is_over(void **state) {
    struct world *w = *state;
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK,
                               .shutdown_framework = {"f1"}};

    join_master(w);
    operate(w, RV_OP_RESERVE, "o1", 1, 30000, NULL);
    w->manual_disk = true;
    operate(w, RV_OP_RESERVE, "o2", 2, 30000, NULL);
    const struct rv_checkpoint *record = checkpoint(w, 0);
    master(w, &e);
    assert_int_equal(checkpoint(w, 0)->kind, RV_CHECKPOINT_OPERATION_DONE);
    assert_int_equal(rv_map_count(&w->agent->operations), 1);
    w->manual_disk = false;
    fresh(w);
    finish_write(w, record, true);
    settle(w);
    assert_int_equal(rv_map_count(&w->agent->operations), 0);
    expect_end(w, RV_OPERATION_FINISHED); /* once, for the master's books */
    expect_total(&w->agent->durable_total, 40000, 60000, NULL);
    restart(w, NULL, 0);
    expect_total(&w->agent->total, 40000, 60000, NULL);
    assert_int_equal(rv_map_count(&w->agent->operations), 1); /* o1: its DONE was not written */
}

/* The same where the link is lost meanwhile: a master was told that it is under way. */
static void test_a_framework_that_is_over_and_a_link(void **state) {
    struct world *w = *state;
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK,
                               .shutdown_framework = {"f1"}};

    join_master(w);
    w->manual_disk = true;
    operate(w, RV_OP_RESERVE, "o1", 1, 30000, NULL);
    const struct rv_checkpoint *record = checkpoint(w, 0);
    master(w, &e);
    act_kind(w, RV_AGENT_MASTER_LOST);
    pass(w, 1000);
    assert_int_equal(call(w, RV_AGENT_CALL_REREGISTER)->registration.n_operations, 1);
    w->manual_disk = false;
    answer(w, record, true);
    say_registered(w);
    expect_end(w, RV_OPERATION_FINISHED);
    assert_int_equal(rv_map_count(&w->agent->operations), 0);
}

static void test_not_too_many_wait(void **state) {
    struct world *w = *state;

    join_master(w);
    for (unsigned i = 0; i <= 1000; i++) {
        struct rv_operation o = {.type = RV_OP_RESERVE, .id = {"o"}};
        struct rv_agent_event e = {.type = RV_AGENT_EVENT_APPLY_OPERATION};
        add_made(&o.resources, "disk", 1, "r", NULL);
        e.apply.framework_id.v = "f1";
        e.apply.operation = &o;
        memcpy(e.apply.uuid, &i, sizeof i);
        master(w, &e);
        rv_resources_free(&o.resources);
        if (i % 50 == 0) { /* what is told again takes long to check */
            act_kind(w, RV_AGENT_MASTER_LOST);
            pass(w, 1000);
            say_registered(w);
        }
    }
    assert_int_equal(rv_map_count(&w->agent->operations), 1000);
    expect_total(&w->agent->durable_total, 98999, 1001, NULL);
    restart(w, NULL, 0);
    assert_int_equal(rv_map_count(&w->agent->operations), 1000);
    assert_int_equal(w->agent->counters.recovery_errors, 0);
}

/* --- what goes wrong --- */

static void test_inv_23_it_cannot_be_written(void **state) {
    struct world *w = *state;
    const struct rv_agent_call *c;

    w->framework.checkpoint = false;
    join_master(w);
    operate(w, RV_OP_RESERVE, NULL, 1, 10000, NULL);
    w->manual_disk = true;
    operate(w, RV_OP_RESERVE, "o2", 2, 10000, NULL);
    const struct rv_checkpoint *second = checkpoint(w, 0);
    operate(w, RV_OP_CREATE, NULL, 3, 10000, "v1");
    const struct rv_checkpoint *third = checkpoint(w, 0);
    operate(w, RV_OP_RESERVE, "o4", 4, 10000, NULL);
    const struct rv_checkpoint *fourth = checkpoint(w, 0);
    use(w, "t1", 10000, "v1");
    assert_null(find(w, RV_AGENT_LAUNCH_CONTAINER)); /* INV-35: it waits for its volume */
    fresh(w);
    w->full_disk = true;
    w->manual_disk = false;
    finish_write(w, second, false);
    finish_write(w, third, false);
    finish_write(w, fourth, false);
    assert_non_null(find(w, RV_AGENT_DISCONNECT_MASTER));
    expect_total(&w->agent->total, 90000, 10000, NULL);
    assert_null(end_of(w));
    assert_int_equal(rv_map_count(&w->agent->operations), 2); /* those with an id */
    pass(w, 1000);
    c = call(w, RV_AGENT_CALL_REREGISTER);
    expect_total(c->registration.total, 90000, 10000, NULL);
    assert_int_equal(c->registration.n_operations, 2);
    assert_int_equal(c->registration.operations[0].status->state, RV_OPERATION_FAILED);
    assert_non_null(strstr(c->registration.operations[0].status->message, "No space left"));
    say_registered(w);
    assert_int_equal(count_calls(w, RV_AGENT_CALL_OPERATION_STATUS), 2);
    expect_end(w, RV_OPERATION_FAILED);
    assert_update(w, "t1", RV_TASK_DROPPED, RV_REASON_RESOURCES_UNKNOWN);
    acknowledge_end(w, 2, end_of(w)->uuid);
    assert_int_equal(rv_map_count(&w->agent->operations), 1);

    w->full_disk = false;
    operate(w, RV_OP_RESERVE, NULL, 5, 10000, NULL);
    expect_end(w, RV_OPERATION_FINISHED);
    expect_total(&w->agent->durable_total, 80000, 20000, NULL);
    restart(w, NULL, 0);
    expect_total(&w->agent->total, 80000, 20000, NULL);
    assert_int_equal(w->agent->counters.recovery_errors, 0);
}

static void test_what_is_not_there(void **state) {
    struct world *w = *state;

    join_master(w);
    operate(w, RV_OP_CREATE, "o1", 1, 10000, "v1"); /* of disk that is not reserved */
    assert_non_null(find(w, RV_AGENT_DISCONNECT_MASTER));
    pass(w, 1000);
    say_registered(w);
    expect_end(w, RV_OPERATION_FAILED);
    expect_total(&w->agent->total, 100000, 0, NULL);
}

static void test_inv_32_ids_of_volumes_are_unique(void **state) {
    struct world *w = *state;

    make_volume(w);
    operate(w, RV_OP_CREATE, "o1", 3, 5000, "v1");
    assert_non_null(find(w, RV_AGENT_DISCONNECT_MASTER));
    pass(w, 1000);
    say_registered(w);
    expect_end(w, RV_OPERATION_FAILED);
    expect_total(&w->agent->total, 70000, 20000, "v1");
    operate(w, RV_OP_CREATE, "o2", 4, 5000, "../v"); /* nor another path */
    assert_non_null(find(w, RV_AGENT_DISCONNECT_MASTER));
}

static void expect_refused(struct world *w) {
    assert_non_null(find(w, RV_AGENT_DISCONNECT_MASTER));
    pass(w, 1000);
    say_registered(w);
    expect_end(w, RV_OPERATION_FAILED);
    assert_non_null(strstr(end_of(w)->message, "uses"));
    expect_total(&w->agent->total, 70000, 20000, "v1");
}

static void test_inv_31_inv_32_nothing_that_is_used_goes(void **state) {
    struct world *w = *state;

    make_volume(w);
    use(w, "t1", 10000, "v1");
    operate(w, RV_OP_DESTROY, "o1", 3, 10000, "v1");
    expect_refused(w);
    container_runs(w);
    assert_int_equal(subscribe(w, "e1"), 200);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_RUNNING, 1), 202);
    operate(w, RV_OP_UNRESERVE, "o2", 4, 20000, NULL); /* the rest is free */
    expect_total(&w->agent->total, 90000, 0, "v1");
    operate(w, RV_OP_RESERVE, NULL, 5, 20000, NULL);
    use(w, "t2", 15000, NULL);
    operate(w, RV_OP_UNRESERVE, "o3", 6, 20000, NULL);
    expect_refused(w);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_FINISHED, 2), 202);
    operate(w, RV_OP_DESTROY, NULL, 7, 10000, "v1");
    expect_total(&w->agent->total, 70000, 30000, NULL);
    assert_int_equal(count(w, RV_AGENT_REMOVE_VOLUME), 1);
}

static void test_tasks_need_what_is_there(void **state) {
    struct world *w = *state;

    make_volume(w);
    use(w, "t1", 10000, "v2");
    assert_update(w, "t1", RV_TASK_DROPPED, RV_REASON_RESOURCES_UNKNOWN);
    assert_non_null(call(w, RV_AGENT_CALL_EXECUTOR_EXITED)); /* which the master has booked */
    use(w, "t2", 21000, NULL);
    assert_update(w, "t2", RV_TASK_DROPPED, RV_REASON_RESOURCES_UNKNOWN);
    use(w, "t3", 10000, "v1");
    assert_non_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
}

/* --- tasks behind --- */

/* INV-35: what a task uses is durable before it is started, even if it is not itself. */
static void test_inv_35_tasks_wait_for_operations(void **state) {
    struct world *w = *state;

    w->framework.checkpoint = false;
    run_one(w);
    acknowledge(w, "t1", 1);
    w->manual_disk = true;
    operate(w, RV_OP_RESERVE, NULL, 1, 10000, NULL);
    const struct rv_checkpoint *record = checkpoint(w, 0);
    use(w, "t2", 10000, NULL);
    assert_null(event(w, RV_EXECUTOR_EVENT_LAUNCH));
    assert_null(find(w, RV_AGENT_UPDATE_CONTAINER));
    answer(w, record, true);
    assert_non_null(event(w, RV_EXECUTOR_EVENT_LAUNCH));
    assert_non_null(find(w, RV_AGENT_UPDATE_CONTAINER));
}

/* INV-32: else a running container would have the folder that is cleared when the volume is made.
 */
static void test_inv_32_no_container_sees_a_volume_that_is_being_made(void **state) {
    struct world *w = *state;

    w->framework.checkpoint = false;
    run_one(w);
    acknowledge(w, "t1", 1);
    w->manual_disk = true;
    operate(w, RV_OP_RESERVE, NULL, 1, 10000, NULL);
    const struct rv_checkpoint *record = checkpoint(w, 0);
    use(w, "t2", 10000, NULL);
    update(w, "e1", "t1", RV_TASK_FINISHED, 2); /* the container's resources change */
    assert_null(find(w, RV_AGENT_UPDATE_CONTAINER));
    answer(w, record, true);
    assert_non_null(find(w, RV_AGENT_UPDATE_CONTAINER));
}

static void test_killed_while_it_waits(void **state) {
    struct world *w = *state;

    w->framework.checkpoint = false;
    join_master(w);
    w->manual_disk = true;
    operate(w, RV_OP_RESERVE, NULL, 1, 10000, NULL);
    const struct rv_checkpoint *record = checkpoint(w, 0);
    use(w, "t1", 10000, NULL);
    kill_task(w, "t1");
    assert_update(w, "t1", RV_TASK_KILLED, RV_REASON_TASK_KILLED_DURING_LAUNCH);
    answer(w, record, true);
    assert_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
}

/* --- folders --- */

#define V1 "/var/lib/reeve/volumes/roles/r/v1"
#define V2 "/var/lib/reeve/volumes/roles/r/v2"

static void test_folders_of_volumes(void **state) {
    struct world *w = *state;
    struct rv_operation grow = {.type = RV_OP_GROW_VOLUME};

    join_master(w);
    operate(w, RV_OP_RESERVE, NULL, 1, 30000, NULL);
    operate(w, RV_OP_CREATE, NULL, 2, 10000, "v1");
    assert_string_equal(find(w, RV_AGENT_REMOVE_VOLUME)->path, V1); /* if something is left there */
    add_made(&grow.resources, "disk", 10000, "r", "v1");
    add_made(&grow.source, "disk", 5000, "r", NULL);
    apply(w, &grow, 3);
    expect_end(w, RV_OPERATION_FINISHED);
    assert_null(find(w, RV_AGENT_REMOVE_VOLUME));
    w->manual_disk = true;
    operate(w, RV_OP_DESTROY, NULL, 4, 15000, "v1");
    assert_null(find(w, RV_AGENT_REMOVE_VOLUME)); /* not before it is durable */
    answer(w, checkpoint(w, 0), true);
    assert_string_equal(find(w, RV_AGENT_REMOVE_VOLUME)->path, V1);
}

/* A crash between the record and the removal. */
static void test_leftovers_go(void **state) {
    struct world *w = *state;

    make_volume(w);
    rv_vec_push(&w->volumes, V1);
    rv_vec_push(&w->volumes, V2);
    restart(w, NULL, 0);
    assert_int_equal(w->volumes.n, 1);
    assert_string_equal(w->volumes.v[0], V1);

    rv_vec_push(&w->volumes, V2);
    w->config.lenient = true;
    w->journal.v[2].operation = NULL; /* who knows what that made? */
    restart(w, NULL, 0);
    assert_int_equal(w->volumes.n, 2);
    w->journal.n = 0;
    restart(w, NULL, 0);
    assert_int_equal(w->volumes.n, 2);
}

/* --- restarts --- */

static void test_every_crash_point(void **state) {
    struct world *w = *state;
    size_t n;

    make_volume(w);
    operate(w, RV_OP_RESERVE, "o3", 3, 5000, NULL);
    acknowledge_end(w, 3, end_of(w)->uuid);
    operate(w, RV_OP_RESERVE, "o4", 4, 5000, NULL);
    n = w->journal.n;
    assert_int_equal(n, 6); /* the agent, four operations, one acknowledgement */
    expect_total(&w->agent->total, 60000, 30000, "v1");
    while (n-- > 0) {
        static const int64_t left[] = {100000, 100000, 70000, 70000, 65000, 65000};
        static const int64_t reserved[] = {0, 0, 30000, 20000, 25000, 25000};
        w->journal.n = n;
        restart(w, NULL, 0);
        assert_int_equal(w->agent->counters.recovery_errors, 0);
        expect_total(&w->agent->total, left[n], reserved[n], n > 2 ? "v1" : NULL);
        assert_int_equal(rv_map_count(&w->agent->operations), n == 4);
        if (n == 4) {
            join_master(w);
            expect_end(w, RV_OPERATION_FINISHED);
            assert_string_equal(end_of(w)->operation_id.v, "o3");
            assert_int_equal(rv_resources_quantity(end_of(w)->converted, "disk"), 5000);
        }
    }
}

static void test_inv_20_other_resources(void **state) {
    struct world *w = *state;
    const char *why;

    make_volume(w);
    w->config.additive = true;
    set_disk(w, 120000);
    restart(w, NULL, 0);
    assert_null(rv_agent_refused(w->agent));
    expect_total(&w->agent->total, 90000, 20000, "v1");
    join_master(w);

    w->config.boot_id = "boot-2"; /* another agent, but with the same folders */
    set_disk(w, 25000);
    restart(w, NULL, 0);
    why = rv_agent_refused(w->agent);
    assert_non_null(why);
    assert_non_null(strstr(why, "volumes"));
    assert_non_null(strstr(why, "--recover=cleanup"));
    assert_int_equal(w->out.n, 0);
    set_disk(w, 30000);
    restart(w, NULL, 0);
    assert_null(rv_agent_refused(w->agent));
    assert_null(w->agent->info.id.v);
    expect_total(&w->agent->total, 0, 20000, "v1");
}

/* Whoever the agent is, the volumes are its own: it tells of them under its new id. */
static void test_inv_32_volumes_survive_another_id(void **state) {
    struct world *w = *state;

    make_volume(w);
    rv_vec_push(&w->volumes, V1);
    operate(w, RV_OP_RESERVE, "o3", 3, 5000, NULL);
    w->config.cleanup = true;
    set_disk(w, 1000); /* it is not for the cleanup to judge */
    restart(w, NULL, 0);
    assert_null(rv_agent_refused(w->agent));
    assert_non_null(find(w, RV_AGENT_EXIT));
    w->config.cleanup = false;
    set_disk(w, 100000);
    for (int i = 0; i < 3; i++) { /* before it is registered, after it, and once more */
        restart(w, NULL, 0);
        assert_null(rv_agent_refused(w->agent));
        expect_total(&w->agent->total, 65000, 25000, "v1");
        assert_int_equal(rv_map_count(&w->agent->operations), 0); /* the other one's */
        assert_int_equal(w->volumes.n, 1);
        find_master(w);
        const struct rv_agent_call *c =
            call(w, i < 1 ? RV_AGENT_CALL_REGISTER : RV_AGENT_CALL_REREGISTER);
        expect_total(c->registration.total, 65000, 25000, "v1");
        say_registered(w);
    }
}

static void test_the_end_of_the_agent(void **state) {
    struct world *w = *state;

    join_master(w);
    operate(w, RV_OP_RESERVE, "o1", 1, 30000, NULL);
    act_kind(w, RV_AGENT_STOP);
    assert_null(call(w, RV_AGENT_CALL_UNREGISTER)); /* the next one has something to tell */
    assert_non_null(find(w, RV_AGENT_EXIT));
    restart(w, NULL, 0);
    join_master(w);
    expect_end(w, RV_OPERATION_FINISHED);
    run_custom(w, "t1"); /* so that the end takes its time */
    act(w, (struct rv_agent_input){
               .kind = RV_AGENT_MASTER_EVENT,
               .master = &(struct rv_agent_event){.type = RV_AGENT_EVENT_SHUTDOWN, .why = "gone"}});
    operate(w, RV_OP_RESERVE, "o2", 2, 30000, NULL);
    assert_null(find(w, RV_AGENT_CHECKPOINT));
    expect_total(&w->agent->total, 70000, 30000, NULL);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(inv_42_told_until_acknowledged),
        TEST(inv_42_told_once_without_an_id),
        TEST(inv_42_under_way_in_a_registration),
        TEST(inv_42_told_to_a_new_instance),
        TEST(a_framework_that_is_over),
        TEST(a_framework_that_is_over_and_a_link),
        TEST(not_too_many_wait),
        TEST(inv_23_it_cannot_be_written),
        TEST(what_is_not_there),
        TEST(inv_32_ids_of_volumes_are_unique),
        TEST(inv_31_inv_32_nothing_that_is_used_goes),
        TEST(tasks_need_what_is_there),
        TEST(inv_35_tasks_wait_for_operations),
        TEST(inv_32_no_container_sees_a_volume_that_is_being_made),
        TEST(killed_while_it_waits),
        TEST(folders_of_volumes),
        TEST(leftovers_go),
        TEST(every_crash_point),
        TEST(inv_20_other_resources),
        TEST(inv_32_volumes_survive_another_id),
        TEST(the_end_of_the_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
