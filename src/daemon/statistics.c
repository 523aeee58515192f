/*
 * Figures of containers, see statistics.h. Holds: what is not known is left out, never zero.
 *
 * Costs: the containerizer's reading, some 200 us a container; the conversion is nothing beside it.
 */
#include "daemon/statistics.h"

#include "base/assert.h"
#include "base/fixed.h"
#include "daemon/metrics.h"
#include "wire/convert.h"

#define MIB ((uint64_t)1 << 20)

/* With what the message has no place for. */
struct made {
    Reeve__V1__ResourceStatistics message;
    struct rv_cgroup_pressure pressure[RV_CGROUP_PRESSURES];
};

#define SET(field, value)                                                                          \
    do {                                                                                           \
        m->has_##field = true;                                                                     \
        m->field = (value);                                                                        \
    } while (0)
#define SET_KNOWN(field, value)                                                                    \
    do {                                                                                           \
        if ((value) != UINT64_MAX)                                                                 \
            SET(field, (value));                                                                   \
    } while (0)

static uint64_t mib_to_bytes(int64_t thousandths) {
    return (uint64_t)((__int128)thousandths * (int64_t)MIB / RV_FIXED_ONE);
}

/* ---- processors and memory ---- */

static void set_cpu(const struct rv_cgroup_stats *s, Reeve__V1__ResourceStatistics *m) {
    if (s->has & RV_CGROUP_CPU) {
        SET(cpus_user_time_secs, s->cpu_user_s);
        SET(cpus_system_time_secs, s->cpu_system_s);
    }
    if (s->has_throttling) {
        SET(cpus_nr_periods, (uint32_t)s->cpu_periods);
        SET(cpus_nr_throttled, (uint32_t)s->cpu_throttled);
        SET(cpus_throttled_time_secs, s->cpu_throttled_s);
    }
}

static void set_memory(const struct rv_cgroup_stats *s, Reeve__V1__ResourceStatistics *m) {
    if (!(s->has & RV_CGROUP_MEMORY))
        return;
    SET(mem_total_bytes, s->mem_total);
    SET(mem_rss_bytes, s->mem_rss);
    SET_KNOWN(mem_total_memsw_bytes, s->mem_with_swap);
    SET_KNOWN(mem_kmem_usage_bytes, s->mem_kernel);
    SET_KNOWN(mem_kmem_tcp_usage_bytes, s->mem_kernel_tcp);
    SET_KNOWN(mem_file_bytes, s->mem_file);
    SET_KNOWN(mem_anon_bytes, s->mem_anon);
    SET_KNOWN(mem_cache_bytes, s->mem_cache);
    SET_KNOWN(mem_mapped_file_bytes, s->mem_mapped);
    SET_KNOWN(mem_swap_bytes, s->mem_swap);
    SET_KNOWN(mem_unevictable_bytes, s->mem_unevictable);
}

/* The hard limits are those that hold, where the kernel has some; else what it asked for. */
static void set_limits(const struct rv_cgroup_stats *s, const struct rv_resources *resources,
                       Reeve__V1__ResourceStatistics *m) {
    int64_t cpus = rv_resources_quantity(resources, "cpus"),
            mem = rv_resources_quantity(resources, "mem");

    if (cpus) {
        SET(cpus_soft_limit, rv_fixed_to_double(cpus));
        SET(cpus_limit, rv_fixed_to_double(cpus));
    }
    if (s->cpu_limit_milli >= 0 && s->has_throttling)
        SET(cpus_limit, rv_fixed_to_double(s->cpu_limit_milli));
    if (mem) {
        SET(mem_soft_limit_bytes, mib_to_bytes(mem));
        SET(mem_limit_bytes, mib_to_bytes(mem));
    }
    if (s->has & RV_CGROUP_MEMORY) {
        SET_KNOWN(mem_soft_limit_bytes, s->mem_soft_limit);
        SET_KNOWN(mem_limit_bytes, s->mem_limit);
    }
}

