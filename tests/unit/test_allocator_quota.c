/*
 * Quota in the allocator: limits, guarantees and the headroom for them, story by story; then random
 * operations against plain sums over what is held: no offer passes a limit, none takes what others
 * are guaranteed, and who lacks something of a guarantee is offered all there is of it.
 */
#include "allocator_world.h"

static struct rv_quota quota_of(const char *role, const char *guarantees, const char *limits) {
    struct rv_resources g = res(guarantees), l = res(limits);
    struct rv_quota q = {.role = rv_strdup(role)};

    rv_quantities_add_resources(&q.guarantees, &g);
    rv_quantities_add_resources(&q.limits, &l);
    rv_resources_free(&g);
    rv_resources_free(&l);
    return q;
}

static void set(struct world *w, const char *role, const char *guarantees, const char *limits) {
    struct rv_quota q = quota_of(role, guarantees, limits);

    assert_null(rv_quota_problem(&q));
    rv_allocator_set_quota(w->a, &q);
    rv_quota_free(&q);
    check(w);
}

/* --- limits --- */

static void test_limit(void **state) {
    struct world *w = start(NULL);
    (void)state;

    add(w, 0, "a", 0);
    add_agent(w, 0, "cpus:8;mem:100;ports:[1-9]");
    set(w, "a", "", "cpus:3");
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "a", 0, "cpus:3;mem:100;ports:[1-9]"); /* only what has a limit is chopped */
    assert_int_equal(rv_allocator_quota_consumed(w->a, "a", "cpus"), 3000);
    assert_int_equal(pass(w), 0); /* there are cpus, and none for the role */
    set(w, "a", "", "cpus:5");
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "a", 0, "cpus:2");
    set(w, "a", "", "cpus:1"); /* lower than what it has: it gets no more */
    assert_int_equal(pass(w), 0);
    set(w, "a", "", "");
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "a", 0, "cpus:3");
    stop(w);
}

/* Over all agents, frameworks and the roles below; what one may not have, another gets. */
static void test_limit_is_shared(void **state) {
    struct world *w = start(NULL);
    int64_t sum = 0;
    (void)state;

    add(w, 0, "a/x", 0);
    add(w, 1, "a", 0);
    add(w, 2, "a/y/z", 0);
    for (int g = 0; g < 4; g++)
        add_agent(w, g, "cpus:4");
    set(w, "a", "", "cpus:10");
    pass(w);
    for (size_t i = 0; i < w->n; i++)
        sum += rv_resources_quantity(&w->offers[i].resources, "cpus");
    assert_int_equal(sum, 10000);
    add(w, 3, "b", 0);
    assert_int_equal(pass(w), 2);
    for (size_t i = 0; i < w->n; i++)
        assert_int_equal(w->offers[i].framework, 3);
    stop(w);
}

static void test_zero_limit(void **state) {
    struct world *w = start(NULL);
    (void)state;

    add(w, 0, "a", 0);
    add_agent(w, 0, "cpus:4;mem:10");
    set(w, "a", "", "cpus:0;mem:10");
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "a", 0, "cpus:4;mem:10"); /* the text leaves the zero out: no limit */
    give_all_back(w);
    w->n = 0;
    struct rv_quota q = quota_of("a", "", "mem:10");
    rv_quantities_add(&q.limits, "cpus", 0);
    rv_allocator_set_quota(w->a, &q);
    rv_quota_free(&q);
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "a", 0, "mem:10");
    stop(w);
}

/* What is reserved counts, used or not, and is given even beyond the limit; revocable does not. */
static void test_reserved(void **state) {
    struct world *w = start(NULL);
    (void)state;

    add(w, 0, "a", 0);
    add_agent(w, 0, "cpus:8;cpus(a):3;mem(b):7");
    set(w, "a", "", "cpus:4");
    assert_int_equal(rv_allocator_quota_consumed(w->a, "a", "cpus"), 3000);
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "a", 0, "cpus:1;cpus(a):3");
    assert_int_equal(rv_allocator_quota_consumed(w->a, "a", "cpus"), 4000);
    give_all_back(w);
    w->n = 0;
    set(w, "a", "", "cpus:2");
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "a", 0, "cpus(a):3");
    stop(w);
}

