/*
 * Unpacking. libarchive reads; what is written is written here, so that each path goes through
 * place.h: an archive reaches nothing outside the folder, by whatever names and links it holds.
 * Modes lose setuid, setgid and sticky bits; owners are whoever unpacks; devices, pipes and sockets
 * are left out. Everything counts against the budget, so that a small archive cannot fill the disk.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "fetcher/fetcher.h"

enum { BLOCK = 1 << 16 };

struct extraction {
    struct archive *archive;
    int root, log;
    struct rv_budget *budget;
};

static int damaged(struct archive *a, struct rv_error *err) {
    const char *why = archive_error_string(a);

    return rv_error_set(err, RV_ERR_CORRUPT, "the archive cannot be read: %s",
                        why ? why : "damaged");
}

/* Holes stay holes, but count. */
static int write_content(struct extraction *x, int fd, struct rv_error *err) {
    const void *data;
    int64_t offset, end = 0;
    size_t n;
    int status, r = 0;

    while (!r &&
           (status = archive_read_data_block(x->archive, &data, &n, &offset)) != ARCHIVE_EOF) {
        if (status < ARCHIVE_WARN)
            return damaged(x->archive, err);
        if (offset < end || offset > INT64_MAX - (int64_t)n)
            return rv_error_set(err, RV_ERR_CORRUPT, "the archive cannot be read: damaged");
        r = rv_budget_take(x->budget, (uint64_t)(offset - end) + n, 0, err);
        if (!r && lseek(fd, (off_t)offset, SEEK_SET) < 0)
            r = rv_error_set(err, RV_ERR_IO, "cannot write: %s", strerror(errno));
        if (!r)
            r = rv_write_all(fd, data, n, err);
        end = offset + (int64_t)n;
    }
    if (!r && ftruncate(fd, end) != 0)
        r = rv_error_set(err, RV_ERR_IO, "cannot write: %s", strerror(errno));
    return r;
}

static void keep_time(int fd, struct archive_entry *e) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = archive_entry_mtime(e)}};

    times[1].tv_nsec = archive_entry_mtime_nsec(e);
    if (archive_entry_mtime_is_set(e) && futimens(fd, times) != 0)
        return; /* a date out of range: it keeps that of now */
}

static int put_file(struct extraction *x, struct archive_entry *e, const char *path,
                    struct rv_error *err) {
    int fd = -1, r = rv_place_create(x->root, path, &fd, err);

    if (r)
        return r;
    r = write_content(x, fd, err);
    if (!r && fchmod(fd, archive_entry_perm(e) & 0777) != 0)
        r = rv_error_set(err, RV_ERR_IO, "cannot set its mode: %s", strerror(errno));
    if (!r)
        keep_time(fd, e);
    close(fd);
    return r;
}

static int put_folder(struct extraction *x, struct archive_entry *e, const char *path,
                      struct rv_error *err) {
    int fd = -1, r;

    if (rv_place_check(path, NULL) && !strchr(path, '/') && !strcmp(path, "."))
        return 0; /* the sandbox itself keeps its mode */
    r = rv_place_folder(x->root, path, &fd, err);
    if (r)
        return r;
    /* The owner must be able to put the rest into it. */
    if (fchmod(fd, (archive_entry_perm(e) & 0777) | 0700) != 0)
        r = rv_error_set(err, RV_ERR_IO, "cannot set its mode: %s", strerror(errno));
    close(fd);
    return r;
}

/* In the place of a file that has the name; returns the folder and the name in it. */
static int clear_place(struct extraction *x, const char *path, int *dir, char **name,
                       struct rv_error *err) {
    int r = rv_place_parent(x->root, path, dir, name, err);

    if (!r && unlinkat(*dir, *name, 0) != 0 && errno != ENOENT) {
        r = rv_error_set(err, RV_ERR_IO, "cannot be replaced: %s", strerror(errno));
        close(*dir);
        *dir = -1;
    }
    return r;
}

static int put_symlink(struct extraction *x, struct archive_entry *e, const char *path,
                       struct rv_error *err) {
    const char *target = archive_entry_symlink(e);
    _cleanup_free_ char *name = NULL;
    int dir = -1, r = clear_place(x, path, &dir, &name, err);

    if (r)
        return r;
    if (!target || !*target || symlinkat(target, dir, name) != 0)
        r = rv_error_set(err, RV_ERR_IO, "cannot make the link: %s",
                         target && *target ? strerror(errno) : "no target");
    close(dir);
    return r;
}

