/*
 * The registry's embedded engine: one SQLite file in WAL mode with synchronous=FULL, so that a
 * commit is on disk when it returns. Writes run in the thread pool, one transaction at a time;
 * batches that arrive meanwhile go into the next one together. If a transaction fails, each of its
 * batches is tried alone, so that one bad batch does not fail its neighbours.
 *
 * Table `head` has one row: the number of the last transaction, and the tally of the records. The
 * witness (registry_witness.h) has that number, too: a head that is behind it is damaged.
 *
 * A commit that failed when it was to be flushed may be there or not after a crash: that ends all
 * writing (on_lost). Everything else that fails is not there.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/vec.h"
#include "io/registry.h"
#include "io/registry_witness.h"

#define MODULE "registry"
#define FORMAT 2
#define BUSY_MS 5000 /* a reader beside us holds no lock for longer */

struct batch {
    struct rv_registry_change *changes; /* owned copies */
    size_t n;
    uint64_t seq;
    rv_registry_done done;
    void *ctx;
    int result;
    struct rv_error err;
};

struct head {
    uint64_t seq;
    struct rv_registry_tally tally;
};

struct sqlite {
    struct rv_registry base;
    uv_loop_t *loop;
    char *path;
    sqlite3 *db;
    sqlite3_stmt *put, *remove, *value, *put_head;
    struct rv_witness witness;
    struct head head; /* as committed; the thread's while busy */
    uv_work_t work;
    RV_VEC(struct batch *) waiting, writing;
    bool busy, closed;
    bool unsure, lost; /* a commit may be there or not; and the owner was told */
    struct rv_error doubt;
};

static const struct rv_registry_ops sqlite_ops;

static int failed(struct sqlite *s, const char *what, struct rv_error *err) {
    int code = sqlite3_extended_errcode(s->db) & 0xff;
    bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;

    return rv_error_set(err, damaged ? RV_ERR_CORRUPT : RV_ERR_IO, "%s: registry: %s: %s", s->path,
                        what, sqlite3_errmsg(s->db));
}

static int run_sql(struct sqlite *s, const char *sql, struct rv_error *err) {
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) ? failed(s, sql, err) : 0;
}

/* The first row's columns, as numbers. -RV_ERR_NOT_FOUND: no row. */
static int numbers_of(struct sqlite *s, const char *sql, uint64_t *out, int n,
                      struct rv_error *err) {
    sqlite3_stmt *q = NULL;
    int step = SQLITE_ERROR, r = 0;

    if (!sqlite3_prepare_v2(s->db, sql, -1, &q, NULL))
        step = sqlite3_step(q);
    if (step == SQLITE_ROW)
        for (int i = 0; i < n; i++)
            out[i] = (uint64_t)sqlite3_column_int64(q, i);
    else if (step == SQLITE_DONE)
        r = rv_error_set(err, RV_ERR_NOT_FOUND, "%s: registry: %s: no row", s->path, sql);
    else
        r = failed(s, sql, err);
    sqlite3_finalize(q);
    return r;
}

/* Shows every record, and counts them. */
static int read_records(struct sqlite *s, rv_registry_each each, void *ctx,
                        struct rv_registry_tally *tally, struct rv_error *err) {
    sqlite3_stmt *q = NULL;
    int step =
        sqlite3_prepare_v2(s->db, "SELECT key, value FROM records ORDER BY key", -1, &q, NULL);

    if (!step)
        while ((step = sqlite3_step(q)) == SQLITE_ROW) {
            const char *key = (const char *)sqlite3_column_text(q, 0);
            const char *value = sqlite3_column_blob(q, 1); /* NULL where it is empty */
            struct rv_str v = rv_strn(value ? value : "", (size_t)sqlite3_column_bytes(q, 1));
            rv_registry_count(tally, key ? key : "", v);
            if (each)
                each(ctx, key ? key : "", v);
        }
    int failure = step == SQLITE_DONE ? 0 : failed(s, "load", err);
    sqlite3_finalize(q);
    return failure;
}

/* --- opening --- */

