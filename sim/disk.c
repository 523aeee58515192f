/* The registry: see disk.h. */
#include "disk.h"

#include <stdlib.h>

void sim_registry_init(struct sim_registry *r, struct sim_world *w, struct sim_party *party,
                       void (*on_done)(void *ctx, const struct rv_registry_op *op, bool ok),
                       void (*on_crash)(void *ctx), void *ctx) {
    *r = (struct sim_registry){
        .world = w, .party = party, .on_done = on_done, .on_crash = on_crash, .ctx = ctx};
}

void sim_registry_free(struct sim_registry *r) {
    for (size_t i = 0; i < r->pending.n; i++)
        sim_op_free(r->pending.v[i]);
    rv_vec_free(&r->pending);
    rv_vec_free(&r->numbers);
    sim_content_free(&r->content);
}

static void registry_next(struct sim_registry *r);

static void registry_done(void *ctx, uint64_t arg, void *data) {
    struct sim_registry *r = ctx;
    struct rv_registry_op *op = r->pending.v[0];
    bool ok = !sim_fault(r->world, r->world->faults.registry_fail);
    (void)arg;
    (void)data;

    if (r->stalled_until_ms > r->world->now_ms) {
        sim_at(r->world, r->party, r->stalled_until_ms - r->world->now_ms, registry_done, r, 0,
               NULL);
        return;
    }
    bool crashes = ok && sim_crashes(r->world, r->numbers.v[0], SIM_DURABLE);
    rv_vec_remove_at(&r->pending, 0);
    rv_vec_remove_at(&r->numbers, 0);
    r->busy = false;
    if (ok)
        sim_content_apply(&r->content, op);
    if (crashes) {
        sim_op_free(op);
        r->on_crash(r->ctx);
        return;
    }
    registry_next(r);
    r->on_done(r->ctx, op, ok);
    sim_op_free(op);
}

static void registry_next(struct sim_registry *r) {
    struct sim_world *w = r->world;

    if (r->busy || !r->pending.n)
        return;
    r->busy = true;
    sim_at(w, r->party,
           sim_fault(w, w->faults.registry_slow) ? sim_between(w, 10, 8000) : sim_between(w, 0, 5),
           registry_done, r, 0, NULL);
}

void sim_registry_put(struct sim_registry *r, const struct rv_registry_op *op, uint64_t number) {
    rv_vec_push(&r->pending, sim_op_new(op));
    rv_vec_push(&r->numbers, number);
    registry_next(r);
}

/* Some of what was under way may have succeeded, unanswered. */
void sim_registry_crash(struct sim_registry *r) {
    size_t keep = sim_below(r->world, r->pending.n + 1);

    for (size_t i = 0; i < r->pending.n; i++) {
        if (i < keep)
            sim_content_apply(&r->content, r->pending.v[i]);
        sim_op_free(r->pending.v[i]);
    }
    r->pending.n = r->numbers.n = 0;
    r->busy = false;
}
