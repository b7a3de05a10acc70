/* Messages by descriptor: merging, as updates of configurations need it. */
#include "api/qdrant/qdrant.h"

static bool is_pointer(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return 4;
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 8;
    }
}

static bool is_set(const ProtobufCFieldDescriptor *field, const char *message)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)(const void *)(message + field->quantifier_offset) != 0;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        return *(const uint32_t *)(const void *)(message + field->quantifier_offset) == field->id;
    if (is_pointer(field))
        return *(void *const *)(const void *)(message + field->offset) != NULL;
    return *(const protobuf_c_boolean *)(const void *)(message + field->quantifier_offset);
}

static void merge_field(const ProtobufCFieldDescriptor *field, char *dst, const char *src)
{
    bool oneof = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;

    if (field->label != PROTOBUF_C_LABEL_REPEATED && field->type == PROTOBUF_C_TYPE_MESSAGE &&
        is_set(field, dst)) {
        vex_message_merge(*(ProtobufCMessage **)(void *)(dst + field->offset),
                          *(ProtobufCMessage *const *)(const void *)(src + field->offset));
        return;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        memcpy(dst + field->quantifier_offset, src + field->quantifier_offset, sizeof(size_t));
        memcpy(dst + field->offset, src + field->offset, sizeof(void *));
        return;
    }
    if (oneof)
        memcpy(dst + field->quantifier_offset, src + field->quantifier_offset, sizeof(uint32_t));
    else if (!is_pointer(field))
        memcpy(dst + field->quantifier_offset, src + field->quantifier_offset, sizeof(protobuf_c_boolean));
    memcpy(dst + field->offset, src + field->offset, is_pointer(field) ? sizeof(void *) : size_of(field));
}

void vex_message_merge(ProtobufCMessage *dst, const ProtobufCMessage *src)
{
    const ProtobufCMessageDescriptor *type = dst->descriptor;

    for (unsigned i = 0; i < type->n_fields; i++)
        if (is_set(&type->fields[i], (const char *)src))
            merge_field(&type->fields[i], (char *)dst, (const char *)src);
}
