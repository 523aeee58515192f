/* The master as text, for master_script.h: its effects, a line each, and its records. */
#ifndef RV_TESTS_MASTER_SCRIPT_TEXT_H
#define RV_TESTS_MASTER_SCRIPT_TEXT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/map.h"
#include "base/vec.h"
#include "content.h"
#include "master/master.h"
#include "master/records.h"
#include "wire/codec.h"
#include "wire/convert.h"

/* As an agent was told of it. */
struct told_operation {
    uint8_t uuid[16];
    struct rv_operation operation;
    char *framework_id; /* NULL: the operator's */
};

struct script {
    struct rv_master *m;
    struct rv_effects out;
    struct rv_buf text; /* input lines and what came of them */
    int64_t now_ms;
    uint64_t next_number; /* of streams and requests */
    struct rv_map names;  /* label -> struct party */
    bool manual;
    RV_VEC(uint64_t) writes;      /* of a manual registry, not done yet */
    RV_VEC(struct party *) asked; /* who made request number i */
    struct rv_arena arena;        /* of the line under way */
    const char *words[64];
    size_t n_words;
    RV_VEC(struct told_operation) operations;
    struct sim_content registry;
    RV_VEC(struct rv_blob *) packed; /* of the line under way: its frameworks */
    bool failed;                     /* an invariant broke */
};

struct party {
    char *label;
    uint64_t stream;
    char stream_id[40];
    char *agent_id;
};

/* --- words of a line --- */

static const char *arg(const struct script *s, const char *key) {
    size_t n = strlen(key);

    for (size_t i = 0; i < s->n_words; i++)
        if (strncmp(s->words[i], key, n) == 0 && s->words[i][n] == '=')
            return s->words[i] + n + 1;
    return NULL;
}

static int64_t number(const struct script *s, const char *key, int64_t otherwise) {
    const char *v = arg(s, key);

    return v ? strtoll(v, NULL, 10) : otherwise;
}

/* Splits into the arena; an absent or empty text is no parts. */
static size_t split(struct script *s, const char *text, char by, char ***out) {
    size_t n = 0, cap = 1;
    char *copy;

    *out = NULL;
    if (!text || !*text)
        return 0;
    for (const char *p = text; *p; p++)
        cap += *p == by;
    *out = RV_ARENA_ARRAY(&s->arena, char *, cap);
    copy = rv_arena_strdup(&s->arena, text);
    (*out)[n++] = copy;
    for (char *p = copy; *p; p++)
        if (*p == by) {
            *p = '\0';
            (*out)[n++] = p + 1;
        }
    return n;
}

/* One element "disk!r%p#v~:64": after its name !role for each dynamic reservation, %principal for
 * the last of them, #id for a volume, ~ if that is shared, ^ if it is revocable. */
static void add_element(struct rv_resources *to, const char *text) {
    size_t n = strcspn(text, "!%#~^:");
    struct rv_reservation reservations[4] = {0};
    struct rv_resources plain = {0};
    struct rv_disk disk = {0};
    char copy[256], *save = NULL;
    struct rv_kind template, *kind;
    struct rv_error err;

    snprintf(copy, sizeof copy, "%.*s%s", (int)n, text, strchr(text, ':') ? strchr(text, ':') : "");
    if (rv_resources_parse(copy, "*", &plain, &err) < 0 || plain.n > 1)
        fail_msg("resource '%s': %s", text, err.message);
    if (plain.n == 0) /* nothing of it */
        return;
    template = *plain.v[0].kind;
    template.reservations = reservations;
    snprintf(copy, sizeof copy, "%.*s", (int)(strcspn(text, ":") - n), text + n);
    template.revocable = strchr(copy, '^') != NULL;
    template.shared = strchr(copy, '~') != NULL;
    for (const char *at = text + n; *at != ':'; at += 1 + strcspn(at + 1, "!%#~^:")) {
        char *word = strtok_r(save ? NULL : copy, "!%#~^", &save);

        if (*at == '!')
            reservations[template.n_reservations++] =
                (struct rv_reservation){.dynamic = true, .role = word};
        else if (*at == '%')
            reservations[template.n_reservations - 1].principal = word;
        else if (*at == '#')
            disk.persistence_id = word;
    }
    if (disk.persistence_id) {
        disk.persistence_principal = reservations[0].principal;
        disk.volume = rv_blob_new("volume", 6);
        template.disk = &disk;
    }
    kind = rv_kind_new(&template);
    rv_kind_unref(plain.v[0].kind);
    plain.v[0].kind = kind;
    rv_resources_add(to, &plain);
    rv_blob_unref(disk.volume);
    rv_resources_free(&plain);
}

