/*
 * The agent's core after a crash: at each point, with a damaged journal, and in long random walks
 * with failing disks and restarts, after which a healed world must come to rest.
 */
#include "agent_world.h"

#include "store/checkpoint_compact.h"

/* --- compaction --- */

static bool is_framework(void *ctx, const char *id) {
    const struct world *w = ctx;

    return rv_map_gets(&w->agent->frameworks, id) != NULL;
}

/* Some sandboxes are there yet; the same answer to the same question. */
static bool is_there(void *ctx, const char *path) {
    unsigned sum = 0;

    (void)ctx;
    for (; *path; path++)
        sum += (unsigned char)*path;
    return sum % 3 == 0;
}

static int compare_lines(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void put_operations(const struct rv_agent *a, struct rv_buf *text) {
    struct rv_agent_operation *o;

    rv_buf_puts(text, "total ");
    rv_resources_format(&a->total, text);
    rv_buf_puts(text, "\n");
    for (size_t i = 0; rv_map_next(&a->operations, &i, NULL, (void **)&o);) {
        rv_buf_printf(text, "operation %02x %d %02x%02x\n", o->uuid[0], (int)o->state,
                      o->status_uuid[0], o->status_uuid[15]);
    }
}

/* What an agent would make of the journal: a line a task and an executor that live. */
static char *recovered_text(struct world *w, const struct rv_checkpoint *records, size_t n) {
    struct rv_agent_recovered r = {.records = records, .n = n};
    struct rv_agent_effects out = {0};
    struct rv_agent *a = rv_agent_new(&w->config, &r, w->now_ms, w->now_ms * 1000000, &out);
    struct rv_agent_executor *ex;
    struct rv_agent_task *t;
    RV_VEC(char *) lines = {0};
    struct rv_buf text = {0};

    assert_null(rv_agent_check(a));
    assert_int_equal(a->counters.recovery_errors, 0);
    rv_buf_printf(&text, "agent %s\n", a->info.id.v ? a->info.id.v : "-");
    put_operations(a, &text);
    for (size_t i = 0; rv_map_next(&a->containers, &i, NULL, (void **)&ex);) {
        rv_vec_push(&lines, rv_asprintf("%s %s %s got %d\n", ex->framework->info.name,
                                        ex->info.id.v, ex->container_id.v, ex->got_task));
        for (size_t j = 0; rv_map_next(&ex->tasks, &j, NULL, (void **)&t);) {
            struct rv_buf line = {0};
            rv_buf_printf(&line, "%s %s %d %d:", ex->container_id.v, t->id.v, (int)t->place,
                          (int)t->state);
            for (size_t k = 0; k < t->updates.n; k++) {
                const struct rv_task_status *s = &t->updates.v[k].status;
                if (t->updates.v[k].durable) /* others were made just now */
                    rv_buf_printf(&line, " %d-%02x%02x", (int)s->state, s->uuid[0], s->uuid[15]);
            }
            rv_buf_puts(&line, "\n");
            rv_vec_push(&lines, rv_buf_take(&line, NULL));
        }
    }
    if (lines.n)
        qsort(lines.v, lines.n, sizeof *lines.v, compare_lines);
    for (size_t i = 0; i < lines.n; i++) {
        rv_buf_puts(&text, lines.v[i]);
        free(lines.v[i]);
    }
    rv_vec_free(&lines);
    rv_agent_free(a);
    rv_agent_effects_free(&out);
    return rv_buf_take(&text, NULL);
}

/* The journal is compacted, and means what it meant. */
static void compact(struct world *w) {
    const struct rv_checkpoint_known known = {is_framework, is_there, w};
    struct rv_checkpoint_head *heads = rv_calloc(w->journal.n + 1, sizeof *heads);
    struct rv_checkpoint_order order = {0};
    RV_VEC(struct rv_checkpoint) kept = {0};

    for (size_t i = 0; i < w->journal.n; i++)
        rv_checkpoint_head(&w->journal.v[i], &heads[i]);
    rv_checkpoint_compact(heads, w->journal.n, &known, &order);
    for (size_t i = 0; i < order.kept.n; i++)
        rv_vec_push(&kept, w->journal.v[order.kept.v[i]]);
    char *before = recovered_text(w, w->journal.v, w->journal.n);
    char *after = recovered_text(w, kept.v, kept.n);
    assert_string_equal(before, after);
    free(before);
    free(after);
    free(heads);
    w->journal.n = 0;
    for (size_t i = 0; i < kept.n; i++)
        rv_vec_push(&w->journal, kept.v[i]);
    rv_vec_free(&kept);
    rv_checkpoint_order_free(&order);
}

/* However many tasks went through an executor, little of them stays. */
static void test_compaction(void **state) {
    struct world *w = *state;

    run_one(w);
    compact(w);
    assert_int_equal(w->journal.n, 5); /* agent, framework, executor, task, update */
    for (int i = 2; i < 100; i++) {
        char id[8];
        snprintf(id, sizeof id, "t%d", i);
        run_custom(w, id);
        assert_int_equal(update(w, "e1", id, RV_TASK_FINISHED, (uint8_t)i), 202);
        compact(w);
        assert_int_equal(w->journal.n, 7); /* and of that task: it is not acknowledged */
        acknowledge(w, id, (uint8_t)i);
    }
    acknowledge(w, "t1", 1);
    assert_int_equal(update(w, "e1", "t1", RV_TASK_FINISHED, 200), 202);
    acknowledge(w, "t1", 200);
    compact(w);
    assert_int_equal(w->journal.n, 6); /* the last one's three: it got a task */
    container_ends(w, 0);
    compact(w);
    assert_true(w->journal.n <= 4); /* of what is done no more than that it had a sandbox */
}

/* Of operations what waits stays, and the last, for what the agent has. */
static void test_compaction_of_operations(void **state) {
    struct world *w = *state;

    join_master(w);
    for (uint8_t i = 1; i < 100; i++) {
        enum rv_operation_type type = i % 2 ? RV_OP_RESERVE : RV_OP_UNRESERVE;
        operate(w, type, i % 3 ? NULL : "o", i, 1000, NULL);
        if (i % 3 == 0 && i != 33) {
            acknowledge_end(w, i, call(w, RV_AGENT_CALL_OPERATION_STATUS)->operation.status->uuid);
        }
        compact(w);
        assert_true(w->journal.n <= (i < 33 ? 3 : 4)); /* agent, the last and its end, and 33 */
    }
    assert_int_equal(rv_map_count(&w->agent->operations), 1);
    restart(w, NULL, 0);
    assert_int_equal(rv_map_count(&w->agent->operations), 1);

    w->config.cleanup = true;
    restart(w, NULL, 0);
    compact(w);
    assert_int_equal(w->journal.n, 1); /* that it is another agent, with what there is */
    w->config.cleanup = false;
    restart(w, NULL, 0);
    assert_false(rv_resources_eq(&w->agent->total, &w->info.resources));
    join_master(w);
    compact(w);
    assert_int_equal(w->journal.n, 1); /* the new agent, with the same */
}

/* --- recovery --- */

static void test_inv_18_executors_come_back(void **state) {
    struct world *w = *state;
    const char *alive[] = {w->container, "orphan"};
    struct rv_task_status s = make_status("t1", RV_TASK_FINISHED, 2);
    struct rv_executor_call c = {.type = RV_EXECUTOR_CALL_SUBSCRIBE};

    run_one(w);
    restart(w, alive, 2);
    assert_int_equal(count(w, RV_AGENT_DESTROY_CONTAINER), 1);
    assert_string_equal(find(w, RV_AGENT_DESTROY_CONTAINER)->container.v, "orphan");
    assert_string_equal(w->agent->info.id.v, "agent-1"); /* INV-17 */
    act_kind(w, RV_AGENT_MASTER_FOUND);
    pass(w, 1000);
    assert_null(find(w, RV_AGENT_REGISTER)); /* executors first */
    c.subscribe.unacknowledged_updates = &s;
    c.subscribe.n_updates = 1;
    assert_int_equal(executor_says(w, &c, "e1"), 200);
    assert_non_null(event(w, RV_EXECUTOR_EVENT_ACKNOWLEDGED));
    pass(w, 100);
    assert_non_null(call(w, RV_AGENT_CALL_REREGISTER));
    assert_int_equal(call(w, RV_AGENT_CALL_REREGISTER)->registration.n_tasks, 1);
    say_registered(w);
    assert_update(w, "t1", RV_TASK_RUNNING, RV_REASON_NONE); /* it was not acknowledged */
    acknowledge(w, "t1", 1);
    assert_update(w, "t1", RV_TASK_FINISHED, RV_REASON_NONE);
}

static void test_inv_18_executors_do_not_come_back(void **state) {
    struct world *w = *state;
    const char *alive[] = {w->container};

    run_one(w);
    acknowledge(w, "t1", 1);
    restart(w, alive, 1);
    act_kind(w, RV_AGENT_MASTER_FOUND);
    pass(w, 2000);
    assert_non_null(find(w, RV_AGENT_DESTROY_CONTAINER));
    pass(w, 100);
    assert_non_null(find(w, RV_AGENT_REGISTER));
    say_registered(w);
    container_ends(w, 9);
    assert_update(w, "t1", RV_TASK_FAILED, RV_REASON_EXECUTOR_REREGISTRATION_TIMEOUT);
}

static void test_inv_17_dead_executors_and_reboots(void **state) {
    struct world *w = *state;

    run_one(w);
    acknowledge(w, "t1", 1);
    run_custom(w, "t2"); /* given away, nothing heard */
    restart(w, NULL, 0);
    join_master(w);
    assert_update(w, "t1", RV_TASK_FAILED, RV_REASON_EXECUTOR_TERMINATED);
    assert_update(w, "t2", RV_TASK_DROPPED, RV_REASON_AGENT_RESTARTED); /* INV-41 */

    w->config.boot_id = "boot-2";
    restart(w, NULL, 0); /* the updates were kept */
    assert_string_equal(w->agent->info.id.v, "agent-1");
    join_master(w);
    assert_update(w, "t1", RV_TASK_FAILED, RV_REASON_EXECUTOR_TERMINATED);
    acknowledge_own(w, "t1");
    assert_non_null(framework(w));
    pass(w, 10000);
    acknowledge_own(w, "t2");
    assert_null(framework(w));
    restart(w, NULL, 0);
    assert_int_equal(w->agent->counters.recovery_errors, 0);
    assert_int_equal(rv_map_count(&w->agent->frameworks), 0);
    assert_int_equal(rv_map_count(&w->agent->garbage), 1);
}

static void test_inv_17_reboot(void **state) {
    struct world *w = *state;

    run_one(w);
    acknowledge(w, "t1", 1);
    w->config.boot_id = "boot-2";
    restart(w, NULL, 0);
    join_master(w);
    assert_update(w, "t1", RV_TASK_FAILED, RV_REASON_AGENT_RESTARTED);
}

/* After every prefix of what was written an agent comes up and knows what that says. */
static void test_every_crash_point(void **state) {
    struct world *w = *state;
    size_t n;

    run_one(w);
    acknowledge(w, "t1", 1);
    update(w, "e1", "t1", RV_TASK_FINISHED, 2);
    acknowledge(w, "t1", 2);
    run_custom(w, "t2");
    update(w, "e1", "t2", RV_TASK_RUNNING, 3);
    container_ends(w, 9);
    acknowledge(w, "t2", 3);
    acknowledge_own(w, "t2");
    assert_null(framework(w));
    n = w->journal.n;
    assert_int_equal(w->journal.v[n - 1].kind, RV_CHECKPOINT_EXECUTOR_DONE);
    for (; n > 0; n--) {
        w->journal.n = n;
        restart(w, NULL, 0);
        assert_int_equal(w->agent->counters.recovery_errors, 0);
        assert_string_equal(w->agent->info.id.v, "agent-1");
        join_master(w);
    }
}

/* A launch was refused, for its disk took nothing; that it is over could be written, as the first
 * record of all. INV-23: the agent comes up. */
static void test_only_an_end_was_written(void **state) {
    struct world *w = *state;
    size_t n;

    run_one(w);
    acknowledge(w, "t1", 1);
    container_ends(w, 9);
    acknowledge_own(w, "t1");
    n = w->journal.n;
    assert_int_equal(w->journal.v[n - 1].kind, RV_CHECKPOINT_EXECUTOR_DONE);
    w->journal.v[0] = w->journal.v[n - 1];
    w->journal.n = 1;
    restart(w, NULL, 0);
    assert_null(rv_agent_refused(w->agent));
    assert_int_equal(w->agent->counters.recovery_errors, 0);
    assert_null(w->agent->info.id.v);
    join_master(w);
}

/* Records that are missing cost what they say, and no more. */
static void test_damaged_journal(void **state) {
    struct world *w = *state;
    RV_VEC(struct rv_checkpoint) whole = {0};
    const char *alive[] = {w->container};
    struct rv_prng prng;

    run_one(w);
    acknowledge(w, "t1", 1);
    container_ends(w, 9);
    acknowledge_own(w, "t1");
    run_custom(w, "t2");
    subscribe(w, "e1");
    update(w, "e1", "t2", RV_TASK_RUNNING, 3);
    update(w, "e1", "t2", RV_TASK_FINISHED, 4);
    acknowledge(w, "t2", 3);
    w->config.lenient = true;
    for (size_t i = 0; i < w->journal.n; i++) {
        rv_vec_push(&whole, w->journal.v[i]);
    }
    rv_prng_seed(&prng, 3);
    for (int round = 0; round < 500; round++) {
        w->journal.n = 0;
        for (size_t i = 0; i < whole.n; i++) {
            if (rv_prng_below(&prng, 5)) {
                rv_vec_push(&w->journal, whole.v[i]);
            }
        }
        restart(w, alive, (size_t)(round % 2));
        pass(w, 2000);
        join_master(w);
        subscribe(w, "e1");
    }
    rv_vec_free(&whole);
}

/* --- anything at any time --- */

struct chaos {
    struct world *w;
    struct rv_prng prng;
    char ids[12][8];
    RV_VEC(char *) containers;
    uint8_t operations; /* so many so far: masters give no uuid twice */
};

static uint64_t below(struct chaos *c, uint64_t n) {
    return rv_prng_below(&c->prng, n);
}

static const char *any_id(struct chaos *c) {
    return c->ids[below(c, RV_COUNT(c->ids))];
}

/* Some task that is here, or NULL. */
static struct rv_agent_task *any_task(struct chaos *c) {
    struct rv_agent_framework *fw = framework(c->w);
    struct rv_agent_task *t, *found = NULL;
    size_t n = 0;

    for (size_t i = 0; fw && rv_map_next(&fw->tasks, &i, NULL, (void **)&t);) {
        if (below(c, ++n) == 0) {
            found = t;
        }
    }
    return found;
}

static void chaos_acknowledge(struct chaos *c) {
    const struct rv_agent_task *t = any_task(c);
    uint8_t uuid[16];
    char id[16];

    snprintf(id, sizeof id, "%s", t && below(c, 10) ? t->id.v : any_id(c));
    memset(uuid, (int)below(c, 250), sizeof uuid);
    if (t && t->updates.n && below(c, 10)) {
        memcpy(uuid, t->updates.v[below(c, 5) ? 0 : t->updates.n - 1].status.uuid, 16);
    }
    acknowledge_uuid(c->w, id, uuid);
}

static void chaos_operation(struct chaos *c) {
    static const enum rv_operation_type types[] = {RV_OP_RESERVE,     RV_OP_UNRESERVE,
                                                   RV_OP_CREATE,      RV_OP_DESTROY,
                                                   RV_OP_GROW_VOLUME, RV_OP_SHRINK_VOLUME};
    struct rv_operation o = {.type = types[below(c, RV_COUNT(types))]};
    if (c->operations == UINT8_MAX) {
        return;
    }
    bool volume = o.type != RV_OP_RESERVE && o.type != RV_OP_UNRESERVE;

    o.id.v = below(c, 2) ? "o" : NULL;
    o.subtract = o.type == RV_OP_SHRINK_VOLUME ? 1000 : 0;
    add_made(&o.resources, "disk", o.type == RV_OP_SHRINK_VOLUME ? 2000 : 1000, "r",
             !volume       ? NULL
             : below(c, 2) ? "v1"
                           : "v2");
    if (o.type == RV_OP_GROW_VOLUME) {
        add_made(&o.source, "disk", 1000, "r", NULL);
    }
    apply(c->w, &o, ++c->operations);
}

static void chaos_acknowledge_operation(struct chaos *c) {
    struct rv_agent_operation *o;
    size_t i = 0;

    while (rv_map_next(&c->w->agent->operations, &i, NULL, (void **)&o)) {
        if (below(c, 2)) {
            acknowledge_end(c->w, o->uuid[0], o->status_uuid);
            return;
        }
    }
}

static void chaos_master(struct chaos *c) {
    struct rv_agent_event e = {.type = (enum rv_agent_event_type)(1 + below(c, 14))};
    struct rv_framework_info *f = &c->w->framework;
    struct rv_executor_info ex = below(c, 2) ? custom : pod;
    struct rv_task_info tasks[3];
    struct rv_task_id ids[2] = {{any_id(c)}, {any_id(c)}};
    size_t n = 1 + below(c, 3);

    if (e.type == RV_AGENT_EVENT_SHUTDOWN || /* that is the end: not here */
        ((e.type == RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK || e.type == RV_AGENT_EVENT_REREGISTER ||
          e.type == RV_AGENT_EVENT_SHUTDOWN_EXECUTOR) &&
         below(c, 8))) {
        e.type = RV_AGENT_EVENT_PING;
    }
    if (below(c, 3) == 0) {
        e.type = below(c, 3) ? RV_AGENT_EVENT_RUN_TASKS : RV_AGENT_EVENT_APPLY_OPERATION;
    }
    switch (e.type) {
    case RV_AGENT_EVENT_REGISTERED:
        say_registered(c->w);
        return;
    case RV_AGENT_EVENT_RUN_TASKS:
        for (size_t i = 0; i < n; i++) {
            tasks[i] = make_task(any_id(c));
            if (below(c, 4) == 0) {
                add_made(&tasks[i].resources, "disk", 1000, "r", below(c, 2) ? "v1" : NULL);
                rv_resources_allocate(&tasks[i].resources, "r");
            }
        }
        ex.id.v = below(c, 3) ? ex.id.v : any_id(c);
        e.run.framework = f;
        e.run.executor = below(c, 2) ? &ex : NULL;
        e.run.group = e.run.executor && ex.type == RV_EXECUTOR_DEFAULT;
        e.run.tasks = tasks;
        e.run.n_tasks = n;
        master(c->w, &e);
        for (size_t i = 0; i < n; i++) {
            rv_resources_free(&tasks[i].resources);
        }
        return;
    case RV_AGENT_EVENT_KILL_TASK:
        kill_task(c->w, any_id(c));
        return;
    case RV_AGENT_EVENT_APPLY_OPERATION:
        chaos_operation(c);
        return;
    case RV_AGENT_EVENT_ACKNOWLEDGE_OPERATION:
        chaos_acknowledge_operation(c);
        return;
    case RV_AGENT_EVENT_SHUTDOWN_EXECUTOR:
        e.shutdown_executor.framework_id.v = "f1";
        e.shutdown_executor.executor_id.v = below(c, 2) ? "e1" : any_id(c);
        break;
    case RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK:
        e.shutdown_framework.v = "f1";
        break;
    case RV_AGENT_EVENT_ACKNOWLEDGE:
        chaos_acknowledge(c);
        return;
    case RV_AGENT_EVENT_FRAMEWORK_MESSAGE:
        e.message.framework_id.v = "f1";
        e.message.executor_id.v = "e1";
        break;
    case RV_AGENT_EVENT_UPDATE_FRAMEWORK:
        f->failover_timeout_ms = (int64_t)below(c, 3);
        e.framework = f;
        break;
    case RV_AGENT_EVENT_RECONCILE_TASKS:
        e.reconcile.framework_id.v = "f1";
        e.reconcile.task_ids = ids;
        e.reconcile.n = 2;
        break;
    default:
        break;
    }
    master(c->w, &e);
}

static const char *any_executor(struct chaos *c) {
    struct rv_agent_framework *fw = framework(c->w);
    struct rv_agent_executor *ex;
    const char *id = "e1";

    for (size_t i = 0; fw && rv_map_next(&fw->executors, &i, NULL, (void **)&ex);) {
        if (below(c, 3) == 0) {
            id = ex->info.id.v;
        }
    }
    return id;
}

static void chaos_executor(struct chaos *c) {
    static const enum rv_task_state states[] = {RV_TASK_STARTING, RV_TASK_RUNNING, RV_TASK_RUNNING,
                                                RV_TASK_FINISHED, RV_TASK_FAILED,  RV_TASK_STAGING,
                                                RV_TASK_KILLING,  RV_TASK_KILLED};
    struct rv_executor_call call = {.type = (enum rv_executor_call_type)(1 + below(c, 4))};
    struct rv_task_id id = {any_id(c)};
    struct rv_task_status s =
        make_status(any_id(c), states[below(c, RV_COUNT(states))], (uint8_t)below(c, 250));
    const struct rv_agent_task *t = any_task(c);
    char executor_id[16], task_id[16];

    snprintf(executor_id, sizeof executor_id, "%s", any_executor(c));
    if (t && below(c, 5)) {
        snprintf(executor_id, sizeof executor_id, "%s", t->executor->info.id.v);
        snprintf(task_id, sizeof task_id, "%s", t->id.v);
        s.task_id.v = id.v = task_id;
        call.type = t->executor->stream && below(c, 20) ? RV_EXECUTOR_CALL_UPDATE : call.type;
    }
    if (call.type == RV_EXECUTOR_CALL_SUBSCRIBE) {
        call.subscribe.unacknowledged_tasks = &id;
        call.subscribe.n_tasks = below(c, 2);
        call.subscribe.unacknowledged_updates = &s;
        call.subscribe.n_updates = below(c, 2);
    } else if (call.type == RV_EXECUTOR_CALL_UPDATE) {
        call.update = &s;
    } else {
        call.message = RV_STR("m");
    }
    executor_says(c->w, &call, executor_id);
}

static void chaos_container(struct chaos *c) {
    struct rv_agent_executor *ex;
    bool exits = below(c, 6) == 0;

    for (size_t i = 0; rv_map_next(&c->w->agent->containers, &i, NULL, (void **)&ex);) {
        if (below(c, 3) == 0) {
            snprintf(c->w->container, sizeof c->w->container, "%s", ex->container_id.v);
            exits |= ex->destroyed;
        }
    }
    container_is(c->w, exits ? RV_AGENT_CONTAINER_EXITED : RV_AGENT_CONTAINER_LAUNCHED,
                 below(c, 10) != 0, (int32_t)below(c, 65536));
}

static void chaos_restart(struct chaos *c) {
    RV_VEC(char *) alive = {0};
    struct rv_agent_executor *ex;

    for (size_t i = 0; rv_map_next(&c->w->agent->containers, &i, NULL, (void **)&ex);) {
        if (ex->started && alive.n < 4 && below(c, 2)) {
            rv_vec_push(&alive, rv_strdup(ex->container_id.v));
        }
    }
    restart(c->w, (const char *const *)(void *)alive.v, alive.n);
    for (size_t i = 0; i < alive.n; i++) {
        free(alive.v[i]);
    }
    rv_vec_free(&alive);
    if (below(c, 2)) { /* as at each start */
        compact(c->w);
    }
    assert_int_equal(c->w->agent->counters.recovery_errors, 0);
}

/* Bad news now and then. */
static void chaos_fault(struct chaos *c) {
    struct world *w = c->w;

    switch (below(c, 9)) {
    case 0:
        act_kind(w, RV_AGENT_MASTER_NONE);
        break;
    case 1:
        act_kind(w, RV_AGENT_MASTER_LOST);
        break;
    case 2:
        act(w, (struct rv_agent_input){.kind = RV_AGENT_MASTER_REFUSED,
                                       .status = below(c, 2) ? 403 : 400});
        break;
    case 3:
        act(w, (struct rv_agent_input){.kind = RV_AGENT_STREAM_CLOSED,
                                       .stream = 1 + below(c, w->next_number + 1)});
        break;
    case 4:
        chaos_restart(c);
        break;
    case 5:
        pass(w, (int64_t)below(c, 100000));
        break;
    case 6:
        compact(w);
        break;
    case 7:
        act(w, (struct rv_agent_input){.kind = RV_AGENT_DISK_SEEN,
                                       .used_ppm = (int64_t)below(c, 1000001)});
        break;
    default:
        w->full_disk = !w->full_disk && below(c, 2) == 0;
        break;
    }
}

static void chaos_step(struct chaos *c) {
    struct world *w = c->w;

    if (w->agent->link == RV_LINK_NONE && below(c, 5) == 0) {
        act_kind(w, RV_AGENT_MASTER_FOUND);
    } else if (w->agent->link == RV_LINK_REGISTERING && below(c, 5) == 0) {
        say_registered(w);
    }
    if (below(c, 50) == 0) {
        chaos_fault(c);
    }
    switch (below(c, 10)) {
    case 0:
        chaos_container(c);
        break;
    case 1:
        pass(w, (int64_t)below(c, 3000));
        break;
    case 2:
    case 3:
        chaos_acknowledge(c);
        break;
    case 4:
    case 5:
    case 6:
        chaos_executor(c);
        break;
    default:
        chaos_master(c);
        break;
    }
}

static void chaos_end_containers(struct chaos *c) {
    struct rv_agent_executor *ex;

    do {
        ex = NULL;
        size_t i = 0;
        while (rv_map_next(&c->w->agent->containers, &i, NULL, (void **)&ex) && !ex->started) {
            ex = NULL;
        }
        if (ex) {
            snprintf(c->w->container, sizeof c->w->container, "%s", ex->container_id.v);
            container_is(c->w, RV_AGENT_CONTAINER_EXITED, true, 0);
        }
    } while (ex);
}

/* Once all is well again nothing is left waiting: every task ends and is heard of. */
static void chaos_heal(struct chaos *c) {
    struct world *w = c->w;
    struct rv_agent_framework *fw;
    struct rv_agent_task *t;

    w->full_disk = false;
    act_kind(w, RV_AGENT_MASTER_FOUND);
    pass(w, 10000);
    say_registered(w);
    chaos_end_containers(c);
    for (int i = 0; i < 100 && (fw = framework(w)); i++) {
        struct rv_agent_event ping = {.type = RV_AGENT_EVENT_PING};
        size_t it = 0;
        pass(w, 10000);
        master(w, &ping);
        while ((fw = framework(w)) && rv_map_next(&fw->tasks, &it, NULL, (void **)&t)) {
            uint8_t uuid[16];
            char id[16];
            assert_true(t->updates.n > 0);
            memcpy(uuid, t->updates.v[0].status.uuid, sizeof uuid);
            snprintf(id, sizeof id, "%s", t->id.v);
            acknowledge_uuid(w, id, uuid);
        }
    }
    while (rv_map_count(&w->agent->operations)) {
        chaos_acknowledge_operation(c);
    }
    assert_int_equal(rv_map_count(&w->agent->frameworks), 0);
    assert_int_equal(rv_map_count(&w->agent->containers), 0);
}

static void test_anything_at_any_time(void **state) {
    struct world *w = *state;
    struct chaos c = {.w = w};

    for (size_t i = 0; i < RV_COUNT(c.ids); i++) {
        snprintf(c.ids[i], sizeof c.ids[i], "t%zu", i);
    }
    w->config.max_completed_executors = 3;
    w->config.max_completed_tasks = 3;
    w->config.max_completed_frameworks = 1;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        rv_prng_seed(&c.prng, seed);
        w->framework.checkpoint = seed % 4 != 0;
        w->full_disk = false;
        w->journal.n = 0;
        c.operations = 0;
        restart(w, NULL, 0);
        for (int i = 0; i < 1500; i++) {
            chaos_step(&c);
        }
        chaos_heal(&c);
        for (size_t i = 0; i < w->kept.n; i++) {
            rv_agent_effects_free(&w->kept.v[i]);
        }
        w->kept.n = 0;
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(inv_18_executors_come_back),
        TEST(inv_18_executors_do_not_come_back),
        TEST(inv_17_dead_executors_and_reboots),
        TEST(inv_17_reboot),
        TEST(every_crash_point),
        TEST(only_an_end_was_written),
        TEST(damaged_journal),
        TEST(compaction),
        TEST(compaction_of_operations),
        TEST(anything_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
