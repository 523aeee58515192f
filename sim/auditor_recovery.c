/*
 * The auditor's part at agents that start again: under which id they register,
 * what they wait for, what they end, and what they tell of tasks that no executor was given
 * (INV-17, INV-18, INV-41).
 *
 * What always holds: an id counts as kept only once it is durable; orders of a master excuse what
 * an agent does for longer than any grace period. Costs: O(1) an event, O(records) a crash.
 */
#include <stdio.h>
#include <stdlib.h>

#include "auditor_internal.h"
#include "cluster.h"

#define KEY_MAX 768
#define RECONNECT_MS INT64_C(2000)
#define ORDERS_MS INT64_C(120000)

/* Of an agent over all its processes. */
struct sim_audit_life {
    char *id;           /* NULL: none that it must keep */
    uint64_t n_writes;  /* that there were when it was told the id */
    int64_t started_ms; /* the process there is */
    int64_t ordered_ms; /* when a master last told it to end anything */
    bool sought;        /* it has tried to register */
};

static struct sim_audit_life *life(struct sim_auditor *a, const struct sim_agent *agent) {
    struct sim_audit_life *l = rv_map_gets(&a->lives, agent->server.party.name);

    if (!l) {
        l = rv_calloc(1, sizeof *l);
        l->ordered_ms = -ORDERS_MS;
        rv_map_put(&a->lives, rv_str(agent->server.party.name), l);
    }
    return l;
}

static void set_id(struct sim_audit_life *l, const char *id) {
    free(l->id);
    l->id = id ? rv_strdup(id) : NULL;
}

/* --- processes --- */

void sim_audit_agent_started(struct sim_auditor *a, const struct sim_agent *agent) {
    struct sim_audit_life *l = life(a, agent);

    l->started_ms = a->world->now_ms;
    l->sought = false;
    sim_audit_link_started(a, agent);
}

void sim_audit_recovery_crashed(struct sim_auditor *a, const struct sim_agent *agent) {
    struct sim_audit_life *l = life(a, agent);
    bool is_durable = false;

    for (size_t i = 0; i < agent->journal.durable.n; i++) {
        const struct sim_record *r = agent->journal.durable.v[i];
        is_durable = is_durable || (r->kind == RV_CHECKPOINT_AGENT && r->number > l->n_writes);
    }
    if (!is_durable)
        set_id(l, NULL);
}

/* --- registration --- */

/* It lives, its agent is to take it over, and it has not come back. */
static bool is_awaited(const struct sim_container *c) {
    return c->alive && c->checkpoint && !c->doomed && !c->ending && c->runs.n && !c->stream;
}

void sim_audit_agent_registers(struct sim_auditor *a, const struct sim_agent *agent,
                               const struct rv_agent_call *call) {
    struct sim_audit_life *l = life(a, agent);

    sim_audit_total_said(a, agent, call);
    a->checks++;
    if (l->id && !rv_streq(l->id, call->agent_id.v))
        sim_fail(a->world, "INV-17: %s registers as %s, but it is %s", agent->server.party.name,
                 call->agent_id.v ? call->agent_id.v : "a new one", l->id);
    for (size_t i = 0; !l->sought && i < agent->containers.n; i++)
        if (is_awaited(agent->containers.v[i]) && a->world->now_ms - l->started_ms < RECONNECT_MS)
            sim_fail(a->world, "INV-18: %s registers before container %s could come back",
                     agent->server.party.name, agent->containers.v[i]->id);
    l->sought = true;
}

void sim_audit_recovery_heard(struct sim_auditor *a, const struct sim_agent *agent,
                              const struct rv_agent_event *e) {
    struct sim_audit_life *l = life(a, agent);

    switch (e->type) {
    case RV_AGENT_EVENT_REGISTERED:
        if (!rv_streq(l->id, e->registered.agent_id.v)) {
            set_id(l, e->registered.agent_id.v);
            l->n_writes = a->world->n_writes;
        }
        break;
    case RV_AGENT_EVENT_SHUTDOWN: /* it need not come back as the same */
        set_id(l, NULL);
        l->ordered_ms = a->world->now_ms;
        break;
    case RV_AGENT_EVENT_KILL_TASK:
    case RV_AGENT_EVENT_SHUTDOWN_EXECUTOR:
    case RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK:
    case RV_AGENT_EVENT_DRAIN:
        l->ordered_ms = a->world->now_ms;
        break;
    default:
        break;
    }
}

