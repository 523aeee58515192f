/* What a simulated scheduler calls: see scheduler_calls.h. Trees are built in its arena. */
#include "scheduler_calls.h"

#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"
#include "scheduler_operations.h"
#include "wire/convert.h"

/* FrameworkInfo.role: what frameworks without MULTI_ROLE still use. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define MAKE(Type, name) RV_WIRE_MAKE(&s->arena, Type, name)
#define CALL(name)                                                                                 \
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;                            \
    call.type = REEVE__V1__SCHEDULER__CALL__TYPE__##name

static struct sim_world *world_of(const struct sim_scheduler *s) {
    return &s->cluster->world;
}

static char *keep(struct sim_scheduler *s, const char *text) {
    return rv_arena_strdup(&s->arena, text);
}

static Reeve__V1__TaskID *task_id(struct sim_scheduler *s, const char *id) {
    Reeve__V1__TaskID *m = MAKE(TaskID, task_id);
    m->value = keep(s, id);
    return m;
}

static Reeve__V1__AgentID *agent_id(struct sim_scheduler *s, const char *id) {
    Reeve__V1__AgentID *m = MAKE(AgentID, agent_id);
    m->value = keep(s, id);
    return m;
}

static Reeve__V1__ExecutorID *executor_id(struct sim_scheduler *s, const char *id) {
    Reeve__V1__ExecutorID *m = MAKE(ExecutorID, executor_id);
    m->value = keep(s, id);
    return m;
}

Reeve__V1__FrameworkInfo *sim_scheduler_info(struct sim_scheduler *s) {
    Reeve__V1__FrameworkInfo *m = MAKE(FrameworkInfo, framework_info);

    m->user = keep(s, "nobody");
    m->name = keep(s, s->party.name);
    if (s->framework_id) {
        m->id = MAKE(FrameworkID, framework_id);
        m->id->value = keep(s, s->framework_id);
    }
    m->has_failover_timeout = 1;
    m->failover_timeout = s->failover_timeout_s;
    m->has_checkpoint = 1;
    m->checkpoint = s->checkpoint;
    if (s->capabilities & 1u << RV_FRAMEWORK_MULTI_ROLE) {
        m->roles = s->roles;
        m->n_roles = s->n_roles;
    } else
        m->role = s->roles[0];
    m->capabilities = rv_arena_zalloc(&s->arena, 16 * sizeof *m->capabilities);
    for (unsigned i = 1; i < RV_FRAMEWORK_CAPABILITY_MAX; i++)
        if (s->capabilities & 1u << i) {
            Reeve__V1__FrameworkInfo__Capability *c = rv_arena_alloc(&s->arena, sizeof *c);
            reeve__v1__framework_info__capability__init(c);
            c->has_type = 1;
            c->type = (Reeve__V1__FrameworkInfo__Capability__Type)i;
            m->capabilities[m->n_capabilities++] = c;
        }
    return m;
}

void sim_scheduler_acknowledge(struct sim_scheduler *s, const Reeve__V1__TaskStatus *status) {
    CALL(ACKNOWLEDGE);
    Reeve__V1__Scheduler__Call__Acknowledge m = REEVE__V1__SCHEDULER__CALL__ACKNOWLEDGE__INIT;

    if (!status->agent_id) {
        sim_fail(world_of(s), "INV-35: an update with a uuid names no agent: task %s",
                 status->task_id->value);
        return;
    }
    m.agent_id = status->agent_id;
    m.task_id = status->task_id;
    m.uuid = status->uuid;
    call.acknowledge = &m;
    sim_scheduler_post(s, &call);
}

static Reeve__V1__Scheduler__Call__Reconcile__Task *question(struct sim_scheduler *s,
                                                             const char *task, const char *agent) {
    Reeve__V1__Scheduler__Call__Reconcile__Task *q = rv_arena_alloc(&s->arena, sizeof *q);

    reeve__v1__scheduler__call__reconcile__task__init(q);
    q->task_id = task_id(s, task);
    if (agent)
        q->agent_id = agent_id(s, agent);
    return q;
}

void sim_scheduler_reconcile(struct sim_scheduler *s, bool all) {
    CALL(RECONCILE);
    Reeve__V1__Scheduler__Call__Reconcile m = REEVE__V1__SCHEDULER__CALL__RECONCILE__INIT;
    struct sim_world *w = world_of(s);

    m.tasks = rv_arena_zalloc(&s->arena, (s->jobs.n + 2) * sizeof(void *));
    for (size_t i = 0; i < s->jobs.n; i++)
        if (!s->jobs.v[i]->over && (all || sim_chance(w, 500)))
            m.tasks[m.n_tasks++] = question(s, s->jobs.v[i]->id, s->jobs.v[i]->agent_id);
    if (all && !m.n_tasks)
        return; /* none would mean: about all */
    call.reconcile = &m;
    sim_scheduler_post(s, &call);
}

