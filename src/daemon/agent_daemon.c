/*
 * The agent's shell: inputs in, effects out, one thread. What comes up while effects are executed
 * (a launch that fails at once, a checkpoint that is durable at once) is deferred until they are
 * all done, so that the core sees one thing after the other.
 */
#include "daemon/agent_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "daemon/agent_containers.h"
#include "daemon/agent_disk.h"
#include "daemon/agent_limits.h"
#include "daemon/agent_views.h"
#include "daemon/agent_volumes.h"
#include "daemon/folders.h"
#include "daemon/snapshot.h"
#include "executor/embed.h"
#include "fetcher/embed.h"
#include "io/handle.h"
#include "wire/channel_codec.h"
#include "wire/executor_codec.h"

#define MODULE "agent"

static struct rv_str key_of(const uint64_t *number) {
    return rv_strn(number, sizeof *number);
}

/* --- inputs that wait for the end of a step --- */

struct rv_agent_deferred {
    struct rv_agent_input input;
    char *id, *message;
};

static void defer(struct rv_agent_daemon *d, const struct rv_agent_input *input) {
    struct rv_agent_deferred *f = rv_calloc(1, sizeof *f);

    f->input = *input;
    if (input->kind == RV_AGENT_CONTAINER_LAUNCHED || input->kind == RV_AGENT_CONTAINER_EXITED) {
        f->id = rv_strdup(input->container.id.v);
        f->message = rv_strdup(input->container.message);
        f->input.container.id.v = f->id;
        f->input.container.message = f->message;
        f->input.container.limitation = rv_blob_ref(input->container.limitation);
    } else if (input->kind == RV_AGENT_CHECKPOINT_DONE) {
        f->message = rv_strdup(input->checkpoint.message);
        f->input.checkpoint.message = f->message;
    }
    rv_vec_push(&d->deferred, f);
}

static void free_deferred(struct rv_agent_deferred *f) {
    if (f->id)
        rv_blob_unref(f->input.container.limitation);
    free(f->id);
    free(f->message);
    free(f);
}

/* --- effects --- */

struct checkpoint_write {
    struct rv_agent_daemon *daemon;
    uint64_t seq;
};

static void checkpoint_done(void *ctx, int result, const struct rv_error *err) {
    struct checkpoint_write *w = ctx;
    struct rv_agent_input input = {.kind = RV_AGENT_CHECKPOINT_DONE};

    input.checkpoint.seq = w->seq;
    input.checkpoint.ok = result == 0;
    input.checkpoint.message = result ? err->message : NULL;
    rv_agent_daemon_step(w->daemon, &input);
    rv_agent_checkpoints_compact(w->daemon);
    free(w);
}

static void checkpoint(struct rv_agent_daemon *d, const struct rv_checkpoint *c) {
    struct checkpoint_write *w = rv_calloc(1, sizeof *w);

    *w = (struct checkpoint_write){d, c->seq};
    rv_checkpoint_encode(c, &d->scratch, &d->encoded);
    rv_arena_reset(&d->scratch);
    rv_journal_append(d->journal, rv_buf_str(&d->encoded), checkpoint_done, w);
    rv_buf_clear(&d->encoded);
}

static void open_stream(struct rv_agent_daemon *d, const struct rv_agent_effect *e) {
    void *encoding = rv_map_remove(&d->pending, key_of(&e->request));

    if (encoding)
        rv_shell_open_stream(&d->shell, e->request, e->stream,
                             (enum rv_encoding)((intptr_t)encoding - 1), NULL);
}

static void send_executor(struct rv_agent_daemon *d, const struct rv_agent_effect *e) {
    if (!rv_shell_stream_is_open(&d->shell, e->stream))
        return;
    rv_wire_executor_event_encode(e->executor, rv_shell_stream_encoding(&d->shell, e->stream),
                                  &d->scratch, &d->encoded);
    rv_shell_send(&d->shell, e->stream, rv_buf_str(&d->encoded));
    rv_buf_clear(&d->encoded);
    rv_arena_reset(&d->scratch);
}

static void update_container(struct rv_agent_daemon *d, const struct rv_launch *l) {
    const struct rv_container_limits limits = rv_isolation_limits(l->limits);

    rv_watch_update(d->watch, l->container_id.v, l->resources);
    if (rv_agent_launch_update(d, l))
        return;
    d->containerizer->ops->update(d->containerizer, l->container_id.v, l->resources, &limits);
    rv_agent_volumes_update(d, l->container_id.v);
}

