/* JSON -> message: the generic walk. See transcode.h.
 *
 * An object's keys are looked up among the message's fields (json_keys.def says which are spelled otherwise); types whose JSON has another
 * shape have a hook (json_hooks.def). Depth is bounded by the JSON reader's 128 levels. */
#include "rest/json_reader.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
    const ProtobufCMessageDescriptor *type;
    reader_hook *read;
} hooks[] = {
#define HOOK(type, fn) {&type##__descriptor, vex_read_##fn},
#include "rest/json_hooks.def"
#undef HOOK
};

static const struct {
    const ProtobufCMessageDescriptor *type;
    const char *key, *field;
} keys[] = {
#define KEY(type, key, field) {type, key, field},
#include "rest/json_keys.def"
#undef KEY
};

/* Enum values whose JSON is not their name in snake_case; NULL: no JSON stands for it. */
static const struct {
    const ProtobufCEnumDescriptor *type;
    const char *name, *json;
} spellings[] = {
    {&qdrant__distance__descriptor, "UnknownDistance", NULL},
    {&qdrant__distance__descriptor, "Cosine", "Cosine"},
    {&qdrant__distance__descriptor, "Euclid", "Euclid"},
    {&qdrant__distance__descriptor, "Dot", "Dot"},
    {&qdrant__distance__descriptor, "Manhattan", "Manhattan"},
    {&qdrant__memory__descriptor, "MemoryUnknown", NULL},
    {&qdrant__datatype__descriptor, "Default", NULL},
    {&qdrant__tokenizer_type__descriptor, "Unknown", NULL},
    {&qdrant__quantization_type__descriptor, "UnknownQuantization", NULL},
    {&qdrant__binary_quantization_query_encoding__setting__descriptor, "Scalar4Bits", "scalar4bits"},
    {&qdrant__binary_quantization_query_encoding__setting__descriptor, "Scalar8Bits", "scalar8bits"},
};

/* ---- errors ---- */

int vex_reader_fail(struct reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vex_err_setv(r->err, VEX_EFORMAT, fmt, ap);
    va_end(ap);
    return vex_err_wrap(r->err, "JSON body");
}

int vex_reader_expected(struct reader *r, struct vex_json json, const char *what)
{
    switch (vex_json_kind(json)) {
    case VEX_JSON_STRING:
        return vex_reader_fail(r, "invalid type: string \"" VEX_STR_FMT "\", expected %s", VEX_STR_ARG(vex_json_str(json)), what);
    case VEX_JSON_INT:
        return vex_reader_fail(r, "invalid type: integer `%lld`, expected %s", (long long)vex_json_int(json), what);
    case VEX_JSON_DOUBLE:
        return vex_reader_fail(r, "invalid type: floating point `%g`, expected %s", vex_json_double(json), what);
    case VEX_JSON_BOOL:
        return vex_reader_fail(r, "invalid type: boolean `%s`, expected %s", vex_json_bool(json) ? "true" : "false", what);
    default:
        return vex_reader_fail(r, "invalid type: %s, expected %s", vex_json_kind_name(json), what);
    }
}

/* ---- scalars ---- */

static int whole(struct reader *r, struct vex_json json, bool is_signed, unsigned bits, int64_t *ret)
{
    const char *want = is_signed ? (bits == 32 ? "i32" : "i64") : (bits == 32 ? "u32" : "usize");
    enum vex_json_kind kind = vex_json_kind(json);
    if (kind != VEX_JSON_INT && kind != VEX_JSON_UINT)
        return vex_reader_expected(r, json, want);
    bool fits;
    if (kind == VEX_JSON_UINT) {
        fits = !is_signed && bits == 64;
        *ret = (int64_t)vex_json_uint(json);
        if (!fits)
            return vex_reader_fail(r, "invalid value: integer `%llu`, expected %s", (unsigned long long)vex_json_uint(json), want);
        return 0;
    }
    int64_t v = vex_json_int(json);
    fits = is_signed ? bits == 64 || (v >= INT32_MIN && v <= INT32_MAX) : v >= 0 && (bits == 64 || v <= UINT32_MAX);
    *ret = v;
    return fits ? 0 : vex_reader_fail(r, "invalid value: integer `%lld`, expected %s", (long long)v, want);
}

