/*
 * Command line and environment of a container: the core says what is to run, here it becomes an
 * argument vector and variables. Nothing of the agent's own environment is passed on.
 * Variables: executor-http-api.md, Executor Environment Variables.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "daemon/agent_containers.h"
#include "daemon/agent_daemon.h"
#include "daemon/agent_volumes.h"
#include "daemon/fetch.h"
#include "daemon/volumes.h"
#include "reeve/v1/v1.pb-c.h"
#include "wire/codec.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct list {
    struct rv_arena *arena;
    RV_VEC(const char *) items;
};

static void put(struct list *l, const char *item) {
    rv_vec_push(&l->items, item);
}

/* A later value of a variable takes the place of an earlier one. */
static void put_variable(struct list *l, const char *name, const char *value) {
    const char *item = rv_arena_printf(l->arena, "%s=%s", name, value);
    size_t n = strlen(name);

    for (size_t i = 0; i < l->items.n; i++)
        if (!strncmp(l->items.v[i], item, n + 1)) {
            l->items.v[i] = item;
            return;
        }
    put(l, item);
}

static void put_duration(struct list *l, const char *name, int64_t ms) {
    char text[32];

    rv_format_duration(ms * 1000000, text);
    put_variable(l, name, text);
}

/* Which variables of a command are meant. */
enum variables {
    ALL_VARIABLES,
    SECRET_VARIABLES, /* the others are set by the executor */
    KNOWN_VARIABLES,  /* without secrets whose values are not known any more */
};

static int put_secret(struct list *env, const Reeve__V1__Environment__Variable *v,
                      const char *secrets, struct rv_error *err) {
    const char *field = rv_arena_printf(env->arena, "environment variable '%s'", v->name);
    struct rv_str value;
    int r = rv_secret_resolve(v->secret, secrets, field, env->arena, &value, err);

    if (!r && memchr(value.s, '\0', value.n))
        r = rv_error_set(err, RV_ERR_INVALID, "%s: the secret has a NUL byte in it", field);
    if (!r)
        put_variable(env, v->name, rv_arena_strndup(env->arena, value.s, value.n));
    return r;
}

static int command_environment(struct list *env, const Reeve__V1__CommandInfo *command,
                               enum variables which, const char *secrets, struct rv_error *err) {
    const Reeve__V1__Environment *e = command ? command->environment : NULL;
    int r = 0;

    for (size_t i = 0; e && i < e->n_variables && !r; i++) {
        const Reeve__V1__Environment__Variable *v = e->variables[i];
        if (v->secret)
            r = put_secret(env, v, secrets, err);
        else if (v->value && which != SECRET_VARIABLES)
            put_variable(env, v->name, v->value);
        if (which == KNOWN_VARIABLES)
            r = 0;
    }
    return r;
}

/* Variables that the operator gives to every executor; the flag was checked at start. */
static void operator_environment(struct list *env, const char *json) {
    json_t *object = json ? json_loads(json, 0, NULL) : NULL;
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value) if (json_is_string(value))
        put_variable(env, name, json_string_value(value));
    json_decref(object);
}

