/*
 * The allocator: the worked example of the DRF paper (NSDI'11) step by step and the properties it
 * proves, hierarchies, weights, filters, suppression, constraints, capabilities, slices. Tests of
 * drf's numbers offer everything (no minimal amounts), and a framework keeps one task's worth of
 * each offer.
 */
#include "allocator_world.h"

#define SHARE(n, d) ((int64_t)(n)*1000000 / (d))

/* --- the paper --- */

/* Section 4, Table 1: 9 CPUs and 18 GB; A's tasks take <1 CPU, 4 GB>, B's <3 CPU, 1 GB>. */
static void test_paper_example(void **state) {
    static const struct {
        int user;
        int64_t a_num, a_den, b_num, b_den;
        int64_t cpus, gb; /* allocated in all */
    } steps[] = {{1, 0, 1, 1, 3, 3, 1},
                 {0, 2, 9, 1, 3, 4, 5},
                 {0, 4, 9, 1, 3, 5, 9},
                 {1, 4, 9, 2, 3, 8, 10},
                 {0, 2, 3, 2, 3, 9, 14}};
    struct world *w = start(NULL);
    struct rv_resources task[] = {res("cpus:1;mem:4"), res("cpus:3;mem:1")};
    int tasks[2] = {0, 0};

    (void)state;
    add(w, 1, "*", 0); /* the table begins with B: of equals, who came first */
    add(w, 0, "*", 0);
    add_agent(w, 0, "cpus:9;mem:18");
    for (size_t i = 0; i < RV_COUNT(steps); i++) {
        const struct rv_resources *used;

        assert_int_equal(pass(w), 1);
        assert_int_equal(w->offers[0].framework, steps[i].user);
        assert_true(launch(w, 0, &task[steps[i].user]));
        tasks[steps[i].user]++;
        assert_int_equal(rv_allocator_framework_share_ppm(w->a, &w->f[0], "*"),
                         SHARE(steps[i].a_num, steps[i].a_den));
        assert_int_equal(rv_allocator_framework_share_ppm(w->a, &w->f[1], "*"),
                         SHARE(steps[i].b_num, steps[i].b_den));
        used = rv_allocator_agent_used(w->a, &w->g[0]);
        assert_int_equal(rv_resources_quantity(used, "cpus"), steps[i].cpus * 1000);
        assert_int_equal(rv_resources_quantity(used, "mem"), steps[i].gb * 1000);
    }
    assert_int_equal(tasks[0], 3);
    assert_int_equal(tasks[1], 2);
    /* CPUs are used up: nobody can launch more. */
    assert_int_equal(pass(w), 1);
    expect(w, 0, w->offers[0].framework, "*", 0, "mem:4");
    rv_resources_free(&task[0]);
    rv_resources_free(&task[1]);
    stop(w);
}

struct user {
    int64_t demand[3]; /* of a task, by resource */
    int64_t claimed[3];
    int64_t tasks; /* launched, of the size claimed */
};

static const char *const names[3] = {"cpus", "mem", "disk"};

static struct rv_resources amounts(const int64_t q[3]) {
    struct rv_resources r = {0};

    for (int i = 0; i < 3; i++)
        rv_resources_add_scalar(&r, names[i], q[i] * 1000);
    return r;
}

/* Progressive filling until nobody can launch another task. role of user i: roles[i]. */
static void fill(struct user *users, int n, const int64_t capacity[3], const char *const *roles,
                 const double *weights) {
    struct world *w = start(NULL);
    char host[] = "host";
    struct rv_agent_info info = {.hostname = host};
    struct rv_resources total = amounts(capacity), task[MAX];

    for (int i = 0; i < n; i++) {
        task[i] = amounts(users[i].claimed);
        users[i].tasks = 0;
        add(w, i, roles ? roles[i] : "*", 0);
        if (weights)
            rv_allocator_set_weight(w->a, roles[i], weights[i]);
    }
    rv_allocator_add_agent(w->a, &w->g[0], &info, &total);
    for (;;) {
        int user;

        rv_allocator_mark_all(w->a);
        forget(w);
        rv_allocator_pass(w->a, 0, on_offer, w);
        if (w->n == 0)
            break;
        user = w->offers[0].framework;
        if (launch(w, 0, &task[user]))
            users[user].tasks++;
        else
            rv_allocator_suppress(w->a, &w->f[user], NULL, 0); /* cannot ever launch another */
    }
    check(w);
    for (int i = 0; i < n; i++)
        rv_resources_free(&task[i]);
    rv_resources_free(&total);
    stop(w);
}

