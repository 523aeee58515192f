/*
 * Conversions of ids, times, frameworks, agents, offers and masters. Tasks and operations are in
 * convert_task.c, offer constraints in convert_constraints.c.
 *
 * Trees made here borrow all strings from the model value. Deprecated fields are read because
 * clients still send them.
 */
#include "wire/convert.h"

#include <arpa/inet.h>
#include <math.h>
#include <string.h>

#include "base/fixed.h"
#include "wire/codec.h"
#include "wire/maintenance_codec.h"
#include "wire/master_address.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define MS_PER_DAY INT64_C(86400000)

/* protobuf-c has no const strings; trees that are only encoded do not write them. */
static char *text(const char *s) {
    return (char *)(uintptr_t)s;
}

/* --- ids --- */

#define DEFINE_ID_TO(kind, Type)                                                                   \
    Reeve__V1__##Type *rv_wire_##kind##_id_to(struct rv_##kind##_id id, struct rv_arena *arena) {  \
        if (!id.v)                                                                                 \
            return NULL;                                                                           \
        Reeve__V1__##Type *m = RV_WIRE_MAKE(arena, Type, kind##_id);                               \
        m->value = text(id.v);                                                                     \
        return m;                                                                                  \
    }
DEFINE_ID_TO(framework, FrameworkID)
DEFINE_ID_TO(agent, AgentID)
DEFINE_ID_TO(task, TaskID)
DEFINE_ID_TO(executor, ExecutorID)
DEFINE_ID_TO(offer, OfferID)
DEFINE_ID_TO(operation, OperationID)

Reeve__V1__ContainerID *rv_wire_container_id_to(struct rv_container_id id, struct rv_arena *arena) {
    Reeve__V1__ContainerID *m = NULL;
    const char *s = id.v;
    while (s) {
        size_t n = strcspn(s, ".");
        Reeve__V1__ContainerID *child = RV_WIRE_MAKE(arena, ContainerID, container_id);
        child->value = s[n] ? rv_arena_strndup(arena, s, n) : text(s);
        child->parent = m;
        m = child;
        s = s[n] ? s + n + 1 : NULL;
    }
    return m;
}

struct rv_container_id rv_wire_container_id_from(const Reeve__V1__ContainerID *m,
                                                 struct rv_arena *arena) {
    if (!m || !m->parent)
        return (struct rv_container_id){m ? m->value : NULL};
    size_t n = 0;
    for (const Reeve__V1__ContainerID *c = m; c; c = c->parent)
        n += strlen(c->value) + 1;
    char *id = rv_arena_alloc(arena, n);
    id[--n] = '\0';
    for (const Reeve__V1__ContainerID *c = m; c; c = c->parent) {
        size_t size = strlen(c->value);
        n -= size;
        memcpy(id + n, c->value, size);
        if (n > 0)
            id[--n] = '.';
    }
    return (struct rv_container_id){id};
}

RV_MUST_USE int rv_wire_uuid_from(ProtobufCBinaryData data, const char *field, uint8_t out[16],
                                  struct rv_error *err) {
    if (data.len != 16)
        return rv_error_set(err, RV_ERR_INVALID, "'%s' must have 16 bytes, not %zu", field,
                            data.len);
    memcpy(out, data.data, 16);
    return 0;
}

ProtobufCBinaryData rv_wire_uuid_to(const uint8_t uuid[16]) {
    return (ProtobufCBinaryData){16, (uint8_t *)(uintptr_t)uuid};
}

/* --- times --- */

int64_t rv_wire_kill_grace_from(const Reeve__V1__KillPolicy *m) {
    if (!m || !m->grace_period)
        return -1;
    return m->grace_period->nanoseconds > 0 ? m->grace_period->nanoseconds / 1000000 : 0;
}

Reeve__V1__KillPolicy *rv_wire_kill_policy_to(int64_t grace_ms, struct rv_arena *arena) {
    if (grace_ms < 0)
        return NULL;
    Reeve__V1__KillPolicy *m = RV_WIRE_MAKE(arena, KillPolicy, kill_policy);
    m->grace_period = rv_wire_duration_to(grace_ms, arena);
    return m;
}