static void execute(struct rv_agent_daemon *d, const struct rv_agent_effect *e) {
    switch (e->kind) {
    case RV_AGENT_REPLY:
        rv_map_remove(&d->pending, key_of(&e->request));
        rv_shell_reply(&d->shell, e->request, e->status, e->message);
        return;
    case RV_AGENT_OPEN_STREAM:
        open_stream(d, e);
        return;
    case RV_AGENT_SEND_EXECUTOR:
        send_executor(d, e);
        return;
    case RV_AGENT_CLOSE_STREAM:
        rv_shell_close_stream(&d->shell, e->stream);
        return;
    case RV_AGENT_REGISTER:
        rv_agent_link_register(d->link, e->call);
        return;
    case RV_AGENT_SEND_MASTER:
        rv_agent_link_send(d->link, e->call);
        return;
    case RV_AGENT_DISCONNECT_MASTER:
        rv_agent_link_disconnect(d->link);
        return;
    case RV_AGENT_LAUNCH_CONTAINER:
        rv_watch_add(d->watch, e->launch->container_id.v, e->launch->directory,
                     e->launch->resources);
        rv_agent_launch(d, e->launch);
        return;
    case RV_AGENT_DESTROY_CONTAINER:
        if (!rv_agent_launch_cancel(d, e->container.v))
            d->containerizer->ops->destroy(d->containerizer, e->container.v);
        return;
    case RV_AGENT_UPDATE_CONTAINER:
        update_container(d, e->launch);
        return;
    case RV_AGENT_CHECKPOINT:
        checkpoint(d, e->checkpoint);
        return;
    case RV_AGENT_REMOVE_VOLUME:
        rv_agent_volumes_remove(d, e->path);
        return;
    case RV_AGENT_REMOVE_DIRECTORY:
        rv_remover_take(d->remover, e->path);
        return;
    case RV_AGENT_LOG:
        rv_log((enum rv_log_level)e->level, MODULE, "%s", e->message);
        return;
    case RV_AGENT_EXIT:
        if (rv_streq(d->flags->recover, "cleanup")) {
            d->compact_at = 0; /* all before is void: a version of before need not know it */
            rv_agent_checkpoints_compact(d);
        }
        if (d->on_exit) {
            void (*on_exit)(void *, int, const char *) = d->on_exit;
            d->on_exit = NULL;
            on_exit(d->exit_ctx, e->status, e->message);
        }
        return;
    case RV_AGENT_EFFECT_MAX:
        break;
    }
    RV_UNREACHABLE();
}

static void on_timer(uv_timer_t *timer);

static void arm(struct rv_agent_daemon *d) {
    int64_t deadline = rv_agent_deadline(d->core), now = rv_now_ms();

    if (deadline == INT64_MAX)
        uv_timer_stop(d->timer);
    else {
        uv_update_time(d->loop);
        uv_timer_start(d->timer, on_timer, deadline > now ? (uint64_t)(deadline - now) : 0, 0);
    }
}

static void run_effects(struct rv_agent_daemon *d) {
    for (size_t i = 0; i < d->effects.n; i++)
        execute(d, &d->effects.v[i]);
    rv_agent_effects_clear(&d->effects);
}

static void run_deferred(struct rv_agent_daemon *d) {
    for (size_t i = 0; i < d->deferred.n; i++) {
        struct rv_agent_deferred *f = d->deferred.v[i];
        f->input.now_ms = rv_now_ms();
        f->input.wall_ns = rv_wall_ns();
        rv_agent_step(d->core, &f->input, &d->effects);
        run_effects(d);
        free_deferred(f);
    }
    d->deferred.n = 0;
}

