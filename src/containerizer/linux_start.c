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

#include <linux/capability.h>

#include "containerizer/launcher.h"
#include "containerizer/linux_internal.h"
#include "containerizer/proctree.h"
#include "containerizer/sandbox.h"
#include "reeve/v1/init.pb-c.h"

#define BIT(capability) (UINT64_C(1) << (capability))
#define CGROUP_ROOT "/sys/fs/cgroup"

enum { MIB = 1024 * 1024, MIN_MEMORY = 32 * MIB, MAX_HIERARCHIES = 32, MAX_HOSTNAME = 63 };

const uint64_t rv_linux_default_capabilities =
    BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) | BIT(CAP_SETGID) |
    BIT(CAP_SETUID) | BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) | BIT(CAP_NET_BIND_SERVICE) |
    BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE);

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

int rv_linux_limit(struct rv_linux_container *k, const struct rv_resources *resources,
                   struct rv_error *err) {
    int64_t cpus = resources ? rv_resources_quantity(resources, "cpus") : 0;
    int64_t mem = resources ? rv_resources_quantity(resources, "mem") : 0; /* thousandths of MiB */
    int64_t bytes = mem > INT64_MAX / MIB ? INT64_MAX : mem * MIB / 1000;
    struct rv_cgroup_limits limits = rv_linux_no_limits;
    struct rv_linux_special special;
    int rc;

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

/* ---- orders ---- */

/* A line each: type, path below CGROUP_ROOT, options. */
int rv_linux_find_hierarchies(struct rv_linux *c, struct rv_error *err) {
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t size = 0;

    if (!f)
        return rv_error_set(err, RV_ERR_IO, "open /proc/self/mountinfo: %s", strerror(errno));
    while (getline(&line, &size, f) > 0) {
        char path[256], type[32], options[256];
        const char *dash = strstr(line, " - "), *rest;
        if (!dash || sscanf(line, "%*s %*s %*s %*s %255s", path) != 1 ||
            sscanf(dash + 3, "%31s %*s %255s", type, options) != 2 ||
            !rv_starts_with(type, "cgroup") || !rv_starts_with(path, CGROUP_ROOT))
            continue;
        rest = path + strlen(CGROUP_ROOT);
        rest += *rest == '/';
        rv_buf_printf(&c->mountinfo, "%s /%s ", type, rest);
        /* What only the machine's own mount may say stays out. */
        for (char *save = NULL, *o = strtok_r(options, ",", &save); o;
             o = strtok_r(NULL, ",", &save))
            if (!rv_streq(type, "cgroup2") && !rv_streq(o, "rw") && !rv_streq(o, "ro") &&
                !rv_streq(o, "xattr") && !rv_streq(o, "clone_children") &&
                !rv_starts_with(o, "release_agent="))
                rv_buf_printf(&c->mountinfo, "%s,", o);
        if (c->mountinfo.data[c->mountinfo.n - 1] == ',')
            c->mountinfo.n--;
        rv_buf_putc(&c->mountinfo, '\n');
    }
    free(line);
    fclose(f);
    return 0;
}

struct draft {
    struct rv_arena arena;
    Reeve__V1__Init__Orders orders;
};

static void show_hierarchies(struct draft *d, const struct rv_linux *c) {
    char *text =
        rv_arena_strndup(&d->arena, c->mountinfo.data ? c->mountinfo.data : "", c->mountinfo.n);
    Reeve__V1__Init__CgroupMount **list =
        RV_ARENA_ARRAY(&d->arena, Reeve__V1__Init__CgroupMount *, MAX_HIERARCHIES);
    char *save = NULL;

    d->orders.cgroups = list;
    for (char *line = strtok_r(text, "\n", &save); line && d->orders.n_cgroups < MAX_HIERARCHIES;
         line = strtok_r(NULL, "\n", &save)) {
        Reeve__V1__Init__CgroupMount *m = RV_ARENA_NEW(&d->arena, Reeve__V1__Init__CgroupMount);
        char *path = strchr(line, ' '), *options = path ? strchr(path + 1, ' ') : NULL;
        if (!options)
            continue;
        *path = *options = '\0';
        reeve__v1__init__cgroup_mount__init(m);
        m->type = line;
        m->target = path + 2;
        if (options[1])
            m->options = options + 1;
        list[d->orders.n_cgroups++] = m;
    }
}

static bool is_below(const char *path, const char *folder) {
    size_t n = folder ? strlen(folder) : 0;

    return n && strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static void show_folders(struct draft *d, const struct rv_linux *c,
                         const struct rv_container_config *config) {
    Reeve__V1__Init__Orders *o = &d->orders;
    const char *program = config->argv[0];
    bool known = false;

    o->hide = c->work_dir;
    o->has_tmp_bytes = true;
    o->tmp_bytes = c->tmp_bytes;
    o->n_keep = 1;
    o->keep = RV_ARENA_NEW(&d->arena, char *);
    o->keep[0] = rv_arena_strdup(&d->arena, config->directory);
    /* Our own programs lie where nothing else is to be seen, and others may lie in /tmp. */
    o->keep_read_only = RV_ARENA_ARRAY(&d->arena, char *, c->programs.n + 1);
    for (size_t i = 0; i < c->programs.n; i++) {
        o->keep_read_only[o->n_keep_read_only++] = c->programs.v[i];
        known = known || rv_streq(c->programs.v[i], program);
    }
    if (!known && program[0] == '/' && !is_below(program, config->directory) &&
        (is_below(program, c->work_dir) || is_below(program, "/tmp")) && access(program, F_OK) == 0)
        o->keep_read_only[o->n_keep_read_only++] = rv_arena_strdup(&d->arena, program);
    show_hierarchies(d, c);
}

static void privileges(struct draft *d, const struct rv_linux *c,
                       const struct rv_container_isolation *i, const struct rv_sandbox_user *user) {
    Reeve__V1__Init__Orders *o = &d->orders;
    Reeve__V1__Init__RLimit *limits;

    if (user->differs) {
        o->has_switch_user = o->switch_user = true;
        o->has_uid = o->has_gid = true;
        o->uid = user->uid;
        o->gid = user->gid;
        o->n_groups = (size_t)user->n_groups;
        o->groups = (uint32_t *)(uintptr_t)user->groups;
    }
    o->has_bounding = o->has_effective = true;
    o->bounding = i->has_capabilities ? i->bounding : rv_linux_default_capabilities;
    o->effective = i->has_capabilities ? i->effective : rv_linux_default_capabilities;
    o->has_ambient = true;
    o->ambient = i->has_capabilities && i->ambient;
    if (!i->unconfined) {
        o->has_seccomp = true;
        o->seccomp.data = (uint8_t *)(uintptr_t)(i->seccomp.n ? i->seccomp.s : c->seccomp.data);
        o->seccomp.len = i->seccomp.n ? i->seccomp.n : c->seccomp.n;
    }
    o->n_rlimits = i->n_rlimits;
    o->rlimits = RV_ARENA_ARRAY(&d->arena, Reeve__V1__Init__RLimit *, i->n_rlimits + 1);
    limits = RV_ARENA_ARRAY(&d->arena, Reeve__V1__Init__RLimit, i->n_rlimits + 1);
    for (size_t n = 0; n < i->n_rlimits; n++) {
        reeve__v1__init__rlimit__init(&limits[n]);
        limits[n].resource = (uint32_t)i->rlimits[n].resource;
        limits[n].soft = i->rlimits[n].soft;
        limits[n].hard = i->rlimits[n].hard;
        o->rlimits[n] = &limits[n];
    }
}

static size_t count(const char *const *v) {
    size_t n = 0;

    while (v && v[n])
        n++;
    return n;
}

static char *hostname_of(struct draft *d, const struct rv_linux_container *k,
                         const struct rv_container_isolation *i) {
    return rv_arena_strndup(
        &d->arena, i->hostname ? i->hostname : k->id,
        RV_MIN(strlen(i->hostname ? i->hostname : k->id), (size_t)MAX_HOSTNAME));
}

static int write_orders(const struct rv_linux_container *k,
                        const struct rv_container_config *config,
                        const struct rv_container_isolation *i, const struct rv_sandbox_user *user,
                        const struct rv_launcher_start *start, int *fd, struct rv_error *err) {
    struct draft d;
    Reeve__V1__Init__Orders *o = &d.orders;
    int rc;

    rv_arena_init(&d.arena);
    reeve__v1__init__orders__init(o);
    o->n_argv = count(config->argv);
    o->argv = (char **)(uintptr_t)config->argv;
    o->n_env = count(config->env);
    o->env = (char **)(uintptr_t)config->env;
    o->directory = rv_arena_strdup(&d.arena, config->work_directory ? config->work_directory
                                                                    : config->directory);
    o->has_own_mounts = o->has_own_pids = o->has_own_network = o->has_own_cgroups = true;
    o->own_mounts = (start->namespaces & CLONE_NEWNS) != 0;
    o->own_pids = (start->namespaces & CLONE_NEWPID) != 0;
    o->own_network = (start->namespaces & CLONE_NEWNET) != 0;
    o->own_cgroups = start->parent < 0;
    o->has_own_ipc = o->has_shm_bytes = true;
    o->own_ipc = (start->namespaces & CLONE_NEWIPC) != 0;
    o->shm_bytes = i->shm_bytes ? i->shm_bytes : k->c->shm_bytes;
    if (start->namespaces & CLONE_NEWUTS)
        o->hostname = hostname_of(&d, k, i);
    if (start->parent < 0) {
        o->has_whole_root = o->whole_root = true;
        show_folders(&d, k->c, config);
    }
    privileges(&d, k->c, i, user);
    o->program = (char *)(uintptr_t)config->program;
    o->has_tty = o->has_rows = o->has_columns = true;
    o->tty = config->tty;
    o->rows = config->rows;
    o->columns = config->columns;
    o->report_fd = RV_LAUNCHER_REPORT_FD;
    o->status_fd = RV_LAUNCHER_STATUS_FD;
    rc = rv_launcher_seal_orders(o, fd, err);
    rv_arena_free(&d.arena);
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
            rc = rv_linux_limit(k, config->resources, err);
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

/* With all that it needs open; start->fds are filled here. */
static int start_process(struct rv_linux_container *k, const struct rv_container_config *config,
                         const struct rv_container_isolation *i, const struct rv_sandbox_user *user,
                         struct rv_launcher_start *start, struct rv_error *err) {
    int stdio[3] = {-1, -1, -1}, report = -1, orders = -1, status = -1, rc = 0;

    if (!config->stdio)
        rc = rv_sandbox_open_files(config->directory, user, stdio, err);
    if (!rc)
        rc = rv_report_open(&k->report, &report, err);
    if (!rc) {
        status = rv_container_state_open(k->c->state_dir, k->id, err);
        rc = status < 0 ? status : 0;
    }
    if (!rc)
        rc = write_orders(k, config, i, user, start, &orders, err);
    if (!rc) {
        start->image = k->c->image;
        for (int n = 0; n < 3; n++)
            start->fds[n] = config->stdio ? config->stdio[n] : stdio[n];
        start->fds[RV_LAUNCHER_ORDERS_FD] = orders;
        start->fds[RV_LAUNCHER_REPORT_FD] = report;
        start->fds[RV_LAUNCHER_STATUS_FD] = status;
        rc = rv_launcher_start(start, &k->state.pid, &k->pidfd, err);
    }
    close_all(stdio, 3);
    close_all((int[]){orders, status, report}, 3);
    return rc;
}

static int make_sandbox(const struct rv_linux_container *k,
                        const struct rv_container_config *config, struct rv_sandbox_user *user,
                        struct rv_error *err) {
    int rc = rv_sandbox_find_user(config->user, user, err);

    if (!rc)
        rc = rv_sandbox_make(config->directory, user, err);
    /* From here on a later agent knows of it. */
    if (!rc)
        rc = rv_container_state_write(k->c->state_dir, k->c->boot_id, k->id, &k->state, err);
    return rc;
}

int rv_linux_start(struct rv_linux_container *k, const struct rv_container_config *config,
                   struct rv_error *err) {
    static const struct rv_container_isolation by_default;
    const struct rv_container_isolation *i = config->isolation ? config->isolation : &by_default;
    int groups[RV_LAUNCHER_MAX_GROUPS];
    struct rv_launcher_start start = {.parent = -1, .cgroup = -1};
    struct rv_linux_container *parent;
    struct rv_sandbox_user user;
    struct rv_proc first;
    int rc = parent_of(k, &parent, err);

    if (rc)
        return rc;
    choose_namespaces(i, parent, &start);
    k->state.own_pids = (start.namespaces & CLONE_NEWPID) != 0;
    rc = make_sandbox(k, config, &user, err);
    if (!rc)
        rc = make_groups(k, config, groups, &start, err);
    if (!rc)
        rc = start_process(k, config, i, &user, &start, err);
    close_all(groups, start.n_groups);
    if (start.cgroup >= 0)
        close(start.cgroup);
    if (rc)
        return rc;
    k->is_child = true;
    if (rv_proc_read(k->state.pid, &first))
        k->state.start_ticks = first.start_ticks;
    rc = rv_container_state_write(k->c->state_dir, k->c->boot_id, k->id, &k->state, err);
    return rc ? rc : rv_report_go(&k->report, err);
}
