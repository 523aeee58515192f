/*
 * The scheduler: hands out map tasks, then reduce tasks, and runs again what was lost.
 *
 * A task is WAITING, OUT (on an agent) or DONE. Reduces wait for all maps. While nothing waits the
 * framework suppresses offers; when something fails or the reduces begin it revives them. After a
 * broken connection it reconciles all that is OUT, so that a launch which never arrived comes back
 * as lost.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <reeve.h>

#include "wordcount.h"

#define EXECUTOR_CPUS 0.1
#define EXECUTOR_MEM_MB 32.0

enum { MAX_ATTEMPTS = 5, MAX_A_LAUNCH = 64, RECONCILE_EVERY_MS = 15000, PROGRESS_MS = 100 };

enum state { WAITING, OUT, DONE };

struct task {
    enum state state;
    unsigned attempt;
    char *agent; /* that it is OUT on */
};

struct job {
    const struct options *options;
    const struct input *input;
    struct reeve_scheduler *scheduler;
    struct task *tasks; /* maps, then reduces */
    unsigned n_maps, n_reduces, maps_done, done, out, failures;
    bool suppressed, failed;
    uint64_t words_mapped, started_ms;
    struct report report;
    uv_timer_t sampler, reconciler;
    uv_signal_t interrupt, terminate;
};

static double seconds(const struct job *j) {
    return ((double)uv_hrtime() / 1e6 - (double)j->started_ms) / 1000;
}

static unsigned n_tasks(const struct job *j) {
    return j->n_maps + j->n_reduces;
}

/* "map-17.1", "reduce-3.2": what, which, attempt. */
static void task_id(const struct job *j, unsigned index, char out[48]) {
    bool map = index < j->n_maps;

    snprintf(out, 48, "%s-%u.%u", map ? "map" : "reduce", map ? index : index - j->n_maps,
             j->tasks[index].attempt);
}

/* The task of an id, if that is its current attempt. */
static struct task *find_task(const struct job *j, const char *id) {
    unsigned number, attempt, index;

    if (sscanf(id, "map-%u.%u", &number, &attempt) == 2 && number < j->n_maps)
        index = number;
    else if (sscanf(id, "reduce-%u.%u", &number, &attempt) == 2 && number < j->n_reduces)
        index = j->n_maps + number;
    else
        return NULL;
    return j->tasks[index].attempt == attempt ? &j->tasks[index] : NULL;
}

static void give_up(struct job *j, const char *why) {
    if (j->failed)
        return;
    fprintf(stderr, "%swordcount: %s\n", j->report.tty ? "\n" : "", why);
    j->failed = true;
    reeve_scheduler_stop(j->scheduler, true);
}

/* ---- offers ---- */

static void set_order(const struct job *j, Reeve__V1__TaskInfo *info, unsigned index) {
    char head[4200];
    size_t n, room;
    char *text;

    if (index >= j->n_maps) {
        n = (size_t)snprintf(head, sizeof head, "reduce %u %u %s", index - j->n_maps, j->n_maps,
                             j->options->work_dir);
        reeve_task_set_data(info, head, n);
        return;
    }
    n = (size_t)snprintf(head, sizeof head, "map %u %u %s\n", index, j->n_reduces,
                         j->options->work_dir);
    room = n;
    for (size_t i = 0; i < j->input->n; i++)
        if (j->input->split[i] == index)
            room += strlen(j->input->files[i].path) + 1;
    text = must_realloc(NULL, room);
    memcpy(text, head, n);
    for (size_t i = 0; i < j->input->n; i++) {
        size_t length = strlen(j->input->files[i].path);
        if (j->input->split[i] != index)
            continue;
        memcpy(text + n, j->input->files[i].path, length);
        text[n + length] = '\n';
        n += length + 1;
    }
    reeve_task_set_data(info, text, n);
    free(text);
}

