/*
 * The auditor's part at operations on resources: what they take is there and not in use, what they
 * make is told of when it is durable and not lost, and their ends are told once and for all
 * (INV-22, INV-31, INV-32, INV-42).
 *
 * Books: what each agent has, from its registration and what the master had it apply; of each
 * operation, by its uuid, what the master has asked for; by the framework's id, what it was told;
 * of each volume, which CREATE made it, so that data of an earlier one would show.
 */
#include <stdio.h>
#include <stdlib.h>

#include "auditor_internal.h"
#include "cluster.h"
#include "store/checkpoint_codec.h"

#define KEY_MAX 768

static struct rv_str uuid_key(const uint8_t uuid[16]) {
    return rv_strn(uuid, 16);
}

static void *uuid_copy(const void *uuid) {
    void *copy = rv_malloc(16);

    memcpy(copy, uuid, 16);
    return copy;
}

/* --- what the master has an agent apply --- */

static bool has_volume(const struct rv_resources *r, const struct rv_kind *volume) {
    for (size_t i = 0; i < r->n; i++) {
        const struct rv_kind *k = r->v[i].kind;
        if (rv_kind_is_volume(k) &&
            rv_streq(k->disk->persistence_id, volume->disk->persistence_id) &&
            rv_streq(rv_kind_reserved_role(k), rv_kind_reserved_role(volume)))
            return true;
    }
    return false;
}

static void check_ids(struct sim_auditor *a, const struct sim_audit_agent *g,
                      const struct rv_operation *op) {
    for (size_t i = 0; op->type == RV_OP_CREATE && i < op->resources.n; i++)
        if (has_volume(&g->total, op->resources.v[i].kind))
            sim_fail(a->world, "INV-32: volume %s is made a second time on agent %s",
                     op->resources.v[i].kind->disk->persistence_id, g->id);
}

/* What an operator's operation takes is neither used nor offered. */
static void check_free(struct sim_auditor *a, const struct sim_audit_agent *g,
                       const struct rv_conversion *c) {
    struct rv_resources held = {0}, plain = {0};
    void *r;

    for (size_t it = 0; rv_map_next(&g->used, &it, NULL, &r);) {
        rv_resources_copy(&plain, r);
        rv_resources_allocate(&plain, NULL);
        rv_resources_add(&held, &plain);
    }
    for (size_t i = 0; i < a->open.n; i++)
        if (rv_streq(a->open.v[i]->agent_id, g->id))
            rv_resources_add(&held, &a->open.v[i]->resources);
    rv_resources_add(&held, &c->consumed);
    if (!rv_resources_contains(&g->total, &held))
        sim_fail(a->world, "INV-31: the operator's operation takes of agent %s what is in use: %s",
                 g->id, sim_audit_text(&c->consumed));
    rv_resources_free(&held);
    rv_resources_free(&plain);
}

void sim_audit_operation_sent(struct sim_auditor *a, struct sim_audit_agent *g,
                              const struct rv_agent_event *e) {
    const char *framework_id = e->apply.framework_id.v;
    struct rv_conversion c = {0};
    struct rv_error err;

    a->checks++;
    sim_trace(a->world, NULL, "agent %s is to %s for %s: %s", g->id,
              rv_operation_type_name((int)e->apply.operation->type),
              framework_id ? framework_id : "the operator",
              sim_audit_text(&e->apply.operation->resources));
    if (rv_map_put(&a->applied, uuid_key(e->apply.uuid), a))
        sim_fail(a->world, "INV-42: an operation is sent to agent %s twice", g->id);
    if (rv_operation_conversion(e->apply.operation, &c, &err)) {
        sim_fail(a->world, "INV-42: agent %s is to do what cannot be done: %s", g->id, err.message);
        return;
    }
    check_ids(a, g, e->apply.operation);
    if (!framework_id)
        check_free(a, g, &c);
    else if (!a->call.call || a->call.call->type != RV_CALL_ACCEPT || !a->call.accepted ||
             !rv_streq(a->call.agent_id, g->id))
        sim_fail(a->world, "INV-24: an operation on agent %s without a valid offer", g->id);
    else if (!rv_conversion_apply(&c, &a->call.pool))
        sim_fail(a->world, "INV-31: an operation on agent %s takes more than was offered: %s",
                 g->id, sim_audit_text(&c.consumed));
    if (!rv_conversion_apply(&c, &g->total))
        sim_fail(a->world, "INV-31: an operation takes of agent %s what it has not got: %s", g->id,
                 sim_audit_text(&c.consumed));
    rv_map_put(&g->operations, uuid_key(e->apply.uuid), a);
    sim_audit_sum(a, g);
    rv_conversion_free(&c);
}

