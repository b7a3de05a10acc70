/* Self-probe over a plain socket. */
#include "api/probe.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TIMEOUT_SECONDS 3

static int dial(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    struct timeval timeout = {.tv_sec = TIMEOUT_SECONDS};
    int fd = -1;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return -1;
    for (struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
        if (connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

int vex_probe_ready(const char *host, uint64_t port, struct vex_err *err)
{
    static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char service[24], answer[64];
    if (port == 0)
        return vex_err_set(err, VEX_EUNAVAILABLE, "the REST port is switched off: there is nothing to ask");
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0)
        host = strcmp(host, "::") == 0 ? "::1" : "127.0.0.1";
    snprintf(service, sizeof service, "%llu", (unsigned long long)port);
    int fd = dial(host, service);
    if (fd < 0)
        return vex_err_set(err, VEX_EUNAVAILABLE, "no server answers on %s port %s", host, service);
    size_t got = 0;
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == (ssize_t)(sizeof request - 1))
        while (got < sizeof answer) {
            ssize_t n = recv(fd, answer + got, sizeof answer - got, 0);
            if (n <= 0)
                break;
            got += (size_t)n;
        }
    close(fd);
    if (got < 12 || memcmp(answer, "HTTP/1.1 200", 12) != 0)
        return vex_err_set(err, VEX_EUNAVAILABLE, "the server on %s port %s is not ready", host, service);
    return 0;
}
