/*
 * reeve_scheduler: the scheduler's core on the shell, callbacks, and the helpers that make calls.
 * Costs nothing beside its connection; a helper builds its call on the stack.
 */
#include <stdio.h>
#include <stdlib.h>

#include "framework/client_shell.h"
#include "framework/internal.h"
#include "framework/scheduler_core.h"

#define CALL(name) REEVE__V1__SCHEDULER__CALL__TYPE__##name
#define EVENT(name) REEVE__V1__SCHEDULER__EVENT__TYPE__##name

struct reeve_scheduler {
    struct rv_scheduler_core core;
    struct rv_client_shell shell;
    struct reeve_scheduler_callbacks callbacks;
    void *ctx;
};

/* Calls a callback that may be missing. */
#define TELL(s, name, ...)                                                                         \
    do {                                                                                           \
        if ((s)->callbacks.name)                                                                   \
            (s)->callbacks.name((s), (s)->ctx, __VA_ARGS__);                                       \
    } while (0)

/* ---- events ---- */

static void tell_event(struct reeve_scheduler *s, const Reeve__V1__Scheduler__Event *e,
                       bool again) {
    TELL(s, event, e);
    switch (e->has_type ? e->type : EVENT(UNKNOWN)) {
    case EVENT(SUBSCRIBED):
        TELL(s, subscribed, e->subscribed, again);
        break;
    case EVENT(OFFERS):
        if (e->offers)
            TELL(s, offers, e->offers->offers, e->offers->n_offers);
        break;
    case EVENT(INVERSE_OFFERS):
        if (e->inverse_offers)
            TELL(s, inverse_offers, e->inverse_offers->inverse_offers,
                 e->inverse_offers->n_inverse_offers);
        break;
    case EVENT(RESCIND):
        if (e->rescind)
            TELL(s, rescinded, e->rescind->offer_id->value);
        break;
    case EVENT(RESCIND_INVERSE_OFFER):
        if (e->rescind_inverse_offer)
            TELL(s, inverse_rescinded, e->rescind_inverse_offer->inverse_offer_id->value);
        break;
    case EVENT(UPDATE):
        if (e->update)
            TELL(s, update, e->update->status);
        break;
    case EVENT(UPDATE_OPERATION_STATUS):
        if (e->update_operation_status)
            TELL(s, operation_update, e->update_operation_status->status);
        break;
    case EVENT(MESSAGE):
        if (e->message)
            TELL(s, message, e->message->agent_id->value, e->message->executor_id->value,
                 e->message->data.data, e->message->data.len);
        break;
    case EVENT(FAILURE):
        if (e->failure)
            TELL(s, failure, e->failure);
        break;
    default: /* heartbeats; ERROR is told as the end; what we do not know */
        break;
    }
}

static void tell(void *ctx, const struct rv_client_action *action) {
    struct reeve_scheduler *s = ctx;

    switch (action->type) {
    case RV_CLIENT_EVENT:
        tell_event(s, (const Reeve__V1__Scheduler__Event *)action->event, action->again);
        break;
    case RV_CLIENT_LOST:
        TELL(s, disconnected, action->text);
        break;
    case RV_CLIENT_FATAL:
        TELL(s, error, action->text);
        break;
    case RV_CLIENT_CALL_FAILED:
        TELL(s, call_failed, (Reeve__V1__Scheduler__Call__Type)action->call_type, action->status,
             action->text);
        break;
    case RV_CLIENT_STOPPED:
        TELL(s, stopped, action->status);
        break;
    case RV_CLIENT_CONNECT:
    case RV_CLIENT_DISCONNECT:
    case RV_CLIENT_SEND:
        break;
    }
}

static void tick(void *ctx, int64_t now_ms) {
    struct reeve_scheduler *s = ctx;

    rv_client_tick(&s->core.client, now_ms);
}

static int64_t deadline(const void *ctx) {
    const struct reeve_scheduler *s = ctx;

    return rv_client_deadline(&s->core.client);
}

