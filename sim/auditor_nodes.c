/*
 * The auditor's part at agents and machines that operators take out of service: who is offered
 * then, what frameworks are told of it, and when an agent is drained (INV-15, INV-22, INV-25);
 * and at those that stay away (INV-9, INV-10).
 */
#include <stdio.h>
#include <stdlib.h>

#include "auditor_internal.h"
#include "cluster.h"

/* --- machines --- */

static const struct rv_machine *machine(const struct sim_auditor *a,
                                        const struct sim_audit_agent *g) {
    return rv_map_gets(&a->machines, g->machine);
}

static void free_machine(void *v) {
    struct rv_machine *m = v;

    free((char *)(uintptr_t)m->hostname);
    free((char *)(uintptr_t)m->ip);
    free(m);
}

static void put_machine(struct sim_auditor *a, const struct rv_machine *is) {
    char key[RV_MACHINE_KEY_MAX];
    size_t n = rv_machine_key(is->hostname, is->ip, key);
    struct rv_machine *copy = NULL, *old;

    if (is->mode != RV_MACHINE_UP) {
        copy = rv_memdup(is, sizeof *is);
        copy->hostname = rv_strdup(is->hostname);
        copy->ip = rv_strdup(is->ip);
    }
    old = copy ? rv_map_put(&a->machines, rv_strn(key, n), copy)
               : rv_map_remove(&a->machines, rv_strn(key, n));
    if (old)
        free_machine(old);
}

static bool same(const struct rv_unavailability *x, const struct rv_unavailability *y) {
    if (!x || !y)
        return x == y;
    return x->start_ns == y->start_ns && x->has_duration == y->has_duration &&
           (!x->has_duration || x->duration_ns == y->duration_ns);
}

/* --- the registry --- */

/* A task of it is not over, or its end not acknowledged. */
static const char *unfinished(const struct sim_audit_agent *g) {
    static char text[256];
    struct rv_str key;

    for (size_t it = 0; rv_map_next(&g->used, &it, &key, NULL);)
        if (memchr(key.s, ' ', key.n)) {
            snprintf(text, sizeof text, "%.*s", (int)key.n, key.s);
            return text;
        }
    for (size_t it = 0; rv_map_next(&g->waiting, &it, &key, NULL);) {
        snprintf(text, sizeof text, "%.*s", (int)key.n, key.s);
        return text;
    }
    return NULL;
}

static void drained(struct sim_auditor *a, const struct sim_audit_agent *g) {
    const char *task = g && g->connected ? unfinished(g) : NULL;

    if (task)
        sim_fail(a->world, "INV-22: agent %s is drained, but not task %s", g->id, task);
    if (g && g->connected && rv_map_count(&g->operations))
        sim_fail(a->world, "INV-22: agent %s is drained, but %zu operations are under way", g->id,
                 rv_map_count(&g->operations));
}

static bool is_end(enum rv_registry_kind kind) {
    return kind == RV_REGISTRY_MARK_UNREACHABLE || kind == RV_REGISTRY_REMOVE_AGENT ||
           kind == RV_REGISTRY_MARK_GONE;
}

void sim_audit_nodes_registry(struct sim_auditor *a, const struct rv_registry_op *op, bool ok) {
    struct sim_audit_agent *g = rv_map_gets(&a->agents, op->agent_id.v);
    struct rv_str id = rv_str(op->agent_id.v);

    if (g && is_end(op->kind)) {
        g->leaving--;
        g->stayed_ms = a->world->now_ms;
    }
    if (!ok)
        return;
    switch (op->kind) {
    case RV_REGISTRY_DEACTIVATE_AGENT:
        free(
            rv_map_put(&a->deactivated, id, rv_memdup(op->deactivation, sizeof *op->deactivation)));
        break;
    case RV_REGISTRY_REACTIVATE_AGENT:
    case RV_REGISTRY_REMOVE_AGENT:
    case RV_REGISTRY_MARK_GONE:
        free(rv_map_remove(&a->deactivated, id));
        break;
    case RV_REGISTRY_PUT_MACHINES:
        for (size_t i = 0; i < op->n_machines; i++)
            put_machine(a, &op->machines[i]);
        break;
    default:
        break;
    }
}

static size_t missing(const struct sim_auditor *a) {
    size_t n = 0;
    void *g;

    for (size_t it = 0; rv_map_next(&a->agents, &it, NULL, &g);)
        n += ((struct sim_audit_agent *)g)->place == SIM_RECOVERED;
    return n;
}

static bool too_many_missing(const struct sim_auditor *a) {
    double limit = 100 - a->master->core->config.recovery_agents_percent;

    return (double)missing(a) * 100 > limit * (double)a->n_recovered;
}

