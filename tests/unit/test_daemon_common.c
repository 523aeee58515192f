/* What the endpoints of both daemons share: files, metrics, the writers of answers. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/files.h"
#include "daemon/legacy_json.h"
#include "daemon/lister.h"
#include "daemon/metrics.h"
#include "daemon/snapshot.h"
#include "daemon/timing.h"
#include "reeve/v1/master.pb-c.h"
#include "wire/convert.h"

/* --- files --- */

struct fixture {
    char top[64];
    struct rv_files files;
    struct rv_arena arena;
};

static void put_file(const struct fixture *f, const char *name, const char *text) {
    _cleanup_free_ char *path = rv_asprintf("%s/%s", f->top, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void put_folder(const struct fixture *f, const char *name) {
    _cleanup_free_ char *path = rv_asprintf("%s/%s", f->top, name);

    assert_int_equal(mkdir(path, 0755), 0);
}

static void put_link(const struct fixture *f, const char *name, const char *target) {
    _cleanup_free_ char *path = rv_asprintf("%s/%s", f->top, name);

    assert_int_equal(symlink(target, path), 0);
}

static int setup(void **state) {
    struct fixture *f = rv_calloc(1, sizeof *f);

    rv_arena_init(&f->arena);
    strcpy(f->top, "/tmp/test-files-XXXXXX");
    assert_non_null(mkdtemp(f->top));
    put_folder(f, "secret");
    put_file(f, "secret/key", "hidden");
    put_folder(f, "box");
    put_folder(f, "box/runs");
    put_folder(f, "box/runs/r1");
    put_file(f, "box/runs/r1/stdout", "0123456789");
    put_file(f, "box/runs/r1/odd \"\xff\n name", "x");
    put_link(f, "box/runs/latest", "r1");
    put_link(f, "box/up", "../secret/key");
    put_link(f, "box/away", "/etc/passwd");
    put_link(f, "box/folder", "/etc");
    put_link(f, "box/loop", "loop");
    put_link(f, "box/round", "runs/../runs/r1/stdout");
    _cleanup_free_ char *box = rv_asprintf("%s/box", f->top);
    _cleanup_free_ char *fifo = rv_asprintf("%s/box/fifo", f->top);
    assert_int_equal(mkfifo(fifo, 0644), 0);
    rv_files_attach(&f->files, "/sandbox/", box);
    rv_files_attach(&f->files, box, box);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    _cleanup_free_ char *command = rv_asprintf("rm -rf '%s'", f->top);

    assert_int_equal(system(command), 0);
    rv_files_free(&f->files);
    rv_arena_free(&f->arena);
    free(f);
    return 0;
}

static int read_code(struct fixture *f, const char *path) {
    _cleanup_(rv_buf_free) struct rv_buf out = {0};
    struct rv_error err;
    uint64_t size;
    int r = rv_files_read(&f->files, path, 0, 100, &size, &out, &err);

    return -r;
}

static void reads_what_is_attached(void **state) {
    struct fixture *f = *state;
    static const char *const fine[] = {"/sandbox/runs/r1/stdout", "/sandbox/runs/latest/stdout",
                                       "/sandbox//runs/./r1//stdout", "/sandbox/round",
                                       "/sandbox/runs/../runs/r1/stdout"};
    _cleanup_free_ char *real = rv_asprintf("%s/box/runs/r1/stdout", f->top);

    for (size_t i = 0; i < RV_COUNT(fine); i++)
        assert_int_equal(read_code(f, fine[i]), 0);
    assert_int_equal(read_code(f, real), 0);
}

static void refuses_what_is_not(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {
        "/etc/passwd",
        "/",
        "sandbox/runs/r1/stdout",
        "/sandboxes/x",
        "/sandbox/nothing",
        "/sandbox/up",
        "/sandbox/away",
        "/sandbox/folder/passwd",
        "/sandbox/loop",
        "/sandbox/../secret/key",
        "/sandbox/runs/../../secret/key",
        "/sandbox/../../../../../../etc/passwd",
        "/sandbox/runs/r1/stdout/x",
    };
    _cleanup_free_ char *secret = rv_asprintf("%s/secret/key", f->top);
    _cleanup_free_ char *around = rv_asprintf("%s/box/../secret/key", f->top);
    _cleanup_free_ char *sibling = rv_asprintf("%s/boxes", f->top);
    char longest[5000];

    for (size_t i = 0; i < RV_COUNT(bad); i++)
        if (read_code(f, bad[i]) != RV_ERR_NOT_FOUND)
            fail_msg("%s was not refused", bad[i]);
    assert_int_equal(read_code(f, secret), RV_ERR_NOT_FOUND);
    assert_int_equal(read_code(f, around), RV_ERR_NOT_FOUND);
    assert_int_equal(read_code(f, sibling), RV_ERR_NOT_FOUND);
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "/sandbox/", 9);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(read_code(f, longest), RV_ERR_NOT_FOUND);
    assert_int_equal(read_code(f, ""), RV_ERR_INVALID);
    assert_int_equal(read_code(f, "/sandbox/runs"), RV_ERR_INVALID); /* a folder */
    assert_int_equal(read_code(f, "/sandbox/fifo"), RV_ERR_INVALID); /* and does not block */
    struct rv_error err;
    struct stat st;
    int fd;
    assert_int_equal(rv_files_open(NULL, "/sandbox/round", &fd, &st, &err), -RV_ERR_NOT_FOUND);
}

static void reads_parts(void **state) {
    struct fixture *f = *state;
    static const struct {
        uint64_t offset, length;
        const char *expected;
    } parts[] = {{0, 100, "0123456789"},
                 {2, 3, "234"},
                 {9, 5, "9"},
                 {10, 5, ""},
                 {UINT64_MAX, 1, ""},
                 {3, 0, ""},
                 {0, UINT64_MAX, "0123456789"}};

    for (size_t i = 0; i < RV_COUNT(parts); i++) {
        _cleanup_(rv_buf_free) struct rv_buf out = {0};
        uint64_t size = 0;
        assert_int_equal(rv_files_read(&f->files, "/sandbox/round", parts[i].offset,
                                       parts[i].length, &size, &out, NULL),
                         0);
        assert_int_equal(size, 10);
        assert_true(rv_str_eq(rv_buf_str(&out), rv_str(parts[i].expected)));
    }
}

static const struct rv_file_entry *find(const struct rv_file_entry *v, size_t n, const char *path) {
    for (size_t i = 0; i < n; i++)
        if (rv_streq(v[i].path, path))
            return &v[i];
    return NULL;
}

static void lists_folders(void **state) {
    struct fixture *f = *state;
    struct rv_file_entry *v;
    char mode[11];
    size_t n;

    assert_int_equal(rv_files_list(&f->files, "/sandbox/", &f->arena, &v, &n, NULL), 0);
    assert_int_equal(n, 7);
    for (size_t i = 1; i < n; i++)
        assert_true(strcmp(v[i - 1].path, v[i].path) < 0);
    /* what lies outside is not told: the link is shown, not what it leads to */
    assert_true(S_ISLNK(find(v, n, "/sandbox/away")->st.st_mode));
    assert_true(S_ISLNK(find(v, n, "/sandbox/folder")->st.st_mode));
    rv_files_mode(find(v, n, "/sandbox/runs")->st.st_mode, mode);
    assert_string_equal(mode, "drwxr-xr-x");
    rv_files_mode(find(v, n, "/sandbox/round")->st.st_mode, mode);
    assert_string_equal(mode, "-rw-r--r--");
    assert_int_equal(find(v, n, "/sandbox/round")->st.st_size, 10);
    assert_non_null(v[0].user);
    assert_int_equal(rv_files_list(&f->files, "/sandbox/folder", &f->arena, &v, &n, NULL),
                     -RV_ERR_NOT_FOUND);
    assert_int_equal(rv_files_list(&f->files, "/sandbox/..", &f->arena, &v, &n, NULL),
                     -RV_ERR_NOT_FOUND);
    assert_int_equal(rv_files_list(&f->files, "/sandbox/runs/latest", &f->arena, &v, &n, NULL), 0);
    assert_int_equal(n, 2);
}

static void forgets_what_is_detached(void **state) {
    struct fixture *f = *state;

    rv_files_detach(&f->files, "/sandbox");
    assert_int_equal(read_code(f, "/sandbox/round"), RV_ERR_NOT_FOUND);
}

/* --- the JSON writer --- */

static void check_json(struct rv_json *j, const char *expected) {
    assert_string_equal(j->out->data, expected);
    rv_buf_clear(j->out);
    j->more = false;
}

static void writes_values(void **state) {
    _cleanup_(rv_buf_free) struct rv_buf out = {0};
    struct rv_json j = {.out = &out};

    (void)state;
    rv_json_object(&j, NULL);
    rv_json_array(&j, "a");
    rv_json_int(&j, NULL, -5);
    rv_json_bool(&j, NULL, true);
    rv_json_object(&j, NULL);
    rv_json_object_end(&j);
    rv_json_array_end(&j);
    rv_json_string(&j, "s", NULL);
    rv_json_object_end(&j);
    check_json(&j, "{\"a\":[-5,true,{}],\"s\":\"\"}");
    rv_json_bytes(&j, NULL,
                  RV_STR("tab\t\"q\" \\ \x01 caf\xc3\xa9 \xf0\x9f\x98\x80 \xff\xed\xa0\x80/"));
    check_json(&j, "\"tab\\t\\\"q\\\" \\\\ \\u0001 caf\\u00e9 \\ud83d\\ude00 "
                   "\\ufffd\\ufffd\\ufffd\\ufffd/\"");
    rv_json_thousandths(&j, NULL, 1500);
    check_json(&j, "1.5");
    rv_json_thousandths(&j, NULL, -1);
    check_json(&j, "-0.001");
    rv_json_thousandths(&j, NULL, 32000);
    check_json(&j, "32.0");
    rv_json_seconds(&j, NULL, 1700000000123456789);
    check_json(&j, "1700000000.123456");
    rv_json_double(&j, NULL, 0.1);
    check_json(&j, "0.1");
    rv_json_double(&j, NULL, 3);
    check_json(&j, "3.0");
}

static void writes_resources(void **state) {
    _cleanup_(rv_resources_free) struct rv_resources r = {0};
    _cleanup_(rv_buf_free) struct rv_buf out = {0};
    struct rv_json j = {.out = &out};

    (void)state;
    assert_int_equal(rv_resources_parse("cpus:1;cpus(eng):2;mem:0.5;ports:[5-6];ports(eng):[1-2];"
                                        "bugs:{b,a}",
                                        "*", &r, NULL),
                     0);
    rv_json_resources(&j, NULL, &r);
    assert_non_null(strstr(out.data, "\"cpus\":3.0"));
    assert_non_null(strstr(out.data, "\"disk\":0"));
    assert_non_null(strstr(out.data, "\"mem\":0.5"));
    assert_non_null(strstr(out.data, "[1-2, 5-6]"));
    assert_non_null(strstr(out.data, "\"bugs\":\"{a, b}\""));
    rv_buf_clear(&out);
    j.more = false;
    rv_json_reserved(&j, NULL, &r);
    assert_non_null(strstr(out.data, "{\"eng\":{\"cpus\":2.0,"));
    rv_buf_clear(&out);
    j.more = false;
    rv_json_unreserved(&j, NULL, &r);
    assert_non_null(strstr(out.data, "\"cpus\":1.0"));
}

static void shows_a_task(void **state) {
    static char id[] = "t", name[] = "n", user[] = "joe", key[] = "k";
    Reeve__V1__TaskInfo info = REEVE__V1__TASK_INFO__INIT;
    Reeve__V1__CommandInfo command = REEVE__V1__COMMAND_INFO__INIT;
    Reeve__V1__TaskID task_id = REEVE__V1__TASK_ID__INIT;
    Reeve__V1__AgentID agent_id = REEVE__V1__AGENT_ID__INIT;
    Reeve__V1__Labels labels = REEVE__V1__LABELS__INIT;
    Reeve__V1__Label label = REEVE__V1__LABEL__INIT, *all[] = {&label};
    _cleanup_(rv_buf_free) struct rv_buf out = {0};
    _cleanup_(rv_arena_free) struct rv_arena scratch;
    struct rv_resources none = {0};
    struct rv_json j = {.out = &out};

    (void)state;
    rv_arena_init(&scratch);
    task_id.value = agent_id.value = id;
    label.key = key;
    labels.labels = all;
    labels.n_labels = 1;
    command.user = user;
    info.name = name;
    info.task_id = &task_id;
    info.agent_id = &agent_id;
    info.command = &command;
    info.labels = &labels;
    struct rv_blob *packed = rv_wire_pack(&info.base);
    struct rv_task_status status = {.state = RV_TASK_RUNNING,
                                    .reason = RV_REASON_NONE,
                                    .healthy = 1,
                                    .timestamp_ns = 1500000000,
                                    .container_id = {"p.c"}};
    struct rv_json_task task = {.id = "t",
                                .framework_id = "f",
                                .agent_id = "a",
                                .state = RV_TASK_RUNNING,
                                .resources = &none,
                                .statuses = &status,
                                .n_statuses = 1,
                                .packed = packed};
    rv_json_task(&j, NULL, &task, &scratch);
    check_json(&j, "{\"id\":\"t\",\"name\":\"\",\"framework_id\":\"f\",\"executor_id\":\"\","
                   "\"slave_id\":\"a\",\"state\":\"TASK_RUNNING\",\"resources\":{\"cpus\":0,"
                   "\"disk\":0,\"gpus\":0,\"mem\":0},\"role\":\"*\",\"statuses\":[{\"state\":"
                   "\"TASK_RUNNING\",\"timestamp\":1.5,\"container_status\":{\"container_id\":"
                   "{\"value\":\"c\",\"parent\":{\"value\":\"p\"}}},\"healthy\":true}],"
                   "\"user\":\"joe\",\"labels\":[{\"key\":\"k\"}]}");
    rv_blob_unref(packed);
}

static void walks_damaged_messages(void **state) {
    static const char bytes[] = "\x0a\x03xyz\x10\x05\x1a\x7f";
    struct rv_packed_field f;

    (void)state;
    for (size_t n = 0; n < sizeof bytes; n++) {
        struct rv_str rest = rv_strn(bytes, n);
        size_t fields = 0;
        while (rv_packed_next(&rest, &f))
            fields++;
        assert_true(fields <= 2);
    }
    assert_int_equal(rv_packed_bytes(rv_strn(bytes, 7), 1).n, 3);
    assert_null(rv_packed_bytes(rv_strn(bytes, 7), 2).s);
}

/* --- metrics --- */

static void shows_metrics(void **state) {
    _cleanup_(rv_metrics_free) struct rv_metrics m;
    _cleanup_(rv_buf_free) struct rv_buf out = {0};

    (void)state;
    rv_metrics_init(&m);
    rv_metrics_counter(&m, "master/b", "What b is", 3);
    rv_metrics_of(&m, "master/frameworks/x/F2", "master/framework", "framework", "F2", "up", false,
                  1);
    rv_metrics_gauge(&m, "master/a", NULL, 0.25);
    rv_metrics_of(&m, "master/frameworks/y/F1", "master/framework", "framework", "F\"1", "up",
                  false, 0);
    rv_metrics_of(&m, "master/frameworks/y/F1", "master/framework", "framework", "F1", "roles/r/no",
                  false, 1);
    rv_metrics_of_two(&m, "master/framework/no", "role", "r");
    rv_metrics_sort(&m);
    rv_metrics_json(&m, &out);
    assert_string_equal(out.data, "{\"master/a\":0.25,\"master/b\":3.0,"
                                  "\"master/frameworks/x/F2/up\":1.0,"
                                  "\"master/frameworks/y/F1/roles/r/no\":1.0,"
                                  "\"master/frameworks/y/F1/up\":0.0}");
    rv_buf_clear(&out);
    rv_metrics_prometheus(&m, &out);
    assert_string_equal(out.data, "# TYPE reeve_master_a gauge\nreeve_master_a 0.25\n"
                                  "# HELP reeve_master_b What b is\n"
                                  "# TYPE reeve_master_b counter\nreeve_master_b 3\n"
                                  "# TYPE reeve_master_framework_no gauge\n"
                                  "reeve_master_framework_no{framework=\"F1\",role=\"r\"} 1\n"
                                  "# TYPE reeve_master_framework_up gauge\n"
                                  "reeve_master_framework_up{framework=\"F2\"} 1\n"
                                  "reeve_master_framework_up{framework=\"F\\\"1\"} 0\n");
    assert_string_equal(rv_metrics_encoded(&m, "a b/\xc3\xa9.c"), "a%20b%2F%C3%A9.c");
}

static double metric(const struct rv_metrics *m, const char *name) {
    for (size_t i = 0; i < m->list.n; i++)
        if (rv_streq(m->list.v[i].name, name))
            return m->list.v[i].value;
    return -1;
}

static void measures_times(void **state) {
    _cleanup_(rv_metrics_free) struct rv_metrics m;
    static struct rv_timing t;

    (void)state;
    rv_metrics_init(&m);
    rv_timing_measure(&t, "a/run_ms", NULL, &m);
    assert_int_equal(m.list.n, 0); /* not known yet */
    for (int i = 100; i >= 0; i--)
        rv_timing_add(&t, i);
    rv_timing_measure(&t, "a/run_ms", NULL, &m);
    assert_true(metric(&m, "a/run_ms") == 0);
    assert_true(metric(&m, "a/run_ms/count") == 101);
    assert_true(metric(&m, "a/run_ms/min") == 0);
    assert_true(metric(&m, "a/run_ms/max") == 100);
    assert_true(metric(&m, "a/run_ms/p50") == 50);
    assert_true(metric(&m, "a/run_ms/p95") == 95);
    assert_float_equal(metric(&m, "a/run_ms/p999"), 99.9, 1e-9);
    /* Only the last thousand count. */
    for (int i = 0; i < RV_TIMING_MAX; i++)
        rv_timing_add(&t, 7);
    rv_timing_measure(&t, "b/run_ms", NULL, &m);
    assert_true(metric(&m, "b/run_ms/count") == RV_TIMING_MAX);
    assert_true(metric(&m, "b/run_ms/min") == 7);
    assert_true(metric(&m, "b/run_ms/max") == 7);
    rv_timing_clear(&t);
    rv_timing_measure(&t, "c/run_ms", NULL, &m);
    assert_true(metric(&m, "c/run_ms") == -1);
}

/* --- lists written by hand --- */

static void write_roles(struct rv_sink *sink, enum rv_encoding encoding, size_t n) {
    static char name[] = "role";
    _cleanup_(rv_arena_free) struct rv_arena scratch;
    struct rv_lister l;

    rv_arena_init(&scratch);
    rv_lister_begin(&l, sink, encoding, &scratch, &reeve__v1__master__response__descriptor);
    rv_lister_enum(&l, "type", REEVE__V1__MASTER__RESPONSE__TYPE__GET_ROLES);
    rv_lister_enter(&l, "get_roles");
    rv_lister_list(&l, "roles");
    for (size_t i = 0; i < n; i++) {
        Reeve__V1__Role *role = RV_WIRE_MAKE(&scratch, Role, role);
        role->name = name;
        role->weight = (double)i;
        rv_lister_item(&l, &role->base);
    }
    rv_lister_list_end(&l);
    rv_lister_leave(&l);
    rv_lister_end(&l);
}

static void check_roles(struct rv_str bytes, enum rv_encoding encoding, size_t n) {
    struct rv_wire_limits limits = {.max_body = SIZE_MAX, .max_depth = 10, .max_fields = SIZE_MAX};
    _cleanup_(rv_arena_free) struct rv_arena arena;
    ProtobufCMessage *tree;
    struct rv_error err;

    rv_arena_init(&arena);
    assert_int_equal(rv_wire_decode(&reeve__v1__master__response__descriptor, encoding, bytes,
                                    &limits, &arena, &tree, &err),
                     0);
    const Reeve__V1__Master__Response *m = (const Reeve__V1__Master__Response *)tree;
    assert_int_equal(m->type, REEVE__V1__MASTER__RESPONSE__TYPE__GET_ROLES);
    assert_non_null(m->get_roles);
    assert_int_equal(m->get_roles->n_roles, n);
    for (size_t i = 0; i < n; i++)
        assert_true(m->get_roles->roles[i]->weight == (double)i);
}

/* Short messages have short lengths, long ones padded ones; through a file they are patched. */
static void lists_decode_again(void **state) {
    static const size_t sizes[] = {0, 1, 3, 100, 5000, 100000};

    (void)state;
    for (size_t i = 0; i < RV_COUNT(sizes); i++) {
        for (int e = RV_ENC_JSON; e <= RV_ENC_PROTOBUF; e++) {
            struct rv_sink sink = {.fd = -1};
            write_roles(&sink, (enum rv_encoding)e, sizes[i]);
            check_roles(rv_buf_str(&sink.buf), (enum rv_encoding)e, sizes[i]);
            rv_buf_free(&sink.buf);
        }
    }
    struct rv_sink sink = {.fd = -1};
    write_roles(&sink, RV_ENC_JSON, 0);
    assert_true(
        rv_str_eq(rv_buf_str(&sink.buf), RV_STR("{\"type\":\"GET_ROLES\",\"get_roles\":{}}")));
    rv_buf_free(&sink.buf);
}

static void lists_decode_from_a_file(void **state) {
    FILE *file = tmpfile();
    struct rv_sink sink = {.fd = fileno(file)};
    const size_t n = 100000;

    (void)state;
    write_roles(&sink, RV_ENC_PROTOBUF, n);
    assert_true(sink.flushed > 0);
    assert_false(sink.failed);
    size_t size = (size_t)rv_sink_size(&sink);
    char *bytes = rv_malloc(size);
    assert_int_equal(pread(sink.fd, bytes, sink.flushed, 0), (ssize_t)sink.flushed);
    memcpy(bytes + sink.flushed, sink.buf.data, sink.buf.n);
    check_roles(rv_strn(bytes, size), RV_ENC_PROTOBUF, n);
    free(bytes);
    rv_buf_free(&sink.buf);
    fclose(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_what_is_attached, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_folders, setup, teardown),
        cmocka_unit_test_setup_teardown(forgets_what_is_detached, setup, teardown),
        cmocka_unit_test(writes_values),
        cmocka_unit_test(writes_resources),
        cmocka_unit_test(shows_a_task),
        cmocka_unit_test(walks_damaged_messages),
        cmocka_unit_test(shows_metrics),
        cmocka_unit_test(measures_times),
        cmocka_unit_test(lists_decode_again),
        cmocka_unit_test(lists_decode_from_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
