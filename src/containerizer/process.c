/*
 * The `process` containerizer: a container is a session of its own and all that came of it, without
 * isolation. The end of its first process ends it: what is left is killed.
 *
 * Holds: every container in the map was launched and has not been reported as ended; a container
 * is reported when a snapshot of the machine shows nothing of it. The first process stays a zombie
 * until then, so that its number, which is the session's, is not given away. Callbacks are made
 * from the loop only, never from within a call, and the map may change under them.
 *
 * Costs: a launch, some 400 us; an end, a share of one look at all processes, at most 50 of these a
 * second however many containers end.
 *
 * Who belongs to a container: its session; the descendants of these (the first process is a
 * subreaper, so orphans stay below it while it lives); and orphans outside of it that carry the
 * sandbox's path in their environment or work in there.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/vec.h"
#include "containerizer/containerizer.h"
#include "containerizer/keeper.h"
#include "containerizer/launcher.h"
#include "containerizer/proctree.h"
#include "containerizer/rotation.h"
#include "containerizer/sandbox.h"
#include "containerizer/spawn.h"
#include "containerizer/state.h"
#include "containerizer/verdict.h"
#include "containerizer/volume_links.h"

enum {
    SWEEP_MS = 20,     /* least time between two looks at all processes for ended containers */
    USAGE_MS = 1000,   /* how old a snapshot may be that usage is read from */
    LOGS_MS = 2000,    /* between two looks at the logs */
    STOP_ROUNDS = 400, /* destroy_all: 5 ms each */
    MAX_ANCESTORS = 64,
    DEFAULT_LOG_MAX = 10 * 1024 * 1024,
};

struct processes;

struct container {
    struct processes *c;
    char *id;
    const char *records;             /* the folder that its record is in */
    struct rv_container_state state; /* as on disk; with the directory */
    int pidfd;                       /* -1: none; the first process is known to be dead */
    uv_poll_t poll;
    bool silent;                 /* nobody wants to hear of its end */
    bool dying;                  /* all of it is to be killed */
    bool by_init;                /* whose record tells how it ended */
    struct rv_terminal terminal; /* until it is taken */
    bool is_child, gone, has_status;
    bool destroyed; /* it lived when it was to be killed */
    int wait_status;
    struct rv_verdict verdict;
    struct rv_container_usage usage; /* when last looked at */
};

struct notice {
    char *id, *message;
    bool ok;
};

struct processes {
    struct rv_containerizer base;
    uv_loop_t *loop;
    struct rv_containerizer_callbacks cb;
    void *ctx;
    char *state_dir, *before; /* folders of records; before: of an earlier agent, or NULL */
    char boot_id[64];
    int image;                /* init's program, once it was needed, or -1 */
    struct rv_map containers; /* by id */
    struct rv_map doomed;     /* of an earlier agent, silently killed; by id */
    RV_VEC(struct notice) notices;
    uv_timer_t notify, sweep, logs;
    uint64_t swept_ms;
    uint64_t seen_ms; /* when usage was looked at */
    bool rotating, closing;
    unsigned handles; /* that are open */
};

static struct processes *self(struct rv_containerizer *c) {
    return RV_CONTAINER_OF(c, struct processes, base);
}

/* ---- memory ---- */

static void free_if_closed(struct processes *c) {
    if (!c->closing || c->handles || c->rotating)
        return;
    for (size_t i = 0; i < c->notices.n; i++) {
        free(c->notices.v[i].id);
        free(c->notices.v[i].message);
    }
    rv_vec_free(&c->notices);
    rv_map_free(&c->containers);
    rv_map_free(&c->doomed);
    if (c->image >= 0)
        close(c->image);
    free(c->state_dir);
    free(c->before);
    free(c);
}

static void on_timer_closed(uv_handle_t *handle) {
    struct processes *c = handle->data;

    c->handles--;
    free_if_closed(c);
}

static void release(struct container *k) {
    rv_terminal_close(&k->terminal);
    rv_verdict_free(&k->verdict);
    free(k->state.directory);
    free(k->id);
    free(k);
}

