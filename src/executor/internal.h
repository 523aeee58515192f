/* Shared by the files of the executor's core: executor.c, status.c and schedule.c. */
#ifndef RV_EXECUTOR_INTERNAL_H
#define RV_EXECUTOR_INTERNAL_H

#include "base/vec.h"
#include "executor/executor.h"

enum { UUID_SIZE = 16, UUID_TEXT = 37 };

enum task_phase {
    PHASE_LAUNCHING, /* LAUNCH is out */
    PHASE_RUNNING,
    PHASE_KILLING, /* signalled; until it has exited */
    PHASE_ENDED,   /* its terminal update was made */
};

enum kill_cause { CAUSE_NONE, CAUSE_KILL, CAUSE_UNHEALTHY, CAUSE_COMPLETION_TIME };

/* Of a check's schedule: the next start, or the deadline of the one under way. */
struct checker {
    bool on, running;
    int64_t at_ms;
    int64_t interval_ms, timeout_ms, grace_ms;
    unsigned max_failures, failures;
    bool known; /* there was a result */
    bool ok;    /* of it: healthy */
    int value;  /* of a check, -1: empty */
    struct rv_executor_check_spec spec;
};

/* How a task ended before all of its group were launched: told when they are. */
struct held_end {
    struct rv_executor_input end;                  /* its message and limitation: these */
    char *message;                                 /* NULL: none */
    Reeve__V1__TaskResourceLimitation *limitation; /* likewise */
};

struct task {
    unsigned number, group;
    enum task_phase phase;
    enum kill_cause cause;
    bool acknowledged;                          /* any update of it */
    int64_t started_ms, kill_ms, completion_ms; /* deadlines; INT64_MAX: none */
    bool kill_sent;
    Reeve__V1__TaskInfo *info; /* owned */
    char container[UUID_TEXT]; /* GROUP */
    struct checker checkers[RV_EXECUTOR_CHECK_MAX];
    struct held_end *held; /* owned; NULL: it has not ended, or that was told */
};

struct update {
    uint8_t uuid[UUID_SIZE];
    struct task *task;             /* NULL: of a task that was refused */
    Reeve__V1__TaskStatus *status; /* owned */
};

struct rv_executor {
    struct rv_executor_config config;
    char *framework_id, *executor_id;
    int64_t now_ms;
    double wall_s;
    RV_VEC(struct task *) tasks;   /* all that ever were, until acknowledged to their end */
    RV_VEC(struct update) updates; /* not acknowledged, oldest first */
    size_t told;                   /* how many of them the last SUBSCRIBE carried */
    unsigned next_task, next_group;
    bool connected, subscribing, ever_subscribed;
    bool killing_state;       /* the framework knows TASK_KILLING */
    bool stopping, abandoned; /* all is to end; and nobody will acknowledge it */
    bool launched_any, exited;
    unsigned attempts, refusals;
    int64_t subscribe_at_ms, give_up_ms, resend_at_ms, ack_by_ms;
    Reeve__V1__ContainerID *container_id; /* the executor's own, once known; owned */
    struct rv_executor_actions actions;
    RV_VEC(char *) bodies;      /* what the actions' bodies point to */
    RV_VEC(struct task *) dead; /* removed, but maybe still named by actions */
};

struct rv_executor_action *rv_executor_act(struct rv_executor *x,
                                           enum rv_executor_action_kind kind);

/* status.c: what is told to the agent. */
struct status_extra {
    const char *message;
    int reason; /* -1: none */
    bool has_healthy, healthy;
    const Reeve__V1__TaskResourceLimitation *limitation; /* may be NULL */
};
void rv_executor_uuid_text(const uint8_t uuid[UUID_SIZE], char out[UUID_TEXT]);
void rv_executor_new_uuid(struct rv_executor *x, uint8_t out[UUID_SIZE]);
void rv_executor_tell(struct rv_executor *x, struct task *task, Reeve__V1__TaskState state,
                      const struct status_extra *extra);
/* For a task that is not taken at all. */
void rv_executor_refuse(struct rv_executor *x, const Reeve__V1__TaskInfo *info,
                        const char *message);
void rv_executor_subscribe(struct rv_executor *x);
/* All updates from this index on. */
void rv_executor_resend(struct rv_executor *x, size_t from);
void rv_executor_acknowledged(struct rv_executor *x,
                              const Reeve__V1__Executor__Event__Acknowledged *ack);
Reeve__V1__TaskInfo *rv_executor_copy_task(const Reeve__V1__TaskInfo *info);
Reeve__V1__TaskResourceLimitation *
rv_executor_copy_limitation(const Reeve__V1__TaskResourceLimitation *limitation);
Reeve__V1__ContainerID *rv_executor_copy_container(const Reeve__V1__ContainerID *id);

/* schedule.c: checks and health checks. */
void rv_executor_checks_init(struct rv_executor *x, struct task *task);
void rv_executor_checks_start(struct rv_executor *x, struct task *task); /* the task runs */
void rv_executor_checks_stop(struct rv_executor *x, struct task *task);
void rv_executor_checks_tick(struct rv_executor *x, struct task *task);
void rv_executor_checked(struct rv_executor *x, struct task *task,
                         const struct rv_executor_input *in);
int64_t rv_executor_checks_deadline(const struct rv_executor *x, const struct task *task);

/* executor.c */
void rv_executor_kill_task(struct rv_executor *x, struct task *task, enum kill_cause cause,
                           int64_t grace_ms, const char *message);
int64_t rv_executor_grace_ms(const struct task *task);

#endif
