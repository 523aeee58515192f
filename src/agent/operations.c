/*
 * Operations on what the agent has: APPLY_OPERATION to its end and to the acknowledgement of that.
 *
 * What always holds: `total` is what the agent has once all operations under way are written,
 * `durable_total` what it has by its checkpoints. Masters are told the former, with what is under
 * way: it is what their books have, and if it fails they are told again. One record is
 * both an operation's end and the total after it. Operations are written in the order they came,
 * and what a task was given is durable before the task is started (INV-35). What a living executor
 * uses is neither unreserved nor destroyed (INV-31, INV-32). An end with a uuid is sent again until
 * it is acknowledged (INV-42); without one it is sent once.
 *
 * An operation that cannot be written, or that does not fit what the agent has, is FAILED, with all
 * behind it, for they may build on it; the master, which has them in its books, takes those from
 * the agent anew when it registers again.
 */
#include "agent/internal.h"

static struct rv_str key_of(const uint8_t uuid[16]) {
    return rv_strn(uuid, 16);
}

static bool is_under_way(const struct rv_agent_operation *o) {
    return o->kept == RV_KEPT_WRITING;
}

/* --- records --- */

static struct rv_agent_operation *make(struct rv_agent *a, const char *framework_id,
                                       const struct rv_operation *operation,
                                       const uint8_t uuid[16]) {
    struct rv_agent_operation *o = rv_calloc(1, sizeof *o);

    memcpy(o->uuid, uuid, sizeof o->uuid);
    o->framework_id.v = rv_strdup(framework_id);
    rv_operation_copy(&o->operation, operation);
    o->state = RV_OPERATION_PENDING;
    o->retry.kind = RV_TIMER_OPERATION;
    rv_map_put(&a->operations, key_of(o->uuid), o);
    return o;
}

static void release(struct rv_agent *a, struct rv_agent_operation *o) {
    rv_timer_cancel(&a->timers, &o->retry);
    free((char *)(uintptr_t)o->framework_id.v);
    rv_operation_free(&o->operation);
    rv_conversion_free(&o->conversion);
    free(o->message);
    free(o);
}

/* Nobody waits for it any more. */
static void forget(struct rv_agent *a, struct rv_agent_operation *o) {
    if (o->kept == RV_KEPT_YES && o->has_status_uuid) {
        rv_agent_write_operation_done(a, o->uuid);
    }
    rv_map_remove(&a->operations, key_of(o->uuid));
    release(a, o);
}

void rv_agent_operations_free(struct rv_agent *a) {
    struct rv_agent_operation *o;

    for (size_t i = 0; rv_map_next(&a->operations, &i, NULL, (void **)&o);) {
        release(a, o);
    }
    rv_map_free(&a->operations);
    rv_resources_free(&a->total);
    rv_resources_free(&a->durable_total);
}

/* --- statuses --- */

struct rv_operation_status *rv_agent_operation_status(struct rv_agent *a,
                                                      const struct rv_agent_operation *o) {
    struct rv_operation_status *s = RV_ARENA_NEW(&a->out->arena, struct rv_operation_status);

    s->operation_id.v = rv_agent_hold_string(a, o->operation.id.v);
    s->state = o->state;
    s->message = rv_agent_hold_string(a, o->message);
    s->agent_id.v = rv_agent_hold_string(a, a->info.id.v);
    s->has_uuid = o->has_status_uuid;
    memcpy(s->uuid, o->status_uuid, sizeof s->uuid);
    if (o->state == RV_OPERATION_FINISHED) {
        s->converted = rv_agent_hold_resources(a, &o->conversion.converted);
    }
    return s;
}

static void send(struct rv_agent *a, struct rv_agent_operation *o) {
    struct rv_agent_call *c = rv_agent_send_master(a, RV_AGENT_CALL_OPERATION_STATUS);

    c->operation.framework_id.v = rv_agent_hold_string(a, o->framework_id.v);
    memcpy(c->operation.operation, o->uuid, sizeof c->operation.operation);
    c->operation.status = rv_agent_operation_status(a, o);
    o->sent = true;
    if (o->has_status_uuid) {
        rv_timer_set(&a->timers, &o->retry, a->now_ms + o->retry_ms);
    }
}

