/*
 * The auditor's part between masters and schedulers (INV-34). A master tells what it has to tell
 * once, on a stream that is open; a scheduler reads that in the order in which it was told, as far
 * as its connection holds, and it makes sense to who has read no more than this. A request arrives
 * at most once, and in order on its connection: different connections promise nothing to each
 * other. The master answers it once, and does once what it asks for; of a stream that is over it
 * does nothing (sim_audit_link_acts).
 *
 * What always holds: a reader knows only what its own stream has told it. Costs: O(1) an event, and
 * a hash of its bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "auditor_internal.h"
#include "cluster.h"

#define KEY_MAX 768
#define HEARTBEAT_MS 15000

/* What the scheduler of one stream has read on it. */
struct sim_audit_reader {
    bool subscribed, over;
    struct rv_map offers; /* ids of offers and inverse offers that were not taken back */
    struct rv_map ended;  /* tasks whose agents have told that they are over, for good */
};

/* The last update of a task that its framework has read, and those before it. */
struct sim_audit_newest {
    uint8_t uuid[16];
    struct rv_map uuids;
};

static struct rv_str key2(char buf[KEY_MAX], const char *a, const char *separator, const char *b) {
    int n = snprintf(buf, KEY_MAX, "%s%s%s", a ? a : "", separator, b ? b : "");
    return rv_strn(buf, (size_t)n);
}

/* --- what the master tells --- */

void sim_audit_stream_tells(struct sim_auditor *a, const struct sim_audit_stream *s) {
    a->checks++;
    if (!s || !s->open)
        sim_fail(a->world, "INV-34: the master tells something on a stream that %s",
                 s ? "is over" : "was never opened");
}

/* One event for one call of an agent: what it has read is told in the same step, or never. */
void sim_audit_stream_agent_said(struct sim_auditor *a, const struct rv_agent_call *call) {
    char buf[KEY_MAX];

    rv_map_clear(&a->told_of);
    if (call->type == RV_AGENT_CALL_STATUS_UPDATE && call->update.status->has_uuid)
        rv_map_put(&a->told_of, rv_strn(call->update.status->uuid, 16), a);
    else if (call->type == RV_AGENT_CALL_EXECUTOR_EXITED)
        rv_map_put(&a->told_of,
                   key2(buf, call->exited.framework_id.v, "/", call->exited.executor_id.v), a);
}

static void fails(struct sim_auditor *a, const char *framework_id,
                  const struct rv_scheduler_event *e) {
    const char *agent_id = e->failure.agent_id.v, *executor_id = e->failure.executor_id.v;
    char buf[KEY_MAX];

    if (executor_id && !rv_map_remove(&a->told_of, key2(buf, framework_id, "/", executor_id)))
        sim_fail(a->world, "INV-34: no agent has just said that executor %s ended", executor_id);
    if (!executor_id && rv_map_put(&a->lost, key2(buf, agent_id, " ", framework_id), a))
        sim_fail(a->world, "INV-34: framework %s is told once more that agent %s is lost",
                 framework_id, agent_id);
}

void sim_audit_stream_sends(struct sim_auditor *a, struct sim_audit_stream *s,
                            const struct rv_scheduler_event *e) {
    int64_t now_ms = a->world->now_ms;

    switch (e->type) {
    case RV_EVENT_HEARTBEAT:
        if (s->heartbeat_ms && now_ms - s->heartbeat_ms < HEARTBEAT_MS)
            sim_fail(a->world, "INV-34: a HEARTBEAT %lld ms after the last one",
                     (long long)(now_ms - s->heartbeat_ms));
        s->heartbeat_ms = now_ms;
        break;
    case RV_EVENT_UPDATE:
        if (e->update->has_uuid && !rv_map_remove(&a->told_of, rv_strn(e->update->uuid, 16)))
            sim_fail(a->world, "INV-34: no agent has just sent this update of task %s, or one only",
                     e->update->task_id.v);
        break;
    case RV_EVENT_FAILURE:
        fails(a, s->framework_id, e);
        break;
    default:
        break;
    }
}

void sim_audit_stream_agent_back(struct sim_auditor *a, const char *agent_id) {
    size_t n = strlen(agent_id);
    struct rv_str key;

    for (size_t it = 0; rv_map_next(&a->lost, &it, &key, NULL);)
        if (key.n > n && !memcmp(key.s, agent_id, n) && key.s[n] == ' ')
            rv_map_remove(&a->lost, key);
}

/* --- what the scheduler reads --- */

