/*
 * The agent's core, told as stories: inputs go in, effects are looked at. Names of stories say
 * which line of the promises they keep.
 */
#include "agent_world.h"

/* --- registration --- */

static void test_registers(void **state) {
    struct world *w = *state;

    act_kind(w, RV_AGENT_MASTER_FOUND);
    assert_null(find(w, RV_AGENT_REGISTER));
    assert_true(rv_agent_deadline(w->agent) <= w->now_ms + 100);
    pass(w, 100);
    assert_non_null(call(w, RV_AGENT_CALL_REGISTER));
    assert_null(call(w, RV_AGENT_CALL_REGISTER)->agent_id.v);
    say_registered(w);
    assert_int_equal(w->agent->link, RV_LINK_REGISTERED);
    assert_int_equal(w->journal.n, 1);
    assert_string_equal(w->journal.v[0].agent->id.v, "agent-1");

    struct rv_agent_event ping = {.type = RV_AGENT_EVENT_PING};
    pass(w, 70000);
    master(w, &ping);
    assert_non_null(call(w, RV_AGENT_CALL_PONG));
    pass(w, 70000);
    assert_int_equal(w->agent->link, RV_LINK_REGISTERED);
    pass(w, 6000);
    assert_non_null(find(w, RV_AGENT_DISCONNECT_MASTER));
    pass(w, 1000);
    assert_string_equal(call(w, RV_AGENT_CALL_REREGISTER)->agent_id.v, "agent-1");
    say_registered(w);
    assert_int_equal(w->journal.n, 1); /* the id is on disk already */
    act_kind(w, RV_AGENT_MASTER_LOST);
    assert_int_equal(w->agent->link, RV_LINK_REGISTERING);
}

static void test_inv_21_registration_backs_off(void **state) {
    struct world *w = *state;
    int64_t wait_ms = 0, nominal_ms = 1000;

    act_kind(w, RV_AGENT_MASTER_FOUND);
    pass(w, rv_agent_deadline(w->agent) - w->now_ms);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(count(w, RV_AGENT_REGISTER), 1);
        act(w, (struct rv_agent_input){.kind = RV_AGENT_MASTER_REFUSED, .status = 503});
        wait_ms = rv_agent_deadline(w->agent) - w->now_ms;
        assert_in_range(wait_ms, nominal_ms / 2, nominal_ms);
        nominal_ms = RV_MIN(nominal_ms * 2, 60000);
        act_kind(w, RV_AGENT_MASTER_LOST);
        assert_null(find(w, RV_AGENT_REGISTER)); /* an answer makes it no faster */
        assert_int_equal(rv_agent_deadline(w->agent) - w->now_ms, wait_ms);
        pass(w, wait_ms);
    }
}

/* A leader that takes its time is not asked twice, a frozen one is in the end. */
static void test_inv_21_a_try_that_waits(void **state) {
    struct world *w = *state;

    act_kind(w, RV_AGENT_MASTER_FOUND);
    pass(w, rv_agent_deadline(w->agent) - w->now_ms);
    assert_int_equal(count(w, RV_AGENT_REGISTER), 1);
    pass(w, 29000);
    assert_null(find(w, RV_AGENT_REGISTER));
    pass(w, 2000);
    assert_int_equal(count(w, RV_AGENT_REGISTER), 1);
    say_registered(w);
    assert_int_equal(w->agent->link, RV_LINK_REGISTERED);
}

/* A master that takes the registration and then refuses what follows is asked ever more rarely. */
static void test_inv_21_refused_calls_back_off(void **state) {
    struct world *w = *state;
    int64_t last_ms = 0, began_ms = w->now_ms;
    struct rv_agent_event ping = {.type = RV_AGENT_EVENT_PING};

    find_master(w);
    for (int i = 0; i < 40; i++) {
        say_registered(w);
        last_ms = w->now_ms;
        act(w, (struct rv_agent_input){.kind = RV_AGENT_MASTER_REFUSED, .status = 400});
        assert_int_equal(w->agent->link, RV_LINK_REGISTERING);
        pass(w, rv_agent_deadline(w->agent) - w->now_ms);
        assert_non_null(find(w, RV_AGENT_REGISTER));
        assert_true(w->now_ms - last_ms <= 60000);
    }
    assert_true(w->now_ms - began_ms > 400000);
    say_registered(w);
    master(w, &ping);
    assert_int_equal(w->agent->backoff_ms, 1000);
}

static void test_inv_3_without_a_leader_nothing_counts(void **state) {
    struct world *w = *state;
    struct rv_agent_event shutdown = {.type = RV_AGENT_EVENT_SHUTDOWN, .why = "stale"};

    say_registered(w);
    assert_null(w->agent->info.id.v);
    run_one(w);
    act_kind(w, RV_AGENT_MASTER_NONE);
    assert_non_null(find(w, RV_AGENT_DISCONNECT_MASTER));
    master(w, &shutdown);
    assert_int_equal(w->out.n, 0);
    kill_task(w, "t1");
    run_custom(w, "t2");
    assert_int_equal(w->out.n, 0);
    assert_int_equal(rv_agent_deadline(w->agent) > w->now_ms + 1000, 1);
}

static void test_inv_6_tasks_go_on_without_a_master(void **state) {
    struct world *w = *state;
    const struct rv_agent_call *c;

    run_one(w);
    assert_update(w, "t1", RV_TASK_RUNNING, RV_REASON_NONE);
    act_kind(w, RV_AGENT_MASTER_LOST);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_FINISHED, 2), 202);
    assert_non_null(event(w, RV_EXECUTOR_EVENT_ACKNOWLEDGED)); /* it is kept */
    assert_null(update_of(w, "t1"));
    pass(w, 2000);
    c = call(w, RV_AGENT_CALL_REREGISTER);
    assert_non_null(c);
    assert_int_equal(c->registration.n_tasks, 1);
    assert_int_equal(c->registration.n_executors, 1);
    assert_int_equal(c->registration.n_frameworks, 1);
    assert_int_equal(c->registration.tasks[0].state, RV_TASK_FINISHED);
    assert_int_equal(c->registration.tasks[0].update_state, RV_TASK_RUNNING);
    assert_true(c->registration.tasks[0].has_update_uuid);
    assert_int_equal(c->registration.tasks[0].update_uuid[3], 1);
    say_registered(w);
    assert_update(w, "t1", RV_TASK_RUNNING, RV_REASON_NONE);
    acknowledge(w, "t1", 1);
    assert_update(w, "t1", RV_TASK_FINISHED, RV_REASON_NONE);
    acknowledge(w, "t1", 2);
    assert_int_equal(rv_map_count(&framework(w)->tasks), 0);
}

