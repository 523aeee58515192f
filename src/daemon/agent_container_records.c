/*
 * How containers of the agent's API ended that survive the agent: a file each,
 * WORK_DIR/meta/ended/ID (as rv_container_file_name), for as long as the table keeps the container.
 * So an executor that waits for one learns how it ended also if the agent has ended in between. A
 * file is written beside and renamed, not synced: it need not survive the machine, of which no
 * container is left.
 *
 * It is a journal of one record (wire/journal_format.h), which has its checksum; earlier versions
 * wrote the record alone. One that is damaged is named, and not taken for none (INV-19).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/agent_containers_internal.h"
#include "daemon/folders.h"
#include "reeve/v1/checkpoint.pb-c.h"
#include "wire/codec.h"
#include "wire/journal_format.h"
#include "wire/resources_codec.h"

#define MODULE "agent"

enum { MAX_RECORD = 256 * 1024 };

static char *path_of(const struct rv_api_containers *t, const char *id) {
    _cleanup_free_ char *name = rv_container_file_name(id);

    return rv_asprintf("%s/meta/ended/%s", t->d->work_dir, name);
}

static int write_file(const char *path, struct rv_str bytes) {
    int folder = (int)(strrchr(path, '/') - path);
    _cleanup_free_ char *fresh = rv_asprintf("%.*s/.%s.new", folder, path, path + folder + 1);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), error = 0;

    if (fd < 0)
        return -1;
    if (write(fd, bytes.s, bytes.n) != (ssize_t)bytes.n)
        error = errno ? errno : ENOSPC;
    close(fd);
    if (!error && rename(fresh, path) == 0)
        return 0;
    unlink(fresh);
    errno = error ? error : errno;
    return -1;
}

/* The record's bytes become those of its file. */
static void put_file(struct rv_buf *bytes) {
    static const char zeros[RV_JOURNAL_ALIGN];
    struct rv_buf record = {0};

    rv_journal_put_record(&record, rv_buf_str(bytes));
    rv_buf_clear(bytes);
    rv_journal_put_head(bytes);
    rv_journal_put_frame(bytes, rv_buf_str(&record));
    rv_buf_append(bytes, zeros, sizeof zeros);
    rv_buf_free(&record);
}

void rv_api_record(struct rv_api_container *c) {
    _cleanup_free_ char *path = path_of(c->table, c->id);
    _cleanup_free_ char *folder = rv_asprintf("%s/meta/ended", c->table->d->work_dir);
    _cleanup_(rv_arena_free) struct rv_arena arena;
    _cleanup_(rv_buf_free) struct rv_buf bytes = {0};
    Reeve__V1__Checkpoint__Ended m = REEVE__V1__CHECKPOINT__ENDED__INIT;
    struct rv_error err;

    rv_arena_init(&arena);
    m.id = c->id;
    m.directory = c->directory;
    m.boot_id = c->table->d->boot_id;
    m.has_status = c->has_status;
    m.status = c->status;
    m.has_reason = c->verdict.reason != RV_REASON_NONE;
    m.reason = m.has_reason ? (int32_t)c->verdict.reason : 0;
    m.message = c->verdict.message;
    rv_wire_resources_to(&c->verdict.limitation, RV_SHAPE_ENDPOINT, false, &arena, &m.limitation,
                         &m.n_limitation);
    rv_wire_encode(&m.base, RV_ENC_PROTOBUF, &bytes);
    put_file(&bytes);
    if (write_file(path, rv_buf_str(&bytes)) == 0 ||
        (errno == ENOENT && rv_make_folder(folder, &err) == 0 &&
         write_file(path, rv_buf_str(&bytes)) == 0))
        c->recorded = true;
    else
        RV_WARN(MODULE, "how container %s ended is not known any more after a restart: %s: %s",
                c->id, path, strerror(errno));
}

void rv_api_record_remove(const struct rv_api_container *c) {
    _cleanup_free_ char *path = path_of(c->table, c->id);

    if (unlink(path) != 0 && errno != ENOENT)
        RV_WARN(MODULE, "cannot remove %s: %s", path, strerror(errno));
}

static int on_record(void *ctx, struct rv_str record, struct rv_error *err) {
    (void)err;
    *(struct rv_str *)ctx = record;
    return 0;
}

