/* See cluster.h. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"
#include "cluster.h"
#include "emulator.h"

#define CPUS 0.1 /* of a task */
#define MEM 32
#define MANY "--resources=cpus:1000;mem:1000000;disk:1000000"

enum { MAX_FLAGS = 24, ENDING_MS = 10000 };

static void start_the_agent(struct cluster *c, const char *const *flags) {
    const char *all[MAX_FLAGS] = {"--containerizer=linux", MANY, "--recovery_timeout=1mins"};

    for (int n = 3; flags && *flags && n < MAX_FLAGS - 1;)
        all[n++] = *flags++;
    c->agent = start_agent(c->address, c->work_dir, all, &c->agent_port);
}

bool cluster_start(struct cluster *c, const char *const *flags) {
    char address[64];
    uint16_t port;

    if (geteuid() != 0) {
        puts("skipped, it needs root");
        return false;
    }
    signal(SIGPIPE, SIG_IGN);
    c->work_dir = new_work_dir();
    c->master = start_master(NULL, &port);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    c->address = rv_strdup(address);
    start_the_agent(c, flags);
    return true;
}

void cluster_stop(struct cluster *c, const char *failure) {
    if (failure)
        fprintf(stderr, "%s\n", failure);
    if (!c->failure)
        c->failure = failure;
    reeve_scheduler_stop(c->s, true);
}

/* ---- offers and launches ---- */

static void let_go(struct cluster *c) {
    for (size_t i = 0; i < c->offers.n; i++)
        free(c->offers.v[i]);
    c->offers.n = 0;
    c->room = 0;
    reeve__v1__offer__free_unpacked(c->an_offer, NULL);
    c->an_offer = NULL;
}

static Reeve__V1__Offer *copy(const Reeve__V1__Offer *offer) {
    size_t n = protobuf_c_message_get_packed_size(&offer->base);
    _cleanup_free_ uint8_t *bytes = rv_malloc(n + 1);

    protobuf_c_message_pack(&offer->base, bytes);
    return reeve__v1__offer__unpack(NULL, n, bytes);
}

static void on_offers(struct reeve_scheduler *s, void *ctx, Reeve__V1__Offer *const *offers,
                      size_t n) {
    struct cluster *c = ctx;

    (void)s;
    for (size_t i = 0; i < n; i++) {
        rv_vec_push(&c->offers, rv_strdup(offers[i]->id->value));
        c->room += (size_t)RV_MIN(reeve_offer_scalar(offers[i], "cpus") / CPUS + 0.001,
                                  reeve_offer_scalar(offers[i], "mem") / MEM + 0.001);
        if (!c->an_offer)
            c->an_offer = copy(offers[i]);
    }
    c->on_room(c);
}

static Reeve__V1__TaskInfo *new_task(struct cluster *c, const char *const *argv) {
    Reeve__V1__TaskInfo *task;
    char id[32];

    snprintf(id, sizeof id, "t%zu", c->launched++);
    task = reeve_task_new(id, NULL, c->an_offer);
    reeve_task_add_scalar(task, c->an_offer, "cpus", CPUS);
    reeve_task_add_scalar(task, c->an_offer, "mem", MEM);
    reeve_task_set_argv(task, argv);
    rv_vec_push(&c->accepted, now_seconds());
    return task;
}

void cluster_launch(struct cluster *c, const char *const *argv, size_t n) {
    Reeve__V1__Offer__Operation operation = REEVE__V1__OFFER__OPERATION__INIT;
    Reeve__V1__Offer__Operation__Launch launch = REEVE__V1__OFFER__OPERATION__LAUNCH__INIT;
    Reeve__V1__Offer__Operation *operations[] = {&operation};

    operation.has_type = 1;
    operation.type = REEVE__V1__OFFER__OPERATION__TYPE__LAUNCH;
    operation.launch = &launch;
    launch.n_task_infos = n;
    launch.task_infos = rv_calloc(n, sizeof(Reeve__V1__TaskInfo *));
    for (size_t i = 0; i < n; i++)
        launch.task_infos[i] = new_task(c, argv);
    if (reeve_scheduler_accept(c->s, (const char *const *)c->offers.v, c->offers.n, operations, 1,
                               0))
        cluster_stop(c, reeve_scheduler_error(c->s));
    for (size_t i = 0; i < n; i++)
        reeve__v1__task_info__free_unpacked(launch.task_infos[i], NULL);
    free(launch.task_infos);
    let_go(c);
}

