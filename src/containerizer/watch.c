/*
 * The watch, see watch.h. A look is a list of questions that the loop makes and the thread answers
 * in order; one look is under way at a time, and what has changed meanwhile is for the next. Holds:
 * the thread sees only its look, the project quotas and `stop`; entries are the loop's.
 *
 * Costs: a look copies the paths of all containers, some 10 us for 100; how long the thread takes
 * is the number of files.
 */
#include "containerizer/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fixed.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/vec.h"
#include "containerizer/disk_usage.h"
#include "containerizer/ports.h"
#include "containerizer/project_quota.h"

#define MIB ((uint64_t)1 << 20)

enum {
    FRESH_MS = 1000, /* after which a new container is looked at, and not only with all */
    NICE = 10,
    IO_PRIORITY = 2 << 13 | 7, /* best effort, the lowest */
    IO_OF_PROCESS = 1,
    HEADROOM = 10 << 20, /* bytes over its quota at which the kernel refuses more */
};

struct entry {
    char *id, *directory;
    uint32_t project; /* 0: none */
    struct rv_watch_disk disk;
    struct rv_ranges ports;
};

/* Of one container; what is not asked for is NULL. */
struct question {
    char *id;
    char *directory;
    uint32_t project;
    char *group; /* whose ports */
    struct rv_ranges allowed;
    /* answers */
    bool has_used;
    uint64_t used_bytes;
    struct rv_ranges unallowed;
};

struct rv_watch {
    uv_loop_t *loop;
    struct rv_containerizer *containerizer;
    bool enforce_disk, enforce_ports, has_only;
    struct rv_ranges only;
    uint64_t disk_interval_ms, ports_interval_ms;
    struct rv_project_quota *quota; /* NULL: there is none */
    char *described;
    struct rv_map entries; /* by id */
    uv_timer_t disk_timer, ports_timer, fresh_timer;
    bool disk_due, ports_due, fresh_due, closing;
    unsigned handles;
    uv_async_t answered;
    uv_thread_t thread;
    bool has_thread;
    uv_mutex_t lock; /* of what follows */
    uv_cond_t asked;
    RV_VEC(struct question) look;
    bool looking; /* the thread has it */
    atomic_bool stop;
};

/* ---- the thread ---- */

static void count_disk(struct rv_watch *w, struct question *q) {
    if (!q->directory)
        return;
    q->has_used = (q->project ? rv_project_quota_usage(w->quota, q->project, &q->used_bytes, NULL)
                              : rv_disk_usage(q->directory, &w->stop, &q->used_bytes, NULL)) == 0;
}

static void find_ports(const struct rv_listeners *listeners, struct question *q) {
    if (!q->group)
        return;
    rv_listeners_of(listeners, q->group, &q->unallowed);
    rv_ranges_subtract(&q->unallowed, &q->allowed);
}

static void answer_all(struct rv_watch *w) {
    struct rv_listeners listeners = {0};
    struct rv_error err;
    bool ports = false;

    for (size_t i = 0; i < w->look.n; i++)
        ports = ports || w->look.v[i].group;
    if (ports && rv_listeners_find(&listeners, w->has_only ? &w->only : NULL, &err))
        RV_WARN("agent", "the ports of containers are not watched: %s", err.message);
    for (size_t i = 0; i < w->look.n && !atomic_load(&w->stop); i++) {
        find_ports(&listeners, &w->look.v[i]);
        count_disk(w, &w->look.v[i]);
    }
    rv_listeners_free(&listeners);
}

static void run(void *ctx) {
    struct rv_watch *w = ctx;

    /* Of this thread alone. Nothing is lost but speed if it cannot be had. */
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
    syscall(SYS_ioprio_set, IO_OF_PROCESS, 0, IO_PRIORITY);
    uv_mutex_lock(&w->lock);
    while (!atomic_load(&w->stop)) {
        if (!w->looking) {
            uv_cond_wait(&w->asked, &w->lock);
            continue;
        }
        /* The look is the thread's as long as it is set. */
        uv_mutex_unlock(&w->lock);
        answer_all(w);
        uv_mutex_lock(&w->lock);
        w->looking = false;
        uv_async_send(&w->answered);
    }
    uv_mutex_unlock(&w->lock);
}

