/*
 * Operations on resources as conversions: what is taken, and what comes instead. One function says
 * so for the master, where an operation takes effect at once, and for the agent, which writes it
 * down. What an agent has is what it has by itself with what operations made of it.
 *
 * Sources: reservation.md, persistent-volume.md, shared-resources.md of the peer's documentation.
 */
#ifndef RV_MODEL_OPERATION_H
#define RV_MODEL_OPERATION_H

#include "model/offer.h"

struct rv_conversion {
    struct rv_resources consumed, converted;
};
void rv_conversion_free(struct rv_conversion *c); /* leaves it empty */

/* RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME and SHRINK_VOLUME; the others are not. */
bool rv_operation_converts(enum rv_operation_type type);
/* out is replaced. -RV_ERR_INVALID says what is wrong with the operation, whoever asks for it and
 * wherever it is to be done; out is untouched then. Allocation roles stay as they are. */
RV_MUST_USE int rv_operation_conversion(const struct rv_operation *op, struct rv_conversion *out,
                                        struct rv_error *err);
/* r without what is consumed and with what is converted. False: r lacks some of what is consumed,
 * and is unchanged. */
RV_MUST_USE bool rv_conversion_apply(const struct rv_conversion *c, struct rv_resources *r);
/* Sets (role != NULL) or clears (NULL) the allocation role on both sides. */
void rv_conversion_allocate(struct rv_conversion *c, const char *role);

/* Those that operations made: reserved dynamically, or a persistent volume. out is replaced. */
void rv_resources_made(struct rv_resources *out, const struct rv_resources *r);
/* Makes of `total`, what an agent has by itself, what operations made of it before. What it lacks
 * for that is named in the error, -RV_ERR_INVALID, and total is unchanged then. */
RV_MUST_USE int rv_resources_make(struct rv_resources *total, const struct rv_resources *made,
                                  struct rv_error *err);

/* Where a volume on the agent's own disk lies: "WORK_DIR/volumes/roles/ROLE/ID", a role's slashes
 * as spaces, which roles do not have. Appends. */
void rv_volume_directory(const char *work_dir, const struct rv_kind *volume, struct rv_buf *out);

#endif
