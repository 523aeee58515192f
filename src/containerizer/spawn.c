/*
 * Starts a process, see spawn.h. Holds: between clone and exec the child runs in the parent's
 * memory, so it calls only what does not allocate, lock or keep state in libc. The change of user
 * is by raw system calls: libc's would try to change all threads of the parent.
 */
#include "containerizer/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/vec.h"

enum { STACK_SIZE = 16 * 1024 };

struct shared {
    const struct rv_spawn *spawn;
    char **candidates; /* what the program may be, in order; NULL-terminated */
    int error;         /* of the child, 0 if it executed */
    const char *what;
};

static int give_up(struct shared *s, const char *what) {
    s->error = errno;
    s->what = what;
    return 127;
}

static int become_user(const struct rv_spawn *spawn) {
    if (syscall(SYS_setgroups, spawn->n_groups, spawn->groups) != 0 ||
        syscall(SYS_setresgid, spawn->gid, spawn->gid, spawn->gid) != 0)
        return -1;
    return (int)syscall(SYS_setresuid, spawn->uid, spawn->uid, spawn->uid);
}

__attribute__((no_sanitize("address", "undefined"))) static int child(void *arg) {
    struct shared *s = arg;
    const struct rv_spawn *spawn = s->spawn;
    static const uint64_t by_default[4]; /* the kernel's sigaction: SIG_DFL, no flags, no mask */
    sigset_t none;
    int error = ENOENT;

    setsid();
    if (spawn->tty && ioctl(spawn->fds[0], TIOCSCTTY, 0) != 0)
        return give_up(s, "terminal");
    if (spawn->reaps)
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    umask(022);
    /* Past libc, which keeps two signals for itself: a parent's posix_spawn(3) may ignore them. */
    for (int i = 1; i < NSIG; i++)
        syscall(SYS_rt_sigaction, i, by_default, NULL, sizeof by_default[0]);
    for (int i = 0; i < 3; i++)
        if (dup2(spawn->fds[i], i) < 0)
            return give_up(s, "dup2");
    if (spawn->directory >= 0 && fchdir(spawn->directory) != 0)
        return give_up(s, "fchdir");
    if (syscall(SYS_close_range, 3u, ~0u, 0u) != 0)
        return give_up(s, "close_range");
    if (spawn->switch_user && become_user(spawn) != 0)
        return give_up(s, "change of user");
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (char **path = s->candidates; *path; path++) {
        execve(*path, (char *const *)(uintptr_t)spawn->argv, (char *const *)(uintptr_t)spawn->env);
        if (errno != ENOENT && errno != ENOTDIR)
            error = errno;
    }
    errno = error;
    return give_up(s, "execve");
}

static const char *program_of(const struct rv_spawn *spawn) {
    return spawn->program ? spawn->program : spawn->argv[0];
}

static char **find_candidates(const struct rv_spawn *spawn) {
    const char *path = "/usr/local/bin:/usr/bin:/bin", *program = program_of(spawn);
    RV_VEC(char *) found = {0};

    if (strchr(program, '/')) {
        rv_vec_push(&found, rv_strdup(program));
        rv_vec_push(&found, NULL);
        return found.v;
    }
    for (const char *const *e = spawn->env; *e; e++)
        if (rv_starts_with(*e, "PATH="))
            path = *e + strlen("PATH=");
    while (*path) {
        size_t n = strcspn(path, ":");
        if (n)
            rv_vec_push(&found, rv_asprintf("%.*s/%s", (int)n, path, program));
        path += n + (path[n] == ':');
    }
    rv_vec_push(&found, NULL);
    return found.v;
}

static void free_candidates(char **v) {
    for (char **p = v; *p; p++)
        free(*p);
    free(v);
}

int rv_spawn(const struct rv_spawn *spawn, pid_t *pid, int *pidfd, struct rv_error *err) {
    struct shared s = {.spawn = spawn};
    sigset_t all, before;
    int flags = CLONE_VM | CLONE_VFORK | SIGCHLD | (pidfd ? CLONE_PIDFD : 0), fd = -1, error;
    _Alignas(16) char stack[STACK_SIZE];
    pid_t p;

    s.candidates = find_candidates(spawn);
    /* No handler of the parent may run in the child. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    p = clone(child, stack + STACK_SIZE, flags, &s, &fd);
    error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    free_candidates(s.candidates);
    if (p < 0)
        return rv_error_set(err, RV_ERR_IO, "clone: %s", strerror(error));
    if (s.error) {
        while (waitpid(p, NULL, 0) < 0 && errno == EINTR)
            continue;
        if (pidfd)
            close(fd);
        if (strcmp(s.what, "execve") == 0)
            return rv_error_set(err, RV_ERR_IO, "Cannot execute '%s': %s", program_of(spawn),
                                strerror(s.error));
        return rv_error_set(err, RV_ERR_IO, "Cannot start '%s': %s: %s", program_of(spawn), s.what,
                            strerror(s.error));
    }
    *pid = p;
    if (pidfd)
        *pidfd = fd;
    return 0;
}
