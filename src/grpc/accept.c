/* Accepting gRPC connections: an own thread that hands descriptors to the core and rests while there are none
 * left.
 *
 * Invariant Some descriptors stay free for the files of the engine: connections wait in the backlog before
 * they take the last ones. */
#include "grpc/private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/listen.h"
#include "base/log.h"
#include "base/mem.h"

#define RETRY_MS    50 /* pause after running out of descriptors */
#define RESERVE_MAX 256
#define WARN_NS     (UINT64_C(10) * 1000000000)

struct acceptor {
    struct vex_grpc *grpc;
    grpc_server_credentials *credentials;
    int listener, wake;
    uint64_t warned_ns;
    pthread_t thread;
};

static bool out_of_descriptors(int failed)
{
    return failed == EMFILE || failed == ENFILE || failed == ENOBUFS || failed == ENOMEM;
}

/* The system gives the lowest free number, so the next one tells how many are left. */
static bool descriptors_left(struct acceptor *acceptor)
{
    struct rlimit limit;
    int next = fcntl(acceptor->wake, F_DUPFD_CLOEXEC, 0);
    if (next < 0)
        return false;
    close(next);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return true;
    rlim_t reserve = limit.rlim_cur / 4;
    return (rlim_t)next < limit.rlim_cur - (reserve < RESERVE_MAX ? reserve : RESERVE_MAX);
}

/* Takes all that is waiting; false when descriptors ran out. */
static bool accept_all(struct acceptor *acceptor)
{
    while (descriptors_left(acceptor)) {
        int fd = accept4(acceptor->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            grpc_server_add_channel_from_fd(acceptor->grpc->server, fd, acceptor->credentials);
        else if (out_of_descriptors(errno))
            return false;
        else if (errno != EINTR && errno != ECONNABORTED)
            return true;
    }
    return false;
}

static void warn_starved(struct acceptor *acceptor)
{
    uint64_t now = vex_io_monotonic_ns(vex_io_posix());
    if (acceptor->warned_ns != 0 && now - acceptor->warned_ns < WARN_NS)
        return;
    acceptor->warned_ns = now;
    vex_warn("grpc", "no file descriptors left for connections: new ones wait");
}

static void *accept_main(void *arg)
{
    struct acceptor *acceptor = arg;
    bool starved = false;
    pthread_setname_np(pthread_self(), "grpc-accept");
    while (true) {
        struct pollfd fds[2] = {{.fd = acceptor->wake, .events = POLLIN},
                                {.fd = acceptor->listener, .events = POLLIN}};
        int ready = poll(fds, starved ? 1 : 2, starved ? RETRY_MS : -1);
        if (ready > 0 && fds[0].revents != 0)
            return NULL;
        /* A failed poll has no memory: the same rest does. */
        starved = (ready < 0 && errno != EINTR) || !accept_all(acceptor);
        if (starved)
            warn_starved(acceptor);
    }
}

int vex_grpc_accept_start(struct vex_grpc *grpc, struct vex_err *err)
{
    const struct vex_conf *conf = grpc->options.conf;
    struct acceptor *acceptor = VEX_NEW(struct acceptor);
    int code = vex_listen(vex_conf_str(conf, VEX_CONF_HOST), vex_conf_u64(conf, VEX_CONF_GRPC_PORT),
                          &acceptor->listener, err);
    if (code != 0) {
        vex_mem_free(acceptor);
        return vex_err_wrap(err, "gRPC");
    }
    acceptor->grpc = grpc;
    acceptor->credentials = grpc_insecure_server_credentials_create();
    acceptor->wake = eventfd(0, EFD_CLOEXEC);
    if (acceptor->wake < 0 || pthread_create(&acceptor->thread, NULL, accept_main, acceptor) != 0)
        abort();
    grpc->acceptor = acceptor;
    return 0;
}

void vex_grpc_accept_stop(struct vex_grpc *grpc)
{
    struct acceptor *acceptor = grpc->acceptor;
    if (acceptor == NULL)
        return;
    if (eventfd_write(acceptor->wake, 1) != 0)
        abort();
    pthread_join(acceptor->thread, NULL);
    close(acceptor->wake);
    close(acceptor->listener);
    grpc_server_credentials_release(acceptor->credentials);
    vex_mem_free(acceptor);
    grpc->acceptor = NULL;
}
