/*
 * Timers in a binary heap, intrusive; ties break by the order in which they were set, so that a
 * core is deterministic. O(log n) to set and cancel, O(1) for the next deadline.
 */
#ifndef RV_BASE_HEAP_H
#define RV_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rv_timer {
    int64_t at_ms; /* monotonic */
    uint64_t order;
    size_t position; /* 1-based in the heap; 0: not set */
    int kind;        /* the owner's: which of its timers this is */
};

struct rv_timers {
    struct rv_timer **v;
    size_t n, cap;
    uint64_t next_order;
};

/* Lets go of the heap alone: does not touch the timers, which may be gone already. */
void rv_timers_free(struct rv_timers *t);
void rv_timer_set(struct rv_timers *t, struct rv_timer *timer, int64_t at_ms); /* moves it if set */
void rv_timer_cancel(struct rv_timers *t, struct rv_timer *timer);             /* fine if not set */
static inline bool rv_timer_is_set(const struct rv_timer *timer) {
    return timer->position != 0;
}
int64_t rv_timers_deadline(const struct rv_timers *t); /* INT64_MAX if none */
/* Takes the next timer that is due at now_ms, or NULL. */
struct rv_timer *rv_timers_pop(struct rv_timers *t, int64_t now_ms);

#endif
