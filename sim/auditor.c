/* The auditor: see auditor.h. Costs: an event costs the offers and tasks of the agent it names. */
#include "auditor_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"

#define KEY_MAX 768

static struct rv_str key2(char buf[KEY_MAX], const char *a, const char *separator, const char *b) {
    int n = snprintf(buf, KEY_MAX, "%s%s%s", a ? a : "", separator, b ? b : "");
    return rv_strn(buf, (size_t)n);
}

/* Roles of allocation and the like do not matter in sums over an agent. */
static void add_plain(struct rv_resources *to, const struct rv_resources *r) {
    struct rv_resources plain = {0};

    rv_resources_copy(&plain, r);
    rv_resources_allocate(&plain, NULL);
    rv_resources_add(to, &plain);
    rv_resources_free(&plain);
}

const char *sim_audit_text(const struct rv_resources *r) {
    static char text[512];
    struct rv_buf b = {0};

    rv_resources_format(r, &b);
    snprintf(text, sizeof text, "%s", b.data ? b.data : "");
    rv_buf_free(&b);
    return text;
}

/* --- records --- */

static struct sim_audit_stream *find_stream(struct sim_auditor *a, uint64_t number) {
    return number ? rv_map_get(&a->streams, sim_audit_number_key(&number)) : NULL;
}

void sim_audit_free_strings(char **v, size_t n) {
    for (size_t i = 0; i < n; i++)
        free(v[i]);
    free(v);
}

char **sim_audit_copy_strings(char *const *v, size_t n) {
    char **copy = rv_calloc(n + 1, sizeof *copy);

    for (size_t i = 0; i < n; i++)
        copy[i] = rv_strdup(v[i]);
    return copy;
}

bool sim_audit_has_string(char *const *v, size_t n, const char *s) {
    for (size_t i = 0; i < n; i++)
        if (rv_streq(v[i], s))
            return true;
    return false;
}

void sim_audit_free_framework(struct sim_audit_framework *f) {
    sim_audit_free_strings(f->roles, f->n_roles);
    sim_audit_free_strings(f->suppressed, f->n_suppressed);
    free(f->id);
    free(f);
}

static struct sim_audit_framework *framework(struct sim_auditor *a, const char *id) {
    struct sim_audit_framework *f = rv_map_gets(&a->frameworks, id);

    if (!f) {
        f = rv_calloc(1, sizeof *f);
        f->id = rv_strdup(id);
        rv_map_put(&a->frameworks, rv_str(id), f);
    }
    return f;
}

static void free_used(struct rv_map *used) {
    void *r;

    for (size_t it = 0; rv_map_next(used, &it, NULL, &r);) {
        rv_resources_free(r);
        free(r);
    }
    rv_map_free(used);
}

static void free_agent(struct sim_audit_agent *g) {
    if (!g)
        return;
    free_used(&g->used);
    rv_map_free(&g->waiting);
    rv_map_free(&g->operations);
    rv_resources_free(&g->total);
    free(g->id);
    free(g);
}

static void use(struct sim_audit_agent *g, struct rv_str key, const struct rv_resources *r) {
    struct rv_resources *copy = rv_calloc(1, sizeof *copy), *old;

    rv_resources_copy(copy, r);
    old = rv_map_put(&g->used, key, copy);
    if (old) {
        rv_resources_free(old);
        free(old);
    }
}

static void unuse(struct sim_audit_agent *g, struct rv_str key) {
    struct rv_resources *old = rv_map_remove(&g->used, key);

    if (old) {
        rv_resources_free(old);
        free(old);
    }
}

static void unuse_framework(struct sim_audit_agent *g, const char *id) {
    size_t n = strlen(id);
    struct rv_str key;
    void *r;

    for (size_t it = 0; rv_map_next(&g->used, &it, &key, &r);)
        if (key.n > n && !memcmp(key.s, id, n) && (key.s[n] == ' ' || key.s[n] == '/')) {
            rv_map_remove(&g->used, key);
            rv_resources_free(r);
            free(r);
        }
}

static void forget_waiting(struct sim_audit_agent *g, const char *framework_id) {
    size_t n = strlen(framework_id);
    struct rv_str key;

    for (size_t it = 0; rv_map_next(&g->waiting, &it, &key, NULL);)
        if (key.n > n && !memcmp(key.s, framework_id, n) && key.s[n] == ' ')
            rv_map_remove(&g->waiting, key);
}

static void unuse_executors(struct sim_audit_agent *g) {
    struct rv_str key;
    void *r;

    for (size_t it = 0; rv_map_next(&g->used, &it, &key, &r);)
        if (memchr(key.s, '/', key.n)) {
            rv_map_remove(&g->used, key);
            rv_resources_free(r);
            free(r);
        }
}