/* ---- disks ---- */

static void set_sandbox(const struct rv_watch_disk *disk, struct rv_arena *arena,
                        Reeve__V1__ResourceStatistics *m) {
    Reeve__V1__DiskStatistics *one = RV_WIRE_MAKE(arena, DiskStatistics, disk_statistics);

    if (disk->has_limit) {
        SET(disk_limit_bytes, disk->limit_bytes);
        one->has_limit_bytes = true;
        one->limit_bytes = disk->limit_bytes;
    }
    if (disk->has_used) {
        SET(disk_used_bytes, disk->used_bytes);
        one->has_used_bytes = true;
        one->used_bytes = disk->used_bytes;
    }
    if (!disk->has_limit && !disk->has_used)
        return;
    m->disk_statistics = rv_arena_memdup(arena, &one, sizeof one);
    m->n_disk_statistics = 1;
}

/* In the order of enum rv_cgroup_io. */
static const Reeve__V1__CgroupInfo__Blkio__Operation operations[RV_CGROUP_IO_MAX] = {
    REEVE__V1__CGROUP_INFO__BLKIO__OPERATION__READ,
    REEVE__V1__CGROUP_INFO__BLKIO__OPERATION__WRITE,
    REEVE__V1__CGROUP_INFO__BLKIO__OPERATION__SYNC,
    REEVE__V1__CGROUP_INFO__BLKIO__OPERATION__ASYNC,
    REEVE__V1__CGROUP_INFO__BLKIO__OPERATION__DISCARD,
    REEVE__V1__CGROUP_INFO__BLKIO__OPERATION__TOTAL,
};
static const char *const operation_names[RV_CGROUP_IO_MAX] = {"read",  "write",   "sync",
                                                              "async", "discard", "total"};

static Reeve__V1__CgroupInfo__Blkio__Value **values(const uint64_t *figures, size_t *n,
                                                    struct rv_arena *arena) {
    Reeve__V1__CgroupInfo__Blkio__Value **v =
        RV_ARENA_ARRAY(arena, Reeve__V1__CgroupInfo__Blkio__Value *, RV_CGROUP_IO_MAX);

    *n = 0;
    for (int i = 0; i < RV_CGROUP_IO_MAX; i++) {
        Reeve__V1__CgroupInfo__Blkio__Value *one;
        if (figures[i] == UINT64_MAX)
            continue;
        one = RV_WIRE_MAKE(arena, CgroupInfo__Blkio__Value, cgroup_info__blkio__value);
        one->has_op = one->has_value = true;
        one->op = operations[i];
        one->value = figures[i];
        v[(*n)++] = one;
    }
    return v;
}

static Reeve__V1__CgroupInfo__Blkio__Throttling__Statistics *
disk_to(const struct rv_cgroup_disk *d, bool sum, struct rv_arena *arena) {
    Reeve__V1__CgroupInfo__Blkio__Throttling__Statistics *m =
        RV_WIRE_MAKE(arena, CgroupInfo__Blkio__Throttling__Statistics,
                     cgroup_info__blkio__throttling__statistics);

    if (!sum) {
        m->device = RV_WIRE_MAKE(arena, Device__Number, device__number);
        m->device->major_number = d->major;
        m->device->minor_number = d->minor;
    }
    m->io_serviced = values(d->operations, &m->n_io_serviced, arena);
    m->io_service_bytes = values(d->bytes, &m->n_io_service_bytes, arena);
    return m;
}