static void released(void *ctx) {
    struct reeve_scheduler *s = ctx;

    rv_scheduler_core_free(&s->core);
    free(s);
}

/* ---- life ---- */

struct reeve_scheduler *reeve_scheduler_new(const struct reeve_scheduler_config *config,
                                            struct reeve_error *err) {
    static const struct rv_client_shell_owner owner = {tell, tick, deadline, released};
    struct reeve_scheduler *s;
    struct rv_error inner = {0};

    if (!config->callbacks) {
        rv_framework_error(err, REEVE_ERR_INVALID, "config.callbacks is missing");
        return NULL;
    }
    s = rv_calloc(1, sizeof *s);
    s->callbacks = *config->callbacks;
    s->ctx = config->ctx;
    if (rv_scheduler_core_init(&s->core, config, rv_client_random_seed(), &inner)) {
        rv_framework_error(err, REEVE_ERR_INVALID, inner.message);
        free(s);
        return NULL;
    }
    if (rv_client_shell_init(&s->shell, &s->core.client, config->loop, &owner, s)) {
        rv_framework_error(err, REEVE_ERR_SYSTEM, "there can be no event loop");
        released(s);
        return NULL;
    }
    return s;
}

void reeve_scheduler_free(struct reeve_scheduler *s) {
    if (s)
        rv_client_shell_close(&s->shell);
}

int reeve_scheduler_start(struct reeve_scheduler *s) {
    if (s->shell.stopped)
        return REEVE_ERR_STOPPED;
    rv_client_start(&s->core.client, rv_client_now_ms());
    rv_client_shell_drain(&s->shell);
    return 0;
}

int reeve_scheduler_run(struct reeve_scheduler *s) {
    int rc = reeve_scheduler_start(s);

    return rc ? rc : rv_client_shell_run(&s->shell);
}

void reeve_scheduler_stop(struct reeve_scheduler *s, bool teardown) {
    rv_scheduler_core_stop(&s->core, teardown, rv_client_now_ms());
    rv_client_shell_drain(&s->shell);
}

struct uv_loop_s *reeve_scheduler_loop(struct reeve_scheduler *s) {
    return s->shell.loop;
}

const char *reeve_scheduler_framework_id(const struct reeve_scheduler *s) {
    return s->core.framework->id ? s->core.framework->id->value : NULL;
}

bool reeve_scheduler_subscribed(const struct reeve_scheduler *s) {
    return s->core.client.state == RV_CLIENT_SUBSCRIBED;
}

size_t reeve_scheduler_pending(const struct reeve_scheduler *s) {
    return s->core.client.pending;
}

const char *reeve_scheduler_error(const struct reeve_scheduler *s) {
    return s->core.client.last_error;
}

/* ---- calls ---- */

int reeve_scheduler_call(struct reeve_scheduler *s, const Reeve__V1__Scheduler__Call *call) {
    int rc = rv_scheduler_core_call(&s->core, call, rv_client_now_ms());

    rv_client_shell_drain(&s->shell);
    return rc;
}

static int call(struct reeve_scheduler *s, Reeve__V1__Scheduler__Call *c,
                Reeve__V1__Scheduler__Call__Type type) {
    c->has_type = true;
    c->type = type;
    return reeve_scheduler_call(s, c);
}

/* Ids are messages of one string each: n of them, to be freed in one piece. */
#define MAKE_IDS(type, init, values, n, ret)                                                       \
    do {                                                                                           \
        type **list_ = rv_calloc((n) + 1, sizeof *list_ + sizeof **list_);                         \
        type *ids_ = (type *)(void *)(list_ + (n) + 1);                                            \
        for (size_t i_ = 0; i_ < (n); i_++) {                                                      \
            init(&ids_[i_]);                                                                       \
            ids_[i_].value = rv_unconst((values)[i_]);                                             \
            list_[i_] = &ids_[i_];                                                                 \
        }                                                                                          \
        (ret) = list_;                                                                             \
    } while (0)

