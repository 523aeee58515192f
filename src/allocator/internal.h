/*
 * The allocator's own records. Private to src/allocator.
 *
 * Who owns what: the allocator owns agents, frameworks (with their clients), roles and kinds; an
 * agent owns its filters; all else are borrowed pointers between them. A pointer between records
 * is cleared before its target goes.
 */
#ifndef RV_ALLOCATOR_INTERNAL_H
#define RV_ALLOCATOR_INTERNAL_H

#include "allocator/allocator.h"
#include "allocator/ranking.h"
#include "base/assert.h"
#include "base/fixed.h"
#include "base/list.h"
#include "base/map.h"
#include "base/prng.h"
#include "base/vec.h"

#define NAMES_INLINE 4 /* cpus, mem, disk and gpus fit without a further block */

/* --- kinds.c: kinds made the same pointer, so that offers are built by copying pointers --- */

enum cell_flag { /* what a framework must be capable of to be given it */
                 CELL_REVOCABLE = 1,
                 CELL_SHARED = 2,
                 CELL_REFINED = 4, /* more than one reservation */
                 CELL_CLASSES = 8
};

/* An interned kind: not allocated (base == itself, role NULL), or allocated to a role. Lives while
 * somebody but the table holds the kind. */
struct cell {
    struct rv_kind *kind; /* a reference */
    struct cell *base;
    struct role *role;      /* allocated to; pinned */
    struct role *reserved;  /* base: the innermost reservation's role, NULL: none; pinned */
    uint32_t name;          /* base: index of the resource name */
    uint32_t id;            /* base: unique while it lives */
    uint8_t flags;          /* base: of enum cell_flag */
    bool counts;            /* base: a scalar that is not revocable: part of shares */
    struct cell *last;      /* base: the allocated one asked for last */
    uint32_t n_allocated;   /* base: cells allocated from it */
    struct cell *next_kind; /* chain in by_kind */
    struct cell *next_role; /* chain in by_role */
};

struct name {
    char *name;    /* NULL: free */
    uint32_t pins; /* base cells and minimal amounts that refer to it */
};

struct kinds {
    struct cell **by_kind, **by_role; /* chained hash tables of `cap` each */
    size_t n, cap, sweep_at;
    uint32_t next_id;
    RV_VEC(struct name) names;
};

/* --- roles.c --- */

struct usage {
    int64_t *q; /* thousandths by name index; own, or in_place */
    uint32_t n;
    uint64_t last; /* allocation that it was given something in: see policy.h */
    int64_t in_place[NAMES_INLINE];
};

/* --- quota.c --- */

struct bound {
    uint32_t name;       /* pinned */
    int64_t guarantee;   /* 0: none */
    int64_t limit;       /* INT64_MAX: none */
    int64_t unsatisfied; /* of the guarantee; as of the pass under way */
};

struct quota {
    struct bound *v;
    size_t n;
    bool guaranteed; /* one of them is a guarantee */
};

/* A role, known because a framework has it, resources name it, or it has a weight or quota; also
 * all roles above those. The root is the role "". */
struct role {
    struct role *parent;
    struct role *top; /* the topmost role above it, or itself; NULL: the root */
    char *name;
    uint32_t id;
    uint32_t pins;    /* children, clients, cells, a weight, a quota */
    size_t n_filters; /* of frameworks directly in the role */
    int64_t weight;   /* millionths */
    bool weighted;
    struct rv_rank rank;       /* in parent->order, while anything active is below */
    struct rv_ranking order;   /* child roles, and own_rank while clients is not empty */
    struct usage usage;        /* this role and all below */
    struct rv_rank own_rank;   /* stands for the frameworks directly in the role */
    struct usage own;          /* by frameworks directly in the role, also those removed since */
    struct rv_ranking clients; /* frameworks that want offers */
    uint64_t visited;          /* the last visit that asked its frameworks */
    uint64_t walked;           /* the last visit that went through it and all below */
    struct quota *quota;       /* NULL: none */
    /* Of the root and the topmost roles: by name, how much is reserved to it and the roles below
     * and not in use. NULL: nothing ever was. */
    struct usage *held;
};

