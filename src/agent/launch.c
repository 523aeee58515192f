/*
 * Launching and killing tasks: from RUN_TASKS to the event that gives a task to its executor.
 *
 * Persist, then act: of a framework that checkpoints, a container is asked for only when the
 * agent's id, the framework, the executor and a task of it are durable, and a task is given to its
 * executor only when it is durable itself. What cannot be written is refused with the reason, and
 * nothing that runs is touched (INV-23). A group is given, refused and killed as a whole.
 */
#include "agent/internal.h"

/* --- waiting for operations --- */

/* What made its resources is being written yet. */
static bool is_relying(const struct rv_agent *a, const struct rv_agent_task *t) {
    return t->place == RV_TASK_QUEUED && t->after > a->operation_settled;
}

bool rv_agent_has_relying(const struct rv_agent *a, const struct rv_agent_executor *ex) {
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (is_relying(a, t)) {
            return true;
        }
    }
    return false;
}

static bool has_relied(const struct rv_agent_executor *ex) {
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (t->after) {
            return true;
        }
    }
    return false;
}

static void join_container(struct rv_agent *a, struct rv_agent_executor *ex) {
    if (!rv_agent_has_relying(a, ex)) {
        rv_agent_executor_resize(a, ex);
        rv_agent_progress(a, ex);
    }
}

void rv_agent_progress_relying(struct rv_agent *a) {
    struct rv_agent_framework *fw;
    struct rv_agent_executor *ex;
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&a->frameworks, &i, NULL, (void **)&fw);) {
        for (size_t j = 0; rv_map_next(&fw->executors, &j, NULL, (void **)&ex);) {
            if (has_relied(ex) && !rv_agent_has_relying(a, ex)) {
                for (size_t k = 0; rv_map_next(&ex->tasks, &k, NULL, (void **)&t);) {
                    t->after = 0;
                }
                join_container(a, ex);
            }
        }
    }
}

/* --- refusing --- */

/* An executor that has nothing to do and never had is ended. */
static void end_if_useless(struct rv_agent *a, struct rv_agent_executor *ex) {
    struct rv_agent_task *t;

    if (ex->got_task || ex->state > RV_EXECUTOR_RUNNING) {
        return;
    }
    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (t->place == RV_TASK_QUEUED || t->place == RV_TASK_LAUNCHED) {
            return;
        }
    }
    rv_agent_executor_shutdown(a, ex);
}

/* Ends a queued task and, if it came in a group, all of that. */
static void end_queued(struct rv_agent *a, struct rv_agent_task *task, enum rv_task_state state,
                       enum rv_reason reason, const char *message) {
    struct rv_agent_executor *ex = task->executor;
    uint64_t group = task->group;
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (t->place == RV_TASK_QUEUED && (t == task || (group && t->group == group))) {
            rv_agent_task_end(a, t, state, reason, message, NULL);
        }
    }
    end_if_useless(a, ex);
}

static void refuse_task(struct rv_agent *a, struct rv_agent_task *t, const char *message) {
    const char *text =
        rv_arena_printf(&a->out->arena, "The agent could not write its checkpoint: %s", message);
    end_queued(a, t, rv_agent_dropped(&t->executor->framework->info),
               RV_REASON_CONTAINER_LAUNCH_FAILED, text);
}

static void refuse_executor(struct rv_agent *a, struct rv_agent_executor *ex, const char *message) {
    struct rv_agent_task *t;

    if (ex->started || ex->state > RV_EXECUTOR_RUNNING) {
        return;
    }
    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (t->place == RV_TASK_QUEUED) {
            refuse_task(a, t, message);
        }
    }
}

void rv_agent_refuse_unstarted(struct rv_agent *a, struct rv_agent_framework *fw,
                               const char *message) {
    struct rv_agent_executor *ex;

    for (size_t i = 0; rv_map_next(&fw->executors, &i, NULL, (void **)&ex);) {
        refuse_executor(a, ex, message);
    }
}

void rv_agent_refuse_relying(struct rv_agent *a, const char *message) {
    struct rv_agent_framework *fw;
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&a->frameworks, &i, NULL, (void **)&fw);) {
        for (size_t j = 0; rv_map_next(&fw->tasks, &j, NULL, (void **)&t);) {
            if (is_relying(a, t)) {
                end_queued(a, t, rv_agent_dropped(&fw->info), RV_REASON_RESOURCES_UNKNOWN, message);
            }
        }
    }
}