/* ---- what happens ---- */

static void on_update(struct reeve_scheduler *s, void *ctx, const Reeve__V1__TaskStatus *status) {
    struct cluster *c = ctx;

    (void)s;
    switch (status->state) {
    case REEVE__V1__TASK_STATE__TASK_RUNNING:
    case REEVE__V1__TASK_STATE__TASK_FINISHED:
    case REEVE__V1__TASK_STATE__TASK_KILLED:
        c->on_task(c, strtoul(status->task_id->value + 1, NULL, 10), status->state);
        break;
    default:
        cluster_stop(c, status->message ? status->message : reeve_state_name(status->state));
    }
}

static void on_call_failed(struct reeve_scheduler *s, void *ctx,
                           Reeve__V1__Scheduler__Call__Type type, int status, const char *why) {
    (void)s;
    (void)type;
    (void)status;
    cluster_stop(ctx, why);
}

void cluster_run(struct cluster *c) {
    static const struct reeve_scheduler_callbacks callbacks = {
        .offers = on_offers, .update = on_update, .call_failed = on_call_failed};
    Reeve__V1__FrameworkInfo *framework = reeve_framework_new("root", "bench");
    struct reeve_error err;

    framework->has_checkpoint = framework->checkpoint = true;
    c->s = reeve_scheduler_new(
        &(struct reeve_scheduler_config){
            .master = c->address, .framework = framework, .callbacks = &callbacks, .ctx = c},
        &err);
    reeve__v1__framework_info__free_unpacked(framework, NULL);
    if (!c->s || reeve_scheduler_run(c->s)) {
        fprintf(stderr, "%s\n", c->s ? reeve_scheduler_error(c->s) : err.message);
        c->failure = "the scheduler failed";
    }
    reeve_scheduler_free(c->s);
    let_go(c);
    rv_vec_free(&c->offers);
    rv_vec_free(&c->accepted);
}

/* ---- the agent's side ---- */

size_t cluster_containers(const struct cluster *c) {
    _cleanup_free_ char *path = rv_asprintf("%s/meta/runtime", c->work_dir);
    DIR *dir = opendir(path);
    size_t n = 0;

    for (struct dirent *e; dir && (e = readdir(dir));)
        n += e->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

bool cluster_restart_agent(struct cluster *c) {
    char port[32];
    const char *flags[] = {port, NULL};

    snprintf(port, sizeof port, "--port=%u", c->agent_port);
    kill(c->agent, SIGKILL);
    if (waitpid(c->agent, NULL, 0) != c->agent)
        return false;
    start_the_agent(c, flags);
    return true;
}

size_t cluster_executors(const struct cluster *c) {
    static const char name[] = "\"slave/executors_running\":";
    _cleanup_free_ char *command =
        rv_asprintf("curl -s http://127.0.0.1:%u/metrics/snapshot", c->agent_port);
    FILE *f = popen(command, "r"); // NOLINT(cert-env33-c): the command is ours
    char text[65536];
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    const char *value;

    if (f)
        pclose(f);
    text[n] = '\0';
    value = strstr(text, name);
    return value ? (size_t)strtod(value + strlen(name), NULL) : SIZE_MAX;
}

int cluster_end(struct cluster *c) {
    /* An agent that ends leaves what still ends for the next one. */
    for (int ms = 0; ms < ENDING_MS && cluster_containers(c); ms++)
        usleep(1000);
    stop_process(c->agent);
    stop_process(c->master);
    int left = remove_folder(c->work_dir);
    free(c->work_dir);
    free(c->address);
    return left || c->failure;
}

int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}
