/* What the tests of the gRPC server share: a server over a service without an engine, and a client on the
 * same core.
 *
 * The service's pool has one worker, which a test can hold: a call of HELD_METHOD runs there, and fails by
 * its rules before it would reach the engine. */
#ifndef VEX_TEST_UNIT_GRPC_KIT_H
#define VEX_TEST_UNIT_GRPC_KIT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <grpc/compression.h>

#include "base_suite.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "grpc/private.h"

#define HEALTH      "/grpc.health.v1.Health/Check"
#define HELD_METHOD "/qdrant.Collections/Create"
#define BAD_CREATE  "\x0a\x00" /* an empty name */

struct hold {
    struct vex_task task;
    sem_t held, go;
};

struct kit {
    struct vex_conf *conf;
    struct vex_pool *pool;
    struct vex_service *service;
    struct vex_grpc *grpc;
    struct hold hold;
    unsigned port;
};

static inline unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&address, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        abort();
    close(fd);
    return ntohs(address.sin_port);
}

/* `path` NULL: no setting of its own. */
static inline void kit_open(struct kit *kit, const char *path, const char *value)
{
    struct vex_err err = {0};
    char port[16];
    memset(kit, 0, sizeof *kit);
    kit->port = free_port();
    snprintf(port, sizeof port, "%u", kit->port);
    kit->conf = vex_conf_new();
    vex_conf_set(kit->conf, "service.grpc_port", port, &err);
    if (path != NULL)
        CU_ASSERT_EQUAL(vex_conf_set(kit->conf, path, value, &err), 0);
    kit->pool = vex_pool_new(1, 1000, "test");
    struct vex_service_options service = {.pool = kit->pool, .io = vex_io_posix(), .conf = kit->conf};
    kit->service = vex_service_new(&service);
    struct vex_grpc_options grpc = {.service = kit->service, .conf = kit->conf, .queues = 2};
    CU_ASSERT_EQUAL_FATAL(vex_grpc_start(&grpc, &kit->grpc, &err), 0);
}

static inline void kit_close(struct kit *kit)
{
    vex_grpc_stop(kit->grpc);
    CU_ASSERT(vex_service_drain(kit->service, 1000000000u));
    vex_pool_free(kit->pool);
    vex_service_free(kit->service);
    vex_conf_free(kit->conf);
}

static inline void hold_run(struct vex_task *task)
{
    struct hold *hold = VEX_CONTAINER_OF(task, struct hold, task);
    sem_post(&hold->held);
    sem_wait(&hold->go);
}

static inline void kit_hold(struct kit *kit)
{
    sem_init(&kit->hold.held, 0, 0);
    sem_init(&kit->hold.go, 0, 0);
    kit->hold.task.run = hold_run;
    CU_ASSERT_FATAL(vex_pool_try(kit->pool, &kit->hold.task, VEX_TASK_LONG));
    sem_wait(&kit->hold.held);
}

static inline void kit_release(struct kit *kit)
{
    sem_post(&kit->hold.go);
}

/* Waits (at most 30 s) until the condition holds; the tests' only clock. */
#define UNTIL(condition)                                                                                     \
    do {                                                                                                     \
        struct timespec pause_ = {.tv_nsec = 2000000};                                                       \
        int left_ = 15000;                                                                                   \
        while (!(condition) && left_-- > 0)                                                                  \
            nanosleep(&pause_, NULL);                                                                        \
        CU_ASSERT_FATAL(left_ > 0);                                                                          \
    } while (0)

/* ---- client ---- */

struct client {
    grpc_channel *channel;
    grpc_completion_queue *cq;
};

/* One call of the client; `reply` belongs to it. */
struct ask {
    const char *method, *key;
    const void *bytes;
    size_t len;
    int timeout_ms;  /* 0: 60 s */
    bool no_message; /* half-closes at once */
    bool gzip;
    bool fail_fast; /* does not wait for a connection */

    grpc_status_code status;
    char details[512], reply[4096];
    size_t reply_len;

    grpc_call *core;
    grpc_metadata_array headers, trailers;
    grpc_metadata sent[2];
    grpc_byte_buffer *message, *answer;
    grpc_slice text;
};