/* Tasks of the true demand that fit into what the user (or another) was given. */
static int64_t worth(const struct user *u, const int64_t bundle[3]) {
    int64_t best = INT64_MAX;

    for (int r = 0; r < 3; r++) {
        if (u->demand[r])
            best = RV_MIN(best, bundle[r] / u->demand[r]);
    }
    return best;
}

static void bundle_of(const struct user *u, int64_t out[3]) {
    for (int r = 0; r < 3; r++)
        out[r] = u->tasks * u->claimed[r];
}

/* Section 5 compares: DRF gives 3 and 2 tasks; asset fairness 2.52 and 2.16, CEEI 4.1 and 1.6. */
static void test_paper_comparison(void **state) {
    static const int64_t capacity[3] = {900, 1800, 0};
    struct user u[2] = {{{1, 4, 0}, {1, 4, 0}, 0}, {{3, 1, 0}, {3, 1, 0}, 0}};
    double asset_x = 18.0 / (36.0 / 7 + 2.0), ceei_x = 45.0 / 11, ceei_y = 18.0 / 11;

    (void)state;
    fill(u, 2, capacity, NULL, NULL); /* a hundred times as large: fractions of a task show */
    assert_in_range(u[0].tasks, 299, 301);
    assert_in_range(u[1].tasks, 199, 201);
    /* x + 3y = 9 with 6x = 7y; and the product x * y largest under x + 3y <= 9, 4x + y <= 18. */
    assert_true(asset_x > 2.51 && asset_x < 2.53 && ceei_x + 3 * ceei_y <= 9.0001);
    assert_true((double)u[0].tasks / 100 > asset_x + 0.4 && (double)u[0].tasks / 100 < ceei_x - 1);
    assert_true((double)u[1].tasks / 100 > ceei_y + 0.3);
}

static void random_user(struct rv_prng *p, struct user *u) {
    for (int r = 0; r < 3; r++)
        u->demand[r] = (int64_t)rv_prng_below(p, 9) + (r == 0);
    memcpy(u->claimed, u->demand, sizeof u->demand);
}

/* Sharing incentive, envy-freeness, Pareto efficiency, strategy-proofness; up to whole tasks. */
static void test_paper_properties(void **state) {
    enum { SLACK = 20 };
    struct rv_prng p;

    (void)state;
    rv_prng_seed(&p, 11);
    for (int round = 0; round < 25; round++) {
        int n = 2 + (int)rv_prng_below(&p, 4), liar, lie;
        int64_t capacity[3], left[3], bundle[3], honest;
        struct user u[6];

        for (int r = 0; r < 3; r++)
            left[r] = capacity[r] = 2000 + (int64_t)rv_prng_below(&p, 4000);
        for (int i = 0; i < n; i++)
            random_user(&p, &u[i]);
        fill(u, n, capacity, NULL, NULL);
        for (int i = 0; i < n; i++) {
            int64_t part[3] = {capacity[0] / n, capacity[1] / n, capacity[2] / n};

            assert_true(u[i].tasks + SLACK >= worth(&u[i], part));
            for (int j = 0; j < n; j++) {
                bundle_of(&u[j], bundle);
                assert_true(u[i].tasks + SLACK >= worth(&u[i], bundle));
            }
            bundle_of(&u[i], bundle);
            for (int r = 0; r < 3; r++)
                left[r] -= bundle[r];
        }
        for (int i = 0; i < n; i++)
            assert_int_equal(worth(&u[i], left), 0);
        liar = (int)rv_prng_below(&p, (uint64_t)n);
        lie = (int)rv_prng_below(&p, 3);
        honest = u[liar].tasks;
        u[liar].claimed[lie] += 1 + (int64_t)rv_prng_below(&p, 9);
        fill(u, n, capacity, NULL, NULL);
        bundle_of(&u[liar], bundle);
        assert_true(worth(&u[liar], bundle) <= honest + SLACK);
    }
}

/* --- weights and hierarchies --- */

