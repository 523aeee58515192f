/*
 * hello: runs a shell command N times on a cluster. The smallest whole scheduler on libreeve:
 * it takes what fits of each offer, counts what ended, and says by its exit status how it went.
 *
 *   hello MASTER [N [COMMAND]]        hello 127.0.0.1:5050 5 'echo hello; sleep 1'
 */
#include <stdio.h>
#include <stdlib.h>

#include <reeve.h>

#define CPUS 0.1
#define MEM_MB 32.0

struct job {
    const char *command;
    int wanted, launched, ended, failed;
};

static void on_offers(struct reeve_scheduler *s, void *ctx, Reeve__V1__Offer *const *offers,
                      size_t n) {
    struct job *job = ctx;

    for (size_t i = 0; i < n; i++) {
        const Reeve__V1__Offer *offer = offers[i];
        double by_cpus = reeve_offer_scalar(offer, "cpus") / CPUS + 0.001;
        double by_mem = reeve_offer_scalar(offer, "mem") / MEM_MB;
        size_t fit = (size_t)(by_cpus < by_mem ? by_cpus : by_mem), count = 0;
        Reeve__V1__TaskInfo *tasks[64];

        while (count < 64 && count < fit && job->launched < job->wanted) {
            char id[32];
            snprintf(id, sizeof id, "hello-%d", ++job->launched);
            tasks[count] = reeve_task_new(id, NULL, offer);
            reeve_task_add_scalar(tasks[count], offer, "cpus", CPUS);
            reeve_task_add_scalar(tasks[count], offer, "mem", MEM_MB);
            reeve_task_set_shell(tasks[count++], job->command);
        }
        if (count) /* what is left of the offer goes back, and need not come again for a second */
            reeve_scheduler_launch(s, offer, tasks, count, 1);
        else
            reeve_scheduler_decline(s, (const char *const[]){offer->id->value}, 1,
                                    job->launched == job->wanted ? 3600 : 1);
        while (count)
            reeve__v1__task_info__free_unpacked(tasks[--count], NULL);
    }
    if (job->launched == job->wanted)
        reeve_scheduler_suppress(s, NULL, 0);
}

static void on_update(struct reeve_scheduler *s, void *ctx, const Reeve__V1__TaskStatus *status) {
    struct job *job = ctx;

    printf("%s %s %s\n", status->task_id->value, reeve_state_name(status->state),
           status->message ? status->message : "");
    if (!reeve_state_is_terminal(status->state))
        return;
    job->failed += status->state != REEVE__V1__TASK_STATE__TASK_FINISHED;
    if (++job->ended == job->wanted)
        reeve_scheduler_stop(s, true);
}

int main(int argc, char **argv) {
    static const struct reeve_scheduler_callbacks callbacks = {.offers = on_offers,
                                                               .update = on_update};
    struct job job = {.wanted = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 3,
                      .command = argc > 3 ? argv[3] : "echo hello from $(hostname)"};
    Reeve__V1__FrameworkInfo *framework = reeve_framework_new(NULL, "hello");
    struct reeve_error err;
    struct reeve_scheduler *s;

    if (argc < 2 || job.wanted < 1) {
        fputs("usage: hello MASTER [N [COMMAND]]\n", stderr);
        return 2;
    }
    s = reeve_scheduler_new(
        &(struct reeve_scheduler_config){
            .master = argv[1], .framework = framework, .callbacks = &callbacks, .ctx = &job},
        &err);
    reeve__v1__framework_info__free_unpacked(framework, NULL);
    if (!s || reeve_scheduler_run(s)) {
        fprintf(stderr, "hello: %s\n", s ? reeve_scheduler_error(s) : err.message);
        return 1;
    }
    reeve_scheduler_free(s);
    return job.failed > 0;
}
