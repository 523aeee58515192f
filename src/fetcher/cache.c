/*
 * Files that several containers of one agent fetch, kept by content: objects/SHA256 is the content,
 * keys/SHA256-OF-URI names the object. Removed by last use when a new one needs the room.
 *
 * Holds: an object is complete and has the content of its name (it is renamed into place, by the
 * agent's user alone). A key may name an object that is gone: then it is fetched again. Readers
 * have it open, so removing it takes nothing from them. Locks are flock(2), which the kernel
 * releases with the process: of a key while it is fetched, of `lock` while room is made. Making
 * room reads the folder of objects once.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "base/vec.h"
#include "fetcher/fetcher.h"

static int open_folder(int dir, const char *name, struct rv_error *err) {
    int fd;

    if (mkdirat(dir, name, 0700) != 0 && errno != EEXIST)
        return rv_error_set(err, RV_ERR_IO, "the cache: mkdir %s: %s", name, strerror(errno));
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return rv_error_set(err, RV_ERR_IO, "the cache: open %s: %s", name, strerror(errno));
    return fd;
}

int rv_cache_open(const char *path, uint64_t max_bytes, struct rv_cache *out,
                  struct rv_error *err) {
    static const char *const names[] = {"keys", "objects", "fresh", "locks"};
    struct rv_cache c = {-1, -1, -1, -1, -1, max_bytes};
    int *const folders[] = {&c.keys, &c.objects, &c.fresh, &c.locks};
    int r = 0;

    c.dir = open_folder(AT_FDCWD, path, err);
    if (c.dir < 0)
        return c.dir;
    for (size_t i = 0; i < RV_COUNT(names) && !r; i++) {
        *folders[i] = open_folder(c.dir, names[i], err);
        r = *folders[i] < 0 ? *folders[i] : 0;
    }
    if (r)
        rv_cache_close(&c);
    else
        *out = c;
    return r;
}

void rv_cache_close(struct rv_cache *c) {
    int *const all[] = {&c->dir, &c->keys, &c->objects, &c->fresh, &c->locks};

    for (size_t i = 0; i < RV_COUNT(all); i++) {
        if (*all[i] >= 0)
            close(*all[i]);
        *all[i] = -1;
    }
}

static int lock_file(int dir, const char *name, struct rv_error *err) {
    for (;;) {
        int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), locked;
        struct stat mine, there;

        if (fd < 0)
            return rv_error_set(err, RV_ERR_IO, "the cache: lock %s: %s", name, strerror(errno));
        do
            locked = flock(fd, LOCK_EX);
        while (locked != 0 && errno == EINTR);
        /* Its holder removes it, so it may be another one's by now. */
        if (!locked && !fstat(fd, &mine) && !fstatat(dir, name, &there, 0) &&
            mine.st_ino == there.st_ino)
            return fd;
        close(fd);
        if (locked)
            return rv_error_set(err, RV_ERR_IO, "the cache: lock %s: %s", name, strerror(errno));
    }
}

int rv_cache_begin(struct rv_cache *c, const char *location, struct rv_cache_slot *s,
                   struct rv_error *err) {
    *s = (struct rv_cache_slot){.lock = -1, .fresh = -1};
    rv_sha256_text(location, s->key);
    s->lock = lock_file(c->locks, s->key, err);
    return s->lock < 0 ? s->lock : 0;
}

