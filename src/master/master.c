/*
 * The master as a whole: its making and end, the dispatch of events, timers, streams, and what
 * waits for the registry. A step costs what its event changes; a TICK what is due.
 */
#include <stdlib.h>

#include "master/internal.h"

#define DEFAULT_SLICE_AGENTS 4096

/* --- what waits for the registry --- */

struct rv_master_pending *rv_master_pending_new(enum rv_registry_kind kind, const char *id) {
    struct rv_master_pending *p = rv_calloc(1, sizeof *p);

    p->kind = kind;
    p->id = rv_strdup(id);
    return p;
}

void rv_master_pending_free(struct rv_master_pending *p) {
    if (!p)
        return;
    free(p->id);
    rv_framework_info_free(&p->framework);
    for (size_t i = 0; i < p->n_suppressed; i++)
        free(p->suppressed[i]);
    free(p->suppressed);
    rv_offer_constraints_unref(p->constraints);
    rv_master_registration_free(p->registration);
    for (size_t i = 0; i < p->n_weights; i++)
        free((char *)(uintptr_t)p->weights[i].role);
    free(p->weights);
    for (size_t i = 0; i < p->n_quotas; i++)
        rv_quota_free(&p->quotas[i]);
    free(p->quotas);
    for (size_t i = 0; i < p->n_machines; i++) {
        free((char *)(uintptr_t)p->machines[i].hostname);
        free((char *)(uintptr_t)p->machines[i].ip);
    }
    free(p->machines);
    free(p);
}

static void pending_bury(void *p) {
    rv_master_pending_free(p);
}

static void registry_done(struct rv_master *m, uint64_t seq, bool ok) {
    struct rv_master_pending *p = rv_map_remove(&m->pending, rv_master_key(&seq));

    if (!p)
        return;
    if (p->stream)
        rv_master_stream_drop(m, p->stream);
    switch (p->kind) {
    case RV_REGISTRY_ADMIT_AGENT:
    case RV_REGISTRY_MARK_REACHABLE:
        m->pending_agents--;
        rv_master_admitted(m, p, ok);
        break;
    case RV_REGISTRY_MARK_UNREACHABLE:
    case RV_REGISTRY_MARK_GONE:
    case RV_REGISTRY_REMOVE_AGENT:
        rv_master_agent_removed(m, p, ok);
        break;
    case RV_REGISTRY_PUT_FRAMEWORK:
        if (!p->update)
            m->pending_frameworks--;
        rv_master_put_framework_done(m, p, ok);
        break;
    case RV_REGISTRY_REMOVE_FRAMEWORK:
        rv_master_remove_framework_done(m, p, ok);
        break;
    case RV_REGISTRY_PUT_WEIGHTS:
        rv_master_weights_done(m, p, ok);
        break;
    case RV_REGISTRY_PUT_QUOTAS:
        rv_master_quotas_done(m, p, ok);
        break;
    case RV_REGISTRY_DEACTIVATE_AGENT:
        rv_master_deactivated(m, p, ok);
        break;
    case RV_REGISTRY_REACTIVATE_AGENT:
        rv_master_reactivated(m, p, ok);
        break;
    case RV_REGISTRY_PUT_MACHINES:
        rv_master_machines_done(m, p, ok);
        break;
    case RV_REGISTRY_FORGET_FRAMEWORK:
    case RV_REGISTRY_KIND_MAX:
        break;
    }
    rv_master_bury(m, pending_bury, p);
}

bool rv_master_id_ahead(const struct rv_master *m, const char *id, const char *infix,
                        uint64_t next) {
    uint64_t n;

    if (!id || !rv_starts_with(id, m->config.id))
        return false;
    id += strlen(m->config.id);
    if (!rv_starts_with(id, infix))
        return false;
    return rv_parse_u64(id + strlen(infix), UINT64_MAX, &n) == 0 && n >= next;
}

/* --- streams --- */

void rv_master_stream_put(struct rv_master *m, uint64_t stream, enum rv_master_stream_kind kind,
                          void *owner) {
    struct rv_master_stream *s = rv_calloc(1, sizeof *s);

    s->kind = kind;
    s->owner = owner;
    free(rv_map_put(&m->streams, rv_master_key(&stream), s));
}

void rv_master_stream_drop(struct rv_master *m, uint64_t stream) {
    free(rv_map_remove(&m->streams, rv_master_key(&stream)));
}

void rv_master_stream_pend(struct rv_master *m, struct rv_master_pending *p) {
    if (p->stream)
        rv_master_stream_put(m, p->stream, RV_STREAM_PENDING, p);
}

