/* JSON to protobuf messages: the generic walk.
 *
 * Each function consumes one kind of thing and is named by it. What a message or a field looks like comes
 * from its plan; the odd shapes are hooks of quirks_*.c, which come back here for everything regular.
 * Invariant A failure leaves jp->err set exactly once; the message under construction is then of no use. */
#include "rest/quirks.h"

#include <stdio.h>

#define LEVELS_MAX 100 /* of messages, as over gRPC */

/* ---- errors ---- */

int vex_jp_format(struct vex_jp *jp, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vex_err_setv(jp->err, VEX_EFORMAT, fmt, ap);
    va_end(ap);
    return VEX_EFORMAT;
}

int vex_jp_unexpected(struct vex_jp *jp, struct vex_json v, const char *expected)
{
    char number[40] = "";
    struct vex_str text;
    switch (vex_json_kind(v)) {
    case VEX_JSON_STRING:
        text = vex_json_str(v);
        return vex_jp_format(jp, "invalid type: string \"" VEX_STR_FMT "\", expected %s", VEX_STR_ARG(text),
                             expected);
    case VEX_JSON_BOOL:
        return vex_jp_format(jp, "invalid type: boolean `%s`, expected %s",
                             vex_json_bool(v) ? "true" : "false", expected);
    case VEX_JSON_INT:
        snprintf(number, sizeof number, "%lld", (long long)vex_json_int(v));
        break;
    case VEX_JSON_UINT:
        snprintf(number, sizeof number, "%llu", (unsigned long long)vex_json_uint(v));
        break;
    case VEX_JSON_DOUBLE:
        number[vex_f64_text(number, vex_json_double(v))] = '\0';
        break;
    default:
        return vex_jp_format(jp, "invalid type: %s, expected %s", vex_json_kind_name(v), expected);
    }
    return vex_jp_format(jp, "invalid type: %s `%s`, expected %s", vex_json_kind_name(v), number, expected);
}

int vex_jp_no_variant(struct vex_jp *jp, const char *name)
{
    return vex_jp_format(jp, "data did not match any variant of untagged enum %s", name);
}

/* ---- memory ---- */

void *vex_jp_alloc(struct vex_jp *jp, size_t count, size_t size)
{
    size_t bytes;
    void *ret = NULL;
    if (!__builtin_mul_overflow(count + 1, size, &bytes))
        ret = vex_arena_try(jp->arena, bytes);
    if (ret == NULL)
        vex_err_set(jp->err, VEX_ETOO_LARGE, "the request needs more memory than one call may use");
    else
        memset(ret, 0, bytes);
    return ret;
}

void *vex_jp_new(struct vex_jp *jp, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = vex_arena_try(jp->arena, type->sizeof_message);
    if (message == NULL)
        vex_err_set(jp->err, VEX_ETOO_LARGE, "the request needs more memory than one call may use");
    else
        protobuf_c_message_init(type, message);
    return message;
}

void *vex_jp_child(struct vex_jp *jp, const ProtobufCMessageDescriptor *type, struct vex_json v)
{
    ProtobufCMessage *message = vex_jp_new(jp, type);
    if (message != NULL && vex_jp_read_message(jp, vex_jp_plan(type), v, message) < 0)
        return NULL;
    return message;
}

/* ---- scalars ---- */

int vex_jp_string(struct vex_jp *jp, struct vex_json v, char **ret)
{
    if (vex_json_kind(v) != VEX_JSON_STRING)
        return vex_jp_unexpected(jp, v, "a string");
    struct vex_str text = vex_json_str(v);
    if (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL)
        return vex_jp_format(jp, "the text holds a NUL character, which is not supported");
    *ret = vex_jp_alloc(jp, text.len, 1);
    if (*ret == NULL)
        return VEX_ETOO_LARGE;
    memcpy(*ret, text.ptr, text.len);
    return 0;
}

int vex_jp_u64(struct vex_jp *jp, struct vex_json v, uint64_t max, const char *type, uint64_t *ret)
{
    enum vex_json_kind kind = vex_json_kind(v);
    if (kind == VEX_JSON_INT && vex_json_int(v) < 0)
        return vex_jp_format(jp, "invalid value: integer `%lld`, expected %s", (long long)vex_json_int(v),
                             type);
    if (kind != VEX_JSON_INT && kind != VEX_JSON_UINT)
        return vex_jp_unexpected(jp, v, type);
    *ret = vex_json_uint(v);
    if (*ret > max)
        return vex_jp_format(jp, "invalid value: integer `%llu`, expected %s", (unsigned long long)*ret,
                             type);
    return 0;
}

