/* What a simulated scheduler does with the resources that it is offered, beside launching: it
 * reserves and unreserves, makes, resizes and destroys volumes. Private to schedulers. */
#ifndef SIM_SCHEDULER_OPERATIONS_H
#define SIM_SCHEDULER_OPERATIONS_H

#include "model/operation.h"
#include "schedulers.h"

#define SIM_OPERATIONS_MAX 3

/* One that was asked for with an id. */
struct sim_asked {
    char *id, *agent_id;
    enum rv_operation_state state;
    bool over; /* its end is known, or nobody will ever tell */
};

/* Fills `out` with operations, and changes the offer's resources as they will be after them. How
 * many; 0 if this run has none. The trees are in the scheduler's arena; `held` is what they borrow
 * (freed by the caller). */
size_t sim_scheduler_operate(struct sim_scheduler *s, struct sim_offer *o,
                             Reeve__V1__Offer__Operation **out,
                             struct rv_operation held[SIM_OPERATIONS_MAX]);
void sim_scheduler_on_operation(struct sim_scheduler *s, const Reeve__V1__OperationStatus *m);
/* Asks about all whose end is not known. */
void sim_scheduler_reconcile_operations(struct sim_scheduler *s);
/* One whose end is not known, though there is still somebody who knows it; NULL: none. */
const struct sim_asked *sim_scheduler_waits_for(const struct sim_scheduler *s);
void sim_scheduler_operations_free(struct sim_scheduler *s);

#endif
