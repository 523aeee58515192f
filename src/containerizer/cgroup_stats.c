/*
 * What control groups count, of both versions, in the same words: see struct rv_cgroup_stats.
 * Holds: only reads, and touches nothing of struct rv_cgroups, so that any process or thread may do
 * it.
 *
 * Costs: some twenty small files a group, 3 to 10 us each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fixed.h"
#include "containerizer/cgroup_internal.h"
#include "containerizer/containerizer.h"

void rv_cgroup_stats_free(struct rv_cgroup_stats *s) {
    rv_vec_free(&s->disks);
}

void rv_container_usage_free(struct rv_container_usage *u) {
    rv_cgroup_stats_free(&u->groups);
}

/* A number that may not be told. */
static uint64_t number(const char *dir, const char *file) {
    uint64_t n;

    return rv_cgfs_read_u64(dir, file, &n) ? UINT64_MAX : n;
}

static void read_processes(const char *dir, struct rv_cgroup_stats *out) {
    struct rv_cgfs_pids pids = {0};

    rv_cgfs_pids(dir, &pids);
    out->processes = pids.n;
    rv_vec_free(&pids);
}

/* NULL: there is no such controller. */
static void read_pids(const char *dir, struct rv_cgroup_stats *out) {
    if (!dir || rv_cgfs_read_u64(dir, "pids.current", &out->pids))
        return;
    out->pids_events = rv_cgfs_refused_forks(dir);
    out->has |= RV_CGROUP_PIDS;
}

static int64_t limit_milli(int64_t quota_us, int64_t period_us) {
    return quota_us < 0 || period_us <= 0 ? -1 : quota_us * RV_FIXED_ONE / period_us;
}

/* ---- disks ---- */

static struct rv_cgroup_disk *disk_of(struct rv_cgroup_stats *s, uint32_t major, uint32_t minor) {
    struct rv_cgroup_disk new = {.major = major, .minor = minor};

    for (size_t i = 0; i < s->disks.n; i++)
        if (s->disks.v[i].major == major && s->disks.v[i].minor == minor)
            return &s->disks.v[i];
    for (int i = 0; i < RV_CGROUP_IO_MAX; i++)
        new.bytes[i] = new.operations[i] = UINT64_MAX;
    rv_vec_push(&s->disks, new);
    return &s->disks.v[s->disks.n - 1];
}

static void sum_disks(struct rv_cgroup_stats *s) {
    for (size_t i = 0; i < s->disks.n; i++) {
        const struct rv_cgroup_disk *d = &s->disks.v[i];
        const struct {
            uint64_t add, *to;
        } sums[] = {{d->bytes[RV_CGROUP_IO_READ], &s->io_read_bytes},
                    {d->bytes[RV_CGROUP_IO_WRITE], &s->io_write_bytes},
                    {d->operations[RV_CGROUP_IO_READ], &s->io_reads},
                    {d->operations[RV_CGROUP_IO_WRITE], &s->io_writes}};
        for (size_t k = 0; k < RV_COUNT(sums); k++)
            *sums[k].to += sums[k].add == UINT64_MAX ? 0 : sums[k].add;
    }
    s->has |= RV_CGROUP_IO;
}

/* ---- version 1 ---- */

static char *v1_folder(const struct rv_cgroups *c, const char *id, uint32_t controller) {
    return c->ops->folder(c, id, controller);
}

static void v1_cpu(const struct rv_cgroups *c, const char *id, struct rv_cgroup_stats *out) {
    _cleanup_free_ char *cpu = v1_folder(c, id, RV_CGROUP_CPU);
    _cleanup_free_ char *acct = v1_folder(c, id, RV_CGROUP_CPUACCT);
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    uint64_t shares;

    if (acct && rv_cgfs_read(acct, "cpuacct.stat", &text) == 0) {
        out->cpu_user_s = (double)rv_cgfs_key(&text, "user") * tick;
        out->cpu_system_s = (double)rv_cgfs_key(&text, "system") * tick;
        out->has |= RV_CGROUP_CPU;
    }
    if (!cpu || rv_cgfs_read(cpu, "cpu.stat", &text))
        return;
    out->has_throttling = true;
    out->cpu_periods = rv_cgfs_key(&text, "nr_periods");
    out->cpu_throttled = rv_cgfs_key(&text, "nr_throttled");
    out->cpu_throttled_s = (double)rv_cgfs_key(&text, "throttled_time") / 1e9;
    if (rv_cgfs_read_u64(cpu, "cpu.shares", &shares) == 0)
        out->cpu_request_milli = (int64_t)(shares * RV_FIXED_ONE / 1024);
    if (rv_cgfs_read(cpu, "cpu.cfs_quota_us", &text) == 0)
        out->cpu_limit_milli =
            limit_milli(strtoll(text.data, NULL, 10), (int64_t)number(cpu, "cpu.cfs_period_us"));
}

