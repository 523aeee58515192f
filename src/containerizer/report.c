/* Reports of inits, see report.h. Holds: of what init sends one message is one packet; the one that
 * carries the terminal carries nothing else. */
#include "containerizer/report.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_REPORT = 512 };

int rv_report_open(struct rv_report *r, int *theirs, struct rv_error *err) {
    int fds[2];

    *r = (struct rv_report){.fd = -1, .terminal = RV_NO_TERMINAL};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return rv_error_set(err, RV_ERR_IO, "socketpair: %s", strerror(errno));
    r->fd = fds[0];
    *theirs = fds[1];
    return 0;
}

int rv_report_go(const struct rv_report *r, struct rv_error *err) {
    /* One that has ended already has said why, which is still to be read. */
    if (send(r->fd, "g", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 || errno == EPIPE)
        return 0;
    return rv_error_set(err, RV_ERR_IO, "A container's init has ended: %s", strerror(errno));
}

static void take_terminal(struct rv_report *r, struct msghdr *m) {
    const struct cmsghdr *c = CMSG_FIRSTHDR(m);
    int fds[2] = {-1, -1};

    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
        return;
    memcpy(fds, CMSG_DATA(c), RV_MIN(sizeof fds, c->cmsg_len - CMSG_LEN(0)));
    rv_terminal_close(&r->terminal);
    r->terminal = (struct rv_terminal){fds[0], fds[1]};
}

bool rv_report_read(struct rv_report *r) {
    char text[MAX_REPORT], control[CMSG_SPACE(2 * sizeof(int))];

    for (;;) {
        struct iovec part = {text, sizeof text};
        struct msghdr m = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
        ssize_t n = recvmsg(r->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        /* It ended without reading our word: told before what it said, once. */
        if (n < 0 && errno == ECONNRESET)
            continue;
        if (n <= 0)
            return n == 0 || (errno != EAGAIN && errno != EINTR);
        if (m.msg_controllen)
            take_terminal(r, &m);
        else if (r->text.n < MAX_REPORT)
            rv_buf_append(&r->text, text, (size_t)n);
    }
}

static int64_t now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int rv_report_await(struct rv_report *r, int timeout_ms, struct rv_error *err) {
    int64_t until = now_ms() + timeout_ms, left;

    while (!rv_report_read(r)) {
        struct pollfd p = {.fd = r->fd, .events = POLLIN};
        left = until - now_ms();
        if (left <= 0)
            return rv_error_set(err, RV_ERR_TIMEOUT, "The command was not there after %d ms",
                                timeout_ms);
        poll(&p, 1, (int)left);
    }
    return r->text.n ? rv_error_set(err, RV_ERR_IO, "%.*s", (int)r->text.n, r->text.data) : 0;
}

void rv_report_free(struct rv_report *r, bool keep) {
    if (r->fd >= 0 && !keep)
        close(r->fd);
    rv_terminal_close(&r->terminal);
    rv_buf_free(&r->text);
    r->fd = -1;
}
