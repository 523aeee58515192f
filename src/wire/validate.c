/*
 * Checks of messages by themselves. Every function looks at its own message and asks the functions
 * of the parts; the first problem found is the answer. Linear in the message; the arena is used
 * only when there is a problem.
 */
#include "wire/validate.h"

#include <math.h>
#include <string.h>

#include "base/fixed.h"
#include "base/map.h"
#include "base/str.h"
#include "model/ids.h"

/* Deprecated fields are still sent by clients. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* The field `name` of the message at `path`. */
#define PROBLEM(arena, path, ...) problem((arena), (path), __VA_ARGS__)

static char *problem(struct rv_arena *arena, const char *path, const char *name, const char *what) {
    return rv_arena_printf(arena, "'%s.%s' %s", path, name, what);
}

static char *sub_path(struct rv_arena *arena, const char *path, const char *name, size_t index) {
    return rv_arena_printf(arena, "%s.%s[%zu]", path, name, index);
}

static bool is_set(const char *s) {
    return s && *s;
}

/* --- secrets and environments --- */

static char *secret_problem(const Reeve__V1__Secret *m, const char *path, struct rv_arena *arena) {
    switch (m->has_type ? (int)m->type : REEVE__V1__SECRET__TYPE__UNKNOWN) {
    case REEVE__V1__SECRET__TYPE__REFERENCE:
        if (!m->reference)
            return PROBLEM(arena, path, "reference", "must be set for a secret of type REFERENCE");
        if (m->value)
            return PROBLEM(arena, path, "value", "must not be set for a secret of type REFERENCE");
        return NULL;
    case REEVE__V1__SECRET__TYPE__VALUE:
        if (!m->value)
            return PROBLEM(arena, path, "value", "must be set for a secret of type VALUE");
        if (m->reference)
            return PROBLEM(arena, path, "reference", "must not be set for a secret of type VALUE");
        return NULL;
    default:
        return PROBLEM(arena, path, "type", "must be REFERENCE or VALUE");
    }
}

static char *variable_problem(const Reeve__V1__Environment__Variable *m, const char *path,
                              struct rv_arena *arena) {
    if (!is_set(m->name))
        return PROBLEM(arena, path, "name", "must not be empty");
    if (strchr(m->name, '='))
        return PROBLEM(arena, path, "name", "must not contain '='");
    switch ((int)m->type) { /* VALUE unless given */
    case REEVE__V1__ENVIRONMENT__VARIABLE__TYPE__VALUE:
        if (!m->value)
            return PROBLEM(arena, path, "value", "must be set for a variable of type VALUE");
        if (m->secret)
            return PROBLEM(arena, path, "secret", "must not be set for a variable of type VALUE");
        return NULL;
    case REEVE__V1__ENVIRONMENT__VARIABLE__TYPE__SECRET:
        if (!m->secret)
            return PROBLEM(arena, path, "secret", "must be set for a variable of type SECRET");
        if (m->value)
            return PROBLEM(arena, path, "value", "must not be set for a variable of type SECRET");
        return secret_problem(m->secret, rv_arena_printf(arena, "%s.secret", path), arena);
    default:
        return PROBLEM(arena, path, "type", "must be VALUE or SECRET");
    }
}

/* Whether a part of a path is "..". */
static bool leads_up(const char *path) {
    for (const char *part = path; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return true;
    }
    return false;
}

static char *uri_problem(const Reeve__V1__CommandInfo__URI *m, const char *path,
                         struct rv_arena *arena) {
    if (!is_set(m->value))
        return PROBLEM(arena, path, "value", "must not be empty");
    const char *file = m->output_file;
    if (!file)
        return NULL;
    if (!*file || *file == '/')
        return PROBLEM(arena, path, "output_file", "must be a path below the sandbox");
    return leads_up(file) ? PROBLEM(arena, path, "output_file", "must not lead out of the sandbox")
                          : NULL;
}