/* One a disk, and one without a device for all together. */
static void set_io(const struct rv_cgroup_stats *s, struct rv_arena *arena,
                   Reeve__V1__ResourceStatistics *m) {
    Reeve__V1__CgroupInfo__Blkio__Statistics *io;
    struct rv_cgroup_disk sum = {0};

    if (!(s->has & RV_CGROUP_IO))
        return;
    io = RV_WIRE_MAKE(arena, CgroupInfo__Blkio__Statistics, cgroup_info__blkio__statistics);
    for (int i = 0; i < RV_CGROUP_IO_MAX; i++)
        sum.bytes[i] = sum.operations[i] = i == RV_CGROUP_IO_TOTAL ? 0 : UINT64_MAX;
    io->throttling = RV_ARENA_ARRAY(arena, Reeve__V1__CgroupInfo__Blkio__Throttling__Statistics *,
                                    s->disks.n + 1);
    for (size_t i = 0; i < s->disks.n; i++) {
        const struct rv_cgroup_disk *d = &s->disks.v[i];
        io->throttling[io->n_throttling++] = disk_to(d, false, arena);
        sum.bytes[RV_CGROUP_IO_TOTAL] += d->bytes[RV_CGROUP_IO_TOTAL];
        sum.operations[RV_CGROUP_IO_TOTAL] += d->operations[RV_CGROUP_IO_TOTAL];
    }
    io->throttling[io->n_throttling++] = disk_to(&sum, true, arena);
    m->blkio_statistics = io;
}

/* ---- the network ---- */

static void set_network(const struct rv_network_usage *u, Reeve__V1__ResourceStatistics *m) {
    SET(net_rx_bytes, u->rx_bytes);
    SET(net_rx_packets, u->rx_packets);
    SET(net_rx_errors, u->rx_errors);
    SET(net_rx_dropped, u->rx_dropped);
    SET(net_tx_bytes, u->tx_bytes);
    SET(net_tx_packets, u->tx_packets);
    SET(net_tx_errors, u->tx_errors);
    SET(net_tx_dropped, u->tx_dropped);
    SET(net_tcp_active_connections, (double)u->tcp_active);
    SET(net_tcp_time_wait_connections, (double)u->tcp_time_wait);
}

Reeve__V1__ResourceStatistics *rv_statistics_of(const struct rv_agent_daemon *d, const char *id,
                                                const struct rv_resources *resources,
                                                struct rv_arena *arena) {
    _cleanup_(rv_container_usage_free) struct rv_container_usage u = {0};
    struct rv_watch_disk disk;
    struct rv_error err;
    struct made *made;

    if (d->containerizer->ops->usage(d->containerizer, id, &u, &err))
        return NULL;
    made = rv_arena_alloc(arena, sizeof *made);
    reeve__v1__resource_statistics__init(&made->message);
    memcpy(made->pressure, u.groups.pressure, sizeof made->pressure);
    Reeve__V1__ResourceStatistics *m = &made->message;
    m->timestamp = (double)(u.timestamp_ns / 1000) / 1e6;
    if (u.has_processes)
        SET(processes, u.processes);
    if (u.has_threads)
        SET(threads, u.threads);
    set_cpu(&u.groups, m);
    set_memory(&u.groups, m);
    set_limits(&u.groups, resources, m);
    set_io(&u.groups, arena, m);
    if (rv_watch_disk(d->watch, id, &disk))
        set_sandbox(&disk, arena, m);
    if (u.has_network)
        set_network(&u.network, m);
    return m;
}

/* ---- Prometheus ---- */

