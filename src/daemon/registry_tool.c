/*
 * `reeve registry`: the registry in an operator's hand, whichever engine keeps it. A dump is one
 * JSON object, {"format": 1, "records": [{"key": "agent/...", "value": {...}}, ...]}, a record a
 * line, in the order of keys; a value is the message of registry.proto. What is dumped was checked
 * as a master checks it.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/prng.h"
#include "daemon/run.h"
#include "daemon/shell.h"
#include "io/election.h"
#include "io/registry.h"
#include "quorum/registry_zookeeper.h"
#include "store/registry_codec.h"
#include "store/registry_record.h"

#define FORMAT 1
#define SESSION_MS 10000
#define CONNECT_MS 15000 /* for ZooKeeper to answer at all */

static const char usage[] =
    "reeve registry dump PLACE                      writes it to the output, as JSON\n"
    "reeve registry check PLACE                     reads all of it\n"
    "reeve registry restore PLACE [--force] < DUMP  makes it what the dump says\n\n"
    "PLACE is a master's registry.sqlite, or the zk://... of the masters. A registry that has\n"
    "records is only replaced with --force. Stop the masters before a restore.\n";

struct tool {
    uv_loop_t loop;
    const char *place;
    struct rv_registry *registry;
    struct rv_zk_url url;
    struct rv_zk *zk;
    uv_timer_t patience;
    bool force;
    /* Of a load or a write. */
    bool done;
    int result;
    struct rv_error err;
    struct rv_arena arena;
    struct rv_registry_loaded *loaded;
    struct rv_buf text;  /* of a dump */
    size_t n;            /* records */
    const char *cluster; /* that they are of, in words; NULL: they do not say */
    RV_VEC(struct rv_registry_change) changes;
    size_t waiting; /* writes */
};

static void finish(struct tool *t, int result, const struct rv_error *err) {
    if (t->done)
        return;
    t->done = true;
    t->result = result;
    if (result)
        t->err = *err;
    uv_stop(&t->loop);
}

static int run(struct tool *t) {
    while (!t->done)
        uv_run(&t->loop, UV_RUN_DEFAULT);
    return t->result;
}

/* --- the place --- */

static void on_state(void *ctx, enum rv_zk_state state) {
    struct tool *t = ctx;
    struct rv_error err;

    if (state == RV_ZK_CONNECTED)
        uv_timer_stop(&t->patience);
    if (state == RV_ZK_EXPIRED || state == RV_ZK_REFUSED) {
        rv_error_set(&err, RV_ERR_CLOSED, "%s: the session with ZooKeeper has ended",
                     rv_zk_servers(t->zk));
        finish(t, -RV_ERR_CLOSED, &err);
    }
}

static void on_impatience(uv_timer_t *timer) {
    struct tool *t = timer->data;
    struct rv_error err;

    rv_error_set(&err, RV_ERR_TIMEOUT, "ZooKeeper does not answer at %s", rv_zk_servers(t->zk));
    finish(t, -RV_ERR_TIMEOUT, &err);
}

static void on_lost(void *ctx, const struct rv_error *err) {
    finish(ctx, -(int)err->code, err);
}

static int open_zookeeper(struct tool *t, bool to_write) {
    struct rv_prng prng;
    uint8_t uuid[16];
    char writer[37];
    int r = rv_zk_url_parse(t->place, &t->url, &t->err);

    if (!r)
        r = rv_zk_new(&t->loop, &t->url, SESSION_MS, on_state, t, &t->zk, &t->err);
    if (r)
        return r;
    rv_prng_seed(&prng, (uint64_t)rv_wall_ns() ^ (uint64_t)getpid());
    rv_prng_uuid(&prng, uuid);
    rv_uuid_format(uuid, writer);
    uv_timer_start(&t->patience, on_impatience, CONNECT_MS, 0);
    t->registry = rv_registry_zookeeper_new(&(struct rv_registry_zk_config){
        .zk = t->zk, .path = t->url.path, .writer = to_write ? writer : NULL});
    return 0;
}

static int open_place(struct tool *t, bool to_write) {
    int r;

    if (rv_zk_url_is(t->place))
        r = open_zookeeper(t, to_write);
    else
        r = rv_registry_sqlite_open(&t->loop, t->place, !to_write, &t->registry, &t->err);
    if (r)
        return r;
    t->registry->on_lost = on_lost;
    t->registry->lost_ctx = t;
    return 0;
}

