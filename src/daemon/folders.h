/* Folders: made with all above them, and removed with all below them. */
#ifndef RV_DAEMON_FOLDERS_H
#define RV_DAEMON_FOLDERS_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"

/* As mkdir -p, mode 0755. */
RV_MUST_USE int rv_make_folder(const char *path, struct rv_error *err);

/* Removes folders (rv_folder_remove) one after the other on the thread pool, which others need,
 * too. What cannot be removed is logged. */
struct rv_remover;

/* folder: where what waits is put; what is in there already is removed first. On the file system of
 * what is to be removed. */
RV_MUST_USE int rv_remover_new(uv_loop_t *loop, const char *folder, struct rv_remover **out,
                               struct rv_error *err);
/* What waits is left; what is being removed goes on. */
struct rv_remover *rv_remover_free(struct rv_remover *r);
/* At once the path is free for another; it is moved away. No folder on the way is a task's. */
void rv_remover_take(struct rv_remover *r, const char *path);
/* It is removed where it is; its name is no one else's. */
void rv_remover_add(struct rv_remover *r, const char *path);

struct rv_remover_counters {
    uint64_t succeeded, failed;
    size_t waiting; /* with the one that is being removed */
};
struct rv_remover_counters rv_remover_counters(const struct rv_remover *r);

#endif
