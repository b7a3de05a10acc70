/* REST server: h2o loops, the way of a request through them, and back.
 *
 * Threads   One loop per core. A loop owns its connections, its h2o contexts (one per port, because each port has its own body cap)
 *           and its pool of requests. Answers finished elsewhere come back as messages to the loop's receiver.
 * Vanishing When the client goes away h2o disposes the request's memory pool; the anchor in it tells us: the call is cancelled, and
 *           the request is recycled once the service gives it back. */
#define _GNU_SOURCE
#include "rest/server.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <h2o.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/text.h"
#include "api/listen.h"
#include "rest/request.h"

#define PORTS           3
#define IDLE_REQUESTS   256        /* recycled requests kept by a loop */
#define RETRY_ACCEPT_MS 50         /* pause after running out of descriptors */
#define SPOOL_BYTES     (32u << 20) /* bodies beyond this go to the spool folder */
#define DRAIN_NS        (10 * UINT64_C(1000000000))

struct port {
    const struct vex_rest_dialect *dialect;
    enum vex_conf_key number;
    size_t body_max;
    int fd; /* -1: off */
    struct vex_router *router;
    h2o_globalconf_t config;
};

struct listener {
    h2o_accept_ctx_t accept;
    h2o_context_t context;
    struct port *port;
    struct vex_rest_loop *loop;
    h2o_socket_t *socket;
    h2o_timeout_entry_t retry;
    bool paused;
};

struct vex_rest_loop {
    struct vex_rest *rest;
    h2o_loop_t *h2o;
    h2o_multithread_queue_t *queue;
    h2o_multithread_receiver_t answers, control;
    h2o_timeout_t retry_timeout;
    struct listener listeners[PORTS];
    struct vex_rest_request *idle;
    unsigned idle_count;
    unsigned running; /* requests with the service */
    pthread_t thread;
    bool stopping;
};

struct vex_rest {
    struct vex_rest_options options;
    struct port ports[PORTS];
    struct vex_rest_loop *loops;
    unsigned loop_count;
    bool cors;
};

struct handler {
    h2o_handler_t super;
    struct vex_rest *rest;
    struct port *port;
};

struct anchor {
    struct vex_rest_request *request; /* NULL once answered */
};

struct stop_message {
    h2o_multithread_message_t super;
};

/* ---- requests ---- */

static struct vex_rest_request *request_new(struct vex_rest_loop *loop)
{
    struct vex_rest_request *request = loop->idle;
    if (request != NULL) {
        loop->idle = request->next;
        loop->idle_count--;
        return request;
    }
    request = VEX_NEW(struct vex_rest_request);
    vex_arena_init(&request->call.arena, 0);
    request->parser = vex_json_parser_new();
    request->loop = loop;
    return request;
}

static void request_free(struct vex_rest_request *request)
{
    vex_arena_done(&request->call.arena);
    vex_json_parser_free(request->parser);
    vex_mem_free(request);
}

/* Back to the loop's pool, everything of the call forgotten. */
static void request_recycle(struct vex_rest_request *request)
{
    struct vex_rest_loop *loop = request->loop;
    if (loop->idle_count >= IDLE_REQUESTS) {
        request_free(request);
        return;
    }
    struct vex_arena arena = request->call.arena;
    struct vex_json_parser *parser = request->parser;
    vex_arena_reset(&arena);
    memset(request, 0, sizeof *request);
    request->call.arena = arena;
    request->parser = parser;
    request->loop = loop;
    request->next = loop->idle;
    loop->idle = request;
    loop->idle_count++;
}

/* ---- answers ---- */

static void add_header(h2o_req_t *http, const char *name, const char *value, size_t len)
{
    h2o_add_header_by_str(&http->pool, &http->res.headers, name, strlen(name), 1, NULL, value, len);
}