static void free_offer(struct sim_audit_offer *o) {
    rv_resources_free(&o->resources);
    free(o->id);
    free(o->framework_id);
    free(o->agent_id);
    free(o->role);
    free(o);
}

void sim_audit_close_offer(struct sim_auditor *a, struct sim_audit_offer *o) {
    o->open = false;
    for (size_t i = 0; i < a->open.n; i++)
        if (a->open.v[i] == o) {
            rv_vec_remove_at(&a->open, i);
            return;
        }
}

static bool is_excused(struct sim_auditor *a, const char *framework_id, const char *task_id) {
    char buf[KEY_MAX];

    return rv_map_get(&a->excused, key2(buf, framework_id, " ", task_id)) != NULL;
}

/* --- what is offered and used --- */

static void print_book(struct sim_auditor *a, const struct sim_audit_agent *g) {
    struct rv_str key;
    void *r;

    sim_trace(a->world, NULL, "agent %s has %s", g->id, sim_audit_text(&g->total));
    for (size_t it = 0; rv_map_next(&g->used, &it, &key, &r);)
        sim_trace(a->world, NULL, "  used by %.*s: %s", (int)key.n, key.s, sim_audit_text(r));
    for (size_t i = 0; i < a->open.n; i++)
        if (rv_streq(a->open.v[i]->agent_id, g->id))
            sim_trace(a->world, NULL, "  offer %s: %s", a->open.v[i]->id,
                      sim_audit_text(&a->open.v[i]->resources));
}

void sim_audit_sum(struct sim_auditor *a, const struct sim_audit_agent *g) {
    struct rv_resources sum = {0};
    void *r;

    a->checks++;
    for (size_t it = 0; rv_map_next(&g->used, &it, NULL, &r);)
        add_plain(&sum, r);
    for (size_t i = 0; i < a->open.n; i++)
        if (rv_streq(a->open.v[i]->agent_id, g->id))
            rv_resources_add(&sum, &a->open.v[i]->resources);
    if (!rv_resources_contains(&g->total, &sum))
        print_book(a, g);
    if (!rv_resources_contains(&g->total, &sum))
        sim_fail(a->world, "INV-26: more offered and used of agent %s than it has: %s", g->id,
                 sim_audit_text(&sum));
    rv_resources_free(&sum);
}

static void check_kinds(struct sim_auditor *a, const struct sim_audit_framework *f,
                        const struct rv_offer_view *o) {
    for (size_t i = 0; i < o->resources->n; i++) {
        const struct rv_kind *k = o->resources->v[i].kind;
        const char *role = rv_kind_reserved_role(k);

        if ((k->revocable && !(f->capabilities & 1u << RV_FRAMEWORK_REVOCABLE_RESOURCES)) ||
            (k->shared && !(f->capabilities & 1u << RV_FRAMEWORK_SHARED_RESOURCES)) ||
            (rv_streq(k->name, "gpus") && !(f->capabilities & 1u << RV_FRAMEWORK_GPU_RESOURCES)))
            sim_fail(a->world, "INV-29: framework %s was offered %s, which it cannot use", f->id,
                     k->name);
        if (!rv_streq(role, "*") && !rv_role_within(o->role, role))
            sim_fail(a->world, "INV-29: role %s was offered what is reserved for %s", o->role,
                     role);
        if (!rv_streq(k->allocation_role, o->role))
            sim_fail(a->world, "INV-26: an offer to %s holds resources allocated to %s", o->role,
                     k->allocation_role ? k->allocation_role : "nobody");
    }
}

static void offered(struct sim_auditor *a, struct sim_audit_framework *f,
                    const struct rv_offer_view *view) {
    struct sim_audit_agent *g = rv_map_gets(&a->agents, view->agent->id.v);
    struct sim_audit_offer *o;

    if (rv_map_gets(&a->offers, view->id.v)) {
        sim_fail(a->world, "INV-24: offer id %s was given before", view->id.v);
        return;
    }
    if (!g || g->place != SIM_REGISTERED || !g->connected) {
        sim_fail(a->world, "INV-25: an offer of agent %s, which is not there", view->agent->id.v);
        return;
    }
    if (!sim_audit_has_string(f->roles, f->n_roles, view->role) ||
        sim_audit_has_string(f->suppressed, f->n_suppressed, view->role))
        sim_fail(a->world, "INV-28: framework %s has suppressed or has not role %s", f->id,
                 view->role);
    if (!rv_streq(view->framework_id.v, f->id))
        sim_fail(a->world, "INV-25: framework %s gets an offer to %s", f->id, view->framework_id.v);
    check_kinds(a, f, view);
    o = rv_calloc(1, sizeof *o);
    o->id = rv_strdup(view->id.v);
    o->framework_id = rv_strdup(f->id);
    o->agent_id = rv_strdup(g->id);
    o->role = rv_strdup(view->role);
    o->made_ms = a->world->now_ms;
    o->open = true;
    add_plain(&o->resources, view->resources);
    sim_trace(a->world, NULL, "offered %s of %s in %s: %s", o->id, o->agent_id, o->role,
              sim_audit_text(&o->resources));
    rv_map_put(&a->offers, rv_str(o->id), o);
    rv_vec_push(&a->open, o);
    sim_audit_filters_check(a, o);
    sim_audit_nodes_offered(a, g, view->away, o);
    sim_audit_quota_offered(a, o);
    sim_audit_sum(a, g);
}