/* A set of minimal amounts: all must be reached. */
struct minimum {
    struct {
        uint32_t name;
        int64_t amount;
    } * v;
    size_t n;
};
struct minima { /* any one will do; none: anything not empty */
    struct minimum *v;
    size_t n;
};

/* A framework in one role. What a look at it in a pass needs comes first and lies together: they
 * are asked in any order, so each line of memory is a cache miss. */
struct client {
    struct framework *framework;
    struct filter *filters; /* list by next, prev */
    struct minima *minima;  /* NULL: the global ones */
    uint32_t id;
    bool subscribed; /* else it only has resources of the role left */
    bool suppressed;
    struct rv_rank rank; /* in role->clients while it wants offers */
    struct role *role;   /* pinned */
    struct usage usage;
    uint32_t n_uses; /* agents where it uses something */
    /* Whether agents satisfy the constraints, found once: two bits an agent by index; 0: not yet
     * known, else enum fit. Matching is dear, and unlike a filter a mismatch does not go away. */
    uint8_t *fits;
    size_t n_fits;         /* bytes */
    struct rv_list fitted; /* in allocator->fitted while fits is not NULL */
};

struct framework {
    void *handle;
    bool active;
    uint8_t class; /* of enum cell_flag: what it may be given */
    bool gpus, region_aware;
    struct rv_offer_constraints *constraints;
    RV_VEC(struct client *) clients;
};

/* --- filters.c --- */

/* What was refused: kinds not allocated, interned. Shared by all filters of the agent that refuse
 * the same. */
struct refused {
    uint32_t refs;
    struct rv_resources resources;
};

struct filter {
    struct client *client;
    struct agent *agent;
    struct refused *refused;
    int64_t until_ms;
    struct filter *prev, *next; /* of the client */
    size_t position;            /* in the heap */
};

struct filter_entry { /* in an agent's table; a client may have several */
    uint32_t client;  /* id */
    struct filter *filter;
    struct refused *refused;
};

struct filters { /* all of them, the first to expire on top */
    struct {
        int64_t until_ms;
        struct filter *filter;
    } * v;
    size_t n, cap;
};

/* --- agents --- */

/* One element of the agent's total, and how much of it is free. */
struct slot {
    struct cell *cell; /* base */
    union {            /* shared: always all */
        int64_t scalar;
        struct rv_ranges ranges;
        struct rv_set set;
    } free;
};
_Static_assert(offsetof(struct rv_ranges, n) == offsetof(struct rv_set, n), "one look for both");

static inline bool rv_slot_empty(const struct slot *s) {
    return s->cell->kind->type == RV_SCALAR ? s->free.scalar == 0 : s->free.ranges.n == 0;
}

/* What one client uses on one agent. A shared resource is charged to it once, however many copies
 * it uses. */
struct use {
    struct client *client;         /* NULL: of frameworks not known (any more), of any role */
    struct rv_resources resources; /* interned, allocated kinds; never empty */
};

#define SLOTS_INLINE 4 /* cpus, mem, disk and ports need no further block */

/* What a pass touches comes first and lies together: agents come in random order, so each line of
 * memory is a cache miss. */
struct agent {
    void *handle;
    struct slot *slots;       /* in_place, or of its own */
    uint32_t n_slots, n_free; /* n_free: slots with something free */
    uint32_t index;           /* in allocator->agents */
    bool active, gpus, remote;
    bool memory_taken;
    bool overused; /* more in use than there is: free is computed anew on each release */
    uint32_t n_uses, cap_uses;
    uint32_t n_filters, cap_filters; /* a power of two */
    struct use *uses;                /* &first, or of its own */
    struct use first;
    struct slot in_place[SLOTS_INLINE];
    struct rv_resource memory[SLOTS_INLINE]; /* of one of the uses, if memory_taken */
    struct filter_entry *filters;
    struct refused *refused;   /* the last that was made */
    struct rv_resources total; /* interned kinds */
    struct rv_resources sum;   /* of uses, as last asked for */
    struct rv_attributes attributes;
    char *hostname, *region, *zone;
    struct rv_list inactive; /* in allocator->inactive, unless active */
};

