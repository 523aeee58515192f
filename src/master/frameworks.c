/*
 * Frameworks: subscribing, changing, disconnecting, going. What always holds: a framework in
 * m->frameworks is known to the allocator; it is active there iff it is connected and not being
 * removed; one stream a framework (INV-43). What must survive a failover of the master is written
 * to the registry first (INV-12).
 */
#include <stdlib.h>

#include "master/internal.h"

/* A framework that a new leader knows from the registry or from agents needs time to find the
 * leader, whatever its failover timeout is: this many heartbeats. */
#define RECOVERY_GRACE_HEARTBEATS 4

struct rv_master_framework *rv_master_framework_find(const struct rv_master *m,
                                                     struct rv_framework_id id) {
    return rv_map_gets(&m->frameworks, id.v);
}

bool rv_master_framework_completed(const struct rv_master *m, const char *id) {
    return rv_map_gets(&m->ended, id) != NULL;
}

void rv_master_framework_end(struct rv_master *m, const char *id, int64_t wall_ns) {
    size_t most = RV_MAX(RV_MASTER_MAX_ENDED, m->config.max_completed_frameworks), it = 0;
    struct rv_str key;

    free(rv_map_put(&m->ended, rv_str(id), rv_memdup(&wall_ns, sizeof wall_ns)));
    if (rv_map_count(&m->ended) > most && rv_map_next(&m->ended, &it, &key, NULL)) {
        char *oldest = rv_arena_strndup(&m->out->arena, key.s, key.n);

        free(rv_map_remove(&m->ended, rv_str(oldest)));
        rv_master_write(m, RV_REGISTRY_FORGET_FRAMEWORK, NULL)->framework_id.v = oldest;
    }
}

static void free_strings(char **v, size_t n) {
    for (size_t i = 0; i < n; i++)
        free(v[i]);
    free(v);
}

static char **copy_strings(char *const *v, size_t n) {
    char **copy = rv_calloc(n ? n : 1, sizeof *copy);

    for (size_t i = 0; i < n; i++)
        copy[i] = rv_strdup(v[i]);
    return copy;
}

static bool in_strings(char *const *v, size_t n, const char *s) {
    for (size_t i = 0; i < n; i++)
        if (rv_streq(v[i], s))
            return true;
    return false;
}

void rv_master_framework_free(void *record) {
    struct rv_master_framework *f = record;
    void *v;

    for (size_t it = 0; rv_map_next(&f->tasks, &it, NULL, &v);)
        rv_master_task_free(v);
    rv_map_free(&f->tasks);
    for (size_t it = 0; rv_map_next(&f->unreachable, &it, NULL, &v);) {
        rv_list_remove(&((struct rv_master_task *)v)->on_agent);
        rv_master_task_free(v);
    }
    rv_map_free(&f->unreachable);
    for (size_t i = 0; i < f->completed.n; i++)
        rv_master_task_free(f->completed.v[i]);
    rv_vec_free(&f->completed);
    rv_master_questions_free(&f->named);
    rv_master_questions_free(&f->all);
    rv_map_free(&f->operations);
    rv_vec_free(&f->fresh);
    rv_vec_free(&f->asked);
    rv_resources_free(&f->used);
    rv_resources_free(&f->offered);
    free_strings(f->suppressed_roles, f->n_suppressed_roles);
    rv_offer_constraints_unref(f->constraints);
    rv_framework_info_free(&f->info);
    free((char *)(uintptr_t)f->id.v);
    free(f->principal);
    free(f);
}

/* The id is the master's to give: info's own is replaced. */
static void set_info(struct rv_master_framework *f, const struct rv_framework_info *info) {
    rv_framework_info_copy(&f->info, info);
    free((char *)(uintptr_t)f->info.id.v);
    f->info.id.v = rv_strdup(f->id.v);
}

