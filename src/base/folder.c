/*
 * Folders, see folder.h. What is there is opened at once, which openat2 can without following a
 * link; the rest, or all of it where there is no such call, one element after the other with
 * O_NOFOLLOW: two system calls each, a microsecond or two. Removal is a recursion with one
 * descriptor a level; what lies deeper than MAX_DEPTH is moved up to the top first.
 */
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    MAX_DEPTH = 90,
    MAX_MOVES = 100000,
    MAX_TRIES = 1000,
    LAST = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
    STEP = LAST | O_PATH, /* on the way: need not be readable */
};

int rv_open_resolved(int at, const char *path, uint64_t flags, uint64_t resolve) {
    const struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
    int fd = -1;

    for (int i = 0; i < MAX_TRIES; i++) {
        fd = (int)syscall(SYS_openat2, at, path, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return fd;
}

/* One element further; closes dir. mode: of what is made, or 0. The descriptor, or -1 with errno.
 */
static int enter(int dir, const char *name, int flags, unsigned mode) {
    int fd = openat(dir, name, flags), error;

    if (fd < 0 && errno == ENOENT && mode && (!mkdirat(dir, name, mode) || errno == EEXIST))
        fd = openat(dir, name, flags);
    /* Of a symbolic link the kernel says that it is no folder. */
    error = errno == ENOTDIR ? ELOOP : errno;
    close(dir);
    errno = error;
    return fd;
}

static bool leads_down(const char *path) {
    for (const char *s = path; *s;) {
        size_t n;
        s += strspn(s, "/");
        n = strcspn(s, "/");
        if (n > NAME_MAX || (n == 2 && !memcmp(s, "..", 2)))
            return false;
        s += n;
    }
    return *path == '/' && strlen(path) < PATH_MAX;
}

/* Opens at once as much of the path as is there, its last element apart, and follows no link. */
static int begin(const char *path, const char **rest) {
    char above[PATH_MAX];
    size_t n = strlen(path);
    int fd;

    memcpy(above, path, n);
    do {
        while (n && path[n - 1] == '/')
            n--;
        while (n && path[n - 1] != '/')
            n--;
        above[n] = '\0';
        fd = rv_open_resolved(AT_FDCWD, n ? above : "/", STEP, RESOLVE_NO_SYMLINKS);
    } while (fd < 0 && errno == ENOENT && n > 1);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        n = 0;
        fd = open("/", STEP);
    }
    if (fd < 0 && errno == ENOTDIR)
        errno = ELOOP;
    *rest = path + n;
    return fd;
}

/* The folder above the last element, whose name is copied out. */
static int walk(const char *path, bool make, char name[NAME_MAX + 1]) {
    const char *s = path;
    bool first = true;
    int dir = -1;

    errno = EINVAL;
    if (leads_down(path))
        dir = begin(path, &s);
    for (s += strspn(s, "/"); dir >= 0 && *s; s += strspn(s, "/")) {
        size_t n = strcspn(s, "/");
        if (!first)
            dir = enter(dir, name, STEP, make ? 0755 : 0);
        first = false;
        memcpy(name, s, n);
        name[n] = '\0';
        s += n;
    }
    if (first)
        strcpy(name, ".");
    return dir;
}

static int open_or_make(const char *path, unsigned mode, struct rv_error *err) {
    char name[NAME_MAX + 1];
    int dir = walk(path, mode != 0, name);

    if (dir >= 0)
        dir = enter(dir, name, LAST, mode);
    if (dir >= 0)
        return dir;
    if (errno == ELOOP)
        return rv_error_set(err, RV_ERR_IO, "%s: something on the way is no folder", path);
    return rv_error_set(err, errno == ENOENT ? RV_ERR_NOT_FOUND : RV_ERR_IO, "%s: %s", path,
                        strerror(errno));
}

int rv_folder_open(const char *path, struct rv_error *err) {
    return open_or_make(path, 0, err);
}

int rv_folder_make(const char *path, unsigned mode, struct rv_error *err) {
    return open_or_make(path, mode, err);
}

int rv_folder_rename(const char *path, const char *name) {
    char old[NAME_MAX + 1];
    int dir = walk(path, false, old), error = 0;

    if (dir < 0)
        return -errno;
    if (renameat(dir, old, dir, name) != 0)
        error = errno;
    close(dir);
    return -error;
}

/* ---- removal ---- */

struct removal {
    int top;
    dev_t device;
    unsigned moved; /* up to the top, in all */
    bool again;     /* something was moved in this pass */
    int error;      /* the first */
};

static void failed(struct removal *r) {
    if (!r->error)
        r->error = errno;
}

static void empty(struct removal *r, int dir, int depth);

static void remove_folder(struct removal *r, int dir, const char *name, int depth) {
    int fd = openat(dir, name, LAST);
    struct stat st = {.st_dev = r->device};

    if (fd < 0 || fstat(fd, &st) != 0 || st.st_dev != r->device) {
        errno = st.st_dev != r->device ? EBUSY : errno;
        failed(r);
        if (fd >= 0)
            close(fd);
        return;
    }
    empty(r, fd, depth + 1);
    if (unlinkat(dir, name, AT_REMOVEDIR) != 0)
        failed(r);
}

static void move_up(struct removal *r, int dir, const char *name) {
    char up[48];

    snprintf(up, sizeof up, ".deeper-%u", r->moved);
    if (r->moved >= MAX_MOVES || renameat(dir, name, r->top, up) != 0) {
        failed(r);
        return;
    }
    r->moved++;
    r->again = true;
}

static void remove_entry(struct removal *r, int dir, const char *name, int depth) {
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return;
    if (errno != EISDIR)
        failed(r);
    else if (depth < MAX_DEPTH)
        remove_folder(r, dir, name, depth);
    else
        move_up(r, dir, name);
}

/* Closes dir. */
static void empty(struct removal *r, int dir, int depth) {
    DIR *entries = fdopendir(dir);

    if (!entries) {
        failed(r);
        close(dir);
        return;
    }
    for (struct dirent *e; (e = readdir(entries));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove_entry(r, dir, e->d_name, depth);
    closedir(entries);
}

static void remove_below(struct removal *r) {
    struct stat st;

    if (fstat(r->top, &st) != 0) {
        failed(r);
        return;
    }
    r->device = st.st_dev;
    for (r->again = true; r->again && !r->error;) {
        int dir = openat(r->top, ".", LAST);
        r->again = false;
        if (dir < 0)
            failed(r);
        else
            empty(r, dir, 0);
    }
}

int rv_folder_remove(const char *path) {
    struct removal r = {.top = -1};
    char name[NAME_MAX + 1];
    int dir = walk(path, false, name);

    if (dir < 0)
        return errno == ENOENT ? 0 : -errno;
    if (unlinkat(dir, name, 0) != 0 && errno != ENOENT) {
        r.top = errno == EISDIR ? openat(dir, name, LAST) : -1;
        if (r.top >= 0)
            remove_below(&r);
        else
            failed(&r);
        if (!r.error && unlinkat(dir, name, AT_REMOVEDIR) != 0)
            failed(&r);
    }
    if (r.top >= 0)
        close(r.top);
    close(dir);
    return -r.error;
}