int vex_reader_string(struct reader *r, struct vex_json json, char **ret)
{
    if (vex_json_kind(json) != VEX_JSON_STRING)
        return vex_reader_expected(r, json, "a string");
    struct vex_str s = vex_json_str(json);
    if (s.len > 0 && memchr(s.ptr, '\0', s.len) != NULL)
        return vex_reader_fail(r, "a string must not hold a NUL character here");
    *ret = vex_arena_strndup(r->arena, s.ptr, s.len);
    return 0;
}

/* "MaxSim" -> "max_sim", "RRF" -> "rrf". */
static void snake(const char *name, char *ret, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; name[i] != '\0' && n + 2 < cap; i++) {
        if (i > 0 && isupper((unsigned char)name[i]) && islower((unsigned char)name[i - 1]))
            ret[n++] = '_';
        ret[n++] = (char)tolower((unsigned char)name[i]);
    }
    ret[n] = '\0';
}

static const char *spelling(const ProtobufCEnumDescriptor *type, const char *name, char *buf, size_t cap)
{
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (spellings[i].type == type && strcmp(spellings[i].name, name) == 0)
            return spellings[i].json;
    snake(name, buf, cap);
    return buf;
}

static int enumeration(struct reader *r, const ProtobufCEnumDescriptor *type, struct vex_json json, int *ret)
{
    char buf[64];
    if (vex_json_kind(json) != VEX_JSON_STRING)
        return vex_reader_expected(r, json, "a string");
    struct vex_str text = vex_json_str(json);
    for (unsigned i = 0; i < type->n_values; i++) {
        const char *json_name = spelling(type, type->values[i].name, buf, sizeof buf);
        if (json_name != NULL && vex_str_eq_c(text, json_name)) {
            *ret = type->values[i].value;
            return 0;
        }
    }
    return vex_reader_fail(r, "unknown variant `" VEX_STR_FMT "` of %s", VEX_STR_ARG(text), type->short_name);
}

static size_t size_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    default:
        return 4;
    }
}

/* One value of a field's type into memory at `to`. */
static int value_of(struct reader *r, const ProtobufCFieldDescriptor *field, struct vex_json json, void *to)
{
    int64_t number = 0;
    int code = 0;
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE: {
        ProtobufCMessage *message = vex_reader_new(r, field->descriptor);
        *(ProtobufCMessage **)to = message;
        return vex_reader_message(r, message, json);
    }
    case PROTOBUF_C_TYPE_STRING:
        return vex_reader_string(r, json, to);
    case PROTOBUF_C_TYPE_ENUM:
        return enumeration(r, field->descriptor, json, to);
    case PROTOBUF_C_TYPE_BOOL:
        if (vex_json_kind(json) != VEX_JSON_BOOL)
            return vex_reader_expected(r, json, "a boolean");
        *(protobuf_c_boolean *)to = vex_json_bool(json);
        return 0;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        if (!vex_json_is_number(json))
            return vex_reader_expected(r, json, field->type == PROTOBUF_C_TYPE_FLOAT ? "f32" : "f64");
        if (field->type == PROTOBUF_C_TYPE_FLOAT)
            *(float *)to = (float)vex_json_double(json);
        else
            *(double *)to = vex_json_double(json);
        return 0;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT32:
        code = whole(r, json, field->type == PROTOBUF_C_TYPE_INT32, 32, &number);
        *(uint32_t *)to = (uint32_t)number;
        return code;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        code = whole(r, json, field->type == PROTOBUF_C_TYPE_INT64, 64, &number);
        *(int64_t *)to = number;
        return code;
    default:
        return vex_reader_fail(r, "field `%s` cannot be given here", field->name);
    }
}

