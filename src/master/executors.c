/*
 * Executors that frameworks bring (custom ones, and the default one for task groups), the messages
 * to and from them, and the books of what is in use. What always holds: `used` of an agent and of a
 * framework is the sum over tasks that are not released and over executors. The agent's own
 * executors for command tasks have no record: they cost what the task costs.
 */
#include <stdlib.h>

#include "master/internal.h"

/* Ids of both are at most this long: rv_id_problem. */
#define ID_MAX 255

struct executor_key {
    char text[2 * ID_MAX + 1];
    size_t n;
};

/* False: one of the ids is longer than any that is known. */
static bool make_key(struct executor_key *key, const char *framework_id, const char *id) {
    size_t n = strlen(framework_id), m = id ? strlen(id) : 0;

    if (n > ID_MAX || m == 0 || m > ID_MAX)
        return false;
    memcpy(key->text, framework_id, n);
    key->text[n] = '/';
    memcpy(key->text + n + 1, id, m);
    key->n = n + 1 + m;
    return true;
}

struct rv_master_executor *rv_master_executor_find(const struct rv_master_agent *a,
                                                   const struct rv_master_framework *f,
                                                   const char *id) {
    struct executor_key key;

    if (!make_key(&key, f->id.v, id))
        return NULL;
    return rv_map_get(&a->executor_index, rv_strn(key.text, key.n));
}

void rv_master_add_scalars(struct rv_resources *to, const struct rv_resources *r) {
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].kind->type == RV_SCALAR)
            rv_resources_add_one(to, &r->v[i]);
}

void rv_master_subtract_scalars(struct rv_resources *from, const struct rv_resources *r) {
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].kind->type == RV_SCALAR)
            rv_resources_subtract_one(from, &r->v[i]);
}

void rv_master_bare(struct rv_resources *out, const struct rv_resources *r) {
    rv_resources_copy(out, r);
    rv_resources_allocate(out, NULL);
    for (size_t i = 0; i < out->n; i++)
        out->v[i].copies = 1;
}

void rv_master_subtract_unshared(struct rv_resources *left, const struct rv_resources *r) {
    for (size_t i = 0; i < r->n; i++)
        if (!r->v[i].kind->shared)
            rv_resources_subtract_one(left, &r->v[i]);
}

const struct rv_kind *rv_master_volume_twice(struct rv_master *m, const struct rv_resources *r) {
    const struct rv_kind *twice = NULL;
    struct rv_map seen = {0};

    for (size_t i = 0; i < r->n && !twice; i++) {
        const struct rv_kind *k = r->v[i].kind;

        if (!rv_kind_is_volume(k))
            continue;
        rv_buf_clear(&m->scratch);
        rv_buf_printf(&m->scratch, "%s %s", rv_kind_reserved_role(k), k->disk->persistence_id);
        if (rv_map_put(&seen, rv_buf_str(&m->scratch), m) || r->v[i].copies > 1)
            twice = k;
    }
    rv_map_free(&seen);
    return twice;
}

void rv_master_book(struct rv_master_framework *f, struct rv_master_agent *a,
                    const struct rv_resources *r) {
    rv_master_add_scalars(&f->used, r);
    rv_resources_add(&a->used, r);
}

void rv_master_unbook(struct rv_master *m, struct rv_master_framework *f, struct rv_master_agent *a,
                      const struct rv_resources *r) {
    if (rv_resources_empty(r))
        return;
    RV_ASSERT(rv_resources_contains(&a->used, r));
    rv_master_subtract_scalars(&f->used, r);
    rv_resources_subtract(&a->used, r);
    rv_allocator_release(m->allocator, a, f, r, m->now_ms, 0);
    rv_master_allocate_soon(m);
}

struct rv_master_executor *rv_master_executor_add(struct rv_master *m,
                                                  struct rv_master_framework *f,
                                                  struct rv_master_agent *a,
                                                  const struct rv_executor_info *info,
                                                  const struct rv_resources *resources) {
    struct rv_master_executor *x = rv_calloc(1, sizeof *x);
    struct executor_key key;
    void *old;

    (void)m;
    RV_ASSERT(make_key(&key, f->id.v, info->id.v));
    old = rv_map_put(&a->executor_index, rv_strn(key.text, key.n), x);
    RV_ASSERT(!old);
    rv_executor_info_copy(&x->info, info);
    rv_executor_info_forget(&x->info);
    if (!x->info.framework_id.v)
        x->info.framework_id.v = rv_strdup(f->id.v);
    rv_resources_copy(&x->info.resources, resources);
    x->framework = f;
    x->agent = a;
    rv_list_append(&f->executors, &x->on_framework);
    rv_list_append(&a->executors, &x->on_agent);
    rv_master_book(f, a, resources);
    return x;
}

void rv_master_executor_free(void *record) {
    struct rv_master_executor *x = record;

    rv_executor_info_free(&x->info);
    free(x);
}

