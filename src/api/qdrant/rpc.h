/* The Qdrant operations, keyed by gRPC method; Qdrant REST uses the same rows.
 *
 * rpc.def has a row per public method: service, method, request and response type, run mode, access, handler.
 * A handler gets an unpacked request and an initialised response, both protobuf-c messages in the call's
 * arena. */
#ifndef VEX_API_QDRANT_RPC_H
#define VEX_API_QDRANT_RPC_H

/* Deprecated fields are part of the interface: old clients send them. */
#define PROTOBUF_C__NO_DEPRECATED
#include <protobuf-c/protobuf-c.h>

#include "api/service.h"

struct vex_rpc {
    struct vex_operation operation; /* name "qdrant.Points/Upsert" */
    const char *path;               /* "/qdrant.Points/Upsert" */
    const char *service, *method;
    const ProtobufCMessageDescriptor *request, *response;
    bool built; /* false: answers UNIMPLEMENTED naming itself */
};

extern const struct vex_rpc vex_rpcs[];
extern const uint32_t vex_rpc_count;
const struct vex_rpc *vex_rpc_find(const char *service, const char *method); /* NULL: none */

/* Checks bytes of a message before protobuf-c sees them: nesting (100 levels), UTF-8 of strings, wire format,
 * lengths. VEX_EFORMAT. */
int vex_rpc_guard(const ProtobufCMessageDescriptor *type, const void *bytes, size_t len, struct vex_err *err);
/* guard + unpack into the call's arena: sets call->operation, request and a fresh response. */
int vex_rpc_decode(struct vex_call *call, const struct vex_rpc *rpc, const void *bytes, size_t len);
/* For transports that build the message themselves (REST): an initialised message in the arena. */
ProtobufCMessage *vex_rpc_message(struct vex_arena *arena, const ProtobufCMessageDescriptor *type);
/* Sets call->operation and a fresh response for a request message already built. */
void vex_rpc_prepare(struct vex_call *call, const struct vex_rpc *rpc, ProtobufCMessage *request);

/* Ends a pending call of this dialect: fills in `time`, then vex_call_finish. */
void vex_rpc_finish(struct vex_call *call, int code);

/* What call->state points to begins with this, in all handlers of the dialect; state may be NULL. */
struct vex_qdrant_state {
    uint32_t retry_after; /* seconds, of a call refused by a rate limit; 0: retrying does not help */
};
/* Seconds for the header Retry-After (gRPC: metadata retry-after) of a failed call; 0: no such header. */
uint32_t vex_rpc_retry_after(const struct vex_call *call);

/* Text of a failed call as this dialect shows it, prefix included; bytes live in the call's arena. */
struct vex_str vex_rpc_error_text(struct vex_call *call);

#endif
