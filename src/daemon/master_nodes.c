/*
 * What operators do with agents and machines, by POST /api/v1 and by the endpoints from before it:
 * a message becomes a call of the core, and the core's records become messages. Trees live in the
 * daemon's arena.
 */
#include <stdlib.h>

#include "daemon/master_endpoints.h"
#include "wire/maintenance_codec.h"

void rv_master_operate(struct rv_master_daemon *d, struct rv_http_request *req,
                       const struct rv_operator_call *call) {
    struct rv_master_event event = {
        .kind = RV_MASTER_OPERATOR_CALL,
        .request = rv_master_daemon_park(d, req, RV_ENC_JSON, false),
        .operator_ = call,
    };

    rv_master_daemon_step(d, &event);
}

/* --- agents --- */

void rv_master_change_agent(struct rv_master_daemon *d, struct rv_http_request *req,
                            enum rv_operator_call_type type, const Reeve__V1__AgentID *id) {
    struct rv_operator_call call = {.type = type, .agent_id = {id->value}};

    rv_master_operate(d, req, &call);
}

void rv_master_drain(struct rv_master_daemon *d, struct rv_http_request *req,
                     const Reeve__V1__Master__Call__DrainAgent *m) {
    struct rv_deactivation drain = {.mark_gone = m->has_mark_gone && m->mark_gone};
    struct rv_operator_call call = {
        .type = RV_OPERATOR_DRAIN_AGENT, .agent_id = {m->agent_id->value}, .drain = &drain};
    const Reeve__V1__Duration *grace = m->max_grace_period;
    int64_t ns = 0;

    if (grace) {
        drain.has_max_grace = true;
        if (__builtin_mul_overflow(grace->has_seconds ? grace->seconds : 0, INT64_C(1000000000),
                                   &ns) ||
            __builtin_add_overflow(ns, grace->has_nanos ? grace->nanos : 0, &ns) || ns < 0) {
            rv_common_bad_request(&d->shell, req,
                                  "drain_agent.max_grace_period: is negative or too long");
            return;
        }
        drain.max_grace_ns = ns;
    }
    rv_master_operate(d, req, &call);
}

/* --- maintenance --- */

void rv_master_update_schedule(struct rv_master_daemon *d, struct rv_http_request *req,
                               const Reeve__V1__Maintenance__Schedule *m) {
    struct rv_operator_call call = {.type = RV_OPERATOR_UPDATE_MAINTENANCE_SCHEDULE};
    struct rv_machine *machines;
    struct rv_error err;

    if (rv_wire_schedule_from(m, &d->arena, &machines, &call.n_machines, &err)) {
        rv_shell_bad_request(&d->shell, req, &err);
        return;
    }
    call.machines = machines;
    rv_master_operate(d, req, &call);
}

void rv_master_change_machines(struct rv_master_daemon *d, struct rv_http_request *req,
                               enum rv_operator_call_type type, Reeve__V1__MachineID *const *v,
                               size_t n) {
    struct rv_operator_call call = {.type = type, .n_machines = n};
    struct rv_machine *machines;
    struct rv_error err;

    if (rv_wire_machine_ids_from(v, n, "machines", &d->arena, &machines, &err)) {
        rv_shell_bad_request(&d->shell, req, &err);
        return;
    }
    call.machines = machines;
    rv_master_operate(d, req, &call);
}

ProtobufCMessage *rv_master_body_as(struct rv_master_daemon *d, struct rv_http_request *req,
                                    const char *name, const ProtobufCMessageDescriptor *type) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    struct rv_str body = rv_http_body(req);
    ProtobufCMessage *tree;
    struct rv_error err;

    rv_buf_printf(&text, "{\"%s\":", name);
    rv_buf_append(&text, body.s, body.n);
    rv_buf_putc(&text, '}');
    if (!rv_wire_decode(type, RV_ENC_JSON, rv_buf_str(&text), &d->shell.limits, &d->arena, &tree,
                        &err))
        return tree;
    rv_shell_bad_request(&d->shell, req, &err);
    return NULL;
}

static void post_machines(struct rv_master_daemon *d, struct rv_http_request *req,
                          enum rv_operator_call_type type) {
    const Reeve__V1__Master__Call__StartMaintenance *m;

    if (!rv_shell_is_post(&d->shell, req))
        return;
    m = (void *)rv_master_body_as(d, req, "machines",
                                  &reeve__v1__master__call__start_maintenance__descriptor);
    if (m)
        rv_master_change_machines(d, req, type, m->machines, m->n_machines);
}

