/*
 * An append-only file of records: how the agent's checkpoints are kept. Each record has a length
 * and a checksum (CRC-32C over length and bytes); the file begins with a magic line and a format
 * version. Appends of one loop iteration go out together, with one write and one fdatasync in the
 * thread pool, then call back in order. A record torn by a crash at the very end is cut off with a
 * warning; damage anywhere else is an error that names file and offset (INV-19).
 */
#ifndef RV_IO_JOURNAL_H
#define RV_IO_JOURNAL_H

#include <stdbool.h>
#include <uv.h>

#include "base/error.h"
#include "base/str.h"

struct rv_journal;

typedef int (*rv_journal_each)(void *ctx, struct rv_str record, struct rv_error *err);
/* result < 0: not durable (disk full, read-only, EIO); the file is cut back to the last good
 * record, later appends are tried again. */
typedef void (*rv_journal_done)(void *ctx, int result, const struct rv_error *err);

/* Reads every record (each may be NULL), then is ready for appends. The folder must exist.
 * -RV_ERR_CONFLICT: another process uses the file. */
RV_MUST_USE int rv_journal_open(uv_loop_t *loop, const char *path, rv_journal_each each, void *ctx,
                                struct rv_journal **out, struct rv_error *err);
/* No callback after. What was appended is still written: the loop must be run until it is at rest.
 * NULL is fine. */
struct rv_journal *rv_journal_close(struct rv_journal *j);
void rv_journal_append(struct rv_journal *j, struct rv_str record, rv_journal_done done, void *ctx);
/* Reads again every record that is durable, in order; blocking. A record lives as long as the call.
 * -RV_ERR_CONFLICT while a write is under way; from within a rv_journal_done none is. */
RV_MUST_USE int rv_journal_read(struct rv_journal *j, rv_journal_each each, void *ctx,
                                struct rv_error *err);
/* Replaces the file by one with just these records (compaction), atomically; blocking. Appends that
 * were not begun follow in the new file. -RV_ERR_CONFLICT while a write is under way; from within
 * a rv_journal_done none is. On an error nothing is lost: one of the two files goes on. */
RV_MUST_USE int rv_journal_rewrite(struct rv_journal *j, const struct rv_str *records, size_t n,
                                   struct rv_error *err);
uint64_t rv_journal_size(const struct rv_journal *j);

#endif