/* Its end is known, and durable if it is to be. */
static void tell(struct rv_agent *a, struct rv_agent_operation *o) {
    if (a->link != RV_LINK_REGISTERED || o->sent || is_under_way(o)) {
        return;
    }
    o->retry_ms = a->config.update_retry_ms;
    send(a, o);
    if (!o->has_status_uuid || o->forgotten) {
        forget(a, o);
    }
}

void rv_agent_operation_due(struct rv_agent *a, struct rv_agent_operation *o) {
    a->counters.updates_resent++;
    o->retry_ms = rv_agent_retry_doubled(a, o->retry_ms);
    send(a, o);
}

void rv_agent_operations_resume(struct rv_agent *a) {
    struct rv_agent_operation *o;

    for (size_t i = 0; rv_map_next(&a->operations, &i, NULL, (void **)&o);) {
        tell(a, o);
    }
}

void rv_agent_operations_pause(struct rv_agent *a) {
    struct rv_agent_operation *o;

    for (size_t i = 0; rv_map_next(&a->operations, &i, NULL, (void **)&o);) {
        o->sent = false;
        rv_timer_cancel(&a->timers, &o->retry);
    }
}

void rv_agent_operations_again(struct rv_agent *a, const char *framework_id) {
    struct rv_agent_operation *o;

    for (size_t i = 0; rv_map_next(&a->operations, &i, NULL, (void **)&o);) {
        if (rv_streq(o->framework_id.v, framework_id)) {
            o->sent = false;
            tell(a, o);
        }
    }
}

/* --- failing --- */

static void fail(struct rv_agent *a, struct rv_agent_operation *o, const char *why) {
    rv_agent_log(a, RV_LOG_ERROR, "operation %s on the agent's resources failed: %s",
                 rv_operation_type_name((int)o->operation.type), why);
    o->kept = RV_KEPT_NO;
    o->state = RV_OPERATION_FAILED;
    o->message = rv_strdup(why);
    o->has_status_uuid = o->operation.id.v && !o->forgotten;
    if (o->has_status_uuid) {
        rv_prng_uuid(&a->prng, o->status_uuid);
    } else {
        forget(a, o); /* that its effect is not there is told with the total */
    }
}

/* With it fail those that are under way, which came later, and the tasks that were to have what
 * they would have made. */
static void fail_under_way(struct rv_agent *a, const char *why) {
    struct rv_agent_operation *o;

    for (size_t i = 0; rv_map_next(&a->operations, &i, NULL, (void **)&o);) {
        if (is_under_way(o)) {
            fail(a, o, why);
        }
    }
    rv_resources_copy(&a->total, &a->durable_total);
    rv_agent_refuse_relying(a, why);
    a->operation_settled = a->operation_asked;
    rv_agent_register_again(a, "an operation on the agent's resources failed");
}

/* --- APPLY_OPERATION --- */

static bool is_living(const struct rv_agent_executor *ex) {
    return ex->state == RV_EXECUTOR_REGISTERING || ex->state == RV_EXECUTOR_RUNNING;
}

static bool has_volume(const struct rv_resources *r, const struct rv_kind *volume) {
    for (size_t i = 0; i < r->n; i++) {
        if (rv_kind_is_same_volume(r->v[i].kind, volume)) {
            return true;
        }
    }
    return false;
}

/* What those that are not ended use, as the agent has it. Shared volumes count once. */
static void used(const struct rv_agent *a, struct rv_resources *out) {
    struct rv_resources some = {0};
    struct rv_agent_executor *ex;

    for (size_t i = 0; rv_map_next(&a->containers, &i, NULL, (void **)&ex);) {
        if (!is_living(ex)) {
            continue;
        }
        rv_resources_copy(&some, &ex->resources);
        rv_resources_allocate(&some, NULL);
        for (size_t j = 0; j < some.n; j++) {
            if (!some.v[j].kind->shared || !has_volume(out, some.v[j].kind)) {
                rv_resources_add_one(out, &some.v[j]);
            }
        }
    }
    rv_resources_free(&some);
}

