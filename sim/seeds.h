/* Seeds that have failed once: they run first. Say what each found. */
#ifndef SIM_SEEDS_H
#define SIM_SEEDS_H

#include <stdint.h>

static const uint64_t sim_seeds[] = {
    1,
};

#endif
