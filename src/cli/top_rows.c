/* The rows of `reeve top`, see top.h. What is not known is "-" in a table and null in JSON. */
#include <math.h>
#include <stdlib.h>

#include "base/fixed.h"
#include "cli/top.h"

const char *const rv_top_sorts[RV_TOP_SORTS] = {"cpu", "mem", "pids", "disk", "io", "name"};

/* "1.2G" of bytes, "-" for what is not known. */
static void human(double bytes, char out[16]) {
    static const char units[] = "BKMGTP";
    size_t unit = 0;

    if (!isfinite(bytes)) {
        snprintf(out, 16, "-");
        return;
    }
    for (; bytes >= 1000 && units[unit + 1]; unit++)
        bytes /= 1024;
    snprintf(out, 16, unit && bytes < 10 ? "%.1f%c" : "%.0f%c", bytes, units[unit]);
}

static void cell_bytes(struct rv_cli_table *t, double used, double limit, bool rate) {
    char u[16], l[16], text[40];

    human(used, u);
    human(limit, l);
    if (rate)
        snprintf(text, sizeof text, "%s", u);
    else
        snprintf(text, sizeof text, "%s/%s", u, l);
    rv_cli_cell(t, text);
}

static void cell_decimal(struct rv_cli_table *t, double number, const char *format) {
    char text[32];

    snprintf(text, sizeof text, format, number); // NOLINT(clang-diagnostic-format-nonliteral)
    rv_cli_cell(t, isfinite(number) ? text : NULL);
}

/* Numbers, largest first; what is not known comes last. */
static int by_number(double a, double b) {
    if (!isfinite(a) || !isfinite(b))
        return isfinite(b) - isfinite(a);
    return (a < b) - (a > b);
}

/* ---- agents ---- */

static double amount(const Reeve__V1__Master__Response__GetAgents__Agent *a, const char *name) {
    return (double)rv_cli_scalar(a->allocated_resources, a->n_allocated_resources, name);
}

static const char *id_of(const struct rv_top_agent *a) {
    return a->agent->agent_info->id ? a->agent->agent_info->id->value : "";
}

static int compare_agents(const void *x, const void *y, void *sort) {
    static const char *const names[RV_TOP_SORTS] = {
        [RV_TOP_CPU] = "cpus", [RV_TOP_MEMORY] = "mem", [RV_TOP_DISK] = "disk"};
    const struct rv_top_agent *a = x, *b = y;
    const char *name = names[*(const enum rv_top_sort *)sort];
    int order = name ? by_number(amount(a->agent, name), amount(b->agent, name)) : 0;

    return order ? order : strcmp(id_of(a), id_of(b));
}

static void put_agent(struct rv_cli_table *t, const struct rv_top_agent *a) {
    static const char *const names[] = {"cpus", "mem", "disk"};
    const Reeve__V1__Master__Response__GetAgents__Agent *m = a->agent;
    double used = a->has_used ? a->mem_used_bytes : NAN;

    rv_cli_cell(t, id_of(a));
    rv_cli_cell(t, m->agent_info->hostname);
    rv_cli_cell(t, rv_cli_agent_state(m));
    for (size_t i = 0; i < RV_COUNT(names); i++) {
        int64_t taken = rv_cli_scalar(m->allocated_resources, m->n_allocated_resources, names[i]),
                total = rv_cli_scalar(m->total_resources, m->n_total_resources, names[i]);
        rv_cli_cell_ratio(t, taken, total);
        rv_cli_cell_fixed(t, taken);
        rv_cli_cell_fixed(t, total);
    }
    cell_decimal(t, a->has_used ? a->load : NAN, "%.2f");
    rv_cli_cell_number(t, a->has_used ? a->load : NAN);
    cell_bytes(t, used, a->has_used ? a->mem_total_bytes : NAN, false);
    rv_cli_cell_number(t, used);
    rv_cli_cell_number(t, a->has_used ? a->mem_total_bytes : NAN);
}

void rv_top_print_agents(struct rv_top_agent *v, size_t n, const struct rv_top_view *view) {
    struct rv_cli_ids ids = {0};
#define AMOUNT(title, name)                                                                        \
    {title, "", RV_CLI_CELL_RATIO, RV_CLI_NOT_JSON, NULL},                                         \
        {"", name "_allocated", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_JSON, NULL}, {                     \
        "", name "_total", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_JSON, NULL                              \
    }
    const struct rv_cli_column columns[] = {
        {"NODE", "id", RV_CLI_CELL_ID, 0, &ids},
        {"HOST", "host", RV_CLI_CELL_TEXT, 0, NULL},
        {"STATE", "state", RV_CLI_CELL_STATE, 0, NULL},
        AMOUNT("CPUS", "cpus"),
        AMOUNT("MEM", "mem"),
        AMOUNT("DISK", "disk"),
        {"LOAD", "", RV_CLI_CELL_RATIO, RV_CLI_NOT_JSON, NULL},
        {"", "load", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_JSON, NULL},
        {"USED MEM", "", RV_CLI_CELL_RATIO, RV_CLI_NOT_JSON, NULL},
        {"", "machine_mem_used_bytes", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_JSON, NULL},
        {"", "machine_mem_bytes", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_JSON, NULL},
    };
#undef AMOUNT
    enum rv_top_sort sort = view->sort;
    struct rv_cli_table t;

    for (size_t i = 0; i < n; i++)
        rv_cli_ids_add(&ids, id_of(&v[i]));
    if (n)
        qsort_r(v, n, sizeof *v, compare_agents, &sort);
    rv_cli_table_init(&t, columns, RV_COUNT(columns));
    for (size_t i = 0; i < RV_MIN(n, view->max_rows); i++)
        put_agent(&t, &v[i]);
    rv_cli_table_print(&t, view->format);
    rv_cli_table_free(&t);
    rv_cli_ids_free(&ids);
}

