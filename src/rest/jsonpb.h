/* JSON <-> protobuf messages, for the Qdrant dialect: one generic walk over the message descriptors, steered by quirks.def where
 * the JSON shape is another one.
 *
 * Memory   Messages and what hangs on them live in the caller's arena; strings are copied out of the JSON document.
 * Depth    JSON nesting is bounded by the parser; a message nests at most 100 levels deep, as over gRPC.
 * Payloads (maps of qdrant.Value) never become trees of messages: they are carried as CBOR, see api/qdrant/raw.h.
 * Threads  Everything here may be called from any thread. */
#ifndef VEX_REST_JSONPB_H
#define VEX_REST_JSONPB_H

#include "api/qdrant/rpc.h"
#include "base/json_read.h"
#include "base/json_write.h"

/* Fills a message of the type from a JSON value. VEX_EFORMAT with a reason, without a prefix; VEX_EVALIDATION for what the peer's
 * conversion itself objects to; VEX_ETOO_LARGE beyond the arena's limit. */
int vex_jsonpb_read(struct vex_arena *arena, struct vex_json v, ProtobufCMessage *message, struct vex_err *err);

/* Writes a message as one JSON value. */
void vex_jsonpb_write(struct vex_jw *w, const ProtobufCMessage *message);
/* Writes the value of one field; null when the message has none. Aborts on a name that no field has. */
void vex_jsonpb_write_field(struct vex_jw *w, const ProtobufCMessage *message, const char *field);

/* Finds the number of an enumeration's JSON name. */
bool vex_jsonpb_enum(const ProtobufCEnumDescriptor *type, struct vex_str name, int *ret);
/* Names of an enumeration for an error: "one of `a`, `b`". */
struct vex_str vex_jsonpb_enum_names(struct vex_arena *arena, const ProtobufCEnumDescriptor *type);

#endif
