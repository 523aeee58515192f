/*
 * What a container's init is told (proto/reeve/v1/init.proto), see linux_internal.h: made from what
 * the container asks for, in a sealed memory file. Holds: nothing of it is written to a disk, and
 * what it borrows lives as long as the launch.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/capability.h>

#include "containerizer/linux_internal.h"
#include "reeve/v1/init.pb-c.h"

#define BIT(capability) (UINT64_C(1) << (capability))

enum { MAX_HOSTNAME = 64 };

const uint64_t rv_linux_default_capabilities =
    BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) | BIT(CAP_SETGID) |
    BIT(CAP_SETUID) | BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) | BIT(CAP_NET_BIND_SERVICE) |
    BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE);

struct draft {
    struct rv_arena arena;
    Reeve__V1__Init__Orders orders;
};

static char *borrow(const char *s) {
    return (char *)(uintptr_t)s;
}

static void show_hierarchies(struct draft *d, const struct rv_linux_container *k) {
    const struct rv_linux *c = k->c;
    size_t n = c->hierarchies.n;
    Reeve__V1__Init__CgroupMount *mounts =
        RV_ARENA_ARRAY(&d->arena, Reeve__V1__Init__CgroupMount, n + 1);

    d->orders.n_cgroups = n;
    d->orders.cgroups = RV_ARENA_ARRAY(&d->arena, Reeve__V1__Init__CgroupMount *, n + 1);
    for (size_t i = 0; i < n; i++) {
        const struct rv_linux_hierarchy *h = &c->hierarchies.v[i];
        reeve__v1__init__cgroup_mount__init(&mounts[i]);
        mounts[i].hierarchy = h->mount;
        if (h->folder)
            mounts[i].group = rv_arena_printf(&d->arena, "%s/%s", h->folder, k->group);
        d->orders.cgroups[i] = &mounts[i];
    }
}

static void show_folders(struct draft *d, const struct rv_linux_container *k) {
    const struct rv_linux *c = k->c;
    Reeve__V1__Init__Orders *o = &d->orders;

    o->has_tmp_bytes = true;
    o->tmp_bytes = c->tmp_bytes;
    o->n_keep = 1;
    o->keep = RV_ARENA_NEW(&d->arena, char *);
    o->keep[0] = o->sandbox;
    /* Our own programs lie where nothing else is to be seen. */
    o->n_keep_read_only = c->programs.n;
    o->keep_read_only = c->programs.v;
    show_hierarchies(d, k);
}

/* ---- volumes ---- */

static Reeve__V1__Init__Volume *add_volume(struct draft *d, const char *target) {
    Reeve__V1__Init__Volume *v = RV_ARENA_NEW(&d->arena, Reeve__V1__Init__Volume);

    reeve__v1__init__volume__init(v);
    v->source = REEVE__V1__INIT__VOLUME__SOURCE__HOST;
    v->target = borrow(target);
    d->orders.volumes[d->orders.n_volumes++] = v;
    return v;
}

/* A program of its own below /tmp, which is covered by a private one, is seen where it was. */
static void show_program(struct draft *d, const struct rv_linux *c, const char *program) {
    Reeve__V1__Init__Volume *v;

    for (size_t i = 0; i < c->programs.n; i++)
        if (rv_linux_is_below(program, c->programs.v[i]))
            return;
    if (!rv_linux_is_below(program, "/tmp") || rv_linux_is_below(program, d->orders.sandbox) ||
        access(program, F_OK) != 0)
        return;
    v = add_volume(d, program);
    v->path = borrow(program);
    v->has_read_only = v->read_only = true;
}

