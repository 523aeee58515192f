/*
 * The election without a ZooKeeper: a session that writes down what it is asked, and that the test
 * answers as it likes, by a clock that it sets. INV-1: leading ends in time, whatever is not heard.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/vec.h"
#include "quorum/election.h"

#define TIMEOUT_MS 9000
#define MINE "/reeve/json.info_0000000007"
#define HOLDS_MS (TIMEOUT_MS * 2 / 3)
#define WAITS_MS (HOLDS_MS + HOLDS_MS / 50)
#define NEW (-2) /* no version: the lease is made */

/* PROVE: the node is there, and the lease is written. GIVE_BACK: the node goes, and the lease with
 * it. */
enum asked_kind { GET, LEASE, PROVE, GIVE_BACK, CHILDREN, CREATE, REMOVE };

struct asked {
    enum asked_kind kind;
    char *path, *data;
    int32_t version; /* PROVE, GIVE_BACK: that the lease is to have */
    rv_zk_done done;
    void *ctx;
};

/* One session at a time; what was told to the handler. */
static struct world {
    struct rv_zk zk;
    bool connected, refuses; /* refuses: no session can be begun */
    enum rv_zk_state state;
    rv_zk_on_state on_state;
    void *state_ctx;
    RV_VEC(struct asked) asked;
    void (*on_change)(void *ctx); /* the watch that is set */
    void *change_ctx;
    int64_t now_ms, wake_ms;
    struct rv_election *election;
    unsigned sessions, elected, deposed, leaders, released;
    int32_t version;                                 /* likewise */
    char leader[64], why[128], path[128], data[128]; /* path, data: of what was answered last */
} w;

/* --- the session --- */

static void ask(enum asked_kind kind, const char *path, rv_zk_done done, void *ctx) {
    rv_vec_push(&w.asked,
                ((struct asked){.kind = kind, .path = rv_strdup(path), .done = done, .ctx = ctx}));
}

static void forget(size_t i) {
    free(w.asked.v[i].path);
    free(w.asked.v[i].data);
    rv_vec_remove_at(&w.asked, i);
}

static struct rv_zk *zk_free(struct rv_zk *z) {
    (void)z;
    while (w.asked.n) {
        struct asked a = w.asked.v[0];
        w.asked.v[0].path = w.asked.v[0].data = NULL;
        forget(0);
        a.done(a.ctx, &(struct rv_zk_result){.code = RV_ZK_CLOSED});
        free(a.path);
        free(a.data);
    }
    return NULL;
}

static enum rv_zk_state zk_state(const struct rv_zk *z) {
    (void)z;
    return w.state;
}

static int64_t zk_timeout_ms(const struct rv_zk *z) {
    (void)z;
    return TIMEOUT_MS;
}

static int64_t zk_id(const struct rv_zk *z) {
    (void)z;
    return w.sessions;
}

static const char *zk_servers(const struct rv_zk *z) {
    (void)z;
    return "test";
}

static void zk_get(struct rv_zk *z, const char *path, rv_zk_done done, void *ctx) {
    (void)z;
    ask(rv_streq(path, "/reeve/lease") ? LEASE : GET, path, done, ctx);
}

static void zk_multi(struct rv_zk *z, const struct rv_zk_op *ops, size_t n, rv_zk_done done,
                     void *ctx) {
    (void)z;
    assert_int_equal(n, 2);
    assert_string_equal(ops[1].path, "/reeve/lease");
    ask(ops->change == RV_ZK_CHECK ? PROVE : GIVE_BACK, ops->path, done, ctx);
    struct asked *a = &w.asked.v[w.asked.n - 1];
    a->data = rv_strndup(ops[1].data.s, ops[1].data.n);
    a->version = ops[1].change == RV_ZK_CREATE ? NEW : ops[1].version;
}

static void zk_children(struct rv_zk *z, const char *path, void (*on_change)(void *change_ctx),
                        void *change_ctx, rv_zk_done done, void *ctx) {
    (void)z;
    ask(CHILDREN, path, done, ctx);
    if (on_change) {
        w.on_change = on_change;
        w.change_ctx = change_ctx;
    }
}

static void zk_create(struct rv_zk *z, const char *path, struct rv_str data, int flags,
                      enum rv_zk_access access, rv_zk_done done, void *ctx) {
    (void)z;
    (void)access;
    ask(CREATE, path, done, ctx);
    w.asked.v[w.asked.n - 1].data = rv_strndup(data.s, data.n);
    assert_int_equal(flags, rv_streq(path, "/reeve") ? 0 : RV_ZK_EPHEMERAL | RV_ZK_SEQUENCE);
}

