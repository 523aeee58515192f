/*
 * Operations of a simulated scheduler: see scheduler_operations.h. Amounts are small, so that those
 * of other roles are offered something, too. Some operations cannot be done: ids of volumes come
 * from a few, and with invalid calls (fault 38) roles and amounts are wrong.
 */
#include "scheduler_operations.h"

#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"
#include "scheduler_calls.h"
#include "wire/convert.h"
#include "wire/resources_codec.h"

#define MAKE(Type, name) RV_WIRE_MAKE(&s->arena, Type, name)

static struct sim_world *world_of(const struct sim_scheduler *s) {
    return &s->cluster->world;
}

/* --- what there is --- */

static bool is_plain_volume_free(const struct rv_kind *k) {
    return k->type == RV_SCALAR && !rv_kind_is_volume(k) && !k->revocable && !k->disk;
}

/* Of one role above that of the offer, or of nobody: may be reserved for the offer's role. */
static bool may_be_reserved(const struct sim_scheduler *s, const struct sim_offer *o,
                            const struct rv_kind *k) {
    if (!is_plain_volume_free(k) || rv_streq(k->name, "gpus"))
        return false;
    if (!rv_kind_is_reserved(k))
        return true;
    return s->capabilities & 1u << RV_FRAMEWORK_RESERVATION_REFINEMENT &&
           !rv_streq(rv_kind_reserved_role(k), o->role) &&
           rv_role_within(o->role, rv_kind_reserved_role(k));
}

static bool is_dynamic(const struct rv_kind *k) {
    return k->n_reservations && k->reservations[k->n_reservations - 1].dynamic;
}

static const struct rv_resource *find(const struct rv_resources *in,
                                      bool (*fits)(const struct rv_kind *k)) {
    for (size_t i = 0; i < in->n; i++)
        if (fits(in->v[i].kind))
            return &in->v[i];
    return NULL;
}

static bool is_unreservable(const struct rv_kind *k) {
    return is_plain_volume_free(k) && is_dynamic(k);
}

static bool is_reserved_disk(const struct rv_kind *k) {
    return is_plain_volume_free(k) && rv_kind_is_reserved(k) && rv_streq(k->name, "disk");
}

/* --- operations --- */

static void add(struct rv_resources *to, struct rv_kind *kind, int64_t amount) {
    struct rv_resource r = {.kind = kind, .scalar = amount, .copies = 1};

    rv_resources_add_one(to, &r);
    rv_resource_clear(&r);
}

static bool reserve(struct sim_scheduler *s, const struct sim_offer *o, struct rv_operation *op) {
    static const struct {
        const char *name;
        int64_t amount;
    } parts[] = {{"cpus", 100}, {"mem", 32000}, {"disk", 64000}};
    struct sim_world *w = world_of(s);
    const char *role = sim_fault(w, w->faults.invalid_call) ? "somebody" : o->role;
    size_t which = sim_below(w, RV_COUNT(parts) + 1); /* one of them, or all */

    if (rv_streq(o->role, "*"))
        return false;
    for (size_t i = 0; i < o->resources.n; i++) {
        const struct rv_resource *r = &o->resources.v[i];
        for (size_t p = 0; p < RV_COUNT(parts); p++) {
            struct rv_reservation stack[4] = {0};
            struct rv_kind template = *r->kind;
            size_t n = template.n_reservations;
            if ((which < RV_COUNT(parts) && which != p) ||
                !rv_streq(parts[p].name, r->kind->name) || r->scalar < parts[p].amount ||
                n >= RV_COUNT(stack) || !may_be_reserved(s, o, r->kind))
                continue;
            for (size_t k = 0; k < n; k++)
                stack[k] = template.reservations[k];
            stack[n] = (struct rv_reservation){.dynamic = true, .role = (char *)(uintptr_t)role};
            template.reservations = stack;
            template.n_reservations = n + 1;
            add(&op->resources, rv_kind_new(&template), parts[p].amount);
        }
    }
    return op->resources.n > 0;
}

static bool unreserve(struct sim_scheduler *s, const struct sim_offer *o, struct rv_operation *op) {
    const struct rv_resource *r = find(&o->resources, is_unreservable);

    if (!r)
        return false;
    add(&op->resources, rv_kind_ref(r->kind),
        sim_chance(world_of(s), 500) ? r->scalar : RV_MIN(r->scalar, (int64_t)100));
    return true;
}

