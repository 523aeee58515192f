/*
 * Answers that master and agent give alike. Nothing here knows which of the two it speaks for but
 * by the tables and callbacks of struct rv_common.
 */
#include "daemon/common.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/legacy_json.h"
#include "daemon/version.h"
#include "wire/convert.h"

#define MAX_LEVEL 1000

/* --- parts of v1 answers --- */

Reeve__V1__VersionInfo *rv_common_version(struct rv_arena *arena) {
    Reeve__V1__VersionInfo *m = RV_WIRE_MAKE(arena, VersionInfo, version_info);

    m->version = rv_arena_strdup(arena, RV_API_VERSION);
    m->git_tag = rv_arena_strdup(arena, "reeve-" RV_VERSION);
    return m;
}

void rv_common_flags(const struct rv_common *c, struct rv_arena *arena, Reeve__V1__Flag ***v,
                     size_t *n) {
    *v = RV_ARENA_ARRAY(arena, Reeve__V1__Flag *, c->table->n);
    *n = c->table->n;
    for (size_t i = 0; i < c->table->n; i++) {
        const struct rv_flag *flag = &c->table->flags[i];
        _cleanup_free_ char *text = rv_flag_text(flag, c->flags);
        (*v)[i] = RV_WIRE_MAKE(arena, Flag, flag);
        (*v)[i]->name = rv_arena_strdup(arena, flag->name);
        if (text)
            (*v)[i]->value = rv_arena_strdup(arena, text);
    }
}

static void measure(const struct rv_common *c, struct rv_metrics *m) {
    c->measure(c->ctx, m);
    rv_metrics_system(m);
    rv_metrics_sort(m);
}

void rv_common_metrics(const struct rv_common *c, struct rv_arena *arena, Reeve__V1__Metric ***v,
                       size_t *n) {
    _cleanup_(rv_metrics_free) struct rv_metrics m;

    rv_metrics_init(&m);
    measure(c, &m);
    *v = RV_ARENA_ARRAY(arena, Reeve__V1__Metric *, m.list.n);
    *n = m.list.n;
    for (size_t i = 0; i < m.list.n; i++) {
        (*v)[i] = RV_WIRE_MAKE(arena, Metric, metric);
        (*v)[i]->name = rv_arena_strdup(arena, m.list.v[i].name);
        (*v)[i]->has_value = true;
        (*v)[i]->value = m.list.v[i].value;
    }
}

uint32_t rv_common_logging_level(void) {
    int level = (int)rv_log_get_level() - RV_LOG_INFO;

    return level > 0 ? (uint32_t)level : 0;
}

int rv_common_set_logging_level(const struct rv_common *c, uint32_t level, int64_t duration_ns,
                                struct rv_error *err) {
    if (level > MAX_LEVEL)
        return rv_error_set(err, RV_ERR_INVALID, "set_logging_level.level: over %d", MAX_LEVEL);
    if (duration_ns < 0)
        return rv_error_set(err, RV_ERR_INVALID, "set_logging_level.duration: negative");
    rv_shell_log_level(c->shell, (int)level + RV_LOG_INFO, (uint64_t)duration_ns / 1000000);
    return 0;
}

int rv_common_list_files(const struct rv_common *c, const char *path, struct rv_arena *arena,
                         Reeve__V1__FileInfo ***v, size_t *n, struct rv_error *err) {
    struct rv_file_entry *entries;
    int r = rv_files_list(c->files, path, arena, &entries, n, err);

    if (r)
        return r;
    *v = RV_ARENA_ARRAY(arena, Reeve__V1__FileInfo *, *n);
    for (size_t i = 0; i < *n; i++) {
        const struct stat *st = &entries[i].st;
        Reeve__V1__FileInfo *m = RV_WIRE_MAKE(arena, FileInfo, file_info);
        m->path = rv_arena_strdup(arena, entries[i].path);
        m->has_nlink = true;
        m->nlink = (int32_t)st->st_nlink;
        m->has_size = true;
        m->size = (uint64_t)st->st_size;
        m->mtime = RV_WIRE_MAKE(arena, TimeInfo, time_info);
        m->mtime->nanoseconds = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
        m->has_mode = true;
        m->mode = st->st_mode;
        m->uid = rv_arena_strdup(arena, entries[i].user);
        m->gid = rv_arena_strdup(arena, entries[i].group);
        (*v)[i] = m;
    }
    return 0;
}

