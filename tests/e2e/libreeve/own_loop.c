/*
 * A scheduler on a loop of the caller's: subscribes and leaves without a word; comes back with its
 * id and is torn down; is freed before it began. Exit status 0 if all of that went well.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include <reeve.h>

static int subscribed, stopped;
static char id[128];

static void on_subscribed(struct reeve_scheduler *s, void *ctx,
                          const Reeve__V1__Scheduler__Event__Subscribed *event, bool again) {
    (void)ctx;
    (void)again;
    subscribed++;
    snprintf(id, sizeof id, "%s", event->framework_id->value);
    reeve_scheduler_stop(s, false);
}

static void on_stopped(struct reeve_scheduler *s, void *ctx, int result) {
    (void)s;
    (void)ctx;
    stopped += result == 0;
}

int main(int argc, char **argv) {
    static const struct reeve_scheduler_callbacks callbacks = {.subscribed = on_subscribed,
                                                               .stopped = on_stopped};
    struct reeve_scheduler_config config = {.callbacks = &callbacks};
    Reeve__V1__FrameworkInfo *info = reeve_framework_new(NULL, "own_loop");
    uv_loop_t loop;

    if (argc < 2 || uv_loop_init(&loop))
        return 2;
    signal(SIGPIPE, SIG_IGN);
    info->has_failover_timeout = 1;
    info->failover_timeout = 60;
    config.master = argv[1];
    config.framework = info;
    config.loop = &loop;
    for (int round = 0; round < 3; round++) {
        struct reeve_scheduler *s = reeve_scheduler_new(&config, NULL);
        if (round < 2)
            reeve_scheduler_start(s);
        if (round == 1)
            reeve_scheduler_stop(s, true); /* tells nothing more, but the master it does */
        while (round < 2 && stopped <= round)
            uv_run(&loop, UV_RUN_ONCE);
        reeve_scheduler_free(s);
        uv_run(&loop, UV_RUN_DEFAULT);
        if (!info->id) {
            info->id = malloc(sizeof *info->id);
            reeve__v1__framework_id__init(info->id);
            info->id->value = strdup(id);
        }
    }
    reeve__v1__framework_info__free_unpacked(info, NULL);
    return uv_loop_close(&loop) || subscribed != 1 || stopped != 2;
}