char *rv_wire_command_problem(const Reeve__V1__CommandInfo *m, const char *path,
                              struct rv_arena *arena) {
    if (m->shell && !m->value) /* shell is true unless given */
        return PROBLEM(arena, path, "value", "must be set for a command run by a shell");
    for (size_t i = 0; m->environment && i < m->environment->n_variables; i++) {
        char *p = variable_problem(m->environment->variables[i],
                                   sub_path(arena, path, "environment.variables", i), arena);
        if (p)
            return p;
    }
    for (size_t i = 0; i < m->n_uris; i++) {
        char *p = uri_problem(m->uris[i], sub_path(arena, path, "uris", i), arena);
        if (p)
            return p;
    }
    return NULL;
}

/* --- containers --- */

static char *image_problem(const Reeve__V1__Image *m, const char *path, struct rv_arena *arena) {
    if (m->type == REEVE__V1__IMAGE__TYPE__DOCKER) {
        if (!m->docker)
            return PROBLEM(arena, path, "docker", "must be set for an image of type DOCKER");
        if (!is_set(m->docker->name))
            return PROBLEM(arena, path, "docker.name", "must not be empty");
        return m->docker->config
                   ? secret_problem(m->docker->config,
                                    rv_arena_printf(arena, "%s.docker.config", path), arena)
                   : NULL;
    }
    if (m->type == REEVE__V1__IMAGE__TYPE__APPC)
        return m->appc ? NULL
                       : PROBLEM(arena, path, "appc", "must be set for an image of type APPC");
    return PROBLEM(arena, path, "type", "must be DOCKER or APPC");
}

static char *volume_source_problem(const Reeve__V1__Volume__Source *m, const char *path,
                                   struct rv_arena *arena) {
    switch (m->has_type ? (int)m->type : REEVE__V1__VOLUME__SOURCE__TYPE__UNKNOWN) {
    case REEVE__V1__VOLUME__SOURCE__TYPE__DOCKER_VOLUME:
        return m->docker_volume ? NULL
                                : PROBLEM(arena, path, "docker_volume",
                                          "must be set for a source of type DOCKER_VOLUME");
    case REEVE__V1__VOLUME__SOURCE__TYPE__HOST_PATH:
        return m->host_path ? NULL
                            : PROBLEM(arena, path, "host_path",
                                      "must be set for a source of type HOST_PATH");
    case REEVE__V1__VOLUME__SOURCE__TYPE__SANDBOX_PATH:
        if (!m->sandbox_path)
            return PROBLEM(arena, path, "sandbox_path",
                           "must be set for a source of type SANDBOX_PATH");
        if (!m->sandbox_path->has_type ||
            (m->sandbox_path->type != REEVE__V1__VOLUME__SOURCE__SANDBOX_PATH__TYPE__SELF &&
             m->sandbox_path->type != REEVE__V1__VOLUME__SOURCE__SANDBOX_PATH__TYPE__PARENT))
            return PROBLEM(arena, path, "sandbox_path.type", "must be SELF or PARENT");
        return NULL;
    case REEVE__V1__VOLUME__SOURCE__TYPE__SECRET:
        return m->secret
                   ? secret_problem(m->secret, rv_arena_printf(arena, "%s.secret", path), arena)
                   : PROBLEM(arena, path, "secret", "must be set for a source of type SECRET");
    case REEVE__V1__VOLUME__SOURCE__TYPE__CSI_VOLUME:
        return m->csi_volume ? NULL
                             : PROBLEM(arena, path, "csi_volume",
                                       "must be set for a source of type CSI_VOLUME");
    default:
        return PROBLEM(arena, path, "type", "must be set to a known type of source");
    }
}

