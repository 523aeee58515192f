/*
 * The journal. Appends gather while a write is under way and go out together; each batch is one
 * frame, one pwrite and one fdatasync in the thread pool. The file is ahead of what is in use by
 * zeros: writing over them changes no size, so that the sync has no more to do than to write, and a
 * file that ends too soon is known to be damaged.
 *
 * `end` is the offset behind the last durable frame, `size` what is certainly zeros or frames,
 * `dirty` where what a failed batch may have left ends: it is made zeros before anything else is
 * written, so that nothing is ever hidden behind half a frame.
 */
#include "io/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/vec.h"

#define MODULE "journal"
#define GROW ((uint64_t)256 << 10)
#define BATCH_MAX ((size_t)8 << 20)
#define PAUSE_MAX_MS 500

struct append {
    rv_journal_done done;
    void *ctx;
    size_t n; /* bytes of gathering */
};

struct rv_journal {
    uv_loop_t *loop;
    char *path;
    int fd;
    uint64_t end, size, dirty;
    bool named; /* on the disk, too: the folder was made durable since the file got its name */
    uv_work_t work;
    struct rv_buf gathering; /* records */
    struct rv_buf writing;   /* a frame */
    RV_VEC(struct append) waiting, under_way;
    bool busy;
    atomic_bool closed;
    bool in_pool; /* a batch is being written: the file is the thread's */
    int result;
    struct rv_error err;
};

static int io_error(const char *path, const char *what, struct rv_error *err) {
    return rv_error_set(err, RV_ERR_IO, "%s: %s: %s", path, what, strerror(errno));
}

static int write_all(int fd, const void *data, size_t n, uint64_t offset) {
    const char *p = data;

    while (n) {
        ssize_t done = pwrite(fd, p, n, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return -1;
        p += done;
        n -= (size_t)done;
        offset += (size_t)done;
    }
    return 0;
}

static void pause_ms(long ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static int write_zeros(int fd, uint64_t from, uint64_t to) {
    static const char zeros[16 << 10];

    for (uint64_t n; from < to; from += n) {
        n = RV_MIN(to - from, (uint64_t)sizeof zeros);
        if (write_all(fd, zeros, n, from))
            return -1;
    }
    return 0;
}

/* The size of a file in which so much is in use. */
static uint64_t size_for(uint64_t used) {
    return (used + RV_JOURNAL_ALIGN + GROW - 1) / GROW * GROW;
}

static int sync_folder(const char *path) {
    _cleanup_free_ char *folder = rv_strdup(path);
    char *slash = strrchr(folder, '/');

    if (slash)
        *slash = 0;
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        close(fd);
    return r;
}

/* --- files --- */

/* Opens the file that has this name once it is ours: between opening and locking it another process
 * may have put a new one in its place. */
static int open_locked(const char *path, int flags, int *out, struct rv_error *err) {
    struct stat opened, named;

    for (;;) {
        int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
        if (fd < 0)
            return io_error(path, "open", err);
        int r = 0;
        if (flock(fd, LOCK_EX | LOCK_NB))
            r = errno == EWOULDBLOCK
                    ? rv_error_set(err, RV_ERR_CONFLICT, "%s: another process uses it", path)
                    : io_error(path, "lock", err);
        else if (fstat(fd, &opened))
            r = io_error(path, "stat", err);
        else if (!stat(path, &named) && named.st_ino == opened.st_ino &&
                 named.st_dev == opened.st_dev) {
            *out = fd;
            return 0;
        }
        close(fd);
        if (r)
            return r;
    }
}

/* A file of these records beside the one named, durable and locked; it takes its place next. */
static int write_beside(const char *fresh, const struct rv_str *records, size_t n, int *out,
                        uint64_t *end, struct rv_error *err) {
    struct rv_buf content = {0}, frame = {0};
    int fd, r = open_locked(fresh, O_CREAT, &fd, err);

    if (r)
        return r;
    rv_journal_put_head(&content);
    for (size_t i = 0; i < n; i++) {
        rv_journal_put_record(&frame, records[i]);
        if (frame.n >= BATCH_MAX || i + 1 == n) {
            rv_journal_put_frame(&content, rv_buf_str(&frame));
            rv_buf_clear(&frame);
        }
    }
    if (ftruncate(fd, 0) || write_all(fd, content.data, content.n, 0) ||
        write_zeros(fd, content.n, size_for(content.n)) || fsync(fd)) {
        r = io_error(fresh, "write", err);
        close(fd);
        unlink(fresh);
    } else {
        *out = fd;
        *end = content.n;
    }
    rv_buf_free(&content);
    rv_buf_free(&frame);
    return r;
}

/* An empty journal, unless somebody else has made one meanwhile. */
static int create(const char *path, struct rv_error *err) {
    _cleanup_free_ char *fresh = rv_asprintf("%s.new", path);
    uint64_t end;
    int fd, r = write_beside(fresh, NULL, 0, &fd, &end, err);

    if (r)
        return r;
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_NOREPLACE) &&
        (errno != EINVAL || rename(fresh, path))) { /* a file system that has no such renaming */
        r = errno == EEXIST ? 0 : io_error(path, "create", err);
        unlink(fresh);
    } else if (sync_folder(path))
        r = io_error(path, "sync the folder", err);
    close(fd);
    return r;
}