static void on_poll_closed(uv_handle_t *handle) {
    struct container *k = handle->data;
    struct processes *c = k->c;

    close(k->pidfd);
    release(k);
    c->handles--;
    free_if_closed(c);
}

/* It is in no map any more. */
static void free_container(struct container *k) {
    if (k->pidfd >= 0) {
        uv_close((uv_handle_t *)&k->poll, on_poll_closed);
        return;
    }
    release(k);
}

static struct container *find(const struct processes *c, const char *id) {
    return rv_map_gets(&c->containers, id);
}

/* ---- what belongs to whom ---- */

struct container_list {
    struct container **v;
    size_t n, cap;
};

struct marking {
    struct container **targets; /* owner is the index here */
    size_t n;
    const pid_t *sessions; /* of containers that are not targets, ascending */
    size_t n_sessions;
    pid_t ancestors[MAX_ANCESTORS];
    size_t n_ancestors;
};

static int compare_pids(const void *a, const void *b) {
    pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

    return (x > y) - (x < y);
}

static bool is_session_of_others(const struct marking *m, pid_t session) {
    return m->n_sessions &&
           bsearch(&session, m->sessions, m->n_sessions, sizeof session, compare_pids);
}

/* Orphans go to init or to a subreaper between it and us; that is, to an ancestor of ours. */
static bool is_orphan(const struct marking *m, const struct rv_proctree *t,
                      const struct rv_proc *p) {
    const struct rv_proc *parent;

    for (size_t i = 0; i < m->n_ancestors; i++) {
        if (m->ancestors[i] != p->ppid)
            continue;
        /* Every container starts with a new session: whoever shares the parent's is not of one. */
        parent = rv_proctree_find(t, p->ppid);
        return !parent || parent->session != p->session;
    }
    return false;
}

static void mark_orphans(const struct marking *m, struct rv_proctree *t) {
    uint64_t oldest = UINT64_MAX;

    for (size_t i = 0; i < m->n; i++)
        oldest = RV_MIN(oldest, m->targets[i]->state.start_ticks);
    for (size_t i = 0; i < t->n; i++) {
        struct rv_proc *p = &t->v[i];
        if (p->owner >= 0 || p->start_ticks < oldest || !rv_proc_alive(p) ||
            is_session_of_others(m, p->session) || !is_orphan(m, t, p))
            continue;
        for (size_t k = 0; k < m->n; k++) {
            if (rv_proc_mentions(p->pid, m->targets[k]->state.directory)) {
                p->owner = (int)k;
                break;
            }
        }
    }
}

static void find_ancestors(struct marking *m, const struct rv_proctree *t) {
    const struct rv_proc *p;

    m->n_ancestors = 0;
    for (pid_t pid = getpid(); pid > 0 && m->n_ancestors < MAX_ANCESTORS; pid = p->ppid) {
        m->ancestors[m->n_ancestors++] = pid;
        p = rv_proctree_find(t, pid);
        if (!p)
            break;
    }
}

static int by_pid(const void *a, const void *b) {
    const struct container *const *x = a, *const *y = b;

    return ((*x)->state.pid > (*y)->state.pid) - ((*x)->state.pid < (*y)->state.pid);
}

static int find_target(const struct marking *m, pid_t session) {
    size_t low = 0, high = m->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->targets[middle]->state.pid == session)
            return (int)middle;
        if (m->targets[middle]->state.pid < session)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* targets are sorted by pid. */
static void mark_sessions(const struct marking *m, struct rv_proctree *t) {
    for (size_t i = 0; i < t->n; i++) {
        struct rv_proc *p = &t->v[i];
        int owner = p->session > 0 ? find_target(m, p->session) : -1;
        const struct rv_proc *first;
        if (owner < 0)
            continue;
        /* A session that has members keeps its number; so if another process has it by now, the
         * session is that one's, not the container's. */
        first = rv_proctree_find(t, p->session);
        if (!first || first->start_ticks == m->targets[owner]->state.start_ticks)
            p->owner = owner;
    }
    rv_proctree_spread(t);
}

