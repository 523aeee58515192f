/*
 * The terminal of a container, see init.h. Init makes it where the command finds it by its name and
 * gives the other end to the agent. Of a container that outlives the agent it keeps that end, too,
 * so that the command does not lose its terminal with the agent, and the reading end of a pipe
 * whose writing end is the agent's: that it hangs up tells that no agent is there. Then what the
 * command writes goes from here to the sandbox's stdout. The next agent takes both from their fixed
 * numbers (containerizer/terminal.h), opens the pipe for writing, and reads itself again.
 *
 * Holds: init reads only while no agent has the pipe open; between its look and its reading one may
 * come, then a piece goes to the file from here that would have gone there from the agent.
 * Costs: nothing where there is no terminal; two wake-ups a second while there is no agent and the
 * command has its terminal closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "executor/init.h"
#include "reeve/v1/init.pb-c.h"

typedef Reeve__V1__Init__Orders orders;

enum {
    PIECE = 4096,
    LAST_WORDS = 256, /* pieces, read at most when the command has ended */
    PAUSE_MS = 500,   /* between two looks at a terminal that nobody has open */
};

static int failed(struct rv_error *err) {
    return rv_error_set(err, RV_ERR_IO, "a terminal: %s", strerror(errno));
}

/* ---- making it ---- */

/* Where there is a private one, and else the machine's, which is there by this name only. */
static int open_master(void) {
    enum { FLAGS = O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK };
    int fd = open("/dev/pts/ptmx", FLAGS | O_NOFOLLOW);

    return fd >= 0 ? fd : open("/dev/ptmx", FLAGS);
}

static int send_ends(const orders *o, const int *fds, socklen_t size, struct rv_error *err) {
    char control[CMSG_SPACE(2 * sizeof *fds)] = {0}, byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = (socklen_t)CMSG_SPACE(size)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), fds, size);
    return sendmsg(o->report_fd, &m, MSG_NOSIGNAL) < 0 ? failed(err) : 0;
}

/* Sends both, and keeps what the next agent looks for; master stays the caller's. */
static int share(const orders *o, int master, struct rv_init_terminal *t, struct rv_error *err) {
    int lifeline[2], ends[2] = {master}, rc;

    if (!o->keep_terminal)
        return send_ends(o, ends, sizeof *ends, err);
    if (pipe2(lifeline, O_CLOEXEC) != 0)
        return failed(err);
    ends[1] = lifeline[1];
    rc = send_ends(o, ends, sizeof ends, err);
    t->log = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (!rc && (dup3(master, RV_INIT_TERMINAL_FD, O_CLOEXEC) < 0 ||
                dup3(lifeline[0], RV_INIT_LIFELINE_FD, O_CLOEXEC) < 0))
        rc = failed(err);
    t->kept = !rc;
    close(lifeline[0]);
    close(lifeline[1]);
    return rc;
}

int rv_init_terminal_make(const orders *o, struct rv_init_terminal *t, struct rv_error *err) {
    struct winsize size = {.ws_row = (unsigned short)o->rows, .ws_col = (unsigned short)o->columns};
    int master = open_master(), locked = 0, slave = -1, rc = 0;

    if (master < 0)
        return failed(err);
    if (ioctl(master, TIOCSPTLCK, &locked) != 0 ||
        (slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0 ||
        ioctl(slave, TIOCSWINSZ, &size) != 0 ||
        (o->switch_user && fchown(slave, o->uid, (gid_t)-1) != 0))
        rc = failed(err);
    if (!rc)
        rc = share(o, master, t, err);
    close(master);
    if (rc && slave >= 0)
        close(slave);
    else if (!rc)
        t->slave = slave;
    return rc;
}

int rv_init_terminal_take(const struct rv_init_terminal *t, struct rv_error *err) {
    for (int i = 0; i < 3; i++)
        if (dup2(t->slave, i) < 0)
            return failed(err);
    return ioctl(STDIN_FILENO, TIOCSCTTY, 0) != 0 ? failed(err) : 0;
}

void rv_init_terminal_let_go(const orders *o, struct rv_init_terminal *t) {
    if (t->slave >= 0)
        close(t->slave);
    t->slave = -1;
    if (t->kept && o->of_user) {
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    }
}

/* ---- without an agent ---- */

static bool is_alone(void) {
    struct pollfd p = {.fd = RV_INIT_LIFELINE_FD};

    return poll(&p, 1, 0) > 0;
}

/* 1, or 0: there is none now; -1: nobody has it open. What the file does not take is lost. */
static int log_piece(const struct rv_init_terminal *t) {
    char bytes[PIECE];
    ssize_t n = read(RV_INIT_TERMINAL_FD, bytes, sizeof bytes);

    for (ssize_t done = 0, w; done < n && t->log >= 0; done += w)
        if ((w = write(t->log, bytes + done, (size_t)(n - done))) <= 0)
            break;
    return n > 0 ? 1 : n < 0 && errno == EAGAIN ? 0 : -1;
}

/* Until a signal comes. */
static void wait_for_signal(const struct rv_init_terminal *t, int signals) {
    bool alone = is_alone(), silent = false;

    for (;;) {
        struct pollfd p[] = {{.fd = signals, .events = POLLIN},
                             {.fd = alone ? -1 : RV_INIT_LIFELINE_FD},
                             {.fd = alone && !silent ? RV_INIT_TERMINAL_FD : -1, .events = POLLIN}};
        if (poll(p, RV_COUNT(p), silent ? PAUSE_MS : -1) < 0 || p[0].revents)
            return;
        alone = is_alone();
        /* One that nobody has open hangs up for as long as that lasts. */
        silent = alone && log_piece(t) < 0;
    }
}

void rv_init_terminal_wait(const struct rv_init_terminal *t) {
    sigset_t all;
    int signals;

    if (!t->kept)
        return;
    sigfillset(&all);
    signals = signalfd(-1, &all, SFD_CLOEXEC);
    if (signals < 0)
        return;
    wait_for_signal(t, signals);
    close(signals);
}

void rv_init_terminal_drain(const struct rv_init_terminal *t) {
    for (int i = 0; i < LAST_WORDS && t->kept && is_alone() && log_piece(t) > 0; i++)
        continue;
}