/* The agent says that it is over. */
void sim_audit_operation_ended(struct sim_audit_agent *g, const struct rv_agent_call *call) {
    if (g && call->operation.status->state != RV_OPERATION_PENDING)
        rv_map_remove(&g->operations, uuid_key(call->operation.operation));
}

/* --- what agents say --- */

/* Totals are told without what cannot be made: only what operations made of it is compared. */
static bool same_made(const struct rv_resources *x, const struct rv_resources *y) {
    struct rv_resources a = {0}, b = {0};
    bool same;

    rv_resources_made(&a, x);
    rv_resources_made(&b, y);
    same = rv_resources_eq(&a, &b);
    rv_resources_free(&a);
    rv_resources_free(&b);
    return same;
}

/* What the agent has written that it has, the latest of it, also what is still being written. */
static void total_written(const struct sim_agent *agent, struct rv_resources *out) {
    const struct rv_blob *bytes = sim_journal_total(&agent->journal);
    struct rv_checkpoint c = {0};
    struct rv_arena arena;
    struct rv_error err;

    rv_resources_copy(out, &agent->info.resources);
    if (!bytes)
        return;
    rv_arena_init(&arena);
    if (rv_checkpoint_decode(rv_strn(bytes->data, bytes->n), &arena, &c, &err))
        sim_fail(&agent->cluster->world, "INV-19: a record of what an agent has: %s", err.message);
    else if (c.total)
        rv_resources_copy(out, c.total);
    rv_checkpoint_release(&c);
    rv_arena_free(&arena);
}

static void check_amounts(struct sim_auditor *a, const struct sim_agent *agent,
                          const struct rv_resources *total) {
    struct rv_quantities had = {0}, has = {0};

    rv_quantities_add_resources(&had, &agent->info.resources);
    rv_quantities_add_resources(&has, total);
    for (size_t i = 0; i < had.n; i++)
        if (rv_quantities_get(&has, had.v[i].name, 0) != had.v[i].amount)
            sim_fail(a->world, "INV-27: operations have changed how much %s %s has", had.v[i].name,
                     agent->server.party.name);
    rv_quantities_free(&had);
    rv_quantities_free(&has);
}

/* At registration. */
void sim_audit_total_said(struct sim_auditor *a, const struct sim_agent *agent,
                          const struct rv_agent_call *call) {
    const struct rv_resources *told =
        call->registration.total ? call->registration.total : &call->registration.info->resources;
    struct rv_resources written = {0};

    a->checks++;
    total_written(agent, &written);
    check_amounts(a, agent, told);
    if (!same_made(told, &written))
        sim_trace(a->world, &agent->server.party, "has written %s", sim_audit_text(&written));
    if (!same_made(told, &written))
        sim_fail(a->world, "INV-31: %s says that it has %s, which is not what it has written",
                 agent->server.party.name, sim_audit_text(told));
    rv_resources_free(&written);
}

void sim_audit_operation_said(struct sim_auditor *a, const struct sim_agent *agent,
                              const struct rv_agent_call *call) {
    const struct rv_operation_status *s = call->operation.status;
    bool durable;

    if (call->type != RV_AGENT_CALL_OPERATION_STATUS)
        return;
    a->checks++;
    durable = sim_journal_has_operation(&agent->journal, call->operation.operation);
    sim_trace(a->world, &agent->server.party, "says that operation %s is %s",
              s->operation_id.v ? s->operation_id.v : "without id",
              rv_operation_state_name((int)s->state));
    if (s->state == RV_OPERATION_FINISHED && !durable)
        sim_fail(a->world, "INV-42: %s says that operation %s is done before it is durable",
                 agent->server.party.name, s->operation_id.v ? s->operation_id.v : "without id");
    if (s->state != RV_OPERATION_FINISHED && durable)
        sim_fail(a->world, "INV-42: %s says that operation %s is %s, and it is done",
                 agent->server.party.name, s->operation_id.v ? s->operation_id.v : "without id",
                 rv_operation_state_name((int)s->state));
}

/* --- what frameworks are told --- */

static bool is_final(enum rv_operation_state state) {
    return state == RV_OPERATION_FINISHED || state == RV_OPERATION_FAILED ||
           state == RV_OPERATION_ERROR || state == RV_OPERATION_DROPPED;
}

