/*
 * The agent dies at every step of a launch and of a destroy, and the next one leaves nothing of the
 * container: no process, group, mount or record. INV-19 is about the checkpoints of the same.
 *
 * The agent is a process of its own that launches a container and destroys it, traced by another
 * one: a step is a system call that changes something outside of the process which makes it, be it
 * the agent, what it starts, or the container's init until the command executes. Before its n-th
 * step the agent is killed; the tracer ends, which lets the others go; for every n until the agent
 * comes to its end. RV_CRASH_EVERY=k tries each k-th step only, for slow machines.
 */
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "linux_world.h"

/* As <linux/ptrace.h> has it, which does not go with <sys/ptrace.h>. */
enum {
    OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE |
              PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK
};

static const long changes[] = {
    SYS_mkdir,      SYS_mkdirat,       SYS_rmdir,       SYS_unlink,
    SYS_unlinkat,   SYS_rename,        SYS_renameat,    SYS_renameat2,
    SYS_open,       SYS_openat,        SYS_write,       SYS_pwrite64,
    SYS_writev,     SYS_sendmsg,       SYS_sendto,      SYS_recvmsg,
    SYS_recvfrom,   SYS_clone,         SYS_clone3,      SYS_fork,
    SYS_vfork,      SYS_execve,        SYS_execveat,    SYS_exit,
    SYS_exit_group, SYS_kill,          SYS_tgkill,      SYS_pidfd_send_signal,
    SYS_wait4,      SYS_mount,         SYS_umount2,     SYS_move_mount,
    SYS_open_tree,  SYS_mount_setattr, SYS_setns,       SYS_unshare,
    SYS_ftruncate,  SYS_fchown,        SYS_fchmod,      SYS_chown,
    SYS_lchown,     SYS_fchownat,      SYS_chmod,       SYS_symlink,
    SYS_mknod,      SYS_mknodat,       SYS_sethostname, SYS_prctl,
    SYS_capset,     SYS_memfd_create,  SYS_close_range,
};

struct trace {
    pid_t agent;
    size_t step, at; /* killed before this one */
    bool killed;
};

enum ends { KILLED, ENDED, FAILED };

/* ---- the agent ---- */

static void be_an_agent(struct world *w, int go) {
    char byte;

    if (read(go, &byte, 1) != 1)
        _exit(1);
    open_containerizer(w);
    launch_with(w, "a", "sleep 1000", &(struct options){.survive = true, .mem_mib = 32});
    run_until(w, &w->n_launched, 1);
    if (!seen(w, "a")->ok)
        _exit(1);
    ops->destroy(w->c, "a");
    run_until(w, &w->n_exited, 1);
    ops->destroy_all(w->c);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    _exit(0);
}

/* ---- the tracer ---- */

static bool is_a_step(pid_t pid) {
    struct __ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return false;
    for (size_t i = 0; i < RV_COUNT(changes); i++)
        if ((long)info.entry.nr == changes[i])
            return true;
    return false;
}

/* What is not init any more is the command. */
static bool is_init(pid_t pid) {
    _cleanup_free_ char *path = rv_asprintf("/proc/%d/exe", (int)pid);
    char exe[64] = "";

    return readlink(path, exe, sizeof exe - 1) > 0 && rv_starts_with(exe, "/memfd:");
}

static void on_stop(struct trace *t, pid_t pid, int status) {
    int signal = WSTOPSIG(status), event = status >> 16;
    bool call = signal == (SIGTRAP | 0x80);

    if (event == PTRACE_EVENT_EXEC && !is_init(pid)) {
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
        return;
    }
    if (!t->killed && call && is_a_step(pid) && ++t->step == t->at) {
        t->killed = true;
        kill(t->agent, SIGKILL);
    }
    if (!t->killed)
        ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)(event || call ? 0 : signal));
}

static int trace(struct world *w, size_t at) {
    struct trace t = {.at = at};
    int go[2], status;

    if (pipe(go) || (t.agent = fork()) < 0)
        return FAILED;
    if (t.agent == 0)
        be_an_agent(w, go[0]);
    if (ptrace(PTRACE_SEIZE, t.agent, NULL, (void *)(intptr_t)OPTIONS) ||
        ptrace(PTRACE_INTERRUPT, t.agent, NULL, NULL) || write(go[1], "x", 1) != 1)
        return FAILED;
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0)
            return FAILED;
        if (WIFSTOPPED(status))
            on_stop(&t, pid, status);
        else if (pid == t.agent)
            return WIFSIGNALED(status) ? KILLED : WEXITSTATUS(status) ? FAILED : ENDED;
    }
}

/* False: it came to its end before. */
static bool kill_at(struct world *w, size_t at) {
    pid_t tracer = fork();
    int status;

    assert_true(tracer >= 0);
    if (tracer == 0)
        _exit(trace(w, at));
    assert_int_equal(waitpid(tracer, &status, 0), tracer);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == FAILED)
        fail_msg("the agent failed before step %zu", at);
    return WEXITSTATUS(status) == KILLED;
}

/* ---- the next agent ---- */

static bool holds_nothing(struct world *w) {
    while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
        continue; /* what lost its parent has become ours */
    return errno == ECHILD && count_groups(w, false) == 0 &&
           lines_with("/proc/self/mountinfo", w->root) == 0 && rmdir(w->state_dir) == 0;
}

/* Of the one container: whether it is wanted, and whether its end will be told then. */
struct asked {
    bool wanted, there;
};

static bool is_wanted(void *ctx, const struct rv_container_found *found) {
    struct asked *a = ctx;

    assert_string_equal(found->id, "a");
    a->there = found->there;
    return a->wanted;
}

static void recover(struct world *w, bool wanted, size_t step) {
    struct asked a = {.wanted = wanted};
    struct rv_error err = {0};
    size_t ends;

    open_containerizer(w);
    if (ops->recover(w->c, is_wanted, &a, &err))
        fail_msg("step %zu: %s", step, err.message);
    ends = a.wanted && a.there;
    ops->destroy(w->c, "a");
    for (int ms = 0; w->n_exited < ends || !holds_nothing(w); ms += 5) {
        if (ms > WAIT_MS)
            fail_msg("step %zu: something is left (%zu of %zu ended)", step, w->n_exited, ends);
        run_for(w, 5);
    }
    assert_int_equal(w->n_exited, ends);
    close_containerizer(w);
}

static void die_everywhere(struct world *w, bool wanted) {
    const char *every = getenv("RV_CRASH_EVERY");
    size_t stride = every ? strtoul(every, NULL, 10) : 1, step = 1;
    bool again = true;

    close_containerizer(w);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    for (; again; step += stride) {
        again = kill_at(w, step);
        recover(w, wanted, step);
        forget_seen(w);
    }
    printf("%zu steps\n", step - stride);
    open_containerizer(w);
}

static void test_nothing_is_left_of_what_nobody_wants(void **state) {
    die_everywhere(*state, false);
}

static void test_nothing_is_left_of_what_is_ended_later(void **state) {
    die_everywhere(*state, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_is_left_of_what_nobody_wants, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_left_of_what_is_ended_later, setup,
                                        teardown),
    };

    if (geteuid() != 0) {
        puts("skipped: needs root");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