static void test_wrong_id_ends_the_agent(void **state) {
    struct world *w = *state;
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_REGISTERED};

    join_master(w);
    act_kind(w, RV_AGENT_MASTER_LOST);
    pass(w, 1000);
    e.registered.agent_id.v = "agent-2";
    master(w, &e);
    assert_int_equal(find(w, RV_AGENT_EXIT)->status, 1);
}

/* --- launching --- */

static void test_command_task(void **state) {
    struct world *w = *state;
    const struct rv_launch *l;

    join_master(w);
    run_command(w, "t1");
    assert_non_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
    l = find(w, RV_AGENT_LAUNCH_CONTAINER)->launch;
    assert_string_equal(l->executor->id.v, "t1");
    assert_int_equal(l->executor->type, RV_EXECUTOR_COMMAND);
    assert_string_equal(l->task->id.v, "t1");
    assert_string_equal(l->user, "root");
    assert_int_equal(rv_resources_quantity(l->resources, "cpus"), 100);
    assert_true(rv_starts_with(l->directory,
                               "/var/lib/reeve/slaves/agent-1/frameworks/f1/executors/t1/runs/"));
    assert_true(rv_ends_with(l->directory, w->container));
    container_runs(w);
    assert_int_equal(subscribe(w, "t1"), 200);
    assert_string_equal(event(w, RV_EXECUTOR_EVENT_SUBSCRIBED)->subscribed.agent->id.v, "agent-1");
    assert_int_equal(event(w, RV_EXECUTOR_EVENT_LAUNCH)->launch.n, 1);
    assert_int_equal(update(w, "t1", "t1", RV_TASK_RUNNING, 1), 202);
    assert_string_equal(update_of(w, "t1")->container_id.v, w->container);
    assert_string_equal(update_of(w, "t1")->executor_id.v, "t1");
    assert_int_equal(update_of(w, "t1")->source, RV_SOURCE_EXECUTOR);
    acknowledge(w, "t1", 1);
    assert_int_equal(update(w, "t1", "t1", RV_TASK_FINISHED, 2), 202);
    acknowledge(w, "t1", 2);
    container_ends(w, 0);
    assert_null(call(w, RV_AGENT_CALL_EXECUTOR_EXITED));
    assert_null(framework(w));
    assert_int_equal(w->agent->completed.n, 1);
    assert_int_equal(w->agent->counters.tasks_finished, 1);
    assert_int_equal(w->journal.v[w->journal.n - 1].kind, RV_CHECKPOINT_EXECUTOR_DONE);
    assert_int_equal(subscribe(w, "t1"), 403);
    run_command(w, "t1"); /* the framework is back */
    assert_int_equal(w->agent->completed.n, 0);
    assert_int_equal(framework(w)->completed.n, 1);
}

static void test_inv_35_writes_before_it_acts(void **state) {
    struct world *w = *state;
    const struct rv_checkpoint *written[3] = {NULL};
    size_t n = 0;

    join_master(w);
    w->manual_disk = true;
    run_custom(w, "t1");
    assert_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
    for (size_t i = 0; i < w->out.n; i++) {
        if (w->out.v[i].kind == RV_AGENT_CHECKPOINT && n < RV_COUNT(written)) {
            written[n++] = w->out.v[i].checkpoint;
        }
    }
    assert_int_equal(n, 3);
    assert_int_equal(written[0]->kind, RV_CHECKPOINT_FRAMEWORK);
    assert_int_equal(written[1]->kind, RV_CHECKPOINT_EXECUTOR);
    assert_int_equal(written[2]->kind, RV_CHECKPOINT_TASK);
    for (size_t i = 0; i < n; i++) {
        assert_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
        finish_write(w, written[i], true);
    }
    assert_non_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
    settle(w);
    subscribe(w, "e1");

    /* A second task is not given away, an update not sent nor acknowledged, before it is kept. */
    run_custom(w, "t2");
    assert_null(event(w, RV_EXECUTOR_EVENT_LAUNCH));
    finish_write(w, find(w, RV_AGENT_CHECKPOINT)->checkpoint, true);
    assert_non_null(event(w, RV_EXECUTOR_EVENT_LAUNCH));
    update(w, "e1", "t1", RV_TASK_RUNNING, 1);
    assert_null(update_of(w, "t1"));
    assert_null(event(w, RV_EXECUTOR_EVENT_ACKNOWLEDGED));
    finish_write(w, find(w, RV_AGENT_CHECKPOINT)->checkpoint, true);
    assert_non_null(update_of(w, "t1"));
    assert_int_equal(event(w, RV_EXECUTOR_EVENT_ACKNOWLEDGED)->acknowledged.uuid[0], 1);
}

