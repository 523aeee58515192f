/*
 * The registry's embedded engine: one SQLite file in WAL mode with synchronous=FULL, so that a
 * commit is on disk when it returns. Writes run in the thread pool, one transaction at a time;
 * batches that arrive meanwhile go into the next one together. If a transaction fails, each of its
 * batches is tried alone, so that one bad batch does not fail its neighbours.
 */
#include <sqlite3.h>
#include <stdlib.h>

#include "base/vec.h"
#include "io/registry.h"

#define FORMAT 1

struct batch {
    struct rv_registry_change *changes; /* owned copies */
    size_t n;
    rv_registry_done done;
    void *ctx;
    int result;
    struct rv_error err;
};

struct sqlite {
    struct rv_registry base;
    uv_loop_t *loop;
    sqlite3 *db;
    sqlite3_stmt *put, *remove;
    uv_work_t work;
    RV_VEC(struct batch *) waiting, writing;
    bool busy, closed;
};

static int failed(sqlite3 *db, const char *what, struct rv_error *err) {
    int code = sqlite3_extended_errcode(db) & 0xff;
    bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;

    return rv_error_set(err, damaged ? RV_ERR_CORRUPT : RV_ERR_IO, "registry: %s: %s", what,
                        sqlite3_errmsg(db));
}

static int run_sql(struct sqlite *s, const char *sql, struct rv_error *err) {
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) ? failed(s->db, sql, err) : 0;
}

static int number_of(struct sqlite *s, const char *sql, int64_t *out, struct rv_error *err) {
    sqlite3_stmt *q = NULL;
    int r = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL);

    if (!r && sqlite3_step(q) == SQLITE_ROW)
        *out = sqlite3_column_int64(q, 0);
    else
        r = failed(s->db, sql, err);
    sqlite3_finalize(q);
    return r;
}

static int prepare(struct sqlite *s, struct rv_error *err) {
    int64_t format = 0;
    int r = run_sql(s, "PRAGMA journal_mode=WAL", err);

    if (!r)
        r = run_sql(s, "PRAGMA synchronous=FULL", err);
    if (!r)
        r = run_sql(s, "PRAGMA locking_mode=EXCLUSIVE", err);
    if (!r)
        r = number_of(s, "PRAGMA user_version", &format, err);
    if (!r && format > FORMAT)
        return rv_error_set(err, RV_ERR_UNSUPPORTED,
                            "registry: its format %lld is newer than this version's %d",
                            (long long)format, FORMAT);
    if (!r)
        r = run_sql(s,
                    "CREATE TABLE IF NOT EXISTS records(key TEXT PRIMARY KEY, value BLOB NOT NULL) "
                    "WITHOUT ROWID; PRAGMA user_version=1",
                    err);
    if (!r && (sqlite3_prepare_v3(s->db, "INSERT OR REPLACE INTO records VALUES(?1, ?2)", -1,
                                  SQLITE_PREPARE_PERSISTENT, &s->put, NULL) ||
               sqlite3_prepare_v3(s->db, "DELETE FROM records WHERE key = ?1", -1,
                                  SQLITE_PREPARE_PERSISTENT, &s->remove, NULL)))
        r = failed(s->db, "prepare", err);
    return r;
}

static void close_db(struct sqlite *s) {
    sqlite3_finalize(s->put);
    sqlite3_finalize(s->remove);
    sqlite3_close(s->db);
    rv_vec_free(&s->waiting);
    rv_vec_free(&s->writing);
    free(s);
}

static int sqlite_open(uv_loop_t *loop, const char *where, struct rv_registry **out,
                       struct rv_error *err) {
    struct sqlite *s = rv_calloc(1, sizeof *s);
    int r = sqlite3_open_v2(
        where, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL);

    s->base.ops = &rv_registry_sqlite;
    s->loop = loop;
    s->work.data = s;
    r = r ? failed(s->db, "open", err) : prepare(s, err);
    if (r) {
        rv_error_prefix(err, "%s", where);
        close_db(s);
        return r;
    }
    *out = &s->base;
    return 0;
}

static int sqlite_load(struct rv_registry *r, rv_registry_each each, void *ctx,
                       struct rv_error *err) {
    struct sqlite *s = RV_CONTAINER_OF(r, struct sqlite, base);
    sqlite3_stmt *q = NULL;
    int step =
        sqlite3_prepare_v2(s->db, "SELECT key, value FROM records ORDER BY key", -1, &q, NULL);

    if (!step)
        while ((step = sqlite3_step(q)) == SQLITE_ROW) {
            const char *value = sqlite3_column_blob(q, 1); /* NULL where it is empty */
            each(ctx, (const char *)sqlite3_column_text(q, 0),
                 rv_strn(value ? value : "", (size_t)sqlite3_column_bytes(q, 1)));
        }
    int failure = step == SQLITE_DONE ? 0 : failed(s->db, "load", err);
    sqlite3_finalize(q);
    return failure;
}