static struct rv_resources resources(const char *text) {
    struct rv_resources r = {0};
    char *copy = rv_strdup(text), *save = NULL;

    for (char *one = text ? strtok_r(copy, ";", &save) : NULL; one;
         one = strtok_r(NULL, ";", &save))
        add_element(&r, one);
    free(copy);
    return r;
}

static struct party *party(struct script *s, const char *label) {
    struct party *p = rv_map_gets(&s->names, label);

    if (!p) {
        p = rv_calloc(1, sizeof *p);
        p->label = rv_strdup(label);
        rv_map_put(&s->names, rv_str(label), p);
    }
    return p;
}

static const char *by_stream(struct script *s, uint64_t stream) {
    void *v;

    for (size_t it = 0; rv_map_next(&s->names, &it, NULL, &v);)
        if (((struct party *)v)->stream == stream)
            return ((struct party *)v)->label;
    return "?";
}

static struct party *by_request(struct script *s, uint64_t request) {
    return request < s->asked.n ? s->asked.v[request] : NULL;
}

/* A number for a request of this party, or for its stream. */
static uint64_t new_number(struct script *s, struct party *p) {
    s->next_number++;
    while (s->asked.n <= s->next_number)
        rv_vec_push(&s->asked, NULL);
    s->asked.v[s->next_number] = p;
    return s->next_number;
}

/* --- effects as text --- */

static void put_resources(struct script *s, const struct rv_resources *r) {
    struct rv_resources plain = {0};

    rv_resources_copy(&plain, r);
    rv_resources_allocate(&plain, NULL);
    rv_buf_putc(&s->text, '{');
    rv_resources_format(&plain, &s->text);
    rv_buf_putc(&s->text, '}');
    rv_resources_free(&plain);
}

static void put_status(struct script *s, const struct rv_task_status *u) {
    rv_buf_printf(&s->text, " %s %s", u->task_id.v, rv_task_state_name((int)u->state));
    if (u->has_source)
        rv_buf_printf(&s->text, " %s", rv_source_name((int)u->source));
    if (u->reason != RV_REASON_NONE)
        rv_buf_printf(&s->text, " %s", rv_reason_name((int)u->reason));
    if (u->agent_id.v)
        rv_buf_printf(&s->text, " agent=%s", u->agent_id.v);
    if (u->executor_id.v)
        rv_buf_printf(&s->text, " executor=%s", u->executor_id.v);
    if (u->unreachable_ns)
        rv_buf_printf(&s->text, " unreachable=%lldms", (long long)(u->unreachable_ns / 1000000));
    if (u->has_uuid)
        rv_buf_printf(&s->text, " uuid=%d", u->uuid[0]);
    if (u->message)
        rv_buf_printf(&s->text, " \"%s\"", u->message);
}

static void put_away(struct script *s, const struct rv_unavailability *away) {
    if (away)
        rv_buf_printf(&s->text, " away=%lld", (long long)away->start_ns);
    if (away && away->has_duration)
        rv_buf_printf(&s->text, "+%lld", (long long)away->duration_ns);
}