static Reeve__V1__Filters *set_filters(Reeve__V1__Filters *filters, double refuse_seconds) {
    reeve__v1__filters__init(filters);
    if (refuse_seconds < 0)
        return NULL;
    filters->has_refuse_seconds = true;
    filters->refuse_seconds = refuse_seconds;
    return filters;
}

int reeve_scheduler_accept(struct reeve_scheduler *s, const char *const *offer_ids, size_t n_offers,
                           Reeve__V1__Offer__Operation *const *operations, size_t n_operations,
                           double refuse_seconds) {
    Reeve__V1__Scheduler__Call c = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Accept body = REEVE__V1__SCHEDULER__CALL__ACCEPT__INIT;
    Reeve__V1__Filters filters;
    _cleanup_free_ Reeve__V1__OfferID **ids = NULL;

    MAKE_IDS(Reeve__V1__OfferID, reeve__v1__offer_id__init, offer_ids, n_offers, ids);
    c.accept = &body;
    body.offer_ids = ids;
    body.n_offer_ids = n_offers;
    body.operations = (Reeve__V1__Offer__Operation **)rv_unconst(operations);
    body.n_operations = n_operations;
    body.filters = set_filters(&filters, refuse_seconds);
    return call(s, &c, CALL(ACCEPT));
}

int reeve_scheduler_launch(struct reeve_scheduler *s, const Reeve__V1__Offer *offer,
                           Reeve__V1__TaskInfo *const *tasks, size_t n, double refuse_seconds) {
    Reeve__V1__Offer__Operation operation = REEVE__V1__OFFER__OPERATION__INIT;
    Reeve__V1__Offer__Operation__Launch launch = REEVE__V1__OFFER__OPERATION__LAUNCH__INIT;
    Reeve__V1__Offer__Operation *operations[] = {&operation};

    operation.has_type = true;
    operation.type = REEVE__V1__OFFER__OPERATION__TYPE__LAUNCH;
    operation.launch = &launch;
    launch.task_infos = (Reeve__V1__TaskInfo **)rv_unconst(tasks);
    launch.n_task_infos = n;
    return reeve_scheduler_accept(s, (const char *const[]){offer->id->value}, 1, operations, 1,
                                  refuse_seconds);
}

int reeve_scheduler_decline(struct reeve_scheduler *s, const char *const *offer_ids, size_t n,
                            double refuse_seconds) {
    Reeve__V1__Scheduler__Call c = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Decline body = REEVE__V1__SCHEDULER__CALL__DECLINE__INIT;
    Reeve__V1__Filters filters;
    _cleanup_free_ Reeve__V1__OfferID **ids = NULL;

    MAKE_IDS(Reeve__V1__OfferID, reeve__v1__offer_id__init, offer_ids, n, ids);
    c.decline = &body;
    body.offer_ids = ids;
    body.n_offer_ids = n;
    body.filters = set_filters(&filters, refuse_seconds);
    return call(s, &c, CALL(DECLINE));
}

int reeve_scheduler_kill(struct reeve_scheduler *s, const char *task_id, const char *agent_id) {
    Reeve__V1__Scheduler__Call c = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Kill body = REEVE__V1__SCHEDULER__CALL__KILL__INIT;
    Reeve__V1__TaskID task = REEVE__V1__TASK_ID__INIT;
    Reeve__V1__AgentID agent = REEVE__V1__AGENT_ID__INIT;

    task.value = rv_unconst(task_id);
    agent.value = rv_unconst(agent_id);
    c.kill = &body;
    body.task_id = &task;
    body.agent_id = agent_id ? &agent : NULL;
    return call(s, &c, CALL(KILL));
}

struct reconcile_item {
    Reeve__V1__Scheduler__Call__Reconcile__Task task;
    Reeve__V1__TaskID id;
    Reeve__V1__AgentID agent;
};