static void zk_remove(struct rv_zk *z, const char *path, rv_zk_done done, void *ctx) {
    (void)z;
    ask(REMOVE, path, done, ctx);
}

static const struct rv_zk_ops zk_ops = {.free = zk_free,
                                        .state = zk_state,
                                        .timeout_ms = zk_timeout_ms,
                                        .id = zk_id,
                                        .servers = zk_servers,
                                        .get = zk_get,
                                        .multi = zk_multi,
                                        .children = zk_children,
                                        .create = zk_create,
                                        .remove = zk_remove};

/* --- the shell and the handler --- */

static int64_t shell_now_ms(void *ctx) {
    (void)ctx;
    return w.now_ms;
}

static struct rv_zk *shell_connect(void *ctx, rv_zk_on_state on_state, void *state_ctx) {
    (void)ctx;
    if (w.refuses)
        return NULL;
    w.zk.ops = &zk_ops;
    w.sessions++;
    w.state = RV_ZK_CONNECTING;
    w.on_state = on_state;
    w.state_ctx = state_ctx;
    return &w.zk;
}

static void shell_wake(void *ctx, int64_t at_ms) {
    (void)ctx;
    w.wake_ms = at_ms;
}

static void shell_release(void *ctx) {
    (void)ctx;
    w.released++;
}

static void on_leader(void *ctx, struct rv_str info) {
    (void)ctx;
    w.leaders++;
    snprintf(w.leader, sizeof w.leader, "%.*s", info.s ? (int)info.n : 0, info.s ? info.s : "");
}

static void on_elected(void *ctx) {
    (void)ctx;
    w.elected++;
}

static void on_deposed(void *ctx, const char *why) {
    (void)ctx;
    w.deposed++;
    snprintf(w.why, sizeof w.why, "%s", why);
}