static void stream_closed(struct rv_master *m, uint64_t stream) {
    struct rv_master_stream *s = rv_map_remove(&m->streams, rv_master_key(&stream));

    if (!s)
        return;
    switch (s->kind) {
    case RV_STREAM_FRAMEWORK:
        rv_master_framework_closed(m, s->owner);
        break;
    case RV_STREAM_AGENT:
        rv_master_agent_closed(m, s->owner);
        break;
    case RV_STREAM_SUBSCRIBER:
        rv_master_subscriber_closed(m, s->owner);
        break;
    case RV_STREAM_PENDING:
        ((struct rv_master_pending *)s->owner)->stream = 0;
        break;
    }
    free(s);
}

/* --- time --- */

static void heartbeat(struct rv_master *m, struct rv_master_framework *f) {
    rv_master_tell(m, f, RV_EVENT_HEARTBEAT);
    rv_timer_set(&m->timers, &f->heartbeat, m->now_ms + m->config.heartbeat_ms);
}

static void tick(struct rv_master *m) {
    struct rv_timer *timer;
    bool allocate = false;

    while ((timer = rv_timers_pop(&m->timers, m->now_ms))) {
        switch ((enum rv_master_timer)timer->kind) {
        case RV_TIMER_ALLOCATION:
            allocate = true;
            break;
        case RV_TIMER_REREGISTER:
            rv_master_reregister_due(m);
            break;
        case RV_TIMER_REMOVAL:
            rv_master_removal_due(m);
            break;
        case RV_TIMER_GC:
            rv_master_gc_due(m);
            break;
        case RV_TIMER_SETTLED:
            rv_master_settled_due(m);
            break;
        case RV_TIMER_HEARTBEAT:
            heartbeat(m, RV_CONTAINER_OF(timer, struct rv_master_framework, heartbeat));
            break;
        case RV_TIMER_FAILOVER:
            rv_master_framework_remove(m,
                                       RV_CONTAINER_OF(timer, struct rv_master_framework, failover),
                                       0, 0, "it did not come back within its failover timeout");
            break;
        case RV_TIMER_RECONCILE:
            rv_master_reconcile_due(m,
                                    RV_CONTAINER_OF(timer, struct rv_master_framework, reconcile));
            break;
        case RV_TIMER_PING:
            rv_master_ping_due(m, RV_CONTAINER_OF(timer, struct rv_master_agent, ping));
            break;
        case RV_TIMER_OFFER:
            rv_master_offer_drop(m, RV_CONTAINER_OF(timer, struct rv_master_offer, timer), 0, true);
            break;
        case RV_TIMER_INVERSE_OFFER:
            rv_master_inverse_offer_rescind(
                m, RV_CONTAINER_OF(timer, struct rv_master_inverse_offer, timer));
            break;
        case RV_TIMER_SUBSCRIBER:
            rv_master_subscriber_due(
                m, RV_CONTAINER_OF(timer, struct rv_master_subscriber, heartbeat));
            break;
        }
    }
    /* Once a step, and last: it sees all that the other timers freed, and cannot starve them. */
    if (allocate)
        rv_master_allocation_due(m);
}

int64_t rv_master_deadline(const struct rv_master *m) {
    return rv_timers_deadline(&m->timers);
}

void rv_master_step(struct rv_master *m, const struct rv_master_event *e, struct rv_effects *out) {
    RV_ASSERT(e->now_ms >= m->now_ms);
    m->now_ms = e->now_ms;
    m->wall_ns = e->wall_ns;
    m->out = out;
    switch (e->kind) {
    case RV_MASTER_TICK:
        tick(m);
        break;
    case RV_MASTER_SCHEDULER_CALL:
        rv_master_scheduler_call(m, e);
        break;
    case RV_MASTER_AGENT_CALL:
        rv_master_agent_call(m, e);
        break;
    case RV_MASTER_OPERATOR_CALL:
        rv_master_operator_call(m, e);
        break;
    case RV_MASTER_STREAM_CLOSED:
        stream_closed(m, e->stream);
        break;
    case RV_MASTER_REGISTRY_DONE:
        registry_done(m, e->registry.seq, e->registry.ok);
        break;
    case RV_MASTER_EVENT_MAX:
        break;
    }
    m->out = NULL;
}

/* --- making and end --- */

static void default_i64(int64_t *value, int64_t unless_set) {
    if (*value == 0)
        *value = unless_set;
}

static void default_size(size_t *value, size_t unless_set) {
    if (*value == 0)
        *value = unless_set;
}

