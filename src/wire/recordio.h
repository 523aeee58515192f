/* RecordIO: the length in decimal digits, a newline, that many bytes; again and again. */
#ifndef RV_WIRE_RECORDIO_H
#define RV_WIRE_RECORDIO_H

#include "base/error.h"
#include "base/str.h"

/* Appends one record. */
void rv_recordio_put(struct rv_buf *out, struct rv_str record);

struct rv_recordio {
    struct rv_buf pending; /* an incomplete record */
    size_t max_record;     /* bytes; a longer record is an error */
};

void rv_recordio_init(struct rv_recordio *r, size_t max_record);
void rv_recordio_free(struct rv_recordio *r);
/* Feeds bytes, wherever they were cut; calls back for each complete record, which is valid only
 * during the call. on_record returns 0, or non-zero to stop, which is then returned.
 * Returns -RV_ERR_INVALID for a bad length, -RV_ERR_LIMIT for a record over max_record. */
RV_MUST_USE int rv_recordio_feed(struct rv_recordio *r, struct rv_str bytes,
                                 int (*on_record)(void *ctx, struct rv_str record), void *ctx,
                                 struct rv_error *err);

#endif
