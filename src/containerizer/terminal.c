/* See terminal.h. Holds: what comes from init is looked at before it is used: it may be of a
 * version that has other things at these numbers. */
#include "containerizer/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "executor/init.h"

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void rv_terminal_close(struct rv_terminal *t) {
    close_fd(&t->fd);
    close_fd(&t->lifeline);
}

struct rv_terminal rv_terminal_move(struct rv_terminal *t) {
    struct rv_terminal out = *t;

    *t = RV_NO_TERMINAL;
    return out;
}

/* What init has is the end that is read. */
static int open_lifeline(int reading) {
    struct stat st;
    char path[64];

    if (fstat(reading, &st) != 0 || !S_ISFIFO(st.st_mode))
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", reading);
    return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
}

static int take_from(int pidfd, int number) {
    return (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
}

struct rv_terminal rv_terminal_retake(int init_pidfd, const char *container_id) {
    struct rv_terminal t = {take_from(init_pidfd, RV_INIT_TERMINAL_FD), -1};
    int reading;
    unsigned number;

    if (t.fd < 0 && errno == EPERM)
        RV_WARN("agent",
                "the terminal of container %s takes no input any more: the agent may not take it "
                "from its init (pidfd_getfd)",
                container_id);
    if (t.fd < 0)
        return t;
    reading = take_from(init_pidfd, RV_INIT_LIFELINE_FD);
    if (reading >= 0 && ioctl(t.fd, TIOCGPTN, &number) == 0)
        t.lifeline = open_lifeline(reading);
    close_fd(&reading);
    if (t.lifeline < 0)
        close_fd(&t.fd);
    return t;
}
