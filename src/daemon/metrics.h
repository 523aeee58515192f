/*
 * Metrics: a list of names and values, made anew for each question from counters and records, and
 * its three forms: GET_METRICS, the flat JSON object of /metrics/snapshot, and Prometheus text.
 * Names are those that collectors of the v1 API read ("master/tasks_running", monitoring.md).
 */
#ifndef RV_DAEMON_METRICS_H
#define RV_DAEMON_METRICS_H

#include <stdbool.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/vec.h"

struct rv_metric {
    const char *name; /* "master/tasks_running" */
    const char *help; /* one line; NULL: none */
    double value;
    bool counter; /* else a gauge */
    /* For Prometheus, where one of many things is measured: the family it belongs to, and which
     * one it is. "master/frameworks/NAME/F/subscribed" is the family "master/framework/subscribed"
     * with framework="F". NULL: the name says it all. */
    const char *family, *label, *label_value;
    const char *label2, *label2_value; /* NULL: one is enough */
};

/* Zero-initialised is empty once the arena is: rv_metrics_init. */
struct rv_metrics {
    RV_VEC(struct rv_metric) list;
    struct rv_arena arena; /* of names that were made */
};

void rv_metrics_init(struct rv_metrics *m);
void rv_metrics_free(struct rv_metrics *m); /* for _cleanup_ too */
/* name and help must outlive the list (literals, or of its arena). */
void rv_metrics_counter(struct rv_metrics *m, const char *name, const char *help, double value);
void rv_metrics_gauge(struct rv_metrics *m, const char *name, const char *help, double value);
/* One of many things: the name is "base/what", the family "family/what" with label="value".
 * Everything but `label` is copied. */
void rv_metrics_of(struct rv_metrics *m, const char *base, const char *family, const char *label,
                   const char *value, const char *what, bool counter, double number);
/* The metric added last belongs to this family, with a second label. All but `label` is copied. */
void rv_metrics_of_two(struct rv_metrics *m, const char *family, const char *label,
                       const char *value);
/* Percent-encoded, as it may stand in a name; in the arena. */
const char *rv_metrics_encoded(struct rv_metrics *m, const char *s);
/* system/cpus_total, system/mem_total_bytes, system/mem_free_bytes, system/load_1min, _5min,
 * _15min. What cannot be found out is left out. */
void rv_metrics_system(struct rv_metrics *m);
/* Appends the value of a label as it stands between its quotes in Prometheus text. */
void rv_metrics_label(struct rv_buf *out, const char *value);
/* In order of names. */
void rv_metrics_sort(struct rv_metrics *m);

/* {"name":1.0,...} */
void rv_metrics_json(const struct rv_metrics *m, struct rv_buf *out);
/* Prometheus text format 0.0.4, HELP and TYPE once a family: "reeve_master_tasks_running 3". */
void rv_metrics_prometheus(const struct rv_metrics *m, struct rv_buf *out);

#endif