static Reeve__V1__TaskInfo *make_task(const struct job *j, unsigned index,
                                      const Reeve__V1__Offer *offer) {
    Reeve__V1__TaskInfo *info;
    char id[48], command[4200];

    task_id(j, index, id);
    /* The single quotes keep a path with spaces in one piece. */
    snprintf(command, sizeof command, "exec '%s' --executor", j->options->program);
    info = reeve_task_new(id, NULL, offer);
    reeve_task_add_scalar(info, offer, "cpus", j->options->cpus);
    reeve_task_add_scalar(info, offer, "mem", j->options->mem_mb);
    reeve_task_set_executor(info, offer, "wordcount", command, EXECUTOR_CPUS, EXECUTOR_MEM_MB);
    for (size_t i = 0; i < j->options->n_shared; i++)
        reeve_task_add_volume(info, j->options->shared[i], j->options->shared[i], false);
    set_order(j, info, index);
    return info;
}

static bool next_waiting(const struct job *j, unsigned *index) {
    unsigned end = j->maps_done < j->n_maps ? j->n_maps : n_tasks(j);

    for (; *index < end; ++*index)
        if (j->tasks[*index].state == WAITING)
            return true;
    return false;
}

/* An equal part of what waits, so that few tasks do not all go to the first agent that offers. */
static size_t fair_share(const struct job *j) {
    unsigned waiting = j->maps_done < j->n_maps ? j->n_maps : n_tasks(j);
    size_t agents = 0;

    waiting -= j->done + j->out;
    for (size_t i = 0; i < j->report.n_agents; i++)
        agents += j->report.agents[i].cpus > 0;
    return agents ? (waiting + agents - 1) / agents : waiting;
}

static void use_offer(struct job *j, const Reeve__V1__Offer *offer, unsigned *index) {
    struct agent_report *agent = report_agent(&j->report, offer->agent_id->value);
    double cpus = reeve_offer_scalar(offer, "cpus"), mem = reeve_offer_scalar(offer, "mem");
    Reeve__V1__TaskInfo *infos[MAX_A_LAUNCH];
    size_t n = 0, share;

    if (!agent->hostname)
        agent->hostname = must_strdup(offer->hostname);
    if (cpus > agent->cpus) /* the first offer, before we used anything, is mostly all there is */
        agent->cpus = cpus;
    if (!agent->has_executor) {
        cpus -= EXECUTOR_CPUS;
        mem -= EXECUTOR_MEM_MB;
    }
    share = fair_share(j);
    /* Half a thousandth of slack: 0.6 - 0.2 - 0.2 is less than 0.2 in binary. */
    while (n < share && n < MAX_A_LAUNCH && cpus + 0.0005 >= j->options->cpus &&
           mem >= j->options->mem_mb && next_waiting(j, index)) {
        struct task *task = &j->tasks[*index];
        task->attempt++;
        task->state = OUT;
        task->agent = must_strdup(agent->id);
        infos[n++] = make_task(j, *index, offer);
        cpus -= j->options->cpus;
        mem -= j->options->mem_mb;
        agent->used_cpus += j->options->cpus;
        j->out++;
    }
    if (!n) {
        /* Nothing waits: not soon again. Too small: perhaps it is more next time. */
        reeve_scheduler_decline(j->scheduler, (const char *const[]){offer->id->value}, 1,
                                next_waiting(j, index) ? 0.2 : 5);
        return;
    }
    if (!agent->has_executor)
        agent->used_cpus += EXECUTOR_CPUS;
    agent->has_executor = true;
    /* What is left is too small for another task; what comes back with ended ones is not. */
    reeve_scheduler_launch(j->scheduler, offer, infos, n, 0);
    for (size_t i = 0; i < n; i++)
        reeve__v1__task_info__free_unpacked(infos[i], NULL);
}

