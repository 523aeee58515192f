/*
 * What of the machine's mounts matters to containers, see linux_internal.h: hierarchies of control
 * groups, of which each is shown its own group, and file systems that lie where none will see them.
 *
 * The latter are looked for again only when the kernel says that something was mounted or
 * unmounted. Who mounts one in the very moment in which a container is started finds it in use by
 * that until it ends.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "containerizer/linux_internal.h"
#include "containerizer/mountinfo.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

bool rv_linux_is_below(const char *path, const char *folder) {
    size_t n = folder ? strlen(folder) : 0;

    return n && strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* ---- control groups ---- */

void rv_linux_forget_hierarchies(struct rv_linux *c) {
    for (size_t i = 0; i < c->hierarchies.n; i++) {
        free(c->hierarchies.v[i].mount);
        free(c->hierarchies.v[i].folder);
    }
    rv_vec_free(&c->hierarchies);
}

static void on_hierarchy(void *ctx, const struct rv_mountinfo *m) {
    struct rv_linux *c = ctx;
    struct rv_linux_hierarchy h = {0};

    if (!rv_starts_with(m->type, "cgroup") || !rv_linux_is_below(m->path, CGROUP_ROOT))
        return;
    for (size_t i = 0; i < c->hierarchies.n; i++)
        if (rv_linux_is_below(m->path, c->hierarchies.v[i].mount))
            return;
    h.folder = rv_cgroups_seen_at(c->groups, m->path);
    h.mount = rv_strdup(m->path);
    rv_vec_push(&c->hierarchies, h);
}

int rv_linux_find_hierarchies(struct rv_linux *c, struct rv_error *err) {
    int rc = rv_mountinfo_open(&c->mounts, err);

    return rc ? rc : rv_mountinfo_each(c->mounts, on_hierarchy, c, err);
}

/* ---- what is not to be seen ---- */

void rv_linux_forget_unseen(struct rv_linux *c) {
    for (size_t i = 0; i < c->unseen.n; i++)
        free(c->unseen.v[i]);
    c->unseen.n = 0;
    c->has_unseen = false;
}

static void on_mount(void *ctx, const struct rv_mountinfo *m) {
    struct rv_linux *c = ctx;
    bool covered = rv_linux_is_below(m->path, "/tmp");

    for (size_t i = 0; i < c->hidden.n && !covered; i++)
        covered = rv_linux_is_below(m->path, c->hidden.v[i]);
    if (covered)
        rv_vec_push(&c->unseen, rv_strdup(m->path));
}

int rv_linux_find_unseen(struct rv_linux *c, struct rv_error *err) {
    struct pollfd p = {.fd = c->mounts, .events = POLLPRI};

    if (poll(&p, 1, 0) == 0 && c->has_unseen)
        return 0;
    rv_linux_forget_unseen(c);
    c->has_unseen = true;
    return rv_mountinfo_each(c->mounts, on_mount, c, err);
}