/* --- offers --- */

static Reeve__V1__Filters *filters(struct sim_scheduler *s) {
    struct sim_world *w = world_of(s);
    Reeve__V1__Filters *m = MAKE(Filters, filters);

    m->has_refuse_seconds = 1;
    m->refuse_seconds = w->healing ? 1 : sim_chance(w, 50) ? 1e9 : (double)sim_between(w, 0, 60);
    return m;
}

static Reeve__V1__OfferID **offer_ids(struct sim_scheduler *s, const char *id) {
    Reeve__V1__OfferID **v = rv_arena_zalloc(&s->arena, sizeof *v);

    v[0] = MAKE(OfferID, offer_id);
    v[0]->value = keep(s, id);
    return v;
}

static void decline(struct sim_scheduler *s, const char *id) {
    CALL(DECLINE);
    Reeve__V1__Scheduler__Call__Decline m = REEVE__V1__SCHEDULER__CALL__DECLINE__INIT;

    m.offer_ids = offer_ids(s, id);
    m.n_offer_ids = 1;
    if (world_of(s)->healing || sim_chance(world_of(s), 800))
        m.filters = filters(s);
    call.decline = &m;
    sim_scheduler_post(s, &call);
}

/* Takes so much of a name from the pool, of whatever kind has it. false: it is not there. */
static bool take(struct rv_resources *pool, const char *name, int64_t amount,
                 struct rv_resources *out) {
    for (size_t i = 0; i < pool->n; i++) {
        struct rv_resource *r = &pool->v[i];
        if (r->kind->type != RV_SCALAR || !rv_streq(r->kind->name, name) || r->scalar < amount)
            continue;
        struct rv_resource part = {.kind = rv_kind_ref(r->kind), .scalar = amount, .copies = 1};
        rv_resources_add_one(out, &part);
        rv_resources_subtract_one(pool, &part);
        rv_resource_clear(&part);
        return true;
    }
    return false;
}

static void take_port(struct rv_resources *pool, struct rv_resources *out) {
    for (size_t i = 0; i < pool->n; i++) {
        struct rv_resource *r = &pool->v[i];
        if (r->kind->type != RV_RANGES || !r->ranges.n)
            continue;
        struct rv_range one = {r->ranges.v[0].begin, r->ranges.v[0].begin};
        struct rv_resource borrowed = {.kind = r->kind, .ranges = {&one, 1}, .copies = 1};
        rv_resources_add_one(out, &borrowed);
        rv_resources_subtract_one(pool, &borrowed);
        return;
    }
}

static void take_volume(struct rv_resources *pool, struct rv_resources *out) {
    for (size_t i = 0; i < pool->n; i++) {
        if (!rv_kind_is_volume(pool->v[i].kind))
            continue;
        struct rv_resource volume = rv_resource_copy(&pool->v[i]);
        rv_resources_add_one(out, &volume);
        rv_resources_subtract_one(pool, &volume);
        rv_resource_clear(&volume);
        return;
    }
}

static void put_resources(struct sim_scheduler *s, const struct rv_resources *r,
                          Reeve__V1__Resource ***v, size_t *n) {
    bool multi = s->capabilities & 1u << RV_FRAMEWORK_MULTI_ROLE;

    rv_wire_resources_to(r, rv_wire_shape_for(s->capabilities), multi, &s->arena, v, n);
}