static void on_offers(struct reeve_scheduler *s, void *ctx, Reeve__V1__Offer *const *offers,
                      size_t n) {
    struct job *j = ctx;
    unsigned index = 0;

    for (size_t i = 0; i < n; i++)
        use_offer(j, offers[i], &index);
    index = 0;
    if (!j->suppressed && !next_waiting(j, &index))
        j->suppressed = reeve_scheduler_suppress(s, NULL, 0) == 0;
}

/* ---- updates ---- */

static void account(struct job *j, struct task *task, const Reeve__V1__TaskStatus *status) {
    unsigned long long bytes = 0, words = 0, ms = 0;
    struct agent_report *agent = report_agent(&j->report, task->agent);
    char text[96] = "";

    if (status->has_data && status->data.len && status->data.len < sizeof text)
        memcpy(text, status->data.data, status->data.len);
    sscanf(text, "%llu %llu %llu", &bytes, &words, &ms);
    agent->bytes += bytes;
    agent->busy_ms += ms;
    if (task < j->tasks + j->n_maps) {
        agent->maps++;
        j->maps_done++;
        j->words_mapped += words;
    } else {
        agent->reduces++;
    }
    task->state = DONE;
    j->done++;
}

static void run_again(struct job *j, struct task *task, const Reeve__V1__TaskStatus *status) {
    char why[700];

    task->state = WAITING;
    j->failures++;
    if (task->attempt < MAX_ATTEMPTS)
        return;
    snprintf(why, sizeof why, "task %s failed %d times, at last with %s: %s",
             status->task_id->value, MAX_ATTEMPTS, reeve_state_name(status->state),
             status->message ? status->message : "no message");
    give_up(j, why);
}

static void on_update(struct reeve_scheduler *s, void *ctx, const Reeve__V1__TaskStatus *status) {
    struct job *j = ctx;
    struct task *task = find_task(j, status->task_id->value);
    bool gone = reeve_state_is_terminal(status->state) ||
                status->state == REEVE__V1__TASK_STATE__TASK_UNREACHABLE ||
                status->state == REEVE__V1__TASK_STATE__TASK_UNKNOWN;
    unsigned index = 0;

    if (!task || task->state != OUT || !gone)
        return; /* of an earlier attempt, told twice, or only that it runs */
    report_agent(&j->report, task->agent)->used_cpus -= j->options->cpus;
    j->out--;
    if (status->state == REEVE__V1__TASK_STATE__TASK_FINISHED)
        account(j, task, status);
    else
        run_again(j, task, status);
    free(task->agent);
    task->agent = NULL;
    if (j->done == n_tasks(j)) {
        reeve_scheduler_stop(s, true);
    } else if (j->suppressed && next_waiting(j, &index)) {
        j->suppressed = false;
        reeve_scheduler_revive(s, NULL, 0);
    }
}

static void on_failure(struct reeve_scheduler *s, void *ctx,
                       const Reeve__V1__Scheduler__Event__Failure *event) {
    struct job *j = ctx;
    struct agent_report *agent;

    (void)s;
    if (!event->agent_id)
        return;
    agent = report_agent(&j->report, event->agent_id->value);
    if (agent->has_executor)
        agent->used_cpus -= EXECUTOR_CPUS;
    agent->has_executor = false;
    if (!event->executor_id)
        agent->cpus = 0; /* the whole agent is gone */
}

/* ---- connection ---- */

/* Asks for all that is OUT. */
static void reconcile(struct job *j) {
    const char **ids, **agents;
    char(*texts)[48];
    size_t n = 0;

    if (!j->out)
        return;
    ids = must_realloc(NULL, j->out * sizeof *ids);
    agents = must_realloc(NULL, j->out * sizeof *agents);
    texts = must_realloc(NULL, j->out * sizeof *texts);
    for (unsigned i = 0; i < n_tasks(j); i++)
        if (j->tasks[i].state == OUT) {
            task_id(j, i, texts[n]);
            ids[n] = texts[n];
            agents[n++] = j->tasks[i].agent;
        }
    reeve_scheduler_reconcile(j->scheduler, ids, agents, n);
    free(ids);
    free(agents);
    free(texts);
}