static void mark(void *ctx, struct rv_proctree *t) {
    struct marking *m = ctx;

    find_ancestors(m, t);
    mark_sessions(m, t);
    mark_orphans(m, t);
}

/* ---- the end of containers ---- */

static void tell_launched(struct processes *c) {
    while (c->notices.n && !c->closing) {
        struct notice n = c->notices.v[0];
        rv_vec_remove_at(&c->notices, 0);
        c->cb.on_launched(c->ctx, n.id, n.ok, n.message);
        free(n.id);
        free(n.message);
    }
}

static void on_notify(uv_timer_t *timer) {
    tell_launched(timer->data);
}

static void wait_for(struct container *k) {
    pid_t got;

    do
        got = waitpid(k->state.pid, &k->wait_status, WNOHANG);
    while (got < 0 && errno == EINTR);
    k->has_status = got == k->state.pid;
}

/* Nothing is left of it. */
static void learn_status(struct container *k) {
    struct rv_container_state kept = {0};

    if (k->is_child)
        wait_for(k); /* in any case, so that no zombie stays */
    if (k->by_init && rv_container_state_read(k->records, k->c->boot_id, k->id, &kept, NULL) == 0 &&
        kept.has_status) {
        k->has_status = true;
        k->wait_status = kept.wait_status;
    }
    free(kept.directory);
    /* That of another's child is known only if it was us who killed it. */
    if (!k->has_status && k->destroyed) {
        k->has_status = true;
        k->wait_status = SIGKILL;
    }
}

static void collect(const struct rv_map *from, bool dying, struct marking *m,
                    struct container_list *targets, pid_t **sessions) {
    struct container *k;

    for (size_t it = 0; rv_map_next(from, &it, NULL, (void **)&k);) {
        if (k->dying == dying)
            rv_vec_push(targets, k);
        else
            (*sessions)[m->n_sessions++] = k->state.pid;
    }
}

/* Kills once more all that is left of the dying; those with nothing left are moved to `ended`. */
static size_t kill_dying(struct processes *c, struct container_list *ended) {
    size_t count = rv_map_count(&c->containers) + rv_map_count(&c->doomed), left = 0;
    pid_t *sessions = rv_calloc(count + 1, sizeof *sessions);
    size_t *alive = rv_calloc(count + 1, sizeof *alive);
    struct container_list targets = {0};
    struct rv_proctree t = {0};
    struct marking m = {0};

    collect(&c->containers, true, &m, &targets, &sessions);
    collect(&c->doomed, true, &m, &targets, &sessions);
    if (targets.n) {
        qsort(targets.v, targets.n, sizeof *targets.v, by_pid);
        qsort(sessions, m.n_sessions, sizeof *sessions, compare_pids);
        m.targets = targets.v;
        m.n = targets.n;
        m.sessions = sessions;
        rv_proctree_kill(&t, mark, &m);
    }
    for (size_t i = 0; i < t.n; i++)
        if (t.v[i].owner >= 0 && rv_proc_alive(&t.v[i]))
            alive[t.v[i].owner]++;
    for (size_t i = 0; i < targets.n; i++) {
        if (alive[i]) {
            left++;
            continue;
        }
        rv_map_remove(&c->containers, rv_str(targets.v[i]->id));
        rv_map_remove(&c->doomed, rv_str(targets.v[i]->id));
        rv_vec_push(ended, targets.v[i]);
    }
    rv_proctree_free(&t);
    rv_vec_free(&targets);
    free(sessions);
    free(alive);
    return left;
}

static void on_sweep(uv_timer_t *timer);

static void schedule_sweep(struct processes *c) {
    uint64_t now = uv_now(c->loop), at = c->swept_ms + SWEEP_MS;

    if (!c->closing && !uv_is_active((uv_handle_t *)&c->sweep))
        uv_timer_start(&c->sweep, on_sweep, at > now ? at - now : 0, 0);
}

