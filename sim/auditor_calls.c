/*
 * The auditor's part at the calls of frameworks: a call counts when it is answered well, and what
 * follows from it within the step is compared with what it asked for (INV-24, INV-38, INV-44).
 */
#include <stdio.h>
#include <stdlib.h>

#include "auditor_internal.h"
#include "cluster.h"

/* Adds the offers to the pool if all are the framework's own and of one agent. */
static void accept_offers(struct sim_auditor *a, const struct rv_scheduler_call *call,
                          bool filter) {
    bool valid = call->accept.n_offer_ids > 0;

    for (size_t i = 0; i < call->accept.n_offer_ids; i++) {
        struct sim_audit_offer *o = rv_map_gets(&a->offers, call->accept.offer_ids[i].v);

        if (!o || !o->open || !rv_streq(o->framework_id, call->framework_id.v)) {
            valid = false;
            continue;
        }
        if (a->call.agent_id && !rv_streq(a->call.agent_id, o->agent_id))
            valid = false;
        a->call.agent_id = o->agent_id;
        rv_resources_add(&a->call.pool, &o->resources);
        sim_audit_close_offer(a, o);
        if (call->accept.refuse_ms <= 0)
            continue;
        if (filter)
            sim_trace(a->world, NULL, "declined %s of %s in %s for %lld ms: %s", o->id, o->agent_id,
                      o->role, (long long)call->accept.refuse_ms, sim_audit_text(&o->resources));
        /* What is refused of the rest of an ACCEPT is not known here. */
        sim_audit_filter_add(a, o, filter ? &o->resources : NULL,
                             a->world->now_ms + call->accept.refuse_ms);
    }
    a->call.accepted = valid && !filter;
}

/* Ghosts are tasks that were never launched: what is to be said of them is known. */
/* Answers to more tasks than a slice come later, and those to further calls after them. */
static bool is_answered_late(struct sim_auditor *a, struct sim_audit_framework *f, size_t n) {
    size_t slice = SIM_RECONCILE_SLICE(a->world);
    int64_t now_ms = a->world->now_ms;

    if (!slice || (n <= slice && now_ms > f->answered_ms))
        return false;
    f->answered_ms = RV_MAX(f->answered_ms, now_ms) + (int64_t)(n / slice + 1) * 50;
    return true;
}

static void expect_ghosts(struct sim_auditor *a, struct sim_audit_framework *f,
                          const struct rv_scheduler_call *call) {
    bool aware = f->capabilities & 1u << RV_FRAMEWORK_PARTITION_AWARE;

    if (is_answered_late(a, f, call->reconcile.n))
        return;
    for (size_t i = 0; i < call->reconcile.n; i++) {
        const struct rv_task_ref *r = &call->reconcile.tasks[i];
        const struct sim_audit_agent *g = rv_map_gets(&a->agents, r->agent_id.v);
        enum rv_task_state state = RV_TASK_UNKNOWN;

        if (!rv_starts_with(r->task_id.v, "ghost-") || !r->agent_id.v)
            continue;
        if (g && g->place == SIM_RECOVERED) {
            rv_map_put(&a->call.expected, rv_str(r->task_id.v), (void *)(uintptr_t)1);
            continue;
        }
        if (g)
            state = g->place == SIM_REGISTERED    ? RV_TASK_GONE
                    : g->place == SIM_UNREACHABLE ? RV_TASK_UNREACHABLE
                                                  : RV_TASK_GONE_BY_OPERATOR;
        rv_map_put(&a->call.expected, rv_str(r->task_id.v),
                   (void *)((uintptr_t)(aware ? state : RV_TASK_LOST) + 2));
    }
}

static void suppress(struct sim_audit_framework *f, const struct rv_scheduler_call *call) {
    char *const *roles = call->roles.n_roles ? call->roles.roles : f->roles;
    size_t n = call->roles.n_roles ? call->roles.n_roles : f->n_roles;

    for (size_t i = 0; i < n; i++)
        if (!sim_audit_has_string(f->suppressed, f->n_suppressed, roles[i])) {
            f->suppressed = rv_realloc(f->suppressed, (f->n_suppressed + 1) * sizeof(char *));
            f->suppressed[f->n_suppressed++] = rv_strdup(roles[i]);
        }
}

static void revive(struct sim_auditor *a, struct sim_audit_framework *f,
                   const struct rv_scheduler_call *call) {
    size_t n = 0;

    for (size_t i = 0; i < f->n_suppressed; i++) {
        if (call->roles.n_roles &&
            !sim_audit_has_string(call->roles.roles, call->roles.n_roles, f->suppressed[i]))
            f->suppressed[n++] = f->suppressed[i];
        else
            free(f->suppressed[i]);
    }
    f->n_suppressed = n;
    if (!call->roles.n_roles)
        sim_audit_filters_drop(a, f->id);
    for (size_t i = 0; i < call->roles.n_roles; i++)
        sim_audit_filters_doubt(a, f->id, call->roles.roles[i], NULL);
}

