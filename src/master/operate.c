/*
 * Operations on resources, done: checked, booked, and sent to the agent. One takes effect in the
 * books at once, so that what stands behind it in the same ACCEPT can use what it made; the agent
 * writes it down, and what it says then is dealt with in operations.c. What always holds: consumed
 * resources are in no task's or executor's hands (INV-31) and in no offer that goes on, and total,
 * offers and the allocator's books change together, with no pass in between.
 *
 * reservation.md, persistent-volume.md, shared-resources.md; validation.cpp of the peer.
 */
#include "master/internal.h"

/* Who asks. */
struct asker {
    struct rv_master_framework *framework; /* NULL: an operator */
    const char *principal;                 /* NULL: none */
    const char *role;                      /* allocation role; NULL: an operator's */
};

/* --- what is wrong with it --- */

static const char *agent_problem(struct rv_master *m, const struct rv_master_agent *a,
                                 const struct rv_operation *op) {
    uint32_t can = a->info.capabilities;
    bool resizes = op->type == RV_OP_GROW_VOLUME || op->type == RV_OP_SHRINK_VOLUME;
    size_t n = 0;

    if (!(can & 1u << RV_AGENT_AGENT_OPERATION_FEEDBACK))
        return RV_MASTER_TEXT(m, "agent %s is of a version that does no operations on resources",
                              a->id.v);
    if (resizes && !(can & 1u << RV_AGENT_RESIZE_VOLUME))
        return RV_MASTER_TEXT(m, "agent %s is of a version that cannot resize volumes", a->id.v);
    RV_LIST_EACH (&a->operations, node, tmp)
        n++;
    if (n >= RV_MASTER_MAX_OPERATIONS)
        return RV_MASTER_TEXT(m,
                              "agent %s has %zu operations that have not ended or were not "
                              "acknowledged: acknowledge them",
                              a->id.v, n);
    return NULL;
}

static const char *role_problem(struct rv_master *m, const struct asker *who,
                                const struct rv_resources *r) {
    for (size_t i = 0; i < r->n; i++) {
        const char *role = r->v[i].kind->allocation_role;

        if (role && !rv_streq(role, who->role))
            return who->role ? RV_MASTER_TEXT(m,
                                              "resources allocated to role '%s' in an offer to "
                                              "role '%s'",
                                              role, who->role)
                             : "resources that are allocated to a role";
    }
    return NULL;
}

static const char *principal_problem(struct rv_master *m, const struct asker *who,
                                     const char *given, const char *where) {
    if (!who->principal || rv_streq(given, who->principal))
        return NULL;
    return RV_MASTER_TEXT(m, "the principal in '%s' must be '%s', that of who asks, and is %s%s%s",
                          where, who->principal, given ? "'" : "", given ? given : "missing",
                          given ? "'" : "");
}

static bool is_allowed(const struct rv_master *m, const char *role) {
    for (size_t i = 0; i < m->config.n_role_whitelist; i++)
        if (rv_streq(m->config.role_whitelist[i], role))
            return true;
    return m->config.role_whitelist == NULL;
}

static const char *reserve_problem(struct rv_master *m, const struct asker *who,
                                   const struct rv_operation *op) {
    const char *problem = NULL;

    if (who->framework && op->source.n)
        return "'source' is for operators only";
    for (size_t i = 0; i < op->resources.n && !problem; i++) {
        const struct rv_kind *k = op->resources.v[i].kind;
        const char *role = rv_kind_reserved_role(k);

        if (who->role && !rv_streq(role, who->role))
            return RV_MASTER_TEXT(m,
                                  "'%s' cannot be reserved to role '%s' from an offer to role '%s'",
                                  k->name, role, who->role);
        if (!is_allowed(m, role))
            return RV_MASTER_TEXT(m, "role '%s' is not among those that this master allows", role);
        problem = principal_problem(m, who, k->reservations[k->n_reservations - 1].principal,
                                    "reservations");
    }
    return problem;
}

static bool same_volume(const struct rv_kind *a, const struct rv_kind *b) {
    return rv_kind_is_volume(a) && rv_kind_is_volume(b) &&
           rv_streq(a->disk->persistence_id, b->disk->persistence_id) &&
           rv_streq(rv_kind_reserved_role(a), rv_kind_reserved_role(b));
}

