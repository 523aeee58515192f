/*
 * What must always hold of the master's books, told in words at the first breach. Costs a walk over
 * everything: for the simulator and tests, which call it after every step.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "master/internal.h"

#define BREACH(m, ...) (rv_buf_printf(&(m)->problem, __VA_ARGS__), false)

struct sums {
    struct rv_resources used, offered;
};

static void sums_free(struct sums *s) {
    rv_resources_free(&s->used);
    rv_resources_free(&s->offered);
}

/* INV-26: allocated and offered fit into the total; the allocator's books say the same. */
static bool agent_books(struct rv_master *m, struct rv_master_agent *a, const struct sums *s) {
    const struct rv_resources *booked = rv_allocator_agent_used(m->allocator, a);
    struct rv_resources all = {0};
    bool ok = true;

    if (!rv_resources_eq(&s->used, &a->used))
        return BREACH(m, "INV-27: agent %s: `used` is not the sum of its tasks and executors",
                      a->id.v);
    if (!rv_resources_eq(&s->offered, &a->offered))
        return BREACH(m, "INV-26: agent %s: `offered` is not the sum of its offers", a->id.v);
    rv_resources_copy(&all, &a->used);
    rv_resources_add(&all, &a->offered);
    if (!rv_resources_eq(&all, booked))
        ok = BREACH(m, "INV-26: agent %s: the allocator's books differ from the master's", a->id.v);
    rv_master_bare(&all, &all);
    if (ok && !rv_resources_contains(&a->total, &all))
        ok = BREACH(m, "INV-26: agent %s: allocated and offered are more than its total", a->id.v);
    rv_resources_free(&all);
    return ok;
}

static bool check_task(struct rv_master *m, const struct rv_master_agent *a,
                       const struct rv_master_task *t) {
    bool ends = rv_task_state_terminal(t->state) || t->state == RV_TASK_UNREACHABLE;

    if (t->agent != a || !rv_streq(t->agent_id.v, a->id.v))
        return BREACH(m, "task %s is listed on an agent that it is not on", t->id.v);
    if (rv_map_gets(&t->framework->tasks, t->id.v) != t)
        return BREACH(m, "task %s is not among those of its framework", t->id.v);
    if (t->released != ends)
        return BREACH(m, "INV-27: task %s in state %s is %sreleased", t->id.v,
                      rv_task_state_name((int)t->state), t->released ? "" : "not ");
    if (t->statuses.n > m->config.max_statuses)
        return BREACH(m, "INV-49: task %s keeps too many statuses", t->id.v);
    return true;
}

/* INV-32 */
static bool check_total(struct rv_master *m, const struct rv_master_agent *a) {
    const struct rv_kind *twice = rv_master_volume_twice(m, &a->total);
    struct rv_error err;

    if (twice)
        return BREACH(m, "INV-32: agent %s has volume '%s' of role '%s' twice", a->id.v,
                      twice->disk->persistence_id, rv_kind_reserved_role(twice));
    if (rv_resources_validate(&a->total, &err) < 0)
        return BREACH(m, "INV-32: agent %s: its total is not valid: %s", a->id.v, err.message);
    return true;
}

static bool check_operations(struct rv_master *m, struct rv_master_agent *a, size_t *all) {
    size_t n = 0;

    RV_LIST_EACH (&a->operations, node, tmp) {
        const struct rv_master_operation *o =
            RV_LIST_ENTRY(node, struct rv_master_operation, on_agent);
        const char *id = o->operation.id.v;

        n++;
        if (o->agent != a || rv_map_get(&m->operations, rv_strn((const char *)o->uuid, 16)) != o)
            return BREACH(m, "an operation of agent %s is not known by its uuid", a->id.v);
        if (o->framework &&
            (!id || rv_map_gets(&m->frameworks, o->framework_id.v) != o->framework ||
             rv_map_gets(&o->framework->operations, id) != o))
            return BREACH(m, "INV-42: operation %s is not known to its framework", id ? id : "?");
        if (o->has_status_uuid != (o->state != RV_OPERATION_PENDING) ||
            (o->has_status_uuid && !o->framework))
            return BREACH(m, "INV-42: operation %s in state %s waits for the wrong thing",
                          id ? id : "without id", rv_operation_state_name((int)o->state));
    }
    *all += n;
    if (n > RV_MASTER_MAX_OPERATIONS || a->total.n > RV_MASTER_MAX_ELEMENTS)
        return BREACH(m, "INV-49: agent %s has too many operations, or parts", a->id.v);
    return true;
}

