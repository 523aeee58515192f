/* Folders of daemons, see folders.h. */
#include "daemon/folders.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/folder.h"
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

static void run(uv_work_t *work) {
    struct removal *r = work->data;

    r->result = rv_folder_remove(r->path);
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
