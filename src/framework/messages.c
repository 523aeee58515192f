/*
 * Messages made easy: infos and tasks whose every part is from malloc(), so that protobuf-c's
 * free_unpacked() frees what these and the caller put together.
 */
#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"
#include "framework/internal.h"

const char *reeve_version(void) {
    return REEVE_VERSION;
}

const char *reeve_code_text(int code) {
    switch (code) {
    case REEVE_OK:
        return "success";
    case REEVE_ERR_INVALID:
        return "invalid";
    case REEVE_ERR_DISCONNECTED:
        return "not subscribed";
    case REEVE_ERR_REFUSED:
        return "refused";
    case REEVE_ERR_STOPPED:
        return "stopped";
    case REEVE_ERR_TIMEOUT:
        return "timed out";
    case REEVE_ERR_SYSTEM:
        return "refused by the system";
    default:
        return "unknown";
    }
}

void rv_framework_error(struct reeve_error *err, int code, const char *message) {
    if (!err)
        return;
    err->code = code;
    snprintf(err->message, sizeof err->message, "%s", message);
}

/* A new message of a generated type. */
#define NEW(type, init)                                                                            \
    ({                                                                                             \
        type *new_ = rv_malloc(sizeof *new_);                                                      \
        init(new_);                                                                                \
        new_;                                                                                      \
    })

/* Appends to a repeated field. */
#define APPEND(list, n, item)                                                                      \
    do {                                                                                           \
        (list) = rv_realloc((list), ((n) + 1) * sizeof *(list));                                   \
        (list)[(n)++] = (item);                                                                    \
    } while (0)

static ProtobufCBinaryData copy_bytes(const void *data, size_t n) {
    return (ProtobufCBinaryData){.len = n, .data = n ? rv_memdup(data, n) : NULL};
}

/* ---- frameworks ---- */

Reeve__V1__FrameworkInfo *reeve_framework_new(const char *user, const char *name) {
    Reeve__V1__FrameworkInfo *info = NEW(Reeve__V1__FrameworkInfo, reeve__v1__framework_info__init);
    const struct passwd *entry = user ? NULL : getpwuid(geteuid());
    char host[256] = "localhost";

    if (!user)
        user = entry ? entry->pw_name : "root";
    if (gethostname(host, sizeof host - 1))
        snprintf(host, sizeof host, "localhost");
    info->user = rv_strdup(user);
    info->name = rv_strdup(name);
    info->hostname = rv_strdup(host);
    return info;
}

void reeve_framework_add_capability(Reeve__V1__FrameworkInfo *info,
                                    Reeve__V1__FrameworkInfo__Capability__Type type) {
    Reeve__V1__FrameworkInfo__Capability *capability;

    for (size_t i = 0; i < info->n_capabilities; i++)
        if (info->capabilities[i]->type == type)
            return;
    capability =
        NEW(Reeve__V1__FrameworkInfo__Capability, reeve__v1__framework_info__capability__init);
    capability->has_type = true;
    capability->type = type;
    APPEND(info->capabilities, info->n_capabilities, capability);
}

void reeve_framework_add_role(Reeve__V1__FrameworkInfo *info, const char *role) {
    reeve_framework_add_capability(info, REEVE__V1__FRAMEWORK_INFO__CAPABILITY__TYPE__MULTI_ROLE);
    APPEND(info->roles, info->n_roles, rv_strdup(role));
}

/* ---- tasks ---- */

Reeve__V1__TaskInfo *reeve_task_new(const char *id, const char *name,
                                    const Reeve__V1__Offer *offer) {
    Reeve__V1__TaskInfo *task = NEW(Reeve__V1__TaskInfo, reeve__v1__task_info__init);

    task->name = rv_strdup(name ? name : id);
    task->task_id = NEW(Reeve__V1__TaskID, reeve__v1__task_id__init);
    task->task_id->value = rv_strdup(id);
    task->agent_id = NEW(Reeve__V1__AgentID, reeve__v1__agent_id__init);
    task->agent_id->value = rv_strdup(offer->agent_id->value);
    return task;
}

/* The role is left out: it is "*". What the offer is allocated to must be said again by frameworks
 * that were told it. */
static Reeve__V1__Resource *make_scalar(const Reeve__V1__Offer *offer, const char *name,
                                        double amount) {
    Reeve__V1__Resource *r = NEW(Reeve__V1__Resource, reeve__v1__resource__init);

    r->name = rv_strdup(name);
    r->type = REEVE__V1__VALUE__TYPE__SCALAR;
    r->scalar = NEW(Reeve__V1__Value__Scalar, reeve__v1__value__scalar__init);
    r->scalar->value = amount;
    if (offer->allocation_info && offer->allocation_info->role) {
        r->allocation_info =
            NEW(Reeve__V1__Resource__AllocationInfo, reeve__v1__resource__allocation_info__init);
        r->allocation_info->role = rv_strdup(offer->allocation_info->role);
    }
    return r;
}