void sim_audit_master_stops(struct sim_auditor *a) {
    if (!too_many_missing(a))
        sim_fail(a->world, "INV-9: the master stops, but only %zu of %zu agents are missing",
                 missing(a), a->n_recovered);
}

static void marks(struct sim_auditor *a, const struct sim_audit_agent *g) {
    int64_t interval_ms = a->master->core->config.agent_removal_interval_ms;

    if (g && g->place == SIM_RECOVERED && too_many_missing(a))
        sim_fail(a->world, "INV-9: agent %s is marked, and %zu of %zu are missing", g->id,
                 missing(a), a->n_recovered);
    if (a->marked_ms && a->world->now_ms - a->marked_ms < interval_ms)
        sim_fail(a->world, "INV-10: agent %s is marked %lld ms after another", g ? g->id : "?",
                 (long long)(a->world->now_ms - a->marked_ms));
    a->marked_ms = a->world->now_ms;
}

/* The write was made because all was over: nothing has begun since, as nothing was offered. */
void sim_audit_nodes_asked(struct sim_auditor *a, const struct rv_registry_op *op) {
    struct sim_audit_agent *g = rv_map_gets(&a->agents, op->agent_id.v);

    if (op->kind == RV_REGISTRY_DEACTIVATE_AGENT && op->deactivation->drain == RV_DRAIN_DRAINED)
        drained(a, g);
    if (op->kind == RV_REGISTRY_MARK_UNREACHABLE)
        marks(a, g);
    if (g && is_end(op->kind))
        g->leaving++;
}

void sim_audit_nodes_started(struct sim_auditor *a, const struct rv_registry_snapshot *s) {
    a->n_recovered = missing(a);
    a->marked_ms = 0;
    for (size_t i = 0; i < s->n_deactivated; i++)
        free(rv_map_put(&a->deactivated, rv_str(s->deactivated[i].id.v),
                        rv_memdup(&s->deactivated[i].what, sizeof s->deactivated[i].what)));
    for (size_t i = 0; i < s->n_machines; i++)
        put_machine(a, &s->machines[i]);
}

static void free_inverse(void *v) {
    struct sim_audit_inverse *o = v;

    free(o->id);
    free(o->framework_id);
    free(o->agent_id);
    free(o);
}

static void clear(struct rv_map *map, void (*free_one)(void *v)) {
    void *v;

    for (size_t it = 0; rv_map_next(map, &it, NULL, &v);)
        free_one(v);
    rv_map_free(map);
}

void sim_audit_nodes_crashed(struct sim_auditor *a) {
    clear(&a->deactivated, free);
    clear(&a->machines, free_machine);
    clear(&a->inverse, free_inverse);
}

/* --- offers --- */

void sim_audit_nodes_offered(struct sim_auditor *a, const struct sim_audit_agent *g,
                             const struct rv_unavailability *away, struct sim_audit_offer *o) {
    const struct rv_machine *m = machine(a, g);

    if (rv_map_gets(&a->deactivated, g->id))
        sim_fail(a->world, "INV-25: agent %s is deactivated and is offered", g->id);
    if (m && m->mode == RV_MACHINE_DOWN)
        sim_fail(a->world, "INV-25: the machine of agent %s is down, and it is offered", g->id);
    if (!same(away, m ? &m->away : NULL))
        sim_fail(a->world, "INV-25: offer %s tells wrong times of maintenance", o->id);
    o->has_away = away != NULL;
    if (away)
        o->away = *away;
}

static struct sim_audit_inverse *outstanding(const struct sim_auditor *a, const char *framework_id,
                                             const char *agent_id) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->inverse, &it, NULL, &v);) {
        struct sim_audit_inverse *o = v;

        if (rv_streq(o->framework_id, framework_id) && rv_streq(o->agent_id, agent_id))
            return o;
    }
    return NULL;
}

static void asked(struct sim_auditor *a, const struct sim_audit_framework *f,
                  const struct rv_inverse_offer_view *view) {
    const char *agent_id = view->agent->id.v;
    const struct sim_audit_agent *g = rv_map_gets(&a->agents, agent_id);
    const struct rv_machine *m = g ? machine(a, g) : NULL;
    struct sim_audit_inverse *o;

    if (!g || !g->connected || rv_map_gets(&a->deactivated, agent_id))
        sim_fail(a->world, "INV-25: inverse offer %s of an agent that is not offered", view->id.v);
    if (!m || m->mode != RV_MACHINE_DRAINING || !same(&m->away, view->away))
        sim_fail(a->world, "INV-25: inverse offer %s is about nothing that is planned", view->id.v);
    if (rv_map_gets(&a->inverse, view->id.v) || rv_map_gets(&a->offers, view->id.v) ||
        outstanding(a, f->id, agent_id))
        sim_fail(a->world, "INV-24: inverse offer %s, or another like it, was made before",
                 view->id.v);
    o = rv_calloc(1, sizeof *o);
    o->id = rv_strdup(view->id.v);
    o->framework_id = rv_strdup(f->id);
    o->agent_id = rv_strdup(agent_id);
    o->away = *view->away;
    o->made_ms = a->world->now_ms;
    rv_map_put(&a->inverse, rv_str(o->id), o);
    a->checks++;
}