/* The record lies in the file's bytes. */
static int find_record(struct rv_str file, const char *path, struct rv_str *out,
                       struct rv_error *err) {
    struct rv_journal_found found;
    struct rv_buf head = {0};

    rv_journal_put_head(&head);
    bool is_journal = file.n >= head.n && !memcmp(file.s, head.data, head.n);
    rv_buf_free(&head);
    *out = is_journal ? (struct rv_str){NULL, 0} : file;
    return is_journal ? rv_journal_parse(file, path, false, on_record, out, &found, err) : 0;
}

static int read_file(const char *path, struct rv_arena *arena,
                     const Reeve__V1__Checkpoint__Ended **out, struct rv_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *bytes = rv_arena_alloc(arena, MAX_RECORD);
    ssize_t n = fd >= 0 ? read(fd, bytes, MAX_RECORD) : -1;
    ProtobufCMessage *m = NULL;
    struct rv_str record;

    if (n < 0)
        rv_error_set(err, RV_ERR_IO, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return -RV_ERR_IO;
    int r = find_record(rv_strn(bytes, (size_t)n), path, &record, err);
    if (r)
        return r;
    bool ok = record.s && !rv_wire_decode(&reeve__v1__checkpoint__ended__descriptor,
                                          RV_ENC_PROTOBUF, record, NULL, arena, &m, NULL);
    *out = (const void *)m;
    if (!ok || !(*out)->directory || !(*out)->boot_id)
        return rv_error_set(err, RV_ERR_CORRUPT, "%s: damaged: it is no record of an end", path);
    return 0;
}

/* False: it is of no use any more. */
static bool take(struct rv_api_containers *t, const char *name,
                 const Reeve__V1__Checkpoint__Ended *m) {
    const char *id = m->id ? m->id : name;
    struct rv_api_container *c = rv_api_find(t, id);
    struct rv_container_end end = {.reason = RV_REASON_NONE};
    struct rv_resources limitation = {0};

    if (!rv_streq(m->boot_id, t->d->boot_id))
        return false;
    /* The containerizer has it still: its end will be told again. */
    if (c && c->state != RV_API_ENDED)
        return true;
    if (!c) {
        c = rv_api_add(t, id, rv_strdup(m->directory));
        c->state = RV_API_ENDED;
        t->n_ended++;
    }
    c->survives = c->recorded = true;
    c->has_status = m->has_status;
    c->status = m->status;
    if (m->has_reason)
        end.reason = (enum rv_reason)m->reason;
    end.message = m->message;
    if (rv_wire_resources_from(m->limitation, m->n_limitation, "limitation", &limitation, NULL) ==
        0)
        end.limitation = &limitation;
    rv_verdict_set(&c->verdict, &end);
    rv_resources_free(&limitation);
    return true;
}

struct walk {
    DIR *dir;
    char path[PATH_MAX];
    const char *name; /* in path */
};

/* The next record's path; false: there is none. */
static bool next(struct walk *w, const char *folder) {
    for (struct dirent *e; w->dir && (e = readdir(w->dir));) {
        int n = snprintf(w->path, sizeof w->path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] == '.' || n >= (int)sizeof w->path)
            continue;
        w->name = w->path + strlen(folder) + 1;
        return true;
    }
    if (w->dir)
        closedir(w->dir);
    return false;
}

int rv_api_records_check(const char *work_dir, struct rv_error *err) {
    _cleanup_free_ char *folder = rv_asprintf("%s/meta/ended", work_dir);
    struct walk w = {.dir = opendir(folder)};
    int r = 0;

    while (next(&w, folder)) {
        const Reeve__V1__Checkpoint__Ended *m;
        struct rv_arena arena;
        rv_arena_init(&arena);
        r = r ? r : read_file(w.path, &arena, &m, err);
        rv_arena_free(&arena);
    }
    return r;
}

void rv_api_records_read(struct rv_api_containers *t) {
    _cleanup_free_ char *folder = rv_asprintf("%s/meta/ended", t->d->work_dir);
    struct walk w = {.dir = opendir(folder)}; /* NULL: there never was one */

    while (next(&w, folder)) {
        const Reeve__V1__Checkpoint__Ended *m;
        struct rv_arena arena;
        rv_arena_init(&arena);
        if (read_file(w.path, &arena, &m, NULL) || !take(t, w.name, m))
            unlink(w.path);
        rv_arena_free(&arena);
    }
}
