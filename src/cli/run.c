/*
 * reeve run: a scheduler for one job. It launches its tasks as offers come, shows what they write,
 * and ends when all have ended and all is shown. The exit status is that of the job.
 *
 * The framework may stay away for FAILOVER_S seconds; so a killed `reeve run` leaves nothing
 * behind for longer.
 */
#include "cli/run.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/verbs.h"

#define FAILOVER_S 10
#define TICK_MS 500
#define PATIENCE_MS 5000 /* before it says why it waits */
#define REPEAT_MS 30000  /* and says so again */
#define TIMED_OUT 124    /* as timeout(1) */
#define BY_SIGNAL 128    /* plus its number, as the shell */
#define MAX_INSTANCES 10000

#define OPTION(name, letter, value, help, type)                                                    \
    { #name, letter, value, help, type, offsetof(struct rv_run_options, name) }

static const struct rv_cli_option options[] = {
    OPTION(name, 0, "NAME", "of the job; by default that of the command", RV_CLI_TEXT),
    OPTION(instances, 'i', "N", "how many tasks; each has REEVE_INSTANCE=0 to N-1", RV_CLI_COUNT),
    OPTION(cpus, 0, "N", "of each task, 0.1 by default", RV_CLI_SCALAR),
    OPTION(mem, 0, "MB", "of each task, 32 by default", RV_CLI_SCALAR),
    OPTION(disk, 0, "MB", "of each task", RV_CLI_SCALAR),
    OPTION(gpus, 0, "N", "of each task", RV_CLI_SCALAR),
    OPTION(ports, 0, "N", "of each task: PORT0, PORT1... in its environment", RV_CLI_COUNT),
    OPTION(role, 0, "ROLE", "whose share and reservations it uses, * by default", RV_CLI_TEXT),
    OPTION(user, 0, "USER", "who runs it; by default who calls", RV_CLI_TEXT),
    OPTION(env, 'e', "NAME=VALUE", "for its environment; may be given again", RV_CLI_TEXTS),
    {"constraint", 0, "NAME=VALUE", "hostname or attribute of the nodes; may be given again",
     RV_CLI_TEXTS, offsetof(struct rv_run_options, constraints)},
    OPTION(timeout, 0, "TIME", "after which it is killed (exit status 124)", RV_CLI_DURATION),
    OPTION(grace, 0, "TIME", "between asking a task to end and ending it", RV_CLI_DURATION),
    OPTION(shell, 0, "TEXT", "a line for the shell, in place of COMMAND", RV_CLI_TEXT),
};
static const struct rv_cli_verb verb = {
    .name = "run",
    .operands = "[--] COMMAND ARGUMENT...",
    .about = "Runs a command on the cluster, in a sandbox on a node, and shows what it writes.\n"
             "Ctrl-C kills it; a second one does not wait. Exit status: 0 if all tasks finished,\n"
             "else that of the first that failed (1 if it has none), 124 after --timeout, 130\n"
             "after Ctrl-C.",
    .options = options,
    .n_options = RV_COUNT(options),
    .max_operands = SIZE_MAX,
    .command = true,
};

/* --- the end --- */

static void stop(struct rv_run_job *job) {
    if (job->stopping)
        return;
    rv_run_progress_clear(job);
    job->stopping = true;
    reeve_scheduler_stop(job->scheduler, true);
}

static void check_end(struct rv_run_job *job) {
    if (job->n_ended == job->n_tasks && job->n_open == 0)
        stop(job);
}

void rv_run_output_done(struct rv_run_task *task) {
    task->job->n_open--;
    check_end(task->job);
}

static void kill_task(struct rv_run_job *job, const struct rv_run_task *t) {
    Reeve__V1__Scheduler__Call call = REEVE__V1__SCHEDULER__CALL__INIT;
    Reeve__V1__Scheduler__Call__Kill kill = REEVE__V1__SCHEDULER__CALL__KILL__INIT;
    Reeve__V1__KillPolicy policy = REEVE__V1__KILL_POLICY__INIT;
    Reeve__V1__DurationInfo duration = REEVE__V1__DURATION_INFO__INIT;
    Reeve__V1__TaskID id = REEVE__V1__TASK_ID__INIT;

    call.has_type = true;
    call.type = REEVE__V1__SCHEDULER__CALL__TYPE__KILL;
    call.kill = &kill;
    id.value = t->id;
    kill.task_id = &id;
    if (job->options->grace >= 0) {
        duration.nanoseconds = job->options->grace;
        policy.grace_period = &duration;
        kill.kill_policy = &policy;
    }
    reeve_scheduler_call(job->scheduler, &call);
}

static void kill_all(struct rv_run_job *job) {
    for (size_t i = 0; i < job->n_tasks; i++) {
        struct rv_run_task *t = &job->tasks[i];
        if (t->launched && !t->ended)
            kill_task(job, t);
        if (!t->launched && !t->ended) {
            t->ended = true;
            job->n_ended++;
            job->n_launched++;
        }
    }
}

void rv_run_interrupt(struct rv_run_job *job, int status) {
    job->interrupt = status;
    kill_all(job);
    check_end(job);
}

static void on_signal(uv_signal_t *handle, int number) {
    struct rv_run_job *job = handle->data;

    if (job->interrupt || job->n_launched == job->n_ended) {
        job->interrupt = BY_SIGNAL + number;
        stop(job);
        return;
    }
    rv_run_say(job, "killing %s; once more to not wait for the end",
               job->n_launched - job->n_ended == 1 ? "the task" : "the tasks");
    rv_run_interrupt(job, BY_SIGNAL + number);
}

/* --- updates --- */

/* The exit status that a shell would see. */
static int exit_status(const char *message) {
    static const char exited[] = "Command exited with status ";
    static const char ended[] = "Command terminated with signal ";

    if (message && rv_starts_with(message, exited)) {
        long status = strtol(message + strlen(exited), NULL, 10);
        if (status > 0 && status < 256)
            return (int)status;
    }
    for (int i = 1; message && rv_starts_with(message, ended) && i < NSIG; i++)
        if (rv_starts_with(message + strlen(ended), strsignal(i)))
            return BY_SIGNAL + i;
    return RV_CLI_ERROR;
}

static void task_ended(struct rv_run_task *t, const Reeve__V1__TaskStatus *status) {
    struct rv_run_job *job = t->job;

    if (t->running)
        job->n_running--;
    t->running = false;
    t->ended = true;
    job->n_ended++;
    if (status->state == REEVE__V1__TASK_STATE__TASK_FINISHED)
        job->n_finished++;
    else {
        if (!job->failure)
            job->failure = exit_status(status->message);
        if (!job->interrupt || status->state != REEVE__V1__TASK_STATE__TASK_KILLED)
            rv_run_say(job, "task %s: %s%s%s", t->id, reeve_state_name(status->state),
                       status->message && *status->message ? ": " : "",
                       status->message ? status->message : "");
    }
    job->n_open++;
    rv_run_output_begin(t); /* one that was too quick to be seen running */
    rv_run_output_finish(t);
}

/* An offer that was void before our answer came: the task has not run, the next one will do. */
static bool launch_again(struct rv_run_task *t, const Reeve__V1__TaskStatus *status) {
    struct rv_run_job *job = t->job;

    if (!status->has_reason ||
        status->reason != REEVE__V1__TASK_STATUS__REASON__REASON_INVALID_OFFERS || job->interrupt)
        return false;
    t->launched = false;
    job->n_launched--;
    if (job->suppressed)
        job->suppressed = reeve_scheduler_revive(job->scheduler, NULL, 0) != 0;
    return true;
}

static struct rv_run_task *find_task(struct rv_run_job *job, const char *id) {
    for (size_t i = 0; i < job->n_tasks; i++)
        if (rv_streq(job->tasks[i].id, id))
            return &job->tasks[i];
    return NULL;
}

static void on_update(struct reeve_scheduler *s, void *ctx, const Reeve__V1__TaskStatus *status) {
    struct rv_run_job *job = ctx;
    struct rv_run_task *t = find_task(job, status->task_id->value);

    (void)s;
    if (!t || t->ended || !t->launched)
        return;
    if (reeve_state_is_terminal(status->state)) {
        if (!launch_again(t, status))
            task_ended(t, status);
    } else if (status->state == REEVE__V1__TASK_STATE__TASK_RUNNING && !t->running) {
        t->running = true;
        job->n_running++;
        rv_run_output_begin(t);
    }
    rv_run_progress(job);
    check_end(job);
}

/* --- the scheduler's other events --- */

static void reconcile(struct rv_run_job *job) {
    RV_VEC(const char *) ids = {0};
    RV_VEC(const char *) agents = {0};

    for (size_t i = 0; i < job->n_tasks; i++)
        if (job->tasks[i].launched && !job->tasks[i].ended) {
            rv_vec_push(&ids, job->tasks[i].id);
            rv_vec_push(&agents, job->tasks[i].agent_id);
        }
    if (ids.n)
        reeve_scheduler_reconcile(job->scheduler, ids.v, agents.v, ids.n);
    rv_vec_free(&ids);
    rv_vec_free(&agents);
}

static void on_subscribed(struct reeve_scheduler *s, void *ctx,
                          const Reeve__V1__Scheduler__Event__Subscribed *event, bool again) {
    struct rv_run_job *job = ctx;

    (void)s;
    (void)event;
    if (!again)
        return;
    if (job->lost)
        rv_run_say(job, "the master is back");
    job->lost = false;
    job->suppressed = false;
    reconcile(job);
    if (job->interrupt)
        kill_all(job);
}

static void on_disconnected(struct reeve_scheduler *s, void *ctx, const char *why) {
    struct rv_run_job *job = ctx;

    (void)s;
    if (!job->lost)
        rv_run_say(job, "lost the master (%s); trying again", why);
    job->lost = true;
}

static void on_offers(struct reeve_scheduler *s, void *ctx, Reeve__V1__Offer *const *offers,
                      size_t n) {
    (void)s;
    rv_run_offers(ctx, offers, n);
}

static void on_error(struct reeve_scheduler *s, void *ctx, const char *message) {
    struct rv_run_job *job = ctx;

    (void)s;
    rv_run_say(job, "%s", message);
    job->status = RV_CLI_ERROR;
}

static void on_call_failed(struct reeve_scheduler *s, void *ctx,
                           Reeve__V1__Scheduler__Call__Type type, int http_status,
                           const char *why) {
    struct rv_run_job *job = ctx;

    (void)s;
    if (job->stopping)
        return;
    rv_run_say(job, "the master did not take a call (%d): %s", http_status, why);
    if (type == REEVE__V1__SCHEDULER__CALL__TYPE__ACCEPT)
        reconcile(job); /* it tells of each task that it does not know */
}

static void on_stopped(struct reeve_scheduler *s, void *ctx, int result) {
    struct rv_run_job *job = ctx;

    if (result) {
        if (!job->status)
            rv_run_say(job, "%s", reeve_scheduler_error(s));
        job->status = RV_CLI_ERROR;
    }
    uv_stop(&job->loop);
}

/* --- time --- */

static void say_why_waiting(struct rv_run_job *job) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};

    rv_run_describe(job->options->cpus, job->options->mem, job->options, &text);
    if (!job->n_offers)
        rv_buf_puts(&text, "; no offer at all came so far");
    else if (job->seen_cpus || job->seen_mem) {
        rv_buf_puts(&text, "; the largest had ");
        rv_run_describe(job->seen_cpus, job->seen_mem, NULL, &text);
        if (job->misfit)
            rv_buf_printf(&text, " (%s)", job->misfit);
    }
    size_t n = job->n_tasks - job->n_launched;
    rv_run_say(job, "%zu task%s: no offer with %s", n, n == 1 ? " waits" : "s wait", text.data);
}

