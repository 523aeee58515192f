/*
 * A binary heap of the owners' timers. t->v[0] is the next due; each timer knows its position, one
 * more than its place in v, so that it can be moved and cancelled. Ties break by `order`, which
 * grows with each setting. The heap owns only the array.
 */
#include "base/heap.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/memory.h"

static bool before(const struct rv_timer *a, const struct rv_timer *b) {
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void place(struct rv_timers *t, size_t i, struct rv_timer *timer) {
    t->v[i] = timer;
    timer->position = i + 1;
}

/* Puts the timer where it belongs, starting at the free place i. */
static void settle(struct rv_timers *t, size_t i, struct rv_timer *timer) {
    size_t child;

    for (; i > 0 && before(timer, t->v[(i - 1) / 2]); i = (i - 1) / 2)
        place(t, i, t->v[(i - 1) / 2]);
    for (child = 2 * i + 1; child < t->n; child = 2 * i + 1) {
        if (child + 1 < t->n && before(t->v[child + 1], t->v[child]))
            child++;
        if (!before(t->v[child], timer))
            break;
        place(t, i, t->v[child]);
        i = child;
    }
    place(t, i, timer);
}

void rv_timers_free(struct rv_timers *t) {
    free(t->v);
    *t = (struct rv_timers){.v = NULL};
}

void rv_timer_set(struct rv_timers *t, struct rv_timer *timer, int64_t at_ms) {
    timer->at_ms = at_ms;
    timer->order = t->next_order++;
    if (timer->position) {
        RV_ASSERT(timer->position <= t->n && t->v[timer->position - 1] == timer);
        settle(t, timer->position - 1, timer);
        return;
    }
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 16;
        t->v = rv_realloc(t->v, t->cap * sizeof *t->v);
    }
    t->n++;
    settle(t, t->n - 1, timer);
}

void rv_timer_cancel(struct rv_timers *t, struct rv_timer *timer) {
    size_t i;
    struct rv_timer *last;

    if (!timer->position)
        return;
    i = timer->position - 1;
    RV_ASSERT(i < t->n && t->v[i] == timer);
    last = t->v[--t->n];
    if (last != timer)
        settle(t, i, last);
    timer->position = 0;
}

int64_t rv_timers_deadline(const struct rv_timers *t) {
    return t->n ? t->v[0]->at_ms : INT64_MAX;
}

struct rv_timer *rv_timers_pop(struct rv_timers *t, int64_t now_ms) {
    struct rv_timer *timer;

    if (t->n == 0 || t->v[0]->at_ms > now_ms)
        return NULL;
    timer = t->v[0];
    rv_timer_cancel(t, timer);
    return timer;
}
