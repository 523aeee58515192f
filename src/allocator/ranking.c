/*
 * The treap. What always holds: in order by key, then by `order`; a node's priority is not below
 * that of its children; first, last, prev and next thread the nodes in order; n counts them.
 */
#include "allocator/ranking.h"

#include "base/assert.h"

static uint64_t mix(uint64_t x) {
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void rv_rank_init(struct rv_rank *r, uint64_t order) {
    *r = (struct rv_rank){.order = order, .heap = mix(order), .key = {.den = 1}};
}

bool rv_rank_before(const struct rv_ranking *s, const struct rv_rank *a, const struct rv_rank *b) {
    int order = s->policy->compare(&a->key, &b->key);

    return order < 0 || (order == 0 && a->order < b->order);
}

void rv_ranking_insert(struct rv_ranking *s, struct rv_rank *r, const struct rv_policy_key *key) {
    struct rv_rank **slot = &s->root, **left = &r->left, **right = &r->right, *t, *prev = NULL,
                   *next = NULL;

    RV_ASSERT(!r->in);
    r->key = *key;
    while ((t = *slot) && t->heap >= r->heap) {
        if (rv_rank_before(s, t, r)) {
            prev = t;
            slot = &t->right;
        } else {
            next = t;
            slot = &t->left;
        }
    }
    *slot = r;
    while (t) { /* split what hung there by the new key */
        if (rv_rank_before(s, t, r)) {
            prev = *left = t;
            left = &t->right;
            t = t->right;
        } else {
            next = *right = t;
            right = &t->left;
            t = t->left;
        }
    }
    *left = *right = NULL;
    r->prev = prev;
    r->next = next;
    *(prev ? &prev->next : &s->first) = r;
    *(next ? &next->prev : &s->last) = r;
    r->in = true;
    s->n++;
}

void rv_ranking_remove(struct rv_ranking *s, struct rv_rank *r) {
    struct rv_rank **slot = &s->root, *left, *right;

    RV_ASSERT(r->in);
    while (*slot != r) {
        RV_ASSERT(*slot);
        slot = rv_rank_before(s, r, *slot) ? &(*slot)->left : &(*slot)->right;
    }
    left = r->left;
    right = r->right;
    while (left && right) {
        if (left->heap >= right->heap) {
            *slot = left;
            slot = &left->right;
            left = left->right;
        } else {
            *slot = right;
            slot = &right->left;
            right = right->left;
        }
    }
    *slot = left ? left : right;
    *(r->prev ? &r->prev->next : &s->first) = r->next;
    *(r->next ? &r->next->prev : &s->last) = r->prev;
    r->left = r->right = r->prev = r->next = NULL;
    r->in = false;
    s->n--;
}

void rv_ranking_move(struct rv_ranking *s, struct rv_rank *r, const struct rv_policy_key *key) {
    struct rv_policy_key old = r->key;

    r->key = *key;
    if ((!r->prev || rv_rank_before(s, r->prev, r)) && (!r->next || rv_rank_before(s, r, r->next)))
        return;
    r->key = old;
    rv_ranking_remove(s, r);
    rv_ranking_insert(s, r, key);
}

bool rv_ranking_check(const struct rv_ranking *s) {
    const struct rv_rank *prev = NULL;
    size_t n = 0;

    for (const struct rv_rank *r = s->first; r; prev = r, r = r->next) {
        if (!r->in || r->prev != prev || (prev && !rv_rank_before(s, prev, r)))
            return false;
        if ((r->left && (r->left->heap > r->heap || !rv_rank_before(s, r->left, r))) ||
            (r->right && (r->right->heap > r->heap || !rv_rank_before(s, r, r->right))))
            return false;
        if (++n > s->n)
            return false;
    }
    return prev == s->last && n == s->n && (n == 0) == (s->root == NULL);
}
