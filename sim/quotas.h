/* The operator's quotas: set, changed and removed by chance, some of them as nobody can have them.
 */
#ifndef SIM_QUOTAS_H
#define SIM_QUOTAS_H

#include <stdbool.h>
#include <stdint.h>

struct sim_cluster;
struct sim_scheduler;

/* One turn of the safety phase: perhaps something. */
void sim_quotas_turn(struct sim_cluster *c);
/* One of the liveness phase: all of them are removed, so that everybody can be offered something.
 */
void sim_quotas_remove(struct sim_cluster *c);
/* Of crash points: two quotas with one call. */
void sim_quotas_update(struct sim_cluster *c, int64_t mem);
/* A scheduler of which it is certain that it can have whatever there is; NULL: there is none. */
struct sim_scheduler *sim_quotas_heir(struct sim_cluster *c);
/* A large part of what there is is guaranteed to its role. false: there is nothing. */
bool sim_quotas_guarantee(struct sim_cluster *c, const struct sim_scheduler *heir);

#endif