/* --- updates to frameworks --- */

/* For all that the agent has last said, the task runs there or is on its way. */
static bool is_used(const struct sim_auditor *a, const struct sim_audit_agent *g,
                    struct rv_str key) {
    void *v;

    if (!g || !rv_map_get(&g->used, key))
        return false;
    for (size_t it = 0; rv_map_next(&a->registrations, &it, NULL, &v);) {
        const struct sim_audit_agent *said = v;
        if (rv_streq(said->id, g->id) && !rv_map_get(&said->used, key))
            return false;
    }
    return true;
}

static void check_capabilities(struct sim_auditor *a, const struct sim_audit_framework *f,
                               const struct rv_task_status *s) {
    bool partition = false;

    switch (s->state) {
    case RV_TASK_KILLING:
        if (!(f->capabilities & 1u << RV_FRAMEWORK_TASK_KILLING_STATE))
            sim_fail(a->world, "INV-40: framework %s gets TASK_KILLING", f->id);
        break;
    case RV_TASK_DROPPED:
    case RV_TASK_UNREACHABLE:
    case RV_TASK_GONE:
    case RV_TASK_GONE_BY_OPERATOR:
    case RV_TASK_UNKNOWN:
        partition = true;
        break;
    default:
        break;
    }
    if (partition && !(f->capabilities & 1u << RV_FRAMEWORK_PARTITION_AWARE))
        sim_fail(a->world, "INV-40: framework %s gets %s", f->id,
                 rv_task_state_name((int)s->state));
    if (s->has_source && s->source == RV_SOURCE_MASTER && s->has_uuid)
        sim_fail(a->world, "INV-39: an update by the master has a uuid: task %s", s->task_id.v);
}

static void updated(struct sim_auditor *a, const struct sim_audit_framework *f,
                    const struct rv_task_status *s) {
    char buf[KEY_MAX];
    struct rv_str key = key2(buf, f->id, " ", s->task_id.v);
    struct sim_audit_task *t = rv_map_get(&a->told, key);

    struct sim_audit_agent *g = rv_map_gets(&a->agents, s->agent_id.v);

    check_capabilities(a, f, s);
    sim_audit_answered(a, s);
    if (!is_excused(a, f->id, s->task_id.v))
        sim_audit_absence_told(a, f, s, is_used(a, g, key));
    if (!t) {
        t = rv_calloc(1, sizeof *t);
        rv_map_put(&a->told, key, t);
    }
    struct rv_str uuid = rv_strn(s->uuid, 16);
    bool known = s->has_uuid && rv_map_get(&t->uuids, uuid);
    if (s->has_uuid)
        rv_map_put(&t->uuids, uuid, t);
    if (t->sticky && s->state != t->state && !known && s->reason != RV_REASON_RECONCILIATION &&
        !is_excused(a, f->id, s->task_id.v))
        sim_fail(a->world, "INV-37: task %s was %s and is %s now (reason %s)", s->task_id.v,
                 rv_task_state_name((int)t->state), rv_task_state_name((int)s->state),
                 rv_reason_name((int)s->reason));
    sim_audit_absence_state(a, key, s);
    if (!t->sticky && s->reason != RV_REASON_RECONCILIATION) {
        t->state = s->state;
        t->sticky = rv_task_state_sticky(s->state);
    }
    /* What the framework is told to be over does not use anything. */
    if (g && (rv_task_state_terminal(s->state) || s->state == RV_TASK_UNREACHABLE))
        unuse(g, key);
}

