/*
 * What runs on this machine, read from /proc: a snapshot of all processes, and which of them belong
 * together. Used to find everything of a container or task when there is no cgroup to ask.
 *
 * A snapshot is stale at once: processes fork and end while it is read. Whoever kills by it stops
 * what it found first, and repeats until a new snapshot shows nothing. Costs some 10 us a process.
 */
#ifndef RV_CONTAINERIZER_PROCTREE_H
#define RV_CONTAINERIZER_PROCTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct rv_proc {
    pid_t pid, ppid, session;
    char state;                        /* as in /proc/PID/stat; 'Z' and 'X' are dead already */
    unsigned threads;                  /* of this process */
    uint64_t start_ticks;              /* since boot: with the pid it names a process for good */
    uint64_t user_ticks, system_ticks; /* with those of children it has waited for */
    uint64_t virtual_bytes, rss_pages;
    int owner; /* set by the caller and rv_proctree_spread; -1: nobody's */
};

/* Zero-initialised is empty. */
struct rv_proctree {
    struct rv_proc *v; /* by ascending pid */
    size_t n, cap;
};

/* Reads one process; false if there is none. owner is -1. */
bool rv_proc_read(pid_t pid, struct rv_proc *out);

/*
 * Takes a new snapshot; owners are all -1. Without /proc it is empty.
 *
 * /proc is first listed and then read: a process can fork and end in between, and neither it nor
 * its child would be seen. So the list is taken again until it names nobody new: whoever lives then
 * has been read.
 */
void rv_proctree_scan(struct rv_proctree *t);
void rv_proctree_free(struct rv_proctree *t);

struct rv_proc *rv_proctree_find(const struct rv_proctree *t, pid_t pid); /* or NULL */

/* Gives every process without owner that of its nearest ancestor that has one. */
void rv_proctree_spread(struct rv_proctree *t);

static inline bool rv_proc_alive(const struct rv_proc *p) {
    return p->state != 'Z' && p->state != 'X';
}

/* The process was started with this text in its environment, or works below that directory. False
 * if it cannot be read. */
bool rv_proc_mentions(pid_t pid, const char *directory);

/* Lets `mark` set owners in a fresh snapshot and kills what has one, with descendants: stops them
 * first, until a snapshot shows no new one, so that none escapes by forking. Returns how many were
 * found; zero means that nothing is left. The caller repeats, with pauses, until then. */
size_t rv_proctree_kill(struct rv_proctree *t, void (*mark)(void *ctx, struct rv_proctree *t),
                        void *ctx);

#endif
