/*
 * reeve logs: what a task wrote, from its sandbox on the agent. What was rotated away but is still
 * there is shown too, oldest first. With -f it goes on until the task has ended.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cluster.h"
#include "cli/tail.h"
#include "cli/verbs.h"

#define PIECE ((uint64_t)1 << 20)
#define MAX_ROTATED 1000
#define WATCH_MS 1000 /* between looks whether the task still runs */

struct options {
    bool follow, errors;
    int64_t lines; /* -1: all */
};

static const struct rv_cli_option options[] = {
    {"follow", 'f', NULL, "go on until the task has ended", RV_CLI_FLAG,
     offsetof(struct options, follow)},
    {"stderr", 'e', NULL, "its standard error instead of its standard output", RV_CLI_FLAG,
     offsetof(struct options, errors)},
    {"lines", 'n', "LINES", "only the last lines", RV_CLI_COUNT, offsetof(struct options, lines)},
};
static const struct rv_cli_verb verb = {
    .name = "logs",
    .operands = "TASK",
    .about = "Shows what a task wrote, also after its end. TASK is an id or its beginning, or\n"
             "FRAMEWORK/TASK.",
    .options = options,
    .n_options = RV_COUNT(options),
    .min_operands = 1,
    .max_operands = 1,
};

struct logs {
    struct rv_cli *cli;
    const struct options *options;
    struct rv_cli_address agent;
    const char *folder, *name; /* of the sandbox; "stdout" */
    const char *task_id, *framework_id;
    uint64_t offset; /* of NAME: shown so far */
};

/* --- what is there --- */

/* A piece of a file; *size is the file's. -RV_ERR_NOT_FOUND if there is none. */
static int read_piece(const struct logs *l, const char *name, uint64_t offset, uint64_t length,
                      uint64_t *size, struct rv_buf *out, struct rv_error *err) {
    Reeve__V1__Agent__Call call;
    Reeve__V1__Agent__Call__ReadFile read = REEVE__V1__AGENT__CALL__READ_FILE__INIT;
    Reeve__V1__Agent__Response *response;
    struct rv_arena arena;

    rv_arena_init(&arena);
    reeve__v1__agent__call__init(&call);
    call.has_type = true;
    call.type = REEVE__V1__AGENT__CALL__TYPE__READ_FILE;
    call.read_file = &read;
    read.path = rv_arena_printf(&arena, "%s/%s", l->folder, name);
    read.offset = offset;
    read.has_length = true;
    read.length = length;
    int r = rv_cli_ask_agent(&l->agent, &call, &arena, &response, err);
    if (!r && !response->read_file)
        r = rv_error_set(err, RV_ERR_INVALID, "the agent's answer has no read_file");
    if (!r) {
        *size = response->read_file->size;
        rv_buf_append(out, response->read_file->data.data, response->read_file->data.len);
    }
    rv_arena_free(&arena);
    return r;
}

/* How many rotated files there are: NAME.1 is the newest. */
static unsigned rotated_files(const struct logs *l) {
    Reeve__V1__Agent__Call call;
    Reeve__V1__Agent__Call__ListFiles list = REEVE__V1__AGENT__CALL__LIST_FILES__INIT;
    Reeve__V1__Agent__Response *response;
    struct rv_arena arena;
    unsigned most = 0;

    rv_arena_init(&arena);
    reeve__v1__agent__call__init(&call);
    call.has_type = true;
    call.type = REEVE__V1__AGENT__CALL__TYPE__LIST_FILES;
    call.list_files = &list;
    list.path = rv_arena_strdup(&arena, l->folder);
    if (!rv_cli_ask_agent(&l->agent, &call, &arena, &response, NULL) && response->list_files)
        for (size_t i = 0; i < response->list_files->n_file_infos; i++) {
            const char *path = response->list_files->file_infos[i]->path;
            const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
            size_t n = strlen(l->name);
            int64_t number;
            if (!strncmp(base, l->name, n) && base[n] == '.' &&
                !rv_parse_i64(base + n + 1, 1, MAX_ROTATED, &number))
                most = RV_MAX(most, (unsigned)number);
        }
    rv_arena_free(&arena);
    return most;
}

static const char *file_name(const struct logs *l, unsigned rotation, char out[64]) {
    if (rotation)
        snprintf(out, 64, "%s.%u", l->name, rotation);
    else
        snprintf(out, 64, "%s", l->name);
    return out;
}