static void subscribed(struct sim_auditor *a, uint64_t stream, const char *id) {
    struct sim_audit_framework *f = framework(a, id);
    struct sim_audit_stream *s = find_stream(a, stream);

    if (f->stream && f->stream->open && f->stream != s)
        sim_fail(a->world, "INV-43: framework %s has two subscriptions", id);
    if (f->removed)
        sim_fail(a->world, "INV-45: framework %s was removed and is subscribed", id);
    if (!s)
        return;
    free(s->framework_id);
    s->framework_id = rv_strdup(id);
    f->stream = s;
    sim_audit_filters_doubt(a, id, NULL, NULL);
    /* What it said in SUBSCRIBE counts from now on. */
    struct sim_audit_framework *said = rv_map_remove(&a->said, sim_audit_number_key(&stream));
    if (!said)
        return;
    sim_audit_free_strings(f->roles, f->n_roles);
    sim_audit_free_strings(f->suppressed, f->n_suppressed);
    f->capabilities = said->capabilities;
    f->checkpoint = said->checkpoint;
    f->roles = TAKE_PTR(said->roles);
    f->n_roles = said->n_roles;
    f->suppressed = TAKE_PTR(said->suppressed);
    f->n_suppressed = said->n_suppressed;
    said->n_roles = said->n_suppressed = 0;
    sim_audit_free_framework(said);
}

void sim_audit_to_scheduler(struct sim_auditor *a, uint64_t stream,
                            const struct rv_scheduler_event *e) {
    struct sim_audit_stream *s = find_stream(a, stream);
    struct sim_audit_framework *f;
    struct sim_audit_offer *o;

    sim_audit_link_acts(a, "tell a framework something");
    sim_audit_stream_tells(a, s);
    if (e->type == RV_EVENT_SUBSCRIBED) {
        sim_audit_durable(a, "framework", e->subscribed.framework_id.v, "SUBSCRIBED");
        subscribed(a, stream, e->subscribed.framework_id.v);
    }
    if (!s)
        return;
    s->last_ms = a->world->now_ms;
    f = s->framework_id ? framework(a, s->framework_id) : NULL;
    sim_trace(a->world, &a->master->server.party, "to %s: event %d %s %s",
              s->framework_id ? s->framework_id + RV_MIN(strlen(s->framework_id), (size_t)37) : "?",
              (int)e->type, e->type == RV_EVENT_UPDATE ? e->update->task_id.v : "",
              e->type == RV_EVENT_UPDATE  ? rv_task_state_name((int)e->update->state)
              : e->type == RV_EVENT_ERROR ? e->error
                                          : "");
    if (!f)
        return;
    if (f->stream != s)
        sim_fail(a->world, "INV-43: an event on an older subscription of framework %s", f->id);
    sim_audit_stream_sends(a, s, e);
    switch (e->type) {
    case RV_EVENT_OFFERS:
        for (size_t i = 0; i < e->offers.n; i++)
            offered(a, f, &e->offers.offers[i]);
        break;
    case RV_EVENT_RESCIND:
        o = rv_map_gets(&a->offers, e->rescind.v);
        if (!o || !o->open || !rv_streq(o->framework_id, f->id))
            sim_fail(a->world, "INV-24: offer %s is rescinded, but framework %s does not have it",
                     e->rescind.v, f->id);
        else
            sim_audit_close_offer(a, o);
        break;
    case RV_EVENT_UPDATE:
        updated(a, f, e->update);
        break;
    case RV_EVENT_UPDATE_OPERATION_STATUS:
        sim_audit_operation_told(a, f, e->operation);
        break;
    case RV_EVENT_INVERSE_OFFERS:
    case RV_EVENT_RESCIND_INVERSE_OFFER:
        sim_audit_nodes_told(a, f, e);
        break;
    default:
        break;
    }
}

/* --- streams --- */

void sim_audit_opened(struct sim_auditor *a, uint64_t stream, const char *stream_id) {
    struct sim_audit_stream *s = find_stream(a, stream);

    if (!s) {
        s = rv_calloc(1, sizeof *s);
        s->number = stream;
        rv_map_put(&a->streams, sim_audit_number_key(&stream), s);
    }
    s->open = true;
    s->last_ms = a->world->now_ms;
    snprintf(s->stream_id, sizeof s->stream_id, "%s", stream_id ? stream_id : "");
}

