/*
 * The containers that the agent's API made: nested ones below an executor's container or below one
 * another, and standalone ones. A table by id, beside the core, which knows nothing of them; the
 * containerizer runs them like all others, and what it tells is asked here first.
 *
 * A nested container ends with its parent, a session's with the connection that made it. Standalone
 * ones survive the agent, and those below the executor of a framework that checkpoints; but not
 * sessions and terminals, which the agent serves. The sandbox of a nested one is CONTAINERS/ID in
 * that of its parent and goes with it; that of a standalone one is work_dir/containers/ID and stays
 * until it is removed.
 */
#ifndef RV_DAEMON_AGENT_CONTAINERS_H
#define RV_DAEMON_AGENT_CONTAINERS_H

#include "daemon/agent_daemon.h"
#include "daemon/container_io.h"
#include "reeve/v1/agent.pb-c.h"

struct rv_api_containers;

struct rv_api_containers *rv_api_containers_new(struct rv_agent_daemon *d);
/* Whether all records of ends can be read: -RV_ERR_CORRUPT names one that is damaged. Without
 * --strict it is removed. */
RV_MUST_USE int rv_api_records_check(const char *work_dir, struct rv_error *err);
/* Answers what waits with 503; the containers themselves are the containerizer's to end. */
struct rv_api_containers *rv_api_containers_free(struct rv_api_containers *t);

/* --- calls: each answers the request, now or later --- */

typedef void (*rv_api_call)(struct rv_agent_daemon *d, struct rv_http_request *req,
                            const Reeve__V1__Agent__Call *call);
void rv_api_launch_nested(struct rv_agent_daemon *d, struct rv_http_request *req,
                          const Reeve__V1__Agent__Call *call);
void rv_api_launch_session(struct rv_agent_daemon *d, struct rv_http_request *req,
                           const Reeve__V1__Agent__Call *call);
void rv_api_launch(struct rv_agent_daemon *d, struct rv_http_request *req,
                   const Reeve__V1__Agent__Call *call);
void rv_api_wait(struct rv_agent_daemon *d, struct rv_http_request *req,
                 const Reeve__V1__Agent__Call *call);
void rv_api_kill(struct rv_agent_daemon *d, struct rv_http_request *req,
                 const Reeve__V1__Agent__Call *call);
void rv_api_remove(struct rv_agent_daemon *d, struct rv_http_request *req,
                   const Reeve__V1__Agent__Call *call);
void rv_api_attach_output(struct rv_agent_daemon *d, struct rv_http_request *req,
                          const Reeve__V1__Agent__Call *call);
/* Only for one that is no stream of records: refuses it. */
void rv_api_attach_input(struct rv_agent_daemon *d, struct rv_http_request *req,
                         const Reeve__V1__Agent__Call *call);

/* agent_attach.c: takes ATTACH_CONTAINER_INPUT's bodies as they come. */
void rv_api_take_input(struct rv_agent_daemon *d);

/* --- from the containerizer --- */

/* True: it is one of these, and the core does not hear of it. */
bool rv_api_containers_launched(struct rv_api_containers *t, const char *id, bool ok,
                                const char *message);
/* Also ends what lies below a container that is not one of these. */
bool rv_api_containers_exited(struct rv_api_containers *t, const char *id,
                              const struct rv_container_end *end);
/* One of an earlier agent that may be one of these: whether it is wanted. */
bool rv_api_containers_found(struct rv_api_containers *t, const struct rv_container_found *found);
/* The core is there: what has no parent any more is ended or forgotten. */
void rv_api_containers_recovered(struct rv_api_containers *t);

/* --- for views and streams --- */

/* Where input and output of a container are; follow: also of one that writes to files, then `out`
 * is a follower. -RV_ERR_NOT_FOUND; -RV_ERR_INVALID: it runs without any. */
RV_MUST_USE int rv_api_containers_io(struct rv_api_containers *t, const char *id, bool follow,
                                     struct rv_container_io **out, struct rv_error *err);

/* All that have not ended. resources: what they were launched with, as far as that is known. */
void rv_api_containers_each(const struct rv_api_containers *t,
                            void (*each)(void *ctx, const char *id, const char *directory,
                                         const struct rv_resources *resources),
                            void *ctx);
size_t rv_api_containers_count(const struct rv_api_containers *t); /* that have not ended */

struct rv_agent_containers;
/* All that run: those of executors, and of these the nested ones, the standalone ones, or both. */
struct rv_agent_containers rv_api_containers_view(const struct rv_agent_daemon *d, bool nested,
                                                  bool standalone, struct rv_arena *arena);

/* launch.c: starts a container that the API asks for, below an executor's (NULL: it is in none)
 * with its environment. What its URIs name is fetched first. The containerizer answers as for any
 * launch, or rv_api_containers_launched is called. */
struct rv_api_launch {
    const char *id, *directory;
    const char *work_directory; /* where it starts; NULL: in directory */
    const struct rv_agent_executor *executor;
    const struct rv_agent_task *task;          /* whose environment it gets, too; NULL: none */
    const char *const *inherited;              /* instead: all that it gets; NULL */
    const Reeve__V1__CommandInfo *command;     /* its own environment comes last */
    const Reeve__V1__ContainerInfo *container; /* NULL: nothing in particular */
    const struct rv_resources *resources;
    struct rv_limits limits;
    const char *user; /* NULL: the agent's */
    const int *stdio; /* NULL: files, or a terminal */
    bool tty, session, survives;
    unsigned short rows, columns; /* of the terminal */
};
/* *env: the environment that it has, one block, the caller's. An error: it asks for what it cannot
 * have, and nothing happened. */
RV_MUST_USE int rv_agent_launch_api(struct rv_agent_daemon *d, const struct rv_api_launch *launch,
                                    char ***env, struct rv_error *err);

#endif
