/*
 * Large answers without a pause: a forked child writes the answer from its copy of the memory into
 * an unnamed file, and the parent sends the file when the child has ended. The answer is the state
 * of one moment; the loop is held up only for the fork (page tables, no pages).
 *
 * The child touches nothing but memory and that file: no loop, no connection, no log.
 */
#ifndef RV_DAEMON_SNAPSHOT_H
#define RV_DAEMON_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/shell.h"

/* Where an answer is written: a buffer, emptied into a file from time to time if there is one. */
struct rv_sink {
    struct rv_buf buf;
    int fd;           /* -1: only the buffer */
    uint64_t flushed; /* bytes in the file */
    bool failed;
};
/* Between two pieces: empties the buffer if it has grown large. */
void rv_sink_breathe(struct rv_sink *s);
/* Bytes written so far. */
static inline uint64_t rv_sink_size(const struct rv_sink *s) {
    return s->flushed + s->buf.n;
}
/* Overwrites bytes that were written before. */
void rv_sink_patch(struct rv_sink *s, uint64_t at, const void *bytes, size_t n);

struct rv_snapshots;

struct rv_snapshots *rv_snapshots_new(struct rv_shell *shell);
/* Ends the children; requests that wait were the shell's to answer. */
struct rv_snapshots *rv_snapshots_free(struct rv_snapshots *s);

/* Writes the answer. `what` is the copy of what the asker gave. Runs in the child, or at once. */
typedef void (*rv_snapshot_writer)(const void *what, struct rv_sink *sink);

/* Answers with what the writer writes: in a child if `large`, else at once. What it points to must
 * live until the request is answered; strings of the request do. 503 if too many wait. */
void rv_snapshots_reply(struct rv_snapshots *s, struct rv_http_request *req, bool large,
                        const char *content_type, rv_snapshot_writer writer, const void *what,
                        size_t size);

/* The same for the first event of a stream, made in a child of its own time: what is sent to the
 * stream until then is dropped, what comes after follows it. The stream ends, and the shell is
 * told, if it cannot be made. */
void rv_snapshots_send(struct rv_snapshots *s, uint64_t stream, rv_snapshot_writer writer,
                       const void *what, size_t size);
/* Nobody waits for its event any more. Fine for any stream. */
void rv_snapshots_stream_closed(struct rv_snapshots *s, uint64_t stream);

#endif
