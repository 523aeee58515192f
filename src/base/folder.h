/*
 * Folders by absolute paths that others may change while we walk them, as a task may in its
 * sandbox: no element of such a path may be a symbolic link, and what is done is done to open
 * descriptors. So a path leads to where it says, or nowhere.
 */
#ifndef RV_BASE_FOLDER_H
#define RV_BASE_FOLDER_H

#include <stdint.h>

#include "base/error.h"

/* openat2(2), O_CLOEXEC apart: a descriptor, or -1 and errno. resolve: RESOLVE_... of
 * <linux/openat2.h>. Below RESOLVE_BENEATH the kernel cannot be sure of ".." while anything is
 * renamed or mounted, anywhere on the machine, and answers EAGAIN: it is asked again. */
RV_MUST_USE int rv_open_resolved(int at, const char *path, uint64_t flags, uint64_t resolve);
/* A descriptor, the caller's to close, or -RV_ERR_NOT_FOUND, -RV_ERR_IO. */
RV_MUST_USE int rv_folder_open(const char *path, struct rv_error *err);
/* The same; what is not there is made: the last element with this mode, those above it 0755. */
RV_MUST_USE int rv_folder_make(const char *path, unsigned mode, struct rv_error *err);
/* Gives it another name in the same folder. 0 or -errno. */
int rv_folder_rename(const char *path, const char *name);
/* Removes it with all below it; enters no mount. 0, also if it is not there, or -errno of the first
 * failure, after which the rest was tried. Needs no more than 100 descriptors, however deep. */
int rv_folder_remove(const char *path);

#endif