Reeve__V1__DurationInfo *rv_wire_duration_to(int64_t ms, struct rv_arena *arena) {
    Reeve__V1__DurationInfo *m = RV_WIRE_MAKE(arena, DurationInfo, duration_info);
    m->nanoseconds = RV_MIN(ms, INT64_MAX / 1000000) * 1000000;
    return m;
}

int64_t rv_wire_refuse_ms_from(const Reeve__V1__Filters *m) {
    double seconds = m ? m->refuse_seconds : 5; /* 5 unless given */
    if (isnan(seconds) || seconds < 0)
        return 5000;
    if (seconds > 365.0 * 86400)
        return 365 * MS_PER_DAY;
    return (int64_t)(seconds * 1000 + 0.5);
}

/* --- frameworks --- */

static int quantities_from(const Reeve__V1__OfferFilters__ResourceQuantities *m, const char *role,
                           struct rv_arena *arena, struct rv_quantities *out,
                           struct rv_error *err) {
    out->n = m->n_quantities;
    out->v = RV_ARENA_ARRAY(arena, struct rv_quantity, out->n);
    for (size_t i = 0; i < out->n; i++) {
        const Reeve__V1__OfferFilters__ResourceQuantities__QuantitiesEntry *entry =
            m->quantities[i];
        struct rv_quantity *q = &out->v[i];
        q->name = entry->key ? entry->key : text("");
        double value = entry->value ? entry->value->value : NAN;
        if (!rv_fixed_from_double(value, &q->amount) || q->amount < 0)
            return rv_error_set(err, RV_ERR_INVALID,
                                "'framework_info.offer_filters[%.100s]': the quantity of '%.100s' "
                                "must be an amount, not negative",
                                role, q->name);
    }
    return 0;
}

static int offer_filters_from(const Reeve__V1__FrameworkInfo *m, struct rv_arena *arena,
                              struct rv_framework_info *out, struct rv_error *err) {
    struct rv_min_allocatable *v =
        RV_ARENA_ARRAY(arena, struct rv_min_allocatable, m->n_offer_filters);
    size_t n = 0;
    for (size_t i = 0; i < m->n_offer_filters; i++) {
        const Reeve__V1__FrameworkInfo__OfferFiltersEntry *entry = m->offer_filters[i];
        const Reeve__V1__OfferFilters__MinAllocatableResources *min =
            entry->value ? entry->value->min_allocatable_resources : NULL;
        if (!min)
            continue;
        struct rv_min_allocatable *to = &v[n++];
        to->role = entry->key ? entry->key : text("");
        to->n = min->n_quantities;
        to->any = RV_ARENA_ARRAY(arena, struct rv_quantities, to->n);
        for (size_t j = 0; j < to->n; j++) {
            int r = quantities_from(min->quantities[j], to->role, arena, &to->any[j], err);
            if (r < 0)
                return r;
        }
    }
    out->min_allocatable = n ? v : NULL;
    out->n_min_allocatable = n;
    return 0;
}

static void roles_from(const Reeve__V1__FrameworkInfo *m, struct rv_arena *arena,
                       struct rv_framework_info *out) {
    bool role_given = m->role && m->role != reeve__v1__framework_info__role__default_value;
    if (rv_framework_can(out, RV_FRAMEWORK_MULTI_ROLE)) {
        out->roles = m->roles;
        out->n_roles = m->n_roles;
        out->role_fields_wrong = role_given;
        return;
    }
    out->roles = RV_ARENA_ARRAY(arena, char *, 1);
    out->roles[0] = m->role ? m->role : text("*");
    out->n_roles = 1;
    out->role_fields_wrong = m->n_roles > 0;
}

