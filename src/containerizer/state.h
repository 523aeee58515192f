/*
 * What a containerizer remembers of a container across the agent's death: a small text
 * file each, state_dir/ID (a shorter name for long ids), written before the launch and again, in
 * place, after it. Not synced: it need not survive the machine, whose processes do not either; the
 * machine's boot id tells.
 */
#ifndef RV_CONTAINERIZER_STATE_H
#define RV_CONTAINERIZER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct rv_container_state {
    pid_t pid; /* 0: was about to be launched */
    uint64_t start_ticks;
    bool survive;
    bool own_group, own_pids; /* of control groups, of processes; `linux` only */
    bool terminal;            /* that its init keeps */
    uint64_t log_max_bytes;
    unsigned log_keep;
    int64_t cpu_limit_milli, mem_limit_bytes; /* as in rv_container_limits */
    char *directory;                          /* malloc'ed */
    bool has_status;                          /* read only: the container's init has written it */
    int wait_status;
};

/* The machine's boot id; empty if it has none. */
void rv_container_boot_id(char out[64]);

/* Of an id with those of all that it lies in: "a.b.c". */
enum { RV_CONTAINER_MAX_ID = 1024 };

/* Not empty, no '/', no leading '.', not too long. */
bool rv_container_id_fits(const char *id);
/* The name of a file for a container, malloc'ed: the id, or for a long one how it begins and a
 * hash. Leaves room for a suffix; made from such a name it is the same. */
char *rv_container_file_name(const char *id);

/* The folder of the records, if it is not there yet. */
RV_MUST_USE int rv_container_states_make(const char *state_dir, struct rv_error *err);
RV_MUST_USE int rv_container_state_write(const char *state_dir, const char *boot_id, const char *id,
                                         const struct rv_container_state *state,
                                         struct rv_error *err);
/* -RV_ERR_NOT_FOUND if it is of an earlier boot or empty, -RV_ERR_CORRUPT if it is no such file. */
RV_MUST_USE int rv_container_state_read(const char *state_dir, const char *boot_id, const char *id,
                                        struct rv_container_state *out, struct rv_error *err);
/* A descriptor for appending a NUL and "status N\n" to a record that is there, or an error. */
RV_MUST_USE int rv_container_state_open(const char *state_dir, const char *id,
                                        struct rv_error *err);
void rv_container_state_remove(const char *state_dir, const char *id);

/* Where containers come and go by the hundred, making and removing files costs more than all else
 * in a launch: so files of containers that are over are kept, at most a few, and written anew.
 * `spares` counts them, 0 at the start. */

/* The first record of a container, pid 0. The caller closes *fd, which is at the record's end: for
 * the second one, and for init to append to. */
RV_MUST_USE int rv_container_state_begin(const char *state_dir, const char *boot_id, const char *id,
                                         const struct rv_container_state *state, unsigned *spares,
                                         int *fd, struct rv_error *err);
/* The second record, in place of the first. */
RV_MUST_USE int rv_container_state_change(int fd, const char *boot_id, const char *id,
                                          const struct rv_container_state *state,
                                          struct rv_error *err);
/* Removes a record whose init has ended: nobody else may append to it any more. */
void rv_container_state_end(const char *state_dir, const char *id, unsigned *spares);
/* Removes them, also those of an agent that has died. */
void rv_container_state_drop_spares(const char *state_dir);

/* The ids that have records, malloc'ed strings in a malloc'ed array. */
RV_MUST_USE int rv_container_state_list(const char *state_dir, char ***ids, size_t *n,
                                        struct rv_error *err);
/* Whether there is any of this boot, or that cannot be read. */
bool rv_container_states_any(const char *state_dir);
/* Whether all can be read, if the machine has not been rebooted since they were written: else they
 * may be anything. -RV_ERR_CORRUPT names the first that is damaged. */
RV_MUST_USE int rv_container_states_check(const char *state_dir, struct rv_error *err);

#endif
