/*
 * The auditor's part at agents and frameworks that are away: how long each is waited for, and what
 * frameworks are told meanwhile (INV-7, INV-8, INV-12, INV-13, INV-14, INV-16).
 *
 * What always holds: an agent's last sign of life in these books is never later than the master's
 * own, and what counts as running here was told by the agent itself or sent to it, so that what is
 * said to be over by the master alone is wrong. Costs: O(1) an event, O(frameworks) a step.
 */
#include <stdlib.h>

#include "auditor_internal.h"
#include "cluster.h"

/* A new leader waits so long at least for frameworks that it found in the registry. */
#define GRACE_MS INT64_C(60000)
/* What could not be written is tried again with the next heartbeat. */
#define AGAIN_MS INT64_C(15000)

static struct sim_audit_framework *recorded(struct sim_auditor *a,
                                            const struct rv_registry_op *op) {
    bool is_about =
        op->kind == RV_REGISTRY_PUT_FRAMEWORK || op->kind == RV_REGISTRY_REMOVE_FRAMEWORK;

    return is_about ? rv_map_gets(&a->frameworks, op->framework_id.v) : NULL;
}

void sim_audit_absence_started(struct sim_auditor *a, const struct rv_registry_snapshot *s) {
    void *v;

    a->began_ms = a->world->now_ms;
    for (size_t it = 0; rv_map_next(&a->frameworks, &it, NULL, &v);) {
        struct sim_audit_framework *f = v;
        f->recorded = false;
        f->writing = 0;
    }
    for (size_t i = 0; i < s->n_frameworks; i++) {
        const struct rv_framework_info *info = &s->frameworks[i].info;
        struct sim_audit_framework *f = rv_map_gets(&a->frameworks, info->id.v);
        if (!f)
            continue;
        f->recorded = true;
        f->failover_ms = info->failover_timeout_ms;
    }
    for (size_t i = 0; i < s->n_unreachable; i++) {
        struct sim_audit_agent *g = rv_map_gets(&a->agents, s->unreachable[i].id);
        if (g)
            g->was_away = true;
    }
}

/* --- the registry --- */

static void marked(struct sim_auditor *a, const struct sim_audit_agent *g) {
    const struct rv_master_config *c = &a->master->core->config;
    int64_t promised_ms = c->agent_ping_ms * (int64_t)c->max_agent_ping_timeouts;
    int64_t silent_ms = a->world->now_ms - g->alive_ms, led_ms = a->world->now_ms - a->began_ms;

    a->checks++;
    if (g->place == SIM_REGISTERED && silent_ms < promised_ms)
        sim_fail(a->world, "INV-13: agent %s is marked %lld ms after it was heard of, not %lld",
                 g->id, (long long)silent_ms, (long long)promised_ms);
    if (g->place == SIM_RECOVERED && led_ms < c->agent_reregister_ms)
        sim_fail(a->world, "INV-8: agent %s is marked %lld ms after the failover, not %lld", g->id,
                 (long long)led_ms, (long long)c->agent_reregister_ms);
}

/* What other leaders have measured depends on clocks that may jump, so it counts where none does. A
 * new leader lets whoever it found in the registry find it. */
static void removed(struct sim_auditor *a, const struct sim_audit_framework *f) {
    int64_t away_ms = a->world->now_ms - f->away_ms, led_ms = a->world->now_ms - a->began_ms;
    bool is_known = f->away_ms > a->began_ms;

    if (f->stream || !f->recorded)
        return;
    a->checks++;
    if ((is_known || !a->world->faults.wall_jump) && away_ms < f->failover_ms)
        sim_fail(a->world, "INV-12: framework %s is removed %lld ms after it went, not %lld", f->id,
                 (long long)away_ms, (long long)f->failover_ms);
    /* One that has come for a moment was written about. */
    if (!is_known && f->written_ms < a->began_ms && led_ms < GRACE_MS)
        sim_fail(a->world, "INV-12: framework %s is removed %lld ms after the failover", f->id,
                 (long long)led_ms);
}

void sim_audit_absence_asked(struct sim_auditor *a, const struct rv_registry_op *op) {
    const struct sim_audit_agent *g = rv_map_gets(&a->agents, op->agent_id.v);
    struct sim_audit_framework *f = recorded(a, op);

    if (op->kind == RV_REGISTRY_MARK_UNREACHABLE && g)
        marked(a, g);
    if (op->kind == RV_REGISTRY_REMOVE_FRAMEWORK && f)
        removed(a, f);
    if (f)
        f->writing++;
}

