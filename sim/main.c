/*
 * The simulator's program: runs seeds. A run has a safety phase under faults that the seed chose, a
 * liveness phase after all is healed, and an end in which nothing may be left. The last line is
 * `N passed, N failed, N skipped`, counting seeds; exit status 1 if any failed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "cluster.h"
#include "crash_points.h"
#include "operations.h"
#include "quotas.h"
#include "scheduler_operations.h"
#include "seeds.h"

static struct sim_cluster cluster;
static bool verbose, crash_points;
static bool three_masters; /* in runs of crash points */
static uint64_t crash_at;  /* write of the next run, 0: none */
static enum sim_moment crash_moment;
static uint64_t trace_lines = 40;
static uint64_t n_passed, n_failed;
static RV_VEC(const char *) writes; /* of the last run: of what kind each was */
static const char *const moments[] = {"before", "durable", "answered"};
static bool crashed; /* somebody has, at the crash point of the last run */
static int64_t simulated_ms;

/* --- faults --- */

static unsigned maybe(struct sim_world *w, unsigned most) {
    return sim_chance(w, 350) ? (unsigned)sim_between(w, 1, most) : 0;
}

/* Swarm testing: a run with all faults at once never gets far, one with few finds what they do. */
static void choose_faults(struct sim_world *w) {
    struct sim_faults *f = &w->faults;

    *f = (struct sim_faults){.latency_ms = sim_chance(w, 300) ? 200 : 5};
    f->operations = w->seed % 7 < 3 || crash_points ? 300 : 0;
    if (crash_points)
        return; /* one crash, and nothing else */
    f->message_slow = maybe(w, 20);
    f->connection_drop = maybe(w, 10);
    f->connection_refused = maybe(w, 100);
    f->half_open = maybe(w, 500);
    f->partition = maybe(w, 150);
    f->slow_reader = maybe(w, 150);
    f->freeze = maybe(w, 150);
    f->wall_jump = maybe(w, 100);
    f->crash_master = maybe(w, 60);
    f->crash_agent = maybe(w, 150);
    f->crash_scheduler = maybe(w, 150);
    f->crash_executor = maybe(w, 150);
    f->reboot = maybe(w, 300);
    f->stop_agent = maybe(w, 60);
    f->flap = maybe(w, 60);
    f->duplicate = maybe(w, 150);
    f->disk_fail = maybe(w, 60);
    f->disk_slow = maybe(w, 100);
    f->disk_full = maybe(w, 50);
    f->registry_fail = maybe(w, 150);
    f->registry_slow = maybe(w, 200);
    f->registry_stall = maybe(w, 60);
    f->launch_fail = maybe(w, 200);
    f->launch_slow = maybe(w, 100);
    f->task_fail = maybe(w, 300);
    f->executor_exit = maybe(w, 200);
    f->oom = maybe(w, 500);
    f->invalid_call = maybe(w, 200);
    f->operate_agent = maybe(w, 300);
    f->operate_machine = maybe(w, 300);
    f->gone = maybe(w, 100);
    f->outage = maybe(w, 60);
    f->zk_lag = maybe(w, 100);
    f->zk_refuse = maybe(w, 30);
    f->crash_zk = maybe(w, 60);
    f->zk_quorum = maybe(w, 30);
    f->stale_master = maybe(w, 500);
    f->bit_flip = w->seed % 4 == 3 ? 300 : 0;
    f->masters_down = w->seed % 5 == 2 ? 20 : 0;
    f->other_flags = w->seed % 3 == 1 ? 300 : 0;
    f->quotas = w->seed % 4 == 1 ? 300 : 0;
}

static void start_master(void *ctx, uint64_t arg, void *data) {
    (void)arg;
    (void)data;
    sim_master_start(ctx);
}

static void start_zk_server(void *ctx, uint64_t arg, void *data) {
    (void)arg;
    (void)data;
    sim_zk_server_start(ctx);
}

struct sim_master *sim_leader(struct sim_cluster *c) {
    for (size_t i = 0; i < c->n_masters; i++)
        if (sim_master_leads(&c->masters[i]))
            return &c->masters[i];
    return NULL;
}

static void start_agent(void *ctx, uint64_t arg, void *data) {
    (void)arg;
    (void)data;
    sim_agent_start(ctx);
}

static void start_scheduler(void *ctx, uint64_t arg, void *data) {
    struct sim_scheduler *s = ctx;
    (void)arg;
    (void)data;
    if (!s->party.up)
        sim_scheduler_start(s);
}

static void master_back(void *ctx, uint64_t arg, void *data) {
    struct sim_agent *a = ctx;
    (void)arg;
    (void)data;

    sim_agent_detected(a, a->told);
}