struct rv_master_framework *
rv_master_framework_add(struct rv_master *m, const struct rv_framework_info *info, const char *id) {
    struct rv_master_framework *f = rv_calloc(1, sizeof *f);
    void *old;

    f->id.v = rv_strdup(id);
    set_info(f, info);
    rv_list_init(&f->offers);
    rv_list_init(&f->inverse_offers);
    rv_list_init(&f->executors);
    f->heartbeat.kind = RV_TIMER_HEARTBEAT;
    f->failover.kind = RV_TIMER_FAILOVER;
    f->reconcile.kind = RV_TIMER_RECONCILE;
    f->principal = rv_strdup(info->principal);
    old = rv_map_put(&m->frameworks, rv_str(id), f);
    RV_ASSERT(!old);
    rv_allocator_add_framework(m->allocator, f, &f->info, false);
    return f;
}

/* It is away: how much longer it may be. Not by the wall clock, which somebody may set. */
static void await_return(struct rv_master *m, struct rv_master_framework *f) {
    rv_timer_set(&m->timers, &f->failover,
                 RV_MAX(f->grace_until_ms, f->away_since_ms + f->info.failover_timeout_ms));
}

struct rv_master_framework *rv_master_framework_recover(struct rv_master *m,
                                                        const struct rv_framework_info *info,
                                                        int64_t away_ns) {
    struct rv_master_framework *f = rv_master_framework_add(m, info, info->id.v);
    int64_t grace_ms = RECOVERY_GRACE_HEARTBEATS * m->config.heartbeat_ms;

    f->recovered = true;
    f->away_ns = away_ns ? away_ns : m->wall_ns;
    f->away_since_ms = m->now_ms - RV_MAX((m->wall_ns - f->away_ns) / 1000000, INT64_C(0));
    f->grace_until_ms = m->now_ms + grace_ms;
    await_return(m, f);
    return f;
}

void rv_master_framework_put(struct rv_master *m, struct rv_master_framework *f) {
    struct rv_registry_op *op = rv_master_write(m, RV_REGISTRY_PUT_FRAMEWORK, NULL);

    op->framework_id = f->id;
    op->framework = &f->info;
    op->wall_ns = f->away_ns;
    f->put_seq = op->seq;
}

void rv_master_frameworks_recover(struct rv_master *m, const struct rv_registry_snapshot *s) {
    for (size_t i = 0; i < s->n_ended; i++)
        free(rv_map_put(&m->ended, rv_str(s->ended[i].id),
                        rv_memdup(&s->ended[i].wall_ns, sizeof s->ended[i].wall_ns)));
    for (size_t i = 0; i < s->n_frameworks; i++) {
        const struct rv_registry_framework *f = &s->frameworks[i];

        if (f->info.id.v && !rv_master_framework_find(m, f->info.id) &&
            !rv_master_framework_completed(m, f->info.id.v))
            rv_master_framework_recover(m, &f->info, f->away_ns);
    }
    if (rv_map_count(&m->frameworks))
        rv_timer_set(&m->timers, &m->settled,
                     m->now_ms + RECOVERY_GRACE_HEARTBEATS * m->config.heartbeat_ms);
}

/* Not earlier: leaders that come and go in a row would each write them all. */
void rv_master_settled_due(struct rv_master *m) {
    void *v;

    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);) {
        struct rv_master_framework *f = v;

        if (f->recovered && !f->removing && f->away_ns == m->started_ns)
            rv_master_framework_put(m, f);
    }
}

/* --- validation --- */

