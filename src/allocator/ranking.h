/*
 * An ordered set of siblings: a treap whose nodes are also threaded in order, so that the next one
 * is a pointer away and moving one costs O(log n) expected. Intrusive: it owns nothing.
 * Priorities come from the order of insertion, so the shape is the same on every run.
 */
#ifndef RV_ALLOCATOR_RANKING_H
#define RV_ALLOCATOR_RANKING_H

#include "allocator/policy.h"

struct rv_rank {
    struct rv_rank *left, *right; /* in the treap */
    struct rv_rank *prev, *next;  /* in order */
    struct rv_policy_key key;     /* as of when it was put in or last moved */
    uint64_t order;               /* breaks ties: unique among siblings, set by the owner */
    uint64_t heap;                /* priority in the treap */
    bool in;
};

struct rv_ranking {
    struct rv_rank *root, *first, *last;
    size_t n;
    const struct rv_policy *policy;
};

void rv_rank_init(struct rv_rank *r, uint64_t order);
void rv_ranking_insert(struct rv_ranking *s, struct rv_rank *r, const struct rv_policy_key *key);
void rv_ranking_remove(struct rv_ranking *s, struct rv_rank *r);
/* Gives r, which is in, a new key, and moves it if it must. */
void rv_ranking_move(struct rv_ranking *s, struct rv_rank *r, const struct rv_policy_key *key);
/* Whether a comes before b. */
bool rv_rank_before(const struct rv_ranking *s, const struct rv_rank *a, const struct rv_rank *b);
/* For auditors: order, threads, heap property and count hold. */
bool rv_ranking_check(const struct rv_ranking *s);

#endif