/* ---- limits that were gone over ---- */

static void over_disk(struct rv_watch *w, const struct entry *e) {
    struct rv_container_end why = {.reason = RV_REASON_CONTAINER_LIMITATION_DISK};
    _cleanup_(rv_resources_free) struct rv_resources over = {0};
    _cleanup_free_ char *message = NULL;

    if (!w->enforce_disk || !e->disk.has_used || !e->disk.has_limit ||
        e->disk.used_bytes <= e->disk.limit_bytes)
        return;
    message = rv_asprintf("Disk limit exceeded: limit %llu KiB, used %llu KiB",
                          (unsigned long long)(e->disk.limit_bytes >> 10),
                          (unsigned long long)(e->disk.used_bytes >> 10));
    rv_resources_add_scalar(&over, "disk",
                            (int64_t)(e->disk.used_bytes >> 10) * RV_FIXED_ONE / 1024);
    why.message = message;
    why.limitation = &over;
    w->containerizer->ops->limit(w->containerizer, e->id, &why);
}

static void over_ports(struct rv_watch *w, const struct entry *e, const struct rv_ranges *ports) {
    struct rv_container_end why = {.reason = RV_REASON_CONTAINER_LIMITATION};
    _cleanup_(rv_resources_free) struct rv_resources over = {0};
    _cleanup_(rv_buf_free) struct rv_buf text = {0}, message = {0};

    if (!ports->n)
        return;
    rv_ranges_format(ports, &text);
    rv_buf_printf(&message, "It listens on ports that it has not got: %s", text.data);
    why.message = message.data;
    rv_buf_clear(&text);
    rv_buf_puts(&text, "ports:");
    rv_ranges_format(ports, &text);
    if (rv_resources_parse(text.data, "*", &over, NULL) == 0)
        why.limitation = &over;
    w->containerizer->ops->limit(w->containerizer, e->id, &why);
}

static void forget_look(struct rv_watch *w) {
    for (size_t i = 0; i < w->look.n; i++) {
        free(w->look.v[i].id);
        free(w->look.v[i].directory);
        free(w->look.v[i].group);
        rv_ranges_free(&w->look.v[i].allowed);
        rv_ranges_free(&w->look.v[i].unallowed);
    }
    w->look.n = 0;
}

static void take_answers(struct rv_watch *w) {
    for (size_t i = 0; i < w->look.n; i++) {
        struct question *q = &w->look.v[i];
        struct entry *e = rv_map_gets(&w->entries, q->id);
        if (!e)
            continue;
        if (q->has_used) {
            e->disk.has_used = true;
            e->disk.used_bytes = q->used_bytes;
            over_disk(w, e);
        }
        /* It may have got some since it was asked. */
        rv_ranges_subtract(&q->unallowed, &e->ports);
        over_ports(w, e, &q->unallowed);
    }
    forget_look(w);
}

/* ---- looks ---- */

static bool is_looking(struct rv_watch *w) {
    bool looking;

    uv_mutex_lock(&w->lock);
    looking = w->looking;
    uv_mutex_unlock(&w->lock);
    return looking;
}

static void look(struct rv_watch *w) {
    struct entry *e;

    if (w->closing || is_looking(w))
        return;
    for (size_t it = 0; rv_map_next(&w->entries, &it, NULL, (void **)&e);) {
        bool disk = w->disk_due || (w->fresh_due && !e->disk.has_used);
        struct question q = {.project = e->project};
        if (!disk && !w->ports_due)
            continue;
        q.id = rv_strdup(e->id);
        if (disk)
            q.directory = rv_strdup(e->directory);
        if (w->ports_due) {
            q.group = w->containerizer->ops->group(w->containerizer, e->id);
            rv_ranges_copy(&q.allowed, &e->ports);
        }
        rv_vec_push(&w->look, q);
    }
    w->disk_due = w->ports_due = w->fresh_due = false;
    if (!w->look.n)
        return;
    uv_mutex_lock(&w->lock);
    w->looking = true;
    uv_cond_signal(&w->asked);
    uv_mutex_unlock(&w->lock);
}

