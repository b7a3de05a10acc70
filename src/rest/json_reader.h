/* Inside of JSON -> message: the walk and the hooks call each other through this. */
#ifndef VEX_REST_JSON_READER_H
#define VEX_REST_JSON_READER_H

#include "qdrant_collections.pb-c.h"
#include "qdrant_points.pb-c.h"
#include "rest/transcode.h"

struct reader {
    struct vex_arena *arena;
    struct vex_err *err;
};

/* Fails with "JSON body: <text>". */
int vex_reader_fail(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "invalid type: string "x", expected a map". */
int vex_reader_expected(struct reader *r, struct vex_json json, const char *what);
#define vex_reader_no_variant(r, name) vex_reader_fail((r), "data did not match any variant of untagged enum " name)

ProtobufCMessage *vex_reader_new(struct reader *r, const ProtobufCMessageDescriptor *type);
/* Reads any JSON the type takes: its hook when it has one, else the walk over an object's keys. */
int vex_reader_message(struct reader *r, ProtobufCMessage *message, struct vex_json json);
/* The walk alone. */
int vex_reader_object(struct reader *r, ProtobufCMessage *message, struct vex_json json);
/* Reads into a field of the message, by the field's own rules. */
int vex_reader_field(struct reader *r, ProtobufCMessage *message, const char *field, struct vex_json json);
/* Reads under a JSON key; a key that the message does not know is ignored. */
int vex_reader_key(struct reader *r, ProtobufCMessage *message, struct vex_str key, struct vex_json json);
int vex_reader_string(struct reader *r, struct vex_json json, char **ret);
bool vex_json_has(struct vex_json json, const char *key);

/* json_to_points.c, json_to_config.c, json_to_query.c: hooks by type. A hook fills an initialised message. */
typedef int reader_hook(struct reader *r, ProtobufCMessage *message, struct vex_json json);
#define HOOK(type, fn) reader_hook vex_read_##fn;
#include "rest/json_hooks.def"
#undef HOOK

#endif
