/* Folders of daemons, see folders.h. */
#include "daemon/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/folder.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/str.h"

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
    struct rv_list link;
    char *path;
};

struct rv_remover {
    uv_loop_t *loop;
    uv_work_t work;
    char *folder;
    uint64_t taken;
    struct rv_list waiting; /* the first is under way if `busy` */
    struct rv_remover_counters counters;
    bool busy, closing;
    int result;
};

static struct removal *first_of(const struct rv_remover *r) {
    return RV_LIST_ENTRY(r->waiting.next, struct removal, link);
}

static void drop_first(struct rv_remover *r) {
    struct removal *m = first_of(r);

    rv_list_remove(&m->link);
    free(m->path);
    free(m);
    r->counters.waiting--;
}

static void run(uv_work_t *work) {
    struct rv_remover *r = work->data;

    r->result = rv_folder_remove(first_of(r)->path);
}

static void next(struct rv_remover *r);

static void done(uv_work_t *work, int status) {
    struct rv_remover *r = work->data;

    r->busy = false;
    if (status || r->result) {
        r->counters.failed++;
        RV_WARN("agent", "cannot remove %s: %s", first_of(r)->path,
                status ? uv_strerror(status) : strerror(-r->result));
    } else {
        r->counters.succeeded++;
    }
    drop_first(r);
    if (r->closing)
        rv_remover_free(r);
    else
        next(r);
}

static void next(struct rv_remover *r) {
    if (r->busy || !r->counters.waiting)
        return;
    r->busy = true;
    r->work.data = r;
    if (uv_queue_work(r->loop, &r->work, run, done)) {
        run(&r->work);
        done(&r->work, 0);
    }
}

int rv_remover_new(uv_loop_t *loop, const char *folder, struct rv_remover **out,
                   struct rv_error *err) {
    int rc = rv_make_folder(folder, err);
    DIR *left = rc ? NULL : opendir(folder);
    struct rv_remover *r;

    if (!left)
        return rc ? rc : rv_error_set(err, RV_ERR_IO, "opendir %s: %s", folder, strerror(errno));
    r = rv_calloc(1, sizeof *r);
    r->loop = loop;
    r->folder = rv_strdup(folder);
    rv_list_init(&r->waiting);
    for (const struct dirent *e; (e = readdir(left));) {
        _cleanup_free_ char *path = rv_asprintf("%s/%s", folder, e->d_name);
        if (!rv_streq(e->d_name, ".") && !rv_streq(e->d_name, ".."))
            rv_remover_add(r, path);
    }
    closedir(left);
    *out = r;
    return 0;
}

struct rv_remover *rv_remover_free(struct rv_remover *r) {
    if (!r)
        return NULL;
    r->closing = true;
    if (r->busy)
        return NULL;
    while (r->counters.waiting)
        drop_first(r);
    free(r->folder);
    free(r);
    return NULL;
}

void rv_remover_take(struct rv_remover *r, const char *path) {
    _cleanup_free_ char *aside = NULL;
    int rc;

    do { /* there may be some that an earlier daemon left */
        free(aside);
        aside = rv_asprintf("%s/%llu", r->folder, (unsigned long long)r->taken++);
        rc = renameat2(AT_FDCWD, path, AT_FDCWD, aside, RENAME_NOREPLACE);
    } while (rc && errno == EEXIST);
    if (!rc) {
        rv_remover_add(r, aside);
    } else if (errno != ENOENT) {
        r->counters.failed++;
        RV_WARN("agent", "cannot move %s to %s: %s", path, r->folder, strerror(errno));
    }
}

void rv_remover_add(struct rv_remover *r, const char *path) {
    struct removal *m = rv_calloc(1, sizeof *m);

    m->path = rv_strdup(path);
    rv_list_append(&r->waiting, &m->link);
    r->counters.waiting++;
    next(r);
}

struct rv_remover_counters rv_remover_counters(const struct rv_remover *r) {
    return r->counters;
}
