/*
 * The candidates are listed when the list changes; the lowest one's data is read when it is
 * another. A candidate of ours is known by its data: so one whose creation was answered by a broken
 * connection is found again.
 *
 * A candidacy outlives connections, not the session; a new session begins with a new node. What was
 * asked for an older candidacy or session and is answered late changes nothing (`stale`).
 */
#include "io/election.h"

#include <stdlib.h>
#include <time.h>

#include "base/log.h"

#define MODULE "election"
#define SEQUENCE_DIGITS 10
#define AGAIN_MS 1000      /* after something was refused or is not there yet */
#define PROOFS_A_TIMEOUT 6 /* how often ZooKeeper is asked whether our node is there */
#define HOLDS_THIRDS 2     /* of the timeout, for which an answer lets us lead */

struct rv_election {
    uv_loop_t *loop;
    struct rv_zk_url url;
    int64_t timeout_ms;
    const struct rv_election_handler *handler;
    void *ctx;
    struct rv_zk *zk;
    uint64_t session; /* counts them, and what was asked before goes stale with each */
    bool listing, list_again, watching;
    char *leading;        /* name of the node that was told of; NULL: none */
    struct rv_blob *info; /* what we stand with; NULL: we do not */
    char *node;           /* our candidate's path; NULL: not known */
    bool creating;
    bool elected;
    bool proving;
    int64_t asked_ms, holds_until_ms; /* CLOCK_BOOTTIME */
    uv_timer_t *again;                /* begin, list or create again */
    uv_timer_t *proof;                /* the next one */
    uv_timer_t *lease;                /* when it has run out */
    uv_timer_t *silence;              /* without a connection, whoever led is not known to lead */
    unsigned handles;
};

/* An operation under way. */
struct asked {
    struct rv_election *e;
    uint64_t session;
    char *node;           /* GET: the node */
    struct rv_blob *info; /* CREATE: whose candidate */
    int64_t at_ms;        /* EXISTS: when */
    bool watches;         /* CHILDREN: the list is watched from then on */
};

/* Goes on while the machine sleeps. */
static int64_t now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct asked *asked_new(struct rv_election *e) {
    struct asked *a = rv_calloc(1, sizeof *a);

    a->e = e;
    a->session = e->session;
    return a;
}

static void asked_free(struct asked *a) {
    free(a->node);
    rv_blob_unref(a->info);
    free(a);
}

static bool stale(const struct asked *a, const struct rv_zk_result *r) {
    return r->code == RV_ZK_CLOSED || r->code == RV_ZK_GONE || a->session != a->e->session;
}

static void start_timer(uv_timer_t *timer, uv_timer_cb cb, int64_t ms) {
    uv_update_time(timer->loop);
    uv_timer_start(timer, cb, (uint64_t)RV_MAX(ms, INT64_C(0)), 0);
}

static void go_on(struct rv_election *e);
static void list(struct rv_election *e);

static void on_again(uv_timer_t *timer) {
    struct rv_election *e = timer->data;

    go_on(e);
    list(e);
}

/* Something is not as it should be: said, and tried again in a while. */
static void try_again(struct rv_election *e, const char *what, int code) {
    if (what)
        RV_WARN(MODULE, "zk://%s%s: %s: %s%s", rv_zk_servers(e->zk), e->url.path, what,
                rv_zk_text(code),
                code == RV_ZK_NO_AUTH ? " (user and password of zk:// do not fit)" : "");
    start_timer(e->again, on_again, AGAIN_MS);
}

/* --- leading --- */

static void forget_candidacy(struct rv_election *e) {
    rv_blob_unref(e->info);
    e->info = NULL;
    free(TAKE_PTR(e->node));
    e->elected = false;
    uv_timer_stop(e->proof);
    uv_timer_stop(e->lease);
}

static void on_removed(void *ctx, const struct rv_zk_result *r);

static void remove_node(struct rv_election *e, const char *path) {
    struct asked *a = asked_new(e);

    a->node = rv_strdup(path);
    rv_zk_remove(e->zk, path, on_removed, a);
}

/* One that stayed would lead with nobody behind it. */
static void on_removed(void *ctx, const struct rv_zk_result *r) {
    struct asked *a = ctx;

    if (!stale(a, r) && r->code == RV_ZK_LOST)
        remove_node(a->e, a->node);
    asked_free(a);
}

