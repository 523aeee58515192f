/*
 * Starts init, see launcher.h. Holds: between clone3 and execveat a child runs on the caller's
 * stack and in its memory while the calling thread waits (CLONE_VM and CLONE_VFORK), so it calls
 * only what does not allocate, lock or keep state in libc, and never returns. All signals are
 * blocked from before the clone on.
 *
 * To be in new namespaces below those of another container takes up to three steps, as the kernel
 * lets a process neither enter a process namespace itself nor make one from outside: the first
 * child joins, the second is in there, the third is init. The helpers share our table of
 * descriptors, so the descriptor of init arrives in it, and each makes the next one our child
 * instead of its own.
 */
#include "containerizer/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "executor/embed.h"
#include "reeve/v1/init.pb-c.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

/* Children run on our stack: the sanitizers' bookkeeping must not follow them. */
#define CHILD_CODE __attribute__((noinline, no_sanitize("address", "undefined")))

enum { HIGH_FD = 512, IMAGE_FD = RV_LAUNCHER_FDS, FAILED = 127 };

enum step { JOIN, ENTER, INIT };

struct shared {
    const struct rv_launcher_start *start;
    int error; /* of a child; 0 if init executed */
    const char *what;
    int pidfd;
    pid_t pid; /* of init, if it was no helper that has made it */
    pid_t helpers[2];
    int n_helpers;
};

static void child(struct shared *s, enum step step) __attribute__((noreturn));

/* The system call as such: it returns twice on one stack, which no function around it survives but
 * one that the child never leaves. */
static CHILD_CODE long clone_here(struct clone_args *args, struct shared *s, enum step step) {
    long result;

#if defined(__x86_64__)
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"((long)SYS_clone3), "D"(args), "S"(sizeof *args)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = (long)sizeof *args;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1) : "memory");
    result = x0;
#else
#error "no clone3 for this architecture yet"
#endif
    if (result == 0)
        child(s, step);
    return result;
}

static CHILD_CODE void give_up(struct shared *s, const char *what) {
    s->error = errno;
    s->what = what;
    syscall(SYS_exit, FAILED);
}

static CHILD_CODE void start_init(struct shared *s, uint64_t more) {
    const struct rv_launcher_start *start = s->start;
    struct clone_args args = {.flags =
                                  CLONE_VM | CLONE_VFORK | CLONE_PIDFD | more | start->namespaces,
                              .pidfd = (uint64_t)(uintptr_t)&s->pidfd};
    long pid;

    if (!(more & CLONE_PARENT))
        args.exit_signal = SIGCHLD;
    if (start->cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)start->cgroup;
    }
    pid = clone_here(&args, s, INIT);
    if (pid < 0) {
        errno = (int)-pid;
        s->error = errno;
        s->what = "clone3";
    } else if (start->parent < 0) {
        s->pid = (pid_t)pid; /* a helper may be told another number than we know it by */
    }
}

static CHILD_CODE void start_helper(struct shared *s, enum step step, uint64_t more) {
    struct clone_args args = {.flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | more};
    long pid;

    if (!(more & CLONE_PARENT))
        args.exit_signal = SIGCHLD;
    /* The numbers are those that we see: helpers are made from our process namespace. */
    pid = clone_here(&args, s, step);
    if (pid < 0) {
        s->error = (int)-pid;
        s->what = "clone3";
    } else {
        s->helpers[s->n_helpers++] = (pid_t)pid;
    }
}

/* Two rounds, so that no number is overwritten before it was used. */
static CHILD_CODE void arrange_fds(struct shared *s) {
    int high[RV_LAUNCHER_FDS + 1];

    for (int i = 0; i <= RV_LAUNCHER_FDS; i++) {
        int fd = i == IMAGE_FD ? s->start->image : s->start->fds[i];
        high[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD, HIGH_FD);
        if (fd >= 0 && high[i] < 0)
            give_up(s, "F_DUPFD");
    }
    for (int i = 0; i <= RV_LAUNCHER_FDS; i++)
        if (high[i] < 0)
            close(i);
        else if (dup3(high[i], i, i == IMAGE_FD ? O_CLOEXEC : 0) < 0)
            give_up(s, "dup3");
    if (syscall(SYS_close_range, (unsigned)IMAGE_FD + 1, ~0u, 0u) != 0)
        give_up(s, "close_range");
}

