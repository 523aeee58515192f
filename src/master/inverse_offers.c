/*
 * Inverse offers: frameworks that use, or are offered, something of an agent whose machine is in
 * the schedule are asked to be gone in time. What they say is shown to operators and changes
 * nothing else. What always holds: a framework has at most one for an agent that waits for its
 * answer; that one outlives neither its connection nor the agent's, nor what is planned.
 *
 * They are made in the batch of the allocator. Costs: a batch looks at the tasks, executors and
 * offers of agents in the schedule.
 */
#include <stdlib.h>

#include "master/internal.h"

/* --- records --- */

void rv_master_inverse_offer_free(void *record) {
    struct rv_master_inverse_offer *o = record;

    free((char *)(uintptr_t)o->id.v);
    free(o);
}

static void free_answer(struct rv_master_answer *answer) {
    free(answer->framework_id);
    free(answer);
}

void rv_master_answers_free(struct rv_master_agent *a) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->answers, &it, NULL, &v);)
        free_answer(v);
    rv_map_free(&a->answers);
}

static struct rv_master_answer *answer_of(const struct rv_master_inverse_offer *o) {
    struct rv_master_answer *answer = rv_map_gets(&o->agent->answers, o->framework->id.v);

    RV_ASSERT(answer && answer->offer == o);
    return answer;
}

static void take(struct rv_master *m, struct rv_master_inverse_offer *o) {
    rv_timer_cancel(&m->timers, &o->timer);
    answer_of(o)->offer = NULL;
    rv_list_remove(&o->on_framework);
    rv_map_remove(&m->inverse_offers, rv_str(o->id.v));
    rv_master_bury(m, rv_master_inverse_offer_free, o);
}

static void drop(struct rv_master *m, struct rv_master_inverse_offer *o, bool tell) {
    struct rv_scheduler_event *event =
        tell ? rv_master_tell(m, o->framework, RV_EVENT_RESCIND_INVERSE_OFFER) : NULL;

    if (event)
        event->rescind = o->id;
    take(m, o);
}

void rv_master_inverse_offer_rescind(struct rv_master *m, struct rv_master_inverse_offer *o) {
    drop(m, o, true);
}

void rv_master_inverse_offers_drop_agent(struct rv_master *m, struct rv_master_agent *a) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->answers, &it, NULL, &v);)
        if (((struct rv_master_answer *)v)->offer)
            rv_master_inverse_offer_rescind(m, ((struct rv_master_answer *)v)->offer);
}

void rv_master_inverse_offers_drop_framework(struct rv_master *m, struct rv_master_framework *f,
                                             bool tell) {
    RV_LIST_EACH (&f->inverse_offers, node, tmp)
        drop(m, RV_LIST_ENTRY(node, struct rv_master_inverse_offer, on_framework), tell);
    f->revives++;
}

void rv_master_answers_clear(struct rv_master *m, struct rv_master_agent *a) {
    rv_master_inverse_offers_drop_agent(m, a);
    rv_master_answers_free(a);
}

void rv_master_answers_forget(struct rv_master *m, const struct rv_master_framework *f) {
    void *v;

    for (size_t it = 0; rv_map_count(&m->machines) && rv_map_next(&m->agents, &it, NULL, &v);) {
        struct rv_master_answer *answer =
            rv_map_remove(&((struct rv_master_agent *)v)->answers, rv_str(f->id.v));

        if (answer)
            free_answer(answer);
    }
}

/* --- making --- */

struct asking {
    struct rv_master *m;
    RV_VEC(struct rv_master_framework *) frameworks; /* that are asked something, in that order */
};

static void make(struct asking *asking, struct rv_master_framework *f, struct rv_master_agent *a,
                 struct rv_master_answer *answer) {
    struct rv_master *m = asking->m;
    struct rv_master_inverse_offer *o = rv_calloc(1, sizeof *o);

    o->id.v = rv_master_new_offer_id(m);
    o->framework = f;
    o->agent = a;
    o->timer.kind = RV_TIMER_INVERSE_OFFER;
    if (m->config.offer_timeout_ms > 0)
        rv_timer_set(&m->timers, &o->timer, m->now_ms + m->config.offer_timeout_ms);
    rv_map_put(&m->inverse_offers, rv_str(o->id.v), o);
    rv_list_append(&f->inverse_offers, &o->on_framework);
    answer->offer = o;
    if (f->asked.n == 0)
        rv_vec_push(&asking->frameworks, f);
    rv_vec_push(&f->asked, o);
}

