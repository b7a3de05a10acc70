/* Accepting gRPC connections: an own thread that hands descriptors to the core and rests while there are none left. */
#include "grpc/private.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/listen.h"
#include "base/log.h"
#include "base/mem.h"

#define RETRY_MS 50 /* pause after running out of descriptors */

struct acceptor {
    struct vex_grpc *grpc;
    grpc_server_credentials *credentials;
    int listener, wake;
    pthread_t thread;
};

static bool out_of_descriptors(int failed)
{
    return failed == EMFILE || failed == ENFILE || failed == ENOBUFS || failed == ENOMEM;
}

/* Takes all that is waiting; false when descriptors ran out. */
static bool accept_all(struct acceptor *acceptor)
{
    while (true) {
        int fd = accept4(acceptor->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            grpc_server_add_channel_from_fd(acceptor->grpc->server, fd, acceptor->credentials);
        else if (out_of_descriptors(errno))
            return false;
        else if (errno != EINTR && errno != ECONNABORTED)
            return true;
    }
}

static void *accept_main(void *arg)
{
    struct acceptor *acceptor = arg;
    bool starved = false;
    pthread_setname_np(pthread_self(), "grpc-accept");
    while (true) {
        struct pollfd fds[2] = {{.fd = acceptor->wake, .events = POLLIN}, {.fd = acceptor->listener, .events = POLLIN}};
        int ready = poll(fds, starved ? 1 : 2, starved ? RETRY_MS : -1);
        if (ready < 0 && errno != EINTR)
            abort();
        if (fds[0].revents != 0)
            return NULL;
        bool ok = accept_all(acceptor);
        if (!ok && !starved)
            vex_warn("grpc", "no file descriptors left: new connections wait");
        starved = !ok;
    }
}

int vex_grpc_accept_start(struct vex_grpc *grpc, struct vex_err *err)
{
    const struct vex_conf *conf = grpc->options.conf;
    struct acceptor *acceptor = VEX_NEW(struct acceptor);
    int code = vex_listen(vex_conf_str(conf, VEX_CONF_HOST), vex_conf_u64(conf, VEX_CONF_GRPC_PORT), &acceptor->listener, err);
    if (code != 0) {
        vex_mem_free(acceptor);
        return code;
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
