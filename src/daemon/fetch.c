/*
 * The fetcher as a child process: the request is a file in memory that is its standard input, its
 * answer another one, so there is nothing to wait for but its end. Its own log is the sandbox's.
 * A handle lives until its process was waited for, cancelled or not.
 */
#include "daemon/fetch.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "fetcher/request.h"

struct rv_fetch {
    uv_process_t process;
    int output;
    void (*done)(void *ctx, const char *why); /* NULL: cancelled */
    void *ctx;
};

static void on_closed(uv_handle_t *handle) {
    struct rv_fetch *f = handle->data;

    if (f->output >= 0)
        close(f->output);
    free(f);
}

static void on_ended(uv_process_t *process, int64_t status, int term_signal) {
    struct rv_fetch *f = process->data;
    _cleanup_free_ char *why = status || term_signal ? rv_fetch_reason(f->output) : NULL;
    void (*done)(void *, const char *) = f->done;
    void *ctx = f->ctx;

    f->done = NULL;
    uv_close((uv_handle_t *)process, on_closed);
    if (done)
        done(ctx, why);
}

static int spawn(uv_loop_t *loop, struct rv_fetch *f, const char *program, int input,
                 struct rv_error *err) {
    char *argv[] = {(char *)(uintptr_t)program, NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_INHERIT_FD, .data.fd = input},
        {.flags = UV_INHERIT_FD, .data.fd = f->output},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
    };
    uv_process_options_t options = {
        .exit_cb = on_ended,
        .file = program,
        .args = argv,
        .cwd = "/",
        .flags = UV_PROCESS_DETACHED, /* a terminal's signals are for the agent */
        .stdio_count = 3,
        .stdio = stdio,
    };

    f->process.data = f;
    int r = uv_spawn(loop, &f->process, &options);
    return r ? rv_error_set(err, RV_ERR_IO, "cannot run %s: %s", program, uv_strerror(r)) : 0;
}

int rv_fetch_start(uv_loop_t *loop, const struct rv_fetch_config *config,
                   void (*done)(void *ctx, const char *why), void *ctx, struct rv_fetch **out,
                   struct rv_error *err) {
    Reeve__V1__Fetch__Request base = REEVE__V1__FETCH__REQUEST__INIT;
    int input = -1, output = -1, r;

    base.directory = (char *)(uintptr_t)config->directory;
    base.user = (char *)(uintptr_t)config->user;
    base.cache_dir = (char *)(uintptr_t)config->cache_dir;
    base.has_cache_size = base.has_max_bytes = base.has_stall_timeout_ms = true;
    base.cache_size = (uint64_t)config->cache_size;
    base.max_bytes = (uint64_t)config->max_size;
    base.stall_timeout_ms = (uint64_t)config->stall_timeout_ns / 1000000;
    r = rv_fetch_output_open(&output, err);
    if (!r)
        r = rv_fetch_request_open(config->command, &base, &input, err);
    if (r) {
        if (output >= 0)
            close(output);
        return r;
    }
    struct rv_fetch *f = rv_calloc(1, sizeof *f);
    f->output = output;
    f->done = done;
    f->ctx = ctx;
    r = spawn(loop, f, config->program, input, err);
    close(input);
    if (r)
        uv_close((uv_handle_t *)&f->process, on_closed);
    else
        *out = f;
    return r;
}

void rv_fetch_kill(struct rv_fetch *f) {
    uv_process_kill(&f->process, SIGKILL); /* its worker dies with it */
}

void rv_fetch_cancel(struct rv_fetch *f) {
    if (!f)
        return;
    f->done = NULL;
    rv_fetch_kill(f);
}

uint64_t rv_fetch_cache_used(const char *cache_dir) {
    _cleanup_free_ char *path = rv_asprintf("%s/objects", cache_dir);
    DIR *dir = opendir(path);
    uint64_t bytes = 0;
    struct stat st;

    if (!dir)
        return 0;
    for (struct dirent *e; (e = readdir(dir));)
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
    closedir(dir);
    return bytes;
}
