/*
 * How long an allocation cycle takes: figures `allocate.full.AxF` (every agent is free and goes to
 * some framework), `allocate.quota.10000x200` (the same, but each framework has a role of its own,
 * which is guaranteed half of its share and may have twice as much), `allocate.filtered.1000x200`
 * (every framework has declined every agent), and `allocate.incremental.20000x2000` (1 % of the
 * agents changed). Milliseconds, the median of several cycles after one to warm up. The callback
 * books as a master does: it keeps a copy of the resources, which are given back between cycles,
 * outside of the time measured.
 *
 *     allocate [WORD [CYCLES]]    only figures whose names contain the word; so many cycles each
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "allocator/allocator.h"
#include "base/assert.h"
#include "base/prng.h"

#define CYCLES_MAX 32

struct agent { /* its address is the handle */
    struct rv_resources booked;
    void *owner;
};

struct bench {
    struct rv_allocator *a;
    size_t n_agents, n_frameworks;
    struct agent *agents;
    char *frameworks;       /* their addresses are the handles */
    struct agent **offered; /* in this cycle, in order: they are answered in this order too */
    size_t n_offers;
};

static double now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void book(void *ctx, void *framework, const char *role, void *agent,
                 const struct rv_resources *r) {
    struct bench *b = ctx;
    struct agent *own = agent;

    (void)role;
    rv_resources_copy(&own->booked, r);
    own->owner = framework;
    b->offered[b->n_offers++] = own;
}

/* Whole agents, so that each is offered to one role. */
static void set_quota(struct bench *b, char *role) {
    struct rv_quota quota = {.role = role};
    int64_t share = (int64_t)(b->n_agents / b->n_frameworks);

    rv_quantities_add(&quota.guarantees, "cpus", share / 2 * 24000);
    rv_quantities_add(&quota.guarantees, "mem", share / 2 * 4096000);
    rv_quantities_add(&quota.limits, "cpus", share * 2 * 24000);
    rv_quantities_add(&quota.limits, "mem", share * 2 * 4096000);
    rv_allocator_set_quota(b->a, &quota);
    rv_quantities_free(&quota.guarantees);
    rv_quantities_free(&quota.limits);
}

static void setup(struct bench *b, size_t n_agents, size_t n_frameworks, bool quotas) {
    struct rv_allocator_config config = {.seed = 1};
    char role[32] = "*", host[32], *roles[] = {role};
    struct rv_framework_info info = {.roles = roles, .n_roles = 1};
    struct rv_agent_info agent = {.hostname = host};
    struct rv_resources total = {0};
    struct rv_error err;

    *b = (struct bench){.n_agents = n_agents, .n_frameworks = n_frameworks};
    b->a = rv_allocator_new(&config);
    b->agents = rv_calloc(n_agents, sizeof *b->agents);
    b->frameworks = rv_malloc(n_frameworks);
    b->offered = rv_calloc(n_agents, sizeof(struct agent *));
    for (size_t i = 0; i < n_frameworks; i++) {
        if (quotas)
            snprintf(role, sizeof role, "role%zu", i);
        rv_allocator_add_framework(b->a, &b->frameworks[i], &info, true);
        if (quotas)
            set_quota(b, role);
    }
    RV_ASSERT(rv_resources_parse("cpus:24;mem:4096;disk:4096;ports:[31000-32000]", "*", &total,
                                 &err) == 0);
    for (size_t i = 0; i < n_agents; i++) {
        snprintf(host, sizeof host, "host%zu", i);
        rv_allocator_add_agent(b->a, &b->agents[i], &agent, &total);
    }
    rv_resources_free(&total);
}

static void teardown(struct bench *b) {
    for (size_t i = 0; i < b->n_agents; i++)
        rv_resources_free(&b->agents[i].booked);
    rv_allocator_free(b->a);
    free(b->agents);
    free(b->frameworks);
    free(b->offered);
}

