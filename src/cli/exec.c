/*
 * reeve exec: a command beside a task, in its sandbox and with its environment. What is typed goes
 * to it with -i; with -t it has a terminal, so that editors and top work. It ends when we do.
 */
#include <stdlib.h>
#include <sys/random.h>

#include "cli/session.h"
#include "cli/verbs.h"

struct options {
    bool input, tty;
};

static const struct rv_cli_option options[] = {
    {"interactive", 'i', NULL, "give it our standard input", RV_CLI_FLAG,
     offsetof(struct options, input)},
    {"tty", 't', NULL, "give it a terminal", RV_CLI_FLAG, offsetof(struct options, tty)},
};
static const struct rv_cli_verb verb = {
    .name = "exec",
    .operands = "TASK -- COMMAND...",
    .about = "Runs a command beside a task that runs, in its sandbox and with its environment.\n"
             "Ends with the command's exit status. `reeve exec -it TASK -- sh` is a shell.",
    .options = options,
    .n_options = RV_COUNT(options),
    .min_operands = 2,
    .max_operands = SIZE_MAX,
    .command = true,
};

static Reeve__V1__ContainerID *child_of(Reeve__V1__ContainerID *parent, struct rv_arena *arena) {
    Reeve__V1__ContainerID *id = rv_arena_alloc(arena, sizeof *id);
    uint64_t number = 0;

    reeve__v1__container_id__init(id);
    (void)!getrandom(&number, sizeof number, 0);
    id->value = rv_arena_printf(arena, "exec-%016llx", (unsigned long long)number);
    id->parent = parent;
    return id;
}

static int run(struct rv_cli *cli, const struct rv_cli_cluster *c, const struct options *values,
               struct rv_error *err) {
    size_t first = rv_streq(cli->operands[1], "--") ? 2 : 1;
    struct rv_cli_session session = {.cli = cli, .input = values->input, .tty = values->tty};
    Reeve__V1__CommandInfo command = REEVE__V1__COMMAND_INFO__INIT;
    Reeve__V1__Environment environment = REEVE__V1__ENVIRONMENT__INIT;
    Reeve__V1__Environment__Variable variable = REEVE__V1__ENVIRONMENT__VARIABLE__INIT,
                                     *variables[] = {&variable};
    const char *term = getenv("TERM");

    if (first >= cli->n_operands)
        return rv_cli_misuse(cli, "COMMAND is missing");
    if (rv_cli_session_find(c, cli->operands[0], &session, err))
        return rv_cli_fail(cli, "%s", err->message);
    session.container_id = child_of(session.container_id, &cli->arena);
    command.has_shell = true;
    command.shell = false;
    command.value = cli->operands[first];
    command.arguments = &cli->operands[first];
    command.n_arguments = cli->n_operands - first;
    variable.name = rv_arena_strdup(&cli->arena, "TERM");
    variable.value = rv_arena_strdup(&cli->arena, term && *term ? term : "xterm");
    environment.variables = variables;
    environment.n_variables = 1;
    if (values->tty)
        command.environment = &environment;
    session.command = &command;
    return rv_cli_session_run(&session);
}

int rv_cli_exec(int argc, char **argv) {
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
