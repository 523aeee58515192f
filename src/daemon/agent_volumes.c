/* See agent_volumes.h. */
#include "daemon/agent_volumes.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/log.h"
#include "containerizer/sandbox.h"
#include "daemon/agent_containers.h"
#include "daemon/folders.h"
#include "daemon/volumes.h"
#include "model/operation.h"
#include "reeve/v1/v1.pb-c.h"

#define MODULE "agent"

enum { MAX_VOLUMES = 60 }; /* of one container; init takes a few more */

/* --- which --- */

struct uses {
    RV_VEC(const struct rv_kind *) kinds;
};

static void add_uses(struct uses *u, const struct rv_resources *r) {
    for (size_t i = 0; i < r->n; i++)
        if (rv_kind_is_volume(r->v[i].kind))
            rv_vec_push(&u->kinds, r->v[i].kind);
}

/* In the container of the executor itself. */
static void uses_of(const struct rv_agent_executor *ex, struct uses *u) {
    struct rv_agent_task *t;

    add_uses(u, &ex->info.resources);
    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);)
        if (ex->info.type != RV_EXECUTOR_DEFAULT && t->place != RV_TASK_TERMINATED)
            add_uses(u, &t->info.resources);
}

static bool has_volume(const struct rv_resources *r, const struct rv_kind *volume) {
    for (size_t i = 0; i < r->n; i++)
        if (rv_kind_is_same_volume(r->v[i].kind, volume))
            return true;
    return false;
}

struct search {
    const struct rv_kind *volume;
    const char *but; /* the id of a container; may be NULL */
    bool found;
};

static void search(void *ctx, const char *id, const char *directory,
                   const struct rv_resources *resources) {
    struct search *s = ctx;

    (void)directory;
    s->found = s->found || (!rv_streq(id, s->but) && has_volume(resources, s->volume));
}

/* By a container that is none of this executor's, or one that the API made. */
static bool is_in_use(const struct rv_agent_daemon *d, const struct rv_kind *volume,
                      const struct rv_agent_executor *self, const char *id) {
    struct rv_agent_executor *ex;

    for (size_t i = 0; rv_map_next(&d->core->containers, &i, NULL, (void **)&ex);)
        if (ex != self && has_volume(&ex->resources, volume))
            return true;
    struct search s = {.volume = volume, .but = id};
    rv_api_containers_each(d->api, search, &s);
    return s.found;
}

/* --- folders --- */

static int open_folder(const char *path, bool *fresh, struct rv_error *err) {
    int fd = rv_folder_open(path, err);

    *fresh = fd == -RV_ERR_NOT_FOUND;
    return *fresh ? rv_folder_make(path, 0755, err) : fd;
}

/* The volume is its user's, as the sandbox is, who may be another one than that of before. */
static int make_folder(const char *path, const char *user, bool in_use, struct rv_error *err) {
    struct rv_sandbox_user owner;
    bool fresh;
    int rc = rv_sandbox_find_user(user, &owner, err), fd;

    if (rc)
        return rc;
    fd = open_folder(path, &fresh, err);
    if (fd < 0)
        return fd;
    if (owner.differs && (fresh || !in_use) && fchown(fd, owner.uid, owner.gid) != 0)
        rc = rv_error_set(err, RV_ERR_IO, "chown %s: %s", path, strerror(errno));
    close(fd);
    return rc;
}

static int target_of(const char *path, struct rv_arena *arena, const char **out,
                     struct rv_error *err) {
    static const char field[] = "disk.volume.container_path";
    int rc = rv_volume_path_clean(path, field, arena, out, err);

    if (!rc && (!**out || rv_streq(*out, "/")))
        rc = rv_error_set(err, RV_ERR_INVALID, "%s: must name a place in the sandbox", field);
    return rc;
}

static int volume_from(const struct rv_agent_daemon *d, const struct rv_kind *k,
                       struct rv_arena *arena, struct rv_container_volume *out,
                       struct rv_error *err) {
    const Reeve__V1__Volume *m =
        rv_agent_unpack(k->disk->volume, &reeve__v1__volume__descriptor, arena);
    struct rv_buf path = {0};

    if (!m || !m->container_path)
        return rv_error_set(err, RV_ERR_INVALID, "volume '%s': has no 'disk.volume'",
                            k->disk->persistence_id);
    if (k->disk->source)
        return rv_error_set(err, RV_ERR_UNSUPPORTED,
                            "volume '%s': volumes on disks with a source are not supported",
                            k->disk->persistence_id);
    rv_volume_directory(d->work_dir, k, &path);
    *out = (struct rv_container_volume){.source = RV_VOLUME_KEPT,
                                        .path = rv_arena_strdup(arena, path.data),
                                        .read_only = m->mode == REEVE__V1__VOLUME__MODE__RO};
    rv_buf_free(&path);
    return target_of(m->container_path, arena, &out->target, err);
}

