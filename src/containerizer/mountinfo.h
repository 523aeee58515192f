/* What is mounted, as the kernel tells in /proc/self/mountinfo. */
#ifndef RV_CONTAINERIZER_MOUNTINFO_H
#define RV_CONTAINERIZER_MOUNTINFO_H

#include "base/error.h"

struct rv_mountinfo {
    const char *root;    /* what of the file system is seen */
    const char *path;    /* where */
    const char *type;    /* of the file system */
    const char *options; /* of its super block */
};

/* An open mountinfo, which becomes ready for POLLPRI when anything is mounted or unmounted; the
 * caller closes it. */
RV_MUST_USE int rv_mountinfo_open(int *fd, struct rv_error *err);
/* Calls for each mount, those above before those in them. What it gets is valid meanwhile. */
RV_MUST_USE int rv_mountinfo_each(int fd, void (*each)(void *ctx, const struct rv_mountinfo *m),
                                  void *ctx, struct rv_error *err);

#endif
