/*
 * The `linux` containerizer: a container is an init in namespaces and control groups of its own,
 * the command below it, and all that these start. linux_start.c makes one; here is its life.
 *
 * Holds: every container in the map was launched or found and has not been reported as ended; it is
 * reported when its groups are removed, so when no process of it is left, or long after. Callbacks
 * are made from the loop only, never from within a call. Nothing waits: what is busy is tried again
 * by a timer with growing pauses; after give_up_ms the report names what is left, which is tried
 * on.
 *
 * Costs: an end takes some 200 us of the loop; at rest a container costs four descriptors and no
 * wake-ups.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "containerizer/launcher.h"
#include "containerizer/linux_internal.h"
#include "containerizer/proctree.h"
#include "containerizer/rotation.h"
#include "containerizer/sandbox.h"
#include "containerizer/seccomp.h"

enum {
    LOGS_MS = 2000,     /* between two looks at the logs */
    FIRST_PAUSE_MS = 1, /* before something busy is tried again; doubled each time */
    MAX_PAUSE_MS = 200,
    KILLED_LONG_AGO = 4, /* tries, some 15 ms */
    DEFAULT_GIVE_UP_MS = 30000,
    OOM_LOOKS = 10, /* for the kill after the kernel said that memory is short, OOM_PAUSE_MS each */
    OOM_PAUSE_MS = 10,
    STOP_ROUNDS = 1000, /* destroy_all: 2 ms each */
    DEFAULT_LOG_MAX = 10 * 1024 * 1024,
    DEFAULT_TMP = 64 * 1024 * 1024,
    DEFAULT_PIDS = 4096,
};

static struct rv_linux *self(struct rv_containerizer *c) {
    return RV_CONTAINER_OF(c, struct rv_linux, base);
}

static struct rv_linux_container *find(const struct rv_linux *c, const char *id) {
    struct rv_linux_container *k = rv_map_gets(&c->containers, id);

    return k && !k->silent ? k : NULL;
}

/* ---- memory and handles ---- */

static void forget_folders(struct rv_linux *c) {
    for (size_t i = 0; i < c->programs.n; i++)
        free(c->programs.v[i]);
    for (size_t i = 0; i < c->hidden.n; i++)
        free(c->hidden.v[i]);
    c->programs.n = c->hidden.n = 0;
    rv_linux_forget_unseen(c);
    free(c->executor);
    c->executor = NULL;
}

static void free_if_closed(struct rv_linux *c) {
    if (!c->closing || c->handles || c->rotating)
        return;
    for (size_t i = 0; i < c->notices.n; i++) {
        free(c->notices.v[i].id);
        free(c->notices.v[i].message);
    }
    rv_vec_free(&c->notices);
    rv_map_free(&c->containers);
    rv_cgroups_close(c->groups, true);
    rv_buf_free(&c->seccomp);
    rv_buf_free(&c->described);
    rv_linux_forget_hierarchies(c);
    rv_verdict_free(&c->asked);
    if (c->image >= 0)
        close(c->image);
    if (c->mounts >= 0)
        close(c->mounts);
    forget_folders(c);
    rv_vec_free(&c->programs);
    rv_vec_free(&c->hidden);
    rv_vec_free(&c->unseen);
    free(c->state_dir);
    free(c->before);
    free(c);
}

static void on_closed(uv_handle_t *handle) {
    struct rv_linux *c = handle->data;

    c->handles--;
    free_if_closed(c);
}

static void release(struct rv_linux_container *k) {
    struct rv_linux *c = k->c;

    if (k->open)
        return;
    if (k->pidfd >= 0)
        close(k->pidfd);
    rv_report_free(&k->report, k->watches[RV_LINUX_REPORT].k != NULL);
    rv_verdict_free(&k->verdict);
    free(k->state.directory);
    free(k->group);
    free(k->id);
    free(k);
    free_if_closed(c);
}

static void on_watch_closed(uv_handle_t *handle) {
    struct rv_linux_poll *w = handle->data;
    struct rv_linux_container *k = w->k;

    if (w != &k->watches[RV_LINUX_EXIT])
        close(w->fd);
    k->open--;
    k->c->handles--;
    release(k);
}