static void test_weights(void **state) {
    static const char *const roles[] = {"a", "b", "c"};
    static const double thirds[] = {1, 3, 1}, tiny[] = {0.000001, 0.000003, 0.000001};
    static const int64_t capacity[3] = {5000, 5000, 5000};
    struct user u[3] = {
        {{1, 1, 1}, {1, 1, 1}, 0}, {{1, 1, 1}, {1, 1, 1}, 0}, {{1, 1, 1}, {1, 1, 1}, 0}};

    (void)state;
    fill(u, 3, capacity, roles, thirds);
    assert_in_range(u[0].tasks, 999, 1001);
    assert_in_range(u[1].tasks, 2999, 3001);
    fill(u, 3, capacity, roles, tiny);
    assert_in_range(u[1].tasks, 2999, 3001);
    /* Weighted dominant shares of the paper's example: A counts three times. */
    u[0] = (struct user){{1, 4, 0}, {1, 4, 0}, 0};
    u[1] = (struct user){{3, 1, 0}, {3, 1, 0}, 0};
    fill(u, 2, (int64_t[3]){9000, 18000, 0}, roles, (double[]){3, 1});
    /* 4x/18 = 3 * 3y/9 and 4x + y = 18: x = 81/19, y = 18/19. */
    assert_in_range(u[0].tasks, 4262, 4264);
    assert_in_range(u[1].tasks, 946, 949);
}

