/* REST server: ports, loops and connections; requests are exchange.c's.
 *
 * Threads  One loop per core. A loop owns its connections, its h2o contexts (one per port, because each port
 * has its own body cap) and its pool of requests. Other threads reach it only through its two receivers. Stop
 * Nothing new is accepted; requests that run end, answers leave (both bounded in time); then connections are
 * closed and everything is freed. If a request does not end in time, its loop is left as it is: the process
 * is about to end. */
#include "rest/server_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sys/socket.h>

#include "api/listen.h"
#include "base/log.h"
#include "base/mem.h"

#define ACCEPTS_AT_ONCE 16
#define WATCH_MS        100         /* how often running calls are looked after */
#define RETRY_ACCEPT_MS 50          /* pause after running out of descriptors */
#define SPOOL_BYTES     (32u << 20) /* bodies beyond this go to the spool folder */
#define SECOND_NS       UINT64_C(1000000000)
#define DRAIN_NS        (10 * SECOND_NS)
#define CLOSE_NS        SECOND_NS

struct connection {
    h2o_linklist_t link; /* of its loop */
    int fd;
};

struct stop_message {
    h2o_multithread_message_t super;
};

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

/* ---- connections ---- */

static void on_close(void *data)
{
    struct connection *connection = data;
    h2o_linklist_unlink(&connection->link);
    vex_mem_free(connection);
}

static void connection_begin(struct vex_rest_listener *listener, h2o_socket_t *socket)
{
    struct connection *connection = VEX_NEW(struct connection);
    connection->fd = h2o_socket_get_fd(socket);
    h2o_linklist_insert(&listener->loop->connections, &connection->link);
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
    h2o_accept(&listener->accept, socket);
}

static void on_accept(h2o_socket_t *socket, const char *error)
{
    struct vex_rest_listener *listener = socket->data;
    if (error != NULL)
        return;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        h2o_socket_t *connection = h2o_evloop_socket_accept(socket);
        if (connection != NULL) {
            connection_begin(listener, connection);
            continue;
        }
        if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
            return;
        /* Out of descriptors: rest a little, so that the loop does not spin, and try again. */
        h2o_socket_read_stop(socket);
        listener->paused = true;
        h2o_timeout_link(listener->loop->h2o, &listener->loop->retry_timeout, &listener->retry);
        return;
    }
}

static void on_retry(h2o_timeout_entry_t *entry)
{
    struct vex_rest_listener *listener = H2O_STRUCT_FROM_MEMBER(struct vex_rest_listener, retry, entry);
    listener->paused = false;
    h2o_socket_read_start(listener->socket, on_accept);
}

/* ---- loops ---- */

static void listener_stop(struct vex_rest_listener *listener)
{
    if (listener->socket == NULL)
        return;
    if (listener->paused)
        h2o_timeout_unlink(&listener->retry);
    h2o_socket_close(listener->socket);
    listener->socket = NULL;
    h2o_context_request_shutdown(&listener->context);
}

static void on_control(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    struct vex_rest_loop *loop = H2O_STRUCT_FROM_MEMBER(struct vex_rest_loop, control, receiver);
    while (!h2o_linklist_is_empty(messages)) {
        h2o_linklist_t *node = messages->next;
        h2o_linklist_unlink(node);
        vex_mem_free(H2O_STRUCT_FROM_MEMBER(struct stop_message, super.link, node));
    }
    loop->stopping = true;
    for (int i = 0; i < VEX_REST_PORTS; i++)
        listener_stop(&loop->listeners[i]);
}

/* Clients that keep a connection open see it end, and the loop's h2o objects can be freed. */
static void close_connections(struct vex_rest_loop *loop)
{
    uint64_t end = now_ns() + CLOSE_NS;
    for (h2o_linklist_t *at = loop->connections.next; at != &loop->connections; at = at->next)
        shutdown(H2O_STRUCT_FROM_MEMBER(struct connection, link, at)->fd, SHUT_RDWR);
    while (!h2o_linklist_is_empty(&loop->connections) && now_ns() < end)
        h2o_evloop_run(loop->h2o, 10);
}

/* Each loop waits on a descriptor of its own for the shared listening socket. */
static int listener_start(struct vex_rest_loop *loop, struct vex_rest_port *port,
                          struct vex_rest_listener *listener, struct vex_err *err)
{
    int fd = dup(port->fd);
    if (fd < 0)
        return vex_err_set(err, VEX_EIO, "no descriptor for a listening socket: %s", strerror(errno));
    listener->loop = loop;
    listener->port = port;
    listener->retry.cb = on_retry;
    h2o_context_init(&listener->context, loop->h2o, &port->config);
    listener->accept.ctx = &listener->context;
    listener->accept.hosts = port->config.hosts;
    listener->socket = h2o_evloop_socket_create(loop->h2o, fd, H2O_SOCKET_FLAG_DONT_READ);
    listener->socket->data = listener;
    h2o_socket_read_start(listener->socket, on_accept);
    return 0;
}