void rv_agent_daemon_step(struct rv_agent_daemon *d, struct rv_agent_input *input) {
    if (input->kind == RV_AGENT_CONTAINER_EXITED ||
        (input->kind == RV_AGENT_CONTAINER_LAUNCHED && !input->container.ok)) {
        rv_watch_remove(d->watch, input->container.id.v);
        rv_agent_volumes_exited(d, input->container.id.v);
    }
    if (d->stepping) {
        RV_ASSERT(input->kind != RV_AGENT_MASTER_EVENT && input->kind != RV_AGENT_EXECUTOR_CALL);
        defer(d, input);
        return;
    }
    d->stepping = true;
    input->now_ms = rv_now_ms();
    input->wall_ns = rv_wall_ns();
    rv_agent_step(d->core, input, &d->effects);
    run_effects(d);
    run_deferred(d);
    d->stepping = false;
    arm(d);
}

static void on_timer(uv_timer_t *timer) {
    rv_agent_daemon_step(timer->data, &(struct rv_agent_input){.kind = RV_AGENT_TICK});
}

static void on_stream_closed(void *ctx, uint64_t stream) {
    struct rv_agent_input input = {.kind = RV_AGENT_STREAM_CLOSED, .stream = stream};

    rv_agent_daemon_step(ctx, &input);
}

static void on_launched(void *ctx, const char *id, bool ok, const char *message) {
    struct rv_agent_input input = {.kind = RV_AGENT_CONTAINER_LAUNCHED};
    struct rv_agent_daemon *d = ctx;

    if (rv_api_containers_launched(d->api, id, ok, message)) {
        if (!ok)
            rv_watch_remove(d->watch, id);
        return;
    }
    input.container.id.v = id;
    input.container.ok = ok;
    input.container.reason = RV_REASON_NONE;
    input.container.message = message;
    rv_agent_daemon_step(ctx, &input);
}

static void on_exited(void *ctx, const char *id, const struct rv_container_end *end) {
    struct rv_agent_input input = {.kind = RV_AGENT_CONTAINER_EXITED};
    struct rv_agent_daemon *d = ctx;

    if (rv_api_containers_exited(d->api, id, end)) {
        rv_watch_remove(d->watch, id);
        return;
    }
    input.container.id.v = id;
    input.container.has_status = end->has_status;
    input.container.status = end->wait_status;
    input.container.reason = end->reason;
    input.container.message = end->message;
    input.container.limitation = rv_limitation_pack(end->limitation, &d->scratch);
    rv_arena_reset(&d->scratch);
    rv_agent_daemon_step(ctx, &input);
    rv_blob_unref(input.container.limitation);
}

/* --- requests --- */

static const struct rv_agent_executor *caller(const struct rv_agent_daemon *d,
                                              const struct rv_executor_call *call) {
    const struct rv_agent_framework *fw = rv_map_gets(&d->core->frameworks, call->framework_id.v);

    return fw ? rv_map_gets(&fw->executors, call->executor_id.v) : NULL;
}

/* What an executor does not know of its tasks. */
static void complete(struct rv_agent_daemon *d, const struct rv_agent_executor *ex,
                     struct rv_task_status *s) {
    rv_agent_view_add_network(d, s, &d->arena);
    if (ex)
        rv_agent_explain_failure(d, ex, s, &d->arena);
}

static void complete_updates(struct rv_agent_daemon *d, struct rv_executor_call *call) {
    const struct rv_agent_executor *ex = caller(d, call);

    if (call->type == RV_EXECUTOR_CALL_UPDATE)
        complete(d, ex, call->update);
    else if (call->type == RV_EXECUTOR_CALL_SUBSCRIBE)
        for (size_t i = 0; i < call->subscribe.n_updates; i++)
            complete(d, ex, &call->subscribe.unacknowledged_updates[i]);
}

static void executor_endpoint(struct rv_agent_daemon *d, struct rv_http_request *req) {
    struct rv_executor_call call;
    enum rv_encoding in, out = RV_ENC_JSON;
    struct rv_error err;

    if (!rv_shell_is_post(&d->shell, req) || !rv_shell_body_encoding(&d->shell, req, &in))
        return;
    if (rv_wire_executor_call_decode(in, rv_http_body(req), &d->shell.limits, &d->arena, &call,
                                     &err)) {
        rv_shell_bad_request(&d->shell, req, &err);
        return;
    }
    bool subscribe = call.type == RV_EXECUTOR_CALL_SUBSCRIBE;
    complete_updates(d, &call);
    if (!subscribe || rv_shell_accept_encoding(&d->shell, req, &out)) {
        uint64_t request = rv_shell_park(&d->shell, req);
        rv_map_put(&d->pending, key_of(&request), (void *)((intptr_t)out + 1));
        struct rv_agent_input input = {
            .kind = RV_AGENT_EXECUTOR_CALL,
            .request = request,
            .stream = subscribe ? rv_shell_number(&d->shell) : 0,
            .executor = &call,
        };
        rv_agent_daemon_step(d, &input);
    }
    rv_wire_executor_call_release(&call);
}

