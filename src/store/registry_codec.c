/*
 * Records of the registry: a byte of format version, four of CRC-32C over the rest, and a protobuf
 * message. A record that does not pass is named and refused, never taken for empty (INV-5).
 */
#include "store/registry_codec.h"

#include <stdlib.h>

#include "base/crc.h"
#include "base/vec.h"
#include "reeve/v1/registry.pb-c.h"
#include "wire/codec.h"
#include "wire/convert.h"

#define FORMAT 1
#define HEAD 5

/* --- out --- */

static struct rv_str framed(const ProtobufCMessage *message, struct rv_arena *arena) {
    struct rv_buf packed = {0};
    rv_wire_encode(message, RV_ENC_PROTOBUF, &packed);
    uint8_t *record = rv_arena_alloc(arena, packed.n + HEAD);
    uint32_t crc = rv_crc32c(0, packed.data, packed.n);

    record[0] = FORMAT;
    for (int i = 0; i < 4; i++)
        record[1 + i] = (uint8_t)(crc >> (8 * i));
    if (packed.n)
        memcpy(record + HEAD, packed.data, packed.n);
    size_t n = packed.n + HEAD;
    rv_buf_free(&packed);
    return rv_strn(record, n);
}

static struct rv_str absence(int64_t wall_ns, struct rv_arena *arena) {
    Reeve__V1__Registry__Absence m = REEVE__V1__REGISTRY__ABSENCE__INIT;

    m.since_nanoseconds = wall_ns;
    return framed(&m.base, arena);
}

static struct rv_str agent_value(const struct rv_agent_info *info, struct rv_arena *arena) {
    Reeve__V1__Registry__Agent m = REEVE__V1__REGISTRY__AGENT__INIT;

    m.info = rv_wire_agent_info_to(info, RV_SHAPE_REFINED, arena);
    m.ip = info->ip;
    return framed(&m.base, arena);
}

static struct rv_str framework_value(const struct rv_framework_info *info, struct rv_arena *arena) {
    Reeve__V1__Registry__Framework m = REEVE__V1__REGISTRY__FRAMEWORK__INIT;

    m.info = rv_wire_framework_info_to(info, arena);
    return framed(&m.base, arena);
}

void rv_registry_op_encode(const struct rv_registry_op *op, struct rv_arena *scratch,
                           rv_registry_record each, void *ctx) {
    const char *agent = op->agent_id.v ? op->agent_id.v : "";
    const char *framework = op->framework_id.v ? op->framework_id.v : "";
    const struct rv_str removed = {NULL, 0};

#define CHANGE(format, name, to) each(ctx, rv_arena_printf(scratch, format, name), to)
    switch (op->kind) {
    case RV_REGISTRY_ADMIT_AGENT:
        CHANGE("agent/%s", agent, agent_value(op->agent, scratch));
        return;
    case RV_REGISTRY_MARK_UNREACHABLE:
        CHANGE("unreachable/%s", agent, absence(op->wall_ns, scratch));
        return;
    case RV_REGISTRY_MARK_REACHABLE: /* perhaps with other attributes or another address */
        if (op->agent)
            CHANGE("agent/%s", agent, agent_value(op->agent, scratch));
        CHANGE("unreachable/%s", agent, removed);
        return;
    case RV_REGISTRY_REMOVE_AGENT:
        CHANGE("agent/%s", agent, removed);
        CHANGE("unreachable/%s", agent, removed);
        return;
    case RV_REGISTRY_MARK_GONE:
        CHANGE("gone/%s", agent, absence(op->wall_ns, scratch));
        CHANGE("agent/%s", agent, removed);
        CHANGE("unreachable/%s", agent, removed);
        return;
    case RV_REGISTRY_PUT_FRAMEWORK:
        CHANGE("framework/%s", framework, framework_value(op->framework, scratch));
        return;
    case RV_REGISTRY_REMOVE_FRAMEWORK:
        CHANGE("framework/%s", framework, removed);
        return;
    case RV_REGISTRY_PUT_WEIGHTS:
        for (size_t i = 0; i < op->n_weights; i++) {
            Reeve__V1__Registry__Weight m = REEVE__V1__REGISTRY__WEIGHT__INIT;
            m.weight = op->weights[i].weight;
            CHANGE("weight/%s", op->weights[i].role, framed(&m.base, scratch));
        }
        return;
    case RV_REGISTRY_KIND_MAX:
        break;
    }
#undef CHANGE
}

/* --- in --- */

struct absent {
    struct rv_agent_id id;
    int64_t wall_ns;
};

struct rv_registry_loaded {
    struct rv_arena arena;
    struct rv_registry_snapshot snapshot;
    RV_VEC(struct rv_agent_info) agents;
    RV_VEC(struct rv_framework_info) frameworks;
    RV_VEC(struct rv_weight) weights;
    RV_VEC(struct absent) unreachable, gone;
    struct rv_error err; /* the first */
};