static char *volume_problem(const Reeve__V1__Volume *m, const char *path, struct rv_arena *arena) {
    if (!is_set(m->container_path))
        return PROBLEM(arena, path, "container_path", "must not be empty");
    if (m->mode != REEVE__V1__VOLUME__MODE__RW && m->mode != REEVE__V1__VOLUME__MODE__RO)
        return PROBLEM(arena, path, "mode", "must be RW or RO");
    int sources = (m->host_path != NULL) + (m->image != NULL) + (m->source != NULL);
    if (sources > 1)
        return rv_arena_printf(
            arena, "'%s' must have at most one of 'host_path', 'image' and 'source'", path);
    if (m->image)
        return image_problem(m->image, rv_arena_printf(arena, "%s.image", path), arena);
    if (m->source)
        return volume_source_problem(m->source, rv_arena_printf(arena, "%s.source", path), arena);
    return NULL;
}

static char *rlimit_problem(const Reeve__V1__RLimitInfo__RLimit *m, const char *path,
                            struct rv_arena *arena) {
    if (!m->has_type || m->type <= REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__UNKNOWN ||
        m->type > REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_STACK)
        return PROBLEM(arena, path, "type", "must be set to a known limit");
    if (m->has_hard != m->has_soft)
        return rv_arena_printf(arena, "'%s' must have both 'hard' and 'soft' or none", path);
    if (m->has_hard && m->soft > m->hard)
        return PROBLEM(arena, path, "soft", "must not be over 'hard'");
    return NULL;
}

static char *linux_problem(const Reeve__V1__LinuxInfo *m, const char *path,
                           struct rv_arena *arena) {
    if (m->capability_info && m->effective_capabilities)
        return rv_arena_printf(
            arena, "'%s' must have only one of 'capability_info' and 'effective_capabilities'",
            path);
    if (m->seccomp && m->seccomp->profile_name && m->seccomp->has_unconfined &&
        m->seccomp->unconfined)
        return PROBLEM(arena, path, "seccomp", "must not be unconfined and have a profile at once");
    return NULL;
}

char *rv_wire_container_problem(const Reeve__V1__ContainerInfo *m, const char *path,
                                struct rv_arena *arena) {
    if (m->type == REEVE__V1__CONTAINER_INFO__TYPE__DOCKER) {
        if (!m->docker)
            return PROBLEM(arena, path, "docker", "must be set for a container of type DOCKER");
        if (!is_set(m->docker->image))
            return PROBLEM(arena, path, "docker.image", "must not be empty");
    } else if (m->type != REEVE__V1__CONTAINER_INFO__TYPE__MESOS) {
        return PROBLEM(arena, path, "type", "must be DOCKER or MESOS");
    }
    char *p = NULL;
    if (m->mesos && m->mesos->image)
        p = image_problem(m->mesos->image, rv_arena_printf(arena, "%s.mesos.image", path), arena);
    for (size_t i = 0; !p && i < m->n_volumes; i++)
        p = volume_problem(m->volumes[i], sub_path(arena, path, "volumes", i), arena);
    for (size_t i = 0; !p && m->rlimit_info && i < m->rlimit_info->n_rlimits; i++)
        p = rlimit_problem(m->rlimit_info->rlimits[i],
                           sub_path(arena, path, "rlimit_info.rlimits", i), arena);
    if (!p && m->linux_info)
        p = linux_problem(m->linux_info, rv_arena_printf(arena, "%s.linux_info", path), arena);
    return p;
}

/* --- checks --- */

static bool bad_seconds(double d) {
    return !(d >= 0) || isinf(d); /* NaN is not >= 0 */
}

static char *check_command_problem(const Reeve__V1__CommandInfo *m, const char *path,
                                   struct rv_arena *arena) {
    if (!m->value)
        return PROBLEM(arena, path, "value", "must be set");
    return rv_wire_command_problem(m, path, arena);
}

static char *port_problem(uint32_t port, const char *path, struct rv_arena *arena) {
    return port >= 1 && port <= 65535 ? NULL
                                      : PROBLEM(arena, path, "port", "must be from 1 to 65535");
}