/* --- what a container sees --- */

static bool is_listed(const struct rv_container_volume *v, size_t n,
                      const struct rv_container_volume *one) {
    for (size_t i = 0; i < n; i++)
        if (rv_streq(v[i].target, one->target) && rv_streq(v[i].path, one->path))
            return true;
    return false;
}

/* In the place of what is in `out`, with these. */
static int list(const struct rv_agent_daemon *d, const struct uses *u, struct rv_arena *arena,
                struct rv_container_isolation *out, struct rv_error *err) {
    struct rv_container_volume *v =
        RV_ARENA_ARRAY(arena, struct rv_container_volume, out->n_volumes + u->kinds.n + 1);
    size_t n = out->n_volumes;
    int rc = 0;

    if (n + u->kinds.n > MAX_VOLUMES)
        return rv_error_set(err, RV_ERR_LIMIT, "more than %d volumes in one container",
                            MAX_VOLUMES);
    if (n)
        memcpy(v, out->volumes, n * sizeof *v);
    for (size_t i = 0; i < u->kinds.n && !rc; i++) {
        rc = volume_from(d, u->kinds.v[i], arena, &v[n], err);
        n += !rc && !is_listed(v, n, &v[n]);
    }
    out->volumes = v;
    out->n_volumes = n;
    return rc;
}

static int add(struct rv_agent_daemon *d, const struct uses *u,
               const struct rv_agent_executor *self, const char *id, const char *user,
               struct rv_arena *arena, struct rv_container_isolation *out, struct rv_error *err) {
    int rc = u->kinds.n ? list(d, u, arena, out, err) : 0;

    for (size_t i = 0; i < u->kinds.n && !rc; i++) {
        struct rv_buf path = {0};
        rv_volume_directory(d->work_dir, u->kinds.v[i], &path);
        rc = make_folder(path.data, user, is_in_use(d, u->kinds.v[i], self, id), err);
        if (rc)
            rv_error_prefix(err, "volume '%s'", u->kinds.v[i]->disk->persistence_id);
        rv_buf_free(&path);
    }
    return rc;
}

int rv_agent_volumes_of(struct rv_agent_daemon *d, const struct rv_agent_executor *ex,
                        const char *user, struct rv_arena *arena,
                        struct rv_container_isolation *out, struct rv_error *err) {
    struct uses u = {0};

    uses_of(ex, &u);
    int rc = add(d, &u, ex, NULL, user, arena, out, err);
    rv_vec_free(&u.kinds);
    return rc;
}

int rv_agent_volumes_named(struct rv_agent_daemon *d, const struct rv_agent_executor *ex,
                           const char *id, const struct rv_resources *named, const char *user,
                           struct rv_arena *arena, struct rv_container_isolation *out,
                           struct rv_error *err) {
    struct uses u = {0};
    int rc = 0;

    add_uses(&u, named);
    for (size_t i = 0; i < u.kinds.n && !rc; i++)
        if (!ex || !has_volume(&ex->resources, u.kinds.v[i]))
            rc = rv_error_set(err, RV_ERR_INVALID,
                              "resources: the volume '%s' is none of the executor's",
                              u.kinds.v[i]->disk->persistence_id);
    if (!rc)
        rc = add(d, &u, ex, id, user, arena, out, err);
    rv_vec_free(&u.kinds);
    return rc;
}

/* --- containers that run --- */

/* What the container of a custom executor sees. */
struct seen {
    RV_VEC(struct rv_container_volume) volumes; /* path and target are owned */
};

static void drop(struct seen *s, size_t i) {
    free((char *)(uintptr_t)s->volumes.v[i].path);
    free((char *)(uintptr_t)s->volumes.v[i].target);
    rv_vec_remove_at(&s->volumes, i);
}

