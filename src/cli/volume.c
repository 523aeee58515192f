/*
 * reeve volume: persistent volumes of agents. A volume is made of disk that is reserved for its
 * role already, as it is reserved.
 */
#include "cli/cluster.h"
#include "cli/output.h"
#include "cli/verbs.h"

struct options {
    const char *path;
    bool shared;
};

static const struct rv_cli_option options[] = {
    {"path", 0, "PATH", "create: where tasks see it unless they say so; volume", RV_CLI_TEXT,
     offsetof(struct options, path)},
    {"shared", 0, NULL, "create: any number of tasks may use it at once", RV_CLI_FLAG,
     offsetof(struct options, shared)},
};
static const struct rv_cli_verb verb = {
    .name = "volume",
    .operands = "[create NODE ROLE ID MB | destroy NODE ROLE ID]",
    .about = "Lists persistent volumes, with their size in MB. NODE is an id, its beginning or "
             "end, or a host\nname.\n\n"
             "  create   makes one of disk that is reserved for the role: reeve reserve\n"
             "  destroy  removes one with all that is in it; its disk stays reserved",
    .options = options,
    .n_options = RV_COUNT(options),
    .max_operands = 5,
};

static void put_rows(struct rv_cli_table *t,
                     const Reeve__V1__Master__Response__GetAgents__Agent *agent) {
    for (size_t i = 0; i < agent->n_total_resources; i++) {
        const Reeve__V1__Resource *r = agent->total_resources[i];

        if (!rv_cli_volume_id(r) || !r->n_reservations)
            continue;
        rv_cli_cell(t, agent->agent_info->id->value);
        rv_cli_cell(t, r->reservations[r->n_reservations - 1]->role);
        rv_cli_cell(t, rv_cli_volume_id(r));
        rv_cli_cell_number(t, r->scalar ? r->scalar->value : 0);
        rv_cli_cell(t, r->shared ? "yes" : NULL);
    }
}

static int list(struct rv_cli *cli, const struct rv_cli_cluster *c) {
    const struct rv_cli_column columns[] = {
        {"NODE", "node", RV_CLI_CELL_ID, 0, &c->agent_ids},
        {"ROLE", "role", RV_CLI_CELL_TEXT, 0, NULL},
        {"ID", "id", RV_CLI_CELL_TEXT, 0, NULL},
        {"SIZE", "size", RV_CLI_CELL_NUMBER, 0, NULL},
        {"SHARED", "shared", RV_CLI_CELL_TEXT, 0, NULL},
    };

    rv_cli_cluster_list(cli, c, columns, RV_COUNT(columns), put_rows);
    return RV_CLI_OK;
}

/* Of the agent, what is for the role: that volume, or without an id plain disk of at least `mb`. */
static Reeve__V1__Resource *find(const Reeve__V1__Master__Response__GetAgents__Agent *agent,
                                 const char *role, const char *id, double mb) {
    for (size_t i = 0; i < agent->n_total_resources; i++) {
        Reeve__V1__Resource *r = agent->total_resources[i];

        if (r->n_reservations && rv_streq(r->reservations[r->n_reservations - 1]->role, role) &&
            rv_streq(rv_cli_volume_id(r), id) && rv_streq(r->name, "disk") &&
            r->scalar->value >= mb)
            return r;
    }
    return NULL;
}

static int tell(struct rv_cli *cli, const Reeve__V1__Master__Call *call) {
    struct rv_error err;

    return rv_cli_tell_master(cli, call, &err) ? rv_cli_fail(cli, "%s", err.message) : RV_CLI_OK;
}

