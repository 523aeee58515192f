/* The network of a process, see network_usage.h. */
#include "containerizer/network_usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"

static FILE *open_file(pid_t pid, const char *name) {
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/net/%s", (int)pid, name);
    return fopen(path, "re");
}

static bool has_own(pid_t pid) {
    struct stat own, its;
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    return stat("/proc/self/ns/net", &own) == 0 && stat(path, &its) == 0 &&
           (own.st_ino != its.st_ino || own.st_dev != its.st_dev);
}

/* "  eth0: 1 2 3 ...": eight figures of what came, eight of what went. */
static void add_interface(const char *line, struct rv_network_usage *out) {
    const char *colon = strchr(line, ':');
    uint64_t rx[4], tx[4];

    line += strspn(line, " ");
    if (!colon || rv_starts_with(line, "lo:"))
        return;
    // NOLINTNEXTLINE(cert-err34-c): the kernel's
    if (sscanf(colon + 1,
               " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %*u %*u %*u %*u %" SCNu64
               " %" SCNu64 " %" SCNu64 " %" SCNu64,
               &rx[0], &rx[1], &rx[2], &rx[3], &tx[0], &tx[1], &tx[2], &tx[3]) != 8)
        return;
    out->rx_bytes += rx[0];
    out->rx_packets += rx[1];
    out->rx_errors += rx[2];
    out->rx_dropped += rx[3];
    out->tx_bytes += tx[0];
    out->tx_packets += tx[1];
    out->tx_errors += tx[2];
    out->tx_dropped += tx[3];
}

bool rv_network_usage_read(pid_t pid, struct rv_network_usage *out) {
    struct rv_network_usage u = {0};
    FILE *f = has_own(pid) ? open_file(pid, "dev") : NULL;
    char line[512];

    if (!f)
        return false;
    while (fgets(line, sizeof line, f))
        add_interface(line, &u);
    fclose(f);
    f = open_file(pid, "sockstat");
    while (f && fgets(line, sizeof line, f))
        // NOLINTNEXTLINE(cert-err34-c): the kernel's
        (void)sscanf(line, "TCP: inuse %" SCNu64 " orphan %*u tw %" SCNu64, &u.tcp_active,
                     &u.tcp_time_wait);
    if (f)
        fclose(f);
    *out = u;
    return true;
}