static struct sim_audit_reader *reader_of(struct sim_auditor *a, uint64_t stream) {
    struct sim_audit_reader *r = rv_map_get(&a->readers, sim_audit_number_key(&stream));

    if (!r) {
        r = rv_calloc(1, sizeof *r);
        rv_map_put(&a->readers, sim_audit_number_key(&stream), r);
    }
    return r;
}

static void offered(struct sim_auditor *a, struct sim_audit_reader *r, const char *id) {
    if (rv_map_put(&r->offers, rv_str(id), a))
        sim_fail(a->world, "INV-34: offer %s comes once more", id);
}

static void rescinded(struct sim_auditor *a, struct sim_audit_reader *r, const char *id) {
    if (!rv_map_remove(&r->offers, rv_str(id)))
        sim_fail(a->world, "INV-34: offer %s is taken back before it came, or again", id);
}

/* The one before was acknowledged when the next one left its agent: it does not come again. */
static void newest(struct sim_auditor *a, struct rv_str key, const Reeve__V1__TaskStatus *s) {
    struct sim_audit_newest *u = rv_map_get(&a->newest, key);
    struct rv_str uuid = rv_strn((const char *)s->uuid.data, s->uuid.len);

    if (!u) {
        u = rv_calloc(1, sizeof *u);
        rv_map_put(&a->newest, key, u);
    }
    if (rv_map_put(&u->uuids, uuid, a) && memcmp(u->uuid, uuid.s, sizeof u->uuid) != 0)
        sim_fail(a->world, "INV-34: %s of task %s comes after what followed it",
                 rv_task_state_name((int)s->state), s->task_id->value);
    memcpy(u->uuid, uuid.s, sizeof u->uuid);
}

static bool is_alive(enum rv_task_state s) {
    return s == RV_TASK_STAGING || s == RV_TASK_STARTING || s == RV_TASK_RUNNING ||
           s == RV_TASK_KILLING;
}

static void updated(struct sim_auditor *a, struct sim_audit_reader *r, const char *framework_id,
                    const Reeve__V1__TaskStatus *s) {
    enum rv_task_state state = (enum rv_task_state)s->state;
    char buf[KEY_MAX];
    struct rv_str key = key2(buf, framework_id, " ", s->task_id->value);

    if (rv_map_get(&a->excused, key))
        return;
    if (s->has_uuid && s->uuid.len == 16)
        newest(a, key, s);
    if (is_alive(state) && rv_map_get(&r->ended, key))
        sim_fail(a->world, "INV-34: %s of task %s comes after its end was told",
                 rv_task_state_name((int)state), s->task_id->value);
    if (s->has_uuid && rv_task_state_sticky(state))
        rv_map_put(&r->ended, key, a);
}

static void understand(struct sim_auditor *a, struct sim_audit_reader *r, const char *framework_id,
                       const Reeve__V1__Scheduler__Event *e) {
    switch ((int)e->type) {
    case REEVE__V1__SCHEDULER__EVENT__TYPE__OFFERS:
        for (size_t i = 0; i < e->offers->n_offers; i++)
            offered(a, r, e->offers->offers[i]->id->value);
        break;
    case REEVE__V1__SCHEDULER__EVENT__TYPE__INVERSE_OFFERS:
        for (size_t i = 0; i < e->inverse_offers->n_inverse_offers; i++)
            offered(a, r, e->inverse_offers->inverse_offers[i]->id->value);
        break;
    case REEVE__V1__SCHEDULER__EVENT__TYPE__RESCIND:
        rescinded(a, r, e->rescind->offer_id->value);
        break;
    case REEVE__V1__SCHEDULER__EVENT__TYPE__RESCIND_INVERSE_OFFER:
        rescinded(a, r, e->rescind_inverse_offer->inverse_offer_id->value);
        break;
    case REEVE__V1__SCHEDULER__EVENT__TYPE__UPDATE:
        updated(a, r, framework_id, e->update->status);
        break;
    default:
        break;
    }
}

void sim_audit_stream_heard(struct sim_auditor *a, const struct sim_scheduler *s,
                            struct rv_str event, const Reeve__V1__Scheduler__Event *e) {
    uint64_t stream = s->stream->stream;
    struct sim_audit_reader *r = reader_of(a, stream);
    bool subscribes = e->type == REEVE__V1__SCHEDULER__EVENT__TYPE__SUBSCRIBED;
    bool ends = e->type == REEVE__V1__SCHEDULER__EVENT__TYPE__ERROR;

    sim_audit_hear(a, sim_audit_number_key(&stream), event, s->party.name);
    if (r->over)
        sim_fail(a->world, "INV-34: %s reads event %d after ERROR", s->party.name, (int)e->type);
    if (!ends && subscribes == r->subscribed)
        sim_fail(a->world, "INV-34: %s reads event %d %s", s->party.name, (int)e->type,
                 subscribes ? "once more" : "before SUBSCRIBED");
    r->subscribed = r->subscribed || subscribes;
    r->over = ends;
    understand(a, r, s->framework_id, e);
}

