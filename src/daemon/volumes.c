/* See volumes.h. */
#include "daemon/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"

enum {
    MAX_SECRET = 1024 * 1024, /* bytes of one */
    MAX_VOLUMES = 60,         /* of one container; init takes a few more */
    MAX_PATH = 4095,
};

/* --- secrets --- */

/* One component of a path. */
static bool is_name(const char *name) {
    return *name && *name != '.' && !strchr(name, '/') && strlen(name) <= 255;
}

static int read_all(int fd, const char *field, struct rv_arena *arena, struct rv_str *out,
                    struct rv_error *err) {
    struct stat st;
    char *bytes;
    ssize_t n = 0, one;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return rv_error_set(err, RV_ERR_INVALID, "%s: the secret is not a file", field);
    if (st.st_size > MAX_SECRET)
        return rv_error_set(err, RV_ERR_LIMIT, "%s: the secret has more than %d bytes", field,
                            MAX_SECRET);
    bytes = rv_arena_alloc(arena, (size_t)st.st_size + 1);
    while (n < st.st_size && (one = read(fd, bytes + n, (size_t)(st.st_size - n))) != 0) {
        if (one < 0)
            return rv_error_set(err, RV_ERR_IO, "%s: read: %s", field, strerror(errno));
        n += one;
    }
    *out = rv_strn(bytes, (size_t)n);
    return 0;
}