static void v1_memory(const char *dir, struct rv_cgroup_stats *out) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};

    if (!dir || rv_cgfs_read_u64(dir, "memory.usage_in_bytes", &out->mem_total) ||
        rv_cgfs_read(dir, "memory.stat", &text))
        return;
    out->mem_rss = out->mem_anon = rv_cgfs_key(&text, "total_rss");
    out->mem_cache = out->mem_file = rv_cgfs_key(&text, "total_cache");
    out->mem_mapped = rv_cgfs_key(&text, "total_mapped_file");
    out->mem_swap = rv_cgfs_key(&text, "total_swap");
    out->mem_unevictable = rv_cgfs_key(&text, "total_unevictable");
    if (rv_cgfs_read_u64(dir, "memory.max_usage_in_bytes", &out->mem_peak))
        out->mem_peak = 0;
    out->mem_kernel = number(dir, "memory.kmem.usage_in_bytes");
    out->mem_kernel_tcp = number(dir, "memory.kmem.tcp.usage_in_bytes");
    out->mem_with_swap = number(dir, "memory.memsw.usage_in_bytes");
    out->mem_limit = number(dir, "memory.limit_in_bytes");
    out->mem_soft_limit = number(dir, "memory.soft_limit_in_bytes");
    out->has |= RV_CGROUP_MEMORY;
}

/* "8:0 Read 4096"; a last line sums all up. */
static bool v1_disks(const char *dir, const char *const files[2], bool bytes,
                     struct rv_cgroup_stats *out) {
    static const char *const kinds[RV_CGROUP_IO_MAX] = {"Read",  "Write",   "Sync",
                                                        "Async", "Discard", "Total"};
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    char *save = NULL;

    if (rv_cgfs_read(dir, files[0], &text) && rv_cgfs_read(dir, files[1], &text))
        return false;
    for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        unsigned major, minor;
        char kind[16];
        int at;
        // NOLINTNEXTLINE(cert-err34-c): the kernel's
        if (sscanf(line, "%u:%u %15s %n", &major, &minor, kind, &at) != 3)
            continue;
        for (int i = 0; i < RV_CGROUP_IO_MAX; i++) {
            struct rv_cgroup_disk *d;
            if (!rv_streq(kind, kinds[i]))
                continue;
            d = disk_of(out, major, minor);
            (bytes ? d->bytes : d->operations)[i] = strtoull(line + at, NULL, 10);
        }
    }
    return true;
}

void rv_cgroup_v1_read_stats(struct rv_cgroups *c, const char *id, struct rv_cgroup_stats *out) {
    static const char *const bytes[2] = {"blkio.throttle.io_service_bytes_recursive",
                                         "blkio.throttle.io_service_bytes"};
    static const char *const operations[2] = {"blkio.throttle.io_serviced_recursive",
                                              "blkio.throttle.io_serviced"};
    _cleanup_free_ char *first = rv_cgroup_path(&c->hierarchies[0], id);
    _cleanup_free_ char *memory = v1_folder(c, id, RV_CGROUP_MEMORY);
    _cleanup_free_ char *pids = v1_folder(c, id, RV_CGROUP_PIDS);
    _cleanup_free_ char *io = v1_folder(c, id, RV_CGROUP_IO);

    v1_cpu(c, id, out);
    v1_memory(memory, out);
    read_pids(pids, out);
    read_processes(first, out);
    if (io && v1_disks(io, bytes, true, out) && v1_disks(io, operations, false, out))
        sum_disks(out);
}

/* ---- version 2 ---- */

static void v2_cpu(const char *dir, struct rv_cgroup_stats *out) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    char quota[32];
    long long period;
    uint64_t weight;

    if (rv_cgfs_read(dir, "cpu.stat", &text))
        return;
    out->cpu_user_s = (double)rv_cgfs_key(&text, "user_usec") / 1e6;
    out->cpu_system_s = (double)rv_cgfs_key(&text, "system_usec") / 1e6;
    out->has |= RV_CGROUP_CPU;
    out->has_throttling = strstr(text.data, "nr_periods ") != NULL;
    out->cpu_periods = rv_cgfs_key(&text, "nr_periods");
    out->cpu_throttled = rv_cgfs_key(&text, "nr_throttled");
    out->cpu_throttled_s = (double)rv_cgfs_key(&text, "throttled_usec") / 1e6;
    if (rv_cgfs_read_u64(dir, "cpu.weight", &weight) == 0)
        out->cpu_request_milli = (int64_t)weight * 10; /* 100 is a processor */
    if (rv_cgfs_read(dir, "cpu.max", &text))
        return;
    // NOLINTNEXTLINE(cert-err34-c): the kernel's
    if (sscanf(text.data, "%31s %lld", quota, &period) == 2 && !rv_streq(quota, "max"))
        out->cpu_limit_milli = limit_milli(strtoll(quota, NULL, 10), period);
}