static void on_sweep(uv_timer_t *timer) {
    struct processes *c = timer->data;
    struct container_list ended = {0};

    uv_update_time(c->loop);
    if (kill_dying(c, &ended) > 0) {
        c->swept_ms = uv_now(c->loop);
        schedule_sweep(c);
    }
    c->swept_ms = uv_now(c->loop);
    tell_launched(c);
    for (size_t i = 0; i < ended.n; i++) {
        struct container *k = ended.v[i];
        learn_status(k);
        if (!k->silent && !c->closing) {
            struct rv_container_end end = {.has_status = k->has_status,
                                           .wait_status = k->wait_status};
            rv_verdict_tell(&k->verdict, &end);
            c->cb.on_exited(c->ctx, k->id, &end);
        }
        /* Only now: until the caller has written down what it must, the next agent finds it here.
         */
        rv_container_state_remove(k->records, k->id);
        free_container(k);
    }
    rv_vec_free(&ended);
}

static void kill_all_of(struct container *k) {
    k->dying = true;
    schedule_sweep(k->c);
}

static void on_exit_of_first(uv_poll_t *poll, int status, int events) {
    struct container *k = poll->data;

    (void)status;
    (void)events;
    uv_poll_stop(poll);
    k->gone = true;
    kill_all_of(k);
}

static int watch(struct container *k, struct rv_error *err) {
    int rc = uv_poll_init(k->c->loop, &k->poll, k->pidfd);

    if (!rc) {
        k->poll.data = k;
        rc = uv_poll_start(&k->poll, UV_READABLE, on_exit_of_first);
        k->c->handles++;
        if (!rc)
            return 0;
        return rv_error_set(err, RV_ERR_IO, "uv_poll_start: %s", uv_strerror(rc));
    }
    close(k->pidfd);
    k->pidfd = -1;
    return rv_error_set(err, RV_ERR_IO, "uv_poll_init: %s", uv_strerror(rc));
}

/* ---- launch ---- */

/* The caller's descriptors, which the container's user may open again by name. */
static int take_stdio(const int stdio[3], const struct rv_sandbox_user *user, int fds[3],
                      struct rv_error *err) {
    for (int i = 0; i < 3; i++) {
        fds[i] = fcntl(stdio[i], F_DUPFD_CLOEXEC, 3);
        if (fds[i] < 0 || (user->differs && fchown(fds[i], user->uid, user->gid) != 0))
            return rv_error_set(err, RV_ERR_IO, "standard input and output: %s", strerror(errno));
    }
    return 0;
}

/* Once there is a process. */
static int record(void *ctx, pid_t pid, struct rv_error *err) {
    struct container *k = ctx;
    struct rv_proc first;

    k->is_child = true;
    k->state.pid = pid;
    /* It is there, if only as a zombie: nobody has waited for it. */
    if (rv_proc_read(pid, &first))
        k->state.start_ticks = first.start_ticks;
    return rv_container_state_write(k->records, k->c->boot_id, k->id, &k->state, err);
}

static int start_directly(struct container *k, const struct rv_container_config *config,
                          const struct rv_sandbox_user *user, const int fds[3],
                          struct rv_error *err) {
    const char *directory = config->work_directory ? config->work_directory : config->directory;
    struct rv_spawn spawn = {.argv = config->argv,
                             .program = config->program,
                             .env = config->env,
                             .directory = rv_folder_open(directory, err),
                             .fds = {fds[0], fds[1], fds[2]},
                             .reaps = true,
                             .switch_user = user->differs,
                             .uid = user->uid,
                             .gid = user->gid,
                             .groups = user->groups,
                             .n_groups = (size_t)user->n_groups};
    pid_t pid;
    int rc;

    if (spawn.directory < 0)
        return spawn.directory;
    rc = rv_spawn(&spawn, &pid, &k->pidfd, err);
    close(spawn.directory);
    return rc ? rc : record(k, pid, err);
}

