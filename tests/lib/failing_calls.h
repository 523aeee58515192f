/*
 * System calls that fail: the n-th from now, or all from the n-th on. The functions defined in here
 * take the place of the C library's in this program and in the libraries it uses (they look names
 * up in the program first), and pass on to those. Only calls that concern the folder given, or, for
 * sockets, any, are counted; so nothing of the test itself fails.
 */
#ifndef RV_TESTS_FAILING_CALLS_H
#define RV_TESTS_FAILING_CALLS_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static struct failing {
    const char *folder; /* calls on paths and files below it; NULL: none */
    bool sockets;       /* calls on sockets */
    bool all;           /* from the n-th on */
    long most;          /* of these, so many; 0: all */
    bool half;          /* a write that fails has written half of its sectors */
    int error;
    atomic_long at;      /* the n-th; 0: none */
    atomic_long counted; /* calls so far */
    const char *name;    /* of the one that failed first */
    atomic_bool unnamed; /* a file was renamed, and the folder not made durable since */
} failing;

static inline void fail_from(long at, int error, bool all) {
    failing.name = NULL;
    failing.error = error;
    failing.all = all;
    atomic_store(&failing.counted, 0);
    atomic_store(&failing.at, at);
}

/* Whether any has failed since. */
static inline bool fail_no_more(void) {
    atomic_store(&failing.at, 0);
    return failing.name != NULL;
}

static bool fails(bool concerned, const char *name) {
    long at = atomic_load(&failing.at);

    if (!at || !concerned)
        return false;
    long n = atomic_fetch_add(&failing.counted, 1) + 1;
    if (n < at || (n > at && !failing.all) || (failing.most && n >= at + failing.most))
        return false;
    if (!failing.name)
        failing.name = name;
    errno = failing.error;
    return true;
}

static bool in_folder(const char *path) {
    return failing.folder && path && !strncmp(path, failing.folder, strlen(failing.folder));
}

static bool of_folder(int fd) {
    char link[64], path[512];

    if (!failing.folder || !atomic_load(&failing.at))
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return false;
    path[n] = 0;
    return in_folder(path);
}

static bool is_socket(int fd) {
    struct stat s;

    return failing.sockets && atomic_load(&failing.at) && !fstat(fd, &s) && S_ISSOCK(s.st_mode);
}

/* name, result, parameters, arguments, whether the call is concerned */
#define FAILING(name, type, params, args, concerned)                                               \
    type name params;                                                                              \
    type name params {                                                                             \
        static type(*real) params;                                                                 \
        if (!real)                                                                                 \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                             \
        return fails(concerned, #name) ? (type)-1 : real args;                                     \
    }

/* open and openat take a mode that may be missing. */
#define FAILING_OPEN(name)                                                                         \
    int name(const char *path, int flags, ...) {                                                   \
        static int (*real)(const char *, int, ...);                                                \
        va_list ap;                                                                                \
        if (!real)                                                                                 \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                             \
        va_start(ap, flags);                                                                       \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, int) : 0;                            \
        va_end(ap);                                                                                \
        return fails(in_folder(path), #name) ? -1 : real(path, flags, mode);                       \
    }

#define FAILING_RENAME(name, params, args)                                                         \
    int name params {                                                                              \
        static int(*real) params;                                                                  \
        if (!real)                                                                                 \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                             \
        int r = fails(in_folder(a), #name) ? -1 : real args;                                       \
        if (!r)                                                                                    \
            atomic_store(&failing.unnamed, in_folder(a));                                          \
        return r;                                                                                  \
    }

/* Locks and the like: what there is of it has one more argument, as wide as a pointer at most. */
int fcntl64(int fd, int what, ...) {
    static int (*real)(int, int, ...);
    va_list ap;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "fcntl64");
    va_start(ap, what);
    void *more = va_arg(ap, void *);
    va_end(ap);
    return fails(of_folder(fd), "fcntl64") ? -1 : real(fd, what, more);
}

/* SQLite sleeps before it tries a lock again, 10 s in all. */
int usleep(useconds_t us) {
    static int (*real)(useconds_t);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "usleep");
    return real(atomic_load(&failing.at) ? 0 : us);
}

FAILING_OPEN(open)
FAILING_OPEN(open64)
FAILING(pread64, ssize_t, (int fd, void *b, size_t n, off64_t at), (fd, b, n, at), of_folder(fd))

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    off64_t middle = (at + (off64_t)n / 2) / 512 * 512;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
    if (!fails(of_folder(fd), "pwrite64"))
        return real(fd, data, n, at);
    if (failing.half && middle > at && real(fd, data, (size_t)(middle - at), at) < 0)
        return -1;
    errno = failing.error;
    return -1;
}

int fsync(int fd) {
    static int (*real)(int);
    struct stat s;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "fsync");
    int r = fails(of_folder(fd), "fsync") ? -1 : real(fd);
    if (!r && !fstat(fd, &s) && S_ISDIR(s.st_mode))
        atomic_store(&failing.unnamed, false);
    return r;
}

FAILING(fdatasync, int, (int fd), (fd), of_folder(fd))
FAILING(ftruncate64, int, (int fd, off64_t n), (fd, n), of_folder(fd))
FAILING(flock, int, (int fd, int how), (fd, how), of_folder(fd))
FAILING_RENAME(rename, (const char *a, const char *b), (a, b))
FAILING_RENAME(renameat2, (int d, const char *a, int e, const char *b, unsigned f), (d, a, e, b, f))
FAILING(link, int, (const char *a, const char *b), (a, b), in_folder(a))
FAILING(unlink, int, (const char *path), (path), in_folder(path))
FAILING(fstat64, int, (int fd, struct stat64 *s), (fd, s), of_folder(fd))
FAILING(stat64, int, (const char *path, struct stat64 *s), (path, s), in_folder(path))
FAILING(lstat64, int, (const char *path, struct stat64 *s), (path, s), in_folder(path))
FAILING(access, int, (const char *path, int how), (path, how), in_folder(path))

FAILING(socket, int, (int domain, int type, int protocol), (domain, type, protocol),
        failing.sockets)
FAILING(bind, int, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), is_socket(fd))
FAILING(listen, int, (int fd, int n), (fd, n), is_socket(fd))
FAILING(accept4, int, (int fd, struct sockaddr *a, socklen_t *n, int f), (fd, a, n, f),
        is_socket(fd))
FAILING(connect, int, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), is_socket(fd))
FAILING(getsockname, int, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n), is_socket(fd))
FAILING(setsockopt, int, (int fd, int level, int name, const void *v, socklen_t n),
        (fd, level, name, v, n), is_socket(fd))
FAILING(recv, ssize_t, (int fd, void *b, size_t n, int f), (fd, b, n, f), is_socket(fd))
FAILING(read, ssize_t, (int fd, void *b, size_t n), (fd, b, n), is_socket(fd) || of_folder(fd))
FAILING(write, ssize_t, (int fd, const void *b, size_t n), (fd, b, n),
        is_socket(fd) || of_folder(fd))
FAILING(send, ssize_t, (int fd, const void *b, size_t n, int f), (fd, b, n, f), is_socket(fd))
FAILING(sendmsg, ssize_t, (int fd, const struct msghdr *m, int f), (fd, m, f), is_socket(fd))
FAILING(writev, ssize_t, (int fd, const struct iovec *v, int n), (fd, v, n), is_socket(fd))

/* How many descriptors this process has open. */
static inline unsigned open_descriptors(void) {
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

#endif
