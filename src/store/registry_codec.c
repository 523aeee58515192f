/* Changes of the core as records, and records as a snapshot. The first that does not pass is named
 * and all is refused (INV-5). */
#include "store/registry_codec.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/vec.h"
#include "reeve/v1/registry.pb-c.h"
#include "store/registry_record.h"
#include "wire/codec.h"
#include "wire/convert.h"
#include "wire/maintenance_codec.h"
#include "wire/quota_codec.h"

#define CLUSTER_KEY "cluster/self"

/* --- out --- */

static struct rv_str absence(int64_t wall_ns, struct rv_arena *arena) {
    Reeve__V1__Registry__Absence m = REEVE__V1__REGISTRY__ABSENCE__INIT;

    m.since_nanoseconds = wall_ns;
    return rv_registry_record_pack(&m.base, arena);
}

static struct rv_str agent_value(const struct rv_agent_info *info, struct rv_arena *arena) {
    Reeve__V1__Registry__Agent m = REEVE__V1__REGISTRY__AGENT__INIT;

    m.info = rv_wire_agent_info_to(info, RV_SHAPE_REFINED, arena);
    m.ip = info->ip;
    m.version = info->version;
    rv_wire_agent_capabilities_to(info->capabilities, arena, &m.capabilities, &m.n_capabilities);
    return rv_registry_record_pack(&m.base, arena);
}

static struct rv_str framework_value(const struct rv_framework_info *info, int64_t away_ns,
                                     struct rv_arena *arena) {
    Reeve__V1__Registry__Framework m = REEVE__V1__REGISTRY__FRAMEWORK__INIT;

    m.info = rv_wire_framework_info_to(info, arena);
    m.has_disconnected_nanoseconds = away_ns != 0;
    m.disconnected_nanoseconds = away_ns;
    return rv_registry_record_pack(&m.base, arena);
}

static struct rv_str deactivation_value(const struct rv_deactivation *d, struct rv_arena *arena) {
    Reeve__V1__Registry__Deactivation m = REEVE__V1__REGISTRY__DEACTIVATION__INIT;

    m.drain_info = rv_wire_drain_info_to(d, arena);
    m.has_drain_since_nanoseconds = m.drain_info != NULL;
    m.drain_since_nanoseconds = d->since_ns;
    return rv_registry_record_pack(&m.base, arena);
}

static struct rv_str machine_value(const struct rv_machine *machine, struct rv_arena *arena) {
    Reeve__V1__Registry__Machine m = REEVE__V1__REGISTRY__MACHINE__INIT;

    m.info = rv_wire_machine_info_to(machine, arena);
    m.window = machine->window;
    m.place = machine->place;
    return rv_registry_record_pack(&m.base, arena);
}

/* A change of the store that is told of as it is made. */
struct changes {
    struct rv_arena *arena;
    rv_registry_record each;
    void *ctx;
};

/* value.s NULL: removed */
static void change(const struct changes *c, const char *kind, const char *name,
                   struct rv_str value) {
    c->each(c->ctx, rv_arena_printf(c->arena, "%s/%s", kind, name ? name : ""), value);
}

static void forget(const struct changes *c, const char *kind, const char *name) {
    change(c, kind, name, (struct rv_str){NULL, 0});
}

static void encode_agent(const struct rv_registry_op *op, const struct changes *c) {
    const char *id = op->agent_id.v;

    switch (op->kind) {
    case RV_REGISTRY_ADMIT_AGENT:
    case RV_REGISTRY_MARK_REACHABLE: /* perhaps with other attributes or another address */
        change(c, "agent", id, agent_value(op->agent, c->arena));
        forget(c, "unreachable", id);
        return;
    case RV_REGISTRY_MARK_UNREACHABLE:
        change(c, "unreachable", id, absence(op->wall_ns, c->arena));
        forget(c, "agent", id);
        return;
    case RV_REGISTRY_REMOVE_AGENT:
        forget(c, "agent", id);
        forget(c, "unreachable", id);
        forget(c, "gone", id);
        forget(c, "deactivated", id);
        return;
    case RV_REGISTRY_MARK_GONE:
        change(c, "gone", id, absence(op->wall_ns, c->arena));
        forget(c, "agent", id);
        forget(c, "unreachable", id);
        forget(c, "deactivated", id);
        return;
    case RV_REGISTRY_DEACTIVATE_AGENT:
        change(c, "deactivated", id, deactivation_value(op->deactivation, c->arena));
        return;
    case RV_REGISTRY_REACTIVATE_AGENT:
        forget(c, "deactivated", id);
        return;
    default:
        RV_UNREACHABLE();
    }
}