static int start_below_init(struct container *k, const struct rv_container_config *config,
                            const struct rv_sandbox_user *user, const int fds[3],
                            struct rv_error *err) {
    struct processes *c = k->c;
    struct rv_keeper keeper = {.config = config,
                               .user = user,
                               .fds = {fds[0], fds[1], fds[2]},
                               .record = record,
                               .ctx = k};
    pid_t pid;
    int rc = 0;

    if (c->image < 0)
        rc = rv_launcher_seal_init(&c->image, err);
    if (rc)
        return rc;
    keeper.image = c->image;
    keeper.status = rv_container_state_open(k->records, k->id, err);
    if (keeper.status < 0)
        return keeper.status;
    k->by_init = true;
    rc = rv_keeper_start(&keeper, &pid, &k->pidfd, &k->terminal, err);
    close(keeper.status);
    return rc;
}

static int link_volumes(const struct rv_container_config *config, struct rv_error *err) {
    const struct rv_container_isolation *i = config->isolation;
    int rc = 0;

    for (size_t n = 0; i && n < i->n_volumes && !rc; n++)
        if (i->volumes[n].source == RV_VOLUME_KEPT)
            rc = rv_volume_link(config->directory, &i->volumes[n], err);
    return rc;
}

static int start(struct container *k, const struct rv_container_config *config,
                 struct rv_error *err) {
    int fds[3] = {-1, -1, -1}, sandbox = -1, rc;
    struct rv_sandbox_user user;

    rc = rv_sandbox_find_user(config->user, &user, err);
    if (!rc)
        rc = rv_sandbox_make(config->directory, &user, &sandbox, err);
    if (!rc)
        rc = link_volumes(config, err);
    /* Before it runs, so that an agent that dies in between still finds it, by its sandbox. */
    if (!rc)
        rc = rv_container_state_write(k->records, k->c->boot_id, k->id, &k->state, err);
    if (!rc && config->stdio)
        rc = take_stdio(config->stdio, &user, fds, err);
    else if (!rc)
        rc = rv_sandbox_open_files(sandbox, &user, fds, err);
    if (!rc && (config->keep_status || config->tty))
        rc = start_below_init(k, config, &user, fds, err);
    else if (!rc)
        rc = start_directly(k, config, &user, fds, err);
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (sandbox >= 0)
        close(sandbox);
    if (rc && !k->is_child) {
        rv_container_state_remove(k->records, k->id);
        return rc;
    }
    if (!rc)
        rc = watch(k, err);
    if (rc) {
        /* Cannot be kept: it is killed, and nobody hears of its end but by the failed launch. */
        k->silent = true;
        kill(k->state.pid, SIGKILL);
    }
    return rc;
}

static void notice(struct processes *c, const char *id, const struct rv_error *err) {
    struct notice n = {.id = rv_strdup(id), .ok = !err};

    n.message = err ? rv_strdup(err->message) : NULL;
    rv_vec_push(&c->notices, n);
    uv_timer_start(&c->notify, on_notify, 0, 0);
}

static void process_launch(struct rv_containerizer *base,
                           const struct rv_container_config *config) {
    struct processes *c = self(base);
    struct rv_error err = {0};
    struct container *k;
    int rc;

    if (!rv_container_id_fits(config->id) || find(c, config->id) ||
        rv_map_gets(&c->doomed, config->id)) {
        rv_error_set(&err, RV_ERR_INVALID, "'%s' cannot be the id of a new container", config->id);
        notice(c, config->id, &err);
        return;
    }
    if (!config->argv || !config->argv[0] || !config->directory || config->directory[0] != '/') {
        rv_error_set(&err, RV_ERR_INVALID, "A container needs a command and an absolute sandbox");
        notice(c, config->id, &err);
        return;
    }
    k = rv_calloc(1, sizeof *k);
    k->c = c;
    k->id = rv_strdup(config->id);
    k->records = c->state_dir;
    k->pidfd = -1;
    k->terminal = RV_NO_TERMINAL;
    rv_verdict_init(&k->verdict);
    k->state.directory = rv_strdup(config->directory);
    k->state.survive = config->survive;
    k->state.terminal = config->tty && config->survive;
    k->state.log_max_bytes = config->log_max_bytes ? config->log_max_bytes : DEFAULT_LOG_MAX;
    k->state.log_keep = config->log_keep;
    rc = start(k, config, &err);
    notice(c, config->id, rc ? &err : NULL);
    if (rc && k->state.pid == 0) {
        free_container(k);
        return;
    }
    rv_map_put(rc ? &c->doomed : &c->containers, rv_str(k->id), k);
    if (rc)
        kill_all_of(k);
}

