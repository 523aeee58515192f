/*
 * A master's leadership: the registry is read, a core is made of it, and freed with all that hangs
 * on it when leadership ends. A master alone leads from its start to its end; one of several when
 * it is elected (master_election.c), under a new id each time.
 */
#include <stdlib.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/prng.h"
#include "daemon/folders.h"
#include "daemon/master_daemon.h"
#include "daemon/version.h"
#include "store/registry_codec.h"
#include "wire/convert.h"

#define MODULE "master"

static int64_t to_ms(int64_t ns) {
    return ns / 1000000;
}

/* "cpus:0.01|mem:32" */
static int parse_quantities(const char *text, struct rv_quantities **out, size_t *n,
                            struct rv_error *err) {
    struct rv_quantities *v = NULL;
    size_t count = 0;
    _cleanup_free_ char *copy = rv_strdup(text ? text : "");

    for (char *save = NULL, *part = strtok_r(copy, "|", &save); part;
         part = strtok_r(NULL, "|", &save)) {
        struct rv_resources r = {0};
        int failed = rv_resources_parse(part, "*", &r, err);
        if (failed) {
            rv_error_prefix(err, "--min_allocatable_resources");
            return failed;
        }
        v = rv_realloc(v, (count + 1) * sizeof *v);
        v[count] = (struct rv_quantities){0};
        for (size_t i = 0; i < r.n; i++)
            if (r.v[i].kind->type == RV_SCALAR)
                rv_quantities_add(&v[count], r.v[i].kind->name, r.v[i].scalar);
        count++;
        rv_resources_free(&r);
    }
    *out = v;
    *n = count;
    return 0;
}

/* "1/10mins": one each ten minutes. */
static int parse_rate(const char *text, int64_t *interval_ms, struct rv_error *err) {
    const char *slash = text ? strchr(text, '/') : NULL;
    _cleanup_free_ char *number = slash ? rv_strndup(text, (size_t)(slash - text)) : NULL;
    int64_t ns;
    uint64_t n;

    *interval_ms = 0;
    if (!text)
        return 0;
    if (!slash || rv_parse_u64(number, 1000000, &n) || n == 0 ||
        rv_parse_duration_ns(slash + 1, &ns) || ns <= 0)
        return rv_error_set(
            err, RV_ERR_INVALID,
            "--agent_removal_rate_limit: \"%s\" is not number/duration, as 1/10mins", text);
    *interval_ms = RV_MAX(to_ms(ns / (int64_t)n), INT64_C(1));
    return 0;
}

static int parse_percent(const char *flag, const char *text, double *percent,
                         struct rv_error *err) {
    size_t n = strlen(text);
    _cleanup_free_ char *number = n && text[n - 1] == '%' ? rv_strndup(text, n - 1) : NULL;

    if (!number || rv_parse_double(number, percent) || !(*percent >= 0 && *percent <= 100))
        return rv_error_set(err, RV_ERR_INVALID, "--%s: \"%s\" is not 0%% to 100%%", flag, text);
    return 0;
}

/* Of the rest the master does without. */
static int parse_limit(const char *text, double *rest, struct rv_error *err) {
    double percent;
    int r = parse_percent("recovery_agent_removal_limit", text, &percent, err);

    if (!r)
        *rest = 100 - percent;
    return r;
}

static char **split(const char *text, size_t *n) {
    char **v = NULL;
    _cleanup_free_ char *copy = rv_strdup(text ? text : "");

    *n = 0;
    for (char *save = NULL, *part = strtok_r(copy, ",", &save); part;
         part = strtok_r(NULL, ",", &save)) {
        v = rv_realloc(v, (*n + 1) * sizeof *v);
        v[(*n)++] = rv_strdup(part);
    }
    return v;
}

static void free_strings(char **v, size_t n) {
    for (size_t i = 0; i < n; i++)
        free(v[i]);
    free(v);
}

/* role=weight, separated by commas; the roles lie in *parts. All to be freed in any case. */
static int parse_weights(const char *text, struct rv_weight **weights, char ***parts, size_t *n,
                         struct rv_error *err) {
    *parts = split(text, n);
    *weights = rv_calloc(*n + 1, sizeof **weights);
    for (size_t i = 0; i < *n; i++) {
        char *part = (*parts)[i], *equals = strchr(part, '=');
        struct rv_weight *weight = &(*weights)[i];
        if (!equals || rv_parse_double(equals + 1, &weight->weight) || weight->weight <= 0)
            return rv_error_set(err, RV_ERR_INVALID, "--weights: \"%s\" is not role=weight above 0",
                                part);
        *equals = 0;
        weight->role = part;
    }
    return 0;
}

/* Weights by flag count where the registry names none: they are put there like an operator's. */
static void apply_weights(struct rv_master_daemon *d) {
    size_t n, n_new = 0;
    struct rv_weight *weights;
    char **parts;

    if (!parse_weights(d->flags->weights, &weights, &parts, &n, NULL))
        for (size_t i = 0; i < n; i++)
            if (!rv_map_gets(&d->core->weights, weights[i].role))
                weights[n_new++] = weights[i];
    if (n_new) {
        struct rv_operator_call call = {
            .type = RV_OPERATOR_UPDATE_WEIGHTS, .weights = weights, .n_weights = n_new};
        struct rv_master_event event = {.kind = RV_MASTER_OPERATOR_CALL, .operator_ = &call};
        rv_master_daemon_step(d, &event);
    }
    free(weights);
    free_strings(parts, n);
}

