/* Listening sockets. */
#ifndef VEX_API_LISTEN_H
#define VEX_API_LISTEN_H

#include <stdint.h>

#include "base/err.h"

/* Binds and listens on an address (name, IPv4 or IPv6) and a port 1..65535, non-blocking, close-on-exec.
 * VEX_EIO with a text naming both when it is taken or not allowed. */
int vex_listen(const char *host, uint64_t port, int *ret_fd, struct vex_err *err);

#endif
