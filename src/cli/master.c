/* Who leads, where ZooKeeper is to be asked: once, before the verb does anything. */
#include <stdlib.h>

#include "cli/common.h"
#include "io/detector.h"
#include "io/first_line.h"
#include "wire/master_address.h"

#define DEFAULT_PORT 5050
#define SESSION_MS 10000
#define PATIENCE_MS 15000

struct search {
    struct rv_cli *cli;
    uv_timer_t patience;
    bool found, over;
};

static void on_detected(void *ctx, const struct rv_address *leader) {
    struct search *s = ctx;

    if (!leader)
        return;
    bool v6 = strchr(leader->host, ':') != NULL;
    s->cli->master = rv_arena_printf(&s->cli->arena, v6 ? "[%s]:%u" : "%s:%u", leader->host,
                                     (unsigned)leader->port);
    s->found = true;
}

static void on_impatience(uv_timer_t *timer) {
    ((struct search *)timer->data)->over = true;
}

static int ask_zookeeper(struct rv_cli *cli, const char *url, struct rv_error *err) {
    const struct rv_detector_config config = {.masters = url,
                                              .default_port = DEFAULT_PORT,
                                              .session_timeout_ms = SESSION_MS,
                                              .parse = rv_wire_master_address};
    struct search s = {.cli = cli};
    struct rv_detector *detector;
    uv_loop_t loop;

    uv_loop_init(&loop);
    int r = rv_detector_new(&loop, &config, on_detected, &s, &detector, err);
    if (!r) {
        uv_timer_init(&loop, &s.patience);
        s.patience.data = &s;
        uv_timer_start(&s.patience, on_impatience, PATIENCE_MS, 0);
        while (!s.found && !s.over)
            uv_run(&loop, UV_RUN_ONCE);
        rv_detector_free(detector);
        uv_close((uv_handle_t *)&s.patience, NULL);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    if (!r && !s.found) {
        _cleanup_free_ char *shown = rv_zk_url_hide(url);
        r = rv_error_set(err, RV_ERR_TIMEOUT, "%s: no master is known to lead", shown);
    }
    return r;
}

int rv_cli_find_master(struct rv_cli *cli, struct rv_error *err) {
    if (rv_starts_with(cli->master, "file://")) {
        char *line;
        int r = rv_first_line(cli->master + strlen("file://"), &line, err);
        if (r)
            return r;
        cli->master = rv_arena_strdup(&cli->arena, line);
        free(line);
    }
    return rv_zk_url_is(cli->master) ? ask_zookeeper(cli, cli->master, err) : 0;
}
