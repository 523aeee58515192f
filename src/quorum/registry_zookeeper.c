/*
 * The registry in ZooKeeper: see the header for what is where.
 *
 * A batch waits, then flies in a transaction with others, and is answered when that is done. At
 * most FLIGHTS are in the air. When one is lost with its connection, or finds another version than
 * it expects, nothing more starts until all are down; then the head is read (registry_zk_head):
 * the version says how many were done, and the others fly again, as they were. One that flies twice
 * and comes late finds another version: nothing is done twice.
 *
 * What is there is known: a map from keys to checksums, as of the last transaction that started.
 */
#include "quorum/registry_zookeeper.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/map.h"
#include "base/vec.h"
#include "quorum/registry_zk_head.h"

#define FLIGHTS 4
#define FIXED_OPS 2 /* of each, before the changes */
#define FLIGHT_CHANGES 1000
#define FLIGHT_BYTES ((size_t)400000) /* from here on it takes no further batch */
#define MAX_BYTES ((size_t)1040000)   /* what ZooKeeper takes in one request */
#define CHANGE_BYTES 100              /* of a change in a request, beside key and value */
#define READS 2000                    /* under way at once while loading */

struct batch {
    struct rv_list node;
    struct rv_registry_change *changes; /* owned copies */
    size_t n, bytes;
    uint64_t seq;
    rv_registry_done done;
    void *ctx;
};

struct flight {
    struct rv_list node;
    struct zookeeper *owner;
    struct rv_list batches;
    RV_VEC(struct rv_zk_op) ops; /* epoch and head first; paths owned, values the batches' */
    struct rv_buf head;
    bool up; /* with ZooKeeper, not answered */
};

struct record {
    char *key;
    struct rv_blob *value;
};

/* What a load has read. */
struct loading {
    rv_registry_each each;
    rv_registry_done done;
    void *ctx;
    RV_VEC(struct record) records;
    size_t bucket, reads; /* the next one; under way */
    int result;
    struct rv_error err; /* the first */
};

struct reading {
    struct zookeeper *owner;
    char *name; /* of a record's znode, or NULL: the bucket's list */
    size_t bucket;
};

struct zookeeper {
    struct rv_registry base;
    struct rv_zk *zk;
    char *root, *epoch, *place, *writer, *candidate;
    struct rv_zk_head head; /* as of the last transaction that has started */
    struct rv_map keys;     /* key -> checksum + 1, likewise */
    struct rv_list waiting, flights;
    size_t n_flights, n_up;
    int32_t done_version; /* of the head, as of the last transaction that was answered */
    struct loading *loading;
    bool ready;  /* the head is ours */
    bool unsure; /* the head must be read before anything else */
    bool lost, closed;
};

/* --- paths --- */

static size_t bucket_of(const char *key) {
    return rv_crc32c(0, key, strlen(key)) % RV_ZK_BUCKETS;
}

/* What is not plain in a name is written as %XX. */
static char *path_of(const struct zookeeper *z, const char *key) {
    static const char digits[] = "0123456789abcdef";
    struct rv_buf path = {0};

    rv_buf_printf(&path, "%s/%02zx/", z->root, bucket_of(key));
    for (const unsigned char *p = (const unsigned char *)key; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || *p == '-' || *p == '_';
        if (plain)
            rv_buf_putc(&path, (char)*p);
        else
            rv_buf_printf(&path, "%%%c%c", digits[*p >> 4], digits[*p & 15]);
    }
    return rv_buf_take(&path, NULL);
}

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL: no name of ours. */
static char *unescape(const char *name) {
    char *key = rv_malloc(strlen(name) + 1), *to = key;

    for (const char *p = name; *p; p++) {
        if (*p != '%') {
            *to++ = *p;
            continue;
        }
        int high = digit(p[1]), low = high < 0 ? -1 : digit(p[2]);
        if (low < 0 || (high == 0 && low == 0)) {
            free(key);
            return NULL;
        }
        *to++ = (char)(high << 4 | low);
        p += 2;
    }
    *to = 0;
    return key;
}

