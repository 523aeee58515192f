/*
 * Removal is by nftw with FTW_PHYS: links are removed, not followed, and no mount is entered.
 */
#include "daemon/folders.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/memory.h"

int rv_make_folder(const char *path, struct rv_error *err) {
    char part[PATH_MAX];

    for (const char *slash = path; slash;) {
        slash = strchr(slash + 1, '/');
        snprintf(part, sizeof part, "%.*s", (int)(slash ? slash - path : (long)strlen(path)), path);
        if (mkdir(part, 0755) && errno != EEXIST)
            return rv_error_set(err, RV_ERR_IO, "cannot make the folder %s: %s", part,
                                strerror(errno));
    }
    return 0;
}

struct removal {
    uv_work_t work;
    char *path;
    int result;
};

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *where) {
    (void)s;
    (void)type;
    (void)where;
    return remove(path) && errno != ENOENT ? -1 : 0;
}

int rv_remove_tree_now(const char *path) {
    return nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) && errno != ENOENT ? -errno
                                                                                           : 0;
}

static void run(uv_work_t *work) {
    struct removal *r = work->data;

    r->result = rv_remove_tree_now(r->path);
}

static void done(uv_work_t *work, int status) {
    struct removal *r = work->data;

    if (status || r->result)
        RV_WARN("agent", "cannot remove %s: %s", r->path,
                status ? uv_strerror(status) : strerror(-r->result));
    free(r->path);
    free(r);
}

void rv_remove_tree(uv_loop_t *loop, const char *path) {
    struct removal *r = rv_calloc(1, sizeof *r);

    r->work.data = r;
    r->path = rv_strdup(path);
    if (uv_queue_work(loop, &r->work, run, done)) {
        run(&r->work);
        done(&r->work, 0);
    }
}
