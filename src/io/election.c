/* The shell of an election: see election.h. It is freed when its timer is closed. */
#include "io/election.h"

#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "io/zk_lib.h"

struct shell {
    struct rv_election *election;
    struct rv_zk_url url;
    int64_t timeout_ms;
    uv_timer_t timer;
};

static int64_t shell_now_ms(void *ctx) {
    struct timespec t;
    (void)ctx;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct rv_zk *shell_connect(void *ctx, rv_zk_on_state on_state, void *state_ctx) {
    struct shell *s = ctx;
    struct rv_error err;
    struct rv_zk *zk;

    if (!rv_zk_new(s->timer.loop, &s->url, s->timeout_ms, on_state, state_ctx, &zk, &err))
        return zk;
    RV_ERROR("election", "%s", err.message);
    return NULL;
}

static void on_timer(uv_timer_t *timer) {
    struct shell *s = timer->data;

    rv_election_tick(s->election);
}

static void shell_wake(void *ctx, int64_t at_ms) {
    struct shell *s = ctx;

    if (at_ms == INT64_MAX) {
        uv_timer_stop(&s->timer);
        return;
    }
    uv_update_time(s->timer.loop);
    uv_timer_start(&s->timer, on_timer, (uint64_t)RV_MAX(at_ms - shell_now_ms(s), INT64_C(0)), 0);
}

static void on_closed(uv_handle_t *h) {
    struct shell *s = h->data;

    rv_zk_url_free(&s->url);
    free(s);
}

static void shell_release(void *ctx) {
    struct shell *s = ctx;

    uv_close((uv_handle_t *)&s->timer, on_closed);
}

int rv_election_begin(uv_loop_t *loop, const struct rv_zk_url *url, int64_t session_timeout_ms,
                      const struct rv_election_handler *handler, void *ctx,
                      struct rv_election **out, struct rv_error *err) {
    static const struct rv_election_shell ops = {shell_now_ms, shell_connect, shell_wake,
                                                 shell_release};
    const struct rv_zoo *zoo;
    int r = rv_zoo_load(&zoo, err);

    if (r)
        return r;
    struct shell *s = rv_calloc(1, sizeof *s);
    rv_zk_url_copy(&s->url, url);
    s->timeout_ms = session_timeout_ms;
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    s->election = *out = rv_election_new(&ops, s, url->path, handler, ctx);
    return 0;
}