void sim_audit_closed(struct sim_auditor *a, uint64_t stream) {
    struct sim_audit_stream *s = find_stream(a, stream);

    if (!s || !s->open)
        return;
    s->open = false;
    if (s->framework_id) {
        struct sim_audit_framework *f = framework(a, s->framework_id);
        if (f->stream == s) {
            f->stream = NULL;
            f->away_ms = a->world->now_ms;
            sim_audit_nodes_left(a, f->id);
            for (size_t i = a->open.n; i > 0; i--)
                if (rv_streq(a->open.v[i - 1]->framework_id, f->id))
                    sim_audit_close_offer(a, a->open.v[i - 1]);
        }
    }
    if (s->agent_id) {
        struct sim_audit_agent *g = rv_map_gets(&a->agents, s->agent_id);
        if (g && g->stream == s) {
            g->connected = false;
            g->stream = NULL;
            /* Executors of frameworks that do not checkpoint count as over; if they are not, the
             * agent tells when it is back. */
            unuse_executors(g);
            rv_map_clear(&g->waiting);
        }
    }
}

/* --- agents at the master --- */

static struct sim_audit_agent *agent(struct sim_auditor *a, const char *id) {
    struct sim_audit_agent *g = rv_map_gets(&a->agents, id);

    if (!g) {
        g = rv_calloc(1, sizeof *g);
        g->id = rv_strdup(id);
        rv_map_put(&a->agents, rv_str(id), g);
    }
    return g;
}

/* What the agent says at registration counts when the master says REGISTERED. */
static void registration(struct sim_auditor *a, uint64_t stream, const struct rv_agent_call *call) {
    struct sim_audit_agent *g = rv_calloc(1, sizeof *g);
    char buf[KEY_MAX];

    g->id = call->agent_id.v ? rv_strdup(call->agent_id.v) : NULL;
    add_plain(&g->total, call->registration.total ? call->registration.total
                                                  : &call->registration.info->resources);
    for (size_t i = 0; i < call->registration.n_operations; i++)
        if (!call->registration.operations[i].status)
            rv_map_put(&g->operations, rv_strn(call->registration.operations[i].uuid, 16), a);
    rv_machine_key(call->registration.info->hostname, call->registration.info->ip, g->machine);
    for (size_t i = 0; i < call->registration.n_tasks; i++) {
        const struct rv_task_view *t = &call->registration.tasks[i];
        struct rv_str key = key2(buf, t->framework_id.v, " ", t->info->id.v);
        if (t->has_update_uuid && rv_task_state_terminal(t->update_state))
            rv_map_put(&g->waiting, key, a);
        if (rv_task_state_terminal(t->state))
            rv_map_put(&a->over, key, a);
        else if (!rv_map_get(&a->over, key))
            use(g, key, &t->info->resources);
    }
    for (size_t i = 0; i < call->registration.n_executors; i++) {
        const struct rv_executor_view *x = &call->registration.executors[i];
        use(g, key2(buf, x->framework_id.v, "/", x->info->id.v), &x->info->resources);
    }
    rv_map_put(&a->registrations, sim_audit_number_key(&stream), g);
}

void sim_audit_agent_call(struct sim_auditor *a, uint64_t stream,
                          const struct rv_agent_call *call) {
    struct sim_audit_agent *g = rv_map_gets(&a->agents, call->agent_id.v);
    char buf[KEY_MAX];

    sim_audit_stream_agent_said(a, call);
    if (call->type == RV_AGENT_CALL_REGISTER || call->type == RV_AGENT_CALL_REREGISTER) {
        registration(a, stream, call);
        sim_audit_quota_returned(a, call->registration.info->id.v);
    } else if (g && call->type == RV_AGENT_CALL_STATUS_UPDATE) {
        struct rv_str key =
            key2(buf, call->update.framework_id.v, " ", call->update.status->task_id.v);
        if (rv_task_state_terminal(call->update.latest_state) ||
            rv_task_state_terminal(call->update.status->state)) {
            rv_map_put(&a->over, key, a);
            /* Of tasks that the master may not know it need not wait for anything. */
            if (call->update.status->has_uuid && rv_map_get(&g->used, key) &&
                rv_task_state_terminal(call->update.status->state))
                rv_map_put(&g->waiting, key, a);
            unuse(g, key);
        }
    } else if (g && call->type == RV_AGENT_CALL_OPERATION_STATUS) {
        sim_audit_operation_ended(g, call);
    } else if (g && call->type == RV_AGENT_CALL_PONG) {
        if (g->connected && !g->leaving && !a->stale_call)
            g->alive_ms = a->world->now_ms;
    } else if (g && call->type == RV_AGENT_CALL_EXECUTOR_EXITED) {
        unuse(g, key2(buf, call->exited.framework_id.v, "/", call->exited.executor_id.v));
    }
}

