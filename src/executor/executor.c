/*
 * The built-in executors' state machine, see executor.h: tasks' lives, the connection to the agent,
 * and the end. Holds: a task goes through its phases in order and makes one terminal update; the
 * executor ends only when no process of a task is left, and, unless nobody can hear it any more,
 * when the agent has acknowledged everything. A step costs O(tasks + updates).
 */
#include "executor/executor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "executor/internal.h"

enum {
    DEFAULT_GRACE_MS = 3000,  /* between SIGTERM and SIGKILL */
    FIRST_CONTACT_MS = 10000, /* an agent that was never heard, without checkpointing */
    ACKNOWLEDGE_MS = 60000,   /* an agent that listens but does not acknowledge */
    RESEND_MS = 1000,         /* after a call that failed */
    FIRST_BACKOFF_MS = 100,
    MAX_REFUSALS = 3,
};

struct rv_executor *rv_executor_new(const struct rv_executor_config *config) {
    struct rv_executor *x = rv_calloc(1, sizeof *x);

    x->config = *config;
    x->framework_id = rv_strdup(config->framework_id);
    x->executor_id = rv_strdup(config->executor_id);
    x->give_up_ms = x->resend_at_ms = x->ack_by_ms = INT64_MAX;
    return x;
}

static void free_held(struct held_end *held) {
    if (!held)
        return;
    if (held->limitation)
        reeve__v1__task_resource_limitation__free_unpacked(held->limitation, NULL);
    free(held->message);
    free(held);
}

static void free_task(struct task *task) {
    free_held(task->held);
    reeve__v1__task_info__free_unpacked(task->info, NULL);
    free(task);
}

void rv_executor_clear(struct rv_executor *x) {
    for (size_t i = 0; i < x->bodies.n; i++)
        free(x->bodies.v[i]);
    for (size_t i = 0; i < x->dead.n; i++)
        free_task(x->dead.v[i]);
    x->bodies.n = x->dead.n = x->actions.n = 0;
}

struct rv_executor *rv_executor_free(struct rv_executor *x) {
    if (!x)
        return NULL;
    rv_executor_clear(x);
    for (size_t i = 0; i < x->tasks.n; i++)
        free_task(x->tasks.v[i]);
    for (size_t i = 0; i < x->updates.n; i++)
        reeve__v1__task_status__free_unpacked(x->updates.v[i].status, NULL);
    if (x->container_id)
        reeve__v1__container_id__free_unpacked(x->container_id, NULL);
    rv_vec_free(&x->tasks);
    rv_vec_free(&x->updates);
    rv_vec_free(&x->bodies);
    rv_vec_free(&x->dead);
    rv_vec_free(&x->actions);
    free(x->framework_id);
    free(x->executor_id);
    free(x);
    return NULL;
}

struct rv_executor_action *rv_executor_act(struct rv_executor *x,
                                           enum rv_executor_action_kind kind) {
    struct rv_executor_action a = {.kind = kind};

    rv_vec_push(&x->actions, a);
    return &x->actions.v[x->actions.n - 1];
}

static char *keep_text(struct rv_executor *x, char *text) {
    rv_vec_push(&x->bodies, text);
    return text;
}

static struct task *find_task(const struct rv_executor *x, unsigned number) {
    for (size_t i = 0; i < x->tasks.n; i++)
        if (x->tasks.v[i]->number == number)
            return x->tasks.v[i];
    return NULL;
}

static int64_t after(int64_t now_ms, int64_t delay_ms) {
    return delay_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + RV_MAX(delay_ms, 0);
}

static int64_t grace_of(const Reeve__V1__KillPolicy *policy, int64_t otherwise) {
    return policy && policy->grace_period ? RV_MAX(policy->grace_period->nanoseconds / 1000000, 0)
                                          : otherwise;
}

int64_t rv_executor_grace_ms(const struct task *task) {
    return grace_of(task->info->kill_policy, DEFAULT_GRACE_MS);
}

