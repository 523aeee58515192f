/*
 * The candidates are listed when the list changes; the lowest one's data is read when it is
 * another. A candidate of ours is known by its data: so one whose creation was answered by a broken
 * connection is found again. One that leads and is our session's, but of no candidacy that goes on,
 * is removed: it would lead for as long as the session lasts, with nobody behind it.
 *
 * A candidacy outlives connections, not the session; a new session begins with a new node. What was
 * asked for an older candidacy or session and is answered late changes nothing (`stale`).
 */
#include "quorum/election.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/vec.h"

#define MODULE "election"
#define SEQUENCE_DIGITS 10
#define AGAIN_MS 1000      /* after something was refused or is not there yet */
#define PROOFS_A_TIMEOUT 6 /* how often ZooKeeper is asked whether our node is there */
#define HOLDS_THIRDS 2     /* of the timeout, for which an answer lets us lead */

/* What is due at a time. */
enum wait {
    LEASE,   /* the proof has run out */
    PROOF,   /* the next one */
    AGAIN,   /* begin, list or create again */
    SILENCE, /* without a connection, whoever led is not known to lead */
    WAITS
};

struct rv_election {
    const struct rv_election_shell *shell;
    void *shell_ctx;
    char *path;
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
    int64_t holds_until_ms;
    int64_t due_ms[WAITS]; /* INT64_MAX: not */
    int64_t wake_ms;       /* as the shell was asked */
};

/* An operation under way. */
struct asked {
    struct rv_election *e;
    uint64_t session;
    char *node;           /* GET: the node */
    struct rv_blob *info; /* CREATE: whose candidate */
    int64_t at_ms;        /* a proof: when it was asked for */
    struct rv_zk_op check;
    bool watches; /* CHILDREN: the list is watched from then on */
};

static int64_t now_ms(const struct rv_election *e) {
    return e->shell->now_ms(e->shell_ctx);
}

static void arm(struct rv_election *e) {
    int64_t first = INT64_MAX;

    for (enum wait i = 0; i < WAITS; i++)
        first = RV_MIN(first, e->due_ms[i]);
    if (first == e->wake_ms)
        return;
    e->wake_ms = first;
    e->shell->wake(e->shell_ctx, first);
}

static void wait(struct rv_election *e, enum wait what, int64_t ms) {
    e->due_ms[what] = now_ms(e) + ms;
    arm(e);
}

static void wait_no_more(struct rv_election *e, enum wait what) {
    e->due_ms[what] = INT64_MAX;
    arm(e);
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

static void go_on(struct rv_election *e);
static void list(struct rv_election *e);

/* Something is not as it should be: said, and tried again in a while. */
static void try_again(struct rv_election *e, const char *what, int code) {
    if (what)
        RV_WARN(MODULE, "zk://%s%s: %s: %s%s", rv_zk_servers(e->zk), e->path, what,
                rv_zk_text(code),
                code == RV_ZK_NO_AUTH ? " (user and password of zk:// do not fit)" : "");
    wait(e, AGAIN, AGAIN_MS);
}

/* --- leading --- */

static void forget_candidacy(struct rv_election *e) {
    rv_blob_unref(e->info);
    e->info = NULL;
    free(TAKE_PTR(e->node));
    e->elected = false;
    wait_no_more(e, PROOF);
    wait_no_more(e, LEASE);
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
    return e->elected && now_ms(e) < e->holds_until_ms;
}

static void prove(struct rv_election *e);

static void on_proof(void *ctx, const struct rv_zk_result *r) {
    struct asked *a = ctx;
    struct rv_election *e = a->e;
    int64_t timeout = e->zk ? rv_zk_timeout_ms(e->zk) : 0, now = now_ms(e);

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
        wait(e, PROOF, timeout / PROOFS_A_TIMEOUT);
    } else if (holds <= now) { /* the answer came late: it proves nothing any more */
        prove(e);
    } else {
        e->holds_until_ms = holds;
        wait(e, LEASE, holds - now);
        wait(e, PROOF, timeout / PROOFS_A_TIMEOUT);
        if (!e->elected) {
            e->elected = true;
            e->handler->on_elected(e->ctx);
        }
    }
}

/* That our node is there. As a transaction it is answered by a quorum: a server that is cut off
 * from the others, and does not know it yet, would still say so of what it remembers, while they
 * let the session expire. */
