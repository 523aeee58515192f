/*
 * The virtual file service. Each request resolves its path anew, below a descriptor of the root, so
 * that a task that swaps folders for links meanwhile gains nothing: what is opened is what is read.
 * The roots' own paths are the operator's and are trusted.
 */
#include "daemon/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/folder.h"

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
}

/* --- roots --- */

static struct rv_str without_slashes(const char *path) {
    struct rv_str s = rv_str(path);

    while (s.n > 1 && s.s[s.n - 1] == '/')
        s.n--;
    return s;
}

void rv_files_free(struct rv_files *f) {
    void *path;

    for (size_t it = 0; rv_map_next(&f->roots, &it, NULL, &path);)
        free(path);
    rv_map_free(&f->roots);
}

void rv_files_attach(struct rv_files *f, const char *name, const char *path) {
    struct rv_str real = without_slashes(path);

    free(rv_map_put(&f->roots, without_slashes(name), rv_strndup(real.s, real.n)));
}

void rv_files_detach(struct rv_files *f, const char *name) {
    free(rv_map_remove(&f->roots, without_slashes(name)));
}

/* The root with the longest name that begins the path, and what follows it. */
static const char *find_root(const struct rv_files *f, struct rv_str path, struct rv_str *rest) {
    for (size_t n = path.n; f && n > 0; n--) {
        if (n < path.n && path.s[n] != '/')
            continue;
        const char *root = rv_map_get(&f->roots, rv_strn(path.s, n));
        if (!root)
            continue;
        *rest = rv_strn(path.s + n, path.n - n);
        while (rest->n && *rest->s == '/')
            rest->s++, rest->n--;
        return root;
    }
    return NULL;
}

/* --- resolving --- */

