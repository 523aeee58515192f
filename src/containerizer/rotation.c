/* A look at the logs, see rotation.h and logs.h. Holds: the items are its own copies. */
#include "containerizer/rotation.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/vec.h"
#include "containerizer/logs.h"

struct item {
    char *directory;
    uint64_t max_bytes;
    unsigned keep;
};

struct rv_rotation {
    uv_work_t work;
    RV_VEC(struct item) items;
    void (*on_done)(void *ctx);
    void *ctx;
};

struct rv_rotation *rv_rotation_new(void) {
    return rv_calloc(1, sizeof(struct rv_rotation));
}

void rv_rotation_add(struct rv_rotation *r, const char *directory, uint64_t max_bytes,
                     unsigned keep) {
    struct item item = {rv_strdup(directory), max_bytes, keep};

    rv_vec_push(&r->items, item);
}

static void work(uv_work_t *w) {
    const struct rv_rotation *r = w->data;

    for (size_t i = 0; i < r->items.n; i++)
        rv_logs_rotate(r->items.v[i].directory, r->items.v[i].max_bytes, r->items.v[i].keep);
}

static void done(uv_work_t *w, int status) {
    struct rv_rotation *r = w->data;
    void (*on_done)(void *ctx) = r->on_done;
    void *ctx = r->ctx;

    (void)status;
    for (size_t i = 0; i < r->items.n; i++)
        free(r->items.v[i].directory);
    rv_vec_free(&r->items);
    free(r);
    on_done(ctx);
}

void rv_rotation_run(struct rv_rotation *r, uv_loop_t *loop, void (*on_done)(void *ctx),
                     void *ctx) {
    r->work.data = r;
    r->on_done = on_done;
    r->ctx = ctx;
    if (uv_queue_work(loop, &r->work, work, done) != 0)
        done(&r->work, 0);
}
