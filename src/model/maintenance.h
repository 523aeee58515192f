/*
 * What operators plan for machines and ask of agents. Times are wall clock, in nanoseconds, as they
 * came: they are shown again, and nothing here happens by itself when they are reached.
 */
#ifndef RV_MODEL_MAINTENANCE_H
#define RV_MODEL_MAINTENANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "model/enums.h"

/* From when, and for how long a machine may be away. */
struct rv_unavailability {
    int64_t start_ns;
    bool has_duration;
    int64_t duration_ns;
};

/* A machine in the maintenance schedule. Who has the strings is said where it stands. */
struct rv_machine {
    const char *hostname, *ip; /* as given; NULL: not given */
    enum rv_machine_mode mode;
    struct rv_unavailability away;
    uint32_t window, place; /* in the schedule: which window, and where in it */
};

/* Longest that hostname and ip may be. */
#define RV_HOSTNAME_MAX 255
#define RV_IP_MAX 45
#define RV_MACHINE_KEY_MAX (RV_HOSTNAME_MAX + RV_IP_MAX + 2)

/* The key of a machine, NUL-terminated; its length without that, 0: one of them is too long. A
 * host's name does not tell upper from lower case; what is not given is empty. */
size_t rv_machine_key(const char *hostname, const char *ip, char out[RV_MACHINE_KEY_MAX]);

/* An agent that is offered to nobody until it is reactivated. */
struct rv_deactivation {
    enum rv_drain_state drain; /* UNKNOWN: it is not drained, only deactivated */
    bool has_max_grace;        /* of the tasks that are killed */
    int64_t max_grace_ns;
    bool mark_gone;   /* once it is drained */
    int64_t since_ns; /* when draining began; 0: it has not */
};

#endif