struct candidate { /* what a client of some class would be offered */
    uint64_t stamp;
    uint32_t *slots;
    size_t n, cap;
    bool worth; /* by the global minima */
    const struct refused *compared;
    bool contained;
};

struct frame {
    struct role *role;
    struct rv_rank *next;
};

struct rv_allocator {
    const struct rv_policy *policy;
    struct rv_prng prng;
    unsigned slice;
    bool offer_gpus_to_all;
    char *region;
    struct minima minima;
    char **exclude;
    size_t n_exclude;

    struct kinds kinds;
    int64_t *total; /* by name index, cap_names of them */
    bool *excluded;
    size_t cap_names;

    struct rv_map roles; /* name -> role */
    struct role *root;
    uint64_t next_order;
    uint64_t n_allocations; /* so far */
    uint32_t next_role, next_client;
    bool dirty; /* the totals changed: keys and orders are to be made anew */

    struct rv_map frameworks, by_agent; /* handle -> */
    RV_VEC(struct agent *) agents;      /* by index, with holes */
    RV_VEC(uint32_t) holes;
    struct rv_list fitted; /* clients with constraints that were matched */
    /* Active agents with something free, the marked ones first; and where each agent stands. */
    uint32_t *available, *position;
    size_t n_available, n_marked;

    struct filters filters;

    struct rv_list inactive; /* agents */
    struct {
        RV_VEC(struct role *) all, guaranteed; /* roles with quota; those with a guarantee */
        /* All below is of the pass under way. */
        RV_VEC(struct role *) lacking; /* that want offers and have less than their guarantee */
        int64_t *required;             /* by name: what guarantees are not satisfied */
        int64_t *idle;                 /* by name: free on agents that are not offered */
        size_t cap_names;
        RV_VEC(struct agent *) agents; /* to be visited in both stages */
        RV_VEC(int64_t) aside;         /* by slot of the agent: not for the role that is asked */
    } quota;

    struct candidate candidates[CELL_CLASSES];
    RV_VEC(struct frame) frames;         /* of the walk through the roles */
    RV_VEC(const struct slot *) offered; /* shared ones, in this visit */
    uint64_t stamp, visit;
    char *breach;
};

#define NOWHERE UINT32_MAX

/* kinds.c */
struct cell *rv_kinds_base(struct rv_allocator *a, const struct rv_kind *kind);
struct cell *rv_kinds_allocated(struct rv_allocator *a, struct cell *base, struct role *role);
uint32_t rv_kinds_name(struct rv_allocator *a, const char *name); /* pins it */
void rv_kinds_unpin_name(struct rv_allocator *a, uint32_t name);
void rv_kinds_sweep(struct rv_allocator *a);
void rv_kinds_free(struct rv_allocator *a);

/* roles.c */
struct role *rv_roles_get(struct rv_allocator *a, const char *name); /* makes and pins it */
void rv_roles_unpin(struct rv_allocator *a, struct role *role);
void rv_roles_free(struct rv_allocator *a);
void rv_roles_set_weight(struct rv_allocator *a, struct role *role, double weight);
void rv_roles_want(struct rv_allocator *a, struct client *c, bool wants);
/* The amount is counted on c (may be NULL), the role and above, or taken off. */
void rv_roles_charge(struct rv_allocator *a, struct client *c, struct role *role,
                     const struct cell *base, int64_t amount);
/* So much more is reserved to the role and not in use. */
void rv_roles_hold(struct role *role, uint32_t name, int64_t amount);
/* After charges: counts the allocation if there was one and moves what changed its rank. */
void rv_roles_settle(struct rv_allocator *a, struct client *c, struct role *role, bool allocated);
void rv_roles_renew(struct rv_allocator *a); /* if dirty */
void rv_usage_init(struct usage *u);
void rv_usage_free(struct usage *u);
struct rv_policy_cluster rv_roles_cluster(const struct rv_allocator *a);

