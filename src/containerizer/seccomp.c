/*
 * The profile, see seccomp.h: tables, and what makes a filter program of them. Holds: a call is in
 * one table only; names that a kernel or an architecture does not have are passed over.
 *
 * The kernel compiles the program anew for each container and tries it with every number, so it is
 * short: for each architecture a search by halves over runs of numbers with the same verdict, a
 * quarter of what libseccomp makes of the same rules. The numbers are from libseccomp.
 */
#include "containerizer/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each a list of words. */
static const char allowed[] =
    "accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod "
    "chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
    "clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect "
    "copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old "
    "epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit "
    "exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod "
    "fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr "
    "flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate "
    "ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat "
    "getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 "
    "getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority "
    "getrandom getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage "
    "getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr "
    "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy "
    "io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc "
    "kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 "
    "lgetxattr link linkat listen listxattr llistxattr _llseek lremovexattr lseek lsetxattr lstat "
    "lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat "
    "mknod mknodat mlock mlock2 mlockall mmap mmap2 modify_ldt mprotect mq_getsetattr mq_notify "
    "mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink "
    "mremap msgctl msgget msgrcv msgsnd mseal msync munlock munlockall munmap name_to_handle_at "
    "nanosleep newfstatat _newselect open openat openat2 pause pidfd_getfd pidfd_open "
    "pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl "
    "pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 "
    "pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv "
    "recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr rename renameat "
    "renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask "
    "rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 "
    "rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max "
    "sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 "
    "sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select "
    "semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg "
    "sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 "
    "setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid "
    "setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area "
    "set_tid_address setuid setuid32 setxattr shmat shmctl shmdt shmget shutdown sigaltstack "
    "signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs "
    "statfs64 statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time "
    "timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime "
    "timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
    "timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat "
    "utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev "
    /* Those that a capability guards, which only an operator can give. */
    "chroot reboot sethostname setdomainname syslog vhangup";

static const char refused[] =
    "acct add_key afs_syscall bpf clock_settime clock_settime64 create_module delete_module "
    "fanotify_init finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy "
    "init_module ioperm iopl kcmp kexec_file_load kexec_load keyctl listmount lookup_dcookie mbind "
    "migrate_pages mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at "
    "open_tree perf_event_open pivot_root process_madvise query_module quotactl quotactl_fd "
    "request_key set_mempolicy set_mempolicy_home_node setns settimeofday statmount stime swapoff "
    "swapon sysfs _sysctl umount umount2 uselib userfaultfd ustat vm86 vm86old";

#define NEW_NAMESPACES                                                                             \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET)

/* Calls that are allowed for some values of an argument and refused for others; what is in neither
 * list is allowed or not there. */
static const uint32_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
static const uint32_t refused_families[] = {AF_PACKET, AF_ALG, AF_VSOCK};
static const uint32_t personalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};
/* By these the owner of a file takes it out of its project's quota: FS_IOC_FSSETXATTR,
 * FS_IOC_SETFLAGS and that of 32 bits. */
static const uint32_t refused_controls[] = {0x401c5820, 0x40086602, 0x40046602};
static const struct special {
    const char *name;
    uint32_t refused_bits; /* not 0: refused with any of them, else allowed, and no lists */
    const uint32_t *allowed, *refused;
    size_t n_allowed, n_refused;
    unsigned argument;   /* from 0 */
    bool others_allowed; /* the kernel looks at 32 bits of it, and so do we */
} specials[] = {
    {"socket", 0, families, refused_families, RV_COUNT(families), RV_COUNT(refused_families), 0,
     false},
    {"personality", 0, personalities, NULL, RV_COUNT(personalities), 0, 0, false},
    {"ioctl", 0, NULL, refused_controls, 0, RV_COUNT(refused_controls), 1, true},
    {"clone", NEW_NAMESPACES, NULL, NULL, 0, 0, 0, false},
    /* The lowest byte of clone's flags is a signal. */
    {"unshare", NEW_NAMESPACES | CLONE_NEWTIME, NULL, NULL, 0, 0, 0, false},
};

