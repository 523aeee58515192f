/*
 * The virtual file service: what of the machine's files the API shows. Names are attached to
 * folders or files; a path is served if its longest attached prefix leads to it without leaving
 * what was attached: neither by "..", nor by symbolic links, whoever made them. Everything else is
 * as if it were not there. The kernel resolves below the root (openat2, RESOLVE_BENEATH); where it
 * cannot, no symbolic link is followed at all.
 *
 * Costs: a few system calls on the loop; at most RV_FILES_READ_MAX bytes are read in a call.
 */
#ifndef RV_DAEMON_FILES_H
#define RV_DAEMON_FILES_H

#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"

#define RV_FILES_READ_MAX ((uint64_t)4 << 20)      /* READ_FILE */
#define RV_FILES_LEGACY_READ_MAX ((uint64_t)65536) /* /files/read: sixteen pages, as the peer */
#define RV_FILES_LIST_MAX ((size_t)100000)         /* entries of one folder */

/* Zero-initialised is empty. NULL in its place serves nothing. */
struct rv_files {
    struct rv_map roots; /* name -> real path, owned */
};

void rv_files_free(struct rv_files *f);
/* "name" stands for `path`, a folder or a file, from now on. Both absolute; slashes at the end do
 * not matter. A sandbox known by its own path has both the same. A name that is there is replaced.
 * The path need not exist yet. */
void rv_files_attach(struct rv_files *f, const char *name, const char *path);
void rv_files_detach(struct rv_files *f, const char *name);

struct rv_file_entry {
    const char *path; /* the virtual path asked for, and the entry's name */
    struct stat st;   /* of what a symbolic link inside of the root leads to, else of the link */
    const char *user, *group; /* names, or numbers where there are none */
};

/* Entries of a folder in byte order of names, or the one file itself. -RV_ERR_NOT_FOUND (not
 * attached, not there, leads outside), -RV_ERR_INVALID (empty path), -RV_ERR_LIMIT, -RV_ERR_IO. */
RV_MUST_USE int rv_files_list(const struct rv_files *f, const char *path, struct rv_arena *arena,
                              struct rv_file_entry **v, size_t *n, struct rv_error *err);

/* Opens a regular file for reading; the caller closes. Folders and everything else that is no
 * file: -RV_ERR_INVALID. Never blocks on a FIFO. */
RV_MUST_USE int rv_files_open(const struct rv_files *f, const char *path, int *fd, struct stat *st,
                              struct rv_error *err);

/* Appends at most min(length, RV_FILES_READ_MAX) bytes from the offset; *size is the file's. At or
 * beyond its end nothing is appended. */
RV_MUST_USE int rv_files_read(const struct rv_files *f, const char *path, uint64_t offset,
                              uint64_t length, uint64_t *size, struct rv_buf *out,
                              struct rv_error *err);

/* "-rw-r--r--" and NUL. */
void rv_files_mode(mode_t mode, char out[11]);

#endif