static char *http_problem(uint32_t port, const char *http_path, const char *path,
                          struct rv_arena *arena) {
    if (http_path && *http_path != '/')
        return PROBLEM(arena, path, "path", "must begin with '/'");
    return port_problem(port, path, arena);
}

static char *times_problem(double delay, double interval, double timeout, const char *path,
                           struct rv_arena *arena) {
    static const char what[] = "must be a number of seconds, not negative";
    if (bad_seconds(delay))
        return PROBLEM(arena, path, "delay_seconds", what);
    if (bad_seconds(interval))
        return PROBLEM(arena, path, "interval_seconds", what);
    if (bad_seconds(timeout))
        return PROBLEM(arena, path, "timeout_seconds", what);
    return NULL;
}

static char *health_part_problem(const Reeve__V1__HealthCheck *m, const char *path,
                                 struct rv_arena *arena) {
    switch (m->has_type ? (int)m->type : REEVE__V1__HEALTH_CHECK__TYPE__UNKNOWN) {
    case REEVE__V1__HEALTH_CHECK__TYPE__COMMAND:
        if (!m->command)
            return PROBLEM(arena, path, "command", "must be set for a check of type COMMAND");
        return check_command_problem(m->command, rv_arena_printf(arena, "%s.command", path), arena);
    case REEVE__V1__HEALTH_CHECK__TYPE__HTTP:
        if (!m->http)
            return PROBLEM(arena, path, "http", "must be set for a check of type HTTP");
        if (m->http->scheme && !rv_streq(m->http->scheme, "http") &&
            !rv_streq(m->http->scheme, "https"))
            return PROBLEM(arena, path, "http.scheme", "must be 'http' or 'https'");
        return http_problem(m->http->port, m->http->path, rv_arena_printf(arena, "%s.http", path),
                            arena);
    case REEVE__V1__HEALTH_CHECK__TYPE__TCP:
        if (!m->tcp)
            return PROBLEM(arena, path, "tcp", "must be set for a check of type TCP");
        return port_problem(m->tcp->port, rv_arena_printf(arena, "%s.tcp", path), arena);
    default:
        return PROBLEM(arena, path, "type", "must be COMMAND, HTTP or TCP");
    }
}

char *rv_wire_health_check_problem(const Reeve__V1__HealthCheck *m, const char *path,
                                   struct rv_arena *arena) {
    char *p = health_part_problem(m, path, arena);
    if (!p)
        p = times_problem(m->delay_seconds, m->interval_seconds, m->timeout_seconds, path, arena);
    if (!p && bad_seconds(m->grace_period_seconds))
        p = PROBLEM(arena, path, "grace_period_seconds",
                    "must be a number of seconds, not negative");
    return p;
}

static char *check_part_problem(const Reeve__V1__CheckInfo *m, const char *path,
                                struct rv_arena *arena) {
    switch (m->has_type ? (int)m->type : REEVE__V1__CHECK_INFO__TYPE__UNKNOWN) {
    case REEVE__V1__CHECK_INFO__TYPE__COMMAND:
        if (!m->command)
            return PROBLEM(arena, path, "command", "must be set for a check of type COMMAND");
        return check_command_problem(m->command->command,
                                     rv_arena_printf(arena, "%s.command.command", path), arena);
    case REEVE__V1__CHECK_INFO__TYPE__HTTP:
        if (!m->http)
            return PROBLEM(arena, path, "http", "must be set for a check of type HTTP");
        return http_problem(m->http->port, m->http->path, rv_arena_printf(arena, "%s.http", path),
                            arena);
    case REEVE__V1__CHECK_INFO__TYPE__TCP:
        if (!m->tcp)
            return PROBLEM(arena, path, "tcp", "must be set for a check of type TCP");
        return port_problem(m->tcp->port, rv_arena_printf(arena, "%s.tcp", path), arena);
    default:
        return PROBLEM(arena, path, "type", "must be COMMAND, HTTP or TCP");
    }
}