static void process_destroy(struct rv_containerizer *base, const char *id) {
    struct container *k = find(self(base), id);

    if (k && !k->dying) {
        k->destroyed = !k->gone;
        kill_all_of(k);
    }
}

static void process_limit(struct rv_containerizer *base, const char *id,
                          const struct rv_container_end *why) {
    struct container *k = find(self(base), id);

    if (k && !k->dying) {
        rv_verdict_set(&k->verdict, why);
        process_destroy(base, id);
    }
}

/* Nothing is limited by the kernel here. */
static bool process_is_limited(struct rv_containerizer *base, const char *id, bool failed,
                               struct rv_container_end *why) {
    (void)base;
    (void)id;
    (void)failed;
    (void)why;
    return false;
}

static void process_update(struct rv_containerizer *base, const char *id,
                           const struct rv_resources *r, const struct rv_container_limits *limits) {
    /* Nothing is limited here, so there is nothing to change. */
    (void)base;
    (void)id;
    (void)r;
    (void)limits;
}

static int process_attach(struct rv_containerizer *base, const char *id,
                          const struct rv_container_volume *v, struct rv_error *err) {
    const struct container *k = find(self(base), id);

    return k ? rv_volume_link(k->state.directory, v, err) : 0;
}

static int process_detach(struct rv_containerizer *base, const char *id,
                          const struct rv_container_volume *v, struct rv_error *err) {
    const struct container *k = find(self(base), id);

    return k ? rv_volume_unlink(k->state.directory, v, err) : 0;
}

static char *process_group(struct rv_containerizer *base, const char *id) {
    (void)base;
    (void)id;
    return NULL;
}

static pid_t process_pid(struct rv_containerizer *base, const char *id) {
    const struct container *k = find(self(base), id);

    return k && !k->gone ? k->state.pid : 0;
}

static struct rv_terminal process_terminal(struct rv_containerizer *base, const char *id) {
    struct container *k = find(self(base), id);

    return k ? rv_terminal_move(&k->terminal) : RV_NO_TERMINAL;
}

static const char *process_describe(struct rv_containerizer *base) {
    (void)base;
    return "no isolation";
}

/* ---- usage ---- */

static void add_usage(const struct rv_proc *p, struct rv_container_usage *u) {
    double ticks = (double)sysconf(_SC_CLK_TCK);

    u->groups.cpu_user_s += (double)p->user_ticks / ticks;
    u->groups.cpu_system_s += (double)p->system_ticks / ticks;
    if (!rv_proc_alive(p))
        return;
    u->processes++;
    u->threads += p->threads;
    u->groups.mem_rss += p->rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    u->groups.mem_total = u->groups.mem_rss;
}

/* What is not known of a process is UINT64_MAX. */
static const struct rv_container_usage no_usage = {
    .has_processes = true,
    .has_threads = true,
    .groups = {.has = RV_CGROUP_CPU | RV_CGROUP_MEMORY,
               .cpu_request_milli = -1,
               .cpu_limit_milli = -1,
               .mem_cache = UINT64_MAX,
               .mem_mapped = UINT64_MAX,
               .mem_swap = UINT64_MAX,
               .mem_unevictable = UINT64_MAX,
               .mem_anon = UINT64_MAX,
               .mem_file = UINT64_MAX,
               .mem_limit = UINT64_MAX,
               .mem_soft_limit = UINT64_MAX,
               .mem_kernel = UINT64_MAX,
               .mem_kernel_tcp = UINT64_MAX,
               .mem_with_swap = UINT64_MAX}};