void sim_audit_absence_registry(struct sim_auditor *a, const struct rv_registry_op *op, bool ok) {
    struct sim_audit_agent *g = rv_map_gets(&a->agents, op->agent_id.v);
    struct sim_audit_framework *f = recorded(a, op);

    if (ok && g && op->kind == RV_REGISTRY_MARK_UNREACHABLE)
        g->was_away = true;
    if (ok && (g ? op->kind == RV_REGISTRY_MARK_REACHABLE && g->place == SIM_UNREACHABLE
                 : op->kind == RV_REGISTRY_ADMIT_AGENT)) { /* forgotten, or new */
        free(a->returning);
        a->returning = rv_strdup(op->agent_id.v);
    }
    if (!f)
        return;
    f->writing -= f->writing > 0;
    f->written_ms = a->world->now_ms;
    if (ok && op->kind == RV_REGISTRY_PUT_FRAMEWORK && op->framework) {
        f->recorded = true;
        f->failover_ms = op->framework->failover_timeout_ms;
    }
}

/* --- what frameworks are told --- */

static bool says_over(const struct rv_task_status *s) {
    return rv_task_state_terminal(s->state) || s->state == RV_TASK_UNREACHABLE ||
           s->state == RV_TASK_UNKNOWN;
}

void sim_audit_absence_told(struct sim_auditor *a, const struct sim_audit_framework *f,
                            const struct rv_task_status *s, bool is_used) {
    const struct sim_audit_agent *g = rv_map_gets(&a->agents, s->agent_id.v);
    const char *state = rv_task_state_name((int)s->state);

    /* An offer of an earlier leader is not valid, whatever its agent does. */
    if (!g || !says_over(s) || !s->has_source || s->source != RV_SOURCE_MASTER ||
        s->reason == RV_REASON_INVALID_OFFERS)
        return;
    a->checks++;
    if (g->place == SIM_RECOVERED)
        sim_fail(a->world, "INV-8: task %s is told %s, and its agent may still come back",
                 s->task_id.v, state);
    else if (g->place == SIM_REGISTERED && is_used && g->connected)
        sim_fail(a->world,
                 g->was_away ? "INV-14: task %s is told %s, but its agent is back with it"
                             : "INV-7: task %s is told %s, but its agent has it",
                 s->task_id.v, state);
    else if (g->place == SIM_REGISTERED && is_used && f->checkpoint)
        sim_fail(a->world, "INV-16: task %s is told %s only because a connection broke",
                 s->task_id.v, state);
}

/* --- tasks that come back --- */

void sim_audit_absence_state(struct sim_auditor *a, struct rv_str key,
                             const struct rv_task_status *s) {
    if (s->state != RV_TASK_UNREACHABLE)
        rv_map_remove(&a->back, key);
}

/* Whoever said that it was away, and of whatever tasks: all that it brings is told. */
void sim_audit_absence_back(struct sim_auditor *a, const struct sim_audit_agent *g) {
    struct rv_str key;

    if (!rv_streq(a->returning, g->id))
        return;
    for (size_t it = 0; rv_map_next(&g->used, &it, &key, NULL);)
        if (memchr(key.s, ' ', key.n) && !rv_map_get(&a->excused, key))
            rv_map_put(&a->back, key, a);
}

static void back_stepped(struct sim_auditor *a) {
    struct rv_str key;

    for (size_t it = 0; rv_map_next(&a->back, &it, &key, NULL);) {
        const char *blank = memchr(key.s, ' ', key.n);
        const struct sim_audit_framework *f =
            rv_map_get(&a->frameworks, rv_strn(key.s, (size_t)(blank - key.s)));
        a->checks++;
        if (f && f->stream && f->stream->open)
            sim_fail(a->world, "INV-14: task %.*s is back with its agent, and that is not told",
                     (int)key.n, key.s);
    }
    rv_map_clear(&a->back);
}

void sim_audit_absence_free(struct sim_auditor *a) {
    rv_map_free(&a->back);
    free(a->returning);
}

/* --- after each step --- */

void sim_audit_absence_stepped(struct sim_auditor *a, int64_t awake_ms) {
    void *v;

    if (rv_map_count(&a->back))
        back_stepped(a);
    free(a->returning);
    a->returning = NULL;
    for (size_t it = 0; rv_map_next(&a->frameworks, &it, NULL, &v);) {
        const struct sim_audit_framework *f = v;
        int64_t wait_ms =
            f->away_ms > a->began_ms ? f->failover_ms : RV_MAX(f->failover_ms, GRACE_MS);
        /* One that never got its stream is away since it was written. */
        int64_t due_ms = RV_MAX(RV_MAX(f->away_ms, a->began_ms), f->written_ms) + wait_ms;

        due_ms = RV_MAX(due_ms, RV_MAX(awake_ms, f->written_ms + AGAIN_MS));
        if (f->recorded && !f->removed && !f->stream && !f->writing &&
            a->world->now_ms > due_ms + 10)
            sim_fail(a->world, "INV-12: framework %s is away since %lld and is not removed", f->id,
                     (long long)f->away_ms);
    }
}
