/*
 * The maintenance schedule: machines that are to be away (DRAINING) and those that are (DOWN).
 * Modes change by operators' calls alone, never by time (maintenance.md). What always holds: the
 * registry has a change before it takes effect; an agent's record points to its machine in the
 * schedule, if host name and address are that machine's; no agent on a machine that is DOWN is
 * admitted, or offered. One change of the schedule is written at a time.
 *
 * Costs: a change costs its machines, and one look at all agents if machines are new.
 */
#include <stdlib.h>

#include "master/internal.h"

#define MAX_MACHINES 10000 /* in the schedule: one change of the registry must hold them */
#define DOWN_MESSAGE "Operator initiated 'Machine DOWN'"

static struct rv_master_machine *find(const struct rv_master *m, const char *hostname,
                                      const char *ip) {
    char key[RV_MACHINE_KEY_MAX];
    size_t n = rv_machine_key(hostname, ip, key);

    return n ? rv_map_get(&m->machines, rv_strn(key, n)) : NULL;
}

static const char *name_of(struct rv_master *m, const struct rv_machine *machine) {
    if (machine->hostname && machine->ip)
        return RV_MASTER_TEXT(m, "%s (%s)", machine->hostname, machine->ip);
    return machine->hostname ? machine->hostname : machine->ip;
}

static bool is_down(const struct rv_master_machine *machine) {
    return machine && machine->is.mode == RV_MACHINE_DOWN;
}

void rv_master_machine_free(void *record) {
    struct rv_master_machine *machine = record;

    free((char *)(uintptr_t)machine->is.hostname);
    free((char *)(uintptr_t)machine->is.ip);
    free(machine);
}

static struct rv_master_machine *add(struct rv_master *m, const struct rv_machine *is) {
    struct rv_master_machine *machine = rv_calloc(1, sizeof *machine);
    char key[RV_MACHINE_KEY_MAX];
    size_t n = rv_machine_key(is->hostname, is->ip, key);

    machine->is = *is;
    machine->is.hostname = rv_strdup(is->hostname);
    machine->is.ip = rv_strdup(is->ip);
    rv_list_init(&machine->agents);
    RV_ASSERT(n && !rv_map_put(&m->machines, rv_strn(key, n), machine));
    return machine;
}

void rv_master_machines_recover(struct rv_master *m, const struct rv_registry_snapshot *s) {
    for (size_t i = 0; i < s->n_machines; i++)
        add(m, &s->machines[i]);
}

/* --- agents on machines --- */

void rv_master_agent_place(struct rv_master *m, struct rv_master_agent *a) {
    struct rv_master_machine *machine = find(m, a->info.hostname, a->info.ip);

    if (machine == a->machine)
        return;
    rv_master_answers_clear(m, a);
    rv_list_remove(&a->on_machine);
    a->machine = machine;
    if (machine)
        rv_list_append(&machine->agents, &a->on_machine);
}

bool rv_master_is_down(const struct rv_master *m, const struct rv_agent_info *info) {
    return is_down(find(m, info->hostname, info->ip));
}

void rv_master_shut_down(struct rv_master *m, struct rv_master_agent *a) {
    struct rv_agent_event *event;

    if (!is_down(a->machine) || a->removing)
        return;
    event = rv_master_tell_agent(m, a, RV_AGENT_EVENT_SHUTDOWN);
    if (event)
        event->why = DOWN_MESSAGE;
    rv_master_agent_remove(m, a, RV_REMOVAL_DOWN, 0);
}

/* What frameworks were told of the agent's future is not true any more. */
static void renew(struct rv_master *m, struct rv_master_agent *a) {
    rv_master_answers_clear(m, a);
    rv_master_offers_drop_agent(m, a);
    rv_master_agent_refresh(m, a);
    rv_master_allocate_soon(m);
}

/* --- changes --- */

static bool same_away(const struct rv_unavailability *a, const struct rv_unavailability *b) {
    return a->start_ns == b->start_ns && a->has_duration == b->has_duration &&
           (!a->has_duration || a->duration_ns == b->duration_ns);
}