/* One snapshot of the machine tells of all. */
static void look(struct processes *c) {
    struct marking m = {0};
    struct container_list targets = {0};
    struct rv_proctree t = {0};
    struct timespec now;
    struct container *k;

    rv_proctree_scan(&t);
    for (size_t it = 0; rv_map_next(&c->containers, &it, NULL, (void **)&k);)
        rv_vec_push(&targets, k);
    if (targets.n)
        qsort(targets.v, targets.n, sizeof *targets.v, by_pid);
    clock_gettime(CLOCK_REALTIME, &now);
    for (size_t i = 0; i < targets.n; i++) {
        targets.v[i]->usage = no_usage;
        targets.v[i]->usage.timestamp_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }
    m.targets = targets.v;
    m.n = targets.n;
    mark_sessions(&m, &t);
    for (size_t i = 0; i < t.n; i++)
        if (t.v[i].owner >= 0)
            add_usage(&t.v[i], &targets.v[t.v[i].owner]->usage);
    rv_proctree_free(&t);
    rv_vec_free(&targets);
    c->seen_ms = uv_now(c->loop);
}

static int process_usage(struct rv_containerizer *base, const char *id,
                         struct rv_container_usage *out, struct rv_error *err) {
    struct processes *c = self(base);
    const struct container *k = find(c, id);

    if (!k)
        return rv_error_set(err, RV_ERR_NOT_FOUND, "There is no container '%s'", id);
    if (!k->usage.timestamp_ns || uv_now(c->loop) - c->seen_ms > USAGE_MS)
        look(c);
    *out = k->usage;
    return 0;
}

/* ---- logs ---- */

static void on_rotated(void *ctx) {
    struct processes *c = ctx;

    c->rotating = false;
    free_if_closed(c);
}

static void on_logs(uv_timer_t *timer) {
    struct processes *c = timer->data;
    struct rv_rotation *r;
    struct container *k;

    if (c->rotating || !rv_map_count(&c->containers))
        return;
    r = rv_rotation_new();
    for (size_t it = 0; rv_map_next(&c->containers, &it, NULL, (void **)&k);)
        rv_rotation_add(r, k->state.directory, k->state.log_max_bytes, k->state.log_keep);
    c->rotating = true;
    rv_rotation_run(r, c->loop, on_rotated, c);
}

/* ---- recovery ---- */

/* Opens the first process if it is still the one of the record. */
static bool open_first(struct container *k) {
    struct rv_proc p;

    if (k->state.pid <= 0)
        return false;
    k->pidfd = (int)syscall(SYS_pidfd_open, k->state.pid, 0);
    if (k->pidfd < 0)
        return false;
    if (rv_proc_read(k->state.pid, &p) && p.start_ticks == k->state.start_ticks &&
        rv_proc_alive(&p) && watch(k, NULL) == 0)
        return true;
    if (k->pidfd >= 0 && !k->poll.data) {
        close(k->pidfd);
        k->pidfd = -1;
    }
    return false;
}

static void recover_one(struct processes *c, const char *records, const char *id,
                        rv_container_wanted wanted, void *ctx) {
    struct rv_container_found found = {.id = id};
    struct container *k = rv_calloc(1, sizeof *k);

    k->c = c;
    k->pidfd = -1;
    k->terminal = RV_NO_TERMINAL;
    rv_verdict_init(&k->verdict);
    k->records = records;
    if (rv_container_state_read(records, c->boot_id, id, &k->state, NULL)) {
        rv_container_state_remove(records, id);
        free(k);
        return;
    }
    k->id = rv_strdup(id);
    k->by_init = true; /* who knows: if not, its record will tell nothing */
    k->gone = !open_first(k);
    found.directory = k->state.directory;
    found.started = k->state.pid > 0;
    found.there = !k->gone || k->state.has_status;
    k->silent = !(k->state.survive && wanted(ctx, &found) && found.there);
    if (!k->silent && !k->gone && k->state.terminal)
        k->terminal = rv_terminal_retake(k->pidfd, id);
    rv_map_put(k->silent ? &c->doomed : &c->containers, rv_str(id), k);
    if (k->silent || k->gone)
        kill_all_of(k);
}