static void put_inverse_offers(struct script *s, const struct rv_scheduler_event *e) {
    for (size_t i = 0; i < e->inverse_offers.n; i++) {
        const struct rv_inverse_offer_view *o = &e->inverse_offers.offers[i];

        rv_buf_printf(&s->text, " %s(%s", o->id.v, o->agent->id.v);
        put_away(s, o->away);
        rv_buf_putc(&s->text, ')');
    }
}

static void put_offers(struct script *s, const struct rv_scheduler_event *e) {
    for (size_t i = 0; i < e->offers.n; i++) {
        const struct rv_offer_view *o = &e->offers.offers[i];

        rv_buf_printf(&s->text, " %s(%s %s ", o->id.v, o->agent->id.v, o->role);
        put_resources(s, o->resources);
        for (size_t j = 0; j < o->n_executor_ids; j++)
            rv_buf_printf(&s->text, " executor=%s", o->executor_ids[j].v);
        put_away(s, o->away);
        rv_buf_putc(&s->text, ')');
    }
}

static void put_operation_status(struct script *s, const struct rv_operation_status *o) {
    rv_buf_printf(&s->text, " %s %s", o->operation_id.v, rv_operation_state_name((int)o->state));
    if (o->has_uuid)
        rv_buf_printf(&s->text, " uuid=%d", o->uuid[0]);
    if (o->message)
        rv_buf_printf(&s->text, " \"%s\"", o->message);
    if (o->converted) {
        rv_buf_putc(&s->text, ' ');
        put_resources(s, o->converted);
    }
}

/* By its number: of those that agents were told, the first is 0. -1: it was not told. */
static int number_of(const struct script *s, const uint8_t uuid[16]) {
    for (size_t i = s->operations.n; i-- > 0;)
        if (memcmp(s->operations.v[i].uuid, uuid, 16) == 0)
            return (int)i;
    return -1;
}

static void put_apply(struct script *s, const struct rv_agent_event *e) {
    const struct rv_operation *op = e->apply.operation;
    struct told_operation told = {.framework_id = rv_strdup(e->apply.framework_id.v)};

    memcpy(told.uuid, e->apply.uuid, 16);
    rv_operation_copy(&told.operation, op);
    rv_buf_printf(&s->text, " #%zu %s %s%s%s ", s->operations.n,
                  told.framework_id ? told.framework_id : "operator",
                  rv_operation_type_name((int)op->type), op->id.v ? " " : "",
                  op->id.v ? op->id.v : "");
    put_resources(s, &op->resources);
    rv_vec_push(&s->operations, told);
}

static void put_scheduler_event(struct script *s, const struct rv_scheduler_event *e) {
    static const char *const names[] = {
#define X(name, number) [number] = #name,
        RV_SCHEDULER_EVENTS(X)
#undef X
    };

    rv_buf_puts(&s->text, names[e->type]);
    if (e->type == RV_EVENT_SUBSCRIBED)
        rv_buf_printf(&s->text, " %s", e->subscribed.framework_id.v);
    else if (e->type == RV_EVENT_OFFERS)
        put_offers(s, e);
    else if (e->type == RV_EVENT_INVERSE_OFFERS)
        put_inverse_offers(s, e);
    else if (e->type == RV_EVENT_RESCIND || e->type == RV_EVENT_RESCIND_INVERSE_OFFER)
        rv_buf_printf(&s->text, " %s", e->rescind.v);
    else if (e->type == RV_EVENT_UPDATE)
        put_status(s, e->update);
    else if (e->type == RV_EVENT_UPDATE_OPERATION_STATUS)
        put_operation_status(s, e->operation);
    else if (e->type == RV_EVENT_MESSAGE)
        rv_buf_printf(&s->text, " %s %s '%.*s'", e->message.agent_id.v, e->message.executor_id.v,
                      (int)e->message.data.n, e->message.data.s);
    else if (e->type == RV_EVENT_FAILURE && e->failure.executor_id.v)
        rv_buf_printf(&s->text, " %s %s %d", e->failure.agent_id.v, e->failure.executor_id.v,
                      (int)e->failure.status);
    else if (e->type == RV_EVENT_FAILURE)
        rv_buf_printf(&s->text, " %s", e->failure.agent_id.v);
    else if (e->type == RV_EVENT_ERROR)
        rv_buf_printf(&s->text, " \"%s\"", e->error);
}