/* ---- containers ---- */

/* NAN: not known. */
struct row {
    char *id;         /* "a.b" of a nested one */
    const char *name; /* its executor's; of a nested one its own id */
    const char *framework;
    double cpu_percent, cpus, mem, mem_limit, processes, threads, disk, disk_limit, read, write;
};

static void put_id(const Reeve__V1__ContainerID *id, struct rv_buf *out) {
    if (id->parent) {
        put_id(id->parent, out);
        rv_buf_putc(out, '.');
    }
    rv_buf_puts(out, id->value);
}

static double io_of(const Reeve__V1__ResourceStatistics *s,
                    Reeve__V1__CgroupInfo__Blkio__Operation op) {
    const Reeve__V1__CgroupInfo__Blkio__Statistics *io = s->blkio_statistics;
    double sum = 0;

    if (!io)
        return NAN;
    for (size_t i = 0; i < io->n_throttling; i++)
        for (size_t k = 0; k < io->throttling[i]->n_io_service_bytes; k++)
            if (io->throttling[i]->device && io->throttling[i]->io_service_bytes[k]->op == op)
                sum += (double)io->throttling[i]->io_service_bytes[k]->value;
    return sum;
}

static struct rv_top_before figures_of(const Reeve__V1__ResourceStatistics *s) {
    return (struct rv_top_before){
        .at_s = s->timestamp,
        .cpu_s =
            s->has_cpus_user_time_secs ? s->cpus_user_time_secs + s->cpus_system_time_secs : NAN,
        .read_bytes = io_of(s, REEVE__V1__CGROUP_INFO__BLKIO__OPERATION__READ),
        .write_bytes = io_of(s, REEVE__V1__CGROUP_INFO__BLKIO__OPERATION__WRITE),
    };
}

/* A container that begins again, or a clock that is set, gives no rate. */
static double rate(double before, double now, double seconds) {
    return seconds > 0 && now >= before ? (now - before) / seconds : NAN;
}

static void fill(struct row *r, const Reeve__V1__ResourceStatistics *s,
                 const struct rv_top_before *before) {
    struct rv_top_before now;

#define TAKE(field, from) r->field = s->has_##from ? (double)s->from : NAN
    TAKE(cpus, cpus_limit);
    TAKE(mem, mem_total_bytes);
    TAKE(mem_limit, mem_limit_bytes);
    TAKE(processes, processes);
    TAKE(threads, threads);
    TAKE(disk, disk_used_bytes);
    TAKE(disk_limit, disk_limit_bytes);
#undef TAKE
    if (!before)
        return;
    now = figures_of(s);
    r->cpu_percent = 100 * rate(before->cpu_s, now.cpu_s, now.at_s - before->at_s);
    r->read = rate(before->read_bytes, now.read_bytes, now.at_s - before->at_s);
    r->write = rate(before->write_bytes, now.write_bytes, now.at_s - before->at_s);
}

static struct row row_of(const Reeve__V1__Agent__Response__GetContainers__Container *c,
                         const struct rv_map *before) {
    _cleanup_(rv_buf_free) struct rv_buf id = {0};
    struct row r = {.cpu_percent = NAN,
                    .cpus = NAN,
                    .mem = NAN,
                    .mem_limit = NAN,
                    .processes = NAN,
                    .threads = NAN,
                    .disk = NAN,
                    .disk_limit = NAN,
                    .read = NAN,
                    .write = NAN};

    put_id(c->container_id, &id);
    r.id = rv_strdup(id.data);
    r.name = c->executor_id ? c->executor_id->value : c->container_id->value;
    r.framework = c->framework_id ? c->framework_id->value : NULL;
    if (c->resource_statistics)
        fill(&r, c->resource_statistics, rv_map_gets(before, r.id));
    return r;
}

static double sort_value(const struct row *r, enum rv_top_sort sort) {
    switch (sort) {
    case RV_TOP_CPU:
        return r->cpu_percent;
    case RV_TOP_MEMORY:
        return r->mem;
    case RV_TOP_PROCESSES:
        return r->processes;
    case RV_TOP_DISK:
        return r->disk;
    case RV_TOP_IO:
        return r->read + r->write;
    case RV_TOP_NAME:
    case RV_TOP_SORTS:
        break;
    }
    return NAN;
}

