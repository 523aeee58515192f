/* See volume_links.h. The sandbox is a task's, so nothing on the way may be a link. */
#include "containerizer/volume_links.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/memory.h"

/* The folder that the link lies in, open, made if it is not there; its name in `name`. */
static int open_place(const char *sandbox, const char *target, bool make, const char **name,
                      struct rv_error *err) {
    const char *slash = strrchr(target, '/');
    _cleanup_free_ char *folder =
        slash ? rv_asprintf("%s/%.*s", sandbox, (int)(slash - target), target) : rv_strdup(sandbox);

    *name = slash ? slash + 1 : target;
    return make ? rv_folder_make(folder, 0755, err) : rv_folder_open(folder, err);
}

static bool leads_to(int folder, const char *name, const char *path) {
    char there[PATH_MAX];
    ssize_t n = readlinkat(folder, name, there, sizeof there - 1);

    if (n < 0)
        return false;
    there[n] = '\0';
    return rv_streq(there, path);
}

int rv_volume_link(const char *sandbox, const struct rv_container_volume *v, struct rv_error *err) {
    const char *name;
    int folder, rc = 0;

    if (*v->target == '/')
        return rv_error_set(err, RV_ERR_UNSUPPORTED,
                            "volume '%s': without isolation it must be below the sandbox",
                            v->target);
    folder = open_place(sandbox, v->target, true, &name, err);
    if (folder < 0)
        return folder;
    if (symlinkat(v->path, folder, name) != 0 && !leads_to(folder, name, v->path))
        rc = rv_error_set(err, RV_ERR_IO, "volume '%s': cannot make the link: %s", v->target,
                          strerror(errno == EINVAL ? EEXIST : errno));
    close(folder);
    return rc;
}

int rv_volume_unlink(const char *sandbox, const struct rv_container_volume *v,
                     struct rv_error *err) {
    const char *name;
    int folder = open_place(sandbox, v->target, false, &name, err), rc = 0;

    if (folder < 0)
        return folder == -RV_ERR_NOT_FOUND ? 0 : folder;
    if (leads_to(folder, name, v->path) && unlinkat(folder, name, 0) != 0 && errno != ENOENT)
        rc = rv_error_set(err, RV_ERR_IO, "volume '%s': cannot remove the link: %s", v->target,
                          strerror(errno));
    close(folder);
    return rc;
}
