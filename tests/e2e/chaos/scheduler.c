/*
 * The framework of the chaos tests on libreeve: launches tasks of random lengths for as long as
 * there is no file STOP, kills some, reconciles, and writes down in LOG, a line of JSON each, what
 * it is told and what it asks for, before it asks. LOG is also its memory: a new process reads the
 * framework's id and what is under way from it, and goes on.
 *
 *   scheduler --master=HOST:PORT,... --log=FILE --stop=FILE --task=PROGRAM --seed=N
 *
 * A task is `PROGRAM ID SECONDS STATUS`, which records that it ran. The logs are read by audit.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>
#include <reeve.h>
#include <uv.h>

#define CPUS 0.2
#define MEM_MB 32.0
#define MAX_OPEN 12
#define ANSWER_MS 5000 /* without news of a task for so long it is asked for */

struct task {
    char id[48], agent[96];
    bool running;
    int64_t news_ms;
};

static struct {
    struct reeve_scheduler *scheduler;
    const char *stop, *program;
    int log, life;
    unsigned launched;
    char framework[96];
    struct task *open[4096]; /* launched and not ended */
    size_t n_open;
} me;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int64_t now_ms(void) {
    return (int64_t)(now() * 1000);
}

static double chance(void) {
    return drand48();
}

/* ---- the log ---- */

/* `line` is taken. One write, so that a kill leaves whole lines. */
static void put(const char *what, json_t *line) {
    char *text;
    size_t n;

    json_object_set_new(line, "t", json_real(now()));
    json_object_set_new(line, "life", json_integer(me.life));
    json_object_set_new(line, "what", json_string(what));
    text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
    n = strlen(text);
    text[n] = '\n';
    if (write(me.log, text, n + 1) != (ssize_t)n + 1)
        abort();
    free(text);
    json_decref(line);
}

/* ---- what is under way ---- */

static size_t place_of(const char *id) {
    size_t i = 0;
    while (i < me.n_open && strcmp(me.open[i]->id, id))
        i++;
    return i;
}

static void opened(const char *id, const char *agent) {
    struct task *t;

    if (me.n_open == sizeof me.open / sizeof *me.open)
        abort();
    t = calloc(1, sizeof *t);
    snprintf(t->id, sizeof t->id, "%s", id);
    snprintf(t->agent, sizeof t->agent, "%s", agent);
    t->news_ms = now_ms();
    me.open[me.n_open++] = t;
}

static void heard(const char *id, const char *agent, const char *state) {
    size_t i = place_of(id);
    bool over = !strcmp(state, "TASK_FINISHED") || !strcmp(state, "TASK_FAILED") ||
                !strcmp(state, "TASK_KILLED") || !strcmp(state, "TASK_ERROR") ||
                !strcmp(state, "TASK_DROPPED") || !strcmp(state, "TASK_GONE") ||
                !strcmp(state, "TASK_GONE_BY_OPERATOR") || !strcmp(state, "TASK_UNKNOWN") ||
                !strcmp(state, "TASK_LOST");

    if (i == me.n_open) {
        if (over)
            return;
        opened(id, agent);
    }
    me.open[i]->running = !strcmp(state, "TASK_RUNNING");
    me.open[i]->news_ms = now_ms();
    if (over) {
        free(me.open[i]);
        me.open[i] = me.open[--me.n_open];
    }
}

static const char *text_of(const json_t *line, const char *key) {
    const char *s = json_string_value(json_object_get(line, key));
    return s ? s : "";
}

static void remember(const char *path) {
    FILE *f = fopen(path, "r");
    char line[4096];

    while (f && fgets(line, sizeof line, f)) {
        json_t *j = json_loads(line, 0, NULL);
        const char *what = text_of(j, "what");
        if (!strcmp(what, "start"))
            me.life++;
        else if (!strcmp(what, "subscribed"))
            snprintf(me.framework, sizeof me.framework, "%s", text_of(j, "framework"));
        else if (!strcmp(what, "launch"))
            opened(text_of(j, "task"), text_of(j, "agent"));
        else if (!strcmp(what, "update"))
            heard(text_of(j, "task"), text_of(j, "agent"), text_of(j, "state"));
        json_decref(j);
    }
    if (f)
        fclose(f);
    me.life++;
}

/* ---- events ---- */