/* From the offset to the end, to stdout. */
static int show_file(struct logs *l, unsigned rotation, uint64_t offset, struct rv_error *err) {
    _cleanup_(rv_buf_free) struct rv_buf piece = {0};
    uint64_t size = 0;
    char name[64];

    file_name(l, rotation, name);
    do {
        rv_buf_clear(&piece);
        int r = read_piece(l, name, offset, PIECE, &size, &piece, err);
        if (r == -RV_ERR_NOT_FOUND)
            return 0; /* nothing was written, or it was rotated away just now */
        if (r)
            return r;
        fwrite(piece.data, 1, piece.n, stdout);
        offset += piece.n;
    } while (piece.n && offset < size && !ferror(stdout));
    if (!rotation)
        l->offset = offset;
    return 0;
}

/* Looks backward for the beginning of the last `lines` lines of a file: *offset; *lines is what
 * must come from older files. */
static int find_lines(const struct logs *l, unsigned rotation, int64_t *lines, uint64_t *offset,
                      struct rv_error *err) {
    _cleanup_(rv_buf_free) struct rv_buf piece = {0};
    uint64_t size = 0, end;
    char name[64];
    int r = read_piece(l, file_name(l, rotation, name), 0, 0, &size, &piece, err);

    *offset = 0;
    if (r)
        return r == -RV_ERR_NOT_FOUND ? 0 : r;
    for (end = size; end > 0;) {
        uint64_t begin = end > PIECE / 16 ? end - PIECE / 16 : 0, now;
        rv_buf_clear(&piece);
        r = read_piece(l, name, begin, end - begin, &now, &piece, err);
        if (r)
            return r == -RV_ERR_NOT_FOUND ? 0 : r;
        for (size_t i = piece.n; i-- > 0;) {
            /* A line ends with its line break; what follows the last one is a line, too. */
            if (piece.data[i] != '\n' || begin + i + 1 == size)
                continue;
            if (--*lines == 0) {
                *offset = begin + i + 1;
                return 0;
            }
        }
        end = begin;
    }
    if (size)
        --*lines;
    return 0;
}

static int show(struct logs *l, struct rv_error *err) {
    unsigned oldest = rotated_files(l), from = oldest;
    int64_t left = l->options->lines;
    uint64_t offset = 0;
    int r = 0;

    if (left == 0) { /* only what comes: find the end */
        _cleanup_(rv_buf_free) struct rv_buf nothing = {0};
        r = read_piece(l, l->name, 0, 0, &l->offset, &nothing, err);
        return r == -RV_ERR_NOT_FOUND ? 0 : r;
    }
    if (left > 0)
        for (from = 0;; from++) {
            r = find_lines(l, from, &left, &offset, err);
            if (r || left == 0 || from == oldest)
                break;
        }
    for (unsigned i = from + 1; !r && i-- > 0;)
        r = show_file(l, i, i == from ? offset : 0, err);
    fflush(stdout);
    return r;
}

/* --- what comes --- */

struct follow {
    struct logs *logs;
    uv_loop_t loop;
    uv_timer_t watch;
    struct rv_http_client *client;
    struct rv_cli_tail *tail;
    struct rv_http_call *asking;
    int status;
};

static void on_data(void *ctx, struct rv_str bytes) {
    struct follow *f = ctx;

    fwrite(bytes.s, 1, bytes.n, stdout);
    if (fflush(stdout) || ferror(stdout)) { /* nobody reads any more */
        f->status = RV_CLI_ERROR;
        uv_stop(&f->loop);
    }
}

static void on_end(void *ctx, const struct rv_error *err) {
    struct follow *f = ctx;

    if (err)
        f->status = rv_cli_fail(f->logs->cli, "%s", err->message);
    uv_stop(&f->loop);
}

static bool holds(Reeve__V1__Task *const *v, size_t n, const struct logs *l) {
    for (size_t i = 0; i < n; i++)
        if (rv_streq(v[i]->task_id->value, l->task_id) &&
            rv_streq(v[i]->framework_id->value, l->framework_id))
            return true;
    return false;
}

/* The agent knows first when a task has ended. */
static void on_tasks(void *ctx, int result, int status, const struct rv_http1_header *headers,
                     size_t n, struct rv_str body, const struct rv_error *err) {
    struct follow *f = ctx;
    Reeve__V1__Agent__Response__GetTasks *tasks;
    struct rv_arena arena;
    ProtobufCMessage *m;

    (void)headers;
    (void)n;
    f->asking = NULL;
    if (result) {
        rv_cli_fail(f->logs->cli, "lost the agent: %s", err->message);
        rv_cli_tail_finish(f->tail);
        return;
    }
    rv_arena_init(&arena);
    if (status == 200 && !rv_wire_decode(&reeve__v1__agent__response__descriptor, RV_ENC_PROTOBUF,
                                         body, &rv_cli_limits, &arena, &m, NULL)) {
        tasks = ((Reeve__V1__Agent__Response *)m)->get_tasks;
        if (tasks && !holds(tasks->pending_tasks, tasks->n_pending_tasks, f->logs) &&
            !holds(tasks->queued_tasks, tasks->n_queued_tasks, f->logs) &&
            !holds(tasks->launched_tasks, tasks->n_launched_tasks, f->logs)) {
            uv_timer_stop(&f->watch);
            rv_cli_tail_finish(f->tail);
        }
    }
    rv_arena_free(&arena);
}