static void ask(struct asking *asking, struct rv_master_framework *f, struct rv_master_agent *a) {
    struct rv_master_answer *answer;

    if (f->visit == asking->m->visits)
        return;
    f->visit = asking->m->visits;
    if (!f->active)
        return;
    answer = rv_map_gets(&a->answers, f->id.v);
    if (!answer) {
        answer = rv_calloc(1, sizeof *answer);
        answer->framework_id = rv_strdup(f->id.v);
        answer->answer = RV_INVERSE_UNKNOWN;
        rv_map_put(&a->answers, rv_str(f->id.v), answer);
    }
    if (!answer->offer &&
        (answer->refuse_until_ms <= asking->m->now_ms || answer->revives != f->revives))
        make(asking, f, a, answer);
}

static void ask_users(struct asking *asking, struct rv_master_agent *a) {
    asking->m->visits++;
    RV_LIST_EACH (&a->tasks, node, tmp)
        ask(asking, RV_LIST_ENTRY(node, struct rv_master_task, on_agent)->framework, a);
    RV_LIST_EACH (&a->executors, node, tmp)
        ask(asking, RV_LIST_ENTRY(node, struct rv_master_executor, on_agent)->framework, a);
}

static void ask_offered(struct asking *asking, struct rv_master_agent *a) {
    asking->m->visits++;
    RV_LIST_EACH (&a->offers, node, tmp)
        ask(asking, RV_LIST_ENTRY(node, struct rv_master_offer, on_agent)->framework, a);
}

static void send(struct rv_master *m, struct rv_master_framework *f) {
    for (size_t sent = 0; sent < f->asked.n;) {
        size_t n = RV_MIN(f->asked.n - sent, m->config.max_offers_per_event);
        struct rv_scheduler_event *event = rv_master_tell(m, f, RV_EVENT_INVERSE_OFFERS);
        struct rv_inverse_offer_view *views =
            RV_ARENA_ARRAY(&m->out->arena, struct rv_inverse_offer_view, n);

        RV_ASSERT(event);
        for (size_t i = 0; i < n; i++) {
            const struct rv_master_inverse_offer *o = f->asked.v[sent + i];

            views[i] = (struct rv_inverse_offer_view){o->id, f->id, &o->agent->info,
                                                      &o->agent->machine->is.away};
        }
        event->inverse_offers.offers = views;
        event->inverse_offers.n = n;
        sent += n;
    }
    rv_vec_free(&f->asked);
}

static void each_leaving(struct asking *asking,
                         void (*each)(struct asking *asking, struct rv_master_agent *a)) {
    void *v;

    for (size_t it = 0; rv_map_next(&asking->m->agents, &it, NULL, &v);) {
        struct rv_master_agent *a = v;

        if (a->machine && a->active)
            each(asking, a);
    }
}

/* What a framework uses comes before what it was only offered. */
void rv_master_inverse_offers_due(struct rv_master *m) {
    struct asking asking = {.m = m};

    if (rv_map_count(&m->machines) == 0)
        return;
    each_leaving(&asking, ask_users);
    each_leaving(&asking, ask_offered);
    for (size_t i = 0; i < asking.frameworks.n; i++)
        send(m, asking.frameworks.v[i]);
    rv_vec_free(&asking.frameworks);
}

/* --- answers --- */

void rv_master_inverse_answer(struct rv_master *m, struct rv_master_framework *f,
                              const struct rv_scheduler_call *call) {
    bool accepts = call->type == RV_CALL_ACCEPT_INVERSE_OFFERS;

    for (size_t i = 0; i < call->accept.n_offer_ids; i++) {
        const char *id = call->accept.offer_ids[i].v;
        struct rv_master_inverse_offer *o = rv_map_gets(&m->inverse_offers, id);
        struct rv_master_answer *answer;

        if (!o || o->framework != f) {
            m->counters.dropped_messages++;
            RV_MASTER_WARN(m, "framework %s answers inverse offer %s, which it does not have",
                           f->id.v, id);
            continue;
        }
        answer = answer_of(o);
        answer->answer = accepts ? RV_INVERSE_ACCEPT : RV_INVERSE_DECLINE;
        answer->answered_ns = m->wall_ns;
        answer->refuse_until_ms = m->now_ms + RV_MAX(call->accept.refuse_ms, INT64_C(0));
        answer->revives = f->revives;
        take(m, o);
    }
}