void rv_executor_kill_task(struct rv_executor *x, struct task *task, enum kill_cause cause,
                           int64_t grace_ms, const char *message) {
    int64_t kill_ms = after(x->now_ms, grace_ms);

    if (task->phase == PHASE_ENDED || task->held)
        return;
    if (task->phase != PHASE_RUNNING) {
        /* While it is launched, LAUNCHED goes on with this. A second kill may shorten the first,
         * never lengthen it. */
        if (!task->cause && task->phase == PHASE_LAUNCHING)
            rv_executor_act(x, RV_EXECUTOR_CANCEL_LAUNCH)->task = task->number;
        task->cause = task->cause ? task->cause : cause;
        task->kill_ms = RV_MIN(task->kill_ms, kill_ms);
        return;
    }
    rv_executor_checks_stop(x, task);
    task->phase = PHASE_KILLING;
    task->cause = cause;
    task->kill_ms = kill_ms;
    if (x->killing_state) {
        struct status_extra extra = {.reason = -1, .message = message};
        if (cause == CAUSE_COMPLETION_TIME)
            extra.reason = REEVE__V1__TASK_STATUS__REASON__REASON_MAX_COMPLETION_TIME_REACHED;
        rv_executor_tell(x, task, REEVE__V1__TASK_STATE__TASK_KILLING, &extra);
    }
    rv_executor_act(x, RV_EXECUTOR_TERMINATE)->task = task->number;
}

static void kill_group(struct rv_executor *x, const struct task *of, int64_t grace_ms,
                       const char *message) {
    for (size_t i = 0; i < x->tasks.n; i++) {
        struct task *task = x->tasks.v[i];
        if (task != of && task->group == of->group)
            rv_executor_kill_task(x, task, CAUSE_KILL,
                                  grace_ms >= 0 ? grace_ms : rv_executor_grace_ms(task), message);
    }
}

/* Everything is to end before the agent loses patience, with time left to say so. */
static void stop_all(struct rv_executor *x, bool abandoned) {
    int64_t grace = x->config.shutdown_grace_ms;

    grace = grace > 2000 ? grace - 1000 : grace / 2;
    if (abandoned && !x->abandoned)
        rv_executor_act(x, RV_EXECUTOR_ABANDON);
    x->stopping = true;
    x->abandoned = x->abandoned || abandoned;
    for (size_t i = 0; i < x->tasks.n; i++)
        rv_executor_kill_task(x, x->tasks.v[i], CAUSE_KILL,
                              RV_MIN(grace, rv_executor_grace_ms(x->tasks.v[i])),
                              "The executor is shut down");
}

static void launch(struct rv_executor *x, const Reeve__V1__TaskInfo *info, unsigned group) {
    struct task *task;
    struct rv_executor_action *a;
    uint8_t uuid[UUID_SIZE];

    if (x->stopping) {
        rv_executor_refuse(x, info, "The executor is shutting down");
        return;
    }
    if (x->config.mode == RV_EXECUTOR_COMMAND && x->launched_any) {
        rv_executor_refuse(x, info, "The command executor runs one task only");
        return;
    }
    x->launched_any = true;
    task = rv_calloc(1, sizeof *task);
    task->number = x->next_task++;
    task->group = group;
    task->info = rv_executor_copy_task(info);
    task->kill_ms = task->completion_ms = INT64_MAX;
    rv_executor_new_uuid(x, uuid);
    rv_executor_uuid_text(uuid, task->container);
    rv_executor_checks_init(x, task);
    rv_vec_push(&x->tasks, task);
    a = rv_executor_act(x, RV_EXECUTOR_LAUNCH);
    a->task = task->number;
    a->info = task->info;
    a->container = task->container;
    a->parent = x->container_id;
}

static void end_task(struct rv_executor *x, struct task *task, Reeve__V1__TaskState state,
                     const struct status_extra *extra) {
    rv_executor_checks_stop(x, task);
    task->phase = PHASE_ENDED;
    task->kill_ms = task->completion_ms = INT64_MAX;
    rv_executor_tell(x, task, state, extra);
    if (state != REEVE__V1__TASK_STATE__TASK_FINISHED)
        kill_group(x, task, -1, "Another task of the group ended");
}

static void launched(struct rv_executor *x, struct task *task, const struct rv_executor_input *in) {
    struct status_extra extra = {.reason = -1};
    const Reeve__V1__DurationInfo *limit = task->info->max_completion_time;

    if (task->phase != PHASE_LAUNCHING)
        return;
    if (!in->ok) {
        bool killed = task->cause == CAUSE_KILL;
        extra.message = killed ? "Killed before it was started" : in->message;
        end_task(x, task,
                 killed ? REEVE__V1__TASK_STATE__TASK_KILLED : REEVE__V1__TASK_STATE__TASK_FAILED,
                 &extra);
        return;
    }
    task->phase = PHASE_RUNNING;
    task->started_ms = x->now_ms;
    if (limit)
        task->completion_ms = after(x->now_ms, limit->nanoseconds / 1000000);
    rv_executor_checks_start(x, task);
    rv_executor_tell(x, task, REEVE__V1__TASK_STATE__TASK_RUNNING, &extra);
    if (task->cause)
        rv_executor_kill_task(x, task, task->cause, task->kill_ms - x->now_ms, NULL);
}