static void keep(struct seen *s, const struct rv_container_volume *v) {
    struct rv_container_volume copy = *v;

    copy.path = rv_strdup(v->path);
    copy.target = rv_strdup(v->target);
    rv_vec_push(&s->volumes, copy);
}

static void free_seen(struct seen *s) {
    if (!s)
        return;
    while (s->volumes.n)
        drop(s, s->volumes.n - 1);
    rv_vec_free(&s->volumes);
    free(s);
}

static const struct rv_agent_executor *custom(const struct rv_agent_daemon *d, const char *id) {
    const struct rv_agent_executor *ex = rv_map_gets(&d->core->containers, id);

    return ex && ex->info.type == RV_EXECUTOR_CUSTOM ? ex : NULL;
}

void rv_agent_volumes_launched(struct rv_agent_daemon *d, const char *id,
                               const struct rv_container_isolation *isolation) {
    struct seen *s;

    if (!custom(d, id))
        return;
    s = rv_calloc(1, sizeof *s);
    for (size_t i = 0; i < isolation->n_volumes; i++)
        if (isolation->volumes[i].source == RV_VOLUME_KEPT)
            keep(s, &isolation->volumes[i]);
    free_seen(rv_map_put(&d->volumes, rv_str(id), s));
}

void rv_agent_volumes_recovered(struct rv_agent_daemon *d) {
    struct rv_agent_executor *ex;

    for (size_t i = 0; rv_map_next(&d->core->containers, &i, NULL, (void **)&ex);) {
        struct rv_container_isolation now = {0};
        struct uses u = {0};
        uses_of(ex, &u);
        if (!list(d, &u, &d->arena, &now, NULL))
            rv_agent_volumes_launched(d, ex->container_id.v, &now);
        rv_vec_free(&u.kinds);
    }
    rv_arena_reset(&d->arena);
}

static void hide_gone(struct rv_agent_daemon *d, const char *id, struct seen *s,
                      const struct rv_container_isolation *now) {
    struct rv_error err;

    for (size_t i = s->volumes.n; i-- > 0;) {
        if (is_listed(now->volumes, now->n_volumes, &s->volumes.v[i]))
            continue;
        if (d->containerizer->ops->detach(d->containerizer, id, &s->volumes.v[i], &err))
            RV_WARN(MODULE, "container %s: %s", id, err.message);
        drop(s, i);
    }
}

static int show_new(struct rv_agent_daemon *d, const char *id, struct seen *s,
                    const struct rv_container_isolation *now, struct rv_error *err) {
    int rc = 0;

    for (size_t i = 0; i < now->n_volumes && !rc; i++) {
        const struct rv_container_volume *v = &now->volumes[i];
        if (is_listed(s->volumes.v, s->volumes.n, v))
            continue;
        rc = d->containerizer->ops->attach(d->containerizer, id, v, err);
        if (!rc)
            keep(s, v);
    }
    return rc;
}

/* Whose the container is: the executor's command says so before the framework does. */
static const char *user_of(const struct rv_agent_daemon *d, const struct rv_agent_executor *ex,
                           struct rv_arena *arena) {
    const Reeve__V1__ExecutorInfo *info =
        rv_agent_unpack(ex->info.packed, &reeve__v1__executor_info__descriptor, arena);

    if (!d->flags->switch_user)
        return NULL;
    return info && info->command && info->command->user ? info->command->user : ex->user;
}

void rv_agent_volumes_update(struct rv_agent_daemon *d, const char *id) {
    const struct rv_agent_executor *ex = custom(d, id);
    struct seen *s = rv_map_gets(&d->volumes, id);
    struct rv_container_isolation now = {0};
    _cleanup_(rv_arena_free) struct rv_arena arena;
    struct rv_error err;

    rv_arena_init(&arena);
    if (!ex || !s)
        return;
    int rc = rv_agent_volumes_of(d, ex, user_of(d, ex, &arena), &arena, &now, &err);
    if (!rc) {
        hide_gone(d, id, s, &now);
        rc = show_new(d, id, s, &now, &err);
    }
    if (!rc)
        return;
    RV_ERROR(MODULE, "container %s ends: %s", id, err.message);
    const struct rv_container_end end = {.reason = RV_REASON_CONTAINER_UPDATE_FAILED,
                                         .message = err.message};
    d->containerizer->ops->limit(d->containerizer, id, &end);
}

void rv_agent_volumes_exited(struct rv_agent_daemon *d, const char *id) {
    free_seen(rv_map_remove(&d->volumes, rv_str(id)));
}

