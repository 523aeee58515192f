/*
 * What tests of the `linux` containerizer share: one in a folder of its own below /tmp, containers
 * that run shell scripts, and waiting for what becomes of them.
 */
#ifndef RV_TESTS_LINUX_WORLD_H
#define RV_TESTS_LINUX_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"
#include "containerizer/cgroup.h"
#include "containerizer/containerizer.h"
#include "loop_until.h"

/* At most, for what takes milliseconds: a machine by emulation on a busy one is slow. */
enum { WAIT_MS = 180000, GIVE_UP_MS = 30000 };

struct seen {
    bool launched, ok, exited, has_status;
    int32_t wait_status;
    enum rv_reason reason;
    struct rv_resources limitation;
    char message[400];
};

struct world {
    char root[256], state_dir[300], name[32];
    uv_loop_t loop;
    struct rv_containerizer *c;
    struct rv_map seen; /* id -> struct seen */
    size_t n_launched, n_exited;
    int processes_before;
};

static const struct rv_containerizer_ops *const ops = &rv_linux_containerizer;

static inline struct seen *seen(struct world *w, const char *id) {
    struct seen *s = rv_map_gets(&w->seen, id);

    if (!s) {
        s = rv_calloc(1, sizeof *s);
        rv_map_put(&w->seen, rv_str(id), s);
    }
    return s;
}

static inline void on_launched(void *ctx, const char *id, bool ok, const char *message) {
    struct world *w = ctx;
    struct seen *s = seen(w, id);

    assert_false(s->launched);
    assert_false(s->exited);
    s->launched = true;
    s->ok = ok;
    snprintf(s->message, sizeof s->message, "%s", message ? message : "");
    w->n_launched++;
}

static inline void on_exited(void *ctx, const char *id, const struct rv_container_end *end) {
    struct world *w = ctx;
    struct seen *s = seen(w, id);

    assert_false(s->exited);
    s->exited = true;
    s->has_status = end->has_status;
    s->wait_status = end->wait_status;
    s->reason = end->reason;
    if (end->limitation)
        rv_resources_copy(&s->limitation, end->limitation);
    snprintf(s->message, sizeof s->message, "%s", end->message ? end->message : "");
    w->n_exited++;
}

static inline void open_containerizer(struct world *w) {
    static const struct rv_containerizer_callbacks callbacks = {on_launched, on_exited};
    struct rv_linux_settings settings = {
        .work_dir = w->root, .pids_max = 256, .give_up_ms = GIVE_UP_MS};
    const struct rv_container_records records = {.folder = w->state_dir, .name = w->name};
    struct rv_error err = {0};

    assert_int_equal(uv_loop_init(&w->loop), 0);
    if (ops->create(&w->loop, &records, &callbacks, w, &w->c, &err))
        fail_msg("create: %s", err.message);
    rv_linux_containerizer_set(w->c, &settings);
}

