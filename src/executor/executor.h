/*
 * The built-in executors as a pure state machine: inputs with their time go in, actions come out.
 * Decides what is launched, signalled and checked, what is told to the agent and until when it is
 * told again, and when the executor ends. Knows no process, socket, clock or file: the shell
 * (main.c) does what the actions say and reports back.
 *
 * Two modes. COMMAND runs one task, in the executor's own sandbox. GROUP runs task groups, each
 * task in a nested container; when a task of a group fails or is killed, the rest of its group is
 * killed.
 *
 * Messages are protobuf-c's, of the executor API. Actions and what they point to are valid until
 * the next rv_executor_step or rv_executor_clear.
 */
#ifndef RV_EXECUTOR_EXECUTOR_H
#define RV_EXECUTOR_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "reeve/v1/executor.pb-c.h"

enum rv_executor_mode { RV_EXECUTOR_COMMAND, RV_EXECUTOR_GROUP };

struct rv_executor_config {
    enum rv_executor_mode mode;
    const char *framework_id, *executor_id;
    bool checkpoint;             /* outlives the agent, up to recovery_timeout_ms */
    int64_t recovery_timeout_ms; /* 900,000 */
    int64_t shutdown_grace_ms;   /* 5,000: the agent destroys the container after it */
    int64_t backoff_max_ms;      /* 2,000: between two attempts to subscribe */
    void (*random)(void *ctx, void *out, size_t n); /* for the ids of updates and containers */
    void *random_ctx;
};

/* The two checks that a task can have; each task has its own pair. */
enum rv_executor_check { RV_EXECUTOR_HEALTH, RV_EXECUTOR_CHECK, RV_EXECUTOR_CHECK_MAX };

/* What a check is to do; the strings are borrowed from the task. */
struct rv_executor_check_spec {
    Reeve__V1__CheckInfo__Type type;
    const Reeve__V1__CommandInfo *command; /* COMMAND */
    unsigned port;                         /* HTTP, TCP */
    bool ipv6;                             /* the loopback address is ::1 */
    const char *path, *scheme;             /* HTTP; never NULL */
};

enum rv_executor_input_kind {
    RV_EXECUTOR_TICK,         /* time has passed; also the first input */
    RV_EXECUTOR_EVENT,        /* from the agent */
    RV_EXECUTOR_DISCONNECTED, /* the subscription ended or failed; status: HTTP's, or 0 */
    RV_EXECUTOR_CALL_FAILED,  /* an update did not get through; status: HTTP's, or 0 */
    RV_EXECUTOR_LAUNCHED,     /* task: it runs, or message says why not */
    RV_EXECUTOR_EXITED,       /* task: its first process ended, and the rest is dead */
    RV_EXECUTOR_CHECKED,      /* task, check: a result, or none */
    RV_EXECUTOR_STOP,         /* somebody wants the executor to end: SIGTERM */
};

struct rv_executor_input {
    enum rv_executor_input_kind kind;
    int64_t now_ms; /* monotonic */
    double wall_s;  /* for timestamps */
    unsigned task;  /* the number that LAUNCH gave it */
    int status;
    bool ok;             /* LAUNCHED; CHECKED: there is a result at all */
    bool unknown;        /* CHECKED: it could not be made, for no fault of the task's */
    const char *message; /* why not; EXITED: in addition; may be NULL */
    bool has_status;     /* EXITED: wait_status is known */
    int wait_status;
    int reason; /* EXITED: TaskStatus.Reason of what the agent had a part in; 0 is one too */
    bool has_reason;
    const Reeve__V1__TaskResourceLimitation *limitation; /* EXITED; may be NULL */
    const Reeve__V1__Executor__Event *event;
    enum rv_executor_check check;
    int value; /* CHECKED: exit code, HTTP status, or 1 if the port accepts a connection */
};

enum rv_executor_action_kind {
    RV_EXECUTOR_SUBSCRIBE,     /* body: open the stream with it, ending an older one */
    RV_EXECUTOR_CALL,          /* body: send it, in order */
    RV_EXECUTOR_LAUNCH,        /* task, info, container and parent (GROUP) */
    RV_EXECUTOR_CANCEL_LAUNCH, /* task: LAUNCHED follows soon, if it was not told already */
    RV_EXECUTOR_TERMINATE,     /* task: SIGTERM to all its processes; GROUP: to its first one */
    RV_EXECUTOR_KILL,          /* task: SIGKILL to all its processes */
    RV_EXECUTOR_ABANDON,       /* the agent is gone for good: tasks end without it */
    RV_EXECUTOR_START_CHECK,   /* task, check, spec, info; container and parent (GROUP) */
    RV_EXECUTOR_CANCEL_CHECK,  /* task, check: no result is wanted */
    RV_EXECUTOR_EXIT,          /* status; message may be NULL: what to tell on standard error */
};

struct rv_executor_action {
    enum rv_executor_action_kind kind;
    unsigned task;
    int status;
    const char *message;
    struct rv_str body; /* a packed Call */
    const Reeve__V1__TaskInfo *info;
    const char *container;                /* valid until the task has EXITED, as info */
    const Reeve__V1__ContainerID *parent; /* the executor's own; NULL: not known */
    enum rv_executor_check check;
    struct rv_executor_check_spec spec;
};

struct rv_executor_actions {
    struct rv_executor_action *v;
    size_t n, cap;
};

struct rv_executor;
struct rv_executor *rv_executor_new(const struct rv_executor_config *config);
struct rv_executor *rv_executor_free(struct rv_executor *x);

/* Never fails. The actions are to be done in order. */
const struct rv_executor_actions *rv_executor_step(struct rv_executor *x,
                                                   const struct rv_executor_input *in);
/* When it wants a TICK, on the clock of now_ms; INT64_MAX: never. */
int64_t rv_executor_deadline(const struct rv_executor *x);
/* Releases what the last actions point to. */
void rv_executor_clear(struct rv_executor *x);

#endif
