/*
 * libreeve: frameworks for Reeve, and for whatever else speaks the Apache Mesos v1 API.
 *
 * A framework has two halves. Its scheduler subscribes with the master, gets offers of resources
 * and launches tasks on them: struct reeve_scheduler. Its executor, if the framework brings its
 * own, is started by the agent and runs those tasks: struct reeve_executor. Both are driven by
 * callbacks and keep their subscription alive by themselves: they find the leading master, follow
 * redirects, watch heartbeats, come back after a broken connection with a growing, random wait,
 * send calls in the order in which they were made and acknowledge updates.
 *
 * Messages are protobuf-c structs, Reeve__V1__Offer and so on, from the headers below reeve/v1/.
 *
 * Threads: an object and all that is called on it belong to the one thread that runs its loop.
 * Different objects may live in different threads.
 * Ownership: what a callback gets is valid until it returns; what a function is given is copied or
 * sent before it returns. What reeve_*_new() gives is freed by the function its comment names.
 * Units: durations end in _ms and are milliseconds; 0 means the default that the comment says.
 * cpus are cpus, mem and disk are MB.
 * Errors: functions that can fail return 0 or a negative enum reeve_code, and say more in a
 * struct reeve_error or by reeve_scheduler_error() and reeve_executor_error(). Running out of
 * memory ends the process with a line on standard error.
 * Signals: the process must ignore SIGPIPE; reeve_scheduler_run() and reeve_executor_run() see to
 * that, with a loop of your own you do.
 *
 * Link with `pkg-config --cflags --libs reeve`.
 */
#ifndef REEVE_H
#define REEVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reeve/v1/executor.pb-c.h"
#include "reeve/v1/scheduler.pb-c.h"
#include "reeve/v1/v1.pb-c.h"