/* Operators may go on with an agent that is drained. */
static bool of_frameworks(struct rv_master_agent *a) {
    RV_LIST_EACH (&a->operations, node, tmp)
        if (RV_LIST_ENTRY(node, struct rv_master_operation, on_agent)->framework)
            return true;
    return false;
}

/* What operators have made of it. */
static bool check_standing(struct rv_master *m, struct rv_master_agent *a) {
    bool down = a->machine && a->machine->is.mode == RV_MACHINE_DOWN;
    char key[RV_MACHINE_KEY_MAX];
    size_t n = rv_machine_key(a->info.hostname, a->info.ip, key);
    void *v;

    if (a->deactivation != rv_map_gets(&m->deactivated, a->id.v))
        return BREACH(m, "agent %s: its deactivation is not the one that is known", a->id.v);
    if (a->active != (a->connected && !a->removing && !a->deactivation && !down))
        return BREACH(m, "agent %s is offered or not for no reason", a->id.v);
    if (a->machine != (n ? rv_map_get(&m->machines, rv_strn(key, n)) : NULL))
        return BREACH(m, "agent %s is not on its machine of the schedule", a->id.v);
    if (a->deactivation && a->deactivation->drain == RV_DRAIN_DRAINED && a->connected &&
        (!rv_list_empty(&a->tasks) || of_frameworks(a)) && !rv_map_gets(&m->changing, a->id.v))
        return BREACH(m, "INV-22: agent %s is drained and has tasks or operations", a->id.v);
    for (size_t it = 0; rv_map_next(&a->answers, &it, NULL, &v);) {
        const struct rv_master_answer *answer = v;

        if (!a->machine || !rv_map_gets(&m->frameworks, answer->framework_id))
            return BREACH(m, "agent %s: an answer of nobody, or about nothing", a->id.v);
        if (answer->offer && (!a->active || answer->offer->agent != a ||
                              !rv_streq(answer->offer->framework->id.v, answer->framework_id)))
            return BREACH(m, "INV-25: an inverse offer of agent %s outlives it", a->id.v);
    }
    return true;
}

static bool check_agent(struct rv_master *m, struct rv_master_agent *a, size_t *operations) {
    struct sums s = {0};
    bool ok = true;

    RV_LIST_EACH (&a->tasks, node, tmp) {
        struct rv_master_task *t = RV_LIST_ENTRY(node, struct rv_master_task, on_agent);

        ok = ok && check_task(m, a, t);
        if (!t->released)
            rv_resources_add(&s.used, &t->info.resources);
    }
    RV_LIST_EACH (&a->executors, node, tmp)
        rv_resources_add(&s.used,
                         &RV_LIST_ENTRY(node, struct rv_master_executor, on_agent)->info.resources);
    RV_LIST_EACH (&a->offers, node, tmp)
        rv_resources_add(&s.offered,
                         &RV_LIST_ENTRY(node, struct rv_master_offer, on_agent)->resources);
    ok = ok && agent_books(m, a, &s);
    sums_free(&s);
    if (!ok)
        return false;
    if (!rv_list_empty(&a->offers) && !a->active)
        return BREACH(m, "INV-25: agent %s is not to be offered and is", a->id.v);
    if (!check_standing(m, a) || !check_total(m, a) || !check_operations(m, a, operations))
        return false;
    if (a->connected != (a->stream != 0))
        return BREACH(m, "agent %s: connected and stream disagree", a->id.v);
    if (a->removing == rv_timer_is_set(&a->ping))
        return BREACH(m, "INV-13: agent %s: ping timer and removal disagree", a->id.v);
    if (rv_map_gets(&m->unreachable, a->id.v) || rv_map_gets(&m->gone, a->id.v) ||
        rv_map_gets(&m->recovered, a->id.v))
        return BREACH(m, "INV-15: agent %s is registered and absent at once", a->id.v);
    return true;
}

