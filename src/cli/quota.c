/*
 * reeve quota: shows, sets and removes what roles are guaranteed and may have at most. What is set
 * of a role takes the place of all that it had.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/output.h"
#include "cli/verbs.h"

struct options {
    const char *guarantee;
    bool force;
};

static const struct rv_cli_option options[] = {
    {"guarantee", 0, "AMOUNTS", "set: what is kept free for the role, as 'cpus:4;mem:2048'",
     RV_CLI_TEXT, offsetof(struct options, guarantee)},
    {"force", 0, NULL, "set: also below what the role uses, or beyond what the cluster has",
     RV_CLI_FLAG, offsetof(struct options, force)},
};
static const struct rv_cli_verb verb = {
    .name = "quota",
    .operands = "[set ROLE [AMOUNTS] | remove ROLE...]",
    .about = "Lists what roles are guaranteed and may have at most; mem and disk are MB.\n\n"
             "  set      limits a role, and all below it, to AMOUNTS: 'cpus:10;mem:20480'; what is "
             "not\n           named is not limited. Takes the place of the quota that it had.\n"
             "  remove   the roles have neither limits nor guarantees any more",
    .options = options,
    .n_options = RV_COUNT(options),
    .max_operands = SIZE_MAX,
};

/* --- showing --- */

static double limit_of(const Reeve__V1__Quota__QuotaConfig *q, const char *name, bool *has) {
    for (size_t i = 0; i < q->n_limits; i++)
        if ((*has = rv_streq(q->limits[i]->key, name)))
            return q->limits[i]->value->value;
    *has = false;
    return 0;
}

static void put_row(struct rv_cli_table *t, const char *role, const char *name,
                    const double *guarantee, const double *limit) {
    rv_cli_cell(t, role);
    rv_cli_cell(t, name);
    for (int i = 0; i < 2; i++) {
        const double *amount = i ? limit : guarantee;

        if (amount)
            rv_cli_cell_number(t, *amount);
        else
            rv_cli_cell(t, NULL);
    }
}

static bool is_guaranteed(const Reeve__V1__Quota__QuotaConfig *q, const char *name) {
    for (size_t i = 0; i < q->n_guarantees; i++)
        if (rv_streq(q->guarantees[i]->key, name))
            return true;
    return false;
}

static void put_rows(struct rv_cli_table *t, const Reeve__V1__Quota__QuotaConfig *q) {
    for (size_t i = 0; i < q->n_guarantees; i++) {
        const char *name = q->guarantees[i]->key;
        bool limited;
        double limit = limit_of(q, name, &limited);

        put_row(t, q->role, name, &q->guarantees[i]->value->value, limited ? &limit : NULL);
    }
    for (size_t i = 0; i < q->n_limits; i++)
        if (!is_guaranteed(q, q->limits[i]->key))
            put_row(t, q->role, q->limits[i]->key, NULL, &q->limits[i]->value->value);
}

static int list(struct rv_cli *cli) {
    static const struct rv_cli_column columns[] = {
        {"ROLE", "role", RV_CLI_CELL_TEXT, 0, NULL},
        {"RESOURCE", "resource", RV_CLI_CELL_TEXT, 0, NULL},
        {"GUARANTEE", "guarantee", RV_CLI_CELL_NUMBER, 0, NULL},
        {"LIMIT", "limit", RV_CLI_CELL_NUMBER, 0, NULL},
    };
    Reeve__V1__Master__Response *response;
    struct rv_cli_table t;
    struct rv_error err;

    if (rv_cli_ask_master(cli, REEVE__V1__MASTER__CALL__TYPE__GET_QUOTA, &cli->arena, &response,
                          &err))
        return rv_cli_fail(cli, "%s", err.message);
    rv_cli_table_init(&t, columns, RV_COUNT(columns));
    for (size_t i = 0; response->get_quota && i < response->get_quota->status->n_configs; i++)
        put_rows(&t, response->get_quota->status->configs[i]);
    rv_cli_table_print(&t, cli->format);
    rv_cli_table_free(&t);
    return RV_CLI_OK;
}

/* --- changing --- */