static void on_watch(uv_timer_t *timer) {
    static const struct rv_http_call_handler handler = {.on_done = on_tasks};
    struct follow *f = timer->data;
    Reeve__V1__Agent__Call call;
    _cleanup_(rv_buf_free) struct rv_buf body = {0};

    if (f->asking)
        return;
    reeve__v1__agent__call__init(&call);
    call.has_type = true;
    call.type = REEVE__V1__AGENT__CALL__TYPE__GET_TASKS;
    rv_wire_encode(&call.base, RV_ENC_PROTOBUF, &body);
    f->asking = rv_http_client_call(
        f->client, "POST", "/api/v1",
        "Content-Type: application/x-protobuf\r\nAccept: application/x-protobuf\r\n",
        rv_buf_str(&body), false, &handler, f);
}

static int follow(struct logs *l) {
    struct follow f = {.logs = l, .status = RV_CLI_OK};
    const struct rv_http_client_config client = {
        .host = l->agent.host, .port = l->agent.port, .max_connections = 2};
    struct rv_cli_tail_config tail = {.loop = &f.loop,
                                      .folder = l->folder,
                                      .name = l->name,
                                      .offset = l->offset,
                                      .on_data = on_data,
                                      .on_end = on_end,
                                      .ctx = &f};

    uv_loop_init(&f.loop);
    tail.agent = f.client = rv_http_client_new(&f.loop, &client);
    f.tail = rv_cli_tail_new(&tail);
    uv_timer_init(&f.loop, &f.watch);
    f.watch.data = &f;
    uv_timer_start(&f.watch, on_watch, 0, WATCH_MS);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    if (f.asking)
        rv_http_call_cancel(f.asking);
    rv_cli_tail_free(f.tail);
    rv_http_client_free(f.client);
    uv_close((uv_handle_t *)&f.watch, NULL);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    uv_loop_close(&f.loop);
    return f.status;
}

/* --- the verb --- */

/* A task of a group has a folder of its own within its executor's sandbox. */
static const char *folder_of(const struct rv_cli_task *found, struct rv_arena *arena) {
    const Reeve__V1__Task *t = found->task;
    _cleanup_free_ char *sandbox = rv_cli_sandbox(
        t->framework_id->value, t->executor_id ? t->executor_id->value : t->task_id->value);

    for (size_t i = t->n_statuses; i-- > 0;) {
        const Reeve__V1__ContainerStatus *c = t->statuses[i]->container_status;
        if (c && c->container_id && c->container_id->parent)
            return rv_arena_printf(arena, "%s/containers/%s", sandbox, c->container_id->value);
    }
    return rv_arena_strdup(arena, sandbox);
}

static int find(struct rv_cli *cli, const struct rv_cli_cluster *c, struct logs *l,
                struct rv_error *err) {
    const struct rv_cli_task *found;
    int r = rv_cli_task_find(c, cli->operands[0], false, &found, err);

    if (!r)
        r = rv_cli_task_address(c, found, &l->agent, err);
    if (r)
        return r;
    l->folder = folder_of(found, &cli->arena);
    l->task_id = found->task->task_id->value;
    l->framework_id = found->task->framework_id->value;
    return 0;
}

int rv_cli_logs(int argc, char **argv) {
    struct options values = {.lines = -1};
    struct rv_cli_cluster c = {0};
    struct logs l = {.options = &values};
    struct rv_error err;
    struct rv_cli cli;
    int status;

    if (rv_cli_begin(&cli, &verb, &values, argc, argv, &status)) {
        l.cli = &cli;
        l.name = values.errors ? "stderr" : "stdout";
        if (rv_cli_cluster_get(&cli, &c, &err) || find(&cli, &c, &l, &err) || show(&l, &err))
            status = rv_cli_fail(&cli, "%s", err.message);
        else
            status = values.follow ? follow(&l) : RV_CLI_OK;
        rv_cli_cluster_free(&c);
    }
    rv_cli_end(&cli);
    return status;
}
