/* zk://[user:password@]host[:port],host[:port]/path, as flags name a path in ZooKeeper. */
#ifndef RV_IO_ZK_URL_H
#define RV_IO_ZK_URL_H

#include <stdbool.h>

#include "base/address.h"

#define RV_ZK_DEFAULT_PORT 2181

struct rv_zk_url {
    struct rv_addresses servers;
    char *path;        /* absolute, without an end slash, never "/" alone */
    char *credentials; /* "user:password", or NULL */
};

bool rv_zk_url_is(const char *text);
RV_MUST_USE int rv_zk_url_parse(const char *text, struct rv_zk_url *out, struct rv_error *err);
void rv_zk_url_copy(struct rv_zk_url *to, const struct rv_zk_url *from);
void rv_zk_url_free(struct rv_zk_url *url);
/* The same text without its password, to be shown; the caller frees. */
char *rv_zk_url_hide(const char *text);

#endif