static Reeve__V1__CommandInfo *command(struct sim_scheduler *s) {
    Reeve__V1__CommandInfo *m = MAKE(CommandInfo, command_info);
    m->value = keep(s, "sleep 1");
    return m;
}

static Reeve__V1__ExecutorInfo *executor(struct sim_scheduler *s, const char *id, bool group,
                                         const struct rv_resources *r) {
    Reeve__V1__ExecutorInfo *m = MAKE(ExecutorInfo, executor_info);

    m->has_type = 1;
    m->type =
        group ? REEVE__V1__EXECUTOR_INFO__TYPE__DEFAULT : REEVE__V1__EXECUTOR_INFO__TYPE__CUSTOM;
    m->executor_id = executor_id(s, id);
    m->framework_id = MAKE(FrameworkID, framework_id);
    m->framework_id->value = keep(s, s->framework_id);
    if (!group)
        m->command = command(s);
    put_resources(s, r, &m->resources, &m->n_resources);
    return m;
}

static struct sim_job *new_job(struct sim_scheduler *s, const struct sim_offer *o,
                               const char *executor) {
    struct sim_job *job = rv_calloc(1, sizeof *job);

    job->id = rv_asprintf("t%zu-%llu", s->number, (unsigned long long)s->next_task++);
    job->agent_id = rv_strdup(o->agent_id);
    job->executor_id = rv_strdup(executor);
    job->state = RV_TASK_STAGING;
    job->last_ms = world_of(s)->now_ms;
    rv_vec_push(&s->jobs, job);
    return job;
}

static Reeve__V1__TaskInfo *task(struct sim_scheduler *s, const struct sim_offer *o, const char *id,
                                 const struct rv_resources *r) {
    Reeve__V1__TaskInfo *m = MAKE(TaskInfo, task_info);

    m->name = keep(s, "work");
    m->task_id = task_id(s, id);
    m->agent_id = agent_id(s, o->agent_id);
    put_resources(s, r, &m->resources, &m->n_resources);
    return m;
}

/* A task id in use already: the master is to refuse it. */
static const char *duplicate_id(struct sim_scheduler *s) {
    for (size_t i = 0; i < s->jobs.n; i++)
        if (s->jobs.v[i]->known && !s->jobs.v[i]->over) {
            sim_audit_excuse(&s->cluster->auditor, s->framework_id, s->jobs.v[i]->id);
            return s->jobs.v[i]->id;
        }
    return NULL;
}

static Reeve__V1__TaskInfo *choose_task(struct sim_scheduler *s, struct sim_offer *o,
                                        struct rv_resources *held, const char *executor) {
    struct sim_world *w = world_of(s);
    struct rv_resources all = {0};
    const char *duplicate;

    if (!take(&o->resources, "cpus", sim_between(w, 1, 10) * 100, held) ||
        !take(&o->resources, "mem", sim_between(w, 1, 4) * 32000, held))
        return NULL;
    if (sim_chance(w, 300))
        take_port(&o->resources, held);
    if (w->faults.operations && sim_chance(w, 500))
        take_volume(&o->resources, held);
    rv_resources_move(&all, held);
    rv_resources_copy(held, &all);
    if (sim_fault(w, w->faults.invalid_call / 4)) {
        struct rv_resources more = {0};
        rv_resources_copy(&more, &all);
        if (more.n)
            more.v[0].kind->type == RV_SCALAR ? (void)(more.v[0].scalar += 100000000) : (void)0;
        rv_resources_move(&all, &more);
    }
    duplicate = sim_fault(w, w->faults.invalid_call / 4) ? duplicate_id(s) : NULL;
    Reeve__V1__TaskInfo *m = task(s, o, duplicate ? duplicate : new_job(s, o, executor)->id, &all);
    /* The tree borrows from the resources: they live in the list that the caller frees. */
    rv_resources_free(held);
    rv_resources_move(held, &all);
    return m;
}

struct launch {
    struct rv_resources held[5]; /* what the trees borrow */
    size_t n;
};

