/*
 * The head is a line: "reeve-registry FORMAT WRITER RECORDS SUM CRC\n". One that cannot be read is
 * damaged, and never made anew: that is done only where there is no head at all, together with its
 * buckets (INV-5). Its version alone would keep nobody out: of several transactions that were on
 * their way when somebody took over, the second would find the version that it expects. The
 * epoch's is changed by taking over alone.
 */
#include "quorum/registry_zk_head.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/vec.h"

#define NAME "reeve-registry"
#define FORMAT 1

struct asking {
    struct rv_zk *zk;
    const char *root, *place, *writer, *candidate; /* writer NULL: only to read */
    rv_zk_head_done done;
    void *ctx;
    struct rv_zk_head head; /* as read, or as it is to be */
    char *epoch;            /* a node's path */
    struct rv_buf line;
    RV_VEC(struct rv_zk_op) ops;
};

void rv_zk_head_print(const struct rv_zk_head *head, struct rv_buf *out) {
    rv_buf_clear(out);
    rv_buf_printf(out, NAME " %d %s %" PRIu64 " %" PRIu64 " ", FORMAT, head->writer,
                  head->tally.records, head->tally.sum);
    rv_buf_printf(out, "%08" PRIx32 "\n", rv_crc32c(0, out->data, out->n));
}

void rv_zk_head_copy(struct rv_zk_head *to, const struct rv_zk_head *from) {
    char *writer = rv_strdup(from->writer);

    free(to->writer);
    *to = *from;
    to->writer = writer;
}

void rv_zk_head_free(struct rv_zk_head *head) {
    free(head->writer);
    *head = (struct rv_zk_head){.writer = NULL};
}

/* The words of a line, up to six; what is not there is NULL. */
static void split(char *line, char *words[6]) {
    char *save = NULL;

    for (size_t i = 0; i < 6; i++)
        words[i] = strtok_r(i ? NULL : line, " \n", &save);
}

static int parse(const char *place, struct rv_str data, struct rv_zk_head *out,
                 struct rv_error *err) {
    _cleanup_free_ char *text = rv_strndup(data.s, data.n);
    _cleanup_(rv_buf_free) struct rv_buf expected = {0};
    struct rv_zk_head head = {.version = out->version};
    uint64_t format = 0;
    char *words[6];

    split(text, words);
    bool ours = rv_streq(words[0], NAME) && words[1] && !rv_parse_u64(words[1], 1000, &format);
    if (ours && format > FORMAT)
        return rv_error_set(err, RV_ERR_UNSUPPORTED,
                            "%s: the registry's format %d is newer than this version's %d", place,
                            (int)format, FORMAT);
    head.writer = words[2];
    if (ours && words[4] && !rv_parse_u64(words[3], UINT64_MAX, &head.tally.records) &&
        !rv_parse_u64(words[4], UINT64_MAX, &head.tally.sum))
        rv_zk_head_print(&head, &expected);
    if (!expected.n || !rv_str_eq(rv_buf_str(&expected), data))
        return rv_error_set(err, RV_ERR_CORRUPT,
                            "%s: the registry is damaged: its head cannot be read", place);
    rv_zk_head_copy(out, &head);
    return 0;
}

/* The paths of buckets are ours. */
static void clear_ops(struct asking *a) {
    for (size_t i = a->ops.n; i > 0; i--)
        if (a->ops.v[i - 1].path != a->root && a->ops.v[i - 1].path != a->candidate &&
            a->ops.v[i - 1].path != a->epoch)
            free((char *)(uintptr_t)a->ops.v[i - 1].path);
    a->ops.n = 0;
}

static void finish(struct asking *a, int code, const struct rv_error *err) {
    a->done(a->ctx, code, code ? NULL : &a->head, err);
    clear_ops(a);
    rv_vec_free(&a->ops);
    rv_buf_free(&a->line);
    rv_zk_head_free(&a->head);
    free(a->epoch);
    free(a);
}

static void fail(struct asking *a, int code, const char *what) {
    struct rv_error err;

    rv_error_set(&err, code == RV_ZK_NO_AUTH ? RV_ERR_PERMISSION : RV_ERR_IO, "%s: %s: %s%s",
                 a->place, what, rv_zk_text(code),
                 code == RV_ZK_NO_AUTH ? " (user and password of zk:// do not fit)" : "");
    finish(a, code, &err);
}

static void look(struct asking *a);