static void on_tick(uv_timer_t *timer) {
    struct rv_run_job *job = timer->data;
    int64_t now = (int64_t)uv_now(&job->loop);

    if (job->deadline_ms && now >= job->deadline_ms && !job->interrupt) {
        rv_run_say(job, "the time is over%s",
                   job->n_launched > job->n_ended ? ": killing what runs" : "");
        rv_run_interrupt(job, TIMED_OUT);
        return;
    }
    if (!job->interrupt && !job->lost && job->n_launched < job->n_tasks &&
        now - job->waiting_since_ms >= PATIENCE_MS &&
        (!job->said_ms || now - job->said_ms >= REPEAT_MS)) {
        say_why_waiting(job);
        job->said_ms = now;
    }
}

/* --- beginning --- */

/* "grep" of "/bin/grep"; what ids cannot hold is left out. */
static char *name_of(const struct rv_run_options *o, char *const *argv) {
    const char *text = o->name ? o->name : o->shell ? o->shell : argv[0];
    size_t n = 0, max = o->name ? 100 : 24;

    if (!o->name && !o->shell && strrchr(text, '/') && strrchr(text, '/')[1])
        text = strrchr(text, '/') + 1;
    char *name = rv_calloc(1, max + 1);
    for (; *text && n < max && (isgraph((unsigned char)*text) || o->name); text++)
        if (isalnum((unsigned char)*text) || strchr("-_.", *text))
            name[n++] = *text;
    if (!n)
        memcpy(name, "job", 3);
    return name;
}