static int recover_all(struct processes *c, const char *records, rv_container_wanted wanted,
                       void *ctx, struct rv_error *err) {
    char **ids = NULL;
    size_t n = 0;
    int rc = rv_container_state_list(records, &ids, &n, err);

    for (size_t i = 0; i < n; i++) {
        if (!find(c, ids[i]) && !rv_map_gets(&c->doomed, ids[i]))
            recover_one(c, records, ids[i], wanted, ctx);
        free(ids[i]);
    }
    free(ids);
    return rc;
}

static int process_recover(struct rv_containerizer *base, rv_container_wanted wanted, void *ctx,
                           struct rv_error *err) {
    struct processes *c = self(base);
    int rc = recover_all(c, c->state_dir, wanted, ctx, err);

    return rc || !c->before ? rc : recover_all(c, c->before, wanted, ctx, err);
}

/* ---- life ---- */

static void process_destroy_all(struct rv_containerizer *base) {
    struct processes *c = self(base);
    struct container_list ended = {0};
    struct container *k;

    c->closing = true;
    for (size_t it = 0; rv_map_next(&c->containers, &it, NULL, (void **)&k);)
        k->dying = k->dying || !k->state.survive;
    for (int i = 0; i < STOP_ROUNDS && kill_dying(c, &ended) > 0; i++)
        usleep(5000);
    for (size_t it = 0; rv_map_next(&c->containers, &it, NULL, (void **)&k);)
        rv_vec_push(&ended, k);
    for (size_t it = 0; rv_map_next(&c->doomed, &it, NULL, (void **)&k);)
        rv_vec_push(&ended, k);
    rv_map_clear(&c->containers);
    rv_map_clear(&c->doomed);
    for (size_t i = 0; i < ended.n; i++) {
        k = ended.v[i];
        if (k->dying) {
            if (k->is_child)
                wait_for(k);
            rv_container_state_remove(k->records, k->id);
        }
        free_container(k);
    }
    rv_vec_free(&ended);
    uv_close((uv_handle_t *)&c->notify, on_timer_closed);
    uv_close((uv_handle_t *)&c->sweep, on_timer_closed);
    uv_close((uv_handle_t *)&c->logs, on_timer_closed);
}

static int process_create(uv_loop_t *loop, const struct rv_container_records *records,
                          const struct rv_containerizer_callbacks *cb, void *ctx,
                          struct rv_containerizer **out, struct rv_error *err) {
    struct processes *c;
    int rc = rv_container_states_make(records->folder, err);

    if (rc)
        return rc;
    c = rv_calloc(1, sizeof *c);
    c->base.ops = &rv_process_containerizer;
    c->loop = loop;
    c->cb = *cb;
    c->ctx = ctx;
    c->image = -1;
    c->state_dir = rv_strdup(records->folder);
    c->before = rv_strdup(records->before);
    rv_container_boot_id(c->boot_id);
    uv_timer_init(loop, &c->notify);
    uv_timer_init(loop, &c->sweep);
    uv_timer_init(loop, &c->logs);
    c->notify.data = c->sweep.data = c->logs.data = c;
    c->handles = 3;
    uv_timer_start(&c->logs, on_logs, LOGS_MS, LOGS_MS);
    *out = &c->base;
    return 0;
}

const struct rv_containerizer_ops rv_process_containerizer = {
    .name = "process",
    .create = process_create,
    .destroy_all = process_destroy_all,
    .recover = process_recover,
    .launch = process_launch,
    .destroy = process_destroy,
    .limit = process_limit,
    .is_limited = process_is_limited,
    .update = process_update,
    .attach = process_attach,
    .detach = process_detach,
    .usage = process_usage,
    .group = process_group,
    .pid = process_pid,
    .terminal = process_terminal,
    .describe = process_describe,
};
