/*
 * Which limits of its groups a container of the `linux` containerizer has gone over, as the kernel
 * tells it: memory, where it kills, and processes, where it refuses. What has no group of its own
 * is its parent's matter. Costs: one small file of cgroupfs where nothing has happened.
 */
#include <inttypes.h>

#include "base/fixed.h"
#include "containerizer/linux_internal.h"

enum { KIB = 1024, MIB = 1024 * 1024 };

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