/* ---- fields ---- */

static bool is_map(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *type = field->descriptor;
    if (field->label != PROTOBUF_C_LABEL_REPEATED || field->type != PROTOBUF_C_TYPE_MESSAGE || type->n_fields != 2)
        return false;
    size_t len = strlen(type->short_name);
    return len > 5 && strcmp(type->short_name + len - 5, "Entry") == 0 && strcmp(type->fields[0].name, "key") == 0;
}

static int map_of(struct reader *r, const ProtobufCFieldDescriptor *field, struct vex_json json, ProtobufCMessage **items)
{
    const ProtobufCMessageDescriptor *type = field->descriptor;
    struct vex_json_iter it = vex_json_iter(json);
    for (size_t n = 0; vex_json_next(&it); n++) {
        ProtobufCMessage *entry = vex_reader_new(r, type);
        char *base = (char *)entry;
        if (it.key.len > 0 && memchr(it.key.ptr, '\0', it.key.len) != NULL)
            return vex_reader_fail(r, "a key must not hold a NUL character");
        *(char **)(base + type->fields[0].offset) = vex_arena_strndup(r->arena, it.key.ptr, it.key.len);
        int code = value_of(r, &type->fields[1], it.value, base + type->fields[1].offset);
        if (code != 0)
            return code;
        items[n] = entry;
    }
    return 0;
}

static int list_of(struct reader *r, const ProtobufCFieldDescriptor *field, struct vex_json json, char *items)
{
    size_t size = size_of(field->type);
    if (vex_json_kind(json) != VEX_JSON_ARRAY) /* many lists may be a single object */
        return value_of(r, field, json, items);
    struct vex_json_iter it = vex_json_iter(json);
    for (char *to = items; vex_json_next(&it); to += size) {
        int code = value_of(r, field, it.value, to);
        if (code != 0)
            return code;
    }
    return 0;
}

static int repeated(struct reader *r, const ProtobufCFieldDescriptor *field, char *base, struct vex_json json)
{
    enum vex_json_kind kind = vex_json_kind(json);
    bool map = is_map(field);
    if (map && kind != VEX_JSON_OBJECT)
        return vex_reader_expected(r, json, "a map");
    if (!map && kind != VEX_JSON_ARRAY && !(kind == VEX_JSON_OBJECT && field->type == PROTOBUF_C_TYPE_MESSAGE))
        return vex_reader_expected(r, json, "a sequence");
    size_t count = kind == VEX_JSON_OBJECT && !map ? 1 : vex_json_count(json);
    char *items = vex_arena_zalloc(r->arena, (count + 1) * size_of(field->type));
    *(size_t *)(base + field->quantifier_offset) = count;
    *(char **)(base + field->offset) = items;
    if (!map && field->type == PROTOBUF_C_TYPE_FLOAT)
        return vex_json_floats(json, (float *)(void *)items, count) < 0 ? vex_reader_fail(r, "invalid type in a list, expected f32") : 0;
    return map ? map_of(r, field, json, (ProtobufCMessage **)(void *)items) : list_of(r, field, json, items);
}

static int read_field(struct reader *r, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, struct vex_json json)
{
    char *base = (char *)message;
    if (vex_json_kind(json) == VEX_JSON_NULL)
        return 0; /* as if absent */
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return repeated(r, field, base, json);
    int code = value_of(r, field, json, base + field->offset);
    if (code != 0)
        return code;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        *(uint32_t *)(base + field->quantifier_offset) = field->id;
    else if (field->type != PROTOBUF_C_TYPE_MESSAGE && field->type != PROTOBUF_C_TYPE_STRING)
        *(protobuf_c_boolean *)(base + field->quantifier_offset) = 1;
    return 0;
}

