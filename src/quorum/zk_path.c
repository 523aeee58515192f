/*
 * A path with all above it, made part by part. That a part is there already is fine; so a try whose
 * answer was lost is made again.
 */
#include <stdlib.h>

#include "quorum/session.h"

struct making {
    struct rv_zk *z;
    char *path;
    size_t at; /* the path as far as here is there */
    rv_zk_done done;
    void *ctx;
};

static void make_next(struct making *m);

static void made(struct making *m, int code) {
    const struct rv_zk_result result = {.code = code, .path = m->path};

    m->done(m->ctx, &result);
    free(m->path);
    free(m);
}

static void on_made(void *ctx, const struct rv_zk_result *result) {
    struct making *m = ctx;

    /* Not ours to make, it may be there all the same: what follows will show. */
    if (result->code != RV_ZK_OK && result->code != RV_ZK_NODE_EXISTS &&
        result->code != RV_ZK_LOST && result->code != RV_ZK_NO_AUTH) {
        made(m, result->code);
        return;
    }
    if (result->code == RV_ZK_LOST) /* asked again: that it is there already is fine */
        while (m->at && m->path[--m->at] != '/')
            ;
    if (!m->path[m->at])
        made(m, RV_ZK_OK);
    else
        make_next(m);
}

static void make_next(struct making *m) {
    m->at += 1 + strcspn(m->path + m->at + 1, "/");
    _cleanup_free_ char *part = rv_strndup(m->path, m->at);
    rv_zk_create(m->z, part, RV_STR(""), 0, RV_ZK_PUBLIC, on_made, m);
}

void rv_zk_make_path(struct rv_zk *z, const char *path, rv_zk_done done, void *ctx) {
    struct making *m = rv_calloc(1, sizeof *m);

    *m = (struct making){z, rv_strdup(path), 0, done, ctx};
    make_next(m);
}