static int set_up(void **state) {
    static const struct rv_election_shell shell = {shell_now_ms, shell_connect, shell_wake,
                                                   shell_release};
    static const struct rv_election_handler handler = {on_leader, on_elected, on_deposed};
    (void)state;

    memset(&w, 0, sizeof w);
    w.now_ms = 1000;
    w.wake_ms = INT64_MAX;
    w.election = rv_election_new(&shell, NULL, "/reeve", &handler, NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    w.election = rv_election_free(w.election);
    rv_vec_free(&w.asked);
    return w.released != 1;
}

/* --- what a test says --- */

static void say(enum rv_zk_state state) {
    w.state = state;
    w.on_state(w.state_ctx, state);
}

/* The first one of its kind is answered; it must have been asked. Returns the path. */
static const char *answer(enum asked_kind kind, const struct rv_zk_result *result) {
    for (size_t i = 0; i < w.asked.n; i++) {
        struct asked a = w.asked.v[i];
        if (a.kind != kind)
            continue;
        w.asked.v[i].path = w.asked.v[i].data = NULL;
        forget(i);
        snprintf(w.path, sizeof w.path, "%s", a.path);
        snprintf(w.data, sizeof w.data, "%s", a.data ? a.data : "");
        w.version = a.version;
        a.done(a.ctx, result);
        free(a.path);
        free(a.data);
        return w.path;
    }
    fail_msg("nothing of kind %d was asked", (int)kind);
    return NULL;
}

static const char *code(enum asked_kind kind, int number) {
    return answer(kind, &(struct rv_zk_result){.code = number});
}

static void names(const char *first, const char *second) {
    char *list[] = {(char *)(uintptr_t)first, (char *)(uintptr_t)second};

    answer(CHILDREN, &(struct rv_zk_result){.names = list, .n = second ? 2 : first ? 1 : 0});
}

static void change(void) {
    void (*on_change)(void *ctx) = w.on_change;

    assert_non_null(on_change);
    w.on_change = NULL;
    on_change(w.change_ctx);
}

static bool is_asked(enum asked_kind kind) {
    for (size_t i = 0; i < w.asked.n; i++)
        if (w.asked.v[i].kind == kind)
            return true;
    return false;
}

/* The clock goes on, and the election is woken whenever it wants to be. */
static void pass(int64_t ms) {
    int64_t until_ms = w.now_ms + ms;

    while (w.wake_ms <= until_ms) {
        w.now_ms = RV_MAX(w.now_ms, w.wake_ms);
        w.wake_ms = INT64_MAX;
        rv_election_tick(w.election);
    }
    w.now_ms = until_ms;
}

static void lease(int32_t version, const char *data) {
    answer(LEASE, &(struct rv_zk_result){.version = version, .data = rv_str(data)});
}

/* A candidate whose node is there; neither the list nor the lease is known yet. */
static void stand_before(void) {
    say(RV_ZK_CONNECTED);
    rv_election_stand(w.election, RV_STR("me"));
    code(CREATE, RV_ZK_NODE_EXISTS);
    answer(CREATE, &(struct rv_zk_result){.path = MINE});
}

/* Nobody has ever led. */
static void stand(void) {
    stand_before();
    code(LEASE, RV_ZK_NO_NODE);
}

static void first(void) {
    names("json.info_0000000009", "json.info_0000000007");
    if (is_asked(CHILDREN)) /* it had changed meanwhile */
        names("json.info_0000000009", "json.info_0000000007");
    answer(GET, &(struct rv_zk_result){.data = RV_STR("me")});
}

static void be_first(void) {
    first();
    code(PROVE, RV_ZK_OK);
}

static void lead(void) {
    stand();
    be_first();
    assert_int_equal(w.elected, 1);
    assert_true(rv_election_holds(w.election));
    assert_string_equal(w.leader, "me");
    assert_string_equal(rv_election_node(w.election), MINE);
}

/* --- tests --- */

static void the_lowest_leads(void **state) {
    (void)state;
    stand();
    names("json.info_0000000007", "json.info_0000000003");
    if (is_asked(CHILDREN))
        names("json.info_0000000007", "json.info_0000000003");
    answer(GET, &(struct rv_zk_result){.data = RV_STR("other")});
    assert_string_equal(w.leader, "other");
    assert_int_equal(w.elected, 0);
    assert_false(rv_election_holds(w.election));
}

static void names_of_others_do_not_count(void **state) {
    (void)state;
    say(RV_ZK_CONNECTED);
    names("log_replicas", "json.info_12");
    assert_int_equal(w.leaders, 0);
    assert_false(is_asked(GET));
}

/* INV-1: without an answer it is over after two thirds of the timeout. */
static void silence_ends_it(void **state) {
    (void)state;
    lead();
    pass(TIMEOUT_MS * 2 / 3 - 1);
    assert_true(rv_election_holds(w.election));
    pass(1);
    assert_false(rv_election_holds(w.election));
    assert_int_equal(w.deposed, 1);
    assert_string_equal(w.why, "ZooKeeper does not answer");
}

/* INV-1: a process that stood still finds that it does not lead, before it is woken for it. */
static void standing_still_ends_it(void **state) {
    (void)state;
    lead();
    w.now_ms += TIMEOUT_MS;
    assert_false(rv_election_holds(w.election));
    pass(0);
    assert_int_equal(w.deposed, 1);
}

static void proofs_prolong_it(void **state) {
    (void)state;
    lead();
    for (int i = 0; i < 20; i++) {
        pass(TIMEOUT_MS / 6);
        code(PROVE, RV_ZK_OK);
    }
    assert_true(rv_election_holds(w.election));
    assert_int_equal(w.deposed, 0);
}

/* An answer counts from when it was asked for. */
static void late_proofs_prove_little(void **state) {
    (void)state;
    lead();
    pass(TIMEOUT_MS / 6);
    pass(TIMEOUT_MS / 3);
    code(PROVE, RV_ZK_OK);
    pass(TIMEOUT_MS / 3 - 1);
    assert_true(rv_election_holds(w.election));
    pass(1);
    assert_int_equal(w.deposed, 1);
}

/* INV-1: who has not led for a moment, in which it heard nothing, does not lead on. */
static void a_late_proof_does_not_bring_it_back(void **state) {
    (void)state;
    lead();
    pass(TIMEOUT_MS / 6);
    w.now_ms += TIMEOUT_MS / 2; /* it stands still, and hears the answer first */
    assert_false(rv_election_holds(w.election));
    code(PROVE, RV_ZK_OK);
    assert_false(rv_election_holds(w.election));
    assert_int_equal(w.deposed, 1);
}

static void expiry_ends_it(void **state) {
    (void)state;
    lead();
    say(RV_ZK_EXPIRED);
    assert_int_equal(w.deposed, 1);
    assert_false(rv_election_holds(w.election));
    assert_int_equal(w.sessions, 2);
    assert_string_equal(w.leader, "");
}

/* Who stands and is not elected stands in the next session, too. */
static void a_candidate_stands_again(void **state) {
    (void)state;
    stand();
    say(RV_ZK_EXPIRED);
    assert_int_equal(w.deposed, 0);
    assert_int_equal(w.sessions, 2);
    say(RV_ZK_CONNECTED);
    code(CREATE, RV_ZK_NODE_EXISTS);
    assert_true(is_asked(CREATE));
}

static void a_removed_node_ends_it(void **state) {
    (void)state;
    lead();
    pass(TIMEOUT_MS / 6);
    code(PROVE, RV_ZK_NO_NODE);
    assert_int_equal(w.deposed, 1);
    assert_string_equal(w.why, "its candidate's node was removed");
}

/* The creation's answer was lost: the candidate is known by its data. */
static void a_lost_answer_is_found_again(void **state) {
    (void)state;
    say(RV_ZK_CONNECTED);
    names(NULL, NULL);
    rv_election_stand(w.election, RV_STR("me"));
    code(CREATE, RV_ZK_OK);
    code(CREATE, RV_ZK_LOST);
    names("json.info_0000000007", NULL);
    answer(GET, &(struct rv_zk_result){.data = RV_STR("me")});
    code(LEASE, RV_ZK_NO_NODE);
    code(PROVE, RV_ZK_OK);
    assert_int_equal(w.elected, 1);
    assert_string_equal(rv_election_node(w.election), MINE);
}

/* And a second try that succeeds makes a twin of it, which is not wanted. */
static void a_twin_is_removed(void **state) {
    (void)state;
    say(RV_ZK_CONNECTED);
    names(NULL, NULL);
    rv_election_stand(w.election, RV_STR("me"));
    code(CREATE, RV_ZK_OK);
    code(CREATE, RV_ZK_LOST);
    code(CREATE, RV_ZK_OK);
    names("json.info_0000000007", NULL);
    answer(GET, &(struct rv_zk_result){.data = RV_STR("me")});
    answer(CREATE, &(struct rv_zk_result){.path = "/reeve/json.info_0000000008"});
    assert_string_equal(code(REMOVE, RV_ZK_OK), "/reeve/json.info_0000000008");
    code(LEASE, RV_ZK_NO_NODE);
    code(PROVE, RV_ZK_OK);
    assert_int_equal(w.elected, 1);
    assert_string_equal(rv_election_node(w.election), MINE);
}

/* A node that was made for an older candidacy is removed, until that is certain. */
static void a_withdrawn_candidate_goes(void **state) {
    (void)state;
    say(RV_ZK_CONNECTED);
    rv_election_stand(w.election, RV_STR("me"));
    code(CREATE, RV_ZK_OK);
    rv_election_withdraw(w.election);
    answer(CREATE, &(struct rv_zk_result){.path = MINE});
    code(REMOVE, RV_ZK_LOST);
    code(REMOVE, RV_ZK_OK);
    assert_false(is_asked(REMOVE));
    assert_int_equal(w.elected, 0);
}

/* A second candidate was made by a try whose answer was lost. It must not lead for nobody once the
 * first has gone. */
static void a_twin_that_is_left_behind_goes(void **state) {
    (void)state;
    lead();
    pass(TIMEOUT_MS / 6);
    code(PROVE, RV_ZK_NO_NODE);
    code(GIVE_BACK, RV_ZK_NO_NODE);
    code(REMOVE, RV_ZK_NO_NODE);
    change();
    names("json.info_0000000008", NULL);
    answer(GET, &(struct rv_zk_result){.data = RV_STR("me"), .owner = zk_id(&w.zk)});
    assert_string_equal(code(REMOVE, RV_ZK_OK), "/reeve/json.info_0000000008");
    assert_int_equal(w.elected, 1);
}

static void who_led_is_forgotten_in_silence(void **state) {
    (void)state;
    say(RV_ZK_CONNECTED);
    names("json.info_0000000007", NULL);
    answer(GET, &(struct rv_zk_result){.data = RV_STR("other")});
    say(RV_ZK_CONNECTING);
    pass(TIMEOUT_MS - 1);
    assert_string_equal(w.leader, "other");
    pass(1);
    assert_string_equal(w.leader, "");
}

static void a_session_that_cannot_begin_is_tried_again(void **state) {
    (void)state;
    w.refuses = true;
    say(RV_ZK_EXPIRED);
    assert_int_equal(w.sessions, 1);
    pass(5000);
    w.refuses = false;
    pass(1000);
    assert_int_equal(w.sessions, 2);
}

/* INV-1: whenever ZooKeeper lets a session end, its owner may lead for as long as a proof holds
 * that was made when the lease was seen to change last. Who comes next waits for that. */
static void the_next_one_waits_for_the_lease_to_end(void **state) {
    (void)state;
    stand_before();
    lease(4, "json.info_0000000003@1 6000");
    pass(TIMEOUT_MS / 6);
    lease(5, "json.info_0000000003@1 6000");
    first();
    for (int64_t ms = 0; ms < WAITS_MS - 100; ms += 100) {
        pass(100);
        if (is_asked(LEASE))
            lease(5, "json.info_0000000003@1 6000");
        assert_false(is_asked(PROVE));
    }
    pass(100);
    code(PROVE, RV_ZK_OK);
    assert_int_equal(w.version, 5);
    assert_string_equal(w.data, "json.info_0000000007@1 6000");
    assert_int_equal(w.elected, 1);
}

static void a_lease_that_has_ended_is_not_waited_for(void **state) {
    (void)state;
    stand_before();
    lease(5, "json.info_0000000003@1 6000");
    pass(WAITS_MS);
    lease(5, "json.info_0000000003@1 6000");
    first();
    code(PROVE, RV_ZK_OK);
    assert_int_equal(w.elected, 1);
    pass(TIMEOUT_MS / 6);
    code(PROVE, RV_ZK_OK);
    assert_int_equal(w.version, -1); /* no other can have written it */
    assert_false(is_asked(LEASE));
}

/* The old leader made one more proof after the lease was looked at. */
static void a_lease_that_was_written_since_is_waited_for(void **state) {
    (void)state;
    stand_before();
    lease(5, "json.info_0000000003@1 6000");
    pass(WAITS_MS);
    first();
    lease(5, "json.info_0000000003@1 6000"); /* by a server that is behind */
    code(PROVE, RV_ZK_BAD_VERSION);
    lease(6, "json.info_0000000003@1 6000");
    assert_false(is_asked(PROVE));
    pass(WAITS_MS);
    code(PROVE, RV_ZK_OK);
    assert_int_equal(w.version, 6);
    assert_int_equal(w.elected, 1);
}

static void a_lease_that_cannot_be_read_holds_as_ours(void **state) {
    (void)state;
    stand_before();
    lease(5, "");
    first();
    pass(WAITS_MS - 1);
    assert_false(is_asked(PROVE));
    pass(1);
    code(PROVE, RV_ZK_OK);
    assert_int_equal(w.elected, 1);
}

/* Who ends in good order keeps nobody waiting. */
static void a_lease_is_given_back(void **state) {
    (void)state;
    lead();
    rv_election_withdraw(w.election);
    assert_false(rv_election_holds(w.election));
    assert_string_equal(code(GIVE_BACK, RV_ZK_LOST), MINE);
    code(GIVE_BACK, RV_ZK_OK);
    assert_string_equal(w.data, "nobody");
    assert_false(is_asked(REMOVE));
}

static void a_lease_that_was_given_back_is_taken_at_once(void **state) {
    (void)state;
    stand_before();
    lease(9, "nobody");
    first();
    code(PROVE, RV_ZK_OK);
    assert_int_equal(w.version, 9);
    assert_int_equal(w.elected, 1);
}

/* The first proof's answer was lost: the lease is ours, and not waited for. */
static void ones_own_lease_is_not_waited_for(void **state) {
    (void)state;
    stand();
    first();
    code(PROVE, RV_ZK_LOST);
    assert_int_equal(w.version, NEW);
    pass(TIMEOUT_MS / 6);
    lease(0, "json.info_0000000007@1 6000");
    code(PROVE, RV_ZK_NODE_EXISTS);
    lease(0, "json.info_0000000007@1 6000");
    code(PROVE, RV_ZK_OK);
    assert_int_equal(w.version, 0);
    assert_int_equal(w.elected, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(the_lowest_leads),
        TEST(names_of_others_do_not_count),
        TEST(silence_ends_it),
        TEST(standing_still_ends_it),
        TEST(proofs_prolong_it),
        TEST(late_proofs_prove_little),
        TEST(a_late_proof_does_not_bring_it_back),
        TEST(expiry_ends_it),
        TEST(a_candidate_stands_again),
        TEST(a_removed_node_ends_it),
        TEST(a_lost_answer_is_found_again),
        TEST(a_twin_is_removed),
        TEST(a_withdrawn_candidate_goes),
        TEST(a_twin_that_is_left_behind_goes),
        TEST(who_led_is_forgotten_in_silence),
        TEST(a_session_that_cannot_begin_is_tried_again),
        TEST(the_next_one_waits_for_the_lease_to_end),
        TEST(a_lease_that_has_ended_is_not_waited_for),
        TEST(a_lease_that_was_written_since_is_waited_for),
        TEST(a_lease_that_cannot_be_read_holds_as_ours),
        TEST(a_lease_is_given_back),
        TEST(a_lease_that_was_given_back_is_taken_at_once),
        TEST(ones_own_lease_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