static int loop_init(struct vex_rest_loop *loop, struct vex_err *err)
{
    struct vex_rest *rest = loop->rest;
    int code = 0;
    loop->h2o = h2o_evloop_create();
    loop->queue = h2o_multithread_create_queue(loop->h2o);
    h2o_multithread_register_receiver(loop->queue, &loop->answers, vex_rest_on_answers);
    h2o_multithread_register_receiver(loop->queue, &loop->control, on_control);
    h2o_timeout_init(loop->h2o, &loop->retry_timeout, RETRY_ACCEPT_MS);
    h2o_timeout_init(loop->h2o, &loop->watch_timeout, WATCH_MS);
    loop->watch.cb = vex_rest_on_watch;
    h2o_linklist_init_anchor(&loop->watched);
    h2o_linklist_init_anchor(&loop->connections);
    for (int i = 0; code == 0 && i < VEX_REST_PORTS; i++)
        if (rest->ports[i].fd >= 0)
            code = listener_start(loop, &rest->ports[i], &loop->listeners[i], err);
    return code;
}

static void context_free(h2o_context_t *context)
{
    /* Asking for shutdown starts a timer for HTTP/2, which the library forgets when it disposes the context.
     */
    if (h2o_timeout_is_linked(&context->http2._graceful_shutdown_timeout))
        h2o_timeout_unlink(&context->http2._graceful_shutdown_timeout);
    h2o_context_dispose(context);
}

/* False when something of the loop is still in use; then it stays. */
static bool loop_done(struct vex_rest_loop *loop)
{
    if (loop->running > 0 || loop->sending > 0 || !h2o_linklist_is_empty(&loop->connections))
        return false;
    for (int i = 0; i < VEX_REST_PORTS; i++) {
        listener_stop(&loop->listeners[i]);
        if (loop->listeners[i].loop != NULL)
            context_free(&loop->listeners[i].context);
    }
    if (h2o_timeout_is_linked(&loop->watch))
        h2o_timeout_unlink(&loop->watch);
    h2o_timeout_dispose(loop->h2o, &loop->watch_timeout);
    h2o_timeout_dispose(loop->h2o, &loop->retry_timeout);
    h2o_multithread_unregister_receiver(loop->queue, &loop->answers);
    h2o_multithread_unregister_receiver(loop->queue, &loop->control);
    h2o_multithread_destroy_queue(loop->queue);
    h2o_evloop_destroy(loop->h2o);
    vex_rest_free_idle(loop);
    return true;
}

static void serve(struct vex_rest_loop *loop)
{
    while (!loop->stopping)
        h2o_evloop_run(loop->h2o, INT32_MAX);
    uint64_t end = now_ns() + DRAIN_NS;
    while ((loop->running > 0 || loop->sending > 0) && now_ns() < end)
        h2o_evloop_run(loop->h2o, 10);
    close_connections(loop);
}

static void *loop_main(void *arg)
{
    struct vex_rest_loop *loop = arg;
    pthread_setname_np(pthread_self(), "rest");
    vex_rest_enter_loop(loop);
    loop->code = loop_init(loop, &loop->err);
    bool serves = loop->code == 0;
    sem_post(&loop->ready);
    if (serves)
        serve(loop);
    loop->left = !loop_done(loop);
    return NULL;
}

/* Starts the thread and waits until it serves or can't. */
static int loop_start(struct vex_rest *rest, struct vex_rest_loop *loop, struct vex_err *err)
{
    loop->rest = rest;
    sem_init(&loop->ready, 0, 0);
    if (pthread_create(&loop->thread, NULL, loop_main, loop) != 0) {
        sem_destroy(&loop->ready);
        return vex_err_set(err, VEX_EIO, "no thread for a REST loop");
    }
    loop->started = true;
    while (sem_wait(&loop->ready) != 0)
        ;
    if (loop->code != 0)
        *err = loop->err;
    return loop->code;
}

/* ---- ports ---- */

