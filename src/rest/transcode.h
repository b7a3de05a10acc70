/* JSON <-> messages of the Qdrant interface: one generic walk over protobuf-c descriptors, and the places where the JSON differs.
 *
 * Messages live in an arena; strings and bytes are copied into it. Both directions are pure functions of their input. */
#ifndef VEX_REST_TRANSCODE_H
#define VEX_REST_TRANSCODE_H

#include "api/qdrant/rpc.h"
#include "base/json_read.h"
#include "base/json_write.h"

/* Reads a JSON object into an initialised message (fields already set stay). Keys that the message does not know are ignored, except where
 * the peer refuses them. VEX_EFORMAT, text "JSON body: ..." in the peer's kind of words. */
int vex_message_from_json(struct vex_arena *arena, ProtobufCMessage *message, struct vex_json json, struct vex_err *err);

/* Writes a message as one JSON value in the shape that REST shows. */
void vex_message_to_json(struct vex_jw *w, const ProtobufCMessage *message);
/* One field of a message (by name) as a JSON value; null when it is absent. For envelopes: "result". */
void vex_field_to_json(struct vex_jw *w, const ProtobufCMessage *message, const char *field);

#endif
