/* What must always hold between two steps, checked record by record; the simulator and the tests
 * call it after each step. Costs a look at all that the agent has. */
#include "agent/internal.h"

static const char *breach(struct rv_agent *a, const char *what, const char *id) {
    free(a->problem);
    a->problem = rv_asprintf("%s: %s", what, id ? id : "?");
    return a->problem;
}

static bool updates_hold(const struct rv_agent_task *t) {
    for (size_t i = 0; i + 1 < t->updates.n; i++) {
        if (rv_task_state_terminal(t->updates.v[i].status.state)) {
            return false;
        }
    }
    return true;
}

static const char *check_task(struct rv_agent *a, const struct rv_agent_executor *ex,
                              const struct rv_agent_task *t) {
    bool terminal = rv_task_state_terminal(t->state);

    if (t->executor != ex || rv_map_gets(&ex->framework->tasks, t->id.v) != t) {
        return breach(a, "a task is not where its executor is", t->id.v);
    }
    if (t->place == RV_TASK_COMPLETED || terminal != (t->place == RV_TASK_TERMINATED)) {
        return breach(a, "a task's place does not fit its state", t->id.v);
    }
    if (t->place == RV_TASK_TERMINATED && t->updates.n == 0) {
        return breach(a, "a terminal task waits for nothing", t->id.v);
    }
    if (t->place == RV_TASK_LAUNCHED && t->kept != RV_KEPT_YES) {
        return breach(a, "a task was given away before it was durable (INV-35)", t->id.v);
    }
    if (t->place == RV_TASK_LAUNCHED && ex->state == RV_EXECUTOR_REGISTERING) {
        return breach(a, "a task was given to an executor that is not there", t->id.v);
    }
    if (t->sent && (t->updates.n == 0 || !t->updates.v[0].durable)) {
        return breach(a, "an update was sent before it was durable (INV-35)", t->id.v);
    }
    if (t->sent && (a->link != RV_LINK_REGISTERED || !rv_timer_is_set(&t->retry))) {
        return breach(a, "an update was sent and nothing sends it again (INV-35)", t->id.v);
    }
    if (a->link == RV_LINK_REGISTERED && !t->sent && !t->acknowledging && t->updates.n &&
        t->updates.v[0].durable) {
        return breach(a, "an update could be sent and is not (INV-36)", t->id.v);
    }
    if (!updates_hold(t)) {
        return breach(a, "an update follows a terminal one (INV-37)", t->id.v);
    }
    if (t->statuses.n > a->config.max_statuses || t->seen.n > RV_AGENT_SEEN_MAX) {
        return breach(a, "a task keeps too much", t->id.v);
    }
    if (t->kill_pending &&
        (t->place != RV_TASK_LAUNCHED || (ex->stream && ex->state == RV_EXECUTOR_RUNNING))) {
        return breach(a, "a kill waits that could be done", t->id.v);
    }
    return NULL;
}

static const char *check_resources(struct rv_agent *a, const struct rv_agent_executor *ex) {
    struct rv_resources sum = {0};
    struct rv_agent_task *t;
    bool equal;

    rv_resources_copy(&sum, &ex->info.resources);
    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        if (t->place != RV_TASK_TERMINATED) {
            rv_resources_add(&sum, &t->info.resources);
        }
    }
    equal = rv_resources_eq(&sum, &ex->resources);
    rv_resources_free(&sum);
    return equal ? NULL : breach(a, "an executor's resources are not the sum", ex->info.id.v);
}

static const char *check_executor(struct rv_agent *a, const struct rv_agent_framework *fw,
                                  const struct rv_agent_executor *ex) {
    bool over = ex->state == RV_EXECUTOR_TERMINATED;
    const char *problem = NULL;
    struct rv_agent_task *t;

    if (ex->framework != fw || ex->checked) {
        return breach(a, "an executor is not where its framework is", ex->info.id.v);
    }
    if ((rv_map_gets(&a->containers, ex->container_id.v) == ex) == over) {
        return breach(a, "a container does not fit its executor's state", ex->info.id.v);
    }
    if (over && (rv_map_count(&ex->tasks) == 0 || ex->stream || rv_timer_is_set(&ex->timer))) {
        return breach(a, "an executor is over and still here", ex->info.id.v);
    }
    if (ex->stream && rv_map_get(&a->streams, rv_agent_number_key(&ex->stream)) != ex) {
        return breach(a, "a stream does not know its executor", ex->info.id.v);
    }
    if ((ex->stream != 0) != rv_timer_is_set(&ex->heartbeat)) {
        return breach(a, "a stream without heartbeats (INV-46)", ex->info.id.v);
    }
    if (!ex->started && (ex->state != RV_EXECUTOR_REGISTERING && !over)) {
        return breach(a, "an executor runs that was not started", ex->info.id.v);
    }
    if (ex->started && fw->info.checkpoint && ex->kept != RV_KEPT_YES) {
        return breach(a, "a container was asked for before its checkpoint", ex->info.id.v);
    }
    if (ex->completed.n > a->config.max_completed_tasks) {
        return breach(a, "an executor keeps too many tasks", ex->info.id.v);
    }
    for (size_t i = 0; !problem && rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        problem = check_task(a, ex, t);
    }
    return problem ? problem : check_resources(a, ex);
}

