/* The disk of an agent's checkpoints: see journal.h. */
#include "journal.h"

#include <stdlib.h>

#include "store/checkpoint_codec.h"
#include "wire/journal_format.h"

#define SECTOR 512
#define GROW 8192

/* --- records --- */

static struct sim_record *record_new(const struct rv_checkpoint *c, struct rv_str bytes) {
    struct sim_record *r = rv_calloc(1, sizeof *r);
    struct rv_checkpoint_head head;

    rv_checkpoint_head(c, &head);
    r->seq = c->seq;
    r->kind = c->kind;
    r->bytes = rv_blob_new(bytes.s, bytes.n);
    r->framework_id = rv_strdup(head.framework_id);
    r->task_id = rv_strdup(head.task_id);
    memcpy(r->uuid, head.uuid, sizeof r->uuid);
    return r;
}

static void record_free(struct sim_record *r) {
    rv_blob_unref(r->bytes);
    free(r->framework_id);
    free(r->task_id);
    free(r);
}

#define FREE_RECORDS(list)                                                                         \
    do {                                                                                           \
        for (size_t i_ = 0; i_ < (list)->n; i_++)                                                  \
            record_free((list)->v[i_]);                                                            \
        (list)->n = 0;                                                                             \
    } while (0)

/* --- life --- */

static void erase(struct sim_journal *j, size_t from, size_t to) {
    if (from < to)
        memset(j->file.data + from, 0, to - from);
}

static void grow(struct sim_journal *j, size_t used) {
    static const char zeros[GROW];

    while (j->file.n < used + RV_JOURNAL_ALIGN)
        rv_buf_append(&j->file, zeros, sizeof zeros);
}

static void begin_file(struct sim_journal *j) {
    rv_buf_clear(&j->file);
    rv_journal_put_head(&j->file);
    j->end = j->file.n;
    j->dirty = 0;
    grow(j, j->end);
}

void sim_journal_init(struct sim_journal *j, struct sim_world *w, struct sim_party *party,
                      void (*on_done)(void *ctx, uint64_t seq, bool ok, const char *message),
                      void (*on_crash)(void *ctx), void *ctx) {
    *j = (struct sim_journal){
        .world = w, .party = party, .on_done = on_done, .on_crash = on_crash, .ctx = ctx};
    begin_file(j);
}

void sim_journal_wipe(struct sim_journal *j) {
    FREE_RECORDS(&j->durable);
    FREE_RECORDS(&j->writing);
    FREE_RECORDS(&j->waiting);
    begin_file(j);
}

void sim_journal_free(struct sim_journal *j) {
    sim_journal_wipe(j);
    rv_vec_free(&j->durable);
    rv_vec_free(&j->writing);
    rv_vec_free(&j->waiting);
    rv_buf_free(&j->file);
    rv_buf_free(&j->frame);
}

/* --- writing --- */

/* Some of what is written reaches the disk, sector by sector in any order. */
static void write_some(struct sim_journal *j) {
    size_t end = j->end + j->frame.n;
    unsigned most = (unsigned)sim_below(j->world, 3) * 500; /* nothing, some, all */

    grow(j, end);
    for (size_t from = j->end, to; from < end; from = to) {
        to = RV_MIN(end, (from / SECTOR + 1) * SECTOR);
        if (sim_chance(j->world, most))
            memcpy(j->file.data + from, j->frame.data + (from - j->end), to - from);
    }
}

/* A frame that could not be synced and may be there is tried until it is there or removed. */
static const char *try_write(struct sim_journal *j, bool *unsure) {
    struct sim_world *w = j->world;
    bool must_grow = j->end + j->frame.n + RV_JOURNAL_ALIGN > j->file.n;

    if (j->dirty > j->end && !j->unsure) {
        if (sim_fault(w, w->faults.disk_fail))
            return "what an earlier write has left cannot be erased: Input/output error";
        erase(j, j->end, j->dirty);
        j->dirty = 0;
    }
    if (must_grow && j->full_until_ms > w->now_ms)
        return "No space left on device";
    if (sim_fault(w, w->faults.disk_fail)) {
        write_some(j);
        j->dirty = j->end + j->frame.n;
        *unsure = sim_fault(w, 500);
        if (!*unsure) {
            erase(j, j->end, j->dirty);
            j->dirty = 0;
        }
        return "Input/output error";
    }
    j->dirty = 0;
    grow(j, j->end + j->frame.n);
    memcpy(j->file.data + j->end, j->frame.data, j->frame.n);
    j->end += j->frame.n;
    return NULL;
}

static void start(struct sim_journal *j);