/* NULL: no record of ours would be there. */
static char *key_at(const struct zookeeper *z, size_t bucket, const char *name) {
    char *key = unescape(name);
    _cleanup_free_ char *here = rv_asprintf("%s/%02zx/%s", z->root, bucket, name);
    _cleanup_free_ char *right = key ? path_of(z, key) : NULL;

    if (!rv_streq(here, right))
        free(TAKE_PTR(key));
    return key;
}

/* --- the end --- */

static void batch_free(struct batch *b) {
    rv_list_remove(&b->node);
    rv_registry_changes_free(b->changes, b->n);
    free(b);
}

static void drop_batches(struct rv_list *batches) {
    RV_LIST_EACH (batches, node, tmp)
        batch_free(RV_LIST_ENTRY(node, struct batch, node));
}

static void flight_free(struct flight *f) {
    struct zookeeper *z = f->owner;

    drop_batches(&f->batches);
    for (size_t i = FIXED_OPS; i < f->ops.n; i++)
        free((char *)(uintptr_t)f->ops.v[i].path);
    rv_vec_free(&f->ops);
    rv_buf_free(&f->head);
    rv_list_remove(&f->node);
    z->n_flights--;
    free(f);
}

/* All that is not with ZooKeeper any more. */
static void drop_all(struct zookeeper *z) {
    drop_batches(&z->waiting);
    RV_LIST_EACH (&z->flights, node, tmp) {
        struct flight *f = RV_LIST_ENTRY(node, struct flight, node);
        if (!f->up)
            flight_free(f);
    }
}

static void loading_free(struct loading *l) {
    for (size_t i = 0; i < l->records.n; i++) {
        free(l->records.v[i].key);
        rv_blob_unref(l->records.v[i].value);
    }
    rv_vec_free(&l->records);
    free(l);
}

/* Frees it once nobody can come back to it. */
static bool over(struct zookeeper *z) {
    if (!z->closed || z->n_up)
        return z->closed;
    drop_all(z);
    if (z->loading)
        loading_free(z->loading);
    rv_map_free(&z->keys);
    rv_zk_head_free(&z->head);
    free(z->root);
    free(z->epoch);
    free(z->place);
    free(z->writer);
    free(z->candidate);
    free(z);
    return true;
}

static void lose(struct zookeeper *z, const struct rv_error *err) {
    if (z->lost || z->closed)
        return;
    z->lost = true;
    drop_all(z);
    if (z->base.on_lost)
        z->base.on_lost(z->base.lost_ctx, err);
}

static int refused(const struct zookeeper *z, int code, const char *what, struct rv_error *err) {
    return rv_error_set(err, code == RV_ZK_NO_AUTH ? RV_ERR_PERMISSION : RV_ERR_IO, "%s: %s: %s%s",
                        z->place, what, rv_zk_text(code),
                        code == RV_ZK_NO_AUTH ? " (user and password of zk:// do not fit)" : "");
}

static void lose_by(struct zookeeper *z, int code, const char *what) {
    struct rv_error err;

    refused(z, code, what, &err);
    lose(z, &err);
}

static void lose_to(struct zookeeper *z, const char *writer) {
    struct rv_error err;

    rv_error_set(&err, RV_ERR_CONFLICT, "%s: %s writes here now", z->place,
                 writer ? writer : "somebody else");
    lose(z, &err);
}

/* --- writing --- */

static void fly(struct zookeeper *z);

/* The changes of a batch, as they are after all that has started before. */
static void add_change(struct zookeeper *z, struct flight *f, const struct rv_registry_change *c) {
    uintptr_t old = (uintptr_t)rv_map_gets(&z->keys, c->key);
    struct rv_zk_op op = {.version = -1, .access = RV_ZK_PRIVATE, .data = c->value};

    if (!old && !c->value.s)
        return;
    op.change = !c->value.s ? RV_ZK_REMOVE : old ? RV_ZK_SET : RV_ZK_CREATE;
    op.path = path_of(z, c->key);
    rv_vec_push(&f->ops, op);
    if (old) {
        z->head.tally.records--;
        z->head.tally.sum -= old - 1;
    }
    if (c->value.s) {
        rv_registry_count(&z->head.tally, c->key, c->value);
        rv_map_put(&z->keys, rv_str(c->key),
                   (void *)((uintptr_t)rv_registry_checksum(c->key, c->value) + 1));
    } else {
        rv_map_remove(&z->keys, rv_str(c->key));
    }
}