/* --- checkpoints --- */

static void write_framework(struct rv_agent *a, struct rv_agent_framework *fw) {
    if (fw->kept == RV_KEPT_NO) {
        fw->kept = RV_KEPT_WRITING;
        fw->write = rv_agent_write_framework(a, fw);
    }
}

void rv_agent_framework_written(struct rv_agent *a, struct rv_agent_framework *fw, bool ok,
                                const char *message) {
    struct rv_agent_executor *ex;

    fw->kept = ok ? RV_KEPT_YES : RV_KEPT_NO;
    if (!ok) {
        rv_agent_refuse_unstarted(a, fw, message);
        return;
    }
    for (size_t i = 0; rv_map_next(&fw->executors, &i, NULL, (void **)&ex);) {
        rv_agent_progress(a, ex);
    }
}

void rv_agent_executor_written(struct rv_agent *a, struct rv_agent_executor *ex, bool ok,
                               const char *message) {
    ex->kept = ok ? RV_KEPT_YES : RV_KEPT_NO;
    if (ok) {
        rv_agent_progress(a, ex);
    } else {
        refuse_executor(a, ex, message);
    }
}

void rv_agent_task_written(struct rv_agent *a, struct rv_agent_task *t, bool ok,
                           const char *message) {
    t->kept = ok ? RV_KEPT_YES : RV_KEPT_NO;
    if (!ok && t->place == RV_TASK_QUEUED) {
        refuse_task(a, t, message);
        return;
    }
    if (ok) {
        rv_agent_progress(a, t->executor);
    }
    rv_agent_updates_write(a, t); /* if it ended meanwhile */
}

/* --- launching --- */

static bool is_ready(const struct rv_agent_task *t) {
    return t->place == RV_TASK_QUEUED && t->kept == RV_KEPT_YES;
}

static bool is_group_ready(const struct rv_agent_executor *ex, uint64_t group) {
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (t->group == group && t->place == RV_TASK_QUEUED && t->kept != RV_KEPT_YES) {
            return false;
        }
    }
    return true;
}

/* Gives the task, or with it its whole group, to the executor. */
static void give(struct rv_agent *a, struct rv_agent_executor *ex, struct rv_agent_task *first) {
    bool group = first->group && ex->info.type == RV_EXECUTOR_DEFAULT;
    struct rv_executor_event *event = rv_agent_send_stream(
        a, ex->stream, group ? RV_EXECUTOR_EVENT_LAUNCH_GROUP : RV_EXECUTOR_EVENT_LAUNCH);
    size_t max = group ? rv_map_count(&ex->tasks) : 1;
    const struct rv_task_info **infos =
        RV_ARENA_ARRAY(&a->out->arena, const struct rv_task_info *, max);
    struct rv_agent_task *t;

    event->launch.tasks = infos;
    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (t != first && !(group && t->group == first->group && is_ready(t))) {
            continue;
        }
        infos[event->launch.n++] = rv_agent_hold_task(a, &t->info);
        rv_task_info_forget(&t->info);
        t->place = RV_TASK_LAUNCHED;
    }
    ex->got_task = true;
}

static void give_all(struct rv_agent *a, struct rv_agent_executor *ex) {
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (is_ready(t) && (!t->group || is_group_ready(ex, t->group))) {
            give(a, ex, t);
        }
    }
}

static void start(struct rv_agent *a, struct rv_agent_executor *ex) {
    const struct rv_launch *launch = rv_agent_hold_launch(a, ex);

    rv_executor_info_forget(&ex->info);
    ex->started = true;
    ex->started_ns = a->wall_ns;
    a->counters.executors_registering_total++;
    rv_agent_emit(a, RV_AGENT_LAUNCH_CONTAINER)->launch = launch;
}

/* INV-17: what runs under an id that the disk does not know yet would be on another agent after a
 * restart. A disk that takes nothing stops only those who want to be kept. */
static bool is_id_kept(const struct rv_agent *a, const struct rv_agent_framework *fw) {
    return a->info_kept == RV_KEPT_YES || (a->info_kept == RV_KEPT_NO && !fw->info.checkpoint);
}

void rv_agent_progress(struct rv_agent *a, struct rv_agent_executor *ex) {
    struct rv_agent_framework *fw = ex->framework;
    struct rv_agent_task *t;

    if (ex->state > RV_EXECUTOR_RUNNING || fw->kept != RV_KEPT_YES || ex->kept != RV_KEPT_YES ||
        !is_id_kept(a, fw) || rv_agent_has_relying(a, ex)) {
        return;
    }
    for (size_t i = 0; !ex->started && rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (is_ready(t)) {
            start(a, ex);
        }
    }
    if (ex->stream && ex->state == RV_EXECUTOR_RUNNING) {
        give_all(a, ex);
    }
}