static void test_inv_23_a_full_disk_refuses_launches_alone(void **state) {
    struct world *w = *state;

    run_one(w);
    acknowledge(w, "t1", 1);
    w->full_disk = true;
    run_custom(w, "t2");
    assert_update(w, "t2", RV_TASK_DROPPED, RV_REASON_CONTAINER_LAUNCH_FAILED);
    assert_non_null(strstr(update_of(w, "t2")->message, "No space left"));
    acknowledge_own(w, "t2");
    run_command(w, "t3");
    assert_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
    assert_update(w, "t3", RV_TASK_DROPPED, RV_REASON_CONTAINER_LAUNCH_FAILED);
    acknowledge_own(w, "t3");
    assert_null(rv_map_gets(&framework(w)->executors, "t3"));

    /* The update of a running task waits, and is not lost. */
    assert_int_equal(update(w, "e1", "t1", RV_TASK_FINISHED, 2), 202);
    assert_null(update_of(w, "t1"));
    pass(w, 10000);
    assert_null(update_of(w, "t1"));
    assert_null(find(w, RV_AGENT_DESTROY_CONTAINER));
    w->full_disk = false;
    pass(w, 10000);
    assert_update(w, "t1", RV_TASK_FINISHED, RV_REASON_NONE);
    assert_non_null(event(w, RV_EXECUTOR_EVENT_ACKNOWLEDGED));
    run_custom(w, "t4");
    assert_non_null(event(w, RV_EXECUTOR_EVENT_LAUNCH));
}

/* What a crash can undo is told to no master: not in an update, not in a registration. */
static void test_inv_35_what_is_not_durable_is_not_told(void **state) {
    struct world *w = *state;
    const struct rv_agent_call *c;

    run_one(w);
    w->full_disk = true;
    update(w, "e1", "t1", RV_TASK_FINISHED, 2);
    pass(w, 10000);
    assert_update(w, "t1", RV_TASK_RUNNING, RV_REASON_NONE);
    assert_int_equal(call(w, RV_AGENT_CALL_STATUS_UPDATE)->update.latest_state, RV_TASK_RUNNING);
    acknowledge(w, "t1", 1);
    act_kind(w, RV_AGENT_MASTER_LOST);
    pass(w, 2000);
    c = call(w, RV_AGENT_CALL_REREGISTER);
    assert_int_equal(c->registration.n_tasks, 1);
    assert_int_equal(c->registration.tasks[0].state, RV_TASK_RUNNING);
    assert_int_equal(c->registration.tasks[0].status->state, RV_TASK_RUNNING);
    assert_true(c->registration.tasks[0].has_update_uuid); /* its end could not be written either */
    say_registered(w);
    assert_update(w, "t1", RV_TASK_RUNNING, RV_REASON_NONE);
    w->full_disk = false;
    acknowledge(w, "t1", 1);
    assert_update(w, "t1", RV_TASK_FINISHED, RV_REASON_NONE);
    assert_int_equal(call(w, RV_AGENT_CALL_STATUS_UPDATE)->update.latest_state, RV_TASK_FINISHED);
}

static void test_a_group_goes_as_a_whole(void **state) {
    static const char *const ids[] = {"g1", "g2"};
    struct world *w = *state;

    join_master(w);
    run(w, &pod, true, ids, 2);
    assert_int_equal(
        rv_resources_quantity(find(w, RV_AGENT_LAUNCH_CONTAINER)->launch->resources, "cpus"), 200);
    subscribe(w, "pod");
    assert_int_equal(event(w, RV_EXECUTOR_EVENT_LAUNCH_GROUP)->launch.n, 2);
    update(w, "pod", "g1", RV_TASK_FINISHED, 1);
    assert_int_equal(
        rv_resources_quantity(find(w, RV_AGENT_UPDATE_CONTAINER)->launch->resources, "cpus"), 100);
}

/* What the container of an executor may use is the sum over its tasks: of limits, and of
 * requests where a task has none. */
static void test_limits_of_tasks_are_those_of_their_container(void **state) {
    static const char *const one[] = {"t1"}, *const two[] = {"p1", "p2"};
    const struct rv_limits given[] = {{300, 500}, {0, RV_LIMIT_INFINITE}};
    struct world *w = *state;
    const struct rv_launch *l;

    join_master(w);
    run_limited(w, NULL, false, one, 1, given);
    l = find(w, RV_AGENT_LAUNCH_CONTAINER)->launch;
    assert_int_equal(l->limits.cpus, 300);
    assert_int_equal(l->limits.mem, 500);
    assert_int_equal(l->task->limits.cpus, 300);
    run_custom(w, "c");
    l = find(w, RV_AGENT_LAUNCH_CONTAINER)->launch;
    assert_false(rv_limits_given(l->limits));

    /* The second task may use every cpu that is free, so the whole may. */
    run_limited(w, &pod, true, two, 2, given);
    l = find(w, RV_AGENT_LAUNCH_CONTAINER)->launch;
    assert_int_equal(l->limits.cpus, 0);
    assert_true(l->limits.mem == RV_LIMIT_INFINITE);
    subscribe(w, "pod");
    update(w, "pod", "p2", RV_TASK_FINISHED, 1);
    l = find(w, RV_AGENT_UPDATE_CONTAINER)->launch;
    assert_int_equal(l->limits.cpus, 300);
    assert_int_equal(l->limits.mem, 500);
}

/* Where a request is a quota, it counts as the limit of a task that has none. */
static void test_limits_add_up_to_a_quota(void **state) {
    const struct rv_limits given[] = {{300, 0}, {0, 0}};
    struct world *w = *state;

    join_master(w);
    w->agent->config.cpu_quota = true;
    run_limited(w, &pod, true, (const char *const[]){"p1", "p2"}, 2, given);
    assert_int_equal(find(w, RV_AGENT_LAUNCH_CONTAINER)->launch->limits.cpus, 400);
    assert_int_equal(find(w, RV_AGENT_LAUNCH_CONTAINER)->launch->limits.mem, 0);
}

static void test_wrong_launches(void **state) {
    struct world *w = *state;

    run_one(w);
    acknowledge(w, "t1", 1);
    run_custom(w, "t1");
    assert_null(event(w, RV_EXECUTOR_EVENT_LAUNCH));
    run_command(w, "e1");
    assert_update(w, "e1", RV_TASK_ERROR, RV_REASON_TASK_INVALID);
    run_command(w, "../up");
    assert_update(w, "../up", RV_TASK_ERROR, RV_REASON_TASK_INVALID);
    pass(w, 10000);
    assert_non_null(update_of(w, "../up")); /* sent again until acknowledged */
    acknowledge_own(w, "../up");
    pass(w, 100000);
    assert_null(update_of(w, "../up"));
}