static void environment(struct rv_agent_daemon *d, const struct rv_launch *l, struct list *env) {
    const struct rv_agent *core = d->core;
    char endpoint[300];

    put(env, DEFAULT_PATH);
    operator_environment(env, d->flags->executor_environment_variables);
    snprintf(endpoint, sizeof endpoint, "%s:%u", d->ip, d->port);
    put_variable(env, "MESOS_AGENT_ENDPOINT", endpoint);
    put_variable(env, "MESOS_SLAVE_PID", rv_arena_printf(env->arena, "slave(1)@%s", endpoint));
    put_variable(env, "MESOS_SLAVE_ID", core->info.id.v ? core->info.id.v : "");
    put_variable(env, "MESOS_AGENT_ID", core->info.id.v ? core->info.id.v : "");
    put_variable(env, "MESOS_FRAMEWORK_ID", l->framework->id.v);
    put_variable(env, "MESOS_EXECUTOR_ID", l->executor->id.v);
    put_variable(env, "MESOS_CONTAINER_ID", l->container_id.v);
    put_variable(env, "MESOS_DIRECTORY", l->directory);
    put_variable(env, "MESOS_SANDBOX", l->directory);
    put_variable(env, "MESOS_CHECKPOINT", l->checkpoint ? "1" : "0");
    put_variable(env, "MESOS_HTTP_COMMAND_EXECUTOR", "1");
    put_duration(env, "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", l->shutdown_grace_ms);
    /* Half of it, so that one that waits when the agent comes back tries before its time is over,
     * and once more if that fails. */
    put_duration(env, "MESOS_SUBSCRIPTION_BACKOFF_MAX",
                 RV_MAX(d->flags->executor_reregistration_timeout / 2000000, INT64_C(1)));
    if (l->checkpoint)
        put_duration(env, "MESOS_RECOVERY_TIMEOUT", d->flags->recovery_timeout / 1000000);
}

/* Copied: the command may be gone before it is launched. Returns the program. */
static const char *custom_command(struct list *argv, const Reeve__V1__CommandInfo *command) {
    const char *value = rv_arena_strdup(argv->arena, command->value ? command->value : "");

    if (!command->has_shell || command->shell) {
        put(argv, "sh");
        put(argv, "-c");
        put(argv, value);
        return "/bin/sh";
    }
    for (size_t i = 0; i < command->n_arguments; i++)
        put(argv, rv_arena_strdup(argv->arena, command->arguments[i]));
    if (!command->n_arguments)
        put(argv, value);
    return value;
}

void *rv_agent_unpack(const struct rv_blob *packed, const ProtobufCMessageDescriptor *type,
                      struct rv_arena *arena) {
    ProtobufCMessage *message = NULL;

    if (!packed || rv_wire_decode(type, RV_ENC_PROTOBUF, rv_strn(packed->data, packed->n), NULL,
                                  arena, &message, NULL))
        return NULL;
    return message;
}

/* --- launches --- */

/* A launch from its effect or call until the containerizer has it, by container id in
 * daemon->launching while its URIs are being fetched, in daemon->waiting until its turn. Its config
 * points into it. */
struct rv_agent_launching {
    struct rv_agent_daemon *daemon;
    bool api;       /* not the core, but agent_containers.h is told of a failure */
    bool cancelled; /* only of these; the fetcher is about to end */
    int stdio[3];
    struct rv_arena arena;
    struct list argv, env;
    struct rv_resources resources;
    struct rv_container_isolation isolation;
    struct rv_container_config config;
    struct rv_fetch *fetch;
    /* Of an executor: the volumes of its ContainerInfo; those of its tasks come to it. */
    const struct rv_container_volume *asked;
    size_t n_asked;
    const char *problem; /* why it cannot be launched as its tasks need it */
};

static void free_launching(struct rv_agent_launching *p) {
    rv_vec_free(&p->argv.items);
    rv_vec_free(&p->env.items);
    rv_resources_free(&p->resources);
    rv_arena_free(&p->arena);
    free(p);
}

/* What the user named by a command asks for goes before the framework. */
static const char *user_of(const struct rv_agent_daemon *d, const struct rv_launch *l,
                           const Reeve__V1__CommandInfo *command) {
    if (!d->flags->switch_user)
        return NULL;
    return command && command->user ? command->user : l->user;
}

static void failed(const struct rv_agent_launching *p, const char *why) {
    struct rv_agent_input input = {.kind = RV_AGENT_CONTAINER_LAUNCHED};

    if (rv_api_containers_launched(p->daemon->api, p->config.id, false, why)) {
        rv_watch_remove(p->daemon->watch, p->config.id);
        return;
    }
    input.container.id.v = p->config.id;
    input.container.message = why;
    rv_agent_daemon_step(p->daemon, &input);
}

