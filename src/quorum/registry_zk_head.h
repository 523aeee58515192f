/* The head of a registry in ZooKeeper: read, and taken over. Private to quorum. */
#ifndef RV_QUORUM_REGISTRY_ZK_HEAD_H
#define RV_QUORUM_REGISTRY_ZK_HEAD_H

#include "quorum/registry.h"
#include "quorum/session.h"

#define RV_ZK_BUCKETS 256

struct rv_zk_head {
    char *writer; /* who took it over last */
    struct rv_registry_tally tally;
    /* Of its node and of root/epoch. Each transaction sets the head; who takes over sets both. */
    int32_t version, epoch;
};

void rv_zk_head_print(const struct rv_zk_head *head, struct rv_buf *out);
void rv_zk_head_copy(struct rv_zk_head *to, const struct rv_zk_head *from);
void rv_zk_head_free(struct rv_zk_head *head);

/* code: RV_ZK_OK, or another with err set; head is borrowed. */
typedef void (*rv_zk_head_done)(void *ctx, int code, const struct rv_zk_head *head,
                                const struct rv_error *err);

/* As of all that was written before. RV_ZK_NO_NODE: there is no registry. place is named in errors,
 * it and root must live until done. */
void rv_zk_head_read(struct rv_zk *zk, const char *root, const char *place, rv_zk_head_done done,
                     void *ctx);
/* Makes `writer` who writes, while the node `candidate` (if not NULL) is there; makes an empty
 * registry where there is none. The strings must live until done. */
void rv_zk_head_take(struct rv_zk *zk, const char *root, const char *place, const char *writer,
                     const char *candidate, rv_zk_head_done done, void *ctx);

#endif
