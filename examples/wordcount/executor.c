/*
 * The executor: one process an agent, tasks on libuv's thread pool, as many at a time as it has
 * threads. The loop's thread alone talks to the agent.
 */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include <reeve.h>

#include "wordcount.h"

struct work {
    uv_work_t request;
    struct work *next;
    char *id, *order; /* order: the task's data */
    atomic_bool killed;
    bool told; /* its end was reported already */
    uint64_t bytes, words, busy_ms;
    char error[PATH_MAX + 256]; /* "": it went well */
};

struct runner {
    struct reeve_executor *executor;
    struct work *works; /* not reported as ended yet */
};

/* ---- in a thread of the pool ---- */

static void fail(struct work *w, const char *what) {
    snprintf(w->error, sizeof w->error, "%s: %s", what, strerror(errno));
}

/* Writes under another name first: a task that is run twice never shows half of an output. */
static bool write_output(struct work *w, const struct words *words, const char *path,
                         unsigned partition, unsigned partitions) {
    char draft[PATH_MAX];

    snprintf(draft, sizeof draft, "%s.%s.%d", path, w->id, (int)getpid());
    if (words_write(words, draft, partition, partitions) || rename(draft, path)) {
        fail(w, path);
        unlink(draft);
        return false;
    }
    return true;
}

static void map(struct work *w, unsigned id, unsigned partitions, const char *folder, char *files) {
    struct words words = {0};
    char *rest = NULL;

    for (char *path = strtok_r(files, "\n", &rest); path; path = strtok_r(NULL, "\n", &rest)) {
        if (atomic_load(&w->killed))
            break;
        if (words_add_file(&words, path, &w->bytes)) {
            fail(w, path);
            break;
        }
    }
    for (unsigned i = 0; i < partitions && !w->error[0]; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/map-%u-%u", folder, id, i);
        write_output(w, &words, path, i, partitions);
    }
    w->words = words.total;
    words_free(&words);
}

static void reduce(struct work *w, unsigned partition, unsigned maps, const char *folder) {
    struct words words = {0};
    char path[PATH_MAX];

    for (unsigned i = 0; i < maps && !atomic_load(&w->killed); i++) {
        snprintf(path, sizeof path, "%s/map-%u-%u", folder, i, partition);
        if (words_merge_file(&words, path)) {
            fail(w, path);
            break;
        }
    }
    snprintf(path, sizeof path, "%s/reduce-%u", folder, partition);
    if (!w->error[0])
        write_output(w, &words, path, 0, 1);
    w->words = words.total;
    words_free(&words);
}

static uint64_t thread_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void do_work(uv_work_t *request) {
    struct work *w = request->data;
    uint64_t start = thread_ms();
    unsigned a, b;
    int at = 0;
    char *files = strchr(w->order, '\n');

    if (files)
        *files++ = 0;
    if (sscanf(w->order, "map %u %u %n", &a, &b, &at) == 2 && at && files)
        map(w, a, b, w->order + at, files);
    else if (sscanf(w->order, "reduce %u %u %n", &a, &b, &at) == 2 && at)
        reduce(w, a, b, w->order + at);
    else
        snprintf(w->error, sizeof w->error, "cannot read what to do");
    w->busy_ms = thread_ms() - start;
}

/* ---- in the loop ---- */

static struct runner runner;

static void work_done(uv_work_t *request, int status) {
    struct work *w = request->data, **link = &runner.works;
    char data[96];

    while (*link != w)
        link = &(*link)->next;
    *link = w->next;
    snprintf(data, sizeof data, "%llu %llu %llu", (unsigned long long)w->bytes,
             (unsigned long long)w->words, (unsigned long long)w->busy_ms);
    if (w->told)
        ;
    else if (status || atomic_load(&w->killed))
        reeve_executor_status(runner.executor, w->id, REEVE__V1__TASK_STATE__TASK_KILLED,
                              "killed as asked", NULL, 0);
    else if (w->error[0])
        reeve_executor_status(runner.executor, w->id, REEVE__V1__TASK_STATE__TASK_FAILED, w->error,
                              NULL, 0);
    else
        reeve_executor_status(runner.executor, w->id, REEVE__V1__TASK_STATE__TASK_FINISHED, NULL,
                              data, strlen(data));
    free(w->id);
    free(w->order);
    free(w);
}

static void on_launch(struct reeve_executor *e, void *ctx, const Reeve__V1__TaskInfo *task) {
    struct work *w = must_realloc(NULL, sizeof *w);

    (void)ctx;
    memset(w, 0, sizeof *w);
    w->id = must_strdup(task->task_id->value);
    w->order = must_realloc(NULL, task->data.len + 1);
    if (task->data.len)
        memcpy(w->order, task->data.data, task->data.len);
    w->order[task->data.len] = 0;
    w->request.data = w;
    w->next = runner.works;
    runner.works = w;
    reeve_executor_status(e, w->id, REEVE__V1__TASK_STATE__TASK_RUNNING, NULL, NULL, 0);
    uv_queue_work(reeve_executor_loop(e), &w->request, do_work, work_done);
}

static void kill_work(struct work *w) {
    atomic_store(&w->killed, true);
    uv_cancel((uv_req_t *)&w->request); /* fails for one that runs: it sees the flag */
}

static void on_kill(struct reeve_executor *e, void *ctx, const char *task_id,
                    const Reeve__V1__KillPolicy *policy) {
    (void)e;
    (void)ctx;
    (void)policy;
    for (struct work *w = runner.works; w; w = w->next)
        if (!strcmp(w->id, task_id))
            kill_work(w);
}

static void on_shutdown(struct reeve_executor *e, void *ctx) {
    (void)ctx;
    for (struct work *w = runner.works; w; w = w->next) {
        kill_work(w);
        w->told = true;
        reeve_executor_status(e, w->id, REEVE__V1__TASK_STATE__TASK_KILLED, "shut down", NULL, 0);
    }
    reeve_executor_stop(e);
}

static void on_error(struct reeve_executor *e, void *ctx, const char *message) {
    (void)e;
    (void)ctx;
    fprintf(stderr, "wordcount executor: %s\n", message);
}

int executor_main(void) {
    static const struct reeve_executor_callbacks callbacks = {
        .launch = on_launch, .kill = on_kill, .shutdown = on_shutdown, .error = on_error};
    struct reeve_error err;
    int rc;

    runner.executor =
        reeve_executor_new(&(struct reeve_executor_config){.callbacks = &callbacks}, &err);
    if (!runner.executor) {
        fprintf(stderr, "wordcount executor: %s\n", err.message);
        return 1;
    }
    rc = reeve_executor_run(runner.executor);
    fflush(NULL);
    _exit(rc ? 1 : 0); /* without waiting for threads whose work nobody wants any more */
}