static void on_taken(void *ctx, const struct rv_zk_result *result) {
    struct asking *a = ctx;

    switch (result->code) {
    case RV_ZK_OK:
        finish(a, RV_ZK_OK, NULL);
        return;
    case RV_ZK_LOST: /* who has it now will be seen */
    case RV_ZK_BAD_VERSION:
    case RV_ZK_NODE_EXISTS:
        look(a);
        return;
    case RV_ZK_NO_NODE:
        fail(a, result->code,
             a->candidate ? "this master is no candidate any more" : "there is no such path");
        return;
    default:
        fail(a, result->code, "take over");
        return;
    }
}

static void push(struct asking *a, enum rv_zk_change change, const char *path, int32_t version) {
    rv_vec_push(&a->ops, ((struct rv_zk_op){.change = change, .path = path, .version = version}));
}

static void take(struct asking *a, bool is_new) {
    free(a->head.writer);
    a->head.writer = rv_strdup(a->writer);
    if (is_new)
        a->head.tally = (struct rv_registry_tally){0, 0};
    clear_ops(a);
    if (a->candidate)
        push(a, RV_ZK_CHECK, a->candidate, -1);
    push(a, is_new ? RV_ZK_CREATE : RV_ZK_SET, a->root, a->head.version);
    rv_zk_head_print(&a->head, &a->line);
    a->ops.v[a->ops.n - 1].data = rv_buf_str(&a->line);
    push(a, is_new ? RV_ZK_CREATE : RV_ZK_SET, a->epoch, a->head.epoch);
    for (unsigned i = 0; is_new && i < RV_ZK_BUCKETS; i++)
        push(a, RV_ZK_CREATE, rv_asprintf("%s/%02x", a->root, i), -1);
    a->head.version = is_new ? 0 : a->head.version + 1;
    a->head.epoch = is_new ? 0 : a->head.epoch + 1;
    rv_zk_multi(a->zk, a->ops.v, a->ops.n, on_taken, a);
}

static void on_epoch(void *ctx, const struct rv_zk_result *result) {
    struct asking *a = ctx;
    struct rv_error err;

    if (result->code == RV_ZK_NO_NODE) {
        rv_error_set(&err, RV_ERR_CORRUPT, "%s: the registry is damaged: it has no epoch",
                     a->place);
        finish(a, result->code, &err);
        return;
    }
    if (result->code != RV_ZK_OK) {
        fail(a, result->code, "read");
        return;
    }
    a->head.epoch = result->version;
    if (!a->writer || rv_streq(a->head.writer, a->writer)) /* or: taken, and the answer was lost */
        finish(a, RV_ZK_OK, NULL);
    else
        take(a, false);
}

static void on_read(void *ctx, const struct rv_zk_result *result) {
    struct asking *a = ctx;
    struct rv_error err;

    if (result->code == RV_ZK_NO_NODE && a->writer) {
        take(a, true);
        return;
    }
    if (result->code != RV_ZK_OK) {
        fail(a, result->code, result->code == RV_ZK_NO_NODE ? "there is no registry" : "read");
        return;
    }
    a->head.version = result->version;
    if (parse(a->place, result->data, &a->head, &err))
        finish(a, -(int)err.code, &err);
    else
        rv_zk_exists(a->zk, a->epoch, on_epoch, a);
}

static void on_synced(void *ctx, const struct rv_zk_result *result) {
    struct asking *a = ctx;

    if (result->code == RV_ZK_OK)
        rv_zk_get(a->zk, a->root, on_read, a);
    else
        fail(a, result->code, "read");
}

static void look(struct asking *a) {
    rv_zk_sync(a->zk, a->root, on_synced, a);
}

void rv_zk_head_take(struct rv_zk *zk, const char *root, const char *place, const char *writer,
                     const char *candidate, rv_zk_head_done done, void *ctx) {
    struct asking *a = rv_calloc(1, sizeof *a);

    *a = (struct asking){.zk = zk,
                         .root = root,
                         .place = place,
                         .writer = writer,
                         .candidate = candidate,
                         .epoch = rv_asprintf("%s/epoch", root),
                         .done = done,
                         .ctx = ctx};
    look(a);
}

void rv_zk_head_read(struct rv_zk *zk, const char *root, const char *place, rv_zk_head_done done,
                     void *ctx) {
    rv_zk_head_take(zk, root, place, NULL, NULL, done, ctx);
}