static struct sim_audit_framework *said_of(const struct rv_scheduler_call *call) {
    struct sim_audit_framework *f = rv_calloc(1, sizeof *f);

    f->capabilities = call->subscribe.info->capabilities;
    f->checkpoint = call->subscribe.info->checkpoint;
    f->roles = sim_audit_copy_strings(call->subscribe.info->roles, call->subscribe.info->n_roles);
    f->n_roles = call->subscribe.info->n_roles;
    f->suppressed = sim_audit_copy_strings(call->subscribe.suppressed_roles,
                                           call->subscribe.n_suppressed_roles);
    f->n_suppressed = call->subscribe.n_suppressed_roles;
    return f;
}

void sim_audit_scheduler_call(struct sim_auditor *a, uint64_t request, uint64_t stream,
                              const char *stream_id, const struct rv_scheduler_call *call) {
    if (call->type == RV_CALL_TEARDOWN)
        sim_audit_filters_doubt(a, call->framework_id.v, NULL, NULL);
    sim_trace(a->world, &a->master->server.party, "call %d of %s", (int)call->type,
              call->framework_id.v ? call->framework_id.v : "a new framework");
    const struct sim_audit_framework *f = rv_map_gets(&a->frameworks, call->framework_id.v);

    a->stale_call = call->type != RV_CALL_SUBSCRIBE && (!f || !f->stream || !f->stream->open ||
                                                        !rv_streq(f->stream->stream_id, stream_id));
    a->call.call = call;
    a->call.request = request;
    a->call.stream = stream;
    snprintf(a->call.stream_id, sizeof a->call.stream_id, "%s", stream_id);
    if (call->type == RV_CALL_SUBSCRIBE && call->subscribe.info) {
        struct sim_audit_framework *old =
            rv_map_put(&a->said, sim_audit_number_key(&stream), said_of(call));
        if (old)
            sim_audit_free_framework(old);
    }
}

/* The answer tells whether the call counted; effects of it follow. */
void sim_audit_reply(struct sim_auditor *a, uint64_t request, int status) {
    const struct rv_scheduler_call *call = a->call.call;
    struct sim_audit_framework *f;

    sim_audit_request_answered(a, request);
    sim_audit_quota_replied(a, request, status);
    if (!call || request != a->call.request || status >= 300 || call->type == RV_CALL_SUBSCRIBE)
        return;
    f = rv_map_gets(&a->frameworks, call->framework_id.v);
    if (!f || !f->stream || !f->stream->open ||
        !rv_streq(f->stream->stream_id, a->call.stream_id)) {
        sim_fail(a->world, "INV-44: call %d with a wrong stream id got %d", (int)call->type,
                 status);
        return;
    }
    switch (call->type) {
    case RV_CALL_ACCEPT:
        accept_offers(a, call, false);
        break;
    case RV_CALL_DECLINE:
        accept_offers(a, call, true);
        break;
    case RV_CALL_ACCEPT_INVERSE_OFFERS:
    case RV_CALL_DECLINE_INVERSE_OFFERS:
        sim_audit_nodes_answered(a, call);
        break;
    case RV_CALL_SUPPRESS:
        suppress(f, call);
        break;
    case RV_CALL_REVIVE:
        revive(a, f, call);
        break;
    case RV_CALL_RECONCILE:
        expect_ghosts(a, f, call);
        break;
    default:
        break;
    }
}

/* --- in the step --- */

void sim_audit_answered(struct sim_auditor *a, const struct rv_task_status *s) {
    uintptr_t expected = (uintptr_t)rv_map_remove(&a->call.expected, rv_str(s->task_id.v));

    if (!expected)
        return;
    if (expected == 1)
        sim_fail(a->world, "INV-38: %s of task %s where silence is due",
                 rv_task_state_name((int)s->state), s->task_id.v);
    else if ((uintptr_t)s->state + 2 != expected)
        sim_fail(a->world, "INV-38: task %s is said to be %s instead of %s", s->task_id.v,
                 rv_task_state_name((int)s->state), rv_task_state_name((int)(expected - 2)));
    if (s->reason != RV_REASON_RECONCILIATION || s->has_uuid)
        sim_fail(a->world, "INV-39: the answer about task %s has another reason or a uuid",
                 s->task_id.v);
}

void sim_audit_call_stepped(struct sim_auditor *a) {
    struct rv_str key;
    void *v;

    for (size_t it = 0; rv_map_next(&a->call.expected, &it, &key, &v);)
        if ((uintptr_t)v != 1)
            sim_fail(a->world, "INV-38: no answer about task %.*s", (int)key.n, key.s);
    rv_map_clear(&a->call.expected);
    a->call.call = NULL;
    a->call.accepted = a->call.ordered = false;
    a->call.agent_id = NULL;
    rv_resources_free(&a->call.pool);
}
