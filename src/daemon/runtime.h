/*
 * The agent's folder for what is of use until the next boot only: a record of each container that
 * runs, which its init keeps open. For root it is in memory, so that no container keeps the agent's
 * disk in use by it; else it is in work_dir/meta.
 */
#ifndef RV_DAEMON_RUNTIME_H
#define RV_DAEMON_RUNTIME_H

#include "base/error.h"

struct rv_runtime {
    char *name;    /* of the agent on this machine, by its work_dir */
    char *base;    /* of all agents, if nobody has named another one: goes with the last; or NULL */
    char *folder;  /* absolute, RUNTIME_DIR/name; NULL: in work_dir */
    char *records; /* of containers, in there */
    char *before;  /* where versions before had them, which may still be; or NULL */
};

/* flag: --runtime_dir or NULL. work_dir/meta is there. -RV_ERR_CONFLICT: containers that run are
 * recorded in another folder. */
RV_MUST_USE int rv_runtime_open(const char *work_dir, const char *flag, struct rv_runtime *out,
                                struct rv_error *err);
/* Removes the folders if nothing is in there. A zeroed one is fine. */
void rv_runtime_close(struct rv_runtime *r);

#endif
