/* Limits as frameworks are told of them, see agent_limits.h. */
#include "daemon/agent_limits.h"

#include "daemon/legacy_json.h"
#include "wire/codec.h"
#include "wire/convert.h"
#include "wire/resources_codec.h"

enum { STATUS_LIMITATION = 16 };

Reeve__V1__TaskResourceLimitation *rv_limitation_to(const struct rv_resources *over,
                                                    struct rv_arena *arena) {
    Reeve__V1__TaskResourceLimitation *m;

    if (!over || rv_resources_empty(over))
        return NULL;
    m = RV_WIRE_MAKE(arena, TaskResourceLimitation, task_resource_limitation);
    rv_wire_resources_to(over, RV_SHAPE_ENDPOINT, false, arena, &m->resources, &m->n_resources);
    return m;
}

struct rv_blob *rv_limitation_pack(const struct rv_resources *over, struct rv_arena *arena) {
    const Reeve__V1__TaskResourceLimitation *m = rv_limitation_to(over, arena);

    return m ? rv_wire_pack(&m->base) : NULL;
}

static void add_limitation(struct rv_task_status *s, const struct rv_resources *over,
                           struct rv_arena *arena) {
    struct rv_blob *packed = rv_limitation_pack(over, arena);
    struct rv_str rest = rv_blob_bytes(s->rest);
    _cleanup_(rv_buf_free) struct rv_buf out = {0};

    if (!packed)
        return;
    rv_buf_append(&out, rest.s, rest.n);
    rv_packed_put(&out, STATUS_LIMITATION, rv_blob_bytes(packed));
    rv_blob_unref(s->rest);
    s->rest = rv_blob_new(out.data, out.n);
    rv_blob_unref(packed);
}

void rv_agent_explain_failure(struct rv_agent_daemon *d, const struct rv_agent_executor *ex,
                              struct rv_task_status *s, struct rv_arena *arena) {
    const char *id = s->container_id.v ? s->container_id.v : ex->container_id.v;
    struct rv_container_end why;

    if (s->state != RV_TASK_FAILED ||
        !d->containerizer->ops->is_limited(d->containerizer, id, &why))
        return;
    /* Where several tasks share a container, only a limit that ends all of them is about this one.
     */
    if (why.reason == RV_REASON_CONTAINER_LIMITATION && !ex->command &&
        rv_streq(id, ex->container_id.v))
        return;
    s->reason = why.reason;
    s->message = s->message ? rv_arena_printf(arena, "%s. %s", why.message, s->message)
                            : rv_arena_strdup(arena, why.message);
    add_limitation(s, why.limitation, arena);
}