static int create(struct rv_cli *cli, const struct options *o,
                  const Reeve__V1__Master__Response__GetAgents__Agent *agent) {
    Reeve__V1__Master__Call call = REEVE__V1__MASTER__CALL__INIT;
    Reeve__V1__Master__Call__CreateVolumes what = REEVE__V1__MASTER__CALL__CREATE_VOLUMES__INIT;
    Reeve__V1__Resource__DiskInfo disk = REEVE__V1__RESOURCE__DISK_INFO__INIT;
    Reeve__V1__Resource__DiskInfo__Persistence persistence =
        REEVE__V1__RESOURCE__DISK_INFO__PERSISTENCE__INIT;
    Reeve__V1__Resource__SharedInfo shared = REEVE__V1__RESOURCE__SHARED_INFO__INIT;
    Reeve__V1__Volume volume = REEVE__V1__VOLUME__INIT;
    Reeve__V1__Value__Scalar size = REEVE__V1__VALUE__SCALAR__INIT;
    Reeve__V1__Resource made, *found, *one = &made;

    if (rv_parse_double(cli->operands[4], &size.value) || size.value <= 0)
        return rv_cli_misuse(cli, "\"%s\" is not a size in MB", cli->operands[4]);
    found = find(agent, cli->operands[2], NULL, size.value);
    if (!found)
        return rv_cli_fail(cli, "no %g MB of disk are reserved for %s there", size.value,
                           cli->operands[2]);
    persistence.id = cli->operands[3];
    volume.mode = REEVE__V1__VOLUME__MODE__RW;
    volume.container_path = (char *)(uintptr_t)(o->path ? o->path : "volume");
    if (found->disk)
        disk.source = found->disk->source;
    disk.persistence = &persistence;
    disk.volume = &volume;
    made = *found;
    made.scalar = &size;
    made.disk = &disk;
    made.shared = o->shared ? &shared : NULL;
    what.agent_id = agent->agent_info->id;
    what.volumes = &one;
    what.n_volumes = 1;
    call.has_type = true;
    call.type = REEVE__V1__MASTER__CALL__TYPE__CREATE_VOLUMES;
    call.create_volumes = &what;
    return tell(cli, &call);
}

static int destroy(struct rv_cli *cli, const Reeve__V1__Master__Response__GetAgents__Agent *agent) {
    Reeve__V1__Master__Call call = REEVE__V1__MASTER__CALL__INIT;
    Reeve__V1__Master__Call__DestroyVolumes what = REEVE__V1__MASTER__CALL__DESTROY_VOLUMES__INIT;
    Reeve__V1__Resource *found = find(agent, cli->operands[2], cli->operands[3], 0);

    if (!found)
        return rv_cli_fail(cli, "%s has no volume %s there", cli->operands[2], cli->operands[3]);
    what.agent_id = agent->agent_info->id;
    what.volumes = &found;
    what.n_volumes = 1;
    call.has_type = true;
    call.type = REEVE__V1__MASTER__CALL__TYPE__DESTROY_VOLUMES;
    call.destroy_volumes = &what;
    return tell(cli, &call);
}

static int change(struct rv_cli *cli, const struct options *o, const struct rv_cli_cluster *c) {
    const Reeve__V1__Master__Response__GetAgents__Agent *agent;
    bool creates = rv_streq(cli->operands[0], "create");
    struct rv_error err;
    const char *id;

    if (!creates && !rv_streq(cli->operands[0], "destroy"))
        return rv_cli_misuse(cli, "\"%s\" is not create or destroy", cli->operands[0]);
    if (cli->n_operands != (creates ? 5 : 4))
        return rv_cli_misuse(cli, "%s",
                             creates ? "create NODE ROLE ID MB" : "destroy NODE ROLE ID");
    if (rv_cli_agent_find(c, cli->operands[1], &id, &err))
        return rv_cli_fail(cli, "%s", err.message);
    agent = rv_cli_agent_by_id(c, id);
    if (!agent)
        return rv_cli_fail(cli, "node %s is away", id);
    return creates ? create(cli, o, agent) : destroy(cli, agent);
}

int rv_cli_volume(int argc, char **argv) {
    struct options values = {0};
    struct rv_cli_cluster c = {0};
    struct rv_error err;
    struct rv_cli cli;
    int status;

    if (rv_cli_begin(&cli, &verb, &values, argc, argv, &status)) {
        if (rv_cli_agents_get(&cli, &c, &err))
            status = rv_cli_fail(&cli, "%s", err.message);
        else
            status = cli.n_operands ? change(&cli, &values, &c) : list(&cli, &c);
        rv_cli_cluster_free(&c);
    }
    rv_cli_end(&cli);
    return status;
}