static struct sim_agent *any_agent(struct sim_cluster *c) {
    return &c->agents[sim_below(&c->world, c->n_agents)];
}

static struct sim_scheduler *any_scheduler(struct sim_cluster *c) {
    return &c->schedulers[sim_below(&c->world, c->n_schedulers)];
}

static struct sim_master *any_master(struct sim_cluster *c) {
    struct sim_master *leader = sim_leader(c);

    return leader && sim_chance(&c->world, 600) ? leader
                                                : &c->masters[sim_below(&c->world, c->n_masters)];
}

static struct sim_zk_server *any_zk_server(struct sim_cluster *c) {
    return &c->zk.servers[sim_below(&c->world, SIM_ZK_SERVERS)];
}

static struct sim_party *any_party(struct sim_cluster *c) {
    switch (sim_below(&c->world, c->has_zk ? 4 : 3)) {
    case 0:
        return &any_master(c)->server.party;
    case 3:
        return &any_zk_server(c)->server.party;
    case 1:
        return &any_agent(c)->server.party;
    default:
        return &any_scheduler(c)->party;
    }
}

static void faults_of_network(struct sim_cluster *c) {
    struct sim_world *w = &c->world;
    const struct sim_faults *f = &w->faults;

    if (sim_fault(w, f->partition)) {
        int a = any_party(c)->node, b = any_party(c)->node;
        if (sim_chance(w, 600))
            b = any_master(c)->server.party.node;
        int64_t ms = sim_between(w, 500, sim_chance(w, 300) ? 120000 : 15000);
        bool both = sim_chance(w, 600);
        sim_trace(w, NULL, "partition of %d and %d for %lld ms%s", a, b, (long long)ms,
                  both ? "" : ", one way");
        if (a != b) {
            sim_network_partition(&c->network, a, b, ms);
            if (both)
                sim_network_partition(&c->network, b, a, ms);
        }
    }
    if (sim_fault(w, f->slow_reader) && c->network.conns.n)
        c->network.conns.v[sim_below(w, c->network.conns.n)]->slow_until_ms =
            w->now_ms + sim_between(w, 1000, 60000);
    if (sim_fault(w, f->slow_reader) && any_scheduler(c)->stream)
        for (size_t i = 0; i < c->n_schedulers; i++)
            if (c->schedulers[i].stream && sim_chance(w, 300))
                c->schedulers[i].stream->slow_until_ms = w->now_ms + sim_between(w, 1000, 60000);
    if (sim_fault(w, f->duplicate))
        sim_scheduler_duplicate(any_scheduler(c));
}

static void faults_of_time(struct sim_cluster *c) {
    struct sim_world *w = &c->world;

    if (sim_fault(w, w->faults.freeze)) {
        struct sim_party *p = any_party(c);
        int64_t ms = sim_between(w, 100, sim_chance(w, 200) ? 100000 : 10000);
        p->frozen_until_ms = RV_MAX(p->frozen_until_ms, w->now_ms + ms);
        sim_trace(w, p, "frozen until %lld", (long long)p->frozen_until_ms);
    }
    if (sim_fault(w, w->faults.wall_jump)) {
        struct sim_party *p = any_party(c);
        p->wall_offset_ns += sim_between(w, -3600, 3600) * 1000000000;
        sim_trace(w, p, "wall clock jumps");
    }
}

/* A rack without power: the master, and many agents that come back late. */
static void outage(struct sim_cluster *c) {
    struct sim_world *w = &c->world;

    struct sim_master *m = any_master(c);

    sim_master_crash(m, true);
    sim_at(w, NULL, sim_between(w, 10, 5000), start_master, m, 0, NULL);
    for (size_t i = 0; i < c->n_agents; i++)
        if (sim_chance(w, 600)) {
            sim_agent_crash(&c->agents[i], sim_chance(w, 500));
            sim_at(w, NULL, sim_between(w, 10, 200000), start_agent, &c->agents[i], 0, NULL);
        }
}

/* Nobody leads, and nobody can be asked, for minutes: agents and frameworks are alone (INV-6). A
 * scheduler may end with them, and be away when there is a leader again (INV-12). */
static void end_masters(struct sim_cluster *c) {
    struct sim_world *w = &c->world;
    int64_t away_ms = sim_between(w, 10000, sim_chance(w, 300) ? 600000 : 60000);

    for (size_t i = 0; i < c->n_masters; i++) {
        sim_master_crash(&c->masters[i], false);
        sim_at(w, NULL, away_ms + sim_between(w, 0, 3000), start_master, &c->masters[i], 0, NULL);
    }
    if (sim_chance(w, 500)) {
        struct sim_scheduler *s = any_scheduler(c);
        sim_scheduler_crash(s, false);
        sim_at(w, NULL, away_ms + sim_between(w, 0, 300000), start_scheduler, s, 0, NULL);
    }
}