/* Fields of ResourceStatistics. */
static const struct figure {
    const char *field;
    bool counter;
    const char *help;
} figures[] = {
    {"processes", false, "Processes"},
    {"threads", false, "Threads"},
    {"cpus_user_time_secs", true, "Seconds of processors in programs"},
    {"cpus_system_time_secs", true, "Seconds of processors in the kernel"},
    {"cpus_limit", false, "Processors that it may use"},
    {"cpus_soft_limit", false, "Processors that it asked for"},
    {"cpus_nr_periods", true, "Periods of its processor quota"},
    {"cpus_nr_throttled", true, "Periods in which it had used up its quota"},
    {"cpus_throttled_time_secs", true, "Seconds for which it waited for its quota"},
    {"mem_total_bytes", false, "Memory in all its kinds"},
    {"mem_total_memsw_bytes", false, "Memory and swap"},
    {"mem_limit_bytes", false, "Memory that it may use"},
    {"mem_soft_limit_bytes", false, "Memory that it asked for"},
    {"mem_rss_bytes", false, "Memory that is not of files"},
    {"mem_anon_bytes", false, "The same, as newer kernels call it"},
    {"mem_file_bytes", false, "Memory that is of files"},
    {"mem_cache_bytes", false, "The same, as older kernels call it"},
    {"mem_mapped_file_bytes", false, "Files mapped into memory"},
    {"mem_swap_bytes", false, "Swap"},
    {"mem_unevictable_bytes", false, "Memory that cannot be taken away"},
    {"mem_kmem_usage_bytes", false, "Memory of the kernel for it"},
    {"mem_kmem_tcp_usage_bytes", false, "Memory of its sockets"},
    {"disk_limit_bytes", false, "Disk that its sandbox may take"},
    {"disk_used_bytes", false, "Disk that its sandbox takes, as seen last"},
    {"net_rx_bytes", true, "Bytes received, by a network of its own"},
    {"net_rx_packets", true, "Packets received"},
    {"net_rx_errors", true, "Packets received with errors"},
    {"net_rx_dropped", true, "Packets received and dropped"},
    {"net_tx_bytes", true, "Bytes sent"},
    {"net_tx_packets", true, "Packets sent"},
    {"net_tx_errors", true, "Packets not sent for errors"},
    {"net_tx_dropped", true, "Packets dropped before they were sent"},
    {"net_tcp_active_connections", false, "TCP connections"},
    {"net_tcp_time_wait_connections", false, "TCP connections in TIME_WAIT"},
};

typedef Reeve__V1__Agent__Response__GetContainers__Container container;

/* "a.b" of a nested one. */
static void put_id(const Reeve__V1__ContainerID *id, struct rv_buf *out) {
    if (id->parent) {
        put_id(id->parent, out);
        rv_buf_putc(out, '.');
    }
    rv_metrics_label(out, id->value);
}

/* {container_id="...",framework_id="...",executor_id="..." without the end. */
static void put_labels(const container *c, struct rv_buf *out) {
    rv_buf_puts(out, "{container_id=\"");
    put_id(c->container_id, out);
    rv_buf_puts(out, "\",framework_id=\"");
    rv_metrics_label(out, c->framework_id ? c->framework_id->value : "");
    rv_buf_puts(out, "\",executor_id=\"");
    rv_metrics_label(out, c->executor_id ? c->executor_id->value : "");
    rv_buf_putc(out, '"');
}

static void put_family(struct rv_buf *out, const char *name, bool counter, const char *help) {
    rv_buf_printf(out, "# HELP reeve_container_%s %s\n# TYPE reeve_container_%s %s\n", name, help,
                  name, counter ? "counter" : "gauge");
}

/* False: the message has no such figure. */
static bool value_of(const Reeve__V1__ResourceStatistics *m, const ProtobufCFieldDescriptor *f,
                     double *out) {
    const char *at = (const char *)m + f->offset;
    protobuf_c_boolean has;
    uint64_t u64;
    uint32_t u32;

    memcpy(&has, (const char *)m + f->quantifier_offset, sizeof has);
    if (!has)
        return false;
    switch (f->type) {
    case PROTOBUF_C_TYPE_UINT32:
        memcpy(&u32, at, sizeof u32);
        *out = u32;
        return true;
    case PROTOBUF_C_TYPE_UINT64:
        memcpy(&u64, at, sizeof u64);
        *out = (double)u64;
        return true;
    case PROTOBUF_C_TYPE_DOUBLE:
        memcpy(out, at, sizeof *out);
        return true;
    default:
        return false;
    }
}

