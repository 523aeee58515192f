/*
 * The allocator against naive models: random operations, after each of which the auditor looks and
 * the model knows who may have what; and the choice of the first among random trees of roles, which
 * a plain recursion over shares makes as well.
 */
#include "allocator_world.h"

/* --- random operations --- */

enum { FRAMEWORKS = 8, AGENTS = 6, HELD = 400, REFUSALS = 4000 };

struct naive_filter {
    int framework, agent;
    char role[32];
    struct rv_resources refused;
    int64_t until;
};

/* What the test knows by itself: who exists, what is held, what was refused until when. */
struct naive {
    struct rv_prng p;
    int64_t now;
    bool framework[FRAMEWORKS], active[FRAMEWORKS], agent[AGENTS], up[AGENTS];
    bool suppressed[FRAMEWORKS][4];
    unsigned roles[FRAMEWORKS]; /* bits */
    struct rv_resources total[AGENTS];
    struct offer held[HELD];
    size_t n_held;
    struct naive_filter filters[REFUSALS];
    size_t n_filters;
    uint64_t trace;
};

static const char *const role_names[4] = {"*", "a", "a/x", "b"};

static void naive_free_of(const struct naive *m, int agent, struct rv_resources *out) {
    rv_resources_copy(out, &m->total[agent]);
    for (size_t i = 0; i < m->n_held; i++) {
        struct rv_resources plain = {0};

        if (m->held[i].agent != agent)
            continue;
        rv_resources_copy(&plain, &m->held[i].resources);
        rv_resources_allocate(&plain, NULL);
        assert_true(rv_resources_contains(out, &plain)); /* INV-26 */
        rv_resources_subtract(out, &plain);
        rv_resources_free(&plain);
    }
}

static bool for_role(const struct rv_kind *k, const void *role) {
    return !rv_kind_is_reserved(k) || rv_role_within(role, rv_kind_reserved_role(k));
}

static bool naive_wants(const struct naive *m, int f, int role) {
    return m->framework[f] && m->active[f] && (m->roles[f] & 1u << role) && !m->suppressed[f][role];
}

static bool naive_refuses(const struct naive *m, int f, const char *role, int agent,
                          const struct rv_resources *plain) {
    for (size_t i = 0; i < m->n_filters; i++) {
        const struct naive_filter *x = &m->filters[i];

        if (x->framework == f && x->agent == agent && x->until > m->now &&
            strcmp(x->role, role) == 0 && rv_resources_contains(&x->refused, plain))
            return true;
    }
    return false;
}

static void naive_drop_filters(struct naive *m, int f, int agent, const char *role) {
    size_t n = 0;

    for (size_t i = 0; i < m->n_filters; i++) {
        struct naive_filter *x = &m->filters[i];

        if ((f < 0 || x->framework == f) && (agent < 0 || x->agent == agent) &&
            (!role || strcmp(x->role, role) == 0))
            rv_resources_free(&x->refused);
        else
            m->filters[n++] = *x;
    }
    m->n_filters = n;
}

/* Each offer was allowed, and when all is done nobody is left who should have been offered more. */
static void naive_pass(struct world *w, struct naive *m) {
    rv_allocator_mark_all(w->a);
    pass_at(w, m->now);
    for (size_t i = 0; i < w->n; i++) {
        struct offer *o = &w->offers[i];
        struct rv_resources plain = {0};
        int role = 0;

        while (strcmp(role_names[role], o->role) != 0)
            role++;
        assert_true(m->agent[o->agent] && m->up[o->agent] && naive_wants(m, o->framework, role));
        rv_resources_copy(&plain, &o->resources);
        rv_resources_allocate(&plain, NULL);
        assert_false(naive_refuses(m, o->framework, o->role, o->agent, &plain));
        for (size_t j = 0; j < plain.n; j++)
            assert_true(for_role(plain.v[j].kind, o->role));
        rv_resources_free(&plain);
        m->trace = m->trace * 31 + (uint64_t)(o->framework * 100 + o->agent * 10 + role);
        assert_true(m->n_held < HELD);
        m->held[m->n_held++] = *o;
    }
    w->n = 0;
    for (int g = 0; g < AGENTS; g++) {
        struct rv_resources left = {0}, mine = {0};

        if (!m->agent[g])
            continue;
        naive_free_of(m, g, &left);
        for (int f = 0; m->up[g] && f < FRAMEWORKS; f++) {
            for (int role = 0; role < 4; role++) {
                if (!naive_wants(m, f, role))
                    continue;
                rv_resources_filter(&mine, &left, for_role, role_names[role]);
                assert_true(mine.n == 0 || naive_refuses(m, f, role_names[role], g, &mine));
            }
        }
        rv_resources_free(&left);
        rv_resources_free(&mine);
    }
}

