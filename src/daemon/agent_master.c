/*
 * Which master the agent talks to. A leader that the detector tells of is one to the core, too: the
 * one before is forgotten first, so that nothing it says counts any more (INV-3). An address of a
 * list is only a try: the core goes on trying by its own clock, and each try that fails goes to
 * the next address.
 */
#include "base/log.h"
#include "daemon/agent_daemon.h"
#include "wire/master_address.h"

#define MODULE "agent"
#define DEFAULT_PORT 5050

static void on_event(void *ctx, const struct rv_agent_event *event) {
    struct rv_agent_input input = {.kind = RV_AGENT_MASTER_EVENT, .master = event};

    rv_agent_daemon_step(ctx, &input);
}

static void on_lost(void *ctx) {
    struct rv_agent_daemon *d = ctx;

    rv_agent_daemon_step(d, &(struct rv_agent_input){.kind = RV_AGENT_MASTER_LOST});
    rv_detector_wrong(d->detector, NULL);
}

/* "//host:port/path", as a standby answers. */
static bool parse_location(const char *location, struct rv_address *out) {
    return location && rv_starts_with(location, "//") &&
           !rv_address_parse(location + 2, strcspn(location + 2, "/?#"), DEFAULT_PORT, out);
}

static void on_refused(void *ctx, int status, const char *location) {
    struct rv_agent_daemon *d = ctx;
    struct rv_agent_input input = {.kind = RV_AGENT_MASTER_REFUSED, .status = status};
    struct rv_address leader;

    rv_agent_daemon_step(d, &input);
    if (parse_location(location, &leader)) {
        rv_detector_wrong(d->detector, &leader);
        rv_address_free(&leader);
    } else if (status == 503 || status == 307) {
        rv_detector_wrong(d->detector, NULL);
    }
}

static void on_detected(void *ctx, const struct rv_address *leader) {
    struct rv_agent_daemon *d = ctx;
    bool is_try = leader && d->has_master && rv_detector_guesses(d->detector);

    if (leader)
        RV_INFO(MODULE, "the master is at %s:%u", leader->host, leader->port);
    else
        RV_WARN(MODULE, "no master is known to lead");
    if (d->has_master && !is_try)
        rv_agent_daemon_step(d, &(struct rv_agent_input){.kind = RV_AGENT_MASTER_NONE});
    rv_agent_link_aim(d->link, leader);
    d->has_master = leader != NULL;
    if (leader) /* what was under way to the address before is over without a word */
        rv_agent_daemon_step(d, &(struct rv_agent_input){.kind = is_try ? RV_AGENT_MASTER_LOST
                                                                        : RV_AGENT_MASTER_FOUND});
}

int rv_agent_master_start(struct rv_agent_daemon *d, struct rv_error *err) {
    static const struct rv_agent_link_handler handler = {on_event, on_lost, on_refused};
    const struct rv_detector_config config = {
        .masters = d->flags->master,
        .default_port = DEFAULT_PORT,
        .session_timeout_ms = d->flags->zk_session_timeout / 1000000,
        .parse = rv_wire_master_address,
    };
    int r = rv_detector_new(d->loop, &config, on_detected, d, &d->detector, err);

    if (r)
        rv_error_prefix(err, "--master");
    else
        d->link = rv_agent_link_new(d->loop, NULL, &handler, d);
    return r;
}

void rv_agent_master_stop(struct rv_agent_daemon *d) {
    d->detector = rv_detector_free(d->detector);
    d->link = rv_agent_link_free(d->link);
}
