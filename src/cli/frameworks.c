/* reeve frameworks: who schedules on the cluster. */
#include "cli/cluster.h"
#include "cli/output.h"
#include "cli/verbs.h"

struct options {
    bool all;
};

static const struct rv_cli_option options[] = {
    {"all", 'a', NULL, "frameworks that have ended, too", RV_CLI_FLAG,
     offsetof(struct options, all)},
};
static const struct rv_cli_verb verb = {
    .name = "frameworks",
    .operands = "",
    .about = "Lists the frameworks with what their tasks hold; mem is MB.",
    .options = options,
    .n_options = RV_COUNT(options),
};

static void put_row(struct rv_cli_table *t, const struct rv_cli_cluster *c,
                    const Reeve__V1__Master__Response__GetFrameworks__Framework *f, bool ended) {
    const Reeve__V1__FrameworkInfo *info = f->framework_info;
    _cleanup_(rv_buf_free) struct rv_buf roles = {0};
    const char *id = info->id ? info->id->value : "";

    for (size_t i = 0; i < info->n_roles; i++)
        rv_buf_printf(&roles, "%s%s", i ? "," : "", info->roles[i]);
    rv_cli_cell(t, id);
    rv_cli_cell(t, info->name);
    rv_cli_cell(t, ended           ? "ended"
                   : f->recovered  ? "recovering"
                   : !f->connected ? "disconnected"
                   : f->active     ? "active"
                                   : "inactive");
    rv_cli_cell(t, roles.data ? roles.data : "*");
    rv_cli_cell(t, info->user);
    rv_cli_cell(t, info->hostname);
    rv_cli_cell_number(t, (double)rv_cli_tasks_of_framework(c, id));
    rv_cli_cell_fixed(t, rv_cli_scalar(f->allocated_resources, f->n_allocated_resources, "cpus"));
    rv_cli_cell_fixed(t, rv_cli_scalar(f->allocated_resources, f->n_allocated_resources, "mem"));
    rv_cli_cell_number(t, (double)f->n_offers);
    rv_cli_cell(t, info->principal);
    rv_cli_cell_time(t, f->registered_time ? (double)f->registered_time->nanoseconds / 1e9 : 0);
    rv_cli_cell_time(
        t, f->unregistered_time && ended ? (double)f->unregistered_time->nanoseconds / 1e9 : 0);
    rv_cli_cell(t, info->webui_url);
}

static void put_table(const struct rv_cli *cli, const struct rv_cli_cluster *c, bool all) {
    const struct rv_cli_column columns[] = {
        {"FRAMEWORK", "id", RV_CLI_CELL_ID, 0, &c->framework_ids},
        {"NAME", "name", RV_CLI_CELL_TEXT, 0, NULL},
        {"STATE", "state", RV_CLI_CELL_STATE, 0, NULL},
        {"ROLES", "roles", RV_CLI_CELL_TEXT, 0, NULL},
        {"USER", "user", RV_CLI_CELL_TEXT, 0, NULL},
        {"HOST", "host", RV_CLI_CELL_TEXT, RV_CLI_ONLY_WIDE, NULL},
        {"TASKS", "tasks", RV_CLI_CELL_NUMBER, 0, NULL},
        {"CPUS", "cpus", RV_CLI_CELL_NUMBER, 0, NULL},
        {"MEM", "mem", RV_CLI_CELL_NUMBER, 0, NULL},
        {"OFFERS", "offers", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_WIDE, NULL},
        {"PRINCIPAL", "principal", RV_CLI_CELL_TEXT, RV_CLI_ONLY_WIDE, NULL},
        {"REGISTERED", "registered", RV_CLI_CELL_TIME, 0, NULL},
        {"ENDED", "ended", RV_CLI_CELL_TIME, all ? 0 : RV_CLI_ONLY_JSON, NULL},
        {"URL", "url", RV_CLI_CELL_TEXT, RV_CLI_ONLY_WIDE, NULL},
    };
    const Reeve__V1__Master__Response__GetFrameworks *f = c->state->get_frameworks;
    struct rv_cli_table t;

    rv_cli_table_init(&t, columns, RV_COUNT(columns));
    for (size_t i = 0; f && i < f->n_frameworks; i++)
        put_row(&t, c, f->frameworks[i], false);
    for (size_t i = 0; f && all && i < f->n_completed_frameworks; i++)
        put_row(&t, c, f->completed_frameworks[i], true);
    rv_cli_table_print(&t, cli->format);
    rv_cli_table_free(&t);
}

int rv_cli_frameworks(int argc, char **argv) {
    struct rv_cli_cluster c = {0};
    struct options values = {0};
    struct rv_error err;
    struct rv_cli cli;
    int status;

    if (rv_cli_begin(&cli, &verb, &values, argc, argv, &status)) {
        status = RV_CLI_OK;
        if (rv_cli_cluster_get(&cli, &c, &err))
            status = rv_cli_fail(&cli, "%s", err.message);
        else
            put_table(&cli, &c, values.all);
        rv_cli_cluster_free(&c);
    }
    rv_cli_end(&cli);
    return status;
}
