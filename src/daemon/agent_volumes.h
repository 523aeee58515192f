/*
 * Persistent volumes on the agent's own disk: their folders, and which of them a container sees.
 *
 * A volume's folder is made when a container uses it first, and given to that container's user,
 * unless another one uses it. It stays until the core says that the volume is no more. What tasks
 * and executors use is looked up in the core: there it is with its path and mode.
 */
#ifndef RV_DAEMON_AGENT_VOLUMES_H
#define RV_DAEMON_AGENT_VOLUMES_H

#include "daemon/agent_daemon.h"
#include "daemon/files.h"

/* Adds to `out`, whose array is in the arena then, the volumes that the executor's container sees:
 * its own, and those of its tasks, but of a group, whose tasks have containers of their own. The
 * folders are there then. user: of the container; NULL: the agent's. */
RV_MUST_USE int rv_agent_volumes_of(struct rv_agent_daemon *d, const struct rv_agent_executor *ex,
                                    const char *user, struct rv_arena *arena,
                                    struct rv_container_isolation *out, struct rv_error *err);
/* The same for a container that the API makes, from what it names: only its executor's. */
RV_MUST_USE int rv_agent_volumes_named(struct rv_agent_daemon *d,
                                       const struct rv_agent_executor *ex, const char *id,
                                       const struct rv_resources *named, const char *user,
                                       struct rv_arena *arena, struct rv_container_isolation *out,
                                       struct rv_error *err);

/* What an executor's container, which was launched with these or runs from before, sees now. Only
 * of those of custom executors is that kept: they are given tasks later. */
void rv_agent_volumes_launched(struct rv_agent_daemon *d, const char *id,
                               const struct rv_container_isolation *isolation);
void rv_agent_volumes_recovered(struct rv_agent_daemon *d);
/* Its tasks have changed: what has come is shown, what has gone is hidden. Of what cannot be shown
 * the container ends, which says why. */
void rv_agent_volumes_update(struct rv_agent_daemon *d, const char *id);
void rv_agent_volumes_exited(struct rv_agent_daemon *d, const char *id);
void rv_agent_volumes_free(struct rv_agent_daemon *d);

/* The folders that are there, in the arena. */
struct rv_agent_volumes {
    RV_VEC(const char *) v;
};
void rv_agent_volumes_find(const char *work_dir, struct rv_arena *arena,
                           struct rv_agent_volumes *out);
/* At once the path is free for another; it is gone when the thread pool has got to it. */
void rv_agent_volumes_remove(struct rv_agent_daemon *d, const char *path);
/* Where sandboxes are browsed (rv_agent_view_files): the volumes of those that run, at the places
 * where these see them. path: what is asked for; NULL: nothing. */
void rv_agent_volumes_attach(const struct rv_agent_daemon *d, const char *path,
                             struct rv_files *files);

#endif
