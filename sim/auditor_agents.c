/*
 * The auditor's part at the agents and executors: order and durability of status updates, and that
 * no task runs twice.
 */
#include <stdio.h>
#include <stdlib.h>

#include "auditor_internal.h"
#include "cluster.h"

#define KEY_MAX 768

static struct rv_str task_key(char buf[KEY_MAX], const char *framework_id, const char *task_id) {
    int n = snprintf(buf, KEY_MAX, "%s %s", framework_id, task_id);
    return rv_strn(buf, (size_t)n);
}

static struct rv_str agent_key(char buf[KEY_MAX], const struct sim_agent *agent,
                               const char *framework_id, const char *task_id) {
    int n = snprintf(buf, KEY_MAX, "%s %s %s", agent->server.party.name, framework_id, task_id);
    return rv_strn(buf, (size_t)n);
}

void sim_audit_agent_says(struct sim_auditor *a, const struct sim_agent *agent,
                          const struct rv_agent_call *call) {
    char buf[KEY_MAX];

    sim_audit_recovery_says(a, agent, call);
    sim_audit_alone_says(a, agent, call);
    sim_audit_operation_said(a, agent, call);
    if (call->type != RV_AGENT_CALL_STATUS_UPDATE || !call->update.status->has_uuid)
        return;
    const struct rv_task_status *s = call->update.status;
    const char *framework_id = call->update.framework_id.v, *task_id = s->task_id.v;
    struct rv_str key = agent_key(buf, agent, framework_id, task_id);
    struct sim_audit_task *t = rv_map_get(&a->agent_tasks, key);
    bool by_executor = s->source == RV_SOURCE_EXECUTOR;
    bool durable = sim_journal_has_update(&agent->journal, s->uuid);

    if (!t) {
        t = rv_calloc(1, sizeof *t);
        rv_map_put(&a->agent_tasks, key, t);
    }
    if (t->waits && t->by_executor && memcmp(t->uuid, s->uuid, 16) != 0)
        sim_fail(a->world, "INV-36: %s sends update %s of task %s before %s was acknowledged",
                 agent->server.party.name, rv_task_state_name((int)s->state), task_id,
                 rv_task_state_name((int)t->state));
    if (by_executor && !durable && sim_journal_has_task(&agent->journal, framework_id, task_id))
        sim_fail(a->world, "INV-35: %s sends update %s of task %s before it is durable",
                 agent->server.party.name, rv_task_state_name((int)s->state), task_id);
    t->waits = true;
    t->by_executor = by_executor;
    t->state = s->state;
    memcpy(t->uuid, s->uuid, 16);
}

void sim_audit_agent_heard(struct sim_auditor *a, const struct sim_agent *agent,
                           const struct rv_agent_event *e) {
    char buf[KEY_MAX];
    struct sim_audit_task *t;

    sim_audit_recovery_heard(a, agent, e);
    sim_audit_alone_heard(a, agent, e);
    sim_audit_operation_heard(a, agent, e);
    if (e->type == RV_AGENT_EVENT_ACKNOWLEDGE) {
        t = rv_map_get(&a->agent_tasks, agent_key(buf, agent, e->acknowledge.framework_id.v,
                                                  e->acknowledge.task_id.v));
        if (t && !memcmp(t->uuid, e->acknowledge.uuid, 16))
            t->waits = false;
    }
}

/* What was not durable is forgotten and may be told in other words; acknowledgements that were not
 * durable, too: then it begins again with an earlier one. */
void sim_audit_agent_crashed(struct sim_auditor *a, const struct sim_agent *agent) {
    size_t n = strlen(agent->server.party.name);
    struct rv_str key;
    void *v;

    sim_audit_recovery_crashed(a, agent);
    sim_audit_alone_crashed(a, agent);
    for (size_t it = 0; rv_map_next(&a->agent_tasks, &it, &key, &v);) {
        struct sim_audit_task *t = v;
        if (key.n > n && !memcmp(key.s, agent->server.party.name, n))
            t->waits = false;
    }
}

void sim_audit_task_started(struct sim_auditor *a, const char *framework_id, const char *task_id,
                            const char *container_id) {
    char buf[KEY_MAX];
    struct rv_str key = task_key(buf, framework_id, task_id);
    char *other = rv_map_put(&a->running, key, rv_strdup(container_id));

    sim_audit_recovery_delivered(a, framework_id, task_id);
    if (other && !rv_map_get(&a->excused, key))
        sim_fail(a->world, "INV-24: task %s runs in containers %s and %s", task_id, other,
                 container_id);
    free(other);
}

void sim_audit_task_ended(struct sim_auditor *a, const char *framework_id, const char *task_id,
                          const char *container_id) {
    char buf[KEY_MAX];
    struct rv_str key = task_key(buf, framework_id, task_id);

    if (rv_streq(rv_map_get(&a->running, key), container_id))
        free(rv_map_remove(&a->running, key));
}