static void test_hierarchy(void **state) {
    static const char *const roles[] = {"a/x", "a/y", "b", "a"};
    static const int64_t capacity[3] = {6000, 6000, 6000};
    struct user u[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        u[i] = (struct user){{1, 1, 1}, {1, 1, 1}, 0};
    fill(u, 3, capacity, roles, NULL);
    assert_in_range(u[0].tasks, 1499, 1501); /* half of a half */
    assert_in_range(u[1].tasks, 1499, 1501);
    assert_in_range(u[2].tasks, 2999, 3001);
    fill(u, 4, capacity, roles, NULL); /* "a" itself competes with a/x and a/y */
    assert_in_range(u[0].tasks, 999, 1001);
    assert_in_range(u[3].tasks, 999, 1001);
    assert_in_range(u[2].tasks, 2999, 3001);
    fill(u, 3, capacity, roles, (double[]){2, 1, 1});
    assert_in_range(u[0].tasks, 1999, 2001);
    assert_in_range(u[1].tasks, 999, 1001);
    assert_in_range(u[2].tasks, 2999, 3001);
}

/* Those who hold nothing take turns, whatever was given to them before: in a role, among roles, and
 * whichever policy orders them. */
static void test_equals_take_turns(void **state) {
    static const char *const roles[][2] = {{"a", "a"}, {"a", "b"}, {"a", "a/b"}, {"a/x", "b/y"}};
    static const char *const policies[] = {"drf", "priority"};

    (void)state;
    for (size_t i = 0; i < RV_COUNT(roles) * RV_COUNT(policies); i++) {
        struct rv_allocator_config config = {.policy = policies[i / RV_COUNT(roles)]};
        struct world *w = start(&config);
        int last = 0;

        add(w, 0, roles[i % RV_COUNT(roles)][0], 0);
        add_agent(w, 0, "cpus:4;mem:100");
        for (int turn = 0; turn < 50; turn++) {
            assert_int_equal(pass(w), 1);
            give_all_back(w);
        }
        add(w, 1, roles[i % RV_COUNT(roles)][1], 0);
        for (int turn = 0; turn < 10; turn++) {
            assert_int_equal(pass(w), 1);
            assert_int_equal(w->offers[0].framework, 1 - last);
            last = w->offers[0].framework;
            give_all_back(w);
        }
        stop(w);
    }
}

static void test_priority(void **state) {
    struct rv_allocator_config config = {.policy = "priority"};
    struct world *w = start(&config);

    (void)state;
    add(w, 0, "low", 0);
    add(w, 1, "high", 0);
    rv_allocator_set_weight(w->a, "high", 10);
    for (int g = 0; g < 4; g++)
        add_agent(w, g, "cpus:1;mem:100");
    assert_int_equal(pass(w), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(w->offers[i].framework, 1);
    stop(w);
    config.policy = "none";
    assert_null(rv_allocator_new(&config));
}

static void test_exact_shares(void **state) {
    struct rv_policy_key a = {.num = INT64_MAX - 1, .den = INT64_MAX, .weight = RV_WEIGHT_MAX};
    struct rv_policy_key b = {.num = INT64_MAX - 2, .den = INT64_MAX - 1, .weight = RV_WEIGHT_MAX};

    (void)state;
    /* 1 - 1/M > 1 - 1/(M-1): no float tells them apart. */
    assert_true(rv_policy_drf.compare(&a, &b) > 0);
    b.weight = RV_WEIGHT_MAX - 1; /* a larger weighted share: b's weight is smaller */
    assert_true(rv_policy_drf.compare(&a, &b) < 0);
    assert_true(rv_policy_drf.compare(&b, &a) > 0);
    b = a;
    b.last = 1;
    assert_true(rv_policy_drf.compare(&a, &b) < 0);
}

static void test_fair_exclude(void **state) {
    static const char *const exclude[] = {"mem"};
    struct rv_allocator_config config = {.fair_exclude = exclude, .n_fair_exclude = 1};
    struct world *w = start(&config);
    struct rv_resources r = res("cpus:1;mem:90");

    (void)state;
    add(w, 0, "*", 0);
    add_agent(w, 0, "cpus:10;mem:100");
    rv_resources_allocate(&r, "*");
    rv_allocator_use(w->a, &w->g[0], &w->f[0], &r);
    assert_int_equal(rv_allocator_framework_share_ppm(w->a, &w->f[0], "*"), 100000);
    check(w);
    rv_resources_free(&r);
    stop(w);
}

/* --- filters, suppression --- */

static void test_filters(void **state) {
    struct world *w = start(NULL);
    struct rv_resources r = res("cpus:2");
    char star[] = "*", *roles[] = {star};

    (void)state;
    add(w, 0, "*", 0);
    add_agent(w, 0, "cpus:4;mem:100;ports:[1-10]");
    rv_resources_allocate(&r, "*");
    rv_allocator_use(w->a, &w->g[0], &w->f[0], &r);
    pass(w);
    expect(w, 0, 0, "*", 0, "cpus:2;mem:100;ports:[1-10]");
    give_back(w, 0, 0, 1000);
    assert_int_equal(rv_allocator_filters(w->a), 1);
    assert_int_equal(rv_allocator_role_filters(w->a, "*"), 1);
    assert_int_equal(rv_allocator_role_filters(w->a, "other"), 0);
    assert_int_equal(rv_allocator_deadline(w->a), 1000);
    assert_int_equal(pass(w), 0); /* the same again */
    rv_allocator_release(w->a, &w->g[0], &w->f[0], &r, 0, 0);
    assert_int_equal(pass(w), 1); /* more than was refused */
    expect(w, 0, 0, "*", 0, "cpus:4;mem:100;ports:[1-10]");
    give_back(w, 0, 0, 2000); /* refuses more and longer: the first says nothing any more */
    assert_int_equal(rv_allocator_filters(w->a), 1);
    rv_allocator_use(w->a, &w->g[0], &w->f[0], &r);
    assert_int_equal(pass(w), 0); /* less than was refused */
    rv_allocator_release(w->a, &w->g[0], &w->f[0], &r, 0, 0);
    pass_at(w, 1999);
    assert_int_equal(w->n, 0);
    pass_at(w, 2000); /* expires, and marks the agent by itself */
    assert_int_equal(w->n, 1);
    assert_int_equal(rv_allocator_filters(w->a), 0);
    assert_int_equal(rv_allocator_deadline(w->a), INT64_MAX);
    give_back(w, 0, 0, 1000);
    assert_int_equal(pass(w), 0);
    rv_allocator_revive(w->a, &w->f[0], roles, 1);
    assert_int_equal(rv_allocator_filters(w->a), 0);
    pass_at(w, 0); /* marked by reviving */
    assert_int_equal(w->n, 1);
    give_back(w, 0, 0, 1000);
    rv_allocator_activate_framework(w->a, &w->f[0], false);
    assert_int_equal(rv_allocator_filters(w->a), 0);
    assert_int_equal(pass(w), 0);
    rv_allocator_activate_framework(w->a, &w->f[0], true);
    assert_int_equal(pass(w), 1);
    give_back(w, 0, 0, 1000);
    rv_allocator_remove_agent(w->a, &w->g[0]);
    assert_int_equal(rv_allocator_filters(w->a), 0);
    assert_int_equal(rv_allocator_role_filters(w->a, "*"), 0);
    check(w);
    rv_resources_free(&r);
    stop(w);
}

static void test_filters_of_others(void **state) {
    struct world *w = start(NULL);
    char a[] = "a", *only_a[] = {a};
    struct rv_framework_info info = info_of("b", 0);

    (void)state;
    add(w, 0, "a,b", 0);
    add(w, 1, "a", 0);
    add_agent(w, 0, "cpus:4");
    for (int i = 0; i < 3; i++) { /* three clients, each refuses once */
        assert_int_equal(pass(w), 1);
        give_back(w, 0, 0, 1000);
    }
    assert_int_equal(rv_allocator_filters(w->a), 3);
    assert_int_equal(pass(w), 0);
    rv_allocator_revive(w->a, &w->f[0], only_a, 1);
    assert_int_equal(rv_allocator_filters(w->a), 2);
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "a", 0, "cpus:4");
    give_back(w, 0, 0, 1000);
    rv_allocator_update_framework(w->a, &w->f[0], &info, NULL); /* role a goes, with its filter */
    assert_int_equal(rv_allocator_filters(w->a), 2);
    rv_allocator_remove_framework(w->a, &w->f[0]);
    assert_int_equal(rv_allocator_filters(w->a), 1);
    check(w);
    stop(w);
}

static void test_many_filters(void **state) {
    struct world *w = start(NULL);

    (void)state;
    add(w, 0, "*", 0);
    add_agent(w, 0, "cpus:100;mem:100");
    /* Refusals that none contains the other: bounded, the first to expire goes. */
    for (int i = 1; i <= 20; i++) {
        char text[64];
        struct rv_resources r;

        snprintf(text, sizeof text, "cpus:%d;mem:%d", i, 21 - i);
        r = res(text);
        rv_resources_allocate(&r, "*");
        rv_allocator_use(w->a, &w->g[0], &w->f[0], &r);
        rv_allocator_release(w->a, &w->g[0], &w->f[0], &r, 0, 1000 + i);
        rv_resources_free(&r);
    }
    check(w);
    assert_int_equal(rv_allocator_filters(w->a), 8);
    assert_int_equal(rv_allocator_deadline(w->a), 1013);
    stop(w);
}

static void test_suppress(void **state) {
    struct world *w = start(NULL);
    char a[] = "a", *only_a[] = {a};

    (void)state;
    add(w, 0, "a,b", 0);
    add_agent(w, 0, "cpus:4");
    rv_allocator_suppress(w->a, &w->f[0], only_a, 1);
    assert_true(rv_allocator_is_suppressed(w->a, &w->f[0], "a"));
    assert_false(rv_allocator_is_suppressed(w->a, &w->f[0], "b"));
    for (int i = 0; i < 3; i++) {
        pass(w);
        expect(w, 0, 0, "b", 0, "cpus:4");
        give_back(w, 0, 0, 0);
    }
    rv_allocator_suppress(w->a, &w->f[0], NULL, 0);
    assert_int_equal(pass(w), 0);
    rv_allocator_revive(w->a, &w->f[0], only_a, 1);
    assert_false(rv_allocator_is_suppressed(w->a, &w->f[0], "a"));
    pass_at(w, 0);
    expect(w, 0, 0, "a", 0, "cpus:4");
    stop(w);
}

/* --- what is offered to whom --- */

static void test_reservations(void **state) {
    struct world *w = start(NULL);

    (void)state;
    add(w, 0, "a/x", 0);
    add(w, 1, "b", 0);
    add(w, 2, "a", 0);
    add_agent(w, 0, "cpus:1;cpus(a):2;cpus(b):4;cpus(c):8;mem(a/x):16");
    /* "a" was there before a/x, so its framework is asked first: what is not reserved, and a's. */
    assert_int_equal(pass(w), 3);
    expect(w, 0, 2, "a", 0, "cpus:1;cpus(a):2");
    expect(w, 1, 1, "b", 0, "cpus(b):4");
    expect(w, 2, 0, "a/x", 0, "mem(a/x):16");
    give_all_back(w);
    rv_allocator_suppress(w->a, &w->f[2], NULL, 0);
    rv_allocator_suppress(w->a, &w->f[1], NULL, 0);
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "a/x", 0, "cpus:1;cpus(a):2;mem(a/x):16"); /* its own and those above */
    stop(w);
}

