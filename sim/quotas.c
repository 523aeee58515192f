/* Quotas by chance, see quotas.h. Roles are those that schedulers have, or lie above them. */
#include "quotas.h"

#include <stdlib.h>

#include "cluster.h"

static const char *const roles[] = {"prod", "dev", "eng", "*", "prod/web"};

static void call(struct sim_cluster *c, const struct rv_operator_call *what) {
    struct sim_world *w = &c->world;
    uint64_t request = sim_number(w);
    struct sim_master *leader = sim_leader(c);

    sim_trace(w, NULL, "the operator: call %d of %zu quotas, first of %s%s", (int)what->type,
              what->n_quotas, what->quotas->role, what->force ? ", forced" : "");
    sim_audit_quota_asked(&c->auditor, request, what);
    sim_master_step(leader, &(struct rv_master_event){.kind = RV_MASTER_OPERATOR_CALL,
                                                      .request = request,
                                                      .operator_ = what});
}

static void put(struct sim_world *w, struct rv_quota *q, const char *name, int64_t most) {
    int64_t limit = sim_between(w, 0, most);

    if (sim_chance(w, 600))
        rv_quantities_add(&q->limits, name, limit);
    if (sim_chance(w, 300)) /* now and then beyond the limit */
        rv_quantities_add(&q->guarantees, name, sim_between(w, 1, limit + most / 20 + 1));
}

static void fill(struct sim_world *w, struct rv_quota *q) {
    *q = (struct rv_quota){
        .role = rv_strdup(roles[sim_below(w, RV_COUNT(roles) - !sim_chance(w, 50))])};
    if (sim_chance(w, 200))
        return; /* none any more */
    put(w, q, "cpus", 8000);
    put(w, q, "mem", 8000000);
}

void sim_quotas_turn(struct sim_cluster *c) {
    struct sim_world *w = &c->world;
    struct rv_operator_call what = {.type = RV_OPERATOR_UPDATE_QUOTA};
    struct rv_quota quotas[2];

    if (!w->faults.quotas || !sim_leader(c) || !sim_fault(w, w->faults.quotas))
        return;
    what.quotas = quotas;
    what.n_quotas = 1 + sim_below(w, 2);
    what.force = sim_chance(w, 300);
    for (size_t i = 0; i < what.n_quotas; i++)
        fill(w, &quotas[i]);
    if (what.n_quotas == 1 && sim_chance(w, 300))
        what.type = sim_chance(w, 500) ? RV_OPERATOR_SET_QUOTA : RV_OPERATOR_REMOVE_QUOTA;
    call(c, &what);
    for (size_t i = 0; i < what.n_quotas; i++)
        rv_quota_free(&quotas[i]);
}

void sim_quotas_update(struct sim_cluster *c, int64_t mem) {
    struct rv_quota quotas[] = {{.role = (char[]){"prod"}}, {.role = (char[]){"dev"}}};
    struct rv_operator_call what = {.type = RV_OPERATOR_UPDATE_QUOTA,
                                    .quotas = quotas,
                                    .n_quotas = RV_COUNT(quotas),
                                    .force = true};

    if (!sim_leader(c))
        return;
    rv_quantities_add(&quotas[0].guarantees, "mem", mem / 2);
    rv_quantities_add(&quotas[0].limits, "mem", mem);
    rv_quantities_add(&quotas[1].limits, "mem", mem * 2);
    call(c, &what);
    for (size_t i = 0; i < RV_COUNT(quotas); i++) {
        rv_quantities_free(&quotas[i].guarantees);
        rv_quantities_free(&quotas[i].limits);
    }
}

/* Agents with GPUs are for those who know what to do with them: to others they are headroom that
 * they are never offered. "*" has no quota. */
struct sim_scheduler *sim_quotas_heir(struct sim_cluster *c) {
    struct rv_quantities all = {0};
    struct sim_scheduler *heir = NULL;
    bool gpus = false; /* also of an agent that is away just now, and will be back */

    for (size_t i = 0; i < c->n_agents; i++)
        gpus = gpus || rv_resources_quantity(&c->agents[i].info.resources, "gpus");
    sim_audit_all(&c->auditor, &all);
    for (size_t i = 0; !heir && rv_quantities_get(&all, "cpus", 0) && i < c->n_schedulers; i++) {
        struct sim_scheduler *s = &c->schedulers[(c->world.seed / 4 + i) % c->n_schedulers];

        if (!rv_streq(s->roles[0], "*") &&
            (!gpus || s->capabilities & 1u << RV_FRAMEWORK_GPU_RESOURCES))
            heir = s;
    }
    rv_quantities_free(&all);
    return heir;
}

bool sim_quotas_guarantee(struct sim_cluster *c, const struct sim_scheduler *heir) {
    struct rv_quota quota = {.role = rv_strndup(heir->roles[0], strcspn(heir->roles[0], "/"))};
    struct rv_quantities all = {0};
    int64_t percent = 50 + (int64_t)(c->world.seed % 46);

    sim_audit_all(&c->auditor, &all);
    for (size_t i = 0; i < all.n; i++)
        if (rv_streq(all.v[i].name, "cpus") || rv_streq(all.v[i].name, "mem"))
            rv_quantities_add(&quota.guarantees, all.v[i].name, all.v[i].amount * percent / 100);
    bool any = quota.guarantees.n && sim_leader(c);
    if (any)
        call(c, &(struct rv_operator_call){
                    .type = RV_OPERATOR_UPDATE_QUOTA, .quotas = &quota, .n_quotas = 1});
    rv_quota_free(&quota);
    rv_quantities_free(&all);
    return any;
}

void sim_quotas_remove(struct sim_cluster *c) {
    struct sim_master *leader = sim_leader(c);
    struct rv_quota none = {0};
    struct rv_str role;
    size_t it = 0;

    if (!leader || !rv_map_next(&leader->core->quotas, &it, &role, NULL))
        return;
    none.role = rv_strndup(role.s, role.n);
    call(c, &(struct rv_operator_call){
                .type = RV_OPERATOR_REMOVE_QUOTA, .quotas = &none, .n_quotas = 1});
    rv_quota_free(&none);
}