static char *describe_end(const struct rv_executor_input *in) {
    int status = in->wait_status;

    if (!in->has_status)
        return rv_strdup("Command terminated with unknown status");
    if (WIFEXITED(status))
        return rv_asprintf("Command exited with status %d", WEXITSTATUS(status));
    if (WIFSIGNALED(status))
        return rv_asprintf("Command terminated with signal %s", strsignal(WTERMSIG(status)));
    return rv_asprintf("Command ended with wait status %d", status);
}

/* Of a task that ended for a reason of ours; the message is completed. */
static Reeve__V1__TaskState state_of(struct rv_executor *x, const struct task *task,
                                     const struct rv_executor_input *in,
                                     struct status_extra *extra) {
    switch (task->cause) {
    case CAUSE_COMPLETION_TIME:
        extra->reason = REEVE__V1__TASK_STATUS__REASON__REASON_MAX_COMPLETION_TIME_REACHED;
        extra->message =
            keep_text(x, rv_asprintf("Task exceeded its max_completion_time: %s", extra->message));
        return REEVE__V1__TASK_STATE__TASK_FAILED;
    case CAUSE_UNHEALTHY:
        extra->has_healthy = true;
        extra->reason = REEVE__V1__TASK_STATUS__REASON__REASON_TASK_HEALTH_CHECK_STATUS_UPDATED;
        extra->message = keep_text(x, rv_asprintf("Task was unhealthy: %s", extra->message));
        return REEVE__V1__TASK_STATE__TASK_KILLED;
    case CAUSE_KILL:
        return REEVE__V1__TASK_STATE__TASK_KILLED;
    case CAUSE_NONE:
    default:
        return in->has_status && in->wait_status == 0 ? REEVE__V1__TASK_STATE__TASK_FINISHED
                                                      : REEVE__V1__TASK_STATE__TASK_FAILED;
    }
}

static bool is_being_launched(const struct rv_executor *x, unsigned group) {
    for (size_t i = 0; i < x->tasks.n; i++)
        if (x->tasks.v[i]->group == group && x->tasks.v[i]->phase == PHASE_LAUNCHING)
            return true;
    return false;
}

static void hold(struct rv_executor *x, struct task *task, const struct rv_executor_input *in) {
    struct held_end *held = rv_calloc(1, sizeof *held);

    rv_executor_checks_stop(x, task);
    held->end = *in;
    held->end.message = held->message = in->message ? rv_strdup(in->message) : NULL;
    held->limitation = in->limitation ? rv_executor_copy_limitation(in->limitation) : NULL;
    held->end.limitation = held->limitation;
    task->held = held;
    task->completion_ms = task->kill_ms = INT64_MAX;
}

/* That all of a group run is told before any of them has ended. */
static void exited(struct rv_executor *x, struct task *task, const struct rv_executor_input *in) {
    struct status_extra extra = {.reason = -1, .limitation = in->limitation};
    Reeve__V1__TaskState state;

    if ((task->phase != PHASE_RUNNING && task->phase != PHASE_KILLING) || task->held)
        return;
    if (is_being_launched(x, task->group)) {
        hold(x, task, in);
        return;
    }
    extra.message = keep_text(x, describe_end(in));
    state = state_of(x, task, in, &extra);
    /* What the agent did to it is the better reason, whatever we wanted. */
    if (in->has_reason) {
        state = REEVE__V1__TASK_STATE__TASK_FAILED;
        extra.reason = in->reason;
    }
    if (in->message)
        extra.message = keep_text(x, rv_asprintf("%s: %s", extra.message, in->message));
    end_task(x, task, state, &extra);
}

/* All of a group are launched, or never will be: what has ended meanwhile is told. */
static void tell_held(struct rv_executor *x, unsigned group) {
    if (is_being_launched(x, group))
        return;
    for (size_t i = 0; i < x->tasks.n; i++) {
        struct task *task = x->tasks.v[i];
        struct held_end *held = task->group == group ? TAKE_PTR(task->held) : NULL;
        if (!held)
            continue;
        exited(x, task, &held->end);
        free_held(held);
    }
}

