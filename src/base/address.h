/* host:port, as flags, URLs and redirects name who listens somewhere. */
#ifndef RV_BASE_ADDRESS_H
#define RV_BASE_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/vec.h"

struct rv_address {
    char *host; /* name or address, without brackets; owned */
    uint16_t port;
};
struct rv_addresses {
    RV_VEC(struct rv_address) list;
};

/* "host", "host:port", "[v6]", "[v6]:port": all of the n bytes. NULL, or what is wrong with it. */
const char *rv_address_parse(const char *s, size_t n, uint16_t default_port,
                             struct rv_address *out);
/* One after the other, with commas between: appended to out, which is to be freed in any case. */
const char *rv_addresses_parse(const char *s, size_t n, uint16_t default_port,
                               struct rv_addresses *out);
void rv_address_free(struct rv_address *a);
void rv_addresses_free(struct rv_addresses *a);

#endif
