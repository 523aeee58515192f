/* What the allocator's tests share: a world of frameworks and agents that collects offers. */
#ifndef RV_TESTS_ALLOCATOR_WORLD_H
#define RV_TESTS_ALLOCATOR_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "allocator/allocator.h"
#include "allocator/policy.h"
#include "base/prng.h"

#define MAX 64

struct offer {
    int framework, agent;
    char role[32];
    struct rv_resources resources;
};

struct world {
    struct rv_allocator *a;
    char f[MAX], g[MAX]; /* their addresses are handles */
    struct offer offers[4096];
    size_t n;
};

static inline struct rv_resources res(const char *text) {
    struct rv_resources r = {0};
    struct rv_error err;

    assert_int_equal(rv_resources_parse(text, "*", &r, &err), 0);
    return r;
}

static inline void on_offer(void *ctx, void *framework, const char *role, void *agent,
                            const struct rv_resources *r) {
    struct world *w = ctx;
    struct offer *o = &w->offers[w->n++];

    assert_true(w->n <= RV_COUNT(w->offers));
    *o = (struct offer){.framework = (int)((char *)framework - w->f),
                        .agent = (int)((char *)agent - w->g)};
    snprintf(o->role, sizeof o->role, "%s", role);
    rv_resources_copy(&o->resources, r);
    for (size_t i = 0; i < r->n; i++)
        assert_string_equal(r->v[i].kind->allocation_role, role);
    for (size_t i = 1; i < r->n; i++)
        assert_true(rv_kind_compare(r->v[i - 1].kind, r->v[i].kind) <= 0);
}

static inline void forget(struct world *w) {
    for (size_t i = 0; i < w->n; i++)
        rv_resources_free(&w->offers[i].resources);
    w->n = 0;
}

static inline void check(struct world *w) {
    const char *problem = rv_allocator_check(w->a);

    if (problem)
        print_error("%s\n", problem);
    assert_null(problem);
}

static inline bool pass_at(struct world *w, int64_t now) {
    bool more;

    forget(w);
    more = rv_allocator_pass(w->a, now, on_offer, w);
    check(w);
    return more;
}

static inline size_t pass(struct world *w) {
    rv_allocator_mark_all(w->a);
    pass_at(w, 0);
    return w->n;
}

static inline struct world *start(const struct rv_allocator_config *config) {
    static const struct rv_quantities none;
    struct rv_allocator_config all = config ? *config : (struct rv_allocator_config){.seed = 7};
    struct world *w = calloc(1, sizeof *w);

    if (!all.min_allocatable)
        all.min_allocatable = &none; /* everything is worth an offer */
    w->a = rv_allocator_new(&all);
    assert_non_null(w->a);
    return w;
}

static inline void stop(struct world *w) {
    forget(w);
    rv_allocator_free(w->a);
    free(w);
}

/* roles: "a,b" */
static inline struct rv_framework_info info_of(const char *roles, uint32_t capabilities) {
    static char buffer[256], *v[8];
    struct rv_framework_info info = {.roles = v, .capabilities = capabilities};

    snprintf(buffer, sizeof buffer, "%s", roles);
    for (char *save = NULL, *t = strtok_r(buffer, ",", &save); t; t = strtok_r(NULL, ",", &save))
        v[info.n_roles++] = t;
    return info;
}

static inline void add(struct world *w, int f, const char *roles, uint32_t capabilities) {
    struct rv_framework_info info = info_of(roles, capabilities);

    rv_allocator_add_framework(w->a, &w->f[f], &info, true);
}

static inline void add_agent(struct world *w, int g, const char *total) {
    char host[] = "host";
    struct rv_agent_info info = {.hostname = host};
    struct rv_resources r = res(total);

    rv_allocator_add_agent(w->a, &w->g[g], &info, &r);
    rv_resources_free(&r);
}

static inline void give_back(struct world *w, size_t i, int64_t now, int64_t until) {
    struct offer *o = &w->offers[i];

    rv_allocator_release(w->a, &w->g[o->agent], &w->f[o->framework], &o->resources, now, until);
    rv_resources_free(&o->resources);
}

static inline void give_all_back(struct world *w) {
    for (size_t i = 0; i < w->n; i++)
        give_back(w, i, 0, 0);
}

/* Keeps `task` of the offer if it fits and gives the rest back; else gives all back. */
static inline bool launch(struct world *w, size_t i, const struct rv_resources *task) {
    struct rv_resources want = {0};
    bool fits;

    rv_resources_copy(&want, task);
    rv_resources_allocate(&want, w->offers[i].role);
    fits = rv_resources_contains(&w->offers[i].resources, &want);
    if (fits)
        rv_resources_subtract(&w->offers[i].resources, &want);
    give_back(w, i, 0, 0);
    rv_resources_free(&want);
    return fits;
}

static inline void expect(const struct world *w, size_t i, int framework, const char *role,
                          int agent, const char *resources) {
    struct rv_resources r = res(resources);

    assert_true(i < w->n);
    rv_resources_allocate(&r, role);
    assert_int_equal(w->offers[i].framework, framework);
    assert_int_equal(w->offers[i].agent, agent);
    assert_string_equal(w->offers[i].role, role);
    assert_true(rv_resources_eq(&w->offers[i].resources, &r));
    rv_resources_free(&r);
}

#endif