static void subscribed(struct rv_executor *x, const Reeve__V1__Executor__Event__Subscribed *s) {
    if (!s)
        return;
    x->connected = x->ever_subscribed = true;
    x->subscribing = false;
    x->attempts = x->refusals = 0;
    x->give_up_ms = x->ack_by_ms = INT64_MAX;
    x->killing_state = false;
    for (size_t i = 0; i < s->framework_info->n_capabilities; i++)
        if (s->framework_info->capabilities[i]->type ==
            REEVE__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__TASK_KILLING_STATE)
            x->killing_state = true;
    /* It does not change, and actions have named it. */
    if (s->container_id && !x->container_id)
        x->container_id = rv_executor_copy_container(s->container_id);
    /* What was made since SUBSCRIBE was sent was not in it. */
    rv_executor_resend(x, x->told);
}

static void kill_event(struct rv_executor *x, const Reeve__V1__Executor__Event__Kill *k) {
    for (size_t i = 0; k && i < x->tasks.n; i++) {
        struct task *task = x->tasks.v[i];
        if (!rv_streq(task->info->task_id->value, k->task_id->value) || task->phase == PHASE_ENDED)
            continue;
        rv_executor_kill_task(x, task, CAUSE_KILL,
                              grace_of(k->kill_policy, rv_executor_grace_ms(task)), NULL);
        /* The group goes together: its members need not wait for this one's grace period. */
        kill_group(x, task, grace_of(k->kill_policy, -1), "A task of the group was killed");
        return;
    }
}

static void disconnected(struct rv_executor *x, int status) {
    int64_t limit = RV_MAX(x->config.backoff_max_ms, 1);
    bool refused = status == 400 || status == 401 || status == 403;
    int64_t backoff = FIRST_BACKOFF_MS;
    uint32_t random;

    x->connected = x->subscribing = false;
    x->resend_at_ms = x->ack_by_ms = INT64_MAX;
    x->refusals = refused ? x->refusals + 1 : 0;
    if ((x->ever_subscribed && !x->config.checkpoint) || x->refusals >= MAX_REFUSALS) {
        stop_all(x, true);
        return;
    }
    for (unsigned i = 0; i < x->attempts && backoff < limit; i++)
        backoff *= 2;
    x->attempts++;
    x->config.random(x->config.random_ctx, &random, sizeof random);
    x->subscribe_at_ms = x->now_ms + 1 + (int64_t)random % RV_MIN(backoff, limit);
    if (x->give_up_ms == INT64_MAX)
        x->give_up_ms = after(x->now_ms, x->config.checkpoint ? x->config.recovery_timeout_ms
                                                              : FIRST_CONTACT_MS);
}

static void event(struct rv_executor *x, const Reeve__V1__Executor__Event *e) {
    switch ((int)e->type) {
    case REEVE__V1__EXECUTOR__EVENT__TYPE__SUBSCRIBED:
        subscribed(x, e->subscribed);
        break;
    case REEVE__V1__EXECUTOR__EVENT__TYPE__LAUNCH:
        if (e->launch)
            launch(x, e->launch->task, x->next_group++);
        break;
    case REEVE__V1__EXECUTOR__EVENT__TYPE__LAUNCH_GROUP:
        if (!e->launch_group)
            break;
        for (size_t i = 0; i < e->launch_group->task_group->n_tasks; i++)
            launch(x, e->launch_group->task_group->tasks[i], x->next_group);
        x->next_group++;
        break;
    case REEVE__V1__EXECUTOR__EVENT__TYPE__KILL:
        kill_event(x, e->kill);
        break;
    case REEVE__V1__EXECUTOR__EVENT__TYPE__ACKNOWLEDGED:
        if (e->acknowledged)
            rv_executor_acknowledged(x, e->acknowledged);
        break;
    case REEVE__V1__EXECUTOR__EVENT__TYPE__SHUTDOWN:
    case REEVE__V1__EXECUTOR__EVENT__TYPE__ERROR: /* the agent's last word to us */
        stop_all(x, false);
        break;
    default: /* MESSAGE, HEARTBEAT and what is unknown: nothing to do */
        break;
    }
}