static int read_i64(struct vex_jp *jp, struct vex_json v, int64_t min, int64_t max, const char *type,
                    int64_t *ret)
{
    enum vex_json_kind kind = vex_json_kind(v);
    if (kind == VEX_JSON_UINT)
        return vex_jp_format(jp, "invalid value: integer `%llu`, expected %s",
                             (unsigned long long)vex_json_uint(v), type);
    if (kind != VEX_JSON_INT)
        return vex_jp_unexpected(jp, v, type);
    *ret = vex_json_int(v);
    if (*ret < min || *ret > max)
        return vex_jp_format(jp, "invalid value: integer `%lld`, expected %s", (long long)*ret, type);
    return 0;
}

static int read_enum(struct vex_jp *jp, const ProtobufCEnumDescriptor *type, struct vex_json v, int *ret)
{
    if (vex_json_kind(v) != VEX_JSON_STRING)
        return vex_jp_unexpected(jp, v, "a string");
    struct vex_str name = vex_json_str(v);
    if (vex_jp_enum(type, name, ret))
        return 0;
    struct vex_str names = vex_jp_enum_names(jp->arena, type);
    return vex_jp_format(jp, "unknown variant `" VEX_STR_FMT "`, expected " VEX_STR_FMT, VEX_STR_ARG(name),
                         VEX_STR_ARG(names));
}

static int read_number(struct vex_jp *jp, const ProtobufCFieldDescriptor *field, struct vex_json v, void *ret)
{
    if (!vex_json_is_number(v))
        return vex_jp_unexpected(jp, v, field->type == PROTOBUF_C_TYPE_FLOAT ? "f32" : "f64");
    if (field->type == PROTOBUF_C_TYPE_FLOAT)
        *(float *)ret = (float)vex_json_double(v);
    else
        *(double *)ret = vex_json_double(v);
    return 0;
}

static int read_integer(struct vex_jp *jp, const struct vex_jp_field *plan, struct vex_json v, void *ret)
{
    uint64_t u = 0;
    int64_t i = 0;
    int code;
    switch (plan->field->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        code = vex_jp_u64(jp, v, UINT32_MAX, "u32", &u);
        *(uint32_t *)ret = (uint32_t)u;
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        code = vex_jp_u64(jp, v, UINT64_MAX, "usize", &u);
        *(uint64_t *)ret = u;
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        code = read_i64(jp, v, INT32_MIN, INT32_MAX, "i32", &i);
        *(int32_t *)ret = (int32_t)i;
        return code;
    default:
        code = read_i64(jp, v, INT64_MIN, INT64_MAX, "i64", &i);
        *(int64_t *)ret = i;
        return code;
    }
    if (code == 0 && u == 0 && (plan->flags & VEX_JP_NONZERO) != 0)
        return vex_jp_format(jp, "invalid value: integer `0`, expected a nonzero usize");
    return code;
}

/* One value of a field's type, a message too, into its place. */
static int read_value(struct vex_jp *jp, const struct vex_jp_field *plan, struct vex_json v, void *ret)
{
    switch (plan->field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        if (vex_json_kind(v) != VEX_JSON_BOOL)
            return vex_jp_unexpected(jp, v, "a boolean");
        *(protobuf_c_boolean *)ret = vex_json_bool(v);
        return 0;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return read_number(jp, plan->field, v, ret);
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(jp, plan->field->descriptor, v, ret);
    case PROTOBUF_C_TYPE_STRING:
        return vex_jp_string(jp, v, ret);
    case PROTOBUF_C_TYPE_BYTES:
        return vex_jp_unexpected(jp, v, "no bytes");
    case PROTOBUF_C_TYPE_MESSAGE:
        if (plan->child->type == &qdrant__value__descriptor)
            *(void **)ret = vex_jp_raw(jp, v);
        else
            *(void **)ret = vex_jp_child(jp, plan->child->type, v);
        return *(void **)ret != NULL ? 0 : jp->err->code;
    default:
        return read_integer(jp, plan, v, ret);
    }
}

/* ---- payloads ---- */

Qdrant__Value *vex_jp_raw(struct vex_jp *jp, struct vex_json v)
{
    struct vex_buf out;
    vex_buf_init(&out, jp->arena);
    if (vex_value_from_json(&out, v, jp->err) < 0)
        return NULL;
    if (out.len > VEX_PAYLOAD_MAX) {
        vex_err_set(jp->err, VEX_ETOO_LARGE, "payload of a point is larger than %u bytes", VEX_PAYLOAD_MAX);
        return NULL;
    }
    return vex_raw_value_new(jp->arena, (struct vex_value){(const uint8_t *)out.ptr});
}

