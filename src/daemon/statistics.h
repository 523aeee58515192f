/*
 * What containers use, as ResourceStatistics of the v1 API and as Prometheus metrics. This is the
 * one place where figures of the kernel get names that others read.
 */
#ifndef RV_DAEMON_STATISTICS_H
#define RV_DAEMON_STATISTICS_H

#include "daemon/agent_daemon.h"
#include "reeve/v1/agent.pb-c.h"

/* NULL: nothing of it runs. resources: what it may use. */
Reeve__V1__ResourceStatistics *rv_statistics_of(const struct rv_agent_daemon *d, const char *id,
                                                const struct rv_resources *resources,
                                                struct rv_arena *arena);

/* Prometheus text of all of them, each figure a family with the container, its framework and its
 * executor as labels. They are made by rv_statistics_of. */
void rv_statistics_prometheus(const Reeve__V1__Agent__Response__GetContainers *all,
                              struct rv_buf *out);

#endif
