/*
 * Why a container was ended, kept until it is told: what a rv_container_end says, but its status.
 * Of several reasons the first counts.
 */
#ifndef RV_CONTAINERIZER_VERDICT_H
#define RV_CONTAINERIZER_VERDICT_H

#include "containerizer/containerizer.h"

/* Zero-initialised, but for the reason, which is RV_REASON_NONE: rv_verdict_init. */
struct rv_verdict {
    enum rv_reason reason;
    char *message;
    struct rv_resources limitation;
};

void rv_verdict_init(struct rv_verdict *v);
void rv_verdict_free(struct rv_verdict *v);
/* Copies; nothing happens if there is a reason already. */
void rv_verdict_set(struct rv_verdict *v, const struct rv_container_end *why);
/* Adds a sentence to the message. */
void rv_verdict_add(struct rv_verdict *v, const char *sentence);
/* Fills in all but the status, borrowed from the verdict. */
void rv_verdict_tell(const struct rv_verdict *v, struct rv_container_end *out);

#endif
