/*
 * LAUNCH and LAUNCH_GROUP: whether tasks are fit to run on what was offered, their booking, and the
 * word to the agent. A task that is not fit ends with TASK_ERROR and changes nothing else; of a
 * group all tasks are launched or none.
 */
#include <stdlib.h>

#include "master/internal.h"

/* What a task needs of the offers, made by fit(). */
struct need {
    struct rv_resources task;     /* with the offer's allocation role */
    struct rv_resources executor; /* empty if it runs already */
    struct rv_master_executor *running;
};

static void need_free(struct need *n) {
    rv_resources_free(&n->task);
    rv_resources_free(&n->executor);
}

/* What cannot be used together: a volume with itself, revocable with other resources of a name
 * (equal names stand together). */
static const char *mix_problem(struct rv_master *m, const struct rv_resources *r) {
    const struct rv_kind *twice = rv_master_volume_twice(m, r);

    if (twice)
        return RV_MASTER_TEXT(m, "uses the volume '%s' twice", twice->disk->persistence_id);
    for (size_t i = 1; i < r->n; i++)
        if (r->v[i].kind->revocable != r->v[i - 1].kind->revocable &&
            rv_streq(r->v[i].kind->name, r->v[i - 1].kind->name))
            return RV_MASTER_TEXT(m, "uses revocable '%s' together with other", r->v[i].kind->name);
    return NULL;
}

/* ... nor can a task and its executor. */
static const char *pair_problem(struct rv_master *m, const struct rv_resources *task,
                                const struct rv_resources *executor) {
    struct rv_resources both = {0};
    const char *problem;

    rv_resources_copy(&both, task);
    rv_resources_add(&both, executor);
    rv_resources_allocate(&both, NULL);
    problem = mix_problem(m, &both);
    rv_resources_free(&both);
    return problem ? RV_MASTER_TEXT(m, "and its executor: it %s", problem) : NULL;
}

/* out = r with the offer's role as allocation role wherever none is given. */
static const char *allocate(struct rv_master *m, const struct rv_master_acceptance *a,
                            const struct rv_resources *r, struct rv_resources *out) {
    const char *problem;
    struct rv_error err;

    for (size_t i = 0; i < r->n; i++) {
        const char *role = r->v[i].kind->allocation_role;

        if (role && !rv_streq(role, a->role))
            return RV_MASTER_TEXT(m, "uses resources allocated to role '%s' from an offer to '%s'",
                                  role, a->role);
    }
    if (rv_resources_validate(r, &err) < 0)
        return RV_MASTER_TEXT(m, "uses invalid resources: %s", err.message);
    if ((problem = mix_problem(m, r)))
        return problem;
    rv_resources_copy(out, r);
    rv_resources_allocate(out, a->role);
    return NULL;
}

static const char *executor_problem(struct rv_master *m, const struct rv_master_acceptance *a,
                                    const struct rv_executor_info *info, struct need *need) {
    const char *problem;

    if (info->problem)
        return RV_MASTER_TEXT(m, "has an invalid executor: %s", info->problem);
    if ((problem = rv_id_problem(info->id.v)))
        return RV_MASTER_TEXT(m, "has an invalid executor id: %s", problem);
    if (info->framework_id.v && !rv_streq(info->framework_id.v, a->framework->id.v))
        return RV_MASTER_TEXT(m, "has an executor of another framework: %s", info->framework_id.v);
    need->running = rv_master_executor_find(a->agent, a->framework, info->id.v);
    if (need->running) {
        if (need->running->info.type != info->type ||
            !rv_blob_eq(need->running->info.packed, info->packed))
            return RV_MASTER_TEXT(
                m, "has an executor that is not compatible with the running one of the same id %s",
                info->id.v);
        return NULL;
    }
    return allocate(m, a, &info->resources, &need->executor);
}

