/* Calls to the agent, see call.h. Holds: a connection that the agent has closed while it was left
 * costs one more try, once the call meets it; calls have ids, so twice does no harm. */
#include "executor/call.h"

enum { MAX_ANSWER = 1024 * 1024 };

static void on_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    struct rv_call *c = ctx;

    (void)headers;
    (void)n;
    c->status = status;
}

static void on_body(void *ctx, struct rv_str bytes) {
    struct rv_call *c = ctx;

    if (!(c->discards && c->status == 200) && c->body.n + bytes.n <= MAX_ANSWER)
        rv_buf_append(&c->body, bytes.s, bytes.n);
}

static void on_done(void *ctx, bool keep_alive) {
    struct rv_call *c = ctx;

    c->answered = true;
    c->keep_alive = keep_alive;
}

void rv_call_init(struct rv_call *c) {
    *c = (struct rv_call){.http.fd = -1};
}

void rv_call_free(struct rv_call *c) {
    rv_http_close(&c->http);
    rv_buf_free(&c->body);
    rv_buf_free(&c->sent);
    c->busy = false;
}

static bool begin(struct rv_call *c, const struct rv_endpoint *to) {
    static const struct rv_http1_handler handler = {on_head, on_body, on_done};

    c->answered = false;
    c->status = 0;
    rv_buf_clear(&c->body);
    c->busy = c->http.fd >= 0 || rv_http_open(&c->http, &to->address, &handler, c, NULL) == 0;
    if (c->busy)
        rv_http1_request(&c->http.out, "POST", c->path, to->host, to->headers,
                         rv_buf_str(&c->sent));
    return c->busy;
}

bool rv_call_post(struct rv_call *c, const struct rv_endpoint *to, const char *path,
                  struct rv_str body, bool discards) {
    if (c->busy)
        rv_http_close(&c->http);
    c->retried = c->http.fd < 0;
    c->discards = discards;
    c->path = path;
    rv_buf_clear(&c->sent);
    rv_buf_append(&c->sent, body.s, body.n);
    return begin(c, to);
}

enum rv_call_result rv_call_io(struct rv_call *c, const struct rv_endpoint *to, short revents) {
    int rc = rv_http_io(&c->http, revents, NULL);

    if (!c->busy)
        return RV_CALL_MORE; /* the agent has closed what was left */
    if (c->answered) {
        if (!c->keep_alive)
            rv_http_close(&c->http);
        c->busy = false;
        return RV_CALL_DONE;
    }
    if (!rc)
        return RV_CALL_MORE;
    if (!c->retried && !c->status) {
        c->retried = true;
        if (begin(c, to))
            return RV_CALL_MORE;
    }
    c->busy = false;
    return RV_CALL_LOST;
}