static void put_agent_event(struct script *s, const char *label, const struct rv_agent_event *e) {
    static const char *const names[] = {
#define X(name, number) [number] = #name,
        RV_AGENT_EVENTS(X)
#undef X
    };

    rv_buf_puts(&s->text, names[e->type]);
    if (e->type == RV_AGENT_EVENT_REGISTERED) {
        struct party *p = party(s, label);

        free(p->agent_id);
        p->agent_id = rv_strdup(e->registered.agent_id.v);
        rv_buf_printf(&s->text, " %s", e->registered.agent_id.v);
    } else if (e->type == RV_AGENT_EVENT_RUN_TASKS) {
        rv_buf_printf(&s->text, " %s%s", e->run.framework->id.v, e->run.group ? " group" : "");
        if (e->run.executor)
            rv_buf_printf(&s->text, " executor=%s", e->run.executor->id.v);
        for (size_t i = 0; i < e->run.n_tasks; i++) {
            rv_buf_printf(&s->text, " %s", e->run.tasks[i].id.v);
            put_resources(s, &e->run.tasks[i].resources);
        }
    } else if (e->type == RV_AGENT_EVENT_KILL_TASK) {
        rv_buf_printf(&s->text, " %s %s", e->kill.framework_id.v, e->kill.task_id.v);
        if (e->kill.grace_ms >= 0)
            rv_buf_printf(&s->text, " grace=%lld", (long long)e->kill.grace_ms);
    } else if (e->type == RV_AGENT_EVENT_SHUTDOWN_EXECUTOR) {
        rv_buf_printf(&s->text, " %s %s", e->shutdown_executor.framework_id.v,
                      e->shutdown_executor.executor_id.v);
    } else if (e->type == RV_AGENT_EVENT_SHUTDOWN_FRAMEWORK) {
        rv_buf_printf(&s->text, " %s", e->shutdown_framework.v);
    } else if (e->type == RV_AGENT_EVENT_ACKNOWLEDGE) {
        rv_buf_printf(&s->text, " %s %s uuid=%d", e->acknowledge.framework_id.v,
                      e->acknowledge.task_id.v, e->acknowledge.uuid[0]);
    } else if (e->type == RV_AGENT_EVENT_FRAMEWORK_MESSAGE) {
        rv_buf_printf(&s->text, " %s %s '%.*s'", e->message.framework_id.v,
                      e->message.executor_id.v, (int)e->message.data.n, e->message.data.s);
    } else if (e->type == RV_AGENT_EVENT_UPDATE_FRAMEWORK) {
        rv_buf_printf(&s->text, " %s name=%s", e->framework->id.v, e->framework->name);
    } else if (e->type == RV_AGENT_EVENT_DRAIN) {
        if (e->drain.has_max_grace)
            rv_buf_printf(&s->text, " grace=%lldms", (long long)e->drain.max_grace_ns / 1000000);
        if (e->drain.mark_gone)
            rv_buf_puts(&s->text, " mark_gone");
    } else if (e->type == RV_AGENT_EVENT_APPLY_OPERATION) {
        put_apply(s, e);
    } else if (e->type == RV_AGENT_EVENT_ACKNOWLEDGE_OPERATION) {
        rv_buf_printf(&s->text, " #%d uuid=%d", number_of(s, e->acknowledge_operation.operation),
                      e->acknowledge_operation.uuid[0]);
    } else if (e->type == RV_AGENT_EVENT_SHUTDOWN) {
        rv_buf_printf(&s->text, " \"%s\"", e->why);
    }
}

