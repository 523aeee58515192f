/*
 * Between the files that keep the containers of the agent's API: agent_containers.c (the table and
 * what comes to be in it), agent_container_calls.c (what is asked of them), and
 * agent_container_records.c (what the next agent must know). Not for others.
 */
#ifndef RV_DAEMON_AGENT_CONTAINERS_INTERNAL_H
#define RV_DAEMON_AGENT_CONTAINERS_INTERNAL_H

#include "base/list.h"
#include "containerizer/state.h"
#include "containerizer/verdict.h"
#include "daemon/agent_containers.h"

enum {
    RV_API_MAX_WAITING = 64, /* requests for one container */
    RV_API_MAX_PART = 242,   /* bytes of an id, as the peer allows */
};

enum rv_api_state { RV_API_STARTING, RV_API_RUNNING, RV_API_ENDED };

struct rv_api_container {
    struct rv_api_containers *table;
    char *id, *directory;
    enum rv_api_state state;
    bool killed, session;
    bool survives; /* goes on without the agent, and its end is written down */
    bool recorded; /* so it was */
    bool has_status;
    int32_t status;
    struct rv_verdict verdict;
    struct rv_resources resources;
    char *user;                 /* whose it is; NULL: its executor's, or nobody knows any more */
    char **env;                 /* its environment, one block; NULL: nobody knows any more */
    struct rv_container_io *io; /* NULL: its output goes to files */
    struct rv_http_request *launch; /* NULL: answered, or its client has gone */
    struct rv_container_framing framing;
};

struct rv_api_containers {
    struct rv_agent_daemon *d;
    struct rv_map containers; /* by id */
    struct rv_map followers;  /* by id, and terminals; agent_container_calls.c */
    struct rv_map waits;      /* by id, of any container that has not ended; likewise */
    size_t n_ended;
    uint64_t removed; /* to give each folder that goes a name of its own */
};

/* --- agent_containers.c --- */

struct rv_api_container *rv_api_find(const struct rv_api_containers *t, const char *id);
/* In the table; directory: taken over. */
struct rv_api_container *rv_api_add(struct rv_api_containers *t, const char *id, char *directory);
/* It is forgotten, also by the next agent. */
void rv_api_forget(struct rv_api_container *c);
/* Kills all of it; its end follows. */
void rv_api_destroy(struct rv_api_container *c);
/* Lets what lies below a container that has ended end too, and forgets what has. */
void rv_api_end_below(struct rv_api_containers *t, const char *id);
bool rv_api_is_below(const char *id, const char *above);

/* "a.b.c" in the arena; NULL with the reason. */
const char *rv_api_id_of(const Reeve__V1__ContainerID *m, struct rv_arena *arena,
                         struct rv_error *err);

/* What a new container is to lie in. */
struct rv_api_parent {
    const char *directory; /* in the arena or the table's */
    const char *user;      /* NULL: the agent's */
    const struct rv_agent_executor *executor;
    const struct rv_agent_task *task;
    const struct rv_api_container *container; /* NULL: not of the API's making */
};
/* A container that runs, whoever made it; false: there is none. */
bool rv_api_find_running(const struct rv_api_containers *t, const char *id, struct rv_arena *arena,
                         struct rv_api_parent *out);
/* Of the container's root; NULL: it is standalone, or has ended. */
const struct rv_agent_executor *rv_api_executor_of(const struct rv_agent_daemon *d, const char *id);

/* --- agent_container_calls.c --- */

/* How one ended that has; borrowed from it. */
struct rv_container_end rv_api_end_of(const struct rv_api_container *c);
/* Answers those who wait for it. */
void rv_api_tell_end(struct rv_api_containers *t, const char *id,
                     const struct rv_container_end *end);
void rv_api_free_waits(struct rv_api_containers *t); /* answers with 503 */
/* Of a container that was launched or found, whose terminal nobody has taken; NULL: it has none. */
struct rv_container_io *rv_api_open_terminal(struct rv_api_containers *t, const char *id,
                                             const char *directory);
/* Of an executor's container that runs now: if it has one, it can be attached to. */
void rv_api_take_terminal(struct rv_api_containers *t, const char *id);
/* Of a container that has ended. */
void rv_api_end_followers(struct rv_api_containers *t, const char *id);
void rv_api_free_followers(struct rv_api_containers *t);

/* --- agent_container_records.c --- */

/* How it ended, for the next agent; what cannot be written is logged. */
void rv_api_record(struct rv_api_container *c);
void rv_api_record_remove(const struct rv_api_container *c);
/* Adds to the table those of an earlier agent that had ended. */
void rv_api_records_read(struct rv_api_containers *t);

#endif
