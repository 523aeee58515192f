/*
 * An append-only file of records: how the agent's checkpoints are kept. The bytes, and what a crash
 * or damage does to them: wire/journal_format.h. Appends of one loop iteration go out together,
 * with one write and one fdatasync in the thread pool, then call back in order. A record that a
 * crash has torn is passed over with a warning; other damage is an error that names file and offset
 * (INV-19).
 */
#ifndef RV_IO_JOURNAL_H
#define RV_IO_JOURNAL_H

#include <stdbool.h>
#include <uv.h>

#include "base/error.h"
#include "base/str.h"
#include "wire/journal_format.h"

struct rv_journal;

/* result < 0: not durable (disk full, read-only, EIO), and not there after a crash either: where
 * that is not certain, nothing is answered until it is. All that was appended before this is known
 * fails with it, so that no record is there without those before it; later appends are tried. */
typedef void (*rv_journal_done)(void *ctx, int result, const struct rv_error *err);

/* Reads every record (each may be NULL), then is ready for appends. The folder must exist. A file
 * of an earlier format is rewritten. -RV_ERR_CONFLICT: another process uses the file. */
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
/* Bytes of what is in use; the file is larger. */
uint64_t rv_journal_size(const struct rv_journal *j);
/* If the file is damaged, puts one with all that is whole of it in its place; the damaged one stays
 * beside it under the name `*aside`, to be freed (NULL: there is no file, or it is not damaged).
 * Blocking. -RV_ERR_CONFLICT: another process uses it. */
RV_MUST_USE int rv_journal_repair(const char *path, char **aside, struct rv_error *err);

#endif
