/* See crash_points.h. */
#include "crash_points.h"

#include "cluster.h"
#include "quorum/election.h"
#include "quotas.h"

#define RENEWALS 8 /* one of so many is a crash point */

static bool ends_with(const char *path, const char *end) {
    size_t n = strlen(path), m = strlen(end);

    return n >= m && !strcmp(path + n - m, end);
}

static const char lease_renewed[] = "lease, again";

const char *sim_write_kind(const struct sim_zk_changes *changes) {
    const struct sim_zk_change *first = &changes->list.v[0], *second = first + 1;

    if (changes->list.n == 1)
        return first->change == RV_ZK_REMOVE                ? "candidate's end"
               : strstr(first->path, "/" RV_ELECTION_LABEL) ? "candidate"
                                                            : "path";
    if (ends_with(second->path, "/lease"))
        return first->change == RV_ZK_REMOVE                            ? "lease given back"
               : second->change == RV_ZK_CREATE || second->version >= 0 ? "lease"
                                                                        : lease_renewed;
    for (size_t i = 0; i < changes->list.n; i++) {
        const struct sim_zk_change *c = &changes->list.v[i];

        if (ends_with(c->path, "/epoch") && c->change != RV_ZK_CHECK)
            return "registry taken over";
        if (strstr(c->path, "/quota%2f"))
            return "registry in ZooKeeper, quotas";
    }
    return "registry in ZooKeeper";
}

bool sim_is_crash_point(const char *kind, uint64_t nth) {
    return kind != lease_renewed || nth % RENEWALS == 0;
}

/* --- the scenario --- */

static void start(void *ctx, uint64_t arg, void *data) {
    (void)arg;
    (void)data;
    sim_master_start(ctx);
}

static void change_weights(void *ctx, uint64_t arg, void *data) {
    struct rv_weight weights[] = {{"prod", (double)arg}};
    struct rv_operator_call call = {
        .type = RV_OPERATOR_UPDATE_WEIGHTS, .weights = weights, .n_weights = 1};
    (void)data;

    if (sim_leader(ctx))
        sim_master_operate(sim_leader(ctx), &call);
}

static void change_quotas(void *ctx, uint64_t arg, void *data) {
    (void)data;

    sim_quotas_update(ctx, (int64_t)arg * 2000000);
}

static void stop_leader(void *ctx, uint64_t arg, void *data) {
    struct sim_master *m = sim_leader(ctx);
    (void)arg;
    (void)data;

    if (!m)
        return;
    sim_master_stop(m);
    sim_at(&m->cluster->world, NULL, 3000, start, m, 0, NULL);
}

static void kill_leader(void *ctx, uint64_t arg, void *data) {
    struct sim_master *m = sim_leader(ctx);
    (void)arg;
    (void)data;

    if (!m)
        return;
    sim_master_crash(m, false);
    sim_at(&m->cluster->world, NULL, 3000, start, m, 0, NULL);
}

/* For as long as it may lead without an answer, and a little more, but not until its session ends:
 * it gives the lease back when it is heard again. */
static void cut_leader(void *ctx, uint64_t arg, void *data) {
    struct sim_cluster *c = ctx;
    const struct sim_master *m = sim_leader(c);
    (void)arg;
    (void)data;

    for (int i = 0; m && i < SIM_ZK_SERVERS; i++) {
        int node = m->server.party.node;
        sim_network_partition(&c->network, node, SIM_ZK_NODE + i, c->session_ms * 3 / 4);
        sim_network_partition(&c->network, SIM_ZK_NODE + i, node, c->session_ms * 3 / 4);
    }
}

void sim_crash_scenario(struct sim_cluster *c) {
    struct sim_world *w = &c->world;

    for (uint64_t i = 1; i <= 4; i++)
        sim_at(w, NULL, (int64_t)i * 12000, change_weights, c, i, NULL);
    for (uint64_t i = 1; i <= 4; i++)
        sim_at(w, NULL, (int64_t)i * 11000, change_quotas, c, i, NULL);
    if (!c->has_zk)
        return;
    sim_at(w, NULL, 15000, stop_leader, c, 0, NULL);
    sim_at(w, NULL, 27000, kill_leader, c, 0, NULL);
    sim_at(w, NULL, 39000, cut_leader, c, 0, NULL);
}