static const char *const *copy_names(const char *const *names, size_t n) {
    char **copy;

    if (!names)
        return NULL;
    copy = rv_calloc(n ? n : 1, sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = rv_strdup(names[i]);
    return (const char *const *)copy;
}

static void free_names(const char *const *names, size_t n) {
    for (size_t i = 0; names && i < n; i++)
        free((char *)(uintptr_t)names[i]);
    free((void *)(uintptr_t)names);
}

/* The config is kept; what it points to is copied, except what the allocator alone needs. */
static void configure(struct rv_master *m, const struct rv_master_config *config) {
    struct rv_master_config *c = &m->config;

    *c = *config;
    c->id = rv_strdup(config->id ? config->id : "");
    c->hostname = rv_strdup(config->hostname);
    c->ip = rv_strdup(config->ip);
    c->master_info = rv_blob_ref(config->master_info);
    c->role_whitelist = copy_names(config->role_whitelist, config->n_role_whitelist);
    c->min_allocatable = NULL;
    c->n_min_allocatable = 0;
    c->fair_exclude = copy_names(config->fair_exclude, config->n_fair_exclude);
    default_i64(&c->allocation_interval_ms, 1000);
    default_i64(&c->offer_timeout_ms, 300000);
    default_i64(&c->heartbeat_ms, 15000);
    default_i64(&c->agent_ping_ms, 15000);
    default_i64(&c->agent_reregister_ms, 600000);
    if (c->max_agent_ping_timeouts == 0)
        c->max_agent_ping_timeouts = 5;
    default_size(&c->reconcile_slice, 2000);
    default_size(&c->max_completed_frameworks, 50);
    default_size(&c->max_completed_tasks, 1000);
    default_size(&c->max_unreachable_tasks, 1000);
    default_size(&c->max_statuses, 8);
    default_size(&c->max_frameworks, 100000);
    default_size(&c->max_agents, 100000);
    default_size(&c->max_offers_per_event, 100);
    default_size(&c->max_absent_agents, 102400);
    default_i64(&c->absent_age_ms, INT64_C(14) * 24 * 3600 * 1000);
    default_i64(&c->gc_interval_ms, 900000);
    if (c->quota_recovery_percent == 0)
        c->quota_recovery_percent = 80;
    default_i64(&c->quota_recovery_ms, 600000);
}

static int by_time(const void *a, const void *b) {
    int64_t x = ((const struct rv_registry_absence *)a)->wall_ns,
            y = ((const struct rv_registry_absence *)b)->wall_ns;

    return (x > y) - (x < y);
}

/* In the order in which they went. */
static void recover_absent(struct rv_map *map, const struct rv_registry_absence *v, size_t n) {
    struct rv_registry_absence *sorted;

    if (n == 0)
        return;
    sorted = rv_memdup(v, n * sizeof *v);
    qsort(sorted, n, sizeof *sorted, by_time);
    for (size_t i = 0; i < n; i++)
        rv_map_put(map, rv_str(sorted[i].id),
                   rv_master_absent_new(sorted[i].id, sorted[i].wall_ns));
    free(sorted);
}

static void recover_agents(struct rv_master *m, const struct rv_registry_snapshot *s) {
    for (size_t i = 0; i < s->n_agents; i++) {
        struct rv_agent_info *info = rv_calloc(1, sizeof *info), *old;

        rv_agent_info_copy(info, &s->agents[i]);
        old = rv_map_put(&m->recovered, rv_str(info->id.v), info);
        RV_ASSERT(!old);
    }
    for (size_t i = 0; i < s->n_unreachable; i++) { /* those need not come back in time */
        struct rv_agent_info *info = rv_map_remove(&m->recovered, rv_str(s->unreachable[i].id));

        if (info)
            rv_agent_info_free(info);
        free(info);
    }
    recover_absent(&m->unreachable, s->unreachable, s->n_unreachable);
    recover_absent(&m->gone, s->gone, s->n_gone);
    for (size_t i = 0; i < s->n_deactivated; i++)
        rv_master_deactivation_put(m, s->deactivated[i].id.v, &s->deactivated[i].what);
    m->n_recovered = rv_map_count(&m->recovered);
    if (m->n_recovered == 0)
        return;
    rv_timer_set(&m->timers, &m->reregister, m->now_ms + m->config.agent_reregister_ms);
    if (s->n_quotas && m->config.quota_recovery_ms > 0) {
        double needed = (double)m->n_recovered * m->config.quota_recovery_percent / 100;

        m->hold_agents = (size_t)needed + (needed > (double)(size_t)needed);
        m->hold_until_ms = m->now_ms + m->config.quota_recovery_ms;
    }
}

static void recover(struct rv_master *m, const struct rv_registry_snapshot *s) {
    for (size_t i = 0; i < s->n_weights; i++)
        rv_master_weight_put(m, s->weights[i].role, s->weights[i].weight);
    for (size_t i = 0; i < s->n_quotas; i++)
        rv_master_quota_put(m, &s->quotas[i]);
    rv_master_machines_recover(m, s);
    recover_agents(m, s);
    rv_master_frameworks_recover(m, s);
}

struct rv_master *rv_master_new(const struct rv_master_config *config,
                                const struct rv_registry_snapshot *registry, int64_t now_ms,
                                int64_t wall_ns) {
    struct rv_master *m = rv_calloc(1, sizeof *m);
    struct rv_allocator_config a = {.policy = "drf",
                                    .min_allocatable = config->min_allocatable,
                                    .n_min_allocatable = config->n_min_allocatable,
                                    .fair_exclude = config->fair_exclude,
                                    .n_fair_exclude = config->n_fair_exclude,
                                    .slice_agents = DEFAULT_SLICE_AGENTS};

    m->now_ms = now_ms;
    m->wall_ns = m->started_ns = wall_ns;
    rv_prng_seed(&m->prng, config->seed);
    a.seed = rv_prng_next(&m->prng);
    m->allocator = rv_allocator_new(&a);
    configure(m, config);
    m->allocation.kind = RV_TIMER_ALLOCATION;
    m->reregister.kind = RV_TIMER_REREGISTER;
    m->settled.kind = RV_TIMER_SETTLED;
    m->removal.kind = RV_TIMER_REMOVAL;
    m->gc.kind = RV_TIMER_GC;
    rv_timer_set(&m->timers, &m->gc, now_ms + m->config.gc_interval_ms);
    m->next_batch_ms = now_ms + m->config.allocation_interval_ms;
    m->last_pass_ms = now_ms;
    rv_timer_set(&m->timers, &m->allocation, m->next_batch_ms);
    if (registry)
        recover(m, registry);
    return m;
}

static void free_values(struct rv_map *map) {
    void *v;

    for (size_t it = 0; rv_map_next(map, &it, NULL, &v);)
        free(v);
    rv_map_free(map);
}

static void free_agents(struct rv_master *m) {
    void *v;

    for (size_t it = 0; rv_map_next(&m->agents, &it, NULL, &v);)
        rv_master_agent_free(v);
    rv_map_free(&m->agents);
    rv_map_free(&m->addresses);
    rv_map_free(&m->operations);
    for (size_t it = 0; rv_map_next(&m->recovered, &it, NULL, &v);) {
        rv_agent_info_free(v);
        free(v);
    }
    rv_map_free(&m->recovered);
    rv_map_free(&m->marking);
    rv_map_free(&m->leaving);
    rv_map_free(&m->changing);
    free_values(&m->deactivated);
    for (size_t it = 0; rv_map_next(&m->machines, &it, NULL, &v);)
        rv_master_machine_free(v);
    rv_map_free(&m->machines);
    for (size_t it = 0; rv_map_next(&m->unreachable, &it, NULL, &v);)
        rv_master_absent_free(m, v);
    rv_map_free(&m->unreachable);
    for (size_t it = 0; rv_map_next(&m->gone, &it, NULL, &v);)
        rv_master_absent_free(m, v);
    rv_map_free(&m->gone);
}

static void free_config(struct rv_master_config *c) {
    free((char *)(uintptr_t)c->id);
    free((char *)(uintptr_t)c->hostname);
    free((char *)(uintptr_t)c->ip);
    rv_blob_unref(c->master_info);
    free_names(c->role_whitelist, c->n_role_whitelist);
    free_names(c->fair_exclude, c->n_fair_exclude);
}

struct rv_master *rv_master_free(struct rv_master *m) {
    void *v;

    if (!m)
        return NULL;
    for (size_t it = 0; rv_map_next(&m->offers, &it, NULL, &v);)
        rv_master_offer_free(v);
    rv_map_free(&m->offers);
    for (size_t it = 0; rv_map_next(&m->inverse_offers, &it, NULL, &v);)
        rv_master_inverse_offer_free(v);
    rv_map_free(&m->inverse_offers);
    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);) {
        struct rv_master_framework *f = v;

        RV_LIST_EACH (&f->executors, node, tmp)
            rv_master_executor_free(RV_LIST_ENTRY(node, struct rv_master_executor, on_framework));
        rv_master_framework_free(f);
    }
    rv_map_free(&m->frameworks);
    for (size_t i = 0; i < m->completed_frameworks.n; i++)
        rv_master_framework_free(m->completed_frameworks.v[i]);
    rv_vec_free(&m->completed_frameworks);
    free_values(&m->ended);
    free_agents(m);
    for (size_t it = 0; rv_map_next(&m->weights, &it, NULL, &v);) {
        free(((struct rv_master_weight *)v)->role);
        free(v);
    }
    rv_map_free(&m->weights);
    rv_master_quotas_free(&m->quotas);
    free_values(&m->streams);
    free_values(&m->subscribers);
    for (size_t it = 0; rv_map_next(&m->pending, &it, NULL, &v);)
        rv_master_pending_free(v);
    rv_map_free(&m->pending);
    rv_timers_free(&m->timers);
    rv_allocator_free(m->allocator);
    free_config(&m->config);
    rv_buf_free(&m->problem);
    rv_buf_free(&m->scratch);
    free(m);
    return NULL;
}
