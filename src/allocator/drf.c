/*
 * Dominant Resource Fairness (NSDI'11, sections 4 and 5) and strict priority.
 *
 * Shares are compared exactly. A weighted share is num / (den * weight); two of them compare as
 * num_a * den_b * weight_b against num_b * den_a * weight_a. The first two factors are below 2^63
 * each, a weight is below 2^50, so a product fits in 192 bits: 128 are enough when the weights are
 * equal, which is the common case; else the third factor is multiplied in by halves.
 *
 * Cost: a key is O(names); a comparison is two or six multiplications.
 */
#include "allocator/policy.h"

#include <string.h>

typedef unsigned __int128 u128;

/* Sign of x - y for products of three factors. */
static int compare_products(u128 x, uint64_t x3, u128 y, uint64_t y3) {
    u128 x_low = (u128)(uint64_t)x * x3, y_low = (u128)(uint64_t)y * y3;
    u128 x_high = (u128)(uint64_t)(x >> 64) * x3 + (x_low >> 64);
    u128 y_high = (u128)(uint64_t)(y >> 64) * y3 + (y_low >> 64);

    if (x_high != y_high)
        return x_high < y_high ? -1 : 1;
    if ((uint64_t)x_low != (uint64_t)y_low)
        return (uint64_t)x_low < (uint64_t)y_low ? -1 : 1;
    return 0;
}

static int compare_numbers(uint64_t a, uint64_t b) {
    return a == b ? 0 : a < b ? -1 : 1;
}

void rv_policy_dominant_share(int64_t *num, int64_t *den, const struct rv_policy_cluster *cluster,
                              const int64_t *quantity, size_t n) {
    *num = 0;
    *den = 1;
    if (n > cluster->n)
        n = cluster->n;
    for (size_t i = 0; i < n; i++) {
        if (quantity[i] <= 0 || cluster->total[i] <= 0 || cluster->excluded[i])
            continue;
        if ((u128)(uint64_t)quantity[i] * (uint64_t)*den >
            (u128)(uint64_t)*num * (uint64_t)cluster->total[i]) {
            *num = quantity[i];
            *den = cluster->total[i];
        }
    }
}

static void drf_key(struct rv_policy_key *out, const struct rv_policy_cluster *cluster,
                    const struct rv_policy_usage *usage) {
    rv_policy_dominant_share(&out->num, &out->den, cluster, usage->quantity, usage->n);
    out->weight = usage->weight;
    out->last = usage->last;
}

static int drf_compare(const struct rv_policy_key *a, const struct rv_policy_key *b) {
    u128 x = (u128)(uint64_t)a->num * (uint64_t)b->den;
    u128 y = (u128)(uint64_t)b->num * (uint64_t)a->den;

    if (a->weight != b->weight) {
        int order = compare_products(x, (uint64_t)b->weight, y, (uint64_t)a->weight);

        if (order)
            return order;
    } else if (x != y) {
        return x < y ? -1 : 1;
    }
    return compare_numbers(a->last, b->last);
}

static int priority_compare(const struct rv_policy_key *a, const struct rv_policy_key *b) {
    u128 x, y;

    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    x = (u128)(uint64_t)a->num * (uint64_t)b->den;
    y = (u128)(uint64_t)b->num * (uint64_t)a->den;
    if (x != y)
        return x < y ? -1 : 1;
    return compare_numbers(a->last, b->last);
}

const struct rv_policy rv_policy_drf = {"drf", drf_key, drf_compare};
const struct rv_policy rv_policy_priority = {"priority", drf_key, priority_compare};

const struct rv_policy *rv_policy_find(const char *name) {
    static const struct rv_policy *const all[] = {&rv_policy_drf, &rv_policy_priority};

    if (!name)
        return &rv_policy_drf;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    }
    return NULL;
}
