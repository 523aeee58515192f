/*
 * The disk of the sandboxes, see agent_disk.h. Holds: one question about it is under way at a time;
 * it is asked on the thread pool, since a disk may hang.
 */
#include "daemon/agent_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/log.h"

enum { PPM = 1000000 };

struct rv_disk_watch {
    struct rv_agent_daemon *d; /* NULL: it has gone */
    uv_timer_t timer;
    uv_fs_t question;
    bool asking, closed;
};

static void free_if_done(struct rv_disk_watch *w) {
    if (!w->d && !w->asking && w->closed)
        free(w);
}

/* What the kernel keeps for root counts as used: tasks cannot have it. */
static int64_t used_ppm(const uv_statfs_t *s) {
    uint64_t used = s->f_blocks - RV_MIN(s->f_bfree, s->f_blocks), all = used + s->f_bavail;

    return all ? (int64_t)((double)used / (double)all * PPM) : 0;
}

static void on_answer(uv_fs_t *question) {
    struct rv_disk_watch *w = question->data;
    struct rv_agent_input input = {.kind = RV_AGENT_DISK_SEEN};

    w->asking = false;
    if (question->result < 0 && w->d)
        RV_WARN("agent", "cannot find out how full the disk of %s is: %s", w->d->work_dir,
                uv_strerror((int)question->result));
    else if (w->d)
        input.used_ppm = used_ppm(question->ptr);
    if (question->result >= 0 && w->d)
        rv_agent_daemon_step(w->d, &input);
    uv_fs_req_cleanup(question);
    free_if_done(w);
}

static void on_timer(uv_timer_t *timer) {
    struct rv_disk_watch *w = timer->data;

    if (w->asking)
        return;
    w->question.data = w;
    w->asking = uv_fs_statfs(w->d->loop, &w->question, w->d->work_dir, on_answer) == 0;
}

struct rv_disk_watch *rv_disk_watch_new(struct rv_agent_daemon *d) {
    struct rv_disk_watch *w = rv_calloc(1, sizeof *w);
    uint64_t interval_ms = (uint64_t)RV_MAX(d->flags->disk_watch_interval / 1000000, INT64_C(1));

    w->d = d;
    w->timer.data = w;
    uv_timer_init(d->loop, &w->timer);
    uv_timer_start(&w->timer, on_timer, 0, interval_ms);
    return w;
}

static void on_closed(uv_handle_t *handle) {
    struct rv_disk_watch *w = handle->data;

    w->closed = true;
    free_if_done(w);
}

struct rv_disk_watch *rv_disk_watch_free(struct rv_disk_watch *w) {
    if (w) {
        w->d = NULL;
        uv_close((uv_handle_t *)&w->timer, on_closed);
    }
    return NULL;
}

/* --- sandboxes --- */

struct search {
    struct rv_arena *arena;
    struct rv_agent_sandboxes *out;
};

void rv_agent_spread_sandboxes(const char *work_dir) {
    _cleanup_free_ char *path = rv_asprintf("%s/slaves", work_dir);
    int dir = rv_folder_make(path, 0755, NULL), flags;

    if (dir < 0)
        return;
    /* A file system that knows nothing of it says so. */
    if (ioctl(dir, FS_IOC_GETFLAGS, &flags) == 0 && !(flags & FS_TOPDIR_FL)) {
        flags |= FS_TOPDIR_FL;
        (void)ioctl(dir, FS_IOC_SETFLAGS, &flags);
    }
    close(dir);
}

/* Below slaves/: an id, then a name, then an id and so on. */
static const char *const levels[] = {NULL, "frameworks", NULL, "executors", NULL, "runs", NULL};

static void found(const struct search *s, int dir, const char *path) {
    struct rv_agent_sandbox one = {.path = path};
    struct stat st;

    if (fstat(dir, &st))
        return;
    if (st.st_mtim.tv_sec > 0 && st.st_mtim.tv_sec < INT64_MAX / 1000000000)
        one.modified_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    rv_vec_push(&s->out->v, one);
}

/* Takes dir. */
static void search(const struct search *s, int dir, const char *path, size_t level) {
    enum { FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };
    DIR *entries;

    if (level == RV_COUNT(levels))
        found(s, dir, path);
    entries = level < RV_COUNT(levels) ? fdopendir(dir) : NULL;
    if (!entries) {
        close(dir);
        return;
    }
    for (const struct dirent *e; (e = readdir(entries));) {
        bool fits = levels[level] ? rv_streq(e->d_name, levels[level]) : e->d_name[0] != '.';
        int below = fits ? openat(dir, e->d_name, FLAGS) : -1;
        if (below >= 0)
            search(s, below, rv_arena_printf(s->arena, "%s/%s", path, e->d_name), level + 1);
    }
    closedir(entries);
}

void rv_agent_find_sandboxes(const char *work_dir, struct rv_arena *arena,
                             struct rv_agent_sandboxes *out) {
    const struct search s = {arena, out};
    const char *path = rv_arena_printf(arena, "%s/slaves", work_dir);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir >= 0)
        search(&s, dir, path, 0);
}
