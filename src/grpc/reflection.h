/* Server reflection (grpc.reflection.v1 and v1alpha): a stream of questions about the served schema. */
#ifndef VEX_GRPC_REFLECTION_H
#define VEX_GRPC_REFLECTION_H

#include "grpc/private.h"

bool vex_grpc_reflection_takes(struct vex_str path);
/* Takes over the call (its reference) of a path it takes; `metadata` is read before it returns. */
void vex_grpc_reflection_start(struct queue *queue, grpc_call *core, struct vex_str path, const grpc_metadata_array *metadata);

#endif
