/*
 * The operator's calls that change something, and the subscribers of the operator event stream.
 * Reading is done on the records by whoever holds the master.
 */
#include <stdlib.h>

#include "master/internal.h"

#define MAX_SUBSCRIBERS 1000 /* of the event stream, as the peer has it */
#define MAX_WEIGHTS 10000    /* roles with a weight: nobody grows the registry without end */
#define MAX_WEIGHT 1e9

/* --- subscribers --- */

static void subscribe(struct rv_master *m, const struct rv_master_event *e) {
    struct rv_master_subscriber *s;

    if (rv_map_count(&m->subscribers) >= MAX_SUBSCRIBERS) {
        RV_MASTER_REPLY(m, e->request, 503, "there are %d subscribers already", MAX_SUBSCRIBERS);
        return;
    }
    s = rv_calloc(1, sizeof *s);
    s->stream = e->stream;
    s->heartbeat.kind = RV_TIMER_SUBSCRIBER;
    free(rv_map_put(&m->subscribers, rv_master_key(&s->stream), s));
    rv_master_stream_put(m, e->stream, RV_STREAM_SUBSCRIBER, s);
    rv_timer_set(&m->timers, &s->heartbeat, m->now_ms + m->config.heartbeat_ms);
    rv_master_open_stream(m, e->request, e->stream, NULL);
    rv_master_tell_operators(m, e->stream, RV_OPERATOR_EVENT_SNAPSHOT);
}

void rv_master_subscriber_closed(struct rv_master *m, struct rv_master_subscriber *s) {
    rv_timer_cancel(&m->timers, &s->heartbeat);
    rv_map_remove(&m->subscribers, rv_master_key(&s->stream));
    free(s);
}

void rv_master_subscriber_due(struct rv_master *m, struct rv_master_subscriber *s) {
    rv_master_tell_operators(m, s->stream, RV_OPERATOR_EVENT_HEARTBEAT);
    rv_timer_set(&m->timers, &s->heartbeat, m->now_ms + m->config.heartbeat_ms);
}

/* --- weights --- */

void rv_master_weight_put(struct rv_master *m, const char *role, double weight) {
    struct rv_master_weight *w = rv_map_gets(&m->weights, role);

    if (!w) {
        w = rv_calloc(1, sizeof *w);
        w->role = rv_strdup(role);
        rv_map_put(&m->weights, rv_str(role), w);
    }
    w->weight = weight;
    rv_allocator_set_weight(m->allocator, role, weight);
}

static const char *weights_problem(struct rv_master *m, const struct rv_operator_call *call) {
    const char *problem;

    if (rv_map_count(&m->weights) + call->n_weights > MAX_WEIGHTS)
        return "too many roles with a weight";
    for (size_t i = 0; i < call->n_weights; i++) {
        const struct rv_weight *w = &call->weights[i];

        if ((problem = rv_role_problem(w->role)))
            return RV_MASTER_TEXT(m, "role '%s' is not valid: %s", w->role, problem);
        if (!(w->weight > 0 && w->weight <= MAX_WEIGHT))
            return RV_MASTER_TEXT(m, "the weight of role '%s' is not a number in (0, 1e9]",
                                  w->role);
    }
    return NULL;
}

static void update_weights(struct rv_master *m, const struct rv_master_event *e) {
    const struct rv_operator_call *call = e->operator_;
    const char *problem = weights_problem(m, call);
    struct rv_master_pending *p;
    struct rv_registry_op *op;

    if (problem) {
        rv_master_reply_text(m, e->request, 400, problem);
        return;
    }
    p = rv_master_pending_new(RV_REGISTRY_PUT_WEIGHTS, NULL);
    p->request = e->request;
    p->weights = rv_calloc(call->n_weights ? call->n_weights : 1, sizeof *p->weights);
    p->n_weights = call->n_weights;
    for (size_t i = 0; i < call->n_weights; i++) {
        p->weights[i].role = rv_strdup(call->weights[i].role);
        p->weights[i].weight = call->weights[i].weight;
    }
    op = rv_master_write(m, RV_REGISTRY_PUT_WEIGHTS, p);
    op->weights = p->weights;
    op->n_weights = p->n_weights;
}

