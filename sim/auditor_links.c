/*
 * The auditor's part between agents and masters: when agents try to register (INV-21), and that
 * what one says the other hears in order, at most once, and not when the connection it belongs to
 * is over (INV-34). Messages between frameworks and executors are followed from end to end.
 *
 * What always holds: the auditor's backoff doubles with each try and begins anew when a leader is
 * found or is heard of, as the promise says; a bound is not held against an agent that stood still.
 * Costs: O(1) an event, and a hash of its bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "auditor_internal.h"
#include "cluster.h"

#define KEY_MAX 768
#define BACKOFF_MS INT64_C(1000)
#define BACKOFF_MAX_MS INT64_C(60000)
/* Without any outcome for so long a try is given up. */
#define PATIENCE_MS INT64_C(30000)
#define SLACK_MS 10
/* So many waits that are all the same share of the backoff are not by chance. */
#define JITTER_LEAST 10

struct sim_audit_link *sim_audit_link(struct sim_auditor *a, const struct sim_agent *agent) {
    struct sim_audit_link *l = rv_map_gets(&a->links, agent->server.party.name);

    if (!l) {
        l = rv_calloc(1, sizeof *l);
        l->try_ms = l->told_ms = l->due_ms = -1;
        l->backoff_ms = BACKOFF_MS;
        l->ordered_ms = INT64_MIN / 2;
        rv_map_put(&a->links, rv_str(agent->server.party.name), l);
    }
    return l;
}

/* --- INV-21 --- */

static void begin_anew(struct sim_audit_link *l, int64_t now_ms) {
    if (l->registered)
        l->alone_ms = now_ms;
    l->registered = false;
    l->try_ms = l->told_ms = l->due_ms = -1;
    l->backoff_ms = BACKOFF_MS;
}

/* The connection is over. The next try comes within what the backoff is now. */
static void lost(struct sim_audit_link *l, int64_t now_ms) {
    if (l->registered) {
        l->registered = false;
        l->alone_ms = now_ms;
        l->try_ms = -1;
        l->due_ms = now_ms + l->backoff_ms;
    } else if (l->try_ms >= 0 && l->told_ms < 0) {
        l->told_ms = now_ms;
    }
}

static void heard(struct sim_audit_link *l, const struct rv_agent_event *e, int64_t now_ms) {
    switch (e->type) {
    case RV_AGENT_EVENT_REGISTERED:
        if (!l->registered && !l->refused)
            l->backoff_ms = BACKOFF_MS;
        l->registered = true;
        l->try_ms = l->told_ms = l->due_ms = -1;
        break;
    case RV_AGENT_EVENT_PING:
        if (l->registered) {
            l->refused = false;
            l->backoff_ms = BACKOFF_MS;
        }
        break;
    case RV_AGENT_EVENT_REREGISTER: /* at any time within the backoff */
        l->registered = true;
        lost(l, now_ms);
        break;
    case RV_AGENT_EVENT_SHUTDOWN:
        l->stopping = l->dismissed = true;
        break;
    case RV_AGENT_EVENT_KILL_TASK:
    case RV_AGENT_EVENT_SHUTDOWN_EXECUTOR:
    case RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK:
    case RV_AGENT_EVENT_DRAIN:
        l->ordered_ms = now_ms;
        break;
    default:
        break;
    }
}

void sim_audit_link_input(struct sim_auditor *a, const struct sim_agent *agent,
                          const struct rv_agent_input *in) {
    struct sim_audit_link *l = sim_audit_link(a, agent);
    int64_t now_ms = a->world->now_ms;

    switch (in->kind) {
    case RV_AGENT_MASTER_FOUND:
    case RV_AGENT_MASTER_NONE:
        begin_anew(l, now_ms);
        l->known = in->kind == RV_AGENT_MASTER_FOUND;
        break;
    case RV_AGENT_MASTER_REFUSED:
        l->refused = l->refused || l->known;
        lost(l, now_ms);
        break;
    case RV_AGENT_MASTER_LOST:
        lost(l, now_ms);
        break;
    case RV_AGENT_MASTER_EVENT:
        if (l->known)
            heard(l, in->master, now_ms);
        break;
    case RV_AGENT_STOP:
        l->stopping = true;
        break;
    default:
        break;
    }
}

