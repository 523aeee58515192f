/* The calls of a simulated scheduler: what it decides, and how it says so. Private to schedulers.
 */
#ifndef SIM_SCHEDULER_CALLS_H
#define SIM_SCHEDULER_CALLS_H

#include "schedulers.h"

/* --- schedulers.c --- */
struct sim_offer *sim_scheduler_take_offer(struct sim_scheduler *s, const char *id); /* NULL: any */
void sim_offer_free(struct sim_offer *o);
/* In order with the others. What is in the scheduler's arena is gone after. */
void sim_scheduler_post(struct sim_scheduler *s, Reeve__V1__Scheduler__Call *call);
void sim_scheduler_post_aside(struct sim_scheduler *s, struct rv_blob *body, const char *stream_id);
struct rv_blob *sim_scheduler_encode(struct sim_scheduler *s, Reeve__V1__Scheduler__Call *call);

/* --- scheduler_calls.c --- */
Reeve__V1__FrameworkInfo *sim_scheduler_info(struct sim_scheduler *s);
void sim_scheduler_acknowledge(struct sim_scheduler *s, const Reeve__V1__TaskStatus *m);
void sim_scheduler_reconcile(struct sim_scheduler *s, bool all);
/* Accepts or declines; the offer is taken over. */
void sim_scheduler_answer(struct sim_scheduler *s, struct sim_offer *o);
/* Now and then something else: suppress, revive, kill, message, nonsense. */
void sim_scheduler_whim(struct sim_scheduler *s);

/* Says yes or no to a request to be gone in time. */
void sim_scheduler_answer_inverse(struct sim_scheduler *s, const char *id);

#endif
