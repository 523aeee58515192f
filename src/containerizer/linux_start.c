/*
 * Makes a container of the `linux` containerizer, see linux_internal.h. Holds: the record is there
 * before the groups, the groups and their limits before the process, so that an agent that dies in
 * between leaves nothing that the next one cannot find. Costs: some 1.5 ms of the loop, most of it
 * the kernel's for the groups of v1.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "containerizer/launcher.h"
#include "containerizer/linux_internal.h"
#include "containerizer/proctree.h"
#include "containerizer/sandbox.h"

enum { MIB = 1024 * 1024, MIN_MEMORY = 32 * MIB };

/* Nodes may be made (by init, whose command has no CAP_MKNOD), but only these be used. */
static const struct rv_cgroup_device devices[] = {
    {'c', -1, -1, "m"}, {'b', -1, -1, "m"}, {'c', 1, 3, "rwm"},    {'c', 1, 5, "rwm"},
    {'c', 1, 7, "rwm"}, {'c', 1, 8, "rwm"}, {'c', 1, 9, "rwm"},    {'c', 5, 0, "rwm"},
    {'c', 5, 1, "rwm"}, {'c', 5, 2, "rwm"}, {'c', 136, -1, "rwm"},
};

int rv_linux_open_groups(struct rv_linux *c, const char *name, struct rv_error *err) {
    const struct rv_cgroup_limits usual = {.devices = devices, .n_devices = RV_COUNT(devices)};
    int rc = rv_cgroups_open(name, &c->groups, err);

    return rc ? rc : rv_cgroups_begin_with(c->groups, &usual, err);
}

char *rv_linux_group_of(const char *id) {
    char *group = rv_strdup(id);

    for (char *p = group; *p; p++)
        if (*p == '.')
            *p = '/';
    return group;
}

/* ---- limits ---- */

const struct rv_cgroup_limits rv_linux_no_limits = {.cpu_request_milli = -1,
                                                    .cpu_limit_milli = -1,
                                                    .mem_request_bytes = -1,
                                                    .mem_limit_bytes = -1,
                                                    .pids_max = -1,
                                                    .io_weight = -1};

int rv_linux_limit(struct rv_linux_container *k, const struct rv_resources *resources, bool fresh,
                   struct rv_error *err) {
    int64_t cpus = resources ? rv_resources_quantity(resources, "cpus") : 0;
    int64_t mem = resources ? rv_resources_quantity(resources, "mem") : 0; /* thousandths of MiB */
    int64_t bytes = mem > INT64_MAX / MIB ? INT64_MAX : mem * MIB / 1000;
    struct rv_cgroup_limits limits = rv_linux_no_limits;
    struct rv_linux_special special;
    int rc;

    limits.fresh = fresh;
    if (cpus > 0)
        limits.cpu_request_milli = cpus;
    limits.pids_max = k->c->pids_max;
    limits.devices = devices;
    limits.n_devices = RV_COUNT(devices);
    if (k->state.cpu_limit_milli > 0)
        limits.cpu_limit_milli = k->state.cpu_limit_milli;
    else if (k->state.cpu_limit_milli == 0 && k->c->cpu_quota && cpus > 0)
        limits.cpu_limit_milli = cpus;
    if (mem > 0) {
        limits.mem_request_bytes = RV_MAX(bytes, (int64_t)MIN_MEMORY);
        if (k->state.mem_limit_bytes == 0)
            limits.mem_limit_bytes = limits.mem_request_bytes;
    }
    if (k->state.mem_limit_bytes > 0)
        limits.mem_limit_bytes = RV_MAX(k->state.mem_limit_bytes, (int64_t)MIN_MEMORY);
    rv_linux_read_special(resources, &special);
    limits.cpuset = special.cpuset.data;
    limits.io_weight = special.io_weight;
    rc = rv_cgroup_set(k->c->groups, k->group, &limits, err);
    rv_buf_free(&special.cpuset);
    return rc;
}

/* ---- the process ---- */