static struct flight *board(struct zookeeper *z) {
    struct flight *f = rv_calloc(1, sizeof *f);
    size_t bytes = 0;

    f->owner = z;
    rv_list_init(&f->batches);
    rv_vec_push(&f->ops, ((struct rv_zk_op){
                             .change = RV_ZK_CHECK, .path = z->epoch, .version = z->head.epoch}));
    rv_vec_push(&f->ops, ((struct rv_zk_op){.change = RV_ZK_SET, .path = z->root}));
    while (!rv_list_empty(&z->waiting)) {
        struct batch *b = RV_LIST_ENTRY(z->waiting.next, struct batch, node);
        if (f->ops.n > FIXED_OPS &&
            (bytes + b->bytes > FLIGHT_BYTES || f->ops.n + b->n > FLIGHT_CHANGES))
            break;
        bytes += b->bytes;
        rv_list_remove(&b->node);
        rv_list_append(&f->batches, &b->node);
        for (size_t i = 0; i < b->n; i++)
            add_change(z, f, &b->changes[i]);
    }
    rv_zk_head_print(&z->head, &f->head);
    f->ops.v[1].data = rv_buf_str(&f->head);
    f->ops.v[1].version = z->head.version++;
    rv_list_append(&z->flights, &f->node);
    z->n_flights++;
    return f;
}

static void on_head_again(void *ctx, int code, const struct rv_zk_head *head,
                          const struct rv_error *err);

static void land(struct flight *f) {
    struct zookeeper *z = f->owner;
    struct rv_list batches;

    z->done_version++;
    rv_list_init(&batches);
    RV_LIST_EACH (&f->batches, node, tmp) {
        rv_list_remove(node);
        rv_list_append(&batches, node);
    }
    flight_free(f);
    while (!rv_list_empty(&batches)) {
        struct batch *b = RV_LIST_ENTRY(batches.next, struct batch, node);
        rv_list_remove(&b->node);
        if (!z->closed && !z->lost)
            b->done(b->ctx, b->seq, 0, NULL);
        batch_free(b);
    }
}

static void on_flown(void *ctx, const struct rv_zk_result *result) {
    struct flight *f = ctx;
    struct zookeeper *z = f->owner;
    int code = result->code;

    f->up = false;
    if (code == RV_ZK_LOST || code == RV_ZK_BAD_VERSION)
        z->unsure = true;
    else if (code != RV_ZK_OK)
        lose_by(z, code, "write");
    else if (!z->unsure && !z->closed && !z->lost) /* else the head will tell */
        land(f);
    z->n_up--;
    if (over(z))
        return;
    if (z->lost)
        drop_all(z);
    else if (z->unsure && !z->n_up) {
        z->n_up++; /* reading the head */
        rv_zk_head_read(z->zk, z->root, z->place, on_head_again, z);
    } else
        fly(z);
}

static void launch(struct flight *f) {
    f->up = true;
    f->owner->n_up++;
    rv_zk_multi(f->owner->zk, f->ops.v, f->ops.n, on_flown, f);
}

static void fly(struct zookeeper *z) {
    while (z->ready && !z->unsure && z->n_flights < FLIGHTS && !rv_list_empty(&z->waiting))
        launch(board(z));
}

/* Those that were done have landed; the others fly again. */
static void on_head_again(void *ctx, int code, const struct rv_zk_head *head,
                          const struct rv_error *err) {
    struct zookeeper *z = ctx;

    z->n_up--;
    if (over(z) || z->lost)
        return;
    if (code != RV_ZK_OK) {
        lose(z, err);
        return;
    }
    int32_t version = head->version;
    bool ours = rv_streq(head->writer, z->writer) && head->epoch == z->head.epoch;
    if (!ours || version < z->done_version || version > z->head.version) {
        lose_to(z, ours ? NULL : head->writer);
        return;
    }
    z->n_up++; /* a callback may close us; what it writes waits until the others fly again */
    while (z->done_version < version && !z->closed && !z->lost)
        land(RV_LIST_ENTRY(z->flights.next, struct flight, node));
    z->n_up--;
    if (over(z) || z->lost)
        return;
    z->unsure = false;
    RV_LIST_EACH (&z->flights, node, tmp)
        launch(RV_LIST_ENTRY(node, struct flight, node));
    fly(z);
}