static void registered(struct sim_auditor *a, uint64_t stream, const char *id) {
    struct sim_audit_agent *g = agent(a, id), *said;
    struct sim_audit_stream *s = find_stream(a, stream);

    said = rv_map_remove(&a->registrations, sim_audit_number_key(&stream));
    if (!s) {
        free_agent(said);
        return;
    }
    free(s->agent_id);
    s->agent_id = rv_strdup(id);
    if (g->place == SIM_GONE)
        sim_fail(a->world, "INV-15: agent %s is gone and was admitted", id);
    g->place = SIM_REGISTERED;
    g->connected = s->open;
    g->stream = s;
    g->alive_ms = a->world->now_ms;
    sim_audit_filters_doubt(a, NULL, NULL, id);
    if (!said)
        return;
    free_used(&g->used);
    rv_map_free(&g->waiting);
    rv_map_free(&g->operations);
    rv_resources_free(&g->total);
    g->used = said->used;
    g->waiting = said->waiting;
    g->operations = said->operations;
    g->total = said->total;
    memcpy(g->machine, said->machine, sizeof g->machine);
    g->told_to_end = false;
    sim_audit_absence_back(a, g);
    memset(&said->used, 0, sizeof said->used);
    memset(&said->waiting, 0, sizeof said->waiting);
    memset(&said->operations, 0, sizeof said->operations);
    memset(&said->total, 0, sizeof said->total);
    free_agent(said);
}

static void run_tasks(struct sim_auditor *a, struct sim_audit_agent *g,
                      const struct rv_agent_event *e) {
    const char *framework_id = e->run.framework->id.v;
    char buf[KEY_MAX];
    struct rv_str key;

    if (!a->call.call || a->call.call->type != RV_CALL_ACCEPT || !a->call.accepted ||
        !rv_streq(a->call.agent_id, g->id)) {
        sim_fail(a->world, "INV-24: task %s is launched without a valid offer of %s",
                 e->run.tasks[0].id.v, g->id);
        return;
    }
    for (size_t i = 0; i < e->run.n_tasks; i++) {
        struct rv_resources plain = {0};
        add_plain(&plain, &e->run.tasks[i].resources);
        if (!rv_resources_contains(&a->call.pool, &plain))
            sim_fail(a->world, "INV-26: task %s takes more than was offered: %s",
                     e->run.tasks[i].id.v, sim_audit_text(&plain));
        rv_resources_subtract(&a->call.pool, &plain);
        rv_resources_free(&plain);
        use(g, key2(buf, framework_id, " ", e->run.tasks[i].id.v), &e->run.tasks[i].resources);
    }
    if (e->run.executor && !e->run.executor_runs) {
        key = key2(buf, framework_id, "/", e->run.executor->id.v);
        if (!rv_map_get(&g->used, key))
            use(g, key, &e->run.executor->resources);
    }
    sim_audit_sum(a, g);
}

void sim_audit_to_agent(struct sim_auditor *a, uint64_t stream, const struct rv_agent_event *e) {
    struct sim_audit_stream *s = find_stream(a, stream);
    struct sim_audit_agent *g;

    sim_audit_link_acts(a, "tell an agent something");
    sim_audit_stream_tells(a, s);
    sim_audit_stream_orders(a, e);
    if (e->type == RV_AGENT_EVENT_REGISTERED) {
        sim_audit_durable(a, "agent", e->registered.agent_id.v, "REGISTERED");
        registered(a, stream, e->registered.agent_id.v);
    }
    if (e->type != RV_AGENT_EVENT_PING)
        sim_trace(a->world, &a->master->server.party, "to agent %s: event %d %s",
                  s && s->agent_id ? s->agent_id : "?", (int)e->type,
                  e->type == RV_AGENT_EVENT_RUN_TASKS     ? e->run.tasks[0].id.v
                  : e->type == RV_AGENT_EVENT_ACKNOWLEDGE ? e->acknowledge.task_id.v
                  : e->type == RV_AGENT_EVENT_KILL_TASK   ? e->kill.task_id.v
                                                          : "");
    if (!s || !s->agent_id)
        return;
    g = agent(a, s->agent_id);
    if (e->type == RV_AGENT_EVENT_RUN_TASKS)
        run_tasks(a, g, e);
    else if (e->type == RV_AGENT_EVENT_APPLY_OPERATION)
        sim_audit_operation_sent(a, g, e);
    else if (e->type == RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK) {
        unuse_framework(g, e->shutdown_framework.v);
        forget_waiting(g, e->shutdown_framework.v);
    } else if (e->type == RV_AGENT_EVENT_ACKNOWLEDGE) {
        char buf[KEY_MAX];

        rv_map_remove(&g->waiting,
                      key2(buf, e->acknowledge.framework_id.v, " ", e->acknowledge.task_id.v));
    } else if (e->type == RV_AGENT_EVENT_SHUTDOWN) {
        g->told_to_end = true;
    } else if (e->type == RV_AGENT_EVENT_FRAMEWORK_MESSAGE) {
        sim_audit_message_sent(a, e->message.framework_id.v, e->message.data);
    }
}