static void job_init(struct rv_run_job *job) {
    unsigned char random[4] = {0};
    bool several = job->options->instances > 1;

    if (getrandom(random, sizeof random, 0) != sizeof random)
        random[0] = (unsigned char)getpid();
    job->name = name_of(job->options, job->argv);
    job->id =
        rv_asprintf("%s-%02x%02x%02x%02x", job->name, random[0], random[1], random[2], random[3]);
    job->n_tasks = (size_t)job->options->instances;
    job->tasks = rv_calloc(job->n_tasks, sizeof *job->tasks);
    for (size_t i = 0; i < job->n_tasks; i++) {
        struct rv_run_task *t = &job->tasks[i];
        *t = (struct rv_run_task){.job = job, .index = i};
        t->id = several ? rv_asprintf("%s.%zu", job->id, i) : rv_strdup(job->id);
        t->prefix = several ? rv_asprintf("[%s.%zu] ", job->name, i) : NULL;
        for (int k = 0; k < 2; k++)
            t->streams[k] = (struct rv_run_stream){.task = t, .errors = k == 1};
    }
    job->colours = rv_cli_colours(stdout);
    job->progress = isatty(STDERR_FILENO) && getenv("TERM") && !rv_streq(getenv("TERM"), "dumb");
}

static void job_free(struct rv_run_job *job) {
    for (size_t i = 0; i < job->n_tasks; i++) {
        free(job->tasks[i].id);
        free(job->tasks[i].prefix);
        free(job->tasks[i].agent_id);
    }
    for (size_t i = 0; i < job->agents.n; i++)
        free(job->agents.v[i].id);
    rv_vec_free(&job->agents);
    free(job->tasks);
    free(job->master);
    free(job->name);
    free(job->id);
}