int rv_wire_framework_info_from(const Reeve__V1__FrameworkInfo *m, struct rv_arena *arena,
                                struct rv_framework_info *out, struct rv_error *err) {
    struct rv_framework_info f = {
        .id = {m->id ? m->id->value : NULL},
        .user = m->user,
        .name = m->name,
        .hostname = m->hostname,
        .principal = m->principal,
        .webui_url = m->webui_url,
        .checkpoint = m->has_checkpoint && m->checkpoint,
    };
    double timeout = m->has_failover_timeout ? m->failover_timeout : 0;
    if (isnan(timeout))
        return rv_error_set(err, RV_ERR_INVALID, "'framework_info.failover_timeout' is no number");
    const double max = 100 * 365.0 * 86400;
    timeout = timeout < 0 ? 0 : timeout > max ? max : timeout;
    f.failover_timeout_ms = (int64_t)(timeout * 1000 + 0.5);
    for (size_t i = 0; i < m->n_capabilities; i++) {
        int type = m->capabilities[i]->has_type ? (int)m->capabilities[i]->type : 0;
        if (type > 0 && type < RV_FRAMEWORK_CAPABILITY_MAX)
            f.capabilities |= 1u << type;
    }
    roles_from(m, arena, &f);
    int r = offer_filters_from(m, arena, &f, err);
    if (r < 0)
        return r;
    Reeve__V1__FrameworkInfo without_id = *m;
    without_id.id = NULL;
    f.packed = rv_wire_pack(&without_id.base);
    *out = f;
    return 0;
}

void rv_wire_framework_info_release(struct rv_framework_info *f) {
    rv_blob_unref(f->packed);
    f->packed = NULL;
}

ProtobufCMessage *rv_wire_raw_with_id(const struct rv_blob *packed, uint8_t field, const char *id,
                                      struct rv_arena *arena) {
    if (!packed || !id)
        return rv_wire_raw_blob(arena, packed);
    /* The id message as protobuf: key, length, then its only field 1, a string. */
    size_t n = strlen(id);
    uint8_t head[2 * (1 + 10)];
    size_t n_inner = 1, n_head = 1;
    for (size_t rest = n; rest >= 0x80; rest >>= 7)
        n_inner++;
    n_inner += 1 + n;
    head[0] = (uint8_t)(field << 3 | 2);
    size_t rest = n_inner;
    for (; rest >= 0x80; rest >>= 7)
        head[n_head++] = (uint8_t)(rest | 0x80);
    head[n_head++] = (uint8_t)rest;
    head[n_head++] = 1 << 3 | 2;
    for (rest = n; rest >= 0x80; rest >>= 7)
        head[n_head++] = (uint8_t)(rest | 0x80);
    head[n_head++] = (uint8_t)rest;
    char *bytes = rv_arena_alloc(arena, packed->n + n_head + n);
    memcpy(bytes, packed->data, packed->n);
    memcpy(bytes + packed->n, head, n_head);
    memcpy(bytes + packed->n + n_head, id, n);
    return rv_wire_raw(arena, rv_strn(bytes, packed->n + n_head + n));
}

Reeve__V1__FrameworkInfo *rv_wire_framework_info_to(const struct rv_framework_info *f,
                                                    struct rv_arena *arena) {
    return (void *)rv_wire_raw_with_id(f->packed, 3, f->id.v, arena);
}

/* --- agents --- */

static void domain_from(const Reeve__V1__DomainInfo *m, struct rv_agent_info *out) {
    if (!m)
        return;
    out->domain = rv_wire_pack(&m->base);
    if (m->fault_domain) {
        out->region = m->fault_domain->region->name;
        out->zone = m->fault_domain->zone->name;
    }
}

int rv_wire_agent_info_from(const Reeve__V1__AgentInfo *m, struct rv_agent_info *out,
                            struct rv_error *err) {
    struct rv_agent_info a = {
        .id = {m->id ? m->id->value : NULL},
        .hostname = m->hostname,
        .port = m->port, /* 5051 unless given */
    };
    int r = rv_wire_resources_from(m->resources, m->n_resources, "resources", &a.resources, err);
    if (r == 0)
        r = rv_wire_attributes_from(m->attributes, m->n_attributes, "attributes", &a.attributes,
                                    err);
    if (r < 0) {
        rv_wire_agent_info_release(&a);
        return r;
    }
    domain_from(m->domain, &a);
    *out = a;
    return 0;
}

void rv_wire_agent_info_release(struct rv_agent_info *a) {
    rv_resources_free(&a->resources);
    rv_attributes_free(&a->attributes);
    rv_blob_unref(a->domain);
    a->domain = NULL;
}

