/*
 * reeve attach: what a task writes, from now on, until its container ends; of a container that was
 * made with a terminal or a session also its input.
 */
#include "cli/session.h"
#include "cli/verbs.h"

struct options {
    bool input, tty;
    const char *container;
};

static const struct rv_cli_option options[] = {
    {"interactive", 'i', NULL, "also give it our standard input", RV_CLI_FLAG,
     offsetof(struct options, input)},
    {"tty", 't', NULL, "it has a terminal: ours is like it", RV_CLI_FLAG,
     offsetof(struct options, tty)},
    {"container", 'c', "ID", "one that was made below the task, such as by exec", RV_CLI_TEXT,
     offsetof(struct options, container)},
};
static const struct rv_cli_verb verb = {
    .name = "attach",
    .operands = "TASK",
    .about = "Shows what a task writes from now on, until its container ends.",
    .options = options,
    .n_options = RV_COUNT(options),
    .min_operands = 1,
    .max_operands = 1,
};

static int run(struct rv_cli *cli, const struct rv_cli_cluster *c, const struct options *values,
               struct rv_error *err) {
    struct rv_cli_session session = {.cli = cli, .input = values->input, .tty = values->tty};
    Reeve__V1__ContainerID child = REEVE__V1__CONTAINER_ID__INIT;

    if (rv_cli_session_find(c, cli->operands[0], &session, err))
        return rv_cli_fail(cli, "%s", err->message);
    if (values->container) {
        child.value = rv_arena_strdup(&cli->arena, values->container);
        child.parent = session.container_id;
        session.container_id = &child;
    }
    return rv_cli_session_run(&session);
}

int rv_cli_attach(int argc, char **argv) {
    struct options values = {0};
    struct rv_cli_cluster c = {0};
    struct rv_error err;
    struct rv_cli cli;
    int status;

    if (rv_cli_begin(&cli, &verb, &values, argc, argv, &status)) {
        if (rv_cli_cluster_get(&cli, &c, &err))
            status = rv_cli_fail(&cli, "%s", err.message);
        else
            status = run(&cli, &c, &values, &err);
        rv_cli_cluster_free(&c);
    }
    rv_cli_end(&cli);
    return status;
}
