/*
 * What goes through the network of a process that has one of its own, from /proc/PID/net. Costs
 * three small files.
 */
#ifndef RV_CONTAINERIZER_NETWORK_USAGE_H
#define RV_CONTAINERIZER_NETWORK_USAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct rv_network_usage {
    /* Of all interfaces but the loopback. */
    uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped;
    uint64_t tx_bytes, tx_packets, tx_errors, tx_dropped;
    uint64_t tcp_active, tcp_time_wait; /* connections */
};

/* False: the process has gone, or its network is ours. */
bool rv_network_usage_read(pid_t pid, struct rv_network_usage *out);

#endif
