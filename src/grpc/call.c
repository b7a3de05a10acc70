/* Calls of registered methods: from the new-call event to the last completion.
 *
 * Role      A call is armed, fires with its bytes, is decoded and run on the thread of its queue, and
 * answered from whatever thread finishes it. A call finished at once costs one batch; one that goes on
 * elsewhere gets a second batch first, which tells when the client gives up. Where keys are configured the
 * bytes are read by a batch of their own, after the key was seen. Owner     The queue: calls are recycled
 * there. A call in flight is owned by its outstanding batches (`batches`). */
#include "grpc/private.h"

#include <stdio.h>

#include "base/mem.h"

#define IDLE_CALLS 256
/* Memory of one call in multiples of the largest message: small fields grow when they are decoded. */
#define ARENA_MESSAGES 8

/* Who sends the answer: the queue's thread while the call runs on it, else whoever finishes it. */
enum stage { STAGE_RUNNING, STAGE_PENDING, STAGE_DONE };

struct grpc_call_state {
    struct vex_call call; /* first */
    struct tag fired, read, finished, closed;
    struct queue *queue;
    const struct method *method;
    grpc_call *core;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload;
    grpc_byte_buffer *answer;
    grpc_slice details;
    grpc_metadata retry; /* of a call refused by a rate limit */
    int cancelled;       /* out of the close batch */
    bool compress;
    _Atomic int stage;
    unsigned batches; /* outstanding ones that end the call; of the queue's thread */
    struct grpc_call_state *next;
};

static void on_fired(struct tag *tag, bool ok);
static void on_read(struct tag *tag, bool ok);
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
    vex_arena_init(&state->call.arena, queue->grpc->message_max * ARENA_MESSAGES);
    grpc_metadata_array_init(&state->metadata);
    state->queue = queue;
    state->fired.run = on_fired;
    state->read.run = on_read;
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
    counter_add(&queue->open, -1u);
    if (queue->idle_count >= IDLE_CALLS) {
        call_free(state);
        return;
    }
    vex_arena_reset(&state->call.arena);
    state->next = queue->idle;
    queue->idle = state;
    queue->idle_count++;
}