/* A part that is not worth an offer is none; a filter compares with the part. */
static void test_parts(void **state) {
    struct rv_quantity some = {(char[]){"cpus"}, 2000};
    struct rv_quantities least = {&some, 1};
    struct rv_allocator_config config = {.min_allocatable = &least, .n_min_allocatable = 1};
    struct world *w = start(&config);
    (void)state;

    add(w, 0, "a", 0);
    add_agent(w, 0, "cpus:8");
    set(w, "a", "", "cpus:1");
    assert_int_equal(pass(w), 0);
    set(w, "a", "", "cpus:3");
    assert_int_equal(pass(w), 1);
    give_back(w, 0, 0, 100);
    w->n = 0;
    assert_int_equal(pass(w), 0); /* refused */
    set(w, "a", "", "cpus:4");
    assert_int_equal(pass(w), 1); /* more than was refused */
    expect(w, 0, 0, "a", 0, "cpus:4");
    stop(w);
}

/* --- guarantees --- */

/* Though it comes last by its share, it is asked first; what it lacks nobody else gets. */
static void test_guarantee(void **state) {
    struct world *w = start(NULL);
    struct rv_resources used = res("cpus:4");
    (void)state;

    add(w, 0, "a", 0);
    add(w, 1, "b", 0);
    for (int g = 0; g < 3; g++)
        add_agent(w, g, "cpus:4");
    rv_resources_allocate(&used, "a");
    rv_allocator_use(w->a, &w->g[0], &w->f[0], &used);
    set(w, "a", "cpus:8", "cpus:8");
    assert_int_equal(pass(w), 2);
    assert_int_equal(w->offers[0].framework, 0);
    assert_int_equal(w->offers[1].framework, 1);
    rv_resources_free(&used);
    stop(w);
}

static void test_headroom(void **state) {
    struct world *w = start(NULL);
    int64_t sum = 0;
    (void)state;

    add(w, 0, "b", 0);
    for (int g = 0; g < 4; g++)
        add_agent(w, g, "cpus:4;mem:8");
    set(w, "a", "cpus:6", "");
    pass(w);
    for (size_t i = 0; i < w->n; i++)
        sum += rv_resources_quantity(&w->offers[i].resources, "cpus");
    assert_int_equal(sum, 10000);
    add(w, 1, "a", 0); /* it comes: all of what was kept is its own */
    pass(w);
    sum = 0;
    for (size_t i = 0; i < w->n; i++) {
        assert_int_equal(w->offers[i].framework, 1);
        sum += rv_resources_quantity(&w->offers[i].resources, "cpus");
    }
    assert_int_equal(sum, 6000);
    stop(w);
}

/* What is on agents that are not offered satisfies nobody: it does not count as headroom. */
static void test_inactive_agents(void **state) {
    struct world *w = start(NULL);
    (void)state;

    add(w, 0, "b", 0);
    add_agent(w, 0, "cpus:4");
    add_agent(w, 1, "cpus:4");
    rv_allocator_activate_agent(w->a, &w->g[1], false);
    set(w, "a", "cpus:4", "");
    assert_int_equal(pass(w), 0);
    rv_allocator_activate_agent(w->a, &w->g[1], true);
    assert_int_equal(pass(w), 1);
    rv_allocator_activate_agent(w->a, &w->g[1], false);
    rv_allocator_remove_agent(w->a, &w->g[1]);
    check(w);
    stop(w);
}

/* In the first stage it may go beyond its guarantee, up to its limit, if others do not lack it. */
static void test_burst(void **state) {
    struct world *w = start(NULL);
    (void)state;

    add(w, 0, "a", 0);
    add_agent(w, 0, "cpus:8;mem:100;ports:[1-9]");
    set(w, "a", "cpus:2", "cpus:5");
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "a", 0, "cpus:5;mem:100;ports:[1-9]");
    give_all_back(w);
    w->n = 0;
    set(w, "c", "cpus:5;mem:60", "");
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "a", 0, "cpus:3;mem:40;ports:[1-9]");
    stop(w);
}

/* More is guaranteed than there is: who is asked first gets its own, nobody is given the rest. */
static void test_overcommitted(void **state) {
    struct world *w = start(NULL);
    (void)state;

    add(w, 0, "a", 0);
    add(w, 1, "b", 0);
    add(w, 2, "c", 0);
    add_agent(w, 0, "cpus:5");
    set(w, "a", "cpus:4", "");
    set(w, "b", "cpus:4", "");
    assert_int_equal(pass(w), 2);
    expect(w, 0, 0, "a", 0, "cpus:4");
    expect(w, 1, 1, "b", 0, "cpus:1");
    stop(w);
}

/* --- at random --- */