static const char *check_framework(struct rv_agent *a, const struct rv_agent_framework *fw) {
    size_t tasks = 0;
    const char *problem = NULL;
    struct rv_agent_executor *ex;

    if (rv_map_count(&fw->executors) == 0) {
        return breach(a, "a framework has nothing here", fw->id.v);
    }
    if (fw->completed.n > a->config.max_completed_executors) {
        return breach(a, "a framework keeps too many executors", fw->id.v);
    }
    for (size_t i = 0; !problem && rv_map_next(&fw->executors, &i, NULL, (void **)&ex);) {
        problem = check_executor(a, fw, ex);
        tasks += rv_map_count(&ex->tasks);
    }
    if (!problem && tasks != rv_map_count(&fw->tasks)) {
        return breach(a, "a framework's tasks are not those of its executors", fw->id.v);
    }
    return problem;
}

static const char *check_link(struct rv_agent *a) {
    if (a->link == RV_LINK_REGISTERED && (!a->info.id.v || !rv_timer_is_set(&a->ping))) {
        return breach(a, "registered without an id or a ping to come", a->info.id.v);
    }
    if (a->link == RV_LINK_REGISTERING && !rv_timer_is_set(&a->registration)) {
        return breach(a, "no try to register is planned (INV-21)", a->info.id.v);
    }
    if (!a->master_known && a->link != RV_LINK_NONE && a->link != RV_LINK_STOPPED) {
        return breach(a, "linked to no master (INV-3)", a->info.id.v);
    }
    if (a->recovering && (a->link == RV_LINK_REGISTERED || a->link == RV_LINK_REGISTERING)) {
        return breach(a, "registering before recovery is done (INV-18)", a->info.id.v);
    }
    if (a->completed.n > a->config.max_completed_frameworks || a->check.n || a->out) {
        return breach(a, "a step left something behind", a->info.id.v);
    }
    return NULL;
}

static const char *check_operation(struct rv_agent *a, const struct rv_agent_operation *o) {
    bool under_way = o->kept == RV_KEPT_WRITING;

    if (under_way && !rv_map_get(&a->pending, rv_agent_number_key(&o->write))) {
        return breach(a, "an operation waits for a write that is over", o->operation.id.v);
    }
    if (o->sent && (under_way || a->link != RV_LINK_REGISTERED || !rv_timer_is_set(&o->retry))) {
        return breach(a, "an operation's end was sent too early, or is not sent again (INV-42)",
                      o->operation.id.v);
    }
    if (!under_way && !o->sent && a->link == RV_LINK_REGISTERED) {
        return breach(a, "an operation's end could be sent and is not (INV-42)", o->operation.id.v);
    }
    if (!under_way && o->forgotten && a->link == RV_LINK_REGISTERED) {
        return breach(a, "an operation is over and still here", o->operation.id.v);
    }
    return NULL;
}

/* A living executor's volumes are there (INV-32); a record that was passed over may have made one.
 */
static const char *check_volumes(struct rv_agent *a, const struct rv_agent_executor *ex) {
    const struct rv_resources *r = &ex->resources;

    if (ex->state > RV_EXECUTOR_RUNNING || a->counters.recovery_errors) {
        return NULL;
    }
    for (size_t i = 0; i < r->n; i++) {
        bool found = !rv_kind_is_volume(r->v[i].kind);
        for (size_t k = 0; k < a->total.n && !found; k++) {
            found = rv_kind_is_same_volume(r->v[i].kind, a->total.v[k].kind);
        }
        if (!found) {
            return breach(a, "an executor uses a volume that is not there (INV-32)",
                          r->v[i].kind->disk->persistence_id);
        }
    }
    return NULL;
}

static const char *check_operations(struct rv_agent *a) {
    struct rv_resources total = {0};
    const char *problem = NULL;
    struct rv_agent_operation *o;
    bool fits = true;

    if (rv_map_count(&a->operations) > RV_AGENT_OPERATIONS_MAX) {
        return breach(a, "too many operations are kept", NULL);
    }
    rv_resources_copy(&total, &a->durable_total);
    for (size_t i = 0; !problem && rv_map_next(&a->operations, &i, NULL, (void **)&o);) {
        problem = check_operation(a, o);
        fits = fits && (o->kept != RV_KEPT_WRITING || rv_conversion_apply(&o->conversion, &total));
    }
    if (!problem && !(fits && rv_resources_eq(&total, &a->total))) {
        problem = breach(a, "the total is not what the operations under way make of it", NULL);
    }
    rv_resources_free(&total);
    return problem;
}

const char *rv_agent_check(struct rv_agent *a) {
    const char *problem = check_link(a);
    struct rv_agent_framework *fw;
    struct rv_agent_executor *ex;
    size_t streams = 0;

    if (a->refusal) {
        return NULL; /* it stopped half way, and takes no steps */
    }
    if (!problem) {
        problem = check_operations(a);
    }
    for (size_t i = 0; !problem && rv_map_next(&a->frameworks, &i, NULL, (void **)&fw);) {
        problem = check_framework(a, fw);
    }
    for (size_t i = 0; !problem && rv_map_next(&a->containers, &i, NULL, (void **)&ex);) {
        streams += ex->stream != 0;
        if (rv_map_gets(&a->garbage, ex->directory) ||
            !rv_agent_directory_is_known(a, ex->directory)) {
            problem = breach(a, "the sandbox of a container may be collected", ex->info.id.v);
        } else {
            problem = check_volumes(a, ex);
        }
    }
    if (!problem && streams != rv_map_count(&a->streams)) {
        return breach(a, "a stream has no executor", NULL);
    }
    return problem;
}