static void on_request(void *ctx, struct rv_http_request *req) {
    struct rv_agent_daemon *d = ctx;
    const char *path = rv_http_path(req);

    if (rv_starts_with(path, "/slave(1)/"))
        path += strlen("/slave(1)");
    else if (rv_starts_with(path, "/slave/"))
        path += strlen("/slave");
    if (rv_streq(path, "/api/v1/executor"))
        executor_endpoint(d, req);
    else if (rv_streq(path, "/api/v1"))
        rv_agent_operator_handle(d, req);
    else if (!rv_agent_legacy_handle(d, req, path))
        rv_http_reply_text(req, 404, "There is no %s here.\n", path);
    rv_arena_reset(&d->arena);
}

/* --- start and stop --- */

static char *read_boot_id(void) {
    char text[64] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        close(fd);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    return rv_strndup(text, n > 0 ? (size_t)n : 0);
}

static bool is_written(const char *path, const unsigned char *elf, size_t n) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat s;
    void *there = fd >= 0 && !fstat(fd, &s) && (size_t)s.st_size == n && s.st_mode & 0100
                      ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0)
                      : MAP_FAILED;
    bool same = there != MAP_FAILED && !memcmp(there, elf, n);

    if (there != MAP_FAILED)
        munmap(there, n);
    if (fd >= 0)
        close(fd);
    return same;
}

/* One of our programs as a file: written beside and renamed, so that a running one is never written
 * to. One that is there already is left, for the disk may be full. */
static int write_program(const char *path, const unsigned char *elf, size_t n,
                         struct rv_error *err) {
    if (is_written(path, elf, n)) {
        rv_forget_pages(elf, n);
        return 0;
    }
    _cleanup_free_ char *fresh = rv_asprintf("%s.%d", path, (int)getpid());
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    size_t done = 0;

    while (fd >= 0 && done < n) {
        ssize_t one = write(fd, elf + done, n - done);
        if (one <= 0)
            break;
        done += (size_t)one;
    }
    bool ok = fd >= 0 && done == n && !fchmod(fd, 0755);
    ok = fd >= 0 && !close(fd) && ok;
    rv_forget_pages(elf, n);
    if (ok && !rename(fresh, path))
        return 0;
    int r = rv_error_set(err, RV_ERR_IO, "cannot write %s: %s", fresh, strerror(errno));
    unlink(fresh);
    return r;
}

static int write_programs(struct rv_agent_daemon *d, struct rv_error *err) {
    const char *cache = d->flags->fetcher_cache_dir;
    _cleanup_free_ char *folder = rv_asprintf("%s/bin", d->work_dir);
    int r = rv_make_folder(folder, err);

    if (r)
        return r;
    d->executor_path = rv_asprintf("%s/reeve-executor", folder);
    d->fetcher_path = rv_asprintf("%s/reeve-fetcher", folder);
    d->fetcher_cache_dir = cache ? rv_strdup(cache) : rv_asprintf("%s/fetch", d->work_dir);
    r = write_program(d->executor_path, rv_executor_elf, rv_executor_elf_size, err);
    if (!r)
        r = write_program(d->fetcher_path, rv_fetcher_elf, rv_fetcher_elf_size, err);
    return r;
}

struct recovery {
    struct rv_agent_daemon *daemon;
    struct rv_map executors; /* ids of containers that the journal names */
    RV_VEC(struct rv_container_id) alive;
    struct rv_arena arena;
};

static bool is_wanted(void *ctx, const struct rv_container_found *found) {
    struct recovery *r = ctx;
    struct rv_container_id id = {rv_arena_strdup(&r->arena, found->id)};

    if (!rv_map_gets(&r->executors, found->id))
        return !rv_streq(r->daemon->flags->recover, "cleanup") &&
               rv_api_containers_found(r->daemon->api, found);
    if (found->there)
        rv_vec_push(&r->alive, id);
    return true;
}

