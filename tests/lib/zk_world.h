/* Real ZooKeeper servers for tests: started on free ports of loopback, killed, stopped, started
 * again with what they had. A test without ZooKeeper on its machine is skipped. */
#ifndef RV_TESTS_ZK_WORLD_H
#define RV_TESTS_ZK_WORLD_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

struct zk_server {
    char folder[64];
    uint16_t port;
    const char *tick_ms;
    pid_t pid; /* 0: does not run */
};

/* Below those that the kernel gives to clients: one of these that knocks at a port where nobody
 * listens yet may find itself. */
static inline uint16_t zk_free_port(void) {
    static unsigned next;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    if (!next)
        next = (unsigned)getpid() * 7;
    for (int i = 0; i < 1000; i++) {
        uint16_t port = (uint16_t)(20000 + next++ % 12000);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        a.sin_port = htons(port);
        int taken = bind(fd, (struct sockaddr *)&a, sizeof a);
        close(fd);
        if (!taken)
            return port;
    }
    abort();
}

/* Whether it answers that it serves. */
static inline bool zk_serves(const struct zk_server *s) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(s->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {5, 0};
    char text[4096] = "";
    size_t n = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);

    if (!connect(fd, (struct sockaddr *)&a, sizeof a) && write(fd, "srvr", 4) == 4)
        while (n < sizeof text - 1) {
            ssize_t got = read(fd, text + n, sizeof text - 1 - n);
            if (got <= 0)
                break;
            n += (size_t)got;
        }
    close(fd);
    return strstr(text, "Mode:") != NULL;
}

static inline void zk_sleep_ms(long ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* false: there is no ZooKeeper here. */
static inline bool zk_start(struct zk_server *s) {
    char port[64];

    snprintf(port, sizeof port, "%u:0:0", (unsigned)s->port);
    s->pid = fork();
    if (!s->pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("TICK_MS", s->tick_ms, 1);
        execl(RV_TESTS_DIR "/lib/zookeeper", "zookeeper", s->folder, "1", port, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 600; i++) {
        int status;
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
            s->pid = 0;
            if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                return false;
            fprintf(stderr, "ZooKeeper has ended; see %s/out\n", s->folder);
            abort();
        }
        if (zk_serves(s))
            return true;
        zk_sleep_ms(100);
    }
    fprintf(stderr, "ZooKeeper does not serve; see %s/out\n", s->folder);
    abort();
}

static inline void zk_kill(struct zk_server *s) {
    if (!s->pid)
        return;
    kill(s->pid, SIGCONT);
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

static inline bool zk_make(struct zk_server *s, const char *tick_ms) {
    strcpy(s->folder, "/tmp/reeve-zookeeper-XXXXXX");
    if (!mkdtemp(s->folder))
        abort();
    s->port = zk_free_port();
    s->tick_ms = tick_ms;
    if (zk_start(s))
        return true;
    rmdir(s->folder);
    return false;
}

static inline void zk_remove(struct zk_server *s) {
    char command[128];

    zk_kill(s);
    snprintf(command, sizeof command, "rm -rf '%s'", s->folder);
    if (system(command))
        abort();
}

#endif