static void test_launch_failure(void **state) {
    struct world *w = *state;

    join_master(w);
    run_command(w, "t1");
    container_is(w, RV_AGENT_CONTAINER_LAUNCHED, false, 0);
    assert_update(w, "t1", RV_TASK_FAILED, RV_REASON_CONTAINER_LAUNCH_FAILED);
    acknowledge_own(w, "t1");
    assert_null(framework(w));
}

static void test_executor_that_never_registers(void **state) {
    struct world *w = *state;

    join_master(w);
    run_custom(w, "t1");
    container_runs(w);
    pass(w, 59000);
    assert_null(find(w, RV_AGENT_DESTROY_CONTAINER));
    pass(w, 1000);
    assert_string_equal(find(w, RV_AGENT_DESTROY_CONTAINER)->container.v, w->container);
    container_ends(w, 9);
    assert_update(w, "t1", RV_TASK_FAILED, RV_REASON_EXECUTOR_REGISTRATION_TIMEOUT);
    assert_int_equal(call(w, RV_AGENT_CALL_EXECUTOR_EXITED)->exited.status, 9);
}

/* --- killing --- */

static void test_inv_41_killed_before_delivery(void **state) {
    static const char *const ids[] = {"g1", "g2"};
    struct world *w = *state;

    join_master(w);
    run(w, &pod, true, ids, 2);
    container_runs(w);
    kill_task(w, "g1");
    assert_update(w, "g1", RV_TASK_KILLED, RV_REASON_TASK_KILLED_DURING_LAUNCH);
    assert_update(w, "g2", RV_TASK_KILLED, RV_REASON_TASK_KILLED_DURING_LAUNCH);
    assert_non_null(find(w, RV_AGENT_DESTROY_CONTAINER)); /* nothing left to do for it */
    container_ends(w, 9);
    assert_int_equal(count_calls(w, RV_AGENT_CALL_STATUS_UPDATE), 0);

    /* Before there is a container at all. */
    w->manual_disk = true;
    run_command(w, "t1");
    kill_task(w, "t1");
    assert_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
    assert_int_equal(
        ((struct rv_agent_executor *)rv_map_gets(&framework(w)->executors, "t1"))->state,
        RV_EXECUTOR_TERMINATED);
}

static void test_inv_41_lost_on_the_way_to_the_executor(void **state) {
    struct world *w = *state;
    struct rv_task_id known = {"t2"};
    struct rv_executor_call c = {.type = RV_EXECUTOR_CALL_SUBSCRIBE};

    run_one(w);
    acknowledge(w, "t1", 1);
    run_custom(w, "t2");
    run_custom(w, "t3");
    act(w, (struct rv_agent_input){.kind = RV_AGENT_STREAM_CLOSED, .stream = 1});
    c.subscribe.unacknowledged_tasks = &known;
    c.subscribe.n_tasks = 1;
    assert_int_equal(executor_says(w, &c, "e1"), 200);
    assert_null(update_of(w, "t1"));
    assert_null(update_of(w, "t2"));
    assert_update(w, "t3", RV_TASK_DROPPED, RV_REASON_AGENT_RESTARTED);
}

static void test_kill(void **state) {
    struct world *w = *state;

    run_one(w);
    kill_task(w, "t1");
    assert_int_equal(event(w, RV_EXECUTOR_EVENT_KILL)->kill.grace_ms, 3000);
    act(w, (struct rv_agent_input){.kind = RV_AGENT_STREAM_CLOSED, .stream = 1});
    kill_task(w, "t1");
    assert_null(event(w, RV_EXECUTOR_EVENT_KILL));
    subscribe(w, "e1");
    assert_string_equal(event(w, RV_EXECUTOR_EVENT_KILL)->kill.task_id.v, "t1");
    kill_task(w, "nobody");
    assert_int_equal(count(w, RV_AGENT_SEND_MASTER), 0);
}

/* --- updates --- */

static void test_inv_36_one_update_at_a_time(void **state) {
    struct world *w = *state;

    run_one(w);
    assert_update(w, "t1", RV_TASK_RUNNING, RV_REASON_NONE);
    update(w, "e1", "t1", RV_TASK_FINISHED, 2);
    assert_null(update_of(w, "t1"));
    acknowledge(w, "t1", 9); /* not that one */
    assert_null(update_of(w, "t1"));
    acknowledge(w, "t1", 2); /* not yet */
    assert_null(update_of(w, "t1"));
    acknowledge(w, "t1", 1);
    assert_update(w, "t1", RV_TASK_FINISHED, RV_REASON_NONE);
    acknowledge(w, "t1", 1);
    assert_int_equal(rv_map_count(&framework(w)->tasks), 1);
    acknowledge(w, "t1", 2);
    assert_int_equal(rv_map_count(&framework(w)->tasks), 0);
    assert_int_equal(rv_map_count(&framework(w)->executors), 1); /* it may have more to do */
}

/* Nor before that is durable: after a crash the first one would come again, behind the second. */
static void test_inv_36_what_is_acknowledged_is_written_first(void **state) {
    struct world *w = *state;

    run_one(w);
    update(w, "e1", "t1", RV_TASK_FINISHED, 2);
    w->manual_disk = true;
    acknowledge(w, "t1", 1);
    const struct rv_checkpoint *c = find(w, RV_AGENT_CHECKPOINT)->checkpoint;
    assert_int_equal(c->kind, RV_CHECKPOINT_ACKNOWLEDGED);
    assert_null(update_of(w, "t1"));
    acknowledge(w, "t1", 1); /* of the same one nothing is written twice */
    assert_null(find(w, RV_AGENT_CHECKPOINT));
    pass(w, 20000);
    assert_null(update_of(w, "t1"));
    finish_write(w, c, false);
    assert_null(update_of(w, "t1"));
    pass(w, 20000); /* the framework is asked to acknowledge it again */
    assert_update(w, "t1", RV_TASK_RUNNING, RV_REASON_NONE);
    acknowledge(w, "t1", 1);
    finish_write(w, find(w, RV_AGENT_CHECKPOINT)->checkpoint, true);
    assert_update(w, "t1", RV_TASK_FINISHED, RV_REASON_NONE);
}

