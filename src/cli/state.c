/* reeve state: everything that the master knows, or a summary of it. */
#include <stdio.h>

#include "cli/cluster.h"
#include "cli/output.h"
#include "cli/verbs.h"

static const struct rv_cli_verb verb = {
    .name = "state",
    .operands = "",
    .about = "Shows the whole state of the cluster as JSON: the master's answer to GET_STATE.\n"
             "With -o table or -o wide a summary.",
};

static int print_json(const struct rv_cli *cli) {
    _cleanup_(rv_buf_free) struct rv_buf json = {0}, pretty = {0};
    struct rv_error err;

    if (rv_cli_ask_master_json(cli, REEVE__V1__MASTER__CALL__TYPE__GET_STATE, &json, &err))
        return rv_cli_fail(cli, "%s", err.message);
    rv_cli_json_pretty(rv_buf_str(&json), &pretty);
    fwrite(pretty.data, 1, pretty.n, stdout);
    return RV_CLI_OK;
}

static void put_amount(struct rv_cli_table *t, const struct rv_cli_cluster *c, const char *name,
                       const char *unit) {
    const Reeve__V1__Master__Response__GetAgents *a = c->state->get_agents;
    int64_t used = 0, offered = 0, total = 0;

    for (size_t i = 0; a && i < a->n_agents; i++) {
        const Reeve__V1__Master__Response__GetAgents__Agent *one = a->agents[i];
        used += rv_cli_scalar(one->allocated_resources, one->n_allocated_resources, name);
        offered += rv_cli_scalar(one->offered_resources, one->n_offered_resources, name);
        total += rv_cli_scalar(one->total_resources, one->n_total_resources, name);
    }
    rv_cli_cell(t, unit);
    rv_cli_cell_fixed(t, total);
    rv_cli_cell_fixed(t, used);
    rv_cli_cell_fixed(t, offered);
}

static int print_summary(struct rv_cli *cli) {
    static const struct rv_cli_column columns[] = {
        {"RESOURCE", "resource", RV_CLI_CELL_TEXT, 0, NULL},
        {"TOTAL", "total", RV_CLI_CELL_NUMBER, 0, NULL},
        {"USED", "used", RV_CLI_CELL_NUMBER, 0, NULL},
        {"OFFERED", "offered", RV_CLI_CELL_NUMBER, 0, NULL},
    };
    struct rv_cli_cluster c;
    struct rv_cli_table t;
    struct rv_error err;
    size_t live = 0, agents, frameworks, completed;

    if (rv_cli_cluster_get(cli, &c, &err))
        return rv_cli_fail(cli, "%s", err.message);
    for (size_t i = 0; i < c.n_tasks; i++)
        live += c.tasks[i].live;
    agents = c.state->get_agents ? c.state->get_agents->n_agents : 0;
    frameworks = c.state->get_frameworks ? c.state->get_frameworks->n_frameworks : 0;
    completed = c.state->get_frameworks ? c.state->get_frameworks->n_completed_frameworks : 0;
    printf("%zu nodes, %zu frameworks (%zu ended), %zu tasks (%zu ended)\n\n", agents, frameworks,
           completed, live, c.n_tasks - live);
    rv_cli_table_init(&t, columns, RV_COUNT(columns));
    put_amount(&t, &c, "cpus", "cpus");
    put_amount(&t, &c, "mem", "mem (MB)");
    put_amount(&t, &c, "disk", "disk (MB)");
    put_amount(&t, &c, "gpus", "gpus");
    rv_cli_table_print(&t, cli->format);
    rv_cli_table_free(&t);
    rv_cli_cluster_free(&c);
    return RV_CLI_OK;
}

int rv_cli_state(int argc, char **argv) {
    struct rv_cli cli;
    int status;

    if (rv_cli_begin(&cli, &verb, NULL, argc, argv, &status))
        status =
            cli.format_given && cli.format != RV_CLI_JSON ? print_summary(&cli) : print_json(&cli);
    rv_cli_end(&cli);
    return status;
}
