/*
 * reeve kill: ends tasks. The v1 operator API has no call for that, only a task's own framework
 * may kill it; so this speaks to an endpoint of Reeve's own, POST /reeve/v1/kill, whose body is
 * the scheduler's call KILL with the id of the framework. Another master than Reeve's answers 404:
 * the message says so.
 */
#include <stdio.h>

#include "cli/cluster.h"
#include "cli/verbs.h"
#include "reeve/v1/scheduler.pb-c.h"

struct options {
    int64_t grace;
};

static const struct rv_cli_option options[] = {
    {"grace", 0, "TIME", "between asking and ending it by force, as 30secs", RV_CLI_DURATION,
     offsetof(struct options, grace)},
};
static const struct rv_cli_verb verb = {
    .name = "kill",
    .operands = "TASK...",
    .about = "Ends tasks, of whatever framework. TASK is an id or its beginning, or "
             "FRAMEWORK/TASK.\nThe framework hears of it, and may start another task instead.",
    .options = options,
    .n_options = RV_COUNT(options),
    .min_operands = 1,
    .max_operands = SIZE_MAX,
};

static int kill_task(const struct rv_cli *cli, const Reeve__V1__Task *task, int64_t grace,
                     struct rv_error *err) {
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Kill kill = REEVE__V1__SCHEDULER__CALL__KILL__INIT;
    Reeve__V1__KillPolicy policy = REEVE__V1__KILL_POLICY__INIT;
    Reeve__V1__DurationInfo duration = REEVE__V1__DURATION_INFO__INIT;
    _cleanup_(rv_buf_free) struct rv_buf body = {0}, answer = {0};

    call.has_type = true;
    call.type = REEVE__V1__SCHEDULER__CALL__TYPE__KILL;
    call.framework_id = task->framework_id;
    call.kill = &kill;
    kill.task_id = task->task_id;
    if (grace >= 0) {
        duration.nanoseconds = grace;
        policy.grace_period = &duration;
        kill.kill_policy = &policy;
    }
    rv_wire_encode(&call.base, RV_ENC_JSON, &body);
    int r = rv_cli_post_master(cli, "/reeve/v1/kill", RV_ENC_JSON, RV_ENC_JSON, rv_buf_str(&body),
                               &answer, NULL, err);
    if (r == -RV_ERR_NOT_FOUND)
        rv_error_prefix(err, "task %s", task->task_id->value);
    return r;
}

int rv_cli_kill(int argc, char **argv) {
    struct options values = {.grace = -1};
    struct rv_cli_cluster c = {0};
    const struct rv_cli_task **found;
    struct rv_error err;
    struct rv_cli cli;
    int status;

    if (rv_cli_begin(&cli, &verb, &values, argc, argv, &status)) {
        status = RV_CLI_OK;
        found = RV_ARENA_ARRAY(&cli.arena, const struct rv_cli_task *, cli.n_operands);
        if (rv_cli_cluster_get(&cli, &c, &err))
            status = rv_cli_fail(&cli, "%s", err.message);
        else {
            /* Nothing is killed where one of them is not clear. */
            for (size_t i = 0; i < cli.n_operands; i++)
                if (rv_cli_task_find(&c, cli.operands[i], true, &found[i], &err))
                    status = rv_cli_fail(&cli, "%s", err.message);
            for (size_t i = 0; !status && i < cli.n_operands; i++)
                if (kill_task(&cli, found[i]->task, values.grace, &err))
                    status = rv_cli_fail(&cli, "%s", err.message);
                else
                    printf("%s\n", found[i]->task->task_id->value);
        }
        rv_cli_cluster_free(&c);
    }
    rv_cli_end(&cli);
    return status;
}