void rv_election_withdraw(struct rv_election *e) {
    if (e->node && e->zk)
        remove_node(e, e->node);
    forget_candidacy(e);
}

static void depose(struct rv_election *e, const char *why) {
    bool was_elected = e->elected;

    rv_election_withdraw(e);
    if (was_elected)
        e->handler->on_deposed(e->ctx, why);
}

bool rv_election_holds(const struct rv_election *e) {
    return e->elected && now_ms() < e->holds_until_ms;
}

static void on_lease(uv_timer_t *timer) {
    struct rv_election *e = timer->data;
    int64_t left = e->holds_until_ms - now_ms();

    if (left > 0)
        start_timer(e->lease, on_lease, left);
    else
        depose(e, "ZooKeeper does not answer");
}

static void prove(struct rv_election *e);

static void on_proof(uv_timer_t *timer) {
    prove(timer->data);
}

static void on_node_exists(void *ctx, const struct rv_zk_result *r) {
    struct asked *a = ctx;
    struct rv_election *e = a->e;
    int64_t timeout = e->zk ? rv_zk_timeout_ms(e->zk) : 0, now = now_ms();

    e->proving = false;
    if (stale(a, r) || !rv_streq(a->node, e->node)) {
        asked_free(a);
        return;
    }
    int64_t holds = a->at_ms + timeout * HOLDS_THIRDS / 3;
    asked_free(a);
    if (r->code == RV_ZK_NO_NODE) {
        if (e->elected)
            depose(e, "its candidate's node was removed");
        else { /* before it could lead: make another */
            free(TAKE_PTR(e->node));
            go_on(e);
        }
    } else if (r->code != RV_ZK_OK) {
        start_timer(e->proof, on_proof, timeout / PROOFS_A_TIMEOUT);
    } else if (holds <= now) { /* the answer came late: it proves nothing any more */
        prove(e);
    } else {
        e->holds_until_ms = holds;
        start_timer(e->lease, on_lease, holds - now);
        start_timer(e->proof, on_proof, timeout / PROOFS_A_TIMEOUT);
        if (!e->elected) {
            e->elected = true;
            e->handler->on_elected(e->ctx);
        }
    }
}

static void prove(struct rv_election *e) {
    if (e->proving || !e->node)
        return;
    struct asked *a = asked_new(e);
    a->node = rv_strdup(e->node);
    a->at_ms = now_ms();
    e->proving = true;
    rv_zk_exists(e->zk, e->node, on_node_exists, a);
}

/* --- the list of candidates --- */

static void on_list_changed(void *ctx) {
    struct rv_election *e = ctx;

    e->watching = false;
    list(e);
}

static void tell_leader(struct rv_election *e, const char *name, struct rv_str info) {
    if (rv_streq(e->leading, name))
        return;
    free(e->leading);
    e->leading = rv_strdup(name);
    e->handler->on_leader(e->ctx, info);
}

static char *path_of(const struct rv_election *e, const char *name) {
    return rv_asprintf("%s/%s", e->url.path, name);
}

static void listed(struct rv_election *e) {
    e->listing = false;
    if (e->list_again)
        list(e);
    else
        go_on(e);
}

static void on_info(void *ctx, const struct rv_zk_result *r) {
    struct asked *a = ctx;
    struct rv_election *e = a->e;

    if (stale(a, r)) {
        asked_free(a);
        return;
    }
    if (r->code == RV_ZK_NO_NODE) { /* it went meanwhile */
        e->list_again = true;
    } else if (r->code != RV_ZK_OK) {
        try_again(e, "read the leading candidate", r->code);
    } else {
        if (e->info && rv_str_eq(r->data, rv_strn(e->info->data, e->info->n))) {
            free(e->node);
            e->node = path_of(e, a->node);
            prove(e);
        }
        tell_leader(e, a->node, r->data);
    }
    asked_free(a);
    listed(e);
}

static bool is_candidate(const char *name) {
    size_t n = strlen(RV_ELECTION_LABEL);

    return rv_starts_with(name, RV_ELECTION_LABEL) && strlen(name) == n + SEQUENCE_DIGITS &&
           strspn(name + n, "0123456789") == SEQUENCE_DIGITS;
}