static bool framework_books(struct rv_master *m, const struct rv_master_framework *f,
                            const struct sums *s) {
    if (!rv_resources_eq(&s->used, &f->used))
        return BREACH(m, "INV-27: framework %s: `used` is not the sum of its tasks and executors",
                      f->id.v);
    if (!rv_resources_eq(&s->offered, &f->offered))
        return BREACH(m, "INV-26: framework %s: `offered` is not the sum of its offers", f->id.v);
    return true;
}

static bool check_parts(struct rv_master *m, struct rv_master_framework *f) {
    struct sums s = {0};
    bool ok = true;
    void *v;

    for (size_t it = 0; rv_map_next(&f->tasks, &it, NULL, &v);) {
        const struct rv_master_task *t = v;

        if (!t->agent || t->framework != f)
            ok = ok && BREACH(m, "task %s of framework %s is on no agent", t->id.v, f->id.v);
        if (!t->released)
            rv_master_add_scalars(&s.used, &t->info.resources);
    }
    RV_LIST_EACH (&f->executors, node, tmp)
        rv_master_add_scalars(
            &s.used, &RV_LIST_ENTRY(node, struct rv_master_executor, on_framework)->info.resources);
    RV_LIST_EACH (&f->offers, node, tmp) {
        struct rv_master_offer *o = RV_LIST_ENTRY(node, struct rv_master_offer, on_framework);

        rv_master_add_scalars(&s.offered, &o->resources);
        if (rv_map_gets(&m->offers, o->id.v) != o)
            ok = ok && BREACH(m, "INV-24: offer %s is not known by its id", o->id.v);
        if (m->config.offer_timeout_ms > 0 && !rv_timer_is_set(&o->timer))
            ok = ok && BREACH(m, "INV-33: offer %s would never be rescinded", o->id.v);
    }
    ok = ok && framework_books(m, f, &s);
    sums_free(&s);
    return ok;
}

static bool check_away(struct rv_master *m, const struct rv_master_framework *f) {
    void *v;

    for (size_t it = 0; rv_map_next(&f->unreachable, &it, NULL, &v);) {
        const struct rv_master_task *t = v;

        if (t->agent || !t->released)
            return BREACH(m, "INV-27: unreachable task %s still holds resources", t->id.v);
        if (!rv_map_gets(&m->unreachable, t->agent_id.v) || !rv_list_linked(&t->on_agent))
            return BREACH(m, "INV-14: task %s waits for agent %s, which is not unreachable",
                          t->id.v, t->agent_id.v);
    }
    for (size_t i = 0; i < f->completed.n; i++) {
        const struct rv_master_task *t = f->completed.v[i];

        if (t->agent || !t->released || !rv_task_state_terminal(t->state))
            return BREACH(m, "INV-27: completed task %s is not at its end", t->id.v);
    }
    if (f->completed.n > m->config.max_completed_tasks ||
        rv_map_count(&f->unreachable) > m->config.max_unreachable_tasks)
        return BREACH(m, "INV-49: framework %s keeps too many tasks", f->id.v);
    return true;
}

