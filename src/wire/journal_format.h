/*
 * The bytes of a journal: how an agent's checkpoints lie in their file, and on the simulator's
 * disks.
 *
 *     head    16 bytes  "reeve-journal\n", the format's version (2), 0
 *     frame   at a multiple of 16
 *             4 bytes   n, the length of the body; numbers are little-endian
 *             4 bytes   CRC-32C of the body
 *             4 bytes   CRC-32C of the eight bytes before
 *             n bytes   the body: records, each as its length in 4 bytes and that many bytes; then
 *                       a byte 1
 *     frames and so on, with zeros between them
 *     zeros   to the end of the file, at least 16
 *
 * What a record says: store/checkpoint_codec.h. Whoever writes a journal keeps to this:
 *
 *   - The file appears whole, by renaming; it grows by zeros that are on the disk before they are
 *     written over. So a file that ends too soon has been cut short by something else than a crash.
 *   - What is written at once is one frame, and on the disk before the next one is written. So
 *     nothing whole is ever behind a frame that a crash has torn.
 *   - What a write has left that failed is made zeros again, on the disk, before the next one.
 *
 * A crash may then leave some sectors of the last frame as they were, which is zeros: a frame is
 * never without a byte other than 0 in any sector that it touches, but by chance in the middle of
 * what it holds. Such a frame was never answered as durable, and is no error. Any other damage is
 * one, which names the file and the byte: what it hid must not be lost without a word (INV-19).
 *
 * Version 1 is read: records of length, CRC-32C over length and bytes, bytes; one behind the other
 * to the end of the file. The version goes up when an earlier program would misread what a later
 * one writes; a file of a later version is refused.
 */
#ifndef RV_WIRE_JOURNAL_FORMAT_H
#define RV_WIRE_JOURNAL_FORMAT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

#define RV_JOURNAL_VERSION 2
#define RV_JOURNAL_HEAD 16
#define RV_JOURNAL_ALIGN 16 /* of frames; also the least that is zeros at the end */
#define RV_JOURNAL_FRAME_HEAD 12

typedef int (*rv_journal_each)(void *ctx, struct rv_str record, struct rv_error *err);

void rv_journal_put_head(struct rv_buf *out);
/* A record as it lies in a body. */
void rv_journal_put_record(struct rv_buf *out, struct rv_str record);
/* A frame, from records as the function above puts them; out->n is a multiple of RV_JOURNAL_ALIGN
 * before and after. */
void rv_journal_put_frame(struct rv_buf *out, struct rv_str records);

struct rv_journal_found {
    int version;
    size_t end;     /* where the next frame goes */
    size_t torn;    /* bytes from there on that a crash has left of a frame */
    size_t damaged; /* bytes that were passed over: with salvage only */
};
/* Calls back for each record of a file, in order; `each` may be NULL. An error names `path` and the
 * byte: -RV_ERR_CORRUPT, -RV_ERR_UNSUPPORTED (of a later version), or what `each` gave. With
 * salvage damage is no error: what is whole before and behind it is read. Linear. */
RV_MUST_USE int rv_journal_parse(struct rv_str file, const char *path, bool salvage,
                                 rv_journal_each each, void *ctx, struct rv_journal_found *out,
                                 struct rv_error *err);

#endif
