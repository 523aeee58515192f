/*
 * The registry in ZooKeeper. PATH/registry is its head: a line of text with the format, who writes,
 * the tally, and a checksum. Below it are 256 buckets, and in these the records, a znode each: no
 * list of children comes near to what ZooKeeper can answer.
 *
 * Each transaction sets the head, and expects the version that the one before has left. So writes
 * are in order, and the head's version tells which of them are done whose answers were lost with a
 * connection. Each also expects the version of PATH/registry/epoch, which whoever takes the head
 * over changes: so that nobody else writes any more.
 */
#ifndef RV_QUORUM_REGISTRY_ZOOKEEPER_H
#define RV_QUORUM_REGISTRY_ZOOKEEPER_H

#include "quorum/registry.h"
#include "quorum/session.h"

struct rv_registry_zk_config {
    struct rv_zk *zk;      /* outlives the registry */
    const char *path;      /* above "registry" */
    const char *writer;    /* whose head it is to be: an id without blanks; NULL: for load alone */
    const char *candidate; /* a node that must be there when the head is taken over; NULL: none */
};

/* load takes the head over first. Sessions end: that is on_lost, too. */
struct rv_registry *rv_registry_zookeeper_new(const struct rv_registry_zk_config *config);

#endif
