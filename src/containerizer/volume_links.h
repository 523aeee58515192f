/*
 * Persistent volumes of containers that are not isolated: a symbolic link in the sandbox. It cannot
 * keep anybody from writing to one that is to be read only.
 */
#ifndef RV_CONTAINERIZER_VOLUME_LINKS_H
#define RV_CONTAINERIZER_VOLUME_LINKS_H

#include "containerizer/containerizer.h"

/* Folders on the way to it are made. It may be there already; what else is there is an error. */
RV_MUST_USE int rv_volume_link(const char *sandbox, const struct rv_container_volume *v,
                               struct rv_error *err);
/* What leads elsewhere stays. */
RV_MUST_USE int rv_volume_unlink(const char *sandbox, const struct rv_container_volume *v,
                                 struct rv_error *err);

#endif