static Reeve__V1__FrameworkInfo *make_framework(const struct rv_run_job *job) {
    _cleanup_free_ char *name = rv_asprintf("reeve run %s", job->name);
    Reeve__V1__FrameworkInfo *info = reeve_framework_new(job->options->user, name);

    reeve_framework_add_role(info, job->options->role);
    reeve_framework_add_capability(
        info, REEVE__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__RESERVATION_REFINEMENT);
    if (job->options->gpus)
        reeve_framework_add_capability(info,
                                       REEVE__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__GPU_RESOURCES);
    info->has_failover_timeout = true;
    info->failover_timeout = FAILOVER_S;
    return info;
}

static void open_handles(struct rv_run_job *job) {
    static const int numbers[] = {SIGINT, SIGTERM};

    uv_timer_init(&job->loop, &job->tick);
    job->tick.data = job;
    uv_timer_start(&job->tick, on_tick, TICK_MS, TICK_MS);
    for (size_t i = 0; i < RV_COUNT(numbers); i++) {
        uv_signal_init(&job->loop, &job->signals[i]);
        job->signals[i].data = job;
        uv_signal_start(&job->signals[i], on_signal, numbers[i]);
    }
    job->waiting_since_ms = (int64_t)uv_now(&job->loop);
    if (job->options->timeout >= 0)
        job->deadline_ms = job->waiting_since_ms + job->options->timeout / 1000000;
}