static int recover_containers(struct recovery *r, const struct rv_agent_recovery *rec,
                              struct rv_error *err) {
    struct rv_containerizer *c = r->daemon->containerizer;

    for (size_t i = 0; i < rec->records.n; i++)
        if (rec->records.v[i].kind == RV_CHECKPOINT_EXECUTOR)
            rv_map_put(&r->executors, rv_str(rec->records.v[i].launch->container_id.v), r);
    return c->ops->recover(c, is_wanted, r, err);
}

static struct rv_agent_config core_config(struct rv_agent_daemon *d, bool lenient) {
    const struct rv_agent_flags *f = d->flags;
    uint64_t seed;

    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = (uint64_t)rv_wall_ns();
    return (struct rv_agent_config){
        .seed = seed,
        .info = &d->info,
        .work_dir = d->work_dir,
        .boot_id = d->boot_id,
        .containerizer = d->containerizer->ops->name,
        .cleanup = rv_streq(f->recover, "cleanup"),
        .lenient = lenient,
        .additive = rv_streq(f->reconfiguration_policy, "additive"),
        .any_port = f->port == 0,
        .detected = d->detected.v,
        .n_detected = d->detected.n,
        .cpu_quota = f->cgroups_enable_cfs,
        .registration_backoff_ms = f->registration_backoff_factor / 1000000,
        .registration_backoff_max_ms = f->registration_backoff_max / 1000000,
        .executor_registration_ms = f->executor_registration_timeout / 1000000,
        .executor_reregistration_ms = f->executor_reregistration_timeout / 1000000,
        .executor_shutdown_grace_ms = f->executor_shutdown_grace_period / 1000000,
        .recovery_timeout_ms = f->recovery_timeout / 1000000,
        .update_retry_ms = f->status_update_retry_interval_min / 1000000,
        .update_retry_max_ms = f->status_update_retry_interval_max / 1000000,
        .heartbeat_ms = f->heartbeat_interval / 1000000,
        .gc_delay_ms = f->gc_delay / 1000000,
        .gc_disk_headroom_ppm = (int64_t)(f->gc_disk_headroom * 1e6),
        .max_completed_executors = (size_t)f->max_completed_executors_per_framework,
    };
}

static int refused(const struct rv_agent_daemon *d, const struct rv_agent *core,
                   struct rv_error *err) {
    const char *why = rv_agent_refused(core);

    return why ? rv_error_set(err, RV_ERR_CONFLICT,
                              "cannot recover from %s/meta/checkpoints.journal: %s", d->work_dir,
                              why)
               : 0;
}

/* Whether a core can be made from what was read, before anything happens to the containers. */
static int try_core(struct rv_agent_daemon *d, const struct rv_agent_recovery *rec,
                    struct rv_error *err) {
    struct rv_agent_config config = core_config(d, rec->lenient);
    struct rv_agent_recovered recovered = {.records = rec->records.v, .n = rec->records.n};
    struct rv_agent_effects effects = {0};
    struct rv_agent *core = rv_agent_new(&config, &recovered, rv_now_ms(), rv_wall_ns(), &effects);
    int r = refused(d, core, err);

    rv_agent_free(core);
    rv_agent_effects_free(&effects);
    return r;
}

static int make_core(struct rv_agent_daemon *d, struct rv_agent_recovery *rec,
                     const struct recovery *containers, struct rv_error *err) {
    struct rv_agent_config config = core_config(d, rec->lenient);
    struct rv_agent_sandboxes sandboxes = {0};
    struct rv_agent_volumes volumes = {0};

    rv_agent_find_sandboxes(d->work_dir, &rec->arena, &sandboxes);
    rv_agent_volumes_find(d->work_dir, &rec->arena, &volumes);
    struct rv_agent_recovered recovered = {.records = rec->records.v,
                                           .n = rec->records.n,
                                           .errors = rec->errors,
                                           .alive = containers->alive.v,
                                           .n_alive = containers->alive.n,
                                           .sandboxes = sandboxes.v.v,
                                           .n_sandboxes = sandboxes.v.n,
                                           .volumes = volumes.v.v,
                                           .n_volumes = volumes.v.n};
    d->core = rv_agent_new(&config, &recovered, rv_now_ms(), rv_wall_ns(), &d->effects);
    rv_vec_free(&sandboxes.v);
    rv_vec_free(&volumes.v);
    return refused(d, d->core, err);
}