/* What may not be asked for, whoever asks; NULL: fine. */
static const char *info_problem(struct rv_master *m, const struct rv_framework_info *info,
                                char *const *suppressed, size_t n_suppressed,
                                const struct rv_offer_constraints *constraints) {
    if (info->role_fields_wrong)
        return "'FrameworkInfo.roles' needs the MULTI_ROLE capability, and 'FrameworkInfo.role' "
               "must not be set with it";
    if (info->n_roles > RV_MASTER_MAX_ROLES)
        return RV_MASTER_TEXT(m, "more than %d roles", RV_MASTER_MAX_ROLES);
    if (n_suppressed > RV_MASTER_MAX_ROLES)
        return RV_MASTER_TEXT(m, "more than %d suppressed roles", RV_MASTER_MAX_ROLES);
    if (constraints && constraints->n > info->n_roles)
        return "offer constraints for more roles than the framework has";
    if (info->n_min_allocatable > RV_MASTER_MAX_ROLES)
        return RV_MASTER_TEXT(m, "offer filters for more than %d roles", RV_MASTER_MAX_ROLES);
    for (size_t i = 0; i < info->n_roles; i++) {
        const char *role = info->roles[i], *problem = rv_role_problem(role);

        if (problem)
            return RV_MASTER_TEXT(m, "role '%s' is not valid: %s", role, problem);
        if (in_strings(info->roles, i, role))
            return RV_MASTER_TEXT(m, "role '%s' is listed twice", role);
        if (m->config.role_whitelist &&
            !in_strings((char *const *)(uintptr_t)m->config.role_whitelist,
                        m->config.n_role_whitelist, role))
            return RV_MASTER_TEXT(m, "role '%s' is not among those that this master allows", role);
    }
    for (size_t i = 0; i < n_suppressed; i++)
        if (!in_strings(info->roles, info->n_roles, suppressed[i]))
            return RV_MASTER_TEXT(m, "suppressed role '%s' is not a role of the framework",
                                  suppressed[i]);
    for (size_t i = 0; constraints && i < constraints->n; i++)
        if (!in_strings(info->roles, info->n_roles, constraints->v[i].role))
            return RV_MASTER_TEXT(m, "offer constraints for role '%s', not a role of the framework",
                                  constraints->v[i].role);
    return NULL;
}

/* What a framework cannot change about itself. scheduler-http-api.md, "Disallowed updates". */
static const char *change_problem(const struct rv_master_framework *f,
                                  const struct rv_framework_info *info) {
    if (!rv_streq(f->info.user, info->user))
        return "'FrameworkInfo.user' cannot be changed";
    if (f->info.checkpoint != info->checkpoint)
        return "'FrameworkInfo.checkpoint' cannot be changed";
    if (!rv_streq(f->info.principal, info->principal))
        return "'FrameworkInfo.principal' cannot be changed";
    return NULL;
}

/* --- subscribing --- */

/* A refusal that a client reads from its stream, as it does the peer's. */
static void refuse(struct rv_master *m, uint64_t request, uint64_t stream, const char *why) {
    uint8_t uuid[16];
    char stream_id[37];

    if (stream == 0)
        return;
    rv_prng_uuid(&m->prng, uuid);
    rv_uuid_format(uuid, stream_id);
    rv_master_open_stream(m, request, stream, stream_id);
    rv_master_tell_stream(m, stream, RV_EVENT_ERROR)->error = why;
    rv_master_close_stream(m, stream);
    RV_MASTER_INFO(m, "refused a subscription: %s", why);
}

static void pend(struct rv_master *m, const struct rv_scheduler_call *call,
                 struct rv_master_framework *f, const char *id, uint64_t request, uint64_t stream,
                 bool update) {
    struct rv_master_pending *p = rv_master_pending_new(RV_REGISTRY_PUT_FRAMEWORK, id);
    struct rv_registry_op *op;

    p->request = request;
    p->stream = stream;
    p->update = update;
    rv_framework_info_copy(&p->framework, call->subscribe.info);
    free((char *)(uintptr_t)p->framework.id.v);
    p->framework.id.v = rv_strdup(id);
    p->suppressed =
        copy_strings(call->subscribe.suppressed_roles, call->subscribe.n_suppressed_roles);
    p->n_suppressed = call->subscribe.n_suppressed_roles;
    p->constraints =
        call->subscribe.constraints ? rv_offer_constraints_ref(call->subscribe.constraints) : NULL;
    rv_master_stream_pend(m, p);
    op = rv_master_write(m, RV_REGISTRY_PUT_FRAMEWORK, p);
    op->framework_id.v = p->id;
    op->framework = &p->framework;
    if (f)
        f->put_seq = op->seq;
}