void rv_master_executor_remove(struct rv_master *m, struct rv_master_executor *x) {
    struct executor_key key;

    if (make_key(&key, x->framework->id.v, x->info.id.v))
        rv_map_remove(&x->agent->executor_index, rv_strn(key.text, key.n));
    rv_master_unbook(m, x->framework, x->agent, &x->info.resources);
    rv_list_remove(&x->on_framework);
    rv_list_remove(&x->on_agent);
    rv_master_bury(m, rv_master_executor_free, x);
}

static void visit(struct rv_master *m, struct rv_master_framework *f, struct rv_master_agent *a,
                  void (*each)(struct rv_master *m, struct rv_master_framework *f,
                               struct rv_master_agent *a)) {
    if (!a || a->visit == m->visits)
        return;
    a->visit = m->visits;
    each(m, f, a);
}

void rv_master_each_agent_of(struct rv_master *m, struct rv_master_framework *f,
                             void (*each)(struct rv_master *m, struct rv_master_framework *f,
                                          struct rv_master_agent *a)) {
    void *v;

    m->visits++;
    for (size_t it = 0; rv_map_next(&f->tasks, &it, NULL, &v);)
        visit(m, f, ((struct rv_master_task *)v)->agent, each);
    RV_LIST_EACH (&f->executors, node, tmp)
        visit(m, f, RV_LIST_ENTRY(node, struct rv_master_executor, on_framework)->agent, each);
    for (size_t it = 0; rv_map_next(&f->operations, &it, NULL, &v);)
        visit(m, f, ((struct rv_master_operation *)v)->agent, each);
}

void rv_master_executor_exited(struct rv_master *m, struct rv_master_agent *a,
                               const struct rv_agent_call *call) {
    struct rv_master_framework *f = rv_master_framework_find(m, call->exited.framework_id);
    struct rv_master_executor *x =
        f ? rv_master_executor_find(a, f, call->exited.executor_id.v) : NULL;
    struct rv_scheduler_event *event;

    m->counters.messages_exited_executor++;
    if (!x) { /* a command task's, or of a framework that went */
        m->counters.dropped_messages++;
        return;
    }
    event = rv_master_tell(m, f, RV_EVENT_FAILURE);
    if (event) {
        event->failure.agent_id = a->id;
        event->failure.executor_id = x->info.id;
        event->failure.has_status = true;
        event->failure.status = call->exited.status;
    }
    rv_master_executor_remove(m, x);
}

void rv_master_message_to_framework(struct rv_master *m, struct rv_master_agent *a,
                                    const struct rv_agent_call *call) {
    struct rv_master_framework *f = rv_master_framework_find(m, call->message.framework_id);
    struct rv_scheduler_event *event = f ? rv_master_tell(m, f, RV_EVENT_MESSAGE) : NULL;

    m->counters.messages_executor_to_framework++;
    if (!event) {
        m->counters.invalid_executor_messages++;
        return;
    }
    m->counters.valid_executor_messages++;
    event->message.agent_id = a->id;
    event->message.executor_id.v = rv_master_keep(m, call->message.executor_id.v);
    event->message.data.s =
        rv_arena_memdup(&m->out->arena, call->message.data.s, call->message.data.n);
    event->message.data.n = call->message.data.n;
}

void rv_master_message_to_executor(struct rv_master *m, struct rv_master_framework *f,
                                   const struct rv_scheduler_call *call) {
    struct rv_master_agent *a = rv_master_agent_find(m, call->message.agent_id);
    struct rv_agent_event *event =
        a ? rv_master_tell_agent(m, a, RV_AGENT_EVENT_FRAMEWORK_MESSAGE) : NULL;

    m->counters.messages_message++;
    m->counters.messages_framework_to_executor++;
    if (!event) {
        m->counters.invalid_framework_messages++;
        RV_MASTER_WARN(m, "framework %s: message for agent %s, which is not there", f->id.v,
                       call->message.agent_id.v);
        return;
    }
    m->counters.valid_framework_messages++;
    event->message.framework_id = f->id;
    event->message.executor_id.v = rv_master_keep(m, call->message.executor_id.v);
    event->message.data.s =
        rv_arena_memdup(&m->out->arena, call->message.data.s, call->message.data.n);
    event->message.data.n = call->message.data.n;
}

void rv_master_shutdown_executor(struct rv_master *m, struct rv_master_framework *f,
                                 const struct rv_scheduler_call *call) {
    struct rv_master_agent *a = rv_master_agent_find(m, call->shutdown.agent_id);
    struct rv_agent_event *event =
        a ? rv_master_tell_agent(m, a, RV_AGENT_EVENT_SHUTDOWN_EXECUTOR) : NULL;

    m->counters.messages_shutdown++;
    if (!event) {
        m->counters.dropped_messages++;
        RV_MASTER_WARN(m, "framework %s: SHUTDOWN of an executor on agent %s, which is not there",
                       f->id.v, call->shutdown.agent_id.v);
        return;
    }
    event->shutdown_executor.framework_id = f->id;
    event->shutdown_executor.executor_id.v = rv_master_keep(m, call->shutdown.executor_id.v);
}
