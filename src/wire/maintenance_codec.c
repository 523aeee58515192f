/*
 * Maintenance and draining between trees and values. Costs: linear, and a look-up a machine to find
 * those that are there twice.
 */
#include "wire/maintenance_codec.h"

#include <arpa/inet.h>

#include "base/map.h"
#include "wire/convert.h"

static char *text(const char *s) {
    return (char *)(uintptr_t)s;
}

/* --- times --- */

static Reeve__V1__DurationInfo *duration_to(int64_t ns, struct rv_arena *arena) {
    Reeve__V1__DurationInfo *m = RV_WIRE_MAKE(arena, DurationInfo, duration_info);
    m->nanoseconds = ns;
    return m;
}

Reeve__V1__Unavailability *rv_wire_unavailability_to(const struct rv_unavailability *u,
                                                     struct rv_arena *arena) {
    Reeve__V1__Unavailability *m = RV_WIRE_MAKE(arena, Unavailability, unavailability);
    m->start = RV_WIRE_MAKE(arena, TimeInfo, time_info);
    m->start->nanoseconds = u->start_ns;
    m->duration = u->has_duration ? duration_to(u->duration_ns, arena) : NULL;
    return m;
}

static struct rv_unavailability unavailability_from(const Reeve__V1__Unavailability *m) {
    struct rv_unavailability u = {.start_ns = m->start->nanoseconds};

    if (m->duration) {
        u.has_duration = true;
        u.duration_ns = m->duration->nanoseconds;
    }
    return u;
}

/* --- machines --- */

/* Names become keys of the registry: nothing that could end one. */
static bool is_name(const char *s) {
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || *s == '/' || *s == 0x7f)
            return false;
    return true;
}

static bool is_address(const char *ip) {
    uint8_t bytes[sizeof(struct in6_addr)];

    return strlen(ip) <= RV_IP_MAX &&
           (inet_pton(AF_INET, ip, bytes) == 1 || inet_pton(AF_INET6, ip, bytes) == 1);
}

static const char *machine_problem(const Reeve__V1__MachineID *m) {
    bool has_name = m->hostname && *m->hostname, has_ip = m->ip && *m->ip;

    if (!has_name && !has_ip)
        return "a machine needs its 'hostname' or its 'ip', as its agent tells them";
    if (has_name && (strlen(m->hostname) > RV_HOSTNAME_MAX || !is_name(m->hostname)))
        return "'hostname' is no name of a machine";
    if (has_ip && !is_address(m->ip))
        return "'ip' is no address";
    return NULL;
}

/* Reads one, unless `seen` has it already. */
static int machine_from(const Reeve__V1__MachineID *m, struct rv_map *seen, struct rv_machine *out,
                        struct rv_error *err) {
    char key[RV_MACHINE_KEY_MAX];
    const char *problem = machine_problem(m);

    if (problem)
        return rv_error_set(err, RV_ERR_INVALID, "%s", problem);
    out->hostname = m->hostname;
    out->ip = m->ip;
    if (rv_map_put(seen, rv_strn(key, rv_machine_key(m->hostname, m->ip, key)), out))
        return rv_error_set(err, RV_ERR_INVALID, "machine '%s' is there twice", key);
    return 0;
}

static int window_from(const Reeve__V1__Maintenance__Window *m, uint32_t window,
                       struct rv_map *seen, struct rv_machine *out, struct rv_error *err) {
    struct rv_unavailability away = unavailability_from(m->unavailability);

    if (m->n_machine_ids == 0)
        return rv_error_set(err, RV_ERR_INVALID, "schedule.windows[%u]: it names no machines",
                            window);
    if (away.has_duration && away.duration_ns < 0)
        return rv_error_set(err, RV_ERR_INVALID,
                            "schedule.windows[%u].unavailability.duration is negative", window);
    for (size_t i = 0; i < m->n_machine_ids; i++) {
        out[i] = (struct rv_machine){
            .mode = RV_MACHINE_DRAINING, .away = away, .window = window, .place = (uint32_t)i};
        int r = machine_from(m->machine_ids[i], seen, &out[i], err);
        if (r < 0) {
            rv_error_prefix(err, "schedule.windows[%u].machine_ids[%zu]", window, i);
            return r;
        }
    }
    return 0;
}

int rv_wire_schedule_from(const Reeve__V1__Maintenance__Schedule *m, struct rv_arena *arena,
                          struct rv_machine **out, size_t *n, struct rv_error *err) {
    struct rv_map seen = {0};
    size_t count = 0, at = 0;
    int r = 0;

    for (size_t i = 0; i < m->n_windows; i++)
        count += m->windows[i]->n_machine_ids;
    struct rv_machine *v = RV_ARENA_ARRAY(arena, struct rv_machine, count);
    for (size_t i = 0; i < m->n_windows && !r; i++) {
        r = window_from(m->windows[i], (uint32_t)i, &seen, v + at, err);
        at += m->windows[i]->n_machine_ids;
    }
    rv_map_free(&seen);
    if (r < 0)
        return r;
    *out = v;
    *n = count;
    return 0;
}