static void give_back(struct bench *b, struct agent *agent, int64_t now, int64_t until) {
    rv_allocator_release(b->a, agent, agent->owner, &agent->booked, now, until);
    rv_resources_free(&agent->booked);
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *v, size_t n) {
    qsort(v, n, sizeof *v, compare_doubles);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static double cycle(struct bench *b, int64_t now, size_t offers) {
    double start, end;

    b->n_offers = 0;
    start = now_ms();
    while (rv_allocator_pass(b->a, now, book, b))
        ;
    end = now_ms();
    RV_ASSERT(b->n_offers == offers);
    return end - start;
}

static double bench_full(size_t n_agents, size_t n_frameworks, size_t cycles, bool quotas) {
    double times[CYCLES_MAX];
    struct bench b;

    setup(&b, n_agents, n_frameworks, quotas);
    for (size_t c = 0; c <= cycles; c++) {
        double t;

        rv_allocator_mark_all(b.a);
        t = cycle(&b, 0, n_agents);
        if (c > 0)
            times[c - 1] = t;
        for (size_t i = 0; i < n_agents; i++)
            give_back(&b, b.offered[i], 0, 0);
    }
    teardown(&b);
    return median(times, cycles);
}

/* Declines until nobody is left who has not; then measures cycles that offer nothing. */
static double bench_filtered(size_t n_agents, size_t n_frameworks) {
    size_t cycles = 15;
    double times[CYCLES_MAX];
    struct bench b;

    setup(&b, n_agents, n_frameworks, false);
    for (size_t round = 0; round < n_frameworks; round++) {
        cycle(&b, 0, n_agents);
        for (size_t i = 0; i < n_agents; i++)
            give_back(&b, b.offered[i], 0, 3600 * 1000);
    }
    RV_ASSERT(rv_allocator_filters(b.a) == n_agents * n_frameworks);
    for (size_t c = 0; c <= cycles; c++) {
        double t;

        rv_allocator_mark_all(b.a);
        t = cycle(&b, 1, 0);
        if (c > 0)
            times[c - 1] = t;
    }
    teardown(&b);
    return median(times, cycles);
}

static double bench_incremental(size_t n_agents, size_t n_frameworks) {
    size_t cycles = 31, changed = n_agents / 100;
    double times[CYCLES_MAX];
    struct rv_prng prng;
    struct bench b;

    rv_prng_seed(&prng, 2);
    setup(&b, n_agents, n_frameworks, false);
    cycle(&b, 0, n_agents);
    for (size_t c = 0; c <= cycles; c++) {
        double t;

        for (size_t n = 0; n < changed;) {
            size_t i = rv_prng_below(&prng, n_agents);

            if (b.agents[i].booked.n == 0)
                continue;
            give_back(&b, &b.agents[i], 0, 0);
            n++;
        }
        t = cycle(&b, 0, changed);
        if (c > 0)
            times[c - 1] = t;
    }
    teardown(&b);
    return median(times, cycles);
}

static void report(const char *name, double ms, double peer_ms, double target_ms) {
    printf("figure allocate.%s %.3f ms\n", name, ms);
    if (peer_ms > 0)
        printf("  the peer takes %.0f ms, %.0f times as long\n", peer_ms, peer_ms / ms);
    if (target_ms > 0)
        printf("  target %.0f ms: %s\n", target_ms, ms <= target_ms ? "met" : "MISSED");
    fflush(stdout);
}

/* Whether this is the process to make a figure in: each has one of its own, so that none is made on
 * a heap that those before it have left in pieces. */
static bool own_process(void) {
    fflush(stdout);
    pid_t pid = fork();

    if (pid > 0)
        waitpid(pid, NULL, 0);
    return pid <= 0;
}

/* Whether the word is in the name, and not cut within a number. */
static bool is_wanted(const char *name, const char *word) {
    const char *at = strstr(name, word);

    return at && !isdigit((unsigned char)at[strlen(word)]);
}

int main(int argc, char **argv) {
    static const size_t agents[] = {1000, 5000, 10000, 20000, 50000};
    static const size_t frameworks[] = {50, 200, 1000, 2000, 6000};
    static const struct {
        size_t agents, frameworks;
        double peer_ms, target_ms;
    } peer[] = {{10000, 200, 600, 6}, {10000, 1000, 1100, 11}, {20000, 2000, 3800, 38}};
    const char *only = argc > 1 ? argv[1] : "";
    size_t wanted = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

    for (size_t i = 0; i < RV_COUNT(agents); i++) {
        for (size_t j = 0; j < RV_COUNT(frameworks); j++) {
            size_t cycles = wanted ? wanted : agents[i] > 20000 ? 9 : 31;
            double peer_ms = 0, target_ms = 0;
            char name[64];

            for (size_t k = 0; k < RV_COUNT(peer); k++) {
                if (peer[k].agents == agents[i] && peer[k].frameworks == frameworks[j]) {
                    peer_ms = peer[k].peer_ms;
                    target_ms = peer[k].target_ms;
                }
            }
            snprintf(name, sizeof name, "full.%zux%zu", agents[i], frameworks[j]);
            if (!is_wanted(name, only))
                continue;
            if (!own_process())
                continue;
            report(name,
                   bench_full(agents[i], frameworks[j], RV_MIN(cycles, (size_t)CYCLES_MAX), false),
                   peer_ms, target_ms);
            return 0;
        }
    }
    if (is_wanted("quota.10000x200", only) && own_process()) {
        report("quota.10000x200", bench_full(10000, 200, 31, true), 0, 0);
        return 0;
    }
    if (is_wanted("filtered.1000x200", only) && own_process()) {
        report("filtered.1000x200", bench_filtered(1000, 200), 2240, 22);
        return 0;
    }
    if (is_wanted("incremental.20000x2000", only))
        report("incremental.20000x2000", bench_incremental(20000, 2000), 0, 2);
    return 0;
}