static const uint32_t architectures[] = {
#if defined(__x86_64__)
    SCMP_ARCH_X86_64, SCMP_ARCH_X86
#elif defined(__aarch64__)
    SCMP_ARCH_AARCH64, SCMP_ARCH_ARM
#else
#error "no profile for this architecture yet"
#endif
};

enum {
    MAX_NUMBERS = 1024,
    MAX_PROGRAM = BPF_MAXINSNS,
    MAX_JUMP = 255,
    LABEL = 0x8000 /* a target: with a verdict, where that is dealt with; else an instruction */
};

/* What is answered; SPECIAL + i: what specials[i] says. */
enum verdict { ALLOW, REFUSE, UNKNOWN, SPECIAL, VERDICTS = SPECIAL + RV_COUNT(specials) };

struct run {
    uint32_t from; /* until the next */
    uint8_t verdict;
};

struct program {
    struct sock_filter code[MAX_PROGRAM];
    uint16_t yes[MAX_PROGRAM], no[MAX_PROGRAM]; /* targets of the branches */
    size_t n;
    struct run runs[MAX_NUMBERS];
    uint16_t labels[VERDICTS];
};

static bool is_in(const char *words, const char *name) {
    size_t n = strlen(name);

    for (const char *at = words; (at = strstr(at, name)); at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    return false;
}

static unsigned verdict_of(const char *name) {
    for (unsigned i = 0; i < RV_COUNT(specials); i++)
        if (rv_streq(name, specials[i].name))
            return SPECIAL + i;
    return is_in(allowed, name) ? ALLOW : is_in(refused, name) ? REFUSE : UNKNOWN;
}

static size_t find_runs(struct run *runs, uint32_t architecture) {
    size_t n = 0;

    for (uint32_t i = 0; i < MAX_NUMBERS; i++) {
        _cleanup_free_ char *name = seccomp_syscall_resolve_num_arch(architecture, (int)i);
        unsigned verdict = name ? verdict_of(name) : UNKNOWN;
        if (i == 0 || verdict != runs[n - 1].verdict)
            runs[n++] = (struct run){i, (uint8_t)verdict};
    }
    return n;
}

/* ---- instructions ---- */

static void put(struct program *p, uint16_t code, uint32_t k) {
    if (p->n < MAX_PROGRAM)
        p->code[p->n++] = (struct sock_filter)BPF_STMT(code, k);
}

static void branch(struct program *p, uint16_t test, uint32_t k, unsigned yes, unsigned no) {
    if (p->n < MAX_PROGRAM) {
        p->yes[p->n] = (uint16_t)yes;
        p->no[p->n] = (uint16_t)no;
    }
    put(p, (uint16_t)(BPF_JMP | test | BPF_K), k);
}

static void load(struct program *p, size_t offset) {
    put(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

/* Where to go for a number in runs from..to-1. */
static unsigned search(struct program *p, size_t from, size_t to) {
    size_t middle = from + (to - from) / 2, at = p->n;

    if (to - from == 1)
        return LABEL | p->runs[from].verdict;
    branch(p, BPF_JGE, p->runs[middle].from, 0, 0);
    unsigned below = search(p, from, middle), above = search(p, middle, to);
    p->no[at] = (uint16_t)below;
    p->yes[at] = (uint16_t)above;
    return (unsigned)at;
}

static void look_at_argument(struct program *p, const struct special *s) {
    size_t low = offsetof(struct seccomp_data, args) + s->argument * sizeof(uint64_t);
    size_t high = low + sizeof(uint32_t);

    if (s->refused_bits) {
        load(p, low);
        branch(p, BPF_JSET, s->refused_bits, LABEL | REFUSE, LABEL | ALLOW);
        return;
    }
    if (!s->others_allowed) {
        load(p, high);
        branch(p, BPF_JEQ, 0, (unsigned)p->n + 1, LABEL | UNKNOWN);
    }
    load(p, low);
    for (size_t i = 0; i < s->n_allowed; i++)
        branch(p, BPF_JEQ, s->allowed[i], LABEL | ALLOW, (unsigned)p->n + 1);
    for (size_t i = 0; i < s->n_refused; i++)
        branch(p, BPF_JEQ, s->refused[i], LABEL | REFUSE, (unsigned)p->n + 1);
    put(p, BPF_RET | BPF_K,
        s->others_allowed ? (uint32_t)SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | ENOSYS);
}

/* Targets become distances. False: one is too far. */
static bool settle(struct program *p, size_t from) {
    for (size_t i = from; i < p->n; i++) {
        struct sock_filter *f = &p->code[i];
        if (BPF_CLASS(f->code) != BPF_JMP || BPF_OP(f->code) == BPF_JA)
            continue;
        size_t yes = p->yes[i] & LABEL ? p->labels[p->yes[i] & ~LABEL] : p->yes[i];
        size_t no = p->no[i] & LABEL ? p->labels[p->no[i] & ~LABEL] : p->no[i];
        if (yes - i - 1 > MAX_JUMP || no - i - 1 > MAX_JUMP)
            return false;
        f->jt = (uint8_t)(yes - i - 1);
        f->jf = (uint8_t)(no - i - 1);
    }
    return true;
}

static bool put_architecture(struct program *p, uint32_t architecture) {
    size_t begin = p->n, n = find_runs(p->runs, architecture);

    load(p, offsetof(struct seccomp_data, arch));
    branch(p, BPF_JEQ, architecture, (unsigned)begin + 3, (unsigned)begin + 2);
    put(p, BPF_JMP | BPF_JA, 0); /* to the next one, which may be far */
    load(p, offsetof(struct seccomp_data, nr));
    search(p, 0, n);
    for (size_t i = 0; i < RV_COUNT(specials); i++) {
        p->labels[SPECIAL + i] = (uint16_t)p->n;
        look_at_argument(p, &specials[i]);
    }
    p->labels[ALLOW] = (uint16_t)p->n;
    put(p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    p->labels[REFUSE] = (uint16_t)p->n;
    put(p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    p->labels[UNKNOWN] = (uint16_t)p->n;
    put(p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    p->code[begin + 2].k = (uint32_t)(p->n - begin - 3);
    return settle(p, begin);
}

/* The program, or nothing if it does not fit. */
static void build(struct rv_buf *out) {
    struct program *p = rv_calloc(1, sizeof *p);
    bool fits = true;

    for (size_t i = 0; i < RV_COUNT(architectures); i++)
        fits = fits && put_architecture(p, architectures[i]);
    put(p, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    if (fits && p->n < MAX_PROGRAM)
        rv_buf_append(out, p->code, p->n * sizeof *p->code);
    free(p);
}

/* In a process of its own, since the pages of libseccomp that are read once would stay resident. */
int rv_seccomp_compile(struct rv_buf *out, struct rv_error *err) {
    size_t before = out->n, most = MAX_PROGRAM * sizeof(struct sock_filter);
    int fds[2], status = 0;
    pid_t child;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return rv_error_set(err, RV_ERR_IO, "pipe2: %s", strerror(errno));
    child = fork();
    if (child == 0) {
        struct rv_buf program = {0};
        build(&program);
        _exit(write(fds[1], program.data, program.n) != (ssize_t)program.n);
    }
    close(fds[1]);
    rv_buf_reserve(out, most);
    for (ssize_t n = 1; child > 0 && n > 0 && out->n - before < most;) {
        n = read(fds[0], out->data + out->n, most - (out->n - before));
        out->n += n > 0 ? (size_t)n : 0;
    }
    close(fds[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return child > 0 && status == 0 && out->n > before
               ? 0
               : rv_error_set(err, RV_ERR_INTERNAL, "the seccomp profile could not be compiled");
}