static void take_out(struct rv_master *m, struct rv_master_machine *machine) {
    char key[RV_MACHINE_KEY_MAX];
    size_t n = rv_machine_key(machine->is.hostname, machine->is.ip, key);

    RV_LIST_EACH (&machine->agents, node, tmp) {
        struct rv_master_agent *a = RV_LIST_ENTRY(node, struct rv_master_agent, on_machine);

        rv_list_remove(&a->on_machine);
        a->machine = NULL;
        renew(m, a);
    }
    rv_map_remove(&m->machines, rv_strn(key, n));
    rv_master_bury(m, rv_master_machine_free, machine);
}

static void change(struct rv_master *m, struct rv_master_machine *machine,
                   const struct rv_machine *to) {
    bool news = !same_away(&machine->is.away, &to->away) || machine->is.mode != to->mode;
    const char *hostname = machine->is.hostname, *ip = machine->is.ip;

    machine->is = *to;
    machine->is.hostname = hostname;
    machine->is.ip = ip;
    RV_LIST_EACH (&machine->agents, node, tmp) {
        struct rv_master_agent *a = RV_LIST_ENTRY(node, struct rv_master_agent, on_machine);

        if (news)
            renew(m, a);
        rv_master_shut_down(m, a);
    }
}

static void apply(struct rv_master *m, const struct rv_machine *v, size_t n) {
    bool added = false;
    void *a;

    for (size_t i = 0; i < n; i++) {
        struct rv_master_machine *machine = find(m, v[i].hostname, v[i].ip);

        if (v[i].mode == RV_MACHINE_UP)
            take_out(m, machine);
        else if (machine)
            change(m, machine, &v[i]);
        else
            added = add(m, &v[i]) != NULL;
    }
    for (size_t it = 0; added && rv_map_next(&m->agents, &it, NULL, &a);) {
        const struct rv_master_machine *before = ((struct rv_master_agent *)a)->machine;

        rv_master_agent_place(m, a);
        if (before != ((struct rv_master_agent *)a)->machine)
            renew(m, a);
    }
}

/* --- the calls --- */

/* A change of so many machines at most, to be filled and then written. */
static struct rv_master_pending *begin(const struct rv_master_event *e, size_t most) {
    struct rv_master_pending *p = rv_master_pending_new(RV_REGISTRY_PUT_MACHINES, NULL);

    p->request = e->request;
    p->machines = rv_calloc(most + 1, sizeof *p->machines);
    return p;
}

static void put(struct rv_master_pending *p, const struct rv_machine *machine,
                enum rv_machine_mode mode) {
    struct rv_machine *copy = &p->machines[p->n_machines++];

    *copy = *machine;
    copy->hostname = rv_strdup(machine->hostname);
    copy->ip = rv_strdup(machine->ip);
    copy->mode = mode;
}

static void finish(struct rv_master *m, struct rv_master_pending *p) {
    struct rv_registry_op *op = rv_master_write(m, RV_REGISTRY_PUT_MACHINES, p);

    op->machines = p->machines;
    op->n_machines = p->n_machines;
    m->changing_machines = true;
}

static const char *schedule_problem(struct rv_master *m, const struct rv_operator_call *call,
                                    const struct rv_map *new) {
    struct rv_str key;
    void *v;

    if (call->n_machines > MAX_MACHINES)
        return RV_MASTER_TEXT(m, "more than %d machines in the schedule", MAX_MACHINES);
    for (size_t it = 0; rv_map_next(&m->machines, &it, &key, &v);)
        if (is_down(v) && !rv_map_get(new, key))
            return RV_MASTER_TEXT(m, "machine %s is down and cannot leave the schedule",
                                  name_of(m, &((struct rv_master_machine *)v)->is));
    return NULL;
}