/* Format 1 had no head. Also for a file that is new. */
static int upgrade(struct sqlite *s, uint64_t format, struct rv_error *err) {
    struct rv_registry_tally tally = {0};
    int r = run_sql(s, "BEGIN IMMEDIATE", err);

    if (!r && format == 0)
        r = run_sql(s,
                    "CREATE TABLE records(key TEXT PRIMARY KEY, value BLOB NOT NULL) "
                    "WITHOUT ROWID",
                    err);
    if (!r)
        r = read_records(s, NULL, NULL, &tally, err);
    if (r)
        return r;
    _cleanup_free_ char *sql =
        rv_asprintf("CREATE TABLE head(id INTEGER PRIMARY KEY CHECK(id = 0), seq INTEGER NOT NULL, "
                    "records INTEGER NOT NULL, sum INTEGER NOT NULL);"
                    "INSERT INTO head VALUES(0, 0, %" PRId64 ", %" PRId64 ");"
                    "PRAGMA user_version=%d; COMMIT",
                    (int64_t)tally.records, (int64_t)tally.sum, FORMAT);
    return run_sql(s, sql, err);
}

static int read_head(struct sqlite *s, struct head *out, struct rv_error *err) {
    uint64_t v[3];
    int r = numbers_of(s, "SELECT seq, records, sum FROM head", v, 3, err);

    if (r == -RV_ERR_NOT_FOUND)
        return rv_error_set(err, RV_ERR_CORRUPT, "%s: the registry is damaged: its head is empty",
                            s->path);
    if (!r)
        *out = (struct head){v[0], {v[1], v[2]}};
    return r;
}

/* Whether the file is the one that was written last: INV-5. */
static int check_head(struct sqlite *s, const struct head *head, uint64_t seen,
                      struct rv_error *err) {
    if (head->seq >= seen)
        return 0;
    return rv_error_set(err, RV_ERR_CORRUPT,
                        "%s: the registry is damaged or an old copy: change %" PRIu64
                        " is its last, but %s knows of %" PRIu64
                        "; if it was put back on purpose, remove the latter",
                        s->path, head->seq, s->witness.path, seen);
}