static int check_batch(const struct batch *b, struct rv_error *err) {
    int r = 0;

    for (size_t i = 0; !r && i < b->n; i++)
        r = rv_registry_check_change(&b->changes[i], err);
    if (!r && b->bytes > MAX_BYTES)
        r = rv_error_set(err, RV_ERR_LIMIT,
                         "registry: a change of %zu bytes at once; more than %zu are not taken",
                         b->bytes, MAX_BYTES);
    return r;
}

static void zookeeper_write(struct rv_registry *r, const struct rv_registry_change *changes,
                            size_t n, uint64_t seq, rv_registry_done done, void *ctx) {
    struct zookeeper *z = RV_CONTAINER_OF(r, struct zookeeper, base);
    struct batch *b = rv_calloc(1, sizeof *b);
    struct rv_error err;

    b->changes = rv_registry_changes_copy(changes, n);
    b->n = n;
    b->seq = seq;
    b->done = done;
    b->ctx = ctx;
    for (size_t i = 0; i < n; i++)
        b->bytes += CHANGE_BYTES + 3 * strlen(changes[i].key) + changes[i].value.n;
    int failure = check_batch(b, &err);
    if (failure || z->lost)
        batch_free(b);
    else
        rv_list_append(&z->waiting, &b->node);
    if (failure)
        done(ctx, seq, failure, &err);
    else
        fly(z);
}

/* --- loading --- */

static int compare_records(const void *a, const void *b) {
    return strcmp(((const struct record *)a)->key, ((const struct record *)b)->key);
}

static void read_more(struct zookeeper *z);

static void finish_load(struct zookeeper *z) {
    struct loading *l = TAKE_PTR(z->loading);
    struct rv_registry_tally tally = {0};

    if (l->records.n)
        qsort(l->records.v, l->records.n, sizeof *l->records.v, compare_records);
    for (size_t i = 0; !l->result && i < l->records.n; i++) {
        const struct record *r = &l->records.v[i];
        struct rv_str value = rv_strn(r->value->data, r->value->n);
        rv_registry_count(&tally, r->key, value);
        rv_map_put(&z->keys, rv_str(r->key),
                   (void *)((uintptr_t)rv_registry_checksum(r->key, value) + 1));
        l->each(l->ctx, r->key, value);
    }
    if (!l->result)
        l->result = rv_registry_agrees(&z->head.tally, &tally, z->place, &l->err);
    z->ready = !l->result && z->writer;
    l->done(l->ctx, 0, l->result, &l->err);
    loading_free(l);
}

static void fail_load(struct zookeeper *z, const struct rv_error *err) {
    if (!z->loading->result) {
        z->loading->result = -(int)err->code;
        z->loading->err = *err;
    }
}

/* A reader that nobody keeps from being written under its eyes looks whether it was. */
static void on_head_after(void *ctx, int code, const struct rv_zk_head *head,
                          const struct rv_error *err) {
    struct zookeeper *z = ctx;
    struct rv_error changed;

    z->n_up--;
    if (over(z))
        return;
    if (code != RV_ZK_OK) {
        fail_load(z, err);
    } else if (head->version != z->head.version) {
        z->loading->result = 0; /* whatever was wrong may come from that */
        rv_error_set(&changed, RV_ERR_CONFLICT, "%s: was written to meanwhile: try again",
                     z->place);
        fail_load(z, &changed);
    }
    finish_load(z);
}

static void reading_done(struct reading *r) {
    struct zookeeper *z = r->owner;

    free(r->name);
    free(r);
    z->n_up--;
    if (over(z))
        return;
    z->loading->reads--;
    read_more(z);
    if (z->loading->reads)
        return;
    if (z->writer) {
        finish_load(z);
        return;
    }
    z->n_up++;
    rv_zk_head_read(z->zk, z->root, z->place, on_head_after, z);
}

static struct reading *reading_new(struct zookeeper *z, size_t bucket, const char *name) {
    struct reading *r = rv_calloc(1, sizeof *r);

    *r = (struct reading){z, rv_strdup(name), bucket};
    z->loading->reads++;
    z->n_up++;
    return r;
}

