/*
 * One of three sources is at work: a list, an election that is looked at, or a file, whose text
 * names one of the former two. What a source says goes through tell(), which passes on changes.
 */
#include "io/detector.h"

#include <stdlib.h>

#include "base/log.h"
#include "io/first_line.h"
#include "io/handle.h"

#define MODULE "detector"
#define FILE_POLL_MS 1000

static const char file_scheme[] = "file://";

struct rv_detector {
    uv_loop_t *loop;
    struct rv_detector_config config;
    rv_detected detected;
    void *ctx;
    struct rv_address leader; /* that was told of; host NULL: none */
    struct rv_addresses list;
    size_t next; /* of the list */
    struct rv_election *election;
    char *path, *text;    /* of a file, and what it said */
    uv_fs_poll_t *poll;   /* of the file */
    uv_timer_t *soon;     /* a list's address is told of from the loop */
    struct rv_address to; /* which */
};

static void tell(struct rv_detector *d, const struct rv_address *leader) {
    struct rv_address old = d->leader;

    if (leader ? rv_streq(old.host, leader->host) && old.port == leader->port : !old.host)
        return;
    d->leader = leader ? (struct rv_address){rv_strdup(leader->host), leader->port}
                       : (struct rv_address){NULL, 0};
    rv_address_free(&old);
    d->detected(d->ctx, leader ? &d->leader : NULL);
}

/* --- a list --- */

static void on_soon(uv_timer_t *timer) {
    struct rv_detector *d = timer->data;
    struct rv_address to = d->to;

    d->to = (struct rv_address){NULL, 0};
    tell(d, &to);
    rv_address_free(&to);
}

static void tell_soon(struct rv_detector *d, const struct rv_address *a) {
    rv_address_free(&d->to);
    d->to = (struct rv_address){rv_strdup(a->host), a->port};
    uv_timer_start(d->soon, on_soon, 0, 0);
}

void rv_detector_wrong(struct rv_detector *d, const struct rv_address *leader) {
    size_t n = d->list.list.n;

    if (n)
        tell_soon(d, leader ? leader : &d->list.list.v[d->next++ % n]);
}

bool rv_detector_guesses(const struct rv_detector *d) {
    return d->list.list.n > 0;
}

/* --- ZooKeeper --- */

static void on_leader(void *ctx, struct rv_str info) {
    struct rv_detector *d = ctx;
    struct rv_address address;
    struct rv_error err;

    if (!info.s) {
        tell(d, NULL);
    } else if (d->config.parse(info, &address, &err)) {
        RV_WARN(MODULE, "the leading candidate cannot be understood: %s", err.message);
        tell(d, NULL);
    } else {
        tell(d, &address);
        rv_address_free(&address);
    }
}

static int use_zookeeper(struct rv_detector *d, const char *text, struct rv_error *err) {
    static const struct rv_election_handler handler = {.on_leader = on_leader};
    struct rv_zk_url url;
    int r = rv_zk_url_parse(text, &url, err);

    if (r)
        return r;
    r = rv_election_begin(d->loop, &url, d->config.session_timeout_ms, &handler, d, &d->election,
                          err);
    rv_zk_url_free(&url);
    return r;
}

/* --- what was given --- */

static void drop_source(struct rv_detector *d) {
    d->election = rv_election_free(d->election);
    rv_addresses_free(&d->list);
    rv_address_free(&d->to);
    uv_timer_stop(d->soon);
    d->next = 0;
}

/* Uses what the text names, instead of what was used before. */
static int use(struct rv_detector *d, const char *text, struct rv_error *err) {
    struct rv_addresses list = {.list = {.v = NULL}};
    const char *problem = NULL;

    if (rv_zk_url_is(text)) {
        struct rv_election *before = d->election;
        d->election = NULL;
        int r = use_zookeeper(d, text, err);
        struct rv_election *now = d->election;
        d->election = before;
        if (r)
            return r;
        drop_source(d);
        d->election = now;
        return 0;
    }
    problem = rv_addresses_parse(text, strlen(text), d->config.default_port, &list);
    if (problem) {
        rv_addresses_free(&list);
        return rv_error_set(err, RV_ERR_INVALID, "\"%s\": %s; it is host:port, or zk://...", text,
                            problem);
    }
    drop_source(d);
    d->list = list;
    tell_soon(d, &d->list.list.v[d->next++]);
    return 0;
}

/* What cannot be used changes nothing: it may be half written. */
static int use_file(struct rv_detector *d, struct rv_error *err) {
    char *text;
    int r = rv_first_line(d->path, &text, err);

    if (r)
        return r;
    if (rv_streq(text, d->text)) {
        free(text);
        return 0;
    }
    r = use(d, text, err);
    if (r) {
        rv_error_prefix(err, "%s", d->path);
        free(text);
        return r;
    }
    free(d->text);
    d->text = text;
    return 0;
}

static void on_file(uv_fs_poll_t *poll, int status, const uv_stat_t *before, const uv_stat_t *now) {
    struct rv_detector *d = poll->data;
    struct rv_error err;
    (void)status;
    (void)before;
    (void)now;

    if (use_file(d, &err))
        RV_WARN(MODULE, "%s", err.message);
}

int rv_detector_new(uv_loop_t *loop, const struct rv_detector_config *config, rv_detected detected,
                    void *ctx, struct rv_detector **out, struct rv_error *err) {
    struct rv_detector *d = rv_calloc(1, sizeof *d);
    const char *masters = config->masters ? config->masters : "";
    int r;

    *d = (struct rv_detector){.loop = loop, .config = *config, .detected = detected, .ctx = ctx};
    d->config.masters = NULL;
    d->soon = rv_calloc(1, sizeof *d->soon);
    uv_timer_init(loop, d->soon);
    d->soon->data = d;
    if (rv_starts_with(masters, file_scheme)) {
        d->path = rv_strdup(masters + strlen(file_scheme));
        d->poll = rv_calloc(1, sizeof *d->poll);
        uv_fs_poll_init(loop, d->poll);
        d->poll->data = d;
        r = use_file(d, err);
        if (!r && uv_fs_poll_start(d->poll, on_file, d->path, FILE_POLL_MS))
            r = rv_error_set(err, RV_ERR_IO, "%s: cannot be watched", d->path);
    } else {
        r = use(d, masters, err);
    }
    if (r) {
        rv_detector_free(d);
        return r;
    }
    *out = d;
    return 0;
}

struct rv_detector *rv_detector_free(struct rv_detector *d) {
    if (!d)
        return NULL;
    drop_source(d);
    rv_handle_close(d->soon);
    rv_handle_close(d->poll);
    rv_address_free(&d->leader);
    free(d->path);
    free(d->text);
    free(d);
    return NULL;
}
