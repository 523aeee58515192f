/* See timing.h. */
#include "daemon/timing.h"

#include <stdlib.h>

void rv_timing_add(struct rv_timing *t, double ms) {
    t->ms[t->next] = ms;
    t->next = (t->next + 1) % RV_TIMING_MAX;
    if (t->n < RV_TIMING_MAX)
        t->n++;
}

void rv_timing_clear(struct rv_timing *t) {
    t->n = t->next = 0;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Between two neighbours as far as the share lies between them. */
static double percentile(const double *sorted, size_t n, double share) {
    double at = share * (double)(n - 1);
    size_t below = (size_t)at, above = RV_MIN(below + 1, n - 1);

    return sorted[below] + (at - (double)below) * (sorted[above] - sorted[below]);
}

void rv_timing_measure(const struct rv_timing *t, const char *name, const char *help,
                       struct rv_metrics *m) {
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"min", 0},    {"p50", 0.5},    {"p90", 0.9},      {"p95", 0.95},
                  {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}, {"max", 1}};
    double sorted[RV_TIMING_MAX];

    if (t->n == 0)
        return;
    rv_metrics_gauge(m, name, help, t->ms[(t->next + RV_TIMING_MAX - 1) % RV_TIMING_MAX]);
    rv_metrics_gauge(m, rv_arena_printf(&m->arena, "%s/count", name), NULL, (double)t->n);
    memcpy(sorted, t->ms, t->n * sizeof *sorted);
    qsort(sorted, t->n, sizeof *sorted, by_size);
    for (size_t i = 0; i < RV_COUNT(shares); i++)
        rv_metrics_gauge(m, rv_arena_printf(&m->arena, "%s/%s", name, shares[i].name), NULL,
                         percentile(sorted, t->n, shares[i].share));
}
