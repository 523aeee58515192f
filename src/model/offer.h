/* Operations that a scheduler does on what it was offered. */
#ifndef RV_MODEL_OFFER_H
#define RV_MODEL_OFFER_H

#include "model/enums.h"
#include "model/ids.h"
#include "model/resources.h"
#include "model/task.h"

struct rv_operation {
    enum rv_operation_type type; /* RV_OP_UNKNOWN: an operation that this version does not know */
    struct rv_operation_id id;   /* v NULL: no feedback asked for */
    struct rv_task_info *tasks;  /* LAUNCH, LAUNCH_GROUP */
    size_t n_tasks;
    struct rv_executor_info *executor; /* LAUNCH_GROUP */
    struct rv_resources resources; /* RESERVE, UNRESERVE; CREATE, DESTROY: volumes; GROW, SHRINK:
                                      the volume; CREATE_DISK, DESTROY_DISK: the source */
    struct rv_resources source;    /* RESERVE: source; GROW: the addition */
    int64_t subtract;              /* SHRINK: thousandths */
    struct rv_blob *packed;        /* the whole Offer.Operation as sent */
    char *problem;                 /* what is wrong with it by itself; NULL: nothing */
};
void rv_operation_free(struct rv_operation *o); /* frees the members */
void rv_operation_copy(struct rv_operation *out, const struct rv_operation *o);

#endif
