/* Folders: made with all above them, and removed with all below them. */
#ifndef RV_DAEMON_FOLDERS_H
#define RV_DAEMON_FOLDERS_H

#include <uv.h>

#include "base/error.h"

/* As mkdir -p, mode 0755. */
RV_MUST_USE int rv_make_folder(const char *path, struct rv_error *err);

/* Starts rv_folder_remove in the thread pool; what cannot be removed is logged. */
void rv_remove_tree(uv_loop_t *loop, const char *path);

#endif
