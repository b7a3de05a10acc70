/* A call: one request of any dialect from its arrival to its answer.
 *
 * Owner  The transport allocates it (inside its own per-request struct), fills in the first group, and
 *        hands it to vex_service_run. From then on the service owns it until `done`, which comes
 *        exactly once, on any thread.
 * Memory Everything of the call lives in `arena`: request, response, results. The transport resets the
 *        arena after it has sent the answer.
 * Cancel The transport sets `cancelled` when its client is gone; long work looks at it; `done` still
 *        comes. */
#ifndef VEX_API_CALL_H
#define VEX_API_CALL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/str.h"

struct vex_service;
struct vex_call;

enum vex_dialect { VEX_DIALECT_QDRANT_GRPC, VEX_DIALECT_QDRANT_REST, VEX_DIALECT_CHROMA, VEX_DIALECT_NATIVE };

/* How an operation runs. */
enum vex_run_mode {
    VEX_RUN_INLINE,  /* short, never waits: on the thread that received it */
    VEX_RUN_READ,    /* a read: inline when its estimated cost is below the bound, else on a worker */
    VEX_RUN_SUBMIT,  /* a write: lowered and submitted on this thread, finished by the log */
    VEX_RUN_BLOCKING /* waits (catalog): always on a worker */
};

enum vex_access { VEX_ACCESS_OPEN, VEX_ACCESS_READ, VEX_ACCESS_WRITE, VEX_ACCESS_MANAGE };

/* One operation of a dialect: a row of its table. */
struct vex_operation {
    const char *name; /* "qdrant.Points/Upsert", "chroma/add": for logs and metrics */
    enum vex_run_mode mode;
    enum vex_access access;
    /* Works on call->request, fills call->response. 0: finished now; VEX_CALL_PENDING: vex_call_finish comes
     * later; negative: failed with call->err. */
    int (*run)(struct vex_service *service, struct vex_call *call);
    /* READ: estimated nanoseconds; NULL: always inline. */
    uint64_t (*cost)(struct vex_service *service, struct vex_call *call);
};

#define VEX_CALL_PENDING 1

struct vex_identity {
    bool all;       /* no keys are configured, or a full key */
    bool read_only; /* the read-only key */
};

struct vex_call {
    /* the transport's */
    const struct vex_operation *operation;
    enum vex_dialect dialect;
    struct vex_arena arena; /* initialised by the transport */
    void *request;          /* Qdrant: ProtobufCMessage of the rpc's request type; others: their own struct */
    void *response;         /* Qdrant: initialised message of the response type */
    struct vex_identity identity;
    uint64_t deadline_ns;                /* monotonic; 0: none */
    void (*done)(struct vex_call *call); /* code and err are final */
    _Atomic int cancelled;

    /* the service's */
    int code; /* 0 or VEX_E* */
    struct vex_err err;
    uint64_t started_ns;
    struct vex_service *service;
    struct vex_task task;
    void *state;                            /* the handler's, between its steps */
    void (*cleanup)(struct vex_call *call); /* the handler's: called once when the call ends, however it ends;
                                               NULL: none */
};

/* Ends a pending call. */
void vex_call_finish(struct vex_call *call, int code);
/* Seconds since the call was started, for the `time` of answers. */
double vex_call_seconds(const struct vex_call *call);

#endif