static int start_core(struct rv_agent_daemon *d, struct rv_agent_recovery *rec,
                      struct rv_error *err) {
    struct recovery containers = {.daemon = d};

    rv_arena_init(&containers.arena);
    d->stepping = true;
    int r = try_core(d, rec, err);
    if (!r)
        r = rv_agent_checkpoints_check_containers(d, rec, err);
    if (!r)
        r = recover_containers(&containers, rec, err);
    if (!r)
        r = make_core(d, rec, &containers, err);
    if (!r) {
        rv_agent_checkpoints_compact(d);
        rv_agent_volumes_recovered(d);
        run_effects(d);
        run_deferred(d);
        rv_api_containers_recovered(d->api);
    }
    d->stepping = false;
    rv_vec_free(&containers.alive);
    rv_map_free(&containers.executors);
    rv_arena_free(&containers.arena);
    return r;
}

static int check_environment_flag(const char *text, struct rv_error *err) {
    json_error_t where;
    json_t *object = text ? json_loads(text, 0, &where) : NULL;
    bool ok = !text || json_is_object(object);

    json_decref(object);
    return ok ? 0
              : rv_error_set(err, RV_ERR_INVALID,
                             "--executor_environment_variables: not a JSON object: %s", where.text);
}

static int check_choice(const char *flag, const char *value, const char *one, const char *other,
                        struct rv_error *err) {
    return rv_streq(value, one) || rv_streq(value, other)
               ? 0
               : rv_error_set(err, RV_ERR_INVALID, "--%s: \"%s\" is not %s or %s", flag, value, one,
                              other);
}

static int start_server(struct rv_agent_daemon *d, struct rv_error *err) {
    const struct rv_agent_flags *f = d->flags;
    struct rv_http_config config = RV_SHELL_HTTP_CONFIG(f);
    int r = rv_http_server_start(d->loop, &config, on_request, d, &d->shell.server, err);

    if (r)
        return r;
    rv_api_take_input(d);
    d->port = rv_http_server_port(d->shell.server);
    d->ip = rv_strdup(f->advertise_ip ? f->advertise_ip : f->ip);
    d->hostname = rv_strdup(f->hostname ? f->hostname : d->ip);
    d->info.hostname = rv_strdup(d->hostname);
    d->info.ip = rv_strdup(d->ip);
    d->info.port = d->port;
    return 0;
}

static const struct rv_containerizer_ops *find_containerizer(const char *name,
                                                             struct rv_error *err) {
    static const struct rv_containerizer_ops *const known[] = {&rv_process_containerizer,
                                                               &rv_linux_containerizer};

    for (size_t i = 0; i < RV_COUNT(known); i++)
        if (rv_streq(name, known[i]->name))
            return known[i];
    rv_error_set(err, RV_ERR_INVALID, "--containerizer: there is no \"%s\"; use %s or %s", name,
                 known[0]->name, known[1]->name);
    return NULL;
}

/* Containers get some folders anew, so nothing below them can be shown there. */
static int check_place(const char *work_dir, struct rv_error *err) {
    static const char *const fresh[] = {"/dev/", "/proc/", "/sys/"};

    for (size_t i = 0; i < RV_COUNT(fresh); i++)
        if (rv_starts_with(work_dir, fresh[i]))
            return rv_error_set(err, RV_ERR_INVALID,
                                "--work_dir: %s is below %s, of which each container has its own: "
                                "name another folder, or --containerizer=process",
                                work_dir, fresh[i]);
    return 0;
}