static void v2_memory(const char *dir, struct rv_cgroup_stats *out) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};

    if (rv_cgfs_read_u64(dir, "memory.current", &out->mem_total) ||
        rv_cgfs_read(dir, "memory.stat", &text))
        return;
    out->mem_rss = out->mem_anon = rv_cgfs_key(&text, "anon");
    out->mem_cache = out->mem_file = rv_cgfs_key(&text, "file");
    out->mem_mapped = rv_cgfs_key(&text, "file_mapped");
    out->mem_unevictable = rv_cgfs_key(&text, "unevictable");
    out->mem_kernel = rv_cgfs_key(&text, "kernel");
    out->mem_kernel_tcp = rv_cgfs_key(&text, "sock");
    if (rv_cgfs_read_u64(dir, "memory.peak", &out->mem_peak))
        out->mem_peak = 0; /* before Linux 5.19 */
    if (rv_cgfs_read_u64(dir, "memory.swap.current", &out->mem_swap) == 0)
        out->mem_with_swap = out->mem_total + out->mem_swap;
    out->mem_limit = number(dir, "memory.max");
    out->mem_soft_limit = number(dir, "memory.low");
    if (!out->mem_soft_limit)
        out->mem_soft_limit = UINT64_MAX;
    out->has |= RV_CGROUP_MEMORY;
}

static void v2_disk(char *line, struct rv_cgroup_stats *out) {
    static const struct {
        const char *key;
        bool bytes;
        enum rv_cgroup_io kind;
    } fields[] = {
        {"rbytes=", true, RV_CGROUP_IO_READ},    {"wbytes=", true, RV_CGROUP_IO_WRITE},
        {"dbytes=", true, RV_CGROUP_IO_DISCARD}, {"rios=", false, RV_CGROUP_IO_READ},
        {"wios=", false, RV_CGROUP_IO_WRITE},    {"dios=", false, RV_CGROUP_IO_DISCARD},
    };
    unsigned major, minor;
    struct rv_cgroup_disk *d;
    char *save = NULL;

    // NOLINTNEXTLINE(cert-err34-c): the kernel's
    if (sscanf(line, "%u:%u", &major, &minor) != 2 || !strchr(line, '='))
        return;
    d = disk_of(out, major, minor);
    d->bytes[RV_CGROUP_IO_TOTAL] = d->operations[RV_CGROUP_IO_TOTAL] = 0;
    for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
        for (size_t i = 0; i < RV_COUNT(fields); i++) {
            uint64_t *of = fields[i].bytes ? d->bytes : d->operations;
            if (!rv_starts_with(w, fields[i].key))
                continue;
            of[fields[i].kind] = strtoull(w + strlen(fields[i].key), NULL, 10);
            of[RV_CGROUP_IO_TOTAL] += of[fields[i].kind];
        }
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...", a line a disk. */
static void v2_disks(const char *dir, struct rv_cgroup_stats *out) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    char *save = NULL;

    if (rv_cgfs_read(dir, "io.stat", &text))
        return;
    for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        v2_disk(line, out);
    sum_disks(out);
}

/* "0.12": two places; not by strtod, which depends on the locale. */
static double percent(const char *text) {
    char *end;
    unsigned long whole = strtoul(text, &end, 10);

    return (double)whole + (*end == '.' ? (double)strtoul(end + 1, NULL, 10) / 100 : 0);
}

/* "some avg10=0.12 avg60=... avg300=... total=1234", then the same with "full". */
static void read_pressure(const char *dir, const char *file, struct rv_cgroup_pressure *out) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    char *save = NULL;

    if (rv_cgfs_read(dir, file, &text))
        return;
    for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        const char *average = strstr(line, "avg10="), *total = strstr(line, "total=");
        bool full = rv_starts_with(line, "full ");
        if (!average || !total)
            continue;
        out->known = true;
        *(full ? &out->full_percent : &out->some_percent) = percent(average + strlen("avg10="));
        *(full ? &out->full_s : &out->some_s) =
            (double)strtoull(total + strlen("total="), NULL, 10) / 1e6;
    }
}

void rv_cgroup_v2_read_stats(struct rv_cgroups *c, const char *id, struct rv_cgroup_stats *out) {
    static const char *const pressures[RV_CGROUP_PRESSURES] = {"cpu.pressure", "memory.pressure",
                                                               "io.pressure"};
    _cleanup_free_ char *dir = rv_cgroup_path(&c->hierarchies[0], id);

    v2_cpu(dir, out);
    v2_memory(dir, out);
    read_pids(dir, out);
    read_processes(dir, out);
    v2_disks(dir, out);
    for (int i = 0; i < RV_CGROUP_PRESSURES; i++)
        read_pressure(dir, pressures[i], &out->pressure[i]);
}