/* Else the master would wait for an acknowledgement that the agent has had. */
static void test_inv_36_what_is_acknowledged_does_not_wait_at_registration(void **state) {
    struct world *w = *state;
    const struct rv_agent_call *c;

    run_one(w);
    acknowledge(w, "t1", 1);
    update(w, "e1", "t1", RV_TASK_FINISHED, 2);
    w->manual_disk = true;
    acknowledge(w, "t1", 2);
    act_kind(w, RV_AGENT_MASTER_LOST);
    pass(w, 1000);
    c = call(w, RV_AGENT_CALL_REREGISTER);
    assert_int_equal(c->registration.n_tasks, 1);
    assert_int_equal(c->registration.tasks[0].state, RV_TASK_FINISHED);
    assert_false(c->registration.tasks[0].has_update_uuid);
}

static void test_inv_35_sent_again_until_acknowledged(void **state) {
    struct world *w = *state;
    struct rv_agent_event ping = {.type = RV_AGENT_EVENT_PING};
    int64_t wait_ms = 10000;

    run_one(w);
    for (int i = 0; i < 10; i++) {
        for (int64_t waited_ms = 0; waited_ms + 50000 < wait_ms; waited_ms += 50000) {
            pass(w, 50000);
            assert_null(update_of(w, "t1"));
            master(w, &ping);
        }
        pass(w, (wait_ms - 1) % 50000);
        assert_null(update_of(w, "t1"));
        master(w, &ping);
        pass(w, 1);
        assert_update(w, "t1", RV_TASK_RUNNING, RV_REASON_NONE);
        wait_ms = RV_MIN(wait_ms * 2, 600000);
    }
    acknowledge(w, "t1", 1);
    pass(w, 60000);
    assert_null(update_of(w, "t1"));
    assert_int_equal(w->agent->counters.updates_resent, 10);
}

static void test_inv_35_sent_at_once_to_a_framework_that_is_back(void **state) {
    struct world *w = *state;
    struct rv_agent_event again = {.type = RV_AGENT_EVENT_UPDATE_FRAMEWORK};

    run_one(w);
    pass(w, 5000);
    assert_null(update_of(w, "t1"));
    again.framework = &w->framework;
    master(w, &again);
    assert_update(w, "t1", RV_TASK_RUNNING, RV_REASON_NONE);
    acknowledge(w, "t1", 1);
    master(w, &again);
    assert_null(update_of(w, "t1"));
}

static void test_inv_37_terminal_is_sticky(void **state) {
    struct world *w = *state;

    run_one(w);
    acknowledge(w, "t1", 1);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_FAILED, 2), 202);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_RUNNING, 3), 202);
    assert_non_null(event(w, RV_EXECUTOR_EVENT_ACKNOWLEDGED)); /* that it says it no more */
    acknowledge(w, "t1", 2);
    assert_null(update_of(w, "t1"));
    assert_int_equal(update(w, "e1", "t1", RV_TASK_FINISHED, 4), 202);
    assert_null(update_of(w, "t1"));
    assert_non_null(event(w, RV_EXECUTOR_EVENT_ACKNOWLEDGED));
}

static void test_updates_that_are_wrong_or_old(void **state) {
    struct world *w = *state;
    struct rv_task_status s = make_status("t1", RV_TASK_RUNNING, 5);
    struct rv_executor_call c = {.type = RV_EXECUTOR_CALL_UPDATE};

    run_one(w);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_RUNNING, 1), 202); /* said before */
    assert_non_null(event(w, RV_EXECUTOR_EVENT_ACKNOWLEDGED));
    assert_int_equal(update(w, "e1", "t1", RV_TASK_STAGING, 2), 400);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_UNREACHABLE, 2), 400);
    assert_int_equal(update(w, "e1", "t9", RV_TASK_RUNNING, 2), 400);
    assert_int_equal(update(w, "e9", "t1", RV_TASK_RUNNING, 2), 400);
    c.update = &s;
    s.has_source = true;
    s.source = RV_SOURCE_MASTER;
    assert_int_equal(executor_says(w, &c, "e1"), 400);
    s.has_source = false;
    s.executor_id.v = "e2";
    assert_int_equal(executor_says(w, &c, "e1"), 400);
    s.executor_id.v = NULL;
    s.has_uuid = false; /* the agent fills in what is missing */
    acknowledge(w, "t1", 1);
    assert_int_equal(executor_says(w, &c, "e1"), 202);
    assert_true(update_of(w, "t1")->has_uuid);
    assert_true(update_of(w, "t1")->timestamp_ns > 0);
    assert_string_equal(update_of(w, "t1")->agent_id.v, "agent-1");
    acknowledge_own(w, "t1");
    assert_int_equal(update(w, "e1", "t1", RV_TASK_KILLING, 6), 202); /* INV-40 */
    assert_null(update_of(w, "t1"));
}

static void test_updates_are_bounded(void **state) {
    struct world *w = *state;
    int refused = 0;

    run_one(w);
    for (int i = 0; i < 1100; i++) {
        struct rv_task_status s = make_status("t1", RV_TASK_RUNNING, 0);
        struct rv_executor_call c = {.type = RV_EXECUTOR_CALL_UPDATE};
        s.has_uuid = false;
        c.update = &s;
        refused += executor_says(w, &c, "e1") == 503;
    }
    assert_int_equal(refused, 101);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_FINISHED, 3), 202);
}

