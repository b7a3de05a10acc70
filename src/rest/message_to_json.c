/* Message -> JSON: the generic walk. See message_to_json.h.
 *
 * Fields become keys of the same name in the order of their numbers; the tables say which are spelled
 * otherwise, left out, or shown though absent. Types in another shape are written by
 * message_to_json_shapes.c. Messages come from the server itself, so their depth is bounded by what was
 * accepted before. */
#include "rest/message_to_json.h"

#include <ctype.h>

#include "api/qdrant/qdrant.h"
#include "engine/point/value_json.h"

/* What is special about a field. `type` NULL: in every message that has it. */
enum field_rule {
    RENAMED,         /* shown under `json` */
    HIDDEN,          /* never shown */
    NULL_IF_UNSET,   /* shown as null */
    ABSENT_IF_EMPTY, /* an empty list or map is left out; others are shown */
};

static const struct {
    const ProtobufCMessageDescriptor *type;
    const char *field;
    enum field_rule rule;
    const char *json;
} field_rules[] = {
    {&qdrant__scored_point__descriptor, "vectors", RENAMED, "vector"},
    {&qdrant__retrieved_point__descriptor, "vectors", RENAMED, "vector"},
    {&qdrant__collection_params__descriptor, "vectors_config", RENAMED, "vectors"},
    {&qdrant__collection_params__descriptor, "sparse_vectors_config", RENAMED, "sparse_vectors"},
    {&qdrant__quantization_config__descriptor, "turboquant", RENAMED, "turbo"},
    {NULL, "deprecated_max_optimization_threads", HIDDEN, NULL},
    {&qdrant__collection_config__descriptor, "quantization_config", NULL_IF_UNSET, NULL},
    {&qdrant__optimizers_config_diff__descriptor, "max_segment_size", NULL_IF_UNSET, NULL},
    {&qdrant__optimizers_config_diff__descriptor, "memmap_threshold", NULL_IF_UNSET, NULL},
    {&qdrant__optimizers_config_diff__descriptor, "max_optimization_threads", NULL_IF_UNSET, NULL},
    {&qdrant__optimizers_config_diff__descriptor, "prevent_unoptimized", NULL_IF_UNSET, NULL},
    {&qdrant__scroll_response__descriptor, "next_page_offset", NULL_IF_UNSET, NULL},
    {NULL, "payload", ABSENT_IF_EMPTY, NULL},
    {&qdrant__collection_config__descriptor, "metadata", ABSENT_IF_EMPTY, NULL},
    {&qdrant__collection_info__descriptor, "warnings", ABSENT_IF_EMPTY, NULL},
    {&qdrant__collection_cluster_info_response__descriptor, "resharding_operations", ABSENT_IF_EMPTY, NULL},
    {&qdrant__list_shard_keys_response__descriptor, "shard_keys", ABSENT_IF_EMPTY, NULL},
    {&qdrant__stopwords_set__descriptor, "languages", ABSENT_IF_EMPTY, NULL},
    {&qdrant__stopwords_set__descriptor, "custom", ABSENT_IF_EMPTY, NULL},
};

/* Enumerations whose values are shown as they are named; all others in snake_case. */
static const ProtobufCEnumDescriptor *const verbatim[] = {
    &qdrant__distance__descriptor,
    &qdrant__replica_state__descriptor,
};

static bool has_rule(const ProtobufCMessageDescriptor *type, const char *field, enum field_rule rule,
                     const char **ret_json)
{
    for (size_t i = 0; i < sizeof field_rules / sizeof *field_rules; i++)
        if (field_rules[i].rule == rule && (field_rules[i].type == NULL || field_rules[i].type == type) &&
            strcmp(field_rules[i].field, field) == 0) {
            if (ret_json != NULL)
                *ret_json = field_rules[i].json;
            return true;
        }
    return false;
}

void vex_jw_name(struct vex_jw *w, const char *name)
{
    vex_jw_key(w, vex_str_c(name));
}

void vex_jw_text(struct vex_jw *w, const char *text)
{
    vex_jw_str(w, vex_str_c(text));
}

/* ---- values ---- */

/* "WaitTimeout" -> "wait_timeout", "Float16" -> "float16", "Scalar4Bits" -> "scalar4bits". */
static void write_enum(struct vex_jw *w, const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    char buf[64];
    size_t n = 0;

    if (found == NULL || type == &qdrant__null_value__descriptor) {
        vex_jw_null(w);
        return;
    }
    for (size_t i = 0; i < sizeof verbatim / sizeof *verbatim; i++)
        if (verbatim[i] == type) {
            vex_jw_text(w, found->name);
            return;
        }
    for (const char *c = found->name; *c != '\0' && n + 2 < sizeof buf; c++) {
        if (c > found->name && isupper((unsigned char)*c) && islower((unsigned char)c[-1]))
            buf[n++] = '_';
        buf[n++] = (char)tolower((unsigned char)*c);
    }
    vex_jw_str(w, vex_str(buf, n));
}

