/*
 * A command that checks a task in a nested container: a session of the agent's API, in the
 * namespaces of the task. Its output is thrown away, or the first line of it kept. Its container is
 * removed when it has ended, also if nobody wants the result any more.
 */
#ifndef RV_EXECUTOR_SESSION_H
#define RV_EXECUTOR_SESSION_H

#include "executor/call.h"
#include "reeve/v1/agent.pb-c.h"

enum rv_session_state {
    RV_SESSION_RUNS,
    RV_SESSION_ENDED,   /* wait_status is known; what is left is to remove it */
    RV_SESSION_REFUSED, /* text says why; nothing is left */
    RV_SESSION_LOST,    /* nobody knows how it ended; nothing is left that we can remove */
    RV_SESSION_GONE,    /* nothing is left */
};

struct rv_session {
    enum rv_session_state state;
    int wait_status;
    bool keeps;         /* the output */
    struct rv_buf text; /* the output, or why it was refused */
    struct rv_call call;
    enum { RV_SESSION_LAUNCH, RV_SESSION_WAIT, RV_SESSION_REMOVE } step;
    Reeve__V1__ContainerID *id; /* owned */
};

/* name: of the container below the parent. */
void rv_session_start(struct rv_session *s, const struct rv_endpoint *agent, const char *name,
                      const Reeve__V1__ContainerID *parent, const Reeve__V1__CommandInfo *command,
                      bool keeps);
/* Ends the command: the agent ends a session with its connection. Then it is waited for and
 * removed.
 */
void rv_session_stop(struct rv_session *s, const struct rv_endpoint *agent);
void rv_session_io(struct rv_session *s, const struct rv_endpoint *agent, short revents);
void rv_session_free(struct rv_session *s);

#endif