static bool check_framework(struct rv_master *m, struct rv_master_framework *f) {
    const struct rv_master_stream *s;
    void *v;

    if (!check_parts(m, f) || !check_away(m, f))
        return false;
    if (f->connected != (f->stream != 0) || (f->active && !f->connected))
        return BREACH(m, "framework %s: connected, active and stream disagree", f->id.v);
    if (f->connected) {
        s = rv_map_get(&m->streams, rv_master_key(&f->stream));
        if (!s || s->kind != RV_STREAM_FRAMEWORK || s->owner != f)
            return BREACH(m, "INV-43: the stream of framework %s is not its own", f->id.v);
        if (!f->removing && !rv_timer_is_set(&f->heartbeat))
            return BREACH(m, "INV-46: framework %s gets no heartbeats", f->id.v);
    } else {
        if (!rv_list_empty(&f->offers))
            return BREACH(m, "INV-25: offers of framework %s outlive its connection", f->id.v);
        if (!f->removing && !rv_timer_is_set(&f->failover))
            return BREACH(m, "INV-45: framework %s is away and would never be removed", f->id.v);
    }
    if (!f->connected && !rv_list_empty(&f->inverse_offers))
        return BREACH(m, "INV-25: inverse offers of framework %s outlive its connection", f->id.v);
    RV_LIST_EACH (&f->inverse_offers, node, tmp) {
        struct rv_master_inverse_offer *o =
            RV_LIST_ENTRY(node, struct rv_master_inverse_offer, on_framework);
        const struct rv_master_answer *answer = rv_map_gets(&o->agent->answers, f->id.v);

        if (rv_map_gets(&m->inverse_offers, o->id.v) != o || !answer || answer->offer != o)
            return BREACH(m, "INV-24: inverse offer %s is not known by its id", o->id.v);
    }
    for (size_t it = 0; rv_map_next(&f->operations, &it, NULL, &v);)
        if (((const struct rv_master_operation *)v)->framework != f)
            return BREACH(m, "INV-42: framework %s hears of an operation of another", f->id.v);
    if (f->fresh.n || f->asked.n)
        return BREACH(m, "framework %s has offers that were not sent", f->id.v);
    return true;
}

static bool check_streams(struct rv_master *m) {
    size_t frameworks = 0, with_stream = 0;
    void *v;

    for (size_t it = 0; rv_map_next(&m->streams, &it, NULL, &v);)
        frameworks += ((const struct rv_master_stream *)v)->kind == RV_STREAM_FRAMEWORK;
    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);)
        with_stream += ((const struct rv_master_framework *)v)->connected;
    if (frameworks != with_stream)
        return BREACH(m, "INV-43: %zu streams for %zu connected frameworks", frameworks,
                      with_stream);
    return true;
}

static bool check_absence(struct rv_master *m) {
    struct rv_str key;

    for (size_t it = 0; rv_map_next(&m->leaving, &it, &key, NULL);) {
        const struct rv_master_agent *a = rv_map_get(&m->agents, key);

        if (a ? a->removing || a->missed_pings < m->config.max_agent_ping_timeouts
              : !rv_map_get(&m->recovered, key) || rv_map_get(&m->marking, key))
            return BREACH(m, "INV-10: agent %.*s is to be marked unreachable for no reason",
                          (int)key.n, key.s);
    }
    if (rv_timer_is_set(&m->removal) != (rv_map_count(&m->leaving) > 0))
        return BREACH(m, "INV-10: agents wait for a removal that is not due, or none does");
    if (!rv_timer_is_set(&m->gc))
        return BREACH(m, "INV-49: nobody looks for agents to be forgotten");
    return true;
}

static bool check_all(struct rv_master *m) {
    size_t offers = 0, operations = 0;
    const char *problem;
    void *v;

    for (size_t it = 0; rv_map_next(&m->agents, &it, NULL, &v);)
        if (!check_agent(m, v, &operations))
            return false;
    if (operations != rv_map_count(&m->operations))
        return BREACH(m, "%zu operations by agent, %zu by uuid", operations,
                      rv_map_count(&m->operations));
    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);) {
        struct rv_master_framework *f = v;

        if (!check_framework(m, f))
            return false;
        RV_LIST_EACH (&f->offers, node, tmp)
            offers++;
    }
    if (offers != rv_map_count(&m->offers))
        return BREACH(m, "INV-24: %zu offers by framework, %zu by id", offers,
                      rv_map_count(&m->offers));
    if (m->completed_frameworks.n > m->config.max_completed_frameworks)
        return BREACH(m, "INV-49: too many completed frameworks are kept");
    if (!rv_timer_is_set(&m->allocation))
        return BREACH(m, "no allocation pass is due");
    problem = rv_allocator_check(m->allocator);
    if (problem)
        return BREACH(m, "allocator: %s", problem);
    return check_absence(m) && check_streams(m);
}

const char *rv_master_check(struct rv_master *m) {
    rv_buf_clear(&m->problem);
    return check_all(m) ? NULL : m->problem.data;
}