/* All but the executor and the amount. "Task 'x' " goes before the answer. */
static const char *task_problem(struct rv_master *m, const struct rv_master_acceptance *a,
                                const struct rv_task_info *info, struct need *need) {
    struct rv_master_framework *f = a->framework;
    const char *problem;

    if (info->problem)
        return RV_MASTER_TEXT(m, "is not valid: %s", info->problem);
    if ((problem = rv_id_problem(info->id.v)))
        return RV_MASTER_TEXT(m, "has an invalid id: %s", problem);
    if (rv_map_gets(&f->tasks, info->id.v))
        return "has the id of a task that is still there";
    if (rv_framework_can(&f->info, RV_FRAMEWORK_PARTITION_AWARE) &&
        rv_map_gets(&f->unreachable, info->id.v))
        return "has the id of a task that is unreachable and may come back";
    if (!rv_streq(info->agent_id.v, a->agent->id.v))
        return RV_MASTER_TEXT(m, "names agent %s, but the offer is of %s",
                              info->agent_id.v ? info->agent_id.v : "(none)", a->agent->id.v);
    if (rv_resources_empty(&info->resources))
        return "uses no resources";
    if (rv_limits_given(info->limits) &&
        !(a->agent->info.capabilities & (1u << RV_AGENT_TASK_RESOURCE_LIMITS)))
        return "has resource limits, which its agent cannot enforce";
    return allocate(m, a, &info->resources, &need->task);
}

/* Takes r off what is left; ports and sets that are taken do not fit a second time, shared volumes
 * do. */
static const char *take(struct rv_master *m, struct rv_resources *left,
                        const struct rv_resources *r) {
    if (rv_resources_contains(left, r)) {
        rv_master_subtract_unshared(left, r);
        return NULL;
    }
    rv_buf_clear(&m->scratch);
    rv_buf_puts(&m->scratch, "uses more than what was offered: ");
    rv_resources_format(r, &m->scratch);
    rv_buf_puts(&m->scratch, " of ");
    rv_resources_format(left, &m->scratch);
    return rv_arena_strndup(&m->out->arena, m->scratch.data, m->scratch.n);
}

static void refuse(struct rv_master *m, const struct rv_master_acceptance *a,
                   const struct rv_task_info *info, enum rv_reason reason, const char *message) {
    struct rv_task_status *status =
        rv_master_status(m, info->id.v, a->agent->id.v, NULL, RV_TASK_ERROR, reason, message);

    rv_master_count_state(m, a->framework, RV_TASK_ERROR);
    rv_master_count_end(m, status);
    rv_master_send_status(m, a->framework, status);
}

/* From the offers to the books. What is shared stays offered: this use of it is booked anew. */
static void use(struct rv_master *m, struct rv_master_acceptance *a, const struct rv_resources *r) {
    struct rv_resources shared = {0};

    rv_master_subtract_unshared(&a->available, r);
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].kind->shared)
            rv_resources_add_one(&shared, &r->v[i]);
    if (!rv_resources_empty(&shared))
        rv_allocator_use(m->allocator, a->agent, a->framework, &shared);
    rv_resources_free(&shared);
}

/* Moves what the task (and a new executor) needs from the offers to the books. */
static struct rv_master_task *book(struct rv_master *m, struct rv_master_acceptance *a,
                                   const struct rv_task_info *info,
                                   const struct rv_executor_info *executor, struct need *need) {
    struct rv_master_executor *x = need->running;
    struct rv_master_task *t;

    if (executor && !x) {
        use(m, a, &need->executor);
        x = rv_master_executor_add(m, a->framework, a->agent, executor, &need->executor);
    }
    use(m, a, &need->task);
    a->used = true;
    t = rv_master_task_new(m, a->framework, a->agent, info, &need->task,
                           executor ? executor->id.v : NULL, RV_TASK_STAGING);
    rv_master_book(a->framework, a->agent, &need->task);
    rv_master_task_added(m, t);
    return t;
}