static void on_timer_closed(uv_handle_t *handle) {
    struct rv_linux_container *k = handle->data;

    k->open--;
    k->c->handles--;
    release(k);
}

static void unwatch(struct rv_linux_poll *w) {
    if (!w->open)
        return;
    w->open = false;
    uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

/* It is in no map any more. */
static void free_container(struct rv_linux_container *k) {
    for (int i = 0; i < RV_LINUX_WATCHES; i++)
        unwatch(&k->watches[i]);
    if (k->has_timer)
        uv_close((uv_handle_t *)&k->timer, on_timer_closed);
    k->has_timer = false;
    if (!k->open)
        release(k);
}

static int watch(struct rv_linux_container *k, enum rv_linux_watch which, int fd, int events,
                 uv_poll_cb cb, struct rv_error *err) {
    struct rv_linux_poll *w = &k->watches[which];
    int rc = uv_poll_init(k->c->loop, &w->poll, fd);

    if (rc)
        return rv_error_set(err, RV_ERR_IO, "uv_poll_init: %s", uv_strerror(rc));
    w->k = k;
    w->fd = fd;
    w->open = true;
    w->poll.data = w;
    k->open++;
    k->c->handles++;
    rc = uv_poll_start(&w->poll, events, cb);
    return rc ? rv_error_set(err, RV_ERR_IO, "uv_poll_start: %s", uv_strerror(rc)) : 0;
}

static struct rv_linux_container *new_container(struct rv_linux *c, const char *id,
                                                bool own_group) {
    struct rv_linux_container *k = rv_calloc(1, sizeof *k);

    k->c = c;
    k->id = rv_strdup(id);
    k->records = c->state_dir;
    k->group = own_group ? rv_linux_group_of(id) : NULL;
    k->pidfd = k->report.fd = -1;
    k->report.terminal = RV_NO_TERMINAL;
    rv_verdict_init(&k->verdict);
    uv_timer_init(c->loop, &k->timer);
    k->timer.data = k;
    k->has_timer = true;
    k->open++;
    c->handles++;
    rv_map_put(&c->containers, rv_str(k->id), k);
    return k;
}

/* ---- the end of a container ---- */

static void reap(struct rv_linux_container *k) {
    pid_t got;

    if (k->reaped || k->state.pid <= 0)
        return;
    if (!k->is_child) {
        /* Not ours to wait for; its descriptor tells that it has ended, waited for or not. */
        struct pollfd p = {.fd = k->pidfd, .events = POLLIN};
        k->reaped = k->pidfd < 0 || poll(&p, 1, 0) != 0;
        return;
    }
    do
        got = waitpid(k->state.pid, &k->init_status, __WALL | WNOHANG);
    while (got < 0 && errno == EINTR);
    k->reaped = got != 0;
}

static void mark_first(void *ctx, struct rv_proctree *t) {
    const struct rv_linux_container *k = ctx;
    struct rv_proc *p = rv_proctree_find(t, k->state.pid);

    if (p && p->start_ticks == k->state.start_ticks)
        p->owner = 0;
    rv_proctree_spread(t);
}

static void kill_all_of(struct rv_linux_container *k) {
    struct rv_proctree t = {0};

    k->killed = true;
    reap(k);
    if (!k->reaped && !k->group && !k->state.own_pids) {
        /* Neither a group nor a namespace says what belongs to it: it is what came of init. */
        rv_proctree_kill(&t, mark_first, k);
        rv_proctree_free(&t);
    }
    if (!k->reaped && k->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, k->pidfd, SIGKILL, NULL, 0);
    if (k->group)
        rv_cgroup_kill(k->c->groups, k->group);
}

static bool has_nested(const struct rv_linux_container *k) {
    struct rv_linux_container *other;
    size_t n = strlen(k->id);

    for (size_t it = 0; rv_map_next(&k->c->containers, &it, NULL, (void **)&other);)
        if (strncmp(other->id, k->id, n) == 0 && other->id[n] == '.')
            return true;
    return false;
}

/* Whether nothing is left. */
static bool clear(struct rv_linux_container *k, struct rv_error *err) {
    reap(k);
    if (has_nested(k)) {
        rv_error_set(err, RV_ERR_CONFLICT, "a nested container is left");
        return false;
    }
    if (!k->reaped && k->state.pid > 0) {
        rv_error_set(err, RV_ERR_CONFLICT, "process %d is left", (int)k->state.pid);
        return false;
    }
    return !k->group || rv_cgroup_remove(k->c->groups, k->group, err) == 0;
}

/* When init has ended: what it has told is in the record by then. */
static int32_t status_of(struct rv_linux_container *k, bool *known) {
    struct rv_container_state s = {0};

    *known = true;
    if (!k->state.has_status &&
        rv_container_state_read(k->records, k->c->boot_id, k->id, &s, NULL) == 0) {
        k->state.has_status = s.has_status;
        k->state.wait_status = s.wait_status;
    }
    free(s.directory);
    if (k->state.has_status)
        return k->state.wait_status;
    /* Init was killed before it could tell. If it was not our child, it was by us or nobody knows.
     */
    *known = k->reaped && (k->is_child || k->destroyed);
    return k->is_child ? k->init_status : SIGKILL;
}

static void tell_launched(struct rv_linux_container *k, bool ok) {
    if (k->launched || k->silent)
        return;
    k->launched = true;
    if (!k->c->closing)
        k->c->cb.on_launched(k->c->ctx, k->id, ok, ok ? NULL : k->report.text.data);
}

/* The caller may launch another of its id only when it is out of the map. */
static void tell_exited(struct rv_linux_container *k) {
    struct rv_linux *c = k->c;
    struct rv_container_end end = {0};

    end.wait_status = status_of(k, &end.has_status);
    rv_verdict_tell(&k->verdict, &end);
    if (!k->silent && !c->closing)
        c->cb.on_exited(c->ctx, k->id, &end);
    k->silent = true;
}

static void finish(struct rv_linux_container *k) {
    struct rv_linux *c = k->c;

    rv_map_remove(&c->containers, rv_str(k->id));
    tell_exited(k);
    /* Only now: until the caller has written down what it must, the next agent finds it here. */
    if (k->is_child && k->reaped)
        rv_container_state_end(k->records, k->id, &c->spares);
    else
        rv_container_state_remove(k->records, k->id);
    free_container(k);
}

static void on_timer(uv_timer_t *timer);

static void try_to_finish(struct rv_linux_container *k) {
    struct rv_error err = {0};
    uint64_t pause;

    if (clear(k, &err)) {
        finish(k);
        return;
    }
    /* Once should do: again, and with the cost of looking for all of it, if it did not. */
    if (!k->killed || k->tries >= KILLED_LONG_AGO)
        kill_all_of(k);
    pause = RV_MIN((uint64_t)FIRST_PAUSE_MS << RV_MIN(k->tries, 16u), (uint64_t)MAX_PAUSE_MS);
    k->tries++;
    if (uv_now(k->c->loop) - k->dying_since_ms > k->c->give_up_ms) {
        /* Nobody is to wait for it any longer; what is left is removed when that can be. */
        pause = k->c->give_up_ms;
        rv_error_prefix(&err, "Not all of it could be removed");
        if (!k->silent)
            rv_verdict_add(&k->verdict, err.message);
        RV_WARN("agent", "container %s: %s", k->id, err.message);
        k->c->base.destroy_errors += !k->gave_up;
        k->gave_up = true;
        tell_exited(k);
    }
    uv_timer_start(&k->timer, on_timer, pause, 0);
}

static void mark_dying(struct rv_linux_container *k) {
    k->dying = true;
    k->tries = 0;
    k->dying_since_ms = uv_now(k->c->loop);
}

/* Everything else follows by timer, as callbacks are not made from within a call. */
static void begin_to_end(struct rv_linux_container *k) {
    if (k->dying)
        return;
    mark_dying(k);
    uv_timer_start(&k->timer, on_timer, 0, 0);
}

static void end_nested(struct rv_linux_container *k) {
    struct rv_linux_container *other;
    size_t n = strlen(k->id);

    for (size_t it = 0; rv_map_next(&k->c->containers, &it, NULL, (void **)&other);) {
        if (strncmp(other->id, k->id, n) == 0 && other->id[n] == '.' && !other->dying) {
            other->destroyed = !other->reaped;
            kill_all_of(other);
            begin_to_end(other);
        }
    }
}

static void destroy(struct rv_linux_container *k) {
    if (k->dying)
        return;
    k->destroyed = !k->reaped;
    end_nested(k);
    kill_all_of(k);
    begin_to_end(k);
}

/* ---- memory ---- */

static void on_oom(uv_poll_t *poll, int status, int events) {
    struct rv_linux_poll *w = poll->data;
    struct rv_linux_container *k = w->k;

    (void)events;
    if (status < 0) {
        unwatch(w);
        return;
    }
    k->out_of_memory = true;
    rv_cgroup_oom_drain(w->fd);
    if (k->dying)
        return;
    if (rv_linux_look_for_oom(k)) {
        destroy(k);
        return;
    }
    /* The kernel tells before it kills. */
    k->tries = 0;
    uv_timer_start(&k->timer, on_timer, OOM_PAUSE_MS, 0);
}

static void on_timer(uv_timer_t *timer) {
    struct rv_linux_container *k = timer->data;

    if (k->dying) {
        try_to_finish(k);
        return;
    }
    if (rv_linux_look_for_oom(k))
        destroy(k);
    else if (k->tries++ < OOM_LOOKS)
        uv_timer_start(&k->timer, on_timer, OOM_PAUSE_MS, 0);
}

/* ---- what init does ---- */

static void on_report(uv_poll_t *poll, int status, int events) {
    struct rv_linux_poll *w = poll->data;
    struct rv_linux_container *k = w->k;

    (void)status;
    (void)events;
    if (!w->open || !rv_report_read(&k->report))
        return;
    unwatch(w);
    if (k->report.text.n) {
        tell_launched(k, false);
        k->silent = true;
        destroy(k);
    } else {
        tell_launched(k, true);
    }
}

/* It has ended by itself: because of a limit? */
static void look_for_limits(struct rv_linux_container *k) {
    bool known;

    if (k->watches[RV_LINUX_OOM].open && rv_cgroup_oom_drain(k->watches[RV_LINUX_OOM].fd))
        k->out_of_memory = true;
    if (!rv_linux_look_for_oom(k) && status_of(k, &known) && known)
        rv_linux_look_for_pids(k, &k->verdict);
}

static void on_init_exit(uv_poll_t *poll, int status, int events) {
    struct rv_linux_poll *w = poll->data;
    struct rv_linux_container *k = w->k;

    (void)status;
    (void)events;
    uv_poll_stop(poll);
    /* What it said before comes first. */
    if (k->watches[RV_LINUX_REPORT].open)
        on_report(&k->watches[RV_LINUX_REPORT].poll, 0, 0);
    if (k->dying) { /* at our word: no longer need it be looked for */
        uv_timer_start(&k->timer, on_timer, 0, 0);
        return;
    }
    look_for_limits(k);
    end_nested(k);
    mark_dying(k);
    try_to_finish(k);
}

static int watch_all(struct rv_linux_container *k, struct rv_error *err) {
    int rc = watch(k, RV_LINUX_EXIT, k->pidfd, UV_READABLE, on_init_exit, err);
    int fd;

    if (!rc && k->report.fd >= 0)
        rc = watch(k, RV_LINUX_REPORT, k->report.fd, UV_READABLE, on_report, err);
    if (rc || !k->group)
        return rc;
    fd = rv_cgroup_oom_fd(k->c->groups, k->group);
    if (fd < 0)
        return 0;
    rc = watch(k, RV_LINUX_OOM, fd, UV_READABLE | UV_PRIORITIZED, on_oom, err);
    if (rc && !k->watches[RV_LINUX_OOM].open)
        close(fd);
    return rc;
}

/* ---- launch ---- */

static void on_notify(uv_timer_t *timer) {
    struct rv_linux *c = timer->data;

    while (c->notices.n && !c->closing) {
        struct rv_linux_notice n = c->notices.v[0];
        rv_vec_remove_at(&c->notices, 0);
        c->cb.on_launched(c->ctx, n.id, false, n.message);
        free(n.id);
        free(n.message);
    }
}

static void failed(struct rv_linux *c, const char *id, const struct rv_error *err) {
    struct rv_linux_notice n = {rv_strdup(id), rv_strdup(err->message)};

    rv_vec_push(&c->notices, n);
    uv_timer_start(&c->notify, on_notify, 0, 0);
}

static void linux_launch(struct rv_containerizer *base, const struct rv_container_config *config) {
    struct rv_linux *c = self(base);
    struct rv_error err = {0};
    struct rv_linux_container *k;
    bool shares;

    if (!rv_container_id_fits(config->id) || rv_map_gets(&c->containers, config->id)) {
        rv_error_set(&err, RV_ERR_INVALID, "'%s' cannot be the id of a new container", config->id);
        failed(c, config->id, &err);
        return;
    }
    if (!config->argv || !config->argv[0] || !config->directory || config->directory[0] != '/') {
        rv_error_set(&err, RV_ERR_INVALID, "A container needs a command and an absolute sandbox");
        failed(c, config->id, &err);
        return;
    }
    shares = config->isolation && config->isolation->share_cgroup && strchr(config->id, '.');
    k = new_container(c, config->id, !shares);
    k->state.directory = rv_strdup(config->directory);
    k->state.own_group = !shares;
    k->state.survive = config->survive;
    k->state.terminal = config->tty && config->survive;
    k->state.log_max_bytes = config->log_max_bytes ? config->log_max_bytes : DEFAULT_LOG_MAX;
    k->state.log_keep = config->log_keep;
    if (config->isolation) {
        k->state.cpu_limit_milli = config->isolation->limits.cpu_milli;
        k->state.mem_limit_bytes = config->isolation->limits.mem_bytes;
    }
    if (rv_linux_start(k, config, &err) || watch_all(k, &err)) {
        failed(c, config->id, &err);
        k->silent = true;
        destroy(k);
    }
}

static void linux_destroy(struct rv_containerizer *base, const char *id) {
    struct rv_linux_container *k = find(self(base), id);

    if (k)
        destroy(k);
}

static void linux_limit(struct rv_containerizer *base, const char *id,
                        const struct rv_container_end *why) {
    struct rv_linux_container *k = find(self(base), id);

    if (k && !k->dying) {
        rv_verdict_set(&k->verdict, why);
        destroy(k);
    }
}

/* The nearest above, or itself, that has groups of its own; NULL: none. */
static struct rv_linux_container *find_limited(const struct rv_linux *c, const char *id) {
    _cleanup_free_ char *above = rv_strdup(id);
    struct rv_linux_container *k = find(c, above);

    for (char *dot; !(k && k->group) && (dot = strrchr(above, '.')); k = find(c, above))
        *dot = '\0';
    return k && k->group ? k : NULL;
}

static bool linux_is_limited(struct rv_containerizer *base, const char *id, bool failed,
                             struct rv_container_end *why) {
    struct rv_linux *c = self(base);
    struct rv_linux_container *k = find_limited(c, id);

    *why = (struct rv_container_end){.reason = RV_REASON_NONE};
    if (!k)
        return false;
    if (!k->dying && k->watches[RV_LINUX_OOM].open &&
        rv_cgroup_oom_drain(k->watches[RV_LINUX_OOM].fd))
        k->out_of_memory = true;
    if (!k->dying && rv_linux_look_for_oom(k))
        destroy(k);
    rv_verdict_free(&c->asked);
    rv_verdict_tell(&k->verdict, why);
    if (failed && !k->killed && k->verdict.reason == RV_REASON_NONE && rv_streq(k->id, id)) {
        rv_linux_look_for_pids(k, &c->asked);
        rv_verdict_tell(&c->asked, why);
    }
    return why->reason != RV_REASON_NONE;
}

static void linux_update(struct rv_containerizer *base, const char *id,
                         const struct rv_resources *r, const struct rv_container_limits *limits) {
    struct rv_linux_container *k = find(self(base), id);
    struct rv_error err;

    if (k) {
        k->state.cpu_limit_milli = limits->cpu_milli;
        k->state.mem_limit_bytes = limits->mem_bytes;
    }
    /* A limit that cannot be set now is set as far as the kernel allows; the next update tries
     * again. */
    if (k && k->group && !k->dying && rv_linux_limit(k, r, false, &err))
        return;
}

static int visit(struct rv_containerizer *base, const char *id, const struct rv_container_volume *v,
                 bool attach, struct rv_error *err) {
    const struct rv_linux_container *k = find(self(base), id);

    if (!k || k->dying || k->pidfd < 0)
        return 0; /* with its end its mounts end */
    return rv_linux_visit_volume(k, v, attach, err);
}

static int linux_attach(struct rv_containerizer *base, const char *id,
                        const struct rv_container_volume *v, struct rv_error *err) {
    return visit(base, id, v, true, err);
}

static int linux_detach(struct rv_containerizer *base, const char *id,
                        const struct rv_container_volume *v, struct rv_error *err) {
    return visit(base, id, v, false, err);
}

static char *linux_group(struct rv_containerizer *base, const char *id) {
    struct rv_linux *c = self(base);
    const struct rv_linux_container *k = find(c, id);

    return k && k->group ? rv_cgroup_folder(c->groups, k->group) : NULL;
}

static pid_t linux_pid(struct rv_containerizer *base, const char *id) {
    const struct rv_linux_container *k = find(self(base), id);

    return k && !k->reaped && !k->dying ? k->state.pid : 0;
}

static struct rv_terminal linux_terminal(struct rv_containerizer *base, const char *id) {
    struct rv_linux_container *k = find(self(base), id);

    return k ? rv_terminal_move(&k->report.terminal) : RV_NO_TERMINAL;
}

static int linux_usage(struct rv_containerizer *base, const char *id,
                       struct rv_container_usage *out, struct rv_error *err) {
    struct rv_linux *c = self(base);
    const struct rv_linux_container *k = find(c, id);
    struct timespec now;

    if (!k)
        return rv_error_set(err, RV_ERR_NOT_FOUND, "There is no container '%s'", id);
    *out = (struct rv_container_usage){0};
    if (k->group) {
        rv_cgroup_read_stats(c->groups, k->group, &out->groups);
        out->has_processes = true;
        out->processes = (unsigned)out->groups.processes;
        out->has_threads = (out->groups.has & RV_CGROUP_PIDS) != 0;
        out->threads = (unsigned)out->groups.pids;
    }
    if (!k->dying && k->state.pid > 0)
        out->has_network = rv_network_usage_read(k->state.pid, &out->network);
    clock_gettime(CLOCK_REALTIME, &now);
    out->timestamp_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    return 0;
}

static const char *linux_describe(struct rv_containerizer *base) {
    return self(base)->described.data;
}

/* ---- logs ---- */

static void on_rotated(void *ctx) {
    struct rv_linux *c = ctx;

    c->rotating = false;
    free_if_closed(c);
}

static void on_logs(uv_timer_t *timer) {
    struct rv_linux *c = timer->data;
    struct rv_linux_container *k;
    struct rv_rotation *r;

    if (c->rotating || !rv_map_count(&c->containers))
        return;
    r = rv_rotation_new();
    for (size_t it = 0; rv_map_next(&c->containers, &it, NULL, (void **)&k);)
        if (k->state.directory)
            rv_rotation_add(r, k->state.directory, k->state.log_max_bytes, k->state.log_keep);
    c->rotating = true;
    rv_rotation_run(r, c->loop, on_rotated, c);
}

/* ---- recovery ---- */

/* Opens init if it is still the one of the record. */
static bool open_init(struct rv_linux_container *k) {
    struct rv_proc p;

    if (k->state.pid <= 0)
        return false;
    k->pidfd = (int)syscall(SYS_pidfd_open, k->state.pid, 0);
    if (k->pidfd < 0)
        return false;
    if (rv_proc_read(k->state.pid, &p) && p.start_ticks == k->state.start_ticks &&
        rv_proc_alive(&p))
        return true;
    close(k->pidfd);
    k->pidfd = -1;
    return false;
}

static void recover_one(struct rv_linux *c, const char *records, const char *id,
                        rv_container_wanted wanted, void *ctx) {
    struct rv_container_found found = {.id = id};
    struct rv_container_state state = {0};
    struct rv_linux_container *k;
    bool alive, is_wanted;

    if (rv_container_state_read(records, c->boot_id, id, &state, NULL)) {
        rv_container_state_remove(records, id);
        return;
    }
    k = new_container(c, id, state.own_group);
    k->records = records;
    k->state = state;
    alive = open_init(k);
    k->launched = true;
    k->reaped = !alive;
    k->out_of_memory = true; /* who knows: nobody was there to be told */
    found.directory = state.directory;
    found.started = state.pid > 0;
    found.there = alive || state.has_status;
    is_wanted = state.survive && wanted(ctx, &found);
    if (is_wanted && alive && state.terminal)
        k->report.terminal = rv_terminal_retake(k->pidfd, id);
    if (is_wanted && alive && !watch_all(k, NULL)) {
        uv_timer_start(&k->timer, on_timer, 0, 0); /* has it been killed in the meantime? */
        k->tries = OOM_LOOKS;
        return;
    }
    /* It ended while there was no agent, and said how; or nobody wants it. */
    k->silent = !(is_wanted && found.there);
    rv_linux_look_for_oom(k);
    destroy(k);
}

/* Groups without a record: the agent died at the end of a destroy. */
static int recover_groups(struct rv_linux *c, struct rv_error *err) {
    char **ids = NULL;
    size_t n = 0;
    int rc = rv_cgroup_list(c->groups, &ids, &n, err);

    for (size_t i = 0; i < n; i++) {
        if (!rv_map_gets(&c->containers, ids[i])) {
            struct rv_linux_container *k = new_container(c, ids[i], true);
            k->silent = k->reaped = true;
            destroy(k);
        }
        free(ids[i]);
    }
    free(ids);
    return rc;
}

static int recover_all(struct rv_linux *c, const char *records, rv_container_wanted wanted,
                       void *ctx, struct rv_error *err) {
    char **ids = NULL;
    size_t n = 0;
    int rc = rv_container_state_list(records, &ids, &n, err);

    for (size_t i = 0; i < n; i++) {
        if (!rv_map_gets(&c->containers, ids[i]))
            recover_one(c, records, ids[i], wanted, ctx);
        free(ids[i]);
    }
    free(ids);
    return rc;
}

static int linux_recover(struct rv_containerizer *base, rv_container_wanted wanted, void *ctx,
                         struct rv_error *err) {
    struct rv_linux *c = self(base);
    int rc = recover_all(c, c->state_dir, wanted, ctx, err);

    if (!rc && c->before)
        rc = recover_all(c, c->before, wanted, ctx, err);
    return rc ? rc : recover_groups(c, err);
}

/* ---- life ---- */

static void linux_destroy_all(struct rv_containerizer *base) {
    struct rv_linux *c = self(base);
    struct rv_linux_container *k;
    bool again = true;

    c->closing = true;
    for (size_t it = 0; rv_map_next(&c->containers, &it, NULL, (void **)&k);)
        if (!k->state.survive || k->dying)
            destroy(k);
    for (int i = 0; i < STOP_ROUNDS && again; i++) {
        again = false;
        for (size_t it = 0; rv_map_next(&c->containers, &it, NULL, (void **)&k);) {
            if (!k->dying)
                continue;
            if (clear(k, NULL)) {
                finish(k);
            } else {
                if (++k->tries % KILLED_LONG_AGO == 0)
                    kill_all_of(k);
                again = true;
            }
        }
        if (again)
            usleep(2000);
    }
    for (size_t it = 0; rv_map_next(&c->containers, &it, NULL, (void **)&k);)
        free_container(k);
    rv_map_clear(&c->containers);
    rv_container_state_drop_spares(c->state_dir);
    uv_close((uv_handle_t *)&c->notify, on_closed);
    uv_close((uv_handle_t *)&c->logs, on_closed);
}

static void describe(struct rv_linux *c, const char *name) {
    rv_buf_puts(&c->described, "cgroups ");
    rv_cgroups_describe(c->groups, &c->described);
    rv_buf_printf(&c->described, " in %s", name);
    rv_buf_puts(&c->described, ", namespaces (mnt, pid, ipc, uts, cgroup), seccomp, capabilities, "
                               "no_new_privs");
}

static int prepare(struct rv_linux *c, const struct rv_container_records *records,
                   struct rv_error *err) {
    _cleanup_free_ char *name = rv_asprintf("reeve/%s", records->name);
    int rc = geteuid() == 0
                 ? 0
                 : rv_error_set(err, RV_ERR_PERMISSION, "the linux containerizer needs to be root");

    if (!rc)
        rc = rv_container_states_make(records->folder, err);
    if (!rc)
        rc = rv_seccomp_compile(&c->seccomp, err);
    if (!rc)
        rc = rv_launcher_seal_init(&c->image, err);
    if (!rc)
        rc = rv_linux_open_groups(c, name, err);
    if (!rc)
        rc = rv_linux_find_hierarchies(c, err);
    if (!rc)
        describe(c, name);
    return rc;
}

static int linux_create(uv_loop_t *loop, const struct rv_container_records *records,
                        const struct rv_containerizer_callbacks *cb, void *ctx,
                        struct rv_containerizer **out, struct rv_error *err) {
    struct rv_linux *c = rv_calloc(1, sizeof *c);
    int rc;

    c->base.ops = &rv_linux_containerizer;
    c->loop = loop;
    c->cb = *cb;
    c->ctx = ctx;
    c->image = c->mounts = -1;
    rv_verdict_init(&c->asked);
    rc = prepare(c, records, err);
    if (rc) {
        c->closing = true;
        free_if_closed(c);
        return rc;
    }
    c->state_dir = rv_strdup(records->folder);
    c->before = rv_strdup(records->before);
    rv_linux_containerizer_set(&c->base, &(struct rv_linux_settings){.work_dir = records->folder});
    rv_container_boot_id(c->boot_id);
    rv_container_state_drop_spares(records->folder);
    if (records->before)
        rv_container_state_drop_spares(records->before);
    uv_timer_init(loop, &c->notify);
    uv_timer_init(loop, &c->logs);
    c->notify.data = c->logs.data = c;
    c->handles = 2;
    uv_timer_start(&c->logs, on_logs, LOGS_MS, LOGS_MS);
    *out = &c->base;
    return 0;
}

void rv_linux_containerizer_set(struct rv_containerizer *base, const struct rv_linux_settings *s) {
    struct rv_linux *c = self(base);

    forget_folders(c);
    rv_vec_push(&c->hidden, rv_strdup(s->work_dir));
    if (s->secrets)
        rv_vec_push(&c->hidden, rv_strdup(s->secrets));
    if (s->runtime)
        rv_vec_push(&c->hidden, rv_strdup(s->runtime));
    for (const char *const *p = s->programs; p && *p; p++)
        rv_vec_push(&c->programs, rv_strdup(*p));
    c->executor = rv_strdup(s->executor);
    c->tmp_bytes = s->tmp_bytes ? s->tmp_bytes : DEFAULT_TMP;
    c->shm_bytes = s->shm_bytes ? s->shm_bytes : DEFAULT_TMP;
    c->give_up_ms = s->give_up_ms ? s->give_up_ms : (uint64_t)DEFAULT_GIVE_UP_MS;
    c->pids_max = s->pids_max ? s->pids_max : DEFAULT_PIDS;
    c->cpu_quota = s->cpu_quota;
}

const struct rv_containerizer_ops rv_linux_containerizer = {
    .name = "linux",
    .create = linux_create,
    .destroy_all = linux_destroy_all,
    .recover = linux_recover,
    .launch = linux_launch,
    .destroy = linux_destroy,
    .limit = linux_limit,
    .is_limited = linux_is_limited,
    .update = linux_update,
    .attach = linux_attach,
    .detach = linux_detach,
    .usage = linux_usage,
    .group = linux_group,
    .pid = linux_pid,
    .terminal = linux_terminal,
    .describe = linux_describe,
};
