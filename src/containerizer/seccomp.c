/*
 * The profile, see seccomp.h: three tables and what compiles them. Holds: a call is in one table
 * only; names that a kernel or an architecture does not have are passed over.
 */
#include "containerizer/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
    "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy "
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

static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
static const int refused_families[] = {AF_PACKET, AF_ALG, AF_VSOCK};
static const uint64_t personalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};
static const uint64_t new_namespaces[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                                          CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                                          CLONE_NEWNET};
/* Not with clone, whose low byte is a signal. */
static const uint64_t new_time_namespace = CLONE_NEWTIME;

static int add(scmp_filter_ctx ctx, uint32_t action, const char *name, unsigned n,
               struct scmp_arg_cmp compare) {
    int number = seccomp_syscall_resolve_name(name);

    if (number == __NR_SCMP_ERROR)
        return 0;
    /* EDOM: an architecture has the call in no form that could be filtered. */
    number = seccomp_rule_add_array(ctx, action, number, n, &compare);
    return number == -EDOM ? 0 : number;
}

static int add_words(scmp_filter_ctx ctx, uint32_t action, const char *words) {
    static const struct scmp_arg_cmp none;
    int rc = 0;

    while (*words && !rc) {
        size_t n = strcspn(words, " ");
        char name[64];
        if (n && n < sizeof name) {
            memcpy(name, words, n);
            name[n] = '\0';
            rc = add(ctx, action, name, 0, none);
        }
        words += n + (words[n] == ' ');
    }
    return rc;
}

/* The call may be made with none of the flags. */
static int add_without(scmp_filter_ctx ctx, const char *name, const uint64_t *flags, size_t n,
                       uint64_t more) {
    uint64_t all = more;
    int rc = 0;

    for (size_t i = 0; i <= n && !rc; i++) {
        uint64_t flag = i < n ? flags[i] : more;
        all |= flag;
        if (flag)
            rc = add(ctx, SCMP_ACT_ERRNO(EPERM), name, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
    }
    return rc ? rc : add(ctx, SCMP_ACT_ALLOW, name, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, all, 0));
}

static int add_rules(scmp_filter_ctx ctx) {
    int rc = add_words(ctx, SCMP_ACT_ALLOW, allowed);

    if (!rc)
        rc = add_words(ctx, SCMP_ACT_ERRNO(EPERM), refused);
    for (size_t i = 0; i < RV_COUNT(families) && !rc; i++)
        rc = add(ctx, SCMP_ACT_ALLOW, "socket", 1, SCMP_A0(SCMP_CMP_EQ, (uint64_t)families[i]));
    for (size_t i = 0; i < RV_COUNT(refused_families) && !rc; i++)
        rc = add(ctx, SCMP_ACT_ERRNO(EPERM), "socket", 1,
                 SCMP_A0(SCMP_CMP_EQ, (uint64_t)refused_families[i]));
    for (size_t i = 0; i < RV_COUNT(personalities) && !rc; i++)
        rc = add(ctx, SCMP_ACT_ALLOW, "personality", 1, SCMP_A0(SCMP_CMP_EQ, personalities[i]));
    if (!rc)
        rc = add_without(ctx, "clone", new_namespaces, RV_COUNT(new_namespaces), 0);
    if (!rc)
        rc = add_without(ctx, "unshare", new_namespaces, RV_COUNT(new_namespaces),
                         new_time_namespace);
    return rc;
}

static int export(scmp_filter_ctx ctx, struct rv_buf *out) {
    int fd = memfd_create("profile", MFD_CLOEXEC), rc;
    struct stat st;

    if (fd < 0)
        return -errno;
    rc = seccomp_export_bpf(ctx, fd);
    if (!rc && fstat(fd, &st) != 0)
        rc = -errno;
    if (!rc) {
        rv_buf_reserve(out, (size_t)st.st_size + 1);
        if (pread(fd, out->data + out->n, (size_t)st.st_size, 0) == st.st_size)
            out->n += (size_t)st.st_size;
        else
            rc = -EIO;
    }
    close(fd);
    return rc;
}

int rv_seccomp_compile(struct rv_buf *out, struct rv_error *err) {
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int rc = ctx ? 0 : -ENOMEM;

#if defined(__x86_64__)
    if (!rc)
        rc = seccomp_arch_add(ctx, SCMP_ARCH_X86);
#elif defined(__aarch64__)
    if (!rc)
        rc = seccomp_arch_add(ctx, SCMP_ARCH_ARM);
#endif
    /* A search by halves instead of one by one. */
    if (!rc)
        rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!rc)
        rc = add_rules(ctx);
    if (!rc)
        rc = export(ctx, out);
    seccomp_release(ctx);
    return rc ? rv_error_set(err, RV_ERR_INTERNAL, "the seccomp profile: %s", strerror(-rc)) : 0;
}