static void put_operator_event(struct script *s, const struct rv_operator_event *e) {
    static const char *const names[] = {
        "SNAPSHOT",      "HEARTBEAT",       "TASK_ADDED",        "TASK_UPDATED",     "AGENT_ADDED",
        "AGENT_REMOVED", "FRAMEWORK_ADDED", "FRAMEWORK_UPDATED", "FRAMEWORK_REMOVED"};

    rv_buf_puts(&s->text, names[e->kind]);
    if (e->task)
        rv_buf_printf(&s->text, " %s %s", e->task->id.v,
                      rv_task_state_name((int)(e->status ? e->status->state : e->task->state)));
    else if (e->framework)
        rv_buf_printf(&s->text, " %s", e->framework->id.v);
    else if (e->agent)
        rv_buf_printf(&s->text, " %s", e->agent->id.v);
}

/* --- the registry --- */

static const char *const drain_words[] = {"", " DRAINING", " DRAINED"};
static const char *const machine_words[] = {"", "UP", "DRAINING", "DOWN"};

static void put_registry(struct script *s, const struct rv_registry_op *op) {
    static const char *const names[] = {
#define X(name) #name,
        RV_REGISTRY_KINDS(X)
#undef X
    };

    rv_buf_printf(&s->text, "-> registry %s", names[op->kind]);
    if (op->agent_id.v)
        rv_buf_printf(&s->text, " %s", op->agent_id.v);
    if (op->framework_id.v)
        rv_buf_printf(&s->text, " %s", op->framework_id.v);
    for (size_t i = 0; i < op->n_weights; i++)
        rv_buf_printf(&s->text, " %s=%g", op->weights[i].role, op->weights[i].weight);
    for (size_t i = 0; i < op->n_quotas; i++) {
        rv_buf_printf(&s->text, " %s=", op->quotas[i].role);
        rv_quantities_format(&op->quotas[i].guarantees, &s->text);
        rv_buf_puts(&s->text, " to ");
        rv_quantities_format(&op->quotas[i].limits, &s->text);
    }
    if (op->deactivation)
        rv_buf_printf(&s->text, "%s", drain_words[op->deactivation->drain]);
    for (size_t i = 0; i < op->n_machines; i++)
        rv_buf_printf(&s->text, " %s/%s=%s", op->machines[i].hostname, op->machines[i].ip,
                      machine_words[op->machines[i].mode]);
    rv_vec_push(&s->writes, op->seq);
    sim_content_apply(&s->registry, op);
}

static void put_effect(struct script *s, const struct rv_master_effect *e) {
    struct party *p = by_request(s, e->request);

    switch (e->kind) {
    case RV_MASTER_REPLY:
        rv_buf_printf(&s->text, "-> %s %d", p ? p->label : "?", e->status);
        if (e->message)
            rv_buf_printf(&s->text, " \"%s\"", e->message);
        break;
    case RV_MASTER_OPEN_STREAM:
        RV_ASSERT(p);
        p->stream = e->stream;
        snprintf(p->stream_id, sizeof p->stream_id, "%s", e->stream_id ? e->stream_id : "");
        rv_buf_printf(&s->text, "-> %s open", p->label);
        break;
    case RV_MASTER_SEND_SCHEDULER:
        rv_buf_printf(&s->text, "-> %s ", by_stream(s, e->stream));
        put_scheduler_event(s, e->scheduler);
        break;
    case RV_MASTER_SEND_AGENT:
        rv_buf_printf(&s->text, "-> %s ", by_stream(s, e->stream));
        put_agent_event(s, by_stream(s, e->stream), e->agent);
        break;
    case RV_MASTER_SEND_OPERATOR:
        rv_buf_printf(&s->text, "-> %s ", e->stream ? by_stream(s, e->stream) : "operators");
        put_operator_event(s, e->operator_);
        break;
    case RV_MASTER_CLOSE_STREAM:
        rv_buf_printf(&s->text, "-> %s close", by_stream(s, e->stream));
        break;
    case RV_MASTER_REGISTRY:
        put_registry(s, e->registry);
        break;
    case RV_MASTER_STOP:
        rv_buf_printf(&s->text, "-> stop \"%s\"", e->message);
        break;
    case RV_MASTER_LOG:
    case RV_MASTER_EFFECT_MAX:
        return;
    }
    rv_buf_putc(&s->text, '\n');
}

