/*
 * Agents that wait for their turn. When a leader begins all of them come back at once, each with
 * all that it runs; to take them in as they come would keep everybody else from being served for
 * seconds. So registrations are taken in the order in which they came, for TURN_MS in each
 * iteration of the loop, and everything else, timers too, in between. Those that come before the
 * registry is read wait here, too: refused, all of them would come back a while later.
 *
 * What waits is bounded: above it further agents are refused, and come back after a pause of their
 * own. One whose agent gives up is forgotten in O(1).
 */
#include "daemon/master_daemon.h"

#define TURN_MS 10
#define MAX_BODIES 32 /* of the largest size: what may wait */
/* A smaller call costs next to nothing: a registration without tasks, an update. */
#define LARGE ((size_t)4 << 10)

static struct rv_str key_of(struct rv_http_request *const *req) {
    return rv_strn(req, sizeof *req);
}

static void forget(struct rv_master_daemon *d, struct rv_http_request *req) {
    rv_map_remove(&d->waiting, key_of(&req));
    d->waiting_bytes -= rv_http_body(req).n;
}

/* Its agent has turned away, and asks again: what it asked first must not be done as well. */
static void on_abandoned(void *data, struct rv_http_request *req) {
    forget(data, req);
    rv_http_reply_text(req, 503, "%s\n", "Abandoned.");
}

void rv_master_wait(struct rv_master_daemon *d, struct rv_http_request *req) {
    if (d->waiting_bytes + rv_http_body(req).n > MAX_BODIES * d->shell.limits.max_body) {
        d->turned_away++;
        rv_http_reply_text(req, 503, "Too many agents register at once.\n");
        return;
    }
    d->waiting_bytes += rv_http_body(req).n;
    rv_map_put(&d->waiting, key_of(&req), req);
    rv_http_set_data(req, d, on_abandoned);
    if (rv_master_leads(d))
        rv_master_waiting_resume(d);
}

bool rv_master_has_turn(struct rv_master_daemon *d, struct rv_http_request *req) {
    if (d->serving_waiting || rv_http_body(req).n < LARGE)
        return true;
    if (!d->turn_end_ms)
        d->turn_end_ms = rv_now_ms() + TURN_MS;
    return rv_map_count(&d->waiting) == 0 && rv_now_ms() < d->turn_end_ms;
}

static void on_turn(uv_idle_t *handle) {
    struct rv_master_daemon *d = handle->data;
    int64_t end_ms = rv_now_ms() + TURN_MS;
    size_t it = 0;
    void *req;

    d->serving_waiting = true;
    while (rv_master_leads(d) && rv_now_ms() < end_ms &&
           rv_map_next(&d->waiting, &it, NULL, &req)) {
        forget(d, req);
        rv_http_set_data(req, NULL, NULL);
        rv_master_daemon_handle(d, req);
    }
    d->serving_waiting = false;
    if (rv_map_count(&d->waiting) == 0 || !rv_master_leads(d))
        uv_idle_stop(handle);
}

void rv_master_waiting_resume(struct rv_master_daemon *d) {
    if (rv_map_count(&d->waiting))
        uv_idle_start(d->turn, on_turn);
}

void rv_master_waiting_refuse(struct rv_master_daemon *d, const char *why) {
    void *req;

    for (size_t it = 0; rv_map_next(&d->waiting, &it, NULL, &req);)
        rv_http_reply_text(req, 503, "%s\n", why);
    rv_map_free(&d->waiting);
    d->waiting_bytes = 0;
}