static inline void client_open(struct client *client, unsigned port)
{
    grpc_arg args[] = {{GRPC_ARG_INTEGER, (char *)GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, {.integer = -1}},
                       {GRPC_ARG_INTEGER, (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, {.integer = 1}},
                       {GRPC_ARG_INTEGER, (char *)"grpc.enable_http_proxy", {.integer = 0}}};
    grpc_channel_args channel_args = {sizeof args / sizeof *args, args};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    char target[32];
    grpc_init();
    snprintf(target, sizeof target, "127.0.0.1:%u", port);
    client->channel = grpc_channel_create(target, credentials, &channel_args);
    client->cq = grpc_completion_queue_create_for_next(NULL);
    grpc_channel_credentials_release(credentials);
}

static inline void client_close(struct client *client)
{
    grpc_completion_queue_shutdown(client->cq);
    while (grpc_completion_queue_next(client->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(client->cq);
    grpc_channel_destroy(client->channel);
    grpc_shutdown_blocking();
}

static inline gpr_timespec ask_deadline(const struct ask *ask)
{
    int ms = ask->timeout_ms != 0 ? ask->timeout_ms : 60000;
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

static inline void ask_header(struct ask *ask, grpc_op *op, const char *name, const char *value)
{
    ask->sent[op->data.send_initial_metadata.count++] = (grpc_metadata){
        .key = grpc_slice_from_static_string(name), .value = grpc_slice_from_static_string(value)};
}

/* Starts the call; ask_wait ends it. The tag is the ask itself. */
static inline void ask_start(struct client *client, struct ask *ask)
{
    grpc_op ops[6] = {{0}};
    size_t n = 0;
    grpc_slice bytes = grpc_slice_from_copied_buffer(ask->bytes, ask->len);
    ask->core =
        grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS, client->cq,
                                 grpc_slice_from_static_string(ask->method), NULL, ask_deadline(ask), NULL);
    grpc_metadata_array_init(&ask->headers);
    grpc_metadata_array_init(&ask->trailers);
    ops[n].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[n].flags = ask->fail_fast ? 0 : GRPC_INITIAL_METADATA_WAIT_FOR_READY;
    ops[n].data.send_initial_metadata.metadata = ask->sent;
    if (ask->key != NULL)
        ask_header(ask, &ops[n], "api-key", ask->key);
    if (ask->gzip)
        ask_header(ask, &ops[n], GRPC_COMPRESSION_REQUEST_ALGORITHM_MD_KEY, "gzip");
    n++;
    ask->message = grpc_raw_byte_buffer_create(&bytes, 1);
    grpc_slice_unref(bytes);
    if (!ask->no_message) {
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = ask->message;
    }
    ops[n++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[n].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[n++].data.recv_initial_metadata.recv_initial_metadata = &ask->headers;
    ops[n].op = GRPC_OP_RECV_MESSAGE;
    ops[n++].data.recv_message.recv_message = &ask->answer;
    ops[n].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[n].data.recv_status_on_client.trailing_metadata = &ask->trailers;
    ops[n].data.recv_status_on_client.status = &ask->status;
    ops[n++].data.recv_status_on_client.status_details = &ask->text;
    CU_ASSERT_EQUAL_FATAL(grpc_call_start_batch(ask->core, ops, n, ask, NULL), GRPC_CALL_OK);
}

static inline size_t bytes_out(grpc_byte_buffer *buffer, char *ret, size_t room)
{
    struct message message = {0};
    struct vex_err err;
    size_t len = 0;
    if (buffer != NULL && vex_grpc_message_open(buffer, SIZE_MAX >> 1, &message, &err) == 0) {
        len = message.len < room ? message.len : room;
        memcpy(ret, message.bytes, len);
        vex_grpc_message_close(&message);
    }
    return len;
}

static inline void ask_end(struct ask *ask)
{
    size_t len = GRPC_SLICE_LENGTH(ask->text) < sizeof ask->details - 1 ? GRPC_SLICE_LENGTH(ask->text)
                                                                        : sizeof ask->details - 1;
    memcpy(ask->details, GRPC_SLICE_START_PTR(ask->text), len);
    ask->details[len] = '\0';
    ask->reply_len = bytes_out(ask->answer, ask->reply, sizeof ask->reply);
    grpc_slice_unref(ask->text);
    grpc_byte_buffer_destroy(ask->message);
    if (ask->answer != NULL)
        grpc_byte_buffer_destroy(ask->answer);
    grpc_metadata_array_destroy(&ask->headers);
    grpc_metadata_array_destroy(&ask->trailers);
    grpc_call_unref(ask->core);
}

/* Waits for any call of the client and ends it. */
static inline struct ask *ask_wait(struct client *client)
{
    grpc_event event = grpc_completion_queue_next(client->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    struct ask *ask = event.tag;
    CU_ASSERT_EQUAL_FATAL(event.type, GRPC_OP_COMPLETE);
    ask_end(ask);
    return ask;
}

static inline grpc_status_code ask_run(struct client *client, struct ask *ask)
{
    ask_start(client, ask);
    ask_wait(client);
    return ask->status;
}

static inline grpc_status_code ask_bytes(struct client *client, const char *method, const void *bytes,
                                         size_t len)
{
    struct ask ask = {.method = method, .bytes = bytes, .len = len};
    return ask_run(client, &ask);
}

#endif