static void launch_tasks(struct sim_scheduler *s, struct sim_offer *o, struct launch *l,
                         Reeve__V1__Offer__Operation *op) {
    struct sim_world *w = world_of(s);
    bool group = s->custom_executor && sim_chance(w, 300), custom = s->custom_executor && !group;
    Reeve__V1__ExecutorInfo *x = NULL;
    Reeve__V1__TaskInfo **tasks = rv_arena_zalloc(&s->arena, 4 * sizeof *tasks), *t;
    size_t n = 0, wanted = (size_t)sim_between(w, 1, 3);
    char id[200];

    if (group || custom) {
        struct rv_resources *r = &l->held[l->n++];
        snprintf(id, sizeof id, "%s-%s-%llu", group ? "group" : "custom", strrchr(o->agent_id, '-'),
                 (unsigned long long)(custom ? sim_below(w, 2) : s->next_task));
        if (!take(&o->resources, "cpus", 100, r) || !take(&o->resources, "mem", 32000, r))
            return;
        x = executor(s, id, group, r);
    }
    while (n < wanted && (t = choose_task(s, o, &l->held[l->n++], x ? id : NULL))) {
        if (custom)
            t->executor = x;
        else
            t->command = command(s);
        tasks[n++] = t;
    }
    if (!n)
        return;
    op->has_type = 1;
    if (group) {
        op->type = REEVE__V1__OFFER__OPERATION__TYPE__LAUNCH_GROUP;
        op->launch_group = rv_arena_alloc(&s->arena, sizeof *op->launch_group);
        reeve__v1__offer__operation__launch_group__init(op->launch_group);
        op->launch_group->executor = x;
        op->launch_group->task_group = MAKE(TaskGroupInfo, task_group_info);
        op->launch_group->task_group->tasks = tasks;
        op->launch_group->task_group->n_tasks = n;
    } else {
        op->type = REEVE__V1__OFFER__OPERATION__TYPE__LAUNCH;
        op->launch = rv_arena_alloc(&s->arena, sizeof *op->launch);
        reeve__v1__offer__operation__launch__init(op->launch);
        op->launch->task_infos = tasks;
        op->launch->n_task_infos = n;
    }
}

static void accept(struct sim_scheduler *s, struct sim_offer *o, const char *id) {
    CALL(ACCEPT);
    Reeve__V1__Scheduler__Call__Accept m = REEVE__V1__SCHEDULER__CALL__ACCEPT__INIT;
    Reeve__V1__Offer__Operation op = REEVE__V1__OFFER__OPERATION__INIT;
    Reeve__V1__Offer__Operation *ops[SIM_OPERATIONS_MAX + 1];
    struct rv_operation asked[SIM_OPERATIONS_MAX] = {0};
    struct launch l = {0};

    m.n_operations = sim_scheduler_operate(s, o, ops, asked);
    launch_tasks(s, o, &l, &op);
    m.offer_ids = offer_ids(s, id);
    m.n_offer_ids = 1;
    m.operations = ops;
    if (op.has_type)
        ops[m.n_operations++] = &op;
    if (world_of(s)->healing || sim_chance(world_of(s), 500))
        m.filters = filters(s);
    call.accept = &m;
    sim_scheduler_post(s, &call);
    for (size_t i = 0; i < RV_COUNT(l.held); i++)
        rv_resources_free(&l.held[i]);
    for (size_t i = 0; i < RV_COUNT(asked); i++)
        rv_operation_free(&asked[i]);
}

void sim_scheduler_answer(struct sim_scheduler *s, struct sim_offer *o) {
    struct sim_world *w = world_of(s);
    char last[160];

    memcpy(last, s->last_offer, sizeof last);
    if (s->cluster->draining || s->jobs.n >= s->max_tasks || !sim_chance(w, s->accepts)) {
        decline(s, o->id);
    } else {
        accept(s, o, o->id);
        if (sim_fault(w, w->faults.invalid_call))
            accept(s, o, last); /* consumed above */
    }
    sim_offer_free(o);
}

/* --- whims --- */

