/* reeve VERB [arguments]: one table of verbs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/memory.h"
#include "cli/verbs.h"
#include "daemon/run.h"
#include "daemon/version.h"

static int version(int argc, char **argv) {
    (void)argc;
    (void)argv;
    printf("reeve %s (v1 API %s)\n", RV_VERSION, RV_API_VERSION);
    return 0;
}

static int flag_reference(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return rv_run_flag_reference();
}

struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
};

static const struct verb verbs[] = {
    {"local", rv_run_local, "run a master and agents on this machine"},
    {"master", rv_run_master, "run a master"},
    {"agent", rv_run_agent, "run an agent"},
    {"run", rv_cli_run, "run a command on the cluster, with its output"},
    {"ps", rv_cli_ps, "list tasks"},
    {"logs", rv_cli_logs, "show what a task wrote"},
    {"kill", rv_cli_kill, "end a task"},
    {"exec", rv_cli_exec, "run a command beside a task"},
    {"attach", rv_cli_attach, "show what a task writes from now on"},
    {"nodes", rv_cli_nodes, "list agents"},
    {"node", rv_cli_node, "take an agent out of service, or put it back"},
    {"frameworks", rv_cli_frameworks, "list frameworks"},
    {"roles", rv_cli_roles, "list roles"},
    {"quota", rv_cli_quota, "show, set or remove what roles are guaranteed, and may have"},
    {"reserve", rv_cli_reserve, "show what is reserved for roles, or reserve more"},
    {"unreserve", rv_cli_unreserve, "give back what is reserved"},
    {"volume", rv_cli_volume, "show, create or destroy persistent volumes"},
    {"top", rv_cli_top, "show what agents or containers use, again and again"},
    {"state", rv_cli_state, "show the whole state as JSON"},
    {"registry", rv_run_registry, "look after the registry: dump, check, restore"},
    {"flags", flag_reference, "print the reference of all flags"},
    {"version", version, "print the version"},
};

static int usage(FILE *out, int status) {
    fputs("reeve VERB [arguments]; reeve VERB --help says more\n\n", out);
    for (size_t i = 0; i < RV_COUNT(verbs); i++)
        fprintf(out, "  %-11s %s\n", verbs[i].name, verbs[i].about);
    return status;
}

int main(int argc, char **argv) {
    /* Without memory libuv just aborts; ours say why. */
    (void)uv_replace_allocator(rv_malloc, rv_realloc, rv_calloc, free);
    if (argc < 2)
        return usage(stderr, 2);
    if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return usage(stdout, 0);
    if (!strcmp(argv[1], "--version"))
        return version(0, NULL);
    for (size_t i = 0; i < RV_COUNT(verbs); i++)
        if (!strcmp(argv[1], verbs[i].name))
            return verbs[i].run(argc - 2, argv + 2);
    fprintf(stderr, "reeve: there is no verb \"%s\"\n\n", argv[1]);
    return usage(stderr, 2);
}
