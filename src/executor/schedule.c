/*
 * When a task's checks are made and what their results mean, as the peer's health-checks.md has it:
 * the first one after delay_seconds, the next interval_seconds after the end of the one before,
 * failure after timeout_seconds. Holds: at most one run of each check at a time; none starts
 * without a connection to the agent, so that unheard updates do not pile up.
 */
#include "executor/internal.h"

/* A check without a pause would keep a processor busy. */
enum { MIN_INTERVAL_MS = 50 };

static int64_t to_ms(double seconds) {
    if (!(seconds > 0)) /* NaN too */
        return 0;
    return seconds > 1e9 ? (int64_t)1e12 : (int64_t)(seconds * 1000);
}

static void init_health(struct checker *c, const Reeve__V1__HealthCheck *h) {
    c->on = true;
    c->at_ms = to_ms(h->delay_seconds);
    c->interval_ms = RV_MAX(to_ms(h->interval_seconds), MIN_INTERVAL_MS);
    c->timeout_ms = to_ms(h->timeout_seconds);
    c->grace_ms = to_ms(h->grace_period_seconds);
    c->max_failures = h->consecutive_failures;
    c->spec.path = "/";
    c->spec.scheme = "http";
    /* The numbers of both type enums are the same; without type it follows from what is there. */
    c->spec.type = h->has_type  ? (Reeve__V1__CheckInfo__Type)h->type
                   : h->command ? REEVE__V1__CHECK_INFO__TYPE__COMMAND
                   : h->http    ? REEVE__V1__CHECK_INFO__TYPE__HTTP
                                : REEVE__V1__CHECK_INFO__TYPE__TCP;
    c->spec.command = h->command;
    if (h->http) {
        c->spec.port = h->http->port;
        c->spec.ipv6 = h->http->protocol == REEVE__V1__NETWORK_INFO__PROTOCOL__IPv6;
        c->spec.path = h->http->path ? h->http->path : "/";
        c->spec.scheme = h->http->scheme ? h->http->scheme : "http";
    } else if (h->tcp) {
        c->spec.port = h->tcp->port;
        c->spec.ipv6 = h->tcp->protocol == REEVE__V1__NETWORK_INFO__PROTOCOL__IPv6;
    }
}

static void init_check(struct checker *c, const Reeve__V1__CheckInfo *info) {
    c->on = true;
    c->at_ms = to_ms(info->delay_seconds);
    c->interval_ms = RV_MAX(to_ms(info->interval_seconds), MIN_INTERVAL_MS);
    c->timeout_ms = to_ms(info->timeout_seconds);
    c->value = -1;
    c->spec.path = "/";
    c->spec.scheme = "http";
    c->spec.type = info->type;
    if (info->command)
        c->spec.command = info->command->command;
    if (info->http) {
        c->spec.port = info->http->port;
        c->spec.path = info->http->path ? info->http->path : "/";
    } else if (info->tcp) {
        c->spec.port = info->tcp->port;
    }
}

void rv_executor_checks_init(struct rv_executor *x, struct task *task) {
    (void)x;
    if (task->info->health_check)
        init_health(&task->checkers[RV_EXECUTOR_HEALTH], task->info->health_check);
    if (task->info->check)
        init_check(&task->checkers[RV_EXECUTOR_CHECK], task->info->check);
}

void rv_executor_checks_start(struct rv_executor *x, struct task *task) {
    for (int i = 0; i < RV_EXECUTOR_CHECK_MAX; i++)
        task->checkers[i].at_ms += x->now_ms;
}

void rv_executor_checks_stop(struct rv_executor *x, struct task *task) {
    for (int i = 0; i < RV_EXECUTOR_CHECK_MAX; i++) {
        struct checker *c = &task->checkers[i];
        if (c->running) {
            struct rv_executor_action *a = rv_executor_act(x, RV_EXECUTOR_CANCEL_CHECK);
            a->task = task->number;
            a->check = (enum rv_executor_check)i;
        }
        c->running = false;
        c->at_ms = INT64_MAX;
    }
}