static struct rv_resource one_of(struct rv_kind template, int64_t units) {
    return (struct rv_resource){
        .kind = rv_kind_new(&template), .scalar = units * 1000, .copies = 1};
}

static void add_one(struct rv_resources *r, struct rv_kind template, int64_t units) {
    struct rv_resource one = one_of(template, units);

    rv_resources_add_one(r, &one);
    rv_resource_clear(&one);
}

static void test_capabilities(void **state) {
    char cpus[] = "cpus", disk[] = "disk", a[] = "a", ax[] = "a/x", id[] = "v", host[] = "h";
    char gpus[] = "gpus";
    struct rv_reservation in_a = {.role = a},
                          stack[] = {{.role = a}, {.dynamic = true, .role = ax}};
    struct rv_disk volume = {.persistence_id = id};
    struct rv_agent_info info = {.hostname = host};
    struct rv_resources total = {0}, with_gpus = {0};
    struct world *w = start(NULL);
    const uint32_t all = 1u << RV_FRAMEWORK_REVOCABLE_RESOURCES |
                         1u << RV_FRAMEWORK_SHARED_RESOURCES |
                         1u << RV_FRAMEWORK_RESERVATION_REFINEMENT;

    (void)state;
    add_one(&total, (struct rv_kind){.name = cpus}, 1);
    add_one(&total, (struct rv_kind){.name = cpus, .revocable = true}, 2);
    add_one(&total, (struct rv_kind){.name = cpus, .reservations = stack, .n_reservations = 2}, 4);
    add_one(&total,
            (struct rv_kind){.name = disk,
                             .reservations = &in_a,
                             .n_reservations = 1,
                             .disk = &volume,
                             .shared = true},
            8);
    add(w, 0, "a/x", 0);
    rv_allocator_add_agent(w->a, &w->g[0], &info, &total);
    assert_int_equal(pass(w), 1); /* INV-29: none of the three */
    expect(w, 0, 0, "a/x", 0, "cpus:1");
    add(w, 1, "a/x", all);
    assert_int_equal(pass(w), 1);
    assert_int_equal(w->offers[0].framework, 1);
    assert_int_equal(w->offers[0].resources.n, 3);
    assert_int_equal(rv_resources_quantity(&w->offers[0].resources, "cpus"), 6000);
    /* The shared volume is in use and offered again, once a pass; it counts once in the share. */
    assert_int_equal(pass(w), 1);
    assert_int_equal(w->offers[0].resources.n, 1);
    assert_int_equal(rv_resources_quantity(&w->offers[0].resources, "disk"), 8000);
    assert_int_equal(rv_allocator_framework_share_ppm(w->a, &w->f[1], "a/x"), 1000000);
    give_all_back(w);
    check(w);
    assert_int_equal(rv_allocator_framework_share_ppm(w->a, &w->f[1], "a/x"), 1000000);
    rv_allocator_remove_framework(w->a, &w->f[1]); /* what it used stays in use */
    check(w);
    assert_int_equal(pass(w), 0);
    rv_allocator_remove_agent(w->a, &w->g[0]);
    check(w);
    add_one(&with_gpus, (struct rv_kind){.name = gpus}, 1);
    add_one(&with_gpus, (struct rv_kind){.name = cpus}, 1);
    rv_allocator_add_agent(w->a, &w->g[1], &info, &with_gpus);
    assert_int_equal(pass(w), 0);
    add(w, 2, "b", 1u << RV_FRAMEWORK_GPU_RESOURCES);
    assert_int_equal(pass(w), 1);
    expect(w, 0, 2, "b", 1, "cpus:1;gpus:1");
    rv_resources_free(&total);
    rv_resources_free(&with_gpus);
    stop(w);
}

