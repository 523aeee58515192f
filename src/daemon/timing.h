/*
 * How long something took the last thousand times, in milliseconds, for metrics. Adding costs O(1)
 * and no memory; the statistics are made when they are asked for.
 */
#ifndef RV_DAEMON_TIMING_H
#define RV_DAEMON_TIMING_H

#include "daemon/metrics.h"

#define RV_TIMING_MAX 1000

/* Zero-initialised is empty. */
struct rv_timing {
    double ms[RV_TIMING_MAX]; /* a ring */
    size_t n, next;
};

void rv_timing_add(struct rv_timing *t, double ms);
void rv_timing_clear(struct rv_timing *t);
/* "name": the last one; "name/count", "/min", "/max", "/p50" to "/p9999". Nothing, if there is
 * none. name is a literal. */
void rv_timing_measure(const struct rv_timing *t, const char *name, const char *help,
                       struct rv_metrics *m);

#endif
