/*
 * Effects: making them, and releasing what they borrowed. Everything an effect points to is in the
 * arena of the effects, in a record (which outlives the step, see internal.h), or constant.
 * Appending costs O(1).
 */
#include <stdlib.h>

#include "master/internal.h"

void rv_effects_clear(struct rv_effects *e) {
    for (size_t i = 0; i < e->graves.n; i++)
        e->graves.v[i].free(e->graves.v[i].record);
    e->graves.n = 0;
    e->n = 0;
    rv_arena_reset(&e->arena);
}

void rv_effects_free(struct rv_effects *e) {
    rv_effects_clear(e);
    rv_vec_free(&e->graves);
    free(e->v);
    e->v = NULL;
    e->cap = 0;
    rv_arena_free(&e->arena);
}

static struct rv_master_effect *push(struct rv_master *m, enum rv_master_effect_kind kind) {
    struct rv_effects *out = m->out;
    struct rv_master_effect effect = {.kind = kind};

    rv_vec_push(out, effect);
    return &out->v[out->n - 1];
}

void rv_master_bury(struct rv_master *m, void (*free_fn)(void *), void *record) {
    struct rv_grave grave = {free_fn, record};

    rv_vec_push(&m->out->graves, grave);
}

char *rv_master_keep(struct rv_master *m, const char *s) {
    return rv_arena_strdup(&m->out->arena, s);
}

void rv_master_reply_text(struct rv_master *m, uint64_t request, int status, const char *text) {
    struct rv_master_effect *effect;

    if (request == 0)
        return;
    effect = push(m, RV_MASTER_REPLY);
    effect->request = request;
    effect->status = status;
    effect->message = text;
}

void rv_master_log_text(struct rv_master *m, enum rv_log_level level, const char *text) {
    struct rv_master_effect *effect = push(m, RV_MASTER_LOG);

    effect->level = (int)level;
    effect->message = text;
}

void rv_master_stop(struct rv_master *m, const char *text) {
    push(m, RV_MASTER_STOP)->message = text;
}

void rv_master_open_stream(struct rv_master *m, uint64_t request, uint64_t stream,
                           const char *stream_id) {
    struct rv_master_effect *effect = push(m, RV_MASTER_OPEN_STREAM);

    effect->request = request;
    effect->stream = stream;
    effect->status = 200;
    effect->stream_id = rv_master_keep(m, stream_id);
}

void rv_master_close_stream(struct rv_master *m, uint64_t stream) {
    push(m, RV_MASTER_CLOSE_STREAM)->stream = stream;
}

struct rv_scheduler_event *rv_master_tell_stream(struct rv_master *m, uint64_t stream,
                                                 enum rv_scheduler_event_type type) {
    struct rv_scheduler_event *event = RV_ARENA_NEW(&m->out->arena, struct rv_scheduler_event);
    struct rv_master_effect *effect = push(m, RV_MASTER_SEND_SCHEDULER);

    event->type = type;
    effect->stream = stream;
    effect->scheduler = event;
    return event;
}

struct rv_scheduler_event *rv_master_tell(struct rv_master *m, struct rv_master_framework *f,
                                          enum rv_scheduler_event_type type) {
    struct rv_scheduler_event *event;

    if (!f->connected)
        return NULL;
    f->events[type]++;
    event = rv_master_tell_stream(m, f->stream, type);
    event->capabilities = f->info.capabilities;
    return event;
}

struct rv_agent_event *rv_master_tell_agent_stream(struct rv_master *m, uint64_t stream,
                                                   enum rv_agent_event_type type) {
    struct rv_agent_event *event = RV_ARENA_NEW(&m->out->arena, struct rv_agent_event);
    struct rv_master_effect *effect = push(m, RV_MASTER_SEND_AGENT);

    event->type = type;
    effect->stream = stream;
    effect->agent = event;
    return event;
}

struct rv_agent_event *rv_master_tell_agent(struct rv_master *m, const struct rv_master_agent *a,
                                            enum rv_agent_event_type type) {
    return a->connected ? rv_master_tell_agent_stream(m, a->stream, type) : NULL;
}

struct rv_operator_event *rv_master_tell_operators(struct rv_master *m, uint64_t stream,
                                                   enum rv_operator_event_kind kind) {
    struct rv_operator_event *event;
    struct rv_master_effect *effect;

    if (rv_map_count(&m->subscribers) == 0)
        return NULL;
    event = RV_ARENA_NEW(&m->out->arena, struct rv_operator_event);
    event->kind = kind;
    effect = push(m, RV_MASTER_SEND_OPERATOR);
    effect->stream = stream;
    effect->operator_ = event;
    return event;
}

struct rv_registry_op *rv_master_write(struct rv_master *m, enum rv_registry_kind kind,
                                       struct rv_master_pending *p) {
    struct rv_registry_op *op = RV_ARENA_NEW(&m->out->arena, struct rv_registry_op);

    op->seq = ++m->next_registry;
    op->kind = kind;
    push(m, RV_MASTER_REGISTRY)->registry = op;
    if (p) {
        p->seq = op->seq;
        rv_map_put(&m->pending, rv_master_key(&p->seq), p);
        if (kind == RV_REGISTRY_ADMIT_AGENT || kind == RV_REGISTRY_MARK_REACHABLE)
            m->pending_agents++;
        else if (kind == RV_REGISTRY_PUT_FRAMEWORK && !p->update)
            m->pending_frameworks++;
    }
    return op;
}