int reeve_scheduler_reconcile(struct reeve_scheduler *s, const char *const *task_ids,
                              const char *const *agent_ids, size_t n) {
    Reeve__V1__Scheduler__Call c = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Reconcile body = REEVE__V1__SCHEDULER__CALL__RECONCILE__INIT;
    _cleanup_free_ struct reconcile_item *items = rv_calloc(n + 1, sizeof *items);
    _cleanup_free_ Reeve__V1__Scheduler__Call__Reconcile__Task **tasks =
        rv_calloc(n + 1, sizeof *tasks);

    for (size_t i = 0; i < n; i++) {
        struct reconcile_item *item = &items[i];
        reeve__v1__scheduler__call__reconcile__task__init(&item->task);
        reeve__v1__task_id__init(&item->id);
        item->id.value = rv_unconst(task_ids[i]);
        item->task.task_id = &item->id;
        if (agent_ids && agent_ids[i]) {
            reeve__v1__agent_id__init(&item->agent);
            item->agent.value = rv_unconst(agent_ids[i]);
            item->task.agent_id = &item->agent;
        }
        tasks[i] = &item->task;
    }
    c.reconcile = &body;
    body.tasks = tasks;
    body.n_tasks = n;
    return call(s, &c, CALL(RECONCILE));
}

int reeve_scheduler_revive(struct reeve_scheduler *s, const char *const *roles, size_t n) {
    Reeve__V1__Scheduler__Call c = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Revive body = REEVE__V1__SCHEDULER__CALL__REVIVE__INIT;

    c.revive = &body;
    body.roles = rv_unconst(roles);
    body.n_roles = n;
    return call(s, &c, CALL(REVIVE));
}

int reeve_scheduler_suppress(struct reeve_scheduler *s, const char *const *roles, size_t n) {
    Reeve__V1__Scheduler__Call c = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Suppress body = REEVE__V1__SCHEDULER__CALL__SUPPRESS__INIT;

    c.suppress = &body;
    body.roles = rv_unconst(roles);
    body.n_roles = n;
    return call(s, &c, CALL(SUPPRESS));
}

int reeve_scheduler_message(struct reeve_scheduler *s, const char *agent_id,
                            const char *executor_id, const void *data, size_t n) {
    Reeve__V1__Scheduler__Call c = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Message body = REEVE__V1__SCHEDULER__CALL__MESSAGE__INIT;
    Reeve__V1__AgentID agent = REEVE__V1__AGENT_ID__INIT;
    Reeve__V1__ExecutorID executor = REEVE__V1__EXECUTOR_ID__INIT;

    agent.value = rv_unconst(agent_id);
    executor.value = rv_unconst(executor_id);
    c.message = &body;
    body.agent_id = &agent;
    body.executor_id = &executor;
    body.data.data = rv_unconst(data);
    body.data.len = n;
    return call(s, &c, CALL(MESSAGE));
}

int reeve_scheduler_shutdown(struct reeve_scheduler *s, const char *executor_id,
                             const char *agent_id) {
    Reeve__V1__Scheduler__Call c = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Shutdown body = REEVE__V1__SCHEDULER__CALL__SHUTDOWN__INIT;
    Reeve__V1__AgentID agent = REEVE__V1__AGENT_ID__INIT;
    Reeve__V1__ExecutorID executor = REEVE__V1__EXECUTOR_ID__INIT;

    agent.value = rv_unconst(agent_id);
    executor.value = rv_unconst(executor_id);
    c.shutdown = &body;
    body.agent_id = &agent;
    body.executor_id = &executor;
    return call(s, &c, CALL(SHUTDOWN));
}

int reeve_scheduler_acknowledge(struct reeve_scheduler *s, const Reeve__V1__TaskStatus *status) {
    int rc = rv_scheduler_core_acknowledge(&s->core, status);

    rv_client_shell_drain(&s->shell);
    return rc;
}

int reeve_scheduler_acknowledge_operation(struct reeve_scheduler *s,
                                          const Reeve__V1__OperationStatus *status) {
    int rc = rv_scheduler_core_acknowledge_operation(&s->core, status);

    rv_client_shell_drain(&s->shell);
    return rc;
}
