/*
 * What a master answers that does not lead (INV-2): about itself as always, for all else it sends
 * to the leader, or says that none is known. The leader's name is as it has told it.
 * From when it is to lead until it has read the registry, agents that come wait (master_waiting.c).
 */
#include <stdlib.h>

#include "base/log.h"
#include "daemon/master_endpoints.h"
#include "wire/convert.h"

#define MODULE "master"

static const char unfinished[] = "Master has not finished recovery.";

static void set_leader(struct rv_master_daemon *d, const Reeve__V1__MasterInfo *m) {
    const Reeve__V1__Address *a = m->address;
    const char *host = m->hostname && *m->hostname ? m->hostname : a ? a->ip : NULL;
    uint32_t port = a ? (uint32_t)a->port : m->port;

    d->leader_is_us = rv_streq(m->id, d->id);
    if (!host || !*host || !port || port > UINT16_MAX) {
        RV_WARN(MODULE, "the leading candidate has no address");
        return;
    }
    d->leader = (struct rv_address){rv_strdup(host), (uint16_t)port};
    if (!d->leader_is_us)
        RV_INFO(MODULE, "master %s leads at %s:%u", m->id, host, port);
}

void rv_master_standby_leader(struct rv_master_daemon *d, struct rv_str info) {
    Reeve__V1__MasterInfo *m;
    struct rv_arena arena;
    struct rv_error err;

    rv_address_free(&d->leader);
    d->leader_is_us = false;
    rv_arena_init(&arena);
    if (!info.s)
        RV_INFO(MODULE, "no master is known to lead");
    else if (rv_wire_master_info_parse(info, &arena, &m, &err))
        RV_WARN(MODULE, "the leading candidate cannot be understood: %s", err.message);
    else
        set_leader(d, m);
    rv_arena_free(&arena);
    if (!d->leader_is_us)
        rv_master_waiting_refuse(d, unfinished);
}

void rv_master_redirect(struct rv_http_request *req, const struct rv_address *to,
                        const char *target) {
    _cleanup_free_ char *location = rv_asprintf(strchr(to->host, ':') ? "//[%s]:%u%s" : "//%s:%u%s",
                                                to->host, (unsigned)to->port, target);
    const char *headers[] = {"Location", location, NULL};

    rv_http_reply(req, 307, NULL, rv_strn(NULL, 0), headers);
}

void rv_master_standby_answer(struct rv_master_daemon *d, struct rv_http_request *req,
                              const char *path) {
    struct rv_common common = rv_master_common(d);
    const char *target = rv_http_target(req);

    if (rv_common_handle(&common, req, path))
        return;
    if ((d->loaded || d->leader_is_us) && rv_streq(path, "/api/v1/agent")) {
        rv_master_wait(d, req);
    } else if (d->loaded) {
        rv_http_reply_text(req, 503, "%s\n", unfinished);
    } else if (!d->leader.host || d->leader_is_us) {
        rv_http_reply_text(req, 503, "No leading master is known.\n");
    } else if (rv_streq(path, "/redirect") || *target != '/') {
        rv_master_redirect(req, &d->leader, "");
    } else {
        rv_master_redirect(req, &d->leader, target);
    }
}
