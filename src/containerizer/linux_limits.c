/*
 * Limits of the groups of a container of the `linux` containerizer: those that go by a resource's
 * name beside cpus and mem; and which it has gone over, as the kernel tells it: memory, where it
 * kills, and processes, where it refuses. What has no group of its own is its parent's matter.
 * Costs: one small file of cgroupfs where nothing has happened.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fixed.h"
#include "base/log.h"
#include "containerizer/linux_internal.h"

enum { KIB = 1024, MIB = 1024 * 1024, MIN_IO_WEIGHT = 10, MAX_IO_WEIGHT = 1000 };

/* ---- what is set ---- */

void rv_linux_read_special(const struct rv_resources *resources, struct rv_linux_special *out) {
    _cleanup_(rv_ranges_free) struct rv_ranges cpus = {0};
    int64_t weight;

    *out = (struct rv_linux_special){.io_weight = -1};
    if (!resources)
        return;
    for (size_t i = 0; i < resources->n; i++)
        if (rv_streq(resources->v[i].kind->name, "cpuset") &&
            resources->v[i].kind->type == RV_RANGES)
            rv_ranges_add(&cpus, &resources->v[i].ranges);
    for (size_t i = 0; i < cpus.n; i++)
        rv_buf_printf(&out->cpuset, "%s%" PRIu64 "-%" PRIu64, i ? "," : "", cpus.v[i].begin,
                      cpus.v[i].end);
    weight = rv_resources_quantity(resources, "io_weight") / RV_FIXED_ONE;
    if (weight > 0)
        out->io_weight = RV_MIN(RV_MAX(weight, (int64_t)MIN_IO_WEIGHT), (int64_t)MAX_IO_WEIGHT);
}

/* With it, what uses more than was asked for comes to a score of 1,000. */
void rv_linux_set_score(const struct rv_linux_container *k, const struct rv_resources *resources) {
    int64_t request = resources ? rv_resources_quantity(resources, "mem") : 0;
    int64_t limit = k->state.mem_limit_bytes,
            total_mib = sysconf(_SC_PHYS_PAGES) / (MIB / sysconf(_SC_PAGESIZE));
    int64_t request_mib = request / RV_FIXED_ONE;
    char path[64], text[16];
    int fd;

    if (!k->group || !limit || total_mib <= 0 || (limit > 0 && limit / MIB <= request_mib))
        return;
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)k->state.pid);
    snprintf(text, sizeof text, "%d", (int)(1000 - RV_MIN(1000 * request_mib / total_mib, 1000)));
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        RV_WARN("agent", "container %s: cannot write %s: %s", k->id, path, strerror(errno));
    if (fd >= 0)
        close(fd);
}

int rv_linux_containerizer_offers(struct rv_containerizer *base, const struct rv_resources *total,
                                  struct rv_error *err) {
    static const char probe[] = "probe";
    const struct rv_linux *c = RV_CONTAINER_OF(base, struct rv_linux, base);
    struct rv_cgroup_limits limits = rv_linux_no_limits;
    struct rv_linux_special special;
    int rc = 0;

    rv_linux_read_special(total, &special);
    limits.cpuset = special.cpuset.data;
    limits.io_weight = special.io_weight;
    if (limits.cpuset || limits.io_weight >= 0) {
        rc = rv_cgroup_remove(c->groups, probe, err);
        if (!rc)
            rc = rv_cgroup_create(c->groups, probe, err);
        if (!rc)
            rc = rv_cgroup_set(c->groups, probe, &limits, err);
        if (rv_cgroup_remove(c->groups, probe, NULL))
            RV_WARN("agent", "the control group %s could not be removed", probe);
    }
    rv_buf_free(&special.cpuset);
    if (rc)
        rv_error_prefix(err, "--resources: cpuset, io_weight");
    return rc;
}

/* ---- what was gone over ---- */

bool rv_linux_look_for_oom(struct rv_linux_container *k) {
    struct rv_container_end why = {.reason = RV_REASON_CONTAINER_LIMITATION_MEMORY};
    _cleanup_(rv_resources_free) struct rv_resources over = {0};
    _cleanup_free_ char *message = NULL;
    struct rv_cgroup_stats stats = {0};
    uint64_t most;

    if (!k->group || !k->out_of_memory || k->verdict.reason != RV_REASON_NONE ||
        rv_cgroup_oom_kills(k->c->groups, k->group) == 0)
        return false;
    rv_cgroup_read_stats(k->c->groups, k->group, &stats);
    most = stats.mem_peak ? stats.mem_peak : stats.mem_total;
    message = rv_asprintf("Memory limit exceeded: limit %" PRIu64 " KiB, at most used %" PRIu64
                          " KiB; the kernel killed a process, then %" PRIu64
                          " KiB were in use (%" PRIu64 " KiB anonymous, %" PRIu64 " KiB files)",
                          stats.mem_limit / KIB, most / KIB, stats.mem_total / KIB,
                          stats.mem_rss / KIB, stats.mem_cache / KIB);
    rv_resources_add_scalar(&over, "mem", (int64_t)(most / KIB) * RV_FIXED_ONE / KIB);
    why.message = message;
    why.limitation = &over;
    rv_verdict_set(&k->verdict, &why);
    rv_cgroup_stats_free(&stats);
    return true;
}

void rv_linux_look_for_pids(const struct rv_linux_container *k, struct rv_verdict *out) {
    struct rv_container_end why = {.reason = RV_REASON_CONTAINER_LIMITATION};
    _cleanup_free_ char *message = NULL;
    uint64_t refused, limit;

    if (!k->group || out->reason != RV_REASON_NONE ||
        !rv_cgroup_refused_forks(k->c->groups, k->group, &refused, &limit))
        return;
    message =
        rv_asprintf("Process limit reached: of the %" PRIu64
                    " processes and threads that it may have, all were there when it tried to "
                    "start another (%" PRIu64 " times)",
                    limit, refused);
    why.message = message;
    rv_verdict_set(out, &why);
}