/* --- calls --- */

void sim_audit_request_said(struct sim_auditor *a, uint64_t connection, struct rv_str body) {
    sim_audit_say(a, sim_audit_number_key(&connection), body);
}

void sim_audit_request_read(struct sim_auditor *a, uint64_t connection, struct rv_str body) {
    sim_audit_hear(a, sim_audit_number_key(&connection), body, a->master->server.party.name);
}

void sim_audit_asked(struct sim_auditor *a, uint64_t request) {
    struct rv_str key = sim_audit_number_key(&request);

    if (request)
        rv_map_put(&a->asked, key, (void *)((uintptr_t)rv_map_get(&a->asked, key) + 1));
}

void sim_audit_request_answered(struct sim_auditor *a, uint64_t request) {
    struct rv_str key = sim_audit_number_key(&request);
    uintptr_t n = (uintptr_t)rv_map_remove(&a->asked, key);

    a->checks++;
    if (!n)
        sim_fail(a->world, "INV-34: the master answers a call that nobody made, or once more");
    if (n > 1)
        rv_map_put(&a->asked, key, (void *)(n - 1));
}

static bool asks_for(const struct rv_scheduler_call *call, const struct rv_agent_event *e) {
    switch (e->type) {
    case RV_AGENT_EVENT_ACKNOWLEDGE:
        return call->type == RV_CALL_ACKNOWLEDGE &&
               rv_streq(call->framework_id.v, e->acknowledge.framework_id.v) &&
               !memcmp(call->acknowledge.uuid, e->acknowledge.uuid, 16);
    case RV_AGENT_EVENT_KILL_TASK:
        return call->type == RV_CALL_KILL &&
               rv_streq(call->framework_id.v, e->kill.framework_id.v) &&
               rv_streq(call->kill.task_id.v, e->kill.task_id.v);
    case RV_AGENT_EVENT_SHUTDOWN_EXECUTOR:
        return call->type == RV_CALL_SHUTDOWN &&
               rv_streq(call->framework_id.v, e->shutdown_executor.framework_id.v) &&
               rv_streq(call->shutdown.executor_id.v, e->shutdown_executor.executor_id.v);
    default:
        return call->type == RV_CALL_MESSAGE &&
               rv_streq(call->framework_id.v, e->message.framework_id.v) &&
               rv_streq(call->message.executor_id.v, e->message.executor_id.v);
    }
}

/* In the step of a call an agent is told at most what it asks for. In others the master kills and
 * acknowledges for itself: what has no place at a registration, what must not be told. */
void sim_audit_stream_orders(struct sim_auditor *a, const struct rv_agent_event *e) {
    const struct rv_scheduler_call *call = a->call.call;

    switch (e->type) {
    case RV_AGENT_EVENT_ACKNOWLEDGE:
    case RV_AGENT_EVENT_KILL_TASK:
    case RV_AGENT_EVENT_SHUTDOWN_EXECUTOR:
    case RV_AGENT_EVENT_FRAMEWORK_MESSAGE:
        break;
    default:
        return;
    }
    a->checks++;
    if (call ? a->call.ordered || !asks_for(call, e) : e->type == RV_AGENT_EVENT_FRAMEWORK_MESSAGE)
        sim_fail(a->world, "INV-34: an agent is told event %d, which no call asks for, or again",
                 (int)e->type);
    a->call.ordered = call != NULL;
}

/* --- end --- */

void sim_audit_streams_free(struct sim_auditor *a) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->readers, &it, NULL, &v);) {
        rv_map_free(&((struct sim_audit_reader *)v)->offers);
        rv_map_free(&((struct sim_audit_reader *)v)->ended);
        free(v);
    }
    for (size_t it = 0; rv_map_next(&a->newest, &it, NULL, &v);) {
        rv_map_free(&((struct sim_audit_newest *)v)->uuids);
        free(v);
    }
    rv_map_free(&a->readers);
    rv_map_free(&a->newest);
    rv_map_free(&a->asked);
    rv_map_free(&a->told_of);
    rv_map_free(&a->lost);
}
