/* The verbs of `reeve`, one table: name, group, synopsis, what it does, what runs it. */
#ifndef RV_CLI_VERBS_H
#define RV_CLI_VERBS_H

/* Each takes the arguments after the verb and gives the exit status. */
int rv_cli_run(int argc, char **argv);
int rv_cli_ps(int argc, char **argv);
int rv_cli_logs(int argc, char **argv);
int rv_cli_kill(int argc, char **argv);
int rv_cli_exec(int argc, char **argv);
int rv_cli_attach(int argc, char **argv);
int rv_cli_node(int argc, char **argv);
int rv_cli_nodes(int argc, char **argv);
int rv_cli_frameworks(int argc, char **argv);
int rv_cli_roles(int argc, char **argv);
int rv_cli_quota(int argc, char **argv);
int rv_cli_reserve(int argc, char **argv);
int rv_cli_unreserve(int argc, char **argv);
int rv_cli_volume(int argc, char **argv);
int rv_cli_state(int argc, char **argv);
int rv_cli_top(int argc, char **argv);

#endif