/* Asks for the payload together with the call, but where the key has to be seen first. */
static void call_arm(struct queue *queue, const struct method *method)
{
    struct grpc_call_state *state = call_new(queue);
    counter_add(&queue->open, 1);
    state->method = method;
    state->metadata.count = 0;
    grpc_call_error failed = grpc_server_request_registered_call(
        queue->grpc->server, method->registered, &state->core, &state->deadline, &state->metadata,
        queue->grpc->keyed ? NULL : &state->payload, queue->cq, queue->cq, &state->fired);
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

static void send_headers(struct grpc_call_state *state, grpc_op *op)
{
    op->op = GRPC_OP_SEND_INITIAL_METADATA;
    if (!state->compress)
        return;
    op->data.send_initial_metadata.maybe_compression_level.is_set = 1;
    op->data.send_initial_metadata.maybe_compression_level.level = GRPC_COMPRESS_LEVEL_LOW;
}

static void send_retry(struct grpc_call_state *state, grpc_op *op)
{
    uint32_t seconds = vex_rpc_retry_after(&state->call);
    char text[16];
    if (seconds == 0)
        return;
    snprintf(text, sizeof text, "%u", seconds);
    state->retry.key = grpc_slice_from_static_string("retry-after");
    state->retry.value = grpc_slice_from_copied_string(text);
    op->data.send_status_from_server.trailing_metadata_count = 1;
    op->data.send_status_from_server.trailing_metadata = &state->retry;
}

static void send_status(struct grpc_call_state *state, grpc_op *op)
{
    struct vex_call *call = &state->call;
    op->op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    if (call->code == 0)
        return; /* zero is OK */
    struct vex_str text = vex_rpc_error_text(call);
    state->details = grpc_slice_from_copied_buffer(text.ptr, text.len);
    op->data.send_status_from_server.status = (grpc_status_code)vex_err_class(call->code)->grpc_status;
    op->data.send_status_from_server.status_details = &state->details;
    send_retry(state, op);
}

/* Sends everything that is left of the call in one batch. `close`: the close operation was not started yet.
 */
static void call_answer(struct grpc_call_state *state, bool close)
{
    struct vex_call *call = &state->call;
    grpc_op ops[4] = {{0}};
    size_t n = 0;
    state->details = grpc_empty_slice();
    state->retry.value = grpc_empty_slice();
    send_headers(state, &ops[n++]);
    if (call->code == 0 && (state->answer = vex_grpc_message_pack(call->response)) == NULL)
        call->code = vex_err_set(&call->err, VEX_ETOO_LARGE, "the answer is too large for one message");
    if (call->code == 0) {
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = state->answer;
    }
    send_status(state, &ops[n++]);
    if (close) {
        ops[n].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
        ops[n++].data.recv_close_on_server.cancelled = &state->cancelled;
    }
    vex_grpc_batch(state->core, ops, n, &state->finished);
}

static void call_done(struct vex_call *call)
{
    struct grpc_call_state *state = (struct grpc_call_state *)call;
    if (atomic_exchange(&state->stage, STAGE_DONE) == STAGE_PENDING)
        call_answer(state, false);
}

static void batch_ended(struct grpc_call_state *state)
{
    if (--state->batches == 0)
        call_recycle(state);
}

static void on_finished(struct tag *tag, bool ok)
{
    struct grpc_call_state *state = VEX_CONTAINER_OF(tag, struct grpc_call_state, finished);
    (void)ok;
    grpc_slice_unref(state->details);
    grpc_slice_unref(state->retry.value);
    batch_ended(state);
}

static void on_closed(struct tag *tag, bool ok)
{
    struct grpc_call_state *state = VEX_CONTAINER_OF(tag, struct grpc_call_state, closed);
    (void)ok;
    if (state->cancelled)
        atomic_store(&state->call.cancelled, 1);
    batch_ended(state);
}

/* ---- requests ---- */

/* 0: none. */
static uint64_t deadline_ns(gpr_timespec deadline)
{
    gpr_timespec at = gpr_convert_clock_type(deadline, GPR_CLOCK_MONOTONIC);
    if (gpr_time_cmp(at, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
        return 0;
    if (at.tv_sec < 0)
        return 1;
    return (uint64_t)at.tv_sec * UINT64_C(1000000000) + (uint64_t)at.tv_nsec;
}

/* Who may always ask sends nothing that matters: where keys are configured nothing is read from strangers. */
static bool reads_nothing(const struct grpc_call_state *state)
{
    return state->queue->grpc->keyed && state->method->rpc->operation.access == VEX_ACCESS_OPEN;
}

static int decode(struct grpc_call_state *state)
{
    struct vex_call *call = &state->call;
    struct message message;
    if (reads_nothing(state))
        return vex_rpc_decode(call, state->method->rpc, NULL, 0);
    if (state->payload == NULL)
        return vex_err_set(&call->err, VEX_EINTERNAL, "the request has no message");
    state->compress = state->payload->data.raw.compression != GRPC_COMPRESS_NONE;
    int code = vex_grpc_message_open(state->payload, state->queue->grpc->message_max, &message, &call->err);
    if (code != 0)
        return code;
    code = vex_rpc_decode(call, state->method->rpc, message.bytes, message.len);
    vex_grpc_message_close(&message);
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
    call->request = call->response = NULL;
    call->deadline_ns = deadline_ns(state->deadline);
    atomic_store_explicit(&call->cancelled, 0, memory_order_relaxed);
    state->cancelled = 0;
    state->compress = false;
    if (call->deadline_ns != 0 && vex_io_monotonic_ns(service->options.io) >= call->deadline_ns)
        return vex_err_set(&call->err, VEX_ETIMEOUT, "the deadline passed before the call began");
    struct vex_str key = state->queue->grpc->keyed ? vex_grpc_key(&state->metadata) : vex_str(NULL, 0);
    return vex_service_authorise(service, state->method->rpc->operation.access, key, &call->identity,
                                 &call->err);
}

static void call_refuse(struct grpc_call_state *state, int code)
{
    state->call.code = code;
    atomic_store(&state->stage, STAGE_DONE);
    state->batches = 1;
    call_answer(state, true);
}

static void call_run(struct grpc_call_state *state)
{
    int code = decode(state);
    if (code != 0) {
        call_refuse(state, code);
        return;
    }
    atomic_store(&state->stage, STAGE_RUNNING);
    /* Two batches in case the call goes on elsewhere: counted before anybody can finish it. */
    state->batches = 2;
    vex_service_run(state->queue->grpc->options.service, &state->call);
    int expected = STAGE_RUNNING;
    if (!atomic_compare_exchange_strong(&state->stage, &expected, STAGE_PENDING)) {
        state->batches = 1;
        call_answer(state, true);
        return;
    }
    grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    close.data.recv_close_on_server.cancelled = &state->cancelled;
    vex_grpc_batch(state->core, &close, 1, &state->closed);
}

/* Without a message (the client half-closed, or is gone) the payload stays NULL. */
static void on_read(struct tag *tag, bool ok)
{
    (void)ok;
    call_run(VEX_CONTAINER_OF(tag, struct grpc_call_state, read));
}

static void on_fired(struct tag *tag, bool ok)
{
    struct grpc_call_state *state = VEX_CONTAINER_OF(tag, struct grpc_call_state, fired);
    if (!ok) { /* shutting down */
        call_recycle(state);
        return;
    }
    call_arm(state->queue, state->method);
    int code = admit(state);
    if (code != 0) {
        call_refuse(state, code);
    } else if (!state->queue->grpc->keyed || reads_nothing(state)) {
        call_run(state);
    } else {
        grpc_op read = {.op = GRPC_OP_RECV_MESSAGE};
        read.data.recv_message.recv_message = &state->payload;
        vex_grpc_batch(state->core, &read, 1, &state->read);
    }
}