/* --- the records --- */

static void put_task(struct script *s, const char *where, const struct rv_master_task *t) {
    rv_buf_printf(&s->text, "->   %s %s %s", where, t->id.v, rv_task_state_name((int)t->state));
    if (t->agent)
        rv_buf_printf(&s->text, " on %s", t->agent->id.v);
    rv_buf_putc(&s->text, '\n');
}

static void show_machines(struct script *s) {
    static const char *const answers[] = {"", "", "ACCEPT", "DECLINE"};
    void *v, *u;

    for (size_t it = 0; rv_map_next(&s->m->machines, &it, NULL, &v);) {
        struct rv_master_machine *m = v;

        rv_buf_printf(&s->text, "-> machine %s/%s %s", m->is.hostname, m->is.ip,
                      machine_words[m->is.mode]);
        put_away(s, &m->is.away);
        RV_LIST_EACH (&m->agents, node, tmp) {
            struct rv_master_agent *a = RV_LIST_ENTRY(node, struct rv_master_agent, on_machine);

            for (size_t i = 0; rv_map_next(&a->answers, &i, NULL, &u);) {
                const struct rv_master_answer *answer = u;

                rv_buf_printf(&s->text, " %s:%s%s", answer->framework_id, answers[answer->answer],
                              answer->offer ? "?" : "");
            }
        }
        rv_buf_putc(&s->text, '\n');
    }
}

static void show_operations(struct script *s, struct rv_master_agent *a) {
    RV_LIST_EACH (&a->operations, node, tmp) {
        const struct rv_master_operation *o =
            RV_LIST_ENTRY(node, struct rv_master_operation, on_agent);

        rv_buf_printf(&s->text, "->   operation #%d %s of %s%s\n", number_of(s, o->uuid),
                      rv_operation_state_name((int)o->state),
                      o->framework_id.v ? o->framework_id.v : "operator",
                      o->framework ? "" : ", nobody hears of it");
    }
}

static void show(struct script *s) {
    void *v, *u;

    for (size_t it = 0; rv_map_next(&s->m->agents, &it, NULL, &v);) {
        struct rv_master_agent *a = v;

        rv_buf_printf(&s->text, "-> agent %s%s%s used ", a->id.v, a->active ? "" : " inactive",
                      a->deactivation ? drain_words[a->deactivation->drain] : "");
        put_resources(s, &a->used);
        rv_buf_puts(&s->text, " offered ");
        put_resources(s, &a->offered);
        if (!rv_resources_eq(&a->total, &a->info.resources)) {
            rv_buf_puts(&s->text, " total ");
            put_resources(s, &a->total);
        }
        rv_buf_putc(&s->text, '\n');
        show_operations(s, a);
    }
    show_machines(s);
    for (size_t it = 0; rv_map_next(&s->m->frameworks, &it, NULL, &v);) {
        struct rv_master_framework *f = v;

        rv_buf_printf(&s->text, "-> framework %s%s%s used ", f->id.v, f->active ? "" : " inactive",
                      f->recovered ? " recovered" : "");
        put_resources(s, &f->used);
        rv_buf_putc(&s->text, '\n');
        for (size_t i = 0; rv_map_next(&f->tasks, &i, NULL, &u);)
            put_task(s, "task", u);
        for (size_t i = 0; rv_map_next(&f->unreachable, &i, NULL, &u);)
            put_task(s, "unreachable", u);
        for (size_t i = 0; i < f->completed.n; i++)
            put_task(s, "completed", f->completed.v[i]);
    }
    for (size_t i = 0; i < s->m->completed_frameworks.n; i++)
        rv_buf_printf(&s->text, "-> completed framework %s\n",
                      s->m->completed_frameworks.v[i]->id.v);
}

#endif
