/* Calls of registered methods: from the new-call event to the last completion.
 *
 * Role      A call is armed, fires with its bytes, is decoded and run on the thread of its queue, and answered from whatever thread
 *           finishes it. A call finished at once costs one batch; one that goes on elsewhere gets a second batch first, which tells
 *           when the client gives up.
 * Owner     The queue: calls are recycled there. A call in flight is owned by its outstanding batches (`batches`). */
#include "grpc/private.h"

#include <string.h>

#include "base/mem.h"
#include "base/metrics.h"

#define IDLE_CALLS 256

/* Who sends the answer: the queue's thread while the call runs on it, else whoever finishes it. */
enum stage { STAGE_RUNNING, STAGE_PENDING, STAGE_DONE };

struct grpc_call_state {
    struct vex_call call; /* first */
    struct tag fired, finished, closed;
    struct queue *queue;
    const struct method *method;
    grpc_call *core;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload;
    grpc_byte_buffer *answer;
    grpc_slice details;
    int cancelled; /* out of the close batch */
    bool compress;
    _Atomic int stage;
    _Atomic int batches;
    struct grpc_call_state *next;
};

static void on_fired(struct tag *tag, bool ok);
static void on_finished(struct tag *tag, bool ok);
static void on_closed(struct tag *tag, bool ok);
static void call_done(struct vex_call *call);

/* ---- life ---- */

static struct grpc_call_state *call_new(struct queue *queue)
{
    struct grpc_call_state *state = queue->idle;
    if (state != NULL) {
        queue->idle = state->next;
        queue->idle_count--;
        return state;
    }
    state = VEX_NEW(struct grpc_call_state);
    vex_arena_init(&state->call.arena, 0);
    grpc_metadata_array_init(&state->metadata);
    state->queue = queue;
    state->fired.run = on_fired;
    state->finished.run = on_finished;
    state->closed.run = on_closed;
    return state;
}

static void call_free(struct grpc_call_state *state)
{
    vex_arena_done(&state->call.arena);
    grpc_metadata_array_destroy(&state->metadata);
    vex_mem_free(state);
}

static void call_recycle(struct grpc_call_state *state)
{
    struct queue *queue = state->queue;
    if (state->core != NULL)
        grpc_call_unref(state->core);
    if (state->payload != NULL)
        grpc_byte_buffer_destroy(state->payload);
    if (state->answer != NULL)
        grpc_byte_buffer_destroy(state->answer);
    state->core = NULL;
    state->payload = state->answer = NULL;
    if (queue->idle_count >= IDLE_CALLS) {
        call_free(state);
        return;
    }
    vex_arena_reset(&state->call.arena);
    state->next = queue->idle;
    queue->idle = state;
    queue->idle_count++;
}

static void call_arm(struct queue *queue, const struct method *method)
{
    struct grpc_call_state *state = call_new(queue);
    state->method = method;
    state->metadata.count = 0;
    grpc_call_error failed =
        grpc_server_request_registered_call(queue->grpc->server, method->registered, &state->core, &state->deadline,
                                            &state->metadata, &state->payload, queue->cq, queue->cq, &state->fired);
    if (failed != GRPC_CALL_OK)
        call_recycle(state);
}

void vex_grpc_calls_arm(struct queue *queue)
{
    for (uint32_t i = 0; i < queue->grpc->method_count; i++)
        call_arm(queue, &queue->grpc->methods[i]);
}

void vex_grpc_calls_done(struct queue *queue)
{
    while (queue->idle != NULL) {
        struct grpc_call_state *state = queue->idle;
        queue->idle = state->next;
        call_free(state);
    }
}

/* ---- answers ---- */