static void port_configure(struct vex_rest *rest, struct vex_rest_port *port)
{
    h2o_config_init(&port->config);
    port->config.http1.upgrade_to_http2 =
        0; /* the library's HTTP/2 predates the fixes against floods of resets */
    /* Up to this a body is read, so that every client sees the refusal; beyond, it is refused unread. */
    port->config.max_request_entity_size = port->body_max * 2;
    port->config.server_name = h2o_iovec_init(H2O_STRLIT("vexfs"));
    h2o_hostconf_t *host =
        h2o_config_register_host(&port->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    vex_rest_handle(rest, port, host);
    port->router = vex_router_new(port->dialect->routes, port->dialect->route_count);
}

static void use_spool(const char *dir)
{
    char *template = h2o_socket_buffer_mmap_settings.fn_template;
    size_t room = sizeof h2o_socket_buffer_mmap_settings.fn_template;
    int len = snprintf(template, room, "%s/body.XXXXXX", dir);
    if (len < 0 || (size_t)len >= room)
        vex_warn("rest", "the spool folder's path is too long; large bodies stay in memory");
    h2o_socket_buffer_mmap_settings.threshold = len > 0 && (size_t)len < room ? SPOOL_BYTES : SIZE_MAX;
}

static int bind_ports(struct vex_rest *rest, struct vex_err *err)
{
    const struct vex_conf *conf = rest->options.conf;
    for (int i = 0; i < VEX_REST_PORTS; i++) {
        struct vex_rest_port *port = &rest->ports[i];
        uint64_t number = vex_conf_u64(conf, port->number);
        if (number == 0)
            continue;
        int code = vex_listen(vex_conf_str(conf, VEX_CONF_HOST), number, &port->fd, err);
        if (code != 0)
            return code;
        port_configure(rest, port);
    }
    return 0;
}

static void port_free(struct vex_rest_port *port)
{
    if (port->fd < 0)
        return;
    close(port->fd);
    if (port->router == NULL)
        return;
    h2o_config_dispose(&port->config);
    vex_router_free(port->router);
}

static void stop_loops(struct vex_rest *rest)
{
    for (int i = 0; i < VEX_REST_PORTS; i++)
        if (rest->ports[i].fd >= 0)
            shutdown(rest->ports[i].fd, SHUT_RDWR); /* from now on connections are refused */
    for (unsigned i = 0; i < rest->loop_count; i++) {
        if (!rest->loops[i].started || rest->loops[i].code != 0)
            continue;
        struct stop_message *message = VEX_NEW(struct stop_message);
        h2o_multithread_send_message(&rest->loops[i].control, &message->super);
    }
    for (unsigned i = 0; i < rest->loop_count; i++)
        if (rest->loops[i].started) {
            pthread_join(rest->loops[i].thread, NULL);
            sem_destroy(&rest->loops[i].ready);
        }
}

/* Servers that could not be freed stay reachable; only the main thread stops servers. */
static struct vex_rest *left;

void vex_rest_stop(struct vex_rest *rest)
{
    bool all = true;
    if (rest == NULL)
        return;
    stop_loops(rest);
    for (unsigned i = 0; i < rest->loop_count; i++)
        all = all && !rest->loops[i].left;
    if (!all) {
        vex_warn("rest", "some requests did not end in time");
        rest->left_before = left;
        left = rest;
        return;
    }
    for (int i = 0; i < VEX_REST_PORTS; i++)
        port_free(&rest->ports[i]);
    vex_mem_free(rest->loops);
    vex_mem_free(rest);
}

int vex_rest_start(const struct vex_rest_options *options, struct vex_rest **ret, struct vex_err *err)
{
    struct vex_rest *rest = VEX_NEW(struct vex_rest);
    size_t body_max = (size_t)vex_conf_u64(options->conf, VEX_CONF_MAX_BODY_MB) << 20;
    size_t chroma_max = (size_t)vex_conf_u64(options->conf, VEX_CONF_CHROMA_MAX_BODY);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    rest->options = *options;
    rest->cors = vex_conf_bool(options->conf, VEX_CONF_CORS);
    rest->ports[0] = (struct vex_rest_port){&vex_rest_qdrant, VEX_CONF_HTTP_PORT, body_max, -1, NULL, {0}};
    rest->ports[1] =
        (struct vex_rest_port){&vex_rest_chroma, VEX_CONF_CHROMA_PORT, chroma_max, -1, NULL, {0}};
    rest->ports[2] = (struct vex_rest_port){&vex_rest_native, VEX_CONF_NATIVE_PORT, body_max, -1, NULL, {0}};
    int code = bind_ports(rest, err);
    use_spool(options->spool_dir);
    unsigned wanted = options->loops != 0 ? options->loops : (unsigned)(cores > 0 ? cores : 1);
    rest->loops = vex_mem_zalloc(sizeof *rest->loops * wanted);
    while (code == 0 && rest->loop_count < wanted)
        code = loop_start(rest, &rest->loops[rest->loop_count++], err);
    if (code != 0) {
        vex_rest_stop(rest);
        return code;
    }
    *ret = rest;
    return 0;
}

#ifdef __SANITIZE_ADDRESS__
/* What the library itself never frees: its queues, and the spare blocks of threads that ended. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_recycle\nleak:h2o_multithread_create_queue\n";
}
#endif