void sim_audit_operation_told(struct sim_auditor *a, const struct sim_audit_framework *f,
                              const struct rv_operation_status *s) {
    char buf[KEY_MAX];
    int n = snprintf(buf, sizeof buf, "%s %s", f->id, s->operation_id.v);
    struct rv_str key = rv_strn(buf, (size_t)n);
    uintptr_t before = (uintptr_t)rv_map_get(&a->told_operations, key);

    a->checks++;
    if (!is_final(s->state))
        return;
    if (before && before != (uintptr_t)s->state + 1)
        sim_fail(a->world, "INV-42: operation %s was %s and is %s now", s->operation_id.v,
                 rv_operation_state_name((int)before - 1), rv_operation_state_name((int)s->state));
    rv_map_put(&a->told_operations, key, (void *)((uintptr_t)s->state + 1));
}

/* --- volumes on disks --- */

static struct rv_str volume_key(char buf[KEY_MAX], const struct sim_agent *agent,
                                const struct rv_kind *k) {
    int n = snprintf(buf, KEY_MAX, "%s %s %s", agent->server.party.name, rv_kind_reserved_role(k),
                     k->disk->persistence_id);
    return rv_strn(buf, (size_t)n);
}

/* From now on the volume of this name is the one that this CREATE makes. */
void sim_audit_operation_heard(struct sim_auditor *a, const struct sim_agent *agent,
                               const struct rv_agent_event *e) {
    const struct rv_operation *op = e->apply.operation;
    char buf[KEY_MAX];

    if (e->type != RV_AGENT_EVENT_APPLY_OPERATION || op->type != RV_OP_CREATE)
        return;
    for (size_t i = 0; i < op->resources.n; i++)
        free(rv_map_put(&a->volumes, volume_key(buf, agent, op->resources.v[i].kind),
                        uuid_copy(e->apply.uuid)));
}

/* A container finds the volume's folder, or makes it: whose data is in it? */
void sim_audit_volume_used(struct sim_auditor *a, struct sim_agent *agent, const struct rv_kind *k,
                           const char *path) {
    char buf[KEY_MAX];
    const char *now = rv_map_get(&a->volumes, volume_key(buf, agent, k));
    char *on_disk = rv_map_gets(&agent->volumes, path);

    a->checks++;
    if (!now) {
        sim_fail(a->world, "INV-32: a container on %s uses volume %s, which nobody has made",
                 agent->server.party.name, k->disk->persistence_id);
        return;
    }
    if (on_disk && memcmp(on_disk, now, 16) != 0)
        sim_fail(a->world, "INV-32: volume %s on %s has the data of an earlier one",
                 k->disk->persistence_id, agent->server.party.name);
    if (!on_disk && rv_map_get(&a->written_volumes, rv_strn(now, 16)))
        sim_fail(a->world, "INV-32: the data of volume %s on %s is lost", k->disk->persistence_id,
                 agent->server.party.name);
    rv_map_put(&a->written_volumes, rv_strn(now, 16), a);
    free(rv_map_put(&agent->volumes, rv_str(path), uuid_copy(now)));
}

/* The folder goes: it has not got the data of a volume that the agent has. */
void sim_audit_volume_removed(struct sim_auditor *a, struct sim_agent *agent, const char *path) {
    const char *on_disk = rv_map_gets(&agent->volumes, path);
    struct rv_resources total = {0};
    struct rv_buf folder = {0};
    char buf[KEY_MAX];

    a->checks++;
    sim_trace(a->world, &agent->server.party, "removes what is at %s", path ? path : "?");
    total_written(agent, &total);
    for (size_t i = 0; on_disk && i < total.n; i++) {
        const struct rv_kind *k = total.v[i].kind;
        const char *now =
            rv_kind_is_volume(k) ? rv_map_get(&a->volumes, volume_key(buf, agent, k)) : NULL;
        if (!now)
            continue;
        rv_buf_clear(&folder);
        rv_volume_directory(agent->config.work_dir, k, &folder);
        if (rv_streq(folder.data, path) && !memcmp(on_disk, now, 16))
            sim_fail(a->world, "INV-32: %s removes the data of volume %s, which is there",
                     agent->server.party.name, k->disk->persistence_id);
    }
    free(rv_map_remove(&agent->volumes, rv_str(path)));
    rv_buf_free(&folder);
    rv_resources_free(&total);
}

void sim_audit_operations_free(struct sim_auditor *a) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->volumes, &it, NULL, &v);)
        free(v);
    rv_map_free(&a->volumes);
    rv_map_free(&a->written_volumes);
    rv_map_free(&a->applied);
    rv_map_free(&a->told_operations);
}
