/*
 * The one file that needs the kernel's own struct tcp_info: the C library's lacks the byte counts,
 * and the two headers cannot be included together.
 */
#include "io/socket.h"

#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define PROTOCOL_TCP 6

void io_socket_progress(int fd, struct io_progress *out) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, PROTOCOL_TCP, TCP_INFO, &info, &size) < 0)
        memset(&info, 0, sizeof info);
    out->received = info.tcpi_bytes_received;
    out->acked = info.tcpi_bytes_acked;
    out->quiet_ms = (int64_t)info.tcpi_last_data_recv;
}
