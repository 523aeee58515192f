/*
 * Command line and environment of a container: the core says what is to run, here it becomes an
 * argument vector and variables. Nothing of the agent's own environment is passed on.
 * Variables: executor-http-api.md, Executor Environment Variables.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "daemon/agent_daemon.h"
#include "executor/unsupported.h"
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

static void command_environment(struct list *env, const Reeve__V1__CommandInfo *command) {
    const Reeve__V1__Environment *e = command->environment;

    for (size_t i = 0; e && i < e->n_variables; i++) {
        const Reeve__V1__Environment__Variable *v = e->variables[i];
        if (v->value)
            put_variable(env, v->name, v->value);
        else if (v->secret && v->secret->value)
            put_variable(env, v->name,
                         rv_arena_strndup(env->arena, (char *)v->secret->value->data.data,
                                          v->secret->value->data.len));
    }
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

static void custom_command(struct list *argv, const Reeve__V1__CommandInfo *command) {
    const char *value = command->value ? command->value : "";

    if (!command->has_shell || command->shell) {
        put(argv, "/bin/sh");
        put(argv, "-c");
        put(argv, value);
        return;
    }
    /* The program is `value`; the arguments give argv, its first element included. The
     * containerizer runs argv[0], so a differing first argument is not shown to the program. */
    put(argv, value);
    for (size_t i = 1; i < command->n_arguments; i++)
        put(argv, command->arguments[i]);
}

static void *unpacked(const struct rv_blob *packed, const ProtobufCMessageDescriptor *type,
                      struct rv_arena *arena) {
    ProtobufCMessage *message = NULL;

    if (!packed || rv_wire_decode(type, RV_ENC_PROTOBUF, rv_strn(packed->data, packed->n), NULL,
                                  arena, &message, NULL))
        return NULL;
    return message;
}

/* The command that names a user goes before the framework: that of the task, for a command task. */
static const char *user_of(const struct rv_agent_daemon *d, const struct rv_launch *l,
                           const Reeve__V1__CommandInfo *command, struct rv_arena *arena) {
    const Reeve__V1__TaskInfo *task =
        l->task ? unpacked(l->task->packed, &reeve__v1__task_info__descriptor, arena) : NULL;

    if (task)
        command = task->command;
    if (!d->flags->switch_user)
        return NULL;
    return command && command->user ? command->user : l->user;
}

static void failed(struct rv_agent_daemon *d, const struct rv_launch *l, const char *why) {
    struct rv_agent_input input = {.kind = RV_AGENT_CONTAINER_LAUNCHED};

    input.container.id = l->container_id;
    input.container.message = why;
    rv_agent_daemon_step(d, &input);
}

void rv_agent_launch(struct rv_agent_daemon *d, const struct rv_launch *l) {
    struct rv_arena arena;
    struct list argv = {.arena = &arena}, env = {.arena = &arena};

    rv_arena_init(&arena);
    environment(d, l, &env);
    const Reeve__V1__ExecutorInfo *info =
        unpacked(l->executor->packed, &reeve__v1__executor_info__descriptor, &arena);
    const Reeve__V1__CommandInfo *command = info ? info->command : NULL;
    if (command)
        command_environment(&env, command);
    if (l->executor->type == RV_EXECUTOR_CUSTOM && command)
        custom_command(&argv, command);
    else {
        put(&argv, d->executor_path);
        put(&argv, l->executor->type == RV_EXECUTOR_DEFAULT ? "group" : "command");
    }
    put(&argv, NULL);
    put(&env, NULL);
    const char *missing = rv_process_unsupported(command, info ? info->container : NULL);
    if (!missing && l->executor->type == RV_EXECUTOR_CUSTOM && !command)
        missing = "The executor has no command";
    if (missing)
        failed(d, l, missing);
    else {
        struct rv_container_config config = {
            .id = l->container_id.v,
            .argv = argv.items.v,
            .env = env.items.v,
            .directory = l->directory,
            .user = user_of(d, l, command, &arena),
            .resources = l->resources,
            .log_max_bytes = (uint64_t)d->flags->log_max_size,
            .log_keep = (unsigned)d->flags->log_keep,
            .survive = l->checkpoint,
        };
        d->containerizer->ops->launch(d->containerizer, &config);
    }
    rv_vec_free(&argv.items);
    rv_vec_free(&env.items);
    rv_arena_free(&arena);
}
