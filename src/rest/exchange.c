/* The way of a request through the REST server, and back.
 *
 * Threads   Everything of h2o stays on the loop that owns the connection. An answer finished elsewhere comes
 * back as a message. Vanishing When a request's memory pool goes, its anchor tells: either the client left,
 * then the call is cancelled and the request is recycled once the service gives it back; or the answer is
 * out, then it is recycled now. So an answer is sent from the call's own arena, without a copy. Pools     A
 * loop keeps some requests, each with arena and JSON parser, for the next ones. */
#include "rest/server_private.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include <sys/socket.h>

#include "base/mem.h"
#include "base/text.h"

#define IDLE_REQUESTS 64 /* a parser keeps up to 1 MB */

struct handler {
    h2o_handler_t super;
    struct vex_rest *rest;
    struct vex_rest_port *port;
};

struct anchor {
    struct vex_rest_request *request;
    bool answered;
};

_Static_assert(sizeof(h2o_multithread_message_t) == sizeof(((struct vex_rest_request *)NULL)->message),
               "request.h keeps room for h2o's list node");

static _Thread_local struct vex_rest_loop *own_loop;

void vex_rest_enter_loop(struct vex_rest_loop *loop)
{
    own_loop = loop;
}

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

void vex_rest_free_idle(struct vex_rest_loop *loop)
{
    while (loop->idle != NULL) {
        struct vex_rest_request *request = loop->idle;
        loop->idle = request->next;
        request_free(request);
    }
}

/* The pool of the h2o request is going: the answer is out, or the connection was torn down before there was
 * one. */
static void on_dispose(void *data)
{
    struct anchor *anchor = data;
    if (anchor->answered) {
        anchor->request->loop->sending--;
        request_recycle(anchor->request);
    } else {
        anchor->request->http = NULL;
        atomic_store(&anchor->request->call.cancelled, 1);
    }
}

/* ---- answers ---- */

static void add_header(h2o_req_t *http, const char *name, const char *value, size_t len)
{
    h2o_add_header_by_str(&http->pool, &http->res.headers, name, strlen(name), 1, NULL, value, len);
}

/* RFC 9110's words for the statuses that dialects answer with; some clients show them to users. */
static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Payload Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Entity"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}

static void set_head(h2o_req_t *http, const struct vex_rest_request *request)
{
    http->res.status = request->status;
    http->res.reason = reason_of(request->status);
    http->res.content_length = request->reply.len;
    if (request->content_type_reply != NULL) {
        h2o_iovec_t type = h2o_strdup(&http->pool, request->content_type_reply, SIZE_MAX);
        h2o_set_header(&http->pool, &http->res.headers, H2O_TOKEN_CONTENT_TYPE, type.base, type.len, 1);
    }
    if (request->header_name != NULL) {
        h2o_iovec_t name = h2o_strdup(&http->pool, request->header_name, SIZE_MAX);
        h2o_iovec_t value = h2o_strdup(&http->pool, request->header_value, SIZE_MAX);
        add_header(http, name.base, value.base, value.len);
    }
    if (request->loop->rest->cors)
        add_header(http, "access-control-allow-origin", H2O_STRLIT("*"));
}

/* Sends the answer if the client is still there. The request is h2o's to read until on_dispose. Loop thread.
 */
static void answer(struct vex_rest_request *request)
{
    static h2o_generator_t generator = {NULL, NULL};
    h2o_req_t *http = request->http;
    if (http == NULL) {
        request_recycle(request);
        return;
    }
    ((struct anchor *)request->anchor)->answered = true;
    request->loop->sending++;
    set_head(http, request);
    h2o_iovec_t body = h2o_iovec_init(request->reply.ptr, request->reply.len);
    h2o_start_response(http, &generator);
    h2o_send(http, &body, body.len > 0, H2O_SEND_STATE_FINAL);
}

static h2o_linklist_t *watch_node(struct vex_rest_request *request)
{
    return (h2o_linklist_t *)(void *)&request->watch;
}

