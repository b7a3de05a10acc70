/* The REST server over a dialect of the test's own: connections, limits, clients that leave, stopping. */
#define _GNU_SOURCE
#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base_suite.h"
#include "rest/request.h"
#include "rest/server.h"

/* ---- the dialect ---- */

static _Atomic int decoded, entered, cancelled_seen;
static sem_t gate; /* a slow call ends when it is posted, or when its client has left */

static int run_echo(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    (void)call;
    return 0;
}

static int run_slow(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    atomic_fetch_add(&entered, 1);
    while (sem_trywait(&gate) != 0) {
        if (atomic_load(&call->cancelled)) {
            atomic_fetch_add(&cancelled_seen, 1);
            return vex_err_set(&call->err, VEX_ECANCELLED, "gone");
        }
        usleep(1000);
    }
    return 0;
}

static const struct vex_operation echo = {.name = "echo", .mode = VEX_RUN_INLINE, .run = run_echo};
static const struct vex_operation slow = {.name = "slow", .mode = VEX_RUN_BLOCKING, .run = run_slow};

static const struct vex_route routes[] = {
    {"GET", "/echo/{text}", false, "param"}, {"POST", "/length", false, "length"},
    {"GET", "/slow", false, "slow"},         {"GET", "/big/{bytes}", false, "big"},
    {"GET", "/open", true, "open"},
};

static int test_decode(struct vex_rest_request *request)
{
    atomic_fetch_add(&decoded, 1);
    request->call.operation = strcmp(request->route->detail, "slow") == 0 ? &slow : &echo;
    request->call.request = vex_arena_printf(&request->call.arena, "%zu", request->body.len);
    return 0;
}

static void test_encode(struct vex_rest_request *request)
{
    struct vex_call *call = &request->call;
    const char *kind = request->route != NULL ? request->route->detail : "";
    request->content_type_reply = "application/json";
    request->status = call->code == 0          ? 200
                      : request->route == NULL ? 404
                                               : vex_err_class(call->code)->http_status;
    if (call->code != 0)
        vex_buf_add_str(&request->reply, vex_str_c(call->err.text));
    else if (strcmp(kind, "param") == 0)
        vex_buf_add_str(&request->reply, request->params[0]);
    else if (strcmp(kind, "length") == 0)
        vex_buf_add_str(&request->reply, vex_str_c(call->request));
    else if (strcmp(kind, "big") == 0)
        for (long i = strtol(request->params[0].ptr, NULL, 10); i > 0; i--)
            vex_buf_add_char(&request->reply, (char)('a' + i % 26));
    else
        vex_buf_add_str(&request->reply, VEX_STR("done"));
}

const struct vex_rest_dialect vex_rest_qdrant = {.name = "test",
                                                 .dialect = VEX_DIALECT_NATIVE,
                                                 .routes = routes,
                                                 .route_count = 5,
                                                 .decode = test_decode,
                                                 .encode = test_encode};
const struct vex_rest_dialect vex_rest_chroma = vex_rest_qdrant;
const struct vex_rest_dialect vex_rest_native = vex_rest_qdrant;

/* ---- the server ---- */

struct kit {
    struct vex_conf *conf;
    struct vex_pool *pool;
    struct vex_service *service;
    struct vex_rest *rest;
    uint16_t port;
    char dir[64];
};

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bind(fd, (struct sockaddr *)&address, len);
    getsockname(fd, (struct sockaddr *)&address, &len);
    close(fd);
    return ntohs(address.sin_port);
}

static int kit_start(struct kit *kit, struct vex_err *err)
{
    struct vex_service_options options = {.pool = kit->pool, .io = vex_io_posix(), .conf = kit->conf};
    struct vex_rest_options rest = {.conf = kit->conf, .loops = 2, .spool_dir = kit->dir};
    kit->service = vex_service_new(&options);
    rest.service = kit->service;
    return vex_rest_start(&rest, &kit->rest, err);
}