/* --- registry, steps, life --- */

static void framework_removed(struct sim_auditor *a, const char *id) {
    void *g;

    framework(a, id)->removed = true;
    for (size_t it = 0; rv_map_next(&a->agents, &it, NULL, &g);) {
        unuse_framework(g, id);
        forget_waiting(g, id);
    }
    sim_audit_nodes_left(a, id);
}

void sim_audit_registry_asked(struct sim_auditor *a, const struct rv_registry_op *op) {
    sim_audit_link_acts(a, "change the registry");
    if (op->kind == RV_REGISTRY_ADMIT_AGENT || op->kind == RV_REGISTRY_MARK_REACHABLE)
        sim_audit_stream_agent_back(a, op->agent_id.v);
    sim_audit_nodes_asked(a, op);
    sim_audit_absence_asked(a, op);
    sim_audit_quota_written(a, op);
}

/* The core hears of it now; the books must not be ahead of it in the wrong direction. */
void sim_audit_registry(struct sim_auditor *a, const struct rv_registry_op *op, bool ok) {
    struct sim_audit_agent *g;

    sim_audit_nodes_registry(a, op, ok);
    sim_audit_absence_registry(a, op, ok);
    sim_audit_quota_registry(a, op, ok);
    if (!ok)
        return;
    switch (op->kind) {
    case RV_REGISTRY_MARK_UNREACHABLE:
    case RV_REGISTRY_REMOVE_AGENT:
    case RV_REGISTRY_MARK_GONE:
        g = agent(a, op->agent_id.v);
        g->place = op->kind == RV_REGISTRY_MARK_GONE ? SIM_GONE : SIM_UNREACHABLE;
        g->connected = false;
        g->stream = NULL;
        free_used(&g->used);
        if (op->kind == RV_REGISTRY_REMOVE_AGENT)
            free_agent(rv_map_remove(&a->agents, rv_str(op->agent_id.v)));
        break;
    case RV_REGISTRY_ADMIT_AGENT:
    case RV_REGISTRY_MARK_REACHABLE:
        agent(a, op->agent_id.v)->place = SIM_REGISTERED; /* even if it went meanwhile */
        break;
    case RV_REGISTRY_REMOVE_FRAMEWORK:
        framework_removed(a, op->framework_id.v);
        break;
    case RV_REGISTRY_PUT_FRAMEWORK:
        if (op->framework && rv_map_gets(&a->frameworks, op->framework_id.v)) {
            /* An UPDATE_FRAMEWORK or SUBSCRIBE takes effect in this step. */
            struct sim_audit_framework *f = framework(a, op->framework_id.v);
            f->capabilities = op->framework->capabilities;
            sim_audit_free_strings(f->roles, f->n_roles);
            f->roles = sim_audit_copy_strings(op->framework->roles, op->framework->n_roles);
            f->n_roles = op->framework->n_roles;
            sim_audit_free_strings(f->suppressed, f->n_suppressed);
            f->suppressed = NULL;
            f->n_suppressed = 0;
            sim_audit_filters_doubt(a, f->id, NULL, NULL);
        }
        break;
    default:
        break;
    }
}

void sim_audit_master_stepped(struct sim_auditor *a) {
    const struct rv_master_config *config = &a->master->config;
    int64_t timeout_ms = config->offer_timeout_ms ? config->offer_timeout_ms : 300000;
    int64_t awake_ms = a->master->server.party.frozen_until_ms;
    struct sim_audit_stream *s;

    sim_audit_call_stepped(a);
    for (size_t i = 0; i < a->open.n; i++) {
        const struct sim_audit_offer *o = a->open.v[i];
        const struct sim_audit_agent *g = rv_map_gets(&a->agents, o->agent_id);

        if (!g || !g->connected)
            sim_fail(a->world, "INV-25: offer %s outlives the connection of its agent", o->id);
        if (a->world->now_ms - RV_MAX(o->made_ms, awake_ms) > timeout_ms + 10)
            sim_fail(a->world, "INV-33: offer %s is held since %lld", o->id, (long long)o->made_ms);
    }
    sim_audit_nodes_stepped(a, timeout_ms, awake_ms);
    sim_audit_absence_stepped(a, awake_ms);
    for (size_t it = 0; rv_map_next(&a->frameworks, &it, NULL, (void **)&s);) {
        const struct sim_audit_framework *f = (const void *)s;
        if (f->stream && a->world->now_ms - RV_MAX(f->stream->last_ms, awake_ms) > 15010)
            sim_fail(a->world, "INV-46: framework %s has had no heartbeat since %lld", f->id,
                     (long long)f->stream->last_ms);
    }
}

