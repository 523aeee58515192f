/*
 * Lists of metrics and their forms. A number that is not known is left out, never made up.
 */
#include "daemon/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/legacy_json.h"

void rv_metrics_init(struct rv_metrics *m) {
    *m = (struct rv_metrics){0};
    rv_arena_init(&m->arena);
}

void rv_metrics_free(struct rv_metrics *m) {
    rv_vec_free(&m->list);
    rv_arena_free(&m->arena);
}

void rv_metrics_counter(struct rv_metrics *m, const char *name, const char *help, double value) {
    struct rv_metric one = {.name = name, .help = help, .value = value, .counter = true};

    rv_vec_push(&m->list, one);
}

void rv_metrics_gauge(struct rv_metrics *m, const char *name, const char *help, double value) {
    struct rv_metric one = {.name = name, .help = help, .value = value};

    rv_vec_push(&m->list, one);
}

/* What may stand in a metric's name as it is; the rest is percent-encoded. */
static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

const char *rv_metrics_encoded(struct rv_metrics *m, const char *s) {
    static const char digits[] = "0123456789ABCDEF";
    char *out = rv_arena_alloc(&m->arena, strlen(s) * 3 + 1), *w = out;

    for (; *s; s++) {
        if (is_plain(*s)) {
            *w++ = *s;
            continue;
        }
        *w++ = '%';
        *w++ = digits[(unsigned char)*s >> 4];
        *w++ = digits[(unsigned char)*s & 15];
    }
    *w = 0;
    return out;
}

void rv_metrics_of(struct rv_metrics *m, const char *base, const char *family, const char *label,
                   const char *value, const char *what, bool counter, double number) {
    struct rv_metric one = {
        .name = rv_arena_printf(&m->arena, "%s/%s", base, what),
        .value = number,
        .counter = counter,
        .family = rv_arena_printf(&m->arena, "%s/%s", family, what),
        .label = label,
        .label_value = rv_arena_strdup(&m->arena, value),
    };

    rv_vec_push(&m->list, one);
}

void rv_metrics_of_two(struct rv_metrics *m, const char *family, const char *label,
                       const char *value) {
    struct rv_metric *last = &m->list.v[m->list.n - 1];

    last->family = rv_arena_strdup(&m->arena, family);
    last->label2 = label;
    last->label2_value = rv_arena_strdup(&m->arena, value);
}

void rv_metrics_system(struct rv_metrics *m) {
    long cpus = sysconf(_SC_NPROCESSORS_ONLN), page = sysconf(_SC_PAGESIZE);
    long pages = sysconf(_SC_PHYS_PAGES), free_pages = sysconf(_SC_AVPHYS_PAGES);
    double load[3];

    if (cpus > 0)
        rv_metrics_gauge(m, "system/cpus_total", "Processors of the machine", (double)cpus);
    if (page > 0 && pages > 0)
        rv_metrics_gauge(m, "system/mem_total_bytes", "Memory of the machine",
                         (double)pages * (double)page);
    if (page > 0 && free_pages > 0)
        rv_metrics_gauge(m, "system/mem_free_bytes", "Memory of the machine that is free",
                         (double)free_pages * (double)page);
    if (getloadavg(load, 3) == 3) {
        rv_metrics_gauge(m, "system/load_1min", "Load average of a minute", load[0]);
        rv_metrics_gauge(m, "system/load_5min", "Load average of five minutes", load[1]);
        rv_metrics_gauge(m, "system/load_15min", "Load average of fifteen minutes", load[2]);
    }
}

static int compare_names(const void *a, const void *b) {
    const struct rv_metric *x = a, *y = b;

    return strcmp(x->name, y->name);
}

void rv_metrics_sort(struct rv_metrics *m) {
    if (m->list.n)
        qsort(m->list.v, m->list.n, sizeof *m->list.v, compare_names);
}

void rv_metrics_json(const struct rv_metrics *m, struct rv_buf *out) {
    struct rv_json j = {.out = out};

    rv_json_object(&j, NULL);
    for (size_t i = 0; i < m->list.n; i++)
        rv_json_double(&j, m->list.v[i].name, m->list.v[i].value);
    rv_json_object_end(&j);
}

/* --- Prometheus --- */

static void put_family(struct rv_buf *out, const char *family) {
    rv_buf_puts(out, "reeve_");
    for (; *family; family++) {
        bool plain = is_plain(*family) && *family != '-' && *family != '.' && *family != '~';
        rv_buf_putc(out, plain ? *family : '_');
    }
}

void rv_metrics_label(struct rv_buf *out, const char *value) {
    for (; *value; value++) {
        if (*value == '\n') {
            rv_buf_puts(out, "\\n");
            continue;
        }
        if (*value == '"' || *value == '\\')
            rv_buf_putc(out, '\\');
        rv_buf_putc(out, *value);
    }
}

static void put_label(struct rv_buf *out, const struct rv_metric *one) {
    rv_buf_printf(out, "{%s=\"", one->label);
    rv_metrics_label(out, one->label_value);
    if (one->label2) {
        rv_buf_printf(out, "\",%s=\"", one->label2);
        rv_metrics_label(out, one->label2_value);
    }
    rv_buf_puts(out, "\"}");
}

static const char *family_of(const struct rv_metric *one) {
    return one->family ? one->family : one->name;
}

static int compare_families(const void *a, const void *b) {
    const struct rv_metric *const *x = a, *const *y = b;
    int order = strcmp(family_of(*x), family_of(*y));

    return order ? order : strcmp((*x)->name, (*y)->name);
}

void rv_metrics_prometheus(const struct rv_metrics *m, struct rv_buf *out) {
    const struct rv_metric **sorted = rv_calloc(m->list.n + 1, sizeof *sorted);
    const char *before = NULL;
    char number[40];

    for (size_t i = 0; i < m->list.n; i++)
        sorted[i] = &m->list.v[i];
    qsort(sorted, m->list.n, sizeof *sorted, compare_families);
    for (size_t i = 0; i < m->list.n; i++) {
        const struct rv_metric *one = sorted[i];
        const char *family = family_of(one);
        if (!rv_streq(family, before)) {
            if (one->help) {
                rv_buf_puts(out, "# HELP ");
                put_family(out, family);
                rv_buf_printf(out, " %s\n", one->help);
            }
            rv_buf_puts(out, "# TYPE ");
            put_family(out, family);
            rv_buf_puts(out, one->counter ? " counter\n" : " gauge\n");
        }
        before = family;
        put_family(out, family);
        if (one->label)
            put_label(out, one);
        snprintf(number, sizeof number, "%.15g", one->value);
        rv_buf_printf(out, " %s\n", number);
    }
    free((void *)sorted);
}
