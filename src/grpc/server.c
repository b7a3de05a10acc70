/* gRPC server: start, the threads of the completion queues, stop. */
#include "grpc/private.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

#define DRAIN_SECONDS 10

static void *queue_main(void *arg)
{
    struct queue *queue = arg;
    pthread_setname_np(pthread_self(), "grpc");
    while (true) {
        grpc_event event = grpc_completion_queue_next(queue->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        struct tag *tag = event.tag;
        tag->run(tag, event.success != 0);
    }
}

static grpc_server *server_new(const struct vex_conf *conf)
{
    int message_max = (int)(vex_conf_u64(conf, VEX_CONF_GRPC_MAX_MB) << 20);
    /* Clients may ping without calls: idle ones of the Rust client do. */
    grpc_arg args[] = {
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, {.integer = message_max}},
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, {.integer = -1}},
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_ALLOW_REUSEPORT, {.integer = 0}},
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, {.integer = 1}},
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, {.integer = 1000}},
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_HTTP2_MAX_PING_STRIKES, {.integer = 0}},
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_HTTP2_BDP_PROBE, {.integer = 0}},
    };
    grpc_channel_args channel = {sizeof args / sizeof *args, args};
    return grpc_server_create(&channel, NULL);
}

static void register_methods(struct vex_grpc *grpc)
{
    grpc->method_count = vex_rpc_count + 1;
    grpc->methods = vex_mem_zalloc(sizeof *grpc->methods * grpc->method_count);
    for (uint32_t i = 0; i < grpc->method_count; i++) {
        const struct vex_rpc *rpc = i < vex_rpc_count ? &vex_rpcs[i] : &vex_grpc_health_check;
        grpc->methods[i].rpc = rpc;
        grpc->methods[i].registered = grpc_server_register_method(grpc->server, rpc->path, NULL,
                                                                  GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
        if (grpc->methods[i].registered == NULL)
            abort(); /* the table names a method twice */
    }
}

int vex_grpc_start(const struct vex_grpc_options *options, struct vex_grpc **ret, struct vex_err *err)
{
    struct vex_grpc *grpc = VEX_NEW(struct vex_grpc);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    grpc_init();
    grpc->options = *options;
    grpc->queue_count = options->queues != 0 ? options->queues : (unsigned)(cores > 0 ? cores : 1);
    grpc->queues = vex_mem_zalloc(sizeof *grpc->queues * grpc->queue_count);
    grpc->server = server_new(options->conf);
    register_methods(grpc);
    for (unsigned i = 0; i < grpc->queue_count; i++) {
        grpc->queues[i].grpc = grpc;
        grpc->queues[i].cq = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(grpc->server, grpc->queues[i].cq, NULL);
    }
    grpc_server_start(grpc->server);
    for (unsigned i = 0; i < grpc->queue_count; i++) {
        vex_grpc_calls_arm(&grpc->queues[i]);
        vex_grpc_unknown_arm(&grpc->queues[i]);
        if (pthread_create(&grpc->queues[i].thread, NULL, queue_main, &grpc->queues[i]) != 0)
            abort();
    }
    int code = vex_grpc_accept_start(grpc, err);
    if (code != 0) {
        vex_grpc_stop(grpc);
        return code;
    }
    *ret = grpc;
    return 0;
}

/* Tag of the shutdown: its completion shuts the queues. */
struct shutdown {
    struct tag tag;
    _Atomic int done;
};

static void on_shutdown(struct tag *tag, bool ok)
{
    struct shutdown *shutdown = VEX_CONTAINER_OF(tag, struct shutdown, tag);
    (void)ok;
    atomic_store(&shutdown->done, 1);
}

void vex_grpc_stop(struct vex_grpc *grpc)
{
    if (grpc == NULL)
        return;
    struct shutdown shutdown = {.tag.run = on_shutdown};
    atomic_store(&grpc->stopping, 1);
    vex_grpc_accept_stop(grpc);
    grpc_server_shutdown_and_notify(grpc->server, grpc->queues[0].cq, &shutdown.tag);
    for (int i = 0; i < DRAIN_SECONDS * 100 && !atomic_load(&shutdown.done); i++)
        gpr_sleep_until(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(10, GPR_TIMESPAN)));
    grpc_server_cancel_all_calls(grpc->server);
    while (!atomic_load(&shutdown.done))
        gpr_sleep_until(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(1, GPR_TIMESPAN)));
    for (unsigned i = 0; i < grpc->queue_count; i++)
        grpc_completion_queue_shutdown(grpc->queues[i].cq);
    for (unsigned i = 0; i < grpc->queue_count; i++)
        pthread_join(grpc->queues[i].thread, NULL);
    grpc_server_destroy(grpc->server);
    for (unsigned i = 0; i < grpc->queue_count; i++) {
        grpc_completion_queue_destroy(grpc->queues[i].cq);
        vex_grpc_calls_done(&grpc->queues[i]);
    }
    vex_mem_free(grpc->queues);
    vex_mem_free(grpc->methods);
    vex_mem_free(grpc);
    grpc_shutdown_blocking();
}