/* Of equal length, names are in the order of their numbers. */
static const char *lowest(const struct rv_zk_result *r) {
    const char *found = NULL;

    for (size_t i = 0; i < r->n; i++)
        if (is_candidate(r->names[i]) && (!found || strcmp(r->names[i], found) < 0))
            found = r->names[i];
    return found;
}

static void on_list(void *ctx, const struct rv_zk_result *r) {
    struct asked *a = ctx;
    struct rv_election *e = a->e;
    bool old = stale(a, r);

    if (!old && a->watches && r->code != RV_ZK_OK)
        e->watching = false;
    asked_free(a);
    if (old)
        return;
    const char *name = r->code == RV_ZK_OK ? lowest(r) : NULL;
    if (r->code == RV_ZK_NO_NODE)
        try_again(e, NULL, 0);
    else if (r->code != RV_ZK_OK)
        try_again(e, "list the candidates", r->code);
    if (!name) {
        tell_leader(e, NULL, (struct rv_str){NULL, 0});
        listed(e);
        return;
    }
    _cleanup_free_ char *path = path_of(e, name);
    if (rv_streq(name, e->leading) && (!e->info || e->node)) {
        if (rv_streq(path, e->node))
            prove(e);
        listed(e);
        return;
    }
    a = asked_new(e);
    a->node = rv_strdup(name);
    rv_zk_get(e->zk, path, on_info, a);
}

static void list(struct rv_election *e) {
    e->list_again = e->listing;
    if (e->listing || !e->zk)
        return;
    e->listing = true;
    struct asked *a = asked_new(e);
    a->watches = !e->watching;
    e->watching = true;
    rv_zk_children(e->zk, e->url.path, a->watches ? on_list_changed : NULL, e, on_list, a);
}

/* --- a candidacy --- */

static void on_created(void *ctx, const struct rv_zk_result *r) {
    struct asked *a = ctx;
    struct rv_election *e = a->e;

    if (stale(a, r)) {
        asked_free(a);
        return;
    }
    e->creating = false;
    if (r->code == RV_ZK_OK && !rv_blob_eq(a->info, e->info)) { /* withdrawn meanwhile */
        remove_node(e, r->path);
        go_on(e);
    } else if (r->code == RV_ZK_OK) {
        e->node = rv_strdup(r->path);
        list(e);
    } else if (r->code == RV_ZK_LOST) {
        /* If it was made it is in the list; a second one of the same session does no harm. */
        list(e);
        go_on(e);
    } else {
        try_again(e, "become a candidate", r->code);
    }
    asked_free(a);
}

static void on_path(void *ctx, const struct rv_zk_result *r) {
    struct asked *a = ctx;
    struct rv_election *e = a->e;
    bool old = stale(a, r);

    asked_free(a);
    if (old)
        return;
    if (r->code != RV_ZK_OK || !e->info) {
        e->creating = false;
        if (e->info)
            try_again(e, "make the path", r->code);
        return;
    }
    _cleanup_free_ char *path = path_of(e, RV_ELECTION_LABEL);
    a = asked_new(e);
    a->info = rv_blob_ref(e->info);
    rv_zk_create(e->zk, path, rv_strn(e->info->data, e->info->n), RV_ZK_EPHEMERAL | RV_ZK_SEQUENCE,
                 RV_ZK_PUBLIC, on_created, a);
}

/* --- the session --- */

static void on_state(void *ctx, enum rv_zk_state state);

static void begin(struct rv_election *e) {
    struct rv_error err;

    e->session++;
    e->listing = e->list_again = e->watching = e->creating = e->proving = false;
    if (rv_zk_new(e->loop, &e->url, e->timeout_ms, on_state, e, &e->zk, &err))
        RV_ERROR(MODULE, "%s", err.message); /* the library was there before */
}

/* A session, and a candidate if we are to have one. */
static void go_on(struct rv_election *e) {
    if (!e->zk) {
        begin(e);
    } else if (rv_zk_state(e->zk) == RV_ZK_CONNECTED && e->info && !e->node && !e->creating) {
        e->creating = true;
        rv_zk_make_path(e->zk, e->url.path, on_path, asked_new(e));
    }
}