static int create_containerizer(struct rv_agent_daemon *d, const struct rv_containerizer_ops *ops,
                                struct rv_error *err) {
    static const struct rv_containerizer_callbacks callbacks = {on_launched, on_exited};
    _cleanup_free_ char *bin = rv_asprintf("%s/bin", d->work_dir); /* as write_programs has it */
    const char *const programs[] = {bin, NULL};
    const struct rv_linux_settings settings = {.work_dir = d->work_dir,
                                               .secrets = d->secrets_dir,
                                               .runtime = d->runtime.folder,
                                               .programs = programs,
                                               .executor = d->executor_path,
                                               .pids_max = d->flags->container_pids_max,
                                               .cpu_quota = d->flags->cgroups_enable_cfs};
    const struct rv_container_records records = {
        .folder = d->runtime.records, .before = d->runtime.before, .name = d->runtime.name};
    int r = ops == &rv_linux_containerizer ? check_place(d->work_dir, err) : 0;

    if (!r)
        r = ops->create(d->loop, &records, &callbacks, d, &d->containerizer, err);
    d->isolation.isolates = ops == &rv_linux_containerizer;
    if (!r && d->isolation.isolates) {
        rv_linux_containerizer_set(d->containerizer, &settings);
        d->info.capabilities |= 1u << RV_AGENT_TASK_RESOURCE_LIMITS;
    }
    return r;
}

static int find_secrets(struct rv_agent_daemon *d, struct rv_error *err) {
    const char *flag = d->flags->secrets_dir;
    char absolute[PATH_MAX];

    if (!flag)
        return 0;
    if (!realpath(flag, absolute))
        return rv_error_set(err, RV_ERR_INVALID, "--secrets_dir: %s: %s", flag, strerror(errno));
    d->secrets_dir = rv_strdup(absolute);
    d->isolation.secrets = d->secrets_dir;
    return 0;
}

/* The agent of before could not, was told not to, or was of a version that did not by default. Its
 * containers can be taken over by its containerizer only. */
static bool did_not_isolate(const struct rv_agent_recovery *rec) {
    const char *before = NULL;

    for (size_t i = 0; i < rec->records.n; i++)
        if (rec->records.v[i].kind == RV_CHECKPOINT_AGENT)
            before = rec->records.v[i].containerizer;
    return before && rv_streq(before, rv_process_containerizer.name);
}

/* That of the flag; without it that of before, or, for a new agent, the one that isolates, if this
 * machine and our rights allow it. */
static int start_containerizer(struct rv_agent_daemon *d, const struct rv_containerizer_ops *ops,
                               const struct rv_agent_recovery *rec, struct rv_error *err) {
    int r = rv_isolation_policy_read(d->flags, &d->isolation, err);

    if (!r)
        r = find_secrets(d, err);

    if (r || ops)
        return r ? r : create_containerizer(d, ops, err);
    if (did_not_isolate(rec)) {
        RV_WARN(MODULE, "containers will not be isolated, as those of before: see --containerizer");
        return create_containerizer(d, &rv_process_containerizer, err);
    }
    if (!create_containerizer(d, &rv_linux_containerizer, err))
        return 0;
    RV_WARN(MODULE, "containers will not be isolated, see --containerizer: %s", err->message);
    return create_containerizer(d, &rv_process_containerizer, err);
}

/* With what the agent of before has left. */
static int start_recovered(struct rv_agent_daemon *d, const struct rv_containerizer_ops *ops,
                           struct rv_error *err) {
    _cleanup_free_ char *removed = rv_asprintf("%s/removed", d->work_dir);
    struct rv_agent_recovery rec;
    int r = rv_agent_checkpoints_open(d, &rec, err);

    if (!r)
        r = rv_runtime_open(d->work_dir, d->flags->runtime_dir, &d->runtime, err);
    if (!r)
        r = start_containerizer(d, ops, &rec, err);
    if (!r)
        r = start_server(d, err);
    if (!r)
        r = rv_remover_new(d->loop, removed, &d->remover, err);
    if (!r)
        r = rv_agent_watch_start(d, err);
    if (!r)
        r = start_core(d, &rec, err);
    if (!r)
        rv_agent_watch_recovered(d);
    rv_agent_recovery_free(&rec);
    return r;
}