int rv_common_read_file(const struct rv_common *c, const char *path, uint64_t offset,
                        bool has_length, uint64_t length, struct rv_arena *arena, uint64_t *size,
                        ProtobufCBinaryData *data, struct rv_error *err) {
    _cleanup_(rv_buf_free) struct rv_buf bytes = {0};
    int r = rv_files_read(c->files, path, offset, has_length ? length : RV_FILES_READ_MAX, size,
                          &bytes, err);

    if (r)
        return r;
    data->len = bytes.n;
    data->data = bytes.n ? rv_arena_memdup(arena, bytes.data, bytes.n) : NULL;
    return 0;
}

/* --- answers --- */

void rv_common_refuse(struct rv_shell *s, struct rv_http_request *req, const struct rv_error *err) {
    int status = 400;

    switch (err->code) {
    case RV_ERR_NOT_FOUND:
        status = 404;
        break;
    case RV_ERR_PERMISSION:
        status = 403;
        break;
    case RV_ERR_CONFLICT:
        status = 409;
        break;
    case RV_ERR_LIMIT:
        status = 413;
        break;
    case RV_ERR_IO:
    case RV_ERR_INTERNAL:
    case RV_ERR_CORRUPT:
        status = 500;
        break;
    case RV_ERR_UNSUPPORTED:
        status = 501;
        break;
    default:
        break;
    }
    if (status < 500)
        s->bad_requests++;
    rv_http_reply_text(req, status, "%s\n", err->message);
}

void rv_common_bad_request(struct rv_shell *s, struct rv_http_request *req, const char *text) {
    struct rv_error err;

    rv_error_set(&err, RV_ERR_INVALID, "%s", text);
    rv_common_refuse(s, req, &err);
}

/* A name that a script may call: nothing that could be read as markup or end the call. */
static bool is_callback(const char *name) {
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$.[]");

    return n && n <= 128 && !name[n];
}

bool rv_common_json_begin(struct rv_shell *s, struct rv_http_request *req, struct rv_buf *out) {
    const char *callback = rv_http_query(req, "jsonp");

    if (!callback)
        return true;
    if (!is_callback(callback)) {
        rv_common_bad_request(s, req, "jsonp: this is no name of a function");
        return false;
    }
    rv_buf_puts(out, callback);
    rv_buf_putc(out, '(');
    return true;
}

void rv_common_json_end(struct rv_http_request *req, struct rv_buf *out) {
    bool script = rv_http_query(req, "jsonp") != NULL;

    if (script)
        rv_buf_puts(out, ");");
    rv_http_reply_take(req, 200, script ? "text/javascript" : "application/json", out, NULL);
}

bool rv_common_is_read(struct rv_shell *s, struct rv_http_request *req) {
    static const char *const allow[] = {"Allow", "GET, HEAD, POST", NULL};
    const char *method = rv_http_method(req);

    if (rv_streq(method, "GET") || rv_streq(method, "POST") || rv_streq(method, "HEAD"))
        return true;
    s->bad_requests++;
    rv_http_reply(req, 405, "text/plain", RV_STR("Only GET, HEAD and POST are allowed here.\n"),
                  allow);
    return false;
}

bool rv_common_path_is(const char *path, const char *name) {
    size_t n = strlen(name);

    return !strncmp(path, name, n) && (!path[n] || rv_streq(path + n, ".json"));
}

bool rv_common_query_int(struct rv_shell *s, struct rv_http_request *req, const char *name,
                         int64_t fallback, int64_t *out) {
    const char *text = rv_http_query(req, name);
    struct rv_error err;

    *out = fallback;
    if (!text || !rv_parse_i64(text, INT64_MIN, INT64_MAX, out))
        return true;
    rv_error_set(&err, RV_ERR_INVALID, "%s: this is no whole number", name);
    rv_common_refuse(s, req, &err);
    return false;
}