/* Malformed values: a 4xx. Returns false after the answer. */
static bool subscribe_well_formed(struct rv_master *m, const struct rv_master_event *e) {
    const struct rv_scheduler_call *call = e->scheduler;
    const struct rv_framework_info *info = call->subscribe.info;
    const char *problem;

    if (e->stream_id)
        RV_MASTER_REPLY(m, e->request, 400, "a SUBSCRIBE call has no 'Mesos-Stream-Id' header");
    else if (!info)
        RV_MASTER_REPLY(m, e->request, 400, "'subscribe.framework_info' is missing");
    else if (!rv_streq(call->framework_id.v, info->id.v))
        RV_MASTER_REPLY(m, e->request, 400,
                        "'framework_id' and 'subscribe.framework_info.id' differ");
    else if (info->id.v && (problem = rv_id_problem(info->id.v)))
        RV_MASTER_REPLY(m, e->request, 400, "'framework_id' is not valid: %s", problem);
    else if (rv_master_id_ahead(m, info->id.v, "-", m->next_framework))
        RV_MASTER_REPLY(m, e->request, 400, "'framework_id' was not given to anybody yet");
    else if (e->principal && info->principal && !rv_streq(e->principal, info->principal))
        RV_MASTER_REPLY(m, e->request, 400,
                        "'FrameworkInfo.principal' is not the principal that was authenticated");
    else if ((!info->id.v || !rv_map_gets(&m->frameworks, info->id.v)) &&
             rv_map_count(&m->frameworks) + m->pending_frameworks >= m->config.max_frameworks)
        RV_MASTER_REPLY(m, e->request, 503, "there are %zu frameworks already",
                        m->config.max_frameworks);
    else
        return true;
    return false;
}

void rv_master_subscribe(struct rv_master *m, const struct rv_master_event *e) {
    const struct rv_scheduler_call *call = e->scheduler;
    const struct rv_framework_info *info = call->subscribe.info;
    struct rv_master_framework *f = NULL;
    const char *problem, *id;

    if (info && info->id.v)
        m->counters.messages_resubscribe++;
    else
        m->counters.messages_subscribe++;
    if (!subscribe_well_formed(m, e))
        return;
    problem = info_problem(m, info, call->subscribe.suppressed_roles,
                           call->subscribe.n_suppressed_roles, call->subscribe.constraints);
    if (info->id.v) {
        f = rv_master_framework_find(m, info->id);
        if (f && f->removing) { /* perhaps: the registry has not written it yet */
            RV_MASTER_REPLY(m, e->request, 503, "the framework is being removed: subscribe again");
            return;
        }
        if (rv_master_framework_completed(m, info->id.v))
            problem = "Framework has been removed";
        else if (f && !problem)
            problem = change_problem(f, info);
    }
    if (problem) {
        refuse(m, e->request, e->stream, problem);
        return;
    }
    id = info->id.v;
    if (!id)
        id = RV_MASTER_TEXT(m, "%s-%04llu", m->config.id, (unsigned long long)m->next_framework++);
    pend(m, call, f, id, e->request, e->stream, false);
}

/* Suppressed becomes exactly this; what is no longer suppressed is revived. */
static void set_suppressed(struct rv_master *m, struct rv_master_framework *f,
                           char *const *suppressed, size_t n) {
    for (size_t i = 0; i < f->n_suppressed_roles; i++) {
        char *role = f->suppressed_roles[i];

        if (!in_strings(suppressed, n, role) && in_strings(f->info.roles, f->info.n_roles, role))
            rv_allocator_revive(m->allocator, f, &role, 1);
    }
    if (n)
        rv_allocator_suppress(m->allocator, f, suppressed, n);
    free_strings(f->suppressed_roles, f->n_suppressed_roles);
    f->suppressed_roles = copy_strings(suppressed, n);
    f->n_suppressed_roles = n;
}

