/*
 * From what a container asks for (ContainerInfo of the wire) to what the containerizer does, within
 * what the operator's flags allow: one function for executors and for the containers that the
 * agent's API makes. What cannot be given is refused by the name of its field, with the reason.
 */
#ifndef RV_DAEMON_ISOLATION_H
#define RV_DAEMON_ISOLATION_H

#include "base/error.h"
#include "base/memory.h"
#include "containerizer/containerizer.h"
#include "daemon/flags.h"
#include "model/task.h"
#include "reeve/v1/v1.pb-c.h"

/* What the operator allows, read from the flags once. */
struct rv_isolation_policy {
    bool isolates;              /* else nothing can be given: the `process` containerizer */
    uint64_t bounding;          /* capabilities that a container may have at most */
    uint64_t effective;         /* and has, if it asks for none */
    bool effective_is_given;    /* by flag: also for users that are not root */
    bool share_pids, share_ipc; /* of the machine, with an executor's container */
    bool unconfined;            /* without a seccomp profile, if it asks to */
    uint64_t default_shm_bytes; /* 0: the containerizer's */
    const char *secrets;        /* the folder that references name files of; NULL: none */
};

/* All but `isolates`. -RV_ERR_INVALID names the flag. */
RV_MUST_USE int rv_isolation_policy_read(const struct rv_agent_flags *flags,
                                         struct rv_isolation_policy *out, struct rv_error *err);

struct rv_isolation_wish {
    const Reeve__V1__ContainerInfo *container; /* NULL: nothing in particular */
    struct rv_limits limits;
    bool nested;   /* in another container */
    bool debug;    /* a session, which shares all of its parent's */
    bool executor; /* it talks with the agent */
    bool command;  /* an executor of ours with one task */
};

/* Fills out, which borrows from the arena and the wish. -RV_ERR_INVALID, -RV_ERR_UNSUPPORTED or
 * -RV_ERR_PERMISSION with a sentence that begins with the field's name. */
RV_MUST_USE int rv_isolation_from(const struct rv_isolation_policy *policy,
                                  const struct rv_isolation_wish *wish, struct rv_arena *arena,
                                  struct rv_container_isolation *out, struct rv_error *err);

struct rv_container_limits rv_isolation_limits(struct rv_limits limits);

#endif