/* --- endpoints --- */

void rv_common_version_members(struct rv_json *j) {
    rv_json_string(j, "version", RV_API_VERSION);
    rv_json_string(j, "git_tag", "reeve-" RV_VERSION);
}

void rv_common_flags_json(const struct rv_common *c, struct rv_json *j, const char *key) {
    rv_json_object(j, key);
    for (size_t i = 0; i < c->table->n; i++) {
        _cleanup_free_ char *text = rv_flag_text(&c->table->flags[i], c->flags);
        if (text)
            rv_json_string(j, c->table->flags[i].name, text);
    }
    rv_json_object_end(j);
}

static void health(const struct rv_common *c, struct rv_http_request *req) {
    (void)c;
    rv_http_reply(req, 200, NULL, rv_strn(NULL, 0), NULL);
}

static void version(const struct rv_common *c, struct rv_http_request *req) {
    struct rv_buf out = {0};
    struct rv_json j = {.out = &out};

    if (!rv_common_json_begin(c->shell, req, &out))
        return;
    rv_json_object(&j, NULL);
    rv_common_version_members(&j);
    rv_json_object_end(&j);
    rv_common_json_end(req, &out);
}

static void flags(const struct rv_common *c, struct rv_http_request *req) {
    struct rv_buf out = {0};
    struct rv_json j = {.out = &out};

    if (!rv_common_json_begin(c->shell, req, &out))
        return;
    rv_json_object(&j, NULL);
    rv_common_flags_json(c, &j, "flags");
    rv_json_object_end(&j);
    rv_common_json_end(req, &out);
}

struct metrics_asked {
    struct rv_common common;
    const char *callback; /* jsonp */
};

static void write_snapshot(const void *what, struct rv_sink *sink) {
    const struct metrics_asked *asked = what;
    _cleanup_(rv_metrics_free) struct rv_metrics m;

    rv_metrics_init(&m);
    measure(&asked->common, &m);
    if (asked->callback)
        rv_buf_printf(&sink->buf, "%s(", asked->callback);
    rv_metrics_json(&m, &sink->buf);
    if (asked->callback)
        rv_buf_puts(&sink->buf, ");");
}

static void reply_metrics(const struct rv_common *c, struct rv_http_request *req,
                          const char *content_type, rv_snapshot_writer writer) {
    struct metrics_asked asked = {.common = *c, .callback = rv_http_query(req, "jsonp")};

    rv_snapshots_reply(c->snapshots, req, c->many_metrics, content_type, writer, &asked,
                       sizeof asked);
}

/* Everything is measured at once, so that no timeout can run out; a wrong one is told. */
static void metrics_snapshot(const struct rv_common *c, struct rv_http_request *req) {
    const char *timeout = rv_http_query(req, "timeout");
    _cleanup_(rv_buf_free) struct rv_buf checked = {0};
    int64_t ns;

    if (timeout && rv_parse_duration_ns(timeout, &ns)) {
        rv_common_bad_request(c->shell, req, "timeout: this is no duration");
        return;
    }
    if (rv_common_json_begin(c->shell, req, &checked))
        reply_metrics(c, req, checked.n ? "text/javascript" : "application/json", write_snapshot);
}

void rv_common_prometheus(const struct rv_common *c, struct rv_buf *out) {
    _cleanup_(rv_metrics_free) struct rv_metrics m;

    rv_metrics_init(&m);
    measure(c, &m);
    rv_metrics_prometheus(&m, out);
}

static void write_prometheus(const void *what, struct rv_sink *sink) {
    const struct metrics_asked *asked = what;

    rv_common_prometheus(&asked->common, &sink->buf);
}

static void metrics_text(const struct rv_common *c, struct rv_http_request *req) {
    reply_metrics(c, req, RV_COMMON_PROMETHEUS_TYPE, write_prometheus);
}

