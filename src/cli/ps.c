/* reeve ps: the tasks. */
#include "cli/cluster.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "framework/reeve.h"

struct options {
    bool all;
};

static const struct rv_cli_option options[] = {
    {"all", 'a', NULL, "tasks that have ended, too", RV_CLI_FLAG, offsetof(struct options, all)},
};
static const struct rv_cli_verb verb = {
    .name = "ps",
    .operands = "",
    .about = "Lists the tasks of all frameworks: those that have not ended, or with -a all that "
             "the\nmaster still knows.",
    .options = options,
    .n_options = RV_COUNT(options),
};

#define COLUMNS 16

static void put_row(struct rv_cli_table *t, const struct rv_cli_cluster *c,
                    const struct rv_cli_task *one, enum rv_cli_format format) {
    const Reeve__V1__Task *task = one->task;
    const Reeve__V1__Master__Response__GetFrameworks__Framework *framework =
        rv_cli_framework_by_id(c, task->framework_id->value);
    const Reeve__V1__Master__Response__GetAgents__Agent *agent =
        rv_cli_agent_by_id(c, task->agent_id->value);

    rv_cli_cell(t, task->task_id->value);
    rv_cli_cell(t, task->name);
    rv_cli_cell(t, framework ? framework->framework_info->name : NULL);
    rv_cli_cell(t, task->framework_id->value);
    rv_cli_cell(t, format == RV_CLI_JSON ? reeve_state_name(task->state) : one->state);
    rv_cli_cell(t, agent ? agent->agent_info->hostname : NULL);
    rv_cli_cell(t, task->user);
    rv_cli_cell(t, task->agent_id->value);
    rv_cli_cell_fixed(t, rv_cli_scalar(task->resources, task->n_resources, "cpus"));
    rv_cli_cell_fixed(t, rv_cli_scalar(task->resources, task->n_resources, "mem"));
    rv_cli_cell_fixed(t, rv_cli_scalar(task->resources, task->n_resources, "disk"));
    rv_cli_cell_fixed(t, rv_cli_scalar(task->resources, task->n_resources, "gpus"));
    rv_cli_cell(t, task->executor_id ? task->executor_id->value : NULL);
    rv_cli_cell_time(t, one->started_s);
    rv_cli_cell_time(t, one->ended_s);
    rv_cli_cell(t, one->message);
}

int rv_cli_ps(int argc, char **argv) {
    struct options values = {0};
    struct rv_cli_cluster c = {0};
    struct rv_cli_table t;
    struct rv_error err;
    struct rv_cli cli;
    int status;

    if (rv_cli_begin(&cli, &verb, &values, argc, argv, &status)) {
        if (rv_cli_cluster_get(&cli, &c, &err))
            status = rv_cli_fail(&cli, "%s", err.message);
        else {
            unsigned ended = values.all ? 0 : RV_CLI_ONLY_JSON;
            const struct rv_cli_column columns[COLUMNS] = {
                {"TASK", "id", RV_CLI_CELL_ID, 0, &c.task_ids},
                {"NAME", "name", RV_CLI_CELL_TEXT, 0, NULL},
                {"FRAMEWORK", "framework", RV_CLI_CELL_TEXT, 0, NULL},
                {"FRAMEWORK ID", "framework_id", RV_CLI_CELL_ID, RV_CLI_ONLY_WIDE,
                 &c.framework_ids},
                {"STATE", "state", RV_CLI_CELL_STATE, 0, NULL},
                {"HOST", "host", RV_CLI_CELL_TEXT, 0, NULL},
                {"USER", "user", RV_CLI_CELL_TEXT, RV_CLI_ONLY_WIDE, NULL},
                {"NODE", "node", RV_CLI_CELL_ID, 0, &c.agent_ids},
                {"CPUS", "cpus", RV_CLI_CELL_NUMBER, 0, NULL},
                {"MEM", "mem", RV_CLI_CELL_NUMBER, 0, NULL},
                {"DISK", "disk", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_WIDE, NULL},
                {"GPUS", "gpus", RV_CLI_CELL_NUMBER, RV_CLI_ONLY_WIDE, NULL},
                {"EXECUTOR", "executor", RV_CLI_CELL_TEXT, RV_CLI_ONLY_WIDE, NULL},
                {"STARTED", "started", RV_CLI_CELL_TIME, 0, NULL},
                {"ENDED", "ended", RV_CLI_CELL_TIME, ended, NULL},
                {"MESSAGE", "message", RV_CLI_CELL_TEXT, RV_CLI_ONLY_WIDE, NULL},
            };
            rv_cli_table_init(&t, columns, COLUMNS);
            for (size_t i = 0; i < c.n_tasks; i++)
                if (values.all || !rv_cli_task_has_ended(c.tasks[i].task->state))
                    put_row(&t, &c, &c.tasks[i], cli.format);
            rv_cli_table_print(&t, cli.format);
            rv_cli_table_free(&t);
            status = RV_CLI_OK;
        }
        rv_cli_cluster_free(&c);
    }
    rv_cli_end(&cli);
    return status;
}