char *rv_wire_check_problem(const Reeve__V1__CheckInfo *m, const char *path,
                            struct rv_arena *arena) {
    char *p = check_part_problem(m, path, arena);
    return p ? p
             : times_problem(m->delay_seconds, m->interval_seconds, m->timeout_seconds, path,
                             arena);
}

/* --- resources --- */

char *rv_wire_resources_problem(const struct rv_resources *r, const char *path,
                                struct rv_arena *arena) {
    static char plain, revocable; /* their addresses are the marks; nothing is written there */
    struct rv_map names = {0};
    char *p = NULL;
    for (size_t i = 0; !p && i < r->n; i++) {
        const struct rv_kind *k = r->v[i].kind;
        void *mark = k->revocable ? &revocable : &plain;
        void *before = rv_map_put(&names, rv_str(k->name), mark);
        if (before && before != mark)
            p = rv_arena_printf(arena, "'%s' must not mix revocable and other resources of '%s'",
                                path, k->name);
    }
    rv_map_free(&names);
    return p;
}

static char *disk_problem(const Reeve__V1__Resource__DiskInfo *m, const char *path,
                          struct rv_arena *arena) {
    if (!m->persistence && m->volume)
        return PROBLEM(arena, path, "persistence", "must be set beside 'volume'");
    if (!m->persistence)
        return m->source ? NULL
                         : rv_arena_printf(arena, "'%s' must have 'persistence' or 'source'", path);
    if (m->source)
        return PROBLEM(arena, path, "source",
                       "must not be set: volumes on disks with a source are not supported");
    if (!m->volume)
        return PROBLEM(arena, path, "volume", "must be set for a persistent volume");
    if (m->volume->host_path || m->volume->image || m->volume->source)
        return PROBLEM(arena, path, "volume",
                       "must not have 'host_path', 'image' or 'source': it is the volume itself");
    if (!is_set(m->volume->container_path))
        return PROBLEM(arena, path, "volume.container_path", "must not be empty");
    if (leads_up(m->volume->container_path))
        return PROBLEM(arena, path, "volume.container_path", "must not contain '..'");
    return NULL;
}

char *rv_wire_disks_problem(Reeve__V1__Resource *const *v, size_t n, const char *path,
                            struct rv_arena *arena) {
    char *p = NULL;
    for (size_t i = 0; !p && i < n; i++)
        if (v[i]->disk)
            p = disk_problem(v[i]->disk, rv_arena_printf(arena, "%s[%zu].disk", path, i), arena);
    return p;
}

/* Of volumes that are made, unmade or resized. */
static char *volumes_problem(Reeve__V1__Resource *const *v, size_t n, const char *path,
                             struct rv_arena *arena) {
    char *p = rv_wire_disks_problem(v, n, path, arena);
    for (size_t i = 0; !p && i < n; i++)
        if (v[i]->disk && v[i]->disk->volume &&
            v[i]->disk->volume->mode != REEVE__V1__VOLUME__MODE__RW)
            p = rv_arena_printf(arena, "'%s[%zu].disk.volume.mode' must be RW", path, i);
    return p;
}

char *rv_wire_operation_problem(const Reeve__V1__Offer__Operation *m, struct rv_arena *arena) {
    char *p;
    switch ((int)m->type) {
    case REEVE__V1__OFFER__OPERATION__TYPE__RESERVE:
        p = rv_wire_disks_problem(m->reserve->resources, m->reserve->n_resources,
                                  "reserve.resources", arena);
        return p ? p
                 : rv_wire_disks_problem(m->reserve->source, m->reserve->n_source, "reserve.source",
                                         arena);
    case REEVE__V1__OFFER__OPERATION__TYPE__UNRESERVE:
        return rv_wire_disks_problem(m->unreserve->resources, m->unreserve->n_resources,
                                     "unreserve.resources", arena);
    case REEVE__V1__OFFER__OPERATION__TYPE__CREATE:
        return volumes_problem(m->create->volumes, m->create->n_volumes, "create.volumes", arena);
    case REEVE__V1__OFFER__OPERATION__TYPE__DESTROY:
        return volumes_problem(m->destroy->volumes, m->destroy->n_volumes, "destroy.volumes",
                               arena);
    case REEVE__V1__OFFER__OPERATION__TYPE__GROW_VOLUME:
        return volumes_problem(&m->grow_volume->volume, 1, "grow_volume.volume", arena);
    case REEVE__V1__OFFER__OPERATION__TYPE__SHRINK_VOLUME:
        return volumes_problem(&m->shrink_volume->volume, 1, "shrink_volume.volume", arena);
    default:
        return NULL;
    }
}