static void on_subscribed(struct reeve_scheduler *s, void *ctx,
                          const Reeve__V1__Scheduler__Event__Subscribed *event, bool again) {
    struct job *j = ctx;

    (void)s;
    j->suppressed = false; /* a new subscription gets offers */
    if (again)
        reconcile(j);
    else if (!j->report.tty)
        printf("framework %s\n", event->framework_id->value);
}

static void on_disconnected(struct reeve_scheduler *s, void *ctx, const char *why) {
    (void)s;
    (void)ctx;
    fprintf(stderr, "wordcount: disconnected (%s), connecting again\n", why);
}

static void on_call_failed(struct reeve_scheduler *s, void *ctx,
                           Reeve__V1__Scheduler__Call__Type type, int status, const char *why) {
    (void)s;
    (void)ctx;
    fprintf(stderr, "wordcount: call %d answered %d: %s\n", (int)type, status, why);
}

static void on_error(struct reeve_scheduler *s, void *ctx, const char *message) {
    (void)s;
    (void)ctx;
    fprintf(stderr, "wordcount: %s\n", message);
}

/* ---- the loop ---- */

static void on_sample(uv_timer_t *timer) {
    struct job *j = timer->data;

    report_sample(&j->report);
    report_progress(&j->report, j->done, n_tasks(j), j->out, j->failures, seconds(j));
}

static void on_reconcile(uv_timer_t *timer) {
    reconcile(timer->data);
}

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    give_up(handle->data, "interrupted");
}

static void begin(struct job *j) {
    uv_loop_t *loop = reeve_scheduler_loop(j->scheduler);

    j->started_ms = uv_hrtime() / 1000000;
    uv_timer_init(loop, &j->sampler);
    uv_timer_init(loop, &j->reconciler);
    uv_signal_init(loop, &j->interrupt);
    uv_signal_init(loop, &j->terminate);
    j->sampler.data = j->reconciler.data = j->interrupt.data = j->terminate.data = j;
    uv_timer_start(&j->sampler, on_sample, SAMPLE_MS, SAMPLE_MS);
    uv_timer_start(&j->reconciler, on_reconcile, RECONCILE_EVERY_MS, RECONCILE_EVERY_MS);
    uv_signal_start(&j->interrupt, on_signal, SIGINT);
    uv_signal_start(&j->terminate, on_signal, SIGTERM);
}

/* ---- the result ---- */

static int collect(const struct job *j, struct words *words) {
    char path[4200];

    for (unsigned i = 0; i < j->n_reduces; i++) {
        snprintf(path, sizeof path, "%s/reduce-%u", j->options->work_dir, i);
        if (words_merge_file(words, path)) {
            fprintf(stderr, "wordcount: %s: %s\n", path, strerror(errno));
            return -1;
        }
    }
    if (words->total == j->words_mapped)
        return 0;
    fprintf(stderr, "wordcount: the maps saw %llu words, the reduces %llu\n",
            (unsigned long long)j->words_mapped, (unsigned long long)words->total);
    return -1;
}