static void faults_of_processes(struct sim_cluster *c) {
    struct sim_world *w = &c->world;
    const struct sim_faults *f = &w->faults;

    if (sim_fault(w, f->crash_master)) {
        struct sim_master *m = any_master(c);
        sim_master_crash(m, sim_chance(w, 200));
        sim_at(w, NULL, sim_between(w, 10, 20000), start_master, m, 0, NULL);
    }
    if (sim_fault(w, f->outage))
        outage(c);
    if (sim_fault(w, f->masters_down))
        end_masters(c);
    if (sim_fault(w, f->crash_agent)) {
        struct sim_agent *a = any_agent(c);
        sim_agent_crash(a, sim_fault(w, f->reboot));
        sim_at(w, NULL, sim_between(w, 10, sim_chance(w, 200) ? 120000 : 5000), start_agent, a, 0,
               NULL);
    }
    if (sim_fault(w, f->crash_scheduler)) {
        struct sim_scheduler *s = any_scheduler(c);
        sim_scheduler_crash(s, sim_chance(w, 200));
        sim_at(w, NULL, sim_between(w, 10, sim_chance(w, 200) ? 120000 : 5000), start_scheduler, s,
               0, NULL);
    }
    if (sim_fault(w, f->crash_executor)) {
        struct sim_agent *a = any_agent(c);
        if (a->containers.n)
            sim_container_kill(a->containers.v[sim_below(w, a->containers.n)], 11, RV_REASON_NONE);
    }
    if (sim_fault(w, f->stop_agent))
        sim_agent_input(any_agent(c), &(struct rv_agent_input){.kind = RV_AGENT_STOP});
    if (sim_fault(w, f->flap)) {
        struct sim_agent *a = any_agent(c);
        sim_agent_detected(a, -1);
        sim_at(w, &a->server.party, sim_between(w, 10, 20000), master_back, a, 0, NULL);
    }
    if (sim_fault(w, f->disk_full)) {
        struct sim_agent *a = any_agent(c);
        a->journal.full_until_ms = w->now_ms + sim_between(w, 1000, 60000);
        sim_trace(w, &a->server.party, "disk full");
    }
    if (sim_fault(w, f->registry_stall))
        c->masters[0].registry.stalled_until_ms = w->now_ms + sim_between(w, 1000, 60000);
}

static void end_zk_server(struct sim_cluster *c, struct sim_zk_server *s) {
    struct sim_world *w = &c->world;

    sim_zk_server_crash(s, sim_chance(w, 200));
    sim_at(w, NULL, sim_between(w, 10, sim_chance(w, 300) ? 60000 : 5000), start_zk_server, s, 0,
           NULL);
}

static void faults_of_zookeeper(struct sim_cluster *c) {
    struct sim_world *w = &c->world;

    if (sim_fault(w, w->faults.crash_zk))
        end_zk_server(c, any_zk_server(c));
    if (sim_fault(w, w->faults.zk_quorum)) {
        size_t first = sim_below(w, SIM_ZK_SERVERS);
        end_zk_server(c, &c->zk.servers[first]);
        end_zk_server(c, &c->zk.servers[(first + 1) % SIM_ZK_SERVERS]);
    }
}

static void set_weights(struct sim_cluster *c) {
    struct rv_weight weights[] = {{"prod", (double)sim_between(&c->world, 1, 5)}};
    struct rv_operator_call call = {
        .type = RV_OPERATOR_UPDATE_WEIGHTS, .weights = weights, .n_weights = 1};

    if (sim_leader(c))
        sim_master_operate(sim_leader(c), &call);
}

static void inject(void *ctx, uint64_t arg, void *data) {
    struct sim_cluster *c = ctx;
    struct sim_world *w = &c->world;
    (void)arg;
    (void)data;

    if (w->healing)
        return;
    faults_of_network(c);
    faults_of_time(c);
    faults_of_processes(c);
    if (c->has_zk)
        faults_of_zookeeper(c);
    sim_operators_turn(c);
    sim_quotas_turn(c);
    sim_operations_turn(c);
    if (sim_chance(w, 10))
        set_weights(c);
    sim_at(w, NULL, sim_between(w, 500, 5000), inject, c, 0, NULL);
}

/* --- a run --- */

static void on_commit(void *ctx) {
    struct sim_cluster *c = ctx;

    sim_audit_committed(&c->auditor, &c->zk.log.v[c->zk.log.n - 1]);
}

static void on_crash(void *ctx, const struct sim_party *party) {
    struct sim_cluster *c = ctx;

    for (size_t i = 0; i < c->n_masters; i++)
        if (&c->masters[i].server.party == party)
            sim_master_die(&c->masters[i]);
}

