/*
 * What a policy decides: in which order roles, and the frameworks within a role, are asked whether
 * they take an agent's free resources. The allocator keeps the books (who uses how much of what)
 * and the ordered sets; a policy turns the books of one node into a key, and compares two keys.
 * Both functions are pure: same input, same answer. Equal keys go by order of insertion.
 *
 * A node is a role with everything below it, the frameworks directly in a role that also has roles
 * below it (they compete with those as one more child, with weight 1), or a framework in a role
 * (weight 1).
 */
#ifndef RV_ALLOCATOR_POLICY_H
#define RV_ALLOCATOR_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Weights are kept in millionths: at least 1, at most RV_WEIGHT_MAX. */
#define RV_WEIGHT_ONE 1000000
#define RV_WEIGHT_MAX (INT64_C(1000000000000000))

/* Sums over all agents by resource name (a dense index), in thousandths. */
struct rv_policy_cluster {
    const int64_t *total;
    const bool *excluded; /* names left out of dominant shares */
    size_t n;
};

struct rv_policy_usage {
    const int64_t *quantity; /* thousandths, by the same index; those at n and beyond are zero */
    size_t n;
    int64_t weight; /* millionths */
    /* When the node was last given something: the number of that allocation among all, from 1; 0:
     * never. */
    uint64_t last;
};

/* A policy's key: the fields mean what the policy says. */
struct rv_policy_key {
    int64_t num, den; /* den > 0 */
    int64_t weight;
    uint64_t last;
};

struct rv_policy {
    const char *name;
    void (*key)(struct rv_policy_key *out, const struct rv_policy_cluster *cluster,
                const struct rv_policy_usage *usage);
    /* < 0: a is asked before b. A total preorder. */
    int (*compare)(const struct rv_policy_key *a, const struct rv_policy_key *b);
};

/* NULL: no such policy. A name of NULL gives the default, "drf". */
const struct rv_policy *rv_policy_find(const char *name);

/* Smallest weighted dominant share first; then who was not given anything for longest, so that
 * those who hold the same, above all nothing, take turns, however much came to them in the past. */
extern const struct rv_policy rv_policy_drf;
/* Largest weight first, however much it has; within a weight as "drf" without weights. */
extern const struct rv_policy rv_policy_priority;

/* num/den of the dominant share: the largest share of any resource that counts; 0/1 if none. */
void rv_policy_dominant_share(int64_t *num, int64_t *den, const struct rv_policy_cluster *cluster,
                              const int64_t *quantity, size_t n);

#endif
