/* The operator's quotas: set, changed and removed by chance, some of them as nobody can have them.
 */
#ifndef SIM_QUOTAS_H
#define SIM_QUOTAS_H

struct sim_cluster;

/* One turn of the safety phase: perhaps something. */
void sim_quotas_turn(struct sim_cluster *c);
/* One of the liveness phase: all of them are removed, so that everybody can be offered something.
 */
void sim_quotas_remove(struct sim_cluster *c);

#endif
