/* ZooKeeper's client library, loaded when it is first needed. Private to io. */
#ifndef RV_IO_ZK_LIB_H
#define RV_IO_ZK_LIB_H

#include <zookeeper/zookeeper.h>

#include "base/error.h"

#define RV_ZOO_FUNCTIONS(X)                                                                        \
    X(zookeeper_init2)                                                                             \
    X(zookeeper_close)                                                                             \
    X(zookeeper_interest)                                                                          \
    X(zookeeper_process)                                                                           \
    X(zoo_add_auth)                                                                                \
    X(zoo_set_servers)                                                                             \
    X(zoo_set_servers_resolution_delay)                                                            \
    X(zoo_set_debug_level)                                                                         \
    X(zoo_recv_timeout)                                                                            \
    X(zoo_client_id)                                                                               \
    X(zoo_aget)                                                                                    \
    X(zoo_aexists)                                                                                 \
    X(zoo_awget_children)                                                                          \
    X(zoo_async)                                                                                   \
    X(zoo_acreate)                                                                                 \
    X(zoo_adelete)                                                                                 \
    X(zoo_amulti)                                                                                  \
    X(zoo_create_op_init)                                                                          \
    X(zoo_set_op_init)                                                                             \
    X(zoo_delete_op_init)                                                                          \
    X(zoo_check_op_init)                                                                           \
    X(zerror)

struct rv_zoo {
#define X(name) __typeof__(&name) name;
    RV_ZOO_FUNCTIONS(X)
#undef X
};

/* What the library has as variables: readiness of its socket, states of a session, a watch's event
 * that is of the session. The latter two are the protocol's numbers. */
enum {
    RV_ZOO_WRITE = 1,
    RV_ZOO_READ = 2,
    RV_ZOO_CONNECTED = 3,
    RV_ZOO_EXPIRED = -112,
    RV_ZOO_AUTH_FAILED = -113,
    RV_ZOO_SESSION = -1
};

/* -RV_ERR_UNSUPPORTED, with the package that is missing. */
RV_MUST_USE int rv_zoo_load(const struct rv_zoo **out, struct rv_error *err);
/* For zookeeper_init2: to our log, as debugging; what matters is logged by who uses the session. */
void rv_zoo_log(const char *message);

#endif