static bool is_healthy(const struct checker *c, const struct rv_executor_input *in) {
    if (!in->ok)
        return false;
    switch ((int)c->spec.type) {
    case REEVE__V1__CHECK_INFO__TYPE__COMMAND:
        return in->value == 0;
    case REEVE__V1__CHECK_INFO__TYPE__HTTP:
        return in->value >= 200 && in->value <= 399;
    default:
        return in->value == 1;
    }
}

static void health_result(struct rv_executor *x, struct task *task, struct checker *c,
                          const struct rv_executor_input *in) {
    struct status_extra extra = {
        .reason = REEVE__V1__TASK_STATUS__REASON__REASON_TASK_HEALTH_CHECK_STATUS_UPDATED};
    bool healthy = is_healthy(c, in);

    if (healthy) {
        bool tell = !c->known || !c->ok;
        c->known = c->ok = true;
        c->failures = 0;
        c->grace_ms = 0; /* it does not apply any more */
        if (tell)
            rv_executor_tell(x, task, REEVE__V1__TASK_STATE__TASK_RUNNING, &extra);
        return;
    }
    if (c->grace_ms > 0 && x->now_ms - task->started_ms <= c->grace_ms)
        return;
    c->known = true;
    c->ok = false;
    c->failures++;
    extra.message = in->message;
    rv_executor_tell(x, task, REEVE__V1__TASK_STATE__TASK_RUNNING, &extra);
    if (c->failures >= c->max_failures)
        rv_executor_kill_task(x, task, CAUSE_UNHEALTHY, rv_executor_grace_ms(task),
                              "Task is unhealthy");
}

static void check_result(struct rv_executor *x, struct task *task, struct checker *c,
                         const struct rv_executor_input *in) {
    struct status_extra extra = {
        .reason = REEVE__V1__TASK_STATUS__REASON__REASON_TASK_CHECK_STATUS_UPDATED,
        .message = in->message};
    int value = in->ok ? in->value : -1;

    if (c->known && c->value == value)
        return;
    c->known = true;
    c->value = value;
    rv_executor_tell(x, task, REEVE__V1__TASK_STATE__TASK_RUNNING, &extra);
}

void rv_executor_checked(struct rv_executor *x, struct task *task,
                         const struct rv_executor_input *in) {
    struct checker *c = &task->checkers[in->check];

    if (!c->running || task->phase != PHASE_RUNNING)
        return;
    c->running = false;
    c->at_ms = x->now_ms + c->interval_ms;
    if (in->unknown)
        return;
    if (in->check == RV_EXECUTOR_HEALTH)
        health_result(x, task, c, in);
    else
        check_result(x, task, c, in);
}

void rv_executor_checks_tick(struct rv_executor *x, struct task *task) {
    for (int i = 0; i < RV_EXECUTOR_CHECK_MAX; i++) {
        struct checker *c = &task->checkers[i];
        struct rv_executor_action *a;

        if (!c->on || task->phase != PHASE_RUNNING || x->now_ms < c->at_ms)
            continue;
        if (c->running) {
            struct rv_executor_input late = {.check = (enum rv_executor_check)i,
                                             .message = "The check timed out"};
            a = rv_executor_act(x, RV_EXECUTOR_CANCEL_CHECK);
            a->task = task->number;
            a->check = (enum rv_executor_check)i;
            rv_executor_checked(x, task, &late);
        } else if (x->connected) {
            c->running = true;
            /* Zero is no limit, as the peer has it. */
            c->at_ms = c->timeout_ms ? x->now_ms + c->timeout_ms : INT64_MAX;
            a = rv_executor_act(x, RV_EXECUTOR_START_CHECK);
            a->task = task->number;
            a->check = (enum rv_executor_check)i;
            a->spec = c->spec;
            a->info = task->info;
            a->container = task->container;
            a->parent = x->container_id;
        }
    }
}

int64_t rv_executor_checks_deadline(const struct rv_executor *x, const struct task *task) {
    int64_t at = INT64_MAX;

    if (task->phase != PHASE_RUNNING)
        return at;
    for (int i = 0; i < RV_EXECUTOR_CHECK_MAX; i++) {
        const struct checker *c = &task->checkers[i];
        if (c->on && (c->running || x->connected))
            at = RV_MIN(at, c->at_ms);
    }
    return at;
}