static void test_region(void **state) {
    struct rv_allocator_config config = {.region = "here"};
    struct world *w = start(&config);
    char host[] = "h", there[] = "there";
    struct rv_agent_info info = {.hostname = host, .region = there};
    struct rv_resources r = res("cpus:1");

    (void)state;
    add(w, 0, "*", 0);
    rv_allocator_add_agent(w->a, &w->g[0], &info, &r);
    assert_int_equal(pass(w), 0);
    add(w, 1, "*", 1u << RV_FRAMEWORK_REGION_AWARE);
    assert_int_equal(pass(w), 1);
    expect(w, 0, 1, "*", 0, "cpus:1");
    rv_resources_free(&r);
    stop(w);
}

static void test_minimal_amounts(void **state) {
    struct rv_allocator_config config = {.seed = 1};
    struct world *w = calloc(1, sizeof *w);
    char star[] = "*", cpus[] = "cpus";
    struct rv_quantity two = {cpus, 2000};
    struct rv_quantities any = {&two, 1};
    struct rv_min_allocatable min = {star, &any, 1}, anything = {star, NULL, 0};
    struct rv_framework_info info = info_of("*", 0);

    (void)state;
    w->a = rv_allocator_new(&config); /* the default: cpus 0.01, or mem 32 */
    rv_allocator_add_framework(w->a, &w->f[0], &info, true);
    add_agent(w, 0, "cpus:0.009;mem:31;disk:1000");
    assert_int_equal(pass(w), 0);
    add_agent(w, 1, "cpus:0.01");
    add_agent(w, 2, "mem:32");
    assert_int_equal(pass(w), 2);
    give_all_back(w);
    info = info_of("*", 0);
    info.min_allocatable = &min;
    info.n_min_allocatable = 1;
    rv_allocator_update_framework(w->a, &w->f[0], &info, NULL);
    add_agent(w, 3, "cpus:2");
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "*", 3, "cpus:2");
    give_all_back(w);
    info.min_allocatable = &anything;
    rv_allocator_update_framework(w->a, &w->f[0], &info, NULL);
    assert_int_equal(pass(w), 4);
    stop(w);
}

