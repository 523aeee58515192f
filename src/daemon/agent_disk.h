/*
 * The disk that the sandboxes lie on: how full it is, for the core, and which sandboxes there are
 * when the agent starts.
 */
#ifndef RV_DAEMON_AGENT_DISK_H
#define RV_DAEMON_AGENT_DISK_H

#include "daemon/agent_daemon.h"

/* Tells the core now and at each --disk_watch_interval. The agent stops it. */
struct rv_disk_watch *rv_disk_watch_new(struct rv_agent_daemon *d);
struct rv_disk_watch *rv_disk_watch_free(struct rv_disk_watch *w);

/* Makes the folder of the sandboxes, if it can. On ext4 those of each agent are put where the disk
 * is free, not beside work_dir: without a journal, each file that was removed there in the last
 * minutes costs every new one. */
void rv_agent_spread_sandboxes(const char *work_dir);
/* Those of all agents that had this work_dir: slaves/…/frameworks/…/executors/…/runs/…. Paths are
 * in the arena. Reads each folder on the way. */
struct rv_agent_sandboxes {
    RV_VEC(struct rv_agent_sandbox) v;
};
void rv_agent_find_sandboxes(const char *work_dir, struct rv_arena *arena,
                             struct rv_agent_sandboxes *out);

#endif
