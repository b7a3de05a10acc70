/* What the files of the gRPC server share. */
#ifndef VEX_GRPC_PRIVATE_H
#define VEX_GRPC_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include "api/qdrant/rpc.h"
#include "grpc/server.h"

/* Every tag of a completion queue begins with its handler: no switch over tags. */
struct tag {
    void (*run)(struct tag *tag, bool ok);
};

struct queue;
struct slot;

/* A method that the server registered, and its row. */
struct method {
    const struct vex_rpc *rpc;
    void *registered;
};

struct vex_grpc {
    struct vex_grpc_options options;
    grpc_server *server;
    struct method *methods;
    uint32_t method_count;
    struct queue *queues;
    unsigned queue_count;
    _Atomic int stopping;
    struct acceptor *acceptor;
};

/* One completion queue and its thread. What hangs on it is touched by that thread alone, but for the slots' armed state at the start. */
struct queue {
    struct vex_grpc *grpc;
    grpc_completion_queue *cq;
    pthread_t thread;
    struct grpc_call_state *idle; /* recycled calls */
    unsigned idle_count;
};

/* call.c: the registered methods. Arms every method on the queue; before its thread runs. */
void vex_grpc_calls_arm(struct queue *queue);
void vex_grpc_calls_done(struct queue *queue); /* frees what is recycled; after the thread ended */

/* unknown.c: every other path. */
void vex_grpc_unknown_arm(struct queue *queue);

/* health.c */
extern const struct vex_rpc vex_grpc_health_check;

/* accept.c */
int vex_grpc_accept_start(struct vex_grpc *grpc, struct vex_err *err);
void vex_grpc_accept_stop(struct vex_grpc *grpc);

#endif
