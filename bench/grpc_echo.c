/* The least a gRPC server on this core can cost: answers every call of one method with a fixed reply, doing
 * nothing else.
 *
 * bench_grpc_echo PORT [QUEUES [METHOD REPLY_FILE]]     until it is killed. Without a method: HealthCheck with
 * 100 bytes. Loopback only, settings as the server's. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#define METHOD      "/qdrant.Qdrant/HealthCheck"
#define REPLY_BYTES 100
#define REPLY_MAX   (1 << 20)
#define QUEUES_MAX  64

static grpc_server *server;
static void *method;
static char reply[REPLY_MAX] = "\x0a\x62"; /* a string of 98 bytes */
static size_t reply_len = REPLY_BYTES;

/* A call: fires, is answered in one batch, is armed again. */
struct echo {
    grpc_completion_queue *cq;
    grpc_call *core;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload, *answer;
    int cancelled;
    bool answering;
};

static void arm(struct echo *echo)
{
    echo->answering = false;
    echo->metadata.count = 0;
    grpc_server_request_registered_call(server, method, &echo->core, &echo->deadline, &echo->metadata,
                                        &echo->payload, echo->cq, echo->cq, echo);
}

static struct echo *echo_new(grpc_completion_queue *cq)
{
    struct echo *echo = calloc(1, sizeof *echo);
    if (echo == NULL)
        abort();
    echo->cq = cq;
    grpc_metadata_array_init(&echo->metadata);
    return echo;
}

static void answer(struct echo *echo)
{
    grpc_op ops[4] = {{0}};
    grpc_slice slice = grpc_slice_malloc(reply_len);
    memcpy(GRPC_SLICE_START_PTR(slice), reply, reply_len);
    echo->answer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    echo->answering = true;
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = echo->answer;
    ops[2].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[3].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    ops[3].data.recv_close_on_server.cancelled = &echo->cancelled;
    if (grpc_call_start_batch(echo->core, ops, 4, echo, NULL) != GRPC_CALL_OK)
        abort();
}

static void recycle(struct echo *echo, struct echo **idle, unsigned *count)
{
    grpc_call_unref(echo->core);
    grpc_byte_buffer_destroy(echo->answer);
    if (echo->payload != NULL)
        grpc_byte_buffer_destroy(echo->payload);
    echo->payload = NULL;
    idle[(*count)++] = echo;
}

static void *queue_main(void *cq)
{
    static _Thread_local struct echo *idle[65536];
    unsigned count = 0;
    arm(echo_new(cq));
    while (true) {
        grpc_event event = grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        struct echo *echo = event.tag;
        if (echo->answering) {
            recycle(echo, idle, &count);
            continue;
        }
        if (!event.success)
            return NULL;
        arm(count > 0 ? idle[--count] : echo_new(cq));
        answer(echo);
    }
}

static bool read_reply(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return false;
    }
    reply_len = fread(reply, 1, sizeof reply, file);
    fclose(file);
    return reply_len > 0;
}

int main(int argc, char **argv)
{
    int queues = argc > 2 ? atoi(argv[2]) : 2;
    const char *name = argc > 4 ? argv[3] : METHOD;
    char address[64];
    pthread_t threads[QUEUES_MAX];
    grpc_arg args[] = {{GRPC_ARG_INTEGER, (char *)GRPC_ARG_ALLOW_REUSEPORT, {.integer = 0}},
                       {GRPC_ARG_INTEGER, (char *)GRPC_ARG_HTTP2_BDP_PROBE, {.integer = 0}}};
    grpc_channel_args channel = {2, args};
    if (argc < 2 || queues < 1 || queues > QUEUES_MAX) {
        fprintf(stderr, "usage: bench_grpc_echo PORT [QUEUES [METHOD REPLY_FILE]]\n");
        return 2;
    }
    memset(reply + 2, 'a', REPLY_BYTES - 2);
    if (argc > 4 && !read_reply(argv[4]))
        return 1;
    grpc_init();
    server = grpc_server_create(&channel, NULL);
    method = grpc_server_register_method(server, name, NULL, GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    grpc_completion_queue *cqs[QUEUES_MAX];
    for (int i = 0; i < queues; i++) {
        cqs[i] = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(server, cqs[i], NULL);
    }
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    snprintf(address, sizeof address, "127.0.0.1:%d", atoi(argv[1]));
    if (grpc_server_add_http2_port(server, address, credentials) == 0) {
        fprintf(stderr, "cannot listen on %s\n", address);
        return 1;
    }
    grpc_server_start(server);
    for (int i = 0; i < queues; i++)
        if (pthread_create(&threads[i], NULL, queue_main, cqs[i]) != 0)
            return 1;
    for (int i = 0; i < queues; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