/* The nearest above it that is ours: an executor may have containers of its own in between. */
static int parent_of(const struct rv_linux_container *k, struct rv_linux_container **parent,
                     struct rv_error *err) {
    _cleanup_free_ char *id = rv_strdup(k->id);
    char *dot = strrchr(id, '.');

    *parent = NULL;
    if (!dot)
        return 0;
    for (; dot && !*parent; dot = strrchr(id, '.')) {
        *dot = '\0';
        *parent = rv_map_gets(&k->c->containers, id);
    }
    if (!*parent || (*parent)->dying || (*parent)->pidfd < 0)
        return rv_error_set(err, RV_ERR_NOT_FOUND, "The parent container '%s' does not run", id);
    return 0;
}

static void choose_namespaces(const struct rv_container_isolation *i,
                              const struct rv_linux_container *parent,
                              struct rv_launcher_start *start) {
    start->parent = parent ? parent->pidfd : -1;
    if (!parent) {
        start->namespaces = CLONE_NEWNS | CLONE_NEWUTS;
        if (!i->share_pid_namespace)
            start->namespaces |= CLONE_NEWPID;
        if (!i->share_ipc)
            start->namespaces |= CLONE_NEWIPC;
        if (i->own_network)
            start->namespaces |= CLONE_NEWNET;
        return;
    }
    start->joined = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET;
    start->join_cgroups = true;
    /* Its own process namespace is below the parent's, and so is its view of /proc. */
    if (i->debug)
        return;
    start->namespaces = CLONE_NEWNS;
    if (!i->share_pid_namespace)
        start->namespaces |= CLONE_NEWPID;
    if (i->own_ipc)
        start->namespaces |= CLONE_NEWIPC;
    if (i->own_network)
        start->namespaces |= CLONE_NEWNET;
    if (i->hostname)
        start->namespaces |= CLONE_NEWUTS;
}

/* Cuts the group of one that has none of its own down to that of the nearest above it that has. */
static void find_group(const struct rv_linux_container *k, char *whole) {
    _cleanup_free_ char *id = rv_strdup(k->id);
    char *dot, *slash;

    while ((dot = strrchr(id, '.')) && (slash = strrchr(whole, '/'))) {
        *dot = *slash = '\0';
        const struct rv_linux_container *above = rv_map_gets(&k->c->containers, id);
        if (above && above->group)
            return;
    }
}

static int make_groups(struct rv_linux_container *k, const struct rv_container_config *config,
                       int fds[RV_LAUNCHER_MAX_GROUPS], struct rv_launcher_start *start,
                       struct rv_error *err) {
    _cleanup_free_ char *whole = rv_linux_group_of(k->id);
    int rc = 0;

    if (k->group) {
        rc = rv_cgroup_create(k->c->groups, k->group, err);
        if (!rc)
            rc = rv_linux_limit(k, config->resources, true, err);
    } else
        find_group(k, whole);
    if (rc)
        return rc;
    start->cgroup = rv_cgroup_fd(k->c->groups, whole);
    if (start->cgroup >= 0)
        return 0;
    rc = rv_cgroup_enter_fds(k->c->groups, whole, fds, RV_LAUNCHER_MAX_GROUPS, err);
    if (rc < 0)
        return rc;
    start->groups = fds;
    start->n_groups = (size_t)rc;
    return 0;
}