static void send_info(struct rv_master *m, struct rv_master_framework *f,
                      struct rv_master_agent *a) {
    struct rv_agent_event *event = rv_master_tell_agent(m, a, RV_AGENT_EVENT_UPDATE_FRAMEWORK);

    if (event)
        event->framework = &f->info;
}

struct old_info {
    struct rv_framework_info info;
};

static void free_old_info(void *v) {
    struct old_info *old = v;

    rv_framework_info_free(&old->info);
    free(old);
}

static void apply(struct rv_master *m, struct rv_master_framework *f, struct rv_master_pending *p) {
    struct old_info *old = rv_calloc(1, sizeof *old);

    old->info = f->info; /* effects of this step may show its strings */
    rv_master_bury(m, free_old_info, old);
    memset(&f->info, 0, sizeof f->info);
    set_info(f, &p->framework);
    rv_offer_constraints_unref(f->constraints);
    f->constraints = TAKE_PTR(p->constraints);
    rv_allocator_update_framework(m->allocator, f, &f->info, f->constraints);
    RV_LIST_EACH (&f->offers, node, tmp) {
        struct rv_master_offer *o = RV_LIST_ENTRY(node, struct rv_master_offer, on_framework);

        if (!in_strings(f->info.roles, f->info.n_roles, o->role))
            rv_master_offer_drop(m, o, 0, true);
    }
    set_suppressed(m, f, p->suppressed, p->n_suppressed);
    rv_master_each_agent_of(m, f, send_info);
    rv_master_allocate_soon(m);
}

/* The older scheduler of the same framework: INV-43. */
static void supersede(struct rv_master *m, struct rv_master_framework *f) {
    rv_master_offers_drop_framework(m, f, false);
    rv_master_inverse_offers_drop_framework(m, f, false);
    rv_master_tell(m, f, RV_EVENT_ERROR)->error = "Framework failed over";
    rv_master_close_stream(m, f->stream);
    rv_master_stream_drop(m, f->stream);
    f->stream = 0;
}

static void connect(struct rv_master *m, struct rv_master_framework *f, uint64_t request,
                    uint64_t stream) {
    struct rv_scheduler_event *event;
    uint8_t uuid[16];

    rv_prng_uuid(&m->prng, uuid);
    rv_uuid_format(uuid, f->stream_id);
    f->stream = stream;
    f->connected = f->active = true;
    f->recovered = false;
    f->away_ns = 0;
    rv_timer_cancel(&m->timers, &f->failover);
    rv_master_stream_put(m, stream, RV_STREAM_FRAMEWORK, f);
    rv_master_open_stream(m, request, stream, f->stream_id);
    f->calls[RV_CALL_SUBSCRIBE]++;
    event = rv_master_tell(m, f, RV_EVENT_SUBSCRIBED);
    event->subscribed.framework_id = f->id;
    event->subscribed.heartbeat_ms = m->config.heartbeat_ms;
    event->subscribed.master_info = m->config.master_info;
    rv_master_tell(m, f, RV_EVENT_HEARTBEAT);
    rv_timer_set(&m->timers, &f->heartbeat, m->now_ms + m->config.heartbeat_ms);
    rv_master_reconcile_forget(m, f);
    rv_allocator_activate_framework(m->allocator, f, true);
    rv_master_allocate_soon(m);
}

/* What was written of it while this write was under way is older news. */
static void put_again(struct rv_master *m, struct rv_master_framework *f,
                      const struct rv_master_pending *p) {
    if (f->put_seq > p->seq)
        rv_master_framework_put(m, f);
}