/* INV-32 */
static const char *create_problem(struct rv_master *m, const struct asker *who,
                                  const struct rv_master_agent *a, const struct rv_operation *op) {
    const char *problem = NULL;

    for (size_t i = 0; i < op->resources.n && !problem; i++) {
        const struct rv_kind *k = op->resources.v[i].kind;

        if (k->shared && who->framework &&
            !rv_framework_can(&who->framework->info, RV_FRAMEWORK_SHARED_RESOURCES))
            return "a shared volume needs the framework capability SHARED_RESOURCES";
        for (size_t j = 0; j < a->total.n; j++)
            if (same_volume(k, a->total.v[j].kind))
                return RV_MASTER_TEXT(m, "agent %s has a volume '%s' of role '%s' already", a->id.v,
                                      k->disk->persistence_id, rv_kind_reserved_role(k));
        problem = principal_problem(m, who, k->disk->persistence_principal, "disk.persistence");
    }
    return problem;
}

/* Of a shared volume there is always one in the offer. */
static const char *destroy_problem(struct rv_master *m, const struct rv_master_agent *a,
                                   const struct rv_operation *op) {
    struct rv_resources used = {0};
    const char *problem = NULL;

    rv_master_bare(&used, &a->used);
    for (size_t i = 0; i < op->resources.n && !problem; i++) {
        const struct rv_resource *r = &op->resources.v[i];

        if (!rv_resources_contains_one(&a->total, r))
            problem = RV_MASTER_TEXT(m, "agent %s has no such volume '%s'", a->id.v,
                                     r->kind->disk->persistence_id);
        else if (rv_resources_contains_one(&used, r))
            problem = RV_MASTER_TEXT(m, "the volume '%s' is in use", r->kind->disk->persistence_id);
    }
    rv_resources_free(&used);
    return problem;
}

/* Those who have split much can still put it together. */
static const char *parts_problem(struct rv_master *m, const struct rv_master_agent *a,
                                 const struct rv_conversion *c) {
    struct rv_resources after = {0};
    bool too_many;

    rv_resources_copy(&after, &a->total);
    too_many =
        rv_conversion_apply(c, &after) && after.n > a->total.n && after.n > RV_MASTER_MAX_ELEMENTS;
    rv_resources_free(&after);
    return too_many ? RV_MASTER_TEXT(m, "the resources of agent %s would be in more than %d parts",
                                     a->id.v, RV_MASTER_MAX_ELEMENTS)
                    : NULL;
}

/* NULL: nothing, and `plain` (the operation without allocation roles) and `c` are filled. */
static const char *problem_of(struct rv_master *m, const struct asker *who,
                              const struct rv_master_agent *a, const struct rv_operation *op,
                              struct rv_operation *plain, struct rv_conversion *c) {
    const char *problem;
    struct rv_error err;

    if (op->problem)
        return op->problem;
    if (!rv_operation_converts(op->type))
        return RV_MASTER_TEXT(m, "the operation %s is not supported by this version",
                              rv_operation_type_name((int)op->type));
    if ((problem = agent_problem(m, a, op)) || (problem = role_problem(m, who, &op->resources)) ||
        (problem = role_problem(m, who, &op->source)))
        return problem;
    if (op->resources.n > RV_MASTER_MAX_ELEMENTS)
        return "it names too many resources";
    rv_operation_copy(plain, op);
    rv_resources_allocate(&plain->resources, NULL);
    rv_resources_allocate(&plain->source, NULL);
    if (rv_operation_conversion(plain, c, &err) < 0)
        return rv_master_keep(m, err.message);
    if ((problem = parts_problem(m, a, c)))
        return problem;
    if (op->type == RV_OP_RESERVE)
        return reserve_problem(m, who, plain);
    if (op->type == RV_OP_CREATE)
        return create_problem(m, who, a, plain);
    return op->type == RV_OP_DESTROY ? destroy_problem(m, a, plain) : NULL;
}

/* --- the books --- */

