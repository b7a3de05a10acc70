/* JSON into protobuf messages, for the requests of the Qdrant dialect: one generic walk over the message
 * descriptors, steered by quirks.def where the JSON shape is another one. The way back is message_to_json.h.
 *
 * Memory   Messages and what hangs on them live in the caller's arena; strings are copied out of the JSON.
 * Depth    JSON nesting is bounded by the parser; a message nests at most 100 levels deep, as over gRPC.
 * Payloads (maps of qdrant.Value) never become trees of messages but are carried as CBOR: api/qdrant/raw.h.
 * Threads  May be called from any thread. */
#ifndef VEX_REST_JSONPB_H
#define VEX_REST_JSONPB_H

#include "api/qdrant/rpc.h"
#include "base/json_read.h"

/* Fills an initialised message of a request, or of a part of one, from a JSON value; fields already set stay.
 * VEX_EFORMAT with a reason, without a prefix; VEX_EVALIDATION for what the peer's conversion itself objects
 * to; VEX_ETOO_LARGE beyond the arena's limit. Aborts on a type that no request holds. */
int vex_jsonpb_read(struct vex_arena *arena, struct vex_json v, ProtobufCMessage *message,
                    struct vex_err *err);

#endif
