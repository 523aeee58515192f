/*
 * The registry in a real ZooKeeper on this machine: 10,000 agents admitted, each a change of its
 * own, until the last one is durable; and a registry of 50,000 agents read by a new leader, until
 * it has made a core of it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "emulator.h"
#include "io/zk.h"
#include "master/master.h"
#include "quorum/registry_zookeeper.h"
#include "store/registry_codec.h"
#include "zk_world.h"

#define ADMITTED 10000
#define RECOVERED 50000

static uv_loop_t loop;
static struct rv_registry *registry;
static struct rv_zk *zk;
static unsigned written;
static struct rv_registry_loaded *loaded;
static int loading; /* 1: under way */
static struct rv_error failure;

static void die(const char *what) {
    fprintf(stderr, "registry: %s: %s\n", what, failure.message);
    exit(1);
}

static void on_state(void *ctx, enum rv_zk_state state) {
    (void)ctx;
    (void)state;
}

static void on_path(void *ctx, const struct rv_zk_result *result) {
    (void)ctx;
    loading = result->code;
}

static void on_lost(void *ctx, const struct rv_error *err) {
    (void)ctx;
    failure = *err;
    die("lost");
}

static void on_loaded(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    (void)ctx;
    (void)seq;
    loading = result;
    if (result) {
        failure = *err;
        die("load");
    }
}

/* A leader: a session, and all that is there. */
static void lead(const struct zk_server *server, const char *writer) {
    char text[64];
    struct rv_zk_url url;

    snprintf(text, sizeof text, "zk://127.0.0.1:%u/reeve", (unsigned)server->port);
    if (rv_zk_url_parse(text, &url, &failure) ||
        rv_zk_new(&loop, &url, 10000, on_state, NULL, &zk, &failure))
        die("zookeeper");
    rv_zk_url_free(&url);
    loading = 1;
    rv_zk_make_path(zk, "/reeve", on_path, NULL);
    while (loading == 1)
        uv_run(&loop, UV_RUN_ONCE);
    registry = rv_registry_zookeeper_new(
        &(struct rv_registry_zk_config){.zk = zk, .path = "/reeve", .writer = writer});
    registry->on_lost = on_lost;
    loaded = rv_registry_loaded_new();
    loading = 1;
    registry->ops->load(registry, rv_registry_loaded_add, on_loaded, loaded);
    while (loading == 1)
        uv_run(&loop, UV_RUN_ONCE);
    if (rv_registry_loaded_finish(loaded, &failure))
        die("load");
}

static void follow(void) {
    registry->ops->close(registry);
    zk = rv_zk_free(zk);
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void on_written(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    (void)ctx;
    (void)seq;
    if (result) {
        failure = *err;
        die("write");
    }
    written++;
}

static void write_record(void *ctx, const char *key, struct rv_str value) {
    const struct rv_registry_change change = {key, value};
    (void)ctx;

    registry->ops->write(registry, &change, 1, 0, on_written, NULL);
}

static void forget_record(void *ctx, const char *key, struct rv_str value) {
    if (value.s)
        write_record(ctx, key, value);
}

static void admit(unsigned from, unsigned to) {
    struct rv_arena arena;

    rv_arena_init(&arena);
    for (unsigned i = from; i < to; i++) {
        char id[64], hostname[32];
        snprintf(id, sizeof id, "f3a1c0de-0000-4000-8000-000000000000-S%u", i);
        snprintf(hostname, sizeof hostname, "node%u.example.org", i);
        struct rv_agent_info info = {
            .id = {id}, .hostname = hostname, .ip = rv_strdup("10.0.0.1"), .port = 5051};
        info.version = rv_strdup("1.12.0");
        if (rv_resources_parse("cpus:8;mem:16384;disk:100000;ports:[31000-32000]", "*",
                               &info.resources, &failure) ||
            rv_attributes_parse("rack:r17;zone:a", &info.attributes, &failure))
            die("agent");
        struct rv_registry_op op = {
            .kind = RV_REGISTRY_ADMIT_AGENT, .agent_id = {id}, .agent = &info};
        rv_registry_op_encode(&op, &arena, forget_record, NULL);
        rv_arena_reset(&arena);
        info.hostname = NULL;
        info.id.v = NULL;
        rv_agent_info_free(&info);
        if (i % 50 == 0)
            uv_run(&loop, UV_RUN_NOWAIT);
    }
    while (written < to)
        uv_run(&loop, UV_RUN_ONCE);
    rv_arena_free(&arena);
}

int main(void) {
    struct zk_server server;

    setenv("HEAP", "1g", 1);
    if (!zk_make(&server, "1000"))
        return 77;
    uv_loop_init(&loop);
    lead(&server, "first");
    rv_registry_snapshot_free(loaded);
    double start = now_seconds();
    admit(0, ADMITTED);
    printf("figure registry.admit %.2f s\n", now_seconds() - start);
    admit(ADMITTED, RECOVERED);
    follow();

    start = now_seconds();
    lead(&server, "second");
    struct rv_master_config config = {.id = "second"};
    struct rv_master *core = rv_master_new(&config, rv_registry_snapshot(loaded), 0, 0);
    printf("figure registry.recover %.2f s\n", now_seconds() - start);
    if (rv_registry_snapshot(loaded)->n_agents != RECOVERED)
        die("agents are missing");
    rv_master_free(core);
    rv_registry_snapshot_free(loaded);
    follow();
    uv_loop_close(&loop);
    zk_remove(&server);
    return 0;
}
