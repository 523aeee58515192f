/*
 * The journal: a head of 16 bytes ("reeve-journal\n", format, 0), then records of length (4 bytes,
 * little-endian), CRC-32C over length and bytes (4 bytes), bytes. Appends gather while a write is
 * under way and go out together; each batch is one pwrite and one fdatasync in the thread pool.
 * `end` is the offset behind the last durable record: a failed batch is cut off, so that what
 * follows is never hidden behind half a record.
 */
#include "io/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc.h"
#include "base/log.h"
#include "base/vec.h"

#define MODULE "journal"
#define FORMAT 1
#define RECORD_HEAD 8
#define RECORD_MAX (64u << 20)

static const char magic[16] = {'r', 'e', 'e', 'v', 'e', '-',  'j',    'o',
                               'u', 'r', 'n', 'a', 'l', '\n', FORMAT, 0};

struct append {
    rv_journal_done done;
    void *ctx;
};

struct rv_journal {
    uv_loop_t *loop;
    char *path;
    int fd;
    uint64_t end;
    uv_work_t work;
    struct rv_buf gathering, writing;
    RV_VEC(struct append) waiting, under_way;
    bool busy, closed;
    bool in_pool; /* a batch is being written: the file is the thread's */
    int result;
    struct rv_error err;
};

static void put_u32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t checksum(const uint8_t length[4], struct rv_str record) {
    return rv_crc32c(rv_crc32c(0, length, 4), record.s, record.n);
}

static void put_record(struct rv_buf *out, struct rv_str record) {
    uint8_t head[RECORD_HEAD];

    put_u32(head, (uint32_t)record.n);
    put_u32(head + 4, checksum(head, record));
    rv_buf_append(out, head, sizeof head);
    rv_buf_append(out, record.s, record.n);
}

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

static bool is_record(const struct rv_buf *file, size_t at) {
    const uint8_t *p = (const uint8_t *)file->data + at;
    size_t left = file->n - at;
    uint32_t n = left < RECORD_HEAD ? 0 : get_u32(p);

    return left >= RECORD_HEAD && n <= left - RECORD_HEAD &&
           get_u32(p + 4) == checksum(p, rv_strn(p + RECORD_HEAD, n));
}

/* Whether what begins at `at` can only be a record that a crash has torn: it runs to the very end
 * of the file and no whole record is behind it (a damaged length would hide those), or the file
 * ends in zeros from there on (blocks allocated but not written). */
static bool torn(const struct rv_buf *file, size_t at) {
    size_t left = file->n - at;

    if (left < RECORD_HEAD)
        return true;
    uint32_t n = get_u32((const uint8_t *)file->data + at);
    if (n >= left - RECORD_HEAD && n <= RECORD_MAX) {
        for (size_t i = at + 1; i + RECORD_HEAD <= file->n; i++)
            if (is_record(file, i))
                return false;
        return true;
    }
    for (size_t i = at; i < file->n; i++)
        if (file->data[i])
            return false;
    return true;
}

static int read_records(struct rv_journal *j, const struct rv_buf *file, rv_journal_each each,
                        void *ctx, struct rv_error *err) {
    size_t at = sizeof magic;

    while (at < file->n) {
        const uint8_t *p = (const uint8_t *)file->data + at;
        size_t left = file->n - at;
        if (!is_record(file, at)) {
            if (!torn(file, at))
                return rv_error_set(err, RV_ERR_CORRUPT,
                                    "%s: damaged at byte %zu of %zu; restore the file, or move it "
                                    "away to begin anew (what it recorded is then lost)",
                                    j->path, at, file->n);
            RV_WARN(MODULE, "%s: cut off %zu bytes of a record that a crash has torn", j->path,
                    left);
            break;
        }
        size_t n = get_u32(p);
        int r = each ? each(ctx, rv_strn(p + RECORD_HEAD, n), err) : 0;
        if (r) {
            rv_error_prefix(err, "%s at byte %zu", j->path, at);
            return r;
        }
        at += RECORD_HEAD + n;
    }
    j->end = at;
    if (at < file->n && (ftruncate(j->fd, (off_t)at) || fdatasync(j->fd)))
        return io_error(j->path, "cut off", err);
    return 0;
}

static int begin_file(struct rv_journal *j, struct rv_error *err) {
    if (ftruncate(j->fd, 0) || write_all(j->fd, magic, sizeof magic, 0) || fsync(j->fd) ||
        sync_folder(j->path))
        return io_error(j->path, "begin", err);
    j->end = sizeof magic;
    return 0;
}

static int load(struct rv_journal *j, rv_journal_each each, void *ctx, struct rv_error *err) {
    struct rv_buf file = {0};
    int r = read_all(j->fd, j->path, &file, err);

    if (!r && file.n < sizeof magic && !memcmp(file.data, magic, file.n))
        r = begin_file(j, err); /* new, or torn in its very first write */
    else if (!r && memcmp(file.data, magic, RV_MIN(file.n, sizeof magic - 2)) != 0)
        r = rv_error_set(err, RV_ERR_CORRUPT, "%s: is not a journal", j->path);
    else if (!r && file.data[14] != FORMAT)
        r = rv_error_set(err, RV_ERR_UNSUPPORTED, "%s: its format %d is not known to this version",
                         j->path, file.data[14]);
    else if (!r)
        r = read_records(j, &file, each, ctx, err);
    rv_buf_free(&file);
    return r;
}