static void logging_toggle(const struct rv_common *c, struct rv_http_request *req) {
    const char *level = rv_http_query(req, "level"), *duration = rv_http_query(req, "duration");
    struct rv_error err;
    uint64_t number;
    int64_t ns;

    if (!level && !duration) {
        rv_http_reply_text(req, 200, "%u\n", rv_common_logging_level());
    } else if (!level || !duration) {
        rv_common_bad_request(c->shell, req, "level and duration belong together");
    } else if (rv_parse_u64(level, UINT32_MAX, &number)) {
        rv_common_bad_request(c->shell, req, "level: this is no number");
    } else if (rv_parse_duration_ns(duration, &ns)) {
        rv_common_bad_request(c->shell, req, "duration: this is no duration");
    } else if (rv_common_set_logging_level(c, (uint32_t)number, ns, &err)) {
        rv_common_refuse(c->shell, req, &err);
    } else {
        rv_http_reply(req, 200, NULL, rv_strn(NULL, 0), NULL);
    }
}

static void system_stats(const struct rv_common *c, struct rv_http_request *req) {
    _cleanup_(rv_metrics_free) struct rv_metrics m;
    static const struct {
        const char *metric, *name;
    } shown[] = {
        {"system/load_1min", "avg_load_1min"},         {"system/load_5min", "avg_load_5min"},
        {"system/load_15min", "avg_load_15min"},       {"system/cpus_total", "cpus_total"},
        {"system/mem_total_bytes", "mem_total_bytes"}, {"system/mem_free_bytes", "mem_free_bytes"},
    };
    struct rv_buf out = {0};
    struct rv_json j = {.out = &out};

    rv_metrics_init(&m);
    if (!rv_common_json_begin(c->shell, req, &out))
        return;
    rv_metrics_system(&m);
    rv_json_object(&j, NULL);
    for (size_t i = 0; i < m.list.n; i++)
        for (size_t k = 0; k < RV_COUNT(shown); k++)
            if (rv_streq(m.list.v[i].name, shown[k].metric))
                rv_json_double(&j, shown[k].name, m.list.v[i].value);
    rv_json_object_end(&j);
    rv_common_json_end(req, &out);
}

/* --- /files --- */

static bool path_asked(const struct rv_common *c, struct rv_http_request *req, const char **path) {
    *path = rv_http_query(req, "path");
    if (*path && **path)
        return true;
    rv_common_bad_request(c->shell, req, "Expecting 'path=value' in query.");
    return false;
}

static void files_browse(const struct rv_common *c, struct rv_http_request *req) {
    _cleanup_(rv_arena_free) struct rv_arena arena;
    struct rv_file_entry *v;
    struct rv_buf out = {0};
    struct rv_json j = {.out = &out};
    struct rv_error err;
    const char *path;
    size_t n;

    rv_arena_init(&arena);
    if (!path_asked(c, req, &path))
        return;
    if (rv_files_list(c->files, path, &arena, &v, &n, &err)) {
        rv_common_refuse(c->shell, req, &err);
        return;
    }
    if (!rv_common_json_begin(c->shell, req, &out))
        return;
    rv_json_array(&j, NULL);
    for (size_t i = 0; i < n; i++) {
        char mode[11];
        rv_files_mode(v[i].st.st_mode, mode);
        rv_json_object(&j, NULL);
        rv_json_string(&j, "path", v[i].path);
        rv_json_int(&j, "nlink", (int64_t)v[i].st.st_nlink);
        rv_json_int(&j, "size", (int64_t)v[i].st.st_size);
        rv_json_seconds(&j, "mtime",
                        (int64_t)v[i].st.st_mtim.tv_sec * 1000000000 + v[i].st.st_mtim.tv_nsec);
        rv_json_string(&j, "mode", mode);
        rv_json_string(&j, "uid", v[i].user);
        rv_json_string(&j, "gid", v[i].group);
        rv_json_object_end(&j);
    }
    rv_json_array_end(&j);
    rv_common_json_end(req, &out);
}