enum { FRAMEWORKS = 6, AGENTS = 6, NAMES = 2, TOPS = 4 };

static const char *const names[NAMES] = {"cpus", "mem"};
static const char *const tops[TOPS] = {"a", "b", "c", "*"};
static const char *const roles[] = {"a", "a/x", "b", "b/y/z", "c", "*"};

struct naive {
    struct world *w;
    struct rv_prng p;
    bool agent[AGENTS], up[AGENTS], suppressed[FRAMEWORKS];
    struct rv_resources total[AGENTS];
    struct offer held[4096];
    size_t n_held;
    int64_t guarantee[TOPS][NAMES], limit[TOPS][NAMES]; /* -1: none */
};

static int top_of(const char *role) {
    int t = 0;

    while (!rv_role_within(role, tops[t]))
        t++;
    return t;
}

static int64_t plain(const struct rv_resources *r, int name) {
    int64_t sum = 0;

    for (size_t i = 0; i < r->n; i++)
        if (!rv_kind_is_reserved(r->v[i].kind) && strcmp(r->v[i].kind->name, names[name]) == 0)
            sum += r->v[i].scalar;
    return sum;
}

static int64_t naive_consumed(const struct naive *m, int top, int name) {
    int64_t sum = 0;

    for (int g = 0; g < AGENTS; g++)
        for (size_t i = 0; m->agent[g] && i < m->total[g].n; i++) {
            const struct rv_resource *r = &m->total[g].v[i];

            if (strcmp(r->kind->name, names[name]) == 0 && rv_kind_is_reserved(r->kind) &&
                rv_role_within(rv_kind_reserved_role(r->kind), tops[top]))
                sum += r->scalar;
        }
    for (size_t i = 0; i < m->n_held; i++)
        if (top_of(m->held[i].role) == top)
            sum += plain(&m->held[i].resources, name);
    return sum;
}

static int64_t missing(const struct naive *m, int top, int name) {
    int64_t n = m->guarantee[top][name] - naive_consumed(m, top, name);

    return RV_MAX(n, (int64_t)0);
}

static int64_t free_on(const struct naive *m, int agent, int name) {
    int64_t sum = plain(&m->total[agent], name);

    for (size_t i = 0; i < m->n_held; i++)
        if (m->held[i].agent == agent)
            sum -= plain(&m->held[i].resources, name);
    return sum;
}

/* As it is made: nobody is beyond its limit, or has what is kept for others. */
static void on_naive_offer(void *ctx, void *framework, const char *role, void *agent,
                           const struct rv_resources *r) {
    struct naive *m = ctx;
    int top = top_of(role);
    int64_t missed[NAMES];

    for (int name = 0; name < NAMES; name++)
        missed[name] = missing(m, top, name);
    m->w->n = 0;
    on_offer(m->w, framework, role, agent, r);
    assert_true(m->n_held < RV_COUNT(m->held));
    m->held[m->n_held++] = m->w->offers[0];
    m->w->n = 0;
    for (int name = 0; name < NAMES; name++) {
        int64_t given = plain(r, name), left = 0, required = 0;

        if (!given)
            continue;
        if (m->limit[top][name] >= 0)
            assert_true(naive_consumed(m, top, name) <= m->limit[top][name]);
        for (int g = 0; g < AGENTS; g++)
            left += m->agent[g] && m->up[g] ? free_on(m, g, name) : 0;
        for (int t = 0; t < TOPS; t++)
            required += missing(m, t, name);
        assert_true(given <= missed[name] || left >= required);
    }
}

static bool is_wanted(const struct naive *m, int top) {
    for (int f = 0; f < FRAMEWORKS; f++)
        if (!m->suppressed[f] && top_of(roles[f]) == top)
            return true;
    return false;
}

static void naive_pass(struct naive *m) {
    rv_allocator_mark_all(m->w->a);
    while (rv_allocator_pass(m->w->a, 0, on_naive_offer, m)) {
    }
    check(m->w);
    for (int t = 0; t < TOPS; t++)
        for (int name = 0; name < NAMES; name++) {
            assert_int_equal(rv_allocator_quota_consumed(m->w->a, tops[t], names[name]),
                             naive_consumed(m, t, name));
            if (!is_wanted(m, t) || missing(m, t, name) == 0)
                continue;
            for (int g = 0; g < AGENTS; g++)
                assert_true(!m->agent[g] || !m->up[g] || free_on(m, g, name) == 0);
        }
}