void sim_audit_link_ended(struct sim_auditor *a, const struct sim_agent *agent) {
    struct sim_audit_link *l = sim_audit_link(a, agent);

    if (l->registered)
        lost(l, a->world->now_ms);
}

void sim_audit_link_started(struct sim_auditor *a, const struct sim_agent *agent) {
    struct sim_audit_link *l = sim_audit_link(a, agent);

    begin_anew(l, a->world->now_ms);
    l->alone_ms = a->world->now_ms;
    l->known = l->refused = l->stopping = l->dismissed = false;
}

static void waited(struct sim_auditor *a, const struct sim_audit_link *l, int64_t ms) {
    int64_t share = ms * 1000 / l->tried_backoff_ms;

    a->jitter.varies = a->jitter.varies || (a->jitter.n && share != a->jitter.share);
    a->jitter.share = share;
    a->jitter.n++;
}

void sim_audit_link_tries(struct sim_auditor *a, const struct sim_agent *agent) {
    struct sim_audit_link *l = sim_audit_link(a, agent);
    int64_t now_ms = a->world->now_ms, awake_ms = agent->server.party.frozen_until_ms;
    int64_t told_ms = l->told_ms >= 0 ? l->told_ms : l->try_ms;
    int64_t due_ms = l->told_ms >= 0  ? l->told_ms + l->tried_backoff_ms
                     : l->try_ms >= 0 ? l->try_ms + PATIENCE_MS + l->tried_backoff_ms
                                      : l->due_ms;

    a->checks++;
    if (!l->known)
        sim_fail(a->world, "INV-3: %s registers, and knows no leader", agent->server.party.name);
    if (told_ms >= 0 && now_ms - told_ms < l->tried_backoff_ms / 2)
        sim_fail(a->world, "INV-21: %s tries again %lld ms after a try that failed, not %lld",
                 agent->server.party.name, (long long)(now_ms - told_ms),
                 (long long)l->tried_backoff_ms / 2);
    if (due_ms >= 0 && now_ms > RV_MAX(due_ms, awake_ms) + SLACK_MS)
        sim_fail(a->world, "INV-21: %s tries again at %lld, and was to do so by %lld",
                 agent->server.party.name, (long long)now_ms, (long long)due_ms);
    if (l->told_ms >= 0 && awake_ms < l->told_ms)
        waited(a, l, now_ms - told_ms);
    l->try_ms = now_ms;
    l->told_ms = l->due_ms = -1;
    l->tried_backoff_ms = l->backoff_ms;
    l->backoff_ms = RV_MIN(l->backoff_ms * 2, BACKOFF_MAX_MS);
}

void sim_audit_links_idle(struct sim_auditor *a) {
    if (a->jitter.n >= JITTER_LEAST && !a->jitter.varies)
        sim_fail(a->world, "INV-21: %llu times agents have waited for the same share of a backoff",
                 (unsigned long long)a->jitter.n);
}

/* --- INV-34 --- */

/* What was said in one direction of one connection, by its hashes; the first `heard` arrived. */
struct sim_audit_pipe {
    RV_VEC(uint64_t) said;
    size_t heard;
};

static struct sim_audit_pipe *pipe_of(struct sim_auditor *a, struct rv_str key) {
    struct sim_audit_pipe *p = rv_map_get(&a->pipes, key);

    if (!p) {
        p = rv_calloc(1, sizeof *p);
        rv_map_put(&a->pipes, key, p);
    }
    return p;
}

void sim_audit_say(struct sim_auditor *a, struct rv_str key, struct rv_str what) {
    struct sim_audit_pipe *p = pipe_of(a, key);

    rv_vec_push(&p->said, rv_hash(what.s, what.n));
}

void sim_audit_hear(struct sim_auditor *a, struct rv_str key, struct rv_str what, const char *who) {
    struct sim_audit_pipe *p = pipe_of(a, key);

    a->checks++;
    if (p->heard == p->said.n || p->said.v[p->heard] != rv_hash(what.s, what.n))
        sim_fail(a->world,
                 "INV-34: %s hears something else than the next of %zu, of which it has "
                 "heard %zu",
                 who, p->said.n, p->heard);
    p->heard++;
}

