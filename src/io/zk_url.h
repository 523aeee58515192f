/* zk://[user:password@]host[:port],host[:port]/path, as flags name a path in ZooKeeper. */
#ifndef RV_IO_ZK_URL_H
#define RV_IO_ZK_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/vec.h"

#define RV_ZK_DEFAULT_PORT 2181
#define RV_ZK_MAX_SERVERS 64

struct rv_zk_server {
    char *host; /* name or address, without brackets */
    uint16_t port;
};

struct rv_zk_url {
    RV_VEC(struct rv_zk_server) servers;
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