static ProtobufCMessage *record(struct rv_registry_loaded *l, const char *key, struct rv_str value,
                                const ProtobufCMessageDescriptor *type) {
    const uint8_t *p = (const uint8_t *)value.s;
    ProtobufCMessage *message;
    uint32_t crc = 0;

    if (value.n < HEAD || p[0] != FORMAT) {
        rv_error_set(&l->err, RV_ERR_CORRUPT,
                     "record %s of the registry: format %d is not known to this version", key,
                     value.n ? p[0] : -1);
        return NULL;
    }
    for (int i = 0; i < 4; i++)
        crc |= (uint32_t)p[1 + i] << (8 * i);
    if (crc != rv_crc32c(0, p + HEAD, value.n - HEAD)) {
        rv_error_set(&l->err, RV_ERR_CORRUPT, "record %s of the registry: wrong checksum", key);
        return NULL;
    }
    char *copy = rv_arena_memdup(&l->arena, p + HEAD, value.n - HEAD);
    if (rv_wire_decode(type, RV_ENC_PROTOBUF, rv_strn(copy, value.n - HEAD), NULL, &l->arena,
                       &message, &l->err)) {
        rv_error_prefix(&l->err, "record %s of the registry", key);
        return NULL;
    }
    return message;
}

static void load_agent(struct rv_registry_loaded *l, const char *key, struct rv_str value) {
    const Reeve__V1__Registry__Agent *m =
        (void *)record(l, key, value, &reeve__v1__registry__agent__descriptor);
    struct rv_agent_info info = {0};

    if (!m || rv_wire_agent_info_from(m->info, &info, &l->err))
        return;
    info.ip = m->ip;
    rv_vec_push(&l->agents, info);
}

static void load_framework(struct rv_registry_loaded *l, const char *key, struct rv_str value) {
    const Reeve__V1__Registry__Framework *m =
        (void *)record(l, key, value, &reeve__v1__registry__framework__descriptor);
    struct rv_framework_info info = {0};

    if (m && !rv_wire_framework_info_from(m->info, &l->arena, &info, &l->err))
        rv_vec_push(&l->frameworks, info);
}

static struct absent load_absence(struct rv_registry_loaded *l, const char *key, const char *id,
                                  struct rv_str value) {
    const Reeve__V1__Registry__Absence *m =
        (void *)record(l, key, value, &reeve__v1__registry__absence__descriptor);

    return (struct absent){{rv_arena_strdup(&l->arena, id)}, m ? m->since_nanoseconds : 0};
}

static void load_weight(struct rv_registry_loaded *l, const char *key, const char *role,
                        struct rv_str value) {
    const Reeve__V1__Registry__Weight *m =
        (void *)record(l, key, value, &reeve__v1__registry__weight__descriptor);

    if (m)
        rv_vec_push(&l->weights, ((struct rv_weight){rv_arena_strdup(&l->arena, role), m->weight}));
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
    else if (rv_starts_with(key, "weight/"))
        load_weight(l, key, slash + 1, value);
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
    struct rv_registry_snapshot *s = &l->snapshot;

    if (l->err.code) {
        if (err)
            *err = l->err;
        return -(int)l->err.code;
    }
    s->agents = l->agents.v;
    s->n_agents = l->agents.n;
    s->frameworks = l->frameworks.v;
    s->n_frameworks = l->frameworks.n;
    s->weights = l->weights.v;
    s->n_weights = l->weights.n;
    s->unreachable = rv_arena_zalloc(&l->arena, (l->unreachable.n + 1) * sizeof *s->unreachable);
    s->gone = rv_arena_zalloc(&l->arena, (l->gone.n + 1) * sizeof *s->gone);
    for (; s->n_unreachable < l->unreachable.n; s->n_unreachable++) {
        s->unreachable[s->n_unreachable].id = l->unreachable.v[s->n_unreachable].id;
        s->unreachable[s->n_unreachable].wall_ns = l->unreachable.v[s->n_unreachable].wall_ns;
    }
    for (; s->n_gone < l->gone.n; s->n_gone++) {
        s->gone[s->n_gone].id = l->gone.v[s->n_gone].id;
        s->gone[s->n_gone].wall_ns = l->gone.v[s->n_gone].wall_ns;
    }
    return 0;
}

const struct rv_registry_snapshot *rv_registry_snapshot(const struct rv_registry_loaded *l) {
    return &l->snapshot;
}

struct rv_registry_loaded *rv_registry_snapshot_free(struct rv_registry_loaded *l) {
    if (!l)
        return NULL;
    for (size_t i = 0; i < l->agents.n; i++)
        rv_wire_agent_info_release(&l->agents.v[i]);
    for (size_t i = 0; i < l->frameworks.n; i++)
        rv_wire_framework_info_release(&l->frameworks.v[i]);
    rv_vec_free(&l->agents);
    rv_vec_free(&l->frameworks);
    rv_vec_free(&l->weights);
    rv_vec_free(&l->unreachable);
    rv_vec_free(&l->gone);
    rv_arena_free(&l->arena);
    free(l);
    return NULL;
}