int rv_wire_machine_ids_from(Reeve__V1__MachineID *const *v, size_t n, const char *path,
                             struct rv_arena *arena, struct rv_machine **out,
                             struct rv_error *err) {
    struct rv_machine *machines = RV_ARENA_ARRAY(arena, struct rv_machine, n);
    struct rv_map seen = {0};
    int r = 0;

    if (n == 0)
        r = rv_error_set(err, RV_ERR_INVALID, "%s: it names no machines", path);
    for (size_t i = 0; i < n && !r; i++)
        if ((r = machine_from(v[i], &seen, &machines[i], err)))
            rv_error_prefix(err, "%s[%zu]", path, i);
    rv_map_free(&seen);
    if (!r)
        *out = machines;
    return r;
}

Reeve__V1__MachineID *rv_wire_machine_id_to(const struct rv_machine *machine,
                                            struct rv_arena *arena) {
    Reeve__V1__MachineID *m = RV_WIRE_MAKE(arena, MachineID, machine_id);
    m->hostname = text(machine->hostname);
    m->ip = text(machine->ip);
    return m;
}

Reeve__V1__Maintenance__Schedule *rv_wire_schedule_to(const struct rv_machine *const *v, size_t n,
                                                      struct rv_arena *arena) {
    Reeve__V1__Maintenance__Schedule *m =
        RV_WIRE_MAKE(arena, Maintenance__Schedule, maintenance__schedule);
    Reeve__V1__Maintenance__Window *window = NULL;

    m->windows = RV_ARENA_ARRAY(arena, Reeve__V1__Maintenance__Window *, n);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || v[i]->window != v[i - 1]->window) {
            window = RV_WIRE_MAKE(arena, Maintenance__Window, maintenance__window);
            window->unavailability = rv_wire_unavailability_to(&v[i]->away, arena);
            /* Room for all that may follow in it, taken once for all windows. */
            window->machine_ids = m->n_windows ? m->windows[m->n_windows - 1]->machine_ids +
                                                     m->windows[m->n_windows - 1]->n_machine_ids
                                               : RV_ARENA_ARRAY(arena, Reeve__V1__MachineID *, n);
            m->windows[m->n_windows++] = window;
        }
        window->machine_ids[window->n_machine_ids++] = rv_wire_machine_id_to(v[i], arena);
    }
    return m;
}

int rv_wire_machine_info_from(const Reeve__V1__MachineInfo *m, struct rv_machine *out,
                              struct rv_error *err) {
    const char *problem = machine_problem(m->id);

    if (problem || !m->has_mode || !m->unavailability)
        return rv_error_set(err, RV_ERR_INVALID, "%s",
                            problem ? problem : "'mode' or 'unavailability' is missing");
    *out = (struct rv_machine){.hostname = m->id->hostname,
                               .ip = m->id->ip,
                               .mode = (enum rv_machine_mode)m->mode,
                               .away = unavailability_from(m->unavailability)};
    return 0;
}

Reeve__V1__MachineInfo *rv_wire_machine_info_to(const struct rv_machine *machine,
                                                struct rv_arena *arena) {
    Reeve__V1__MachineInfo *m = RV_WIRE_MAKE(arena, MachineInfo, machine_info);
    m->id = rv_wire_machine_id_to(machine, arena);
    m->has_mode = true;
    m->mode = (Reeve__V1__MachineInfo__Mode)machine->mode;
    m->unavailability = rv_wire_unavailability_to(&machine->away, arena);
    return m;
}

/* --- draining --- */

Reeve__V1__DrainConfig *rv_wire_drain_config_to(const struct rv_deactivation *d,
                                                struct rv_arena *arena) {
    Reeve__V1__DrainConfig *m = RV_WIRE_MAKE(arena, DrainConfig, drain_config);
    m->max_grace_period = d->has_max_grace ? duration_to(d->max_grace_ns, arena) : NULL;
    m->has_mark_gone = true;
    m->mark_gone = d->mark_gone;
    return m;
}

void rv_wire_drain_config_from(const Reeve__V1__DrainConfig *m, struct rv_deactivation *out) {
    out->has_max_grace = m->max_grace_period != NULL;
    out->max_grace_ns = m->max_grace_period ? m->max_grace_period->nanoseconds : 0;
    out->mark_gone = m->has_mark_gone && m->mark_gone;
}

Reeve__V1__DrainInfo *rv_wire_drain_info_to(const struct rv_deactivation *d,
                                            struct rv_arena *arena) {
    if (d->drain == RV_DRAIN_UNKNOWN)
        return NULL;
    Reeve__V1__DrainInfo *m = RV_WIRE_MAKE(arena, DrainInfo, drain_info);
    m->state = (Reeve__V1__DrainState)d->drain;
    m->config = rv_wire_drain_config_to(d, arena);
    return m;
}

void rv_wire_drain_info_from(const Reeve__V1__DrainInfo *m, struct rv_deactivation *out) {
    rv_wire_drain_config_from(m->config, out);
    out->drain = (enum rv_drain_state)m->state;
}
