/*
 * The executor's link to its agent: one connection that streams events, one that carries calls, in
 * order and one at a time. Protobuf both ways.
 */
#ifndef RV_EXECUTOR_LINK_H
#define RV_EXECUTOR_LINK_H

#include "base/vec.h"
#include "executor/call.h"
#include "executor/pollfds.h"
#include "reeve/v1/executor.pb-c.h"
#include "wire/recordio.h"

struct rv_link {
    void (*on_event)(void *ctx, const Reeve__V1__Executor__Event *event);
    /* The stream ended or was not to be had; status: of HTTP, or 0. Only from rv_link_io and
     * rv_link_tick. */
    void (*on_disconnected)(void *ctx, int status);
    void (*on_call_failed)(void *ctx, int status);
    void *ctx;

    struct rv_endpoint agent;
    char *host, *headers; /* owned; of the endpoint */

    struct rv_http stream;
    bool subscribing; /* the stream is open or being opened */
    int stream_status;
    int64_t stream_by_ms; /* until its head is there; then INT64_MAX */
    struct rv_recordio records;

    struct rv_call caller;
    int64_t call_by_ms;          /* INT64_MAX: none is under way */
    RV_VEC(struct rv_buf) calls; /* the first one is under way */
};

/* endpoint: numeric address and port; token: sent as Bearer, or NULL. */
RV_MUST_USE int rv_link_init(struct rv_link *l, const char *endpoint, const char *token,
                             struct rv_error *err);
void rv_link_free(struct rv_link *l);

/* Ends the stream that there is and asks for a new one. Calls that wait are dropped: they are
 * updates, which SUBSCRIBE carries. */
void rv_link_subscribe(struct rv_link *l, struct rv_str call, int64_t now_ms);
void rv_link_call(struct rv_link *l, struct rv_str call, int64_t now_ms);

void rv_link_poll(const struct rv_link *l, struct rv_pollfds *fds);
void rv_link_io(struct rv_link *l, const struct rv_pollfds *fds, int64_t now_ms);
void rv_link_tick(struct rv_link *l, int64_t now_ms); /* timeouts */
int64_t rv_link_deadline(const struct rv_link *l);

#endif
