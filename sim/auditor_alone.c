/*
 * The auditor's part at agents without a master (INV-6): their tasks go on, and the updates that
 * they have taken from executors are told once there is a master again.
 *
 * What always holds: an executor counts only while it is connected from both ends, so one that did
 * not come back in time after its agent's recovery, or that gave up waiting for an agent, is not
 * the agent's doing; what a master has ordered excuses the agent for longer than any grace period.
 * Costs: O(containers of the agent) an event.
 */
#include <stdio.h>
#include <stdlib.h>

#include "auditor_internal.h"
#include "cluster.h"

#define KEY_MAX 768
#define ORDERS_MS INT64_C(120000)

/* An update that its executor need not tell any more. */
struct sim_audit_kept {
    char *agent, *framework_id, *task_id;
    enum rv_task_state state;
    bool durable; /* a crash of the agent does not excuse it */
};

/* --- tasks go on --- */

static bool runs_something(const struct sim_container *c) {
    for (size_t i = 0; i < c->runs.n; i++)
        if (!c->runs.v[i]->done)
            return true;
    return false;
}

/* The agent decides by itself about a container that runs tasks and is connected. */
static bool is_on_its_own(struct sim_auditor *a, const struct sim_agent *agent,
                          const struct sim_container *c) {
    const struct sim_audit_link *l = sim_audit_link(a, agent);

    return !l->registered && !l->stopping && a->world->now_ms - l->ordered_ms >= ORDERS_MS &&
           c->alive && !c->doomed && !c->ending && c->connected && c->stream &&
           c->stream->client_open && c->stream->server_open && runs_something(c);
}

static void goes_on(struct sim_auditor *a, const struct sim_agent *agent,
                    const struct sim_container *c, const char *what) {
    if (!is_on_its_own(a, agent, c))
        return;
    a->checks++;
    sim_fail(a->world, "INV-6: %s, without a master since %lld, %s container %s, which has tasks",
             agent->server.party.name, (long long)sim_audit_link(a, agent)->alone_ms, what, c->id);
}

void sim_audit_alone_destroys(struct sim_auditor *a, const struct sim_agent *agent,
                              const char *container_id) {
    for (size_t i = 0; i < agent->containers.n; i++)
        if (rv_streq(agent->containers.v[i]->id, container_id))
            goes_on(a, agent, agent->containers.v[i], "destroys");
}

void sim_audit_alone_tells(struct sim_auditor *a, const struct sim_agent *agent,
                           const struct sim_conn *conn, const struct rv_executor_event *e) {
    if (e->type != RV_EXECUTOR_EVENT_KILL && e->type != RV_EXECUTOR_EVENT_SHUTDOWN)
        return;
    for (size_t i = 0; i < agent->containers.n; i++)
        if (&agent->containers.v[i]->party == conn->client)
            goes_on(a, agent, agent->containers.v[i], "ends what is in");
}

/* --- their updates are kept --- */

static struct rv_str uuid_key(const uint8_t uuid[16]) {
    return rv_strn(uuid, 16);
}

static void kept_free(struct sim_audit_kept *k) {
    if (!k)
        return;
    free(k->agent);
    free(k->framework_id);
    free(k->task_id);
    free(k);
}

/* A framework that cannot do with TASK_KILLING does not hear of it. */
void sim_audit_alone_took(struct sim_auditor *a, const struct sim_container *c, const char *task_id,
                          const uint8_t uuid[16], enum rv_task_state state) {
    struct sim_audit_kept *k;

    if (state == RV_TASK_KILLING || sim_audit_link(a, c->agent)->dismissed ||
        rv_map_get(&a->said_updates, uuid_key(uuid)))
        return;
    k = rv_calloc(1, sizeof *k);
    *k = (struct sim_audit_kept){
        .agent = rv_strdup(c->agent->server.party.name),
        .framework_id = rv_strdup(c->framework_id),
        .task_id = rv_strdup(task_id),
        .state = state,
        .durable = sim_journal_has_task(&c->agent->journal, c->framework_id, task_id)};
    kept_free(rv_map_put(&a->kept, uuid_key(uuid), k));
}

static void forget(struct sim_auditor *a, const struct sim_agent *agent, bool all) {
    struct rv_str key;
    void *v;

    for (size_t it = 0; rv_map_next(&a->kept, &it, &key, &v);) {
        struct sim_audit_kept *k = v;
        if (!rv_streq(k->agent, agent->server.party.name) || (k->durable && !all))
            continue;
        rv_map_remove(&a->kept, key);
        kept_free(k);
    }
}

void sim_audit_alone_says(struct sim_auditor *a, const struct sim_agent *agent,
                          const struct rv_agent_call *call) {
    if (call->type == RV_AGENT_CALL_UNREGISTER)
        forget(a, agent, true);
    if (call->type != RV_AGENT_CALL_STATUS_UPDATE || !call->update.status->has_uuid)
        return;
    rv_map_put(&a->said_updates, uuid_key(call->update.status->uuid), a);
    kept_free(rv_map_remove(&a->kept, uuid_key(call->update.status->uuid)));
}

void sim_audit_alone_heard(struct sim_auditor *a, const struct sim_agent *agent,
                           const struct rv_agent_event *e) {
    char buf[KEY_MAX];

    if (e->type == RV_AGENT_EVENT_SHUTDOWN)
        forget(a, agent, true);
    if (e->type != RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK)
        return;
    int n = snprintf(buf, KEY_MAX, "%s %s", agent->server.party.name, e->shutdown_framework.v);
    rv_map_put(&a->ended_there, rv_strn(buf, (size_t)n), a);
}

void sim_audit_alone_crashed(struct sim_auditor *a, const struct sim_agent *agent) {
    forget(a, agent, false);
}

/* Nobody is to hear of it, or the agent had ended the task before. */
static bool need_not_be_told(struct sim_auditor *a, const struct sim_audit_kept *k) {
    const struct sim_audit_framework *f = rv_map_gets(&a->frameworks, k->framework_id);
    _cleanup_free_ char *there = rv_asprintf("%s %s", k->agent, k->framework_id);
    _cleanup_free_ char *task = rv_asprintf("%s %s", there, k->task_id);
    _cleanup_free_ char *plain = rv_asprintf("%s %s", k->framework_id, k->task_id);
    const struct sim_audit_task *last = rv_map_gets(&a->agent_tasks, task);

    return !f || f->removed || rv_map_gets(&a->ended_there, there) ||
           rv_map_gets(&a->excused, plain) || (last && !last->by_executor);
}

void sim_audit_alone_idle(struct sim_auditor *a) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->kept, &it, NULL, &v);) {
        const struct sim_audit_kept *k = v;
        a->checks++;
        if (!need_not_be_told(a, k))
            sim_fail(a->world, "INV-6: %s took %s of task %s from its executor and never told it",
                     k->agent, rv_task_state_name((int)k->state), k->task_id);
    }
}

void sim_audit_alone_free(struct sim_auditor *a) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->kept, &it, NULL, &v);)
        kept_free(v);
    rv_map_free(&a->kept);
    rv_map_free(&a->said_updates);
    rv_map_free(&a->ended_there);
}