/* --- in the thread pool --- */

static int apply(struct sqlite *s, const struct batch *b, struct rv_error *err) {
    for (size_t i = 0; i < b->n; i++) {
        const struct rv_registry_change *c = &b->changes[i];
        sqlite3_stmt *q = c->value.s ? s->put : s->remove;
        sqlite3_bind_text(q, 1, c->key, -1, SQLITE_STATIC);
        if (c->value.s)
            sqlite3_bind_blob64(q, 2, c->value.s, c->value.n, SQLITE_STATIC);
        int step = sqlite3_step(q);
        int r = step == SQLITE_DONE ? 0 : failed(s->db, c->key, err);
        sqlite3_reset(q);
        if (r)
            return r;
    }
    return 0;
}

static int transact(struct sqlite *s, struct batch *const *v, size_t n, struct rv_error *err) {
    int r = run_sql(s, "BEGIN IMMEDIATE", err);

    for (size_t i = 0; !r && i < n; i++)
        r = apply(s, v[i], err);
    if (!r)
        r = run_sql(s, "COMMIT", err);
    if (r && !sqlite3_get_autocommit(s->db))
        (void)run_sql(s, "ROLLBACK", NULL);
    return r;
}

static void write_batches(uv_work_t *work) {
    struct sqlite *s = work->data;
    struct rv_error err;

    if (!transact(s, s->writing.v, s->writing.n, &err))
        return;
    for (size_t i = 0; i < s->writing.n; i++) {
        struct batch *b = s->writing.v[i];
        b->result = transact(s, &b, 1, &b->err);
    }
}

/* --- on the loop --- */

static void free_batch(struct batch *b) {
    for (size_t i = 0; i < b->n; i++) {
        free((void *)(uintptr_t)b->changes[i].key);
        free((void *)(uintptr_t)b->changes[i].value.s);
    }
    free(b->changes);
    free(b);
}

static void start(struct sqlite *s);

static void written(uv_work_t *work, int status) {
    struct sqlite *s = work->data;

    (void)status; /* never cancelled */
    for (size_t i = 0; i < s->writing.n; i++) {
        struct batch *b = s->writing.v[i];
        b->done(b->ctx, b->result, &b->err);
        free_batch(b);
    }
    s->writing.n = 0;
    s->busy = false;
    start(s);
    if (s->closed && !s->busy)
        close_db(s);
}

static void start(struct sqlite *s) {
    if (s->busy || !s->waiting.n)
        return;
    for (size_t i = 0; i < s->waiting.n; i++)
        rv_vec_push(&s->writing, s->waiting.v[i]);
    s->waiting.n = 0;
    s->busy = true;
    if (uv_queue_work(s->loop, &s->work, write_batches, written)) {
        write_batches(&s->work);
        written(&s->work, 0);
    }
}

static void sqlite_write(struct rv_registry *r, const struct rv_registry_change *changes, size_t n,
                         rv_registry_done done, void *ctx) {
    struct sqlite *s = RV_CONTAINER_OF(r, struct sqlite, base);
    struct batch *b = rv_calloc(1, sizeof *b);

    b->changes = rv_calloc(n + 1, sizeof *b->changes);
    b->n = n;
    b->done = done;
    b->ctx = ctx;
    for (size_t i = 0; i < n; i++) {
        struct rv_str value = changes[i].value;
        b->changes[i].key = rv_strdup(changes[i].key);
        b->changes[i].value = value.s ? rv_strn(rv_memdup(value.s, value.n), value.n) : value;
    }
    rv_vec_push(&s->waiting, b);
    start(s);
}

static void ignore_done(void *ctx, int result, const struct rv_error *err) {
    (void)ctx;
    (void)result;
    (void)err;
}

static void silence(struct batch *const *v, size_t n) {
    for (size_t i = 0; i < n; i++)
        v[i]->done = ignore_done;
}

static void sqlite_close(struct rv_registry *r) {
    struct sqlite *s = RV_CONTAINER_OF(r, struct sqlite, base);

    silence(s->waiting.v, s->waiting.n);
    silence(s->writing.v, s->writing.n);
    s->closed = true;
    if (!s->busy)
        close_db(s);
}

const struct rv_registry_ops rv_registry_sqlite = {.name = "sqlite",
                                                   .open = sqlite_open,
                                                   .close = sqlite_close,
                                                   .load = sqlite_load,
                                                   .write = sqlite_write};