static void update_done(struct rv_master *m, struct rv_master_pending *p) {
    struct rv_master_framework *f = rv_map_gets(&m->frameworks, p->id);
    struct rv_operator_event *event;

    if (!f || f->removing) {
        RV_MASTER_REPLY(m, p->request, 403, "the framework was removed");
        return;
    }
    apply(m, f, p);
    put_again(m, f, p);
    if (!f->connected) /* it went while this was being written */
        await_return(m, f);
    rv_master_reply_text(m, p->request, 200, NULL);
    event = rv_master_tell_operators(m, 0, RV_OPERATOR_EVENT_FRAMEWORK_UPDATED);
    if (event)
        event->framework = f;
}

void rv_master_put_framework_done(struct rv_master *m, struct rv_master_pending *p, bool ok) {
    struct rv_master_framework *f = rv_map_gets(&m->frameworks, p->id);
    struct rv_operator_event *event;
    bool is_new = !f;

    if (!ok) {
        if (p->update || p->stream)
            RV_MASTER_REPLY(m, p->request, 503, "the registry could not be written");
        return;
    }
    if (p->update) {
        update_done(m, p);
        return;
    }
    if (f && f->removing) { /* its removal is written after this, or not: see rv_master_subscribe */
        if (p->stream)
            RV_MASTER_REPLY(m, p->request, 503, "the framework is being removed: subscribe again");
        return;
    }
    if (rv_master_framework_completed(m, p->id)) {
        /* It went while the registry wrote: let it not come back from there. */
        struct rv_registry_op *op = rv_master_write(m, RV_REGISTRY_REMOVE_FRAMEWORK, NULL);

        op->framework_id.v = rv_master_keep(m, p->id);
        op->wall_ns = m->wall_ns;
        refuse(m, p->request, p->stream, "Framework has been removed");
        return;
    }
    if (is_new) {
        f = rv_master_framework_add(m, &p->framework, p->id);
        f->registered_ns = m->wall_ns;
    } else {
        if (f->registered_ns == 0)
            f->registered_ns = m->wall_ns;
        f->reregistered_ns = m->wall_ns;
        if (f->connected)
            supersede(m, f);
    }
    /* Not active before it is connected: nothing is offered for the old information. */
    f->connected = false;
    apply(m, f, p);
    if (p->stream) {
        connect(m, f, p->request, p->stream);
        put_again(m, f, p);
    } else { /* it gave up while the registry wrote: as if it had disconnected just now */
        f->connected = true;
        rv_master_framework_closed(m, f);
    }
    event = rv_master_tell_operators(
        m, 0, is_new ? RV_OPERATOR_EVENT_FRAMEWORK_ADDED : RV_OPERATOR_EVENT_FRAMEWORK_UPDATED);
    if (event)
        event->framework = f;
}

void rv_master_update_framework(struct rv_master *m, struct rv_master_framework *f,
                                const struct rv_master_event *e) {
    const struct rv_scheduler_call *call = e->scheduler;
    const struct rv_framework_info *info = call->subscribe.info;
    const char *problem;

    m->counters.messages_update_framework++;
    if (!info)
        problem = "'update_framework.framework_info' is missing";
    else if (info->id.v && !rv_streq(info->id.v, f->id.v))
        problem = "'framework_id' and 'update_framework.framework_info.id' differ";
    else
        problem = change_problem(f, info);
    if (!problem)
        problem = info_problem(m, info, call->subscribe.suppressed_roles,
                               call->subscribe.n_suppressed_roles, call->subscribe.constraints);
    if (problem)
        rv_master_reply_text(m, e->request, 400, problem);
    else
        pend(m, call, f, f->id.v, e->request, 0, true);
}

/* --- going --- */