static void prove(struct rv_election *e) {
    if (e->proving || !e->node)
        return;
    struct asked *a = asked_new(e);
    a->node = rv_strdup(e->node);
    a->at_ms = now_ms(e);
    a->check = (struct rv_zk_op){.change = RV_ZK_CHECK, .path = a->node, .version = -1};
    e->proving = true;
    rv_zk_multi(e->zk, &a->check, 1, on_proof, a);
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
    return rv_asprintf("%s/%s", e->path, name);
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
        char *path = path_of(e, a->node);
        if (e->info && rv_str_eq(r->data, rv_strn(e->info->data, e->info->n))) {
            free(e->node);
            e->node = TAKE_PTR(path);
            prove(e);
        } else if (r->owner && r->owner == rv_zk_id(e->zk)) {
            remove_node(e, path);
        }
        free(path);
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
    rv_zk_children(e->zk, e->path, a->watches ? on_list_changed : NULL, e, on_list, a);
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
    if (r->code == RV_ZK_OK && (e->node || !rv_blob_eq(a->info, e->info))) {
        remove_node(e, r->path); /* a twin of one that was found, or it was withdrawn meanwhile */
        go_on(e);
    } else if (r->code == RV_ZK_OK) {
        e->node = rv_strdup(r->path);
        list(e);
    } else if (r->code == RV_ZK_LOST) {
        /* If it was made it is in the list. Then there are two, of the same session. */
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
    e->session++;
    e->listing = e->list_again = e->watching = e->creating = e->proving = false;
    e->zk = e->shell->connect(e->shell_ctx, on_state, e);
    if (!e->zk)
        wait(e, AGAIN, AGAIN_MS);
}

/* A session, and a candidate if we are to have one. */
static void go_on(struct rv_election *e) {
    if (!e->zk) {
        begin(e);
    } else if (rv_zk_state(e->zk) == RV_ZK_CONNECTED && e->info && !e->node && !e->creating) {
        e->creating = true;
        rv_zk_make_path(e->zk, e->path, on_path, asked_new(e));
    }
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
        wait_no_more(e, SILENCE);
        go_on(e);
        if (!e->watching || !e->leading)
            list(e);
        return;
    case RV_ZK_CONNECTING:
        RV_WARN(MODULE, "not connected to ZooKeeper at %s", rv_zk_servers(e->zk));
        wait(e, SILENCE, rv_zk_timeout_ms(e->zk));
        return;
    case RV_ZK_EXPIRED:
        RV_WARN(MODULE, "the session with ZooKeeper at %s has expired", rv_zk_servers(e->zk));
        end_session(e, "the session with ZooKeeper has expired");
        go_on(e);
        return;
    case RV_ZK_REFUSED:
        RV_ERROR(MODULE, "ZooKeeper at %s does not accept user and password", rv_zk_servers(e->zk));
        end_session(e, "ZooKeeper does not accept user and password");
        wait(e, AGAIN, AGAIN_MS);
        return;
    }
}

/* --- for users --- */

void rv_election_tick(struct rv_election *e) {
    int64_t now = now_ms(e);
    bool due[WAITS];

    e->wake_ms = INT64_MAX;
    for (enum wait i = 0; i < WAITS; i++) {
        due[i] = e->due_ms[i] <= now;
        if (due[i])
            e->due_ms[i] = INT64_MAX;
    }
    if (due[LEASE] && e->elected)
        depose(e, "ZooKeeper does not answer");
    if (due[PROOF])
        prove(e);
    if (due[AGAIN]) {
        go_on(e);
        list(e);
    }
    if (due[SILENCE])
        tell_leader(e, NULL, (struct rv_str){NULL, 0});
    arm(e);
}

struct rv_election *rv_election_new(const struct rv_election_shell *shell, void *shell_ctx,
                                    const char *path, const struct rv_election_handler *handler,
                                    void *ctx) {
    struct rv_election *e = rv_calloc(1, sizeof *e);

    *e = (struct rv_election){.shell = shell,
                              .shell_ctx = shell_ctx,
                              .path = rv_strdup(path),
                              .handler = handler,
                              .ctx = ctx,
                              .wake_ms = INT64_MAX};
    for (enum wait i = 0; i < WAITS; i++)
        e->due_ms[i] = INT64_MAX;
    begin(e);
    return e;
}

struct rv_election *rv_election_free(struct rv_election *e) {
    if (!e)
        return NULL;
    e->session++;
    e->zk = rv_zk_free(e->zk);
    forget_candidacy(e);
    e->shell->release(e->shell_ctx);
    free(e->path);
    free(e->leading);
    free(e);
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