static int read_reference(const Reeve__V1__Secret__Reference *r, const char *secrets,
                          const char *field, struct rv_arena *arena, struct rv_str *out,
                          struct rv_error *err) {
    const char *path = r->key ? rv_arena_printf(arena, "%s/%s", r->name, r->key) : r->name;
    int folder, fd, rc;

    if (!secrets)
        return rv_error_set(err, RV_ERR_UNSUPPORTED,
                            "%s: references to secrets need the agent's --secrets_dir", field);
    if (!is_name(r->name) || (r->key && !is_name(r->key)))
        return rv_error_set(err, RV_ERR_INVALID,
                            "%s.reference: name and key must be names of files, without '/' and "
                            "not beginning with '.'",
                            field);
    folder = open(secrets, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return rv_error_set(err, RV_ERR_IO, "%s: --secrets_dir: %s", field, strerror(errno));
    fd = rv_open_resolved(folder, path, O_RDONLY | O_NONBLOCK,
                          RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
    rc = fd < 0 ? rv_error_set(err, RV_ERR_NOT_FOUND, "%s: the agent has no secret '%.200s': %s",
                               field, path, strerror(errno))
                : read_all(fd, field, arena, out, err);
    close(folder);
    if (fd >= 0)
        close(fd);
    return rc;
}

int rv_secret_resolve(const Reeve__V1__Secret *m, const char *secrets, const char *field,
                      struct rv_arena *arena, struct rv_str *out, struct rv_error *err) {
    if (m->reference)
        return read_reference(m->reference, secrets, field, arena, out, err);
    if (!m->value)
        return rv_error_set(err, RV_ERR_NOT_FOUND,
                            "%s: the value of the secret is gone: it is kept in memory only, and "
                            "the agent was started again",
                            field);
    *out = rv_strn(m->value->data.data, m->value->data.len);
    return 0;
}

/* --- paths --- */

int rv_volume_path_clean(const char *path, const char *field, struct rv_arena *arena,
                         const char **out, struct rv_error *err) {
    size_t length = strlen(path), n = 0;
    char *to = rv_arena_alloc(arena, length + 2);

    if (length > MAX_PATH)
        return rv_error_set(err, RV_ERR_LIMIT, "%s: longer than %d bytes", field, MAX_PATH);
    if (*path == '/')
        to[n++] = '/';
    while (*path) {
        size_t part = strcspn(path, "/");
        if (part == 2 && path[0] == '.' && path[1] == '.')
            return rv_error_set(err, RV_ERR_INVALID, "%s: must not contain '..'", field);
        if (part && !(part == 1 && *path == '.')) {
            if (n && to[n - 1] != '/')
                to[n++] = '/';
            memcpy(to + n, path, part);
            n += part;
        }
        path += part + (path[part] == '/');
    }
    to[n] = '\0';
    *out = to;
    return 0;
}

/* --- volumes --- */

#define IS(source, name) ((source)->type == REEVE__V1__VOLUME__SOURCE__TYPE__##name)

static int host_path(const char *path, const Reeve__V1__MountPropagation *propagation,
                     const char *field, struct rv_arena *arena, struct rv_container_volume *out,
                     struct rv_error *err) {
    if (propagation && propagation->has_mode &&
        propagation->mode == REEVE__V1__MOUNT_PROPAGATION__MODE__BIDIRECTIONAL)
        return rv_error_set(err, RV_ERR_UNSUPPORTED,
                            "%s: mounts of a container are not seen outside: mount_propagation "
                            "must not be BIDIRECTIONAL",
                            field);
    if (*path != '/')
        return rv_error_set(err, RV_ERR_INVALID, "%s: must be absolute", field);
    out->source = RV_VOLUME_HOST;
    return rv_volume_path_clean(path, field, arena, &out->path, err);
}

static int sandbox_path(const char *path, bool parent, bool nested, const char *field,
                        struct rv_arena *arena, struct rv_container_volume *out,
                        struct rv_error *err) {
    if (*path == '/')
        return rv_error_set(err, RV_ERR_INVALID, "%s: must be below the sandbox, not absolute",
                            field);
    if (parent && !nested)
        return rv_error_set(err, RV_ERR_INVALID, "%s: PARENT is for nested containers", field);
    out->source = parent ? RV_VOLUME_PARENT : RV_VOLUME_SANDBOX;
    return rv_volume_path_clean(path, field, arena, &out->path, err);
}

static int source_of(const Reeve__V1__Volume *m, const char *secrets, bool nested, const char *at,
                     struct rv_arena *arena, struct rv_container_volume *out,
                     struct rv_error *err) {
    const Reeve__V1__Volume__Source *s = m->source;
    const char *field = rv_arena_printf(arena, "%s.source", at);

    if (m->image)
        return rv_error_set(err, RV_ERR_UNSUPPORTED, "%s.image: images are not supported", at);
    if (m->host_path && *m->host_path == '/')
        return host_path(m->host_path, NULL, at, arena, out, err);
    if (m->host_path) /* an older way to say SANDBOX_PATH */
        return sandbox_path(m->host_path, false, nested, at, arena, out, err);
    if (!s)
        return rv_error_set(err, RV_ERR_INVALID, "%s: has neither a host_path nor a source", at);
    if (IS(s, HOST_PATH) && s->host_path)
        return host_path(s->host_path->path, s->host_path->mount_propagation, field, arena, out,
                         err);
    if (IS(s, SANDBOX_PATH) && s->sandbox_path)
        return sandbox_path(s->sandbox_path->path,
                            s->sandbox_path->type ==
                                REEVE__V1__VOLUME__SOURCE__SANDBOX_PATH__TYPE__PARENT,
                            nested, field, arena, out, err);
    if (IS(s, SECRET) && s->secret) {
        out->source = RV_VOLUME_SECRET;
        return rv_secret_resolve(s->secret, secrets, rv_arena_printf(arena, "%s.secret", field),
                                 arena, &out->data, err);
    }
    return rv_error_set(err, RV_ERR_UNSUPPORTED,
                        "%s: only HOST_PATH, SANDBOX_PATH and SECRET are supported", field);
}

int rv_volumes_from(const Reeve__V1__ContainerInfo *container, const char *secrets, bool nested,
                    struct rv_arena *arena, struct rv_container_isolation *out,
                    struct rv_error *err) {
    struct rv_container_volume *v =
        RV_ARENA_ARRAY(arena, struct rv_container_volume, container->n_volumes);
    int rc = 0;

    if (container->n_volumes > MAX_VOLUMES)
        return rv_error_set(err, RV_ERR_LIMIT, "container.volumes: more than %d", MAX_VOLUMES);
    for (size_t i = 0; i < container->n_volumes && !rc; i++) {
        const Reeve__V1__Volume *m = container->volumes[i];
        const char *at = rv_arena_printf(arena, "container.volumes[%zu]", i);
        v[i].read_only = m->mode == REEVE__V1__VOLUME__MODE__RO;
        rc =
            rv_volume_path_clean(m->container_path, rv_arena_printf(arena, "%s.container_path", at),
                                 arena, &v[i].target, err);
        if (!rc && (!*v[i].target || rv_streq(v[i].target, "/")))
            rc = rv_error_set(err, RV_ERR_INVALID, "%s.container_path: must not be the root", at);
        if (!rc)
            rc = source_of(m, secrets, nested, at, arena, &v[i], err);
    }
    out->volumes = v;
    out->n_volumes = container->n_volumes;
    return rc;
}