static void test_reconciliation_of_unknown_tasks(void **state) {
    struct world *w = *state;
    struct rv_task_id ids[] = {{"t1"}, {"lost"}};
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_RECONCILE_TASKS};

    run_one(w);
    e.reconcile.framework_id.v = "f1";
    e.reconcile.task_ids = ids;
    e.reconcile.n = 2;
    master(w, &e);
    assert_null(update_of(w, "t1"));
    assert_update(w, "lost", RV_TASK_DROPPED, RV_REASON_RECONCILIATION);
    acknowledge_own(w, "lost");
    e.reconcile.framework_id.v = "f2";
    master(w, &e);
    assert_update(w, "lost", RV_TASK_LOST, RV_REASON_RECONCILIATION);
}

/* --- executors --- */

static void test_executor_exits(void **state) {
    struct world *w = *state;

    run_one(w);
    acknowledge(w, "t1", 1);
    container_ends(w, 7 << 8);
    assert_update(w, "t1", RV_TASK_FAILED, RV_REASON_EXECUTOR_TERMINATED);
    assert_int_equal(update_of(w, "t1")->source, RV_SOURCE_AGENT);
    assert_non_null(strstr(update_of(w, "t1")->message, "status 7"));
    assert_int_equal(call(w, RV_AGENT_CALL_EXECUTOR_EXITED)->exited.status, 7 << 8);
    assert_non_null(find(w, RV_AGENT_CLOSE_STREAM));
    assert_int_equal(subscribe(w, "e1"), 403);

    /* While its last update waits, it takes no tasks. */
    run_custom(w, "t2");
    assert_update(w, "t2", RV_TASK_DROPPED, RV_REASON_EXECUTOR_TERMINATED);
    acknowledge_own(w, "t2");
    assert_non_null(framework(w));
    w->now_ms += 10000;
    act_kind(w, RV_AGENT_TICK);
    acknowledge_own(w, "t1");
    assert_null(framework(w));
}

static void test_sandboxes_are_collected(void **state) {
    struct world *w = *state;
    struct rv_agent_event ping = {.type = RV_AGENT_EVENT_PING};
    char first[64];

    run_one(w);
    snprintf(first, sizeof first, "%s", w->container);
    container_ends(w, 0);
    acknowledge(w, "t1", 1);
    acknowledge_own(w, "t1");
    run_custom(w, "t2"); /* the same executor anew */
    assert_string_not_equal(first, w->container);
    container_runs(w);
    subscribe(w, "e1");
    act_kind(w, RV_AGENT_MASTER_NONE);
    master(w, &ping);
    pass(w, 604800000 - 1);
    assert_null(find(w, RV_AGENT_REMOVE_DIRECTORY));
    pass(w, 1);
    assert_true(rv_ends_with(find(w, RV_AGENT_REMOVE_DIRECTORY)->path, first));
    container_ends(w, 0);
    pass(w, 604800000);
    assert_true(rv_ends_with(find(w, RV_AGENT_REMOVE_DIRECTORY)->path, "/frameworks/f1"));
}

static void see_disk(struct world *w, int64_t used_ppm) {
    act(w, (struct rv_agent_input){.kind = RV_AGENT_DISK_SEEN, .used_ppm = used_ppm});
}

/* gc_delay * (1 - headroom - usage), by the last look at the disk. */
static void test_sandboxes_go_earlier_from_a_full_disk(void **state) {
    struct world *w = *state;
    struct rv_agent_event ping = {.type = RV_AGENT_EVENT_PING};
    const int64_t week = 604800000;

    w->config.gc_disk_headroom_ppm = 100000;
    restart(w, NULL, 0);
    assert_int_equal(w->agent->gc_max_age_ms, week / 10 * 9);
    run_one(w);
    act_kind(w, RV_AGENT_MASTER_NONE);
    master(w, &ping);
    see_disk(w, 1000000); /* no container's that runs */
    assert_null(find(w, RV_AGENT_REMOVE_DIRECTORY));
    container_ends(w, 0);
    see_disk(w, 500000);
    assert_int_equal(w->agent->gc_max_age_ms, week / 10 * 4);
    pass(w, week / 10 * 4 - 1);
    see_disk(w, 500000);
    assert_null(find(w, RV_AGENT_REMOVE_DIRECTORY));
    pass(w, 1);
    assert_null(find(w, RV_AGENT_REMOVE_DIRECTORY)); /* at a look only */
    see_disk(w, 500000);
    assert_true(rv_ends_with(find(w, RV_AGENT_REMOVE_DIRECTORY)->path, "/frameworks/f1"));
    assert_int_equal(w->sandboxes.n, 0);
    see_disk(w, 950000);
    assert_int_equal(w->agent->gc_max_age_ms, 0);
}

/* A sandbox is as old after a restart as it was before, and what nobody remembers is found. */
static void test_sandboxes_keep_their_age(void **state) {
    struct world *w = *state;

    run_one(w);
    make_sandbox(w, "/var/lib/reeve/slaves/other/frameworks/f9/executors/e9/runs/c9");
    pass(w, 1000);
    restart(w, (const char *const[]){w->container}, 1);
    assert_int_equal(rv_map_count(&w->agent->garbage), 1); /* the other agent's */
    pass(w, 604800000 - 1001);
    assert_int_equal(w->sandboxes.n, 2);
    pass(w, 1);
    assert_true(rv_ends_with(find(w, RV_AGENT_REMOVE_DIRECTORY)->path, "/other/frameworks/f9"));
    assert_int_equal(w->sandboxes.n, 1);
}