static CHILD_CODE void become_init(struct shared *s) {
    const char *const argv[] = {"reeve-init", "init", s->start->executor, NULL};
    static const char *const none[] = {NULL};
    const char *const *env = s->start->executor ? s->start->env : none;

    for (size_t i = 0; i < s->start->n_groups; i++)
        if (write(s->start->groups[i], "0", 1) != 1)
            give_up(s, "joining a control group");
    /* Only now: from in there our own group could not be left. */
    if (s->start->parent >= 0 && s->start->join_cgroups &&
        setns(s->start->parent, CLONE_NEWCGROUP) != 0)
        give_up(s, "setns");
    arrange_fds(s);
    syscall(SYS_execveat, IMAGE_FD, "", argv, env, AT_EMPTY_PATH);
    give_up(s, "execveat");
}

static CHILD_CODE void child(struct shared *s, enum step step) {
    const struct rv_launcher_start *start = s->start;

    if (step == JOIN) {
        if (setns(start->parent, (int)start->joined) != 0)
            give_up(s, "setns");
        if ((start->joined & CLONE_NEWPID) && (start->namespaces & CLONE_NEWPID))
            start_helper(s, ENTER, CLONE_PARENT);
        else
            start_init(s, CLONE_PARENT);
    } else if (step == ENTER) {
        start_init(s, CLONE_PARENT);
    } else {
        become_init(s);
    }
    for (;;)
        syscall(SYS_exit, 0);
}

/* Of a process that is not yet waited for. */
static pid_t pid_of(int pidfd) {
    char path[64], line[256];
    FILE *f;
    pid_t pid = -1;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    f = fopen(path, "re");
    if (!f)
        return -1;
    while (fgets(line, sizeof line, f))
        if (rv_starts_with(line, "Pid:"))
            pid = (pid_t)strtol(line + 4, NULL, 10);
    fclose(f);
    return pid;
}

static void wait_for(pid_t pid) {
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
        continue;
}

int rv_launcher_start(const struct rv_launcher_start *start, pid_t *pid, int *pidfd,
                      struct rv_error *err) {
    struct shared s = {.start = start, .pidfd = -1};
    sigset_t all, before;
    pid_t p;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (start->parent >= 0)
        start_helper(&s, JOIN, 0);
    else
        start_init(&s, 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (int i = 0; i < s.n_helpers; i++)
        wait_for(s.helpers[i]);
    p = s.pid;
    if (p <= 0)
        p = s.pidfd >= 0 ? pid_of(s.pidfd) : -1;
    if (s.error || p <= 0) {
        if (p > 0)
            wait_for(p);
        if (s.pidfd >= 0)
            close(s.pidfd);
        return rv_error_set(err, RV_ERR_IO, "Cannot start a container: %s: %s",
                            s.what ? s.what : "its process", strerror(s.error ? s.error : ESRCH));
    }
    *pid = p;
    *pidfd = s.pidfd;
    return 0;
}

int rv_launcher_seal(const char *name, const void *bytes, size_t n, int *fd, struct rv_error *err) {
    int f = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

    if (f < 0 && errno == EINVAL)
        f = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (f < 0)
        return rv_error_set(err, RV_ERR_IO, "memfd_create: %s", strerror(errno));
    for (size_t done = 0; done < n;) {
        ssize_t put = write(f, (const char *)bytes + done, n - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            int rc = rv_error_set(err, RV_ERR_IO, "write: %s", strerror(errno));
            close(f);
            return rc;
        }
        done += (size_t)put;
    }
    if (fcntl(f, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        int rc = rv_error_set(err, RV_ERR_IO, "F_ADD_SEALS: %s", strerror(errno));
        close(f);
        return rc;
    }
    *fd = f;
    return 0;
}

int rv_launcher_seal_init(int *fd, struct rv_error *err) {
    int rc = rv_launcher_seal("reeve-init", rv_executor_elf, rv_executor_elf_size, fd, err);

    rv_forget_pages(rv_executor_elf, rv_executor_elf_size);
    return rc;
}

int rv_launcher_seal_orders(const Reeve__V1__Init__Orders *orders, int *fd, struct rv_error *err) {
    size_t n = reeve__v1__init__orders__get_packed_size(orders);
    _cleanup_free_ uint8_t *bytes = rv_malloc(n + 1);
    int rc;

    reeve__v1__init__orders__pack(orders, bytes);
    rc = rv_launcher_seal("reeve-orders", bytes, n, fd, err);
    explicit_bzero(bytes, n); /* there may be secrets in it */
    return rc;
}