static void unref_blob(void *blob) {
    rv_blob_unref(blob);
}

/* A blob that came with the event, for an effect. */
static struct rv_blob *lend(struct rv_master *m, struct rv_blob *blob) {
    if (blob)
        rv_master_bury(m, unref_blob, rv_blob_ref(blob));
    return blob;
}

/* The infos go out as they are in the records, with the allocation role, and with the secrets that
 * came with them, which the records do not keep. sent: NULL, the executor runs. */
static void run(struct rv_master *m, struct rv_master_acceptance *a, struct rv_master_task **tasks,
                const struct rv_task_info *infos, size_t n, struct rv_master_executor *x,
                const struct rv_executor_info *sent, bool group) {
    struct rv_agent_event *event = rv_master_tell_agent(m, a->agent, RV_AGENT_EVENT_RUN_TASKS);
    struct rv_task_info *out = RV_ARENA_ARRAY(&m->out->arena, struct rv_task_info, n);
    struct rv_executor_info *executor =
        x ? rv_arena_memdup(&m->out->arena, &x->info, sizeof x->info) : NULL;

    RV_ASSERT(event);
    for (size_t i = 0; i < n; i++) {
        out[i] = tasks[i]->info;
        out[i].whole = lend(m, infos[i].whole);
    }
    if (executor && sent)
        executor->whole = lend(m, sent->whole);
    event->run.framework = &a->framework->info;
    event->run.executor = executor;
    event->run.group = group;
    event->run.executor_runs = x && !sent;
    event->run.tasks = out;
    event->run.n_tasks = n;
}

static void launch_one(struct rv_master *m, struct rv_master_acceptance *a,
                       const struct rv_operation *op, const struct rv_task_info *info) {
    struct need need = {0};
    struct rv_resources left = {0};
    const char *problem =
        op->id.v ? "is of a LAUNCH with an id: its task is what is told of, not the operation"
                 : task_problem(m, a, info, &need);

    if (!problem && info->executor) {
        if (info->executor->type == RV_EXECUTOR_DEFAULT)
            problem = "has the default executor, which runs task groups only";
        else
            problem = executor_problem(m, a, info->executor, &need);
        if (!problem)
            problem = pair_problem(m, &info->resources, &info->executor->resources);
    }
    if (!problem) {
        rv_resources_copy(&left, &a->available);
        problem = take(m, &left, &need.executor);
        if (!problem)
            problem = take(m, &left, &need.task);
    }
    if (problem) {
        refuse(m, a, info, RV_REASON_TASK_INVALID,
               RV_MASTER_TEXT(m, "Task '%s' %s", info->id.v, problem));
    } else {
        struct rv_master_task *t = book(m, a, info, info->executor, &need);

        run(m, a, &t, info, 1,
            info->executor ? rv_master_executor_find(a->agent, a->framework, info->executor->id.v)
                           : NULL,
            need.running ? NULL : info->executor, false);
    }
    rv_resources_free(&left);
    need_free(&need);
}

void rv_master_launch(struct rv_master *m, struct rv_master_acceptance *a,
                      const struct rv_operation *op) {
    for (size_t i = 0; i < op->n_tasks; i++)
        launch_one(m, a, op, &op->tasks[i]);
}

/* Of one executor, all tasks share its control groups or none does. */
static bool mixes_cgroups(const struct rv_master_acceptance *a, const struct rv_operation *op,
                          const struct rv_master_executor *running) {
    for (size_t i = 1; i < op->n_tasks; i++)
        if (op->tasks[i].own_cgroups != op->tasks[0].own_cgroups)
            return true;
    if (!running)
        return false;
    RV_LIST_EACH (&a->agent->tasks, node, tmp) {
        const struct rv_master_task *t = RV_LIST_ENTRY(node, struct rv_master_task, on_agent);
        if (t->framework == a->framework && rv_streq(t->executor_id.v, running->info.id.v) &&
            t->info.own_cgroups != op->tasks[0].own_cgroups)
            return true;
    }
    return false;
}