/* Sends the answer if the client is still there, and recycles the request. Loop thread. */
static void answer(struct vex_rest_request *request)
{
    static h2o_generator_t generator = {NULL, NULL};
    h2o_req_t *http = request->http;
    if (http != NULL) {
        ((struct anchor *)request->anchor)->request = NULL;
        http->res.status = request->status;
        http->res.reason = "";
        http->res.content_length = request->reply.len;
        if (request->content_type_reply != NULL)
            add_header(http, "content-type", request->content_type_reply, strlen(request->content_type_reply));
        if (request->header_name != NULL) {
            h2o_iovec_t value = h2o_strdup(&http->pool, request->header_value, SIZE_MAX);
            add_header(http, request->header_name, value.base, value.len);
        }
        if (request->loop->rest->cors)
            add_header(http, "access-control-allow-origin", H2O_STRLIT("*"));
        h2o_iovec_t body = {NULL, 0};
        if (request->reply.len > 0)
            body = h2o_strdup(&http->pool, request->reply.ptr, request->reply.len);
        h2o_start_response(http, &generator);
        h2o_send(http, &body, body.len > 0, H2O_SEND_STATE_FINAL);
    }
    request_recycle(request);
}

/* The service is done with a call: on the loop's own thread the answer goes out at once, else the loop is told. */
static void call_done(struct vex_call *call)
{
    struct vex_rest_request *request = (struct vex_rest_request *)call;
    struct vex_rest_loop *loop = request->loop;
    if (atomic_load_explicit(&call->cancelled, memory_order_relaxed) == 0)
        request->dialect->encode(request);
    if (pthread_equal(pthread_self(), loop->thread)) {
        loop->running--;
        answer(request);
    } else {
        h2o_multithread_send_message(&loop->answers, (h2o_multithread_message_t *)(void *)&request->message);
    }
}

static void on_answers(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    struct vex_rest_loop *loop = H2O_STRUCT_FROM_MEMBER(struct vex_rest_loop, answers, receiver);
    while (!h2o_linklist_is_empty(messages)) {
        h2o_linklist_t *node = messages->next;
        h2o_linklist_unlink(node);
        struct vex_rest_request *request = VEX_CONTAINER_OF(node, struct vex_rest_request, message);
        loop->running--;
        answer(request);
    }
}

/* The client is gone, or its answer has been sent. */
static void on_dispose(void *data)
{
    struct anchor *anchor = data;
    if (anchor->request == NULL)
        return;
    anchor->request->http = NULL;
    atomic_store(&anchor->request->call.cancelled, 1);
    vex_metric_add(VEX_METRIC_CALLS_CANCELLED, 1);
}

/* ---- requests in ---- */

static struct vex_str header(h2o_req_t *http, const char *name)
{
    ssize_t at = h2o_find_header_by_str(&http->headers, name, strlen(name), -1);
    if (at < 0)
        return vex_str(NULL, 0);
    return vex_str(http->headers.entries[at].value.base, http->headers.entries[at].value.len);
}

static struct vex_str copy(struct vex_arena *arena, struct vex_str s)
{
    if (s.ptr == NULL)
        return s;
    return vex_str(vex_arena_strndup(arena, s.ptr, s.len), s.len);
}

static void read_query(struct vex_rest_request *request, struct vex_str text)
{
    struct vex_arena *arena = &request->call.arena;
    uint32_t count = text.len > 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '&';
    request->query = VEX_ARENA_ARRAY(arena, struct vex_rest_pair, count);
    const char *at = text.ptr, *end = text.ptr + text.len;
    while (at < end) {
        const char *amp = memchr(at, '&', (size_t)(end - at));
        const char *stop = amp != NULL ? amp : end;
        const char *eq = memchr(at, '=', (size_t)(stop - at));
        const char *name_end = eq != NULL ? eq : stop;
        struct vex_rest_pair *pair = &request->query[request->query_count];
        struct vex_str value = eq != NULL ? vex_str(eq + 1, (size_t)(stop - eq - 1)) : vex_str("", 0);
        if (!vex_percent_decode(arena, vex_str(at, (size_t)(name_end - at)), true, &pair->name) ||
            !vex_percent_decode(arena, value, true, &pair->value))
            request->query_bad = true;
        else if (pair->name.len > 0)
            request->query_count++;
        at = stop + 1;
    }
}