static void free_quantities(struct rv_quantities *v, size_t n) {
    for (size_t i = 0; i < n; i++)
        rv_quantities_free(&v[i]);
    free(v);
}

/* What is wrong with a flag is said at the start, not when this master is elected. */
static int check_flags(const struct rv_master_flags *flags, struct rv_error *err) {
    struct rv_quantities *least = NULL;
    struct rv_weight *weights;
    char **parts;
    size_t n_least = 0, n;
    int64_t interval_ms;
    double percent;
    int r = parse_rate(flags->agent_removal_rate_limit, &interval_ms, err);

    if (!r)
        r = parse_limit(flags->recovery_agent_removal_limit, &percent, err);
    if (!r)
        r = parse_percent("quota_recovery_agents", flags->quota_recovery_agents, &percent, err);
    if (!r)
        r = parse_quantities(flags->min_allocatable_resources, &least, &n_least, err);
    free_quantities(least, n_least);
    if (r)
        return r;
    r = parse_weights(flags->weights, &weights, &parts, &n, err);
    free(weights);
    free_strings(parts, n);
    return r;
}

static uint64_t random_seed(void) {
    uint64_t seed;

    return getrandom(&seed, sizeof seed, 0) == sizeof seed ? seed : (uint64_t)rv_wall_ns();
}

static void new_id(char out[37]) {
    struct rv_prng prng;
    uint8_t uuid[16];

    rv_prng_seed(&prng, random_seed());
    rv_prng_uuid(&prng, uuid);
    rv_uuid_format(uuid, out);
}

/* A core from what the registry holds. */
static void start_core(struct rv_master_daemon *d, const struct rv_registry_snapshot *registry) {
    const struct rv_master_flags *f = d->flags;
    struct rv_quantities *least = NULL;
    size_t n_least = 0, n_excluded, n_roles;
    int64_t removal_interval_ms = 0;
    double agents_percent = 0, quota_percent = 0;

    if (parse_percent("quota_recovery_agents", f->quota_recovery_agents, &quota_percent, NULL) ||
        parse_rate(f->agent_removal_rate_limit, &removal_interval_ms, NULL) ||
        parse_limit(f->recovery_agent_removal_limit, &agents_percent, NULL) ||
        parse_quantities(f->min_allocatable_resources, &least, &n_least, NULL))
        RV_UNREACHABLE(); /* checked at the start */
    char **excluded = split(f->fair_sharing_excluded_resource_names, &n_excluded);
    char **roles = split(f->roles, &n_roles);
    struct rv_master_config config = {
        .seed = random_seed(),
        .id = d->id,
        .hostname = d->hostname,
        .ip = d->ip,
        .port = d->port,
        .master_info = d->info,
        .allocation_interval_ms = to_ms(f->allocation_interval),
        .offer_timeout_ms = f->offer_timeout ? to_ms(f->offer_timeout) : -1,
        .heartbeat_ms = to_ms(f->heartbeat_interval),
        .agent_ping_ms = to_ms(f->agent_ping_timeout),
        .max_agent_ping_timeouts = (unsigned)f->max_agent_ping_timeouts,
        .agent_reregister_ms = to_ms(f->agent_reregister_timeout),
        .agent_removal_interval_ms = removal_interval_ms,
        .recovery_agents_percent = agents_percent,
        .max_absent_agents = (size_t)f->registry_max_agent_count,
        .absent_age_ms = to_ms(f->registry_max_agent_age),
        .gc_interval_ms = to_ms(f->registry_gc_interval),
        .quota_recovery_percent = quota_percent,
        .quota_recovery_ms =
            f->quota_recovery_timeout && quota_percent > 0 ? to_ms(f->quota_recovery_timeout) : -1,
        .max_completed_frameworks = (size_t)f->max_completed_frameworks,
        .max_completed_tasks = (size_t)f->max_completed_tasks_per_framework,
        .max_unreachable_tasks = (size_t)f->max_unreachable_tasks_per_framework,
        .max_frameworks = (size_t)f->max_frameworks,
        .max_agents = (size_t)f->max_agents,
        .role_whitelist = (const char *const *)roles,
        .n_role_whitelist = n_roles,
        .min_allocatable = least,
        .n_min_allocatable = n_least,
        .fair_exclude = (const char *const *)excluded,
        .n_fair_exclude = n_excluded,
    };
    d->core = rv_master_new(&config, registry, rv_now_ms(), rv_wall_ns());
    free_strings(excluded, n_excluded);
    free_strings(roles, n_roles);
    free_quantities(least, n_least);
    rv_master_daemon_arm(d);
    apply_weights(d);
}

/* --- the registry --- */

static void on_record(void *ctx, const char *key, struct rv_str value) {
    struct rv_master_daemon *d = ctx;

    rv_registry_loaded_add(d->loaded, key, value);
}

