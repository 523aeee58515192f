/*
 * Snapshots of /proc, see proctree.h. Holds: the array is sorted by pid; nothing here follows a
 * symbolic link of another user's making, only /proc's own.
 */
#include "containerizer/proctree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/vec.h"

enum { MAX_SCAN_ROUNDS = 64, MAX_STOP_ROUNDS = 20 };

static ssize_t read_all(const char *path, char *out, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;

    if (fd < 0)
        return -1;
    while (n < size - 1) {
        ssize_t got = read(fd, out + n, size - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    out[n] = '\0';
    return (ssize_t)n;
}

bool rv_proc_read(pid_t pid, struct rv_proc *out) {
    char path[64], text[1024];
    struct rv_proc p = {.pid = pid, .owner = -1};
    uint64_t field[22] = {0}; /* from the fourth (ppid) on */
    char *at, *end;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (read_all(path, text, sizeof text) <= 0)
        return false;
    /* The name in parentheses may hold anything, parentheses too. */
    at = strrchr(text, ')');
    if (!at || at[1] != ' ' || at[2] == '\0')
        return false;
    p.state = at[2];
    at += 3;
    for (size_t i = 0; i < RV_COUNT(field); i++) {
        field[i] = (uint64_t)strtoll(at, &end, 10);
        if (end == at)
            return false;
        at = end;
    }
    p.ppid = (pid_t)field[0];
    p.session = (pid_t)field[2];
    p.user_ticks = field[10] + field[12];
    p.system_ticks = field[11] + field[13];
    p.threads = (unsigned)field[16];
    p.start_ticks = field[18];
    p.virtual_bytes = field[19];
    p.rss_pages = field[20];
    *out = p;
    return true;
}

static int by_pid(const void *a, const void *b) {
    const struct rv_proc *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Reads the processes that are listed and not yet in the table; whether there were any. */
static bool read_new(struct rv_proctree *t) {
    const size_t n_known = t->n; /* the part in order */
    DIR *dir = opendir("/proc");
    bool any = false;

    if (!dir)
        return false;
    for (struct dirent *e; (e = readdir(dir));) {
        const struct rv_proctree known = {.v = t->v, .n = n_known};
        struct rv_proc p;
        pid_t pid;
        if (e->d_name[0] < '1' || e->d_name[0] > '9')
            continue;
        pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (rv_proctree_find(&known, pid))
            continue;
        any = true;
        if (rv_proc_read(pid, &p))
            rv_vec_push(t, p);
    }
    closedir(dir);
    if (any && t->n)
        qsort(t->v, t->n, sizeof *t->v, by_pid);
    return any;
}

void rv_proctree_scan(struct rv_proctree *t) {
    t->n = 0;
    for (int round = 0; round < MAX_SCAN_ROUNDS && read_new(t); round++)
        ;
}

void rv_proctree_free(struct rv_proctree *t) {
    rv_vec_free(t);
}

struct rv_proc *rv_proctree_find(const struct rv_proctree *t, pid_t pid) {
    size_t low = 0, high = t->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->v[middle].pid == pid)
            return &t->v[middle];
        if (t->v[middle].pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void rv_proctree_spread(struct rv_proctree *t) {
    bool changed = true;

    /* Parents mostly have the smaller pid, so that one round does, and one more finds no change. */
    while (changed) {
        changed = false;
        for (size_t i = 0; i < t->n; i++) {
            const struct rv_proc *parent;
            if (t->v[i].owner >= 0)
                continue;
            parent = rv_proctree_find(t, t->v[i].ppid);
            if (parent && parent->owner >= 0) {
                t->v[i].owner = parent->owner;
                changed = true;
            }
        }
    }
}

/* A path occurs in text as a whole: not as the beginning of a longer name. */
static bool has_path(const char *text, size_t n, const char *directory) {
    size_t length = strlen(directory);

    for (const char *at = text; (at = memmem(at, n - (size_t)(at - text), directory, length));) {
        char after = at[length]; /* text has a NUL after its n bytes */
        if (after == '\0' || after == '/' || after == ':')
            return true;
        at++;
    }
    return false;
}

bool rv_proc_mentions(pid_t pid, const char *directory) {
    enum { SIZE = 128 * 1024 };
    char path[64];
    _cleanup_free_ char *text = rv_malloc(SIZE);
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    n = read_all(path, text, SIZE);
    if (n > 0 && has_path(text, (size_t)n, directory))
        return true;
    snprintf(path, sizeof path, "/proc/%d/cwd", (int)pid);
    n = readlink(path, text, SIZE - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return strncmp(text, directory, strlen(directory)) == 0 && has_path(text, (size_t)n, directory);
}

size_t rv_proctree_kill(struct rv_proctree *t, void (*mark)(void *ctx, struct rv_proctree *t),
                        void *ctx) {
    size_t found = 0, running = 1;

    /* Until all that are there stand still: what runs may have forked since it was looked at. */
    for (int round = 0; running && round < MAX_STOP_ROUNDS; round++) {
        found = running = 0;
        rv_proctree_scan(t);
        mark(ctx, t);
        rv_proctree_spread(t);
        for (size_t i = 0; i < t->n; i++) {
            if (t->v[i].owner < 0 || !rv_proc_alive(&t->v[i]))
                continue;
            found++;
            if (t->v[i].state != 'T') {
                running++;
                kill(t->v[i].pid, SIGSTOP);
            }
        }
    }
    for (size_t i = 0; i < t->n; i++)
        if (t->v[i].owner >= 0 && rv_proc_alive(&t->v[i]))
            kill(t->v[i].pid, SIGKILL);
    return found;
}