static void close_all(int *fds, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* For a nested container, whose init is where the machine's files are not seen any more. */
static int open_host(const struct rv_linux_launch *l, int *fd, struct rv_error *err) {
    bool wanted = false;

    for (size_t i = 0; l->parent && i < l->isolation->n_volumes; i++)
        wanted = wanted || l->isolation->volumes[i].source == RV_VOLUME_HOST ||
                 l->isolation->volumes[i].source == RV_VOLUME_KEPT;
    if (!wanted)
        return 0;
    *fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    return *fd < 0 ? rv_error_set(err, RV_ERR_IO, "open /proc/self/ns/mnt: %s", strerror(errno))
                   : 0;
}

/* With all that it needs open. */
static int start_process(struct rv_linux_container *k, struct rv_linux_launch *l,
                         struct rv_error *err) {
    int *fds = l->start.fds, stdio[3] = {-1, -1, -1}, rc = 0;

    for (int i = 0; i < RV_LAUNCHER_FDS; i++)
        fds[i] = -1;
    if (!l->config->stdio)
        rc = rv_sandbox_open_files(l->sandbox, &l->user, stdio, err);
    if (!rc)
        rc = rv_report_open(&k->report, &fds[RV_LAUNCHER_REPORT_FD], err);
    if (!rc)
        rc = open_host(l, &fds[RV_LAUNCHER_HOST_FD], err);
    if (!rc)
        rc = rv_linux_find_unseen(k->c, err);
    if (!rc)
        rc = rv_linux_write_orders(k, l, &fds[RV_LAUNCHER_ORDERS_FD], err);
    if (!rc) {
        l->start.image = k->c->image;
        for (int i = 0; i < 3; i++)
            fds[i] = l->config->stdio ? l->config->stdio[i] : stdio[i];
        fds[RV_LAUNCHER_STATUS_FD] = l->record;
        rc = rv_launcher_start(&l->start, &k->state.pid, &k->pidfd, err);
    }
    fds[RV_LAUNCHER_STATUS_FD] = -1; /* is needed once more */
    close_all(stdio, 3);
    close_all(fds + RV_LAUNCHER_ORDERS_FD, RV_LAUNCHER_FDS - RV_LAUNCHER_ORDERS_FD);
    return rc;
}

static int make_sandbox(const struct rv_linux_container *k, struct rv_linux_launch *l,
                        struct rv_error *err) {
    int rc = rv_sandbox_find_user(l->config->user, &l->user, err);

    if (!rc)
        rc = rv_sandbox_make(l->config->directory, &l->user, &l->sandbox, err);
    /* From here on a later agent knows of it. */
    if (!rc)
        rc = rv_container_state_begin(k->records, k->c->boot_id, k->id, &k->state, &k->c->spares,
                                      &l->record, err);
    return rc;
}

/* From here on it has a process, which starts nothing before it is written down. */
static int let_go(struct rv_linux_container *k, const struct rv_linux_launch *l,
                  struct rv_error *err) {
    struct rv_proc first;
    int rc;

    k->is_child = true;
    if (l->isolation->bursts)
        rv_linux_set_score(k, l->config->resources);
    if (rv_proc_read(k->state.pid, &first))
        k->state.start_ticks = first.start_ticks;
    rc = rv_container_state_change(l->record, k->c->boot_id, k->id, &k->state, err);
    return rc ? rc : rv_report_go(&k->report, err);
}

static void choose_program(const struct rv_linux *c, const struct rv_container_config *config,
                           struct rv_launcher_start *start) {
    const char *program = config->program ? config->program : config->argv[0];

    if (c->executor && program && rv_streq(program, c->executor)) {
        start->executor = config->argv[1];
        start->env = config->env;
    }
}

int rv_linux_start(struct rv_linux_container *k, const struct rv_container_config *config,
                   struct rv_error *err) {
    static const struct rv_container_isolation by_default;
    struct rv_linux_launch l = {.config = config,
                                .isolation = config->isolation ? config->isolation : &by_default,
                                .start = {.parent = -1, .cgroup = -1},
                                .sandbox = -1,
                                .record = -1};
    int groups[RV_LAUNCHER_MAX_GROUPS];
    int rc = parent_of(k, &l.parent, err);

    if (rc)
        return rc;
    choose_program(k->c, config, &l.start);
    choose_namespaces(l.isolation, l.parent, &l.start);
    k->state.own_pids = (l.start.namespaces & CLONE_NEWPID) != 0;
    rc = make_sandbox(k, &l, err);
    if (!rc)
        rc = make_groups(k, config, groups, &l.start, err);
    if (!rc)
        rc = start_process(k, &l, err);
    close_all(groups, l.start.n_groups);
    if (!rc)
        rc = let_go(k, &l, err);
    close_all((int[]){l.start.cgroup, l.sandbox, l.record}, 3);
    return rc;
}