/* One value of a field's type at `at`. */
static void write_value(struct vex_jw *w, const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        vex_message_to_json(w, *(const ProtobufCMessage *const *)at);
        return;
    case PROTOBUF_C_TYPE_STRING:
        vex_jw_text(w, *(const char *const *)at);
        return;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(w, field->descriptor, *(const int *)at);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        vex_jw_bool(w, *(const protobuf_c_boolean *)at);
        return;
    case PROTOBUF_C_TYPE_FLOAT:
        vex_jw_f32(w, *(const float *)at);
        return;
    case PROTOBUF_C_TYPE_DOUBLE:
        vex_jw_f64(w, *(const double *)at);
        return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        vex_jw_u64(w, *(const uint32_t *)at);
        return;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        vex_jw_i64(w, *(const int32_t *)at);
        return;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        vex_jw_u64(w, *(const uint64_t *)at);
        return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        vex_jw_i64(w, *(const int64_t *)at);
        return;
    case PROTOBUF_C_TYPE_BYTES: /* the interface has none */
        vex_jw_null(w);
        return;
    }
}

static size_t size_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_STRING:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return 8;
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

/* ---- lists and maps ---- */

static bool is_map(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *type = field->descriptor;
    size_t len;

    if (field->type != PROTOBUF_C_TYPE_MESSAGE || type->n_fields != 2 ||
        strcmp(type->fields[0].name, "key") != 0)
        return false;
    len = strlen(type->short_name);
    return len > 5 && strcmp(type->short_name + len - 5, "Entry") == 0;
}

static void write_map(struct vex_jw *w, const ProtobufCFieldDescriptor *field, ProtobufCMessage *const *items,
                      size_t count)
{
    const ProtobufCFieldDescriptor *fields = ((const ProtobufCMessageDescriptor *)field->descriptor)->fields;

    /* A payload carried as CBOR is one entry that stands for all. */
    if (count == 1 && *(char *const *)((const char *)items[0] + fields[0].offset) == vex_raw_key) {
        vex_value_to_json(w,
                          vex_raw_of(*(Qdrant__Value *const *)((const char *)items[0] + fields[1].offset)));
        return;
    }
    vex_jw_object(w);
    for (size_t i = 0; i < count; i++) {
        const char *base = (const char *)items[i], *key = *(char *const *)(base + fields[0].offset);

        vex_jw_name(w, key != NULL ? key : "");
        if (vex_field_is_set(items[i], &fields[1]))
            write_value(w, &fields[1], base + fields[1].offset);
        else
            vex_jw_null(w);
    }
    vex_jw_object_end(w);
}

static void write_repeated(struct vex_jw *w, const ProtobufCFieldDescriptor *field, const char *base)
{
    size_t count = *(const size_t *)(base + field->quantifier_offset), size = size_of(field->type);
    const char *items = *(const char *const *)(base + field->offset);

    if (is_map(field)) {
        write_map(w, field, (ProtobufCMessage *const *)(const void *)items, count);
        return;
    }
    if (field->type == PROTOBUF_C_TYPE_FLOAT) {
        vex_jw_floats(w, (const float *)(const void *)items, count);
        return;
    }
    vex_jw_array(w);
    for (size_t i = 0; i < count; i++)
        write_value(w, field, items + i * size);
    vex_jw_array_end(w);
}

/* ---- fields ---- */

bool vex_field_is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)message;

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)(base + field->quantifier_offset) != 0;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        if (*(const uint32_t *)(base + field->quantifier_offset) != field->id)
            return false;
    } else if (field->type != PROTOBUF_C_TYPE_MESSAGE && field->type != PROTOBUF_C_TYPE_STRING) {
        return *(const protobuf_c_boolean *)(base + field->quantifier_offset) != 0;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING)
        return *(const void *const *)(base + field->offset) != NULL;
    return true;
}

void vex_field_value(struct vex_jw *w, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)message;

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        write_repeated(w, field, base);
    else
        write_value(w, field, base + field->offset);
}

static bool is_skipped(const char *const *skip, const char *name)
{
    for (; skip != NULL && *skip != NULL; skip++)
        if (strcmp(*skip, name) == 0)
            return true;
    return false;
}

void vex_message_members(struct vex_jw *w, const ProtobufCMessage *message, const char *const *skip)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;

    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        bool set = vex_field_is_set(message, field), repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        const char *name = field->name;

        if (is_skipped(skip, name) || has_rule(type, name, HIDDEN, NULL))
            continue;
        if (!set && (repeated ? has_rule(type, name, ABSENT_IF_EMPTY, NULL)
                              : !has_rule(type, name, NULL_IF_UNSET, NULL)))
            continue;
        has_rule(type, name, RENAMED, &name);
        vex_jw_name(w, name);
        if (set || repeated)
            vex_field_value(w, message, field);
        else
            vex_jw_null(w);
    }
}

void vex_message_to_json(struct vex_jw *w, const ProtobufCMessage *message)
{
    if (vex_message_shape(w, message))
        return;
    vex_jw_object(w);
    vex_message_members(w, message, NULL);
    vex_jw_object_end(w);
}

void vex_field_to_json(struct vex_jw *w, const ProtobufCMessage *message, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);

    if (field != NULL && (field->label == PROTOBUF_C_LABEL_REPEATED || vex_field_is_set(message, field)))
        vex_field_value(w, message, field);
    else
        vex_jw_null(w);
}
