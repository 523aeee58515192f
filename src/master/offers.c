/*
 * Offers: made in allocation passes, taken by ACCEPT, given back by everything else. What always
 * holds: an offer's resources are booked with the allocator for its framework and agent, and are in
 * `offered` of both; an offer never outlives its framework's connection or its agent (INV-25).
 */
#include <stdlib.h>

#include "master/internal.h"

/* Passes on events are at least this far apart: what comes free in between is offered together. */
#define PASS_GAP_MS 5
/* Above this many a framework's list of new offers is not kept for the next pass. */
#define FRESH_KEPT 64

void rv_master_offer_free(void *record) {
    struct rv_master_offer *o = record;

    free((char *)(uintptr_t)o->id.v);
    rv_resources_free(&o->resources);
    free(o);
}

/* --- making --- */

struct pass {
    struct rv_master *m;
    RV_VEC(struct rv_master_framework *) frameworks; /* that got something, in that order */
};

char *rv_master_new_offer_id(struct rv_master *m) {
    rv_buf_clear(&m->scratch);
    rv_buf_puts(&m->scratch, m->config.id);
    rv_buf_puts(&m->scratch, "-O");
    rv_buf_put_u64(&m->scratch, m->next_offer++);
    return rv_memdup(m->scratch.data, m->scratch.n + 1);
}

static void allocated(void *ctx, void *framework, const char *role, void *agent,
                      const struct rv_resources *resources) {
    struct pass *pass = ctx;
    struct rv_master *m = pass->m;
    struct rv_master_framework *f = framework;
    struct rv_master_agent *a = agent;
    struct rv_master_offer *o = rv_calloc(1, sizeof *o);

    o->id.v = rv_master_new_offer_id(m);
    o->framework = f;
    o->agent = a;
    rv_resources_copy(&o->resources, resources);
    RV_ASSERT(o->resources.n > 0 && rv_streq(o->resources.v[0].kind->allocation_role, role));
    o->role = o->resources.v[0].kind->allocation_role;
    o->timer.kind = RV_TIMER_OFFER;
    if (m->config.offer_timeout_ms > 0)
        rv_timer_set(&m->timers, &o->timer, m->now_ms + m->config.offer_timeout_ms);
    rv_map_put(&m->offers, rv_str(o->id.v), o);
    rv_list_append(&f->offers, &o->on_framework);
    rv_list_append(&a->offers, &o->on_agent);
    rv_master_add_scalars(&f->offered, resources);
    rv_resources_add(&a->offered, resources);
    if (f->fresh.n == 0)
        rv_vec_push(&pass->frameworks, f);
    rv_vec_push(&f->fresh, o);
    m->counters.offers_made++;
    f->offers_sent++;
}

static void fill_view(struct rv_master *m, const struct rv_master_offer *o,
                      struct rv_offer_view *view) {
    size_t n = 0, i = 0;
    struct rv_executor_id *ids;

    view->id = o->id;
    view->framework_id = o->framework->id;
    view->agent = &o->agent->info;
    view->role = o->role;
    view->resources = &o->resources;
    view->away = o->agent->machine ? &o->agent->machine->is.away : NULL;
    RV_LIST_EACH (&o->agent->executors, node, tmp)
        n += RV_LIST_ENTRY(node, struct rv_master_executor, on_agent)->framework == o->framework;
    if (n == 0)
        return;
    ids = RV_ARENA_ARRAY(&m->out->arena, struct rv_executor_id, n);
    RV_LIST_EACH (&o->agent->executors, node, tmp) {
        struct rv_master_executor *x = RV_LIST_ENTRY(node, struct rv_master_executor, on_agent);

        if (x->framework == o->framework)
            ids[i++] = x->info.id;
    }
    view->executor_ids = ids;
    view->n_executor_ids = n;
}

static void send_fresh(struct rv_master *m, struct rv_master_framework *f) {
    for (size_t sent = 0; sent < f->fresh.n;) {
        size_t n = RV_MIN(f->fresh.n - sent, m->config.max_offers_per_event);
        struct rv_scheduler_event *event = rv_master_tell(m, f, RV_EVENT_OFFERS);
        struct rv_offer_view *views = RV_ARENA_ARRAY(&m->out->arena, struct rv_offer_view, n);

        RV_ASSERT(event);
        for (size_t i = 0; i < n; i++)
            fill_view(m, f->fresh.v[sent + i], &views[i]);
        event->offers.offers = views;
        event->offers.n = n;
        sent += n;
    }
    if (f->fresh.n > FRESH_KEPT)
        rv_vec_free(&f->fresh);
    f->fresh.n = 0;
}