static void test_shutdown_of_an_executor(void **state) {
    struct world *w = *state;
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_SHUTDOWN_EXECUTOR};

    run_one(w);
    acknowledge(w, "t1", 1);
    e.shutdown_executor.framework_id.v = "f1";
    e.shutdown_executor.executor_id.v = "e1";
    master(w, &e);
    assert_non_null(event(w, RV_EXECUTOR_EVENT_SHUTDOWN));
    assert_null(find(w, RV_AGENT_DESTROY_CONTAINER));
    run_custom(w, "t2");
    assert_update(w, "t2", RV_TASK_DROPPED, RV_REASON_EXECUTOR_TERMINATED);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_KILLED, 2), 202);
    assert_update(w, "t1", RV_TASK_KILLED, RV_REASON_NONE);
    assert_int_equal(subscribe(w, "e1"), 200);
    assert_non_null(event(w, RV_EXECUTOR_EVENT_SHUTDOWN));
    pass(w, 5000);
    assert_non_null(find(w, RV_AGENT_DESTROY_CONTAINER));
}

static void test_shutdown_of_a_framework(void **state) {
    struct world *w = *state;
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK};

    run_one(w);
    e.shutdown_framework.v = "f1";
    master(w, &e);
    assert_non_null(event(w, RV_EXECUTOR_EVENT_SHUTDOWN));
    assert_int_equal(update(w, "e1", "t1", RV_TASK_KILLED, 2), 202);
    assert_null(update_of(w, "t1"));
    container_ends(w, 0);
    assert_null(update_of(w, "t1"));
    assert_null(framework(w));
}

static void test_executor_calls(void **state) {
    struct world *w = *state;
    struct rv_executor_call c = {.type = RV_EXECUTOR_CALL_MESSAGE};
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_FRAMEWORK_MESSAGE};

    assert_int_equal(subscribe(w, "e1"), 400);
    join_master(w);
    run_custom(w, "t1");
    assert_int_equal(subscribe(w, "e2"), 400);
    c.message = RV_STR("hello");
    assert_int_equal(executor_says(w, &c, "e1"), 403); /* not subscribed */
    subscribe(w, "e1");
    c.message = RV_STR("hello");
    assert_int_equal(executor_says(w, &c, "e1"), 202);
    assert_true(rv_str_eq(call(w, RV_AGENT_CALL_FRAMEWORK_MESSAGE)->message.data, c.message));
    e.message.framework_id.v = "f1";
    e.message.executor_id.v = "e1";
    e.message.data = RV_STR("\0x");
    master(w, &e);
    assert_int_equal(event(w, RV_EXECUTOR_EVENT_MESSAGE)->message.n, 2);
    c.type = RV_EXECUTOR_CALL_HEARTBEAT;
    assert_int_equal(executor_says(w, &c, "e1"), 202);
    pass(w, 15000); /* INV-46 */
    assert_non_null(event(w, RV_EXECUTOR_EVENT_HEARTBEAT));
    assert_int_equal(subscribe(w, "e1"), 200); /* a newer stream closes the older */
    assert_non_null(find(w, RV_AGENT_CLOSE_STREAM));
    assert_non_null(event(w, RV_EXECUTOR_EVENT_SUBSCRIBED));
}

/* --- the end --- */

static void test_stop(void **state) {
    struct world *w = *state;

    w->framework.checkpoint = false;
    run_one(w);
    acknowledge(w, "t1", 1);
    act_kind(w, RV_AGENT_STOP);
    assert_non_null(find(w, RV_AGENT_DESTROY_CONTAINER));
    assert_null(find(w, RV_AGENT_EXIT));
    container_ends(w, 9);
    assert_update(w, "t1", RV_TASK_FAILED, RV_REASON_EXECUTOR_TERMINATED);
    assert_non_null(call(w, RV_AGENT_CALL_UNREGISTER));
    assert_null(find(w, RV_AGENT_EXIT));
    pass(w, 3000);
    assert_int_equal(find(w, RV_AGENT_EXIT)->status, 0);
}

static void test_stop_leaves_checkpointed_tasks(void **state) {
    struct world *w = *state;

    run_one(w);
    act_kind(w, RV_AGENT_STOP);
    assert_null(find(w, RV_AGENT_DESTROY_CONTAINER));
    assert_null(call(w, RV_AGENT_CALL_UNREGISTER));
    assert_non_null(find(w, RV_AGENT_EXIT));
}

static void test_inv_15_told_to_shut_down(void **state) {
    struct world *w = *state;
    struct rv_agent_event e = {.type = RV_AGENT_EVENT_SHUTDOWN, .why = "marked gone"};

    run_one(w);
    master(w, &e);
    assert_non_null(event(w, RV_EXECUTOR_EVENT_SHUTDOWN));
    pass(w, 5000);
    assert_non_null(find(w, RV_AGENT_DESTROY_CONTAINER));
    assert_null(find(w, RV_AGENT_EXIT));
    pass(w, 5000);
    assert_int_equal(find(w, RV_AGENT_EXIT)->status, 1);
    assert_string_equal(find(w, RV_AGENT_EXIT)->message, "marked gone");
}

/* --- bounds, and what is rare --- */

static void test_collections_are_bounded(void **state) {
    struct world *w = *state;
    char id[16];

    w->config.max_completed_executors = 3;
    w->config.max_completed_tasks = 2;
    w->config.max_completed_frameworks = 1;
    restart(w, NULL, 0);
    join_master(w);
    run_custom(w, "keeps");
    subscribe(w, "e1");
    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof id, "t%d", i);
        run_custom(w, id);
        update(w, "e1", id, RV_TASK_FINISHED, (uint8_t)i);
        acknowledge(w, id, (uint8_t)i);
        snprintf(id, sizeof id, "c%d", i);
        run_command(w, id);
        container_is(w, RV_AGENT_CONTAINER_LAUNCHED, false, 0);
        acknowledge_own(w, id);
    }
    assert_int_equal(framework(w)->completed.n, 3);
    assert_int_equal(
        ((struct rv_agent_executor *)rv_map_gets(&framework(w)->executors, "e1"))->completed.n, 2);
    for (int i = 0; i < 3; i++) {
        free((char *)(uintptr_t)w->framework.id.v);
        w->framework.id.v = rv_asprintf("g%d", i);
        w->manual_disk = true; /* killed before it starts: nobody is told, once it is shut down */
        run_command(w, "t");
        w->manual_disk = false;
        struct rv_agent_event e = {.type = RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK};
        e.shutdown_framework = w->framework.id;
        master(w, &e);
    }
    assert_int_equal(w->agent->completed.n, 1);
    assert_string_equal(w->agent->completed.v[0]->id.v, "g2");
}