static void on_written(void *ctx, uint64_t arg, void *data) {
    struct sim_journal *j = ctx;
    RV_VEC(uint64_t) done = {0};
    uint64_t life = j->party->life;
    bool crashes = false, unsure = false;
    const char *problem = try_write(j, &unsure);
    (void)arg;
    (void)data;

    j->unsure = unsure;
    if (unsure) {
        sim_at(j->world, j->party, 500, on_written, j, 0, NULL);
        return;
    }
    for (size_t i = 0; i < j->writing.n; i++) {
        struct sim_record *r = j->writing.v[i];
        crashes = crashes || (!problem && sim_crashes(j->world, r->number, SIM_DURABLE));
        rv_vec_push(&done, r->seq);
        if (problem)
            record_free(r);
        else
            rv_vec_push(&j->durable, r);
    }
    j->writing.n = 0;
    for (size_t i = 0; problem && i < j->waiting.n; i++) { /* what follows fails with it */
        rv_vec_push(&done, j->waiting.v[i]->seq);
        record_free(j->waiting.v[i]);
    }
    if (problem)
        j->waiting.n = 0;
    if (crashes)
        j->on_crash(j->ctx);
    for (size_t i = 0; i < done.n && j->party->life == life; i++)
        j->on_done(j->ctx, done.v[i], !problem, problem);
    rv_vec_free(&done);
    start(j);
}

static void start(struct sim_journal *j) {
    struct sim_world *w = j->world;
    struct rv_buf records = {0};

    if (j->writing.n || !j->waiting.n)
        return;
    for (size_t i = 0; i < j->waiting.n; i++) {
        const struct rv_blob *bytes = j->waiting.v[i]->bytes;
        rv_journal_put_record(&records, rv_strn(bytes->data, bytes->n));
        rv_vec_push(&j->writing, j->waiting.v[i]);
    }
    j->waiting.n = 0;
    rv_buf_clear(&j->frame);
    rv_journal_put_frame(&j->frame, rv_buf_str(&records));
    rv_buf_free(&records);
    sim_at(w, j->party,
           sim_fault(w, w->faults.disk_slow) ? sim_between(w, 10, 5000) : sim_between(w, 0, 3),
           on_written, j, 0, NULL);
}

void sim_journal_write(struct sim_journal *j, const struct rv_checkpoint *c, uint64_t number) {
    struct rv_buf bytes = {0};
    struct rv_arena scratch;

    rv_arena_init(&scratch);
    rv_checkpoint_encode(c, &scratch, &bytes);
    struct sim_record *r = record_new(c, rv_buf_str(&bytes));
    r->number = number;
    rv_vec_push(&j->waiting, r);
    rv_buf_free(&bytes);
    rv_arena_free(&scratch);
    start(j);
}

void sim_journal_crash(struct sim_journal *j) {
    if (j->writing.n && j->dirty <= j->end)
        write_some(j);
    j->unsure = false;
    FREE_RECORDS(&j->writing);
    FREE_RECORDS(&j->waiting);
}

/* --- reading --- */

struct loading {
    struct sim_journal *journal;
    struct sim_recovery *out;
    size_t n;
};

static int on_record(void *ctx, struct rv_str bytes, struct rv_error *err) {
    struct loading *l = ctx;
    struct sim_journal *j = l->journal;
    struct rv_checkpoint c;
    int r = rv_checkpoint_decode(bytes, &l->out->arena, &c, err);

    if (r)
        return r;
    c.seq = ++l->n;
    rv_vec_push(&l->out->records, c);
    if (l->n > j->durable.n)
        rv_vec_push(&j->durable, record_new(&c, bytes));
    const struct rv_blob *kept = j->durable.v[l->n - 1]->bytes;
    if (!rv_str_eq(bytes, rv_strn(kept->data, kept->n)))
        return rv_error_set(err, RV_ERR_CORRUPT, "record %zu is not what was written", l->n);
    return 0;
}

void sim_journal_load(struct sim_journal *j, struct sim_recovery *out) {
    struct loading l = {.journal = j, .out = out};
    struct rv_journal_found found;
    size_t durable = j->durable.n;
    struct rv_error err;

    *out = (struct sim_recovery){0};
    rv_arena_init(&out->arena);
    if (rv_journal_parse(rv_buf_str(&j->file), "the journal", false, on_record, &l, &found, &err))
        sim_fail(j->world, "INV-19: a crash of %s has damaged its journal: %s", j->party->name,
                 err.message);
    else if (l.n < durable)
        sim_fail(j->world, "INV-23: %zu checkpoints of %s were durable, %zu are left", durable,
                 j->party->name, l.n);
    else {
        j->end = found.end;
        j->dirty = found.torn ? j->file.n : 0;
    }
}