/* --- what it ends --- */

static bool has_tasks(const struct sim_container *c) {
    for (size_t i = 0; i < c->runs.n; i++)
        if (!c->runs.v[i]->done)
            return true;
    return false;
}

void sim_audit_agent_destroys(struct sim_auditor *a, const struct sim_agent *agent,
                              const char *container_id) {
    const struct sim_audit_life *l = life(a, agent);

    sim_audit_alone_destroys(a, agent, container_id);
    for (size_t i = 0; i < agent->containers.n; i++) {
        const struct sim_container *c = agent->containers.v[i];
        if (!rv_streq(c->id, container_id) || !c->alive || c->doomed || c->ending ||
            !c->checkpoint || !has_tasks(c) || a->world->now_ms - l->ordered_ms < ORDERS_MS)
            continue;
        a->checks++;
        if (!l->sought && a->world->now_ms - l->started_ms < RECONNECT_MS)
            sim_fail(a->world, "INV-18: %s ends container %s, which may still come back",
                     agent->server.party.name, c->id);
    }
}

/* --- tasks that no executor was given --- */

static struct rv_str task_key(char buf[KEY_MAX], const char *framework_id, const char *task_id) {
    int n = snprintf(buf, KEY_MAX, "%s %s", framework_id, task_id);
    return rv_strn(buf, (size_t)n);
}

static bool says_undelivered(const struct rv_task_status *s) {
    return s->reason == RV_REASON_TASK_KILLED_DURING_LAUNCH ||
           (s->reason == RV_REASON_AGENT_RESTARTED &&
            (s->state == RV_TASK_DROPPED || s->state == RV_TASK_LOST));
}

void sim_audit_recovery_says(struct sim_auditor *a, const struct sim_agent *agent,
                             const struct rv_agent_call *call) {
    char buf[KEY_MAX];

    if (call->type == RV_AGENT_CALL_UNREGISTER)
        set_id(life(a, agent), NULL);
    if (call->type != RV_AGENT_CALL_STATUS_UPDATE)
        return;
    const struct rv_task_status *s = call->update.status;
    struct rv_str key = task_key(buf, call->update.framework_id.v, s->task_id.v);

    if (rv_map_get(&a->excused, key))
        return;
    if (says_undelivered(s)) {
        rv_map_put(&a->undelivered, key, a);
        /* One that starts again cannot know what its executor had been given. */
        if (s->reason != RV_REASON_AGENT_RESTARTED && rv_map_get(&a->delivered, key))
            sim_fail(a->world, "INV-41: task %s is told %s (%s), but its executor was given it",
                     s->task_id.v, rv_task_state_name((int)s->state),
                     rv_reason_name((int)s->reason));
    }
    if (s->reason == RV_REASON_TASK_KILLED_DURING_LAUNCH && s->state != RV_TASK_KILLED)
        sim_fail(a->world, "INV-41: task %s was killed during its launch and is told %s",
                 s->task_id.v, rv_task_state_name((int)s->state));
    a->checks++;
}

void sim_audit_recovery_delivered(struct sim_auditor *a, const char *framework_id,
                                  const char *task_id) {
    char buf[KEY_MAX];
    struct rv_str key = task_key(buf, framework_id, task_id);

    rv_map_put(&a->delivered, key, a);
    if (rv_map_get(&a->undelivered, key) && !rv_map_get(&a->excused, key))
        sim_fail(a->world, "INV-41: an executor is given task %s, which was told not to have been",
                 task_id);
}

void sim_audit_recovery_free(struct sim_auditor *a) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->lives, &it, NULL, &v);) {
        free(((struct sim_audit_life *)v)->id);
        free(v);
    }
    rv_map_free(&a->lives);
    rv_map_free(&a->delivered);
    rv_map_free(&a->undelivered);
}