static grpc_byte_buffer *pack(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    grpc_slice slice = grpc_slice_malloc(size);
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

/* Sends everything that is left of the call in one batch. `close`: the close operation was not started yet. */
static void call_answer(struct grpc_call_state *state, bool close)
{
    struct vex_call *call = &state->call;
    grpc_op ops[4] = {{0}};
    size_t n = 0;
    ops[n].op = GRPC_OP_SEND_INITIAL_METADATA;
    if (state->compress) {
        ops[n].data.send_initial_metadata.maybe_compression_level.is_set = 1;
        ops[n].data.send_initial_metadata.maybe_compression_level.level = GRPC_COMPRESS_LEVEL_LOW;
    }
    n++;
    state->details = grpc_empty_slice();
    grpc_op *status = &ops[2];
    if (call->code == 0) {
        state->answer = pack(call->response);
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = state->answer;
    } else {
        struct vex_str text = vex_rpc_error_text(call);
        state->details = grpc_slice_from_copied_buffer(text.ptr, text.len);
        status = &ops[n];
    }
    status->op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    status->data.send_status_from_server.status = (grpc_status_code)vex_err_class(call->code)->grpc_status;
    if (call->code == 0)
        status->data.send_status_from_server.status = GRPC_STATUS_OK;
    status->data.send_status_from_server.status_details = call->code == 0 ? NULL : &state->details;
    n++;
    if (close) {
        ops[n].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
        ops[n++].data.recv_close_on_server.cancelled = &state->cancelled;
    }
    grpc_call_start_batch(state->core, ops, n, &state->finished, NULL);
}

static void call_done(struct vex_call *call)
{
    struct grpc_call_state *state = (struct grpc_call_state *)call;
    if (atomic_exchange(&state->stage, STAGE_DONE) == STAGE_PENDING)
        call_answer(state, false);
}

static void batch_ended(struct grpc_call_state *state)
{
    if (atomic_fetch_sub(&state->batches, 1) == 1)
        call_recycle(state);
}

static void on_finished(struct tag *tag, bool ok)
{
    struct grpc_call_state *state = VEX_CONTAINER_OF(tag, struct grpc_call_state, finished);
    (void)ok;
    grpc_slice_unref(state->details);
    batch_ended(state);
}

static void on_closed(struct tag *tag, bool ok)
{
    struct grpc_call_state *state = VEX_CONTAINER_OF(tag, struct grpc_call_state, closed);
    (void)ok;
    if (state->cancelled && atomic_load(&state->stage) != STAGE_DONE) {
        atomic_store(&state->call.cancelled, 1);
        vex_metric_add(VEX_METRIC_CALLS_CANCELLED, 1);
    }
    batch_ended(state);
}

/* ---- requests ---- */

static struct vex_str slice_str(const grpc_slice *slice)
{
    return vex_str((const char *)GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
}

static struct vex_str key_of(const grpc_metadata_array *metadata)
{
    for (size_t i = 0; i < metadata->count; i++) {
        struct vex_str name = slice_str(&metadata->metadata[i].key);
        struct vex_str value = slice_str(&metadata->metadata[i].value);
        if (vex_str_eq_c(name, "api-key"))
            return value;
        if (vex_str_eq_c(name, "authorization") && value.len >= 7 && strncasecmp(value.ptr, "bearer ", 7) == 0)
            return vex_str(value.ptr + 7, value.len - 7);
    }
    return vex_str(NULL, 0);
}

static uint64_t deadline_ns(gpr_timespec deadline)
{
    gpr_timespec at = gpr_convert_clock_type(deadline, GPR_CLOCK_MONOTONIC);
    if (gpr_time_cmp(at, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0 || at.tv_sec < 0)
        return 0;
    return (uint64_t)at.tv_sec * UINT64_C(1000000000) + (uint64_t)at.tv_nsec;
}

/* The usual request is one uncompressed slice, read where it lies. */
static int decode(struct grpc_call_state *state)
{
    struct vex_call *call = &state->call;
    grpc_byte_buffer *payload = state->payload;
    if (payload == NULL)
        return vex_err_set(&call->err, VEX_EINTERNAL, "the request has no message");
    grpc_slice_buffer *slices = &payload->data.raw.slice_buffer;
    state->compress = payload->data.raw.compression != GRPC_COMPRESS_NONE;
    if (!state->compress && slices->count == 1)
        return vex_rpc_decode(call, state->method->rpc, GRPC_SLICE_START_PTR(slices->slices[0]),
                              GRPC_SLICE_LENGTH(slices->slices[0]));
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, payload))
        return vex_err_set(&call->err, VEX_EFORMAT, "body: the message cannot be decompressed");
    grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    size_t limit = (size_t)vex_conf_u64(state->queue->grpc->options.conf, VEX_CONF_GRPC_MAX_MB) << 20;
    int code;
    if (GRPC_SLICE_LENGTH(all) > limit)
        code = vex_err_set(&call->err, VEX_ETOO_LARGE, "the message has more than %zu bytes", limit);
    else
        code = vex_rpc_decode(call, state->method->rpc, GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all));
    grpc_slice_unref(all);
    return code;
}

static int admit(struct grpc_call_state *state)
{
    struct vex_call *call = &state->call;
    struct vex_service *service = state->queue->grpc->options.service;
    call->dialect = VEX_DIALECT_QDRANT_GRPC;
    call->done = call_done;
    call->code = 0;
    call->err.code = 0;
    call->operation = NULL;
    call->state = NULL;
    call->deadline_ns = deadline_ns(state->deadline);
    atomic_store_explicit(&call->cancelled, 0, memory_order_relaxed);
    int code = vex_service_authorise(service, state->method->rpc->operation.access, key_of(&state->metadata), &call->identity,
                                     &call->err);
    return code != 0 ? code : decode(state);
}

static void call_run(struct grpc_call_state *state)
{
    struct vex_call *call = &state->call;
    atomic_store(&state->stage, STAGE_RUNNING);
    atomic_store(&state->batches, 1);
    call->code = admit(state);
    if (call->code != 0) {
        atomic_store(&state->stage, STAGE_DONE);
        call_answer(state, true);
        return;
    }
    /* Two batches in case the call goes on elsewhere: counted before anybody can finish it. */
    atomic_store(&state->batches, 2);
    vex_service_run(state->queue->grpc->options.service, call);
    int expected = STAGE_RUNNING;
    if (!atomic_compare_exchange_strong(&state->stage, &expected, STAGE_PENDING)) {
        atomic_store(&state->batches, 1);
        call_answer(state, true);
        return;
    }
    grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    close.data.recv_close_on_server.cancelled = &state->cancelled;
    grpc_call_start_batch(state->core, &close, 1, &state->closed, NULL);
}

static void on_fired(struct tag *tag, bool ok)
{
    struct grpc_call_state *state = VEX_CONTAINER_OF(tag, struct grpc_call_state, fired);
    if (!ok) { /* shutting down */
        call_recycle(state);
        return;
    }
    call_arm(state->queue, state->method);
    call_run(state);
}