int rv_journal_open(uv_loop_t *loop, const char *path, rv_journal_each each, void *ctx,
                    struct rv_journal **out, struct rv_error *err) {
    struct rv_journal *j = rv_calloc(1, sizeof *j);

    j->loop = loop;
    j->path = rv_strdup(path);
    j->work.data = j;
    j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r = j->fd < 0 ? io_error(path, "open", err) : 0;
    if (!r && flock(j->fd, LOCK_EX | LOCK_NB))
        r = errno == EWOULDBLOCK
                ? rv_error_set(err, RV_ERR_CONFLICT, "%s: another process uses it", path)
                : io_error(path, "lock", err);
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

static void write_batch(uv_work_t *work) {
    struct rv_journal *j = work->data;

    j->result = 0;
    if (!write_all(j->fd, j->writing.data, j->writing.n, j->end) && !fdatasync(j->fd))
        return;
    j->result = io_error(j->path, "append", &j->err);
    if (ftruncate(j->fd, (off_t)j->end)) /* tried again by the next batch, which writes over it */
        rv_error_prefix(&j->err, "not cut back");
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

static void written(uv_work_t *work, int status) {
    struct rv_journal *j = work->data;

    (void)status; /* never cancelled */
    j->in_pool = false;
    if (!j->result)
        j->end += j->writing.n;
    rv_buf_clear(&j->writing);
    for (size_t i = 0; i < j->under_way.n; i++)
        j->under_way.v[i].done(j->under_way.v[i].ctx, j->result, &j->err);
    j->under_way.n = 0;
    j->busy = false;
    start(j);
    if (j->closed && !j->busy)
        release(j);
}

static void start(struct rv_journal *j) {
    if (j->busy || !j->waiting.n)
        return;
    struct rv_buf empty = j->writing;
    j->writing = j->gathering;
    j->gathering = empty;
    for (size_t i = 0; i < j->waiting.n; i++)
        rv_vec_push(&j->under_way, j->waiting.v[i]);
    j->waiting.n = 0;
    j->busy = j->in_pool = true;
    if (uv_queue_work(j->loop, &j->work, write_batch, written)) {
        write_batch(&j->work);
        written(&j->work, 0);
    }
}

void rv_journal_append(struct rv_journal *j, struct rv_str record, rv_journal_done done,
                       void *ctx) {
    put_record(&j->gathering, record);
    rv_vec_push(&j->waiting, ((struct append){done, ctx}));
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

int rv_journal_read(struct rv_journal *j, rv_journal_each each, void *ctx, struct rv_error *err) {
    struct rv_buf file = {0};

    if (j->in_pool)
        return rv_error_set(err, RV_ERR_CONFLICT, "%s: a write is under way", j->path);
    int r = read_all(j->fd, j->path, &file, err);
    if (!r && file.n > j->end)
        file.n = (size_t)j->end; /* what a failed batch left, where it could not be cut off */
    if (!r && file.n < j->end)
        r = rv_error_set(err, RV_ERR_CORRUPT, "%s: has become shorter", j->path);
    for (size_t at = sizeof magic; !r && at < file.n;) {
        const uint8_t *p = (const uint8_t *)file.data + at;
        if (!is_record(&file, at))
            r = rv_error_set(err, RV_ERR_CORRUPT, "%s: damaged at byte %zu", j->path, at);
        else
            r = each(ctx, rv_strn(p + RECORD_HEAD, get_u32(p)), err);
        at += RECORD_HEAD + (r ? 0 : get_u32(p));
    }
    rv_buf_free(&file);
    return r;
}

int rv_journal_rewrite(struct rv_journal *j, const struct rv_str *records, size_t n,
                       struct rv_error *err) {
    _cleanup_free_ char *fresh = rv_asprintf("%s.new", j->path);
    struct rv_buf content = {0};
    int r = 0;

    if (j->in_pool)
        return rv_error_set(err, RV_ERR_CONFLICT, "%s: a write is under way", j->path);
    rv_buf_append(&content, magic, sizeof magic);
    for (size_t i = 0; i < n; i++)
        put_record(&content, records[i]);
    int fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) || write_all(fd, content.data, content.n, 0) ||
        fdatasync(fd) || rename(fresh, j->path)) {
        r = io_error(fresh, "rewrite", err);
        if (fd >= 0)
            close(fd);
        unlink(fresh);
    } else { /* from here on the old file has no name */
        close(j->fd);
        j->fd = fd;
        j->end = content.n;
        if (sync_folder(j->path))
            r = io_error(j->path, "sync the folder", err);
    }
    rv_buf_free(&content);
    return r;
}

uint64_t rv_journal_size(const struct rv_journal *j) {
    return j->end;
}
