/* The verbs that are daemons: parse flags, run until a signal, end in good order. */
#ifndef RV_DAEMON_RUN_H
#define RV_DAEMON_RUN_H

/* argv without the verb; the process's exit status. --help prints the flags. */
int rv_run_master(int argc, char **argv);
int rv_run_agent(int argc, char **argv);
int rv_run_local(int argc, char **argv);
/* The reference of all flags in Markdown, on standard output. */
/* reeve registry dump|check|restore (registry_tool.c). */
int rv_run_registry(int argc, char **argv);
int rv_run_flag_reference(void);

#endif
