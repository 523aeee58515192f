/*
 * The candidates are listed when the list changes; the lowest one's data is read when it is
 * another. A candidate of ours is known by its data: so one whose creation was answered by a broken
 * connection is found again. One that leads and is our session's, but of no candidacy that goes on,
 * is removed: it would lead for as long as the session lasts, with nobody behind it.
 *
 * A proof is a transaction: our node is there, and PATH/lease is written. Its version is for those
 * who wait: the next one may begin when it has seen the same version for as long as that proof can
 * hold, and its own first proof finds the version unchanged. So it does not matter when ZooKeeper
 * lets a session expire, but only that clocks go equally fast (nearly: SLACK). Mostly the wait is
 * over long before the session is; who hands over in good order says so in the lease.
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
#define SLACK 50           /* one of so many ms is added to what others hold: clocks differ */
#define HOLD_MAX_MS ((uint64_t)3600000)
#define NOBODY "nobody" /* holds the lease: it was given back */

/* What is due at a time. */
enum wait {
    LEASE,   /* the proof has run out */
    PROOF,   /* the next one */
    LOOK,    /* at the lease, while we do not hold it */
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
    char *lease_path;
    char *holder; /* what we last wrote into the lease, if it was written; NULL: nothing */
    bool looking, lease_known, lease_there;
    int32_t lease_version;
    int64_t lease_ends_ms; /* who wrote this version has stopped leading by then */
    int64_t due_ms[WAITS]; /* INT64_MAX: not */
    int64_t wake_ms;       /* as the shell was asked */
};

/* An operation under way. */
struct asked {
    struct rv_election *e;
    uint64_t session;
    char *node;           /* GET, REMOVE, a proof: the node */
    struct rv_blob *info; /* CREATE: whose candidate */
    int64_t at_ms;        /* a proof: when it was asked for */
    struct rv_buf line;   /* as the lease is to be */
    struct rv_zk_op ops[2];
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
    rv_buf_free(&a->line);
    free(a);
}

static bool stale(const struct asked *a, const struct rv_zk_result *r) {
    return r->code == RV_ZK_CLOSED || r->code == RV_ZK_GONE || a->session != a->e->session;
}

static void go_on(struct rv_election *e);
static void list(struct rv_election *e);

/* Something is not as it should be: said, and mostly tried again in a while. */
static void warn(const struct rv_election *e, const char *what, int code) {
    RV_WARN(MODULE, "zk://%s%s: %s: %s%s", rv_zk_servers(e->zk), e->path, what, rv_zk_text(code),
            code == RV_ZK_NO_AUTH ? " (user and password of zk:// do not fit)" : "");
}

static void try_again(struct rv_election *e, const char *what, int code) {
    if (what)
        warn(e, what, code);
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
    wait_no_more(e, LOOK);
}

/* A node's name is unique as long as the path lasts, with the session's id for ever. */
static char *holder_of(const struct rv_election *e, const char *node) {
    return rv_asprintf("%s@%llx", strrchr(node, '/') + 1, (unsigned long long)rv_zk_id(e->zk));
}

static void on_removed(void *ctx, const struct rv_zk_result *r);

static void remove_node(struct rv_election *e, const char *path) {
    struct asked *a = asked_new(e);

    a->node = rv_strdup(path);
    rv_zk_remove(e->zk, path, on_removed, a);
}

static void on_given_back(void *ctx, const struct rv_zk_result *r);

/* The node of a candidacy that may hold the lease, and does not lead any more. Both in one: the
 * lease is ours only as long as the node is there. */
static void give_back(struct rv_election *e, const char *path) {
    struct asked *a = asked_new(e);

    a->node = rv_strdup(path);
    a->ops[0] = (struct rv_zk_op){.change = RV_ZK_REMOVE, .path = a->node, .version = -1};
    a->ops[1] = (struct rv_zk_op){
        .change = RV_ZK_SET, .path = e->lease_path, .data = RV_STR(NOBODY), .version = -1};
    rv_zk_multi(e->zk, a->ops, RV_COUNT(a->ops), on_given_back, a);
}

