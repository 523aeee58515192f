/* How far the two ends of a TCP connection have got, as the kernel counts it. */
#ifndef RV_IO_SOCKET_H
#define RV_IO_SOCKET_H

#include <stdint.h>

struct io_progress {
    uint64_t received; /* bytes that came, read or not */
    uint64_t acked;    /* bytes that the peer has taken */
    int64_t quiet_ms;  /* since bytes last came */
};

/* All zero if the socket is not TCP. */
void io_socket_progress(int fd, struct io_progress *out);

#endif
