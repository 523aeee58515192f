/* reeve roles: who shares the cluster, by what weight. */
#include "cli/cluster.h"
#include "cli/output.h"
#include "cli/verbs.h"

static const struct rv_cli_verb verb = {
    .name = "roles",
    .operands = "",
    .about = "Lists the roles that have a framework, a weight or resources; mem and disk are MB.",
};

static void put_row(struct rv_cli_table *t, const Reeve__V1__Role *role) {
    static const char *const names[] = {"cpus", "mem", "disk", "gpus"};
    _cleanup_(rv_buf_free) struct rv_buf ids = {0};

    rv_cli_cell(t, role->name);
    rv_cli_cell_number(t, role->weight);
    rv_cli_cell_number(t, (double)role->n_frameworks);
    for (size_t i = 0; i < RV_COUNT(names); i++)
        rv_cli_cell_fixed(t, rv_cli_scalar(role->resources, role->n_resources, names[i]));
    for (size_t i = 0; i < role->n_frameworks; i++)
        rv_buf_printf(&ids, "%s%s", i ? "," : "", role->frameworks[i]->value);
    rv_cli_cell(t, ids.data);
}

static void put_table(const struct rv_cli *cli, const Reeve__V1__Master__Response__GetRoles *all) {
    static const struct rv_cli_column columns[] = {
        {"ROLE", "name", RV_CLI_CELL_TEXT, 0, NULL},
        {"WEIGHT", "weight", RV_CLI_CELL_NUMBER, 0, NULL},
        {"FRAMEWORKS", "frameworks", RV_CLI_CELL_NUMBER, 0, NULL},
        {"CPUS", "cpus", RV_CLI_CELL_NUMBER, 0, NULL},
        {"MEM", "mem", RV_CLI_CELL_NUMBER, 0, NULL},
        {"DISK", "disk", RV_CLI_CELL_NUMBER, 0, NULL},
        {"GPUS", "gpus", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_WIDE, NULL},
        {"FRAMEWORK IDS", "framework_ids", RV_CLI_CELL_TEXT, RV_CLI_ONLY_WIDE, NULL},
    };
    struct rv_cli_table t;

    rv_cli_table_init(&t, columns, RV_COUNT(columns));
    for (size_t i = 0; all && i < all->n_roles; i++)
        put_row(&t, all->roles[i]);
    rv_cli_table_print(&t, cli->format);
    rv_cli_table_free(&t);
}

int rv_cli_roles(int argc, char **argv) {
    Reeve__V1__Master__Response *response;
    struct rv_error err;
    struct rv_cli cli;
    int status;

    if (rv_cli_begin(&cli, &verb, NULL, argc, argv, &status)) {
        status = RV_CLI_OK;
        if (rv_cli_ask_master(&cli, REEVE__V1__MASTER__CALL__TYPE__GET_ROLES, &cli.arena, &response,
                              &err))
            status = rv_cli_fail(&cli, "%s", err.message);
        else
            put_table(&cli, response->get_roles);
    }
    rv_cli_end(&cli);
    return status;
}