/* Nothing is unreserved or destroyed while something uses it: INV-31, INV-32. The master looks,
 * too, so this is for what it did not know. */
static bool is_free(const struct rv_agent *a, const struct rv_resources *consumed) {
    struct rv_resources taken = {0}, left = {0};
    bool ok = true;

    used(a, &taken);
    rv_resources_copy(&left, &a->total);
    for (size_t i = 0; i < taken.n; i++) {
        const struct rv_resource *r = &taken.v[i];
        ok = ok && !(rv_kind_is_volume(r->kind) && has_volume(consumed, r->kind));
        rv_resources_subtract_one(&left, r);
    }
    ok = ok && rv_resources_contains(&left, consumed);
    rv_resources_free(&taken);
    rv_resources_free(&left);
    return ok;
}

/* Ids of volumes are unique per role (INV-32): they name the folder. */
static bool has_twice(const struct rv_resources *total, const struct rv_conversion *c) {
    for (size_t i = 0; i < c->converted.n; i++) {
        const struct rv_kind *k = c->converted.v[i].kind;
        if (rv_kind_is_volume(k) && !has_volume(&c->consumed, k) && has_volume(total, k)) {
            return true;
        }
    }
    return false;
}

/* Ids name folders on the agent's own disk, so it does not take another's word for them. */
static const char *ids_problem(const struct rv_conversion *c) {
    const char *problem = NULL;

    for (size_t i = 0; i < c->converted.n && !problem; i++) {
        const struct rv_kind *k = c->converted.v[i].kind;
        if (rv_kind_is_volume(k) && k->disk->source) {
            problem = "it lies on a disk with a source, which is not supported";
        } else if (rv_kind_is_volume(k)) {
            problem = rv_id_problem(k->disk->persistence_id);
        }
    }
    return problem;
}

/* NULL: it is done to `total`. */
static const char *apply(struct rv_agent *a, struct rv_agent_operation *o) {
    struct rv_error err;
    const char *problem;

    if (rv_operation_conversion(&o->operation, &o->conversion, &err)) {
        return rv_arena_printf(&a->out->arena, "%s", err.message);
    }
    rv_conversion_allocate(&o->conversion, NULL);
    problem = ids_problem(&o->conversion);
    if (problem) {
        return rv_arena_printf(&a->out->arena, "the volume cannot be made: %s", problem);
    }
    if (has_twice(&a->total, &o->conversion)) {
        return "the agent has a persistent volume of this role and id already";
    }
    if (!rv_resources_contains(&a->total, &o->conversion.consumed)) {
        return "the agent has not got what is to be converted";
    }
    if (!is_free(a, &o->conversion.consumed)) {
        return "a task or an executor uses what is to be converted";
    }
    return rv_conversion_apply(&o->conversion, &a->total)
               ? NULL
               : "the agent has not got what is to be converted";
}

/* Room for one more. Who acknowledges nothing is not told the oldest again. */
static bool make_room(struct rv_agent *a) {
    struct rv_agent_operation *o;
    size_t i = 0;

    if (rv_map_count(&a->operations) < RV_AGENT_OPERATIONS_MAX) {
        return true;
    }
    rv_map_next(&a->operations, &i, NULL, (void **)&o);
    if (is_under_way(o)) {
        return false;
    }
    rv_agent_log(a, RV_LOG_WARNING,
                 "more than %d operations are not acknowledged: the oldest is not told again",
                 RV_AGENT_OPERATIONS_MAX);
    forget(a, o);
    return true;
}