/* --- RUN_TASKS --- */

static void stray_all(struct rv_agent *a, const struct rv_agent_event *e, enum rv_task_state state,
                      enum rv_reason reason, const char *message) {
    for (size_t i = 0; i < e->run.n_tasks; i++) {
        rv_agent_stray(a, e->run.framework->id.v, e->run.tasks[i].id.v, state, reason, message);
    }
}

/* Ids name directories, so the agent does not take another's word for them. */
static const char *ids_problem(const struct rv_agent_event *e) {
    const char *problem = rv_id_problem(e->run.framework->id.v);

    if (!problem && e->run.executor) {
        problem = rv_id_problem(e->run.executor->id.v);
    }
    for (size_t i = 0; !problem && i < e->run.n_tasks; i++) {
        problem = rv_id_problem(e->run.tasks[i].id.v);
    }
    return problem;
}

static void take_framework(struct rv_agent_framework *fw, const struct rv_framework_info *info) {
    bool checkpoint = fw->info.checkpoint; /* cannot change */

    if (rv_blob_eq(fw->info.packed, info->packed) && fw->info.capabilities == info->capabilities &&
        fw->info.failover_timeout_ms == info->failover_timeout_ms) {
        return;
    }
    rv_framework_info_free(&fw->info);
    fw->info = (struct rv_framework_info){0};
    rv_framework_info_copy(&fw->info, info);
    fw->info.checkpoint = checkpoint;
    fw->kept = checkpoint ? RV_KEPT_NO : RV_KEPT_YES;
}

void rv_agent_update_framework(struct rv_agent *a, const struct rv_framework_info *info) {
    struct rv_agent_framework *fw = rv_agent_framework_find(a, info->id.v);

    /* It may be a new instance, which has heard of nothing that is not acknowledged. */
    if (fw && !fw->terminating) {
        take_framework(fw, info);
        write_framework(a, fw);
        rv_agent_updates_again(a, fw);
    }
    rv_agent_operations_again(a, info->id.v);
}

static struct rv_agent_executor *make_executor(struct rv_agent *a, struct rv_agent_framework *fw,
                                               const struct rv_executor_info *info) {
    const char *user = fw->info.user && fw->info.user[0] ? fw->info.user : a->config.default_user;
    uint8_t uuid[16];
    char container_id[37];
    char *directory;
    struct rv_agent_executor *ex;

    rv_prng_uuid(&a->prng, uuid);
    rv_uuid_format(uuid, container_id);
    directory = rv_agent_directory(a, fw->id.v, info->id.v, container_id);
    ex = rv_agent_executor_make(a, fw, info, container_id, directory, user);
    free(directory);
    return ex;
}

/* What a command task has for an executor: our own, named like the task. */
static struct rv_executor_info command_executor(const struct rv_framework_info *f,
                                                const struct rv_task_info *task) {
    return (struct rv_executor_info){.type = RV_EXECUTOR_COMMAND,
                                     .id = {task->id.v},
                                     .framework_id = {f->id.v},
                                     .shutdown_grace_ms = -1};
}

/* The tasks, which are new, join the executor, which may be new too. */
static void join(struct rv_agent *a, struct rv_agent_executor *ex,
                 const struct rv_task_info *const *tasks, size_t n, uint64_t group) {
    struct rv_agent_framework *fw = ex->framework;
    bool over = ex->state > RV_EXECUTOR_RUNNING;
    struct rv_agent_task *t;

    for (size_t i = 0; i < n; i++) {
        t = rv_agent_task_make(ex, tasks[i]);
        t->group = group;
        t->after = a->operation_asked > a->operation_settled ? a->operation_asked : 0;
        t->kept = fw->info.checkpoint ? RV_KEPT_NO : RV_KEPT_YES;
        if (over) {
            rv_agent_task_end(a, t, rv_agent_dropped(&fw->info), RV_REASON_EXECUTOR_TERMINATED,
                              "The executor is terminating", NULL);
        }
    }
    if (ex->state == RV_EXECUTOR_TERMINATED && !ex->command) {
        /* The master was told of its end before this launch, for which it booked it again. */
        rv_agent_tell_exited(a, fw->id.v, ex->info.id.v, -1);
    }
    if (over) {
        return;
    }
    write_framework(a, fw);
    if (ex->kept == RV_KEPT_NO) {
        ex->kept = RV_KEPT_WRITING;
        ex->write = rv_agent_write_executor(a, ex);
    }
    for (size_t i = 0; i < n; i++) {
        t = rv_map_gets(&ex->tasks, tasks[i]->id.v);
        if (t->kept == RV_KEPT_NO) {
            t->kept = RV_KEPT_WRITING;
            t->write = rv_agent_write_task(a, t);
        }
    }
    join_container(a, ex);
}