/* Those that are down stay so, with what is planned for them now. */
static void update_schedule(struct rv_master *m, const struct rv_master_event *e) {
    const struct rv_operator_call *call = e->operator_;
    struct rv_master_pending *p;
    struct rv_map new = {0};
    const char *problem;
    struct rv_str key;
    void *v;

    for (size_t i = 0; i < call->n_machines; i++) {
        char text[RV_MACHINE_KEY_MAX];
        size_t n = rv_machine_key(call->machines[i].hostname, call->machines[i].ip, text);

        RV_ASSERT(n);
        rv_map_put(&new, rv_strn(text, n), (void *)(uintptr_t)&call->machines[i]);
    }
    problem = schedule_problem(m, call, &new);
    if (problem) {
        rv_master_reply_text(m, e->request, 400, problem);
        rv_map_free(&new);
        return;
    }
    p = begin(e, call->n_machines + rv_map_count(&m->machines));
    for (size_t it = 0; rv_map_next(&m->machines, &it, &key, &v);)
        if (!rv_map_get(&new, key))
            put(p, &((struct rv_master_machine *)v)->is, RV_MACHINE_UP);
    for (size_t it = 0; rv_map_next(&new, &it, &key, &v);) {
        const struct rv_master_machine *old = rv_map_get(&m->machines, key);

        put(p, v, old ? old->is.mode : RV_MACHINE_DRAINING);
    }
    rv_map_free(&new);
    finish(m, p);
}

/* Of machines that are all in mode `from`, or the call is refused. */
static void change_mode(struct rv_master *m, const struct rv_master_event *e,
                        enum rv_machine_mode from, enum rv_machine_mode to) {
    const struct rv_operator_call *call = e->operator_;
    struct rv_master_pending *p;

    for (size_t i = 0; i < call->n_machines; i++) {
        const struct rv_machine *asked = &call->machines[i];
        const struct rv_master_machine *machine = find(m, asked->hostname, asked->ip);

        if (machine && machine->is.mode == from)
            continue;
        RV_MASTER_REPLY(m, e->request, 400, "machine %s %s", name_of(m, asked),
                        !machine                  ? "is not in the maintenance schedule"
                        : from == RV_MACHINE_DOWN ? "is not down"
                                                  : "is down already");
        return;
    }
    p = begin(e, call->n_machines);
    for (size_t i = 0; i < call->n_machines; i++)
        put(p, &find(m, call->machines[i].hostname, call->machines[i].ip)->is, to);
    finish(m, p);
}

void rv_master_maintenance_call(struct rv_master *m, const struct rv_master_event *e) {
    if (m->changing_machines)
        RV_MASTER_REPLY(m, e->request, 503,
                        "another change of the maintenance schedule is being written");
    else if (e->operator_->type == RV_OPERATOR_UPDATE_MAINTENANCE_SCHEDULE)
        update_schedule(m, e);
    else if (e->operator_->type == RV_OPERATOR_START_MAINTENANCE)
        change_mode(m, e, RV_MACHINE_DRAINING, RV_MACHINE_DOWN);
    else
        change_mode(m, e, RV_MACHINE_DOWN, RV_MACHINE_UP);
}

void rv_master_machines_done(struct rv_master *m, struct rv_master_pending *p, bool ok) {
    m->changing_machines = false;
    if (!ok) {
        RV_MASTER_REPLY(m, p->request, 503, "the registry could not be written");
        return;
    }
    apply(m, p->machines, p->n_machines);
    rv_master_reply_text(m, p->request, 200, NULL);
}

/* --- for views --- */

static int by_place(const void *a, const void *b) {
    const struct rv_machine *x = *(const struct rv_machine *const *)a,
                            *y = *(const struct rv_machine *const *)b;

    if (x->window != y->window)
        return x->window < y->window ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

const struct rv_machine **rv_master_schedule(const struct rv_master *m, size_t *n) {
    const struct rv_machine **out = rv_calloc(rv_map_count(&m->machines) + 1, sizeof *out);
    void *v;

    *n = 0;
    for (size_t it = 0; rv_map_next(&m->machines, &it, NULL, &v);)
        out[(*n)++] = &((struct rv_master_machine *)v)->is;
    qsort(out, *n, sizeof *out, by_place);
    return out;
}