/* Counts the same files by a shell pipeline and compares every word. */
static int check(const struct job *j, const struct words *words) {
    char list[4200], counts[4200], command[20000];
    struct words expected = {0};
    unsigned wrong = 0;
    int rc;

    snprintf(list, sizeof list, "%s/check-list", j->options->work_dir);
    snprintf(counts, sizeof counts, "%s/check-counts", j->options->work_dir);
    if (input_write_list(j->input, list)) {
        fprintf(stderr, "wordcount: %s: %s\n", list, strerror(errno));
        return -1;
    }
    /* gzip -cdf reads plain files as they are; echo ends a last word without a line end. */
    snprintf(command, sizeof command,
             "while IFS= read -r f; do gzip -cdf <\"$f\"; echo; done <'%s' |"
             " LC_ALL=C tr -cs A-Za-z '\\n' | LC_ALL=C tr A-Z a-z |"
             " LC_ALL=C awk '$0 != \"\" { n[$0]++ } END { for (w in n) print n[w], w }' >'%s'",
             list, counts);
    printf("\nchecking by a shell pipeline ...\n");
    fflush(stdout);
    rc = system(command);
    if (rc || words_merge_file(&expected, counts)) {
        fprintf(stderr, "wordcount: cannot check by a shell pipeline (status %d)\n", rc);
        words_free(&expected);
        return -1;
    }
    for (size_t i = 0; i < expected.capacity; i++) {
        const struct word *word = &expected.slots[i];
        if (word->text && words_count(words, word->text) != word->count && ++wrong <= 10)
            fprintf(stderr, "wordcount: \"%s\": %llu instead of %llu\n", word->text,
                    (unsigned long long)words_count(words, word->text),
                    (unsigned long long)word->count);
    }
    if (!wrong && (expected.n != words->n || expected.total != words->total)) {
        fprintf(stderr, "wordcount: %zu different words instead of %zu\n", words->n, expected.n);
        wrong++;
    }
    if (!wrong)
        printf("checked: a shell pipeline counts the same, all %zu words\n", expected.n);
    words_free(&expected);
    return wrong ? -1 : 0;
}

static int finish(struct job *j) {
    struct words words = {0};
    int rc = collect(j, &words);

    if (!rc) {
        report_words(&words, j->options->top);
        report_cluster(&j->report);
        printf("\n%u map and %u reduce tasks in %.1f s, %u run again\n", j->n_maps, j->n_reduces,
               seconds(j), j->failures);
        if (j->options->check)
            rc = check(j, &words);
    }
    words_free(&words);
    return rc ? 1 : 0;
}

int scheduler_main(const struct options *options, struct input *in) {
    static const struct reeve_scheduler_callbacks callbacks = {
        .subscribed = on_subscribed,
        .disconnected = on_disconnected,
        .offers = on_offers,
        .update = on_update,
        .failure = on_failure,
        .call_failed = on_call_failed,
        .error = on_error,
    };
    struct job j = {.options = options,
                    .input = in,
                    .n_maps = in->n_splits,
                    .n_reduces = options->reduces,
                    .report.tty = isatty(STDOUT_FILENO)};
    Reeve__V1__FrameworkInfo *framework = reeve_framework_new(NULL, "wordcount");
    struct reeve_scheduler_config config = {
        .master = options->master, .framework = framework, .callbacks = &callbacks, .ctx = &j};
    struct reeve_error err;
    int rc;

    framework->has_failover_timeout = true;
    framework->failover_timeout = 60; /* seconds: for a connection to come back */
    j.tasks = must_realloc(NULL, n_tasks(&j) * sizeof *j.tasks);
    memset(j.tasks, 0, n_tasks(&j) * sizeof *j.tasks);
    j.scheduler = reeve_scheduler_new(&config, &err);
    reeve__v1__framework_info__free_unpacked(framework, NULL);
    if (!j.scheduler) {
        fprintf(stderr, "wordcount: %s\n", err.message);
        free(j.tasks);
        return 2;
    }
    begin(&j);
    rc = reeve_scheduler_run(j.scheduler) || j.failed ? 1 : 0;
    if (!rc)
        report_progress(&j.report, j.done, n_tasks(&j), j.out, j.failures, seconds(&j));
    reeve_scheduler_free(j.scheduler); /* with the timers that are on its loop */
    if (!rc)
        rc = finish(&j);
    for (unsigned i = 0; i < n_tasks(&j); i++)
        free(j.tasks[i].agent);
    free(j.tasks);
    report_free(&j.report);
    return rc;
}