static inline void close_containerizer(struct world *w) {
    ops->destroy_all(w->c);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int setup(void **state) {
    struct world *w = rv_calloc(1, sizeof *w);

    snprintf(w->root, sizeof w->root, "%s/linux-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(w->root));
    assert_int_equal(chmod(w->root, 0755), 0);
    snprintf(w->state_dir, sizeof w->state_dir, "%s/meta/containers", w->root);
    snprintf(w->name, sizeof w->name, "%016" PRIx64, rv_hash(w->root, strlen(w->root)));
    open_containerizer(w);
    *state = w;
    return 0;
}

/* Lines of a file that contain a text. */
static inline size_t lines_with(const char *path, const char *text) {
    FILE *f = fopen(path, "re");
    char line[4096];
    size_t n = 0;

    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        n += strstr(line, text) != NULL;
    fclose(f);
    return n;
}

static inline void forget_seen(struct world *w) {
    struct seen *s;

    for (size_t it = 0; rv_map_next(&w->seen, &it, NULL, (void **)&s);) {
        rv_resources_free(&s->limitation);
        free(s);
    }
    rv_map_free(&w->seen);
    w->n_launched = w->n_exited = 0;
}

/* Of the containerizer; its own folder goes with them if it is not open any more. */
static inline size_t count_groups(const struct world *w, bool closed) {
    _cleanup_free_ char *name = rv_asprintf("reeve/%s", w->name);
    struct rv_cgroups *groups;
    struct rv_error err = {0};
    char **ids = NULL;
    size_t n = 0;

    if (rv_cgroups_open(name, &groups, &err) || rv_cgroup_list(groups, &ids, &n, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < n; i++)
        free(ids[i]);
    free(ids);
    rv_cgroups_close(groups, closed);
    return n;
}

/* Nothing is left: no child, no mount, no group of ours. */
static inline int teardown(void **state) {
    struct world *w = *state;

    close_containerizer(w);
    assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(lines_with("/proc/self/mountinfo", w->root), 0);
    assert_int_equal(count_groups(w, true), 0);
    forget_seen(w);
    nftw(w->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

static inline void run_until(struct world *w, const size_t *counter, size_t want) {
    LOOP_UNTIL(&w->loop, *counter >= want, WAIT_MS);
}

static inline void run_for(struct world *w, uint64_t ms) {
    loop_for(&w->loop, ms);
}

struct options {
    const char *user;
    int64_t cpus_milli, mem_mib;
    bool survive, tty;
    const struct rv_container_isolation *isolation;
    const struct rv_resources *more;
};

static inline char *sandbox_of(const struct world *w, const char *id) {
    const char *dot = strrchr(id, '.');
    _cleanup_free_ char *parent = dot ? rv_strndup(id, (size_t)(dot - id)) : NULL;
    _cleanup_free_ char *above = parent ? sandbox_of(w, parent) : NULL;

    return dot ? rv_asprintf("%s/containers/%s", above, dot + 1)
               : rv_asprintf("%s/sandboxes/%s", w->root, id);
}

static inline void launch_argv(struct world *w, const char *id, const char *const *argv,
                               const struct options *o) {
    _cleanup_free_ char *directory = sandbox_of(w, id);
    const char *env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    struct rv_resources resources = {0};
    struct rv_container_config config = {.id = id,
                                         .argv = argv,
                                         .env = env,
                                         .directory = directory,
                                         .user = o->user,
                                         .resources = &resources,
                                         .log_keep = 1,
                                         .survive = o->survive,
                                         .tty = o->tty,
                                         .rows = 33,
                                         .columns = 44,
                                         .isolation = o->isolation};

    if (o->cpus_milli)
        rv_resources_add_scalar(&resources, "cpus", o->cpus_milli);
    if (o->mem_mib)
        rv_resources_add_scalar(&resources, "mem", o->mem_mib * 1000);
    if (o->more)
        rv_resources_add(&resources, o->more);
    ops->launch(w->c, &config);
    rv_resources_free(&resources);
}

static inline void launch_with(struct world *w, const char *id, const char *script,
                               const struct options *o) {
    const char *argv[] = {"sh", "-c", script, NULL};

    launch_argv(w, id, argv, o);
}

static inline void launch(struct world *w, const char *id, const char *script) {
    launch_with(w, id, script, &(struct options){0});
}

static inline char *read_sandbox(const struct world *w, const char *id, const char *name) {
    _cleanup_free_ char *folder = sandbox_of(w, id);
    _cleanup_free_ char *path = rv_asprintf("%s/%s", folder, name);
    struct rv_buf text = {0};
    char bytes[4096];
    FILE *file = fopen(path, "re");
    size_t n;

    if (file) {
        while ((n = fread(bytes, 1, sizeof bytes, file)) > 0)
            rv_buf_append(&text, bytes, n);
        fclose(file);
    }
    rv_buf_append(&text, "", 0);
    return text.data ? text.data : rv_strdup("");
}

static inline void wait_text(struct world *w, const char *id, const char *name, const char *want) {
    for (int i = 0; i < WAIT_MS / 10; i++) {
        _cleanup_free_ char *text = read_sandbox(w, id, name);
        if (strstr(text, want))
            return;
        run_for(w, 10);
    }
    fail_msg("%s of %s never had '%s'", name, id, want);
}

/* Runs a script to its end and returns what it wrote to standard output; its errors are shown if
 * it does not end with the status. */
static inline char *output_of(struct world *w, const char *id, const char *script, int status,
                              const struct options *o) {
    const struct seen *s = seen(w, id);
    _cleanup_free_ char *errors = NULL;

    launch_with(w, id, script, o);
    while (!s->launched) /* others may be on their way, too */
        run_until(w, &w->n_launched, w->n_launched + 1);
    if (!s->ok)
        fail_msg("%s: %s", id, s->message);
    if (!s->exited)
        run_until(w, &w->n_exited, w->n_exited + 1);
    errors = read_sandbox(w, id, "stderr");
    if (!s->has_status || s->wait_status != status << 8)
        fail_msg("%s: wait status %#x (%d), %s\n%s", id, (unsigned)s->wait_status, s->has_status,
                 s->message, errors);
    return read_sandbox(w, id, "stdout");
}

#endif
