/* The shell of a client core: sockets, clock and timer on a libuv loop. Branches on nothing of the
 * domain: it carries out actions and feeds back what became of them. */
#ifndef RV_FRAMEWORK_CLIENT_SHELL_H
#define RV_FRAMEWORK_CLIENT_SHELL_H

#include <uv.h>

#include "framework/client_core.h"
#include "io/http_client.h"

struct rv_client_shell_owner {
    /* Carries out an action that tells something; the shell has done its own part. */
    void (*tell)(void *ctx, const struct rv_client_action *action);
    void (*tick)(void *ctx, int64_t now_ms);
    int64_t (*deadline)(const void *ctx);
    void (*released)(void *ctx); /* the timer is closed: free what is left */
};

struct rv_client_shell {
    struct rv_client *core;
    const struct rv_client_shell_owner *owner;
    void *ctx;
    uv_loop_t own_loop, *loop;
    uv_timer_t timer;
    struct rv_http_client *http;
    uint64_t connection; /* the one that http is for */
    bool draining, stopped;
    int result;
};

/* loop NULL: one of our own. REEVE_ERR_SYSTEM if there cannot be one. */
int rv_client_shell_init(struct rv_client_shell *s, struct rv_client *core, uv_loop_t *loop,
                         const struct rv_client_shell_owner *owner, void *ctx);
/* Ends all; owner->released is called from the loop, or from here if the loop is ours. */
void rv_client_shell_close(struct rv_client_shell *s);
/* Carries out what the core has queued and sets the timer. From a callback: done soon. */
void rv_client_shell_drain(struct rv_client_shell *s);
/* Runs the own loop until the end. */
int rv_client_shell_run(struct rv_client_shell *s);

int64_t rv_client_now_ms(void);
uint64_t rv_client_random_seed(void);

#endif
