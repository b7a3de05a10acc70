/* gRPC server: start, the threads of the completion queues, stop.
 *
 * Invariant A completion queue is shut down only when nothing is open on it (struct queue): the core does not
 * survive a batch that is started later, and calls that run on workers start one when they end. */
#include "grpc/private.h"

#include <stdlib.h>
#include <unistd.h>

#include <grpc/support/log.h>

#include "base/log.h"
#include "base/mem.h"

#define DRAIN_MS    10000
#define POLL_MS     2
#define STREAMS_MAX 1024 /* calls in flight of one connection; clients queue the others */
#define MESSAGE_MAX ((uint64_t)INT32_MAX)
#define PING_MIN_MS 1000

void vex_grpc_batch(grpc_call *core, const grpc_op *ops, size_t n, struct tag *tag)
{
    grpc_call_error failed = grpc_call_start_batch(core, ops, n, tag, NULL);
    if (failed == GRPC_CALL_OK)
        return;
    vex_error("grpc", "a batch is not well formed: %s", grpc_call_error_to_string(failed));
    abort();
}

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

static void core_log(gpr_log_func_args *args)
{
    vex_log(args->severity == GPR_LOG_SEVERITY_ERROR ? VEX_LOG_WARN : VEX_LOG_DEBUG, "grpc", "core: %s",
            args->message);
}

/* 0 in the settings means as much as the core can take. */
static size_t message_max(const struct vex_conf *conf)
{
    uint64_t mb = vex_conf_u64(conf, VEX_CONF_GRPC_MAX_MB);
    return mb == 0 || mb > MESSAGE_MAX >> 20 ? (size_t)MESSAGE_MAX : (size_t)mb << 20;
}

static grpc_server *server_new(size_t message_bytes)
{
    /* Clients may ping without calls: idle ones of the Rust client do. Decompression is ours, bounded
     * (message.c). */
    grpc_arg args[] = {
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, {.integer = (int)message_bytes}},
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, {.integer = -1}},
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, {.integer = 0}},
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_MAX_CONCURRENT_STREAMS, {.integer = STREAMS_MAX}},
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_ALLOW_REUSEPORT, {.integer = 0}},
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, {.integer = 1}},
        {GRPC_ARG_INTEGER,
         (char *)GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
         {.integer = PING_MIN_MS}},
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_HTTP2_MAX_PING_STRIKES, {.integer = 0}},
        {GRPC_ARG_INTEGER, (char *)GRPC_ARG_HTTP2_BDP_PROBE, {.integer = 0}},
    };
    grpc_channel_args channel = {sizeof args / sizeof *args, args};
    return grpc_server_create(&channel, NULL);
}

static void register_methods(struct vex_grpc *grpc)
{
    grpc_server_register_method_payload_handling how =
        grpc->keyed ? GRPC_SRM_PAYLOAD_NONE : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER;
    grpc->method_count = vex_rpc_count + 1;
    grpc->methods = vex_mem_zalloc(sizeof *grpc->methods * grpc->method_count);
    for (uint32_t i = 0; i < grpc->method_count; i++) {
        const struct vex_rpc *rpc = i < vex_rpc_count ? &vex_rpcs[i] : &vex_grpc_health_check;
        grpc->methods[i].rpc = rpc;
        grpc->methods[i].registered = grpc_server_register_method(grpc->server, rpc->path, NULL, how, 0);
        if (grpc->methods[i].registered == NULL)
            abort(); /* the table names a method twice */
    }
}

static void start_queues(struct vex_grpc *grpc)
{
    for (unsigned i = 0; i < grpc->queue_count; i++) {
        struct queue *queue = &grpc->queues[i];
        vex_grpc_calls_arm(queue);
        vex_grpc_unknown_arm(queue);
        if (pthread_create(&queue->thread, NULL, queue_main, queue) != 0)
            abort();
    }
}

int vex_grpc_start(const struct vex_grpc_options *options, struct vex_grpc **ret, struct vex_err *err)
{
    struct vex_grpc *grpc = VEX_NEW(struct vex_grpc);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    gpr_set_log_function(core_log);
    /* The core's own choice, epoll, hands its set from thread to thread: some hundredths of the CPU more a call. Who has set the variable
     * has a reason. */
    setenv("GRPC_POLL_STRATEGY", "poll", 0);
    vex_grpc_locks_init();
    grpc_init();
    grpc->options = *options;
    grpc->message_max = message_max(options->conf);
    grpc->keyed = vex_service_needs_key(options->service);
    grpc->queue_count = options->queues != 0 ? options->queues : (unsigned)(cores > 0 ? cores : 1);
    grpc->queues = vex_mem_zalloc(sizeof *grpc->queues * grpc->queue_count);
    grpc->server = server_new(grpc->message_max);
    register_methods(grpc);
    for (unsigned i = 0; i < grpc->queue_count; i++) {
        grpc->queues[i].grpc = grpc;
        grpc->queues[i].cq = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(grpc->server, grpc->queues[i].cq, NULL);
    }
    grpc_server_start(grpc->server);
    start_queues(grpc);
    int code = vex_grpc_accept_start(grpc, err);
    if (code != 0) {
        vex_grpc_stop(grpc);
        return code;
    }
    *ret = grpc;
    return 0;
}

/* ---- stop ---- */

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

static void rest_ms(int64_t ms)
{
    gpr_sleep_until(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN)));
}

/* Calls under way, streams (which nobody waits for) included or not. */
static unsigned open_calls(struct vex_grpc *grpc, bool streams)
{
    unsigned open = 0;
    for (unsigned i = 0; i < grpc->queue_count; i++) {
        open += atomic_load_explicit(&grpc->queues[i].open, memory_order_acquire);
        if (!streams)
            open -= atomic_load_explicit(&grpc->queues[i].streams, memory_order_acquire);
    }
    return open;
}

/* Nothing new comes in; what runs gets its time, then it is cancelled. Workers hold on to cancelled calls
 * until they notice. */
static void drain(struct vex_grpc *grpc)
{
    struct shutdown shutdown = {.tag.run = on_shutdown};
    grpc_server_shutdown_and_notify(grpc->server, grpc->queues[0].cq, &shutdown.tag);
    for (int ms = 0; ms < DRAIN_MS && open_calls(grpc, false) != 0; ms += POLL_MS)
        rest_ms(POLL_MS);
    if (open_calls(grpc, false) != 0)
        vex_warn("grpc", "%u calls did not end in %d s: cancelled", open_calls(grpc, false), DRAIN_MS / 1000);
    else if (open_calls(grpc, true) == 0)
        /* Connections close by themselves once their last bytes are sent. */
        for (int ms = 0; ms < DRAIN_MS && !atomic_load(&shutdown.done); ms += POLL_MS)
            rest_ms(POLL_MS);
    grpc_server_cancel_all_calls(grpc->server);
    while (!atomic_load(&shutdown.done) || open_calls(grpc, true) != 0)
        rest_ms(POLL_MS);
}

void vex_grpc_stop(struct vex_grpc *grpc)
{
    if (grpc == NULL)
        return;
    vex_grpc_accept_stop(grpc);
    drain(grpc);
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