static void on_silence(uv_timer_t *timer) {
    struct rv_election *e = timer->data;

    tell_leader(e, NULL, (struct rv_str){NULL, 0});
}

static void end_session(struct rv_election *e, const char *why) {
    struct rv_blob *info = rv_blob_ref(e->info);
    bool was_elected = e->elected;

    e->session++;
    e->zk = rv_zk_free(e->zk);
    forget_candidacy(e);
    tell_leader(e, NULL, (struct rv_str){NULL, 0});
    if (was_elected)
        e->handler->on_deposed(e->ctx, why);
    else
        e->info = rv_blob_ref(info); /* stands again, in the next session */
    rv_blob_unref(info);
}

static void on_state(void *ctx, enum rv_zk_state state) {
    struct rv_election *e = ctx;

    switch (state) {
    case RV_ZK_CONNECTED:
        RV_INFO(MODULE, "connected to ZooKeeper at %s, session %llx of %lld ms",
                rv_zk_servers(e->zk), (unsigned long long)rv_zk_id(e->zk),
                (long long)rv_zk_timeout_ms(e->zk));
        uv_timer_stop(e->silence);
        go_on(e);
        if (!e->watching || !e->leading)
            list(e);
        return;
    case RV_ZK_CONNECTING:
        RV_WARN(MODULE, "not connected to ZooKeeper at %s", rv_zk_servers(e->zk));
        start_timer(e->silence, on_silence, rv_zk_timeout_ms(e->zk));
        return;
    case RV_ZK_EXPIRED:
        RV_WARN(MODULE, "the session with ZooKeeper at %s has expired", rv_zk_servers(e->zk));
        end_session(e, "the session with ZooKeeper has expired");
        go_on(e);
        return;
    case RV_ZK_REFUSED:
        RV_ERROR(MODULE, "ZooKeeper at %s does not accept user and password", rv_zk_servers(e->zk));
        end_session(e, "ZooKeeper does not accept user and password");
        start_timer(e->again, on_again, AGAIN_MS);
        return;
    }
}

/* --- for users --- */

static uv_timer_t *new_timer(struct rv_election *e) {
    uv_timer_t *timer = rv_calloc(1, sizeof *timer);

    uv_timer_init(e->loop, timer);
    timer->data = e;
    e->handles++;
    return timer;
}

int rv_election_new(uv_loop_t *loop, const struct rv_zk_url *url, int64_t session_timeout_ms,
                    const struct rv_election_handler *handler, void *ctx, struct rv_election **out,
                    struct rv_error *err) {
    struct rv_election *e = rv_calloc(1, sizeof *e);
    struct rv_zk *zk;
    int r = rv_zk_new(loop, url, session_timeout_ms, on_state, e, &zk, err);

    if (r) {
        free(e);
        return r;
    }
    e->zk = zk;
    e->loop = loop;
    rv_zk_url_copy(&e->url, url);
    e->timeout_ms = session_timeout_ms;
    e->handler = handler;
    e->ctx = ctx;
    e->again = new_timer(e);
    e->proof = new_timer(e);
    e->lease = new_timer(e);
    e->silence = new_timer(e);
    *out = e;
    return 0;
}

static void on_timer_closed(uv_handle_t *h) {
    struct rv_election *e = h->data;

    free(h);
    if (--e->handles)
        return;
    rv_zk_url_free(&e->url);
    free(e->leading);
    free(e);
}

struct rv_election *rv_election_free(struct rv_election *e) {
    if (!e)
        return NULL;
    e->session++;
    e->zk = rv_zk_free(e->zk);
    forget_candidacy(e);
    uv_close((uv_handle_t *)e->again, on_timer_closed);
    uv_close((uv_handle_t *)e->proof, on_timer_closed);
    uv_close((uv_handle_t *)e->lease, on_timer_closed);
    uv_close((uv_handle_t *)e->silence, on_timer_closed);
    return NULL;
}

void rv_election_stand(struct rv_election *e, struct rv_str info) {
    rv_election_withdraw(e);
    e->info = rv_blob_new(info.s, info.n);
    go_on(e);
}

struct rv_zk *rv_election_session(const struct rv_election *e) {
    return e->zk;
}

const char *rv_election_node(const struct rv_election *e) {
    return e->node;
}
