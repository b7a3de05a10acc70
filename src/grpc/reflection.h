/* Server reflection (grpc.reflection.v1 and v1alpha): a stream of questions about the served schema. */
#ifndef VEX_GRPC_REFLECTION_H
#define VEX_GRPC_REFLECTION_H

#include "grpc/private.h"

bool vex_grpc_reflection_takes(struct vex_str path);
/* Takes over the call (its reference) of a path it takes; `metadata` is read before it returns. */
void vex_grpc_reflection_start(struct queue *queue, grpc_call *core, const grpc_metadata_array *metadata);

/* ---- the schema: schema.c ---- */

#define VEX_SCHEMA_FILES_MAX 64

/* One file of the schema; `bytes` is an encoded google.protobuf.FileDescriptorProto. */
struct vex_schema_file {
    struct vex_str name, package, bytes;
    uint64_t closure; /* bit i: file i is this one, or is imported by it however far away */
};

/* The files, in order of dependence; read once from the set that the build put into the program. */
const struct vex_schema_file *vex_schema_files(uint32_t *ret_count);
/* NULL: no such file, no such symbol ("package.Name", nested names and fields after dots). */
const struct vex_schema_file *vex_schema_by_name(struct vex_str name);
const struct vex_schema_file *vex_schema_by_symbol(struct vex_str symbol);

#endif
