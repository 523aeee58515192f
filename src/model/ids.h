/*
 * Ids are one-field structs, so that the compiler tells them apart. The string is NUL-terminated;
 * who owns it is said where the struct stands (in calls and events: borrowed for the step; in the
 * cores' own records: owned). NULL means "not given".
 */
#ifndef RV_MODEL_IDS_H
#define RV_MODEL_IDS_H

#include <stdbool.h>

#include "base/str.h"

#define RV_DEFINE_ID(kind)                                                                         \
    struct rv_##kind##_id {                                                                        \
        const char *v;                                                                             \
    };                                                                                             \
    static inline bool rv_##kind##_id_eq(struct rv_##kind##_id a, struct rv_##kind##_id b) {       \
        return rv_streq(a.v, b.v);                                                                 \
    }

RV_DEFINE_ID(framework)
RV_DEFINE_ID(agent)
RV_DEFINE_ID(offer)
RV_DEFINE_ID(task)
RV_DEFINE_ID(executor)
RV_DEFINE_ID(container) /* nested ones as "parent.child", see rv_container_id_* in the agent */
RV_DEFINE_ID(operation)

/* An id given by a client: 1 to 255 bytes, no '/', no control characters or blanks, not "." or
 * "..": it names a directory on the agent. Returns NULL if valid, else a sentence why not. */
const char *rv_id_problem(const char *id);

/* Bytes of a role; ours: a role that a framework invents must not cost without bound. */
#define RV_ROLE_MAX 1024

/* A role: "a/b/c"; components not empty, not "." or "..", no leading '-', no blanks, no backspace,
 * none is "*" (only "*" alone), no control characters. roles.md, "Invalid role names". Returns
 * NULL if valid, else a sentence why not. */
const char *rv_role_problem(const char *role);
/* Whether `role` is `ancestor` itself or lies below it ("a/b" below "a"). "*" is above nothing. */
bool rv_role_within(const char *role, const char *ancestor);

#endif