static int prepare(struct sqlite *s, bool read_only, uint64_t seen, struct rv_error *err) {
    uint64_t format = 0, tables = 0;
    int r = numbers_of(s, "PRAGMA user_version", &format, 1, err);

    if (!r)
        r = numbers_of(s, "SELECT count(*) FROM sqlite_schema", &tables, 1, err);
    if (r)
        return r;
    if (format > FORMAT)
        return rv_error_set(err, RV_ERR_UNSUPPORTED,
                            "%s: registry: its format %" PRIu64 " is newer than this version's %d",
                            s->path, format, FORMAT);
    if (format == 0 && (tables || seen))
        return rv_error_set(
            err, RV_ERR_CORRUPT,
            "%s: the registry is damaged: %s, but %" PRIu64 " changes were written (see %s)",
            s->path, tables ? "it has no format" : "it is empty", seen, s->witness.path);
    if (read_only)
        return format == FORMAT ? 0
                                : rv_error_set(err, RV_ERR_UNSUPPORTED,
                                               "%s: registry: format %" PRIu64
                                               " must be upgraded by a master first",
                                               s->path, format);
    r = run_sql(s, "PRAGMA journal_mode=WAL", err);
    if (!r)
        r = run_sql(s, "PRAGMA synchronous=FULL", err);
    if (!r && format < FORMAT)
        r = upgrade(s, format, err);
    if (!r)
        r = read_head(s, &s->head, err);
    if (!r)
        r = check_head(s, &s->head, seen, err);
    if (r)
        return r;
    const struct {
        sqlite3_stmt **out;
        const char *sql;
    } statements[] = {
        {&s->put, "INSERT OR REPLACE INTO records VALUES(?1, ?2)"},
        {&s->remove, "DELETE FROM records WHERE key = ?1"},
        {&s->value, "SELECT value FROM records WHERE key = ?1"},
        {&s->put_head, "UPDATE head SET seq = ?1, records = ?2, sum = ?3"},
    };
    for (size_t i = 0; !r && i < RV_COUNT(statements); i++)
        if (sqlite3_prepare_v3(s->db, statements[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                               statements[i].out, NULL))
            r = failed(s, statements[i].sql, err);
    return r;
}

static void close_db(struct sqlite *s) {
    sqlite3_finalize(s->put);
    sqlite3_finalize(s->remove);
    sqlite3_finalize(s->value);
    sqlite3_finalize(s->put_head);
    sqlite3_close(s->db);
    rv_witness_close(&s->witness);
    rv_vec_free(&s->waiting);
    rv_vec_free(&s->writing);
    free(s->path);
    free(s);
}

int rv_registry_sqlite_open(uv_loop_t *loop, const char *path, bool read_only,
                            struct rv_registry **out, struct rv_error *err) {
    struct sqlite *s = rv_calloc(1, sizeof *s);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX;
    uint64_t seen;

    s->base.ops = &sqlite_ops;
    s->loop = loop;
    s->base.place = s->path = rv_strdup(path);
    s->work.data = s;
    int r = rv_witness_open(&s->witness, path, read_only, &seen, err);
    if (r) {
        s->witness.fd = -1;
    } else if (sqlite3_open_v2(path, &s->db, read_only ? flags : flags | SQLITE_OPEN_CREATE,
                               NULL)) {
        r = failed(s, "open", err);
    } else {
        sqlite3_busy_timeout(s->db, BUSY_MS);
        if (read_only)
            sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        r = prepare(s, read_only, seen, err);
    }
    if (r) {
        close_db(s);
        return r;
    }
    *out = &s->base;
    return 0;
}

static void sqlite_load(struct rv_registry *r, rv_registry_each each, rv_registry_done done,
                        void *ctx) {
    struct sqlite *s = RV_CONTAINER_OF(r, struct sqlite, base);
    struct rv_registry_tally tally = {0};
    struct head head;
    struct rv_error err;

    int failure = run_sql(s, "BEGIN", &err); /* one picture, whoever writes meanwhile */
    if (!failure)
        failure = read_records(s, each, ctx, &tally, &err);
    if (!failure)
        failure = read_head(s, &head, &err);
    if (!failure)
        failure = rv_registry_agrees(&head.tally, &tally, s->path, &err);
    (void)run_sql(s, "ROLLBACK", NULL);
    done(ctx, 0, failure, &err);
}

/* --- in the thread pool --- */

/* Takes what is there under the key off the tally. */
static int discount(struct sqlite *s, const char *key, struct rv_registry_tally *tally,
                    struct rv_error *err) {
    sqlite3_bind_text(s->value, 1, key, -1, SQLITE_STATIC);
    int step = sqlite3_step(s->value);
    if (step == SQLITE_ROW) {
        const char *old = sqlite3_column_blob(s->value, 0);
        struct rv_str value = rv_strn(old ? old : "", (size_t)sqlite3_column_bytes(s->value, 0));
        tally->records--;
        tally->sum -= rv_registry_checksum(key, value);
    }
    int r = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : failed(s, key, err);
    sqlite3_reset(s->value);
    return r;
}

static int apply(struct sqlite *s, const struct batch *b, struct rv_registry_tally *tally,
                 struct rv_error *err) {
    for (size_t i = 0; i < b->n; i++) {
        const struct rv_registry_change *c = &b->changes[i];
        sqlite3_stmt *q = c->value.s ? s->put : s->remove;
        int r = rv_registry_check_change(c, err);
        if (!r)
            r = discount(s, c->key, tally, err);
        if (r)
            return r;
        sqlite3_bind_text(q, 1, c->key, -1, SQLITE_STATIC);
        if (c->value.s) {
            sqlite3_bind_blob64(q, 2, c->value.s, c->value.n, SQLITE_STATIC);
            rv_registry_count(tally, c->key, c->value);
        }
        r = sqlite3_step(q) == SQLITE_DONE ? 0 : failed(s, c->key, err);
        sqlite3_reset(q);
        if (r)
            return r;
    }
    return 0;
}

static int update_head(struct sqlite *s, const struct head *head, struct rv_error *err) {
    sqlite3_bind_int64(s->put_head, 1, (int64_t)head->seq);
    sqlite3_bind_int64(s->put_head, 2, (int64_t)head->tally.records);
    sqlite3_bind_int64(s->put_head, 3, (int64_t)head->tally.sum);
    int r = sqlite3_step(s->put_head) == SQLITE_DONE ? 0 : failed(s, "head", err);
    sqlite3_reset(s->put_head);
    return r;
}

/* Whether frames that were written may come back with a crash, though the commit has failed. */
static bool is_unsure(struct sqlite *s) {
    int code = sqlite3_extended_errcode(s->db);

    return code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC;
}

static int transact(struct sqlite *s, struct batch *const *v, size_t n, struct rv_error *err) {
    struct head head = s->head;
    struct rv_error doubt;
    int r = run_sql(s, "BEGIN IMMEDIATE", err);

    for (size_t i = 0; !r && i < n; i++)
        r = apply(s, v[i], &head.tally, err);
    head.seq++;
    if (!r)
        r = update_head(s, &head, err);
    if (!r && (r = run_sql(s, "COMMIT", err)))
        s->unsure = is_unsure(s);
    if (r && !sqlite3_get_autocommit(s->db))
        (void)run_sql(s, "ROLLBACK", NULL);
    if (r)
        return r;
    s->head = head;
    if (rv_witness_write(&s->witness, head.seq, &doubt))
        RV_WARN(MODULE, "%s; damage may go unnoticed", doubt.message);
    return 0;
}

static void write_batches(uv_work_t *work) {
    struct sqlite *s = work->data;
    struct rv_error err;

    if (!transact(s, s->writing.v, s->writing.n, &err))
        return;
    for (size_t i = 0; i < s->writing.n && !s->unsure; i++) {
        struct batch *b = s->writing.v[i];
        b->result = transact(s, &b, 1, &b->err);
        if (s->unsure)
            err = b->err;
    }
    if (s->unsure)
        s->doubt = err;
}

/* --- on the loop --- */

static void free_batch(struct batch *b) {
    rv_registry_changes_free(b->changes, b->n);
    free(b);
}

static void start(struct sqlite *s);

/* Nothing is answered any more. */
static void lose(struct sqlite *s) {
    s->lost = true;
    s->busy = false;
    for (size_t i = 0; i < s->writing.n; i++)
        free_batch(s->writing.v[i]);
    for (size_t i = 0; i < s->waiting.n; i++)
        free_batch(s->waiting.v[i]);
    s->writing.n = s->waiting.n = 0;
    if (s->closed)
        close_db(s);
    else if (s->base.on_lost)
        s->base.on_lost(s->base.lost_ctx, &s->doubt);
}

static void written(uv_work_t *work, int status) {
    struct sqlite *s = work->data;

    (void)status; /* never cancelled */
    if (s->unsure) {
        lose(s);
        return;
    }
    for (size_t i = 0; i < s->writing.n; i++) {
        struct batch *b = s->writing.v[i];
        b->done(b->ctx, b->seq, b->result, &b->err);
        free_batch(b);
    }
    s->writing.n = 0;
    s->busy = false;
    start(s);
    if (s->closed && !s->busy)
        close_db(s);
}

static void start(struct sqlite *s) {
    if (s->busy || s->lost || !s->waiting.n)
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
                         uint64_t seq, rv_registry_done done, void *ctx) {
    struct sqlite *s = RV_CONTAINER_OF(r, struct sqlite, base);
    struct batch *b = rv_calloc(1, sizeof *b);

    b->changes = rv_registry_changes_copy(changes, n);
    b->n = n;
    b->seq = seq;
    b->done = done;
    b->ctx = ctx;
    if (s->lost) {
        free_batch(b);
        return;
    }
    rv_vec_push(&s->waiting, b);
    start(s);
}

static void ignore_done(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    (void)ctx;
    (void)seq;
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

static const struct rv_registry_ops sqlite_ops = {
    .name = "sqlite", .close = sqlite_close, .load = sqlite_load, .write = sqlite_write};
