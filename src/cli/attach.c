/*
 * reeve attach: what a task writes, from now on, until its container ends; of a container that was
 * made with a terminal or a session also its input.
 */
#include "cli/session.h"
#include "cli/verbs.h"

struct options {
    struct rv_cli_session_options session;
    const char *container;
};

static const struct rv_cli_option options[] = {
    {"interactive", 'i', NULL, "also give it our standard input", RV_CLI_FLAG,
     offsetof(struct options, session.input)},
    {"tty", 't', NULL, "it has a terminal: ours is like it", RV_CLI_FLAG,
     offsetof(struct options, session.tty)},
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

static int prepare(struct rv_cli_session *session, const void *values, const char **child) {
    const struct options *o = values;

    (void)session;
    *child = o->container;
    return RV_CLI_OK;
}

int rv_cli_attach(int argc, char **argv) {
    struct options values = {0};

    return rv_cli_session_verb(&verb, &values, &values.session, prepare, argc, argv);
}