static void on_said(void *ctx, const struct sim_conn *conn, const struct sim_message *m) {
    struct sim_cluster *c = ctx;

    for (size_t i = 0; i < c->n_masters; i++)
        if (conn->server == &c->masters[i].server)
            sim_audit_master_says(&c->auditor, &c->masters[i], m);
}

static void build(struct sim_cluster *c, uint64_t seed) {
    memset(c, 0, sizeof *c);
    struct sim_world *w = &c->world;
    sim_world_init(w, seed, verbose);
    w->crash_point.at = crash_at;
    w->crash_point.moment = crash_moment;
    choose_faults(w);
    sim_network_init(&c->network, w);
    c->network.on_said = on_said;
    c->network.ctx = c;
    sim_auditor_init(&c->auditor, w, &c->masters[0]);
    c->check_every = 1;
    c->has_zk = crash_points ? three_masters : sim_chance(w, 600);
    c->n_masters = c->has_zk ? SIM_MASTERS_MAX : 1;
    for (size_t i = 0; i < c->n_masters; i++)
        sim_master_init(&c->masters[i], c, i);
    c->n_agents = (size_t)sim_between(w, 1, SIM_AGENTS_MAX);
    c->n_schedulers = (size_t)sim_between(w, 1, SIM_SCHEDULERS_MAX);
    for (size_t i = 0; i < c->n_agents; i++)
        sim_agent_init(&c->agents[i], c, i);
    for (size_t i = 0; i < c->n_schedulers; i++)
        sim_scheduler_init(&c->schedulers[i], c, i);
    if (c->has_zk) {
        c->session_ms = sim_between(w, 4, 20) * 1000;
        sim_ensemble_init(&c->zk, w, &c->network);
        c->zk.on_commit = on_commit;
        c->zk.on_crash = on_crash;
        c->zk.ctx = c;
    }
    for (size_t i = 0; i < c->n_masters; i++)
        sim_at(w, NULL, i ? sim_between(w, 0, 3000) : 0, start_master, &c->masters[i], 0, NULL);
    for (size_t i = 0; i < c->n_agents; i++)
        sim_at(w, NULL, sim_between(w, 0, 3000), start_agent, &c->agents[i], 0, NULL);
    for (size_t i = 0; i < c->n_schedulers; i++)
        sim_at(w, NULL, sim_between(w, 0, 5000), start_scheduler, &c->schedulers[i], 0, NULL);
    sim_at(w, NULL, 5000, inject, c, 0, NULL);
    if (crash_points)
        sim_crash_scenario(c);
}

static void demolish(struct sim_cluster *c) {
    for (size_t i = 0; i < c->n_masters; i++)
        sim_master_free(&c->masters[i]);
    for (size_t i = 0; i < c->n_agents; i++)
        sim_agent_free(&c->agents[i]);
    for (size_t i = 0; i < c->n_schedulers; i++)
        sim_scheduler_free(&c->schedulers[i]);
    sim_zk_pool_free(&c->zk_pool);
    if (c->has_zk)
        sim_ensemble_free(&c->zk);
    sim_network_free(&c->network);
    sim_auditor_free(&c->auditor);
    sim_world_free(&c->world);
}

static void run_for(struct sim_cluster *c, int64_t ms) {
    int64_t until_ms = c->world.now_ms + ms;

    while (!c->world.failed && sim_run_one(&c->world, until_ms)) {
    }
}

static void put_back(void *ctx, uint64_t arg, void *data) {
    struct sim_cluster *c = ctx;
    (void)arg;
    (void)data;

    sim_operators_put_back(c);
    if (!c->holding)
        sim_quotas_remove(c);
    sim_operations_undo(c);
    sim_at(&c->world, NULL, 2000, put_back, c, 0, NULL);
}

static void heal(struct sim_cluster *c) {
    struct sim_world *w = &c->world;

    sim_trace(w, NULL, "all is healed");
    w->healing = true;
    sim_network_heal(&c->network);
    for (size_t i = 0; i < c->n_masters; i++) {
        c->masters[i].registry.stalled_until_ms = 0;
        c->masters[i].config.recovery_agents_percent = 0; /* some are gone for good */
        sim_at(w, NULL, 100, start_master, &c->masters[i], 0, NULL);
    }
    sim_at(w, NULL, 1000, put_back, c, 0, NULL);
    for (size_t i = 0; c->has_zk && i < SIM_ZK_SERVERS; i++)
        sim_at(w, NULL, 50, start_zk_server, &c->zk.servers[i], 0, NULL);
    for (size_t i = 0; i < c->n_agents; i++) {
        c->agents[i].journal.full_until_ms = 0;
        sim_at(w, NULL, 200, start_agent, &c->agents[i], 0, NULL);
    }
    for (size_t i = 0; i < c->n_schedulers; i++) {
        sim_at(w, NULL, 200, start_scheduler, &c->schedulers[i], 0, NULL);
    }
}

