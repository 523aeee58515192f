/* reeve_executor: the executor's core on the shell, the environment, callbacks. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "framework/client_shell.h"
#include "framework/executor_core.h"
#include "framework/internal.h"

#define EVENT(name) REEVE__V1__EXECUTOR__EVENT__TYPE__##name

struct reeve_executor {
    struct rv_executor_core core;
    struct rv_client_shell shell;
    struct reeve_executor_callbacks callbacks;
    void *ctx;
};

#define TELL(e, name, ...)                                                                         \
    do {                                                                                           \
        if ((e)->callbacks.name)                                                                   \
            (e)->callbacks.name((e), (e)->ctx, __VA_ARGS__);                                       \
    } while (0)

/* ---- events ---- */

static void tell_group(struct reeve_executor *e, const Reeve__V1__TaskGroupInfo *group) {
    if (e->callbacks.launch_group) {
        e->callbacks.launch_group(e, e->ctx, group->tasks, group->n_tasks);
        return;
    }
    for (size_t i = 0; i < group->n_tasks; i++)
        TELL(e, launch, group->tasks[i]);
}

static void tell_event(struct reeve_executor *e, const Reeve__V1__Executor__Event *event,
                       bool again) {
    TELL(e, event, event);
    switch (event->has_type ? event->type : EVENT(UNKNOWN)) {
    case EVENT(SUBSCRIBED):
        TELL(e, subscribed, event->subscribed, again);
        break;
    case EVENT(LAUNCH):
        if (event->launch)
            TELL(e, launch, event->launch->task);
        break;
    case EVENT(LAUNCH_GROUP):
        if (event->launch_group)
            tell_group(e, event->launch_group->task_group);
        break;
    case EVENT(KILL):
        if (event->kill)
            TELL(e, kill, event->kill->task_id->value, event->kill->kill_policy);
        break;
    case EVENT(MESSAGE):
        if (event->message)
            TELL(e, message, event->message->data.data, event->message->data.len);
        break;
    case EVENT(SHUTDOWN):
        if (e->callbacks.shutdown)
            e->callbacks.shutdown(e, e->ctx);
        else
            reeve_executor_stop(e);
        break;
    default: /* ACKNOWLEDGED is the core's; ERROR is told as the end */
        break;
    }
}

static void tell(void *ctx, const struct rv_client_action *action) {
    struct reeve_executor *e = ctx;

    switch (action->type) {
    case RV_CLIENT_EVENT:
        tell_event(e, (const Reeve__V1__Executor__Event *)action->event, action->again);
        break;
    case RV_CLIENT_LOST:
        TELL(e, disconnected, action->text);
        break;
    case RV_CLIENT_FATAL:
        TELL(e, error, action->text);
        break;
    case RV_CLIENT_STOPPED:
        TELL(e, stopped, action->status);
        break;
    case RV_CLIENT_CALL_FAILED: /* an update is told again by the next SUBSCRIBE */
    case RV_CLIENT_CONNECT:
    case RV_CLIENT_DISCONNECT:
    case RV_CLIENT_SEND:
        break;
    }
}

static void tick(void *ctx, int64_t now_ms) {
    struct reeve_executor *e = ctx;

    rv_executor_core_tick(&e->core, now_ms);
}

static int64_t deadline(const void *ctx) {
    const struct reeve_executor *e = ctx;

    return rv_executor_core_deadline(&e->core);
}

static void released(void *ctx) {
    struct reeve_executor *e = ctx;

    rv_executor_core_free(&e->core);
    free(e);
}

/* ---- the environment ---- */

/* A duration of the environment in ms; fallback if it is not there or makes no sense. */
static unsigned duration_ms(const char *name, unsigned fallback) {
    const char *text = getenv(name);
    int64_t ns;

    if (!text || rv_parse_duration_ns(text, &ns) || ns < 0)
        return fallback;
    return (unsigned)RV_MIN(ns / 1000000, (int64_t)UINT32_MAX / 2);
}

/* MESOS_AGENT_ENDPOINT, or what follows the @ in MESOS_SLAVE_PID. */
static const char *agent_from_environment(void) {
    const char *endpoint = getenv("MESOS_AGENT_ENDPOINT");
    const char *pid = getenv("MESOS_SLAVE_PID");

    if (!endpoint && pid && (pid = strchr(pid, '@')))
        endpoint = pid + 1;
    return endpoint;
}