static void launch_now(struct rv_agent_launching *p) {
    if (p->problem) {
        failed(p, p->problem);
        return;
    }
    if (!p->api)
        rv_agent_volumes_launched(p->daemon, p->config.id, &p->isolation);
    p->daemon->containerizer->ops->launch(p->daemon->containerizer, &p->config);
}

static const char cancelled[] = "The container was destroyed while its URIs were fetched";

static void on_fetched(void *ctx, const char *why) {
    struct rv_agent_launching *p = ctx;

    rv_map_remove(&p->daemon->launching, rv_str(p->config.id));
    if (!p->cancelled)
        (*(why ? &p->daemon->fetches_failed : &p->daemon->fetches_succeeded))++;
    if (why || p->cancelled)
        failed(p, p->cancelled ? cancelled : why);
    else
        launch_now(p);
    free_launching(p);
}

static int fetch(struct rv_agent_launching *p, const Reeve__V1__CommandInfo *command,
                 struct rv_error *err) {
    struct rv_agent_daemon *d = p->daemon;
    struct rv_fetch_config config = {
        .program = d->fetcher_path,
        .command = command,
        .directory = p->config.directory,
        .user = p->config.user,
        .cache_dir = d->fetcher_cache_dir,
        .cache_size = d->flags->fetcher_cache_size,
        .max_size = d->flags->fetcher_max_size,
        .stall_timeout_ns = d->flags->fetcher_stall_timeout,
    };
    int r = rv_fetch_start(d->loop, &config, on_fetched, p, &p->fetch, err);

    if (!r)
        rv_map_put(&d->launching, rv_str(p->config.id), p);
    return r;
}

/* However many are to be launched, in between the loop serves the executors of those that are. */
static void on_turn(uv_idle_t *turn) {
    struct rv_agent_daemon *d = turn->data;
    struct rv_agent_launching *p;

    for (size_t it = 0; rv_map_next(&d->waiting, &it, NULL, (void **)&p);) {
        rv_map_remove(&d->waiting, rv_str(p->config.id));
        launch_now(p);
        free_launching(p);
        break;
    }
    if (!rv_map_count(&d->waiting))
        uv_idle_stop(turn);
}

static void launch_soon(struct rv_agent_launching *p) {
    rv_map_put(&p->daemon->waiting, rv_str(p->config.id), p);
    uv_idle_start(p->daemon->turn, on_turn);
}

bool rv_agent_launch_cancel(struct rv_agent_daemon *d, const char *container_id) {
    struct rv_agent_launching *p = rv_map_remove(&d->waiting, rv_str(container_id));

    if (p) {
        failed(p, "The container was destroyed before it was started");
        free_launching(p);
        return true;
    }
    p = rv_map_gets(&d->launching, container_id);
    if (!p)
        return false;
    if (p->api) {
        /* Its table is not told from within a call: on_fetched follows. */
        p->cancelled = true;
        rv_fetch_kill(p->fetch);
        return true;
    }
    rv_map_remove(&d->launching, rv_str(container_id));
    rv_fetch_cancel(p->fetch);
    failed(p, cancelled);
    free_launching(p);
    return true;
}

/* What its tasks have now: they may become more while it waits. */
static int add_volumes(struct rv_agent_launching *p, struct rv_error *err) {
    const struct rv_agent_executor *ex = rv_map_gets(&p->daemon->core->containers, p->config.id);

    p->isolation.volumes = p->asked;
    p->isolation.n_volumes = p->n_asked;
    return ex ? rv_agent_volumes_of(p->daemon, ex, p->config.user, &p->arena, &p->isolation, err)
              : 0;
}

