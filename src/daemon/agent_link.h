/*
 * An agent's link to its master: the stream of events that the registration opens, and calls in
 * order beside it. At rest it is one connection.
 */
#ifndef RV_DAEMON_AGENT_LINK_H
#define RV_DAEMON_AGENT_LINK_H

#include <uv.h>

#include "base/address.h"
#include "model/channel.h"

struct rv_agent_link_io;

/* Called from the loop, never from within a call below. */
struct rv_agent_link_handler {
    void (*on_event)(void *ctx, const struct rv_agent_event *event);
    void (*on_lost)(void *ctx); /* the stream ended, or could not be opened */
    /* A registration or a call was not accepted. location: of a redirect, or NULL. */
    void (*on_refused)(void *ctx, int status, const char *location);
};

/* local_ip: the address to connect from, NULL for the system's choice. */
struct rv_agent_link_io *rv_agent_link_new(uv_loop_t *loop, const char *local_ip,
                                           const struct rv_agent_link_handler *handler, void *ctx);
struct rv_agent_link_io *rv_agent_link_free(struct rv_agent_link_io *l);
/* Which master it leads to from now on; NULL: to none. Disconnects. Not from within a callback.
 * Needed before anything below. */
void rv_agent_link_aim(struct rv_agent_link_io *l, const struct rv_address *master);
/* Opens a new stream with this call; an older stream and calls under way are dropped. */
void rv_agent_link_register(struct rv_agent_link_io *l, const struct rv_agent_call *call);
void rv_agent_link_send(struct rv_agent_link_io *l, const struct rv_agent_call *call);
void rv_agent_link_disconnect(struct rv_agent_link_io *l);

#endif