/* All entries of maps are alike: a key, and a value or a pointer to it. */
struct entry {
    ProtobufCMessage base;
    char *key;
    void *value;
};

static int set_list(struct vex_jp *jp, const ProtobufCFieldDescriptor *field, ProtobufCMessage *message,
                    size_t count, void *list)
{
    if (list == NULL)
        return jp->err->code;
    *(size_t *)(void *)((char *)message + field->quantifier_offset) = count;
    *(void **)(void *)((char *)message + field->offset) = list;
    return 0;
}

static int read_payload(struct vex_jp *jp, const struct vex_jp_field *plan, struct vex_json v,
                        ProtobufCMessage *message)
{
    if (vex_json_kind(v) != VEX_JSON_OBJECT)
        return vex_jp_unexpected(jp, v, "a map");
    void **list = vex_jp_alloc(jp, 1, sizeof *list);
    struct entry *entry = vex_jp_new(jp, plan->field->descriptor);
    Qdrant__Value *value = list != NULL && entry != NULL ? vex_jp_raw(jp, v) : NULL;
    if (value == NULL)
        return jp->err->code;
    entry->key = vex_raw_key;
    entry->value = value;
    list[0] = entry;
    return set_list(jp, plan->field, message, 1, list);
}

static int read_map(struct vex_jp *jp, const struct vex_jp_field *plan, struct vex_json v,
                    ProtobufCMessage *message)
{
    if (vex_json_kind(v) != VEX_JSON_OBJECT)
        return vex_jp_unexpected(jp, v, "a map");
    size_t count = 0;
    void **list = vex_jp_alloc(jp, vex_json_count(v), sizeof *list);
    struct vex_json_iter it = vex_json_iter(v);
    while (list != NULL && vex_json_next(&it)) {
        struct entry *entry = vex_jp_new(jp, plan->field->descriptor);
        if (entry == NULL)
            return jp->err->code;
        if (it.key.len > 0 && memchr(it.key.ptr, 0, it.key.len) != NULL)
            return vex_jp_format(jp, "a key holds a NUL character, which is not supported");
        entry->key = vex_jp_alloc(jp, it.key.len, 1);
        if (entry->key == NULL)
            return jp->err->code;
        memcpy(entry->key, it.key.ptr, it.key.len);
        entry->value = vex_jp_child(jp, plan->child->type, it.value);
        if (entry->value == NULL)
            return jp->err->code;
        list[count++] = entry;
    }
    return set_list(jp, plan->field, message, count, list);
}

/* ---- lists ---- */

static size_t size_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return 4;
    default:
        return 8;
    }
}

static int read_floats(struct vex_jp *jp, const struct vex_jp_field *plan, struct vex_json v,
                       ProtobufCMessage *message)
{
    size_t count = vex_json_count(v);
    float *list = vex_jp_alloc(jp, count, sizeof *list);
    if (list == NULL)
        return jp->err->code;
    if (vex_json_floats(v, list, count) < 0)
        return vex_jp_format(jp, "invalid type: expected a sequence of f32");
    return set_list(jp, plan->field, message, count, list);
}

static int read_list(struct vex_jp *jp, const struct vex_jp_field *plan, struct vex_json v,
                     ProtobufCMessage *message)
{
    bool many = vex_json_kind(v) == VEX_JSON_ARRAY;
    if (!many && (plan->flags & VEX_JP_ONE_OR_MANY) == 0)
        return vex_jp_unexpected(jp, v, "a sequence");
    if (many && plan->field->type == PROTOBUF_C_TYPE_FLOAT)
        return read_floats(jp, plan, v, message);
    size_t size = size_of(plan->field->type), count = 0;
    char *list = vex_jp_alloc(jp, many ? vex_json_count(v) : 1, size);
    if (list == NULL)
        return jp->err->code;
    if (!many) {
        int code = read_value(jp, plan, v, list);
        return code < 0 ? code : set_list(jp, plan->field, message, 1, list);
    }
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it); count++) {
        int code = read_value(jp, plan, it.value, list + count * size);
        if (code < 0)
            return code;
    }
    return set_list(jp, plan->field, message, count, list);
}

/* ---- messages ---- */

