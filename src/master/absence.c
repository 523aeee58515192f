/*
 * Agents that stay away: when they count as unreachable, and how long they are remembered. What
 * always holds: agents that failed their health checks, or did not come back after a failover, are
 * marked in the order in which that was noticed, one each `agent_removal_interval_ms` (INV-10), and
 * none that is back meanwhile; while it waits an agent is as registered, or recovered, as before.
 * If too many of the recovered ones are missing, none is marked: the master stops (INV-9).
 *
 * Costs: marking is O(1) an agent, and a step marks, and forgets, at most STEP_MAX; looking for
 * what is too old is O(remembered), once each `gc_interval_ms`.
 */
#include <stdlib.h>

#include "master/internal.h"

#define STEP_MAX 1000

/* --- those that are to be marked --- */

static void arm(struct rv_master *m) {
    if (rv_map_count(&m->leaving))
        rv_timer_set(&m->timers, &m->removal, RV_MAX(m->now_ms, m->next_removal_ms));
    else
        rv_timer_cancel(&m->timers, &m->removal);
}

void rv_master_agent_missed(struct rv_master *m, const char *id) {
    if (rv_map_gets(&m->leaving, id))
        return;
    rv_map_put(&m->leaving, rv_str(id), m);
    m->counters.unreachable_scheduled++;
    arm(m);
}

void rv_master_agent_seen(struct rv_master *m, const char *id) {
    if (!rv_map_remove(&m->leaving, rv_str(id)))
        return;
    m->counters.unreachable_canceled++;
    arm(m);
}

static void mark(struct rv_master *m, const char *id) {
    struct rv_master_agent *a = rv_map_gets(&m->agents, id);

    if (a)
        rv_master_agent_remove(m, a, RV_REMOVAL_UNHEALTHY, 0);
    else
        rv_master_absent_mark(m, id, RV_REGISTRY_MARK_UNREACHABLE, 0);
}

void rv_master_removal_due(struct rv_master *m) {
    int64_t interval_ms = m->config.agent_removal_interval_ms;
    struct rv_str key;

    for (size_t n = 0, it = 0; n < STEP_MAX && m->next_removal_ms <= m->now_ms; n++) {
        char *id;

        if (!rv_map_next(&m->leaving, &it, &key, NULL))
            break;
        id = rv_strndup(key.s, key.n);
        rv_map_remove(&m->leaving, key);
        mark(m, id);
        free(id);
        m->next_removal_ms = m->now_ms + interval_ms;
    }
    if (rv_map_count(&m->leaving) && m->next_removal_ms <= m->now_ms)
        m->next_removal_ms = m->now_ms + 1; /* the rest in another step */
    arm(m);
}

/* --- after a failover --- */

/* Whether so many are missing that something else must be wrong: INV-9. */
static bool too_many(struct rv_master *m) {
    double missing = (double)rv_map_count(&m->recovered), all = (double)m->n_recovered,
           limit = 100 - m->config.recovery_agents_percent;

    if (missing * 100 <= limit * all)
        return false;
    rv_master_stop(
        m,
        RV_MASTER_TEXT(m,
                       "%zu of %zu agents have not come back within %lld s after the failover, "
                       "more than the %g %% that --recovery_agent_removal_limit allows: find out "
                       "why, or raise the limit",
                       rv_map_count(&m->recovered), m->n_recovered,
                       (long long)m->config.agent_reregister_ms / 1000, limit));
    return true;
}

void rv_master_reregister_due(struct rv_master *m) {
    struct rv_str key;
    void *v;

    if (too_many(m))
        return;
    for (size_t it = 0; rv_map_next(&m->recovered, &it, &key, &v);)
        if (!rv_map_get(&m->marking, key))
            rv_master_agent_missed(m, ((const struct rv_agent_info *)v)->id.v);
    rv_master_removal_due(m);
}

/* --- what is remembered --- */

struct rv_master_absent *rv_master_absent_new(const char *id, int64_t wall_ns) {
    struct rv_master_absent *absent = rv_calloc(1, sizeof *absent);

    absent->id = rv_strdup(id);
    absent->wall_ns = wall_ns;
    rv_list_init(&absent->tasks);
    return absent;
}

void rv_master_absent_free(struct rv_master *m, struct rv_master_absent *absent) {
    if (!absent)
        return;
    RV_LIST_EACH (&absent->tasks, node, tmp)
        rv_master_task_forget_parked(m, RV_LIST_ENTRY(node, struct rv_master_task, on_agent));
    free(absent->id);
    free(absent);
}

void rv_master_absent_put(struct rv_master *m, struct rv_map *map, const char *id,
                          int64_t wall_ns) {
    struct rv_master_absent *absent = rv_master_absent_new(id, wall_ns);

    rv_master_absent_free(m, rv_map_put(map, rv_str(absent->id), absent));
    if (rv_map_count(map) > m->config.max_absent_agents)
        rv_timer_set(&m->timers, &m->gc, m->now_ms + 1000);
}

/* The oldest, if there are too many, and those that are too old; all of the list are looked at, as
 * clocks may have been set. Those that are written about just now stay. */
static size_t forget(struct rv_master *m, const struct rv_map *map, size_t most) {
    size_t n = 0, left = rv_map_count(map);
    void *v;

    for (size_t it = 0; n < most && rv_map_next(map, &it, NULL, &v);) {
        const struct rv_master_absent *absent = v;

        bool old = m->wall_ns - absent->wall_ns > m->config.absent_age_ms * 1000000;

        if (!old && left <= m->config.max_absent_agents)
            continue;
        left--;
        if (rv_map_gets(&m->marking, absent->id))
            continue;
        rv_master_absent_mark(m, absent->id, RV_REGISTRY_REMOVE_AGENT, 0);
        n++;
    }
    return n;
}

void rv_master_gc_due(struct rv_master *m) {
    size_t n = forget(m, &m->unreachable, STEP_MAX);

    n += forget(m, &m->gone, STEP_MAX - n);
    if (n)
        RV_MASTER_INFO(m, "forgetting %zu agents that have been away for too long", n);
    rv_timer_set(&m->timers, &m->gc, m->now_ms + (n == STEP_MAX ? 1000 : m->config.gc_interval_ms));
}