void rv_agent_volumes_free(struct rv_agent_daemon *d) {
    struct seen *s;

    for (size_t i = 0; rv_map_next(&d->volumes, &i, NULL, (void **)&s);)
        free_seen(s);
    rv_map_free(&d->volumes);
}

/* --- what is on the disk --- */

static void find_below(const char *path, int depth, struct rv_arena *arena,
                       struct rv_agent_volumes *out) {
    DIR *folder = opendir(path);

    if (!folder)
        return;
    for (const struct dirent *e; (e = readdir(folder));) {
        if (rv_streq(e->d_name, ".") || rv_streq(e->d_name, ".."))
            continue;
        const char *one = rv_arena_printf(arena, "%s/%s", path, e->d_name);
        if (depth)
            find_below(one, depth - 1, arena, out);
        else
            rv_vec_push(&out->v, one);
    }
    closedir(folder);
}

void rv_agent_volumes_find(const char *work_dir, struct rv_arena *arena,
                           struct rv_agent_volumes *out) {
    find_below(rv_arena_printf(arena, "%s/volumes/roles", work_dir), 1, arena, out);
}

/* In its place, since the folder of all volumes may be a disk of its own. What is left there by an
 * agent that ends is a folder of no volume to the next one. */
void rv_agent_volumes_remove(struct rv_agent_daemon *d, const char *path) {
    int n = (int)(strrchr(path, '/') - path), rc;
    _cleanup_free_ char *name = NULL, *aside = NULL;

    do {
        free(name);
        name = rv_asprintf(".removed-%llu", (unsigned long long)d->volumes_removed++);
        free(aside);
        aside = rv_asprintf("%.*s/%s", n, path, name);
    } while (!access(aside, F_OK));
    rc = rv_folder_rename(path, name);
    if (!rc)
        rv_remover_add(d->remover, aside);
    else if (rc != -ENOENT)
        RV_ERROR(MODULE, "cannot remove the volume at %s: %s", path, strerror(-rc));
}

/* --- browsing --- */

struct browsing {
    const struct rv_agent_daemon *d;
    const struct rv_agent_executor *executor;
    const char *root;
    struct rv_files *files;
};

static void attach(const struct browsing *b, const struct uses *u, const char *below) {
    struct rv_container_isolation seen = {0};
    struct rv_arena arena;

    rv_arena_init(&arena);
    if (!list(b->d, u, &arena, &seen, NULL))
        for (size_t i = 0; i < seen.n_volumes; i++) {
            const struct rv_container_volume *v = &seen.volumes[i];
            if (*v->target != '/')
                rv_files_attach(b->files,
                                rv_arena_printf(&arena, "%s%s/%s", b->root, below, v->target),
                                v->path);
        }
    rv_arena_free(&arena);
}

/* Of a container that the API made in the executor's. */
static void attach_nested(void *ctx, const char *id, const char *directory,
                          const struct rv_resources *resources) {
    const struct browsing *b = ctx;
    size_t n = strlen(b->executor->directory);
    struct uses u = {0};

    (void)id;
    if (strncmp(directory, b->executor->directory, n) != 0 || directory[n] != '/')
        return;
    add_uses(&u, resources);
    attach(b, &u, directory + n);
    rv_vec_free(&u.kinds);
}

static void attach_all(const struct rv_agent_daemon *d, const struct rv_agent_executor *ex,
                       const char *root, struct rv_files *files) {
    struct browsing b = {d, ex, root, files};
    struct uses u = {0};

    uses_of(ex, &u);
    attach(&b, &u, "");
    rv_vec_free(&u.kinds);
    rv_api_containers_each(d->api, attach_nested, &b);
}

void rv_agent_volumes_attach(const struct rv_agent_daemon *d, const char *path,
                             struct rv_files *files) {
    struct rv_agent_executor *ex;

    for (size_t i = 0; path && rv_map_next(&d->core->containers, &i, NULL, (void **)&ex);) {
        _cleanup_free_ char *latest = rv_asprintf("/frameworks/%s/executors/%s/runs/latest",
                                                  ex->framework->id.v, ex->info.id.v);
        if (rv_starts_with(path, ex->directory))
            attach_all(d, ex, ex->directory, files);
        else if (rv_starts_with(path, latest))
            attach_all(d, ex, latest, files);
    }
}