static void encode_machines(const struct rv_registry_op *op, const struct changes *c) {
    for (size_t i = 0; i < op->n_machines; i++) {
        const struct rv_machine *machine = &op->machines[i];
        char key[RV_MACHINE_KEY_MAX];

        RV_ASSERT(rv_machine_key(machine->hostname, machine->ip, key));
        if (machine->mode == RV_MACHINE_UP)
            forget(c, "machine", key);
        else
            change(c, "machine", key, machine_value(machine, c->arena));
    }
}

static void encode_quotas(const struct rv_registry_op *op, const struct changes *c) {
    for (size_t i = 0; i < op->n_quotas; i++) {
        const struct rv_quota *q = &op->quotas[i];

        if (rv_quota_is_empty(q))
            forget(c, "quota", q->role);
        else
            change(c, "quota", q->role,
                   rv_registry_record_pack(&rv_wire_quota_to(q, c->arena)->base, c->arena));
    }
}

void rv_registry_op_encode(const struct rv_registry_op *op, struct rv_arena *scratch,
                           rv_registry_record each, void *ctx) {
    struct changes c = {scratch, each, ctx};
    const char *framework = op->framework_id.v;

    switch (op->kind) {
    case RV_REGISTRY_ADMIT_AGENT:
    case RV_REGISTRY_MARK_REACHABLE:
    case RV_REGISTRY_MARK_UNREACHABLE:
    case RV_REGISTRY_REMOVE_AGENT:
    case RV_REGISTRY_MARK_GONE:
    case RV_REGISTRY_DEACTIVATE_AGENT:
    case RV_REGISTRY_REACTIVATE_AGENT:
        encode_agent(op, &c);
        return;
    case RV_REGISTRY_PUT_FRAMEWORK:
        change(&c, "framework", framework, framework_value(op->framework, op->wall_ns, scratch));
        return;
    case RV_REGISTRY_REMOVE_FRAMEWORK:
        change(&c, "ended", framework, absence(op->wall_ns, scratch));
        forget(&c, "framework", framework);
        return;
    case RV_REGISTRY_FORGET_FRAMEWORK:
        forget(&c, "ended", framework);
        return;
    case RV_REGISTRY_PUT_WEIGHTS:
        for (size_t i = 0; i < op->n_weights; i++) {
            Reeve__V1__Registry__Weight m = REEVE__V1__REGISTRY__WEIGHT__INIT;
            m.weight = op->weights[i].weight;
            change(&c, "weight", op->weights[i].role, rv_registry_record_pack(&m.base, scratch));
        }
        return;
    case RV_REGISTRY_PUT_QUOTAS:
        encode_quotas(op, &c);
        return;
    case RV_REGISTRY_PUT_MACHINES:
        encode_machines(op, &c);
        return;
    case RV_REGISTRY_KIND_MAX:
        break;
    }
    RV_UNREACHABLE();
}

void rv_registry_cluster_encode(const struct rv_registry_cluster *cluster, struct rv_arena *scratch,
                                rv_registry_record each, void *ctx) {
    Reeve__V1__Registry__Cluster m = REEVE__V1__REGISTRY__CLUSTER__INIT;

    m.id = (char *)(uintptr_t)cluster->id;
    m.version = (char *)(uintptr_t)cluster->version;
    each(ctx, CLUSTER_KEY, rv_registry_record_pack(&m.base, scratch));
}