bool rv_agent_launch_update(struct rv_agent_daemon *d, const struct rv_launch *l) {
    struct rv_agent_launching *p = rv_map_gets(&d->waiting, l->container_id.v);

    if (!p)
        p = rv_map_gets(&d->launching, l->container_id.v);
    if (!p)
        return false;
    rv_resources_free(&p->resources);
    rv_resources_copy(&p->resources, l->resources);
    p->isolation.limits = rv_isolation_limits(l->limits);
    struct rv_error err;
    p->problem = add_volumes(p, &err) ? rv_arena_strdup(&p->arena, err.message) : NULL;
    return true;
}

void rv_agent_launches_init(struct rv_agent_daemon *d) {
    d->turn = rv_calloc(1, sizeof *d->turn);
    uv_idle_init(d->loop, d->turn);
    d->turn->data = d;
}

static void free_turn(uv_handle_t *turn) {
    free(turn);
}

void rv_agent_launches_free(struct rv_agent_daemon *d) {
    void *p;

    uv_close((uv_handle_t *)d->turn, free_turn);
    for (size_t it = 0; rv_map_next(&d->waiting, &it, NULL, &p);)
        free_launching(p);
    rv_map_free(&d->waiting);
    for (size_t it = 0; rv_map_next(&d->launching, &it, NULL, &p);) {
        rv_fetch_cancel(((struct rv_agent_launching *)p)->fetch);
        free_launching(p);
    }
    rv_map_free(&d->launching);
}

/* What is run, and what for: all borrowed from the arena that they were unpacked to. */
struct wanted {
    const Reeve__V1__CommandInfo *executor; /* the executor's command, NULL if it is our own */
    /* Of a command task, whose executor is our own, it is the task's that says what is needed. */
    const Reeve__V1__CommandInfo *command;
    const Reeve__V1__ContainerInfo *container;
};

static struct wanted wanted_by(const struct rv_launch *l, struct rv_arena *arena) {
    const struct rv_executor_info *e = l->executor;
    const struct rv_task_info *t = l->task;
    const Reeve__V1__ExecutorInfo *info = rv_agent_unpack(
        e->whole ? e->whole : e->packed, &reeve__v1__executor_info__descriptor, arena);
    const Reeve__V1__TaskInfo *task = t ? rv_agent_unpack(t->whole ? t->whole : t->packed,
                                                          &reeve__v1__task_info__descriptor, arena)
                                        : NULL;
    struct wanted w = {.executor = info ? info->command : NULL};

    w.command = task ? task->command : w.executor;
    w.container = task ? task->container : info ? info->container : NULL;
    return w;
}

static int whole_environment(struct rv_agent_daemon *d, const struct rv_launch *l,
                             const struct wanted *w, struct list *env, struct rv_error *err) {
    const char *secrets = d->isolation.secrets;
    int r;

    environment(d, l, env);
    if (l->executor->type != RV_EXECUTOR_CUSTOM) /* for checks over HTTPS; not for what it runs */
        put_variable(env, "REEVE_FETCHER", d->fetcher_path);
    r = command_environment(env, w->executor, ALL_VARIABLES, secrets, err);
    if (!r && l->executor->type == RV_EXECUTOR_COMMAND)
        r = command_environment(env, w->command, SECRET_VARIABLES, secrets, err);
    put(env, NULL);
    return r;
}

