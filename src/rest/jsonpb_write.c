/* Protobuf messages to JSON: the generic walk, and the hooks of results. */
#include <stdlib.h>

#include "base/time.h"
#include "rest/quirks_hooks.h"

#include "qdrant_collections.pb-c.h"

bool vex_jp_is_set(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message)
{
    const char *base = (const char *)message;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)(const void *)(base + field->quantifier_offset) != 0;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        return *(const uint32_t *)(const void *)(base + field->quantifier_offset) == field->id;
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void *const *)(const void *)(base + field->offset) != NULL;
    return *(const protobuf_c_boolean *)(const void *)(base + field->quantifier_offset);
}

static void write_enum(struct vex_jw *w, const ProtobufCEnumDescriptor *type, int number)
{
    struct vex_str name = vex_jp_enum_name(type, number);
    if (name.ptr != NULL)
        vex_jw_str(w, name);
    else
        vex_jw_null(w);
}

static void write_raw(struct vex_jw *w, const Qdrant__Value *value)
{
    if (vex_is_raw(value))
        vex_value_to_json(w, vex_raw_of(value));
    else
        vex_jw_null(w); /* results of REST carry nothing else */
}

static void write_value(struct vex_jw *w, const struct vex_jp_field *plan, const void *at)
{
    switch (plan->field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        vex_jw_bool(w, *(const protobuf_c_boolean *)at);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        vex_jw_f32(w, *(const float *)at);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        vex_jw_f64(w, *(const double *)at);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(w, plan->field->descriptor, *(const int *)at);
        break;
    case PROTOBUF_C_TYPE_STRING:
        vex_jw_str(w, vex_str_c(*(char *const *)at));
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        vex_jw_u64(w, *(const uint32_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        vex_jw_u64(w, *(const uint64_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        vex_jw_i64(w, *(const int32_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        vex_jw_i64(w, *(const int64_t *)at);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        vex_jp_write_message(w, plan->child, *(ProtobufCMessage *const *)at);
        break;
    default:
        vex_jw_null(w);
    }
}

static size_t stride_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return 8;
    default:
        return 4;
    }
}

struct entry {
    ProtobufCMessage base;
    char *key;
    ProtobufCMessage *value;
};

static void write_entries(struct vex_jw *w, const struct vex_jp_field *plan, struct entry *const *list, size_t count)
{
    if ((plan->flags & VEX_JP_PAYLOAD) != 0 && count == 1 && list[0]->key == vex_raw_key) {
        write_raw(w, (const Qdrant__Value *)(const void *)list[0]->value);
        return;
    }
    vex_jw_object(w);
    for (size_t i = 0; i < count; i++) {
        vex_jw_key(w, vex_str_c(list[i]->key));
        vex_jp_write_message(w, plan->child, list[i]->value);
    }
    vex_jw_object_end(w);
}

static void write_list(struct vex_jw *w, const struct vex_jp_field *plan, const ProtobufCMessage *message)
{
    size_t count = *(const size_t *)(const void *)((const char *)message + plan->field->quantifier_offset);
    const char *list = *(const char *const *)(const void *)((const char *)message + plan->field->offset);
    size_t stride = stride_of(plan->field->type);
    if ((plan->flags & (VEX_JP_MAP | VEX_JP_PAYLOAD)) != 0) {
        write_entries(w, plan, (struct entry *const *)(const void *)list, count);
        return;
    }
    if (plan->field->type == PROTOBUF_C_TYPE_FLOAT) {
        vex_jw_floats(w, (const float *)(const void *)list, count);
        return;
    }
    vex_jw_array(w);
    for (size_t i = 0; i < count; i++)
        write_value(w, plan, list + i * stride);
    vex_jw_array_end(w);
}

static void write_field(struct vex_jw *w, const struct vex_jp_field *plan, const ProtobufCMessage *message)
{
    if (plan->field->label == PROTOBUF_C_LABEL_REPEATED)
        write_list(w, plan, message);
    else if (vex_jp_is_set(plan->field, message))
        write_value(w, plan, (const char *)message + plan->field->offset);
    else
        vex_jw_null(w);
}

/* Whether a member appears at all. An absent payload is left out, an empty one is not. */
static bool shown(const struct vex_jp_field *plan, const ProtobufCMessage *message)
{
    if (plan->field == NULL || (plan->flags & VEX_JP_HIDDEN) != 0)
        return false;
    if (vex_jp_is_set(plan->field, message) || (plan->flags & VEX_JP_NULL_SHOWN) != 0)
        return true;
    return plan->field->label == PROTOBUF_C_LABEL_REPEATED &&
           (plan->flags & (VEX_JP_EMPTY_HIDDEN | VEX_JP_PAYLOAD)) == 0;
}

void vex_jp_write_members(struct vex_jw *w, const struct vex_jp_message *plan, const ProtobufCMessage *message)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        if (!shown(&plan->fields[i], message))
            continue;
        vex_jw_key(w, plan->fields[i].key);
        write_field(w, &plan->fields[i], message);
    }
}

static void write_arm(struct vex_jw *w, const struct vex_jp_message *plan, const ProtobufCMessage *message)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        const ProtobufCFieldDescriptor *field = plan->fields[i].field;
        if (field != NULL && (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 && vex_jp_is_set(field, message)) {
            write_field(w, &plan->fields[i], message);
            return;
        }
    }
    vex_jw_null(w);
}

void vex_jp_write_message(struct vex_jw *w, const struct vex_jp_message *plan, const ProtobufCMessage *message)
{
    if (message == NULL) {
        vex_jw_null(w);
    } else if (plan->type == &qdrant__value__descriptor) {
        write_raw(w, (const Qdrant__Value *)(const void *)message);
    } else if (plan->write != NULL) {
        plan->write(w, plan, message);
    } else if (plan->untagged) {
        write_arm(w, plan, message);
    } else if (plan->wrapped != NULL) {
        write_field(w, plan->wrapped, message);
    } else {
        vex_jw_object(w);
        vex_jp_write_members(w, plan, message);
        vex_jw_object_end(w);
    }
}

void vex_jsonpb_write(struct vex_jw *w, const ProtobufCMessage *message)
{
    vex_jp_write_message(w, vex_jp_plan(message->descriptor), message);
}

void vex_jsonpb_write_field(struct vex_jw *w, const ProtobufCMessage *message, const char *field)
{
    write_field(w, vex_jp_field_named(vex_jp_plan(message->descriptor), field), message);
}

/* ---- hooks ---- */

void vex_jp_write_timestamp(struct vex_jw *w, const struct vex_jp_message *plan, const ProtobufCMessage *message)
{
    const Google__Protobuf__Timestamp *in = (const void *)message;
    char text[40];
    (void)plan;
    size_t len = vex_time_text(text, in->seconds * 1000000 + in->nanos / 1000);
    vex_jw_str(w, vex_str(text, len));
}

void vex_jp_write_optimizer_status(struct vex_jw *w, const struct vex_jp_message *plan, const ProtobufCMessage *message)
{
    const Qdrant__OptimizerStatus *in = (const void *)message;
    (void)plan;
    if (in->error == NULL) {
        vex_jw_str(w, VEX_STR("ok"));
        return;
    }
    vex_jw_object(w);
    vex_jw_key(w, VEX_STR("error"));
    vex_jw_str(w, vex_str_c(in->error));
    vex_jw_object_end(w);
}

/* {"type": "keyword", ...}: the arm's name without its ending, then its members. */
void vex_jp_write_index_params(struct vex_jw *w, const struct vex_jp_message *plan, const ProtobufCMessage *message)
{
    const size_t ending = sizeof "_index_params" - 1;
    vex_jw_object(w);
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct vex_jp_field *arm = &plan->fields[i];
        if (!vex_jp_is_set(arm->field, message))
            continue;
        vex_jw_key(w, VEX_STR("type"));
        vex_jw_str(w, vex_str(arm->key.ptr, arm->key.len - ending));
        vex_jp_write_members(w, arm->child,
                             *(ProtobufCMessage *const *)(const void *)((const char *)message + arm->field->offset));
    }
    vex_jw_object_end(w);
}

/* Presence alone says yes. */
void vex_jp_write_true(struct vex_jw *w, const struct vex_jp_message *plan, const ProtobufCMessage *message)
{
    (void)plan;
    (void)message;
    vex_jw_bool(w, true);
}

void vex_jp_write_stemmer(struct vex_jw *w, const struct vex_jp_message *plan, const ProtobufCMessage *message)
{
    const Qdrant__StemmingAlgorithm *in = (const void *)message;
    bool snowball = in->stemming_params_case == QDRANT__STEMMING_ALGORITHM__STEMMING_PARAMS_SNOWBALL;
    (void)plan;
    vex_jw_object(w);
    vex_jw_key(w, VEX_STR("type"));
    vex_jw_str(w, snowball ? VEX_STR("snowball") : VEX_STR("none"));
    if (snowball) {
        vex_jw_key(w, VEX_STR("language"));
        vex_jw_str(w, vex_str_c(in->snowball->language != NULL ? in->snowball->language : ""));
    }
    vex_jw_object_end(w);
}