Reeve__V1__AgentInfo *rv_wire_agent_info_to(const struct rv_agent_info *a,
                                            enum rv_resource_shape shape, struct rv_arena *arena) {
    Reeve__V1__AgentInfo *m = RV_WIRE_MAKE(arena, AgentInfo, agent_info);
    m->hostname = text(a->hostname);
    m->has_port = true;
    m->port = a->port;
    m->id = rv_wire_agent_id_to(a->id, arena);
    m->domain = (void *)rv_wire_raw_blob(arena, a->domain);
    rv_wire_resources_to(&a->resources, shape, false, arena, &m->resources, &m->n_resources);
    rv_wire_attributes_to(&a->attributes, arena, &m->attributes, &m->n_attributes);
    return m;
}

void rv_wire_agent_capabilities_to(uint32_t capabilities, struct rv_arena *arena,
                                   Reeve__V1__AgentInfo__Capability ***v, size_t *n) {
    *n = 0;
    *v = RV_ARENA_ARRAY(arena, Reeve__V1__AgentInfo__Capability *, RV_AGENT_CAPABILITY_MAX);
    for (int type = 1; type < RV_AGENT_CAPABILITY_MAX; type++) {
        if (!(capabilities & (1u << type)))
            continue;
        Reeve__V1__AgentInfo__Capability *c =
            RV_WIRE_MAKE(arena, AgentInfo__Capability, agent_info__capability);
        c->has_type = true;
        c->type = (Reeve__V1__AgentInfo__Capability__Type)type;
        (*v)[(*n)++] = c;
    }
}

uint32_t rv_wire_agent_capabilities_from(Reeve__V1__AgentInfo__Capability *const *v, size_t n) {
    uint32_t bits = 0;
    for (size_t i = 0; i < n; i++) {
        int type = v[i]->has_type ? (int)v[i]->type : 0;
        if (type > 0 && type < RV_AGENT_CAPABILITY_MAX)
            bits |= 1u << type;
    }
    return bits;
}

static Reeve__V1__Address *address_to(const char *hostname, const char *ip, int32_t port,
                                      struct rv_arena *arena) {
    Reeve__V1__Address *m = RV_WIRE_MAKE(arena, Address, address);
    m->hostname = text(hostname);
    m->ip = text(ip);
    m->port = port;
    return m;
}

Reeve__V1__URL *rv_wire_agent_url_to(const struct rv_agent_info *a, const char *path,
                                     struct rv_arena *arena) {
    Reeve__V1__URL *m = RV_WIRE_MAKE(arena, URL, url);
    m->scheme = text("http");
    m->address = address_to(a->hostname, a->ip, a->port, arena);
    m->path = text(path);
    return m;
}

/* --- offers --- */

Reeve__V1__Offer *rv_wire_offer_to(const struct rv_offer_view *o, uint32_t capabilities,
                                   struct rv_arena *arena) {
    const struct rv_agent_info *agent = o->agent;
    bool multi_role = capabilities & (1u << RV_FRAMEWORK_MULTI_ROLE);
    Reeve__V1__Offer *m = RV_WIRE_MAKE(arena, Offer, offer);
    m->id = rv_wire_offer_id_to(o->id, arena);
    m->framework_id = rv_wire_framework_id_to(o->framework_id, arena);
    m->agent_id = rv_wire_agent_id_to(agent->id, arena);
    m->hostname = text(agent->hostname);
    m->url = rv_wire_agent_url_to(agent, "/slave(1)", arena);
    m->domain = (void *)rv_wire_raw_blob(arena, agent->domain);
    rv_wire_resources_to(o->resources, rv_wire_shape_for(capabilities), multi_role, arena,
                         &m->resources, &m->n_resources);
    rv_wire_attributes_to(&agent->attributes, arena, &m->attributes, &m->n_attributes);
    if (o->n_executor_ids > 0) {
        m->executor_ids = RV_ARENA_ARRAY(arena, Reeve__V1__ExecutorID *, o->n_executor_ids);
        m->n_executor_ids = o->n_executor_ids;
        for (size_t i = 0; i < o->n_executor_ids; i++)
            m->executor_ids[i] = rv_wire_executor_id_to(o->executor_ids[i], arena);
    }
    if (multi_role) {
        m->allocation_info =
            RV_WIRE_MAKE(arena, Resource__AllocationInfo, resource__allocation_info);
        m->allocation_info->role = text(o->role);
    }
    m->unavailability = o->away ? rv_wire_unavailability_to(o->away, arena) : NULL;
    return m;
}