static bool holds_shared(const struct rv_master_offer *o, const struct rv_resources *consumed) {
    struct rv_resources bare = {0};
    bool yes = false;

    rv_master_bare(&bare, &o->resources);
    for (size_t i = 0; i < consumed->n && !yes; i++)
        yes = consumed->v[i].kind->shared && rv_resources_contains_one(&bare, &consumed->v[i]);
    rv_resources_free(&bare);
    return yes;
}

/* Offers that hold a shared volume that is being destroyed. */
static void rescind_shared(struct rv_master *m, struct rv_master_agent *a,
                           const struct rv_conversion *c) {
    RV_LIST_EACH (&a->offers, node, tmp) {
        struct rv_master_offer *o = RV_LIST_ENTRY(node, struct rv_master_offer, on_agent);

        if (holds_shared(o, &c->consumed))
            rv_master_offer_drop(m, o, 0, true);
    }
}

/* Nobody holds what is consumed. */
static void change_total(struct rv_master *m, struct rv_master_agent *a,
                         const struct rv_conversion *c) {
    bool done = rv_conversion_apply(c, &a->total);

    RV_ASSERT(done);
    rv_allocator_update_agent(m->allocator, a, &a->info, &a->total);
}

static void apply(struct rv_master *m, struct rv_framework_id framework_id,
                  struct rv_master_agent *a, const struct rv_operation *plain,
                  struct rv_conversion *c) {
    struct rv_master_operation *o;
    struct rv_agent_event *event;
    uint8_t uuid[16];

    rv_prng_uuid(&m->prng, uuid);
    o = rv_master_operation_new(m, framework_id, a, plain, c, uuid);
    event = rv_master_tell_agent(m, a, RV_AGENT_EVENT_APPLY_OPERATION);
    RV_ASSERT(event);
    event->apply.framework_id = o->framework_id;
    event->apply.operation = &o->operation;
    memcpy(event->apply.uuid, uuid, sizeof uuid);
}

/* --- frameworks --- */

/* Each offer of a shared volume is one of it: all that the accepted offers hold go with it. */
static void take_all_copies(struct rv_resources *consumed, const struct rv_resources *available) {
    for (size_t i = 0; i < consumed->n; i++)
        for (size_t j = 0; consumed->v[i].kind->shared && j < available->n; j++)
            if (rv_kind_eq(consumed->v[i].kind, available->v[j].kind))
                consumed->v[i].copies = available->v[j].copies;
}

static const char *lacks(struct rv_master *m, const struct rv_resources *consumed,
                         const struct rv_resources *available) {
    if (rv_resources_contains(available, consumed))
        return NULL;
    rv_buf_clear(&m->scratch);
    rv_buf_puts(&m->scratch, "it takes more than what was offered: ");
    rv_resources_format(consumed, &m->scratch);
    rv_buf_puts(&m->scratch, " of ");
    rv_resources_format(available, &m->scratch);
    return rv_arena_strndup(&m->out->arena, m->scratch.data, m->scratch.n);
}

static void book(struct rv_master *m, struct rv_master_acceptance *a,
                 const struct rv_operation *plain, struct rv_conversion *c) {
    struct rv_conversion bare = {0};

    rv_resources_copy(&bare.consumed, &c->consumed);
    rv_resources_copy(&bare.converted, &c->converted);
    rv_conversion_allocate(&bare, NULL);
    take_all_copies(&c->consumed, &a->available);
    rescind_shared(m, a->agent, &bare);
    rv_resources_subtract(&a->available, &c->consumed);
    rv_allocator_release(m->allocator, a->agent, a->framework, &c->consumed, m->now_ms, 0);
    change_total(m, a->agent, &bare);
    rv_allocator_use(m->allocator, a->agent, a->framework, &c->converted);
    rv_resources_add(&a->available, &c->converted);
    rv_conversion_free(&bare);
    a->used = true;
    apply(m, a->framework->id, a->agent, plain, c);
}

