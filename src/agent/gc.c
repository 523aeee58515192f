/*
 * Garbage collection of sandboxes: a directory is kept for gc_delay_ms after its container ended,
 * then goes, and with it the directories above it that hold nothing else any more.
 *
 * What always holds: no directory is removed while a container that has not ended lies in it. The
 * list is in the order of age; finding what else lies in a parent costs one look at each.
 */
#include "agent/internal.h"

char *rv_agent_directory(const struct rv_agent *a, const char *framework_id,
                         const char *executor_id, const char *container_id) {
    return rv_asprintf("%s/slaves/%s/frameworks/%s/executors/%s/runs/%s", a->config.work_dir,
                       a->info.id.v, framework_id, executor_id, container_id);
}

void rv_agent_garbage_add(struct rv_agent *a, const char *path) {
    struct rv_agent_garbage *g = rv_calloc(1, sizeof *g);

    g->path = rv_strdup(path);
    g->timer.kind = RV_TIMER_GARBAGE;
    rv_vec_push(&a->garbage, g);
    rv_timer_set(&a->timers, &g->timer, a->now_ms + a->config.gc_delay_ms);
}

/* Cuts the last `components` off the path; false: it has not so many. */
static bool cut(char *path, int components) {
    for (int i = 0; i < components; i++) {
        char *slash = strrchr(path, '/');
        if (!slash || slash == path) {
            return false;
        }
        *slash = '\0';
    }
    return true;
}

static bool lies_in(const char *path, const char *directory) {
    return rv_starts_with(path, directory) && path[strlen(directory)] == '/';
}

static bool in_use(const struct rv_agent *a, const char *directory) {
    struct rv_agent_executor *ex;

    for (size_t i = 0; i < a->garbage.n; i++) {
        if (lies_in(a->garbage.v[i]->path, directory)) {
            return true;
        }
    }
    for (size_t i = 0; rv_map_next(&a->containers, &i, NULL, (void **)&ex);) {
        if (lies_in(ex->directory, directory)) {
            return true;
        }
    }
    return false;
}

static void forget(struct rv_agent *a, const struct rv_agent_garbage *g) {
    for (size_t i = 0; i < a->garbage.n; i++) {
        if (a->garbage.v[i] == g) {
            rv_vec_remove_at(&a->garbage, i);
            return;
        }
    }
}

void rv_agent_garbage_due(struct rv_agent *a, struct rv_agent_garbage *g) {
    char *path = rv_agent_hold_string(a, g->path);
    char *parent = rv_agent_hold_string(a, g->path);

    forget(a, g);
    free(g->path);
    free(g);
    /* …/executors/<id>/runs/<container>, then …/executors/<id>, then …/frameworks/<id>. */
    for (int level = 0; level < 2 && cut(parent, 2) && !in_use(a, parent); level++) {
        path = rv_agent_hold_string(a, parent);
    }
    rv_agent_emit(a, RV_AGENT_REMOVE_DIRECTORY)->path = path;
}

void rv_agent_garbage_clear(struct rv_agent *a) {
    for (size_t i = 0; i < a->garbage.n; i++) {
        free(a->garbage.v[i]->path);
        free(a->garbage.v[i]);
    }
    rv_vec_free(&a->garbage);
}