static void tick_task(struct rv_executor *x, struct task *task) {
    if (task->phase == PHASE_RUNNING && x->now_ms >= task->completion_ms)
        rv_executor_kill_task(x, task, CAUSE_COMPLETION_TIME, 0,
                              "Task exceeded its max_completion_time");
    if (task->phase == PHASE_KILLING && !task->kill_sent && x->now_ms >= task->kill_ms) {
        task->kill_sent = true;
        rv_executor_act(x, RV_EXECUTOR_KILL)->task = task->number;
    }
    rv_executor_checks_tick(x, task);
}

static void tick(struct rv_executor *x) {
    if (!x->connected && x->now_ms >= x->give_up_ms)
        stop_all(x, true);
    if (!x->connected && !x->subscribing && !x->abandoned && x->now_ms >= x->subscribe_at_ms) {
        x->subscribing = true;
        rv_executor_subscribe(x);
    }
    if (x->connected && x->now_ms >= x->resend_at_ms) {
        x->resend_at_ms = INT64_MAX;
        rv_executor_resend(x, 0);
    }
    for (size_t i = 0; i < x->tasks.n; i++)
        tick_task(x, x->tasks.v[i]);
}

static void finish(struct rv_executor *x, int status, const char *message) {
    struct rv_executor_action *a = rv_executor_act(x, RV_EXECUTOR_EXIT);

    a->status = status;
    a->message = message;
    x->exited = true;
}

static void end_if_done(struct rv_executor *x) {
    for (size_t i = 0; i < x->tasks.n; i++)
        if (x->tasks.v[i]->phase != PHASE_ENDED)
            return;
    if (!x->launched_any && !x->stopping && !x->updates.n)
        return;
    if (x->abandoned)
        finish(x, 1, "The agent is gone");
    else if (!x->updates.n)
        finish(x, 0, NULL);
    else if (x->connected && x->ack_by_ms == INT64_MAX)
        x->ack_by_ms = x->now_ms + ACKNOWLEDGE_MS;
    else if (x->connected && x->now_ms >= x->ack_by_ms)
        finish(x, 1, "The agent does not acknowledge the last updates");
}

const struct rv_executor_actions *rv_executor_step(struct rv_executor *x,
                                                   const struct rv_executor_input *in) {
    struct task *task = find_task(x, in->task);

    rv_executor_clear(x);
    x->now_ms = in->now_ms;
    x->wall_s = in->wall_s;
    if (x->exited)
        return &x->actions;
    switch (in->kind) {
    case RV_EXECUTOR_TICK:
        break;
    case RV_EXECUTOR_EVENT:
        event(x, in->event);
        break;
    case RV_EXECUTOR_DISCONNECTED:
        disconnected(x, in->status);
        break;
    case RV_EXECUTOR_CALL_FAILED:
        x->resend_at_ms = RV_MIN(x->resend_at_ms, x->now_ms + RESEND_MS);
        break;
    case RV_EXECUTOR_LAUNCHED:
        if (task) {
            launched(x, task, in);
            tell_held(x, task->group);
        }
        break;
    case RV_EXECUTOR_EXITED:
        if (task)
            exited(x, task, in);
        break;
    case RV_EXECUTOR_CHECKED:
        if (task)
            rv_executor_checked(x, task, in);
        break;
    case RV_EXECUTOR_STOP:
        stop_all(x, false);
        break;
    default:
        break;
    }
    tick(x);
    end_if_done(x);
    return &x->actions;
}

int64_t rv_executor_deadline(const struct rv_executor *x) {
    int64_t at = INT64_MAX;

    if (x->exited)
        return at;
    if (!x->connected && !x->abandoned) {
        at = RV_MIN(at, x->give_up_ms);
        if (!x->subscribing)
            at = RV_MIN(at, x->subscribe_at_ms);
    }
    if (x->connected)
        at = RV_MIN(at, RV_MIN(x->resend_at_ms, x->ack_by_ms));
    for (size_t i = 0; i < x->tasks.n; i++) {
        const struct task *task = x->tasks.v[i];
        if (task->phase == PHASE_RUNNING)
            at = RV_MIN(at, task->completion_ms);
        if (task->phase == PHASE_KILLING && !task->kill_sent)
            at = RV_MIN(at, task->kill_ms);
        at = RV_MIN(at, rv_executor_checks_deadline(x, task));
    }
    return at;
}
