/*
 * Rolling upgrade: what earlier releases wrote down is recovered from, and what their agents and
 * masters say is understood and said again with nothing missing (tests/upgrade). What a later
 * version adds to what it says is passed over; what it says that would be misunderstood, and what
 * it writes, is refused by name (the latter: test_journal.c, test_registry.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/records.h"
#include "base/log.h"
#include "io/journal.h"
#include "io/registry.h"
#include "master/master.h"
#include "reeve/v1/channel.pb-c.h"
#include "store/checkpoint_codec.h"
#include "store/registry_codec.h"
#include "wire/channel_codec.h"
#include "wire/recordio.h"

static const char *const releases[] = {"0.1.0"};
#define EACH_RELEASE(r) (size_t r = 0; r < RV_COUNT(releases); r++)

static struct world {
    struct rv_arena arena;
    char folder[64];
    char *path; /* of a copy that may be changed */
    RV_VEC(struct rv_checkpoint) records;
    RV_VEC(struct rv_container_id) containers; /* that are not done */
    struct rv_agent_info *info;                /* of the agent that wrote them */
    const char *boot_id;
    unsigned seen[64]; /* messages by type */
} w;

static int setup(void **state) {
    (void)state;
    w = (struct world){.folder = "/tmp/reeve-upgrade-XXXXXX"};
    assert_non_null(mkdtemp(w.folder));
    rv_arena_init(&w.arena);
    w.path = rv_asprintf("%s/copy", w.folder);
    return 0;
}

