/*
 * Where the leading master is, from what a flag says:
 *   host:port,host:port      one of these; who is none of them says so, and may say who is
 *   zk://...                 as ZooKeeper tells
 *   file:///path             the file has one of the above, and is read again when it changes
 */
#ifndef RV_IO_DETECTOR_H
#define RV_IO_DETECTOR_H

#include "base/address.h"
#include "io/election.h"

struct rv_detector;

struct rv_detector_config {
    const char *masters; /* as above */
    uint16_t default_port;
    int64_t session_timeout_ms;
    /* The address in a candidate's data; -RV_ERR_...: it has none. */
    int (*parse)(struct rv_str info, struct rv_address *out, struct rv_error *err);
};

/* The leading master, as far as known; NULL: nobody is. Borrowed. On each change, from the loop. */
typedef void (*rv_detected)(void *ctx, const struct rv_address *leader);

RV_MUST_USE int rv_detector_new(uv_loop_t *loop, const struct rv_detector_config *config,
                                rv_detected detected, void *ctx, struct rv_detector **out,
                                struct rv_error *err);
struct rv_detector *rv_detector_free(struct rv_detector *d);

/* Whether what it tells of is a try: an address of a list. */
bool rv_detector_guesses(const struct rv_detector *d);
/* The one that was told of does not answer, or does not lead; `leader` (may be NULL) is who leads
 * by its word. A list tells of another one soon, from the loop; ZooKeeper knows better. */
void rv_detector_wrong(struct rv_detector *d, const struct rv_address *leader);

#endif
