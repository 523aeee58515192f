/*
 * The master's shell: turns HTTP requests into events for the core, and its effects into answers,
 * event streams, registry writes and log lines. Branches on nothing of the domain.
 */
#ifndef RV_DAEMON_MASTER_DAEMON_H
#define RV_DAEMON_MASTER_DAEMON_H

#include "daemon/flags.h"
#include "daemon/shell.h"
#include "daemon/timing.h"
#include "io/election.h"
#include "io/registry.h"
#include "master/master.h"
#include "master/records.h"

/* A write to the registry, and when it began. */
struct rv_master_store {
    uint64_t seq, began_ns;
};

struct rv_master_daemon {
    uv_loop_t *loop;
    struct rv_shell shell;
    const struct rv_master_flags *flags;
    struct rv_master *core;
    struct rv_effects effects;
    struct rv_arena arena;   /* of the request under way */
    struct rv_arena scratch; /* of the encoding under way */
    struct rv_buf encoded;
    struct rv_registry *registry;      /* NULL: this master does not lead */
    struct rv_registry_loaded *loaded; /* while the registry is read */
    struct rv_blob *info;              /* packed MasterInfo of `id` */
    struct rv_error *start_err;        /* while it starts alone: where a failure goes */
    struct rv_zk_url zk;
    struct rv_election *election; /* NULL: it is alone, and leads */
    uv_timer_t *stand_again;
    struct rv_address leader; /* as far as known; host NULL: none */
    bool leader_is_us;
    struct rv_map waiting; /* rv_http_request, by itself: of agents, for their turn */
    size_t waiting_bytes;  /* of their bodies */
    uint64_t turned_away;  /* because too much waits */
    uv_idle_t *turn;       /* runs while some wait and can be served */
    int64_t turn_end_ms;   /* agents that come later in this iteration of the loop must wait; 0:
                              none has come in it */
    bool serving_waiting;
    uv_timer_t *timer;       /* the core's next deadline */
    uv_check_t *polled;      /* executes what the registry answered */
    struct rv_map operators; /* operator streams: 8-byte number -> 1 */
    struct rv_map pending;   /* 8-byte request number -> struct rv_master_pending */
    RV_VEC(uint64_t)
    registry_done; /* answers of the registry that the core has not seen; bit 63: failed */
    RV_VEC(uint64_t) closed;        /* streams that were closed within a step */
    struct rv_master_batch *batch;  /* of agent calls, under way */
    struct rv_snapshots *snapshots; /* large answers being made */
    char *hostname, *ip, id[37];
    uint16_t port;
    int64_t started_ns; /* wall clock */
    uint64_t bytes_in;
    bool stepping;
    struct { /* how long what took; of this leadership */
        struct rv_timing passes, passes_waited, stores;
        uint64_t fetch_began_ns, fetched_ns;    /* the registry; fetched_ns 0: not yet */
        RV_VEC(struct rv_master_store) storing; /* in the order of their answers */
        size_t n_stored;                        /* of these */
    } times;
    /* Called once when it cannot go on. */
    void (*on_exit)(void *ctx, int status, const char *why);
    void *exit_ctx;
};

/* Starts to listen and to lead. flags must outlive it. */
RV_MUST_USE int rv_master_daemon_start(uv_loop_t *loop, const struct rv_master_flags *flags,
                                       void (*on_exit)(void *ctx, int status, const char *why),
                                       void *exit_ctx, struct rv_master_daemon **out,
                                       struct rv_error *err);
uint16_t rv_master_daemon_port(const struct rv_master_daemon *d);
/* Ends streams, closes the registry; afterwards the loop has nothing of it but closing handles. */
struct rv_master_daemon *rv_master_daemon_stop(struct rv_master_daemon *d);

/* --- between the files of the shell --- */
/* Sets the timer to the core's next deadline. */
void rv_master_daemon_arm(struct rv_master_daemon *d);
/* This process cannot go on: on_exit. */
void rv_master_daemon_fail(struct rv_master_daemon *d, const struct rv_error *err);

/* What a request asks for. */
void rv_master_daemon_handle(struct rv_master_daemon *d, struct rv_http_request *req);
/* Frees the core; what waits for it is answered by 503 and `why`, its streams are cut off. */
void rv_master_daemon_drop(struct rv_master_daemon *d, const char *why);

/* master_lead.c: leads, or stands for election. */
RV_MUST_USE int rv_master_lead_start(struct rv_master_daemon *d, struct rv_error *err);
/* Reads the registry (which it owns from now on) and makes a core of it. */
void rv_master_lead_begin(struct rv_master_daemon *d, struct rv_registry *registry);
void rv_master_lead_end(struct rv_master_daemon *d, const char *why);
void rv_master_lead_new_id(struct rv_master_daemon *d);
/* Whether it leads at this moment: to be asked before anything that only a leader does (INV-1). */
bool rv_master_leads(const struct rv_master_daemon *d);

/* master_election.c: one of several masters. */
RV_MUST_USE int rv_master_election_start(struct rv_master_daemon *d, struct rv_error *err);
void rv_master_election_stop(struct rv_master_daemon *d);
/* Leadership has ended on its own side. */
void rv_master_election_give_up(struct rv_master_daemon *d, const struct rv_error *err);

/* master_standby.c */
void rv_master_standby_leader(struct rv_master_daemon *d, struct rv_str info);
void rv_master_standby_answer(struct rv_master_daemon *d, struct rv_http_request *req,
                              const char *path);
/* 307 to that master's target, which is a path, or nothing. */
void rv_master_redirect(struct rv_http_request *req, const struct rv_address *to,
                        const char *target);

/* master_waiting.c */
/* Whether an agent's call can be handled at once, and a master that leads must. */
bool rv_master_has_turn(struct rv_master_daemon *d, struct rv_http_request *req);
void rv_master_wait(struct rv_master_daemon *d, struct rv_http_request *req);
/* This master leads now: those that wait are served. */
void rv_master_waiting_resume(struct rv_master_daemon *d);
void rv_master_waiting_refuse(struct rv_master_daemon *d, const char *why); /* all, by 503 */

/* --- used by the endpoints of the operator API and the legacy ones --- */
/* Runs one event through the core and executes what comes out. */
void rv_master_daemon_step(struct rv_master_daemon *d, struct rv_master_event *event);
/* Keeps a request for the core to answer by this number; `operator_`: it is to become an operator's
 * event stream, with events in `encoding`. */
uint64_t rv_master_daemon_park(struct rv_master_daemon *d, struct rv_http_request *req,
                               enum rv_encoding encoding, bool operator_);
/* POST /api/v1 (master_operator.c). */
void rv_master_operator_handle(struct rv_master_daemon *d, struct rv_http_request *req);
/* GET endpoints: /state and the like, /metrics, /files (master_legacy.c). false: no such path. */
bool rv_master_legacy_handle(struct rv_master_daemon *d, struct rv_http_request *req,
                             const char *path);
/* Encodes an operator event (the snapshot too) for a stream (master_views.c). */
void rv_master_operator_event_encode(struct rv_master_daemon *d,
                                     const struct rv_operator_event *event,
                                     enum rv_encoding encoding, struct rv_arena *scratch,
                                     struct rv_buf *out);

#endif
