/* See other_flags.h. What an operator may get wrong is changed one thing at a time, on a copy. */
#include "other_flags.h"

#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"

enum mistake { LESS, MORE, LESS_THOUGH_ADDITIVE, ATTRIBUTE, HOSTNAME, PORT, MISTAKES };

/* Who wrote the checkpoints, if another agent could not go on from them; NULL: nobody. */
static const struct rv_agent_info *bound_to(const struct sim_agent *a,
                                            const struct rv_agent_recovered *found) {
    const struct rv_checkpoint *latest = NULL;

    for (size_t i = 0; i < found->n; i++) {
        if (found->records[i].kind == RV_CHECKPOINT_AGENT)
            latest = &found->records[i];
        else if (found->records[i].kind == RV_CHECKPOINT_ANEW)
            latest = NULL;
    }
    return latest && rv_streq(latest->boot_id, a->boot_id) ? latest->agent : NULL;
}

static void set_cpus(struct rv_agent_info *info, int64_t share_percent) {
    struct rv_resource *cpus = &info->resources.v[0];

    for (size_t i = 0; i < info->resources.n; i++)
        if (rv_streq(info->resources.v[i].kind->name, "cpus"))
            cpus = &info->resources.v[i];
    cpus->scalar = cpus->scalar * share_percent / 100;
}

/* Returns what the refusal must name. */
static const char *change(struct rv_agent_info *info, enum mistake m) {
    struct rv_error err;

    switch (m) {
    case LESS:
    case LESS_THOUGH_ADDITIVE:
        set_cpus(info, 50);
        return "resources: ";
    case MORE:
        set_cpus(info, 200);
        return "resources: ";
    case ATTRIBUTE:
        rv_attributes_free(&info->attributes);
        if (rv_attributes_parse("rack:r3", &info->attributes, &err))
            RV_UNREACHABLE();
        return "attributes: ";
    case HOSTNAME:
        free(info->hostname);
        info->hostname = rv_strdup("another");
        return "hostname: ";
    case PORT:
        info->port++;
        return "port: ";
    case MISTAKES:
        break;
    }
    RV_UNREACHABLE();
}

bool sim_agent_is_refused(struct sim_agent *a, const struct rv_agent_recovered *found) {
    struct sim_world *w = &a->cluster->world;
    const struct rv_agent_info *before = bound_to(a, found);
    struct rv_agent_config config = a->config;
    struct rv_agent_effects effects = {0};
    struct rv_agent_info info = {0};

    if (!before)
        return false;
    enum mistake m = (enum mistake)sim_below(w, MISTAKES);
    rv_agent_info_copy(&info, before);
    free((char *)(uintptr_t)info.id.v);
    info.id.v = NULL;
    const char *what = change(&info, m);
    config.info = &info;
    config.seed = 1;
    config.additive = m == LESS_THOUGH_ADDITIVE;
    struct rv_agent *core =
        rv_agent_new(&config, found, w->now_ms, sim_wall_ns(w, &a->server.party), &effects);
    const char *why = rv_agent_refused(core);
    sim_trace(w, &a->server.party, "is started with other %s%s", what, why ? why : "it goes on");
    a->cluster->auditor.checks++;
    if (!why || !strstr(why, what) || !strstr(why, "--recover=cleanup"))
        sim_fail(w, "INV-20: %s is started with other %sit says: %s", a->server.party.name, what,
                 why ? why : "nothing, and goes on");
    if (effects.n)
        sim_fail(w, "INV-20: %s refuses its flags, and does something: effect %d",
                 a->server.party.name, (int)effects.v[0].kind);
    rv_agent_free(core);
    rv_agent_effects_free(&effects);
    rv_agent_info_free(&info);
    return true;
}