static bool read_limits(struct rv_cli *cli, const char *text, Reeve__V1__Quota__QuotaConfig *q) {
    struct rv_cli_amount *amounts;
    size_t n;

    if (!rv_cli_amounts_parse(text, &cli->arena, &amounts, &n))
        return false;
    q->limits = RV_ARENA_ARRAY(&cli->arena, Reeve__V1__Quota__QuotaConfig__LimitsEntry *, n);
    for (size_t i = 0; i < n; i++) {
        q->limits[i] = RV_ARENA_NEW(&cli->arena, Reeve__V1__Quota__QuotaConfig__LimitsEntry);
        reeve__v1__quota__quota_config__limits_entry__init(q->limits[i]);
        q->limits[i]->key = amounts[i].name;
        q->limits[i]->value = amounts[i].value;
    }
    q->n_limits = n;
    return true;
}

static bool read_guarantees(struct rv_cli *cli, const char *text,
                            Reeve__V1__Quota__QuotaConfig *q) {
    struct rv_cli_amount *amounts;
    size_t n;

    if (!rv_cli_amounts_parse(text, &cli->arena, &amounts, &n))
        return false;
    q->guarantees =
        RV_ARENA_ARRAY(&cli->arena, Reeve__V1__Quota__QuotaConfig__GuaranteesEntry *, n);
    for (size_t i = 0; i < n; i++) {
        q->guarantees[i] =
            RV_ARENA_NEW(&cli->arena, Reeve__V1__Quota__QuotaConfig__GuaranteesEntry);
        reeve__v1__quota__quota_config__guarantees_entry__init(q->guarantees[i]);
        q->guarantees[i]->key = amounts[i].name;
        q->guarantees[i]->value = amounts[i].value;
    }
    q->n_guarantees = n;
    return true;
}

static int update(struct rv_cli *cli, Reeve__V1__Quota__QuotaConfig **configs, size_t n,
                  bool force) {
    Reeve__V1__Master__Call call = REEVE__V1__MASTER__CALL__INIT;
    Reeve__V1__Master__Call__UpdateQuota what = REEVE__V1__MASTER__CALL__UPDATE_QUOTA__INIT;
    struct rv_error err;

    what.has_force = true;
    what.force = force;
    what.quota_configs = configs;
    what.n_quota_configs = n;
    call.has_type = true;
    call.type = REEVE__V1__MASTER__CALL__TYPE__UPDATE_QUOTA;
    call.update_quota = &what;
    if (rv_cli_tell_master(cli, &call, &err))
        return rv_cli_fail(cli, "%s", err.message);
    return RV_CLI_OK;
}

static int set(struct rv_cli *cli, const struct options *o) {
    Reeve__V1__Quota__QuotaConfig q = REEVE__V1__QUOTA__QUOTA_CONFIG__INIT, *one = &q;
    const char *limits = cli->n_operands > 2 ? cli->operands[2] : NULL;

    if (cli->n_operands > 3 || cli->n_operands < 2 || (!limits && !o->guarantee))
        return rv_cli_misuse(cli, "set ROLE AMOUNTS, or set ROLE --guarantee=AMOUNTS");
    q.role = cli->operands[1];
    if (limits && !read_limits(cli, limits, &q))
        return rv_cli_misuse(cli, "\"%s\" is not amounts, as 'cpus:4;mem:2048'", limits);
    if (o->guarantee && !read_guarantees(cli, o->guarantee, &q))
        return rv_cli_misuse(cli, "\"%s\" is not amounts, as 'cpus:4;mem:2048'", o->guarantee);
    return update(cli, &one, 1, o->force);
}

static int remove_all(struct rv_cli *cli) {
    size_t n = cli->n_operands - 1;
    Reeve__V1__Quota__QuotaConfig **configs =
        RV_ARENA_ARRAY(&cli->arena, Reeve__V1__Quota__QuotaConfig *, n);

    if (n == 0)
        return rv_cli_misuse(cli, "remove: which roles?");
    for (size_t i = 0; i < n; i++) {
        configs[i] = RV_ARENA_NEW(&cli->arena, Reeve__V1__Quota__QuotaConfig);
        reeve__v1__quota__quota_config__init(configs[i]);
        configs[i]->role = cli->operands[i + 1];
    }
    return update(cli, configs, n, false);
}

int rv_cli_quota(int argc, char **argv) {
    struct options values = {0};
    struct rv_cli cli;
    int status;

    if (rv_cli_begin(&cli, &verb, &values, argc, argv, &status)) {
        if (cli.n_operands == 0)
            status = list(&cli);
        else if (rv_streq(cli.operands[0], "set"))
            status = set(&cli, &values);
        else if (rv_streq(cli.operands[0], "remove"))
            status = remove_all(&cli);
        else
            status = rv_cli_misuse(&cli, "\"%s\" is not set or remove", cli.operands[0]);
    }
    rv_cli_end(&cli);
    return status;
}