/* NULL, or what is not as it should be when everybody can reach everybody. */
static const char *not_connected(struct sim_cluster *c) {
    static char text[128];

    if (!sim_leader(c))
        return "no master leads";
    for (size_t i = 0; c->has_zk && i < c->n_masters; i++)
        if (c->masters[i].leader != (int)sim_leader(c)->number) {
            snprintf(text, sizeof text, "INV-2: master%zu does not know who leads", i);
            return text;
        }
    for (size_t i = 0; i < c->n_agents; i++)
        if (!c->agents[i].core || c->agents[i].core->link != RV_LINK_REGISTERED) {
            snprintf(text, sizeof text, "agent%zu is not registered", i);
            return text;
        }
    for (size_t i = 0; i < c->n_schedulers; i++)
        if (!c->schedulers[i].subscribed) {
            snprintf(text, sizeof text, "sched%zu is not subscribed", i);
            return text;
        }
    return NULL;
}

static const char *not_offered(struct sim_cluster *c) {
    static char text[128];

    for (size_t i = 0; i < c->n_schedulers; i++)
        if (!c->schedulers[i].offers_seen) {
            snprintf(text, sizeof text, "sched%zu gets no offers", i);
            return text;
        }
    return NULL;
}

static const char *not_guaranteed(struct sim_cluster *c) {
    return sim_audit_not_guaranteed(&c->auditor);
}

static const char *not_without_quotas(struct sim_cluster *c) {
    return !sim_leader(c)                               ? "no master leads"
           : rv_map_count(&sim_leader(c)->core->quotas) ? "there are still quotas"
           : sim_leader(c)->core->changing_quotas       ? "quotas are being changed"
                                                        : NULL;
}

static const char *not_done(struct sim_cluster *c) {
    static char text[256];

    for (size_t i = 0; i < c->n_schedulers; i++) {
        const struct sim_scheduler *s = &c->schedulers[i];
        for (size_t k = 0; sim_scheduler_unfinished(s) && k < s->jobs.n; k++)
            if (!s->jobs.v[k]->over && s->jobs.v[k]->state != RV_TASK_UNREACHABLE &&
                s->jobs.v[k]->state != RV_TASK_UNKNOWN) {
                snprintf(text, sizeof text, "task %s of %s is still %s", s->jobs.v[k]->id,
                         s->party.name, rv_task_state_name((int)s->jobs.v[k]->state));
                return text;
            }
        if (sim_scheduler_waits_for(s)) {
            snprintf(text, sizeof text, "operation %s of %s is still %s",
                     sim_scheduler_waits_for(s)->id, s->party.name,
                     rv_operation_state_name((int)sim_scheduler_waits_for(s)->state));
            return text;
        }
    }
    return NULL;
}

/* What the master still books for the agent. */
static const char *still_used(const struct rv_master_agent *g) {
    static char text[256];

    RV_LIST_EACH (&g->tasks, node, tmp) {
        const struct rv_master_task *t = RV_LIST_ENTRY(node, struct rv_master_task, on_agent);
        snprintf(text, sizeof text, "INV-27: the master has task %s of %s in %s on agent %s",
                 t->id.v, t->framework->id.v, rv_task_state_name((int)t->state), g->id.v);
        return text;
    }
    RV_LIST_EACH (&g->executors, node, tmp) {
        const struct rv_master_executor *x =
            RV_LIST_ENTRY(node, struct rv_master_executor, on_agent);
        snprintf(text, sizeof text, "INV-27: the master has executor %s of %s on agent %s",
                 x->info.id.v, x->framework->id.v, g->id.v);
        return text;
    }
    if (!rv_resources_empty(&g->used)) {
        snprintf(text, sizeof text, "INV-27: the master books for nothing on agent %s", g->id.v);
        return text;
    }
    if (!rv_list_empty(&g->operations)) {
        snprintf(text, sizeof text, "INV-42: the master has operations on agent %s", g->id.v);
        return text;
    }
    return NULL;
}

static const char *not_free(struct sim_cluster *c) {
    static char text[256];
    const struct rv_master_agent *g;
    struct rv_agent_framework *f;
    struct rv_agent_task *t;
    void *v;

    if (!sim_leader(c))
        return "no master leads";
    for (size_t it = 0; rv_map_next(&sim_leader(c)->core->agents, &it, NULL, &v);) {
        g = v;
        if (still_used(g))
            return still_used(g);
    }
    for (size_t i = 0; i < c->n_agents; i++)
        if (c->agents[i].core && rv_map_count(&c->agents[i].core->operations)) {
            snprintf(text, sizeof text, "INV-42: agent%zu still has operations", i);
            return text;
        }
    for (size_t i = 0; i < c->n_agents; i++)
        for (size_t it = 0; c->agents[i].core &&
                            rv_map_next(&c->agents[i].core->frameworks, &it, NULL, (void **)&f);)
            for (size_t k = 0; rv_map_next(&f->tasks, &k, NULL, (void **)&t);) {
                snprintf(text, sizeof text, "INV-35: agent%zu still has task %s in %s", i, t->id.v,
                         rv_task_state_name((int)t->state));
                return text;
            }
    return NULL;
}

