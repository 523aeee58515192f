/* The operator's moves: draining, deactivating, giving up agents; maintenance of machines. */
#ifndef SIM_OPERATORS_H
#define SIM_OPERATORS_H

struct sim_cluster;

/* One turn of the safety phase: perhaps something. */
void sim_operators_turn(struct sim_cluster *c);
/* One of the liveness phase: what is out of service is put back, a step at a time. */
void sim_operators_put_back(struct sim_cluster *c);

#endif
