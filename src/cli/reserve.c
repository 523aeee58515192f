/*
 * reeve reserve and reeve unreserve: what of an agent is for a role alone. What is unreserved is
 * looked up in what the agent has, so that nobody needs to know who reserved it, and how.
 */
#include <stdlib.h>

#include "base/fixed.h"
#include "cli/cluster.h"
#include "cli/output.h"
#include "cli/verbs.h"

static const struct rv_cli_verb reserve_verb = {
    .name = "reserve",
    .operands = "[NODE ROLE AMOUNTS]",
    .about = "Reserves AMOUNTS, as 'cpus:4;mem:2048', of an agent for a role and those below it; "
             "without\noperands lists what is reserved. mem and disk are MB. NODE is an id, its "
             "beginning or end,\nor a host name.",
    .max_operands = 3,
};
static const struct rv_cli_verb unreserve_verb = {
    .name = "unreserve",
    .operands = "NODE ROLE [AMOUNTS]",
    .about =
        "Gives back AMOUNTS, as 'cpus:4;mem:2048', of what is reserved for a role on an agent; "
        "without\nthem all but volumes, and what these are made of.",
    .min_operands = 2,
    .max_operands = 3,
};

/* --- showing --- */

static void put_rows(struct rv_cli_table *t,
                     const Reeve__V1__Master__Response__GetAgents__Agent *agent) {
    for (size_t i = 0; i < agent->n_total_resources; i++) {
        const Reeve__V1__Resource *r = agent->total_resources[i];

        if (!rv_cli_reserved_role(r))
            continue;
        rv_cli_cell(t, agent->agent_info->id->value);
        rv_cli_cell(t, rv_cli_reserved_role(r));
        rv_cli_cell(t, r->name);
        if (r->scalar)
            rv_cli_cell_number(t, r->scalar->value);
        else
            rv_cli_cell(t, NULL);
        rv_cli_cell(t, rv_cli_volume_id(r));
    }
}

static int list(struct rv_cli *cli, const struct rv_cli_cluster *c) {
    const struct rv_cli_column columns[] = {
        {"NODE", "node", RV_CLI_CELL_ID, 0, &c->agent_ids},
        {"ROLE", "role", RV_CLI_CELL_TEXT, 0, NULL},
        {"RESOURCE", "resource", RV_CLI_CELL_TEXT, 0, NULL},
        {"AMOUNT", "amount", RV_CLI_CELL_NUMBER, 0, NULL},
        {"VOLUME", "volume", RV_CLI_CELL_TEXT, 0, NULL},
    };

    rv_cli_cluster_list(cli, c, columns, RV_COUNT(columns), put_rows);
    return RV_CLI_OK;
}

/* --- changing --- */

static int reserve(struct rv_cli *cli, const struct rv_cli_cluster *c) {
    Reeve__V1__Master__Call call = REEVE__V1__MASTER__CALL__INIT;
    Reeve__V1__Master__Call__ReserveResources what =
        REEVE__V1__MASTER__CALL__RESERVE_RESOURCES__INIT;
    Reeve__V1__Resource__ReservationInfo to = REEVE__V1__RESOURCE__RESERVATION_INFO__INIT,
                                         *one = &to;
    Reeve__V1__AgentID agent = REEVE__V1__AGENT_ID__INIT;
    struct rv_cli_amount *amounts;
    struct rv_error err;
    const char *id;

    if (cli->n_operands != 3)
        return rv_cli_misuse(cli, "NODE, ROLE and AMOUNTS");
    if (!rv_cli_amounts_parse(cli->operands[2], &cli->arena, &amounts, &what.n_resources))
        return rv_cli_misuse(cli, "\"%s\" is not amounts, as 'cpus:4;mem:2048'", cli->operands[2]);
    if (rv_cli_agent_find(c, cli->operands[0], &id, &err))
        return rv_cli_fail(cli, "%s", err.message);
    to.has_type = true;
    to.type = REEVE__V1__RESOURCE__RESERVATION_INFO__TYPE__DYNAMIC;
    to.role = cli->operands[1];
    what.resources = RV_ARENA_ARRAY(&cli->arena, Reeve__V1__Resource *, what.n_resources);
    for (size_t i = 0; i < what.n_resources; i++) {
        Reeve__V1__Resource *r = what.resources[i] = RV_ARENA_NEW(&cli->arena, Reeve__V1__Resource);

        reeve__v1__resource__init(r);
        r->name = amounts[i].name;
        r->type = REEVE__V1__VALUE__TYPE__SCALAR;
        r->scalar = amounts[i].value;
        r->reservations = &one;
        r->n_reservations = 1;
    }
    agent.value = (char *)(uintptr_t)id;
    what.agent_id = &agent;
    call.has_type = true;
    call.type = REEVE__V1__MASTER__CALL__TYPE__RESERVE_RESOURCES;
    call.reserve_resources = &what;
    return rv_cli_tell_master(cli, &call, &err) ? rv_cli_fail(cli, "%s", err.message) : RV_CLI_OK;
}

