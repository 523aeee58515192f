/* The addresses of ZooKeeper's servers. Private to io. */
#ifndef RV_IO_ZK_NAMES_H
#define RV_IO_ZK_NAMES_H

#include <uv.h>

#include "base/address.h"

struct rv_zk_names;

/* Called once: "ip:port,ip:port" in byte order, the callee's; or NULL, where no name is known. */
typedef void (*rv_zk_names_found)(void *ctx, char *addresses);

/* *out is set before found is called, which may be within the call. servers must live until then.
 */
void rv_zk_names_find(uv_loop_t *loop, const struct rv_addresses *servers, rv_zk_names_found found,
                      void *ctx, struct rv_zk_names **out);
/* found is not called any more. NULL is fine. */
void rv_zk_names_forget(struct rv_zk_names *names);

#endif
