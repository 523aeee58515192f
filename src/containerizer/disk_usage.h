/*
 * How much disk lies below a folder, by looking at every file: what `du` tells. A file with several
 * names counts once; links are not followed, and what is mounted in there is not entered, so that a
 * volume is not its sandbox's. What was deleted but is still open is not seen.
 *
 * What lies in the folder is not trusted: however deep or wide it is, the walk has at most three
 * descriptors open and remembers 32 bytes a level. It blocks on files, and rests as long as it
 * works: not for the loop's thread.
 */
#ifndef RV_CONTAINERIZER_DISK_USAGE_H
#define RV_CONTAINERIZER_DISK_USAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* What cannot be read, or is moved elsewhere meanwhile, is left out: a lower bound then. Ends early
 * with -RV_ERR_CLOSED once *stop. -RV_ERR_NOT_FOUND if there is no such folder. */
RV_MUST_USE int rv_disk_usage(const char *folder, const atomic_bool *stop, uint64_t *bytes,
                              struct rv_error *err);

#endif
