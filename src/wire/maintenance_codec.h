/*
 * Machines, maintenance schedules, unavailability and draining between message trees and model
 * values; the rules of wire/convert.h hold. What is read is judged by itself: a machine has a name
 * or an address, an address is one, a duration is not negative, nothing is there twice
 * (maintenance.md, "Scheduling maintenance"). What the cluster makes of it is the master's to say.
 */
#ifndef RV_WIRE_MAINTENANCE_CODEC_H
#define RV_WIRE_MAINTENANCE_CODEC_H

#include "base/error.h"
#include "base/memory.h"
#include "model/maintenance.h"
#include "reeve/v1/maintenance.pb-c.h"
#include "reeve/v1/v1.pb-c.h"

Reeve__V1__Unavailability *rv_wire_unavailability_to(const struct rv_unavailability *u,
                                                     struct rv_arena *arena);

/* -RV_ERR_INVALID names the machine by its place below `path`. The machines are DRAINING. */
RV_MUST_USE int rv_wire_schedule_from(const Reeve__V1__Maintenance__Schedule *m,
                                      struct rv_arena *arena, struct rv_machine **out, size_t *n,
                                      struct rv_error *err);
RV_MUST_USE int rv_wire_machine_ids_from(Reeve__V1__MachineID *const *v, size_t n, const char *path,
                                         struct rv_arena *arena, struct rv_machine **out,
                                         struct rv_error *err);

/* The machines in order of window and place. */
Reeve__V1__Maintenance__Schedule *rv_wire_schedule_to(const struct rv_machine *const *v, size_t n,
                                                      struct rv_arena *arena);
Reeve__V1__MachineID *rv_wire_machine_id_to(const struct rv_machine *machine,
                                            struct rv_arena *arena);
/* Without window and place. */
RV_MUST_USE int rv_wire_machine_info_from(const Reeve__V1__MachineInfo *m, struct rv_machine *out,
                                          struct rv_error *err);
Reeve__V1__MachineInfo *rv_wire_machine_info_to(const struct rv_machine *machine,
                                                struct rv_arena *arena);

/* NULL if the agent is not drained. */
Reeve__V1__DrainInfo *rv_wire_drain_info_to(const struct rv_deactivation *d,
                                            struct rv_arena *arena);
void rv_wire_drain_info_from(const Reeve__V1__DrainInfo *m, struct rv_deactivation *out);
Reeve__V1__DrainConfig *rv_wire_drain_config_to(const struct rv_deactivation *d,
                                                struct rv_arena *arena);
void rv_wire_drain_config_from(const Reeve__V1__DrainConfig *m, struct rv_deactivation *out);

#endif