char *rv_wire_limit_problem(const char *name, const Reeve__V1__Value__Scalar *value,
                            const struct rv_resources *resources, const char *path,
                            struct rv_arena *arena) {
    if (!rv_streq(name, "cpus") && !rv_streq(name, "mem"))
        return rv_arena_printf(arena, "'%s' must only name 'cpus' and 'mem', not '%.100s'", path,
                               name ? name : "");
    int64_t request = rv_resources_quantity(resources, name);
    if (request <= 0)
        return rv_arena_printf(arena, "'%s[%s]' must only be set beside a request for '%s'", path,
                               name, name);
    double amount = value ? value->value : NAN;
    if (isinf(amount) && amount > 0)
        return NULL; /* no limit */
    int64_t limit;
    if (!rv_fixed_from_double(amount, &limit) || limit < 0)
        return rv_arena_printf(arena, "'%s[%s]' must be an amount or Infinity", path, name);
    if (limit < request)
        return rv_arena_printf(arena, "'%s[%s]' must not be below the request", path, name);
    return NULL;
}

/* --- executors and tasks --- */

static bool has_image(const Reeve__V1__ContainerInfo *m) {
    return m && (m->docker || (m->mesos && m->mesos->image));
}

/* An executable is needed where no image brings one. */
static char *run_problem(const Reeve__V1__CommandInfo *command,
                         const Reeve__V1__ContainerInfo *container, const char *path,
                         struct rv_arena *arena) {
    const char *at = rv_arena_printf(arena, "%s.command", path);
    char *p = rv_wire_command_problem(command, at, arena);
    if (!p && !command->value && !has_image(container))
        p = PROBLEM(arena, at, "value", "must be set where no image brings an executable");
    return p;
}

bool rv_wire_shares_cgroups(const Reeve__V1__ContainerInfo *m) {
    return !m || !m->linux_info || m->linux_info->share_cgroups; /* true unless given */
}

static char *executor_type_problem(const Reeve__V1__ExecutorInfo *m, const char *path,
                                   struct rv_arena *arena) {
    switch (m->has_type ? (int)m->type : REEVE__V1__EXECUTOR_INFO__TYPE__CUSTOM) {
    case REEVE__V1__EXECUTOR_INFO__TYPE__DEFAULT:
        if (m->command)
            return PROBLEM(arena, path, "command",
                           "must not be set for an executor of type DEFAULT");
        if (m->container && m->container->type != REEVE__V1__CONTAINER_INFO__TYPE__MESOS)
            return PROBLEM(arena, path, "container.type",
                           "must be MESOS for an executor of type DEFAULT");
        if (m->container && m->container->mesos && m->container->mesos->image)
            return PROBLEM(arena, path, "container.mesos.image",
                           "must not be set for an executor of type DEFAULT");
        return NULL;
    default:
        // CUSTOM, and UNKNOWN too: mesos-go sends that for a type its user did not set.
        if (!m->command)
            return PROBLEM(arena, path, "command", "must be set for an executor of type CUSTOM");
        return run_problem(m->command, m->container, path, arena);
    }
}

