/*
 * Rotation of stdout and stderr. Processes write to the files directly, without a pipe and a
 * process in between; a file that has grown over its limit is copied to NAME.1 and cut to zero.
 * The files are opened for appending, so writers go on at the new end. What is written between the
 * last read and the cut is lost: microseconds, once in many megabytes. Until the next look the file
 * may be larger than its limit.
 */
#ifndef RV_CONTAINERIZER_LOGS_H
#define RV_CONTAINERIZER_LOGS_H

#include <stdint.h>

/* Looks at the logs in the sandbox; keeps `keep` rotated files of each. Trusts nothing in there:
 * follows no symbolic links, leaves what has several names. Blocks on files: not for the loop's
 * thread. */
void rv_logs_rotate(const char *directory, uint64_t max_bytes, unsigned keep);

#endif