bool sim_journal_is_damaged(struct sim_journal *j) {
    struct sim_world *w = j->world;
    struct rv_journal_found found;
    struct rv_error err = {0};

    if (!sim_fault(w, w->faults.bit_flip))
        return false;
    size_t at = sim_below(w, j->end);
    char bit = (char)(1 << sim_below(w, 8));
    j->file.data[at] ^= bit;
    int r = rv_journal_parse(rv_buf_str(&j->file), "the journal", false, NULL, NULL, &found, &err);
    j->file.data[at] ^= bit;
    sim_trace(w, j->party, "bit of byte %zu turned over: %s", at, err.message);
    if (!r || !strstr(err.message, "the journal"))
        sim_fail(w, "INV-19: a bit of byte %zu of %zu of %s's journal turned over: %s", at, j->end,
                 j->party->name, r ? err.message : "and is not seen");
    return true;
}

void sim_recovery_free(struct sim_recovery *r) {
    for (size_t i = 0; i < r->records.n; i++)
        rv_checkpoint_release(&r->records.v[i]);
    rv_vec_free(&r->records);
    rv_arena_free(&r->arena);
}

void sim_journal_compact(struct sim_journal *j, const struct sim_recovery *loaded,
                         const struct rv_checkpoint_known *known) {
    size_t n = loaded->records.n;
    struct rv_checkpoint_head *heads = rv_calloc(n + 1, sizeof *heads);
    struct rv_checkpoint_order order = {0};
    typeof(j->durable) old = j->durable;
    struct rv_buf records = {0};

    for (size_t i = 0; i < n; i++)
        rv_checkpoint_head(&loaded->records.v[i], &heads[i]);
    rv_checkpoint_compact(heads, n, known, &order);
    j->durable = (typeof(j->durable)){0};
    for (size_t i = 0; i < order.kept.n; i++) {
        size_t which = order.kept.v[i];
        const struct rv_blob *bytes = old.v[which]->bytes;
        rv_journal_put_record(&records, rv_strn(bytes->data, bytes->n));
        rv_vec_push(&j->durable,
                    record_new(&loaded->records.v[which], rv_strn(bytes->data, bytes->n)));
    }
    begin_file(j);
    if (order.kept.n) {
        rv_buf_clear(&j->frame);
        rv_journal_put_frame(&j->frame, rv_buf_str(&records));
        grow(j, j->end + j->frame.n);
        memcpy(j->file.data + j->end, j->frame.data, j->frame.n);
        j->end += j->frame.n;
    }
    FREE_RECORDS(&old);
    rv_vec_free(&old);
    rv_buf_free(&records);
    rv_checkpoint_order_free(&order);
    free(heads);
}

/* --- for the auditor --- */

bool sim_journal_has_update(const struct sim_journal *j, const uint8_t uuid[16]) {
    for (size_t i = j->durable.n; i > 0; i--) {
        const struct sim_record *r = j->durable.v[i - 1];
        if (r->kind == RV_CHECKPOINT_UPDATE && !memcmp(r->uuid, uuid, 16))
            return true;
    }
    return false;
}

bool sim_journal_has_task(const struct sim_journal *j, const char *framework_id,
                          const char *task_id) {
    for (size_t i = j->durable.n; i > 0; i--) {
        const struct sim_record *r = j->durable.v[i - 1];
        if (r->kind == RV_CHECKPOINT_TASK && rv_streq(r->task_id, task_id) &&
            rv_streq(r->framework_id, framework_id))
            return true;
    }
    return false;
}

bool sim_journal_has_operation(const struct sim_journal *j, const uint8_t uuid[16]) {
    for (size_t i = j->durable.n; i > 0; i--) {
        const struct sim_record *r = j->durable.v[i - 1];
        if (r->kind == RV_CHECKPOINT_OPERATION && !memcmp(r->uuid, uuid, 16))
            return true;
    }
    return false;
}

static bool has_total(const struct sim_record *r) {
    return r->kind == RV_CHECKPOINT_AGENT || r->kind == RV_CHECKPOINT_ANEW ||
           r->kind == RV_CHECKPOINT_OPERATION;
}

#define LATEST_TOTAL(list)                                                                         \
    for (size_t i_ = (list)->n; i_ > 0; i_--)                                                      \
        if (has_total((list)->v[i_ - 1]))                                                          \
    return (list)->v[i_ - 1]->bytes

const struct rv_blob *sim_journal_total(const struct sim_journal *j) {
    LATEST_TOTAL(&j->waiting);
    LATEST_TOTAL(&j->writing);
    LATEST_TOTAL(&j->durable);
    return NULL;
}