void rv_master_apply_operation(struct rv_master *m, struct rv_master_acceptance *a,
                               const struct rv_operation *op) {
    const struct asker who = {a->framework, a->framework->info.principal, a->role};
    struct rv_operation plain = {0};
    struct rv_conversion c = {0};
    const char *problem = problem_of(m, &who, a->agent, op, &plain, &c);

    if (!problem && op->id.v && rv_map_gets(&a->framework->operations, op->id.v))
        problem = "it has the id of an operation that was not acknowledged yet";
    if (!problem) {
        rv_conversion_allocate(&c, a->role);
        problem = lacks(m, &c.consumed, &a->available);
    }
    if (problem)
        rv_master_operation_refuse(m, a->framework, op, RV_OPERATION_ERROR, problem, a->agent->id);
    else
        book(m, a, &plain, &c);
    rv_operation_free(&plain);
    rv_conversion_free(&c);
}

/* --- operators --- */

/* What nobody uses, and nobody is offered either. */
static void free_of(const struct rv_master_agent *a, struct rv_resources *out) {
    struct rv_resources held = {0};

    rv_resources_copy(out, &a->total);
    rv_master_bare(&held, &a->used);
    rv_resources_subtract(out, &held);
    rv_master_bare(&held, &a->offered);
    rv_resources_subtract(out, &held);
    rv_resources_free(&held);
}

/* Takes offers back, one by one, until all of it is free. */
static bool make_free(struct rv_master *m, struct rv_master_agent *a,
                      const struct rv_resources *consumed) {
    struct rv_resources left = {0}, missing = {0}, held = {0};
    bool enough;

    rv_resources_copy(&left, &a->total);
    rv_master_bare(&held, &a->used);
    rv_resources_subtract(&left, &held);
    enough = rv_resources_contains(&left, consumed);
    RV_LIST_EACH (&a->offers, node, tmp) {
        struct rv_master_offer *o = RV_LIST_ENTRY(node, struct rv_master_offer, on_agent);

        free_of(a, &left);
        rv_resources_copy(&missing, consumed);
        rv_resources_subtract(&missing, &left);
        if (!enough || rv_resources_empty(&missing))
            break;
        rv_resources_copy(&left, &missing);
        rv_master_bare(&held, &o->resources);
        rv_resources_subtract(&left, &held);
        if (!rv_resources_eq(&left, &missing))
            rv_master_offer_drop(m, o, 0, true);
    }
    rv_resources_free(&left);
    rv_resources_free(&missing);
    rv_resources_free(&held);
    return enough;
}

/* Why there is not enough. */
static const char *want_of(struct rv_master *m, const struct rv_master_agent *a,
                           const struct rv_resources *consumed) {
    struct rv_resources missing = {0};
    struct rv_buf text = {0};
    const char *why;

    rv_resources_copy(&missing, consumed);
    rv_resources_subtract(&missing, &a->total);
    rv_resources_format(rv_resources_empty(&missing) ? consumed : &missing, &text);
    why = rv_resources_empty(&missing)
              ? RV_MASTER_TEXT(m, "some of this is in use on agent '%s': %s", a->id.v, text.data)
              : RV_MASTER_TEXT(m, "agent '%s' lacks %s", a->id.v, text.data);
    rv_resources_free(&missing);
    rv_buf_free(&text);
    return why;
}

void rv_master_apply_for_operator(struct rv_master *m, const struct rv_master_event *e) {
    const struct rv_operator_call *call = e->operator_;
    struct rv_master_agent *a = rv_master_agent_find(m, call->agent_id);
    const struct asker who = {.principal = e->principal};
    struct rv_operation plain = {0};
    struct rv_conversion c = {0};
    const char *problem;

    if (!a) {
        RV_MASTER_REPLY(m, e->request, 400, "there is no agent '%s'",
                        call->agent_id.v ? call->agent_id.v : "");
        return;
    }
    problem = problem_of(m, &who, a, call->operation, &plain, &c);
    if (problem) {
        rv_master_reply_text(m, e->request, 400, problem);
    } else if (!a->connected || a->removing) {
        RV_MASTER_REPLY(m, e->request, 409, "agent '%s' is not connected", a->id.v);
    } else if (!make_free(m, a, &c.consumed)) {
        rv_master_reply_text(m, e->request, 409, want_of(m, a, &c.consumed));
    } else {
        change_total(m, a, &c);
        apply(m, (struct rv_framework_id){NULL}, a, &plain, &c);
        rv_master_reply_text(m, e->request, 202, NULL);
        rv_master_allocate_soon(m);
    }
    rv_operation_free(&plain);
    rv_conversion_free(&c);
}