static struct rv_blob *volume_at(const char *path) {
    Reeve__V1__Volume m = REEVE__V1__VOLUME__INIT;

    m.container_path = (char *)(uintptr_t)path;
    m.mode = REEVE__V1__VOLUME__MODE__RW;
    return rv_wire_pack(&m.base);
}

static bool create(struct sim_scheduler *s, const struct sim_offer *o, struct rv_operation *op) {
    const struct rv_resource *r = find(&o->resources, is_reserved_disk);
    struct sim_world *w = world_of(s);
    struct rv_disk disk = {0};
    struct rv_kind template;
    char id[16];

    if (!r)
        return false;
    snprintf(id, sizeof id, "v%llu", (unsigned long long)sim_below(w, 5));
    disk.persistence_id = id;
    disk.volume = volume_at("data");
    template = *r->kind;
    template.disk = &disk;
    add(&op->resources, rv_kind_new(&template), RV_MIN(r->scalar, sim_between(w, 1, 40) * 1000));
    rv_blob_unref(disk.volume);
    return true;
}

static bool destroy(struct sim_scheduler *s, const struct sim_offer *o, struct rv_operation *op) {
    const struct rv_resource *r = find(&o->resources, rv_kind_is_volume);
    (void)s;

    if (r)
        rv_resources_add_one(&op->resources, r);
    return r != NULL;
}

static bool grow(struct sim_scheduler *s, const struct sim_offer *o, struct rv_operation *op) {
    const struct rv_resource *r = find(&o->resources, rv_kind_is_volume);
    const struct rv_resource *more = find(&o->resources, is_reserved_disk);
    (void)s;

    if (!r || !more)
        return false;
    rv_resources_add_one(&op->resources, r);
    add(&op->source, rv_kind_ref(more->kind), RV_MIN(more->scalar, (int64_t)5000));
    return true;
}

static bool shrink(struct sim_scheduler *s, const struct sim_offer *o, struct rv_operation *op) {
    const struct rv_resource *r = find(&o->resources, rv_kind_is_volume);

    if (!r || r->scalar < 2)
        return false;
    rv_resources_add_one(&op->resources, r);
    op->subtract = sim_between(world_of(s), 1, r->scalar - 1);
    return true;
}

static const struct {
    enum rv_operation_type type;
    bool (*make)(struct sim_scheduler *s, const struct sim_offer *o, struct rv_operation *op);
} operations[] = {
    {RV_OP_RESERVE, reserve},  {RV_OP_RESERVE, reserve},      {RV_OP_UNRESERVE, unreserve},
    {RV_OP_CREATE, create},    {RV_OP_CREATE, create},        {RV_OP_DESTROY, destroy},
    {RV_OP_GROW_VOLUME, grow}, {RV_OP_SHRINK_VOLUME, shrink},
};

static void ask(struct sim_scheduler *s, const struct sim_offer *o, struct rv_operation *op) {
    struct sim_asked asked = {.agent_id = rv_strdup(o->agent_id), .state = RV_OPERATION_PENDING};

    asked.id = rv_asprintf("o%zu-%llu", s->number, (unsigned long long)s->next_operation++);
    op->id.v = rv_strdup(asked.id);
    rv_vec_push(&s->asked, asked);
}

/* What it will be if all goes well: the next operation, or task, counts on it. */
static void expect(struct sim_offer *o, const struct rv_operation *op) {
    struct rv_conversion c = {0};

    if (rv_operation_conversion(op, &c, NULL) || !rv_conversion_apply(&c, &o->resources)) {
        /* it will be refused */
    }
    rv_conversion_free(&c);
}

size_t sim_scheduler_operate(struct sim_scheduler *s, struct sim_offer *o,
                             Reeve__V1__Offer__Operation **out,
                             struct rv_operation held[SIM_OPERATIONS_MAX]) {
    struct sim_world *w = world_of(s);
    size_t n = 0;

    if (!w->faults.operations)
        return 0;
    for (size_t i = 0; i < SIM_OPERATIONS_MAX; i++) {
        size_t which = sim_below(w, RV_COUNT(operations));
        struct rv_operation *op = &held[n];

        if (!sim_chance(w, w->faults.operations))
            continue;
        op->type = operations[which].type;
        if (!operations[which].make(s, o, op)) {
            rv_operation_free(op);
            continue;
        }
        if (sim_chance(w, 600))
            ask(s, o, op);
        sim_trace(w, &s->party, "asks for %s %s", rv_operation_type_name((int)op->type),
                  op->id.v ? op->id.v : "");
        out[n++] = rv_wire_operation_to(op, &s->arena);
        expect(o, op);
    }
    return n;
}