void sim_audit_nodes_told(struct sim_auditor *a, const struct sim_audit_framework *f,
                          const struct rv_scheduler_event *e) {
    struct sim_audit_inverse *o;

    if (e->type == RV_EVENT_INVERSE_OFFERS)
        for (size_t i = 0; i < e->inverse_offers.n; i++)
            asked(a, f, &e->inverse_offers.offers[i]);
    if (e->type != RV_EVENT_RESCIND_INVERSE_OFFER)
        return;
    o = rv_map_remove(&a->inverse, rv_str(e->rescind.v));
    if (!o || !rv_streq(o->framework_id, f->id))
        sim_fail(a->world, "INV-24: inverse offer %s is rescinded, but framework %s has it not",
                 e->rescind.v, f->id);
    if (o)
        free_inverse(o);
}

void sim_audit_nodes_answered(struct sim_auditor *a, const struct rv_scheduler_call *call) {
    for (size_t i = 0; i < call->accept.n_offer_ids; i++) {
        struct sim_audit_inverse *o = rv_map_gets(&a->inverse, call->accept.offer_ids[i].v);

        if (o && rv_streq(o->framework_id, call->framework_id.v))
            free_inverse(rv_map_remove(&a->inverse, rv_str(call->accept.offer_ids[i].v)));
    }
}

void sim_audit_nodes_left(struct sim_auditor *a, const char *framework_id) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->inverse, &it, NULL, &v);)
        if (rv_streq(((struct sim_audit_inverse *)v)->framework_id, framework_id))
            free_inverse(rv_map_remove(&a->inverse, rv_str(((struct sim_audit_inverse *)v)->id)));
}

/* --- after each step --- */

static void check_offers(struct sim_auditor *a) {
    for (size_t i = 0; i < a->open.n; i++) {
        const struct sim_audit_offer *o = a->open.v[i];
        const struct sim_audit_agent *g = rv_map_gets(&a->agents, o->agent_id);
        const struct rv_machine *m = g ? machine(a, g) : NULL;

        if (rv_map_gets(&a->deactivated, o->agent_id))
            sim_fail(a->world, "INV-25: offer %s outlives the deactivation of its agent", o->id);
        if (!same(o->has_away ? &o->away : NULL, m ? &m->away : NULL))
            sim_fail(a->world, "INV-25: offer %s outlives what it tells of maintenance", o->id);
    }
}

static void check_inverse(struct sim_auditor *a, int64_t timeout_ms, int64_t awake_ms) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->inverse, &it, NULL, &v);) {
        const struct sim_audit_inverse *o = v;
        const struct sim_audit_agent *g = rv_map_gets(&a->agents, o->agent_id);
        const struct rv_machine *m = g ? machine(a, g) : NULL;

        if (!g || !g->connected || !m || !same(&m->away, &o->away))
            sim_fail(a->world, "INV-25: inverse offer %s outlives its reason", o->id);
        if (a->world->now_ms - RV_MAX(o->made_ms, awake_ms) > timeout_ms + 10)
            sim_fail(a->world, "INV-33: inverse offer %s is held since %lld", o->id,
                     (long long)o->made_ms);
    }
}

/* What could not be written is tried again with the next ping. */
static void check_down(struct sim_auditor *a, int64_t ping_ms, int64_t awake_ms) {
    void *v;

    for (size_t it = 0; rv_map_count(&a->machines) && rv_map_next(&a->agents, &it, NULL, &v);) {
        const struct sim_audit_agent *g = v;
        const struct rv_machine *m = machine(a, g);
        bool excused = g->leaving || a->world->now_ms <= RV_MAX(g->stayed_ms, awake_ms) + ping_ms;

        if (g->connected && m && m->mode == RV_MACHINE_DOWN && !g->told_to_end && !excused)
            sim_fail(a->world, "INV-15: agent %s is registered, and its machine is down", g->id);
    }
}

void sim_audit_nodes_stepped(struct sim_auditor *a, int64_t timeout_ms, int64_t awake_ms) {
    check_offers(a);
    check_inverse(a, timeout_ms, awake_ms);
    check_down(a, a->master->core->config.agent_ping_ms, awake_ms);
}
