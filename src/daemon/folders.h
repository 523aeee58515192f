/* Folders: made with all above them, and removed with all below them. */
#ifndef RV_DAEMON_FOLDERS_H
#define RV_DAEMON_FOLDERS_H

#include <uv.h>

#include "base/error.h"

/* As mkdir -p, mode 0755. */
RV_MUST_USE int rv_make_folder(const char *path, struct rv_error *err);

/* Starts to remove in the thread pool, never following symbolic links; what cannot be removed is
 * logged. */
void rv_remove_tree(uv_loop_t *loop, const char *path);
/* The same at once; returns 0 or -errno of the first failure. A path that is not there is fine. */
int rv_remove_tree_now(const char *path);

#endif
