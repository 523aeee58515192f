/*
 * A job of `reeve run`: its tasks, from the offer they wait for to the end of their output.
 * Private to the run*.c files. run.c holds the life of the job, run_launch.c chooses offers and
 * makes tasks, run_output.c shows what they write.
 */
#ifndef RV_CLI_RUN_H
#define RV_CLI_RUN_H

#include "cli/common.h"
#include "cli/tail.h"
#include "framework/reeve.h"

struct rv_run_options {
    const char *name, *role, *user, *shell;
    int64_t instances, ports;
    int64_t cpus, mem, disk, gpus; /* thousandths */
    int64_t timeout, grace;        /* ns; -1: none */
    struct rv_cli_texts env, constraints;
};

/* One of a task's two files on its way to ours. */
struct rv_run_stream {
    struct rv_run_task *task;
    struct rv_cli_tail *tail; /* NULL: not begun */
    struct rv_buf line;       /* begun, not ended; only where lines get a prefix */
    bool errors;              /* to stderr */
};

struct rv_run_task {
    struct rv_run_job *job;
    size_t index;
    char *id, *prefix; /* prefix: "[name.0] ", NULL for a single task */
    char *agent_id;
    bool launched, running, ended;
    struct rv_run_stream streams[2];
    unsigned open_streams;
};

/* An agent that runs some of the tasks: one client for all of their files. */
struct rv_run_agent {
    char *id;
    struct rv_cli_address address;
    struct rv_http_client *client;
};

struct rv_run_job {
    struct rv_cli *cli;
    const struct rv_run_options *options;
    char *const *argv; /* NULL-terminated; NULL with --shell */
    char *master, *name, *id;
    struct rv_run_task *tasks;
    size_t n_tasks, n_launched, n_running, n_ended, n_finished, n_open;
    RV_VEC(struct rv_run_agent) agents;
    uv_loop_t loop;
    uv_timer_t tick;
    uv_signal_t signals[2];
    struct reeve_scheduler *scheduler;
    int64_t waiting_since_ms, said_ms; /* for an offer; when it was last said, 0: not yet */
    int64_t deadline_ms;               /* of --timeout; 0: none */
    int64_t seen_cpus, seen_mem;       /* of the largest unfit offer */
    size_t n_offers;                   /* seen */
    const char *misfit;                /* why the last unfit offer did not do */
    int failure;                       /* exit status of the first that failed; 0: none */
    int interrupt;                     /* exit status of what ended the job early; 0: none */
    int status;                        /* of the scheduler's own end */
    bool lost, stopping, progress, progress_shown, colours, suppressed;
};

/* --- run_launch.c --- */
void rv_run_offers(struct rv_run_job *job, Reeve__V1__Offer *const *offers, size_t n);
/* Constraints and variables are NAME=VALUE. */
RV_MUST_USE int rv_run_options_check(const struct rv_run_options *o, struct rv_error *err);
/* "0.1 cpus, 32 MB of mem": what a task needs, or an offer had. */
void rv_run_describe(int64_t cpus, int64_t mem, const struct rv_run_options *o, struct rv_buf *out);

/* --- run_output.c --- */
/* The task has a sandbox: begins with its files. Once. */
void rv_run_output_begin(struct rv_run_task *task);
/* The task has ended: reads the rest. rv_run_output_done follows when all is shown. */
void rv_run_output_finish(struct rv_run_task *task);
void rv_run_output_free(struct rv_run_task *task);
/* A message for the person at the terminal. */
void rv_run_say(struct rv_run_job *job, const char *format, ...) RV_PRINTF(2, 3);
void rv_run_progress(struct rv_run_job *job);
void rv_run_progress_clear(struct rv_run_job *job);

/* --- run.c --- */
void rv_run_output_done(struct rv_run_task *task);
/* Kills what runs; the exit status will be `status`. */
void rv_run_interrupt(struct rv_run_job *job, int status);

#endif