static void reading_failed(struct reading *r, int code) {
    struct zookeeper *z = r->owner;
    struct rv_error err;

    if (z->closed)
        return;
    _cleanup_free_ char *what = rv_asprintf("%02zx/%.255s", r->bucket, r->name ? r->name : "");
    refused(z, code, what, &err);
    if (code == RV_ZK_NO_NODE)
        err.code = RV_ERR_CORRUPT;
    fail_load(z, &err);
}

static void on_record(void *ctx, const struct rv_zk_result *result) {
    struct reading *r = ctx;
    struct zookeeper *z = r->owner;
    struct rv_error err;

    if (result->code != RV_ZK_OK) {
        reading_failed(r, result->code);
    } else if (!z->closed) {
        char *key = key_at(z, r->bucket, r->name);
        if (!key) {
            rv_error_set(&err, RV_ERR_CORRUPT, "%s: %02zx/%.255s is no record's place", z->place,
                         r->bucket, r->name);
            fail_load(z, &err);
        } else {
            struct record record = {key, rv_blob_new(result->data.s, result->data.n)};
            rv_vec_push(&z->loading->records, record);
        }
    }
    reading_done(r);
}

static void on_names(void *ctx, const struct rv_zk_result *result) {
    struct reading *r = ctx;
    struct zookeeper *z = r->owner;

    if (result->code != RV_ZK_OK)
        reading_failed(r, result->code);
    for (size_t i = 0; !z->closed && i < result->n; i++) {
        _cleanup_free_ char *path =
            rv_asprintf("%s/%02zx/%s", z->root, r->bucket, result->names[i]);
        rv_zk_get(z->zk, path, on_record, reading_new(z, r->bucket, result->names[i]));
    }
    reading_done(r);
}

static void read_more(struct zookeeper *z) {
    struct loading *l = z->loading;

    while (!l->result && l->bucket < RV_ZK_BUCKETS && l->reads < READS) {
        _cleanup_free_ char *path = rv_asprintf("%s/%02zx", z->root, l->bucket);
        rv_zk_children(z->zk, path, NULL, NULL, on_names, reading_new(z, l->bucket++, NULL));
    }
}

static void on_head(void *ctx, int code, const struct rv_zk_head *head,
                    const struct rv_error *err) {
    struct zookeeper *z = ctx;

    z->n_up--;
    if (over(z))
        return;
    if (code != RV_ZK_OK) {
        fail_load(z, err);
        finish_load(z);
        return;
    }
    rv_zk_head_copy(&z->head, head);
    z->done_version = head->version;
    read_more(z);
}

static void zookeeper_load(struct rv_registry *r, rv_registry_each each, rv_registry_done done,
                           void *ctx) {
    struct zookeeper *z = RV_CONTAINER_OF(r, struct zookeeper, base);

    RV_ASSERT(!z->loading && !z->ready);
    z->loading = rv_calloc(1, sizeof *z->loading);
    *z->loading = (struct loading){.each = each, .done = done, .ctx = ctx};
    z->n_up++;
    if (z->writer)
        rv_zk_head_take(z->zk, z->root, z->place, z->writer, z->candidate, on_head, z);
    else
        rv_zk_head_read(z->zk, z->root, z->place, on_head, z);
}

/* --- life --- */

static void zookeeper_close(struct rv_registry *r) {
    struct zookeeper *z = RV_CONTAINER_OF(r, struct zookeeper, base);

    z->closed = true;
    over(z);
}

struct rv_registry *rv_registry_zookeeper_new(const struct rv_registry_zk_config *config) {
    static const struct rv_registry_ops ops = {.name = "zookeeper",
                                               .close = zookeeper_close,
                                               .load = zookeeper_load,
                                               .write = zookeeper_write};
    struct zookeeper *z = rv_calloc(1, sizeof *z);

    z->base.ops = &ops;
    z->zk = config->zk;
    z->root = rv_asprintf("%s/registry", config->path);
    z->epoch = rv_asprintf("%s/epoch", z->root);
    z->base.place = z->place = rv_asprintf("zk://%s%s", rv_zk_servers(config->zk), z->root);
    z->writer = rv_strdup(config->writer);
    z->candidate = rv_strdup(config->candidate);
    rv_list_init(&z->waiting);
    rv_list_init(&z->flights);
    return &z->base;
}