/* The executor's id is taken. If it is that of a command task whose container has not ended yet,
 * another try will do. */
static void refuse_name(struct rv_agent *a, const struct rv_agent_executor *ex,
                        const struct rv_executor_info *info,
                        const struct rv_task_info *const *tasks, size_t n) {
    const struct rv_agent_framework *fw = ex->framework;
    bool again = ex->command && info->type == RV_EXECUTOR_COMMAND;

    for (size_t i = 0; i < n; i++) {
        if (again) {
            rv_agent_stray(a, fw->id.v, tasks[i]->id.v, rv_agent_dropped(&fw->info),
                           RV_REASON_EXECUTOR_TERMINATED,
                           "The executor of an earlier task of this id has not ended yet");
        } else {
            rv_agent_stray(a, fw->id.v, tasks[i]->id.v, RV_TASK_ERROR, RV_REASON_TASK_INVALID,
                           "The executor's id is that of another executor on this agent");
        }
    }
}

static void run(struct rv_agent *a, struct rv_agent_framework *fw,
                const struct rv_executor_info *info, const struct rv_task_info *const *tasks,
                size_t n, uint64_t group) {
    struct rv_agent_executor *ex = rv_map_gets(&fw->executors, info->id.v);

    if (ex && (ex->command || info->type == RV_EXECUTOR_COMMAND)) {
        refuse_name(a, ex, info, tasks, n);
        if (info->type != RV_EXECUTOR_COMMAND) {
            rv_agent_tell_exited(a, fw->id.v, info->id.v, -1);
        }
        return;
    }
    if (!ex) {
        ex = make_executor(a, fw, info);
        ex->kept = fw->info.checkpoint ? RV_KEPT_NO : RV_KEPT_YES;
    }
    join(a, ex, tasks, n, group);
}

/* The tasks of the event that are not here already, in its order; repeated ids once. */
static size_t new_tasks(struct rv_agent *a, const struct rv_agent_event *e,
                        const struct rv_task_info **tasks) {
    struct rv_agent_framework *fw = rv_agent_framework_find(a, e->run.framework->id.v);
    size_t n = 0;

    for (size_t i = 0; i < e->run.n_tasks; i++) {
        const struct rv_task_info *task = &e->run.tasks[i];
        bool known = fw && rv_map_gets(&fw->tasks, task->id.v);

        for (size_t j = 0; !known && j < n; j++) {
            known = rv_task_id_eq(tasks[j]->id, task->id);
        }
        if (known) {
            rv_agent_log(a, RV_LOG_WARNING, "task %s of framework %s is here already: ignored",
                         task->id.v, e->run.framework->id.v);
        } else {
            tasks[n++] = task;
        }
    }
    return n;
}

/* The master relies on an executor that has ended, which it does not know yet: it has booked
 * nothing for another one. */
static bool relies_on_ended(const struct rv_agent_framework *fw, const struct rv_agent_event *e) {
    const struct rv_agent_executor *ex;

    if (!e->run.executor || !e->run.executor_runs) {
        return false;
    }
    ex = fw ? rv_map_gets(&fw->executors, e->run.executor->id.v) : NULL;
    return !ex || ex->state == RV_EXECUTOR_TERMINATED;
}

static bool has_made(const struct rv_agent *a, const struct rv_resources *r) {
    struct rv_resources made = {0};
    bool ok = true;

    rv_resources_made(&made, r);
    rv_resources_allocate(&made, NULL);
    for (size_t i = 0; i < made.n && ok; i++) {
        ok = rv_resources_contains_one(&a->total, &made.v[i]);
    }
    rv_resources_free(&made);
    return ok;
}