static void finish(struct vex_rest_request *request)
{
    request->loop->running--;
    h2o_linklist_unlink(watch_node(request));
    answer(request);
}

/* The service is done with a call: on the loop's own thread the answer goes out at once, else the loop is
 * told. */
static void call_done(struct vex_call *call)
{
    struct vex_rest_request *request = (struct vex_rest_request *)call;
    request->dialect->encode(request);
    if (request->loop == own_loop)
        finish(request);
    else
        h2o_multithread_send_message(&request->loop->answers,
                                     (h2o_multithread_message_t *)(void *)&request->message);
}

void vex_rest_on_answers(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    (void)receiver;
    while (!h2o_linklist_is_empty(messages)) {
        h2o_linklist_t *node = messages->next;
        h2o_linklist_unlink(node);
        finish(VEX_CONTAINER_OF(node, struct vex_rest_request, message));
    }
}

/* ---- clients that leave ---- */

static bool is_gone(const struct vex_rest_request *request)
{
    h2o_req_t *http = request->http;
    char byte;
    if (http == NULL)
        return true;
    int fd = h2o_socket_get_fd(http->conn->callbacks->get_socket(http->conn));
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void vex_rest_on_watch(h2o_timeout_entry_t *entry)
{
    struct vex_rest_loop *loop = H2O_STRUCT_FROM_MEMBER(struct vex_rest_loop, watch, entry);
    for (h2o_linklist_t *at = loop->watched.next; at != &loop->watched; at = at->next) {
        struct vex_rest_request *request = VEX_CONTAINER_OF(at, struct vex_rest_request, watch);
        if (is_gone(request))
            atomic_store(&request->call.cancelled, 1);
    }
    if (!h2o_linklist_is_empty(&loop->watched))
        h2o_timeout_link(loop->h2o, &loop->watch_timeout, entry);
}

static void watch(struct vex_rest_request *request)
{
    struct vex_rest_loop *loop = request->loop;
    loop->running++;
    h2o_linklist_insert(&loop->watched, watch_node(request));
    if (!h2o_timeout_is_linked(&loop->watch))
        h2o_timeout_link(loop->h2o, &loop->watch_timeout, &loop->watch);
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
        if (value.len >= 7 && strncasecmp(value.ptr, "bearer ", 7) == 0)
            return vex_str(value.ptr + 7, value.len - 7);
        return value;
    }
    return vex_str(NULL, 0);
}

/* A request of the port, filled in from the head; its anchor lives in the pool of the h2o request. */
static struct vex_rest_request *request_begin(struct vex_rest_loop *loop, struct vex_rest_port *port,
                                              h2o_req_t *http)
{
    struct vex_rest_request *request = request_new(loop);
    struct vex_call *call = &request->call;
    size_t path_len = http->query_at == SIZE_MAX ? http->path.len : http->query_at;
    struct anchor *anchor = h2o_mem_alloc_shared(&http->pool, sizeof *anchor, on_dispose);
    *anchor = (struct anchor){.request = request};
    request->dialect = port->dialect;
    request->service = loop->rest->options.service;
    request->http = http;
    request->anchor = anchor;
    vex_buf_init(&request->reply, &call->arena);
    call->dialect = port->dialect->dialect;
    call->done = call_done;
    request->method = copy(&call->arena, vex_str(http->method.base, http->method.len));
    request->path = copy(&call->arena, vex_str(http->path.base, path_len));
    request->content_type = copy(&call->arena, header(http, "content-type"));
    request->user_agent = copy(&call->arena, header(http, "user-agent"));
    if (path_len < http->path.len)
        read_query(request, vex_str(http->path.base + path_len + 1, http->path.len - path_len - 1));
    request->found = vex_router_find(port->router, request->method, request->path, &call->arena,
                                     &request->route, request->params);
    if (request->found == VEX_ROUTE_BAD_ESCAPE)
        vex_err_set(&call->err, VEX_EBAD_REQUEST, "the path holds a bad percent escape");
    return request;
}

static int too_large(struct vex_rest_request *request, const struct vex_rest_port *port)
{
    return vex_err_set(&request->call.err, VEX_ETOO_LARGE, "Payload too large: a body may have %zu bytes",
                       port->body_max);
}

