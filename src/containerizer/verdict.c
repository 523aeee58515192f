/* Why a container was ended, see verdict.h. */
#include "containerizer/verdict.h"

#include <stdlib.h>

#include "base/memory.h"

void rv_verdict_init(struct rv_verdict *v) {
    *v = (struct rv_verdict){.reason = RV_REASON_NONE};
}

void rv_verdict_free(struct rv_verdict *v) {
    free(v->message);
    rv_resources_free(&v->limitation);
    rv_verdict_init(v);
}

void rv_verdict_set(struct rv_verdict *v, const struct rv_container_end *why) {
    if (v->reason != RV_REASON_NONE)
        return;
    v->reason = why->reason;
    if (why->message)
        rv_verdict_add(v, why->message);
    if (why->limitation)
        rv_resources_copy(&v->limitation, why->limitation);
}

void rv_verdict_add(struct rv_verdict *v, const char *sentence) {
    char *message = v->message ? rv_asprintf("%s. %s", v->message, sentence) : rv_strdup(sentence);

    free(v->message);
    v->message = message;
}

void rv_verdict_tell(const struct rv_verdict *v, struct rv_container_end *out) {
    out->reason = v->reason;
    out->message = v->message;
    out->limitation = rv_resources_empty(&v->limitation) ? NULL : &v->limitation;
}
