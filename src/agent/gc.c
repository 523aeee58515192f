/*
 * Garbage collection of sandboxes: a directory is kept for gc_delay_ms after its container ended,
 * or shorter where the disk is full, then goes, and with it the directories above it that hold
 * nothing else any more.
 *
 * What always holds: no directory is removed while a container that has not ended lies in it;
 * a->occupied counts, for the directories of executors and frameworks, the containers and the
 * garbage that lie below. So a removal costs the same however many there are; a look at the disk,
 * one at each that waits.
 */
#include "agent/internal.h"

#define PPM 1000000

char *rv_agent_directory(const struct rv_agent *a, const char *framework_id,
                         const char *executor_id, const char *container_id) {
    return rv_asprintf("%s/slaves/%s/frameworks/%s/executors/%s/runs/%s", a->config.work_dir,
                       a->info.id.v, framework_id, executor_id, container_id);
}

/* Cuts the last two components off: …/executors/<id>/runs/<container>, then …/executors/<id>, then
 * …/frameworks/<id>. False: it has not so many. */
static bool cut(char *path) {
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(path, '/');
        if (!slash || slash == path) {
            return false;
        }
        *slash = '\0';
    }
    return true;
}

/* --- what lies in a directory --- */

static uintptr_t count_in(const struct rv_agent *a, const char *directory) {
    return (uintptr_t)rv_map_gets(&a->occupied, directory);
}

static void count(struct rv_agent *a, const char *path, bool more) {
    _cleanup_free_ char *parent = rv_strdup(path);

    for (int level = 0; level < 2 && cut(parent); level++) {
        uintptr_t n = count_in(a, parent);
        if (more) {
            rv_map_put(&a->occupied, rv_str(parent), (void *)(n + 1));
        } else if (n > 1) {
            rv_map_put(&a->occupied, rv_str(parent), (void *)(n - 1));
        } else {
            rv_map_remove(&a->occupied, rv_str(parent));
        }
    }
}

void rv_agent_directory_used(struct rv_agent *a, const char *path) {
    count(a, path, true);
}

void rv_agent_directory_left(struct rv_agent *a, const char *path) {
    count(a, path, false);
}

bool rv_agent_directory_is_known(const struct rv_agent *a, const char *path) {
    _cleanup_free_ char *parent = rv_strdup(path);
    bool known = true;

    for (int level = 0; level < 2 && cut(parent); level++) {
        known = known && count_in(a, parent) > 0;
    }
    return known;
}

/* --- what waits --- */

static void add(struct rv_agent *a, const char *path, int64_t age_ms) {
    struct rv_agent_garbage *g;

    if (rv_map_gets(&a->garbage, path)) {
        return;
    }
    g = rv_calloc(1, sizeof *g);
    g->path = rv_strdup(path);
    g->since_ms = a->now_ms - age_ms;
    g->timer.kind = RV_TIMER_GARBAGE;
    rv_map_put(&a->garbage, rv_str(g->path), g);
    count(a, path, true);
    rv_timer_set(&a->timers, &g->timer, RV_MAX(a->now_ms, g->since_ms + a->config.gc_delay_ms));
}

void rv_agent_garbage_add(struct rv_agent *a, const char *path) {
    add(a, path, 0);
}

void rv_agent_garbage_recover(struct rv_agent *a, const struct rv_agent_sandbox *sandboxes,
                              size_t n) {
    struct rv_map live = {0};
    struct rv_agent_executor *ex;

    for (size_t i = 0; rv_map_next(&a->containers, &i, NULL, (void **)&ex);) {
        rv_map_put(&live, rv_str(ex->directory), ex);
    }
    for (size_t i = 0; i < n; i++) {
        /* What lies outside of our time is the container's joke. */
        int64_t modified_ns = RV_MIN(RV_MAX(sandboxes[i].modified_ns, (int64_t)0), a->wall_ns);
        if (!rv_map_gets(&live, sandboxes[i].path)) {
            add(a, sandboxes[i].path, (a->wall_ns - modified_ns) / 1000000);
        }
    }
    rv_map_free(&live);
}

/* --- removal --- */

static void free_garbage(struct rv_agent_garbage *g) {
    free(g->path);
    free(g);
}

void rv_agent_garbage_due(struct rv_agent *a, struct rv_agent_garbage *g) {
    char *path = rv_agent_hold_string(a, g->path);
    char *parent = rv_agent_hold_string(a, g->path);

    rv_timer_cancel(&a->timers, &g->timer);
    rv_map_remove(&a->garbage, rv_str(g->path));
    free_garbage(g);
    count(a, path, false);
    for (int level = 0; level < 2 && cut(parent) && count_in(a, parent) == 0; level++) {
        path = rv_agent_hold_string(a, parent);
    }
    rv_agent_emit(a, RV_AGENT_REMOVE_DIRECTORY)->path = path;
}

/* The peer's rule: the fuller the disk, the shorter all are kept. */
static int64_t max_age_ms(const struct rv_agent *a, int64_t used_ppm) {
    int64_t share = PPM - a->config.gc_disk_headroom_ppm - used_ppm;

    return share <= 0 ? 0 : (int64_t)((__int128)a->config.gc_delay_ms * share / PPM);
}

void rv_agent_disk_seen(struct rv_agent *a, int64_t used_ppm) {
    struct rv_agent_garbage *g;

    a->gc_max_age_ms = max_age_ms(a, used_ppm);
    for (size_t i = 0; rv_map_next(&a->garbage, &i, NULL, (void **)&g);) {
        if (a->now_ms - g->since_ms >= a->gc_max_age_ms) {
            rv_agent_garbage_due(a, g);
        }
    }
}

void rv_agent_garbage_clear(struct rv_agent *a) {
    struct rv_agent_garbage *g;

    for (size_t i = 0; rv_map_next(&a->garbage, &i, NULL, (void **)&g);) {
        free_garbage(g);
    }
    rv_map_free(&a->garbage);
    rv_map_free(&a->occupied);
}
