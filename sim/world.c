/* The world: see world.h. The heap is an array of events; who owns an event's data is there. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

void sim_world_init(struct sim_world *w, uint64_t seed, bool verbose) {
    *w = (struct sim_world){.seed = seed, .verbose = verbose};
    rv_prng_seed(&w->prng, seed);
    w->now_ms = 1000;
    w->wall_base_ns = INT64_C(1700000000000000000);
    w->lines = rv_calloc(SIM_TRACE_LINES, sizeof *w->lines);
}

static void drop_data(struct sim_event *e) {
    if (e->free_data)
        e->free_data(e->data);
    else
        free(e->data);
}

void sim_world_free(struct sim_world *w) {
    for (size_t i = 0; i < w->heap.n; i++)
        drop_data(&w->heap.v[i]);
    rv_vec_free(&w->heap);
    rv_vec_free(&w->writes);
    free(w->lines);
}

/* --- the heap --- */

static bool before(const struct sim_event *a, const struct sim_event *b) {
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void push(struct sim_world *w, struct sim_event e) {
    e.order = w->next_order++;
    rv_vec_push(&w->heap, e);
    size_t i = w->heap.n - 1;
    while (i && before(&w->heap.v[i], &w->heap.v[(i - 1) / 2])) {
        struct sim_event up = w->heap.v[(i - 1) / 2];
        w->heap.v[(i - 1) / 2] = w->heap.v[i];
        w->heap.v[i] = up;
        i = (i - 1) / 2;
    }
}

static struct sim_event pop(struct sim_world *w) {
    struct sim_event first = w->heap.v[0];

    w->heap.v[0] = w->heap.v[--w->heap.n];
    for (size_t i = 0;;) {
        size_t least = i, left = 2 * i + 1;
        if (left < w->heap.n && before(&w->heap.v[left], &w->heap.v[least]))
            least = left;
        if (left + 1 < w->heap.n && before(&w->heap.v[left + 1], &w->heap.v[least]))
            least = left + 1;
        if (least == i)
            return first;
        struct sim_event down = w->heap.v[i];
        w->heap.v[i] = w->heap.v[least];
        w->heap.v[least] = down;
        i = least;
    }
}

void sim_at(struct sim_world *w, struct sim_party *party, int64_t delay_ms, sim_action action,
            void *ctx, uint64_t arg, void *data) {
    push(w, (struct sim_event){.at_ms = w->now_ms + delay_ms,
                               .party = party,
                               .life = party ? party->life : 0,
                               .action = action,
                               .ctx = ctx,
                               .arg = arg,
                               .data = data});
}

void sim_at_any(struct sim_world *w, struct sim_party *party, int64_t delay_ms, sim_action action,
                void *ctx, uint64_t arg, void *data) {
    push(w, (struct sim_event){.at_ms = w->now_ms + delay_ms,
                               .party = party,
                               .action = action,
                               .ctx = ctx,
                               .arg = arg,
                               .data = data});
}

void sim_at_owned(struct sim_world *w, int64_t delay_ms, sim_action action, void *ctx, void *data,
                  void (*free_data)(void *p)) {
    push(w, (struct sim_event){.at_ms = w->now_ms + delay_ms,
                               .action = action,
                               .ctx = ctx,
                               .data = data,
                               .free_data = free_data});
}

bool sim_run_one(struct sim_world *w, int64_t until_ms) {
    while (w->heap.n && w->heap.v[0].at_ms <= until_ms) {
        struct sim_event e = pop(w);

        w->now_ms = e.at_ms;
        if (e.party && e.life && e.party->life != e.life) {
            drop_data(&e);
            continue;
        }
        if (e.party && e.party->frozen_until_ms > w->now_ms) {
            e.at_ms = e.party->frozen_until_ms;
            push(w, e);
            continue;
        }
        w->n_events++;
        e.action(e.ctx, e.arg, e.data);
        return true;
    }
    w->now_ms = until_ms;
    return false;
}

/* --- parties and chance --- */

int64_t sim_wall_ns(const struct sim_world *w, const struct sim_party *p) {
    return w->wall_base_ns + w->now_ms * 1000000 + p->wall_offset_ns;
}

void sim_party_init(struct sim_world *w, struct sim_party *p, int node, const char *format, ...) {
    va_list args;

    *p = (struct sim_party){.node = node, .up = true, .life = sim_number(w)};
    va_start(args, format);
    vsnprintf(p->name, sizeof p->name, format, args);
    va_end(args);
}

uint64_t sim_below(struct sim_world *w, uint64_t bound) {
    return rv_prng_below(&w->prng, bound);
}

int64_t sim_between(struct sim_world *w, int64_t least, int64_t most) {
    return least + (int64_t)rv_prng_below(&w->prng, (uint64_t)(most - least) + 1);
}

bool sim_chance(struct sim_world *w, unsigned per_mille) {
    return per_mille && rv_prng_below(&w->prng, 1000) < per_mille;
}

bool sim_fault(struct sim_world *w, unsigned per_mille) {
    return !w->healing && sim_chance(w, per_mille);
}

uint64_t sim_write(struct sim_world *w, const char *kind) {
    rv_vec_push(&w->writes, kind);
    return ++w->n_writes;
}

bool sim_crashes(struct sim_world *w, uint64_t write, enum sim_moment moment) {
    bool crashes = write && w->crash_point.at == write && w->crash_point.moment == moment;

    w->crash_point.was_there = w->crash_point.was_there || crashes;
    return crashes;
}

uint64_t sim_number(struct sim_world *w) {
    return ++w->next_number;
}

/* --- trace --- */

void sim_trace(struct sim_world *w, const struct sim_party *p, const char *format, ...) {
    char *line = w->lines[w->n_lines++ % SIM_TRACE_LINES];
    size_t size = sizeof *w->lines;
    va_list args;

    int n = snprintf(line, size, "%9.3f %-12s ", (double)w->now_ms / 1000, p ? p->name : "world");
    va_start(args, format);
    vsnprintf(line + n, size - (size_t)n, format, args);
    va_end(args);
    w->hash = w->hash * UINT64_C(0x9e3779b97f4a7c15) + rv_hash(line, strlen(line));
    if (w->verbose)
        puts(line);
}

void sim_fail(struct sim_world *w, const char *format, ...) {
    va_list args;

    if (w->failed)
        return;
    w->failed = true;
    int n = snprintf(w->failure, sizeof w->failure,
                     "seed %llu, event %llu, at %.3f s: ", (unsigned long long)w->seed,
                     (unsigned long long)w->n_events, (double)w->now_ms / 1000);
    va_start(args, format);
    vsnprintf(w->failure + n, sizeof w->failure - (size_t)n, format, args);
    va_end(args);
}