int rv_cache_find(struct rv_cache *c, const struct rv_cache_slot *s, const char *checksum) {
    char name[RV_SHA256_TEXT] = "";
    int key = openat(c->keys, s->key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), object;

    if (key < 0)
        return -1;
    ssize_t n = read(key, name, sizeof name - 1);
    close(key);
    if (n != sizeof name - 1 || strspn(name, "0123456789abcdef") != sizeof name - 1)
        return -1;
    if (*checksum && strcmp(name, checksum) != 0)
        return -1;
    object = openat(c->objects, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (object >= 0 && futimens(object, NULL) != 0) { /* its last use */
        close(object);
        return -1;
    }
    return object;
}

int rv_cache_create(struct rv_cache *c, struct rv_cache_slot *s, struct rv_error *err) {
    int guard = lock_file(c->dir, "lock", err);

    if (guard < 0)
        return guard;
    snprintf(s->name, sizeof s->name, "%s.%d", s->key, (int)getpid());
    unlinkat(c->fresh, s->name, 0);
    s->fresh = openat(c->fresh, s->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    /* Locked for as long as somebody fills it, which tells it from one left over. */
    if (s->fresh < 0 || flock(s->fresh, LOCK_EX | LOCK_NB) != 0) {
        close(guard);
        return rv_error_set(err, RV_ERR_IO, "the cache: %s: %s", s->name, strerror(errno));
    }
    close(guard);
    return 0;
}

struct object {
    char name[RV_SHA256_TEXT];
    uint64_t bytes;
    struct timespec used;
};

static int by_use(const void *a, const void *b) {
    const struct object *x = a, *y = b;

    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec)
        return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

static DIR *list(int folder) {
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (fd >= 0 && !dir)
        close(fd);
    return dir;
}

/* Files that a fetcher which died was filling. */
static void remove_left_over(struct rv_cache *c) {
    DIR *dir = list(c->fresh);
    const struct dirent *e;

    while (dir && (e = readdir(dir))) {
        int fd = *e->d_name == '.' ? -1 : openat(c->fresh, e->d_name, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
            unlinkat(c->fresh, e->d_name, 0);
        if (fd >= 0)
            close(fd);
    }
    if (dir)
        closedir(dir);
}

/* Keys whose object is gone. */
static void remove_dangling(struct rv_cache *c) {
    DIR *dir = list(c->keys);
    const struct dirent *e;

    while (dir && (e = readdir(dir))) {
        char name[RV_SHA256_TEXT] = "";
        struct stat st;
        int fd = *e->d_name == '.' ? -1 : openat(c->keys, e->d_name, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (read(fd, name, sizeof name - 1) != sizeof name - 1 ||
            fstatat(c->objects, name, &st, 0) != 0)
            unlinkat(c->keys, e->d_name, 0);
        close(fd);
    }
    if (dir)
        closedir(dir);
}

static void make_room(struct rv_cache *c, uint64_t bytes) {
    RV_VEC(struct object) objects = {0};
    uint64_t used = 0;
    DIR *dir = list(c->objects);
    const struct dirent *e;
    struct stat st;

    while (dir && (e = readdir(dir))) {
        struct object o = {.bytes = 0};
        if (*e->d_name == '.' || strlen(e->d_name) >= sizeof o.name ||
            fstatat(c->objects, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        snprintf(o.name, sizeof o.name, "%s", e->d_name);
        o.bytes = (uint64_t)st.st_size;
        o.used = st.st_mtim;
        used += o.bytes;
        rv_vec_push(&objects, o);
    }
    if (dir)
        closedir(dir);
    bool full = used + bytes > c->max_bytes;
    if (full && objects.n)
        qsort(objects.v, objects.n, sizeof *objects.v, by_use);
    for (size_t i = 0; i < objects.n && used + bytes > c->max_bytes; i++)
        if (!unlinkat(c->objects, objects.v[i].name, 0))
            used -= objects.v[i].bytes;
    if (full) {
        remove_dangling(c);
        remove_left_over(c);
    }
    rv_vec_free(&objects);
}

static int write_key(struct rv_cache *c, const struct rv_cache_slot *s, const char *checksum,
                     struct rv_error *err) {
    _cleanup_free_ char *name = rv_asprintf("%s.key", s->name);
    int fd = openat(c->fresh, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -1 : rv_write_all(fd, checksum, strlen(checksum), NULL);

    if (fd >= 0)
        close(fd);
    if (r || renameat(c->fresh, name, c->keys, s->key) != 0)
        return rv_error_set(err, RV_ERR_IO, "the cache: %s: %s", name, strerror(errno));
    return 0;
}

int rv_cache_keep(struct rv_cache *c, struct rv_cache_slot *s, const char *checksum,
                  struct rv_error *err) {
    struct stat st;
    int guard, r = 0;

    if (fstat(s->fresh, &st) != 0)
        return rv_error_set(err, RV_ERR_IO, "the cache: %s", strerror(errno));
    if ((uint64_t)st.st_size > c->max_bytes)
        return 0; /* rv_cache_end removes it */
    guard = lock_file(c->dir, "lock", err);
    if (guard < 0)
        return guard;
    if (fstatat(c->objects, checksum, &st, 0) != 0) {
        make_room(c, (uint64_t)st.st_size);
        if (futimens(s->fresh, NULL) != 0 || renameat(c->fresh, s->name, c->objects, checksum) != 0)
            r = rv_error_set(err, RV_ERR_IO, "the cache: %s: %s", checksum, strerror(errno));
        else
            *s->name = '\0';
    }
    if (!r) {
        if (!*s->name) /* moved; the key's file needs a name of its own */
            snprintf(s->name, sizeof s->name, "%s.%d", s->key, (int)getpid());
        r = write_key(c, s, checksum, err);
    }
    close(guard);
    return r;
}

void rv_cache_end(struct rv_cache *c, struct rv_cache_slot *s) {
    if (s->fresh >= 0) {
        unlinkat(c->fresh, s->name, 0); /* unless it was kept */
        close(s->fresh);
    }
    if (s->lock >= 0) {
        unlinkat(c->locks, s->key, 0);
        close(s->lock);
    }
    s->lock = s->fresh = -1;
}