/* --- what becomes of them --- */

static bool is_over(enum rv_operation_state state) {
    return state == RV_OPERATION_FINISHED || state == RV_OPERATION_FAILED ||
           state == RV_OPERATION_ERROR || state == RV_OPERATION_DROPPED ||
           state == RV_OPERATION_GONE_BY_OPERATOR || state == RV_OPERATION_UNKNOWN;
}

static void acknowledge(struct sim_scheduler *s, const Reeve__V1__OperationStatus *m) {
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__AcknowledgeOperationStatus a =
        REEVE__V1__SCHEDULER__CALL__ACKNOWLEDGE_OPERATION_STATUS__INIT;

    if (!m->agent_id) {
        sim_fail(world_of(s), "INV-42: a status with a uuid names no agent: operation %s",
                 m->operation_id->value);
        return;
    }
    call.type = REEVE__V1__SCHEDULER__CALL__TYPE__ACKNOWLEDGE_OPERATION_STATUS;
    call.acknowledge_operation_status = &a;
    a.agent_id = m->agent_id;
    a.operation_id = m->operation_id;
    a.uuid = m->uuid->value;
    sim_scheduler_post(s, &call);
}

void sim_scheduler_on_operation(struct sim_scheduler *s, const Reeve__V1__OperationStatus *m) {
    sim_trace(world_of(s), &s->party, "operation %s is %s: %s",
              m->operation_id ? m->operation_id->value : "?",
              rv_operation_state_name((int)m->state), m->message ? m->message : "");
    for (size_t i = 0; m->operation_id && i < s->asked.n; i++) {
        struct sim_asked *asked = &s->asked.v[i];
        if (!rv_streq(asked->id, m->operation_id->value))
            continue;
        asked->state = (enum rv_operation_state)m->state;
        asked->over = asked->over || is_over(asked->state);
    }
    if (m->uuid)
        acknowledge(s, m);
}

void sim_scheduler_reconcile_operations(struct sim_scheduler *s) {
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__ReconcileOperations m =
        REEVE__V1__SCHEDULER__CALL__RECONCILE_OPERATIONS__INIT;

    m.operations = rv_arena_zalloc(&s->arena, (s->asked.n + 1) * sizeof(void *));
    for (size_t i = 0; i < s->asked.n; i++) {
        Reeve__V1__Scheduler__Call__ReconcileOperations__Operation *o;
        if (s->asked.v[i].over)
            continue;
        o = rv_arena_alloc(&s->arena, sizeof *o);
        reeve__v1__scheduler__call__reconcile_operations__operation__init(o);
        o->operation_id = MAKE(OperationID, operation_id);
        o->operation_id->value = rv_arena_strdup(&s->arena, s->asked.v[i].id);
        o->agent_id = MAKE(AgentID, agent_id);
        o->agent_id->value = rv_arena_strdup(&s->arena, s->asked.v[i].agent_id);
        m.operations[m.n_operations++] = o;
    }
    if (!m.n_operations)
        return; /* none would mean: about all */
    call.type = REEVE__V1__SCHEDULER__CALL__TYPE__RECONCILE_OPERATIONS;
    call.reconcile_operations = &m;
    sim_scheduler_post(s, &call);
}

const struct sim_asked *sim_scheduler_waits_for(const struct sim_scheduler *s) {
    for (size_t i = 0; i < s->asked.n; i++) {
        const struct sim_asked *asked = &s->asked.v[i];
        bool there = false;
        for (size_t k = 0; k < s->cluster->n_agents; k++)
            there = there || (s->cluster->agents[k].core &&
                              rv_streq(s->cluster->agents[k].core->info.id.v, asked->agent_id));
        if (!asked->over && (there || asked->state != RV_OPERATION_UNREACHABLE))
            return asked;
    }
    return NULL;
}

void sim_scheduler_operations_free(struct sim_scheduler *s) {
    for (size_t i = 0; i < s->asked.n; i++) {
        free(s->asked.v[i].id);
        free(s->asked.v[i].agent_id);
    }
    rv_vec_free(&s->asked);
}