int vex_jp_read_field(struct vex_jp *jp, const struct vex_jp_field *plan, struct vex_json v,
                      ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field = plan->field;
    if ((plan->flags & VEX_JP_PAYLOAD) != 0)
        return read_payload(jp, plan, v, message);
    if ((plan->flags & VEX_JP_MAP) != 0)
        return read_map(jp, plan, v, message);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return read_list(jp, plan, v, message);
    int code = read_value(jp, plan, v, (char *)message + field->offset);
    if (code < 0)
        return code;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        *(uint32_t *)(void *)((char *)message + field->quantifier_offset) = field->id;
    else if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)
        *(protobuf_c_boolean *)(void *)((char *)message + field->quantifier_offset) = 1;
    return 0;
}

static const struct vex_jp_field *find_key(const struct vex_jp_message *plan, struct vex_str key,
                                           uint32_t *ret_at)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct vex_jp_field *field = &plan->fields[i];
        if ((field->flags & (VEX_JP_HIDDEN | VEX_JP_INLINE)) == 0 &&
            (vex_str_eq(key, field->key) || (field->alias.ptr != NULL && vex_str_eq(key, field->alias)))) {
            *ret_at = i;
            return field;
        }
    }
    return NULL;
}

static int unknown_key(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_str key)
{
    struct vex_buf names;
    vex_buf_init(&names, jp->arena);
    for (uint32_t i = 0; i < plan->count; i++)
        if ((plan->fields[i].flags & VEX_JP_HIDDEN) == 0)
            vex_buf_printf(&names, "%s`" VEX_STR_FMT "`", names.len > 0 ? ", " : "",
                           VEX_STR_ARG(plan->fields[i].key));
    struct vex_str text = vex_buf_str(&names);
    return vex_jp_format(jp, "unknown field `" VEX_STR_FMT "`, expected one of " VEX_STR_FMT,
                         VEX_STR_ARG(key), VEX_STR_ARG(text));
}

static bool is_chosen_arm(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
           *(const uint32_t *)(const void *)((const char *)message + field->quantifier_offset) == field->id;
}

/* Fields whose members stand in this object, and those that had to come. `seen` has a bit per field. */
static int finish_object(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                         ProtobufCMessage *message, uint64_t seen)
{
    bool any_arm = false;
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct vex_jp_field *field = &plan->fields[i];
        if ((field->flags & VEX_JP_INLINE) != 0) {
            int code = vex_jp_read_field(jp, field, v, message);
            if (code < 0)
                return code;
        } else if ((field->flags & VEX_JP_REQUIRED) != 0 && (seen >> i & 1) == 0) {
            return vex_jp_format(jp, "missing field `" VEX_STR_FMT "`", VEX_STR_ARG(field->key));
        }
        any_arm |= field->field != NULL && is_chosen_arm(field->field, message);
    }
    return plan->needs != NULL && !any_arm ? vex_jp_no_variant(jp, plan->needs) : 0;
}

int vex_jp_read_object(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                       ProtobufCMessage *message)
{
    uint64_t seen = 0;
    if (vex_json_kind(v) != VEX_JSON_OBJECT)
        return vex_jp_unexpected(jp, v, plan->type->short_name);
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it);) {
        uint32_t at = 0;
        const struct vex_jp_field *field = find_key(plan, it.key, &at);
        if (field == NULL && plan->deny)
            return unknown_key(jp, plan, it.key);
        if (field == NULL || vex_json_kind(it.value) == VEX_JSON_NULL)
            continue;
        int code = field->read != NULL ? field->read(jp, plan, it.value, message)
                                       : vex_jp_read_field(jp, field, it.value, message);
        if (code < 0)
            return code;
        seen |= UINT64_C(1) << at;
    }
    return finish_object(jp, plan, v, message, seen);
}

int vex_jp_read_message(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                        ProtobufCMessage *message)
{
    int code;
    if (jp->levels == 0)
        return vex_jp_format(jp, "recursion limit exceeded");
    jp->levels--;
    if (plan->read != NULL)
        code = plan->read(jp, plan, v, message);
    else if (plan->wrapped != NULL)
        code = vex_json_kind(v) == VEX_JSON_NULL ? 0 : vex_jp_read_field(jp, plan->wrapped, v, message);
    else
        code = vex_jp_read_object(jp, plan, v, message);
    jp->levels++;
    return code;
}

bool vex_jp_get(struct vex_json v, const char *key, struct vex_json *ret)
{
    return vex_json_get(v, key, ret) && vex_json_kind(*ret) != VEX_JSON_NULL;
}

int vex_jsonpb_read(struct vex_arena *arena, struct vex_json v, ProtobufCMessage *message,
                    struct vex_err *err)
{
    struct vex_jp jp = {.arena = arena, .err = err, .levels = LEVELS_MAX + 1};
    return vex_jp_read_message(&jp, vex_jp_plan(message->descriptor), v, message);
}
