/* Large answers and events that a forked child writes, over a real server. */
#include "http_world.h"

#include <sys/wait.h>

#include "daemon/snapshot.h"

struct teller {
    struct world *w;
    struct rv_shell shell;
    struct rv_snapshots *snapshots;
    uint64_t stream, closed;
};

static void on_closed(void *ctx, uint64_t stream) {
    struct teller *t = ctx;

    t->closed = stream;
    rv_snapshots_stream_closed(t->snapshots, stream);
}

static void tell(void *ctx, struct rv_http_request *req) {
    struct teller *t = ctx;
    uint64_t number = rv_shell_park(&t->shell, req);

    t->stream = rv_shell_number(&t->shell);
    rv_shell_open_stream(&t->shell, number, t->stream, RV_ENC_JSON, NULL);
}

static void setup_teller(struct teller *t, struct raw *r) {
    static const struct rv_wire_limits limits;
    struct rv_http_config config = {0};
    struct rv_error err;

    *t = (struct teller){.w = world_new(NULL)};
    rv_shell_init(&t->shell, &t->w->loop, &limits, on_closed, t);
    rv_http_server_stop(t->w->server);
    assert_int_equal(rv_http_server_start(&t->w->loop, &config, tell, t, &t->w->server, &err), 0);
    t->shell.server = t->w->server;
    t->snapshots = rv_snapshots_new(&t->shell);
    raw_open(t->w, r);
    raw_puts(t->w, r, GET("/"));
    UNTIL(t->w, raw_has(r, "\r\n\r\n"));
    rv_buf_clear(&r->in);
}

static void free_teller(struct teller *t, struct raw *r) {
    rv_shell_close(&t->shell);
    rv_snapshots_free(t->snapshots);
    raw_close(r, false);
    world_free(t->w);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

/* --- what children write --- */

static void write_text(const void *what, struct rv_sink *sink) {
    rv_buf_puts(&sink->buf, what);
}

static void write_late(const void *what, struct rv_sink *sink) {
    (void)what;
    (void)sink;
    pause();
}

static void write_badly(const void *what, struct rv_sink *sink) {
    rv_buf_puts(&sink->buf, what);
    sink->failed = true;
}

static void test_event_goes_before_what_is_sent_meanwhile(void **state) {
    static const char text[] = "all of it";
    struct teller t;
    struct raw r;

    (void)state;
    setup_teller(&t, &r);
    rv_snapshots_send(t.snapshots, t.stream, write_text, text, sizeof text);
    rv_shell_send(&t.shell, t.stream, RV_STR("meanwhile"));
    UNTIL(t.w, raw_has(&r, "meanwhile\r\n"));
    assert_string_equal(r.in.data, "b\r\n9\nall of it\r\nb\r\n9\nmeanwhile\r\n");
    free_teller(&t, &r);
}

static void test_child_ends_with_its_stream(void **state) {
    struct teller t;
    struct raw r;

    (void)state;
    setup_teller(&t, &r);
    rv_snapshots_send(t.snapshots, t.stream, write_late, "", 1);
    raw_close(&r, true);
    UNTIL(t.w, t.closed == t.stream);
    UNTIL(t.w, waitpid(-1, NULL, WNOHANG) == -1);
    r.fd = -1;
    free_teller(&t, &r);
}

static void test_stream_ends_if_the_event_cannot_be_made(void **state) {
    static const char text[] = "half";
    struct teller t;
    struct raw r;

    (void)state;
    setup_teller(&t, &r);
    rv_snapshots_send(t.snapshots, t.stream, write_badly, text, sizeof text);
    rv_shell_send(&t.shell, t.stream, RV_STR("meanwhile"));
    UNTIL(t.w, t.closed == t.stream);
    UNTIL(t.w, raw_has(&r, "0\r\n\r\n"));
    assert_string_equal(r.in.data, "0\r\n\r\n");
    free_teller(&t, &r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event_goes_before_what_is_sent_meanwhile),
        cmocka_unit_test(test_child_ends_with_its_stream),
        cmocka_unit_test(test_stream_ends_if_the_event_cannot_be_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