/* --- in --- */

struct rv_registry_loaded {
    struct rv_arena arena;
    struct rv_registry_snapshot snapshot;
    RV_VEC(struct rv_agent_info) agents;
    RV_VEC(struct rv_registry_framework) frameworks;
    RV_VEC(struct rv_weight) weights;
    RV_VEC(struct rv_quota) quotas;
    RV_VEC(struct rv_registry_absence) unreachable, gone, ended;
    RV_VEC(struct rv_registry_deactivation) deactivated;
    RV_VEC(struct rv_machine) machines;
    struct rv_registry_cluster cluster;
    struct rv_error err; /* the first */
};

static const void *record(struct rv_registry_loaded *l, const char *key, struct rv_str value) {
    ProtobufCMessage *message;

    return rv_registry_record_unpack(key, value, &l->arena, &message, &l->err) ? NULL : message;
}

static void load_agent(struct rv_registry_loaded *l, const char *key, struct rv_str value) {
    const Reeve__V1__Registry__Agent *m = record(l, key, value);
    struct rv_agent_info info = {0};

    if (!m || rv_wire_agent_info_from(m->info, &info, &l->err))
        return;
    info.ip = m->ip;
    info.version = m->version;
    info.capabilities = rv_wire_agent_capabilities_from(m->capabilities, m->n_capabilities);
    rv_vec_push(&l->agents, info);
}

static void load_framework(struct rv_registry_loaded *l, const char *key, struct rv_str value) {
    const Reeve__V1__Registry__Framework *m = record(l, key, value);
    struct rv_registry_framework f = {0};

    if (!m || rv_wire_framework_info_from(m->info, &l->arena, &f.info, &l->err))
        return;
    f.away_ns = m->has_disconnected_nanoseconds ? m->disconnected_nanoseconds : 0;
    rv_vec_push(&l->frameworks, f);
}

static struct rv_registry_absence load_absence(struct rv_registry_loaded *l, const char *key,
                                               const char *id, struct rv_str value) {
    const Reeve__V1__Registry__Absence *m = record(l, key, value);

    return (struct rv_registry_absence){rv_arena_strdup(&l->arena, id),
                                        m ? m->since_nanoseconds : 0};
}

static void load_deactivation(struct rv_registry_loaded *l, const char *key, const char *id,
                              struct rv_str value) {
    const Reeve__V1__Registry__Deactivation *m = record(l, key, value);
    struct rv_registry_deactivation d = {.id = {rv_arena_strdup(&l->arena, id)}};

    if (!m)
        return;
    if (m->drain_info)
        rv_wire_drain_info_from(m->drain_info, &d.what);
    d.what.since_ns = m->has_drain_since_nanoseconds ? m->drain_since_nanoseconds : 0;
    rv_vec_push(&l->deactivated, d);
}

static void load_machine(struct rv_registry_loaded *l, const char *key, struct rv_str value) {
    const Reeve__V1__Registry__Machine *m = record(l, key, value);
    struct rv_machine machine;

    if (!m)
        return;
    if (rv_wire_machine_info_from(m->info, &machine, &l->err)) {
        rv_error_prefix(&l->err, "record %s of the registry", key);
        return;
    }
    machine.window = m->window;
    machine.place = m->place;
    rv_vec_push(&l->machines, machine);
}

static void load_weight(struct rv_registry_loaded *l, const char *key, const char *role,
                        struct rv_str value) {
    const Reeve__V1__Registry__Weight *m = record(l, key, value);

    if (m)
        rv_vec_push(&l->weights, ((struct rv_weight){rv_arena_strdup(&l->arena, role), m->weight}));
}