static int compare_rows(const void *x, const void *y, void *sort) {
    const struct row *a = x, *b = y;
    enum rv_top_sort by = *(const enum rv_top_sort *)sort;
    int order = by_number(sort_value(a, by), sort_value(b, by));

    if (!order)
        order = strcmp(a->name, b->name);
    return order ? order : strcmp(a->id, b->id);
}

static void put_container(struct rv_cli_table *t, const struct row *r) {
    rv_cli_cell(t, r->id);
    rv_cli_cell(t, r->name);
    rv_cli_cell(t, r->framework);
    cell_decimal(t, r->cpu_percent, "%.1f");
    rv_cli_cell_number(t, r->cpu_percent);
    rv_cli_cell_number(t, r->cpus);
    cell_bytes(t, r->mem, r->mem_limit, false);
    rv_cli_cell_number(t, r->mem);
    rv_cli_cell_number(t, r->mem_limit);
    rv_cli_cell_number(t, r->processes);
    rv_cli_cell_number(t, r->threads);
    cell_bytes(t, r->disk, r->disk_limit, false);
    rv_cli_cell_number(t, r->disk);
    rv_cli_cell_number(t, r->disk_limit);
    cell_bytes(t, r->read, NAN, true);
    rv_cli_cell_number(t, r->read);
    cell_bytes(t, r->write, NAN, true);
    rv_cli_cell_number(t, r->write);
}

static void print_rows(const struct row *rows, size_t n, const struct rv_top_view *view) {
    struct rv_cli_ids ids = {0};
#define BOTH(title, key)                                                                           \
    {title, "", RV_CLI_CELL_RATIO, RV_CLI_NOT_JSON, NULL}, {                                       \
        "", key, RV_CLI_CELL_NUMBER, RV_CLI_ONLY_JSON, NULL                                        \
    }
    const struct rv_cli_column columns[] = {
        {"CONTAINER", "id", RV_CLI_CELL_ID, 0, &ids},
        {"EXECUTOR", "executor", RV_CLI_CELL_TEXT, 0, NULL},
        {"FRAMEWORK", "framework", RV_CLI_CELL_TEXT, RV_CLI_ONLY_WIDE, NULL},
        BOTH("CPU%", "cpu_percent"),
        {"CPUS", "cpus_limit", RV_CLI_CELL_NUMBER, 0, NULL},
        BOTH("MEM", "mem_bytes"),
        {"", "mem_limit_bytes", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_JSON, NULL},
        {"PIDS", "processes", RV_CLI_CELL_NUMBER, 0, NULL},
        {"THREADS", "threads", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_WIDE, NULL},
        BOTH("DISK", "disk_bytes"),
        {"", "disk_limit_bytes", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_JSON, NULL},
        BOTH("READ/s", "read_bytes_per_s"),
        BOTH("WRITE/s", "write_bytes_per_s"),
    };
#undef BOTH
    struct rv_cli_table t;

    for (size_t i = 0; i < n; i++)
        rv_cli_ids_add(&ids, rows[i].id);
    rv_cli_table_init(&t, columns, RV_COUNT(columns));
    for (size_t i = 0; i < RV_MIN(n, view->max_rows); i++)
        put_container(&t, &rows[i]);
    rv_cli_table_print(&t, view->format);
    rv_cli_table_free(&t);
    rv_cli_ids_free(&ids);
}

void rv_top_print_containers(const Reeve__V1__Agent__Response__GetContainers *all,
                             struct rv_map *before, const struct rv_top_view *view) {
    struct row *rows = rv_calloc(all->n_containers + 1, sizeof *rows);
    enum rv_top_sort sort = view->sort;

    for (size_t i = 0; i < all->n_containers; i++)
        rows[i] = row_of(all->containers[i], before);
    if (all->n_containers)
        qsort_r(rows, all->n_containers, sizeof *rows, compare_rows, &sort);
    print_rows(rows, all->n_containers, view);
    for (size_t i = 0; i < all->n_containers; i++)
        free(rows[i].id);
    free(rows);
    rv_top_remember(all, before);
}

void rv_top_forget(struct rv_map *before) {
    void *one;

    for (size_t it = 0; rv_map_next(before, &it, NULL, &one);)
        free(one);
    rv_map_free(before);
}

void rv_top_remember(const Reeve__V1__Agent__Response__GetContainers *all, struct rv_map *before) {
    rv_top_forget(before);
    for (size_t i = 0; i < all->n_containers; i++) {
        const Reeve__V1__Agent__Response__GetContainers__Container *c = all->containers[i];
        _cleanup_(rv_buf_free) struct rv_buf id = {0};
        struct rv_top_before *one;
        if (!c->resource_statistics)
            continue;
        put_id(c->container_id, &id);
        one = rv_calloc(1, sizeof *one);
        *one = figures_of(c->resource_statistics);
        free(rv_map_put(before, rv_str(id.data), one));
    }
}
