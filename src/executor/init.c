/*
 * A container's first process, see init.h. Holds: all signals are blocked from the launcher's clone
 * on, so none is lost and none kills, and none is ignored; the command gets them unblocked. It is
 * forked only when everything around it stands, and executes only when all that it must not keep is
 * gone. If it is the executor, which is this program, it goes on instead of executing.
 * Costs: some 300 KiB resident; no timer, no wake-up but for signals.
 */
#include "executor/init.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/str.h"
#include "reeve/v1/init.pb-c.h"

typedef Reeve__V1__Init__Orders orders;

enum { FAILED = 127, SIGNALLED = 128, MAX_CHILDREN = 64 };

static int failed(struct rv_error *err, const char *what) {
    return rv_error_set(err, RV_ERR_IO, "%s: %s", what, strerror(errno));
}

/* ---- orders ---- */

static orders *read_orders(struct rv_error *err) {
    struct stat st;
    orders *o = NULL;
    uint8_t *bytes;

    if (fstat(RV_INIT_ORDERS_FD, &st) != 0) {
        failed(err, "the orders");
        return NULL;
    }
    bytes = rv_malloc((size_t)st.st_size + 1);
    if (pread(RV_INIT_ORDERS_FD, bytes, (size_t)st.st_size, 0) == st.st_size)
        o = reeve__v1__init__orders__unpack(NULL, (size_t)st.st_size, bytes);
    free(bytes);
    close(RV_INIT_ORDERS_FD);
    if (!o)
        rv_error_set(err, RV_ERR_CORRUPT, "the orders cannot be read");
    return o;
}

/* ---- the namespaces ---- */

static int raise_loopback(struct rv_error *err) {
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

    if (fd < 0)
        return failed(err, "socket");
    if (ioctl(fd, SIOCGIFFLAGS, &request) != 0)
        rc = failed(err, "SIOCGIFFLAGS");
    request.ifr_flags |= IFF_UP;
    if (!rc && ioctl(fd, SIOCSIFFLAGS, &request) != 0)
        rc = failed(err, "SIOCSIFFLAGS");
    close(fd);
    return rc;
}

static int prepare(const orders *o, struct rv_error *err) {
    int rc = 0;

    /* After the move into the groups, so that these are the root of what it sees. */
    if (o->own_cgroups && unshare(CLONE_NEWCGROUP) != 0)
        return failed(err, "a namespace of control groups");
    if (o->hostname && sethostname(o->hostname, strlen(o->hostname)) != 0)
        return failed(err, "sethostname");
    if (o->own_network)
        rc = raise_loopback(err);
    if (!rc && o->own_mounts)
        rc = rv_init_mounts(o, err);
    if (o->has_host_fd)
        close(o->host_fd);
    return rc;
}

/* ---- privileges ---- */

static int get_capabilities(uint64_t *permitted) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};

    if (syscall(SYS_capget, &header, data) != 0)
        return -1;
    *permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    return 0;
}

static int set_capabilities(uint64_t set, uint64_t inheritable) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)set, (uint32_t)set, (uint32_t)inheritable},
        {(uint32_t)(set >> 32), (uint32_t)(set >> 32), (uint32_t)(inheritable >> 32)}};

    return (int)syscall(SYS_capset, &header, data);
}