#ifdef __cplusplus
extern "C" {
#endif

#define REEVE_VERSION "0.1.0"
#define REEVE_API __attribute__((visibility("default")))

struct uv_loop_s; /* libuv's uv_loop_t */

enum reeve_code {
    REEVE_OK = 0,
    REEVE_ERR_INVALID = -1,      /* an argument, or what the other side sent, is wrong */
    REEVE_ERR_DISCONNECTED = -2, /* not subscribed at the moment: the call was not sent */
    REEVE_ERR_REFUSED = -3,      /* the master or agent will not have us, for good */
    REEVE_ERR_STOPPED = -4,      /* stopped already */
    REEVE_ERR_TIMEOUT = -5,      /* the agent stayed away for longer than the recovery timeout */
    REEVE_ERR_SYSTEM = -6,       /* the operating system refused something */
};

struct reeve_error {
    int code; /* enum reeve_code */
    char message[512];
};

/* REEVE_VERSION of the library that runs. */
REEVE_API const char *reeve_version(void);
/* A code as words. Never NULL. */
REEVE_API const char *reeve_code_text(int code);

enum reeve_encoding { REEVE_PROTOBUF, REEVE_JSON };

/* ---- scheduler ---- */

struct reeve_scheduler;

/* Any of them may be NULL. ctx is the one of the config. All functions of the scheduler, but
 * reeve_scheduler_free(), may be called from inside. */
struct reeve_scheduler_callbacks {
    /* Subscribed: offers and updates may come, calls may be made. `again`: after a disconnection;
     * calls that were under way then may be lost, so reconcile what you launched. The id of the
     * framework, to be kept for a failover of your own, is in event->framework_id. */
    void (*subscribed)(struct reeve_scheduler *s, void *ctx,
                       const Reeve__V1__Scheduler__Event__Subscribed *event, bool again);
    /* The stream broke. Offers that were held are void. It is being renewed already. */
    void (*disconnected)(struct reeve_scheduler *s, void *ctx, const char *why);
    void (*offers)(struct reeve_scheduler *s, void *ctx, Reeve__V1__Offer *const *offers, size_t n);
    /* The offer is void. */
    void (*rescinded)(struct reeve_scheduler *s, void *ctx, const char *offer_id);
    void (*inverse_offers)(struct reeve_scheduler *s, void *ctx,
                           Reeve__V1__InverseOffer *const *offers, size_t n);
    void (*inverse_rescinded)(struct reeve_scheduler *s, void *ctx, const char *offer_id);
    /* A task's status. Acknowledged when this returns, unless manual_acknowledge is set: then call
     * reeve_scheduler_acknowledge() once you have it safe. Comes again until acknowledged. */
    void (*update)(struct reeve_scheduler *s, void *ctx, const Reeve__V1__TaskStatus *status);
    /* The same for operations on resources that have an id: how each ended. Answers to
     * RECONCILE_OPERATIONS come here, too. */
    void (*operation_update)(struct reeve_scheduler *s, void *ctx,
                             const Reeve__V1__OperationStatus *status);
    /* From an executor; may be lost on the way. */
    void (*message)(struct reeve_scheduler *s, void *ctx, const char *agent_id,
                    const char *executor_id, const void *data, size_t n);
    /* An executor ended (executor_id is set), or an agent is gone for good. Its tasks have
     * updates of their own. */
    void (*failure)(struct reeve_scheduler *s, void *ctx,
                    const Reeve__V1__Scheduler__Event__Failure *event);
    /* The end: the framework was removed, replaced by another instance, or not accepted. */
    void (*error)(struct reeve_scheduler *s, void *ctx, const char *message);
    /* The master answered a call with something else than "accepted", or it could not be sent.
     * http_status is 0 if there was no answer. */
    void (*call_failed)(struct reeve_scheduler *s, void *ctx, Reeve__V1__Scheduler__Call__Type type,
                        int http_status, const char *why);
    /* Each event, heartbeats too, before the callback of its kind. */
    void (*event)(struct reeve_scheduler *s, void *ctx, const Reeve__V1__Scheduler__Event *event);
    /* Once, last: nothing is under way any more. result as of reeve_scheduler_run(). */
    void (*stopped)(struct reeve_scheduler *s, void *ctx, int result);
};

/* Zero it, then set what you need; master, framework and callbacks are required. */
struct reeve_scheduler_config {
    /* "host:port", or several with commas between, tried in turn until one knows the leader. The
     * port may be left out: 5050. IPv6 addresses in brackets. */
    const char *master;
    /* Who we are; the id is set only for a failover of an earlier instance. Copied. */
    const Reeve__V1__FrameworkInfo *framework;
    const char *const *suppressed_roles; /* roles to begin without offers for */
    size_t n_suppressed_roles;
    const struct reeve_scheduler_callbacks *callbacks; /* copied */
    void *ctx;
    enum reeve_encoding encoding;
    struct uv_loop_s *loop;         /* yours; NULL: the scheduler has a loop of its own */
    bool manual_acknowledge;        /* else updates are acknowledged when their callback returned */
    const char *principal, *secret; /* HTTP basic authentication; NULL: none */
    unsigned backoff_min_ms;        /* wait before the second attempt to connect; 250 */
    unsigned backoff_max_ms;        /* limit of its growth; 15,000 */
    unsigned subscribe_timeout_ms;  /* from connecting to SUBSCRIBED; 15,000 */
    unsigned missed_heartbeats;     /* intervals without an event that break the stream; 5 */
};

/* NULL if the config is wrong, err (may be NULL) says how. Nothing is sent yet. */
REEVE_API struct reeve_scheduler *reeve_scheduler_new(const struct reeve_scheduler_config *config,
                                                      struct reeve_error *err);
/* Not from a callback. Ends without a word to the master, which waits for the framework's failover
 * timeout. A loop of yours must run once more, or be left to run, to free everything; callbacks
 * are not called any more. NULL is fine. */
REEVE_API void reeve_scheduler_free(struct reeve_scheduler *s);

/* With a loop of your own: begins. Run the loop; `stopped` tells the end. */
REEVE_API int reeve_scheduler_start(struct reeve_scheduler *s);
/* With the scheduler's own loop: begins and runs until the end. 0 after reeve_scheduler_stop(),
 * else why it ended: REEVE_ERR_REFUSED; reeve_scheduler_error() has the words. */
REEVE_API int reeve_scheduler_run(struct reeve_scheduler *s);
/* Ends after the calls made so far were answered, or 5 s. teardown: the master forgets the
 * framework and kills its tasks; else it waits for the failover timeout. Later calls are refused,
 * no event is delivered any more. */
REEVE_API void reeve_scheduler_stop(struct reeve_scheduler *s, bool teardown);

REEVE_API struct uv_loop_s *reeve_scheduler_loop(struct reeve_scheduler *s);
/* The id that the master gave, NULL before the first SUBSCRIBED. Valid until the next callback. */
REEVE_API const char *reeve_scheduler_framework_id(const struct reeve_scheduler *s);
REEVE_API bool reeve_scheduler_subscribed(const struct reeve_scheduler *s);
/* Calls that were not answered yet: what to look at before making thousands more. */
REEVE_API size_t reeve_scheduler_pending(const struct reeve_scheduler *s);
/* What happened last, in words; "" at first. */
REEVE_API const char *reeve_scheduler_error(const struct reeve_scheduler *s);

/* Any call. Type must be set; framework_id is filled in. All the helpers below end here. Returns 0
 * if it is on its way, REEVE_ERR_DISCONNECTED, REEVE_ERR_STOPPED, or REEVE_ERR_INVALID for
 * SUBSCRIBE and for a call without a type. */
REEVE_API int reeve_scheduler_call(struct reeve_scheduler *s,
                                   const Reeve__V1__Scheduler__Call *call);

/* Filters for an answer to an offer: how long not to offer again what is left of it. */
#define REEVE_REFUSE_DEFAULT (-1.0) /* the master's default, 5 s */

/* Launches n tasks on one offer. Set agent_id of each from the offer; reeve_task_new() does. */
REEVE_API int reeve_scheduler_launch(struct reeve_scheduler *s, const Reeve__V1__Offer *offer,
                                     Reeve__V1__TaskInfo *const *tasks, size_t n,
                                     double refuse_seconds);
/* Any operations on offers of one agent, in order: each may use what those before it made, so one
 * call can reserve, create a volume and launch on it. Give an operation on resources an id to hear
 * of its end. */
REEVE_API int reeve_scheduler_accept(struct reeve_scheduler *s, const char *const *offer_ids,
                                     size_t n_offers,
                                     Reeve__V1__Offer__Operation *const *operations,
                                     size_t n_operations, double refuse_seconds);
REEVE_API int reeve_scheduler_decline(struct reeve_scheduler *s, const char *const *offer_ids,
                                      size_t n, double refuse_seconds);
/* agent_id may be NULL. */
REEVE_API int reeve_scheduler_kill(struct reeve_scheduler *s, const char *task_id,
                                   const char *agent_id);
/* Asks for the state of these tasks; agent_ids may be NULL, and each of them. n = 0: of all that
 * the master knows. The answers are updates. */
REEVE_API int reeve_scheduler_reconcile(struct reeve_scheduler *s, const char *const *task_ids,
                                        const char *const *agent_ids, size_t n);
/* roles: n = 0 means all of the framework's. Revive also forgets all filters. */
REEVE_API int reeve_scheduler_revive(struct reeve_scheduler *s, const char *const *roles, size_t n);
REEVE_API int reeve_scheduler_suppress(struct reeve_scheduler *s, const char *const *roles,
                                       size_t n);
REEVE_API int reeve_scheduler_message(struct reeve_scheduler *s, const char *agent_id,
                                      const char *executor_id, const void *data, size_t n);
/* Ends an executor and its tasks. */
REEVE_API int reeve_scheduler_shutdown(struct reeve_scheduler *s, const char *executor_id,
                                       const char *agent_id);
/* For manual_acknowledge. 0 also for a status without a uuid, which wants none. */
REEVE_API int reeve_scheduler_acknowledge(struct reeve_scheduler *s,
                                          const Reeve__V1__TaskStatus *status);
REEVE_API int reeve_scheduler_acknowledge_operation(struct reeve_scheduler *s,
                                                    const Reeve__V1__OperationStatus *status);

/* ---- executor ---- */

struct reeve_executor;

struct reeve_executor_callbacks {
    void (*subscribed)(struct reeve_executor *e, void *ctx,
                       const Reeve__V1__Executor__Event__Subscribed *event, bool again);
    /* The agent is away; updates are kept and sent when it is back. */
    void (*disconnected)(struct reeve_executor *e, void *ctx, const char *why);
    /* A task to run. Say how it goes with reeve_executor_update(). */
    void (*launch)(struct reeve_executor *e, void *ctx, const Reeve__V1__TaskInfo *task);
    /* Tasks to run together; NULL: launch is called for each. */
    void (*launch_group)(struct reeve_executor *e, void *ctx, Reeve__V1__TaskInfo *const *tasks,
                         size_t n);
    /* End the task and send TASK_KILLED. policy may be NULL. */
    void (*kill)(struct reeve_executor *e, void *ctx, const char *task_id,
                 const Reeve__V1__KillPolicy *policy);
    void (*message)(struct reeve_executor *e, void *ctx, const void *data, size_t n);
    /* End all tasks, send their updates, then reeve_executor_stop(). After the grace period the
     * executor stops by itself. Without this callback it stops at once. */
    void (*shutdown)(struct reeve_executor *e, void *ctx);
    void (*error)(struct reeve_executor *e, void *ctx, const char *message);
    void (*event)(struct reeve_executor *e, void *ctx, const Reeve__V1__Executor__Event *event);
    /* Once, last. result as of reeve_executor_run(). */
    void (*stopped)(struct reeve_executor *e, void *ctx, int result);
};

/* Zero it, then set what you need. What is NULL or 0 comes from the environment that the agent
 * sets: MESOS_AGENT_ENDPOINT, MESOS_FRAMEWORK_ID, MESOS_EXECUTOR_ID, MESOS_CHECKPOINT,
 * MESOS_RECOVERY_TIMEOUT, MESOS_SUBSCRIPTION_BACKOFF_MAX, MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD,
 * MESOS_EXECUTOR_AUTHENTICATION_TOKEN. */
struct reeve_executor_config {
    const struct reeve_executor_callbacks *callbacks; /* copied */
    void *ctx;
    enum reeve_encoding encoding;
    struct uv_loop_s *loop; /* yours; NULL: the executor has a loop of its own */
    const char *agent;      /* "host:port" */
    const char *framework_id, *executor_id;
    unsigned recovery_timeout_ms; /* without the agent, if the framework checkpoints; 15 min */
    unsigned backoff_max_ms;      /* 2,000 */
    unsigned grace_period_ms;     /* 5,000 */
    bool exit_when_idle; /* stop once all tasks have ended and their updates are acknowledged */
};

/* NULL if config and environment lack something or are wrong, err (may be NULL) says what. */
REEVE_API struct reeve_executor *reeve_executor_new(const struct reeve_executor_config *config,
                                                    struct reeve_error *err);
/* Not from a callback; see reeve_scheduler_free(). */
REEVE_API void reeve_executor_free(struct reeve_executor *e);
REEVE_API int reeve_executor_start(struct reeve_executor *e);
/* Runs until the end: 0 after reeve_executor_stop(), a shutdown or idleness; REEVE_ERR_TIMEOUT or
 * REEVE_ERR_REFUSED if the agent is lost. */
REEVE_API int reeve_executor_run(struct reeve_executor *e);
/* Ends once all updates were acknowledged, or 5 s later. */
REEVE_API void reeve_executor_stop(struct reeve_executor *e);

REEVE_API struct uv_loop_s *reeve_executor_loop(struct reeve_executor *e);
REEVE_API const char *reeve_executor_error(const struct reeve_executor *e);
/* Of the last SUBSCRIBED; NULL before. Valid until the next callback. */
REEVE_API const char *reeve_executor_agent_id(const struct reeve_executor *e);

/* Tells how a task goes. task_id and state must be set; uuid, source, timestamp, executor_id and
 * agent_id are filled in where they are not. Kept and resent until the agent acknowledges. */
REEVE_API int reeve_executor_update(struct reeve_executor *e, const Reeve__V1__TaskStatus *status);
/* The same from parts; message may be NULL, data too. */
REEVE_API int reeve_executor_status(struct reeve_executor *e, const char *task_id,
                                    Reeve__V1__TaskState state, const char *message,
                                    const void *data, size_t n);
/* To the scheduler; may be lost on the way. REEVE_ERR_DISCONNECTED while the agent is away. */
REEVE_API int reeve_executor_message(struct reeve_executor *e, const void *data, size_t n);

/* ---- messages made easy ---- */

/* All parts are from malloc(), so that more can be set by hand; free with
 * reeve__v1__framework_info__free_unpacked(info, NULL). user NULL: who runs this process. */
REEVE_API Reeve__V1__FrameworkInfo *reeve_framework_new(const char *user, const char *name);
/* Roles need the capability MULTI_ROLE, which this adds too. */
REEVE_API void reeve_framework_add_role(Reeve__V1__FrameworkInfo *info, const char *role);
REEVE_API void reeve_framework_add_capability(Reeve__V1__FrameworkInfo *info,
                                              Reeve__V1__FrameworkInfo__Capability__Type type);

/* A task on the agent of an offer; free with reeve__v1__task_info__free_unpacked(task, NULL).
 * name NULL: the id. */
REEVE_API Reeve__V1__TaskInfo *reeve_task_new(const char *id, const char *name,
                                              const Reeve__V1__Offer *offer);
/* Asks for an amount of a scalar resource, in the role that the offer is allocated to. */
REEVE_API void reeve_task_add_scalar(Reeve__V1__TaskInfo *task, const Reeve__V1__Offer *offer,
                                     const char *name, double amount);
/* The task is this shell command, or this argument vector, NULL-terminated. */
REEVE_API void reeve_task_set_shell(Reeve__V1__TaskInfo *task, const char *command);
REEVE_API void reeve_task_set_argv(Reeve__V1__TaskInfo *task, const char *const *argv);
/* The task is for an executor that is started by a shell command, with what it needs itself. */
REEVE_API void reeve_task_set_executor(Reeve__V1__TaskInfo *task, const Reeve__V1__Offer *offer,
                                       const char *executor_id, const char *command, double cpus,
                                       double mem_mb);
/* A path of the machine that is seen, at container_path, where the task runs: in its executor's
 * container if that was set before, else in its own. A container has a /tmp to itself, so this is
 * how tasks share a folder below it. */
REEVE_API void reeve_task_add_volume(Reeve__V1__TaskInfo *task, const char *host_path,
                                     const char *container_path, bool read_only);
REEVE_API void reeve_task_set_data(Reeve__V1__TaskInfo *task, const void *data, size_t n);

/* The sum of a scalar resource in an offer, in thousandths exactly added. */
REEVE_API double reeve_offer_scalar(const Reeve__V1__Offer *offer, const char *name);
/* The task will not change any more: finished, failed, killed, error, lost, dropped or gone. */
REEVE_API bool reeve_state_is_terminal(Reeve__V1__TaskState state);
/* "TASK_RUNNING"; never NULL. */
REEVE_API const char *reeve_state_name(Reeve__V1__TaskState state);

#ifdef __cplusplus
}
#endif

#endif