static void set(struct kit *kit, const char *path, const char *value)
{
    struct vex_err err;
    CU_ASSERT_EQUAL(vex_conf_set(kit->conf, path, value, &err), 0);
}

static void kit_init(struct kit *kit, const char *path, const char *value)
{
    struct vex_err err = {0};
    char port[16];
    memset(kit, 0, sizeof *kit);
    strcpy(kit->dir, "/tmp/vexfs-rest-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL(mkdtemp(kit->dir));
    kit->conf = vex_conf_new();
    kit->pool = vex_pool_new(2, 64, "test");
    kit->port = free_port();
    snprintf(port, sizeof port, "%u", kit->port);
    set(kit, "service.http_port", port);
    set(kit, "chroma.port", "0");
    set(kit, "native.port", "0");
    set(kit, "service.max_request_size_mb", "1");
    if (path != NULL)
        set(kit, path, value);
    sem_init(&gate, 0, 0);
    atomic_store(&entered, 0);
    atomic_store(&cancelled_seen, 0);
    CU_ASSERT_EQUAL_FATAL(kit_start(kit, &err), 0);
}

static void kit_done(struct kit *kit)
{
    vex_rest_stop(kit->rest);
    vex_pool_free(kit->pool);
    vex_service_free(kit->service);
    vex_conf_free(kit->conf);
    CU_ASSERT_EQUAL(rmdir(kit->dir), 0);
    sem_destroy(&gate);
}

/* ---- a client ---- */

static int dial(const struct kit *kit)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(kit->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

struct reply {
    int status;
    char head[2048];
    char *body;
    size_t len;
};

static void reply_done(struct reply *reply)
{
    free(reply->body);
    reply->body = NULL;
}

/* Reads one answer with a Content-Length; false when the connection ended before it did. */
static bool receive(int fd, struct reply *ret)
{
    size_t n = 0;
    const char *length;
    memset(ret, 0, sizeof *ret);
    while (n + 1 < sizeof ret->head && (n < 4 || memcmp(ret->head + n - 4, "\r\n\r\n", 4) != 0)) {
        if (recv(fd, ret->head + n, 1, 0) != 1)
            return false;
        n++;
    }
    sscanf(ret->head, "HTTP/1.1 %d", &ret->status);
    length = strcasestr(ret->head, "content-length:");
    ret->len = length != NULL ? strtoul(length + 15, NULL, 10) : 0;
    ret->body = calloc(1, ret->len + 1);
    for (size_t got = 0; got < ret->len;) {
        ssize_t more = recv(fd, ret->body + got, ret->len - got, 0);
        if (more <= 0)
            return false;
        got += (size_t)more;
    }
    return true;
}

static bool get(int fd, const char *path, const char *headers, struct reply *ret)
{
    char text[512];
    int len = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, headers);
    return send_all(fd, text, (size_t)len) && receive(fd, ret);
}

static bool post(int fd, size_t announced, size_t sent, struct reply *ret)
{
    char text[256];
    char *body = calloc(1, sent + 1);
    int len = snprintf(text, sizeof text, "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                       announced);
    bool ok = send_all(fd, text, (size_t)len) && send_all(fd, body, sent) && receive(fd, ret);
    free(body);
    return ok;
}

static void wait_for(_Atomic int *value, int wanted)
{
    for (int i = 0; i < 20000 && atomic_load(value) < wanted; i++)
        usleep(1000);
    CU_ASSERT(atomic_load(value) >= wanted);
}

#define EXPECT(fd, path, headers, wanted_status, wanted_body)                                                \
    do {                                                                                                     \
        struct reply r_;                                                                                     \
        CU_ASSERT_FATAL(get(fd, path, headers, &r_));                                                        \
        CU_ASSERT_EQUAL(r_.status, wanted_status);                                                           \
        CU_ASSERT_STRING_EQUAL(r_.body, wanted_body);                                                        \
        reply_done(&r_);                                                                                     \
    } while (0)

/* ---- tests ---- */

static void routes_and_kept_connections(void)
{
    struct kit kit;
    struct reply reply;
    kit_init(&kit, NULL, NULL);
    int fd = dial(&kit);
    EXPECT(fd, "/echo/a%20b%2Fc", "", 200, "a b/c");
    EXPECT(fd, "/echo/x/?q=1", "", 200, "x");
    EXPECT(fd, "/nothing", "", 404, "");
    EXPECT(fd, "/length", "", 404, "");
    CU_ASSERT_FATAL(get(fd, "/echo/%zz", "", &reply));
    CU_ASSERT_EQUAL(reply.status, 400);
    CU_ASSERT_PTR_NOT_NULL(strstr(reply.body, "bad percent escape"));
    reply_done(&reply);
    EXPECT(fd, "/echo/still", "", 200, "still");
    close(fd);
    kit_done(&kit);
}

static void pipelined_requests_are_answered_in_order(void)
{
    static const char three[] = "GET /echo/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
                                "GET /echo/3 HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char *const wanted[] = {"1", "done", "3"};
    struct kit kit;
    struct reply reply;
    kit_init(&kit, NULL, NULL);
    int fd = dial(&kit);
    CU_ASSERT(send_all(fd, three, sizeof three - 1));
    wait_for(&entered, 1);
    sem_post(&gate);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_FATAL(receive(fd, &reply));
        CU_ASSERT_STRING_EQUAL(reply.body, wanted[i]);
        reply_done(&reply);
    }
    close(fd);
    kit_done(&kit);
}

static void a_client_that_leaves_cancels_its_call(void)
{
    static const char ask[] = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    struct kit kit;
    kit_init(&kit, NULL, NULL);
    for (int i = 1; i <= 5; i++) {
        int fd = dial(&kit);
        CU_ASSERT(send_all(fd, ask, sizeof ask - 1));
        wait_for(&entered, i);
        close(fd);
        wait_for(&cancelled_seen, i);
    }
    int fd = dial(&kit);
    EXPECT(fd, "/echo/on", "", 200, "on");
    close(fd);
    kit_done(&kit);
}

static void large_bodies(void)
{
    const size_t cap = 1u << 20;
    struct kit kit;
    struct reply reply;
    kit_init(&kit, NULL, NULL);
    int fd = dial(&kit);
    CU_ASSERT_FATAL(post(fd, cap, cap, &reply));
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT_STRING_EQUAL(reply.body, "1048576");
    reply_done(&reply);
    int before = atomic_load(&decoded);
    CU_ASSERT_FATAL(post(fd, cap + 1, cap + 1, &reply)); /* read, refused, and the connection goes on */
    CU_ASSERT_EQUAL(reply.status, 413);
    CU_ASSERT_STRING_EQUAL(reply.body, "Payload too large: a body may have 1048576 bytes");
    reply_done(&reply);
    EXPECT(fd, "/echo/on", "", 200, "on");
    CU_ASSERT_FATAL(post(fd, (size_t)1 << 40, 0, &reply)); /* refused unread */
    CU_ASSERT_EQUAL(reply.status, 413);
    CU_ASSERT_STRING_EQUAL(reply.body, "Payload too large: a body may have 1048576 bytes");
    CU_ASSERT_PTR_NOT_NULL(strstr(reply.head, "application/json"));
    reply_done(&reply);
    CU_ASSERT_EQUAL(atomic_load(&decoded), before + 1);
    close(fd);
    kit_done(&kit);
}

/* A body beyond the in-memory bound goes through the spool folder and leaves nothing behind (kit_done removes
 * an empty one). */
static void bodies_that_spill(void)
{
    const size_t size = 40u << 20;
    struct kit kit;
    struct reply reply;
    kit_init(&kit, "service.max_request_size_mb", "64");
    int fd = dial(&kit);
    CU_ASSERT_FATAL(post(fd, size, size, &reply));
    CU_ASSERT_STRING_EQUAL(reply.body, "41943040");
    reply_done(&reply);
    close(fd);
    kit_done(&kit);
}

static void large_answers(void)
{
    struct kit kit;
    struct reply reply;
    kit_init(&kit, NULL, NULL);
    int fd = dial(&kit);
    for (int round = 0; round < 3; round++) {
        CU_ASSERT_FATAL(get(fd, "/big/8000000", "", &reply));
        CU_ASSERT_EQUAL(reply.len, 8000000);
        for (size_t i = 0; i < reply.len; i += 997)
            if (reply.body[i] != (char)('a' + (long)(8000000 - i) % 26)) {
                CU_FAIL("the answer is damaged");
                break;
            }
        reply_done(&reply);
    }
    /* One that the client does not wait for. */
    int hasty = dial(&kit);
    CU_ASSERT(send_all(hasty, "GET /big/8000000 HTTP/1.1\r\nHost: x\r\n\r\n", 39));
    close(hasty);
    EXPECT(fd, "/echo/on", "", 200, "on");
    close(fd);
    kit_done(&kit);
}

static void compression_is_for_those_who_ask(void)
{
    struct kit kit;
    struct reply reply;
    kit_init(&kit, NULL, NULL);
    int fd = dial(&kit);
    CU_ASSERT_FATAL(get(fd, "/big/50000", "", &reply));
    CU_ASSERT_EQUAL(reply.len, 50000);
    CU_ASSERT_PTR_NULL(strcasestr(reply.head, "content-encoding"));
    reply_done(&reply);
    CU_ASSERT_FATAL(get(fd, "/big/50000", "Accept-Encoding: gzip\r\nConnection: close\r\n", &reply));
    CU_ASSERT_PTR_NOT_NULL(strcasestr(reply.head, "content-encoding: gzip"));
    reply_done(&reply);
    close(fd);
    kit_done(&kit);
}

static void keys(void)
{
    struct kit kit;
    kit_init(&kit, "service.api_key", "secret");
    int fd = dial(&kit), before = atomic_load(&decoded);
    EXPECT(fd, "/echo/x", "", 401, "Must provide an API key or an Authorization bearer token");
    EXPECT(fd, "/echo/x", "api-key: wrong\r\n", 401, "Invalid API key or JWT");
    CU_ASSERT_EQUAL(atomic_load(&decoded), before);
    EXPECT(fd, "/open", "", 200, "done");
    EXPECT(fd, "/echo/x", "api-key: secret\r\n", 200, "x");
    EXPECT(fd, "/echo/x", "Authorization: bearer secret\r\n", 200, "x");
    close(fd);
    kit_done(&kit);
}

static void cross_origin(void)
{
    static const char ask[] = "OPTIONS /echo/x HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\n\r\n";
    struct kit kit;
    struct reply reply;
    for (int on = 0; on < 2; on++) {
        kit_init(&kit, "service.enable_cors", on ? "true" : "false");
        int fd = dial(&kit);
        CU_ASSERT(send_all(fd, ask, sizeof ask - 1) && receive(fd, &reply));
        CU_ASSERT_EQUAL(reply.status, on ? 204 : 404);
        CU_ASSERT_EQUAL(strcasestr(reply.head, "access-control-allow-origin: *") != NULL, on);
        reply_done(&reply);
        CU_ASSERT(get(fd, "/echo/x", "Origin: http://a\r\n", &reply));
        CU_ASSERT_EQUAL(strcasestr(reply.head, "access-control-allow-origin: *") != NULL, on);
        reply_done(&reply);
        close(fd);
        kit_done(&kit);
    }
}

/* HTTP/2 is neither offered by upgrade nor understood with prior knowledge. */
static void no_http2(void)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    struct kit kit;
    struct reply reply;
    kit_init(&kit, NULL, NULL);
    int fd = dial(&kit);
    EXPECT(
        fd, "/echo/x",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        200, "x");
    close(fd);
    fd = dial(&kit);
    CU_ASSERT(send_all(fd, preface, sizeof preface - 1));
    CU_ASSERT(receive(fd, &reply));
    CU_ASSERT_EQUAL(reply.status, 400);
    reply_done(&reply);
    close(fd);
    kit_done(&kit);
}