static int open_beneath(int root, const char *path, int flags) {
    return rv_open_resolved(root, path, (uint64_t)flags, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
}

/* For kernels and sandboxes without openat2: step by step, through no symbolic link and no "..". */
static int open_walking(int root, const char *path, int flags) {
    _cleanup_free_ char *copy = rv_strdup(path);
    _cleanup_(close_fd) int at = fcntl(root, F_DUPFD_CLOEXEC, 0);

    for (char *save = NULL, *part = strtok_r(copy, "/", &save); part;) {
        char *next = strtok_r(NULL, "/", &save);
        if (rv_streq(part, ".."))
            return errno = EXDEV, -1;
        int fd = openat(at, part, (next ? O_PATH | O_DIRECTORY | O_CLOEXEC : flags) | O_NOFOLLOW);
        if (fd < 0 || !next)
            return fd;
        close(at);
        at = fd;
        part = next;
    }
    return openat(at, ".", flags);
}

static int open_below(int root, const char *path, int flags) {
    int fd = open_beneath(root, path, flags);

    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        fd = open_walking(root, path, flags);
    return fd;
}

static int not_there(const char *path, struct rv_error *err) {
    return rv_error_set(err, RV_ERR_NOT_FOUND, "no such file or folder is served: '%s'", path);
}

/* Opens for reading, never waiting for a writer of a FIFO and never becoming a terminal's owner. */
static int open_virtual(const struct rv_files *f, const char *path, int *out,
                        struct rv_error *err) {
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    struct rv_str rest;

    if (!path || !*path)
        return rv_error_set(err, RV_ERR_INVALID, "the path is empty");
    const char *real = find_root(f, without_slashes(path), &rest);
    if (!real)
        return not_there(path, err);
    _cleanup_free_ char *below = rv_strndup(rest.n ? rest.s : ".", rest.n ? rest.n : 1);
    _cleanup_(close_fd) int root = open(real, O_PATH | O_CLOEXEC);
    if (root < 0)
        return not_there(path, err);
    /* A root that is a file has nothing below it. */
    int fd = rest.n ? open_below(root, below, flags) : open(real, flags);
    if (fd < 0) {
        int code = errno;
        if (code == ENOENT || code == ENOTDIR || code == EXDEV || code == ELOOP ||
            code == ENAMETOOLONG || code == ENXIO)
            return not_there(path, err);
        if (code == EACCES || code == EPERM)
            return rv_error_set(err, RV_ERR_PERMISSION, "'%s' may not be read", path);
        return rv_error_set(err, RV_ERR_IO, "open '%s': %s", path, strerror(code));
    }
    *out = fd;
    return 0;
}

/* --- folders --- */

static const char *user_name(uid_t uid, struct rv_arena *arena) {
    char text[1024];
    struct passwd entry, *found = NULL;

    if (!getpwuid_r(uid, &entry, text, sizeof text, &found) && found)
        return rv_arena_strdup(arena, entry.pw_name);
    return rv_arena_printf(arena, "%u", (unsigned)uid);
}

static const char *group_name(gid_t gid, struct rv_arena *arena) {
    char text[4096];
    struct group entry, *found = NULL;

    if (!getgrgid_r(gid, &entry, text, sizeof text, &found) && found)
        return rv_arena_strdup(arena, entry.gr_name);
    return rv_arena_printf(arena, "%u", (unsigned)gid);
}

/* Names are looked up once for entries in a row that belong to the same. */
static void name_owners(struct rv_file_entry *v, size_t n, struct rv_arena *arena) {
    for (size_t i = 0; i < n; i++) {
        bool same_user = i && v[i].st.st_uid == v[i - 1].st.st_uid;
        bool same_group = i && v[i].st.st_gid == v[i - 1].st.st_gid;
        v[i].user = same_user ? v[i - 1].user : user_name(v[i].st.st_uid, arena);
        v[i].group = same_group ? v[i - 1].group : group_name(v[i].st.st_gid, arena);
    }
}

static int compare_entries(const void *a, const void *b) {
    const struct rv_file_entry *x = a, *y = b;

    return strcmp(x->path, y->path);
}

/* What a link leads to if that is inside of the folder listed; else the link itself: what lies
 * outside is not told. */
static bool stat_entry(int folder, const char *name, struct stat *st) {
    if (fstatat(folder, name, st, AT_SYMLINK_NOFOLLOW))
        return false;
    if (!S_ISLNK(st->st_mode))
        return true;
    _cleanup_(close_fd) int target = open_beneath(folder, name, O_PATH | O_CLOEXEC);
    if (target >= 0)
        (void)!fstat(target, st);
    return true;
}

static int list_folder(int fd, struct rv_str path, struct rv_arena *arena,
                       struct rv_file_entry **out, size_t *n_out, struct rv_error *err) {
    struct rv_file_entry *v = NULL;
    size_t n = 0, cap = 0;
    DIR *folder = fdopendir(fd);

    if (!folder) {
        int code = errno;
        close(fd);
        return rv_error_set(err, RV_ERR_IO, "list: %s", strerror(code));
    }
    int r = 0;
    for (struct dirent *e; (e = readdir(folder));) {
        struct stat st;
        if (rv_streq(e->d_name, ".") || rv_streq(e->d_name, ".."))
            continue;
        if (n == RV_FILES_LIST_MAX) {
            r = rv_error_set(err, RV_ERR_LIMIT, "the folder has more than %zu entries",
                             RV_FILES_LIST_MAX);
            break;
        }
        if (!stat_entry(dirfd(folder), e->d_name, &st))
            continue; /* it has just gone */
        if (n == cap) {
            cap = cap ? cap * 2 : 16;
            v = rv_realloc(v, cap * sizeof *v);
        }
        v[n++] = (struct rv_file_entry){
            .path = rv_arena_printf(arena, "%.*s%s%s", (int)path.n, path.s,
                                    path.n && path.s[path.n - 1] == '/' ? "" : "/", e->d_name),
            .st = st,
        };
    }
    closedir(folder);
    if (!r) {
        if (n)
            qsort(v, n, sizeof *v, compare_entries);
        name_owners(v, n, arena);
        *out = n ? rv_arena_memdup(arena, v, n * sizeof *v) : NULL;
        *n_out = n;
    }
    free(v);
    return r;
}

int rv_files_list(const struct rv_files *f, const char *path, struct rv_arena *arena,
                  struct rv_file_entry **v, size_t *n, struct rv_error *err) {
    struct stat st;
    int fd, r = open_virtual(f, path, &fd, err);

    if (r)
        return r;
    if (fstat(fd, &st)) {
        r = rv_error_set(err, RV_ERR_IO, "stat '%s': %s", path, strerror(errno));
        close(fd);
        return r;
    }
    if (S_ISDIR(st.st_mode))
        return list_folder(fd, without_slashes(path), arena, v, n, err);
    close(fd);
    *v = rv_arena_zalloc(arena, sizeof **v);
    (*v)->path = rv_arena_strdup(arena, path);
    (*v)->st = st;
    *n = 1;
    name_owners(*v, 1, arena);
    return 0;
}

/* --- files --- */

int rv_files_open(const struct rv_files *f, const char *path, int *out, struct stat *st,
                  struct rv_error *err) {
    int fd, r = open_virtual(f, path, &fd, err);

    if (r)
        return r;
    if (fstat(fd, st))
        r = rv_error_set(err, RV_ERR_IO, "stat '%s': %s", path, strerror(errno));
    else if (S_ISDIR(st->st_mode))
        r = rv_error_set(err, RV_ERR_INVALID, "'%s' is a folder", path);
    else if (!S_ISREG(st->st_mode))
        r = rv_error_set(err, RV_ERR_INVALID, "'%s' is no regular file", path);
    if (r)
        close(fd);
    else
        *out = fd;
    return r;
}

int rv_files_read(const struct rv_files *f, const char *path, uint64_t offset, uint64_t length,
                  uint64_t *size, struct rv_buf *out, struct rv_error *err) {
    _cleanup_(close_fd) int fd = -1;
    struct stat st;
    int r = rv_files_open(f, path, &fd, &st, err);

    if (r)
        return r;
    *size = (uint64_t)st.st_size;
    if (offset >= *size)
        return 0;
    size_t want = (size_t)RV_MIN(RV_MIN(length, *size - offset), RV_FILES_READ_MAX);
    rv_buf_reserve(out, want + 1);
    while (want) {
        ssize_t got = pread(fd, out->data + out->n, want, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return rv_error_set(err, RV_ERR_IO, "read '%s': %s", path, strerror(errno));
        if (!got)
            break; /* it became shorter */
        out->n += (size_t)got;
        offset += (uint64_t)got;
        want -= (size_t)got;
    }
    return 0;
}

void rv_files_mode(mode_t mode, char out[11]) {
    static const char letters[] = "rwxrwxrwx";

    out[0] = S_ISDIR(mode)    ? 'd'
             : S_ISCHR(mode)  ? 'c'
             : S_ISBLK(mode)  ? 'b'
             : S_ISFIFO(mode) ? 'p'
             : S_ISLNK(mode)  ? 'l'
             : S_ISSOCK(mode) ? 's'
                              : '-';
    for (int i = 0; i < 9; i++)
        out[i + 1] = mode & (mode_t)(0400 >> i) ? letters[i] : '-';
    out[10] = 0;
}