/* After a failover quotas could not be kept with the first few agents that come back: INV-11. */
static bool is_held(struct rv_master *m) {
    size_t n = rv_map_count(&m->agents);

    if (!m->hold_until_ms)
        return false;
    if (n < m->hold_agents && m->now_ms < m->hold_until_ms)
        return true;
    RV_MASTER_INFO(m, "offers go on: %zu agents are there, %zu were known", n, m->n_recovered);
    m->hold_until_ms = 0;
    return false;
}

void rv_master_allocation_due(struct rv_master *m) {
    struct pass pass = {.m = m};
    bool more, batch = m->now_ms >= m->next_batch_ms;

    if (is_held(m)) {
        rv_timer_set(&m->timers, &m->allocation, m->now_ms + m->config.allocation_interval_ms);
        return;
    }
    m->pass_waited_ms = m->pass_asked ? m->now_ms - m->asked_ms
                        : batch       ? m->now_ms - m->next_batch_ms
                                      : 0; /* a further slice of the one before */
    if (batch) {
        rv_allocator_mark_all(m->allocator);
        m->next_batch_ms = m->now_ms + m->config.allocation_interval_ms;
    }
    m->last_pass_ms = m->now_ms;
    m->pass_asked = false;
    m->counters.allocation_runs++;
    more = rv_allocator_pass(m->allocator, m->now_ms, allocated, &pass);
    for (size_t i = 0; i < pass.frameworks.n; i++)
        send_fresh(m, pass.frameworks.v[i]);
    rv_vec_free(&pass.frameworks);
    if (batch)
        rv_master_inverse_offers_due(m);
    /* A further slice in the next step: calls that came meanwhile are served in between. */
    rv_timer_set(&m->timers, &m->allocation, more ? m->now_ms : m->next_batch_ms);
}

void rv_master_allocate_soon(struct rv_master *m) {
    int64_t at = RV_MAX(m->now_ms, m->last_pass_ms + PASS_GAP_MS);

    if (!m->pass_asked)
        m->asked_ms = m->now_ms;
    m->pass_asked = true;
    if (!rv_timer_is_set(&m->allocation) || m->allocation.at_ms > at)
        rv_timer_set(&m->timers, &m->allocation, at);
}

/* --- taking and giving back --- */

void rv_master_offer_take(struct rv_master *m, struct rv_master_offer *o) {
    rv_timer_cancel(&m->timers, &o->timer);
    rv_map_remove(&m->offers, rv_str(o->id.v));
    rv_list_remove(&o->on_framework);
    rv_list_remove(&o->on_agent);
    rv_master_subtract_scalars(&o->framework->offered, &o->resources);
    rv_resources_subtract(&o->agent->offered, &o->resources);
    rv_master_bury(m, rv_master_offer_free, o);
}

void rv_master_offer_drop(struct rv_master *m, struct rv_master_offer *o, int64_t refuse_until_ms,
                          bool tell) {
    struct rv_scheduler_event *event =
        tell ? rv_master_tell(m, o->framework, RV_EVENT_RESCIND) : NULL;

    if (event) {
        event->rescind = o->id;
        m->counters.offers_rescinded++;
        o->framework->offers_rescinded++;
    }
    rv_master_offer_take(m, o);
    rv_allocator_release(m->allocator, o->agent, o->framework, &o->resources, m->now_ms,
                         refuse_until_ms);
}

void rv_master_offers_drop_framework(struct rv_master *m, struct rv_master_framework *f,
                                     bool tell) {
    if (rv_list_empty(&f->offers))
        return;
    RV_LIST_EACH (&f->offers, node, tmp)
        rv_master_offer_drop(m, RV_LIST_ENTRY(node, struct rv_master_offer, on_framework), 0, tell);
    rv_master_allocate_soon(m);
}

void rv_master_offers_drop_agent(struct rv_master *m, struct rv_master_agent *a) {
    RV_LIST_EACH (&a->offers, node, tmp)
        rv_master_offer_drop(m, RV_LIST_ENTRY(node, struct rv_master_offer, on_agent), 0, true);
}

void rv_master_decline(struct rv_master *m, struct rv_master_framework *f,
                       const struct rv_scheduler_call *call) {
    int64_t until = call->accept.refuse_ms > 0 ? m->now_ms + call->accept.refuse_ms : 0;

    m->counters.messages_decline++;
    for (size_t i = 0; i < call->accept.n_offer_ids; i++) {
        struct rv_master_offer *o = rv_map_gets(&m->offers, call->accept.offer_ids[i].v);

        if (!o || o->framework != f)
            continue; /* rescinded meanwhile: nothing to decline */
        m->counters.offers_declined++;
        f->offers_declined++;
        rv_master_offer_drop(m, o, until, false);
        /* Without a filter it waits for the batch: else a framework that declines everything
         * would be offered it again and again without pause. */
        if (until)
            rv_master_allocate_soon(m);
    }
}