static void on_cluster_written(void *ctx, uint64_t seq, int result, const struct rv_error *err) {
    (void)ctx;
    (void)seq;
    if (result) /* the next leader tries again */
        RV_WARN(MODULE, "the registry does not say which cluster it is of: %s", err->message);
}

static void put_cluster(void *ctx, const char *key, struct rv_str value) {
    struct rv_master_daemon *d = ctx;
    struct rv_registry_change change = {key, value};

    d->registry->ops->write(d->registry, &change, 1, 0, on_cluster_written, d);
}

/* Which cluster this is, and of which version its last leader: for operators. */
static void record_cluster(struct rv_master_daemon *d, const struct rv_registry_cluster *known) {
    struct rv_registry_cluster now = {known->id, RV_VERSION};
    char fresh[37];

    if (!now.id) {
        new_id(fresh);
        now.id = fresh;
    }
    RV_INFO(MODULE, "the cluster is %s; version that led it last: %s", now.id,
            known->version ? known->version : "not known");
    if (!rv_streq(known->version, now.version))
        rv_registry_cluster_encode(&now, &d->scratch, put_cluster, d);
}

/* Makes a core of what was read. A record that is damaged says more than that the whole does not
 * add up. */
static int finish_loading(struct rv_master_daemon *d, int result, const struct rv_error *why,
                          struct rv_error *err) {
    int r = rv_registry_loaded_finish(d->loaded, err);

    if (r) {
        rv_error_prefix(err, "%s", d->registry->place);
    } else if (result) {
        *err = *why;
        r = result;
    } else {
        d->times.fetched_ns = uv_hrtime();
        start_core(d, rv_registry_snapshot(d->loaded));
        record_cluster(d, rv_registry_cluster(d->loaded));
    }
    d->loaded = rv_registry_snapshot_free(d->loaded);
    return r;
}

static void give_up(struct rv_master_daemon *d, const struct rv_error *err) {
    rv_master_lead_end(d, "This master does not lead any more.");
    if (d->start_err) {
        *d->start_err = *err;
        d->start_err = NULL;
    } else if (d->election) {
        rv_master_election_give_up(d, err);
    } else {
        rv_master_daemon_fail(d, err);
    }
}

static void on_loaded(void *ctx, uint64_t seq, int result, const struct rv_error *why) {
    struct rv_master_daemon *d = ctx;
    struct rv_error err;
    (void)seq;

    if (finish_loading(d, result, why, &err)) {
        give_up(d, &err);
        return;
    }
    RV_INFO(MODULE, "master %s leads at http://%s:%u", d->id, d->ip, d->port);
    rv_master_waiting_resume(d);
}

static void on_lost(void *ctx, const struct rv_error *err) {
    give_up(ctx, err);
}

void rv_master_lead_begin(struct rv_master_daemon *d, struct rv_registry *registry) {
    d->registry = registry;
    d->registry->on_lost = on_lost;
    d->registry->lost_ctx = d;
    d->loaded = rv_registry_loaded_new();
    d->times.fetch_began_ns = uv_hrtime();
    d->registry->ops->load(d->registry, on_record, on_loaded, d);
}

void rv_master_lead_end(struct rv_master_daemon *d, const char *why) {
    if (d->registry)
        d->registry->ops->close(d->registry);
    d->registry = NULL;
    d->loaded = rv_registry_snapshot_free(d->loaded);
    rv_master_waiting_refuse(d, why ? why : "This master ends.");
    if (d->core)
        rv_master_daemon_drop(d, why);
}

static int open_registry(struct rv_master_daemon *d, struct rv_registry **out,
                         struct rv_error *err) {
    if (!d->flags->work_dir) {
        *out = rv_registry_memory_new();
        return 0;
    }
    int r = rv_make_folder(d->flags->work_dir, err);
    if (r)
        return r;
    _cleanup_free_ char *path = rv_asprintf("%s/registry.sqlite", d->flags->work_dir);
    return rv_registry_sqlite_open(d->loop, path, false, out, err);
}

/* --- for the daemon --- */

void rv_master_lead_new_id(struct rv_master_daemon *d) {
    new_id(d->id);
    rv_blob_unref(d->info);
    d->info = rv_wire_master_info_pack(d->id, d->hostname, d->ip, d->port, RV_API_VERSION, NULL);
}

int rv_master_lead_start(struct rv_master_daemon *d, struct rv_error *err) {
    struct rv_registry *registry = NULL;
    struct rv_error failure = {0};
    int r = check_flags(d->flags, err);

    if (!r && d->flags->zk)
        return rv_master_election_start(d, err);
    if (!r)
        r = open_registry(d, &registry, err);
    if (r)
        return r;
    rv_master_lead_new_id(d);
    d->start_err = &failure;
    rv_master_lead_begin(d, registry); /* an embedded registry is read within the call */
    d->start_err = NULL;
    if (failure.code && err)
        *err = failure;
    return -(int)failure.code;
}

bool rv_master_leads(const struct rv_master_daemon *d) {
    return d->core && (!d->election || rv_election_holds(d->election));
}
