/*
 * What a program in a container tries in order to get out, as its root; with a number, what it
 * tries with that process of the machine, which it sees. Each attempt is a line `name errno-or-0`;
 * the test that runs it knows which must be refused. Runs in a container only.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

static void tell(const char *name, long result) {
    printf("%s %d\n", name, result < 0 ? errno : 0);
}

static long opened(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd;
}

static void try_files(void) {
    tell("read_init_image", opened("/proc/1/exe", O_RDONLY));
    tell("write_init_image", opened("/proc/1/exe", O_WRONLY));
    tell("read_init_memory", opened("/proc/1/mem", O_RDONLY));
    tell("read_init_environment", opened("/proc/1/environ", O_RDONLY));
    tell("open_init_descriptor", opened("/proc/1/fd/5", O_WRONLY));
    tell("write_sysctl", opened("/proc/sys/kernel/hostname", O_WRONLY));
    tell("write_core_pattern", opened("/proc/sys/kernel/core_pattern", O_WRONLY));
    tell("write_sysrq", opened("/proc/sysrq-trigger", O_WRONLY));
    tell("write_sys", opened("/sys/kernel/mm/ksm/run", O_WRONLY));
    tell("make_group", mkdir("/sys/fs/cgroup/escape", 0755));
    tell("make_group_pids", mkdir("/sys/fs/cgroup/pids/escape", 0755));
    tell("write_group", opened("/sys/fs/cgroup/memory/memory.limit_in_bytes", O_WRONLY));
    tell("open_disk", opened("/dev/vda", O_RDONLY));
    tell("make_disk", mknod("/dev/escape", S_IFBLK | 0600, makedev(254, 0)));
    tell("make_memory", mknod("/tmp/escape", S_IFCHR | 0600, makedev(1, 1)));
}

static void try_calls(void) {
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int sandbox = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char attributes[64] = "";

    tell("mount", mount("tmpfs", "/mnt", "tmpfs", 0, NULL));
    tell("umount", umount2("/proc/sys", MNT_DETACH));
    tell("remount", mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
    tell("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    tell("pivot_root", syscall(SYS_pivot_root, "/", "/mnt"));
    tell("setns", setns(ns, CLONE_NEWNET));
    tell("unshare_user", unshare(CLONE_NEWUSER));
    tell("unshare_mounts", unshare(CLONE_NEWNS));
    tell("clone_user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    tell("clone3", syscall(SYS_clone3, &args, sizeof args));
    tell("raw_socket", socket(AF_INET, SOCK_RAW, 1));
    tell("packet_socket", socket(AF_PACKET, SOCK_RAW, 0));
    tell("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    tell("keyctl", syscall(SYS_keyctl, 0, -3, 0, 0, 0));
    tell("add_key", syscall(SYS_add_key, "user", "escape", "x", 1, -3));
    tell("bpf", syscall(SYS_bpf, 0, NULL, 0));
    tell("perf", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
    tell("userfaultfd", syscall(SYS_userfaultfd, 0));
    tell("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
    tell("init_module", syscall(SYS_init_module, NULL, 0, ""));
    tell("kexec", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    tell("by_handle", syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, 0));
    tell("leave_project", ioctl(sandbox, 0x401c5820ul /* FS_IOC_FSSETXATTR */, attributes));
    tell("leave_inheritance", ioctl(sandbox, 0x40086602ul /* FS_IOC_SETFLAGS */, attributes));
    tell("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
    tell("sethostname", sethostname("escape", 6));
    tell("chroot_is_there", chroot("/") != 0 ? -1 : 0);
    tell("ptrace_init", ptrace(PTRACE_ATTACH, 1, NULL, NULL));
    tell("kill_init", kill(1, SIGKILL)); /* is sent, and without effect */
}

static void try_process(const char *pid) {
    static const char *const files[] = {"exe",      "mem",  "environ", "maps",
                                        "root/etc", "fd/0", "cwd",     "ns/mnt"};
    char byte, path[64];
    struct iovec to = {&byte, 1}, from = {(void *)try_process, 1};
    int fd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "/proc/%s/%s", pid, files[i]);
        tell(files[i], opened(path, O_RDONLY));
    }
    tell("ptrace", ptrace(PTRACE_ATTACH, atoi(pid), NULL, NULL));
    tell("read_memory", process_vm_readv(atoi(pid), &to, 1, &from, 1, 0));
    tell("take_descriptor", syscall(SYS_pidfd_getfd, fd, 0, 0));
    tell("enter", setns(fd, CLONE_NEWNS | CLONE_NEWPID));
}

/* What was inherited beside 0 to 2. */
static int leaked(void) {
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    for (struct dirent *e; dir && (e = readdir(dir));)
        n += e->d_name[0] != '.' && atoi(e->d_name) > 2 && atoi(e->d_name) != dirfd(dir);
    if (dir)
        closedir(dir);
    return n;
}

int main(int argc, char **argv) {
    if (argc > 1) {
        try_process(argv[1]);
        return 0;
    }
    printf("leaked %d\n", leaked());
    try_files();
    try_calls();
    return 0;
}