/* quota.c: see there */
void rv_quota_begin(struct rv_allocator *a);
/* The roles that lack something, in the order in which they are to be asked; how many. */
size_t rv_quota_lacking(struct rv_allocator *a);
bool rv_quota_set_aside(struct rv_allocator *a, struct agent *agent, const struct role *role,
                        bool first);
void rv_quota_put_back(struct rv_allocator *a, struct agent *agent);
void rv_quota_allocated(struct rv_allocator *a, const struct role *role);
void rv_quota_free_all(struct rv_allocator *a);

/* filters.c */
void rv_filters_add(struct rv_allocator *a, struct client *c, struct agent *agent,
                    const struct rv_resources *refused, int64_t until_ms);
void rv_filters_drop_client(struct rv_allocator *a, struct client *c);
void rv_filters_drop_agent(struct rv_allocator *a, struct agent *agent);
struct filter *rv_filters_pop(struct rv_allocator *a, int64_t now_ms); /* detached, for free() */
void rv_refused_unref(struct refused *r);
static inline uint32_t rv_filters_bucket(const struct agent *agent, uint32_t client) {
    return (client * UINT32_C(2654435769) >> 7) & (agent->cap_filters - 1);
}

/* agents.c */
void rv_agents_place(struct rv_allocator *a, struct agent *agent); /* into or out of available */
void rv_agents_swap(struct rv_allocator *a, size_t i, size_t j);   /* two of available */
void rv_agents_mark(struct rv_allocator *a, struct agent *agent);
void rv_agents_unmark(struct rv_allocator *a, struct agent *agent);
void rv_agents_compute_free(struct rv_allocator *a, struct agent *agent);
/* Takes r off what is free; false if it was not all there. */
bool rv_agents_take(struct agent *agent, const struct cell *base, const struct rv_resource *r);
/* Only if not overused: what comes back was taken from the same element. */
void rv_agents_give_back(struct agent *agent, const struct cell *base, const struct rv_resource *r);
void rv_agents_free_all(struct rv_allocator *a);
void rv_agents_free_one(struct agent *agent); /* its memory alone */
struct agent *rv_agents_find(const struct rv_allocator *a, const void *handle);

/* booking.c */
/* Books r, allocated to c and interned, on the agent. Free amounts are the caller's, and charging
 * what is not shared, for it knows the cells. Takes r over, and returns where it is, unless the
 * client uses something there already: then it is added to that, and r is returned. */
const struct rv_resources *rv_booking_add(struct rv_allocator *a, struct agent *agent,
                                          struct client *c, struct rv_resources *r);
/* Resources whose elements may lie in the agent: to be freed so, and moved before they grow. */
void rv_booking_free(struct agent *agent, struct rv_resources *r);
void rv_booking_drop_agent(struct rv_allocator *a, struct agent *agent);
void rv_booking_orphan(struct rv_allocator *a, struct client *c);

/* frameworks.c */
struct framework *rv_frameworks_find(const struct rv_allocator *a, const void *handle);
struct client *rv_frameworks_client(struct rv_allocator *a, struct framework *f, struct role *role);
void rv_frameworks_collect(struct rv_allocator *a, struct client *c); /* frees it if of no use */
/* Whether the agent satisfies the framework's constraints for the role. */
bool rv_frameworks_fits(struct rv_allocator *a, struct client *c, const struct agent *agent);
void rv_frameworks_forget_agent(struct rv_allocator *a, const struct agent *agent);
void rv_frameworks_free_all(struct rv_allocator *a);
void rv_minima_free(struct rv_allocator *a, struct minima *m);
void rv_minima_init(struct rv_allocator *a, struct minima *m, const struct rv_quantities *any,
                    size_t n);

static inline struct rv_str rv_handle_key(void *const *handle) {
    return rv_strn(handle, sizeof *handle);
}

#endif