/* --- reading --- */

static int read_all(int fd, const char *path, struct rv_buf *out, struct rv_error *err) {
    struct stat s;

    if (fstat(fd, &s))
        return io_error(path, "stat", err);
    rv_buf_reserve(out, (size_t)s.st_size + 1);
    for (;;) {
        ssize_t n = pread(fd, out->data + out->n, (size_t)s.st_size - out->n, (off_t)out->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_error(path, "read", err);
        out->n += (size_t)n;
        if (n == 0 || out->n == (size_t)s.st_size)
            return 0;
    }
}

/* What is behind the end becomes zeros again, on the disk. */
static int erase(struct rv_journal *j) {
    if (j->dirty <= j->end)
        return 0;
    if (write_zeros(j->fd, j->end, j->dirty) || fdatasync(j->fd))
        return -1;
    j->dirty = 0;
    return 0;
}

struct collected {
    rv_journal_each each;
    void *ctx;
    RV_VEC(struct rv_str) records; /* of the file that is parsed */
};

static int collect(void *ctx, struct rv_str record, struct rv_error *err) {
    struct collected *c = ctx;

    rv_vec_push(&c->records, record);
    return c->each ? c->each(c->ctx, record, err) : 0;
}

static int load(struct rv_journal *j, rv_journal_each each, void *ctx, struct rv_error *err) {
    struct collected c = {.each = each, .ctx = ctx};
    struct rv_journal_found found;
    struct rv_buf file = {0};
    int r = read_all(j->fd, j->path, &file, err);

    if (!r)
        r = rv_journal_parse(rv_buf_str(&file), j->path, false, collect, &c, &found, err);
    if (!r) {
        j->end = found.end;
        j->size = file.n;
        j->dirty = found.torn ? file.n : 0;
        if (found.torn)
            RV_WARN(MODULE, "%s: passed over a record at byte %zu that a crash has torn", j->path,
                    found.end);
    }
    if (!r && found.version != RV_JOURNAL_VERSION) {
        RV_INFO(MODULE, "%s: brought from format %d to %d", j->path, found.version,
                RV_JOURNAL_VERSION);
        r = rv_journal_rewrite(j, c.records.v, c.records.n, err);
    }
    rv_vec_free(&c.records);
    rv_buf_free(&file);
    return r;
}

int rv_journal_open(uv_loop_t *loop, const char *path, rv_journal_each each, void *ctx,
                    struct rv_journal **out, struct rv_error *err) {
    struct rv_journal *j = rv_calloc(1, sizeof *j);

    j->loop = loop;
    j->path = rv_strdup(path);
    j->work.data = j;
    j->fd = -1;
    int r = access(path, F_OK) && errno == ENOENT ? create(path, err) : 0;
    if (!r)
        r = open_locked(path, 0, &j->fd, err);
    if (!r)
        r = load(j, each, ctx, err);
    if (r) {
        rv_journal_close(j);
        return r;
    }
    *out = j;
    return 0;
}

/* --- appending --- */

/* Zeros up to where the frame and what must follow it fit. */
static int grow(struct rv_journal *j, uint64_t used) {
    uint64_t size = size_for(used);

    if (used + RV_JOURNAL_ALIGN <= j->size)
        return 0;
    if (!write_zeros(j->fd, j->size, size) && !fdatasync(j->fd)) {
        j->size = size;
        return 0;
    }
    int why = errno;
    if (ftruncate(j->fd, (off_t)j->size))
        RV_DEBUG(MODULE, "%s: zeros stay at its end: %s", j->path, strerror(errno));
    errno = why;
    return -1;
}

/* Else a crash may bring back the file that had the name before. */
static int name(struct rv_journal *j) {
    if (!j->named && sync_folder(j->path))
        return -1;
    j->named = true;
    return 0;
}

static bool try_frame(struct rv_journal *j, bool *whole) {
    if (write_all(j->fd, j->writing.data, j->writing.n, j->end))
        return false;
    *whole = true;
    return !fdatasync(j->fd);
}

/* A frame that could not be synced nor removed may be there after a crash, or not. To tell that it
 * is not there would be as wrong as that it is: it is tried until one of the two is certain. */
static void write_batch(uv_work_t *work) {
    struct rv_journal *j = work->data;

    j->result = 0;
    if (name(j) || erase(j) || grow(j, j->end + j->writing.n)) {
        j->result = io_error(j->path, "append", &j->err);
        return;
    }
    bool whole = false; /* all of it was given to the system, at some time */
    for (long ms = 1; !try_frame(j, &whole); ms = RV_MIN(2 * ms, PAUSE_MAX_MS)) {
        j->result = io_error(j->path, "append", &j->err);
        j->dirty = j->end + j->writing.n;
        if (!erase(j))
            return;
        if (!whole) { /* half a frame is none: it is removed before the next batch */
            rv_error_prefix(&j->err, "not removed");
            return;
        }
        if (ms == 1)
            RV_ERROR(MODULE, "%s: tried until it is either written or removed", j->err.message);
        if (atomic_load(&j->closed))
            return;
        pause_ms(ms);
    }
    j->result = 0;
    j->dirty = 0;
}

static void start(struct rv_journal *j);

static void release(struct rv_journal *j) {
    if (j->fd >= 0)
        close(j->fd);
    rv_buf_free(&j->gathering);
    rv_buf_free(&j->writing);
    rv_vec_free(&j->waiting);
    rv_vec_free(&j->under_way);
    free(j->path);
    free(j);
}

/* What waits goes with what is under way. */
static void take_waiting(struct rv_journal *j, size_t n) {
    for (size_t i = 0; i < n; i++)
        rv_vec_push(&j->under_way, j->waiting.v[i]);
    j->waiting.n -= n;
    memmove(j->waiting.v, j->waiting.v + n, j->waiting.n * sizeof *j->waiting.v);
}

static void written(uv_work_t *work, int status) {
    struct rv_journal *j = work->data;

    (void)status; /* never cancelled */
    j->in_pool = false;
    if (!j->result)
        j->end += j->writing.n;
    else if (j->waiting.n) {
        take_waiting(j, j->waiting.n);
        rv_buf_clear(&j->gathering);
    }
    for (size_t i = 0; i < j->under_way.n; i++)
        j->under_way.v[i].done(j->under_way.v[i].ctx, j->result, &j->err);
    j->under_way.n = 0;
    j->busy = false;
    start(j);
    if (j->closed && !j->busy)
        release(j);
}

/* Takes what waits, as far as it fits into one frame, in order. */
static void begin_batch(struct rv_journal *j) {
    size_t n = 0, bytes = 0;

    while (n < j->waiting.n && (!n || bytes + j->waiting.v[n].n <= BATCH_MAX))
        bytes += j->waiting.v[n++].n;
    rv_buf_clear(&j->writing);
    rv_journal_put_frame(&j->writing, rv_strn(j->gathering.data, bytes));
    take_waiting(j, n);
    rv_buf_consume(&j->gathering, bytes);
}

static void start(struct rv_journal *j) {
    if (j->busy || !j->waiting.n)
        return;
    begin_batch(j);
    j->busy = j->in_pool = true;
    if (uv_queue_work(j->loop, &j->work, write_batch, written)) {
        write_batch(&j->work);
        written(&j->work, 0);
    }
}

void rv_journal_append(struct rv_journal *j, struct rv_str record, rv_journal_done done,
                       void *ctx) {
    size_t before = j->gathering.n;

    rv_journal_put_record(&j->gathering, record);
    rv_vec_push(&j->waiting, ((struct append){done, ctx, j->gathering.n - before}));
    start(j);
}

static void ignore_done(void *ctx, int result, const struct rv_error *err) {
    (void)ctx;
    (void)result;
    (void)err;
}

struct rv_journal *rv_journal_close(struct rv_journal *j) {
    if (!j)
        return NULL;
    for (size_t i = 0; i < j->waiting.n; i++)
        j->waiting.v[i].done = ignore_done;
    for (size_t i = 0; i < j->under_way.n; i++)
        j->under_way.v[i].done = ignore_done;
    j->closed = true;
    if (!j->busy)
        release(j);
    return NULL;
}

/* --- the whole of it --- */

int rv_journal_read(struct rv_journal *j, rv_journal_each each, void *ctx, struct rv_error *err) {
    static const char zeros[RV_JOURNAL_ALIGN];
    struct rv_journal_found found;
    struct rv_buf file = {0};

    if (j->in_pool)
        return rv_error_set(err, RV_ERR_CONFLICT, "%s: a write is under way", j->path);
    int r = read_all(j->fd, j->path, &file, err);
    if (!r && file.n < j->end)
        r = rv_error_set(err, RV_ERR_CORRUPT, "%s: has become shorter", j->path);
    if (!r) { /* without what a failed batch may have left */
        file.n = (size_t)j->end;
        rv_buf_append(&file, zeros, sizeof zeros);
        r = rv_journal_parse(rv_buf_str(&file), j->path, false, each, ctx, &found, err);
    }
    if (!r && found.end != j->end)
        r = rv_error_set(err, RV_ERR_CORRUPT, "%s: damaged at byte %zu", j->path, found.end);
    rv_buf_free(&file);
    return r;
}

int rv_journal_rewrite(struct rv_journal *j, const struct rv_str *records, size_t n,
                       struct rv_error *err) {
    _cleanup_free_ char *fresh = rv_asprintf("%s.new", j->path);
    uint64_t end;
    int fd;

    if (j->in_pool)
        return rv_error_set(err, RV_ERR_CONFLICT, "%s: a write is under way", j->path);
    int r = write_beside(fresh, records, n, &fd, &end, err);
    if (!r && rename(fresh, j->path)) {
        r = io_error(fresh, "rename", err);
        close(fd);
        unlink(fresh);
    } else if (!r) { /* from here on the old file has no name */
        close(j->fd);
        j->fd = fd;
        j->end = end;
        j->size = size_for(end);
        j->dirty = 0;
        j->named = false;
        if (name(j))
            r = io_error(j->path, "sync the folder", err);
    }
    return r;
}

uint64_t rv_journal_size(const struct rv_journal *j) {
    return j->end;
}

/* The damaged file under a name that is free. */
static int put_aside(const char *path, char **aside, struct rv_error *err) {
    for (int i = 1; i < 1000; i++) {
        char *name = rv_asprintf("%s.damaged-%d", path, i);
        if (!link(path, name)) {
            *aside = name;
            return 0;
        }
        int r = errno == EEXIST ? 0 : io_error(name, "link", err);
        free(name);
        if (r)
            return r;
    }
    return rv_error_set(err, RV_ERR_IO, "%s: too many damaged files lie beside it", path);
}

int rv_journal_repair(const char *path, char **aside, struct rv_error *err) {
    _cleanup_free_ char *fresh = rv_asprintf("%s.new", path);
    struct rv_journal_found found;
    struct collected c = {0};
    struct rv_buf file = {0};
    uint64_t end;
    int fd = -1, beside = -1;

    *aside = NULL;
    if (access(path, F_OK) && errno == ENOENT)
        return 0;
    int r = open_locked(path, 0, &fd, err);
    if (!r)
        r = read_all(fd, path, &file, err);
    if (!r)
        r = rv_journal_parse(rv_buf_str(&file), path, false, NULL, NULL, &found, err);
    if (r == -RV_ERR_CORRUPT) {
        r = rv_journal_parse(rv_buf_str(&file), path, true, collect, &c, &found, err);
        if (!r)
            r = write_beside(fresh, c.records.v, c.records.n, &beside, &end, err);
        if (!r)
            r = put_aside(path, aside, err);
        if (!r && (rename(fresh, path) || sync_folder(path)))
            r = io_error(path, "repair", err);
    }
    if (fd >= 0)
        close(fd);
    if (beside >= 0)
        close(beside);
    rv_vec_free(&c.records);
    rv_buf_free(&file);
    return r;
}