void reeve_task_add_scalar(Reeve__V1__TaskInfo *task, const Reeve__V1__Offer *offer,
                           const char *name, double amount) {
    APPEND(task->resources, task->n_resources, make_scalar(offer, name, amount));
}

static Reeve__V1__CommandInfo *make_shell(const char *command) {
    Reeve__V1__CommandInfo *info = NEW(Reeve__V1__CommandInfo, reeve__v1__command_info__init);

    info->has_shell = true;
    info->shell = true;
    info->value = rv_strdup(command);
    return info;
}

static void drop_command(Reeve__V1__TaskInfo *task) {
    if (task->command)
        reeve__v1__command_info__free_unpacked(task->command, NULL);
    task->command = NULL;
}

void reeve_task_set_shell(Reeve__V1__TaskInfo *task, const char *command) {
    drop_command(task);
    task->command = make_shell(command);
}

void reeve_task_set_argv(Reeve__V1__TaskInfo *task, const char *const *argv) {
    Reeve__V1__CommandInfo *info;

    drop_command(task);
    info = task->command = make_shell(argv[0]);
    info->shell = false;
    for (; *argv; argv++)
        APPEND(info->arguments, info->n_arguments, rv_strdup(*argv));
}

void reeve_task_set_executor(Reeve__V1__TaskInfo *task, const Reeve__V1__Offer *offer,
                             const char *executor_id, const char *command, double cpus,
                             double mem_mb) {
    Reeve__V1__ExecutorInfo *info = NEW(Reeve__V1__ExecutorInfo, reeve__v1__executor_info__init);

    if (task->executor)
        reeve__v1__executor_info__free_unpacked(task->executor, NULL);
    task->executor = info;
    info->has_type = true;
    info->type = REEVE__V1__EXECUTOR_INFO__TYPE__CUSTOM;
    info->executor_id = NEW(Reeve__V1__ExecutorID, reeve__v1__executor_id__init);
    info->executor_id->value = rv_strdup(executor_id);
    info->name = rv_strdup(executor_id);
    info->command = make_shell(command);
    if (cpus > 0)
        APPEND(info->resources, info->n_resources, make_scalar(offer, "cpus", cpus));
    if (mem_mb > 0)
        APPEND(info->resources, info->n_resources, make_scalar(offer, "mem", mem_mb));
}

void reeve_task_add_volume(Reeve__V1__TaskInfo *task, const char *host_path,
                           const char *container_path, bool read_only) {
    Reeve__V1__ContainerInfo **in = task->executor ? &task->executor->container : &task->container;
    Reeve__V1__Volume *volume = NEW(Reeve__V1__Volume, reeve__v1__volume__init);

    if (!*in) {
        *in = NEW(Reeve__V1__ContainerInfo, reeve__v1__container_info__init);
        (*in)->type = REEVE__V1__CONTAINER_INFO__TYPE__MESOS;
    }
    volume->mode = read_only ? REEVE__V1__VOLUME__MODE__RO : REEVE__V1__VOLUME__MODE__RW;
    volume->container_path = rv_strdup(container_path);
    volume->host_path = rv_strdup(host_path);
    APPEND((*in)->volumes, (*in)->n_volumes, volume);
}

void reeve_task_set_data(Reeve__V1__TaskInfo *task, const void *data, size_t n) {
    if (task->has_data)
        free(task->data.data);
    task->has_data = true;
    task->data = copy_bytes(data, n);
}

/* ---- looking ---- */

double reeve_offer_scalar(const Reeve__V1__Offer *offer, const char *name) {
    int64_t sum = 0;

    for (size_t i = 0; i < offer->n_resources; i++) {
        const Reeve__V1__Resource *r = offer->resources[i];
        if (r->scalar && isfinite(r->scalar->value) && fabs(r->scalar->value) < 1e12 &&
            !strcmp(r->name, name))
            sum += (int64_t)(r->scalar->value * 1000 + (r->scalar->value < 0 ? -0.5 : 0.5));
    }
    return (double)sum / 1000;
}

bool reeve_state_is_terminal(Reeve__V1__TaskState state) {
    switch (state) {
    case REEVE__V1__TASK_STATE__TASK_FINISHED:
    case REEVE__V1__TASK_STATE__TASK_FAILED:
    case REEVE__V1__TASK_STATE__TASK_KILLED:
    case REEVE__V1__TASK_STATE__TASK_ERROR:
    case REEVE__V1__TASK_STATE__TASK_LOST:
    case REEVE__V1__TASK_STATE__TASK_DROPPED:
    case REEVE__V1__TASK_STATE__TASK_GONE:
    case REEVE__V1__TASK_STATE__TASK_GONE_BY_OPERATOR:
        return true;
    default:
        return false;
    }
}

const char *reeve_state_name(Reeve__V1__TaskState state) {
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&reeve__v1__task_state__descriptor, (int)state);

    return value ? value->name : "TASK_UNKNOWN";
}