static int prepare(struct rv_agent_daemon *d, const struct rv_launch *l, const struct wanted *w,
                   struct rv_agent_launching *p, struct rv_error *err) {
    const struct rv_isolation_wish wish = {
        .container = w->container,
        .limits = l->limits,
        .executor = true,
        .command = l->executor->type == RV_EXECUTOR_COMMAND,
    };
    const char *program = NULL;
    int r;

    p->daemon = d;
    p->argv.arena = p->env.arena = &p->arena;
    r = whole_environment(d, l, w, &p->env, err);
    if (!r)
        r = rv_isolation_from(&d->isolation, &wish, &p->arena, &p->isolation, err);
    if (!r && l->executor->type == RV_EXECUTOR_CUSTOM && !w->executor)
        r = rv_error_set(err, RV_ERR_INVALID, "The executor has no command");
    if (l->executor->type == RV_EXECUTOR_CUSTOM && w->executor)
        program = custom_command(&p->argv, w->executor);
    else {
        put(&p->argv, d->executor_path);
        put(&p->argv, l->executor->type == RV_EXECUTOR_DEFAULT ? "group" : "command");
    }
    put(&p->argv, NULL);
    rv_resources_copy(&p->resources, l->resources);
    p->config = (struct rv_container_config){
        .id = rv_arena_strdup(&p->arena, l->container_id.v),
        .argv = p->argv.items.v,
        .program = program,
        .env = p->env.items.v,
        .directory = rv_arena_strdup(&p->arena, l->directory),
        .user = rv_arena_strdup(&p->arena, user_of(d, l, w->command)),
        .resources = &p->resources,
        .log_max_bytes = (uint64_t)d->flags->log_max_size,
        .log_keep = (unsigned)d->flags->log_keep,
        .survive = l->checkpoint,
        .isolation = &p->isolation,
    };
    p->asked = p->isolation.volumes;
    p->n_asked = p->isolation.n_volumes;
    return r ? r : add_volumes(p, err);
}

static int terminal(const Reeve__V1__ContainerInfo *container, struct rv_agent_launching *p,
                    struct rv_error *err) {
    p->config.tty = container && container->tty_info;
    return p->config.tty
               ? rv_container_io_size(container->tty_info, &p->config.rows, &p->config.columns, err)
               : 0;
}

void rv_agent_launch(struct rv_agent_daemon *d, const struct rv_launch *l) {
    struct rv_agent_launching *p = rv_calloc(1, sizeof *p);
    struct rv_error err;

    rv_arena_init(&p->arena);
    const struct wanted w = wanted_by(l, &p->arena);
    int r = prepare(d, l, &w, p, &err);
    if (!r)
        r = terminal(w.container, p, &err);
    bool fetches = !r && w.command && w.command->n_uris;
    if (fetches)
        r = fetch(p, w.command, &err);
    if (!r && !fetches)
        launch_soon(p);
    if (!r)
        return;
    failed(p, err.message);
    free_launching(p);
}

/* --- containers that the API makes --- */

/* As the executor has it, with what the task has. */
static void executors_environment(struct rv_agent_daemon *d, const struct rv_api_launch *launch,
                                  const char *directory, struct list *env) {
    const struct rv_agent_executor *ex = launch->executor;
    struct rv_launch l = {.container_id = {launch->id},
                          .framework = &ex->framework->info,
                          .executor = &ex->info,
                          .directory = directory,
                          .checkpoint = ex->framework->info.checkpoint,
                          .shutdown_grace_ms = ex->info.shutdown_grace_ms};
    const Reeve__V1__ExecutorInfo *info =
        rv_agent_unpack(ex->info.packed, &reeve__v1__executor_info__descriptor, env->arena);
    const Reeve__V1__TaskInfo *task =
        launch->task ? rv_agent_unpack(launch->task->info.packed, &reeve__v1__task_info__descriptor,
                                       env->arena)
                     : NULL;

    if (l.shutdown_grace_ms < 0)
        l.shutdown_grace_ms = d->core->config.executor_shutdown_grace_ms;
    environment(d, &l, env);
    put_variable(env, "MESOS_CONTAINER_IP", d->ip);
    /* Of secrets those that are still known: others are no error of this container. */
    (void)command_environment(env, info ? info->command : NULL, KNOWN_VARIABLES,
                              d->isolation.secrets, NULL);
    (void)command_environment(env, task ? task->command : NULL, KNOWN_VARIABLES,
                              d->isolation.secrets, NULL);
}