static void put_figure(const Reeve__V1__Agent__Response__GetContainers *all,
                       const struct figure *figure, struct rv_buf *out) {
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(
        &reeve__v1__resource_statistics__descriptor, figure->field);
    bool begun = false;
    double value;

    RV_ASSERT(f && f->label == PROTOBUF_C_LABEL_OPTIONAL);
    for (size_t i = 0; i < all->n_containers; i++) {
        const container *c = all->containers[i];
        if (!c->resource_statistics || !value_of(c->resource_statistics, f, &value))
            continue;
        if (!begun)
            put_family(out, figure->field, figure->counter, figure->help);
        begun = true;
        rv_buf_printf(out, "reeve_container_%s", figure->field);
        put_labels(c, out);
        rv_buf_printf(out, "} %.15g\n", value);
    }
}

static void put_disk(const container *c, const char *family,
                     const Reeve__V1__CgroupInfo__Blkio__Throttling__Statistics *disk,
                     Reeve__V1__CgroupInfo__Blkio__Value *const *v, size_t n, struct rv_buf *out) {
    for (size_t i = 0; i < n; i++) {
        const char *name = "total";
        for (int k = 0; k < RV_CGROUP_IO_MAX; k++)
            if (operations[k] == v[i]->op)
                name = operation_names[k];
        rv_buf_printf(out, "reeve_container_%s", family);
        put_labels(c, out);
        rv_buf_printf(out, ",device=\"%llu:%llu\",operation=\"%s\"} %llu\n",
                      (unsigned long long)disk->device->major_number,
                      (unsigned long long)disk->device->minor_number, name,
                      (unsigned long long)v[i]->value);
    }
}

static void put_disks(const Reeve__V1__Agent__Response__GetContainers *all, const char *family,
                      bool bytes, const char *help, struct rv_buf *out) {
    bool begun = false;

    for (size_t i = 0; i < all->n_containers; i++) {
        const container *c = all->containers[i];
        const Reeve__V1__CgroupInfo__Blkio__Statistics *io =
            c->resource_statistics ? c->resource_statistics->blkio_statistics : NULL;
        for (size_t k = 0; io && k < io->n_throttling; k++) {
            const Reeve__V1__CgroupInfo__Blkio__Throttling__Statistics *d = io->throttling[k];
            if (!d->device)
                continue; /* the sum */
            if (!begun)
                put_family(out, family, true, help);
            begun = true;
            put_disk(c, family, d, bytes ? d->io_service_bytes : d->io_serviced,
                     bytes ? d->n_io_service_bytes : d->n_io_serviced, out);
        }
    }
}

static void put_pressure(const Reeve__V1__Agent__Response__GetContainers *all, struct rv_buf *out) {
    static const char family[] = "pressure_seconds";
    static const char *const names[RV_CGROUP_PRESSURES] = {"cpu", "memory", "io"};
    bool begun = false;

    for (size_t i = 0; i < all->n_containers; i++) {
        const container *c = all->containers[i];
        const struct made *made = (const void *)c->resource_statistics;
        for (int k = 0; made && k < RV_CGROUP_PRESSURES; k++) {
            const struct rv_cgroup_pressure *p = &made->pressure[k];
            for (int full = 0; p->known && full < 2; full++) {
                if (!begun)
                    put_family(out, family, true,
                               "Seconds for which some or all of its processes waited");
                begun = true;
                rv_buf_printf(out, "reeve_container_%s", family);
                put_labels(c, out);
                rv_buf_printf(out, ",resource=\"%s\",share=\"%s\"} %.15g\n", names[k],
                              full ? "full" : "some", full ? p->full_s : p->some_s);
            }
        }
    }
}

void rv_statistics_prometheus(const Reeve__V1__Agent__Response__GetContainers *all,
                              struct rv_buf *out) {
    for (size_t i = 0; i < RV_COUNT(figures); i++)
        put_figure(all, &figures[i], out);
    put_disks(all, "blkio_service_bytes", true, "Bytes of block I/O", out);
    put_disks(all, "blkio_serviced", false, "Operations of block I/O", out);
    put_pressure(all, out);
}
