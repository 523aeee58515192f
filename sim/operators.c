/*
 * The operator: takes agents and machines out of service and puts them back, by chance; in the
 * liveness phase only the latter. Like a real one it goes by what the master's records show.
 */
#include "operators.h"

#include <stdlib.h>

#include "cluster.h"

static void call(struct sim_cluster *c, const struct rv_operator_call *what) {
    struct sim_master *leader = sim_leader(c);

    sim_trace(&c->world, NULL, "the operator: call %d %s", (int)what->type,
              what->agent_id.v ? what->agent_id.v : "");
    if (leader)
        sim_master_operate(leader, what);
}

/* --- agents --- */

static void about_agent(struct sim_cluster *c, enum rv_operator_call_type type, const char *id) {
    struct sim_world *w = &c->world;
    struct rv_deactivation drain = {.has_max_grace = sim_chance(w, 500),
                                    .max_grace_ns = sim_between(w, 0, 5) * 1000000000,
                                    .mark_gone = sim_chance(w, 150)};

    call(c, &(struct rv_operator_call){.type = type, .agent_id = {id}, .drain = &drain});
}

static void change_agent(struct sim_cluster *c) {
    static const enum rv_operator_call_type types[] = {
        RV_OPERATOR_DRAIN_AGENT,      RV_OPERATOR_DRAIN_AGENT,      RV_OPERATOR_DEACTIVATE_AGENT,
        RV_OPERATOR_REACTIVATE_AGENT, RV_OPERATOR_REACTIVATE_AGENT, RV_OPERATOR_REACTIVATE_AGENT,
    };
    struct sim_world *w = &c->world;
    const struct sim_agent *a = &c->agents[sim_below(w, c->n_agents)];
    char *id;

    if (!a->core || !a->core->info.id.v)
        return;
    id = rv_strdup(a->core->info.id.v); /* the agent may end of it */
    if (sim_chance(w, w->faults.gone))
        about_agent(c, RV_OPERATOR_MARK_AGENT_GONE, id);
    else
        about_agent(c, types[sim_below(w, RV_COUNT(types))], id);
    free(id);
}

static void reactivate_all(struct sim_cluster *c) {
    const struct rv_map *deactivated = &sim_leader(c)->core->deactivated;
    RV_VEC(char *) ids = {0};
    struct rv_str key;

    for (size_t it = 0; rv_map_next(deactivated, &it, &key, NULL);)
        rv_vec_push(&ids, rv_strndup(key.s, key.n));
    for (size_t i = 0; i < ids.n; i++) {
        about_agent(c, RV_OPERATOR_REACTIVATE_AGENT, ids.v[i]);
        free(ids.v[i]);
    }
    rv_vec_free(&ids);
}

/* --- machines --- */

static struct rv_machine machine_of(const struct sim_agent *a) {
    return (struct rv_machine){.hostname = a->info.hostname, .ip = a->info.ip};
}

static void schedule(struct sim_cluster *c) {
    struct sim_world *w = &c->world;
    struct rv_machine machines[SIM_AGENTS_MAX + 1];
    size_t n = 0;
    void *v;

    for (size_t i = 0; i < c->n_agents; i++)
        if (sim_chance(w, 400))
            machines[n++] = machine_of(&c->agents[i]);
    /* Those that are down cannot leave. */
    for (size_t it = 0;
         sim_chance(w, 800) && rv_map_next(&sim_leader(c)->core->machines, &it, NULL, &v);) {
        const struct rv_machine *is = &((struct rv_master_machine *)v)->is;
        bool listed = is->mode != RV_MACHINE_DOWN;

        for (size_t i = 0; i < n && !listed; i++)
            listed = rv_streq(machines[i].hostname, is->hostname);
        if (!listed)
            machines[n++] = *is;
    }
    if (n <= SIM_AGENTS_MAX && sim_chance(w, 300))
        machines[n++] = (struct rv_machine){.hostname = "nobody", .ip = "10.0.9.9"};
    for (size_t i = 0; i < n; i++) {
        machines[i].mode = RV_MACHINE_DRAINING;
        machines[i].window = (uint32_t)sim_below(w, 2);
        machines[i].place = (uint32_t)i;
        machines[i].away.start_ns = 1000 + machines[i].window;
        machines[i].away.has_duration = machines[i].window == 1;
        machines[i].away.duration_ns = 5;
    }
    call(c, &(struct rv_operator_call){.type = RV_OPERATOR_UPDATE_MAINTENANCE_SCHEDULE,
                                       .machines = machines,
                                       .n_machines = n});
}

static void change_machine(struct sim_cluster *c) {
    struct sim_world *w = &c->world;
    struct rv_machine machine = machine_of(&c->agents[sim_below(w, c->n_agents)]);

    if (sim_chance(w, 400))
        schedule(c);
    else
        call(c,
             &(struct rv_operator_call){.type = sim_chance(w, 400) ? RV_OPERATOR_START_MAINTENANCE
                                                                   : RV_OPERATOR_STOP_MAINTENANCE,
                                        .machines = &machine,
                                        .n_machines = 1});
}

static void bring_up(struct sim_cluster *c) {
    struct rv_operator_call none = {.type = RV_OPERATOR_UPDATE_MAINTENANCE_SCHEDULE};
    struct rv_machine machine;
    bool any = false;
    void *v;

    for (size_t it = 0; rv_map_next(&sim_leader(c)->core->machines, &it, NULL, &v);) {
        const struct rv_machine *is = &((struct rv_master_machine *)v)->is;

        if (is->mode != RV_MACHINE_DOWN) {
            any = true;
            continue;
        }
        machine = (struct rv_machine){.hostname = rv_strdup(is->hostname), .ip = rv_strdup(is->ip)};
        call(c, &(struct rv_operator_call){
                    .type = RV_OPERATOR_STOP_MAINTENANCE, .machines = &machine, .n_machines = 1});
        free((char *)(uintptr_t)machine.hostname);
        free((char *)(uintptr_t)machine.ip);
        return; /* one change at a time */
    }
    if (any)
        call(c, &none);
}

/* --- turns --- */

void sim_operators_turn(struct sim_cluster *c) {
    struct sim_world *w = &c->world;

    if (!sim_leader(c))
        return;
    if (sim_fault(w, w->faults.operate_agent))
        change_agent(c);
    if (sim_leader(c) && sim_fault(w, w->faults.operate_machine))
        change_machine(c);
}

void sim_operators_put_back(struct sim_cluster *c) {
    if (!sim_leader(c))
        return;
    reactivate_all(c);
    bring_up(c);
    for (size_t i = 0; i < c->n_agents; i++)
        sim_agent_start(&c->agents[i]); /* one that was told to end, because its machine was down */
}