/* One that stayed would lead with nobody behind it. */
static void on_removed(void *ctx, const struct rv_zk_result *r) {
    struct asked *a = ctx;

    if (!stale(a, r) && r->code == RV_ZK_LOST)
        remove_node(a->e, a->node);
    asked_free(a);
}

static void on_given_back(void *ctx, const struct rv_zk_result *r) {
    struct asked *a = ctx;

    if (!stale(a, r) && r->code == RV_ZK_LOST)
        give_back(a->e, a->node);
    else if (!stale(a, r) && r->code != RV_ZK_OK) /* others wait, then */
        remove_node(a->e, a->node);
    asked_free(a);
}

void rv_election_withdraw(struct rv_election *e) {
    _cleanup_free_ char *holder = e->node && e->zk ? holder_of(e, e->node) : NULL;

    if (holder && rv_streq(holder, e->holder))
        give_back(e, e->node);
    else if (holder)
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

/* --- the lease --- */

static int64_t holds_ms(const struct rv_election *e) {
    return rv_zk_timeout_ms(e->zk) * HOLDS_THIRDS / 3;
}

/* "HOLDER MILLISECONDS": whose last proof it was, and for how long it holds. What cannot be read is
 * taken for a lease like ours. */
static int64_t lease_ends_ms(const struct rv_election *e, struct rv_str data) {
    _cleanup_free_ char *text = rv_strndup(data.s, data.n);
    char *blank = strchr(text, ' ');
    uint64_t ms = 0;

    if (rv_streq(text, NOBODY))
        return INT64_MIN;
    if (!blank || rv_parse_u64(blank + 1, HOLD_MAX_MS, &ms))
        ms = (uint64_t)holds_ms(e);
    if (blank)
        *blank = 0;
    if (rv_streq(text, e->holder)) /* of an older candidacy, or its answer was lost */
        return INT64_MIN;
    return now_ms(e) + (int64_t)(ms + ms / SLACK);
}

static void prove(struct rv_election *e);

/* Of a version that was there before it is known for how long. */
static void on_lease(void *ctx, const struct rv_zk_result *r) {
    struct asked *a = ctx;
    struct rv_election *e = a->e;
    bool old = stale(a, r);

    asked_free(a);
    if (old)
        return;
    e->looking = false;
    if (r->code == RV_ZK_NO_NODE) { /* nobody has ever led here */
        e->lease_known = true;
        e->lease_there = false;
        e->lease_ends_ms = INT64_MIN;
    } else if (r->code == RV_ZK_OK &&
               (!e->lease_known || !e->lease_there || e->lease_version != r->version)) {
        e->lease_known = e->lease_there = true;
        e->lease_version = r->version;
        e->lease_ends_ms = lease_ends_ms(e, r->data);
    } else if (r->code != RV_ZK_OK) {
        warn(e, "read the lease", r->code);
    }
    wait(e, LOOK, rv_zk_timeout_ms(e->zk) / PROOFS_A_TIMEOUT);
    prove(e);
}

static void look(struct rv_election *e) {
    if (e->looking || e->elected || !e->info)
        return;
    e->looking = true;
    rv_zk_get(e->zk, e->lease_path, on_lease, asked_new(e));
}

static bool is_first(const struct rv_election *e) {
    return e->node && e->leading && rv_streq(strrchr(e->node, '/') + 1, e->leading);
}

static void proven(struct rv_election *e, int64_t asked_ms) {
    int64_t holds = asked_ms + holds_ms(e), now = now_ms(e);

    if (e->elected && now >= e->holds_until_ms) { /* what came meanwhile was told to nobody */
        depose(e, "ZooKeeper answered too late");
        return;
    }
    if (holds <= now) { /* the answer came late: it proves nothing any more */
        prove(e);
        return;
    }
    e->holds_until_ms = holds;
    wait(e, LEASE, holds - now);
    wait(e, PROOF, rv_zk_timeout_ms(e->zk) / PROOFS_A_TIMEOUT);
    if (!e->elected) {
        e->elected = e->lease_there = true;
        wait_no_more(e, LOOK);
        e->handler->on_elected(e->ctx);
    }
}

static void on_proof(void *ctx, const struct rv_zk_result *r) {
    struct asked *a = ctx;
    struct rv_election *e = a->e;
    int64_t asked_ms = a->at_ms;
    bool old = stale(a, r) || !rv_streq(a->node, e->node);

    if (a->session == e->session)
        e->proving = false;
    asked_free(a);
    if (old)
        return;
    switch (r->code) {
    case RV_ZK_OK:
        proven(e, asked_ms);
        return;
    case RV_ZK_NO_NODE:
        if (e->elected) {
            depose(e, "its candidate's node was removed");
        } else { /* before it could lead: make another */
            free(TAKE_PTR(e->node));
            e->lease_known = false; /* or it is the lease that was removed */
            look(e);
            go_on(e);
        }
        return;
    case RV_ZK_BAD_VERSION: /* it was written after we had looked, by who led or by us */
    case RV_ZK_NODE_EXISTS:
        if (!e->elected) {
            look(e);
            return;
        }
        break;
    case RV_ZK_LOST:
        break;
    default:
        warn(e, "prove to lead", r->code);
        break;
    }
    wait(e, PROOF, rv_zk_timeout_ms(e->zk) / PROOFS_A_TIMEOUT);
}

/* That our node is there. As a transaction it is answered by a quorum: a server that is cut off
 * from the others, and does not know it yet, would still say so of what it remembers, while they
 * let the session expire. The first one of a candidacy finds the lease as it was seen; then it is
 * ours as long as the node is there. */
static void prove(struct rv_election *e) {
    if (e->proving || !is_first(e))
        return;
    if (!e->elected && !e->lease_known) {
        look(e);
        return;
    }
    int64_t now = now_ms(e);
    if (!e->elected && now < e->lease_ends_ms) {
        wait(e, PROOF, e->lease_ends_ms - now);
        return;
    }
    struct asked *a = asked_new(e);
    a->node = rv_strdup(e->node);
    a->at_ms = now;
    free(e->holder);
    e->holder = holder_of(e, e->node);
    rv_buf_printf(&a->line, "%s %lld", e->holder, (long long)holds_ms(e));
    a->ops[0] = (struct rv_zk_op){.change = RV_ZK_CHECK, .path = a->node, .version = -1};
    a->ops[1] = (struct rv_zk_op){.change = e->lease_there ? RV_ZK_SET : RV_ZK_CREATE,
                                  .path = e->lease_path,
                                  .data = rv_buf_str(&a->line),
                                  .version = e->elected ? -1 : e->lease_version,
                                  .access = RV_ZK_PUBLIC};
    e->proving = true;
    rv_zk_multi(e->zk, a->ops, RV_COUNT(a->ops), on_proof, a);
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
        } else if (r->owner && r->owner == rv_zk_id(e->zk)) {
            remove_node(e, path);
        }
        free(path);
        tell_leader(e, a->node, r->data);
        prove(e);
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
    e->listing = e->list_again = e->watching = e->creating = e->proving = e->looking = false;
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
    if (e->zk && rv_zk_state(e->zk) == RV_ZK_CONNECTED && e->due_ms[LOOK] == INT64_MAX)
        look(e);
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
    if (due[LOOK])
        look(e);
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
                              .lease_path = rv_asprintf("%s/lease", path),
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
    rv_election_withdraw(e);
    e->session++;
    e->zk = rv_zk_free(e->zk);
    e->shell->release(e->shell_ctx);
    free(e->path);
    free(e->lease_path);
    free(e->holder);
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
