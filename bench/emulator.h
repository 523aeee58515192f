/*
 * Agents without containers, for benchmarks: they register over real sockets through the real link
 * of an agent, and end every task at once: RUNNING, and FINISHED when that was acknowledged. With
 * `masters` they follow the leader, all of them by one detector, and register again with all their
 * tasks, as soon and as often as real agents do (src/agent/registration.c).
 */
#ifndef RV_BENCH_EMULATOR_H
#define RV_BENCH_EMULATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct emulator;

struct emulator_config {
    const char *host; /* of the master, which must last as long as they do */
    uint16_t port;
    const char *masters; /* instead: zk://..., where the leader is found */
    unsigned agents;
    const char *resources; /* of each */
    unsigned burst;        /* registrations under way at once; 0: all */
    bool hold;             /* tasks stay RUNNING */
};

struct emulator *emulator_start(uv_loop_t *loop, const struct emulator_config *config);
unsigned emulator_registered(const struct emulator *e); /* with the master that leads */
unsigned emulator_running(const struct emulator *e);    /* tasks held, RUNNING acknowledged */
unsigned emulator_tries(const struct emulator *e);      /* registrations sent */

/* Runs `reeve master` (the program of the environment's REEVE, or beside this benchmark) on a free
 * port with more arguments, NULL-terminated; its pid and port. Exits with a message on failure. */
int start_master(const char *const *arguments, uint16_t *port);
/* Runs `reeve agent` with that master ("host:port") likewise. */
int start_agent(const char *master, const char *work_dir, const char *const *arguments,
                uint16_t *port);
/* Runs `reeve run` with a shell command; its pid. */
int run_task(const char *master, const char *command);
/* SIGTERM, and waits. */
void stop_process(int pid);
char *new_work_dir(void);            /* in TMPDIR or /var/tmp; malloc'ed; exits on failure */
int remove_folder(const char *path); /* with all that is in it */
/* Resident memory of a process in KiB, and its CPU time so far in seconds. */
long resident_kib(int pid);
double cpu_seconds(int pid);
double now_seconds(void);

#endif
