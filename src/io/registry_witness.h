/*
 * A small file beside a registry's: the number of the last change that was answered as durable. So
 * a file that was lost, emptied, put back from an older copy, or whose write-ahead log was damaged
 * (SQLite takes such a log for one that a crash cut short) is noticed. Whoever writes holds a lock
 * on it. Costs: one fdatasync a change.
 */
#ifndef RV_IO_REGISTRY_WITNESS_H
#define RV_IO_REGISTRY_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct rv_witness {
    char *path;
    int fd; /* -1: read only, and there is none */
};

/* Of the registry in `of`. *seq: the last change, 0 where there is none yet. */
RV_MUST_USE int rv_witness_open(struct rv_witness *w, const char *of, bool read_only, uint64_t *seq,
                                struct rv_error *err);
RV_MUST_USE int rv_witness_write(struct rv_witness *w, uint64_t seq, struct rv_error *err);
void rv_witness_close(struct rv_witness *w);

#endif