void rv_agent_apply_operation(struct rv_agent *a, const struct rv_agent_event *e) {
    const struct rv_operation *operation = e->apply.operation;
    struct rv_agent_operation *o;
    const char *problem;

    if (a->stopping || !operation || rv_map_get(&a->operations, key_of(e->apply.uuid))) {
        rv_agent_log(a, RV_LOG_WARNING, "an operation is ignored: %s",
                     a->stopping ? "the agent is ending" : "it is here already");
        return; /* the master hears what became of it when the agent registers again */
    }
    if (!make_room(a)) {
        fail_under_way(a, "too many operations are under way");
        return;
    }
    o = make(a, e->apply.framework_id.v, operation, e->apply.uuid);
    problem = apply(a, o);
    if (problem) {
        fail(a, o, problem);
        rv_agent_register_again(a, "an operation does not fit what the agent has");
        return;
    }
    if (a->info_kept == RV_KEPT_NO) {
        rv_agent_write_own_info(a); /* whose the record is */
    }
    o->state = RV_OPERATION_FINISHED;
    o->has_status_uuid = operation->id.v != NULL;
    if (o->has_status_uuid) {
        rv_prng_uuid(&a->prng, o->status_uuid);
    }
    o->kept = RV_KEPT_WRITING;
    o->write = rv_agent_write_operation(a, o);
    a->operation_asked = o->write;
}

/* --- its record --- */

static void remove_volumes(struct rv_agent *a, const struct rv_resources *volumes,
                           const struct rv_resources *others) {
    for (size_t i = 0; i < volumes->n; i++) {
        const struct rv_kind *k = volumes->v[i].kind;
        if (rv_kind_is_volume(k) && !has_volume(others, k)) {
            struct rv_buf path = {0};
            rv_volume_directory(a->config.work_dir, k, &path);
            const char *held = rv_agent_hold_string(a, path.data);
            rv_agent_emit(a, RV_AGENT_REMOVE_VOLUME)->path = held;
            rv_buf_free(&path);
        }
    }
}

/* The folders of volumes that are no more go, and what lies where a new one will be: nothing that
 * uses it has started. */
static void change_volumes(struct rv_agent *a, const struct rv_conversion *c) {
    remove_volumes(a, &c->consumed, &c->converted);
    remove_volumes(a, &c->converted, &c->consumed);
}

void rv_agent_operation_written(struct rv_agent *a, const uint8_t uuid[16], uint64_t seq, bool ok,
                                const char *message) {
    struct rv_agent_operation *o = rv_map_get(&a->operations, key_of(uuid));

    if (!o || o->write != seq || !is_under_way(o)) {
        return; /* one before it failed */
    }
    if (!ok) {
        fail_under_way(a, rv_arena_printf(&a->out->arena,
                                          "The agent could not write its checkpoint: %s", message));
        return;
    }
    o->kept = RV_KEPT_YES;
    RV_ASSERT(rv_conversion_apply(&o->conversion, &a->durable_total));
    change_volumes(a, &o->conversion);
    a->operation_settled = seq;
    tell(a, o);
    rv_agent_progress_relying(a);
}

/* --- what ends the waiting --- */

void rv_agent_acknowledge_operation(struct rv_agent *a, const uint8_t operation[16],
                                    const uint8_t uuid[16]) {
    struct rv_agent_operation *o = rv_map_get(&a->operations, key_of(operation));

    if (o && !is_under_way(o) && o->has_status_uuid && memcmp(o->status_uuid, uuid, 16) == 0) {
        forget(a, o);
    }
}

void rv_agent_operations_forget(struct rv_agent *a, const char *framework_id) {
    struct rv_agent_operation *o;

    for (size_t i = 0; rv_map_next(&a->operations, &i, NULL, (void **)&o);) {
        if (!rv_streq(o->framework_id.v, framework_id)) {
            continue;
        }
        if (is_under_way(o)) {
            o->forgotten = true;
        } else {
            forget(a, o);
        }
    }
}

/* --- registration --- */

