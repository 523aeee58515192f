/*
 * Watches over what control groups do not limit: the disk that a sandbox takes, and the ports that
 * containers listen on. Works for every containerizer, whose `limit` ends what has gone over.
 *
 * Only containers that lie in no other are watched: what is nested uses the disk and the ports of
 * the one around it. Usage is counted by project quotas where the file system has them, exactly and
 * with the kernel refusing what is far over; else by looking at the files, one sandbox after the
 * other, on a thread of its own with low priority. The loop only starts the looks and hears what
 * was found.
 */
#ifndef RV_CONTAINERIZER_WATCH_H
#define RV_CONTAINERIZER_WATCH_H

#include "containerizer/containerizer.h"

struct rv_watch;

struct rv_watch_config {
    uv_loop_t *loop;
    struct rv_containerizer *containerizer;
    const char *folder; /* sandboxes lie below it */
    uint64_t disk_interval_ms, ports_interval_ms;
    bool enforce_disk; /* else it is only measured */
    bool enforce_ports;
    struct rv_range projects;          /* numbers for project quotas; 0 to 0: none are used */
    const struct rv_ranges *all_ports; /* only these are looked at; NULL: all */
};

RV_MUST_USE int rv_watch_new(const struct rv_watch_config *config, struct rv_watch **out,
                             struct rv_error *err);
struct rv_watch *rv_watch_free(struct rv_watch *w);
/* How the disk is watched, and why not better, for the log. */
const char *rv_watch_describe(const struct rv_watch *w);

/* A container that is to be, before anything is in its sandbox, or one that an earlier agent has
 * launched. What is nested is passed over. */
void rv_watch_add(struct rv_watch *w, const char *id, const char *directory,
                  const struct rv_resources *resources);
void rv_watch_update(struct rv_watch *w, const char *id, const struct rv_resources *resources);
void rv_watch_remove(struct rv_watch *w, const char *id);

struct rv_watch_disk {
    bool has_used, has_limit;
    uint64_t used_bytes, limit_bytes;
};
/* What was seen last; false: it is not watched. */
bool rv_watch_disk(const struct rv_watch *w, const char *id, struct rv_watch_disk *out);

#endif