static int api_environment(struct rv_agent_daemon *d, const struct rv_api_launch *launch,
                           struct list *env, struct rv_error *err) {
    const char *directory = launch->work_directory ? launch->work_directory : launch->directory;

    if (launch->inherited) {
        for (const char *const *e = launch->inherited; *e; e++)
            put(env, rv_arena_strdup(env->arena, *e));
    } else if (launch->executor) {
        executors_environment(d, launch, directory, env);
    } else {
        put(env, DEFAULT_PATH);
        put_variable(env, "MESOS_CONTAINER_ID", launch->id);
        put_variable(env, "MESOS_SANDBOX", directory);
    }
    /* By this the containerizer knows what is left of it, wherever it has gone. */
    put_variable(env, "REEVE_SANDBOX", launch->directory);
    return command_environment(env, launch->command, ALL_VARIABLES, d->isolation.secrets, err);
}

/* One block: the pointers, NULL-terminated, and what they point to. */
static char **copy_block(const char *const *items) {
    size_t n = 0, size = sizeof(char *);
    char **block, *at;

    for (; items[n]; n++)
        size += sizeof(char *) + strlen(items[n]) + 1;
    block = rv_malloc(size);
    at = (char *)&block[n + 1];
    for (size_t i = 0; i < n; i++) {
        block[i] = at;
        at = stpcpy(at, items[i]) + 1;
    }
    block[n] = NULL;
    return block;
}

static int prepare_api(struct rv_agent_daemon *d, const struct rv_api_launch *launch,
                       struct rv_agent_launching *p, struct rv_error *err) {
    const struct rv_isolation_wish wish = {.container = launch->container,
                                           .limits = launch->limits,
                                           .nested = strchr(launch->id, '.') != NULL,
                                           .debug = launch->session};
    const char *program;
    int r;

    p->argv.arena = p->env.arena = &p->arena;
    r = api_environment(d, launch, &p->env, err);
    if (!r)
        r = rv_isolation_from(&d->isolation, &wish, &p->arena, &p->isolation, err);
    program = custom_command(&p->argv, launch->command);
    put(&p->argv, NULL);
    put(&p->env, NULL);
    rv_resources_copy(&p->resources, launch->resources);
    for (int i = 0; launch->stdio && i < 3; i++)
        p->stdio[i] = launch->stdio[i];
    p->config = (struct rv_container_config){
        .id = rv_arena_strdup(&p->arena, launch->id),
        .argv = p->argv.items.v,
        .program = program,
        .env = p->env.items.v,
        .directory = rv_arena_strdup(&p->arena, launch->directory),
        .work_directory = rv_arena_strdup(&p->arena, launch->work_directory),
        .user = d->flags->switch_user ? rv_arena_strdup(&p->arena, launch->user) : NULL,
        .resources = &p->resources,
        .log_max_bytes = (uint64_t)d->flags->log_max_size,
        .log_keep = (unsigned)d->flags->log_keep,
        .survive = launch->survives,
        .keep_status = launch->survives,
        .stdio = launch->stdio ? p->stdio : NULL,
        .tty = launch->tty,
        .rows = launch->rows,
        .columns = launch->columns,
        .isolation = &p->isolation,
    };
    if (!r)
        r = rv_agent_volumes_named(d, launch->executor, launch->id, launch->resources,
                                   p->config.user, &p->arena, &p->isolation, err);
    return r;
}

int rv_agent_launch_api(struct rv_agent_daemon *d, const struct rv_api_launch *launch, char ***env,
                        struct rv_error *err) {
    struct rv_agent_launching *p = rv_calloc(1, sizeof *p);

    p->daemon = d;
    p->api = true;
    rv_arena_init(&p->arena);
    int r = prepare_api(d, launch, p, err);
    if (r)
        err->code = RV_ERR_INVALID; /* the caller asks for what it cannot have */
    if (!r)
        rv_watch_add(d->watch, p->config.id, p->config.directory, p->config.resources);
    if (!r && launch->command->n_uris)
        r = fetch(p, launch->command, err);
    else if (!r)
        launch_now(p);
    if (r)
        rv_watch_remove(d->watch, p->config.id);
    else
        *env = copy_block(p->env.items.v);
    if (r || !launch->command->n_uris)
        free_launching(p);
    return r;
}