static int teardown(void **state) {
    static const char *const suffixes[] = {"", ".new", "-wal", "-shm", ".witness"};

    (void)state;
    for (size_t i = 0; i < RV_COUNT(suffixes); i++) {
        _cleanup_free_ char *path = rv_asprintf("%s%s", w.path, suffixes[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(w.folder), 0);
    free(w.path);
    rv_arena_free(&w.arena);
    return 0;
}

static struct rv_buf read_file(const char *release, const char *name) {
    _cleanup_free_ char *path = rv_asprintf("%s/upgrade/%s/%s", RV_TESTS_DIR, release, name);
    FILE *f = fopen(path, "re");
    struct rv_buf b = {0};
    char chunk[4096];
    size_t n;

    if (!f)
        fail_msg("cannot open %s", path);
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        rv_buf_append(&b, chunk, n);
    fclose(f);
    return b;
}

static void copy_file(const char *release, const char *name) {
    struct rv_buf b = read_file(release, name);
    FILE *f = fopen(w.path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(b.data, 1, b.n, f), b.n);
    assert_int_equal(fclose(f), 0);
    rv_buf_free(&b);
}

/* --- checkpoints --- */

static void forget_container(const char *id) {
    for (size_t i = 0; i < w.containers.n; i++)
        if (rv_streq(w.containers.v[i].v, id)) {
            rv_vec_remove_at(&w.containers, i);
            return;
        }
}

static int on_checkpoint(void *ctx, struct rv_str record, struct rv_error *err) {
    struct rv_checkpoint c;
    int r = rv_checkpoint_decode(record, &w.arena, &c, err);

    (void)ctx;
    if (r)
        return r;
    if (c.kind == RV_CHECKPOINT_AGENT) {
        w.info = (struct rv_agent_info *)(uintptr_t)c.agent;
        w.boot_id = c.boot_id;
    } else if (c.kind == RV_CHECKPOINT_EXECUTOR)
        rv_vec_push(&w.containers, c.launch->container_id);
    else if (c.kind == RV_CHECKPOINT_EXECUTOR_DONE)
        forget_container(c.container_id.v);
    w.seen[c.kind]++;
    rv_vec_push(&w.records, c);
    return 0;
}

/* Twice: as it was left, and after it was brought to this version's format. */
static void read_checkpoints(void) {
    struct rv_journal *journal;
    struct rv_error err;
    uv_loop_t loop;

    assert_int_equal(uv_loop_init(&loop), 0);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < w.records.n; i++)
            rv_checkpoint_release(&w.records.v[i]);
        w.records.n = w.containers.n = 0;
        memset(w.seen, 0, sizeof w.seen);
        if (rv_journal_open(&loop, w.path, on_checkpoint, NULL, &journal, &err))
            fail_msg("%s", err.message);
        rv_journal_close(journal);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static size_t count_tasks(struct rv_agent *a) {
    struct rv_agent_framework *fw;
    size_t n = 0;

    for (size_t it = 0; rv_map_next(&a->frameworks, &it, NULL, (void **)&fw);)
        n += rv_map_count(&fw->tasks);
    return n;
}

static void recover(const char *boot_id, size_t n_alive, size_t containers, size_t tasks) {
    struct rv_agent_info now = *w.info; /* what it has, not who it was */
    struct rv_agent_config config = {
        .seed = 1, .info = &now, .work_dir = "/w", .boot_id = boot_id, .containerizer = "process"};
    struct rv_agent_recovered r = {
        .records = w.records.v, .n = w.records.n, .alive = w.containers.v, .n_alive = n_alive};
    struct rv_agent_effects out = {0};

    now.id.v = NULL;
    struct rv_agent *a = rv_agent_new(&config, &r, 1000, 1000000000, &out);

    if (!rv_agent_refused(a)) {
        assert_null(rv_agent_check(a));
        assert_int_equal(a->counters.recovery_errors, 0);
        assert_string_equal(a->info.id.v, w.info->id.v);
        assert_int_equal(rv_map_count(&a->containers), containers);
        assert_int_equal(count_tasks(a), tasks);
    } else
        fail_msg("%s", rv_agent_refused(a));
    rv_agent_free(a);
    rv_agent_effects_free(&out);
}

static void checkpoints(void **state) {
    (void)state;
    for
        EACH_RELEASE(r) {
            copy_file(releases[r], "checkpoints.journal");
            read_checkpoints();
            for (enum rv_checkpoint_kind kind = 0; kind < RV_CHECKPOINT_ANEW; kind++)
                if (!w.seen[kind])
                    fail_msg("%s has no checkpoint of kind %d", releases[r], (int)kind);
            /* A task that runs, a group of two, one whose end nobody has acknowledged: its executor
             * waits too. INV-17, INV-18. */
            recover(w.boot_id, w.containers.n, w.containers.n, 4);
            recover(w.boot_id, 0, 0, 4); /* their ends are to be told */
            recover("another boot", 0, 0, 4);
            for (size_t i = 0; i < w.records.n; i++)
                rv_checkpoint_release(&w.records.v[i]);
            rv_vec_free(&w.records);
            rv_vec_free(&w.containers);
        }
}

/* --- the registry --- */

static void on_loaded(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    (void)seq;
    if (result)
        fail_msg("%s", err->message);
    *(bool *)ctx = true;
}

struct reading {
    struct rv_registry_loaded *loaded;
    bool done;
};

static void on_record(void *ctx, const char *key, struct rv_str value) {
    struct reading *r = RV_CONTAINER_OF((bool *)ctx, struct reading, done);

    rv_registry_loaded_add(r->loaded, key, value);
}

static void read_registry(void) {
    struct reading reading = {.loaded = rv_registry_loaded_new()};
    struct rv_registry *store;
    struct rv_error err;
    uv_loop_t loop;

    assert_int_equal(uv_loop_init(&loop), 0);
    if (rv_registry_sqlite_open(&loop, w.path, false, &store, &err))
        fail_msg("%s", err.message);
    store->ops->load(store, on_record, on_loaded, &reading.done);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(reading.done);
    if (rv_registry_loaded_finish(reading.loaded, &err))
        fail_msg("%s", err.message);
    const struct rv_registry_snapshot *s = rv_registry_snapshot(reading.loaded);
    assert_int_equal(s->n_agents, 1);
    assert_int_equal(s->n_frameworks, 1); /* the other one was torn down */
    assert_int_equal(s->n_weights, 1);
    assert_int_equal(s->n_quotas, 0); /* that version had none */
    assert_true(rv_streq(s->weights[0].role, "r") && s->weights[0].weight > 2.4);
    struct rv_master_config config = {.seed = 1, .id = "m", .hostname = "h", .ip = "i"};
    struct rv_master *m = rv_master_new(&config, s, 1000, 1000000000);
    assert_null(rv_master_check(m));
    rv_master_free(m);
    rv_registry_snapshot_free(reading.loaded);
    store->ops->close(store);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void registry(void **state) {
    (void)state;
    for
        EACH_RELEASE(r) {
            copy_file(releases[r], "registry.sqlite");
            read_registry();
            read_registry(); /* after this version has opened it */
        }
}

/* --- the channel --- */

/* As a later version says it: with a number and a text more. */
static struct rv_str with_more(struct rv_str record) {
    static const char more[] = {'\xf8', '\x7c', 1, '\x82', '\x7d', 5, 'l', 'a', 't', 'e', 'r'};
    char *later = rv_arena_alloc(&w.arena, record.n + sizeof more);

    memcpy(later, record.s, record.n);
    memcpy(later + record.n, more, sizeof more);
    return rv_strn(later, record.n + sizeof more);
}

/* What was said is said again, byte for byte: no field was lost on the way. */
static void same(struct rv_str was, const struct rv_buf *is, int type) {
    if (!rv_str_eq(was, rv_buf_str(is)))
        fail_msg("message %d of %zu bytes comes out again with %zu", type, was.n, is->n);
}

static int on_call(void *ctx, struct rv_str record) {
    struct rv_buf again = {0};
    struct rv_agent_call call;
    struct rv_error err;

    (void)ctx;
    if (rv_wire_agent_call_decode(RV_ENC_PROTOBUF, with_more(record), NULL, &w.arena, &call, &err))
        fail_msg("%s", err.message);
    rv_wire_agent_call_encode(&call, RV_ENC_PROTOBUF, &w.arena, &again);
    same(record, &again, call.type);
    w.seen[call.type]++;
    rv_wire_agent_call_release(&call);
    rv_buf_free(&again);
    return 0;
}

static int on_event(void *ctx, struct rv_str record) {
    struct rv_buf again = {0};
    struct rv_agent_event event;
    struct rv_error err;

    (void)ctx;
    if (rv_wire_agent_event_decode(RV_ENC_PROTOBUF, with_more(record), NULL, &w.arena, &event,
                                   &err))
        fail_msg("%s", err.message);
    rv_wire_agent_event_encode(&event, RV_ENC_PROTOBUF, &w.arena, &again);
    same(record, &again, event.type);
    w.seen[event.type]++;
    rv_wire_agent_event_release(&event);
    rv_buf_free(&again);
    return 0;
}

static void expect_messages(const char *name, int (*each)(void *ctx, struct rv_str record),
                            const int *types, size_t n) {
    for
        EACH_RELEASE(r) {
            struct rv_buf b = read_file(releases[r], name);
            struct rv_recordio records;
            struct rv_error err;
            rv_recordio_init(&records, 1 << 20);
            if (rv_recordio_feed(&records, rv_buf_str(&b), each, NULL, &err))
                fail_msg("%s", err.message);
            assert_int_equal(records.pending.n, 0);
            for (size_t i = 0; i < n; i++)
                if (!w.seen[types[i]])
                    fail_msg("%s of %s: no message of type %d", name, releases[r], types[i]);
            rv_recordio_free(&records);
            rv_buf_free(&b);
        }
}

static void calls_of_agents(void **state) {
    static const int types[] = {RV_AGENT_CALL_REGISTER, RV_AGENT_CALL_REREGISTER,
                                RV_AGENT_CALL_PONG, RV_AGENT_CALL_STATUS_UPDATE};

    (void)state;
    expect_messages("calls", on_call, types, RV_COUNT(types));
}

static void events_of_masters(void **state) {
    static const int types[] = {RV_AGENT_EVENT_REGISTERED,  RV_AGENT_EVENT_PING,
                                RV_AGENT_EVENT_RUN_TASKS,   RV_AGENT_EVENT_KILL_TASK,
                                RV_AGENT_EVENT_ACKNOWLEDGE, RV_AGENT_EVENT_FRAMEWORK_MESSAGE};

    (void)state;
    expect_messages("events", on_event, types, RV_COUNT(types));
}

static struct rv_str packed(const ProtobufCMessage *m) {
    uint8_t *bytes = rv_arena_alloc(&w.arena, protobuf_c_message_get_packed_size(m));

    return rv_strn(bytes, protobuf_c_message_pack(m, bytes));
}

/* What this message holds is more than this version knows, too. */
static void add_more(ProtobufCMessage *m) {
    static uint8_t number[] = {1}, text[] = {2, 'o', 'k'};
    static ProtobufCMessageUnknownField more[] = {
        {1999, PROTOBUF_C_WIRE_TYPE_VARINT, sizeof number, number},
        {2000, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, sizeof text, text},
    };

    m->unknown_fields = more;
    m->n_unknown_fields = RV_COUNT(more);
}

static void registration_of_a_later_agent(void **state) {
    Reeve__V1__Channel__Call call = REEVE__V1__CHANNEL__CALL__INIT;
    Reeve__V1__Channel__Call__Registration r = REEVE__V1__CHANNEL__CALL__REGISTRATION__INIT;
    Reeve__V1__Channel__Agent agent = REEVE__V1__CHANNEL__AGENT__INIT;
    Reeve__V1__AgentInfo info = REEVE__V1__AGENT_INFO__INIT;
    struct rv_agent_call said;
    struct rv_error err;

    (void)state;
    add_more(&call.base);
    add_more(&r.base);
    add_more(&agent.base);
    add_more(&info.base);
    info.hostname = (char[]){"h"};
    agent.info = &info;
    r.agent = &agent;
    r.has_needs = true;
    call.registration = &r;
    call.has_type = true;
    call.type = REEVE__V1__CHANNEL__CALL__TYPE__REGISTER;
    for (r.needs = 0; r.needs <= RV_CHANNEL_VERSION; r.needs++) {
        if (rv_wire_agent_call_decode(RV_ENC_PROTOBUF, packed(&call.base), NULL, &w.arena, &said,
                                      &err))
            fail_msg("%s", err.message);
        assert_string_equal(said.registration.info->hostname, "h");
        rv_wire_agent_call_release(&said);
    }
    assert_int_equal(
        rv_wire_agent_call_decode(RV_ENC_PROTOBUF, packed(&call.base), NULL, &w.arena, &said, &err),
        -RV_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "the agent needs version 3"));
    assert_non_null(strstr(err.message, "upgrade the master first"));
}

static void registration_by_a_later_master(void **state) {
    Reeve__V1__Channel__Event event = REEVE__V1__CHANNEL__EVENT__INIT;
    Reeve__V1__Channel__Event__Registered r = REEVE__V1__CHANNEL__EVENT__REGISTERED__INIT;
    Reeve__V1__AgentID id = REEVE__V1__AGENT_ID__INIT;
    Reeve__V1__DurationInfo ping = REEVE__V1__DURATION_INFO__INIT;
    struct rv_agent_event said;
    struct rv_error err;

    (void)state;
    add_more(&event.base);
    add_more(&r.base);
    id.value = (char[]){"S1"};
    r.agent_id = &id;
    r.ping_timeout = &ping;
    r.has_needs = true;
    event.registered = &r;
    event.has_type = true;
    event.type = REEVE__V1__CHANNEL__EVENT__TYPE__REGISTERED;
    for (r.needs = 0; r.needs <= RV_CHANNEL_VERSION; r.needs++) {
        if (rv_wire_agent_event_decode(RV_ENC_PROTOBUF, packed(&event.base), NULL, &w.arena, &said,
                                       &err))
            fail_msg("%s", err.message);
        assert_string_equal(said.registered.agent_id.v, "S1");
        rv_wire_agent_event_release(&said);
    }
    assert_int_equal(rv_wire_agent_event_decode(RV_ENC_PROTOBUF, packed(&event.base), NULL,
                                                &w.arena, &said, &err),
                     -RV_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "the master needs version 3"));
    assert_non_null(strstr(err.message, "upgrade the agent first"));
}

int main(void) {
    static const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(checkpoints),
        TEST(registry),
        TEST(calls_of_agents),
        TEST(events_of_masters),
        TEST(registration_of_a_later_agent),
        TEST(registration_by_a_later_master),
#undef TEST
    };
    rv_log_set_level(RV_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
