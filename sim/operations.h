/* The operator's operations on resources: reservations and volumes, made by chance and undone. */
#ifndef SIM_OPERATIONS_H
#define SIM_OPERATIONS_H

struct sim_cluster;

/* One turn of the safety phase: perhaps something. */
void sim_operations_turn(struct sim_cluster *c);
/* One of the liveness phase: what operations made of resources is undone, as far as nobody uses it,
 * so that everybody can be offered something. */
void sim_operations_undo(struct sim_cluster *c);
/* Where something is left of them; NULL: nowhere. */
const char *sim_operations_left(struct sim_cluster *c);

#endif