/* Authorises and decodes: 0 when the service may run the call. */
static int admit(struct vex_rest_request *request, const struct vex_rest_port *port, h2o_req_t *http)
{
    struct vex_call *call = &request->call;
    if (request->found != VEX_ROUTE_FOUND)
        return request->found == VEX_ROUTE_BAD_ESCAPE ? VEX_EBAD_REQUEST : VEX_ENOT_FOUND;
    enum vex_access access = request->route->open ? VEX_ACCESS_OPEN : VEX_ACCESS_READ;
    int code = vex_service_authorise(request->service, access, key_of(http), &call->identity, &call->err);
    if (code != 0)
        return code;
    if (http->entity.len > port->body_max)
        return too_large(request, port);
    request->body = vex_str(http->entity.base, http->entity.len);
    code = request->dialect->decode(request);
    request->body = vex_str(NULL, 0);
    if (code == 0 && call->operation != NULL && call->operation->access > access)
        code = vex_service_authorise(request->service, call->operation->access, key_of(http), &call->identity,
                                     &call->err);
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
    struct vex_rest_loop *loop = own_loop;
    if (handler->rest->cors && h2o_memis(http->method.base, http->method.len, H2O_STRLIT("OPTIONS"))) {
        preflight(http);
        return 0;
    }
    struct vex_rest_request *request = request_begin(loop, handler->port, http);
    int code = admit(request, handler->port, http);
    if (code != 0) {
        request->call.code = code;
        request->dialect->encode(request);
        answer(request);
        return 0;
    }
    watch(request);
    vex_service_run(request->service, &request->call);
    return 0;
}

/* ---- bodies that are too large ---- */

/* Far too large ones h2o refuses itself, before they are read, with a text of its own; this filter puts the
 * dialect's error in its place. */
struct filter {
    h2o_filter_t super;
    struct vex_rest_port *port;
};

struct replaced {
    h2o_ostream_t super;
    h2o_iovec_t body;
};

static void send_replaced(h2o_ostream_t *super, h2o_req_t *http, h2o_iovec_t *bufs, size_t count,
                          h2o_send_state_t state)
{
    struct replaced *stream = (struct replaced *)super;
    (void)bufs;
    (void)count;
    h2o_ostream_send_next(super, http, &stream->body, stream->body.len > 0, state);
}

static void on_setup_ostream(h2o_filter_t *super, h2o_req_t *http, h2o_ostream_t **slot)
{
    struct vex_rest_port *port = ((struct filter *)super)->port;
    if (http->res.status != 413) {
        h2o_setup_next_ostream(http, slot);
        return;
    }
    struct vex_rest_request *request = request_begin(own_loop, port, http);
    if (request->found == VEX_ROUTE_FOUND) {
        request->call.code = too_large(request, port);
        request->dialect->encode(request);
        set_head(http, request);
        struct replaced *stream = (struct replaced *)h2o_add_ostream(http, sizeof *stream, slot);
        stream->super.do_send = send_replaced;
        stream->body = h2o_iovec_init(request->reply.ptr, request->reply.len);
        slot = &stream->super.next;
    }
    ((struct anchor *)request->anchor)->answered = true; /* recycled with the pool */
    own_loop->sending++;
    h2o_setup_next_ostream(http, slot);
}

void vex_rest_handle(struct vex_rest *rest, struct vex_rest_port *port, h2o_hostconf_t *host)
{
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    h2o_compress_args_t compress = {.min_size = 1024, .gzip = {.quality = 1}, .brotli = {.quality = -1}};
    h2o_compress_register(path, &compress);
    struct handler *handler = (struct handler *)h2o_create_handler(path, sizeof *handler);
    handler->super.on_req = on_request;
    handler->rest = rest;
    handler->port = port;
    struct filter *filter = (struct filter *)h2o_create_filter(&host->fallback_path, sizeof *filter);
    filter->super.on_setup_ostream = on_setup_ostream;
    filter->port = port;
}
