/*
 * The tasks of a group as nested containers of the agent: launched, waited for and signalled with
 * the calls of its API. What the agent does not answer is asked again when it is back; only when it
 * is gone for good are the processes looked for here and ended.
 */
#ifndef RV_EXECUTOR_NESTED_H
#define RV_EXECUTOR_NESTED_H

#include "base/vec.h"
#include "executor/call.h"
#include "executor/pollfds.h"
#include "reeve/v1/agent.pb-c.h"

struct rv_nested_end {
    bool has_status;
    int wait_status;
    int reason;          /* TaskStatus.Reason of what else had a part in it; -1: nothing */
    const char *message; /* of it, or NULL */
    const Reeve__V1__TaskResourceLimitation *limitation;
};

struct rv_nested_container;
struct rv_nested {
    void (*on_launched)(void *ctx, unsigned task, bool ok, const char *why);
    /* Nothing is left of it. */
    void (*on_exited)(void *ctx, unsigned task, const struct rv_nested_end *end);
    void *ctx;
    const struct rv_endpoint *agent;
    const char *sandbox; /* the executor's */
    bool up;             /* the agent listens: set from outside */
    bool abandoned;      /* and never will again */
    RV_VEC(struct rv_nested_container *) containers;
};

/* info and parent: borrowed until the container has ended. */
void rv_nested_launch(struct rv_nested *n, unsigned task, const Reeve__V1__TaskInfo *info,
                      const char *id, const Reeve__V1__ContainerID *parent, int64_t now_ms);
/* To its first process; SIGKILL is for all of them, and ends a launch too. Nothing if it is gone.
 */
void rv_nested_signal(struct rv_nested *n, unsigned task, int signal, int64_t now_ms);
/* It never will: each container ends when no process of it is left. */
void rv_nested_abandon(struct rv_nested *n);
void rv_nested_free(struct rv_nested *n);

/* A call about one container; the caller frees the bytes. */
struct rv_str rv_nested_pack(Reeve__V1__Agent__Call *call);

void rv_nested_poll(const struct rv_nested *n, struct rv_pollfds *fds);
void rv_nested_io(struct rv_nested *n, const struct rv_pollfds *fds, int64_t now_ms);
void rv_nested_tick(struct rv_nested *n, int64_t now_ms);
int64_t rv_nested_deadline(const struct rv_nested *n, int64_t now_ms);

#endif
