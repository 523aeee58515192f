/*
 * Paths below the sandbox, walked one element after the other from its open descriptor with
 * O_NOFOLLOW: whoever changes folders into links meanwhile leads nowhere else. Also the budget of a
 * request. Costs two system calls an element.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "fetcher/fetcher.h"

int rv_place_check(const char *path, struct rv_error *err) {
    bool named = false;

    if (*path == '/')
        return rv_error_set(err, RV_ERR_INVALID, "%.200s: absolute paths leave the sandbox", path);
    for (const char *s = path; *s; s += strspn(s, "/")) {
        size_t n = strcspn(s, "/");
        if (n == 2 && !memcmp(s, "..", 2))
            return rv_error_set(err, RV_ERR_INVALID, "%.200s: leaves the sandbox", path);
        named = named || n != 1 || *s != '.';
        s += n;
    }
    if (!named || strlen(path) >= PATH_MAX)
        return rv_error_set(err, RV_ERR_INVALID, "\"%.200s\" names no file", path);
    return 0;
}

static int enter(int dir, const char *name, const char *path, int *out, struct rv_error *err) {
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && (!mkdirat(dir, name, 0755) || errno == EEXIST))
        fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR)) {
        struct stat st;
        if (!fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISLNK(st.st_mode))
            return rv_error_set(err, RV_ERR_INVALID, "%.200s: passes through a symbolic link",
                                path);
        errno = ENOTDIR;
    }
    if (fd < 0)
        return rv_error_set(err, RV_ERR_IO, "%.200s: %s", path, strerror(errno));
    *out = fd;
    return 0;
}

/* The next element, without "." and repeated slashes; NULL at the end. Advances *s. */
static char *element(const char **s) {
    for (;;) {
        *s += strspn(*s, "/");
        size_t n = strcspn(*s, "/");
        const char *start = *s;
        if (!n)
            return NULL;
        *s += n;
        if (n != 1 || *start != '.')
            return rv_strndup(start, n);
    }
}

int rv_place_parent(int root, const char *path, int *dir, char **name, struct rv_error *err) {
    const char *s = path;
    int r = rv_place_check(path, err), at, next = -1;

    if (r)
        return r;
    at = fcntl(root, F_DUPFD_CLOEXEC, 3);
    if (at < 0)
        return rv_error_set(err, RV_ERR_IO, "%.200s: %s", path, strerror(errno));
    char *last = element(&s), *following;
    while (!r && (following = element(&s))) {
        r = enter(at, last, path, &next, err);
        if (!r) {
            close(at);
            at = next;
        }
        free(last);
        last = following;
    }
    if (r) {
        close(at);
        free(last);
        return r;
    }
    *dir = at;
    *name = last;
    return 0;
}

int rv_place_create(int root, const char *path, int *fd, struct rv_error *err) {
    _cleanup_free_ char *name = NULL;
    int dir = -1, made, r = rv_place_parent(root, path, &dir, &name, err);

    if (r)
        return r;
    if (unlinkat(dir, name, 0) != 0 && errno != ENOENT)
        r = rv_error_set(err, RV_ERR_IO, "%.200s: cannot be replaced: %s", path, strerror(errno));
    made = r ? -1 : openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (!r && made < 0)
        r = rv_error_set(err, RV_ERR_IO, "%.200s: %s", path, strerror(errno));
    close(dir);
    if (!r)
        *fd = made;
    return r;
}

int rv_place_folder(int root, const char *path, int *fd, struct rv_error *err) {
    _cleanup_free_ char *name = NULL;
    int dir = -1, made = -1, r = rv_place_parent(root, path, &dir, &name, err);

    if (r)
        return r;
    r = enter(dir, name, path, &made, err);
    close(dir);
    if (!r && fd)
        *fd = made;
    else if (!r)
        close(made);
    return r;
}

int rv_budget_take(struct rv_budget *b, uint64_t bytes, uint64_t entries, struct rv_error *err) {
    if (bytes > b->bytes)
        return rv_error_set(err, RV_ERR_LIMIT, "more than the limit of %llu bytes",
                            (unsigned long long)b->max_bytes);
    if (entries > b->entries)
        return rv_error_set(err, RV_ERR_LIMIT, "more than the limit of %llu files",
                            (unsigned long long)b->max_entries);
    b->bytes -= bytes;
    b->entries -= entries;
    return 0;
}

int rv_write_all(int fd, const void *data, size_t n, struct rv_error *err) {
    const char *s = data;

    while (n) {
        ssize_t done = write(fd, s, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return rv_error_set(err, RV_ERR_IO, "cannot write: %s", strerror(errno));
        s += done;
        n -= (size_t)done;
    }
    return 0;
}