static void test_constraints(void **state) {
    struct world *w = start(NULL);
    char star[] = "*", text[] = "other", host[] = "other";
    struct rv_constraint c = {
        .selector = RV_SELECT_HOSTNAME, .predicate = RV_PREDICATE_TEXT_EQUALS, .text = text};
    struct rv_constraint_group group = {&c, 1};
    struct rv_role_constraints role = {star, &group, 1};
    struct rv_offer_constraints constraints = {.refs = 100, .v = &role, .n = 1};
    struct rv_framework_info info = info_of("*", 0);
    struct rv_agent_info agent = {.hostname = host};
    struct rv_resources r = res("cpus:1");

    (void)state;
    rv_allocator_add_framework(w->a, &w->f[0], &info, true);
    add_agent(w, 0, "cpus:1");
    rv_allocator_add_agent(w->a, &w->g[1], &agent, &r);
    rv_allocator_update_framework(w->a, &w->f[0], &info, &constraints);
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "*", 1, "cpus:1");
    give_all_back(w);
    rv_allocator_update_agent(w->a, &w->g[0], &agent, &r);
    assert_int_equal(pass(w), 2);
    give_all_back(w);
    rv_allocator_remove_agent(w->a, &w->g[0]);
    add_agent(w, 0, "cpus:1"); /* where another was: what was known of that one is forgotten */
    assert_int_equal(pass(w), 1);
    expect(w, 0, 0, "*", 1, "cpus:1");
    give_all_back(w);
    role.n = 0; /* no group: no agent */
    rv_allocator_update_framework(w->a, &w->f[0], &info, &constraints);
    assert_int_equal(pass(w), 0);
    rv_allocator_update_framework(w->a, &w->f[0], &info, NULL);
    assert_int_equal(pass(w), 2);
    rv_resources_free(&r);
    stop(w);
    assert_int_equal(constraints.refs, 100);
}

/* --- agents and passes --- */