/* --- reading --- */

static void on_record(void *ctx, const char *key, struct rv_str value) {
    struct tool *t = ctx;
    ProtobufCMessage *message;

    rv_registry_loaded_add(t->loaded, key, value);
    if (rv_registry_record_unpack(key, value, &t->arena, &message, NULL))
        return; /* the above has said why */
    json_t *name = json_string(key);
    char *quoted = name ? json_dumps(name, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    rv_buf_printf(&t->text, "%s{\"key\": %s, \"value\": ", t->n ? ",\n" : "",
                  quoted ? quoted : "null");
    rv_wire_encode(message, RV_ENC_JSON, &t->text);
    rv_buf_putc(&t->text, '}');
    free(quoted);
    json_decref(name);
    t->n++;
}

static void on_loaded(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    struct tool *t = ctx;
    struct rv_error damage;
    (void)seq;

    if (rv_registry_loaded_finish(t->loaded, &damage)) {
        rv_error_prefix(&damage, "%s", t->registry->place);
        finish(t, -(int)damage.code, &damage);
    } else {
        finish(t, result, err);
    }
}

static int load(struct tool *t) {
    t->done = false;
    t->loaded = rv_registry_loaded_new();
    t->registry->ops->load(t->registry, on_record, on_loaded, t);
    int r = run(t);
    const struct rv_registry_cluster *cluster = rv_registry_cluster(t->loaded);
    if (!r && cluster->id)
        t->cluster = rv_arena_printf(&t->arena, "; cluster %s, led last by version %s", cluster->id,
                                     cluster->version);
    rv_registry_snapshot_free(t->loaded);
    return r;
}

static int dump(struct tool *t) {
    int r = open_place(t, false);

    if (!r)
        r = load(t);
    if (!r)
        printf("{\"format\": %d, \"records\": [\n%s\n]}\n", FORMAT, t->text.n ? t->text.data : "");
    return r;
}

static int check(struct tool *t) {
    int r = open_place(t, false);

    if (!r)
        r = load(t);
    if (!r)
        printf("%zu records, all as they were written%s\n", t->n, t->cluster ? t->cluster : "");
    return r;
}

/* --- restoring --- */

static int add_record(struct tool *t, const json_t *record, size_t i) {
    const char *key = json_string_value(json_object_get(record, "key"));
    const json_t *value = json_object_get(record, "value");
    const ProtobufCMessageDescriptor *type = key ? rv_registry_record_type(key) : NULL;
    ProtobufCMessage *message;

    if (!type || !json_is_object(value))
        return rv_error_set(&t->err, RV_ERR_INVALID, "record %zu of the dump: %s", i + 1,
                            !key    ? "it has no key"
                            : !type ? "its key is not known to this version"
                                    : "it has no value");
    char *text = json_dumps(value, 0);
    int r = rv_wire_decode(type, RV_ENC_JSON, rv_str(text), NULL, &t->arena, &message, &t->err);
    if (r) {
        rv_error_prefix(&t->err, "%s", key);
    } else {
        struct rv_registry_change change = {rv_arena_strdup(&t->arena, key),
                                            rv_registry_record_pack(message, &t->arena)};
        rv_vec_push(&t->changes, change);
    }
    free(text);
    return r;
}

static int parse_dump(struct tool *t) {
    json_error_t where;
    json_t *dumped = json_loadf(stdin, 0, &where);
    const json_t *records = json_object_get(dumped, "records"), *record;
    size_t i;
    int r = 0;

    if (!dumped)
        r = rv_error_set(&t->err, RV_ERR_INVALID, "the dump is no JSON: line %d: %s", where.line,
                         where.text);
    else if (json_integer_value(json_object_get(dumped, "format")) != FORMAT ||
             !json_is_array(records))
        r = rv_error_set(&t->err, RV_ERR_INVALID, "this is no dump of format %d", FORMAT);
    else
        json_array_foreach(records, i, record) if (!r) r = add_record(t, record, i);
    json_decref(dumped);
    return r;
}

static void on_old_record(void *ctx, const char *key, struct rv_str value) {
    struct tool *t = ctx;
    struct rv_registry_change change = {rv_arena_strdup(&t->arena, key), {NULL, 0}};
    (void)value;

    rv_vec_push(&t->changes, change);
    t->n++;
}

static void on_old_loaded(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    (void)seq;
    finish(ctx, result, err);
}

static void on_written(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    struct tool *t = ctx;
    (void)seq;

    t->waiting--;
    if (result || !t->waiting)
        finish(t, result, err);
}

static void on_path(void *ctx, const struct rv_zk_result *result) {
    struct tool *t = ctx;
    struct rv_error err;

    rv_error_set(&err, RV_ERR_IO, "%s: %s", t->url.path, rv_zk_text(result->code));
    finish(t, result->code ? -RV_ERR_IO : 0, &err);
}

static void on_candidates(void *ctx, const struct rv_zk_result *result) {
    struct rv_error err = {0};
    struct tool *t = ctx;

    for (size_t i = 0; i < result->n && !err.code; i++)
        if (rv_starts_with(result->names[i], RV_ELECTION_LABEL))
            rv_error_set(&err, RV_ERR_CONFLICT, "%s: masters are running: stop them first",
                         t->url.path);
    finish(t, -(int)err.code, &err);
}

/* Nobody else may write there; and the path above the registry may not be there yet. */
static int prepare_zookeeper(struct tool *t) {
    rv_zk_children(t->zk, t->url.path, NULL, NULL, on_candidates, t);
    int r = run(t);
    if (r)
        return r;
    t->done = false;
    rv_zk_make_path(t->zk, t->url.path, on_path, t);
    r = run(t);
    t->done = false;
    return r;
}

static int restore(struct tool *t) {
    int r = open_place(t, true);

    if (!r && t->zk)
        r = prepare_zookeeper(t);
    if (r)
        return r;
    t->registry->ops->load(t->registry, on_old_record, on_old_loaded, t);
    if ((r = run(t)))
        return r;
    if (t->n && !t->force)
        return rv_error_set(&t->err, RV_ERR_EXISTS,
                            "%s has %zu records already; --force replaces them", t->place, t->n);
    r = parse_dump(t);
    if (r)
        return r;
    t->done = false;
    t->waiting = t->changes.n;
    for (size_t i = 0; i < t->changes.n && !t->done; i++)
        t->registry->ops->write(t->registry, &t->changes.v[i], 1, i, on_written, t);
    r = t->changes.n ? run(t) : 0;
    if (!r)
        printf("%zu records restored\n", t->changes.n - t->n);
    return r;
}

/* --- the verb --- */

static void tool_free(struct tool *t) {
    if (t->registry)
        t->registry->ops->close(t->registry);
    rv_zk_free(t->zk);
    rv_zk_url_free(&t->url);
    uv_close((uv_handle_t *)&t->patience, NULL);
    while (uv_loop_close(&t->loop)) /* an uv_stop of before ends one run */
        uv_run(&t->loop, UV_RUN_DEFAULT);
    rv_vec_free(&t->changes);
    rv_buf_free(&t->text);
    rv_arena_free(&t->arena);
}

int rv_run_registry(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(struct tool *t);
    } verbs[] = {{"dump", dump}, {"check", check}, {"restore", restore}};
    struct tool t = {.place = NULL};
    int (*verb)(struct tool *) = NULL;

    for (int i = 0; i < argc; i++) {
        if (rv_streq(argv[i], "--help") || rv_streq(argv[i], "-h")) {
            fputs(usage, stdout);
            return 0;
        }
        if (i == 0)
            for (size_t k = 0; k < RV_COUNT(verbs); k++)
                verb = rv_streq(argv[0], verbs[k].name) ? verbs[k].run : verb;
        else if (rv_streq(argv[i], "--force") && verb == restore)
            t.force = true;
        else if (!t.place && *argv[i] != '-')
            t.place = argv[i];
        else
            verb = NULL;
    }
    if (!verb || !t.place) {
        fputs(usage, stderr);
        return 2;
    }
    rv_log_set_level(RV_LOG_ERROR);
    rv_arena_init(&t.arena);
    uv_loop_init(&t.loop);
    uv_timer_init(&t.loop, &t.patience);
    t.patience.data = &t;
    int r = verb(&t);
    if (r)
        fprintf(stderr, "reeve registry: %s\n", t.err.message);
    tool_free(&t);
    return r ? 1 : 0;
}
