/* Listening sockets: never SO_REUSEPORT, so that a second server on a port is told so. Of a name that stands
 * for several addresses the first IPv4 one is taken, else the first. */
#include "api/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

static int listen_on(const struct addrinfo *address, int *ret_fd)
{
    int fd =
        socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);
    int on = 1;
    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int failed = errno;
        close(fd);
        return failed;
    }
    *ret_fd = fd;
    return 0;
}

int vex_listen(const char *host, uint64_t port, int *ret_fd, struct vex_err *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    char service[24];
    if (port == 0 || port > 65535)
        return vex_err_set(err, VEX_EBAD_INPUT, "port %llu is not between 1 and 65535",
                           (unsigned long long)port);
    snprintf(service, sizeof service, "%llu", (unsigned long long)port);
    int failed = getaddrinfo(host, service, &hints, &found);
    if (failed != 0)
        return vex_err_set(err, VEX_EIO, "cannot listen on %s: %s", host, gai_strerror(failed));
    const struct addrinfo *address = found;
    while (address->ai_family != AF_INET && address->ai_next != NULL)
        address = address->ai_next;
    failed = listen_on(address->ai_family == AF_INET ? address : found, ret_fd);
    freeaddrinfo(found);
    if (failed != 0)
        return vex_err_set(err, VEX_EIO, "cannot listen on %s port %s: %s", host, service, strerror(failed));
    return 0;
}