/* To a file of the sandbox only: the name it links to is walked like any other. */
static int put_hardlink(struct extraction *x, const char *target, const char *path,
                        struct rv_error *err) {
    _cleanup_free_ char *from_name = NULL, *name = NULL;
    int from = -1, dir = -1, r = rv_place_parent(x->root, target, &from, &from_name, err);
    struct stat st;

    if (r)
        return r;
    if (fstatat(from, from_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        r = rv_error_set(err, RV_ERR_INVALID, "links to %.200s, which is no file", target);
    if (!r)
        r = clear_place(x, path, &dir, &name, err);
    if (!r && linkat(from, from_name, dir, name, 0) != 0)
        r = rv_error_set(err, RV_ERR_IO, "cannot make the link: %s", strerror(errno));
    close(from);
    if (dir >= 0)
        close(dir);
    return r;
}

static int put_entry(struct extraction *x, struct archive_entry *e, struct rv_error *err) {
    const char *path = archive_entry_pathname(e), *target = archive_entry_hardlink(e);
    int r = rv_budget_take(x->budget, 0, 1, err);

    if (r)
        return r;
    if (!path || !*path)
        return rv_error_set(err, RV_ERR_CORRUPT, "the archive has an entry without a name");
    while (rv_starts_with(path, "./") && path[2])
        path += 2;
    if (target)
        r = put_hardlink(x, target, path, err);
    else if (archive_entry_filetype(e) == AE_IFREG)
        r = put_file(x, e, path, err);
    else if (archive_entry_filetype(e) == AE_IFDIR)
        r = !strcmp(path, ".") || !strcmp(path, "./") ? 0 : put_folder(x, e, path, err);
    else if (archive_entry_filetype(e) == AE_IFLNK)
        r = put_symlink(x, e, path, err);
    else
        dprintf(x->log, "reeve-fetcher: %s: left out, neither file, folder nor link\n", path);
    if (r && err && !strstr(err->message, path))
        rv_error_prefix(err, "%.200s", path);
    return r;
}

static int all_entries(struct extraction *x, struct rv_error *err) {
    struct archive_entry *e;
    int status, r = 0;

    while (!r && (status = archive_read_next_header(x->archive, &e)) != ARCHIVE_EOF) {
        if (status < ARCHIVE_WARN)
            return damaged(x->archive, err);
        r = put_entry(x, e, err);
    }
    return r;
}

static int single_file(struct extraction *x, const char *name, struct rv_error *err) {
    struct archive_entry *e;
    int fd = -1, r;

    if (archive_read_next_header(x->archive, &e) < ARCHIVE_WARN)
        return damaged(x->archive, err);
    r = rv_place_create(x->root, name, &fd, err);
    if (!r) {
        r = write_content(x, fd, err);
        close(fd);
    }
    return r;
}

static void choose_formats(struct archive *a, enum rv_archive_kind kind) {
    archive_read_support_filter_gzip(a);
    if (kind == RV_ARCHIVE_GZIP) {
        archive_read_support_format_raw(a);
        return;
    }
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_compress(a);
    archive_read_support_filter_lz4(a);
    archive_read_support_filter_lzma(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_format_tar(a);
    archive_read_support_format_gnutar(a);
    archive_read_support_format_zip(a);
}

int rv_extract(int archive, enum rv_archive_kind kind, int root, const char *name,
               struct rv_budget *budget, int log, struct rv_error *err) {
    struct extraction x = {archive_read_new(), root, log, budget};
    int r;

    if (!x.archive)
        return rv_error_set(err, RV_ERR_INTERNAL, "libarchive does not start");
    choose_formats(x.archive, kind);
    if (lseek(archive, 0, SEEK_SET) < 0)
        r = rv_error_set(err, RV_ERR_IO, "cannot read the archive: %s", strerror(errno));
    else if (archive_read_open_fd(x.archive, archive, BLOCK) != ARCHIVE_OK)
        r = damaged(x.archive, err);
    else
        r = kind == RV_ARCHIVE_GZIP ? single_file(&x, name, err) : all_entries(&x, err);
    archive_read_free(x.archive);
    return r;
}
