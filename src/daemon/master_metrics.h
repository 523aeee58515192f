/* What the master measures. */
#ifndef RV_DAEMON_MASTER_METRICS_H
#define RV_DAEMON_MASTER_METRICS_H

#include "daemon/master_daemon.h"
#include "daemon/metrics.h"

/* Appends all of it; ctx is the struct rv_master_daemon. Walks over tasks, agents and frameworks
 * once. */
void rv_master_measure(void *ctx, struct rv_metrics *m);
/* So many that the loop should not wait for them. */
bool rv_master_has_many_metrics(const struct rv_master_daemon *d);

#endif
