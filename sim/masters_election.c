/*
 * One master of several: a candidate in ZooKeeper, with the registry there, as
 * src/daemon/master_election.c and master_lead.c. The election and the registry's engine are the
 * real ones; here is what is done at their word.
 */
#include <stdlib.h>

#include "cluster.h"
#include "quorum/registry_zookeeper.h"
#include "wire/convert.h"

#define STAND_AGAIN_MS 1000

/* --- leadership --- */

static void stand(struct sim_master *m) {
    struct rv_buf info = {0};

    sim_master_new_id(m);
    rv_wire_master_info_print(m->info, &info);
    rv_election_stand(m->elector.election, rv_buf_str(&info));
    rv_buf_free(&info);
}

static void on_stand_again(void *ctx, uint64_t arg, void *data) {
    struct sim_master *m = ctx;
    (void)arg;
    (void)data;

    if (m->elector.election && !m->shared)
        stand(m);
}

static void end_leadership(struct sim_master *m) {
    if (m->shared)
        m->shared->ops->close(m->shared);
    m->shared = NULL;
    m->loading = rv_registry_snapshot_free(m->loading);
    sim_network_refuse(&m->cluster->network, &m->server);
    sim_master_drop(m);
}

/* What nobody has damaged is damaged only if we have written it so. */
static void give_up(struct sim_master *m, const struct rv_error *err) {
    struct sim_world *w = &m->cluster->world;

    end_leadership(m);
    sim_trace(w, &m->server.party, "cannot lead: %s", err->message);
    if (err->code == RV_ERR_CORRUPT || err->code == RV_ERR_UNSUPPORTED)
        sim_fail(w, "INV-5: %s cannot read the registry: %s", m->server.party.name, err->message);
    rv_election_withdraw(m->elector.election);
    sim_at(w, &m->server.party, STAND_AGAIN_MS, on_stand_again, m, 0, NULL);
}

static void on_lost(void *ctx, const struct rv_error *err) {
    give_up(ctx, err);
}

static void on_record(void *ctx, const char *key, struct rv_str value) {
    struct sim_master *m = ctx;

    rv_registry_loaded_add(m->loading, key, value);
    sim_audit_loaded(&m->cluster->auditor, m, key, value);
}

static void on_loaded(void *ctx, uint64_t seq, int result, const struct rv_error *why) {
    struct sim_master *m = ctx;
    struct rv_error err;
    int r = rv_registry_loaded_finish(m->loading, &err);
    (void)seq;

    if (r || result) {
        give_up(m, r ? &err : why);
        return;
    }
    sim_audit_loaded_all(&m->cluster->auditor, m);
    sim_master_lead(m, rv_registry_snapshot(m->loading));
    m->loading = rv_registry_snapshot_free(m->loading);
}

static void on_elected(void *ctx) {
    struct sim_master *m = ctx;

    sim_trace(&m->cluster->world, &m->server.party, "is elected");
    m->shared = rv_registry_zookeeper_new(
        &(struct rv_registry_zk_config){.zk = rv_election_session(m->elector.election),
                                        .path = SIM_ZK_PATH,
                                        .writer = m->id,
                                        .candidate = rv_election_node(m->elector.election)});
    m->shared->on_lost = on_lost;
    m->shared->lost_ctx = m;
    m->loading = rv_registry_loaded_new();
    m->cluster->auditor.n_loaded = 0;
    m->shared->ops->load(m->shared, on_record, on_loaded, m);
}

static void on_deposed(void *ctx, const char *why) {
    struct sim_master *m = ctx;

    sim_trace(&m->cluster->world, &m->server.party, "is deposed: %s", why);
    end_leadership(m);
    stand(m);
}

static void on_leader(void *ctx, struct rv_str info) {
    struct sim_master *m = ctx;

    m->leader = sim_elector_named(m->cluster, info);
}

/* --- writes --- */

struct changes {
    RV_VEC(struct rv_registry_change) list;
};

static void collect(void *ctx, const char *key, struct rv_str value) {
    struct changes *c = ctx;

    rv_vec_push(&c->list, ((struct rv_registry_change){key, value}));
}

static void on_written(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    struct sim_master *m = ctx;
    struct rv_registry_op *op = rv_map_remove(&m->asked, rv_strn(&seq, sizeof seq));
    struct rv_master_event event = {.kind = RV_MASTER_REGISTRY_DONE};
    (void)err;

    if (sim_master_leads(m)) {
        sim_trace(&m->cluster->world, &m->server.party, "registry %d of %s%s: %s", (int)op->kind,
                  op->agent_id.v ? op->agent_id.v : "",
                  op->framework_id.v ? op->framework_id.v : "", result ? "failed" : "written");
        sim_audit_registry(&m->cluster->auditor, op, !result);
        event.registry.seq = seq;
        event.registry.ok = !result;
        sim_master_step(m, &event);
    }
    sim_op_free(op);
}

void sim_master_write(struct sim_master *m, const struct rv_registry_op *op) {
    struct changes c = {.list = {0}};
    struct rv_arena arena;

    rv_arena_init(&arena);
    rv_registry_op_encode(op, &arena, collect, &c);
    rv_map_put(&m->asked, rv_strn(&op->seq, sizeof op->seq), sim_op_new(op));
    m->shared->ops->write(m->shared, c.list.v, c.list.n, op->seq, on_written, m);
    rv_vec_free(&c.list);
    rv_arena_free(&arena);
}

/* --- life --- */

void sim_master_election_start(struct sim_master *m) {
    static const struct rv_election_handler handler = {on_leader, on_elected, on_deposed};

    sim_elector_start(&m->elector, m->cluster, &m->server.party, &handler, m);
    stand(m);
}

static void close_registry(struct sim_master *m) {
    if (m->shared)
        m->shared->ops->close(m->shared);
    m->shared = NULL;
    m->loading = rv_registry_snapshot_free(m->loading);
}

void sim_master_election_stop(struct sim_master *m) {
    close_registry(m);
    sim_elector_stop(&m->elector);
}

void sim_master_election_crash(struct sim_master *m) {
    close_registry(m);
    sim_elector_crash(&m->elector);
}