static void reconcile(bool all) {
    const char *ids[sizeof me.open / sizeof *me.open], *agents[sizeof me.open / sizeof *me.open];
    size_t n = 0;

    for (size_t i = 0; i < me.n_open; i++) {
        if (!all && now_ms() - me.open[i]->news_ms < ANSWER_MS)
            continue;
        ids[n] = me.open[i]->id;
        agents[n++] = me.open[i]->agent;
        me.open[i]->news_ms = now_ms();
    }
    if (!n)
        return;
    put("reconcile", json_pack("{s:I}", "tasks", (json_int_t)n));
    reeve_scheduler_reconcile(me.scheduler, ids, agents, n);
}

static void on_subscribed(struct reeve_scheduler *s, void *ctx,
                          const Reeve__V1__Scheduler__Event__Subscribed *event, bool again) {
    (void)s, (void)ctx, (void)again;
    snprintf(me.framework, sizeof me.framework, "%s", event->framework_id->value);
    put("subscribed", json_pack("{s:s, s:s}", "framework", me.framework, "master",
                                event->master_info ? event->master_info->id : ""));
    reconcile(true);
}

static void on_disconnected(struct reeve_scheduler *s, void *ctx, const char *why) {
    (void)s, (void)ctx;
    put("disconnected", json_pack("{s:s}", "why", why));
}

static Reeve__V1__TaskInfo *new_task(const Reeve__V1__Offer *offer) {
    static const double longest[] = {0.5, 2, 5, 15};
    double seconds = longest[(int)(chance() * 4)] * chance();
    int status = chance() < 0.1 ? 3 : 0;
    const char *agent = offer->agent_id->value;
    char id[48], command[512];
    Reeve__V1__TaskInfo *task;

    snprintf(id, sizeof id, "reeve-%d-%u", me.life, ++me.launched);
    snprintf(command, sizeof command, "exec %s %s %.2f %d", me.program, id, seconds, status);
    task = reeve_task_new(id, NULL, offer);
    reeve_task_add_scalar(task, offer, "cpus", CPUS);
    reeve_task_add_scalar(task, offer, "mem", MEM_MB);
    reeve_task_set_shell(task, command);
    opened(id, agent);
    put("launch", json_pack("{s:s, s:s, s:s, s:f, s:i}", "task", id, "offer", offer->id->value,
                            "agent", agent, "cpus", CPUS, "status", status));
    return task;
}

static void on_offers(struct reeve_scheduler *s, void *ctx, Reeve__V1__Offer *const *offers,
                      size_t n) {
    bool stop = !access(me.stop, F_OK);

    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        const Reeve__V1__Offer *offer = offers[i];
        const char *id = offer->id->value;
        double cpus = reeve_offer_scalar(offer, "cpus"), mem = reeve_offer_scalar(offer, "mem");
        Reeve__V1__TaskInfo *tasks[3];
        size_t count = 0, wanted = (size_t)(chance() * 4);

        put("offer", json_pack("{s:s, s:s, s:f, s:f}", "offer", id, "agent", offer->agent_id->value,
                               "cpus", cpus, "mem", mem));
        if (!stop && chance() < 0.1)
            continue; /* held, until it is rescinded */
        while (!stop && count < wanted && me.n_open < MAX_OPEN && cpus >= CPUS && mem >= MEM_MB) {
            tasks[count++] = new_task(offer);
            cpus -= CPUS;
            mem -= MEM_MB;
        }
        put(count ? "accept" : "decline", json_pack("{s:s}", "offer", id));
        if (count)
            reeve_scheduler_launch(s, offer, tasks, count, 0.5);
        else
            reeve_scheduler_decline(s, (const char *const[]){id}, 1, 1);
        while (count)
            reeve__v1__task_info__free_unpacked(tasks[--count], NULL);
    }
}

static void on_rescinded(struct reeve_scheduler *s, void *ctx, const char *offer_id) {
    (void)s, (void)ctx;
    put("rescind", json_pack("{s:s}", "offer", offer_id));
}

static const char *name_of(const ProtobufCEnumDescriptor *d, int value, bool has) {
    const ProtobufCEnumValue *v = has ? protobuf_c_enum_descriptor_get_value(d, value) : NULL;
    return v ? v->name : "";
}

static void on_update(struct reeve_scheduler *s, void *ctx, const Reeve__V1__TaskStatus *u) {
    const char *id = u->task_id->value, *state = reeve_state_name(u->state);
    const char *agent = u->agent_id ? u->agent_id->value : "";
    char uuid[33] = "";

    (void)s, (void)ctx;
    for (size_t i = 0; u->has_uuid && i < u->uuid.len && i < 16; i++)
        snprintf(uuid + 2 * i, 3, "%02x", u->uuid.data[i]);
    put("update",
        json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "task", id, "state", state, "agent", agent,
            "uuid", uuid, "reason",
            name_of(&reeve__v1__task_status__reason__descriptor, (int)u->reason, u->has_reason),
            "source",
            name_of(&reeve__v1__task_status__source__descriptor, (int)u->source, u->has_source),
            "message", u->message ? u->message : ""));
    heard(id, agent, state);
    if (*uuid)
        put("acknowledge", json_pack("{s:s, s:s}", "task", id, "uuid", uuid));
}