/* A pager asks where the end is by an offset that is missing or -1, and gets no data then. */
static void files_read(const struct rv_common *c, struct rv_http_request *req) {
    _cleanup_(rv_buf_free) struct rv_buf data = {0};
    struct rv_buf out = {0};
    struct rv_json j = {.out = &out};
    int64_t offset, length;
    struct rv_error err;
    const char *path;
    uint64_t size;

    if (!path_asked(c, req, &path) || !rv_common_query_int(c->shell, req, "offset", -1, &offset) ||
        !rv_common_query_int(c->shell, req, "length", -1, &length))
        return;
    if (offset < -1 || length < -1) {
        rv_common_bad_request(c->shell, req, "offset and length are -1 or more");
        return;
    }
    uint64_t from = offset == -1 ? UINT64_MAX : (uint64_t)offset;
    uint64_t most = length == -1 ? RV_FILES_LEGACY_READ_MAX
                                 : RV_MIN((uint64_t)length, RV_FILES_LEGACY_READ_MAX);
    if (rv_files_read(c->files, path, from, most, &size, &data, &err)) {
        rv_common_refuse(c->shell, req, &err);
        return;
    }
    if (!rv_common_json_begin(c->shell, req, &out))
        return;
    rv_json_object(&j, NULL);
    rv_json_int(&j, "offset", (int64_t)RV_MIN(from, size));
    rv_json_bytes(&j, "data", rv_buf_str(&data));
    rv_json_object_end(&j);
    rv_common_json_end(req, &out);
}

/* Plain files are shown as such; nothing that a browser would run as a page of ours. */
static const char *type_of(const char *name) {
    static const char *const plain[] = {".txt", ".log", ".out", ".err", "/stdout", "/stderr"};

    for (size_t i = 0; i < RV_COUNT(plain); i++)
        if (rv_ends_with(name, plain[i]))
            return "text/plain";
    return rv_ends_with(name, ".json") ? "application/json" : "application/octet-stream";
}

static void files_download(const struct rv_common *c, struct rv_http_request *req) {
    struct rv_error err;
    const char *path;
    struct stat st;
    int fd;

    if (!path_asked(c, req, &path))
        return;
    if (rv_files_open(c->files, path, &fd, &st, &err)) {
        rv_common_refuse(c->shell, req, &err);
        return;
    }
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *disposition =
        rv_asprintf("attachment; filename=\"%s\"", slash ? slash + 1 : path);
    for (char *p = disposition; *p; p++) /* a header takes neither control characters nor quotes */
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '\\')
            *p = '_';
    for (char *p = disposition + strlen("attachment; filename=\""); *p; p++)
        if (*p == '"' && p[1])
            *p = '_';
    const char *headers[] = {"Content-Disposition", disposition, "X-Content-Type-Options",
                             "nosniff", NULL};
    rv_http_reply_fd(req, 200, type_of(path), fd, 0, (uint64_t)st.st_size, headers);
}

static void files_debug(const struct rv_common *c, struct rv_http_request *req) {
    struct rv_buf out = {0};
    struct rv_json j = {.out = &out};
    struct rv_str name;
    void *path;

    if (!rv_common_json_begin(c->shell, req, &out))
        return;
    rv_json_object(&j, NULL);
    for (size_t it = 0; c->files && rv_map_next(&c->files->roots, &it, &name, &path);) {
        _cleanup_free_ char *text = rv_strndup(name.s, name.n);
        rv_json_string(&j, text, path);
    }
    rv_json_object_end(&j);
    rv_common_json_end(req, &out);
}

bool rv_common_handle(const struct rv_common *c, struct rv_http_request *req, const char *path) {
    static const struct {
        const char *path;
        void (*answer)(const struct rv_common *c, struct rv_http_request *req);
    } endpoints[] = {
        {"/health", health},
        {"/version", version},
        {"/flags", flags},
        {"/metrics/snapshot", metrics_snapshot},
        {"/metrics", metrics_text},
        {"/logging/toggle", logging_toggle},
        {"/system/stats", system_stats},
        {"/files/browse", files_browse},
        {"/files/read", files_read},
        {"/files/download", files_download},
        {"/files/debug", files_debug},
    };

    for (size_t i = 0; i < RV_COUNT(endpoints); i++) {
        if (!rv_common_path_is(path, endpoints[i].path))
            continue;
        if (rv_common_is_read(c->shell, req))
            endpoints[i].answer(c, req);
        return true;
    }
    return false;
}