struct vex_str vex_rest_query_get(const struct vex_rest_request *request, const char *name)
{
    for (uint32_t i = request->query_count; i > 0; i--)
        if (vex_str_eq_c(request->query[i - 1].name, name))
            return request->query[i - 1].value;
    return vex_str(NULL, 0);
}

static struct vex_str key_of(h2o_req_t *http)
{
    static const char *const names[] = {"api-key", "x-chroma-token", "authorization"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct vex_str value = header(http, names[i]);
        if (value.ptr == NULL)
            continue;
        if (i == 2 && value.len >= 7 && strncasecmp(value.ptr, "bearer ", 7) == 0)
            return vex_str(value.ptr + 7, value.len - 7);
        return value;
    }
    return vex_str(NULL, 0);
}

/* Authorises, checks the size, decodes: 0 when the service may run the call. */
static int admit(struct vex_rest_request *request, struct port *port, h2o_req_t *http)
{
    struct vex_call *call = &request->call;
    if (request->found != VEX_ROUTE_FOUND)
        return VEX_ENOT_FOUND;
    enum vex_access access = request->route->open ? VEX_ACCESS_OPEN : VEX_ACCESS_READ;
    int code = vex_service_authorise(request->service, access, key_of(http), &call->identity, &call->err);
    if (code != 0)
        return code;
    if (http->entity.len > port->body_max)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "Payload too large: a body may have %zu bytes", port->body_max);
    request->body = vex_str(http->entity.base, http->entity.len);
    code = request->dialect->decode(request);
    request->body = vex_str(NULL, 0);
    if (code == 0 && call->operation != NULL && call->operation->access > access)
        code = vex_service_authorise(request->service, call->operation->access, key_of(http), &call->identity, &call->err);
    return code;
}

static void preflight(h2o_req_t *http)
{
    static h2o_generator_t generator = {NULL, NULL};
    http->res.status = 204;
    http->res.reason = "No Content";
    add_header(http, "access-control-allow-origin", H2O_STRLIT("*"));
    add_header(http, "access-control-allow-methods", H2O_STRLIT("GET, POST, PUT, PATCH, DELETE, OPTIONS"));
    add_header(http, "access-control-allow-headers", H2O_STRLIT("*"));
    add_header(http, "access-control-max-age", H2O_STRLIT("3600"));
    h2o_start_response(http, &generator);
    h2o_send(http, NULL, 0, H2O_SEND_STATE_FINAL);
}

static int on_request(h2o_handler_t *super, h2o_req_t *http)
{
    struct handler *handler = (struct handler *)super;
    struct port *port = handler->port;
    struct listener *listener = H2O_STRUCT_FROM_MEMBER(struct listener, context, http->conn->ctx);
    if (handler->rest->cors && h2o_memis(http->method.base, http->method.len, H2O_STRLIT("OPTIONS"))) {
        preflight(http);
        return 0;
    }
    struct vex_rest_request *request = request_new(listener->loop);
    struct vex_call *call = &request->call;
    request->dialect = port->dialect;
    request->service = handler->rest->options.service;
    request->http = http;
    struct anchor *anchor = h2o_mem_alloc_shared(&http->pool, sizeof *anchor, on_dispose);
    anchor->request = request;
    request->anchor = anchor;
    vex_buf_init(&request->reply, &call->arena);
    call->dialect = port->dialect->dialect;
    call->done = call_done;

    size_t path_len = http->query_at == SIZE_MAX ? http->path.len : http->query_at;
    request->method = copy(&call->arena, vex_str(http->method.base, http->method.len));
    request->path = copy(&call->arena, vex_str(http->path.base, path_len));
    request->content_type = copy(&call->arena, header(http, "content-type"));
    request->user_agent = copy(&call->arena, header(http, "user-agent"));
    if (path_len < http->path.len)
        read_query(request, vex_str(http->path.base + path_len + 1, http->path.len - path_len - 1));
    request->found = vex_router_find(port->router, request->method, request->path, &call->arena, &request->route,
                                     request->params);
    int code = admit(request, port, http);
    if (code != 0) {
        call->code = code;
        request->dialect->encode(request);
        answer(request);
        return 0;
    }
    listener->loop->running++;
    vex_service_run(request->service, call);
    return 0;
}