static bool is_same(const struct rv_executor_info *a, const struct rv_executor_info *b) {
    return a->type == b->type && rv_streq(a->id.v, b->id.v) && rv_blob_eq(a->packed, b->packed);
}

/* What is wrong with the group; NULL: nothing, and `needs` and `executor` are filled. */
static const char *group_problem(struct rv_master *m, const struct rv_master_acceptance *a,
                                 const struct rv_operation *op, struct need *needs,
                                 struct need *executor) {
    struct rv_resources left = {0};
    struct rv_map ids = {0};
    const char *problem;

    if (op->problem)
        return op->problem;
    if (op->id.v)
        return "LAUNCH_GROUP cannot have an id: its tasks are what is told of, not the operation";
    if (!op->executor)
        return "Task group has no executor";
    if ((problem = executor_problem(m, a, op->executor, executor)))
        return RV_MASTER_TEXT(m, "Task group %s", problem);
    if (mixes_cgroups(a, op, executor->running))
        return "Task group is not valid: 'share_cgroups' must be the same for all tasks of a group "
               "and for all of an executor";
    rv_resources_copy(&left, &a->available);
    if ((problem = take(m, &left, &executor->executor)))
        problem = RV_MASTER_TEXT(m, "Task group has an executor that %s", problem);
    for (size_t i = 0; i < op->n_tasks && !problem; i++) {
        const struct rv_task_info *info = &op->tasks[i];

        problem = info->executor && !is_same(info->executor, op->executor)
                      ? "has another executor than its group"
                      : NULL;
        if (!problem)
            problem = task_problem(m, a, info, &needs[i]);
        if (!problem && rv_map_put(&ids, rv_str(info->id.v), &needs[i]))
            problem = "is twice in it";
        if (!problem)
            problem = pair_problem(m, &info->resources, &op->executor->resources);
        if (!problem)
            problem = take(m, &left, &needs[i].task);
        if (problem)
            problem =
                RV_MASTER_TEXT(m, "Task group is not valid: task '%s' %s", info->id.v, problem);
    }
    rv_resources_free(&left);
    rv_map_free(&ids);
    return problem;
}

void rv_master_launch_group(struct rv_master *m, struct rv_master_acceptance *a,
                            const struct rv_operation *op) {
    struct need *needs = RV_ARENA_ARRAY(&m->out->arena, struct need, op->n_tasks);
    struct rv_master_task **tasks =
        RV_ARENA_ARRAY(&m->out->arena, struct rv_master_task *, op->n_tasks);
    struct need executor = {0};
    const char *problem;

    if (op->n_tasks == 0) {
        m->counters.dropped_messages++;
        RV_MASTER_WARN(m, "framework %s: LAUNCH_GROUP without tasks", a->framework->id.v);
        return;
    }
    problem = group_problem(m, a, op, needs, &executor);
    for (size_t i = 0; i < op->n_tasks; i++) {
        if (problem) {
            refuse(m, a, &op->tasks[i], RV_REASON_TASK_GROUP_INVALID, problem);
            continue;
        }
        if (i == 0) {
            needs[0].running = executor.running;
            rv_resources_move(&needs[0].executor, &executor.executor);
        } else {
            needs[i].running = rv_master_executor_find(a->agent, a->framework, op->executor->id.v);
        }
        tasks[i] = book(m, a, &op->tasks[i], op->executor, &needs[i]);
    }
    if (!problem)
        run(m, a, tasks, op->tasks, op->n_tasks,
            rv_master_executor_find(a->agent, a->framework, op->executor->id.v),
            needs[0].running ? NULL : op->executor, true);
    for (size_t i = 0; i < op->n_tasks; i++)
        need_free(&needs[i]);
    need_free(&executor);
}