static void load_quota(struct rv_registry_loaded *l, const char *key, const char *role,
                       struct rv_str value) {
    const Reeve__V1__Quota__QuotaConfig *m = record(l, key, value);
    const char *problem;
    struct rv_quota q;

    if (!m)
        return;
    if (rv_wire_quota_from(m, &l->arena, &q, &l->err)) {
        rv_error_prefix(&l->err, "record %s of the registry", key);
        return;
    }
    problem = rv_streq(q.role, role) ? rv_quota_problem(&q) : "it is of another role";
    if (problem)
        rv_error_set(&l->err, RV_ERR_CORRUPT, "record %s of the registry: %s", key, problem);
    rv_vec_push(&l->quotas, q);
}

static void load_cluster(struct rv_registry_loaded *l, const char *key, struct rv_str value) {
    const Reeve__V1__Registry__Cluster *m = record(l, key, value);

    if (m)
        l->cluster = (struct rv_registry_cluster){m->id, m->version};
}

void rv_registry_loaded_add(void *loaded, const char *key, struct rv_str value) {
    struct rv_registry_loaded *l = loaded;
    const char *slash = strchr(key, '/');

    if (l->err.code)
        return;
    if (rv_starts_with(key, "agent/"))
        load_agent(l, key, value);
    else if (rv_starts_with(key, "framework/"))
        load_framework(l, key, value);
    else if (rv_starts_with(key, "unreachable/"))
        rv_vec_push(&l->unreachable, load_absence(l, key, slash + 1, value));
    else if (rv_starts_with(key, "gone/"))
        rv_vec_push(&l->gone, load_absence(l, key, slash + 1, value));
    else if (rv_starts_with(key, "ended/"))
        rv_vec_push(&l->ended, load_absence(l, key, slash + 1, value));
    else if (rv_starts_with(key, "deactivated/"))
        load_deactivation(l, key, slash + 1, value);
    else if (rv_starts_with(key, "machine/"))
        load_machine(l, key, value);
    else if (rv_starts_with(key, "weight/"))
        load_weight(l, key, slash + 1, value);
    else if (rv_starts_with(key, "quota/"))
        load_quota(l, key, slash + 1, value);
    else if (rv_streq(key, CLUSTER_KEY))
        load_cluster(l, key, value);
    else
        rv_error_set(&l->err, RV_ERR_CORRUPT,
                     "record %s of the registry: not known to this version", key);
}

struct rv_registry_loaded *rv_registry_loaded_new(void) {
    struct rv_registry_loaded *l = rv_calloc(1, sizeof *l);

    rv_arena_init(&l->arena);
    return l;
}

int rv_registry_loaded_finish(struct rv_registry_loaded *l, struct rv_error *err) {
    if (l->err.code) {
        if (err)
            *err = l->err;
        return -(int)l->err.code;
    }
    l->snapshot = (struct rv_registry_snapshot){
#define PART(name) .name = l->name.v, .n_##name = l->name.n
        PART(agents), PART(unreachable), PART(gone),   PART(deactivated), PART(frameworks),
        PART(ended),  PART(weights),     PART(quotas), PART(machines)
#undef PART
    };
    return 0;
}

const struct rv_registry_snapshot *rv_registry_snapshot(const struct rv_registry_loaded *l) {
    return &l->snapshot;
}

const struct rv_registry_cluster *rv_registry_cluster(const struct rv_registry_loaded *l) {
    return &l->cluster;
}

struct rv_registry_loaded *rv_registry_snapshot_free(struct rv_registry_loaded *l) {
    if (!l)
        return NULL;
    for (size_t i = 0; i < l->agents.n; i++)
        rv_wire_agent_info_release(&l->agents.v[i]);
    for (size_t i = 0; i < l->frameworks.n; i++)
        rv_wire_framework_info_release(&l->frameworks.v[i].info);
    rv_vec_free(&l->agents);
    rv_vec_free(&l->unreachable);
    rv_vec_free(&l->gone);
    rv_vec_free(&l->deactivated);
    rv_vec_free(&l->frameworks);
    rv_vec_free(&l->ended);
    rv_vec_free(&l->weights);
    rv_vec_free(&l->quotas);
    rv_vec_free(&l->machines);
    rv_arena_free(&l->arena);
    free(l);
    return NULL;
}
