/* See keeper.h. */
#include "containerizer/keeper.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "containerizer/launcher.h"
#include "containerizer/report.h"
#include "reeve/v1/init.pb-c.h"

enum { PATIENCE_MS = 30000 }; /* a machine that is busy, or a folder far away */

static size_t count(const char *const *v) {
    size_t n = 0;

    while (v[n])
        n++;
    return n;
}

static int write_orders(const struct rv_keeper *keeper, int *fd, struct rv_error *err) {
    const struct rv_container_config *config = keeper->config;
    const char *directory = config->work_directory ? config->work_directory : config->directory;
    Reeve__V1__Init__Orders o = REEVE__V1__INIT__ORDERS__INIT;

    o.n_argv = count(config->argv);
    o.argv = (char **)(uintptr_t)config->argv;
    o.program = (char *)(uintptr_t)config->program;
    o.n_env = count(config->env);
    o.env = (char **)(uintptr_t)config->env;
    o.directory = (char *)(uintptr_t)directory;
    if (keeper->user->differs) {
        o.has_switch_user = o.switch_user = o.has_uid = o.has_gid = true;
        o.uid = keeper->user->uid;
        o.gid = keeper->user->gid;
        o.n_groups = (size_t)keeper->user->n_groups;
        o.groups = (uint32_t *)(uintptr_t)keeper->user->groups;
    }
    /* It keeps what it has. */
    o.has_bounding = o.has_effective = o.has_new_privileges = o.new_privileges = true;
    o.bounding = o.effective = UINT64_MAX;
    o.has_tty = o.has_rows = o.has_columns = o.has_keep_terminal = o.has_of_user = true;
    o.tty = config->tty;
    o.keep_terminal = config->survive;
    o.of_user = geteuid() != 0;
    o.rows = config->rows;
    o.columns = config->columns;
    o.report_fd = RV_LAUNCHER_REPORT_FD;
    o.status_fd = RV_LAUNCHER_STATUS_FD;
    return rv_launcher_seal_orders(&o, fd, err);
}

int rv_keeper_start(const struct rv_keeper *keeper, pid_t *pid, int *pidfd,
                    struct rv_terminal *terminal, struct rv_error *err) {
    struct rv_launcher_start start = {.image = keeper->image, .parent = -1, .cgroup = -1};
    int orders = -1, theirs = -1, rc, fd = -1;
    struct rv_report report;
    pid_t p = 0;

    rc = rv_report_open(&report, &theirs, err);
    if (rc)
        return rc;
    rc = write_orders(keeper, &orders, err);
    for (int i = 0; i < 3; i++)
        start.fds[i] = keeper->fds[i];
    start.fds[RV_LAUNCHER_ORDERS_FD] = orders;
    start.fds[RV_LAUNCHER_REPORT_FD] = theirs;
    start.fds[RV_LAUNCHER_STATUS_FD] = keeper->status;
    start.fds[RV_LAUNCHER_HOST_FD] = -1;
    if (!rc)
        rc = rv_launcher_start(&start, &p, &fd, err);
    close(theirs);
    if (orders >= 0)
        close(orders);
    if (!rc)
        rc = keeper->record(keeper->ctx, p, err);
    if (!rc)
        rc = rv_report_go(&report, err);
    if (!rc)
        rc = rv_report_await(&report, PATIENCE_MS, err);
    if (rc && p > 0) {
        syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
        close(fd);
    }
    if (!rc) {
        *pid = p;
        *pidfd = fd;
        *terminal = rv_terminal_move(&report.terminal);
    }
    rv_report_free(&report, false);
    return rc;
}
