/*
 * Which TCP ports processes listen on, by control group: asks the kernel for all listening sockets
 * of the machine's network, then looks who has them open. Blocks, some 2 us an open descriptor of
 * the processes looked at: not for the loop's thread.
 */
#ifndef RV_CONTAINERIZER_PORTS_H
#define RV_CONTAINERIZER_PORTS_H

#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "model/resources.h"

/* Zero-initialised is empty. */
struct rv_listeners {
    struct rv_map ports; /* inode of a socket, 8 bytes -> its port */
};

/* Those within the ranges; NULL: all. Networks of containers are not seen. */
RV_MUST_USE int rv_listeners_find(struct rv_listeners *out, const struct rv_ranges *only,
                                  struct rv_error *err);
void rv_listeners_free(struct rv_listeners *l);
/* Adds the ports that the processes of the group listen on: of cgroup.procs in the folder and in
 * those below. */
void rv_listeners_of(const struct rv_listeners *l, const char *group, struct rv_ranges *out);

#endif