static void post_schedule(struct rv_master_daemon *d, struct rv_http_request *req) {
    const Reeve__V1__Master__Call__UpdateMaintenanceSchedule *m = (void *)rv_master_body_as(
        d, req, "schedule", &reeve__v1__master__call__update_maintenance_schedule__descriptor);

    if (m)
        rv_master_update_schedule(d, req, m->schedule);
}

bool rv_master_maintenance_handle(struct rv_master_daemon *d, struct rv_http_request *req,
                                  const char *path) {
    if (rv_streq(path, "/machine/down"))
        post_machines(d, req, RV_OPERATOR_START_MAINTENANCE);
    else if (rv_streq(path, "/machine/up"))
        post_machines(d, req, RV_OPERATOR_STOP_MAINTENANCE);
    else if (rv_streq(path, "/maintenance/schedule") && rv_streq(rv_http_method(req), "POST"))
        post_schedule(d, req);
    else
        return false;
    return true;
}

/* --- views --- */

Reeve__V1__Maintenance__Schedule *rv_master_view_schedule(const struct rv_master *m,
                                                          struct rv_arena *arena) {
    size_t n;
    const struct rv_machine **v = rv_master_schedule(m, &n);
    Reeve__V1__Maintenance__Schedule *schedule = rv_wire_schedule_to(v, n, arena);

    free(v);
    return schedule;
}

static size_t count_answers(const struct rv_master_machine *machine) {
    size_t n = 0;

    RV_LIST_EACH (&machine->agents, node, next)
        n += rv_map_count(&RV_LIST_ENTRY(node, struct rv_master_agent, on_machine)->answers);
    return n;
}

static Reeve__V1__Allocator__InverseOfferStatus *answer_to(const struct rv_master_answer *answer,
                                                           struct rv_arena *arena) {
    Reeve__V1__Allocator__InverseOfferStatus *m =
        RV_WIRE_MAKE(arena, Allocator__InverseOfferStatus, allocator__inverse_offer_status);
    m->status = (Reeve__V1__Allocator__InverseOfferStatus__Status)answer->answer;
    m->framework_id =
        rv_wire_framework_id_to((struct rv_framework_id){answer->framework_id}, arena);
    m->timestamp = RV_WIRE_MAKE(arena, TimeInfo, time_info);
    m->timestamp->nanoseconds = answer->answered_ns;
    return m;
}

/* With what frameworks have said; those that have not answered are not shown. */
static Reeve__V1__Maintenance__ClusterStatus__DrainingMachine *
draining_to(const struct rv_master_machine *machine, struct rv_arena *arena) {
    Reeve__V1__Maintenance__ClusterStatus__DrainingMachine *m =
        RV_WIRE_MAKE(arena, Maintenance__ClusterStatus__DrainingMachine,
                     maintenance__cluster_status__draining_machine);
    void *v;

    m->id = rv_wire_machine_id_to(&machine->is, arena);
    m->statuses =
        RV_ARENA_ARRAY(arena, Reeve__V1__Allocator__InverseOfferStatus *, count_answers(machine));
    RV_LIST_EACH (&machine->agents, node, next) {
        const struct rv_master_agent *a = RV_LIST_ENTRY(node, struct rv_master_agent, on_machine);

        for (size_t it = 0; rv_map_next(&a->answers, &it, NULL, &v);)
            if (((const struct rv_master_answer *)v)->answer != RV_INVERSE_UNKNOWN)
                m->statuses[m->n_statuses++] = answer_to(v, arena);
    }
    return m;
}

Reeve__V1__Maintenance__ClusterStatus *rv_master_view_maintenance(const struct rv_master *master,
                                                                  struct rv_arena *arena) {
    Reeve__V1__Maintenance__ClusterStatus *m =
        RV_WIRE_MAKE(arena, Maintenance__ClusterStatus, maintenance__cluster_status);
    size_t n = rv_map_count(&master->machines);
    void *v;

    m->draining_machines =
        RV_ARENA_ARRAY(arena, Reeve__V1__Maintenance__ClusterStatus__DrainingMachine *, n);
    m->down_machines = RV_ARENA_ARRAY(arena, Reeve__V1__MachineID *, n);
    for (size_t it = 0; rv_map_next(&master->machines, &it, NULL, &v);) {
        const struct rv_master_machine *machine = v;

        if (machine->is.mode == RV_MACHINE_DOWN)
            m->down_machines[m->n_down_machines++] = rv_wire_machine_id_to(&machine->is, arena);
        else
            m->draining_machines[m->n_draining_machines++] = draining_to(machine, arena);
    }
    return m;
}
