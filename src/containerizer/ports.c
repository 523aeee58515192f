/* Listening sockets, see ports.h: NETLINK_SOCK_DIAG, then /proc/PID/fd. */
#include "containerizer/ports.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "base/memory.h"
#include "containerizer/cgroup_internal.h"

enum { LISTEN = 10 }; /* TCP_LISTEN of the kernel */

static struct rv_str key_of(const uint64_t *inode) {
    return rv_strn(inode, sizeof *inode);
}

static void add(struct rv_listeners *l, const struct rv_ranges *only, uint64_t inode,
                uint64_t port) {
    struct rv_range one = {port, port};

    if (inode && (!only || rv_ranges_contains(only, &(struct rv_ranges){&one, 1})))
        rv_map_put(&l->ports, key_of(&inode), (void *)(uintptr_t)port);
}

static int ask(int fd, uint8_t family) {
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 body;
    } request = {
        .head = {.nlmsg_len = sizeof request,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .body = {.sdiag_family = family,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = 1u << LISTEN},
    };

    return send(fd, &request, sizeof request, 0) == (ssize_t)sizeof request ? 0 : -errno;
}

/* The answers up to the last; 0 or -errno. */
static int read_answers(int fd, struct rv_listeners *l, const struct rv_ranges *only) {
    _Alignas(struct nlmsghdr) char bytes[32768];

    for (;;) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        unsigned left = n > 0 ? (unsigned)n : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        for (struct nlmsghdr *m = (void *)bytes; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
            const struct inet_diag_msg *d = NLMSG_DATA(m);
            if (m->nlmsg_type == NLMSG_DONE)
                return 0;
            if (m->nlmsg_type == NLMSG_ERROR)
                return ((const struct nlmsgerr *)NLMSG_DATA(m))->error;
            if (m->nlmsg_len >= NLMSG_LENGTH(sizeof *d) && d->idiag_state == LISTEN)
                add(l, only, d->idiag_inode, ntohs(d->id.idiag_sport));
        }
    }
}

int rv_listeners_find(struct rv_listeners *out, const struct rv_ranges *only,
                      struct rv_error *err) {
    static const uint8_t families[] = {AF_INET, AF_INET6};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), rc = 0;

    if (fd < 0)
        return rv_error_set(err, RV_ERR_UNSUPPORTED, "socket NETLINK_SOCK_DIAG: %s",
                            strerror(errno));
    for (size_t i = 0; i < RV_COUNT(families) && !rc; i++) {
        rc = ask(fd, families[i]);
        if (!rc)
            rc = read_answers(fd, out, only);
        if (rc == -ENOENT && families[i] == AF_INET6)
            rc = 0; /* a kernel without it */
    }
    close(fd);
    return rc ? rv_error_set(err, RV_ERR_UNSUPPORTED, "the kernel does not tell of sockets: %s",
                             strerror(-rc))
              : 0;
}

void rv_listeners_free(struct rv_listeners *l) {
    rv_map_free(&l->ports);
}

/* "socket:[1234]" */
static void look_at(const struct rv_listeners *l, const char *target, struct rv_ranges *out) {
    static const char prefix[] = "socket:[";
    uint64_t inode, port;

    if (!rv_starts_with(target, prefix))
        return;
    inode = strtoull(target + strlen(prefix), NULL, 10);
    port = (uintptr_t)rv_map_get(&l->ports, key_of(&inode));
    if (port) {
        struct rv_range one = {port, port};
        rv_ranges_add(out, &(struct rv_ranges){&one, 1});
    }
}

static void look_at_process(const struct rv_listeners *l, pid_t pid, struct rv_ranges *out) {
    char path[64], target[64];
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    if (!dir)
        return; /* it has gone */
    for (const struct dirent *e; (e = readdir(dir));) {
        ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);
        target[RV_MAX(n, (ssize_t)0)] = '\0';
        look_at(l, target, out);
    }
    closedir(dir);
}

void rv_listeners_of(const struct rv_listeners *l, const char *group, struct rv_ranges *out) {
    struct rv_cgfs_pids pids = {0};

    if (!rv_map_count(&l->ports))
        return;
    rv_cgfs_pids(group, &pids);
    for (size_t i = 0; i < pids.n; i++)
        look_at_process(l, pids.v[i], out);
    rv_vec_free(&pids);
}