static void close_handles(struct rv_run_job *job) {
    for (size_t i = 0; i < job->n_tasks; i++)
        rv_run_output_free(&job->tasks[i]);
    for (size_t i = 0; i < job->agents.n; i++)
        rv_http_client_free(job->agents.v[i].client);
    reeve_scheduler_free(job->scheduler);
    uv_close((uv_handle_t *)&job->tick, NULL);
    for (size_t i = 0; i < RV_COUNT(job->signals); i++)
        uv_close((uv_handle_t *)&job->signals[i], NULL);
    uv_run(&job->loop, UV_RUN_DEFAULT);
    uv_loop_close(&job->loop);
}

static int run_job(struct rv_run_job *job) {
    static const struct reeve_scheduler_callbacks callbacks = {
        .subscribed = on_subscribed,
        .disconnected = on_disconnected,
        .offers = on_offers,
        .update = on_update,
        .error = on_error,
        .call_failed = on_call_failed,
        .stopped = on_stopped,
    };
    Reeve__V1__FrameworkInfo *info = make_framework(job);
    const struct reeve_scheduler_config config = {.master = job->master,
                                                  .framework = info,
                                                  .callbacks = &callbacks,
                                                  .ctx = job,
                                                  .loop = &job->loop};
    struct reeve_error err;

    uv_loop_init(&job->loop);
    job->scheduler = reeve_scheduler_new(&config, &err);
    reeve__v1__framework_info__free_unpacked(info, NULL);
    open_handles(job);
    if (!job->scheduler || reeve_scheduler_start(job->scheduler))
        job->status = rv_cli_fail(
            job->cli, "%s", job->scheduler ? reeve_scheduler_error(job->scheduler) : err.message);
    else {
        rv_run_progress(job);
        uv_run(&job->loop, UV_RUN_DEFAULT);
    }
    rv_run_progress_clear(job);
    close_handles(job);
    return job->interrupt ? job->interrupt : job->status ? job->status : job->failure;
}

/* A master that is not there is said at once, instead of trying for ever. */
static int find_master(struct rv_cli *cli, struct rv_error *err) {
    Reeve__V1__Master__Response *response;

    return rv_cli_ask_master(cli, REEVE__V1__MASTER__CALL__TYPE__GET_HEALTH, &cli->arena, &response,
                             err);
}

static int run(struct rv_cli *cli, const struct rv_run_options *o) {
    struct rv_run_job job = {.cli = cli, .options = o};
    struct rv_error err;
    int status;

    if (!o->shell == !cli->n_operands)
        return rv_cli_misuse(cli, "give a COMMAND or --shell=TEXT");
    if (o->instances > MAX_INSTANCES)
        return rv_cli_misuse(cli, "--instances: at most %d", MAX_INSTANCES);
    if (rv_run_options_check(o, &err))
        return rv_cli_misuse(cli, "%s", err.message);
    if (find_master(cli, &err))
        return rv_cli_fail(cli, "%s", err.message);
    job.argv = o->shell ? NULL : cli->operands;
    job.master = rv_cli_master_list(cli, &err);
    if (!job.master)
        return rv_cli_fail(cli, "%s", err.message);
    job_init(&job);
    status = run_job(&job);
    job_free(&job);
    return status;
}

int rv_cli_run(int argc, char **argv) {
    struct rv_run_options values = {
        .role = "*", .instances = 1, .cpus = 100, .mem = 32000, .timeout = -1, .grace = -1};
    struct rv_cli cli;
    int status;

    if (rv_cli_begin(&cli, &verb, &values, argc, argv, &status))
        status = run(&cli, &values);
    rv_vec_free(&values.env);
    rv_vec_free(&values.constraints);
    rv_cli_end(&cli);
    return status;
}
