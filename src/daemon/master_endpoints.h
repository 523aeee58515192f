/* Between the files of the master's endpoints. */
#ifndef RV_DAEMON_MASTER_ENDPOINTS_H
#define RV_DAEMON_MASTER_ENDPOINTS_H

#include "daemon/common.h"
#include "daemon/master_daemon.h"

/* The master as the shared answers see it. */
struct rv_common rv_master_common(struct rv_master_daemon *d);

/* Sets weights, and answers the request once the registry has them. The tree is needed for this
 * call only. */
void rv_master_update_weights(struct rv_master_daemon *d, struct rv_http_request *req,
                              enum rv_encoding encoding, Reeve__V1__WeightInfo *const *v, size_t n);

#endif