void sim_audit_books_closed(struct sim_auditor *a) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->streams, &it, NULL, &v);)
        ((struct sim_audit_stream *)v)->open = false;
    for (size_t it = 0; rv_map_next(&a->frameworks, &it, NULL, &v);) {
        struct sim_audit_framework *f = v;
        if (f->stream)
            f->away_ms = a->world->now_ms;
        f->stream = NULL;
    }
    for (size_t it = 0; rv_map_next(&a->agents, &it, NULL, &v);)
        free_agent(v);
    rv_map_clear(&a->agents);
    while (a->open.n)
        sim_audit_close_offer(a, a->open.v[0]);
    sim_audit_filters_drop(a, NULL);
    sim_audit_nodes_crashed(a);
}

void sim_audit_books_opened(struct sim_auditor *a, const struct rv_registry_snapshot *s) {
    for (size_t i = 0; i < s->n_agents; i++)
        agent(a, s->agents[i].id.v)->place = SIM_RECOVERED;
    for (size_t i = 0; i < s->n_unreachable; i++)
        agent(a, s->unreachable[i].id)->place = SIM_UNREACHABLE;
    for (size_t i = 0; i < s->n_gone; i++)
        agent(a, s->gone[i].id)->place = SIM_GONE;
    /* Some of them by a write that the last master was not told of. */
    for (size_t i = 0; i < s->n_ended; i++)
        framework(a, s->ended[i].id)->removed = true;
    sim_audit_nodes_started(a, s);
    sim_audit_absence_started(a, s);
    sim_audit_quota_started(a, s);
}

/* --- making and end --- */

void sim_audit_excuse(struct sim_auditor *a, const char *framework_id, const char *task_id) {
    char buf[KEY_MAX];

    rv_map_put(&a->excused, key2(buf, framework_id, " ", task_id), a);
}

/* Executors do not count: the master may drop them at a registration without a word on the wire. */
void sim_audit_idle(struct sim_auditor *a) {
    void *v;

    sim_audit_links_idle(a);
    sim_audit_alone_idle(a);
    for (size_t it = 0; rv_map_next(&a->agents, &it, NULL, &v);) {
        const struct sim_audit_agent *g = v;
        struct rv_str key;
        for (size_t k = 0; rv_map_next(&g->used, &k, &key, &v);)
            if (memchr(key.s, ' ', key.n))
                sim_fail(a->world, "INV-27: %.*s still uses agent %s", (int)key.n, key.s, g->id);
    }
}

void sim_auditor_init(struct sim_auditor *a, struct sim_world *w, struct sim_master *m) {
    *a = (struct sim_auditor){.world = w, .master = m};
}

static void free_all(struct rv_map *map, void (*free_one)(void *v)) {
    void *v;

    for (size_t it = 0; rv_map_next(map, &it, NULL, &v);)
        free_one(v);
    rv_map_free(map);
}

static void free_stream(void *v) {
    struct sim_audit_stream *s = v;

    free(s->framework_id);
    free(s->agent_id);
    free(s);
}

static void free_framework_value(void *v) {
    sim_audit_free_framework(v);
}

static void free_agent_value(void *v) {
    free_agent(v);
}

static void free_offer_value(void *v) {
    free_offer(v);
}

static void free_task_value(void *v) {
    struct sim_audit_task *t = v;

    rv_map_free(&t->uuids);
    free(t);
}

void sim_auditor_free(struct sim_auditor *a) {
    sim_audit_masters_free(a);
    sim_audit_filters_drop(a, NULL);
    sim_audit_nodes_crashed(a);
    sim_audit_recovery_free(a);
    sim_audit_quota_free(a);
    sim_audit_operations_free(a);
    sim_audit_links_free(a);
    sim_audit_streams_free(a);
    sim_audit_alone_free(a);
    sim_audit_absence_free(a);
    free_all(&a->streams, free_stream);
    free_all(&a->frameworks, free_framework_value);
    free_all(&a->said, free_framework_value);
    free_all(&a->agents, free_agent_value);
    free_all(&a->registrations, free_agent_value);
    free_all(&a->offers, free_offer_value);
    free_all(&a->agent_tasks, free_task_value);
    free_all(&a->told, free_task_value);
    free_all(&a->running, free);
    rv_map_free(&a->excused);
    rv_map_free(&a->over);
    rv_map_free(&a->call.expected);
    rv_resources_free(&a->call.pool);
    rv_vec_free(&a->open);
    rv_vec_free(&a->filters);
}
