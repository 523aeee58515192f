/* The operator's operations, see operations.h. Like a real one it goes by what the master shows. */
#include "operations.h"

#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"

static void operate(struct sim_cluster *c, const struct rv_master_agent *g,
                    const struct rv_operation *op) {
    char *id = rv_strdup(g->id.v); /* the agent may go of it */

    sim_trace(&c->world, NULL, "the operator: %s on %s", rv_operation_type_name((int)op->type), id);
    sim_master_operate(
        sim_leader(c),
        &(struct rv_operator_call){.type = RV_OPERATOR_OPERATE, .agent_id = {id}, .operation = op});
    free(id);
}

static struct rv_master_agent *any_agent(struct sim_cluster *c) {
    const struct rv_map *agents = &sim_leader(c)->core->agents;
    size_t n = rv_map_count(agents), which;
    void *g = NULL;

    if (!n)
        return NULL;
    which = sim_below(&c->world, n) + 1;
    for (size_t it = 0; which && rv_map_next(agents, &it, NULL, &g);)
        which--;
    return g;
}

/* A little for a role, now and then more than there is. */
static void reserve(struct sim_cluster *c, const struct rv_master_agent *g) {
    static char roles[][8] = {"prod", "dev", "eng"}, names[][8] = {"disk", "cpus"};
    struct sim_world *w = &c->world;
    struct rv_reservation reservation = {.dynamic = true,
                                         .role = roles[sim_below(w, RV_COUNT(roles))]};
    struct rv_kind template = {.name = names[sim_below(w, RV_COUNT(names))],
                               .reservations = &reservation,
                               .n_reservations = 1};
    struct rv_resource r = {.kind = rv_kind_new(&template),
                            .scalar = sim_chance(w, 100) ? 100000000 : 100,
                            .copies = 1};
    struct rv_operation op = {.type = RV_OP_RESERVE};

    rv_resources_add_one(&op.resources, &r);
    rv_resource_clear(&r);
    operate(c, g, &op);
    rv_operation_free(&op);
}

/* The nth of what was made is undone: a volume, or a reservation without one. */
static bool undo(struct sim_cluster *c, const struct rv_master_agent *g, size_t nth) {
    struct rv_resources made = {0};
    bool any;

    rv_resources_made(&made, &g->total);
    any = nth < made.n;
    if (any) {
        struct rv_operation op = {.type = rv_kind_is_volume(made.v[nth].kind) ? RV_OP_DESTROY
                                                                              : RV_OP_UNRESERVE};
        rv_resources_add_one(&op.resources, &made.v[nth]);
        operate(c, g, &op);
        rv_operation_free(&op);
    }
    rv_resources_free(&made);
    return any;
}

void sim_operations_turn(struct sim_cluster *c) {
    struct sim_world *w = &c->world;
    const struct rv_master_agent *g;

    if (!w->faults.operations || !sim_leader(c) || !sim_chance(w, w->faults.operations))
        return;
    g = any_agent(c);
    if (g && sim_chance(w, 600))
        reserve(c, g);
    else if (g)
        undo(c, g, sim_below(w, 3));
}

void sim_operations_undo(struct sim_cluster *c) {
    RV_VEC(char *) ids = {0};
    const struct rv_master_agent *g;
    struct rv_str id;

    if (!c->world.faults.operations || !sim_leader(c))
        return;
    for (size_t it = 0; rv_map_next(&sim_leader(c)->core->agents, &it, &id, NULL);)
        rv_vec_push(&ids, rv_strndup(id.s, id.n));
    for (size_t i = 0; i < ids.n; i++) {
        for (size_t nth = 0; nth < 20; nth++) {
            g = sim_leader(c) ? rv_map_gets(&sim_leader(c)->core->agents, ids.v[i]) : NULL;
            if (!g || !g->connected || !undo(c, g, nth % 4))
                break;
        }
        free(ids.v[i]);
    }
    rv_vec_free(&ids);
}

const char *sim_operations_left(struct sim_cluster *c) {
    static char text[256];
    struct rv_resources made = {0};
    void *v;
    size_t n;

    for (size_t it = 0; rv_map_next(&sim_leader(c)->core->agents, &it, NULL, &v);) {
        const struct rv_master_agent *g = v;
        rv_resources_made(&made, &g->total);
        n = made.n;
        rv_resources_free(&made);
        if (n) {
            snprintf(text, sizeof text, "INV-31: on agent %s something is still reserved", g->id.v);
            return text;
        }
    }
    for (size_t i = 0; i < c->n_agents; i++)
        if (c->agents[i].core && rv_map_count(&c->agents[i].volumes)) {
            snprintf(text, sizeof text, "INV-32: %s still has the data of a volume",
                     c->agents[i].server.party.name);
            return text;
        }
    return NULL;
}