void sim_scheduler_answer_inverse(struct sim_scheduler *s, const char *id) {
    bool yes = sim_chance(world_of(s), 500);
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__AcceptInverseOffers accept =
        REEVE__V1__SCHEDULER__CALL__ACCEPT_INVERSE_OFFERS__INIT;
    Reeve__V1__Scheduler__Call__DeclineInverseOffers decline =
        REEVE__V1__SCHEDULER__CALL__DECLINE_INVERSE_OFFERS__INIT;
    Reeve__V1__OfferID *ids = MAKE(OfferID, offer_id);

    ids->value = keep(s, id);
    call.type = yes ? REEVE__V1__SCHEDULER__CALL__TYPE__ACCEPT_INVERSE_OFFERS
                    : REEVE__V1__SCHEDULER__CALL__TYPE__DECLINE_INVERSE_OFFERS;
    accept.inverse_offer_ids = decline.inverse_offer_ids = &ids;
    accept.n_inverse_offer_ids = decline.n_inverse_offer_ids = 1;
    accept.filters = decline.filters = filters(s);
    call.accept_inverse_offers = yes ? &accept : NULL;
    call.decline_inverse_offers = yes ? NULL : &decline;
    sim_scheduler_post(s, &call);
}

static void roles_call(struct sim_scheduler *s, bool revive) {
    char **roles = NULL;
    size_t n = 0;

    if (sim_chance(world_of(s), 300)) {
        roles = &s->roles[sim_below(world_of(s), s->n_roles)];
        n = 1;
    }
    if (revive) {
        CALL(REVIVE);
        Reeve__V1__Scheduler__Call__Revive m = REEVE__V1__SCHEDULER__CALL__REVIVE__INIT;
        m.roles = roles;
        m.n_roles = n;
        call.revive = &m;
        sim_scheduler_post(s, &call);
    } else {
        CALL(SUPPRESS);
        Reeve__V1__Scheduler__Call__Suppress m = REEVE__V1__SCHEDULER__CALL__SUPPRESS__INIT;
        m.roles = roles;
        m.n_roles = n;
        call.suppress = &m;
        sim_scheduler_post(s, &call);
    }
}

/* Who has seen an offer steps back, so that the others' turn comes. */
void sim_scheduler_revive(struct sim_scheduler *s) {
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;

    call.type = s->offers_seen ? REEVE__V1__SCHEDULER__CALL__TYPE__SUPPRESS
                               : REEVE__V1__SCHEDULER__CALL__TYPE__REVIVE;
    sim_scheduler_post(s, &call);
}

void sim_scheduler_teardown(struct sim_scheduler *s) {
    CALL(TEARDOWN);

    if (s->torn_down || !s->subscribed)
        return;
    sim_scheduler_post(s, &call);
}

static void kill_job(struct sim_scheduler *s, const struct sim_job *job) {
    CALL(KILL);
    Reeve__V1__Scheduler__Call__Kill m = REEVE__V1__SCHEDULER__CALL__KILL__INIT;

    m.task_id = task_id(s, job->id);
    if (sim_chance(world_of(s), 800))
        m.agent_id = agent_id(s, job->agent_id);
    call.kill = &m;
    sim_scheduler_post(s, &call);
}

static void shutdown_executor(struct sim_scheduler *s, const struct sim_job *job) {
    CALL(SHUTDOWN);
    Reeve__V1__Scheduler__Call__Shutdown m = REEVE__V1__SCHEDULER__CALL__SHUTDOWN__INIT;

    m.executor_id = executor_id(s, job->executor_id);
    m.agent_id = agent_id(s, job->agent_id);
    call.shutdown = &m;
    sim_scheduler_post(s, &call);
}

static void message_executor(struct sim_scheduler *s, const struct sim_job *job) {
    CALL(MESSAGE);
    Reeve__V1__Scheduler__Call__Message m = REEVE__V1__SCHEDULER__CALL__MESSAGE__INIT;
    char text[32];

    snprintf(text, sizeof text, "hello %llu", (unsigned long long)++s->n_messages);
    m.executor_id = executor_id(s, job->executor_id);
    m.agent_id = agent_id(s, job->agent_id);
    m.data.data = (uint8_t *)keep(s, text);
    m.data.len = strlen(text);
    call.message = &m;
    if (s->subscribed)
        sim_audit_message_said(&s->cluster->auditor, s->framework_id, rv_str(text));
    sim_scheduler_post(s, &call);
}