static void test_agents(void **state) {
    struct world *w = start(NULL);
    char host[] = "h";
    struct rv_agent_info info = {.hostname = host};
    struct rv_resources less = res("cpus:2"), more = res("cpus:8;mem:5");

    (void)state;
    add(w, 0, "*", 0);
    add_agent(w, 0, "cpus:4");
    rv_allocator_activate_agent(w->a, &w->g[0], false);
    assert_int_equal(pass(w), 0);
    rv_allocator_activate_agent(w->a, &w->g[0], true);
    pass_at(w, 0);
    expect(w, 0, 0, "*", 0, "cpus:4");
    rv_allocator_update_agent(w->a, &w->g[0], &info, &less); /* more in use than there is */
    check(w);
    assert_int_equal(rv_allocator_role_share_ppm(w->a, "*"), 2000000);
    give_all_back(w);
    pass_at(w, 0);
    expect(w, 0, 0, "*", 0, "cpus:2");
    rv_allocator_update_agent(w->a, &w->g[0], &info, &more);
    pass_at(w, 0);
    expect(w, 0, 0, "*", 0, "cpus:6;mem:5");
    check(w);
    rv_allocator_remove_agent(w->a, &w->g[0]);
    check(w);
    assert_int_equal(rv_allocator_role_share_ppm(w->a, "*"), 0);
    assert_null(rv_allocator_agent_used(w->a, &w->g[0]));
    rv_resources_free(&less);
    rv_resources_free(&more);
    stop(w);
}

/* Tasks of a framework that the master does not know yet, or that was removed. */
static void test_unknown_frameworks(void **state) {
    struct world *w = start(NULL);
    struct rv_resources r = res("cpus:2");

    (void)state;
    add_agent(w, 0, "cpus:4");
    rv_resources_allocate(&r, "a");
    rv_allocator_use(w->a, &w->g[0], &w->f[0], &r);
    check(w);
    assert_int_equal(rv_allocator_role_share_ppm(w->a, "a"), 500000);
    add(w, 0, "a", 0);
    pass(w);
    expect(w, 0, 0, "a", 0, "cpus:2");
    rv_allocator_release(w->a, &w->g[0], &w->f[0], &r, 0, 0);
    check(w);
    rv_allocator_remove_framework(w->a, &w->f[0]);
    check(w);
    rv_allocator_release(w->a, &w->g[0], &w->f[0], &r, 0, 0);
    check(w);
    assert_int_equal(rv_allocator_role_share_ppm(w->a, "a"), 0);
    assert_int_equal(rv_allocator_agent_used(w->a, &w->g[0])->n, 0);
    rv_resources_free(&r);
    stop(w);
}

static void test_incremental_and_slices(void **state) {
    struct rv_allocator_config config = {.slice_agents = 3};
    struct world *w = start(&config);
    bool seen[10] = {false};

    (void)state;
    add(w, 0, "*", 0);
    for (int g = 0; g < 10; g++)
        add_agent(w, g, "cpus:1");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pass_at(w, 0), i < 3);
        assert_int_equal(w->n, i < 3 ? 3 : 1);
        for (size_t j = 0; j < w->n; j++) {
            assert_false(seen[w->offers[j].agent]);
            seen[w->offers[j].agent] = true;
        }
    }
    give_back(w, 0, 0, 0);
    w->n = 0;
    assert_false(pass_at(w, 0)); /* only the one that changed */
    assert_int_equal(w->n, 1);
    rv_allocator_mark_all(w->a);
    assert_false(pass_at(w, 0)); /* nothing is free */
    assert_int_equal(w->n, 0);
    stop(w);
    w = start(NULL);
    add(w, 0, "*", 0);
    for (int g = 0; g < 4; g++)
        add_agent(w, g, "cpus:1");
    rv_allocator_suppress(w->a, &w->f[0], NULL, 0);
    assert_false(pass_at(w, 0)); /* nobody wants any; the marks are gone */
    rv_allocator_revive(w->a, &w->f[0], NULL, 0);
    pass_at(w, 0);
    assert_int_equal(w->n, 4);
    give_all_back(w);
    w->n = 0;
    rv_allocator_suppress(w->a, &w->f[0], NULL, 0);
    pass_at(w, 0);
    stop(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paper_example),
        cmocka_unit_test(test_paper_comparison),
        cmocka_unit_test(test_paper_properties),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_hierarchy),
        cmocka_unit_test(test_equals_take_turns),
        cmocka_unit_test(test_priority),
        cmocka_unit_test(test_exact_shares),
        cmocka_unit_test(test_fair_exclude),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_filters_of_others),
        cmocka_unit_test(test_many_filters),
        cmocka_unit_test(test_suppress),
        cmocka_unit_test(test_reservations),
        cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_region),
        cmocka_unit_test(test_minimal_amounts),
        cmocka_unit_test(test_constraints),
        cmocka_unit_test(test_agents),
        cmocka_unit_test(test_unknown_frameworks),
        cmocka_unit_test(test_incremental_and_slices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
