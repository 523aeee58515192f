/* What one round of poll(2) waits for: each part adds what is its own, and gets all of it after. */
#ifndef RV_EXECUTOR_POLLFDS_H
#define RV_EXECUTOR_POLLFDS_H

#include <poll.h>

#include "base/vec.h"
#include "executor/http.h"

struct rv_pollfds {
    RV_VEC(struct pollfd) v;
};

static inline void rv_pollfds_add(struct rv_pollfds *fds, const struct rv_http *h) {
    struct pollfd p = {.fd = h->fd, .events = rv_http_events(h)};

    if (h->fd >= 0)
        rv_vec_push(&fds->v, p);
}

#endif
