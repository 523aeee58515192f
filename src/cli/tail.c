/*
 * Following a file, see tail.h. At most one read is under way; between reads that found nothing
 * new the pause grows from PAUSE_MIN_MS to PAUSE_MAX_MS. Costs: a request a look.
 */
#include "cli/tail.h"

#include <stdlib.h>

#include "cli/common.h"
#include "io/handle.h"

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 1000
#define PIECE ((uint64_t)1 << 20)
#define MAX_FAILURES 8 /* in a row, once the end is near */

struct rv_cli_tail {
    struct rv_cli_tail_config config;
    char *folder, *name;
    uint64_t offset;
    uint64_t pause_ms;
    uv_timer_t *timer;
    struct rv_http_call *call; /* NULL: pausing */
    unsigned failures;
    bool rotated;    /* reading the rest in NAME.1 */
    bool finishing;  /* no more will be written */
    bool call_final; /* the read under way began after that */
    bool ended;
};

char *rv_cli_sandbox(const char *framework_id, const char *executor_id) {
    return rv_asprintf("/frameworks/%s/executors/%s/runs/latest", framework_id, executor_id);
}

static void look(struct rv_cli_tail *t);

static void on_timer(uv_timer_t *timer) {
    look(timer->data);
}

static void pause_a_while(struct rv_cli_tail *t) {
    uv_timer_start(t->timer, on_timer, t->pause_ms, 0);
    t->pause_ms = RV_MIN(t->pause_ms * 2, (uint64_t)PAUSE_MAX_MS);
}

static void end(struct rv_cli_tail *t, const struct rv_error *err) {
    t->ended = true;
    t->config.on_end(t->config.ctx, err);
}

/* Nothing new there for now. */
static void at_end(struct rv_cli_tail *t) {
    if (t->finishing && t->call_final)
        end(t, NULL);
    else if (t->finishing)
        look(t);
    else
        pause_a_while(t);
}

static void failed(struct rv_cli_tail *t, const struct rv_error *err) {
    if (t->finishing && ++t->failures >= MAX_FAILURES)
        end(t, err);
    else
        pause_a_while(t);
}

static void got(struct rv_cli_tail *t, const Reeve__V1__Agent__Response__ReadFile *piece) {
    size_t n = piece->data.len;

    t->failures = 0;
    if (piece->size < t->offset) {
        /* Cut. What we miss is at the end of the copy, unless that is another one already. */
        if (t->rotated)
            t->offset = 0;
        t->rotated = !t->rotated;
        look(t);
        return;
    }
    if (n) {
        t->pause_ms = PAUSE_MIN_MS;
        t->offset += n;
        t->config.on_data(t->config.ctx, rv_strn(piece->data.data, n));
    }
    if (n && t->offset < piece->size)
        look(t);
    else if (t->rotated) {
        t->rotated = false;
        t->offset = 0;
        look(t);
    } else
        at_end(t);
}

static void on_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                    size_t n, struct rv_str body, const struct rv_error *err) {
    struct rv_cli_tail *t = ctx;
    struct rv_arena arena;
    ProtobufCMessage *m;
    struct rv_error wrong;

    (void)headers;
    (void)n;
    t->call = NULL;
    if (result) {
        failed(t, err);
        return;
    }
    if (status == 404 && t->rotated) { /* only the newest is kept */
        t->rotated = false;
        t->offset = 0;
        look(t);
        return;
    }
    if (status == 404) { /* not there yet, or nothing was ever written */
        at_end(t);
        return;
    }
    rv_arena_init(&arena);
    if (status != 200)
        result = rv_error_set(&wrong, RV_ERR_INVALID, "reading %s/%s: %d %.*s", t->folder, t->name,
                              status, (int)RV_MIN(body.n, 200u), body.s ? body.s : "");
    else
        result = rv_wire_decode(&reeve__v1__agent__response__descriptor, RV_ENC_PROTOBUF, body,
                                &rv_cli_limits, &arena, &m, &wrong);
    if (!result && !((Reeve__V1__Agent__Response *)m)->read_file)
        result = rv_error_set(&wrong, RV_ERR_INVALID, "the agent's answer has no read_file");
    if (result)
        failed(t, &wrong);
    else
        got(t, ((Reeve__V1__Agent__Response *)m)->read_file);
    rv_arena_free(&arena);
}

static void look(struct rv_cli_tail *t) {
    static const struct rv_http_call_handler handler = {.on_done = on_done};
    Reeve__V1__Agent__Call call;
    Reeve__V1__Agent__Call__ReadFile read = REEVE__V1__AGENT__CALL__READ_FILE__INIT;
    _cleanup_free_ char *path = rv_asprintf("%s/%s%s", t->folder, t->name, t->rotated ? ".1" : "");
    _cleanup_(rv_buf_free) struct rv_buf body = {0};

    reeve__v1__agent__call__init(&call);
    call.has_type = true;
    call.type = REEVE__V1__AGENT__CALL__TYPE__READ_FILE;
    call.read_file = &read;
    read.path = path;
    read.offset = t->offset;
    read.has_length = true;
    read.length = PIECE;
    rv_wire_encode(&call.base, RV_ENC_PROTOBUF, &body);
    t->call_final = t->finishing;
    t->call = rv_http_client_call(
        t->config.agent, "POST", "/api/v1",
        "Content-Type: application/x-protobuf\r\nAccept: application/x-protobuf\r\n",
        rv_buf_str(&body), false, &handler, t);
}

struct rv_cli_tail *rv_cli_tail_new(const struct rv_cli_tail_config *config) {
    struct rv_cli_tail *t = rv_calloc(1, sizeof *t);

    t->config = *config;
    t->folder = rv_strdup(config->folder);
    t->name = rv_strdup(config->name);
    t->offset = config->offset;
    t->pause_ms = PAUSE_MIN_MS;
    t->timer = rv_calloc(1, sizeof *t->timer);
    uv_timer_init(config->loop, t->timer);
    t->timer->data = t;
    look(t);
    return t;
}

void rv_cli_tail_finish(struct rv_cli_tail *t) {
    if (t->finishing)
        return;
    t->finishing = true;
    t->pause_ms = PAUSE_MIN_MS;
    if (!t->call) {
        uv_timer_stop(t->timer);
        look(t);
    }
}

struct rv_cli_tail *rv_cli_tail_free(struct rv_cli_tail *t) {
    if (!t)
        return NULL;
    if (t->call)
        rv_http_call_cancel(t->call);
    rv_handle_close(t->timer);
    free(t->folder);
    free(t->name);
    free(t);
    return NULL;
}