static void ask_ghosts(struct sim_scheduler *s) {
    CALL(RECONCILE);
    Reeve__V1__Scheduler__Call__Reconcile m = REEVE__V1__SCHEDULER__CALL__RECONCILE__INIT;
    struct sim_world *w = world_of(s);
    char id[40];

    snprintf(id, sizeof id, "ghost-%llu", (unsigned long long)sim_number(w));
    m.tasks = rv_arena_zalloc(&s->arena, 2 * sizeof(void *));
    m.tasks[m.n_tasks++] =
        question(s, id, s->jobs.n ? s->jobs.v[sim_below(w, s->jobs.n)]->agent_id : "no-such-agent");
    snprintf(id, sizeof id, "ghost-%llu", (unsigned long long)sim_number(w));
    m.tasks[m.n_tasks++] = question(s, id, "no-such-agent");
    call.reconcile = &m;
    sim_scheduler_post(s, &call);
}

static void update_framework(struct sim_scheduler *s) {
    CALL(UPDATE_FRAMEWORK);
    Reeve__V1__Scheduler__Call__UpdateFramework m =
        REEVE__V1__SCHEDULER__CALL__UPDATE_FRAMEWORK__INIT;

    s->failover_timeout_s = (double)sim_between(world_of(s), 60, 600);
    m.framework_info = sim_scheduler_info(s);
    call.update_framework = &m;
    sim_scheduler_post(s, &call);
}

static void nonsense(struct sim_scheduler *s) {
    struct sim_world *w = world_of(s);
    CALL(SUPPRESS);

    switch (sim_below(w, 4)) {
    case 0: /* a wrong stream id */
        sim_scheduler_post_aside(s, sim_scheduler_encode(s, &call),
                                 "6c0e7d5e-0000-4000-8000-000000000000");
        break;
    case 1: /* none */
        sim_scheduler_post_aside(s, sim_scheduler_encode(s, &call), "");
        break;
    case 2: /* not a message */
        sim_scheduler_post_aside(s, rv_blob_new("{\"type\":", 8), s->stream_id);
        break;
    default: /* an offer that is gone */
        decline(s, *s->last_offer ? s->last_offer : "no-such-offer");
        break;
    }
}

void sim_scheduler_whim(struct sim_scheduler *s) {
    struct sim_world *w = world_of(s);
    const struct sim_job *job = s->jobs.n ? s->jobs.v[sim_below(w, s->jobs.n)] : NULL;

    if (sim_fault(w, w->faults.invalid_call))
        nonsense(s);
    if (s->suppressed ? sim_chance(w, 300) : sim_chance(w, 20)) {
        roles_call(s, s->suppressed);
        s->suppressed = !s->suppressed;
    }
    if (sim_chance(w, 100))
        sim_scheduler_reconcile(s, false);
    if (sim_chance(w, 100))
        ask_ghosts(s);
    if (job && sim_chance(w, 150))
        kill_job(s, job);
    if (job && job->executor_id && sim_chance(w, 150))
        message_executor(s, job);
    if (job && job->executor_id && sim_chance(w, 30))
        shutdown_executor(s, job);
    if (sim_chance(w, 20))
        update_framework(s);
    if (sim_chance(w, 5))
        sim_scheduler_teardown(s);
    if (w->faults.operations && sim_chance(w, 100))
        sim_scheduler_reconcile_operations(s);
}

/* About all that the master has: what was said to be LOST may be back. */
static void reconcile_implicitly(struct sim_scheduler *s) {
    CALL(RECONCILE);
    Reeve__V1__Scheduler__Call__Reconcile m = REEVE__V1__SCHEDULER__CALL__RECONCILE__INIT;

    call.reconcile = &m;
    sim_scheduler_post(s, &call);
}

void sim_scheduler_drain(struct sim_scheduler *s) {
    if (!s->subscribed)
        return;
    sim_scheduler_reconcile(s, true);
    sim_scheduler_reconcile_operations(s);
    reconcile_implicitly(s);
    for (size_t i = 0; i < s->jobs.n; i++)
        if (!s->jobs.v[i]->over)
            kill_job(s, s->jobs.v[i]);
    for (size_t i = 0; i < s->jobs.n; i++)
        if (s->jobs.v[i]->executor_id)
            shutdown_executor(s, s->jobs.v[i]);
}
