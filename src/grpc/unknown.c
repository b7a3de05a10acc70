/* Paths that no method was registered for: answered UNIMPLEMENTED at once (without an armed slot the core
 * would let them hang), but for reflection, which is a stream. */
#include "grpc/private.h"

#include <stdio.h>

#include "base/mem.h"
#include "grpc/reflection.h"

struct unknown {
    struct tag fired, finished;
    struct queue *queue;
    grpc_call *core; /* NULL: not fired, or given away */
    grpc_call_details details;
    grpc_metadata_array metadata;
    int cancelled;
    grpc_slice text;
};

static void unknown_free(struct unknown *unknown)
{
    counter_add(&unknown->queue->open, -1u);
    if (unknown->core != NULL)
        grpc_call_unref(unknown->core);
    grpc_call_details_destroy(&unknown->details);
    grpc_metadata_array_destroy(&unknown->metadata);
    vex_mem_free(unknown);
}

static void on_finished(struct tag *tag, bool ok)
{
    struct unknown *unknown = VEX_CONTAINER_OF(tag, struct unknown, finished);
    (void)ok;
    grpc_slice_unref(unknown->text);
    unknown_free(unknown);
}

static void refuse(struct unknown *unknown)
{
    char text[256];
    int path = (int)GRPC_SLICE_LENGTH(unknown->details.method);
    snprintf(text, sizeof text, "unknown method %.*s", path > 200 ? 200 : path,
             (const char *)GRPC_SLICE_START_PTR(unknown->details.method));
    unknown->text = grpc_slice_from_copied_string(text);
    grpc_op ops[3] = {{0}};
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[1].data.send_status_from_server.status = GRPC_STATUS_UNIMPLEMENTED;
    ops[1].data.send_status_from_server.status_details = &unknown->text;
    ops[2].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    ops[2].data.recv_close_on_server.cancelled = &unknown->cancelled;
    vex_grpc_batch(unknown->core, ops, 3, &unknown->finished);
}

static void on_fired(struct tag *tag, bool ok)
{
    struct unknown *unknown = VEX_CONTAINER_OF(tag, struct unknown, fired);
    if (!ok) {
        unknown_free(unknown);
        return;
    }
    vex_grpc_unknown_arm(unknown->queue);
    struct vex_str path = vex_str((const char *)GRPC_SLICE_START_PTR(unknown->details.method),
                                  GRPC_SLICE_LENGTH(unknown->details.method));
    if (vex_grpc_reflection_takes(path)) {
        vex_grpc_reflection_start(unknown->queue, unknown->core, &unknown->metadata);
        unknown->core = NULL; /* the stream's now */
        unknown_free(unknown);
        return;
    }
    refuse(unknown);
}

void vex_grpc_unknown_arm(struct queue *queue)
{
    struct unknown *unknown = VEX_NEW(struct unknown);
    counter_add(&queue->open, 1);
    unknown->queue = queue;
    unknown->fired.run = on_fired;
    unknown->finished.run = on_finished;
    grpc_call_details_init(&unknown->details);
    grpc_metadata_array_init(&unknown->metadata);
    if (grpc_server_request_call(queue->grpc->server, &unknown->core, &unknown->details, &unknown->metadata,
                                 queue->cq, queue->cq, &unknown->fired) != GRPC_CALL_OK)
        unknown_free(unknown);
}
