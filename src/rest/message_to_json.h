/* Messages as JSON, in the shape that REST shows. Pure functions of their input.
 *
 * Depth    Messages come from the server itself: it is bounded by what was accepted before.
 * Payloads may be carried as CBOR (api/qdrant/raw.h) or be trees of messages. */
#ifndef VEX_REST_MESSAGE_TO_JSON_H
#define VEX_REST_MESSAGE_TO_JSON_H

#include "api/qdrant/rpc.h"
#include "base/json_write.h"

/* A message as one JSON value. */
void vex_message_to_json(struct vex_jw *w, const ProtobufCMessage *message);
/* One field of a message (by name) as a JSON value; null when it is absent. For envelopes: "result". */
void vex_field_to_json(struct vex_jw *w, const ProtobufCMessage *message, const char *field);

/* ---- parts of the walk, for writers of odd shapes ---- */

/* Members of an object for the message's fields, without the braces. `skip`: fields left out,
 * NULL-terminated; NULL: none. */
void vex_message_members(struct vex_jw *w, const ProtobufCMessage *message, const char *const *skip);
/* The values of a field that is there, as one JSON value. */
void vex_field_value(struct vex_jw *w, const ProtobufCMessage *message,
                     const ProtobufCFieldDescriptor *field);
/* A list, a map or a string counts as there when it is not empty, the arm of a oneof when it is chosen. */
bool vex_field_is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
void vex_jw_name(struct vex_jw *w, const char *name); /* key */
void vex_jw_text(struct vex_jw *w, const char *text); /* string */

/* message_to_json_shapes.c: true when the type has a shape of its own and was written. */
bool vex_message_shape(struct vex_jw *w, const ProtobufCMessage *message);

#endif