static void naive_release(struct world *w, struct naive *m, size_t i) {
    struct offer *o = &m->held[i];
    int64_t until = 0;

    if (rv_prng_below(&m->p, 2) == 0) { /* keep a part: the rest is released */
        struct rv_resources part = {0};

        rv_resources_add_one(&part, &o->resources.v[rv_prng_below(&m->p, o->resources.n)]);
        if (part.v[0].kind->type == RV_SCALAR && part.v[0].scalar > 1000)
            part.v[0].scalar = 1000;
        rv_allocator_release(w->a, &w->g[o->agent], &w->f[o->framework], &part, m->now, 0);
        rv_resources_subtract(&o->resources, &part);
        rv_resources_free(&part);
        if (o->resources.n)
            return;
    } else {
        if (rv_prng_below(&m->p, 2) == 0)
            until = m->now + 1 + (int64_t)rv_prng_below(&m->p, 50);
        rv_allocator_release(w->a, &w->g[o->agent], &w->f[o->framework], &o->resources, m->now,
                             until);
        for (int role = 0; until && role < 4; role++) {
            struct naive_filter *x = &m->filters[m->n_filters];

            if (strcmp(role_names[role], o->role) != 0 || !m->framework[o->framework] ||
                !m->active[o->framework] || !(m->roles[o->framework] & 1u << role))
                continue;
            assert_true(m->n_filters++ < REFUSALS);
            *x = (struct naive_filter){o->framework, o->agent, "", {0}, until};
            memcpy(x->role, o->role, sizeof x->role);
            rv_resources_copy(&x->refused, &o->resources);
            rv_resources_allocate(&x->refused, NULL);
        }
    }
    rv_resources_free(&o->resources);
    m->held[i] = m->held[--m->n_held];
}

static void naive_agent(struct world *w, struct naive *m, int g) {
    static const char *const totals[] = {"cpus:4;mem:100", "cpus:8;mem:64;ports:[1-9]",
                                         "cpus:2;cpus(a):2;mem(b):50", "cpus(a/x):3;disk:7",
                                         "cpus(a):1;cpus(a/x):2;cpus(b):3;mem(a/x):9;mem(a):9"};
    size_t n = 0;

    if (m->agent[g] && rv_prng_below(&m->p, 3)) {
        m->up[g] = !m->up[g];
        rv_allocator_activate_agent(w->a, &w->g[g], m->up[g]);
    } else if (m->agent[g]) {
        rv_allocator_remove_agent(w->a, &w->g[g]);
        naive_drop_filters(m, -1, g, NULL);
        m->agent[g] = false;
        rv_resources_free(&m->total[g]);
        for (size_t i = 0; i < m->n_held; i++) {
            if (m->held[i].agent == g)
                rv_resources_free(&m->held[i].resources);
            else
                m->held[n++] = m->held[i];
        }
        m->n_held = n;
    } else {
        const char *total = totals[rv_prng_below(&m->p, RV_COUNT(totals))];

        add_agent(w, g, total);
        m->total[g] = res(total);
        m->agent[g] = m->up[g] = true;
    }
}