static int drop_bounding(uint64_t keep, struct rv_error *err) {
    for (int i = 0; i < 64; i++)
        if (!(keep >> i & 1) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
            /* The kernel does not know it, nor any after it. */
            return errno == EINVAL ? 0 : failed(err, "PR_CAPBSET_DROP");
    return 0;
}

static int become_user(const orders *o, struct rv_error *err) {
    gid_t groups[256];
    size_t n = RV_MIN(o->n_groups, RV_COUNT(groups));

    if (!o->switch_user)
        return 0;
    for (size_t i = 0; i < n; i++)
        groups[i] = o->groups[i];
    if (setgroups(n, groups) != 0)
        return failed(err, "setgroups");
    if (setresgid(o->gid, o->gid, o->gid) != 0)
        return failed(err, "setresgid");
    return setresuid(o->uid, o->uid, o->uid) != 0 ? failed(err, "setresuid") : 0;
}

static int give_capabilities(const orders *o, struct rv_error *err) {
    bool root = !o->switch_user || o->uid == 0;
    uint64_t permitted, set = o->effective;
    int rc;

    if (get_capabilities(&permitted) != 0)
        return failed(err, "capget");
    if (o->ambient && (set & ~permitted))
        return rv_error_set(err, RV_ERR_PERMISSION,
                            "capabilities %#llx cannot be given: the agent has not got them",
                            (unsigned long long)(set & ~permitted));
    rc = drop_bounding(o->bounding, err);
    if (!rc && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
        rc = failed(err, "PR_SET_KEEPCAPS");
    if (!rc)
        rc = become_user(o, err);
    if (rc)
        return rc;
    set = root || o->ambient ? set & permitted : 0;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    /* The inheritable set is of use for the ambient one only; root has its by being root. */
    if (set_capabilities(set, root ? 0 : set) != 0)
        return failed(err, "capset");
    for (int i = 0; i < 64 && !root; i++)
        if ((set >> i & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0)
            return failed(err, "PR_CAP_AMBIENT_RAISE");
    return 0;
}

static int confine(const orders *o, struct rv_error *err) {
    struct sock_fprog program = {.len = (unsigned short)(o->seccomp.len / sizeof *program.filter),
                                 .filter = (struct sock_filter *)(void *)o->seccomp.data};

    if (!o->new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return failed(err, "PR_SET_NO_NEW_PRIVS");
    if (o->seccomp.len && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return failed(err, "the seccomp profile");
    return 0;
}

/* ---- the command ---- */

static int limit(const orders *o, struct rv_error *err) {
    for (size_t i = 0; i < o->n_rlimits; i++) {
        int resource = (int)o->rlimits[i]->resource;
        struct rlimit r = {o->rlimits[i]->soft, o->rlimits[i]->hard}, ours;
        /* Never above our own hard limit, which not every root may raise. */
        if (getrlimit(resource, &ours) == 0)
            r.rlim_max = RV_MIN(r.rlim_max, ours.rlim_max);
        r.rlim_cur = RV_MIN(r.rlim_cur, r.rlim_max);
        if (setrlimit(resource, &r) != 0)
            return rv_error_set(err, RV_ERR_IO, "setrlimit %u: %s", o->rlimits[i]->resource,
                                strerror(errno));
    }
    return 0;
}

static int execute(const orders *o, char **argv, char **env, struct rv_error *err) {
    const char *path = "/usr/local/bin:/usr/bin:/bin";
    const char *program = o->program ? o->program : argv[0];
    int error = ENOENT;

    if (strchr(program, '/')) {
        execve(program, argv, env);
        error = errno;
    } else {
        for (size_t i = 0; i < o->n_env; i++)
            if (rv_starts_with(o->env[i], "PATH="))
                path = o->env[i] + strlen("PATH=");
        while (*path) {
            size_t n = strcspn(path, ":");
            char file[4096];
            if (n &&
                snprintf(file, sizeof file, "%.*s/%s", (int)n, path, program) < (int)sizeof file) {
                execve(file, argv, env);
                if (errno != ENOENT && errno != ENOTDIR)
                    error = errno;
            }
            path += n + (path[n] == ':');
        }
    }
    return rv_error_set(err, RV_ERR_IO, "Cannot execute '%s': %s", program, strerror(error));
}

static char **strings(char *const *v, size_t n) {
    char **out = rv_calloc(n + 1, sizeof *out);

    memcpy(out, v, n * sizeof *v);
    return out;
}

/* As if the executor had been executed. It stays a process that cannot be looked into. */
static int go_on(struct rv_error *err) {
    prctl(PR_SET_NAME, "reeve-executor");
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0)
        return failed(err, "PR_SET_KEEPCAPS");
    if (syscall(SYS_close_range, 3u, ~0u, 0u) != 0)
        return failed(err, "close_range");
    return 0;
}

static void unblock_signals(void) {
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The folder is opened with our rights, since what lies above it may be another user's, and
 * entered with the command's. */
static int command(const orders *o, const struct rv_init_terminal *terminal, struct rv_error *err) {
    int folder, rc;

    setsid();
    unblock_signals();
    rc = o->tty ? rv_init_terminal_take(terminal, err) : 0;
    if (!rc)
        rc = limit(o, err);
    folder = rc ? rc : rv_folder_open(o->directory, err);
    if (folder < 0)
        return folder;
    rc = give_capabilities(o, err);
    if (!rc && fchdir(folder) != 0)
        rc = rv_error_set(err, RV_ERR_IO, "chdir %s: %s", o->directory, strerror(errno));
    if (!rc) {
        char **argv = strings(o->argv, o->n_argv), **env = strings(o->env, o->n_env);
        rc = confine(o, err);
        if (!rc)
            rc = o->n_argv ? execute(o, argv, env, err) : go_on(err);
    }
    return rc;
}

/* ---- life ---- */

static void report(const orders *o, const struct rv_error *err) {
    /* Nobody is left to tell if this fails. */
    ssize_t n = send(o->report_fd, err->message, strlen(err->message), MSG_NOSIGNAL);

    (void)n;
}

/* Where init is not the first of a process namespace, what is left becomes its child. */
static void kill_children(void) {
    do {
        char text[16 * MAX_CHILDREN], *p = text, *end;
        int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
        if (fd >= 0)
            close(fd);
        if (n <= 0)
            return;
        text[n] = '\0';
        for (long pid; (pid = strtol(p, &end, 10)) > 0 && *end == ' '; p = end)
            kill((pid_t)pid, SIGKILL);
    } while (waitpid(-1, NULL, 0) > 0 || errno == EINTR);
}

/* -1: it is not what it seems. A parent container may have put something else in its place. */
static int open_null(void) {
    int fd = open("/dev/null", O_RDWR | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Descriptors that belong to the command alone: it, not init, decides when they end. */
static void let_go(const orders *o) {
    int null = open_null();

    for (int i = 0; i < 3; i++) {
        if (null >= 0)
            dup2(null, i);
        else
            close(i);
    }
    if (null > 2)
        close(null);
    close(o->report_fd);
    set_capabilities(1u << CAP_KILL, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    /* The working directory pins nothing. */
    if (chdir("/") != 0)
        return;
}

static int wait_for(pid_t child, const struct rv_init_terminal *terminal) {
    sigset_t all;

    sigfillset(&all);
    for (;;) {
        siginfo_t info;
        int number, status;
        rv_init_terminal_wait(terminal);
        number = sigwaitinfo(&all, &info);
        if (number > 0 && number != SIGCHLD) {
            kill(child, number);
            continue;
        }
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
            if (pid == child)
                return status;
    }
}

static void write_status(int fd, int status) {
    char text[32];
    /* The NUL ends the agent's record, which this follows. */
    int n = snprintf(text, sizeof text, "%cstatus %d\n", 0, status);

    if (write(fd, text, (size_t)n) != n)
        return; /* the agent does without */
}

/* Nothing is started that an agent would not find again. */
static int await_word(const orders *o, struct rv_error *err) {
    char word;
    ssize_t n;

    do
        n = recv(o->report_fd, &word, 1, 0);
    while (n < 0 && errno == EINTR);
    return n == 1 ? 0 : rv_error_set(err, RV_ERR_CLOSED, "the agent has gone");
}

/* They are in their file now, and nobody else's business. */
static void forget_secrets(const orders *o) {
    for (size_t i = 0; i < o->n_volumes; i++)
        explicit_bzero(o->volumes[i]->data.data, o->volumes[i]->data.len);
}

/* *child: 0 in the process that goes on as the executor. */
static int start(const orders *o, bool is_executor, struct rv_init_terminal *terminal, pid_t *child,
                 struct rv_error *err) {
    int rc = is_executor != (o->n_argv > 0)
                 ? 0
                 : rv_error_set(err, RV_ERR_INVALID, "there is no command");

    if (!rc)
        rc = prepare(o, err);
    forget_secrets(o);
    if (!rc && o->tty)
        rc = rv_init_terminal_make(o, terminal, err);
    if (!rc)
        rc = await_word(o, err);
    if (rc)
        return rc;
    if (!o->own_pids)
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    umask(022);
    *child = fork();
    if (*child < 0)
        return failed(err, "fork");
    if (*child == 0 && command(o, terminal, err)) {
        report(o, err);
        _exit(FAILED);
    }
    return 0;
}

int rv_init_run(bool is_executor) {
    struct rv_init_terminal terminal = {.slave = -1, .log = -1};
    struct rv_error err = {0};
    sigset_t all;
    orders *o;
    pid_t child;
    int status, status_fd;
    bool own_pids;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NAME, "reeve-init", 0, 0, 0);
    setsid();
    o = read_orders(&err);
    if (!o)
        return FAILED;
    fcntl(o->report_fd, F_SETFD, FD_CLOEXEC);
    fcntl(o->status_fd, F_SETFD, FD_CLOEXEC);
    if (start(o, is_executor, &terminal, &child, &err)) {
        report(o, &err);
        return FAILED;
    }
    if (child == 0) {
        reeve__v1__init__orders__free_unpacked(o, NULL);
        return RV_INIT_GOES_ON;
    }
    rv_init_terminal_let_go(o, &terminal);
    let_go(o);
    status_fd = o->status_fd;
    own_pids = o->own_pids;
    reeve__v1__init__orders__free_unpacked(o, NULL);
    status = wait_for(child, &terminal);
    rv_init_terminal_drain(&terminal);
    write_status(status_fd, status);
    if (!own_pids)
        kill_children();
    return WIFSIGNALED(status) ? SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}
