/*
 * What the tasks write, on its way to our own stdout and stderr; and the progress line, which is
 * on a terminal's last line and goes away before anything else is written.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/output.h"
#include "cli/run.h"

#define MAX_LINE ((size_t)64 << 10) /* of a line with a prefix; longer ones are cut in two */
#define MAX_CALLS 4                 /* in parallel, to one agent */

void rv_run_progress_clear(struct rv_run_job *job) {
    if (!job->progress_shown)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    job->progress_shown = false;
}

void rv_run_progress(struct rv_run_job *job) {
    size_t waiting = job->n_tasks - job->n_launched, starting, failed;

    if (!job->progress || job->stopping)
        return;
    rv_run_progress_clear(job);
    if (job->n_tasks == 1 && job->n_running)
        return; /* its output speaks for itself */
    starting = job->n_launched - job->n_running - job->n_ended;
    failed = job->n_ended - job->n_finished;
    fprintf(stderr, "%s: %zu of %zu finished, %zu running", job->name, job->n_finished,
            job->n_tasks, job->n_running);
    if (starting)
        fprintf(stderr, ", %zu starting", starting);
    if (waiting)
        fprintf(stderr, ", %zu waiting", waiting);
    if (failed)
        fprintf(stderr, ", %zu failed", failed);
    fflush(stderr);
    job->progress_shown = true;
}

void rv_run_say(struct rv_run_job *job, const char *format, ...) {
    va_list args;

    rv_run_progress_clear(job);
    fputs("reeve run: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    rv_run_progress(job);
}

static const char *colour_of(const struct rv_run_task *task) {
    static const char *const colours[] = {"\033[36m", "\033[33m", "\033[35m",
                                          "\033[32m", "\033[34m", "\033[31m"};

    return colours[task->index % RV_COUNT(colours)];
}

static void put_line(FILE *out, const struct rv_run_task *task, struct rv_str line) {
    bool colour = task->job->colours;

    fprintf(out, "%s%s%s", colour ? colour_of(task) : "", task->prefix, colour ? RV_CLI_PLAIN : "");
    fwrite(line.s, 1, line.n, out);
    fputc('\n', out);
}

/* Whole lines only: those of several tasks must not mix. */
static void put_lines(FILE *out, struct rv_run_stream *s, struct rv_str bytes) {
    while (bytes.n) {
        const char *end = memchr(bytes.s, '\n', bytes.n);
        size_t n = end ? (size_t)(end - bytes.s) : bytes.n;
        rv_buf_append(&s->line, bytes.s, n);
        if (end || s->line.n > MAX_LINE) {
            put_line(out, s->task, rv_buf_str(&s->line));
            rv_buf_clear(&s->line);
        }
        n += end != NULL;
        bytes = rv_strn(bytes.s + n, bytes.n - n);
    }
}

static void on_data(void *ctx, struct rv_str bytes) {
    struct rv_run_stream *s = ctx;
    struct rv_run_job *job = s->task->job;
    FILE *out = s->errors ? stderr : stdout;

    rv_run_progress_clear(job);
    if (s->task->prefix)
        put_lines(out, s, bytes);
    else
        fwrite(bytes.s, 1, bytes.n, out);
    if ((fflush(out) || ferror(out)) && !job->interrupt) /* whoever read us went away */
        rv_run_interrupt(job, RV_CLI_ERROR);
    rv_run_progress(job);
}

static void on_end(void *ctx, const struct rv_error *err) {
    struct rv_run_stream *s = ctx;
    struct rv_run_task *task = s->task;

    if (s->line.n) {
        rv_run_progress_clear(task->job);
        put_line(s->errors ? stderr : stdout, task, rv_buf_str(&s->line));
        fflush(s->errors ? stderr : stdout);
        rv_buf_clear(&s->line);
    }
    if (err)
        rv_run_say(task->job, "the output of task %s is lost: %s", task->id, err->message);
    if (--task->open_streams == 0)
        rv_run_output_done(task);
}

static struct rv_http_client *client_of(struct rv_run_task *task) {
    struct rv_run_job *job = task->job;

    for (size_t i = 0; i < job->agents.n; i++) {
        struct rv_run_agent *a = &job->agents.v[i];
        struct rv_http_client_config config = {
            .host = a->address.host, .port = a->address.port, .max_connections = MAX_CALLS};
        if (!rv_streq(a->id, task->agent_id))
            continue;
        if (!a->client)
            a->client = rv_http_client_new(&job->loop, &config);
        return a->client;
    }
    return NULL;
}

void rv_run_output_begin(struct rv_run_task *task) {
    const char *framework = reeve_scheduler_framework_id(task->job->scheduler);
    struct rv_cli_tail_config config = {
        .loop = &task->job->loop, .on_data = on_data, .on_end = on_end};

    if (task->open_streams || task->streams[0].tail || !framework)
        return;
    config.agent = client_of(task);
    if (!config.agent)
        return;
    _cleanup_free_ char *folder = rv_cli_sandbox(framework, task->id);
    config.folder = folder;
    for (size_t i = 0; i < 2; i++) {
        config.ctx = &task->streams[i];
        config.name = i ? "stderr" : "stdout";
        task->streams[i].tail = rv_cli_tail_new(&config);
    }
    task->open_streams = 2;
}

void rv_run_output_finish(struct rv_run_task *task) {
    if (!task->open_streams) {
        rv_run_output_done(task);
        return;
    }
    for (size_t i = 0; i < 2; i++)
        rv_cli_tail_finish(task->streams[i].tail);
}

void rv_run_output_free(struct rv_run_task *task) {
    for (size_t i = 0; i < 2; i++) {
        task->streams[i].tail = rv_cli_tail_free(task->streams[i].tail);
        rv_buf_free(&task->streams[i].line);
    }
}