char *rv_wire_executor_problem(const Reeve__V1__ExecutorInfo *m,
                               const struct rv_resources *resources, const char *path,
                               struct rv_arena *arena) {
    const char *why = rv_id_problem(m->executor_id->value);
    if (why)
        return rv_arena_printf(arena, "'%s.executor_id' is not valid: %s", path, why);
    char *p = executor_type_problem(m, path, arena);
    if (!p && m->container)
        p = rv_wire_container_problem(m->container, rv_arena_printf(arena, "%s.container", path),
                                      arena);
    if (!p && m->container && m->container->linux_info && m->container->linux_info->share_cgroups &&
        m->container->linux_info->has_share_cgroups)
        p = PROBLEM(arena, path, "container.linux_info.share_cgroups",
                    "must not be true: an executor has control groups of its own");
    if (!p && m->shutdown_grace_period && m->shutdown_grace_period->nanoseconds < 0)
        p = PROBLEM(arena, path, "shutdown_grace_period", "must not be negative");
    const char *at = rv_arena_printf(arena, "%s.resources", path);
    if (!p)
        p = rv_wire_resources_problem(resources, at, arena);
    return p ? p : rv_wire_disks_problem(m->resources, m->n_resources, at, arena);
}

/* What tasks of a group may not have, because they share their executor's container. */
static char *group_problem(const Reeve__V1__TaskInfo *m, struct rv_arena *arena) {
    const Reeve__V1__ContainerInfo *container = m->container;
    if (container && container->type == REEVE__V1__CONTAINER_INFO__TYPE__DOCKER)
        return PROBLEM(arena, "task", "container.type", "must not be DOCKER in a task group");
    if (m->n_limits > 0 && rv_wire_shares_cgroups(container))
        return PROBLEM(arena, "task", "limits",
                       "must only be set in a task group with 'share_cgroups' false");
    return NULL;
}

static char *place_problem(const Reeve__V1__TaskInfo *m, bool group, struct rv_arena *arena) {
    if (group)
        return group_problem(m, arena);
    if (m->command && m->executor)
        return rv_arena_printf(arena, "'task' must have only one of 'command' and 'executor'");
    if (!m->command && !m->executor)
        return rv_arena_printf(arena, "'task' must have one of 'command' and 'executor'");
    if (!rv_wire_shares_cgroups(m->container))
        return PROBLEM(arena, "task", "container.linux_info.share_cgroups",
                       "must only be false in a task group");
    return NULL;
}

char *rv_wire_task_problem(const Reeve__V1__TaskInfo *m, const struct rv_resources *resources,
                           bool group, struct rv_arena *arena) {
    const char *why = rv_id_problem(m->task_id->value);
    if (why)
        return rv_arena_printf(arena, "'task.task_id' is not valid: %s", why);
    char *p = place_problem(m, group, arena);
    if (!p && rv_resources_empty(resources))
        p = PROBLEM(arena, "task", "resources", "must not be empty: a task uses resources");
    if (!p)
        p = rv_wire_resources_problem(resources, "task.resources", arena);
    if (!p)
        p = rv_wire_disks_problem(m->resources, m->n_resources, "task.resources", arena);
    if (!p && m->command)
        p = run_problem(m->command, m->container, "task", arena);
    if (!p && m->container)
        p = rv_wire_container_problem(m->container, "task.container", arena);
    if (!p && m->health_check)
        p = rv_wire_health_check_problem(m->health_check, "task.health_check", arena);
    if (!p && m->check)
        p = rv_wire_check_problem(m->check, "task.check", arena);
    if (!p && m->kill_policy && m->kill_policy->grace_period &&
        m->kill_policy->grace_period->nanoseconds < 0)
        p = PROBLEM(arena, "task", "kill_policy.grace_period", "must not be negative");
    if (!p && m->max_completion_time && m->max_completion_time->nanoseconds < 0)
        p = PROBLEM(arena, "task", "max_completion_time", "must not be negative");
    for (size_t i = 0; !p && i < m->n_limits; i++)
        p = rv_wire_limit_problem(m->limits[i]->key, m->limits[i]->value, resources, "task.limits",
                                  arena);
    return p;
}
