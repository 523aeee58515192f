/*
 * The walk, see disk_usage.h. Holds: the folder that is being read is the only one open; those
 * above it are frames that know which folder it was and how far it had been read, and are found
 * again by "..". Depth and time are the walked one's to choose, memory and descriptors are not.
 */
#include "containerizer/disk_usage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/vec.h"

enum { BLOCK = 512, REST_EVERY = 256, MAX_LINKED = 100000, MAX_REST_NS = 100000000 };

/* A folder that is left for one below it. */
struct frame {
    dev_t dev;
    ino_t ino;
    long offset;
};

struct walk {
    DIR *dir;
    struct stat here; /* of the folder */
    RV_VEC(struct frame) above;
    struct rv_map linked; /* inodes with several names that were counted */
    uint64_t bytes;
    const atomic_bool *stop;
    unsigned seen; /* since the last rest */
    struct timespec since;
};

static struct timespec now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t;
}

/* As long as the work took, so that it is never more than half of a processor or of a disk. */
static void rest(struct walk *w) {
    struct timespec t = now();
    int64_t ns = (t.tv_sec - w->since.tv_sec) * 1000000000 + t.tv_nsec - w->since.tv_nsec;

    ns = RV_MIN(RV_MAX(ns, (int64_t)0), (int64_t)MAX_REST_NS);
    nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
    w->since = now();
    w->seen = 0;
}

/* Takes the descriptor. */
static bool enter(struct walk *w, int fd) {
    struct stat st;
    DIR *dir = fd >= 0 && fstat(fd, &st) == 0 ? fdopendir(fd) : NULL;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    if (w->dir)
        closedir(w->dir);
    w->dir = dir;
    w->here = st;
    return true;
}

static void descend(struct walk *w, const char *name) {
    struct frame f = {w->here.st_dev, w->here.st_ino, telldir(w->dir)};
    int fd = openat(dirfd(w->dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    /* It may have become another one, or a mount, since it was looked at. */
    if (fd >= 0 && (fstat(fd, &st) || st.st_dev != f.dev)) {
        close(fd);
        fd = -1;
    }
    if (enter(w, fd))
        rv_vec_push(&w->above, f);
}

/* Back to where it was left; false: there is nothing above, or it has been moved away. */
static bool ascend(struct walk *w) {
    struct frame f;

    if (!w->above.n)
        return false;
    f = w->above.v[--w->above.n];
    if (!enter(w, openat(dirfd(w->dir), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) ||
        w->here.st_dev != f.dev || w->here.st_ino != f.ino)
        return false;
    seekdir(w->dir, f.offset);
    return true;
}

static bool was_counted(struct walk *w, const struct stat *st) {
    struct rv_str key = rv_strn(&st->st_ino, sizeof st->st_ino);

    if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
        return false;
    if (rv_map_get(&w->linked, key))
        return true;
    if (rv_map_count(&w->linked) < MAX_LINKED)
        rv_map_put(&w->linked, key, w);
    return false;
}

static void look_at(struct walk *w, const char *name) {
    struct stat st;

    if (rv_streq(name, ".") || rv_streq(name, "..") ||
        fstatat(dirfd(w->dir), name, &st, AT_SYMLINK_NOFOLLOW) || st.st_dev != w->here.st_dev ||
        was_counted(w, &st))
        return;
    w->bytes += (uint64_t)st.st_blocks * BLOCK;
    if (S_ISDIR(st.st_mode))
        descend(w, name);
}

static int walk(struct walk *w, struct rv_error *err) {
    do {
        for (const struct dirent *e; (e = readdir(w->dir));) {
            look_at(w, e->d_name);
            if (++w->seen < REST_EVERY)
                continue;
            if (atomic_load(w->stop))
                return rv_error_set(err, RV_ERR_CLOSED, "stopped");
            rest(w);
        }
    } while (ascend(w));
    return 0;
}

int rv_disk_usage(const char *folder, const atomic_bool *stop, uint64_t *bytes,
                  struct rv_error *err) {
    struct walk w = {.stop = stop, .since = now()};
    int rc;

    if (!enter(&w, open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)))
        return rv_error_set(err, errno == ENOENT ? RV_ERR_NOT_FOUND : RV_ERR_IO, "%s: %s", folder,
                            strerror(errno));
    w.bytes = (uint64_t)w.here.st_blocks * BLOCK;
    rc = walk(&w, err);
    closedir(w.dir);
    rv_vec_free(&w.above);
    rv_map_free(&w.linked);
    if (!rc)
        *bytes = w.bytes;
    return rc;
}
