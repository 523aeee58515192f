/*
 * Answers that tell what the agent's containers use: GET_CONTAINERS, /containers,
 * /monitor/statistics and /metrics. With many containers a forked child reads the figures and
 * writes the answer (snapshot.h), so that the loop does not stand still for it.
 */
#ifndef RV_DAEMON_AGENT_USAGE_H
#define RV_DAEMON_AGENT_USAGE_H

#include "daemon/agent_views.h"

void rv_agent_usage_get_containers(struct rv_agent_daemon *d, struct rv_http_request *req,
                                   const Reeve__V1__Agent__Call *call);
/* False: the path is another's. */
bool rv_agent_usage_handle(struct rv_agent_daemon *d, struct rv_http_request *req,
                           const char *path);

#endif