/* As much of r as is wanted; NULL: nothing. `wanted` NULL: all of it. */
static Reeve__V1__Resource *part_of(Reeve__V1__Resource *r, Reeve__V1__Value__Scalar *wanted,
                                    struct rv_arena *arena) {
    Reeve__V1__Resource *part = rv_arena_memdup(arena, r, sizeof *r);
    int64_t has, left;

    if (!wanted)
        return part;
    if (!r->scalar || !rv_fixed_from_double(r->scalar->value, &has) ||
        !rv_fixed_from_double(wanted->value, &left) || left <= 0)
        return NULL;
    part->scalar = rv_arena_memdup(arena, r->scalar, sizeof *r->scalar);
    part->scalar->value = rv_fixed_to_double(has < left ? has : left);
    wanted->value = rv_fixed_to_double(left - (has < left ? has : left));
    return part;
}

/* What of the agent is meant: for each amount, from whatever is reserved for the role. */
static int gather(struct rv_cli *cli, const Reeve__V1__Master__Response__GetAgents__Agent *agent,
                  struct rv_cli_amount *amounts, size_t n,
                  Reeve__V1__Master__Call__UnreserveResources *out) {
    out->resources =
        RV_ARENA_ARRAY(&cli->arena, Reeve__V1__Resource *, agent->n_total_resources * (n + 1));
    for (size_t k = 0; k < n + !amounts; k++)
        for (size_t i = 0; i < agent->n_total_resources; i++) {
            Reeve__V1__Resource *r = agent->total_resources[i], *part;

            if (!rv_streq(rv_cli_reserved_role(r), cli->operands[1]) || rv_cli_volume_id(r) ||
                (amounts && !rv_streq(r->name, amounts[k].name)))
                continue;
            part = part_of(r, amounts ? amounts[k].value : NULL, &cli->arena);
            if (part)
                out->resources[out->n_resources++] = part;
        }
    for (size_t k = 0; amounts && k < n; k++)
        if (amounts[k].value->value > 0)
            return rv_cli_fail(cli, "%g %s more than is reserved for %s there",
                               amounts[k].value->value, amounts[k].name, cli->operands[1]);
    if (!out->n_resources)
        return rv_cli_fail(cli, "nothing but volumes is reserved for %s there", cli->operands[1]);
    return RV_CLI_OK;
}

static int unreserve(struct rv_cli *cli, const struct rv_cli_cluster *c) {
    Reeve__V1__Master__Call call = REEVE__V1__MASTER__CALL__INIT;
    Reeve__V1__Master__Call__UnreserveResources what =
        REEVE__V1__MASTER__CALL__UNRESERVE_RESOURCES__INIT;
    const Reeve__V1__Master__Response__GetAgents__Agent *agent;
    struct rv_cli_amount *amounts = NULL;
    struct rv_error err;
    const char *id;
    size_t n = 0;
    int status;

    if (cli->n_operands == 3 && !rv_cli_amounts_parse(cli->operands[2], &cli->arena, &amounts, &n))
        return rv_cli_misuse(cli, "\"%s\" is not amounts, as 'cpus:4;mem:2048'", cli->operands[2]);
    if (rv_cli_agent_find(c, cli->operands[0], &id, &err))
        return rv_cli_fail(cli, "%s", err.message);
    agent = rv_cli_agent_by_id(c, id);
    if (!agent)
        return rv_cli_fail(cli, "node %s is away", id);
    status = gather(cli, agent, amounts, n, &what);
    if (status)
        return status;
    what.agent_id = agent->agent_info->id;
    call.has_type = true;
    call.type = REEVE__V1__MASTER__CALL__TYPE__UNRESERVE_RESOURCES;
    call.unreserve_resources = &what;
    return rv_cli_tell_master(cli, &call, &err) ? rv_cli_fail(cli, "%s", err.message) : RV_CLI_OK;
}

static int with_agents(const struct rv_cli_verb *verb, int argc, char **argv,
                       int (*act)(struct rv_cli *cli, const struct rv_cli_cluster *c)) {
    struct rv_cli_cluster c = {0};
    struct rv_error err;
    struct rv_cli cli;
    int status;

    if (rv_cli_begin(&cli, verb, NULL, argc, argv, &status)) {
        if (rv_cli_agents_get(&cli, &c, &err))
            status = rv_cli_fail(&cli, "%s", err.message);
        else
            status = act(&cli, &c);
        rv_cli_cluster_free(&c);
    }
    rv_cli_end(&cli);
    return status;
}

static int list_or_reserve(struct rv_cli *cli, const struct rv_cli_cluster *c) {
    return cli->n_operands ? reserve(cli, c) : list(cli, c);
}

int rv_cli_reserve(int argc, char **argv) {
    return with_agents(&reserve_verb, argc, argv, list_or_reserve);
}

int rv_cli_unreserve(int argc, char **argv) {
    return with_agents(&unreserve_verb, argc, argv, unreserve);
}