static void test_inv_23_the_id_cannot_be_written(void **state) {
    struct world *w = *state;
    struct rv_agent_event ping = {.type = RV_AGENT_EVENT_PING};

    w->full_disk = true;
    join_master(w);
    run_command(w, "t1");
    assert_update(w, "t1", RV_TASK_DROPPED, RV_REASON_CONTAINER_LAUNCH_FAILED);
    acknowledge_own(w, "t1");
    w->framework.checkpoint = false; /* who does not checkpoint needs no disk for that */
    run_command(w, "t2");
    assert_non_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
    w->full_disk = false;
    master(w, &ping);
    assert_int_equal(w->journal.v[0].kind, RV_CHECKPOINT_AGENT);
}

static void test_inv_17_nothing_runs_before_the_id_is_written(void **state) {
    struct world *w = *state;
    const struct rv_checkpoint *id;

    w->manual_disk = true;
    join_master(w);
    id = find(w, RV_AGENT_CHECKPOINT)->checkpoint;
    assert_int_equal(id->kind, RV_CHECKPOINT_AGENT);
    w->framework.checkpoint = false;
    run_command(w, "t1");
    assert_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
    finish_write(w, id, true);
    assert_non_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
}

static void test_limitation_of_a_container(void **state) {
    static const uint8_t said[] = {1, 2, 3};
    struct world *w = *state;
    struct rv_agent_input in = {.kind = RV_AGENT_CONTAINER_EXITED};
    const struct rv_blob *rest;

    run_one(w);
    acknowledge(w, "t1", 1);
    in.container.id.v = w->container;
    in.container.has_status = true;
    in.container.status = 9;
    in.container.reason = RV_REASON_CONTAINER_LIMITATION_MEMORY;
    in.container.message = "too much memory";
    in.container.limitation = rv_blob_new(said, sizeof said);
    act(w, in);
    rv_blob_unref(in.container.limitation);
    assert_update(w, "t1", RV_TASK_FAILED, RV_REASON_CONTAINER_LIMITATION_MEMORY);
    assert_string_equal(update_of(w, "t1")->message, "too much memory");
    rest = update_of(w, "t1")->rest;
    assert_int_equal(rest->n, 6);
    assert_memory_equal(rest->data, "\x82\x01\x03\x01\x02\x03", 6);
}

static void test_stop_of_an_idle_agent(void **state) {
    struct world *w = *state;

    join_master(w);
    act_kind(w, RV_AGENT_STOP);
    assert_non_null(call(w, RV_AGENT_CALL_UNREGISTER));
    assert_null(find(w, RV_AGENT_EXIT));
    act_kind(w, RV_AGENT_MASTER_LOST);
    assert_int_equal(find(w, RV_AGENT_EXIT)->status, 0);
    assert_int_equal(rv_agent_deadline(w->agent), INT64_MAX);
}

static void test_task_id_used_again_too_soon(void **state) {
    struct world *w = *state;

    join_master(w);
    run_command(w, "t1");
    subscribe(w, "t1");
    update(w, "t1", "t1", RV_TASK_FINISHED, 1);
    acknowledge(w, "t1", 1);
    run_command(w, "t1");
    assert_update(w, "t1", RV_TASK_DROPPED, RV_REASON_EXECUTOR_TERMINATED);
    acknowledge_own(w, "t1");
    container_ends(w, 0);
    run_command(w, "t1");
    assert_non_null(find(w, RV_AGENT_LAUNCH_CONTAINER));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(registers),
        TEST(inv_21_registration_backs_off),
        TEST(inv_21_a_try_that_waits),
        TEST(inv_21_refused_calls_back_off),
        TEST(inv_3_without_a_leader_nothing_counts),
        TEST(inv_6_tasks_go_on_without_a_master),
        TEST(wrong_id_ends_the_agent),
        TEST(command_task),
        TEST(inv_35_writes_before_it_acts),
        TEST(inv_23_a_full_disk_refuses_launches_alone),
        TEST(limits_of_tasks_are_those_of_their_container),
        TEST(limits_add_up_to_a_quota),
        TEST(inv_35_what_is_not_durable_is_not_told),
        TEST(a_group_goes_as_a_whole),
        TEST(wrong_launches),
        TEST(launch_failure),
        TEST(executor_that_never_registers),
        TEST(inv_41_killed_before_delivery),
        TEST(inv_41_lost_on_the_way_to_the_executor),
        TEST(kill),
        TEST(inv_36_one_update_at_a_time),
        TEST(inv_36_what_is_acknowledged_is_written_first),
        TEST(inv_36_what_is_acknowledged_does_not_wait_at_registration),
        TEST(inv_35_sent_again_until_acknowledged),
        TEST(inv_35_sent_at_once_to_a_framework_that_is_back),
        TEST(inv_37_terminal_is_sticky),
        TEST(updates_that_are_wrong_or_old),
        TEST(updates_are_bounded),
        TEST(reconciliation_of_unknown_tasks),
        TEST(executor_exits),
        TEST(sandboxes_are_collected),
        TEST(sandboxes_go_earlier_from_a_full_disk),
        TEST(sandboxes_keep_their_age),
        TEST(shutdown_of_an_executor),
        TEST(shutdown_of_a_framework),
        TEST(executor_calls),
        TEST(stop),
        TEST(stop_leaves_checkpointed_tasks),
        TEST(inv_15_told_to_shut_down),
        TEST(collections_are_bounded),
        TEST(inv_23_the_id_cannot_be_written),
        TEST(inv_17_nothing_runs_before_the_id_is_written),
        TEST(limitation_of_a_container),
        TEST(stop_of_an_idle_agent),
        TEST(task_id_used_again_too_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