static void on_answered(uv_async_t *async) {
    struct rv_watch *w = async->data;

    if (w->closing || is_looking(w))
        return;
    take_answers(w);
    look(w);
}

static void on_disk(uv_timer_t *timer) {
    struct rv_watch *w = timer->data;

    w->disk_due = true;
    look(w);
}

static void on_fresh(uv_timer_t *timer) {
    struct rv_watch *w = timer->data;

    w->fresh_due = true;
    look(w);
}

static void on_ports(uv_timer_t *timer) {
    struct rv_watch *w = timer->data;

    w->ports_due = true;
    look(w);
}

/* ---- entries ---- */

static void free_entry(struct entry *e) {
    rv_ranges_free(&e->ports);
    free(e->directory);
    free(e->id);
    free(e);
}

static void set_resources(struct rv_watch *w, struct entry *e, const struct rv_resources *r) {
    struct rv_error err;

    e->disk.has_limit = false;
    e->disk.limit_bytes = 0;
    rv_ranges_free(&e->ports);
    for (size_t i = 0; r && i < r->n; i++) {
        const struct rv_resource *one = &r->v[i];
        if (rv_streq(one->kind->name, "disk") && one->kind->type == RV_SCALAR && !one->kind->disk) {
            e->disk.has_limit = true;
            e->disk.limit_bytes += (uint64_t)one->scalar * MIB / RV_FIXED_ONE;
        } else if (rv_streq(one->kind->name, "ports") && one->kind->type == RV_RANGES) {
            rv_ranges_add(&e->ports, &one->ranges);
        }
    }
    if (!e->project || !w->enforce_disk)
        return;
    if (rv_project_quota_limit(w->quota, e->project,
                               e->disk.has_limit ? e->disk.limit_bytes + HEADROOM : UINT64_MAX,
                               &err))
        RV_WARN("agent", "container %s: %s", e->id, err.message);
}

static void choose_project(const struct rv_watch *w, struct entry *e) {
    struct rv_error err;
    int fd;

    if (!w->quota)
        return;
    e->project = rv_project_quota_of(w->quota, e->directory);
    if (e->project)
        return;
    /* Before anything is in there, and so before it is its user's. */
    fd = rv_folder_make(e->directory, 0700, &err);
    if (fd >= 0)
        close(fd);
    if (fd < 0 || rv_project_quota_assign(w->quota, e->directory, &e->project, &err))
        RV_WARN("agent", "the disk of container %s is measured without a project: %s", e->id,
                err.message);
}

void rv_watch_add(struct rv_watch *w, const char *id, const char *directory,
                  const struct rv_resources *resources) {
    struct entry *e;

    if (strchr(id, '.') || rv_map_gets(&w->entries, id))
        return;
    e = rv_calloc(1, sizeof *e);
    e->id = rv_strdup(id);
    e->directory = rv_strdup(directory);
    choose_project(w, e);
    set_resources(w, e, resources);
    rv_map_put(&w->entries, rv_str(e->id), e);
    if (!uv_is_active((uv_handle_t *)&w->fresh_timer))
        uv_timer_start(&w->fresh_timer, on_fresh, FRESH_MS, 0);
}

void rv_watch_update(struct rv_watch *w, const char *id, const struct rv_resources *resources) {
    struct entry *e = rv_map_gets(&w->entries, id);

    if (e)
        set_resources(w, e, resources);
}

void rv_watch_remove(struct rv_watch *w, const char *id) {
    struct entry *e = rv_map_remove(&w->entries, rv_str(id));

    if (e)
        free_entry(e);
}

bool rv_watch_disk(const struct rv_watch *w, const char *id, struct rv_watch_disk *out) {
    const struct entry *e = rv_map_gets(&w->entries, id);

    if (e)
        *out = e->disk;
    return e != NULL;
}

/* ---- life ---- */

