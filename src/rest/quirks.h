/* Plans of reading: what the JSON form of each message is, made once from the descriptors and quirks.def.
 * Private to jsonpb_read.c and quirks*.c.
 *
 * Invariant A plan, once published, is read-only. */
#ifndef VEX_REST_QUIRKS_H
#define VEX_REST_QUIRKS_H

#include "api/qdrant/raw.h"
#include "engine/point/value_json.h"
#include "rest/jsonpb.h"

#define VEX_JP_FIELDS_MAX 64 /* of a message: reading keeps a bit for each */

struct vex_jp_message;
struct vex_jp_field;

/* State of one reading. */
struct vex_jp {
    struct vex_arena *arena;
    struct vex_err *err;
    unsigned levels;   /* of messages that may still open */
    size_t conditions; /* of filters, met so far */
};

/* Fills a message (or a field of it) from a value that is not null. */
typedef int vex_jp_read_fn(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                           ProtobufCMessage *message);

enum vex_jp_flag {
    VEX_JP_REQUIRED = 1,
    VEX_JP_HIDDEN = 2,      /* not in JSON */
    VEX_JP_INLINE = 4,      /* the members of the message stand in the parent */
    VEX_JP_ONE_OR_MANY = 8, /* a list of one may be written without brackets */
    VEX_JP_NONZERO = 16,
    VEX_JP_MAP = 32,     /* map<string, message> */
    VEX_JP_PAYLOAD = 64, /* map<string, Value>, carried raw */
};

struct vex_jp_field {
    const ProtobufCFieldDescriptor *field; /* NULL: a key of JSON only, always with `read` */
    struct vex_str key, alias;             /* alias.ptr NULL: none */
    const struct vex_jp_message *child;    /* of messages; of maps, the value's */
    vex_jp_read_fn *read;                  /* gets the parent; NULL: the generic way */
    unsigned flags;
};

struct vex_jp_message {
    const ProtobufCMessageDescriptor *type;
    struct vex_jp_field *fields;
    uint32_t count;
    vex_jp_read_fn *read;
    const struct vex_jp_field *wrapped; /* the JSON value is that of this field */
    bool deny;                          /* unknown keys are refused */
    const char *needs;                  /* the error when no arm of the oneof is set; NULL: that is fine */
};

const struct vex_jp_message *vex_jp_plan(const ProtobufCMessageDescriptor *type); /* never NULL */
const struct vex_jp_field *vex_jp_field_named(const struct vex_jp_message *plan, const char *name);

/* Finds the number of an enumeration's JSON name. */
bool vex_jp_enum(const ProtobufCEnumDescriptor *type, struct vex_str name, int *ret);
/* Names of an enumeration for an error: "one of `a`, `b`". */
struct vex_str vex_jp_enum_names(struct vex_arena *arena, const ProtobufCEnumDescriptor *type);

/* ---- jsonpb_read.c ---- */

int vex_jp_format(struct vex_jp *jp, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "invalid type: string \"x\", expected a map". */
int vex_jp_unexpected(struct vex_jp *jp, struct vex_json v, const char *expected);
/* "data did not match any variant of untagged enum X". */
int vex_jp_no_variant(struct vex_jp *jp, const char *name);
void *vex_jp_alloc(struct vex_jp *jp, size_t count, size_t size); /* zeroed; NULL with jp->err set */
/* An initialised message; NULL with jp->err set. */
void *vex_jp_new(struct vex_jp *jp, const ProtobufCMessageDescriptor *type);
/* A new message filled by its plan: NULL with jp->err set. */
void *vex_jp_child(struct vex_jp *jp, const ProtobufCMessageDescriptor *type, struct vex_json v);
/* By plan: hook, wrapped field or object. */
int vex_jp_read_message(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                        ProtobufCMessage *message);
/* As an object, even where the plan has a hook: for hooks that handle another form first. */
int vex_jp_read_object(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                       ProtobufCMessage *message);
int vex_jp_read_field(struct vex_jp *jp, const struct vex_jp_field *field, struct vex_json v,
                      ProtobufCMessage *message);
int vex_jp_string(struct vex_jp *jp, struct vex_json v, char **ret);
int vex_jp_u64(struct vex_jp *jp, struct vex_json v, uint64_t max, const char *type, uint64_t *ret);
/* Payload: an object as CBOR, in a Value message. */
Qdrant__Value *vex_jp_raw(struct vex_jp *jp, struct vex_json v);
/* The member of a key that is there and not null. */
bool vex_jp_get(struct vex_json v, const char *key, struct vex_json *ret);

#endif