static int start(struct rv_agent_daemon *d, struct rv_error *err) {
    const struct rv_containerizer_ops *ops = NULL;
    const struct rv_agent_flags *f = d->flags;
    char absolute[PATH_MAX];
    int r = check_environment_flag(f->executor_environment_variables, err);

    if (!r)
        r = check_choice("recover", f->recover, "reconnect", "cleanup", err);
    if (!r)
        r = check_choice("reconfiguration_policy", f->reconfiguration_policy, "equal", "additive",
                         err);
    if (!r)
        r = rv_agent_master_start(d, err);
    if (!r && !f->work_dir)
        r = rv_error_set(err, RV_ERR_INVALID, "--work_dir: name a folder for sandboxes");
    if (!r && f->containerizer && !(ops = find_containerizer(f->containerizer, err)))
        r = -RV_ERR_INVALID;
    if (!r)
        r = rv_make_folder(f->work_dir, err);
    if (!r && !realpath(f->work_dir, absolute))
        r = rv_error_set(err, RV_ERR_IO, "--work_dir: %s: %s", f->work_dir, strerror(errno));
    if (r)
        return r;
    d->work_dir = rv_strdup(absolute);
    d->boot_id = read_boot_id();
    r = rv_agent_detect(f, &d->info, &d->detected, err);
    if (!r)
        r = write_programs(d, err);
    if (r)
        return r;
    rv_agent_spread_sandboxes(d->work_dir);
    return start_recovered(d, ops, err);
}

int rv_agent_daemon_start(uv_loop_t *loop, const struct rv_agent_flags *flags,
                          void (*on_exit)(void *ctx, int status, const char *why), void *exit_ctx,
                          struct rv_agent_daemon **out, struct rv_error *err) {
    struct rv_agent_daemon *d = rv_calloc(1, sizeof *d);
    struct rv_wire_limits limits = RV_SHELL_LIMITS(flags);

    d->loop = loop;
    d->flags = flags;
    d->on_exit = on_exit;
    d->exit_ctx = exit_ctx;
    d->started_ns = rv_wall_ns();
    rv_arena_init(&d->arena);
    rv_arena_init(&d->scratch);
    d->api = rv_api_containers_new(d);
    d->snapshots = rv_snapshots_new(&d->shell);
    rv_shell_init(&d->shell, loop, &limits, on_stream_closed, d);
    d->timer = rv_calloc(1, sizeof *d->timer);
    uv_timer_init(loop, d->timer);
    d->timer->data = d;
    rv_agent_launches_init(d);
    int r = start(d, err);
    if (r) {
        rv_agent_daemon_stop(d);
        return r;
    }
    malloc_trim(0); /* what the start alone took */
    RV_INFO(MODULE, "agent at http://%s:%u, work_dir=%s containerizer=%s (%s; %s)", d->ip, d->port,
            d->work_dir, d->containerizer->ops->name,
            d->containerizer->ops->describe(d->containerizer), rv_watch_describe(d->watch));
    *out = d;
    return 0;
}

uint16_t rv_agent_daemon_port(const struct rv_agent_daemon *d) {
    return d->port;
}

void rv_agent_daemon_shutdown(struct rv_agent_daemon *d) {
    rv_agent_daemon_step(d, &(struct rv_agent_input){.kind = RV_AGENT_STOP});
}

struct rv_agent_daemon *rv_agent_daemon_stop(struct rv_agent_daemon *d) {
    if (!d)
        return NULL;
    d->stepping = true; /* nothing reaches the core any more */
    d->on_exit = NULL;
    rv_agent_master_stop(d);
    d->disk = rv_disk_watch_free(d->disk);
    d->watch = rv_watch_free(d->watch);
    d->snapshots = rv_snapshots_free(d->snapshots);
    d->api = rv_api_containers_free(d->api);
    rv_shell_close(&d->shell);
    if (d->shell.server)
        rv_http_server_stop(d->shell.server);
    rv_agent_launches_free(d);
    rv_agent_volumes_free(d);
    if (d->containerizer)
        d->containerizer->ops->destroy_all(d->containerizer);
    rv_runtime_close(&d->runtime);
    d->remover = rv_remover_free(d->remover);
    rv_journal_close(d->journal);
    rv_agent_free(d->core);
    rv_agent_effects_free(&d->effects);
    for (size_t i = 0; i < d->deferred.n; i++)
        free_deferred(d->deferred.v[i]);
    rv_vec_free(&d->deferred);
    rv_map_free(&d->pending);
    rv_agent_info_free(&d->info);
    rv_arena_free(&d->arena);
    rv_arena_free(&d->scratch);
    rv_buf_free(&d->encoded);
    rv_handle_close(d->timer);
    free(d->work_dir);
    free(d->hostname);
    free(d->ip);
    free(d->boot_id);
    free(d->executor_path);
    free(d->secrets_dir);
    free(d->fetcher_path);
    free(d->fetcher_cache_dir);
    free(d);
    return NULL;
}
