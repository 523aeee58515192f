/*
 * Crash points: what is written in a run, and a cluster in which every kind of write is done. The
 * run is done again for each of them, and who writes crashes there (main.c).
 */
#ifndef SIM_CRASH_POINTS_H
#define SIM_CRASH_POINTS_H

#include "znodes.h"

struct sim_cluster;

/* What a master writes to ZooKeeper with this. */
const char *sim_write_kind(const struct sim_zk_changes *changes);
/* Leaders come and go, and write: one stops, one is killed, one is cut off from ZooKeeper. */
void sim_crash_scenario(struct sim_cluster *c);
/* Whether who does this write is to be crashed there: of those that are the same again and again
 * some will do. nth: of its kind, from 0. */
bool sim_is_crash_point(const char *kind, uint64_t nth);

#endif