void rv_master_framework_closed(struct rv_master *m, struct rv_master_framework *f) {
    struct rv_operator_event *event;

    f->stream = 0;
    f->connected = f->active = false;
    rv_timer_cancel(&m->timers, &f->heartbeat);
    rv_master_reconcile_forget(m, f);
    rv_allocator_activate_framework(m->allocator, f, false);
    rv_master_offers_drop_framework(m, f, false);
    rv_master_inverse_offers_drop_framework(m, f, false);
    RV_MASTER_INFO(m, "framework %s disconnected", f->id.v);
    if (f->removing)
        return;
    if (f->info.failover_timeout_ms <= 0) {
        rv_master_framework_remove(m, f, 0, 0, "it disconnected");
        return;
    }
    f->away_ns = m->wall_ns;
    f->away_since_ms = m->now_ms;
    f->grace_until_ms = 0;
    rv_master_framework_put(m, f);
    await_return(m, f);
    event = rv_master_tell_operators(m, 0, RV_OPERATOR_EVENT_FRAMEWORK_UPDATED);
    if (event)
        event->framework = f;
}

void rv_master_framework_remove(struct rv_master *m, struct rv_master_framework *f,
                                uint64_t request, int status, const char *why) {
    struct rv_master_pending *p;
    struct rv_registry_op *op;

    if (f->removing) {
        rv_master_reply_text(m, request, status, NULL);
        return;
    }
    RV_MASTER_INFO(m, "removing framework %s: %s", f->id.v, why);
    f->removing = true;
    f->active = false;
    rv_timer_cancel(&m->timers, &f->failover);
    rv_allocator_activate_framework(m->allocator, f, false);
    rv_master_offers_drop_framework(m, f, true);
    rv_master_inverse_offers_drop_framework(m, f, true);
    p = rv_master_pending_new(RV_REGISTRY_REMOVE_FRAMEWORK, f->id.v);
    p->request = request;
    p->status = status;
    p->wall_ns = m->wall_ns;
    op = rv_master_write(m, RV_REGISTRY_REMOVE_FRAMEWORK, p);
    op->framework_id.v = p->id;
    op->wall_ns = p->wall_ns;
}

static void shut_down_on(struct rv_master *m, struct rv_master_framework *f,
                         struct rv_master_agent *a) {
    struct rv_agent_event *event = rv_master_tell_agent(m, a, RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK);

    if (event)
        event->shutdown_framework = f->id;
}

static void end_tasks(struct rv_master *m, struct rv_master_framework *f) {
    void *v;

    for (size_t it = 0; rv_map_next(&f->tasks, &it, NULL, &v);) {
        struct rv_master_task *t = v;

        if (!rv_task_state_terminal(t->state))
            rv_master_task_lose(m, t, RV_TASK_KILLED, RV_REASON_FRAMEWORK_REMOVED,
                                "Framework was removed", 0);
        rv_master_task_complete(m, t);
    }
    RV_LIST_EACH (&f->executors, node, tmp)
        rv_master_executor_remove(m, RV_LIST_ENTRY(node, struct rv_master_executor, on_framework));
}

static void complete(struct rv_master *m, struct rv_master_framework *f) {
    f->unregistered_ns = m->wall_ns;
    f->connected = f->active = f->removing = false;
    rv_map_remove(&m->frameworks, rv_str(f->id.v));
    rv_vec_push(&m->completed_frameworks, f);
    while (m->completed_frameworks.n > m->config.max_completed_frameworks) {
        rv_master_bury(m, rv_master_framework_free, m->completed_frameworks.v[0]);
        rv_vec_remove_at(&m->completed_frameworks, 0);
    }
}