/* Of the whole machine: without resources, as the peer's. */
Reeve__V1__InverseOffer *rv_wire_inverse_offer_to(const struct rv_inverse_offer_view *o,
                                                  struct rv_arena *arena) {
    Reeve__V1__InverseOffer *m = RV_WIRE_MAKE(arena, InverseOffer, inverse_offer);
    m->id = rv_wire_offer_id_to(o->id, arena);
    m->url = rv_wire_agent_url_to(o->agent, "/slave(1)", arena);
    m->framework_id = rv_wire_framework_id_to(o->framework_id, arena);
    m->agent_id = rv_wire_agent_id_to(o->agent->id, arena);
    m->unavailability = rv_wire_unavailability_to(o->away, arena);
    return m;
}

/* --- masters --- */

struct rv_blob *rv_wire_master_info_pack(const char *id, const char *hostname, const char *ip,
                                         uint16_t port, const char *version,
                                         const struct rv_blob *domain) {
    struct rv_arena arena;
    rv_arena_init(&arena);
    Reeve__V1__MasterInfo m;
    reeve__v1__master_info__init(&m);
    struct in_addr number = {0};
    if (inet_pton(AF_INET, ip, &number) != 1)
        number.s_addr = 0;
    m.id = text(id);
    m.ip = number.s_addr; /* as it stands in memory: so the peer writes it */
    m.port = port;
    m.pid = rv_arena_printf(&arena, strchr(ip, ':') ? "master@[%s]:%u" : "master@%s:%u", ip, port);
    m.hostname = text(hostname);
    m.version = text(version);
    m.address = address_to(hostname, ip, port, &arena);
    m.domain = (void *)rv_wire_raw_blob(&arena, domain);
    Reeve__V1__MasterInfo__Capability capabilities[3], *pointers[3];
    for (int i = 0; i < 3; i++) { /* AGENT_UPDATE, AGENT_DRAINING, QUOTA_V2 */
        reeve__v1__master_info__capability__init(&capabilities[i]);
        capabilities[i].has_type = true;
        capabilities[i].type = (Reeve__V1__MasterInfo__Capability__Type)(i + 1);
        pointers[i] = &capabilities[i];
    }
    m.capabilities = pointers;
    m.n_capabilities = 3;
    struct rv_blob *packed = rv_wire_pack(&m.base);
    rv_arena_free(&arena);
    return packed;
}

void rv_wire_master_info_print(const struct rv_blob *info, struct rv_buf *json) {
    struct rv_arena arena;
    ProtobufCMessage *m;

    rv_arena_init(&arena);
    if (!rv_wire_decode(&reeve__v1__master_info__descriptor, RV_ENC_PROTOBUF,
                        rv_strn(info->data, info->n), NULL, &arena, &m, NULL))
        rv_wire_encode(m, RV_ENC_JSON, json);
    rv_arena_free(&arena);
}

int rv_wire_master_info_parse(struct rv_str json, struct rv_arena *arena,
                              Reeve__V1__MasterInfo **out, struct rv_error *err) {
    ProtobufCMessage *m;
    int r = rv_wire_decode(&reeve__v1__master_info__descriptor, RV_ENC_JSON, json, NULL, arena, &m,
                           err);

    if (!r)
        *out = (Reeve__V1__MasterInfo *)m;
    return r;
}

int rv_wire_master_address(struct rv_str json, struct rv_address *out, struct rv_error *err) {
    Reeve__V1__MasterInfo *m;
    struct rv_arena arena;
    char dotted[INET_ADDRSTRLEN];

    rv_arena_init(&arena);
    int r = rv_wire_master_info_parse(json, &arena, &m, err);
    if (!r) {
        const Reeve__V1__Address *a = m->address;
        const char *host = a && a->ip && *a->ip ? a->ip : a ? a->hostname : NULL;
        uint32_t port = a ? (uint32_t)a->port : m->port;
        if (!a && m->ip)
            host = inet_ntop(AF_INET, &m->ip, dotted, sizeof dotted);
        if (!host || !*host || !port || port > UINT16_MAX)
            r = rv_error_set(err, RV_ERR_INVALID, "address: no ip or no port");
        else
            *out = (struct rv_address){rv_strdup(host), (uint16_t)port};
    }
    rv_arena_free(&arena);
    return r;
}
