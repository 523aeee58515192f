/*
 * Who leads, as ZooKeeper tells: candidates are ephemeral nodes PATH/json.info_<sequence>, the
 * lowest one leads. Everybody may look; who stands is told when it leads and when no more.
 *
 * Leading ends by the clock, not by what ZooKeeper says: it holds for two thirds of the session's
 * timeout after a moment at which ZooKeeper is known to have heard from us. Each such proof is
 * written into PATH/lease, and who comes next does not begin before the last one is over (INV-1),
 * even if nothing is heard, if this process was stopped for a while, or if ZooKeeper lets the
 * session end early. rv_election_holds() is to be asked before each act.
 *
 * It has no clock and no loop: its shell (io/election.h; the simulator's) tells the time, begins
 * sessions, and calls rv_election_tick() when it asked for it.
 */
#ifndef RV_QUORUM_ELECTION_H
#define RV_QUORUM_ELECTION_H

#include "quorum/session.h"

#define RV_ELECTION_LABEL "json.info_" /* how names of candidates begin */

struct rv_election;

struct rv_election_handler {
    /* The leading candidate's data; s NULL: none is known. On each change, from the loop. */
    void (*on_leader)(void *ctx, struct rv_str info);
    /* Only told to who stands, in turn. After on_deposed the candidacy is over: it may stand again,
     * also within. Neither comes from within a call below. */
    void (*on_elected)(void *ctx);
    void (*on_deposed)(void *ctx, const char *why);
};

struct rv_election_shell {
    int64_t (*now_ms)(void *ctx); /* goes on while the machine sleeps */
    /* NULL: not at this time; it is asked again. */
    struct rv_zk *(*connect)(void *ctx, rv_zk_on_state on_state, void *state_ctx);
    /* rv_election_tick() is to be called then, instead of when it was asked for before; INT64_MAX:
     * not until the next word. */
    void (*wake)(void *ctx, int64_t at_ms);
    void (*release)(void *ctx); /* the election is freed */
};

/* Shell, handler and what ctx are stay; the path is copied. */
struct rv_election *rv_election_new(const struct rv_election_shell *shell, void *shell_ctx,
                                    const char *path, const struct rv_election_handler *handler,
                                    void *ctx);
void rv_election_tick(struct rv_election *e);
/* Ends the session, and a candidacy with it: others need not wait for its expiry. */
struct rv_election *rv_election_free(struct rv_election *e);

/* Becomes a candidate with this data, which is to be unlike any other candidate's ever. An older
 * candidacy ends first, without on_deposed. */
void rv_election_stand(struct rv_election *e, struct rv_str info);
void rv_election_withdraw(struct rv_election *e);

/* Whether it leads at this moment. */
bool rv_election_holds(const struct rv_election *e);
/* While it leads: the session, and the candidate's node. They are gone with on_deposed. */
struct rv_zk *rv_election_session(const struct rv_election *e);
const char *rv_election_node(const struct rv_election *e);

#endif
