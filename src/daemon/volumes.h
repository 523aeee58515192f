/*
 * From the volumes of a ContainerInfo, and its secrets, to those of the containerizer.
 *
 * A secret is a value that came with the task, or the content of a file in the operator's folder of
 * secrets, DIR/name or DIR/name/key, opened below it whatever links are there. It goes to the
 * container alone: callers keep it in memory, for the launch.
 */
#ifndef RV_DAEMON_VOLUMES_H
#define RV_DAEMON_VOLUMES_H

#include "base/error.h"
#include "base/memory.h"
#include "base/str.h"
#include "containerizer/containerizer.h"
#include "reeve/v1/v1.pb-c.h"

/* secrets: the operator's folder, or NULL. `field` is where it stands, for the error. The bytes are
 * the message's or the arena's. */
RV_MUST_USE int rv_secret_resolve(const Reeve__V1__Secret *secret, const char *secrets,
                                  const char *field, struct rv_arena *arena, struct rv_str *out,
                                  struct rv_error *err);

/* Without empty parts and '.', in the arena; refused with '..'. */
RV_MUST_USE int rv_volume_path_clean(const char *path, const char *field, struct rv_arena *arena,
                                     const char **out, struct rv_error *err);

/* nested: there is a parent's sandbox. Fills an array in the arena. */
RV_MUST_USE int rv_volumes_from(const Reeve__V1__ContainerInfo *container, const char *secrets,
                                bool nested, struct rv_arena *arena,
                                struct rv_container_isolation *out, struct rv_error *err);

#endif