static void on_error(struct reeve_scheduler *s, void *ctx, const char *message) {
    (void)s, (void)ctx;
    put("error", json_pack("{s:s}", "message", message));
}

static void on_call_failed(struct reeve_scheduler *s, void *ctx,
                           Reeve__V1__Scheduler__Call__Type type, int http_status,
                           const char *why) {
    (void)s, (void)ctx;
    put("failed", json_pack("{s:s, s:i, s:s}", "call",
                            name_of(&reeve__v1__scheduler__call__type__descriptor, (int)type, true),
                            "status", http_status, "why", why ? why : ""));
}

/* Once a second: asks for what it has not heard of, and now and then kills a task. */
static void on_second(uv_timer_t *timer) {
    (void)timer;
    if (!reeve_scheduler_subscribed(me.scheduler))
        return;
    reconcile(false);
    if (me.n_open && chance() < 0.2) {
        const struct task *t = me.open[(size_t)(chance() * (double)me.n_open)];
        if (t->running) {
            put("kill", json_pack("{s:s}", "task", t->id));
            reeve_scheduler_kill(me.scheduler, t->id, t->agent);
        }
    }
}

static Reeve__V1__FrameworkInfo *framework_info(void) {
    Reeve__V1__FrameworkInfo *info = reeve_framework_new("root", "reeve");

    reeve_framework_add_role(info, "reeve");
    for (int c = 0; c < 3; c++)
        reeve_framework_add_capability(
            info, (const Reeve__V1__FrameworkInfo__Capability__Type[]){
                      REEVE__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__PARTITION_AWARE,
                      REEVE__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__TASK_KILLING_STATE,
                      REEVE__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__RESERVATION_REFINEMENT}[c]);
    info->has_failover_timeout = info->has_checkpoint = 1;
    info->failover_timeout = 3600;
    info->checkpoint = 1;
    if (*me.framework) {
        info->id = malloc(sizeof *info->id);
        reeve__v1__framework_id__init(info->id);
        info->id->value = strdup(me.framework);
    }
    return info;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"master", 1, NULL, 'm'}, {"log", 1, NULL, 'l'},
                                            {"stop", 1, NULL, 's'},   {"task", 1, NULL, 't'},
                                            {"seed", 1, NULL, 'r'},   {NULL, 0, NULL, 0}};
    static const struct reeve_scheduler_callbacks callbacks = {.subscribed = on_subscribed,
                                                               .disconnected = on_disconnected,
                                                               .offers = on_offers,
                                                               .rescinded = on_rescinded,
                                                               .update = on_update,
                                                               .error = on_error,
                                                               .call_failed = on_call_failed};
    struct reeve_scheduler_config config = {.callbacks = &callbacks,
                                            .encoding = REEVE_JSON,
                                            .backoff_max_ms = 1000,
                                            .subscribe_timeout_ms = 3000,
                                            .missed_heartbeats = 4};
    Reeve__V1__FrameworkInfo *info;
    struct reeve_error err;
    uv_timer_t second;
    long seed = 0;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'm')
            config.master = optarg;
        else if (c == 'l' && (me.log = open(optarg, O_WRONLY | O_CREAT | O_APPEND, 0644)) >= 0)
            remember(optarg);
        else if (c == 's')
            me.stop = optarg;
        else if (c == 't')
            me.program = optarg;
        else if (c == 'r')
            seed = strtol(optarg, NULL, 10);
        else
            return 2;
    }
    if (!config.master || !me.log || !me.stop || !me.program)
        return 2;
    srand48(seed * 1000 + me.life);
    put("start", json_pack("{s:i}", "pid", (int)getpid()));
    config.framework = info = framework_info();
    me.scheduler = reeve_scheduler_new(&config, &err);
    reeve__v1__framework_info__free_unpacked(info, NULL);
    if (!me.scheduler) {
        fprintf(stderr, "scheduler: %s\n", err.message);
        return 1;
    }
    uv_timer_init(reeve_scheduler_loop(me.scheduler), &second);
    uv_timer_start(&second, on_second, 1000, 1000);
    if (reeve_scheduler_run(me.scheduler))
        fprintf(stderr, "scheduler: %s\n", reeve_scheduler_error(me.scheduler));
    return 1; /* it never ends by itself */
}