/* The server shares the test's descriptors: the client takes the last one, so that its connection can't be
 * accepted; when some are free again it must be. */
static void descriptors_run_out_and_come_back(void)
{
    struct rlimit old, few;
    struct kit kit;
    int fds[256], count = 0;
    kit_init(&kit, NULL, NULL);
    int last = dup(0);
    getrlimit(RLIMIT_NOFILE, &old);
    few = (struct rlimit){(rlim_t)last + 24, old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
    while (count < 256 && (fds[count] = dup(0)) >= 0)
        count++;
    CU_ASSERT_FATAL(count > 0 && count < 256);
    close(last);
    int fd = dial(&kit);
    CU_ASSERT_FATAL(fd >= 0);
    usleep(
        300000); /* both loops try in vain, more than once; were they slower, the test would still be right */
    for (int i = 0; i < count; i++)
        close(fds[i]);
    EXPECT(fd, "/echo/back", "", 200, "back");
    close(fd);
    setrlimit(RLIMIT_NOFILE, &old);
    kit_done(&kit);
}

static void a_taken_port(void)
{
    struct kit kit, second;
    struct vex_err err = {0};
    char port[16];
    kit_init(&kit, NULL, NULL);
    second = kit;
    second.rest = NULL;
    CU_ASSERT(kit_start(&second, &err) < 0);
    snprintf(port, sizeof port, "%u", kit.port);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, port));
    vex_service_free(second.service);
    int fd = dial(&kit);
    EXPECT(fd, "/echo/first", "", 200, "first");
    close(fd);
    kit_done(&kit);
}

