/*
 * Quotas of roles, by POST /api/v1 and by the endpoint from before it: a message becomes a call of
 * the core, and the core's records become messages. Trees live in the daemon's arena.
 */
#include "daemon/master_endpoints.h"
#include "wire/quota_codec.h"

void rv_master_update_quota(struct rv_master_daemon *d, struct rv_http_request *req,
                            const Reeve__V1__Master__Call__UpdateQuota *m) {
    struct rv_operator_call call = {.type = RV_OPERATOR_UPDATE_QUOTA,
                                    .n_quotas = m->n_quota_configs,
                                    .force = m->has_force && m->force};
    struct rv_quota *quotas;
    struct rv_error err;

    if (rv_wire_quotas_from(m->quota_configs, m->n_quota_configs, &d->arena, &quotas, &err)) {
        rv_shell_bad_request(&d->shell, req, &err);
        return;
    }
    call.quotas = quotas;
    rv_master_operate(d, req, &call);
}

void rv_master_set_quota(struct rv_master_daemon *d, struct rv_http_request *req,
                         const Reeve__V1__Quota__QuotaRequest *m) {
    struct rv_quota quota;
    struct rv_operator_call call = {.type = RV_OPERATOR_SET_QUOTA,
                                    .quotas = &quota,
                                    .n_quotas = 1,
                                    .force = m->has_force && m->force};
    struct rv_error err;

    if (rv_wire_quota_request_from(m, &d->arena, &quota, &err))
        rv_shell_bad_request(&d->shell, req, &err);
    else
        rv_master_operate(d, req, &call);
}

void rv_master_remove_quota(struct rv_master_daemon *d, struct rv_http_request *req, char *role) {
    struct rv_quota quota = {.role = role};
    struct rv_operator_call call = {
        .type = RV_OPERATOR_REMOVE_QUOTA, .quotas = &quota, .n_quotas = 1};

    rv_master_operate(d, req, &call);
}

/* --- before v1 --- */

static void post(struct rv_master_daemon *d, struct rv_http_request *req) {
    const Reeve__V1__Master__Call__SetQuota *m = (void *)rv_master_body_as(
        d, req, "quota_request", &reeve__v1__master__call__set_quota__descriptor);

    if (m)
        rv_master_set_quota(d, req, m->quota_request);
}

bool rv_master_quota_handle(struct rv_master_daemon *d, struct rv_http_request *req,
                            const char *path) {
    const char *method = rv_http_method(req);
    bool of_role = rv_starts_with(path, "/quota/");

    if (!of_role && !rv_streq(path, "/quota"))
        return false;
    if (!of_role && rv_streq(method, "GET"))
        return false;
    if (!of_role && rv_streq(method, "POST"))
        post(d, req);
    else if (of_role && path[strlen("/quota/")] && rv_streq(method, "DELETE"))
        rv_master_remove_quota(d, req, rv_arena_strdup(&d->arena, path + strlen("/quota/")));
    else if (rv_streq(method, "DELETE"))
        rv_common_bad_request(&d->shell, req, "DELETE /quota/ROLE: which role?");
    else
        rv_http_reply_text(req, 405,
                           "Expecting GET or POST of /quota, or DELETE of /quota/ROLE.\n");
    return true;
}

/* --- views --- */

Reeve__V1__Quota__QuotaStatus *rv_master_view_quota(const struct rv_master *m,
                                                    struct rv_arena *arena) {
    Reeve__V1__Quota__QuotaStatus *status =
        RV_WIRE_MAKE(arena, Quota__QuotaStatus, quota__quota_status);
    size_t n = rv_map_count(&m->quotas);
    void *v;

    status->infos = RV_ARENA_ARRAY(arena, Reeve__V1__Quota__QuotaInfo *, n);
    status->configs = RV_ARENA_ARRAY(arena, Reeve__V1__Quota__QuotaConfig *, n);
    for (size_t it = 0; rv_map_next(&m->quotas, &it, NULL, &v);) {
        status->infos[status->n_infos++] = rv_wire_quota_info_to(v, arena);
        status->configs[status->n_configs++] = rv_wire_quota_to(v, arena);
    }
    return status;
}