static struct rv_executor_settings settings_of(const struct reeve_executor_config *config) {
    const char *checkpoint = getenv("MESOS_CHECKPOINT");
    struct rv_executor_settings s = {
        .agent = config->agent ? config->agent : agent_from_environment(),
        .framework_id = config->framework_id ? config->framework_id : getenv("MESOS_FRAMEWORK_ID"),
        .executor_id = config->executor_id ? config->executor_id : getenv("MESOS_EXECUTOR_ID"),
        .token = getenv("MESOS_EXECUTOR_AUTHENTICATION_TOKEN"),
        .encoding = config->encoding,
        .checkpoint = config->recovery_timeout_ms > 0 || (checkpoint && !strcmp(checkpoint, "1")),
        .exit_when_idle = config->exit_when_idle,
        .recovery_timeout_ms = config->recovery_timeout_ms,
        .backoff_max_ms = config->backoff_max_ms,
        .grace_period_ms = config->grace_period_ms,
    };

    if (!s.recovery_timeout_ms)
        s.recovery_timeout_ms = duration_ms("MESOS_RECOVERY_TIMEOUT", 15 * 60 * 1000);
    if (!s.backoff_max_ms)
        s.backoff_max_ms = duration_ms("MESOS_SUBSCRIPTION_BACKOFF_MAX", 2000);
    if (!s.backoff_max_ms)
        s.backoff_max_ms = 1;
    if (!s.grace_period_ms)
        s.grace_period_ms = duration_ms("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", 5000);
    return s;
}

/* ---- life ---- */

struct reeve_executor *reeve_executor_new(const struct reeve_executor_config *config,
                                          struct reeve_error *err) {
    static const struct rv_client_shell_owner owner = {tell, tick, deadline, released};
    struct rv_executor_settings settings = settings_of(config);
    struct reeve_executor *e;
    struct rv_error inner = {0};

    if (!config->callbacks) {
        rv_framework_error(err, REEVE_ERR_INVALID, "config.callbacks is missing");
        return NULL;
    }
    e = rv_calloc(1, sizeof *e);
    e->callbacks = *config->callbacks;
    e->ctx = config->ctx;
    if (rv_executor_core_init(&e->core, &settings, rv_client_random_seed(), &inner)) {
        rv_framework_error(err, REEVE_ERR_INVALID, inner.message);
        free(e);
        return NULL;
    }
    if (rv_client_shell_init(&e->shell, &e->core.client, config->loop, &owner, e)) {
        rv_framework_error(err, REEVE_ERR_SYSTEM, "there can be no event loop");
        released(e);
        return NULL;
    }
    return e;
}

void reeve_executor_free(struct reeve_executor *e) {
    if (e)
        rv_client_shell_close(&e->shell);
}

int reeve_executor_start(struct reeve_executor *e) {
    if (e->shell.stopped)
        return REEVE_ERR_STOPPED;
    rv_executor_core_start(&e->core, rv_client_now_ms());
    rv_client_shell_drain(&e->shell);
    return 0;
}

int reeve_executor_run(struct reeve_executor *e) {
    int rc = reeve_executor_start(e);

    return rc ? rc : rv_client_shell_run(&e->shell);
}

void reeve_executor_stop(struct reeve_executor *e) {
    rv_executor_core_stop(&e->core, rv_client_now_ms());
    rv_client_shell_drain(&e->shell);
}

struct uv_loop_s *reeve_executor_loop(struct reeve_executor *e) {
    return e->shell.loop;
}

const char *reeve_executor_error(const struct reeve_executor *e) {
    return e->core.client.last_error;
}

const char *reeve_executor_agent_id(const struct reeve_executor *e) {
    return e->core.agent_id;
}

/* ---- calls ---- */

int reeve_executor_update(struct reeve_executor *e, const Reeve__V1__TaskStatus *status) {
    struct timespec t;
    int rc;

    clock_gettime(CLOCK_REALTIME, &t);
    rc = rv_executor_core_update(&e->core, status, (double)t.tv_sec + (double)t.tv_nsec / 1e9,
                                 rv_client_now_ms());
    rv_client_shell_drain(&e->shell);
    return rc;
}

int reeve_executor_status(struct reeve_executor *e, const char *task_id, Reeve__V1__TaskState state,
                          const char *message, const void *data, size_t n) {
    Reeve__V1__TaskStatus status = REEVE__V1__TASK_STATUS__INIT;
    Reeve__V1__TaskID id = REEVE__V1__TASK_ID__INIT;

    id.value = rv_unconst(task_id);
    status.task_id = &id;
    status.state = state;
    status.message = rv_unconst(message);
    status.has_data = data != NULL;
    status.data.data = rv_unconst(data);
    status.data.len = n;
    return reeve_executor_update(e, &status);
}

int reeve_executor_message(struct reeve_executor *e, const void *data, size_t n) {
    int rc = rv_executor_core_message(&e->core, data, n);

    rv_client_shell_drain(&e->shell);
    return rc;
}