static void *stop_main(void *arg)
{
    struct kit *kit = arg;
    vex_rest_stop(kit->rest);
    kit->rest = NULL;
    return NULL;
}

/* What runs is answered, new connections are refused, kept ones are closed. */
static void stopping(void)
{
    static const char ask[] = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    struct kit kit;
    struct reply reply;
    pthread_t thread;
    char byte;
    kit_init(&kit, NULL, NULL);
    int idle = dial(&kit), busy = dial(&kit), late = -1;
    EXPECT(idle, "/echo/x", "", 200, "x");
    CU_ASSERT(send_all(busy, ask, sizeof ask - 1));
    wait_for(&entered, 1);
    pthread_create(&thread, NULL, stop_main, &kit);
    for (int i = 0; i < 20000 && (late = dial(&kit)) >= 0; i++) {
        close(late);
        usleep(1000);
    }
    CU_ASSERT(late < 0);
    sem_post(&gate);
    CU_ASSERT_FATAL(receive(busy, &reply));
    CU_ASSERT_STRING_EQUAL(reply.body, "done");
    reply_done(&reply);
    CU_ASSERT_EQUAL(recv(idle, &byte, 1, 0), 0);
    pthread_join(thread, NULL);
    CU_ASSERT(dial(&kit) < 0);
    close(idle);
    close(busy);
    kit_done(&kit);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"routes, kept connections", routes_and_kept_connections},
        {"pipelined requests", pipelined_requests_are_answered_in_order},
        {"a client that leaves", a_client_that_leaves_cancels_its_call},
        {"large bodies", large_bodies},
        {"bodies that spill", bodies_that_spill},
        {"large answers", large_answers},
        {"compression", compression_is_for_those_who_ask},
        {"keys", keys},
        {"cross origin", cross_origin},
        {"no HTTP/2", no_http2},
        {"descriptors run out", descriptors_run_out_and_come_back},
        {"a taken port", a_taken_port},
        {"stopping", stopping},
        CU_TEST_INFO_NULL,
    };
    signal(SIGPIPE, SIG_IGN); /* as main does */
    return run_suite("rest server", tests);
}
