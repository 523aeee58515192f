/*
 * One call to the agent at a time on a connection that is kept for the next one, for a poll(2)
 * loop. The answer is collected, or thrown away as it comes.
 */
#ifndef RV_EXECUTOR_CALL_H
#define RV_EXECUTOR_CALL_H

#include "base/str.h"
#include "executor/http.h"

/* Where calls go, shared by all; not owned. */
struct rv_endpoint {
    struct rv_http_address address;
    const char *host;    /* as it was named */
    const char *headers; /* of every call: media types, token */
};

struct rv_call {
    struct rv_http http;
    bool busy;     /* a call is under way */
    bool retried;  /* on a connection that had been left: once more on a new one */
    bool discards; /* the body of an answer that is no refusal */
    bool answered, keep_alive;
    int status;         /* of the answer; 0: no head yet */
    struct rv_buf body; /* of the answer */
    struct rv_buf sent; /* the call itself, for once more */
    const char *path;
};

void rv_call_init(struct rv_call *c);
void rv_call_free(struct rv_call *c); /* an answer that is under way is not wanted any more */

/* Ends the call before. What cannot even be begun is lost with the next rv_call_io or tick: false.
 */
bool rv_call_post(struct rv_call *c, const struct rv_endpoint *to, const char *path,
                  struct rv_str body, bool discards);

enum rv_call_result {
    RV_CALL_MORE, /* later */
    RV_CALL_DONE, /* status and body are there */
    RV_CALL_LOST, /* without an answer, or in the midst of it */
};
enum rv_call_result rv_call_io(struct rv_call *c, const struct rv_endpoint *to, short revents);

#endif
