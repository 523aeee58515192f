/*
 * A master among several: a candidate in ZooKeeper, with the registry there. It leads while it is
 * elected; when that ends, it stands again under another id, as if it had just been started: what
 * it knew as a leader is gone with its core.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "base/log.h"
#include "daemon/master_daemon.h"
#include "io/election.h"
#include "io/first_line.h"
#include "io/handle.h"
#include "quorum/registry_zookeeper.h"
#include "wire/convert.h"

#define MODULE "master"
#define STAND_AGAIN_MS 1000 /* after the registry could not be taken over */

static void stand(struct rv_master_daemon *d) {
    struct rv_buf info = {0};

    rv_master_lead_new_id(d);
    rv_wire_master_info_print(d->info, &info);
    rv_election_stand(d->election, rv_buf_str(&info));
    rv_buf_free(&info);
}

static void on_stand_again(uv_timer_t *timer) {
    stand(timer->data);
}

static void on_elected(void *ctx) {
    struct rv_master_daemon *d = ctx;
    const struct rv_registry_zk_config config = {.zk = rv_election_session(d->election),
                                                 .path = d->zk.path,
                                                 .writer = d->id,
                                                 .candidate = rv_election_node(d->election)};

    RV_INFO(MODULE, "master %s is elected", d->id);
    rv_master_lead_begin(d, rv_registry_zookeeper_new(&config));
}

static void on_deposed(void *ctx, const char *why) {
    struct rv_master_daemon *d = ctx;

    RV_WARN(MODULE, "master %s does not lead any more: %s", d->id, why);
    rv_master_lead_end(d, "This master does not lead any more.");
    stand(d);
}

static void on_leader(void *ctx, struct rv_str info) {
    rv_master_standby_leader(ctx, info);
}

/* What no waiting mends: another version, or an operator, has to. */
static bool is_hopeless(const struct rv_error *err) {
    return err->code == RV_ERR_CORRUPT || err->code == RV_ERR_UNSUPPORTED;
}

void rv_master_election_give_up(struct rv_master_daemon *d, const struct rv_error *err) {
    if (is_hopeless(err)) {
        rv_master_daemon_fail(d, err);
        return;
    }
    RV_WARN(MODULE, "master %s cannot lead: %s", d->id, err->message);
    rv_election_withdraw(d->election);
    uv_timer_start(d->stand_again, on_stand_again, STAND_AGAIN_MS, 0);
}

/* --zk as it is, or as the file has it that it names. */
static int parse_url(struct rv_master_daemon *d, struct rv_error *err) {
    const char *text = d->flags->zk;
    _cleanup_free_ char *line = NULL;

    if (rv_starts_with(text, "file://")) {
        int r = rv_first_line(text + strlen("file://"), &line, err);
        if (r)
            return r;
        text = line;
    }
    return rv_zk_url_parse(text, &d->zk, err);
}

static bool is_wildcard(const char *ip) {
    struct in6_addr v6;
    struct in_addr v4;

    return (inet_pton(AF_INET, ip, &v4) == 1 && v4.s_addr == htonl(INADDR_ANY)) ||
           (inet_pton(AF_INET6, ip, &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6));
}

int rv_master_election_start(struct rv_master_daemon *d, struct rv_error *err) {
    static const struct rv_election_handler handler = {on_leader, on_elected, on_deposed};
    int r = parse_url(d, err);

    if (!r && is_wildcard(d->ip))
        return rv_error_set(err, RV_ERR_INVALID,
                            "--advertise_ip: name the address at which others reach this master; "
                            "it listens on %s",
                            d->ip);
    if (!r)
        r = rv_election_begin(d->loop, &d->zk, d->flags->zk_session_timeout / 1000000, &handler, d,
                              &d->election, err);
    if (r) {
        rv_error_prefix(err, "--zk");
        return r;
    }
    d->stand_again = rv_calloc(1, sizeof *d->stand_again);
    uv_timer_init(d->loop, d->stand_again);
    d->stand_again->data = d;
    stand(d);
    return 0;
}

void rv_master_election_stop(struct rv_master_daemon *d) {
    d->election = rv_election_free(d->election);
    rv_handle_close(d->stand_again);
    rv_zk_url_free(&d->zk);
}