static const char *not_gone(struct sim_cluster *c) {
    static char text[256];

    if (!sim_leader(c))
        return "no master leads";
    /* One of which no scheduler ever heard the id stays for its failover timeout. */
    for (size_t i = 0; i < c->n_schedulers; i++)
        if (rv_map_gets(&sim_leader(c)->core->frameworks, c->schedulers[i].framework_id)) {
            snprintf(text, sizeof text, "the framework of sched%zu is still there", i);
            return text;
        }
    if (sim_operations_left(c))
        return sim_operations_left(c);
    for (size_t i = 0; i < c->n_agents; i++) {
        if (!c->agents[i].core)
            return "an agent is down";
        if (rv_map_count(&c->agents[i].core->frameworks)) {
            size_t it = 0;
            struct rv_str id;
            void *f;
            rv_map_next(&c->agents[i].core->frameworks, &it, &id, &f);
            snprintf(text, sizeof text, "agent%zu still has framework %.*s%s", i, (int)id.n, id.s,
                     ((struct rv_agent_framework *)f)->terminating ? ", which is ending" : "");
            return text;
        }
        if (c->agents[i].sandboxes.n) {
            snprintf(text, sizeof text,
                     "the sandbox %.200s is still there, though the disk is full",
                     c->agents[i].sandboxes.v[0].path);
            return text;
        }
        for (size_t k = 0; k < c->agents[i].containers.n; k++)
            if (c->agents[i].containers.v[k]->alive) {
                snprintf(text, sizeof text, "container %s still runs",
                         c->agents[i].containers.v[k]->id);
                return text;
            }
    }
    return NULL;
}

/* An agent that does not come back is removed 10 min after the failover; if a master ends rather
 * than to remove so many (INV-9), 10 min after the next one; and one after another. */
#define SETTLE_MS 1800000

/* Runs until nothing is missing, doing what is due every ten seconds. */
static void until(struct sim_cluster *c, const char *(*missing)(struct sim_cluster *),
                  void (*each)(struct sim_scheduler *), int64_t most_ms) {
    int64_t end_ms = c->world.now_ms + most_ms;
    const char *what = NULL;

    for (int turn = 0; !c->world.failed && (!turn || (what = missing(c))); turn++) {
        if (c->world.now_ms >= end_ms) {
            sim_fail(&c->world, "liveness: after %lld s %s", (long long)most_ms / 1000, what);
            return;
        }
        for (size_t i = 0; each && turn % 5 == 0 && i < c->n_schedulers; i++)
            each(&c->schedulers[i]);
        run_for(c, 2000);
    }
}

static void want(struct sim_scheduler *s) {
    s->offers_seen = 0;
    sim_scheduler_revive(s);
}

/* Whoever is offered something keeps it, and a role that is guaranteed most of what there is must
 * get that all the same. If it comes to want it later, it has been kept for it. */
static void guarantee(struct sim_cluster *c, bool later) {
    struct sim_scheduler *heir = sim_quotas_heir(c);

    if (!heir)
        return;
    if (later) {
        heir->offers_seen = 1;
        sim_scheduler_revive(heir);
        run_for(c, 25000); /* until it has given back what it had */
    }
    c->holding = true;
    for (size_t i = 0; i < c->n_schedulers; i++)
        if (!later || &c->schedulers[i] != heir)
            want(&c->schedulers[i]);
    run_for(c, 5000);
    if (!c->world.failed && sim_quotas_guarantee(c, heir)) {
        run_for(c, 5000);
        want(heir);
        until(c, not_guaranteed, want, later ? 20000 : 400000);
    }
    c->holding = false;
    for (size_t i = 0; i < c->n_schedulers; i++)
        sim_scheduler_let_go(&c->schedulers[i]);
}

static void end_framework(struct sim_scheduler *s) {
    s->ending = true;
    sim_scheduler_teardown(s);
}