void rv_master_remove_framework_done(struct rv_master *m, struct rv_master_pending *p, bool ok) {
    struct rv_master_framework *f = rv_map_gets(&m->frameworks, p->id);
    struct rv_operator_event *event;
    uint64_t stream;

    if (!f)
        return;
    if (!ok) {
        RV_MASTER_REPLY(m, p->request, 503, "the registry could not be written");
        f->removing = false;
        f->active = f->connected;
        if (f->connected)
            rv_allocator_activate_framework(m->allocator, f, true);
        else /* try again a little later */
            rv_timer_set(&m->timers, &f->failover, m->now_ms + m->config.heartbeat_ms);
        return;
    }
    stream = f->stream;
    rv_timer_cancel(&m->timers, &f->heartbeat);
    rv_master_reconcile_forget(m, f);
    rv_master_each_agent_of(m, f, shut_down_on);
    f->connected = false; /* it asked to go, or is away: no updates of that any more */
    end_tasks(m, f);
    rv_master_operations_orphan(m, f);
    rv_master_answers_forget(m, f);
    RV_ASSERT(rv_list_empty(&f->offers) && rv_resources_empty(&f->used));
    rv_allocator_remove_framework(m->allocator, f);
    rv_master_reply_text(m, p->request, p->status, NULL);
    if (stream) {
        rv_master_close_stream(m, stream);
        rv_master_stream_drop(m, stream);
        f->stream = 0;
    }
    complete(m, f);
    rv_master_framework_end(m, f->id.v, p->wall_ns);
    event = rv_master_tell_operators(m, 0, RV_OPERATOR_EVENT_FRAMEWORK_REMOVED);
    if (event)
        event->framework = f;
}

/* --- wanting offers or not --- */

static bool own_roles(struct rv_master *m, const struct rv_master_framework *f,
                      const struct rv_scheduler_call *call) {
    if (call->roles.n_roles > RV_MASTER_MAX_ROLES) {
        m->counters.dropped_messages++;
        RV_MASTER_WARN(m, "framework %s: SUPPRESS or REVIVE of too many roles", f->id.v);
        return false;
    }
    for (size_t i = 0; i < call->roles.n_roles; i++)
        if (!in_strings(f->info.roles, f->info.n_roles, call->roles.roles[i])) {
            m->counters.dropped_messages++;
            RV_MASTER_WARN(m, "framework %s: SUPPRESS or REVIVE of role '%s', not one of its roles",
                           f->id.v, call->roles.roles[i]);
            return false;
        }
    return true;
}

void rv_master_suppress(struct rv_master *m, struct rv_master_framework *f,
                        const struct rv_scheduler_call *call) {
    char *const *roles = call->roles.n_roles ? call->roles.roles : f->info.roles;
    size_t n = call->roles.n_roles ? call->roles.n_roles : f->info.n_roles;

    m->counters.messages_suppress++;
    if (!own_roles(m, f, call))
        return;
    rv_allocator_suppress(m->allocator, f, roles, n);
    for (size_t i = 0; i < n; i++) {
        if (in_strings(f->suppressed_roles, f->n_suppressed_roles, roles[i]))
            continue;
        f->suppressed_roles = rv_realloc(f->suppressed_roles,
                                         (f->n_suppressed_roles + 1) * sizeof *f->suppressed_roles);
        f->suppressed_roles[f->n_suppressed_roles++] = rv_strdup(roles[i]);
    }
}

void rv_master_revive(struct rv_master *m, struct rv_master_framework *f,
                      const struct rv_scheduler_call *call) {
    char *const *roles = call->roles.n_roles ? call->roles.roles : f->info.roles;
    size_t n = call->roles.n_roles ? call->roles.n_roles : f->info.n_roles, kept = 0;

    m->counters.messages_revive++;
    if (!own_roles(m, f, call))
        return;
    rv_allocator_revive(m->allocator, f, roles, n);
    for (size_t i = 0; i < f->n_suppressed_roles; i++) {
        if (in_strings(roles, n, f->suppressed_roles[i]))
            free(f->suppressed_roles[i]);
        else
            f->suppressed_roles[kept++] = f->suppressed_roles[i];
    }
    f->n_suppressed_roles = kept;
    f->revives++;
    rv_master_allocate_soon(m);
}