static void naive_framework(struct world *w, struct naive *m, int f) {
    char roles[64] = "";
    struct rv_framework_info info;
    uint64_t what = rv_prng_below(&m->p, 4);

    if (m->framework[f] && what == 0) {
        rv_allocator_remove_framework(w->a, &w->f[f]); /* its bookings stay held */
        naive_drop_filters(m, f, -1, NULL);
        m->framework[f] = false;
    } else if (m->framework[f] && what == 1) {
        m->active[f] = !m->active[f];
        rv_allocator_activate_framework(w->a, &w->f[f], m->active[f]);
        if (!m->active[f])
            naive_drop_filters(m, f, -1, NULL);
    } else {
        m->roles[f] = (unsigned)rv_prng_below(&m->p, 15) + 1;
        for (int r = 0; r < 4; r++) {
            if (m->roles[f] & 1u << r) {
                strcat(roles, roles[0] ? "," : "");
                strcat(roles, role_names[r]);
            } else {
                m->suppressed[f][r] = false;
                naive_drop_filters(m, f, -1, role_names[r]);
            }
        }
        info = info_of(roles, 0);
        if (m->framework[f]) {
            rv_allocator_update_framework(w->a, &w->f[f], &info, NULL);
        } else {
            rv_allocator_add_framework(w->a, &w->f[f], &info, true);
            m->framework[f] = m->active[f] = true;
            memset(m->suppressed[f], 0, sizeof m->suppressed[f]);
        }
    }
}

static void naive_suppress(struct world *w, struct naive *m, int f) {
    int r = (int)rv_prng_below(&m->p, 4);
    char name[8], *roles[] = {name};

    snprintf(name, sizeof name, "%s", role_names[r]);
    if (!m->framework[f])
        return;
    if (rv_prng_below(&m->p, 2)) {
        rv_allocator_suppress(w->a, &w->f[f], roles, 1);
        m->suppressed[f][r] = m->roles[f] & 1u << r;
    } else {
        rv_allocator_revive(w->a, &w->f[f], roles, 1);
        m->suppressed[f][r] = false;
        naive_drop_filters(m, f, -1, name);
    }
    assert_int_equal(rv_allocator_is_suppressed(w->a, &w->f[f], name), m->suppressed[f][r]);
}

static uint64_t random_run(uint64_t seed, int steps) {
    struct rv_allocator_config config = {.seed = seed};
    struct world *w = start(&config);
    struct naive *m = calloc(1, sizeof *m);
    uint64_t trace;

    rv_prng_seed(&m->p, seed);
    for (int i = 0; i < steps; i++) {
        int f = (int)rv_prng_below(&m->p, FRAMEWORKS), g = (int)rv_prng_below(&m->p, AGENTS);
        uint64_t what = rv_prng_below(&m->p, 12);

        m->now += (int64_t)rv_prng_below(&m->p, 5);
        if (what < 4 && m->n_held)
            naive_release(w, m, rv_prng_below(&m->p, m->n_held));
        else if (what == 4)
            naive_agent(w, m, g);
        else if (what == 5)
            naive_framework(w, m, f);
        else if (what == 6)
            naive_suppress(w, m, f);
        else if (what == 7)
            rv_allocator_set_weight(w->a, role_names[g % 4],
                                    (double)(1 + rv_prng_below(&m->p, 3)) / 2);
        else
            naive_pass(w, m);
        check(w);
    }
    trace = m->trace;
    for (size_t i = 0; i < m->n_held; i++)
        rv_resources_free(&m->held[i].resources);
    naive_drop_filters(m, -1, -1, NULL);
    for (int g = 0; g < AGENTS; g++)
        rv_resources_free(&m->total[g]);
    free(m);
    stop(w);
    return trace;
}

static void test_random(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        random_run(seed, 400);
}

static void test_deterministic(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++)
        assert_true(random_run(seed, 400) == random_run(seed, 400));
    assert_true(random_run(1, 400) != random_run(2, 400));
}

/* --- whom the policy puts first --- */

enum { ROLES = 8, USERS = 10 };

static const char *const tree[ROLES] = {"a", "a/x", "a/x/p", "a/y", "b", "b/z", "*", "c/d"};

struct choice {
    double weight[ROLES];
    int role[USERS];
    int64_t used[USERS][2]; /* cpus and mem, whole */
    int64_t total[2];
    bool close; /* shares that a double may not tell apart */
};

static bool is_below(const char *role, const char *above) {
    return !*above || rv_role_within(role, above);
}