static void run(struct sim_cluster *c) {
    struct sim_world *w = &c->world;

    run_for(c, crash_points ? 60000 : sim_between(w, 120000, 600000));
    if (w->failed)
        return;
    heal(c);
    until(c, not_connected, NULL, 900000);
    for (size_t i = 0; i < c->n_schedulers; i++)
        c->schedulers[i].offers_seen = 0;
    c->draining = true;
    until(c, not_done, sim_scheduler_drain, SETTLE_MS);
    until(c, not_free, sim_scheduler_drain, SETTLE_MS);
    until(c, not_without_quotas, NULL, 60000);
    if (w->seed % 2 == 0 && !crash_points)
        guarantee(c, w->seed % 4 == 0);
    for (size_t i = 0; i < c->n_schedulers; i++)
        c->schedulers[i].offers_seen = 0;
    /* An offer that somebody sits on is back after the offer timeout of 300 s; some may in turn. */
    until(c, not_offered, sim_scheduler_revive, 900000);
    /* What was lost with a connection may have come back with the next. */
    until(c, not_done, sim_scheduler_drain, SETTLE_MS);
    until(c, not_free, sim_scheduler_drain, SETTLE_MS);
    if (!w->failed)
        sim_audit_idle(&c->auditor);
    until(c, not_connected, NULL, 900000);
    until(c, not_gone, end_framework, 900000);
}

static void print_trace(const struct sim_world *w) {
    uint64_t n = RV_MIN(RV_MIN(w->n_lines, trace_lines), (uint64_t)SIM_TRACE_LINES);

    if (!verbose)
        for (uint64_t i = w->n_lines - n; i < w->n_lines; i++)
            puts(w->lines[i % SIM_TRACE_LINES]);
}

static uint64_t run_seed(uint64_t seed) {
    build(&cluster, seed);
    run(&cluster);
    uint64_t hash = cluster.world.hash;
    simulated_ms += cluster.world.now_ms;
    crashed = cluster.world.crash_point.was_there;
    writes.n = 0;
    for (size_t i = 0; i < cluster.world.writes.n; i++)
        rv_vec_push(&writes, cluster.world.writes.v[i]);
    if (cluster.world.failed) {
        print_trace(&cluster.world);
        if (crash_points)
            printf(
                "FAILED %s\nRun it again: build/sim/sim --seed=%llu --crash=%llu --moment=%s%s\n",
                cluster.world.failure, (unsigned long long)seed, (unsigned long long)crash_at,
                moments[crash_moment], three_masters ? " --masters=3" : "");
        else
            printf("FAILED %s\nRun it again: make sim SEED=%llu\n", cluster.world.failure,
                   (unsigned long long)seed);
        n_failed++;
    } else
        n_passed++;
    if (verbose)
        printf("seed %llu: %llu events, %llu checks, %.0f s, trace %016llx\n",
               (unsigned long long)seed, (unsigned long long)cluster.world.n_events,
               (unsigned long long)cluster.auditor.checks, (double)cluster.world.now_ms / 1000,
               (unsigned long long)hash);
    demolish(&cluster);
    return hash;
}

/* A core's own assertion, or a sanitizer: say which seed it was. */
static void on_abort(int sig) {
    (void)sig;
    print_trace(&cluster.world);
    printf("FAILED seed %llu, event %llu: aborted\nRun it again: make sim SEED=%llu\n",
           (unsigned long long)cluster.world.seed, (unsigned long long)cluster.world.n_events,
           (unsigned long long)cluster.world.seed);
    printf("%llu passed, %llu failed, 0 skipped\n", (unsigned long long)n_passed,
           (unsigned long long)n_failed + 1);
    fflush(stdout);
    _exit(1);
}

static void check_same(uint64_t seed) {
    uint64_t first = run_seed(seed), second = run_seed(seed);

    n_passed -= n_passed ? 1 : 0;
    if (first != second) {
        printf("FAILED seed %llu: two runs, two traces\n", (unsigned long long)seed);
        n_failed++;
    }
}

/* What the crash points of all runs were. */
static struct {
    const char *kind;
    uint64_t n_writes, n_crashes;
} crash_kinds[16];

static size_t crash_kind(const char *kind) {
    size_t i = 0;

    while (crash_kinds[i].kind && strcmp(crash_kinds[i].kind, kind) != 0)
        i++;
    RV_ASSERT(i < RV_COUNT(crash_kinds) - 1);
    crash_kinds[i].kind = kind;
    return i;
}

/* What is written to ZooKeeper is answered; a checkpoint that is told is durable, no more. */
static void crash_at_write(uint64_t seed, uint64_t number, const char *kind) {
    bool is_answered = three_masters && strcmp(kind, "checkpoint") != 0;
    size_t k = crash_kind(kind);

    if (!sim_is_crash_point(kind, crash_kinds[k].n_writes++))
        return;
    crash_at = number;
    for (crash_moment = SIM_BEFORE; crash_moment < (is_answered ? SIM_MOMENTS : SIM_ANSWERED);
         crash_moment++) {
        run_seed(seed);
        crash_kinds[k].n_crashes += crashed;
    }
}