void sim_audit_link_sent(struct sim_auditor *a, uint64_t stream, struct rv_str event) {
    sim_audit_say(a, sim_audit_number_key(&stream), event);
}

void sim_audit_link_heard(struct sim_auditor *a, const struct sim_agent *agent, uint64_t stream,
                          struct rv_str event) {
    sim_audit_hear(a, sim_audit_number_key(&stream), event, agent->server.party.name);
}

void sim_audit_link_said(struct sim_auditor *a, const char *stream_id, struct rv_str call) {
    sim_audit_say(a, rv_str(stream_id), call);
}

/* Of a stream that is over, for all that the master itself has told, it changes nothing. */
void sim_audit_link_read(struct sim_auditor *a, const char *stream_id,
                         const struct rv_agent_call *call, struct rv_str bytes) {
    const struct sim_audit_agent *g = rv_map_gets(&a->agents, call->agent_id.v);

    sim_audit_hear(a, rv_str(stream_id), bytes, a->master->server.party.name);
    a->stale_call = !g || !g->stream || !rv_streq(g->stream->stream_id, stream_id);
}

void sim_audit_link_acts(struct sim_auditor *a, const char *how) {
    if (a->stale_call)
        sim_fail(a->world, "INV-34: a call of a stream that is over makes the master %s", how);
}

/* --- messages --- */

static struct rv_str key2(char buf[KEY_MAX], const char *a, struct rv_str b) {
    int n = snprintf(buf, KEY_MAX, "%s %.*s", a, (int)RV_MIN(b.n, (size_t)100), b.s ? b.s : "");
    return rv_strn(buf, (size_t)n);
}

void sim_audit_message_said(struct sim_auditor *a, const char *framework_id, struct rv_str data) {
    char buf[KEY_MAX];

    rv_map_put(&a->messages, key2(buf, framework_id, data), (void *)(uintptr_t)++a->n_messages);
}

static uint64_t number_of(struct sim_auditor *a, const char *framework_id, struct rv_str data) {
    char buf[KEY_MAX];
    uint64_t number = (uintptr_t)rv_map_get(&a->messages, key2(buf, framework_id, data));

    a->checks++;
    if (!number)
        sim_fail(a->world, "INV-34: message %.*s was never sent", (int)data.n, data.s);
    return number;
}

void sim_audit_message_sent(struct sim_auditor *a, const char *framework_id, struct rv_str data) {
    uint64_t number = number_of(a, framework_id, data), last;

    last = (uintptr_t)rv_map_put(&a->messages, rv_str(framework_id), (void *)(uintptr_t)number);
    if (number <= last)
        sim_fail(a->world, "INV-34: message %.*s is passed on late, or again", (int)data.n, data.s);
}

void sim_audit_message_got(struct sim_auditor *a, struct sim_container *c, struct rv_str data) {
    uint64_t number = number_of(a, c->framework_id, data);

    if (number <= c->last_message)
        sim_fail(a->world, "INV-34: executor %s is given message %.*s late, or again",
                 c->executor_id, (int)data.n, data.s);
    c->last_message = number;
}

void sim_audit_message_back(struct sim_auditor *a, const char *framework_id, const char *agent_id,
                            const char *executor_id, struct rv_str data) {
    char buf[KEY_MAX];
    uint64_t number = number_of(a, framework_id, data), last;
    _cleanup_free_ char *where = rv_asprintf("%s/%s", agent_id, executor_id);

    last = (uintptr_t)rv_map_put(&a->messages, key2(buf, framework_id, rv_str(where)),
                                 (void *)(uintptr_t)number);
    if (number <= last)
        sim_fail(a->world, "INV-34: executor %s's answer %.*s comes late, or again", executor_id,
                 (int)data.n, data.s);
}

void sim_audit_links_free(struct sim_auditor *a) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->links, &it, NULL, &v);)
        free(v);
    for (size_t it = 0; rv_map_next(&a->pipes, &it, NULL, &v);) {
        rv_vec_free(&((struct sim_audit_pipe *)v)->said);
        free(v);
    }
    rv_map_free(&a->links);
    rv_map_free(&a->pipes);
    rv_map_free(&a->messages);
}