/* ---- loops ---- */

static void on_retry(h2o_timeout_entry_t *entry);

static void on_accept(h2o_socket_t *socket, const char *error)
{
    struct listener *listener = socket->data;
    if (error != NULL)
        return;
    for (int i = 0; i < 16; i++) {
        h2o_socket_t *connection = h2o_evloop_socket_accept(socket);
        if (connection == NULL) {
            if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
                return;
            /* Out of descriptors: rest a little, so that the loop does not spin, and try again. */
            h2o_socket_read_stop(socket);
            listener->paused = true;
            h2o_timeout_link(listener->loop->h2o, &listener->loop->retry_timeout, &listener->retry);
            return;
        }
        h2o_accept(&listener->accept, connection);
    }
}

static void on_retry(h2o_timeout_entry_t *entry)
{
    struct listener *listener = H2O_STRUCT_FROM_MEMBER(struct listener, retry, entry);
    listener->paused = false;
    if (listener->socket != NULL)
        h2o_socket_read_start(listener->socket, on_accept);
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
    for (int i = 0; i < PORTS; i++) {
        struct listener *listener = &loop->listeners[i];
        if (listener->socket == NULL)
            continue;
        if (listener->paused)
            h2o_timeout_unlink(&listener->retry);
        h2o_socket_close(listener->socket);
        listener->socket = NULL;
        h2o_context_request_shutdown(&listener->context);
    }
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static void *loop_main(void *arg)
{
    struct vex_rest_loop *loop = arg;
    uint64_t stop_at = 0;
    pthread_setname_np(pthread_self(), "rest");
    while (true) {
        if (loop->stopping && stop_at == 0)
            stop_at = now_ns() + DRAIN_NS;
        if (loop->stopping && (loop->running == 0 || now_ns() > stop_at))
            break;
        h2o_evloop_run(loop->h2o, loop->stopping ? 10 : INT32_MAX);
    }
    /* Answers that were written in the last round still have to leave. */
    for (int i = 0; i < 3; i++)
        h2o_evloop_run(loop->h2o, 1);
    return NULL;
}

static void listener_start(struct vex_rest_loop *loop, struct port *port, struct listener *listener)
{
    int fd = dup(port->fd);
    if (fd < 0)
        return;
    listener->loop = loop;
    listener->port = port;
    listener->retry.cb = on_retry;
    h2o_context_init(&listener->context, loop->h2o, &port->config);
    listener->accept.ctx = &listener->context;
    listener->accept.hosts = port->config.hosts;
    listener->socket = h2o_evloop_socket_create(loop->h2o, fd, H2O_SOCKET_FLAG_DONT_READ);
    listener->socket->data = listener;
    h2o_socket_read_start(listener->socket, on_accept);
}

static void loop_start(struct vex_rest *rest, struct vex_rest_loop *loop)
{
    loop->rest = rest;
    loop->h2o = h2o_evloop_create();
    loop->queue = h2o_multithread_create_queue(loop->h2o);
    h2o_multithread_register_receiver(loop->queue, &loop->answers, on_answers);
    h2o_multithread_register_receiver(loop->queue, &loop->control, on_control);
    h2o_timeout_init(loop->h2o, &loop->retry_timeout, RETRY_ACCEPT_MS);
    for (int i = 0; i < PORTS; i++)
        if (rest->ports[i].fd >= 0)
            listener_start(loop, &rest->ports[i], &loop->listeners[i]);
    if (pthread_create(&loop->thread, NULL, loop_main, loop) != 0)
        abort();
}

static void port_configure(struct vex_rest *rest, struct port *port)
{
    h2o_config_init(&port->config);
    port->config.http1.upgrade_to_http2 = 0;
    port->config.max_request_entity_size = port->body_max + (8u << 20); /* so that the refusal is ours */
    port->config.server_name = h2o_iovec_init(H2O_STRLIT("vexfs"));
    h2o_hostconf_t *host = h2o_config_register_host(&port->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    h2o_compress_args_t compress = {.min_size = 1024, .gzip = {.quality = 1}, .brotli = {.quality = -1}};
    h2o_compress_register(path, &compress);
    struct handler *handler = (struct handler *)h2o_create_handler(path, sizeof *handler);
    handler->super.on_req = on_request;
    handler->rest = rest;
    handler->port = port;
    port->router = vex_router_new(port->dialect->routes, port->dialect->route_count);
}

static void use_spool(const char *dir)
{
    static char template[4096];
    snprintf(template, sizeof template, "%s/body.XXXXXX", dir);
    h2o_socket_buffer_mmap_settings.fn_template[0] = '\0';
    if (strlen(template) < sizeof h2o_socket_buffer_mmap_settings.fn_template)
        strcpy(h2o_socket_buffer_mmap_settings.fn_template, template);
    h2o_socket_buffer_mmap_settings.threshold = SPOOL_BYTES;
}

static int bind_ports(struct vex_rest *rest, struct vex_err *err)
{
    const struct vex_conf *conf = rest->options.conf;
    for (int i = 0; i < PORTS; i++) {
        struct port *port = &rest->ports[i];
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

static void close_ports(struct vex_rest *rest)
{
    for (int i = 0; i < PORTS; i++)
        if (rest->ports[i].fd >= 0)
            close(rest->ports[i].fd);
}

int vex_rest_start(const struct vex_rest_options *options, struct vex_rest **ret, struct vex_err *err)
{
    struct vex_rest *rest = VEX_NEW(struct vex_rest);
    size_t body_max = (size_t)vex_conf_u64(options->conf, VEX_CONF_MAX_BODY_MB) << 20;
    rest->options = *options;
    rest->cors = vex_conf_bool(options->conf, VEX_CONF_CORS);
    rest->ports[0] = (struct port){&vex_rest_qdrant, VEX_CONF_HTTP_PORT, body_max, -1, NULL, {0}};
    rest->ports[1] = (struct port){&vex_rest_chroma, VEX_CONF_CHROMA_PORT,
                                   (size_t)vex_conf_u64(options->conf, VEX_CONF_CHROMA_MAX_BODY), -1, NULL, {0}};
    rest->ports[2] = (struct port){&vex_rest_native, VEX_CONF_NATIVE_PORT, body_max, -1, NULL, {0}};
    int code = bind_ports(rest, err);
    if (code != 0) {
        close_ports(rest);
        vex_mem_free(rest);
        return code;
    }
    use_spool(options->spool_dir);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    rest->loop_count = options->loops != 0 ? options->loops : (unsigned)(cores > 0 ? cores : 1);
    rest->loops = vex_mem_zalloc(sizeof *rest->loops * rest->loop_count);
    for (unsigned i = 0; i < rest->loop_count; i++)
        loop_start(rest, &rest->loops[i]);
    *ret = rest;
    return 0;
}

/* Connections that idle when the process ends are closed by the kernel: h2o has no call that tears a busy context down. */
void vex_rest_stop(struct vex_rest *rest)
{
    if (rest == NULL)
        return;
    for (unsigned i = 0; i < rest->loop_count; i++) {
        struct stop_message *message = VEX_NEW(struct stop_message);
        h2o_multithread_send_message(&rest->loops[i].control, &message->super);
    }
    for (unsigned i = 0; i < rest->loop_count; i++)
        pthread_join(rest->loops[i].thread, NULL);
    for (unsigned i = 0; i < rest->loop_count; i++)
        while (rest->loops[i].idle != NULL) {
            struct vex_rest_request *request = rest->loops[i].idle;
            rest->loops[i].idle = request->next;
            request_free(request);
        }
    close_ports(rest);
    for (int i = 0; i < PORTS; i++)
        vex_router_free(rest->ports[i].router);
}
