/*
 * The nodes of a simulated ZooKeeper: what one of its servers has applied. Owns all it holds.
 * Costs: O(1) a change and a look-up.
 */
#ifndef SIM_ZNODES_H
#define SIM_ZNODES_H

#include "base/map.h"
#include "base/vec.h"
#include "quorum/session.h"

struct sim_znode {
    struct rv_blob *data;
    int32_t version;
    uint64_t owner;         /* session of an ephemeral node; 0: none */
    uint64_t children_zxid; /* of the last change of the list below it */
    uint32_t sequence;      /* of the next one below it that wants a number */
    struct rv_map children; /* names */
};

struct sim_znodes {
    struct rv_map nodes; /* path -> sim_znode */
};

/* What a transaction asks for; as decided, it has no CHECK and no number to be given any more. */
struct sim_zk_change {
    enum rv_zk_change change;
    char *path;
    struct rv_blob *data;
    int32_t version; /* -1: any */
    uint64_t owner;
    bool sequence;
};
struct sim_zk_changes {
    RV_VEC(struct sim_zk_change) list;
};

void sim_znodes_init(struct sim_znodes *t);
void sim_znodes_free(struct sim_znodes *t);
struct sim_znode *sim_znode(const struct sim_znodes *t, const char *path);
/* RV_ZK_OK, or why all of it is refused. Gives numbers. */
int sim_znodes_check(const struct sim_znodes *t, struct sim_zk_changes *changes);
/* Must have been checked. */
void sim_znodes_apply(struct sim_znodes *t, const struct sim_zk_changes *changes, uint64_t zxid);

/* The path above; "" is the root. The caller frees. */
char *sim_znode_parent(const char *path);
void sim_zk_changes_free(struct sim_zk_changes *c);

#endif