/* Whether the agent has what operations made that the tasks are to use. */
static bool knows_resources(const struct rv_agent *a, const struct rv_agent_event *e) {
    bool ok = !e->run.executor || has_made(a, &e->run.executor->resources);

    for (size_t i = 0; i < e->run.n_tasks && ok; i++) {
        ok = has_made(a, &e->run.tasks[i].resources);
    }
    return ok;
}

/* The master has booked an executor for them, which is not going to be. */
static void refuse_all(struct rv_agent *a, const struct rv_agent_framework *fw,
                       const struct rv_agent_event *e, enum rv_reason reason, const char *message) {
    const struct rv_executor_info *info = e->run.executor;

    stray_all(a, e, rv_agent_dropped(e->run.framework), reason, message);
    if (info && !e->run.executor_runs && !(fw && rv_map_gets(&fw->executors, info->id.v))) {
        rv_agent_tell_exited(a, e->run.framework->id.v, info->id.v, -1);
    }
}

void rv_agent_run_tasks(struct rv_agent *a, const struct rv_agent_event *e) {
    const struct rv_task_info **tasks =
        RV_ARENA_ARRAY(&a->out->arena, const struct rv_task_info *, e->run.n_tasks + 1);
    const char *problem = ids_problem(e);
    struct rv_agent_framework *fw;
    size_t n;

    if (problem) {
        stray_all(a, e, RV_TASK_ERROR, RV_REASON_TASK_INVALID, problem);
        return;
    }
    fw = rv_agent_framework_find(a, e->run.framework->id.v);
    if (a->stopping || (fw && fw->terminating)) {
        stray_all(a, e, rv_agent_dropped(e->run.framework), RV_REASON_AGENT_DISCONNECTED,
                  a->stopping ? "The agent is ending" : "The framework is being shut down");
        return;
    }
    if (rv_agent_is_draining(a)) {
        refuse_all(a, fw, e, RV_REASON_AGENT_DRAINING, "The agent is draining");
        return;
    }
    if (relies_on_ended(fw, e)) {
        stray_all(a, e, rv_agent_dropped(e->run.framework), RV_REASON_EXECUTOR_TERMINATED,
                  "The executor has terminated");
        return;
    }
    if (!knows_resources(a, e)) {
        refuse_all(a, fw, e, RV_REASON_RESOURCES_UNKNOWN,
                   "The reservations or volumes that are to be used are unknown to the agent");
        return;
    }
    n = new_tasks(a, e, tasks);
    if (n == 0) {
        return;
    }
    fw = rv_agent_framework_make(a, e->run.framework);
    take_framework(fw, e->run.framework);
    if (e->run.executor) {
        run(a, fw, e->run.executor, tasks, n, e->run.group ? ++a->next_group : 0);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct rv_executor_info info = command_executor(&fw->info, tasks[i]);
        run(a, fw, &info, &tasks[i], 1, 0);
    }
}

/* --- KILL_TASK --- */

void rv_agent_send_kill(struct rv_agent *a, struct rv_agent_task *t, int64_t grace_ms) {
    const char *id = rv_agent_hold_string(a, t->id.v);
    struct rv_executor_event *event =
        rv_agent_send_stream(a, t->executor->stream, RV_EXECUTOR_EVENT_KILL);

    t->kill_pending = false;
    event->kill.task_id.v = id;
    event->kill.grace_ms = grace_ms;
}

void rv_agent_task_kill(struct rv_agent *a, struct rv_agent_task *t, int64_t grace_ms) {
    if (t->place == RV_TASK_QUEUED) {
        end_queued(a, t, RV_TASK_KILLED, RV_REASON_TASK_KILLED_DURING_LAUNCH,
                   "Killed before it was delivered to the executor");
    } else if (t->executor->stream) {
        rv_agent_send_kill(a, t, grace_ms);
    } else {
        t->kill_pending = true;
        t->kill_grace_ms = grace_ms;
    }
}

void rv_agent_kill_task(struct rv_agent *a, const struct rv_agent_event *e) {
    struct rv_agent_framework *fw = rv_agent_framework_find(a, e->kill.framework_id.v);
    struct rv_agent_task *t = fw ? rv_map_gets(&fw->tasks, e->kill.task_id.v) : NULL;

    if (!t || t->place == RV_TASK_TERMINATED) {
        /* The master asks about what it misses when the agent registers. */
        rv_agent_log(a, RV_LOG_WARNING, "kill of task %s, which does not run here: ignored",
                     e->kill.task_id.v ? e->kill.task_id.v : "");
        return;
    }
    rv_agent_task_kill(a, t, e->kill.grace_ms);
}