static void show_volumes(struct draft *d, const struct rv_linux_container *k,
                         const struct rv_linux_launch *l) {
    const struct rv_container_isolation *i = l->isolation;
    Reeve__V1__Init__Orders *o = &d->orders;

    o->volumes = RV_ARENA_ARRAY(&d->arena, Reeve__V1__Init__Volume *, i->n_volumes + 1);
    for (size_t n = 0; n < i->n_volumes; n++) {
        const struct rv_container_volume *from = &i->volumes[n];
        Reeve__V1__Init__Volume *v = add_volume(d, from->target);
        v->has_read_only = true;
        v->read_only = from->read_only;
        v->path = borrow(from->path);
        switch (from->source) {
        case RV_VOLUME_HOST:
            break;
        case RV_VOLUME_KEPT:
            v->source = REEVE__V1__INIT__VOLUME__SOURCE__KEPT;
            break;
        case RV_VOLUME_SANDBOX:
        case RV_VOLUME_PARENT:
            v->source = REEVE__V1__INIT__VOLUME__SOURCE__FOLDER;
            v->below = from->source == RV_VOLUME_PARENT && l->parent ? l->parent->state.directory
                                                                     : o->sandbox;
            break;
        case RV_VOLUME_SECRET:
            v->source = REEVE__V1__INIT__VOLUME__SOURCE__SECRET;
            v->has_data = true;
            v->data.data = (uint8_t *)borrow(from->data.s);
            v->data.len = from->data.n;
            break;
        }
    }
    if (!l->parent)
        show_program(d, k->c, l->config->program ? l->config->program : l->config->argv[0]);
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

/* ---- the whole ---- */

static void namespaces(struct draft *d, const struct rv_linux_container *k,
                       const struct rv_linux_launch *l) {
    Reeve__V1__Init__Orders *o = &d->orders;
    uint64_t own = l->start.namespaces;

    o->has_own_mounts = o->has_own_pids = o->has_own_network = o->has_own_cgroups = true;
    o->own_mounts = (own & CLONE_NEWNS) != 0;
    o->own_pids = (own & CLONE_NEWPID) != 0;
    o->own_network = (own & CLONE_NEWNET) != 0;
    o->own_cgroups = !l->parent;
    o->has_own_ipc = o->has_shm_bytes = true;
    o->own_ipc = (own & CLONE_NEWIPC) != 0;
    o->shm_bytes = l->isolation->shm_bytes ? l->isolation->shm_bytes : k->c->shm_bytes;
    if (own & CLONE_NEWUTS)
        o->hostname = hostname_of(d, k, l->isolation);
}

int rv_linux_write_orders(const struct rv_linux_container *k, const struct rv_linux_launch *l,
                          int *fd, struct rv_error *err) {
    const struct rv_container_config *config = l->config;
    struct draft d;
    Reeve__V1__Init__Orders *o = &d.orders;
    int rc;

    rv_arena_init(&d.arena);
    reeve__v1__init__orders__init(o);
    if (!l->start.executor) {
        o->n_argv = count(config->argv);
        o->argv = (char **)(uintptr_t)config->argv;
        o->n_env = count(config->env);
        o->env = (char **)(uintptr_t)config->env;
        o->program = borrow(config->program);
    }
    o->sandbox = borrow(config->directory);
    o->directory = config->work_directory ? borrow(config->work_directory) : o->sandbox;
    o->n_hide = k->c->hidden.n;
    o->hide = k->c->hidden.v;
    o->n_unmount = k->c->unseen.n;
    o->unmount = k->c->unseen.v;
    namespaces(&d, k, l);
    o->has_whole_root = true;
    o->whole_root = !l->parent;
    if (!l->parent)
        show_folders(&d, k);
    show_volumes(&d, k, l);
    privileges(&d, k->c, l->isolation, &l->user);
    o->has_tty = o->has_rows = o->has_columns = o->has_keep_terminal = true;
    o->tty = config->tty;
    o->keep_terminal = config->survive;
    o->rows = config->rows;
    o->columns = config->columns;
    o->report_fd = RV_LAUNCHER_REPORT_FD;
    o->status_fd = RV_LAUNCHER_STATUS_FD;
    o->has_host_fd = l->start.fds[RV_LAUNCHER_HOST_FD] >= 0;
    o->host_fd = RV_LAUNCHER_HOST_FD;
    rc = rv_launcher_seal_orders(o, fd, err);
    rv_arena_free(&d.arena);
    return rc;
}
