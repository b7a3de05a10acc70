/* What the files of the gRPC server share. */
#ifndef VEX_GRPC_PRIVATE_H
#define VEX_GRPC_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <grpc/byte_buffer.h>
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
struct grpc_call_state;

/* A method that the server registered, and its row. */
struct method {
    const struct vex_rpc *rpc;
    void *registered;
};

struct vex_grpc {
    struct vex_grpc_options options;
    size_t message_max; /* bytes of a message, unpacked */
    bool keyed;         /* a key is configured: bodies are read only after the key was seen */
    grpc_server *server;
    struct method *methods;
    uint32_t method_count;
    struct queue *queues;
    unsigned queue_count;
    struct acceptor *acceptor;
};

/* One completion queue and its thread. What hangs on it is touched by that thread alone once it runs; the
 * counters are written by it and read by the one that stops the server. */
struct queue {
    struct vex_grpc *grpc;
    grpc_completion_queue *cq;
    pthread_t thread;
    struct grpc_call_state *idle; /* recycled calls */
    unsigned idle_count;
    _Atomic unsigned
        open; /* armed slots, calls and streams: while there are any, batches may still be started */
    _Atomic unsigned streams; /* of these, those that end only when their client wants */
    char apart[64];           /* every call writes above: queues share no line of the cache */
};

/* Adds to a counter of the queue, on its thread. */
static inline void counter_add(_Atomic unsigned *counter, unsigned more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_release);
}

/* server.c: starts a batch; that it is well formed is up to the caller. */
void vex_grpc_batch(grpc_call *core, const grpc_op *ops, size_t n, struct tag *tag);

/* call.c: the registered methods. Arms every method on the queue; before its thread runs. */
void vex_grpc_calls_arm(struct queue *queue);
void vex_grpc_calls_done(struct queue *queue); /* frees what is recycled; after the thread ended */

/* unknown.c: every other path. */
void vex_grpc_unknown_arm(struct queue *queue);

/* health.c */
extern const struct vex_rpc vex_grpc_health_check;

/* message.c: the key among the headers (ptr NULL: none), living as long as they. */
struct vex_str vex_grpc_key(const grpc_metadata_array *metadata);

/* message.c: bytes of a received message in one piece: where they lie when that is possible, else in a copy.
 */
struct message {
    const uint8_t *bytes;
    size_t len;
    void *copy;
};

/* Unpacks what is compressed, never to more than `max` bytes. VEX_ETOO_LARGE, VEX_ENO_MEMORY, VEX_EFORMAT.
 * The message lives as long as the buffer. */
int vex_grpc_message_open(const grpc_byte_buffer *buffer, size_t max, struct message *ret,
                          struct vex_err *err);
void vex_grpc_message_close(struct message *message);
/* Encodes; NULL when there is no memory or it is too large for any client. */
grpc_byte_buffer *vex_grpc_message_pack(const ProtobufCMessage *message);

/* locks.cc: before the core takes its first lock. */
void vex_grpc_locks_init(void);

/* accept.c */
int vex_grpc_accept_start(struct vex_grpc *grpc, struct vex_err *err);
void vex_grpc_accept_stop(struct vex_grpc *grpc);

#endif