static bool has_frameworks(const struct rv_master *m, const char *role) {
    void *v;

    for (size_t it = 0; rv_map_next(&m->frameworks, &it, NULL, &v);) {
        const struct rv_master_framework *f = v;

        for (size_t i = 0; i < f->info.n_roles; i++)
            if (rv_role_within(f->info.roles[i], role))
                return true;
    }
    return false;
}

/* Shares are made anew: what is offered now was chosen by the old weights. */
void rv_master_weights_done(struct rv_master *m, struct rv_master_pending *p, bool ok) {
    bool matters = false;
    void *v;

    if (!ok) {
        RV_MASTER_REPLY(m, p->request, 503, "the registry could not be written");
        return;
    }
    for (size_t i = 0; i < p->n_weights; i++) {
        if (!matters && rv_master_role_weight(m, p->weights[i].role) != p->weights[i].weight)
            matters = has_frameworks(m, p->weights[i].role);
        rv_master_weight_put(m, p->weights[i].role, p->weights[i].weight);
    }
    rv_master_reply_text(m, p->request, 200, NULL);
    if (!matters)
        return;
    for (size_t it = 0; rv_map_next(&m->offers, &it, NULL, &v);)
        rv_master_offer_drop(m, v, 0, true);
    rv_master_allocate_soon(m);
}

/* --- calls --- */

static void teardown(struct rv_master *m, const struct rv_master_event *e) {
    struct rv_framework_id id = e->operator_->framework_id;
    struct rv_master_framework *f = rv_master_framework_find(m, id);

    if (!f)
        RV_MASTER_REPLY(m, e->request, 400, "there is no framework '%s'", id.v ? id.v : "");
    else
        rv_master_framework_remove(m, f, e->request, 200, "the operator asked for it");
}

/* The task's framework hears of the end by the status update, as of any other. */
static void kill_task(struct rv_master *m, const struct rv_master_event *e) {
    const struct rv_operator_call *call = e->operator_;
    struct rv_master_framework *f = rv_master_framework_find(m, call->framework_id);
    struct rv_scheduler_call kill = {.type = RV_CALL_KILL, .framework_id = call->framework_id};

    if (!f) {
        RV_MASTER_REPLY(m, e->request, 404, "there is no framework '%s'",
                        call->framework_id.v ? call->framework_id.v : "");
        return;
    }
    if (!call->task_id.v || !rv_map_gets(&f->tasks, call->task_id.v)) {
        RV_MASTER_REPLY(m, e->request, 404, "framework '%s' has no task '%s'", f->id.v,
                        call->task_id.v ? call->task_id.v : "");
        return;
    }
    kill.kill.task_id = call->task_id;
    kill.kill.grace_ms = call->grace_ms;
    rv_master_kill(m, f, &kill);
    rv_master_reply_text(m, e->request, 202, NULL);
}

void rv_master_operator_call(struct rv_master *m, const struct rv_master_event *e) {
    switch (e->operator_->type) {
    case RV_OPERATOR_SUBSCRIBE:
        subscribe(m, e);
        break;
    case RV_OPERATOR_TEARDOWN:
        teardown(m, e);
        break;
    case RV_OPERATOR_UPDATE_WEIGHTS:
        update_weights(m, e);
        break;
    case RV_OPERATOR_UPDATE_QUOTA:
    case RV_OPERATOR_SET_QUOTA:
    case RV_OPERATOR_REMOVE_QUOTA:
        rv_master_quota_call(m, e);
        break;
    case RV_OPERATOR_KILL_TASK:
        kill_task(m, e);
        break;
    case RV_OPERATOR_MARK_AGENT_GONE:
        rv_master_mark_agent_gone(m, e);
        break;
    case RV_OPERATOR_DRAIN_AGENT:
        rv_master_drain_agent(m, e);
        break;
    case RV_OPERATOR_DEACTIVATE_AGENT:
        rv_master_deactivate_agent(m, e);
        break;
    case RV_OPERATOR_REACTIVATE_AGENT:
        rv_master_reactivate_agent(m, e);
        break;
    case RV_OPERATOR_UPDATE_MAINTENANCE_SCHEDULE:
    case RV_OPERATOR_START_MAINTENANCE:
    case RV_OPERATOR_STOP_MAINTENANCE:
        rv_master_maintenance_call(m, e);
        break;
    case RV_OPERATOR_OPERATE:
        rv_master_apply_for_operator(m, e);
        break;
    case RV_OPERATOR_CALL_MAX:
        RV_UNREACHABLE();
    }
}
