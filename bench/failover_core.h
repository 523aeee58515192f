#ifndef RV_BENCH_FAILOVER_CORE_H
#define RV_BENCH_FAILOVER_CORE_H

#include <stddef.h>

/* Prints failover.NAME, .decode and .longest: see failover_core.c. */
void failover_core(const char *name, size_t agents, size_t tasks);

#endif
