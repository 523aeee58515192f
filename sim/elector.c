/* See elector.h. */
#include "elector.h"

#include "cluster.h"
#include "wire/convert.h"

static int64_t shell_now_ms(void *ctx) {
    return ((struct sim_elector *)ctx)->cluster->world.now_ms;
}

static struct rv_zk *shell_connect(void *ctx, rv_zk_on_state on_state, void *state_ctx) {
    struct sim_elector *e = ctx;
    struct sim_cluster *c = e->cluster;

    return sim_zk_begin(&c->zk_pool, &c->zk, e->party, c->session_ms, on_state, state_ctx);
}

static void on_wake(void *ctx, uint64_t wake, void *data) {
    struct sim_elector *e = ctx;
    (void)data;

    if (wake == e->wake && e->election)
        rv_election_tick(e->election);
}

static void shell_wake(void *ctx, int64_t at_ms) {
    struct sim_elector *e = ctx;
    struct sim_world *w = &e->cluster->world;

    e->wake++;
    if (at_ms != INT64_MAX)
        sim_at(w, e->party, RV_MAX(at_ms - w->now_ms, INT64_C(0)), on_wake, e, e->wake, NULL);
}

static void shell_release(void *ctx) {
    ((struct sim_elector *)ctx)->wake++;
}

void sim_elector_start(struct sim_elector *e, struct sim_cluster *c, struct sim_party *party,
                       const struct rv_election_handler *handler, void *ctx) {
    static const struct rv_election_shell shell = {shell_now_ms, shell_connect, shell_wake,
                                                   shell_release};

    e->cluster = c;
    e->party = party;
    e->election = rv_election_new(&shell, e, SIM_ZK_PATH, handler, ctx);
}

void sim_elector_stop(struct sim_elector *e) {
    e->election = rv_election_free(e->election);
}

void sim_elector_crash(struct sim_elector *e) {
    if (e->election)
        sim_zk_abandon(rv_election_session(e->election));
    e->election = rv_election_free(e->election);
}

int sim_elector_named(struct sim_cluster *c, struct rv_str info) {
    Reeve__V1__MasterInfo *is;
    struct rv_arena arena;
    struct rv_error err;
    int number = -1;

    if (!info.s)
        return -1;
    rv_arena_init(&arena);
    if (rv_wire_master_info_parse(info, &arena, &is, &err))
        sim_fail(&c->world, "INV-49: a candidate cannot be understood: %s", err.message);
    else
        number = (int)is->port - SIM_MASTER_PORT;
    rv_arena_free(&arena);
    return number;
}
