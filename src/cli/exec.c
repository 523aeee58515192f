/*
 * reeve exec: a command beside a task, in its sandbox and with its environment. What is typed goes
 * to it with -i; with -t it has a terminal, so that editors and top work. It ends when we do.
 */
#include <stdlib.h>
#include <sys/random.h>

#include "cli/session.h"
#include "cli/verbs.h"

static const struct rv_cli_option options[] = {
    {"interactive", 'i', NULL, "give it our standard input", RV_CLI_FLAG,
     offsetof(struct rv_cli_session_options, input)},
    {"tty", 't', NULL, "give it a terminal", RV_CLI_FLAG,
     offsetof(struct rv_cli_session_options, tty)},
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

/* Programs that draw on a terminal want to know which one ours is. */
static Reeve__V1__Environment *terminal_environment(struct rv_arena *arena) {
    Reeve__V1__Environment *environment = rv_arena_alloc(arena, sizeof *environment);
    Reeve__V1__Environment__Variable *variable = rv_arena_alloc(arena, sizeof *variable);
    const char *term = getenv("TERM");

    reeve__v1__environment__init(environment);
    reeve__v1__environment__variable__init(variable);
    variable->name = rv_arena_strdup(arena, "TERM");
    variable->value = rv_arena_strdup(arena, term && *term ? term : "xterm");
    environment->variables = rv_arena_alloc(arena, sizeof(void *));
    environment->variables[0] = variable;
    environment->n_variables = 1;
    return environment;
}

static int prepare(struct rv_cli_session *session, const void *values, const char **child) {
    struct rv_cli *cli = session->cli;
    size_t first = rv_streq(cli->operands[1], "--") ? 2 : 1;
    Reeve__V1__CommandInfo *command = rv_arena_alloc(&cli->arena, sizeof *command);
    uint64_t number = 0;

    (void)values;
    if (first >= cli->n_operands)
        return rv_cli_misuse(cli, "COMMAND is missing");
    (void)!getrandom(&number, sizeof number, 0);
    *child = rv_arena_printf(&cli->arena, "exec-%016llx", (unsigned long long)number);
    reeve__v1__command_info__init(command);
    command->has_shell = true;
    command->shell = false;
    command->value = cli->operands[first];
    command->arguments = &cli->operands[first];
    command->n_arguments = cli->n_operands - first;
    if (session->tty)
        command->environment = terminal_environment(&cli->arena);
    session->command = command;
    return RV_CLI_OK;
}

int rv_cli_exec(int argc, char **argv) {
    struct rv_cli_session_options values = {0};

    return rv_cli_session_verb(&verb, &values, &values, prepare, argc, argv);
}