void rv_agent_operations_view(struct rv_agent *a, struct rv_agent_call *c) {
    struct rv_agent_operation *o;

    for (size_t i = 0; rv_map_next(&a->operations, &i, NULL, (void **)&o);) {
        if (!is_under_way(o) && (!o->has_status_uuid || o->forgotten)) {
            forget(a, o); /* its end is told with the total */
        }
    }
    if (!rv_resources_eq(&a->total, &a->info.resources)) {
        c->registration.total = rv_agent_hold_resources(a, &a->total);
    }
    c->registration.operations =
        RV_ARENA_ARRAY(&a->out->arena, struct rv_operation_view, rv_map_count(&a->operations) + 1);
    for (size_t i = 0; rv_map_next(&a->operations, &i, NULL, (void **)&o);) {
        struct rv_operation_view *view =
            &c->registration.operations[c->registration.n_operations++];
        view->framework_id.v = rv_agent_hold_string(a, o->framework_id.v);
        view->operation = rv_agent_hold_operation(a, &o->operation);
        memcpy(view->uuid, o->uuid, sizeof view->uuid);
        view->status = is_under_way(o) ? NULL : rv_agent_operation_status(a, o);
    }
}

/* --- recovery --- */

bool rv_agent_operation_replay(struct rv_agent *a, const struct rv_checkpoint *c) {
    const struct rv_operation_status *s = c->operation_status;
    struct rv_agent_operation *o;
    struct rv_error err;

    if (!c->operation || !s || !c->total || rv_map_get(&a->operations, key_of(c->uuid))) {
        return false;
    }
    if (!s->has_uuid) {
        return true; /* what it made is in the total, and nobody waits */
    }
    if (!make_room(a)) {
        return false;
    }
    o = make(a, c->framework_id.v, c->operation, c->uuid);
    o->kept = RV_KEPT_YES;
    o->state = s->state;
    o->message = rv_strdup(s->message);
    o->has_status_uuid = true;
    memcpy(o->status_uuid, s->uuid, sizeof o->status_uuid);
    if (rv_operation_conversion(&o->operation, &o->conversion, &err)) {
        rv_map_remove(&a->operations, key_of(o->uuid));
        release(a, o);
        return false;
    }
    return true;
}

bool rv_agent_operation_done_replay(struct rv_agent *a, const struct rv_checkpoint *c) {
    struct rv_agent_operation *o = rv_map_remove(&a->operations, key_of(c->uuid));

    if (o) {
        release(a, o);
    }
    return o != NULL;
}

const char *rv_agent_total_recover(struct rv_agent *a, const struct rv_resources *before) {
    struct rv_resources made = {0};
    const char *problem = NULL;
    struct rv_error err;

    rv_resources_copy(&a->total, &a->info.resources);
    if (before) {
        rv_resources_made(&made, before);
        if (rv_resources_make(&a->total, &made, &err)) {
            problem = rv_arena_printf(&a->out->arena, "%s", err.message);
            rv_resources_copy(&a->total, before);
        }
    }
    rv_resources_copy(&a->durable_total, &a->total);
    rv_resources_free(&made);
    return problem;
}

static bool has_directory(const struct rv_agent *a, const char *path) {
    struct rv_buf own = {0};
    bool same = false;

    for (size_t i = 0; i < a->total.n && !same; i++) {
        if (rv_kind_is_volume(a->total.v[i].kind)) {
            rv_buf_clear(&own);
            rv_volume_directory(a->config.work_dir, a->total.v[i].kind, &own);
            same = rv_streq(own.data, path);
        }
    }
    rv_buf_free(&own);
    return same;
}

void rv_agent_volumes_recover(struct rv_agent *a, const struct rv_agent_recovered *r) {
    for (size_t i = 0; i < r->n_volumes; i++) {
        if (has_directory(a, r->volumes[i])) {
            continue;
        }
        if (r->n == 0 || a->counters.recovery_errors) {
            rv_agent_log(a, RV_LOG_WARNING,
                         "%s is left alone: it is not known that nobody needs it", r->volumes[i]);
            continue;
        }
        const char *path = rv_agent_hold_string(a, r->volumes[i]);
        rv_agent_emit(a, RV_AGENT_REMOVE_VOLUME)->path = path;
    }
}