/* The run again and again, with a crash of who writes at each of the writes of the first one. */
static void run_crash_points(uint64_t seed) {
    RV_VEC(const char *) first = {0};

    crash_points = true;
    for (int turn = 0; turn < 2; turn++) {
        three_masters = turn == 1;
        crash_at = 0;
        run_seed(seed);
        first.n = 0;
        for (size_t i = 0; i < writes.n; i++)
            rv_vec_push(&first, writes.v[i]);
        for (size_t i = 0; i < first.n; i++)
            crash_at_write(seed, i + 1, first.v[i]);
    }
    rv_vec_free(&first);
}

static void print_crash_points(void) {
    uint64_t sum = 0;

    for (size_t i = 0; crash_kinds[i].kind; i++) {
        printf("%llu crashes at %llu writes: %s\n", (unsigned long long)crash_kinds[i].n_crashes,
               (unsigned long long)crash_kinds[i].n_writes, crash_kinds[i].kind);
        sum += crash_kinds[i].n_crashes;
    }
    if (sum)
        printf("%llu crash points\n", (unsigned long long)sum);
}

static void run_regressions(void) {
    for (size_t i = 0; i < RV_COUNT(sim_seeds); i++)
        run_seed(sim_seeds[i]);
}

static double seconds(clockid_t clock) {
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A core that others use too is not ours for an hour: what counts is the time that we had of it. */
static void print_speed(void) {
    double hours = (double)simulated_ms / 3600e3;
    double core_hours = seconds(CLOCK_PROCESS_CPUTIME_ID) / 3600;

    printf("%.0f cluster-hours simulated, %.0f in an hour of one core\n", hours,
           hours / RV_MAX(core_hours, 1e-9));
}

static int usage(void) {
    fputs(
        "usage: sim [--seed=N | --seeds=FROM-TO | --minutes=N | --crash-points=FROM-TO]\n"
        "           [--verbose] [--events=N]\n"
        "  --seed=N         one seed\n"
        "  --seeds=FROM-TO  those, after the seeds that have failed before (default 1-200)\n"
        "  --minutes=N      new seeds for so long\n"
        "  --crash-points=FROM-TO  those seeds without faults, but for one crash: of who writes,\n"
        "                   at each write of agents and masters, with one master and with three;\n"
        "                   --seed=N --crash=WRITE --moment=before|durable|answered [--masters=3]\n"
        "                   is one of these runs\n"
        "  --verbose        print the whole trace\n"
        "  --events=N       lines of the trace to print of a failure (default 40)\n",
        stderr);
    return 2;
}

int main(int argc, char **argv) {
    unsigned long long seed = 0, from = 1, to = 200, lines = 40, first = 0, last = 0, crash = 0;
    double minutes = 0;
    char moment;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--verbose"))
            verbose = true;
        else if (!strcmp(argv[i], "--masters=3"))
            three_masters = true;
        else if (sscanf(argv[i], "--moment=%c", &moment) == 1)
            crash_moment = moment == 'b' ? SIM_BEFORE : moment == 'd' ? SIM_DURABLE : SIM_ANSWERED;
        else if (sscanf(argv[i], "--crash=%llu", &crash) != 1 &&
                 sscanf(argv[i], "--crash-points=%llu-%llu", &first, &last) != 2 &&
                 sscanf(argv[i], "--seed=%llu", &seed) != 1 &&
                 sscanf(argv[i], "--seeds=%llu-%llu", &from, &to) != 2 &&
                 sscanf(argv[i], "--minutes=%lf", &minutes) != 1 &&
                 sscanf(argv[i], "--events=%llu", &lines) != 1)
            return usage();
    }
    trace_lines = lines;
    rv_log_set_fd(-1); /* what the election logs is not of our time */
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    crash_at = crash;
    crash_points = crash > 0;
    if (seed)
        run_seed(seed);
    else if (first)
        for (seed = first; seed <= last; seed++)
            run_crash_points(seed);
    else if (minutes > 0) {
        double end = seconds(CLOCK_MONOTONIC) + minutes * 60;
        for (seed = (unsigned long long)time(NULL) * 1000; seconds(CLOCK_MONOTONIC) < end; seed++)
            run_seed(seed);
    } else {
        run_regressions();
        check_same(from);
        for (unsigned long long s = from + 1; s <= to; s++) {
            if (s % 500 == 0)
                check_same(s);
            else
                run_seed(s);
        }
    }
    print_crash_points();
    print_speed();
    rv_vec_free(&writes);
    printf("%llu passed, %llu failed, 0 skipped\n", (unsigned long long)n_passed,
           (unsigned long long)n_failed);
    return n_failed || !n_passed;
}
