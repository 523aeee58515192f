/* Nodes: see znodes.h. The root is "". */
#include "znodes.h"

#include <stdlib.h>

#include "base/assert.h"

static void put(struct sim_znodes *t, const char *path, struct rv_blob *data, uint64_t owner) {
    struct sim_znode *n = rv_calloc(1, sizeof *n);

    n->data = rv_blob_ref(data);
    n->owner = owner;
    rv_map_put(&t->nodes, rv_str(path), n);
}

void sim_znodes_init(struct sim_znodes *t) {
    *t = (struct sim_znodes){.nodes = {0}};
    put(t, "", NULL, 0);
}

static void free_node(struct sim_znode *n) {
    rv_blob_unref(n->data);
    rv_map_free(&n->children);
    free(n);
}

void sim_znodes_free(struct sim_znodes *t) {
    void *n;

    for (size_t it = 0; rv_map_next(&t->nodes, &it, NULL, &n);)
        free_node(n);
    rv_map_free(&t->nodes);
}

struct sim_znode *sim_znode(const struct sim_znodes *t, const char *path) {
    return rv_map_gets(&t->nodes, path);
}

char *sim_znode_parent(const char *path) {
    const char *slash = strrchr(path, '/');

    return rv_strndup(path, slash ? (size_t)(slash - path) : 0);
}

void sim_zk_changes_free(struct sim_zk_changes *c) {
    for (size_t i = 0; i < c->list.n; i++) {
        free(c->list.v[i].path);
        rv_blob_unref(c->list.v[i].data);
    }
    rv_vec_free(&c->list);
}

/* --- what may be done --- */

static char here, gone;

/* Earlier changes of the same transaction count: path -> here, or gone. */
static bool is_there(const struct sim_znodes *t, const struct rv_map *changed, const char *path) {
    const void *is = rv_map_gets(changed, path);

    return is ? is == &here : sim_znode(t, path) != NULL;
}

static int check_create(const struct sim_znodes *t, const struct rv_map *changed,
                        struct sim_zk_change *c) {
    _cleanup_free_ char *parent = sim_znode_parent(c->path);
    const struct sim_znode *above = sim_znode(t, parent);

    if (!is_there(t, changed, parent))
        return RV_ZK_NO_NODE;
    if (c->sequence) {
        char *numbered = rv_asprintf("%s%010u", c->path, above ? above->sequence : 0);
        free(c->path);
        c->path = numbered;
    }
    return is_there(t, changed, c->path) ? RV_ZK_NODE_EXISTS : RV_ZK_OK;
}

static int check_one(const struct sim_znodes *t, const struct rv_map *changed,
                     struct sim_zk_change *c) {
    const struct sim_znode *n = sim_znode(t, c->path);

    if (c->change == RV_ZK_CREATE)
        return check_create(t, changed, c);
    if (!is_there(t, changed, c->path))
        return RV_ZK_NO_NODE;
    if (c->version != -1 && (!n || n->version != c->version))
        return RV_ZK_BAD_VERSION;
    if (c->change == RV_ZK_REMOVE && n && rv_map_count(&n->children))
        return RV_ZK_NOT_EMPTY;
    return RV_ZK_OK;
}

int sim_znodes_check(const struct sim_znodes *t, struct sim_zk_changes *changes) {
    struct rv_map changed = {0};
    int code = RV_ZK_OK;

    for (size_t i = 0; i < changes->list.n && code == RV_ZK_OK; i++) {
        struct sim_zk_change *c = &changes->list.v[i];

        code = check_one(t, &changed, c);
        if (c->change == RV_ZK_CREATE || c->change == RV_ZK_REMOVE)
            rv_map_put(&changed, rv_str(c->path), c->change == RV_ZK_CREATE ? &here : &gone);
    }
    rv_map_free(&changed);
    return code;
}

/* --- doing it --- */

static void apply_one(struct sim_znodes *t, const struct sim_zk_change *c, uint64_t zxid) {
    _cleanup_free_ char *parent = sim_znode_parent(c->path);
    struct sim_znode *n = sim_znode(t, c->path), *above = sim_znode(t, parent);
    struct rv_str name = rv_str(c->path + strlen(parent) + 1);

    switch (c->change) {
    case RV_ZK_CREATE:
        put(t, c->path, c->data, c->owner);
        rv_map_put(&above->children, name, t);
        above->sequence++;
        above->children_zxid = zxid;
        return;
    case RV_ZK_SET:
        rv_blob_unref(n->data);
        n->data = rv_blob_ref(c->data);
        n->version++;
        return;
    case RV_ZK_REMOVE:
        free_node(rv_map_remove(&t->nodes, rv_str(c->path)));
        rv_map_remove(&above->children, name);
        above->children_zxid = zxid;
        return;
    case RV_ZK_CHECK:
        return;
    }
    RV_UNREACHABLE();
}

void sim_znodes_apply(struct sim_znodes *t, const struct sim_zk_changes *changes, uint64_t zxid) {
    for (size_t i = 0; i < changes->list.n; i++)
        apply_one(t, &changes->list.v[i], zxid);
}
