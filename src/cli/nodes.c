/* reeve nodes: the agents. */
#include "cli/cluster.h"
#include "cli/output.h"
#include "cli/verbs.h"

static const struct rv_cli_verb verb = {
    .name = "nodes",
    .operands = "",
    .about = "Lists the agents with what of their cpus, memory (MB) and disk (MB) tasks hold.",
};

#define COLUMNS 19

static void put_attributes(struct rv_cli_table *t, const Reeve__V1__AgentInfo *info) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};

    for (size_t i = 0; i < info->n_attributes; i++) {
        const Reeve__V1__Attribute *a = info->attributes[i];
        if (a->type == REEVE__V1__VALUE__TYPE__TEXT && a->text)
            rv_buf_printf(&text, "%s%s:%s", text.n ? ";" : "", a->name, a->text->value);
        else if (a->type == REEVE__V1__VALUE__TYPE__SCALAR && a->scalar)
            rv_buf_printf(&text, "%s%s:%g", text.n ? ";" : "", a->name, a->scalar->value);
    }
    rv_cli_cell(t, text.data);
}

static void put_amounts(struct rv_cli_table *t,
                        const Reeve__V1__Master__Response__GetAgents__Agent *a) {
    static const char *const names[] = {"cpus", "mem", "disk", "gpus"};

    for (size_t i = 0; i < RV_COUNT(names); i++) {
        int64_t used = rv_cli_scalar(a->allocated_resources, a->n_allocated_resources, names[i]),
                total = rv_cli_scalar(a->total_resources, a->n_total_resources, names[i]);
        rv_cli_cell_ratio(t, used, total);
        rv_cli_cell_fixed(t, used);
        rv_cli_cell_fixed(t, total);
    }
}

static void put_row(struct rv_cli_table *t, const struct rv_cli_cluster *c,
                    const Reeve__V1__Master__Response__GetAgents__Agent *a) {
    const Reeve__V1__AgentInfo *info = a->agent_info;
    const char *id = info->id ? info->id->value : "";
    const char *at = a->pid ? strchr(a->pid, '@') : NULL;
    char address[300];

    snprintf(address, sizeof address, "%s:%d", info->hostname, info->port);
    rv_cli_cell(t, id);
    rv_cli_cell(t, info->hostname);
    rv_cli_cell(t, at ? at + 1 : address);
    rv_cli_cell(t, rv_cli_agent_state(a));
    put_amounts(t, a);
    rv_cli_cell_number(t, (double)rv_cli_tasks_on_agent(c, id));
    put_attributes(t, info);
    rv_cli_cell_time(t, a->registered_time ? (double)a->registered_time->nanoseconds / 1e9 : 0);
}

static void put_table(const struct rv_cli *cli, const struct rv_cli_cluster *c) {
#define AMOUNT(TITLE, name, where)                                                                 \
    {TITLE, "", RV_CLI_CELL_RATIO, RV_CLI_NOT_JSON | (where), NULL},                               \
        {"", name "_used", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_JSON, NULL}, {                          \
        "", name "_total", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_JSON, NULL                              \
    }
    const struct rv_cli_column columns[COLUMNS] = {
        {"NODE", "id", RV_CLI_CELL_ID, 0, &c->agent_ids},
        {"HOST", "host", RV_CLI_CELL_TEXT, 0, NULL},
        {"ADDRESS", "address", RV_CLI_CELL_TEXT, 0, NULL},
        {"STATE", "state", RV_CLI_CELL_STATE, 0, NULL},
        AMOUNT("CPUS", "cpus", 0),
        AMOUNT("MEM", "mem", 0),
        AMOUNT("DISK", "disk", 0),
        AMOUNT("GPUS", "gpus", RV_CLI_ONLY_WIDE),
        {"TASKS", "tasks", RV_CLI_CELL_NUMBER, 0, NULL},
        {"ATTRIBUTES", "attributes", RV_CLI_CELL_TEXT, RV_CLI_ONLY_WIDE, NULL},
        {"REGISTERED", "registered", RV_CLI_CELL_TIME, RV_CLI_ONLY_WIDE, NULL},
    };
#undef AMOUNT
    const Reeve__V1__Master__Response__GetAgents *all = c->state->get_agents;
    struct rv_cli_table t;

    rv_cli_table_init(&t, columns, COLUMNS);
    for (size_t i = 0; all && i < all->n_agents; i++)
        put_row(&t, c, all->agents[i]);
    rv_cli_table_print(&t, cli->format);
    rv_cli_table_free(&t);
}

int rv_cli_nodes(int argc, char **argv) {
    struct rv_cli_cluster c = {0};
    struct rv_error err;
    struct rv_cli cli;
    int status;

    if (rv_cli_begin(&cli, &verb, NULL, argc, argv, &status)) {
        status = RV_CLI_OK;
        if (rv_cli_cluster_get(&cli, &c, &err))
            status = rv_cli_fail(&cli, "%s", err.message);
        else
            put_table(&cli, &c);
        rv_cli_cluster_free(&c);
    }
    rv_cli_end(&cli);
    return status;
}