/* Dominant share of all users for whom `in` holds; -1: there is none. */
static double naive_share(const struct choice *c, const char *role, bool only_itself) {
    double sum[2] = {0, 0};
    bool any = false;

    for (int u = 0; u < USERS; u++) {
        const char *own = tree[c->role[u]];

        if (only_itself ? strcmp(own, role) != 0 : !is_below(own, role))
            continue;
        any = true;
        for (int r = 0; r < 2; r++)
            sum[r] += (double)c->used[u][r] / (double)c->total[r];
    }
    return any ? RV_MAX(sum[0], sum[1]) : -1;
}

static void take_smaller(struct choice *c, double share, const char *who, bool itself, double *best,
                         const char **chosen, bool *chosen_itself) {
    if (share < 0)
        return;
    if (*best >= 0 && share - *best < 1e-9 && *best - share < 1e-9)
        c->close = true;
    if (*best < 0 || share < *best) {
        *best = share;
        *chosen = who;
        *chosen_itself = itself;
    }
}

/* Goes down from the role to the user who is asked first. */
static int naive_first(struct choice *c, const char *role) {
    static const char *const all[] = {"a", "a/x", "a/x/p", "a/y", "b", "b/z", "*", "c", "c/d"};
    const char *chosen = NULL;
    bool itself = false;
    double best = -1;
    int first = -1;

    take_smaller(c, *role ? naive_share(c, role, true) : -1, role, true, &best, &chosen, &itself);
    for (size_t i = 0; i < RV_COUNT(all); i++) {
        const char *rest = *role ? all[i] + strlen(role) + 1 : all[i];
        double weight = 1;

        if (strcmp(all[i], role) == 0 || !is_below(all[i], role) || strchr(rest, '/'))
            continue;
        for (int r = 0; r < ROLES; r++)
            weight = strcmp(tree[r], all[i]) == 0 ? c->weight[r] : weight;
        take_smaller(c, naive_share(c, all[i], false) / weight, all[i], false, &best, &chosen,
                     &itself);
    }
    if (!itself)
        return naive_first(c, chosen);
    for (int u = 0; u < USERS; u++) {
        double share = 0;

        if (strcmp(tree[c->role[u]], role) != 0)
            continue;
        for (int r = 0; r < 2; r++)
            share = RV_MAX(share, (double)c->used[u][r] / (double)c->total[r]);
        if (first < 0 || share < best - 1e-9) {
            first = u;
            best = share;
        } else if (share < best + 1e-9) {
            c->close = true;
        }
    }
    return first;
}

static void test_order(void **state) {
    int decided = 0;
    struct rv_prng p;

    (void)state;
    rv_prng_seed(&p, 5);
    for (int round = 0; round < 400; round++) {
        struct world *w = start(NULL);
        struct choice c = {.total = {100000 + 1, 200000 + 1}};
        int first;

        add_agent(w, 0, "cpus:100000;mem:200000");
        add_agent(w, 1, "cpus:1;mem:1");
        rv_allocator_activate_agent(w->a, &w->g[0], false); /* counts, but offers nothing */
        for (int r = 0; r < ROLES; r++) {
            c.weight[r] = (double)(1 + rv_prng_below(&p, 6)) / 2;
            rv_allocator_set_weight(w->a, tree[r], c.weight[r]);
        }
        for (int u = 0; u < USERS; u++) {
            char text[64];
            struct rv_resources r;

            c.role[u] = (int)rv_prng_below(&p, ROLES);
            c.used[u][0] = 1 + (int64_t)rv_prng_below(&p, 9000);
            c.used[u][1] = 1 + (int64_t)rv_prng_below(&p, 18000);
            add(w, u, tree[c.role[u]], 0);
            snprintf(text, sizeof text, "cpus:%ld;mem:%ld", (long)c.used[u][0], (long)c.used[u][1]);
            r = res(text);
            rv_resources_allocate(&r, tree[c.role[u]]);
            if (round % 2) /* with the totals known, so that ranks move at once */
                pass_at(w, 0);
            give_all_back(w);
            w->n = 0;
            rv_allocator_use(w->a, &w->g[0], &w->f[u], &r);
            rv_resources_free(&r);
        }
        first = naive_first(&c, "");
        assert_int_equal(pass(w), 1);
        if (!c.close) {
            assert_int_equal(w->offers[0].framework, first);
            decided++;
        }
        stop(w);
    }
    assert_true(decided > 350);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_deterministic),
        cmocka_unit_test(test_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
