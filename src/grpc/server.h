/* gRPC server on the C core.
 *
 * Role     Serves every row of rpc.def, health and reflection; unknown methods are answered UNIMPLEMENTED at
 * once. Threads  One completion queue and one thread per core; one more thread accepts connections and hands
 * their descriptors to the core (the core's own listener stops accepting for good once it ran out of
 * descriptors). start and stop: main thread. */
#ifndef VEX_GRPC_SERVER_H
#define VEX_GRPC_SERVER_H

#include "api/service.h"

struct vex_grpc;

struct vex_grpc_options {
    struct vex_service *service;
    const struct vex_conf *conf; /* host, port, message size */
    unsigned queues;             /* 0: one per core */
};

/* Binds and serves. VEX_EIO with a text naming address and port when it cannot listen. */
int vex_grpc_start(const struct vex_grpc_options *options, struct vex_grpc **ret, struct vex_err *err);
/* Stops accepting, lets running calls finish (bounded), cancels the rest, frees. NULL is fine. */
void vex_grpc_stop(struct vex_grpc *grpc);

#endif