static void describe(struct rv_watch *w, const struct rv_error *why) {
    const char *limit = w->enforce_disk ? "enforced" : "not enforced";

    if (w->quota)
        w->described = rv_asprintf("disk by project quota, %s%s", limit,
                                   rv_project_quota_enforces(w->quota)
                                       ? ""
                                       : ", but the file system does not refuse what is over");
    else
        w->described =
            rv_asprintf("disk by looking at files, %s (no project quota: %s)", limit, why->message);
}

static void open_quota(struct rv_watch *w, const struct rv_watch_config *c) {
    struct rv_error why;

    if (!c->projects.end)
        rv_error_set(&why, RV_ERR_UNSUPPORTED, "no numbers are given");
    else if (c->projects.begin < 1 || c->projects.end > UINT32_MAX)
        rv_error_set(&why, RV_ERR_INVALID, "numbers of projects are 1 to %u", UINT32_MAX);
    else if (rv_project_quota_open(c->folder, (uint32_t)c->projects.begin,
                                   (uint32_t)c->projects.end, &w->quota, &why))
        w->quota = NULL;
    describe(w, &why);
}

static void free_all(struct rv_watch *w) {
    struct entry *e;

    for (size_t it = 0; rv_map_next(&w->entries, &it, NULL, (void **)&e);)
        free_entry(e);
    rv_map_free(&w->entries);
    forget_look(w);
    rv_vec_free(&w->look);
    rv_ranges_free(&w->only);
    rv_project_quota_close(w->quota);
    uv_cond_destroy(&w->asked);
    uv_mutex_destroy(&w->lock);
    free(w->described);
    free(w);
}

static void on_closed(uv_handle_t *handle) {
    struct rv_watch *w = handle->data;

    if (--w->handles == 0)
        free_all(w);
}

struct rv_watch *rv_watch_free(struct rv_watch *w) {
    if (!w)
        return NULL;
    w->closing = true;
    atomic_store(&w->stop, true);
    uv_mutex_lock(&w->lock);
    uv_cond_signal(&w->asked);
    uv_mutex_unlock(&w->lock);
    if (w->has_thread)
        uv_thread_join(&w->thread);
    uv_close((uv_handle_t *)&w->answered, on_closed);
    uv_close((uv_handle_t *)&w->disk_timer, on_closed);
    uv_close((uv_handle_t *)&w->ports_timer, on_closed);
    uv_close((uv_handle_t *)&w->fresh_timer, on_closed);
    return NULL;
}

const char *rv_watch_describe(const struct rv_watch *w) {
    return w->described;
}

int rv_watch_new(const struct rv_watch_config *config, struct rv_watch **out,
                 struct rv_error *err) {
    struct rv_watch *w = rv_calloc(1, sizeof *w);
    int rc;

    w->loop = config->loop;
    w->containerizer = config->containerizer;
    w->enforce_disk = config->enforce_disk;
    w->enforce_ports = config->enforce_ports;
    w->has_only = config->all_ports != NULL;
    if (w->has_only)
        rv_ranges_copy(&w->only, config->all_ports);
    open_quota(w, config);
    uv_mutex_init(&w->lock);
    uv_cond_init(&w->asked);
    atomic_init(&w->stop, false);
    rc = uv_async_init(w->loop, &w->answered, on_answered);
    if (rc) {
        free_all(w);
        return rv_error_set(err, RV_ERR_IO, "uv_async_init: %s", uv_strerror(rc));
    }
    uv_timer_init(w->loop, &w->disk_timer);
    uv_timer_init(w->loop, &w->ports_timer);
    uv_timer_init(w->loop, &w->fresh_timer);
    w->answered.data = w->disk_timer.data = w->ports_timer.data = w->fresh_timer.data = w;
    w->handles = 4;
    rc = uv_thread_create(&w->thread, run, w);
    if (rc) {
        rv_watch_free(w);
        return rv_error_set(err, RV_ERR_IO, "uv_thread_create: %s", uv_strerror(rc));
    }
    w->has_thread = true;
    uv_timer_start(&w->disk_timer, on_disk, config->disk_interval_ms, config->disk_interval_ms);
    if (w->enforce_ports)
        uv_timer_start(&w->ports_timer, on_ports, config->ports_interval_ms,
                       config->ports_interval_ms);
    *out = w;
    return 0;
}