static void naive_agent(struct naive *m, int g) {
    static const char *const totals[] = {"cpus:4;mem:100", "cpus:8;mem:64;ports:[1-9]",
                                         "cpus:2;cpus(a):2;mem(b):50", "cpus(a/x):3;mem:7",
                                         "cpus:1;cpus(b):3;mem(a/x):9;mem:9"};
    const char *total = totals[rv_prng_below(&m->p, RV_COUNT(totals))];
    size_t n = 0;

    if (m->agent[g] && rv_prng_below(&m->p, 2)) {
        m->up[g] = !m->up[g];
        rv_allocator_activate_agent(m->w->a, &m->w->g[g], m->up[g]);
    } else if (m->agent[g]) {
        rv_allocator_remove_agent(m->w->a, &m->w->g[g]);
        rv_resources_free(&m->total[g]);
        m->agent[g] = false;
        for (size_t i = 0; i < m->n_held; i++)
            if (m->held[i].agent == g)
                rv_resources_free(&m->held[i].resources);
            else
                m->held[n++] = m->held[i];
        m->n_held = n;
    } else {
        add_agent(m->w, g, total);
        m->total[g] = res(total);
        m->agent[g] = m->up[g] = true;
    }
}

static void naive_quota(struct naive *m, int t) {
    struct rv_quota q = {.role = rv_strdup(tops[t])};

    for (int name = 0; name < NAMES; name++) {
        int64_t most = name ? 90000 : 9000, *g = &m->guarantee[t][name], *l = &m->limit[t][name];

        *l = rv_prng_below(&m->p, 2) ? (int64_t)rv_prng_below(&m->p, (uint64_t)most) : -1;
        *g = rv_prng_below(&m->p, 2)
                 ? (int64_t)rv_prng_below(&m->p, (uint64_t)(*l >= 0 ? *l : most) + 1)
                 : 0;
        if (*g)
            rv_quantities_add(&q.guarantees, names[name], *g);
        if (*l >= 0)
            rv_quantities_add(&q.limits, names[name], *l);
    }
    rv_allocator_set_quota(m->w->a, &q);
    rv_quota_free(&q);
}

static void naive_release(struct naive *m) {
    size_t i = rv_prng_below(&m->p, m->n_held);
    struct offer *o = &m->held[i];

    rv_allocator_release(m->w->a, &m->w->g[o->agent], &m->w->f[o->framework], &o->resources, 0, 0);
    rv_resources_free(&o->resources);
    m->held[i] = m->held[--m->n_held];
}

static void naive_suppress(struct naive *m, int f) {
    m->suppressed[f] = !m->suppressed[f];
    if (m->suppressed[f])
        rv_allocator_suppress(m->w->a, &m->w->f[f], NULL, 0);
    else
        rv_allocator_revive(m->w->a, &m->w->f[f], NULL, 0);
}

static void random_run(uint64_t seed) {
    struct rv_allocator_config config = {.seed = seed, .slice_agents = seed % 3 ? 0 : 2};
    struct naive *m = calloc(1, sizeof *m);

    m->w = start(&config);
    rv_prng_seed(&m->p, seed);
    memset(m->limit, -1, sizeof m->limit);
    for (int f = 0; f < FRAMEWORKS; f++)
        add(m->w, f, roles[f], 0);
    for (int i = 0; i < 300; i++) {
        uint64_t what = rv_prng_below(&m->p, 10);

        if (what < 4 && m->n_held)
            naive_release(m);
        else if (what == 4)
            naive_agent(m, (int)rv_prng_below(&m->p, AGENTS));
        else if (what == 5)
            naive_quota(m, (int)rv_prng_below(&m->p, TOPS));
        else if (what == 6)
            naive_suppress(m, (int)rv_prng_below(&m->p, FRAMEWORKS));
        else
            naive_pass(m);
        check(m->w);
    }
    for (size_t i = 0; i < m->n_held; i++)
        rv_resources_free(&m->held[i].resources);
    for (int g = 0; g < AGENTS; g++)
        rv_resources_free(&m->total[g]);
    stop(m->w);
    free(m);
}

static void test_random(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++)
        random_run(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),      cmocka_unit_test(test_limit_is_shared),
        cmocka_unit_test(test_zero_limit), cmocka_unit_test(test_reserved),
        cmocka_unit_test(test_parts),      cmocka_unit_test(test_guarantee),
        cmocka_unit_test(test_headroom),   cmocka_unit_test(test_inactive_agents),
        cmocka_unit_test(test_burst),      cmocka_unit_test(test_overcommitted),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
