/*
 * The simulated world: virtual time, the heap of what is to happen, one source of randomness, and
 * the trace. Everything that happens in a run comes out of here in one order: by time, ties by
 * insertion; so a seed is a run.
 *
 * A party is a process (a master, an agent, a scheduler, an executor). What is planned for a life
 * of it does not happen in the next: a crash is `life++`. A frozen party's events wait until it
 * thaws. Costs: O(log n) an event.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/prng.h"
#include "base/str.h"
#include "base/vec.h"

#define SIM_TRACE_LINES 2048

struct sim_party {
    char name[32];
    int node; /* the machine it is on: what the network partitions */
    bool up;
    uint64_t life; /* never 0 */
    int64_t frozen_until_ms;
    int64_t wall_offset_ns;
};

typedef void (*sim_action)(void *ctx, uint64_t arg, void *data);

struct sim_event {
    int64_t at_ms;
    uint64_t order;
    struct sim_party *party; /* NULL: the world itself */
    uint64_t life;           /* 0: of any life */
    sim_action action;
    void *ctx;
    uint64_t arg;
    void *data;                 /* owned */
    void (*free_data)(void *p); /* NULL: free */
};

/* Probabilities are in thousandths; which are above 0 is chosen by the seed (swarm testing). */
struct sim_faults {
    int64_t latency_ms;          /* at most, of one message */
    unsigned message_slow;       /* a message takes up to ten seconds */
    unsigned connection_drop;    /* a message breaks its connection instead */
    unsigned connection_refused; /* a new connection fails */
    unsigned half_open;          /* one side of a broken connection hears of it late */
    unsigned partition;          /* a turn of the fault injector does it; so all below */
    unsigned slow_reader;
    unsigned freeze;
    unsigned wall_jump;
    unsigned crash_master, crash_agent, crash_scheduler, crash_executor;
    unsigned reboot;     /* an agent's crash takes the machine along */
    unsigned stop_agent; /* the operator ends an agent */
    unsigned flap;       /* an agent hears that there is no leader, for a while */
    unsigned duplicate;  /* a second SUBSCRIBE of the same framework */
    unsigned disk_fail;  /* a checkpoint cannot be written */
    unsigned disk_slow;
    unsigned bit_flip;  /* while an agent is down, a bit of its checkpoints turns over */
    unsigned disk_full; /* turns of the injector: all writes of an agent fail for a while */
    unsigned registry_fail, registry_slow, registry_stall;
    unsigned launch_fail, launch_slow, task_fail, executor_exit, oom;
    unsigned invalid_call;
    unsigned operate_agent, operate_machine; /* an operator does something about one */
    unsigned gone;                           /* ... for good */
    unsigned outage;                         /* many at once */
    unsigned zk_lag;                         /* a server of ZooKeeper hears of a write late */
    unsigned zk_refuse;                      /* a transaction is refused */
    unsigned crash_zk, zk_quorum;            /* a server ends; two of them do */
    unsigned stale_master;                   /* an agent hears on of a master that it gave up */
    unsigned masters_down;                   /* all of them, for minutes */
    unsigned other_flags; /* an agent is started as what it was not: it must refuse */
    unsigned quotas;      /* the operator asks for quotas of roles */
    unsigned operations;  /* resources are reserved, volumes made: not a fault, it goes on */
};

/* When who writes crashes: before it is taken, or sent; once it is durable, but not told; once that
 * is told, and what follows is done. */
enum sim_moment { SIM_BEFORE, SIM_DURABLE, SIM_ANSWERED, SIM_MOMENTS };

/* Masters tell so many states at once; 0: as many as they mostly do. */
#define SIM_RECONCILE_SLICE(w) ((w)->seed % 3 == 0 ? (size_t)8 : 0)

struct sim_world {
    uint64_t seed;
    struct rv_prng prng;
    int64_t now_ms;
    int64_t wall_base_ns;
    struct {
        struct sim_event *v;
        size_t n, cap;
    } heap;
    uint64_t next_order, next_number, n_events;
    uint64_t hash;
    struct sim_faults faults;
    bool healing;                /* the liveness phase: no faults any more */
    uint64_t n_writes;           /* checkpoints and changes of the registry that were asked for */
    RV_VEC(const char *) writes; /* of what kind each was */
    struct {
        uint64_t at; /* its number; 0: none */
        enum sim_moment moment;
        bool was_there; /* somebody has crashed */
    } crash_point;
    bool verbose;
    bool failed;
    char failure[1024];
    char (*lines)[256];
    uint64_t n_lines;
};

void sim_world_init(struct sim_world *w, uint64_t seed, bool verbose);
void sim_world_free(struct sim_world *w);

/* In delay_ms from now. Bound to the life that the party has now; with sim_at_any to none. data is
 * owned, freed by free() if the action does not happen; else it is the action's. */
void sim_at(struct sim_world *w, struct sim_party *party, int64_t delay_ms, sim_action action,
            void *ctx, uint64_t arg, void *data);
void sim_at_any(struct sim_world *w, struct sim_party *party, int64_t delay_ms, sim_action action,
                void *ctx, uint64_t arg, void *data);
/* The world's own, with data that is freed by free_data if it does not happen. */
void sim_at_owned(struct sim_world *w, int64_t delay_ms, sim_action action, void *ctx, void *data,
                  void (*free_data)(void *p));
/* The next event, if there is one until until_ms; false: the time is until_ms. */
bool sim_run_one(struct sim_world *w, int64_t until_ms);

int64_t sim_wall_ns(const struct sim_world *w, const struct sim_party *p);
void sim_party_init(struct sim_world *w, struct sim_party *p, int node, const char *format, ...)
    RV_PRINTF(4, 5);

uint64_t sim_below(struct sim_world *w, uint64_t bound);
int64_t sim_between(struct sim_world *w, int64_t least, int64_t most); /* both possible */
bool sim_chance(struct sim_world *w, unsigned per_mille);
/* A fault's: never in the liveness phase. */
bool sim_fault(struct sim_world *w, unsigned per_mille);
uint64_t sim_number(struct sim_world *w); /* unique, never 0 */
/* A write is asked for: its number. kind: not copied. */
uint64_t sim_write(struct sim_world *w, const char *kind);
/* Whether who writes crashes now. */
bool sim_crashes(struct sim_world *w, uint64_t write, enum sim_moment moment);

/* One line of the trace; part of the hash. */
void sim_trace(struct sim_world *w, const struct sim_party *p, const char *format, ...)
    RV_PRINTF(3, 4);
/* The run is over: the first failure counts. Begins with the line of spec it breaks ("INV-26"). */
void sim_fail(struct sim_world *w, const char *format, ...) RV_PRINTF(2, 3);

#endif