int vex_reader_field(struct reader *r, ProtobufCMessage *message, const char *field, struct vex_json json)
{
    const ProtobufCFieldDescriptor *found = protobuf_c_message_descriptor_get_field_by_name(message->descriptor, field);
    if (found == NULL)
        return vex_reader_fail(r, "unknown field `%s`", field);
    return read_field(r, message, found, json);
}

static const ProtobufCFieldDescriptor *field_of_key(const ProtobufCMessageDescriptor *type, struct vex_str key)
{
    char name[64];
    if (key.len >= sizeof name)
        return NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if ((keys[i].type != NULL && keys[i].type != type) || !vex_str_eq_c(key, keys[i].key))
            continue;
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(type, keys[i].field);
        if (field != NULL)
            return field;
    }
    memcpy(name, key.ptr, key.len);
    name[key.len] = '\0';
    return protobuf_c_message_descriptor_get_field_by_name(type, name);
}

/* Path parameters that a body must not overwrite. */
static bool is_of_path(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message)
{
    return strcmp(field->name, "collection_name") == 0 && *(char *const *)((const char *)message + field->offset) != NULL;
}

ProtobufCMessage *vex_reader_new(struct reader *r, const ProtobufCMessageDescriptor *type)
{
    return vex_rpc_message(r->arena, type);
}

bool vex_json_has(struct vex_json json, const char *key)
{
    struct vex_json value;
    return vex_json_get(json, key, &value) && vex_json_kind(value) != VEX_JSON_NULL;
}

int vex_reader_key(struct reader *r, ProtobufCMessage *message, struct vex_str key, struct vex_json json)
{
    const ProtobufCFieldDescriptor *field = field_of_key(message->descriptor, key);
    if (field == NULL || is_of_path(field, message))
        return 0;
    return read_field(r, message, field, json);
}

/* The field that selects points: its `points` or `filter` stand in the object itself. */
static const ProtobufCFieldDescriptor *selector_of(const ProtobufCMessageDescriptor *type)
{
    for (unsigned i = 0; i < type->n_fields; i++)
        if (type->fields[i].descriptor == &qdrant__points_selector__descriptor &&
            (type->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
            return &type->fields[i];
    return NULL;
}

static int read_selector(struct reader *r, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, struct vex_json json)
{
    if (!vex_json_has(json, "points") && !vex_json_has(json, "filter"))
        return strcmp(field->name, "points") == 0
                   ? vex_reader_no_variant(r, "PointsSelector")
                   : vex_reader_fail(r, "Either list of point ids or filter must be provided");
    return read_field(r, message, field, json);
}

int vex_reader_object(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    const ProtobufCFieldDescriptor *selector = selector_of(message->descriptor);
    if (selector != NULL && vex_json_kind(json) != VEX_JSON_OBJECT)
        return vex_reader_no_variant(r, "PointsSelector");
    if (vex_json_kind(json) != VEX_JSON_OBJECT) {
        char what[96];
        snprintf(what, sizeof what, "struct %s", message->descriptor->short_name);
        return vex_reader_expected(r, json, what);
    }
    struct vex_json_iter it = vex_json_iter(json);
    while (vex_json_next(&it)) {
        if (selector != NULL && field_of_key(message->descriptor, it.key) == selector)
            continue;
        int code = vex_reader_key(r, message, it.key, it.value);
        if (code != 0)
            return code;
    }
    return selector != NULL ? read_selector(r, message, selector, json) : 0;
}

int vex_reader_message(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++)
        if (hooks[i].type == message->descriptor)
            return hooks[i].read(r, message, json);
    return vex_reader_object(r, message, json);
}

int vex_message_from_json(struct vex_arena *arena, ProtobufCMessage *message, struct vex_json json, struct vex_err *err)
{
    struct reader r = {arena, err};
    return vex_reader_message(&r, message, json);
}
